"""rows → records → facts: each changed vendor row is validated and mapped once.

unify's equation per stream: changed = mapped + ignored (by which rule) + rejected (why).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import select, update
from sqlmodel import SQLModel

from ..config import Connection
from ..connector import Mapped, Row, Stream
from ..errors import RecordRejected
from ..model import (
    Account,
    AccountRef,
    Deal,
    Ignored,
    Invoice,
    Owner,
    PaymentAttempt,
    Person,
    Record,
    Subscription,
    Ticket,
    UsageDay,
)
from ..store import Database, canonical, digest, table_of, upsert
from ..store.tables import (
    AccountRecord,
    DealRecord,
    InvoiceRecord,
    OwnerRecord,
    PaymentAttemptRecord,
    PaymentRef,
    PersonRecord,
    SubscriptionRecord,
    TicketRecord,
    UsageRecord,
    VendorRow,
)
from .history import remember

BATCH = 1000
FACTS: Mapping[type[Record], type[SQLModel]] = {
    Account: AccountRecord,
    Person: PersonRecord,
    Owner: OwnerRecord,
    Deal: DealRecord,
    Ticket: TicketRecord,
    Subscription: SubscriptionRecord,
    Invoice: InvoiceRecord,
    PaymentAttempt: PaymentAttemptRecord,
    UsageDay: UsageRecord,
}
Values = dict[str, Any]


@dataclass
class MapCounts:
    """What became of a stream's changed rows; `rejected` pairs an id with its reason."""

    mapped: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)


