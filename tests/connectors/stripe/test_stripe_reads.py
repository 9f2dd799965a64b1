"""Reading Stripe over a real socket: full lists, re-reads by id, and the feed of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from connectors.stripe import Stripe, StripeSettings
from connectors.stripe.sandbox import StripeSandbox
from hub import Env, FeedExpired, HubError, Page, Position, ReadRefused, ReconnectNeeded, Rows
from hub.testing.faults import Fault

DAY_S = 86_400


def rows_of(pages: Iterable[Page]) -> Rows:
    return [row for page in pages for row in page.rows]


def ids_of(rows: Rows) -> list[str]:
    return [row["id"] for row in rows]


def follow(stripe: Stripe, at: Position) -> tuple[list[tuple[str, str]], Position]:
    """Everything the feed names from a position on, and where it stands then."""
    changed: list[tuple[str, str]] = []
    for news in stripe.events(at):
        changed += news.changed
        at = news.at
    return changed, at


def stands(stripe: Stripe) -> Position:
    """Where the feed stands, asked for as the hub does before a full read."""
    (first,) = stripe.events(None)
    assert list(first.changed) == []
    at: Position = first.at
    return at


@pytest.fixture
def billed(box: StripeSandbox) -> dict[str, str]:
    """One customer with a discounted subscription, an invoice, and a payment that failed."""
    customer = box.create_customer(name="Birch", email="billing@birch.example")
    subscription = box.subscribe(customer, amount=4900, quantity=2)
    box.discount(subscription, percent_off=10)
    invoice = box.bill(subscription)
    charge = box.fail_payment(invoice, "insufficient_funds")
    return {
        "customers": customer,
        "subscriptions": subscription,
        "invoices": invoice,
        "charges": charge,
    }


STREAMS = ["customers", "subscriptions", "invoices", "charges"]


def test_a_full_read_goes_over_all_pages_and_stores_nothing_before_the_last(box, stripe):
    made = [box.create_customer(name=f"No. {n}") for n in range(250)]

    pages = list(stripe.customers(None))

    assert sorted(ids_of(rows_of(pages))) == sorted(made)
    assert [page.at is None for page in pages] == [True, True, False]
    assert [page.complete for page in pages] == [False, False, True]


def test_rows_that_arrive_while_paging_push_nothing_past_the_reader(box, stripe):
    made = [box.create_customer(name=f"No. {n}") for n in range(150)]
    reading = stripe.customers(None)

    first = next(reading)
    for n in range(20):
        box.create_customer(name=f"Late {n}")
    found = ids_of(first.rows) + ids_of(rows_of(reading))

    assert set(made) <= set(found)
    assert len(found) == len(set(found))


def test_an_account_without_anything_is_read_as_complete_and_empty(stripe):
    for stream in STREAMS:
        (page,) = getattr(stripe, stream)(None)

        assert (list(page.rows), page.complete) == ([], True)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_row_read_again_by_id_equals_the_row_of_the_list(stripe, billed, stream):
    listed = rows_of(getattr(stripe, stream)(None))

    again = getattr(stripe, f"{stream}_by_ids")([billed[stream]])

    assert again == listed
    assert ids_of(again) == [billed[stream]]


@pytest.mark.parametrize(("stream", "lister"), [
    ("customers", "customer_ids"), ("subscriptions", "subscription_ids"),
    ("invoices", "invoice_ids"), ("charges", "charge_ids"),
])  # fmt: skip
def test_the_sweep_sees_every_id(stripe, billed, stream, lister):
    ids = [id for page in getattr(stripe, lister)() for id in page]

    assert ids == [billed[stream]]


def test_what_is_read_maps_to_one_story_of_a_failed_payment(stripe, billed):
    by_name = {name: rows_of(getattr(stripe, name)(None)) for name in STREAMS}

    record = {name: Stripe.streams[name].maps(rows[0]) for name, rows in by_name.items()}

    assert record["subscriptions"].status == "past_due"
    assert record["subscriptions"].amount_minor == 8820
    assert record["invoices"].is_past_due
    assert record["charges"].decline_code == "insufficient_funds"
    assert record["charges"].payment_ref in record["invoices"].payment_refs
    assert record["invoices"].subscription_id == record["subscriptions"].id
    assert record["invoices"].account.id == record["customers"].id


def test_ended_subscriptions_are_read_too(box, stripe, billed):
    box.cancel(billed["subscriptions"], "payment_failed")

    (row,) = rows_of(stripe.subscriptions(None))

    assert (row["status"], row["cancellation_details"]["reason"]) == ("canceled", "payment_failed")


def test_a_backfill_limits_history_and_never_the_customers(box, stripe, billed, clock):
    clock.sleep(100 * DAY_S)
    late = box.bill(billed["subscriptions"])
    at = Position.backfill(clock.now() - timedelta(days=30))

    invoices, customers = rows_of(stripe.invoices(at)), rows_of(stripe.customers(at))

    assert ids_of(invoices) == [late]
    assert ids_of(customers) == [billed["customers"]]
    assert rows_of(stripe.subscriptions(at))


def test_deleted_customers_and_unknown_ids_do_not_answer(box, stripe, billed):
    box.delete_customer(billed["customers"])

    assert stripe.customers_by_ids([billed["customers"], "cus_none"]) == []
    assert rows_of(stripe.customers(None)) == []


# --- the feed -----------------------------------------------------------------------------------


def test_the_feed_names_what_changed_and_nothing_else(box, stripe, billed, clock):
    other = box.create_customer(name="Vale")
    clock.sleep(60)
    at = stands(stripe)

    clock.sleep(60)
    charge = box.pay(billed["invoices"])
    changed, at = follow(stripe, at)
    again, _ = follow(stripe, at)

    assert set(changed) == {
        ("customers", billed["customers"]),
        ("subscriptions", billed["subscriptions"]),
        ("invoices", billed["invoices"]),
        ("charges", charge),
    }
    assert ("customers", other) not in changed
    assert again == []


def test_events_of_the_same_second_as_the_position_are_not_lost(box, stripe):
    """R4: `created` is whole seconds, and a position may fall into the middle of one."""
    box.create_customer(name="First")
    at = stands(stripe)
    second = box.create_customer(name="Second")

    changed, at = follow(stripe, at)
    third = box.create_customer(name="Third")
    later, _ = follow(stripe, at)

    assert changed == [("customers", second)]
    assert later == [("customers", third)]


def test_a_stop_in_the_middle_of_the_feed_goes_on_with_the_oldest_unread(box, stripe, clock):
    at = stands(stripe)
    made = []
    for n in range(250):
        made.append(box.create_customer(name=f"No. {n}"))
        clock.sleep(1)
    reading = stripe.events(at)

    first = next(reading)
    reading.close()
    rest, _ = follow(stripe, first.at)

    assert [id for _, id in first.changed] == made[:100]
    assert [id for _, id in rest] == made[100:]


def test_a_deleted_customer_comes_through_the_feed_and_no_longer_answers(box, stripe, billed):
    at = stands(stripe)
    box.delete_customer(billed["customers"])

    changed, _ = follow(stripe, at)

    assert changed == [
        ("subscriptions", billed["subscriptions"]),
        ("customers", billed["customers"]),
    ]
    assert stripe.customers_by_ids([billed["customers"]]) == []
    assert stripe.subscriptions_by_ids([billed["subscriptions"]])[0]["status"] == "canceled"


def test_a_deleted_draft_comes_through_the_feed(box, stripe, billed):
    draft = box.bill(billed["subscriptions"], status="draft")
    at = stands(stripe)
    box.delete_invoice(draft)

    changed, _ = follow(stripe, at)

    assert changed == [("invoices", draft)]
    assert stripe.invoices_by_ids([draft]) == []


def test_a_gap_longer_than_stripe_keeps_events_asks_for_a_full_read(box, stripe, clock):
    box.create_customer(name="Birch")
    at = stands(stripe)
    clock.sleep(31 * DAY_S)

    with pytest.raises(FeedExpired):
        follow(stripe, at)


def test_a_quiet_quarter_that_was_asked_about_each_week_is_no_gap(box, stripe, clock):
    box.create_customer(name="Birch")
    at = stands(stripe)

    for _ in range(13):
        clock.sleep(7 * DAY_S)
        changed, at = follow(stripe, at)

    assert changed == []


def test_following_the_feed_leads_to_what_a_full_read_would_find(box, stripe, billed, clock):
    """R11 for polling: rows kept by the feed equal rows read anew."""
    at = stands(stripe)
    kept = {(s, r["id"]): r for s in STREAMS for r in rows_of(getattr(stripe, s)(None))}
    box.pay(billed["invoices"])
    clock.sleep(5)
    box.fail_payment(box.bill(billed["subscriptions"]), "expired_card", is_last=True)
    box.update_customer(billed["customers"], name="Birch & Vale")
    box.void(box.bill(billed["subscriptions"]))

    changed, _ = follow(stripe, at)
    for stream, id in changed:
        (kept[stream, id],) = getattr(stripe, f"{stream}_by_ids")([id])

    anew = {(s, r["id"]): r for s in STREAMS for r in rows_of(getattr(stripe, s)(None))}
    assert kept == anew


# --- when things go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset", "server_error", "rate_limited", "truncated", "cut_body"])
def test_a_passing_fault_costs_no_row(box, stripe, kind):
    made = [box.create_customer(name=f"No. {n}") for n in range(150)]
    box.faults.add(Fault(kind, path="/v1/customers", at=2))

    rows = rows_of(stripe.customers(None))

    assert sorted(ids_of(rows)) == sorted(made)


@pytest.mark.parametrize("kind", ["empty", "html"])
def test_an_answer_that_is_no_list_is_an_error_and_never_no_rows(box, stripe, kind):
    """R7."""
    box.create_customer(name="Birch")
    box.faults.add(Fault(kind, path="/v1/customers", times=None))

    with pytest.raises(HubError) as refused:
        list(stripe.customers(None))

    assert refused.value.code in ("SHAPE", "AUTH_OR_PROXY_PAGE")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "SHAPE"),
        ({"data": [], "has_more": True}, "PAGINATION_STUCK"),
        ({"data": [{"id": "cus_1"}], "has_more": True}, "PAGINATION_STUCK"),
    ],
    ids=["no list", "empty page with more", "the same page for ever"],
)
def test_a_list_that_is_none_or_never_ends_stops_with_its_code(env: Env, body, code):
    """R6, R7."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=body)

    broken = replace(env, transport=lambda: httpx.MockTransport(answer))
    stripe = Stripe(StripeSettings(key="rk_test_x"), broken, connection="stripe-main")

    with pytest.raises(ReadRefused) as refused:
        list(stripe.customers(None))

    assert refused.value.code == code
    assert len(asked) <= 3


