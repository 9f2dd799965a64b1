"""What measures read: the facts of one day, and nothing that came later or was taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from hub.factnames import FIELDS
from hub.facts import Facts
from hub.store import table_of
from hub.store.tables import TicketRecord

Make = Callable[..., Any]
TODAY = "2026-03-12"


def rows(hub: Any, name: str, day: str = TODAY) -> list[dict[str, Any]]:
    """The rows of a fact view on a day."""
    view = Facts(date.fromisoformat(day)).view(name)
    with hub.database.read() as reading:
        return [dict(row) for row in reading.execute(select(view)).mappings()]


@pytest.fixture
def busy(hub: Any, an_account: Make, a_bill: Make, a_contract: Make) -> Any:
    """A hub with one account that did something on 10, 12 and 14 March."""
    account = an_account(
        logins=["2026-03-10", TODAY, "2026-03-14"],
        tickets=["2026-03-10", TODAY, "2026-03-14"],
        bills=[
            a_bill("1", ["2026-03-10", TODAY, "2026-03-14"], created="2026-03-10"),
            a_bill("2", created=TODAY),
            a_bill("3", created="2026-03-14"),
        ],
        contracts=[a_contract(4900, started=day) for day in ("2026-03-10", TODAY, "2026-03-14")],
    )
    return hub.knows(account)


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"accounts"}))
def test_nothing_dated_after_the_day_is_there(busy: Any, name: str):
    """A measure cannot look ahead, whatever it does."""
    days = sorted(str(row["day"]) for row in rows(busy, name))

    assert days == ["2026-03-10", TODAY]


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_view_has_the_fields_that_rules_may_name(busy: Any, name: str):
    [row, *_] = rows(busy, name)

    assert {"account_id", "key", "day", *FIELDS[name]} <= row.keys()


def test_a_view_that_is_not_there_is_a_key_error(busy: Any):
    with pytest.raises(KeyError):
        rows(busy, "weather")


def test_a_ticket_is_open_until_the_day_it_was_solved(hub: Any, an_account: Make):
    account = an_account(tickets=["2026-03-01"])
    hub.knows(account)
    solved = table_of(TicketRecord).update().values(status="closed", closed_on=date(2026, 3, 5))
    with hub.database.write() as writing:
        writing.execute(solved)

    states = [rows(hub, "tickets", f"2026-03-0{day}")[0]["is_open"] for day in (4, 5, 6)]

    assert states == [True, False, False]


def test_a_ticket_that_was_deleted_never_counts(hub: Any, an_account: Make):
    hub.knows(an_account(tickets=["2026-03-01"]))
    with hub.database.write() as writing:
        writing.execute(table_of(TicketRecord).update().values(status="deleted"))

    assert rows(hub, "tickets") == []


def test_a_bill_is_unpaid_until_the_day_it_was_settled(hub: Any, an_account: Make, a_bill: Make):
    hub.knows(an_account(bills=[a_bill("91", settled="2026-03-05")]))

    states = [rows(hub, "invoices", f"2026-03-0{day}")[0]["is_unpaid"] for day in (4, 5, 6)]

    assert states == [True, False, False]


@pytest.mark.parametrize("name", ["usage", "tickets", "invoices", "attempts", "subscriptions"])
def test_what_is_gone_from_its_tool_is_no_fact(busy: Any, name: str):
    before = rows(busy, name)

    busy.everything_is_gone()

    assert before
    assert rows(busy, name) == []


def test_the_newest_row_of_a_day_is_the_evidence(judge: Make, an_account: Make):
    said = judge(an_account(tickets=["2026-03-01", TODAY, "2026-03-04"]), TODAY)

    assert said.evidence["tickets_30d"][0] == "desk/1/tickets/acc_birchvale-2"


# --- primitives -----------------------------------------------------------------------------------


PRIMITIVES = """\
measures:
  last_priority: {latest: tickets, field: priority, kind: text}
  last_subject: {latest: tickets, field: subject, kind: text, window: 5d}
  last_total: {latest: invoices, field: total_minor}
  last_renewal: {latest: accounts, field: renewal_on, kind: date}
  askers: {distinct: tickets, field: requester}
  billed: {sum: invoices, field: total_minor, unit: minor}
  urgent_30d: {count: tickets, window: 30d, where: "priority = 'urgent'"}
  all_tickets: {count: tickets}
  urgent_share: {ratio: urgent_30d, over: all_tickets}
  tickets_7d_before: {count: tickets, window: 7d, ending: 7d ago}
"""


def test_the_latest_value_is_that_of_the_newest_row_and_not_the_largest(
    a_hub: Make, an_account: Make, a_config: Make, database_url: str
):
    account = an_account(tickets=["2026-03-01", "2026-03-11", "2026-03-10"])
    hub = a_hub(a_config(PRIMITIVES), database_url).knows(account)
    hub.prioritize("2026-03-01", "urgent")
    hub.prioritize("2026-03-11", "low")

    said = hub.judge(account, TODAY)

    assert said.values["last_priority"] == "low"
    assert said.values["last_subject"] == "Question 2"
    assert said.evidence["last_priority"] == ["desk/1/tickets/acc_birchvale-2"]


def test_latest_within_a_window_is_unknown_when_the_newest_row_is_older(
    a_hub: Make, an_account: Make, a_config: Make
):
    account = an_account(tickets=["2026-03-07"])

    values = a_hub(a_config(PRIMITIVES)).knows(account).judge(account, TODAY).values

    assert values["last_subject"] is None
    assert values["last_priority"] == "normal"


def test_each_primitive_gives_what_the_page_says(
    a_hub: Make, an_account: Make, a_bill: Make, a_config: Make
):
    account = an_account(
        tickets=["2026-03-01", "2026-03-05", "2026-03-11", "2026-03-12"],
        bills=[a_bill("1", created="2026-02-01"), a_bill("2", created="2026-03-01")],
        renewal_on="2026-09-01",
    )
    hub = a_hub(a_config(PRIMITIVES)).knows(account)
    hub.prioritize("2026-03-11", "urgent")

    values = hub.judge(account, TODAY).values

    assert values["urgent_30d"] == 1
    assert values["all_tickets"] == 4
    assert values["urgent_share"] == 0.25
    assert values["askers"] == 0
    assert values["billed"] == 9800
    assert values["last_total"] == 4900
    assert values["last_renewal"] == date(2026, 9, 1)
    assert values["tickets_7d_before"] == 2


def test_latest_where_there_is_no_row_and_a_ratio_over_zero_are_unknown(
    a_hub: Make, an_account: Make, a_config: Make
):
    account = an_account()

    values = a_hub(a_config(PRIMITIVES)).knows(account).judge(account, TODAY).values

    assert values["last_priority"] is None
    assert values["urgent_30d"] == 0
    assert values["urgent_share"] is None
