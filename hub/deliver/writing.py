"""One connection's writes: look again, write the intent down, send, and find out how it ended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import BaseModel

from ..connector import Connector, Receipt, Writer
from ..env import Env
from ..errors import (
    HubError,
    PluginError,
    ReconnectNeeded,
    RetryLater,
    ScopeMissing,
    WriteRefused,
    WriteUnknown,
)
from ..log import logger
from ..model import AddNote, ChangeTask, CloseTask, CreateTask, DefineField, RecordKey, SetFields
from ..store import Database
from .ledger import (
    Item,
    digest_of,
    intend,
    keys_in,
    ledger_key,
    record_adopted,
    settle_entry,
    unsettled,
)
from .observe import batches, observe

log = logger("deliver")

ACTIONS: Mapping[str, type[BaseModel]] = {
    "define": DefineField,
    "change": SetFields,
    "create": CreateTask,
    "close": CloseTask,
    "note": AddNote,
    "alter": ChangeTask,
}
ORDER = tuple(ACTIONS)
"""Fields are defined before they are set, and set before tasks speak of them."""

STOPS = (ReconnectNeeded, ScopeMissing, RetryLater)
"""Troubles of the connection, not of one write: what is left stays planned."""

Outcome: TypeAlias = Receipt | HubError | None
"""How one write ended: a receipt, why not, or None when nobody knows."""


@dataclass
class Written:
    """What became of one connection's items; `refusals` say which and why."""

    done: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unknown: int = 0
    skipped: int = 0
    refusals: list[HubError] = field(default_factory=list)
    problem: HubError | None = None


