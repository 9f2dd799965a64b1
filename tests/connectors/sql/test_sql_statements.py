"""SEC41: what a query may be, and that a hostile one neither arrives nor could do anything."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from connectors.sql import Sql
from connectors.sql.statement import checked
from hub import ConfigError, HubError

Connect = Callable[..., Sql]

EVERYWHERE = [
    "",
    ";",
    "-- nothing",
    "DELETE FROM usage_days",
    "UPDATE usage_days SET count = 0",
    "INSERT INTO usage_days (id) VALUES (666)",
    "DROP TABLE usage_days",
    "CREATE TABLE mine (id int)",
    "CREATE TABLE mine AS SELECT * FROM usage_days",
    "ALTER TABLE usage_days ADD COLUMN mine text",
    "CREATE INDEX mine ON usage_days (id)",
    "CREATE VIEW mine AS SELECT 1",
    "TRUNCATE usage_days",
    "VACUUM",
    "ANALYZE usage_days",
    "REINDEX TABLE usage_days",
    "EXPLAIN SELECT * FROM usage_days",
    "EXPLAIN ANALYZE DELETE FROM usage_days",
    "BEGIN",
    "COMMIT",
    "ROLLBACK; DROP TABLE usage_days",
    "SAVEPOINT a",
    "VALUES (1)",
    "TABLE usage_days",
    "(SELECT * FROM usage_days)",
    "SELECT * FROM usage_days; DROP TABLE usage_days",
    "SELECT * FROM usage_days; SELECT 1",
    "SELECT 1;;DELETE FROM usage_days;",
    "SELECT * FROM usage_days) AS q; DROP TABLE usage_days; --",
    "SELECT * FROM usage_days) AS q UNION SELECT * FROM (SELECT * FROM usage_days",
    "SELECT * FROM usage_days /* ; */ ; DELETE FROM usage_days",
    "SELECT 'a''; DROP TABLE usage_days; --' FROM usage_days; DROP TABLE usage_days",
    "WITH gone AS (DELETE FROM usage_days RETURNING *) SELECT * FROM gone",
    "WITH made AS (INSERT INTO usage_days (id) VALUES (666) RETURNING *) SELECT * FROM made",
    "WITH changed AS (UPDATE usage_days SET count = 0 RETURNING *) SELECT * FROM changed",
    "WITH a AS (SELECT 1) DELETE FROM usage_days",
    "WITH a AS (SELECT 1) INSERT INTO usage_days (id) SELECT * FROM a",
    "SELECT * INTO mine FROM usage_days",
    "SELECT * FROM usage_days FOR UPDATE",
    "SELECT * FROM usage_days LIMIT 10",
    "SELECT * FROM usage_days WHERE updated_at > :since",
    "SELECT * FROM usage_days WHERE updated_at > ?",
    "SELECT * FROM usage_days WHERE hub_bind_cursor",
    "SELECT " + "(" * 500 + "1" + ")" * 500,
    "SELECT " + "CASE WHEN 1 THEN " * 500 + "1" + " END" * 500,
    "SELECT unknown_function(id) FROM usage_days",
    "SELECT mine.lower(event) FROM usage_days",
    "SELECT * FROM 'secret.csv'",
    'SELECT * FROM "../secret.csv"',
    "SELECT \x00 FROM usage_days",
    "SELECT 'open FROM usage_days",
]

ON_SQLITE = [
    "ATTACH DATABASE '/tmp/other.db' AS other",
    "DETACH DATABASE main",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_table_info('usage_days')",
    "SELECT * FROM sqlite_master",
    "SELECT load_extension('secret.so')",
    "SELECT readfile('secret.txt')",
    "SELECT writefile('secret.txt', 'x')",
    "SELECT edit('x', 'sh')",
    "SELECT fts3_tokenizer('simple', 'x')",
    "SELECT randomblob(1000000000)",
    "SELECT zeroblob(1000000000)",
    "REPLACE INTO usage_days (id) VALUES (666)",
    "INSERT OR REPLACE INTO usage_days (id) VALUES (666)",
    "SELECT * FROM usage_days; PRAGMA writable_schema = 1",
]

ON_POSTGRES = [
    "COPY usage_days TO '/tmp/out.csv'",
    "COPY usage_days TO PROGRAM 'sh'",
    "COPY usage_days FROM PROGRAM 'sh'",
    "COPY (SELECT * FROM usage_days) TO STDOUT",
    "SELECT pg_read_file('{secret}')",
    "SELECT pg_catalog.pg_read_file('{secret}')",
    "SELECT pg_read_binary_file('{secret}')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_stat_file('{secret}')",
    "SELECT * FROM pg_read_file('{secret}') AS t",
    "SELECT lo_import('{secret}')",
    "SELECT lo_export(1, '/tmp/out')",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT nextval('steps')",
    "SELECT setval('steps', 99)",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_cancel_backend(pg_backend_pid())",
    "SELECT pg_reload_conf()",
    "SELECT pg_sleep(100)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT current_setting('data_directory')",
    "SELECT dblink('host=127.0.0.1', 'DROP TABLE usage_days')",
    "SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t(a int)",
    "SELECT query_to_xml('DELETE FROM usage_days', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_catalog.pg_shadow",
    "SELECT * FROM information_schema.tables",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SET TRANSACTION READ WRITE",
    "RESET ALL",
    "DO $$ BEGIN DELETE FROM usage_days; END $$",
    "CALL mine()",
    "LOCK TABLE usage_days",
    "LISTEN a",
    "NOTIFY a",
    "PREPARE p AS DELETE FROM usage_days",
    "EXECUTE p",
    "GRANT ALL ON usage_days TO PUBLIC",
    "CREATE EXTENSION dblink",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "LOAD 'auto_explain'",
    "MERGE INTO usage_days USING usage_days AS b ON true WHEN MATCHED THEN DELETE",
    "SELECT * FROM usage_days FOR SHARE",
    "SELECT $$a$$; DROP TABLE usage_days",
    "SELECT E'\\'; DROP TABLE usage_days; --'",
    "SELECT 1 OPERATOR(mine.+) 2",
    "SELECT * FROM usage_days /* /* */ ; DROP TABLE usage_days */ ; DROP TABLE usage_days",
]


def test_sec41_the_corpus_is_large_enough() -> None:
    assert len({*EVERYWHERE, *ON_SQLITE, *ON_POSTGRES}) >= 60


@pytest.fixture
def sent() -> Any:
    """Every statement that any engine sends while the test runs."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("query", [*EVERYWHERE, *ON_SQLITE])
