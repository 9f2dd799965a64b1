"""What became of writes whose answer was lost: the vendor is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeVar

from ..connector import Observed, Receipt
from ..errors import HubError, StoreError, WriteRefused, WriteUnknown
from ..store import Database
from .items import Item, target_gone
from .ledger import Row, State, conclude, unsettled
from .tools import NOT_SENT, Tool

T = TypeVar("T")

SETTLES_IN = timedelta(seconds=5)
"""How long after sending a write that is not there yet may still arrive: a vendor that was slow to
answer may have been slow to do it. After that it is asked once more."""


class Settler:
    """Settles the open entries of one vendor account.

    `may_send`: where a tool shows no task by its key, it may be asked by sending it once more under
    the key that the vendor honours. `problems` are the troubles of single entries, which stay open.
    """

    def __init__(self, tool: Tool, *, may_send: bool) -> None:
        self.tool, self.may_send = tool, may_send
        self.problems: list[HubError] = []

    def settle(self) -> list[Item]:
        """Ask about every open entry; returns the items that did not arrive.

        Done when the tool has it, cancelled when it does not, so that it may be planned again. What
        nobody can find out stays open. Raises HubError when the tool cannot be asked.
        """
        with self.tool.database.read() as reading:
            rows = unsettled(reading, self.tool.vendor_account)
        by_kind: dict[bool, list[Row]] = defaultdict(list)
        for row in rows:
            by_kind[row["kind"] in ("create", "note")].append(row)
        return [*self._by_reading(by_kind[False]), *self._by_looking(by_kind[True])]

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """What the tool says; None when it will not tell of this one thing."""
        try:
            return ask()
        except (*NOT_SENT, StoreError):
            raise
        except HubError as problem:
            self.problems.append(problem)
            return None

    # --- what repeats harmlessly: it is read back -------------------------------------------------

    def _by_reading(self, rows: Sequence[Row]) -> Iterator[Item]:
        items = [Item.of_entry(row) for row in rows]
        there = self._there(items)
        for item in items:
            now = there.get(item.read_back)
            if now is None:
                continue
            if now.exists and item.holds(now):
                self._conclude(item, "done", receipt=Receipt(id=now.id))
            elif now.exists or item.kind == "define":
                self._conclude(item, "cancelled", problem=_not_there(item))
                yield item
            else:
                self._conclude(item, "refused", problem=target_gone(item, now))

    def _there(self, items: Sequence[Item]) -> Mapping[tuple[str, str], Observed]:
        ids: dict[str, list[str]] = defaultdict(list)
        for item in items:
            what, one = item.read_back
            ids[what].append(one)
        return {
            (what, one): seen
            for what, some in ids.items()
            for one, seen in (self._asked(partial(self.tool.observe, what, some)) or {}).items()
        }

    # --- what would be made twice: it is looked for -----------------------------------------------

    def _by_looking(self, rows: Sequence[Row]) -> Iterator[Item]:
        missing = [(row, item) for row in rows if not self._arrived(item := Item.of_entry(row))]
        self._wait_for(missing)
        for row, item in missing:
            if self._arrived(item):
                continue
            match self._may_repeat(item, row["sent_at"] or row["intended_at"]):
                case "plan":
                    self._conclude(item, "cancelled", problem=_not_there(item))
                    yield item
                case "now" if self.may_send:
                    self._send_again(item)
                case _:
                    self._conclude(item, "unknown", problem=not_known(item))

    def _arrived(self, item: Item) -> bool:
        """Whether the entry is settled, or cannot be asked about today."""
        before = len(self.problems)
        found = self._asked(partial(self.tool.find, item))
        if found is not None:
            self._conclude(item, "done", receipt=found)
        return found is not None or len(self.problems) > before

    def _send_again(self, item: Item) -> None:
        """Ask by the vendor's own key: it makes the task now, or tells which it made before."""
        writer = self.tool.writer(type(item.action), item.target.object)
        assert writer is not None
        try:
            receipt = self.tool.guarded(lambda: writer.write(self.tool.connector, item.action))
        except (*NOT_SENT, StoreError):
            raise
        except WriteRefused as refused:
            self._conclude(item, "refused", problem=refused)
        except HubError as lost:
            self._conclude(item, "unknown", problem=lost)
        else:
            self._conclude(item, "done", receipt=receipt)

    def _wait_for(self, missing: Sequence[tuple[Row, Item]]) -> None:
        """Give the newest write the time in which it may still arrive."""
        if missing:
            newest = max(row["sent_at"] or row["intended_at"] for row, _ in missing)
            left = newest + SETTLES_IN - self.tool.env.now()
            if left > timedelta(0):
                self.tool.env.sleep(left.total_seconds())

    def _may_repeat(self, item: Item, sent_at: datetime) -> Literal["plan", "now", "never"]:
        """When writing it again is sure to make one thing: as the next plan likes, or only now."""
        writer = self.tool.writer(type(item.action), item.target.object)
        if writer is None:
            return "never"
        if writer.find is not None or writer.once == "upsert":
            return "plan"
        age, lives = self.tool.env.now() - sent_at, writer.key_lives
        is_alive = lives is None or age < lives - SETTLES_IN
        return "now" if writer.once == "key" and is_alive else "never"

    def _conclude(
        self,
        item: Item,
        state: State,
        *,
        receipt: Receipt | None = None,
        problem: HubError | None = None,
    ) -> None:
        now = self.tool.env.now()
        with self.tool.database.write() as writing:
            conclude(writing, item, state, now=now, receipt=receipt, problem=problem)


def give_up(database: Database, rows: Sequence[Row], now: datetime) -> HubError:
    """Cancel entries of a vendor account that no connection reaches any more; returns why."""
    problem = WriteUnknown(
        f"{len(rows)} writes to {rows[0]['vendor']} account {rows[0]['vendor_account']} were never"
        " answered, and no connection to that account is left to ask",
        where=rows[0]["connection"],
        do="Look there for what the ledger calls cancelled",
    )
    with database.write() as writing:
        for row in rows:
            conclude(writing, Item.of_entry(row), "cancelled", now=now, problem=problem)
    return problem


def not_known(item: Item) -> WriteUnknown:
    """What is told of a write whose answer was lost and of which the tool says nothing."""
    return WriteUnknown(
        f"nobody knows yet whether the write to {item.target.object} {item.target.id} arrived",
        where=item.connection,
        do="The next run looks there before it writes again",
    )


def _not_there(item: Item) -> WriteUnknown:
    return WriteUnknown("it did not arrive", where=item.connection, do="It is planned again")
