"""Reading HubSpot over a real socket: lists, searches, ties, lag, deletes and merges."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.hubspot import HubSpot
from connectors.hubspot.sandbox import HubSpotSandbox
from hub import HubError, Page, Position, ReadRefused, ScopeMissing
from hub.testing.faults import Fault

Connect = Callable[..., HubSpot]
ReadAll = Callable[[Iterator[Page]], tuple[list[str], Position | None]]

IMPORTED = datetime.fromisoformat("2026-02-01T00:00:00Z")


def fill(box: HubSpotSandbox, count: int, at: datetime = IMPORTED, first: int = 1) -> list[str]:
    ids = [str(9_000_000_000 + number) for number in range(first, first + count)]
    for id in ids:
        box.put("companies", id, {"name": f"Company {id}"}, at)
    return ids


def searches(box: HubSpotSandbox) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in box.calls if call.path.endswith("/search")]


# --- the first read --------------------------------------------------------------------------


def test_the_first_read_lists_every_company_once_over_several_pages(
    box: HubSpotSandbox, hubspot: HubSpot, read_all: ReadAll
):
    ids = fill(box, 230)

    found, at = read_all(hubspot.companies(None))

    assert found == ids
    assert at is not None
    assert "changed_since" in at.state


def test_only_the_last_page_of_a_listing_is_complete(box: HubSpotSandbox, hubspot: HubSpot):
    fill(box, 230)

    pages = list(hubspot.companies(None))

    assert [page.complete for page in pages] == [False, False, True]


def test_a_stopped_listing_goes_on_at_the_next_page(
    box: HubSpotSandbox, hubspot: HubSpot, read_all: ReadAll
):
    ids = fill(box, 230)
    first = next(iter(hubspot.companies(None)))

    rest, _ = read_all(hubspot.companies(first.at))

    assert rest == ids[100:]


def test_what_changes_while_the_first_read_lists_is_found_by_the_next_one_R4(
    box: HubSpotSandbox,
    hubspot: HubSpot,
    connect: Connect,
    clock: Any,
    read_all: ReadAll,
):
    ids = fill(box, 230)
    pages = iter(hubspot.companies(None))
    next(pages)
    clock.sleep(60)
    box.edit("companies", ids[3], name="Renamed meanwhile")
    _, at = read_all(pages)
    clock.sleep(3600)

    found, _ = read_all(connect().companies(at))

    assert ids[3] in found


def test_backfill_reads_the_whole_list(box: HubSpotSandbox, hubspot: HubSpot, read_all: ReadAll):
    ids = fill(box, 3)

    found, _ = read_all(hubspot.companies(Position.backfill(IMPORTED + timedelta(days=9))))

    assert found == ids


def test_a_row_carries_the_address_of_its_page(hubspot: HubSpot, box: HubSpotSandbox, company: str):
    [row] = hubspot.companies_by_ids([company])

    assert row["url"] == f"{box.url}/contacts/{box.portal['portalId']}/record/0-2/{company}"


def test_contacts_come_with_their_companies_and_the_primary_one_decides(
    box: HubSpotSandbox, hubspot: HubSpot, company: str
):
    other = box.add("companies", {"name": "Agency"})
    person = box.add("contacts", {"email": "lene@birchvale.example"}, company=company)
    box.link("contacts", person, "companies", other)

    [page] = hubspot.contacts(None)

    mapped = HubSpot.streams["contacts"].maps(page.rows[0])
    assert mapped.account.id == company


def test_deals_come_with_their_company_and_what_their_stage_means(
    box: HubSpotSandbox, hubspot: HubSpot, company: str
):
    sale = {
        "dealname": "Renewal",
        "pipeline": "default",
        "dealstage": "closedwon",
        "amount": "49.9",
    }
    box.add("deals", sale, company=company)

    [page] = hubspot.deals(None)

    deal = HubSpot.streams["deals"].maps(page.rows[0])
    assert (deal.is_won, deal.is_closed, deal.stage) == (True, True, "Closed won")
    assert (deal.amount_minor, deal.currency, deal.account.id) == (4990, "EUR", company)


def test_owners_are_read_in_full_each_time_with_the_deactivated_ones(
    hubspot: HubSpot, read_all: ReadAll
):
    found, at = read_all(hubspot.owners(None))

    assert found == ["70000001", "70000002"]
    assert at is None
    assert [row["archived"] for row in hubspot.owners_by_ids(["70000002"])] == [True]


def test_the_teams_own_fields_are_fetched_also_when_they_are_too_many_for_an_address(
    box: HubSpotSandbox, connect: Connect, company: str
):
    names = [f"a_rather_long_name_of_a_custom_field_number_{number:03}" for number in range(60)]
    for name in names:
        box.add_property("companies", name)
    box.edit("companies", company, **{names[59]: "yes"})

    [page] = connect(custom={"companies": names}).companies(None)

    assert page.rows[0]["properties"][names[59]] == "yes"
    assert page.rows[0]["properties"]["name"] == "Birch & Vale"


# --- what changed ----------------------------------------------------------------------------


def test_a_later_read_sees_the_change_and_nothing_else(
    box: HubSpotSandbox, hubspot: HubSpot, connect: Connect, clock: Any, read_all: ReadAll
):
    ids = fill(box, 30)
    fill(box, 1, IMPORTED + timedelta(days=1), first=500)
    _, at = read_all(hubspot.companies(None))
    clock.sleep(3600)
    box.edit("companies", ids[7], name="Renamed")
    clock.sleep(3600)
    _, at = read_all(connect().companies(at))
    box.edit("companies", ids[9], name="Renamed too")
    clock.sleep(3600)

    found, _ = read_all(connect().companies(at))

    assert set(found) == {ids[7], ids[9]}  # the newest known row is always read again


def test_contacts_follow_their_own_date_of_change(
    box: HubSpotSandbox, hubspot: HubSpot, connect: Connect, clock: Any, read_all: ReadAll
):
    box.put("contacts", "1", {"email": "old@birch.example"}, IMPORTED)
    box.put("contacts", "2", {"email": "new@birch.example"}, IMPORTED + timedelta(days=1))
    _, at = read_all(hubspot.contacts(None))
    clock.sleep(3600)
    box.edit("contacts", "1", jobtitle="CFO")
    clock.sleep(60)

    found, _ = read_all(connect().contacts(at))

    assert set(found) == {"1", "2"}
    assert searches(box)[-1]["sorts"][0]["propertyName"] == "lastmodifieddate"


def test_a_change_that_the_search_shows_late_is_not_lost_R4(
    box: HubSpotSandbox, hubspot: HubSpot, connect: Connect, clock: Any, read_all: ReadAll
):
    ids = fill(box, 3)
    _, at = read_all(hubspot.companies(None))
    box.lag_s = 120
    clock.sleep(3600)
    box.edit("companies", ids[0], name="Late to appear")
    clock.sleep(30)
    _, at = read_all(connect().companies(at))
    clock.sleep(300)

    found, _ = read_all(connect().companies(at))

    assert ids[0] in found


def test_the_cursor_stays_behind_what_was_newest_when_a_long_read_began_R4(
    box: HubSpotSandbox, connect: Connect, clock: Any, read_all: ReadAll
):
    """A change may become visible behind the reader while it pages on for longer than the lag."""
    ids = fill(box, 450, IMPORTED)
    for number, id in enumerate(ids):
        box.put("companies", id, {"name": id}, IMPORTED + timedelta(seconds=number))
    start = Position(state={"changed_since": int(IMPORTED.timestamp() * 1000)})
    newest = int((IMPORTED + timedelta(seconds=449)).timestamp() * 1000)
    pages = iter(connect().companies(start))
    next(pages)
    clock.sleep(3600)
    box.edit("companies", ids[440], name="Changed while reading")
    clock.sleep(60)

    _, at = read_all(pages)

    assert at == Position(state={"changed_since": newest})


def test_updates_during_paging_move_no_other_record_out_of_sight_R4(
    box: HubSpotSandbox, connect: Connect, clock: Any, read_all: ReadAll
):
    ids = fill(box, 450)
    for number, id in enumerate(ids):
        box.put("companies", id, {"name": id}, IMPORTED + timedelta(seconds=number))
    start = Position(state={"changed_since": int(IMPORTED.timestamp() * 1000)})
    pages = iter(connect().companies(start))
    seen = [str(row["id"]) for row in next(pages).rows]
    for id in ids[:150]:
        box.edit("companies", id, name="Touched")
    clock.sleep(60)

    rest, _ = read_all(pages)

    assert set(seen) | set(rest) == set(ids)


def test_all_25000_changes_of_one_instant_arrive_behind_the_cap_of_10000_R5_T6(
    box: HubSpotSandbox, connect: Connect, read_all: ReadAll
):
    ids = fill(box, 25_000)
    start = Position(state={"changed_since": int(IMPORTED.timestamp() * 1000)})

    found, _ = read_all(connect().companies(start))

    assert len(found) == 25_000
    assert set(found) == set(ids)


def test_more_than_10000_changes_over_time_arrive_without_an_offset_R5(
    box: HubSpotSandbox, connect: Connect, read_all: ReadAll
):
    ids = fill(box, 10_300)
    for number, id in enumerate(ids):
        box.put("companies", id, {"name": id}, IMPORTED + timedelta(seconds=number // 7))
    start = Position(state={"changed_since": int(IMPORTED.timestamp() * 1000)})

    found, _ = read_all(connect().companies(start))

    assert set(found) == set(ids)
    assert {search["after"] for search in searches(box)} == {"0"}


def test_one_absurd_date_does_not_hide_later_changes(
    box: HubSpotSandbox, hubspot: HubSpot, connect: Connect, clock: Any, read_all: ReadAll
):
    ids = fill(box, 2)
    box.put("companies", ids[0], {"name": "From the future"}, clock.now() + timedelta(days=900))
    box.lag_s = -(10**9)
    start = Position(state={"changed_since": int(IMPORTED.timestamp() * 1000)})
    _, at = read_all(connect().companies(start))
    clock.sleep(60)
    box.edit("companies", ids[1], name="Changed today")

    found, _ = read_all(connect().companies(at))

    assert ids[1] in found


def test_searches_keep_to_five_a_second_and_other_calls_to_a_hundred_in_ten_R12(
    box: HubSpotSandbox, hubspot: HubSpot, read_all: ReadAll
):
    fill(box, 3000)
    start = Position(state={"changed_since": int(IMPORTED.timestamp() * 1000)})

    read_all(hubspot.companies(start))
    read_all(hubspot.companies(None))

    assert 429 not in {call.status for call in box.calls}


# --- gone and merged -------------------------------------------------------------------------


def test_a_deleted_company_is_missing_among_the_ids_and_by_id_T7(
    box: HubSpotSandbox, hubspot: HubSpot
):
    ids = fill(box, 205)
    box.archive("companies", ids[4])

    listed = [id for some in hubspot.company_ids() for id in some]

    assert set(ids) - set(listed) == {ids[4]}
    assert [row["id"] for row in hubspot.companies_by_ids(ids[3:6])] == [ids[3], ids[5]]


def test_a_merged_company_answers_as_its_survivor_and_the_next_read_says_so_T8(
    box: HubSpotSandbox, hubspot: HubSpot, connect: Connect, clock: Any
):
    ids = fill(box, 3)
    *_, last = hubspot.companies(None)
    clock.sleep(3600)
    box.merge("companies", ids[0], ids[1])
    box.merge("companies", ids[2], ids[0])
    clock.sleep(60)

    pages = list(connect().companies(last.at))

    assert {old: new for page in pages for old, new in page.merged.items()} == {
        ids[0]: ids[2],
        ids[1]: ids[2],
    }
    assert [row["id"] for row in hubspot.companies_by_ids([ids[1]])] == [ids[2]]


def test_every_stream_lists_its_ids_and_reads_by_them(
    box: HubSpotSandbox, hubspot: HubSpot, company: str
):
    person = box.add("contacts", {"email": "lene@birchvale.example"}, company=company)
    sale = box.add("deals", {"dealname": "Renewal"}, company=company)
    expected = {"companies": {company}, "contacts": {person}, "deals": {sale}}
    expected["owners"] = {"70000001", "70000002"}

    for name, stream in HubSpot.streams.items():
        ids = {id for some in stream.list_ids(hubspot) for id in some}
        rows = stream.read_by_ids(hubspot, sorted(ids))

        assert ids == expected[name]
        assert {stream.id_of(row) for row in rows} == ids


# --- when things go wrong --------------------------------------------------------------------


def test_a_missing_scope_stops_one_stream_and_is_named_R15(
    box: HubSpotSandbox, connect: Connect, read_all: ReadAll, company: str
):
    hubspot = connect(f"{box.token}_noscope")

    with pytest.raises(ScopeMissing, match=r"crm\.objects\.deals\.read"):
        list(hubspot.deals(None))

    assert read_all(hubspot.companies(None))[0] == [company]


@pytest.mark.parametrize(
    "kind",
    ["reset", "lost_response", "server_error", "rate_limited", "truncated", "cut_body", "bad_utf8"],
)
def test_a_passing_trouble_costs_nothing_but_a_repeated_call(
    box: HubSpotSandbox, hubspot: HubSpot, read_all: ReadAll, kind: Any
):
    ids = fill(box, 230)
    box.faults.add(Fault(kind, path=r"/companies$", at=2))

    found, _ = read_all(hubspot.companies(None))

    assert found == ids


@pytest.mark.parametrize("kind", ["html", "empty"])
def test_an_answer_without_records_is_an_error_and_not_an_empty_account_R7(
    box: HubSpotSandbox, hubspot: HubSpot, kind: Any
):
    fill(box, 3)
    box.faults.add(Fault(kind, path=r"/companies$", times=None))

    with pytest.raises(ReadRefused):
        list(hubspot.companies(None))


def test_a_listing_that_goes_in_circles_is_stopped_R6(
    box: HubSpotSandbox, hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch
):
    fill(box, 230)
    page = box.page_by_id
    monkeypatch.setattr(box, "page_by_id", lambda *args: (page(*args)[0], "0"))

    with pytest.raises(ReadRefused) as caught:
        list(hubspot.company_ids())

    assert caught.value.code == "PAGINATION_STUCK"
    assert len(box.calls) <= 3


def test_an_error_carries_hubspots_correlation_id_and_no_token(
    box: HubSpotSandbox, connect: Connect
):
    hubspot = connect(f"{box.token}_noscope")

    with pytest.raises(HubError) as caught:
        list(hubspot.deals(None))

    assert "correlation 00000000-" in str(caught.value)
    assert box.token not in str(caught.value)
