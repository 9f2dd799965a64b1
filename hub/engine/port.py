"""The port behind which an engine sits: named steps, run in order, each ending with its counts.

A step works in small transactions that can be repeated, so an engine that runs one again after a
crash does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

Result: TypeAlias = Literal["done", "partly", "failed", "interrupted"]


@dataclass(frozen=True)
class Ended:
    """How a step ended. `run` is the number of its row in the table of runs."""

    step: str
    run: int
    result: Result
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One thing to do under a name that stays the same from run to run."""

    name: str
    do: Callable[[], Ended]


class Engine(Protocol):
    """Runs steps: here and now, or somewhere that survives this process."""

    def run(self, steps: Sequence[Step]) -> list[Ended]:
        """Run the steps in order and tell the observers of each; one that failed is the last."""
        ...