def test_sec41_a_hostile_query_is_refused_on_sqlite_before_anything_is_sent(
    query: str, sqlite_usage: Any, connect: Connect, sent: list[str]
) -> None:
    before = hashlib.sha256(sqlite_usage.path.read_bytes()).hexdigest()

    with pytest.raises(ConfigError, match="the query is refused"):
        connect(sqlite_usage, query=query).check()

    assert sent == []
    assert hashlib.sha256(sqlite_usage.path.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("query", [*EVERYWHERE, *ON_POSTGRES])
def test_sec41_a_hostile_query_is_refused_on_postgresql_before_anything_is_sent(
    query: str, connect: Connect, sent: list[str]
) -> None:
    nowhere = "postgresql+psycopg://hub_reader@127.0.0.1:1/nothing"

    with pytest.raises(ConfigError, match="the query is refused"):
        connect(nowhere, query=query).check()

    assert sent == []


# --- and if the check of the query had a hole -----------------------------------------------------


def test_sec41_sqlite_itself_lets_nothing_but_reading_through(
    sqlite_usage: Any, connect: Connect, tmp_path: Path
) -> None:
    sqlite_usage.add((1, "2026-03-04 10:00:00"))
    before = hashlib.sha256(sqlite_usage.path.read_bytes()).hexdigest()
    files = sorted(tmp_path.iterdir())
    database = connect(sqlite_usage).database
    answered = []

    for query in [*EVERYWHERE, *ON_SQLITE]:
        try:
            with database.reading() as connection:
                connection.exec_driver_sql(query)
            answered.append(query)
        except HubError:
            continue

    assert hashlib.sha256(sqlite_usage.path.read_bytes()).hexdigest() == before
    assert sorted(tmp_path.iterdir()) == files
    harmless = {"", ";", "--", "SELECT", "VALUES", "EXPLAIN"}
    assert {query.partition(" ")[0] for query in answered} <= harmless


def test_sec41_a_reading_role_on_postgresql_changes_nothing_and_reads_no_file(
    postgres_usage: Any, connect: Connect, tmp_path: Path
) -> None:
    secret = "/etc/passwd"  # A file that every user of the machine may read.
    postgres_usage.add((1, "2026-03-04 10:00:00"))
    postgres_usage.run("CREATE SEQUENCE steps")
    before = _content(postgres_usage.owner)
    database = connect(postgres_usage).database
    answers = []

    for query in [*EVERYWHERE, *ON_POSTGRES]:
        if "pg_sleep" in query:
            continue
        try:
            with database.reading() as connection:
                asked = query.replace("{secret}", secret).replace("%", "%%")
                result = connection.exec_driver_sql(asked)
                answers.append(repr(result.fetchall() if result.returns_rows else []))
        except HubError as error:
            answers.append(str(error))

    assert _content(postgres_usage.owner) == before
    assert not any("root:" in answer for answer in answers)


def _content(owner: str) -> list[Any]:
    """Everything in the database that a statement could have changed."""
    with psycopg.connect(owner) as connection:
        return [
            connection.execute(statement).fetchall()
            for statement in (
                "SELECT * FROM usage_days ORDER BY id",
                "SELECT last_value, is_called FROM steps",
                "SELECT relname, relkind, relacl::text FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
                "SELECT attname FROM pg_attribute WHERE attrelid = 'usage_days'::regclass",
                "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
                "SELECT count(*) FROM pg_largeobject_metadata",
                "SELECT extname FROM pg_extension",
            )
        ]


def test_sec41_a_query_of_sqlite_that_takes_too_long_is_stopped(
    sqlite_usage: Any, connect: Connect
) -> None:
    query = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT i AS id, i AS updated_at, '2026-03-04' AS day, 'x' AS event, 1 AS count FROM n"
    )
    connector = connect(sqlite_usage, query=query, statement_timeout_s=1)
    connector.database._monotonic = iter(range(1_000_000)).__next__

    with pytest.raises(HubError) as slow:
        list(connector.usage(None))

    assert slow.value.code == "DEADLINE"
    assert "statement_timeout_s" in str(slow.value)


