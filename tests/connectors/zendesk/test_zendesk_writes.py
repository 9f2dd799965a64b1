"""Writing to Zendesk over a real socket: fields once, values by a job, and what stands there."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from connectors.zendesk import Zendesk
from connectors.zendesk.sandbox import ZendeskSandbox
from hub import (
    CreateTask,
    DefineField,
    FieldSpec,
    Observed,
    Option,
    Receipt,
    RecordKey,
    ScopeMissing,
    SetFields,
    WriteRefused,
    WriteUnknown,
)
from hub.testing.faults import Fault, Kind

Target = Callable[[str], RecordKey]
Connect = Callable[..., Zendesk]
LONG_AGO = datetime(2025, 6, 1, 9, tzinfo=UTC)

HEALTH = FieldSpec(
    name="hub_health",
    label="Health",
    kind="enumeration",
    help="How this customer is doing",
    options=(Option(value="at_risk", label="At risk"), Option(value="healthy", label="Healthy")),
)
SINCE = FieldSpec(name="hub_health_since", label="Since", kind="date", help="Since when")
REASON = FieldSpec(name="hub_health_reason", label="Reason", kind="text", help="Why")
MORE = HEALTH.model_copy(
    update={"options": (*HEALTH.options, Option(value="watch", label="Watch"))}
)
UPDATE_MANY = r"/organizations/update_many$"


def define(zendesk: Zendesk, field: FieldSpec) -> Receipt:
    return zendesk.define_field(DefineField(object="organizations", field=field))


@pytest.fixture
def defined(zendesk: Zendesk) -> Zendesk:
    for field in (HEALTH, SINCE, REASON):
        define(zendesk, field)
    return zendesk


def option_values(box: ZendeskSandbox) -> list[str]:
    return [option["value"] for option in box.fields["hub_health"]["custom_field_options"]]


# --- fields ----------------------------------------------------------------------------------


def test_a_field_is_made_with_options_that_are_unique_in_the_account(
    box: ZendeskSandbox, zendesk: Zendesk
):
    receipt = define(zendesk, HEALTH)

    made = box.fields["hub_health"]
    assert receipt == Receipt(id="organizations.hub_health")
    assert (made["type"], made["title"]) == ("dropdown", "Health")
    assert option_values(box) == ["hub_at_risk", "hub_healthy"]
    assert [option["name"] for option in made["custom_field_options"]] == ["At risk", "Healthy"]


def test_a_field_that_is_there_already_is_left_as_it_is(box: ZendeskSandbox, defined: Zendesk):
    before = len(box.writes())

    for field in (HEALTH, SINCE, REASON):
        define(defined, field)

    assert len(box.writes()) == before


def test_an_option_that_is_missing_is_added_and_no_value_is_lost(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str
):
    list(defined.set_fields([SetFields(target=target(organization),
                                       values={"hub_health": "at_risk"})]))  # fmt: skip
    ids = [option["id"] for option in box.fields["hub_health"]["custom_field_options"]]

    define(defined, MORE)

    options = box.fields["hub_health"]["custom_field_options"]
    assert option_values(box) == ["hub_at_risk", "hub_healthy", "hub_watch"]
    assert [option["id"] for option in options][:2] == ids
    held = box.organizations[organization]["organization_fields"]
    assert held["hub_health"] == "hub_at_risk"


def test_a_field_of_another_type_is_refused_with_what_to_do(box: ZendeskSandbox, zendesk: Zendesk):
    box.add_field({"key": "hub_health", "title": "Ours", "type": "text"})

    with pytest.raises(WriteRefused, match="exists with type text") as caught:
        define(zendesk, HEALTH)

    assert "Organization fields" in str(caught.value.do)


def test_an_option_that_another_field_has_is_refused_in_zendesks_own_words(
    box: ZendeskSandbox, zendesk: Zendesk
):
    box.add_field({
        "key": "region", "title": "Region", "type": "dropdown",
        "custom_field_options": [{"name": "Odd", "value": "hub_at_risk"}],
    })  # fmt: skip

    with pytest.raises(WriteRefused, match="Tag: has already been used"):
        define(zendesk, HEALTH)


@pytest.mark.parametrize("fault", ["lost_response", "twice"])
def test_a_field_is_made_once_whatever_the_network_does_R2(
    box: ZendeskSandbox, zendesk: Zendesk, fault: Kind
):
    box.faults.at_write(1, fault)

    define(zendesk, HEALTH)

    assert list(box.fields) == ["hub_health"]


def test_fields_are_read_back_in_the_hubs_words(defined: Zendesk):
    seen = list(
        defined.observe_fields(
            ["organizations.hub_health", "organizations.hub_health_since", "organizations.hub_x"]
        )
    )

    assert seen == [
        Observed("organizations.hub_health", {"kind": "enumeration", "options": "at_risk,healthy"}),
        Observed("organizations.hub_health_since", {"kind": "date", "options": None}),
        Observed("organizations.hub_x", {}, exists=False),
    ]


def test_making_fields_needs_the_admin_role_and_says_so(box: ZendeskSandbox, connect: Connect):
    agent = connect(client_secret=f"{box.client_secret}_noscope")

    with pytest.raises(ScopeMissing, match="organizations:write and the admin role"):
        define(agent, HEALTH)


# --- values ----------------------------------------------------------------------------------


def test_the_status_is_set_and_read_back_in_the_hubs_words(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str
):
    values = {
        "hub_health": "at_risk",
        "hub_health_since": "2026-03-01",
        "hub_health_reason": "hub_calls this a payment that failed twice",
    }

    outcomes = list(defined.set_fields([SetFields(target=target(organization), values=values)]))

    [seen] = defined.observe_organizations([organization])
    assert outcomes == [
        Receipt(id=organization, url=f"{box.url}/agent/organizations/{organization}")
    ]
    assert seen.values == values
    assert seen.changed_at == datetime.fromisoformat(box.organizations[organization]["updated_at"])
    held = box.organizations[organization]["organization_fields"]
    assert held["hub_health"] == "hub_at_risk"


def test_only_the_named_fields_change(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str
):
    box.add_field({"key": "region", "title": "Region", "type": "text"})
    box.set_organization(box.organizations[organization], {"organization_fields": {"region": "N"}})
    first = SetFields(target=target(organization), values={"hub_health": "healthy"})
    second = SetFields(target=target(organization), values={"hub_health_reason": "quiet"})

    list(defined.set_fields([first]))
    list(defined.set_fields([second]))

    held = box.organizations[organization]
    assert held["organization_fields"] == {
        "region": "N", "hub_health": "hub_healthy", "hub_health_reason": "quiet",
    }  # fmt: skip
    assert held["domain_names"] == ["birchvale.example"]
    assert held["tags"] == ["vip", "hub_healthy"]
    sent = [json.loads(call.body) for call in box.writes() if "update_many" in call.path]
    assert {name for body in sent for one in body["organizations"] for name in one} == {
        "id", "organization_fields",
    }  # fmt: skip


def test_a_field_is_cleared_and_then_has_no_value(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str
):
    full = {"hub_health": "at_risk", "hub_health_since": "2026-03-01", "hub_health_reason": "why"}
    empty = dict.fromkeys(full)
    list(defined.set_fields([SetFields(target=target(organization), values=full)]))

    list(defined.set_fields([SetFields(target=target(organization), values=empty)]))

    [seen] = defined.observe_organizations([organization])
    assert seen.values == empty
    assert box.organizations[organization]["tags"] == ["vip"]


def test_a_hundred_organizations_are_one_job_and_a_missing_one_is_told_apart_R17(
    box: ZendeskSandbox, defined: Zendesk, target: Target
):
    ids = [str(number) for number in range(1, 101)]
    for id in ids:
        box.put_organization(id, f"Company {id}", LONG_AGO)
    box.delete_organization("50")
    before = len(box.writes())
    actions = [SetFields(target=target(id), values={"hub_health": "healthy"}) for id in ids]

    outcomes = list(defined.set_fields(actions))

    assert len(box.writes()) - before == 1
    assert isinstance(outcomes[49], WriteRefused)
    assert outcomes[49].code == "TARGET_GONE"
    assert [o.id for o in outcomes if isinstance(o, Receipt)] == ids[:49] + ids[50:]


def test_a_value_that_zendesk_refuses_does_not_hold_up_the_others_R17(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str
):
    box.put_organization("2", "Moss", LONG_AGO)
    words = {organization: "splendid", "2": "healthy"}
    actions = [SetFields(target=target(id), values={"hub_health": w}) for id, w in words.items()]

    refused, done = defined.set_fields(actions)

    assert isinstance(refused, WriteRefused)
    assert "'hub_splendid' is not a valid option" in str(refused)
    assert isinstance(done, Receipt)


def test_a_field_that_is_not_there_is_refused_instead_of_passed_over_in_silence(
    box: ZendeskSandbox, zendesk: Zendesk, target: Target, organization: str
):
    [refused] = zendesk.set_fields(
        [SetFields(target=target(organization), values={"hub_health": "healthy"})]
    )

    assert isinstance(refused, WriteRefused)
    assert "no organization field hub_health" in str(refused)
    assert box.writes() == []


def test_an_id_that_zendesk_cannot_have_is_gone(defined: Zendesk, target: Target):
    [refused] = defined.set_fields([SetFields(target=target("cus_1"), values={})])

    assert isinstance(refused, WriteRefused)
    assert refused.code == "TARGET_GONE"


def test_a_job_is_waited_for_as_long_as_it_works(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str, clock
):
    box.job_s = 45
    began = clock.now()

    [outcome] = defined.set_fields(
        [SetFields(target=target(organization), values={"hub_health": "healthy"})]
    )

    assert isinstance(outcome, Receipt)
    assert timedelta(seconds=45) <= clock.now() - began < timedelta(seconds=75)


def test_a_job_that_does_not_end_in_time_is_unknown_and_may_still_happen_R17(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str, clock
):
    box.job_s = 600

    outcomes = list(
        defined.set_fields(
            [SetFields(target=target(organization), values={"hub_health": "healthy"})]
        )
    )
    clock.sleep(600)

    [seen] = defined.observe_organizations([organization])
    assert outcomes == [None]
    assert seen.values["hub_health"] == "healthy"


@pytest.mark.parametrize("end", ["failed", "killed"])
def test_a_job_that_failed_leaves_every_outcome_unknown_R17(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str, end: str
):
    box.jobs_end = end

    outcomes = list(
        defined.set_fields(
            [SetFields(target=target(organization), values={"hub_health": "healthy"})]
        )
    )

    assert outcomes == [None]


def test_setting_fields_is_repeated_when_the_answer_is_lost_R2(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str
):
    box.faults.at_write(1, "lost_response")

    [outcome] = defined.set_fields(
        [SetFields(target=target(organization), values={"hub_health": "healthy"})]
    )

    [seen] = defined.observe_organizations([organization])
    assert isinstance(outcome, Receipt)
    assert seen.values["hub_health"] == "healthy"


def test_when_no_answer_comes_at_all_every_outcome_is_unknown_R17(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str
):
    box.faults.add(Fault("lost_response", path=UPDATE_MANY, times=None))

    outcomes = list(
        defined.set_fields(
            [SetFields(target=target(organization), values={"hub_health": "healthy"})]
        )
    )

    assert outcomes == [None]


def test_a_job_whose_answers_are_lost_is_unknown_R17(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str
):
    box.faults.add(Fault("server_error", path="/job_statuses/", times=None))

    outcomes = list(
        defined.set_fields(
            [SetFields(target=target(organization), values={"hub_health": "healthy"})]
        )
    )

    assert outcomes == [None]


def test_a_batch_that_zendesk_refuses_as_a_whole_is_refused_for_each(
    box: ZendeskSandbox, defined: Zendesk, target: Target
):
    actions = [SetFields(target=target(str(n)), values={"hub_health": None}) for n in range(101)]

    outcomes = list(defined.set_fields(actions))

    assert len(outcomes) == 101
    assert all(isinstance(outcome, WriteRefused) for outcome in outcomes)


def test_when_too_many_jobs_wait_the_hub_waits_too(
    box: ZendeskSandbox, defined: Zendesk, target: Target, organization: str, clock
):
    box.job_s = 20
    update = {"organizations": [{"id": int(organization), "name": "Birch & Vale"}]}
    for _ in range(30):
        defined.http.put("/api/v2/organizations/update_many", json=update, repeat=True)

    [outcome] = defined.set_fields(
        [SetFields(target=target(organization), values={"hub_health": "healthy"})]
    )

    assert isinstance(outcome, Receipt)
    assert 429 in {call.status for call in box.calls}


def test_results_without_a_place_are_matched_by_their_id(
    defined: Zendesk, target: Target, organization: str, monkeypatch: pytest.MonkeyPatch
):
    results = [{"id": int(organization), "action": "update", "status": "Updated", "success": True}]
    ended = {"job_status": {"id": "j", "status": "completed", "results": results}}
    monkeypatch.setattr(defined.http, "put", lambda *args, **more: ended)
    actions = [
        SetFields(target=target(id), values={"hub_health": "healthy"}) for id in ("1", organization)
    ]

    unknown, done = defined.set_fields(actions)

    assert unknown is None
    assert isinstance(done, Receipt)


def test_an_organization_that_is_gone_is_seen_as_gone(
    box: ZendeskSandbox, defined: Zendesk, organization: str
):
    box.put_organization("2", "Moss", LONG_AGO)
    box.merge_organizations("2", organization)

    lost, there = defined.observe_organizations(["2", organization])

    assert (lost.exists, there.exists) == (False, True)
    assert there.values == {
        "hub_health": None, "hub_health_since": None, "hub_health_reason": None,
    }  # fmt: skip


def test_reading_back_two_hundred_takes_two_reads_by_id(box: ZendeskSandbox, defined: Zendesk):
    ids = [str(number) for number in range(1, 201)]
    for id in ids:
        box.put_organization(id, f"Company {id}", LONG_AGO)

    seen = list(defined.observe_organizations(ids))

    assert [one.id for one in seen] == ids
    assert sum("show_many" in call.path for call in box.calls) == 2


def test_tasks_are_not_written_to_zendesk():
    assert CreateTask not in Zendesk.writers
    assert "tasks" not in Zendesk.observers


def test_a_field_that_nobody_made_after_all_stays_unknown(box: ZendeskSandbox, zendesk: Zendesk):
    box.faults.add(Fault("reset", method="POST", path="/organization_fields$", times=None))

    with pytest.raises(WriteUnknown):
        define(zendesk, HEALTH)
