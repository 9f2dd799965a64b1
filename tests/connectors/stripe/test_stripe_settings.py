"""What an admin may fill in."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from connectors.stripe import StripeSettings


@pytest.mark.parametrize("key", ["rk_live_abc", "rk_test_abc", "sk_live_abc"])
def test_restricted_and_secret_keys_are_taken(key: str):
    settings = StripeSettings(key=key)

    assert settings.version == "2026-10-28.endive"
    assert settings.is_live == ("_live_" in key)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("pk_live_abc", "publishable key"), ("whsec_abc", "not a Stripe API key")],
)
def test_a_wrong_kind_of_key_is_refused_at_once_and_not_shown(key: str, sentence: str):
    with pytest.raises(ValidationError, match=sentence) as refused:
        StripeSettings(key=key)

    assert key not in str(refused.value)
