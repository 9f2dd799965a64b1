"""Measures and signals of one day, for every customer, in the database.

One temporary table has a row an account and a column a measure or signal; coverage turns "no row"
into zero or unknown, here and nowhere else (DESIGN 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Double,
    FromClause,
    Insert,
    MetaData,
    String,
    Table,
    Update,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    update,
)

from ..conditions import Condition, Dialect, Name, compile_condition, negate
from ..config import Config
from ..configfiles import ACCOUNT_NAMES
from ..definitions import SignalDef
from ..facts import Facts
from ..measures import Measure, columns, from_yaml
from ..store import table_of
from ..store.tables import Coverage

Value: TypeAlias = float | int | str | date | bool | None


class Registry:
    """Every measure and signal of this installation, and the conditions compiled once."""

    def __init__(
        self,
        measures: Mapping[str, Measure],
        signals: Sequence[SignalDef],
        table_name: str = "judged",
    ) -> None:
        self.measures = measures
        self.signals = signals
        self.table_name = table_name
        self._names = {name: one.as_name() for name, one in measures.items()}
        self._names.update({signal.name: Name("boolean") for signal in signals})
        self._compiled: dict[tuple[str, str | None, bool], Condition] = {}
        self._parts: dict[frozenset[str], Registry] = {}
        self._steps: dict[tuple[str, str], list[Update]] = {}

    @cached_property
    def table(self) -> Table:
        """The temporary table of a day, one object for all days: SQL is then compiled once."""
        columns: list[Column[Any]] = [
            Column("account_id", String, primary_key=True),
            Column("segment", String),
        ]
        kinds: Mapping[str, Any] = {"number": Double, "text": String, "date": Date}
        for name, one in self.measures.items():
            kind: Any = BigInteger if one.unit in ("count", "days", "minor") else kinds[one.kind]
            columns += [Column(name, kind), Column(f"{name}__by", String)]
        columns += [Column(signal.name, Boolean) for signal in self.signals]
        fields: Mapping[str, Any] = {"number": BigInteger, "text": String}
        for name, about in ACCOUNT_NAMES.items():
            if name not in self.measures:
                columns.append(Column(name, fields[about.kind]))
        return Table(self.table_name, MetaData(), *columns, prefixes=["TEMPORARY"])

    def condition(self, signal: SignalDef, segment: str | None) -> Condition:
        """A signal's compiled condition for one segment."""
        return self._once(signal, segment, ends=False)

    def clears(self, signal: SignalDef, segment: str | None) -> Condition:
        """What ends a signal: its `clears:`, else that the condition is no longer true."""
        if signal.clears is None:
            return negate(self.condition(signal, segment))
        return self._once(signal, segment, ends=True)

    def _once(self, signal: SignalDef, segment: str | None, *, ends: bool) -> Condition:
        key = (signal.name, segment if segment in signal.by_segment else None, ends)
        if key not in self._compiled:
            self._compiled[key] = compile_condition(
                (signal.clears or "") if ends else signal.when,
                self._names,
                signal.given_for(segment),
                where=signal.place("clears" if ends else "when"),
            )
        return self._compiled[key]

    def steps(self, segments: Mapping[str, str], dialect: Dialect) -> Sequence[Update]:
        """What fills the table's segments and signals, the same for every day."""
        key = (dialect, repr(segments))
        if key not in self._steps:
            signals = [one for s in self.signals for one in self._signal(s, segments, dialect)]
            self._steps[key] = [*self._segment(segments, dialect), *signals]
        return self._steps[key]

    def _segment(self, segments: Mapping[str, str], dialect: Dialect) -> Iterator[Update]:
        """The first segment of hub.yaml whose condition is true."""
        claims = [
            (compile_condition(when, ACCOUNT_NAMES, where=f"hub.yaml, segment {name}"), name)
            for name, when in segments.items()
        ]
        if claims:
            first = case(*((_claim(one, dialect), literal(name)) for one, name in claims))
            yield update(self.table).values(segment=first)

    def _signal(
        self, signal: SignalDef, segments: Mapping[str, str], dialect: Dialect
    ) -> Iterator[Update]:
        """Fill a signal's column; segments with values of their own are filled apart."""
        own = [name for name in signal.by_segment if name in segments]
        for segment in (None, *own):
            claim = _claim(self.condition(signal, segment), dialect)
            statement = update(self.table).values({signal.name: claim})
            yield statement if segment is None else statement.where(self.table.c.segment == segment)

    def measures_in(self, names: Iterable[str]) -> Iterator[Measure]:
        """The measures that a condition reads, those of the signals it names included."""
        for name in sorted(names):
            if name in self.measures:
                yield self.measures[name]
            for signal in self.signals:
                if signal.name == name:
                    yield from self.measures_in(self.condition(signal, None).names)

    def for_other_days(self, names: Iterable[str]) -> Registry:
        """The part of the registry that these measures and signals need, in the same order.

        It has a table of its own: looking at other days leaves the day that is judged in place.
        """
        wanted = set(names)
        for signal in reversed(self.signals):
            if signal.name in wanted:
                wanted |= self.condition(signal, None).names
        if (key := frozenset(wanted)) not in self._parts:
            kept = [signal for signal in self.signals if signal.name in wanted]
            needed = {one.name: one for one in self.measures_in(wanted)}
            self._parts[key] = part = Registry(needed, kept, "judged_before")
            part._names, part._compiled = self._names, self._compiled
        return self._parts[key]


