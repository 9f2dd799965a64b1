"""A Stripe stand-in on a real port, and connectors that share its clock, so no wait costs time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from connectors.stripe import Stripe, StripeSettings
from connectors.stripe.sandbox import StripeSandbox
from hub import Env

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class VirtualClock:
    """Time that only passes when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._passed += max(0.0, seconds)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def env(clock: VirtualClock) -> Env:
    return Env(clock=clock.now, monotonic=clock.monotonic, sleep=clock.sleep, random=Random(7))


@pytest.fixture
def box(clock: VirtualClock) -> Iterator[StripeSandbox]:
    """Stripe, with its limits on, and no customers yet."""
    with StripeSandbox(clock=clock.now) as sandbox:
        yield sandbox
        assert sandbox.crashes == []


@pytest.fixture
def connect(box: StripeSandbox, env: Env) -> Iterator[Callable[..., Stripe]]:
    """Makes a connector with a key of your choice; the good one when none is given."""
    opened: list[Stripe] = []

    def make(key: str | None = None) -> Stripe:
        settings = StripeSettings(key=key or box.token, base_url=box.url)
        opened.append(Stripe(settings, env, connection="stripe-main", loopback=True))
        return opened[-1]

    yield make
    for connector in opened:
        connector.close()


@pytest.fixture
def stripe(connect: Callable[..., Stripe]) -> Stripe:
    return connect()
