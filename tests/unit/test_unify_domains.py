"""Domains as evidence: what an organisation registered, and what says nothing of it."""

from __future__ import annotations

import pytest

from hub.unify.domains import business_domain, plain_name, registered_domain, shared_providers


@pytest.mark.parametrize(
    ("written", "registered"),
    [
        ("birch.example", "birch.example"),
        ("shop.birch.example", "birch.example"),
        ("HTTPS://www.Birch.example:8080/about?x=1#top", "birch.example"),
        ("birch.example?utm=1", "birch.example"),
        ("//birch.example/", "birch.example"),
        ("mia@mail.birch.example", "birch.example"),
        ("birch.example.", "birch.example"),
        ("  birch.example ", "birch.example"),
        ("a.b.birch.co.uk", "birch.co.uk"),
        ("birch.com.au", "birch.com.au"),
    ],
)
def test_the_registered_domain_is_found_in_a_host_an_address_or_a_mailbox(
    written: str, registered: str
) -> None:
    assert registered_domain(written) == registered


@pytest.mark.parametrize(
    "written",
    ["", "birch", "co.uk", "com", "birch example", "n/a", "192.168.0.1", "http://10.0.0.1/x",
     "[::1]", "a.example,b.example", "-", "..", "@", "birch..example"],
)  # fmt: skip
def test_what_is_no_domain_is_none(written: str) -> None:
    assert registered_domain(written) is None


def test_a_domain_in_another_script_is_the_same_as_its_punycode() -> None:
    assert registered_domain("Bücher.example") == "xn--bcher-kva.example"
    assert registered_domain("shop.xn--bcher-kva.example") == "xn--bcher-kva.example"
    assert registered_domain("bu\u0308cher.example") == "xn--bcher-kva.example"


def test_r22_a_look_alike_in_another_script_is_another_domain() -> None:
    assert registered_domain("bіrch.example") != registered_domain("birch.example")


def test_r22_a_sharp_s_is_not_two_s() -> None:
    """The old rule wrote ß as ss; the two are different domains since 2010."""
    assert registered_domain("straße.example") != "strasse.example"


@pytest.mark.parametrize("host", ["ash.myshopify.com", "ash.github.io", "ash.blogspot.com"])
def test_r22_a_site_on_a_platform_is_its_own_domain(host: str) -> None:
    assert registered_domain(host) == host


def test_r22_the_platform_itself_is_nobodys_domain() -> None:
    assert registered_domain("myshopify.com") is None


@pytest.mark.parametrize(
    "written",
    ["gmail.com", "mia@googlemail.com", "x@mail.yahoo.co.uk", "facebook.com/birch",
     "https://www.linkedin.com/company/birch", "instagram.com/birch", "linktr.ee/birch"],
)  # fmt: skip
def test_r22_an_address_where_anybody_can_be_is_no_business_domain(written: str) -> None:
    assert business_domain(written) is None


def test_a_team_may_name_more_shared_domains() -> None:
    assert business_domain("mia@mail.example", frozenset({"mail.example"})) is None
    assert business_domain("mia@mail.example") == "mail.example"


def test_every_listed_provider_is_written_as_it_is_compared() -> None:
    assert {registered_domain(one) for one in shared_providers()} == shared_providers()


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Birch & Vale GmbH", "birch and vale"),
        ("BIRCH AND VALE, Inc.", "birch and vale"),
        ("Café Société S.A.", "cafe societe"),
        ("Thistle B.V.", "thistle"),
        ("Carver Sp. z o.o. (PL)", "carver"),
        ("Straße AG", "strasse"),
        ("北京科技", "北京科技"),
        ("GmbH", ""),
        (None, ""),
    ],
)
def test_names_are_compared_without_case_accents_and_legal_form(
    written: str | None, plain: str
) -> None:
    assert plain_name(written) == plain
