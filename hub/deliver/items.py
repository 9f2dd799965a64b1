"""A plan's items: one write each, with what stood there, what shall stand there, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from ..connector import Observed
from ..errors import HubError, PluginError, WriteRefused
from ..model import AddNote, CloseTask, CreateTask, DefineField, RecordKey, SetFields
from ..store import canonical, digest

ACTIONS: Mapping[str, type[BaseModel]] = {
    "define": DefineField,
    "change": SetFields,
    "create": CreateTask,
    "close": CloseTask,
    "note": AddNote,
}
"""The kinds in the order of writing: fields are defined before they are set, and set before tasks
speak of them."""


VendorAccount: TypeAlias = tuple[str, str]
"""A vendor's name, and the id of an account there."""


@dataclass(frozen=True)
class Item:
    """One write of a plan. `old` and `new` are what people read; `seen` is the digest of `old`."""

    seq: int
    kind: str
    connection: str
    target: RecordKey
    action: BaseModel
    old: Mapping[str, str | None] | None
    new: Mapping[str, str | None]
    why: str
    account_id: str | None = None
    evidence: str = "[]"
    seen: str | None = None
    depends_on: int | None = None
    plan: int = 0

    @property
    def key(self) -> str:
        """What makes the write findable in the ledger: for a task its intent key, else target and
        content."""
        if isinstance(self.action, CreateTask | AddNote):
            return self.action.key
        if self.kind == "close":
            return f"close/{self.new['task']}"
        if self.kind == "define":
            place = f"{self.target.vendor}/{self.target.vendor_account}"
            return f"define/{place}/{self.target.object}.{self.target.id}"
        return f"set/{self.target}/{digest_of(self.new)}"

    @property
    def vendor_account(self) -> VendorAccount:
        """The account that it writes to."""
        return self.target.vendor, self.target.vendor_account

    @property
    def read_back(self) -> tuple[str, str]:
        """Where what it does can be seen: what to observe, and by which id."""
        if self.kind == "define":
            return "fields", f"{self.target.object}.{self.target.id}"
        if self.kind == "close":
            return "tasks", self.target.id
        return self.target.object, self.target.id

    def holds(self, now: Observed) -> bool:
        """Whether the target already says what this item would write."""
        if isinstance(self.action, DefineField):
            return is_defined(self.action, now)
        if self.kind == "close":
            return now.values.get("status") == "done"
        return all(now.values.get(name) == value for name, value in self.new.items())

    def is_as_seen(self, now: Observed) -> bool:
        """Whether the target still says what it said when the plan was made."""
        return digest_of({name: now.values.get(name) for name in self.old or {}}) == self.seen

    def row(self) -> dict[str, Any]:
        """As `plan_item` holds it, but for the plan's number."""
        return {
            "seq": self.seq,
            **self.place(),
            "action": canonical(self.action.model_dump(mode="json")),
            "old": canonical(None if self.old is None else dict(self.old)),
            "new": canonical(dict(self.new)),
            "why": self.why,
            "evidence": self.evidence,
            "seen": self.seen,
            "depends_on": self.depends_on,
        }

    def place(self) -> dict[str, Any]:
        """The columns that plan and ledger share: what, and where."""
        return {
            "kind": self.kind,
            "connection": self.connection,
            "vendor": self.target.vendor,
            "vendor_account": self.target.vendor_account,
            "object": self.target.object,
            "record_id": self.target.id,
            "account_id": self.account_id,
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Item:
        """The item of a row of `plan_item`."""
        return cls(
            seq=row["seq"],
            old=json.loads(row["old"]),
            new=json.loads(row["new"]),
            why=row["why"],
            evidence=row["evidence"],
            seen=row["seen"],
            depends_on=row["depends_on"],
            plan=row["plan"],
            **_located(row),
        )

    @classmethod
    def of_entry(cls, row: Mapping[str, Any]) -> Item:
        """The item that a row of the ledger was written for."""
        old = json.loads(row["before"])
        return cls(
            seq=row["item"],
            old=old,
            new=json.loads(row["after"]),
            why=row["reason"],
            seen=digest_of(old or {}),
            plan=row["plan"],
            **_located(row),
        )


def _located(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["kind"] not in ACTIONS:
        raise PluginError(f"a plan item of the kind {row['kind']} cannot be written")
    return {
        "kind": row["kind"],
        "connection": row["connection"],
        "target": RecordKey(
            vendor=row["vendor"],
            vendor_account=row["vendor_account"],
            object=row["object"],
            id=row["record_id"],
        ),
        "action": ACTIONS[row["kind"]].model_validate_json(row["action"]),
        "account_id": row["account_id"],
    }


def is_defined(wanted: DefineField, there: Observed) -> bool:
    """Whether the tool has the field with all of the hub's words.

    A tool that answers without a kind needs no definition (metadata keys).
    """
    kind = there.values.get("kind")
    if not there.exists or kind is None:
        return there.exists
    options = set((there.values.get("options") or "").split(","))
    return kind == wanted.field.kind and {o.value for o in wanted.field.options} <= options


def target_gone(item: Item, now: Observed) -> HubError:
    """Why an item whose target does not exist any more is not written."""
    what = f"{item.target.object} {item.target.id} is not there any more"
    if now.merged_into is not None:
        what = f"{item.target.object} {item.target.id} was merged into {now.merged_into}"
    return WriteRefused(
        what,
        where=item.connection,
        do="The next run looks for the account's other records",
        code="TARGET_GONE",
    )


def target_changed(item: Item) -> HubError:
    """Why an item is not written whose target says something else than when it was planned."""
    return WriteRefused(
        f"{item.target.object} {item.target.id} was changed since the plan was made",
        where=item.connection,
        do="It is left as it is; `hub plan` shows what it says now",
        code="TARGET_CHANGED",
    )


def digest_of(values: Mapping[str, str | None]) -> str:
    """The fingerprint of values by name."""
    return digest(canonical(dict(values)))
