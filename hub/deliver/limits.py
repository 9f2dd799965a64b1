"""How much one unattended run may write before it waits or stops for a person (DESIGN 8, R37)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..configfiles import Limits

PRIORITY = {"high": 0, "medium": 1, "low": 2}


def split_by_owner(
    tasks: Sequence[Mapping[str, Any]], already: Mapping[str, int], limits: Limits
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """(tasks to create today, tasks that wait): so many new ones per owner and day.

    High priority goes first, then the oldest problem. `already` counts today's per owner.
    """
    order = sorted(tasks, key=lambda t: (PRIORITY.get(t["priority"], 1), t["opened_on"], t["key"]))
    taken: Counter[str] = Counter(already)
    today: list[Mapping[str, Any]] = []
    waiting: list[Mapping[str, Any]] = []
    for task in order:
        owner = task["owner"] or ""
        if taken[owner] < limits.tasks_per_owner_and_day:
            taken[owner] += 1
            today.append(task)
        else:
            waiting.append(task)
    return today, waiting


def why_stopped(
    *,
    wanted: Sequence[Mapping[str, Any]],
    changed_targets: int,
    changed_customers: int,
    customers: int,
    limits: Limits,
) -> str | None:
    """The sentence that asks for approval, or None when the plan is within its limits."""
    per_owner: dict[str, int] = defaultdict(int)
    for task in wanted:
        per_owner[task["owner"] or "nobody"] += 1
    for owner, number in sorted(per_owner.items()):
        if number > limits.stop_tasks_per_owner:
            return f"{number} tasks are wanted for {owner}; {_limit(limits.stop_tasks_per_owner)}"
    if changed_targets > limits.stop_targets:
        return f"{changed_targets} records would change; {_limit(limits.stop_targets)}"
    share = 100 * changed_customers / customers if customers else 0
    if changed_customers and share > limits.stop_share_of_customers:
        return (
            f"{changed_customers} of {customers} customers would change status;"
            f" {_limit(f'{limits.stop_share_of_customers:g} %')}"
        )
    return None


def _limit(number: object) -> str:
    return f"an unattended run stops above {number}"
