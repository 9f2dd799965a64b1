"""What we read: the query's rows in the order in which they were written, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from hub import ConfigError, Page, Position, Row, stream

from .client import Database
from .mapping import to_usage_day
from .settings import SqlSettings


class Reads:
    """The one stream: usage days."""

    settings: SqlSettings
    database: Database

    @stream(maps=to_usage_day)
    def usage(self, at: Position | None) -> Iterator[Page]:
        """Usage days, oldest written first; a row written again comes again."""
        position = dict(at.state) if at else {}
        is_first = "cursor" not in position
        while True:
            rows = self._after(position)
            if not rows:
                yield Page((), at=Position(state=position) if position else None, complete=is_first)
                return
            last = rows[-1]
            position = {
                "cursor": _plain(last[self.settings.cursor]),
                "key": _plain(last[self.settings.key]),
            }
            yield Page([self._named(row) for row in rows], at=Position(state=position))

    def _after(self, position: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The next rows behind a position, ordered by cursor and key.

        A tie that would be cut in two is read to its end, so no row of it is lost.
        """
        size = self.settings.page_rows
        rows = self._select(position, size)
        if len(rows) == size:
            last = rows[-1]
            tie = self._ties(last)
            known = [row for row in rows if not self._same_place(row, last)]
            rows = [*known, *tie]
        return rows

    def _select(self, position: Mapping[str, Any], size: int) -> list[dict[str, Any]]:
        cursor, key = self._column(self.settings.cursor), self._column(self.settings.key)
        behind, given = "", dict[str, Any]()
        if "cursor" in position:
            behind = f"WHERE ({cursor} > :cursor OR ({cursor} = :cursor AND {key} > :key))"
            given = {"cursor": position["cursor"], "key": position["key"]}
        return self.database.rows(
            f"SELECT * FROM ({self.database.query}) AS read_rows {behind}"  # noqa: S608 - checked
            f" ORDER BY {cursor}, {key} LIMIT {size}",
            given,
        )

    def _ties(self, last: Mapping[str, Any]) -> list[dict[str, Any]]:
        cursor, key = self._column(self.settings.cursor), self._column(self.settings.key)
        return self.database.rows(
            f"SELECT * FROM ({self.database.query}) AS read_rows"  # noqa: S608 - checked
            f" WHERE {cursor} = :cursor AND {key} = :key",
            {
                "cursor": _plain(last[self.settings.cursor]),
                "key": _plain(last[self.settings.key]),
            },
        )

    def _same_place(self, row: Mapping[str, Any], last: Mapping[str, Any]) -> bool:
        names = (self.settings.cursor, self.settings.key)
        return all(row[name] == last[name] for name in names)

    def _column(self, name: str) -> str:
        if not name.isidentifier():
            raise ConfigError(f"{name} is no column name", where=self.database.where)
        return self.database.engine.dialect.identifier_preparer.quote(name)

    def _named(self, row: Mapping[str, Any]) -> Row:
        """The row in the hub's words: only the columns that mean something are handed on."""
        named = {ours: _plain(row.get(theirs)) for ours, theirs in self.settings.columns.items()}
        return {**named, "id": _plain(row[self.settings.key]), "crm": self.settings.crm}


def _plain(value: Any) -> Any:
    """A database value as JSON can hold it, exactly."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value
