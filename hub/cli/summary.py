"""The lines in which a run is told: read, joined, judged, decided, wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import func, select

from ..decide import Decided
from ..store import Database, table_of
from ..store.tables import HubAccount
from ..sync import StreamOutcome, Synced
from ..unify import Unified

STREAMS_SHOWN = 3
STATUS_WORDS = {"at_risk": "at risk", "watch": "watch", "healthy": "healthy", "unknown": "unknown"}


def line(name: str, text: str) -> str:
    """One line of the summary; all begin in the same column."""
    return f"{name:<9}{text}"


def read_line(synced: Synced) -> str:
    """How much was read from whom, and how long it took."""
    by_connection: dict[str, list[StreamOutcome]] = {}
    for outcome in synced.outcomes:
        by_connection.setdefault(outcome.connection, []).append(outcome)
    told = " | ".join(f"{name} {_streams(some)}" for name, some in by_connection.items())
    seconds = max((sum(o.seconds for o in some) for some in by_connection.values()), default=0.0)
    return line("read", f"{told or 'nothing: no connection'}   {seconds:.0f} s")


def _streams(outcomes: Iterable[StreamOutcome]) -> str:
    some = list(outcomes)
    if whole := [o.problem.code for o in some if o.problem is not None and o.stream == "*"]:
        return f"stopped ({whole[0]})"
    found = [f"{o.counts.read:,} {o.stream.replace('_', ' ')}" for o in some if o.counts.read]
    told = ", ".join(found[:STREAMS_SHOWN]) + (" …" if len(found) > STREAMS_SHOWN else "")
    stopped = [o.stream for o in some if o.problem is not None]
    parts = [told or "nothing new"]
    if stopped:
        parts.append(f"stopped: {', '.join(stopped)}")
    return "; ".join(parts)


def joined_line(unified: Unified, database: Database) -> str:
    """How many customers there are, how surely they are joined, and what is left over."""
    customers = unified.lifecycles.get("customer", 0)
    told = f"{customers:,} customers from {unified.links.records:,} records"
    if how := _how_joined(database):
        told += ": " + ", ".join(f"{number:,} {word}" for word, number in how.items())
    beside = []
    if pairs := unified.links.to_review:
        beside.append(
            f"{_counted(pairs, 'pair waits', 'pairs wait')} for you (hub accounts --review)"
        )
    if rejected := unified.rejected:
        beside.append(f"{_counted(rejected, 'row', 'rows')} could not be mapped")
    unassigned = sum(unified.unassigned.values())
    beside.append(f"{_counted(unassigned, 'row', 'rows')} unassigned")
    return line("joined", "; ".join([told, *beside]))


def _how_joined(database: Database) -> dict[str, int]:
    """Customers by the weakest link among their records."""
    table = table_of(HubAccount)
    statement = (
        select(table.c.link_confidence, func.count())
        .where(
            table.c.lifecycle == "customer", table.c.kind == "account", table.c.alias_of.is_(None)
        )
        .group_by(table.c.link_confidence)
        .order_by(table.c.link_confidence.desc())
    )
    found: dict[str, int] = {}
    with database.read() as reading:
        for confidence, number in reading.execute(statement):
            word = _how(confidence)
            found[word] = found.get(word, 0) + number
    return found


def _how(confidence: float) -> str:
    if confidence >= 1:
        return "sure"
    if confidence >= 0.9:
        return "by domain"
    return "by mailbox" if confidence >= 0.85 else "unsure"


def judged_line(decided: Decided) -> str:
    """Customers by status, and why some are unknown."""
    told = [f"{word} {decided.statuses.get(name, 0):,}" for name, word in STATUS_WORDS.items()]
    if decided.unknown_why:
        why, number = next(iter(decided.unknown_why.items()))
        told[-1] += f" ({number:,} of them: {why})"
    return line("judged", " · ".join(told))


def decided_line(decided: Decided) -> str:
    """Open problems by cause."""
    whole = sum(decided.problems.values())
    told = _counted(whole, "problem", "problems")
    if whole:
        told += ": " + ", ".join(
            f"{number:,} {cause}" for cause, number in decided.problems.items()
        )
    return line("decided", told)


KINDS: Mapping[str, tuple[str, str]] = {
    "define": ("field defined", "fields defined"),
    "change": ("status field", "status fields"),
    "create": ("task", "tasks"),
    "close": ("task closed", "tasks closed"),
    "note": ("note", "notes"),
}
"""The kinds of plan items, as the summary counts them."""


def counted_kinds(by_kind: Mapping[str, int]) -> str:
    """`894 status fields, 37 tasks`; nothing when there is nothing."""
    order = ["change", "create", "close", "note", "define"]
    kinds = [*(k for k in order if by_kind.get(k)), *(k for k in by_kind if k not in order)]
    return ", ".join(_counted(by_kind[k], *KINDS.get(k, (k, k))) for k in kinds if by_kind[k])


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
