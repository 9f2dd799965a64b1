"""Each line of an overlay is needed: without it, something that a vendor does is a breach."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from referencing.exceptions import Unresolvable
from vendor_contracts import Contract, overlay_of

from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.stripe.sandbox import StripeSandbox
from connectors.zendesk.sandbox import ZendeskSandbox
from hub.testing.kit import Exchange, Sandbox

Ask = Callable[..., httpx.Response]
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=30)
COMPANIES = "/crm/objects/2026-03/companies"
TO_COMPANY = "/crm/v3/associations/contacts/companies/batch"


class Moved:
    """A clock that a script moves by hand."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def passes(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def asking(box: Sandbox, **more: Any) -> Ask:
    """Asks a stand-in for anything; the answer is JSON."""
    client = httpx.Client(base_url=box.url, verify=False, **more)
    return lambda method, path, **said: client.request(method, path, **said)


def hubspot(clock: Moved) -> None:
    """What HubSpot's files lack: null values, half a batch, sorts, older versions, limits."""
    with HubSpotSandbox(clock=clock.now) as box:
        ask = asking(box, headers={"Authorization": f"Bearer {box.token}"})
        box.put("companies", "1", {"name": "Birch"}, LONG_AGO)
        contact = box.add("contacts", {"email": "ann@birch.example"})
        pair = {"from": {"id": contact}, "to": {"id": "1"}, "type": "contact_to_company"}

        ask("GET", f"{COMPANIES}/1?properties=industry")
        ask("GET", "/crm/v3/objects/companies/1")
        inputs = {"inputs": [{"id": "1"}, {"id": "2"}], "properties": ["name"]}
        ask("POST", f"{COMPANIES}/batch/read", json={**inputs, "propertiesWithHistory": []})
        by_name = [{"propertyName": "name", "direction": "DESCENDING"}]
        ask("POST", f"{COMPANIES}/search", json={"sorts": by_name, "properties": ["industry"]})
        for _ in range(5):
            ask("POST", f"{COMPANIES}/search", json={})
        ask("POST", "/crm/v3/objects/companies", json={"properties": {"name": "Elm"}})
        ask("GET", "/crm/owners/2026-03?archived=True")
        ask("GET", "/account-info/2026-09/details")
        ask("POST", f"{TO_COMPANY}/create", json={"inputs": [pair]})
        ask("POST", f"{TO_COMPANY}/read", json={"inputs": [{"id": contact}]})
        ask("POST", f"{TO_COMPANY}/archive", json={"inputs": [pair]})


def stripe(clock: Moved) -> None:
    """What Stripe's files lack: what is left of what was deleted."""
    with StripeSandbox(clock=clock.now) as box:
        ask = asking(box, headers={"Authorization": f"Bearer {box.token}"})
        customer = box.create_customer()
        draft = box.bill(box.subscribe(customer, amount=100), status="draft")

        ask("DELETE", f"/v1/invoices/{draft}")
        ask("DELETE", f"/v1/customers/{customer}")
        ask("GET", f"/v1/customers/{customer}")


def zendesk(clock: Moved) -> None:
    """What Zendesk's file lacks: errors, paging, side-loads, deleted records, bodies, and jobs."""
    with ZendeskSandbox(clock=clock.now) as box:
        ask = asking(box, auth=(f"{box.email}/token", box.token))
        for id in ("11", "12"):
            box.put_organization(id, f"Organization {id}", LONG_AGO)
        box.put_ticket("21", "Help", LONG_AGO)
        _zendesk_signs_in(box, clock)
        _zendesk_reads(ask)
        _zendesk_writes(ask, clock)
        box.delete_ticket("21")
        box.tells_deleted = True
        box.delete_organization("12")
        clock.passes(120)
        ask("GET", "/api/v2/incremental/tickets/cursor?start_time=0")
        ask("GET", "/api/v2/incremental/organizations?start_time=0&skip=0")


