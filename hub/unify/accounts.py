"""Accounts through the link log: an id is minted once, kept for ever, and merges keep the older."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from ..model import AccountRef
from ..store import Database, as_dicts, insert, table_of, upsert
from ..store.tables import AccountRecord, HubAccount, Link, PersonRecord, ReviewPair
from .matching import Candidate, Joined, Key, candidate, join_records


@dataclass
class LinkCounts:
    """What joining did: accounts minted and merged, links made, pairs left to a person."""

    records: int = 0
    accounts: int = 0
    minted: int = 0
    merged: int = 0
    links: int = 0
    to_review: int = 0


def link_accounts(
    database: Database, *, home: str | None, shared: frozenset[str], run: int, now: datetime
) -> LinkCounts:
    """Bring the link log in line with the records, in one short transaction."""
    with database.read() as reading:
        candidates = _candidates(reading, shared)
        current = current_links(reading)
        aliases = alias_map(reading)
        owners = _mailbox_owners(reading, candidates)
    by_account: dict[str, list[Key]] = defaultdict(list)
    for key, account in current.items():
        by_account[aliases.get(account, account)].append(key)
    joined = join_records(
        candidates, home=home, linked=list(by_account.values()), mailbox_owners=owners
    )
    with database.write() as writing:
        return _write_links(writing, joined, current, aliases, run, now)


def mint(key: Key) -> str:
    """The id of an account first seen as this record: `a-` and 12 base32 characters."""
    seed = hashlib.sha256("/".join(key).encode()).digest()
    return "a-" + base64.b32encode(seed).decode().lower()[:12]


def current_links(reading: Connection) -> dict[Key, str]:
    """Which account every record is, by the links in force."""
    table = table_of(Link)
    rows = reading.execute(
        select(
            table.c.vendor,
            table.c.vendor_account,
            table.c.object,
            table.c.record_id,
            table.c.account_id,
        ).where(table.c.until.is_(None), table.c.role == "is")
    )
    return {(vendor, owner, kind, key): account for vendor, owner, kind, key, account in rows}


def alias_map(reading: Connection) -> dict[str, str]:
    """Merged account id → the survivor's id, chains followed to their end."""
    table = table_of(HubAccount)
    merged_ones = select(table.c.id, table.c.alias_of).where(table.c.alias_of.is_not(None))
    direct: dict[str, str] = dict(reading.execute(merged_ones).all())
    found = {}
    for merged in direct:
        survivor = direct[merged]
        while survivor in direct:
            survivor = direct[survivor]
        found[merged] = survivor
    return found


def _candidates(reading: Connection, shared: frozenset[str]) -> list[Candidate]:
    table = table_of(AccountRecord)
    rows = as_dicts(reading, select(table).where(table.c.gone_at.is_(None)))
    return [candidate(row, shared) for row in rows]


def _mailbox_owners(reading: Connection, candidates: Sequence[Candidate]) -> dict[str, set[Key]]:
    """Mailbox → the records at which a person with it is known; an unverified one says nothing."""
    wanted = {one.mailbox for one in candidates if one.mailbox}
    by_id: dict[tuple[str, str, str], list[Key]] = defaultdict(list)
    for one in candidates:
        by_id[(*one.key[:2], one.key[3])].append(one.key)
    table = table_of(PersonRecord)
    found: dict[str, set[Key]] = defaultdict(set)
    for row in as_dicts(
        reading,
        select(table).where(
            table.c.email.is_not(None), table.c.ref.is_not(None), table.c.gone_at.is_(None)
        ),
    ):
        if row["email"] in wanted and row["email_verified"] is not False:
            ref = AccountRef.model_validate_json(row["ref"])
            named = by_id[(row["vendor"], row["vendor_account"], ref.id or "")]
            found[row["email"]].update(k for k in named if ref.object in (None, k[2]))
    return found


