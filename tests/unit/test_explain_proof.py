"""The proof of one account is read from stored rows alone, and says what they say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from hub.config import Config
from hub.definitions import Definitions, MeasureDef, SignalDef
from hub.explain import prove
from hub.explain.cited import cited_rows
from hub.store import Database, canonical, insert, open_database, sqlite_url, table_of
from hub.store.tables import (
    Coverage,
    Decision,
    DesiredTask,
    Episode,
    HubAccount,
    LedgerEntry,
    Link,
    Reading,
    TicketRecord,
    Verdict,
)

RUN, DAY = 3, date(2026, 3, 4)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
TICKET = "zendesk/acme/tickets/7"
KEY = "support-abcdefghijklmnopqrst"

COUNT = MeasureDef.model_validate({"title": "tickets in 30 days", "count": "tickets"})
USAGE = MeasureDef.model_validate({"count": "usage", "window": "30d"})
SPIKE = SignalDef.model_validate({"title": "Tickets doubled", "when": "x", "cause": "support"})
CONFIG = Config(
    directory=Path("config"),
    zone=ZoneInfo("Europe/Berlin"),
    currency="EUR",
    digest="d",
    definitions=Definitions(
        measures={"tickets_30d": COUNT.named("tickets_30d"), "uses_30d": USAGE.named("uses_30d")},
        signals={"ticket_spike": SPIKE.named("ticket_spike")},
    ),
)

PARTS = {
    "inputs": [
        {"dimension": "support", "measure": "tickets_30d", "weight": 15.0, "value": 9.0,
         "points": 25.0},
        {"dimension": "usage", "measure": "uses_30d", "weight": 35.0, "value": None,
         "points": None},
    ],
    "caps": [{"signal": "ticket_spike", "to": "watch", "holds": True}],
    "not_connected": ["outcomes"],
    "signals": {
        "idle": {"holds": None, "when": "uses_30d < 1", "at": "own.yaml, line 2"},
        "calm": {"holds": False, "when": "tickets_30d < 1", "at": "own.yaml, line 9"},
        "ticket_spike": {
            "holds": True, "when": "tickets_30d >= 2 * tickets_prev_30d AND tickets_30d >= 4",
            "at": "shipped/support.yaml, line 14",
        },
    },
}  # fmt: skip


def reading(name: str, number: float | None, **more: Any) -> dict[str, Any]:
    return {"run": RUN, "account_id": "a-1", "name": name, "number": number, "since": None,
            "evidence": "[]", **more}  # fmt: skip


ROWS: dict[Any, list[dict[str, Any]]] = {
    HubAccount: [
        {"id": "a-1", "minted_at": NOON, "minted_run": 1, "name": "Birch", "domains": "[]",
         "alias_of": None, "lifecycle": "customer"},
        {"id": "a-0", "minted_at": NOON, "minted_run": 1, "name": "Birch Ltd", "domains": "[]",
         "alias_of": "a-1", "lifecycle": "customer"},
        {"id": "a-2", "minted_at": NOON, "minted_run": 1, "name": "Prospect", "domains": "[]",
         "alias_of": None, "lifecycle": "prospect"},
    ],
    Decision: [{"run": RUN, "as_of": DAY, "kind": "current", "judged_at": NOON,
                "versions": '{"config": "d"}'}],
    Verdict: [{"run": RUN, "account_id": "a-1", "low": 7.5, "high": 69.99, "band": "unknown",
               "status": "watch", "since": DAY, "held": "held since 4 March", "confidence": 0.3,
               "model": "standard", "reasons": '["Too many tickets"]',
               "parts": canonical(PARTS)}],
    Reading: [
        reading("tickets_30d", 9.0, evidence=f'["{TICKET}", "zendesk/acme/tickets/gone"]'),
        reading("tickets_prev_30d", 2.0),
        reading("uses_30d", None),
        reading("ticket_spike", 1.0, since=date(2026, 3, 1), evidence=f'["{TICKET}"]'),
        reading("idle", None),
        reading("calm", 0.0),
    ],
    TicketRecord: [{"vendor": "zendesk", "vendor_account": "acme", "object": "tickets",
                    "record_id": "7", "account_id": "a-1", "subject": "It is down",
                    "status": "open", "tags": "[]", "opened_at": NOON,
                    "opened_on": date(2026, 3, 2), "url": "https://acme.example/7"}],
    Coverage: [{"account_id": "a-9", "kind": "usage", "connection": "product",
                "from_day": DAY, "fresh_until": DAY, "basis": "seen"}],
    Episode: [{"account_id": "a-1", "cause": "support", "opened_on": date(2026, 3, 1),
               "play": "support_spike", "signal": "ticket_spike", "signals": '["ticket_spike"]',
               "decided_on": DAY, "closed_on": None, "opened_run": RUN}],
    DesiredTask: [{"run": RUN, "key": KEY, "account_id": "a-1", "cause": "support",
                   "opened_on": date(2026, 3, 1), "connection": "hubspot", "owner": "mia",
                   "title": "Call Birch", "body": "", "due": NOON, "priority": "high",
                   "why": "Too many tickets", "evidence": f'["{TICKET}"]'}],
    Link: [{"vendor": "hubspot", "vendor_account": "1", "object": "companies", "record_id": "12",
            "account_id": "a-1", "role": "is", "reason": "same business domain birch.example",
            "confidence": 0.9, "since": NOON, "until": None, "actor": "hub", "run": 1}],
}  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database that holds one decision about one customer."""
    made = open_database(sqlite_url(tmp_path / "hub.db"))
    with made.write() as writing:
        for model, rows in ROWS.items():
            insert(writing, model, rows)
    yield made
    made.close()


