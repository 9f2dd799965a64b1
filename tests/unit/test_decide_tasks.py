"""The one task of a problem: whose, where, by when, under which key, and written down once."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from hub.decide.desire import intent_key

Make = Callable[..., Any]
FRIDAY, MONDAY = "2026-03-06", "2026-03-09"


@pytest.fixture
def quiet(an_account: Make) -> Any:
    """Quiet since 6 March, a Friday; owned by Mia, whose backup is Jonas."""
    return an_account(logins=["2026-02-20"])


# --- the key --------------------------------------------------------------------------------------


def test_the_key_is_made_of_target_cause_and_day_and_of_nothing_else():
    """DESIGN 3: the cause, a dash, 20 base32 characters of SHA-256; it may never change."""
    target = ("hubspot", "62515", "companies", "123")

    key = intent_key(target, "payment", date(2026, 3, 1))

    seed = b"hubspot/62515/companies/123/payment/2026-03-01"
    letters = base64.b32encode(hashlib.sha256(seed).digest()).decode().lower()
    assert key == f"payment-{letters[:20]}" == "payment-5ccs5xcvfoxn5vo7v4jd"


@pytest.mark.parametrize(
    "other",
    [
        (("hubspot", "62515", "companies", "124"), "payment", date(2026, 3, 1)),
        (("hubspot", "62516", "companies", "123"), "payment", date(2026, 3, 1)),
        (("hubspot", "62515", "companies", "123"), "usage", date(2026, 3, 1)),
        (("hubspot", "62515", "companies", "123"), "payment", date(2026, 3, 2)),
    ],
)
def test_another_target_cause_or_day_is_another_key(
    other: tuple[tuple[str, str, str, str], str, date],
):
    one = intent_key(("hubspot", "62515", "companies", "123"), "payment", date(2026, 3, 1))

    assert intent_key(*other) != one


def test_a_task_carries_the_key_of_its_target_and_the_problems_first_day(judge: Make, quiet: Any):
    task = judge(quiet, MONDAY).task

    target = ("crm", "1", "companies", "c_birchvale")
    assert task["key"] == intent_key(target, "usage", date(2026, 3, 6))
    assert f"How the hub knows: hub explain {task['key']}" in task["body"]


def test_the_key_is_the_same_in_a_hub_that_gave_the_account_another_id(
    judge: Make, an_account: Make, quiet: Any
):
    """R2: a second hub, or one restored, finds the same task."""
    other = an_account("Known by another id", logins=["2026-02-20"], records=[*quiet.records])

    assert judge(other, MONDAY).task["key"] == judge(quiet, MONDAY).task["key"]


def test_with_an_address_the_task_leads_to_the_hubs_page(judge: Make, quiet: Any, a_config: Make):
    config = a_config(
        "", ("currency: EUR", "currency: EUR\naddress: https://hub.northwind.example/")
    )

    task = judge(quiet, MONDAY, config=config).task

    assert f"How the hub knows: https://hub.northwind.example/t/{task['key']}" in task["body"]


# --- by when --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decided", "due"),
    [
        (FRIDAY, datetime(2026, 3, 10, 16, tzinfo=UTC)),
        ("2026-03-08", datetime(2026, 3, 10, 16, tzinfo=UTC)),
        (MONDAY, datetime(2026, 3, 11, 16, tzinfo=UTC)),
        ("2026-03-27", datetime(2026, 3, 31, 15, tzinfo=UTC)),
    ],
)
def test_a_task_is_due_so_many_business_days_after_it_was_decided(
    judge: Make, an_account: Make, decided: str, due: datetime
):
    """S78, at five in the afternoon in the team's zone, in winter and in summer."""
    last = date.fromisoformat(decided) - timedelta(days=14)

    task = judge(an_account(logins=[str(last)]), decided).task

    assert task["due"] == due


def test_a_public_holiday_is_no_business_day(judge: Make, an_account: Make, a_config: Make):
    """Good Friday and Easter Monday lie between the 2nd of April and the 8th."""
    config = a_config("", ("currency: EUR", "currency: EUR\ncalendar: DE-BE"))

    task = judge(an_account(logins=["2026-03-19"]), "2026-04-02", config=config).task

    assert task["due"] == datetime(2026, 4, 8, 15, tzinfo=UTC)


