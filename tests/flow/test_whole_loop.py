"""All four verbs over real sockets, on both databases: what the tools say in the end."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from hub.cli.standins import sandboxes
from hub.config import Config, load_config
from hub.decide import Decided, decide
from hub.deliver import Delivered, deliver
from hub.dump import canonical_dump
from hub.env import Env
from hub.store import Database, as_dicts, open_database, table_of
from hub.store.progress import streams_of_run
from hub.store.tables import Episode, HubAccount, LedgerEntry, Link
from hub.sync import Synced, sync
from hub.testing.stand import Stand
from hub.unify import Unified, unify

TODAY = date(2026, 11, 24)
MORNING = datetime(2026, 11, 24, 9, tzinfo=UTC)
LEDGER = table_of(LedgerEntry)


class Clock:
    """A clock that only sleeping moves, shared by the hub and the stand-ins."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def env(self) -> Env:
        return Env(
            clock=lambda: MORNING + timedelta(seconds=self.passed_s),
            monotonic=lambda: self.passed_s,
            sleep=self.sleep,
            random=random.Random(1),
        )

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds


@dataclass
class Loop:
    """A hub beside its vendors' stand-ins."""

    config: Config
    database: Database
    clock: Clock
    stand: Stand

    def run(self) -> tuple[Synced, Unified, Decided, Delivered]:
        """Once around."""
        env = self.clock.env()
        synced = sync(self.config, self.database, env)
        unified = unify(self.config, self.database, now=env.now(), day=TODAY)
        decided = decide(self.config, self.database, now=env.now(), today=TODAY)
        return synced, unified, decided, deliver(self.config, self.database, env)

    def writes(self) -> int:
        """How many writing calls the vendors got so far."""
        return sum(len(one.writes()) for one in self.stand.sandboxes.values())


@dataclass
class Twice:
    """A loop that went around twice on one day, and what each round came to."""

    loop: Loop
    first: tuple[Synced, Unified, Decided, Delivered]
    second: tuple[Synced, Unified, Decided, Delivered]
    writes_of_first: int

    def rows(self, model: type[Any], *where: Any) -> list[dict[str, Any]]:
        """Stored rows of a table."""
        with self.loop.database.read() as reading:
            return as_dicts(reading, select(table_of(model)).where(*where))


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
    pg_new_database: Callable[[], AbstractContextManager[str]],
) -> Iterator[dict[str, Twice]]:
    """The same two rounds on each database."""
    with ExitStack() as stack:
        homes = {name: tmp_path_factory.mktemp(name) for name in ("sqlite", "postgresql")}
        urls = {
            "sqlite": f"sqlite:///{homes['sqlite']}/hub.db",
            "postgresql": stack.enter_context(pg_new_database()),
        }
        yield {name: _twice(stack, homes[name], urls[name]) for name in homes}


def _twice(stack: ExitStack, home: Path, url: str) -> Twice:
    clock = Clock()
    opened = Stand.open(
        "small",
        7,
        TODAY,
        sandboxes=sandboxes(),
        usage=home / "usage.db",
        port_base=0,
        env=clock.env(),
    )
    stand = stack.enter_context(opened)
    stand.write_config(home)
    database = open_database(url)
    stack.callback(database.close)
    loop = Loop(load_config(home / "config", {}), database, clock, stand)
    first = loop.run()
    writes = loop.writes()
    clock.sleep(120)
    return Twice(loop, first, loop.run(), writes)


@pytest.fixture(params=["sqlite", "postgresql"])
def twice(request: pytest.FixtureRequest, both: dict[str, Twice]) -> Twice:
    return both[request.param]


def test_r20_a_second_run_on_the_same_day_writes_nothing(twice: Twice) -> None:
    *_, first = twice.first
    *_, second = twice.second

    assert first.applied.done > 0
    assert first.result == "done"
    assert (second.plan.items, second.applied.done) == (0, 0)
    assert twice.loop.writes() == twice.writes_of_first


def test_what_was_read_is_stored_the_same_or_set_aside(twice: Twice) -> None:
    synced, *_ = twice.first

    with twice.loop.database.read() as reading:
        streams = streams_of_run(reading, synced.run)
    assert {one["connection"] for one in streams} == twice.loop.config.connections.keys()
    for one in streams:
        assert one["read"] == one["new"] + one["changed"] + one["same"] + one["aside"], one


def test_s105_every_tool_says_the_same_about_a_customer(twice: Twice) -> None:
    changes = twice.rows(LedgerEntry, LEDGER.c.kind == "change")

    said: dict[str, set[str]] = {}
    tools: dict[str, set[str]] = {}
    for entry in changes:
        said.setdefault(entry["account_id"], set()).add(json.loads(entry["after"])["hub_health"])
        tools.setdefault(entry["account_id"], set()).add(entry["vendor"])
    assert all(len(words) == 1 for words in said.values())
    assert {"hubspot", "zendesk", "stripe"} in tools.values()


def test_only_customers_are_written_to(twice: Twice) -> None:
    accounts = {row["id"]: row for row in twice.rows(HubAccount)}
    written = twice.rows(LedgerEntry, LEDGER.c.kind != "define")

    assert {row["lifecycle"] for row in accounts.values()} > {"customer"}
    assert {accounts[row["account_id"]]["lifecycle"] for row in written} == {"customer"}


def test_t55_there_is_one_task_for_every_open_problem(twice: Twice) -> None:
    *_, delivered = twice.first
    problems = twice.rows(Episode, table_of(Episode).c.closed_on.is_(None))
    created = twice.rows(LedgerEntry, LEDGER.c.kind == "create")

    listed = [*delivered.plan.beside["waiting"], *delivered.plan.beside["not_written"]]
    assert len(problems) == len(created) + len(listed)
    assert len({row["receipt_id"] for row in created}) == len(created)
    assert {row["state"] for row in created} == {"done"}


def test_the_stories_of_the_world_are_told(twice: Twice) -> None:
    _, _, decided, _ = twice.first
    expected = Counter(c for truth in twice.loop.stand.world.truth.values() for c in truth.causes)

    assert decided.problems == dict(expected)


def test_every_link_says_why(twice: Twice) -> None:
    links = twice.rows(Link)

    assert links
    assert all(row["reason"] and 0 < row["confidence"] <= 1 for row in links)


def test_r33_both_databases_hold_the_same(both: dict[str, Twice]) -> None:
    dumps = [list(canonical_dump(one.loop.database)) for one in both.values()]

    assert len(dumps[0]) > 1000
    assert dumps[0] == dumps[1]
