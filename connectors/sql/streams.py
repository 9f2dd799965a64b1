"""What we read: the query's rows in the order in which they were written, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from hashlib import blake2b

from hub import ConfigError, HubError, Page, Position, RetryLater, Row, stream

from .client import Database, Record
from .keyset import Keyset
from .mapping import KEPT, to_usage_day
from .place import Standing
from .settings import SqlSettings
from .values import plain


class Reads:
    """The one stream: usage days."""

    settings: SqlSettings
    database: Database
    now: Callable[[], datetime]
    custom_fields: Callable[[str], Sequence[str]]

    @stream(maps=to_usage_day, keeps=KEPT)
    def usage(self, at: Position | None) -> Iterator[Page]:
        """Usage days, oldest written first; a row that was written again comes again."""
        settings, keyset = self.settings, Keyset(self.database, extra=self.custom_fields("usage"))
        now = self.now()
        standing = Standing.stored(at, self._digest(), now=now)
        since = _day_before(standing.since) if standing.is_first else None
        place = standing.start(timedelta(seconds=settings.lag_s), settings.zone)
        standing = replace(standing, looked_at=now)
        if rows := keyset.without_place(since):
            yield Page(self._named(rows))
        read, is_last, before = 0, False, list[Row]()
        while not is_last:
            if read >= settings.max_rows:
                raise self._enough(read)
            rows, is_last = keyset.after(place, since)
            named = self._named(rows)
            if rows and named == before:
                raise self._stuck()
            if rows:
                place = keyset.place_of(rows[-1])
                standing = replace(standing, place=place)
            reached = replace(standing, is_first=standing.is_first and not is_last)
            is_complete = is_last and standing.is_first
            yield Page(named, at=self._position(reached), complete=is_complete)
            read, before = read + len(rows), named

    def _stuck(self) -> HubError:
        """Paging turns in a circle (R6)."""
        return HubError(
            f"a page gave the same rows as the one before: {self.settings.cursor} moves by itself",
            where=self.database.where,
            do="Let cursor name a column that is stored when a row is written",
            code="PAGINATION_STUCK",
        )

    def _position(self, standing: Standing) -> Position:
        try:
            return standing.position()
        except TypeError as error:
            raise ConfigError(
                f"{self.settings.cursor} or {self.settings.key} holds a {error}, and has no order",
                where=self.database.where,
                do="Name a column of numbers, times or texts as cursor and key",
            ) from error

    def _enough(self, read: int) -> RetryLater:
        return RetryLater(
            f"{read:,} rows were read, and max_rows is {self.settings.max_rows:,}",
            where=self.database.where,
            do="The next sync goes on from there; raise max_rows to read more at once",
            after_s=0,
        )

    def _named(self, rows: Sequence[Record]) -> list[Row]:
        """Rows in the hub's words, with the vendor whose ids they hold."""
        names = dict(self.settings.columns) | {"id": self.settings.key}
        extra = self.custom_fields("usage")
        return [
            {name: plain(row.get(name)) for name in extra}
            | {ours: plain(row.get(theirs)) for ours, theirs in names.items()}
            | {"crm": self.settings.crm}
            for row in rows
        ]

    def _digest(self) -> str:
        """Changes with whatever makes another row of the same data: then all is read again."""
        settings = self.settings
        said = (settings.query, settings.key, settings.cursor, dict(settings.columns), settings.crm)
        text = repr((*said, sorted(self.custom_fields("usage"))))
        return blake2b(text.encode(), digest_size=8).hexdigest()


def _day_before(since: datetime | None) -> date | None:
    """A day that is before `since` in every time zone."""
    return (since - timedelta(days=1)).date() if since else None
