"""The plan: what must be written so that every tool says what the current decision says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import func, select, update

from ..config import Config, Connection
from ..connector import Connector, Observed
from ..decide import published_run
from ..env import Env
from ..errors import HubError, UsageError
from ..model import CloseTask, CreateTask, DefineField, FieldSpec, RecordKey, SetFields
from ..store import Database, as_dicts, canonical, table_of, upsert
from ..store.tables import (
    Decision,
    DesiredField,
    DesiredTask,
    LedgerEntry,
    Plan,
    PlanItem,
    Verdict,
)
from ..vocabulary import field_specs
from .ledger import digest_of, keys_in, tasks_done
from .limits import split_by_owner, why_stopped
from .observe import keep_observed, observe

CLOSED = "The reason for this task is gone, so the hub closed it."


@dataclass
class PlanMade:
    """A stored plan: its number, how many items, why it stopped, and what is listed beside it."""

    plan_id: int
    items: int
    stopped: str | None = None
    beside: dict[str, Any] = field(default_factory=dict)
    problems: list[tuple[str, HubError]] = field(default_factory=list)


@dataclass(frozen=True)
class _Desired:
    """The current decision, as far as one connection can carry it."""

    run: int
    as_of: date
    fields: Mapping[str, list[dict[str, Any]]]
    tasks: list[dict[str, Any]]
    customers: int


def make_plan(
    config: Config,
    database: Database,
    env: Env,
    *,
    progress: Callable[[str, int], None] = lambda connection, items: None,
) -> PlanMade:
    """Read the targets back, compare, and store what differs.

    Raises UsageError before the first decision. A connection that cannot be read back has no items
    and is listed among the problems; the others go on.
    """
    with database.read() as reading:
        desired = _desired(reading)
        planner = _Planner(config, database, env, desired, reading)
    made = planner.make(progress)
    return made


def _desired(reading: SqlConnection) -> _Desired:
    run = published_run(reading)
    if run is None:
        raise UsageError("nothing has been decided yet", do="Run `hub decide` first")
    fields, tasks = table_of(DesiredField), table_of(DesiredTask)
    by_connection: dict[str, list[dict[str, Any]]] = {}
    for row in as_dicts(reading, select(fields).where(fields.c.run == run)):
        by_connection.setdefault(row["connection"], []).append(row)
    decisions, verdicts = table_of(Decision), table_of(Verdict)
    return _Desired(
        run=run,
        as_of=reading.execute(select(decisions.c.as_of).where(decisions.c.run == run)).scalar_one(),
        fields=by_connection,
        tasks=as_dicts(reading, select(tasks).where(tasks.c.run == run).order_by(tasks.c.key)),
        customers=reading.execute(
            select(func.count()).select_from(verdicts).where(verdicts.c.run == run)
        ).scalar_one(),
    )


class _Planner:
    """Makes one plan, connection by connection."""

    def __init__(
        self,
        config: Config,
        database: Database,
        env: Env,
        desired: _Desired,
        reading: SqlConnection,
    ) -> None:
        self.config, self.database, self.env, self.desired = config, database, env, desired
        self.specs = field_specs(config.statuses)
        self.standing = tasks_done(reading)
        open_keys = [task["key"] for task in desired.tasks]
        self.pending = keys_in(reading, open_keys, ("intended", "sent", "unknown"))
        self.today = self._created_today(reading)
        self.items: list[dict[str, Any]] = []
        self.problems: list[tuple[str, HubError]] = []
        self.first_fills = 0
        self.changed_targets = 0
        self.changed_customers: set[str] = set()

    def make(self, progress: Callable[[str, int], None]) -> PlanMade:
        wanted, waiting, not_written = self._tasks()
        for name in self._connections(wanted):
            try:
                self._plan_connection(name, [t for t in wanted if t["connection"] == name])
            except HubError as problem:
                self.problems.append((name, problem))
            progress(name, len(self.items))
        stopped = why_stopped(
            wanted=[*wanted, *waiting],
            changed_targets=self.changed_targets,
            changed_customers=len(self.changed_customers),
            customers=self.desired.customers,
            limits=self.config.limits,
        )
        beside = {
            "waiting": [_listed(task) for task in waiting],
            "not_written": [{**_listed(t), "why_not": t["not_written"]} for t in not_written],
            "first_fills": self.first_fills,
            "changed": self.changed_targets,
        }
        number = self._store(stopped, beside)
        return PlanMade(number, len(self.items), stopped, beside, self.problems)

    def _connections(self, wanted: Sequence[Mapping[str, Any]]) -> list[str]:
        named = {*self.desired.fields, *(task["connection"] for task in wanted)}
        named |= {row["connection"] for row in self.standing.values()}
        return [name for name in self.config.connections if name in named]

    # --- tasks --------------------------------------------------------------------------------

    def _tasks(
        self,
    ) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """(to create today, waiting for another day, not to be written at all)."""
        missing: list[Mapping[str, Any]] = [
            task for task in self.desired.tasks if task["key"] not in self.standing
        ]
        not_written = [task for task in missing if task["not_written"] is not None]
        wanted = [
            task
            for task in missing
            if task["not_written"] is None and task["key"] not in self.pending
        ]
        today, waiting = split_by_owner(wanted, self.today, self.config.limits)
        return today, waiting, not_written

    def _created_today(self, reading: SqlConnection) -> Counter[str]:
        """How many tasks each owner got on the decision's day already."""
        ledger = table_of(LedgerEntry)
        owners = {task["key"]: task["owner"] for task in self.desired.tasks}
        created: Counter[str] = Counter()
        for key, at in reading.execute(
            select(ledger.c.key, ledger.c.intended_at).where(
                ledger.c.kind == "create", ledger.c.state.in_(("done", "sent", "unknown"))
            )
        ):
            if key in owners and at.astimezone(self.config.zone).date() == self.desired.as_of:
                created[owners[key] or ""] += 1
        return created

    # --- one connection -----------------------------------------------------------------------

    def _plan_connection(self, name: str, tasks: Sequence[Mapping[str, Any]]) -> None:
        connection = self.config.connections[name]
        connector = connection.build(self.env)
        try:
            fields = self.desired.fields.get(name, [])
            defined = self._plan_definitions(connection, connector, fields)
            self._plan_changes(connection, connector, fields, defined)
            for task in tasks:
                self._add_task(connection, task)
            self._plan_closes(connection, connector)
        finally:
            connector.close()

    def _plan_definitions(
        self, connection: Connection, connector: Connector[Any], fields: Sequence[Mapping[str, Any]]
    ) -> dict[tuple[str, str], int]:
        """An item for every field that is missing in the tool, or lacks one of the hub's words."""
        places = {(row["vendor_account"], row["object"], row["field"]) for row in fields}
        if not places or DefineField not in connector.writers:
            return {}
        ids = sorted({f"{kind}.{name}" for _, kind, name in places})
        there = observe(connector, "fields", ids)
        planned: dict[tuple[str, str], int] = {}
        for vendor_account, kind, name in sorted(places):
            spec = self.specs[name]
            found = there[f"{kind}.{name}"]
            if _is_defined(found, spec):
                continue
            target = RecordKey(
                vendor=connector.name, vendor_account=vendor_account, object=kind, id=name
            )
            action = DefineField(object=kind, field=spec)
            why = f"the field {spec.label} must be there to carry the status"
            old = dict(found.values) if found.exists else None
            seq = self._add(connection, "define", target, action, old, spec.label, why)
            planned[(kind, name)] = seq
        return planned

    def _plan_changes(
        self,
        connection: Connection,
        connector: Connector[Any],
        fields: Sequence[Mapping[str, Any]],
        defined: Mapping[tuple[str, str], int],
    ) -> None:
        """One item for every record whose hub fields say something else."""
        by_record: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        for row in fields:
            place = (row["vendor_account"], row["object"])
            by_record.setdefault(place, {}).setdefault(row["record_id"], {})[row["field"]] = row
        for (vendor_account, kind), records in sorted(by_record.items()):
            there = observe(connector, kind, sorted(records))
            tool = (connector.name, vendor_account, kind)
            keep_observed(self.database, tool, there, now=self.env.now())
            for record_id in sorted(records):
                target = RecordKey(
                    vendor=connector.name, vendor_account=vendor_account, object=kind, id=record_id
                )
                self._plan_record(connection, target, records[record_id], there[record_id], defined)

    def _plan_record(
        self,
        connection: Connection,
        target: RecordKey,
        wanted: Mapping[str, Mapping[str, Any]],
        there: Observed,
        defined: Mapping[tuple[str, str], int],
    ) -> None:
        if not there.exists:
            return
        old = {name: there.values.get(name) for name in sorted(wanted)}
        new = {name: wanted[name]["value"] for name in sorted(wanted)}
        changed = {name: value for name, value in new.items() if old[name] != value}
        if not changed:
            return
        first = next(iter(wanted.values()))
        if all(value is None for value in old.values()):
            self.first_fills += 1
        else:
            self.changed_targets += 1
            if old["hub_health"] != new["hub_health"]:
                self.changed_customers.add(first["account_id"])
        needs = [seq for name in changed if (seq := defined.get((target.object, name)))]
        self._add(
            connection,
            "change",
            target,
            SetFields(target=target, values=changed),
            {name: old[name] for name in changed},
            changed,
            first["why"],
            account_id=first["account_id"],
            seen=digest_of({name: old[name] for name in changed}),
            depends_on=max(needs, default=None),
        )

    def _add_task(self, connection: Connection, task: Mapping[str, Any]) -> None:
        target = RecordKey(
            vendor=task["vendor"],
            vendor_account=task["vendor_account"],
            object=task["object"],
            id=task["record_id"],
        )
        action = CreateTask(
            target=target,
            key=task["key"],
            title=task["title"],
            body=task["body"],
            due=task["due"],
            priority=task["priority"],
            owner_id=task["owner_id"],
        )
        self._add(
            connection,
            "create",
            target,
            action,
            None,
            {"title": task["title"], "owner": task["owner"], "due": task["due"].isoformat()},
            task["why"],
            account_id=task["account_id"],
            evidence=task["evidence"],
        )

    def _plan_closes(self, connection: Connection, connector: Connector[Any]) -> None:
        """Close the tasks whose problem is over and which a person has not closed."""
        wanted = {task["key"] for task in self.desired.tasks}
        over = {
            row["receipt_id"]: row
            for key, row in self.standing.items()
            if key not in wanted and row["connection"] == connection.name and row["receipt_id"]
        }
        if not over or CloseTask not in connector.writers:
            return
        there = observe(connector, "tasks", sorted(over))
        for task_id, row in sorted(over.items()):
            found = there[task_id]
            if not found.exists or found.values.get("status") != "open":
                continue
            target = RecordKey(
                vendor=row["vendor"],
                vendor_account=row["vendor_account"],
                object="tasks",
                id=task_id,
            )
            self._add(
                connection,
                "close",
                target,
                CloseTask(target=target, note=CLOSED),
                {"status": "open"},
                {"status": "done", "task": row["key"]},
                CLOSED,
                account_id=row["account_id"],
                seen=digest_of({"status": "open"}),
            )

    # --- storing ------------------------------------------------------------------------------

    def _add(
        self,
        connection: Connection,
        kind: str,
        target: RecordKey,
        action: Any,
        old: Any,
        new: Any,
        why: str,
        *,
        account_id: str | None = None,
        evidence: str = "[]",
        seen: str | None = None,
        depends_on: int | None = None,
    ) -> int:
        seq = len(self.items) + 1
        self.items.append(
            {
                "seq": seq,
                "kind": kind,
                "connection": connection.name,
                "vendor": target.vendor,
                "vendor_account": target.vendor_account,
                "object": target.object,
                "record_id": target.id,
                "account_id": account_id,
                "action": action.model_dump_json(),
                "old": canonical(old),
                "new": canonical(new),
                "why": why,
                "evidence": evidence,
                "seen": seen,
                "depends_on": depends_on,
            }
        )
        return seq

    def _store(self, stopped: str | None, beside: Mapping[str, Any]) -> int:
        """Store the plan; an earlier open one is replaced by it."""
        plans = table_of(Plan)
        with self.database.write() as writing:
            writing.execute(update(plans).where(plans.c.state == "open").values(state="replaced"))
            made = writing.execute(plans.insert().values(self._plan_row(stopped, beside)))
            key: Any = made.inserted_primary_key
            number = int(key[0])
            upsert(writing, PlanItem, [{"plan": number, **item} for item in self.items])
        return number

    def _plan_row(self, stopped: str | None, beside: Mapping[str, Any]) -> dict[str, Any]:
        now: datetime = self.env.now()
        return {
            "decision": self.desired.run,
            "as_of": self.desired.as_of,
            "made_at": now,
            "state": "open" if self.items else "applied",
            "stopped": stopped,
            "beside": canonical(dict(beside)),
            "applied_at": None if self.items else now,
        }


def _is_defined(found: Observed, spec: FieldSpec) -> bool:
    """Whether the tool has the field with all of the hub's words.

    A tool that answers without a kind needs no definition (metadata keys).
    """
    if not found.exists:
        return False
    kind = found.values.get("kind")
    if kind is None:
        return True
    there = set((found.values.get("options") or "").split(","))
    return kind == spec.kind and {option.value for option in spec.options} <= there


def _listed(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": task["key"],
        "account_id": task["account_id"],
        "title": task["title"],
        "owner": task["owner"],
        "cause": task["cause"],
    }
