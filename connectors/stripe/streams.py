"""What we read from Stripe: four lists in full once, then the feed of events.

Stripe has no filter for "changed since". So the hub notes where the feed stands, reads each list in
full, and from then on reads again, by id, what an event names: an event's own copy of the object
has the shape and the state of its moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hub import Changes, Connector, FeedExpired, Page, Position, Row, Rows, changes, stream

from . import mapping
from .client import one, pages
from .settings import StripeSettings

EXPAND: Mapping[str, Sequence[str]] = {
    "customers": (),
    "subscriptions": ("discounts.source.coupon",),
    "invoices": ("payments",),
    "charges": (),
}
"""What is asked for on top, the same for a list and for one object, so that both rows are equal."""

STREAM_OF = {
    "customer": "customers",
    "subscription": "subscriptions",
    "invoice": "invoices",
    "charge": "charges",
}

# Stripe takes 20 types at most. Left out are those that always come with one of these.
EVENT_TYPES = (
    "customer.created", "customer.updated", "customer.deleted",
    "customer.subscription.created", "customer.subscription.updated",
    "customer.subscription.deleted", "customer.subscription.paused",
    "customer.subscription.resumed",
    "invoice.created", "invoice.updated", "invoice.deleted", "invoice.finalized", "invoice.paid",
    "invoice.payment_failed", "invoice.voided", "invoice.marked_uncollectible",
    "charge.succeeded", "charge.failed", "charge.pending", "charge.updated",
)  # fmt: skip

OVERLAP_S = 1
BATCH = 100

# Stripe keeps events for 30 days. One is kept back, because the hub's clock may differ.
FEED_REACHES = timedelta(days=29)


@dataclass(frozen=True)
class FeedPosition:
    """Up to which second the feed was read, and which events of that edge were read already.

    `created` is whole seconds and not unique, so the edge is read again and `seen` (id → second)
    leaves out what was there the last time.
    """

    created: int
    seen: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, at: Position) -> FeedPosition:
        """From what the hub stored."""
        seen: Any = at.state.get("seen") or {}
        created: Any = at.state["created"]
        return cls(int(created), seen)

    def stored(self) -> Position:
        """For the hub to store."""
        return Position(state={"created": self.created, "seen": dict(self.seen)})

    def after(self, events: Rows) -> FeedPosition:
        """The position once these events are dealt with."""
        seen = {**self.seen, **{str(e["id"]): int(e["created"]) for e in events}}
        created = max([self.created, *seen.values()])
        return FeedPosition(created, {i: at for i, at in seen.items() if at >= created - OVERLAP_S})

    def no_older_than(self, second: int) -> FeedPosition:
        """This position, or the given second when that is later."""
        return self if self.created >= second else FeedPosition(second)


class Reads(Connector[StripeSettings]):
    """The four streams and the feed that keeps them current."""

    @stream(
        maps=mapping.to_account, deletes="feed", keeps=mapping.CUSTOMER_KEEPS, custom="metadata"
    )
    def customers(self, at: Position | None) -> Iterator[Page]:
        """Who is billed."""
        # State, not history: a customer from before the backfill's first day still counts.
        yield from self._in_full("customers")

    @customers.by_ids
    def customers_by_ids(self, ids: Sequence[str]) -> Rows:
        """Customers read again; a deleted one is left out."""
        return self._by_ids("customers", ids)

    @customers.ids
    def customer_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all customers that are not deleted."""
        return self._ids("customers")

    @stream(maps=mapping.to_subscription, keeps=mapping.SUBSCRIPTION_KEEPS, custom="metadata")
    def subscriptions(self, at: Position | None) -> Iterator[Page]:
        """What customers agreed to pay for, ended subscriptions included."""
        yield from self._in_full("subscriptions", status="all")

    @subscriptions.by_ids
    def subscriptions_by_ids(self, ids: Sequence[str]) -> Rows:
        """Subscriptions read again; they are never deleted, their status says that they ended."""
        return self._by_ids("subscriptions", ids)

    @subscriptions.ids
    def subscription_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all subscriptions."""
        return self._ids("subscriptions", status="all")

    @stream(maps=mapping.to_invoice, deletes="feed", keeps=mapping.INVOICE_KEEPS, custom="metadata")
    def invoices(self, at: Position | None) -> Iterator[Page]:
        """Bills, with the ids under which payments name them."""
        yield from self._in_full("invoices", **_since(at))

    @invoices.by_ids
    def invoices_by_ids(self, ids: Sequence[str]) -> Rows:
        """Invoices read again; a deleted draft is left out."""
        return self._by_ids("invoices", ids)

    @invoices.ids
    def invoice_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all invoices."""
        return self._ids("invoices")

    @stream(maps=mapping.to_attempt, keeps=mapping.CHARGE_KEEPS, custom="metadata")
    def charges(self, at: Position | None) -> Iterator[Page]:
        """Each try to take money, with the reason when it failed."""
        yield from self._in_full("charges", **_since(at))

    @charges.by_ids
    def charges_by_ids(self, ids: Sequence[str]) -> Rows:
        """Charges read again."""
        return self._by_ids("charges", ids)

    @charges.ids
    def charge_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all charges."""
        return self._ids("charges")

    @changes("customers", "subscriptions", "invoices", "charges")
    def events(self, at: Position | None) -> Iterator[Changes]:
        """What changed since, oldest first although Stripe lists the newest first."""
        if at is None:
            yield Changes(self._where_the_feed_stands())
            return
        position = FeedPosition.of(at)
        if position.created < _seconds(self.now() - FEED_REACHES):
            raise FeedExpired(
                "Stripe's events no longer reach back to the last run",
                where=self.connection,
                do="Nothing to do: the hub reads everything once more",
            )
        # Nothing is handed on before the last page is there: a stop in between must not leave
        # older news behind a newer position.
        news = self._news_after(position)
        for start in range(0, len(news), BATCH):
            some = news[start : start + BATCH]
            position = position.after(some)
            yield Changes(position.stored(), _touched(some))
        yield Changes(position.no_older_than(self._quiet_since()).stored())

    def _in_full(self, name: str, **params: object) -> Iterator[Page]:
        # This list comes newest first: no checkpoint until the last page, or a stop in between
        # would leave the older rows unread.
        found = pages(self.http, f"/v1/{name}", params, expand=EXPAND[name])
        rows = next(found)
        for following in found:
            yield Page(rows)
            rows = following
        yield Page(rows, at=Position(state={"read": self.now().isoformat()}), complete=True)

    def _by_ids(self, name: str, ids: Sequence[str]) -> Rows:
        found = (one(self.http, f"/v1/{name}/{id}", expand=EXPAND[name]) for id in ids)
        return [row for row in found if row is not None]

    def _ids(self, name: str, **params: object) -> Iterator[Sequence[str]]:
        for rows in pages(self.http, f"/v1/{name}", params):
            yield [str(row["id"]) for row in rows]

    def _where_the_feed_stands(self) -> Position:
        newest = next(pages(self.http, "/v1/events", {"types[]": EVENT_TYPES}))
        return FeedPosition(0).after(newest).no_older_than(self._quiet_since()).stored()

    def _news_after(self, position: FeedPosition) -> list[Row]:
        since = position.created - OVERLAP_S
        asked = {"types[]": EVENT_TYPES, "created[gte]": since}
        found = pages(self.http, "/v1/events", asked)
        seen = position.seen
        news = {e["id"]: _short(e) for rows in found for e in rows if e["id"] not in seen}
        oldest_first = list(news.values())[::-1]
        return sorted(oldest_first, key=lambda event: int(event["created"]))

    def _quiet_since(self) -> int:
        # Without news the position still moves, or a quiet month would look like a gap. A day is
        # kept back, because the hub's clock may be ahead of Stripe's.
        return _seconds(self.now() - timedelta(days=1))


def _since(at: Position | None) -> Mapping[str, object]:
    """How far back a first read of history goes."""
    return {"created[gte]": _seconds(at.since)} if at is not None and at.since else {}


def _short(event: Row) -> Row:
    """What a gap of weeks may hold in memory for each event."""
    of = event["data"]["object"]
    return {
        "id": event["id"],
        "created": event["created"],
        "changed": (STREAM_OF.get(of["object"]), of["id"]),
    }


def _touched(events: Rows) -> Sequence[tuple[str, str]]:
    """Each changed object once."""
    return list(dict.fromkeys(e["changed"] for e in events if e["changed"][0] is not None))


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())
