"""What HubSpot's rows mean: plain rows in, records out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.hubspot.mapping import (
    EXPONENTS,
    minor,
    to_account,
    to_deal,
    to_owner,
    to_person,
)
from hub import AccountRef, RecordRejected


def a_row(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "9000000001", "url": None, "properties": properties, **more}


def a_link(company: str, *types: int) -> dict[str, Any]:
    specs = [{"category": "HUBSPOT_DEFINED", "typeId": number} for number in types]
    return {"toObjectId": company, "associationTypes": specs}


def a_deal(stage: dict[str, str], **properties: str) -> dict[str, Any]:
    portal = {"companyCurrency": "EUR", "timeZone": "America/New_York"}
    meaning = {"label": "Signed", "metadata": stage}
    return a_row(properties, stage=meaning, portal=portal, companies=[a_link("1", 341, 5)])


def test_a_company_maps_with_all_its_domains_and_what_was_merged_into_it():
    row = a_row(
        {
            "name": "Birch & Vale",
            "domain": "birchvale.example",
            "hs_additional_domains": "birch.example;birchvale.example",
            "lifecyclestage": "customer",
            "hubspot_owner_id": "70000001",
            "country": "DE",
            "numberofemployees": "120",
            "industry": "Retail",
            "hs_parent_company_id": "9000000009",
            "hs_merged_object_ids": "11;12",
            "createdate": "2025-06-01T09:00:00.000Z",
            "hs_lastmodifieddate": "2026-03-01T10:20:30.456Z",
        }
    )

    account = to_account(row)

    assert account.domains == ("birchvale.example", "birch.example")
    assert (account.name, account.stage, account.employees) == ("Birch & Vale", "customer", 120)
    assert (account.owner_id, account.parent_id) == ("70000001", "9000000009")
    assert account.merged_ids == ("11", "12")
    assert account.created_at == datetime(2025, 6, 1, 9, tzinfo=UTC)


def test_an_empty_property_is_unknown_and_not_zero_or_empty_text():
    account = to_account(a_row({"name": "", "domain": None, "numberofemployees": ""}))

    assert (account.name, account.domains, account.employees) == (None, (), None)


def test_a_contact_belongs_to_the_company_marked_as_primary():
    links = [a_link("1", 279), a_link("2", 279, 1)]

    person = to_person(a_row({"firstname": "Lene", "email": "lene@birch.example"}, companies=links))

    assert person.account == AccountRef(id="2", object="companies")
    assert person.name == "Lene"


def test_a_contact_with_only_one_company_belongs_to_it_without_a_mark():
    person = to_person(a_row({}, companies=[a_link("1", 279)]))

    assert person.account == AccountRef(id="1", object="companies")


@pytest.mark.parametrize("links", [[], [a_link("1", 279), a_link("2", 279)]])
def test_a_contact_without_a_clear_company_is_left_unassigned(links: list[dict[str, Any]]):
    person = to_person(a_row({"email": "somebody@birch.example"}, companies=links))

    assert person.account is None


@pytest.mark.parametrize(
    ("stage", "is_closed", "is_won"),
    [
        ({"isClosed": "true", "probability": "1.0"}, True, True),
        ({"isClosed": "true", "probability": "0.0"}, True, False),
        ({"isClosed": "false", "probability": "0.9"}, False, False),
        ({"isClosed": "true", "isWon": "true", "probability": "0.5"}, True, True),
        ({}, False, False),
    ],
)
def test_won_and_closed_come_from_what_the_stage_says(
    stage: dict[str, str], is_closed: bool, is_won: bool
):
    deal = to_deal(a_deal(stage, dealname="Renewal", dealstage="closedwon"))

    assert (deal.is_closed, deal.is_won) == (is_closed, is_won)


def test_a_deal_closes_on_the_day_of_the_accounts_own_zone():
    deal = to_deal(a_deal({}, closedate="2026-03-01T03:30:00Z"))

    assert deal.closed_on == date(2026, 2, 28)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("1234.5", "EUR", 123450),
        ("0.1", "USD", 10),
        ("0", "EUR", 0),
        ("-12.30", "EUR", -1230),
        ("1500", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("9007199254740993.01", "EUR", 900719925474099301),
    ],
)
def test_an_amount_becomes_minor_units_exactly_R27(amount: str, currency: str, expected: int):
    deal = to_deal(a_deal({}, amount=amount, deal_currency_code=currency))

    assert (deal.amount_minor, deal.currency) == (expected, currency)


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_every_currency_keeps_its_smallest_unit_R27(currency: str):
    smallest = Decimal(1).scaleb(-EXPONENTS[currency])

    assert minor(smallest, currency) == 1


def test_an_amount_without_a_currency_of_its_own_is_in_the_accounts_currency():
    deal = to_deal(a_deal({}, amount="10"))

    assert (deal.amount_minor, deal.currency) == (1000, "EUR")


def test_a_deal_without_an_amount_has_none():
    assert to_deal(a_deal({}, amount="")).amount_minor is None


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"amount": "ten"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "10.005"}, "amount"),
        ({"amount": "10.5", "deal_currency_code": "JPY"}, "amount"),
        ({"amount": "10", "deal_currency_code": "ABC"}, "deal_currency_code"),
        ({"closedate": "soon"}, "closedate"),
    ],
)
def test_an_odd_deal_is_set_aside_with_the_field_that_is_wrong(
    properties: dict[str, str], named: str
):
    with pytest.raises(RecordRejected, match=f"^{named} is "):
        to_deal(a_deal({}, **properties))


def test_an_odd_number_of_employees_is_named():
    with pytest.raises(RecordRejected, match="numberofemployees is 'many'"):
        to_account(a_row({"numberofemployees": "many"}))


def test_a_deactivated_owner_is_inactive():
    row = {"id": "70000002", "firstName": "Per", "lastName": "Dahl", "archived": True}

    owner = to_owner(row)

    assert (owner.name, owner.is_active) == ("Per Dahl", False)