def registry(config: Config) -> Registry:
    """The measures of the loaded plugins and of the YAML files, and the signals over them."""
    found: dict[str, Measure] = {
        one.name: one for one in config.plugins.measures if isinstance(one, Measure)
    }
    ratios = []
    for definition in config.definitions.measures.values():
        if definition.primitive == "ratio":
            ratios.append(definition)
        else:
            found[definition.name] = from_yaml(definition, found)
    for definition in ratios:
        found[definition.name] = from_yaml(definition, found)
    signals = [config.definitions.signals[name] for name in config.definitions.signal_order]
    return Registry(found, signals)


@dataclass
class Judged:
    """One account's day: its segment, measures, signals and the rows that speak for them."""

    account_id: str
    segment: str | None
    values: dict[str, Value] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        """A measure's value as a number; None when it is unknown or no number."""
        value = self.values.get(name)
        return float(value) if isinstance(value, int | float) else None

    def truth(self, signal: str) -> bool | None:
        """A signal: true, false or unknown."""
        value = self.values.get(signal)
        return None if value is None else bool(value)


class Evaluation:
    """Evaluates one day for all customers, or for the accounts named."""

    def __init__(
        self,
        reading: Connection,
        config: Config,
        measures: Registry,
        day: date,
        accounts: Sequence[str] | None = None,
    ) -> None:
        self.reading = reading
        self.config = config
        self.dialect: Dialect = "postgresql" if reading.dialect.name == "postgresql" else "sqlite"
        self.facts = Facts(day, config.login_events, config.key_features)
        self.registry = measures
        self.measures = measures.measures
        self.signals = measures.signals
        self.only = accounts
        self.table = measures.table

    def run(self) -> dict[str, Judged]:
        """Every account's values; the temporary table is gone with the transaction."""
        self.reading.exec_driver_sql(f"DROP TABLE IF EXISTS {self.table.name}")
        self.table.create(self.reading)
        self.reading.execute(self._filled())
        for step in self.registry.steps(self.config.segments, self.dialect):
            self.reading.execute(step)
        return self._read()

    # --- measures -----------------------------------------------------------------------------

    def _filled(self) -> Insert:
        """Every customer with the day's measures."""
        accounts = self.facts.accounts
        source: FromClause = accounts
        chosen: list[Any] = [accounts.c.account_id]
        targets = ["account_id"]
        covered: dict[str, FromClause] = {}
        for name, one in self.measures.items():
            measured = columns(one.select(self.facts, self.dialect)).subquery(f"m_{name}")
            source = source.outerjoin(measured, measured.c.account_id == accounts.c.account_id)
            if one.needs and one.needs not in covered:
                covered[one.needs] = cover = self._coverage(one.needs)
                source = source.outerjoin(cover, cover.c.account_id == accounts.c.account_id)
            value = self._with_coverage(one, measured, covered)
            chosen += [value, case((value.is_not(None), measured.c.evidence), else_=null())]
            targets += [name, f"{name}__by"]
        for name in ACCOUNT_NAMES:
            if name not in self.measures and name in accounts.c:
                chosen.append(accounts.c[name])
                targets.append(name)
        statement = select(*chosen).select_from(source)
        if self.only is not None:
            statement = statement.where(accounts.c.account_id.in_(self.only))
        return self.table.insert().from_select(targets, statement)

    def _coverage(self, kind: str) -> FromClause:
        """Since when an account is covered by this kind of source, where all of it speaks today.

        One stale or lost source of two makes the kind unknown: the other one's zero is half of it.
        """
        table = table_of(Coverage)
        speaks = and_(table.c.basis != "lost", table.c.fresh_until >= literal(self.facts.day, Date))
        return (
            select(table.c.account_id, func.min(table.c.from_day).label("from_day"))
            .where(table.c.kind == kind)
            .group_by(table.c.account_id)
            .having(func.min(case((speaks, 1), else_=0)) == 1)
            .subquery(f"covered_{kind}")
        )

    def _with_coverage(
        self, one: Measure, measured: FromClause, covered: Mapping[str, FromClause]
    ) -> Any:
        value = measured.c.value
        if not one.configured(self.facts):
            return cast(null(), value.type)
        if one.needs is None:
            return value
        first = self.facts.day
        if one.reach_days is not None and one.empty == "zero":
            first -= timedelta(days=one.reach_days - 1)
        known = covered[one.needs].c.from_day <= literal(first, Date)
        filled = func.coalesce(value, 0) if one.empty == "zero" else value
        return case((known, filled), else_=cast(null(), value.type))

    # --- reading the table --------------------------------------------------------------------

    def _read(self) -> dict[str, Judged]:
        found: dict[str, Judged] = {}
        names = [*self.measures, *(signal.name for signal in self.signals)]
        for row in self.reading.execute(select(self.table)).mappings():
            found[row["account_id"]] = Judged(
                account_id=row["account_id"],
                segment=row["segment"],
                values={name: row[name] for name in names},
                evidence={name: row[f"{name}__by"] for name in self.measures if row[f"{name}__by"]},
            )
        return found

    def holds(self, condition: Condition, account_id: str) -> bool | None:
        """A condition's truth for one account of this evaluation."""
        answer = self.reading.execute(
            select(_claim(condition, self.dialect))
            .select_from(self.table)
            .where(self.table.c.account_id == account_id)
        ).scalar()
        return None if answer is None else bool(answer)


def _claim(condition: Condition, dialect: Dialect) -> ColumnElement[Any]:
    return literal_column(f"({condition.sql(dialect)})")
