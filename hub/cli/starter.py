"""`hub init`: a config/ to begin with, full of comments, and schemas that editors understand."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from ..configfiles import ConnectionFile, HubFile
from ..definitions import SECTIONS
from ..errors import UsageError
from ..testing.stand_files import write_private
from .output import say, say_json

SCHEMAS = "schemas"
REFERENCE = re.compile(r"\benv:([A-Z][A-Z0-9_]*)")
ENV_HEAD = (
    "# Secrets that config/ refers to as env:NAME. Only you may read this file (chmod 600).\n"
    "# Take away the # and write the value after the =.\n"
)


def init(directory: Path, as_json: bool) -> int:
    """Write DIR/config/ and DIR/.env; nothing that is there is overwritten."""
    config = directory / "config"
    if config.exists():
        do = "Name another folder, or move that one away"
        raise UsageError(f"{config} is there already", do=do)
    shutil.copytree(starter(), config, ignore=shutil.ignore_patterns("__pycache__"))
    for name, schema in schemas().items():
        path = config / SCHEMAS / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(schema, indent=1) + "\n", "utf-8")
    for path, name in _yaml_files(config):
        up = "../" * (len(path.relative_to(config).parts) - 1)
        head = f"# yaml-language-server: $schema={up}{SCHEMAS}/{name}.json\n"
        path.write_text(head + path.read_text("utf-8"), "utf-8")
    env = directory / ".env"
    if not env.exists():
        write_private(env, ENV_HEAD + "".join(f"# {name}=\n" for name in _secrets(config)))
    _say(directory, config, as_json)
    return 0


def _say(directory: Path, config: Path, as_json: bool) -> None:
    written = sorted(str(p.relative_to(directory)) for p in config.rglob("*") if p.is_file())
    if as_json:
        say_json({"config": str(config), "files": written})
        return
    say(f"wrote {config} ({len(written)} files) and {directory / '.env'}")
    say("next: put the secrets into .env, delete the connections that you do not have, then")
    say(f"{'' if directory == Path('.') else f'cd {directory} && '}hub check")


def starter() -> Path:
    """The starter config in the installed package, else the checkout's own."""
    package = Path(str(files("hub")))
    shipped = package / "_starter"
    return shipped if shipped.is_dir() else package.parent / "config"


def _yaml_files(config: Path) -> Iterator[tuple[Path, str]]:
    yield config / "hub.yaml", "hub"
    for folder, name in (("connections", "connection"), ("rules", "rules")):
        for path in sorted((config / folder).glob("*.yaml")):
            yield path, name


def _secrets(config: Path) -> list[str]:
    texts = [path.read_text("utf-8") for path in sorted((config / "connections").glob("*.yaml"))]
    return list(dict.fromkeys(name for text in texts for name in REFERENCE.findall(text)))


# --- schemas --------------------------------------------------------------------------------------


class _AsWritten(GenerateJsonSchema):
    """What a person may write: spans and days are text, and odd types are left open."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        """A value that is read before it is checked may also be written as text."""
        return {"anyOf": [{"type": "string"}, super().function_before_schema(schema)]}

    def timedelta_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": "string"}


def schemas() -> dict[str, JsonSchemaValue]:
    """JSON schemas of hub.yaml, a connection's file and a rule file, by name."""
    rules = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            section: {"type": "object", "additionalProperties": _or_off(kind)}
            for section, kind in SECTIONS.items()
        },
    }
    return {"hub": _schema(HubFile), "connection": _schema(ConnectionFile), "rules": rules}


def _schema(kind: type[BaseModel]) -> JsonSchemaValue:
    return kind.model_json_schema(schema_generator=_AsWritten)


def _or_off(kind: type[BaseModel]) -> JsonSchemaValue:
    """A rule, or `off` in its place; its parts are written out, so that each rule stands alone."""
    return {"anyOf": [{"const": "off"}, _without_refs(_schema(kind))]}


def _without_refs(schema: Any, parts: Any = None) -> Any:
    parts = schema.get("$defs", {}) if parts is None else parts
    if isinstance(schema, list):
        return [_without_refs(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _without_refs(parts[schema["$ref"].rpartition("/")[2]], parts)
    return {key: _without_refs(one, parts) for key, one in schema.items() if key != "$defs"}
