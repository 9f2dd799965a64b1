"""Signing in to HubSpot: what the check proves, and what it says about a bad token."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from connectors.hubspot import HubSpot, HubSpotSettings
from connectors.hubspot.sandbox import HubSpotSandbox
from hub import ReconnectNeeded
from hub.testing.faults import Fault

Connect = Callable[..., HubSpot]


def test_a_good_token_proves_its_account_and_every_read_scope_T1(hubspot: HubSpot):
    checked = hubspot.check()

    assert checked.account == "62000007"
    assert checked.missing == []
    assert "crm.objects.companies.write" in checked.unprovable


@pytest.mark.parametrize(
    "scope",
    [
        "crm.objects.companies.read",
        "crm.objects.contacts.read",
        "crm.objects.deals.read",
        "crm.objects.owners.read",
        "crm.schemas.companies.read",
    ],
)
def test_a_missing_scope_is_named_as_hubspot_names_it_T1(
    box: HubSpotSandbox, connect: Connect, scope: str
):
    box.lacks = [scope]

    checked = connect(f"{box.token}_noscope").check()

    assert checked.missing == [scope]
    assert checked.account == "62000007"


@pytest.mark.parametrize("token", ["{good}_revoked", "{good}_expired", "pat-eu1-somebody-elses"])
def test_a_token_that_is_not_accepted_asks_for_a_new_sign_in(
    box: HubSpotSandbox, connect: Connect, token: str
):
    hubspot = connect(token.format(good=box.token))

    with pytest.raises(ReconnectNeeded, match="hubspot-eu"):
        hubspot.check()


def test_a_token_that_may_not_see_its_account_leaves_it_to_the_file(
    box: HubSpotSandbox, hubspot: HubSpot
):
    box.faults.add(Fault("forbidden", path=r"^/account-info/", times=None))

    checked = hubspot.check()

    assert checked.account is None
    assert "account:" in checked.notes[0]


def test_checking_writes_nothing(box: HubSpotSandbox, hubspot: HubSpot):
    hubspot.check()

    assert box.writes() == []


def test_every_call_goes_to_the_version_of_the_connection(box: HubSpotSandbox, connect: Connect):
    connect(version="2026-09").check()

    assert all("/2026-09" in call.path for call in box.calls)


def test_a_wrong_setting_is_refused_without_showing_the_token():
    with pytest.raises(ValidationError) as caught:
        HubSpotSettings.model_validate({"token": "pat-eu1-secret", "version": "newest"})

    assert "pat-eu1-secret" not in str(caught.value)
