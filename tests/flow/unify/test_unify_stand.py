"""The whole way from the vendors' stand-ins to accounts, held to what is true of their world."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from hub.config import Config, load_config
from hub.env import Env
from hub.plugins import load
from hub.store import Database, as_dicts, open_database, sqlite_url, table_of
from hub.store.tables import (
    AccountRecord,
    Coverage,
    Evidence,
    HubAccount,
    Link,
    ReviewPair,
    TicketRecord,
    UsageRecord,
)
from hub.sync import sync
from hub.testing.kit import company_id
from hub.testing.stand import Stand
from hub.testing.world import Tool, World
from hub.unify import Unified, unify

DAY = date(2026, 3, 10)
MORNING = datetime(2026, 3, 10, 8, tzinfo=UTC)
VENDORS: dict[str, Tool] = {"hubspot": "crm", "zendesk": "desk", "stripe": "billing"}


class Clock:
    """That morning, going on while the test does; who sleeps finds the time gone at once."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.slept = 0.0
        self.lock = threading.Lock()

    def monotonic(self) -> float:
        return time.monotonic() - self.begun + self.slept

    def now(self) -> datetime:
        return MORNING + timedelta(seconds=self.monotonic())

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.slept += seconds


def hub_env() -> Env:
    clock = Clock()
    return Env(
        clock=clock.now, monotonic=clock.monotonic, sleep=clock.sleep, random=random.Random(7)
    )


class Read:
    """A hub that has read a stand once and worked it in."""

    def __init__(self, world: World, config: Config, database: Database, env: Env) -> None:
        self.world, self.config, self.database = world, config, database
        self.synced = sync(config, database, env)
        self.unified = self.again()

    def again(self) -> Unified:
        return unify(self.config, self.database, now=MORNING + timedelta(hours=9), day=DAY)

    def rows(self, model: Any) -> list[dict[str, Any]]:
        table = table_of(model)
        with self.database.read() as reading:
            return as_dicts(reading, select(table).order_by(*table.primary_key.columns))

    def account_of(self) -> dict[tuple[Tool, str], str]:
        """Each record of an account, as (tool, its id there), and the account that it is."""
        return {
            (VENDORS[link["vendor"]], link["record_id"]): link["account_id"]
            for link in self.rows(Link)
            if link["until"] is None
        }

    def truths(self) -> dict[tuple[Tool, str], str]:
        """Each record that the stand-ins hold, and the company that it is in truth."""
        return {
            (tool, company_id(tool, key)): min(key for _, key in truth.same_as)
            for truth in self.world.truth.values()
            for tool, key in truth.same_as
            if tool in VENDORS.values()
        }


def standing(
    scenario: str, directory: Path, url: str, *, without: Sequence[str] = ()
) -> Iterator[Read]:
    env = hub_env()
    plugins = load(())
    boxes = {n: one.sandbox for n, one in plugins.connectors.items() if one.sandbox}
    usage = directory / "usage.db"
    with Stand.open(
        scenario, 7, DAY, sandboxes=boxes, usage=usage, port_base=0, env=env
    ) as stand:  # fmt: skip
        stand.write_config(directory)
        for name in without:
            (directory / "config" / "connections" / f"{name}.yaml").unlink()
        config = load_config(directory / "config", {}, plugins)
        database = open_database(url)
        yield Read(stand.world, config, database, env)
        database.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    """The demo company, read once but for its 60,000 usage days."""
    directory = tmp_path_factory.mktemp("demo")
    yield from standing("demo", directory, sqlite_url(directory / "hub.db"), without=["usage"])


def test_the_demo_company_is_read_and_mapped_to_the_last_row(demo: Read) -> None:
    assert [str(one.problem) for one in demo.synced.problems] == []
    assert demo.unified.rejected == 0


def test_r22_no_two_companies_are_made_one(demo: Read) -> None:
    truths = demo.truths()
    companies: dict[str, set[str]] = defaultdict(set)

    for record, account in demo.account_of().items():
        companies[account].add(truths[record])

    assert [found for found in companies.values() if len(found) > 1] == []


def parted(read: Read) -> dict[str, set[str]]:
    """The companies whose records are more than one account."""
    account_of = read.account_of()
    accounts: dict[str, set[str]] = defaultdict(set)
    for record, company in read.truths().items():
        accounts[company].add(account_of[record])
    return {company: found for company, found in accounts.items() if len(found) > 1}


def test_r22_nearly_all_records_that_are_one_company_are_joined(
    demo: Read, record_property: Callable[[str, object], None]
) -> None:
    records: dict[str, list[tuple[Tool, str]]] = defaultdict(list)
    for record, company in demo.truths().items():
        records[company].append(record)
    account_of = demo.account_of()

    pairs = [pair for those in records.values() for pair in combinations(sorted(those), 2)]
    found = [pair for pair in pairs if account_of[pair[0]] == account_of[pair[1]]]

    recall = len(found) / len(pairs)
    record_property("recall", f"{recall:.4f} of {len(pairs)} pairs")
    assert recall >= 0.95


