"""From values to one band: curves, weights, the interval, caps and edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.definitions import Bands, HealthModel, Input
from hub.score import Cap, Score, band, points, score

MODEL = HealthModel.model_validate(
    {
        "bands": {"healthy": 70, "watch": 40},
        "dimensions": {
            "usage": {
                "weight": 30,
                "inputs": {
                    "quiet_days": {"curve": "linear", "best": 0, "worst": 30, "share": 60},
                    "feature_days": {"curve": "step", "points": {0: 0, 4: 100}, "share": 40},
                },
            },
            "support": {
                "weight": 10,
                "inputs": {"tickets": {"curve": "linear", "best": 0, "worst": 10}},
            },
        },
    }
)
ALL = ("quiet_days", "feature_days", "tickets")
BEST = {"quiet_days": 0.0, "feature_days": 4.0, "tickets": 0.0}


def scored(effective: tuple[str, ...] = ALL, caps: tuple[Cap, ...] = (), **values: object) -> Score:
    """The score of an account at its best but for these values; None: missing."""
    return score(MODEL, {**BEST, **values}, caps, effective=effective)  # type: ignore[dict-item]


def ends(one: Score) -> tuple[float, float]:
    return one.low, one.high


# --- curves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"), [(-5, 100), (0, 100), (7.5, 75), (30, 0), (31, 0), (1000, 0)]
)
def test_a_line_runs_from_best_to_worst_and_clamps(value: float, expected: float):
    curve = Input(curve="linear", best=0, worst=30)

    assert points(curve, value) == expected


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (10, 0), (50, 50), (90, 100), (100, 100)])
def test_a_line_may_rise_as_well(value: float, expected: float):
    curve = Input(curve="linear", best=90, worst=10)

    assert points(curve, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(-1, 0), (0, 0), (0.9, 0), (1, 40), (3.99, 40), (4, 100), (30, 100)]
)
def test_a_step_begins_at_its_edge_and_the_last_one_at_or_below_counts(
    value: float, expected: float
):
    curve = Input(curve="step", points={4: 100, 0: 0, 1: 40})

    assert points(curve, value) == expected


def test_below_the_first_step_there_are_no_points():
    assert points(Input(curve="step", points={2: 50}), 1) == 0


# --- weights --------------------------------------------------------------------------------------


def test_an_input_weighs_its_share_of_its_dimension():
    parts = {part.measure: part.weight for part in scored().parts}

    assert parts == pytest.approx({"quiet_days": 18, "feature_days": 12, "tickets": 10})


def test_inputs_without_shares_weigh_the_same():
    inputs = {name: {"curve": "linear", "best": 0, "worst": 1} for name in "ab"}
    model = HealthModel.model_validate({"dimensions": {"x": {"weight": 8, "inputs": inputs}}})

    parts = score(model, {}, (), effective=("a", "b")).parts

    assert [part.weight for part in parts] == [4, 4]


def test_the_weight_of_a_source_that_is_not_connected_goes_to_the_others():
    whole = scored(tickets=10)
    without = scored(effective=("quiet_days", "feature_days"), tickets=10)

    assert ends(whole) == (75, 75)
    assert ends(without) == (100, 100)
    assert without.not_connected == ("support",)


def test_within_a_dimension_the_connected_inputs_take_over_its_whole_weight():
    one = scored(effective=("quiet_days", "tickets"), quiet_days=30)

    assert ends(one) == (25, 25)
    assert one.not_connected == ()


def test_with_no_connected_input_nothing_can_be_said():
    one = scored(effective=())

    assert ends(one) == (0, 100)
    assert one.band == "unknown"
    assert one.point is None
    assert one.confidence == 0
    assert one.not_connected == ("usage", "support")


# --- the interval ---------------------------------------------------------------------------------


def test_a_missing_input_is_counted_at_worst_and_at_best():
    one = scored(tickets=None)

    assert ends(one) == (75, 100)


def test_the_point_is_over_the_known_inputs_only():
    one = scored(quiet_days=15, feature_days=None, tickets=None)

    assert ends(one) == (22.5, 77.5)
    assert one.point == 50


def test_with_every_input_missing_the_interval_is_everything():
    one = scored(quiet_days=None, feature_days=None, tickets=None)

    assert ends(one) == (0, 100)
    assert one.band == "unknown"
    assert one.point is None


def test_confidence_is_the_covered_weight_times_the_surest_link():
    values = {**BEST, "tickets": None}

    one = score(MODEL, values, (), effective=ALL, link_confidence=0.9)

    assert one.confidence == pytest.approx(0.68)


def test_zero_is_a_value_and_nothing_is_missing():
    one = scored(feature_days=0)

    assert ends(one) == (70, 70)
    assert one.confidence == 1


# --- bands and rounding ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (70, 100, "healthy"),
        (69.99, 69.99, "watch"),
        (40, 69.99, "watch"),
        (39.99, 39.99, "at_risk"),
        (0, 39.99, "at_risk"),
        (69.99, 70, "unknown"),
        (39.99, 40, "unknown"),
        (0, 100, "unknown"),
    ],
)
def test_a_band_starts_at_its_edge_and_both_ends_must_agree(low: float, high: float, expected: str):
    assert band(low, high, Bands(healthy=70, watch=40)) == expected


@pytest.mark.parametrize(
    ("days", "low", "expected"),
    [(20.0, 70.0, "healthy"), (20.003, 70.0, "healthy"), (20.02, 69.97, "watch")],
)
def test_ends_are_rounded_to_two_places_before_the_band_is_given(
    days: float, low: float, expected: str
):
    """20 of 30 days on 18 of 40 points are 70 exactly; 20.003 are 69.9955."""
    one = scored(quiet_days=days)

    assert one.low == low
    assert one.band == expected


# --- caps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "end"), [("watch", 69.99), ("at_risk", 39.99)])
def test_a_true_cap_lowers_both_ends_below_the_edge(to: str, end: float):
    one = scored(caps=(Cap("x", to, True),))  # type: ignore[arg-type]

    assert ends(one) == (end, end)
    assert one.band == to
    assert one.point == end


@pytest.mark.parametrize(("to", "end"), [("watch", 69.99), ("at_risk", 39.99)])
def test_an_unknown_cap_lowers_the_low_end_only(to: str, end: float):
    one = scored(caps=(Cap("x", to, None),))  # type: ignore[arg-type]

    assert ends(one) == (end, 100)
    assert one.band == "unknown"


def test_a_false_cap_changes_nothing():
    assert ends(scored(caps=(Cap("x", "at_risk", False),))) == (100, 100)


def test_of_several_caps_the_lowest_counts():
    caps = (Cap("x", "at_risk", True), Cap("y", "watch", True), Cap("z", "watch", None))

    assert ends(scored(caps=caps)) == (39.99, 39.99)


def test_a_cap_never_raises_an_account_that_stands_lower():
    low = scored(quiet_days=30, feature_days=0, tickets=10, caps=(Cap("x", "watch", True),))

    assert ends(low) == (0, 0)


def test_a_true_cap_speaks_even_when_every_input_is_missing():
    one = scored(
        quiet_days=None, feature_days=None, tickets=None, caps=(Cap("x", "at_risk", True),)
    )

    assert one.band == "at_risk"


def test_a_cap_lies_below_the_edge_of_the_accounts_own_model():
    model = HealthModel.model_validate(
        {**MODEL.model_dump(), "bands": {"healthy": 80, "watch": 55}}
    )

    one = score(model, BEST, (Cap("x", "at_risk", True),), effective=ALL)

    assert ends(one) == (54.99, 54.99)
    assert one.band == "at_risk"


# --- losing evidence ------------------------------------------------------------------------------

VALUES = st.fixed_dictionaries({name: st.none() | st.floats(0, 40) for name in ALL})
HOLDS = st.sampled_from([True, False, None])


@given(VALUES, st.tuples(HOLDS, HOLDS), st.sampled_from([*ALL, "first cap", "second cap"]))
def test_losing_a_value_never_raises_the_low_end_nor_lowers_the_high_one(
    values: dict[str, float | None], holds: tuple[bool | None, bool | None], lost: str
):
    caps = [Cap("first cap", "watch", holds[0]), Cap("second cap", "at_risk", holds[1])]
    before = score(MODEL, values, caps, effective=ALL)

    fewer = {name: None if name == lost else value for name, value in values.items()}
    open_caps = [Cap(c.signal, c.to, None if c.signal == lost else c.holds) for c in caps]
    after = score(MODEL, fewer, open_caps, effective=ALL)

    assert after.low <= before.low
    assert after.high >= before.high
    assert after.band in (before.band, "unknown")
