"""How we talk to Stripe: the key, the limits, lists page by page, and Stripe's errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from hub import (
    Answer,
    Http,
    HubError,
    Limit,
    ReadRefused,
    ReconnectNeeded,
    Row,
    Rows,
    ScopeMissing,
    WriteRefused,
)

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

    def __init__(self, what: str, permission: str | None, *, where: str) -> None:
        super().__init__(
            what,
            where=where,
            do="Edit the restricted key in Stripe (Developers, API keys); the next run goes on"
            " where this one stopped, nothing is lost",
        )
        self.permission = permission


def open_client(settings: StripeSettings, connection: str) -> Http:
    """The client for one Stripe account in one mode."""
    return Http(
        settings.base_url or API,
        token=settings.key.get_secret_value(),
        headers={"Stripe-Version": settings.version},
        limits=limits(settings.is_live),
        explain=partial(explain, connection),
    )


def limits(live: bool) -> Sequence[Limit]:
    """100 calls a second for a live account, 25 for test keys, and 25 for each endpoint."""
    account = Limit("account", 100 if live else 25, 1.0)
    return [account, *(Limit(name, 25, 1.0, only=(f"/v1/{name}",)) for name in ENDPOINTS)]


def explain(connection: str, answer: Answer) -> HubError | None:
    """Stripe's words for a bad key, a missing permission, a target that is gone; else None."""
    error = _error(answer)
    call = f"{answer.method} {answer.path} ({answer.status}, request {answer.request_id})"
    if answer.status == 401:
        expired = error.get("code") == "api_key_expired"
        why = "the key has expired" if expired else "Stripe does not accept the key"
        return ReconnectNeeded(
            f"Stripe turned away {call}: {why}",
            where=connection,
            do="Make a new restricted key in Stripe (Developers, API keys), put it where the"
            f" connection's `key:` looks, then run `hub check {connection}`",
        )
    if answer.status == 403:
        permission = named_permission(str(error.get("message") or ""))
        lacks = f'the key lacks "{permission}"' if permission else "the key may not do this"
        return PermissionMissing(f"Stripe refused {call}: {lacks}", permission, where=connection)
    if answer.status == 404 and answer.method == "POST":
        return WriteRefused(
            f"Stripe no longer has the target of {call}", where=connection, code="TARGET_GONE"
        )
    return None


def named_permission(message: str) -> str | None:
    """The permission that Stripe's refusal names, as its Dashboard writes it: `Invoices: read`."""
    match = re.search(r"rak_(\w+)_(read|write)", message)
    if match is None:
        return None
    name = PERMISSIONS.get(match[1]) or match[1].replace("_", " ").capitalize()
    return f"{name}: {match[2]}"


def _error(answer: Answer) -> Mapping[str, object]:
    error = answer.body.get("error") if isinstance(answer.body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def pages(
    http: Http, path: str, params: Params = NOTHING, *, expand: Sequence[str] = ()
) -> Iterator[Rows]:
    """A list from its newest row to its oldest, a page at a time; the last page may be empty.

    The cursor is the last id seen, so rows that arrive meanwhile push nothing past it.
    """
    asked = {"limit": PAGE, **params, "expand[]": [f"data.{name}" for name in expand]}
    passed: list[str] = []
    while True:
        answer = http.get(path, **asked, starting_after=passed[-1] if passed else None)
        rows, has_more = _listed(path, answer)
        yield rows
        if not has_more:
            return
        last = str(rows[-1]["id"]) if rows else None
        if last is None or last in passed:
            raise ReadRefused(
                f"Stripe's list {path} says there is more but does not move on",
                do="Run again; tell Stripe's support if it stays",
                code="PAGINATION_STUCK",
            )
        passed.append(last)


def _listed(path: str, answer: Row) -> tuple[Rows, bool]:
    """A list's rows and whether there are more; what is no list is never taken for an empty one."""
    rows = answer.get("data") if isinstance(answer, Mapping) else None
    has_more = answer.get("has_more") if isinstance(answer, Mapping) else None
    if not isinstance(rows, list) or not isinstance(has_more, bool):
        raise ReadRefused(f"GET {path} did not give a list as Stripe documents it", code="SHAPE")
    return rows, has_more


def one(http: Http, path: str, *, expand: Sequence[str] = ()) -> Row | None:
    """One object by its address; None when Stripe does not have it, or only its deleted stub."""
    try:
        row: Row = http.get(path, **{"expand[]": list(expand)})
    except ReadRefused as refused:
        if refused.status == 404:
            return None
        raise
    if not isinstance(row, Mapping) or "id" not in row:
        raise ReadRefused(f"GET {path} did not give an object as Stripe documents it", code="SHAPE")
    return None if row.get("deleted") else row
