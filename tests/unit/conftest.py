"""Accounts made of facts, and a hub that judges them: the real SQL, rules, plays and store.

`judge(an_account(logins=["2026-03-01"]), "2026-03-05")` loads the facts into a SQLite in memory,
decides that day with the shipped rules, and gives the account's verdict. A neighbour with rows of
every kind is there too, so that no source counts as "not connected".
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlmodel import SQLModel

import rules
from hub import Connector, CreateTask, Receipt, SetFields, Settings, writes
from hub.config import Config, load_config
from hub.decide import Decided, decide
from hub.decide.evaluate import Registry, registry
from hub.plugins import Plugins
from hub.store import Database, as_dicts, open_database, table_of, upsert
from hub.store.current import published_run
from hub.store.tables import (
    AccountRecord,
    ConnectionState,
    Coverage,
    DesiredField,
    DesiredTask,
    Episode,
    Evidence,
    HubAccount,
    InvoiceRecord,
    Link,
    OwnerRecord,
    PaymentAttemptRecord,
    Reading,
    SubscriptionRecord,
    TicketRecord,
    UsageRecord,
    Verdict,
)

ROOT = Path(__file__).resolve().parents[2]
LONG_AGO, FAR_OFF = "2024-06-01", "2027-12-31"
FACTS: tuple[type[SQLModel], ...] = (
    UsageRecord, TicketRecord, InvoiceRecord, SubscriptionRecord, PaymentAttemptRecord,
    AccountRecord, Evidence, Coverage, Link,
)  # fmt: skip

HUB_YAML = """\
zone: Europe/Berlin
currency: EUR
people:
  mia: {name: Mia Sommer, email: mia@northwind.example, roles: [csm], backup: jonas}
  jonas: {name: Jonas Falk, email: jonas@northwind.example, roles: [csm]}
  tara: {name: Tara Weiss, email: tara@northwind.example, roles: [team_lead]}
segments:
  enterprise: {when: employees >= 500}
  small: {when: employees < 50}
