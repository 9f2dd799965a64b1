"""`hub plan` and `hub apply`: the halves of deliver, for a person who wants to look in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import func, select

from ..deliver import Applied, Delivered, PlanMade, apply_plan, make_plan
from ..engine import Report
from ..errors import UsageError
from ..store import Database, as_dicts, table_of
from ..store.tables import HubAccount, LedgerEntry, Plan, PlanItem
from .output import is_terminal, note, say, say_json
from .progress import bars
from .session import Session
from .summary import counted_kinds, line
from .troubles import Trouble, of_error

ACTOR = "a person at the command line"


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


def _applied_document(done: Applied, fields: int, found: Sequence[Trouble]) -> dict[str, Any]:
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
    document = plan_document(database, number)
    if as_json:
        say_json(document | {"troubles": [one.document() for one in found]})
    else:
        for text in plan_lines(document):
            _say_coloured(text)
        for one in found:
            note(str(one))
    return 3 if found else 0


def _stored(database: Database, number: int) -> dict[str, Any]:
    table = table_of(Plan)
    with database.read() as reading:
        rows = as_dicts(reading, select(table).where(table.c.id == number))
    if not rows:
        do = "Run `hub plan` to make one"
        raise UsageError(f"there is no plan {number}", do=do, code="NOT_FOUND")
    return rows[0]


def plan_document(database: Database, number: int) -> dict[str, Any]:
    """A stored plan with all its items, as `--json` shows it."""
    stored = _stored(database, number)
    items, accounts = table_of(PlanItem), table_of(HubAccount)
    with database.read() as reading:
        rows = as_dicts(reading, select(items).where(items.c.plan == number).order_by(items.c.seq))
        names = {one: name for one, name in reading.execute(select(accounts.c.id, accounts.c.name))}
    return {
        "plan": number,
        "decision": stored["decision"],
        "as_of": stored["as_of"].isoformat(),
        "state": stored["state"],
        "stopped": stored["stopped"],
        "items": [_item(row, names) for row in rows],
        "beside": json.loads(stored["beside"]),
    }


def _item(row: Mapping[str, Any], names: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        "item": row["seq"],
        "kind": row["kind"],
        "connection": row["connection"],
        "target": {
            "vendor": row["vendor"],
            "vendor_account": row["vendor_account"],
            "object": row["object"],
            "id": row["record_id"],
        },
        "account_id": row["account_id"],
        "account": names.get(row["account_id"]),
        "old": json.loads(row["old"]),
        "new": json.loads(row["new"]),
        "why": row["why"],
        "evidence": json.loads(row["evidence"]),
        "depends_on": row["depends_on"],
    }


def plan_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """A plan for people: one block a record, each change as old → new, with the reason."""
    items = document["items"]
    state = "" if document["state"] == "open" else f" ({document['state']})"
    yield f"plan {document['plan']} for {document['as_of']}{state}: {_counted(items)}"
    if document["stopped"]:
        yield f"  it waits for your approval: {document['stopped']}"
    before = None
    for item in items:
        target = item["target"]
        record = (item["connection"], target["object"], target["id"])
        if record != before:
            named = f"  {item['account']}" if item["account"] else ""
            yield f"{' '.join(filter(None, record))}{named}"
            before = record
        yield from _change_lines(item)
    yield from _beside_lines(document["beside"])
    if items and document["state"] == "open":
        yield f"to write it: hub apply {document['plan']}"


def _counted(items: Sequence[Mapping[str, Any]]) -> str:
    by_kind: dict[str, int] = {}
    for item in items:
        size = len(item["new"]) if item["kind"] == "change" and isinstance(item["new"], dict) else 1
        by_kind[item["kind"]] = by_kind.get(item["kind"], 0) + size
    return counted_kinds(by_kind) or "nothing to do"


def _change_lines(item: Mapping[str, Any]) -> Iterator[str]:
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


def _beside_lines(beside: Mapping[str, Any]) -> Iterator[str]:
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
        told += f"; plan {made.plan_id} holds {left:,} more: hub apply {made.plan_id}"
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
