"""Every table of the hub, one class each, in the order of the four verbs.

SQLModel describes them; hot paths write through `bulk.py`, never through mapped objects (measured:
16 to 94 times slower). Instants are aware UTC, days are the team's days, JSON is canonical text,
booleans are booleans on both databases. `None` means unknown.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, Index, Text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant in UTC: timestamptz on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must know its zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def instant(*, primary_key: bool = False, nullable: bool = True) -> Any:
    """A column for an instant."""
    kind: Any = UtcDateTime
    if primary_key:
        return Field(sa_type=kind, primary_key=True)
    return Field(default=None, sa_type=kind, nullable=nullable)


def text() -> Any:
    """A required column of unlimited text."""
    return Field(sa_type=Text, nullable=False)


def big() -> Any:
    """A column for money in minor units or another large integer."""
    return Field(default=None, sa_type=BigInteger, nullable=True)


class _Key(SQLModel):
    """The four parts of a record key; `record_id` is the vendor's id."""

    vendor: str = Field(primary_key=True)
    vendor_account: str = Field(primary_key=True)
    object: str = Field(primary_key=True)
    record_id: str = Field(primary_key=True)


# --- sync ---------------------------------------------------------------------------------------


class ConnectionState(SQLModel, table=True):
    """What the hub knows about one configured connection; the vendor account is set once."""

    __tablename__ = "connection_state"
    connection: str = Field(primary_key=True)
    vendor: str
    vendor_account: str
    checked_at: datetime | None = instant()
    problem_code: str | None = None
    problem: str | None = None


class VendorRow(_Key, table=True):
    """The current version of a vendor row: kept fields only, verbatim, canonical JSON.

    `mapped` is the fingerprint of content and mapping that unify has worked in; `outcome` is
    mapped, ignored or rejected, with `why` for the last two.
    """

    __tablename__ = "row"
    __table_args__ = (Index("row_of_stream", "connection", "object", "record_id"),)
    connection: str
    data: str = text()
    digest: str
    read_at: datetime = instant(nullable=False)
    run: int
    gone_at: datetime | None = instant()
    mapped: str | None = None
    outcome: str | None = None
    why: str | None = None


class RowVersion(_Key, table=True):
    """An earlier version of a vendor row."""

    __tablename__ = "row_version"
    replaced_at: datetime = instant(primary_key=True)
    data: str = text()
    digest: str
    read_at: datetime = instant(nullable=False)


class Aside(SQLModel, table=True):
    """A row that could not be stored, with the reason; tried again by every run that reads it."""

    __tablename__ = "aside"
    connection: str = Field(primary_key=True)
    stream: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    code: str
    why: str = text()
    data: str = text()
    first_at: datetime = instant(nullable=False)
    last_at: datetime = instant(nullable=False)
    run: int


class Checkpoint(SQLModel, table=True):
    """Where a stream or a feed stands.

    `complete_at`: when its last full listing ended; `swept_at`: when its ids were last compared.
    """

    __tablename__ = "checkpoint"
    connection: str = Field(primary_key=True)
    stream: str = Field(primary_key=True)
    position: str | None = Field(default=None, sa_type=Text)
    stored_at: datetime = instant(nullable=False)
    fresh_at: datetime | None = instant()
    complete_at: datetime | None = instant()
    swept_at: datetime | None = instant()


class Run(SQLModel, table=True):
    """One run of a verb. `result` is running, done, partly or failed."""

    __tablename__ = "run"
    id: int | None = Field(default=None, primary_key=True)
    verb: str
    as_of: date | None = None
    started_at: datetime = instant(nullable=False)
    ended_at: datetime | None = instant()
    result: str = "running"
    counts: str = Field(default="{}", sa_type=Text)
    versions: str = Field(default="{}", sa_type=Text)


class RunStream(SQLModel, table=True):
    """The count equation of one stream in one run: read = new + changed + same + aside."""

    __tablename__ = "run_stream"
    run: int = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    stream: str = Field(primary_key=True)
    pages: int = 0
    read: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    aside: int = 0
    gone: int = 0
    seconds: float = 0.0
    problem_code: str | None = None
    problem: str | None = Field(default=None, sa_type=Text)


# --- unify: the account model -------------------------------------------------------------------


