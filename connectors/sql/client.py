"""How we talk to the database: read only, with a time limit, always rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)

from hub import ConfigError, RetryLater, ScopeMissing

from .settings import SqlSettings
from .statement import checked


class Database:
    """One read-only database; opened at first use."""

    def __init__(self, settings: SqlSettings, *, where: str) -> None:
        self.settings, self.where = settings, where

    @cached_property
    def url(self) -> URL:
        """The address with its driver. ConfigError when it is no SQLAlchemy URL."""
        try:
            url = make_url(self.settings.url.get_secret_value())
        except ArgumentError as error:
            raise ConfigError(
                "url is no SQLAlchemy URL",
                where=self.where,
                do="Write it like postgresql+psycopg://reader:…@host/database",
            ) from error
        return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url

    @cached_property
    def query(self) -> str:
        """The admin's query, proved to be one read."""
        return checked(self.settings.query, self.url.get_backend_name(), where=self.where)

    @cached_property
    def engine(self) -> Engine:
        """The engine; SQLite is opened so that it refuses every write."""
        url = self.url
        if url.get_backend_name() == "sqlite" and url.database:
            url = url.set(database=f"file:{url.database}", query={"mode": "ro", "uri": "true"})
        try:
            return create_engine(url, pool_pre_ping=True)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigError(
                f"the driver for {url.drivername} is not installed",
                where=self.where,
                do=f"Install the SQLAlchemy driver for {url.get_backend_name()}",
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only transaction with a time limit, rolled back at the end."""
        try:
            with self.engine.connect() as connection:
                self._only_read(connection)
                yield connection
                connection.rollback()
        except (OperationalError, InterfaceError) as error:
            raise RetryLater(
                f"the database did not answer the query ({type(error.orig).__name__})",
                where=self.where,
                do="The next sync goes on from where this one stopped",
            ) from error
        except DBAPIError as error:
            words = str(error.orig).split("\n")[0]
            raise ConfigError(
                f"the database refused the query: {words}", where=self.where
            ) from error

    def _only_read(self, connection: Connection) -> None:
        limit = int(self.settings.statement_timeout_s)
        backend = self.url.get_backend_name()
        if backend == "sqlite":
            connection.execute(text("PRAGMA query_only = ON"))
        elif backend == "postgresql":
            connection.execute(text("SET TRANSACTION READ ONLY"))
            connection.execute(text(f"SET LOCAL statement_timeout = '{limit}s'"))

    def refuse_a_writer(self) -> None:
        """Raise ScopeMissing for a PostgreSQL role that could write (SEC41)."""
        if self.url.get_backend_name() != "postgresql":
            return
        with self.reading() as connection:
            able = connection.execute(text(_CAN_WRITE)).scalar()
        if able:
            raise ScopeMissing(
                f"the database user may write ({able}); the hub wants one that only reads",
                where=self.where,
                do="Make one: CREATE ROLE reader LOGIN; GRANT SELECT ON usage_days TO reader",
            )

    def rows(self, statement: str, given: dict[str, Any]) -> list[dict[str, Any]]:
        """All rows of a statement as plain dicts."""
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(text(statement), given).mappings()]

    def close(self) -> None:
        """Give back every connection."""
        if "engine" in self.__dict__:
            self.engine.dispose()


_CAN_WRITE = """
SELECT CASE
  WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN 'a superuser'
  ELSE (SELECT min(table_schema || '.' || table_name)
        FROM information_schema.table_privileges
        WHERE grantee = current_user
          AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
END
"""
