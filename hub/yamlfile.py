"""YAML files as an admin writes them: YAML 1.2, and every value knows its line.

A slip (a tab, a wrong indentation, a key given twice) and a value that a model refuses both become
a ConfigError with the file, the line and what to write instead. Problems are collected, not
raised, so that one run names all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .errors import ConfigError

Path_ = tuple[str, ...]
M = TypeVar("M", bound=BaseModel)

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
NAME_FORM = "small letters, digits and _, at most 50, a letter first"


def _name(written: str) -> str:
    if not NAME.fullmatch(written):
        raise mistake(f'has "{written}", which cannot be a name', f"Use {NAME_FORM}")
    return written


Name = Annotated[str, AfterValidator(_name)]
"""A name that may stand in a condition."""

MAX_DEPTH = 20


@dataclass(frozen=True)
class YamlFile:
    """One file's values, and the line of each; `name` is what a person sees of the path."""

    name: str
    data: object
    lines: Mapping[Path_, int]

    def line(self, *path: object) -> int:
        """The line of the value at `path`, or of the nearest one around it that is there."""
        keys = tuple(map(str, path))
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def where(self, *path: object) -> str:
        """The place of a value in the words of an error message."""
        return f"{self.name}, line {self.line(*path)}"

    def section(self, *path: str) -> Mapping[str, object]:
        """The keys and values at `path`; empty when there is nothing of that form."""
        data = self.data
        for key in path:
            data = data.get(key) if isinstance(data, dict) else None
        return data if isinstance(data, dict) else {}


def read_yaml(text: str, name: str, problems: list[ConfigError]) -> YamlFile | None:
    """The file's values with their lines, or None when its form is broken (a problem says how)."""
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        problems.append(_slip(error, name, text))
        return None
    except YAMLError:
        what = "there is a character that YAML does not allow, or the file is not UTF-8"
        problems.append(ConfigError(what, where=name, do="Save the file as plain UTF-8 text"))
        return None
    reader = _Reader(yaml, name)
    data = {} if node is None else reader.value(node, ())
    problems.extend(reader.problems)
    return YamlFile(name, data, reader.lines)


class _Reader:
    """Walks YAML's tree once: plain values out, lines and doubled keys noted."""

    def __init__(self, yaml: YAML, name: str) -> None:
        self.yaml = yaml
        self.name = name
        self.lines: dict[Path_, int] = {}
        self.problems: list[ConfigError] = []
        self.seen: set[int] = set()

    def value(self, node: Node, path: Path_) -> object:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if id(node) in self.seen or len(path) > MAX_DEPTH:
            self.refuse(line, "aliases (*name) are not read here", "Write the values out")
            return None
        self.seen.add(id(node))
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, str(at))) for at, item in enumerate(node.value)]
        return self.scalar(node, line)

    def mapping(self, node: MappingNode, path: Path_) -> dict[object, object]:
        values: dict[object, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                what = "a key is a list or a mapping"
                self.refuse(line, what, "Quote a value that starts with { or [")
                continue
            key = self.scalar(key_node, line)
            inner = (*path, str(key))
            if key in values:
                what = f"{key} is given twice, first in line {self.lines[inner]}"
                self.refuse(line, what, "Keep one of them")
                continue
            self.lines[inner] = line
            values[key] = self.value(value_node, inner)
        return values

    def scalar(self, node: Node, line: int) -> object:
        try:
            return self.yaml.constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError):
            self.refuse(line, f'"{node.value}" is not a value of its kind', "Put it in quotes")
            return None

    def refuse(self, line: int, what: str, do: str) -> None:
        self.problems.append(ConfigError(what, where=f"{self.name}, line {line}", do=do))


_TAB = "character '\\t'"
_SLIPS: tuple[tuple[str, str, str], ...] = (
    (_TAB, "a tab stands where YAML allows only spaces", "Replace it with spaces"),
    (
        "mapping values are not allowed",
        "a colon stands where no value can begin",
        'Quote a text that holds ": ", or put this line at the same indentation as its neighbours',
    ),
    (
        "sequence entries are not allowed",
        "a list begins in the middle of a line",
        "Begin each - on a line of its own, or write [a, b]",
    ),
    ("but got '<stream end>'", "a bracket is opened and never closed", "Close it with ] or }"),
    (
        "expected ',' or",
        "a bracket is not closed, or a comma is missing",
        "Write {a: 1, b: 2} or [a, b], and quote a text that holds { or ,",
    ),
    ("unexpected end of stream", "a quote is opened and never closed", "Close the quote"),
    (
        "cannot start any token",
        "a text begins with a character that means something in YAML",
        "Put the text in quotes",
    ),
    ("expected a comment", "a text begins with > or |", "Put the text in quotes"),
    (
        "expected <block end>",
        "the indentation does not fit the lines above, or a quote or bracket is one too many",
        "Put this line at the same indentation as its neighbours",
    ),
    (
        "expected '<document start>'",
        "the indentation does not fit the lines above",
        "Begin every top-level key in the first column",
    ),
    ("could not find expected ':'", "a key has no colon", "Write key: value"),
    ("another document", "a second document begins (---)", "Keep one document in a file"),
    ("unknown escape", "a backslash stands in double quotes", "Use single quotes"),
    ("undefined alias", "a text begins with *", "Put the text in quotes"),
)


