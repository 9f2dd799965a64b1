"""When an account decides about going on."""

from __future__ import annotations

from sqlalchemy import select

from hub import Facts, Measured, measure


@measure(unit="days", empty="unknown")
def days_to_renewal(at: Facts) -> Measured:
    """Days until the renewal; negative when it has passed, unknown without a renewal date."""
    return select(
        at.accounts.c.account_id, at.days_until(at.accounts.c.renewal_on), at.accounts.c.key
    ).where(at.accounts.c.renewal_on.is_not(None))


@measure(kind="date", empty="unknown")
def renewal_on(at: Facts) -> Measured:
    """The renewal date: the CRM's, else the period end of a yearly subscription."""
    return select(at.accounts.c.account_id, at.accounts.c.renewal_on, at.accounts.c.key).where(
        at.accounts.c.renewal_on.is_not(None)
    )
