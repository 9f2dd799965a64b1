"""Stripe's own Python client, unmodified, works with the stand-in as with Stripe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from connectors.stripe.sandbox import StripeSandbox
from hub.testing.faults import Fault


@pytest.fixture
def box(clock: Any) -> Iterator[StripeSandbox]:
    with StripeSandbox(clock=clock.now) as sandbox:
        yield sandbox
        assert sandbox.crashes == []


@pytest.fixture
def connect(box: StripeSandbox) -> Callable[..., stripe.StripeClient]:
    def make(key: str | None = None, retries: int = 0) -> stripe.StripeClient:
        addresses: Any = {"api": box.url}
        return stripe.StripeClient(
            key or box.token, base_addresses=addresses, max_network_retries=retries
        )

    return make


@pytest.fixture
def client(connect: Callable[..., stripe.StripeClient]) -> stripe.StripeClient:
    return connect()


def plain(held: Any) -> dict[str, Any]:
    """One of the client's own objects as the values it holds."""
    values: dict[str, Any] = held.to_dict()
    return values


def test_a_list_is_paged_through_newest_first(
    box: StripeSandbox, clock: Any, client: stripe.StripeClient
):
    made = []
    for number in range(7):
        made.append(box.create_customer(name=f"Customer {number}"))
        clock.passes(60)

    pages = client.v1.customers.list({"limit": 3})
    found = [customer.id for customer in pages.auto_paging_iter()]

    assert found == made[::-1]
    assert len(box.calls) == 3


def test_a_list_is_paged_back_to_what_is_newer(
    box: StripeSandbox, clock: Any, client: stripe.StripeClient
):
    made = []
    for number in range(5):
        made.append(box.create_customer(name=f"Customer {number}"))
        clock.passes(60)

    page = client.v1.customers.list({"limit": 2, "ending_before": made[0]})

    assert [customer.id for customer in page.data] == [made[2], made[1]]
    assert page.has_more


def test_customers_are_made_changed_read_and_deleted(client: stripe.StripeClient):
    made = client.v1.customers.create(
        {"name": "Birch & Vale", "email": "pay@birchvale.example", "metadata": {"plan": "pro"}}
    )

    client.v1.customers.update(made.id, {"metadata": {"hub_health": "at_risk", "plan": ""}})
    changed = client.v1.customers.retrieve(made.id)
    gone = client.v1.customers.delete(made.id)
    after = client.v1.customers.retrieve(made.id)

    assert changed.name == "Birch & Vale"
    assert plain(changed.metadata) == {"hub_health": "at_risk"}
    assert gone.deleted
    assert after.deleted
    assert client.v1.customers.list().data == []


def test_subscriptions_are_filtered_and_cancelled_ones_show_only_when_asked_for(
    box: StripeSandbox, client: stripe.StripeClient
):
    birch, elm = box.create_customer(name="Birch"), box.create_customer(name="Elm")
    kept, ended = box.subscribe(birch, amount=4900), box.subscribe(birch, amount=900)
    box.subscribe(elm, amount=100)

    cancelled = client.v1.subscriptions.cancel(
        ended, {"cancellation_details": {"feedback": "too_expensive", "comment": "Too much"}}
    )
    usual = client.v1.subscriptions.list({"customer": birch})
    every = client.v1.subscriptions.list({"customer": birch, "status": "all"})

    assert cancelled.status == "canceled"
    assert cancelled.cancellation_details is not None
    assert cancelled.cancellation_details.feedback == "too_expensive"
    assert [subscription.id for subscription in usual.data] == [kept]
    assert {subscription.id for subscription in every.data} == {kept, ended}


def test_a_planned_end_and_metadata_are_set_on_a_subscription(
    box: StripeSandbox, client: stripe.StripeClient
):
    subscription = box.subscribe(box.create_customer(), amount=4900)

    client.v1.subscriptions.update(
        subscription, {"cancel_at_period_end": True, "metadata": {"for": "Birch"}}
    )
    read = client.v1.subscriptions.retrieve(subscription)

    assert read.cancel_at_period_end
    assert plain(read.metadata) == {"for": "Birch"}
    assert read.items.data[0].price.unit_amount == 4900


def test_what_is_expanded_stands_in_the_place_of_its_id(
    box: StripeSandbox, client: stripe.StripeClient
):
    customer = box.create_customer(name="Birch & Vale")
    invoice = box.bill(box.subscribe(customer, amount=4900))
    box.fail_payment(invoice, "insufficient_funds")

    short = client.v1.invoices.retrieve(invoice)
    paths = ["customer", "payments.data.payment.payment_intent"]
    whole = client.v1.invoices.retrieve(invoice, {"expand": paths})

    assert short.customer == customer
    assert isinstance(whole.customer, stripe.Customer)
    assert whole.customer.name == "Birch & Vale"
    assert whole.payments is not None
    intent = whole.payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.decline_code == "insufficient_funds"
    tried = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert isinstance(tried.latest_charge, stripe.Charge)
    assert tried.latest_charge.status == "failed"


