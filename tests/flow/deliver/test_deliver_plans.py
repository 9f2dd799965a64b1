"""From a decision to a plan to the vendors, and back to an empty plan; on both databases."""

from __future__ import annotations

from typing import Any


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
