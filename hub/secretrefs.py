"""Secrets by reference: `env:NAME` and `file:PATH` in a connection's settings.

A secret never stands in config/ itself. `env:NAME` is looked for in the environment, then in the
file .env beside config/; `file:PATH` is read, relative to config/.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from pydantic import SecretStr

from .connector import ConnectorType
from .errors import ConfigError
from .log import secrets
from .yamlfile import YamlFile

_MOUNTED = (Path("/run/secrets"), Path("/var/run/secrets"))
"""Container engines put secrets there for one container alone, readable by whoever runs in it."""


@dataclass(frozen=True)
class SecretSource:
    """Where references are looked up; made once for a config folder."""

    directory: Path
    environ: Mapping[str, str]
    beside: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls, directory: Path, environ: Mapping[str, str], problems: list[ConfigError]
    ) -> SecretSource:
        """The environment, and the .env file beside the config folder when there is one."""
        path = directory.absolute().parent / ".env"
        if not path.is_file():
            return cls(directory, environ)
        if _mode(path) & (stat.S_IRWXG | stat.S_IRWXO):
            problems.append(
                ConfigError(
                    "other users of this machine can read it", where=".env", do="Run chmod 600 .env"
                )
            )
        # No interpolation: a `$` in a password is a `$`.
        return cls(directory, environ, dotenv_values(path, interpolate=False))

    def look_up(self, reference: str) -> str | None:
        """The value behind a reference; None when there is none."""
        kind, _, name = reference.partition(":")
        if kind == "env":
            return self.environ.get(name) or self.beside.get(name) or None
        path = self.directory / name
        return path.read_text("utf-8").strip() or None if path.is_file() else None

    def is_open_to_all(self, reference: str) -> bool:
        """Whether a `file:` reference leads to a file that every user of the machine can read."""
        path = (self.directory / reference.partition(":")[2]).absolute()
        mounted = any(path.is_relative_to(folder) for folder in _MOUNTED)
        return reference.startswith("file:") and not mounted and bool(_mode(path) & stat.S_IROTH)


def _mode(path: Path) -> int:
    return path.stat().st_mode if os.name == "posix" and path.exists() else 0


def is_reference(written: object) -> bool:
    """Whether a setting's text points elsewhere."""
    return isinstance(written, str) and written.startswith(("env:", "file:"))


class Resolver:
    """Fills in the references of one connection's settings, and says what is missing or open."""

    def __init__(
        self,
        name: str,
        connector: ConnectorType,
        source: SecretSource,
        file: YamlFile,
        problems: list[ConfigError],
    ) -> None:
        self.name = name
        self.connector = connector
        self.source = source
        self.file = file
        self.problems = problems
        self.told: set[str] = set()
        """Settings whose problem is known, so that nothing more need be said of them."""

    def settings(self) -> dict[str, object]:
        """Every setting with its references filled in; what cannot be filled in is left out."""
        written = self.file.section("settings")
        values = {str(key): self.value(str(key), value) for key, value in written.items()}
        return {key: value for key, value in values.items() if key not in self.told}

    def value(self, key: str, written: object) -> object:
        if isinstance(written, dict):
            return {inner: self.value(key, value) for inner, value in written.items()}
        if isinstance(written, list):
            return [self.value(key, value) for value in written]
        secret = _is_secret(self.connector, key)
        if is_reference(written):
            return self.filled_in(key, str(written), secret)
        if secret and written is not None:
            what = f"{key} is a secret and stands in the file itself"
            variable = f"{self.name}_{key}".upper().replace("-", "_")
            do = f"Write env:{variable} here and the value into .env; then make a new secret"
            self.refuse(key, what, do, "CONFIG_INVALID")
        return written

    def filled_in(self, key: str, reference: str, secret: bool) -> str | None:
        found = self.source.look_up(reference)
        if found is None:
            self.refuse(key, *self.missing(key, reference), "CONFIG_SECRET_MISSING")
        elif secret and self.source.is_open_to_all(reference):
            path = reference.removeprefix("file:")
            what = f"{key} is in {path}, which other users of this machine can read"
            self.refuse(key, what, f"Run chmod 600 {path}", "CONFIG_INVALID")
        if found and secret:
            secrets.add(found)
        return found

    def missing(self, key: str, reference: str) -> tuple[str, str]:
        then = ", then .env" if reference.startswith("env:") else ""
        what = f"{key} is missing. Looked for {reference}{then}"
        return what, f"How to make one: {self.how_to(key)}. Then run `hub check {self.name}`"

    def how_to(self, key: str) -> str:
        if self.connector.__module__.partition(".")[0] == "connectors":
            folder = self.connector.__module__.split(".")[1]
            title = key.replace("_", " ").capitalize()
            return f'connectors/{folder}/README.md, "{title}"'
        field = self.connector.settings_type.model_fields.get(key)
        said = field.description if field else None
        return (said or f"ask the makers of {self.connector.title}").rstrip(".")

    def refuse(self, key: str, what: str, do: str, code: str) -> None:
        self.told.add(key)
        where = self.file.where("settings", key)
        self.problems.append(ConfigError(what, where=where, do=do, code=code))


def _is_secret(connector: ConnectorType, key: str) -> bool:
    field = connector.settings_type.model_fields.get(key)
    return field is not None and _holds_secret(field.annotation)


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_holds_secret, get_args(annotation)))
