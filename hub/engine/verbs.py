"""The four verbs of one config, database and Env, as steps; each result is kept for the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import TypeAlias

from ..config import Config
from ..decide import Decided, decide
from ..deliver import Delivered, deliver
from ..env import Env
from ..store import Database
from ..store.rows import Counts
from ..sync import Synced, sync
from ..unify import Unified, unify
from ..unify.records import MapCounts
from .port import Ended, Result, Step

Report: TypeAlias = Callable[[str, str, str, int], None]
"""Told of progress: the step, a connection, a stream, and how many of its rows are done."""


def _silent(step: str, connection: str, stream: str, rows: int) -> None:
    """Nobody is watching."""


class Verbs:
    """What `hub run` and a worker do; the results stay None until their verb has run."""

    def __init__(
        self, config: Config, database: Database, env: Env, *, report: Report = _silent
    ) -> None:
        self.config, self.database, self.env, self.report = config, database, env, report
        self.synced: Synced | None = None
        self.unified: Unified | None = None
        self.decided: Decided | None = None
        self.delivered: Delivered | None = None

    def steps(self) -> list[Step]:
        """All four, in order."""
        return [self.sync(), self.unify(), self.decide(), self.deliver()]

    def sync(self, only: Sequence[str] = (), accept_gone: Sequence[str] = ()) -> Step:
        """Vendors → rows; `only` names the connections, none means all."""
        return Step("sync", partial(self._sync, only, accept_gone))

    def unify(self) -> Step:
        """Rows → accounts and facts."""
        return Step("unify", self._unify)

    def decide(self, as_of: date | None = None) -> Step:
        """Facts → statuses, problems, and what should be written."""
        return Step("decide", partial(self._decide, as_of))

    def deliver(self) -> Step:
        """What should be written → vendors, as far as each connection's file allows."""
        return Step("deliver", self._deliver)

    def _sync(self, only: Sequence[str], accept_gone: Sequence[str]) -> Ended:
        def paged(connection: str, stream: str, counts: Counts) -> None:
            self.report("sync", connection, stream, counts.read)

        done = sync(
            self.config,
            self.database,
            self.env,
            only=only,
            accept_gone=accept_gone,
            progress=paged,
        )
        self.synced = done
        totals = Counts()
        for outcome in done.outcomes:
            totals.add(outcome.counts)
        counts = {
            "read": totals.read,
            "new": totals.new,
            "changed": totals.changed,
            "same": totals.same,
            "aside": totals.aside,
            "gone": totals.gone,
            "problems": len(done.problems),
        }
        result: Result = "interrupted" if done.interrupted else _result(done.result)
        return Ended("sync", done.run, result, counts)

    def _unify(self) -> Ended:
        def mapped(connection: str, stream: str, counts: MapCounts) -> None:
            rows = counts.mapped + sum(counts.ignored.values()) + len(counts.rejected)
            self.report("unify", connection, stream, rows)

        now, day = self.env.now(), self.env.today(self.config.zone)
        done = unify(self.config, self.database, now=now, day=day, progress=mapped)
        self.unified = done
        counts = {
            "accounts": done.links.accounts,
            "customers": done.lifecycles.get("customer", 0),
            "mapped": sum(one.mapped for one in done.mapped.values()),
            "ignored": sum(sum(one.ignored.values()) for one in done.mapped.values()),
            "rejected": done.rejected,
            "to_review": done.links.to_review,
            "unassigned": sum(done.unassigned.values()),
        }
        return Ended("unify", done.run, "partly" if done.rejected else "done", counts)

    def _decide(self, as_of: date | None) -> Ended:
        self.report("decide", "", "", 0)
        now, today = self.env.now(), self.env.today(self.config.zone)
        done = decide(self.config, self.database, now=now, today=today, as_of=as_of)
        self.decided = done
        counts = {
            **done.statuses,
            "problems": sum(done.problems.values()),
            "opened": done.opened,
            "closed": done.closed,
        }
        return Ended("decide", done.run, "done", counts)

    def _deliver(self) -> Ended:
        self.report("deliver", "", "", 0)

        def moved(connection: str, items: int) -> None:
            self.report("deliver", connection, "", items)

        done = deliver(self.config, self.database, self.env, progress=moved)
        self.delivered = done
        return Ended("deliver", done.run, _result(done.result), done.counts)


def _result(word: str) -> Result:
    return "partly" if word == "partly" else "failed" if word == "failed" else "done"
