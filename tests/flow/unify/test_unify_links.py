"""Accounts and their ids: minted once, kept for ever, with the reason of every link."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hub.accounts import links_of
from hub.store.tables import (
    AccountRecord,
    DealRecord,
    HubAccount,
    Link,
    ReviewPair,
    Run,
    TicketRecord,
)

BIRCH = {"id": "1", "name": "Birch", "domains": ["birch.example"]}
DESK_BIRCH = {"id": "7", "name": "Birch Ltd", "domains": ["birch.example"]}


def test_t17_every_link_says_why_and_how_sure(hub: Any) -> None:
    hub.says("crm/companies", BIRCH)
    hub.says("desk/organizations", DESK_BIRCH)
    hub.says("billing/customers", {"id": "c", "external": {"crm": "1"}})

    unified = hub.unify()

    assert hub.accounts() == ["billing/c crm/1 desk/7"]
    assert (unified.links.accounts, unified.links.minted, unified.links.links) == (1, 1, 3)
    link = hub.log("desk/organizations/7")[0]
    assert (link["reason"], link["confidence"]) == ("same business domain birch.example", 0.9)
    assert (link["role"], link["actor"], link["run"]) == ("is", "hub", unified.run)
    assert (link["since"], link["until"]) == (hub.at, None)


def test_a_record_alone_is_an_account_of_its_own(hub: Any) -> None:
    hub.says("crm/companies", BIRCH)

    hub.unify()

    link = hub.log("crm/companies/1")[0]
    assert (link["reason"], link["confidence"]) == ("first record of the account", 1.0)
    assert hub.account("crm/companies/1")["link_confidence"] == 1.0


def test_an_account_is_as_sure_as_its_weakest_link(hub: Any) -> None:
    hub.says("crm/companies", BIRCH)
    hub.says("crm/contacts", {"id": "k", "account": {"id": "1"}, "email": "Birch@gmail.com"})
    hub.says("billing/customers", {"id": "c", "email": "birch@gmail.com"})

    hub.unify()

    assert hub.accounts() == ["billing/c crm/1"]
    assert hub.account("crm/companies/1")["link_confidence"] == 0.85


@pytest.mark.parametrize(
    "contact",
    [
        {"email_verified": False},
        {"account": None},
        {"account": {"id": "1", "object": "customers"}},
    ],
)
def test_a_contact_that_proves_nothing_links_nothing(hub: Any, contact: dict[str, Any]) -> None:
    hub.says("crm/companies", BIRCH)
    person = {"id": "k", "account": {"id": "1"}, "email": "birch@gmail.com"}
    hub.says("crm/contacts", {**person, **contact})
    hub.says("billing/customers", {"id": "c", "email": "birch@gmail.com"})

    hub.unify()

    assert hub.accounts() == ["billing/c", "crm/1"]


def test_t18_running_again_changes_no_id_and_no_link(hub: Any) -> None:
    hub.says("crm/companies", BIRCH, {"id": "2", "name": "Ash"})
    hub.says("desk/organizations", DESK_BIRCH)
    hub.unify()
    accounts, log = hub.rows(HubAccount), hub.rows(Link)

    again = hub.unify(days_later=1)

    assert (again.links.minted, again.links.links, again.links.merged) == (0, 0, 0)
    assert hub.rows(HubAccount) == accounts
    assert hub.rows(Link) == log


def test_a_link_stays_when_its_domain_disappears(hub: Any) -> None:
    hub.says("crm/companies", BIRCH)
    hub.says("desk/organizations", DESK_BIRCH)
    hub.unify()
    hub.says("desk/organizations", {"id": "7", "name": "Birch Ltd"})

    again = hub.unify()

    assert hub.accounts() == ["crm/1 desk/7"]
    assert again.links.links == 0


def test_an_id_does_not_depend_on_when_the_record_came(hub: Any) -> None:
    hub.says("desk/organizations", DESK_BIRCH)
    hub.unify()
    first = hub.account_of("desk/organizations/7")
    hub.says("crm/companies", BIRCH)

    hub.unify(days_later=3)

    assert hub.account_of("crm/companies/1") == first


# --- accounts that turn out to be one -------------------------------------------------------------


@pytest.fixture
def merged(hub: Any, rows: Any) -> Any:
    """The desk's record came first; the CRM's, a day later, turned out to be the same company."""
    hub.says("desk/organizations", {"id": "7", "name": "Birch Ltd", "domains": ["birch.example"]})
    hub.says("desk/tickets", rows.ticket("t", account={"id": "7"}))
    hub.unify()
    hub.says("crm/companies", {"id": "1", "name": "Birch"})
    hub.says("crm/deals", {"id": "d", "account": {"id": "1"}, "is_won": True, "is_closed": True})
    hub.unify(days_later=1)
    hub.old, hub.young = hub.account_of("desk/organizations/7"), hub.account_of("crm/companies/1")
    hub.says("crm/companies", BIRCH)
    hub.merging = hub.unify(days_later=1)
    return hub


def test_r23_a_merge_keeps_the_older_id_and_the_other_is_its_alias(merged: Any) -> None:
    assert merged.old != merged.young
    assert merged.accounts() == ["crm/1 desk/7"]
    assert merged.account_of("crm/companies/1") == merged.old
    assert merged.rows(HubAccount, id=merged.young)[0]["alias_of"] == merged.old
    assert merged.merging.links.merged == 1


def test_r23_a_merge_ends_one_link_and_makes_another(merged: Any) -> None:
    first, second = merged.log("crm/companies/1")

    assert (first["account_id"], first["until"]) == (merged.young, merged.at)
    assert (second["account_id"], second["until"]) == (merged.old, None)
    assert second["reason"] == "same business domain birch.example"
    assert len(merged.log("desk/organizations/7")) == 1


def test_r23_a_merge_takes_every_fact_along(merged: Any) -> None:

    assert merged.fact(DealRecord, "d")["account_id"] == merged.old
    assert merged.fact(TicketRecord, "t")["account_id"] == merged.old
    assert merged.fact(AccountRecord, "1")["account_id"] == merged.old
    assert merged.account("crm/companies/1")["lifecycle"] == "customer"


def test_r23_an_alias_leads_to_the_last_survivor(merged: Any) -> None:
    merged.says("billing/customers", {"id": "c", "external": {"crm": "1"}})

    merged.unify(days_later=1)

    assert merged.account_of("billing/customers/c") == merged.old
    assert merged.accounts() == ["billing/c crm/1 desk/7"]


def test_a_merge_is_counted_once(merged: Any) -> None:
    again = merged.unify()

    assert (again.links.merged, again.links.links) == (0, 0)
    assert again.lifecycles == {"customer": 1}


def test_a_link_that_a_merge_moves_keeps_its_reason(hub: Any) -> None:
    hub.says("desk/organizations", DESK_BIRCH)
    hub.unify()
    hub.says("product/days")
    hub.says("crm/companies", {"id": "1", "domains": ["ash.example"]})
    hub.says("billing/customers", {"id": "c", "email": "a@ash.example"})
    hub.unify()
    hub.says("billing/customers", {"id": "c"})
    hub.says("crm/companies", {"id": "1", "domains": ["birch.example"]})

    hub.unify()

    assert hub.accounts() == ["billing/c crm/1 desk/7"]
    moved = hub.log("billing/customers/c")[-1]
    assert (moved["reason"], moved["confidence"]) == ("same business domain ash.example", 0.9)


# --- a correction in a tool -----------------------------------------------------------------------


def test_a_customer_whose_company_id_is_corrected_moves_to_that_company(
    hub: Any, rows: Any
) -> None:
    hub.says("crm/companies", BIRCH, {"id": "2", "name": "Ash"})
    hub.says("billing/customers", {"id": "c", "external": {"crm": "1"}})
    hub.says("billing/subscriptions", rows.subscription("s", "c"))
    hub.unify()
    one, two = hub.account_of("crm/companies/1"), hub.account_of("crm/companies/2")
    hub.says("billing/customers", {"id": "c", "external": {"crm": "2"}})

    hub.unify(days_later=1)

    assert hub.accounts() == ["billing/c crm/2", "crm/1"]
    assert (hub.account_of("crm/companies/1"), hub.account_of("crm/companies/2")) == (one, two)
    assert [hub.account(f"crm/companies/{n}")["lifecycle"] for n in (1, 2)] == [
        "prospect",
        "customer",
    ]
    before, after = hub.log("billing/customers/c")
    assert (before["account_id"], before["until"]) == (one, hub.at)
    assert (after["account_id"], after["reason"]) == (two, "billing c carries the crm id 2")


def test_a_correction_moves_back_too(hub: Any) -> None:
    hub.says("crm/companies", BIRCH, {"id": "2", "name": "Ash"})
    hub.says("desk/organizations", DESK_BIRCH)
    for company in ("1", "2", "1"):
        hub.says("billing/customers", {"id": "c", "external": {"crm": company}})
        hub.unify(days_later=1)

    assert hub.accounts() == ["billing/c crm/1 desk/7", "crm/2"]
    assert len(hub.log("billing/customers/c")) == 3


# --- records that vanish --------------------------------------------------------------------------


def test_a_deleted_record_keeps_its_account_and_what_it_brought(hub: Any, rows: Any) -> None:
    hub.says("crm/companies", BIRCH)
    hub.says("desk/organizations", DESK_BIRCH)
    hub.says("desk/tickets", rows.ticket("t", account={"id": "7"}))
    hub.unify()
    before = hub.account_of("crm/companies/1")
    hub.forgets("desk/organizations", "7")

    hub.unify(days_later=1)

    assert hub.account_of("crm/companies/1") == before
    assert hub.fact(TicketRecord, "t")["account_id"] == before
    assert hub.fact(AccountRecord, "7")["gone_at"] is not None


def test_a_deleted_record_joins_nothing_more(hub: Any) -> None:
    hub.says("crm/companies", BIRCH)
    hub.unify()
    hub.forgets("crm/companies", "1")
    hub.says("desk/organizations", DESK_BIRCH)

    hub.unify()

    assert hub.accounts() == ["crm/1", "desk/7"]


def test_an_account_whose_records_are_all_gone_keeps_its_name(hub: Any) -> None:
    hub.says("crm/companies", {**BIRCH, "stage": "customer"})
    hub.unify()
    hub.forgets("crm/companies", "1")

    hub.unify()

    assert hub.account("crm/companies/1")["name"] == "Birch"


def test_a_record_that_comes_back_is_the_account_it_was(hub: Any) -> None:
    hub.says("crm/companies", BIRCH)
    hub.unify()
    before = hub.account_of("crm/companies/1")
    hub.forgets("crm/companies", "1")
    hub.unify()
    hub.says("crm/companies", BIRCH)

    hub.unify()

    assert hub.account_of("crm/companies/1") == before
    assert hub.fact(AccountRecord, "1")["gone_at"] is None


# --- records that a vendor merges -----------------------------------------------------------------


def test_r23_what_the_vendor_merged_is_one_account_with_all_its_facts(hub: Any, rows: Any) -> None:
    hub.says("crm/companies", BIRCH, {"id": "2", "name": "Birch again"})
    hub.says("billing/customers", {"id": "c", "external": {"crm": "2"}})
    hub.says("crm/deals", {"id": "d", "account": {"id": "2"}})
    hub.unify()
    first = hub.account_of("crm/companies/1")
    hub.says("crm/companies", {**BIRCH, "merged_ids": ["2"]})
    hub.forgets("crm/companies", "2")

    hub.unify(days_later=1)

    assert {hub.account_of(r) for r in ("crm/companies/1", "crm/companies/2")} == {first}
    assert hub.account_of("billing/customers/c") == first
    assert hub.log("crm/companies/2")[-1]["reason"] == "merged into crm 1 there"


def test_r23_an_id_merged_away_before_the_first_read_still_names_the_survivor(
    hub: Any, rows: Any
) -> None:
    hub.says("crm/companies", {**BIRCH, "merged_ids": ["0"]})
    hub.says("billing/customers", {"id": "c", "external": {"crm": "0"}})
    hub.says("desk/tickets", rows.ticket("t", account={"vendor": "crm", "external_id": "0"}))

    unified = hub.unify()

    assert hub.account_of("billing/customers/c") == hub.account_of("crm/companies/1")
    assert hub.fact(TicketRecord, "t")["account_id"] == hub.account_of("crm/companies/1")
    assert (unified.links.records, unified.links.accounts) == (2, 1)


def test_r23_a_chain_of_merges_ends_at_the_last(hub: Any) -> None:
    hub.says("crm/companies", *({"id": str(n), "name": f"Co {n}"} for n in (1, 2, 3)))
    hub.unify()
    ids = {n: hub.account_of(f"crm/companies/{n}") for n in (1, 2, 3)}
    hub.says("crm/companies", {"id": "2", "name": "Co 2", "merged_ids": ["1"]})
    hub.forgets("crm/companies", "1")
    hub.unify()
    hub.says("crm/companies", {"id": "3", "name": "Co 3", "merged_ids": ["2"]})
    hub.forgets("crm/companies", "2")

    hub.unify()

    assert len({hub.account_of(f"crm/companies/{n}") for n in (1, 2, 3)}) == 1
    assert hub.account_of("crm/companies/3") in ids.values()
    assert hub.unify().lifecycles == {"prospect": 1}


def test_records_that_are_gone_are_listed_no_more(hub: Any) -> None:
    hub.says("crm/companies", {**BIRCH, "merged_ids": ["0"]})
    hub.says("desk/organizations", DESK_BIRCH)
    hub.unify()
    hub.forgets("desk/organizations", "7")

    hub.unify()

    with hub.database.read() as reading:
        links = links_of(reading)[hub.account_of("crm/companies/1")]
    assert links == [{"vendor": "crm", "object": "companies", "id": "1", "url": None}]


# --- what is left to a person ---------------------------------------------------------------------


def test_t17_a_weak_pair_waits_for_a_person_with_its_reason(hub: Any) -> None:
    hub.says("crm/companies", {"id": "1", "name": "Birch"})
    hub.says("desk/organizations", {"id": "7", "name": "BIRCH GmbH"})

    unified = hub.unify()

    assert unified.links.to_review == 1
    assert hub.asked() == ["both are called birch"]
    assert hub.accounts() == ["crm/1", "desk/7"]


def test_a_pair_that_is_settled_is_not_asked_about_any_more(hub: Any) -> None:
    hub.says("crm/companies", {"id": "1", "name": "Birch"})
    hub.says("desk/organizations", {"id": "7", "name": "Birch"})
    hub.unify()
    hub.says("desk/organizations", {"id": "7", "name": "Birch", "external": {"crm": "1"}})

    unified = hub.unify()

    assert unified.links.to_review == 0
    assert hub.asked() == []


def test_what_a_person_has_decided_is_not_asked_again(hub: Any) -> None:
    hub.says("crm/companies", {"id": "1", "name": "Birch"})
    hub.says("desk/organizations", {"id": "7", "name": "Birch"})
    hub.unify()
    with hub.database.write() as writing:
        writing.exec_driver_sql("UPDATE review_pair SET state = 'different'")

    unified = hub.unify()

    assert unified.links.to_review == 0
    assert [pair["state"] for pair in hub.rows(ReviewPair)] == ["different"]


def test_a_domain_that_hub_yaml_calls_shared_is_written_in_any_form(hub: Any) -> None:
    hub.set(shared_domains=("@Birch.example",))
    hub.says("crm/companies", BIRCH)
    hub.says("desk/organizations", DESK_BIRCH)

    hub.unify()

    assert hub.accounts() == ["crm/1", "desk/7"]


def test_the_run_is_written_down(hub: Any) -> None:

    unified = hub.unify()

    run = hub.rows(Run, id=unified.run)[0]
    assert (run["verb"], run["result"]) == ("unify", "done")
    assert run["as_of"] == (hub.at + timedelta(hours=1)).date()
