"""Stripe for the hub: customers, subscriptions, invoices and payments in, the status out."""

from __future__ import annotations

from collections.abc import Iterator

from hub import Checked, Http, Register, hookimpl

from .actions import Writes
from .client import PermissionMissing, open_client, pages
from .settings import StripeSettings
from .streams import EXPAND, Reads

__all__ = ["Stripe", "StripeSettings", "register_connectors"]


class Stripe(Reads, Writes):
    """One Stripe account. Money is read and never moved."""

    name = "stripe"
    title = "Stripe"
    sandbox = "connectors.stripe.sandbox:StripeSandbox"
    absence = "zero"

    def connect(self) -> Http:
        """The client with the key, Stripe's version and Stripe's limits."""
        return open_client(self.settings, self.connection)

    def check(self) -> Checked:
        """Sign in, and read one row of everything that will be read."""
        account, who, notes = self._account()
        mode = "live mode" if self.settings.is_live else "test mode"
        return Checked(
            account=account,
            says=f"signed in to {who}, {mode}",
            missing=tuple(dict.fromkeys(self._missing())),
            unprovable=("Customers: write",),
            notes=notes,
        )

    def _account(self) -> tuple[str | None, str, tuple[str, ...]]:
        try:
            answer = self.http.get("/v1/account")
        except PermissionMissing:
            note = (
                "The key may not read its account; write `account: acct_…` (Stripe Dashboard,"
                " Settings, Business) into the connection's file"
            )
            return None, "a Stripe account", (note,)
        id = str(answer["id"])
        settings = answer.get("settings") or {}
        name = (settings.get("dashboard") or {}).get("display_name")
        return id, str(name or id), ()

    def _missing(self) -> Iterator[str]:
        """Permissions by Stripe's own names, found by trying with all that will be asked for."""
        for name in (*EXPAND, "events"):
            try:
                next(pages(self.http, f"/v1/{name}", {"limit": 1}, expand=EXPAND.get(name, ())))
            except PermissionMissing as refused:
                yield refused.permission or f"{name.capitalize()}: read"


@hookimpl
def register_connectors(register: Register) -> None:
    """Bring the Stripe connector."""
    register(Stripe)
