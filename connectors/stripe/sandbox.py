"""Stripe's stand-in over HTTP: sign-in, limits, idempotency, lists, and errors in Stripe's words.

What happens to the objects is in `sandbox_billing`, how lists work in `sandbox_lists`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

from hub.testing.kit import Call, Refused, Reply, Sandbox, Window, route, token_outcome
from hub.testing.page import RecordCard, VendorPage

from .sandbox_billing import Billing
from .sandbox_lists import RESOURCES, BadRequest, Params, bare, expanded, missing, page_of
from .sandbox_shapes import Obj
from .sandbox_world import deal
from .settings import VERSION

if TYPE_CHECKING:
    from hub.testing.world import World

PERMISSIONS = {
    "account": "accounts_kyc_basic", "customers": "customer", "subscriptions": "subscription",
    "invoices": "invoice", "invoice_payments": "invoice", "charges": "charge",
    "payment_intents": "payment_intent", "events": "event", "products": "product",
    "prices": "plan",
}  # fmt: skip
"""Stripe's name of the permission that each collection needs, before `_read` or `_write`."""

CUSTOMER_WORDS = ("name", "email", "description", "phone")
KEY_LIVES_S = 86_400
TYPES = {429: "rate_limit_error", 500: "api_error"}

Api = Callable[..., Obj]


def api(handler: Api) -> Callable[..., Reply]:
    """A handler that returns an object: checked, answered once a key, and shown expanded."""

    @wraps(handler)
    def answered(self: StripeSandbox, call: Call, **parts: str) -> Reply:
        self.permit(call)
        if (replayed := self.replay(call)) is not None:
            return replayed
        try:
            self.cause = (self.next_request(), call.headers.get("idempotency-key"))
            found = handler(self, call, **parts)
            reply = self.reply(200, expanded(found, parameters(call), self.objects))
        except BadRequest as bad:
            raise Refused(self.refusal(bad.status, bad.message, bad.code, bad.param)) from bad
        finally:
            self.cause = (None, None)
        self.remember(call, reply)
        return reply

    return answered


def parameters(call: Call) -> Params:
    """What the caller asks: the query of a GET or DELETE, the form of a POST."""
    return {**call.query, **call.form()}


