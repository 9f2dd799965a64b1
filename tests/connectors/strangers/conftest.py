"""A clock that stands still until a test moves it: a stand-in's limits and lags are then exact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest


class StillClock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 4, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def passes(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()
