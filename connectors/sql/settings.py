"""What the admin fills in for a database that holds product usage."""

from __future__ import annotations

from pydantic import Field, SecretStr

from hub import Settings

COLUMNS = {
    "day": "day",
    "event": "event",
    "count": "count",
    "person": "person",
    "domain": "domain",
    "crm_id": "crm_id",
}


class SqlSettings(Settings):
    """`url` is an SQLAlchemy URL with its driver, such as `postgresql+psycopg://reader@host/db`.

    `query` is one SELECT; the hub pages through it by `cursor` (a column that grows when a row is
    written) and `key` (the row's id). `columns` says which of the query's columns is what; `crm`
    names the vendor whose record id stands in `crm_id`. `account` names the source where several
    databases are read.
    """

    url: SecretStr
    query: str = "SELECT * FROM usage_days"
    key: str = "id"
    cursor: str = "updated_at"
    columns: dict[str, str] = Field(default_factory=lambda: dict(COLUMNS))
    crm: str | None = None
    account: str | None = None
    page_rows: int = Field(default=1000, ge=1, le=50_000)
    statement_timeout_s: int = Field(default=60, ge=1, le=3600)
