"""A database that the team already has, for the hub: product usage in, nothing out."""

from __future__ import annotations

from functools import cached_property

from hub import Checked, Connector, Register, hookimpl

from .client import Database
from .settings import SqlSettings
from .streams import Reads


class Sql(Reads, Connector[SqlSettings]):
    """One read-only query over any database that SQLAlchemy knows."""

    name = "sql"
    title = "SQL query"

    @cached_property
    def database(self) -> Database:  # type: ignore[override]
        """The database, opened at first use."""
        return Database(self.settings, where=self.connection)

    def check(self) -> Checked:
        """Prove that the query reads, and that its user cannot write."""
        self.database.refuse_a_writer()
        rows = self._select({}, 1)
        url = self.database.url
        account = self.settings.account or url.database or url.host or "database"
        seen = "the query answers" if rows else "the query answers, with no rows yet"
        return Checked(account=account.rsplit("/", 1)[-1], says=f"{url.get_backend_name()}: {seen}")

    def close(self) -> None:
        """Give back the connections."""
        if "database" in self.__dict__:
            self.database.close()


@hookimpl
def register_connectors(register: Register) -> None:
    """Bring the connector."""
    register(Sql)
