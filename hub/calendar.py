"""Lengths of time as an admin writes them, and the days on which a team works."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import holidays

_WEEKEND = (5, 6)
_SPAN = re.compile(r"(\d{1,5}) ?(d|days?|h|hours?|m|minutes?)")
_DUE = re.compile(r"(\d{1,3}) (business )?days?")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@dataclass(frozen=True)
class BusinessCalendar:
    """The team's working days: a country's weekend and public holidays.

    Without a country Monday to Friday are worked and nothing is known of holidays.
    """

    country: str | None = None
    subdivision: str | None = None

    @classmethod
    def parse(cls, text: str) -> BusinessCalendar:
        """The calendar of "DE" or "DE-BE"; ValueError when it is not known."""
        country, _, subdivision = text.partition("-")
        try:
            holidays.country_holidays(country, subdiv=subdivision or None)
        except NotImplementedError as error:
            raise ValueError(f"{text} is not a calendar") from error
        return cls(country, subdivision or None)

    def works_on(self, day: date) -> bool:
        """Whether `day` is neither on the weekend nor a public holiday."""
        if self.country is None:
            return day.weekday() not in _WEEKEND
        return _public_holidays(self.country, self.subdivision).is_working_day(day)

    def add(self, day: date, n: int) -> date:
        """The n-th working day after `day`; 0 gives `day`, or the next one that is worked."""
        if n == 0:
            return day if self.works_on(day) else self.add(day, 1)
        while n > 0:
            day += timedelta(days=1)
            n -= self.works_on(day)
        return day


@cache
def _public_holidays(country: str, subdivision: str | None) -> holidays.HolidayBase:
    return holidays.country_holidays(country, subdiv=subdivision)


def known_countries() -> list[str]:
    """The countries whose calendar is known, as two capital letters."""
    return sorted(holidays.list_supported_countries())


def known_subdivisions(country: str) -> list[str]:
    """The parts of a country that have holidays of their own."""
    return sorted(holidays.list_supported_countries().get(country, []))


@dataclass(frozen=True)
class Due:
    """How many days after something, counted as calendar or as business days."""

    days: int
    business: bool

    @classmethod
    def parse(cls, text: str) -> Due:
        """From "2 business days" or "3 days"; ValueError for anything else."""
        if not (found := _DUE.fullmatch(text.strip())):
            raise ValueError(f"{text!r} is not a number of days")
        return cls(int(found[1]), bool(found[2]))

    def after(self, day: date, calendar: BusinessCalendar) -> date:
        """The day that this falls on when counting starts after `day`."""
        return calendar.add(day, self.days) if self.business else day + timedelta(days=self.days)

    def __str__(self) -> str:
        unit = "day" if self.days == 1 else "days"
        return f"{self.days} business {unit}" if self.business else f"{self.days} {unit}"


def parse_span(text: str) -> timedelta:
    """The length of "30d", "6h", "15m" or "3 days"; ValueError for anything else."""
    if not (found := _SPAN.fullmatch(text.strip())):
        raise ValueError(f"{text!r} is not a length of time")
    return timedelta(**{_UNITS[found[2][0]]: int(found[1])})
