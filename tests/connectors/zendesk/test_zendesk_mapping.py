"""What Zendesk's rows mean, told with plain values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.zendesk.mapping import is_gone, to_account, to_ticket, to_user
from hub import Account, AccountRef, Ignored, Owner, Person, RecordRejected, Ticket

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
EARLIER = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def a_ticket(**more: object) -> dict[str, object]:
    return {
        "id": 7, "status": "open", "created_at": "2026-03-01T08:30:00Z",
        "updated_at": "2026-03-04T12:00:00Z", "organization_id": 36, "requester_id": 12,
        "subject": "Export stops", "tags": [], **more,
    }  # fmt: skip


def a_user(**more: object) -> dict[str, object]:
    return {"id": 5, "name": "Ida Holm", "email": "ida@birchvale.example", "active": True, **more}


def test_an_organization_is_an_account_with_all_its_domains():
    row = {"id": 36, "name": " Birch & Vale ", "domain_names": ["a.example", "b.example"],
           "tags": ["vip", "eu"], "created_at": "2026-03-01T08:30:00Z"}  # fmt: skip

    account = to_account(row)

    assert account == Account(
        id="36",
        name="Birch & Vale",
        domains=("a.example", "b.example"),
        created_at=EARLIER,
        extra={"tags": "vip, eu"},
    )


def test_an_external_id_counts_only_where_the_admin_said_whose_it_is():
    row = {"id": 36, "name": "Birch & Vale", "external_id": "9000000001"}

    assert to_account(row).external == {}
    assert to_account({**row, "external_id_is": "hubspot"}).external == {"hubspot": "9000000001"}
    assert to_account({**row, "external_id": "", "external_id_is": "hubspot"}).external == {}


def test_what_the_hub_wrote_is_no_tag():
    row = {"id": 36, "name": "Birch & Vale", "tags": ["hub_at_risk", "vip"]}

    assert to_account(row).extra == {"tags": "vip"}
    assert to_ticket(a_ticket(tags=["sync", "hub_at_risk"])).tags == ("sync",)


def test_an_end_user_is_a_person_at_an_organization():
    person = to_user(a_user(role="end-user", organization_id=36, verified=False))

    assert person == Person(
        id="5",
        account=AccountRef(id="36", object="organizations"),
        name="Ida Holm",
        email="ida@birchvale.example",
        email_verified=False,
    )


def test_an_end_user_without_an_organization_stays_unassigned():
    person = to_user(a_user(role="end-user", organization_id=None))

    assert isinstance(person, Person)
    assert person.account is None


@pytest.mark.parametrize("role", ["agent", "admin"])
def test_agents_and_admins_are_the_team(role: str):
    owner = to_user(a_user(role=role, organization_id=36))

    assert owner == Owner(id="5", name="Ida Holm", email="ida@birchvale.example")


@pytest.mark.parametrize("left", [{"suspended": True}, {"active": False}])
def test_an_agent_who_left_is_not_active(left: dict[str, object]):
    owner = to_user(a_user(role="agent", **left))

    assert isinstance(owner, Owner)
    assert not owner.is_active
    assert not is_gone(a_user(role="agent", **left))


def test_a_role_that_zendesk_does_not_have_is_set_aside_by_name():
    with pytest.raises(RecordRejected, match="role is 'robot'"):
        to_user(a_user(role="robot"))


@pytest.mark.parametrize("status", ["new", "open", "pending", "hold", "waiting_for_parts"])
def test_whatever_a_ticket_waits_for_it_is_open(status: str):
    ticket = to_ticket(a_ticket(status=status, priority="high"))

    assert ticket == Ticket(
        id="7",
        account=AccountRef(id="36", object="organizations"),
        subject="Export stops",
        status="open",
        priority="high",
        requester_id="12",
        opened_at=EARLIER,
        updated_at=NOON,
    )


@pytest.mark.parametrize("status", ["solved", "closed"])
def test_a_ticket_closed_when_it_was_solved_not_when_it_was_last_touched(status: str):
    solved = {"solved_at": "2026-03-02T09:00:00Z"}

    known = to_ticket(a_ticket(status=status, metric_set=solved))
    guessed = to_ticket(a_ticket(status=status, metric_set={"solved_at": None}))

    assert isinstance(known, Ticket)
    assert isinstance(guessed, Ticket)
    assert (known.status, known.closed_at) == ("closed", datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert guessed.closed_at == NOON


def test_a_reopened_ticket_is_not_closed_although_it_was_solved_once():
    ticket = to_ticket(a_ticket(metric_set={"solved_at": "2026-03-02T09:00:00Z"}))

    assert isinstance(ticket, Ticket)
    assert (ticket.status, ticket.closed_at) == ("open", None)


def test_a_deleted_ticket_is_deleted():
    assert to_ticket(a_ticket(status="deleted")).status == "deleted"


def test_a_ticket_without_an_organization_stays_unassigned():
    assert to_ticket(a_ticket(organization_id=None)).account is None


@pytest.mark.parametrize(
    "mark", [{"external_id": "hub:payment-k3j7"}, {"tags": ["hub_task", "billing"]}]
)
def test_a_ticket_that_the_hub_wrote_is_no_evidence(mark: dict[str, object]):
    assert to_ticket(a_ticket(**mark)) == Ignored(why="written by the hub")


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"created_at": None}, "created_at is empty"),
        ({"created_at": "yesterday"}, "created_at is 'yesterday'"),
        ({"status": None}, "status is None"),
        ({"status": "solved", "metric_set": {"solved_at": "x"}}, "solved_at is 'x'"),
    ],
)
def test_an_odd_ticket_is_set_aside_and_the_field_is_named(odd: dict[str, object], why: str):
    with pytest.raises(RecordRejected, match=why):
        to_ticket(a_ticket(**odd))