tasks_to: crm
login_events: [login]
key_features: [report_shared]
"""


class Crm(Connector[Settings]):
    """A made-up CRM that can hold the status and tasks."""

    name = "crm"
    title = "CRM"

    @writes(SetFields, once="upsert", on=["companies"])
    def set_fields(self, action: SetFields) -> Receipt:
        """Never called: decide does not touch the network."""
        raise AssertionError

    @writes(CreateTask, once="key", on=["companies"])
    def create_task(self, action: CreateTask) -> Receipt:
        """Never called either."""
        raise AssertionError


class Desk(Connector[Settings]):
    """A made-up help desk that can hold the status and tasks as well."""

    name = "desk"
    title = "Desk"

    @writes(SetFields, once="upsert")
    def set_fields(self, action: SetFields) -> Receipt:
        """Never called."""
        raise AssertionError

    @writes(CreateTask, once="key")
    def create_task(self, action: CreateTask) -> Receipt:
        """Never called."""
        raise AssertionError


PLUGINS = Plugins(
    connectors={"crm": Crm, "desk": Desk},
    measures=rules.MEASURES,
    definition_dirs=(ROOT / "rules" / "shipped",),
)


# --- facts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bill:
    """An invoice with the days on which taking its money failed."""

    number: str
    failed: Sequence[str] = ()
    created: str = "2026-01-01"
    settled: str | None = None
    status: str = "open"
    pays_for: Sequence[str] = ()


@dataclass(frozen=True)
class Covered:
    """What the hub can know from one source: since when, until when, and why it thinks so."""

    since: str = LONG_AGO
    until: str = FAR_OFF
    basis: str = "seen"
    by: str = "source"


@dataclass(frozen=True)
class Contract:
    """A subscription."""

    amount_minor: int
    interval: str = "month"
    interval_count: int = 1
    currency: str = "EUR"
    status: str = "active"
    started: str = "2025-01-01"
    ended: str | None = None


@dataclass(frozen=True)
class Given:
    """One account with its facts; every source is covered for long unless `covered` says so."""

    key: str
    name: str
    logins: Sequence[str] = ()
    features: Sequence[str] = ()
    people: Sequence[tuple[str, str]] = ()
    tickets: Sequence[str] = ()
    bills: Sequence[Bill] = ()
    contracts: Sequence[Contract] = ()
    covered: Mapping[str, Sequence[Covered]] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    records: Sequence[tuple[str, str, str, float]] = ()

    def but(self, **changes: Any) -> Given:
        """The same account with other facts."""
        return replace(self, **changes)

    def with_coverage(self, kind: str, *sources: Covered) -> Given:
        """The same account with one kind of source covered otherwise; none: not at all."""
        return replace(self, covered={**self.covered, kind: sources})


def _account(
    name: str = "Birch & Vale",
    *,
    logins: Sequence[str] = (),
    features: Sequence[str] = (),
    people: Sequence[tuple[str, str]] = (),
    tickets: Sequence[str] = (),
    bills: Sequence[Bill] = (),
    contracts: Sequence[Contract] = (),
    records: Sequence[tuple[str, str, str, float]] | None = None,
    **fields: Any,
) -> Given:
    key = "acc_" + "".join(letter for letter in name.lower() if letter.isalnum())
    about = {"lifecycle": "customer", "owner": "mia", **fields}
    days = ("renewal_on", "signed_up_on")
    return Given(
        key=key,
        name=name,
        logins=logins,
        features=features,
        people=people,
        tickets=tickets,
        bills=bills,
        contracts=contracts,
        covered={kind: (Covered(),) for kind in ("usage", "tickets", "billing")},
        fields={k: date.fromisoformat(v) if k in days and v else v for k, v in about.items()},
        records=[("crm", "companies", f"c_{key[4:]}", 1.0)] if records is None else records,
    )


def _key(vendor: str, kind: str, record: str) -> dict[str, Any]:
    return {"vendor": vendor, "vendor_account": "1", "object": kind, "record_id": record}


def _fact(given: Given, vendor: str, kind: str, record: str, **more: Any) -> dict[str, Any]:
    key = _key(vendor, kind, f"{given.key}-{record}")
    return {**key, "account_id": given.key, "ref": None, "url": None, "gone_at": None, **more}


def _noon(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(11), UTC)


def _usage(given: Given) -> Iterator[dict[str, Any]]:
    seen = [
        *((day, "login", None) for day in given.logins),
        *((day, "report_shared", None) for day in given.features),
        *((day, "page_viewed", person) for day, person in given.people),
    ]
    for day, event, person in seen:
        about = {"day": date.fromisoformat(day), "event": event, "count": 1, "person": person}
        yield _fact(given, "product", "usage", f"{event}-{day}-{person}", **about)


def _tickets(given: Given) -> Iterator[dict[str, Any]]:
    for number, day in enumerate(given.tickets, 1):
        about = {
            "subject": f"Question {number}",
            "status": "open",
            "priority": "normal",
            "tags": "[]",
            "requester_id": None,
            "opened_at": _noon(day),
            "opened_on": date.fromisoformat(day),
            "closed_at": None,
            "closed_on": None,
        }
        yield _fact(given, "desk", "tickets", str(number), **about)


def _bill(given: Given, bill: Bill) -> dict[str, Any]:
    settled = date.fromisoformat(bill.settled) if bill.settled else None
    return _fact(
        given, "till", "invoices", bill.number,
        subscription_id=None, named=None, number=bill.number,
        status="paid" if settled and bill.status == "open" else bill.status,
        total_minor=4900, remaining_minor=0 if settled else 4900, currency="EUR",
        attempt_count=len(bill.failed), next_attempt_at=None,
        created_on=date.fromisoformat(bill.created), due_on=None, paid_on=settled,
        settled_on=settled,
    )  # fmt: skip


def _attempts(given: Given, bill: Bill) -> Iterator[dict[str, Any]]:
    for day in bill.failed:
        about = {
            "invoice_id": f"{given.key}-{bill.number}",
            "payment_ref": None,
            "succeeded": False,
            "amount_minor": 4900,
            "currency": "EUR",
            "decline_code": "insufficient_funds",
            "advice_code": None,
            "network_decline_code": None,
            "attempted_at": _noon(day),
            "attempted_on": date.fromisoformat(day),
        }
        yield _fact(given, "till", "attempts", f"{bill.number}-{day}", **about)


def _contract(given: Given, number: int, one: Contract) -> dict[str, Any]:
    return _fact(
        given, "till", "subscriptions", str(number),
        status=one.status, amount_minor=one.amount_minor, named=None, currency=one.currency,
        interval=one.interval, interval_count=one.interval_count,
        started_on=date.fromisoformat(one.started), ends_on=None,
        ended_on=date.fromisoformat(one.ended) if one.ended else None,
        period_ends_on=None, end_reason=None,
    )  # fmt: skip


def _hub_account(given: Given) -> dict[str, Any]:
    columns = {c.name: None for c in table_of(HubAccount).columns}
    return {
        **columns,
        "id": given.key,
        "name": given.name,
        "minted_at": _noon(LONG_AGO),
        "minted_run": 0,
        "kind": "account",
        "domains": "[]",
        "link_confidence": 1.0,
        **given.fields,
    }


def rows_of(given: Given) -> dict[type[Any], list[dict[str, Any]]]:
    """Everything that unify would have stored about an account."""
    bills = [_bill(given, bill) for bill in given.bills]
    contracts = [_contract(given, n, one) for n, one in enumerate(given.contracts, 1)]
    named = {f"{given.key}-{bill.number}": bill.pays_for for bill in given.bills}
    key = ("vendor", "vendor_account", "object", "record_id")
    evidence = [
        {**{part: row[part] for part in key}, "account_id": account, "role": "is"}
        for row in (*bills, *contracts)
        for account in named.get(row["record_id"]) or (given.key,)
    ]
    records = [(_key(vendor, kind, one), sure) for vendor, kind, one, sure in given.records]
    return {
        HubAccount: [_hub_account(given)],
        UsageRecord: list(_usage(given)),
        TicketRecord: list(_tickets(given)),
        InvoiceRecord: bills,
        PaymentAttemptRecord: [row for bill in given.bills for row in _attempts(given, bill)],
        SubscriptionRecord: contracts,
        Evidence: evidence,
        AccountRecord: [
            {**record, "account_id": given.key, "ref": None, "url": None, "gone_at": None,
             "name": given.name, "fields": "{}"}
            for record, _ in records
        ],
        Link: [
            {**record, "seq": None, "account_id": given.key, "role": "is", "reason": "given",
             "confidence": sure, "since": _noon(LONG_AGO), "until": None, "actor": "hub", "run": 0}
            for record, sure in records
        ],
        Coverage: [
            {"account_id": given.key, "kind": kind, "connection": one.by,
             "from_day": date.fromisoformat(one.since), "basis": one.basis,
             "fresh_until": date.fromisoformat(one.until)}
            for kind, sources in given.covered.items()
            for one in sources
        ],
    }  # fmt: skip


# --- the hub --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What one decision says of one account; the lists are empty and `band` None when nothing."""

    row: Mapping[str, Any]
    because: Sequence[str]
    signals: Mapping[str, bool | None]
    values: Mapping[str, Any]
    points: Mapping[str, float | None]
    not_connected: Sequence[str]
    evidence: Mapping[str, Sequence[str]]
    since: Mapping[str, date]
    problems: Sequence[Mapping[str, Any]]
    tasks: Sequence[Mapping[str, Any]]
    fields: Mapping[str, str]

    @property
    def band(self) -> str | None:
        """The band of the day."""
        return self.row.get("band")

    @property
    def status(self) -> str | None:
        """What people see."""
        return self.row.get("status")

    @property
    def low(self) -> float:
        """The low end of the score."""
        return float(self.row["low"])

    @property
    def high(self) -> float:
        """The high end of the score."""
        return float(self.row["high"])

    @property
    def task(self) -> Mapping[str, Any]:
        """The only task."""
        [task] = self.tasks
        return task


