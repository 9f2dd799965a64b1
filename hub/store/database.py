"""One database, SQLite or PostgreSQL: opening it, its schema, and its two kinds of transaction.

SQLite runs in WAL with `BEGIN IMMEDIATE` for writers (measured: a deferred BEGIN failed 598 of 800
concurrent transactions in spite of a busy timeout, an immediate one none).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from ..errors import StoreError

BUSY_TIMEOUT_S = 10


class Database:
    """The hub's database: `read()` and `write()` give a connection inside a transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; nothing is written."""
        with self._translated(), self.engine.connect() as connection:
            if self.dialect != "sqlite":  # whose transactions are always one view
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One small write transaction: committed at the end, rolled back on any exception."""
        with self._translated(), self.engine.connect() as connection:
            writer = connection.execution_options(hub_write=True)
            with writer.begin():
                yield writer

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _in_our_words(str(error.orig)) from error
        except psycopg.Error as error:  # from COPY, which SQLAlchemy does not see
            raise _in_our_words(str(error)) from error


def open_database(url: str, *, migrate: bool = True) -> Database:
    """Open (and bring up to date) the database at a SQLAlchemy URL.

    Raises StoreError: DATABASE_NEWER when a newer hub made it, DATABASE_FAILED when it cannot be
    opened.
    """
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed, **({} if sqlite else {"connect_args": {"options": "-c jit=off"}})
    )
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    database = Database(engine)
    with database._translated():
        _refuse_newer(database)
        if migrate:
            _bring_up_to_date(database)
    return database


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
        "temp_store=MEMORY",
        "cache_size=-32768",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("hub_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrations() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(resources.files("hub.store") / "migrations"))
    return config


def _refuse_newer(database: Database) -> None:
    scripts = ScriptDirectory.from_config(_migrations())
    known = {script.revision for script in scripts.walk_revisions()}
    with database.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_heads()
        connection.rollback()
    if newer := [head for head in present if head not in known]:
        raise StoreError(
            f"the database has revision {newer[0]}, which this version of the hub does not know",
            do="Install the newer hub, or give another HUB_DATA_DIR",
            code="DATABASE_NEWER",
        )


def _bring_up_to_date(database: Database) -> None:
    config = _migrations()
    with database.engine.connect() as connection:
        writer = connection.execution_options(hub_write=True)
        with writer.begin():
            config.attributes["connection"] = writer
            command.upgrade(config, "head")


def _in_our_words(told: str) -> StoreError:
    words = told.split("\n")[0]
    if "locked" in words or "busy" in words:
        return StoreError(
            f"the database stayed locked for {BUSY_TIMEOUT_S} s",
            do="End the other process that works on it, then run the command again",
            code="DATABASE_BUSY",
        )
    if "disk is full" in words or "No space left" in words:
        return StoreError(
            "there is no space left for the database; the transaction was rolled back",
            do="Free space, then run the command again: it goes on where it stopped",
            code="DISK_FULL",
        )
    if "unable to open" in words:
        return StoreError("the database file cannot be opened", do="Check HUB_DATA_DIR's rights")
    return StoreError(f"the database refused: {words}", do="Run `hub doctor`")


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{path}"


def as_dicts(connection: Connection, statement: Any) -> list[dict[str, Any]]:
    """All rows of a statement as plain dicts."""
    return [dict(row) for row in connection.execute(statement).mappings()]
