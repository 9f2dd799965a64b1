"""Who is in a scenario: the personas, and how many companies play each of them.

All day ranges count back from (or ahead of) `as_of`; a persona says what the shipped rules must
find on that day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from ..model import Lifecycle, Status
from .world import Interval

Days: TypeAlias = tuple[int, int]
Dunning: TypeAlias = Literal["first", "second", "past_grace", "recovered"]
Trait: TypeAlias = Literal[
    "agency_paid", "no_domain", "mailbox", "no_billing", "no_desk", "enterprise", "lookalike",
    "subsidiary", "stray_desk", "duplicate_crm", "duplicate_desk",
]  # fmt: skip

ZONE = "Europe/Berlin"
MONTHS_OF_HISTORY = 14


@dataclass(frozen=True, slots=True)
class Persona:
    """One kind of story.

    `last_login` None: not in the usage source. `thins_over` is the stretch of days before the last
    login in which use becomes rarer (0: it does not). `interval` None: monthly or yearly by chance.
    `renews_in` None: a yearly contract renews outside every window.
    """

    stage: Lifecycle
    tenure: Days = (0, 0)
    last_login: Days | None = None
    thins_over: int = 0
    interval: Interval | None = None
    renews_in: Days | None = None
    term_months: int = 12
    dunning: Dunning | None = None
    has_storm: bool = False
    causes: frozenset[str] = frozenset()
    status: Status | None = None


def _causes(*names: str) -> frozenset[str]:
    return frozenset(names)


PERSONAS: dict[str, Persona] = {
    "healthy": Persona("customer", (100, 1300), (1, 1), status="healthy"),
    "fading": Persona("customer", (240, 1300), (10, 11), thins_over=110, interval="month"),
    "inactive": Persona(
        "customer", (200, 1300), (17, 42), thins_over=60, interval="month",
        causes=_causes("usage"), status="at_risk",
    ),
    "ticket_storm": Persona(
        "customer", (200, 1300), (1, 1), has_storm=True, causes=_causes("support"), status="watch"
    ),
    "failing_payments": Persona(
        "customer", (150, 1300), (1, 1), interval="month", dunning="past_grace",
        causes=_causes("payment"), status="at_risk",
    ),
    "second_failure": Persona(
        "customer", (150, 1300), (1, 1), interval="month", dunning="second",
        causes=_causes("payment"), status="watch",
    ),
    "first_failure": Persona(
        "customer", (150, 1300), (1, 1), interval="month", dunning="first",
        causes=_causes("payment"),
    ),
    "recovering_payment": Persona(
        "customer", (150, 1300), (1, 1), interval="month", dunning="recovered", status="healthy"
    ),
    "in_trouble": Persona(
        "customer", (500, 900), (1, 1), interval="month", dunning="past_grace", has_storm=True,
        causes=_causes("payment", "support"), status="at_risk",
    ),
    "onboarding": Persona("customer", (8, 40), (1, 1), interval="month"),
    "renewal_soon": Persona(
        "customer", (300, 1300), (1, 1), interval="year", renews_in=(12, 85),
        causes=_causes("renewal"),
    ),
    "renewal_complex": Persona(
        "customer", (300, 1300), (1, 1), interval="year", renews_in=(98, 115),
        causes=_causes("renewal"),
    ),
    "multi_year": Persona(
        "customer", (400, 1000), (1, 1), interval="year", renews_in=(300, 540), term_months=36
    ),
    "quiet": Persona("customer", (100, 1300)),
    "trial": Persona("prospect", (3, 12), (1, 1), interval="month"),
    "prospect": Persona("prospect"),
    "former": Persona("former", (300, 1300), (25, 380), thins_over=80),
    "agency": Persona("prospect"),
    "stray": Persona("prospect"),
}  # fmt: skip
"""`agency` pays for others; `stray` is one more record of a company that is in the cast already."""


@dataclass(frozen=True, slots=True)
class Part:
    """`count` companies of one persona, with what is odd about how the tools know them."""

    persona: str
    count: int = 1
    traits: frozenset[Trait] = frozenset()


def _part(persona: str, count: int = 1, *traits: Trait) -> Part:
    return Part(persona, count, frozenset(traits))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A cast, in the order in which its companies get their keys, and the size of the team."""

    parts: tuple[Part, ...]
    owners: int
    months: int = MONTHS_OF_HISTORY
    loose_tickets: int = 0


