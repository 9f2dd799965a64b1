"""Reading Zendesk over a real socket: in full, what changed, ties, lag, deletions and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.zendesk import Zendesk
from connectors.zendesk.mapping import to_account, to_ticket
from connectors.zendesk.sandbox import ZendeskSandbox
from hub import Page, Position, ReadRefused, ScopeMissing, Ticket
from hub.testing.faults import Fault

LONG_AGO = datetime(2025, 6, 1, 9, tzinfo=UTC)
Connect = Callable[..., Zendesk]
ReadAll = Callable[[Iterator[Page]], tuple[list[str], Position | None]]

STREAMS = ("organizations", "users", "tickets")


def fill(box: ZendeskSandbox, stream: str, count: int, at: datetime, first: int = 1) -> list[str]:
    """So many records of one second."""
    ids = [str(first + number) for number in range(count)]
    for id in ids:
        match stream:
            case "organizations":
                box.put_organization(id, f"Company {id}", at)
            case "users":
                box.put_user(id, f"User {id}", f"user{id}@birchvale.example", at)
            case _:
                box.put_ticket(id, f"Ticket {id}", at)
    return ids


def exports(box: ZendeskSandbox) -> list[Any]:
    return [call for call in box.calls if "/incremental/" in call.path]


# --- everything ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_a_first_read_gives_everything_and_says_that_it_is_complete(
    box: ZendeskSandbox, zendesk: Zendesk, stream: str
):
    box.users.clear()
    ids = [id for day in range(3) for id in fill(
        box, stream, 800, LONG_AGO + timedelta(days=day), 1 + 1000 * day)]  # fmt: skip

    pages = list(getattr(zendesk, stream)(None))

    assert [str(row["id"]) for page in pages for row in page.rows] == ids
    assert [page.complete for page in pages] == [False, False, True]
    assert all(page.at is not None for page in pages)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stopped_first_read_goes_on_and_is_complete_only_at_its_end(
    box: ZendeskSandbox, zendesk: Zendesk, stream: str
):
    box.users.clear()
    early = fill(box, stream, 1000, LONG_AGO)
    late = fill(box, stream, 500, LONG_AGO + timedelta(days=1), 5000)
    first = next(iter(getattr(zendesk, stream)(Position.backfill(LONG_AGO))))

    pages = list(getattr(zendesk, stream)(first.at))

    assert [str(row["id"]) for row in first.rows] == early
    assert {str(row["id"]) for page in pages for row in page.rows} - set(early) == set(late)
    assert not first.complete
    assert pages[-1].complete
    assert "first" not in pages[-1].at.state


def test_a_first_read_of_tickets_goes_back_as_far_as_asked(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll
):
    fill(box, "tickets", 2, LONG_AGO)
    recent = fill(box, "tickets", 2, LONG_AGO + timedelta(days=100), 10)

    ids, at = read_all(zendesk.tickets(Position.backfill(LONG_AGO + timedelta(days=50))))

    assert ids == recent
    assert at is not None
    assert "cursor" in at.state


def test_organizations_and_users_are_read_however_old_they_are(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, organization: str
):
    box.put_user("5", "Ida Holm", "ida@birchvale.example", LONG_AGO)
    lately = Position.backfill(datetime(2026, 3, 1, tzinfo=UTC))

    assert read_all(zendesk.organizations(lately))[0] == [organization]
    assert "5" in read_all(zendesk.users(lately))[0]


@pytest.mark.parametrize("stream", STREAMS)
def test_an_account_without_records_is_read_without_complaint(
    box: ZendeskSandbox, zendesk: Zendesk, stream: str
):
    box.users.clear()

    pages = list(getattr(zendesk, stream)(None))

    assert [(list(page.rows), page.complete) for page in pages] == [([], True)]


def test_a_backfill_from_this_very_moment_is_not_refused(
    zendesk: Zendesk, box: ZendeskSandbox, read_all: ReadAll, clock
):
    ids, _ = read_all(zendesk.tickets(Position.backfill(clock.now())))

    assert ids == []
    assert [call.status for call in exports(box)] == [200]


def test_a_position_of_the_last_minute_is_not_refused(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, clock
):
    ahead = Position(state={"end_time": int(clock.now().timestamp())})

    ids, at = read_all(zendesk.organizations(ahead))

    assert (ids, at) == ([], ahead)
    assert [call.status for call in exports(box)] == [200]


# --- what changed ----------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["users", "tickets"])
def test_a_later_read_gives_what_changed_and_nothing_else(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, clock, stream: str
):
    fill(box, stream, 20, LONG_AGO)
    _, at = read_all(getattr(zendesk, stream)(None))
    clock.sleep(600)
    box.change(stream, "7", tags=["vip"])
    clock.sleep(61)

    pages = list(getattr(zendesk, stream)(at))

    assert [str(row["id"]) for page in pages for row in page.rows] == ["7"]
    assert not any(page.complete for page in pages)


def test_a_later_read_of_organizations_repeats_only_the_last_second_it_had(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, clock
):
    fill(box, "organizations", 20, LONG_AGO)
    fill(box, "organizations", 1, LONG_AGO + timedelta(days=1), 50)
    _, at = read_all(zendesk.organizations(None))
    clock.sleep(600)
    box.change("organizations", "7", name="Birch & Vale Group")
    clock.sleep(61)

    pages = list(zendesk.organizations(at))
    again = list(zendesk.organizations(pages[-1].at))

    assert [str(row["id"]) for page in pages for row in page.rows] == ["50", "7"]
    assert [str(row["id"]) for page in again for row in page.rows] == ["7"]
    assert not any(page.complete for page in (*pages, *again))


@pytest.mark.parametrize("stream", STREAMS)
def test_a_change_of_the_last_minute_comes_with_a_later_read_R6(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, clock, stream: str
):
    fill(box, stream, 3, LONG_AGO)
    _, at = read_all(getattr(zendesk, stream)(None))
    fill(box, stream, 1, clock.now(), 50)

    early, at = read_all(getattr(zendesk, stream)(at))
    clock.sleep(120)
    late, _ = read_all(getattr(zendesk, stream)(at))

    assert "50" not in early
    assert "50" in late


def test_records_of_the_same_second_are_none_lost_between_two_pages(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll
):
    same = LONG_AGO + timedelta(days=1)
    before = fill(box, "organizations", 999, LONG_AGO)
    tied = fill(box, "organizations", 5, same, 5000)

    ids, at = read_all(zendesk.organizations(None))

    assert sorted(ids, key=int) == before + tied
    assert len(ids) == len(set(ids))
    assert at == Position(state={"end_time": int(same.timestamp())})


@pytest.mark.parametrize("stream", STREAMS)
def test_an_import_of_thousands_in_one_second_is_read_whole(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, stream: str
):
    box.users.clear()
    ids = fill(box, stream, 2500, LONG_AGO)

    found, _ = read_all(getattr(zendesk, stream)(None))

    assert found == ids


def test_a_record_that_the_export_repeats_for_its_own_reasons_is_read_again(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, clock
):
    fill(box, "tickets", 3, LONG_AGO)
    _, at = read_all(zendesk.tickets(None))
    box.touch("tickets", "2")
    clock.sleep(120)

    pages = list(zendesk.tickets(at))

    assert [row["updated_at"] for page in pages for row in page.rows] == ["2025-06-01T09:00:00Z"]


@pytest.mark.parametrize(
    ("stream", "answer"),
    [
        ("tickets", {"tickets": [{"id": 1}], "after_cursor": "same", "end_of_stream": False}),
        ("users", {"users": [{"id": 1}], "after_cursor": None, "end_of_stream": False}),
        ("organizations", {
            "organizations": [{"id": 1}], "end_time": 5, "next_page": "/same",
            "end_of_stream": False,
        }),
        ("organizations", {
            "organizations": [{"id": 1}], "end_time": 5, "next_page": None, "end_of_stream": False,
        }),
    ],
)  # fmt: skip
def test_an_export_that_goes_in_circles_is_stopped_R6(
    zendesk: Zendesk, stream: str, answer: dict[str, object], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(zendesk.http, "get", lambda path, **params: answer)

    with pytest.raises(ReadRefused) as caught:
        list(getattr(zendesk, stream)(None))

    assert caught.value.code == "PAGINATION_STUCK"


def test_a_link_to_another_host_is_not_followed_SEC(
    zendesk: Zendesk, monkeypatch: pytest.MonkeyPatch
):
    real = zendesk.http.get
    elsewhere = {
        "organizations": [{"id": 1}], "end_time": 5, "end_of_stream": False,
        "next_page": "https://elsewhere.example/api/v2/incremental/organizations?start_time=5",
    }  # fmt: skip
    monkeypatch.setattr(
        zendesk.http,
        "get",
        lambda path, **params: elsewhere if path.startswith("/") else real(path, **params),
    )

    with pytest.raises(ReadRefused) as caught:
        list(zendesk.organizations(None))

    assert caught.value.code == "HOST_REFUSED"


def test_an_answer_without_its_list_is_no_empty_read(
    zendesk: Zendesk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(zendesk.http, "get", lambda path, **params: {"end_of_stream": True})

    with pytest.raises(ReadRefused) as caught:
        list(zendesk.tickets(None))

    assert caught.value.code == "SHAPE"


# --- limits and rights -----------------------------------------------------------------------


def test_ten_exports_a_minute_are_never_passed(
    box: ZendeskSandbox, zendesk: Zendesk, clock, read_all: ReadAll
):
    began = clock.now()

    for _ in range(8):
        for stream in STREAMS:
            read_all(getattr(zendesk, stream)(None))

    assert {call.status for call in exports(box)} == {200}
    assert clock.now() - began >= timedelta(seconds=120)


def test_when_others_export_too_the_wait_that_zendesk_names_is_kept(
    box: ZendeskSandbox, zendesk: Zendesk, clock, read_all: ReadAll, organization: str
):
    began = clock.now()
    box.faults.add(Fault("rate_limited", path="/incremental/", retry_after="37"))

    ids, _ = read_all(zendesk.organizations(None))

    assert ids == [organization]
    assert clock.now() - began >= timedelta(seconds=37)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_that_needs_the_admin_role_says_so(
    box: ZendeskSandbox, connect: Connect, stream: str
):
    agent = connect(client_secret=f"{box.client_secret}_noscope")

    with pytest.raises(ScopeMissing, match=rf"{stream}:read and the admin role"):
        list(getattr(agent, stream)(None))


# --- deletions and merges --------------------------------------------------------------------


def test_a_deleted_ticket_comes_as_deleted(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, clock
):
    fill(box, "tickets", 3, LONG_AGO)
    _, at = read_all(zendesk.tickets(None))
    box.delete_ticket("2")
    clock.sleep(120)

    [row] = [row for page in zendesk.tickets(at) for row in page.rows]

    assert to_ticket(row).status == "deleted"
    assert zendesk.tickets_by_ids(["1", "2"]) != []
    assert [row["id"] for row in zendesk.tickets_by_ids(["1", "2"])] == [1]
    assert list(zendesk.ticket_ids()) == [["1", "3"]]


def test_a_deleted_end_user_is_gone_and_an_agent_stays_inactive(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, clock
):
    box.put_user("5", "Ida Holm", "ida@birchvale.example", LONG_AGO)
    box.put_user("6", "Per Dahl", "per@hub-team.example", LONG_AGO, role="agent")
    _, at = read_all(zendesk.users(None))
    box.delete_user("5")
    box.delete_user("6")
    clock.sleep(120)

    [page] = zendesk.users(at)

    assert page.gone == ["5"]
    assert [str(row["id"]) for row in zendesk.users_by_ids(["5", "6"])] == ["6"]


def test_a_deleted_organization_is_missing_from_the_sweep_and_by_id(
    box: ZendeskSandbox, zendesk: Zendesk, organization: str
):
    box.put_organization("2", "Moss", LONG_AGO)
    box.delete_organization(organization)

    assert list(zendesk.organization_ids()) == [["2"]]
    assert [row["id"] for row in zendesk.organizations_by_ids([organization, "2"])] == [2]


def test_an_export_that_tells_of_a_deleted_organization_is_believed(
    box: ZendeskSandbox, zendesk: Zendesk, organization: str, clock
):
    box.tells_deleted = True
    box.delete_organization(organization)
    clock.sleep(120)

    [page] = zendesk.organizations(None)

    assert page.gone == [organization]


def test_after_a_merge_the_tickets_and_users_are_the_winners(
    box: ZendeskSandbox, zendesk: Zendesk, read_all: ReadAll, organization: str, clock
):
    box.put_organization("2", "Moss", LONG_AGO)
    box.put_user("5", "Ida Holm", "ida@birchvale.example", LONG_AGO, organization_id=2)
    box.put_ticket("9", "Sync stopped", LONG_AGO, organization_id=2)
    _, at = read_all(zendesk.tickets(None))
    box.merge_organizations("2", organization)
    clock.sleep(120)

    [row] = [row for page in zendesk.tickets(at) for row in page.rows]

    assert to_ticket(row).account.id == organization
    assert zendesk.users_by_ids(["5"])[0]["organization_id"] == int(organization)
    assert zendesk.organizations_by_ids(["2"]) == []


# --- whole rows ------------------------------------------------------------------------------


@pytest.mark.parametrize("by_id", [False, True])
def test_tickets_come_with_the_time_they_were_solved(
    box: ZendeskSandbox, zendesk: Zendesk, organization: str, by_id: bool
):
    solved = LONG_AGO + timedelta(days=2)
    box.put_ticket("9", "Sync stopped", LONG_AGO, status="solved", solved_at=solved,
                   organization_id=int(organization))  # fmt: skip
    box.change("tickets", "9", status="closed")
    box.moved["tickets"]["9"] = int(solved.timestamp())

    rows = zendesk.tickets_by_ids(["9"]) if by_id else next(iter(zendesk.tickets(None))).rows

    ticket = to_ticket(rows[0])
    assert isinstance(ticket, Ticket)
    assert ticket.closed_at == solved
    assert ticket.url == f"{box.url}/agent/tickets/9"


def test_organizations_say_whose_their_external_ids_are(
    box: ZendeskSandbox, connect: Connect, organization: str
):
    box.change("organizations", organization, external_id="9000000001")
    box.moved["organizations"][organization] = int(LONG_AGO.timestamp())

    told = connect(external_id_is="hubspot").organizations_by_ids([organization])
    untold = next(iter(connect().organizations(None))).rows

    assert to_account(told[0]).external == {"hubspot": "9000000001"}
    assert to_account(untold[0]).external == {}
    assert to_account(told[0]).url == f"{box.url}/agent/organizations/{organization}"


def test_records_are_read_by_id_a_hundred_at_a_time(box: ZendeskSandbox, zendesk: Zendesk):
    ids = fill(box, "organizations", 130, LONG_AGO)

    rows = zendesk.organizations_by_ids([*ids, "999", ids[0]])

    assert [str(row["id"]) for row in rows] == ids
    assert sum("show_many" in call.path for call in box.calls) == 2


@pytest.mark.parametrize(
    ("stream", "ids"),
    [("organizations", "organization_ids"), ("users", "user_ids"), ("tickets", "ticket_ids")],
)
def test_the_sweep_lists_every_id_over_several_pages(
    box: ZendeskSandbox, zendesk: Zendesk, stream: str, ids: str
):
    box.users.clear()
    known = fill(box, stream, 250, LONG_AGO)

    pages = list(getattr(zendesk, ids)())

    assert [len(page) for page in pages] == [100, 100, 50]
    assert [id for page in pages for id in page] == known


def test_a_list_that_goes_in_circles_is_stopped_R6(
    zendesk: Zendesk, monkeypatch: pytest.MonkeyPatch
):
    answer = {"users": [{"id": 1}], "meta": {"has_more": True, "after_cursor": "same"}}
    monkeypatch.setattr(zendesk.http, "get", lambda path, **params: answer)

    with pytest.raises(ReadRefused) as caught:
        list(zendesk.user_ids())

    assert caught.value.code == "PAGINATION_STUCK"


def test_what_the_hub_wrote_is_not_kept_of_an_organization():
    kept = Zendesk.streams["organizations"].keeps

    assert kept is not None
    assert not any(path.startswith("organization_fields") for path in kept)
    assert Zendesk.streams["organizations"].custom == "organization_fields"
