"""docs/health.md tells the shipped defaults as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.config import Config
from hub.decide.episodes import LOOK_BACK_DAYS
from hub.decide.evaluate import registry
from hub.definitions import Dimension, Input
from hub.score import BETTER_DAYS, BETTER_POINTS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "health.md").read_text("utf-8")


@pytest.fixture(scope="module")
def shipped(a_config: Callable[..., Config]) -> Config:
    return a_config()


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first heading is this, without its head."""
    [head] = [m.start() for m in re.finditer(rf"^\| {first} \|", PAGE, re.MULTILINE)]
    lines = PAGE[head:].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def ends(curve: Input) -> tuple[str, str]:
    """Where a curve gives 100 points, and where it gives none."""
    if curve.curve == "linear":
        return f"at {curve.best:g} or less", f"at {curve.worst:g} or more"
    between = {at: worth for at, worth in (curve.points or {}).items() if 0 < worth < 100}
    best = min(at for at, worth in (curve.points or {}).items() if worth == 100)
    steps = ", ".join(f"from {at:g}: {worth:g}" for at, worth in between.items())
    return f"from {best:g}", f"below {min(between):g} ({steps})"


def inputs(name: str, side: Dimension) -> Iterator[list[str]]:
    for measure, curve in side.inputs.items():
        best, worst = ends(curve)
        share = f"{100 * side.share(measure):g} %"
        yield [name, f"{side.weight:g}", f"`{measure}`", best, worst, share]


def test_the_inputs_of_the_score_stand_on_the_page(shipped: Config):
    [model] = shipped.definitions.health.values()

    rows = [row for name, side in model.dimensions.items() for row in inputs(name, side)]

    assert table("side") == rows


def test_every_shipped_signal_stands_on_the_page_with_its_numbers_filled_in(shipped: Config):
    known = registry(shipped)

    rows = []
    for signal in shipped.definitions.signals.values():
        when = f"`{known.condition(signal, None).text}`"
        own = [f"{name}: `{known.condition(signal, name).text}`" for name in signal.by_segment]
        rows.append(
            [
                f"`{signal.name}`",
                f"{when} ({', '.join(own)})" if own else when,
                (signal.caps or "").replace("_", " "),
                signal.cause if signal.opens else "",
            ]
        )

    assert sorted(table("signal")) == sorted(rows)


def test_the_bands_and_their_edges_stand_on_the_page(shipped: Config):
    [model] = shipped.definitions.health.values()
    healthy, watch = f"{model.bands.healthy:g}", f"{model.bands.watch:g}"

    rows = {row[0]: row[1] for row in table("band")}

    assert rows["healthy"] == f"{healthy} or more"
    assert rows["watch"] == f"{watch} or more, and below {healthy}"
    assert rows["at risk"] == f"below {watch}"


def test_what_better_takes_stands_on_the_page(shipped: Config):
    [model] = shipped.definitions.health.values()
    edges = [f"{edge + BETTER_POINTS:g}" for edge in (model.bands.watch, model.bands.healthy)]

    assert f"**Better takes {BETTER_POINTS:g} points and {BETTER_DAYS} days.**" in PAGE
    assert f"{edges[0]} for watch, {edges[1]} for healthy" in PAGE
    assert f"at most {LOOK_BACK_DAYS} days back" in PAGE


@pytest.mark.parametrize(
    "words",
    ["no usage is linked", "the link to usage was lost", "usage is stale"],
)
def test_a_gap_reads_on_the_page_as_it_does_in_a_tool(
    judge: Callable[..., Any], an_account: Callable[..., Any], covered: Callable[..., Any],
    words: str,
):  # fmt: skip
    ways = {
        "no usage is linked": (),
        "the link to usage was lost": (covered(basis="lost"),),
        "usage is stale": (covered(until="2026-03-01"),),
    }

    said = judge(an_account().with_coverage("usage", *ways[words]), "2026-03-31")

    assert said.because == [f"Not known: {words}"]
    assert f'"{words}"' in PAGE