class StripeSandbox(Billing, Sandbox):
    """One Stripe account in test mode. `withheld` takes permissions from the good key."""

    vendor: ClassVar[str] = "stripe"
    title: ClassVar[str] = "Stripe"
    default_port: ClassVar[int] = 8703
    kept: ClassVar[tuple[str, ...]] = ("objects", "minted", "answers", "requests", "withheld")

    account: ClassVar[str] = "acct_1SandboxHub"
    version: str = VERSION

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 7, live: bool = False) -> None:
        super().__init__(clock=clock, seed=seed)
        self.begin_billing()
        self.limits = True
        self.token = f"rk_{'live' if live else 'test'}_sandbox{seed}"
        self.answers: dict[str, Obj] = {}
        self.requests = 0
        self.withheld: list[str] = []
        self._account_window = Window(100 if live else 25, 1.0, clock)
        self._endpoint_windows: dict[str, Window] = {}

    # --- what the kit asks ----------------------------------------------------------------------

    def load(self, world: World) -> None:
        """Fill the account from the world's billing customers."""
        deal(world, self)

    @property
    def credentials(self) -> Mapping[str, str]:
        """The restricted key, and the secret that its webhooks would be signed with."""
        return {"token": self.token, "webhook_secret": f"whsec_sandbox{self.seed}"}

    def connection_file(self) -> dict[str, Any]:
        """The Stripe part of a connection's file."""
        return {
            "connector": "stripe",
            "settings": {"base_url": self.url, "key": "env:STRIPE_KEY"},
            "fields": {"customers": {"external.hubspot": "hubspot_company_id"}},
        }

    def secrets(self) -> Mapping[str, str]:
        """The key, under the name that the connection's file uses."""
        return {"STRIPE_KEY": self.token}

    def authenticate(self, call: Call) -> Reply | None:
        """A bearer key, or Basic with the key as user and no password."""
        key = (call.principal or "").removesuffix(":")
        match token_outcome(key, self.token):
            case "ok" | "noscope":
                return None
            case "expired":
                return self.refusal(401, "Expired API Key provided.", "api_key_expired")
            case _ if not key:
                return self.refusal(401, "You did not provide an API key.")
            case _:
                return self.refusal(401, f"Invalid API Key provided: {key[:8]}****")

    def rate_limit(self, call: Call) -> Reply | None:
        """The account's calls a second, and 25 for each endpoint; no Retry-After, as in life."""
        if not self.limits:
            return None
        endpoint = f"{call.method} {'/'.join(call.path.split('/')[:3])} {call.path.count('/')}"
        window = self._endpoint_windows.setdefault(endpoint, Window(25, 1.0, self.clock))
        for reason, limit in (("global-rate", self._account_window), ("endpoint-rate", window)):
            if limit.take() is not None:
                reply = self.refusal(429, "Request rate limit exceeded.", "rate_limit")
                reply.headers["Stripe-Rate-Limited-Reason"] = reason
                return reply
        return None

    def error(self, call: Call, status: int, message: str) -> Reply:
        """An error in Stripe's shape."""
        return self.refusal(status, message)

    def not_found(self, call: Call) -> Reply:
        """Stripe's answer to an address that it does not have."""
        return self.refusal(404, f"Unrecognized request URL ({call.method}: {call.path}).")

    def page(self, call: Call) -> VendorPage:
        """The customers with the hub's metadata and what they owe."""
        owed: dict[str, list[Obj]] = {}
        for invoice in self.objects["invoice"].values():
            if invoice["status"] == "open":
                owed.setdefault(invoice["customer"], []).append(invoice)
        live = [c for c in self.objects["customer"].values() if not c.get("deleted")]
        cards = [self._card(customer, owed.get(customer["id"], [])) for customer in live]
        return VendorPage(self.title, cards)

    def _card(self, customer: Obj, owed: list[Obj]) -> RecordCard:
        metadata = customer["metadata"]
        bills = [
            (
                f"Open invoice {invoice['number']}",
                f"{invoice['amount_remaining']} {invoice['currency']},"
                f" {invoice['attempt_count']} attempts",
            )
            for invoice in owed
        ]
        return RecordCard(
            customer["id"],
            customer["name"] or customer["id"],
            subtitle=customer["email"] or "",
            fields=[*bills, *sorted(metadata.items())],
            object="customers",
            status=metadata.get("hub_health"),
            since=metadata.get("hub_health_since"),
            reason=metadata.get("hub_health_reason"),
        )

    # --- answers --------------------------------------------------------------------------------

    def next_request(self) -> str:
        """The id of the request that is being answered."""
        self.requests += 1
        return f"req_{self.requests:014d}"

    def reply(self, status: int, body: Obj) -> Reply:
        """An answer with the headers that Stripe always sends."""
        request = self.cause[0] or self.next_request()
        return Reply(status, body, headers={"Request-Id": request, "Stripe-Version": self.version})

    def refusal(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        kind: str | None = None,
    ) -> Reply:
        """An error body: type, message, and where there are any the code and the parameter."""
        kind = kind or TYPES.get(min(status, 500), "invalid_request_error")
        error: Obj = {"type": kind, "message": message}
        error |= {name: value for name, value in (("code", code), ("param", param)) if value}
        return self.reply(status, {"error": error})

    def permit(self, call: Call) -> None:
        """Refuse what the key may not do, naming the permission, and versions that never were."""
        collection = call.path.split("/")[2]
        action = "read" if call.method == "GET" else "write"
        needed = f"{PERMISSIONS.get(collection, collection)}_{action}"
        if token_outcome((call.principal or "").removesuffix(":"), self.token) == "noscope":
            lacking = ["invoice_read", "customer_write", *self.withheld]
        else:
            lacking = self.withheld
        if needed in lacking:
            text = (
                f"The provided key '{self.token[:8]}****' does not have the required permissions"
                f" for this endpoint on account '{self.account}'. Having the 'rak_{needed}'"
                " permission would allow this request to continue."
            )
            raise Refused(self.refusal(403, text))
        version = call.headers.get("stripe-version", self.version)
        if re.fullmatch(r"\d{4}-\d\d-\d\d(\.\w+)?", version) is None:
            raise Refused(self.refusal(400, f"Invalid Stripe API version: {version}"))

    # --- idempotency ----------------------------------------------------------------------------

    def replay(self, call: Call) -> Reply | None:
        """The saved answer for this key; Stripe refuses a key that comes with other parameters."""
        key = call.headers.get("idempotency-key")
        if call.method != "POST" or not key:
            return None
        if len(key) > 255:
            raise Refused(self.refusal(400, "Idempotency keys can have up to 255 characters."))
        saved = self.answers.get(key)
        if saved is None or saved["at"] + KEY_LIVES_S < self.clock().timestamp():
            return None
        if saved["asked"] != _fingerprint(call):
            text = (
                "Keys for idempotent requests can only be used with the same parameters they were"
                f" first used with. Try using a key other than '{key}'."
            )
            raise Refused(self.refusal(400, text, kind="idempotency_error"))
        headers = {**saved["headers"], "Idempotent-Replayed": "true"}
        return Reply(saved["status"], saved["body"], headers=headers)

    def remember(self, call: Call, reply: Reply) -> None:
        """Save the answer under its key; what was refused before it began is not saved."""
        key = call.headers.get("idempotency-key")
        if call.method == "POST" and key:
            self.answers[key] = {
                "asked": _fingerprint(call),
                "status": reply.status,
                "body": reply.json,
                "headers": dict(reply.headers),
                "at": self.clock().timestamp(),
            }

    # --- reads ----------------------------------------------------------------------------------

    @route("GET", "/v1/account")
    @api
    def _account(self, call: Call) -> Obj:
        return {
            "id": self.account,
            "object": "account",
            "business_profile": {"name": "Harbour Software", "url": "https://harbour.example"},
            "charges_enabled": True,
            "country": "DE",
            "default_currency": "eur",
            "details_submitted": True,
            "metadata": {},
            "payouts_enabled": True,
            "settings": {"dashboard": {"display_name": "Harbour Software", "timezone": "Etc/UTC"}},
            "type": "standard",
        }

    @route("GET", "/v1/{collection}")
    @api
    def _list(self, call: Call, collection: str) -> Obj:
        if collection not in RESOURCES:
            raise Refused(self.not_found(call))
        kind = RESOURCES[collection].kind
        found = self.events_kept() if kind == "event" else self.objects[kind].values()
        return page_of(collection, (o for o in found if not o.get("deleted")), call.query)

    @route("GET", "/v1/{collection}/{id}")
    @api
    def _read(self, call: Call, collection: str, id: str) -> Obj:
        if collection not in RESOURCES:
            raise Refused(self.not_found(call))
        kind = RESOURCES[collection].kind
        known = {e["id"]: e for e in self.events_kept()} if kind == "event" else self.objects[kind]
        if id not in known:
            raise missing(kind, id)
        return known[id]

    # --- writes ---------------------------------------------------------------------------------

    @route("POST", "/v1/customers")
    @api
    def _create_customer(self, call: Call) -> Obj:
        fields, metadata = _customer_fields(call, {})
        set_only = {key: value for key, value in metadata.items() if value}
        return self.objects["customer"][self.create_customer(metadata=set_only, **fields)]

    @route("POST", "/v1/customers/{id}")
    @api
    def _update_customer(self, call: Call, id: str) -> Obj:
        held = self.held("customer", id)
        fields, metadata = _customer_fields(call, held["metadata"])
        self.update_customer(id, metadata=metadata, **fields)
        return held

    @route("DELETE", "/v1/customers/{id}")
    @api
    def _delete_customer(self, call: Call, id: str) -> Obj:
        return self.delete_customer(id)

    @route("POST", "/v1/subscriptions/{id}")
    @api
    def _update_subscription(self, call: Call, id: str) -> Obj:
        held = self.held("subscription", id)
        form = _known_form(call, ("cancel_at_period_end", "metadata"))
        sent = _metadata(form, held["metadata"])
        kept = {key: value for key, value in {**held["metadata"], **sent}.items() if value}
        changes: dict[str, Any] = {"metadata": kept}
        if (at_end := form.get("cancel_at_period_end")) is not None:
            changes["cancel_at_period_end"] = at_end == ["true"]
        return self.update_subscription(id, **changes)

    @route("DELETE", "/v1/subscriptions/{id}")
    @api
    def _cancel(self, call: Call, id: str) -> Obj:
        details = _nested(parameters(call), "cancellation_details")
        return self.cancel(id, feedback=details.get("feedback"), comment=details.get("comment"))

    @route("POST", "/v1/invoices/{id}/{action}")
    @api
    def _act_on_invoice(self, call: Call, id: str, action: str) -> Obj:
        acts: Mapping[str, Callable[[str], object]] = {
            "pay": self.pay,
            "void": self.void,
            "mark_uncollectible": self.mark_uncollectible,
        }
        if action not in acts:
            raise Refused(self.not_found(call))
        acts[action](id)
        return self.objects["invoice"][id]

    @route("DELETE", "/v1/invoices/{id}")
    @api
    def _delete_invoice(self, call: Call, id: str) -> Obj:
        return self.delete_invoice(id)


