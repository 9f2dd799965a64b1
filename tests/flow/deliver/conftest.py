"""A hub that has decided, beside HubSpot's and Stripe's stand-ins on real ports."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from connectors.hubspot import HubSpot, HubSpotSettings
from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.stripe import Stripe, StripeSettings
from connectors.stripe.sandbox import StripeSandbox
from hub import Env
from hub.config import Config, Connection
from hub.configfiles import Limits
from hub.decide.desire import intent_key
from hub.definitions import Definitions, Play
from hub.deliver import Applied, Delivered, PlanMade, apply_plan, deliver, make_plan
from hub.store import Database, as_dicts, open_database, table_of, upsert
from hub.store.tables import (
    ConnectionState,
    Decision,
    DesiredField,
    DesiredTask,
    Episode,
    HubAccount,
    LedgerEntry,
    PlanItem,
    Published,
)

DAY = date(2026, 3, 4)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LONG_AGO = datetime(2025, 6, 1, 9, tzinfo=UTC)
IDA, PER = "70000001", "70000002"
PORTAL = "62000007"
HUBSPOT_READS = re.compile(r"/(search|batch/read)$")


class Clock:
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


class Killed(BaseException):
    """The process was killed: no handler of the hub may see it."""


class Wire(httpx.BaseTransport):
    """The network until the process is killed at a writing call, before or after it arrived."""

    killed: ClassVar[type[BaseException]] = Killed
    writes: ClassVar[int] = 0
    kill_at: ClassVar[int | None] = None
    after: ClassVar[bool] = True
    counting: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        is_write = request.method != "GET" and not HUBSPOT_READS.search(request.url.path)
        with Wire.counting:
            Wire.writes += is_write
            dies = is_write and Wire.writes == Wire.kill_at
        if dies and not Wire.after:
            raise Killed
        answer = self.inner.handle_request(request)
        if dies:
            answer.read()
            raise Killed
        return answer

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class Customer:
    """One account with its company in HubSpot and its customer in Stripe."""

    account: str
    company: str
    customer: str


@dataclass
class Scene:
    """What a test may do: decide something, deliver it, and look at the vendors."""

    database: Database
    hubspot: HubSpotSandbox
    stripe: StripeSandbox
    clock: Clock
    env: Env
    config: Config
    customers: list[Customer] = field(default_factory=list)
    decisions: int = 0

    # --- the team's side ------------------------------------------------------------------------

    def add_customer(self) -> Customer:
        number = len(self.customers) + 1
        company = str(9_000_000_000 + number)
        name = f"Company {number}"
        self.hubspot.put("companies", company, {"name": name}, LONG_AGO)
        one = Customer(f"a{number}", company, self.stripe.create_customer(name=name))
        self.customers.append(one)
        self.store(HubAccount, _account(one.account))
        return one

    def store(self, model: type[SQLModel], *rows: Mapping[str, Any]) -> None:
        with self.database.write() as writing:
            upsert(writing, model, [model(**row).model_dump() for row in rows])

    def decide(
        self,
        statuses: Mapping[Customer, str] | None = None,
        tasks: list[dict[str, Any]] | None = None,
        *,
        day: date = DAY,
        stripe: bool = True,
    ) -> None:
        """Publish a decision: a status for each customer, and these tasks."""
        self.decisions += 1
        run = self.decisions
        self.store(Decision, {"run": run, "as_of": day, "kind": "current", "judged_at": NOON})
        for one, word in (statuses or {}).items():
            targets = [("hubspot", PORTAL, "companies", one.company, "hubspot-eu")]
            if stripe:
                account = self.stripe.account
                targets.append(("stripe", account, "customers", one.customer, "stripe-main"))
            for target in targets:
                self.store(DesiredField, *_fields(run, one.account, target, word))
        if tasks:
            self.store(DesiredTask, *({**task, "run": run} for task in tasks))
        self.store(Published, {"name": "current", "run": run, "day": day})

    def task(self, one: Customer, cause: str = "usage", **changes: Any) -> dict[str, Any]:
        """A task that a decision wants, and its open episode."""
        opened_on = changes.pop("opened_on", date(2026, 3, 1))
        target = ("hubspot", PORTAL, "companies", one.company)
        key = intent_key(target, cause, opened_on)
        self.store(Episode, _episode(one.account, cause, opened_on, changes.pop("play", "p")))
        task = {
            "key": key, "account_id": one.account, "cause": cause, "opened_on": opened_on,
            "connection": "hubspot-eu", "vendor": "hubspot", "vendor_account": PORTAL,
            "object": "companies", "record_id": one.company, "owner": "ida", "owner_id": IDA,
            "title": f"Call {one.account} about {cause}", "priority": "medium",
            "body": f"It went quiet.\nHow the hub knows: hub explain {key}",
            "due": NOON + timedelta(days=2), "why": "quiet since 1 Mar 2026", "evidence": "[]",
            "not_written": None,
        }  # fmt: skip
        return task | changes

    def with_limits(self, **limits: Any) -> None:
        self.config = replace(self.config, limits=Limits(**limits))

    def add_play(self, name: str, **ends: Any) -> None:
        play = Play.model_validate(
            {
                "outcome": "issue recovery",
                "owner": {"role": "csm", "backup": "csm"},
                "steps": [{"id": "a", "task": "a.md", "due": "1 business day"}],
                "if_stalled": {"after": "1 business day", "escalate_to": "csm"},
                "ends": ends,
            }
        )
        self.config = replace(self.config, definitions=Definitions(plays={name: play}))

    def set_mode(self, connection: str, mode: Any) -> None:
        changed = replace(self.config.connections[connection], deliver=mode)
        connections = {**self.config.connections, connection: changed}
        self.config = replace(self.config, connections=connections)

    # --- the hub --------------------------------------------------------------------------------

    def plan(self) -> PlanMade:
        return make_plan(self.config, self.database, self.env)

    def apply(self, plan: int, **more: Any) -> Applied:
        return apply_plan(self.config, self.database, self.env, plan, **more)

    def deliver(self) -> Delivered:
        return deliver(self.config, self.database, self.env)

    def items(self, plan: int, kind: str | None = None) -> list[dict[str, Any]]:
        table = table_of(PlanItem)
        with self.database.read() as reading:
            rows = as_dicts(reading, select(table).where(table.c.plan == plan))
        return [row for row in rows if kind in (None, row["kind"])]

    def ledger(self, kind: str | None = None, state: str | None = None) -> list[dict[str, Any]]:
        table = table_of(LedgerEntry)
        with self.database.read() as reading:
            rows = as_dicts(reading, select(table).order_by(table.c.seq))
        return [
            row for row in rows if kind in (None, row["kind"]) and state in (None, row["state"])
        ]

    # --- the vendors ----------------------------------------------------------------------------

    def tasks(self) -> dict[str, dict[str, Any]]:
        """HubSpot's tasks by id."""
        return {id: one["properties"] for id, one in self.hubspot.objects["tasks"].items()}

    def health(self, one: Customer) -> tuple[str | None, str | None]:
        """What HubSpot and Stripe say of a customer."""
        company = self.hubspot.objects["companies"][one.company]["properties"]
        metadata = self.stripe.objects["customer"][one.customer]["metadata"]
        return company.get("hub_health"), metadata.get("hub_health")

    def writes(self) -> int:
        return len(self.hubspot.writes()) + len(self.stripe.writes())


