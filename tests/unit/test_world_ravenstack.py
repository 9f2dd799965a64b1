"""RavenStack arrives whole, moved by whole weeks, with its dirt."""

import re
from collections import Counter
from datetime import date, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from hub.testing import ravenstack
from hub.testing.scenarios import build
from hub.testing.world import World

AS_OF = date(2026, 11, 24)
BERLIN = ZoneInfo("Europe/Berlin")


@cache
def raven(as_of: date = AS_OF) -> World:
    return build("ravenstack", as_of=as_of)


@cache
def rows(name: str) -> tuple[ravenstack.Line, ...]:
    return tuple(ravenstack.lines(name))


def test_every_row_of_the_published_files_is_there():
    world = raven()

    assert [len(rows(n)) for n in ("accounts", "subscriptions", "support_tickets")] == [
        len(world.companies), len(world.contracts), len(world.tickets),
    ] == [500, 5000, 2000]  # fmt: skip
    assert len(world.usage) == len(rows("feature_usage")) == 25_000
    assert sum(truth.leaves_on is not None for truth in world.truth.values()) == 352


def test_usage_ids_that_stand_on_two_rows_are_kept_on_both():
    ids = Counter(row.key for row in raven().usage)

    assert sum(count == 2 for count in ids.values()) == 21
    assert len(ids) == 24_979


@pytest.mark.parametrize("as_of", [AS_OF + timedelta(days=n) for n in range(7)])
def test_the_last_day_falls_within_the_week_before_and_keeps_its_weekday(as_of: date):
    last = max(row.day for row in raven(as_of).usage)

    assert 1 <= (as_of - last).days <= 7
    assert last.weekday() == ravenstack.LAST_DAY.weekday()


def test_every_row_keeps_its_weekday():
    world = raven()

    published = [date.fromisoformat(r["usage_date"]).weekday() for r in rows("feature_usage")]
    opened = [date.fromisoformat(r["submitted_at"]).weekday() for r in rows("support_tickets")]
    assert [row.day.weekday() for row in world.usage] == published
    assert [t.opened_at.astimezone(BERLIN).weekday() for t in world.tickets] == opened


def test_amounts_are_exact_in_minor_units():
    contracts = {contract.key: contract for contract in raven().contracts}

    for row in rows("subscriptions"):
        contract = contracts[row["subscription_id"]]
        dollars = row["arr_amount"] if contract.interval == "year" else row["mrr_amount"]
        assert (contract.amount_minor, contract.currency) == (int(dollars) * 100, "USD")


def test_the_bills_of_fourteen_months_follow_from_the_contracts():
    world = raven()

    contracts = {contract.key: contract for contract in world.contracts}
    first = min(bill.created_at for bill in world.invoices).astimezone(BERLIN).date()
    assert first >= date(2025, 9, 24)
    assert all(b.total_minor == contracts[b.contract_key].amount_minor > 0 for b in world.invoices)
    assert not any(contracts[b.contract_key].status == "trialing" for b in world.invoices)
    assert max(b.created_at for b in world.invoices).astimezone(BERLIN).date() < AS_OF


def test_usage_before_the_subscription_and_tickets_before_sign_up_stay_as_they_are():
    world = raven()

    started = {c.key: c.started_at.astimezone(BERLIN).date() for c in world.contracts}
    signed = {c.key: c.signed_up_on for c in world.companies}
    early = sum(
        row.day < started[line["subscription_id"]]
        for row, line in zip(world.usage, rows("feature_usage"), strict=True)
    )
    before = sum(
        t.opened_at.astimezone(BERLIN).date() < signed[t.company_key] for t in world.tickets
    )
    assert early == round(0.766 * 25_000, -2) or 0.765 < early / 25_000 < 0.767
    assert 0.538 < before / 2_000 < 0.54


def test_churn_flags_that_disagree_with_the_subscriptions_are_told_by_the_crm():
    flagged = sum(row["churn_flag"] == "True" for row in rows("accounts"))

    told = Counter(company.crm_stage for company in raven().companies)

    assert told["other"] == flagged == 110
    assert all(company.stage == "customer" for company in raven().companies)


def test_records_are_joined_by_ids_that_tools_carry_and_by_nothing_invented():
    companies = raven().companies

    assert all(company.domains == () and company.contact_email is None for company in companies)
    assert all(company.ids_known["billing"] and company.ids_known["desk"] for company in companies)
    assert all(re.fullmatch(r"A-[0-9a-f]{6}", company.key) for company in companies)


def test_the_credit_and_the_licence_travel_with_the_data():
    page = ravenstack.files("hub.testing").joinpath("data", "ravenstack", "README.md").read_text()

    assert "River @ Rivalytics" in page
    assert "MIT" in page
