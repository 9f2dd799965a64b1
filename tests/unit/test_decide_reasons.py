"""Why an account reads as it does: sentences of facts, most important first, for people."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

Make = Callable[..., Any]
TODAY = "2026-03-31"


def ago(days: int) -> str:
    return str(date.fromisoformat(TODAY) - timedelta(days=days))


def fine(an_account: Make, **facts: Any) -> Any:
    return an_account(
        **{"logins": [TODAY, ago(1)], "features": [ago(n) for n in range(4)], **facts}
    )


def test_a_healthy_account_has_no_open_problem(judge: Make, an_account: Make):
    assert judge(fine(an_account), TODAY).because == ["No open problem"]


def test_the_reason_of_the_worst_cap_comes_first_and_each_cause_speaks_once(
    judge: Make, an_account: Make, a_bill: Make
):
    account = fine(
        an_account,
        bills=[a_bill("91", [ago(12), ago(9)])],
        tickets=[ago(2)] * 5,
        renewal_on="2026-06-01",
    )

    said = judge(account, TODAY)

    assert said.because == [
        "A bill is still unpaid after its grace; the last try failed on 22 Mar 2026",
        "At least twice as many support tickets as in the month before, since 29 Mar 2026",
        "Renews on 1 Jun 2026",
    ]


def test_a_low_score_without_a_signal_names_its_weakest_point(judge: Make, an_account: Make):
    said = judge(an_account(logins=[ago(9)], tickets=[ago(2)] * 3), TODAY)

    assert said.band == "watch"
    assert said.because == ["Weakest point: days with a key feature in the last 30"]


def test_a_signal_without_words_of_its_own_says_its_title_and_first_day(
    judge: Make, an_account: Make, a_config: Make
):
    config = a_config(
        "signals:\n"
        "  loud: {title: Three tickets in a month, when: tickets_30d >= 3, cause: support}\n"
    )

    said = judge(fine(an_account, tickets=[ago(4)] * 3), TODAY, config=config)

    assert said.because == ["Three tickets in a month, since 27 Mar 2026"]


# --- what is not known ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "gap"),
    [
        ([], "no usage is linked"),
        ([{"basis": "lost"}], "the link to usage was lost"),
        ([{"until": ago(1)}], "usage is stale"),
        ([{}, {"by": "warehouse", "until": ago(1)}], "usage is stale"),
    ],
)
def test_an_unknown_account_says_what_is_missing(
    judge: Make, an_account: Make, covered: Make, given: list[dict[str, str]], gap: str
):
    account = fine(an_account).with_coverage("usage", *(covered(**one) for one in given))

    said = judge(account, TODAY)

    assert said.status == "unknown"
    assert said.because == [f"Not known: {gap}"]


def test_a_source_that_is_known_too_short_says_since_when(
    judge: Make, an_account: Make, covered: Make
):
    account = fine(an_account).with_coverage("tickets", covered(since=ago(20)))

    said = judge(account, TODAY)

    assert said.because == ["Not known: the support desk is known only since 11 Mar 2026"]


def test_somebody_who_never_logged_in_is_linked_all_the_same(judge: Make, an_account: Make):
    said = judge(fine(an_account, logins=[]), TODAY)

    assert said.because == ["Not known: days since the last log-in"]


def test_the_heaviest_gap_comes_first(judge: Make, an_account: Make):
    account = fine(an_account).with_coverage("usage").with_coverage("tickets")

    said = judge(account, TODAY)

    assert said.because == [
        "Not known: no usage is linked",
        "Not known: no support desk record is linked",
    ]


def test_an_unknown_cap_names_only_what_is_missing_for_it(
    judge: Make, an_account: Make, covered: Make
):
    """Two months are asked for and the first of them is known."""
    account = fine(an_account, tickets=[ago(1)] * 4).with_coverage(
        "tickets", covered(since=ago(40))
    )

    said = judge(account, TODAY)

    assert said.because == ["Not known: the support desk is known only since 19 Feb 2026"]


# --- a status that is held ------------------------------------------------------------------------


def test_a_held_status_says_since_when_and_what_is_missing(
    hub: Any, an_account: Make, neighbour: Any, covered: Make
):
    quiet = an_account(logins=["2026-03-01"], features=["2026-03-01"])
    hub.knows(quiet, neighbour).judge(quiet, "2026-03-20")
    stale = quiet.with_coverage("usage", covered(until="2026-03-20"))
    hub.knows(stale)

    hub.judge(stale, "2026-03-21")
    said = hub.judge(stale, "2026-03-22")

    assert said.band == "unknown"
    assert said.status == "at_risk"
    assert said.because == ["Held since 21 Mar 2026: usage is stale"]
    assert said.fields["hub_health"] == "at_risk"
    assert said.fields["hub_health_reason"] == "Held since 21 Mar 2026: usage is stale"


def test_an_account_that_is_getting_better_does_not_say_that_nothing_was_wrong(
    hub: Any, an_account: Make, neighbour: Any
):
    quiet = an_account(logins=["2026-03-01"], features=["2026-03-01"])
    hub.knows(quiet, neighbour).judge(quiet, "2026-03-20")
    back = quiet.but(logins=["2026-03-21"], features=["2026-03-18", "2026-03-19", "2026-03-21"])
    hub.knows(back)

    said = hub.judge(back, "2026-03-21")

    assert said.status == "at_risk"
    assert said.because == ["Held until it has been clearly better for 3 days"]
    assert said.fields["hub_health_reason"] == "Held until it has been clearly better for 3 days"


# --- what may stand in a tool ---------------------------------------------------------------------


def test_what_a_tool_shows_stays_the_same_from_day_to_day_while_no_fact_changes(
    hub: Any, an_account: Make, neighbour: Any, a_bill: Make
):
    """No ages and no counters: the days pass, the sentence stays."""
    account = an_account(
        logins=["2026-03-01"],
        tickets=["2026-03-18"] * 6,
        bills=[a_bill("91", ["2026-03-01", "2026-03-09"])],
        renewal_on="2026-06-01",
    )
    hub.knows(account, neighbour)

    first = hub.judge(account, "2026-03-20")
    second = hub.judge(account, "2026-03-21")

    assert first.status == "at_risk"
    assert second.fields == first.fields


def test_a_reason_holds_no_id_and_no_more_than_255_characters(
    judge: Make, an_account: Make, a_bill: Make, a_config: Make
):
    words = " ".join(["A reason that an admin wrote without thinking of the reader"] * 4)
    config = a_config(
        "signals:\n"
        f"  long: {{title: Long, says: {words}, when: tickets_30d >= 1, cause: sentiment}}\n"
    )
    account = an_account(
        logins=[ago(20)], tickets=[ago(2)] * 6, bills=[a_bill("91", [ago(12), ago(9)])]
    )

    said = judge(account, TODAY, config=config)
    reason = said.fields["hub_health_reason"]

    assert len("; ".join(said.because)) > 255
    assert len(reason) <= 255
    assert reason.endswith("…")
    assert "\n" not in reason
    assert not re.search(r"acc_|c_birch|-91-|/", reason)


def test_the_proof_in_a_task_shows_each_row_once_newest_first_and_no_more_than_eight(
    judge: Make, an_account: Make
):
    days = [ago(n) for n in range(10)]

    task = judge(fine(an_account, tickets=days), TODAY).task

    lines = [line for line in task["body"].splitlines() if line.startswith("- Ticket")]
    assert lines[0] == "- Ticket “Question 1”, 31 Mar 2026 (desk)"
    assert len(lines) == len(set(lines)) == 8


@pytest.mark.parametrize("word", ["acc_", "companies/", "c_birchvale", "tickets/"])
def test_no_id_stands_in_the_sentences_of_a_task(judge: Make, an_account: Make, word: str):
    task = judge(fine(an_account, tickets=[ago(1)] * 4), TODAY).task

    assert word not in task["title"]
    assert word not in task["body"]
    assert word not in task["why"]
