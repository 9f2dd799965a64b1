"""The rows behind a signal: what the measures in its condition counted, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Subquery, select

from ..facts import FIELDS
from ..measures import Measure
from .evaluate import Evaluation

MOST_CITED = 10


def citations(
    reading: Connection, evaluation: Evaluation, measure: Measure, accounts: Sequence[str]
) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    """The newest rows that a measure counted, as (fact view, row), by account.

    A measure that is no plain query over one fact view cites nothing here; its own evidence column
    still names its newest row.
    """
    statement = measure.select(evaluation.facts, evaluation.dialect)
    view = _view(statement.get_final_froms())
    if view is None:
        return {}
    rows = select(*view.c).where(view.c.account_id.in_(accounts))
    if statement.whereclause is not None:
        rows = rows.where(statement.whereclause)
    rows = rows.order_by(view.c.account_id, view.c.day.desc(), view.c.key.desc())
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for row in reading.execute(rows).mappings():
        mine = found.setdefault(row["account_id"], [])
        if len(mine) < MOST_CITED:
            mine.append((view.name, dict(row)))
    return found


def _view(froms: Sequence[Any]) -> Subquery | None:
    if len(froms) == 1 and isinstance(froms[0], Subquery) and froms[0].name in FIELDS:
        return froms[0]
    return None
