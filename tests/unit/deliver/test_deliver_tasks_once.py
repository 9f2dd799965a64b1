"""One task for one problem, whoever else works in the tool."""

from __future__ import annotations

from typing import Any

import pytest


def test_r2_a_task_that_another_hub_made_meanwhile_is_found_just_before_writing(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    made = hub.plan()
    theirs = crm.add_task("1", "payment-a")

    done = hub.apply(made.plan_id)

    assert crm.open_tasks() == ["payment-a"]
    [entry] = hub.ledger("create")
    assert (entry["state"], entry["receipt_id"]) == ("done", theirs)
    assert (done.done, sum(done.by_kind.values())) == (1, 0)


def test_an_open_task_is_kept_while_the_same_cause_waits_for_its_day(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.limit(tasks_per_owner_and_day=1)
    hub.decide({}, [a_task("payment-a")])
    hub.deliver()
    hub.clock.sleep(86_400)
    urgent = a_task("usage-b", "2", priority="high")
    again = a_task("payment-z", opened_on=hub.day(3))
    hub.decide({}, [urgent, again])
    hub.deliver()
    hub.clock.sleep(86_400)

    hub.deliver()

    assert crm.task("payment-a")["status"] == "open"
    assert crm.open_tasks() == ["payment-a", "usage-b"]


def test_a_task_that_goes_on_for_a_new_problem_is_closed_once_when_that_is_over(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    hub.deliver()
    hub.decide({}, [a_task("payment-z", opened_on=hub.day(3))])
    hub.deliver()
    hub.decide({}, [])

    hub.deliver()
    hub.deliver()

    [task] = crm.tasks.values()
    assert task["status"] == "done"
    assert len(task["notes"]) == 1
    assert len([what for what in crm.writes if what.startswith("close")]) == 1


def test_a_task_that_a_person_opens_again_after_the_hub_closed_it_is_theirs(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    hub.deliver()
    hub.decide({}, [])
    hub.deliver()
    crm.task("payment-a")["status"] = "open"

    again = hub.deliver()

    assert crm.task("payment-a")["status"] == "open"
    assert again.plan.items == 0


@pytest.mark.parametrize("how", ["done", "deleted"])
def test_what_a_person_did_with_a_task_is_not_undone_while_its_problem_lasts(
    hub: Any, crm: Any, a_task: Any, how: str
) -> None:
    hub.decide({}, [a_task("payment-a")])
    hub.deliver()
    if how == "done":
        crm.task("payment-a")["status"] = "done"
    else:
        crm.tasks.clear()
    before = list(crm.writes)
    hub.clock.sleep(86_400)
    hub.decide({}, [a_task("payment-a")], day=hub.day(5))

    again = hub.deliver()

    assert again.plan.items == 0
    assert crm.writes == before


def test_r24_a_task_for_a_company_that_was_merged_away_waits_and_is_listed(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.decide({}, [a_task("payment-a")])
    del crm.records["1"]
    crm.merged["1"] = "2"

    done = hub.deliver()

    assert crm.writes == []
    [gone] = done.plan.beside["gone"]
    assert gone["merged_into"] == "2"


def test_a_task_that_also_hangs_on_another_company_stays_with_its_own_problem(
    hub: Any, crm: Any, a_task: Any
) -> None:
    first = a_task("payment-a", "1")
    hub.decide({}, [first])
    hub.deliver()
    crm.task("payment-a")["also"] = "2"
    hub.decide({}, [first, a_task("payment-b", "2")])

    hub.deliver()

    assert crm.open_tasks() == ["payment-a", "payment-b"]


def test_a_task_of_an_account_that_became_another_one_goes_on_there(
    hub: Any, crm: Any, a_task: Any
) -> None:
    hub.decide({}, [a_task("payment-a", "1")])
    hub.deliver()
    crm.task("payment-a")["also"] = "2"
    hub.decide({}, [a_task("payment-b", "2", opened_on=hub.day(2))])
    hub.merge_accounts("a1", into="a2")

    hub.deliver()
    hub.deliver()

    assert crm.open_tasks() == ["payment-a"]
