"""The seeded world, read back through the connector, is the world that was put in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest

from connectors.zendesk import Zendesk
from connectors.zendesk.sandbox_records import ADMIN_ID
from connectors.zendesk.sandbox_world import record_id
from hub import Account, Owner, Person, Ticket
from hub.testing.kit import company_id
from hub.testing.scenarios import build
from hub.testing.world import World


@pytest.fixture(params=["demo", "ravenstack"])
def world(box, request: pytest.FixtureRequest) -> World:
    """A world on the day of the tests' clock, dealt to the stand-in."""
    world = build(request.param, seed=7, as_of=date(2026, 3, 4))
    box.load(world)
    return world


@pytest.fixture
def zendesk(connect) -> Zendesk:
    return connect(external_id_is="hubspot")


def records(zendesk: Zendesk, stream: str) -> Mapping[str, object]:
    maps = Zendesk.streams[stream].maps
    assert maps is not None
    rows = [row for page in getattr(zendesk, stream)(None) for row in page.rows]
    return {str(row["id"]): maps(row) for row in rows}


def test_everybody_in_the_desk_is_an_organization_with_its_own_spelling(world, zendesk):
    desk = [c for c in world.companies if "desk" in c.in_tools]

    found = records(zendesk, "organizations")

    assert {id: (a.name, a.domains) for id, a in found.items() if isinstance(a, Account)} == {
        company_id("desk", c.key): (c.names["desk"], c.domains) for c in desk
    }


def test_hubspot_ids_stand_where_the_team_keeps_them_and_nowhere_else(world, zendesk):
    known = {c.key: c for c in world.companies if "desk" in c.in_tools and c.ids_known["desk"]}

    found = records(zendesk, "organizations")

    pointing = {id: a.external for id, a in found.items() if a.external}
    assert pointing
    assert pointing == {
        company_id("desk", key): {"hubspot": company_id("crm", key)}
        for key, company in known.items()
        if "crm" in company.in_tools
    }


def test_people_belong_to_their_organizations_and_the_team_is_the_team(world, zendesk):
    found = records(zendesk, "users")

    owners = {id: o for id, o in found.items() if isinstance(o, Owner) and id != ADMIN_ID}
    people = {id: p for id, p in found.items() if isinstance(p, Person)}
    assert {(o.email, o.is_active) for o in owners.values()} == {
        (member.email, member.is_active) for member in world.team
    }
    asked = [p for p in world.people if "desk" in p.in_tools]
    assert len(people) == len(asked)
    for person in asked:
        held = people[record_id("users", person.key)]
        assert (held.email, held.email_verified) == (person.email, person.verified)
        at = held.account.id if held.account else None
        assert at == (company_id("desk", person.company_key) if person.company_key else None)


def test_tickets_come_back_with_whose_they_are_and_when_they_were_solved(world, zendesk):
    found = records(zendesk, "tickets")

    assert len(found) == len(world.tickets)
    for ticket in world.tickets:
        held = found[record_id("tickets", ticket.key)]
        assert isinstance(held, Ticket)
        assert (held.status == "closed") == (ticket.status in ("solved", "closed"))
        assert held.opened_at == ticket.opened_at.replace(microsecond=0)
        if ticket.solved_at:
            assert held.closed_at == ticket.solved_at.replace(microsecond=0)
        at = held.account.id if held.account else None
        assert at == (company_id("desk", ticket.company_key) if ticket.company_key else None)
