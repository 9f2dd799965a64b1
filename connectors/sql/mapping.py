"""What a row of the query means: one event of one account on one day."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from hub import AccountRef, RecordRejected, Row, UsageDay


def to_usage_day(row: Row) -> UsageDay:
    """One usage day; the account is named by its CRM id, else by its domain."""
    return UsageDay(
        id=str(row["id"]),
        account=AccountRef(
            vendor=row["crm"] if row.get("crm_id") else None,
            external_id=str(row["crm_id"]) if row.get("crm_id") else None,
            domain=row.get("domain"),
        ),
        day=_day(row.get("day")),
        event=_text(row, "event"),
        count=_whole(row.get("count")),
        person=row.get("person"),
    )


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise RecordRejected(f"{name} is {value!r}, and a text is needed")
    return value


def _day(value: Any) -> date:
    try:
        return datetime.fromisoformat(str(value)).date()
    except ValueError as error:
        raise RecordRejected(f"day is {value!r}, and a date is needed") from error


def _whole(value: Any) -> int:
    try:
        number = int(str(value))
    except ValueError as error:
        raise RecordRejected(f"count is {value!r}, and a whole number is needed") from error
    if number < 0:
        raise RecordRejected(f"count is {number}, and it cannot be negative")
    return number
