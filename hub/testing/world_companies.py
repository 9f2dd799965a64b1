"""The companies and people of a generated world, and the team that looks after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from .world import TOOLS, Company, Interval, Person, TeamMember, Tool
from .world_cast import (
    PERSONAS,
    Persona,
    Scenario,
    Setting,
    Trait,
    add_months,
    weekday_on_or_before,
)
from .world_names import (
    COUNTRIES,
    address,
    company_names,
    look_alike,
    person_name,
    shared_address,
    slug,
    spellings,
)

_EMPLOYEES = {
    "starter": (3, 20),
    "team": (15, 80),
    "business": (60, 240),
    "enterprise": (600, 4000),
}
_PEOPLE = {"starter": (2, 4), "team": (3, 7), "business": (4, 10), "enterprise": (8, 15)}
_BILLED_AGO = {"past_grace": (10, 22), "second": (4, 4), "first": (1, 2), "recovered": (6, 12)}
_FAR_RENEWAL = (135, 350)
_PROSPECT_STAGES = ("lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity")


@dataclass(frozen=True, slots=True)
class Story:
    """One company with its persona, and the days on which that persona's plot hangs."""

    company: Company
    persona: Persona
    traits: frozenset[Trait]
    last_login_on: date | None
    people: tuple[Person, ...] = ()

    @property
    def key(self) -> str:
        """The company's key."""
        return self.company.key


@dataclass(frozen=True, slots=True)
class _Dates:
    created_on: date
    signed_up_on: date | None = None
    left_on: date | None = None
    renewal_on: date | None = None
    interval: Interval | None = None


def team_of(setting: Setting, owners: int) -> tuple[TeamMember, ...]:
    """A lead, so many CSMs, and one CSM who has left."""
    chance = setting.chance("team")
    names: list[str] = []
    while len(names) < owners + 2:
        if (name := person_name(chance)) not in names:
            names.append(name)
    roles = ["team_lead"] + ["csm"] * (owners + 1)
    return tuple(
        TeamMember(f"t{i:02}", name, address(name, "hub-team.example"), role, i <= owners)
        for i, (name, role) in enumerate(zip(names, roles, strict=True))
    )


def stories_of(
    setting: Setting, scenario: Scenario, team: Sequence[TeamMember]
) -> tuple[Story, ...]:
    """Every company of the cast with its people; extra records of a company come last."""
    cast = [
        (part.persona, part.traits) for part in scenario.parts for _ in range(part.count)
    ]  # in the order of the parts: the keys depend on it
    names = company_names(setting.chance("names"), len(cast))
    stories: list[Story] = []
    for index, ((persona, traits), (name, industry)) in enumerate(zip(cast, names, strict=True)):
        if "lookalike" in traits:
            name = look_alike(stories[index % 7 + 1].company.name)
        stories.append(_story(setting, f"c{index + 1:03}", persona, traits, name, industry))
    stories += _extra_records(setting, stories)
    return tuple(
        replace(story, people=tuple(_people(setting, story)))
        for story in _owned(setting, _related(stories), team)
    )


def _story(
    setting: Setting, key: str, persona_name: str, traits: frozenset[Trait], name: str, trade: str
) -> Story:
    persona, chance = PERSONAS[persona_name], setting.chance(key, "company")
    plan = _plan(persona, traits, chance)
    dates, last_login_on = _dates(setting, persona, plan, chance)
    country = chance.choice(COUNTRIES)
    tools = _tools(persona_name, traits, chance)
    domains = () if "no_domain" in traits else _domains(name, chance)
    company = Company(
        key=key,
        name=name,
        names={tool: n for tool, n in spellings(name, country, chance).items() if tool in tools},
        domains=domains,
        contact_email=_contact(name, domains, traits, chance) if "billing" in tools else None,
        country=country,
        employees=chance.randint(*_EMPLOYEES[plan or "team"]) if chance.random() < 0.95 else None,
        industry=trade,
        plan=plan,
        stage=persona.stage,
        crm_stage=_crm_stage(persona_name, persona, chance),
        owner_key=None,
        in_tools=tools,
        ids_known=_ids_known(tools, domains, traits, chance),
        persona=persona_name,
        created_at=setting.at(dates.created_on, 8, chance.randrange(60)),
        signed_up_on=dates.signed_up_on,
        left_on=dates.left_on,
        renewal_on=dates.renewal_on,
        billing_interval=dates.interval,
        term_months=None if dates.interval is None else _term(persona, dates.interval),
        is_agency=persona_name == "agency",
    )
    return Story(company, persona, traits, last_login_on if "usage" in tools else None)


