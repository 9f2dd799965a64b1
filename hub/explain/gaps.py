"""What is not known about an account, why, and which one connection would help most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from ..config import Config
from ..decide.evaluate import registry
from ..measures import Measure
from ..store import as_dicts, table_of
from ..store.tables import Coverage

Document = dict[str, Any]
SOURCES: Mapping[str | None, str] = {
    "usage": "product usage",
    "tickets": "support desk",
    "billing": "billing",
    None: "account's own records",
}


def not_known(
    reading: Connection,
    config: Config,
    account_id: str,
    day: date,
    waiting: Sequence[str],
    inputs: Sequence[Document],
) -> list[Document]:
    """Inputs of the score without a value, and measures that an unknown signal waits for."""
    measures = registry(config).measures
    weights = {part["measure"]: part["weight"] for part in inputs if part["points"] is None}
    table = table_of(Coverage)
    covered = as_dicts(reading, select(table).where(table.c.account_id == account_id))
    names = sorted({*weights, *waiting}, key=lambda name: (-weights.get(name, 0.0), name))
    return [
        {
            "name": name,
            "weight": round(weights.get(name, 0.0), 2),
            "source": source,
            "why": _why(measures.get(name), source, covered, day),
        }
        for name in names
        for source in [measures[name].needs if name in measures else None]
    ]


def _why(
    measure: Measure | None, source: str | None, covered: Sequence[Document], day: date
) -> str:
    """One sentence on a missing value, from what the hub can know about the account."""
    mine = [row for row in covered if row["kind"] == source]
    title = SOURCES[source]
    if source is None:
        return "the account's own records do not say it"
    if not mine:
        return f"nothing of the {title} is linked to this account"
    connections = ", ".join(sorted(row["connection"] for row in mine))
    if all(row["basis"] == "lost" for row in mine):
        return f"its link to the {title} ({connections}) was lost"
    if all(row["fresh_until"] < day for row in mine):
        newest = max(row["fresh_until"] for row in mine)
        return f"the {title} ({connections}) was last read for {newest}"
    first = min(row["from_day"] for row in mine)
    if measure and measure.reach_days and (day - first).days + 1 < measure.reach_days:
        return f"the {title} ({connections}) is only known since {first}"
    return f"the {title} ({connections}) holds no row that says it"


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
    names = reading.execute(
        select(table.c.connection).where(table.c.kind == source).distinct()
    ).scalars()
    connections = sorted(names)
    whole = sum(part["weight"] for part in inputs)
    where = f"link it in {' or '.join(connections)}" if connections else "connect one"
    gain = f" ({weights[source]:.0f} of {whole:.0f} points of weight)" if weights[source] else ""
    return {
        "source": source,
        "connections": connections,
        "weight": round(weights[source], 2),
        "of": round(whole, 2),
        "says": f"this account's {SOURCES[source]}: {where}{gain}",
    }
