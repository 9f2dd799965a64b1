"""How fresh each source is: which kinds of fact it has read completely, and until when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, func, select
from sqlmodel import SQLModel

from ..config import Config
from ..store import as_dicts, table_of
from ..store.tables import (
    Checkpoint,
    ConnectionState,
    InvoiceRecord,
    TicketRecord,
    UsageRecord,
)

BUDGET = timedelta(days=1)
"""How old a source's last complete read may be before it counts as stale, unless the file says."""

KINDS: dict[str, type[SQLModel]] = {
    "tickets": TicketRecord,
    "billing": InvoiceRecord,
    "usage": UsageRecord,
}


@dataclass(frozen=True)
class Ready:
    """A connection that has read one kind of fact completely.

    `from_day`: the first team day its first read reached back to. `fresh_until`: the last team day
    that its last read still speaks for.
    """

    connection: str
    vendor: str
    vendor_account: str
    from_day: date
    fresh_until: date
    absence: Literal["zero", "unknown"]


def readiness(reading: Connection, config: Config) -> dict[str, list[Ready]]:
    """For tickets, billing and usage: the connections that can say that there was none."""
    found: dict[str, list[Ready]] = defaultdict(list)
    states = as_dicts(reading, select(table_of(ConnectionState)))
    signed_in = {row["connection"]: row for row in states}
    for kind, streams in _streams(reading).items():
        for name, stream in streams:
            state, connection = signed_in.get(name), config.connections.get(name)
            if state is None or connection is None:
                continue
            first, fresh = _read_between(reading, name, stream)
            if first is None or fresh is None:
                continue
            budget = connection.fresh_within.get(stream, BUDGET)
            found[kind].append(
                Ready(
                    connection=name,
                    vendor=state["vendor"],
                    vendor_account=state["vendor_account"],
                    from_day=(first - connection.backfill).astimezone(config.zone).date(),
                    fresh_until=(fresh + budget).astimezone(config.zone).date(),
                    absence=connection.absence,
                )
            )
    return found


def _streams(reading: Connection) -> dict[str, Sequence[tuple[str, str]]]:
    """Which (connection, stream) brought facts of each kind, by what is stored."""
    states = table_of(ConnectionState)
    found: dict[str, Sequence[tuple[str, str]]] = {}
    for kind, model in KINDS.items():
        facts = table_of(model)
        rows = reading.execute(
            select(states.c.connection, facts.c.object, func.count())
            .join(
                facts,
                (facts.c.vendor == states.c.vendor)
                & (facts.c.vendor_account == states.c.vendor_account),
            )
            .group_by(states.c.connection, facts.c.object)
        )
        found[kind] = [(name, stream) for name, stream, _ in rows]
    return found


def _read_between(
    reading: Connection, name: str, stream: str
) -> tuple[datetime | None, datetime | None]:
    table = table_of(Checkpoint)
    row = reading.execute(
        select(table.c.complete_at, table.c.fresh_at).where(
            table.c.connection == name, table.c.stream == stream
        )
    ).first()
    return (row[0], row[1]) if row else (None, None)
