"""A Zendesk stand-in on a real port, and connectors that share its clock, so no wait costs time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from connectors.zendesk import Zendesk, ZendeskSettings
from connectors.zendesk.sandbox import ZendeskSandbox
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
def box(clock: VirtualClock) -> Iterator[ZendeskSandbox]:
    """Zendesk, with its limits on, the hub's admin, and no other records yet."""
    with ZendeskSandbox(clock=clock.now) as sandbox:
        yield sandbox
        assert sandbox.crashes == []


@pytest.fixture
def organization(box: ZendeskSandbox) -> str:
    """The id of one organization that has been there for long."""
    box.put_organization(
        "36000000001", "Birch & Vale", LONG_AGO, domain_names=["birchvale.example"], tags=["vip"]
    )
    return "36000000001"


@pytest.fixture
def connect(box: ZendeskSandbox, env: Env) -> Iterator[Callable[..., Zendesk]]:
    """Makes a connector; the good OAuth client signs in when nothing else is given."""
    opened: list[Zendesk] = []

    def make(custom: dict[str, Sequence[str]] | None = None, **more: object) -> Zendesk:
        known = {"client_id": box.client_id, "client_secret": box.client_secret}
        if "email" in more:
            known = {}
        settings = ZendeskSettings.model_validate(
            {"subdomain": box.subdomain, "base_url": box.url, **known, **more}
        )
        made = Zendesk(settings, env, connection="zendesk-main", loopback=True, custom=custom)
        opened.append(made)
        return made

    yield make
    for connector in opened:
        connector.close()


@pytest.fixture
def zendesk(connect: Callable[..., Zendesk]) -> Zendesk:
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
def target(box: ZendeskSandbox) -> Callable[[str], RecordKey]:
    """The address of an organization in the stand-in's account."""

    def key(record: str) -> RecordKey:
        return RecordKey(
            vendor="zendesk", vendor_account=box.subdomain, object="organizations", id=record
        )

    return key
