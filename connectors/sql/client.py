"""How we talk to the database: one read-only transaction a question, always rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import PurePath
from typing import Any, TypeAlias

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    QueuePool,
    Select,
    create_engine,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from hub import ConfigError, ReadRefused

from .readonly import only_read_postgres, only_read_sqlite, open_sqlite, refuse_writer
from .refusals import explained, no_driver
from .settings import SqlSettings
from .statement import Statement, checked

MAX_BYTES = 64 * 1024 * 1024
"""The most that the rows of one page may hold in texts and bytes."""

CONNECT_TIMEOUT_S = 15

Record: TypeAlias = dict[str, Any]


class Database:
    """One database that is only read; opened at first use. `where` is the connection's name."""

    def __init__(
        self, settings: SqlSettings, *, where: str, monotonic: Callable[[], float]
    ) -> None:
        self.settings, self.where = settings, where
        self._monotonic = monotonic
        self._is_proved = False

    @cached_property
    def url(self) -> URL:
        """The address with a driver that is there. ConfigError when it is no SQLAlchemy URL."""
        try:
            url = make_url(self.settings.url.get_secret_value())
        except (ArgumentError, ValueError):
            raise self._mistake("url is no SQLAlchemy URL") from None
        backend = url.drivername.partition("+")[0]
        if backend == "sqlite":
            if not url.database or url.database == ":memory:":
                raise self._mistake("url names no SQLite file")
            return url.set(drivername="sqlite")
        if url.drivername in ("postgresql", "postgres"):
            return url.set(drivername="postgresql+psycopg")
        return url

    def _mistake(self, what: str) -> ConfigError:
        advice = "postgresql+psycopg://hub_reader:…@host/database or sqlite:////path/to/usage.db"
        return ConfigError(what, where=self.where, do=f"Write it like {advice}")

    @property
    def backend(self) -> str:
        """The kind of database, in SQLAlchemy's word."""
        return self.url.drivername.partition("+")[0]

    @property
    def account(self) -> str:
        """Whose data this is: the admin's word, else host and database, without anything secret."""
        name = self.url.database or "database"
        if self.backend == "sqlite":
            name = PurePath(name).name
        host = f"{self.url.host}:" if self.url.host else ""
        return self.settings.account or f"{host}{name}"

    @cached_property
    def statement(self) -> Statement:
        """The admin's query, proved to be one read (SEC41)."""
        return checked(self.settings.query, self.backend, where=self.where)

    @cached_property
    def engine(self) -> Engine:
        """The engine. ConfigError when its driver is not installed."""
        try:
            if self.backend == "sqlite":
                path = str(self.url.database).removeprefix("file:")
                return create_engine(
                    "sqlite://", creator=partial(open_sqlite, path), poolclass=QueuePool
                )
            engine = create_engine(self.url, pool_pre_ping=True, connect_args=self._options())
        except NoSuchModuleError:
            raise no_driver(self.url.drivername, None, where=self.where) from None
        except ModuleNotFoundError as error:
            raise no_driver(self.url.drivername, error.name, where=self.where) from None
        except ArgumentError as error:
            raise self._mistake("url has a part that its driver does not know") from error
        if engine.dialect.is_async:
            raise self._mistake(f"{self.url.drivername} is a driver for asynchronous programs")
        return engine

    def _options(self) -> dict[str, Any]:
        """For psycopg: no prepared statements, which poolers lose, and no endless wait."""
        if self.url.drivername != "postgresql+psycopg":
            return {}
        wait = {} if "connect_timeout" in self.url.query else {"connect_timeout": CONNECT_TIMEOUT_S}
        return {"prepare_threshold": None, **wait}

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only transaction with a time limit, rolled back whatever happens.

        Raises what the database says as the hub's own errors, and refuses a user that can write.
        """
        tables = self.statement.tables
        try:
            with self.engine.connect() as connection:
                try:
                    self._only_read(connection)
                    self._prove(connection)
                    yield connection
                finally:
                    connection.rollback()
        except DBAPIError as error:
            raise explained(
                error, where=self.where, tables=tables, hidden=self._hidden()
            ) from error

    def _only_read(self, connection: Connection) -> None:
        limit = self.settings.statement_timeout_s
        if self.backend == "sqlite":
            raw: Any = connection.connection.driver_connection
            only_read_sqlite(raw, limit, self._monotonic)
        elif self.backend == "postgresql":
            only_read_postgres(connection, limit)

    def _prove(self, connection: Connection) -> None:
        """Once a run: the user cannot write, where the database tells (SEC41)."""
        if self.backend == "postgresql" and not self._is_proved:
            refuse_writer(connection, self.statement.tables, where=self.where)
        self._is_proved = True

    def _hidden(self) -> list[str]:
        """The parts of the URL that may be secret: its password and every option's value."""
        options = [one for name in self.url.query for one in self.url.normalized_query[name]]
        return [word for word in (str(self.url.password or ""), *options) if len(word) > 3]

    def rows(self, statement: Select[Any], given: Mapping[str, Any]) -> list[Record]:
        """All rows of a statement. ReadRefused when they are larger than one page may be."""
        with self.reading() as connection:
            result = connection.execution_options(stream_results=True).execute(statement, given)
            found: list[Record] = []
            size = 0
            for row in result.mappings():
                found.append(dict(row))
                size += sum(len(v) for v in found[-1].values() if isinstance(v, str | bytes))
                if size > MAX_BYTES:
                    raise self._too_large()
            return found

    def _too_large(self) -> ReadRefused:
        return ReadRefused(
            f"one page of rows holds more than {MAX_BYTES // 1024 // 1024} MB",
            where=self.where,
            do="Lower page_rows, or select shorter columns in the query",
            code="BODY_TOO_LARGE",
        )

    def close(self) -> None:
        """Give back every connection."""
        if "engine" in self.__dict__:
            self.engine.dispose()
