"""Whatever happens to a write, each task and field is written once: a fault at every single write.

All verbs run once against the vendors' stand-ins. Then, for each vendor and each write of its
deliver run, everything is put back to just before, that one write meets a fault, and the hub
delivers again until nothing is open.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from hub.cli.standins import sandboxes
from hub.config import Config, load_config
from hub.decide import decide
from hub.deliver import Delivered, deliver
from hub.env import Env
from hub.plugins import load
from hub.store import Database, as_dicts, open_database, table_of
from hub.store.database import sqlite_url
from hub.store.tables import DesiredField, LedgerEntry, Published
from hub.sync import sync
from hub.testing.faults import Fault, Kind
from hub.testing.kit import Sandbox
from hub.testing.stand import Stand
from hub.unify import unify

TODAY = date(2026, 11, 24)
VENDORS = ("hubspot", "stripe", "zendesk")
KEY = re.compile(r"(?<![\w-])[a-z]+-[a-z2-7]{20}(?![\w-])")


class Clock:
    """Time that only sleeping moves, shared by the hub and the stand-ins."""

    def __init__(self) -> None:
        self.passed = 0.0  # A float: the smallest waits count too.
        self._lock = threading.Lock()

    @property
    def at(self) -> datetime:
        return datetime(2026, 11, 24, 9, tzinfo=UTC) + timedelta(seconds=self.passed)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.passed += seconds

    def env(self, transport: Callable[[], httpx.BaseTransport] | None = None) -> Env:
        return Env(
            clock=lambda: self.at,
            monotonic=lambda: self.passed,
            sleep=self.sleep,
            random=Random(1),
            # The vendors are here: certificates would take longer to load than all calls together.
            transport=transport or partial(httpx.HTTPTransport, verify=False),
        )


class Kill(BaseException):
    """The process ends here."""


class DyingTransport(httpx.HTTPTransport):
    """The network of a process that ends as soon as the vendor has applied a certain write."""

    def __init__(self, sandbox: Sandbox, at: int) -> None:
        super().__init__(verify=False)
        self.sandbox, self.left = sandbox, at

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        self.left -= self.sandbox.is_write(request.method, request.url.path)
        if self.left == 0:
            answer.read()
            raise Kill
        return answer


@dataclass
class Moment:
    """A decision that is not delivered yet, which can be brought back as often as wanted."""

    stand: Stand
    config: Config
    clock: Clock
    base: Path
    at: datetime
    states: dict[str, dict[str, Any]]

    @classmethod
    def reach(cls, stand: Stand, config: Config, clock: Clock, base: Path) -> Moment:
        """Read, join and judge once; then remember everything."""
        database = open_database(sqlite_url(base))
        env = clock.env()
        synced = sync(config, database, env)
        unify(config, database, now=env.now(), day=TODAY)
        decide(config, database, now=env.now(), today=TODAY)
        database.close()
        assert synced.problems == []
        states = {name: sandbox.state() for name, sandbox in stand.sandboxes.items()}
        return cls(stand, config, clock, base, clock.at, states)

    def back(self, vendor: str, scratch: Path) -> Try:
        """Everything as it was, and a hub that writes to this vendor alone."""
        sandbox = self.stand.sandboxes[vendor]
        sandbox.faults.clear()
        sandbox.restore(self.states[vendor])
        sandbox.calls.clear()
        # The stand-ins' limits remember the calls of earlier tries.
        self.clock.sleep(120)
        path = scratch / "try.db"
        for left in scratch.glob("try.db*"):
            left.unlink()
        shutil.copyfile(self.base, path)
        config = replace(self.config, connections={vendor: self.config.connections[vendor]})
        database = open_database(sqlite_url(path), migrate=False)
        return Try(vendor, sandbox, config, database, self.clock)


@dataclass
class Try:
    """One hub with one vendor, from the moment before it delivers."""

    vendor: str
    sandbox: Sandbox
    config: Config
    database: Database
    clock: Clock

    def __enter__(self) -> Try:
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.faults.clear()
        self.database.close()

    def deliver(self) -> Delivered:
        return deliver(self.config, self.database, self.clock.env())

    def deliver_until_killed(self, write: int) -> None:
        """Deliver in a process that ends right after this write."""
        dying = partial(DyingTransport, self.sandbox, write)
        with pytest.raises(Kill):
            deliver(self.config, self.database, self.clock.env(dying))
        self.clock.sleep(60)

    def deliver_until_settled(self) -> list[Delivered]:
        """What a schedule does: deliver every few minutes, at most three times more."""
        runs = [self.deliver()]
        while runs[-1].result != "done" and len(runs) < 4:
            self.clock.sleep(300)
            runs.append(self.deliver())
        return runs

    def rows(self, statement: Any) -> list[dict[str, Any]]:
        with self.database.read() as reading:
            return as_dicts(reading, statement)

    def ledger(self) -> list[dict[str, Any]]:
        return self.rows(select(table_of(LedgerEntry)).order_by(table_of(LedgerEntry).c.seq))

    # --- what must be true ------------------------------------------------------------------------

    def tasks(self) -> Counter[str]:
        """How many tasks of the vendor carry each intent key."""
        made = getattr(self.sandbox, "objects", {}).get("tasks", {})
        bodies = [str(task["properties"].get("hs_task_body")) for task in made.values()]
        return Counter(key for body in bodies for key in set(KEY.findall(body)))

    def wrong_fields(self) -> list[tuple[str, str, str | None, str | None]]:
        """Every status field of the decision that the vendor does not say: record, field, both."""
        table, published = table_of(DesiredField), table_of(Published)
        run = select(published.c.run).where(published.c.name == "current").scalar_subquery()
        wanted = self.rows(
            select(table).where(table.c.run == run, table.c.connection == self.vendor)
        )
        assert wanted
        connector = self.config.connections[self.vendor].build(self.clock.env())
        said: dict[tuple[str, str], Any] = {}
        for kind in {row["object"] for row in wanted}:
            ids = sorted({row["record_id"] for row in wanted if row["object"] == kind})
            for some in (ids[at : at + 100] for at in range(0, len(ids), 100)):
                found = getattr(connector, connector.observers[kind])(some)
                said |= {(kind, one.id): one.values for one in found}
        connector.close()
        return [
            (row["record_id"], row["field"], row["value"], there)
            for row in wanted
            if (there := said[row["object"], row["record_id"]].get(row["field"])) != row["value"]
        ]

    def check(self, told: str) -> None:
        """R2, R3 and R20: once, all, and nothing more to do."""
        ledger = self.ledger()
        done = [e for e in ledger if e["kind"] == "create" and e["state"] == "done"]
        tasks = self.tasks()
        assert set(tasks.values()) <= {1}, f"{told}: a task is there twice: {tasks}"
        assert sorted(tasks) == sorted(e["key"] for e in done), f"{told}: ledger and tasks differ"
        assert len({e["receipt_id"] for e in done}) == len(done), f"{told}: one receipt, two tasks"
        assert not [e for e in ledger if e["state"] in LedgerEntry.UNSETTLED], f"{told}: left open"
        assert self.wrong_fields() == [], told
        before = len(self.sandbox.writes())
        self.clock.sleep(300)
        again = self.deliver()
        assert (again.plan.items, again.applied.done) == (0, 0), f"{told}: more to do"
        assert len(self.sandbox.writes()) == before, f"{told}: written again"


@pytest.fixture(scope="module")
def moment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moment]:
    directory = tmp_path_factory.mktemp("once")
    clock = Clock()
    usage = directory / "usage.db"
    with Stand.open(
        "small", 7, TODAY, sandboxes=sandboxes(), usage=usage, port_base=0, env=clock.env()
    ) as stand:
        stand.write_config(directory)
        config = load_config(directory / "config", {}, load([]))
        yield Moment.reach(stand, config, clock, directory / "hub.db")


@pytest.fixture(scope="module")
def writes_of(moment: Moment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How many writes an undisturbed delivery takes, by vendor; it is right and leaves nothing."""
    counts: dict[str, int] = {}
    for vendor in moment.stand.sandboxes:
        with moment.back(vendor, tmp_path_factory.mktemp(vendor)) as calm:
            runs = calm.deliver_until_settled()
            counts[vendor] = len(calm.sandbox.writes())
            assert [run.result for run in runs] == ["done"]
            assert counts[vendor] > 0
            calm.check(f"{vendor} undisturbed")
    return counts


