"""The contract between the hub and a vendor: what a connector declares and what it hands over.

A connector is one class. Its readers are generators marked `@stream` (or `@changes` for a feed
over several streams); its writers are methods marked `@writes`, `@finds` and `@observes`. The hub
brings threads, transactions, checkpoints, retries and limits; a connector never stores anything.
`docs/plugins.md` walks through one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from types import UnionType
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, JsonValue

from .env import Env
from .errors import PluginError
from .http import Http
from .model import (
    AddNote,
    ChangeTask,
    CloseTask,
    CreateTask,
    DefineField,
    Ignored,
    Record,
    SetFields,
)

Row: TypeAlias = Mapping[str, Any]
"""One vendor row as it came: decoded JSON, never changed. `Any` ends in a connector's mapping."""

Rows: TypeAlias = Sequence[Row]
Mapped: TypeAlias = Record | Sequence[Record] | Ignored
Deletes: TypeAlias = Literal["feed", "flag", "sweep"]
Once: TypeAlias = Literal["key", "upsert", "lookup"]

ACTIONS: tuple[type[BaseModel], ...] = (
    DefineField, SetFields, CreateTask, ChangeTask, CloseTask, AddNote,
)  # fmt: skip


class Settings(BaseModel):
    """What an admin fills in for one connection; a connector adds its own fields.

    `base_url` replaces the vendor's address (a sandbox, a regional host); `version` is the vendor's
    API version where the connector has one. A plain model: it never reads the environment itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str | None = None
    version: str | None = None


class Position(BaseModel):
    """Where a stream stands: small JSON that the connector owns and the hub only keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    state: dict[str, JsonValue] = {}

    @classmethod
    def backfill(cls, since: datetime) -> Position:
        """The start of a first read that need not go further back than `since`."""
        return cls(state={"since": since.isoformat()})

    @property
    def since(self) -> datetime | None:
        """The instant of `backfill`, or None."""
        text = self.state.get("since")
        return datetime.fromisoformat(text) if isinstance(text, str) else None


@dataclass(frozen=True)
class Page:
    """Rows that belong into one transaction, and where the stream stands after them.

    `at` None: no checkpoint may be stored yet. `gone`: ids the vendor says are deleted. `merged`:
    vanished id → survivor's id. `complete`: this page ends a listing of everything there is.
    """

    rows: Rows
    at: Position | None = None
    gone: Sequence[str] = ()
    merged: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False


@dataclass(frozen=True)
class Changes:
    """News from a feed over several streams: (stream, id) pairs to read again.

    Called with no position, a feed yields one `Changes` that says where it stands now and nothing
    else; the hub takes it before the first full read, so no change falls between.
    """

    at: Position
    changed: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Checked:
    """What signing in proved. `account` is the vendor account's id (None: the key may not see it).

    `missing` are scopes by their vendor names; `unprovable` what only a write could show; `notes`
    is advice for the admin, such as a token kind that the vendor will switch off.
    """

    account: str | None
    says: str
    missing: Sequence[str] = ()
    unprovable: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Receipt:
    """The vendor's acknowledgement of a write: the id of what was made or changed."""

    id: str
    url: str | None = None


@dataclass(frozen=True)
class Observed:
    """What a target says now: hub fields by the hub's names, hub words as values.

    For a task: `status` ("open" or "done"), `due`, `owner_id`, `title`. `exists` False: the target
    is gone. `merged_into` names the survivor when the vendor says so.
    """

    id: str
    values: Mapping[str, str | None]
    changed_at: datetime | None = None
    exists: bool = True
    merged_into: str | None = None


class Stream:
    """One kind of row a connector reads; made by `@stream`."""

    def __init__(
        self,
        read: Callable[..., Iterator[Any]],
        *,
        key: str | tuple[str, ...],
        maps: Callable[[Row], Mapped] | None,
        cursor: str | None,
        ordered: bool,
        deletes: Deletes | None,
        keeps: tuple[str, ...] | None,
        custom: str | None,
    ) -> None:
        self.name = getattr(read, "__name__", "stream")
        self.doc = (read.__doc__ or "").strip().split("\n")[0]
        self.read = read
        self.key = (key,) if isinstance(key, str) else key
        self.maps = maps
        self.cursor = cursor
        self.ordered = ordered
        self.deletes = deletes
        self.keeps = keeps
        self.custom = custom
        self.read_by_ids: Callable[..., Rows] | None = None
        self.list_ids: Callable[..., Iterator[Sequence[str]]] | None = None
        _check_form(self)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """On the class the declaration itself; on an instance the bound generator."""
        return self if instance is None else self.read.__get__(instance, owner)

    def by_ids(self, function: Callable[..., Rows]) -> Callable[..., Rows]:
        """Mark the method that reads these rows again by their ids (at most 100 a call)."""
        self.read_by_ids = function
        return function

    def ids(
        self, function: Callable[..., Iterator[Sequence[str]]]
    ) -> Callable[..., Iterator[Sequence[str]]]:
        """Mark the method that lists every id there is, for the sweep."""
        self.list_ids = function
        return function

    def id_of(self, row: Row) -> str:
        """The row's id as text, a compound key joined with `:`; KeyError when a part is absent."""
        parts = [row[part] for part in self.key]
        if any(part is None or part == "" for part in parts):
            raise KeyError(":".join(self.key))
        return ":".join(str(part) for part in parts)


