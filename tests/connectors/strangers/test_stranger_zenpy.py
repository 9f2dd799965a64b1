"""zenpy, the usual Python client for Zendesk, works with the stand-in unmodified.

It cannot be told an address, but it puts one together from its subdomain and domain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from zenpy import Zenpy
from zenpy.lib.api_objects import Comment, Organization, OrganizationField, Ticket
from zenpy.lib.exception import APIException, RatelimitBudgetExceeded, RecordNotFoundException

from connectors.zendesk.sandbox import ZendeskSandbox
from hub.testing.faults import Fault

Connect = Callable[..., Zenpy]


@pytest.fixture
def box(clock: Any) -> Iterator[ZendeskSandbox]:
    with ZendeskSandbox(clock=clock.now) as sandbox:
        yield sandbox
        assert sandbox.crashes == []


@pytest.fixture
def connect(box: ZendeskSandbox, monkeypatch: pytest.MonkeyPatch) -> Connect:
    monkeypatch.setenv("ZENPY_FORCE_SCHEME", "http")
    subdomain, _, domain = box.url.removeprefix("http://").partition(".")

    def make(**more: Any) -> Zenpy:
        known = {"email": box.email, "token": box.token}
        known = {} if "oauth_token" in more else known
        return Zenpy(subdomain=subdomain, domain=domain, disable_cache=True, **(known | more))

    return make


@pytest.fixture
def client(connect: Connect) -> Zenpy:
    return connect()


def organizations(box: ZendeskSandbox, clock: Any, count: int) -> list[int]:
    """The ids of organizations that the export shows already."""
    long_ago = clock.now() - timedelta(days=30)
    ids = [36_000_000_001 + number for number in range(count)]
    for number, id in enumerate(ids):
        box.put_organization(str(id), f"Organization {number:03d}", long_ago)
    return ids


def tickets(box: ZendeskSandbox, clock: Any, count: int, **more: Any) -> list[int]:
    """The ids of tickets, each a second after the other."""
    long_ago = clock.now() - timedelta(days=30)
    ids = [501 + number for number in range(count)]
    for number, id in enumerate(ids):
        box.put_ticket(str(id), f"Ticket {id}", long_ago + timedelta(seconds=number), **more)
    return ids


def told(error: Any) -> dict[str, Any]:
    """What Zendesk said with a refusal."""
    said: dict[str, Any] = json.loads(str(error.value))
    return said


# --- reading -----------------------------------------------------------------------------------


def test_the_caller_is_named(box: ZendeskSandbox, client: Zenpy):
    me = client.users.me()

    assert (me.email, me.role) == (box.email, "admin")


def test_all_organizations_are_paged_through_by_cursor(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    ids = organizations(box, clock, 230)

    found = [organization.id for organization in client.organizations()]

    assert found == ids
    assert len(box.calls) == 3


def test_tickets_are_paged_through_by_number_too(box: ZendeskSandbox, clock: Any, client: Zenpy):
    ids = tickets(box, clock, 120)

    found = [ticket.id for ticket in client.tickets(cursor_pagination=False)]

    assert found == ids


def test_records_are_read_by_one_id_and_by_many(box: ZendeskSandbox, clock: Any, client: Zenpy):
    ids = organizations(box, clock, 3)

    one = client.organizations(id=ids[1])
    some = client.organizations(ids=[ids[0], ids[2], 1])

    assert one.name == "Organization 001"
    assert [organization.id for organization in some] == [ids[0], ids[2]]


def test_tickets_are_found_by_their_external_id_and_users_by_role(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    (ours,) = tickets(box, clock, 1, external_id="hub:payment-1")
    box.put_ticket("900", "Another")
    box.put_user("7", "Ann Vale", "ann@birch.example")

    found = client.tickets(external_id="hub:payment-1")
    admins = client.users(role="admin")

    assert [ticket.id for ticket in found] == [ours]
    assert [user.email for user in admins] == [box.email]


# --- exports -----------------------------------------------------------------------------------


def test_tickets_are_exported_by_cursor_with_their_metrics(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    ids = tickets(box, clock, 5)
    box.solve(str(ids[0]))
    clock.passes(120)

    export = client.tickets.incremental(start_time=0, include=["metric_sets"], per_page=2)
    found = {ticket.id: ticket for ticket in export}

    assert sorted(found) == ids
    assert found[ids[0]].metric_set["solved_at"] is not None
    assert len(box.calls) == 3


def test_an_export_goes_on_from_its_cursor_and_tells_of_deleted_tickets(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    ids = tickets(box, clock, 3)
    export = client.tickets.incremental(start_time=0)
    before = [ticket.id for ticket in export]
    box.delete_ticket(str(ids[1]))

    at_once = list(client.tickets.incremental(cursor=export.after_cursor))
    clock.passes(120)
    later = list(client.tickets.incremental(cursor=export.after_cursor))

    assert before == ids
    assert at_once == []
    assert [(ticket.id, ticket.status) for ticket in later] == [(ids[1], "deleted")]


def test_organizations_and_users_are_exported_by_time(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    ids = organizations(box, clock, 3)

    exported = client.organizations.incremental(start_time=0, per_page=2)
    users = client.users.incremental(start_time=0)

    assert {organization.id for organization in exported} == set(ids)
    assert [user.email for user in users] == [box.email]


def test_a_start_within_the_last_minute_is_refused(clock: Any, client: Zenpy):
    now = int(clock.now().timestamp())

    with pytest.raises(APIException) as error:
        client.organizations.incremental(start_time=now)

    assert error.value.response.status_code == 422


# --- writing -----------------------------------------------------------------------------------


def test_a_drop_down_is_made_and_set_on_one_organization(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    (id,) = organizations(box, clock, 1)
    options = [{"name": "At risk", "value": "hub_at_risk"}]

    client.organization_fields.create(
        OrganizationField(
            key="hub_health", title="Health", type="dropdown", custom_field_options=options
        )
    )
    organization = client.organizations(id=id)
    organization.organization_fields["hub_health"] = "hub_at_risk"
    changed = client.organizations.update(organization)

    assert changed.organization_fields["hub_health"] == "hub_at_risk"
    assert changed.tags == ["hub_at_risk"]
    assert [field.key for field in client.organization_fields()] == ["hub_health"]


def test_many_organizations_are_changed_by_a_job(box: ZendeskSandbox, clock: Any, client: Zenpy):
    ids = organizations(box, clock, 2)
    changed = [Organization(id=id, notes="Call them") for id in ids]

    job = client.organizations.update(changed)
    clock.passes(5)
    done = client.job_status(id=job.id)

    assert job.status == "queued"
    assert done.status == "completed"
    assert [result.success for result in done.results] == [True, True]
    assert client.organizations(id=ids[0]).notes == "Call them"


def test_an_organization_is_made_and_deleted_and_its_name_is_its_own(
    box: ZendeskSandbox, client: Zenpy
):
    made = client.organizations.create(
        Organization(name="Birch & Vale", domain_names=["birch.example"])
    )

    with pytest.raises(APIException) as error:
        client.organizations.create(Organization(name="Birch & Vale"))
    client.organizations.delete(made)

    assert error.value.response.status_code == 422
    assert told(error)["details"]["name"][0]["description"]
    assert str(made.id) not in box.organizations


def a_task(**more: Any) -> Ticket:
    return Ticket(
        subject="Call Birch & Vale",
        comment=Comment(body="The last invoice failed twice.", public=False),
        type="task",
        due_at="2026-03-10T09:00:00Z",
        priority="high",
        external_id="hub:payment-1",
        tags=["hub_task"],
        **more,
    )


def test_a_task_is_made_commented_on_and_solved(box: ZendeskSandbox, client: Zenpy):
    agent = box.put_user("380000000001", "Ida Holm", "ida@hub-team.example", role="agent")

    made = client.tickets.create(a_task(assignee_id=agent["id"])).ticket
    made.comment = Comment(body="They will pay on Friday.", public=False)
    made.status = "solved"
    solved = client.tickets.update(made).ticket
    said = [comment.body for comment in client.tickets.comments(made)]

    assert (made.type, made.priority, solved.status) == ("task", "high", "solved")
    assert said == ["The last invoice failed twice.", "They will pay on Friday."]
    assert box.metrics[str(made.id)]["solved_at"] is not None


def test_one_idempotency_key_makes_one_ticket_and_refuses_another_body(
    box: ZendeskSandbox, clock: Any, connect: Connect
):
    client = connect()
    client.tickets.session.headers["Idempotency-Key"] = "payment-1"

    first = client.tickets.create(a_task()).ticket
    second = client.tickets.create(a_task()).ticket
    with pytest.raises(APIException) as error:
        client.tickets.create(a_task(custom_fields=[]))
    clock.passes(3 * 3600)
    after_it_ended = client.tickets.create(a_task()).ticket

    assert first.id == second.id
    assert error.value.response.status_code == 400
    assert after_it_ended.id != first.id
    assert len(box.tickets) == 2


def test_a_safe_update_is_refused_when_somebody_else_was_there_first(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    made = client.tickets.create(a_task()).ticket
    clock.passes(60)
    box.change("tickets", str(made.id), priority="low")

    made.updated_stamp, made.safe_update, made.priority = made.updated_at, True, "urgent"
    with pytest.raises(APIException) as error:
        client.tickets.update(made)

    assert error.value.response.status_code == 409
    assert box.tickets[str(made.id)]["priority"] == "low"


def test_a_closed_ticket_takes_nothing_more_and_a_deleted_one_is_gone(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    closed, gone = tickets(box, clock, 2)
    box.change("tickets", str(closed), status="closed")

    with pytest.raises(APIException) as error:
        client.tickets.update(Ticket(id=closed, priority="low"))
    client.tickets.delete(Ticket(id=gone))
    with pytest.raises(RecordNotFoundException):
        client.tickets(id=gone)

    assert error.value.response.status_code == 422


def test_a_ticket_of_the_team_cannot_carry_a_customers_organization(
    box: ZendeskSandbox, clock: Any, client: Zenpy
):
    (organization,) = organizations(box, clock, 1)

    with pytest.raises(APIException) as error:
        client.tickets.create(a_task(organization_id=organization))

    assert "organization" in told(error)["details"]


# --- errors and limits -------------------------------------------------------------------------


def test_what_is_not_there_is_told_apart_from_other_refusals(client: Zenpy):
    with pytest.raises(RecordNotFoundException):
        client.organizations(id=1)


@pytest.mark.parametrize(("ending", "status"), [("_revoked", 401), ("_noscope", 403)])
def test_a_bad_token_is_told_from_a_missing_role(
    box: ZendeskSandbox, connect: Connect, ending: str, status: int
):
    client = connect(token=box.token + ending)

    with pytest.raises(APIException) as error:
        client.organizations.incremental(start_time=0)

    assert error.value.response.status_code == status


def test_an_access_token_works_as_well(box: ZendeskSandbox, clock: Any, connect: Connect):
    ends = clock.now().timestamp() + 60
    box.tokens["access-1"] = {"expires": ends, "scope": "read", "full": True}
    client = connect(oauth_token="access-1")

    me = client.users.me()
    clock.passes(120)
    with pytest.raises(APIException) as error:
        client.users.me()

    assert me.email == box.email
    assert error.value.response.status_code == 401


def test_the_eleventh_export_in_a_minute_is_told_how_long_to_wait(
    box: ZendeskSandbox, connect: Connect
):
    client = connect(ratelimit_budget=1)
    for _ in range(10):
        client.organizations.incremental(start_time=0)

    with pytest.raises(RatelimitBudgetExceeded):
        client.organizations.incremental(start_time=0)

    assert box.calls[-1].status == 429


def test_the_clients_own_wait_gets_over_a_limit(box: ZendeskSandbox, client: Zenpy):
    box.faults.add(Fault("rate_limited", retry_after="1"))

    me = client.users.me()

    assert me.email == box.email
    assert [call.status for call in box.calls] == [429, 200]
