"""What the hub concludes about an account: its lifecycle, owner, renewal, and what it can know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from hub.config import Person
from hub.configfiles import Customers
from hub.store.tables import Coverage, StateHistory

BIRCH = {"id": "1", "name": "Birch", "domains": ["birch.example"]}


@pytest.fixture
def birch(hub: Any) -> Any:
    """A company in the CRM that the desk and the billing tool know too."""
    hub.says("crm/companies", BIRCH)
    hub.says("desk/organizations", {"id": "7", "external": {"crm": "1"}})
    hub.says("billing/customers", {"id": "c", "external": {"crm": "1"}})
    return hub


def concluded(hub: Any) -> Mapping[str, Any]:
    hub.unify()
    found: Mapping[str, Any] = hub.account("crm/companies/1")
    return found


# --- lifecycle ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "lifecycle", "why"),
    [
        (["active"], "customer", "a live subscription"),
        (["past_due"], "customer", "a live subscription"),
        (["unpaid"], "customer", "a live subscription"),
        (["paused"], "customer", "a live subscription"),
        (["ended", "active"], "customer", "a live subscription"),
        (["ended", "ended"], "former", "only ended subscriptions"),
        (["ended", "trialing"], "former", "only ended subscriptions"),
        (["trialing"], "prospect", "nothing says that it is a customer"),
        (["incomplete"], "prospect", "nothing says that it is a customer"),
        ([], "prospect", "nothing says that it is a customer"),
    ],
)
def test_subscriptions_say_first_whether_it_is_a_customer(
    birch: Any, rows: Any, statuses: list[str], lifecycle: str, why: str
) -> None:
    theirs = [rows.subscription(f"s{n}", "c", one) for n, one in enumerate(statuses)]
    birch.says("billing/subscriptions", *theirs)

    account = concluded(birch)

    assert (account["lifecycle"], account["lifecycle_why"]) == (lifecycle, why)


WON = {"id": "d", "account": {"id": "1"}, "is_won": True, "is_closed": True}


def test_then_a_deal_that_was_won(birch: Any, rows: Any) -> None:
    birch.set(customers=Customers(stages=("client",)))
    birch.says("crm/companies", {**BIRCH, "stage": "client"})
    birch.says("crm/deals", WON)

    assert concluded(birch)["lifecycle_why"] == "a closed-won deal"


def test_ended_subscriptions_speak_before_a_deal_that_was_won(birch: Any, rows: Any) -> None:
    birch.says("crm/deals", WON)
    birch.says("billing/subscriptions", rows.subscription("s", "c", "ended"))

    assert concluded(birch)["lifecycle"] == "former"


def test_a_trial_does_not_speak_so_a_won_deal_does(birch: Any, rows: Any) -> None:
    birch.says("crm/deals", WON)
    birch.says("billing/subscriptions", rows.subscription("s", "c", "trialing"))

    assert concluded(birch)["lifecycle"] == "customer"


@pytest.mark.parametrize("deal", [{**WON, "is_won": False}, {**WON, "account": {"id": "9"}}])
def test_a_deal_that_was_lost_or_is_anothers_says_nothing(birch: Any, deal: Any) -> None:
    birch.says("crm/deals", deal)

    assert concluded(birch)["lifecycle"] == "prospect"


def test_a_deal_that_is_gone_says_nothing(birch: Any) -> None:
    birch.says("crm/deals", WON)
    birch.unify()
    birch.forgets("crm/deals", "d")

    assert concluded(birch)["lifecycle"] == "prospect"


@pytest.mark.parametrize(("stage", "lifecycle"), [("client", "customer"), ("lead", "prospect")])
def test_then_the_stage_that_hub_yaml_maps(birch: Any, stage: str, lifecycle: str) -> None:
    birch.set(customers=Customers(stages=("client",)))
    birch.says("crm/companies", {**BIRCH, "stage": stage})

    account = concluded(birch)

    assert account["lifecycle"] == lifecycle
    if lifecycle == "customer":
        assert account["lifecycle_why"] == "the CRM stage client"


def test_the_stage_of_a_deleted_record_says_nothing(hub: Any) -> None:
    hub.set(customers=Customers(stages=("client",)))
    hub.says("crm/companies", {**BIRCH, "stage": "client"})
    assert concluded(hub)["lifecycle"] == "customer"
    hub.forgets("crm/companies", "1")

    assert concluded(hub)["lifecycle"] == "prospect"


def test_last_the_condition_of_hub_yaml(birch: Any) -> None:
    birch.set(customers=Customers(when="employees >= 50 AND plan = 'gold'"))
    birch.says("crm/companies", {**BIRCH, "employees": 50, "plan": "gold"},
               {"id": "2", "name": "Ash", "employees": 49, "plan": "gold"},
               {"id": "3", "name": "Elm", "plan": "gold"})  # fmt: skip

    unified = birch.unify()

    assert unified.lifecycles == {"customer": 1, "prospect": 2}
    assert birch.account("crm/companies/1")["lifecycle_why"] == "customers: when in hub.yaml"


def test_the_condition_does_not_bring_back_who_has_left(birch: Any, rows: Any) -> None:
    birch.set(customers=Customers(when="plan = 'gold'"))
    birch.says("crm/companies", {**BIRCH, "plan": "gold"})
    birch.says("billing/subscriptions", rows.subscription("s", "c", "ended"))

    assert concluded(birch)["lifecycle"] == "former"


# --- renewal --------------------------------------------------------------------------------------

YEAR_END = "2026-12-31T12:00:00Z"


@pytest.mark.parametrize(
    ("period", "renewal"),
    [
        ({"interval": "year"}, "2026-12-31"),
        ({"interval": "year", "interval_count": 2}, "2026-12-31"),
        ({"interval": "month", "interval_count": 12}, "2026-12-31"),
        ({"interval": "month", "interval_count": 3}, None),
        ({"interval": "month"}, None),
        ({}, None),
        ({"interval": "year", "status": "trialing"}, None),
        ({"interval": "year", "status": "ended"}, None),
    ],
)
def test_a_yearly_subscription_renews_at_its_periods_end(
    birch: Any, rows: Any, period: dict[str, Any], renewal: str | None
) -> None:
    agreement = rows.subscription("s", "c", period_ends_at=YEAR_END)
    birch.says("billing/subscriptions", {**agreement, **period})

    account = concluded(birch)

    assert account["renewal_on"] == (renewal and date.fromisoformat(renewal))


def test_the_crms_own_date_comes_first(birch: Any, rows: Any) -> None:
    birch.says("crm/companies", {**BIRCH, "renewal_on": "2026-08-01"})
    birch.says("billing/subscriptions",
               rows.subscription("s", "c", interval="year", period_ends_at=YEAR_END))  # fmt: skip

    assert concluded(birch)["renewal_on"] == date(2026, 8, 1)


def test_of_two_yearly_subscriptions_the_first_to_end_counts(birch: Any, rows: Any) -> None:
    ends = {"s1": YEAR_END, "s2": "2026-06-30T12:00:00Z"}
    birch.says("billing/subscriptions", *(
        rows.subscription(key, "c", interval="year", period_ends_at=end)
        for key, end in ends.items()
    ))  # fmt: skip

    assert concluded(birch)["renewal_on"] == date(2026, 6, 30)


# --- owner and primary record ---------------------------------------------------------------------

MIA = Person("mia", "Mia Sommer", "Mia@northwind.example", ("csm",))


def owned(hub: Any, **owner: Any) -> Mapping[str, Any]:
    hub.set(people={"mia": MIA})
    hub.says("crm/companies", {**BIRCH, "owner_id": "o"})
    hub.says("crm/owners", {"id": "o", "email": "MIA@northwind.example", **owner})
    return concluded(hub)


def test_the_owner_is_the_person_of_hub_yaml_with_the_same_mailbox(birch: Any) -> None:
    account = owned(birch)

    assert (account["owner"], account["owner_vendor"], account["owner_id"]) == ("mia", "crm", "o")


@pytest.mark.parametrize(
    "owner", [{"is_active": False}, {"email": None}, {"email": "ole@northwind.example"}]
)
def test_an_owner_who_has_left_or_is_unknown_is_nobody(birch: Any, owner: dict[str, Any]) -> None:
    account = owned(birch, **owner)

    assert (account["owner"], account["owner_id"]) == (None, "o")


def test_an_owner_whom_the_crm_deleted_is_nobody(birch: Any) -> None:
    owned(birch)
    birch.forgets("crm/owners", "o")

    assert concluded(birch)["owner"] is None


def test_of_equal_records_the_one_with_the_lowest_id_is_the_primary_one(hub: Any) -> None:
    hub.says("crm/companies", {"id": "10", "name": "Ten"}, {"id": "9", "name": "Nine"})
    hub.unify()
    one_account(hub, "9", "10")

    hub.unify()

    assert hub.account("crm/companies/9")["name"] == "Nine"


def test_the_record_with_most_open_deals_is_the_primary_one(hub: Any) -> None:
    hub.says("crm/companies", {"id": "9", "name": "Nine"}, {"id": "11", "name": "Eleven"})
    hub.unify()
    one_account(hub, "9", "11")
    hub.says("crm/deals", {"id": "d", "account": {"id": "11"}},
             {**WON, "id": "e", "account": {"id": "9"}},
             {**WON, "id": "f", "account": {"id": "9"}})  # fmt: skip

    hub.unify()

    assert hub.account("crm/companies/9")["name"] == "Eleven"


def one_account(hub: Any, first: str, *others: str) -> None:
    """What a person's decision would do: links of the records to one account."""
    account = hub.account_of(f"crm/companies/{first}")
    with hub.database.write() as writing:
        for other in others:
            writing.exec_driver_sql(
                f"UPDATE link SET account_id = '{account}' WHERE record_id = '{other}'"
            )


