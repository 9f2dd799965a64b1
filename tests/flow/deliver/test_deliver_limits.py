"""How much an unattended run may write: what waits, what stops, and what a person lets through."""

from __future__ import annotations

from datetime import date
from typing import Any

PER = "70000002"
FAR = {"stop_share_of_customers": 100, "stop_targets": 1000, "stop_tasks_per_owner": 1000}
"""Limits that no test comes near."""


def test_r37_an_owner_gets_so_many_new_tasks_a_day_and_the_rest_waits(scene: Any) -> None:
    customers = [scene.add_customer() for _ in range(5)]
    scene.with_limits(**FAR, tasks_per_owner_and_day=2)
    tasks = [scene.task(one) for one in customers]
    tasks[4] |= {"owner": "per", "owner_id": PER}
    scene.decide({}, tasks)

    first = scene.deliver()
    same_day = scene.deliver()
    scene.clock.sleep(86_400)
    scene.decide({}, tasks, day=date(2026, 3, 5))
    next_day = scene.deliver()

    assert (first.applied.by_kind["create"], len(first.plan.beside["waiting"])) == (3, 2)
    assert (same_day.plan.items, len(same_day.plan.beside["waiting"])) == (0, 2)
    assert (next_day.applied.by_kind["create"], next_day.plan.beside["waiting"]) == (2, [])
    assert first.result == "done"
    assert len(scene.tasks()) == 5


def test_what_is_urgent_goes_first_and_then_the_oldest_problem(scene: Any) -> None:
    customers = [scene.add_customer() for _ in range(4)]
    scene.with_limits(**FAR, tasks_per_owner_and_day=2)
    days = [date(2026, 3, 3), date(2026, 2, 1), date(2026, 2, 20), date(2026, 3, 4)]
    tasks = [scene.task(one, opened_on=day) for one, day in zip(customers, days, strict=True)]
    tasks[3]["priority"] = "high"
    scene.decide({}, tasks)

    scene.deliver()

    assert sorted(task["hs_task_subject"] for task in scene.tasks().values()) == [
        "Call a2 about usage",
        "Call a4 about usage",
    ]


def test_a_task_whose_answer_was_lost_counts_for_its_owners_day(scene: Any) -> None:
    customers = [scene.add_customer() for _ in range(3)]
    scene.with_limits(**FAR, tasks_per_owner_and_day=1)
    scene.decide({}, [scene.task(one) for one in customers])
    scene.hubspot.faults.at_write(1, "lost_response")

    scene.deliver()
    scene.deliver()

    assert len(scene.tasks()) == 1


def test_tasks_that_are_found_do_not_use_up_the_day(scene: Any, fresh_database: Any) -> None:
    customers = [scene.add_customer() for _ in range(4)]
    tasks = [scene.task(one) for one in customers]
    tasks[3]["priority"] = "low"
    scene.decide({}, tasks[:3])
    scene.deliver()
    fresh_database(scene)
    scene.with_limits(**FAR, tasks_per_owner_and_day=1)
    scene.decide({}, tasks)

    done = scene.deliver()

    assert len(done.plan.beside["adopted"]) == 3
    assert done.applied.by_kind["create"] == 1
    assert len(scene.tasks()) == 4


def test_r37_many_tasks_for_one_owner_stop_the_run_until_it_is_approved(scene: Any) -> None:
    customers = [scene.add_customer() for _ in range(4)]
    scene.with_limits(**(FAR | {"stop_tasks_per_owner": 3}), tasks_per_owner_and_day=2)
    scene.decide({customers[0]: "at_risk"}, [scene.task(one) for one in customers])

    stopped = scene.deliver()
    written = scene.writes()
    approved = scene.apply(stopped.plan.plan_id)

    assert stopped.plan.stopped == "4 new tasks are wanted for ida, and 3 is the limit"
    assert (written, stopped.applied.done, stopped.result) == (0, 0, "partly")
    assert approved.by_kind["create"] == 2
    assert len(scene.tasks()) == 2


def test_r37_filling_empty_fields_is_counted_apart_and_stops_nothing(scene: Any) -> None:
    customers = [scene.add_customer() for _ in range(3)]
    scene.with_limits(stop_targets=0, stop_share_of_customers=0)
    scene.decide(dict.fromkeys(customers, "watch"))

    done = scene.deliver()

    assert done.plan.stopped is None
    assert (done.plan.beside["first_fills"], done.plan.beside["changed"]) == (6, 0)
    assert scene.health(customers[2]) == ("watch", "watch")


def test_r37_many_changed_records_stop_the_run(scene: Any) -> None:
    customers = [scene.add_customer() for _ in range(2)]
    scene.decide(dict.fromkeys(customers, "watch"))
    scene.deliver()
    scene.with_limits(**(FAR | {"stop_targets": 3}))
    scene.decide(dict.fromkeys(customers, "at_risk"))

    done = scene.deliver()

    assert done.plan.stopped == "4 records would change, and 3 is the limit"
    assert scene.health(customers[0]) == ("watch", "watch")


def test_r37_many_customers_that_change_status_stop_the_run(scene: Any) -> None:
    customers = [scene.add_customer() for _ in range(4)]
    scene.decide(dict.fromkeys(customers, "watch"))
    scene.deliver()
    scene.with_limits(**(FAR | {"stop_share_of_customers": 25}))
    scene.decide(dict.fromkeys(customers, "watch") | {customers[0]: "at_risk"})
    one = scene.deliver()
    scene.decide(dict.fromkeys(customers, "watch"))
    scene.deliver()

    scene.decide(dict.fromkeys(customers[:2], "at_risk"))
    two = scene.deliver()

    assert one.plan.stopped is None
    assert two.plan.stopped == "2 of 4 customers would change status, 25 % is the limit"


def test_a_connection_in_shadow_mode_stops_nobody(scene: Any) -> None:
    customers = [scene.add_customer() for _ in range(2)]
    scene.decide(dict.fromkeys(customers, "watch"))
    scene.deliver()
    scene.set_mode("hubspot-eu", "shadow")
    scene.with_limits(**(FAR | {"stop_targets": 2}))
    scene.decide(dict.fromkeys(customers, "at_risk"))

    done = scene.deliver()

    assert done.plan.stopped is None
    assert scene.health(customers[0]) == ("watch", "at_risk")
