"""The ledger: every write from intent to outcome. The intent is committed before the call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, func, select, update

from ..connector import Receipt
from ..errors import HubError
from ..model import RecordKey
from ..store import Database, as_dicts, canonical, digest, insert, table_of
from ..store.tables import LedgerEntry

State: TypeAlias = Literal["intended", "sent", "done", "refused", "unknown", "cancelled"]
Item: TypeAlias = Mapping[str, Any]
"""A row of `plan_item`."""


def ledger_key(kind: str, target: RecordKey, new: str, task_key: str | None = None) -> str:
    """What makes a write findable: a task's intent key, or target and content of a change."""
    if task_key is not None:
        return task_key if kind == "create" else f"{kind}/{task_key}"
    if kind == "define":
        return f"define/{target.vendor}/{target.vendor_account}/{target.object}.{target.id}"
    return f"{kind}/{target}/{digest(new)}"


def intend(
    database: Database, items: Sequence[Item], keys: Sequence[str], *, actor: str, now: datetime
) -> list[int]:
    """Write down what is about to be sent, in one commit; returns the entries' numbers in order."""
    rows = [_entry(item, key, actor, now) for item, key in zip(items, keys, strict=True)]
    table = table_of(LedgerEntry)
    with database.write() as writing:
        insert(writing, LedgerEntry, rows)
        plan = items[0]["plan"]
        found = writing.execute(
            select(table.c.item, func.max(table.c.seq))
            .where(table.c.plan == plan, table.c.item.in_([item["seq"] for item in items]))
            .group_by(table.c.item)
        )
        numbers: dict[int, int] = dict(found.all())
    return [numbers[item["seq"]] for item in items]


def _entry(item: Item, key: str, actor: str, now: datetime) -> dict[str, Any]:
    return {
        "key": key,
        "plan": item["plan"],
        "item": item["seq"],
        **{part: item[part] for part in _COPIED},
        "before": item["old"],
        "after": item["new"],
        "state": "sent",
        "actor": actor,
        "reason": item["why"],
        "intended_at": now,
        "sent_at": now,
    }


_COPIED = (
    "kind", "connection", "vendor", "vendor_account", "object", "record_id", "account_id", "action",
)  # fmt: skip


def settle_entry(
    database: Database,
    seq: int,
    state: State,
    *,
    now: datetime,
    receipt: Receipt | None = None,
    problem: HubError | None = None,
) -> None:
    """Write down how a write ended (or that nobody knows yet)."""
    table = table_of(LedgerEntry)
    values: dict[str, Any] = {
        "state": state,
        "settled_at": None if state in LedgerEntry.UNSETTLED else now,
        "problem_code": problem.code if problem else None,
        "problem": str(problem) if problem else None,
    }
    if receipt is not None:
        values |= {"receipt_id": receipt.id, "receipt_url": receipt.url}
    with database.write() as writing:
        writing.execute(update(table).where(table.c.seq == seq).values(values))


def unsettled(reading: Connection, connection: str | None = None) -> list[dict[str, Any]]:
    """Entries whose outcome is not known, oldest first."""
    table = table_of(LedgerEntry)
    statement = select(table).where(table.c.state.in_(LedgerEntry.UNSETTLED)).order_by(table.c.seq)
    if connection is not None:
        statement = statement.where(table.c.connection == connection)
    return as_dicts(reading, statement)


def tasks_done(reading: Connection) -> dict[str, dict[str, Any]]:
    """The tasks that stand in a tool, by intent key: the newest done create of each."""
    table = table_of(LedgerEntry)
    rows = as_dicts(
        reading,
        select(table)
        .where(table.c.kind == "create", table.c.state == "done")
        .order_by(table.c.seq),
    )
    return {row["key"]: row for row in rows}


def keys_in(reading: Connection, keys: Iterable[str], states: Sequence[State]) -> set[str]:
    """Which of these keys have an entry in one of these states."""
    table = table_of(LedgerEntry)
    wanted = list(keys)
    rows = reading.execute(
        select(table.c.key).where(table.c.key.in_(wanted), table.c.state.in_(states))
    )
    return set(rows.scalars())


def record_adopted(
    database: Database, item: Item, key: str, receipt: Receipt, *, actor: str, now: datetime
) -> None:
    """A task with this key was there already: it is ours from now on, nothing was written."""
    row = _entry(item, key, actor, now) | {
        "state": "done",
        "settled_at": now,
        "receipt_id": receipt.id,
        "receipt_url": receipt.url,
        "reason": f"found in the tool: {item['why']}",
    }
    with database.write() as writing:
        insert(writing, LedgerEntry, [row])


def digest_of(values: Mapping[str, str | None]) -> str:
    """The fingerprint of what was observed, for the check just before writing."""
    return digest(canonical(dict(values)))