def test_where_tools_disagree_the_home_of_the_tasks_speaks_first(hub: Any) -> None:
    hub.says("crm/companies", {**BIRCH, "country": None})
    hub.says("billing/customers", {"id": "c", "name": "Birch Payments", "country": "DE",
                                   "external": {"crm": "1"}})  # fmt: skip

    account = concluded(hub)

    assert (account["name"], account["country"]) == ("Birch", "DE")


def test_an_account_has_the_domains_of_all_its_records(hub: Any) -> None:
    hub.says("crm/companies", BIRCH)
    hub.says("desk/organizations",
             {"id": "7", "domains": ["birch.example", "vale.example"]})  # fmt: skip

    assert concluded(hub)["domains"] == '["birch.example", "vale.example"]'


# --- what can be known ----------------------------------------------------------------------------


def covered(hub: Any, kind: str, record: str = "crm/companies/1") -> Any:
    """(basis, from day, fresh until) of the account's coverage of a kind, or None."""
    found = hub.rows(Coverage, account_id=hub.account_of(record), kind=kind)
    assert len(found) <= 1
    return (found[0]["basis"], found[0]["from_day"], found[0]["fresh_until"]) if found else None


@pytest.fixture
def busy(birch: Any, rows: Any) -> Any:
    """Somebody else has tickets, invoices and usage, so that each source is known to work."""
    birch.says("crm/companies", BIRCH, {"id": "2", "name": "Ash"})
    birch.says("desk/organizations", {"id": "7", "external": {"crm": "1"}},
               {"id": "8", "external": {"crm": "2"}})  # fmt: skip
    birch.says("billing/customers", {"id": "c", "external": {"crm": "1"}},
               {"id": "e", "external": {"crm": "2"}})  # fmt: skip
    birch.says("desk/tickets", rows.ticket("t", account={"id": "8"}))
    birch.says("billing/invoices", rows.invoice("i", "e"))
    birch.says("product/days", rows.usage("u", account={"vendor": "crm", "external_id": "2"}))
    for place in ("desk/tickets", "billing/invoices", "product/days"):
        birch.was_read(place)
    return birch


