"""deliver: desired state → plan → vendors, ledger. The only way anything is written to a tool.

`make_plan` reads the targets back and stores what differs. `apply_plan` writes it: each intent is
in the ledger before the call, each target is read again just before. `deliver` is both, for the
connections that may be written to without asking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update

from ..config import Config
from ..env import Env
from ..errors import HubError, UsageError
from ..log import logger
from ..store import Database, as_dicts, table_of
from ..store.progress import begin_run, end_run
from ..store.tables import LedgerEntry, Plan, PlanItem
from .ledger import unsettled
from .planning import PlanMade, make_plan
from .writing import ConnectionWriter, Written

__all__ = ["Applied", "Delivered", "PlanMade", "apply_plan", "deliver", "make_plan", "settle"]

log = logger("deliver")
Progress = Callable[[str, int], None]


@dataclass
class Applied:
    """What applying a plan came to; `skipped` items stay planned, `problems` say why."""

    plan_id: int
    done: int = 0
    refused: int = 0
    unknown: int = 0
    skipped: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    problems: list[HubError] = field(default_factory=list)


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
    def counts(self) -> dict[str, Any]:
        """Writes by kind, for the run's row."""
        return {**self.applied.by_kind, "refused": self.applied.refused, "planned": self.plan.items}


def deliver(
    config: Config, database: Database, env: Env, *, progress: Progress = lambda name, items: None
) -> Delivered:
    """Resolve what earlier runs left open, plan, and apply where the mode is auto.

    A plan beyond the limits is stored and waits for `hub apply`.
    """
    run = begin_run(database, "deliver", now=env.now(), versions={"config": config.digest})
    problems = settle(config, database, env)
    made = make_plan(config, database, env, progress=progress)
    applied = Applied(made.plan_id)
    if made.stopped is None:
        applied = apply_plan(config, database, env, made.plan_id, only_auto=True, progress=progress)
    applied.problems = [*problems, *applied.problems]
    delivered = Delivered(run, made, applied)
    end_run(database, run, now=env.now(), result=delivered.result, counts=delivered.counts)
    log.info("deliver.finished", plan=made.plan_id, items=made.items, done=applied.done)
    return delivered


def apply_plan(
    config: Config,
    database: Database,
    env: Env,
    plan_id: int,
    *,
    actor: str = "hub",
    only_auto: bool = False,
    progress: Progress = lambda name, items: None,
) -> Applied:
    """Write the items of a stored plan that were not written yet, a thread for each connection.

    Calling it is the plan's approval. Connections in shadow mode are never written to; `only_auto`
    leaves out those that wait for a person. Raises UsageError for a plan that is not there or was
    replaced by a newer one.
    """
    items = _items(database, plan_id)
    modes = ("auto",) if only_auto else ("auto", "plan")
    names = [name for name, one in config.connections.items() if one.deliver in modes]
    work = {name: [item for item in items if item["connection"] == name] for name in names}
    work = {name: mine for name, mine in work.items() if mine}
    applied = Applied(plan_id)
    with ThreadPoolExecutor(max_workers=max(1, len(work))) as pool:
        futures = {
            name: pool.submit(_apply_connection, config, database, env, name, mine, actor)
            for name, mine in work.items()
        }
        for name, future in futures.items():
            _add(applied, future.result())
            progress(name, applied.done)
    applied.skipped += len(items) - sum(len(mine) for mine in work.values())
    _close_plan(database, env, plan_id, applied)
    return applied


def _items(database: Database, plan_id: int) -> list[dict[str, Any]]:
    """The plan's items that have no settled outcome yet."""
    plans, items, ledger = table_of(Plan), table_of(PlanItem), table_of(LedgerEntry)
    with database.read() as reading:
        state = reading.execute(select(plans.c.state).where(plans.c.id == plan_id)).scalar()
        if state is None:
            raise UsageError(
                f"there is no plan {plan_id}", do="Run `hub plan` to make one", code="NOT_FOUND"
            )
        if state == "replaced":
            raise UsageError(
                f"plan {plan_id} was replaced by a newer one", do="Run `hub plan` and apply that"
            )
        settled = select(ledger.c.item).where(
            ledger.c.plan == plan_id, ledger.c.state.in_(("done", "refused"))
        )
        return as_dicts(
            reading,
            select(items)
            .where(items.c.plan == plan_id, items.c.seq.not_in(settled))
            .order_by(items.c.seq),
        )


def _apply_connection(
    config: Config,
    database: Database,
    env: Env,
    name: str,
    items: Sequence[Mapping[str, Any]],
    actor: str,
) -> Written:
    connector = config.connections[name].build(env)
    try:
        return ConnectionWriter(connector, database, env, actor=actor).apply(items)
    except HubError as problem:
        return Written(skipped=len(items), problem=problem)
    finally:
        connector.close()


def _add(applied: Applied, written: Written) -> None:
    applied.by_kind.update(written.done)
    applied.done += sum(written.done.values())
    applied.refused += written.refused
    applied.unknown += written.unknown
    applied.skipped += written.skipped
    applied.problems += written.refusals
    if written.problem is not None:
        applied.problems.append(written.problem)


def _close_plan(database: Database, env: Env, plan_id: int, applied: Applied) -> None:
    whole = not (applied.skipped or applied.unknown or applied.refused)
    plans = table_of(Plan)
    state = "applied" if whole else "partly"
    if applied.done == 0 and not whole and not applied.refused:
        return
    with database.write() as writing:
        writing.execute(
            update(plans).where(plans.c.id == plan_id).values(state=state, applied_at=env.now())
        )


def settle(config: Config, database: Database, env: Env) -> list[HubError]:
    """Find out what became of writes that earlier runs sent and never saw answered.

    Done when the tool has them; cancelled when it does not, so that the next plan wants them
    again. Returns the troubles of connections that could not be asked.
    """
    with database.read() as reading:
        waiting = {entry["connection"] for entry in unsettled(reading)}
    problems: list[HubError] = []
    for name in sorted(waiting & config.connections.keys()):
        connector = config.connections[name].build(env)
        try:
            ConnectionWriter(connector, database, env, actor="hub").settle_earlier(name)
        except HubError as problem:
            problems.append(problem)
        finally:
            connector.close()
    return problems
