"""What went wrong while the rest went on: streams, rows and writes, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from ..errors import HubError
from ..store import Database, as_dicts, table_of
from ..store.tables import Aside, VendorRow
from ..sync import Synced
from ..unify import Unified


@dataclass(frozen=True)
class Trouble:
    """One thing that did not work; `kind` is stream, aside, rejected or write."""

    kind: str
    code: str
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.code}: {self.where}: {self.why}"

    def document(self) -> dict[str, str]:
        """As `--json` lists it."""
        return {"kind": self.kind, "code": self.code, "where": self.where, "why": self.why}


def of_error(kind: str, error: HubError, where: str) -> Trouble:
    """An error as a trouble; a place that the error names itself comes first."""
    place = error.where or where
    advice = f" {error.do}." if error.do else ""
    return Trouble(kind, error.code, place, f"{error.what}.{advice}")


def of_sync(synced: Synced, database: Database) -> Iterator[Trouble]:
    """Streams that stopped, and the rows of this run that were set aside."""
    for outcome in synced.problems:
        if outcome.problem is not None:
            stream = "" if outcome.stream == "*" else f" {outcome.stream}"
            yield of_error("stream", outcome.problem, f"{outcome.connection}{stream}")
    yield from rows_aside(database, run=synced.run)


def of_unify(unified: Unified) -> Iterator[Trouble]:
    """Rows that could not be mapped."""
    for (connection, stream), counts in unified.mapped.items():
        for key, why in counts.rejected:
            yield _rejected(connection, stream, key, why)


def rows_aside(database: Database, run: int | None = None) -> Iterator[Trouble]:
    """Rows that could not be stored: of one run, or all that still wait."""
    table = table_of(Aside)
    statement = select(table).order_by(table.c.connection, table.c.stream, table.c.key)
    if run is not None:
        statement = statement.where(table.c.run == run)
    with database.read() as reading:
        for row in as_dicts(reading, statement):
            where = f"{row['connection']} {row['stream']} {row['key']}"
            yield Trouble("aside", row["code"], where, f"{row['why']}; it is tried again each run")


def rows_rejected(database: Database) -> Iterator[Trouble]:
    """Rows that are stored but could not be mapped."""
    table = table_of(VendorRow)
    statement = (
        select(table.c.connection, table.c.object, table.c.record_id, table.c.why)
        .where(table.c.outcome == "rejected")
        .order_by(table.c.connection, table.c.object, table.c.record_id)
    )
    with database.read() as reading:
        for row in as_dicts(reading, statement):
            yield _rejected(row["connection"], row["object"], row["record_id"], row["why"] or "")


def _rejected(connection: str, stream: str, key: str, why: str) -> Trouble:
    where = f"{connection} {stream} {key}"
    return Trouble(
        "rejected", "RECORD_REJECTED", where, f"{why}; it is set aside and tried again each run"
    )
