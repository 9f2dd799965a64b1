"""Named worlds: `build("demo", as_of=…)` gives the same companies to every vendor's stand-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from ..errors import UsageError
from . import ravenstack
from .world import TOOLS, Tool, Truth, World
from .world_cast import SCENARIOS, ZONE, Scenario, Setting
from .world_companies import Story, stories_of, team_of
from .world_money import deals_of, money_of
from .world_support import loose_tickets, tickets_of
from .world_usage import usage_of

NAMES: Mapping[str, str] = {
    "small": "25 companies, every shipped signal fires at least once; for quick runs",
    "demo": "about 350 companies over 14 months, with all the ways in which tools disagree",
    "ravenstack": "500 accounts of a published synthetic data set, dirt and all",
}
"""Every scenario with one line that says what it is for."""


def build(scenario: str, *, seed: int = 7, as_of: date) -> World:
    """The world of this name on the evening before `as_of`; the same for the same seed."""
    if scenario == "ravenstack":
        return ravenstack.world(seed=seed, as_of=as_of)
    if scenario not in SCENARIOS:
        raise UsageError(
            f"There is no scenario {scenario!r}", do=f"Take one of {', '.join(sorted(NAMES))}"
        )
    chosen = SCENARIOS[scenario]
    return _generated(Setting(scenario, seed, as_of, chosen.months), chosen)


def _generated(setting: Setting, scenario: Scenario) -> World:
    team = team_of(setting, scenario.owners)
    stories = stories_of(setting, scenario, team)
    money = {story.key: money_of(setting, story) for story in stories}
    strangers, loose = loose_tickets(setting, scenario.loose_tickets, stories)
    contracts = {key: each.contract for key, each in money.items() if each}
    return World(
        scenario=setting.scenario,
        seed=setting.seed,
        as_of=setting.as_of,
        zone=ZONE,
        currency="EUR",
        team=team,
        companies=tuple(story.company for story in stories),
        people=tuple(person for story in stories for person in story.people) + strangers,
        contracts=tuple(contracts.values()),
        deals=tuple(d for s in stories for d in deals_of(setting, s, contracts.get(s.key))),
        invoices=tuple(invoice for each in money.values() if each for invoice in each.invoices),
        tickets=tuple(t for story in stories for t in tickets_of(setting, story)) + loose,
        usage=tuple(day for story in stories for day in usage_of(setting, story)),
        truth=_truths(setting, stories),
    )


def _truths(setting: Setting, stories: Sequence[Story]) -> dict[str, Truth]:
    records: dict[str, set[tuple[Tool, str]]] = {}
    for story in stories:
        home = story.company.duplicate_of or story.key
        records.setdefault(home, set()).update((tool, story.key) for tool in story.company.in_tools)
    truths = {
        story.key: _truth(setting, story, frozenset(records[story.key]))
        for story in stories
        if story.company.duplicate_of is None
    }
    return truths | {
        story.key: truths[story.company.duplicate_of]
        for story in stories
        if story.company.duplicate_of
    }


def _truth(setting: Setting, story: Story, same_as: frozenset[tuple[Tool, str]]) -> Truth:
    """The status is certain where a cap sets it or all four tools speak; else it is None."""
    company, persona = story.company, story.persona
    is_certain = persona.status == "at_risk" or company.in_tools == frozenset(TOOLS)
    chance = setting.chance(story.key, "fate")
    leaves_on = company.left_on
    if persona.status == "at_risk" and chance.random() < 0.6:
        leaves_on = setting.as_of + timedelta(days=chance.randint(20, 90))
    return Truth(
        same_as=same_as,
        lifecycle=company.stage,
        status=persona.status if is_certain else None,
        causes=persona.causes,
        leaves_on=leaves_on,
    )
