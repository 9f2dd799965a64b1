"""What Stripe's rows mean in the hub's words: pure functions, one a stream.

They know two shapes of an invoice and a subscription: today's, and that of 2023 (VENDORS 3.1).
Only the paths in KEEPS are ever there, because the hub maps the row as it was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import wraps
from typing import Any, TypeVar

from pydantic import ValidationError

from hub import (
    Account,
    AccountRef,
    Ignored,
    Invoice,
    PaymentAttempt,
    Record,
    RecordRejected,
    Row,
    Subscription,
)

FOR_COMPANY = "for_hubspot_company"
"""Metadata of an agency's subscription: the HubSpot company ids it is for, parted by commas."""

DASHBOARD = "https://dashboard.stripe.com"

CUSTOMER_KEEPS = (
    "id", "object", "livemode", "created", "name", "business_name", "email", "address.country",
)  # fmt: skip

SUBSCRIPTION_KEEPS = (
    "id", "object", "livemode", "customer", "status", "currency", "start_date", "ended_at",
    "canceled_at", "cancel_at", "cancel_at_period_end", "cancellation_details.reason",
    "current_period_end", f"metadata.{FOR_COMPANY}",
    "items.has_more", "items.data.quantity", "items.data.current_period_end",
    "items.data.discounts.id",
    "items.data.price.id", "items.data.price.unit_amount", "items.data.price.unit_amount_decimal",
    "items.data.price.transform_quantity.divide_by", "items.data.price.transform_quantity.round",
    "items.data.price.recurring.interval", "items.data.price.recurring.interval_count",
    "items.data.price.recurring.usage_type",
    *(
        f"{coupon}.{part}"
        for coupon in ("discounts.source.coupon", "discounts.coupon", "discount.coupon")
        for part in ("duration", "percent_off", "amount_off")
    ),
)  # fmt: skip

INVOICE_KEEPS = (
    "id", "object", "customer", "number", "status", "currency", "total", "amount_remaining",
    "attempt_count", "next_payment_attempt", "created", "due_date", "hosted_invoice_url",
    "status_transitions.paid_at", "status_transitions.voided_at",
    "status_transitions.marked_uncollectible_at",
    "parent.subscription_details.subscription",
    f"parent.subscription_details.metadata.{FOR_COMPANY}",
    "payments.data.payment.payment_intent", "payments.data.payment.charge",
    "subscription", f"subscription_details.metadata.{FOR_COMPANY}", "payment_intent", "charge",
)  # fmt: skip

CHARGE_KEEPS = (
    "id", "object", "customer", "invoice", "payment_intent", "status", "amount", "currency",
    "created", "failure_code", "outcome.reason", "outcome.advice_code",
    "outcome.network_decline_code",
)  # fmt: skip

STATUSES = {
    "trialing": "trialing",
    "active": "active",
    "past_due": "past_due",
    "unpaid": "unpaid",
    "paused": "paused",
    "incomplete": "incomplete",
    "incomplete_expired": "ended",
    "canceled": "ended",
}

CLOSED_AT = {
    "paid": "paid_at",
    "void": "voided_at",
    "uncollectible": "marked_uncollectible_at",
}

# Where Stripe's smallest unit is not ISO 4217's: docs.stripe.com/currencies, "Special cases".
TO_ISO_MINOR = {"ISK": Decimal("0.01"), "UGX": Decimal("0.01"), "MGA": Decimal(100)}

R = TypeVar("R", bound=Record | Ignored)


def _says_why(to_record: Callable[[Row], R]) -> Callable[[Row], R]:
    """A value that does not fit sets the row aside and names the field, not the value."""

    @wraps(to_record)
    def mapped(row: Row) -> R:
        try:
            return to_record(row)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise _rejected(row, f"{field} does not fit: {first['msg']}") from error

    return mapped


@_says_why
def to_account(row: Row) -> Account:
    """One Stripe customer. Its e-mail is kept as it is; a domain is never guessed from it."""
    return Account(
        id=_text(row, "id"),
        url=_dashboard(row, "customers"),
        name=row.get("name") or row.get("business_name"),
        email=row.get("email"),
        country=_at(row, "address.country"),
        created_at=_instant(row, "created"),
    )


