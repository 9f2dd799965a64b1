"""The seeded world as Stripe would hold it: who pays, for what, and how each payment went."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from hub.testing.kit import company_id

from . import sandbox_shapes as shapes
from .mapping import FOR_COMPANY
from .sandbox_billing import EVENT_DAYS, Billing
from .sandbox_shapes import Obj

if TYPE_CHECKING:
    from hub.testing.world import Company, Contract, Invoice, World

HUBSPOT_ID = "hubspot_company_id"
"""Metadata of a customer: the HubSpot company it is, where the team keeps that up."""

PREFIXES = {
    "customers": "cus", "subscriptions": "sub", "invoices": "in", "charges": "ch", "items": "si",
}  # fmt: skip

STATUSES = {"ended": "canceled"}
REASONS = ("cancellation_requested", "payment_failed", "payment_disputed")


def record_id(object: str, key: str) -> str:
    """The Stripe id of something in the world: the same for the same key, in every process."""
    if object == "customers":
        return company_id("billing", key)
    return f"{PREFIXES[object]}_1{sha256(key.encode()).hexdigest()[:20]}"


def deal(world: World, billing: Billing) -> None:
    """Fill the stand-in with the world's customers that are in the billing tool."""
    companies = {company.key: company for company in world.companies}
    payers = {key for key, company in companies.items() if "billing" in company.in_tools}
    contracts = {c.key: c for c in world.contracts if c.payer_key in payers}
    for key in sorted(payers):
        _put(billing, "customer", _customer(companies[key]))
    for contract in contracts.values():
        made = _subscription(contract, companies[contract.company_key], billing)
        _put(billing, "subscription", made)
        billing.objects["customer"][made["customer"]]["currency"] = made["currency"]
    for invoice in sorted(world.invoices, key=lambda i: i.created_at):
        if invoice.contract_key in contracts:
            _invoice(invoice, billing)
    _recent_events(billing)


def _put(billing: Billing, kind: str, obj: Obj) -> None:
    billing.objects[kind][obj["id"]] = obj


def _customer(company: Company) -> Obj:
    known = company.ids_known.get("billing", False)
    in_crm = company.key if "crm" in company.in_tools else company.duplicate_of
    return shapes.customer(
        record_id("customers", company.key),
        _at(company.created_at),
        name=company.names.get("billing", company.name),
        email=company.contact_email,
        country=company.country,
        metadata={HUBSPOT_ID: company_id("crm", in_crm)} if known and in_crm else {},
    )


def _subscription(contract: Contract, company: Company, billing: Billing) -> Obj:
    id = record_id("subscriptions", contract.key)
    each, quantity = _unit(contract)
    price = billing.price_of(
        contract.plan, each, contract.currency.lower(), contract.interval, contract.interval_count
    )
    item = shapes.subscription_item(
        record_id("items", contract.key),
        subscription=id,
        price=copy.deepcopy(price),
        quantity=quantity,
        period=(_period_start(contract), _at(contract.period_ends_at)),
    )
    reason = contract.end_reason
    made = shapes.subscription(
        id,
        _at(contract.started_at),
        customer=record_id("customers", contract.payer_key),
        items=[item],
        status=STATUSES.get(contract.status, contract.status),
        currency=contract.currency.lower(),
        metadata=_named(contract, company),
        cancel_at=_at(contract.cancel_at) if contract.cancel_at else None,
        ended_at=_at(contract.ended_at) if contract.ended_at else None,
        end_reason=reason if reason in REASONS or reason is None else REASONS[0],
        trial_end=_at(contract.trial_ends_at) if contract.trial_ends_at else None,
        paused_for=_paused_for(contract),
    )
    if reason is not None and reason not in REASONS:
        made["cancellation_details"]["comment"] = reason
    return made


def _unit(contract: Contract) -> tuple[int, int]:
    """The price of one unit; an amount that does not divide is sold as one unit."""
    if contract.quantity > 0 and contract.amount_minor % contract.quantity == 0:
        return contract.amount_minor // contract.quantity, contract.quantity
    return contract.amount_minor, 1


