"""The files beside running stand-ins: the product's usage as a database, and a hub's config.

A hub started in that folder reads the stand-ins as it would read the vendors.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ..configfiles import ConnectionFile
from ..errors import UsageError
from .kit import Sandbox, company_id
from .world import FEATURES, LOGIN, Company, World

MARK = "# Written by hub sandbox for its stand-ins; it is written anew each time."

TABLE = """CREATE TABLE usage_days (
    id INTEGER PRIMARY KEY,
    account_id TEXT,
    domain TEXT,
    crm_id TEXT,
    day DATE NOT NULL,
    event TEXT NOT NULL,
    person TEXT,
    count INTEGER NOT NULL,
    updated_at TIMESTAMP NOT NULL
)"""

FILE_KEYS = frozenset(ConnectionFile.model_fields)
"""What a stand-in may say of its connection's file; every other key it gives is a setting."""


def usage_url(path: Path) -> str:
    """The usage database as the sql connector is told of it."""
    return f"sqlite:///{path.absolute()}"


def write_usage(path: Path, world: World) -> None:
    """Write the world's usage into a new SQLite file at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(TABLE)
        database.executemany(
            "INSERT INTO usage_days VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _usage_rows(world)
        )
        database.execute("CREATE INDEX usage_days_updated_at ON usage_days (updated_at, id)")


def _usage_rows(world: World) -> Iterator[tuple[object, ...]]:
    whose = {company.key: _names(company) for company in world.companies}
    emails = {person.key: person.email for person in world.people}
    for number, row in enumerate(sorted(world.usage, key=lambda row: row.day), start=1):
        # The product's own job writes a day's rows in the following night.
        written_at = datetime.combine(row.day + timedelta(days=1), time(2), UTC)
        yield (
            number,
            *whose[row.company_key],
            row.day.isoformat(),
            row.event,
            emails.get(row.person_key or ""),
            row.count,
            written_at.strftime("%Y-%m-%d %H:%M:%S"),
        )


def _names(company: Company) -> tuple[str, str | None, str | None]:
    """The product's workspace, and by what else its events name the company."""
    workspace = company_id("usage", company.key)
    if company.ids_known.get("usage", False):
        return workspace, None, company_id("crm", company.duplicate_of or company.key)
    return workspace, company.domains[0] if company.domains else None, None


# --- config ---------------------------------------------------------------------------------------


def write_stand_config(
    directory: Path, world: World, sandboxes: Mapping[str, Sandbox], usage: Path
) -> None:
    """Write `directory/config/` and `directory/.env`, replacing only what was written here before.

    Rules and templates of the starter are copied where they are missing, so edits stay.
    """
    _refuse_foreign(directory)
    config = directory / "config"
    (config / "connections").mkdir(parents=True, exist_ok=True)
    starter = _starter()
    _copy_missing(starter, config)
    secrets = {n: value for one in sandboxes.values() for n, value in one.secrets().items()}
    secrets["USAGE_URL"] = usage_url(usage)
    lines = [f"{name}={_quoted(value)}" for name, value in secrets.items()]
    write_private(directory / ".env", "\n".join([MARK, *lines, ""]))
    (config / "hub.yaml").write_text(_hub_yaml(starter, world, sandboxes), "utf-8")
    for vendor, sandbox in sandboxes.items():
        _write_yaml(config / "connections" / f"{vendor}.yaml", _connection(sandbox))
    _write_yaml(config / "connections" / "usage.yaml", USAGE_CONNECTION)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; it is there whole or as it was before."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _quoted(value: str) -> str:
    """A value as .env files want it."""
    if re.fullmatch(r"[\w.:/@+-]+", value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _refuse_foreign(directory: Path) -> None:
    env = directory / ".env"
    is_ours = env.is_file() and env.read_text("utf-8").startswith(MARK)
    if not is_ours and (env.exists() or (directory / "config").exists()):
        raise UsageError(
            f"{directory} holds a config of your own",
            do="Name an empty folder after --write-config",
        )


def _starter() -> Path:
    """The starter config in the installed package, else the checkout's own."""
    package = Path(str(files("hub")))
    shipped = package / "_starter"
    return shipped if shipped.is_dir() else package.parent / "config"


def _copy_missing(starter: Path, config: Path) -> None:
    for folder in ("rules", "templates"):
        for source in sorted((starter / folder).rglob("*")):
            target = config / source.relative_to(starter)
            if source.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


def _hub_yaml(starter: Path, world: World, sandboxes: Mapping[str, Sandbox]) -> str:
    """The starter's hub.yaml with all its comments, and this world's team, zone and money."""
    events = {row.event for row in world.usage}
    values: dict[str, object] = {
        "zone": world.zone,
        "currency": world.currency,
        "people": _people(world),
        "login_events": [LOGIN] if LOGIN in events else sorted(events),
        "key_features": [feature for feature in FEATURES if feature in events],
    }
    if "hubspot" in sandboxes:
        values["tasks_to"] = "hubspot"
    text = (starter / "hub.yaml").read_text("utf-8")
    for key, value in values.items():
        text = _with(text, key, value)
    return f"{MARK}\n{text}"


def _with(text: str, key: str, value: object) -> str:
    """YAML text with another value for a top-level key; the comment beside it stays."""
    written = re.compile(rf"^{key}:[^#\n]*?(?P<beside> *#.*)?\n(?:[ \t]+.*\n)*", re.M)
    line = f"{key}: {value}" if isinstance(value, str) else _yaml({key: value}).rstrip("\n")
    return written.sub(lambda old: f"{line}{old['beside'] or ''}\n", text, count=1)


def _people(world: World) -> dict[str, dict[str, object]]:
    """The team as hub.yaml names it, without who has left; the lead stands in for the others."""
    team = {_short(member.name): member for member in world.team if member.is_active}
    lead = next((short for short, member in team.items() if member.role == "team_lead"), None)
    people: dict[str, dict[str, object]] = {}
    for short, member in team.items():
        people[short] = {"name": member.name, "email": member.email, "roles": [member.role]}
        if lead not in (None, short):
            people[short]["backup"] = lead
    return people


def _short(name: str) -> str:
    letters = "".join(c if c.isascii() and c.isalpha() else "_" for c in name.lower())
    return letters.strip("_")


def _connection(sandbox: Sandbox) -> dict[str, Any]:
    """A connection's file from what the stand-in says of itself."""
    said = sandbox.connection_file()
    file = {key: value for key, value in said.items() if key in FILE_KEYS}
    settings = {key: value for key, value in said.items() if key not in FILE_KEYS}
    file["settings"] = {"base_url": sandbox.url} | settings | file.get("settings", {})
    return {"connector": sandbox.vendor, "network": "loopback", "deliver": "auto"} | file


def _yaml(content: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 200
    text = StringIO()
    yaml.dump(dict(content), text)
    return text.getvalue()


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(f"{MARK}\n{_yaml(content)}", "utf-8")


USAGE_CONNECTION: Mapping[str, Any] = {
    "connector": "sql",
    "network": "loopback",
    "settings": {"url": "env:USAGE_URL", "crm": "hubspot"},
}
