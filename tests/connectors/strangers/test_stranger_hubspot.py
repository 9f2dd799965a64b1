"""HubSpot's own Python client, unmodified, works with the stand-in as with HubSpot.

It speaks the older versions: `/crm/v3` for records, v3 and v4 for associations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import hubspot
import pytest
from hubspot.crm import companies as companies_api
from hubspot.crm import contacts as contacts_api
from hubspot.crm import deals as deals_api
from hubspot.crm.associations.v4.models import (
    AssociationSpec,
    BatchInputPublicAssociationMultiArchive,
    BatchInputPublicAssociationMultiPost,
    BatchInputPublicDefaultAssociationMultiPost,
    BatchInputPublicFetchAssociationsBatchRequest,
)
from urllib3.util.retry import Retry

from connectors.hubspot.sandbox import HubSpotSandbox
from hub.testing.faults import Fault

Connect = Callable[..., Any]


@pytest.fixture
def box(clock: Any) -> Iterator[HubSpotSandbox]:
    with HubSpotSandbox(clock=clock.now) as sandbox:
        sandbox.add_owner("70000001", "Ida Holm", "ida.holm@hub-team.example")
        sandbox.add_owner("70000002", "Per Dahl", "per.dahl@hub-team.example", active=False)
        yield sandbox
        assert sandbox.crashes == []


@pytest.fixture
def connect(box: HubSpotSandbox) -> Connect:
    def make(token: str | None = None, **more: Any) -> Any:
        return hubspot.Client.create(access_token=token or box.token, host=box.url, **more)

    return make


@pytest.fixture
def client(connect: Connect) -> Any:
    return connect()


def told(error: Any) -> dict[str, Any]:
    """What HubSpot said with a refusal."""
    said: dict[str, Any] = json.loads(error.value.body)
    return said


def companies(box: HubSpotSandbox, clock: Any, count: int) -> list[str]:
    """The ids of companies that the search shows already."""
    long_ago = clock.now() - timedelta(days=30)
    ids = [str(9_000_000_001 + number) for number in range(count)]
    for number, id in enumerate(ids):
        box.put("companies", id, {"name": f"Company {number:03d}"}, long_ago)
    return ids


# --- reading -----------------------------------------------------------------------------------


def test_all_companies_are_paged_through(box: HubSpotSandbox, clock: Any, client: Any):
    ids = companies(box, clock, 250)

    found = client.crm.companies.get_all(properties=["name"])

    assert [company.id for company in found] == ids
    assert found[0].properties["name"] == "Company 000"
    assert len(box.calls) == 3


def test_a_company_is_made_read_changed_and_archived(client: Any):
    api = client.crm.companies.basic_api
    named = {"properties": {"name": "Birch & Vale", "domain": "birchvale.example"}}

    made = api.create(simple_public_object_input_for_create=named)
    api.update(made.id, simple_public_object_input={"properties": {"name": "Birch"}})
    read = api.get_by_id(made.id, properties=["name", "domain", "industry"])
    api.archive(made.id)
    archived = api.get_page(archived=True).results

    assert read.properties["name"] == "Birch"
    assert read.properties["industry"] is None
    assert read.created_at.tzinfo is not None
    assert api.get_page().results == []
    assert [company.id for company in archived] == [made.id]
    assert archived[0].archived_at is not None


def test_a_search_filters_sorts_and_pages(box: HubSpotSandbox, clock: Any, client: Any):
    ids = companies(box, clock, 5)
    wanted = {
        "filterGroups": [
            {"filters": [{"propertyName": "hs_object_id", "operator": "GT", "value": ids[0]}]}
        ],
        "sorts": [{"propertyName": "hs_object_id", "direction": "DESCENDING"}],
        "properties": ["name"],
        "limit": 3,
    }

    api = client.crm.companies.search_api
    first = api.do_search(public_object_search_request=wanted)
    after = {"after": first.paging.next.after}
    second = api.do_search(public_object_search_request={**wanted, **after})

    assert first.total == 4
    assert [company.id for company in first.results] == [ids[4], ids[3], ids[2]]
    assert [company.id for company in second.results] == [ids[1]]
    assert second.paging is None


def test_a_search_shows_what_was_just_made_only_later(clock: Any, client: Any):
    client.crm.companies.basic_api.create(
        simple_public_object_input_for_create={"properties": {"name": "Birch"}}
    )
    birch: dict[str, Any] = {"query": "birch"}

    at_once = client.crm.companies.search_api.do_search(public_object_search_request=birch)
    clock.passes(10)
    later = client.crm.companies.search_api.do_search(public_object_search_request=birch)

    assert (at_once.total, later.total) == (0, 1)


def test_batches_read_make_change_and_tell_what_is_not_there(
    box: HubSpotSandbox, clock: Any, client: Any
):
    ids = companies(box, clock, 2)
    api = client.crm.companies.batch_api

    made = api.create(
        batch_input_simple_public_object_batch_input_for_create={
            "inputs": [{"properties": {"name": name}, "associations": []} for name in "AB"]
        }
    )
    changed = api.update(
        batch_input_simple_public_object_batch_input={
            "inputs": [{"id": id, "properties": {"name": "Changed"}} for id in [*ids, "1"]]
        }
    )
    read = api.read(
        batch_read_input_simple_public_object_id={
            "inputs": [{"id": id} for id in [*ids, "1"]],
            "properties": ["name"],
            "propertiesWithHistory": [],
        }
    )
    api.archive(batch_input_simple_public_object_id={"inputs": [{"id": ids[0]}]})

    assert [company.properties["name"] for company in made.results] == ["A", "B"]
    assert changed.num_errors == 1
    assert changed.errors[0].context == {"ids": ["1"]}
    assert [company.properties["name"] for company in read.results] == ["Changed", "Changed"]
    assert ids[0] in box.archived["companies"]


def test_an_upsert_by_email_changes_or_makes(box: HubSpotSandbox, client: Any):
    known = box.add("contacts", {"email": "ann@birch.example", "firstname": "Ann"})
    inputs = [
        {"idProperty": "email", "id": email, "properties": {"lastname": "Vale"}}
        for email in ("ann@birch.example", "bo@birch.example")
    ]

    answer = client.crm.contacts.batch_api.upsert(
        batch_input_simple_public_object_batch_input_upsert={"inputs": inputs}
    )

    assert [contact.new for contact in answer.results] == [False, True]
    assert answer.results[0].id == known
    assert box.objects["contacts"][known]["properties"]["lastname"] == "Vale"


def test_a_merged_company_answers_as_its_survivor(box: HubSpotSandbox, clock: Any, client: Any):
    survivor, other = companies(box, clock, 2)

    merged = client.crm.companies.basic_api.merge(
        public_merge_input={"primaryObjectId": survivor, "objectIdToMerge": other}
    )
    read = client.crm.companies.basic_api.get_by_id(other, properties=["hs_merged_object_ids"])

    assert merged.id == survivor
    assert read.id == survivor
    assert read.properties["hs_merged_object_ids"] == other


def test_a_forgotten_contact_is_gone_for_good(box: HubSpotSandbox, client: Any):
    contact = box.add("contacts", {"email": "ann@birch.example"})

    client.crm.contacts.basic_api.purge(public_gdpr_delete_input={"objectId": contact})
    with pytest.raises(contacts_api.ApiException) as error:
        client.crm.contacts.basic_api.get_by_id(contact)

    assert error.value.status == 404
    assert client.crm.contacts.basic_api.get_page(archived=True).results == []


def test_owners_are_found_by_email_and_deactivated_ones_when_asked_for(client: Any):
    active = client.crm.owners.get_all()
    former = client.crm.owners.owners_api.get_page(archived=True).results
    found = client.crm.owners.owners_api.get_page(email="ida.holm@hub-team.example").results
    one = client.crm.owners.owners_api.get_by_id("70000001", id_property="id")

    assert [owner.first_name for owner in active] == ["Ida"]
    assert [owner.first_name for owner in former] == ["Per"]
    assert [owner.id for owner in found] == [one.id]


def test_pipelines_and_their_stages_are_read(client: Any):
    pipelines = client.crm.pipelines.pipelines_api.get_all("deals").results

    stages = {stage.id: stage.metadata["isClosed"] for stage in pipelines[0].stages}

    assert stages["closedwon"] == "true"
    assert stages["contractsent"] == "false"


def test_properties_and_groups_are_made_read_changed_and_removed(client: Any):
    core, groups = client.crm.properties.core_api, client.crm.properties.groups_api
    options = [{"label": "At risk", "value": "at_risk", "hidden": False, "displayOrder": 0}]
    field = {
        "name": "hub_health", "label": "Health", "groupName": "hub", "type": "enumeration",
        "fieldType": "select", "options": options,
    }  # fmt: skip

    groups.create("companies", property_group_create={"name": "hub", "label": "Hub"})
    core.create("companies", property_create=field)
    core.update("companies", "hub_health", property_update={"label": "Account health"})
    read = core.get_by_name("companies", "hub_health")
    names = [one.name for one in core.get_all("companies").results]
    core.archive("companies", "hub_health")

    assert (read.label, read.options[0].value) == ("Account health", "at_risk")
    assert "hub_health" in names
    assert "hub" in [group.name for group in groups.get_all("companies").results]
    assert "hub_health" not in [one.name for one in core.get_all("companies").results]


# --- associations ------------------------------------------------------------------------------


def a_task(company: str) -> dict[str, Any]:
    return {
        "properties": {"hs_timestamp": "2026-03-10T09:00:00Z", "hs_task_subject": "Call"},
        "associations": [
            {
                "to": {"id": company},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 192}],
            }
        ],
    }


def test_a_task_stands_on_its_company_and_is_completed(
    box: HubSpotSandbox, clock: Any, client: Any
):
    (company,) = companies(box, clock, 1)
    tasks = client.crm.objects.tasks

    made = tasks.basic_api.create(simple_public_object_input_for_create=a_task(company))
    tasks.basic_api.update(
        made.id, simple_public_object_input={"properties": {"hs_task_status": "COMPLETED"}}
    )
    read = client.crm.companies.basic_api.get_by_id(company, associations=["tasks"])
    done = tasks.basic_api.get_by_id(made.id, properties=["hs_task_completion_date"])

    linked = read.associations["tasks"].results
    assert [(one.id, one.type) for one in linked] == [(made.id, "company_to_task")]
    assert done.properties["hs_task_completion_date"] is not None


def test_associations_of_v3_are_read_made_and_removed(box: HubSpotSandbox, clock: Any, client: Any):
    (company,) = companies(box, clock, 1)
    contact = box.add("contacts", {"email": "ann@birch.example"})
    pair = {"from": {"id": contact}, "to": {"id": company}, "type": "contact_to_company"}
    api = client.crm.associations.batch_api

    made = api.create("contacts", "companies", batch_input_public_association={"inputs": [pair]})
    asked = {"inputs": [{"id": contact}]}
    read = api.read("contacts", "companies", batch_input_public_object_id=asked)
    api.archive("contacts", "companies", batch_input_public_association={"inputs": [pair]})
    after = api.read("contacts", "companies", batch_input_public_object_id=asked)

    assert made.results[0].type == "contact_to_company"
    assert [one.id for one in read.results[0].to] == [company]
    assert after.results == []


def test_associations_of_v4_are_read_made_and_removed(box: HubSpotSandbox, clock: Any, client: Any):
    (company,) = companies(box, clock, 1)
    contact = box.add("contacts", {"email": "ann@birch.example"})
    api = client.crm.associations.v4.basic_api
    primary = AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=1)

    api.create_default("contacts", contact, "companies", company)
    unlabelled = api.get_page("contacts", contact, "companies").results
    api.create("contacts", contact, "companies", company, association_spec=[primary])
    labelled = api.get_page("contacts", contact, "companies").results
    api.archive("contacts", contact, "companies", company)

    assert [one.type_id for one in unlabelled[0].association_types] == [279]
    assert unlabelled[0].to_object_id == company
    assert {one.type_id for one in labelled[0].association_types} == {279, 1}
    assert api.get_page("contacts", contact, "companies").results == []


def test_associations_of_v4_go_in_batches_too(box: HubSpotSandbox, clock: Any, client: Any):
    first, second = companies(box, clock, 2)
    contact = box.add("contacts", {"email": "ann@birch.example"})
    api = client.crm.associations.v4.batch_api
    pairs = [{"from": {"id": contact}, "to": {"id": one}} for one in (first, second)]
    primary = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}

    api.create_default(
        "contacts", "companies",
        batch_input_public_default_association_multi_post=(
            BatchInputPublicDefaultAssociationMultiPost(inputs=pairs[:1])
        ),
    )  # fmt: skip
    api.create(
        "contacts", "companies",
        batch_input_public_association_multi_post=BatchInputPublicAssociationMultiPost(
            inputs=[{**pairs[1], "types": [primary]}]
        ),
    )  # fmt: skip
    asked = BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": contact}])
    read = api.get_page(
        "contacts", "companies", batch_input_public_fetch_associations_batch_request=asked
    )
    gone = {"from": {"id": contact}, "to": [{"id": first}]}
    api.archive(
        "contacts", "companies",
        batch_input_public_association_multi_archive=BatchInputPublicAssociationMultiArchive(
            inputs=[gone]
        ),
    )  # fmt: skip

    assert {str(one.to_object_id) for one in read.results[0].to} == {first, second}
    assert list(box.linked("contacts", contact, "companies")) == [second]


def test_the_labels_between_two_objects_are_named(client: Any):
    labels = client.crm.associations.v4.schema.definitions_api.get_all("contacts", "companies")

    assert {one.type_id: one.label for one in labels.results} == {279: None, 1: "Primary"}


# --- errors and limits -------------------------------------------------------------------------


def test_a_value_that_is_not_taken_is_refused_with_hubspots_code(
    box: HubSpotSandbox, clock: Any, client: Any
):
    (company,) = companies(box, clock, 1)
    wrong = {"properties": {"lifecyclestage": "friend"}}

    with pytest.raises(companies_api.ApiException) as error:
        client.crm.companies.basic_api.update(company, simple_public_object_input=wrong)

    assert error.value.status == 400
    assert told(error)["errors"][0]["code"] == "INVALID_OPTION"
    assert told(error)["correlationId"]


def test_a_second_contact_with_one_email_is_a_conflict(box: HubSpotSandbox, client: Any):
    box.add("contacts", {"email": "ann@birch.example"})
    again = {"properties": {"email": "ann@birch.example"}}

    with pytest.raises(contacts_api.ApiException) as error:
        client.crm.contacts.basic_api.create(simple_public_object_input_for_create=again)

    assert error.value.status == 409


def test_what_is_not_there_is_a_404(client: Any):
    with pytest.raises(companies_api.ApiException) as error:
        client.crm.companies.basic_api.get_by_id("1")

    assert (error.value.status, told(error)["category"]) == (404, "OBJECT_NOT_FOUND")


@pytest.mark.parametrize(
    ("ending", "status", "category"),
    [
        ("_revoked", 401, "INVALID_AUTHENTICATION"),
        ("_expired", 401, "EXPIRED_AUTHENTICATION"),
        ("_noscope", 403, "MISSING_SCOPES"),
    ],
)
def test_a_bad_token_is_told_from_a_missing_scope(
    box: HubSpotSandbox, connect: Connect, ending: str, status: int, category: str
):
    client = connect(box.token + ending)

    with pytest.raises(deals_api.ApiException) as error:
        client.crm.deals.basic_api.get_page()

    assert (error.value.status, told(error)["category"]) == (status, category)


def test_the_limit_of_ten_seconds_is_told_in_headers_and_then_refused(
    box: HubSpotSandbox, clock: Any, client: Any
):
    api = client.crm.companies.basic_api
    _, _, headers = api.get_page_with_http_info()
    for _ in range(99):
        api.get_page()

    with pytest.raises(companies_api.ApiException) as error:
        api.get_page()
    clock.passes(10)
    again = api.get_page()

    assert headers["X-HubSpot-RateLimit-Remaining"] == "99"
    assert told(error)["policyName"] == "TEN_SECONDLY_ROLLING"
    assert again.results == []


def test_searches_have_a_limit_of_their_own_and_say_nothing_of_the_other(client: Any):
    api = client.crm.companies.search_api
    _, _, headers = api.do_search_with_http_info(public_object_search_request={"limit": 1})
    for _ in range(4):
        api.do_search(public_object_search_request={"limit": 1})

    with pytest.raises(companies_api.ApiException) as error:
        api.do_search(public_object_search_request={"limit": 1})

    assert told(error)["policyName"] == "SECONDLY"
    assert "X-HubSpot-RateLimit-Remaining" not in headers


def test_the_clients_own_retry_gets_over_a_passing_trouble(box: HubSpotSandbox, connect: Connect):
    retry = Retry(total=3, status_forcelist=(429, 500, 502, 504), backoff_factor=0)
    box.faults.add(Fault("server_error", status=502), Fault("rate_limited", at=2))

    page = connect(retry=retry).crm.companies.basic_api.get_page()

    assert page.results == []
    assert len(box.calls) == 3
