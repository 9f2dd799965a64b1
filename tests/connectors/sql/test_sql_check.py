"""Signing in: what is proved, which users are refused, and how trouble is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from connectors.sql import Sql
from connectors.sql.refusals import explained
from hub import ConfigError, HubError, ReconnectNeeded, RetryLater, ScopeMissing

Connect = Callable[..., Sql]


def test_t1_a_check_proves_that_the_query_answers_and_that_nothing_can_be_written(
    usage: Any, connect: Connect
) -> None:
    usage.add((1, "2026-03-04 10:00:00"))

    checked = connect(usage).check()

    kind = usage.url.partition("+")[0].partition(":")[0]
    assert checked.says == f"{kind}: read only, the query answers"
    assert (list(checked.missing), list(checked.unprovable)) == ([], [])


def test_an_empty_table_passes_the_check(usage: Any, connect: Connect) -> None:
    checked = connect(usage).check()

    assert checked.says.endswith("the query answers with no rows yet")


def test_a_source_is_named_after_its_database_and_never_after_its_user(
    sqlite_usage: Any, connect: Connect
) -> None:
    urls = {
        sqlite_usage.url: "usage.db",
        "postgresql://reader:hunter22@db.birch.example:5433/product?sslmode=require": (
            "db.birch.example:product"
        ),
        "postgresql+psycopg:///product?host=/run/sockets": "product",
    }

    names = {url: connect(url).database.account for url in urls}

    assert names == urls
    assert connect(sqlite_usage, account="product usage").check().account == "product usage"


# --- users that could write -----------------------------------------------------------------------

WRITERS = {
    "it may write to public.usage_days": "GRANT INSERT ON usage_days TO {role}",
    "it may write to public.plans": (
        "CREATE TABLE plans (id int, price int); GRANT UPDATE (price) ON plans TO {role}"
    ),
    "it may write to public.everybodys": (
        "CREATE TABLE everybodys (id int); GRANT DELETE ON everybodys TO PUBLIC"
    ),
    "it may write to public.own": "CREATE TABLE own (id int); ALTER TABLE own OWNER TO {role}",
    "it may advance public.steps": "CREATE SEQUENCE steps; GRANT USAGE ON SEQUENCE steps TO {role}",
    "it may make roles": "ALTER ROLE {role} CREATEROLE",
    "it is a superuser": "ALTER ROLE {role} SUPERUSER",
    "it belongs to pg_read_server_files": "GRANT pg_read_server_files TO {role}",
    "it belongs to pg_write_all_data": "GRANT pg_write_all_data TO {role}",
}


@pytest.mark.parametrize("why", WRITERS)
def test_sec41_a_user_that_could_write_is_refused_with_what_to_grant(
    why: str, postgres_usage: Any, connect: Connect
) -> None:
    for statement in WRITERS[why].split("; "):
        postgres_usage.run(statement.format(role=postgres_usage.role))

    with pytest.raises(ConfigError) as refused:
        connect(postgres_usage).check()

    assert f"since {why}:" in str(refused.value)
    assert "GRANT SELECT ON usage_days TO hub_reader" in str(refused.value)


def test_sec41_a_user_that_could_become_a_writer_is_refused(
    postgres_usage: Any, connect: Connect
) -> None:
    writers = f"writers_{postgres_usage.role}"
    postgres_usage.run(f"ALTER ROLE {postgres_usage.role} NOINHERIT")
    postgres_usage.run(f"CREATE ROLE {writers}")
    postgres_usage.run(f"GRANT UPDATE ON usage_days TO {writers}")
    postgres_usage.run(f"GRANT {writers} TO {postgres_usage.role}")

    with pytest.raises(ConfigError, match=r"it may write to public\.usage_days"):
        connect(postgres_usage).check()

    postgres_usage.run(f"DROP OWNED BY {writers}")
    postgres_usage.run(f"DROP ROLE {writers}")


def test_sec41_a_user_that_could_write_is_refused_without_a_check_too(
    postgres_usage: Any, connect: Connect
) -> None:
    postgres_usage.run(f"GRANT DELETE ON usage_days TO {postgres_usage.role}")

    with pytest.raises(ConfigError, match="it may write to"):
        next(connect(postgres_usage).usage(None))


def test_sec41_even_a_user_that_may_write_writes_nothing_in_our_transaction(
    postgres_usage: Any, connect: Connect
) -> None:
    database = connect(postgres_usage.owner.replace("postgresql:", "postgresql+psycopg:")).database
    database._is_proved = True

    with pytest.raises(ConfigError, match="read-only transaction"), database.reading() as reading:
        reading.exec_driver_sql("INSERT INTO usage_days (id) VALUES (666)")


def test_a_schema_that_is_open_to_everybody_is_pointed_out(
    postgres_usage: Any, connect: Connect
) -> None:
    postgres_usage.run("GRANT CREATE ON SCHEMA public TO PUBLIC")

    notes = connect(postgres_usage, crm="hubspot").check().notes

    assert notes == [
        "The user may make tables in public: REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    ]


def test_crm_ids_without_a_crm_are_pointed_out(sqlite_usage: Any, connect: Connect) -> None:
    notes = connect(sqlite_usage).check().notes
    named = connect(sqlite_usage, crm="hubspot").check().notes

    assert notes == ["Rows have a crm_id, which needs crm: (the vendor that it points to)"]
    assert named == []


# --- trouble --------------------------------------------------------------------------------------


def test_a_missing_permission_is_told_with_the_grant(postgres_usage: Any, connect: Connect) -> None:
    postgres_usage.run("CREATE SCHEMA product")
    postgres_usage.run("CREATE TABLE product.visits (id int)")

    with pytest.raises(ScopeMissing) as missing:
        connect(postgres_usage, query="SELECT * FROM product.visits").check()

    assert "permission denied for schema product" in str(missing.value)
    assert "GRANT SELECT ON product.visits TO hub_reader" in str(missing.value)


def test_a_table_that_is_not_there_is_an_admins_mistake(usage: Any, connect: Connect) -> None:
    with pytest.raises(ConfigError, match="the database refused the query") as refused:
        connect(usage, query="SELECT * FROM usage_dayz").check()

    assert "usage_dayz" in str(refused.value)
    assert "Correct query, key, cursor or columns" in str(refused.value)


def test_a_value_that_cannot_be_converted_is_not_shown(
    postgres_usage: Any, connect: Connect
) -> None:
    postgres_usage.add((1, "2026-03-04 10:00:00"))
    postgres_usage.run("UPDATE usage_days SET person = 'mia moss'")
    query = "SELECT *, CAST(person AS int) AS x FROM usage_days WHERE CAST(person AS int) > 0"

    with pytest.raises(ConfigError) as refused:
        connect(postgres_usage, query=query).check()

    assert "invalid input syntax for type integer" in str(refused.value)
    assert "mia" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"username": "nobody_here"}, ReconnectNeeded, "turned the user away"),
        ({"database": "nothing_here"}, ConfigError, "the server has no such database"),
    ],
)
def test_a_wrong_user_or_database_is_told_as_such(
    change: dict[str, Any],
    error: type[HubError],
    says: str,
    postgres_usage: Any,
    connect: Connect,
) -> None:
    url = make_url(postgres_usage.url).set(password="hunter22", **change)

    with pytest.raises(error, match=says) as turned_away:
        connect(url.render_as_string(False)).check()

    assert "hunter22" not in str(turned_away.value)


def test_a_server_that_does_not_answer_is_tried_again_later(connect: Connect) -> None:
    with pytest.raises(RetryLater) as down:
        connect("postgresql+psycopg://reader:hunter22@127.0.0.1:1/product").check()

    assert "the next sync goes on" in str(down.value).lower()
    assert "hunter22" not in str(down.value)


def test_a_file_that_is_not_there_is_told_and_not_made(tmp_path: Path, connect: Connect) -> None:
    path = tmp_path / "nothing.db"

    with pytest.raises(ConfigError, match="no database that can be opened"):
        connect(f"sqlite:///{path}").check()

    assert not path.exists()


def test_a_file_that_is_no_database_is_told(tmp_path: Path, connect: Connect) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("day,event,count\n" * 100)

    with pytest.raises(ConfigError, match="no database that can be opened"):
        connect(f"sqlite:///{path}").check()


def test_a_file_with_an_odd_name_in_wal_mode_is_read_while_the_product_writes(
    tmp_path: Path, connect: Connect, read: Any
) -> None:
    path = tmp_path / "us?age #1 50%.db"
    with closing(sqlite3.connect(path)) as product:
        product.execute("PRAGMA journal_mode = WAL")
        product.execute("CREATE TABLE usage_days (id, updated_at, day, event, count)")
        product.execute("INSERT INTO usage_days VALUES (1, '2026-03-04', '2026-03-04', 'login', 1)")
        product.commit()
        product.execute("UPDATE usage_days SET count = 2")

        first = read(connect(f"sqlite:///{str(path).replace('?', '%3F')}"))

    assert first.ids == [1]


@pytest.mark.parametrize(
    ("url", "package"),
    [
        ("mysql+pymysql://reader:hunter22@db.example/product", "pymysql"),
        ("mssql+pyodbc://reader:hunter22@db.example/product", "pyodbc"),
        ("snowflake://reader:hunter22@account/product", "snowflake-sqlalchemy"),
        ("bigquery://project", "sqlalchemy-bigquery"),
        ("acmedb://reader:hunter22@db.example/product", "the SQLAlchemy dialect for acmedb"),
    ],
)
def test_a_missing_driver_is_named_with_what_to_install(
    url: str, package: str, connect: Connect
) -> None:
    with pytest.raises(ConfigError, match="is not installed") as missing:
        connect(url).check()

    assert f"Install {package} beside the hub" in str(missing.value)
    assert "hunter22" not in str(missing.value)


@pytest.mark.parametrize(
    "url", ["hunter22", "postgresql://reader@host:hunter22/db", "sqlite://", "sqlite:///:memory:"]
)
def test_what_is_no_address_of_a_database_is_told_without_showing_it(
    url: str, connect: Connect
) -> None:
    with pytest.raises(ConfigError) as refused:
        connect(url).check()

    assert "Write it like postgresql+psycopg://" in str(refused.value)
    assert "hunter22" not in str(refused.value)


def test_a_url_is_not_shown_by_its_settings(connect: Connect) -> None:
    connector = connect("postgresql://reader:hunter22@db.example/product")

    assert "hunter22" not in repr(connector.settings)


def test_what_a_driver_says_is_told_without_passwords_and_addresses() -> None:
    said = OperationalError(
        "SELECT 1", {}, Exception("no route for mia@birch.example with hunter22\nDETAIL: x")
    )

    error = explained(said, where="usage", tables=(), hidden=["hunter22"])

    assert isinstance(error, RetryLater)
    assert "no route for *** with ***" in str(error)
    assert "DETAIL" not in str(error)


def test_a_locked_file_is_read_later(sqlite_usage: Any) -> None:
    with closing(sqlite3.connect(sqlite_usage.path, isolation_level=None)) as product:
        product.execute("BEGIN EXCLUSIVE")
        with closing(sqlite3.connect(sqlite_usage.path, timeout=0)) as other:
            try:
                other.execute("SELECT * FROM usage_days")
            except sqlite3.OperationalError as locked:
                said = OperationalError("SELECT 1", {}, locked)

    error = explained(said, where="usage", tables=(), hidden=[])

    assert isinstance(error, RetryLater)
