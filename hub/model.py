"""Records in, actions out: what connectors give to the hub and what the hub asks of them.

Plain validated models. `None` means unknown, never zero. Money is integer minor units plus an
ISO 4217 code; instants end in `_at` and are aware UTC; days end in `_on`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
"""An instant: aware, held in UTC."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""An ISO 4217 code in capitals."""

Status = Literal["at_risk", "watch", "healthy", "unknown"]
"""What people see; also the four bands of one day."""

Cause = Literal[
    "payment", "usage", "support", "adoption", "renewal", "sponsor", "onboarding", "sentiment"
]
"""What an episode is about; a signal declares it."""

Lifecycle = Literal["prospect", "customer", "former"]


class Plain(BaseModel):
    """The base of records and actions: frozen, and an unknown field is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordKey(Plain):
    """A record in a vendor's tool, for example `hubspot/62515/companies/123`."""

    vendor: str
    vendor_account: str
    object: str
    id: str

    def __str__(self) -> str:
        return f"{self.vendor}/{self.vendor_account}/{self.object}/{self.id}"


class AccountRef(Plain):
    """How a record names the account it belongs to; the fields are tried in this order.

    `id` is the id of a record of the same connection that maps to an account (`object` says which
    stream it is in when the connector maps several). `vendor` with `external_id` points into
    another vendor's tool. `domain` and `email` are hints with lower confidence.
    """

    id: str | None = None
    object: str | None = None
    vendor: str | None = None
    external_id: str | None = None
    domain: str | None = None
    email: str | None = None


class Record(Plain):
    """One thing a vendor knows, in the hub's words. `id` is the vendor's id."""

    id: str
    url: str | None = None


class Account(Record):
    """A vendor's idea of a customer: a CRM company, a desk organisation, a billing customer.

    `external` maps a vendor's name to the id that this record claims to be there, for example
    `{"stripe": "cus_1"}`. `stage` is the CRM's own lifecycle word. `merged_ids` are ids that were
    merged into this record. `extra` holds fields mapped in the connection's file, as text.
    `kind` is "payer" when the record only pays for others.
    """

    name: str | None = None
    domains: tuple[str, ...] = ()
    email: str | None = None
    external: dict[str, str] = {}
    owner_id: str | None = None
    stage: str | None = None
    country: str | None = None
    employees: int | None = None
    industry: str | None = None
    plan: str | None = None
    renewal_on: date | None = None
    signed_up_on: date | None = None
    parent_id: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    merged_ids: tuple[str, ...] = ()
    kind: Literal["account", "payer"] = "account"
    extra: dict[str, str] = {}


class Person(Record):
    """Somebody at an account: a CRM contact or a desk end user."""

    account: AccountRef | None = None
    name: str | None = None
    email: str | None = None
    email_verified: bool | None = None
    role: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None


class Owner(Record):
    """A member of the team in a vendor's tool: a HubSpot owner, a Zendesk agent."""

    name: str | None = None
    email: str | None = None
    is_active: bool = True


class Deal(Record):
    """A sale in the CRM. `amount_minor` is None when the CRM holds no amount."""

    account: AccountRef | None = None
    name: str | None = None
    stage: str | None = None
    is_closed: bool = False
    is_won: bool = False
    amount_minor: int | None = None
    currency: Currency | None = None
    closed_on: date | None = None
    owner_id: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None


class Ticket(Record):
    """A support request. `status` is open until the desk calls it solved or closed."""

    account: AccountRef | None = None
    subject: str | None = None
    status: Literal["open", "closed", "deleted"] = "open"
    priority: str | None = None
    tags: tuple[str, ...] = ()
    requester_id: str | None = None
    opened_at: Instant
    updated_at: Instant | None = None
    closed_at: Instant | None = None