def test_a_due_date_does_not_move_on_later_days(hub: Any, quiet: Any, neighbour: Any):
    hub.knows(quiet, neighbour)
    first = hub.judge(quiet, FRIDAY).task

    later = [hub.judge(quiet, day).task for day in (MONDAY, "2026-03-10")]

    assert [task["due"] for task in later] == [first["due"]] * 2


# --- written down once ----------------------------------------------------------------------------


def test_what_was_written_down_once_stays_when_more_evidence_comes(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    account = an_account(bills=[a_bill("91", ["2026-03-05"])])
    hub.knows(account, neighbour)
    first = hub.judge(account, FRIDAY).task
    more = an_account("Birch & Vale", owner="jonas", bills=[a_bill("91", ["2026-03-05", FRIDAY])])

    second = hub.knows(more).judge(more, MONDAY).task

    kept = {name: value for name, value in first.items() if name != "run"}
    assert {name: value for name, value in second.items() if name != "run"} == kept
    assert "failed on 5 Mar 2026" in second["why"]


def test_a_task_that_could_not_be_written_is_written_down_anew(
    hub: Any, quiet: Any, neighbour: Any
):
    hub.colleagues("crm")
    hub.knows(quiet, neighbour)
    first = hub.judge(quiet, FRIDAY).task
    hub.colleagues("crm", "mia")

    second = hub.judge(quiet, MONDAY).task

    assert first["not_written"] is not None
    assert second["not_written"] is None
    assert second["owner_id"] == "u_mia"
    assert (second["key"], second["due"]) == (first["key"], first["due"])


# --- whose ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "owner"),
    [
        (["mia", "jonas", "tara"], "mia"),
        (["jonas", "tara"], "jonas"),
        (["tara"], "tara"),
    ],
)
def test_a_task_goes_to_the_owner_then_the_owners_backup_then_the_plays_backup(
    hub: Any, quiet: Any, neighbour: Any, there: list[str], owner: str
):
    """S7, S78: whoever of them the tool knows."""
    hub.colleagues("crm", *there)

    task = hub.knows(quiet, neighbour).judge(quiet, FRIDAY).task

    assert (task["owner"], task["owner_id"]) == (owner, f"u_{owner}")
    assert task["not_written"] is None


def test_nobody_whom_the_tool_knows_is_said_and_nothing_is_written(
    hub: Any, quiet: Any, neighbour: Any
):
    hub.colleagues("crm")

    task = hub.knows(quiet, neighbour).judge(quiet, FRIDAY).task

    assert task["owner"] == "mia"
    assert task["owner_id"] is None
    assert (
        task["not_written"]
        == "nobody in the tool owns it: neither the owner nor the backup is known there"
    )


@pytest.mark.parametrize("owner", [None, "someone_who_left_the_team"])
def test_an_account_without_an_owner_in_hub_yaml_goes_to_the_plays_backup(
    judge: Make, an_account: Make, owner: str | None
):
    account = an_account(logins=["2026-02-20"], owner=owner)

    assert judge(account, FRIDAY).task["owner"] == "tara"


def test_somebody_who_left_the_tool_is_not_given_a_task(hub: Any, quiet: Any, neighbour: Any):
    hub.colleagues("crm", "mia", "jonas")
    hub.deactivate("crm", "mia")

    task = hub.knows(quiet, neighbour).judge(quiet, FRIDAY).task

    assert task["owner"] == "jonas"


def test_a_step_may_have_an_owner_of_its_own(judge: Make, quiet: Any, a_config: Make):
    config = a_config(
        "plays:\n"
        "  quiet_account:\n"
        "    outcome: adoption\n"
        "    owner: {role: csm, backup: team_lead}\n"
        "    steps:\n"
        "      - {id: a, task: quiet_account.md, due: 1 days,"
        " owner: {role: jonas, backup: team_lead}}\n"
        "    if_stalled: {after: 5 days, escalate_to: team_lead}\n"
    )

    assert judge(quiet, FRIDAY, config=config).task["owner"] == "jonas"


# --- where ----------------------------------------------------------------------------------------


