"""Writing to HubSpot over a real socket: each thing once, and what stands there afterwards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.hubspot import HubSpot
from connectors.hubspot.actions import as_text
from connectors.hubspot.sandbox import HubSpotSandbox
from hub import (
    AddNote,
    ChangeTask,
    CloseTask,
    CreateTask,
    DefineField,
    FieldSpec,
    HubError,
    Option,
    Receipt,
    RecordKey,
    ScopeMissing,
    SetFields,
    WriteRefused,
    WriteUnknown,
)
from hub.testing.faults import Fault

Target = Callable[..., RecordKey]
Connect = Callable[..., HubSpot]

DUE = datetime.fromisoformat("2026-03-10T09:00:00Z")
KEY = "payment-k3j7abcdefghij234567"
BODY = f"The payment failed twice.\nSee <invoice 91> & call.\nHow the hub knows: hub explain {KEY}"

HEALTH = FieldSpec(
    name="hub_health",
    label="Health",
    kind="enumeration",
    help="How this customer is doing",
    options=(Option(value="at_risk", label="At risk"), Option(value="healthy", label="Healthy")),
)
SINCE = FieldSpec(name="hub_health_since", label="Since", kind="date", help="Since when")
REASON = FieldSpec(name="hub_health_reason", label="Reason", kind="text", help="Why")


@pytest.fixture
def defined(hubspot: HubSpot) -> HubSpot:
    for field in (HEALTH, SINCE, REASON):
        hubspot.define_field(DefineField(object="companies", field=field))
    return hubspot


@pytest.fixture
def task(target: Target, company: str) -> CreateTask:
    return CreateTask(
        target=target(company),
        key=KEY,
        title="Call about the payment",
        body=BODY,
        due=DUE,
        priority="high",
        owner_id="70000001",
    )


def tasks_of(box: HubSpotSandbox, company: str) -> list[dict[str, Any]]:
    return [box.objects["tasks"][id] for id in box.linked("companies", company, "tasks")]


# --- fields ----------------------------------------------------------------------------------


def test_a_field_is_made_in_the_hubs_own_group(box: HubSpotSandbox, hubspot: HubSpot):
    receipt = hubspot.define_field(DefineField(object="companies", field=HEALTH))

    made = box.properties["companies"]["hub_health"]
    assert receipt == Receipt(id="companies.hub_health")
    assert box.groups["companies"]["retention_hub"] == "Retention hub"
    assert (made["type"], made["fieldType"], made["groupName"]) == (
        "enumeration",
        "select",
        "retention_hub",
    )
    assert [option["value"] for option in made["options"]] == ["at_risk", "healthy"]


def test_a_field_that_is_there_already_is_left_as_it_is(box: HubSpotSandbox, defined: HubSpot):
    before = len(box.writes())

    defined.define_field(DefineField(object="companies", field=HEALTH))

    assert len(box.writes()) == before


def test_an_option_that_is_missing_is_added_and_the_others_stay(
    box: HubSpotSandbox, defined: HubSpot
):
    more = (*HEALTH.options, Option(value="watch", label="Watch"))

    defined.define_field(
        DefineField(object="companies", field=HEALTH.model_copy(update={"options": more}))
    )

    options = box.properties["companies"]["hub_health"]["options"]
    assert [option["value"] for option in options] == ["at_risk", "healthy", "watch"]


def test_a_field_of_another_type_is_refused_with_what_to_do(box: HubSpotSandbox, hubspot: HubSpot):
    box.add_property("companies", "hub_health")

    with pytest.raises(WriteRefused, match="exists with type string"):
        hubspot.define_field(DefineField(object="companies", field=HEALTH))


@pytest.mark.parametrize("index", [1, 2])
def test_a_field_is_made_once_although_the_answer_is_lost_R2(
    box: HubSpotSandbox, hubspot: HubSpot, index: int
):
    box.faults.at_write(index, "lost_response")

    hubspot.define_field(DefineField(object="companies", field=HEALTH))

    assert "hub_health" in box.properties["companies"]


def test_fields_are_read_back_as_they_are_defined(defined: HubSpot):
    seen = list(defined.observe_fields(["companies.hub_health", "companies.hub_other"]))

    assert seen[0].values == {"kind": "enumeration", "options": "at_risk,healthy"}
    assert [field.exists for field in seen] == [True, False]


def test_status_fields_are_set_and_cleared_and_read_back(
    box: HubSpotSandbox, defined: HubSpot, target: Target, company: str
):
    values = {"hub_health": "at_risk", "hub_health_since": "2026-03-01", "hub_health_reason": None}

    outcomes = list(defined.set_fields([SetFields(target=target(company), values=values)]))

    [seen] = defined.observe_companies([company])
    assert [outcome.id for outcome in outcomes] == [company]
    assert seen.values == values
    assert box.objects["companies"][company]["properties"]["name"] == "Birch & Vale"


def test_a_hundred_companies_are_set_in_one_call_and_a_missing_one_is_told_apart_R17(
    box: HubSpotSandbox, defined: HubSpot, target: Target
):
    ids = [str(number) for number in range(1, 101)]
    for id in ids:
        box.put("companies", id, {"name": id}, DUE - timedelta(days=99))
    box.archive("companies", "50")
    before = len(box.writes())
    actions = [SetFields(target=target(id), values={"hub_health": "healthy"}) for id in ids]

    outcomes = list(defined.set_fields(actions))

    assert len(box.writes()) - before == 1
    assert isinstance(outcomes[49], WriteRefused)
    assert outcomes[49].code == "TARGET_GONE"
    assert [o.id for o in outcomes if isinstance(o, Receipt)] == ids[:49] + ids[50:]


def test_one_value_that_is_refused_does_not_hold_up_the_others_R17(
    box: HubSpotSandbox, defined: HubSpot, target: Target
):
    ids = [str(number) for number in range(1, 65)]
    for id in ids:
        box.put("companies", id, {"name": id}, DUE - timedelta(days=99))
    before = len(box.writes())
    words = dict.fromkeys(ids, "healthy") | {"20": "splendid"}
    actions = [SetFields(target=target(id), values={"hub_health": words[id]}) for id in ids]

    outcomes = list(defined.set_fields(actions))

    assert isinstance(outcomes[19], WriteRefused)
    assert "splendid" in str(outcomes[19])
    assert sum(isinstance(outcome, Receipt) for outcome in outcomes) == 63
    assert len(box.writes()) - before <= 2 * 6 + 1


def test_an_input_that_the_answer_does_not_name_is_unknown_R17(
    defined: HubSpot, target: Target, company: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(defined.http, "post", lambda *args, **more: {"results": []})

    outcomes = list(defined.set_fields([SetFields(target=target(company), values={})]))

    assert outcomes == [None]


def test_setting_fields_is_repeated_when_the_answer_is_lost_R2(
    box: HubSpotSandbox, defined: HubSpot, target: Target, company: str
):
    box.faults.at_write(1, "lost_response")
    action = SetFields(target=target(company), values={"hub_health": "healthy"})

    outcomes = list(defined.set_fields([action]))

    assert [outcome.id for outcome in outcomes] == [company]


def test_a_merged_and_a_deleted_company_are_seen_as_such_R24(
    box: HubSpotSandbox, defined: HubSpot, company: str
):
    box.put("companies", "2", {"name": "Birch and Vale"}, DUE - timedelta(days=99))
    box.put("companies", "3", {"name": "Gone"}, DUE - timedelta(days=99))
    box.merge("companies", company, "2")
    box.archive("companies", "3")

    seen = {one.id: one for one in defined.observe_companies([company, "2", "3"])}

    assert (seen[company].exists, seen[company].merged_into) == (True, None)
    assert (seen["2"].exists, seen["2"].merged_into) == (False, company)
    assert (seen["3"].exists, seen["3"].merged_into) == (False, None)


def test_the_read_back_does_not_go_through_the_late_search(
    box: HubSpotSandbox, defined: HubSpot, target: Target, company: str
):
    box.lag_s = 3600
    list(defined.set_fields([SetFields(target=target(company), values={"hub_health": "healthy"})]))

    [seen] = defined.observe_companies([company])

    assert seen.values["hub_health"] == "healthy"


# --- tasks -----------------------------------------------------------------------------------


def test_a_task_stands_on_its_company_with_owner_due_date_and_proof_T52(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, company: str
):
    receipt = hubspot.create_task(task)

    [made] = tasks_of(box, company)
    its = made["properties"]
    assert receipt.id == made["id"]
    assert (its["hs_task_subject"], its["hs_task_status"]) == (task.title, "NOT_STARTED")
    assert (its["hs_task_priority"], its["hubspot_owner_id"]) == ("HIGH", "70000001")
    assert its["hs_timestamp"] == "2026-03-10T09:00:00.000Z"
    assert as_text(its["hs_task_body"]) == BODY
    assert its["hs_task_body"].splitlines()[-1] == f"How the hub knows: hub explain {KEY}"


def test_text_from_outside_cannot_become_markup_in_a_task(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, company: str
):
    hubspot.create_task(task)

    assert "<invoice" not in tasks_of(box, company)[0]["properties"]["hs_task_body"]


@pytest.mark.parametrize("kind", ["lost_response", "applied_5xx", "cut_body"])
def test_a_task_whose_answer_is_lost_is_found_and_not_made_twice_R2_T55(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, company: str, kind: Any
):
    box.lag_s = 3600
    box.faults.at_write(1, kind)
    with pytest.raises(WriteUnknown):
        hubspot.create_task(task)

    found = hubspot.find_task(task)

    [made] = tasks_of(box, company)
    assert found is not None
    assert found.id == made["id"]


def test_a_task_that_never_arrived_is_not_found(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask
):
    box.faults.at_write(1, "reset")
    with pytest.raises(HubError):
        hubspot.create_task(task)

    assert hubspot.find_task(task) is None


def test_a_task_is_found_by_its_whole_key_among_many_open_or_done(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, target: Target
):
    for number in range(120):
        other = task.model_copy(update={"body": f"hub explain {KEY}{number}", "key": f"{number}"})
        hubspot.create_task(other)
    mine = hubspot.create_task(task)
    hubspot.close_task(CloseTask(target=target(mine.id, "tasks"), note="Paid."))

    found = hubspot.find_task(task)

    assert found == mine


def test_an_open_task_of_the_same_cause_is_found_where_the_key_is_not_T55(
    hubspot: HubSpot, task: CreateTask, target: Target
):
    usage = task.model_copy(
        update={
            "key": "usage-k3j7abcdefghij234567",
            "body": "hub explain usage-k3j7abcdefghij234567",
        }
    )
    hubspot.create_task(usage)
    earlier = hubspot.create_task(task)
    later = task.model_copy(update={"key": "payment-zzzzabcdefghij234567"})

    while_open = hubspot.find_task(later)
    hubspot.close_task(CloseTask(target=target(earlier.id, "tasks"), note="Paid."))
    when_done = hubspot.find_task(later)

    assert while_open == earlier
    assert when_done is None


def test_a_task_that_somebody_wrote_about_a_payment_is_nobodys_key(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, company: str
):
    box.add(
        "tasks",
        {"hs_task_subject": "x", "hs_task_body": "payment-reminder", "hs_timestamp": "2026-03-10"},
        company=company,
    )

    assert hubspot.find_task(task) is None


def test_a_task_for_an_unknown_owner_or_company_is_refused_with_hubspots_reason(
    hubspot: HubSpot, task: CreateTask, target: Target
):
    with pytest.raises(WriteRefused, match=r"Owner 1 does not exist.*correlation"):
        hubspot.create_task(task.model_copy(update={"owner_id": "1"}))
    with pytest.raises(WriteRefused, match="companies 404 does not exist"):
        hubspot.create_task(task.model_copy(update={"target": target("404")}))


def test_a_task_without_the_scope_to_write_names_it(
    box: HubSpotSandbox, connect: Connect, task: CreateTask
):
    box.lacks = ["crm.objects.contacts.write"]

    with pytest.raises(ScopeMissing, match=r"crm\.objects\.contacts\.write"):
        connect(f"{box.token}_noscope").create_task(task)


def test_changing_a_task_leaves_the_other_parts_alone(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, target: Target, company: str
):
    made = hubspot.create_task(task)

    hubspot.change_task(
        ChangeTask(target=target(made.id, "tasks"), due=DUE + timedelta(days=2), title="Call")
    )

    its = tasks_of(box, company)[0]["properties"]
    assert (its["hs_task_subject"], its["hs_timestamp"]) == ("Call", "2026-03-12T09:00:00.000Z")
    assert as_text(its["hs_task_body"]) == BODY
    assert its["hubspot_owner_id"] == "70000001"


def test_closing_a_task_twice_completes_it_and_gives_the_reason_once(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, target: Target, company: str
):
    made = hubspot.create_task(task)
    closing = CloseTask(target=target(made.id, "tasks"), note="Closed by the hub: paid on 5 March.")

    hubspot.close_task(closing)
    hubspot.close_task(closing)

    its = tasks_of(box, company)[0]["properties"]
    assert its["hs_task_status"] == "COMPLETED"
    assert as_text(its["hs_task_body"]) == f"{BODY}\nClosed by the hub: paid on 5 March."


def test_what_people_did_with_a_task_is_seen_T54(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, target: Target
):
    ids = [hubspot.create_task(task).id for _ in range(3)]
    box.edit("tasks", ids[1], hs_task_status="COMPLETED", hs_task_subject="Called them")
    box.archive("tasks", ids[2])

    seen = list(hubspot.observe_tasks(ids))

    assert seen[0].values == {
        "status": "open",
        "due": "2026-03-10T09:00:00Z",
        "owner_id": "70000001",
        "title": "Call about the payment",
    }
    assert (seen[1].values["status"], seen[1].values["title"]) == ("done", "Called them")
    assert [one.exists for one in seen] == [True, True, False]


@pytest.mark.parametrize("write", ["change_task", "close_task"])
def test_a_task_that_is_gone_is_refused_as_gone_R24(
    box: HubSpotSandbox, hubspot: HubSpot, target: Target, write: str
):
    gone = target("100000000001", "tasks")
    action = ChangeTask(target=gone, title="x") if write == "change_task" else None

    with pytest.raises(WriteRefused) as caught:
        getattr(hubspot, write)(action or CloseTask(target=gone, note="x"))

    assert caught.value.code == "TARGET_GONE"


# --- notes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["companies", "tasks"])
def test_a_note_is_found_again_by_its_key_R2(
    box: HubSpotSandbox,
    hubspot: HubSpot,
    task: CreateTask,
    target: Target,
    company: str,
    kind: str,
):
    record = company if kind == "companies" else hubspot.create_task(task).id
    note = AddNote(target=target(record, kind), key="note-7", text="A third payment failed.")
    before = hubspot.find_note(note)
    box.faults.at_write(1, "lost_response")
    with suppress(WriteUnknown):
        hubspot.add_note(note)

    found = hubspot.find_note(note)

    assert before is None
    assert found is not None


def test_a_note_stands_on_its_company(
    box: HubSpotSandbox, hubspot: HubSpot, target: Target, company: str
):
    made = hubspot.add_note(AddNote(target=target(company), key="note-7", text="Renews in June."))

    assert box.linked("companies", company, "notes") == {made.id: [189]}
    text = as_text(box.objects["notes"][made.id]["properties"]["hs_note_body"])
    assert text == "Renews in June.\n(note-7)"


def test_limits_hold_for_writes_as_well_R12(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask
):
    for _ in range(250):
        hubspot.create_task(task)

    assert 429 not in {call.status for call in box.calls}


def test_a_task_that_met_a_limit_is_written_once_and_later_R12(
    box: HubSpotSandbox, hubspot: HubSpot, task: CreateTask, company: str
):
    box.faults.add(Fault("rate_limited", writes_only=True))

    hubspot.create_task(task)

    assert len(tasks_of(box, company)) == 1
