"""The shipped rules at their edges: what holds a day before, and what on the day itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

Make = Callable[..., Any]
TODAY = "2026-03-31"


def ago(days: int) -> str:
    """The day so many days before 31 March 2026."""
    return str(date.fromisoformat(TODAY) - timedelta(days=days))


def ahead(days: int) -> str:
    return ago(-days)


def fine(an_account: Make, **facts: Any) -> Any:
    """An account that is well but for these facts."""
    calm = {"logins": [TODAY], "features": [ago(n) for n in range(4)]}
    return an_account(**{**calm, **facts})


# --- usage ----------------------------------------------------------------------------------------


def test_ten_days_without_a_login_are_a_list_and_no_cap(judge_each: Make, an_account: Make):
    """S61."""
    said = judge_each({days: fine(an_account, logins=[ago(days)]) for days in (9, 10, 13)}, TODAY)

    assert {days: one.signals["quiet_10d"] for days, one in said.items()} == {
        9: False,
        10: True,
        13: True,
    }
    assert {one.signals["quiet_14d"] for one in said.values()} == {False}
    assert {one.band for one in said.values()} == {"healthy"}
    assert [task for one in said.values() for task in one.tasks] == []


def test_fourteen_days_without_a_login_are_at_risk_and_open_a_problem(
    judge: Make, an_account: Make
):
    """S60, S80: the day of the 14th is the first."""
    said = judge(an_account(logins=[ago(14)], features=[ago(n) for n in range(4)]), TODAY)

    assert said.signals["quiet_14d"] is True
    assert said.band == "at_risk"
    assert said.high == 39.99
    assert said.because == ["No log-in since 17 Mar 2026"]
    assert [one["cause"] for one in said.problems] == ["usage"]
    assert said.task["key"].startswith("usage-")


def test_the_newest_login_of_anybody_counts(judge: Make, an_account: Make):
    said = judge(an_account(logins=[ago(40), ago(3), ago(20)]), TODAY)

    assert said.values["days_since_last_login"] == 3
    assert said.values["last_login_on"] == date(2026, 3, 28)


def test_only_the_events_that_hub_yaml_names_are_logins(
    judge: Make, an_account: Make, a_config: Make
):
    account = an_account(logins=[ago(3)], features=[ago(1)])
    config = a_config("", ("login_events: [login]", "login_events: [report_shared]"))

    said = judge(account, TODAY, config=config)

    assert said.values["days_since_last_login"] == 1


def test_an_account_that_never_logged_in_is_unknown_and_no_problem(judge: Make, an_account: Make):
    said = judge(an_account(logins=[]), TODAY)

    assert said.signals["quiet_14d"] is None
    assert said.tasks == []


def test_key_feature_days_are_those_of_the_last_thirty(judge_each: Make, an_account: Make):
    cases = {days: an_account(features=[ago(5), ago(days)]) for days in (0, 29, 30)}

    said = judge_each(cases, TODAY)

    found = {days: one.values["key_feature_days_30d"] for days, one in said.items()}
    assert found == {0: 2, 29: 2, 30: 1}


def test_people_are_counted_once_over_the_last_thirty_days(judge: Make, an_account: Make):
    seen = [(ago(1), "ann"), (ago(2), "ann"), (ago(29), "bo"), (ago(30), "cy")]

    said = judge(an_account(people=seen), TODAY)

    assert said.values["active_people_30d"] == 2


# --- support --------------------------------------------------------------------------------------


def test_tickets_spike_when_they_doubled_and_are_four_at_least(judge_each: Make, an_account: Make):
    """S58: so many in the last thirty days, so many in the thirty before."""
    expected = {
        (3, 0): False,
        (4, 0): True,
        (4, 2): True,
        (5, 3): False,
        (6, 3): True,
        (8, 4): True,
    }
    cases = {
        (now, before): an_account(tickets=[ago(5)] * now + [ago(45)] * before)
        for now, before in expected
    }

    said = judge_each(cases, TODAY)

    assert {case: one.signals["ticket_spike"] for case, one in said.items()} == expected


def test_the_two_months_of_tickets_touch_and_do_not_overlap(judge_each: Make, an_account: Make):
    cases = {days: an_account(tickets=[ago(5)] * 3 + [ago(days)]) for days in (0, 29, 30, 59, 60)}

    said = judge_each(cases, TODAY)

    months = ("tickets_30d", "tickets_prev_30d")
    assert {days: tuple(one.values[name] for name in months) for days, one in said.items()} == {
        0: (4, 0),
        29: (4, 0),
        30: (3, 1),
        59: (3, 1),
        60: (3, 0),
    }


def test_a_spike_is_watch_and_never_healthy(judge: Make, an_account: Make):
    calm = an_account(logins=[TODAY], features=[ago(n) for n in range(4)])

    said = judge(calm.but(tickets=[ago(2)] * 4), TODAY)

    assert said.band == "watch"
    assert said.high == 69.99
    assert said.because == [
        "At least twice as many support tickets as in the month before, since 29 Mar 2026"
    ]
    assert said.task["cause"] == "support"


# --- payments -------------------------------------------------------------------------------------


def test_the_first_failed_payment_opens_a_problem_without_a_cap(
    judge: Make, an_account: Make, a_bill: Make
):
    said = judge(fine(an_account, bills=[a_bill("91", failed=[ago(0)])]), TODAY)

    assert said.signals["payment_failed"] is True
    assert said.signals["payment_failed_twice"] is False
    assert said.band == "healthy"
    assert said.because == ["A payment failed on 31 Mar 2026 and the bill is unpaid"]
    assert said.task["cause"] == "payment"


def test_the_second_failed_payment_moves_an_account_to_watch(
    judge: Make, an_account: Make, a_bill: Make
):
    said = judge(fine(an_account, bills=[a_bill("91", failed=[ago(4), ago(1)])]), TODAY)

    assert said.band == "watch"
    assert said.high == 69.99
    assert said.because == ["A payment failed again on 30 Mar 2026 and the bill is unpaid"]


def test_a_bill_has_seven_days_of_grace_after_its_first_failure(
    judge_each: Make, an_account: Make, a_bill: Make
):
    cases = {days: fine(an_account, bills=[a_bill("91", failed=[ago(days)])]) for days in (7, 8)}

    said = judge_each(cases, TODAY)

    assert {days: one.signals["payment_past_grace"] for days, one in said.items()} == {
        7: False,
        8: True,
    }
    assert {days: one.band for days, one in said.items()} == {7: "healthy", 8: "at_risk"}


def test_grace_counts_from_the_first_failure_and_not_from_the_newest(
    judge: Make, an_account: Make, a_bill: Make
):
    said = judge(fine(an_account, bills=[a_bill("91", failed=[ago(1), ago(8)])]), TODAY)

    assert said.band == "at_risk"
    assert said.because == [
        "A bill is still unpaid after its grace; the last try failed on 30 Mar 2026"
    ]


def test_a_paid_bill_is_no_problem_from_its_day_on(
    judge_each: Make, an_account: Make, a_bill: Make
):
    failed = [ago(20), ago(10)]
    cases = {
        days: fine(an_account, bills=[a_bill("91", failed, settled=ago(days))]) for days in (0, 3)
    }

    said = judge_each(cases, TODAY)

    assert {one.values["failed_unpaid_attempts"] for one in said.values()} == {0}
    assert [task for one in said.values() for task in one.tasks] == []


def test_a_bill_that_nobody_waits_for_is_no_problem(
    judge_each: Make, an_account: Make, a_bill: Make
):
    states = ("open", "void", "uncollectible", "paid", "draft")
    cases = {state: fine(an_account, bills=[a_bill("91", [ago(20)], status=state)])
             for state in states}  # fmt: skip

    said = judge_each(cases, TODAY)

    assert [state for state in states if said[state].signals["payment_failed"]] == ["open"]


def test_another_bill_that_was_paid_does_not_hide_the_unpaid_one(
    judge: Make, an_account: Make, a_bill: Make
):
    bills = [a_bill("90", [ago(40)], settled=ago(38)), a_bill("91", [ago(2)])]

    said = judge(fine(an_account, bills=bills), TODAY)

    assert said.values["failed_unpaid_attempts"] == 1
    assert said.values["days_since_first_failed_payment"] == 2


# --- renewals -------------------------------------------------------------------------------------


def test_the_renewal_window_opens_ninety_days_ahead_and_closes_after_the_day(
    judge_each: Make, an_account: Make
):
    """S84."""
    expected = {91: False, 90: True, 1: True, 0: True, -1: False}
    cases = {days: fine(an_account, renewal_on=ahead(days)) for days in expected}

    said = judge_each(cases, TODAY)

    assert {days: one.signals["renewal_window"] for days, one in said.items()} == expected
    causes = {days: [task["cause"] for task in one.tasks] for days, one in said.items()}
    assert causes == {days: ["renewal"] if opens else [] for days, opens in expected.items()}


def test_an_enterprise_renewal_opens_a_hundred_and_twenty_days_ahead(
    judge_each: Make, an_account: Make
):
    """S85."""
    cases = {
        (days, size): fine(an_account, renewal_on=ahead(days), employees=size)
        for days, size in ((121, 500), (120, 500), (120, 499))
    }

    said = judge_each(cases, TODAY)

    assert {case: one.signals["renewal_window"] for case, one in said.items()} == {
        (121, 500): False,
        (120, 500): True,
        (120, 499): False,
    }


def test_a_renewal_says_its_day_and_changes_no_band(judge: Make, an_account: Make):
    said = judge(fine(an_account, renewal_on="2026-06-29"), TODAY)

    assert said.because == ["Renews on 29 Jun 2026"]
    assert said.band == "healthy"


def test_without_a_renewal_date_nothing_is_known_about_it(judge: Make, an_account: Make):
    said = judge(fine(an_account), TODAY)

    assert said.signals["renewal_window"] is None
    assert said.band == "healthy"
    assert said.tasks == []
