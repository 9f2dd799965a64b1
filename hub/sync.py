"""sync: vendors → rows. One page, its checkpoint and its counters in one transaction.

Sync keeps what a stream declares and drops the rest; it never maps. The count equation of every
stream and run holds: read = new + changed + same + set aside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select, update

from .config import Config, Connection
from .connector import Changes, Connector, Page, Position, Row, Rows, Stream
from .env import Env
from .errors import FeedExpired, HubError, PluginError, ReconnectNeeded
from .log import logger
from .store import Database, table_of, upsert
from .store.progress import (
    begin_run,
    end_run,
    forget_checkpoint,
    load_checkpoint,
    record_stream,
    store_checkpoint,
)
from .store.rows import Counts, Paths, Source, mark_gone, paths_of, store_rows
from .store.tables import ConnectionState
from .sweep import is_due, sweep

log = logger("sync")

OVERLAP = timedelta(minutes=5)
"""How far behind its cursor a simple stream reads again: vendors show changes late."""

Progress = Callable[[str, str, Counts], None]
"""Called after each page with connection, stream and the stream's counts so far."""


@dataclass
class StreamOutcome:
    """How one stream of one connection went; `stream` "*" is the connection itself."""

    connection: str
    stream: str
    counts: Counts = field(default_factory=Counts)
    problem: HubError | None = None
    seconds: float = 0.0


@dataclass
class Synced:
    """What a sync run did: one outcome a stream, in the order of the config."""

    run: int
    outcomes: list[StreamOutcome]
    interrupted: bool = False

    @property
    def problems(self) -> list[StreamOutcome]:
        """The streams that did not come to their end."""
        return [outcome for outcome in self.outcomes if outcome.problem is not None]

    @property
    def result(self) -> str:
        """done, partly or failed."""
        if len(self.problems) == len(self.outcomes) and self.problems:
            return "failed"
        aside = any(outcome.counts.aside for outcome in self.outcomes)
        return "partly" if self.problems or aside or self.interrupted else "done"


def sync(
    config: Config,
    database: Database,
    env: Env,
    *,
    only: Sequence[str] = (),
    accept_gone: Collection[str] = (),
    progress: Progress = lambda connection, stream, counts: None,
) -> Synced:
    """Read what is new from every connection (or those named), each in a thread of its own.

    `accept_gone` names streams of which a person says that many records really were deleted. A
    broken connection or stream does not stop the others. On Ctrl-C every stream ends at its page
    boundary, so the next run goes on from there.
    """
    run = begin_run(database, "sync", now=env.now(), versions={"config": config.digest})
    stop = threading.Event()
    readers = [
        _ConnectionReader(connection, database, env, run, progress, stop, accept_gone)
        for name, connection in config.connections.items()
        if not only or name in only
    ]
    outcomes, interrupted = _read_all(readers, stop)
    synced = Synced(run, outcomes, interrupted)
    end_run(
        database,
        run,
        now=env.now(),
        result=synced.result,
        counts={"rows": sum(outcome.counts.read for outcome in outcomes)},
    )
    return synced


def _read_all(
    readers: Sequence[_ConnectionReader], stop: threading.Event
) -> tuple[list[StreamOutcome], bool]:
    interrupted = False
    with ThreadPoolExecutor(max_workers=max(1, len(readers))) as pool:
        futures = [pool.submit(reader.read) for reader in readers]
        for future in futures:
            try:
                future.result()
            except KeyboardInterrupt:
                interrupted = True
                stop.set()
    return [outcome for reader in readers for outcome in reader.outcomes], interrupted


class _Stopped(Exception):
    pass


