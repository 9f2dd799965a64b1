"""sync against a made-up vendor in memory: pages, checkpoints, counters, and what is set aside."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from hub import (
    Account,
    Changes,
    Checked,
    Connector,
    Env,
    FeedExpired,
    Page,
    Position,
    Row,
    Rows,
    ScopeMissing,
    Settings,
    changes,
    stream,
)
from hub.config import Config, Connection
from hub.store import Database, open_database, table_of
from hub.store.progress import load_checkpoint, streams_of_run
from hub.store.tables import Aside, RowVersion, VendorRow
from hub.sync import sync

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Shop:
    """The made-up vendor: what its lists and its feed say, and where it breaks."""

    rows: ClassVar[list[Row]] = []
    orders: ClassVar[dict[str, Row]] = {}
    feed: ClassVar[list[tuple[int, str]]] = []
    broken_after: ClassVar[int | None] = None
    forbidden: ClassVar[bool] = False
    expired: ClassVar[bool] = False
    listed: ClassVar[list[Row] | None] = None
    account: ClassVar[str] = "shop-1"
    read_in_full: ClassVar[int] = 0
    asked_since: ClassVar[list[datetime | None]] = []


def to_account(row: Row) -> Account:
    return Account(id=str(row["id"]), name=row.get("name"))


class ShopConnector(Connector[Settings]):
    name = "shop"
    title = "Shop"

    def check(self) -> Checked:
        return Checked(account=Shop.account, says="signed in")

    @stream(maps=to_account, keeps=("id", "name", "tags.word"), deletes="sweep")
    def customers(self, at: Position | None) -> Iterator[Page]:
        start = int(at.state.get("next", 0)) if at else 0  # type: ignore[arg-type]
        for first in range(start, len(Shop.rows), 2):
            if Shop.broken_after is not None and first >= Shop.broken_after:
                raise ScopeMissing("customers may not be read")
            last = first + 2 >= len(Shop.rows)
            at = Position(state={"next": first + 2})
            yield Page(Shop.rows[first : first + 2], at=at, complete=last)

    @customers.by_ids
    def customers_by_ids(self, ids: Sequence[str]) -> Rows:
        return [row for row in Shop.rows if str(row["id"]) in ids]

    @customers.ids
    def customer_ids(self) -> Iterator[Sequence[str]]:
        listed = Shop.rows if Shop.listed is None else Shop.listed
        yield [str(row["id"]) for row in listed if "id" in row]

    @stream(cursor="changed", ordered=True, key="id")
    def visits(self, since: datetime | None) -> Iterator[Rows]:
        Shop.asked_since.append(since)
        if Shop.forbidden:
            raise ScopeMissing("visits may not be read")
        yield [{"id": 1, "changed": "2026-03-01T10:00:00Z"}]
        yield [{"id": 2, "changed": "2026-03-02T11:00:00Z"}]

    @stream(maps=None, deletes="feed")
    def orders(self, at: Position | None) -> Iterator[Page]:
        Shop.read_in_full += 1
        yield Page(list(Shop.orders.values()), complete=True)

    @stream(maps=None, deletes="feed")
    def refunds(self, at: Position | None) -> Iterator[Page]:
        if Shop.forbidden:
            raise ScopeMissing("refunds may not be read")
        yield Page((), complete=True)

    @orders.by_ids
    def orders_by_ids(self, ids: Sequence[str]) -> Rows:
        return [Shop.orders[key] for key in ids if key in Shop.orders]

    @changes("orders", "refunds")
    def news(self, at: Position | None) -> Iterator[Changes]:
        now = Position(state={"seen": len(Shop.feed)})
        if at is None:
            yield Changes(at=now)
            return
        if Shop.expired:
            Shop.expired = False
            raise FeedExpired("the feed has a gap")
        fresh = Shop.feed[int(at.state["seen"]) :]  # type: ignore[arg-type]
        yield Changes(at=now, changed=[("orders", key) for _, key in fresh])


@pytest.fixture(autouse=True)
def shop() -> type[Shop]:
    Shop.rows, Shop.orders, Shop.feed = [], {}, []
    Shop.broken_after, Shop.forbidden, Shop.expired, Shop.listed = None, False, False, None
    Shop.account, Shop.read_in_full, Shop.asked_since = "shop-1", 0, []
    return Shop


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()


def config(**given: Any) -> Config:
    connection = Connection(name="main", connector="shop", type=ShopConnector, settings=Settings())
    return Config(
        directory=Path("config"),
        zone=ZoneInfo("Europe/Berlin"),
        currency="EUR",
        digest="test",
        connections={"main": Connection(**{**vars(connection), **given})},
    )


def env(at: datetime = NOON) -> Env:
    return Env(
        clock=lambda: at, monotonic=lambda: 0.0, sleep=lambda s: None, random=random.Random(1)
    )


def stored(database: Database, kind: str = "customers") -> dict[str, str]:
    table = table_of(VendorRow)
    with database.read() as reading:
        rows = reading.execute(
            select(table.c.record_id, table.c.data).where(
                table.c.object == kind, table.c.gone_at.is_(None)
            )
        )
        return dict(rows.all())


def counts(database: Database, run: int, kind: str = "customers") -> dict[str, Any]:
    with database.read() as reading:
        return next(one for one in streams_of_run(reading, run) if one["stream"] == kind)


def test_only_declared_fields_are_stored(database: Database) -> None:
    Shop.rows = [{"id": 1, "name": "Birch", "secret": "canary", "tags": [{"word": "a", "by": "x"}]}]

    sync(config(), database, env())

    assert stored(database) == {"1": '{"id":1,"name":"Birch","tags":[{"word":"a"}]}'}


def test_a_field_that_the_admin_keeps_is_stored_too(database: Database) -> None:
    Shop.rows = [{"id": 1, "name": "Birch", "tier": "gold"}]

    sync(config(keep={"customers": ("tier",)}), database, env())

    assert stored(database) == {"1": '{"id":1,"name":"Birch","tier":"gold"}'}


def test_t5_a_sync_that_breaks_goes_on_after_its_last_stored_page(database: Database) -> None:
    Shop.rows = [{"id": n, "name": "x"} for n in range(6)]
    Shop.broken_after = 2

    first = sync(config(), database, env())
    Shop.broken_after = None
    second = sync(config(), database, env())

    assert first.result == "partly"
    assert counts(database, first.run)["read"] == 2
    assert counts(database, second.run)["read"] == 4
    assert len(stored(database)) == 6


def test_every_row_read_is_counted_once(database: Database) -> None:
    Shop.rows = [
        {"id": 1, "name": "same"},
        {"id": 2, "name": "old"},
        {"name": "no id"},
        {"id": 3, "name": float("nan")},
        {"id": 4, "name": "a"},
        {"id": 4, "name": "b"},
    ]
    sync(config(), database, env())
    Shop.rows[1] = {"id": 2, "name": "new"}
    with database.write() as writing:
        writing.exec_driver_sql("DELETE FROM checkpoint")

    again = sync(config(), database, env(NOON + timedelta(hours=1)))

    told = counts(database, again.run)
    assert (told["read"], told["new"], told["changed"], told["same"], told["aside"]) == (
        6,
        0,
        1,
        2,
        3,
    )
    assert told["read"] == told["new"] + told["changed"] + told["same"] + told["aside"]


def test_a_row_that_cannot_be_stored_is_set_aside_with_its_reason(database: Database) -> None:
    Shop.rows = [{"name": "no id"}, {"id": 4, "name": "a"}, {"id": 4, "name": "b"}]

    sync(config(), database, env())

    with database.read() as reading:
        whys = sorted(reading.execute(select(table_of(Aside).c.why)).scalars())
    assert whys == ["the row has no id"]
    assert stored(database)["4"] == '{"id":4,"name":"b"}'


def test_one_id_with_two_contents_in_one_page_is_not_overwritten(database: Database) -> None:
    Shop.rows = [{"id": 4, "name": "a"}, {"id": 4, "name": "b"}]

    sync(config(), database, env())

    with database.read() as reading:
        whys = list(reading.execute(select(table_of(Aside).c.why)).scalars())
    assert whys == ["4 came twice in one page with two contents"]
    assert stored(database)["4"] == '{"id":4,"name":"a"}'


def test_an_earlier_version_is_kept(database: Database) -> None:
    Shop.rows = [{"id": 1, "name": "old"}]
    sync(config(), database, env())
    Shop.rows = [{"id": 1, "name": "new"}]
    with database.write() as writing:
        writing.exec_driver_sql("DELETE FROM checkpoint")

    sync(config(), database, env(NOON + timedelta(hours=1)))

    with database.read() as reading:
        old = list(reading.execute(select(table_of(RowVersion).c.data)).scalars())
    assert old == ['{"id":1,"name":"old"}']


def test_r8_rows_and_checkpoint_are_stored_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    Shop.rows = [{"id": n, "name": "x"} for n in range(4)]

    def lost(*args: object, **named: object) -> None:
        raise ScopeMissing("the machine stopped here")

    monkeypatch.setattr("hub.sync.store_checkpoint", lost)
    sync(config(), database, env())

    assert stored(database) == {}


def test_r15_a_broken_stream_does_not_stop_the_others(database: Database) -> None:
    Shop.rows = [{"id": 1, "name": "x"}]
    Shop.forbidden = True

    synced = sync(config(), database, env())

    assert [(one.stream, one.problem.code) for one in synced.problems if one.problem] == [
        ("refunds", "SCOPE_MISSING"),
        ("visits", "SCOPE_MISSING"),
    ]
    assert stored(database)


def test_r15_a_connector_that_fails_while_signing_in_is_named(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: object) -> Checked:
        raise ValueError("a fault of the plugin")

    monkeypatch.setattr(ShopConnector, "check", fails)

    synced = sync(config(), database, env())

    assert [one.problem.code for one in synced.problems if one.problem] == ["PLUGIN_BROKEN"]


def test_a_simple_stream_reads_again_an_overlap_behind_its_cursor(database: Database) -> None:
    sync(config(), database, env())

    sync(config(), database, env())

    newest = datetime(2026, 3, 2, 11, tzinfo=UTC)
    assert Shop.asked_since[-1] == newest - timedelta(minutes=5)


def test_a_feed_names_what_is_read_again(database: Database) -> None:
    Shop.orders = {"a": {"id": "a", "sum": 1}, "b": {"id": "b", "sum": 2}}
    sync(config(), database, env())
    Shop.orders["a"] = {"id": "a", "sum": 9}
    Shop.feed.append((1, "a"))

    second = sync(config(), database, env())

    assert Shop.read_in_full == 1
    assert counts(database, second.run, "orders")["read"] == 1
    assert stored(database, "orders")["a"] == '{"id":"a","sum":9}'


def test_what_a_feed_names_and_no_longer_answers_is_gone(database: Database) -> None:
    Shop.orders = {"a": {"id": "a", "sum": 1}}
    sync(config(), database, env())
    Shop.orders = {}
    Shop.feed.append((1, "a"))

    second = sync(config(), database, env())

    assert stored(database, "orders") == {}
    assert counts(database, second.run, "orders")["gone"] == 1


def test_a_feed_with_a_gap_makes_its_streams_read_in_full(database: Database) -> None:
    Shop.orders = {"a": {"id": "a", "sum": 1}}
    sync(config(), database, env())
    Shop.orders = {"a": {"id": "a", "sum": 2}}
    Shop.expired = True

    sync(config(), database, env())

    assert Shop.read_in_full == 2
    assert stored(database, "orders")["a"] == '{"id":"a","sum":2}'


def test_a_forbidden_stream_of_a_feed_does_not_make_the_others_read_in_full(
    database: Database,
) -> None:
    Shop.orders = {"a": {"id": "a", "sum": 1}}
    Shop.forbidden = True
    sync(config(), database, env())

    sync(config(), database, env())

    assert Shop.read_in_full == 1


TOMORROW = NOON + timedelta(days=1, hours=1)


def test_t7_a_record_that_is_no_longer_listed_nor_answered_for_is_gone(database: Database) -> None:
    Shop.rows = [{"id": n, "name": "x"} for n in range(4)]
    sync(config(), database, env())
    Shop.rows = Shop.rows[:3]

    swept = sync(config(), database, env(TOMORROW))

    assert sorted(stored(database)) == ["0", "1", "2"]
    assert counts(database, swept.run)["gone"] == 1


def test_r7_a_listing_that_forgets_records_deletes_none_that_still_answer(
    database: Database,
) -> None:
    Shop.rows = [{"id": n, "name": "x"} for n in range(4)]
    sync(config(), database, env())
    Shop.listed = Shop.rows[:1]

    sync(config(), database, env(TOMORROW))

    assert len(stored(database)) == 4


def test_r7_an_empty_listing_stops_for_a_person(database: Database) -> None:
    Shop.rows = [{"id": n, "name": "x"} for n in range(4)]
    sync(config(), database, env())
    Shop.listed = []

    swept = sync(config(), database, env(TOMORROW))

    assert [one.problem.code for one in swept.problems if one.problem] == ["MASS_DELETE"]
    assert len(stored(database)) == 4


def test_r7_a_mass_deletion_happens_only_when_a_person_accepts_it(database: Database) -> None:
    Shop.rows = [{"id": n, "name": "x"} for n in range(60)]
    sync(config(), database, env())
    Shop.rows = Shop.rows[:30]

    stopped = sync(config(), database, env(TOMORROW))
    kept = len(stored(database))
    accepted = sync(config(), database, env(TOMORROW), accept_gone=("customers",))

    assert [one.problem.code for one in stopped.problems if one.problem] == ["MASS_DELETE"]
    assert kept == 60
    assert counts(database, accepted.run)["gone"] == 30
    assert len(stored(database)) == 30


def test_the_sweep_is_made_once_a_day(database: Database) -> None:
    Shop.rows = [{"id": n, "name": "x"} for n in range(4)]
    sync(config(), database, env())
    Shop.rows = Shop.rows[:3]

    sync(config(), database, env(NOON + timedelta(hours=2)))

    assert len(stored(database)) == 4


def test_credentials_of_another_account_are_refused(database: Database) -> None:
    sync(config(), database, env())
    Shop.account = "shop-2"
    Shop.rows = [{"id": 1, "name": "x"}]

    synced = sync(config(), database, env())

    assert [one.problem.code for one in synced.problems if one.problem] == ["WRONG_ACCOUNT"]
    assert stored(database) == {}


def test_a_complete_read_is_remembered_for_coverage(database: Database) -> None:
    Shop.rows = [{"id": 1, "name": "x"}]

    sync(config(), database, env())

    with database.read() as reading:
        checkpoint = load_checkpoint(reading, "main", "customers")
    assert checkpoint is not None
    assert checkpoint["complete_at"] == NOON
    assert checkpoint["fresh_at"] == NOON


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_r26_any_text_comes_back_as_it_was(tmp_path_factory: Any, text: str) -> None:
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('r26')}/hub.db")
    Shop.rows = [{"id": 1, "name": text}]

    sync(config(), database, env())

    replaced = "".join("�" if c == "\x00" or "\ud800" <= c <= "\udfff" else c for c in text)
    assert json.loads(stored(database)["1"])["name"] == replaced
    database.close()


def test_today_is_the_day_in_the_teams_zone() -> None:
    late = env(datetime(2026, 3, 2, 23, 30, tzinfo=UTC))

    assert late.today(ZoneInfo("Europe/Berlin")) == date(2026, 3, 3)
