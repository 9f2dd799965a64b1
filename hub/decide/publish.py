"""Storing a decision under its run, and the one moment at which it becomes the current one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlmodel import SQLModel

from ..store import Database, canonical, table_of, upsert
from ..store.current import CURRENT, JUDGED_FROM, published_run
from ..store.tables import (
    DailyBand,
    Decision,
    DesiredField,
    DesiredTask,
    EffectiveInput,
    Episode,
    Published,
    Reading,
    Verdict,
)

BATCH = 2000


@dataclass(frozen=True)
class Previous:
    """The current decision before this one: its run, its day, and since when its signals held."""

    run: int | None = None
    day: date | None = None
    since: Mapping[tuple[str, str], date] | None = None


def judged_from(reading: Connection, wanted: date) -> date:
    """The first day that is judged: stored with the first decision, `wanted` until then."""
    table = table_of(Published)
    stored = reading.execute(select(table.c.day).where(table.c.name == JUDGED_FROM)).scalar()
    return stored or wanted


def previous_decision(reading: Connection) -> Previous:
    """What the current decision knows about the beginnings of its signals."""
    run = published_run(reading)
    if run is None:
        return Previous()
    readings, decisions = table_of(Reading), table_of(Decision)
    day = reading.execute(select(decisions.c.as_of).where(decisions.c.run == run)).scalar()
    rows = reading.execute(
        select(readings.c.account_id, readings.c.name, readings.c.since).where(
            readings.c.run == run, readings.c.since.is_not(None)
        )
    )
    return Previous(run, day, {(account, name): since for account, name, since in rows})


def store_rows(
    database: Database, rows: Mapping[type[SQLModel], Sequence[Mapping[str, Any]]]
) -> None:
    """Write a decision's rows in short transactions; nobody reads them before it is published."""
    for model, some in rows.items():
        for start in range(0, len(some), BATCH):
            with database.write() as writing:
                upsert(writing, model, some[start : start + BATCH])


def store_decision(
    writing: Connection,
    *,
    run: int,
    day: date,
    kind: str,
    now: datetime,
    versions: Mapping[str, str],
) -> None:
    """The decision itself."""
    row = {
        "run": run,
        "as_of": day,
        "kind": kind,
        "judged_at": now,
        "versions": canonical(dict(versions)),
    }
    upsert(writing, Decision, [row])


def publish(
    writing: Connection,
    *,
    run: int,
    day: date,
    first_day: date,
    bands: Sequence[Mapping[str, Any]],
    episodes: Sequence[Mapping[str, Any]],
    inputs: Sequence[str],
) -> None:
    """Move the pointer, together with what the decision changed for good."""
    upsert(writing, DailyBand, bands)
    upsert(writing, Episode, episodes)
    fresh = [{"input": name, "since": day} for name in inputs]
    upsert(writing, EffectiveInput, fresh, update=[])
    pointers: list[dict[str, Any]] = [
        {"name": CURRENT, "run": run, "day": day},
        {"name": JUDGED_FROM, "run": None, "day": first_day},
    ]
    upsert(writing, Published, pointers)


def prune(database: Database, *, keep: Sequence[int | None]) -> None:
    """Drop earlier current decisions; replays stay."""
    decisions = table_of(Decision)
    with database.write() as writing:
        gone = list(
            writing.execute(
                select(decisions.c.run).where(
                    decisions.c.kind == "current",
                    decisions.c.run.not_in([run for run in keep if run is not None]),
                )
            ).scalars()
        )
        for model in (Reading, Verdict, DesiredField, DesiredTask, Decision):
            table = table_of(model)
            writing.execute(delete(table).where(table.c.run.in_(gone)))
