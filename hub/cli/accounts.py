"""`hub accounts`: every customer, or the pairs that wait for a person."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from ..accounts import listed, review_pairs
from .days import parsed
from .money import money
from .output import is_terminal, say, say_json, table
from .session import Session

WIDE = 130
"""From this many columns on a terminal shows all there is."""


def accounts(as_of: str | None, review: bool, as_json: bool) -> int:
    """JSON lines, or a table where a person looks."""
    session = Session()
    with session.reading() as database:
        if review:
            with database.read() as reading:
                found = list(review_pairs(reading))
        else:
            run = session.decision(database, parsed(as_of))
            with database.read() as reading:
                found = list(listed(reading, run))
    if as_json or not is_terminal():
        for one in found:
            say_json(one)
    elif review:
        _review_table(found)
    else:
        _table(found)
    return 0


def _table(found: list[dict[str, Any]]) -> None:
    narrow = ("account", "status", "since", "why")
    wide = (*narrow, "score", "owner", "renews", "MRR")
    room = shutil.get_terminal_size().columns >= WIDE
    table(wide if room else narrow, (_row(one) for one in found))
    say(f"{len(found):,} customers; the proof of one: hub explain ACCOUNT")


def _row(one: Mapping[str, Any]) -> dict[str, str]:
    score, mrr = one["score"], one["mrr"]
    return {
        "account": one["name"] or one["account_id"],
        "status": one["status"].replace("_", " "),
        "since": one["since"],
        "score": f"{score['low']:.0f}–{score['high']:.0f}",
        "why": "; ".join(one["reasons"]),
        "owner": one["owner"] or "nobody",
        "renews": one["renewal_on"] or "",
        "MRR": money(mrr) if mrr else "",
    }


def _review_table(found: list[dict[str, Any]]) -> None:
    rows = (
        {
            "one": one["left"]["name"] or one["left"]["account_id"],
            "other": one["right"]["name"] or one["right"]["account_id"],
            "why": one["reason"],
            "confidence": f"{one['confidence']:.2f}",
        }
        for one in found
    )
    table(("one", "other", "why", "confidence"), rows)
    say(f"{len(found):,} pairs may be one account each; nothing is joined without you")
