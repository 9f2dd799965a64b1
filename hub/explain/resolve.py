"""Which account a person means: by id, domain, name, vendor/object/id, or a task's key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from ..errors import UsageError
from ..store import as_dicts, table_of
from ..store.tables import (
    AccountRecord,
    ConnectionState,
    DealRecord,
    DesiredTask,
    Evidence,
    HubAccount,
    InvoiceRecord,
    LedgerEntry,
    Link,
    PaymentAttemptRecord,
    PersonRecord,
    SubscriptionRecord,
    TicketRecord,
)

TASK_KEY = re.compile(r"[a-z]+-[a-z2-7]{20}")
CANDIDATES = 10
FACTS: tuple[type[SQLModel], ...] = (
    AccountRecord, PersonRecord, DealRecord, TicketRecord, SubscriptionRecord, InvoiceRecord,
    PaymentAttemptRecord,
)  # fmt: skip


def resolve(reading: Connection, text: str) -> str:
    """The account's id; an alias leads to its survivor.

    Raises UsageError: NOT_FOUND, or AMBIGUOUS with the candidates.
    """
    text = text.strip()
    accounts = {row["id"]: row for row in as_dicts(reading, select(table_of(HubAccount)))}
    for find in (_by_id, _by_task, _by_record, _by_domain, _by_name):
        found = {_survivor(accounts, one) for one in find(reading, text, accounts)}
        if len(found) > 1:
            raise _ambiguous(text, [accounts[one] for one in found])
        if found:
            return found.pop()
    raise UsageError(
        f"no account is called {text}",
        do="Give an account id, a domain, a name, vendor/object/id, or a task's key",
        code="NOT_FOUND",
    )


Accounts = Mapping[str, Mapping[str, Any]]


def _survivor(accounts: Accounts, account: str) -> str:
    while (survivor := accounts[account]["alias_of"]) is not None:
        account = survivor
    return account


def _by_id(reading: Connection, text: str, accounts: Accounts) -> Iterable[str]:
    return [text] if text in accounts else []


def _by_task(reading: Connection, text: str, accounts: Accounts) -> Iterable[str]:
    """The account of an intent key, as tasks carry it."""
    if not TASK_KEY.fullmatch(text):
        return []
    tasks, ledger = table_of(DesiredTask), table_of(LedgerEntry)
    wanted = reading.execute(select(tasks.c.account_id).where(tasks.c.key == text))
    written = reading.execute(select(ledger.c.account_id).where(ledger.c.key == text))
    return {one for one in (*wanted.scalars(), *written.scalars()) if one in accounts}


def _by_record(reading: Connection, text: str, accounts: Accounts) -> Iterable[str]:
    """`hubspot/companies/123`, or the whole key with the vendor account as its second part."""
    parts = text.split("/")
    if len(parts) < 3:
        return []
    found = _accounts_of(reading, parts[0], None, parts[1], "/".join(parts[2:]))
    if not found and len(parts) > 3:
        found = _accounts_of(reading, parts[0], parts[1], parts[2], "/".join(parts[3:]))
    return found & accounts.keys()


def _accounts_of(
    reading: Connection, tool: str, vendor_account: str | None, kind: str, key: str
) -> set[str]:
    states = table_of(ConnectionState)
    named = reading.execute(select(states.c.vendor).where(states.c.connection == tool))
    vendors = {tool, *named.scalars()}
    found: set[str] = set()
    models: tuple[type[SQLModel], ...] = (Link, Evidence, *FACTS)
    for model in models:
        table = table_of(model)
        statement = select(table.c.account_id).where(
            table.c.vendor.in_(vendors), table.c.object == kind, table.c.record_id == key
        )
        if vendor_account is not None:
            statement = statement.where(table.c.vendor_account == vendor_account)
        if model is Link:
            statement = statement.where(table.c.until.is_(None), table.c.role == "is")
        found = {one for one in reading.execute(statement).scalars() if one is not None}
        if found:
            break
    return found


def _by_domain(reading: Connection, text: str, accounts: Accounts) -> Iterable[str]:
    wanted = text.lower().removeprefix("www.")
    return [
        one
        for one, row in accounts.items()
        if row["alias_of"] is None and wanted in json.loads(row["domains"])
    ]


def _by_name(reading: Connection, text: str, accounts: Accounts) -> Iterable[str]:
    """Exactly this name, else in other capitals, else the only name that has it inside."""
    names = {
        one: row["name"] for one, row in accounts.items() if row["alias_of"] is None and row["name"]
    }
    folded = text.casefold()
    for fits in (
        lambda name: name == text,
        lambda name: name.casefold() == folded,
        lambda name: folded in name.casefold(),
    ):
        found = [one for one, name in names.items() if text and fits(name)]
        if found:
            return found
    return []


def _ambiguous(text: str, found: Sequence[Mapping[str, Any]]) -> UsageError:
    ordered = sorted(found, key=lambda row: (row["lifecycle"] != "customer", row["name"] or ""))
    listed = [f"{row['name'] or 'no name'} ({row['id']}, {row['lifecycle']})" for row in ordered]
    more = f" and {len(listed) - CANDIDATES} more" if len(listed) > CANDIDATES else ""
    return UsageError(
        f"{text} fits {len(listed)} accounts: {'; '.join(listed[:CANDIDATES])}{more}",
        do="Give the id of one of them",
        code="AMBIGUOUS",
    )
