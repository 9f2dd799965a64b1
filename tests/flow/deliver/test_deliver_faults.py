"""Lost answers, refusals and kills at every write: one thing each, and the ledger knows it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hub.testing.faults import Fault

CRM, BILLING = 9, 2
"""How many writing calls the reference decision takes: for each of three fields the group and the
field, one batch of companies, two tasks; and two customers."""

BATCH, TASK = 7, 8
"""Which of the CRM's writes are the batch of companies and the first task."""


BEFORE = ("rate_limited", "server_error", "reset")
"""Faults after which nothing has happened at the vendor."""


def reference(scene: Any) -> list[Any]:
    """Two customers with their statuses, and a task for each."""
    customers = [scene.add_customer(), scene.add_customer()]
    statuses = dict(zip(customers, ("at_risk", "watch"), strict=True))
    scene.decide(statuses, [scene.task(one) for one in customers])
    return customers


def lost_and_not_to_be_found() -> tuple[Fault, Fault]:
    """One task's answer is lost, and nobody can look for it once both were looked for."""
    lost = Fault("lost_response", method="POST", path="/objects/[^/]+/tasks$")
    return lost, Fault("server_error", path="/associations/", at=3, times=None)


def assert_everything_is_there_once(scene: Any, customers: list[Any]) -> None:
    """The right fields, one task for each problem, and the ledger one to one with the tasks."""
    assert [scene.health(one) for one in customers] == [("at_risk",) * 2, ("watch",) * 2]
    tasks = scene.tasks()
    assert sorted(task["hs_task_subject"] for task in tasks.values()) == [
        "Call a1 about usage",
        "Call a2 about usage",
    ]
    assert sorted(row["receipt_id"] for row in scene.ledger("create", "done")) == sorted(tasks)
    assert {row["state"] for row in scene.ledger()} <= {"done", "cancelled"}


def test_the_reference_decision_takes_so_many_writes(scene: Any) -> None:
    customers = reference(scene)

    scene.deliver()

    assert len(scene.hubspot.writes()) == CRM
    assert len(scene.stripe.writes()) == BILLING
    assert_everything_is_there_once(scene, customers)


ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What only a vendor's answer decides is the same on both."""


@ON_ONE_DATABASE
@pytest.mark.parametrize(
    ("kind", "index"),
    [
        *(("lost_response", index) for index in range(1, CRM + 1)),
        *(("applied_5xx", index) for index in range(1, CRM + 1)),
        *((kind, index) for kind in BEFORE for index in (1, BATCH, TASK)),
    ],
)
def test_r2_a_fault_at_any_write_to_the_crm_makes_one_thing_in_the_same_run(
    scene: Any, kind: Any, index: int
) -> None:
    customers = reference(scene)
    scene.hubspot.faults.at_write(index, kind)

    done = scene.deliver()

    assert_everything_is_there_once(scene, customers)
    assert (done.applied.unknown, done.applied.refused) == (0, 0)
    assert scene.deliver().plan.items == 0


@pytest.mark.parametrize("kind", ["lost_response", "applied_5xx", "rate_limited"])
@pytest.mark.parametrize("index", [1, 2])
def test_r2_a_fault_at_any_write_to_billing_makes_one_thing_in_the_same_run(
    scene: Any, kind: Any, index: int
) -> None:
    customers = reference(scene)
    scene.stripe.faults.at_write(index, kind)

    scene.deliver()

    assert_everything_is_there_once(scene, customers)


@pytest.mark.parametrize("after", [False, True], ids=["before it arrived", "after it arrived"])
@pytest.mark.parametrize("index", range(1, CRM + BILLING + 1))
def test_r1_a_kill_at_any_write_leaves_what_the_next_run_makes_whole(
    scene: Any, wire: Any, index: int, after: bool
) -> None:
    customers = reference(scene)
    wire.kill_at, wire.after = index, after
    with pytest.raises(wire.killed):
        scene.deliver()
    wire.kill_at = None

    done = scene.deliver()

    assert_everything_is_there_once(scene, customers)
    assert done.result == "done"
    assert scene.deliver().plan.items == 0


