"""A database's values as JSON, exactly, and back again where they say where a stream stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import JsonValue

_EXACT = 10**18


def plain(value: Any) -> JsonValue:
    """A value as JSON can hold it; instants with a zone are told in UTC, bytes as hexadecimal."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case Decimal():
            return _number(value)
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case list() | tuple():
            return [plain(item) for item in value]
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
    return str(value)


def _number(value: Decimal) -> int | str:
    is_whole = value.is_finite() and abs(value) < _EXACT and value == value.to_integral_value()
    return int(value) if is_whole else str(value)


# --- where a stream stands ------------------------------------------------------------------------

_KINDS: Mapping[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "text": (str, str, str),
    "int": (int, str, int),
    "float": (float, repr, float),
    "decimal": (Decimal, str, Decimal),
    "instant": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "uuid": (UUID, str, UUID),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}


def packed(value: Any) -> list[JsonValue]:
    """A cursor or key with its type, for a position. TypeError for what has no order to read in."""
    value = bytes(value) if isinstance(value, memoryview | bytearray) else value
    for kind, (type_, write, _) in _KINDS.items():
        if type(value) is type_:
            return [kind, write(value)]
    raise TypeError(type(value).__name__)


def unpacked(pair: Any) -> Any:
    """What `packed` was given: the same value of the same type."""
    kind, text = pair
    return _KINDS[kind][2](text)


# --- cursors as time ------------------------------------------------------------------------------


def latest_instant(cursor: Any, zone: ZoneInfo) -> datetime | None:
    """The last instant that a cursor may stand for (a date: its end); None when it is no time."""
    if isinstance(cursor, str):
        cursor = _from_text(cursor)
    if isinstance(cursor, datetime):
        return cursor if cursor.tzinfo else cursor.replace(tzinfo=zone)
    if isinstance(cursor, date):
        return datetime.combine(cursor + timedelta(days=1), time(), zone)
    return None


def cursor_at(like: Any, at: datetime, zone: ZoneInfo) -> Any:
    """A cursor of the kind of `like` that is not after `at`; `like` must stand for a time."""
    if isinstance(like, str):
        known = _from_text(like)
        early = cursor_at(known, at, zone)
        if isinstance(early, datetime):  # Without fraction and zone it sorts before both.
            return early.replace(tzinfo=None).isoformat(sep=like[10], timespec="seconds")
        return early.isoformat()
    if isinstance(like, datetime):
        there = at.astimezone(like.tzinfo or zone)
        return there if like.tzinfo else there.replace(tzinfo=None)
    return at.astimezone(zone).date()


def _from_text(text: str) -> datetime | date | None:
    """The time in a text such as `2026-03-04 10:00:00`, which also sorts as a text."""
    if text[4:5] != "-" or text[7:8] != "-":
        return None
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        return None