def test_the_hubs_pace_never_meets_stripes_limit(box, stripe, billed):
    for _ in range(120):
        stripe.customers_by_ids([billed["customers"]])

    assert {call.status for call in box.calls} == {200}


# --- check --------------------------------------------------------------------------------------


def test_check_names_account_and_mode_and_what_only_a_write_could_prove(stripe, billed):
    checked = stripe.check()

    assert checked.account == "acct_1SandboxHub"
    assert checked.says == "signed in to Harbour Software, test mode"
    assert checked.missing == ()
    assert checked.unprovable == ("Customers: write",)


@pytest.mark.parametrize("suffix", ["_revoked", "_expired"])
def test_check_asks_for_a_new_key_without_showing_the_old_one(
    box, connect: Callable[..., Stripe], suffix
):
    stripe = connect(box.token + suffix)

    with pytest.raises(ReconnectNeeded) as lost:
        stripe.check()

    assert "stripe-main" in str(lost.value)
    assert box.token not in str(lost.value)
    assert ("expired" in str(lost.value)) == (suffix == "_expired")


def test_check_names_a_missing_permission_as_the_dashboard_does(box, connect):
    checked = connect(f"{box.token}_noscope").check()

    assert checked.missing == ("Invoices: read",)


def test_a_stream_without_permission_says_which_and_the_others_go_on(box, connect, billed):
    stripe = connect(f"{box.token}_noscope")

    with pytest.raises(HubError, match="Invoices: read") as refused:
        list(stripe.invoices(None))

    assert refused.value.code == "SCOPE_MISSING"
    assert "request req_" in str(refused.value)
    assert rows_of(stripe.customers(None))


def test_a_key_that_may_not_read_its_account_is_told_to_name_it(box, stripe):
    box.withheld = ["accounts_kyc_basic_read", "event_read"]

    checked = stripe.check()

    assert checked.account is None
    assert "account: acct_" in checked.notes[0]
    assert checked.missing == ("Events: read",)