class _ConnectionReader:
    """Reads one connection: its sign-in, its feeds, its streams."""

    def __init__(
        self,
        connection: Connection,
        database: Database,
        env: Env,
        run: int,
        progress: Progress,
        stop: threading.Event,
        accept_gone: Collection[str],
    ) -> None:
        self.connection = connection
        self.database = database
        self.env = env
        self.run = run
        self.progress = progress
        self.stop = stop
        self.accept_gone = accept_gone
        self.outcomes: list[StreamOutcome] = []

    def read(self) -> None:
        """Read everything; problems end up in `outcomes`, never as an exception."""
        try:
            connector = self.connection.build(self.env)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is named
            self._note(StreamOutcome(self.connection.name, "*", problem=self._named(error, "*")))
            return
        try:
            self._read_with(connector)
        except (_Stopped, KeyboardInterrupt):
            self.stop.set()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is named
            self._note(StreamOutcome(self.connection.name, "*", problem=self._named(error, "*")))
        finally:
            connector.close()

    def _read_with(self, connector: Connector[Any]) -> None:
        checked = connector.check()
        source = signed_in(self.database, self.connection, checked.account, now=self.env.now())
        by_feed = {name for feed in connector.feeds.values() for name in feed.streams}
        for name in connector.feeds:
            self._attempt(name, partial(self._read_feed, connector, source, name))
        for name in connector.streams:
            if name not in by_feed and name not in self.connection.off:
                work = partial(self._read_stream, connector, source, connector.streams[name])
                self._attempt(name, work)

    def _attempt(self, name: str, work: Callable[[], None]) -> None:
        """Run one stream; its own trouble stays its own, a lost sign-in ends the connection."""
        try:
            work()
        except (_Stopped, KeyboardInterrupt, ReconnectNeeded):
            raise
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is named
            self._note_problem(name, self._named(error, name))

    def _named(self, error: Exception, stream: str) -> HubError:
        """The trouble in the hub's words; a connector's own fault names the connector."""
        if isinstance(error, HubError):
            return error
        log.exception("sync.plugin_failed", connection=self.connection.name, stream=stream)
        doing = "signing in" if stream == "*" else f"reading {stream}"
        return PluginError(
            f"the connector {self.connection.connector} failed while {doing}"
            f" ({type(error).__name__})",
            where=self.connection.name,
            do="Run again with HUB_LOG=debug and report it to the plugin's author",
        )

    # --- one stream ---------------------------------------------------------------------------

    def _read_stream(self, connector: Connector[Any], source: Source, stream: Stream) -> None:
        outcome = self._outcome(stream.name)
        started, began = self.env.now(), self.env.monotonic()
        with self.database.read() as reading:
            stored = load_checkpoint(reading, source.connection, stream.name)
        position = stored["position"] if stored else None
        if position is None:
            position = Position.backfill(started - self.connection.backfill)
        paths = self._paths(stream)
        for page in _pages(connector, stream, position):
            self._store_page(source, stream, page, paths, outcome, began)
        with self.database.write() as writing:
            store_checkpoint(writing, source.connection, stream.name, now=started, fresh_at=started)
        self._sweep(connector, source, stream, outcome)
        self._finished(outcome)

    def _sweep(
        self,
        connector: Connector[Any],
        source: Source,
        stream: Stream,
        outcome: StreamOutcome,
    ) -> None:
        """Once a day, find what was deleted at the vendor."""
        accepted = stream.name in self.accept_gone
        now = self.env.now()
        if not accepted and not is_due(self.database, source, stream, now):
            return
        gone = sweep(connector, self.database, source, stream, now=now, accepted=accepted)
        outcome.counts.gone += gone
        with self.database.write() as writing:
            self._record(writing, outcome)

    def _store_page(
        self,
        source: Source,
        stream: Stream,
        page: Page,
        paths: Paths | None,
        outcome: StreamOutcome,
        began: float,
    ) -> None:
        now = self.env.now()
        with self.database.write() as writing:
            counts = store_rows(writing, source, stream, page.rows, paths, run=self.run, now=now)
            vanished = [*page.gone, *page.merged]
            counts.gone = mark_gone(writing, source, stream.name, vanished, now=now)
            if page.at is not None or page.complete:
                store_checkpoint(
                    writing,
                    source.connection,
                    stream.name,
                    now=now,
                    position=page.at,
                    complete_at=now if page.complete else None,
                )
            outcome.counts.add(counts)
            outcome.seconds = self.env.monotonic() - began
            self._record(writing, outcome)
        self.progress(source.connection, stream.name, outcome.counts)
        if self.stop.is_set():
            raise _Stopped

    # --- a feed over several streams ----------------------------------------------------------

    def _read_feed(self, connector: Connector[Any], source: Source, name: str) -> None:
        """Follow the feed for streams that were read in full once; read the others in full.

        The feed's position is taken before a full read, so no change falls between.
        """
        streams = [s for s in connector.feeds[name].streams if s not in self.connection.off]
        waiting = self._never_complete(source, name, streams)
        following = [stream for stream in streams if stream not in waiting]
        if following:
            try:
                self._follow_feed(connector, source, name, following)
            except FeedExpired:
                log.warning("sync.feed_expired", connection=source.connection, feed=name)
                self._forget(source, (name, *streams))
                waiting = streams
        self._prime_feed(connector, source, name)
        for stream in waiting:
            work = partial(self._read_stream, connector, source, connector.streams[stream])
            self._attempt(stream, work)

    def _never_complete(self, source: Source, feed: str, streams: Sequence[str]) -> list[str]:
        with self.database.read() as reading:
            stored = {
                name: load_checkpoint(reading, source.connection, name) for name in (feed, *streams)
            }
        at = stored[feed]
        if at is None or at["position"] is None:
            return list(streams)
        return [name for name in streams if not (one := stored[name]) or not one["complete_at"]]

    def _forget(self, source: Source, names: Sequence[str]) -> None:
        with self.database.write() as writing:
            for name in names:
                forget_checkpoint(writing, source.connection, name)

    def _prime_feed(self, connector: Connector[Any], source: Source, name: str) -> None:
        """Store where the feed stands before the full read; an earlier position is kept."""
        with self.database.read() as reading:
            stored = load_checkpoint(reading, source.connection, name)
        if stored and stored["position"]:
            return
        first: Changes = next(iter(getattr(connector, name)(None)))
        with self.database.write() as writing:
            store_checkpoint(
                writing, source.connection, name, now=self.env.now(), position=first.at
            )

    def _follow_feed(
        self, connector: Connector[Any], source: Source, name: str, streams: Sequence[str]
    ) -> None:
        with self.database.read() as reading:
            stored = load_checkpoint(reading, source.connection, name)
        started, began = self.env.now(), self.env.monotonic()
        position = stored["position"] if stored else None
        for news in getattr(connector, name)(position):
            self._read_changed(connector, source, streams, news, began)
            with self.database.write() as writing:
                store_checkpoint(writing, source.connection, name, now=started, position=news.at)
        with self.database.write() as writing:
            for stream in (name, *streams):
                store_checkpoint(writing, source.connection, stream, now=started, fresh_at=started)
        for stream in streams:
            self._finished(self._outcome(stream))

    def _read_changed(
        self,
        connector: Connector[Any],
        source: Source,
        streams: Sequence[str],
        news: Changes,
        began: float,
    ) -> None:
        """Read again, by id, what the feed named; an id that no longer answers is gone."""
        for name in streams:
            ids = list(dict.fromkeys(key for stream, key in news.changed if stream == name))
            stream = connector.streams[name]
            for some in _chunks(ids, 100):
                rows = stream.read_by_ids(connector, some) if stream.read_by_ids else []
                found = {stream.id_of(row) for row in rows}
                gone = [key for key in some if key not in found]
                page = Page(rows=rows, gone=gone)
                self._store_page(
                    source, stream, page, self._paths(stream), self._outcome(name), began
                )

    # --- bookkeeping --------------------------------------------------------------------------

    def _paths(self, stream: Stream) -> Paths | None:
        return paths_of(
            stream,
            self.connection.keep.get(stream.name, ()),
            self.connection.fields.get(stream.name, {}).values(),
        )

    def _outcome(self, stream: str) -> StreamOutcome:
        for outcome in self.outcomes:
            if outcome.stream == stream:
                return outcome
        return self._note(StreamOutcome(self.connection.name, stream))

    def _note(self, outcome: StreamOutcome) -> StreamOutcome:
        self.outcomes.append(outcome)
        if outcome.problem is not None:
            self._write_problem(outcome)
        return outcome

    def _note_problem(self, stream: str, error: HubError) -> None:
        outcome = self._outcome(stream)
        outcome.problem = error
        self._write_problem(outcome)

    def _write_problem(self, outcome: StreamOutcome) -> None:
        log.warning(
            "sync.stopped",
            connection=outcome.connection,
            stream=outcome.stream,
            code=outcome.problem.code if outcome.problem else None,
        )
        with self.database.write() as writing:
            self._record(writing, outcome)

    def _record(self, writing: Any, outcome: StreamOutcome) -> None:
        record_stream(
            writing,
            self.run,
            outcome.connection,
            outcome.stream,
            outcome.counts,
            seconds=outcome.seconds,
            problem_code=outcome.problem.code if outcome.problem else None,
            problem=str(outcome.problem) if outcome.problem else None,
        )

    def _finished(self, outcome: StreamOutcome) -> None:
        log.info(
            "sync.finished",
            connection=outcome.connection,
            stream=outcome.stream,
            rows=outcome.counts.read,
            new=outcome.counts.new,
            changed=outcome.counts.changed,
            seconds=round(outcome.seconds, 1),
        )


