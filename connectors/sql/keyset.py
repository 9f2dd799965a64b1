"""Pages of a query in the order in which its rows were written: by cursor, then by key.

A page ends only where cursor and key change, so rows that share both always come together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Select,
    Subquery,
    and_,
    bindparam,
    column,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.types import NullType

from hub import ConfigError

from .client import Database, Record
from .place import Place

MAX_TIE = 100_000
_ROW_VALUES = ("sqlite", "postgresql", "mysql", "mariadb")
"""Databases that compare `(a, b) > (c, d)`, and use an index for it."""


class Keyset:
    """The rows of the admin's query, page by page. `extra` are more columns to fetch."""

    def __init__(self, database: Database, *, extra: Sequence[str] = ()) -> None:
        self.database = database
        self.settings = database.settings
        self._extra = extra

    @cached_property
    def sample(self) -> Record | None:
        """Any one row: it shows of which types the columns are."""
        return next(iter(self._fetch(self._all.limit(1), None)), None)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What to fetch. ConfigError when the query lacks a column that is needed."""
        with self.database.reading() as connection:
            there = list(connection.execute(self._all.limit(0), self._given(None)).keys())
        key, cursor = self.settings.key, self.settings.cursor
        needed = {key, cursor, *self.settings.columns.needed, *self._extra}
        if missing := sorted(needed.difference(there)):
            raise ConfigError(
                f"the query has no column {', '.join(missing)}; it has {', '.join(there)}",
                where=self.database.where,
                do="Correct key, cursor, columns or keep, or name it so in the query: … AS id",
            )
        wanted = needed.union(dict(self.settings.columns).values())
        return tuple(name for name in dict.fromkeys(there) if name in wanted)

    def after(self, place: Place | None, since: date | None) -> tuple[list[Record], bool]:
        """The next whole page, and whether it is the last. `since`: days before it are left out."""
        size = self.settings.page_rows
        while size <= MAX_TIE:
            statement = self._ordered.where(*self._behind(place), *self._not_before(since))
            rows = self._fetch(statement.limit(size + 1), place)
            if len(rows) <= size:
                return rows, True
            if whole := _without_last_place(rows, self.place_of):
                return whole, False
            size *= 4
        raise ConfigError(
            f"more than {MAX_TIE} rows share {self.settings.cursor} and {self.settings.key}",
            where=self.database.where,
            do="Let key name the row's own id",
        )

    def without_place(self, since: date | None) -> list[Record]:
        """Rows without cursor or key, which have no place in the order and are read each time."""
        size = self.settings.page_rows
        lost = or_(self._cursor.is_(None), self._key.is_(None))
        statement = self._chosen.where(lost, *self._not_before(since)).limit(size + 1)
        rows = self._fetch(statement, None)
        if len(rows) > size:
            raise ConfigError(
                f"more than {size} rows have no {self.settings.cursor} or {self.settings.key}",
                where=self.database.where,
                do="Fill it in the query: COALESCE(updated_at, created_at) AS updated_at",
            )
        return rows

    def place_of(self, row: Record) -> Place:
        """Where a row stands in the order."""
        return Place(row[self.settings.cursor], row[self.settings.key])

    # --- the statements ---------------------------------------------------------------------------

    @cached_property
    def _all(self) -> Select[Any]:
        query = text(self.database.statement.text).columns().subquery("q")
        return select(text("*")).select_from(query)

    @cached_property
    def _query(self) -> Subquery:
        named: list[ColumnClause[Any]] = [column(name) for name in self.columns]
        return text(self.database.statement.text).columns(*named).subquery("q")

    @property
    def _chosen(self) -> Select[Any]:
        return select(*self._query.c)

    @property
    def _ordered(self) -> Select[Any]:
        has_place = (self._cursor.is_not(None), self._key.is_not(None))
        return self._chosen.where(*has_place).order_by(self._cursor, self._key)

    @property
    def _cursor(self) -> ColumnElement[Any]:
        return self._query.c[self.settings.cursor]

    @property
    def _key(self) -> ColumnElement[Any]:
        return self._query.c[self.settings.key]

    def _behind(self, place: Place | None) -> tuple[ColumnElement[bool], ...]:
        if place is None:
            return ()
        cursor = _as_it_is("hub_cursor", place.cursor)
        if place.key is None:
            return (self._cursor >= cursor,)
        key = _as_it_is("hub_key", place.key)
        if self.database.backend in _ROW_VALUES:
            return (tuple_(self._cursor, self._key) > tuple_(cursor, key),)
        is_tie = and_(self._cursor == cursor, self._key > key)
        return (or_(self._cursor > cursor, is_tie),)

    def _not_before(self, since: date | None) -> tuple[ColumnElement[bool], ...]:
        """Rows of a day before `since` are left out where the type of the day is known."""
        name = self.settings.columns.day
        first = _like(self.sample[name], since) if since and self.sample else None
        if first is None:
            return ()
        day = self._query.c[name]
        return (or_(day >= _as_it_is("hub_since", first), day.is_(None)),)

    def _fetch(self, statement: Select[Any], place: Place | None) -> list[Record]:
        return self.database.rows(statement, self._given(place))

    def _given(self, place: Place | None) -> dict[str, Any]:
        known = {"cursor": place and place.cursor, "cursor_id": place and place.key}
        return {name: known[name] for name in self.database.statement.binds}


def _as_it_is(name: str, value: Any) -> ColumnElement[Any]:
    """A value that the driver hands on with its own type: no cast is put around it."""
    return bindparam(name, value, type_=NullType())


def _without_last_place(rows: list[Record], place_of: Callable[[Record], Place]) -> list[Record]:
    last = place_of(rows[-1])
    end = len(rows)
    while end and place_of(rows[end - 1]) == last:
        end -= 1
    return rows[:end]


def _like(sample: object, since: date) -> object | None:
    """`since` as a value of the sample's type; None when the two cannot be compared."""
    match sample:
        case datetime():
            return datetime.combine(since, time(), sample.tzinfo) - timedelta(days=1)
        case date():
            return since
        case str() if sample[4:5] == sample[7:8] == "-":
            return since.isoformat()
    return None
