"""Which records are one account: the tiers, what they never do, and that order does not matter."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.unify.matching import AUTOMATIC, Candidate, Joined, Key, candidate, join_records

TOOLS = {
    "h": ("hubspot", "62515", "companies"),
    "z": ("zendesk", "acme", "organizations"),
    "s": ("stripe", "acct_1", "customers"),
    "p": ("portal", "main", "workspaces"),
}


def key(short: str) -> Key:
    """`h1` is a CRM company, `z1` a desk organisation, `s1` a billing customer."""
    return (*TOOLS[short[0]], short)


def record(
    short: str,
    name: str | None = None,
    *,
    domains: Iterable[str] = (),
    email: str | None = None,
    external: Mapping[str, str] | None = None,
    shared: Iterable[str] = (),
) -> Candidate:
    fields = {"name": name, "domains": list(domains), "email": email, "external": external or {}}
    vendor, vendor_account, kind, record_id = key(short)
    row = {
        "vendor": vendor,
        "vendor_account": vendor_account,
        "object": kind,
        "record_id": record_id,
        "fields": json.dumps(fields),
    }
    return candidate(row, frozenset(shared))


def join(*records: Candidate, **given: Any) -> Joined:
    return join_records(records, **{"home": "hubspot", **given})


def accounts(joined: Joined) -> list[str]:
    """Each account as its records' short names: ["h1 s1", "z1"]."""
    return [" ".join(sorted(k[3] for k in members)) for members in joined.clusters().values()]


def asked(joined: Joined) -> set[tuple[str, str]]:
    """What is left to a person, as pairs of short names in order."""
    return {(min(left[3], right[3]), max(left[3], right[3])) for left, right, _, _ in joined.weak}


def reason(joined: Joined, short: str) -> tuple[float, str]:
    return joined.why[key(short)]


# --- explicit external id -------------------------------------------------------------------------


def test_t17_a_customer_that_carries_the_crm_id_is_that_company() -> None:
    joined = join(record("h1"), record("s1", external={"hubspot": "h1"}))

    assert accounts(joined) == ["h1 s1"]
    assert reason(joined, "s1") == (1.0, "stripe s1 carries the hubspot id h1")


def test_t17_a_company_that_carries_the_customer_id_is_that_customer() -> None:
    joined = join(record("h1", external={"stripe": "s1"}), record("s1"))

    assert accounts(joined) == ["h1 s1"]
    assert reason(joined, "s1") == (1.0, "hubspot h1 carries the stripe id s1")


def test_many_billing_customers_may_go_with_one_company() -> None:
    customers = [record(f"s{n}", external={"hubspot": "h1"}) for n in range(1, 4)]

    joined = join(record("h1"), *customers)

    assert accounts(joined) == ["h1 s1 s2 s3"]


def test_a_customer_that_two_companies_claim_goes_with_neither() -> None:
    joined = join(
        record("h1", external={"stripe": "s1"}), record("h2", external={"stripe": "s1"}),
        record("s1"),
    )  # fmt: skip

    assert accounts(joined) == ["h1", "h2", "s1"]
    assert asked(joined) == {("h1", "s1"), ("h2", "s1"), ("h1", "h2")}


def test_of_two_companies_the_one_that_the_customer_names_back_has_it() -> None:
    joined = join(
        record("h1", external={"stripe": "s1"}), record("h2", external={"stripe": "s1"}),
        record("s1", external={"hubspot": "h2"}),
    )  # fmt: skip

    assert accounts(joined) == ["h1", "h2 s1"]
    assert ("h1", "h2") in asked(joined)


def test_a_customer_that_names_one_company_and_is_named_by_another_joins_none() -> None:
    joined = join(
        record("h1"), record("h2", external={"stripe": "s1"}),
        record("s1", external={"hubspot": "h1"}),
    )  # fmt: skip

    assert accounts(joined) == ["h1", "h2", "s1"]
    assert ("h1", "h2") in asked(joined)


def test_two_companies_are_never_joined_through_a_third_tool() -> None:
    joined = join(
        record("h1"), record("h2"), record("s1", external={"hubspot": "h1"}),
        record("z1", external={"hubspot": "h2", "stripe": "s1"}),
    )  # fmt: skip

    assert accounts(joined) == ["h1 s1", "h2 z1"]
    assert asked(joined) == {("s1", "z1")}