def _zendesk_signs_in(box: ZendeskSandbox, clock: Moved) -> None:
    client = {"client_id": box.client_id, "client_secret": box.client_secret, "expires_in": 300}
    grant: dict[str, Any] = {"grant_type": "client_credentials", **client}
    token = asking(box)("POST", "/oauth/tokens", data=grant).json()["access_token"]
    clock.passes(400)
    asking(box, headers={"Authorization": f"Bearer {token}"})("GET", "/api/v2/organizations")


def _zendesk_reads(ask: Ask) -> None:
    ask("GET", "/api/v2/organizations/11.json")
    ask("GET", "/api/v2/organizations/99")
    ask("GET", "/api/v2/tickets?page=1&per_page=1")
    ask("GET", "/api/v2/users")
    for name in ("tickets", "users", "organizations", "organization_fields"):
        ask("GET", f"/api/v2/{name}?page[size]=1")
    ask("GET", "/api/v2/tickets/show_many?ids=21&include=metric_sets")
    export = "/api/v2/incremental/tickets/cursor?include=metric_sets&exclude_deleted=true"
    after = ask("GET", f"{export}&start_time=0&per_page=10").json()["after_cursor"]
    ask("GET", f"/api/v2/incremental/tickets/cursor?cursor={after}")


def _zendesk_writes(ask: Ask, clock: Moved) -> None:
    fields, organizations = "/api/v2/organization_fields", "/api/v2/organizations"
    made = ask("POST", fields, json={"organization_field": {"key": "hub_note", "title": "Note",
                                                            "type": "text"}}).json()  # fmt: skip
    id = made["organization_field"]["id"]
    ask("PUT", f"{fields}/{id}", json={"organization_field": {"description": "The hub's"}})
    ask("PUT", f"{organizations}/11", json={"organization": {"organization_fields": {
        "hub_note": None}}})  # fmt: skip
    many = {"organizations": [{"id": 11, "notes": "Call"}, {"id": 98, "notes": "Call"}]}
    job = ask("PUT", f"{organizations}/update_many", json=many).json()["job_status"]["id"]
    clock.passes(5)
    ask("GET", f"/api/v2/job_statuses/{job}")
    new = {"ticket": {"subject": "Call", "comment": {"body": "Please", "public": False}}}
    ticket = ask("POST", "/api/v2/tickets", json=new).json()["ticket"]["id"]
    ask("PUT", f"/api/v2/tickets/{ticket}", json={"ticket": {"id": ticket, "priority": "low"}})
    ask("GET", f"/api/v2/tickets/{ticket}/comments?page[size]=10")
    ask("DELETE", f"/api/v2/tickets/{ticket}", json={})
    left = ask("POST", organizations, json={"organization": {"name": "Elm"}}).json()
    ask("DELETE", f"{organizations}/{left['organization']['id']}", json={})


def holds(make: Callable[[], Contract], exchanges: list[Exchange]) -> bool:
    """Whether everything passes; a contract that lacks a name it uses does not hold either."""
    try:
        contract = make()
        return not any(contract.problems(exchange) for exchange in exchanges)
    except (LookupError, Unresolvable):
        return False


def without(items: Any, number: int) -> list[Any]:
    """The items but for one."""
    return [item for place, item in enumerate(items) if place != number]


@pytest.mark.parametrize("script", [hubspot, stripe, zendesk], ids=lambda script: script.__name__)
def test_every_line_of_an_overlay_is_needed(
    script: Callable[[Moved], None], exchanges: list[Exchange]
):
    vendor = script.__name__
    script(Moved())
    lines, aliases = overlay_of(vendor)["lines"], overlay_of(vendor)["aliases"]
    bare = Contract(vendor, [])
    beyond = [exchange for exchange in exchanges if bare.problems(exchange)]

    idle = [
        lines[number]["source"]
        for number in range(len(lines))
        if holds(lambda n=number: Contract(vendor, without(lines, n)), beyond)
    ]
    idle += [
        alias[0]
        for number, alias in enumerate(aliases)
        if holds(lambda n=number: renamed(vendor, without(aliases, n)), exchanges)
    ]

    assert idle == []


def renamed(vendor: str, aliases: list[Any]) -> Contract:
    """The contract with other names for its addresses."""
    contract = Contract(vendor)
    contract.aliases = aliases
    return contract
