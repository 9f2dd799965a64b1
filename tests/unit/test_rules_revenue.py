"""The MRR rule: what running agreements bring in a month, the same on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Make = Callable[..., Any]
TODAY = "2026-03-12"


def test_a_subscription_brings_its_amount_divided_by_its_months(
    judge_each: Make, an_account: Make, a_contract: Make
):
    expected = {
        (4900, "month", 1): 4900,
        (120000, "year", 1): 10000,
        (120000, "year", 2): 5000,
        (30000, "month", 3): 10000,
        (1200, "week", 1): 5200,
        (1200, "day", 1): 36500,
        (0, "month", 1): 0,
    }
    cases = {terms: an_account(contracts=[a_contract(*terms)]) for terms in expected}

    said = judge_each(cases, TODAY)

    assert {terms: one.row["mrr_minor"] for terms, one in said.items()} == expected
    assert {one.row["currency"] for one in said.values()} == {"EUR"}


def test_several_running_agreements_add_up(judge: Make, an_account: Make, a_contract: Make):
    contracts = [a_contract(4900), a_contract(120000, "year")]

    assert judge(an_account(contracts=contracts), TODAY).row["mrr_minor"] == 14900


def test_what_is_tried_has_ended_or_has_not_begun_brings_nothing(
    judge_each: Make, an_account: Make, a_contract: Make
):
    cases = {
        "tried": {"status": "trialing"},
        "not paid for yet": {"status": "incomplete"},
        "past due": {"status": "past_due"},
        "ends today": {"status": "ended", "ended": TODAY},
        "ends tomorrow": {"status": "ended", "ended": "2026-03-13"},
        "begins today": {"started": TODAY},
        "begins tomorrow": {"started": "2026-03-13"},
    }

    said = judge_each(
        {case: an_account(contracts=[a_contract(4900, **one)]) for case, one in cases.items()},
        TODAY,
    )

    bring = {case for case, one in said.items() if one.row["mrr_minor"] == 4900}
    assert bring == {"past due", "ends tomorrow", "begins today"}
    assert {said[case].row["mrr_minor"] for case in cases.keys() - bring} == {None}


def test_two_currencies_have_no_single_sum(judge: Make, an_account: Make, a_contract: Make):
    contracts = [a_contract(4900), a_contract(4900, currency="USD")]

    said = judge(an_account(contracts=contracts), TODAY)

    assert said.row["mrr_minor"] is None
    assert said.row["currency"] is None


def test_halves_are_rounded_up_and_large_sums_fit_on_either_database(
    a_hub: Make, an_account: Make, a_contract: Make, database_url: str
):
    """8336.50 and 8337.50; and three billion a month in a currency without small change."""
    expected = {100_038: 8337, 100_050: 8338, 36_000_000_000_000: 3_000_000_000_000}
    accounts = {
        amount: an_account(f"Pays {amount}", contracts=[a_contract(amount, "year")])
        for amount in expected
    }

    hub = a_hub(url=database_url).knows(*accounts.values())
    hub.decide(TODAY)

    said = {amount: hub.said(one).row["mrr_minor"] for amount, one in accounts.items()}
    assert said == expected