def test_a_desk_record_may_name_the_billing_customer() -> None:
    joined = join(record("s1"), record("z1", external={"stripe": "s1"}))

    assert accounts(joined) == ["s1 z1"]


def test_two_desk_records_that_name_one_customer_are_left_to_a_person() -> None:
    joined = join(
        record("s1"), record("z1", external={"stripe": "s1"}),
        record("z2", external={"stripe": "s1"}),
    )  # fmt: skip

    assert accounts(joined) == ["s1", "z1", "z2"]
    assert ("z1", "z2") in asked(joined)


def test_an_id_that_is_nobodys_links_nothing() -> None:
    joined = join(record("h1"), record("s1", external={"hubspot": "h9", "stripe": "s1"}))

    assert accounts(joined) == ["h1", "s1"]
    assert joined.why == {}


def test_an_id_that_stands_in_two_portals_links_nothing() -> None:
    other = Candidate(
        ("hubspot", "other", "companies", "h1"), "", frozenset(), None, None, ()
    )  # fmt: skip

    joined = join(record("h1"), other, record("s1", external={"hubspot": "h1"}))

    assert accounts(joined) == ["h1", "h1", "s1"]


def test_a_company_that_names_another_company_is_left_to_a_person() -> None:
    joined = join(record("h1"), record("h2", external={"hubspot": "h1"}))

    assert accounts(joined) == ["h1", "h2"]
    assert asked(joined) == {("h1", "h2")}


# --- business domain ------------------------------------------------------------------------------


def test_t17_records_with_the_same_business_domain_are_one_account() -> None:
    joined = join(
        record("h1", domains=["birch.example"]), record("z1", domains=["www.birch.example"]),
        record("s1", email="billing@birch.example"),
    )  # fmt: skip

    assert accounts(joined) == ["h1 s1 z1"]
    assert reason(joined, "z1") == (0.9, "same business domain birch.example")


def test_two_mailboxes_at_a_domain_that_nobody_declares_link_nothing() -> None:
    joined = join(
        record("s1", email="a@birch.example"), record("p1", email="b@birch.example")
    )  # fmt: skip

    assert accounts(joined) == ["p1", "s1"]


@pytest.mark.parametrize("provider", ["gmail.com", "web.de", "GMX.de", "qq.com"])
def test_r22_a_mail_provider_says_nothing_of_the_company(provider: str) -> None:
    joined = join(
        record("h1", domains=[provider]), record("z1", domains=[provider]),
        record("s1", email=f"office@{provider}"),
    )  # fmt: skip

    assert accounts(joined) == ["h1", "s1", "z1"]


def test_r22_a_provider_that_hub_yaml_names_says_nothing_either() -> None:
    shared = ["mail.example"]

    joined = join(
        record("h1", domains=["mail.example"], shared=shared),
        record("z1", domains=["mail.example"], shared=shared),
    )

    assert accounts(joined) == ["h1", "z1"]


def test_r22_a_crowded_domain_links_nothing_and_asks_nothing() -> None:
    companies = [record(f"h{n}", f"Co {n}", domains=["platform.example"]) for n in range(4)]

    joined = join(*companies, record("z1", "Desk", domains=["platform.example"]))

    assert len(accounts(joined)) == 5
    assert joined.weak == []


def test_r22_duplicates_inside_one_tool_are_left_to_a_person() -> None:
    joined = join(
        record("h1", domains=["birch.example"]), record("h2", domains=["birch.example"]),
        record("z1", domains=["birch.example"]),
    )  # fmt: skip

    assert accounts(joined) == ["h1", "h2", "z1"]
    assert ("h1", "h2") in asked(joined)


def test_r22_two_companies_are_never_joined_through_a_record_with_both_domains() -> None:
    joined = join(
        record("h1", domains=["ash.example"]), record("h2", domains=["birch.example"]),
        record("z1", domains=["ash.example", "birch.example"]),
    )  # fmt: skip

    assert accounts(joined) == ["h1", "h2", "z1"]
    assert asked(joined) == {("h1", "z1"), ("h2", "z1")}


def test_r22_customers_whose_bills_go_to_one_agency_stay_apart() -> None:
    customers = [record(f"s{n}", email="books@agency.example") for n in range(1, 4)]

    joined = join(record("h9", domains=["agency.example"]), *customers)

    assert accounts(joined) == ["h9", "s1", "s2", "s3"]


