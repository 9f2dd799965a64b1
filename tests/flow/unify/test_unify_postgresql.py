"""PostgreSQL ends where SQLite does, also where the two speak different SQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hub.config import Person
from hub.configfiles import Customers
from hub.store.tables import (
    AccountRecord,
    Coverage,
    Evidence,
    HubAccount,
    Link,
    PaymentAttemptRecord,
    ReviewPair,
    StateHistory,
    TicketRecord,
    UsageRecord,
    VendorRow,
)


def live(hub: Any, rows: Any) -> None:
    """A week in the town: everything that unify writes, changes, merges and takes back."""
    hub.set(customers=Customers(when="employees >= 50 AND plan IN ('gold', 'it''s')"),
            people={"mia": Person("mia", "Mia", "mia@northwind.example")})  # fmt: skip
    hub.set("product", absence="zero")
    birch = {"id": "1", "name": "Birch", "domains": ["birch.example"], "owner_id": "o"}
    ash = {"id": "2", "name": "Ash \t\\N 👩‍👩‍👧", "merged_ids": ["0"]}
    elm = {"id": "3", "name": "ASH", "employees": 50, "plan": "it's"}
    hub.says("crm/companies", birch, ash, elm)
    hub.says("crm/owners", {"id": "o", "email": "mia@northwind.example"})
    hub.says("crm/contacts", {"id": "p", "account": {"id": "1"}, "email": "mia@gmail.com"})
    hub.says("crm/deals", {"id": "d", "account": {"id": "2"}, "is_won": True, "is_closed": True})
    hub.says("billing/customers", {"id": "c", "external": {"crm": "0"}})
    named = [{"vendor": "crm", "external_id": "1"}]
    hub.says("billing/subscriptions", rows.subscription("s", "c", pays_for=named),
             rows.subscription("own", "c", "ended"))  # fmt: skip
    hub.says("billing/invoices", rows.invoice("i", "c", subscription_id="s", payment_refs=["x"]))
    hub.says("billing/charges", rows.charge("ch", payment_ref="x"))
    hub.says("product/days", rows.usage("u", account={"domain": "birch.example"}))
    both = [{"id": key, "many": [rows.ticket("t", subject=f"from {key}")]} for key in "ab"]
    hub.says("desk/tickets", *both, {"id": "bad", "rejected": "odd"},
             rows.ticket("late", account={"id": "7"}))  # fmt: skip
    for place in ("desk/tickets", "billing/invoices", "product/days"):
        hub.was_read(place)
    hub.unify()
    hub.says("desk/organizations", {"id": "7", "domains": ["birch.example"]})
    closed = rows.ticket("late", status="closed", account={"id": "7"})
    hub.says("desk/tickets", {"id": "b", "ignored": "spam"}, closed)
    hub.forgets("billing/charges", "ch")
    hub.set("desk", fresh_within={"tickets": timedelta(days=3)})
    hub.unify(days_later=1)
    hub.says("crm/companies", {**elm, "domains": ["birch.example"]})
    hub.forgets("desk/organizations", "7")
    hub.unify(days_later=1)


def test_r21_a_week_in_the_town_ends_the_same_on_both_databases(
    hub: Any, pg_hub: Any, rows: Any
) -> None:
    models = (
        AccountRecord, Coverage, Evidence, HubAccount, Link, PaymentAttemptRecord, ReviewPair,
        StateHistory, TicketRecord, UsageRecord, VendorRow,
    )  # fmt: skip

    live(hub, rows)
    live(pg_hub, rows)

    for model in models:
        assert without_numbers(pg_hub.rows(model)) == without_numbers(hub.rows(model))
    told = {(row["name"], row["lifecycle"]) for row in hub.rows(HubAccount)}
    assert {("Birch", "customer"), ("ASH", "customer")} <= told


def without_numbers(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in any order, without the numbers that a database counts by itself."""
    counted = ("seq", "run", "minted_run")
    return sorted(
        str({name: value for name, value in row.items() if name not in counted}) for row in rows
    )