def test_sec41_a_query_of_postgresql_that_takes_too_long_is_stopped(
    postgres_usage: Any, connect: Connect
) -> None:
    query = (
        "SELECT a.i AS id, a.i AS updated_at, current_date AS day, 'x' AS event, 1 AS count"
        " FROM generate_series(1, 100000) AS a(i), generate_series(1, 100000) AS b(i)"
    )

    with pytest.raises(HubError) as slow:
        list(connect(postgres_usage, query=query, statement_timeout_s=1).usage(None))

    assert slow.value.code == "DEADLINE"


# --- what passes ----------------------------------------------------------------------------------

GOOD = {
    "sqlite": [
        "SELECT * FROM usage_days",
        "select * from usage_days ; -- the whole table",
        "SELECT id, date(updated_at) AS day, coalesce(event, 'none'), sum(count) AS count"
        " FROM usage_days GROUP BY id, date(updated_at)",
        "WITH recent AS (SELECT * FROM usage_days WHERE day > date('now', '-1 year'))"
        " SELECT recent.*, substr(domain, 1, 3) || ':' || count AS x FROM recent",
        "SELECT d.*, CASE WHEN count > 3 THEN 'much' ELSE 'little' END AS x FROM usage_days AS d"
        " WHERE event IN ('login', 'export') AND NOT person IS NULL",
        "SELECT id, strftime('%Y-%m-%d', updated_at) AS day, max(count) FROM usage_days GROUP BY 1",
    ],
    "postgresql": [
        "SELECT domain || ':' || day::date AS id, day::date, event, sum(count)::int AS count,"
        " max(updated_at) AS updated_at FROM usage_days GROUP BY 1, 2, 3, domain",
        "SELECT id, date_trunc('day', updated_at AT TIME ZONE 'Europe/Berlin')::date AS day,"
        " split_part(person, '@', 2) AS domain, count(*) FILTER (WHERE count > 1) AS count"
        " FROM usage_days WHERE updated_at > now() - interval '400 days' GROUP BY 1, 2, 3",
        "SELECT DISTINCT ON (domain) *, row_number() OVER (PARTITION BY domain ORDER BY day)"
        " FROM public.usage_days ORDER BY domain, day DESC",
        "SELECT * FROM usage_days WHERE event ILIKE '%50%:x%' UNION ALL SELECT * FROM usage_days",
    ],
}


