"""`hub plan` and `hub apply`: the halves of deliver, for a person who wants to look in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from ..deliver import Delivered, apply_plan, make_plan
from ..errors import UsageError
from ..store import Database, as_dicts, table_of
from ..store.tables import HubAccount, Plan, PlanItem
from .output import is_terminal, note, say, say_json
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
        made = make_plan(config, database, session.env)
        found = [of_error("write", problem, "plan") for problem in made.problems]
        return _shown(database, made.plan_id, found, as_json)


def apply(plan: int, as_json: bool) -> int:
    """Write a stored plan into the tools."""
    session = Session()
    config = session.config
    with session.working() as database:
        _stored(database, plan)
        done = apply_plan(config, database, session.env, plan, actor=ACTOR)
    found = list(of_applied(done))
    if as_json:
        say_json(
            {
                "plan": plan,
                "result": "partly" if found else "done",
                "done": done.done,
                "refused": done.refused,
                "unknown": done.unknown,
                "skipped": done.skipped,
                "by_kind": dict(done.by_kind),
                "troubles": [one.document() for one in found],
            }
        )
    else:
        say(line("wrote", applied_words(done)))
        for one in found:
            note(str(one))
    return 3 if found else 0


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
        names = dict(reading.execute(select(accounts.c.id, accounts.c.name)).tuples().all())
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
    for what, some in document["beside"].items():
        if some:
            yield f"beside the plan, {what.replace('_', ' ')}: {_listed(some)}"
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


def _listed(some: object) -> str:
    if not isinstance(some, list):
        return _value(some)
    shown = "; ".join(_value(one) for one in some[:5])
    return f"{shown}; and {len(some) - 5} more" if len(some) > 5 else shown


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


# --- what applying came to ------------------------------------------------------------------------


def of_applied(done: Any) -> Iterator[Trouble]:
    """Writes that were refused, or of which nobody knows yet whether they arrived."""
    for problem in done.problems:
        yield of_error("write", problem, "apply")


def applied_words(done: Any) -> str:
    """`894 status fields, 37 tasks (0 refused)`."""
    unknown = f", {done.unknown:,} unknown" if done.unknown else ""
    return f"{counted_kinds(done.by_kind) or 'nothing'} ({done.refused:,} refused{unknown})"


def deliver_lines(delivered: Delivered) -> list[str]:
    """What was written, and what waits for a person."""
    return [line("wrote", applied_words(delivered.applied))]


def of_delivered(delivered: Delivered) -> Iterator[Trouble]:
    """What could not be planned or written."""
    for problem in delivered.plan.problems:
        yield of_error("write", problem, "plan")
    yield from of_applied(delivered.applied)