def test_r2_a_second_kill_while_recovering_does_no_harm_either(scene: Any, wire: Any) -> None:
    customers = reference(scene)
    scene.set_mode("stripe-main", "shadow")  # whose thread would write on while the other dies
    for index in (6, 1, 1):
        wire.writes, wire.kill_at = 0, index
        with pytest.raises(wire.killed):
            scene.deliver()
    wire.kill_at = None
    scene.set_mode("stripe-main", "auto")

    scene.deliver()

    assert_everything_is_there_once(scene, customers)


def test_r3_a_task_of_which_nobody_knows_is_settled_by_the_next_run(scene: Any) -> None:
    customers = reference(scene)
    made = scene.plan()
    scene.hubspot.faults.add(*lost_and_not_to_be_found())

    first = scene.apply(made.plan_id)
    unknown = scene.ledger("create", "unknown")
    scene.hubspot.faults.clear()
    second = scene.deliver()

    assert (first.unknown, len(unknown)) == (1, 1)
    assert {problem.code for problem in first.problems} == {"VENDOR_DOWN", "WRITE_UNKNOWN"}
    assert second.plan.problems == []
    assert_everything_is_there_once(scene, customers)


def test_r3_while_nobody_knows_the_task_is_listed_and_not_planned_again(scene: Any) -> None:
    reference(scene)
    made = scene.plan()
    scene.hubspot.faults.add(*lost_and_not_to_be_found())
    scene.apply(made.plan_id)

    again = scene.plan()

    assert len(again.beside["unsettled"]) == 1
    assert [(name, problem.code) for name, problem in again.problems] == [
        ("hubspot-eu", "VENDOR_DOWN")
    ]


