"""What an admin fills in for one HubSpot account, and where HubSpot shows it."""

from __future__ import annotations

from pydantic import ConfigDict, Field, SecretStr

from hub import Settings

VERSION = "2026-03"
"""The API version that the connector was written against; HubSpot supports each for 18 months."""


class HubSpotSettings(Settings):
    """One HubSpot account, reached with a service key or the token of a private app."""

    # Without this a wrong token would be printed in the error about it.
    model_config = ConfigDict(hide_input_in_errors=True)

    token: SecretStr = Field(
        min_length=1,
        description="A service key (pat-…). HubSpot: Development, Keys, Service keys, Create. The"
        " access token of an existing private app works too, until September 2027.",
    )
    version: str = Field(
        default=VERSION,
        pattern=r"^(v\d+|\d{4}-\d{2})$",
        description="The dated API version, for example 2026-03 or 2026-09.",
    )
    calls_per_10s: int = Field(
        default=100,
        ge=1,
        description="What HubSpot allows this token in ten seconds: 100 on Free and Starter, 190 on"
        " Professional and Enterprise, 250 with the limit increase.",
    )
