"""From a decision to a plan to the vendors, and back to an empty plan; on both databases."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from hub.deliver import show_plan
from hub.errors import UsageError


def test_the_first_plan_defines_the_fields_fills_them_and_makes_the_task(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"}, [scene.task(one)])

    made = scene.plan()

    kinds = [(row["connection"], row["kind"]) for row in scene.items(made.plan_id)]
    assert kinds == [
        *[("hubspot-eu", "define")] * 3,
        ("hubspot-eu", "change"),
        ("hubspot-eu", "create"),
        ("stripe-main", "change"),
    ]
    assert made.problems == []
    assert made.stopped is None
    assert made.beside["first_fills"] == 2
    assert scene.writes() == 0


def test_r20_what_was_planned_is_written_and_the_next_plan_is_empty(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"}, [scene.task(one)])

    first = scene.deliver()
    written = scene.writes()
    second = scene.deliver()

    assert scene.health(one) == ("at_risk", "at_risk")
    assert [task["hubspot_owner_id"] for task in scene.tasks().values()] == ["70000001"]
    assert dict(first.applied.by_kind) == {"define": 3, "change": 2, "create": 1}
    assert (first.result, second.result) == ("done", "done")
    assert (second.plan.items, second.applied.done) == (0, 0)
    assert scene.writes() == written
    assert {row["state"] for row in scene.ledger()} == {"done"}


def test_an_item_says_old_new_and_why_and_waits_for_the_field_to_be_defined(scene: Any) -> None:
    one = scene.add_customer()
    scene.stripe.update_customer(one.customer, metadata={"hub_health": "healthy"})
    scene.decide({one: "watch"})

    made = scene.plan()

    crm, billing = scene.items(made.plan_id, "change")
    assert json.loads(billing["old"])["hub_health"] == "healthy"
    assert json.loads(billing["new"])["hub_health"] == "watch"
    assert billing["why"] == "watch since 1 Mar 2026"
    assert billing["depends_on"] is None
    assert crm["depends_on"] == max(row["seq"] for row in scene.items(made.plan_id, "define"))


def test_only_the_fields_that_differ_are_written(scene: Any) -> None:
    one = scene.add_customer()
    scene.stripe.update_customer(
        one.customer, metadata={"hub_health": "watch", "hub_health_since": "2026-02-01"}
    )
    scene.decide({one: "watch"})

    made = scene.plan()

    [billing] = [row for row in scene.items(made.plan_id) if row["connection"] == "stripe-main"]
    assert set(json.loads(billing["new"])) == {"hub_health_since", "hub_health_reason"}


def test_t53_a_field_that_lacks_one_of_the_words_gets_it(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "healthy"})
    scene.deliver()
    options = scene.hubspot.properties["companies"]["hub_health"]["options"]
    options[:] = [option for option in options if option["value"] != "watch"]
    scene.decide({one: "watch"})

    done = scene.deliver()

    assert dict(done.applied.by_kind) == {"define": 1, "change": 2}
    assert scene.health(one) == ("watch", "watch")


def test_r36_a_plan_made_again_from_the_same_state_is_the_same_plan(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"}, [scene.task(one)])

    first, second = scene.plan(), scene.plan()
    done = scene.apply(first.plan_id)

    assert second.plan_id == first.plan_id
    assert len(scene.items(first.plan_id)) == first.items
    assert (done.done, done.skipped) == (first.items, 0)


def test_a_plan_with_other_writes_replaces_the_one_that_waits(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"})
    first = scene.plan()
    scene.decide({one: "watch"})

    second = scene.plan()

    assert second.plan_id != first.plan_id
    with pytest.raises(UsageError, match="replaced by a newer one"):
        scene.apply(first.plan_id)


def test_applying_a_plan_twice_writes_once(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"}, [scene.task(one)])
    made = scene.plan()
    scene.apply(made.plan_id)
    written = scene.writes()

    again = scene.apply(made.plan_id)

    assert (again.done, again.skipped) == (0, 0)
    assert scene.writes() == written


def test_before_the_first_decision_there_is_nothing_to_plan(scene: Any) -> None:
    with pytest.raises(UsageError, match="nothing has been decided yet"):
        scene.plan()


def test_a_plan_that_is_not_there_cannot_be_applied_or_shown(scene: Any) -> None:
    with pytest.raises(UsageError, match="there is no plan 7"):
        scene.apply(7)
    with pytest.raises(UsageError, match="there is no plan 7"):
        show_plan(scene.database, 7)


def test_a_plan_is_shown_by_connection_with_what_became_of_each_item(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"})
    scene.set_mode("hubspot-eu", "plan")
    made = scene.deliver().plan

    shown = show_plan(scene.database, made.plan_id)

    assert [item["state"] for item in shown["connections"]["hubspot-eu"]] == ["planned"] * 4
    [billing] = shown["connections"]["stripe-main"]
    assert (billing["state"], billing["account"]) == ("done", "Company 1")
    assert billing["new"]["hub_health"] == "at_risk"
    assert shown["state"] == "partly"


# --- modes ----------------------------------------------------------------------------------------


def test_a_shadow_connection_is_planned_and_never_written_to(scene: Any) -> None:
    one = scene.add_customer()
    scene.set_mode("hubspot-eu", "shadow")
    scene.decide({one: "at_risk"}, [scene.task(one)])

    made = scene.deliver().plan
    scene.apply(made.plan_id)

    assert len(scene.items(made.plan_id, "create")) == 1
    assert scene.hubspot.writes() == []
    assert scene.health(one) == (None, "at_risk")


def test_a_connection_in_plan_mode_waits_for_apply(scene: Any) -> None:
    one = scene.add_customer()
    scene.set_mode("hubspot-eu", "plan")
    scene.decide({one: "at_risk"}, [scene.task(one)])

    done = scene.deliver()
    before = scene.health(one)
    scene.apply(done.plan.plan_id, actor="ida")

    assert before == (None, "at_risk")
    assert scene.health(one) == ("at_risk", "at_risk")
    assert len(scene.tasks()) == 1
    assert {row["actor"] for row in scene.ledger("create")} == {"ida"}


def test_a_tool_that_cannot_be_reached_does_not_stop_the_other(scene: Any) -> None:
    one = scene.add_customer()
    scene.stripe.token = "rk_test_another"
    scene.decide({one: "at_risk"})

    done = scene.deliver()

    assert scene.health(one) == ("at_risk", None)
    assert [(name, problem.code) for name, problem in done.plan.problems] == [
        ("stripe-main", "RECONNECT_NEEDED")
    ]
    assert done.result == "partly"


def test_credentials_of_another_account_are_never_written_with(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"})
    scene.hubspot.portal["portalId"] = 62_999_999

    done = scene.deliver()

    assert [(name, problem.code) for name, problem in done.plan.problems] == [
        ("hubspot-eu", "WRONG_ACCOUNT")
    ]
    assert scene.hubspot.writes() == []


# --- targets that are gone ------------------------------------------------------------------------


def test_r24_a_record_that_is_gone_is_listed_and_not_written_to(scene: Any) -> None:
    one, two = scene.add_customer(), scene.add_customer()
    scene.hubspot.archive("companies", one.company)
    scene.decide({one: "at_risk", two: "watch"}, [scene.task(one)], stripe=False)

    done = scene.deliver()

    assert {row["record"].rpartition("/")[2] for row in done.plan.beside["gone"]} == {one.company}
    assert [row["record_id"] for row in scene.items(done.plan.plan_id, "change")] == [two.company]
    assert scene.tasks() == {}


def test_r24_a_record_that_goes_between_plan_and_apply_is_refused_once(scene: Any) -> None:
    one, two = scene.add_customer(), scene.add_customer()
    scene.decide({one: "at_risk", two: "watch"}, [scene.task(one)], stripe=False)
    made = scene.plan()
    scene.hubspot.merge("companies", two.company, one.company)

    done = scene.apply(made.plan_id)

    refused = scene.ledger(state="refused")
    assert {(row["kind"], row["problem_code"]) for row in refused} == {
        ("change", "TARGET_GONE"), ("create", "TARGET_GONE"),
    }  # fmt: skip
    assert all(two.company in row["problem"] for row in refused)
    assert done.refused == 2
    assert scene.hubspot.objects["companies"][two.company]["properties"]["hub_health"] == "watch"
    assert scene.tasks() == {}


# --- tasks ----------------------------------------------------------------------------------------


def test_a_task_that_nobody_can_own_is_listed_and_not_written(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({}, [scene.task(one, not_written="nobody in the tool owns it", owner_id=None)])

    done = scene.deliver()

    assert [row["why_not"] for row in done.plan.beside["not_written"]] == [
        "nobody in the tool owns it"
    ]
    assert done.plan.items == 0


def test_t55_after_a_lost_database_the_tasks_are_found_and_not_made_again(
    scene: Any, fresh_database: Any
) -> None:
    one, two = scene.add_customer(), scene.add_customer()
    tasks = [scene.task(one), scene.task(two, "payment")]
    scene.decide({one: "at_risk", two: "watch"}, tasks)
    scene.deliver()
    before = scene.tasks()

    fresh_database(scene)
    scene.decide({one: "at_risk", two: "watch"}, tasks)
    done = scene.deliver()

    assert done.plan.items == 0
    assert scene.tasks() == before
    assert {row["receipt_id"] for row in scene.ledger("create", "done")} == set(before)
    assert len(done.plan.beside["adopted"]) == 2


def test_a_task_is_found_by_apply_when_it_came_after_an_old_plan(scene: Any) -> None:
    one = scene.add_customer()
    task = scene.task(one)
    scene.decide({}, [task])
    made = scene.plan()
    body = task["body"].replace("\n", "<br>")
    scene.hubspot.add("tasks", {"hs_task_body": body, "hs_timestamp": "2026-03-06T12:00:00Z"},
                      company=one.company)  # fmt: skip
    scene.clock.sleep(3600)

    done = scene.apply(made.plan_id)

    assert (done.done, sum(done.by_kind.values())) == (1, 0)
    assert len(scene.tasks()) == 1


def test_a_task_that_a_person_has_done_is_not_made_again(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({}, [scene.task(one)])
    scene.deliver()
    [made] = scene.tasks()
    scene.hubspot.edit("tasks", made, hs_task_status="COMPLETED")
    scene.decide({}, [scene.task(one, title="Rendered anew", due=scene.clock.now())])

    done = scene.deliver()

    assert done.plan.items == 0
    assert list(scene.tasks()) == [made]


def test_a_task_is_closed_with_a_note_when_its_problem_is_over(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({}, [scene.task(one)])
    scene.deliver()
    scene.decide({}, [], day=date(2026, 3, 5))

    done = scene.deliver()
    again = scene.deliver()

    [task] = scene.tasks().values()
    assert task["hs_task_status"] == "COMPLETED"
    assert (
        "Closed by the hub on 5 Mar 2026: the problem it was about is over."
        in (task["hs_task_body"])
    )
    assert dict(done.applied.by_kind) == {"close": 1}
    assert again.plan.items == 0


@pytest.mark.parametrize("ending", ["done", "deleted"])
def test_a_task_that_a_person_ended_is_left_alone_when_its_problem_is_over(
    scene: Any, ending: str
) -> None:
    one = scene.add_customer()
    scene.decide({}, [scene.task(one)])
    scene.deliver()
    [made] = scene.tasks()
    if ending == "done":
        scene.hubspot.edit("tasks", made, hs_task_status="COMPLETED")
    else:
        scene.hubspot.archive("tasks", made)
    scene.decide({}, [])
    written = scene.writes()

    plans = [scene.deliver().plan.items for _ in range(2)]

    assert plans == [0, 0]
    assert scene.writes() == written
    assert len(scene.ledger("close")) == 1


def test_a_play_may_leave_its_tasks_open(scene: Any) -> None:
    one = scene.add_customer()
    scene.add_play("quiet", task="leave open")
    scene.decide({}, [scene.task(one, play="quiet")])
    scene.deliver()
    scene.decide({}, [])

    done = scene.deliver()

    assert done.plan.items == 0
    assert [task["hs_task_status"] for task in scene.tasks().values()] == ["NOT_STARTED"]


def test_a_problem_keeps_its_one_task_when_another_record_becomes_the_primary_one(
    scene: Any,
) -> None:
    one, other = scene.add_customer(), scene.add_customer()
    scene.decide({}, [scene.task(one)])
    scene.deliver()
    scene.decide({}, [scene.task(replace(other, account=one.account))])

    done = scene.deliver()

    assert done.plan.items == 0
    assert len(done.plan.beside["moved"]) == 1
    assert len(scene.tasks()) == 1


def test_the_same_problem_opened_again_gets_a_new_task(scene: Any) -> None:
    one = scene.add_customer()
    for tasks in ([scene.task(one)], [], [scene.task(one, opened_on=date(2026, 3, 4))]):
        scene.decide({}, tasks)
        scene.deliver()

    states = sorted(task["hs_task_status"] for task in scene.tasks().values())
    assert states == ["COMPLETED", "NOT_STARTED"]


def test_the_same_problem_opened_again_keeps_a_task_that_is_still_open(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({}, [scene.task(one)])
    scene.deliver()
    scene.decide({}, [scene.task(one, opened_on=date(2026, 3, 4))])
    kept = scene.deliver()
    between = [task["hs_task_status"] for task in scene.tasks().values()]
    scene.decide({}, [])

    over = scene.deliver()
    again = scene.deliver()

    assert (kept.plan.items, between) == (0, ["NOT_STARTED"])
    assert dict(over.applied.by_kind) == {"close": 1}
    assert [task["hs_task_status"] for task in scene.tasks().values()] == ["COMPLETED"]
    assert again.plan.items == 0
