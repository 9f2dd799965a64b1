"""What we write to Stripe: the hub's status in a customer's metadata. Nothing that moves money.

Stripe has no tasks, so none are declared, and its metadata needs no definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from hub import (
    Connector,
    DefineField,
    Observed,
    Receipt,
    Row,
    SetFields,
    observes,
    writes,
)

from .client import one, pages
from .settings import StripeSettings

OURS = "hub_"
FIELDS = ("hub_health", "hub_health_since", "hub_health_reason")

SINGLE_READS = 20
"""Up to so many customers are read one by one, more of them from the list."""


class Writes(Connector[StripeSettings]):
    """The write-back, and reading it back."""

    @writes(DefineField, once="upsert", on=("customers",))
    def define_field(self, action: DefineField) -> Receipt:
        """Metadata keys exist as soon as they are written."""
        return Receipt(id=f"{action.object}.{action.field.name}")

    @writes(SetFields, once="upsert", on=("customers",))
    def set_fields(self, action: SetFields) -> Receipt:
        """Set keys of a customer's metadata; an empty value takes a key out, others stay."""
        form = {f"metadata[{name}]": value or "" for name, value in action.values.items()}
        answer = self.http.post(f"/v1/customers/{action.target.id}", form=form, repeat=True)
        return Receipt(id=str(answer["id"]))

    @observes("customers")
    def observe_customers(self, ids: Sequence[str]) -> Iterator[Observed]:
        """The hub's keys as the customers hold them now."""
        listed = self._listed(ids) if len(ids) > SINGLE_READS else {}
        for id in ids:
            # Absence from a list proves nothing: what was not found there is asked for by id.
            row = listed.get(id) or one(self.http, f"/v1/customers/{id}")
            yield Observed(id, {}, exists=False) if row is None else Observed(id, _ours(row))

    @observes("fields")
    def observe_fields(self, ids: Sequence[str]) -> Iterator[Observed]:
        """Every metadata key counts as defined."""
        for id in ids:
            yield Observed(id, {})

    def _listed(self, ids: Sequence[str]) -> dict[str, Row]:
        """As many of these as the list shows within as many calls as single reads would take."""
        found: dict[str, Row] = {}
        wanted = set(ids)
        for rows in islice(pages(self.http, "/v1/customers"), len(ids)):
            found |= {row["id"]: row for row in rows if row["id"] in wanted}
            if len(found) == len(wanted):
                break
        return found


def _ours(row: Row) -> dict[str, str | None]:
    metadata = row.get("metadata") or {}
    known = {name: metadata.get(name) for name in FIELDS}
    return known | {name: value for name, value in metadata.items() if name.startswith(OURS)}
