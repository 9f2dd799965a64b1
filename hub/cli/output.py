"""What a command says: results on stdout, everything else on stderr.

With `--json` stdout holds one JSON document or JSON lines and nothing else. Names come from
vendors, so what goes to a terminal has its control characters spelled out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigError, HubError

if TYPE_CHECKING:
    from rich.table import Table

PROSE = ("why", "brings")
"""The columns of tables that may take several lines."""

SHOWN = 10
"""How many set-aside rows and problems a command lists before it only counts them."""


def say(text: str = "") -> None:
    """A line of the result, for people."""
    from ..log import escape

    print(escape(text), flush=True)


def say_json(document: object) -> None:
    """The result as one line of JSON."""
    print(json.dumps(document, ensure_ascii=False, default=str), flush=True)


def note(text: str) -> None:
    """A line beside the result: progress, advice, a problem."""
    from ..log import escape

    print(escape(text), file=sys.stderr, flush=True)


def sentences(error: HubError) -> list[str]:
    """`CODE: sentence` of an error; each of its problems when there are several."""
    problems = error.problems if isinstance(error, ConfigError) else (error,)
    return [f"{problem.code}: {problem}" for problem in problems]


def error_document(error: HubError) -> dict[str, object]:
    """An error as `--json` answers it."""
    document: dict[str, object] = {"code": error.code, "message": str(error)}
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        document["problems"] = [
            {"code": one.code, "message": str(one), "where": one.where} for one in error.problems
        ]
    return {"error": document}


def note_some(lines: Iterable[str], *, more: str) -> None:
    """The first lines, and how many there are beyond them; `more` names where they all stand."""
    listed = list(lines)
    for line in listed[:SHOWN]:
        note(line)
    if len(listed) > SHOWN:
        note(f"and {len(listed) - SHOWN:,} more: {more}")


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def table(columns: Iterable[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Rows as a table for a person; `columns` are the keys, in order."""
    from rich.console import Console

    Console().print(_table(list(columns), rows))


def _table(columns: list[str], rows: Iterable[Mapping[str, str]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from ..log import escape

    made = Table(box=SIMPLE_HEAD, header_style="bold")
    for column in columns:
        if column in PROSE:
            made.add_column(column, overflow="fold")
        else:
            made.add_column(column, overflow="ellipsis", no_wrap=True, max_width=28)
    for row in rows:
        made.add_row(*(Text(escape(row.get(column, ""))) for column in columns))
    return made
