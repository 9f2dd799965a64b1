"""Accounts through the link log: an id is minted once, kept for ever, and merges keep the older."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from ..model import AccountRef
from ..store import Database, as_dicts, insert, table_of, upsert
from ..store.tables import AccountRecord, HubAccount, Link, PersonRecord, ReviewPair
from .matching import EXPLICIT, Candidate, Joined, Key, candidate, join_records, key_of

BATCH = 500
"""So many accounts are linked in one write transaction."""

FIRST = (1.0, "first record of the account")


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
    """Bring the link log in line with the records, some accounts in each transaction."""
    with database.read() as reading:
        records = as_dicts(reading, select(table_of(AccountRecord)))
        candidates = [candidate(row, shared) for row in records if row["gone_at"] is None]
        current = current_links(reading)
        known = Known(current, alias_map(reading), _reasons(reading))
        owners = _mailbox_owners(reading, candidates)
        minted_at = _minted_at(reading)
    merged_away = _merged_away(records)
    joined = join_records(
        [*candidates, *(Candidate.without_evidence(key) for key in merged_away)],
        home=home,
        linked=[*known.groups(), *merged_away.items()],
        mailbox_owners=owners,
    )
    for key, survivor in merged_away.items():
        joined.why[key] = (EXPLICIT, f"merged into {survivor[0]} {survivor[3]} there")
    clusters = joined.clusters()
    counts = LinkCounts(records=len(candidates), accounts=len(clusters))
    heirs = _heirs(clusters, known, home)
    home_of: dict[Key, str] = {}
    firsts = list(clusters)
    for start in range(0, len(firsts), BATCH):
        some = {first: clusters[first] for first in firsts[start : start + BATCH]}
        linking = _Linking(joined, known, heirs, minted_at, run, now)
        with database.write() as writing:
            linking.write(writing, some, counts)
        home_of.update(linking.home_of)
    with database.write() as writing:
        counts.to_review = _keep_pairs(writing, joined, home_of, now)
    return counts


@dataclass(frozen=True)
class Known:
    """What the link log holds: the account, and the confidence and reason, of every record."""

    current: Mapping[Key, str]
    aliases: Mapping[str, str]
    reasons: Mapping[Key, tuple[float, str]]

    def account(self, key: Key) -> str | None:
        """The account that a record is, merges followed."""
        account = self.current.get(key)
        return None if account is None else self.aliases.get(account, account)

    def groups(self) -> list[list[Key]]:
        """The records of each account."""
        found: dict[str | None, list[Key]] = defaultdict(list)
        for key in self.current:
            found[self.account(key)].append(key)
        return list(found.values())


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


def _reasons(reading: Connection) -> dict[Key, tuple[float, str]]:
    table = table_of(Link)
    rows = as_dicts(reading, select(table).where(table.c.until.is_(None), table.c.role == "is"))
    return {key_of(row): (row["confidence"], row["reason"]) for row in rows}


def _merged_away(records: Sequence[Mapping[str, Any]]) -> dict[Key, Key]:
    """Ids that a tool merged into others, and the record that each lives on in."""
    living = {key_of(row) for row in records if row["gone_at"] is None}
    into: dict[Key, Key] = {}
    for row in records:
        survivor = key_of(row)
        for vanished in json.loads(row["fields"]).get("merged_ids", ()):
            into[(*survivor[:3], vanished)] = survivor
    found = {}
    for key in into.keys() - living:
        survivor, seen = into[key], {key}
        while survivor not in living and survivor in into and survivor not in seen:
            seen.add(survivor)
            survivor = into[survivor]
        if survivor in living:
            found[key] = survivor
    return found


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


class _Linking:
    """Writes which account each record of some clusters is."""

    def __init__(
        self,
        joined: Joined,
        known: Known,
        heirs: Mapping[str, Key],
        minted_at: Mapping[str, datetime],
        run: int,
        now: datetime,
    ) -> None:
        self.joined = joined
        self.known = known
        self.heirs = heirs
        self.minted_at = minted_at
        self.run = run
        self.now = now
        self.home_of: dict[Key, str] = {}
        self.minted: list[dict[str, Any]] = []
        self.fresh: list[dict[str, Any]] = []

    def write(
        self, writing: Connection, clusters: Mapping[Key, Sequence[Key]], counts: LinkCounts
    ) -> None:
        """Mint, merge and link; adds to the counts."""
        for first, members in clusters.items():
            account, *merged = self._accounts_of(first, members)
            for other in merged:
                counts.merged += 1
                _alias(writing, other, account)
            for key in members:
                self.home_of[key] = account
                if self.known.current.get(key) != account:
                    self.fresh.append(self._link(key, account, is_alone=len(members) == 1))
        insert(writing, HubAccount, self.minted)
        moved = [key for key, account in self.home_of.items() if self._was_elsewhere(key, account)]
        _end_links(writing, moved, self.now)
        insert(writing, Link, self.fresh)
        counts.minted += len(self.minted)
        counts.links += len(self.fresh)

    def _accounts_of(self, first: Key, members: Sequence[Key]) -> list[str]:
        """The accounts that become one here, the oldest first; a new one where there is none."""
        known = {self.known.account(key) for key in members}
        accounts = sorted(
            (account for account in known if account and self.heirs[account] == first),
            key=lambda account: (self.minted_at[account], account),
        )
        if accounts:
            return accounts
        newcomers = (key for key in members if key not in self.known.current)
        return [self._mint(next(newcomers, first))]

    def _mint(self, first: Key) -> str:
        account = mint(first)
        self.minted.append(
            {
                "id": account,
                "minted_at": self.now,
                "minted_run": self.run,
                "kind": "account",
                "domains": "[]",
                "lifecycle": "prospect",
                "link_confidence": 1.0,
            }
        )
        return account

    def _was_elsewhere(self, key: Key, account: str) -> bool:
        return self.known.current.get(key, account) != account

    def _link(self, key: Key, account: str, *, is_alone: bool) -> dict[str, Any]:
        why = self.joined.why.get(key) or self.known.reasons.get(key) or FIRST
        confidence, reason = FIRST if is_alone else why
        vendor, vendor_account, kind, record = key
        return {
            "vendor": vendor,
            "vendor_account": vendor_account,
            "object": kind,
            "record_id": record,
            "account_id": account,
            "role": "is",
            "reason": reason,
            "confidence": confidence,
            "since": self.now,
            "until": None,
            "actor": "hub",
            "run": self.run,
        }


def _heirs(clusters: Mapping[Key, Sequence[Key]], known: Known, home: str | None) -> dict[str, Key]:
    """The cluster in which each account goes on when its records part.

    That of its record in the home tool, else that of most of its records.
    """
    parts: dict[str, dict[Key, list[Key]]] = defaultdict(lambda: defaultdict(list))
    for first, members in clusters.items():
        for key in members:
            if account := known.account(key):
                parts[account][first].append(key)
    return {
        account: min(
            shares, key=lambda c: (-sum(key[0] == home for key in shares[c]), -len(shares[c]), c)
        )
        for account, shares in parts.items()
    }


def _minted_at(reading: Connection) -> dict[str, datetime]:
    table = table_of(HubAccount)
    return dict(reading.execute(select(table.c.id, table.c.minted_at)).all())


def _alias(writing: Connection, merged: str, survivor: str) -> None:
    table = table_of(HubAccount)
    writing.execute(update(table).where(table.c.id == merged).values(alias_of=survivor))


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
