"""Who is judged: customers and nobody else; and whose problem an unpaid bill of an agency is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hub.store.tables import DailyBand, DesiredField, DesiredTask, Episode, Reading, Verdict

Make = Callable[..., Any]
TODAY = "2026-03-12"


@pytest.mark.parametrize(
    "fields",
    [
        {"lifecycle": "prospect"},
        {"lifecycle": "former"},
        {"kind": "payer"},
        {"alias_of": "acc_neighbour"},
    ],
)
def test_only_customers_get_a_verdict_a_status_and_tasks(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make, fields: dict[str, str]
):
    account = an_account(
        "Birch & Vale",
        logins=["2026-01-01"],
        bills=[a_bill("91", ["2026-03-01"])],
        renewal_on="2026-04-01",
        **fields,
    )

    hub.knows(account, neighbour).decide(TODAY)

    rows = [row for model in (Reading, Verdict, DesiredField, DesiredTask, DailyBand, Episode)
            for row in hub.rows(model)]  # fmt: skip
    assert {row["account_id"] for row in rows} == {neighbour.key}


def test_decisions_count_customers_by_status_and_problems_by_cause(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    quiet = an_account("Ash", logins=["2026-02-26"])
    unpaid = an_account("Beech", logins=[TODAY], bills=[a_bill("91", [TODAY])])
    unlinked = an_account("Cedar").with_coverage("usage")

    done = hub.knows(quiet, unpaid, unlinked, neighbour).decide(TODAY)

    assert done.statuses == {"at_risk": 1, "watch": 0, "healthy": 2, "unknown": 1}
    assert done.problems == {"usage": 1, "payment": 1}
    assert (done.opened, done.closed) == (2, 0)
    assert done.unknown_why == {"no usage is linked": 1}


def test_an_agencys_unpaid_bill_is_the_problem_of_each_customer_it_names(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    """Nine customers of one agency: the bill is evidence for them and not for the agency."""
    nine = [an_account(f"Client {number}", logins=[TODAY]) for number in range(9)]
    bill = a_bill("91", ["2026-03-02", "2026-03-08"], pays_for=[one.key for one in nine])
    agency = an_account("Agency", kind="payer", bills=[bill])

    hub.knows(agency, *nine, neighbour).decide(TODAY)

    for client in nine:
        said = hub.said(client)
        assert said.status == "at_risk"
        assert said.values["failed_unpaid_attempts"] == 2
        assert said.task["record_id"] == f"c_client{client.name[-1]}"
    assert hub.said(agency).band is None
    assert hub.said(neighbour).signals["payment_failed"] is False


def test_a_bill_of_an_agency_that_is_a_customer_itself_is_not_its_own_when_it_names_another(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    client = an_account("Client", logins=[TODAY])
    own, theirs = a_bill("90"), a_bill("91", ["2026-03-02"], pays_for=[client.key])
    agency = an_account("Agency", logins=[TODAY], bills=[own, theirs])

    hub.knows(agency, client, neighbour).decide(TODAY)

    assert hub.said(agency).signals["payment_failed"] is False
    assert hub.said(client).signals["payment_failed"] is True


def test_a_bill_that_names_two_customers_is_evidence_for_both(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    ash, beech = an_account("Ash", logins=[TODAY]), an_account("Beech", logins=[TODAY])
    bill = a_bill("91", ["2026-03-02"], pays_for=[ash.key, beech.key])
    agency = an_account("Agency", kind="payer", bills=[bill])

    hub.knows(agency, ash, beech, neighbour).decide(TODAY)

    keys = {hub.said(one).task["key"] for one in (ash, beech)}
    assert len(keys) == 2


def test_a_segments_own_model_judges_its_accounts(judge: Make, an_account: Make, a_config: Make):
    config = a_config(
        "health:\n"
        "  large:\n"
        "    applies_to: {segment: enterprise}\n"
        "    priority: 1\n"
        "    bands: {healthy: 95, watch: 90}\n"
        "    dimensions:\n"
        "      support: {weight: 1, inputs: {tickets_30d: {curve: linear, best: 0, worst: 10}}}\n"
    )
    facts = {"logins": [TODAY], "tickets": ["2026-03-01"]}

    large = judge(an_account(**facts, employees=500), TODAY, config=config)
    small = judge(an_account(**facts, employees=499), TODAY, config=config)

    assert (large.row["model"], large.row["segment"]) == ("large", "enterprise")
    assert (large.low, large.band) == (90, "watch")
    assert (small.row["model"], small.row["segment"]) == ("standard", None)


def test_the_first_segment_that_fits_is_the_accounts(judge: Make, an_account: Make, a_config: Make):
    config = a_config("", ("small: {when: employees < 50}", "small: {when: employees >= 1}"))

    assert judge(an_account(employees=600), TODAY, config=config).row["segment"] == "enterprise"
    assert judge(an_account(employees=60), TODAY, config=config).row["segment"] == "small"
    assert judge(an_account(), TODAY, config=config).row["segment"] is None
