"""Rows become facts: what they map to, what is set right by YAML, and whose they are."""

from __future__ import annotations

from typing import Any

import pytest

from hub.store.tables import (
    AccountRecord,
    DealRecord,
    Evidence,
    InvoiceRecord,
    PaymentAttemptRecord,
    PersonRecord,
    Run,
    SubscriptionRecord,
    TicketRecord,
    UsageRecord,
    VendorRow,
)

BIRCH = {"id": "1", "name": "Birch", "domains": ["birch.example"]}
ASH = {"id": "2", "name": "Ash", "domains": ["ash.example"]}


@pytest.fixture
def two(hub: Any) -> Any:
    """Two companies, each known in the CRM and at the desk, with a contact each."""
    hub.says("crm/companies", BIRCH, ASH)
    hub.says("desk/organizations", {"id": "7", "domains": ["birch.example"]},
             {"id": "8", "domains": ["ash.example"]})  # fmt: skip
    hub.says("crm/contacts", {"id": "p1", "account": {"id": "1"}, "email": "Mia@gmail.com"},
             {"id": "p2", "account": {"id": "2"}, "email": "ole@gmail.com"})  # fmt: skip
    return hub


def whose(hub: Any, model: Any, key: str) -> str | None:
    """The name of the account that a fact belongs to."""
    account = hub.fact(model, key)["account_id"]
    names = {hub.account_of("crm/companies/1"): "Birch", hub.account_of("crm/companies/2"): "Ash"}
    return None if account is None else names[account]


# --- whose a fact is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "whose_it_is"),
    [
        ({"id": "7"}, "Birch"),
        ({"id": "8", "object": "organizations"}, "Ash"),
        ({"vendor": "crm", "external_id": "2"}, "Ash"),
        ({"domain": "WWW.birch.example"}, "Birch"),
        ({"email": "MIA@gmail.com"}, "Birch"),
        ({"email": "new@ash.example"}, "Ash"),
        ({"id": "7", "domain": "ash.example"}, "Birch"),
        ({"id": "99", "email": "ole@gmail.com"}, "Ash"),
        ({"id": "99"}, None),
        ({"id": "7", "object": "users"}, None),
        ({"domain": "gmail.com"}, None),
        ({"email": "stranger@gmail.com"}, None),
        ({"vendor": "crm", "external_id": "99"}, None),
        (None, None),
    ],
)
def test_a_ticket_belongs_to_the_account_that_it_names(
    two: Any, rows: Any, named: Any, whose_it_is: str | None
) -> None:
    two.says("desk/tickets", rows.ticket("t", account=named))

    unified = two.unify()

    assert whose(two, TicketRecord, "t") == whose_it_is
    assert unified.unassigned == ({} if whose_it_is else {"ticket": 1})


def test_usage_belongs_to_the_account_that_it_names(two: Any, rows: Any) -> None:
    two.says("product/days", rows.usage("1", account={"vendor": "crm", "external_id": "1"}),
             rows.usage("2", account={"domain": "ash.example"}),
             rows.usage("3", account={"email": "ole@gmail.com"}))  # fmt: skip

    two.unify()

    assert [whose(two, UsageRecord, key) for key in "123"] == ["Birch", "Ash", "Ash"]


def test_a_desk_user_without_an_organization_is_known_by_the_mailbox(two: Any) -> None:
    two.says("desk/users", {"id": "u", "account": {"email": "mia@gmail.com"},
                            "email": "mia@gmail.com"})  # fmt: skip

    two.unify()

    assert whose(two, PersonRecord, "u") == "Birch"


def test_what_a_fact_belongs_to_does_not_change_in_a_second_run(two: Any, rows: Any) -> None:
    two.says("desk/users", {"id": "u", "account": {"email": "mia@gmail.com"},
                            "email": "mia@gmail.com"})  # fmt: skip
    two.says("desk/tickets", rows.ticket("t", account={"email": "mia@gmail.com"}))
    two.unify()
    before = [two.rows(model) for model in (PersonRecord, TicketRecord)]

    two.unify()

    assert [two.rows(model) for model in (PersonRecord, TicketRecord)] == before


