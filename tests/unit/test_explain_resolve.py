"""Which account a person means, by whatever name they have for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hub.errors import UsageError
from hub.explain import resolve
from hub.store import Database, insert, open_database, sqlite_url
from hub.store.tables import DesiredTask, HubAccount, Link, TicketRecord

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
KEY = {"vendor": "hubspot", "vendor_account": "62515", "object": "companies", "record_id": "123"}
TASK = "payment-abcdefghijklmnopqrst"


def account(key: str, name: str | None, domains: str = "[]", **more: Any) -> dict[str, Any]:
    return {
        "id": key, "minted_at": NOON, "minted_run": 1, "name": name, "domains": domains,
        "alias_of": None, "lifecycle": "prospect", **more,
    }  # fmt: skip


ACCOUNTS = [
    account("a-birch", "Birch & Vale", '["birchvale.example", "birch.example"]'),
    account("a-old", "Birch and Vale", alias_of="a-older"),
    account("a-older", None, alias_of="a-birch"),
    account("a-acme", "Acme", '["acme.example"]'),
    account("a-acme-2", "ACME", '["acme.example"]', lifecycle="customer"),
    account("a-100", "100% Fruit"),
    account("a-none", None),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with some accounts, a link in force, an old one, and a ticket."""
    made = open_database(sqlite_url(tmp_path / "hub.db"))
    link = {**KEY, "role": "is", "reason": "made", "confidence": 1.0, "since": NOON, "run": 1,
            "actor": "hub"}  # fmt: skip
    ticket = {"vendor": "zendesk", "vendor_account": "acme/eu", "object": "tickets",
              "record_id": "7/8", "account_id": "a-acme", "status": "open", "tags": "[]",
              "opened_at": NOON, "opened_on": date(2026, 3, 4)}  # fmt: skip
    task = {"run": 1, "key": TASK, "account_id": "a-old", "cause": "payment",
            "opened_on": date(2026, 3, 1), "title": "Call", "body": "", "due": NOON,
            "priority": "high", "why": "", "evidence": "[]"}  # fmt: skip
    with made.write() as writing:
        insert(writing, HubAccount, ACCOUNTS)
        insert(writing, Link, [
            {**link, "account_id": "a-acme", "until": NOON},
            {**link, "account_id": "a-birch", "until": None},
        ])  # fmt: skip
        insert(writing, TicketRecord, [ticket])
        insert(writing, DesiredTask, [task])
    yield made
    made.close()


@pytest.fixture
def reading(database: Database) -> Iterator[Connection]:
    with database.read() as connection:
        yield connection


@pytest.mark.parametrize(
    ("said", "account_id"),
    [
        ("a-birch", "a-birch"),
        ("a-old", "a-birch"),
        ("birchvale.example", "a-birch"),
        ("www.Birch.example", "a-birch"),
        ("Birch & Vale", "a-birch"),
        ("birch & VALE", "a-birch"),
        ("vale", "a-birch"),
        ("Acme", "a-acme"),
        ("ACME", "a-acme-2"),
        ("100%", "a-100"),
        ("hubspot/companies/123", "a-birch"),
        ("hubspot/62515/companies/123", "a-birch"),
        ("zendesk/tickets/7/8", "a-acme"),
        (TASK, "a-birch"),
        ("  a-birch ", "a-birch"),
    ],
)
def test_an_account_is_found(reading: Connection, said: str, account_id: str):
    assert resolve(reading, said) == account_id


@pytest.mark.parametrize("said", ["acme", "acme.example", "a"])
def test_what_fits_several_lists_them_with_their_ids(reading: Connection, said: str):
    with pytest.raises(UsageError) as raised:
        resolve(reading, said)

    assert raised.value.code == "AMBIGUOUS"
    assert "Acme (a-acme, prospect)" in str(raised.value)
    assert "ACME (a-acme-2, customer)" in str(raised.value)


@pytest.mark.parametrize(
    "said",
    ["", "Nobody", "nobody.example", "hubspot/companies/124", "hubspot/1/companies/123", "_", "%",
     "usage-abcdefghijklmnopqrst"],
)  # fmt: skip
def test_what_fits_nobody_is_not_found(reading: Connection, said: str):
    with pytest.raises(UsageError) as raised:
        resolve(reading, "%%" if said == "%" else said)

    assert raised.value.code == "NOT_FOUND"
