"""A HubSpot stand-in on a real port, and connectors that share its clock, so no wait costs time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from connectors.hubspot import HubSpot, HubSpotSettings
from connectors.hubspot.sandbox import HubSpotSandbox
from hub import Env, Page, Position, RecordKey

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LONG_AGO = datetime(2025, 6, 1, 9, tzinfo=UTC)


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
def box(clock: VirtualClock) -> Iterator[HubSpotSandbox]:
    """HubSpot, with its limits on, one owner, and no records yet."""
    with HubSpotSandbox(clock=clock.now) as sandbox:
        sandbox.add_owner("70000001", "Ida Holm", "ida.holm@hub-team.example")
        sandbox.add_owner("70000002", "Per Dahl", "per.dahl@hub-team.example", active=False)
        yield sandbox
        assert sandbox.crashes == []


@pytest.fixture
def company(box: HubSpotSandbox) -> str:
    """The id of one company that has been there for long."""
    properties = {"name": "Birch & Vale", "domain": "birchvale.example"}
    box.put("companies", "9000000001", properties, LONG_AGO)
    return "9000000001"


@pytest.fixture
def connect(box: HubSpotSandbox, env: Env) -> Iterator[Callable[..., HubSpot]]:
    """Makes a connector with a token of your choice; the good one when none is given."""
    opened: list[HubSpot] = []

    def make(
        token: str | None = None, custom: dict[str, Sequence[str]] | None = None, **more: object
    ) -> HubSpot:
        settings = HubSpotSettings.model_validate(
            {"token": token or box.token, "base_url": box.url, **more}
        )
        made = HubSpot(settings, env, connection="hubspot-eu", loopback=True, custom=custom)
        opened.append(made)
        return made

    yield make
    for connector in opened:
        connector.close()


@pytest.fixture
def hubspot(connect: Callable[..., HubSpot]) -> HubSpot:
    return connect()


def read(pages: Iterator[Page]) -> tuple[list[str], Position | None]:
    """The ids that a stream gave, in order, and where it stands then."""
    ids, at = [], None
    for page in pages:
        ids += [str(row["id"]) for row in page.rows]
        at = page.at or at
    return ids, at


@pytest.fixture
def read_all() -> Callable[[Iterator[Page]], tuple[list[str], Position | None]]:
    return read


@pytest.fixture
def target() -> Callable[[str, str], RecordKey]:
    """The address of a record in the stand-in's account."""

    def key(record: str, kind: str = "companies") -> RecordKey:
        return RecordKey(vendor="hubspot", vendor_account="62000007", object=kind, id=record)

    return key