@pytest.mark.parametrize("query", GOOD["sqlite"])
def test_an_ordinary_query_is_sent_to_sqlite_and_means_the_same(
    query: str, sqlite_usage: Any, connect: Connect
) -> None:
    sqlite_usage.add(*((number, "2026-03-04 10:00:00") for number in range(5)))
    database = connect(sqlite_usage, query=query).database
    with closing(sqlite3.connect(sqlite_usage.path)) as plain:
        expected = plain.execute(query.partition(";")[0]).fetchall()

    with database.reading() as connection:
        sent = database.statement.text.replace(r"\:", ":")
        found = [tuple(row) for row in connection.exec_driver_sql(sent)]

    assert found == expected


@pytest.mark.parametrize("query", GOOD["postgresql"])
def test_an_ordinary_query_is_sent_to_postgresql_and_means_the_same(
    query: str, postgres_usage: Any, connect: Connect
) -> None:
    postgres_usage.add(*((number, "2026-03-04 10:00:00") for number in range(5)))
    database = connect(postgres_usage, query=query).database
    with psycopg.connect(postgres_usage.owner) as plain:
        expected = sorted(plain.execute(query).fetchall())

    with database.reading() as connection:
        sent = database.statement.text.replace(r"\:", ":").replace("%", "%%")
        found = sorted(tuple(row) for row in connection.exec_driver_sql(sent))

    assert found == expected


def test_a_comment_that_a_database_would_run_is_not_sent() -> None:
    statement = checked("SELECT id FROM t /*!50000 UNION SELECT 1 */", "mysql", where="usage")

    assert statement.text == "SELECT id FROM t"


def test_a_query_whose_meaning_would_change_on_the_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="can be read in two ways"):
        checked("SELECT 'x' 'y' AS event FROM t", "postgresql", where="usage")


def test_the_tables_of_a_query_are_known_without_its_own_names() -> None:
    query = (
        "WITH recent AS (SELECT * FROM product.usage) SELECT * FROM recent JOIN plans USING (id)"
    )

    statement = checked(query, "postgresql", where="usage")

    assert set(statement.tables) == {"product.usage", "plans"}


def test_a_refusal_says_what_and_where() -> None:
    with pytest.raises(ConfigError) as refused:
        checked("SELECT pg_read_file('x')", "postgresql", where="usage")

    assert str(refused.value) == (
        "usage: the query is refused: it calls pg_read_file, which is not known to only compute."
        " Write one SELECT over the usage table (connectors/sql/README.md, Query)."
    )