class Hub:
    """A database with accounts in it, and decisions made on it."""

    def __init__(self, database: Database, config: Config) -> None:
        self.database, self.config = database, config
        self.tool("crm")
        self.colleagues("crm", "mia", "jonas", "tara")

    def tool(self, vendor: str) -> None:
        """Sign in to a tool."""
        columns = {c.name: None for c in table_of(ConnectionState).columns}
        row = {**columns, "connection": vendor, "vendor": vendor, "vendor_account": "1"}
        with self.database.write() as writing:
            upsert(writing, ConnectionState, [row])

    def colleagues(self, vendor: str, *people: str) -> None:
        """Make these, and no others, users of a tool."""
        owners = table_of(OwnerRecord)
        rows = [
            {**_key(vendor, "owners", f"u_{person}"), "account_id": None, "ref": None, "url": None,
             "gone_at": None, "name": person, "email": f"{person}@northwind.example",
             "is_active": True}
            for person in people
        ]  # fmt: skip
        with self.database.write() as writing:
            writing.execute(delete(owners).where(owners.c.vendor == vendor))
            upsert(writing, OwnerRecord, rows)

    def deactivate(self, vendor: str, person: str) -> None:
        """Let a person leave a tool."""
        owners = table_of(OwnerRecord)
        gone = owners.update().where(owners.c.vendor == vendor, owners.c.name == person)
        with self.database.write() as writing:
            writing.execute(gone.values(is_active=False))

    def prioritize(self, day: str, priority: str) -> None:
        """Give the tickets of a day a priority."""
        tickets = table_of(TicketRecord)
        of_day = tickets.update().where(tickets.c.opened_on == date.fromisoformat(day))
        with self.database.write() as writing:
            writing.execute(of_day.values(priority=priority))

    def everything_is_gone(self) -> None:
        """Let every row vanish from its tool."""
        with self.database.write() as writing:
            for model in FACTS[:5]:
                writing.execute(table_of(model).update().values(gone_at=_noon(LONG_AGO)))

    def told(self, given: Given) -> list[dict[str, Any]]:
        """The status fields that the current decision wants for an account, in every tool."""
        with self.database.read() as reading:
            run = published_run(reading)
        wanted = self.rows(DesiredField)
        return [row for row in wanted if row["run"] == run and row["account_id"] == given.key]

    def knows(self, *accounts: Given, shuffled: Callable[[list[Any]], None] | None = None) -> Hub:
        """Replace what is known about these accounts."""
        with self.database.write() as writing:
            for table in map(table_of, FACTS):
                keys = [given.key for given in accounts]
                writing.execute(delete(table).where(table.c.account_id.in_(keys)))
            everything: dict[type[Any], list[dict[str, Any]]] = {}
            for given in accounts:
                for model, rows in rows_of(given).items():
                    everything.setdefault(model, []).extend(rows)
            for model, rows in everything.items():
                if shuffled:
                    shuffled(rows)
                if model is Link:
                    for row in rows:
                        row.pop("seq")
                        writing.execute(table_of(Link).insert().values(**row))
                else:
                    upsert(writing, model, rows)
        return self

    def decide(self, today: str, *, as_of: str | None = None) -> Decided:
        """Decide on a day, at noon."""
        day = date.fromisoformat(today)
        past = date.fromisoformat(as_of) if as_of else None
        return decide(self.config, self.database, now=_noon(today), today=day, as_of=past)

    def judge(self, given: Given, today: str, *, as_of: str | None = None) -> Said:
        """Decide on a day and give what is said of one account."""
        return self.said(given, self.decide(today, as_of=as_of).run)

    def said(self, given: Given, run: int | None = None) -> Said:
        """What a decision says of an account; the current one when no run is given."""
        with self.database.read() as reading:
            run = run or published_run(reading)
            rows = {
                model: as_dicts(
                    reading,
                    select(table).where(table.c.run == run, table.c.account_id == given.key),
                )
                for model in (Verdict, Reading, DesiredTask, DesiredField)
                for table in [table_of(model)]
            }
        return _said(rows, [one for one in self.episodes(given) if one["closed_on"] is None])

    def episodes(self, given: Given) -> list[dict[str, Any]]:
        """Every problem of an account, open or closed, oldest first."""
        table = table_of(Episode)
        mine = select(table).where(table.c.account_id == given.key)
        with self.database.read() as reading:
            return as_dicts(reading, mine.order_by(table.c.opened_on, table.c.cause))

    def rows(self, model: type[Any], *without: str) -> list[dict[str, Any]]:
        """All rows of a table in key order, without some columns."""
        table = table_of(model)
        with self.database.read() as reading:
            found = as_dicts(reading, select(table))
        kept = [{k: v for k, v in row.items() if k not in without} for row in found]
        return sorted(kept, key=repr)


