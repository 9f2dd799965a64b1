"""What a row of the query means: one event of one account on one day.

Rows come with the hub's own names for their columns, and with the vendor that `crm_id` points to.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from hub import AccountRef, RecordRejected, Row, UsageDay

KEPT = ("id", "day", "event", "count", "person", "domain", "account_id", "crm", "crm_id")


def to_usage_day(row: Row) -> UsageDay:
    """One usage day; its account is named by the CRM's id, else by its domain.

    The product's own `account_id` goes along, so that people see whose rows have no account yet.
    """
    crm, crm_id = _text(row, "crm"), _text(row, "crm_id")
    return UsageDay(
        id=str(row["id"]),
        account=AccountRef(
            id=_text(row, "account_id"),
            vendor=crm if crm_id else None,
            external_id=crm_id if crm else None,
            domain=_text(row, "domain"),
        ),
        day=_day(row.get("day")),
        event=_event(row),
        count=_count(row.get("count")),
        person=_text(row, "person"),
    )


def _text(row: Row, name: str) -> str | None:
    value = row.get(name)
    return None if value is None else str(value).strip() or None


def _event(row: Row) -> str:
    event = _text(row, "event")
    if event is None:
        raise RecordRejected("event is empty, and a name is needed")
    return event


def _day(value: Any) -> date:
    try:
        return datetime.fromisoformat(str(value)).date()
    except ValueError as error:
        raise RecordRejected(f"day is {value!r}, and a date like 2026-03-04 is needed") from error


def _count(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        number = int(str(value))
    except ValueError as error:
        raise RecordRejected(f"count is {value!r}, and a whole number is needed") from error
    if number < 0:
        raise RecordRejected(f"count is {number}, and it cannot be negative")
    return number
