"""The seeded world, read back through the connector, is the world that was put in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pytest

from connectors.stripe import Stripe
from connectors.stripe.sandbox_world import record_id
from hub import AccountRef, Invoice, PaymentAttempt, Subscription
from hub.testing.kit import company_id
from hub.testing.scenarios import build
from hub.testing.world import World


@pytest.fixture
def world(box) -> World:
    """The demo world on the day of the tests' clock, dealt to the stand-in."""
    world = build("demo", seed=7, as_of=date(2026, 3, 4))
    box.load(world)
    return world


def records(stripe: Stripe, stream: str) -> Mapping[str, object]:
    maps = Stripe.streams[stream].maps
    assert maps is not None
    rows = [row for page in getattr(stripe, stream)(None) for row in page.rows]
    return {row["id"]: maps(row) for row in rows}


def test_everybody_in_the_billing_tool_is_a_customer_with_its_own_spelling(world, stripe):
    billed = [c for c in world.companies if "billing" in c.in_tools]

    customers = records(stripe, "customers")

    assert {c.id: c.name for c in customers.values()} == {
        company_id("billing", c.key): c.names["billing"] for c in billed
    }


def test_contracts_come_back_with_amount_period_and_state(world, stripe):
    subscriptions = records(stripe, "subscriptions")

    for contract in world.contracts:
        found = subscriptions[record_id("subscriptions", contract.key)]

        assert isinstance(found, Subscription)
        assert found.amount_minor == contract.amount_minor
        assert (found.currency, found.interval) == (contract.currency, contract.interval)
        assert found.status == contract.status
        assert found.period_ends_at == contract.period_ends_at.replace(microsecond=0)
        planned = "cancellation_requested" if contract.cancel_at else None
        assert found.end_reason == (contract.end_reason or planned)


def test_an_agencys_subscriptions_say_whom_they_are_for(world, stripe):
    agency = [c for c in world.contracts if c.payer_key != c.company_key]

    subscriptions = records(stripe, "subscriptions")

    assert agency
    for contract in agency:
        found = subscriptions[record_id("subscriptions", contract.key)]
        assert isinstance(found, Subscription)
        assert found.account == AccountRef(id=company_id("billing", contract.payer_key))
        assert found.pays_for == (
            AccountRef(vendor="hubspot", external_id=company_id("crm", contract.company_key)),
        )


def test_invoices_and_attempts_come_back_with_what_is_left_to_pay(world, stripe):
    invoices, attempts = records(stripe, "invoices"), records(stripe, "charges")

    by_ref: dict[str, list[PaymentAttempt]] = {}
    for attempt in attempts.values():
        assert isinstance(attempt, PaymentAttempt)
        by_ref.setdefault(attempt.payment_ref or "", []).append(attempt)
    for due in world.invoices:
        found = invoices[record_id("invoices", due.key)]
        assert isinstance(found, Invoice)
        assert (found.status, found.remaining_minor) == (due.status, due.remaining_minor)
        assert found.attempt_count == len(due.attempts)
        tries = [a for ref in found.payment_refs for a in by_ref.get(ref, [])]
        assert sorted((a.attempted_at, a.succeeded, a.decline_code) for a in tries) == sorted(
            (a.at.replace(microsecond=0), a.succeeded, a.decline_code) for a in due.attempts
        )


def test_hubspot_ids_stand_only_where_the_team_keeps_them(world, box):
    known = {c.key for c in world.companies if c.ids_known.get("billing")}

    held = {
        company.key
        for company in world.companies
        if "billing" in company.in_tools
        and "hubspot_company_id"
        in box.objects["customer"][company_id("billing", company.key)]["metadata"]
    }

    assert held
    assert held <= known


def test_the_news_of_the_last_days_is_still_in_the_feed(world, stripe):
    (first,) = stripe.events(None)
    newest = max(invoice.created_at for invoice in world.invoices)

    assert datetime.fromtimestamp(first.at.state["created"], UTC) >= newest.replace(microsecond=0)
