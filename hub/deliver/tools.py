"""The tools of one run: signed in, proved to be the account they always were, and read back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias, TypeVar

from pydantic import BaseModel
from sqlalchemy import Connection as Reading
from sqlalchemy import select

from ..config import Config, Connection
from ..connector import Connector, Observed, Receipt, Writer
from ..env import Env
from ..errors import HubError, PluginError, ReconnectNeeded, RetryLater, ScopeMissing
from ..log import logger
from ..store import Database, table_of, upsert
from ..store.tables import ConnectionState, ObservedField
from .items import Item, VendorAccount
from .ledger import held_by_another

log = logger("deliver")

READ_TOGETHER = 100
"""How many ids one read-back takes."""

NOT_SENT = (ReconnectNeeded, ScopeMissing, RetryLater)
"""Troubles of the connection: nothing was written, and the next call would fail too."""

Progress: TypeAlias = Callable[[str, int], None]
"""Called with a connection and how many of its items are planned or done so far."""

T = TypeVar("T")


class Tool:
    """One connection that may be read back and written to."""

    def __init__(
        self,
        connection: Connection,
        connector: Connector[Any],
        account: str,
        database: Database,
        env: Env,
    ) -> None:
        self.connection, self.connector, self.account = connection, connector, account
        self.database, self.env = database, env

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.connection.name

    @property
    def vendor_account(self) -> VendorAccount:
        """The vendor account behind it, which stays when the connection gets another name."""
        return self.connector.name, self.account

    def writer(self, action: type[BaseModel], on: str | None = None) -> Writer | None:
        """How an action is written, on an object if one is named; None when it is not."""
        writer = self.connector.writers.get(action)
        if writer is None or (on is not None and writer.on and on not in writer.on):
            return None
        return writer

    def reads_back(self, what: str) -> bool:
        """Whether the connector can say what stands there."""
        return what in self.connector.observers

    def observe(self, what: str, ids: Iterable[str]) -> dict[str, Observed]:
        """What each id says now, kept in `observed` too. An id that is not answered is not there.

        Raises PluginError when the connector cannot read this back.
        """
        method = self.connector.observers.get(what)
        if method is None:
            raise PluginError(
                f"{self.connector.title} is written to but {what} cannot be read back",
                where=self.name,
                do=f'Add a method marked @observes("{what}")',
            )
        wanted, found = list(dict.fromkeys(ids)), dict[str, Observed]()
        for some in batches(wanted, READ_TOGETHER):
            found |= self._answered(method, some)
        self._keep(what, found)
        return {one: found.get(one) or Observed(one, {}, exists=False) for one in wanted}

    def _answered(self, method: str, ids: Sequence[str]) -> dict[str, Observed]:
        read = getattr(self.connector, method)
        answered: list[Observed] = self.guarded(lambda: list(read(ids)))
        return {one.id: one for one in answered}

    def find(self, item: Item) -> Receipt | None:
        """What an item would make, if it stands near its target already.

        A task may hang on several records: one that another account's problem holds is not meant.
        """
        writer = self.writer(type(item.action), item.target.object)
        if writer is None or writer.find is None:
            return None
        look = writer.find
        found = self.guarded(lambda: look(self.connector, item.action))
        if found is None:
            return None
        with self.database.read() as reading:
            is_ours = not held_by_another(reading, item, found.id)
        return found if is_ours else None

    def guarded(self, work: Callable[[], T]) -> T:
        """What `work` returns; a fault of the connector's own becomes a PluginError."""
        try:
            return work()
        except HubError:
            raise
        except Exception as fault:
            log.exception("deliver.plugin_failed", connection=self.name)
            raise PluginError(
                f"the connector {self.connector.name} failed ({type(fault).__name__})",
                where=self.name,
                do="Run again with HUB_LOG=debug and report it to the plugin's author",
            ) from fault

    def _keep(self, what: str, found: Mapping[str, Observed]) -> None:
        now = self.env.now()
        rows = [
            {
                "vendor": self.connector.name,
                "vendor_account": self.account,
                "object": what,
                "record_id": key,
                "field": name,
                "value": value,
                "vendor_at": one.changed_at,
                "read_at": now,
            }
            for key, one in found.items()
            for name, value in one.values.items()
        ]
        for some in batches(rows, 2000):
            with self.database.write() as writing:
                upsert(writing, ObservedField, some)


class Tools:
    """Opens each connection at its first use, tells its trouble every time, closes all at the end.

    Threads may share it as long as each connection is used by one of them.
    """

    def __init__(self, config: Config, database: Database, env: Env) -> None:
        self.config, self.database, self.env = config, database, env
        self._opened: dict[str, Tool | HubError] = {}
        self._connectors: list[Connector[Any]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connector in self._connectors:
            connector.close()

    def open(self, name: str) -> Tool:
        """The connection's tool; raises the HubError that keeps it from being used."""
        found = self._opened.get(name)
        if found is None:
            try:
                found = self._open(self.config.connections[name])
            except HubError as trouble:
                found = trouble
            with self._lock:
                self._opened[name] = found
        if isinstance(found, HubError):
            raise found
        return found

    def _open(self, connection: Connection) -> Tool:
        connector = connection.build(self.env)
        with self._lock:
            self._connectors.append(connector)
        tool = Tool(connection, connector, "", self.database, self.env)
        checked = tool.guarded(connector.check)
        tool.account = self._proved(connection, checked.account or connection.account)
        return tool

    def _proved(self, connection: Connection, account: str | None) -> str:
        """The vendor account, which must be the one that the connection's rows came from."""
        states = table_of(ConnectionState)
        with self.database.read() as reading:
            known = reading.execute(
                select(states.c.vendor_account).where(states.c.connection == connection.name)
            ).scalar()
        if account is None or (known is not None and known != account):
            raise HubError(
                f"the credentials belong to account {account or 'nobody can say which'},"
                f" but this connection is {known or 'not read yet'}; nothing was written",
                where=connection.name,
                do="Use credentials of that account, or make a new connection for the other one",
                code="WRONG_ACCOUNT",
            )
        return account


def homes(reading: Reading, config: Config) -> dict[VendorAccount, str]:
    """The connection that reaches each vendor account today: a connection's name is a label."""
    states = table_of(ConnectionState)
    rows = reading.execute(select(states.c.vendor, states.c.vendor_account, states.c.connection))
    return {(vendor, account): name for vendor, account, name in rows if name in config.connections}


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
