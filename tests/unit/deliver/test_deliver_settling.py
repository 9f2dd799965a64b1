"""What becomes of writes whose answers were lost, when tool, config or clock moved on."""

from __future__ import annotations

from typing import Any

import pytest

from hub.errors import ReadRefused


def ends_in_the_middle_of_a_task(hub: Any, tool: Any, killed: Any, *, arrived: bool) -> None:
    """One task is wanted, and the process ends while it is written."""
    tool.troubles[len(tool.writes) + 1] = killed(arrived=arrived)
    hub.kill_during_deliver()
    hub.clock.sleep(60)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_renamed_connection_settles_what_its_old_name_left_open(
    hub: Any, crm: Any, a_task: Any, killed: Any, arrived: bool
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, crm, killed, arrived=arrived)
    hub.disconnect("crm")
    hub.connect("crm-eu", tool=crm)
    hub.decide({}, [a_task("payment-a", connection="crm-eu")])

    done = hub.deliver()

    assert crm.open_tasks() == ["payment-a"]
    assert done.result == "done"
    assert hub.states().count("done") == 1


def test_a_renamed_connection_closes_the_tasks_of_its_old_name(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    hub.deliver()
    hub.disconnect("crm")
    hub.connect("crm-eu", tool=crm)
    hub.decide({}, [])

    hub.deliver()

    assert crm.open_tasks() == []


def test_a_write_to_a_tool_that_is_no_longer_connected_is_given_up_and_told_once(
    hub: Any, crm: Any, a_task: Any, killed: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, crm, killed, arrived=True)
    hub.disconnect("crm")
    hub.connect("billing", vendor="toy2").needs_fields = False
    hub.decide({}, [])

    first = hub.deliver()
    second = hub.deliver()

    [given_up] = hub.ledger("create")
    assert (given_up["state"], given_up["problem_code"]) == ("cancelled", "WRITE_UNKNOWN")
    assert [name for name, _ in first.plan.problems] == ["crm"]
    assert "no connection" in str(first.plan.problems[0][1])
    assert (first.result, second.result) == ("partly", "done")


def test_a_tool_that_comes_back_has_its_task_found_and_not_made_again(
    hub: Any, crm: Any, a_task: Any, killed: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, crm, killed, arrived=True)
    hub.disconnect("crm")
    hub.deliver()
    hub.connect("crm", tool=crm)

    hub.deliver()

    assert crm.open_tasks() == ["payment-a"]
    assert hub.states("create") == ["cancelled", "done"]


def test_one_write_that_cannot_be_looked_for_does_not_hold_up_the_others(
    hub: Any, crm: Any, a_task: Any, killed: Any, says: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, crm, killed, arrived=True)
    crm.unreadable["find payment-a"] = ReadRefused("that company may not be read")
    hub.decide({"2": says("watch")}, [a_task("payment-a"), a_task("usage-b", "2")])

    done = hub.deliver()

    assert crm.records["2"]["hub_health"] == "watch"
    assert crm.open_tasks() == ["payment-a", "usage-b"]
    assert "that company may not be read" in str([*done.plan.problems, *done.applied.problems])
    assert done.result == "partly"


def test_one_task_that_cannot_be_looked_for_does_not_hold_up_the_others(
    hub: Any, crm: Any, a_task: Any, says: Any
) -> None:
    crm.unreadable["find payment-a"] = ReadRefused("that company may not be read")
    hub.decide({"2": says("watch")}, [a_task("payment-a"), a_task("usage-b", "2")])

    done = hub.deliver()

    assert crm.records["2"]["hub_health"] == "watch"
    assert crm.open_tasks() == ["usage-b"]
    assert "that company may not be read" in str([*done.plan.problems, *done.applied.problems])


def test_a_task_that_cannot_be_looked_for_at_apply_does_not_hold_up_the_others(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.decide({}, [a_task("payment-a"), a_task("usage-b", "2")])
    made = hub.plan()
    hub.clock.sleep(3600)
    crm.unreadable["find payment-a"] = ReadRefused("that company may not be read")

    done = hub.apply(made.plan_id)

    assert crm.open_tasks() == ["usage-b"]
    assert (done.done, done.skipped + done.refused) == (1, 1)
    assert "that company may not be read" in str(done.problems)


# --- a tool that only knows an idempotency key ----------------------------------------------------


@pytest.fixture
def by_key(hub: Any, kinds: Any) -> Any:
    """A tool that honours a key for a day and can show no task by it."""
    tool = hub.connect(kind=kinds.by_key)
    tool.records = {"1": {}, "2": {}}
    return tool


@pytest.mark.parametrize("arrived", [True, False])
def test_r2_a_task_with_a_living_key_is_sent_again_under_it(
    hub: Any, by_key: Any, a_task: Any, killed: Any, arrived: bool
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, by_key, killed, arrived=arrived)

    hub.deliver()

    assert by_key.open_tasks() == ["payment-a"]
    assert hub.states("create").count("done") == 1


def test_r2_the_key_is_used_while_it_lives_although_the_owner_has_enough_for_the_day(
    hub: Any, by_key: Any, a_task: Any, killed: Any
) -> None:
    hub.limit(tasks_per_owner_and_day=1)
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, by_key, killed, arrived=True)
    urgent = a_task("usage-b", "2", priority="high")

    hub.decide({}, [a_task("payment-a"), urgent])
    hub.deliver()
    hub.clock.sleep(2 * 86_400)
    hub.deliver()
    hub.deliver()

    assert sorted(task["key"] for task in by_key.tasks.values()) == ["payment-a", "usage-b"]


def test_a_task_that_arrived_unseen_is_closed_when_its_problem_is_over(
    hub: Any, by_key: Any, a_task: Any, killed: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, by_key, killed, arrived=True)
    hub.decide({}, [])

    hub.deliver()

    assert by_key.task("payment-a")["status"] == "done"


def test_planning_alone_sends_nothing_again(
    hub: Any, by_key: Any, a_task: Any, killed: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, by_key, killed, arrived=True)
    before = list(by_key.writes)

    hub.plan()

    assert by_key.writes == before


def test_nothing_is_sent_again_to_a_tool_that_is_in_shadow_mode_now(
    hub: Any, by_key: Any, a_task: Any, killed: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, by_key, killed, arrived=True)
    before = list(by_key.writes)
    hub.mode("crm", "shadow")

    hub.deliver()

    assert by_key.writes == before


def test_a_task_whose_key_is_dead_is_never_sent_again(
    hub: Any, by_key: Any, a_task: Any, killed: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    ends_in_the_middle_of_a_task(hub, by_key, killed, arrived=True)
    hub.clock.sleep(86_400)

    for _ in range(3):
        done = hub.deliver()

    assert by_key.open_tasks() == ["payment-a"]
    assert hub.states("create") == ["unknown"]
    assert [row["key"] for row in done.plan.beside["unsettled"]] == ["payment-a"]
