"""The verbs on the command line: their summary, exit codes, the lock, and being stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from hub.testing.faults import Fault


def items(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that a plan would write."""
    return [item for some in plan["connections"].values() for item in some]


def test_a_run_tells_in_five_lines_what_it_did(home: Any):
    ran = home.call("run")

    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert [line.split(" ", 1)[0] for line in lines] == [
        "read", "joined", "judged", "decided", "wrote",
    ]  # fmt: skip
    assert "hubspot 25 companies" in lines[0]
    assert "customers from" in lines[1]
    assert "at risk " in lines[2]
    assert "(0 refused)" in lines[4]


def test_a_second_run_writes_nothing(home: Any):
    first = home.call("run", "--json")
    writes = len(home.vendor("hubspot").writes())

    second = home.call("run", "--json")

    (deliver,) = (one for one in second.document["steps"] if one["step"] == "deliver")
    assert (first.code, second.code, deliver["counts"]["planned"]) == (0, 0, 0)
    assert len(home.vendor("hubspot").writes()) == writes > 0


def test_a_run_answers_programs_with_one_document(home: Any):
    document = home.call("run", "--json").document

    assert list(document) == ["result", "steps", "troubles"]
    assert (document["result"], document["troubles"]) == ("done", [])
    assert [one["step"] for one in document["steps"]] == ["sync", "unify", "decide", "deliver"]
    for one in document["steps"]:
        assert list(one) == ["step", "run", "result", "counts"]


def test_rows_that_are_set_aside_are_listed_and_the_rest_goes_on(home: Any):
    twins = list(home.vendor("stripe").objects["invoice"].values())[:12]
    for invoice in twins:
        invoice["currency"] = "beads"

    ran = home.call("run")
    document = home.call("run", "--json").document

    rejected = [line for line in ran.err.splitlines() if line.startswith("RECORD_REJECTED: ")]
    assert (ran.code, len(rejected)) == (3, 10)
    assert "and 2 more: hub doctor --aside" in ran.err
    assert ran.out.splitlines()[-1].startswith("wrote")
    assert [one["kind"] for one in document["troubles"]] == ["rejected"] * 12
    assert document["result"] == "partly"
    assert len(home.call("doctor", "--aside", "--json").document["aside"]) == 12


def test_when_nothing_can_be_read_nothing_is_decided(home: Any):
    home.call("run")
    for box in home.stand.sandboxes.values():
        box.faults.add(Fault("unauthorized", times=None))
    (home.directory / "usage.db").unlink()

    ran = home.call("run", "--json")

    assert ran.code == 1
    assert [one["step"] for one in ran.document["steps"]] == ["sync"]
    assert {one["kind"] for one in ran.document["troubles"]} == {"stream"}


def test_one_connection_alone_can_be_read(home: Any):
    ran = home.call("sync", "stripe", "--json")

    assert ran.code == 0
    assert {name.split(" ")[0] for name in home.rows()} == {"stripe"}


def test_a_connection_that_is_not_there_is_wrong_use(home: Any):
    ran = home.call("sync", "stripes", "--json")

    assert (ran.code, ran.document["error"]["code"]) == (2, "NOT_FOUND")
    assert home.rows() == {}


def test_a_plan_is_looked_at_and_then_applied(home: Any):
    for path in (home.directory / "config" / "connections").glob("*.yaml"):
        path.write_text(path.read_text().replace("deliver: auto", "deliver: plan"))
    ran = home.call("run")
    planned = home.call("plan", "--json").document

    applied = home.call("apply", str(planned["plan"]), "--json")

    assert ran.out.splitlines()[-1] == (
        f"wrote    nothing (0 refused); {len(items(planned))} writes wait in plan"
        f" {planned['plan']}: hub apply {planned['plan']}"
    )
    assert applied.code == 0
    assert applied.document["done"] == len(items(planned)) > 0
    assert items(home.call("plan", "--json").document) == []


