"""`hub check`: is the config right, does every connection sign in, and what may it do there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from pydantic import ValidationError

from ..config import Config, Connection
from ..connector import Connector, Page, Position, Row, Stream
from ..env import Env
from ..errors import HubError, PluginError, RecordRejected, UsageError
from ..log import logger
from ..model import Ignored, Record
from ..store import Database
from ..store.rows import kept, paths_of
from ..sync import signed_in
from ..unify.records import with_custom_fields
from ..yamlfile import nearest
from .output import error_document, note, say, say_json
from .session import Session
from .troubles import Trouble, of_error

log = logger("check")

PREVIEWED = 10
Document = dict[str, Any]


def check(only: str | None, preview: bool, as_json: bool) -> int:
    """Check every connection, or the one named; the config is read in full either way."""
    session = Session()
    config = session.config
    chosen = list(_chosen(config, only))
    found: list[tuple[Document, list[Trouble]]] = []
    with session.writing() as database:
        for connection in chosen:
            found.append(_checked(connection, database, session.env, preview))
            if not as_json:
                _say(*found[-1])
    failed = sum(not document["ok"] for document, _ in found)
    partly = any(troubles for _, troubles in found)
    code = 1 if failed and failed == len(found) else 3 if partly else 0
    if as_json:
        say_json({"config": config.digest, "connections": [document for document, _ in found]})
    elif not found:
        say("the config is right; it names no connection")
    return code


def _chosen(config: Config, only: str | None) -> Iterator[Connection]:
    if only is None:
        yield from config.connections.values()
    elif only in config.connections:
        yield config.connections[only]
    else:
        do = nearest(only, config.connections)
        raise UsageError(f"there is no connection {only}", do=do, code="NOT_FOUND")


def _checked(
    connection: Connection, database: Database, env: Env, preview: bool
) -> tuple[Document, list[Trouble]]:
    """One connection: what signing in proved, or why it could not."""
    document: Document = {
        "connection": connection.name,
        "connector": connection.connector,
        "ok": False,
        "account": None,
        "says": None,
        "missing": [],
        "unprovable": [],
        "notes": [],
        "error": None,
    }
    troubles: list[Trouble] = []
    try:
        with closing(connection.build(env)) as connector:
            document |= _signed_in(connection, connector, database, env)
            troubles += [_missing(connection.name, scope) for scope in document["missing"]]
            if preview:
                document["preview"] = _previewed(connection, connector, env, troubles)
    except HubError as error:
        document["error"] = error_document(error)["error"]
        troubles.append(of_error("connection", error, connection.name))
    except Exception as error:
        log.exception("check.plugin_failed", connection=connection.name)
        broken = PluginError(
            f"the connector {connection.connector} failed ({type(error).__name__})",
            where=connection.name,
            do="Report it to the plugin's author, with hub.log of the data directory",
        )
        document["error"] = error_document(broken)["error"]
        troubles.append(of_error("connection", broken, connection.name))
    return document, troubles


def _signed_in(
    connection: Connection, connector: Connector[Any], database: Database, env: Env
) -> Document:
    """What signing in proved; the vendor account is stored at the first time."""
    checked = connector.check()
    source = signed_in(database, connection, checked.account, now=env.now())
    return {
        "ok": True,
        "account": source.vendor_account,
        "says": checked.says,
        "missing": list(checked.missing),
        "unprovable": list(checked.unprovable),
        "notes": list(checked.notes),
    }


def _missing(connection: str, scope: str) -> Trouble:
    why = f"the permission {scope} is not granted; what needs it stands still"
    return Trouble("scope", "SCOPE_MISSING", connection, why)


def _say(document: Document, troubles: list[Trouble]) -> None:
    if document["ok"]:
        say(f"{document['connection']:<12}{document['says']} (account {document['account']})")
        for thing in document["unprovable"]:
            say(f"{'':<12}not provable without writing: {thing}")
        for advice in document["notes"]:
            say(f"{'':<12}{advice}")
    for stream, rows in document.get("preview", {}).items():
        say(f"{'':<12}{stream}:{'' if rows else ' nothing there'}")
        for row in rows:
            say(f"{'':<14}{_row_words(row)}")
    for trouble in troubles:
        note(str(trouble))


def _row_words(row: Document) -> str:
    if "record" not in row:
        return f"{row['id']}: {row.get('ignored') or row.get('rejected')}"
    fields = ((name, value) for one in row["record"] for name, value in one.items())
    return " ".join(f"{name}={value}" for name, value in fields if value not in (None, [], {}, ()))


# --- preview --------------------------------------------------------------------------------------


def _previewed(
    connection: Connection, connector: Connector[Any], env: Env, troubles: list[Trouble]
) -> Document:
    """Ten mapped rows of every stream; nothing is stored."""
    since = Position.backfill(env.now() - connection.backfill)
    found: Document = {}
    for name, stream in connector.streams.items():
        if name in connection.off:
            continue
        try:
            rows = list(_first_rows(connector, stream, since))
        except HubError as error:
            troubles.append(of_error("stream", error, f"{connection.name} {name}"))
            continue
        found[name] = [_mapped(connection, stream, row) for row in rows]
    return found


def _first_rows(connector: Connector[Any], stream: Stream, since: Position) -> Iterator[Row]:
    left = PREVIEWED
    start = since if stream.cursor is None else since.since
    for page in stream.read(connector, start):
        rows = page.rows if isinstance(page, Page) else page
        yield from rows[:left]
        left -= len(rows)
        if left <= 0:
            return


def _mapped(connection: Connection, stream: Stream, row: Row) -> Document:
    """A row as unify would see it: only kept fields, mapped, with the file's own fields."""
    fields = connection.fields.get(stream.name, {})
    paths = paths_of(stream, connection.keep.get(stream.name, ()), fields.values())
    data = kept(row, paths)
    try:
        key = stream.id_of(row)
    except (KeyError, TypeError):
        return {"id": None, "rejected": f"the row has no {' and '.join(stream.key)}"}
    if stream.maps is None:
        return {"id": key, "ignored": "the stream is kept as it is"}
    try:
        result = stream.maps(data)
        if isinstance(result, Ignored):
            return {"id": key, "ignored": result.why}
        records = [result] if isinstance(result, Record) else list(result)
        full = [with_custom_fields(one, stream, fields, data) for one in records]
    except (RecordRejected, ValidationError, LookupError, TypeError, ValueError) as error:
        reason = error.what if isinstance(error, RecordRejected) else str(error).split("\n")[0]
        return {"id": key, "rejected": reason}
    return {"id": key, "record": [one.model_dump(mode="json") for one in full]}
