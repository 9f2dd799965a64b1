"""What payments say about an account; a bill is unpaid until it is paid, voided or given up."""

from __future__ import annotations

from sqlalchemy import func, select

from hub import Facts, Measured, measure


@measure(unit="count", needs="billing", empty="zero")
def failed_unpaid_attempts(at: Facts) -> Measured:
    """Failed tries to take money for bills that are still unpaid."""
    return (
        select(at.attempts.c.account_id, func.count(), at.newest(at.attempts))
        .where(at.attempts.c.is_unpaid, ~at.attempts.c.succeeded)
        .group_by(at.attempts.c.account_id)
    )


@measure(kind="date", needs="billing", empty="unknown")
def last_failed_payment_on(at: Facts) -> Measured:
    """The day of the newest failed payment of a bill that is still unpaid."""
    return (
        select(at.attempts.c.account_id, func.max(at.attempts.c.day), at.newest(at.attempts))
        .where(at.attempts.c.is_unpaid, ~at.attempts.c.succeeded)
        .group_by(at.attempts.c.account_id)
    )


@measure(unit="days", needs="billing", empty="zero")
def days_since_first_failed_payment(at: Facts) -> Measured:
    """Days since the first failed payment of the oldest bill still unpaid; 0 when none failed."""
    return (
        select(
            at.attempts.c.account_id,
            at.days_since(func.min(at.attempts.c.day)),
            at.newest(at.attempts),
        )
        .where(at.attempts.c.is_unpaid, ~at.attempts.c.succeeded)
        .group_by(at.attempts.c.account_id)
    )
