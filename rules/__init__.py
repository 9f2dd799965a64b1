"""What is true: the hub's own measures and the rules that ship with it, through the public door."""

from __future__ import annotations

from importlib import resources

from hub import Register, hookimpl

from .measures import billing, renewal, usage
from .revenue import mrr_minor

MEASURES = (
    usage.days_since_last_login,
    usage.last_login_on,
    usage.active_people_30d,
    usage.key_feature_days_30d,
    billing.failed_unpaid_attempts,
    billing.last_failed_payment_on,
    billing.days_since_first_failed_payment,
    renewal.days_to_renewal,
    renewal.renewal_on,
    mrr_minor,
)


@hookimpl
def register_measures(register: Register) -> None:
    """Every measure that needs more than a YAML primitive."""
    for one in MEASURES:
        register(one)


@hookimpl
def register_plays(register: Register) -> None:
    """The shipped measures, signals, health model and plays; config/rules wins by name."""
    register(resources.files(__name__) / "shipped")
