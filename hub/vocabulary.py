"""The fields that the hub owns in every tool: same name, same words, same help (S105)."""

from __future__ import annotations

from collections.abc import Mapping

from .model import FieldSpec, Option, Status

WORDS: tuple[Status, ...] = ("at_risk", "watch", "healthy", "unknown")


def field_specs(labels: Mapping[Status, str]) -> dict[str, FieldSpec]:
    """The status fields by name, with the team's labels for the four words."""
    status = FieldSpec(
        name="hub_health",
        label="Health",
        kind="enumeration",
        help="What the retention hub concludes from all tools. Written by the hub: the same word"
        " stands in the CRM, the help desk and billing. Change it there by changing the facts.",
        options=tuple(Option(value=word, label=labels[word]) for word in WORDS),
    )
    since = FieldSpec(
        name="hub_health_since",
        label="Health since",
        kind="date",
        help="The day on which the account got its present health. Written by the retention hub.",
    )
    reason = FieldSpec(
        name="hub_health_reason",
        label="Health reason",
        kind="text",
        help="Why the account has its present health, in one line. Written by the retention hub.",
    )
    return {spec.name: spec for spec in (status, since, reason)}
