"""What the product's usage says about an account."""

from __future__ import annotations

from sqlalchemy import distinct, func, select

from hub import Facts, Measured, measure


@measure(unit="days", needs="usage", empty="unknown")
def days_since_last_login(at: Facts) -> Measured:
    """Days since the last log-in.

    Whole days since anyone on the account signed in; unknown when nobody ever did, or when the
    account's usage is not covered: the score then widens.
    """
    return (
        select(at.usage.c.account_id, at.days_since(func.max(at.usage.c.day)), at.newest(at.usage))
        .where(at.usage.c.event.in_(at.login_events))
        .group_by(at.usage.c.account_id)
    )


@measure(kind="date", needs="usage", empty="unknown")
def last_login_on(at: Facts) -> Measured:
    """Last log-in: the day on which anyone on the account last signed in."""
    return (
        select(at.usage.c.account_id, func.max(at.usage.c.day), at.newest(at.usage))
        .where(at.usage.c.event.in_(at.login_events))
        .group_by(at.usage.c.account_id)
    )


@measure(unit="count", needs="usage", empty="zero", reach_days=30)
def active_people_30d(at: Facts) -> Measured:
    """People who did anything in the last 30 days, where usage names persons."""
    return (
        select(at.usage.c.account_id, func.count(distinct(at.usage.c.person)), at.newest(at.usage))
        .where(at.window(at.usage.c.day, 30), at.usage.c.person.is_not(None))
        .group_by(at.usage.c.account_id)
    )


@measure(unit="count", needs="usage", empty="zero", reach_days=30, asks_for="key_features")
def key_feature_days_30d(at: Facts) -> Measured:
    """Days with a key feature in the last 30.

    Which events those are stands in hub.yaml under key_features; without them it is unknown.
    """
    return (
        select(at.usage.c.account_id, func.count(distinct(at.usage.c.day)), at.newest(at.usage))
        .where(at.window(at.usage.c.day, 30), at.usage.c.event.in_(at.key_features))
        .group_by(at.usage.c.account_id)
    )
