"""What the admin fills in for a database that holds product usage."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hub import Settings


class Columns(BaseModel):
    """Which column of the query is what. `day`, `event` and `count` must be there.

    Of the others, one that the admin names must be there; one left at its own name may be missing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: str = "day"
    event: str = "event"
    count: str = "count"
    person: str = "person"
    domain: str = "domain"
    account_id: str = "account_id"
    crm_id: str = "crm_id"

    @property
    def needed(self) -> set[str]:
        """The columns without which the query is of no use."""
        return {
            column
            for ours, column in self
            if ours in ("day", "event", "count") or ours in self.model_fields_set
        }


class SqlSettings(Settings):
    """`url` is an SQLAlchemy URL with its driver, such as `postgresql+psycopg://reader@host/db`.

    `query` is one SELECT; the hub pages through it by `cursor` (a column that grows when a row is
    written) and `key` (the row's id), and looks back `lag_s` for rows that became visible late.
    `zone` is the time zone of a cursor without one. `crm` names the vendor whose record id stands
    in the column `crm_id`. `account` names the source; it is the database's name by itself.
    """

    url: SecretStr
    query: str = Field(default="SELECT * FROM usage_days", max_length=20_000)
    key: str = Field(default="id", min_length=1)
    cursor: str = Field(default="updated_at", min_length=1)
    columns: Columns = Columns()
    crm: str | None = None
    account: str | None = None
    page_rows: int = Field(default=1000, ge=1, le=50_000)
    max_rows: int = Field(default=5_000_000, ge=1)
    statement_timeout_s: int = Field(default=60, ge=1, le=3600)
    lag_s: int = Field(default=300, ge=0, le=7 * 86_400)
    zone: ZoneInfo = ZoneInfo("UTC")