class Subscription(Record):
    """A running agreement in the billing tool.

    `amount_minor` is what one period costs after discounts; `interval` and `interval_count` give
    the period. `pays_for` names accounts that the subscription's lines say it is for (an agency's
    customers); empty means the paying account itself.
    """

    account: AccountRef
    status: Literal["trialing", "active", "past_due", "unpaid", "paused", "incomplete", "ended"]
    pays_for: tuple[AccountRef, ...] = ()
    amount_minor: int | None = None
    currency: Currency | None = None
    interval: Literal["day", "week", "month", "year"] | None = None
    interval_count: int = 1
    started_at: Instant | None = None
    ends_at: Instant | None = None
    ended_at: Instant | None = None
    period_ends_at: Instant | None = None
    end_reason: str | None = None
    updated_at: Instant | None = None


class Invoice(Record):
    """A bill. `is_past_due` is: open, tried at least once, and something is left to pay.

    `payment_refs` are ids under which payment attempts name this invoice.
    """

    account: AccountRef
    subscription_id: str | None = None
    pays_for: tuple[AccountRef, ...] = ()
    number: str | None = None
    status: Literal["draft", "open", "paid", "void", "uncollectible"]
    total_minor: int
    remaining_minor: int
    currency: Currency
    attempt_count: int = 0
    next_attempt_at: Instant | None = None
    due_at: Instant | None = None
    paid_at: Instant | None = None
    closed_at: Instant | None = None
    payment_refs: tuple[str, ...] = ()
    created_at: Instant
    updated_at: Instant | None = None

    @property
    def is_past_due(self) -> bool:
        """VENDORS 3.6: an unpaid invoice that was tried; there is no `failed` status."""
        return self.status == "open" and self.attempt_count > 0 and self.remaining_minor > 0


class PaymentAttempt(Record):
    """One try to take money. `decline_code` is the processor's word for why it failed."""

    account: AccountRef | None = None
    invoice_id: str | None = None
    payment_ref: str | None = None
    succeeded: bool
    amount_minor: int
    currency: Currency
    decline_code: str | None = None
    advice_code: str | None = None
    network_decline_code: str | None = None
    attempted_at: Instant


class UsageDay(Record):
    """How often one event was seen for one account (and person) on one day of the source."""

    account: AccountRef
    day: date
    event: str
    count: int = Field(ge=0)
    person: str | None = None


RecordTypes: tuple[type[Record], ...] = (
    Account, Person, Owner, Deal, Ticket, Subscription, Invoice, PaymentAttempt, UsageDay,
)  # fmt: skip


class Ignored(Plain):
    """A row that is fine but says nothing to the hub; `why` names the rule."""

    why: str


# --- actions: what the hub asks a connector to write -------------------------------------------


class Option(Plain):
    """One choice of an enumeration, in the hub's word and as a person reads it."""

    value: str
    label: str


class FieldSpec(Plain):
    """A field that the hub owns in a vendor's tool."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    label: str
    kind: Literal["enumeration", "date", "text"]
    help: str
    options: tuple[Option, ...] = ()


class DefineField(Plain):
    """Make sure that `object` has this field; finding it there already is success."""

    object: str
    field: FieldSpec


class SetFields(Plain):
    """Set the named fields and no others. None clears a field; dates are ISO days."""

    target: RecordKey
    values: dict[str, str | None]


class CreateTask(Plain):
    """One task for a person. `key` is the intent key that makes the task findable again.

    `owner_id` is the vendor's own id of the person; None leaves the task unassigned.
    """

    target: RecordKey
    key: str
    title: str
    body: str
    due: Instant
    priority: Literal["low", "medium", "high"] = "medium"
    owner_id: str | None = None


class ChangeTask(Plain):
    """Change the named parts of a task that exists; None leaves a part as it is."""

    target: RecordKey
    title: str | None = None
    body: str | None = None
    due: Instant | None = None
    owner_id: str | None = None


class CloseTask(Plain):
    """Close a task as done, with one line saying why."""

    target: RecordKey
    note: str


class AddNote(Plain):
    """A remark on a record, found again by its key."""

    target: RecordKey
    key: str
    text: str


Action = DefineField | SetFields | CreateTask | ChangeTask | CloseTask | AddNote