def signed_in(
    database: Database, connection: Connection, account: str | None, *, now: datetime
) -> Source:
    """The source behind a connection, after proof that it is the account it always was.

    Raises HubError WRONG_ACCOUNT when the credentials belong to another vendor account, and
    ConfigError-like advice when the vendor does not say and the file does not either.
    """
    account = account or connection.account
    if account is None:
        raise HubError(
            "the key may not see which account it belongs to",
            where=f"{connection.file}",
            do="Write `account:` with the vendor's account id into the file",
            code="WRONG_ACCOUNT",
        )
    table = table_of(ConnectionState)
    with database.read() as reading:
        stored = reading.execute(
            select(table.c.vendor_account).where(table.c.connection == connection.name)
        ).scalar()
    expected = stored or connection.account
    if expected is not None and expected != account:
        raise HubError(
            f"the credentials belong to account {account}, but this connection is {expected}",
            where=connection.name,
            do="Use credentials of the same account, or make a new connection for the other one",
            code="WRONG_ACCOUNT",
        )
    row = {
        "connection": connection.name,
        "vendor": connection.connector,
        "vendor_account": account,
        "checked_at": now,
    }
    with database.write() as writing:
        upsert(writing, ConnectionState, [row])
        writing.execute(
            update(table)
            .where(table.c.connection == connection.name)
            .values(problem_code=None, problem=None)
        )
    return Source(connection.name, connection.connector, account)


