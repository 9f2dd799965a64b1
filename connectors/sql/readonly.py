"""Why nothing can be written: what is told to the database itself, beside the check of the query.

SQLite: the file is opened read only and an authorizer lets nothing but reading through.
PostgreSQL: every transaction is read only and timed, and a role that could write is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from urllib.parse import quote

from sqlalchemy import Connection, text

from hub import ConfigError

_ONLY_READING = (
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
)  # fmt: skip
_STEPS_BETWEEN_LOOKS = 20_000
_LONGEST_VALUE = 16 * 1024 * 1024


def open_sqlite(path: str) -> sqlite3.Connection:
    """A connection that cannot write to the file, and does not make one where there is none."""
    uri = f"file:{quote(path)}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    connection.text_factory = _readable
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _readable(raw: bytes) -> str:
    """Text, with what is not UTF-8 replaced visibly instead of stopping the stream."""
    return raw.decode("utf-8", "replace")


def only_read_sqlite(
    connection: sqlite3.Connection, timeout_s: float, monotonic: Callable[[], float]
) -> None:
    """From now on only reading passes, for at most `timeout_s`."""
    ends = monotonic() + timeout_s
    connection.set_authorizer(_authorized)
    connection.set_progress_handler(lambda: monotonic() > ends, _STEPS_BETWEEN_LOOKS)


def _authorized(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    is_loading = action == sqlite3.SQLITE_FUNCTION and second == "load_extension"
    passes = action in _ONLY_READING and not is_loading
    return sqlite3.SQLITE_OK if passes else sqlite3.SQLITE_DENY


def only_read_postgres(connection: Connection, timeout_s: float) -> None:
    """Make this transaction read only, with a time limit for each statement.

    For the transaction alone: behind a pooler a session's settings would reach other programs.
    """
    connection.execute(text("SET TRANSACTION READ ONLY"))
    connection.execute(text(f"SET LOCAL statement_timeout = {round(timeout_s * 1000)}"))


def refuse_writer(connection: Connection, tables: tuple[str, ...], *, where: str) -> None:
    """Raise ConfigError for a PostgreSQL role that could write, itself or by a role it belongs to.

    `tables` are those of the query, for the GRANT that the sentence tells.
    """
    why = connection.execute(text(_POWERS)).scalar()
    if why is not None:
        raise ConfigError(
            f"the database user is refused, since {why}: the hub wants one that can only read",
            where=where,
            do=f"Let the url name another user, made by: {grants(tables)}"
            " (connectors/sql/README.md, A user that only reads)",
        )


def grants(tables: tuple[str, ...]) -> str:
    """The statements that make a role which reads these tables and nothing else."""
    schemas = dict.fromkeys(t.rpartition(".")[0] or "public" for t in tables) or ["public"]
    return (
        "CREATE ROLE hub_reader LOGIN PASSWORD '…';"
        f" GRANT USAGE ON SCHEMA {', '.join(schemas)} TO hub_reader;"
        f" GRANT SELECT ON {', '.join(tables) or 'usage_days'} TO hub_reader"
    )


def open_schemas(connection: Connection) -> list[str]:
    """Schemas where the role may make tables: PUBLIC may in `public` before PostgreSQL 15."""
    return [str(name) for name in connection.execute(text(_OPEN_SCHEMAS)).scalars()]


_POWERS = """
WITH mine AS (
  SELECT * FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(session_user, oid, 'MEMBER')
), things AS (
  SELECT c.oid, c.relkind, n.nspname || '.' || c.relname AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname !~ '^pg_(toast|temp)'
)
SELECT why FROM (
  SELECT 1 AS place, 'it is a superuser' AS why FROM mine WHERE rolsuper
  UNION ALL
  SELECT 2, 'it may make roles' FROM mine WHERE rolcreaterole
  UNION ALL
  SELECT 3, 'it belongs to ' || rolname FROM mine WHERE rolname IN (
    'pg_write_all_data', 'pg_write_server_files', 'pg_read_server_files',
    'pg_execute_server_program', 'pg_signal_backend')
  UNION ALL
  SELECT 4, 'it may write to ' || things.name FROM mine CROSS JOIN things
  WHERE things.relkind IN ('r', 'p', 'v', 'f', 'm') AND (
    pg_catalog.has_table_privilege(mine.oid, things.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    OR pg_catalog.has_any_column_privilege(mine.oid, things.oid, 'INSERT, UPDATE'))
  UNION ALL
  SELECT 5, 'it may advance ' || things.name FROM mine CROSS JOIN things
  WHERE things.relkind = 'S'
    AND CASE WHEN things.relkind = 'S'
        THEN pg_catalog.has_sequence_privilege(mine.oid, things.oid, 'USAGE, UPDATE') END
) AS powers ORDER BY place, why LIMIT 1
"""

_OPEN_SCHEMAS = """
SELECT nspname FROM pg_catalog.pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  AND pg_catalog.has_schema_privilege(session_user, oid, 'CREATE')
ORDER BY nspname
"""
