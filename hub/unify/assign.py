"""Which account each fact belongs to: a reference is resolved once for all rows that share it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, select, update

from ..model import AccountRef
from ..store import Database, as_dicts, table_of, upsert
from ..store.tables import (
    AccountRecord,
    DealRecord,
    Evidence,
    InvoiceRecord,
    PaymentAttemptRecord,
    PaymentRef,
    PersonRecord,
    SubscriptionRecord,
    TicketRecord,
    UsageRecord,
)
from .accounts import alias_map, current_links
from .domains import business_domain
from .matching import key_of

REFERRING = (
    PersonRecord, DealRecord, TicketRecord, SubscriptionRecord, InvoiceRecord,
    PaymentAttemptRecord, UsageRecord,
)  # fmt: skip

FEW = 20
"""So many references are worked in by one write transaction: each may have hundreds of rows."""

Move: TypeAlias = tuple[str, str, str | None, str | None, str | None]
"""vendor, vendor account, reference, the account that its rows have and the one they get."""


@dataclass(frozen=True)
class Directory:
    """Everything by which a record may name its account."""

    by_record: Mapping[tuple[str, str, str, str], str]
    by_id: Mapping[tuple[str, str, str], str]
    by_vendor_id: Mapping[tuple[str, str], str]
    by_domain: Mapping[str, str]
    by_mailbox: Mapping[str, str]
    shared: frozenset[str] = frozenset()

    def resolve(self, ref: AccountRef, vendor: str, vendor_account: str) -> str | None:
        """The account a reference names, or None; never a guess between two."""
        found: str | None = None
        if ref.id is not None and ref.object is not None:
            found = self.by_record.get((vendor, vendor_account, ref.object, ref.id))
        elif ref.id is not None:
            found = self.by_id.get((vendor, vendor_account, ref.id))
        if found is None and ref.vendor is not None and ref.external_id is not None:
            found = self.by_vendor_id.get((ref.vendor, ref.external_id))
        if found is None and (domain := business_domain(ref.domain, self.shared)):
            found = self.by_domain.get(domain)
        if found is None and ref.email is not None:
            mailbox = ref.email.strip().lower()
            domain = business_domain(mailbox, self.shared)
            found = self.by_mailbox.get(mailbox) or self.by_domain.get(domain or "")
        return found


def open_directory(reading: Connection, shared: frozenset[str]) -> Directory:
    """The directory of the links in force; what names two accounts names none."""
    aliases = alias_map(reading)
    by_record = {key: aliases.get(a, a) for key, a in current_links(reading).items()}
    by_id: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    by_vendor_id: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (vendor, vendor_account, _, record), account in by_record.items():
        by_id[(vendor, vendor_account, record)].add(account)
        by_vendor_id[(vendor, record)].add(account)
    by_domain: dict[str, set[str]] = defaultdict(set)
    table = table_of(AccountRecord)
    for row in as_dicts(reading, select(table).where(table.c.gone_at.is_(None))):
        key = key_of(row)
        for text in json.loads(row["fields"]).get("domains", ()):
            if (domain := business_domain(text, shared)) and key in by_record:
                by_domain[domain].add(by_record[key])
    found = Directory(by_record, _only(by_id), _only(by_vendor_id), _only(by_domain), {}, shared)
    return replace(found, by_mailbox=_only(_mailboxes(reading, found)))


def _only(found: Mapping[Any, set[str]]) -> dict[Any, str]:
    return {key: next(iter(accounts)) for key, accounts in found.items() if len(accounts) == 1}


def _mailboxes(reading: Connection, directory: Directory) -> dict[str, set[str]]:
    """The accounts at which each mailbox is known, by what its person says beside the mailbox.

    A person who was deleted still holds a mailbox that nobody else has.
    """
    table = table_of(PersonRecord)
    living: dict[str, set[str]] = defaultdict(set)
    gone: dict[str, set[str]] = defaultdict(set)
    for row in as_dicts(
        reading,
        select(table).where(
            table.c.email.is_not(None),
            table.c.ref.is_not(None),
            table.c.email_verified.is_distinct_from(False),
        ),
    ):
        ref = AccountRef.model_validate_json(row["ref"]).model_copy(update={"email": None})
        account = directory.resolve(ref, row["vendor"], row["vendor_account"])
        if account is not None:
            (living if row["gone_at"] is None else gone)[row["email"]].add(account)
    return {**gone, **living}


def assign_accounts(database: Database, shared: frozenset[str]) -> int:
    """Give every fact its account; returns how many references changed their account."""
    with database.read() as reading:
        directory = open_directory(reading, shared)
    changed = 0
    for model in REFERRING:
        moves = _moves(database, model, directory)
        for start in range(0, len(moves), FEW):
            with database.write() as writing:
                _move(writing, model, moves[start : start + FEW])
        changed += len(moves)
    with database.write() as writing:
        _link_account_records(writing, directory)
        _find_invoices(writing)
        _write_evidence(writing, directory)
    return changed


def _moves(database: Database, model: Any, directory: Directory) -> list[Move]:
    table = table_of(model)
    distinct = select(
        table.c.vendor, table.c.vendor_account, table.c.ref, table.c.account_id
    ).distinct()
    found: list[Move] = []
    with database.read() as reading:
        for vendor, vendor_account, ref, before in reading.execute(distinct):
            account = None
            if ref is not None:
                named = AccountRef.model_validate_json(ref)
                account = directory.resolve(named, vendor, vendor_account)
            if account != before:
                found.append((vendor, vendor_account, ref, before, account))
    return found


def _move(writing: Connection, model: Any, moves: Sequence[Move]) -> None:
    table = table_of(model)
    for vendor, vendor_account, ref, before, account in moves:
        writing.execute(
            update(table)
            .where(
                table.c.vendor == vendor,
                table.c.vendor_account == vendor_account,
                table.c.ref.is_(None) if ref is None else table.c.ref == ref,
                table.c.account_id.is_not_distinct_from(before),
            )
            .values(account_id=account)
        )


def _link_account_records(writing: Connection, directory: Directory) -> None:
    table = table_of(AccountRecord)
    parts = ("vendor", "vendor_account", "object", "record_id")
    key = [table.c[part] for part in parts]
    moves = [
        {**{f"its_{part}": row[part] for part in parts}, "account": account}
        for row in as_dicts(writing, select(*key, table.c.account_id))
        if (account := directory.by_record.get(key_of(row))) != row["account_id"]
    ]
    if moves:
        same = [table.c[part] == bindparam(f"its_{part}") for part in parts]
        writing.execute(update(table).where(*same).values(account_id=bindparam("account")), moves)


def _find_invoices(writing: Connection) -> None:
    """Name the invoice of payment attempts that only know their payment."""
    attempts, refs = table_of(PaymentAttemptRecord), table_of(PaymentRef)
    invoice = (
        select(refs.c.invoice_id)
        .where(
            refs.c.vendor == attempts.c.vendor,
            refs.c.vendor_account == attempts.c.vendor_account,
            refs.c.ref.in_((attempts.c.payment_ref, attempts.c.record_id)),
        )
        .limit(1)
        .scalar_subquery()
    )
    writing.execute(
        update(attempts).where(attempts.c.invoice_id.is_(None)).values(invoice_id=invoice)
    )


def _write_evidence(writing: Connection, directory: Directory) -> None:
    """Subscriptions and invoices speak for the accounts they name, else for the payer's own.

    What an agency pays without naming anybody speaks for nobody, and is listed as unassigned.
    """
    wanted: dict[tuple[str, ...], str] = {}
    subscriptions, invoices = (
        as_dicts(writing, select(table).where(table.c.gone_at.is_(None)))
        for table in (table_of(SubscriptionRecord), table_of(InvoiceRecord))
    )
    named_by = {
        (row["vendor"], row["vendor_account"], row["record_id"]): row["named"]
        for row in subscriptions
    }
    agencies = _agencies(writing, subscriptions, directory)
    for row in subscriptions:
        _speak(wanted, row, row["named"], directory, agencies)
    for row in invoices:
        subscription = (row["vendor"], row["vendor_account"], row["subscription_id"] or "")
        named = row["named"] or named_by.get(subscription)
        _speak(wanted, row, named, directory, agencies)
    table = table_of(Evidence)
    key_columns = [table.c[name] for name in _EVIDENCE_KEY]
    present = {tuple(row) for row in writing.execute(select(*key_columns))}
    for key in present - wanted.keys():
        same = [column == part for column, part in zip(key_columns, key, strict=True)]
        writing.execute(delete(table).where(*same))
    fresh = [
        {**dict(zip(_EVIDENCE_KEY, key, strict=True)), "role": role}
        for key, role in wanted.items()
        if key not in present
    ]
    upsert(writing, Evidence, fresh)


_EVIDENCE_KEY = ("vendor", "vendor_account", "object", "record_id", "account_id")


def _agencies(
    writing: Connection, subscriptions: Sequence[Mapping[str, Any]], directory: Directory
) -> set[str]:
    """Accounts that pay for others: by their own record, or with most of their subscriptions."""
    table = table_of(AccountRecord)
    records = as_dicts(writing, select(table).where(table.c.account_id.is_not(None)))
    agencies = {
        row["account_id"] for row in records if json.loads(row["fields"]).get("kind") == "payer"
    }
    balance: dict[str, int] = defaultdict(int)
    for row in subscriptions:
        if row["account_id"] is not None:
            is_own = row["account_id"] in _named(row, row["named"], directory, row["account_id"])
            balance[row["account_id"]] += -1 if is_own else 1
    return agencies | {account for account, number in balance.items() if number > 0}


def _speak(
    wanted: dict[tuple[str, ...], str],
    row: Mapping[str, Any],
    named: str | None,
    directory: Directory,
    agencies: set[str],
) -> None:
    key = (row["vendor"], row["vendor_account"], row["object"], row["record_id"])
    own = row["account_id"]
    for account in _named(row, named, directory, None if own in agencies else own):
        wanted[(*key, account)] = "pays_for" if account != own else "is"


def _named(
    row: Mapping[str, Any], named: str | None, directory: Directory, otherwise: str | None
) -> set[str]:
    """The accounts that are named, or the other one when nobody is."""
    tool = (row["vendor"], row["vendor_account"])
    refs = [AccountRef.model_validate(ref) for ref in json.loads(named)] if named else []
    found = {directory.resolve(ref, *tool) for ref in refs} if refs else {otherwise}
    return {account for account in found if account is not None}


def unassigned(reading: Connection) -> dict[str, int]:
    """How many facts of each kind belong to no account, for the summary and `hub doctor`."""
    found = {}
    for model in REFERRING:
        table, evidence = table_of(model), table_of(Evidence)
        nobodys: ColumnElement[bool] = table.c.account_id.is_(None)
        if model in (SubscriptionRecord, InvoiceRecord):
            same = (evidence.c[part] == table.c[part] for part in _EVIDENCE_KEY[:-1])
            nobodys = ~exists().where(*same)
        statement = (
            select(func.count()).select_from(table).where(nobodys, table.c.gone_at.is_(None))
        )
        if number := reading.execute(statement).scalar_one():
            found[table.name] = int(number)
    return found
