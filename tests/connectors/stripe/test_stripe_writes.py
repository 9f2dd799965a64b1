"""Writing the status to Stripe and reading it back, over a real socket."""

from __future__ import annotations

import pytest

from connectors.stripe import Stripe
from connectors.stripe.sandbox import StripeSandbox
from hub import (
    DefineField,
    FieldSpec,
    Observed,
    RecordKey,
    ScopeMissing,
    SetFields,
    WriteRefused,
)

STATUS = {
    "hub_health": "at_risk",
    "hub_health_since": "2026-03-03",
    "hub_health_reason": "Two payments failed on 1 and 3 March 2026",
}


def setting(customer: str, **values: str | None) -> SetFields:
    key = RecordKey(vendor="stripe", vendor_account="acct_1", object="customers", id=customer)
    return SetFields(target=key, values=values)


def metadata(box: StripeSandbox, customer: str) -> dict[str, str]:
    held: dict[str, str] = box.objects["customer"][customer]["metadata"]
    return held


@pytest.fixture
def customer(box: StripeSandbox) -> str:
    return box.create_customer(name="Birch", metadata={"plan_code": "b2"})


def test_the_status_stands_in_the_customers_metadata_beside_the_teams_own_keys(
    box, stripe, customer
):
    receipt = stripe.set_fields(setting(customer, **STATUS))

    assert receipt.id == customer
    assert metadata(box, customer) == {"plan_code": "b2", **STATUS}


def test_a_cleared_field_leaves_the_customer(box, stripe, customer):
    stripe.set_fields(setting(customer, **STATUS))

    stripe.set_fields(setting(customer, hub_health_reason=None))

    assert "hub_health_reason" not in metadata(box, customer)
    assert metadata(box, customer)["hub_health"] == "at_risk"


@pytest.mark.parametrize("kind", ["lost_response", "applied_5xx", "reset", "rate_limited", "twice"])
def test_a_write_whose_answer_is_lost_is_repeated_and_sets_the_same(box, stripe, customer, kind):
    """R2: setting is idempotent, so a repetition makes nothing twice."""
    box.faults.at_write(1, kind)

    receipt = stripe.set_fields(setting(customer, **STATUS))

    assert receipt.id == customer
    assert metadata(box, customer) == {"plan_code": "b2", **STATUS}
    updates = [e for e in box.objects["event"].values() if e["type"] == "customer.updated"]
    assert len(updates) == 1


def test_setting_what_is_there_already_makes_no_event(box, stripe, customer):
    """R19: an echo of an unchanged value would start the next round."""
    stripe.set_fields(setting(customer, **STATUS))
    events = len(box.objects["event"])

    stripe.set_fields(setting(customer, **STATUS))

    assert len(box.objects["event"]) == events


def test_a_deleted_target_is_said_to_be_gone_after_one_call(box, stripe, customer):
    """R24."""
    box.delete_customer(customer)

    with pytest.raises(WriteRefused) as refused:
        stripe.set_fields(setting(customer, **STATUS))

    assert refused.value.code == "TARGET_GONE"
    assert len(box.writes()) == 1


def test_a_value_that_stripe_does_not_take_is_refused_and_not_repeated(box, stripe, customer):
    with pytest.raises(WriteRefused, match="500 characters"):
        stripe.set_fields(setting(customer, hub_health_reason="x" * 501))

    assert len(box.writes()) == 1


def test_a_key_that_may_only_read_names_the_permission(box, connect, customer):
    stripe = connect(f"{box.token}_noscope")

    with pytest.raises(ScopeMissing, match="Customers: write"):
        stripe.set_fields(setting(customer, **STATUS))


def test_metadata_needs_no_definition(box, stripe):
    spec = FieldSpec(name="hub_health", label="Health", kind="enumeration", help="Set by the hub")

    receipt = stripe.define_field(DefineField(object="customers", field=spec))
    (seen,) = stripe.observe_fields(["customers.hub_health"])

    assert receipt.id == "customers.hub_health"
    assert seen.exists
    assert list(box.calls) == []


def test_read_back_shows_what_stands_there_what_is_cleared_and_who_is_gone(box, stripe, customer):
    stripe.set_fields(setting(customer, hub_health="watch", hub_health_since="2026-03-03"))
    gone = box.create_customer(name="Vale")
    box.delete_customer(gone)

    seen = list(stripe.observe_customers([customer, gone]))

    assert seen == [
        Observed(customer, {
            "hub_health": "watch", "hub_health_since": "2026-03-03", "hub_health_reason": None,
        }),
        Observed(gone, {}, exists=False),
    ]  # fmt: skip


def test_many_customers_are_read_back_from_the_list(box, stripe):
    made = [box.create_customer(name=f"No. {n}") for n in range(250)]
    stripe.set_fields(setting(made[3], **STATUS))
    box.delete_customer(made[9])
    before = len(box.calls)

    seen = {each.id: each for each in stripe.observe_customers(made)}

    assert list(seen) == made
    assert seen[made[3]].values["hub_health"] == "at_risk"
    assert [id for id, each in seen.items() if not each.exists] == [made[9]]
    assert len(box.calls) - before == 4


def test_nothing_that_moves_money_can_be_asked_for(box, stripe, customer):
    stripe.set_fields(setting(customer, **STATUS))

    assert set(Stripe.writers) == {DefineField, SetFields}
    assert {(call.method, call.path) for call in box.writes()} == {
        ("POST", f"/v1/customers/{customer}")
    }
