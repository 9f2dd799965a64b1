"""What the hub concludes about each account: name, owner, lifecycle, renewal, and what it can know.

Where records disagree the account's home tool (`tasks_to`) speaks first, then the connections in
the order of their files.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    func,
    literal_column,
    select,
    text,
    update,
)

from ..conditions import compile_condition
from ..config import Config
from ..configfiles import ACCOUNT_NAMES
from ..store import Database, as_dicts, table_of, upsert
from ..store.tables import (
    AccountRecord,
    Coverage,
    DealRecord,
    Evidence,
    HubAccount,
    InvoiceRecord,
    Link,
    OwnerRecord,
    SubscriptionRecord,
    TicketRecord,
    UsageRecord,
)
from .freshness import Ready, readiness
from .history import remember

LIVE = ("active", "past_due", "unpaid", "paused")
"""States of a subscription in which somebody is a customer; a trial is not one yet."""

SINGLE_FIELDS = ("stage", "country", "industry", "employees", "plan", "signed_up_on")


@dataclass(frozen=True)
class Known:
    """Everything stored about one account, gathered for one conclusion."""

    account: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    deals: Sequence[Mapping[str, Any]]
    subscriptions: Sequence[Mapping[str, Any]]
    pays_for_others: bool
    confidence: float


def conclude(database: Database, config: Config, *, now: datetime, day: date) -> dict[str, int]:
    """Write what is concluded about every account; returns the number of each lifecycle."""
    with database.read() as reading:
        gathered = _gather(reading, config)
        owners = _owners(reading, config)
    rows = [_concluded(known, config, owners) for known in gathered]
    for start in range(0, len(rows), 500):
        batch = rows[start : start + 500]
        with database.write() as writing:
            upsert(writing, HubAccount, batch)
            _apply_customer_condition(writing, config, [row["id"] for row in batch])
            remember(writing, HubAccount, _reread(writing, batch), now=now)
    with database.write() as writing:
        _write_coverage(writing, config, day)
    with database.read() as reading:
        table = table_of(HubAccount)
        counted = reading.execute(
            select(table.c.lifecycle, func.count())
            .where(table.c.alias_of.is_(None), table.c.kind == "account")
            .group_by(table.c.lifecycle)
        )
        return {lifecycle: int(number) for lifecycle, number in counted}


def priority(config: Config) -> list[str]:
    """Vendors in the order in which they are believed: the tasks' home first."""
    homes = [config.connections[name].connector for name in config.tasks_to.values()]
    return list(dict.fromkeys([*homes, *(c.connector for c in config.connections.values())]))


def _gather(reading: Connection, config: Config) -> list[Known]:
    order = {vendor: index for index, vendor in enumerate(priority(config))}
    accounts = as_dicts(reading, select(table_of(HubAccount)).where(_alive()))
    records, vanished = (
        _by_account(reading, AccountRecord),
        _by_account(reading, AccountRecord, gone=True),
    )
    deals = _by_account(reading, DealRecord)
    subscriptions, payers = _subscriptions(reading)
    confidence = _confidence(reading)
    found = []
    for account in accounts:
        key = account["id"]
        mine = sorted(
            records.get(key) or vanished.get(key, []),
            key=lambda r: (order.get(r["vendor"], 99), *_open_deals_first(r, deals.get(key, ()))),
        )
        found.append(
            Known(
                account=account,
                records=[{**row, **{"fields": json.loads(row["fields"])}} for row in mine],
                deals=deals.get(key, ()),
                subscriptions=subscriptions.get(key, ()),
                pays_for_others=key in payers,
                confidence=confidence.get(key, 1.0),
            )
        )
    return found


def _alive() -> Any:
    return table_of(HubAccount).c.alias_of.is_(None)


def _by_account(
    reading: Connection, model: Any, *, gone: bool = False
) -> dict[str, list[dict[str, Any]]]:
    table = table_of(model)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    wanted = table.c.gone_at.is_not(None) if gone else table.c.gone_at.is_(None)
    for row in as_dicts(reading, select(table).where(table.c.account_id.is_not(None), wanted)):
        found[row["account_id"]].append(row)
    return found


def _open_deals_first(
    record: Mapping[str, Any], deals: Sequence[Mapping[str, Any]]
) -> tuple[int, int, str]:
    """The primary record has most open deals, then the lowest id."""
    ref = record["record_id"]
    open_deals = sum(
        1
        for deal in deals
        if not deal["is_closed"] and json.loads(deal["ref"] or "{}").get("id") == ref
    )
    return (-open_deals, len(ref), ref)


def _subscriptions(
    reading: Connection,
) -> tuple[dict[str, list[dict[str, Any]]], set[str]]:
    """Subscriptions by the account they are evidence for, and the accounts that pay for others."""
    table, evidence = table_of(SubscriptionRecord), table_of(Evidence)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    statement = select(table, evidence.c.account_id.label("speaks_for")).join(
        evidence, _same_record(table, evidence)
    )
    for row in as_dicts(reading, statement):
        found[row["speaks_for"]].append(row)
    payers = reading.execute(
        select(table.c.account_id)
        .where(table.c.named.is_not(None), table.c.account_id.is_not(None))
        .distinct()
    ).scalars()
    return found, set(payers)