def _fields(
    run: int, account: str, target: tuple[str, str, str, str, str], word: str
) -> list[dict[str, Any]]:
    vendor, vendor_account, kind, record, connection = target
    values = {
        "hub_health": word,
        "hub_health_since": "2026-03-01",
        "hub_health_reason": f"{word} since 1 Mar 2026",
    }
    return [
        {
            "vendor": vendor, "vendor_account": vendor_account, "object": kind,
            "record_id": record, "run": run, "field": name, "account_id": account,
            "connection": connection, "value": value, "why": values["hub_health_reason"],
        }
        for name, value in values.items()
    ]  # fmt: skip


def _episode(account: str, cause: str, opened_on: date, play: str) -> dict[str, Any]:
    return {
        "account_id": account, "cause": cause, "opened_on": opened_on, "play": play,
        "signal": "s", "decided_on": opened_on, "opened_run": 1,
    }  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_env(clock: Clock) -> Iterator[Callable[[], Env]]:
    """Makes an Env with the virtual clock; its calls go over real sockets."""
    Wire.writes, Wire.kill_at, Wire.after = 0, None, True

    def make() -> Env:
        return Env(
            clock=clock.now, monotonic=clock.monotonic, sleep=clock.sleep,
            random=random.Random(7), transport=Wire,
        )  # fmt: skip

    yield make
    Wire.kill_at = None


