"""`hub plan` and `hub apply`: the halves of deliver, for a person who wants to look in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import func, select

from ..deliver import Applied, Delivered, PlanMade, apply_plan, make_plan, show_plan
from ..engine import Report
from ..store import Database, table_of
from ..store.tables import LedgerEntry
from .output import is_terminal, note, say, say_json
from .progress import bars
from .session import Session
from .summary import counted_kinds, line
from .troubles import Trouble, of_error

ACTOR = "a person at the command line"
Document = Mapping[str, Any]


def plan(show: int | None, as_json: bool) -> int:
    """Make a plan, or show a stored one."""
    session = Session()
    if show is not None:
        with session.reading() as database:
            return _shown(database, show, [], as_json)
    config = session.config
    with session.working() as database:
        with bars() as report:
            made = make_plan(config, database, session.env, progress=partial(_moved, report))
        return _shown(database, made.plan_id, list(of_plan(made)), as_json)


def apply(plan: int, as_json: bool) -> int:
    """Write a stored plan into the tools."""
    session = Session()
    config = session.config
    with session.working() as database:
        before = _last_entry(database)
        with bars() as report:
            done = apply_plan(
                config, database, session.env, plan, actor=ACTOR, progress=partial(_moved, report)
            )
        fields = _fields_written(database, plan, after=before)
    found = list(of_applied(done))
    if as_json:
        say_json(_applied_document(done, fields, found))
    else:
        say(line("wrote", applied_words(done, fields)))
        for one in found:
            note(str(one))
    return 3 if found else 0


def _moved(report: Report, connection: str, items: int) -> None:
    report("deliver", connection, "", items)


def _applied_document(done: Applied, fields: int, found: Sequence[Trouble]) -> Document:
    return {
        "plan": done.plan_id,
        "result": "partly" if found else "done",
        "done": done.done,
        "refused": done.refused,
        "unknown": done.unknown,
        "skipped": done.skipped,
        "by_kind": dict(done.by_kind),
        "status_fields": fields,
        "troubles": [one.document() for one in found],
    }


# --- what a plan looks like -----------------------------------------------------------------------


def _shown(database: Database, number: int, found: Sequence[Trouble], as_json: bool) -> int:
    document = show_plan(database, number)
    if as_json:
        say_json(document | {"troubles": [one.document() for one in found]})
    else:
        for text in plan_lines(document):
            _say_coloured(text)
        for one in found:
            note(str(one))
    return 3 if found else 0


def plan_lines(document: Document) -> Iterator[str]:
    """A plan for people: one block a record, each change as old → new, with the reason."""
    items = [item for some in document["connections"].values() for item in some]
    state = "" if document["state"] == "open" else f" ({document['state']})"
    yield f"plan {document['plan']} for {document['as_of']}{state}: {_counted(items)}"
    if document["stopped"]:
        yield f"  it waits for your approval: {document['stopped']}"
    for connection, some in document["connections"].items():
        yield from _connection_lines(connection, some)
    yield from _beside_lines(document["beside"])
    if items and document["state"] == "open":
        yield f"to write it: hub apply {document['plan']}"


def _counted(items: Sequence[Document]) -> str:
    by_kind: dict[str, int] = {}
    for item in items:
        size = len(item["new"]) if item["kind"] == "change" else 1
        by_kind[item["kind"]] = by_kind.get(item["kind"], 0) + size
    return counted_kinds(by_kind) or "nothing to do"


def _connection_lines(connection: str, items: Sequence[Document]) -> Iterator[str]:
    before = None
    for item in items:
        record = (item["object"], item["id"])
        if record != before:
            yield f"{connection} {' '.join(record)}  {item['account'] or ''}".rstrip()
            before = record
        yield from _change_lines(item)
        if item["state"] not in ("planned", "done"):
            yield f"    {item['state']}"


def _change_lines(item: Document) -> Iterator[str]:
    old, new = item["old"], item["new"]
    if isinstance(new, dict):
        olds = old if isinstance(old, dict) else {}
        for name, value in new.items():
            yield f"  {item['kind']} {name}: {_value(olds.get(name))} → {_value(value)}"
    else:
        yield f"  {item['kind']}: {_value(old)} → {_value(new)}"
    yield f"    because {item['why']}"


def _value(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _beside_lines(beside: Document) -> Iterator[str]:
    """What is wanted but no item of the plan."""
    if fills := beside.get("first_fills"):
        yield f"{fills:,} records get their status for the first time"
    for name, words in (("waiting", "waits for another day"), ("not_written", "not written")):
        for task in beside.get(name, ()):
            why = f": {task['why_not']}" if task.get("why_not") else ""
            yield f"{words}: {task['title']} ({task['owner'] or 'nobody'}){why}"


def _say_coloured(text: str) -> None:
    """A line of a plan; on a terminal the old value is red and the new one green."""
    old, arrow, new = text.partition(" → ")
    name, colon, value = old.partition(": ")
    if not (arrow and colon and text.startswith("  ") and is_terminal()):
        say(text)
        return
    from rich.console import Console
    from rich.text import Text

    from ..log import escape

    parts = ((f"{name}: ", ""), (escape(value), "red"), (arrow, "dim"), (escape(new), "green"))
    Console().print(Text.assemble(*parts))


# --- what came of it ------------------------------------------------------------------------------


def of_plan(made: PlanMade) -> Iterator[Trouble]:
    """Connections that could not be read back, and why an unattended run would stop."""
    for connection, problem in made.problems:
        yield of_error("write", problem, connection)
    if made.stopped:
        do = f"look with hub plan --show {made.plan_id}, then hub apply {made.plan_id}"
        yield Trouble(
            "approval", "APPROVAL_NEEDED", f"plan {made.plan_id}", f"{made.stopped}; {do}"
        )


def of_applied(done: Applied) -> Iterator[Trouble]:
    """Writes that were refused, or of which nobody knows yet whether they arrived."""
    for problem in done.problems:
        yield of_error("write", problem, f"plan {done.plan_id}")


def of_delivered(delivered: Delivered) -> Iterator[Trouble]:
    """What could not be planned or written, or waits for approval."""
    yield from of_plan(delivered.plan)
    yield from of_applied(delivered.applied)


def deliver_line(delivered: Delivered, database: Database) -> str:
    """What was written, and what waits for a person."""
    made, done = delivered.plan, delivered.applied
    told = applied_words(done, _fields_written(database, made.plan_id))
    left = made.items - done.done - done.refused - done.unknown
    if left > 0:
        told += f"; {left:,} writes wait in plan {made.plan_id}: hub apply {made.plan_id}"
    if waiting := len(made.beside.get("waiting", ())):
        told += f"; {waiting:,} tasks wait for another day"
    return line("wrote", told)


def applied_words(done: Applied, fields: int) -> str:
    """`894 status fields, 37 tasks (0 refused)`."""
    unknown = f", {done.unknown:,} unknown" if done.unknown else ""
    by_kind = {**done.by_kind, "change": fields}
    return f"{counted_kinds(by_kind) or 'nothing'} ({done.refused:,} refused{unknown})"


def _last_entry(database: Database) -> int:
    with database.read() as reading:
        return reading.execute(select(func.max(table_of(LedgerEntry).c.seq))).scalar() or 0


def _fields_written(database: Database, plan: int, after: int = 0) -> int:
    """How many status fields the ledger says were written for a plan, a record having several."""
    table = table_of(LedgerEntry)
    statement = select(table.c.after).where(
        table.c.plan == plan,
        table.c.seq > after,
        table.c.kind == "change",
        table.c.state == "done",
    )
    with database.read() as reading:
        return sum(len(json.loads(text)) for text in reading.execute(statement).scalars())
