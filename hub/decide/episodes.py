"""Episodes: one open problem per account and cause, from the first day of its true stretch.

Unknown neither opens nor closes one. What is stored once (opened_on, decided_on) never moves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

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


def last_ends(reading: Connection) -> dict[tuple[str, str], date]:
    """The day on which each account's last problem of each cause ended."""
    table = table_of(Episode)
    ended = (
        select(table.c.account_id, table.c.cause, func.max(table.c.closed_on))
        .where(table.c.closed_on.is_not(None))
        .group_by(table.c.account_id, table.c.cause)
    )
    return {(account, cause): day for account, cause, day in reading.execute(ended)}


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
        needed = measures.for_other_days(signal for _, signal in waiting)
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
    ended: Mapping[tuple[str, str], date],
    *,
    run: int,
) -> Changes:
    """Close the episodes that are over, keep the others, open what is new.

    A new one begins no earlier than the last of its cause `ended`: people were told that it is
    over, and its task must not be found again under the same key.
    """
    changes = Changes()
    for episode in before:
        one = judged.get(episode["account_id"])
        names = _still_speaking(evaluation, one, episode) if one else []
        if names:
            changes.open.append({**episode, "signals": json.dumps(names)})
        else:
            closed = {"closed_on": evaluation.facts.day, "closed_run": run}
            changes.closed.append({**episode, **closed})
    taken = {(episode["account_id"], episode["cause"]) for episode in changes.open}
    openers = [signal for signal in evaluation.signals if signal.opens is not None]
    for account, one in sorted(judged.items()):
        for signal in openers:
            key = (account, signal.cause)
            if one.truth(signal.name) and key not in taken:
                taken.add(key)
                opened_on = max(since[(account, signal.name)], ended.get(key, date.min))
                episode = _opened(evaluation, signal, one, opened_on, run)
                changes.opened.append(episode)
                changes.open.append(episode)
    return changes


def _still_speaking(evaluation: Evaluation, one: Judged, episode: Mapping[str, Any]) -> list[str]:
    """The signals of an open episode: true ones of its cause, and earlier ones not surely over.

    Empty when no signal that opens a play is among them: then the episode is over.
    """
    earlier = {episode["signal"], *json.loads(episode["signals"])}
    speaking = [
        signal
        for signal in evaluation.signals
        if signal.cause == episode["cause"]
        and (
            one.truth(signal.name)
            or (signal.name in earlier and not _cleared(evaluation, signal, one))
        )
    ]
    return [signal.name for signal in speaking] if any(s.opens for s in speaking) else []


def _cleared(evaluation: Evaluation, signal: SignalDef, one: Judged) -> bool:
    """Whether the end of a signal that is not true is certain; unknown is not."""
    condition = evaluation.registry.clears(signal, one.segment)
    return evaluation.holds(condition, one.account_id) is True


def _opened(
    evaluation: Evaluation, signal: SignalDef, one: Judged, opened_on: date, run: int
) -> dict[str, Any]:
    true = [s.name for s in evaluation.signals if s.cause == signal.cause and one.truth(s.name)]
    return {
        "account_id": one.account_id,
        "cause": signal.cause,
        "opened_on": opened_on,
        "play": signal.opens.play if signal.opens else "",
        "signal": signal.name,
        "signals": json.dumps(true),
        "decided_on": evaluation.facts.day,
        "closed_on": None,
        "opened_run": run,
        "closed_run": None,
    }
