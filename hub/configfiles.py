"""What may stand in hub.yaml and in a connection's file, key by key.

The keys, their meaning and their defaults are told to admins in docs/configuration.md.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field

from .calendar import BusinessCalendar, known_countries, known_subdivisions
from .conditions import Name as ConditionName
from .definitions import ANY, Part, Role, Span, Text
from .model import Status
from .yamlfile import Name, mistake, nearest

ACCOUNT_NAMES = {
    "employees": ConditionName("number"),
    "mrr_minor": ConditionName("number"),
    "country": ConditionName("text"),
    "industry": ConditionName("text"),
    "plan": ConditionName("text"),
}
"""What the conditions of segments and customers may use of an account."""

LABELS: dict[Status, str] = {
    "at_risk": "At risk",
    "watch": "Watch",
    "healthy": "Healthy",
    "unknown": "Unknown",
}
"""How each status reads where hub.yaml says nothing else."""


def _zone(written: object) -> ZoneInfo:
    name = str(written)
    if name not in available_timezones():
        raise mistake(f'is "{name}", which is no time zone', _near_or(name, available_timezones()))
    return ZoneInfo(name)


def _near_or(name: str, known: set[str]) -> str:
    advice = nearest(name, known)
    return advice if advice.startswith("Perhaps") else "Write an IANA name like Europe/Berlin"


def _calendar(written: object) -> BusinessCalendar:
    text = str(written)
    try:
        return BusinessCalendar.parse(text)
    except ValueError as error:
        country, _, part = text.partition("-")
        there = known_subdivisions(country)
        if part and there:
            do = nearest(f"{country}-{part}", [f"{country}-{one}" for one in there])
        else:
            do = "Write a country's two capital letters, like DE"
            do = do if country not in known_countries() else f"Write {country} alone"
        raise mistake(f'is "{text}", a calendar that is not known', do) from error


def _email(written: str) -> str:
    try:
        return validate_email(written, check_deliverability=False).normalized
    except EmailNotValidError as error:  # What was written stays out of the message.
        raise mistake("is no e-mail address", "Write it like mia@company.example") from error


def _address(written: str) -> str:
    if not written.startswith(("https://", "http://")):
        raise mistake("is no web address", "Begin it with https://")
    return written.rstrip("/")


def _home(written: object) -> object:
    return {ANY: written} if isinstance(written, str) else written


def _like(pattern: str, do: str) -> AfterValidator:
    def check(written: str) -> str:
        if not re.fullmatch(pattern, written):
            raise mistake(f'is "{written}", which is not of the right form', do)
        return written

    return AfterValidator(check)


class PersonFile(Part):
    """One of the team: whose tasks, in which roles, and who stands in."""

    name: Text
    email: Annotated[str, AfterValidator(_email)]
    roles: tuple[Role, ...] = ()
    backup: Name | None = None


class SegmentFile(Part):
    """A kind of account: the first segment whose condition is true."""

    when: Text


class Customers(Part):
    """What makes an account a customer where no subscription or won deal says so.

    `stages` are the CRM's own words for it; `when` is a condition over account fields.
    """

    when: Text | None = None
    stages: tuple[Text, ...] = ()


class Limits(Part):
    """How much one unattended run may write before it waits or stops for approval."""

    tasks_per_owner_and_day: int = Field(default=5, ge=0)
    stop_tasks_per_owner: int = Field(default=10, ge=0)
    stop_targets: int = Field(default=200, ge=0)
    stop_share_of_customers: float = Field(default=10, ge=0, le=100)


class HubFile(Part):
    """config/hub.yaml."""

    zone: Annotated[ZoneInfo, BeforeValidator(_zone)] = Field(
        description="Add the team's time zone: zone: Europe/Berlin"
    )
    currency: Annotated[str, _like("[A-Z]{3}", "Write three capital letters, like EUR")] = Field(
        description="Add the currency that totals are told in: currency: EUR"
    )
    locale: Annotated[str, _like("[a-z]{2}(-[A-Z]{2})?", "Write it like en or de-AT")] = "en"
    calendar: Annotated[BusinessCalendar, BeforeValidator(_calendar)] = BusinessCalendar()
    judged_from: date | None = None
    plugins: tuple[Text, ...] = ()
    people: dict[Name, PersonFile] = Field(default_factory=dict)
    segments: dict[Name, SegmentFile] = Field(default_factory=dict)
    statuses: dict[Status, Text] = Field(default_factory=dict)
    customers: Customers = Customers()
    tasks_to: Annotated[dict[str, str], BeforeValidator(_home)] = Field(default_factory=dict)
    limits: Limits = Limits()
    shared_domains: tuple[Text, ...] = ()
    login_events: tuple[Text, ...] = ("login",)
    key_features: tuple[Text, ...] = ()
    address: Annotated[str, AfterValidator(_address)] | None = None


class ConnectionFile(Part):
    """config/connections/NAME.yaml."""

    connector: str
    label: Text | None = None
    account: str | None = Field(default=None, coerce_numbers_to_str=True)
    settings: dict[str, object] = Field(default_factory=dict)
    network: Literal["internet", "loopback"] = "internet"
    deliver: Literal["shadow", "plan", "auto"] = "plan"
    backfill: Span = timedelta(days=400)
    fields: dict[str, dict[str, str]] = Field(default_factory=dict)
    keep: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    absence: Literal["zero", "unknown"] | None = None
    fresh_within: dict[str, Span] = Field(default_factory=dict)
    off: tuple[str, ...] = ()
