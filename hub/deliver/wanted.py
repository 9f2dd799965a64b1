"""What the current decision wants said, connection by connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import Connection, func, select

from ..errors import UsageError
from ..store import as_dicts, table_of
from ..store.tables import Decision, DesiredField, DesiredTask, Episode, HubAccount, Published
from .ledger import Standing, resolved, survivors

CURRENT = "current"
"""The name of the pointer that makes a decision the current one."""

Fields: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""The rows of `desired_field` of one object: record id → field → row."""

Problem: TypeAlias = tuple[str, str, str]
"""An episode: account, cause, and the day on which it opened."""


@dataclass(frozen=True)
class Wanted:
    """The current decision. `customers` is how many there are; `survivor` leads from an account
    that was merged away to the one it became."""

    run: int
    as_of: date
    fields: Mapping[str, Mapping[str, Fields]]
    tasks: Sequence[Mapping[str, Any]]
    customers: int
    survivor: Mapping[str, str]
    plays: Mapping[Problem, str]

    @classmethod
    def load(cls, reading: Connection) -> Wanted:
        """Raises UsageError before the first decision."""
        pointer, decisions = table_of(Published), table_of(Decision)
        run = reading.execute(select(pointer.c.run).where(pointer.c.name == CURRENT)).scalar()
        if run is None:
            raise UsageError(
                "nothing has been decided yet", do="Run `hub decide` first", code="NOT_FOUND"
            )
        tasks = table_of(DesiredTask)
        survivor = survivors(reading)
        return cls(
            run=run,
            as_of=reading.execute(
                select(decisions.c.as_of).where(decisions.c.run == run)
            ).scalar_one(),
            fields=_fields(reading, run),
            tasks=as_dicts(reading, select(tasks).where(tasks.c.run == run).order_by(tasks.c.key)),
            customers=_customers(reading),
            survivor=survivor,
            plays=_plays(reading, survivor),
        )

    def problem(self, task: Mapping[str, Any]) -> Problem:
        """What a desired task is about."""
        return (
            resolved(task["account_id"], self.survivor),
            task["cause"],
            task["opened_on"].isoformat(),
        )

    def problem_of(self, standing: Standing) -> Problem:
        """What a task that stands in a tool is about."""
        account = resolved(str(standing.row["account_id"]), self.survivor)
        return account, standing.cause, standing.opened_on or ""


def _fields(reading: Connection, run: int) -> Mapping[str, Mapping[str, Fields]]:
    table = table_of(DesiredField)
    found: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for row in as_dicts(reading, select(table).where(table.c.run == run)):
        found[row["connection"]][row["object"]][row["record_id"]][row["field"]] = row
    return found


def _customers(reading: Connection) -> int:
    table = table_of(HubAccount)
    return reading.execute(
        select(func.count())
        .select_from(table)
        .where(
            table.c.lifecycle == "customer", table.c.kind == "account", table.c.alias_of.is_(None)
        )
    ).scalar_one()


def _plays(reading: Connection, survivor: Mapping[str, str]) -> Mapping[Problem, str]:
    table = table_of(Episode)
    columns = (table.c.account_id, table.c.cause, table.c.opened_on, table.c.play)
    return {
        (resolved(account, survivor), cause, opened_on.isoformat()): play
        for account, cause, opened_on, play in reading.execute(select(*columns))
    }
