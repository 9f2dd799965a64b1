"""The seeded worlds are reproducible, and hold exactly the problems they promise."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from hub.errors import UsageError
from hub.testing.scenarios import build
from hub.testing.world import LOGIN, World
from hub.testing.world_cast import PERSONAS
from hub.testing.world_names import PROVIDERS

AS_OF = date(2026, 11, 24)
A_WEEK = [AS_OF + timedelta(days=n) for n in range(7)]
MONTH_ENDS = [date(2026, 3, 1), date(2026, 3, 31), date(2028, 2, 29), date(2027, 1, 1)]
BERLIN = ZoneInfo("Europe/Berlin")


@cache
def world(scenario: str, as_of: date = AS_OF, seed: int = 7) -> World:
    return build(scenario, seed=seed, as_of=as_of)


def plain(value: object) -> object:
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in sorted(value.items())}
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return str(value)


def digest(of: World) -> str:
    return hashlib.sha256(json.dumps(plain(of), sort_keys=True).encode()).hexdigest()


def customers(of: World) -> list[str]:
    return [c.key for c in of.companies if c.stage == "customer" and c.duplicate_of is None]


def days_ago(of: World, at: datetime) -> int:
    return (of.as_of - at.astimezone(BERLIN).date()).days


def test_same_scenario_seed_and_day_give_the_same_world_in_another_process():
    script = (
        f"import sys; sys.path.insert(0, {__file__.rsplit('/', 1)[0]!r})\n"
        "import test_world_scenarios as t\n"
        "print(t.digest(t.build('small', seed=7, as_of=t.AS_OF)))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "4242", "PYTHONPATH": ":".join(sys.path)},
    )

    assert ran.stdout.strip() == digest(world("small"))


def test_another_seed_gives_other_companies():
    mine, other = world("small"), world("small", seed=8)

    assert digest(mine) != digest(other)
    assert mine.companies[1].name != other.companies[1].name


def test_an_unknown_scenario_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"demo, ravenstack, small"):
        build("tiny", as_of=AS_OF)


def test_demo_is_a_crm_of_several_hundred_companies_on_example_domains():
    demo = world("demo")

    domains = [domain for company in demo.companies for domain in company.domains]
    assert len(demo.companies) >= 300
    assert 180 <= len(customers(demo)) <= 220
    assert all(domain.endswith(".example") for domain in domains)
    assert sum(c.name == "Birch & Vale" for c in demo.companies) == 1


def test_history_reaches_fourteen_months_back_and_ends_on_the_evening_before():
    demo = world("demo")

    usage_days = [row.day for row in demo.usage]
    instants = [t.opened_at for t in demo.tickets] + [i.created_at for i in demo.invoices]
    instants += [t.solved_at for t in demo.tickets if t.solved_at]
    instants += [a.at for i in demo.invoices for a in i.attempts]
    instants += [each.created_at for each in (*demo.companies, *demo.people, *demo.deals)]
    midnight = datetime(2026, 11, 24, tzinfo=BERLIN)
    assert min(usage_days) == date(2025, 9, 24)
    assert max(usage_days) == date(2026, 11, 23)
    assert max(instants) < midnight
    assert min(i.created_at for i in demo.invoices) < midnight - timedelta(days=400)


def test_every_persona_is_played_in_demo():
    assert {company.persona for company in world("demo").companies} == set(PERSONAS)


def test_every_kind_of_problem_is_in_small_with_few_companies():
    small = world("small")

    causes = Counter(cause for truth in small.truth.values() for cause in truth.causes)
    assert len(small.companies) == 25
    assert set(causes) == {"usage", "support", "payment", "renewal"}
    assert sum(causes.values()) <= 12


def test_problems_stay_within_what_a_team_can_carry():
    demo = world("demo")

    load: Counter[str | None] = Counter()
    for key in customers(demo):
        load[demo.company(key).owner_key] += len(demo.truth[key].causes)
    status = Counter(demo.truth[key].status for key in customers(demo))
    assert 35 <= sum(load.values()) <= 50
    assert max(load.values()) <= 5
    assert sum(1 for owner, count in load.items() if owner and count) >= 10
    assert 25 <= status["at_risk"] <= 35


def test_nearly_all_customers_have_a_usage_link():
    demo = world("demo")

    unlinked = [key for key in customers(demo) if "usage" not in demo.company(key).in_tools]

    assert 0 < len(unlinked) <= 0.15 * len(customers(demo))


def test_the_agency_pays_for_nine_customers():
    demo = world("demo")

    agency = next(company for company in demo.companies if company.is_agency)
    paid_for = {c.company_key for c in demo.contracts if c.payer_key == agency.key}
    assert len(paid_for) == 9
    assert agency.key not in paid_for
    assert all("billing" not in demo.company(key).in_tools for key in paid_for)


def test_the_truth_joins_every_record_of_one_company_and_no_other():
    demo = world("demo")

    records = [(tool, c.key) for c in demo.companies for tool in c.in_tools]
    homes = {c.key for c in demo.companies if c.duplicate_of is None}
    told = Counter(record for key in homes for record in demo.truth[key].same_as)
    assert told == Counter(records)
    assert sum(c.duplicate_of is not None for c in demo.companies) == 12


def test_look_alike_names_are_different_companies_with_domains_of_their_own():
    demo = world("demo")

    alike = [c for c in demo.companies if c.name.endswith(" Group")]
    domains = Counter(d for c in demo.companies if not c.duplicate_of for d in c.domains)
    assert len(alike) == 3
    assert max(domains.values()) == 1


def test_tools_spell_one_company_in_three_ways():
    demo = world("demo")

    spelled = [set(c.names.values()) for c in demo.companies if len(c.in_tools) == 4]

    assert sum(len(names) >= 4 for names in spelled) > len(spelled) / 3


@pytest.mark.parametrize("scenario", ["small", "demo"])
def test_no_address_could_belong_to_a_person(scenario: str):
    made = world(scenario)

    addresses = [p.email for p in made.people] + [m.email for m in made.team]
    addresses += [c.contact_email for c in made.companies if c.contact_email]
    real = [a for a in addresses if not a.endswith(".example")]
    assert real
    assert all(a.startswith("fictional-") and a.split("@")[1] in PROVIDERS for a in real)


def test_use_follows_the_week():
    by_weekday = Counter(row.day.weekday() for row in world("demo").usage)

    weekend = by_weekday[5] + by_weekday[6]

    assert 0 < weekend < 0.05 * by_weekday.total()


@pytest.mark.parametrize("as_of", A_WEEK + MONTH_ENDS)
def test_logins_end_where_the_personas_say(as_of: date):
    small = world("small", as_of)

    last = {row.company_key: row.day for row in small.usage if row.event == LOGIN}
    ago = {key: (as_of - day).days for key, day in last.items()}
    by_persona = {c.key: c.persona for c in small.companies}
    assert all(15 <= ago[k] <= 45 for k, p in by_persona.items() if p == "inactive")
    assert all(10 <= ago[k] <= 13 for k, p in by_persona.items() if p == "fading")
    assert all(1 <= ago[k] <= 3 for k, p in by_persona.items() if p == "healthy")
    assert not any(k in ago for k, p in by_persona.items() if p == "quiet")


@pytest.mark.parametrize("as_of", A_WEEK + MONTH_ENDS)
def test_only_a_ticket_storm_doubles_the_tickets_of_thirty_days(as_of: date):
    demo = world("demo", as_of)

    recent: Counter[str | None] = Counter()
    before: Counter[str | None] = Counter()
    for ticket in demo.tickets:
        ago = days_ago(demo, ticket.opened_at)
        recent[ticket.company_key] += 1 <= ago <= 30
        before[ticket.company_key] += 31 <= ago <= 60
    spikes = {key for key in recent if recent[key] >= 4 and recent[key] >= 2 * before[key]}
    assert spikes == {c.key for c in demo.companies if "support" in demo.truth[c.key].causes}


@pytest.mark.parametrize("as_of", A_WEEK + MONTH_ENDS)
def test_unpaid_tried_invoices_are_the_payment_problems(as_of: date):
    demo = world("demo", as_of)

    tried = {i.company_key: i for i in demo.invoices if i.status == "open" and i.attempts}
    past_grace = {key for key, i in tried.items() if days_ago(demo, i.attempts[0].at) > 7}
    second = {key for key, i in tried.items() if len(i.attempts) == 2}
    persona = {c.key: c.persona for c in demo.companies}
    assert set(tried) == {k for k, truth in demo.truth.items() if "payment" in truth.causes}
    assert past_grace == {k for k, p in persona.items() if p in ("failing_payments", "in_trouble")}
    assert second == {k for k, p in persona.items() if p == "second_failure"}
    assert all(i.remaining_minor == i.total_minor > 0 for i in tried.values())


def test_payments_recover_after_a_failed_attempt():
    demo = world("demo")

    recovered = [
        i for i in demo.invoices if i.status == "paid" and any(not a.succeeded for a in i.attempts)
    ]

    assert {"recovering_payment"} <= {demo.company(i.company_key).persona for i in recovered}
    assert all(i.attempts[-1].succeeded and i.remaining_minor == 0 for i in recovered)


@pytest.mark.parametrize("as_of", A_WEEK + MONTH_ENDS)
def test_yearly_renewals_within_the_window_are_the_renewal_problems(as_of: date):
    demo = world("demo", as_of)

    ahead = {c.key: (c.renewal_on - as_of).days for c in demo.companies if c.renewal_on}
    due = {
        key
        for key, days in ahead.items()
        if days <= (120 if demo.company(key).plan == "enterprise" else 90)
    }
    assert due == {key for key, truth in demo.truth.items() if "renewal" in truth.causes}
    assert min(ahead.values()) > 0
    assert max(ahead.values()) > 270


def test_a_yearly_contract_ends_its_period_on_the_renewal_day():
    demo = world("demo")

    pairs = [
        (contract.period_ends_at.astimezone(BERLIN).date(), demo.company(c).renewal_on)
        for contract in demo.contracts
        if contract.interval == "year" and (c := contract.company_key)
    ]

    assert len(pairs) > 30
    assert all(ends_on == renewal_on for ends_on, renewal_on in pairs)


def test_records_name_only_keys_that_exist():
    demo = world("demo")

    companies = {c.key for c in demo.companies}
    people = {p.key for p in demo.people}
    contracts = {c.key for c in demo.contracts}
    assert {i.contract_key for i in demo.invoices} <= contracts
    assert {i.payer_key for i in demo.invoices} <= companies
    assert {t.person_key for t in demo.tickets} - {None} <= people
    assert {t.company_key for t in demo.tickets} - {None} <= companies
    assert {(row.company_key) for row in demo.usage} <= companies
    assert {d.owner_key for d in demo.deals} - {None} <= {m.key for m in demo.team}
    assert sum(t.company_key is None for t in demo.tickets) == 30


def test_keys_and_usage_days_are_unique():
    demo = world("demo")

    groups = (demo.companies, demo.people, demo.contracts, demo.deals, demo.invoices, demo.tickets)
    doubles = [len(group) - len({each.key for each in group}) for group in groups]
    days = {(row.company_key, row.person_key, row.day, row.event) for row in demo.usage}

    assert doubles == [0] * len(groups)
    assert len(days) == len(demo.usage)
