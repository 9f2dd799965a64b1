"""The MRR rule, in one place: what an account's running agreements bring in a month.

A subscription's amount (after discounts, quantity included) divided by its period in months; a week
counts as 12/52 of a month and a day as 12/365. Trials, metered parts without an amount, and
agreements that ended bring nothing. Sums never cross currencies: an account that pays in several
has no single MRR.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Numeric, case, cast, func, literal, select

from hub import Facts, Measured, measure

MONTHS = {"day": 12 / 365, "week": 12 / 52, "month": 1.0, "year": 12.0}


@measure(unit="minor", needs="billing", empty="unknown")
def mrr_minor(at: Facts) -> Measured:
    """Monthly recurring revenue in minor units of the account's one currency."""
    s = at.subscriptions
    months = case(
        {interval: literal(length) for interval, length in MONTHS.items()}, value=s.c.interval
    )
    monthly = cast(s.c.amount_minor, Double) / (months * s.c.interval_count)
    # Only exact numbers round halves the same way, away from zero, on both databases.
    rounded = cast(func.round(cast(func.sum(monthly), Numeric)), BigInteger)
    return (
        select(s.c.account_id, rounded, at.newest(s))
        .where(s.c.is_live, s.c.amount_minor.is_not(None), s.c.interval.is_not(None))
        .group_by(s.c.account_id)
        .having(func.count(s.c.currency.distinct()) == 1)
    )