def test_the_task_goes_to_one_tool_and_the_status_to_every_one_that_can_hold_it(
    a_hub: Make, an_account: Make, neighbour: Any
):
    records = [("crm", "companies", "12", 1.0), ("desk", "organizations", "7", 1.0)]
    account = an_account(logins=["2026-02-20"], records=records)
    hub = a_hub().knows(account, neighbour)
    hub.tool("desk")

    said = hub.judge(account, FRIDAY)

    assert said.task["connection"] == "crm"
    assert (said.task["object"], said.task["record_id"]) == ("companies", "12")
    told = {(row["vendor"], row["record_id"]) for row in hub.told(account)}
    assert told == {("crm", "12"), ("desk", "7")}


def test_tasks_of_a_role_may_have_another_home(
    a_hub: Make, an_account: Make, neighbour: Any, a_config: Make
):
    records = [("crm", "companies", "12", 1.0), ("desk", "organizations", "7", 1.0)]
    account = an_account(logins=["2026-02-20"], records=records)
    config = a_config("", ("tasks_to: crm", "tasks_to: {any: crm, csm: desk}"))
    hub = a_hub(config).knows(account, neighbour)
    hub.tool("desk")
    hub.colleagues("desk", "mia")

    task = hub.judge(account, FRIDAY).task

    assert (task["connection"], task["record_id"], task["owner_id"]) == ("desk", "7", "u_mia")


def test_an_account_without_a_record_in_the_home_gets_no_task_and_says_so(
    a_hub: Make, an_account: Make, neighbour: Any
):
    account = an_account(logins=["2026-02-20"], records=[("desk", "organizations", "7", 1.0)])
    hub = a_hub().knows(account, neighbour)
    hub.tool("desk")

    task = hub.judge(account, FRIDAY).task

    assert task["not_written"] == "the account has no record in crm"
    assert task["vendor"] is None


def test_without_a_home_for_tasks_none_is_written(judge: Make, quiet: Any, a_config: Make):
    config = a_config("", ("tasks_to: crm\n", ""))

    task = judge(quiet, FRIDAY, config=config).task

    assert task["not_written"] == "hub.yaml names no tool for tasks (tasks_to)"


def test_of_two_records_in_the_home_the_lowest_id_is_the_target(judge: Make, an_account: Make):
    records = [("crm", "companies", "110", 1.0), ("crm", "companies", "95", 1.0)]
    account = an_account(logins=["2026-02-20"], records=records)

    assert judge(account, FRIDAY).task["record_id"] == "95"


@pytest.mark.parametrize(("sure", "records"), [(0.85, {"12", "13"}), (0.84, {"12"})])
def test_a_record_that_is_not_surely_the_account_gets_no_status(
    a_hub: Make, an_account: Make, neighbour: Any, sure: float, records: set[str]
):
    account = an_account(
        records=[("crm", "companies", "12", 1.0), ("crm", "companies", "13", sure)]
    )
    hub = a_hub().knows(account, neighbour)

    hub.decide(FRIDAY)

    assert {row["record_id"] for row in hub.told(account)} == records


def test_a_kind_of_record_that_cannot_hold_the_status_gets_none(
    a_hub: Make, an_account: Make, neighbour: Any
):
    account = an_account(records=[("crm", "people", "3", 1.0)])
    hub = a_hub().knows(account, neighbour)

    hub.decide(FRIDAY)

    assert hub.told(account) == []


# --- what it says ---------------------------------------------------------------------------------


def test_a_task_tells_what_happened_the_proof_and_what_to_do_first(judge: Make, quiet: Any):
    task = judge(quiet, FRIDAY).task

    assert task["title"] == ("Birch & Vale: nobody uses the product any more, find out why")
    assert "Why now: No log-in since 20 Feb 2026" in task["body"]
    assert "- Last seen: login on 20 Feb 2026 (product)" in task["body"]
    assert task["why"] == "No log-in since 20 Feb 2026"
    assert task["priority"] == "high"
    assert task["evidence"] == '["product/1/usage/acc_birchvale-login-2026-02-20-None"]'


def test_a_renewal_task_names_its_absolute_day(judge: Make, an_account: Make):
    task = judge(an_account(renewal_on="2026-06-04"), FRIDAY).task

    assert task["cause"] == "renewal"
    assert "Birch & Vale renews on 4 Jun 2026" in task["body"]
