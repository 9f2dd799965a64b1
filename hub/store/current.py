"""The pointer to the current decision: what everybody reads, moved once by decide."""

from __future__ import annotations

from sqlalchemy import Connection, select

from .bulk import table_of
from .tables import Published

CURRENT, JUDGED_FROM = "current", "judged_from"


def published_run(reading: Connection) -> int | None:
    """The run of the current decision; None before the first one."""
    table = table_of(Published)
    return reading.execute(select(table.c.run).where(table.c.name == CURRENT)).scalar()
