"""Why something is not known about an account, in words that stay true until a fact changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, select

from ..measures import Measure
from ..store import as_dicts, table_of
from ..store.tables import Coverage
from .sentences import day_words

SOURCES: Mapping[str, tuple[str, str]] = {
    "usage": ("usage", "usage"),
    "tickets": ("support desk record", "the support desk"),
    "billing": ("billing record", "billing"),
}
"""Each kind of source: what is linked, and what speaks."""


class Gaps:
    """What each kind of source can say about each account on a day."""

    def __init__(self, reading: Connection, day: date) -> None:
        self.day = day
        self.covered: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for row in as_dicts(reading, select(table_of(Coverage))):
            self.covered.setdefault((row["account_id"], row["kind"]), []).append(row)

    def why(self, account: str, measure: Measure) -> str:
        """What keeps a measure unknown for an account: "usage is stale"."""
        if measure.needs is None:
            return _title(measure)
        linked, speaks = SOURCES[measure.needs]
        mine = self.covered.get((account, measure.needs), ())
        if not mine:
            return f"no {linked} is linked"
        if any(row["basis"] == "lost" for row in mine):
            return f"the link to {speaks} was lost"
        if any(row["fresh_until"] < self.day for row in mine):
            return f"{speaks} is stale"
        since = min(row["from_day"] for row in mine)
        if since > self.day - timedelta(days=(measure.reach_days or 1) - 1):
            return f"{speaks} is known only since {day_words(since)}"
        return _title(measure)


def _title(measure: Measure) -> str:
    title = measure.title or measure.name.replace("_", " ")
    return title[:1].lower() + title[1:]
