"""What an admin fills in for one Stripe account, and where Stripe shows it."""

from __future__ import annotations

from pydantic import ConfigDict, Field, SecretStr, field_validator

from hub import Settings

VERSION = "2026-10-28.endive"
"""The API version that the mapping was written against."""


class StripeSettings(Settings):
    """One Stripe account in one mode: a live key sees live data, a test key test data."""

    # Without this a wrong key would be printed in the error about it.
    model_config = ConfigDict(hide_input_in_errors=True)

    key: SecretStr = Field(
        description="A restricted key (rk_live_…). Stripe Dashboard: Developers, API keys,"
        " Create restricted key. A secret key (sk_…) works too but may do far more than needed."
    )
    version: str = Field(
        default=VERSION,
        description="Sent as Stripe-Version, so that answers keep their shape when the account's"
        " own default version changes. Leave it alone unless Stripe retires this version.",
    )

    @field_validator("key")
    @classmethod
    def _secret_kind(cls, key: SecretStr) -> SecretStr:
        kind = key.get_secret_value().partition("_")[0]
        if kind == "pk":
            raise ValueError(
                "this is a publishable key (pk_…), which cannot read anything; make a restricted"
                " key (rk_…) under Developers, API keys"
            )
        if kind not in ("rk", "sk"):
            raise ValueError("this is not a Stripe API key: one begins with rk_ or sk_")
        return key

    @property
    def is_live(self) -> bool:
        """Whether the key reads real money; Stripe writes the mode into the key."""
        return "_test_" not in self.key.get_secret_value()
