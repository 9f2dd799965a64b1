"""Many rows into one table, fast, on both databases, inside the caller's transaction.

SQLite: one compiled upsert run by the driver. PostgreSQL: COPY into a temporary table, then one
merge (BENCHMARKS 1.1). Never mapped objects, never `.values(list)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

Values = Mapping[str, Any]


def table_of(model: type[SQLModel]) -> Table:
    """The table behind a model."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def upsert(
    connection: Connection,
    model: type[SQLModel],
    rows: Iterable[Values],
    *,
    update: Sequence[str] | None = None,
) -> int:
    """Insert rows, or update those whose primary key exists; returns how many were given.

    Every row names the same columns, among them all that may not be empty. `update` limits what an
    existing row takes over; an empty list leaves existing rows alone. Keys must be unique within
    one call.
    """
    batch = list(rows)
    if not batch:
        return 0
    table = table_of(model)
    # SQLAlchemy compiles the columns in the table's order, whatever the order of the names.
    columns = tuple(sorted(batch[0], key=table.columns.keys().index))
    changed = tuple(columns if update is None else update)
    binders = _binders(table, columns, connection.dialect)
    tuples = [tuple(bind(row[name]) for name, bind in binders) for row in batch]
    if connection.dialect.name == "postgresql":
        _copy_and_merge(connection, table, columns, changed, tuples)
    else:
        connection.exec_driver_sql(_sqlite_upsert(table, columns, changed), tuples)
    return len(batch)


def insert(connection: Connection, model: type[SQLModel], rows: Iterable[Values]) -> int:
    """Append rows to a table whose key the database gives (the link log, the ledger)."""
    batch = [dict(row) for row in rows]
    if batch:
        connection.execute(table_of(model).insert(), batch)
    return len(batch)


def _plain(value: Any) -> Any:
    return value


def _binders(
    table: Table, columns: Sequence[str], dialect: Dialect
) -> list[tuple[str, Callable[[Any], Any]]]:
    found: list[tuple[str, Callable[[Any], Any]]] = []
    for name in columns:
        kind = table.c[name].type.dialect_impl(dialect)
        found.append((name, kind.bind_processor(dialect) or _plain))
    return found


def _keys(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


@lru_cache(maxsize=256)
def _sqlite_upsert(table: Table, columns: tuple[str, ...], changed: tuple[str, ...]) -> str:
    statement = sqlite.insert(table)
    keys = _keys(table)
    taken = {name: statement.excluded[name] for name in changed if name not in keys}
    shaped = (
        statement.on_conflict_do_update(index_elements=keys, set_=taken)
        if taken
        else statement.on_conflict_do_nothing(index_elements=keys)
    )
    dialect = sqlite.dialect(paramstyle="qmark")
    return str(shaped.compile(dialect=dialect, column_keys=list(columns)))


def _copy_and_merge(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    changed: tuple[str, ...],
    tuples: Sequence[tuple[Any, ...]],
) -> None:
    quote = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]
    target, staged = quote(table.name), quote(f"staged_{table.name}")
    names = ", ".join(quote(name) for name in columns)
    keys = _keys(table)
    taken = [name for name in changed if name not in keys]
    sets = ", ".join(f"{quote(name)} = EXCLUDED.{quote(name)}" for name in taken)
    action = f"DO UPDATE SET {sets}" if taken else "DO NOTHING"
    conflict = ", ".join(quote(name) for name in keys)
    like = f"SELECT * FROM {target} WITH NO DATA"  # noqa: S608 - quoted names of our own tables
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} ON COMMIT DELETE ROWS AS {like}"
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        with cursor.copy(f"COPY {staged} ({names}) FROM STDIN") as copy:
            for row in tuples:
                copy.write_row(row)
        cursor.execute(
            f"INSERT INTO {target} ({names}) SELECT {names} FROM {staged}"  # noqa: S608
            f" ON CONFLICT ({conflict}) {action}"
        )
        cursor.execute(f"DELETE FROM {staged}")  # noqa: S608
