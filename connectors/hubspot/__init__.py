"""HubSpot for the hub: companies, contacts, deals and owners in; status fields and tasks out."""

from __future__ import annotations

from hub import Checked, Register, ScopeMissing, hookimpl

from .actions import Writes
from .settings import HubSpotSettings
from .streams import Reads

__all__ = ["HubSpot", "HubSpotSettings", "register_connectors"]

READS = {
    "crm.objects.companies.read": ("objects", "companies"),
    "crm.objects.contacts.read": ("objects", "contacts"),
    "crm.objects.deals.read": ("objects", "deals"),
    "crm.objects.owners.read": ("owners",),
    "crm.schemas.companies.read": ("properties", "companies", "name"),
}
"""Each scope that a small read proves, with the address that it opens."""

UNPROVABLE = (
    "crm.objects.companies.write",
    "crm.objects.contacts.write (tasks and notes)",
    "crm.schemas.companies.write",
)
"""Scopes that only a write would show."""


class HubSpot(Reads, Writes):
    """One HubSpot account."""

    name = "hubspot"
    title = "HubSpot"
    sandbox = "connectors.hubspot.sandbox:HubSpotSandbox"

    def check(self) -> Checked:
        """Prove the token, and each scope that one small read can prove."""
        missing = [scope for scope, address in READS.items() if not self._may_read(*address)]
        account = self.portal.get("portalId")
        if account is None:
            says = "signed in, but the token may not read which account it belongs to"
            notes = ["Write `account:` with the portal id into the connection's file."]
        else:
            says, notes = f"signed in to HubSpot account {account}", []
        return Checked(
            account=None if account is None else str(account),
            says=says,
            missing=missing,
            unprovable=UNPROVABLE,
            notes=notes,
        )

    def _may_read(self, *address: str) -> bool:
        try:
            self.http.get(self.at(*address), limit=None if "properties" in address else 1)
        except ScopeMissing:
            return False
        return True


@hookimpl
def register_connectors(register: Register) -> None:
    """Bring HubSpot."""
    register(HubSpot)
