"""Which records are one account: deterministic tiers, each link with its reason and confidence.

Explicit external id, then business domain, then an exact known mailbox. Names alone never link;
they make a pair for a person to decide. The result does not depend on the order of the records.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .domains import business_domain, plain_name

EXPLICIT, BY_DOMAIN, BY_MAILBOX, BY_NAME = 1.0, 0.9, 0.85, 0.5
AUTOMATIC = 0.85
"""Links at or above this confidence are made and written to without a person."""

MANY = 4
"""A domain that this many records of one tool declare says nothing about whose it is."""

Key: TypeAlias = tuple[str, str, str, str]
"""vendor, vendor account, object, id."""


@dataclass(frozen=True)
class Candidate:
    """A record that may be (part of) an account."""

    key: Key
    name: str
    declared: frozenset[str]
    mailbox_domain: str | None
    mailbox: str | None
    external: tuple[tuple[str, str], ...]

    @property
    def tool(self) -> tuple[str, str, str]:
        """The list it stands in: two records of one list are two records to its tool."""
        return self.key[:3]


def candidate(row: Mapping[str, Any], also_shared: frozenset[str]) -> Candidate:
    """The matching evidence of one stored account record."""
    fields = json.loads(row["fields"])
    email = (fields.get("email") or "").strip().lower() or None
    declared = {business_domain(text, also_shared) for text in fields.get("domains", ())}
    return Candidate(
        key=(row["vendor"], row["vendor_account"], row["object"], row["record_id"]),
        name=plain_name(fields.get("name")),
        declared=frozenset(domain for domain in declared if domain),
        mailbox_domain=business_domain(email, also_shared),
        mailbox=email,
        external=tuple(sorted(fields.get("external", {}).items())),
    )


@dataclass
class Joined:
    """The outcome of matching: who is with whom, why, and what a person must decide."""

    cluster_of: dict[Key, Key] = field(default_factory=dict)
    why: dict[Key, tuple[float, str]] = field(default_factory=dict)
    weak: list[tuple[Key, Key, float, str]] = field(default_factory=list)

    def clusters(self) -> dict[Key, list[Key]]:
        """Every cluster by its smallest key, members in order."""
        found: dict[Key, list[Key]] = defaultdict(list)
        for key in sorted(self.cluster_of):
            found[self.cluster_of[key]].append(key)
        return dict(found)


class _Groups:
    """Union-find whose representative is the smallest key, so order cannot matter."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.parent = {key: key for key in keys}

    def find(self, key: Key) -> Key:
        while self.parent[key] != key:
            self.parent[key] = self.parent[self.parent[key]]
            key = self.parent[key]
        return key

    def join(self, left: Key, right: Key) -> None:
        left, right = sorted((self.find(left), self.find(right)))
        self.parent[right] = left


def join_records(
    candidates: Sequence[Candidate],
    *,
    home: str | None = None,
    linked: Iterable[Sequence[Key]] = (),
    mailbox_owner: Mapping[str, Key] | None = None,
) -> Joined:
    """Group records into accounts.

    `home` is the vendor where accounts are at home (the CRM): records elsewhere point to it many to
    one. `linked` are groups that the link log already holds: they stay together. `mailbox_owner`
    says at which record a person with that mailbox is known.
    """
    by_key = {one.key: one for one in candidates}
    groups = _Groups(by_key)
    joined = Joined()
    for group in linked:
        present = [key for key in group if key in by_key]
        for other in present[1:]:
            groups.join(present[0], other)
    _join_by_external_id(candidates, by_key, home, groups, joined)
    _join_by_domain(candidates, groups, joined)
    _join_by_mailbox(candidates, mailbox_owner or {}, by_key, groups, joined)
    _notice_names(candidates, groups, joined)
    joined.cluster_of = {key: groups.find(key) for key in by_key}
    joined.weak = [
        pair for pair in joined.weak if joined.cluster_of[pair[0]] != joined.cluster_of[pair[1]]
    ]
    return joined


def _link(joined: Joined, key: Key, confidence: float, why: str) -> None:
    if key not in joined.why or joined.why[key][0] < confidence:
        joined.why[key] = (confidence, why)


