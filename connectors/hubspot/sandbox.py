"""HubSpot's stand-in: sign-in, scopes and limits, account, owners, properties, pipelines, pages.

Records and associations have their addresses in `sandbox_crm`, and live in `sandbox_records`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

from hub.testing.faults import Fault
from hub.testing.kit import Call, Reply, Window, route, token_outcome
from hub.testing.page import RecordCard, TaskCard, VendorPage

from .actions import as_text
from .sandbox_crm import Crm, flag
from .sandbox_properties import Definition, define
from .sandbox_records import Obj
from .sandbox_world import PLAN, RENEWAL, STRIPE_ID, deal, record_id

if TYPE_CHECKING:
    from hub.testing.world import World

__all__ = ["HubSpotSandbox", "record_id"]

SEARCH = re.compile(r"/search$")
READ_BY_POST = re.compile(r"/(search|batch/read)$")
PEOPLE = re.compile(r"/contacts/\d+/record/[\d-]+/\d+")
OLD_ORDER = re.compile(r"/crm/(v\d+)/([a-z]+)(/.*)?")
"""Versions before the dated ones stand before the area: `/crm/v3/objects/companies`."""

PER_DAY = 250_000
SHORT_TYPES = {"string", "number", "date", "datetime", "enumeration", "bool", "phone_number"}


class HubSpotSandbox(Crm):
    """One HubSpot account on the Starter plan.

    `limits` False switches the vendor's limits off. `lacks` are the scopes that the `_noscope`
    token does not have; `lag_s` is how late the search is.
    """

    vendor: ClassVar[str] = "hubspot"
    title: ClassVar[str] = "HubSpot"
    default_port: ClassVar[int] = 8701
    reads: ClassVar[tuple[str, ...]] = (READ_BY_POST.pattern,)

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 7) -> None:
        super().__init__(clock=clock, seed=seed)
        self.limits = True
        self.token = f"pat-eu1-sandbox{seed}"
        self._burst = Window(100, 10.0, clock)
        self._searches = Window(5, 1.0, clock)
        self._today: tuple[date | None, int] = (None, 0)

    # --- what the kit asks ---------------------------------------------------------------------

    def load(self, world: World) -> None:
        """Fill the account from the world's companies in the CRM."""
        deal(world, self)

    @property
    def credentials(self) -> Mapping[str, str]:
        """The service key."""
        return {"token": self.token}

    def connection_file(self) -> dict[str, Any]:
        """The HubSpot part of a connection's file."""
        own = {"external.stripe": STRIPE_ID, "renewal_on": RENEWAL, "plan": PLAN}
        return {
            "connector": "hubspot",
            "label": "HubSpot",
            "settings": {"base_url": self.url, "token": "env:HUBSPOT_TOKEN"},
            "fields": {"companies": own},
        }

    def secrets(self) -> Mapping[str, str]:
        """The token, under the name that the connection's file uses."""
        return {"HUBSPOT_TOKEN": self.token}

    def answer(self, call: Call) -> tuple[Reply, Fault | None]:
        """Bring an address into one form, and tell how much of the limit is left."""
        path = call.path.rstrip("/") or "/"
        if old := OLD_ORDER.fullmatch(path):
            path = f"/crm/{old[2]}/{old[1]}{old[3] or ''}"
        reply, fault = super().answer(replace(call, path=path))
        if path.startswith("/crm") and not SEARCH.search(path):
            reply.headers |= {
                "X-HubSpot-RateLimit-Max": str(self._burst.calls),
                "X-HubSpot-RateLimit-Remaining": str(self._burst.left),
                "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
                "X-HubSpot-RateLimit-Daily": str(PER_DAY),
                "X-HubSpot-RateLimit-Daily-Remaining": str(PER_DAY - self._today[1]),
            }
        return reply, fault

    def authenticate(self, call: Call) -> Reply | None:
        """A bearer token with the scope that the call needs; people's pages need none."""
        if PEOPLE.fullmatch(call.path):
            return None
        outcome = token_outcome(call.principal, self.token)
        if outcome == "expired":
            message = "The OAuth token used to make this call expired."
            return self.problem(401, "EXPIRED_AUTHENTICATION", message)
        if outcome not in ("ok", "noscope"):
            message = "Authentication credentials not found."
            return self.problem(401, "INVALID_AUTHENTICATION", message)
        needed = self._scope(call)
        if outcome == "noscope" and needed in self.lacks:
            return self._not_granted(str(needed))
        return None

    def rate_limit(self, call: Call) -> Reply | None:
        """100 calls in ten seconds, 5 searches a second apart from them, 250,000 a day."""
        if not self.limits or PEOPLE.fullmatch(call.path):
            return None
        if SEARCH.search(call.path):
            if self._searches.take() is not None:
                return self._limited("SECONDLY", "You have reached your secondly limit.")
        elif self._burst.take() is not None:
            return self._limited(
                "TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit."
            )
        today = self.clock().astimezone(ZoneInfo(self.portal["timeZone"])).date()
        count = self._today[1] + 1 if self._today[0] == today else 1
        self._today = (today, count)
        if count > PER_DAY:
            return self._limited("DAILY", "You have reached your daily limit.")
        return None

    def not_found(self, call: Call) -> Reply:
        """HubSpot's answer to an address that it does not have."""
        return self.problem(404, "OBJECT_NOT_FOUND", "resource not found")

    def page(self, call: Call) -> VendorPage:
        """The companies as a CSM sees them."""
        return VendorPage(
            self.title, [self._card(one) for one in self.objects["companies"].values()]
        )

    def _limited(self, policy: str, message: str) -> Reply:
        return self.problem(429, "RATE_LIMITS", message, policyName=policy, errorType="RATE_LIMIT")

    def _not_granted(self, scope: str) -> Reply:
        context = {"requiredGranularScopes": [scope]}
        why = {"message": "One or more of the following scopes are required.", "context": context}
        return self.problem(
            403,
            "MISSING_SCOPES",
            "This app hasn't been granted all required scopes to make this call.",
            errors=[why],
        )

    def _scope(self, call: Call) -> str | None:
        """The scope that a call needs, None where any token will do."""
        parts = call.path.split("/")[2:]
        if not call.path.startswith("/crm/") or len(parts) < 2:
            return None
        area, kind = parts[0], parts[2] if len(parts) > 2 else ""
        reads = call.method == "GET" or READ_BY_POST.search(call.path) is not None
        verb = "read" if reads else "write"
        if area == "owners":
            return "crm.objects.owners.read"
        kind = self.kind(kind)
        if kind == "tickets":
            return "tickets"
        if area == "properties":
            return f"crm.schemas.{kind}.{verb}"
        return f"crm.objects.{'contacts' if kind in ('tasks', 'notes') else kind}.{verb}"

    # --- what people see -----------------------------------------------------------------------

    @route("GET", "/contacts/{portal}/record/{type}/{id}")
    def open_page(self, call: Call, portal: str, type: str, id: str) -> Reply:
        """A record's address in HubSpot leads to the page of its company."""
        kind = self.kind(type)
        company = id if kind == "companies" else next(iter(self.linked(kind, id, "companies")), "")
        return Reply(302, headers={"Location": f"/record/companies/{company}"})

    def _card(self, company: Obj) -> RecordCard:
        its = company["properties"]
        fields = {
            "Lifecycle stage": its.get("lifecyclestage"),
            "Company owner": self._owner_name(its.get("hubspot_owner_id")),
            "Country": its.get("country"),
            "Employees": its.get("numberofemployees"),
            "Industry": its.get("industry"),
        }
        tasks = self.linked("companies", company["id"], "tasks")
        return RecordCard(
            id=company["id"],
            name=its.get("name") or company["id"],
            subtitle=its.get("domain") or "",
            fields=[(name, value) for name, value in fields.items() if value],
            tasks=[self._task_card(self.objects["tasks"][id]) for id in tasks],
            object="companies",
            status=its.get("hub_health"),
            since=its.get("hub_health_since"),
            reason=its.get("hub_health_reason"),
        )

    def _task_card(self, task: Obj) -> TaskCard:
        its = task["properties"]
        return TaskCard(
            id=task["id"],
            title=its.get("hs_task_subject") or "",
            body=as_text(its.get("hs_task_body") or ""),
            owner=self._owner_name(its.get("hubspot_owner_id")),
            due=(its.get("hs_timestamp") or "").partition("T")[0] or None,
            priority=(its.get("hs_task_priority") or "").lower() or None,
            is_done=its.get("hs_task_status") == "COMPLETED",
        )

    def _owner_name(self, id: str | None) -> str | None:
        owner = self.owners.get(id or "")
        return None if owner is None else f"{owner['firstName']} {owner['lastName']}".strip()

    # --- account, owners, pipelines ------------------------------------------------------------

    @route("GET", "/account-info/{v}/details")
    def account_details(self, call: Call, v: str) -> Reply:
        """Which account the token belongs to."""
        zone = ZoneInfo(self.portal["timeZone"])
        offset = self.clock().astimezone(zone).strftime("%z")
        seconds = self.clock().astimezone(zone).utcoffset()
        return Reply(
            json={
                **self.portal,
                "accountType": "STANDARD",
                "additionalCurrencies": [],
                "dataHostingLocation": "eu1",
                "uiDomain": self.url.removeprefix("http://"),
                "utcOffset": f"{offset[:3]}:{offset[3:]}",
                "utcOffsetMilliseconds": int(seconds.total_seconds() * 1000) if seconds else 0,
            }
        )

    @route("GET", "/account-info/{v}/api-usage/daily/private-apps")
    def daily_usage(self, call: Call, v: str) -> Reply:
        """How many calls of the day are used."""
        usage = {
            "name": "private-apps-api-calls-daily",
            "usageLimit": PER_DAY,
            "currentUsage": self._today[1],
            "collectedAt": self.now(),
            "fetchStatus": "SUCCESS",
        }
        return Reply(json={"results": [usage]})

    @route("GET", "/crm/owners/{v}")
    def list_owners(self, call: Call, v: str) -> Reply:
        """The active owners, or the deactivated ones."""
        archived, email = flag(call, "archived"), call.param("email")
        held = {
            id: owner
            for id, owner in self.owners.items()
            if owner["archived"] == archived and email in (None, owner["email"])
        }
        rows, after = self.page_by_id(call, held, 500, default=100)
        paging = {"paging": {"next": {"after": after}}} if after else {}
        return Reply(json={"results": rows, **paging})

    @route("GET", "/crm/owners/{v}/{id}")
    def read_owner(self, call: Call, v: str, id: str) -> Reply:
        """One owner; a deactivated one only when asked for."""
        owner = self.owners.get(id)
        if owner is None or owner["archived"] != flag(call, "archived"):
            raise self.refuse(404, "OBJECT_NOT_FOUND", "resource not found")
        return Reply(json=owner)

    @route("GET", "/crm/pipelines/{v}/{type}")
    def list_pipelines(self, call: Call, v: str, type: str) -> Reply:
        """The pipelines of an object with their stages."""
        return Reply(json={"results": self.pipelines.get(self.kind(type), [])})

    @route("GET", "/crm/pipelines/{v}/{type}/{id}")
    def read_pipeline(self, call: Call, v: str, type: str, id: str) -> Reply:
        """One pipeline."""
        for pipeline in self.pipelines.get(self.kind(type), []):
            if pipeline["id"] == id:
                return Reply(json=pipeline)
        raise self.refuse(404, "OBJECT_NOT_FOUND", "resource not found")

    # --- properties ----------------------------------------------------------------------------

    @route("GET", "/crm/properties/{v}/{type}")
    def list_properties(self, call: Call, v: str, type: str) -> Reply:
        """All properties of an object."""
        return Reply(json={"results": list(self.properties[self.kind(type)].values())})

    @route("POST", "/crm/properties/{v}/{type}")
    def create_property(self, call: Call, v: str, type: str) -> Reply:
        """A new property in a group that exists; 409 when its name is taken."""
        kind, body = self.kind(type), call.json() or {}
        absent = {"name", "label", "groupName", "type", "fieldType"} - body.keys()
        name = str(body.get("name"))
        if absent:
            raise self.refuse(400, "VALIDATION_ERROR", f"{sorted(absent)} is required")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or body["type"] not in SHORT_TYPES:
            raise self.refuse(400, "VALIDATION_ERROR", f"{name} is not a valid name or type")
        if body["groupName"] not in self.groups[kind]:
            message = f"Property group {body['groupName']} does not exist"
            raise self.refuse(400, "VALIDATION_ERROR", message)
        if name in self.properties[kind]:
            message = f"A property named '{name}' already exists."
            raise self.refuse(409, "OBJECT_ALREADY_EXISTS", message)
        made = define(name, str(body["type"]), own=False) | _described(body)
        self.properties[kind][name] = made
        return Reply(201, made)

    @route("GET", "/crm/properties/{v}/{type}/{name}")
    def read_property(self, call: Call, v: str, type: str, name: str) -> Reply:
        """One property."""
        return Reply(json=self._defined(type, name))

    @route("PATCH", "/crm/properties/{v}/{type}/{name}")
    def change_property(self, call: Call, v: str, type: str, name: str) -> Reply:
        """Change a property's words and options; `options` replaces all of them."""
        definition = self._defined(type, name)
        if definition["hubspotDefined"]:
            raise self.refuse(400, "VALIDATION_ERROR", f"{name} is read only")
        definition |= _described(call.json() or {})
        return Reply(json=definition)

    @route("DELETE", "/crm/properties/{v}/{type}/{name}")
    def remove_property(self, call: Call, v: str, type: str, name: str) -> Reply:
        """Take a property away, and its values from every record."""
        self._defined(type, name)
        kind = self.kind(type)
        del self.properties[kind][name]
        for record in self.objects[kind].values():
            record["properties"].pop(name, None)
        return Reply(204)

    @route("GET", "/crm/properties/{v}/{type}/groups")
    def list_groups(self, call: Call, v: str, type: str) -> Reply:
        """The sections that properties are shown in."""
        groups = self.groups[self.kind(type)].items()
        return Reply(json={"results": [_group(name, label) for name, label in groups]})

    @route("POST", "/crm/properties/{v}/{type}/groups")
    def create_group(self, call: Call, v: str, type: str) -> Reply:
        """A new section; 409 when its name is taken."""
        kind, body = self.kind(type), call.json() or {}
        name, label = str(body.get("name")), str(body.get("label"))
        if name in self.groups[kind]:
            raise self.refuse(409, "OBJECT_ALREADY_EXISTS", f"Group {name} already exists")
        self.groups[kind][name] = label
        return Reply(201, _group(name, label))

    def _defined(self, type: str, name: str) -> Definition:
        definition = self.properties[self.kind(type)].get(name)
        if definition is None:
            raise self.refuse(404, "OBJECT_NOT_FOUND", f"Property {name} does not exist")
        return definition


def _described(body: Mapping[str, Any]) -> Obj:
    """What a caller may say of a property."""
    names = ("label", "description", "groupName", "type", "fieldType", "options", "hidden")
    return {name: body[name] for name in names if name in body}


def _group(name: str, label: str) -> Obj:
    return {"name": name, "label": label, "displayOrder": -1, "archived": False}