@pytest.fixture
def wire(make_env: object) -> type[Wire]:
    """The network, whose next calls a test may make the last ones of the process."""
    return Wire


@pytest.fixture
def hubspot(clock: Clock) -> Iterator[HubSpotSandbox]:
    with HubSpotSandbox(clock=clock.now) as box:
        box.add_owner(IDA, "Ida Holm", "ida.holm@hub-team.example")
        box.add_owner(PER, "Per Dahl", "per.dahl@hub-team.example")
        yield box
        assert box.crashes == []


@pytest.fixture
def stripe(clock: Clock) -> Iterator[StripeSandbox]:
    with StripeSandbox(clock=clock.now) as box:
        yield box
        assert box.crashes == []


@pytest.fixture
def scene(
    database_url: str,
    hubspot: HubSpotSandbox,
    stripe: StripeSandbox,
    clock: Clock,
    make_env: Callable[[], Env],
) -> Iterator[Scene]:
    """Two tools in auto mode, and no customers yet."""
    opened = [open_database(database_url)]
    made = Scene(opened[0], hubspot, stripe, clock, make_env(), _config(hubspot, stripe))
    _sign_in(made)
    yield made
    if made.database is not opened[0]:
        made.database.close()
    opened[0].close()


@pytest.fixture
def fresh_database(tmp_path: Path) -> Callable[[Scene], None]:
    """Makes the scene's hub lose its database: another one, empty but for accounts."""

    def lose(scene: Scene) -> None:
        scene.database = open_database(f"sqlite:///{tmp_path / 'fresh.db'}")
        scene.decisions = 0
        _sign_in(scene)
        for one in scene.customers:
            scene.store(HubAccount, _account(one.account))

    return lose


def _account(account: str) -> dict[str, Any]:
    name = f"Company {account.removeprefix('a')}"
    return {
        "id": account, "minted_at": LONG_AGO, "minted_run": 1, "name": name,
        "lifecycle": "customer",
    }  # fmt: skip


def _sign_in(scene: Scene) -> None:
    scene.store(
        ConnectionState,
        {"connection": "hubspot-eu", "vendor": "hubspot", "vendor_account": PORTAL},
        {"connection": "stripe-main", "vendor": "stripe", "vendor_account": scene.stripe.account},
    )


def _config(hubspot: HubSpotSandbox, stripe: StripeSandbox) -> Config:
    crm = HubSpotSettings.model_validate({"token": hubspot.token, "base_url": hubspot.url})
    billing = StripeSettings.model_validate({"key": stripe.token, "base_url": stripe.url})
    connections = [
        Connection("hubspot-eu", "hubspot", HubSpot, crm, network="loopback", deliver="auto"),
        Connection("stripe-main", "stripe", Stripe, billing, network="loopback", deliver="auto"),
    ]
    return Config(
        directory=Path("config"),
        zone=ZoneInfo("Europe/Berlin"),
        currency="EUR",
        digest="test",
        connections={one.name: one for one in connections},
        limits=Limits(stop_share_of_customers=100),
    )