@_says_why
def to_subscription(row: Row) -> Subscription:
    """One Stripe subscription; the hub's `ended` covers canceled and never properly begun."""
    status = _text(row, "status")
    if status not in STATUSES:
        raise _rejected(row, f"status {status!r} is not one the hub knows")
    items = _list(row, "items.data")
    period = _period(items)
    period_ends_at = _period_end(row, items)
    ends_at = _instant(row, "cancel_at")
    if ends_at is None and row.get("cancel_at_period_end"):
        ends_at = period_ends_at
    ended_at = _instant(row, "ended_at")
    if ended_at is None and STATUSES[status] == "ended":
        ended_at = _instant(row, "canceled_at")
    return Subscription.model_validate(
        {
            "id": _text(row, "id"),
            "url": _dashboard(row, "subscriptions"),
            "account": _customer(row),
            "status": STATUSES[status],
            "pays_for": _pays_for(_at(row, "metadata")),
            "amount_minor": _amount_per_period(row, items) if period else None,
            "currency": _text(row, "currency").upper(),
            "interval": period[0] if period else None,
            "interval_count": period[1] if period else 1,
            "started_at": _instant(row, "start_date"),
            "ends_at": ends_at,
            "ended_at": ended_at,
            "period_ends_at": period_ends_at,
            "end_reason": _at(row, "cancellation_details.reason"),
        }
    )


@_says_why
def to_invoice(row: Row) -> Invoice:
    """One Stripe invoice. A failed payment leaves it `open`: only the attempts tell."""
    currency = _text(row, "currency").upper()
    status = _text(row, "status")
    closing = CLOSED_AT.get(status)
    details = _at(row, "parent.subscription_details") or {}
    subscription = _id_of(details.get("subscription")) or _id_of(row.get("subscription"))
    metadata = details.get("metadata") or _at(row, "subscription_details.metadata")
    return Invoice.model_validate(
        {
            "id": _text(row, "id"),
            "url": row.get("hosted_invoice_url"),
            "account": _customer(row),
            "subscription_id": subscription,
            "pays_for": _pays_for(metadata),
            "number": row.get("number"),
            "status": status,
            "total_minor": _minor(row, "total", currency),
            "remaining_minor": _minor(row, "amount_remaining", currency),
            "currency": currency,
            "attempt_count": row.get("attempt_count") or 0,
            "next_attempt_at": _instant(row, "next_payment_attempt"),
            "due_at": _instant(row, "due_date"),
            "paid_at": _instant(row, "status_transitions.paid_at"),
            "closed_at": _instant(row, f"status_transitions.{closing}") if closing else None,
            "payment_refs": tuple(dict.fromkeys(_payment_refs(row))),
            "created_at": _instant(row, "created"),
        }
    )


@_says_why
def to_attempt(row: Row) -> PaymentAttempt | Ignored:
    """One Stripe charge, which is one try to take money; a pending one has no outcome yet."""
    status = _text(row, "status")
    if status == "pending":
        return Ignored(why="the payment is still under way")
    if status not in ("succeeded", "failed"):
        raise _rejected(row, f"status {status!r} is not one the hub knows")
    currency = _text(row, "currency").upper()
    outcome = row.get("outcome") or {} if status == "failed" else {}
    decline = outcome.get("reason") or row.get("failure_code")
    customer = _id_of(row.get("customer"))
    return PaymentAttempt.model_validate(
        {
            "id": _text(row, "id"),
            "account": AccountRef(id=customer) if customer else None,
            "invoice_id": _id_of(row.get("invoice")),
            "payment_ref": _id_of(row.get("payment_intent")) or _text(row, "id"),
            "succeeded": status == "succeeded",
            "amount_minor": _minor(row, "amount", currency),
            "currency": currency,
            "decline_code": decline if status == "failed" else None,
            "advice_code": outcome.get("advice_code"),
            "network_decline_code": outcome.get("network_decline_code"),
            "attempted_at": _instant(row, "created"),
        }
    )


# --- money ------------------------------------------------------------------------------------


def _amount_per_period(row: Row, items: list[Row]) -> int | None:
    """What one period costs after discounts; None when a part of it cannot be known.

    Metered items are left out, since what they will cost is not agreed; tiered prices have no
    single amount; a discount on one item has a coupon too deep to expand (four levels).
    """
    agreed = [item for item in items if not _is_metered(item)]
    if not agreed or _at(row, "items.has_more") or any(item.get("discounts") for item in agreed):
        return None
    amounts = [_item_amount(row, item) for item in agreed]
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return None
    amount: Decimal | None = sum(known, Decimal(0))
    for discount in [*_list(row, "discounts"), *([row["discount"]] if row.get("discount") else [])]:
        amount = _discounted(amount, discount)
    return None if amount is None else _iso_minor(amount, _text(row, "currency").upper())


