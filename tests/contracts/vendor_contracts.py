"""Holds what goes between a client and a stand-in to the vendor's contract.

A contract is the cut of the vendor's own files (`hubspot.json`, …) with the lines of its overlay
(`overlays/hubspot.yaml`, …). Objects are closed on both sides: a field that the vendor does not
have is as wrong as one of another type.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from ruamel.yaml import YAML

from hub.testing.kit import Call, Exchange, Sandbox

Json: TypeAlias = dict[str, Any]

HERE = Path(__file__).resolve().parent
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
OURS = "retention-hub/"
"""How the hub's own calls name themselves."""

PEOPLE = re.compile(
    r"/|/style\.css|/record/[^/]+/[^/]+|/contacts/\d+/record/[\d-]+/\d+|/agent/\w+/\d+"
)
"""Pages for people, which no contract speaks of."""

FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _is_instant(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@dataclass(frozen=True)
class Endpoint:
    """One method on one path: what may be asked and what is answered."""

    name: str
    pattern: re.Pattern[str]
    spec: Json

    @property
    def vagueness(self) -> list[bool]:
        """The endpoint with fewer placeholders wins, counted from the left."""
        return ["{" in part for part in self.name.split("/")]


class Contract:
    """What a vendor's contract says, and what of an exchange breaks it."""

    def __init__(self, vendor: str, lines: Sequence[Json] | None = None) -> None:
        said: Json = json.loads((HERE / f"{vendor}.json").read_text(encoding="utf-8"))
        overlay = overlay_of(vendor)
        self.vendor = vendor
        self.aliases: Sequence[Sequence[str]] = overlay["aliases"]
        for line in copy.deepcopy(overlay["lines"] if lines is None else lines):
            lay(line, said)
        self.schemas: Json = said["schemas"]
        self._validators: dict[str, Any] = {}  # jsonschema's classes are made at run time
        self._fine: set[tuple[int, str]] = set()
        self.endpoints = sorted(
            (
                Endpoint(name, _pattern(name, spec), spec)
                for name, spec in said["endpoints"].items()
            ),
            key=lambda endpoint: endpoint.vagueness,
        )

    def problems(self, exchange: Exchange) -> list[str]:
        """Each breach as a sentence.

        What is asked must be right where the stand-in takes it: what it refuses it may refuse for
        being wrong. The hub may not even ask for an address that the vendor does not have. An
        answer must be right, a refusal too, unless a fault spoils it.
        """
        call, status = exchange.call, exchange.reply.status
        path = call.path.rstrip("/") or "/"
        if PEOPLE.fullmatch(path):
            return []
        is_ours = call.headers.get("user-agent", "").startswith(OURS)
        endpoint = self._endpoint(call.method, path)
        if endpoint is None:
            is_known = is_ours or status not in (401, 404)
            return [f"{call.method} {path} ({status}) is no endpoint"] if is_known else []
        found: list[str] = []
        if status < 400:
            found += self._asked(endpoint, call)
        if exchange.fault is None:
            found += self._answered(endpoint, status, exchange.content)
        return [f"{endpoint.name} ({status}): {problem}" for problem in found]

    def _endpoint(self, method: str, path: str) -> Endpoint | None:
        """The endpoint by the address as it is, else by the one that it is another name for."""
        other = path
        for pattern, instead in self.aliases:
            other = re.sub(pattern, instead, other)
        for asked in (f"{method} {path}", f"{method} {other}"):
            for endpoint in self.endpoints:
                if endpoint.pattern.fullmatch(asked):
                    return endpoint
        return None

    # --- what is asked -------------------------------------------------------------------------

    def _asked(self, endpoint: Endpoint, call: Call) -> Iterator[str]:
        spec = endpoint.spec
        given = _unfolded(call.query, spec["query"])
        for name in sorted(given.keys() - spec["query"].keys()):
            yield f"there is no query parameter {name}"
        for name in sorted(set(spec["needs"]) - given.keys()):
            yield f"the query parameter {name} is missing"
        for name in sorted(given.keys() & spec["query"].keys()):
            where = f"{endpoint.name} ?{name}"
            yield from self._breaks(where, as_words(spec["query"][name]), given[name])
        yield from self._sent(endpoint, call)

    def _sent(self, endpoint: Endpoint, call: Call) -> Iterator[str]:
        body = endpoint.spec.get("body")
        if not call.body:
            if body and body["needed"]:
                yield "the body is missing"
            return
        if body is None:
            yield "a body is sent where none is taken"
            return
        media = call.headers.get("content-type", "").partition(";")[0]
        if media not in body["media"].split(" or "):
            yield f"the body is {media}, not {body['media']}"
        elif media == FORM:
            sent = _nested(parse_qs(call.body.decode(), keep_blank_values=True))
            yield from self._breaks(f"{endpoint.name} form", as_words(body["shape"]), sent)
        else:
            sent = json.loads(call.body)
            yield from self._breaks(f"{endpoint.name} body", body["shape"], sent)

    # --- what is answered ----------------------------------------------------------------------

    def _answered(self, endpoint: Endpoint, status: int, content: bytes) -> Iterator[str]:
        answers = endpoint.spec["answers"]
        key = str(status) if str(status) in answers else "default"
        if key not in answers or (key == "default" and status < 400):
            yield f"the answer {status} is not foreseen"
        elif answers[key] is None:
            if content:
                yield "an answer without a body has one"
        elif answers[key] != "any":
            try:
                answer = json.loads(content)
            except ValueError:
                yield "the answer is not JSON"
                return
            yield from self._breaks(f"{endpoint.name} {key}", answers[key], answer)

    def _breaks(self, where: str, shape: object, value: object) -> Iterator[str]:
        if where not in self._validators:
            self._validators[where] = self._validator(shape)
        first = next(self._validators[where].iter_errors(value), None)
        if first is not None:
            yield f"{where.rpartition(' ')[2]} {_told(best_match([first]) or first)}"

    def _validator(self, shape: object) -> Any:
        text = json.dumps(closed(shape)).replace('"#/schemas/', '"urn:vendor#/schemas/')
        each_once: Any = validators.extend(  # type: ignore[no-untyped-call]
            Draft202012Validator, {"items": self._items}
        )
        return each_once(json.loads(text), registry=self._registry, format_checker=FORMATS)

    def _items(
        self, validator: Any, schema: object, value: object, _: Json
    ) -> Iterator[ValidationError]:
        """Rows that differ only in digits are checked once: lists here have thousands of them."""
        for place, row in enumerate(value if isinstance(value, list) else ()):
            looks = (id(schema), re.sub(r"\d\w*", "0", json.dumps(row)))
            if looks not in self._fine:
                problems = list(validator.descend(row, schema, path=place))
                yield from problems
                if not problems:
                    self._fine.add(looks)

    @cached_property
    def _registry(self) -> Any:
        resource = DRAFT202012.create_resource({"schemas": closed(self.schemas)})
        return Registry().with_resource("urn:vendor", resource)


@cache
def overlay_of(vendor: str) -> Json:
    """The vendor's overlay: `aliases` of addresses, and the `lines` that change the cut."""
    overlay: Json = YAML(typ="safe").load(HERE / "overlays" / f"{vendor}.yaml")
    return {"aliases": (), **overlay}


contract_of = cache(Contract)
"""One contract a vendor for the whole run."""


@contextmanager
def held_to_contracts() -> Iterator[list[Exchange]]:
    """Watches every stand-in meanwhile; AssertionError at the end with each breach.

    What is taken out of the list is not judged.
    """
    seen: list[Exchange] = []
    Sandbox.watchers.append(seen.append)
    try:
        yield seen
    finally:
        Sandbox.watchers.remove(seen.append)
    problems = [p for one in seen for p in contract_of(one.vendor).problems(one)]
    assert not problems, "\n".join(["The vendor's contract is broken:", *dict.fromkeys(problems)])


# --- laying a line over the cut ----------------------------------------------------------------


def lay(line: Json, said: Json) -> None:
    """Change the cut as one line of the overlay says.

    A line names an `endpoint` (`*` fits any text) or a `schema`; with `like` it is a new one that
    begins as a copy. At an endpoint, `query` and `answers` come on top, `takes` is its body, `body`
    gives fields of the body another shape. At a schema, `nulls` may be null too, and `fields` are
    of another shape. `spares` names what need not be there.
    """
    part = "schemas" if "schema" in line else "endpoints"
    pattern = line.get("schema") or line["endpoint"]
    if "like" in line:
        said[part][pattern] = copy.deepcopy(said[part][line["like"]])
    names = [name for name in said[part] if fnmatchcase(name, pattern)]
    if not names:
        raise LookupError(f"nothing among the {part} is like {pattern}")
    for name in names:
        change = _lay_on_schema if part == "schemas" else _lay_on_endpoint
        change(line, said[part][name], said["schemas"])


def _lay_on_schema(line: Json, schema: Json, schemas: Json) -> None:
    for field in line.get("nulls", ()):
        holder, last = _holder(schemas, schema, field)
        holder[last] = {"anyOf": [holder[last], {"type": "null"}]}
    for field, wanted in line.get("fields", {}).items():
        holder, last = _holder(schemas, schema, field)
        holder[last] = wanted
    if "spares" in line:
        schema["required"] = [n for n in schema.get("required", ()) if n not in line["spares"]]


def _lay_on_endpoint(line: Json, spec: Json, schemas: Json) -> None:
    spec["query"] |= line.get("query", {})
    spec["answers"] |= line.get("answers", {})
    if "takes" in line:
        spec["body"] = {"media": JSON, "needed": True} | line["takes"]
    if "spares" in line:
        spec["needs"] = [name for name in spec["needs"] if name not in line["spares"]]
    if "body" in spec:
        _lay_on_schema({**line, "fields": line.get("body", {})}, spec["body"]["shape"], schemas)


def _holder(schemas: Json, schema: Json, field: str) -> tuple[Json, str]:
    """Where a field stands: `a.b` is inside an object, `*` is each item or any other field."""
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        else:
            schema = next(one for one in schema["anyOf"] if one.keys() - {"type", "enum", "format"})
    first, _, rest = field.partition(".")
    if first == "*":
        holder, name = schema, "items" if "items" in schema else "additionalProperties"
    else:
        holder, name = schema.setdefault("properties", {}), first
    return _holder(schemas, holder[name], rest) if rest else (holder, name)


# --- schemas in other forms --------------------------------------------------------------------


def closed(schema: Any) -> Any:
    """The same schema, in which an object with known fields has no others."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {word: closed(value) for word, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        inner.setdefault("additionalProperties", False)
    return inner


def as_words(schema: Any) -> Any:
    """The schema of a value that travels as text: `limit=10`, `archived=true`."""
    match schema:
        case {"anyOf": options}:
            return {"anyOf": [as_words(option) for option in options]}
        case {"type": "integer"}:
            return {"type": "string", "pattern": r"^-?\d+$"}
        case {"type": "number"}:
            return {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}
        case {"type": "boolean"}:
            return {"enum": ["true", "false"]}
        case {"type": "null"}:
            return {"const": ""}
        case dict():
            shape = dict(schema)
            if "properties" in schema:
                inner = schema["properties"].items()
                shape["properties"] = {name: as_words(its) for name, its in inner}
            for word in schema.keys() & {"items", "additionalProperties"}:
                shape[word] = as_words(schema[word])
            return shape
    return schema


def _pattern(name: str, spec: Json) -> re.Pattern[str]:
    """An endpoint as an expression: an integer in the path is digits."""

    def part(match: re.Match[str]) -> str:
        kind = spec["path"].get(match[1], {}).get("type")
        return r"\d+" if kind == "integer" else "[^/]+"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", part, re.escape(name)))


# --- what was sent, as values ------------------------------------------------------------------


def _unfolded(query: Mapping[str, list[str]], known: Json) -> Json:
    """The parameters by name: lists split at commas, brackets as nested values."""
    plain: Json = {}
    nested: dict[str, list[str]] = {}
    for name, values in query.items():
        if name not in known and "[" in name:
            nested[name] = values
        elif known.get(name, {}).get("type") == "array":
            plain[name] = [word for value in values for word in value.split(",")]
        else:
            plain[name] = values[0] if len(values) == 1 else values
    return plain | _nested(nested)


def _nested(fields: Mapping[str, list[str]]) -> Json:
    """`a[b]=1&c[]=2&d[0][e]=3` as the values that it means."""
    tree: Json = {}
    for name, values in fields.items():
        top, *inner = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        if inner and inner[-1] == "":
            inner.pop()
            value: Any = values
        else:
            value = values[0] if len(values) == 1 else values
        holder = tree
        for part in (path := [top, *inner])[:-1]:
            holder = holder.setdefault(part, {})
        holder[path[-1]] = value
    return {name: _listed(value) for name, value in tree.items()}


def _listed(value: Any) -> Any:
    """Numbered fields as the list that they are."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(each) for name, each in value.items()}
    return list(inner.values()) if all(name.isdigit() for name in inner) else inner


def _told(error: ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "as a whole"
    return f"at {where}: {error.message[:300]}"