def test_a_slow_vendor_gets_time_before_a_task_counts_as_not_arrived(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({}, [scene.task(one)])
    scene.hubspot.faults.at_write(1, "hang", seconds=0)
    began = scene.clock.now()

    scene.deliver()

    assert len(scene.tasks()) == 1
    assert scene.clock.now() - began >= timedelta(seconds=5)


def test_r17_one_refused_record_of_a_batch_leaves_the_others_written(scene: Any) -> None:
    one, two, three = (scene.add_customer() for _ in range(3))
    scene.decide({one: "at_risk", two: "doomed", three: "watch"}, stripe=False)

    done = scene.deliver()

    assert [scene.health(each)[0] for each in (one, two, three)] == ["at_risk", None, "watch"]
    [refused] = scene.ledger(state="refused")
    assert (refused["record_id"], refused["problem_code"]) == (two.company, "WRITE_REFUSED")
    assert done.applied.refused == 1
    assert done.result == "partly"


def test_a_refused_write_is_not_tried_again_in_the_same_run(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({}, [scene.task(one, owner_id="79999999")])

    done = scene.deliver()

    assert done.applied.refused == 1
    assert len(scene.hubspot.writes()) == 1
    assert [problem.code for problem in done.applied.problems] == ["WRITE_REFUSED"]
    assert one.company in str(done.applied.problems[0].where)


def test_changes_wait_when_the_field_cannot_be_defined(scene: Any) -> None:
    one = scene.add_customer()
    scene.hubspot.add_property("companies", "hub_health_since")
    scene.decide({one: "at_risk"}, [scene.task(one)])

    done = scene.deliver()

    [refused] = scene.ledger(state="refused")
    assert refused["kind"] == "define"
    assert scene.health(one) == (None, "at_risk")
    assert len(scene.tasks()) == 1
    assert done.applied.skipped == 2


@pytest.mark.parametrize(
    ("kind", "code"), [("unauthorized", "RECONNECT_NEEDED"), ("forbidden", "SCOPE_MISSING")]
)
def test_what_the_credentials_do_not_allow_stays_planned_and_the_other_tool_goes_on(
    scene: Any, kind: Any, code: str
) -> None:
    customers = reference(scene)
    scene.hubspot.faults.add(Fault(kind, path="/objects/[^/]+/tasks$", method="POST"))

    done = scene.deliver()
    state = scene.ledger("create")
    again = scene.deliver()

    assert [problem.code for problem in done.applied.problems] == [code]
    assert {row["state"] for row in state} == {"cancelled"}
    assert done.applied.skipped == 2
    assert again.applied.done == 2
    assert_everything_is_there_once(scene, customers)


def test_a_vendor_that_asks_to_wait_for_long_keeps_the_rest_planned(scene: Any) -> None:
    customers = reference(scene)
    scene.hubspot.faults.add(
        Fault("rate_limited", path="/objects/[^/]+/tasks$", method="POST", retry_after="3600")
    )

    done = scene.deliver()
    tasks = len(scene.tasks())
    scene.clock.sleep(3600)
    scene.deliver()

    assert [problem.code for problem in done.applied.problems] == ["RATE_LIMITED"]
    assert (tasks, done.applied.skipped) == (0, 2)
    assert_everything_is_there_once(scene, customers)


# --- people ---------------------------------------------------------------------------------------


def test_r39_what_a_person_changes_between_plan_and_apply_is_refused_and_listed(
    scene: Any,
) -> None:
    one, two = scene.add_customer(), scene.add_customer()
    scene.decide({one: "healthy", two: "healthy"})
    scene.deliver()
    scene.decide({one: "at_risk", two: "at_risk"})
    made = scene.plan()
    scene.hubspot.edit("companies", one.company, hub_health="watch")
    scene.stripe.update_customer(two.customer, metadata={"hub_health": "watch"})

    done = scene.apply(made.plan_id)

    assert scene.health(one) == ("watch", "at_risk")
    assert scene.health(two) == ("at_risk", "watch")
    assert (done.done, done.refused) == (2, 2)
    assert {problem.code for problem in done.problems} == {"TARGET_CHANGED"}
    assert {row["record_id"] for row in scene.ledger(state="refused")} == {
        one.company, two.customer,
    }  # fmt: skip


def test_r39_an_unattended_run_leaves_what_a_person_changed_and_lists_it(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"})
    scene.deliver()
    scene.hubspot.edit("companies", one.company, hub_health="healthy")

    left = scene.deliver()
    by_hand = scene.apply(left.plan.plan_id)

    assert (left.plan.items, left.applied.done) == (1, 0)
    [listed] = left.plan.beside["changed_by_people"]
    assert listed["says"]["hub_health"] == "healthy"
    assert by_hand.done == 1
    assert scene.health(one) == ("at_risk", "at_risk")


def test_r39_a_refused_change_waits_for_a_person_in_the_next_run_too(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"}, stripe=False)
    scene.deliver()
    scene.decide({one: "watch"}, stripe=False)
    made = scene.plan()
    scene.hubspot.edit("companies", one.company, hub_health="healthy")
    scene.apply(made.plan_id)

    scene.deliver()

    assert scene.health(one)[0] == "healthy"


def test_a_new_fact_is_written_over_what_a_person_said_before(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"})
    scene.deliver()
    scene.hubspot.edit("companies", one.company, hub_health="healthy")
    scene.decide({one: "watch"})

    scene.deliver()

    assert scene.health(one) == ("watch", "watch")


def test_a_target_that_says_the_new_already_is_done_without_a_write(scene: Any) -> None:
    one = scene.add_customer()
    scene.decide({one: "at_risk"}, stripe=False)
    scene.deliver()
    scene.decide({one: "watch"}, stripe=False)
    made = scene.plan()
    words = {"hub_health": "watch", "hub_health_reason": "watch since 1 Mar 2026"}
    scene.hubspot.edit("companies", one.company, **words)
    written = scene.writes()

    done = scene.apply(made.plan_id)

    assert (done.done, sum(done.by_kind.values())) == (1, 0)
    assert scene.writes() == written
