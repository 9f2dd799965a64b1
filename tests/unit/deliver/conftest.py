"""A tool in memory, and a hub on either database whose decisions a test writes down itself."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from hub import (
    Checked,
    CloseTask,
    Connector,
    CreateTask,
    DefineField,
    Env,
    HubError,
    Observed,
    Receipt,
    SetFields,
    Settings,
    WriteRefused,
    WriteUnknown,
    finds,
    observes,
    writes,
)
from hub.config import Config, Connection
from hub.configfiles import Limits
from hub.deliver import Applied, Delivered, PlanMade, apply_plan, deliver, make_plan
from hub.store import Database, as_dicts, open_database, table_of, upsert
from hub.store.progress import begin_run
from hub.store.tables import (
    ConnectionState,
    Decision,
    DesiredField,
    DesiredTask,
    HubAccount,
    LedgerEntry,
    Plan,
    PlanItem,
    Published,
    Run,
)

DAY = date(2026, 3, 4)
LONG_AGO = datetime(2025, 6, 1, tzinfo=UTC)
LOST = WriteUnknown("the answer was lost")


class Kill(BaseException):
    """The process ends here."""


@dataclass
class Trouble:
    """What happens at a write: `error` is raised, after the tool has `applied` it or before."""

    error: BaseException
    applied: bool = False


@dataclass
class Tool:
    """A vendor's account: records with the hub's fields, tasks, and the writes that came in.

    `troubles` are by the number of the write, the first is 1; a write that was refused counts.
    `people` are called before a record is read for the n-th time: what somebody does meanwhile.
    """

    account: str = "T1"
    needs_fields: bool = True
    fields: dict[str, str] = field(default_factory=dict)
    records: dict[str, dict[str, str | None]] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_key: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    troubles: dict[int, Trouble] = field(default_factory=dict)
    refuses: dict[str, HubError] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    reads: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, BaseException] = field(default_factory=dict)
    minted: int = 0
    met_trouble: threading.Event = field(default_factory=threading.Event)
    waits_for: Tool | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def write(self, what: str, apply: Callable[[], None]) -> None:
        """One write of a client, with whatever trouble it meets."""
        if self.waits_for is not None:
            self.waits_for.met_trouble.wait(10)
        with self.lock:
            self.writes.append(what)
            trouble = self.troubles.get(len(self.writes))
            if trouble is not None:
                self.met_trouble.set()
            if trouble is not None and not trouble.applied:
                raise trouble.error
            target = what.split()[1]
            if target in self.refuses:
                raise self.refuses[target]
            apply()
            if trouble is not None:
                raise trouble.error

    def read(self, what: str) -> None:
        """One read of a client."""
        self.reads[what] += 1
        if what in self.unreadable:
            raise self.unreadable[what]

    def open_tasks(self, record: str | None = None) -> list[str]:
        """The keys of the tasks that are not done."""
        return sorted(
            task["key"]
            for task in self.tasks.values()
            if task["status"] == "open" and record in (None, task["record"])
        )

    def task(self, key: str) -> dict[str, Any]:
        """The one task with this key."""
        [found] = [task for task in self.tasks.values() if task["key"] == key]
        return found

    def add_task(self, record: str, key: str, title: str = "Call", status: str = "open") -> str:
        """A task at a record."""
        self.minted += 1
        task = {"id": f"t{self.minted}", "record": record, "key": key, "title": title}
        self.tasks[task["id"]] = {**task, "status": status, "notes": []}
        return task["id"]


class ToyFields(Connector[Settings]):
    """Writes status fields one by one, closes tasks, and reads everything back."""

    name = "toy"
    title = "Toy"
    tool: ClassVar[Tool]

    def check(self) -> Checked:
        self.tool.read("account")
        return Checked(account=self.tool.account, says="signed in")

    @writes(DefineField, once="upsert")
    def define_field(self, action: DefineField) -> Receipt:
        name = action.field.name
        options = ",".join(option.value for option in action.field.options)

        def apply() -> None:
            self.tool.fields[name] = f"{action.field.kind} {options}"

        self.tool.write(f"define {name}", apply)
        return Receipt(id=f"{action.object}.{name}")

    @writes(SetFields, once="upsert")
    def set_fields(self, action: SetFields) -> Receipt:
        return self.set_one(action)

    def set_one(self, action: SetFields) -> Receipt:
        record = action.target.id

        def apply() -> None:
            if record not in self.tool.records:
                raise WriteRefused(f"there is no company {record}", code="TARGET_GONE")
            if self.tool.needs_fields and not action.values.keys() <= self.tool.fields.keys():
                raise WriteRefused("there is no such field")
            self.tool.records[record].update(action.values)

        self.tool.write(f"set {record}", apply)
        return Receipt(id=record)

    @writes(CloseTask, once="upsert")
    def close_task(self, action: CloseTask) -> Receipt:
        def apply() -> None:
            task = self.tool.tasks[action.target.id]
            task["status"] = "done"
            if action.note not in task["notes"]:
                task["notes"].append(action.note)

        self.tool.write(f"close {action.target.id}", apply)
        return Receipt(id=action.target.id)

    @observes("companies")
    def observe_companies(self, ids: Sequence[str]) -> Iterator[Observed]:
        self.tool.read("companies")
        for one in ids:
            if one in self.tool.merged:
                yield Observed(one, {}, exists=False, merged_into=self.tool.merged[one])
            elif one in self.tool.records:
                yield Observed(one, dict(self.tool.records[one]))

    @observes("tasks")
    def observe_tasks(self, ids: Sequence[str]) -> Iterator[Observed]:
        self.tool.read("tasks")
        for one in ids:
            if one in self.tool.tasks:
                yield Observed(one, {"status": self.tool.tasks[one]["status"]})

    @observes("fields")
    def observe_fields(self, ids: Sequence[str]) -> Iterator[Observed]:
        self.tool.read("fields")
        for one in ids:
            name = one.partition(".")[2]
            if not self.tool.needs_fields:
                yield Observed(one, {})
            elif name in self.tool.fields:
                kind, _, options = self.tool.fields[name].partition(" ")
                yield Observed(one, {"kind": kind, "options": options or None})


class ToyTool(ToyFields):
    """Makes tasks that are found by their key."""

    @writes(CreateTask, once="lookup")
    def create_task(self, action: CreateTask) -> Receipt:
        return self.made(action)

    def made(self, action: CreateTask) -> Receipt:
        made: list[str] = []

        def apply() -> None:
            if action.target.id not in self.tool.records:
                raise WriteRefused(f"there is no company {action.target.id}", code="TARGET_GONE")
            made.append(self.tool.add_task(action.target.id, action.key, action.title))

        self.tool.write(f"create {action.key}", apply)
        return Receipt(id=made[0], url=f"http://toy.example/{made[0]}")

    @finds(CreateTask)
    def find_task(self, action: CreateTask) -> Receipt | None:
        self.tool.read(f"find {action.key}")
        self.tool.read("find")
        target = action.target.id
        near = [t for t in self.tool.tasks.values() if target in (t["record"], t.get("also"))]
        cause = action.key.partition("-")[0] + "-"
        for task in near:
            if task["key"] == action.key:
                return Receipt(id=task["id"])
        for task in near:
            if task["key"].startswith(cause) and task["status"] == "open":
                return Receipt(id=task["id"])
        return None


class ToyByKey(ToyFields):
    """Its tool honours an idempotency key for a day, and shows no task by its key."""

    @writes(CreateTask, once="key", key_lives=timedelta(days=1))
    def create_task(self, action: CreateTask) -> Receipt:
        known = self.tool.by_key.get(action.key)
        if known is not None and self.now() - known[0] < timedelta(days=1):
            self.tool.write(f"create {action.key}", lambda: None)
            return Receipt(id=known[1])

        def apply() -> None:
            made = self.tool.add_task(action.target.id, action.key, action.title)
            self.tool.by_key[action.key] = (self.now(), made)

        self.tool.write(f"create {action.key}", apply)
        return Receipt(id=self.tool.by_key[action.key][1])


Outcome = Receipt | WriteRefused | None


class ToyBatch(ToyTool):
    """Sets up to a hundred records in one call; `answers` changes what is told of them."""

    answers: ClassVar[Callable[[list[Outcome]], list[Outcome]]] = staticmethod(lambda told: told)

    @writes(SetFields, once="upsert", batch=100)
    def set_fields(self, actions: Sequence[SetFields]) -> Iterator[Outcome]:  # type: ignore[override]
        told: list[Outcome] = []
        for action in actions:
            try:
                told.append(self.set_one(action))
            except WriteRefused as refused:
                told.append(refused)
        yield from type(self).answers(told)


class ToyStrict(ToyTool):
    """Sets many records in one call, all or none: one bad record refuses them all."""

    @writes(SetFields, once="upsert", batch=100)
    def set_fields(self, actions: Sequence[SetFields]) -> Iterator[Outcome]:  # type: ignore[override]
        for action in actions:
            if action.target.id in self.tool.refuses:
                self.tool.writes.append(f"refused {len(actions)}")
                raise WriteRefused("one of the records is not valid")
        for action in actions:
            yield self.set_one(action)


class Clock:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.passed = 0.0

    @property
    def at(self) -> datetime:
        return datetime(2026, 3, 4, 9, tzinfo=UTC) + timedelta(seconds=self.passed)

    def sleep(self, seconds: float) -> None:
        self.passed += seconds

    def env(self) -> Env:
        return Env(
            clock=lambda: self.at,
            monotonic=lambda: self.passed,
            sleep=self.sleep,
            random=Random(7),
        )


def status(word: str, since: str = "2026-03-01", reason: str = "It is so.") -> dict[str, str]:
    """The three fields as a decision wants them."""
    return {"hub_health": word, "hub_health_since": since, "hub_health_reason": reason}


def task(
    key: str, record: str = "1", *, owner: str = "mia", priority: str = "medium", **more: Any
) -> dict[str, Any]:
    """A task as a decision wants it."""
    return {
        "key": key,
        "account_id": f"a{record}",
        "cause": key.partition("-")[0],
        "opened_on": DAY,
        "connection": "crm",
        "vendor": "toy",
        "vendor_account": "T1",
        "object": "companies",
        "record_id": record,
        "owner": owner,
        "owner_id": f"o-{owner}",
        "title": f"Call about {key}",
        "body": f"How the hub knows: hub explain {key}",
        "due": datetime(2026, 3, 9, 16, tzinfo=UTC),
        "priority": priority,
        "why": "The payment failed.",
        "evidence": "[]",
        "not_written": None,
    } | more


class Hub:
    """The hub's database and config, and the decisions that a test makes in its place."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = url
        self.database: Database = open_database(url)
        self.clock = clock
        self.tools: dict[str, Tool] = {}
        self.config = Config(
            directory=Path("config"),
            zone=ZoneInfo("Europe/Berlin"),
            currency="EUR",
            digest="d",
            limits=Limits(stop_share_of_customers=100),
        )

    @property
    def env(self) -> Env:
        return self.clock.env()

    def connect(
        self,
        name: str = "crm",
        kind: type[ToyFields] = ToyTool,
        *,
        vendor: str = "toy",
        mode: Any = "auto",
        tool: Tool | None = None,
    ) -> Tool:
        """A connection to a tool of its own (or `tool`)."""
        made = tool or Tool()
        connector = type(f"{kind.__name__}Of{name}", (kind,), {"tool": made, "name": vendor})
        connection = Connection(
            name=name, connector=vendor, type=connector, settings=Settings(), deliver=mode
        )
        self.config = replace(
            self.config, connections={**self.config.connections, name: connection}
        )
        state = {"connection": name, "vendor": vendor, "vendor_account": made.account}
        self.store(ConnectionState, state)
        self.tools[name] = made
        return made

    def disconnect(self, name: str) -> None:
        """Take a connection out of the config."""
        left = {key: one for key, one in self.config.connections.items() if key != name}
        self.config = replace(self.config, connections=left)

    def mode(self, name: str, mode: Any) -> None:
        """Change how a connection may be written to."""
        changed = replace(self.config.connections[name], deliver=mode)
        self.config = replace(self.config, connections={**self.config.connections, name: changed})

    def limit(self, **numbers: Any) -> None:
        """Other limits than the defaults."""
        self.config = replace(
            self.config, limits=Limits(**{"stop_share_of_customers": 100, **numbers})
        )

    def decide(
        self,
        fields: Mapping[str, Mapping[str, str | None]] | None = None,
        tasks: Sequence[Mapping[str, Any]] = (),
        *,
        day: date = DAY,
        connections: Sequence[str] = ("crm",),
    ) -> int:
        """Publish a decision: the wanted fields by record, and the wanted tasks."""
        wanted = fields or {}
        run = begin_run(self.database, "decide", now=self.clock.at)
        rows = [row for name in connections for row in self._fields(run, name, wanted)]
        accounts = {f"a{record}" for record in wanted} | {one["account_id"] for one in tasks}
        for row in rows:
            self.store(DesiredField, row)
        for one in tasks:
            self.store(DesiredTask, {**one, "run": run})
        for account in sorted(accounts):
            self.store(HubAccount, _account(account))
        judged = {"run": run, "as_of": day, "kind": "current", "judged_at": self.clock.at}
        self.store(Decision, judged)
        self.store(Published, {"name": "current", "run": run})
        return run

    def add_fields(
        self, fields: Mapping[str, Mapping[str, str | None]], *, connection: str
    ) -> None:
        """Let the current decision want these as well."""
        run = max(row["run"] for row in self.rows(Decision))
        for row in self._fields(run, connection, fields):
            self.store(DesiredField, row)

    def store(self, model: type[SQLModel], row: Mapping[str, Any]) -> None:
        """One row, with the defaults of what it leaves out."""
        with self.database.write() as writing:
            upsert(writing, model, [model(**row).model_dump()])

    def _fields(
        self, run: int, connection: str, fields: Mapping[str, Mapping[str, str | None]]
    ) -> list[dict[str, Any]]:
        return [
            {
                **self._key(connection, record),
                "run": run,
                "field": name,
                "account_id": f"a{record}",
                "connection": connection,
                "value": value,
                "why": "It is so.",
            }
            for record, values in fields.items()
            for name, value in values.items()
        ]

    def _key(self, connection: str, record: str) -> dict[str, str]:
        return {
            "vendor": self.config.connections[connection].connector,
            "vendor_account": self.tools[connection].account,
            "object": "companies",
            "record_id": record,
        }

    def deliver(self) -> Delivered:
        return deliver(self.config, self.database, self.env)

    def kill_during_deliver(self) -> None:
        """Deliver until the process ends."""
        with pytest.raises(Kill):
            self.deliver()

    def kill_at_database_write(self, number: int) -> None:
        """Plan until the process ends just before this transaction."""
        write, count = self.database.write, itertools.count(1)

        @contextmanager
        def counted() -> Iterator[Any]:
            if next(count) == number:
                raise Kill
            with write() as writing:
                yield writing

        self.database.write = counted  # type: ignore[method-assign]
        with pytest.raises(Kill):
            self.plan()
        self.database.write = write  # type: ignore[method-assign]

    def interrupted_deliver(self) -> None:
        """Deliver until somebody presses Ctrl-C."""
        with pytest.raises(KeyboardInterrupt):
            self.deliver()

    def merge_accounts(self, account: str, *, into: str) -> None:
        """Two accounts are one from now on."""
        self.store(HubAccount, _account(account) | {"alias_of": into})

    def failed_deliver(self) -> HubError:
        """Why a run could not be done."""
        with pytest.raises(HubError) as caught:
            self.deliver()
        return caught.value

    def failed_apply(self, plan: int) -> HubError:
        """Why a plan could not be applied."""
        with pytest.raises(HubError) as caught:
            self.apply(plan)
        return caught.value

    def runs(self, verb: str) -> list[dict[str, Any]]:
        return [row for row in self.rows(Run) if row["verb"] == verb]

    def day(self, number: int) -> date:
        """A day of March."""
        return date(2026, 3, number)

    def plan(self) -> PlanMade:
        return make_plan(self.config, self.database, self.env)

    def apply(self, plan: int) -> Applied:
        return apply_plan(self.config, self.database, self.env, plan, actor="a person")

    def rows(self, model: Any) -> list[dict[str, Any]]:
        """All rows of a table, in the order of its key."""
        table = table_of(model)
        with self.database.read() as reading:
            return as_dicts(reading, select(table).order_by(*table.primary_key.columns))

    def ledger(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What the ledger holds, oldest first."""
        return [row for row in self.rows(LedgerEntry) if kind in (None, row["kind"])]

    def states(self, kind: str | None = None) -> list[str]:
        return [row["state"] for row in self.ledger(kind)]

    def items(self, plan: int) -> list[dict[str, Any]]:
        return [row for row in self.rows(PlanItem) if row["plan"] == plan]

    def changes(self, plan: int) -> list[tuple[str, str, Any]]:
        """What a plan would write: kind, record and new content."""
        return [(i["kind"], i["record_id"], json.loads(i["new"])) for i in self.items(plan)]

    def written(self) -> list[tuple[str, str, Any]]:
        """What the ledger says was done: kind, record and new content."""
        done = [row for row in self.ledger() if row["state"] == "done"]
        return [(row["kind"], row["record_id"], json.loads(row["after"])) for row in done]

    def plan_state(self, plan: int) -> str:
        [state] = [row["state"] for row in self.rows(Plan) if row["id"] == plan]
        return str(state)


def _account(account: str) -> dict[str, Any]:
    return {
        "id": account, "minted_at": LONG_AGO, "minted_run": 1, "name": account,
        "lifecycle": "customer",
    }  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(database_url: str, clock: Clock) -> Iterator[Hub]:
    """A hub without connections, on either database."""
    made = Hub(database_url, clock)
    yield made
    made.database.close()


@pytest.fixture
def crm(hub: Hub) -> Tool:
    """A tool with nine companies that the hub may write to on its own."""
    tool = hub.connect()
    tool.records = {str(number): {} for number in range(1, 10)}
    return tool


@pytest.fixture(scope="session")
def kinds() -> type[Kinds]:
    """The kinds of tools there are."""
    return Kinds


class Kinds:
    plain, by_key, batch, strict = ToyTool, ToyByKey, ToyBatch, ToyStrict


@pytest.fixture(scope="session")
def killed() -> Callable[..., Trouble]:
    """The end of the process at a write, after it arrived or before."""

    def trouble(*, arrived: bool) -> Trouble:
        return Trouble(Kill(), arrived)

    return trouble


@pytest.fixture(scope="session")
def told_to_stop() -> Trouble:
    """Somebody presses Ctrl-C just before a write."""
    return Trouble(KeyboardInterrupt())


@pytest.fixture(scope="session")
def lost() -> Callable[..., Trouble]:
    """A write whose answer is lost, after it arrived or before."""

    def trouble(*, arrived: bool) -> Trouble:
        return Trouble(LOST, arrived)

    return trouble


@pytest.fixture(scope="session")
def says() -> Callable[..., dict[str, str]]:
    """The three fields as a decision wants them."""
    return status


@pytest.fixture(scope="session")
def a_task() -> Callable[..., dict[str, Any]]:
    """A task as a decision wants it."""
    return task