def _pages(connector: Connector[Any], stream: Stream, position: Position | None) -> Iterator[Page]:
    """The pages of a stream in its full form, or of the simple form with a kept cursor."""
    if stream.cursor is None:
        yield from stream.read(connector, position)
        return
    since = _cursor_of(position)
    newest = since
    for rows in stream.read(connector, since - OVERLAP if since else None):
        newest = max(
            filter(None, (newest, *(_instant(row, stream.cursor) for row in rows))), default=None
        )
        yield Page(rows, at=_position(newest) if stream.ordered else None)
    yield Page((), at=_position(newest), complete=since is None)


def _cursor_of(position: Position | None) -> datetime | None:
    if position is None:
        return None
    text = position.state.get("cursor")
    return datetime.fromisoformat(text) if isinstance(text, str) else position.since


def _position(cursor: datetime | None) -> Position | None:
    return Position(state={"cursor": cursor.isoformat()}) if cursor else None


_INSTANT: TypeAdapter[datetime] = TypeAdapter(datetime)


def _instant(row: Row, path: str) -> datetime | None:
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    try:
        at = _INSTANT.validate_python(value)
    except ValidationError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


__all__ = ["OVERLAP", "Progress", "Rows", "StreamOutcome", "Synced", "signed_in", "sync"]
