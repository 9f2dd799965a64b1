"""HubSpot's stand-in is as strict as HubSpot: its refusals, limits, late search and pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from urllib.request import urlopen

import pytest

from connectors.hubspot import HubSpot
from connectors.hubspot.sandbox import HubSpotSandbox, record_id
from hub import CreateTask, HubError, ReadRefused, RecordKey, ScopeMissing, WriteRefused
from hub.testing.kit import Call, company_id
from hub.testing.scenarios import build

OBJECTS = "/crm/objects/2026-03"
TO_COMPANY = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 192}
TO_CONTACT = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}


def a_task(company: str, **properties: str) -> dict[str, Any]:
    its = {"hs_timestamp": "2026-03-10T09:00:00Z", "hs_task_subject": "Call", **properties}
    return {
        "properties": its,
        "associations": [{"to": {"id": company}, "types": [TO_COMPANY]}],
    }


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"favourite_colour": "red"}, "does not exist"),
        ({"lifecyclestage": "friend"}, "not one of the allowed options"),
        ({"numberofemployees": "many"}, "not a valid number"),
        ({"hubspot_owner_id": "1"}, "Owner 1 does not exist"),
        ({"hs_lastmodifieddate": "2026-01-01T00:00:00Z"}, "read only"),
        ({"renews": "1772582400001"}, "not midnight"),
        ({"renews": "next week"}, "not a valid date"),
    ],
)
def test_a_value_that_hubspot_does_not_take_is_refused(
    box: HubSpotSandbox, hubspot: HubSpot, company: str, properties: dict[str, str], code: str
):
    box.add_property("companies", "renews", "date")

    with pytest.raises(WriteRefused, match=code):
        hubspot.http.patch(f"{OBJECTS}/companies/{company}", json={"properties": properties})


def test_a_day_is_kept_as_a_day_however_it_is_sent(
    box: HubSpotSandbox, hubspot: HubSpot, company: str
):
    box.add_property("companies", "renews", "date")
    path = f"{OBJECTS}/companies/{company}"

    for sent in ("1772582400000", "2026-03-04"):
        changed = hubspot.http.patch(path, json={"properties": {"renews": sent}})

        assert changed["properties"]["renews"] == "2026-03-04"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"associations": [{"to": {"id": "404"}, "types": [TO_COMPANY]}]}, "does not exist"),
        (
            {"associations": [{"to": {"id": "1"}, "types": [TO_CONTACT]}]},
            "No association types",
        ),
        ({"properties": {"hs_task_subject": "Call"}}, "hs_timestamp is required"),
    ],
)
def test_a_task_needs_a_due_date_and_a_company_that_is_there(
    hubspot: HubSpot, company: str, change: dict[str, Any], reason: str
):
    with pytest.raises(WriteRefused, match=reason):
        hubspot.http.post(f"{OBJECTS}/tasks", json=a_task(company) | change)


def test_the_dated_version_wants_associations_to_be_said(hubspot: HubSpot):
    with pytest.raises(WriteRefused, match="properties and associations are required"):
        hubspot.http.post(f"{OBJECTS}/companies", json={"properties": {"name": "New"}})


def test_clients_of_the_older_versions_find_the_same_records(
    box: HubSpotSandbox, hubspot: HubSpot, company: str
):
    box.add("contacts", {"email": "lene@birchvale.example"}, company=company)

    made = hubspot.http.post("/crm/v3/objects/tasks", json={"properties": a_task("")["properties"]})
    listed = hubspot.http.get("/crm/v3/objects/companies")
    owners = hubspot.http.get("/crm/v3/owners/")
    linked = hubspot.http.get(f"/crm/v4/objects/companies/{company}/associations/contacts")

    assert made["id"] in box.objects["tasks"]
    assert [row["id"] for row in listed["results"]] == [company]
    assert [owner["id"] for owner in owners["results"]] == ["70000001"]
    assert {t["typeId"] for t in linked["results"][0]["associationTypes"]} == {280, 2}


def test_a_list_gives_only_the_properties_that_are_named(hubspot: HubSpot, company: str):
    listed = hubspot.http.get(f"{OBJECTS}/companies", properties="name,no_such_property")

    assert set(listed["results"][0]["properties"]) == {
        "name",
        "hs_object_id",
        "createdate",
        "hs_lastmodifieddate",
    }


def test_a_list_gives_at_most_a_hundred(hubspot: HubSpot):
    with pytest.raises(ReadRefused, match="between 1 and 100"):
        hubspot.http.get(f"{OBJECTS}/companies", limit=101)


def test_a_search_refuses_to_go_past_ten_thousand(hubspot: HubSpot):
    with pytest.raises(ReadRefused, match="limited to 10000"):
        hubspot.http.post(
            f"{OBJECTS}/companies/search", json={"limit": 200, "after": "9900"}, reads=True
        )


def test_a_search_shows_a_change_only_after_a_moment(
    box: HubSpotSandbox, hubspot: HubSpot, company: str, clock: Any
):
    def names() -> list[str]:
        found = hubspot.http.post(
            f"{OBJECTS}/companies/search", json={"properties": ["name"]}, reads=True
        )
        return [row["properties"]["name"] for row in found["results"]]

    box.edit("companies", company, name="Renamed")
    box.add("companies", {"name": "Brand new"})
    early = names()
    clock.sleep(10)
    late = names()

    assert early == ["Birch & Vale"]
    assert sorted(late) == ["Brand new", "Renamed"]


def test_a_search_never_shows_what_is_archived(box: HubSpotSandbox, hubspot: HubSpot, company: str):
    box.archive("companies", company)

    found = hubspot.http.post(f"{OBJECTS}/companies/search", json={}, reads=True)
    archived = hubspot.http.get(f"{OBJECTS}/companies", archived=True)

    assert found["total"] == 0
    assert [row["id"] for row in archived["results"]] == [company]


@pytest.mark.parametrize(
    ("calls", "path", "policy"),
    [(100, f"{OBJECTS}/companies", "TEN_SECONDLY_ROLLING"), (5, "search", "SECONDLY")],
)
def test_one_call_too_many_is_answered_with_hubspots_429(
    box: HubSpotSandbox, calls: int, path: str, policy: str
):
    full = f"{OBJECTS}/companies/search" if path == "search" else path
    call = Call("POST" if path == "search" else "GET", full, body=b"{}")

    within = [box.rate_limit(call) for _ in range(calls)]
    beyond = box.rate_limit(call)

    assert within == [None] * calls
    assert beyond is not None
    assert beyond.status == 429
    assert beyond.json["policyName"] == policy
    assert "Retry-After" not in beyond.headers


def test_exactly_the_printed_token_is_good_and_the_named_bad_ones_are_told_apart(
    box: HubSpotSandbox, connect: Callable[..., HubSpot]
):
    path = f"{OBJECTS}/deals"

    connect().http.get(path)
    for bad in ("_revoked", "_expired", "x"):
        with pytest.raises(HubError) as caught:
            connect(box.token + bad).http.get(path)
        assert caught.value.code == "RECONNECT_NEEDED"
    with pytest.raises(ScopeMissing):
        connect(f"{box.token}_noscope").http.get(path)


def test_a_csm_sees_status_and_task_with_its_whole_text(
    box: HubSpotSandbox, hubspot: HubSpot, company: str
):
    box.add_property("companies", "hub_health", "enumeration", ("at_risk", "healthy"))
    box.edit("companies", company, hub_health="at_risk")
    key = RecordKey(vendor="hubspot", vendor_account="1", object="companies", id=company)
    due = datetime.fromisoformat("2026-03-10T09:00:00Z")
    made = hubspot.create_task(
        CreateTask(target=key, key="k", title="Call", body="Two payments\nhub explain k", due=due)
    )

    page = urlopen(str(made.url)).read().decode()

    assert "Birch &amp; Vale" in page
    assert "At risk" in page
    assert "Two payments\nhub explain k" in page


def test_the_state_survives_a_restart(box: HubSpotSandbox, company: str, clock: Any):
    box.add("contacts", {"email": "lene@birchvale.example"}, company=company)
    again = HubSpotSandbox(clock=clock.now)

    again.restore(box.state())

    assert again.state() == box.state()


# --- the seeded world ------------------------------------------------------------------------


def test_the_seeded_world_read_back_is_the_world_that_was_put_in(
    box: HubSpotSandbox, hubspot: HubSpot
):
    world = build("demo", seed=7, as_of=date(2026, 3, 4))
    box.load(world)

    def records(stream: str) -> dict[str, Any]:
        maps = HubSpot.streams[stream].maps
        rows = [row for page in getattr(hubspot, stream)(None) for row in page.rows]
        return {row["id"]: maps(row) for row in rows}

    companies, contacts, deals = records("companies"), records("contacts"), records("deals")

    assert {one.id: (one.name, one.domains, one.stage) for one in companies.values()} == {
        company_id("crm", c.key): (c.names["crm"], c.domains, c.crm_stage)
        for c in world.companies
        if "crm" in c.in_tools
    }
    assert {one.id: (one.name, one.email) for one in contacts.values()} == {
        record_id("contacts", p.key): (p.name, p.email) for p in world.people if "crm" in p.in_tools
    }
    assert {
        one.id: (one.amount_minor, one.currency, one.closed_on, one.is_won, one.is_closed)
        for one in deals.values()
    } == {
        record_id("deals", d.key): (
            d.amount_minor,
            d.currency,
            d.closed_on,
            d.is_won,
            d.is_closed,
        )
        for d in world.deals
    }
    assert set(records("owners")) == {record_id("owners", member.key) for member in world.team}


def test_stripe_ids_stand_only_where_the_team_keeps_them(box: HubSpotSandbox):
    world = build("demo", seed=7, as_of=date(2026, 3, 4))
    box.load(world)
    known = {company_id("crm", c.key) for c in world.companies if c.ids_known.get("crm")}

    held = {
        id
        for id, record in box.objects["companies"].items()
        if record["properties"].get("stripe_customer_id")
    }

    assert held
    assert held <= known


def test_what_is_loaded_lies_in_the_past(box: HubSpotSandbox, clock: Any):
    box.load(build("demo", seed=7, as_of=date(2026, 3, 4)))

    newest = max(record["updatedAt"] for record in box.objects["companies"].values())

    assert datetime.fromisoformat(newest) < clock.now() - timedelta(hours=1)
