"""One connection's writes: look again, write the intent down, send, and find out how it ended."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

from pydantic import BaseModel

from ..connector import Receipt, Writer
from ..errors import (
    HubError,
    PluginError,
    ScopeMissing,
    StoreError,
    WriteRefused,
    WriteUnknown,
)
from ..log import logger
from .items import ACTIONS, Item, target_changed, target_gone
from .ledger import FOUND, Row, State, conclude, entry, states_of, unsettled, write_down
from .settling import Settler, not_known
from .tools import NOT_SENT, Progress, Tool, batches

log = logger("deliver")

LOOKED_AT_TOGETHER = 25
"""How many targets are read again at once before they are written one by one."""

ROUNDS = 2
"""What turns out not to have arrived is written once more in the same run."""

TOLD_BY_LEDGER = (WriteRefused, WriteUnknown)
"""Troubles of one write, which its entry in the ledger keeps."""

Outcome: TypeAlias = Receipt | HubError
"""How one write ended. WriteUnknown: nobody knows."""


class ConnectionWriter:
    """Writes a plan's items of one connection; what became of each stands in the ledger."""

    def __init__(
        self,
        tool: Tool,
        *,
        actor: str,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self.tool, self.actor, self.progress, self.stop = tool, actor, progress, stop
        self.problems: list[HubError] = []
        self.open_keys: set[str] = set()
        self.done: set[int] = set()
        self.changed: dict[str, list[str]] = defaultdict(list)
        self.is_over = False

    def write(self, items: Sequence[Item], done: set[int]) -> None:
        """Write every item that can be written. `done` are the plan's items that are done already.

        A trouble of the connection ends up in `problems`, and what is left stays planned.
        """
        self.done = set(done)
        self._settle()
        self.open_keys = self._open_now()
        for _ in range(ROUNDS):
            self._write_all(items)
            items = self._not_arrived()
            if self.is_over or not items:
                break
        if not self.is_over:
            self._read_back()

    def _write_all(self, items: Sequence[Item]) -> None:
        order = list(ACTIONS)
        ordered = sorted(items, key=lambda one: (order.index(one.kind), one.target.object, one.seq))
        for (kind, _), some in groupby(ordered, key=lambda one: (one.kind, one.target.object)):
            try:
                self._write_kind(kind, list(some))
            except StoreError:
                raise
            except ScopeMissing as problem:
                self.problems.append(problem)  # that kind of write stands still, others go on
            except HubError as problem:
                self.problems.append(problem)
                self.is_over = True
            if self.is_over:
                return

    def _write_kind(self, kind: str, items: Sequence[Item]) -> None:
        """Items of one kind on one object."""
        writer = self.tool.writer(ACTIONS[kind], items[0].target.object)
        if writer is None:
            raise PluginError(
                f"{self.tool.connector.title} has no way to write: {kind}", where=self.tool.name
            )
        # Each field waits for the one before it, so they go one by one.
        together = 1 if kind == "define" else writer.batch or LOOKED_AT_TOGETHER
        for some in batches(items, together):
            ready = self._ready(kind, some)
            if writer.batch:
                self._send(writer, ready)
            else:
                for item in ready:
                    self._send(writer, [item])
            self.progress(self.tool.name, len(self.done))
            if self.stop.is_set():
                self.is_over = True
                return

    def _not_arrived(self) -> list[Item]:
        """Ask about the writes whose answers were lost; those that the tool does not have."""
        lost = self._open_now() - self.open_keys
        if not lost:
            return []
        try:
            missing = self._settle()
        except StoreError:
            raise
        except HubError as problem:
            if not self.is_over:
                self.problems.append(problem)
            return []
        return [item for item in missing if item.key in lost]

    def _open_now(self) -> set[str]:
        with self.tool.database.read() as reading:
            return {row["key"] for row in unsettled(reading, self.tool.vendor_account)}

    def _settle(self) -> list[Item]:
        settler = Settler(self.tool, may_send=True)
        missing = settler.settle()
        self.problems += settler.problems
        return missing

    def _read_back(self) -> None:
        """Let `observed` say what the tool says after the writes, not only before them."""
        for what, ids in self.changed.items():
            try:
                self.tool.observe(what, ids)
            except StoreError:
                raise
            except HubError as problem:
                log.warning("deliver.not_read_back", connection=self.tool.name, code=problem.code)

    # --- before writing ---------------------------------------------------------------------------

    def _ready(self, kind: str, items: Sequence[Item]) -> list[Item]:
        """The items that may be sent now; what became of the others is written down."""
        free = [
            item
            for item in items
            if item.key not in self.open_keys
            and (item.depends_on is None or item.depends_on in self.done)
        ]
        if not free:
            return []
        if kind == "create":
            return self._new_ones(self._on_standing_targets(free))
        return self._unchanged(free)

    def _unchanged(self, items: Sequence[Item]) -> list[Item]:
        """Leave out what already says the new, and what says something else than it did (R39)."""
        what = items[0].read_back[0]
        if not self.tool.reads_back(what):
            return list(items)
        there = self.tool.observe(what, [item.read_back[1] for item in items])
        ready: list[Item] = []
        rows: list[Row] = []
        for item in items:
            now = there[item.read_back[1]]
            if now.exists and item.holds(now):
                rows.append(self._found(item, Receipt(id=now.id)))
            elif item.kind == "define":
                ready.append(item)
            elif not now.exists:
                rows.append(self._refused(item, target_gone(item, now)))
            elif not item.is_as_seen(now):
                rows.append(self._refused(item, target_changed(item)))
            else:
                ready.append(item)
        write_down(self.tool.database, rows)
        return ready

    def _on_standing_targets(self, items: Sequence[Item]) -> list[Item]:
        kind = items[0].target.object
        if not self.tool.reads_back(kind):
            return list(items)
        there = self.tool.observe(kind, [item.target.id for item in items])
        gone = [item for item in items if not there[item.target.id].exists]
        write_down(
            self.tool.database,
            [self._refused(i, target_gone(i, there[i.target.id])) for i in gone],
        )
        return [item for item in items if item not in gone]

    def _new_ones(self, items: Sequence[Item]) -> list[Item]:
        """Leave out tasks that the ledger knows, and those that stand there already."""
        with self.tool.database.read() as reading:
            known = states_of(reading, [item.key for item in items])
        ready: list[Item] = []
        for item in items:
            if "done" in known.get(item.key, ()):
                continue
            try:
                found = self.tool.find(item)
            except (*NOT_SENT, StoreError):
                raise
            except HubError as problem:
                self.problems.append(problem)  # that task stays planned, the others go on
                continue
            if found is None:
                ready.append(item)
            else:
                write_down(self.tool.database, [self._found(item, found)])
        return ready

    def _found(self, item: Item, receipt: Receipt) -> Row:
        self.done.add(item.seq)
        now, reason = self.tool.env.now(), f"{FOUND}: {item.why}"
        return entry(item, "done", now=now, actor=self.actor, reason=reason, receipt=receipt)

    def _refused(self, item: Item, problem: HubError) -> Row:
        now = self.tool.env.now()
        return entry(item, "refused", now=now, actor=self.actor, problem=problem)

    # --- sending ----------------------------------------------------------------------------------

    def _send(self, writer: Writer, items: Sequence[Item]) -> None:
        """Write down the intent, call the connector, write down each outcome.

        A trouble of the connection is raised again once the outcomes are written down.
        """
        if not items:
            return
        now = self.tool.env.now()
        write_down(self.tool.database, [entry(i, "sent", now=now, actor=self.actor) for i in items])
        outcomes = self._outcomes(writer, items)
        self._conclude(items, outcomes)
        for outcome in outcomes:
            if isinstance(outcome, (*NOT_SENT, PluginError)):
                raise outcome
            if isinstance(outcome, HubError) and not isinstance(outcome, TOLD_BY_LEDGER):
                self.problems.append(outcome)

    def _outcomes(self, writer: Writer, items: Sequence[Item]) -> list[Outcome]:
        """One outcome an item, in order; those of which the connector tells nothing are unknown.

        Where a whole batch is refused, it is split until it is clear which item is meant (R17).
        """
        outcomes: list[Outcome] = []
        trouble: HubError | None = None
        try:
            for outcome in self._told(writer, [item.action for item in items]):
                outcomes.append(outcome or not_known(items[len(outcomes)]))
        except StoreError:
            raise
        except HubError as error:
            trouble = error
        rest = items[len(outcomes) :]
        if isinstance(trouble, WriteRefused) and len(rest) > 1:
            return [*outcomes, *self._split(writer, rest)]
        return [*outcomes, *(trouble or not_known(item) for item in rest)]

    def _split(self, writer: Writer, items: Sequence[Item]) -> list[Outcome]:
        middle = len(items) // 2
        first = self._outcomes(writer, items[:middle])
        if isinstance(first[-1], NOT_SENT):
            return [*first, *(first[-1] for _ in items[middle:])]
        return [*first, *self._outcomes(writer, items[middle:])]

    def _told(self, writer: Writer, actions: Sequence[BaseModel]) -> Iterator[Outcome | None]:
        """What the connector says, action by action; an exception stands for all that follow."""
        connector, guarded = self.tool.connector, self.tool.guarded
        if not writer.batch:
            yield guarded(lambda: writer.write(connector, actions[0]))
            return
        answers = guarded(lambda: iter(writer.write(connector, actions)))
        for _ in actions:
            yield guarded(lambda: next(answers, None))

    def _conclude(self, items: Sequence[Item], outcomes: Sequence[Outcome]) -> None:
        now = self.tool.env.now()
        with self.tool.database.write() as writing:
            for item, outcome in zip(items, outcomes, strict=True):
                if isinstance(outcome, Receipt):
                    conclude(writing, item, "done", now=now, receipt=outcome)
                else:
                    conclude(writing, item, state_of(outcome), now=now, problem=outcome)
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                self.done.add(item.seq)
                if item.kind in ("change", "close"):
                    self.changed[item.read_back[0]].append(item.read_back[1])


def state_of(trouble: HubError) -> State:
    """What a trouble says of the write that met it; when in doubt, it may have arrived."""
    if isinstance(trouble, NOT_SENT):
        return "cancelled"
    return "refused" if isinstance(trouble, WriteRefused) else "unknown"
