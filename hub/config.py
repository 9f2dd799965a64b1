"""Reads config/**/*.yaml and the environment, and tells all problems at once with file and line.

Everything here happens once, at the start of a command: what comes out is frozen and typed, and
nobody reads a YAML file or an environment variable again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from .calendar import BusinessCalendar
from .conditions import Name, compile_condition
from .configfiles import ACCOUNT_NAMES, LABELS, ConnectionFile, Customers, HubFile, Limits
from .connector import Connector, ConnectorType, Settings, Stream, get_type_hints_safely
from .definitions import ANY, Definitions, read_rules
from .env import Env
from .errors import ConfigError
from .factnames import FIELDS
from .model import Account, CreateTask, Record, RecordTypes, Status
from .plugins import Plugins, load
from .rulecheck import Surroundings, check_rules
from .secretrefs import Resolver, SecretSource
from .templates import check_template
from .yamlfile import YamlFile, nearest, read_yaml, validated


class HubEnv(BaseSettings):
    """The process's own settings: HUB_CONFIG_DIR, HUB_DATA_DIR, HUB_DATABASE_URL, HUB_LOG."""

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore", frozen=True)

    config_dir: Path = Path("config")
    data_dir: Path = Path("var")
    database_url: SecretStr | None = None
    log: str = "INFO"


@dataclass(frozen=True)
class Person:
    """One of the team. `key` is the short name by which files call them."""

    key: str
    name: str
    email: str
    roles: tuple[str, ...] = ()
    backup: str | None = None


@dataclass(frozen=True)
class Connection:
    """One configured use of a connector."""

    name: str
    connector: str
    type: ConnectorType
    settings: Settings
    file: str = ""
    label: str = ""
    account: str | None = None
    network: Literal["internet", "loopback"] = "internet"
    deliver: Literal["shadow", "plan", "auto"] = "plan"
    backfill: timedelta = timedelta(days=400)
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    keep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    absence: Literal["zero", "unknown"] = "unknown"
    fresh_within: Mapping[str, timedelta] = field(default_factory=dict)
    off: tuple[str, ...] = ()

    def build(self, env: Env) -> Connector[Settings]:
        """The connector, ready to read and write; it opens its client at first use."""
        custom = {
            stream: (*self.keep.get(stream, ()), *self.fields.get(stream, {}).values())
            for stream in {*self.keep, *self.fields}
        }
        loopback = self.network == "loopback"
        return self.type(self.settings, env, connection=self.name, loopback=loopback, custom=custom)


@dataclass(frozen=True)
class Config:
    """Everything an admin decided. `digest` changes with any of it and holds no secret.

    `segments` are names with their conditions, the first that fits counts. `tasks_to` maps a role
    (or "any") to the connection where tasks go. `templates` are task texts by their path.
    """

    directory: Path
    zone: ZoneInfo
    currency: str
    digest: str
    locale: str = "en"
    calendar: BusinessCalendar = field(default_factory=BusinessCalendar)
    judged_from: date | None = None
    people: Mapping[str, Person] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[Status, str] = field(default_factory=lambda: LABELS)
    customers: Customers = field(default_factory=Customers)
    tasks_to: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    shared_domains: tuple[str, ...] = ()
    login_events: tuple[str, ...] = ("login",)
    key_features: tuple[str, ...] = ()
    address: str | None = None
    connections: Mapping[str, Connection] = field(default_factory=dict)
    definitions: Definitions = field(default_factory=Definitions)
    templates: Mapping[str, str] = field(default_factory=dict)
    plugins: Plugins = field(default_factory=Plugins)

    @property
    def file(self) -> str:
        """hub.yaml as error messages name it."""
        return f"{self.directory.name}/hub.yaml"

    @property
    def task_homes(self) -> tuple[str, ...]:
        """The connections in which tasks are made, each once, in the order of hub.yaml."""
        return tuple(dict.fromkeys(self.tasks_to.values()))

    def person_by_role(self, role: str) -> Person | None:
        """The person of that short name, else the first in hub.yaml who has the role."""
        having = (person for person in self.people.values() if role in person.roles)
        return self.people.get(role) or next(having, None)

    def task_home(self, role: str) -> str | None:
        """The connection in which tasks for a role are made; None when none is named."""
        return self.tasks_to.get(role) or self.tasks_to.get(ANY)


