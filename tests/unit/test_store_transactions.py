"""Opening a database, and its two kinds of transaction when many threads use it at once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlmodel import SQLModel

from hub.errors import StoreError
from hub.store import Database, open_database, sqlite_url, table_of, upsert
from hub.store import database as opening
from hub.store.tables import Evidence, PaymentRef

THREADS, EACH = 8, 50


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """One database of each kind for all tests here: PostgreSQL takes a second to make one."""
    if request.param == "sqlite":
        database = open_database(sqlite_url(tmp_path_factory.mktemp("store") / "hub.db"))
        yield database
        database.close()
        return
    with request.getfixturevalue("pg_new_database")() as url:
        database = open_database(url)
        yield database
        database.close()


@pytest.fixture
def database(opened: Database) -> Database:
    """A database without rows."""
    with opened.write() as writing:
        for table in reversed(SQLModel.metadata.sorted_tables):
            writing.execute(table.delete())
    return opened


def ref(key: str, invoice: str = "0") -> dict[str, Any]:
    return {"vendor": "bank", "vendor_account": "1", "ref": key, "invoice_id": invoice}


def count(database: Database, model: Any = PaymentRef) -> int:
    with database.read() as reading:
        rows = reading.execute(select(func.count()).select_from(table_of(model)))
        return int(rows.scalar_one())


def test_no_writer_of_eight_threads_fails(database: Database) -> None:
    table = table_of(PaymentRef)
    with database.write() as writing:
        upsert(writing, PaymentRef, [ref("sum")])

    def add(thread: int) -> None:
        for number in range(EACH):
            with database.write() as writing:
                upsert(writing, PaymentRef, [ref(f"{thread}-{number}")])
                writing.execute(
                    update(table)
                    .where(table.c.ref == "sum")
                    .values(invoice_id=f"{thread}-{number}")
                )

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(add, range(THREADS)))

    assert count(database) == THREADS * EACH + 1


def test_a_writer_that_reads_first_does_not_lose_anothers_write(tmp_path: Path) -> None:
    """BEGIN IMMEDIATE: what a writer reads is still so when it writes."""
    database = open_database(sqlite_url(tmp_path / "hub.db"))
    table = table_of(PaymentRef)
    with database.write() as writing:
        upsert(writing, PaymentRef, [ref("sum")])

    def add(_: int) -> None:
        for _ in range(EACH):
            with database.write() as writing:
                before = writing.execute(select(table.c.invoice_id)).scalar_one()
                writing.execute(update(table).values(invoice_id=str(int(before) + 1)))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(add, range(THREADS)))

    with database.read() as reading:
        assert reading.execute(select(table.c.invoice_id)).scalar_one() == str(THREADS * EACH)
    database.close()


def test_a_reader_sees_all_of_a_write_or_nothing(database: Database) -> None:
    first, second = table_of(PaymentRef), table_of(Evidence)
    evidence = {"vendor": "bank", "vendor_account": "1", "object": "o", "record_id": "r",
                "account_id": "a", "role": "is"}  # fmt: skip

    with database.read() as reading:
        before = reading.execute(select(func.count()).select_from(first)).scalar_one()
        with database.write() as writing:
            upsert(writing, PaymentRef, [ref("1")])
            upsert(writing, Evidence, [evidence])
        after = reading.execute(select(func.count()).select_from(second)).scalar_one()

    assert (before, after) == (0, 0)
    assert (count(database), count(database, Evidence)) == (1, 1)


def test_readers_never_wait_for_a_writer(database: Database) -> None:
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        with database.write() as writing:
            upsert(writing, PaymentRef, [ref("1")])
            begun.set()
            done.wait(10)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        begun.wait(10)
        seen = count(database)
        done.set()
        writer.result()

    assert seen == 0
    assert count(database) == 1


def test_what_a_reader_writes_is_not_kept(database: Database) -> None:
    with database.read() as reading:
        upsert(reading, PaymentRef, [ref("1")])

    assert count(database) == 0


def test_a_database_that_stays_locked_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_S", 0)
    database = open_database(sqlite_url(tmp_path / "hub.db"))
    with closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="locked") as refusal, database.write():
            pass

    assert refusal.value.code == "DATABASE_BUSY"
    database.close()


def test_a_database_of_a_newer_hub_is_refused_and_left_as_it_is(database_url: str) -> None:
    database = open_database(database_url)
    with database.write() as writing:
        writing.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()

    with pytest.raises(StoreError, match="9999") as refusal:
        open_database(database_url)

    assert refusal.value.code == "DATABASE_NEWER"


def test_a_reading_command_refuses_a_newer_database_too(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "hub.db")
    database = open_database(url)
    with database.write() as writing:
        writing.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()

    with pytest.raises(StoreError) as refusal:
        open_database(url, migrate=False)

    assert refusal.value.code == "DATABASE_NEWER"


def test_opening_a_database_again_keeps_what_is_in_it(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "hub.db")
    database = open_database(url)
    with database.write() as writing:
        upsert(writing, PaymentRef, [ref("1")])
    database.close()

    again = open_database(url)

    assert count(again) == 1
    again.close()


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_text("these are not the rows you are looking for" * 100, "utf-8")

    with pytest.raises(StoreError) as refusal:
        open_database(sqlite_url(path))

    assert refusal.value.code == "DATABASE_FAILED"


def test_sqlite_keeps_a_log_beside_the_file_so_that_readers_go_on(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "hub.db"))

    with database.read() as reading:
        mode = reading.execute(text("PRAGMA journal_mode")).scalar_one()

    assert mode == "wal"
    database.close()


def test_postgresql_plans_without_jit(pg_url: str) -> None:
    database = open_database(pg_url, migrate=False)

    with database.read() as reading:
        jit = reading.execute(text("SHOW jit")).scalar_one()

    assert jit == "off"
    database.close()
