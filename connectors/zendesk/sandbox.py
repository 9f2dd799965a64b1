"""Zendesk's stand-in: sign-in, scopes and limits, who one is, and the pages for people.

Lists and exports are in `sandbox_lists`, writes and jobs in `sandbox_writes`, writing tickets in
`sandbox_tickets`, and what they work on lives in `sandbox_records`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from hub.testing.faults import Fault
from hub.testing.kit import Call, Outcome, Reply, Window, route, token_outcome
from hub.testing.page import RecordCard, VendorPage

from .sandbox_records import ADMIN_ID, Obj
from .sandbox_tickets import Tickets
from .sandbox_world import deal, record_id

if TYPE_CHECKING:
    from hub.testing.world import World

__all__ = ["ZendeskSandbox", "record_id"]

PER_MIN, EXPORTS_PER_MIN = 400, 10
SHORTEST_S, LONGEST_S, USUAL_S = 300, 172_800, 1800
"""How long an access token may live, and does when nobody says."""

LONG_AGO = timedelta(days=730)
"""How long the admin has been there in whose name the hub signs in."""

PEOPLE = re.compile(r"/agent/(organizations|users|tickets)/\d+")
AREA = re.compile(r"/api/v2/(incremental/)?(organization|user|ticket)(_fields|s)\b")
ME = "/api/v2/users/me"


class ZendeskSandbox(Tickets):
    """One Zendesk account on the Professional plan.

    `limits` False switches the vendor's limits off. The `_noscope` credentials do without what
    `lacks` names: scopes, or the admin role.
    """

    vendor: ClassVar[str] = "zendesk"
    title: ClassVar[str] = "Zendesk"
    default_port: ClassVar[int] = 8702
    reads: ClassVar[tuple[str, ...]] = (r"^/oauth/tokens$",)

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 7) -> None:
        super().__init__(clock=clock, seed=seed)
        self.limits = True
        self.email = f"hub@{self.subdomain}.example"
        self.token = f"zdtoken{seed}"
        self.client_id = f"hub_client_{seed}"
        self.client_secret = f"zdsecret{seed}"
        self._all = Window(PER_MIN, 60.0, clock)
        self._exports = Window(EXPORTS_PER_MIN, 60.0, clock)
        long_ago = clock() - LONG_AGO
        self.put_user(ADMIN_ID, "Retention hub", self.email, long_ago, role="admin")

    # --- what the kit asks ---------------------------------------------------------------------

    def load(self, world: World) -> None:
        """Fill the account from the world's companies in the desk."""
        deal(world, self)

    @property
    def credentials(self) -> Mapping[str, str]:
        """Both ways in: an API token with its address, and an OAuth client."""
        return {
            "subdomain": self.subdomain,
            "email": self.email,
            "token": self.token,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }

    def connection_file(self) -> dict[str, Any]:
        """The Zendesk part of a connection's file; this team keeps HubSpot's ids here."""
        return {
            "connector": "zendesk",
            "label": "Zendesk",
            "settings": {
                "base_url": self.url,
                "subdomain": self.subdomain,
                "client_id": "env:ZENDESK_CLIENT_ID",
                "client_secret": "env:ZENDESK_CLIENT_SECRET",
                "external_id_is": "hubspot",
            },
        }

    def secrets(self) -> Mapping[str, str]:
        """The OAuth client, under the names that the connection's file uses."""
        return {
            "ZENDESK_CLIENT_ID": self.client_id,
            "ZENDESK_CLIENT_SECRET": self.client_secret,
        }

    def answer(self, call: Call) -> tuple[Reply, Fault | None]:
        """Bring an address into one form, and tell how much of the limits is left."""
        path = call.path.rstrip("/") or "/"
        if path.startswith("/api/"):
            path = path.removesuffix(".json")
        with self.lock:
            self.run_jobs()
        reply, fault = super().answer(replace(call, path=path))
        if path.startswith("/api/"):
            reply.headers |= self._told(path)
        return reply, fault

    def authenticate(self, call: Call) -> Reply | None:
        """An API token or an access token, with the scope and role that the call needs."""
        if PEOPLE.fullmatch(call.path) or call.path == "/oauth/tokens":
            return None
        outcome = self._outcome(call)
        if outcome == "expired":
            body = {"error": "invalid_token", "error_description": "The access token expired"}
            return Reply(401, body)
        if call.path == ME and "authorization" not in call.headers:
            return None
        if outcome not in ("ok", "noscope"):
            return Reply(401, {"error": "Couldn't authenticate you"})
        needs = _needs(call)
        lacks = {*needs} & {*self.lacks} if outcome == "noscope" else set()
        if lacks or not self._granted(call, needs):
            message = "You do not have access to this page. Please contact the account owner."
            return self.refuse_titled(403, "Forbidden", message).reply
        return None

    def rate_limit(self, call: Call) -> Reply | None:
        """400 calls a minute, 10 of them exports."""
        if not self.limits or not call.path.startswith("/api/"):
            return None
        exports = "/incremental/" in call.path
        wait_s = self._exports.take() if exports else None
        if wait_s is None:
            wait_s = self._all.take()
        if wait_s is None:
            return None
        what = "incremental export " if exports else ""
        why = f"Number of allowed {what}API requests per minute exceeded"
        reply = self.refuse(429, "APIRateLimitExceeded", why).reply
        reply.headers["Retry-After"] = str(math.ceil(wait_s))
        return reply

    def page(self, call: Call) -> VendorPage:
        """The organizations as an agent sees them."""
        cards = [self._card(id, row) for id, row in self.organizations.items()]
        return VendorPage(self.title, cards)

    def _told(self, path: str) -> dict[str, str]:
        """What the headers say of the limits, and the id of the call."""
        headers = {
            "X-Rate-Limit": str(self._all.calls),
            "X-Rate-Limit-Remaining": str(self._all.left),
            "ratelimit-limit": str(self._all.calls),
            "ratelimit-remaining": str(self._all.left),
            "ratelimit-reset": "60",
            "X-Request-Id": f"{next(self._references):08x}",
        }
        if "/incremental/" in path:
            told = f"total={self._exports.calls}; remaining={self._exports.left}; resets=60"
            headers["zendesk-ratelimit-incremental-exports"] = told
        return headers

    # --- who may do what -----------------------------------------------------------------------

    def _outcome(self, call: Call) -> Outcome:
        """What the credentials of a call are worth."""
        who = call.principal
        if call.headers.get("authorization", "").lower().startswith("basic"):
            return token_outcome(who, f"{self.email}/token:{self.token}")
        held = self.tokens.get(who or "")
        if held is None:
            return "unknown"
        if self.clock().timestamp() >= held["expires"]:
            return "expired"
        return "ok" if held["full"] else "noscope"

    def _granted(self, call: Call, needs: list[str]) -> bool:
        """Whether an access token has the scopes; an API token has them all."""
        held = self.tokens.get(call.principal or "")
        if held is None:
            return True
        scopes = held["scope"].split()
        wanted = [need for need in needs if ":" in need]
        return all(need in scopes or need.partition(":")[2] in scopes for need in wanted)

    @route("POST", "/oauth/tokens")
    def sign_in(self, call: Call) -> Reply:
        """An access token for the OAuth client; it lives as long as asked, within bounds."""
        told = self._told_at_sign_in(call)
        client = token_outcome(told.get("client_secret"), self.client_secret)
        if told.get("client_id") != self.client_id or client not in ("ok", "noscope"):
            return _oauth_error(401, "invalid_client", "Client authentication failed")
        if told.get("grant_type") != "client_credentials":
            return _oauth_error(400, "unsupported_grant_type", "This grant is not offered here")
        lives_s = str(told.get("expires_in") or USUAL_S)
        if not lives_s.isdigit() or not SHORTEST_S <= int(lives_s) <= LONGEST_S:
            why = f"expires_in must be between {SHORTEST_S} and {LONGEST_S}"
            return _oauth_error(400, "invalid_request", why)
        token = f"{self.random.getrandbits(160):040x}"
        self.tokens[token] = {
            "expires": self.clock().timestamp() + int(lives_s),
            "scope": told.get("scope") or "read write",
            "full": client == "ok",
        }
        scope = self.tokens[token]["scope"]
        given = {"access_token": token, "token_type": "bearer", "scope": scope}
        return Reply(201, given | {"expires_in": int(lives_s)})

    def _told_at_sign_in(self, call: Call) -> Mapping[str, str | None]:
        if "json" in call.headers.get("content-type", ""):
            body = call.json()
            return body if isinstance(body, Mapping) else {}
        return {name: values[0] for name, values in call.form().items()}

    @route("GET", ME)
    def read_me(self, call: Call) -> Reply:
        """Who calls; without credentials somebody without an id."""
        outcome = self._outcome(call)
        if outcome not in ("ok", "noscope"):
            nobody = {"id": None, "name": "Anonymous user", "role": "end-user", "email": None}
            return Reply(json={"user": nobody})
        me = self.shown("users", self.users[ADMIN_ID])
        if outcome == "noscope" and "admin role" in self.lacks:
            me["role"] = "agent"
        return Reply(json={"user": me})

    # --- what people see -----------------------------------------------------------------------

    @route("GET", "/agent/{kind}/{id}")
    def open_page(self, call: Call, kind: str, id: str) -> Reply:
        """A record's address in Zendesk leads to the page of its organization."""
        if kind == "organizations":
            return Reply(302, headers={"Location": f"/record/organizations/{id}"})
        record = self.held(kind).get(id) if kind in ("users", "tickets") else None
        organization = record["organization_id"] if record else None
        onward = f"/record/organizations/{organization}" if organization else "/"
        return Reply(302, headers={"Location": onward})

    def _card(self, id: str, row: Obj) -> RecordCard:
        held: Obj = row["organization_fields"]
        tickets = [t for t in self.tickets.values() if t["organization_id"] == row["id"]]
        is_open = [t for t in tickets if t["status"] not in ("solved", "closed", "deleted")]
        fields = {
            "External ID": row["external_id"],
            "Tags": ", ".join(row["tags"]),
            "Tickets": str(len(tickets)) if tickets else "",
            "Open": "; ".join(str(t["subject"]) for t in is_open),
        }
        return RecordCard(
            id=id,
            name=row["name"],
            subtitle=", ".join(row["domain_names"]),
            fields=[(name, value) for name, value in fields.items() if value],
            object="organizations",
            status=self._word(held.get("hub_health")),
            since=held.get("hub_health_since"),
            reason=held.get("hub_health_reason"),
        )

    def _word(self, value: str | None) -> str | None:
        """A health option as people read it; its value is a tag with the hub's prefix."""
        return None if value is None else value.removeprefix("hub_")


def _needs(call: Call) -> list[str]:
    """The scope that a call needs, and the admin role where Zendesk wants one."""
    match = AREA.match(call.path)
    if match is None or call.path == ME:
        return []
    verb = "read" if call.method == "GET" else "write"
    is_for_admins = match[1] is not None or (match[2] == "organization" and verb == "write")
    return [f"{match[2]}s:{verb}", *(["admin role"] if is_for_admins else [])]


def _oauth_error(status: int, error: str, description: str) -> Reply:
    return Reply(status, {"error": error, "error_description": description})
