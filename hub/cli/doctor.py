"""`hub doctor`: the environment, the config, the database and the connections, looked over once."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from sqlalchemy import select

from ..errors import ConfigError, HubError
from ..store import Database, as_dicts, table_of
from ..store.tables import Checkpoint, ConnectionState
from ..unify.assign import unassigned
from .output import note, say, say_json
from .session import Session
from .troubles import Trouble, rows_aside, rows_rejected

LITTLE_SPACE = 500 * 2**20
LIBRARIES = ("retention-hub", "sqlalchemy", "httpx", "pydantic", "sqlglot", "structlog")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `state`: ok, look (worth a look), or bad."""

    what: str
    state: Literal["ok", "look", "bad"]
    says: str


def doctor(aside: bool, as_json: bool) -> int:
    """Say what is well and what is not; 1 when something is bad."""
    session = Session()
    findings = [*_environment(), *_config(session), *_data_dir(session)]
    rows: list[Trouble] = []
    try:
        with session.reading() as database:
            findings += _database(session, database)
            rows = [*rows_aside(database), *rows_rejected(database)]
            findings += _left_over(database, rows)
    except HubError as error:
        state: Literal["look", "bad"] = "look" if error.code == "NOT_FOUND" else "bad"
        findings.append(Finding("database", state, f"{error.code}: {error}"))
    bad = any(one.state == "bad" for one in findings)
    if as_json:
        document: dict[str, object] = {"ok": not bad, "findings": [asdict(one) for one in findings]}
        say_json(document | ({"aside": [row.document() for row in rows]} if aside else {}))
        return int(bad)
    for one in findings:
        say(f"{one.state:<6}{one.what:<14}{one.says}")
    for row in rows if aside else ():
        note(str(row))
    return int(bad)


def _environment() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()}")
    yield Finding("versions", "ok", ", ".join(f"{name} {_version(name)}" for name in LIBRARIES))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _config(session: Session) -> Iterator[Finding]:
    try:
        config = session.config
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("config", "bad", f"{problem.code}: {problem}")
        return
    except HubError as error:
        yield Finding("plugins", "bad", f"{error.code}: {error}")
        return
    connections = ", ".join(config.connections) or "none"
    yield Finding("config", "ok", f"{session.settings.config_dir}; connections: {connections}")
    loaded = ", ".join(one.name for one in config.plugins.loaded)
    yield Finding("plugins", "ok", loaded)


def _data_dir(session: Session) -> Iterator[Finding]:
    directory = session.data_dir
    if not directory.is_dir():
        yield Finding("data", "look", f"{directory} is not there yet; the first run makes it")
        return
    rights = stat.S_IMODE(directory.stat().st_mode)
    if rights & 0o077:
        says = f"{directory} may be entered by others ({rights:o}); run chmod 700 {directory}"
        yield Finding("data", "look", says)
    elif not os.access(directory, os.W_OK):
        yield Finding("data", "bad", f"{directory} may not be written to")
    else:
        yield Finding("data", "ok", f"{directory}, only for its owner")
    free = shutil.disk_usage(directory).free
    says = f"{free / 2**30:,.1f} GiB free"
    yield Finding("disk", "look" if free < LITTLE_SPACE else "ok", says)


def _database(session: Session, database: Database) -> Iterator[Finding]:
    with database.read() as reading:
        heads = reading.exec_driver_sql("SELECT version_num FROM alembic_version").scalars()
        revision = ", ".join(heads)
        states = as_dicts(reading, select(table_of(ConnectionState)))
        stands = as_dicts(reading, select(table_of(Checkpoint)))
    size = _size(session.data_dir / "hub.db")
    yield Finding("database", "ok", f"{database.dialect}, revision {revision}{size}")
    fresh: dict[str, str] = {}
    for stand in stands:
        if stand["fresh_at"] is not None:
            text = f"{stand['fresh_at']:%Y-%m-%d %H:%M} UTC"
            fresh[stand["connection"]] = max(text, fresh.get(stand["connection"], ""))
    for state in sorted(states, key=lambda row: str(row["connection"])):
        name = state["connection"]
        read = f"last read {fresh[name]}" if name in fresh else "never read to an end"
        if state["problem_code"]:
            says = f"{state['problem_code']}: {state['problem']} ({read})"
            yield Finding(name, "look", says)
        else:
            yield Finding(name, "ok", f"account {state['vendor_account']}, {read}")


def _size(path: Path) -> str:
    return f", {path.stat().st_size / 2**20:,.0f} MiB" if path.is_file() else ""


def _left_over(database: Database, rows: list[Trouble]) -> Iterator[Finding]:
    """How many rows wait, by their reasons, and how many facts belong to nobody."""
    words: dict[str, str] = {"aside": "set aside", "rejected": "rejected"}
    for kind, word in words.items():
        reasons = Counter((_stream(row), row.why) for row in rows if row.kind == kind)
        whole = sum(reasons.values())
        told = "; ".join(f"{n:,} {where}: {why}" for (where, why), n in reasons.most_common(3))
        says = f"{whole:,} rows. {told}. All: hub doctor --aside" if whole else "none"
        yield Finding(word, "look" if whole else "ok", says)
    with database.read() as reading:
        nobodys = unassigned(reading)
    told = ", ".join(f"{number:,} {kind}" for kind, number in nobodys.items())
    yield Finding("unassigned", "ok", told or "none")


def _stream(row: Trouble) -> str:
    """Connection and stream, without the row's own id."""
    return " ".join(row.where.split(" ")[:2])
