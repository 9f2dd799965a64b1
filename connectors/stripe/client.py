"""How we talk to Stripe: the key, the limits, lists page by page, and Stripe's errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from hub import Answer, Http, HubError, Limit, ReadRefused, ReconnectNeeded, Row, Rows, ScopeMissing

from .settings import StripeSettings

API = "https://api.stripe.com"
PAGE = 100

Params: TypeAlias = Mapping[str, object]
NOTHING: Params = {}

ENDPOINTS = ("customers", "subscriptions", "invoices", "charges", "events")

PERMISSIONS = {
    "customer": "Customers",
    "subscription": "Subscriptions",
    "invoice": "Invoices",
    "charge": "Charges",
    "event": "Events",
    "coupon": "Coupons",
    "payment_intent": "PaymentIntents",
    "plan": "Prices",
}
"""What the Dashboard calls the permissions that Stripe's errors name `rak_…_read`."""


class PermissionMissing(ScopeMissing):
    """The restricted key lacks one permission; None when Stripe does not say which."""

    def __init__(self, permission: str | None) -> None:
        super().__init__(
            f'The key lacks "{permission}"' if permission else "The key may not do this",
            do="Edit the restricted key in Stripe (Developers, API keys); the next run goes on"
            " where this one stopped",
        )
        self.permission = permission


def open_client(settings: StripeSettings) -> Http:
    """The client for one Stripe account in one mode."""
    return Http(
        settings.base_url or API,
        token=settings.key.get_secret_value(),
        headers={"Stripe-Version": settings.version},
        limits=limits(settings.is_live),
        explain=explain,
    )


def limits(live: bool) -> Sequence[Limit]:
    """100 calls a second for a live account, 25 for test keys, and 25 for each endpoint."""
    account = Limit("account", 100 if live else 25, 1.0)
    return [account, *(Limit(name, 25, 1.0, only=(f"/v1/{name}",)) for name in ENDPOINTS)]


def explain(answer: Answer) -> HubError | None:
    """Stripe's words for a bad key or a missing permission; None leaves it to the client."""
    error = _error(answer)
    if answer.status == 401:
        expired = error.get("code") == "api_key_expired"
        return ReconnectNeeded(
            "Stripe says the key has expired" if expired else "Stripe does not accept the key",
            do="Make a new restricted key (Developers, API keys) and put it in the place that the"
            " connection's `key:` names",
        )
    if answer.status == 403:
        permission = named_permission(str(error.get("message") or ""))
        return PermissionMissing(permission)
    return None


def named_permission(message: str) -> str | None:
    """The permission that Stripe's refusal names, as its Dashboard writes it: `Invoices: read`."""
    match = re.search(r"rak_(\w+)_(read|write)", message)
    if match is None:
        return None
    name = PERMISSIONS.get(match[1]) or match[1].replace("_", " ").capitalize()
    return f"{name}: {match[2]}"


def _error(answer: Answer) -> Mapping[str, object]:
    body = answer.json
    error = body.get("error") if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def pages(
    http: Http, path: str, params: Params = NOTHING, *, expand: Sequence[str] = ()
) -> Iterator[Rows]:
    """A list from its newest row to its oldest, a page at a time; the last page may be empty.

    The cursor is the last id seen, so rows that arrive meanwhile push nothing past it.
    """
    asked = {"limit": PAGE, **params, "expand[]": [f"data.{name}" for name in expand]}
    after: str | None = None
    while True:
        answer = http.get(path, **asked, starting_after=after)
        rows: Rows = answer["data"]
        yield rows
        if not answer["has_more"]:
            return
        if not rows or rows[-1]["id"] == after:
            raise ReadRefused(
                f"Stripe's list {path} says there is more but does not move on",
                do="Run again; tell Stripe's support if it stays",
                code="PAGINATION_STUCK",
            )
        after = str(rows[-1]["id"])


def one(http: Http, path: str, *, expand: Sequence[str] = ()) -> Row | None:
    """One object by its address; None when Stripe does not have it, or only its deleted stub."""
    try:
        answer = http.get(path, **{"expand[]": list(expand)})
    except ReadRefused as refused:
        if refused.status == 404:
            return None
        raise
    row: Row = answer.json
    return None if row.get("deleted") else row
