"""`hub dump`: the state for comparison, line by line."""

from __future__ import annotations

from ..dump import canonical_dump
from .output import say
from .session import Session


def dump() -> int:
    """Sorted JSON lines on stdout."""
    with Session().reading() as database:
        for line in canonical_dump(database):
            say(line)
    return 0
