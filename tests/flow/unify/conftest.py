"""A small town of made-up vendors: a test says what their rows are, unify says what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from hub import (
    Account,
    Checked,
    Connector,
    Deal,
    Ignored,
    Invoice,
    Owner,
    Page,
    PaymentAttempt,
    Person,
    Position,
    Record,
    RecordRejected,
    Row,
    Settings,
    Subscription,
    Ticket,
    UsageDay,
    stream,
)
from hub.config import Config, Connection
from hub.store import Database, as_dicts, open_database, sqlite_url, table_of, upsert
from hub.store.progress import store_checkpoint
from hub.store.rows import Source, mark_gone, store_rows
from hub.store.tables import ConnectionState, HubAccount, Link, ReviewPair, StateHistory
from hub.unify import Unified, unify
from hub.unify.accounts import alias_map, current_links

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
OWN = "own"
"""Where every vendor of the town puts a team's own fields."""


def maps(kind: type[Record]) -> Callable[[Row], Record | list[Record] | Ignored]:
    """The vendors of the town speak as the hub does: a row is a record, or says what it is not."""

    def to_record(row: Row) -> Record | list[Record] | Ignored:
        if "ignored" in row:
            return Ignored(why=row["ignored"])
        if "rejected" in row:
            raise RecordRejected(row["rejected"])
        if "many" in row:
            return [kind.model_validate(one) for one in row["many"]]
        return kind.model_validate({name: row[name] for name in row if name != OWN})

    return to_record


class Town(Connector[Settings]):
    """What the town's vendors have in common: nobody calls them."""

    def check(self) -> Checked:
        return Checked(account="town", says="signed in")


class Crm(Town):
    name = "crm"

    @stream(maps=maps(Account), custom=OWN)
    def companies(self, at: Position | None) -> Iterator[Page]:
        yield Page(())

    @stream(maps=maps(Person))
    def contacts(self, at: Position | None) -> Iterator[Page]:
        yield Page(())

    @stream(maps=maps(Deal))
    def deals(self, at: Position | None) -> Iterator[Page]:
        yield Page(())

    @stream(maps=maps(Owner))
    def owners(self, at: Position | None) -> Iterator[Page]:
        yield Page(())


class Desk(Town):
    name = "desk"
    absence = "zero"

    @stream(maps=maps(Account))
    def organizations(self, at: Position | None) -> Iterator[Page]:
        yield Page(())

    @stream(maps=maps(Person))
    def users(self, at: Position | None) -> Iterator[Page]:
        yield Page(())

    @stream(maps=maps(Ticket))
    def tickets(self, at: Position | None) -> Iterator[Page]:
        yield Page(())


class Billing(Town):
    name = "billing"
    absence = "zero"

    @stream(maps=maps(Account), custom=OWN)
    def customers(self, at: Position | None) -> Iterator[Page]:
        yield Page(())

    @stream(maps=maps(Subscription))
    def subscriptions(self, at: Position | None) -> Iterator[Page]:
        yield Page(())

    @stream(maps=maps(Invoice))
    def invoices(self, at: Position | None) -> Iterator[Page]:
        yield Page(())

    @stream(maps=maps(PaymentAttempt))
    def charges(self, at: Position | None) -> Iterator[Page]:
        yield Page(())


class Product(Town):
    name = "product"

    @stream(maps=maps(UsageDay))
    def days(self, at: Position | None) -> Iterator[Page]:
        yield Page(())


VENDORS: tuple[type[Town], ...] = (Crm, Desk, Billing, Product)


def town_config() -> Config:
    connections = {
        vendor.name: Connection(
            name=vendor.name, connector=vendor.name, type=vendor, settings=Settings(),
            absence=vendor.absence,
        )
        for vendor in VENDORS
    }  # fmt: skip
    return Config(
        directory=Path("config"),
        zone=ZoneInfo("Europe/Berlin"),
        currency="EUR",
        digest="town",
        tasks_to={"any": "crm"},
        connections=connections,
    )