def _named(contract: Contract, company: Company) -> dict[str, str]:
    """Whom an agency pays for. The world says when billing does not know; then nobody does."""
    known = company.ids_known.get("billing", True) and "crm" in company.in_tools
    if contract.payer_key == contract.company_key or not known:
        return {}
    return {FOR_COMPANY: company_id("crm", company.key)}


def _paused_for(contract: Contract) -> str | None:
    if contract.status != "paused":
        return None
    return "trial_end_without_payment_method" if contract.trial_ends_at else "pause_requested"


def _period_start(contract: Contract) -> int:
    """One interval before the period's end; 28 February stands in for days a month lacks."""
    end = contract.period_ends_at
    months = contract.interval_count * (12 if contract.interval == "year" else 1)
    year, month = divmod(end.year * 12 + end.month - 1 - months, 12)
    return _at(end.replace(year=year, month=month + 1, day=min(end.day, 28)))


def _invoice(invoice: Invoice, billing: Billing) -> None:
    subscription = billing.objects["subscription"][record_id("subscriptions", invoice.contract_key)]
    last = invoice.attempts[-1].at if invoice.attempts else invoice.created_at
    made = shapes.invoice(
        record_id("invoices", invoice.key),
        _at(invoice.created_at),
        subscription=subscription,
        number=invoice.number,
        total=invoice.total_minor,
        remaining=invoice.remaining_minor,
        status=invoice.status,
        attempt_count=len(invoice.attempts),
        next_payment_attempt=_at(invoice.next_attempt_at) if invoice.next_attempt_at else None,
        due_date=_at(invoice.due_at) if invoice.due_at else None,
        closed_at=_at(invoice.paid_at or last),
    )
    _put(billing, "invoice", made)
    subscription["latest_invoice"] = made["id"]
    if invoice.status != "draft" and invoice.total_minor > 0:
        _attempts(invoice, made, billing)
    if invoice.status == "open" and invoice.attempts:
        billing.objects["customer"][made["customer"]]["delinquent"] = True


def _attempts(invoice: Invoice, made: Obj, billing: Billing) -> None:
    intent = billing.intent_of(made)
    for number, attempt in enumerate(invoice.attempts, start=1):
        charge = shapes.charge(
            record_id("charges", f"{invoice.key}/{number}"),
            _at(attempt.at),
            intent=intent,
            decline_code=None if attempt.succeeded else attempt.decline_code or "generic_decline",
            advice_code=attempt.advice_code,
        )
        _put(billing, "charge", charge)
        intent["latest_charge"] = charge["id"]
        intent["last_payment_error"] = None if attempt.succeeded else shapes.payment_error(charge)
    if invoice.status == "paid":
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}


def _recent_events(billing: Billing) -> None:
    """The news that Stripe would still show of what happened before the world was opened."""
    now = int(billing.clock().timestamp())
    recent = sorted(
        (news for news in _news(billing) if now - EVENT_DAYS * 86_400 <= news[0] <= now),
        key=lambda news: news[0],
    )
    for created, kind, obj in recent:
        billing.tell(kind, obj, created)


def _news(billing: Billing) -> Iterator[tuple[int, str, Obj]]:
    objects = billing.objects
    for customer in objects["customer"].values():
        yield customer["created"], "customer.created", customer
    for subscription in objects["subscription"].values():
        yield subscription["created"], "customer.subscription.created", subscription
        if subscription["ended_at"]:
            yield subscription["ended_at"], "customer.subscription.deleted", subscription
    for invoice in objects["invoice"].values():
        yield invoice["created"], "invoice.created", invoice
        if invoice["status"] == "paid":
            yield invoice["status_transitions"]["paid_at"], "invoice.paid", invoice
    for charge in objects["charge"].values():
        yield charge["created"], f"charge.{charge['status']}", charge


def _at(instant: datetime) -> int:
    return int(instant.timestamp())