class HubAccount(SQLModel, table=True):
    """One customer of the team, whatever the tools call it.

    The id is minted once. `alias_of` names the survivor of a merge. `kind` is account or payer
    (pays for others: no status, no tasks). The other fields are what unify concluded last.
    """

    __tablename__ = "account"
    id: str = Field(primary_key=True)
    minted_at: datetime = instant(nullable=False)
    minted_run: int
    alias_of: str | None = Field(default=None, index=True)
    kind: str = "account"
    name: str | None = None
    domains: str = "[]"
    lifecycle: str = "prospect"
    lifecycle_why: str | None = None
    owner: str | None = None
    owner_vendor: str | None = None
    owner_id: str | None = None
    stage: str | None = None
    country: str | None = None
    industry: str | None = None
    employees: int | None = big()
    plan: str | None = None
    signed_up_on: date | None = None
    renewal_on: date | None = None
    billing_interval: str | None = None
    link_confidence: float = 1.0


class Link(SQLModel, table=True):
    """The link log: which account a record is, or stands in another role to; append-only.

    Primary data like the ledger: a rebuild replays it. `until` NULL: in force. `role` is is,
    pays_for, parent_of or works_for.
    """

    __tablename__ = "link"
    __table_args__ = (
        Index("link_record", "vendor", "vendor_account", "object", "record_id"),
        Index("link_account", "account_id"),
    )
    seq: int | None = Field(default=None, primary_key=True)
    vendor: str
    vendor_account: str
    object: str
    record_id: str
    account_id: str
    role: str = "is"
    reason: str = text()
    confidence: float
    since: datetime = instant(nullable=False)
    until: datetime | None = instant()
    actor: str = "hub"
    run: int


class ReviewPair(SQLModel, table=True):
    """Two accounts that may be one, for a person to decide. `state`: open, same or different."""

    __tablename__ = "review_pair"
    left: str = Field(primary_key=True)
    right: str = Field(primary_key=True)
    reason: str = text()
    confidence: float
    state: str = "open"
    seen_at: datetime = instant(nullable=False)


class _Fact(_Key):
    """A record of the account model: its key, its account (None: unassigned) and its page."""

    account_id: str | None = Field(default=None, index=True)
    ref: str | None = Field(default=None, sa_type=Text, index=True)
    url: str | None = Field(default=None, sa_type=Text)
    gone_at: datetime | None = instant()


class AccountRecord(_Fact, table=True):
    """A vendor's record of an account, as mapped; `fields` is the whole record as JSON."""

    __tablename__ = "account_record"
    name: str | None = None
    fields: str = text()


class PersonRecord(_Fact, table=True):
    __tablename__ = "person"
    name: str | None = None
    email: str | None = Field(default=None, index=True)
    email_verified: bool | None = None
    role: str | None = None


class OwnerRecord(_Fact, table=True):
    __tablename__ = "owner"
    name: str | None = None
    email: str | None = None
    is_active: bool = True


class DealRecord(_Fact, table=True):
    __tablename__ = "deal"
    name: str | None = None
    stage: str | None = None
    is_closed: bool = False
    is_won: bool = False
    amount_minor: int | None = big()
    currency: str | None = None
    closed_on: date | None = None
    owner_id: str | None = None


class TicketRecord(_Fact, table=True):
    """`closed_on` is the team's day on which the desk called it solved; None: still open."""

    __tablename__ = "ticket"
    subject: str | None = Field(default=None, sa_type=Text)
    status: str
    priority: str | None = None
    tags: str = "[]"
    requester_id: str | None = None
    opened_at: datetime = instant(nullable=False)
    opened_on: date
    closed_at: datetime | None = instant()
    closed_on: date | None = None


class SubscriptionRecord(_Fact, table=True):
    """`named` is a JSON list of the accounts that its lines say it is for; NULL: the payer."""

    __tablename__ = "subscription"
    status: str
    amount_minor: int | None = big()
    named: str | None = Field(default=None, sa_type=Text)
    currency: str | None = None
    interval: str | None = None
    interval_count: int = Field(default=1, sa_type=BigInteger)
    started_on: date | None = None
    ends_on: date | None = None
    ended_on: date | None = None
    period_ends_on: date | None = None
    end_reason: str | None = None


class InvoiceRecord(_Fact, table=True):
    """`settled_on` is the day it was paid, voided or given up; None: something is still owed."""

    __tablename__ = "invoice"
    subscription_id: str | None = None
    named: str | None = Field(default=None, sa_type=Text)
    number: str | None = None
    status: str
    total_minor: int = Field(sa_type=BigInteger)
    remaining_minor: int = Field(sa_type=BigInteger)
    currency: str
    attempt_count: int = Field(default=0, sa_type=BigInteger)
    next_attempt_at: datetime | None = instant()
    created_on: date
    due_on: date | None = None
    paid_on: date | None = None
    settled_on: date | None = None