class Hub:
    """The town's hub: what its vendors say, and what it makes of it. `at` is its clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.config = town_config()
        self.at = START
        with database.write() as writing:
            for vendor in self.config.connections:
                self.sign_in(writing, vendor)

    def sign_in(self, writing: Any, connection: str, account: str = "town") -> None:
        vendor = self.config.connections[connection].connector
        state = {"connection": connection, "vendor": vendor, "vendor_account": account}
        upsert(writing, ConnectionState, [{**state, "checked_at": self.at}])

    def set(self, connection: str | None = None, **given: Any) -> None:
        """Edit hub.yaml, or a connection's file."""
        if connection is None:
            self.config = replace(self.config, **given)
            return
        edited = replace(self.config.connections[connection], **given)
        self.set(connections={**self.config.connections, connection: edited})

    def connect(self, name: str, *, like: str, account: str) -> None:
        """One more connection: another account of a vendor that is there."""
        another = replace(self.config.connections[like], name=name)
        self.set(connections={**self.config.connections, name: another})
        with self.database.write() as writing:
            self.sign_in(writing, name, account)

    # --- what vendors say ---------------------------------------------------------------------

    def says(self, place: str, *rows: Row) -> None:
        """A vendor has these rows now: `says("crm/companies", {"id": "1"})`."""
        source, stream_of = self._source(place)
        with self.database.write() as writing:
            store_rows(writing, source, stream_of, rows, None, run=1, now=self.at)

    def forgets(self, place: str, *ids: str) -> None:
        """A vendor has these rows no longer."""
        source, stream_of = self._source(place)
        with self.database.write() as writing:
            mark_gone(writing, source, stream_of.name, ids, now=self.at)

    def was_read(self, place: str, at: datetime | None = None) -> None:
        """The whole of a stream was read, now or at an instant."""
        connection, name = place.split("/")
        at = at or self.at
        with self.database.write() as writing:
            store_checkpoint(writing, connection, name, now=at, complete_at=at, fresh_at=at)

    def _source(self, place: str) -> tuple[Source, Any]:
        name, stream_name = place.split("/")
        connection = self.config.connections[name]
        source = Source(name, connection.connector, self._account_of(name))
        return source, connection.type.streams[stream_name]

    def _account_of(self, connection: str) -> str:
        table = table_of(ConnectionState)
        with self.database.read() as reading:
            found = reading.execute(
                select(table.c.vendor_account).where(table.c.connection == connection)
            )
            return str(found.scalar_one())

    def unify(self, *, days_later: int = 0) -> Unified:
        """Work in what the vendors said."""
        self.at += timedelta(days=days_later, minutes=1)
        day = self.at.astimezone(self.config.zone).date()
        return unify(self.config, self.database, now=self.at, day=day)

    # --- what the hub knows -------------------------------------------------------------------

    def rows(self, model: Any, **where: Any) -> list[dict[str, Any]]:
        """Stored rows of a table, by its key."""
        table = table_of(model)
        same = [table.c[name] == value for name, value in where.items()]
        statement = select(table).where(*same).order_by(*table.primary_key.columns)
        with self.database.read() as reading:
            return as_dicts(reading, statement)

    def account_of(self, record: str) -> str | None:
        """The id of the account that a record is: `account_of("crm/companies/1")`."""
        vendor, kind, key = record.split("/")
        with self.database.read() as reading:
            aliases = alias_map(reading)
            found = current_links(reading).get((vendor, "town", kind, key))
        return aliases.get(found or "", found)

    def account(self, record: str) -> dict[str, Any]:
        """Everything concluded about the account that a record is."""
        return self.rows(HubAccount, id=self.account_of(record))[0]

    def accounts(self) -> list[str]:
        """Each account as its records: ["crm/1 desk/7", "billing/3"]."""
        with self.database.read() as reading:
            aliases = alias_map(reading)
            links = current_links(reading)
        members: dict[str, list[str]] = {}
        for (vendor, _, _, key), account in links.items():
            members.setdefault(aliases.get(account, account), []).append(f"{vendor}/{key}")
        return sorted(" ".join(sorted(records)) for records in members.values())

    def fact(self, model: Any, key: str) -> dict[str, Any]:
        """One stored fact by its vendor's id."""
        return self.rows(model, record_id=key)[0]

    def log(self, record: str) -> list[dict[str, Any]]:
        """Everything that the link log ever said of a record."""
        vendor, kind, key = record.split("/")
        return self.rows(Link, vendor=vendor, object=kind, record_id=key)

    def asked(self) -> list[str]:
        """Why pairs of accounts wait for a person."""
        return sorted(pair["reason"] for pair in self.rows(ReviewPair, state="open"))

    def history(self, record: str, field: str) -> list[tuple[Any, ...]]:
        """(value, valid from, known at, superseded at) of a field, oldest first."""
        key = self.account_of(record) if record.startswith("crm/") else record
        found = self.rows(StateHistory, key=key, field=field)
        return [
            (one["value"], one["valid_from"], one["known_at"], one["superseded_at"])
            for one in sorted(found, key=lambda one: one["known_at"])
        ]


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for all tests: half the time of a small run is making its SQL the first time."""
    database = open_database(sqlite_url(tmp_path_factory.mktemp("town") / "hub.db"))
    yield database
    database.close()


@pytest.fixture
def hub(opened: Database) -> Hub:
    """A hub that has read nothing yet."""
    with opened.write() as writing:
        for table in reversed(SQLModel.metadata.sorted_tables):
            writing.execute(table.delete())
    return Hub(opened)


@pytest.fixture
def pg_hub(pg_database: str) -> Iterator[Hub]:
    """A hub on PostgreSQL that has read nothing yet."""
    database = open_database(pg_database)
    yield Hub(database)
    database.close()


def ticket(key: str, **values: Any) -> dict[str, Any]:
    return {"id": key, "opened_at": "2026-02-20T10:00:00Z", **values}


def subscription(key: str, customer: str, status: str = "active", **values: Any) -> dict[str, Any]:
    return {"id": key, "account": {"id": customer}, "status": status, **values}


def invoice(key: str, customer: str, **values: Any) -> dict[str, Any]:
    money = {"total_minor": 4900, "remaining_minor": 4900, "currency": "EUR", "status": "open"}
    made = {"created_at": "2026-02-10T10:00:00Z", "account": {"id": customer}}
    return {"id": key, **money, **made, **values}


def charge(key: str, **values: Any) -> dict[str, Any]:
    money = {"succeeded": False, "amount_minor": 4900, "currency": "EUR"}
    return {"id": key, **money, "attempted_at": "2026-02-11T10:00:00Z", **values}


def usage(key: str, day: date | str = "2026-02-20", **values: Any) -> dict[str, Any]:
    return {"id": key, "day": str(day), "event": "login", "count": 1, **values}


@pytest.fixture
def rows() -> SimpleNamespace:
    """Makers of rows: `rows.ticket("1", account={"id": "7"})`."""
    makers = (ticket, subscription, invoice, charge, usage)
    return SimpleNamespace(**{make.__name__: make for make in makers})