def load_config(
    directory: Path, environ: Mapping[str, str], plugins: Plugins | None = None
) -> Config:
    """The config of a folder, with secrets from `environ`; `plugins` None loads those it names.

    Raises one ConfigError whose `problems` are all there are, and PluginError for a broken plugin.
    """
    return _Loader(directory, environ).load(plugins)


class _Loader:
    """Reads one folder file by file; problems are collected and raised at the end."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self.problems: list[ConfigError] = []
        self.contents: dict[str, object] = {}
        self.secrets = SecretSource.of(directory, environ, self.problems)

    def load(self, given: Plugins | None) -> Config:
        file = self.hub_file()
        hub = validated(HubFile, file, self.problems)
        self.refuse_other_endings()
        wanted = hub.plugins if hub else _texts(file.section().get("plugins"))
        plugins = load(wanted) if given is None else given
        connections = {one.name: one for one in self.connections(plugins)}
        templates = self.templates(plugins)
        definitions = self.definitions(plugins, file, templates)
        self.check_hub(file, connections)
        if self.problems or hub is None:
            raise _all_of(self.problems)
        return self.config(hub, plugins, connections, definitions, templates)

    # --- files ------------------------------------------------------------------------------------

    def hub_file(self) -> YamlFile:
        path = self.directory / "hub.yaml"
        if not path.is_file():
            what = f"{self.shown(path)} is not there"
            raise ConfigError(what, do="Run hub init, or name the folder in HUB_CONFIG_DIR")
        file = self.yaml(path, self.shown(path))
        if file is None:
            raise _all_of(self.problems)
        return file

    def shown(self, path: Path) -> str:
        return str(path.relative_to(self.directory.parent))

    def text(self, path: Path | Traversable, name: str) -> str | None:
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            what = f"the file cannot be read: {reason}"
            self.problems.append(ConfigError(what, where=name, do="Save it as plain UTF-8 text"))
            return None

    def yaml(self, path: Path | Traversable, name: str) -> YamlFile | None:
        text = self.text(path, name)
        file = None if text is None else read_yaml(text, name, self.problems)
        if file:
            self.contents[name] = file.data
        return file

    def refuse_other_endings(self) -> None:
        for path in sorted(self.directory.rglob("*.yml")):
            do = f"Rename it to {path.stem}.yaml"
            self.problems.append(ConfigError("only .yaml is read", where=self.shown(path), do=do))

    # --- connections ------------------------------------------------------------------------------

    def connections(self, plugins: Plugins) -> Iterator[Connection]:
        for path in sorted((self.directory / "connections").glob("*.yaml")):
            file = self.yaml(path, self.shown(path))
            if file is None:
                continue
            connector = self.connector_of(file, plugins)
            told = self.misplaced_settings(file, connector) if connector else ()
            about = validated(ConnectionFile, file, self.problems, hide_values=True, told=told)
            if connector is None:
                continue
            settings = self.settings(path.stem, connector, file)
            if about:
                self.check_streams(about, connector, file)
            if about and settings:
                yield _connection(path.stem, about, connector, settings, file)

    def connector_of(self, file: YamlFile, plugins: Plugins) -> ConnectorType | None:
        name = file.section().get("connector")
        if not isinstance(name, str) or name in plugins.connectors:
            return plugins.connectors.get(str(name))
        do = nearest(name, plugins.connectors)
        if others := sorted({one.distribution for one in plugins.not_loaded}):
            do += f". Installed but not named under plugins: in hub.yaml: {', '.join(others)}"
        self.note(f"no plugin brings the connector {name}", file, "connector", do=do)
        return None

    def misplaced_settings(self, file: YamlFile, connector: ConnectorType) -> list[str]:
        keys = map(str, file.section())
        theirs = connector.settings_type.model_fields.keys() - ConnectionFile.model_fields.keys()
        misplaced = [key for key in keys if key in theirs]
        for key in misplaced:
            what = f"{key} is a setting of {connector.title}"
            self.note(what, file, key, do="Write it under settings:, two spaces in")
        return misplaced

    def settings(self, name: str, connector: ConnectorType, file: YamlFile) -> Settings | None:
        resolver = Resolver(name, connector, self.secrets, file, self.problems)
        values = resolver.settings()
        return validated(
            connector.settings_type,
            file,
            self.problems,
            path=("settings",),
            data=values,
            hide_values=True,
            told=resolver.told,
        )

    def check_streams(
        self, about: ConnectionFile, connector: ConnectorType, file: YamlFile
    ) -> None:
        for key in ("fields", "keep", "fresh_within"):
            for stream in getattr(about, key):
                self.check_stream(stream, connector, file, key, stream)
        for at, stream in enumerate(about.off):
            self.check_stream(stream, connector, file, "off", at)
        for name, mapping in about.fields.items():
            if stream_type := connector.streams.get(name):
                for ours in mapping:
                    self.check_field(ours, stream_type, file, name)

    def check_stream(
        self, stream: str, connector: ConnectorType, file: YamlFile, *path: object
    ) -> None:
        if stream not in connector.streams:
            what = f"{connector.title} has no stream {stream}"
            self.note(what, file, *path, do=nearest(stream, connector.streams))

    def check_field(self, ours: str, stream: Stream, file: YamlFile, name: str) -> None:
        known, open_ended = _fields_of(stream)
        head, _, rest = ours.partition(".")
        if ours not in known and not (head in open_ended and rest):
            choices = [*known, *(f"{one}.…" for one in open_ended)]
            what = f"{ours} is no field of what {name} become"
            self.note(what, file, "fields", name, ours, do=nearest(ours, choices))

    # --- templates and rules ----------------------------------------------------------------------

    def templates(self, plugins: Plugins) -> dict[str, str]:
        """Texts that come with rules, and over them those in config/templates/."""
        found: dict[str, str] = {}
        folders = [(folder / "templates", folder.name) for folder in plugins.definition_dirs]
        for folder, shown in [*folders, (self.directory / "templates", self.directory.name)]:
            for path in _files(folder, ".md"):
                name = f"{shown}/templates/{path.name}"
                text = self.text(path, name)
                if text is not None:
                    self.problems.extend(check_template(text, name))
                    found[f"templates/{path.name}"] = text
        self.contents["templates"] = found
        return found

    def definitions(
        self, plugins: Plugins, hub: YamlFile, templates: Mapping[str, str]
    ) -> Definitions:
        shipped = [
            self.yaml(path, f"{folder.name}/{path.name}")
            for folder in plugins.definition_dirs
            for path in _files(folder, ".yaml")
        ]
        own = [self.yaml(path, self.shown(path)) for path in self.own_rules()]
        rules = read_rules(filter(None, shipped), filter(None, own), self.problems)
        if None in (*shipped, *own):
            # Names in an unreadable file would be told as missing wherever they are used.
            return rules.definitions(())
        around = Surroundings(
            names=_measure_names(plugins),
            facts=FIELDS,
            segments=tuple(map(str, hub.section("segments"))),
            roles=_roles(hub),
            templates=templates,
        )
        return rules.definitions(check_rules(rules, around, self.problems))

    def own_rules(self) -> list[Path]:
        return sorted((self.directory / "rules").glob("*.yaml"))

    # --- what hub.yaml says of others -------------------------------------------------------------

    def check_hub(self, file: YamlFile, connections: Mapping[str, Connection]) -> None:
        """As written, so that a mistake elsewhere in hub.yaml hides none of these."""
        people = file.section("people")
        for key in map(str, people):
            backup = file.section("people", key).get("backup")
            if isinstance(backup, str) and (backup == key or backup not in people):
                what = f"the backup of {key} is {backup}, who is nobody else in people:"
                do = nearest(backup, {*map(str, people)} - {key})
                self.note(what, file, "people", key, "backup", do=do)
        for name in map(str, file.section("segments")):
            self.check_condition(file, "segments", name, "when")
        self.check_condition(file, "customers", "when")
        homes = file.section().get("tasks_to")
        for role, home in (homes if isinstance(homes, dict) else {ANY: homes}).items():
            if isinstance(home, str):
                self.check_home(role, home, file, connections)

    def check_condition(self, file: YamlFile, *path: str) -> None:
        text = file.section(*path[:-1]).get(path[-1])
        try:
            if isinstance(text, str) and text.strip():
                compile_condition(text, ACCOUNT_NAMES, where=file.where(*path))
        except ConfigError as refusal:
            self.problems.append(refusal)

    def check_home(
        self, role: str, home: str, file: YamlFile, connections: Mapping[str, Connection]
    ) -> None:
        written = {path.stem for path in (self.directory / "connections").glob("*.yaml")}
        if home not in written:
            what = f"tasks are to go to {home}, which is no connection"
            self.note(what, file, "tasks_to", role, do=nearest(home, written))
        elif home in connections and CreateTask not in connections[home].type.writers:
            what = f"tasks are to go to {home}, which cannot hold tasks"
            self.note(what, file, "tasks_to", role, do="Name a CRM or a help desk")

    def note(self, what: str, file: YamlFile, *path: object, do: str) -> None:
        self.problems.append(ConfigError(what, where=file.where(*path), do=do))

    # --- the result -------------------------------------------------------------------------------

    def config(
        self,
        hub: HubFile,
        plugins: Plugins,
        connections: Mapping[str, Connection],
        definitions: Definitions,
        templates: Mapping[str, str],
    ) -> Config:
        people = {
            key: Person(key, one.name, one.email, one.roles, one.backup)
            for key, one in hub.people.items()
        }
        return Config(
            directory=self.directory,
            zone=hub.zone,
            currency=hub.currency,
            digest=self.digest(),
            locale=hub.locale,
            calendar=hub.calendar,
            judged_from=hub.judged_from,
            people=people,
            segments={name: segment.when for name, segment in hub.segments.items()},
            statuses={**LABELS, **hub.statuses},
            customers=hub.customers,
            tasks_to=hub.tasks_to,
            limits=hub.limits,
            shared_domains=hub.shared_domains,
            login_events=hub.login_events,
            key_features=hub.key_features,
            address=hub.address,
            connections=connections,
            definitions=definitions,
            templates=templates,
            plugins=plugins,
        )

    def digest(self) -> str:
        """A hash of what stands in the files; the order of keys counts, comments do not."""
        listed = json.dumps(sorted(self.contents.items()), default=str, ensure_ascii=False)
        return sha256(listed.encode()).hexdigest()[:16]


def _connection(
    name: str,
    about: ConnectionFile,
    connector: ConnectorType,
    settings: Settings,
    file: YamlFile,
) -> Connection:
    plain = about.model_dump(exclude={"settings", "label", "absence", "connector"})
    return Connection(
        name=name,
        connector=connector.name,
        type=connector,
        settings=settings,
        file=file.name,
        label=about.label or name,
        absence=about.absence or connector.absence,
        **plain,
    )


def _all_of(problems: list[ConfigError]) -> ConfigError:
    """One error for all of them: files in the order they were read, each from top to bottom."""
    files = list(dict.fromkeys(_place(problem)[0] for problem in problems))
    ordered = sorted(problems, key=lambda one: (files.index(_place(one)[0]), _place(one)[1]))
    codes = {problem.code for problem in problems}
    return ConfigError(
        "; ".join(problem.what for problem in ordered),
        code=codes.pop() if len(codes) == 1 else None,
        problems=tuple(ordered),
    )


def _place(problem: ConfigError) -> tuple[str, int]:
    file, _, line = (problem.where or "").partition(", line ")
    return file, int(line) if line.isdigit() else 0


def _files(folder: Path | Traversable, ending: str) -> list[Path | Traversable]:
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.name.endswith(ending))
    return sorted(found, key=lambda path: path.name)


def _texts(written: object) -> tuple[str, ...]:
    return tuple(map(str, written)) if isinstance(written, list) else ()


def _roles(hub: YamlFile) -> set[str]:
    """People and their roles as written, so that an error elsewhere in hub.yaml hides none."""
    people = hub.section("people")
    held = (hub.section("people", str(key)).get("roles") for key in people)
    return {*map(str, people), *(role for roles in held for role in _texts(roles))}


def _measure_names(plugins: Plugins) -> dict[str, Name]:
    return {
        one.name: Name(getattr(one, "kind", "number"), getattr(one, "unit", None))
        for one in plugins.measures
        if hasattr(one, "name")
    }


def _fields_of(stream: Stream) -> tuple[set[str], set[str]]:
    """The fields that a connection's file may fill, and those that take a name after a point."""
    hints = get_type_hints_safely(stream.maps) if stream.maps else {}
    types = set(_records_in(hints.get("return"))) - {Record} or set(RecordTypes)
    names = {name for record in types for name in record.model_fields}
    open_ended = {"external", "extra"} if Account in types else set()
    return names - {"external", "extra"}, open_ended


def _records_in(hint: object) -> Iterator[type[Record]]:
    if isinstance(hint, type) and issubclass(hint, Record):
        yield hint
    for part in getattr(hint, "__args__", ()):
        yield from _records_in(part)
