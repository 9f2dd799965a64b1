"""How a connection spreads its calls, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from hub import Env, Limit, RetryLater
from hub.limits import Pacer


class Clock:
    """Seconds that pass only while somebody sleeps or a call is on its way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: list[Callable[[], None]] = []

    def pass_by(self, seconds: float) -> None:
        while self.meanwhile:
            self.meanwhile.pop()()
        self.now += seconds


def a_pacer(clock: Clock, *limits: Limit, max_wait_s: float = 60) -> Pacer:
    env = Env(monotonic=lambda: clock.now, sleep=clock.pass_by)
    return Pacer(limits, env, max_wait_s=max_wait_s, connection="acme-main")


def sent_and_stamped(
    pacer: Pacer, clock: Clock, calls: int, *, path: str = "/x", trip_s: Sequence[float] = (0,)
) -> tuple[list[float], list[float]]:
    """When each of these calls left, and when the vendor saw it somewhere on its round trip."""
    chance = random.Random(3)
    left, stamped = [], []
    for _ in range(calls):
        with pacer.turn(path):
            left.append(clock.now)
            trip = chance.choice(trip_s)
            seen = chance.uniform(0, trip)
            clock.pass_by(seen)
            stamped.append(clock.now)
            clock.pass_by(trip - seen)
    return left, stamped


def most_in(window_s: float, stamps: Sequence[float]) -> int:
    return max(sum(start <= at < start + window_s for at in stamps) for start in stamps)


def test_a_few_calls_after_a_pause_go_at_once() -> None:
    clock = Clock()
    pacer = a_pacer(clock, Limit("incremental", 10, 60))

    left, _ = sent_and_stamped(pacer, clock, 5)

    assert left == [0.0] * 5


def test_a_long_queue_is_spread_out_and_uses_the_limit() -> None:
    clock = Clock()
    pacer = a_pacer(clock, Limit("burst", 100, 10))

    left, _ = sent_and_stamped(pacer, clock, 1000)

    assert max(later - earlier for earlier, later in pairwise(left)) < 1.5
    assert left[-1] <= 100
    assert most_in(9.999, left) <= 100


@pytest.mark.parametrize("calls", [1, 3, 20, 100])
def test_the_vendor_never_counts_more_than_the_limit_however_trips_vary(calls: int) -> None:
    """R12: the peak the vendor stamps stays within the limit."""
    clock = Clock()
    pacer = a_pacer(clock, Limit("burst", calls, 1.0))

    _, stamped = sent_and_stamped(pacer, clock, 400, trip_s=[0.001, 0.01, 0.05, 0.4])

    assert most_in(0.999, stamped) <= calls


def test_calls_outside_a_limits_paths_do_not_count() -> None:
    clock = Clock()
    pacer = a_pacer(clock, Limit("search", 1, 60, only=(r"/search$",)))
    sent_and_stamped(pacer, clock, 1, path="/crm/search")

    others, _ = sent_and_stamped(pacer, clock, 50, path="/crm/searches")
    second, _ = sent_and_stamped(pacer, clock, 1, path="/crm/search")

    assert others == [0.0] * 50
    assert second == [60.0]


def test_all_limits_of_a_path_apply_at_once() -> None:
    clock = Clock()
    pacer = a_pacer(clock, Limit("account", 2, 10), Limit("endpoint", 1, 30, only=("/x",)))

    left, _ = sent_and_stamped(pacer, clock, 3)

    assert left == [0.0, 30.0, 60.0]


def test_a_failed_call_gives_its_slot_back() -> None:
    clock = Clock()
    pacer = a_pacer(clock, Limit("burst", 1, 5))
    with pytest.raises(OSError, match="reset"), pacer.turn("/x"):
        raise OSError("reset")

    left, _ = sent_and_stamped(pacer, clock, 1)

    assert left == [5.0]


def test_a_hold_is_waited_for_and_never_shortened() -> None:
    clock = Clock()
    pacer = a_pacer(clock)
    pacer.hold(30)
    pacer.hold(2)

    left, _ = sent_and_stamped(pacer, clock, 1)

    assert left == [30.0]


def test_a_hold_longer_than_the_connection_waits_is_handed_back() -> None:
    clock = Clock()
    pacer = a_pacer(clock, Limit("burst", 1, 5), max_wait_s=60)
    pacer.hold(61)

    with pytest.raises(RetryLater) as parked:
        sent_and_stamped(pacer, clock, 1)

    assert (parked.value.code, parked.value.after_s) == ("RATE_LIMITED", 61)
    assert clock.now == 0


def test_a_hold_that_comes_while_a_caller_waits_for_its_turn_holds_it_too() -> None:
    clock = Clock()
    pacer = a_pacer(clock, Limit("burst", 1, 5))
    sent_and_stamped(pacer, clock, 1)
    clock.meanwhile = [lambda: pacer.hold(20)]

    left, _ = sent_and_stamped(pacer, clock, 1)

    assert left == [20.0]
