"""Where verbs stand: runs, their streams, and the checkpoints they go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from ..connector import Position
from .bulk import table_of, upsert
from .canonical import canonical
from .database import Database, as_dicts
from .rows import Counts
from .tables import Checkpoint, Run, RunStream


def begin_run(
    database: Database,
    verb: str,
    *,
    now: datetime,
    as_of: date | None = None,
    versions: Mapping[str, str] | None = None,
) -> int:
    """A new run of a verb; returns its number."""
    values = {
        "verb": verb,
        "as_of": as_of,
        "started_at": now,
        "result": "running",
        "counts": "{}",
        "versions": canonical(dict(versions or {})),
    }
    with database.write() as connection:
        done = connection.execute(table_of(Run).insert().values(**values))
        key: Any = done.inserted_primary_key
    return int(key[0])


def end_run(
    database: Database, run: int, *, now: datetime, result: str, counts: Mapping[str, Any]
) -> None:
    """Write down how a run ended: done, partly or failed."""
    table = table_of(Run)
    with database.write() as connection:
        connection.execute(
            update(table)
            .where(table.c.id == run)
            .values(ended_at=now, result=result, counts=canonical(dict(counts)))
        )


def record_stream(
    connection: Connection,
    run: int,
    name: str,
    stream: str,
    counts: Counts,
    *,
    seconds: float = 0.0,
    problem_code: str | None = None,
    problem: str | None = None,
) -> None:
    """Write a stream's counters so far; called in the transaction of each page."""
    row = {
        "run": run,
        "connection": name,
        "stream": stream,
        **asdict(counts),
        "seconds": round(seconds, 3),
        "problem_code": problem_code,
        "problem": problem,
    }
    upsert(connection, RunStream, [row])


def streams_of_run(connection: Connection, run: int) -> list[dict[str, Any]]:
    """The counters of every stream of a run, in name order."""
    table = table_of(RunStream)
    return as_dicts(
        connection,
        select(table).where(table.c.run == run).order_by(table.c.connection, table.c.stream),
    )


def load_checkpoint(connection: Connection, name: str, stream: str) -> dict[str, Any] | None:
    """The stored checkpoint of a stream, its position decoded, or None."""
    table = table_of(Checkpoint)
    found = connection.execute(
        select(table).where(table.c.connection == name, table.c.stream == stream)
    ).mappings()
    row = found.first()
    if row is None:
        return None
    position = row["position"]
    return {
        **row,
        "position": Position.model_validate_json(position) if position else None,
    }


def store_checkpoint(
    connection: Connection,
    name: str,
    stream: str,
    *,
    now: datetime,
    position: Position | None = None,
    complete_at: datetime | None = None,
    fresh_at: datetime | None = None,
    swept_at: datetime | None = None,
) -> None:
    """Move a stream's checkpoint; what is None keeps its earlier value."""
    row: dict[str, Any] = {"connection": name, "stream": stream, "stored_at": now}
    if position is not None:
        row["position"] = position.model_dump_json()
    if complete_at is not None:
        row["complete_at"] = complete_at
    if fresh_at is not None:
        row["fresh_at"] = fresh_at
    if swept_at is not None:
        row["swept_at"] = swept_at
    upsert(connection, Checkpoint, [row])


def forget_checkpoint(connection: Connection, name: str, stream: str) -> None:
    """Make the next sync read a stream in full."""
    table = table_of(Checkpoint)
    connection.execute(delete(table).where(table.c.connection == name, table.c.stream == stream))
