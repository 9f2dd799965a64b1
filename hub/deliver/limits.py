"""How much one unattended run may write before it waits or stops for a person (DESIGN 8, R37)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ..configfiles import Limits
from .items import Item

PRIORITY = {"high": 0, "medium": 1, "low": 2}

Task: TypeAlias = Mapping[str, Any]
"""A row of `desired_task`."""

Owner: TypeAlias = tuple[str, str]
"""A connection, and the vendor's own id of a person there."""


def owner_of(task: Task) -> Owner:
    """Whose list a task goes into."""
    return str(task["connection"]), str(task["owner_id"])


def by_day(
    tasks: Iterable[Task],
    already: Mapping[Owner, int],
    per_day: int,
    *,
    last: Collection[str] = (),
) -> tuple[list[Task], list[Task]]:
    """Tasks to create today, and tasks that wait for another day: so many new ones an owner.

    High priority goes first, then the oldest problem. `already` counts those of today; the keys in
    `last` were refused before, so they take nobody's place.
    """
    taken = Counter(already)
    today: list[Task] = []
    waiting: list[Task] = []
    for task in sorted(tasks, key=lambda task: (task["key"] in last, *_order(task))):
        owner = owner_of(task)
        room = taken[owner] < per_day
        (today if room else waiting).append(task)
        taken[owner] += room
    return today, waiting


def _order(task: Task) -> tuple[int, Any, str]:
    return PRIORITY.get(task["priority"], 1), task["opened_on"], task["key"]


def is_first_fill(item: Item) -> bool:
    """Whether a change only fills what was empty."""
    return item.kind == "change" and not any((item.old or {}).values())


def why_stopped(
    limits: Limits, items: Sequence[Item], wanted: Sequence[Task], customers: int
) -> str | None:
    """The sentences that ask for approval, or None when a plan is within its limits.

    `wanted` are the new tasks of all owners, those that wait included.
    """
    sentences = [
        *_owners(limits, wanted),
        *_targets(limits, [item for item in items if not is_first_fill(item)]),
        *_customers(limits, items, customers),
    ]
    return "; ".join(sentences) or None


def _owners(limits: Limits, wanted: Sequence[Task]) -> Iterator[str]:
    most = limits.stop_tasks_per_owner
    named = {owner_of(task): task["owner"] or task["owner_id"] for task in wanted}
    for owner, number in Counter(map(owner_of, wanted)).most_common():
        if number > most:
            yield f"{number} new tasks are wanted for {named[owner]}, and {most} is the limit"


def _targets(limits: Limits, items: Sequence[Item]) -> Iterator[str]:
    changed = {str(item.target) for item in items if item.kind == "change"}
    if len(changed) > limits.stop_targets:
        yield f"{len(changed)} records would change, and {limits.stop_targets} is the limit"


def _customers(limits: Limits, items: Sequence[Item], customers: int) -> Iterator[str]:
    moved = {
        item.account_id
        for item in items
        if item.kind == "change" and "hub_health" in item.new and (item.old or {})["hub_health"]
    }
    most = limits.stop_share_of_customers
    if customers and 100 * len(moved) > most * customers:
        yield f"{len(moved)} of {customers} customers would change status, {most:g} % is the limit"