def test_no_ticket_is_a_known_zero_where_the_desk_knows_the_account(busy: Any) -> None:
    busy.unify()

    began = (busy.at - timedelta(days=400)).date()
    assert covered(busy, "tickets") == ("zero", began, date(2026, 3, 3))
    assert covered(busy, "billing") == ("zero", began, date(2026, 3, 3))


def test_no_ticket_is_unknown_where_the_desk_does_not_know_the_account(busy: Any) -> None:
    busy.says("crm/companies", {"id": "3", "name": "Elm"})

    busy.unify()

    assert covered(busy, "tickets", "crm/companies/3") is None


def test_no_usage_is_unknown_until_a_row_was_seen(busy: Any, rows: Any) -> None:
    busy.unify()
    assert covered(busy, "usage") is None
    assert covered(busy, "usage", "crm/companies/2")[:2] == ("seen", date(2026, 2, 20))
    busy.says("product/days", rows.usage("v", "2026-02-27", account={"domain": "birch.example"}))

    busy.unify()

    assert covered(busy, "usage")[:2] == ("seen", date(2026, 2, 27))


def test_no_usage_is_a_known_zero_where_the_admin_says_so(busy: Any) -> None:
    busy.set("product", absence="zero")
    busy.says("billing/customers", {"id": "stranger", "name": "Stranger"})

    busy.unify()

    assert covered(busy, "usage")[0] == "zero"
    assert covered(busy, "usage", "billing/customers/stranger") is None


def test_no_ticket_is_unknown_where_the_admin_says_so(busy: Any) -> None:
    busy.set("desk", absence="unknown")

    busy.unify()

    assert covered(busy, "tickets") is None
    assert covered(busy, "tickets", "crm/companies/2")[0] == "seen"


def test_a_ticket_from_before_the_first_read_reaches_further_back(busy: Any, rows: Any) -> None:
    busy.says("desk/tickets", rows.ticket("old", account={"id": "7"},
                                          opened_at="2020-05-01T10:00:00Z"))  # fmt: skip

    busy.unify()

    assert covered(busy, "tickets")[:2] == ("seen", date(2020, 5, 1))