def test_a_person_does_not_hold_a_mailbox_by_itself(two: Any) -> None:
    user = {"id": "u", "account": {"email": "mia@gmail.com"}, "email": "mia@gmail.com"}
    two.says("desk/users", user)
    two.unify()
    two.says("crm/contacts", {"id": "p1", "account": {"id": "2"}, "email": "mia@gmail.com"})

    two.unify()

    assert whose(two, PersonRecord, "u") == "Ash"


@pytest.mark.parametrize(
    "named",
    [
        {"domain": "both.example"},
        {"email": "adviser@gmail.com"},
        {"vendor": "desk", "external_id": "7"},
    ],
)
def test_what_names_two_accounts_names_none(two: Any, rows: Any, named: Any) -> None:
    two.says("crm/companies", {**BIRCH, "domains": ["birch.example", "both.example"]},
             {**ASH, "domains": ["ash.example", "both.example"]})  # fmt: skip
    two.says("crm/contacts", {"id": "p3", "account": {"id": "1"}, "email": "adviser@gmail.com"},
             {"id": "p4", "account": {"id": "2"}, "email": "adviser@gmail.com"})  # fmt: skip
    two.connect("desk-two", like="desk", account="another")
    two.says("desk-two/organizations", {"id": "7", "domains": ["ash.example"]})
    two.says("desk/tickets", rows.ticket("t", account=named))

    two.unify()

    assert two.fact(TicketRecord, "t")["account_id"] is None


def test_a_row_that_nobody_owned_is_assigned_when_its_account_appears(hub: Any, rows: Any) -> None:
    hub.says("desk/tickets", rows.ticket("t", account={"id": "7"}))
    assert hub.unify().unassigned == {"ticket": 1}
    hub.says("desk/organizations", {"id": "7", "name": "Birch"})

    unified = hub.unify()

    assert unified.unassigned == {}
    assert hub.fact(TicketRecord, "t")["account_id"] == hub.account_of("desk/organizations/7")


def test_a_fact_that_names_another_account_moves(two: Any, rows: Any) -> None:
    two.says("desk/tickets", rows.ticket("t", account={"id": "7"}))
    two.unify()
    two.says("desk/tickets", rows.ticket("t", account={"id": "8"}))

    two.unify()

    assert whose(two, TicketRecord, "t") == "Ash"


def test_a_fact_that_names_nobody_any_more_is_unassigned(two: Any, rows: Any) -> None:
    two.says("desk/tickets", rows.ticket("t", account={"id": "7"}))
    two.unify()
    two.says("desk/tickets", rows.ticket("t"))

    unified = two.unify()

    assert two.fact(TicketRecord, "t")["account_id"] is None
    assert unified.unassigned == {"ticket": 1}


def test_a_fact_that_is_gone_is_neither_counted_nor_forgotten(two: Any, rows: Any) -> None:
    two.says("desk/tickets", rows.ticket("t", account={"id": "99"}))
    two.unify()
    two.forgets("desk/tickets", "t")

    unified = two.unify()

    assert unified.unassigned == {}
    assert two.fact(TicketRecord, "t")["gone_at"] is not None


# --- who pays for whom ----------------------------------------------------------------------------


@pytest.fixture
def agency(hub: Any, rows: Any) -> Any:
    """Nine companies whose agency pays for them, each by a subscription that names it."""
    companies = [{"id": f"{n}", "name": f"Co {n}", "domains": [f"co{n}.example"]} for n in range(9)]
    hub.says("crm/companies", *companies, {"id": "99", "name": "Agency"})
    hub.says("billing/customers", {"id": "c", "name": "Agency", "external": {"crm": "99"}})
    names = [[{"vendor": "crm", "external_id": f"{n}"}] for n in range(9)]
    paid = [rows.subscription(f"s{n}", "c", pays_for=name) for n, name in enumerate(names)]
    hub.says("billing/subscriptions", *paid)
    hub.says("billing/invoices",
             *(rows.invoice(f"i{n}", "c", subscription_id=f"s{n}", payment_refs=[f"pay{n}"])
               for n in range(9)))  # fmt: skip
    hub.says("billing/charges", rows.charge("ch", account={"id": "c"}, payment_ref="pay3"))
    return hub


