"""What measures read: the facts as they were at the end of one team day.

A view is a subquery with `account_id`, `key` (the source row), `day` and the fact's own fields.
Nothing dated after the day is in it, so a measure cannot look ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Date,
    FromClause,
    Integer,
    Select,
    String,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from .factnames import FIELDS
from .store import table_of
from .store.tables import (
    Evidence,
    HubAccount,
    InvoiceRecord,
    PaymentAttemptRecord,
    SubscriptionRecord,
    TicketRecord,
    UsageRecord,
)

Measured: TypeAlias = Select[Any]
"""A SELECT of (account_id, value, evidence), one row an account."""


class days_between(FunctionElement[int]):
    """Whole days from the second day to the first, on both databases."""

    inherit_cache = True
    type = Integer()
    name = "days_between"


@compiles(days_between, "sqlite")
def _sqlite_days(element: Any, compiler: Any, **given: Any) -> str:
    later, earlier = (compiler.process(clause, **given) for clause in element.clauses)
    return f"CAST(julianday({later}) - julianday({earlier}) AS INTEGER)"


@compiles(days_between)
def _standard_days(element: Any, compiler: Any, **given: Any) -> str:
    later, earlier = (compiler.process(clause, **given) for clause in element.clauses)
    return f"(CAST({later} AS DATE) - CAST({earlier} AS DATE))"


@dataclass(frozen=True)
class Facts:
    """The facts of one day, for measures.

    `login_events` and `key_features` are what hub.yaml names; empty key features mean that nobody
    said which they are.
    """

    day: date
    login_events: Sequence[str] = ("login",)
    key_features: Sequence[str] = ()

    def view(self, name: str) -> Subquery:
        """A fact view by its name. KeyError when there is none."""
        made: Subquery = getattr(self, {n: n for n in FIELDS}[name])
        return made

    # --- time ---------------------------------------------------------------------------------

    @cached_property
    def today(self) -> ColumnElement[date]:
        """The day itself, as SQL."""
        return literal(self.day, Date)

    def window(
        self, column: ColumnElement[Any], days: int, *, ending: int = 0
    ) -> ColumnElement[bool]:
        """True for the `days` whole days that end `ending` days before the day (0: with it)."""
        last = self.day - timedelta(days=ending)
        return column.between(literal(last - timedelta(days=days - 1), Date), literal(last, Date))

    def days_since(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Whole days from a day to the day."""
        return days_between(self.today, column)

    def days_until(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Whole days from the day to a later one; negative when it has passed."""
        return days_between(column, self.today)

    def newest(self, view: FromClause) -> ColumnElement[str]:
        """The key of the newest row of a group: the measure's evidence."""
        return func.substr(func.max(_text_day(view.c.day).concat(view.c.key)), 11)

    # --- views --------------------------------------------------------------------------------

    @cached_property
    def usage(self) -> Subquery:
        """Usage days: one row per account, day, event (and person)."""
        t = table_of(UsageRecord)
        return (
            select(t.c.account_id, _key(t), t.c.day, t.c.event, t.c.count, t.c.person, t.c.url)
            .where(self._seen(t, t.c.day), t.c.count > 0)
            .subquery("usage")
        )

    @cached_property
    def tickets(self) -> Subquery:
        """Tickets by the day they were opened; `is_open` as of the day."""
        t = table_of(TicketRecord)
        closed = and_(t.c.closed_on.is_not(None), t.c.closed_on <= self.today)
        return (
            select(
                t.c.account_id,
                _key(t),
                t.c.opened_on.label("day"),
                t.c.subject,
                t.c.priority,
                t.c.requester_id.label("requester"),
                case((closed, False), else_=True).label("is_open"),
                t.c.url,
            )
            .where(self._seen(t, t.c.opened_on), t.c.status != "deleted")
            .subquery("tickets")
        )

    @cached_property
    def invoices(self) -> Subquery:
        """Bills by the day they were made, for every account they are evidence for."""
        t, e = table_of(InvoiceRecord), table_of(Evidence)
        return (
            select(
                e.c.account_id,
                _key(t),
                t.c.created_on.label("day"),
                t.c.record_id.label("invoice_id"),
                t.c.vendor,
                t.c.vendor_account,
                t.c.number,
                t.c.total_minor,
                t.c.remaining_minor,
                t.c.currency,
                t.c.due_on,
                case((self._unpaid(t), True), else_=False).label("is_unpaid"),
                t.c.url,
            )
            .join(e, _same(t, e))
            .where(t.c.created_on <= self.today, t.c.gone_at.is_(None), t.c.status != "draft")
            .subquery("invoices")
        )

    def _unpaid(self, t: FromClause) -> ColumnElement[bool]:
        settled = and_(t.c.settled_on.is_not(None), t.c.settled_on <= self.today)
        return and_(~settled, or_(t.c.settled_on.is_not(None), t.c.status == "open"))

    @cached_property
    def attempts(self) -> Subquery:
        """Tries to take money, with whether their invoice is unpaid on the day."""
        t, i = table_of(PaymentAttemptRecord), self.invoices
        return (
            select(
                i.c.account_id,
                _key(t),
                t.c.attempted_on.label("day"),
                t.c.succeeded,
                t.c.decline_code,
                i.c.key.label("invoice_key"),
                i.c.number.label("invoice_number"),
                i.c.is_unpaid,
                i.c.remaining_minor,
                i.c.currency,
                t.c.url,
            )
            .join(
                i,
                and_(
                    t.c.invoice_id == i.c.invoice_id,
                    t.c.vendor == i.c.vendor,
                    t.c.vendor_account == i.c.vendor_account,
                ),
            )
            .where(t.c.attempted_on <= self.today, t.c.gone_at.is_(None))
            .subquery("attempts")
        )

    @cached_property
    def subscriptions(self) -> Subquery:
        """Agreements that had started by the day; `is_live` while they run and are paid for."""
        t, e = table_of(SubscriptionRecord), table_of(Evidence)
        ended = and_(t.c.ended_on.is_not(None), t.c.ended_on <= self.today)
        paying = or_(t.c.ended_on.is_not(None), t.c.status.not_in(("trialing", "incomplete")))
        return (
            select(
                e.c.account_id,
                _key(t),
                t.c.started_on.label("day"),
                t.c.amount_minor,
                t.c.currency,
                t.c.interval,
                t.c.interval_count,
                t.c.period_ends_on,
                case((and_(~ended, paying), True), else_=False).label("is_live"),
                t.c.url,
            )
            .join(e, _same(t, e))
            .where(t.c.started_on <= self.today, t.c.gone_at.is_(None))
            .subquery("subscriptions")
        )

    @cached_property
    def accounts(self) -> Subquery:
        """Customers, one row each; `day` is the day on which they came to the hub's knowledge."""
        t = table_of(HubAccount)
        return (
            select(
                t.c.id.label("account_id"),
                (literal("account/") + t.c.id).label("key"),
                self.today.label("day"),
                t.c.renewal_on,
                t.c.signed_up_on,
                t.c.billing_interval,
                t.c.country,
                t.c.industry,
                t.c.plan,
                t.c.employees,
                cast(null(), String).label("url"),
            )
            .where(t.c.alias_of.is_(None), t.c.kind == "account", t.c.lifecycle == "customer")
            .subquery("accounts")
        )

    def _seen(self, t: FromClause, day: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(t.c.account_id.is_not(None), t.c.gone_at.is_(None), day <= self.today)


def _key(t: FromClause) -> ColumnElement[str]:
    parts = t.c.vendor + "/" + t.c.vendor_account + "/" + t.c.object + "/" + t.c.record_id
    return parts.label("key")


def _same(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    parts = ("vendor", "vendor_account", "object", "record_id")
    return and_(*(left.c[part] == right.c[part] for part in parts))


def _text_day(day: ColumnElement[Any]) -> ColumnElement[str]:
    return cast(day, String)