def test_every_company_without_a_stray_record_is_joined_whole(demo: Read) -> None:
    strays = {company.duplicate_of for company in demo.world.companies if company.duplicate_of}

    assert parted(demo).keys() <= strays


def test_r22_what_is_not_joined_is_left_to_a_person(demo: Read) -> None:
    asked = {frozenset((pair["left"], pair["right"])) for pair in demo.rows(ReviewPair)}

    wanted = {frozenset(pair) for found in parted(demo).values() for pair in combinations(found, 2)}

    assert wanted
    assert wanted <= asked


def test_every_account_is_what_its_company_is(demo: Read) -> None:
    accounts = {row["id"]: row for row in demo.rows(HubAccount)}
    account_of = demo.account_of()
    wrong = []

    for company in demo.world.companies:
        record = ("crm", company_id("crm", company.key))
        if company.duplicate_of is None and record in account_of:
            found = accounts[account_of[record]]
            expected = "payer" if company.is_agency else company.stage
            told = "payer" if found["kind"] == "payer" else found["lifecycle"]
            if told != expected:
                wrong.append((company.key, company.persona, expected, told))

    assert wrong == []


def test_no_ticket_belongs_to_anybody_else(demo: Read) -> None:
    truths = demo.truths()
    company_at = {account: truths[record] for record, account in demo.account_of().items()}
    tickets = demo.rows(TicketRecord)

    named = {row["record_id"]: json.loads(row["ref"] or "{}").get("id") for row in tickets}
    wrong = [
        row["record_id"]
        for row in tickets
        if (desk := named[row["record_id"]])
        and company_at[row["account_id"]] != truths[("desk", desk)]
    ]

    assert wrong == []
    assert demo.unified.unassigned["ticket"] <= 0.05 * len(tickets)


def test_an_agencys_bills_speak_for_its_customers(demo: Read) -> None:
    paid_for = {c.key for c in demo.world.companies if c.payer_key}
    account_of = demo.account_of()
    accounts = {account_of[("crm", company_id("crm", key))]: key for key in paid_for}

    speaking = {row["account_id"] for row in demo.rows(Evidence) if row["role"] == "pays_for"}

    assert len(paid_for) >= 9
    assert {accounts.get(account) for account in speaking} == paid_for


def test_t18_a_second_run_changes_nothing(demo: Read) -> None:
    models = (HubAccount, Link, ReviewPair, Evidence, Coverage)
    before = [demo.rows(model) for model in models]

    again = demo.again()

    assert [demo.rows(model) for model in models] == before
    assert (again.links.minted, again.links.links, again.links.merged) == (0, 0, 0)
    assert sum(counts.mapped for counts in again.mapped.values()) == 0


# --- both databases -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_both(
    tmp_path_factory: pytest.TempPathFactory,
    pg_new_database: Callable[[], AbstractContextManager[str]],
) -> Iterator[tuple[Read, Read]]:
    """The small company with its usage, read on SQLite and on PostgreSQL from the same stand."""
    directory = tmp_path_factory.mktemp("small")
    with pg_new_database() as postgres:
        for read in standing("small", directory, sqlite_url(directory / "hub.db")):
            database = open_database(postgres)
            yield read, Read(read.world, read.config, database, hub_env())
            database.close()


@pytest.mark.parametrize(
    "model", [HubAccount, ReviewPair, Evidence, Coverage, TicketRecord, UsageRecord, AccountRecord]
)
def test_r21_both_databases_end_with_the_same(on_both: tuple[Read, Read], model: Any) -> None:
    sqlite, postgres = (timeless(read.rows(model)) for read in on_both)

    assert sqlite == postgres


def timeless(rows: list[dict[str, Any]]) -> list[str]:
    """Rows without the instants at which the hub learned them, in any order."""
    moments = ("minted_at", "seen_at")
    return sorted(
        str({name: one for name, one in row.items() if name not in moments}) for row in rows
    )


def test_r21_both_databases_link_the_same(on_both: tuple[Read, Read]) -> None:
    sqlite, postgres = on_both

    assert sqlite.account_of() == postgres.account_of()
    assert sqlite.unified.links == postgres.unified.links


def test_usage_belongs_to_whom_it_is_about(on_both: tuple[Read, Read]) -> None:
    read = on_both[0]
    truths = read.truths()
    company_at = {account: truths[record] for record, account in read.account_of().items()}
    events: dict[str, int] = defaultdict(int)
    for day in read.world.usage:
        company = min(key for _, key in read.world.truth[day.company_key].same_as)
        events[company] += day.count

    found: dict[str, int] = defaultdict(int)
    for row in read.rows(UsageRecord):
        found[company_at[row["account_id"]]] += row["count"]

    assert {company: events[company] for company in found} == found
    assert len(found) >= 0.9 * len(events)
