"""The shipped rules at their edges: what holds a day before, and what on the day itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

Make = Callable[..., Any]
TODAY = "2026-03-31"


def ago(days: int) -> str:
    """The day so many days before 31 March 2026."""
    return str(date.fromisoformat(TODAY) - timedelta(days=days))


def ahead(days: int) -> str:
    return ago(-days)


# --- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "listed", "quiet"), [(9, False, False), (10, True, False), (13, True, False)]
)
def test_ten_days_without_a_login_are_a_list_and_no_cap(
    judge: Make, an_account: Make, days: int, listed: bool, quiet: bool
):
    said = judge(an_account(logins=[ago(days)], features=[ago(n) for n in range(4)]), TODAY)

    assert said.signals["quiet_10d"] is listed
    assert said.signals["quiet_14d"] is quiet
    assert said.band == "healthy"
    assert said.tasks == []


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


@pytest.mark.parametrize(("last", "days"), [(0, 2), (29, 2), (30, 1)])
def test_key_feature_days_are_those_of_the_last_thirty(
    judge: Make, an_account: Make, last: int, days: int
):
    said = judge(an_account(features=[ago(5), ago(last)]), TODAY)

    assert said.values["key_feature_days_30d"] == days


def test_people_are_counted_once_over_the_last_thirty_days(judge: Make, an_account: Make):
    seen = [(ago(1), "ann"), (ago(2), "ann"), (ago(29), "bo"), (ago(30), "cy")]

    said = judge(an_account(people=seen), TODAY)

    assert said.values["active_people_30d"] == 2


# --- support --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "before", "spike"),
    [(3, 0, False), (4, 0, True), (4, 2, True), (5, 3, False), (6, 3, True), (8, 4, True)],
)
def test_tickets_spike_when_they_doubled_and_are_four_at_least(
    judge: Make, an_account: Make, now: int, before: int, spike: bool
):
    """S58."""
    days = [ago(5)] * now + [ago(45)] * before

    said = judge(an_account(logins=[TODAY], features=[TODAY], tickets=days), TODAY)

    assert said.signals["ticket_spike"] is spike


@pytest.mark.parametrize(("days", "now", "before"), [(0, 4, 0), (29, 4, 0), (30, 3, 1), (59, 3, 1)])
def test_the_two_months_of_tickets_touch_and_do_not_overlap(
    judge: Make, an_account: Make, days: int, now: int, before: int
):
    said = judge(an_account(tickets=[ago(5)] * 3 + [ago(days)]), TODAY)

    assert said.values["tickets_30d"] == now
    assert said.values["tickets_prev_30d"] == before


def test_a_ticket_of_sixty_days_ago_is_in_neither_month(judge: Make, an_account: Make):
    said = judge(an_account(tickets=[ago(60)]), TODAY)

    assert said.values["tickets_30d"] == 0
    assert said.values["tickets_prev_30d"] == 0


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


def fine(an_account: Make, **facts: Any) -> Any:
    return an_account(logins=[TODAY], features=[ago(n) for n in range(4)], **facts)


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


@pytest.mark.parametrize(("days", "band"), [(7, "healthy"), (8, "at_risk")])
def test_a_bill_has_seven_days_of_grace_after_its_first_failure(
    judge: Make, an_account: Make, a_bill: Make, days: int, band: str
):
    said = judge(fine(an_account, bills=[a_bill("91", failed=[ago(days)])]), TODAY)

    assert said.signals["payment_past_grace"] is (band == "at_risk")
    assert said.band == band


def test_grace_counts_from_the_first_failure_and_not_from_the_newest(
    judge: Make, an_account: Make, a_bill: Make
):
    said = judge(fine(an_account, bills=[a_bill("91", failed=[ago(1), ago(8)])]), TODAY)

    assert said.band == "at_risk"
    assert said.because == [
        "A bill is still unpaid after its grace; the last try failed on 30 Mar 2026"
    ]


@pytest.mark.parametrize("settled", [0, 3])
def test_a_paid_bill_is_no_problem_from_its_day_on(
    judge: Make, an_account: Make, a_bill: Make, settled: int
):
    bill = a_bill("91", failed=[ago(20), ago(10)], settled=ago(settled))

    said = judge(fine(an_account, bills=[bill]), TODAY)

    assert said.values["failed_unpaid_attempts"] == 0
    assert said.tasks == []


@pytest.mark.parametrize("status", ["void", "uncollectible", "paid", "draft"])
def test_a_bill_that_nobody_waits_for_is_no_problem(
    judge: Make, an_account: Make, a_bill: Make, status: str
):
    said = judge(fine(an_account, bills=[a_bill("91", [ago(20)], status=status)]), TODAY)

    assert said.signals["payment_failed"] is False


def test_another_bill_that_was_paid_does_not_hide_the_unpaid_one(
    judge: Make, an_account: Make, a_bill: Make
):
    bills = [a_bill("90", [ago(40)], settled=ago(38)), a_bill("91", [ago(2)])]

    said = judge(fine(an_account, bills=bills), TODAY)

    assert said.values["failed_unpaid_attempts"] == 1
    assert said.values["days_since_first_failed_payment"] == 2


# --- renewals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "opens"), [(91, False), (90, True), (1, True), (0, True), (-1, False)]
)
def test_the_renewal_window_opens_ninety_days_ahead_and_closes_after_the_day(
    judge: Make, an_account: Make, days: int, opens: bool
):
    """S84."""
    said = judge(fine(an_account, renewal_on=ahead(days)), TODAY)

    assert said.signals["renewal_window"] is opens
    assert [task["cause"] for task in said.tasks] == (["renewal"] if opens else [])


@pytest.mark.parametrize(("days", "opens"), [(121, False), (120, True)])
def test_an_enterprise_renewal_opens_a_hundred_and_twenty_days_ahead(
    judge: Make, an_account: Make, days: int, opens: bool
):
    """S85."""
    said = judge(fine(an_account, renewal_on=ahead(days), employees=500), TODAY)

    assert said.signals["renewal_window"] is opens


def test_a_renewal_says_its_day_and_changes_no_band(judge: Make, an_account: Make):
    said = judge(fine(an_account, renewal_on="2026-06-29"), TODAY)

    assert said.because == ["Renews on 29 Jun 2026"]
    assert said.band == "healthy"


def test_without_a_renewal_date_nothing_is_known_about_it(judge: Make, an_account: Make):
    said = judge(fine(an_account), TODAY)

    assert said.signals["renewal_window"] is None
    assert said.band == "healthy"
    assert said.tasks == []