def _check_form(stream: Stream) -> None:
    hints = get_type_hints_safely(stream.read)
    names = [name for name in stream.read.__code__.co_varnames[:2] if name != "self"]
    argument = names[0] if names else ""
    simple = stream.cursor is not None
    if simple and hints.get("at") is not None:
        raise PluginError(
            f"stream {stream.name} names a cursor, so it takes `since: datetime | None` and"
            f" yields Rows; it takes `{argument}: Position`",
            do='Drop `cursor=` for the full form, or take "since"',
        )
    if not simple and argument == "since":
        raise PluginError(
            f"stream {stream.name} takes `since` but names no cursor",
            do='Add `cursor="field"`, or take `at: Position | None` and yield Page',
        )


def get_type_hints_safely(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function, or none where they cannot be resolved yet."""
    try:
        return get_type_hints(function)
    except (NameError, TypeError):
        return dict(getattr(function, "__annotations__", {}))


def stream(
    *,
    key: str | tuple[str, ...] = "id",
    maps: Callable[[Row], Mapped] | None = None,
    cursor: str | None = None,
    ordered: bool = False,
    deletes: Deletes | None = None,
    keeps: Sequence[str] | None = None,
    custom: str | None = None,
) -> Callable[[Callable[..., Iterator[Any]]], Stream]:
    """Declare a reader.

    With `cursor="field"` the simple form: the method takes `since: datetime | None` and yields
    Rows. Without it the full form: it takes `at: Position | None` and yields Page. `ordered`: rows
    come oldest first, so the hub may store a checkpoint after each page. `deletes`: how deletions
    show ("feed", "flag", "sweep"; None: they do not, and are shown as unknown). `keeps`: dotted
    paths that are stored, everything else is dropped before the first write; None keeps the whole
    row. `custom`: the path under which the vendor puts a team's own fields.
    """

    def declare(read: Callable[..., Iterator[Any]]) -> Stream:
        return Stream(
            read,
            key=key,
            maps=maps,
            cursor=cursor,
            ordered=ordered,
            deletes=deletes,
            keeps=None if keeps is None else tuple(keeps),
            custom=custom,
        )

    return declare


F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Feed:
    """A change feed over several streams; made by `@changes`."""

    name: str
    streams: tuple[str, ...]


def changes(*streams: str) -> Callable[[F], F]:
    """Declare a feed: the method takes `at: Position | None` and yields `Changes` over `streams`.

    Those streams are read in full once; from then on only what the feed names is read again, by
    ids. A feed that no longer reaches back raises FeedExpired and the streams are read in full.
    """

    def declare(function: F) -> F:
        function.__hub_feed__ = Feed(function.__name__, streams)  # type: ignore[attr-defined]
        return function

    return declare


@dataclass(frozen=True)
class Writer:
    """How one action is written, and on which of the vendor's objects."""

    action: type[BaseModel]
    once: Once
    on: tuple[str, ...]
    batch: int | None
    key_lives: timedelta | None
    write: Callable[..., Any]
    find: Callable[..., Receipt | None] | None = None


def writes(
    action: type[BaseModel],
    *,
    once: Once,
    on: Sequence[str] = (),
    batch: int | None = None,
    key_lives: timedelta | None = None,
) -> Callable[[F], F]:
    """Declare a writer, and why doing it twice makes one thing.

    `once="key"`: the vendor honours an idempotency key (for `key_lives`; after that `@finds` is
    asked first). "upsert": repeating sets the same values. "lookup": `@finds` looks near the target
    for the key, never by search. `on`: objects it applies to (streams of this connector; empty
    means every one that maps to accounts). With `batch` the method takes a sequence and yields one
    outcome an action, in order: Receipt, WriteRefused (not raised) or None for unknown.
    """

    def declare(function: F) -> F:
        function.__hub_writes__ = (action, once, tuple(on), batch, key_lives)  # type: ignore[attr-defined]
        return function

    return declare


def finds(action: type[BaseModel]) -> Callable[[F], F]:
    """Declare how an earlier write of this action is found again; returns its Receipt or None.

    A task is found by its exact key whether open or done; where that is not there, an open task
    whose key begins with the same cause is the one that the hub goes on with (DESIGN 3).
    """

    def declare(function: F) -> F:
        function.__hub_finds__ = action  # type: ignore[attr-defined]
        return function

    return declare


def observes(what: str) -> Callable[[F], F]:
    """Declare a read-back by ids: of a stream's hub fields, of "tasks", or of "fields".

    The method takes `ids: Sequence[str]` and yields one Observed for each. For "fields" the ids are
    `object.field`, and `values["kind"]` and `values["options"]` say how the field is defined.
    """

    def declare(function: F) -> F:
        function.__hub_observes__ = what  # type: ignore[attr-defined]
        return function

    return declare


S = TypeVar("S", bound=Settings)


class Connector(Generic[S]):
    """The base of every connector: one vendor, and one class that says all of it.

    `name` is the vendor's short name in keys and files, `title` what people read. `sandbox` is
    `module:Class` of the vendor's stand-in, imported by tests and `hub sandbox` alone.
    `absence`: what no row from this source means for an account ("zero" or "unknown"; DESIGN 5).
    `settings_type` is filled in from the class's type argument.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    sandbox: ClassVar[str | None] = None
    absence: ClassVar[Literal["zero", "unknown"]] = "unknown"
    settings_type: ClassVar[type[Settings]] = Settings

    streams: ClassVar[Mapping[str, Stream]] = {}
    feeds: ClassVar[Mapping[str, Feed]] = {}
    writers: ClassVar[Mapping[type[BaseModel], Writer]] = {}
    observers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in getattr(base, "__args__", ()):
                if isinstance(argument, type) and issubclass(argument, Settings):
                    cls.settings_type = argument
        _collect(cls)

    def __init__(
        self,
        settings: S,
        env: Env,
        *,
        connection: str = "",
        loopback: bool = False,
        custom: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`custom` names the team's own vendor fields to read, by stream."""
        self.settings = settings
        self.env = env
        self.connection = connection or self.name
        self.loopback = loopback
        self._custom = dict(custom or {})

    def connect(self) -> Http:
        """The client for this vendor, made once and closed by the hub."""
        raise PluginError(f"{self.name} has no connect()", do="Return a hub.Http from connect()")

    def check(self) -> Checked:
        """Prove the sign-in and, as far as reading can, each scope that will be needed."""
        raise PluginError(f"{self.name} has no check()", do="Return a hub.Checked from check()")

    @cached_property
    def http(self) -> Http:
        """The vendor's client, opened at first use."""
        return self.connect().bind(self.env, connection=self.connection, loopback=self.loopback)

    def now(self) -> datetime:
        """The only clock a connector may ask."""
        return self.env.now()

    def custom_fields(self, stream: str) -> Sequence[str]:
        """The vendor's names of the team's own fields that this stream must also fetch."""
        return self._custom.get(stream, ())

    def close(self) -> None:
        """Give back what was opened."""
        if "http" in self.__dict__:
            self.http.close()


def _collect(cls: type[Connector[Any]]) -> None:
    streams: dict[str, Stream] = {}
    feeds: dict[str, Feed] = {}
    observers: dict[str, str] = {}
    writers: dict[type[BaseModel], Writer] = {}
    finders: dict[type[BaseModel], Callable[..., Receipt | None]] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Stream):
                streams[name] = value
            if isinstance(feed := getattr(value, "__hub_feed__", None), Feed):
                feeds[name] = feed
            if what := getattr(value, "__hub_observes__", None):
                observers[what] = name
            if declared := getattr(value, "__hub_writes__", None):
                action, once, on, batch, key_lives = declared
                writers[action] = Writer(action, once, on, batch, key_lives, value)
            if found := getattr(value, "__hub_finds__", None):
                finders[found] = value
    for action, writer in writers.items():
        if action not in ACTIONS:
            raise PluginError(f"{cls.__name__} writes {action.__name__}, which is not an action")
        if writer.once == "lookup" and action not in finders:
            raise PluginError(
                f"{cls.__name__} writes {action.__name__} with once='lookup' but has no"
                f" @finds({action.__name__})",
                do="Add one, or the same task could be made twice",
            )
    cls.streams = streams
    cls.feeds = feeds
    cls.observers = observers
    cls.writers = {
        action: Writer(w.action, w.once, w.on, w.batch, w.key_lives, w.write, finders.get(action))
        for action, w in writers.items()
    }
    unknown = {name for feed in feeds.values() for name in feed.streams} - streams.keys()
    if unknown:
        raise PluginError(f"{cls.__name__}'s feed names unknown streams: {sorted(unknown)}")


ConnectorType: TypeAlias = type[Connector[Any]]
AnyType: TypeAlias = type | UnionType