def test_expanding_in_a_list_and_too_deep_is_as_stripe_has_it(
    box: StripeSandbox, client: stripe.StripeClient
):
    box.bill(box.subscribe(box.create_customer(name="Birch"), amount=4900))

    listed = client.v1.invoices.list({"status": "open", "expand": ["data.customer"]})
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        client.v1.invoices.list({"expand": ["data.a.b.c.d"]})

    assert isinstance(listed.data[0].customer, stripe.Customer)


def test_an_invoice_is_paid_voided_and_given_up(box: StripeSandbox, client: stripe.StripeClient):
    subscription = box.subscribe(box.create_customer(), amount=4900)
    paid, void, lost = (box.bill(subscription) for _ in range(3))

    statuses = [
        client.v1.invoices.pay(paid).status,
        client.v1.invoices.void_invoice(void).status,
        client.v1.invoices.mark_uncollectible(lost).status,
    ]

    assert statuses == ["paid", "void", "uncollectible"]


def test_the_feed_is_filtered_by_type_and_time_and_tells_what_changed(
    box: StripeSandbox, clock: Any, client: stripe.StripeClient
):
    customer = box.create_customer(name="Birch")
    clock.passes(3600)
    since = int(clock.now().timestamp())
    box.update_customer(customer, name="Birch & Vale")
    box.subscribe(customer, amount=4900)

    asked: Any = {"types": ["customer.updated", "customer.created"], "created": {"gte": since}}
    events = client.v1.events.list(asked).data

    assert [event.type for event in events] == ["customer.updated"]
    assert events[0].data.object["name"] == "Birch & Vale"
    assert plain(events[0].data.previous_attributes) == {"name": "Birch"}


def test_charges_intents_payments_products_and_prices_are_listed_and_read(
    box: StripeSandbox, client: stripe.StripeClient
):
    customer = box.create_customer()
    invoice = box.bill(box.subscribe(customer, amount=4900))
    charge = box.fail_payment(invoice, "lost_card")

    tries = client.v1.charges.list({"customer": customer}).data
    intent = client.v1.payment_intents.list({"customer": customer}).data[0]
    payment = client.v1.invoice_payments.list({"invoice": invoice}).data[0]
    price = client.v1.prices.list({"active": True}).data[0]
    product = client.v1.products.retrieve(str(price.product))

    assert [one.id for one in tries] == [charge]
    assert tries[0].outcome is not None
    assert tries[0].outcome.advice_code == "do_not_try_again"
    assert payment.payment.payment_intent == intent.id
    assert client.v1.charges.retrieve(charge).payment_intent == intent.id
    assert product.active


def test_the_account_is_named(client: stripe.StripeClient):
    account = client.v1.accounts.retrieve_current()

    assert account.id == StripeSandbox.account


# --- errors, limits, idempotency ---------------------------------------------------------------


def test_what_is_not_there_is_told_with_code_and_parameter(client: stripe.StripeClient):
    with pytest.raises(stripe.InvalidRequestError) as told:
        client.v1.customers.retrieve("cus_nobody")

    assert (told.value.http_status, told.value.code, told.value.param) == (
        404, "resource_missing", "id",
    )  # fmt: skip
    assert told.value.request_id is not None


def test_an_unknown_parameter_is_refused_by_name(client: stripe.StripeClient):
    wrong: Any = {"health": "good"}

    with pytest.raises(stripe.InvalidRequestError) as told:
        client.v1.customers.create(wrong)

    assert (told.value.code, told.value.param) == ("parameter_unknown", "health")


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("_revoked", stripe.AuthenticationError),
        ("_expired", stripe.AuthenticationError),
        ("_noscope", stripe.PermissionError),
    ],
)
def test_a_bad_key_is_told_from_a_missing_permission(
    box: StripeSandbox,
    connect: Callable[..., stripe.StripeClient],
    ending: str,
    error: type[stripe.StripeError],
):
    client = connect(box.token + ending)

    with pytest.raises(error):
        client.v1.invoices.list()


def test_more_than_25_calls_a_second_are_refused_with_the_reason(
    box: StripeSandbox, clock: Any, client: stripe.StripeClient
):
    for _ in range(25):
        client.v1.customers.list()

    with pytest.raises(stripe.RateLimitError) as told:
        client.v1.customers.list()
    clock.passes(1)
    again = client.v1.customers.list()

    assert dict(told.value.headers or {})["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert again.data == []


def test_one_idempotency_key_makes_one_customer_and_refuses_other_parameters(
    box: StripeSandbox, client: stripe.StripeClient
):
    once: Any = {"idempotency_key": "welcome-birch"}

    first = client.v1.customers.create({"name": "Birch"}, once)
    second = client.v1.customers.create({"name": "Birch"}, once)
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "Elm"}, once)

    assert first.id == second.id
    assert len(box.objects["customer"]) == 1


@pytest.mark.parametrize("fault", ["lost_response", "applied_5xx"])
def test_the_clients_own_retry_of_a_lost_write_makes_one_customer(
    box: StripeSandbox, connect: Callable[..., stripe.StripeClient], fault: Any
):
    box.faults.add(Fault(fault, method="POST"))

    made = connect(retries=2).v1.customers.create({"name": "Birch"})

    assert list(box.objects["customer"]) == [made.id]
    assert len(box.calls) == 2