def _said(
    rows: Mapping[type[Any], list[dict[str, Any]]], problems: Sequence[Mapping[str, Any]]
) -> Said:
    verdict = rows[Verdict][0] if rows[Verdict] else {}
    parts = json.loads(verdict.get("parts", "{}"))
    readings = {row["name"]: row for row in rows[Reading]}
    return Said(
        row=verdict,
        because=json.loads(verdict.get("reasons", "[]")),
        signals={name: one["holds"] for name, one in parts.get("signals", {}).items()},
        values={
            name: next((row[c] for c in ("number", "day", "words") if row[c] is not None), None)
            for name, row in readings.items()
        },
        points={one["measure"]: one["points"] for one in parts.get("inputs", ())},
        not_connected=parts.get("not_connected", []),
        evidence={name: json.loads(row["evidence"]) for name, row in readings.items()},
        since={name: row["since"] for name, row in readings.items() if row["since"]},
        problems=problems,
        tasks=sorted(rows[DesiredTask], key=lambda task: str(task["cause"])),
        fields={row["field"]: row["value"] for row in rows[DesiredField]},
    )


# --- fixtures -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def a_config(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Config]:
    """The team's config, with lines changed in hub.yaml and with own rules laid over."""

    @cache
    def make(rules_yaml: str = "", *changes: tuple[str, str]) -> Config:
        folder = tmp_path_factory.mktemp("team") / "config"
        shutil.copytree(ROOT / "config" / "templates", folder / "templates")
        hub = HUB_YAML
        for old, new in changes:
            assert old in hub
            hub = hub.replace(old, new)
        (folder / "hub.yaml").write_text(hub)
        for name in ("connections", "rules"):
            (folder / name).mkdir()
        for tool in ("crm", "desk"):
            (folder / "connections" / f"{tool}.yaml").write_text(f"connector: {tool}\n")
        (folder / "rules" / "own.yaml").write_text(rules_yaml or "{}\n")
        return load_config(folder, {}, PLUGINS)

    return make