def disturbed(
    moment: Moment, vendor: str, scratch: Path, kind: Kind, indexes: Sequence[int]
) -> None:
    """Deliver with this fault at each of these writes, one at a time, and check what came of it."""
    for index in indexes:
        with moment.back(vendor, scratch) as attempt:
            attempt.sandbox.faults.at_write(index, kind)
            attempt.deliver_until_settled()
            attempt.check(f"{vendor}: {kind} at write {index}")


@pytest.mark.parametrize("kind", ["lost_response", "applied_5xx"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_r2_r3_every_write_may_lose_its_answer_and_is_done_once(
    moment: Moment, writes_of: dict[str, int], tmp_path: Path, vendor: str, kind: Kind
) -> None:
    indexes = range(1, writes_of[vendor] + 1)

    disturbed(moment, vendor, tmp_path, kind, indexes)


@pytest.mark.parametrize("kind", ["rate_limited", "server_error"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_r3_a_write_that_never_arrived_is_made_up_for(
    moment: Moment, writes_of: dict[str, int], tmp_path: Path, vendor: str, kind: Kind
) -> None:
    some = Random(f"{vendor} {kind}").sample(range(1, writes_of[vendor] + 1), 2)

    disturbed(moment, vendor, tmp_path, kind, some)


@pytest.mark.parametrize("vendor", VENDORS)
def test_r1_r2_after_a_kill_the_next_run_makes_whole_what_was_begun(
    moment: Moment, writes_of: dict[str, int], tmp_path: Path, vendor: str
) -> None:
    for index in Random(vendor).sample(range(1, writes_of[vendor] + 1), 4):
        with moment.back(vendor, tmp_path) as attempt:
            attempt.deliver_until_killed(index)
            attempt.deliver_until_settled()
            attempt.check(f"{vendor}: killed after write {index}")


@pytest.mark.parametrize("vendor", VENDORS)
def test_r2_r3_a_third_of_all_writes_may_lose_its_answer(
    moment: Moment, tmp_path: Path, vendor: str
) -> None:
    with moment.back(vendor, tmp_path) as attempt:
        attempt.sandbox.faults.add(
            Fault("lost_response", chance=0.35, times=None, writes_only=True)
        )
        attempt.deliver()
        attempt.deliver()
        attempt.sandbox.faults.clear()

        attempt.deliver_until_settled()

        attempt.check(f"{vendor}: a third of all writes")