def _item_amount(row: Row, item: Row) -> Decimal | None:
    price = item.get("price") or {}
    each = price.get("unit_amount_decimal")
    if each is None:
        each = price.get("unit_amount")
    if each is None:
        return None
    quantity = Decimal(item["quantity"] if item.get("quantity") is not None else 1)
    if packs := price.get("transform_quantity"):
        up = packs.get("round") == "up"
        packed = quantity / Decimal(packs.get("divide_by") or 1)
        quantity = packed.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    try:
        return Decimal(str(each)) * quantity
    except ArithmeticError as error:
        raise _rejected(row, "items.data.price.unit_amount_decimal is not a number") from error


def _discounted(amount: Decimal | None, discount: object) -> Decimal | None:
    """The amount after one discount. A coupon that works only once changes no later period."""
    coupon = None
    if isinstance(discount, Mapping):
        coupon = discount.get("coupon") or _at(discount, "source.coupon")
    if amount is None or not isinstance(coupon, Mapping):
        return None
    if coupon.get("duration") == "once":
        return amount
    if coupon.get("percent_off") is not None:
        return amount * (100 - Decimal(str(coupon["percent_off"]))) / 100
    return max(amount - Decimal(coupon.get("amount_off") or 0), Decimal(0))


def _minor(row: Row, path: str, currency: str) -> int:
    value = _needed(row, path)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _rejected(row, f"{path} is not a whole number")
    return _iso_minor(Decimal(value), currency)


def _iso_minor(amount: Decimal, currency: str) -> int:
    return int((amount * TO_ISO_MINOR.get(currency, 1)).to_integral_value(ROUND_HALF_UP))


# --- periods ----------------------------------------------------------------------------------


def _is_metered(item: Row) -> bool:
    return bool(_at(item, "price.recurring.usage_type") == "metered")


def _period(items: list[Row]) -> tuple[str, int] | None:
    """The one period that all items share; None when they differ or there are none."""
    periods = {
        (_at(item, "price.recurring.interval"), _at(item, "price.recurring.interval_count") or 1)
        for item in items
    }
    if len(periods) != 1:
        return None
    interval, count = periods.pop()
    return (interval, count) if interval else None


def _period_end(row: Row, items: list[Row]) -> datetime | None:
    """The next end of a period: on the items today, on the subscription before 2025."""
    ends = [end for item in items if (end := _instant(item, "current_period_end")) is not None]
    return min(ends) if ends else _instant(row, "current_period_end")


# --- who and what -----------------------------------------------------------------------------


def _customer(row: Row) -> AccountRef:
    customer = _id_of(row.get("customer"))
    if customer is None:
        raise _rejected(row, "customer is missing")
    return AccountRef(id=customer)


def _pays_for(metadata: Any) -> tuple[AccountRef, ...]:
    companies = str((metadata or {}).get(FOR_COMPANY) or "").split(",")
    return tuple(
        AccountRef(vendor="hubspot", external_id=company.strip())
        for company in companies
        if company.strip()
    )


def _payment_refs(row: Row) -> Iterator[str]:
    """Ids by which charges name this invoice: each payment's intent, or its charge without one."""
    payments = [payment.get("payment") or {} for payment in _list(row, "payments.data")]
    for source in [*payments, row]:
        for name in ("payment_intent", "charge"):
            if (found := _id_of(source.get(name))) is not None:
                yield found


def _dashboard(row: Row, page: str) -> str:
    mode = "" if row.get("livemode", True) else "/test"
    return f"{DASHBOARD}{mode}/{page}/{row['id']}"


# --- reading a row ----------------------------------------------------------------------------


def _at(row: Row, path: str) -> Any:
    """The value at a dotted path, None when any part of it is absent."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _list(row: Row, path: str) -> list[Any]:
    value = _at(row, path)
    return value if isinstance(value, list) else []


def _needed(row: Row, path: str) -> Any:
    value = _at(row, path)
    if value is None:
        raise _rejected(row, f"{path} is missing")
    return value


def _text(row: Row, path: str) -> str:
    value = _needed(row, path)
    if not isinstance(value, str):
        raise _rejected(row, f"{path} is not text")
    return value


def _instant(row: Row, path: str) -> datetime | None:
    value = _at(row, path)
    if value is None:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise _rejected(row, f"{path} is not a time in seconds") from error


def _id_of(value: Any) -> str | None:
    """The id of something that Stripe gives as an id or, expanded, as the object."""
    found = value.get("id") if isinstance(value, Mapping) else value
    return str(found) if found else None


def _rejected(row: Row, what: str) -> RecordRejected:
    return RecordRejected(f"Stripe {row.get('object', 'object')} {row.get('id')}: {what}")
