"""The status that people see: worse at once, better after 5 points and 3 days, unknown holds."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.definitions import Bands
from hub.score import SEVERITY, Day, band, fold

BANDS = Bands(healthy=70, watch=40)
MARCH = date(2026, 3, 1)
UNKNOWN = (10.0, 90.0)


def days(*ends: float | tuple[float, float] | None) -> list[Day]:
    """Days from 1 March on: a score, an interval, or None for a day that was not judged."""
    found = []
    for number, one in enumerate(ends):
        if one is not None:
            low, high = one if isinstance(one, tuple) else (one, one)
            found.append(Day(MARCH + timedelta(days=number), band(low, high, BANDS), low))
    return found


def status(*ends: float | tuple[float, float] | None) -> tuple[str, date]:
    """The folded status and since when."""
    held = fold(days(*ends), BANDS)
    assert held is not None
    return held.status, held.since


def on(day: int) -> date:
    return date(2026, 3, day)


def test_the_first_known_band_is_the_status():
    assert status(85) == ("healthy", on(1))
    assert status(UNKNOWN) == ("unknown", on(1))
    assert status(UNKNOWN, UNKNOWN, 85) == ("healthy", on(3))


def test_no_day_at_all_gives_no_status():
    assert fold([], BANDS) is None


def test_a_worse_band_takes_effect_on_its_day():
    assert status(85, 60) == ("watch", on(2))
    assert status(85, 60, 10) == ("at_risk", on(3))
    assert status(85, 10) == ("at_risk", on(2))


def test_the_status_stays_since_its_first_day_while_the_band_stays():
    assert status(85, 60, 55, 65) == ("watch", on(2))


def test_better_needs_three_days_in_a_row_and_begins_on_the_third():
    assert status(10, 45, 45) == ("at_risk", on(1))
    assert status(10, 45, 45, 45) == ("watch", on(4))
    assert status(60, 75, 75) == ("watch", on(1))
    assert status(60, 75, 75, 75) == ("healthy", on(4))


@pytest.mark.parametrize("low", [44.99, 40.0])
def test_better_needs_a_low_end_five_points_above_the_edge(low: float):
    assert status(10, low, low, low, low, low) == ("at_risk", on(1))


def test_one_day_below_the_five_points_starts_the_three_days_again():
    assert status(10, 45, 45, 44.99, 45, 45) == ("at_risk", on(1))
    assert status(10, 45, 45, 44.99, 45, 45, 45) == ("watch", on(7))


def test_an_unknown_day_holds_the_status_and_starts_the_three_days_again():
    assert status(10, UNKNOWN, UNKNOWN) == ("at_risk", on(1))
    assert status(10, 45, 45, UNKNOWN, 45, 45) == ("at_risk", on(1))
    assert status(10, 45, 45, UNKNOWN, 45, 45, 45) == ("watch", on(7))


def test_a_day_that_was_not_judged_breaks_the_row():
    assert status(10, 45, 45, None, 45) == ("at_risk", on(1))
    assert status(10, 45, 45, None, 45, 45, 45) == ("watch", on(7))


def test_three_days_above_the_highest_edge_lead_from_at_risk_to_healthy():
    assert status(10, 75, 75, 75) == ("healthy", on(4))


def test_one_good_day_after_two_middling_ones_does_not_make_an_account_healthy():
    assert status(10, 46, 46, 71) == ("watch", on(4))
    assert status(10, 46, 46, 99) == ("watch", on(4))
    assert status(10, 46, 46, 99, 99, 99) == ("healthy", on(6))


def test_a_band_within_five_points_of_its_edge_is_reached_as_the_band_below():
    assert status(10, 72, 72, 72, 72, 72) == ("watch", on(4))


def test_it_is_told_since_when_a_status_is_held_over_unknown_days():
    held = fold(days(10, UNKNOWN, UNKNOWN), BANDS)
    after = fold(days(10, UNKNOWN, 10), BANDS)
    never = fold(days(UNKNOWN, UNKNOWN), BANDS)

    assert held is not None
    assert held.unknown_since == on(2)
    assert after is not None
    assert after.unknown_since is None
    assert never is not None
    assert never.unknown_since is None


ENDS = st.sampled_from([UNKNOWN, 10, 44.99, 45, 70, 74.99, 75])


@settings(max_examples=400)
@given(st.lists(ENDS, min_size=3, max_size=5), ENDS)
def test_a_status_is_better_than_the_day_before_only_after_three_days_that_earned_it(
    earlier: list[float | tuple[float, float]], last: float | tuple[float, float]
):
    """The fold said in other words: never worse than the day's band, never better too soon."""
    run = days(*earlier, last)
    before, after = fold(run[:-1], BANDS), fold(run, BANDS)
    assert before is not None
    assert after is not None

    today = run[-1]
    if today.band == "unknown":
        assert after.status == before.status
    elif before.status == "unknown":
        assert after.status == today.band
    else:
        assert SEVERITY[after.status] <= SEVERITY[today.band]
        if SEVERITY[after.status] > SEVERITY[before.status]:
            edge = {"watch": BANDS.watch, "healthy": BANDS.healthy}[after.status]
            assert len(run) >= 4
            assert all(day.band != "unknown" for day in run[-3:])
            assert all(day.low >= edge + 5 - 1e-9 for day in run[-3:])
