"""The ledger: every write from intent to outcome. The intent is committed before the call."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import ColumnElement, Connection, and_, select, update

from ..connector import Receipt
from ..errors import HubError
from ..model import CreateTask
from ..store import Database, as_dicts, canonical, insert, table_of
from ..store.tables import HubAccount, LedgerEntry
from .items import Item, VendorAccount

State: TypeAlias = Literal["sent", "done", "refused", "unknown", "cancelled"]
Row: TypeAlias = dict[str, Any]

FOUND = "found there"
"""How the reason of an entry begins that is done without a write."""


def entry(
    item: Item,
    state: State,
    *,
    now: datetime,
    actor: str = "hub",
    reason: str | None = None,
    receipt: Receipt | None = None,
    problem: HubError | None = None,
) -> Row:
    """A new row of the ledger; only one that is `sent` was or will be written to a vendor."""
    is_open = state in LedgerEntry.UNSETTLED
    return {
        "key": item.key,
        "plan": item.plan,
        "item": item.seq,
        **item.place(),
        "action": canonical(item.action.model_dump(mode="json")),
        "before": canonical(None if item.old is None else dict(item.old)),
        "after": canonical(dict(item.new)),
        "state": state,
        "actor": actor,
        "reason": reason or item.why,
        "intended_at": now,
        "sent_at": now if state == "sent" else None,
        "settled_at": None if is_open else now,
        **_outcome(receipt, problem),
    }


def _outcome(receipt: Receipt | None, problem: HubError | None) -> Row:
    return {
        "receipt_id": receipt.id if receipt else None,
        "receipt_url": receipt.url if receipt else None,
        "problem_code": problem.code if problem else None,
        "problem": _told(problem) if problem else None,
    }


def _told(problem: HubError) -> str:
    return f"{problem.what}." + (f" {problem.do}." if problem.do else "")


def write_down(database: Database, rows: Sequence[Row]) -> None:
    """Append to the ledger, in one commit."""
    if rows:
        with database.write() as writing:
            insert(writing, LedgerEntry, rows)


def conclude(
    writing: Connection,
    item: Item,
    state: State,
    *,
    now: datetime,
    receipt: Receipt | None = None,
    problem: HubError | None = None,
) -> None:
    """How the open entry of an item ended, or that nobody knows."""
    table = table_of(LedgerEntry)
    is_open = state in LedgerEntry.UNSETTLED
    writing.execute(
        update(table)
        .where(
            table.c.key == item.key,
            table.c.plan == item.plan,
            table.c.item == item.seq,
            table.c.state.in_(LedgerEntry.UNSETTLED),
        )
        .values(state=state, settled_at=None if is_open else now, **_outcome(receipt, problem))
    )


def unsettled(reading: Connection, at: VendorAccount | None = None) -> list[Row]:
    """Entries of which nobody knows yet how they ended, oldest first; of one vendor account."""
    table = table_of(LedgerEntry)
    statement = select(table).where(table.c.state.in_(LedgerEntry.UNSETTLED)).order_by(table.c.seq)
    if at is not None:
        statement = statement.where(_in(at))
    return as_dicts(reading, statement)


def _in(account: VendorAccount) -> ColumnElement[bool]:
    table = table_of(LedgerEntry)
    return and_(table.c.vendor == account[0], table.c.vendor_account == account[1])


def last_of_plan(reading: Connection, plan: int) -> dict[int, Row]:
    """The newest entry of each item of a plan that has one."""
    table = table_of(LedgerEntry)
    rows = as_dicts(reading, select(table).where(table.c.plan == plan).order_by(table.c.seq))
    return {row["item"]: row for row in rows}


def states_of(reading: Connection, keys: Iterable[str]) -> dict[str, set[str]]:
    """The states in which each of these keys has an entry."""
    table = table_of(LedgerEntry)
    found: dict[str, set[str]] = {}
    rows = reading.execute(select(table.c.key, table.c.state).where(table.c.key.in_(list(keys))))
    for key, state in rows:
        found.setdefault(key, set()).add(state)
    return found


# --- tasks ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """A task that the hub made or adopted: the ledger's entry, and which problem it is about."""

    row: Mapping[str, Any]

    @property
    def opened_on(self) -> str | None:
        """The first day of the problem, as an ISO day."""
        told: str | None = json.loads(self.row["after"]).get("opened_on")
        return told

    @property
    def cause(self) -> str:
        """What the problem is about; intent keys begin with it."""
        return str(self.row["key"]).rpartition("-")[0]

    @property
    def place(self) -> tuple[str | None, str]:
        """Where it stands: a connection, and the vendor's id of the task there."""
        return self.row["connection"], str(self.row["receipt_id"])

    @property
    def owner_id(self) -> str | None:
        """Whose list of tasks it went into."""
        return CreateTask.model_validate_json(self.row["action"]).owner_id


