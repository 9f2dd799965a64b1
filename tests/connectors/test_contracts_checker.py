"""The checker sees each way to break a contract, and the carried cuts are what they claim to be."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import contracts
import pytest
from vendor_contracts import Contract, overlay_of

from hub.testing.faults import Fault
from hub.testing.kit import Call, Exchange, Headers, Reply

SPECS = os.environ.get("HUB_VENDOR_SPECS")
TRUSTED = ("VENDORS ", "README, ", "hubspot-api-client 12.0.0, ", "zenpy 2.0.57, ")
COMPANIES = "/crm/objects/2026-03/companies"
FORM = Headers([("Content-Type", "application/x-www-form-urlencoded")])
JSON = Headers([("Content-Type", "application/json; charset=utf-8")])
OURS = Headers([("User-Agent", "retention-hub/0.1")])

A_COMPANY: dict[str, Any] = {
    "id": "1",
    "properties": {"name": "Birch & Vale", "domain": None},
    "createdAt": "2026-03-04T12:00:00.000Z",
    "updatedAt": "2026-03-04T12:00:00.000Z",
    "archived": False,
}


def problems(vendor: str, call: Call, answer: object, status: int = 200) -> str:
    reply = Reply(status, answer)
    exchange = Exchange(vendor, call, reply, reply.content(), None)
    return "; ".join(Contract(vendor).problems(exchange))


def read_company(
    answer: object, status: int = 200, query: Mapping[str, list[str]] | None = None
) -> str:
    return problems("hubspot", Call("GET", f"{COMPANIES}/1", query or {}), answer, status)


def test_what_the_vendor_does_is_no_breach():
    asked = {"properties": ["name,domain"], "archived": ["false"]}

    said = read_company(A_COMPANY, query=asked)

    assert said == ""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"id": 1}, "id: 1 is not of type 'string'"),
        ({"createdAt": "yesterday"}, "createdAt: 'yesterday' is not a 'date-time'"),
        ({"archived": None}, "archived: None is not of type 'boolean'"),
        ({"health": "good"}, "'health' was unexpected"),
        ({"properties": {"name": 5}}, "properties.name: 5 is not"),
    ],
)
def test_an_answer_of_another_shape_is_a_breach(changed: dict[str, Any], told: str):
    answer = {**A_COMPANY, **changed}

    said = read_company(answer)

    assert told in said


def test_a_missing_field_is_a_breach():
    answer = {name: value for name, value in A_COMPANY.items() if name != "updatedAt"}

    said = read_company(answer)

    assert "'updatedAt' is a required property" in said


def test_a_row_that_differs_from_the_others_only_in_kind_is_seen_among_them():
    rows = [{**A_COMPANY, "id": str(number)} for number in range(100)]
    rows[57]["id"] = 57

    said = problems("hubspot", Call("GET", COMPANIES), {"results": rows})

    assert "results.57.id: 57 is not of type 'string'" in said


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"archived": ["maybe"]}, "?archived at as a whole: 'maybe' is not one of"),
        ({"colour": ["red"]}, "no query parameter colour"),
    ],
)
def test_a_query_that_the_vendor_does_not_know_is_a_breach(query: dict[str, list[str]], told: str):
    said = read_company(A_COMPANY, query=query)

    assert told in said


def test_a_status_that_the_vendor_does_not_answer_is_a_breach():
    said = read_company(A_COMPANY, 202)

    assert "the answer 202 is not foreseen" in said


def test_a_refusal_in_another_shape_than_the_vendors_is_a_breach():
    said = read_company({"error": "not here"}, 404)

    assert "'message' is a required property" in said


def test_an_address_that_the_vendor_does_not_have_is_a_breach_also_when_it_is_refused():
    call = Call("GET", "/crm/objects/2026-03/companies/1/health", headers=OURS)

    said = problems("hubspot", call, {"message": "resource not found"}, 404)

    assert said == f"GET {call.path} (404) is no endpoint"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"properties": {"name": "A"}}, "'associations' is a required property"),
        ({"properties": {"name": 5}, "associations": []}, "properties.name: 5 is not"),
        ({"properties": {}, "associations": [], "id": "1"}, "'id' was unexpected"),
    ],
)
def test_a_body_of_another_shape_is_a_breach_unless_it_is_refused(sent: object, told: str):
    call = Call("POST", COMPANIES, headers=JSON, body=json.dumps(sent).encode())

    taken = problems("hubspot", call, A_COMPANY, 201)
    refused = problems("hubspot", call, {"message": "no"}, 400)

    assert told in taken
    assert refused == ""


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"created[gte]": ["5"], "limit": ["3"], "expand[]": ["data.customer"]}, ""),
        ({"types[0]": ["a.b"], "types[1]": ["c.d"]}, ""),
        ({"created[since]": ["5"]}, "?created"),
        ({"created[gte]": ["March"]}, "?created"),
        ({"limit": ["ten"]}, "?limit"),
    ],
)
def test_stripes_bracketed_parameters_are_read_as_what_they_mean(
    query: dict[str, list[str]], told: str
):
    answer = {"object": "list", "data": [], "has_more": False, "url": "/v1/events"}

    said = problems("stripe", Call("GET", "/v1/events", query), answer)

    assert told in said
    assert bool(said) == bool(told)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (b"metadata[hub_health]=at_risk&name=A", ""),
        (b"metadata=", ""),
        (b"colour=red", "'colour' was unexpected"),
        (b"balance=ten", "balance: 'ten' does not match"),
    ],
)
def test_stripes_forms_are_held_to_its_parameters(form: bytes, told: str):
    customer = {"id": "cus_1", "object": "customer", "created": 1, "livemode": False}
    call = Call("POST", "/v1/customers/cus_1", headers=FORM, body=form)

    said = problems("stripe", call, customer)

    assert told in said
    assert bool(said) == bool(told)


def test_what_a_fault_makes_of_an_answer_is_not_the_stand_ins_breach():
    reply = Reply(html="<title>Sign in</title>")
    call = Call("GET", COMPANIES)

    spoilt = Exchange("hubspot", call, reply, reply.content(), Fault("html"))
    earnest = Exchange("hubspot", call, reply, reply.content(), None)

    assert Contract("hubspot").problems(spoilt) == []
    assert Contract("hubspot").problems(earnest) != []


@pytest.mark.parametrize("vendor", contracts.vendors())
def test_a_carried_cut_is_in_its_one_form_and_holds_what_is_listed(vendor: str):
    text = (contracts.HERE / f"{vendor}.json").read_text(encoding="utf-8")

    cut = json.loads(text)

    assert contracts.as_text(cut) == text
    assert sorted(cut["endpoints"]) == sorted(contracts.vendors()[vendor]["endpoints"])
    assert '"description":"' not in text


@pytest.mark.parametrize("vendor", contracts.vendors())
def test_every_line_of_an_overlay_names_its_source(vendor: str):
    lines = overlay_of(vendor)["lines"]

    sources = [str(line.get("source", "")) for line in lines]

    assert [source for source in sources if not source.startswith(TRUSTED)] == []


if SPECS is not None:  # The full files are not part of the project; where they are, they decide.

    @pytest.mark.parametrize("vendor", contracts.vendors())
    def test_a_carried_cut_is_what_the_full_files_give(vendor: str):
        carried = (contracts.HERE / f"{vendor}.json").read_text(encoding="utf-8")

        fresh = contracts.as_text(contracts.cut(vendor, Path(str(SPECS))))

        assert carried == fresh
