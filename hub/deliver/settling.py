"""What became of writes whose answer was lost: the vendor is asked, nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from ..connector import Observed, Receipt
from ..errors import HubError, WriteUnknown
from .items import Item, target_gone
from .ledger import Row, State, conclude, unsettled
from .tools import Tool

SETTLES_IN = timedelta(seconds=5)
"""How long after sending a write that is not there yet may still arrive: a vendor that was slow to
answer may have been slow to do it. After that it is asked once more."""


class Settler:
    """Settles the open entries of one connection."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool

    def settle(self) -> list[Item]:
        """Ask about every open entry; returns the items that did not arrive.

        Done when the tool has it, cancelled when it does not, so that it may be planned again. What
        nobody can find out stays open. Raises HubError when the tool cannot be asked.
        """
        with self.tool.database.read() as reading:
            rows = unsettled(reading, self.tool.name)
        by_kind: dict[bool, list[Row]] = defaultdict(list)
        for row in rows:
            by_kind[row["kind"] in ("create", "note")].append(row)
        return [*self._by_reading(by_kind[False]), *self._by_looking(by_kind[True])]

    # --- what repeats harmlessly: it is read back -------------------------------------------------

    def _by_reading(self, rows: Sequence[Row]) -> Iterator[Item]:
        items = [Item.of_entry(row) for row in rows]
        there = self._there(items)
        for item in items:
            now = there[item.read_back]
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
            for one, seen in self.tool.observe(what, some).items()
        }

    # --- what would be made twice: it is looked for -----------------------------------------------

    def _by_looking(self, rows: Sequence[Row]) -> Iterator[Item]:
        missing: list[tuple[Row, Item]] = []
        for row in rows:
            item = Item.of_entry(row)
            if not self._arrived(item):
                missing.append((row, item))
        self._wait_for(missing)
        for row, item in missing:
            if self._arrived(item):
                continue
            if self._may_repeat(item, row["sent_at"] or row["intended_at"]):
                self._conclude(item, "cancelled", problem=_not_there(item))
                yield item
            else:
                self._conclude(item, "unknown", problem=not_known(item))

    def _arrived(self, item: Item) -> bool:
        found = self.tool.find(item.action, item.target.object)
        if found is not None:
            self._conclude(item, "done", receipt=found)
        return found is not None

    def _wait_for(self, missing: Sequence[tuple[Row, Item]]) -> None:
        """Give the newest write the time in which it may still arrive."""
        if missing:
            newest = max(row["sent_at"] or row["intended_at"] for row, _ in missing)
            left = newest + SETTLES_IN - self.tool.env.now()
            if left > timedelta(0):
                self.tool.env.sleep(left.total_seconds())

    def _may_repeat(self, item: Item, sent_at: datetime) -> bool:
        """Whether writing it again is sure to make one thing."""
        writer = self.tool.writer(type(item.action), item.target.object)
        if writer is None:
            return False
        if writer.find is not None or writer.once == "upsert":
            return True
        lives = writer.key_lives
        return writer.once == "key" and (
            lives is None or self.tool.env.now() - sent_at < lives - SETTLES_IN
        )

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


def not_known(item: Item) -> WriteUnknown:
    """What is told of a write whose answer was lost and of which the tool says nothing."""
    return WriteUnknown(
        f"nobody knows yet whether the write to {item.target.object} {item.target.id} arrived",
        where=item.connection,
        do="The next run looks there before it writes again",
    )


def _not_there(item: Item) -> WriteUnknown:
    return WriteUnknown("it did not arrive", where=item.connection, do="It is planned again")