class Shelf:
    """Databases in memory, emptied when they come back: making one costs more than a decision."""

    def __init__(self) -> None:
        self.free: list[Database] = []

    @contextmanager
    def database(self) -> Iterator[Database]:
        """An empty one, for as long as you need it."""
        database = self.free.pop() if self.free else open_database("sqlite://")
        yield database
        with database.write() as writing:
            for table in SQLModel.metadata.sorted_tables:
                writing.execute(table.delete())
        self.free.append(database)


@pytest.fixture(scope="session")
def shelf() -> Iterator[Shelf]:
    """Empty databases in memory; decisions on one config share their compiled SQL."""
    made, known = Shelf(), {}

    def registry_once(config: Config) -> Registry:
        if id(config) not in known:
            known[id(config)] = config, registry(config)
        return known[id(config)][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.decide.registry", registry_once)
        yield made
    for database in made.free:
        database.close()


@pytest.fixture
def a_hub(a_config: Callable[..., Config], shelf: Shelf) -> Iterator[Callable[..., Hub]]:
    """Makes a hub: with which config, and in which database (else an empty one in memory)."""
    with ExitStack() as stack:

        def make(config: Config | None = None, url: str | None = None) -> Hub:
            opened = closing(open_database(url)) if url else shelf.database()
            return Hub(stack.enter_context(opened), config or a_config())

        yield make


@pytest.fixture(scope="session")
def a_hub_on(a_config: Callable[..., Config]) -> Callable[[Database], Hub]:
    """Makes a hub with the shipped rules in a database that you opened."""
    return lambda database: Hub(database, a_config())


@pytest.fixture
def hub(a_hub: Callable[..., Hub]) -> Hub:
    """An empty hub with the shipped rules."""
    return a_hub()


@pytest.fixture(scope="session")
def an_account() -> Callable[..., Given]:
    """Makes a customer from facts: days of logins, tickets and so on; other names are fields."""
    return _account


@pytest.fixture(scope="session")
def a_bill() -> type[Bill]:
    """Makes a bill with the days on which its payment failed."""
    return Bill


@pytest.fixture(scope="session")
def a_contract() -> type[Contract]:
    """Makes a subscription."""
    return Contract


@pytest.fixture(scope="session")
def covered() -> type[Covered]:
    """Makes the coverage of one source."""
    return Covered


@pytest.fixture(scope="session")
def neighbour() -> Given:
    """Another customer, at peace, with rows of every kind: no source counts as not connected."""
    weekly = [str(date(2025, 12, 1) + timedelta(days=7 * week)) for week in range(60)]
    return _account(
        "Neighbour",
        logins=weekly,
        features=weekly,
        people=[(weekly[0], "ann")],
        tickets=["2025-01-01"],
        bills=[Bill("1", settled="2026-01-01")],
        renewal_on="2027-12-31",
    )


@pytest.fixture(scope="session")
def judge(a_config: Callable[..., Config], neighbour: Given, shelf: Shelf) -> Callable[..., Said]:
    """Judges one account on a day in a hub of its own, with the neighbour or alone."""

    def verdict(
        given: Given, today: str, *, config: Config | None = None, alone: bool = False
    ) -> Said:
        with shelf.database() as database:
            hub = Hub(database, config or a_config())
            hub.knows(given) if alone else hub.knows(given, neighbour)
            return hub.judge(given, today)

    return verdict


@pytest.fixture(scope="session")
def judge_each(
    a_config: Callable[..., Config], neighbour: Given, shelf: Shelf
) -> Callable[[Mapping[Any, Given], str], dict[Any, Said]]:
    """Judges several cases of one account on a day, each by itself, in one decision."""

    def verdicts(cases: Mapping[Any, Given], today: str) -> dict[Any, Said]:
        own = {
            case: one.but(key=f"acc_{n}", records=[("crm", "companies", str(n), 1.0)])
            for n, (case, one) in enumerate(cases.items())
        }
        with shelf.database() as database:
            hub = Hub(database, a_config()).knows(*own.values(), neighbour)
            run = hub.decide(today).run
            return {case: hub.said(one, run) for case, one in own.items()}

    return verdicts
