"""The plan: what must be written so that every tool says what the current decision says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..config import Config
from ..connector import Observed, Receipt
from ..env import Env
from ..errors import HubError, StoreError
from ..model import CloseTask, CreateTask, DefineField, RecordKey, SetFields
from ..store import Database
from ..vocabulary import field_specs
from .items import Item, digest_of, is_defined, target_gone
from .ledger import FOUND, Hands, Row, Standing, Tasks, entry
from .limits import Owner, Task, by_day, is_first_fill, why_stopped
from .storing import store_plan
from .tools import NOT_SENT, Progress, Tool, Tools, homes
from .wanted import Fields, Wanted


@dataclass
class PlanMade:
    """A stored plan: its number, how many items, why it stopped, and what is listed beside it."""

    plan_id: int
    items: int
    stopped: str | None = None
    beside: dict[str, Any] = field(default_factory=dict)
    problems: list[tuple[str, HubError]] = field(default_factory=list)


class Planner:
    """Makes one plan, connection by connection: fields, then new tasks, then tasks to close."""

    def __init__(
        self, config: Config, database: Database, env: Env, tools: Tools, progress: Progress
    ) -> None:
        self.config, self.database, self.env, self.tools = config, database, env, tools
        self.progress = progress
        self.specs = field_specs(config.statuses)
        with database.read() as reading:
            self.wanted = Wanted.load(reading)
            self.tasks = Tasks.load(reading, homes(reading, config))
        self.items: list[Item] = []
        self.left_to_people: set[int] = set()
        self.new_tasks: list[Task] = []
        self.noticed: list[Row] = []
        self.kept_ids = self._still_wanted()
        self.listed: dict[str, list[dict[str, Any]]] = {
            name: []
            for name in (
                "waiting", "not_written", "unsettled", "gone", "adopted", "moved",
                "changed_by_people",
            )
        }  # fmt: skip
        self.problems: list[tuple[str, HubError]] = []

    def make(self) -> PlanMade:
        """Read back, compare, store what differs."""
        self.listed["not_written"] = [
            {**_listed(task), "why_not": task["not_written"]}
            for task in self.wanted.tasks
            if task["not_written"] is not None and task["key"] not in self.tasks.standing
        ]
        for name in self._connections():
            before = len(self.items)
            try:
                self._plan_connection(self.tools.open(name))
            except StoreError:
                raise
            except HubError as problem:
                del self.items[before:]
                self.problems.append((name, problem))
            self.progress(name, len(self.items) - before)
        return self._stored()

    def _connections(self) -> list[str]:
        named = {*self.wanted.fields, *(task["connection"] for task in self.wanted.tasks)}
        named |= {one.row["connection"] for one in self._perhaps_over()}
        return [name for name in self.config.connections if name in named]

    def _plan_connection(self, tool: Tool) -> None:
        before = len(self.items)
        for kind, records in sorted(self.wanted.fields.get(tool.name, {}).items()):
            self._plan_fields(tool, kind, records)
        self._note_hands(tool, self.items[before:])
        self._plan_new_tasks(tool)
        self._plan_closes(tool)

    # --- fields ---------------------------------------------------------------------------------

    def _plan_fields(self, tool: Tool, kind: str, records: Fields) -> None:
        """An item for each field that must be defined, and one for each record that differs."""
        defined = self._plan_definitions(tool, kind, records)
        there = tool.observe(kind, sorted(records))
        for record, rows in sorted(records.items()):
            target = _key(tool, kind, record)
            if there[record].exists:
                self._plan_change(tool, target, rows, there[record], defined)
            else:
                row = next(iter(rows.values()))
                self.listed["gone"].append(_gone(target, row["account_id"], there[record]))

    def _plan_definitions(self, tool: Tool, kind: str, records: Fields) -> int | None:
        """Items that make or complete the fields, each after the one before; the last one's seq."""
        if tool.writer(DefineField, kind) is None or not tool.reads_back("fields"):
            return None
        names = [name for name in self.specs if any(name in rows for rows in records.values())]
        there = tool.observe("fields", [f"{kind}.{name}" for name in names])
        last: int | None = None
        for name in names:
            found, spec = there[f"{kind}.{name}"], self.specs[name]
            action = DefineField(object=kind, field=spec)
            if is_defined(action, found):
                continue
            last = self._add(
                Item(
                    seq=0,
                    kind="define",
                    connection=tool.name,
                    target=_key(tool, kind, name),
                    action=action,
                    old=dict(found.values) if found.exists else None,
                    new={"kind": spec.kind, "options": ",".join(o.value for o in spec.options)},
                    why=f"{spec.label} must be a field there before it can be said",
                    depends_on=last,
                )
            )
        return last

    def _plan_change(
        self,
        tool: Tool,
        target: RecordKey,
        rows: Mapping[str, Mapping[str, Any]],
        there: Observed,
        defined: int | None,
    ) -> None:
        new = {
            name: row["value"]
            for name, row in sorted(rows.items())
            if (row["value"] or None) != (there.values.get(name) or None)
        }
        if not new:
            return
        old = {name: there.values.get(name) for name in new}
        row = next(iter(rows.values()))
        self._add(
            Item(
                seq=0,
                kind="change",
                connection=tool.name,
                target=target,
                action=SetFields(target=target, values=new),
                old=old,
                new=new,
                why=row["why"],
                account_id=row["account_id"],
                seen=digest_of(old),
                depends_on=defined,
            )
        )

    def _note_hands(self, tool: Tool, items: Sequence[Item]) -> None:
        """List what people changed; an unattended run leaves it as it is."""
        if not items:
            return
        with self.database.read() as reading:
            hands = Hands(reading, tool.vendor_account)
        theirs = [item for item in items if hands.changed(item)]
        self.left_to_people |= {item.seq for item in theirs}
        self.listed["changed_by_people"] += [
            {
                "record": str(item.target),
                "account_id": item.account_id,
                "says": dict(item.old or {}),
                "wanted": dict(item.new),
            }
            for item in theirs
        ]

    # --- new tasks ------------------------------------------------------------------------------

    def _plan_new_tasks(self, tool: Tool) -> None:
        """An item for each task that is not there yet, as many a day as the limits let out."""
        candidates = self._missing_tasks(tool)
        today, waiting = self._looked_for(tool, candidates)
        self.new_tasks += [*today, *waiting]
        self.listed["waiting"] += [_listed(task) for task in waiting]
        for task in today:
            self._add(_create(tool, task))

    def _missing_tasks(self, tool: Tool) -> list[Task]:
        """Tasks that the ledger knows nothing of, and whose target is there.

        A problem that has its task already, at another record of the account, needs no second one.
        """
        elsewhere = {self.wanted.problem_of(one) for one in self._open_tasks()}
        missing: list[Task] = []
        for task in self.wanted.tasks:
            key = task["key"]
            if task["connection"] != tool.name or task["not_written"] is not None:
                continue
            if key in self.tasks.standing:
                continue
            if key in self.tasks.unsettled:
                self.listed["unsettled"].append(_listed(task))
            elif self.wanted.problem(task) in elsewhere:
                self.listed["moved"].append(_listed(task))
            else:
                missing.append(task)
        return self._with_target(tool, missing)

    def _open_tasks(self) -> Iterable[Standing]:
        over = self.tasks.over
        return (one for key, one in self.tasks.standing.items() if key not in over)

    def _with_target(self, tool: Tool, tasks: Sequence[Task]) -> list[Task]:
        """The tasks whose record still exists; the others are listed."""
        there: dict[tuple[str, str], Observed] = {}
        for kind in sorted({task["object"] for task in tasks}):
            if tool.reads_back(kind):
                ids = [task["record_id"] for task in tasks if task["object"] == kind]
                there |= {(kind, one): seen for one, seen in tool.observe(kind, ids).items()}
        kept: list[Task] = []
        for task in tasks:
            seen = there.get((task["object"], task["record_id"]))
            if seen is None or seen.exists:
                kept.append(task)
            else:
                target = _key(tool, task["object"], task["record_id"])
                self.listed["gone"].append(_gone(target, task["account_id"], seen))
        return kept

    def _looked_for(self, tool: Tool, candidates: list[Task]) -> tuple[list[Task], list[Task]]:
        """(tasks of today, tasks that wait) when all that stand there already are taken out.

        Only those whose turn it is are looked for: what waits may wait to be found, too.
        """
        already, looked = self._created_today(), set[str]()
        while True:
            today, waiting = by_day(
                candidates,
                already,
                self.config.limits.tasks_per_owner_and_day,
                last=self.tasks.refused,
            )
            unseen = [task for task in today if task["key"] not in looked]
            if not unseen:
                return today, waiting
            for task in unseen:
                looked.add(task["key"])
                self._look_for(tool, task, candidates)

    def _look_for(self, tool: Tool, task: Task, candidates: list[Task]) -> None:
        """Take a task out of the candidates when it stands there, or when nobody can tell."""
        item = _create(tool, task)
        try:
            found = tool.find(item)
        except (*NOT_SENT, StoreError):
            raise
        except HubError as problem:
            candidates.remove(task)
            self.problems.append((tool.name, problem))
            return
        if found is not None:
            candidates.remove(task)
            self._adopt(item, task, found)

    def _adopt(self, item: Item, task: Task, found: Receipt) -> None:
        """The task stands there, from before a lost ledger or by another hub: it is ours now."""
        reason = f"{FOUND}: {item.why}"
        self.noticed.append(entry(item, "done", now=self.env.now(), reason=reason, receipt=found))
        self.listed["adopted"].append(_listed(task))
        self.kept_ids.add((item.connection, found.id))

    def _created_today(self) -> Counter[Owner]:
        """How many tasks were written on this team day, by whose they are."""
        zone, day = self.config.zone, self.env.today(self.config.zone)
        return Counter(
            (one.row["connection"], str(one.owner_id))
            for one in self.tasks.sent
            if one.row["intended_at"].astimezone(zone).date() == day
        )

    # --- tasks whose problem is over ------------------------------------------------------------

    def _still_wanted(self) -> set[tuple[str | None, str]]:
        """The vendors' ids of the tasks that the current decision wants."""
        keys = {task["key"] for task in self.wanted.tasks}
        return {one.place for key, one in self.tasks.standing.items() if key in keys}

    def _perhaps_over(self) -> list[Standing]:
        """Standing tasks that the current decision does not want any more, each once.

        A task that was adopted for a problem which opened anew has an entry for either; while such
        a problem still waits for its task, the open one is kept for it.
        """
        problems = {self.wanted.problem(task) for task in self.wanted.tasks}
        waiting = {
            self.wanted.problem(task)[:2]
            for task in self.wanted.tasks
            if task["not_written"] is None and task["key"] not in self.tasks.standing
        }
        over = {
            one.place: one
            for one in self._open_tasks()
            if one.place not in self.kept_ids
            and self.wanted.problem_of(one) not in problems
            and self.wanted.problem_of(one)[:2] not in waiting
            and self._ends_with_note(one)
        }
        return list(over.values())

    def _ends_with_note(self, standing: Standing) -> bool:
        name = self.wanted.plays.get(self.wanted.problem_of(standing))
        play = self.config.definitions.plays.get(name or "")
        return play is None or play.ends.task == "close with note"

    def _plan_closes(self, tool: Tool) -> None:
        """Close the tasks whose problem is over, unless a person did or they are gone."""
        over = [one for one in self._perhaps_over() if one.row["connection"] == tool.name]
        writer = tool.writer(CloseTask)
        if not over or writer is None or not tool.reads_back("tasks"):
            return
        kind = writer.on[0] if writer.on else "tasks"
        there = tool.observe("tasks", [str(one.row["receipt_id"]) for one in over])
        for standing in over:
            item = self._close(tool, kind, standing)
            now = there[item.target.id]
            if now.exists and now.values.get("status") == "open":
                self._add(item)
            else:
                self._notice_ended(item, now)

    def _close(self, tool: Tool, kind: str, standing: Standing) -> Item:
        row = standing.row
        target = _key(tool, kind, str(row["receipt_id"]))
        day = self.wanted.as_of
        note = f"Closed by the hub on {day.day} {day:%b %Y}: the problem it was about is over."
        return Item(
            seq=0,
            kind="close",
            connection=tool.name,
            target=target,
            action=CloseTask(target=target, note=note),
            old={"status": "open"},
            new={"status": "done", "task": row["key"]},
            why="the problem is over",
            account_id=row["account_id"],
            seen=digest_of({"status": "open"}),
        )

    def _notice_ended(self, item: Item, now: Observed) -> None:
        """A task that needs no closing is written down once, and not asked for again."""
        at = self.env.now()
        if now.exists:
            reason = f"{FOUND}: a person had closed it"
            self.noticed.append(entry(item, "done", now=at, reason=reason))
        else:
            gone = target_gone(item, now)
            self.noticed.append(entry(item, "cancelled", now=at, problem=gone))

    # --- storing --------------------------------------------------------------------------------

    def _add(self, item: Item) -> int:
        self.items.append(replace(item, seq=len(self.items) + 1))
        return len(self.items)

    def _stored(self) -> PlanMade:
        stopped = self._why_stopped()
        changes = [item for item in self.items if item.kind == "change"]
        fills = sum(map(is_first_fill, changes))
        beside = {**self.listed, "first_fills": fills, "changed": len(changes) - fills}
        number = store_plan(
            self.database,
            self.wanted,
            self.items,
            self.noticed,
            stopped=stopped,
            beside=beside,
            now=self.env.now(),
        )
        return PlanMade(number, len(self.items), stopped, beside, self.problems)

    def _why_stopped(self) -> str | None:
        """Why an unattended run would stop, from what such a run would write itself."""
        auto = {name for name, one in self.config.connections.items() if one.deliver == "auto"}
        items = [
            item
            for item in self.items
            if item.connection in auto and item.seq not in self.left_to_people
        ]
        if not items:
            return None  # an empty plan asks nobody for approval, whatever waits beside it
        tasks = [task for task in self.new_tasks if task["connection"] in auto]
        return why_stopped(self.config.limits, items, tasks, self.wanted.customers)


def _create(tool: Tool, task: Task) -> Item:
    target = _key(tool, task["object"], task["record_id"])
    action = CreateTask(
        target=target,
        key=task["key"],
        title=task["title"],
        body=task["body"],
        due=task["due"],
        priority=task["priority"],
        owner_id=task["owner_id"],
    )
    new = {
        "title": task["title"],
        "owner": task["owner"],
        "due": task["due"].isoformat(),
        "opened_on": task["opened_on"].isoformat(),
    }
    return Item(
        seq=0,
        kind="create",
        connection=tool.name,
        target=target,
        action=action,
        old=None,
        new=new,
        why=task["why"],
        account_id=task["account_id"],
        evidence=task["evidence"],
    )


def _key(tool: Tool, kind: str, record: str) -> RecordKey:
    return RecordKey(
        vendor=tool.connector.name, vendor_account=tool.account, object=kind, id=record
    )


def _gone(target: RecordKey, account: str, seen: Observed) -> dict[str, Any]:
    return {"record": str(target), "account_id": account, "merged_into": seen.merged_into}


def _listed(task: Task) -> dict[str, Any]:
    names = ("key", "account_id", "title", "owner", "cause")
    return {name: task[name] for name in names}
