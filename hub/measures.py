"""Measures: one number, date or text per account and day, each a function that returns a SELECT.

`@measure` declares one in Python; a YAML primitive compiles to the same. Both are explained by the
rows that their WHERE lets through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Double,
    Select,
    Subquery,
    cast,
    distinct,
    func,
    literal_column,
    select,
    tuple_,
)

from .conditions import Name, compile_condition
from .definitions import MeasureDef
from .errors import PluginError
from .factnames import FIELDS
from .facts import Facts, Measured

Needs: TypeAlias = Literal["usage", "tickets", "billing"] | None
Kind: TypeAlias = Literal["number", "text", "date"]

SOURCES: Mapping[str, Needs] = {
    "usage": "usage",
    "tickets": "tickets",
    "invoices": "billing",
    "attempts": "billing",
    "subscriptions": "billing",
    "accounts": None,
}
"""Which kind of source a fact view needs to be covered by."""


@dataclass(frozen=True)
class Measure:
    """A named measure. `needs` is the kind of source that must cover the account (None: none).

    `empty`: what no row means where it is covered. `reach_days` is how many days back it looks:
    the first of them must be covered too (None: all that is there). `configured` tells whether
    hub.yaml names what the measure asks for.
    """

    name: str
    select: Callable[[Facts, str], Measured]
    needs: Needs
    empty: Literal["zero", "unknown"]
    kind: Kind = "number"
    unit: str | None = None
    title: str = ""
    reach_days: int | None = None
    asks_for: str | None = None

    def configured(self, facts: Facts) -> bool:
        """Whether hub.yaml names what this measure asks for."""
        return self.asks_for is None or bool(getattr(facts, self.asks_for))

    def as_name(self) -> Name:
        """What a condition may know of it."""
        return Name(self.kind, self.unit)


def measure(
    *,
    unit: str | None = None,
    needs: Needs = None,
    empty: Literal["zero", "unknown"] = "unknown",
    kind: Kind = "number",
    reach_days: int | None = None,
    asks_for: str | None = None,
) -> Callable[[Callable[[Facts], Measured]], Measure]:
    """Declare a measure; its name and title come from the function and its first line."""

    def declare(function: Callable[[Facts], Measured]) -> Measure:
        return Measure(
            name=function.__name__,
            select=lambda facts, dialect: function(facts),
            needs=needs,
            empty=empty,
            kind=kind,
            unit=unit,
            title=(function.__doc__ or "").strip().split("\n")[0].rstrip("."),
            reach_days=reach_days,
            asks_for=asks_for,
        )

    return declare


def from_yaml(definition: MeasureDef, others: Mapping[str, Measure]) -> Measure:
    """The measure that a YAML primitive stands for; a ratio divides two of the `others`."""
    if definition.primitive == "ratio":
        return _ratio(definition, others)
    name = definition.as_name()
    kind: Any = name.kind
    return Measure(
        name=definition.name,
        select=lambda facts, dialect: _primitive(definition, facts, dialect),
        needs=SOURCES[definition.source],
        empty=definition.empty,
        kind=kind,
        unit=name.unit,
        title=definition.title or definition.name.replace("_", " "),
        reach_days=definition.window + definition.ending if definition.window else None,
    )


def _primitive(definition: MeasureDef, facts: Facts, dialect: str) -> Measured:
    view = facts.view(definition.source)
    claims = list(_claims(definition, facts, view, dialect))
    if definition.primitive == "latest":
        return _latest(facts, view, view.c[definition.field or ""], claims)
    number = _aggregate(definition, view)
    statement = select(view.c.account_id, number, facts.newest(view)).group_by(view.c.account_id)
    return statement.where(*claims)


def _claims(
    definition: MeasureDef, facts: Facts, view: Subquery, dialect: str
) -> Iterator[ColumnElement[bool]]:
    """What a row must be to count: inside the window, and as `where:` says."""
    if definition.window:
        yield facts.window(view.c.day, definition.window, ending=definition.ending)
    if definition.where:
        condition = compile_condition(
            definition.where, FIELDS[definition.source], where=definition.place("where")
        )
        compiled = condition.sql("postgresql" if dialect == "postgresql" else "sqlite")
        yield literal_column(f"({compiled})")


def _aggregate(definition: MeasureDef, view: Subquery) -> ColumnElement[Any]:
    if definition.primitive == "count":
        return func.count()
    column = view.c[definition.field or ""]
    return func.count(distinct(column)) if definition.primitive == "distinct" else func.sum(column)


def _latest(
    facts: Facts,
    view: Subquery,
    column: ColumnElement[Any],
    claims: Sequence[ColumnElement[bool]],
) -> Measured:
    """The value in each account's newest row that has one."""
    newest = facts.newest(view)
    of_account = select(view.c.account_id, newest).group_by(view.c.account_id)
    rows = of_account.where(column.is_not(None), *claims).correlate(None)
    return select(view.c.account_id, column, view.c.key).where(
        tuple_(view.c.account_id, view.c.key).in_(rows)
    )


def _ratio(definition: MeasureDef, others: Mapping[str, Measure]) -> Measure:
    above, below = others[definition.source], others[definition.over or ""]
    if above.needs != below.needs:
        raise PluginError(
            f"measure {definition.name} divides {above.name} by {below.name}, which need different"
            " sources",
            where=definition.place(),
        )

    def divided(facts: Facts, dialect: str) -> Measured:
        top = columns(above.select(facts, dialect)).subquery("above")
        bottom = columns(below.select(facts, dialect)).subquery("below")
        value = cast(top.c.value, Double) / func.nullif(cast(bottom.c.value, Double), 0)
        return select(top.c.account_id, value, top.c.evidence).join(
            bottom, top.c.account_id == bottom.c.account_id
        )

    reach = None
    if above.reach_days and below.reach_days:
        reach = max(above.reach_days, below.reach_days)
    return Measure(
        definition.name, divided, above.needs, "unknown", title=definition.title or definition.name,
        unit=definition.unit, reach_days=reach,
    )  # fmt: skip


def columns(statement: Select[Any]) -> Select[Any]:
    """The same SELECT with its three columns named account_id, value and evidence."""
    account, value, evidence = statement.selected_columns
    return statement.with_only_columns(
        account.label("account_id"), value.label("value"), evidence.label("evidence")
    )
