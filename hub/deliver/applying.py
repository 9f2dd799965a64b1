"""Applying a stored plan: which items, by whom, and what it came to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update

from ..config import Config
from ..env import Env
from ..errors import HubError, StoreError, UsageError
from ..store import Database, as_dicts, table_of
from ..store.tables import Plan, PlanItem
from .items import Item
from .ledger import Hands, Row, last_of_plan
from .tools import Progress, Tools
from .writing import ConnectionWriter


@dataclass
class Applied:
    """What applying a plan came to, in items. `by_kind` counts the writes that were sent and done;
    `skipped` items stay planned; `problems` say why, each with its connection as `where`."""

    plan_id: int
    done: int = 0
    refused: int = 0
    unknown: int = 0
    skipped: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    problems: list[HubError] = field(default_factory=list)


class Applier:
    """Applies one plan, a thread for each connection."""

    def __init__(
        self,
        config: Config,
        database: Database,
        env: Env,
        tools: Tools,
        *,
        actor: str,
        only_auto: bool,
        progress: Progress,
    ) -> None:
        self.config, self.database, self.env, self.tools = config, database, env, tools
        self.actor, self.only_auto, self.progress = actor, only_auto, progress
        self.stop = threading.Event()

    def apply(self, plan_id: int) -> Applied:
        """Write what is not written yet. Raises UsageError for a plan that may not be applied."""
        plan = self._plan(plan_id)
        with self.database.read() as reading:
            items = _items(reading, plan_id)
            before = last_of_plan(reading, plan_id)
        done = {seq for seq, row in before.items() if row["state"] == "done"}
        pending = [item for item in items if item.seq not in done]
        may_write = self.modes if not (self.only_auto and plan["stopped"]) else ()
        work = {
            name: self._released([item for item in pending if item.connection == name])
            for name, one in self.config.connections.items()
            if one.deliver in may_write
        }
        troubles = self._write({name: some for name, some in work.items() if some}, done)
        return self._applied(plan_id, pending, before, troubles)

    @property
    def modes(self) -> tuple[str, ...]:
        """A connection in shadow mode is never written to."""
        return ("auto",) if self.only_auto else ("auto", "plan")

    def _plan(self, plan_id: int) -> Row:
        table = table_of(Plan)
        with self.database.read() as reading:
            rows = as_dicts(reading, select(table).where(table.c.id == plan_id))
        if not rows:
            do = "Run `hub plan` to make one"
            raise UsageError(f"there is no plan {plan_id}", do=do, code="NOT_FOUND")
        if rows[0]["state"] == "replaced":
            do = "Run `hub plan` and apply that"
            raise UsageError(f"plan {plan_id} was replaced by a newer one", do=do)
        return rows[0]

    def _released(self, items: Sequence[Item]) -> list[Item]:
        """An unattended run leaves to a person what would undo a person's change (R39)."""
        if not self.only_auto or not items:
            return list(items)
        with self.database.read() as reading:
            hands = Hands(reading, items[0].vendor_account)
        return [item for item in items if not hands.changed(item)]

    def _write(self, work: Mapping[str, Sequence[Item]], done: set[int]) -> list[HubError]:
        troubles: list[HubError] = []
        with ThreadPoolExecutor(max_workers=max(1, len(work))) as pool:
            futures = [pool.submit(self._write_to, name, some, done) for name, some in work.items()]
            try:
                for future in futures:
                    troubles += future.result()
            except BaseException:
                self.stop.set()  # every connection ends after the batch that it is writing
                raise
        return troubles

    def _write_to(self, name: str, items: Sequence[Item], done: set[int]) -> list[HubError]:
        """Write to one connection; its troubles never stop another one."""
        try:
            writer = ConnectionWriter(
                self.tools.open(name),
                actor=self.actor,
                progress=self.progress,
                stop=self.stop,
            )
            writer.write(items, done)
        except StoreError:
            raise
        except HubError as trouble:
            return [trouble]
        return writer.problems

    def _applied(
        self,
        plan_id: int,
        pending: Sequence[Item],
        before: Mapping[int, Row],
        troubles: Sequence[HubError],
    ) -> Applied:
        """What the ledger says of the items now."""
        applied = Applied(plan_id, problems=list(troubles))
        with self.database.read() as reading:
            after = last_of_plan(reading, plan_id)
        for item in pending:
            row = after.get(item.seq)
            if row is None or row["seq"] == before.get(item.seq, {}).get("seq"):
                applied.skipped += 1
            else:
                _count(applied, item, row)
        self._close(plan_id, applied)
        return applied

    def _close(self, plan_id: int, applied: Applied) -> None:
        """A plan of which something was settled is applied, or partly; else it stays open."""
        left = applied.refused + applied.unknown + applied.skipped
        if not (applied.done or applied.refused or applied.unknown) and left:
            return
        table = table_of(Plan)
        values = {"state": "partly" if left else "applied", "applied_at": self.env.now()}
        with self.database.write() as writing:
            writing.execute(update(table).where(table.c.id == plan_id).values(**values))


def _items(reading: Any, plan_id: int) -> list[Item]:
    table = table_of(PlanItem)
    rows = as_dicts(reading, select(table).where(table.c.plan == plan_id).order_by(table.c.seq))
    return [Item.of_row(row) for row in rows]


def _count(applied: Applied, item: Item, row: Row) -> None:
    state = row["state"]
    if state == "done":
        applied.done += 1
        applied.by_kind[item.kind] += row["sent_at"] is not None
    elif state == "refused":
        applied.refused += 1
    elif state == "cancelled":
        applied.skipped += 1
    else:
        applied.unknown += 1
    if state != "done" and row["problem_code"] in _OWN_PROBLEM:
        applied.problems.append(_problem(item, row))


_OWN_PROBLEM = ("WRITE_REFUSED", "WRITE_UNKNOWN", "TARGET_GONE", "TARGET_CHANGED")


def _problem(item: Item, row: Row) -> HubError:
    where = f"{item.connection} {item.target.object} {item.target.id}"
    return HubError(row["problem"], where=where, code=row["problem_code"])