def map_stream(
    database: Database,
    connection: Connection,
    stream: Stream,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> MapCounts:
    """Map every row of a stream that changed, or was rejected before, in batches."""
    counts = MapCounts()
    fields = connection.fields.get(stream.name, {})
    version = digest(canonical({"fields": dict(fields), "map": 1}))
    after = ""
    while batch := _changed_rows(database, connection, stream.name, version, after):
        after = batch[-1]["record_id"]
        _map_batch(database, stream, fields, batch, version, counts, now, zone)
    return counts


def _changed_rows(
    database: Database, connection: Connection, stream: str, version: str, after: str
) -> list[Values]:
    rows = table_of(VendorRow)
    fingerprint = rows.c.digest + ":" + version
    with database.read() as reading:
        found = reading.execute(
            select(rows)
            .where(
                rows.c.connection == connection.name,
                rows.c.object == stream,
                rows.c.record_id > after,
                rows.c.mapped.is_distinct_from(fingerprint) | (rows.c.outcome == "rejected"),
            )
            .order_by(rows.c.record_id)
            .limit(BATCH)
        ).mappings()
        return [dict(row) for row in found]


def _map_batch(
    database: Database,
    stream: Stream,
    fields: Mapping[str, str],
    batch: Sequence[Values],
    version: str,
    counts: MapCounts,
    now: datetime,
    zone: ZoneInfo,
) -> None:
    facts: dict[type[SQLModel], dict[str, Values]] = {}
    done: list[Values] = []
    gone: list[Values] = []
    for row in batch:
        outcome, why, records = _mapped(stream, fields, row)
        _count(counts, row["record_id"], outcome, why)
        for record in records:
            values = fact_values(record, row, zone)
            facts.setdefault(FACTS[type(record)], {})[record.id] = values
        if row["gone_at"] is not None:
            gone.append(row)
        elif outcome == "ignored" and row["outcome"] not in (None, "ignored"):
            gone.append({**row, "gone_at": now})  # what it was before is no fact any more
        fingerprint = f"{row['digest']}:{version}"
        done.append({**row, "mapped": fingerprint, "outcome": outcome, "why": why})
    refs = _payment_refs(facts.get(InvoiceRecord, {}))
    with database.write() as writing:
        for model, values_by_id in facts.items():
            upsert(writing, model, values_by_id.values())
            remember(writing, model, values_by_id.values(), now=now)
        upsert(writing, PaymentRef, refs)
        _mark_facts_gone(writing, stream, gone)
        upsert(writing, VendorRow, done, update=["mapped", "outcome", "why"])


def _count(counts: MapCounts, key: str, outcome: str, why: str | None) -> None:
    if outcome == "mapped":
        counts.mapped += 1
    elif outcome == "ignored":
        counts.ignored[why or ""] = counts.ignored.get(why or "", 0) + 1
    else:
        counts.rejected.append((key, why or ""))


def _mapped(
    stream: Stream, fields: Mapping[str, str], row: Values
) -> tuple[str, str | None, Sequence[Record]]:
    """(outcome, why, records) of one stored row."""
    data: Row = json.loads(row["data"])
    maps: Callable[[Row], Mapped] | None = stream.maps
    if maps is None:
        return "ignored", "the stream is kept as it is", ()
    try:
        result = maps(data)
        if isinstance(result, Ignored):
            return "ignored", result.why, ()
        records = [result] if isinstance(result, Record) else list(result)
        records = [with_custom_fields(record, stream, fields, data) for record in records]
        return "mapped", None, [_storable(record) for record in records]
    except RecordRejected as error:
        return "rejected", error.what, ()
    except ValidationError as error:
        return "rejected", _in_one_line(error), ()
    except Exception as error:  # noqa: BLE001 - one odd row never stops the others
        return "rejected", f"the mapping failed: {type(error).__name__}: {error}", ()


def _storable(record: Record) -> Record:
    """The record; RecordRejected when a number in it is larger than databases hold."""
    for name, value in vars(record).items():
        if isinstance(value, int) and abs(value) >= 2**63:
            raise RecordRejected(f"{name}: the number is too large to be kept")
    return record


def _in_one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg'].lower()}"


def with_custom_fields(
    record: Record, stream: Stream, fields: Mapping[str, str], data: Row
) -> Record:
    """The record with the fields that the connection's file maps; empty values change nothing."""
    found: Values = {}
    for ours, theirs in fields.items():
        head, _, rest = ours.partition(".")
        value = _at(data, f"{stream.custom}.{theirs}" if stream.custom else theirs)
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if head not in type(record).model_fields:
            continue
        if rest:
            found[head] = {**getattr(record, head), **found.get(head, {}), rest: str(value)}
        else:
            found[head] = value
    if not found:
        return record
    return type(record).model_validate({**dict(record), **found})


def _at(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _mark_facts_gone(writing: SqlConnection, stream: Stream, rows: Sequence[Values]) -> None:
    for row in rows:
        for model in FACTS.values():
            table = table_of(model)
            writing.execute(
                update(table)
                .where(
                    table.c.vendor == row["vendor"],
                    table.c.vendor_account == row["vendor_account"],
                    table.c.object == stream.name,
                    table.c.record_id == row["record_id"],
                )
                .values(gone_at=row["gone_at"])
            )


def _payment_refs(invoices: Mapping[str, Values]) -> list[Values]:
    """Which invoice each payment id belongs to; takes the ids out of the invoices' values."""
    found: dict[tuple[str, str, str], Values] = {}
    for row in invoices.values():
        for ref in row.pop("payment_refs"):
            key = {"vendor": row["vendor"], "vendor_account": row["vendor_account"], "ref": ref}
            found[tuple(key.values())] = {**key, "invoice_id": row["record_id"]}
    return list(found.values())


# --- record → values of a fact row ----------------------------------------------------------------


def fact_values(record: Record, row: Values, zone: ZoneInfo) -> Values:
    """The columns of one record in its fact table."""
    ref = getattr(record, "account", None)
    key = {
        "vendor": row["vendor"],
        "vendor_account": row["vendor_account"],
        "object": row["object"],
        "record_id": record.id,
        "url": record.url,
        "ref": ref_text(ref),
        "gone_at": row["gone_at"],
    }
    return {**key, **_VALUES[type(record)](record, zone)}


@lru_cache(maxsize=4096)
def ref_text(ref: AccountRef | None) -> str | None:
    """A reference as canonical text, so that equal references are resolved once."""
    return canonical(ref.model_dump(exclude_none=True)) if ref is not None else None


def _day(at: datetime | None, zone: ZoneInfo) -> date | None:
    try:
        return at.astimezone(zone).date() if at is not None else None
    except OverflowError:  # 9999-12-31T23:59Z, by which tools say "never", has no day east of it
        return at.date() if at is not None else None


def _named(refs: Sequence[AccountRef]) -> str | None:
    return canonical([ref.model_dump(exclude_none=True) for ref in refs]) if refs else None


def _account(record: Account, zone: ZoneInfo) -> Values:
    return {"name": record.name, "fields": canonical(record.model_dump(mode="json"))}


def _person(record: Person, zone: ZoneInfo) -> Values:
    email = record.email.strip().lower() if record.email else None
    return {
        "name": record.name,
        "email": email,
        "email_verified": record.email_verified,
        "role": record.role,
    }


def _owner(record: Owner, zone: ZoneInfo) -> Values:
    email = record.email.strip().lower() if record.email else None
    return {"name": record.name, "email": email, "is_active": record.is_active}


def _deal(record: Deal, zone: ZoneInfo) -> Values:
    names = ("name", "stage", "is_closed", "is_won", "amount_minor", "currency", "closed_on")
    return {**{name: getattr(record, name) for name in names}, "owner_id": record.owner_id}


def _ticket(record: Ticket, zone: ZoneInfo) -> Values:
    return {
        "subject": record.subject,
        "status": record.status,
        "priority": record.priority,
        "tags": canonical(list(record.tags)),
        "requester_id": record.requester_id,
        "opened_at": record.opened_at,
        "opened_on": _day(record.opened_at, zone),
        "closed_at": record.closed_at,
        "closed_on": _day(record.closed_at, zone),
    }


def _subscription(record: Subscription, zone: ZoneInfo) -> Values:
    return {
        "status": record.status,
        "amount_minor": record.amount_minor,
        "named": _named(record.pays_for),
        "currency": record.currency,
        "interval": record.interval,
        "interval_count": record.interval_count,
        "started_on": _day(record.started_at, zone),
        "ends_on": _day(record.ends_at, zone),
        "ended_on": _day(record.ended_at, zone),
        "period_ends_on": _day(record.period_ends_at, zone),
        "end_reason": record.end_reason,
    }


def _invoice(record: Invoice, zone: ZoneInfo) -> Values:
    settled = record.paid_at or record.closed_at
    return {
        "subscription_id": record.subscription_id,
        "named": _named(record.pays_for),
        "number": record.number,
        "status": record.status,
        "total_minor": record.total_minor,
        "remaining_minor": record.remaining_minor,
        "currency": record.currency,
        "attempt_count": record.attempt_count,
        "next_attempt_at": record.next_attempt_at,
        "created_on": _day(record.created_at, zone),
        "due_on": _day(record.due_at, zone),
        "paid_on": _day(record.paid_at, zone),
        "settled_on": _day(settled, zone),
        "payment_refs": record.payment_refs,
    }


def _attempt(record: PaymentAttempt, zone: ZoneInfo) -> Values:
    return {
        "invoice_id": record.invoice_id,
        "payment_ref": record.payment_ref,
        "succeeded": record.succeeded,
        "amount_minor": record.amount_minor,
        "currency": record.currency,
        "decline_code": record.decline_code,
        "advice_code": record.advice_code,
        "network_decline_code": record.network_decline_code,
        "attempted_at": record.attempted_at,
        "attempted_on": _day(record.attempted_at, zone),
    }


def _usage(record: UsageDay, zone: ZoneInfo) -> Values:
    return {
        "day": record.day,
        "event": record.event,
        "count": record.count,
        "person": record.person,
    }


_VALUES: Mapping[type[Record], Callable[[Any, ZoneInfo], Values]] = {
    Account: _account,
    Person: _person,
    Owner: _owner,
    Deal: _deal,
    Ticket: _ticket,
    Subscription: _subscription,
    Invoice: _invoice,
    PaymentAttempt: _attempt,
    UsageDay: _usage,
}