class ConnectionWriter:
    """Applies the items of one connection, in order."""

    def __init__(
        self, connector: Connector[Any], database: Database, env: Env, *, actor: str
    ) -> None:
        self.connector, self.database, self.env, self.actor = connector, database, env, actor
        self.written = Written()
        self.failed_items: set[int] = set()

    def apply(self, items: Sequence[Item]) -> Written:
        """Write every item that can be written; a trouble of the connection ends it early."""
        try:
            for kind in ORDER:
                self._apply_kind(kind, [item for item in items if item["kind"] == kind])
        except STOPS as problem:
            self.written.problem = problem
        done = sum(self.written.done.values())
        self.written.skipped = len(items) - done - self.written.refused - self.written.unknown
        return self.written

    def _apply_kind(self, kind: str, items: Sequence[Item]) -> None:
        if not items:
            return
        writer = self.connector.writers.get(ACTIONS[kind])
        if writer is None:
            raise ScopeMissing(f"{self.connector.title} has no way to write: {kind}")
        if kind == "create":
            for item in items:
                self._create(writer, item)
            return
        for some in batches([i for i in items if i["depends_on"] not in self.failed_items], 100):
            ready = self._look_again(kind, some)
            for batch in batches(ready, writer.batch or 1):
                self._send(writer, kind, batch)

    # --- before writing -----------------------------------------------------------------------

    def _look_again(self, kind: str, items: Sequence[Item]) -> list[Item]:
        """Leave out what was changed since the plan was made, and what already says the new."""
        if kind not in ("change", "close"):
            return list(items)
        found: list[Item] = []
        for (name,), some in _grouped(items, "object"):
            there = observe(self.connector, name, [item["record_id"] for item in some])
            for item in some:
                one = there[item["record_id"]]
                old = json.loads(item["old"])
                now = {field: one.values.get(field) for field in old}
                if not one.exists:
                    self._refuse(item, "TARGET_GONE", "the record no longer exists there")
                elif now == _wanted(kind, json.loads(item["new"])):
                    self.written.done[kind] += 1
                elif digest_of(now) != item["seen"]:
                    self._refuse(item, "TARGET_CHANGED", "somebody changed it since the plan")
                else:
                    found.append(item)
        return found

    def _refuse(self, item: Item, code: str, why: str) -> None:
        target = f"{item['vendor']}/{item['object']}/{item['record_id']}"
        problem = WriteRefused(
            f"{target} was not written: {why}",
            where=item["connection"],
            do="The next plan looks at it again",
            code=code,
        )
        [seq] = intend(
            self.database, [item], [self._key(item)], actor=self.actor, now=self.env.now()
        )
        self._settle(seq, item, problem)

    # --- sending ------------------------------------------------------------------------------

    def _send(self, writer: Writer, kind: str, items: Sequence[Item]) -> None:
        """Write down the intent, call the connector, write down each outcome."""
        keys = [self._key(item) for item in items]
        numbers = intend(self.database, items, keys, actor=self.actor, now=self.env.now())
        actions = [_action(item) for item in items]
        try:
            outcomes = list(self._call(writer, actions))
        except STOPS as problem:
            for seq in numbers:
                settle_entry(self.database, seq, "cancelled", now=self.env.now(), problem=problem)
            raise
        lost: list[tuple[int, Item]] = []
        for seq, item, outcome in zip(numbers, items, outcomes, strict=True):
            if outcome is None or isinstance(outcome, WriteUnknown):
                lost.append((seq, item))
            else:
                self._settle(seq, item, outcome)
        for seq, item in lost:
            self._settle(seq, item, self._find_out(item))

    def _call(self, writer: Writer, actions: Sequence[BaseModel]) -> Iterator[Outcome]:
        """One outcome for every action, in order; an exception stands for what it says."""
        if writer.batch is None:
            for action in actions:
                yield self._call_once(writer, action)
            return
        answered = 0
        try:
            for outcome in writer.write(self.connector, actions):
                answered += 1
                yield outcome
        except STOPS:
            if answered == 0:
                raise
        except HubError as problem:
            if answered == 0 and len(actions) == 1:
                yield problem
                answered = 1
        except Exception as error:
            log.exception("deliver.plugin_failed", connector=self.connector.name, error=str(error))
        for _ in range(len(actions) - answered):
            yield None

    def _call_once(self, writer: Writer, action: BaseModel) -> Outcome:
        try:
            receipt: Receipt = writer.write(self.connector, action)
        except STOPS:
            raise
        except HubError as problem:
            return problem
        except Exception as error:
            log.exception("deliver.plugin_failed", connector=self.connector.name, error=str(error))
            return None
        return receipt

    # --- tasks --------------------------------------------------------------------------------

    def _create(self, writer: Writer, item: Item) -> None:
        """One task: unless it is known, or found near the target, create it, at most once."""
        action = CreateTask.model_validate_json(item["action"])
        with self.database.read() as reading:
            if keys_in(reading, [action.key], ("done",)):
                self.written.done["create"] += 1
                return
        found = self._found(writer, action)
        if found is not None:
            now = self.env.now()
            record_adopted(self.database, item, action.key, found, actor=self.actor, now=now)
            self.written.done["create"] += 1
            return
        [seq] = intend(self.database, [item], [action.key], actor=self.actor, now=self.env.now())
        try:
            outcome = self._call_once(writer, action)
            if outcome is None or isinstance(outcome, WriteUnknown):
                outcome = self._create_again(writer, action)
        except STOPS as problem:
            # Whether the first try arrived is not known when it is the look-up that stopped.
            state = "cancelled" if isinstance(problem, RetryLater) else "unknown"
            settle_entry(self.database, seq, state, now=self.env.now(), problem=problem)  # type: ignore[arg-type]
            raise
        self._settle(seq, item, outcome)

    def _create_again(self, writer: Writer, action: CreateTask) -> Outcome:
        """After a lost answer: look for the task, and only when it is not there create it again."""
        found = self._found(writer, action)
        if found is not None:
            return found
        again = self._call_once(writer, action)
        if again is None or isinstance(again, WriteUnknown):
            return self._found(writer, action)
        return again

    def _found(self, writer: Writer, action: CreateTask) -> Receipt | None:
        return writer.find(self.connector, action) if writer.find is not None else None

    # --- finding out --------------------------------------------------------------------------

    def _find_out(self, item: Item) -> Outcome:
        """What a write of unknown outcome came to, by reading the target back."""
        new = json.loads(item["new"])
        if item["kind"] == "define":
            one = observe(self.connector, "fields", [f"{item['object']}.{item['record_id']}"])
            there = next(iter(one.values()))
            return Receipt(id=there.id) if there.exists else None
        there = observe(self.connector, item["object"], [item["record_id"]])[item["record_id"]]
        wanted = _wanted(item["kind"], new)
        arrived = all(there.values.get(name) == value for name, value in wanted.items())
        return Receipt(id=item["record_id"]) if there.exists and arrived else None

    def settle_earlier(self, connection: str) -> int:
        """Resolve what earlier runs left open; returns how many entries were resolved.

        What the tool does not have is cancelled, so the next plan wants it again.
        """
        with self.database.read() as reading:
            entries = unsettled(reading, connection)
        for entry in entries:
            outcome = self._find_out_entry(entry)
            if outcome is None:
                settle_entry(self.database, entry["seq"], "cancelled", now=self.env.now())
            else:
                settle_entry(
                    self.database, entry["seq"], "done", now=self.env.now(), receipt=outcome
                )
        return len(entries)

    def _find_out_entry(self, entry: Mapping[str, Any]) -> Receipt | None:
        if entry["kind"] == "create":
            writer = self.connector.writers.get(CreateTask)
            action = CreateTask.model_validate_json(entry["action"])
            return self._found(writer, action) if writer is not None else None
        outcome = self._find_out({**entry, "new": entry["after"]})
        return outcome if isinstance(outcome, Receipt) else None

    # --- outcomes -----------------------------------------------------------------------------

    def _settle(self, seq: int, item: Item, outcome: Outcome) -> None:
        now = self.env.now()
        if isinstance(outcome, Receipt):
            settle_entry(self.database, seq, "done", now=now, receipt=outcome)
            self.written.done[item["kind"]] += 1
            return
        self.failed_items.add(item["seq"])
        if outcome is None:
            unknown = WriteUnknown(
                f"nobody knows whether the write to {item['object']} {item['record_id']} arrived",
                where=item["connection"],
                do="The next run looks there before it writes again",
            )
            settle_entry(self.database, seq, "unknown", now=now, problem=unknown)
            self.written.unknown += 1
            self.written.refusals.append(unknown)
        else:
            settle_entry(self.database, seq, "refused", now=now, problem=outcome)
            self.written.refused += 1
            self.written.refusals.append(outcome)

    def _key(self, item: Item) -> str:
        target = RecordKey(
            vendor=item["vendor"],
            vendor_account=item["vendor_account"],
            object=item["object"],
            id=item["record_id"],
        )
        new = json.loads(item["new"])
        task = new.get("task") if item["kind"] == "close" and isinstance(new, dict) else None
        return ledger_key(item["kind"], target, item["new"], task)


def _action(item: Item) -> BaseModel:
    kind = ACTIONS.get(item["kind"])
    if kind is None:
        raise PluginError(f"a plan item of the kind {item['kind']} cannot be written")
    return kind.model_validate_json(item["action"])


def _wanted(kind: str, new: Mapping[str, Any]) -> dict[str, Any]:
    """What a target says when the write has arrived."""
    return {"status": "done"} if kind == "close" else dict(new)


def _grouped(items: Sequence[Item], *names: str) -> Iterator[tuple[tuple[str, ...], list[Item]]]:
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        groups.setdefault(tuple(item[name] for name in names), []).append(item)
    yield from groups.items()
