"""How fast one connection may call its vendor, and how it waits when the vendor asks to.

Ordinary client windows stamp a call when it is sent, the vendor when it arrives, so jitter earns
429s at the edge. Here a slot comes back `per_s` after the *answer*: the window is stretched by each
call's own round trip, and the vendor's stamp always lies inside. Calls are also spread out evenly,
so that a long queue does not turn into bursts; a few may go at once after a pause.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from .env import Env
from .errors import RetryLater

_AT_ONCE = 10


@dataclass(frozen=True)
class Limit:
    """One of the vendor's limits: at most `calls` in any `per_s` seconds.

    `only` are regular expressions searched in a call's path; empty means that every call counts.
    """

    name: str
    calls: int
    per_s: float
    only: tuple[str, ...] = ()

    def covers(self, path: str) -> bool:
        """Whether a call of this path counts."""
        return not self.only or any(re.search(pattern, path) for pattern in self.only)


@dataclass
class _Window:
    """The slots of one limit: `free` holds the instants from which each may be used, in order."""

    limit: Limit
    free: deque[float] = field(default_factory=deque)
    due: float = float("-inf")

    def __post_init__(self) -> None:
        self.free.extend([float("-inf")] * self.limit.calls)

    @property
    def gap(self) -> float:
        return self.limit.per_s / self.limit.calls

    def earliest(self) -> float:
        """The first instant at which one more call is allowed."""
        at_once = min(_AT_ONCE, self.limit.calls // 2)
        return max(self.free[0], self.due - self.gap * at_once)

    def take(self, at: float) -> None:
        self.free.popleft()
        self.due = max(self.due, at) + self.gap

    def give_back(self, answered: float) -> None:
        self.free.append(answered + self.limit.per_s)


class Pacer:
    """All limits of one connection, shared by its threads, and the wait that a 429 puts on all."""

    def __init__(
        self, limits: Sequence[Limit], env: Env, *, max_wait_s: float, connection: str
    ) -> None:
        self._windows = [_Window(limit) for limit in limits]
        self._env = env
        self._max_wait_s = max_wait_s
        self._connection = connection
        self._held_until = float("-inf")
        self._changed = threading.Condition()

    def hold(self, seconds: float) -> None:
        """Make every caller of this connection wait; a shorter wait never replaces a longer one."""
        with self._changed:
            self._held_until = max(self._held_until, self._env.monotonic() + seconds)

    @contextmanager
    def turn(self, path: str) -> Iterator[None]:
        """Wait for this call's turn and keep its slots until it is answered.

        RetryLater (RATE_LIMITED) at once, with nothing sent, when the vendor asked for a wait
        longer than this connection sits out.
        """
        windows = [window for window in self._windows if window.limit.covers(path)]
        self._sit_out()
        at = self._take(windows)
        try:
            self._sleep_until(at)
            self._sit_out()
            yield
        finally:
            with self._changed:
                for window in windows:
                    window.give_back(self._env.monotonic())
                self._changed.notify_all()

    def _take(self, windows: Sequence[_Window]) -> float:
        with self._changed:
            self._changed.wait_for(lambda: all(window.free for window in windows))
            at = max([self._env.monotonic(), *(window.earliest() for window in windows)])
            for window in windows:
                window.take(at)
            return at

    def _sit_out(self) -> None:
        while (wait := self._held_until - self._env.monotonic()) > 0:
            if wait > self._max_wait_s:
                raise RetryLater(
                    f"the vendor asked to wait {wait:.0f} s more",
                    where=self._connection,
                    do="Nothing is lost; the hub goes on after that",
                    code="RATE_LIMITED",
                    after_s=wait,
                )
            self._env.sleep(wait)

    def _sleep_until(self, at: float) -> None:
        while (wait := at - self._env.monotonic()) > 0:
            self._env.sleep(wait)
