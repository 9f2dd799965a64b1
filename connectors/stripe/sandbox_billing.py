"""What happens inside the stand-in: customers, subscriptions and invoices change, events tell.

No HTTP here. Each change is one that Stripe makes, with the events that Stripe sends for it; the
methods without an underscore are also the handles by which tests and simulations move the world.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from . import sandbox_shapes as shapes
from .sandbox_lists import BadRequest, missing
from .sandbox_shapes import Obj

KINDS = (
    "customer", "subscription", "invoice", "invoice_payment", "payment_intent", "charge",
    "product", "price", "coupon", "discount", "event",
)  # fmt: skip

EVENT_DAYS = 30
RETRY_AFTER_S = 3 * 86_400
LIVE = ("active", "past_due", "trialing", "unpaid", "incomplete", "paused")


class Billing:
    """Stripe's objects by kind and id, and everything that can happen to them."""

    clock: Callable[[], datetime]
    version: str

    def begin_billing(self) -> None:
        """Start with no objects."""
        self.objects: dict[str, dict[str, Obj]] = {kind: {} for kind in KINDS}
        self.minted = 0
        self.cause: tuple[str | None, str | None] = (None, None)

    # --- handles for tests and simulations ------------------------------------------------------

    def create_customer(self, **fields: Any) -> str:
        """A new customer; its id."""
        made = shapes.customer(self._new("cus"), self._seconds(), **fields)
        self.objects["customer"][made["id"]] = made
        self._emit("customer.created", made)
        return str(made["id"])

    def update_customer(
        self, customer: str, *, metadata: Mapping[str, str | None] | None = None, **fields: Any
    ) -> None:
        """Set fields of a customer; metadata is merged, and None or "" takes a key out."""
        held = self.held("customer", customer)
        with_metadata = dict(fields)
        if metadata is not None:
            merged = {**held["metadata"], **{k: v for k, v in metadata.items() if v}}
            gone = {key for key, value in metadata.items() if not value}
            with_metadata["metadata"] = {k: v for k, v in merged.items() if k not in gone}
        self._change(held, "customer.updated", with_metadata)

    def delete_customer(self, customer: str) -> Obj:
        """Delete a customer: its subscriptions end at once, a stub stays behind."""
        held = self.held("customer", customer)
        for subscription in self._subscriptions_of(customer):
            self.cancel(subscription["id"])
        stub = shapes.deleted("customer", customer)
        self._emit("customer.deleted", held)
        self.objects["customer"][customer] = stub
        return stub

    def subscribe(
        self,
        customer: str,
        *,
        amount: int,
        currency: str = "eur",
        interval: str = "month",
        quantity: int = 1,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """A new active subscription of one item, with its first period; its id."""
        now = self._seconds()
        priced = self.price_of("plan", amount, currency, interval)
        subscription = self._new("sub")
        period = (now, now + (31 if interval == "month" else 365) * 86_400)
        item = shapes.subscription_item(
            self._new("si"),
            subscription=subscription,
            price=copy.deepcopy(priced),
            quantity=quantity,
            period=period,
        )
        made = shapes.subscription(
            subscription,
            now,
            customer=customer,
            items=[item],
            status="active",
            currency=currency,
            metadata=metadata,
        )
        self.objects["subscription"][subscription] = made
        self._emit("customer.subscription.created", made)
        return subscription

    def bill(self, subscription: str, *, total: int | None = None, status: str = "open") -> str:
        """A new invoice for a subscription, not yet tried; its id."""
        held = self.held("subscription", subscription)
        if total is None:
            total = sum(
                (item["price"]["unit_amount"] or 0) * (item["quantity"] or 0)
                for item in held["items"]["data"]
            )
        made = shapes.invoice(
            self._new("in"),
            self._seconds(),
            subscription=held,
            number=None if status == "draft" else f"N-{self.minted:05d}",
            total=total,
            remaining=total,
            status=status,
            next_payment_attempt=self._seconds() + 3_600,
        )
        self.objects["invoice"][made["id"]] = made
        held["latest_invoice"] = made["id"]
        self._emit("invoice.created", made)
        if status != "draft":
            self.intent_of(made)
            self._emit("invoice.finalized", made)
        return str(made["id"])

    def fail_payment(
        self, invoice: str, code: str = "generic_decline", *, is_last: bool = False
    ) -> str:
        """Try to collect an open invoice in vain; the charge's id. `is_last`: no retry follows."""
        held = self._open(invoice)
        charge = self._charge(held, code)
        intent = self.intent_of(held)
        intent |= {"status": "requires_payment_method", "latest_charge": charge["id"]}
        intent["last_payment_error"] = shapes.payment_error(charge)
        self._emit("charge.failed", charge)
        self._emit("payment_intent.payment_failed", intent)
        again = None if is_last else self._seconds() + RETRY_AFTER_S
        count = held["attempt_count"] + 1
        changes = {"attempt_count": count, "attempted": True, "next_payment_attempt": again}
        self._change(held, "invoice.updated", changes)
        self._emit("invoice.payment_failed", held)
        self._follow_invoice(held)
        return str(charge["id"])

    def pay(self, invoice: str) -> str:
        """Collect an open invoice; the charge's id."""
        held = self._open(invoice)
        charge = self._charge(held, None)
        intent = self.intent_of(held)
        intent |= {
            "status": "succeeded",
            "amount_received": intent["amount"],
            "latest_charge": charge["id"],
            "last_payment_error": None,
        }
        self._emit("charge.succeeded", charge)
        self._emit("payment_intent.succeeded", intent)
        self._close(held, "paid", "paid_at", amount_paid=held["amount_due"], amount_remaining=0)
        for payment in self._payments_of(invoice):
            payment |= {"status": "paid", "amount_paid": held["amount_due"]}
            payment["status_transitions"]["paid_at"] = self._seconds()
        self._emit("invoice.payment_succeeded", held)
        self._follow_invoice(held)
        return str(charge["id"])

    def void(self, invoice: str) -> Obj:
        """Declare an open invoice never meant."""
        held = self._open(invoice)
        self._close(held, "void", "voided_at", amount_remaining=0)
        self._follow_invoice(held)
        return held

    def mark_uncollectible(self, invoice: str) -> Obj:
        """Give an open invoice up; what is left to pay stays on it."""
        held = self._open(invoice)
        self._close(held, "uncollectible", "marked_uncollectible_at")
        self._follow_invoice(held)
        return held

    def delete_invoice(self, invoice: str) -> Obj:
        """Delete a draft; all other invoices can only be voided."""
        held = self.held("invoice", invoice)
        if held["status"] != "draft":
            raise BadRequest("You can only delete draft invoices.")
        self._emit("invoice.deleted", held)
        del self.objects["invoice"][invoice]
        return shapes.deleted("invoice", invoice)

    def cancel(
        self,
        subscription: str,
        reason: str = "cancellation_requested",
        *,
        feedback: str | None = None,
        comment: str | None = None,
    ) -> Obj:
        """End a subscription now; `reason` is Stripe's word."""
        held = self.held("subscription", subscription)
        if held["status"] not in LIVE:
            raise missing("subscription", subscription)
        now = self._seconds()
        details = {"comment": comment, "feedback": feedback, "reason": reason}
        held |= {"status": "canceled", "canceled_at": now, "ended_at": now}
        held["cancellation_details"] = details
        self._emit("customer.subscription.deleted", held)
        return held

    def update_subscription(self, subscription: str, **changes: Any) -> Obj:
        """Set fields of a subscription: its status, its planned end, its metadata as a whole."""
        held = self.held("subscription", subscription)
        self._change(held, "customer.subscription.updated", changes)
        return held

    def discount(self, subscription: str, **coupon: Any) -> None:
        """Give a subscription a discount: `percent_off`, or `amount_off` and `currency`."""
        held = self.held("subscription", subscription)
        made = shapes.coupon(self._new("co"), self._seconds(), **coupon)
        given = shapes.discount(
            self._new("di"),
            self._seconds(),
            coupon=made["id"],
            customer=held["customer"],
            subscription=subscription,
        )
        self.objects["coupon"][made["id"]] = made
        self.objects["discount"][given["id"]] = given
        changes = {"discounts": [*held["discounts"], given["id"]]}
        self._change(held, "customer.subscription.updated", changes)

    def forget_event(self, event: str) -> None:
        """Lose one event, as if it had never been sent."""
        del self.objects["event"][event]

    # --- what they share ------------------------------------------------------------------------

    def held(self, kind: str, id: str) -> Obj:
        """The stored object; Stripe's 404 when there is none or it was deleted."""
        found = self.objects[kind].get(id)
        if found is None or found.get("deleted"):
            raise missing(kind, id)
        return found

    def price_of(self, plan: str, amount: int, currency: str, interval: str, count: int = 1) -> Obj:
        """The price for these terms, made with its product at first use; its id tells the terms."""
        slug = "".join(c for c in plan.lower() if c.isalnum())
        id = f"price_{slug}_{amount}{currency}_{count}{interval}"
        sold = f"prod_{slug}"
        now = self._seconds()
        self.objects["product"].setdefault(sold, shapes.product(sold, now, plan))
        return self.objects["price"].setdefault(
            id,
            shapes.price(
                id,
                now,
                product=sold,
                unit_amount=amount,
                currency=currency,
                interval=interval,
                interval_count=count,
            ),
        )

    def intent_of(self, invoice: Obj) -> Obj:
        """The payment intent of an invoice, made with its link at first use."""
        id = "pi_" + invoice["id"].partition("_")[2]
        if id not in self.objects["payment_intent"]:
            made = shapes.payment_intent(id, invoice["created"], invoice=invoice)
            self.objects["payment_intent"][id] = made
            link = shapes.invoice_payment(
                "inpay_" + invoice["id"].partition("_")[2],
                invoice["created"],
                invoice=invoice,
                payment_intent=id,
            )
            self.objects["invoice_payment"][link["id"]] = link
        return self.objects["payment_intent"][id]

    def events_kept(self) -> Iterable[Obj]:
        """The events that Stripe still shows: those of the last 30 days."""
        oldest = self._seconds() - EVENT_DAYS * 86_400
        return (e for e in self.objects["event"].values() if e["created"] >= oldest)

    def _charge(self, invoice: Obj, decline_code: str | None) -> Obj:
        made = shapes.charge(
            self._new("ch"),
            self._seconds(),
            intent=self.intent_of(invoice),
            decline_code=decline_code,
        )
        self.objects["charge"][made["id"]] = made
        return made

    def _open(self, invoice: str) -> Obj:
        held = self.held("invoice", invoice)
        if held["status"] == "paid":
            raise BadRequest("Invoice is already paid")
        if held["status"] != "open":
            raise BadRequest(f"This needs an open invoice; this one is {held['status']}.")
        return held

    def _close(self, invoice: Obj, status: str, moment: str, **amounts: int) -> None:
        transitions = {**invoice["status_transitions"], moment: self._seconds()}
        changes = {"status": status, "status_transitions": transitions, "auto_advance": False}
        changes |= {"next_payment_attempt": None, **amounts}
        self._change(invoice, "invoice.updated", changes)
        word = {"void": "voided", "uncollectible": "marked_uncollectible"}.get(status, status)
        self._emit(f"invoice.{word}", invoice)

    def _follow_invoice(self, invoice: Obj) -> None:
        """While a tried invoice is open, subscription and customer are past due and delinquent."""
        subscription = invoice["parent"]["subscription_details"]["subscription"]
        held = self.objects["subscription"].get(subscription)
        owing = any(
            other["status"] == "open"
            and other["attempted"]
            and other["parent"]["subscription_details"]["subscription"] == subscription
            for other in self.objects["invoice"].values()
        )
        if held is not None and held["status"] in ("active", "past_due", "unpaid"):
            status = "past_due" if owing else "active"
            self._change(held, "customer.subscription.updated", {"status": status})
        customer = self.objects["customer"].get(invoice["customer"])
        if customer is not None and not customer.get("deleted"):
            self._change(customer, "customer.updated", {"delinquent": owing})

    def _subscriptions_of(self, customer: str) -> list[Obj]:
        return [
            subscription
            for subscription in self.objects["subscription"].values()
            if subscription["customer"] == customer and subscription["status"] in LIVE
        ]

    def _payments_of(self, invoice: str) -> list[Obj]:
        return [p for p in self.objects["invoice_payment"].values() if p["invoice"] == invoice]

    def _change(self, held: Obj, kind: str, changes: Mapping[str, Any]) -> None:
        """Set what differs and tell of it; a change that changes nothing makes no event."""
        previous = {
            name: _before(held.get(name), value)
            for name, value in changes.items()
            if held.get(name) != value
        }
        if previous:
            held.update(changes)
            self._emit(kind, held, previous=previous)

    def _emit(self, kind: str, obj: Obj, previous: Obj | None = None) -> None:
        self.tell(kind, obj, self._seconds(), previous)

    def tell(self, kind: str, obj: Obj, created: int, previous: Obj | None = None) -> None:
        """Send an event with the object as it is now."""
        request, key = self.cause
        event = shapes.event(
            self._new("evt"),
            created,
            kind,
            copy.deepcopy(obj),
            previous=previous,
            request=request,
            key=key,
            version=self.version,
        )
        self.objects["event"][event["id"]] = event

    def _new(self, prefix: str) -> str:
        self.minted += 1
        return f"{prefix}_1Sbx{self.minted:014d}"

    def _seconds(self) -> int:
        return int(self.clock().timestamp())


def _before(old: Any, new: Any) -> Any:
    """What an event says of the old value: of a mapping only the keys that changed."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: old.get(key) for key in {**old, **new} if old.get(key) != new.get(key)}
    return copy.deepcopy(old)
