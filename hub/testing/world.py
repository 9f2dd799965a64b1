"""The seeded world: companies, people, money, tickets and usage that every sandbox is filled from.

Vendor-neutral and frozen. A connector's `sandbox` turns a World into its vendor's state and derives
the vendor's ids from the keys here. Keys are opaque text ("c001", but "A-2e4581" in `ravenstack`)
and stable for a scenario and seed; `ravenstack` repeats some keys of usage rows, as its files do.
The world ends on the evening before `as_of`, in `zone`. `truth` is what a test may hold the hub to;
no sandbox shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, TypeAlias

from ..model import Lifecycle, Status

Tool: TypeAlias = Literal["crm", "desk", "billing", "usage"]
"""The kinds of tool a company can be in; HubSpot is the crm, Zendesk the desk, Stripe billing."""

TOOLS: tuple[Tool, ...] = ("crm", "desk", "billing", "usage")

LOGIN = "login"
FEATURES = (
    "report_created", "dashboard_viewed", "data_exported",
    "automation_edited", "teammate_invited", "comment_added",
)  # fmt: skip
"""The events of a generated world's usage: a log-in, and six features of the product."""

Interval: TypeAlias = Literal["month", "year"]


@dataclass(frozen=True, slots=True)
class TeamMember:
    """Somebody on our side: a CRM owner and desk agent with the same e-mail address."""

    key: str
    name: str
    email: str
    role: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Company:
    """A company as the tools know it; `stage` is the truth, `crm_stage` what the CRM says.

    `names` spells it as each tool in `in_tools` does. `contact_email` is the address on the billing
    customer. `ids_known` says which tools carry another tool's id: "crm" a company property with
    the billing customer's id, "desk" the CRM id as the organization's external id, "billing" the
    CRM id in the customer's metadata, "usage" the CRM id as the group id of every event (otherwise
    events name the domain, or just the person's e-mail when there is no domain).

    `payer_key` is the company that pays (an agency), None when it pays itself. With `duplicate_of`
    this is one more record of that company: a second one in a tool, or its only one there, spelled
    so that nothing sure joins it. Its `truth` is that company's.
    """

    key: str
    name: str
    names: Mapping[Tool, str]
    domains: tuple[str, ...]
    contact_email: str | None
    country: str
    employees: int | None
    industry: str
    plan: str | None
    stage: Lifecycle
    crm_stage: str
    owner_key: str | None
    in_tools: frozenset[Tool]
    ids_known: Mapping[Tool, bool]
    persona: str
    created_at: datetime
    signed_up_on: date | None = None
    left_on: date | None = None
    renewal_on: date | None = None
    billing_interval: Interval | None = None
    term_months: int | None = None
    parent_key: str | None = None
    payer_key: str | None = None
    is_agency: bool = False
    duplicate_of: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a company. `in_tools` are the tools that have this person as a record.

    `company_key` None: the tools know the person but not where they belong.
    """

    key: str
    company_key: str | None
    name: str
    email: str
    role: str
    verified: bool
    in_tools: frozenset[Tool]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Contract:
    """A subscription in the billing tool. `payer_key` is the customer it stands under there."""

    key: str
    company_key: str
    payer_key: str
    plan: str
    amount_minor: int
    currency: str
    interval: Interval
    started_at: datetime
    status: Literal["trialing", "active", "past_due", "unpaid", "paused", "incomplete", "ended"]
    period_ends_at: datetime
    interval_count: int = 1
    quantity: int = 1
    trial_ends_at: datetime | None = None
    cancel_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Deal:
    """A sale in the CRM; `stage` is a stage of HubSpot's default pipeline."""

    key: str
    company_key: str
    name: str
    stage: str
    is_won: bool
    is_closed: bool
    amount_minor: int | None
    currency: str
    closed_on: date | None
    owner_key: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to collect an invoice. The codes are Stripe's; None when it succeeded."""

    at: datetime
    succeeded: bool
    decline_code: str | None = None
    advice_code: str | None = None


@dataclass(frozen=True, slots=True)
class Invoice:
    """A bill for one period of a contract; attempts stand in order of time."""

    key: str
    contract_key: str
    company_key: str
    payer_key: str
    number: str
    created_at: datetime
    total_minor: int
    remaining_minor: int
    currency: str
    status: Literal["draft", "open", "paid", "void", "uncollectible"]
    attempts: tuple[Attempt, ...] = ()
    next_attempt_at: datetime | None = None
    paid_at: datetime | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A support request. `company_key` None: the desk has no organization on it."""

    key: str
    company_key: str | None
    person_key: str | None
    subject: str
    priority: Literal["low", "normal", "high", "urgent"] | None
    tags: tuple[str, ...]
    opened_at: datetime
    status: Literal["new", "open", "pending", "solved", "closed"]
    solved_at: datetime | None = None
    escalated: bool = False
    satisfaction: int | None = None


@dataclass(frozen=True, slots=True)
class UsageDay:
    """How often one event was seen on one day of `zone`; `LOGIN` rows name the person.

    `key` is the source's own row id where it has one; without it company, person, day and event
    together are unique.
    """

    company_key: str
    person_key: str | None
    day: date
    event: str
    count: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really so about one company.

    `same_as` are all records (tool, company key) that are this company. `status` is what the
    shipped rules must say on `as_of`, or None where that is not certain. `causes` are the problems
    that must be open then; `leaves_on` is the day it leaves, past or future.
    """

    same_as: frozenset[tuple[Tool, str]]
    lifecycle: Lifecycle
    status: Status | None = None
    causes: frozenset[str] = frozenset()
    leaves_on: date | None = None


@dataclass(frozen=True, slots=True)
class World:
    """One scenario at one seed and day: everything the vendors' stand-ins know, and the truth."""

    scenario: str
    seed: int
    as_of: date
    zone: str
    currency: str
    team: tuple[TeamMember, ...] = ()
    companies: tuple[Company, ...] = ()
    people: tuple[Person, ...] = ()
    contracts: tuple[Contract, ...] = ()
    deals: tuple[Deal, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    usage: tuple[UsageDay, ...] = ()
    truth: Mapping[str, Truth] = field(default_factory=dict)

    def company(self, key: str) -> Company:
        """The company with this key; KeyError when there is none."""
        for company in self.companies:
            if company.key == key:
                return company
        raise KeyError(key)
