"""The MRR rule: what running agreements bring in a month, the same on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]
TODAY = "2026-03-12"


@pytest.mark.parametrize(
    ("amount", "interval", "count", "monthly"),
    [
        (4900, "month", 1, 4900),
        (120000, "year", 1, 10000),
        (120000, "year", 2, 5000),
        (30000, "month", 3, 10000),
        (1200, "week", 1, 5200),
        (1200, "day", 1, 36500),
        (0, "month", 1, 0),
    ],
)
def test_a_subscription_brings_its_amount_divided_by_its_months(
    judge: Make, an_account: Make, a_contract: Make,
    amount: int, interval: str, count: int, monthly: int,
):  # fmt: skip
    said = judge(an_account(contracts=[a_contract(amount, interval, count)]), TODAY)

    assert said.row["mrr_minor"] == monthly
    assert said.row["currency"] == "EUR"


def test_several_running_agreements_add_up(judge: Make, an_account: Make, a_contract: Make):
    contracts = [a_contract(4900), a_contract(120000, "year")]

    assert judge(an_account(contracts=contracts), TODAY).row["mrr_minor"] == 14900


@pytest.mark.parametrize(
    ("changes", "monthly"),
    [
        ({"status": "trialing"}, None),
        ({"status": "incomplete"}, None),
        ({"status": "past_due"}, 4900),
        ({"status": "ended", "ended": TODAY}, None),
        ({"status": "ended", "ended": "2026-03-13"}, 4900),
        ({"started": TODAY}, 4900),
        ({"started": "2026-03-13"}, None),
    ],
)
def test_what_is_tried_has_ended_or_has_not_begun_brings_nothing(
    judge: Make, an_account: Make, a_contract: Make, changes: dict[str, str], monthly: int | None
):
    said = judge(an_account(contracts=[a_contract(4900, **changes)]), TODAY)

    assert said.row["mrr_minor"] == monthly


def test_two_currencies_have_no_single_sum(judge: Make, an_account: Make, a_contract: Make):
    contracts = [a_contract(4900), a_contract(4900, currency="USD")]

    said = judge(an_account(contracts=contracts), TODAY)

    assert said.row["mrr_minor"] is None
    assert said.row["currency"] is None


@pytest.mark.parametrize(
    ("yearly", "monthly"),
    [(100038, 8337), (100050, 8338), (36_000_000_000_000, 3_000_000_000_000)],
)
def test_halves_are_rounded_up_and_large_sums_fit_on_either_database(
    a_hub: Make, an_account: Make, a_contract: Make, database_url: str, yearly: int, monthly: int
):
    """8336.50 and 8337.50; and three billion a month in a currency without small change."""
    account = an_account(contracts=[a_contract(yearly, "year")])

    said = a_hub(url=database_url).knows(account).judge(account, TODAY)

    assert said.row["mrr_minor"] == monthly
