"""The hub's state for comparison: the same facts and actions give the same bytes everywhere.

What is left out differs by nature: run numbers, times of reading and writing, and the ids that a
vendor happened to give to what the hub created.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from .store import Database, as_dicts, canonical, table_of
from .store.current import published_run
from .store.tables import (
    AccountRecord,
    Aside,
    Coverage,
    DailyBand,
    DealRecord,
    DesiredField,
    DesiredTask,
    Episode,
    Evidence,
    HubAccount,
    InvoiceRecord,
    LedgerEntry,
    Link,
    OwnerRecord,
    PaymentAttemptRecord,
    PersonRecord,
    Reading,
    ReviewPair,
    SubscriptionRecord,
    TicketRecord,
    UsageRecord,
    VendorRow,
    Verdict,
)

TABLES: tuple[type[SQLModel], ...] = (
    VendorRow, Aside, HubAccount, Link, ReviewPair, AccountRecord, PersonRecord, OwnerRecord,
    DealRecord, TicketRecord, SubscriptionRecord, InvoiceRecord, PaymentAttemptRecord, UsageRecord,
    Evidence, Coverage, DailyBand, Episode, LedgerEntry,
)  # fmt: skip
OF_THE_DECISION: tuple[type[SQLModel], ...] = (Reading, Verdict, DesiredField, DesiredTask)
BY_NATURE = frozenset(
    (
        "run", "seq", "plan", "item", "minted_run", "opened_run", "closed_run", "minted_at",
        "read_at", "first_at", "last_at", "seen_at", "intended_at", "sent_at", "settled_at",
        "receipt_id", "receipt_url", "url", "problem", "mapped", "digest", "data", "updated_at",
    )
)  # fmt: skip
"""Columns that say when, in which run, at which address or under which foreign id, and nothing
about a customer; a vendor's verbatim row is told by what was mapped from it."""


def canonical_dump(database: Database) -> Iterator[str]:
    """The state as JSON lines, sorted: table and values, one line a row."""
    with database.read() as reading:
        current = published_run(reading)
        for model in TABLES:
            yield from _lines(reading, model)
        for model in OF_THE_DECISION:
            yield from _lines(reading, model, run=current)


def _lines(reading: Connection, model: type[SQLModel], run: int | None = None) -> Iterator[str]:
    table = table_of(model)
    statement = select(table)
    if run is not None:
        statement = statement.where(table.c.run == run)
    found = (canonical([table.name, _plain(row)]) for row in as_dicts(reading, statement))
    yield from sorted(found)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name not in BY_NATURE}
    if "since" in row and isinstance(row["since"], datetime):
        del values["since"]
        values["until"] = row["until"] is not None
    return {name: _value(name, value) for name, value in values.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, datetime):
        return value.isoformat() if name not in ("gone_at",) else True
    if isinstance(value, date):
        return value.isoformat()
    if name in ("parts", "action", "before", "after", "fields") and isinstance(value, str):
        return _rounded(json.loads(value))
    return value


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items() if key not in BY_NATURE}
    return value
