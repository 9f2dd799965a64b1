"""Two laws over made-up accounts: losing evidence never makes one look healthier, and the same
facts say the same whatever order and database they came in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.store.tables import DesiredField, DesiredTask, Episode, Reading, Verdict

Make = Callable[..., Any]
TODAY = "2026-03-31"
KINDS = ("usage", "tickets", "billing")


def ago(days: int) -> str:
    return str(date.fromisoformat(TODAY) - timedelta(days=days))


def offsets(most: int, *, size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, most), max_size=size, unique=True)


COVER = st.sampled_from(["long", "long", "short", "stale", "lost", "none"])
FACTS = st.fixed_dictionaries(
    {
        "logins": offsets(20, size=2),
        "features": offsets(35, size=5),
        "tickets": offsets(65, size=9),
        "failed": offsets(12, size=3),
        "renewal": st.none() | st.integers(-5, 130),
        "employees": st.sampled_from([None, 10, 900]),
        "covered": st.fixed_dictionaries(dict.fromkeys(KINDS, COVER)),
    }
)


@pytest.fixture(scope="session")
def made(an_account: Make, a_bill: Make, covered: Make) -> Callable[..., Any]:
    """An account from generated numbers."""
    ways = {
        "long": [covered()],
        "short": [covered(since=ago(20))],
        "stale": [covered(until=ago(1))],
        "lost": [covered(basis="lost")],
        "none": [],
    }

    def make(name: str, facts: dict[str, Any]) -> Any:
        failed = [ago(days) for days in sorted(facts["failed"])]
        account = an_account(
            name,
            logins=[ago(days) for days in facts["logins"]],
            features=[ago(days) for days in facts["features"]],
            tickets=[ago(days) for days in facts["tickets"]],
            bills=[a_bill("91", failed)] if failed else [],
            employees=facts["employees"],
            renewal_on=None if facts["renewal"] is None else ago(-facts["renewal"]),
        )
        for kind, way in facts["covered"].items():
            account = account.with_coverage(kind, *ways[way])
        return account

    return make


@pytest.fixture(scope="module", autouse=True)
def short_memory() -> Iterator[None]:
    """Beginnings are looked for two days back: the laws are not about them, and sixty take time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.decide.episodes.LOOK_BACK_DAYS", 2)
        yield


# --- losing evidence ------------------------------------------------------------------------------


def losses(account: Any, covered: Make) -> dict[str, Any]:
    """The same account, each time with less known about one kind of source."""
    rows = {"usage": ("logins", "features"), "tickets": ("tickets",), "billing": ("bills",)}
    found = {}
    for kind in KINDS:
        sources = account.covered[kind]
        nothing = dict.fromkeys(rows[kind], ())
        fresh = [source for source in sources if source.until >= ago(0)]
        ways = {
            "aged": [covered(s.since, ago(1), s.basis, s.by) for s in sources],
            "unlinked": [covered(s.since, s.until, "lost", s.by) for s in sources],
            "known later": [covered(max(s.since, ago(3)), s.until, s.basis, s.by) for s in fresh],
            "half aged": [*sources, covered(until=ago(1), by="another")],
        }
        found |= {f"{kind} {way}": account.with_coverage(kind, *s) for way, s in ways.items()}
        found[f"{kind} gone"] = account.but(**nothing).with_coverage(kind)
    return {way: one.but(key=f"{account.key} {way}", records=()) for way, one in found.items()}


@settings(max_examples=8)
@given(st.lists(FACTS, min_size=4, max_size=4))
def test_removing_ageing_or_unlinking_a_source_never_makes_an_account_look_healthier(
    made: Make, covered: Make, neighbour: Any, shelf: Any, a_hub_on: Make,
    worlds: list[dict[str, Any]],
):  # fmt: skip
    """FEATURES 3.4, on the real SQL: the band stays or becomes unknown, the interval widens."""
    accounts = [made(f"Account {n}", facts) for n, facts in enumerate(worlds)]
    less = {account.key: losses(account, covered) for account in accounts}

    with shelf.database() as database:
        hub = a_hub_on(database).knows(*accounts, neighbour)
        hub.knows(*(one for ways in less.values() for one in ways.values())).decide(TODAY)
        said = {row["account_id"]: row for row in hub.rows(Verdict)}

    for key, way in ((key, way) for key, ways in less.items() for way in ways):
        before, after = said[key], said[f"{key} {way}"]
        assert after["low"] <= before["low"], way
        assert after["high"] >= before["high"], way
        assert after["band"] in (before["band"], "unknown"), way
        assert after["confidence"] <= before["confidence"], way


# --- order and database ---------------------------------------------------------------------------


def decided(hub: Any) -> list[Any]:
    """All that a decision says, but for the number of its run."""
    return [
        hub.rows(model, "run", "opened_run")
        for model in (Reading, Verdict, DesiredField, DesiredTask, Episode)
    ]


@settings(max_examples=6)
@given(st.lists(FACTS, min_size=1, max_size=4), st.integers(0, 10**6))
def test_the_order_in_which_facts_came_in_changes_nothing(
    made: Make, shelf: Any, a_hub_on: Make, worlds: list[dict[str, Any]], seed: int
):
    """R21."""
    accounts = [made(f"Account {n}", facts) for n, facts in enumerate(worlds)]
    shuffled = [*accounts]
    Random(seed).shuffle(shuffled)

    with shelf.database() as one, shelf.database() as other:
        first = a_hub_on(one).knows(*accounts)
        second = a_hub_on(other).knows(*shuffled, shuffled=Random(seed).shuffle)
        first.decide(TODAY)
        second.decide(TODAY)

        assert decided(second) == decided(first)


def test_a_past_day_says_the_same_in_any_order_and_on_either_database(
    a_hub: Make, an_account: Make, a_bill: Make, a_contract: Make, covered: Make, database_url: str
):
    """R21: readings, scores, reasons, tasks and their proof, word for word."""
    days = [ago(n) for n in range(8)]
    ash = an_account(
        "Ash",
        logins=[ago(16), ago(30)],
        people=[(ago(3), "bo"), (ago(3), "ann")],
        tickets=[*days, *days],
        employees=700,
        renewal_on=ago(-100),
        contracts=[a_contract(100_038, "year"), a_contract(999, "week"), a_contract(7, "day")],
    )
    beech = an_account("Beech & Söhne", logins=[ago(2)], features=days).with_coverage(
        "tickets", covered(since=ago(40)), covered(by="second", until=ago(1))
    )
    bills = [
        a_bill("90", [ago(12), ago(5)], pays_for=[ash.key, beech.key]),
        a_bill("9", [ago(5)], settled=ago(3), pays_for=[beech.key]),
    ]
    agency = an_account("Agency", kind="payer", bills=bills)
    reference = a_hub().knows(ash, beech, agency)
    reference.decide(TODAY, as_of=ago(1))

    other = a_hub(url=database_url)
    other.knows(agency, beech, ash, shuffled=Random(7).shuffle).decide(TODAY, as_of=ago(1))

    assert all(decided(reference)[:4])
    assert decided(other) == decided(reference)