@dataclass(frozen=True)
class Tasks:
    """What the ledger says of tasks: those that stand in a tool, by intent key, and more.

    `sent` were or may have been written, not found. `over` need no closing any more: closed by us
    or by a person, or gone. `refused` were refused by the tool at least once.
    """

    standing: Mapping[str, Standing]
    unsettled: frozenset[str]
    refused: frozenset[str]
    sent: Sequence[Standing]
    over: frozenset[str]

    @classmethod
    def load(cls, reading: Connection, homes: Mapping[VendorAccount, str]) -> Tasks:
        """As the ledger stands now; `homes` are the connections of the vendor accounts today."""
        table = table_of(LedgerEntry)
        rows = [
            row | {"connection": homes.get((row["vendor"], row["vendor_account"]))}
            for row in as_dicts(
                reading,
                select(table).where(table.c.kind.in_(("create", "close"))).order_by(table.c.seq),
            )
        ]
        creates = [row for row in rows if row["kind"] == "create"]
        closes = [row for row in rows if row["kind"] == "close"]
        done = [row for row in creates if row["state"] == "done"]
        open_ = [row for row in creates if row["state"] in LedgerEntry.UNSETTLED]
        return cls(
            standing={row["key"]: Standing(row) for row in done},
            unsettled=frozenset(row["key"] for row in open_),
            refused=frozenset(row["key"] for row in creates if row["state"] == "refused"),
            sent=[Standing(row) for row in (*done, *open_) if row["sent_at"] is not None],
            over=frozenset(
                row["key"].removeprefix("close/")
                for row in closes
                if row["state"] == "done" or row["problem_code"] == "TARGET_GONE"
            ),
        )


def held_by_another(reading: Connection, item: Item, receipt_id: str) -> bool:
    """Whether a task that was found for an item was made for another account."""
    table = table_of(LedgerEntry)
    holders = select(table.c.account_id).where(
        _in(item.vendor_account),
        table.c.kind == "create",
        table.c.state == "done",
        table.c.receipt_id == receipt_id,
        table.c.key != item.key,
    )
    survivor = survivors(reading)
    held_by = {resolved(one, survivor) for one in reading.execute(holders).scalars()}
    return bool(held_by) and resolved(item.account_id or "", survivor) not in held_by


def survivors(reading: Connection) -> dict[str, str]:
    """From each account that was merged away to the one it became."""
    accounts = table_of(HubAccount)
    aliases = select(accounts.c.id, accounts.c.alias_of).where(accounts.c.alias_of.is_not(None))
    return dict(reading.execute(aliases).all())


def resolved(account: str, survivor: Mapping[str, str]) -> str:
    """The account that an id means today; `survivor` leads on from one that was merged away."""
    while account in survivor:
        account = survivor[account]
    return account


# --- what people changed --------------------------------------------------------------------------


class Hands:
    """Which differences people made, so that an unattended run leaves them alone (R39).

    A field was changed by a person when it no longer says what the hub wrote last. A write that was
    refused because its target had changed waits for a person too, until the hub writes there again.
    """

    def __init__(self, reading: Connection, at: VendorAccount) -> None:
        table = table_of(LedgerEntry)
        names = ("key", "object", "record_id", "state", "problem_code", "after")
        columns = [table.c[name] for name in names]
        statement = select(*columns).where(table.c.kind == "change", _in(at)).order_by(table.c.seq)
        self._wrote: dict[tuple[str, str], dict[str, str | None]] = defaultdict(dict)
        self._refused: dict[tuple[str, str], str] = {}
        for key, kind, record, state, problem, after in reading.execute(statement):
            if state == "done":
                self._wrote[kind, record] |= json.loads(after)
                self._refused.pop((kind, record), None)
            elif problem == "TARGET_CHANGED":
                self._refused[kind, record] = key

    def changed(self, item: Item) -> bool:
        """Whether all that this item would do is undo what a person did."""
        if item.kind != "change" or item.depends_on is not None:
            return False
        record = (item.target.object, item.target.id)
        wrote = self._wrote.get(record, {})
        is_undone = all(name in wrote and wrote[name] == val for name, val in item.new.items())
        return is_undone or self._refused.get(record) == item.key