def _slip(error: MarkedYAMLError, name: str, text: str) -> ConfigError:
    problem = str(error.problem or error.context or "the file is not YAML")
    if _indented_by_tab(text, error):
        problem = _TAB
    what, do = next(
        ((what, do) for sign, what, do in _SLIPS if sign in problem), (problem, "Correct this line")
    )
    # An open quote or bracket is found at the end of the file; the slip is where it began.
    begun = "never closed" in what and error.context_mark is not None
    mark = error.context_mark if begun else error.problem_mark
    line = 1 if mark is None else mark.line + 1
    return ConfigError(what, where=f"{name}, line {line}", do=do)


def _indented_by_tab(text: str, error: MarkedYAMLError) -> bool:
    """YAML takes a line that begins with a tab for more of the line above, and stumbles later."""
    lines = text.splitlines()
    if error.problem_mark is None or error.problem_mark.line >= len(lines):
        return False
    line = lines[error.problem_mark.line]
    return "\t" in line[: len(line) - len(line.lstrip())]


def validated(
    model: type[M],
    file: YamlFile,
    problems: list[ConfigError],
    *,
    path: Path_ = (),
    data: object = None,
    hide_values: bool = False,
    told: Collection[str] = (),
) -> M | None:
    """The model made of the values at `path` (or of `data`), or None with every problem noted.

    `hide_values` keeps what was written out of the messages: it may be a secret. Nothing is said
    of the keys in `told`, whose problem is known already.
    """
    try:
        return model.model_validate(file.section(*path) if data is None else data)
    except ValidationError as error:
        details = error.errors()
        for detail in details:
            loc = tuple(str(part) for part in detail["loc"] if part != "[key]")
            if (loc and loc[0] in told) or _follows_from_another(detail, details):
                continue
            what, do = _sentence(detail, model, loc, ".".join((*path, *loc)), hide_values)
            problems.append(ConfigError(what, where=file.where(*path, *loc), do=do))
        return None


def _follows_from_another(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Whether a list only seems too short because its items have problems of their own."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc for other in details if other is not detail
    )


def mistake(what: str, do: str) -> PydanticCustomError:
    """What a validator raises: `what` follows the value's name ("is not a country"), then `do`."""
    return PydanticCustomError("mistake", "{what}", {"what": what, "do": do})


def nearest(word: str, known: Iterable[str]) -> str:
    """Advice for a misspelt name: the one that was probably meant, else all there are."""
    names = sorted(known)
    if close := get_close_matches(word, names, n=1, cutoff=0.6):
        return f"Perhaps {close[0]} is meant"
    return f"Known here: {', '.join(names)}" if names else "There are none yet"


_KINDS: tuple[tuple[str, str], ...] = (
    ("string", "Write text"),
    ("int", "Write a whole number"),
    ("float", "Write a number"),
    ("decimal", "Write a number"),
    ("bool", "Write true or false"),
    ("dict", "Write keys with values, one a line, or {key: value}"),
    ("model", "Write keys with values, one a line, or {key: value}"),
    ("mapping", "Write keys with values, one a line, or {key: value}"),
    ("list", "Write a list: [a, b]"),
    ("tuple", "Write a list: [a, b]"),
    ("date", "Write a day like 2026-03-01"),
)


def _sentence(
    detail: ErrorDetails, model: type[BaseModel], loc: Path_, name: str, hide: bool
) -> tuple[str, str]:
    kind, ctx, written = detail["type"], detail.get("ctx", {}), detail["input"]
    given = f'"{written}"' if isinstance(written, str) else str(written)
    hide = hide or isinstance(written, dict | list)
    shown = "cannot be used" if hide else f"is {given}"
    match kind:
        case "mistake":
            return f"{name} {ctx['what']}".strip(), str(ctx["do"])
        case "missing":
            return f"{name} is missing", _how_to_fill(model, loc)
        case "extra_forbidden":
            return f"{name} is not a key here", nearest(loc[-1], keys_at(model, loc[:-1]))
        case "literal_error":
            not_one = "is not one of the choices" if hide else f"{shown}, which is not a choice"
            return f"{name} {not_one}", f"Write {ctx['expected']}"
        case "string_pattern_mismatch":
            return f"{name} is not of the right form", f"Use {ctx['pattern']}"
        case "value_error":
            return f"{name} cannot be used: {ctx['error']}", "Correct the value"
    for start, do in _KINDS:
        if kind.startswith(start) and kind.endswith(("_type", "_parsing", "_from_float")):
            return f"{name} {'is empty' if written is None else shown}", do
    return f"{name} {shown}", detail["msg"]


def _how_to_fill(model: type[BaseModel], loc: Path_) -> str:
    inner = _model_at(model, loc[:-1])
    field = _field(inner, loc[-1]) if inner else None
    return (field.description if field else None) or f"Add {loc[-1]}: …"


def keys_at(model: type[BaseModel], path: Path_) -> list[str]:
    """The keys that may stand at `path` of a file with this model."""
    inner = _model_at(model, path)
    return [field.alias or key for key, field in inner.model_fields.items()] if inner else []


def _field(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return field
    return None


def _model_at(annotation: Any, path: Path_) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not path:
            return annotation
        field = _field(annotation, path[0])
        return _model_at(field.annotation, path[1:]) if field else None
    inner = get_args(annotation)
    holds_many = get_origin(annotation) in (dict, list, tuple, Mapping)
    for part in inner:
        found = _model_at(part, path[1:] if holds_many and path else path)
        if found:
            return found
    return None