class PaymentAttemptRecord(_Fact, table=True):
    """`invoice_id` is filled in by unify where the attempt only names a payment."""

    __tablename__ = "payment_attempt"
    __table_args__ = (Index("attempt_invoice", "vendor", "vendor_account", "invoice_id"),)
    invoice_id: str | None = None
    payment_ref: str | None = None
    succeeded: bool
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str
    decline_code: str | None = None
    advice_code: str | None = None
    network_decline_code: str | None = None
    attempted_at: datetime = instant(nullable=False)
    attempted_on: date


class PaymentRef(SQLModel, table=True):
    """Which invoice a payment id belongs to."""

    __tablename__ = "payment_ref"
    vendor: str = Field(primary_key=True)
    vendor_account: str = Field(primary_key=True)
    ref: str = Field(primary_key=True)
    invoice_id: str


class Evidence(_Key, table=True):
    """Which accounts a subscription or invoice is evidence for: the payer's, or those it names."""

    __tablename__ = "evidence"
    account_id: str = Field(primary_key=True, index=True)
    role: str = "is"


class UsageRecord(_Fact, table=True):
    __tablename__ = "usage_day"
    __table_args__ = (Index("usage_account_day", "account_id", "day"),)
    day: date
    event: str
    count: int = Field(sa_type=BigInteger)
    person: str | None = None


class StateHistory(SQLModel, table=True):
    """What a state said, and when the hub knew; append-only but for `superseded_at`.

    `kind` is account, ticket, subscription or invoice; `key` the account id or record key.
    `basis` is seen (observed as it changed) or assumed (backfilled from the record's own dates).
    """

    __tablename__ = "state_history"
    kind: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    field: str = Field(primary_key=True)
    known_at: datetime = instant(primary_key=True)
    value: str | None = Field(default=None, sa_type=Text)
    valid_from: datetime | None = instant()
    superseded_at: datetime | None = instant()
    basis: str = "seen"


class Coverage(SQLModel, table=True):
    """The team days about which the hub can know an account from one kind of source.

    `kind` is tickets, billing or usage. `basis`: seen (a row came), zero (absence means none) or
    lost (it had an identifier there once and has none now: not covered).
    """

    __tablename__ = "coverage"
    account_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    from_day: date
    fresh_until: date
    basis: str


# --- decide -------------------------------------------------------------------------------------


class Decision(SQLModel, table=True):
    """One decide run. `kind` is current or replay (a past day: never current, feeds no plan)."""

    __tablename__ = "decision"
    run: int = Field(primary_key=True)
    as_of: date
    kind: str
    judged_at: datetime = instant(nullable=False)
    versions: str = Field(default="{}", sa_type=Text)


class Published(SQLModel, table=True):
    """The pointer that makes one decision the current one; also `judged_from`, stored once."""

    __tablename__ = "published"
    name: str = Field(primary_key=True)
    run: int | None = None
    day: date | None = None


class EffectiveInput(SQLModel, table=True):
    """An input of the effective health model, since when (DESIGN 5)."""

    __tablename__ = "effective_input"
    input: str = Field(primary_key=True)
    since: date


class Reading(SQLModel, table=True):
    """The value of a measure or signal that a decision rests on; booleans are 1 and 0.

    Exactly one of the values is set, or none when it is unknown. `since` is the first day of a
    signal's unbroken true stretch. `evidence` is a JSON list of record keys, newest first.
    """

    __tablename__ = "reading"
    run: int = Field(primary_key=True)
    account_id: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    number: float | None = None
    day: date | None = None
    words: str | None = Field(default=None, sa_type=Text)
    since: date | None = None
    evidence: str = Field(default="[]", sa_type=Text)


class Verdict(SQLModel, table=True):
    """The score, band and status of one account in one decision.

    0 to 100, 100 is healthy. `reasons` are sentences, most important first; `parts` is the proof
    (dimensions, inputs, caps) as JSON; `held` says why the status is not today's band.
    """

    __tablename__ = "verdict"
    run: int = Field(primary_key=True)
    account_id: str = Field(primary_key=True)
    low: float
    high: float
    point: float | None = None
    band: str
    status: str
    since: date
    held: str | None = None
    confidence: float
    model: str
    segment: str | None = None
    mrr_minor: int | None = big()
    currency: str | None = None
    reasons: str = Field(default="[]", sa_type=Text)
    parts: str = Field(default="{}", sa_type=Text)


