"""Problems: one open per account and cause, opened once, closed only for certain."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

Make = Callable[..., Any]
TWO_OPENERS = """\
signals:
  few: {title: Three tickets, when: tickets_8d >= 3, cause: sentiment, opens: {play: listen}}
  upset:
    title: A ticket of the last three days
    when: tickets_3d >= 1
    cause: sentiment
    opens: {play: listen}
measures:
  tickets_8d: {count: tickets, window: 8d}
  tickets_3d: {count: tickets, window: 3d}
plays:
  listen:
    outcome: issue recovery
    owner: {role: csm, backup: team_lead}
    steps: [{id: call, task: support_spike.md, due: 2 days}]
    if_stalled: {after: 3 days, escalate_to: team_lead}
"""


def spans(hub: Any, account: Any) -> list[tuple[str, date, date | None]]:
    """Every problem of an account with its first day and the day of its end."""
    return [(one["cause"], one["opened_on"], one["closed_on"]) for one in hub.episodes(account)]


def on(day: int) -> date:
    return date(2026, 3, day)


# --- opening --------------------------------------------------------------------------------------


def test_one_problem_per_cause_names_all_its_signals(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    account = an_account(bills=[a_bill("91", ["2026-03-02", "2026-03-06"])])

    said = hub.knows(account, neighbour).judge(account, "2026-03-12")

    assert spans(hub, account) == [("payment", on(2), None)]
    assert json.loads(said.problems[0]["signals"]) == [
        "payment_failed",
        "payment_failed_twice",
        "payment_past_grace",
    ]
    assert said.problems[0]["decided_on"] == on(12)
    assert len(said.tasks) == 1


def test_another_cause_is_another_problem(hub: Any, an_account: Make, neighbour: Any, a_bill: Make):
    account = an_account(logins=["2026-02-20"], bills=[a_bill("91", ["2026-03-11"])])

    said = hub.knows(account, neighbour).judge(account, "2026-03-12")

    assert spans(hub, account) == [("usage", on(6), None), ("payment", on(11), None)]
    assert [task["cause"] for task in said.tasks] == ["payment", "usage"]


def test_a_later_signal_of_the_same_cause_joins_the_open_problem(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    first = an_account(bills=[a_bill("91", ["2026-03-02"])])
    second = an_account(bills=[a_bill("91", ["2026-03-02", "2026-03-05"])])
    hub.knows(first, neighbour).judge(first, "2026-03-03")

    said = hub.knows(second).judge(second, "2026-03-05")

    assert spans(hub, second) == [("payment", on(2), None)]
    assert "payment_failed_twice" in said.problems[0]["signals"]
    assert len(said.tasks) == 1


def test_a_signal_without_a_play_opens_nothing(hub: Any, an_account: Make, neighbour: Any):
    account = an_account(logins=["2026-03-01"])

    said = hub.knows(account, neighbour).judge(account, "2026-03-12")

    assert said.signals["quiet_10d"] is True
    assert hub.episodes(account) == []


# --- unknown --------------------------------------------------------------------------------------


def test_unknown_neither_opens_nor_closes_a_problem(
    hub: Any, an_account: Make, neighbour: Any, covered: Make
):
    account = an_account(logins=["2026-02-20"])
    stale = account.with_coverage("usage", covered(until="2026-03-01"))
    hub.knows(stale, neighbour).judge(stale, "2026-03-10")
    never_opened = hub.episodes(account)
    hub.knows(account).judge(account, "2026-03-11")
    hub.knows(stale)

    during = hub.judge(stale, "2026-03-12")

    assert never_opened == []
    assert during.signals["quiet_14d"] is None
    assert spans(hub, account) == [("usage", on(6), None)]
    assert len(during.tasks) == 1


def test_after_unknown_days_a_problem_goes_on_as_the_same(
    hub: Any, an_account: Make, neighbour: Any, covered: Make
):
    account = an_account(logins=["2026-02-20"])
    first = hub.knows(account, neighbour).judge(account, "2026-03-10")
    stale = account.with_coverage("usage", covered(until="2026-03-10"))
    hub.knows(stale).judge(stale, "2026-03-11")

    after = hub.knows(account).judge(account, "2026-03-12")

    assert spans(hub, account) == [("usage", on(6), None)]
    assert after.task["key"] == first.task["key"]
    assert after.since["quiet_14d"] == on(6)


# --- closing --------------------------------------------------------------------------------------


def test_a_problem_closes_on_the_day_its_signal_is_false(
    hub: Any, an_account: Make, neighbour: Any
):
    quiet = an_account(logins=["2026-02-20"])
    hub.knows(quiet, neighbour).judge(quiet, "2026-03-10")
    back = an_account(logins=["2026-02-20", "2026-03-11"])

    said = hub.knows(back).judge(back, "2026-03-11")

    assert spans(hub, back) == [("usage", on(6), on(11))]
    assert said.tasks == []


def test_a_paid_bill_closes_its_problem_whatever_else_was_true_of_it(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    failed = ["2026-03-02", "2026-03-06"]
    unpaid = an_account(bills=[a_bill("91", failed)])
    hub.knows(unpaid, neighbour).judge(unpaid, "2026-03-12")
    paid = an_account(bills=[a_bill("91", failed, settled="2026-03-13")])

    hub.knows(paid).judge(paid, "2026-03-13")

    assert spans(hub, paid) == [("payment", on(2), on(13))]


def test_a_ticket_spike_stays_open_until_it_has_clearly_gone(
    hub: Any, an_account: Make, neighbour: Any
):
    """`clears:` asks for less than one and a half, or for fewer than the floor."""
    march = ["2026-03-10"] * 9
    spike = an_account(tickets=["2026-02-01"] * 4 + march)
    easing = an_account(tickets=["2026-02-01"] * 5 + march)
    gone = an_account(tickets=["2026-02-01"] * 7 + march)

    spiking = hub.knows(spike, neighbour).judge(spike, "2026-03-11")
    held = hub.knows(easing).judge(easing, "2026-03-12")
    still_open = spans(hub, spike)
    cleared = hub.knows(gone).judge(gone, "2026-03-13")

    assert spiking.signals["ticket_spike"] is True
    assert held.signals["ticket_spike"] is False
    assert still_open == [("support", on(10), None)]
    assert held.task["key"] == spiking.task["key"]
    assert spans(hub, spike) == [("support", on(10), on(13))]
    assert cleared.tasks == []


def test_a_spike_below_the_floor_has_gone_although_it_is_still_a_multiple(
    hub: Any, an_account: Make, neighbour: Any
):
    spike = an_account(tickets=["2026-03-05"] * 2 + ["2026-03-10"] * 3)
    hub.knows(spike, neighbour).judge(spike, "2026-03-11")

    hub.judge(spike, "2026-04-04")

    assert spans(hub, spike) == [("support", on(10), date(2026, 4, 4))]


def test_an_account_that_is_no_longer_a_customer_has_no_open_problem(
    hub: Any, an_account: Make, neighbour: Any
):
    quiet = an_account(logins=["2026-02-20"])
    hub.knows(quiet, neighbour).judge(quiet, "2026-03-10")
    former = an_account(logins=["2026-02-20"], lifecycle="former")

    said = hub.knows(former).judge(former, "2026-03-11")

    assert spans(hub, quiet) == [("usage", on(6), on(11))]
    assert said.tasks == []


def test_a_rule_that_is_switched_off_closes_its_problems(
    hub: Any, an_account: Make, neighbour: Any, a_config: Make
):
    quiet = an_account(logins=["2026-02-20"])
    hub.knows(quiet, neighbour).judge(quiet, "2026-03-10")
    hub.config = a_config("signals:\n  quiet_14d: off\n")

    hub.judge(quiet, "2026-03-11")

    assert spans(hub, quiet) == [("usage", on(6), on(11))]


# --- again ----------------------------------------------------------------------------------------


def test_a_problem_that_comes_back_is_a_new_one_with_a_new_key(
    hub: Any, an_account: Make, neighbour: Any
):
    logins = ["2026-02-10"]
    account = an_account(logins=logins)
    first = hub.knows(account, neighbour).judge(account, "2026-03-01")
    account = an_account(logins=[*logins, "2026-03-02"])
    hub.knows(account).judge(account, "2026-03-02")

    again = hub.judge(account, "2026-03-17")

    assert spans(hub, account) == [
        ("usage", date(2026, 2, 24), on(2)),
        ("usage", on(16), None),
    ]
    assert again.task["key"] != first.task["key"]


def test_a_bill_that_fails_on_the_day_another_was_paid_is_a_new_problem(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    """Looking back, not one day was free of it; but the team was told that it is over."""
    old = a_bill("91", ["2026-03-02"])
    account = an_account(bills=[old])
    first = hub.knows(account, neighbour).judge(account, "2026-03-04")
    paid = a_bill("91", ["2026-03-02"], settled="2026-03-05")
    account = an_account(bills=[paid])
    hub.knows(account).judge(account, "2026-03-05")
    account = an_account(bills=[paid, a_bill("92", ["2026-03-05"], created="2026-03-05")])

    again = hub.knows(account).judge(account, "2026-03-05")

    assert spans(hub, account) == [("payment", on(2), on(5)), ("payment", on(5), None)]
    assert again.task["key"] != first.task["key"]


def test_a_bill_that_was_called_paid_by_mistake_is_a_new_problem(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    """The corrected fact reaches back before the end; the closed task must not be adopted."""
    account = an_account(bills=[a_bill("91", ["2026-03-02"])])
    first = hub.knows(account, neighbour).judge(account, "2026-03-04")
    wrong = an_account(bills=[a_bill("91", ["2026-03-02"], settled="2026-03-05")])
    hub.knows(wrong).judge(wrong, "2026-03-05")

    again = hub.knows(account).judge(account, "2026-03-07")

    assert spans(hub, account) == [("payment", on(2), on(5)), ("payment", on(5), None)]
    assert again.task["key"] != first.task["key"]


# --- several signals that open one cause ----------------------------------------------------------


@pytest.fixture
def upset(a_hub: Make, a_config: Make, neighbour: Any, database_url: str) -> Any:
    """A hub with two signals that open one cause, on either database."""
    return a_hub(a_config(TWO_OPENERS), database_url).knows(neighbour)


def test_a_problem_stays_the_same_while_another_signal_of_its_cause_is_true(
    upset: Any, an_account: Make
):
    one = an_account(tickets=["2026-03-01"])
    three = an_account(tickets=["2026-03-01", "2026-03-02", "2026-03-02"])
    first = upset.knows(one).judge(one, "2026-03-01")

    both = upset.knows(three).judge(three, "2026-03-03")
    later = upset.judge(three, "2026-03-06")
    over = upset.judge(three, "2026-03-10")

    assert (both.signals["few"], both.signals["upset"]) == (True, True)
    assert (later.signals["few"], later.signals["upset"]) == (True, False)
    assert later.task["key"] == both.task["key"] == first.task["key"]
    assert over.tasks == []
    assert spans(upset, three) == [("sentiment", on(1), on(10))]


def test_a_problem_stays_open_while_its_other_signal_is_unknown(
    upset: Any, an_account: Make, covered: Make
):
    one = an_account(tickets=["2026-03-01"])
    three = an_account(tickets=["2026-03-01", "2026-03-02", "2026-03-02"])
    short = three.with_coverage("tickets", covered(since="2026-03-03"))
    first = upset.knows(one).judge(one, "2026-03-01")
    upset.knows(three).judge(three, "2026-03-03")
    upset.knows(short)

    later = [upset.judge(short, day) for day in ("2026-03-06", "2026-03-07")]

    assert [said.signals["few"] for said in later] == [None, None]
    assert [said.signals["upset"] for said in later] == [False, False]
    assert [said.task["key"] for said in later] == [first.task["key"]] * 2
