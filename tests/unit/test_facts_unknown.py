"""Zero, unknown or not connected: only coverage turns the absence of rows into a known zero."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

Make = Callable[..., Any]
TODAY = "2026-03-31"
COUNTS = {
    "usage": ("active_people_30d", "key_feature_days_30d"),
    "tickets": ("tickets_30d", "tickets_prev_30d"),
    "billing": ("failed_unpaid_attempts", "days_since_first_failed_payment"),
}


def ago(days: int) -> str:
    return str(date.fromisoformat(TODAY) - timedelta(days=days))


# --- a known zero ---------------------------------------------------------------------------------


def counts(said: Any) -> list[Any]:
    """Every count of every kind of source, for one verdict."""
    return [said.values[name] for names in COUNTS.values() for name in names]


def test_no_rows_of_a_covered_source_are_a_known_zero(judge: Make, an_account: Make):
    assert counts(judge(an_account(), TODAY)) == [0] * 6


def test_no_rows_of_a_source_that_does_not_cover_the_account_are_unknown(
    judge_each: Make, an_account: Make
):
    said = judge_each({kind: an_account().with_coverage(kind) for kind in COUNTS}, TODAY)

    unknown = {
        kind: {name for names in COUNTS.values() for name in names if one.values[name] is None}
        for kind, one in said.items()
    }
    assert unknown == {kind: set(names) for kind, names in COUNTS.items()}


def test_days_since_and_dates_stay_unknown_where_there_is_no_row(judge: Make, an_account: Make):
    said = judge(an_account(), TODAY)

    unknown = ["days_since_last_login", "last_login_on", "last_failed_payment_on", "mrr_minor"]
    assert [said.values[name] for name in unknown] == [None] * 4


def test_an_account_without_usage_is_not_one_that_stopped_logging_in(judge: Make, an_account: Make):
    said = judge(an_account().with_coverage("usage"), TODAY)

    assert said.signals["quiet_14d"] is None
    assert said.status == "unknown"
    assert said.tasks == []
    assert said.because == ["Not known: no usage is linked"]


# --- stale, lost, partly covered ------------------------------------------------------------------


def test_a_source_speaks_until_the_last_day_for_which_it_is_fresh(
    judge_each: Make, an_account: Make, covered: Make
):
    """R35: the source was last read before the day, so nobody knows whether they logged in."""
    quiet = an_account(logins=[ago(20)])
    cases = {days: quiet.with_coverage("usage", covered(until=ago(days))) for days in (0, 1)}

    said = judge_each(cases, TODAY)

    assert said[0].values["days_since_last_login"] == 20
    assert said[0].task["cause"] == "usage"
    assert said[1].values["days_since_last_login"] is None
    assert said[1].signals["quiet_14d"] is None
    assert said[1].tasks == []


def test_a_lost_link_is_unknown_although_earlier_rows_are_there(
    judge: Make, an_account: Make, a_bill: Make, covered: Make
):
    account = an_account(features=[ago(3)], tickets=[ago(3)] * 5, bills=[a_bill("91", [ago(3)])])
    for kind in COUNTS:
        account = account.with_coverage(kind, covered(basis="lost"))

    assert counts(judge(account, TODAY)) == [None] * 6


def test_a_window_counts_only_when_its_first_day_is_covered(
    judge_each: Make, an_account: Make, covered: Make
):
    reach = {
        "tickets_30d": ("tickets", 30),
        "tickets_prev_30d": ("tickets", 60),
        "key_feature_days_30d": ("usage", 30),
        "active_people_30d": ("usage", 30),
    }
    account = an_account(tickets=[ago(3)], features=[ago(3)], people=[(ago(3), "ann")])
    cases = {
        (name, short): account.with_coverage(kind, covered(since=ago(days - 1 - short)))
        for name, (kind, days) in reach.items()
        for short in (0, 1)
    }

    said = judge_each(cases, TODAY)

    known = {case: one.values[case[0]] is not None for case, one in said.items()}
    assert known == {(name, short): not short for name in reach for short in (0, 1)}


def test_a_last_login_is_known_however_short_the_time_that_is_covered(
    judge: Make, an_account: Make, covered: Make
):
    account = an_account(logins=[ago(1)]).with_coverage("usage", covered(since=ago(1)))

    assert judge(account, TODAY).values["days_since_last_login"] == 1


def test_before_its_first_covered_day_a_source_says_nothing(
    hub: Any, an_account: Make, neighbour: Any, covered: Make
):
    account = an_account().with_coverage("billing", covered(since=ago(5)))
    hub.knows(account, neighbour)

    first = hub.judge(account, TODAY, as_of=ago(5))
    before = hub.judge(account, TODAY, as_of=ago(6))

    assert first.values["failed_unpaid_attempts"] == 0
    assert before.values["failed_unpaid_attempts"] is None


def test_one_stale_source_of_two_makes_the_kind_unknown(
    judge: Make, an_account: Make, covered: Make
):
    """R35: half of the usage is missing, so a fall to nothing is no fact."""
    fresh, stale = covered(by="app"), covered(by="warehouse", until=ago(3))

    both = judge(an_account(logins=[ago(20)]).with_coverage("usage", fresh, stale), TODAY)

    assert both.signals["quiet_14d"] is None
    assert both.tasks == []


def test_one_lost_source_of_two_makes_the_kind_unknown(
    judge: Make, an_account: Make, covered: Make
):
    desks = covered(by="desk"), covered(by="old_desk", basis="lost")

    said = judge(an_account().with_coverage("tickets", *desks), TODAY)

    assert said.values["tickets_30d"] is None


def test_two_fresh_sources_speak_together(judge: Make, an_account: Make, covered: Make):
    desks = covered(by="desk"), covered(by="other_desk")

    said = judge(an_account(tickets=[ago(1)]).with_coverage("tickets", *desks), TODAY)

    assert said.values["tickets_30d"] == 1


# --- not connected --------------------------------------------------------------------------------


def test_a_source_that_this_installation_does_not_have_leaves_the_model(
    judge: Make, an_account: Make
):
    account = an_account(logins=[TODAY], features=[TODAY]).with_coverage("tickets")

    alone = judge(account, TODAY, alone=True)
    beside = judge(account, TODAY)

    assert "tickets_30d" not in alone.points
    assert alone.not_connected == ["support"]
    assert alone.low == alone.high
    assert beside.points["tickets_30d"] is None
    assert beside.low < beside.high


def test_a_cap_whose_source_this_installation_does_not_have_says_nothing(
    judge: Make, an_account: Make
):
    account = an_account(tickets=[]).with_coverage("usage")

    alone = judge(account, TODAY, alone=True)

    assert alone.signals["quiet_14d"] is None
    assert alone.band == "healthy"


def test_an_unknown_cap_of_a_connected_source_keeps_an_account_from_reading_healthy(
    judge: Make, an_account: Make, covered: Make
):
    """The spike needs sixty days, the score thirty: everything in the score is known here."""
    calm = an_account(logins=[TODAY], features=[ago(n) for n in range(4)], tickets=[ago(1)] * 4)

    said = judge(calm.with_coverage("tickets", covered(since=ago(40))), TODAY)

    assert said.signals["ticket_spike"] is None
    assert said.low == 69.99
    assert said.high > 70
    assert said.band == "unknown"


def test_a_source_stays_in_the_model_when_it_no_longer_says_anything(hub: Any, an_account: Make):
    account = an_account(logins=["2026-03-01"], features=["2026-03-01"])
    hub.knows(account).judge(account, "2026-03-01")

    after = hub.knows(account.with_coverage("usage")).judge(account, "2026-03-02")

    assert after.points["days_since_last_login"] is None
    assert after.band == "unknown"


def test_key_features_count_from_the_day_on_which_they_are_named(
    a_hub: Make, an_account: Make, a_config: Make
):
    unnamed = a_config("", ("key_features: [report_shared]", "key_features: []"))
    account = an_account(logins=[TODAY], features=[])
    hub = a_hub(unnamed).knows(account)

    before = hub.judge(account, TODAY)
    hub.config = a_config()
    after = hub.judge(account, TODAY)

    assert "key_feature_days_30d" not in before.points
    assert before.values["key_feature_days_30d"] is None
    assert after.points["key_feature_days_30d"] == 0


def test_key_features_that_are_no_longer_named_leave_the_model(
    a_hub: Make, an_account: Make, a_config: Make
):
    account = an_account(logins=[TODAY], features=[TODAY])
    hub = a_hub().knows(account)
    hub.judge(account, TODAY)

    hub.config = a_config("", ("key_features: [report_shared]", "key_features: []"))
    after = hub.judge(account, TODAY)

    assert "key_feature_days_30d" not in after.points
    assert after.low == after.high