# --- what a caller sends ------------------------------------------------------------------------


def _customer_fields(
    call: Call, held: Mapping[str, str]
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """The plain fields of a customer's form, and its metadata."""
    form = _known_form(call, (*CUSTOMER_WORDS, "metadata"))
    fields = {name: form[name][0] or None for name in CUSTOMER_WORDS if name in form}
    if (email := fields.get("email")) and "@" not in email:
        raise BadRequest("Invalid email address.", param="email", code="email_invalid")
    return fields, _metadata(form, held)


def _known_form(call: Call, words: tuple[str, ...]) -> Params:
    """The form's fields, all of them known."""
    if call.body and "json" in call.headers.get("content-type", ""):
        raise BadRequest("Send the body as application/x-www-form-urlencoded, not as JSON.")
    form = call.form()
    for name in form:
        if bare(name) not in (*words, "expand"):
            raise BadRequest(
                f"Received unknown parameter: {bare(name)}", param=name, code="parameter_unknown"
            )
    return form


def _metadata(form: Params, held: Mapping[str, str]) -> dict[str, str | None]:
    """The metadata that a form sets, within Stripe's limits; `metadata=` takes out all there is."""
    if form.get("metadata") == [""]:
        return dict.fromkeys(held)
    metadata = _nested(form, "metadata")
    _fits(metadata, held)
    return metadata


def _nested(form: Params, name: str) -> dict[str, str | None]:
    """`name[key]=value` pairs; a key with brackets of its own stays as it was sent."""
    inside = re.compile(rf"{name}\[(.*)\]")
    matches = ((inside.fullmatch(key), found) for key, found in form.items())
    return {match[1]: found[0] for match, found in matches if match}


def _fits(metadata: Mapping[str, str | None], held: Mapping[str, str]) -> None:
    """Stripe's limits: 50 keys, 40 characters without brackets, values of 500."""
    for key, value in metadata.items():
        if len(key) > 40 or "[" in key or "]" in key:
            raise BadRequest(
                "Metadata keys can have up to 40 characters and no square brackets.",
                param="metadata",
            )
        if len(value or "") > 500:
            raise BadRequest(
                f"Metadata values can have up to 500 characters, but you passed in a value that is"
                f" {len(value or '')} characters.",
                param=f"metadata[{key}]",
            )
    after = {k for k in {**held, **metadata} if metadata.get(k, held.get(k))}
    if len(after) > 50:
        raise BadRequest("Metadata can have up to 50 keys.", param="metadata")


def _fingerprint(call: Call) -> str:
    sent = parse_qs(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    text = f"{call.method} {call.path} {sorted(sent.items())}"
    return hashlib.sha256(text.encode()).hexdigest()
