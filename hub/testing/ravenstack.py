"""The RavenStack data set as a world: somebody else's accounts, with somebody else's dirt.

Credit, licence and limits stand in `data/ravenstack/README.md`. Nothing is repaired: ids that occur
twice, usage before its subscription and tickets before sign-up arrive as they are in the files.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from .world import (
    TOOLS,
    Attempt,
    Company,
    Contract,
    Invoice,
    Ticket,
    Tool,
    Truth,
    UsageDay,
    World,
)
from .world_cast import MONTHS_OF_HISTORY, ZONE, Setting
from .world_companies import team_of
from .world_money import periods

Line: TypeAlias = Mapping[str, str]

LAST_DAY = date(2024, 12, 31)
"""The last day in the files as they were published."""

OWNERS = 12
_COUNTRIES = {"UK": "GB"}
_PRIORITIES: Mapping[str, Literal["low", "normal", "high", "urgent"]] = {
    "low": "low", "medium": "normal", "high": "high", "urgent": "urgent",
}  # fmt: skip


def lines(name: str) -> Iterator[Line]:
    """The rows of one packed file, as text, in the order of the file."""
    packed = files(__package__).joinpath("data", "ravenstack", f"{name}.csv.gz").read_bytes()
    yield from csv.DictReader(io.StringIO(gzip.decompress(packed).decode("utf-8"), newline=""))


def world(*, seed: int = 7, as_of: date) -> World:
    """All five files dealt out to the four tools, moved to end just before `as_of`."""
    setting = Setting("ravenstack", seed, as_of, MONTHS_OF_HISTORY)
    moved = _Moved.to_end_before(as_of)
    team = team_of(setting, OWNERS)
    owners = [member.key for member in team if member.role == "csm" and member.is_active]
    subscriptions = list(lines("subscriptions"))
    contracts = tuple(_contract(line, moved, setting) for line in subscriptions)
    account_of = {line["subscription_id"]: line["account_id"] for line in subscriptions}
    companies = tuple(_companies(setting, moved, owners))
    return World(
        scenario="ravenstack",
        seed=seed,
        as_of=as_of,
        zone=ZONE,
        currency="USD",
        team=team,
        companies=companies,
        contracts=contracts,
        invoices=tuple(bill for contract in contracts for bill in _bills(contract, setting)),
        tickets=tuple(_ticket(line, moved) for line in lines("support_tickets")),
        usage=tuple(_usage(line, account_of, moved) for line in lines("feature_usage")),
        truth=_truths(companies, moved),
    )


@dataclass(frozen=True, slots=True)
class _Moved:
    """Dates of the files, all moved by the same whole number of weeks."""

    by: timedelta
    days: dict[str, date] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo(ZONE))

    @classmethod
    def to_end_before(cls, as_of: date) -> _Moved:
        return cls(timedelta(weeks=(as_of - timedelta(days=1) - LAST_DAY).days // 7))

    def day(self, text: str) -> date:
        """The day; the few hundred different ones are read once."""
        if text not in self.days:
            self.days[text] = date.fromisoformat(text) + self.by
        return self.days[text]

    def at(self, text: str) -> datetime:
        """The instant of a day or of a day with a time, in the team's zone, as UTC."""
        day, _, clock = text.partition(" ")
        at = datetime.combine(self.day(day), time.fromisoformat(clock or "00:00"), self.zone)
        return at.astimezone(UTC)


def _companies(setting: Setting, moved: _Moved, owners: Sequence[str]) -> Iterator[Company]:
    for number, line in enumerate(lines("accounts")):
        yield Company(
            key=line["account_id"],
            name=line["account_name"],
            names=dict.fromkeys(TOOLS, line["account_name"]),
            domains=(),
            contact_email=None,
            country=_COUNTRIES.get(line["country"], line["country"]),
            employees=None,
            industry=line["industry"],
            plan=line["plan_tier"].lower(),
            stage="customer",
            crm_stage=_crm_stage(line),
            owner_key=owners[(number + setting.seed) % len(owners)],
            in_tools=frozenset(TOOLS),
            ids_known={"crm": False, "desk": True, "billing": True, "usage": True},
            persona="ravenstack",
            created_at=moved.at(line["signup_date"]),
            signed_up_on=moved.day(line["signup_date"]),
        )