def speaks_for(hub: Any, key: str) -> list[str]:
    """The companies that a subscription or invoice is evidence for."""
    companies = {hub.account_of(f"crm/companies/{one['record_id']}"): one["name"]
                 for one in hub.rows(AccountRecord, object="companies")}  # fmt: skip
    return sorted(companies[row["account_id"]] for row in hub.rows(Evidence, record_id=key))


def test_nine_companies_that_an_agency_pays_for_stay_nine(agency: Any) -> None:
    unified = agency.unify()

    assert unified.lifecycles == {"customer": 9}
    assert unified.unassigned == {}
    payer = agency.account("crm/companies/99")
    assert (payer["kind"], payer["lifecycle"]) == ("payer", "prospect")


def test_what_an_agency_pays_is_evidence_for_whom_it_names(agency: Any) -> None:
    agency.unify()

    assert speaks_for(agency, "s3") == ["Co 3"]
    assert speaks_for(agency, "i3") == ["Co 3"]
    assert [row["role"] for row in agency.rows(Evidence, record_id="i3")] == ["pays_for"]
    assert agency.fact(PaymentAttemptRecord, "ch")["invoice_id"] == "i3"


def test_a_subscription_may_be_for_several_accounts(agency: Any, rows: Any) -> None:
    both = [{"vendor": "crm", "external_id": "1"}, {"vendor": "crm", "external_id": "2"}]
    agency.says("billing/subscriptions", rows.subscription("s0", "c", pays_for=both))

    agency.unify()

    assert speaks_for(agency, "i0") == ["Co 1", "Co 2"]


def test_an_invoice_may_name_its_account_itself(agency: Any, rows: Any) -> None:
    named = [{"vendor": "crm", "external_id": "5"}]
    agency.says("billing/invoices", rows.invoice("i0", "c", subscription_id="s0", pays_for=named))

    agency.unify()

    assert speaks_for(agency, "i0") == ["Co 5"]


def test_what_an_agency_pays_for_nobody_in_particular_is_unassigned(agency: Any, rows: Any) -> None:
    agency.says("billing/subscriptions", rows.subscription("s9", "c"))
    agency.says("billing/invoices", rows.invoice("i9", "c", subscription_id="s9"),
                rows.invoice("once", "c"))  # fmt: skip

    unified = agency.unify()

    assert unified.unassigned == {"subscription": 1, "invoice": 2}
    assert agency.account("crm/companies/99")["kind"] == "payer"


def test_what_an_agency_pays_for_somebody_unknown_is_unassigned(agency: Any, rows: Any) -> None:
    nobody = [{"vendor": "crm", "external_id": "404"}]
    agency.says("billing/subscriptions", rows.subscription("s0", "c", pays_for=nobody))

    unified = agency.unify()

    assert unified.unassigned == {"subscription": 1, "invoice": 1}
    assert unified.lifecycles == {"customer": 8, "prospect": 1}


def test_evidence_follows_when_the_names_change(agency: Any, rows: Any) -> None:
    agency.unify()
    other = [{"vendor": "crm", "external_id": "7"}]
    agency.says("billing/subscriptions", rows.subscription("s3", "c", pays_for=other))

    agency.unify()

    assert (speaks_for(agency, "s3"), speaks_for(agency, "i3")) == (["Co 7"], ["Co 7"])


def test_a_company_that_pays_for_itself_and_a_subsidiary_is_no_payer(hub: Any, rows: Any) -> None:
    hub.says("crm/companies", BIRCH, ASH)
    hub.says("billing/customers", {"id": "c", "external": {"crm": "1"}})
    named = [{"vendor": "crm", "external_id": "2"}]
    other = rows.subscription("other", "c", pays_for=named)
    hub.says("billing/subscriptions", rows.subscription("own", "c"), other)

    unified = hub.unify()

    assert unified.lifecycles == {"customer": 2}
    assert speaks_for(hub, "own") == ["Birch"]


