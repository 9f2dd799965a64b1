"""The stand-in behaves as Stripe does, seen by a plain HTTP client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from connectors.stripe.sandbox import StripeSandbox
from connectors.stripe.sandbox_world import record_id


@pytest.fixture
def http(box: StripeSandbox) -> Iterator[httpx.Client]:
    box.limits = False
    headers = {"Authorization": f"Bearer {box.token}"}
    with httpx.Client(base_url=box.url, headers=headers) as client:
        yield client


def ids(answer: httpx.Response) -> list[str]:
    return [row["id"] for row in answer.json()["data"]]


def error(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found


def event_types(http: httpx.Client) -> list[str]:
    """Oldest first."""
    events = http.get("/v1/events", params={"limit": 100}).json()["data"]
    return [event["type"] for event in reversed(events)]


def test_lists_come_newest_first_and_page_by_the_last_id(box, http):
    made = [box.create_customer(name=f"No. {n}") for n in range(5)]

    first = http.get("/v1/customers", params={"limit": 2})
    second = http.get("/v1/customers", params={"limit": 2, "starting_after": ids(first)[-1]})
    back = http.get("/v1/customers", params={"limit": 1, "ending_before": ids(second)[0]})

    assert ids(first) == [made[4], made[3]]
    assert ids(second) == [made[2], made[1]]
    assert ids(back) == [made[3]]
    assert (first.json()["has_more"], back.json()["has_more"]) == (True, True)


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"limit": "101"}, "parameter_invalid_integer", "limit"),
        ({"limit": "many"}, "parameter_invalid_integer", "limit"),
        ({"starting_after": "cus_none"}, "resource_missing", "starting_after"),
        ({"updated[gte]": "1"}, "parameter_unknown", "updated"),
    ],
)
def test_wrong_parameters_are_refused_in_stripes_words(http, params, code, param):
    answer = http.get("/v1/customers", params=params)

    assert answer.status_code == 400
    assert (error(answer)["code"], error(answer)["param"]) == (code, param)
    assert error(answer)["type"] == "invalid_request_error"
    assert answer.headers["request-id"].startswith("req_")


def test_lists_are_filtered_by_creation_time(box, http, clock):
    box.create_customer(name="Early")
    clock.sleep(60)
    late = box.create_customer(name="Late")
    since = int(clock.now().timestamp())

    answer = http.get("/v1/customers", params={"created[gte]": since})

    assert ids(answer) == [late]


def test_cancelled_subscriptions_show_only_when_asked_for(box, http):
    customer = box.create_customer(name="Birch")
    running = box.subscribe(customer, amount=4900)
    over = box.subscribe(customer, amount=4900)
    box.cancel(over, "payment_failed")

    plain = http.get("/v1/subscriptions")
    everything = http.get("/v1/subscriptions", params={"status": "all"})
    ended = http.get("/v1/subscriptions", params={"status": "ended"})

    assert ids(plain) == [running]
    assert ids(everything) == [over, running]
    assert ids(ended) == [over]


def test_invoices_are_filtered_by_status_and_subscription(box, http):
    subscription = box.subscribe(box.create_customer(name="Birch"), amount=4900)
    paid, unpaid = box.bill(subscription), box.bill(subscription)
    box.pay(paid)

    open_ones = http.get("/v1/invoices", params={"status": "open"})
    all_of_it = http.get("/v1/invoices", params={"subscription": subscription})

    assert ids(open_ones) == [unpaid]
    assert set(ids(all_of_it)) == {paid, unpaid}


def test_expanding_puts_objects_in_the_place_of_ids(box, http):
    customer = box.create_customer(name="Birch")
    invoice = box.bill(box.subscribe(customer, amount=4900))
    box.fail_payment(invoice, "insufficient_funds")

    plain = http.get(f"/v1/invoices/{invoice}").json()
    shown = http.get(
        f"/v1/invoices/{invoice}",
        params={"expand[]": ["customer", "payments.data.payment.payment_intent"]},
    ).json()

    assert plain["customer"] == customer
    assert "payments" not in plain
    assert shown["customer"]["name"] == "Birch"
    intent = shown["payments"]["data"][0]["payment"]["payment_intent"]
    assert intent["last_payment_error"]["decline_code"] == "insufficient_funds"


@pytest.mark.parametrize("path", ["data.name", "data.a.b.c.d"])
def test_what_cannot_be_expanded_is_refused(box, http, path):
    box.create_customer(name="Birch")

    answer = http.get("/v1/customers", params={"expand[]": path})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        ("{good}_revoked", 401, None),
        ("{good}_expired", 401, "api_key_expired"),
        ("sk_x", 401, None),
    ],
)
def test_only_the_printed_key_is_accepted(box, http, key, status, code):
    headers = {"Authorization": f"Bearer {key.format(good=box.token)}"}

    answer = http.get("/v1/customers", headers=headers)

    assert (answer.status_code, error(answer).get("code")) == (status, code)


def test_the_key_is_also_taken_as_a_user_name(box, http):
    answer = httpx.get(f"{box.url}/v1/customers", auth=(box.token, ""))

    assert answer.status_code == 200


def test_a_missing_permission_is_named(box, http):
    headers = {"Authorization": f"Bearer {box.token}_noscope"}

    answer = http.get("/v1/invoices", headers=headers)

    assert answer.status_code == 403
    assert "'rak_invoice_read'" in error(answer)["message"]


def test_the_26th_call_of_a_second_is_refused_without_retry_after(box, http, clock):
    box.limits = True

    statuses = [http.get("/v1/customers").status_code for _ in range(26)]
    refused = http.get("/v1/customers")
    clock.sleep(1)
    later = http.get("/v1/customers")

    assert statuses == [200] * 25 + [429]
    assert refused.headers["stripe-rate-limited-reason"] == "global-rate"
    assert "retry-after" not in refused.headers
    assert later.status_code == 200


def test_metadata_is_merged_and_an_empty_value_takes_a_key_out(box, http):
    customer = box.create_customer(name="Birch", metadata={"mine": "1", "old": "2"})

    form = {"metadata[hub_health]": "watch", "metadata[old]": ""}
    answer = http.post(f"/v1/customers/{customer}", data=form)

    assert answer.json()["metadata"] == {"mine": "1", "hub_health": "watch"}


@pytest.mark.parametrize(
    "form",
    [
        {f"metadata[{'k' * 41}]": "v"},
        {"metadata[a[b]]": "v"},
        {"metadata[k]": "v" * 501},
        {f"metadata[k{n}]": "v" for n in range(51)},
        {"email": "not an address"},
        {"hub_health": "watch"},
    ],
    ids=["key length", "brackets", "value length", "number of keys", "email", "unknown"],
)
def test_forms_outside_stripes_limits_are_refused_and_change_nothing(box, http, form):
    customer = box.create_customer(name="Birch", metadata={"mine": "1"})

    answer = http.post(f"/v1/customers/{customer}", data=form)

    assert answer.status_code == 400
    assert http.get(f"/v1/customers/{customer}").json()["metadata"] == {"mine": "1"}


def test_a_subscriptions_metadata_and_planned_end_can_be_set(box, http):
    subscription = box.subscribe(box.create_customer(name="Birch"), amount=4900)

    form = {"metadata[for_hubspot_company]": "9001", "cancel_at_period_end": "true"}
    answer = http.post(f"/v1/subscriptions/{subscription}", data=form)

    assert answer.json()["metadata"] == {"for_hubspot_company": "9001"}
    assert answer.json()["cancel_at_period_end"] is True
    assert event_types(http)[-1] == "customer.subscription.updated"


def test_a_key_replays_its_answer_and_refuses_other_parameters(box, http):
    key = {"Idempotency-Key": "k1"}

    first = http.post("/v1/customers", data={"name": "Birch"}, headers=key)
    again = http.post("/v1/customers", data={"name": "Birch"}, headers=key)
    other = http.post("/v1/customers", data={"name": "Vale"}, headers=key)

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, error(other)["type"]) == (400, "idempotency_error")
    assert len(ids(http.get("/v1/customers"))) == 1


def test_a_refused_request_leaves_its_key_free(box, http):
    key = {"Idempotency-Key": "k1"}

    refused = http.post("/v1/customers", data={"email": "no"}, headers=key)
    accepted = http.post("/v1/customers", data={"email": "a@birch.example"}, headers=key)

    assert (refused.status_code, accepted.status_code) == (400, 200)


def test_a_failed_payment_leaves_the_invoice_open_and_tells_the_events(box, http):
    customer = box.create_customer(name="Birch")
    subscription = box.subscribe(customer, amount=4900)
    invoice = box.bill(subscription)
    before = len(event_types(http))

    box.fail_payment(invoice, "expired_card")

    shown = http.get(f"/v1/invoices/{invoice}").json()
    assert (shown["status"], shown["attempt_count"], shown["attempted"]) == ("open", 1, True)
    assert http.get(f"/v1/subscriptions/{subscription}").json()["status"] == "past_due"
    assert http.get(f"/v1/customers/{customer}").json()["delinquent"] is True
    charge = http.get("/v1/charges").json()["data"][0]
    assert (charge["failure_code"], charge["outcome"]["advice_code"]) == (
        "expired_card",
        "do_not_try_again",
    )
    assert event_types(http)[before:] == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.updated",
        "invoice.payment_failed",
        "customer.subscription.updated",
        "customer.updated",
    ]


def test_a_payment_closes_the_invoice_and_heals_the_subscription(box, http):
    subscription = box.subscribe(box.create_customer(name="Birch"), amount=4900)
    invoice = box.bill(subscription)
    box.fail_payment(invoice)

    box.pay(invoice)

    shown = http.get(f"/v1/invoices/{invoice}").json()
    assert (shown["status"], shown["amount_remaining"]) == ("paid", 0)
    assert shown["status_transitions"]["paid_at"]
    assert http.get(f"/v1/subscriptions/{subscription}").json()["status"] == "active"
    assert "invoice.paid" in event_types(http)


def test_deleting_a_customer_ends_its_subscriptions_and_leaves_a_stub(box, http):
    customer = box.create_customer(name="Birch")
    subscription = box.subscribe(customer, amount=4900)

    http.delete(f"/v1/customers/{customer}")

    stub = http.get(f"/v1/customers/{customer}")
    assert (stub.status_code, stub.json()["deleted"]) == (200, True)
    assert ids(http.get("/v1/customers")) == []
    assert http.get(f"/v1/subscriptions/{subscription}").json()["status"] == "canceled"
    assert event_types(http)[-2:] == ["customer.subscription.deleted", "customer.deleted"]


def test_only_a_draft_invoice_can_be_deleted(box, http):
    subscription = box.subscribe(box.create_customer(name="Birch"), amount=4900)
    draft, sent = box.bill(subscription, status="draft"), box.bill(subscription)

    deleted = http.delete(f"/v1/invoices/{draft}")
    refused = http.delete(f"/v1/invoices/{sent}")

    assert (deleted.status_code, refused.status_code) == (200, 400)
    assert http.get(f"/v1/invoices/{draft}").status_code == 404


def test_events_tell_what_changed_and_are_gone_after_30_days(box, http, clock):
    customer = box.create_customer(name="Birch", metadata={"hub_health": "watch"})
    box.update_customer(customer, metadata={"hub_health": "at_risk"})

    newest = http.get("/v1/events", params={"types[]": ["customer.updated"]}).json()["data"][0]
    clock.sleep(timedelta(days=31).total_seconds())
    later = http.get("/v1/events")

    assert newest["data"]["object"]["metadata"] == {"hub_health": "at_risk"}
    assert newest["data"]["previous_attributes"] == {"metadata": {"hub_health": "watch"}}
    assert newest["api_version"] == "2026-10-28.endive"
    assert ids(later) == []


def test_events_may_be_asked_for_by_a_group_of_types(box, http):
    box.subscribe(box.create_customer(name="Birch"), amount=4900)

    answer = http.get("/v1/events", params={"type": "customer.subscription.*"})

    assert [e["type"] for e in answer.json()["data"]] == ["customer.subscription.created"]


def test_an_unknown_address_is_answered_in_stripes_shape(http):
    answer = http.get("/v1/nothing")

    assert answer.status_code == 404
    assert "Unrecognized request URL" in error(answer)["message"]


def test_the_state_survives_a_restart(box, http, clock):
    customer = box.create_customer(name="Birch")
    http.post(f"/v1/customers/{customer}", data={"name": "Vale"}, headers={"Idempotency-Key": "k"})
    other = StripeSandbox(clock=clock.now)

    other.restore(box.state())

    assert other.state() == box.state()
    assert other.objects["customer"][customer]["name"] == "Vale"


def test_people_see_the_customer_with_its_status_and_open_bills(box, http):
    customer = box.create_customer(
        name="Birch & Vale",
        metadata={"hub_health": "at_risk", "hub_health_reason": "Two payments failed"},
    )
    box.bill(box.subscribe(customer, amount=4900))

    page = http.get(f"/record/customers/{customer}").text

    assert "Birch &amp; Vale" in page
    assert "Two payments failed" in page
    assert "4900 eur" in page


def test_ids_of_the_world_are_the_same_everywhere():
    assert record_id("customers", "c012") == "cus_0000000012"
    assert record_id("invoices", "i1") == record_id("invoices", "i1")
    assert record_id("invoices", "i1") != record_id("invoices", "i2")
