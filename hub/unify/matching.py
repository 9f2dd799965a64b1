"""Which records are one account: deterministic tiers, each link with its reason and confidence.

Explicit external id, then business domain, then an exact known mailbox. Names alone never link;
they make a pair for a person to decide. The result does not depend on the order of the records.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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

    @classmethod
    def without_evidence(cls, key: Key) -> Candidate:
        """A record of which only its id is known."""
        return cls(key, "", frozenset(), None, None, ())

    @property
    def tool(self) -> tuple[str, str, str]:
        """The list it stands in: two records of one list are two records to its tool."""
        return self.key[:3]


def key_of(row: Mapping[str, Any]) -> Key:
    """The record key of a stored row."""
    return (row["vendor"], row["vendor_account"], row["object"], row["record_id"])


def candidate(row: Mapping[str, Any], also_shared: frozenset[str]) -> Candidate:
    """The matching evidence of one stored account record."""
    fields = json.loads(row["fields"])
    email = (fields.get("email") or "").strip().lower() or None
    declared = {business_domain(text, also_shared) for text in fields.get("domains", ())}
    return Candidate(
        key=key_of(row),
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

    def doubt(self, keys: Sequence[Key], why: str) -> None:
        """Leave it to a person whether some records are one account."""
        self.weak += [(left, right, BY_NAME, why) for left, right in _pairs(keys)]

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
        self.members = {key: [key] for key in self.parent}

    def find(self, key: Key) -> Key:
        while self.parent[key] != key:
            self.parent[key] = self.parent[self.parent[key]]
            key = self.parent[key]
        return key

    def join(self, left: Key, right: Key) -> None:
        left, right = sorted((self.find(left), self.find(right)))
        if left != right:
            self.parent[right] = left
            self.members[left] += self.members.pop(right)


def join_records(
    candidates: Sequence[Candidate],
    *,
    home: str | None = None,
    linked: Iterable[Sequence[Key]] = (),
    mailbox_owners: Mapping[str, Collection[Key]] | None = None,
) -> Joined:
    """Group records into accounts.

    `home` is the vendor where accounts are at home (the CRM): records elsewhere point to it many to
    one. `linked` are groups that the link log already holds: they stay together, but for a record
    that now goes with another company of the home tool by an explicit id. `mailbox_owners` says at
    which records a person with that mailbox is known.
    """
    by_key = {one.key: one for one in candidates}
    groups = _Groups(by_key)
    joined = Joined()
    pointers = _pointers(by_key)
    claims = _claims(pointers, home)
    for group in linked:
        staying = [key for key in group if key in by_key and not _has_moved(key, group, claims)]
        for other in staying[1:]:
            groups.join(staying[0], other)
    _join_bonds(_bonds_to_home(claims, pointers, groups, joined), groups, joined, among=home or "")
    _join_bonds(_bonds_elsewhere(pointers, home, joined), groups, joined)
    _join_by_domain(candidates, groups, joined)
    _join_by_mailbox(candidates, mailbox_owners or {}, groups, joined)
    _notice_names(candidates, joined)
    joined.cluster_of = {key: groups.find(key) for key in by_key}
    joined.weak = [
        pair for pair in joined.weak if joined.cluster_of[pair[0]] != joined.cluster_of[pair[1]]
    ]
    return joined


# --- bonds ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bond:
    """Evidence that some records are one account.

    `doubt` is what a person reads when it would make one account of two records of one list.
    """

    members: tuple[Key, ...]
    confidence: float
    why: str
    doubt: str


def _join_bonds(bonds: Iterable[_Bond], groups: _Groups, joined: Joined, among: str = "") -> None:
    """Join what bonds hold together, all at once so that their order cannot matter.

    Two records of one list (`among`: of that vendor's lists only) are never brought together this
    way: a bond that would do it by itself is left to a person, then all that would do it together.
    """
    alone = [bond for bond in bonds if not _left_to_a_person([bond], groups, joined, among)]
    for together in _connected(alone, groups):
        if _left_to_a_person(together, groups, joined, among):
            continue
        for bond in together:
            for key in bond.members:
                groups.join(bond.members[0], key)
                _link(joined, key, bond.confidence, bond.why)


def _left_to_a_person(bonds: Sequence[_Bond], groups: _Groups, joined: Joined, among: str) -> bool:
    clusters = {groups.find(key) for bond in bonds for key in bond.members}
    lists = [
        tool
        for cluster in clusters
        for tool in {key[:3] for key in groups.members[cluster]}
        if among in ("", tool[0])
    ]
    if len(lists) == len(set(lists)):
        return False
    for bond in bonds:
        joined.doubt(bond.members, bond.doubt)
    return True


def _connected(bonds: Sequence[_Bond], groups: _Groups) -> list[list[_Bond]]:
    """Bonds that share a cluster, directly or through others."""
    trial = _Groups(groups.find(key) for bond in bonds for key in bond.members)
    for bond in bonds:
        for key in bond.members:
            trial.join(groups.find(bond.members[0]), groups.find(key))
    found: dict[Key, list[_Bond]] = defaultdict(list)
    for bond in bonds:
        found[trial.find(groups.find(bond.members[0]))].append(bond)
    return list(found.values())


def _link(joined: Joined, key: Key, confidence: float, why: str) -> None:
    if key not in joined.why or joined.why[key][0] < confidence:
        joined.why[key] = (confidence, why)


# --- explicit external id -------------------------------------------------------------------------


def _pointers(by_key: Mapping[Key, Candidate]) -> Mapping[Key, Sequence[Key]]:
    """Each record and the records whose ids it carries, in order."""
    by_vendor_id: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key in by_key:
        by_vendor_id[(key[0], key[3])].append(key)
    return {
        key: [
            targets[0]
            for pointer in by_key[key].external
            if len(targets := by_vendor_id.get(pointer, [])) == 1 and targets[0] != key
        ]
        for key in sorted(by_key)
    }


def _claims(pointers: Mapping[Key, Sequence[Key]], home: str | None) -> Mapping[Key, set[Key]]:
    """Each record elsewhere and the records at home that it names or that name it."""
    found: dict[Key, set[Key]] = defaultdict(set)
    for one, targets in pointers.items():
        for target in targets:
            if target[0] == home != one[0]:
                found[one].add(target)
            elif one[0] == home != target[0]:
                found[target].add(one)
    return found


def _has_moved(key: Key, group: Collection[Key], claims: Mapping[Key, set[Key]]) -> bool:
    """Whether a record goes with one company now while it is linked to another of that list."""
    now = claims.get(key, set())
    return len(now) == 1 and not now & {*group} and {one[:3] for one in now} <= {
        one[:3] for one in group
    }  # fmt: skip


def _bonds_to_home(
    claims: Mapping[Key, set[Key]],
    pointers: Mapping[Key, Sequence[Key]],
    groups: _Groups,
    joined: Joined,
) -> Iterator[_Bond]:
    """Many billing customers may go with one CRM company, but each with one company only.

    When several claim it, the one that it names back has it; else a person decides.
    """
    for key in sorted(claims):
        claiming = agreed = claims[key]
        if len({groups.find(one) for one in claiming}) > 1:
            mutual = {one for one in claiming if one in pointers[key] and key in pointers[one]}
            agreed = mutual if len(mutual) == 1 else set()
            joined.doubt([key, *sorted(claiming)], f"all claim {key[0]} {key[3]}")
        for one in sorted(agreed):
            yield _explicit(key, one) if one in pointers[key] else _explicit(one, key)


def _bonds_elsewhere(
    pointers: Mapping[Key, Sequence[Key]], home: str | None, joined: Joined
) -> Iterator[_Bond]:
    """Records of one list that name the same record contradict each other.

    Unless that one names one of them back.
    """
    naming: dict[tuple[Key, tuple[str, ...]], list[Key]] = defaultdict(list)
    for one, targets in pointers.items():
        for target in targets:
            if (one[0] == home) == (target[0] == home):
                naming[(target, one[:3])].append(one)
    for (target, _), those in naming.items():
        backward = [one for one in those if one in pointers[target]]
        agreed = those if len(those) == 1 else backward if len(backward) == 1 else []
        if agreed != those:
            joined.doubt([target, *those], f"all claim {target[0]} {target[3]}")
        for one in agreed:
            yield _explicit(one, target)


def _explicit(one: Key, target: Key) -> _Bond:
    why = f"{one[0]} {one[3]} carries the {target[0]} id {target[3]}"
    return _Bond((one, target), EXPLICIT, why, why)


# --- business domain ------------------------------------------------------------------------------


def _join_by_domain(candidates: Sequence[Candidate], groups: _Groups, joined: Joined) -> None:
    declared: dict[str, list[Key]] = defaultdict(list)
    mailboxes: dict[str, list[Key]] = defaultdict(list)
    for one in sorted(candidates, key=lambda c: c.key):
        for domain in one.declared:
            declared[domain].append(one.key)
        if one.mailbox_domain and one.mailbox_domain not in one.declared:
            mailboxes[one.mailbox_domain].append(one.key)
    names = {one.key: one.name for one in candidates}
    bonds = []
    for domain in sorted(declared):
        # Who pays may sit elsewhere: a mailbox says nothing of what better evidence has joined.
        settled = [key for key in mailboxes[domain] if len(groups.members[groups.find(key)]) > 1]
        members = [*declared[domain], *(key for key in mailboxes[domain] if key not in settled)]
        if _is_crowded(members, names, groups):
            continue
        if len(settled) < MANY:
            for key in settled:
                joined.doubt([members[0], key], f"a mailbox is at {domain}")
        why, doubt = f"same business domain {domain}", f"several records share {domain}"
        bonds.append(_Bond(tuple(members), BY_DOMAIN, why, doubt))
    _join_bonds((bond for bond in bonds if len(bond.members) > 1), groups, joined)


def _is_crowded(members: Sequence[Key], names: Mapping[Key, str], groups: _Groups) -> bool:
    """Whether so many have the domain that it is evidently shared, whoever the provider is."""
    per_tool: dict[tuple[str, ...], set[Key]] = defaultdict(set)
    for key in members:
        per_tool[key[:3]].add(groups.find(key))
    crowd = max(len(clusters) for clusters in per_tool.values())
    return crowd >= MANY or len({names[key] for key in members}) >= 2 * MANY


# --- exact mailbox --------------------------------------------------------------------------------


def _join_by_mailbox(
    candidates: Sequence[Candidate],
    mailbox_owners: Mapping[str, Collection[Key]],
    groups: _Groups,
    joined: Joined,
) -> None:
    bonds = []
    for one in candidates:
        known = mailbox_owners.get(one.mailbox or "", ())
        owners = sorted(key for key in known if key in groups.parent and key != one.key)
        if len({groups.find(key) for key in owners}) != 1:
            continue
        if len(groups.members[groups.find(one.key)]) > 1:
            continue  # a stronger tier has spoken
        why = f"its mailbox is a known contact of {owners[0][0]} {owners[0][3]}"
        bonds.append(_Bond((one.key, owners[0]), BY_MAILBOX, why, why))
    _join_bonds(bonds, groups, joined)


# --- names ----------------------------------------------------------------------------------------


def _notice_names(candidates: Sequence[Candidate], joined: Joined) -> None:
    by_name: dict[str, list[Key]] = defaultdict(list)
    for one in sorted(candidates, key=lambda c: c.key):
        if len(one.name) >= 3:
            by_name[one.name].append(one.key)
    for name, keys in sorted(by_name.items()):
        if 1 < len(keys) <= 2 * MANY:
            joined.doubt(keys, f"both are called {name}")


def _pairs(keys: Sequence[Key]) -> Iterator[tuple[Key, Key]]:
    for index, left in enumerate(keys):
        for right in keys[index + 1 :]:
            yield left, right