def test_an_agency_that_names_itself_is_a_customer_too(agency: Any, rows: Any) -> None:
    itself = [{"vendor": "crm", "external_id": "99"}]
    agency.says("billing/subscriptions", rows.subscription("own", "c", pays_for=itself))

    unified = agency.unify()

    assert unified.lifecycles == {"customer": 10}
    assert agency.account("crm/companies/99")["kind"] == "account"


def test_a_record_that_says_so_only_pays_for_others(hub: Any, rows: Any) -> None:
    hub.says("billing/customers", {"id": "c", "kind": "payer"})
    hub.says("billing/subscriptions", rows.subscription("s", "c"))

    unified = hub.unify()

    assert hub.account("billing/customers/c")["kind"] == "payer"
    assert unified.unassigned == {"subscription": 1}
    assert unified.lifecycles == {}


def test_a_deleted_subscription_and_invoice_are_evidence_for_nobody(hub: Any, rows: Any) -> None:
    hub.says("billing/customers", {"id": "c"})
    hub.says("billing/subscriptions", rows.subscription("s", "c"))
    hub.says("billing/invoices", rows.invoice("i", "c"))
    assert hub.unify().lifecycles == {"customer": 1}
    hub.forgets("billing/subscriptions", "s")
    hub.forgets("billing/invoices", "i")

    unified = hub.unify()

    assert unified.lifecycles == {"prospect": 1}
    assert hub.rows(Evidence) == []
    assert unified.unassigned == {}


def test_an_attempt_finds_its_invoice_although_it_came_first(hub: Any, rows: Any) -> None:
    hub.says("billing/customers", {"id": "c"})
    hub.says("billing/charges", rows.charge("ch", account={"id": "c"}, payment_ref="pay1"),
             rows.charge("old", account={"id": "c"}))  # fmt: skip
    hub.unify()
    hub.says("billing/invoices", rows.invoice("i1", "c", payment_refs=["pay1"]),
             rows.invoice("i2", "c", payment_refs=["old"]))  # fmt: skip

    hub.unify()

    assert hub.fact(PaymentAttemptRecord, "ch")["invoice_id"] == "i1"
    assert hub.fact(PaymentAttemptRecord, "old")["invoice_id"] == "i2"


# --- fields that the connection's file maps -------------------------------------------------------


def test_own_fields_of_the_team_are_mapped_and_typed(hub: Any) -> None:
    hub.set("crm", fields={"companies": {
        "renewal_on": "contract_end", "employees": "size", "plan": "plan_name",
        "external.billing": "billing_id", "extra.tier": "support_tier",
    }})  # fmt: skip
    own = {"contract_end": "2026-09-30", "size": "250", "plan_name": "gold", "billing_id": "c",
           "support_tier": 3}  # fmt: skip
    hub.says("crm/companies", {**BIRCH, "own": own})
    hub.says("billing/customers", {"id": "c"})

    hub.unify()

    account = hub.account("crm/companies/1")
    assert (str(account["renewal_on"]), account["employees"]) == ("2026-09-30", 250)
    assert account["plan"] == "gold"
    assert hub.accounts() == ["billing/c crm/1"]
    assert '"extra":{"tier":"3"}' in hub.fact(AccountRecord, "1")["fields"]


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_own_field_changes_nothing(hub: Any, empty: Any) -> None:
    hub.set("crm", fields={"companies": {"plan": "plan_name", "external.billing": "billing_id"}})
    hub.says("crm/companies", {**BIRCH, "plan": "silver", "external": {"desk": "7"},
                               "own": {"plan_name": empty, "billing_id": empty}})  # fmt: skip

    hub.unify()

    assert hub.account("crm/companies/1")["plan"] == "silver"
    assert '"external":{"desk":"7"}' in hub.fact(AccountRecord, "1")["fields"]


def test_an_own_field_that_is_nowhere_changes_nothing(hub: Any) -> None:
    hub.set("crm", fields={"companies": {"plan": "plan_name"}})
    hub.says("crm/companies", BIRCH)

    unified = hub.unify()

    assert unified.rejected == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("renewal_on", "soon"), ("employees", "many"), ("renewal_on", {"a": 1}), ("plan", [1])],
)
def test_an_own_field_of_the_wrong_kind_rejects_the_row_and_names_the_field(
    hub: Any, field: str, value: Any
) -> None:
    hub.set("crm", fields={"companies": {field: "theirs"}})
    hub.says("crm/companies", {**BIRCH, "own": {"theirs": value}}, ASH)

    unified = hub.unify()

    counts = unified.mapped[("crm", "companies")]
    assert (counts.mapped, [key for key, _ in counts.rejected]) == (1, ["1"])
    assert counts.rejected[0][1].startswith(f"{field}: ")


