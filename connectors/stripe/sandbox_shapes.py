"""Stripe's objects as its API of 2026-10-28.endive shows them, built from a few plain values.

Expandable fields hold ids, as Stripe stores them; `sandbox_lists` puts objects in their place.
Times are epoch seconds, money is in Stripe's smallest unit with a small currency code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Obj: TypeAlias = dict[str, Any]

CODES_OF_THEIR_OWN = frozenset(
    {"expired_card", "incorrect_cvc", "incorrect_number", "processing_error",
     "authentication_required"}
)  # fmt: skip
"""Decline codes that Stripe also gives as the error's `code`; all others are `card_declined`."""

NETWORK_CODES = {
    "do_not_honor": "05", "insufficient_funds": "51", "expired_card": "54", "lost_card": "41",
    "stolen_card": "43", "generic_decline": "05", "transaction_not_allowed": "57",
}  # fmt: skip

NEVER_AGAIN = frozenset(
    {"lost_card", "stolen_card", "pickup_card", "revocation_of_authorization", "expired_card"}
)


def customer(
    id: str,
    created: int,
    *,
    name: str | None = None,
    email: str | None = None,
    country: str | None = None,
    description: str | None = None,
    phone: str | None = None,
    metadata: Mapping[str, str] | None = None,
    currency: str | None = None,
) -> Obj:
    """A customer; `delinquent` follows the latest invoice."""
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {
        "id": id,
        "object": "customer",
        "address": address | {"country": country} if country else None,
        "balance": 0,
        "created": created,
        "currency": currency,
        "default_source": None,
        "delinquent": False,
        "description": description,
        "discount": None,
        "email": email,
        "invoice_prefix": id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": dict(metadata or {}),
        "name": name,
        "next_invoice_sequence": 1,
        "phone": phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def deleted(kind: str, id: str) -> Obj:
    """What is left of a deleted object."""
    return {"id": id, "object": kind, "deleted": True}


def product(id: str, created: int, name: str) -> Obj:
    """What is sold."""
    return {
        "id": id,
        "object": "product",
        "active": True,
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "metadata": {},
        "name": name,
        "type": "service",
        "updated": created,
        "url": None,
    }


def price(
    id: str,
    created: int,
    *,
    product: str,
    unit_amount: int | None,
    currency: str,
    interval: str,
    interval_count: int = 1,
    usage_type: str = "licensed",
) -> Obj:
    """What one unit costs a period; `unit_amount` None stands for tiers."""
    return {
        "id": id,
        "object": "price",
        "active": True,
        "billing_scheme": "tiered" if unit_amount is None else "per_unit",
        "created": created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product,
        "recurring": {
            "interval": interval,
            "interval_count": interval_count,
            "meter": None,
            "trial_period_days": None,
            "usage_type": usage_type,
        },
        "tax_behavior": "unspecified",
        "tiers_mode": "graduated" if unit_amount is None else None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": unit_amount,
        "unit_amount_decimal": None if unit_amount is None else str(unit_amount),
    }


def coupon(
    id: str,
    created: int,
    *,
    percent_off: float | None = None,
    amount_off: int | None = None,
    currency: str | None = None,
    duration: str = "forever",
) -> Obj:
    """A discount that can be given, in percent or as an amount."""
    return {
        "id": id,
        "object": "coupon",
        "amount_off": amount_off,
        "created": created,
        "currency": currency if amount_off is not None else None,
        "duration": duration,
        "duration_in_months": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": percent_off,
        "redeem_by": None,
        "times_redeemed": 1,
        "valid": True,
    }


def discount(id: str, start: int, *, coupon: str, customer: str, subscription: str) -> Obj:
    """A coupon as it was given to one subscription."""
    return {
        "id": id,
        "object": "discount",
        "checkout_session": None,
        "customer": customer,
        "end": None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": coupon, "type": "coupon"},
        "start": start,
        "subscription": subscription,
        "subscription_item": None,
    }


def subscription_item(
    id: str, *, subscription: str, price: Obj, quantity: int | None, period: tuple[int, int]
) -> Obj:
    """One line of a subscription; since 2025 the period stands here."""
    return {
        "id": id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": period[0],
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": {},
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def subscription(
    id: str,
    created: int,
    *,
    customer: str,
    items: Sequence[Obj],
    status: str,
    currency: str,
    metadata: Mapping[str, str] | None = None,
    cancel_at: int | None = None,
    ended_at: int | None = None,
    end_reason: str | None = None,
    trial_end: int | None = None,
    paused_for: str | None = None,
) -> Obj:
    """A subscription. `paused_for` is Stripe's word for why it is paused."""
    return {
        "id": id,
        "object": "subscription",
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": created,
        "billing_mode": {"type": "flexible", "flexible": None},
        "cancel_at": cancel_at,
        "cancel_at_period_end": False,
        "canceled_at": ended_at,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": end_reason or ("cancellation_requested" if cancel_at else None),
        },
        "collection_method": "charge_automatically",
        "created": created,
        "currency": currency,
        "customer": customer,
        "days_until_due": None,
        "default_payment_method": None,
        "description": None,
        "discounts": [],
        "ended_at": ended_at,
        "items": _all_of(items, f"/v1/subscription_items?subscription={id}"),
        "latest_invoice": None,
        "livemode": False,
        "metadata": dict(metadata or {}),
        "pause_collection": None,
        "schedule": None,
        "start_date": created,
        "status": status,
        "status_details": _paused(created, paused_for) if paused_for else None,
        "test_clock": None,
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        "trial_start": created if trial_end else None,
    }


def _paused(since: int, why: str) -> Obj:
    what = {"subscription": {"type": why}, "transitioned_at": since, "type": "subscription"}
    return {"paused": what}


def _all_of(data: Sequence[Obj], url: str) -> Obj:
    return {"object": "list", "data": list(data), "has_more": False, "url": url}


def invoice(
    id: str,
    created: int,
    *,
    subscription: Obj,
    number: str | None,
    total: int,
    remaining: int,
    status: str,
    attempt_count: int = 0,
    next_payment_attempt: int | None = None,
    due_date: int | None = None,
    closed_at: int | None = None,
    base_url: str = "https://invoice.stripe.com",
) -> Obj:
    """A bill of a subscription; the metadata beside its id is a snapshot of that moment."""
    return {
        "id": id,
        "object": "invoice",
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": total - remaining if status in ("open", "paid", "uncollectible") else 0,
        "amount_remaining": remaining,
        "amount_shipping": 0,
        "attempt_count": attempt_count,
        "attempted": attempt_count > 0 or status == "paid",
        "auto_advance": status in ("draft", "open"),
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": created,
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "customer_email": None,
        "customer_name": None,
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": due_date,
        "hosted_invoice_url": None if status == "draft" else f"{base_url}/i/{id}",
        "invoice_pdf": None,
        "last_finalization_error": None,
        "lines": _all_of([], f"/v1/invoices/{id}/lines"),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": next_payment_attempt,
        "number": number,
        "parent": _parent(subscription),
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": created,
        "period_start": created,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status": status,
        "status_transitions": _moments(status, created, closed_at or created),
        "subtotal": total,
        "test_clock": None,
        "total": total,
    }


def _moments(status: str, created: int, closed_at: int) -> Obj:
    return {
        "finalized_at": None if status == "draft" else created,
        "marked_uncollectible_at": closed_at if status == "uncollectible" else None,
        "paid_at": closed_at if status == "paid" else None,
        "voided_at": closed_at if status == "void" else None,
    }


def _parent(subscription: Obj) -> Obj:
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {
        "quote_details": None,
        "subscription_details": details,
        "type": "subscription_details",
    }


def payment_intent(id: str, created: int, *, invoice: Obj) -> Obj:
    """The one payment that all tries for an invoice belong to."""
    return {
        "id": id,
        "object": "payment_intent",
        "amount": invoice["amount_due"],
        "amount_received": 0,
        "canceled_at": None,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "created": created,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "payment_method": None,
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
    }


def invoice_payment(id: str, created: int, *, invoice: Obj, payment_intent: str) -> Obj:
    """The link between an invoice and its payment; only `expand[]=payments` shows it there."""
    is_paid = invoice["status"] == "paid"
    return {
        "id": id,
        "object": "invoice_payment",
        "amount_paid": invoice["amount_paid"] if is_paid else None,
        "amount_requested": invoice["amount_due"],
        "created": created,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": payment_intent, "type": "payment_intent"},
        "status": "paid" if is_paid else "open",
        "status_transitions": {
            "canceled_at": None,
            "paid_at": invoice["status_transitions"]["paid_at"],
        },
    }


def charge(
    id: str,
    created: int,
    *,
    intent: Obj,
    decline_code: str | None = None,
    advice_code: str | None = None,
) -> Obj:
    """One try to take an intent's money; without a decline code it succeeded."""
    failed = decline_code is not None
    if failed and advice_code is None:
        advice_code = "do_not_try_again" if decline_code in NEVER_AGAIN else "try_again_later"
    code = decline_code if decline_code in CODES_OF_THEIR_OWN else "card_declined"
    return {
        "id": id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0 if failed else intent["amount"],
        "amount_refunded": 0,
        "billing_details": dict.fromkeys(("address", "email", "name", "phone", "tax_id")),
        "captured": not failed,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": None,
        "disputed": False,
        "failure_code": code if failed else None,
        "failure_message": "Your card was declined." if failed else None,
        "livemode": False,
        "metadata": {},
        "outcome": {
            "advice_code": advice_code,
            "network_advice_code": None,
            "network_decline_code": NETWORK_CODES.get(decline_code or ""),
            "network_status": "declined_by_network" if failed else "approved_by_network",
            "reason": decline_code,
            "risk_level": "normal",
            "seller_message": "The bank declined the payment." if failed else "Payment complete.",
            "type": "issuer_declined" if failed else "authorized",
        },
        "paid": not failed,
        "payment_intent": intent["id"],
        "payment_method": None,
        "refunded": False,
        "status": "failed" if failed else "succeeded",
    }


def payment_error(charge: Obj) -> Obj:
    """A declined charge as the error that Stripe gives for it."""
    return {
        "type": "card_error",
        "code": charge["failure_code"],
        "decline_code": charge["outcome"]["reason"],
        "advice_code": charge["outcome"]["advice_code"],
        "charge": charge["id"],
        "message": charge["failure_message"],
    }


def event(
    id: str,
    created: int,
    kind: str,
    obj: Obj,
    *,
    previous: Obj | None = None,
    request: str | None = None,
    key: str | None = None,
    version: str,
) -> Obj:
    """News of one object, which is shown as it was at that moment."""
    data: Obj = {"object": obj}
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": id,
        "object": "event",
        "api_version": version,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": request, "idempotency_key": key},
        "type": kind,
    }
