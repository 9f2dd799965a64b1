"""The stand-in is as strict as Zendesk: its rules, limits, paging and refusals."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from connectors.zendesk.sandbox import ZendeskSandbox, record_id
from hub.testing.kit import company_id

Answer = tuple[int, Mapping[str, str], Any]
Ask = Callable[..., Answer]
LONG_AGO = datetime(2025, 6, 1, 9, tzinfo=UTC)


def send(
    box: ZendeskSandbox,
    method: str,
    path: str,
    *,
    authorization: str | None,
    body: Any = None,
    **query: object,
) -> Answer:
    address = urlsplit(box.url)
    wire = HTTPConnection(str(address.hostname), int(address.port or 0), timeout=10)
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    try:
        content = None if body is None else json.dumps(body)
        wire.request(method, f"{path}?{urlencode(query)}" if query else path, content, headers)
        reply = wire.getresponse()
        text = reply.read()
        told = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, told, json.loads(text) if text.startswith(b"{") else text.decode()
    finally:
        wire.close()


def basic(box: ZendeskSandbox, token: str | None = None) -> str:
    pair = f"{box.email}/token:{token or box.token}"
    return f"Basic {b64encode(pair.encode()).decode()}"


@pytest.fixture
def ask(box: ZendeskSandbox) -> Ask:
    """Calls with the API token."""

    def call(method: str, path: str, body: Any = None, **query: object) -> Answer:
        return send(box, method, path, authorization=basic(box), body=body, **query)

    return call


def token_for(box: ZendeskSandbox, **more: object) -> Answer:
    body = {
        "grant_type": "client_credentials", "client_id": box.client_id,
        "client_secret": box.client_secret, **more,
    }  # fmt: skip
    return send(box, "POST", "/oauth/tokens", authorization=None, body=body)


# --- signing in ------------------------------------------------------------------------------


def test_an_access_token_lives_as_long_as_it_says(box: ZendeskSandbox, clock):
    _, _, given = token_for(box, expires_in=300)
    bearer = f"Bearer {given['access_token']}"

    early, *_ = send(box, "GET", "/api/v2/users/me", authorization=bearer)
    clock.sleep(300)
    late, _, body = send(box, "GET", "/api/v2/users/me", authorization=bearer)

    assert (given["expires_in"], given["token_type"]) == (300, "bearer")
    assert (early, late) == (200, 401)
    assert body["error"] == "invalid_token"


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"expires_in": 299}, 400, "invalid_request"),
        ({"expires_in": 172_801}, 400, "invalid_request"),
    ],
)
def test_a_sign_in_that_will_not_do_is_refused(
    box: ZendeskSandbox, more: dict[str, object], status: int, error: str
):
    told, _, body = token_for(box, **more)

    assert (told, body["error"]) == (status, error)


def test_a_token_may_do_what_its_scope_says_and_no_more(box: ZendeskSandbox):
    _, _, given = token_for(box, scope="read")
    bearer = f"Bearer {given['access_token']}"
    field = {"organization_field": {"key": "region", "title": "Region", "type": "text"}}

    reads, *_ = send(box, "GET", "/api/v2/organizations", authorization=bearer)
    writes, _, body = send(
        box, "POST", "/api/v2/organization_fields", authorization=bearer, body=field
    )

    assert (reads, writes) == (200, 403)
    assert body["error"]["title"] == "Forbidden"


def test_nobody_is_a_user_without_an_id_and_reads_nothing_else(box: ZendeskSandbox):
    me, _, who = send(box, "GET", "/api/v2/users/me.json", authorization=None)
    other, _, body = send(box, "GET", "/api/v2/organizations.json", authorization=None)

    assert (me, who["user"]["id"]) == (200, None)
    assert (other, body["error"]) == (401, "Couldn't authenticate you")


# --- lists -----------------------------------------------------------------------------------


def test_cursor_paging_ends_when_there_is_no_more(box: ZendeskSandbox, ask: Ask):
    for number in range(1, 6):
        box.put_organization(str(number), f"Company {number}", LONG_AGO)
    seen: list[int] = []
    path, query = "/api/v2/organizations.json", {"page[size]": 2}
    while path:
        _, _, body = ask("GET", path, **query)
        seen += [row["id"] for row in body["organizations"]]
        path, query = (body["links"]["next"] or "").removeprefix(box.url), {}

    assert seen == [1, 2, 3, 4, 5]
    assert body["meta"]["has_more"] is False


@pytest.mark.parametrize("deep", [{"page": 101, "per_page": 1}, {"page": 101}])
def test_offset_paging_ends_after_a_hundred_pages(ask: Ask, deep: dict[str, int]):
    status, _, body = ask("GET", "/api/v2/tickets", **deep)
    last, *_ = ask("GET", "/api/v2/tickets", page=100, per_page=100)

    assert (status, last) == (400, 200)
    assert body["errors"][0]["code"] == "InvalidPaginationDepth"


def test_offset_paging_links_to_the_next_page_and_counts_all(box: ZendeskSandbox, ask: Ask):
    for number in range(1, 6):
        box.put_ticket(str(number), f"Ticket {number}", LONG_AGO)

    _, _, body = ask("GET", "/api/v2/tickets.json", per_page=2)
    _, _, last = ask("GET", "/api/v2/tickets.json", per_page=2, page=3)

    assert body["next_page"] == f"{box.url}/api/v2/tickets.json?page=2&per_page=2"
    assert (body["count"], last["next_page"]) == (5, None)
    assert [row["id"] for row in last["tickets"]] == [5]


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/v2/users/show_many", {"ids": ",".join(map(str, range(101)))}, 400),
        ("/api/v2/organizations", {"page[size]": 101}, 400),
        ("/api/v2/organizations", {"page[size]": 1, "page[after]": "?"}, 400),
        ("/api/v2/incremental/tickets/cursor", {}, 400),
        ("/api/v2/incremental/tickets/cursor", {"cursor": "?"}, 400),
        ("/api/v2/organizations/7", {}, 404),
        ("/api/v2/nothing", {}, 404),
        ("/api/v2/job_statuses/7", {}, 404),
    ],
)
def test_what_zendesk_does_not_take_is_refused(
    ask: Ask, path: str, query: dict[str, object], status: int
):
    told, _, body = ask("GET", path, **query)

    assert told == status
    assert "error" in body or "errors" in body


def test_an_export_from_less_than_a_minute_ago_is_refused(ask: Ask, clock):
    start = int(clock.now().timestamp()) - 59

    status, _, body = ask("GET", "/api/v2/incremental/organizations", start_time=start)

    assert (status, body["error"]) == (422, "StartTimeTooRecent")


def test_an_export_never_gives_the_last_minute(box: ZendeskSandbox, ask: Ask, clock):
    box.put_ticket("1", "Sync stopped", clock.now())

    _, _, early = ask("GET", "/api/v2/incremental/tickets/cursor", start_time=0)
    clock.sleep(61)
    _, _, late = ask("GET", "/api/v2/incremental/tickets/cursor", cursor=early["after_cursor"])

    assert (early["tickets"], early["end_of_stream"]) == ([], True)
    assert [row["id"] for row in late["tickets"]] == [1]
    assert late["tickets"][0]["generated_timestamp"] == int(clock.now().timestamp()) - 61


def test_deleted_tickets_can_be_left_out_of_an_export(box: ZendeskSandbox, ask: Ask, clock):
    box.put_ticket("1", "Sync stopped", LONG_AGO)
    box.delete_ticket("1")
    clock.sleep(120)
    path = "/api/v2/incremental/tickets/cursor"

    _, _, all_ = ask("GET", path, start_time=0)
    _, _, some = ask("GET", path, start_time=0, exclude_deleted="true")

    assert [(row["status"], row["subject"]) for row in all_["tickets"]] == [("deleted", "SCRUBBED")]
    assert some["tickets"] == []


# --- limits ----------------------------------------------------------------------------------


def test_the_eleventh_export_of_a_minute_has_to_wait(ask: Ask, clock):
    path = "/api/v2/incremental/users/cursor"
    told = [ask("GET", path, start_time=0)[0] for _ in range(10)]

    status, headers, body = ask("GET", path, start_time=0)
    other, left, _ = ask("GET", "/api/v2/users")
    clock.sleep(int(headers["retry-after"]))
    again, *_ = ask("GET", path, start_time=0)

    assert told == [200] * 10
    assert (status, headers["retry-after"], body["error"]) == (429, "60", "APIRateLimitExceeded")
    assert (other, again) == (200, 200)
    assert (left["x-rate-limit"], left["x-rate-limit-remaining"]) == ("400", "389")


def test_the_limits_can_be_switched_off(box: ZendeskSandbox, ask: Ask):
    box.limits = False

    told = {ask("GET", "/api/v2/incremental/users", start_time=0)[0] for _ in range(12)}

    assert told == {200}


# --- writes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"key": "a b", "title": "x"}, "Key"),
        ({"key": "7", "title": "x"}, "Key"),
        ({"key": "region", "title": "x"}, "already been taken"),
        ({"key": "x", "title": "x", "type": "colour"}, "Type"),
        ({"key": "x", "title": "x", "type": "dropdown"}, "cannot be blank"),
        (
            {
                "key": "x", "title": "x", "type": "dropdown",
                "custom_field_options": [{"name": "A", "value": "not a tag"}],
            },
            "special characters",
        ),
    ],
)  # fmt: skip
def test_a_field_that_will_not_do_is_refused(
    box: ZendeskSandbox, ask: Ask, field: dict[str, object], said: str
):
    box.add_field({"key": "region", "title": "Region", "type": "text"})

    status, _, body = ask("POST", "/api/v2/organization_fields", {"organization_field": field})

    assert (status, body["error"]) == (422, "RecordInvalid")
    assert said in json.dumps(body["details"])


def test_options_that_are_left_out_are_taken_from_the_organizations_too(
    box: ZendeskSandbox, ask: Ask, organization: str
):
    options = [{"name": "North", "value": "north"}, {"name": "South", "value": "south"}]
    field = box.add_field({"key": "region", "title": "Region", "type": "dropdown",
                           "custom_field_options": options})  # fmt: skip
    path = f"/api/v2/organizations/{organization}"
    ask("PUT", path, {"organization": {"organization_fields": {"region": "north"}}})

    ask("PUT", f"/api/v2/organization_fields/{field['id']}",
        {"organization_field": {"custom_field_options": options[1:]}})  # fmt: skip

    _, _, body = ask("GET", path)
    assert body["organization"]["organization_fields"] == {"region": None}


def test_names_and_external_ids_are_unique(box: ZendeskSandbox, ask: Ask, organization: str):
    box.change("organizations", organization, external_id="9000000001")
    path = "/api/v2/organizations"

    same_name, _, body = ask("POST", path, {"organization": {"name": "Birch & Vale"}})
    same_id, *_ = ask("POST", path, {"organization": {"name": "Moss", "external_id": "9000000001"}})
    fine, *_ = ask("POST", path, {"organization": {"name": "Moss"}})

    assert (same_name, same_id, fine) == (422, 422, 201)
    assert "already been taken" in json.dumps(body)


def test_nothing_has_changed_until_the_job_is_done(
    box: ZendeskSandbox, ask: Ask, organization: str, clock
):
    update = {"organizations": [{"id": int(organization), "name": "Birch & Vale Group"}]}
    _, _, made = ask("PUT", "/api/v2/organizations/update_many.json", update)
    job = f"/api/v2/job_statuses/{made['job_status']['id']}.json"
    seen = []
    for _ in range(3):
        _, _, body = ask("GET", job)
        seen.append((body["job_status"]["status"], box.organizations[organization]["name"]))
        clock.sleep(0.6)

    assert [status for status, _ in seen] == ["queued", "working", "completed"]
    assert [name for _, name in seen] == ["Birch & Vale", "Birch & Vale", "Birch & Vale Group"]
    assert body["job_status"]["results"] == [{
        "index": 0, "id": int(organization), "action": "update", "success": True,
        "status": "Updated",
    }]  # fmt: skip


def test_domains_and_tags_in_a_change_replace_what_was_there(
    box: ZendeskSandbox, ask: Ask, organization: str
):
    ask("PUT", f"/api/v2/organizations/{organization}", {"organization": {"tags": ["eu"]}})

    held = box.organizations[organization]
    assert (held["tags"], held["domain_names"]) == (["eu"], ["birchvale.example"])


def test_it_goes_on_where_it_stood_after_a_restart(box: ZendeskSandbox, organization: str, clock):
    box.add_field({"key": "region", "title": "Region", "type": "text"})
    box.put_ticket("9", "Sync stopped", LONG_AGO)

    other = ZendeskSandbox(clock=clock.now)
    other.restore(json.loads(json.dumps(box.state())))

    assert other.state() == box.state()
    assert other.organizations[organization]["name"] == "Birch & Vale"


# --- ids and pages ---------------------------------------------------------------------------


def test_ids_follow_the_rule_that_the_other_stand_ins_use():
    assert record_id("organizations", "c001") == company_id("desk", "c001")
    assert record_id("agents", "t02") == "380000000003"
    assert record_id("tickets", "c001q001") != record_id("users", "c001q001")
    assert record_id("tickets", "c001q001").isdigit()


def test_people_see_the_status_on_the_page_of_the_organization(
    box: ZendeskSandbox, organization: str
):
    box.add_field({
        "key": "hub_health", "title": "Health", "type": "dropdown",
        "custom_field_options": [{"name": "At risk", "value": "hub_at_risk"}],
    })  # fmt: skip
    values = {"hub_health": "hub_at_risk"}
    box.set_organization(box.organizations[organization], {"organization_fields": values})
    box.put_ticket("9", "Sync <stopped>", LONG_AGO, organization_id=int(organization))

    status, headers, _ = send(box, "GET", "/agent/tickets/9", authorization=None)
    _, _, page = send(box, "GET", headers["location"], authorization=None)

    assert (status, headers["location"]) == (302, f"/record/organizations/{organization}")
    assert "At risk" in page
    assert "Sync &lt;stopped&gt;" in page