def test_people_read_a_plan_as_old_new_and_why(home: Any):
    for path in (home.directory / "config" / "connections").glob("*.yaml"):
        path.write_text(path.read_text().replace("deliver: auto", "deliver: plan"))
    home.call("run")

    lines = home.call("plan").out.splitlines()

    assert lines[0].startswith("plan 1 for ")
    assert "  change hub_health: – → at_risk" in lines
    assert any(line.startswith("    because ") for line in lines)
    assert lines[-1] == "to write it: hub apply 1"


def test_a_target_that_somebody_changed_is_left_alone_and_listed(home: Any):
    home.call("run")
    key = next(iter(home.vendor("hubspot").objects["companies"]))
    home.vendor("hubspot").objects["companies"][key]["properties"]["hub_health"] = "watch"
    planned = home.call("plan", "--json").document
    home.vendor("hubspot").objects["companies"][key]["properties"]["hub_health"] = "unknown"

    applied = home.call("apply", str(planned["plan"]))

    assert applied.code == 3
    assert "TARGET_CHANGED: " in applied.err


def test_a_past_day_is_decided_as_a_what_if(home: Any):
    home.call("run")

    ran = home.call("decide", "--as-of", "2026-01-15", "--json")

    assert ran.code == 0
    assert items(home.call("plan", "--json").document) == []


def test_a_second_process_on_the_same_data_is_refused(home: Any):
    (home.directory / "var").mkdir(mode=0o700)
    lock = os.open(home.directory / "var" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)

    working = home.call("sync", "--json")
    looking = home.call("doctor")
    os.close(lock)

    assert (working.code, working.document["error"]["code"]) == (1, "ALREADY_RUNNING")
    assert "ALREADY_RUNNING" not in looking.out


def test_only_the_owner_may_read_what_is_stored(home: Any):
    before = os.umask(0)
    home.call("sync", "stripe")
    os.umask(before)

    rights = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in home.database.parent.iterdir()
    }

    assert stat.S_IMODE(home.database.parent.stat().st_mode) == 0o700
    assert set(rights.values()) == {0o600}


def test_a_data_directory_that_cannot_be_used_is_named(home: Any, tmp_path: Path):
    (tmp_path / "a-file").write_text("")

    ran = home.call("sync", HUB_DATA_DIR=str(tmp_path / "a-file"))

    assert ran.code == 1
    assert ran.err.startswith("DATABASE_FAILED: the data directory ")
    assert "HUB_DATA_DIR" in ran.err


@pytest.mark.parametrize(
    ("url", "code"), [("nonsense", 2), ("postgresql://nobody:pa55word@127.0.0.1:1/hub", 1)]
)
def test_a_database_address_that_does_not_work_is_told_without_its_password(
    home: Any, url: str, code: int
):
    ran = home.call("sync", HUB_DATABASE_URL=url)

    assert ran.code == code
    assert len(ran.err.splitlines()) == 1
    assert "pa55word" not in ran.err + ran.out


def test_a_stop_by_the_system_ends_at_a_page_and_loses_nothing(home: Any, whole_rows: Any):
    for box in home.stand.sandboxes.values():
        box.faults.add(Fault("late", seconds=0.4, every=1, times=None))
    process = home.start("run", "--json")
    home.wait_for_calls("hubspot", 3, process)

    process.send_signal(signal.SIGTERM)
    ran = home.ended(process, within_s=10)

    assert (ran.code, ran.document["error"]["code"]) == (1, "INTERRUPTED")
    assert "Traceback" not in ran.err
    for box in home.stand.sandboxes.values():
        box.faults.clear()
    assert home.call("sync").code == 0
    assert home.rows() == whole_rows()


def test_a_stop_ends_a_long_wait_at_once(home: Any):
    limited = Fault("rate_limited", retry_after="600", times=None)
    home.vendor("stripe").faults.add(limited)
    process = home.start("sync", "stripe")
    home.wait_for_calls("stripe", 1, process)

    process.send_signal(signal.SIGINT)
    ran = home.ended(process, within_s=10)

    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith("INTERRUPTED: ")
