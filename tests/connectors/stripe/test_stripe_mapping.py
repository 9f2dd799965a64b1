"""What Stripe's rows mean: plain values in, records out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.stripe.mapping import to_account, to_attempt, to_invoice, to_subscription
from hub import AccountRef, Ignored, RecordRejected

MARCH_1 = 1_772_323_200  # 2026-03-01T00:00Z
APRIL_1 = 1_775_001_600


def a_customer(**changes: Any) -> dict[str, Any]:
    return {
        "id": "cus_1",
        "object": "customer",
        "livemode": True,
        "created": MARCH_1,
        "name": "Birch & Vale",
        "email": "billing@birch.example",
        "address": {"country": "DE"},
    } | changes


def an_item(
    unit_amount: int | None = 4900, quantity: int | None = 1, **price: Any
) -> dict[str, Any]:
    return {
        "quantity": quantity,
        "current_period_end": APRIL_1,
        "discounts": [],
        "price": {
            "id": "price_1",
            "unit_amount": unit_amount,
            "unit_amount_decimal": None if unit_amount is None else str(unit_amount),
            "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        }
        | price,
    }


def a_subscription(*items: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": "sub_1",
        "object": "subscription",
        "livemode": True,
        "customer": "cus_1",
        "status": "active",
        "currency": "eur",
        "start_date": MARCH_1,
        "items": {"has_more": False, "data": list(items) or [an_item()]},
        "discounts": [],
        "metadata": {},
    } | changes


def off(**coupon: Any) -> dict[str, Any]:
    return {"source": {"coupon": {"duration": "forever", "percent_off": None} | coupon}}


def an_invoice(**changes: Any) -> dict[str, Any]:
    return {
        "id": "in_1",
        "object": "invoice",
        "customer": "cus_1",
        "number": "N-1",
        "status": "open",
        "currency": "eur",
        "total": 4900,
        "amount_remaining": 4900,
        "attempt_count": 2,
        "next_payment_attempt": APRIL_1,
        "created": MARCH_1,
        "due_date": None,
        "hosted_invoice_url": "https://invoice.stripe.com/i/in_1",
        "status_transitions": {"paid_at": None, "voided_at": None, "marked_uncollectible_at": None},
        "parent": {"subscription_details": {"subscription": "sub_1", "metadata": {}}},
        "payments": {"data": [{"payment": {"payment_intent": "pi_1"}}]},
    } | changes


def a_charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "customer": "cus_1",
        "payment_intent": "pi_1",
        "status": "failed",
        "amount": 4900,
        "currency": "eur",
        "created": MARCH_1,
        "failure_code": "card_declined",
        "outcome": {
            "reason": "insufficient_funds",
            "advice_code": "try_again_later",
            "network_decline_code": "51",
        },
    } | changes


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_customer_keeps_its_mailbox_and_gets_no_domain_from_it():
    account = to_account(a_customer())

    assert account.email == "billing@birch.example"
    assert account.domains == ()
    assert (account.name, account.country, account.kind) == ("Birch & Vale", "DE", "account")


def test_a_customer_without_a_name_goes_by_its_business_name():
    account = to_account(a_customer(name=None, business_name="Birch GmbH"))

    assert account.name == "Birch GmbH"


def test_links_lead_to_the_dashboard_of_the_right_mode():
    live, test = to_account(a_customer()), to_account(a_customer(livemode=False))

    assert live.url == "https://dashboard.stripe.com/customers/cus_1"
    assert test.url == "https://dashboard.stripe.com/test/customers/cus_1"


def test_a_period_costs_all_items_times_their_quantity():
    subscription = to_subscription(a_subscription(an_item(4900, 3), an_item(1000, 2)))

    assert subscription.amount_minor == 16_700
    assert (subscription.currency, subscription.interval) == ("EUR", "month")
    assert subscription.period_ends_at == at(APRIL_1)


@pytest.mark.parametrize(
    ("discounts", "amount"),
    [
        ([off(percent_off=10)], 8820),
        ([off(amount_off=1000)], 8800),
        ([off(percent_off=50), off(amount_off=9000)], 0),
        ([off(percent_off=10, duration="once")], 9800),
        ([{"coupon": {"duration": "forever", "percent_off": 25}}], 7350),
    ],
    ids=["percent", "amount", "never below zero", "once changes no later period", "2023 shape"],
)
def test_discounts_lower_what_a_period_costs(discounts: list[Any], amount: int):
    subscription = to_subscription(a_subscription(an_item(4900, 2), discounts=discounts))

    assert subscription.amount_minor == amount


@pytest.mark.parametrize(
    "row",
    [
        a_subscription(an_item(None)),
        a_subscription(an_item() | {"discounts": ["di_1"]}),
        a_subscription(discounts=["di_1"]),
        a_subscription(items={"has_more": True, "data": [an_item()]}),
        a_subscription(an_item(recurring={"interval": "month", "usage_type": "metered"})),
        a_subscription(an_item(), an_item(recurring={"interval": "year", "interval_count": 1})),
    ],
    ids=["tiers", "item discount", "unread coupon", "more items", "all metered", "two periods"],
)
def test_an_amount_that_cannot_be_known_is_unknown_and_not_zero(row: dict[str, Any]):
    subscription = to_subscription(row)

    assert subscription.amount_minor is None


def test_metered_items_do_not_hide_the_agreed_part():
    metered = an_item(2, None, recurring={"interval": "month", "usage_type": "metered"})

    subscription = to_subscription(a_subscription(an_item(4900), metered))

    assert subscription.amount_minor == 4900


def test_packages_are_rounded_as_the_price_says():
    packs = {"divide_by": 10, "round": "up"}

    subscription = to_subscription(a_subscription(an_item(500, 11, transform_quantity=packs)))

    assert subscription.amount_minor == 1000


def test_fractions_of_a_cent_are_rounded_only_in_the_sum():
    item = an_item(None, 3, unit_amount_decimal="0.5")

    subscription = to_subscription(a_subscription(item))

    assert subscription.amount_minor == 2


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("trialing", "trialing"), ("active", "active"), ("past_due", "past_due"),
        ("unpaid", "unpaid"), ("paused", "paused"), ("incomplete", "incomplete"),
        ("incomplete_expired", "ended"), ("canceled", "ended"),
    ],
)  # fmt: skip
def test_each_status_of_a_subscription_has_its_word(theirs: str, ours: str):
    subscription = to_subscription(a_subscription(status=theirs))

    assert subscription.status == ours


def test_an_ended_subscription_says_when_and_why():
    row = a_subscription(
        status="canceled", ended_at=APRIL_1, cancellation_details={"reason": "payment_failed"}
    )

    subscription = to_subscription(row)

    assert (subscription.ended_at, subscription.end_reason) == (at(APRIL_1), "payment_failed")


def test_a_subscription_cancelled_for_later_ends_with_its_period():
    subscription = to_subscription(a_subscription(cancel_at_period_end=True))

    assert subscription.ends_at == at(APRIL_1)
    assert subscription.status == "active"


def test_a_subscription_of_2023_has_its_period_on_itself():
    row = a_subscription(an_item() | {"current_period_end": None}, current_period_end=APRIL_1)

    subscription = to_subscription(row)

    assert subscription.period_ends_at == at(APRIL_1)


def test_an_agencys_subscription_names_the_companies_it_is_for():
    row = a_subscription(metadata={"for_hubspot_company": "9001, 9002"})

    subscription = to_subscription(row)

    assert subscription.account == AccountRef(id="cus_1")
    assert subscription.pays_for == (
        AccountRef(vendor="hubspot", external_id="9001"),
        AccountRef(vendor="hubspot", external_id="9002"),
    )


def test_an_open_invoice_that_was_tried_is_past_due():
    invoice = to_invoice(an_invoice())

    assert invoice.is_past_due
    assert (invoice.total_minor, invoice.remaining_minor, invoice.currency) == (4900, 4900, "EUR")
    assert (invoice.subscription_id, invoice.payment_refs) == ("sub_1", ("pi_1",))
    assert invoice.next_attempt_at == at(APRIL_1)
    assert invoice.url == "https://invoice.stripe.com/i/in_1"


def test_an_invoice_of_2023_names_subscription_and_payment_itself():
    row = an_invoice(parent=None, payments=None, subscription="sub_9", payment_intent="pi_9",
                     charge="ch_9")  # fmt: skip

    invoice = to_invoice(row)

    assert (invoice.subscription_id, invoice.payment_refs) == ("sub_9", ("pi_9", "ch_9"))


def test_an_invoice_is_for_whom_the_subscription_named_when_it_was_written():
    details = {"subscription": "sub_1", "metadata": {"for_hubspot_company": "9001"}}

    invoice = to_invoice(an_invoice(parent={"subscription_details": details}))

    assert invoice.pays_for == (AccountRef(vendor="hubspot", external_id="9001"),)


@pytest.mark.parametrize(
    ("status", "moment"),
    [("paid", "paid_at"), ("void", "voided_at"), ("uncollectible", "marked_uncollectible_at")],
)
def test_a_closed_invoice_says_when_it_was_closed(status: str, moment: str):
    row = an_invoice(status=status, status_transitions={moment: APRIL_1})

    invoice = to_invoice(row)

    assert invoice.closed_at == at(APRIL_1)
    assert invoice.paid_at == (at(APRIL_1) if status == "paid" else None)


@pytest.mark.parametrize(
    ("currency", "stripes", "iso"),
    [("eur", 4900, 4900), ("jpy", 4900, 4900), ("kwd", 4900, 4900), ("isk", 4900, 49),
     ("ugx", 4900, 49), ("mga", 49, 4900)],
)  # fmt: skip
def test_money_is_in_iso_minor_units_also_where_stripe_counts_otherwise(
    currency: str, stripes: int, iso: int
):
    """R27."""
    invoice = to_invoice(an_invoice(currency=currency, total=stripes, amount_remaining=0))

    assert invoice.total_minor == iso


def test_a_failed_charge_tells_the_processors_reason():
    attempt = to_attempt(a_charge())

    assert not isinstance(attempt, Ignored)
    assert not attempt.succeeded
    assert attempt.decline_code == "insufficient_funds"
    assert (attempt.advice_code, attempt.network_decline_code) == ("try_again_later", "51")
    assert (attempt.payment_ref, attempt.account) == ("pi_1", AccountRef(id="cus_1"))


def test_a_charge_without_an_outcome_falls_back_to_its_failure_code():
    attempt = to_attempt(a_charge(outcome=None, failure_code="expired_card"))

    assert not isinstance(attempt, Ignored)
    assert attempt.decline_code == "expired_card"


def test_a_charge_that_succeeded_has_no_reason_and_needs_no_customer():
    attempt = to_attempt(a_charge(status="succeeded", customer=None, payment_intent=None))

    assert not isinstance(attempt, Ignored)
    assert attempt.succeeded
    assert (attempt.decline_code, attempt.account, attempt.payment_ref) == (None, None, "ch_1")


def test_a_payment_under_way_is_no_attempt_yet():
    mapped = to_attempt(a_charge(status="pending"))

    assert mapped == Ignored(why="the payment is still under way")


@pytest.mark.parametrize(
    ("maps", "row", "field"),
    [
        (to_subscription, a_subscription(status="resting"), "status"),
        (to_subscription, a_subscription(customer=None), "customer"),
        (to_subscription, a_subscription(currency="euro"), "currency"),
        (to_subscription, a_subscription(start_date="yesterday"), "start_date"),
        (to_invoice, an_invoice(total=None), "total"),
        (to_invoice, an_invoice(total=49.5), "total"),
        (to_invoice, an_invoice(status="lost"), "status"),
        (to_invoice, an_invoice(created=10**20), "created"),
        (to_invoice, an_invoice(created=None), "created_at"),
        (to_attempt, a_charge(status="unheard"), "status"),
        (to_attempt, a_charge(amount="a lot"), "amount"),
        (to_account, a_customer(name=["Birch"]), "name"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_names_the_object_and_the_field(
    maps: Any, row: dict[str, Any], field: str
):
    with pytest.raises(RecordRejected) as rejected:
        maps(row)

    assert row["id"] in str(rejected.value)
    assert field in str(rejected.value)
