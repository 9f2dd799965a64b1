"""What one unattended run may do: whose limits count, what waits, and what waits for people."""

from __future__ import annotations

from datetime import date
from typing import Any

from hub.errors import WriteRefused


def filled(tool: Any, says: Any, records: int) -> None:
    """So many records that say healthy, with the fields defined."""
    tool.needs_fields = False
    tool.records = {str(number): says("healthy") for number in range(1, records + 1)}


def test_the_day_of_the_limit_is_the_day_of_writing_not_of_the_decision(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.limit(tasks_per_owner_and_day=2)
    hub.decide({}, [a_task(f"usage-{number}", str(number)) for number in range(1, 9)])
    hub.clock.sleep(86_400)

    for _ in range(3):
        hub.deliver()
    first_day = len(crm.tasks)
    hub.clock.sleep(86_400)
    hub.deliver()

    assert (first_day, len(crm.tasks)) == (2, 4)


def test_tasks_that_a_tool_refuses_do_not_take_the_places_of_others(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.limit(tasks_per_owner_and_day=2)
    refused = [f"payment-{number}" for number in range(1, 4)]
    crm.refuses = {key: WriteRefused("that owner left") for key in refused}
    tasks = [a_task(key, key[-1], priority="high") for key in refused]
    hub.decide({}, [*tasks, a_task("usage-1", "4")])

    hub.deliver()
    hub.deliver()
    hub.deliver()

    assert crm.open_tasks() == ["usage-1"]


def test_what_waits_in_plan_mode_stops_no_other_tool(hub: Any, says: Any) -> None:
    hub.limit(stop_targets=2, stop_tasks_per_owner=2)
    crm = hub.connect("crm", mode="plan")
    billing = hub.connect("billing", vendor="toy2")
    filled(crm, says, 3)
    filled(billing, says, 1)
    wanted = {str(number): says("watch") for number in range(1, 4)}
    hub.decide(wanted, connections=["crm"])
    hub.add_fields({"1": says("watch")}, connection="billing")

    done = hub.deliver()

    assert billing.records["1"]["hub_health"] == "watch"
    assert crm.writes == []
    assert done.plan.stopped is None


def test_what_is_left_to_people_stops_nobody(hub: Any, says: Any) -> None:
    hub.limit(stop_targets=2)
    crm = hub.connect("crm")
    filled(crm, says, 4)
    hub.decide({str(number): says("healthy") for number in range(1, 5)})
    first = {str(number): says("watch") for number in range(1, 4)}
    hub.limit()
    hub.decide(first)
    hub.deliver()
    for number in first:
        crm.records[number]["hub_health"] = "healthy"
    hub.limit(stop_targets=2)
    hub.decide(first | {"4": says("watch")})

    done = hub.deliver()

    assert done.plan.stopped is None
    assert len(done.plan.beside["changed_by_people"]) == 3
    assert [crm.records[str(number)]["hub_health"] for number in range(1, 5)] == [
        *["healthy"] * 3,
        "watch",
    ]


def test_a_change_that_was_refused_once_is_made_when_it_is_due_again(hub: Any, says: Any) -> None:
    crm = hub.connect("crm")
    filled(crm, says, 1)
    hub.decide({"1": {"hub_health": "watch"}})
    made = hub.plan()
    crm.records["1"]["hub_health"] = "unknown"
    refused = hub.apply(made.plan_id)
    hub.decide({"1": {"hub_health": "at_risk"}})
    hub.deliver()
    hub.decide({"1": {"hub_health": "watch"}})

    done = hub.deliver()

    assert refused.refused == 1
    assert crm.records["1"]["hub_health"] == "watch"
    assert done.plan.beside["changed_by_people"] == []


def test_a_run_that_could_not_even_plan_is_written_down_as_failed(hub: Any, crm: Any) -> None:
    problem = hub.failed_deliver()

    [run] = hub.runs("deliver")
    assert problem.what == "nothing has been decided yet"
    assert run["result"] == "failed"


def test_an_older_plan_that_was_written_in_part_is_not_applied_any_more(
    hub: Any, crm: Any, a_task: Any
) -> None:
    crm.refuses = {"payment-a": WriteRefused("not now")}
    hub.decide({}, [a_task("payment-a")])
    old = hub.deliver()
    hub.decide({}, [], day=date(2026, 3, 5))
    hub.deliver()
    crm.refuses = {}

    problem = hub.failed_apply(old.plan.plan_id)

    assert "replaced by a newer one" in problem.what
    assert crm.tasks == {}


def test_a_plan_of_which_only_a_part_was_stored_is_never_applied(
    hub: Any, crm: Any, says: Any
) -> None:
    hub.decide({str(number): says("watch") for number in range(1, 4)})
    hub.kill_at_database_write(3)

    problem = hub.failed_apply(1)
    done = hub.deliver()

    assert "replaced by a newer one" in problem.what
    assert done.result == "done"
    assert crm.records["3"]["hub_health"] == "watch"


def test_r36_what_a_plan_lists_is_what_the_run_writes(
    hub: Any, crm: Any, says: Any, a_task: Any
) -> None:
    hub.decide({"1": says("watch")}, [a_task("usage-old", "2")])
    hub.deliver()
    crm.records["3"] = says("healthy")
    hub.decide({"1": says("at_risk"), "3": says("watch")}, [a_task("payment-a", "4")])
    planned = hub.changes(hub.plan().plan_id)

    hub.deliver()

    assert [kind for kind, _, _ in planned] == ["change", "change", "create", "close"]
    assert sorted(map(str, hub.written()[-4:])) == sorted(map(str, planned))


def test_r37_a_rule_that_matches_everything_stops_and_loses_nothing(
    hub: Any, crm: Any, says: Any, a_task: Any
) -> None:
    everybody = [str(number) for number in range(300)]
    crm.needs_fields = False
    crm.records = {one: says("healthy") for one in everybody}
    tasks = [a_task(f"usage-{one}", one, owner=f"o{int(one) % 20}") for one in everybody]
    hub.decide({one: says("watch") for one in everybody}, tasks)

    stopped = hub.deliver()
    writes = list(crm.writes)
    approved = hub.apply(stopped.plan.plan_id)

    assert "new tasks are wanted" in stopped.plan.stopped
    assert "300 records would change" in stopped.plan.stopped
    assert writes == []
    assert (approved.by_kind["change"], approved.by_kind["create"]) == (300, 100)
    assert len(stopped.plan.beside["waiting"]) == 200


def test_being_stopped_in_one_tool_ends_the_others_soon_and_leaves_nothing_open(
    hub: Any, crm: Any, says: Any, told_to_stop: Any
) -> None:
    billing = hub.connect("billing", vendor="toy2")
    for tool in (crm, billing):
        tool.needs_fields = False
        tool.records = {str(number): {} for number in range(300)}
    crm.troubles[1] = told_to_stop
    billing.waits_for = crm
    hub.decide(
        {str(number): says("watch") for number in range(300)}, connections=["crm", "billing"]
    )

    hub.interrupted_deliver()
    written = len(billing.writes)
    hub.deliver()

    assert 0 < written < 300
    assert [set(record.values()) for record in crm.records.values()] == [
        set(says("watch").values())
    ] * 300
