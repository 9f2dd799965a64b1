"""The proof of one account in one decision: status, score, signals, problems, links; plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from ..accounts import account_document, day_text, links_of
from ..conditions import Name, Reading, compile_condition, names_in
from ..config import Config
from ..decide.evaluate import registry
from ..errors import ConfigError
from ..store import as_dicts, table_of
from ..store.tables import (
    AccountRecord,
    Decision,
    DesiredTask,
    Episode,
    HubAccount,
    LedgerEntry,
    Link,
    Verdict,
)
from ..store.tables import Reading as ReadingRow
from .cited import cited_rows
from .gaps import most_helpful, not_known

Document = dict[str, Any]


def prove(reading: Connection, config: Config, account_id: str, run: int) -> Document:
    """Everything that one decision knows about an account, in the order a person asks for it."""
    decision = _one(reading, Decision, run=run)
    account = _one(reading, HubAccount, id=account_id)
    verdict = _one(reading, Verdict, run=run, account_id=account_id)
    if decision is None or account is None:
        raise KeyError(f"decision {run}, account {account_id}")
    proof: Document = {
        "as_of": day_text(decision["as_of"]),
        "decision": {"run": run, "kind": decision["kind"], **json.loads(decision["versions"])},
        "account": _account(reading, account, verdict),
        "status": None,
    }
    if verdict is not None:
        proof |= _Judgement(reading, config, verdict, decision["as_of"]).document()
    return proof | {
        "problems": list(_problems(reading, account_id, run)),
        "links": list(_links(reading, account_id)),
    }


def _one(reading: Connection, model: Any, **key: object) -> Document | None:
    table = table_of(model)
    statement = select(table).where(*(table.c[name] == value for name, value in key.items()))
    return next(iter(as_dicts(reading, statement)), None)


def _account(reading: Connection, account: Document, verdict: Document | None) -> Document:
    table = table_of(HubAccount)
    aliases = reading.execute(select(table.c.id).where(table.c.alias_of == account["id"]))
    document: Document = {
        "account_id": account["id"],
        "name": account["name"],
        "domains": json.loads(account["domains"]),
        "lifecycle": account["lifecycle"],
        "kind": account["kind"],
        "why_lifecycle": account["lifecycle_why"],
        "owner": account["owner"],
        "renewal_on": day_text(account["renewal_on"]),
        "aliases": sorted(aliases.scalars()),
    }
    if verdict is not None:
        listed = account_document({**account, **verdict}, links_of(reading).get(account["id"], []))
        document |= {"segment": listed["segment"], "mrr": listed["mrr"]}
    return document


class _Judgement:
    """The parts of a verdict: where the score comes from and what each signal saw."""

    def __init__(self, reading: Connection, config: Config, verdict: Document, day: date) -> None:
        self.reading, self.config, self.verdict, self.day = reading, config, verdict, day
        self.parts: Document = json.loads(verdict["parts"])
        table = table_of(ReadingRow)
        rows = as_dicts(
            reading,
            select(table).where(
                table.c.run == verdict["run"], table.c.account_id == verdict["account_id"]
            ),
        )
        self.rows = {row["name"]: row for row in rows}
        self.measures = registry(config).measures
        self.evidence = {row["name"]: json.loads(row["evidence"]) for row in rows}
        keys = dict.fromkeys(key for some in self.evidence.values() for key in some)
        self.rows_cited = cited_rows(reading, keys)

    def document(self) -> Document:
        verdict, inputs = self.verdict, self.parts["inputs"]
        gaps = not_known(
            self.reading, self.measures, verdict["account_id"], self.day, self._unknown(), inputs
        )
        return {
            "status": {
                "status": verdict["status"],
                "since": day_text(verdict["since"]),
                "held": verdict["held"],
                "band": verdict["band"],
                "reasons": json.loads(verdict["reasons"]),
            },
            "score": {
                "low": verdict["low"],
                "high": verdict["high"],
                "point": verdict["point"],
                "confidence": verdict["confidence"],
                "model": verdict["model"],
                "dimensions": list(self._dimensions(inputs)),
                "caps": self.parts["caps"],
                "not_connected": self.parts["not_connected"],
            },
            "signals": list(self._signals()),
            "not_known": gaps,
            "would_help_most": most_helpful(self.reading, gaps, inputs),
        }

    # --- the score ----------------------------------------------------------------------------

    def _dimensions(self, inputs: Sequence[Document]) -> Iterator[Document]:
        """Each side of health with its own interval and its share of the whole."""
        whole = sum(part["weight"] for part in inputs)
        for name in dict.fromkeys(part["dimension"] for part in inputs):
            mine = [part for part in inputs if part["dimension"] == name]
            weight = sum(part["weight"] for part in mine)
            gained = sum(part["weight"] * (part["points"] or 0) for part in mine)
            missing = sum(part["weight"] for part in mine if part["points"] is None)
            yield {
                "dimension": name,
                "weight": round(weight, 2),
                "share": round(weight / whole, 4),
                "low": round(gained / weight, 2),
                "high": round((gained + 100 * missing) / weight, 2),
                "inputs": [self._input(part) for part in mine],
            }

    def _input(self, part: Document) -> Document:
        name = part["measure"]
        return {
            "input": name,
            "title": self._title(name),
            "value": part["value"],
            "points": None if part["points"] is None else round(part["points"], 2),
            "weight": round(part["weight"], 2),
            "cited": self._cited(name),
        }

    def _cited(self, name: str) -> list[Document]:
        return _listed(self.rows_cited, self.evidence.get(name, ()))

    def _title(self, name: str) -> str:
        found = self.measures.get(name)
        return found.title if found and found.title else name.replace("_", " ")

    # --- signals ------------------------------------------------------------------------------

    def _signals(self) -> Iterator[Document]:
        """True ones first, then the unknown, then the false."""
        caps = {cap["signal"]: cap["to"] for cap in self.parts["caps"]}
        order = {True: 0, None: 1, False: 2}
        signals = self.parts["signals"].items()
        for name, about in sorted(signals, key=lambda one: (order[one[1]["holds"]], one[0])):
            row = self.rows.get(name)
            values = {used: self._value(used) for used in sorted(names_in(about["when"]))}
            definition = self.config.definitions.signals.get(name)
            yield {
                "signal": name,
                "title": definition.title if definition else name.replace("_", " "),
                "holds": about["holds"],
                "since": day_text(row["since"]) if row else None,
                "when": about["when"],
                "values": {used: _plain(value) for used, value in values.items()},
                "caps": caps.get(name),
                "rule": about["at"],
                "clears_when": self._clearing(about, values) if about["holds"] else None,
                "cited": self._cited(name),
            }

    def _value(self, name: str) -> Reading:
        row = self.rows.get(name)
        if row is None:
            return None
        number = row["number"]
        if number is not None and name in self.parts["signals"]:
            return bool(number)
        if number is not None and float(number).is_integer():
            return int(number)
        value: Reading = next(
            (one for one in (number, row["day"], row["words"]) if one is not None), None
        )
        return value

    def _clearing(self, about: Document, values: Mapping[str, Reading]) -> str | None:
        """The smallest change of one value that ends the signal, in words."""
        names = {name: self._name(name) for name in values}
        try:
            condition = compile_condition(about["when"], names, where=about["at"])
        except ConfigError:  # a measure means another kind of thing today than on that day
            return None
        return condition.clearing(values)

    def _name(self, name: str) -> Name:
        """What a condition may know of a name; the value of one that is no longer there tells."""
        if name in self.parts["signals"]:
            return Name("boolean")
        if name in self.measures:
            return self.measures[name].as_name()
        value = self._value(name)
        if isinstance(value, date):
            return Name("date")
        return Name("text" if isinstance(value, str) else "number")

    def _unknown(self) -> list[str]:
        """The measures that an unknown signal waits for."""
        waiting = [about for about in self.parts["signals"].values() if about["holds"] is None]
        names = {name for about in waiting for name in names_in(about["when"])}
        return sorted(name for name in names if name in self.rows and self._value(name) is None)


def _listed(found: Mapping[str, Document], keys: Sequence[str]) -> list[Document]:
    return [{"key": key, **found[key]} for key in keys if key in found]


def _plain(value: Reading) -> object:
    return day_text(value) if isinstance(value, date) else value


# --- problems, tasks, links -----------------------------------------------------------------------


def _problems(reading: Connection, account_id: str, run: int) -> Iterator[Document]:
    """Every problem that this decision sees open, with its one task and how that went."""
    tasks = table_of(DesiredTask)
    wanted = select(tasks).where(tasks.c.run == run, tasks.c.account_id == account_id)
    for task in as_dicts(reading, wanted.order_by(tasks.c.opened_on, tasks.c.cause)):
        episode = _one(
            reading,
            Episode,
            account_id=account_id,
            cause=task["cause"],
            opened_on=task["opened_on"],
        )
        keys = json.loads(task["evidence"])
        yield {
            "cause": task["cause"],
            "opened_on": day_text(task["opened_on"]),
            "why": task["why"],
            "play": episode["play"] if episode else None,
            "signals": json.loads(episode["signals"]) if episode else [],
            "task": _task(reading, task),
            "cited": _listed(cited_rows(reading, keys), keys),
        }


def _task(reading: Connection, task: Document) -> Document:
    ledger = table_of(LedgerEntry)
    written = as_dicts(
        reading,
        select(ledger)
        .where(ledger.c.key == task["key"], ledger.c.kind == "create")
        .order_by(ledger.c.seq.desc())
        .limit(1),
    )
    last = written[0] if written else None
    return {
        "key": task["key"],
        "title": task["title"],
        "owner": task["owner"],
        "due": day_text(task["due"]),
        "connection": task["connection"],
        "state": last["state"] if last else "not written",
        "url": last["receipt_url"] if last else None,
        "not_written": task["not_written"],
    }


def _links(reading: Connection, account_id: str) -> Iterator[Document]:
    """The records that are this account, or stand in another role to it, and how that is known."""
    links, records = table_of(Link), table_of(AccountRecord)
    statement = (
        select(links)
        .where(links.c.account_id == account_id, links.c.until.is_(None))
        .order_by(links.c.role, links.c.vendor, links.c.object, links.c.record_id)
    )
    for link in as_dicts(reading, statement):
        key = (link["vendor"], link["vendor_account"], link["object"], link["record_id"])
        same = zip(("vendor", "vendor_account", "object", "record_id"), key, strict=True)
        url = reading.execute(
            select(records.c.url).where(*(records.c[part] == value for part, value in same))
        ).scalar()
        yield {
            "vendor": link["vendor"],
            "vendor_account": link["vendor_account"],
            "object": link["object"],
            "id": link["record_id"],
            "url": url,
            "role": link["role"],
            "reason": link["reason"],
            "confidence": link["confidence"],
            "since": day_text(link["since"]),
            "actor": link["actor"],
        }
