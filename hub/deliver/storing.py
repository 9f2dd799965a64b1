"""Storing a plan: its items in short transactions, and one moment at which it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from ..store import Database, as_dicts, canonical, insert, table_of, upsert
from ..store.tables import LedgerEntry, Plan, PlanItem
from .items import Item
from .ledger import Row
from .tools import batches
from .wanted import Wanted

TOGETHER = 500
"""How many items are stored in one transaction."""


def store_plan(
    database: Database,
    wanted: Wanted,
    items: Sequence[Item],
    noticed: Sequence[Row],
    *,
    stopped: str | None,
    beside: Mapping[str, Any],
    now: datetime,
) -> int:
    """Store a plan and the ledger's entries that came with it; returns the plan's number.

    A plan that waits and holds the same writes keeps its number; every other one that waits is
    replaced. Until it is whole, a new plan counts as replaced itself.
    """
    table = table_of(Plan)
    values = {
        "decision": wanted.run,
        "as_of": wanted.as_of,
        "made_at": now,
        "state": "open" if items else "applied",
        "stopped": stopped,
        "beside": canonical(dict(beside)),
        "applied_at": None if items else now,
    }
    rows = [item.row() for item in items]
    with database.read() as reading:
        number = _waiting_with(reading, rows)
    if number is None:
        number = _draft(database, values | {"state": "replaced"}, rows)
    earlier = table.c.state.in_(("open", "partly")) & (table.c.id != number)
    with database.write() as writing:
        writing.execute(update(table).where(earlier).values(state="replaced"))
        writing.execute(update(table).where(table.c.id == number).values(**values))
        insert(writing, LedgerEntry, [row | {"plan": number} for row in noticed])
    return number


def _waiting_with(reading: Connection, rows: Sequence[Row]) -> int | None:
    """The plan that waits and holds exactly these items."""
    plans, items = table_of(Plan), table_of(PlanItem)
    newest = select(plans.c.id).where(plans.c.state == "open").order_by(plans.c.id.desc())
    number: int | None = reading.execute(newest).scalar()
    if number is None or not rows:
        return None
    stored = as_dicts(reading, select(items).where(items.c.plan == number).order_by(items.c.seq))
    return number if stored == [{"plan": number, **row} for row in rows] else None


def _draft(database: Database, values: Mapping[str, Any], rows: Sequence[Row]) -> int:
    with database.write() as writing:
        made: Any = writing.execute(table_of(Plan).insert().values(**values)).inserted_primary_key
    number = int(made[0])
    for some in batches(rows, TOGETHER):
        with database.write() as writing:
            upsert(writing, PlanItem, [{"plan": number, **row} for row in some])
    return number