def _crm_stage(line: Line) -> str:
    """What a CRM would say after the account's flags, whatever the subscriptions say."""
    if line["churn_flag"] == "True":
        return "other"
    return "opportunity" if line["is_trial"] == "True" else "customer"


def _contract(line: Line, moved: _Moved, setting: Setting) -> Contract:
    """One subscription; amounts of the file are whole dollars."""
    is_yearly, is_trial = line["billing_frequency"] == "annual", line["is_trial"] == "True"
    ended_on = moved.day(line["end_date"]) if line["end_date"] else None
    started_on = moved.day(line["start_date"])
    period_ends_on = periods(started_on, 12 if is_yearly else 1, ended_on or setting.last_day)[-1]
    period_ends_at = setting.at(period_ends_on, 0)
    renews = line["auto_renew_flag"] == "True" or ended_on is not None
    return Contract(
        key=line["subscription_id"],
        company_key=line["account_id"],
        payer_key=line["account_id"],
        plan=line["plan_tier"].lower(),
        amount_minor=100 * int(line["arr_amount" if is_yearly else "mrr_amount"]),
        currency="USD",
        interval="year" if is_yearly else "month",
        started_at=moved.at(line["start_date"]),
        status="ended" if ended_on else "trialing" if is_trial else "active",
        period_ends_at=period_ends_at,
        cancel_at=None if renews else period_ends_at,
        ended_at=moved.at(line["end_date"]) if ended_on else None,
    )


def _bills(contract: Contract, setting: Setting) -> Iterator[Invoice]:
    """One paid bill a period, in the contract's rhythm; the files have no bills, so no debts."""
    if contract.amount_minor == 0:
        return
    started_on = contract.started_at.astimezone(setting.zone).date()
    until = setting.last_day
    if contract.ended_at:
        until = contract.ended_at.astimezone(setting.zone).date() - timedelta(days=1)
    starts = periods(started_on, 12 if contract.interval == "year" else 1, until)[:-1]
    for number, day in enumerate(starts or [started_on], start=1):
        if day < setting.first_day:
            continue
        paid_at = setting.at(day, 10)
        yield Invoice(
            key=f"{contract.key}-{number}",
            contract_key=contract.key,
            company_key=contract.company_key,
            payer_key=contract.payer_key,
            number=f"{contract.key}-{number:04}",
            created_at=setting.at(day, 9),
            total_minor=contract.amount_minor,
            remaining_minor=0,
            currency=contract.currency,
            status="paid",
            attempts=(Attempt(paid_at, succeeded=True),),
            paid_at=paid_at,
        )


def _ticket(line: Line, moved: _Moved) -> Ticket:
    return Ticket(
        key=line["ticket_id"],
        company_key=line["account_id"],
        person_key=None,
        subject=f"{line['priority'].capitalize()} request {line['ticket_id']}",
        priority=_PRIORITIES[line["priority"]],
        tags=(),
        opened_at=moved.at(line["submitted_at"]),
        status="closed",
        solved_at=moved.at(line["closed_at"]),
        escalated=line["escalation_flag"] == "True",
        satisfaction=int(float(score)) if (score := line["satisfaction_score"]) else None,
    )


def _usage(line: Line, account_of: Mapping[str, str], moved: _Moved) -> UsageDay:
    return UsageDay(
        company_key=account_of[line["subscription_id"]],
        person_key=None,
        day=moved.day(line["usage_date"]),
        event=line["feature_name"],
        count=int(line["usage_count"]),
        key=line["usage_id"],
    )


def _truths(companies: Sequence[Company], moved: _Moved) -> dict[str, Truth]:
    """Every account still has a live subscription; its latest churn event says otherwise or not."""
    churned: dict[str, date] = {}
    for line in lines("churn_events"):
        day = moved.day(line["churn_date"])
        churned[line["account_id"]] = max(day, churned.get(line["account_id"], day))
    tools: tuple[Tool, ...] = TOOLS
    return {
        company.key: Truth(
            same_as=frozenset((tool, company.key) for tool in tools),
            lifecycle=company.stage,
            leaves_on=churned.get(company.key),
        )
        for company in companies
    }
