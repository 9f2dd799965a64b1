"""Days in a row: what a decision keeps from the one before, and what the past may not touch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from hub.errors import UsageError
from hub.store.current import published_run
from hub.store.tables import (
    DailyBand,
    Decision,
    DesiredField,
    DesiredTask,
    EffectiveInput,
    Episode,
    Published,
    Reading,
    Verdict,
)

Make = Callable[..., Any]
SAID = (Reading, Verdict, DesiredField, DesiredTask)
KEPT = (Episode, DailyBand, EffectiveInput)
QUIET_SINCE = date(2026, 3, 15)


@pytest.fixture
def quiet(an_account: Make) -> Any:
    """An account that logged in on 1 March for the last time: quiet from the 15th on."""
    return an_account(logins=["2026-03-01"])


def decided(hub: Any) -> list[Any]:
    """All that the current decision says and keeps, but for the number of its run."""
    with hub.database.read() as reading:
        run = published_run(reading)
    rows = [[row for row in hub.rows(model) if row["run"] == run] for model in SAID]
    for row in (row for some in rows for row in some):
        del row["run"]
    return [*(sorted(some, key=repr) for some in rows), *(hub.rows(model) for model in KEPT)]


# --- the same day twice, and the next day ---------------------------------------------------------


@pytest.mark.parametrize("before", [(), ("2026-03-16", "2026-03-17")])
def test_deciding_twice_on_a_day_gives_the_same_rows(
    hub: Any, quiet: Any, an_account: Make, neighbour: Any, a_bill: Make, before: tuple[str, ...]
):
    other = an_account("Ash", bills=[a_bill("91", ["2026-03-16"])], renewal_on="2026-06-14")
    hub.knows(quiet, neighbour, other)
    for day in (*before, "2026-03-20"):
        hub.decide(day)
    first = decided(hub)

    hub.decide("2026-03-20")

    assert all(first)
    assert decided(hub) == first


def test_the_next_day_keeps_since_and_opened_on(hub: Any, quiet: Any, neighbour: Any):
    hub.knows(quiet, neighbour)
    hub.judge(quiet, "2026-03-20")

    next_day = hub.judge(quiet, "2026-03-21")

    assert next_day.since["quiet_14d"] == QUIET_SINCE
    assert [one["opened_on"] for one in next_day.problems] == [QUIET_SINCE]
    assert next_day.row["since"] == date(2026, 3, 20)


def test_a_signal_is_dated_to_the_first_day_of_its_unbroken_stretch(
    hub: Any, quiet: Any, neighbour: Any
):
    said = hub.knows(quiet, neighbour).judge(quiet, "2026-03-20")

    assert said.since["quiet_14d"] == QUIET_SINCE
    assert said.since["quiet_10d"] == date(2026, 3, 11)


def test_a_stretch_that_was_broken_counts_from_its_second_beginning(
    hub: Any, an_account: Make, neighbour: Any
):
    account = an_account(logins=["2026-02-01", "2026-03-01"])

    said = hub.knows(account, neighbour).judge(account, "2026-03-20")

    assert said.since["quiet_14d"] == QUIET_SINCE


def test_a_beginning_is_looked_for_at_most_sixty_days_back(
    hub: Any, an_account: Make, neighbour: Any
):
    sixty = an_account("Ash", logins=[str(date(2026, 9, 1) - timedelta(days=14 + 60))])
    more = an_account("Beech", logins=[str(date(2026, 9, 1) - timedelta(days=14 + 61))])

    run = hub.knows(sixty, more, neighbour).decide("2026-09-01").run

    for account in (sixty, more):
        assert hub.said(account, run).since["quiet_14d"] == date(2026, 7, 3)


def test_a_beginning_that_was_stored_once_stays_when_looking_back_no_longer_finds_it(
    hub: Any, quiet: Any, neighbour: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hub.decide.episodes.LOOK_BACK_DAYS", 5)
    hub.knows(quiet, neighbour)

    said = [hub.judge(quiet, day) for day in ("2026-03-19", "2026-03-23", "2026-03-27")]

    assert [one.since["quiet_14d"] for one in said] == [QUIET_SINCE] * 3
    assert said[-1].problems[0]["opened_on"] == QUIET_SINCE


# --- the status -----------------------------------------------------------------------------------


def test_a_worse_band_shows_on_its_day_and_a_better_one_after_three(
    hub: Any, quiet: Any, neighbour: Any
):
    back = quiet.but(
        logins=[f"2026-03-{day}" for day in range(21, 26)],
        features=[f"2026-03-{day}" for day in range(21, 26)],
    )
    hub.knows(quiet, neighbour)
    before = [hub.judge(quiet, day).status for day in ("2026-03-14", "2026-03-15")]

    hub.knows(back)
    after = [hub.judge(back, f"2026-03-{day}").status for day in range(21, 25)]

    assert before == ["watch", "at_risk"]
    assert after == ["at_risk", "at_risk", "healthy", "healthy"]


def test_days_on_which_the_hub_did_not_run_count_as_well(hub: Any, quiet: Any, neighbour: Any):
    """The fold runs over days in the data and not over runs."""
    back = quiet.but(logins=[f"2026-03-{day}" for day in range(18, 26)])
    hub.knows(quiet, neighbour).judge(quiet, "2026-03-17")

    said = hub.knows(back).judge(back, "2026-03-25")

    assert said.status == "healthy"
    assert said.row["since"] == date(2026, 3, 20)


def test_a_bands_day_that_was_judged_is_not_judged_again(hub: Any, quiet: Any, neighbour: Any):
    hub.knows(quiet, neighbour).judge(quiet, "2026-03-16")
    corrected = quiet.but(logins=["2026-03-01", "2026-03-14"])

    hub.knows(corrected).judge(corrected, "2026-03-17")

    bands = {row["day"].day: row["band"] for row in hub.rows(DailyBand)
             if row["account_id"] == quiet.key}  # fmt: skip
    assert bands[16] == "at_risk"
    assert bands[17] == "healthy"


def test_the_fold_starts_on_the_day_of_the_first_decision(hub: Any, quiet: Any, neighbour: Any):
    said = hub.knows(quiet, neighbour).judge(quiet, "2026-03-20")

    assert said.row["since"] == date(2026, 3, 20)
    assert {row["day"] for row in hub.rows(DailyBand)} == {date(2026, 3, 20)}


def test_the_fold_starts_earlier_when_hub_yaml_says_so(
    a_hub: Make, a_config: Make, quiet: Any, neighbour: Any
):
    config = a_config("", ("currency: EUR", "currency: EUR\njudged_from: 2026-03-10"))
    hub = a_hub(config).knows(quiet, neighbour)

    said = hub.judge(quiet, "2026-03-20")

    assert said.status == "at_risk"
    assert said.row["since"] == QUIET_SINCE
    assert min(row["day"] for row in hub.rows(DailyBand)) == date(2026, 3, 10)


def test_the_first_judged_day_is_stored_once(
    a_hub: Make, a_config: Make, quiet: Any, neighbour: Any
):
    hub = a_hub().knows(quiet, neighbour)
    hub.judge(quiet, "2026-03-20")
    hub.config = a_config("", ("currency: EUR", "currency: EUR\njudged_from: 2026-03-10"))

    hub.judge(quiet, "2026-03-21")

    assert min(row["day"] for row in hub.rows(DailyBand)) == date(2026, 3, 20)


def test_unknown_holds_a_status_and_raises_no_task(
    hub: Any, an_account: Make, neighbour: Any, covered: Make
):
    """R35: the usage source is down for days; nothing new is asked of anybody."""
    account = an_account(logins=["2026-03-05"], features=["2026-03-05"])
    stale = account.with_coverage("usage", covered(until="2026-03-15"))
    hub.knows(account, neighbour)
    before = hub.judge(account, "2026-03-15")

    hub.knows(stale)
    during = [hub.judge(stale, f"2026-03-{day}") for day in range(16, 24)]

    assert {said.band for said in during} == {"unknown"}
    assert {said.status for said in during} == {before.status}
    assert [said.tasks for said in during] == [[]] * 8


def test_after_an_outage_the_true_usage_raises_no_late_alarm(
    hub: Any, an_account: Make, neighbour: Any, covered: Make
):
    """R35: the days that were missing come in, and they were days like any other."""
    account = an_account(logins=["2026-03-05"], features=["2026-03-05"])
    hub.knows(account.with_coverage("usage", covered(until="2026-03-15")), neighbour)
    hub.judge(account, "2026-03-22")
    back = account.but(logins=["2026-03-05", "2026-03-16", "2026-03-20"])

    said = hub.knows(back).judge(back, "2026-03-23")

    assert said.tasks == []
    assert said.signals["quiet_10d"] is False


# --- the past -------------------------------------------------------------------------------------


def test_a_past_day_is_a_what_if_and_never_becomes_current(hub: Any, quiet: Any, neighbour: Any):
    hub.knows(quiet, neighbour)
    hub.decide("2026-03-20")
    before = [hub.rows(model) for model in (Published, Episode, DailyBand, EffectiveInput)]

    done = hub.decide("2026-03-20", as_of="2026-03-10")

    assert done.kind == "replay"
    assert [hub.rows(model) for model in (Published, Episode, DailyBand, EffectiveInput)] == before
    with hub.database.read() as reading:
        assert published_run(reading) != done.run
    assert {row["run"]: row["kind"] for row in hub.rows(Decision)}[done.run] == "replay"


def test_a_past_day_says_what_was_true_then(hub: Any, quiet: Any, neighbour: Any):
    hub.knows(quiet, neighbour)
    hub.decide("2026-03-20")

    then = hub.judge(quiet, "2026-03-20", as_of="2026-03-14")

    assert then.values["days_since_last_login"] == 13
    assert then.signals["quiet_14d"] is False
    assert then.status != "at_risk"
    assert then.tasks == []


def test_a_past_day_knows_nothing_of_what_came_later(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    account = an_account(
        logins=["2026-03-01", "2026-03-15"],
        features=["2026-03-01", "2026-03-15"],
        tickets=["2026-03-01", "2026-03-15"],
        bills=[
            a_bill("91", ["2026-03-02", "2026-03-12"], settled="2026-03-13"),
            a_bill("92", ["2026-03-15"], created="2026-03-14"),
        ],
    )
    hub.knows(account, neighbour)

    then = hub.judge(account, "2026-03-20", as_of="2026-03-10")

    assert then.values["days_since_last_login"] == 9
    assert then.values["key_feature_days_30d"] == 1
    assert then.values["tickets_30d"] == 1
    assert then.values["failed_unpaid_attempts"] == 1
    assert then.signals["payment_past_grace"] is True


def test_a_past_day_does_not_borrow_from_the_current_decision(hub: Any, quiet: Any, neighbour: Any):
    """What would have been said on the 16th: due two business days after the 16th."""
    hub.knows(quiet, neighbour)
    current = hub.judge(quiet, "2026-03-20")

    then = hub.judge(quiet, "2026-03-20", as_of="2026-03-16")

    assert then.task["due"].date() == date(2026, 3, 18)
    assert current.task["due"].date() == date(2026, 3, 24)


def test_a_past_day_before_the_first_decision_can_be_asked(hub: Any, quiet: Any, neighbour: Any):
    then = hub.knows(quiet, neighbour).judge(quiet, "2026-03-20", as_of="2026-03-16")

    assert then.status == "at_risk"
    assert hub.rows(Published) == []


def test_a_decision_after_a_what_if_goes_on_as_if_it_had_not_been_asked(
    hub: Any, quiet: Any, neighbour: Any
):
    hub.knows(quiet, neighbour)
    first = hub.judge(quiet, "2026-03-20")
    hub.decide("2026-03-21", as_of="2026-03-18")

    said = hub.judge(quiet, "2026-03-21")

    assert said.task["key"] == first.task["key"]
    assert said.task["due"] == first.task["due"]
    assert said.since == first.since


def test_a_day_that_has_not_come_is_refused(hub: Any, quiet: Any):
    hub.knows(quiet)

    with pytest.raises(UsageError, match="2026-03-21 has not come yet"):
        hub.decide("2026-03-20", as_of="2026-03-21")

    assert hub.rows(Decision) == []


def test_only_the_current_decision_and_the_one_before_are_kept(
    hub: Any, quiet: Any, neighbour: Any
):
    hub.knows(quiet, neighbour)

    runs = [hub.decide(f"2026-03-{day}").run for day in (20, 21, 22)]

    assert sorted({row["run"] for row in hub.rows(Verdict)}) == runs[1:]
