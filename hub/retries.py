"""When a call is tried again, and how long that waits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NoReturn, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from .answers import Answer
from .errors import HubError, RetryLater

_FIRST_S, _CAP_S = 0.5, 20.0
_TEMPORARY = frozenset({408, 409, 423, 424, 425, 429, 477})

T = TypeVar("T")


class Again(Exception):
    """Try once more after `wait_s`; when no try is left, `final` is the error."""

    def __init__(self, final: HubError, wait_s: float) -> None:
        super().__init__(final.code)
        self.final = final
        self.wait_s = wait_s


def persist(attempt: Callable[[], T], *, tries: int, sleep: Callable[[float], None]) -> T:
    """What `attempt` returns at last; it raises `Again` to be called once more."""
    retrying = Retrying(
        retry=retry_if_exception_type(Again),
        stop=lambda state: state.attempt_number >= tries,
        wait=lambda state: _again(state).wait_s,
        sleep=sleep,
        retry_error_callback=_give_up,
    )
    return retrying(attempt)


def jitter_s(attempts: int, chance: random.Random) -> float:
    """Full jitter: anything from zero to a ceiling that doubles with each attempt."""
    return chance.uniform(0, min(_CAP_S, _FIRST_S * 2 ** (attempts - 1)))


def may_repeat(answer: Answer, verdict: HubError | None, *, repeatable: bool) -> bool:
    """Whether an answer that is not a success allows to send the same again.

    `verdict` is what the connector makes of it: RetryLater says temporary, another error says that
    a 4xx is final. Stripe's header overrides the status. A call that is not `repeatable` is only
    sent again when the vendor surely did not apply it.
    """
    temporary = answer.status >= 500 or answer.status in _TEMPORARY
    told = answer.headers.get("stripe-should-retry", "").lower()
    if told in ("true", "false"):
        temporary = told == "true"
    if isinstance(verdict, RetryLater):
        temporary = True
    elif verdict is not None and answer.status < 500:
        temporary = False
    was_limited = isinstance(verdict, RetryLater) and answer.status < 500
    return temporary and (repeatable or answer.status == 429 or was_limited)


def _again(state: RetryCallState) -> Again:
    again = state.outcome.exception() if state.outcome else None
    assert isinstance(again, Again)
    return again


def _give_up(state: RetryCallState) -> NoReturn:
    raise _again(state).final
