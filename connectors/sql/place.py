"""Where the stream stands, and where the next run goes on so that no row is missed (R4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from hub import Position

from .values import cursor_at, latest_instant, packed, unpacked


@dataclass(frozen=True)
class Place:
    """Where reading goes on: behind a row, or at a cursor and from there (`key` None)."""

    cursor: Any
    key: Any = None


@dataclass(frozen=True)
class Standing:
    """How far reading came (`place`), when it looked (`looked_at`), and for which query (`of`).

    `is_first` holds until everything was read once; `since` is how far back that need go.
    """

    of: str
    looked_at: datetime
    place: Place | None = None
    since: datetime | None = None
    is_first: bool = True

    @classmethod
    def stored(cls, at: Position | None, of: str, *, now: datetime) -> Standing:
        """The standing of a position; with another query, column or key reading begins anew."""
        state = at.state if at else {}
        since = at.since if at else None
        if state.get("of") != of:
            return cls(of, now, since=since)
        return cls(
            of,
            datetime.fromisoformat(str(state["looked_at"])),
            _place(state),
            since,
            bool(state["first"]),
        )

    def position(self) -> Position:
        """The standing as the hub keeps it, each value with its type."""
        state: dict[str, JsonValue] = {
            "of": self.of,
            "looked_at": self.looked_at.isoformat(),
            "first": self.is_first,
        }
        if self.since:
            state["since"] = self.since.isoformat()
        if self.place:
            state |= {"cursor": packed(self.place.cursor), "key": packed(self.place.key)}
        return Position(state=state)

    def start(self, lag: timedelta, zone: ZoneInfo) -> Place | None:
        """Where to go on, so that rows which became visible up to `lag` late are read too.

        What was written `lag` before the last look was all visible then; what is later is read once
        more. That also holds for a row whose cursor lies in the future.
        """
        if self.place is None:
            return None
        latest = latest_instant(self.place.cursor, zone)
        sure = self.looked_at - lag
        if latest is None or latest <= sure:
            return self.place
        return Place(cursor_at(self.place.cursor, sure, zone))


def _place(state: Mapping[str, JsonValue]) -> Place | None:
    if "cursor" not in state:
        return None
    return Place(unpacked(state["cursor"]), unpacked(state["key"]))