def test_r22_a_mailbox_at_another_company_does_not_move_a_customer_that_is_known() -> None:
    joined = join(
        record("h1"), record("s1", email="books@agency.example", external={"hubspot": "h1"}),
        record("z9", domains=["agency.example"]),
    )  # fmt: skip

    assert accounts(joined) == ["h1 s1", "z9"]
    assert asked(joined) == {("s1", "z9")}


def test_r22_a_subsidiary_with_its_parents_domain_is_left_to_a_person() -> None:
    joined = join(
        record("h1", "Birch Holding", domains=["birch.example"]),
        record("h2", "Birch GmbH", domains=["de.birch.example"]),
    )

    assert accounts(joined) == ["h1", "h2"]
    assert asked(joined) == {("h1", "h2")}


def test_r22_shops_on_one_platform_are_not_one_company() -> None:
    joined = join(
        record("h1", domains=["ash.myshopify.com"]), record("z1", domains=["birch.myshopify.com"])
    )

    assert accounts(joined) == ["h1", "z1"]


# --- exact mailbox --------------------------------------------------------------------------------


def test_t17_a_customer_with_the_mailbox_of_a_known_contact_is_the_contacts_company() -> None:
    owners = {"birch.office@gmail.com": {key("h1")}}

    joined = join(record("h1"), record("s1", email="Birch.Office@gmail.com"), mailbox_owners=owners)

    assert accounts(joined) == ["h1 s1"]
    assert reason(joined, "s1") == (0.85, "its mailbox is a known contact of hubspot h1")


def test_a_contact_known_in_two_tools_of_one_company_is_no_contradiction() -> None:
    owners = {"birch.office@gmail.com": {key("h1"), key("z1")}}

    joined = join(
        record("h1", domains=["birch.example"]), record("z1", domains=["birch.example"]),
        record("s1", email="birch.office@gmail.com"), mailbox_owners=owners,
    )  # fmt: skip

    assert accounts(joined) == ["h1 s1 z1"]


def test_a_mailbox_known_at_two_companies_links_nothing() -> None:
    owners = {"adviser@gmail.com": {key("h1"), key("h2")}}

    joined = join(
        record("h1"), record("h2"), record("s1", email="adviser@gmail.com"), mailbox_owners=owners
    )

    assert accounts(joined) == ["h1", "h2", "s1"]


def test_r22_a_bookkeeper_of_two_customers_does_not_make_them_one() -> None:
    owners = {"books@gmail.com": {key("h1")}}

    joined = join(
        record("h1"), record("s1", email="books@gmail.com"), record("s2", email="books@gmail.com"),
        mailbox_owners=owners,
    )  # fmt: skip

    assert accounts(joined) == ["h1", "s1", "s2"]
    assert asked(joined) == {("h1", "s1"), ("h1", "s2")}


def test_a_mailbox_does_not_overrule_an_explicit_id() -> None:
    owners = {"mia@gmail.com": {key("z9")}}

    joined = join(
        record("h1"), record("s1", email="mia@gmail.com", external={"hubspot": "h1"}),
        record("z9"), mailbox_owners=owners,
    )  # fmt: skip

    assert accounts(joined) == ["h1 s1", "z9"]


# --- names ----------------------------------------------------------------------------------------


def test_t17_records_that_only_share_a_name_are_left_to_a_person() -> None:
    joined = join(record("h1", "Birch & Vale GmbH"), record("z1", "BIRCH AND VALE"))

    assert accounts(joined) == ["h1", "z1"]
    assert [(pair[2], pair[3]) for pair in joined.weak] == [(0.5, "both are called birch and vale")]
    assert joined.weak[0][2] < AUTOMATIC


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Birch", "Віrch"),  # Cyrillic first letters
        ("Acme", "Acrne"),
        ("Ash 1", "Ash l"),
        ("Vale Nord", "Vale Süd"),
    ],
)
def test_r22_names_that_only_look_alike_are_not_even_asked_about(left: str, right: str) -> None:
    joined = join(record("h1", left), record("z1", right))

    assert accounts(joined) == ["h1", "z1"]
    assert joined.weak == []


def test_a_name_that_many_records_have_is_not_asked_about() -> None:
    joined = join(*(record(f"h{n}", "Test") for n in range(9)))

    assert joined.weak == []


