"""The one seam to the outside: clock, chance, sleep and transport.

Everything in `hub/`, `rules/` and `connectors/` takes time and chance from here, so a test can
replay any run. A lint rule forbids asking the clock or chance elsewhere.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Env:
    """What a verb or a connector may know of the world that is not in its arguments.

    `transport` makes the transport of a new HTTP client (an `httpx.BaseTransport`); None means the
    network. It is called once a connection.
    """

    clock: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: random.Random = field(default_factory=random.SystemRandom)
    transport: Callable[[], object] | None = None

    def now(self) -> datetime:
        """This instant, aware, in UTC."""
        return self.clock().astimezone(UTC)

    def today(self, zone: ZoneInfo) -> date:
        """The team's day: the calendar day in its zone."""
        return self.clock().astimezone(zone).date()
