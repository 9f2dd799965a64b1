"""What an admin fills in for one Zendesk account, and where Zendesk shows it."""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field, SecretStr, model_validator

from hub import Settings


class ZendeskSettings(Settings):
    """One Zendesk account, reached with an OAuth client or, until April 2027, an API token."""

    # Without this a wrong secret would be printed in the error about it.
    model_config = ConfigDict(hide_input_in_errors=True)

    subdomain: str = Field(
        # It becomes a part of a host name, so nothing else may be in it.
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="The part before .zendesk.com in the address of your Zendesk.",
    )
    client_id: str | None = Field(
        default=None,
        min_length=1,
        description="The identifier of an OAuth client. Admin Center: Apps and integrations, APIs,"
        " OAuth clients, Add OAuth client (kind: confidential).",
    )
    client_secret: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="The secret that Zendesk shows once when the OAuth client is saved.",
    )
    scope: str = Field(
        default="read organizations:write",
        min_length=1,
        description="What the OAuth client asks for. `read` alone is enough when nothing is"
        " written.",
    )
    email: str | None = Field(
        default=None,
        min_length=3,
        description="The address of the admin in whose name an API token is used.",
    )
    api_token: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="An API token made before October 2026. All API tokens stop on 2027-04-30.",
    )
    external_id_is: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Whose ids your team keeps in the external id of organizations, for example"
        " hubspot or stripe. Left away, the external id says nothing.",
    )
    calls_per_min: int = Field(
        default=400,
        ge=1,
        description="What Zendesk allows this account in a minute: 200 on Team, 400 on Growth and"
        " Professional, 700 on Enterprise, 2500 with the High Volume add-on.",
    )
    incremental_calls_per_min: int = Field(
        default=10,
        ge=1,
        description="How many of those may be incremental exports: 10, or 30 with High Volume. All"
        " tools that export from the account share them.",
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        client = (self.client_id, self.client_secret)
        token = (self.email, self.api_token)
        is_client, is_token = None not in client, None not in token
        has_both = any(client) and any(token)
        if is_client == is_token or has_both:
            raise ValueError(
                "give either client_id and client_secret, or email and api_token, and not both"
            )
        return self

    @property
    def uses_api_token(self) -> bool:
        """Whether the connection signs in the way that Zendesk switches off."""
        return self.api_token is not None
