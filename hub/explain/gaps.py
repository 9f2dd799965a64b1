"""What is not known about an account, why, and which one connection would help most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from ..decide.gaps import SOURCES, Gaps
from ..measures import Measure
from ..store import table_of
from ..store.tables import Coverage

Document = dict[str, Any]


def not_known(
    reading: Connection,
    measures: Mapping[str, Measure],
    account_id: str,
    day: date,
    waiting: Sequence[str],
    inputs: Sequence[Document],
) -> list[Document]:
    """Inputs of the score without a value, then measures that an unknown signal waits for."""
    gaps = Gaps(reading, day)
    weights = {part["measure"]: part["weight"] for part in inputs if part["points"] is None}
    names = sorted({*weights, *waiting}, key=lambda name: (-weights.get(name, 0.0), name))
    return [
        {
            "name": name,
            "weight": round(weights.get(name, 0.0), 2),
            "source": measures[name].needs,
            "why": gaps.why(account_id, measures[name]),
        }
        for name in names
        if name in measures
    ]


def most_helpful(
    reading: Connection, gaps: Sequence[Document], inputs: Sequence[Document]
) -> Document | None:
    """The kind of source whose missing values weigh most, and where it could come from."""
    weights: dict[str, float] = {}
    for gap in gaps:
        if gap["source"] is not None:
            weights[gap["source"]] = weights.get(gap["source"], 0.0) + gap["weight"]
    if not weights:
        return None
    source = max(weights, key=lambda one: (weights[one], one))
    table = table_of(Coverage)
    names = select(table.c.connection).where(table.c.kind == source).distinct()
    connections = sorted(reading.execute(names).scalars())
    whole = sum(part["weight"] for part in inputs)
    where = f"in {' or '.join(connections)}" if connections else "by a new connection"
    gain = f", {weights[source]:.0f} of {whole:.0f} points of weight" if weights[source] else ""
    return {
        "source": source,
        "connections": connections,
        "weight": round(weights[source], 2),
        "of": round(whole, 2),
        "says": f"what {SOURCES[source][1]} says about this account {where}{gain}",
    }
