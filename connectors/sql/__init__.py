"""A database that the team already has, for the hub: product usage in, nothing out."""

from __future__ import annotations

from functools import cached_property

from hub import Checked, Connector, Register, hookimpl

from .client import Database
from .keyset import Keyset
from .readonly import open_schemas
from .settings import Columns, SqlSettings
from .streams import Reads


class Sql(Reads, Connector[SqlSettings]):
    """One query, read only, over any database that SQLAlchemy knows."""

    name = "sql"
    title = "SQL query"

    @cached_property
    def database(self) -> Database:  # type: ignore[override]
        """The database, opened at first use."""
        return Database(self.settings, where=self.connection, monotonic=self.env.monotonic)

    def check(self) -> Checked:
        """Prove that the query answers in the hub's order, and that its user cannot write."""
        keyset = Keyset(self.database, extra=self.custom_fields("usage"))
        answered = bool(keyset.sample and keyset.columns)
        database, is_known = self.database, self.database.backend in ("sqlite", "postgresql")
        return Checked(
            account=database.account,
            says=f"{database.backend}: read only, "
            + ("the query answers" if answered else "the query answers with no rows yet"),
            unprovable=() if is_known else ("that the database user cannot write",),
            notes=self._notes(keyset),
        )

    def _notes(self, keyset: Keyset) -> list[str]:
        notes = []
        if self.settings.columns.crm_id in keyset.columns and self.settings.crm is None:
            notes.append("Rows have a crm_id, which needs crm: (the vendor that it points to)")
        if self.database.backend == "postgresql":
            with self.database.reading() as connection:
                schemas = ", ".join(open_schemas(connection))
            if schemas:
                notes.append(
                    f"The user may make tables in {schemas}:"
                    f" REVOKE CREATE ON SCHEMA {schemas} FROM PUBLIC"
                )
        return notes

    def close(self) -> None:
        """Give back the connections."""
        if "database" in self.__dict__:
            self.database.close()


@hookimpl
def register_connectors(register: Register) -> None:
    """Bring the connector."""
    register(Sql)


__all__ = ["Columns", "Sql", "SqlSettings"]
