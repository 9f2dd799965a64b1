"""Real databases with a usage table, and connectors that read them with a clock of the test's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from connectors.sql import Sql, SqlSettings
from hub import Env, Page, Position, Row
from hub.testing.stand_files import TABLE, usage_url

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)

PG_TABLE = """CREATE TABLE usage_days (
    id bigint,
    account_id text,
    domain text,
    crm_id text,
    day date NOT NULL,
    event text NOT NULL,
    person text,
    count bigint NOT NULL,
    updated_at timestamptz
)"""


class Clock:
    """Time that only passes when a test says so."""

    def __init__(self) -> None:
        self.at = NOON

    def forward(self, **span: float) -> None:
        self.at += timedelta(**span)

    def env(self) -> Env:
        return Env(clock=lambda: self.at, monotonic=lambda: self.at.timestamp())


class Usage:
    """The product's own database: tests write to it as the product does."""

    url: str

    def run(self, statement: str, *given: Sequence[Any]) -> None:
        raise AssertionError

    def add(self, *rows: tuple[Any, ...]) -> None:
        """Rows of (id, cursor), each a usage day of one company."""
        self.run(
            "INSERT INTO usage_days (id, domain, day, event, count, updated_at)"
            " VALUES (?, 'birch.example', '2026-03-03', 'login', 1, ?)",
            *rows,
        )


class SqliteUsage(Usage):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = usage_url(path)
        self.run(TABLE.replace("id INTEGER PRIMARY KEY", "id INTEGER").replace(" NOT NULL", ""))

    def run(self, statement: str, *given: Sequence[Any]) -> None:
        with closing(sqlite3.connect(self.path)) as database, database:
            database.executemany(statement, given or [()])


class PostgresUsage(Usage):
    """The owner writes; `url` is of a role that may only read."""

    def __init__(self, url: str) -> None:
        self.owner = make_url(url).set(drivername="postgresql").render_as_string(False)
        role = f"reader_{make_url(url).database}"
        self.role = role
        self.url = make_url(url).set(username=role).render_as_string(False)
        self.run(PG_TABLE)
        self.run(f"CREATE ROLE {role} LOGIN")
        self.run(f"GRANT SELECT ON usage_days TO {role}")

    def run(self, statement: str, *given: Sequence[Any]) -> None:
        with psycopg.connect(self.owner) as connection, connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s"), given or [()])

    def drop(self) -> None:
        self.run(f"DROP OWNED BY {self.role}")
        self.run(f"DROP ROLE {self.role}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sqlite_usage(tmp_path: Path) -> SqliteUsage:
    return SqliteUsage(tmp_path / "usage.db")


@pytest.fixture
def postgres_usage(pg_database: str) -> Iterator[PostgresUsage]:
    made = PostgresUsage(pg_database)
    yield made
    made.drop()


@pytest.fixture(params=["sqlite", "postgres"])
def usage(request: pytest.FixtureRequest) -> Usage:
    """The same table in a database of each kind."""
    found: Usage = request.getfixturevalue(f"{request.param}_usage")
    return found


@pytest.fixture
def connect(clock: Clock) -> Iterator[Callable[..., Sql]]:
    """Makes a connector for a database; settings of your choice beside its url."""
    opened: list[Sql] = []

    def make(usage: Usage | str, **settings: Any) -> Sql:
        url = usage if isinstance(usage, str) else usage.url
        custom = settings.pop("custom", None)
        made = SqlSettings(url=url, **settings)
        opened.append(Sql(made, clock.env(), connection="usage", custom=custom))
        return opened[-1]

    yield make
    for connector in opened:
        connector.close()


class Read:
    """Everything that one run of a stream gave."""

    def __init__(self, pages: Iterator[Page]) -> None:
        self.pages = list(pages)

    @property
    def rows(self) -> list[Row]:
        return [row for page in self.pages for row in page.rows]

    @property
    def ids(self) -> list[Any]:
        return [row["id"] for row in self.rows]

    @property
    def sizes(self) -> list[int]:
        return [len(page.rows) for page in self.pages]

    @property
    def at(self) -> Position:
        """The last position as it comes out of the hub's database."""
        (*_, last) = [page.at for page in self.pages if page.at is not None]
        return Position.model_validate_json(last.model_dump_json())

    @property
    def is_complete(self) -> bool:
        return self.pages[-1].complete


@pytest.fixture
def read() -> Callable[..., Read]:
    def run(connector: Sql, at: Position | None = None) -> Read:
        return Read(connector.usage(at))

    return run
