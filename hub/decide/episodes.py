"""Episodes: one open problem per account and cause, from the first day of its true stretch.

Unknown neither opens nor closes one. What is stored once (opened_on, decided_on) never moves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, select

from ..config import Config
from ..definitions import SignalDef
from ..store import as_dicts, table_of
from ..store.tables import Episode
from .evaluate import Evaluation, Judged, Registry

LOOK_BACK_DAYS = 60


@dataclass
class Changes:
    """Episodes after this decision: all that are open, and those that it opened or closed."""

    open: list[dict[str, Any]] = field(default_factory=list)
    opened: list[dict[str, Any]] = field(default_factory=list)
    closed: list[dict[str, Any]] = field(default_factory=list)


def open_episodes(reading: Connection) -> list[dict[str, Any]]:
    """Every episode that is open now."""
    table = table_of(Episode)
    return as_dicts(reading, select(table).where(table.c.closed_on.is_(None)))


def first_true_days(
    reading: Connection,
    config: Config,
    measures: Registry,
    today: Mapping[str, Judged],
    day: date,
    known: Mapping[tuple[str, str], date],
    known_on: date | None,
) -> dict[tuple[str, str], date]:
    """For every (account, signal) that is true today: the first day of its unbroken stretch.

    Looks back at most 60 days, and stops at a stretch that an earlier decision already dated.
    """
    names = config.definitions.signal_order
    waiting = {(a, s) for a, one in today.items() for s in names if one.truth(s)}
    since: dict[tuple[str, str], date] = dict.fromkeys(waiting, day)
    at = day
    while waiting and (day - at).days < LOOK_BACK_DAYS:
        at -= timedelta(days=1)
        if known_on is not None and at <= known_on:
            since.update({pair: known[pair] for pair in waiting if pair in known})
            waiting -= known.keys()
        accounts = sorted({account for account, _ in waiting})
        if not accounts:
            break
        needed = measures.only(signal for _, signal in waiting)
        before = Evaluation(reading, config, needed, at, accounts).run()
        for account, signal in list(waiting):
            then = before.get(account)
            if then is not None and then.truth(signal):
                since[(account, signal)] = at
            else:
                waiting.discard((account, signal))
    return since


def follow(
    evaluation: Evaluation,
    judged: Mapping[str, Judged],
    since: Mapping[tuple[str, str], date],
    before: Sequence[Mapping[str, Any]],
    *,
    run: int,
) -> Changes:
    """Close the episodes whose signals cleared, keep the others, open what is new."""
    changes = Changes()
    openers = [signal for signal in evaluation.signals if signal.opens is not None]
    day = evaluation.facts.day
    for episode in before:
        one = judged.get(episode["account_id"])
        signal = next((s for s in openers if s.name == episode["signal"]), None)
        if one is None or signal is None or _cleared(evaluation, signal, one):
            changes.closed.append({**episode, "closed_on": day, "closed_run": run})
        else:
            changes.open.append(
                {**episode, "signals": _true_signals(evaluation, one, signal.cause)}
            )
    taken = {(episode["account_id"], episode["cause"]) for episode in changes.open}
    for account, one in sorted(judged.items()):
        for signal in openers:
            if one.truth(signal.name) and (account, signal.cause) not in taken:
                taken.add((account, signal.cause))
                episode = _opened(evaluation, signal, one, since, run)
                changes.opened.append(episode)
                changes.open.append(episode)
    return changes


def _cleared(evaluation: Evaluation, signal: SignalDef, one: Judged) -> bool:
    """Whether the signal's end is certain; unknown keeps the episode open."""
    if one.truth(signal.name):
        return False
    condition = evaluation.registry.clears(signal, one.segment)
    return evaluation.holds(condition, one.account_id) is True


def _true_signals(evaluation: Evaluation, one: Judged, cause: str) -> str:
    names = [s.name for s in evaluation.signals if s.cause == cause and one.truth(s.name)]
    return json.dumps(names)


def _opened(
    evaluation: Evaluation,
    signal: SignalDef,
    one: Judged,
    since: Mapping[tuple[str, str], date],
    run: int,
) -> dict[str, Any]:
    return {
        "account_id": one.account_id,
        "cause": signal.cause,
        "opened_on": since[(one.account_id, signal.name)],
        "play": signal.opens.play if signal.opens else "",
        "signal": signal.name,
        "signals": _true_signals(evaluation, one, signal.cause),
        "decided_on": evaluation.facts.day,
        "closed_on": None,
        "opened_run": run,
        "closed_run": None,
    }