def test_records_that_are_joined_are_not_asked_about() -> None:
    joined = join(
        record("h1", "Birch", domains=["birch.example"]),
        record("z1", "Birch", domains=["birch.example"]),
    )

    assert joined.weak == []


# --- what is linked stays linked ------------------------------------------------------------------


def test_linked_records_stay_together_when_their_domain_disappears() -> None:
    joined = join(record("h1"), record("z1"), linked=[[key("h1"), key("z1")]])

    assert accounts(joined) == ["h1 z1"]


def test_a_duplicate_that_comes_later_does_not_part_what_is_linked() -> None:
    joined = join(
        record("h1", domains=["birch.example"]), record("z1", domains=["birch.example"]),
        record("h2", domains=["birch.example"]), linked=[[key("h1"), key("z1")]],
    )  # fmt: skip

    assert accounts(joined) == ["h1 z1", "h2"]
    assert ("h1", "h2") in asked(joined)


def test_a_record_whose_domain_became_anothers_does_not_merge_the_two() -> None:
    joined = join(
        record("h1", domains=["ash.example"]), record("h2", domains=["birch.example"]),
        record("z1", domains=["birch.example"]), linked=[[key("h1"), key("z1")]],
    )  # fmt: skip

    assert accounts(joined) == ["h1 z1", "h2"]


# --- order ----------------------------------------------------------------------------------------

DOMAINS = [f"d{n}.example" for n in range(4)]
SHORTS = [f"{tool}{n}" for tool in "hzsp" for n in range(4)]


@st.composite
def anything(draw: st.DrawFn) -> list[Candidate]:
    """Records with any evidence, most of it contradictory."""
    found = []
    for short in draw(st.lists(st.sampled_from(SHORTS), unique=True, min_size=2, max_size=12)):
        pointed = draw(st.none() | st.sampled_from(SHORTS))
        external = {} if pointed is None else {TOOLS[pointed[0]][0]: pointed}
        email = draw(st.none() | st.sampled_from([f"a@{d}" for d in DOMAINS]))
        domains = draw(st.lists(st.sampled_from(DOMAINS), max_size=2))
        found.append(record(short, "", domains=domains, email=email, external=external))
    return found


@st.composite
def truthful(draw: st.DrawFn) -> list[Candidate]:
    """At most one record a tool of each of four companies; the ids and domains are right."""
    found = []
    for company in range(4):
        tools = draw(st.lists(st.sampled_from("hzsp"), unique=True, min_size=1))
        for tool in tools:
            pointed = draw(st.none() | st.sampled_from(tools))
            external = {} if pointed is None else {TOOLS[pointed][0]: f"{pointed}{company}"}
            domains = [DOMAINS[company]] if draw(st.booleans()) else []
            found.append(record(f"{tool}{company}", domains=domains, external=external))
    return found


OWNERS = {f"a@{domain}": {key(f"h{n}"), key(f"z{n}")} for n, domain in enumerate(DOMAINS)}


@given(anything(), st.randoms())
def test_the_order_of_the_records_does_not_matter(
    records: list[Candidate], chance: random.Random
) -> None:
    shuffled = list(records)
    chance.shuffle(shuffled)

    first = join(*records, mailbox_owners=OWNERS)
    second = join(*shuffled, mailbox_owners=OWNERS)

    assert first.clusters() == second.clusters()
    assert first.why == second.why
    assert sorted(first.weak) == sorted(second.weak)


@given(anything(), st.randoms())
def test_r22_two_crm_companies_are_never_made_one_whatever_the_records_say(
    records: list[Candidate], chance: random.Random
) -> None:
    chance.shuffle(records)
    seen: list[Candidate] = []
    linked: list[list[Key]] = []

    for one in records:
        seen.append(one)
        linked = list(join(*seen, mailbox_owners=OWNERS, linked=linked).clusters().values())

    for members in linked:
        assert len([one for one in members if one[0] == "hubspot"]) <= 1


@given(truthful(), st.randoms())
def test_records_that_come_in_batches_end_as_if_they_had_come_at_once(
    records: list[Candidate], chance: random.Random
) -> None:
    batched = list(records)
    chance.shuffle(batched)
    linked: list[list[Key]] = []

    for end in range(1, len(batched) + 1):
        linked = list(join(*batched[:end], linked=linked).clusters().values())

    assert linked == list(join(*records).clusters().values())
    assert all(len({one[3][1:] for one in members}) == 1 for members in linked)
