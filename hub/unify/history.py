"""States through time: what a record said, from when, and when the hub learned it (DESIGN 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import Connection, select, update
from sqlmodel import SQLModel

from ..store import table_of, upsert
from ..store.tables import (
    HubAccount,
    InvoiceRecord,
    StateHistory,
    SubscriptionRecord,
    TicketRecord,
)

CHUNK = 500
STATES: Mapping[type[SQLModel], tuple[str, tuple[str, ...], str]] = {
    TicketRecord: ("ticket", ("status",), "opened_at"),
    SubscriptionRecord: ("subscription", ("status", "amount_minor"), "started_on"),
    InvoiceRecord: ("invoice", ("status", "remaining_minor"), "created_on"),
    HubAccount: ("account", ("lifecycle", "owner", "renewal_on", "plan", "name"), "minted_at"),
}
"""Which fields of which states are remembered, and the date that their first value is from."""


def remember(
    connection: Connection,
    model: type[SQLModel],
    rows: Iterable[Mapping[str, Any]],
    *,
    now: datetime,
) -> None:
    """Append the states that differ from what was known, and close what they supersede."""
    if model not in STATES:
        return
    kind, fields, first = STATES[model]
    wanted = {_key(row): row for row in rows}
    known = _known(connection, kind, list(wanted))
    fresh: list[dict[str, Any]] = []
    for key, row in wanted.items():
        for field in fields:
            value = None if row[field] is None else str(row[field])
            before = known.get((key, field), _NEVER)
            if before == value:
                continue
            seen_before = before is not _NEVER
            fresh.append(
                {
                    "kind": kind,
                    "key": key,
                    "field": field,
                    "known_at": now,
                    "value": value,
                    "valid_from": now if seen_before else _instant(row[first]),
                    "superseded_at": None,
                    "basis": "seen" if seen_before else "assumed",
                }
            )
    _supersede(connection, fresh, now)
    upsert(connection, StateHistory, fresh)


_NEVER = object()


def _key(row: Mapping[str, Any]) -> str:
    if "id" in row:
        return str(row["id"])
    return "/".join(row[part] for part in ("vendor", "vendor_account", "object", "record_id"))


def _instant(value: Any) -> datetime | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value if isinstance(value, datetime) else None


def _known(connection: Connection, kind: str, keys: list[str]) -> dict[tuple[str, str], Any]:
    table = table_of(StateHistory)
    found: dict[tuple[str, str], Any] = {}
    for start in range(0, len(keys), CHUNK):
        rows = connection.execute(
            select(table.c.key, table.c.field, table.c.value).where(
                table.c.kind == kind,
                table.c.key.in_(keys[start : start + CHUNK]),
                table.c.superseded_at.is_(None),
            )
        )
        found.update({(key, field): value for key, field, value in rows})
    return found


def _supersede(connection: Connection, fresh: list[dict[str, Any]], now: datetime) -> None:
    table = table_of(StateHistory)
    for row in fresh:
        if row["basis"] == "seen":
            connection.execute(
                update(table)
                .where(
                    table.c.kind == row["kind"],
                    table.c.key == row["key"],
                    table.c.field == row["field"],
                    table.c.superseded_at.is_(None),
                )
                .values(superseded_at=now)
            )
