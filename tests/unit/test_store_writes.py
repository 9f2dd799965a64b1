"""Bulk writes: the same rows come back from both databases, whatever stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import SQLModel

from hub.errors import StoreError
from hub.store import Database, as_dicts, insert, open_database, sqlite_url, table_of, upsert
from hub.store.tables import (
    AccountRecord,
    DealRecord,
    Evidence,
    InvoiceRecord,
    Link,
    OwnerRecord,
    TicketRecord,
)

AT = datetime(2026, 3, 2, 12, 30, 15, 123456, tzinfo=UTC)
ODD = ["a\tb", "back\\slash \\N \\.", "line\nfeed\r\n", "👩‍👩‍👧", "עברית", "é ̈", "\ufeffbom",
       "=1+1", "'quote' \"double\"", "{}", "", " ", "x" * 1_000_000]  # fmt: skip


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


def record(model: Any, key: str, **values: Any) -> dict[str, Any]:
    parts = {"vendor": "crm", "vendor_account": "1", "object": "things", "record_id": key}
    return {**parts, **values}


def stored(database: Database, model: Any) -> list[dict[str, Any]]:
    table = table_of(model)
    with database.read() as reading:
        return as_dicts(reading, select(table).order_by(table.c.record_id))


def put(database: Database, model: Any, *rows: dict[str, Any], **how: Any) -> int:
    with database.write() as writing:
        return upsert(writing, model, rows, **how)


def ticket(key: str, **values: Any) -> dict[str, Any]:
    dated = {"status": "open", "tags": "[]", "opened_at": AT, "opened_on": AT.date()}
    return record(TicketRecord, key, **{**dated, **values})


def test_r26_any_text_comes_back_from_both_databases(database: Database) -> None:
    rows = [ticket(f"{n:02}", subject=text, priority=text) for n, text in enumerate(ODD)]

    put(database, TicketRecord, *rows)

    assert [row["subject"] for row in stored(database, TicketRecord)] == ODD
    assert [row["priority"] for row in stored(database, TicketRecord)] == ODD


def test_an_odd_key_is_found_again(database: Database) -> None:
    for status in ("open", "closed"):
        put(database, TicketRecord, *(ticket(f"k{text[:9]}", status=status) for text in ODD))

    assert [row["status"] for row in stored(database, TicketRecord)] == ["closed"] * len(ODD)


def test_booleans_days_instants_and_absence_keep_their_kind(database: Database) -> None:
    paris = AT.astimezone(timezone(timedelta(hours=1)))
    put(database, DealRecord, record(DealRecord, "1", is_closed=True, is_won=False, closed_on=None))
    put(database, TicketRecord, ticket("1", opened_at=paris, closed_at=None, subject=None))

    deal, request = stored(database, DealRecord)[0], stored(database, TicketRecord)[0]

    assert (deal["is_closed"], deal["is_won"], deal["closed_on"]) == (True, False, None)
    assert (request["opened_at"], request["opened_on"]) == (AT, date(2026, 3, 2))
    assert request["opened_at"].tzinfo is UTC
    assert (request["closed_at"], request["subject"]) == (None, None)


@pytest.mark.parametrize("amount", [0, -1, 1, 2**31, -(2**63), 2**63 - 1])
def test_r27_money_is_a_whole_number_of_any_size(database: Database, amount: int) -> None:
    bill = {"status": "open", "total_minor": amount, "remaining_minor": amount, "currency": "JPY"}
    put(database, InvoiceRecord, record(InvoiceRecord, "1", **bill, attempt_count=0,
                                        created_on=AT.date()))  # fmt: skip

    total = stored(database, InvoiceRecord)[0]["total_minor"]

    assert (total, type(total)) == (amount, int)


def test_an_upsert_of_some_columns_leaves_the_others(database: Database) -> None:
    put(database, TicketRecord, ticket("1", subject="Printer", account_id="a-1"))

    put(database, TicketRecord, ticket("1", subject="Scanner"), ticket("2", subject="Fax"))

    first, second = stored(database, TicketRecord)
    assert (first["subject"], first["account_id"]) == ("Scanner", "a-1")
    assert (second["subject"], second["account_id"]) == ("Fax", None)


def test_an_upsert_may_name_what_an_existing_row_takes_over(database: Database) -> None:
    put(database, TicketRecord, ticket("1", subject="old", priority="low"))

    put(database, TicketRecord, ticket("1", subject="new", priority="high"), update=["priority"])

    row = stored(database, TicketRecord)[0]
    assert (row["subject"], row["priority"]) == ("old", "high")


def test_an_upsert_with_nothing_to_take_over_leaves_existing_rows_alone(database: Database) -> None:
    put(database, TicketRecord, ticket("1", subject="old"))

    put(database, TicketRecord, ticket("1", subject="new"), ticket("2", subject="new"), update=[])

    assert [row["subject"] for row in stored(database, TicketRecord)] == ["old", "new"]


def test_a_row_that_is_there_already_is_no_fault(database: Database) -> None:
    rows = [record(Evidence, "1", account_id="a-1", role="is")]

    put(database, Evidence, *rows, update=[])
    put(database, Evidence, *rows, update=[])

    assert len(stored(database, Evidence)) == 1


def test_the_order_of_the_names_in_a_row_does_not_matter(database: Database) -> None:
    row = {"name": "Mia", "email": "mia@birch.example", "is_active": True}
    turned = dict(reversed(record(OwnerRecord, "2", **row).items()))

    put(database, OwnerRecord, record(OwnerRecord, "1", **row), turned)

    assert [one["name"] for one in stored(database, OwnerRecord)] == ["Mia", "Mia"]


def test_many_rows_go_in_at_once_and_again(database: Database) -> None:
    rows = [record(AccountRecord, f"{n:05}", name=f"Co {n}", fields="{}") for n in range(5000)]

    given = put(database, AccountRecord, *rows)
    put(database, AccountRecord, *rows)

    assert given == 5000
    assert len(stored(database, AccountRecord)) == 5000


def test_two_upserts_of_one_transaction_do_not_see_each_others_rows(database: Database) -> None:
    with database.write() as writing:
        upsert(writing, TicketRecord, [ticket("1", subject="first")])
        upsert(writing, TicketRecord, [ticket("2", subject="second")])
        upsert(writing, TicketRecord, [ticket("1", subject="third")])

    assert [row["subject"] for row in stored(database, TicketRecord)] == ["third", "second"]


def test_the_link_log_counts_its_own_entries(database: Database) -> None:
    entry = {
        "vendor": "crm", "vendor_account": "1", "object": "companies", "record_id": "1",
        "account_id": "a-1", "role": "is", "reason": "first", "confidence": 1.0, "since": AT,
        "until": None, "actor": "hub", "run": 1,
    }  # fmt: skip

    with database.write() as writing:
        insert(writing, Link, [entry, entry])
        insert(writing, Link, [])

    table = table_of(Link)
    with database.read() as reading:
        first, second = reading.execute(select(table.c.seq).order_by(table.c.seq)).scalars()
    assert second == first + 1


def test_nothing_to_write_writes_nothing(database: Database) -> None:
    assert put(database, TicketRecord) == 0


def test_what_the_database_refuses_is_said_in_the_hubs_words(database: Database) -> None:
    with pytest.raises(StoreError, match="the database refused"):
        put(database, TicketRecord, ticket("1", status=None))

    assert stored(database, TicketRecord) == []


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def failing() -> None:
        with database.write() as writing:
            upsert(writing, TicketRecord, [ticket("1")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()

    with database.read() as reading:
        number = reading.execute(select(func.count()).select_from(table_of(TicketRecord)))
        assert number.scalar_one() == 0


def test_an_instant_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="zone"):
        put(database, TicketRecord, ticket("1", opened_at=AT.replace(tzinfo=None)))
