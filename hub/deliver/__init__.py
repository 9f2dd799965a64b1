"""deliver: desired state → plan → vendors, ledger. The only way anything is written to a tool.

`make_plan` reads the targets back and stores what differs. `apply_plan` writes it: each intent is
in the ledger before the call, each target is read again just before. `deliver` is both, for the
connections that may be written to without asking.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ..config import Config
from ..env import Env
from ..errors import HubError, StoreError
from ..log import logger
from ..store import Database
from ..store.progress import begin_run, end_run
from .applying import Applied, Applier
from .items import VendorAccount
from .ledger import Row, unsettled
from .planning import PlanMade, Planner
from .settling import Settler, give_up
from .show import show_plan
from .tools import Progress, Tools, homes

__all__ = [
    "Applied",
    "Delivered",
    "PlanMade",
    "Progress",
    "apply_plan",
    "deliver",
    "make_plan",
    "settle",
    "show_plan",
]

log = logger("deliver")


@dataclass
class Delivered:
    """One deliver run: the plan, and what of it was written."""

    run: int
    plan: PlanMade
    applied: Applied

    @property
    def result(self) -> str:
        """done, or partly when something could not be planned, written or needs approval."""
        troubled = self.plan.stopped or self.plan.problems or self.applied.problems
        return "partly" if troubled else "done"

    @property
    def counts(self) -> dict[str, int]:
        """Writes by kind, for the run's row."""
        return {**self.applied.by_kind, "refused": self.applied.refused, "planned": self.plan.items}


def _silent(connection: str, items: int) -> None:
    """Nobody is watching."""


def make_plan(
    config: Config, database: Database, env: Env, *, progress: Progress = _silent
) -> PlanMade:
    """Read the targets back, compare, and store what differs; nothing is written to a tool.

    Raises UsageError before the first decision. A connection that cannot be read back has no items
    and is listed among the problems; the others go on.
    """
    with Tools(config, database, env) as tools:
        return _planned(config, database, env, tools, progress, may_send=False)


def apply_plan(
    config: Config,
    database: Database,
    env: Env,
    plan_id: int,
    *,
    actor: str = "hub",
    only_auto: bool = False,
    progress: Progress = _silent,
) -> Applied:
    """Write the items of a stored plan that were not written yet, a thread for each connection.

    Calling it is the plan's approval. Connections in shadow mode are never written to; `only_auto`
    leaves out those that wait for a person, and a plan that stopped. Raises UsageError for a plan
    that is not there or was replaced by a newer one.
    """
    with Tools(config, database, env) as tools:
        applier = Applier(
            config, database, env, tools, actor=actor, only_auto=only_auto, progress=progress
        )
        return applier.apply(plan_id)


def deliver(
    config: Config, database: Database, env: Env, *, progress: Progress = _silent
) -> Delivered:
    """Resolve what earlier runs left open, plan, and apply where the mode is auto.

    A plan beyond the limits is stored and waits for `hub apply`.
    """
    run = begin_run(database, "deliver", now=env.now(), versions={"config": config.digest})
    try:
        delivered = _delivered(config, database, env, progress, run)
    except HubError:
        end_run(database, run, now=env.now(), result="failed", counts={})
        raise
    end_run(database, run, now=env.now(), result=delivered.result, counts=delivered.counts)
    plan = delivered.plan
    log.info("deliver.finished", plan=plan.plan_id, items=plan.items, done=delivered.applied.done)
    return delivered


def _delivered(
    config: Config, database: Database, env: Env, progress: Progress, run: int
) -> Delivered:
    with Tools(config, database, env) as tools:
        made = _planned(config, database, env, tools, progress, may_send=True)
        applier = Applier(
            config, database, env, tools, actor="hub", only_auto=True, progress=progress
        )
        return Delivered(run, made, applier.apply(made.plan_id))


def settle(config: Config, database: Database, env: Env) -> list[tuple[str, HubError]]:
    """Find out what became of writes that earlier runs sent and never saw answered.

    Done when the tool has them; cancelled when it does not, so that the next plan wants them
    again. Returns the troubles of connections that could not be asked.
    """
    with Tools(config, database, env) as tools:
        return _settled(config, database, env, tools, may_send=True)


def _planned(
    config: Config,
    database: Database,
    env: Env,
    tools: Tools,
    progress: Progress,
    *,
    may_send: bool,
) -> PlanMade:
    """A plan on firm ground: first the open ends of earlier runs are settled."""
    problems = _settled(config, database, env, tools, may_send=may_send)
    made = Planner(config, database, env, tools, progress).make()
    known = {name for name, _ in made.problems}
    made.problems = [*(one for one in problems if one[0] not in known), *made.problems]
    return made


def _settled(
    config: Config, database: Database, env: Env, tools: Tools, *, may_send: bool
) -> list[tuple[str, HubError]]:
    """Settle the open entries of each vendor account through the connection that reaches it."""
    with database.read() as reading:
        waiting: dict[VendorAccount, list[Row]] = defaultdict(list)
        for row in unsettled(reading):
            waiting[row["vendor"], row["vendor_account"]].append(row)
        reached_by = homes(reading, config)
    problems: list[tuple[str, HubError]] = []
    for account, rows in sorted(waiting.items()):
        name = reached_by.get(account)
        if name is None:
            problems.append((rows[0]["connection"], give_up(database, rows, env.now())))
            continue
        try:
            is_shadow = config.connections[name].deliver == "shadow"
            settler = Settler(tools.open(name), may_send=may_send and not is_shadow)
            settler.settle()
            problems += [(name, problem) for problem in settler.problems]
        except StoreError:
            raise
        except HubError as problem:
            problems.append((name, problem))
    return problems
