"""The rows behind signals: what the measures in a condition counted, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Subquery, select

from ..factnames import FIELDS
from ..measures import Measure
from .evaluate import Evaluation, Judged

MOST_CITED = 10
Cited: TypeAlias = tuple[str, Mapping[str, Any]]
"""A fact view's name and one of its rows."""


def cite(
    reading: Connection, evaluation: Evaluation, judged: Mapping[str, Judged]
) -> dict[tuple[str, str], list[Cited]]:
    """For every (account, true signal): the rows that its measures rest on."""
    found: dict[tuple[str, str], list[Cited]] = {}
    for signal in evaluation.signals:
        accounts = [account for account, one in judged.items() if one.truth(signal.name)]
        if not accounts:
            continue
        for measure in evaluation.registry.measures_in((signal.name,)):
            for account, rows in _citations(reading, evaluation, measure, accounts).items():
                mine = found.setdefault((account, signal.name), [])
                known = {row["key"] for _, row in mine}
                mine += [(view, row) for view, row in rows if row["key"] not in known]
    return found


def _citations(
    reading: Connection, evaluation: Evaluation, measure: Measure, accounts: Sequence[str]
) -> dict[str, list[Cited]]:
    """The newest rows that a measure counted.

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
    found: dict[str, list[Cited]] = {}
    for row in reading.execute(rows).mappings():
        mine = found.setdefault(row["account_id"], [])
        if len(mine) < MOST_CITED:
            mine.append((view.name, dict(row)))
    return found


def _view(froms: Sequence[Any]) -> Subquery | None:
    if len(froms) == 1 and isinstance(froms[0], Subquery) and froms[0].name in FIELDS:
        return froms[0]
    return None