def _plan(persona: Persona, traits: frozenset[Trait], chance: Random) -> str | None:
    drawn = chance.choices(("starter", "team", "business"), (3, 5, 3))[0]
    if persona.tenure == (0, 0):
        return None
    return "enterprise" if "enterprise" in traits else drawn


def _term(persona: Persona, interval: Interval) -> int:
    return persona.term_months if interval == "year" else 1


def _dates(
    setting: Setting, persona: Persona, plan: str | None, chance: Random
) -> tuple[_Dates, date | None]:
    lead_days = timedelta(chance.randint(10, 90))
    if persona.tenure == (0, 0):
        return _Dates(created_on=setting.ago(chance.randint(5, 500))), None
    tenure = chance.randint(*persona.tenure)
    last_login = persona.last_login and setting.ago(chance.randint(*persona.last_login))
    if persona.stage == "former":
        last_seen = last_login or setting.last_day
        left_on = last_seen + timedelta(chance.randint(5, 20))
        signed_up_on = left_on - timedelta(tenure)
        dates = _Dates(signed_up_on - lead_days, signed_up_on, left_on, None, "month")
    elif _is_yearly(persona, plan, chance):
        renewal_on = setting.as_of + timedelta(chance.randint(*(persona.renews_in or _FAR_RENEWAL)))
        signed_up_on = _yearly_start(setting, renewal_on, persona.term_months, tenure)
        dates = _Dates(signed_up_on - lead_days, signed_up_on, None, renewal_on, "year")
    else:
        signed_up_on = _monthly_start(setting, persona, tenure, chance)
        dates = _Dates(signed_up_on - lead_days, signed_up_on, None, None, "month")
    return dates, last_login and weekday_on_or_before(last_login)


def _is_yearly(persona: Persona, plan: str | None, chance: Random) -> bool:
    by_chance = chance.random() < 0.35
    if persona.interval:
        return persona.interval == "year"
    return by_chance or plan == "enterprise"


def _yearly_start(setting: Setting, renewal_on: date, term_months: int, tenure: int) -> date:
    terms = 1
    while add_months(renewal_on, -term_months * terms) > setting.ago(max(100, tenure - 365)):
        terms += 1
    return add_months(renewal_on, -term_months * terms)


def _monthly_start(setting: Setting, persona: Persona, tenure: int, chance: Random) -> date:
    """A sign-up day; with dunning, one that puts the newest bill so many days ago."""
    if persona.dunning is None:
        return setting.ago(tenure)
    billed_on = setting.ago(chance.randint(*_BILLED_AGO[persona.dunning]))
    months = tenure // 30
    while add_months(billed_on, -months).day != billed_on.day:
        months += 1
    return add_months(billed_on, -months)


def _tools(persona: str, traits: frozenset[Trait], chance: Random) -> frozenset[Tool]:
    in_desk, in_billing = chance.random() < 0.08, chance.random() < 0.05
    tools: set[Tool] = set(TOOLS)
    if persona == "prospect":
        tools -= {"usage"} | (set() if in_desk else {"desk"})
        tools -= set() if in_billing else {"billing"}
    elif persona == "agency":
        tools = {"crm", "billing"}
    elif persona == "trial":
        tools = {"crm", "billing", "usage"}
    elif persona == "quiet":
        tools.discard("usage")
    if traits & {"agency_paid", "no_billing"}:
        tools.discard("billing")
    if traits & {"no_desk", "stray_desk"}:
        tools.discard("desk")
    return frozenset(tools)


def _domains(name: str, chance: Random) -> tuple[str, ...]:
    """The company's domain; every name has its own, so every domain has."""
    dashed = f"{slug(name)}.example"
    if chance.random() < 0.05:
        return (dashed, f"{slug(name)}-online.example")
    return (dashed,)


def _contact(
    name: str, domains: tuple[str, ...], traits: frozenset[Trait], chance: Random
) -> str | None:
    if not domains or "mailbox" in traits:
        return shared_address("office", name, chance)
    return f"{chance.choice(('billing', 'accounts', 'finance'))}@{domains[0]}"


def _crm_stage(name: str, persona: Persona, chance: Random) -> str:
    if name == "agency":
        return "other"
    if name == "trial":
        return "opportunity"
    if persona.stage == "customer":
        return "opportunity" if chance.random() < 0.06 else "customer"
    if persona.stage == "former":
        return chance.choice(("other", "customer"))
    return chance.choice(_PROSPECT_STAGES)


def _ids_known(
    tools: frozenset[Tool], domains: tuple[str, ...], traits: frozenset[Trait], chance: Random
) -> dict[Tool, bool]:
    """By chance, but surely where no domain could join the records."""
    odds: dict[Tool, float] = {"crm": 0.4, "desk": 0.5, "billing": 0.6, "usage": 0.7}
    known = {tool: chance.random() < odds[tool] for tool in TOOLS}
    for tool in TOOLS:
        known[tool] |= not domains or (tool == "billing" and "mailbox" in traits)
    if "billing" not in tools:
        known["crm"] = False
    return {tool: known[tool] for tool in TOOLS if tool in tools}