def _same_record(left: Table, right: Table) -> ColumnElement[bool]:
    parts = ("vendor", "vendor_account", "object", "record_id")
    return and_(*(left.c[part] == right.c[part] for part in parts))


def _confidence(reading: Connection) -> dict[str, float]:
    table = table_of(Link)
    weakest = reading.execute(
        select(table.c.account_id, func.min(table.c.confidence))
        .where(table.c.until.is_(None), table.c.role == "is")
        .group_by(table.c.account_id)
    )
    return {account: float(value) for account, value in weakest}


def _owners(reading: Connection, config: Config) -> dict[tuple[str, str], str]:
    """(vendor, owner id) → the person in hub.yaml with the same e-mail address."""
    people = {person.email.lower(): key for key, person in config.people.items()}
    table = table_of(OwnerRecord)
    return {
        (row["vendor"], row["record_id"]): people[row["email"]]
        for row in as_dicts(
            reading, select(table).where(table.c.is_active, table.c.gone_at.is_(None))
        )
        if row["email"] in people
    }


def _concluded(
    known: Known, config: Config, owners: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    fields = [record["fields"] for record in known.records]
    owner = next((r for r in known.records if r["fields"].get("owner_id")), None)
    owner_key = (owner["vendor"], owner["fields"]["owner_id"]) if owner else None
    lifecycle, why = _lifecycle(known, config)
    live = [s for s in known.subscriptions if s["status"] in LIVE]
    domains = [domain for one in fields for domain in one.get("domains", ())]
    return {
        "id": known.account["id"],
        "minted_at": known.account["minted_at"],
        "minted_run": known.account["minted_run"],
        "kind": _kind(known, fields),
        "name": _first(fields, "name"),
        "domains": json.dumps(list(dict.fromkeys(domains))),
        "lifecycle": lifecycle,
        "lifecycle_why": why,
        "owner": owners.get(owner_key) if owner_key else None,
        "owner_vendor": owner_key[0] if owner_key else None,
        "owner_id": owner_key[1] if owner_key else None,
        **{name: _first(fields, name) for name in SINGLE_FIELDS if name != "signed_up_on"},
        "signed_up_on": _date(_first(fields, "signed_up_on")),
        "renewal_on": _date(_first(fields, "renewal_on")) or _yearly_end(live),
        "billing_interval": next((s["interval"] for s in live if s["interval"]), None),
        "link_confidence": known.confidence,
    }


def _kind(known: Known, fields: Sequence[Mapping[str, Any]]) -> str:
    """A payer only pays for others: a record says so, or nothing that it pays is its own."""
    says_so = any(one.get("kind") == "payer" for one in fields)
    pays_only_for_others = known.pays_for_others and not known.subscriptions
    return "payer" if says_so or pays_only_for_others else "account"


def _first(fields: Sequence[Mapping[str, Any]], name: str) -> Any:
    return next((one[name] for one in fields if one.get(name) not in (None, "")), None)


def _date(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _yearly_end(live: Sequence[Mapping[str, Any]]) -> date | None:
    """The period end of a yearly (or longer) subscription; a monthly one has no renewal date."""
    ends = [
        s["period_ends_on"]
        for s in live
        if s["period_ends_on"]
        and (s["interval"] == "year" or (s["interval"] == "month" and s["interval_count"] >= 12))
    ]
    return min(ends, default=None)


def _lifecycle(known: Known, config: Config) -> tuple[str, str]:
    """By the first evidence that speaks (DESIGN 3); trials and unpaid starts do not speak."""
    states = {s["status"] for s in known.subscriptions}
    if states & set(LIVE):
        return "customer", "a live subscription"
    if "ended" in states:
        return "former", "only ended subscriptions"
    if any(deal["is_won"] for deal in known.deals):
        return "customer", "a closed-won deal"
    living = [record["fields"] for record in known.records if record["gone_at"] is None]
    stage = _first(living, "stage")
    if stage is not None and stage in config.customers.stages:
        return "customer", f"the CRM stage {stage}"
    return "prospect", "nothing says that it is a customer"


def _apply_customer_condition(writing: Connection, config: Config, ids: Sequence[str]) -> None:
    """`customers: when:` of hub.yaml speaks last, about accounts that nothing else spoke about."""
    if config.customers.when is None:
        return
    condition = compile_condition(config.customers.when, ACCOUNT_NAMES, where="hub.yaml, customers")
    dialect = writing.dialect.name
    sql = condition.sql("postgresql" if dialect == "postgresql" else "sqlite")
    # An account that no subscription speaks about brings no revenue that could be compared.
    known = "SELECT account.*, CAST(NULL AS INTEGER) AS mrr_minor FROM account"
    known_ids: Select[Any] = (
        select(literal_column("id"))
        .select_from(text(f"({known}) AS known"))
        .where(literal_column(sql))
    )
    table = table_of(HubAccount)
    writing.execute(
        update(table)
        .where(
            table.c.lifecycle == "prospect",
            table.c.id.in_(ids),
            table.c.id.in_(known_ids),
        )
        .values(lifecycle="customer", lifecycle_why="customers: when in hub.yaml")
    )


def _reread(writing: Connection, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    table = table_of(HubAccount)
    return as_dicts(writing, select(table).where(table.c.id.in_([row["id"] for row in batch])))


# --- coverage -------------------------------------------------------------------------------------

_KINDS: Mapping[str, tuple[tuple[Any, str], ...]] = {
    "tickets": ((TicketRecord, "opened_on"),),
    "billing": ((InvoiceRecord, "created_on"),),
    "usage": ((UsageRecord, "day"),),
}


def _write_coverage(writing: Connection, config: Config, day: date) -> None:
    """What the hub can know about each account from each connection, and since when (DESIGN 5)."""
    table = table_of(Coverage)
    present = readiness(writing, config)
    linked, lost = _identifiers(writing)
    domains = _with_domains(writing)
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for kind, facts in _KINDS.items():
        for model, column in facts:
            for source in present.get(kind, ()):
                first = _first_days(writing, model, column, source)
                tool = (source.vendor, source.vendor_account)
                known = linked.get(tool, set())
                if tool not in linked and source.absence == "zero":
                    known = _nameable(writing, model, source, linked, domains)
                for account in {*first, *known}:
                    gone = account in lost.get(tool, ())
                    row = _covered(account, kind, source, first.get(account), gone)
                    if row is not None:
                        rows[(account, kind, source.connection)] = row
    writing.execute(table.delete())
    upsert(writing, Coverage, rows.values())


def _covered(
    account: str, kind: str, source: Ready, first: date | None, lost: bool
) -> dict[str, Any] | None:
    if lost:
        basis, from_day = "lost", first or source.from_day
    elif source.absence == "zero":
        basis = "seen" if first else "zero"
        from_day = min(source.from_day, first) if first else source.from_day
    elif first is not None:
        basis, from_day = "seen", first
    else:
        return None
    return {
        "account_id": account,
        "kind": kind,
        "connection": source.connection,
        "from_day": from_day,
        "fresh_until": source.fresh_until,
        "basis": basis,
    }


def _first_days(writing: Connection, model: Any, column: str, source: Ready) -> dict[str, date]:
    """The first day of a source's facts about each account."""
    table, evidence = table_of(model), table_of(Evidence)
    account: ColumnElement[Any] = table.c.account_id
    facts = select(account, func.min(table.c[column]))
    if model is InvoiceRecord:
        account = evidence.c.account_id
        facts = select(account, func.min(table.c[column])).join(
            evidence, _same_record(table, evidence)
        )
    rows = writing.execute(facts.where(_of(source, table), account.is_not(None)).group_by(account))
    return dict(rows.all())


def _of(source: Ready, table: Table) -> ColumnElement[bool]:
    return and_(table.c.vendor == source.vendor, table.c.vendor_account == source.vendor_account)


def _nameable(
    writing: Connection,
    model: Any,
    source: Ready,
    linked: Mapping[tuple[str, str], set[str]],
    with_domains: set[str],
) -> set[str]:
    """The accounts that a source without account records of its own could name, by how it names."""
    table = table_of(model)
    texts = select(table.c.ref).where(_of(source, table), table.c.ref.is_not(None)).distinct()
    refs = [json.loads(text) for text in writing.execute(texts).scalars()]
    vendors = {ref["vendor"] for ref in refs if "vendor" in ref}
    found = {a for tool, accounts in linked.items() if tool[0] in vendors for a in accounts}
    return found | with_domains if any("domain" in ref for ref in refs) else found


def _with_domains(writing: Connection) -> set[str]:
    table = table_of(HubAccount)
    return set(writing.execute(select(table.c.id).where(table.c.domains != "[]")).scalars())


def _identifiers(
    writing: Connection,
) -> tuple[dict[tuple[str, str], set[str]], dict[tuple[str, str], set[str]]]:
    """Accounts with a record in each vendor account now, and those that had one and lost it."""
    link, record = table_of(Link), table_of(AccountRecord)
    linked: dict[tuple[str, str], set[str]] = defaultdict(set)
    once: dict[tuple[str, str], set[str]] = defaultdict(set)
    is_there = and_(
        link.c.until.is_(None), record.c.vendor.is_not(None), record.c.gone_at.is_(None)
    )
    statement = (
        select(link.c.vendor, link.c.vendor_account, link.c.account_id, is_there)
        .outerjoin(record, _same_record(link, record))
        .where(link.c.role == "is")
    )
    for vendor, vendor_account, account, now in writing.execute(statement):
        (linked if now else once)[(vendor, vendor_account)].add(account)
    lost = {tool: accounts - linked.get(tool, set()) for tool, accounts in once.items()}
    return linked, lost
