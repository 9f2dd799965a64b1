"""Contracts, invoices with their payment attempts, and deals of a generated world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Literal

from .world import Attempt, Contract, Deal, Invoice
from .world_cast import Dunning, Setting, add_months
from .world_companies import Story

_SEAT_MINOR = {"starter": 4900, "team": 1900, "business": 2900, "enterprise": 240000}
_SEATS = {"starter": (1, 1), "team": (5, 20), "business": (15, 60), "enterprise": (1, 1)}
_CURRENCY = {"GB": "GBP", "US": "USD"}
_DECLINES = (
    ("insufficient_funds", "try_again_later"),
    ("expired_card", "confirm_card_data"),
    ("do_not_honor", "try_again_later"),
    ("lost_card", "do_not_try_again"),
)
_RETRY_DAYS: dict[Dunning, tuple[int, ...]] = {
    "first": (0,), "second": (0, 2), "past_grace": (0, 3, 5, 7), "recovered": (0, 3),
}  # fmt: skip
_OPEN_STAGES = (
    "appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin",
)  # fmt: skip
_REASONS = ("cancellation_requested", "payment_failed", "payment_disputed")


@dataclass(frozen=True, slots=True)
class Money:
    """What one company pays: its contract, if any, and the bills of the world's history."""

    contract: Contract
    invoices: tuple[Invoice, ...]


def money_of(setting: Setting, story: Story) -> Money | None:
    """The contract and invoices of one company; None when the billing tool has nothing to bill."""
    company = story.company
    if company.signed_up_on is None or company.plan is None or company.duplicate_of:
        return None
    if "billing" not in company.in_tools and company.payer_key is None:
        return None
    contract = _contract(setting, story, company.signed_up_on, company.plan)
    if contract.status == "trialing":
        return Money(contract, ())
    return Money(contract, tuple(_invoices(setting, story, contract, company.signed_up_on)))


