"""The store: tables, transactions and bulk writes on SQLite and PostgreSQL."""

from .bulk import insert, table_of, upsert
from .canonical import canonical, digest, storable
from .database import Database, as_dicts, open_database, sqlite_url

__all__ = [
    "Database",
    "as_dicts",
    "canonical",
    "digest",
    "insert",
    "open_database",
    "sqlite_url",
    "storable",
    "table_of",
    "upsert",
]
