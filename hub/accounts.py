"""Every customer as one decision saw them: what `hub accounts` lists and other programs read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select

from .config import Config
from .decide import decide
from .env import Env
from .errors import HubError, UsageError
from .store import Database, as_dicts, table_of
from .store.current import published_run
from .store.tables import AccountRecord, Decision, HubAccount, Link, ReviewPair, Run, Verdict


def current_decision(database: Database) -> int:
    """The run of the current decision; NOT_FOUND before the first one."""
    with database.read() as reading:
        found = published_run(reading)
    if found is None:
        raise HubError("nothing has been decided yet", do="Run `hub run` first", code="NOT_FOUND")
    return found


def decision_of(config: Config, database: Database, env: Env, day: date) -> int:
    """The run of a decision for this day, which is made when there is none that still holds.

    A past day is a what-if: it is stored as a replay and changes nothing. Raises UsageError for
    today (or later) when that is not decided yet.
    """
    with database.read() as reading:
        found = _still_true(reading, config, day)
    if found is not None:
        return found
    today = env.today(config.zone)
    if day >= today:
        when = "has not come yet" if day > today else "has not been decided yet"
        raise UsageError(f"{day} {when}", do="Give a day before today, or run `hub decide`")
    return decide(config, database, now=env.now(), today=today, as_of=day).run


def _still_true(reading: Connection, config: Config, day: date) -> int | None:
    """A stored decision for the day under this config, if no fact has changed since."""
    decisions, runs = table_of(Decision), table_of(Run)
    last_facts = select(func.max(runs.c.id)).where(runs.c.verb == "unify").scalar_subquery()
    rows = reading.execute(
        select(decisions.c.run, decisions.c.versions)
        .where(decisions.c.as_of == day, decisions.c.run > func.coalesce(last_facts, 0))
        .order_by(decisions.c.run.desc())
    )
    return next(
        (run for run, versions in rows if json.loads(versions).get("config") == config.digest), None
    )


def listed(reading: Connection, run: int) -> Iterator[dict[str, Any]]:
    """Every customer of a decision as plain JSON, worst first, then by name."""
    verdicts, accounts = table_of(Verdict), table_of(HubAccount)
    statement = (
        select(verdicts, accounts.c.name, accounts.c.domains, accounts.c.lifecycle,
               accounts.c.owner, accounts.c.renewal_on)
        .join(accounts, accounts.c.id == verdicts.c.account_id)
        .where(verdicts.c.run == run)
        .order_by(verdicts.c.high, accounts.c.name, verdicts.c.account_id)
    )  # fmt: skip
    links = links_of(reading)
    for row in as_dicts(reading, statement):
        yield account_document(row, links.get(row["account_id"], []))


def account_document(row: Mapping[str, Any], links: list[dict[str, Any]]) -> dict[str, Any]:
    """One customer in the form that DESIGN fixes; unknown is null."""
    mrr = None
    if row["mrr_minor"] is not None:
        mrr = {"amount_minor": row["mrr_minor"], "currency": row["currency"]}
    return {
        "account_id": row["account_id"],
        "name": row["name"],
        "domains": json.loads(row["domains"]),
        "lifecycle": row["lifecycle"],
        "segment": row["segment"],
        "status": row["status"],
        "band": row["band"],
        "score": {"low": row["low"], "high": row["high"], "point": row["point"]},
        "confidence": row["confidence"],
        "since": day_text(row["since"]),
        "reasons": json.loads(row["reasons"]),
        "owner": row["owner"],
        "renewal_on": day_text(row["renewal_on"]),
        "mrr": mrr,
        "links": links,
    }


def links_of(reading: Connection) -> dict[str, list[dict[str, Any]]]:
    """Each account's own records that still exist, with the page of each where it has one."""
    link, record = table_of(Link), table_of(AccountRecord)
    parts = ("vendor", "vendor_account", "object", "record_id")
    same = and_(*(link.c[part] == record.c[part] for part in parts))
    statement = (
        select(link.c.account_id, link.c.vendor, link.c.object, link.c.record_id, record.c.url)
        .join(record, same)
        .where(link.c.until.is_(None), link.c.role == "is", record.c.gone_at.is_(None))
        .order_by(link.c.vendor, link.c.object, link.c.record_id)
    )
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for account, vendor, kind, key, url in reading.execute(statement):
        found[account].append({"vendor": vendor, "object": kind, "id": key, "url": url})
    return found


def review_pairs(reading: Connection) -> Iterator[dict[str, Any]]:
    """The pairs of accounts that may be one and wait for a person, the likeliest first."""
    pairs, accounts = table_of(ReviewPair), table_of(HubAccount)
    left, right = accounts.alias("left_account"), accounts.alias("right_account")
    statement = (
        select(pairs, left.c.name.label("left_name"), right.c.name.label("right_name"))
        .outerjoin(left, left.c.id == pairs.c.left)
        .outerjoin(right, right.c.id == pairs.c.right)
        .where(pairs.c.state == "open")
        .order_by(pairs.c.confidence.desc(), pairs.c.left, pairs.c.right)
    )
    for row in as_dicts(reading, statement):
        yield {
            "left": {"account_id": row["left"], "name": row["left_name"]},
            "right": {"account_id": row["right"], "name": row["right_name"]},
            "reason": row["reason"],
            "confidence": row["confidence"],
        }


def day_text(day: date | datetime | None) -> str | None:
    """A day or an instant as JSON holds it."""
    return day.isoformat() if day is not None else None


__all__ = [
    "account_document",
    "current_decision",
    "decision_of",
    "links_of",
    "listed",
    "review_pairs",
]
