"""What would make a true condition false: the smallest change of one name, found by asking the SQL.

Candidates come from the tree (the edges of its comparisons); whether one clears the condition is
asked of the same SQL that judges accounts, so an answer is never wrong, only sometimes missing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from sqlglot import exp

from .database import to_sql
from .tree import COMPARISONS, names_of, plain, shape_of

Reading: TypeAlias = int | float | Decimal | str | date | None


class _Change(NamedTuple):
    """`size` is relative to the value, so that a count and an amount can be compared."""

    size: float
    name: str
    value: int | float | str
    says: str


def smallest_change(tree: exp.Expr, values: Mapping[str, Reading]) -> str | None:
    """In words, the smallest change that surely clears; None when there is none or not true now."""
    with closing(sqlite3.connect(":memory:")) as database:
        ask = _Asked(database, {name: values.get(name) for name in sorted(names_of(tree))})
        if not ask.holds(tree):
            return None
        changes = sorted(_changes(tree, ask), key=lambda change: change.size)
        return next((c.says for c in changes if ask.clears(tree, c)), None)


class _Asked:
    """The values of one account, and SQLite to evaluate parts of the tree over them."""

    def __init__(self, database: sqlite3.Connection, values: Mapping[str, Reading]) -> None:
        self.database = database
        self.values = values

    def value(self, node: exp.Expr, **changed: Reading) -> int | float | None:
        row = {name: _stored(value) for name, value in {**self.values, **changed}.items()}
        columns = ", ".join(f":{name} AS `{name}`" for name in row) or "1"
        query = f"SELECT {to_sql(node, 'sqlite')} FROM (SELECT {columns})"  # noqa: S608
        found: int | float | None = self.database.execute(query, row).fetchone()[0]
        return found

    def holds(self, tree: exp.Expr) -> bool:
        return self.value(tree) == 1

    def clears(self, tree: exp.Expr, change: _Change) -> bool:
        return self.value(tree, **{change.name: change.value}) == 0


def _stored(value: Reading) -> int | float | str | None:
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def _changes(tree: exp.Expr, ask: _Asked) -> Iterator[_Change]:
    for node in tree.walk():
        if isinstance(node, exp.Column) and shape_of(node).kind == "boolean":
            yield from _flip(node.name, ask)
        elif isinstance(node, (*COMPARISONS, exp.Between, exp.In)):
            left, *others = node.iter_expressions()
            for right in others:
                if shape_of(left).kind == "number":
                    yield from _crossings(left, right, ask)
                elif shape_of(left).kind == "text":
                    yield from _other_texts(left, right, ask)


def _flip(name: str, ask: _Asked) -> Iterator[_Change]:
    if (now := ask.values[name]) is not None:
        says = f"{name} is no longer true" if now else f"{name} becomes true"
        yield _Change(1.0, name, int(not now), says)


def _other_texts(left: exp.Expr, right: exp.Expr, ask: _Asked) -> Iterator[_Change]:
    for column, other in ((left.unnest(), right.unnest()), (right.unnest(), left.unnest())):
        if isinstance(column, exp.Column) and isinstance(other, exp.Literal):
            if ask.values[column.name] == other.name:
                says = f"{column.name} is no longer {plain(other)}"
                yield _Change(1.0, column.name, "", says)
            elif ask.values[column.name] is not None:
                yield _Change(1.0, column.name, other.name, f"{column.name} becomes {plain(other)}")


def _crossings(left: exp.Expr, right: exp.Expr, ask: _Asked) -> Iterator[_Change]:
    gap = exp.Sub(this=exp.Paren(this=left.copy()), expression=exp.Paren(this=right.copy()))
    for name in sorted(names_of(gap)):
        now = ask.values[name]
        if not isinstance(now, int | float | Decimal):
            continue
        edge = _root(gap, name, float(now), ask)
        if edge is not None:
            yield from _around(name, float(now), edge)


def _root(gap: exp.Expr, name: str, now: float, ask: _Asked) -> float | None:
    """Where both sides are equal, if the gap is a straight line in this name."""
    here, near, far = (ask.value(gap, **{name: now + step}) for step in (0, 1, 2))
    if here is None or near is None or far is None or near == here:
        return None
    slope = near - here
    if abs((far - near) - slope) > 1e-9 * max(1.0, abs(slope)):
        return None
    return round(now - here / slope, 9)


def _around(name: str, now: float, edge: float) -> Iterator[_Change]:
    """To the edge itself, and just past it, on the far side from today's value."""
    size = abs(edge - now) / max(1.0, abs(now))
    step = 1.0 if edge.is_integer() else max(1.0, abs(edge)) * 1e-6
    if edge == now:
        yield _Change(size, name, edge - step, f"{name} falls below {_number(edge)}")
        yield _Change(size, name, edge + step, f"{name} rises above {_number(edge)}")
        return
    to, past = ("falls to", "falls below") if edge < now else ("rises to", "rises above")
    yield _Change(size, name, edge, f"{name} {to} {_number(edge)}")
    beyond = edge - step if edge < now else edge + step
    yield _Change(size, name, beyond, f"{name} {past} {_number(edge)}")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else f"{value:.4f}".rstrip("0")
