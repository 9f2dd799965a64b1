"""decide: facts → readings, scores, statuses, episodes, desired state. No network, no clock.

Everything of one decision is written under its run number and becomes current by one pointer
update, together with the episodes it opened and closed. A past day is a what-if: stored as a
replay, never current, never the ground of a plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection
from sqlmodel import SQLModel

from ..config import Config
from ..errors import UsageError
from ..log import logger
from ..store import Database, canonical, digest
from ..store.primary import records_of_accounts
from ..store.progress import begin_run, end_run
from ..store.tables import DesiredField, DesiredTask, Reading, Verdict
from .desire import TaskWriter, Tools, desired_fields
from .episodes import Changes, first_true_days, follow, last_ends, open_episodes
from .evaluate import Evaluation, registry
from .gaps import Gaps
from .judge import Judge
from .proof import cite
from .publish import (
    Previous,
    judged_from,
    previous_decision,
    prune,
    publish,
    store_decision,
    store_rows,
)
from .rows import Ground, currencies, readings, task, told, verdicts

__all__ = ["Decided", "decide"]

log = logger("decide")

AUTOMATIC = 0.85
"""Records linked with at least this confidence carry the status."""


@dataclass
class Decided:
    """What a decision says, in numbers: customers by status, open problems by cause."""

    run: int
    as_of: date
    kind: str
    statuses: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)
    opened: int = 0
    closed: int = 0
    unknown_why: dict[str, int] = field(default_factory=dict)


def decide(
    config: Config, database: Database, *, now: datetime, today: date, as_of: date | None = None
) -> Decided:
    """Judge every customer on a team day (None: today) and write down what should be said.

    Raises UsageError for a day that has not come yet.
    """
    day = as_of or today
    if day > today:
        raise UsageError(f"{day} has not come yet", do="Give a day up to today")
    kind = "current" if day == today else "replay"
    versions = _versions(config)
    run = begin_run(database, "decide", now=now, as_of=day, versions=versions)
    before = Previous()
    with database.read() as reading:
        if kind == "current":
            before = previous_decision(reading)
        first_day = min(judged_from(reading, config.judged_from or day), day)
        ground, changes = _judge(reading, config, run, day, before, first_day)
        rows = _rows(reading, ground, changes, before)
    store_rows(database, rows)
    with database.write() as writing:
        store_decision(writing, run=run, day=day, kind=kind, now=now, versions=versions)
        if kind == "current":
            publish(
                writing,
                run=run,
                day=day,
                first_day=first_day,
                bands=ground.judgement.fresh_bands,
                episodes=[*changes.closed, *changes.open],
                inputs=sorted(ground.judgement.new_inputs),
            )
    if kind == "current":
        prune(database, keep=(run, before.run))
    decided = _told(ground, changes, kind)
    counts = {**decided.statuses, "problems": sum(decided.problems.values())}
    end_run(database, run, now=now, result="done", counts=counts)
    log.info("decide.finished", run=run, as_of=str(day), kind=kind, **decided.statuses)
    return decided


def _versions(config: Config) -> dict[str, str]:
    models = {
        name: model.model_dump(mode="json") for name, model in config.definitions.health.items()
    }
    return {"config": config.digest, "model": digest(canonical(models))}


def _judge(
    reading: Connection, config: Config, run: int, day: date, before: Previous, first_day: date
) -> tuple[Ground, Changes]:
    """Evaluate the day, judge it, date its signals and follow the episodes."""
    known = registry(config)
    evaluation = Evaluation(reading, config, known, day)
    judged = evaluation.run()
    judgement = Judge(reading, config, known).judge(evaluation, judged, judged_from=first_day)
    since = first_true_days(reading, config, known, judged, day, before.since or {}, before.day)
    episodes = open_episodes(reading) if before.run is not None else []
    ended = last_ends(reading) if before.run is not None else {}
    changes = follow(evaluation, judged, since, episodes, ended, run=run)
    ground = Ground(
        run=run,
        config=config,
        evaluation=evaluation,
        judged=judged,
        judgement=judgement,
        since=since,
        cited=cite(reading, evaluation, judged),
        currencies=currencies(reading, evaluation),
        gaps=Gaps(reading, day),
    )
    return ground, changes


def _rows(
    reading: Connection, ground: Ground, changes: Changes, before: Previous
) -> Mapping[type[SQLModel], list[dict[str, Any]]]:
    judged = list(verdicts(ground))
    records = records_of_accounts(reading, confidence=AUTOMATIC)
    tools = Tools(reading, ground.config)
    writer = TaskWriter(reading, ground.config, tools, records, run=ground.run, before=before.run)
    return {
        Reading: list(readings(ground)),
        Verdict: judged,
        DesiredField: list(desired_fields(tools, told(judged), records, ground.run)),
        DesiredTask: [task(ground, writer, episode) for episode in changes.open],
    }


def _told(ground: Ground, changes: Changes, kind: str) -> Decided:
    statuses: Counter[str] = Counter(held.status for held in ground.judgement.held.values())
    problems = Counter(episode["cause"] for episode in changes.open)
    why: Counter[str] = Counter()
    for account, held in ground.judgement.held.items():
        if held.status == "unknown":
            gaps = ground.reasons.gaps(ground.judged[account], ground.judgement.scores[account])
            why[gaps[0] if gaps else "its readings disagree"] += 1
    words = ("at_risk", "watch", "healthy", "unknown")
    return Decided(
        run=ground.run,
        as_of=ground.evaluation.facts.day,
        kind=kind,
        statuses={word: statuses.get(word, 0) for word in words},
        problems=dict(problems.most_common()),
        opened=len(changes.opened),
        closed=len(changes.closed),
        unknown_why=dict(why.most_common()),
    )