def _extra_records(setting: Setting, stories: Sequence[Story]) -> Iterator[Story]:
    """Second records of a company, and desk records that no id or domain ties to theirs."""
    number = len(stories)
    for story in stories:
        for trait in sorted(story.traits & {"stray_desk", "duplicate_crm", "duplicate_desk"}):
            number += 1
            tool: Tool = "crm" if trait == "duplicate_crm" else "desk"
            keeps_domain = trait == "duplicate_desk" or (tool == "crm" and number % 2 == 0)
            yield _extra(setting, f"c{number:03}", story, tool, keeps_domain)


def _extra(setting: Setting, key: str, story: Story, tool: Tool, keeps_domain: bool) -> Story:
    base, chance = story.company, setting.chance(key, "company")
    company = replace(
        base,
        key=key,
        names={tool: spellings(base.name, base.country, chance)[tool]},
        domains=base.domains if keeps_domain else (),
        contact_email=None,
        employees=None,
        plan=None,
        crm_stage="lead",
        in_tools=frozenset({tool}),
        ids_known={tool: False},
        persona="stray",
        created_at=base.created_at + timedelta(days=chance.randint(1, 9)),
        renewal_on=None,
        duplicate_of=base.key,
    )
    return Story(company, PERSONAS["stray"], frozenset(), None)


def _related(stories: Sequence[Story]) -> list[Story]:
    """The agency pays for its customers; subsidiaries belong to the first enterprise."""
    agency = next((s.key for s in stories if s.company.is_agency), None)
    parent = next((s.key for s in stories if "enterprise" in s.traits), None)
    return [
        replace(
            story,
            company=replace(
                story.company,
                payer_key=agency if "agency_paid" in story.traits else None,
                parent_key=parent if "subsidiary" in story.traits else None,
            ),
        )
        for story in stories
    ]


def _owned(
    setting: Setting, stories: Sequence[Story], team: Sequence[TeamMember]
) -> Iterator[Story]:
    """Problems are dealt out evenly, the rest by chance; some have nobody, or somebody who left."""
    csms = [m.key for m in team if m.role == "csm" and m.is_active]
    left = next(m.key for m in team if not m.is_active)
    load = dict.fromkeys(csms, 0)
    owner_of: dict[str, str | None] = {}
    for story in sorted(stories, key=lambda s: (not s.persona.causes, s.key)):
        weight = len(story.persona.causes) or int(story.company.persona in ("fading", "multi_year"))
        chance = setting.chance(story.key, "owner")
        if weight:
            owner_of[story.key] = min(csms, key=lambda key: (load[key], key))
            load[owner_of[story.key] or ""] += weight
        else:
            owner_of[story.key] = _any_owner(story, csms, left, chance)
    for story in stories:
        yield replace(story, company=replace(story.company, owner_key=owner_of[story.key]))


def _any_owner(story: Story, csms: Sequence[str], left: str, chance: Random) -> str | None:
    drawn, owner = chance.random(), chance.choice(csms)
    if story.persona.stage == "customer":
        return left if drawn < 0.05 else None if drawn < 0.08 else owner
    return None if drawn < 0.4 else owner


def _people(setting: Setting, story: Story) -> Iterator[Person]:
    company, chance = story.company, setting.chance(story.key, "people")
    names: list[str] = []
    count = chance.randint(*_PEOPLE.get(company.plan or "", (1, 3)))
    while len(names) < count:
        if (name := person_name(chance)) not in names:
            names.append(name)
    for index, name in enumerate(names):
        tools = _person_tools(company, index, chance)
        if not tools:
            continue
        email = (
            address(name, company.domains[0])
            if company.domains
            else shared_address(name, company.name, chance)
        )
        yield Person(
            key=f"{story.key}p{index + 1:02}",
            company_key=story.key,
            name=name,
            email=email,
            role="champion" if index == 0 else chance.choice(("admin", "billing", "user", "user")),
            verified=chance.random() < 0.85,
            in_tools=tools,
            created_at=company.created_at + timedelta(days=chance.randint(0, 4)),
        )


def _person_tools(company: Company, index: int, chance: Random) -> frozenset[Tool]:
    odds: dict[Tool, float] = {"crm": 0.65, "desk": 0.5, "usage": 0.75}
    drawn = {tool for tool, share in odds.items() if chance.random() < share or index == 0}
    return frozenset(drawn & company.in_tools)
