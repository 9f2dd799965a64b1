"""Keeps paging from going round in circles."""

from __future__ import annotations

from .answers import Json
from .errors import ReadRefused

_STUCK_PAGES = 3


class Turning:
    """Watches one list being paged through.

    A link or token that came before, or three pages in a row without a new id, is PAGINATION_STUCK.
    One repeated page alone is a vendor's hiccup: its rows are simply stored again.
    """

    def __init__(self, connection: str, path: str) -> None:
        self._connection = connection
        self._path = path
        self._onward: set[str] = set()
        self._pages: set[int] = set()
        self._last: frozenset[str] = frozenset()
        self._idle = 0

    def page(self, rows: list[Json]) -> None:
        """Look at a page's ids; rows without an `id` count as new."""
        ids = frozenset(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)
        known = hash(ids) in self._pages or ids <= self._last
        has_news = bool(rows) and not (ids and known)
        self._idle = 0 if has_news else self._idle + 1
        self._pages.add(hash(ids))
        self._last = ids
        if self._idle >= _STUCK_PAGES:
            raise self._stuck(f"gave {_STUCK_PAGES} pages without anything new")

    def onward(self, mark: str) -> None:
        """Look at the link or token of the next page."""
        if mark in self._onward:
            raise self._stuck("names a next page that it named before")
        self._onward.add(mark)

    def _stuck(self, what: str) -> ReadRefused:
        return ReadRefused(
            f"GET {self._path.partition('?')[0]} {what}",
            where=self._connection,
            do="What was read is kept; tell the vendor's support when it happens again",
            code="PAGINATION_STUCK",
        )


def dig(answer: Json, path: str) -> Json:
    """The value under a dotted path, or None where a part is missing."""
    for part in path.split("."):
        answer = answer.get(part) if isinstance(answer, dict) else None
    return answer