def test_a_change_of_the_mapping_maps_every_row_again(hub: Any) -> None:
    hub.says("crm/companies", {**BIRCH, "own": {"plan_name": "gold"}}, ASH)
    hub.unify()
    assert hub.unify().mapped[("crm", "companies")].mapped == 0
    hub.set("crm", fields={"companies": {"plan": "plan_name"}})

    unified = hub.unify()

    assert unified.mapped[("crm", "companies")].mapped == 2
    assert hub.account("crm/companies/1")["plan"] == "gold"


def test_a_mapping_that_is_taken_back_is_forgotten(hub: Any) -> None:
    hub.set("crm", fields={"companies": {"plan": "plan_name"}})
    hub.says("crm/companies", {**BIRCH, "own": {"plan_name": "gold"}})
    hub.unify()
    hub.set("crm", fields={})

    hub.unify()

    assert hub.account("crm/companies/1")["plan"] is None


# --- rows that are no facts -----------------------------------------------------------------------


def test_every_changed_row_is_counted_once(hub: Any, rows: Any) -> None:
    ignored = {"2": "spam", "3": "spam", "4": "a task of the hub's own"}
    bad = [{"id": "5", "rejected": "opened is missing"}, {"id": "6"}, {"id": "7", "status": 1}]
    hub.says("desk/tickets", rows.ticket("1"), *bad,
             *({"id": key, "ignored": why} for key, why in ignored.items()))  # fmt: skip

    counts = hub.unify().mapped[("desk", "tickets")]

    assert counts.mapped == 1
    assert counts.ignored == {"spam": 2, "a task of the hub's own": 1}
    assert [key for key, _ in counts.rejected] == ["5", "6", "7"]
    assert counts.rejected[0][1] == "opened is missing"
    assert counts.rejected[1][1] == "opened_at: field required"


def test_why_a_row_is_no_fact_stands_at_the_row(hub: Any) -> None:
    hub.says("desk/tickets", {"id": "1", "ignored": "spam"}, {"id": "2", "rejected": "odd"})

    hub.unify()

    told = [(row["outcome"], row["why"]) for row in hub.rows(VendorRow, object="tickets")]
    assert told == [("ignored", "spam"), ("rejected", "odd")]


def test_a_rejected_row_is_tried_again_by_every_run(hub: Any, rows: Any) -> None:
    hub.says("desk/tickets", {"id": "1", "rejected": "odd"}, rows.ticket("2"))
    first, second = hub.unify(), hub.unify()
    hub.says("desk/tickets", rows.ticket("1"))

    third = hub.unify()

    assert [run.rejected for run in (first, second, third)] == [1, 1, 0]
    assert third.mapped[("desk", "tickets")].mapped == 1


def test_a_run_with_rejected_rows_is_done_in_part(hub: Any) -> None:
    hub.says("desk/tickets", {"id": "1", "rejected": "odd"})

    unified = hub.unify()

    assert hub.rows(Run, id=unified.run)[0]["result"] == "partly"


def test_a_row_that_is_rejected_later_leaves_what_was_known(hub: Any, rows: Any) -> None:
    hub.says("desk/tickets", rows.ticket("1", subject="Printer"))
    hub.unify()
    hub.says("desk/tickets", {"id": "1", "rejected": "odd"})

    hub.unify()

    kept = hub.fact(TicketRecord, "1")
    assert (kept["subject"], kept["gone_at"]) == ("Printer", None)


def test_a_row_that_is_ignored_later_is_a_fact_no_more(hub: Any, rows: Any) -> None:
    hub.says("desk/tickets", rows.ticket("1"))
    hub.unify()
    hub.says("desk/tickets", {"id": "1", "ignored": "spam"})

    hub.unify()

    assert hub.fact(TicketRecord, "1")["gone_at"] is not None