class DailyBand(SQLModel, table=True):
    """The band of one day: what the status is folded from."""

    __tablename__ = "daily_band"
    account_id: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    band: str
    low: float
    high: float


class Episode(SQLModel, table=True):
    """One problem of an account; at most one per cause is open."""

    __tablename__ = "episode"
    account_id: str = Field(primary_key=True)
    cause: str = Field(primary_key=True)
    opened_on: date = Field(primary_key=True)
    play: str
    signal: str
    signals: str = "[]"
    decided_on: date
    closed_on: date | None = None
    opened_run: int
    closed_run: int | None = None


class DesiredField(_Key, table=True):
    """What a status field of a vendor's record should say after one decision."""

    __tablename__ = "desired_field"
    run: int = Field(primary_key=True)
    field: str = Field(primary_key=True)
    account_id: str
    connection: str
    value: str | None = None
    why: str = text()


class DesiredTask(SQLModel, table=True):
    """The one task that an open episode asks for, rendered once. `vendor…` is the target record."""

    __tablename__ = "desired_task"
    run: int = Field(primary_key=True)
    key: str = Field(primary_key=True)
    account_id: str
    cause: str
    opened_on: date
    connection: str | None = None
    vendor: str | None = None
    vendor_account: str | None = None
    object: str | None = None
    record_id: str | None = None
    owner: str | None = None
    owner_id: str | None = None
    title: str = text()
    body: str = text()
    due: datetime = instant(nullable=False)
    priority: str = "medium"
    why: str = text()
    evidence: str = Field(default="[]", sa_type=Text)
    not_written: str | None = None


# --- deliver ------------------------------------------------------------------------------------


class ObservedField(_Key, table=True):
    """What a target said when the hub last read it back."""

    __tablename__ = "observed"
    field: str = Field(primary_key=True)
    value: str | None = Field(default=None, sa_type=Text)
    vendor_at: datetime | None = instant()
    read_at: datetime = instant(nullable=False)


class Plan(SQLModel, table=True):
    """Everything that would be written to make the tools agree with one decision.

    `state`: open, applied, partly or replaced. `stopped` says why it needs a person's approval.
    `beside` is a JSON object of what is listed beside the items: waiting, not written, unmapped.
    """

    __tablename__ = "plan"
    id: int | None = Field(default=None, primary_key=True)
    decision: int
    as_of: date
    made_at: datetime = instant(nullable=False)
    state: str = "open"
    stopped: str | None = Field(default=None, sa_type=Text)
    beside: str = Field(default="{}", sa_type=Text)
    applied_at: datetime | None = instant()


class PlanItem(SQLModel, table=True):
    """One write. `kind` is define, change, create, close or note; `action` the action as JSON.

    `old` and `new` are JSON values for people; `seen` is the digest of what was observed when the
    plan was made; `depends_on` is the `seq` of the item that must be done first.
    """

    __tablename__ = "plan_item"
    plan: int = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    kind: str
    connection: str
    vendor: str
    vendor_account: str
    object: str
    record_id: str
    account_id: str | None = None
    action: str = text()
    old: str = Field(default="null", sa_type=Text)
    new: str = Field(default="null", sa_type=Text)
    why: str = text()
    evidence: str = Field(default="[]", sa_type=Text)
    seen: str | None = None
    depends_on: int | None = None


class LedgerEntry(SQLModel, table=True):
    """One write, from intent to outcome; the intent is committed before the call.

    `key` makes the write findable: the intent key of a task, or target and content of a change.
    `state`: intended → sent → done, refused, unknown or cancelled.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        Index("ledger_key", "key"),
        Index("ledger_plan", "plan", "item"),
    )
    UNSETTLED: ClassVar[tuple[str, ...]] = ("intended", "sent", "unknown")
    seq: int | None = Field(default=None, primary_key=True)
    key: str
    plan: int
    item: int
    kind: str
    connection: str
    vendor: str
    vendor_account: str
    object: str
    record_id: str
    account_id: str | None = None
    action: str = text()
    before: str = Field(default="null", sa_type=Text)
    after: str = Field(default="null", sa_type=Text)
    state: str
    actor: str = "hub"
    reason: str = text()
    receipt_id: str | None = None
    receipt_url: str | None = None
    problem_code: str | None = None
    problem: str | None = Field(default=None, sa_type=Text)
    intended_at: datetime = instant(nullable=False)
    sent_at: datetime | None = instant()
    settled_at: datetime | None = instant()