def _write_links(
    writing: Connection,
    joined: Joined,
    current: Mapping[Key, str],
    aliases: Mapping[str, str],
    run: int,
    now: datetime,
) -> LinkCounts:
    minted_at = _minted_at(writing)
    clusters = joined.clusters()
    counts = LinkCounts(records=len(joined.cluster_of), accounts=len(clusters))
    fresh: list[dict[str, Any]] = []
    home_of: dict[Key, str] = {}
    for members in clusters.values():
        known = sorted(
            {aliases.get(current[key], current[key]) for key in members if key in current},
            key=lambda account: (minted_at[account], account),
        )
        account = known[0] if known else _mint(writing, members[0], minted_at, run, now)
        counts.minted += not known
        for merged in known[1:]:
            counts.merged += 1
            _alias(writing, merged, account)
        for key in members:
            home_of[key] = account
            if current.get(key) != account:
                fresh.append(_link_row(joined, key, account, members, run, now))
    _end_links(
        writing, [key for key in home_of if key in current and current[key] != home_of[key]], now
    )
    insert(writing, Link, fresh)
    counts.links = len(fresh)
    counts.to_review = _keep_pairs(writing, joined, home_of, now)
    return counts


def _minted_at(writing: Connection) -> dict[str, datetime]:
    table = table_of(HubAccount)
    return dict(writing.execute(select(table.c.id, table.c.minted_at)).all())


def _mint(
    writing: Connection, first: Key, minted_at: dict[str, datetime], run: int, now: datetime
) -> str:
    account = mint(first)
    minted_at[account] = now
    writing.execute(
        table_of(HubAccount).insert().values(
            id=account, minted_at=now, minted_run=run, kind="account", domains="[]",
            lifecycle="prospect", link_confidence=1.0,
        )
    )  # fmt: skip
    return account


def _alias(writing: Connection, merged: str, survivor: str) -> None:
    table = table_of(HubAccount)
    writing.execute(update(table).where(table.c.id == merged).values(alias_of=survivor))


def _link_row(
    joined: Joined, key: Key, account: str, members: Sequence[Key], run: int, now: datetime
) -> dict[str, Any]:
    confidence, why = joined.why.get(key, (1.0, "first record of the account"))
    if len(members) == 1:
        confidence, why = 1.0, "first record of the account"
    vendor, vendor_account, kind, record = key
    return {
        "vendor": vendor,
        "vendor_account": vendor_account,
        "object": kind,
        "record_id": record,
        "account_id": account,
        "role": "is",
        "reason": why,
        "confidence": confidence,
        "since": now,
        "until": None,
        "actor": "hub",
        "run": run,
    }


def _end_links(writing: Connection, keys: Sequence[Key], now: datetime) -> None:
    table = table_of(Link)
    for vendor, vendor_account, kind, record in keys:
        writing.execute(
            update(table)
            .where(
                table.c.vendor == vendor,
                table.c.vendor_account == vendor_account,
                table.c.object == kind,
                table.c.record_id == record,
                table.c.role == "is",
                table.c.until.is_(None),
            )
            .values(until=now)
        )


def _keep_pairs(
    writing: Connection, joined: Joined, home_of: Mapping[Key, str], now: datetime
) -> int:
    """Remember what a person must decide; a decision once made is not asked again."""
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    for left_key, right_key, confidence, why in joined.weak:
        left, right = sorted((home_of[left_key], home_of[right_key]))
        pairs[(left, right)] = {
            "left": left,
            "right": right,
            "reason": why,
            "confidence": confidence,
            "state": "open",
            "seen_at": now,
        }
    table = table_of(ReviewPair)
    decided = table.c.state != "open"
    writing.execute(table.delete().where(~decided))
    kept = {(left, right) for left, right in writing.execute(select(table.c.left, table.c.right))}
    fresh = [row for pair, row in pairs.items() if pair not in kept]
    upsert(writing, ReviewPair, fresh)
    return len(fresh)
