"""Commands that only look: what they answer to people and, with --json, to programs."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

ACCOUNT_FIELDS = [
    "account_id", "name", "domains", "lifecycle", "segment", "status", "band", "score",
    "confidence", "since", "reasons", "owner", "renewal_on", "mrr", "links",
]  # fmt: skip


@pytest.fixture(scope="module")
def accounts(home_after_run: Any) -> list[dict[str, Any]]:
    """Every customer as `hub accounts --json` lists them."""
    listed: list[dict[str, Any]] = home_after_run.call("accounts", "--json").documents
    return listed


@pytest.fixture(scope="module")
def worst(accounts: list[dict[str, Any]]) -> dict[str, Any]:
    """A customer at risk."""
    return next(one for one in accounts if one["status"] == "at_risk")


def test_accounts_are_json_lines_with_the_fields_of_the_contract(accounts: list[dict[str, Any]]):
    first = accounts[0]

    assert [list(one) for one in accounts] == [ACCOUNT_FIELDS] * len(accounts)
    assert list(first["score"]) == ["low", "high", "point"]
    assert list(first["links"][0]) == ["vendor", "object", "id", "url"]
    assert {one["lifecycle"] for one in accounts} == {"customer"}
    assert all(one["mrr"] is None or list(one["mrr"]) == ["amount_minor", "currency"]
               for one in accounts)  # fmt: skip


def test_accounts_come_worst_first(accounts: list[dict[str, Any]]):
    highs = [one["score"]["high"] for one in accounts]

    assert highs == sorted(highs)


def test_a_past_day_is_a_what_if_that_changes_nothing(home_after_run: Any):
    past = (date.today() - timedelta(days=20)).isoformat()
    before = home_after_run.call("accounts").out

    first = home_after_run.call("accounts", "--as-of", past, "--json")
    again = home_after_run.call("accounts", "--as-of", past, "--json")

    assert first.documents
    assert all(one["since"] <= past for one in first.documents)
    assert again.out == first.out
    assert home_after_run.call("accounts").out == before


@pytest.mark.parametrize("day", ["2999-01-01", "yesterday"])
def test_a_day_that_is_none_is_wrong_use(home_after_run: Any, day: str):
    ran = home_after_run.call("accounts", "--as-of", day, "--json")

    assert ran.code == 2
    assert ran.document["error"]["code"] == "USAGE"
    assert ran.err.startswith("USAGE: ")


def test_review_lists_pairs_and_is_empty_where_none_wait(home_after_run: Any):
    ran = home_after_run.call("accounts", "--review", "--json")

    assert (ran.code, ran.err) == (0, "")
    assert all(list(one) == ["left", "right", "reason", "confidence"] for one in ran.documents)


def test_a_status_is_proved_down_to_the_vendors_rows(home_after_run: Any, worst: dict[str, Any]):
    proof = home_after_run.call("explain", worst["account_id"], "--json").document

    assert proof["status"]["status"] == worst["status"]
    assert proof["status"]["reasons"] == worst["reasons"]
    assert (proof["score"]["low"], proof["score"]["high"]) == (
        worst["score"]["low"], worst["score"]["high"],
    )  # fmt: skip
    true = [one for one in proof["signals"] if one["holds"]]
    assert true
    assert all(one["since"] and one["clears_when"] and one["cited"] for one in true)
    assert all(".yaml, line " in one["rule"] for one in proof["signals"])
    assert {link["id"] for link in worst["links"]} <= {link["id"] for link in proof["links"]}
    assert all(link["reason"] and link["confidence"] for link in proof["links"])


def test_the_score_in_the_proof_adds_up(home_after_run: Any, accounts: list[dict[str, Any]]):
    free = next(one for one in accounts if one["status"] == "healthy")

    score = home_after_run.call("explain", free["account_id"], "--json").document["score"]

    low = sum(one["share"] * one["low"] for one in score["dimensions"])
    assert sum(one["share"] for one in score["dimensions"]) == pytest.approx(1, abs=0.001)
    assert low == pytest.approx(score["low"], abs=0.1)


def test_an_open_problem_has_its_task_with_owner_due_day_and_address(
    home_after_run: Any, worst: dict[str, Any]
):
    proof = home_after_run.call("explain", worst["account_id"], "--json").document

    task = proof["problems"][0]["task"]

    assert (task["state"], task["connection"]) == ("done", "hubspot")
    assert all((task["owner"], task["due"]))
    assert task["url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("said", ["id", "name", "name in capitals", "domain", "record", "task key"])
def test_an_account_is_found_by_whatever_name_people_have(
    home_after_run: Any, worst: dict[str, Any], said: str
):
    link = worst["links"][0]
    proof = home_after_run.call("explain", worst["account_id"], "--json").document
    names = {
        "id": worst["account_id"],
        "name": worst["name"],
        "name in capitals": worst["name"].upper(),
        "domain": worst["domains"][0],
        "record": f"{link['vendor']}/{link['object']}/{link['id']}",
        "task key": proof["problems"][0]["task"]["key"],
    }

    found = home_after_run.call("explain", names[said], "--json").document

    assert found == proof


def test_a_name_that_fits_several_lists_them(home_after_run: Any, worst: dict[str, Any]):
    ran = home_after_run.call("explain", "a", "--json")

    assert ran.code == 2
    assert ran.document["error"]["code"] == "AMBIGUOUS"
    assert worst["account_id"] in ran.document["error"]["message"]


def test_an_unknown_name_is_not_found(home_after_run: Any):
    ran = home_after_run.call("explain", "Nobody & Sons")

    assert ran.code == 2
    assert ran.err.startswith("NOT_FOUND: no account is called Nobody & Sons. ")


def test_people_read_the_same_proof(home_after_run: Any, worst: dict[str, Any]):
    proof = home_after_run.call("explain", worst["account_id"], "--json").document

    shown = home_after_run.call("explain", worst["account_id"]).out

    assert worst["name"] in shown.splitlines()[0]
    for one in proof["signals"]:
        assert one["signal"] in shown
    for one in proof["signals"]:
        if one["holds"]:
            assert one["when"] in shown
            assert one["clears_when"] in shown
            assert one["cited"][0]["says"] in shown


def test_a_stored_plan_is_shown_without_asking_a_vendor(home_after_run: Any):
    calls = len(home_after_run.vendor("hubspot").calls)

    ran = home_after_run.call("plan", "--show", "1", "--json")

    document = ran.document
    assert len(home_after_run.vendor("hubspot").calls) == calls
    assert document["state"] == "applied"
    items = document["connections"]["hubspot"]
    assert {"define", "change", "create"} <= {one["kind"] for one in items}
    assert all(one["why"] and one["state"] == "done" for one in items)


def test_a_plan_that_is_not_there_is_wrong_use(home_after_run: Any):
    ran = home_after_run.call("plan", "--show", "99", "--json")

    assert (ran.code, ran.document["error"]["code"]) == (2, "NOT_FOUND")


def test_the_doctor_finds_a_used_folder_well(home_after_run: Any):
    ran = home_after_run.call("doctor", "--aside", "--json")

    document = ran.document
    states = {one["what"]: one["state"] for one in document["findings"]}
    assert (ran.code, document["ok"], document["aside"]) == (0, True, [])
    assert {states[what] for what in ("python", "config", "data", "database", "hubspot")} == {"ok"}


def test_the_doctor_lists_every_config_problem_and_ends_with_1(home: Any):
    (home.directory / ".env").unlink()

    ran = home.call("doctor", "--json")

    bad = [one["says"] for one in ran.document["findings"] if one["state"] == "bad"]
    assert (ran.code, ran.document["ok"]) == (1, False)
    assert sum(text.startswith("CONFIG_SECRET_MISSING: ") for text in bad) >= 4


def test_plugins_say_what_they_bring(home_after_run: Any):
    document = home_after_run.call("plugins", "--json").document

    brings = {one["name"]: one["brings"] for one in document["loaded"]}
    assert "connector hubspot" in brings["hubspot"]
    assert "measure days_since_last_login" in brings["rules"]


def test_a_folder_of_plugins_is_loaded_when_named(home_after_run: Any, tmp_path: Any):
    (tmp_path / "hello.py").write_text(
        "from hub import hookimpl\n\n\n@hookimpl\ndef register_commands(register):\n"
        "    register(hello)\n\n\ndef hello():\n    pass\n"
    )

    document = home_after_run.call("plugins", "--plugins-dir", str(tmp_path), "--json").document

    assert document["loaded"][-1]["brings"] == ["command hello"]


def test_check_says_who_signed_in_where(home_after_run: Any):
    ran = home_after_run.call("check", "--json")

    by_name = {one["connection"]: one for one in ran.document["connections"]}
    assert ran.code == 0
    assert all(one["ok"] and one["error"] is None for one in by_name.values())
    assert by_name["stripe"]["account"] == "acct_1SandboxHub"


def test_a_preview_maps_ten_rows_of_each_stream_and_stores_nothing(home: Any):
    ran = home.call("check", "hubspot", "--preview", "--json")

    (one,) = ran.document["connections"]
    assert (ran.code, home.rows()) == (0, {})
    assert len(one["preview"]["companies"]) == 10
    assert one["preview"]["companies"][0]["record"][0]["name"]


def test_check_of_an_unknown_connection_names_the_nearest(home_after_run: Any):
    ran = home_after_run.call("check", "hubpsot")

    assert ran.code == 2
    assert ran.err.startswith("NOT_FOUND: there is no connection hubpsot.")
    assert "hubspot" in ran.err


def test_looking_before_the_first_run_says_what_to_do(home: Any):
    ran = home.call("accounts", "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == "NOT_FOUND"
    assert "hub run" in ran.err
    assert not home.database.exists()


def test_check_names_the_connection_that_no_longer_signs_in_and_checks_the_others(home: Any):
    token = home.vendor("hubspot").token
    home.edit(".env", token, f"{token}_revoked")

    ran = home.call("check", "--json")
    alone = home.call("check", "hubspot")

    errors = {one["connection"]: one["error"] for one in ran.document["connections"]}
    assert (ran.code, alone.code) == (3, 1)
    assert errors.pop("hubspot")["code"] == "RECONNECT_NEEDED"
    assert set(errors.values()) == {None}
    assert alone.err.startswith("RECONNECT_NEEDED: ")
    assert token not in ran.out + alone.err
