"""Where an account is at home in a tool: its records there, the primary one first."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, Table, and_, select

from .bulk import table_of
from .tables import AccountRecord, DealRecord, Link

RecordId: TypeAlias = tuple[str, str, str, str]
"""vendor, vendor account, object, id."""


def open_deals(reading: Connection) -> Counter[tuple[str, str, str]]:
    """How many open deals name each record (vendor, vendor account, id)."""
    table = table_of(DealRecord)
    found: Counter[tuple[str, str, str]] = Counter()
    for vendor, vendor_account, ref in reading.execute(
        select(table.c.vendor, table.c.vendor_account, table.c.ref).where(
            ~table.c.is_closed, table.c.ref.is_not(None), table.c.gone_at.is_(None)
        )
    ):
        if key := json.loads(ref).get("id"):
            found[(vendor, vendor_account, key)] += 1
    return found


def records_of_accounts(
    reading: Connection, *, confidence: float = 0.0
) -> dict[str, list[RecordId]]:
    """Every account's own records, primary first: most open deals, then the lowest id.

    Only links in force at or above a confidence, and only records that still exist.
    """
    link, record = table_of(Link), table_of(AccountRecord)
    key = ("vendor", "vendor_account", "object", "record_id")
    statement = (
        select(link.c.account_id, *(link.c[part] for part in key))
        .join(record, _all_equal(link, record, key))
        .where(
            link.c.until.is_(None),
            link.c.role == "is",
            link.c.confidence >= confidence,
            record.c.gone_at.is_(None),
        )
    )
    deals = open_deals(reading)
    found: dict[str, list[RecordId]] = defaultdict(list)
    for account, *parts in reading.execute(statement):
        vendor, vendor_account, kind, record_id = parts
        found[account].append((vendor, vendor_account, kind, record_id))
    for records in found.values():
        records.sort(key=lambda r: (-deals[(r[0], r[1], r[3])], len(r[3]), r))
    return dict(found)


def _all_equal(left: Table, right: Table, parts: tuple[str, ...]) -> ColumnElement[bool]:
    return and_(*(left.c[part] == right.c[part] for part in parts))
