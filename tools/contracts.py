"""Cuts the vendors' contract files down to what the tests need; see tests/contracts/README.md.

    python tools/contracts.py --specs DIR

reads the full files from DIR (default: HUB_VENDOR_SPECS) and writes one small file a vendor, the
same for the same input: paths, methods, parameters, types, required names and enums of the
endpoints in `endpoints.yaml`, and no prose.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML

Json: TypeAlias = dict[str, Any]

HERE = Path(__file__).resolve().parent.parent / "tests" / "contracts"
REF = "#/components/schemas/"
STRUCTURE = frozenset(
    {"type", "properties", "additionalProperties", "items", "required", "enum", "anyOf", "oneOf",
     "$ref", "format", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"}
)  # fmt: skip
"""The keywords that say what a value must be; all others are words about it."""


def main() -> int:
    """Write the cuts; 2 when nobody says where the full files are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--specs", type=Path, default=os.environ.get("HUB_VENDOR_SPECS"))
    specs = parser.parse_args().specs
    if specs is None:
        print("Say where the full contract files are: --specs DIR, or HUB_VENDOR_SPECS.")
        return 2
    for vendor in vendors():
        (HERE / f"{vendor}.json").write_text(as_text(cut(vendor, Path(specs))), encoding="utf-8")
        print(f"tests/contracts/{vendor}.json")
    return 0


def vendors() -> Mapping[str, Json]:
    """What is cut for each vendor, from `endpoints.yaml`."""
    wanted: Mapping[str, Json] = YAML(typ="safe").load(HERE / "endpoints.yaml")
    return wanted


def cut(vendor: str, specs: Path) -> Json:
    """The endpoints in use and every schema that they lead to."""
    wanted = vendors()[vendor]
    paths: Json = {}
    known: Json = {}
    for name in wanted["files"]:
        file = json.loads((specs / name).read_text(encoding="utf-8"))
        paths = file["paths"] | paths
        known = file["components"]["schemas"] | known
    if "required_by" in wanted:
        _require(known, json.loads((specs / wanted["required_by"]).read_text(encoding="utf-8")))
    known |= {name: {"type": "object"} for name in wanted.get("reduced", ())}
    endpoints = {}
    for endpoint in wanted["endpoints"]:
        method, path = endpoint.split(" ")
        endpoints[endpoint] = _endpoint(paths[path][method.lower()])
    return {
        "origin": wanted["origin"],
        "licence": wanted["licence"],
        "endpoints": endpoints,
        "schemas": _reached(endpoints, known, wanted.get("also", ())),
    }


def as_text(contract: Json) -> str:
    """The cut as a file: one line for each endpoint and each schema."""
    lines = []
    for part, value in contract.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"{_line(name)}: {_line(value[name])}" for name in sorted(value))
            lines.append(f"{_line(part)}: {{\n{inner}\n}}")
        else:
            lines.append(f"{_line(part)}: {_line(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _endpoint(operation: Json) -> Json:
    """Parameters by place and name, the body, and the answers by status."""
    kept: Json = {"path": {}, "query": {}, "needs": [], "answers": {}}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] in ("path", "query"):
            kept[parameter["in"]][parameter["name"]] = _shape(parameter["schema"])
        if parameter["in"] == "query" and parameter.get("required"):
            kept["needs"].append(parameter["name"])
    if (body := operation.get("requestBody")) is not None:
        (media, content), *_ = body["content"].items()
        shape = _shape(content["schema"])
        kept["body"] = {"media": media, "needed": body.get("required", False), "shape": shape}
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get("application/json")
        if content is not None or status < "400":  # A refusal is described somehow or not at all.
            kept["answers"][status] = None if content is None else _shape(content["schema"])
    return kept


def _shape(schema: Any) -> Any:
    """A schema without words; values that a vendor's client knows by name become an enum."""
    if not isinstance(schema, dict):
        return schema
    kept: Json = {}
    for word, value in schema.items():
        match word:
            case "properties":
                kept[word] = {name: _shape(inner) for name, inner in value.items()}
            case "anyOf" | "oneOf":
                kept[word] = [_shape(inner) for inner in value]
            case "items" | "additionalProperties":
                kept[word] = _shape(value)
            case "$ref":
                kept[word] = value.replace(REF, "#/schemas/")
            case "x-known-values" if value != [""]:
                kept["enum"] = value
            case _ if word in STRUCTURE:
                kept[word] = value
    return kept


def _require(known: Json, older: Json) -> None:
    """Make required what the vendor's older file requires and the new one still has."""
    for name, schema in older["components"]["schemas"].items():
        if name in known and "properties" in known[name]:
            always = set(schema.get("required", ())) & known[name]["properties"].keys()
            known[name]["required"] = sorted(always)


def _reached(endpoints: Json, known: Json, also: Sequence[str]) -> Json:
    """Every schema that the endpoints name, and those that these name in turn."""
    found: Json = {}
    waiting = [*_named(endpoints), *also]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _shape(known[name])
            waiting.extend(_named(found[name]))
    return found


def _named(value: object) -> Iterator[str]:
    yield from re.findall(r'"#/schemas/([^"]+)"', json.dumps(value))


if __name__ == "__main__":
    sys.exit(main())