def test_a_row_that_is_no_longer_ignored_is_a_fact_again(hub: Any, rows: Any) -> None:
    for row in (rows.ticket("1"), {"id": "1", "ignored": "spam"}, rows.ticket("1")):
        hub.says("desk/tickets", row)
        hub.unify()

    assert hub.fact(TicketRecord, "1")["gone_at"] is None


def test_two_rows_that_claim_to_be_one_record_leave_one(hub: Any, rows: Any) -> None:
    both = [{"id": key, "many": [rows.ticket("t", subject=f"from {key}")]} for key in "ab"]
    hub.says("desk/tickets", *both)

    hub.unify()

    assert hub.fact(TicketRecord, "t")["subject"] == "from b"


@pytest.mark.parametrize(
    ("place", "row", "field"),
    [
        ("billing/invoices", {"total_minor": 2**63}, "total_minor"),
        ("billing/subscriptions", {"interval_count": 10**20}, "interval_count"),
        ("crm/companies", {"employees": 10**20}, "employees"),
        ("product/days", {"count": 2**63}, "count"),
    ],
)
def test_r15_a_value_that_no_database_holds_rejects_its_row_alone(
    hub: Any, rows: Any, place: str, row: dict[str, Any], field: str
) -> None:
    good = {
        "billing/invoices": rows.invoice("good", "c"),
        "billing/subscriptions": rows.subscription("good", "c"),
        "crm/companies": {"id": "good"},
        "product/days": rows.usage("good", account={"id": "c"}),
    }[place]
    hub.says(place, {**good, **row, "id": "bad"}, good)

    unified = hub.unify()

    counts = unified.mapped[tuple(place.split("/"))]
    assert (counts.mapped, [key for key, _ in counts.rejected]) == (1, ["bad"])
    assert field in counts.rejected[0][1]


def test_r27_amounts_come_through_as_they_are(hub: Any, rows: Any) -> None:
    hub.says("billing/customers", {"id": "c"})
    money = {"total_minor": -500, "remaining_minor": 0, "currency": "JPY"}
    hub.says("billing/invoices", rows.invoice("i", "c", **money))
    hub.says("billing/subscriptions", rows.subscription("s", "c", amount_minor=2**40,
                                                         currency="KWD"))  # fmt: skip

    hub.unify()

    bill, agreement = hub.fact(InvoiceRecord, "i"), hub.fact(SubscriptionRecord, "s")
    assert {name: bill[name] for name in money} == money
    assert (agreement["amount_minor"], agreement["currency"]) == (2**40, "KWD")


def test_r26_odd_text_comes_through_as_it_is(hub: Any, rows: Any) -> None:
    odd = "👩‍👩‍👧 \t\\N עברית\r\n=1+1 \0"
    hub.says("desk/tickets", rows.ticket("t", subject=odd, tags=[odd]))

    hub.unify()

    assert hub.fact(TicketRecord, "t")["subject"] == odd.replace("\0", "�")


def test_r28_a_day_is_a_day_of_the_team(hub: Any, rows: Any) -> None:
    late = rows.ticket("t", opened_at="2026-03-01T23:30:00Z", closed_at="2026-03-29T22:30:00Z")
    hub.says("desk/tickets", late)

    hub.unify()

    fact = hub.fact(TicketRecord, "t")
    assert (str(fact["opened_on"]), str(fact["closed_on"])) == ("2026-03-02", "2026-03-30")


def test_r28_the_last_day_there_is_stays_the_last(hub: Any, rows: Any) -> None:
    hub.says("billing/invoices", rows.invoice("i", "c", due_at="9999-12-31T23:59:59Z"))

    unified = hub.unify()

    assert unified.rejected == 0
    assert str(hub.fact(InvoiceRecord, "i")["due_on"]) == "9999-12-31"


def test_a_record_keeps_its_deals(two: Any) -> None:
    two.says("crm/deals", {"id": "d", "account": {"id": "1"}, "amount_minor": 100,
                           "currency": "EUR"})  # fmt: skip

    two.unify()

    assert whose(two, DealRecord, "d") == "Birch"
