"""The vendors' rows that a reading cites: a sentence and the vendor's page for each record key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from ..decide.sentences import source_line
from ..store import as_dicts, table_of
from ..store.tables import (
    InvoiceRecord,
    PaymentAttemptRecord,
    SubscriptionRecord,
    TicketRecord,
    UsageRecord,
)

FACTS: Mapping[type[SQLModel], tuple[str, str]] = {
    TicketRecord: ("tickets", "opened_on"),
    PaymentAttemptRecord: ("attempts", "attempted_on"),
    InvoiceRecord: ("invoices", "created_on"),
    SubscriptionRecord: ("subscriptions", "started_on"),
    UsageRecord: ("usage", "day"),
}
"""Which fact view a table's rows are seen through, and the column of their day."""

Parts = tuple[str, str, str, str]


def cited_rows(reading: Connection, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """By record key: `says` and `url`; a row that is no longer there says so."""
    wanted = {key: parts for key in keys if (parts := _parts(key)) is not None}
    found: dict[Parts, dict[str, Any]] = {}
    for model, (view, day) in FACTS.items():
        missing = [parts for parts in wanted.values() if parts not in found]
        for row in _rows(reading, model, missing):
            parts = (row["vendor"], row["vendor_account"], row["object"], row["record_id"])
            seen = {**row, "day": row[day], "key": "/".join(parts)}
            found[parts] = {"view": view, "row": seen}
    _name_invoices(reading, found)
    return {
        key: {
            "says": source_line(found[parts]["view"], found[parts]["row"]),
            "url": found[parts]["row"]["url"],
        }
        if parts in found
        else {"says": "the row is no longer there", "url": None}
        for key, parts in wanted.items()
    }


def _parts(key: str) -> Parts | None:
    """`vendor/account/object/id`, where the id may hold slashes; None for the hub's own keys."""
    parts = key.split("/", 3)
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else None


def _rows(
    reading: Connection, model: type[SQLModel], wanted: list[Parts]
) -> Iterable[dict[str, Any]]:
    table = table_of(model)
    streams: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for vendor, vendor_account, kind, key in wanted:
        streams[(vendor, vendor_account, kind)].append(key)
    # Stream by stream: SQLite uses no index for a list of whole keys.
    for (vendor, vendor_account, kind), keys in streams.items():
        one = select(table).where(
            table.c.vendor == vendor,
            table.c.vendor_account == vendor_account,
            table.c.object == kind,
        )
        for start in range(0, len(keys), 200):
            yield from as_dicts(
                reading, one.where(table.c.record_id.in_(keys[start : start + 200]))
            )


def _name_invoices(reading: Connection, found: Mapping[Parts, dict[str, Any]]) -> None:
    """A payment attempt is told with the number of its invoice."""
    rows = [one["row"] for one in found.values() if one["view"] == "attempts"]
    table = table_of(InvoiceRecord)
    numbers: dict[tuple[str, str, str], str] = defaultdict(str)
    ids = sorted({row["invoice_id"] for row in rows if row["invoice_id"]})
    for start in range(0, len(ids), 200):
        for invoice in as_dicts(
            reading, select(table).where(table.c.record_id.in_(ids[start : start + 200]))
        ):
            key = (invoice["vendor"], invoice["vendor_account"], invoice["record_id"])
            numbers[key] = invoice["number"] or ""
    for row in rows:
        key = (row["vendor"], row["vendor_account"], row["invoice_id"] or "")
        row["invoice_number"] = numbers[key]