def _join_by_external_id(
    candidates: Sequence[Candidate],
    by_key: Mapping[Key, Candidate],
    home: str | None,
    groups: _Groups,
    joined: Joined,
) -> None:
    by_vendor_id: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key in by_key:
        by_vendor_id[(key[0], key[3])].append(key)
    claims: dict[tuple[Key, tuple[str, str, str]], list[Key]] = defaultdict(list)
    for one in candidates:
        for pointer in one.external:
            targets = by_vendor_id.get(pointer, [])
            if len(targets) == 1:
                claims[(targets[0], one.tool)].append(one.key)
    for (target, tool), claimants in sorted(claims.items()):
        # Many billing customers may name one CRM company; two CRM companies that name one billing
        # customer contradict each other, unless that customer names one of them back.
        many_to_one = target[0] == home and tool[0] != home
        agreed = claimants if many_to_one else _not_contradicted(target, claimants, by_key)
        if not agreed:
            for left, right in _pairs(claimants):
                joined.weak.append((left, right, BY_NAME, f"both name {target[0]} {target[3]}"))
        for claimant in agreed:
            groups.join(claimant, target)
            why = f"{claimant[0]} {claimant[3]} carries the {target[0]} id {target[3]}"
            _link(joined, claimant, EXPLICIT, why)
            _link(joined, target, EXPLICIT, why)


def _not_contradicted(
    target: Key, claimants: Sequence[Key], by_key: Mapping[Key, Candidate]
) -> Sequence[Key]:
    if len(claimants) == 1:
        return claimants
    backward = [key for key in claimants if (key[0], key[3]) in by_key[target].external]
    return backward if len(backward) == 1 else ()


def _join_by_domain(candidates: Sequence[Candidate], groups: _Groups, joined: Joined) -> None:
    declared: dict[str, list[Key]] = defaultdict(list)
    mailboxes: dict[str, list[Key]] = defaultdict(list)
    for one in sorted(candidates, key=lambda c: c.key):
        for domain in sorted(one.declared):
            declared[domain].append(one.key)
        if one.mailbox_domain and one.mailbox_domain not in one.declared:
            mailboxes[one.mailbox_domain].append(one.key)
    names = {one.key: one.name for one in candidates}
    for domain in sorted(declared):
        _join_one_domain(domain, declared[domain], mailboxes[domain], names, groups, joined)


def _join_one_domain(
    domain: str,
    declared: Sequence[Key],
    mailboxes: Sequence[Key],
    names: Mapping[Key, str],
    groups: _Groups,
    joined: Joined,
) -> None:
    per_tool: dict[tuple[str, ...], set[Key]] = defaultdict(set)
    for key in declared:
        per_tool[key[:3]].add(groups.find(key))
    crowd = max(len(clusters) for clusters in per_tool.values())
    if crowd >= MANY or len({names[key] for key in declared}) >= 2 * MANY:
        return  # evidently shared, whoever the provider is
    members = [*declared, *mailboxes]
    if crowd > 1:
        for left, right in _pairs(members):
            joined.weak.append((left, right, BY_NAME, f"several records share {domain}"))
        return
    why = f"same business domain {domain}"
    for key in members[1:]:
        groups.join(members[0], key)
    if len(members) > 1:
        for key in members:
            _link(joined, key, BY_DOMAIN, why)


def _join_by_mailbox(
    candidates: Sequence[Candidate],
    mailbox_owner: Mapping[str, Key],
    by_key: Mapping[Key, Candidate],
    groups: _Groups,
    joined: Joined,
) -> None:
    for one in sorted(candidates, key=lambda c: c.key):
        owner = mailbox_owner.get(one.mailbox or "")
        if owner is None or owner not in by_key or groups.find(owner) == groups.find(one.key):
            continue
        if one.key in joined.why:
            continue  # a stronger tier has spoken
        groups.join(owner, one.key)
        why = f"its mailbox is a known contact of {owner[0]} {owner[3]}"
        _link(joined, one.key, BY_MAILBOX, why)


def _notice_names(candidates: Sequence[Candidate], groups: _Groups, joined: Joined) -> None:
    by_name: dict[str, list[Key]] = defaultdict(list)
    for one in sorted(candidates, key=lambda c: c.key):
        if len(one.name) >= 3:
            by_name[one.name].append(one.key)
    for name, keys in sorted(by_name.items()):
        if 1 < len(keys) <= 2 * MANY:
            for left, right in _pairs(keys):
                if groups.find(left) != groups.find(right):
                    joined.weak.append((left, right, BY_NAME, f"both are called {name}"))


def _pairs(keys: Sequence[Key]) -> Iterable[tuple[Key, Key]]:
    for index, left in enumerate(keys):
        for right in keys[index + 1 :]:
            yield left, right
