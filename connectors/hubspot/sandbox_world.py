"""The seeded world as HubSpot would hold it: companies, their contacts and deals, and the team."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING
from zlib import crc32
from zoneinfo import ZoneInfo

from hub.testing.kit import company_id

from .mapping import EXPONENTS
from .sandbox_properties import stamp
from .sandbox_records import Records

if TYPE_CHECKING:
    from hub.testing.world import Company, Deal, Person, World

STRIPE_ID = "stripe_customer_id"
"""The team's own property: which billing customer a company is, where the team keeps that up."""

ZENDESK_ID = "zendesk_organization_id"
RENEWAL = "contract_renewal_date"
PLAN = "customer_plan"


def record_id(object: str, key: str) -> str:
    """The HubSpot id of something in the world: the same for the same key, in every process."""
    match object:
        case "companies":
            return company_id("crm", key)
        case "owners":
            return str(70_000_000 + _number(key))
    return str(int.from_bytes(sha256(f"{object}/{key}".encode()).digest()[:6], "big"))


def _number(key: str) -> int:
    match = re.fullmatch(r"[a-z](\d+)", key)
    return int(match[1]) if match else crc32(key.encode())


def deal(world: World, crm: Records) -> None:
    """Fill the stand-in with the world's companies that are in the CRM."""
    crm.portal |= {"timeZone": world.zone, "companyCurrency": world.currency}
    for name, type in ((STRIPE_ID, "string"), (ZENDESK_ID, "string"), (PLAN, "string"),
                       (RENEWAL, "date")):  # fmt: skip
        crm.add_property("companies", name, type)
    for member in world.team:
        id = record_id("owners", member.key)
        crm.add_owner(id, member.name, member.email, active=member.is_active)
    companies = {c.key: c for c in world.companies if "crm" in c.in_tools}
    for company in companies.values():
        _add_company(crm, company, companies)
    for person in world.people:
        if "crm" in person.in_tools:
            _add_contact(crm, person, companies)
    for sale in world.deals:
        if sale.company_key in companies:
            _add_deal(crm, sale, world.zone)


def _add_company(crm: Records, company: Company, companies: Mapping[str, Company]) -> None:
    known = company.ids_known.get("crm", False) and "billing" in company.in_tools
    parent = companies.get(company.parent_key or "")
    properties = {
        "name": company.names.get("crm", company.name),
        "domain": company.domains[0] if company.domains else None,
        "hs_additional_domains": ";".join(company.domains[1:]) or None,
        "lifecyclestage": company.crm_stage,
        "hubspot_owner_id": _owner(company.owner_key),
        "country": company.country,
        "numberofemployees": None if company.employees is None else str(company.employees),
        "industry": company.industry,
        "hs_parent_company_id": record_id("companies", parent.key) if parent else None,
        STRIPE_ID: company_id("billing", company.duplicate_of or company.key) if known else None,
        PLAN: company.plan,
        RENEWAL: company.renewal_on.isoformat() if company.renewal_on else None,
    }
    crm.put("companies", record_id("companies", company.key), properties, company.created_at)


def _add_contact(crm: Records, person: Person, companies: Mapping[str, Company]) -> None:
    id = record_id("contacts", person.key)
    first, _, last = person.name.partition(" ")
    properties = {
        "email": person.email,
        "firstname": first,
        "lastname": last or None,
        "jobtitle": person.role,
    }
    crm.put("contacts", id, properties, person.created_at)
    if person.company_key is not None and person.company_key in companies:
        company = record_id("companies", person.company_key)
        crm.link("contacts", id, "companies", company, primary=True)


def _add_deal(crm: Records, sale: Deal, zone: str) -> None:
    id = record_id("deals", sale.key)
    properties = {
        "dealname": sale.name,
        "pipeline": "default",
        "dealstage": sale.stage,
        "amount": None if sale.amount_minor is None else _major(sale.amount_minor, sale.currency),
        "deal_currency_code": sale.currency,
        "closedate": None if sale.closed_on is None else _morning(sale.closed_on, zone),
        "hubspot_owner_id": _owner(sale.owner_key),
    }
    crm.put("deals", id, properties, sale.created_at)
    crm.link("deals", id, "companies", record_id("companies", sale.company_key), primary=True)


def _owner(key: str | None) -> str | None:
    return None if key is None else record_id("owners", key)


def _major(amount_minor: int, currency: str) -> str:
    return str(Decimal(amount_minor).scaleb(-EXPONENTS[currency]))


def _morning(day: date, zone: str) -> str:
    """A day as HubSpot keeps a close date: its midnight where the team is."""
    return stamp(datetime.combine(day, time(), ZoneInfo(zone)))