@pytest.fixture
def proof(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        return prove(connection, CONFIG, "a-1", RUN)


def test_each_side_of_health_has_its_own_interval(proof: dict[str, Any]):
    support, usage = proof["score"]["dimensions"]

    assert (support["low"], support["high"], support["share"]) == (25, 25, 0.3)
    assert (usage["low"], usage["high"], usage["share"]) == (0, 100, 0.7)
    assert support["inputs"][0]["title"] == "tickets in 30 days"


def test_a_true_signal_shows_values_rows_rule_and_what_would_clear_it(proof: dict[str, Any]):
    spike = proof["signals"][0]

    assert (spike["signal"], spike["holds"], spike["since"]) == ("ticket_spike", True, "2026-03-01")
    assert spike["values"] == {"tickets_30d": 9, "tickets_prev_30d": 2}
    assert spike["clears_when"] == "tickets_30d falls below 4"
    assert spike["rule"] == "shipped/support.yaml, line 14"
    assert spike["caps"] == "watch"
    assert spike["cited"] == [
        {"key": TICKET, "says": "Ticket “It is down”, 2 Mar 2026 (zendesk)",
         "url": "https://acme.example/7"}
    ]  # fmt: skip


def test_signals_come_true_then_unknown_then_false(proof: dict[str, Any]):
    assert [one["holds"] for one in proof["signals"]] == [True, None, False]
    assert [one["clears_when"] for one in proof["signals"][1:]] == [None, None]


def test_a_cited_row_that_is_gone_is_said_to_be(database: Database):
    with database.read() as connection:
        found = cited_rows(connection, [TICKET, "zendesk/acme/tickets/gone", "account/a-1"])

    assert found["zendesk/acme/tickets/gone"] == {"says": "the row is no longer there", "url": None}
    assert "account/a-1" not in found


def test_the_explanation_follows_the_row_that_it_cites(database: Database):
    table = table_of(TicketRecord)
    with database.write() as writing:
        writing.execute(update(table).values(subject="It works again"))

    with database.read() as connection:
        spike = prove(connection, CONFIG, "a-1", RUN)["signals"][0]

    assert spike["cited"][0]["says"] == "Ticket “It works again”, 2 Mar 2026 (zendesk)"


def test_what_is_not_known_names_the_connection_that_would_help(proof: dict[str, Any]):
    assert proof["not_known"] == [
        {"name": "uses_30d", "weight": 35.0, "source": "usage", "why": "no usage is linked"}
    ]
    assert proof["would_help_most"]["connections"] == ["product"]
    assert (proof["would_help_most"]["weight"], proof["would_help_most"]["of"]) == (35, 50)


def test_a_problem_shows_its_task_before_and_after_it_is_written(database: Database):
    with database.read() as connection:
        before = prove(connection, CONFIG, "a-1", RUN)["problems"][0]
    entry = {"key": KEY, "plan": 1, "item": 1, "kind": "create", "connection": "hubspot",
             "vendor": "hubspot", "vendor_account": "1", "object": "companies", "record_id": "12",
             "action": "{}", "before": "null", "after": "null", "state": "done", "actor": "hub",
             "reason": "", "receipt_url": "https://crm.example/task/1",
             "intended_at": NOON}  # fmt: skip

    with database.write() as writing:
        insert(writing, LedgerEntry, [entry])
    with database.read() as connection:
        after = prove(connection, CONFIG, "a-1", RUN)["problems"][0]

    assert (before["play"], before["signals"]) == ("support_spike", ["ticket_spike"])
    assert (before["task"]["state"], before["task"]["url"]) == ("not written", None)
    assert (after["task"]["state"], after["task"]["url"]) == ("done", "https://crm.example/task/1")


def test_links_tell_why_and_how_surely(proof: dict[str, Any]):
    (link,) = proof["links"]

    assert link["reason"] == "same business domain birch.example"
    assert link["confidence"] == 0.9
    assert proof["account"]["aliases"] == ["a-0"]


def test_who_is_no_customer_is_shown_without_a_judgement(database: Database):
    with database.read() as connection:
        proof = prove(connection, CONFIG, "a-2", RUN)

    assert (proof["status"], proof["account"]["lifecycle"]) == (None, "prospect")
    assert "score" not in proof
