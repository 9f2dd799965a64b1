"""Signing in to Zendesk: what the check proves, and what it says about bad credentials."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from connectors.zendesk import Zendesk, ZendeskSettings
from connectors.zendesk.sandbox import ZendeskSandbox
from hub import ReconnectNeeded
from hub.testing.faults import Fault

Connect = Callable[..., Zendesk]


def sign_ins(box: ZendeskSandbox) -> int:
    return sum(call.path == "/oauth/tokens" for call in box.calls)


def test_an_oauth_client_proves_its_account_and_every_read_scope_T1(
    box: ZendeskSandbox, zendesk: Zendesk
):
    checked = zendesk.check()

    assert checked.account == box.subdomain
    assert checked.says.endswith("as admin")
    assert (checked.missing, checked.notes) == ([], [])
    assert checked.unprovable == ("organizations:write",)


def test_an_api_token_works_and_is_told_when_it_will_stop_T1(box: ZendeskSandbox, connect: Connect):
    checked = connect(email=box.email, api_token=box.token).check()

    assert (checked.account, checked.missing) == (box.subdomain, [])
    assert "2027-04-30" in checked.notes[0]
    assert sign_ins(box) == 0


@pytest.mark.parametrize("bad", ["revoked", "expired"])
def test_credentials_that_are_not_accepted_ask_for_a_new_sign_in(
    box: ZendeskSandbox, connect: Connect, bad: str
):
    for ways in (
        {"email": box.email, "api_token": f"{box.token}_{bad}"},
        {"client_secret": f"{box.client_secret}_{bad}"},
        {"client_id": "somebody_elses"},
    ):
        with pytest.raises(ReconnectNeeded, match="zendesk-main"):
            connect(**ways).check()


def test_a_caller_whom_zendesk_does_not_know_is_not_taken_for_signed_in(
    zendesk: Zendesk, monkeypatch: pytest.MonkeyPatch
):
    nobody = {"user": {"id": None, "name": "Anonymous user", "role": "end-user"}}
    monkeypatch.setattr(zendesk.http, "get", lambda path, **params: nobody)

    with pytest.raises(ReconnectNeeded, match="does not know"):
        zendesk.check()


@pytest.mark.parametrize("way", ["client", "token"])
def test_an_agent_who_is_no_admin_is_told_so_T1(box: ZendeskSandbox, connect: Connect, way: str):
    ways: dict[str, dict[str, object]] = {
        "client": {"client_secret": f"{box.client_secret}_noscope"},
        "token": {"email": box.email, "api_token": f"{box.token}_noscope"},
    }

    checked = connect(**ways[way]).check()

    assert checked.missing == ["admin role"]


@pytest.mark.parametrize("scope", ["organizations:read", "users:read", "tickets:read"])
def test_a_missing_scope_is_named_as_zendesk_names_it_T1(
    box: ZendeskSandbox, connect: Connect, scope: str
):
    box.lacks = [scope]

    checked = connect(client_secret=f"{box.client_secret}_noscope").check()

    assert checked.missing == [scope]


def test_an_oauth_client_without_a_scope_misses_what_it_did_not_ask_for(connect: Connect):
    checked = connect(scope="tickets:read users:read").check()

    assert checked.missing == ["organizations:read"]


def test_without_the_right_to_read_users_the_role_stays_open(box: ZendeskSandbox, zendesk: Zendesk):
    box.faults.add(Fault("forbidden", path=r"/users/me$", times=None))

    checked = zendesk.check()

    assert "admin role" not in checked.missing
    assert checked.account == box.subdomain


def test_checking_writes_nothing_and_exports_nothing(box: ZendeskSandbox, zendesk: Zendesk):
    zendesk.check()

    assert box.writes() == []
    assert not any("/incremental/" in call.path for call in box.calls)


def test_an_access_token_is_renewed_before_it_ends(box: ZendeskSandbox, zendesk: Zendesk, clock):
    zendesk.check()
    clock.sleep(29.5 * 60)

    zendesk.check()

    assert sign_ins(box) == 2
    assert all(call.status < 400 for call in box.calls)


def test_each_sign_in_asks_for_a_token_that_ends(box: ZendeskSandbox, zendesk: Zendesk):
    zendesk.check()

    [asked] = [parse_qs(c.body.decode()) for c in box.calls if c.path == "/oauth/tokens"]
    assert asked["expires_in"] == ["1800"]
    assert asked["scope"] == ["read organizations:write"]


def test_an_access_token_that_zendesk_took_back_is_replaced_once(
    box: ZendeskSandbox, zendesk: Zendesk
):
    zendesk.check()
    box.tokens.clear()

    zendesk.check()

    assert sign_ins(box) == 2


def settings(**given: object) -> ZendeskSettings:
    return ZendeskSettings.model_validate({"subdomain": "northwind", **given})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"client_id": "hub"},
        {"email": "hub@northwind.example"},
        {"client_id": "hub", "api_token": "t"},
        {"client_id": "hub", "client_secret": "s", "email": "h@n.example", "api_token": "t"},
        {"client_id": "hub", "client_secret": "s", "email": "h@n.example"},
    ],
)
def test_exactly_one_way_in_is_wanted_in_one_sentence(given: dict[str, object]):
    with pytest.raises(ValidationError, match="either client_id and client_secret, or email"):
        settings(**given)


@pytest.mark.parametrize(
    "subdomain", ["north.wind", "Northwind", "-north", "north-", "a/b", "x@y", "", "north\n"]
)
def test_a_subdomain_that_could_change_the_host_is_refused(subdomain: str):
    with pytest.raises(ValidationError) as caught:
        settings(subdomain=subdomain, client_id="hub", client_secret="zd-secret-9")

    assert "zd-secret-9" not in str(caught.value)


def test_the_stand_ins_own_file_signs_in_and_says_whose_the_external_ids_are(
    box: ZendeskSandbox, connect: Connect
):
    written = box.connection_file()["settings"]

    filled = {k: box.secrets().get(str(v).removeprefix("env:"), v) for k, v in written.items()}

    assert connect(**filled).check().account == box.subdomain
    assert filled["external_id_is"] == "hubspot"
    assert isinstance(box.clock(), datetime)