SCENARIOS: dict[str, Scenario] = {
    "small": Scenario(
        owners=4,
        months=8,
        loose_tickets=2,
        parts=(
            _part("in_trouble"), _part("healthy", 3), _part("healthy", 1, "no_domain"),
            _part("fading", 2), _part("inactive", 2), _part("ticket_storm", 2),
            _part("failing_payments"), _part("second_failure"), _part("first_failure"),
            _part("recovering_payment"), _part("onboarding"), _part("renewal_soon", 2),
            _part("quiet"), _part("prospect", 4), _part("former", 2),
        ),
    ),
    "demo": Scenario(
        owners=12,
        loose_tickets=30,
        parts=(
            _part("in_trouble"), _part("healthy", 56),
            _part("healthy", 7, "agency_paid"), _part("fading", 1, "agency_paid"),
            _part("failing_payments", 1, "agency_paid"), _part("agency"),
            _part("healthy", 4, "no_domain"), _part("healthy", 4, "mailbox"),
            _part("healthy", 4, "no_billing"), _part("healthy", 4, "no_desk"),
            _part("healthy", 10, "enterprise"), _part("healthy", 3, "lookalike"),
            _part("healthy", 2, "subsidiary"), _part("healthy", 7, "stray_desk"),
            _part("healthy", 4, "duplicate_crm"), _part("healthy", 1, "duplicate_desk"),
            _part("fading", 23), _part("inactive", 14), _part("inactive", 1, "no_domain"),
            _part("ticket_storm", 6), _part("ticket_storm", 1, "enterprise"),
            _part("failing_payments", 10), _part("second_failure", 3), _part("first_failure"),
            _part("recovering_payment", 5), _part("onboarding", 10), _part("renewal_soon", 6),
            _part("renewal_soon", 1, "enterprise"), _part("renewal_complex", 1, "enterprise"),
            _part("multi_year", 3, "enterprise"), _part("quiet", 18), _part("quiet", 2, "mailbox"),
            _part("former", 30), _part("trial", 4), _part("prospect", 92),
            _part("prospect", 3, "no_domain"),
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """The frame of one world: scenario, seed, day, zone, and chance that hangs on names alone."""

    scenario: str
    seed: int
    as_of: date
    months: int
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo(ZONE))

    @property
    def first_day(self) -> date:
        """The day on which the world's history begins."""
        return add_months(self.as_of, -self.months)

    @property
    def last_day(self) -> date:
        """The day on whose evening the world ends."""
        return self.ago(1)

    def chance(self, *names: str) -> Random:
        """Chance of its own for one thing, so that a change elsewhere does not move it."""
        return Random(":".join((self.scenario, str(self.seed), *names)))

    def ago(self, days: int) -> date:
        """The day so many days before `as_of`."""
        return self.as_of - timedelta(days=days)

    def at(self, day: date, hour: int = 9, minute: int = 0) -> datetime:
        """An instant on a day of the team, in UTC."""
        return datetime.combine(day, time(hour, minute), self.zone).astimezone(UTC)


def add_months(day: date, months: int) -> date:
    """The same day so many months later; the last day of a month that is too short for it."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month0 + 1, min(day.day, last))
        except ValueError:
            continue
    raise ValueError(day)


def weekday_on_or_before(day: date) -> date:
    """The day itself, or the Friday before a weekend."""
    return day - timedelta(days=max(0, day.weekday() - 4))
