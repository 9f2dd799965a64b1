"""The fact views and the fields that a YAML measure may name; `facts.py` makes the views."""

from __future__ import annotations

from collections.abc import Mapping

from .conditions import Name

FIELDS: Mapping[str, Mapping[str, Name]] = {
    "usage": {"event": Name("text"), "count": Name("number"), "person": Name("text")},
    "tickets": {
        "subject": Name("text"),
        "priority": Name("text"),
        "requester": Name("text"),
        "is_open": Name("boolean"),
    },
    "invoices": {
        "currency": Name("text"),
        "total_minor": Name("number", "minor"),
        "remaining_minor": Name("number", "minor"),
        "is_unpaid": Name("boolean"),
    },
    "attempts": {
        "succeeded": Name("boolean"),
        "decline_code": Name("text"),
        "is_unpaid": Name("boolean"),
    },
    "subscriptions": {
        "interval": Name("text"),
        "amount_minor": Name("number", "minor"),
        "currency": Name("text"),
        "is_live": Name("boolean"),
    },
    "accounts": {"renewal_on": Name("date"), "signed_up_on": Name("date")},
}
"""The fact views and the fields that a YAML measure may name."""
