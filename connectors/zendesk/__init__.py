"""Zendesk for the hub: organizations, users and tickets in; the status on organizations out."""

from __future__ import annotations

from hub import Checked, ReconnectNeeded, Register, ScopeMissing, hookimpl

from .actions import Writes
from .client import PAGED
from .settings import ZendeskSettings
from .streams import Reads

__all__ = ["Zendesk", "ZendeskSettings", "register_connectors"]

ADMIN = "admin role"
"""What Zendesk wants for incremental exports and for making organization fields."""

READS = {
    "organizations:read": ("organizations", "organization_fields"),
    "users:read": ("users",),
    "tickets:read": ("tickets",),
}
"""Each scope that a small read proves, with the lists that it opens."""

UNPROVABLE = ("organizations:write",)
"""Scopes that only a write would show."""

TOKENS_END = (
    "Zendesk stops all API tokens for good on 2027-04-30: make an OAuth client and write client_id"
    " and client_secret into the connection's file instead of email and api_token."
)


class Zendesk(Reads, Writes):
    """One Zendesk account, known by its subdomain."""

    name = "zendesk"
    title = "Zendesk"
    sandbox = "connectors.zendesk.sandbox:ZendeskSandbox"
    absence = "zero"

    def check(self) -> Checked:
        """Prove the sign-in, the admin role, and each scope that one small read can prove."""
        role = self._my_role()
        missing = [] if role in ("admin", None) else [ADMIN]
        for scope, lists in READS.items():
            if not all(self._may_read(name) for name in lists):
                missing.append(scope)
        return Checked(
            account=self.settings.subdomain,
            says=f"signed in to {self.settings.subdomain}.zendesk.com"
            + (f" as {role}" if role else ""),
            missing=missing,
            unprovable=UNPROVABLE,
            notes=[TOKENS_END] if self.settings.uses_api_token else [],
        )

    def _my_role(self) -> str | None:
        """The role behind the credentials; None when they may not read users at all."""
        try:
            me = self.http.get("/api/v2/users/me").get("user") or {}
        except ScopeMissing:
            return None
        # Zendesk answers a caller whom it does not know as a user without an id, not with 401.
        if me.get("id") is None:
            raise ReconnectNeeded(
                "Zendesk does not know these credentials",
                where=self.connection,
                do=f"Renew them, then run `hub check {self.connection}`",
            )
        return str(me.get("role"))

    def _may_read(self, name: str) -> bool:
        try:
            self.http.get(f"/api/v2/{name}", **{PAGED: 1})
        except ScopeMissing:
            return False
        return True


@hookimpl
def register_connectors(register: Register) -> None:
    """Bring Zendesk."""
    register(Zendesk)
