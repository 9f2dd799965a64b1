"""The seeded world as Zendesk would hold it: organizations, their users and tickets, the team."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING
from zlib import crc32

from hub.testing.kit import company_id

from .sandbox_records import ADMIN_ID, Records

if TYPE_CHECKING:
    from hub.testing.world import Company, Person, Ticket, World


def record_id(object: str, key: str) -> str:
    """The Zendesk id of something in the world: the same for the same key, in every process."""
    match object:
        case "organizations":
            return company_id("desk", key)
        case "agents":
            return str(int(ADMIN_ID) + 1 + _number(key))
    return str(int.from_bytes(sha256(f"{object}/{key}".encode()).digest()[:6], "big"))


def _number(key: str) -> int:
    match = re.fullmatch(r"[a-z](\d+)", key)
    return int(match[1]) if match else crc32(key.encode())


def deal(world: World, desk: Records) -> None:
    """Fill the stand-in with the world's companies that are in the desk."""
    companies = {c.key: c for c in world.companies if "desk" in c.in_tools}
    begin = min((c.created_at for c in world.companies), default=None)
    for member in world.team:
        desk.put_user(
            record_id("agents", member.key),
            member.name,
            member.email,
            begin,
            role="admin" if member.role == "team_lead" else "agent",
            suspended=not member.is_active,
        )
    for company in companies.values():
        _add_organization(desk, company)
    for person in world.people:
        if "desk" in person.in_tools:
            _add_user(desk, person, companies)
    for ticket in world.tickets:
        if ticket.company_key is None or ticket.company_key in companies:
            _add_ticket(desk, ticket)


def _add_organization(desk: Records, company: Company) -> None:
    known = company.ids_known.get("desk", False)
    in_crm = company.key if "crm" in company.in_tools else company.duplicate_of
    desk.put_organization(
        record_id("organizations", company.key),
        company.names.get("desk", company.name),
        company.created_at,
        domain_names=list(company.domains),
        external_id=company_id("crm", in_crm) if known and in_crm else None,
        tags=[company.plan] if company.plan else [],
    )


def _add_user(desk: Records, person: Person, companies: dict[str, Company]) -> None:
    at_home = person.company_key in companies
    desk.put_user(
        record_id("users", person.key),
        person.name,
        person.email,
        person.created_at,
        verified=person.verified,
        organization_id=_organization(person.company_key) if at_home else None,
    )


def _add_ticket(desk: Records, ticket: Ticket) -> None:
    # A ticket always has a requester: where nobody is known, it is the agent who wrote it down.
    asker = ADMIN_ID if ticket.person_key is None else record_id("users", ticket.person_key)
    desk.put_ticket(
        record_id("tickets", ticket.key),
        ticket.subject,
        ticket.opened_at,
        status=ticket.status,
        solved_at=ticket.solved_at,
        priority=ticket.priority,
        tags=[*ticket.tags, *(["escalated"] if ticket.escalated else [])],
        requester_id=int(asker),
        organization_id=_organization(ticket.company_key),
    )


def _organization(key: str | None) -> int | None:
    return None if key is None else int(record_id("organizations", key))