def test_an_account_that_a_source_has_lost_is_not_covered_by_it(busy: Any, rows: Any) -> None:
    busy.says("desk/tickets", rows.ticket("t1", account={"id": "7"}))
    busy.unify()
    assert covered(busy, "tickets")[0] == "seen"
    busy.forgets("desk/organizations", "7")

    busy.unify()

    assert covered(busy, "tickets")[0] == "lost"


def test_an_account_that_moved_away_is_not_covered_by_what_it_left(busy: Any) -> None:
    busy.unify()
    busy.says("billing/customers", {"id": "c", "external": {"crm": "2"}})

    busy.unify()

    assert covered(busy, "billing") is None or covered(busy, "billing")[0] == "lost"


def test_a_source_that_was_never_read_to_its_end_says_nothing(busy: Any) -> None:
    with busy.database.write() as writing:
        writing.exec_driver_sql("UPDATE checkpoint SET complete_at = NULL")

    busy.unify()

    assert busy.rows(Coverage) == []


def test_a_source_speaks_as_long_as_it_is_fresh(busy: Any) -> None:
    busy.set("desk", fresh_within={"tickets": timedelta(days=5)})

    busy.unify(days_later=30)

    assert covered(busy, "tickets")[2] == date(2026, 3, 7)
    assert covered(busy, "billing")[2] == date(2026, 3, 3)


def test_two_accounts_of_one_vendor_are_covered_each_by_itself(busy: Any, rows: Any) -> None:
    busy.connect("desk-two", like="desk", account="another")
    busy.says("desk/tickets", rows.ticket("t2", account={"id": "7"}))
    busy.says("desk-two/organizations", {"id": "5", "external": {"crm": "2"}})
    busy.says("desk-two/tickets", rows.ticket("x", account={"id": "5"}))
    busy.was_read("desk-two/tickets")

    busy.unify()

    mine = busy.rows(Coverage, account_id=busy.account_of("crm/companies/1"), kind="tickets")
    assert [(row["connection"], row["basis"]) for row in mine] == [("desk", "seen")]
    others = busy.rows(Coverage, connection="desk-two")
    assert [row["account_id"] for row in others] == [busy.account_of("crm/companies/2")]


# --- history --------------------------------------------------------------------------------------


def test_a_state_that_changes_closes_the_one_before(birch: Any, rows: Any) -> None:
    birch.says("desk/tickets", rows.ticket("t", status="open"))
    birch.unify()
    first = birch.at
    birch.says("desk/tickets", rows.ticket("t", status="closed"))

    birch.unify(days_later=2)

    before, after = birch.history("desk/town/tickets/t", "status")
    assert before == ("open", datetime(2026, 2, 20, 10, tzinfo=UTC), first, birch.at)
    assert after == ("closed", birch.at, birch.at, None)


def test_a_first_value_is_assumed_and_a_later_one_seen(birch: Any, rows: Any) -> None:
    birch.says("billing/subscriptions", rows.subscription("s", "c", amount_minor=100))
    birch.unify()
    birch.says("billing/subscriptions", rows.subscription("s", "c", amount_minor=200))

    birch.unify(days_later=1)

    found = birch.rows(StateHistory, kind="subscription", field="amount_minor")
    told = {row["value"]: row["basis"] for row in found}
    assert told == {"100": "assumed", "200": "seen"}


def test_what_does_not_change_adds_nothing(birch: Any, rows: Any) -> None:
    birch.says("billing/invoices", rows.invoice("i", "c"))
    birch.unify()
    before = birch.rows(StateHistory)
    birch.says("billing/invoices", rows.invoice("i", "c", number="R-1"))

    birch.unify(days_later=1)

    assert birch.rows(StateHistory) == before


def test_an_account_remembers_its_lifecycles_owners_and_renewals(birch: Any, rows: Any) -> None:
    birch.says("billing/subscriptions", rows.subscription("s", "c"))
    birch.unify()
    birch.says("crm/companies", {**BIRCH, "renewal_on": "2026-08-01"})
    birch.says("billing/subscriptions", rows.subscription("s", "c", "ended"))

    birch.unify(days_later=1)

    lifecycles = birch.history("crm/companies/1", "lifecycle")
    assert [row[0] for row in lifecycles] == ["customer", "former"]
    assert [row[0] for row in birch.history("crm/companies/1", "renewal_on")] == [
        None,
        "2026-08-01",
    ]
    assert lifecycles[0][3] == birch.at


def test_a_value_that_comes_back_is_a_new_entry(birch: Any) -> None:
    for stage in ("a", "b", "a"):
        birch.says("crm/companies", {**BIRCH, "name": stage})
        birch.unify(days_later=1)

    names = birch.history("crm/companies/1", "name")
    assert [row[0] for row in names] == ["a", "b", "a"]
    assert [row[3] is None for row in names] == [False, False, True]
