"""What can go wrong between the hub and a vendor, made to happen on purpose and in a known order.

A test says which call is to fail and how; the same seed gives the same failures. Network faults are
real ones: the socket is cut, the body is shorter than promised, the answer drips.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, get_args

Kind = Literal[
    "reset",  # cut before anything happens
    "hang",  # nothing for `seconds`, then cut; nothing happened
    "rate_limited",  # 429; `retry_after` puts that text into the header
    "server_error",  # `status` (500) before anything happens
    "unauthorized",  # 401
    "forbidden",  # 403
    "html",  # a login page with 200
    "redirect",  # 302 to `to`
    "lost_response",  # it happened, the connection is cut without an answer
    "applied_5xx",  # it happened, the answer is `status` (502)
    "late",  # it happened, the answer comes after `seconds`
    "twice",  # the network delivers the call twice
    "truncated",  # half the JSON with the right length for that half
    "cut_body",  # half the body, then cut
    "cut_chunked",  # half of a chunked body, then cut
    "drip",  # a byte every `seconds` (0.05)
    "empty",  # 200 with no body
    "bad_utf8",  # bytes that are not UTF-8 inside the JSON
    "wrong_type",  # the right body called text/plain
    "huge",  # `size` bytes (64 MiB) that travel as a few, by gzip
]

KINDS: tuple[str, ...] = get_args(Kind)
BEFORE: frozenset[str] = frozenset(KINDS[: KINDS.index("lost_response")])
"""The kinds after which nothing has happened at the vendor; after the others it has."""


class Fault:
    """One kind of failure and the calls it meets.

    `method` and `path` (a regular expression) narrow the calls, `writes_only` leaves reads alone.
    Of those it meets the `at`-th and the following ones, or each `every`-th, or each with
    probability `chance`; `times` in all (None: without end). `detail` is said beside each kind.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        method: str | None = None,
        path: str | None = None,
        at: int = 1,
        every: int | None = None,
        chance: float | None = None,
        times: int | None = 1,
        writes_only: bool = False,
        **detail: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"{kind} is not a fault; there are {', '.join(KINDS)}")
        self.kind = kind
        self.method = method
        self.path = re.compile(path) if path else None
        self.at = at
        self.every = every
        self.chance = chance
        self.times = times
        self.writes_only = writes_only
        self.detail: dict[str, Any] = detail
        self.seen = 0
        self.fired = 0

    def number(self, name: str, default: float) -> float:
        """A numeric detail."""
        return float(self.detail.get(name, default))

    def text(self, name: str) -> str | None:
        """A detail as text, None when it was not given."""
        return str(self.detail[name]) if name in self.detail else None

    def _meets(self, asked: Asked) -> bool:
        return (
            self.method in (None, asked.method)
            and (self.path is None or self.path.search(asked.path) is not None)
            and (asked.is_write or not self.writes_only)
        )

    def _is_due(self, chance: Random) -> bool:
        if self.times is not None and self.fired >= self.times:
            return False
        if self.chance is not None:
            return chance.random() < self.chance
        if self.every is not None:
            return self.seen % self.every == 0
        return self.seen >= self.at


@dataclass(frozen=True)
class Asked:
    """What a fault may know of a call."""

    method: str
    path: str
    is_write: bool


class Faults:
    """The faults a sandbox has in store; counting starts when a fault is added."""

    def __init__(self, seed: int = 7) -> None:
        self._random = Random(seed)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """From now on these faults wait for their calls."""
        with self._lock:
            self._faults.extend(faults)

    def at_write(self, index: int, kind: Kind, **detail: Any) -> None:
        """The `index`-th write from now (the next is 1) meets this fault."""
        self.add(Fault(kind, at=index, writes_only=True, **detail))

    def clear(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._faults.clear()

    def pick(self, asked: Asked) -> Fault | None:
        """The fault this call meets; of several that are due, the one added first."""
        with self._lock:
            meeting = [fault for fault in self._faults if fault._meets(asked)]
            for fault in meeting:
                fault.seen += 1
            for fault in meeting:
                if fault._is_due(self._random):
                    fault.fired += 1
                    return fault
        return None
