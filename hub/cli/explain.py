"""`hub explain`: the proof of one account, for people as lines, for programs as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..explain import prove, resolve
from .days import parsed
from .money import money
from .output import say, say_json
from .session import Session

CITED = 5
Document = dict[str, Any]
WORDS = {True: "true", False: "false", None: "unknown"}


def explain(account: str, as_of: str | None, as_json: bool) -> int:
    """Print the proof of the account that the text means."""
    session = Session()
    with session.reading() as database:
        with database.read() as reading:
            found = resolve(reading, account)
        run = session.decision(database, parsed(as_of))
        with database.read() as reading:
            proof = prove(reading, session.config, found, run)
    if as_json:
        say_json(proof)
    else:
        for text in proof_lines(proof):
            say(text)
    return 0


def proof_lines(proof: Document) -> Iterator[str]:
    """The proof as people read it, the answer first."""
    yield from _account(proof["account"])
    if proof["status"] is None:
        yield f"not judged on {proof['as_of']}: only customers are"
    else:
        yield from _status(proof)
        yield from _score(proof["score"])
        yield from _signals(proof["signals"])
    yield from _problems(proof["problems"])
    yield from _links(proof["links"])
    if proof["status"] is not None:
        yield from _gaps(proof)


def _account(account: Document) -> Iterator[str]:
    yield f"{account['name'] or 'An account without a name'}  ({account['account_id']})"
    facts = [
        account["lifecycle"],
        account.get("segment"),
        ", ".join(account["domains"]),
        f"owner {account['owner'] or 'nobody'}",
        f"renews {account['renewal_on']}" if account["renewal_on"] else None,
        f"MRR {money(account['mrr'])}" if account.get("mrr") else None,
    ]
    yield f"  {' · '.join(filter(None, facts))}"
    if account["aliases"]:
        yield f"  also known as {', '.join(account['aliases'])}"


def _status(proof: Document) -> Iterator[str]:
    status = proof["status"]
    words = status["status"].replace("_", " ")
    yield ""
    yield f"{words}, since {status['since']} (as of {proof['as_of']})"
    if status["held"]:
        yield f"  today's band is {status['band'].replace('_', ' ')}; {status['held']}"
    for reason in status["reasons"]:
        yield f"  {reason}"


def _score(score: Document) -> Iterator[str]:
    yield ""
    confidence = f"confidence {score['confidence']:.0%}"
    yield f"score {_span(score)} of 100, {confidence}, model {score['model']}"
    for dimension in score["dimensions"]:
        share = f"{dimension['share']:.0%} of the score"
        yield f"  {dimension['dimension']}: {_span(dimension)} ({share})"
        for one in dimension["inputs"]:
            points = "0 to 100" if one["points"] is None else f"{one['points']:g}"
            value = _value(one["value"])
            yield f"    {one['input']} = {value} → {points} points, weight {one['weight']:g}"
    for cap in score["caps"]:
        if cap["holds"] is not False:
            to = cap["to"].replace("_", " ")
            yield f"  {cap['signal']} is {WORDS[cap['holds']]}: no better than {to}"
    if score["not_connected"]:
        yield f"  not connected here: {', '.join(score['not_connected'])}"


def _signals(signals: Iterable[Document]) -> Iterator[str]:
    yield ""
    yield "signals"
    quiet = []
    for one in signals:
        if one["holds"] is False:
            quiet.append(one["signal"])
            continue
        since = f" since {one['since']}" if one["since"] else ""
        yield f"  {one['signal']} is {WORDS[one['holds']]}{since}: {one['title']}"
        yield f"    {one['when']}    [{one['rule']}]"
        values = (f"{name} = {_value(value)}" for name, value in one["values"].items())
        yield f"    {', '.join(values)}"
        if one["clears_when"]:
            yield f"    it clears when {one['clears_when']}"
        yield from _cited(one["cited"], "    ")
    if quiet:
        yield f"  false: {', '.join(quiet)}"


def _cited(cited: list[Document], indent: str) -> Iterator[str]:
    for row in cited[:CITED]:
        yield f"{indent}· {row['says']}  {row['url'] or row['key']}"
    if len(cited) > CITED:
        yield f"{indent}· and {len(cited) - CITED} more (--json lists them)"


def _problems(problems: Iterable[Document]) -> Iterator[str]:
    for problem in problems:
        task = problem["task"]
        yield ""
        yield f"open problem: {problem['cause']}, since {problem['opened_on']}: {problem['why']}"
        yield f"  task: {task['title']}"
        where = task["url"] or task["connection"] or "no tool"
        yield (
            f"  {task['owner'] or 'nobody'}, due {task['due'][:10]}, {task['state']}, {where},"
            f" key {task['key']}"
        )
        if task["not_written"]:
            yield f"  not written: {task['not_written']}"


def _links(links: Iterable[Document]) -> Iterator[str]:
    yield ""
    yield "records"
    for one in links:
        role = "" if one["role"] == "is" else f" ({one['role'].replace('_', ' ')})"
        yield f"  {one['vendor']}/{one['object']}/{one['id']}{role}  {one['url'] or ''}".rstrip()
        yield f"    {one['reason']}, confidence {one['confidence']:.2f}"


def _gaps(proof: Document) -> Iterator[str]:
    yield ""
    if not proof["not_known"]:
        yield "everything that the score asks for is known"
        return
    yield "not known"
    for gap in proof["not_known"]:
        yield f"  {gap['name']}: {gap['why']}"
    if help_most := proof["would_help_most"]:
        yield f"  what would help most: {help_most['says']}"


def _span(ends: Document) -> str:
    low, high = ends["low"], ends["high"]
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _value(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return WORDS[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
