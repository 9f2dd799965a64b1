"""What people read: reasons and proof lines, made of facts that do not change by themselves.

No scores, ages, counters or ids: a text that is written into a tool changes only when a fact does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from ..definitions import SignalDef
from .evaluate import Judged, Value

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_BLANK = re.compile(r"\{([a-z][a-z0-9_]*)\}")
MAX_REASON = 255
MOST_LINES = 8


def day_words(day: date) -> str:
    """A day as people write it: 6 Jan 2027."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def value_words(value: Value) -> str:
    """A measure's value for a person; unknown is said, never shown as 0."""
    if value is None:
        return "unknown"
    if isinstance(value, date):
        return day_words(value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def says(signal: SignalDef, judged: Judged, since: date | None) -> str:
    """The reason sentence of a true signal: its `says:` filled in, else its title and start."""
    if signal.says is None:
        return f"{signal.title}, since {day_words(since)}" if since else signal.title

    def filled(blank: re.Match[str]) -> str:
        name = blank[1]
        return value_words(since if name == "since" else judged.values.get(name))

    return _BLANK.sub(filled, signal.says)


def one_line(text: str, limit: int = MAX_REASON) -> str:
    """A text on one line, cut at a word where it is too long."""
    flat = " ".join(text.split())
    if len(flat) <= limit:
        return flat
    return flat[: limit - 1].rsplit(" ", 1)[0] + "…"


def source_lines(cited: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The proof of a problem in a few lines; of usage only the newest day says something."""
    lines: dict[str, None] = {}
    seen: set[str] = set()
    for view, row in cited:
        if view in seen and view in ("usage", "accounts"):
            continue
        seen.add(view)
        lines[source_line(view, row)] = None
    return list(lines)[:MOST_LINES]


def source_line(view: str, row: Mapping[str, Any]) -> str:
    """One cited row as a sentence, with where it stands."""
    day = day_words(row["day"])
    tool = str(row["key"]).partition("/")[0]
    if view == "tickets":
        return f"Ticket “{one_line(row['subject'] or 'without a subject', 90)}”, {day} ({tool})"
    if view == "attempts":
        why = f": {str(row['decline_code']).replace('_', ' ')}" if row["decline_code"] else ""
        bill = f" for invoice {row['invoice_number']}" if row["invoice_number"] else ""
        verb = "went through" if row["succeeded"] else "failed"
        return f"A payment{bill} {verb} on {day}{why} ({tool})"
    if view == "usage":
        return f"Last seen: {row['event'].replace('_', ' ')} on {day} ({tool})"
    if view == "subscriptions":
        return f"A subscription that started on {day} ({tool})"
    if view == "invoices":
        return f"Invoice {row['number'] or ''} of {day} ({tool})".replace("  ", " ")
    if view == "accounts" and row["renewal_on"]:
        return f"The contract renews on {day_words(row['renewal_on'])}"
    return f"A record of {day} ({tool})"