def _contract(setting: Setting, story: Story, started_on: date, plan: str) -> Contract:
    company, chance = story.company, setting.chance(story.key, "contract")
    interval, months = company.billing_interval or "month", company.term_months or 1
    quantity = chance.randint(*_SEATS[plan])
    per_month = _SEAT_MINOR[plan] * quantity
    leaves = company.persona == "inactive" and chance.random() < 0.3
    period_ends_on = periods(started_on, months, company.left_on or setting.last_day)[-1]
    is_trial = company.persona == "trial"
    return Contract(
        key=f"{story.key}k1",
        company_key=story.key,
        payer_key=company.payer_key or story.key,
        plan=plan,
        amount_minor=per_month if interval == "month" else per_month * 10 * months // 12,
        currency=_CURRENCY.get(company.country, "EUR"),
        interval=interval,
        started_at=setting.at(started_on),
        status=_status(story),
        period_ends_at=setting.at(period_ends_on),
        interval_count=max(1, months // 12),
        quantity=quantity,
        trial_ends_at=setting.at(started_on + timedelta(days=14)) if is_trial else None,
        cancel_at=setting.at(period_ends_on) if leaves else None,
        ended_at=setting.at(company.left_on, 10) if company.left_on else None,
        end_reason=chance.choice(_REASONS) if company.left_on else None,
    )


def _status(story: Story) -> Literal["trialing", "active", "past_due", "ended"]:
    if story.company.left_on:
        return "ended"
    if story.company.persona == "trial":
        return "trialing"
    return "past_due" if story.persona.dunning in ("first", "second", "past_grace") else "active"


def periods(started_on: date, months: int, until: date) -> list[date]:
    """The first day of every period that begins by `until`, and the end of the last of them."""
    days = [started_on]
    while days[-1] <= until:
        days.append(add_months(started_on, months * len(days)))
    return days


def _invoices(
    setting: Setting, story: Story, contract: Contract, started_on: date
) -> Iterator[Invoice]:
    chance = setting.chance(story.key, "invoices")
    until = story.company.left_on or setting.last_day
    days = periods(started_on, story.company.term_months or 1, until)[:-1]
    for number, day in enumerate(days, start=1):
        dunning = story.persona.dunning if day == days[-1] else _old_trouble(setting, day, chance)
        if day < setting.first_day:
            continue
        bill = _bill(setting, contract, number, day, chance.randrange(60))
        if story.company.plan == "enterprise":
            yield _by_transfer(setting, bill, day, chance)
        else:
            yield _by_card(setting, bill, day, dunning, chance)


def _old_trouble(setting: Setting, day: date, chance: Random) -> Dunning | None:
    """Long ago some payments failed at first; all of them came in."""
    return "recovered" if chance.random() < 0.04 and day < setting.ago(60) else None


def _bill(setting: Setting, contract: Contract, number: int, day: date, minute: int) -> Invoice:
    """An open invoice that nobody tried to collect yet."""
    return Invoice(
        key=f"{contract.key}i{number:03}",
        contract_key=contract.key,
        company_key=contract.company_key,
        payer_key=contract.payer_key,
        number=f"{contract.company_key.upper()}-{number:04}",
        created_at=setting.at(day, 9, minute),
        total_minor=contract.amount_minor,
        remaining_minor=contract.amount_minor,
        currency=contract.currency,
        status="open",
    )


def _by_card(
    setting: Setting, bill: Invoice, day: date, dunning: Dunning | None, chance: Random
) -> Invoice:
    """Collected by itself an hour after it was made, or tried again on later days."""
    first_at = bill.created_at + timedelta(hours=1)
    if dunning is None:
        return _paid(bill, Attempt(first_at, succeeded=True))
    code, advice = chance.choice(_DECLINES if dunning == "past_grace" else _DECLINES[:3])
    tries = [first_at + timedelta(days=n) for n in _RETRY_DAYS[dunning]]
    failed = [Attempt(at, False, code, advice) for at in tries if at < setting.at(setting.as_of, 0)]
    if dunning == "recovered":
        return _paid(bill, *failed[:-1], Attempt(tries[-1], succeeded=True))
    next_on = setting.as_of + timedelta(days=chance.randint(1, 3))
    next_at = None if advice == "do_not_try_again" else setting.at(next_on, 10)
    return replace(bill, attempts=tuple(failed), next_attempt_at=next_at)


def _by_transfer(setting: Setting, bill: Invoice, day: date, chance: Random) -> Invoice:
    """Sent, and paid by bank transfer within thirty days; nothing is ever tried."""
    sent = replace(bill, due_at=setting.at(day + timedelta(days=30), 23))
    paid_on = day + timedelta(days=chance.randint(5, 25))
    if paid_on >= setting.as_of:
        return sent
    return replace(sent, status="paid", remaining_minor=0, paid_at=setting.at(paid_on, 14))


def _paid(bill: Invoice, *attempts: Attempt) -> Invoice:
    return replace(
        bill, status="paid", remaining_minor=0, attempts=attempts, paid_at=attempts[-1].at
    )


def deals_of(setting: Setting, story: Story, contract: Contract | None) -> Iterator[Deal]:
    """What sales did with one company: won at sign-up, renewals ahead, open and lost offers."""
    company, chance = story.company, setting.chance(story.key, "deals")
    if "crm" not in company.in_tools or company.duplicate_of or company.is_agency:
        return
    amount = contract.amount_minor if contract else chance.randrange(40, 600) * 2500
    draft = Deal(
        key=f"{story.key}d1",
        company_key=story.key,
        name=f"{company.name}: first contract",
        stage="closedwon",
        is_won=True,
        is_closed=True,
        amount_minor=amount,
        currency=contract.currency if contract else "EUR",
        closed_on=company.signed_up_on,
        owner_key=company.owner_key,
        created_at=company.created_at,
    )
    if company.persona == "prospect":
        yield from _offers(setting, draft, chance)
    elif company.persona == "trial":
        yield _opened(draft, "qualifiedtobuy")
    else:
        yield draft
        yield from _later_deals(setting, story, draft, chance)


def _offers(setting: Setting, draft: Deal, chance: Random) -> Iterator[Deal]:
    drawn = chance.random()
    if drawn < 0.5:
        yield _opened(draft, chance.choice(_OPEN_STAGES))
    elif drawn < 0.75:
        yield _lost(draft, min(setting.last_day, draft.created_at.date() + timedelta(days=45)))


def _later_deals(setting: Setting, story: Story, draft: Deal, chance: Random) -> Iterator[Deal]:
    company = story.company
    second = replace(
        draft,
        key=f"{story.key}d2",
        name=f"{company.name}: more seats",
        created_at=setting.at(setting.ago(chance.randint(20, 50)), 11),
    )
    if company.left_on:
        created_at = setting.at(company.left_on - timedelta(days=40), 11)
        renewal = replace(second, name=f"{company.name}: renewal", created_at=created_at)
        yield _lost(renewal, company.left_on)
    elif "renewal" in story.persona.causes:
        yield _opened(replace(second, name=f"{company.name}: renewal"), "contractsent")
    elif chance.random() < 0.2 and story.persona.tenure[0] >= 100:
        yield _opened(second, chance.choice(_OPEN_STAGES))


def _opened(deal: Deal, stage: str) -> Deal:
    return replace(deal, stage=stage, is_won=False, is_closed=False, closed_on=None)


def _lost(deal: Deal, on: date) -> Deal:
    return replace(deal, stage="closedlost", is_won=False, closed_on=on)
