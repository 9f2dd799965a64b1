"""What rules say: measures, signals, health models and plays, as written in YAML (DESIGN §6).

Shipped rules and those of plugins come first; a file in config/rules/ replaces one by its name, or
switches it off with `name: off`. `hub/rulecheck.py` looks whether they fit together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PrivateAttr,
    model_validator,
)

from .calendar import Due, parse_span
from .conditions import Name as ConditionName
from .errors import ConfigError
from .model import Cause
from .yamlfile import NAME, NAME_FORM, Name, YamlFile, mistake, nearest, validated

Outcome = Literal["activation", "adoption", "issue recovery", "renewal readiness"]
"""What an automated touch is for (S14)."""

Primitive = Literal["count", "sum", "distinct", "latest", "ratio"]
Fill = int | FiniteFloat | str
D = TypeVar("D", bound="Definition")

PRIMITIVES: tuple[Primitive, ...] = ("count", "sum", "distinct", "latest", "ratio")
ANY = "any"
TEMPLATES = "templates/"
BLANK = re.compile(r"\{([^{}]*)\}")
_NOBODY = frozenset(("", "the team", "team", "everyone", "everybody", "all", "anyone", "nobody"))


def _parsed(parse: Callable[[str], Any], do: str) -> BeforeValidator:
    def read(written: object) -> object:
        if not isinstance(written, str):
            raise mistake(f"is {written}, which has no unit", do)
        try:
            return parse(written)
        except ValueError as error:
            raise mistake(f'is "{written}", which is not understood', do) from error

    return BeforeValidator(read)


def _parse_days(text: str) -> int:
    span = parse_span(text)
    if span % timedelta(days=1) or not span:
        raise ValueError("not whole days")
    return span.days


def _parse_ago(text: str) -> int:
    if not text.endswith(" ago"):
        raise ValueError("no ago")
    return _parse_days(text.removesuffix(" ago"))


def _a_person(role: str) -> str:
    if role.strip().lower() in _NOBODY:
        shown = f'is "{role}"' if role.strip() else "is empty"
        raise mistake(f"{shown}, so nobody owns it", "Name one role or person, for example csm")
    return role.strip()


def _text(written: str) -> str:
    if not written.strip():
        raise mistake("is empty", "Write some text")
    return " ".join(written.split())


def _template(written: str) -> str:
    return written if written.startswith(TEMPLATES) else f"{TEMPLATES}{written}"


Text = Annotated[str, AfterValidator(_text)]
Template = Annotated[Text, AfterValidator(_template)]
Role = Annotated[str, AfterValidator(_a_person)]
Days = Annotated[int, _parsed(_parse_days, "Write days, for example 30d")]
DaysAgo = Annotated[int, _parsed(_parse_ago, "Write days, for example 30d ago")]
DueIn = Annotated[Due, _parsed(Due.parse, "Write 2 business days or 3 days")]
Span = Annotated[timedelta, _parsed(parse_span, "Write a length like 30d, 6h or 15m")]


class Part(BaseModel):
    """The base of everything a rule file holds: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Definition(Part):
    """One named thing of a rule file. `file` and `line` say where it stands."""

    _name: str = PrivateAttr(default="")
    _origin: YamlFile = PrivateAttr(default_factory=lambda: YamlFile("", {}, {}))
    _path: tuple[str, ...] = PrivateAttr(default=())

    @property
    def name(self) -> str:
        """The name under which other rules and config/ know it."""
        return self._name

    @property
    def file(self) -> str:
        """The file it stands in, as a person reads it."""
        return self._origin.name

    @property
    def line(self) -> int:
        """The line its name stands in."""
        return self._origin.line(*self._path)

    def place(self, *keys: str) -> str:
        """File and line of one of its keys, for an error message."""
        return self._origin.where(*self._path, *keys)

    def named(self: D, name: str, origin: YamlFile | None = None, section: str = "") -> D:
        """This definition under a name and with its place."""
        copy = self.model_copy()
        copy._name, copy._path = name, (section, name)
        copy._origin = origin or copy._origin
        return copy


class MeasureDef(Definition):
    """One number, date or text per account and day, out of a fact view.

    Exactly one primitive is given, with the fact it reads; `ratio` names a measure that is divided
    by the measure in `over`. `window` is a number of whole team days that end with the day, or
    `ending` days before it; None means all time. `where` is a condition over the fact's fields.
    """

    title: Text | None = None
    count: Name | None = None
    sum: Name | None = None
    distinct: Name | None = None
    latest: Name | None = None
    ratio: Name | None = None
    over: Name | None = None
    field: Name | None = None
    window: Days | None = None
    ending: DaysAgo = 0
    where: Text | None = None
    kind: Literal["number", "text", "date"] = "number"
    unit: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> MeasureDef:
        given = [name for name in PRIMITIVES if getattr(self, name) is not None]
        if len(given) != 1:
            what = f"needs exactly one of {', '.join(PRIMITIVES)}; it has {len(given)}"
            raise mistake(what, "Write for example {count: tickets, window: 30d}")
        if given[0] in ("sum", "distinct", "latest") and self.field is None:
            raise mistake(f"is a {given[0]} of no field", "Add field: …")
        if (given[0] == "ratio") != (self.over is not None):
            raise mistake("needs ratio: and over: together", "Write {ratio: a, over: b}")
        if given[0] == "ratio" and (self.window or self.where or self.field or self.ending):
            what = "is a ratio, so it has no window, field or where of its own"
            raise mistake(what, "Give those to the two measures that it divides")
        if given[0] != "latest" and self.kind != "number":
            raise mistake(f"is a {given[0]}, which is always a number", "Leave kind: out")
        if self.ending and self.window is None:
            raise mistake("ends some days ago but has no window", "Add window: 30d")
        return self

    @property
    def primitive(self) -> Primitive:
        """How the number is made."""
        return next(name for name in PRIMITIVES if getattr(self, name) is not None)

    @property
    def source(self) -> str:
        """The fact view that is read; for a ratio the measure above the line."""
        return str(getattr(self, self.primitive))

    @property
    def empty(self) -> Literal["zero", "unknown"]:
        """What no row means for an account whose source is covered (DESIGN §5)."""
        return "zero" if self.primitive in ("count", "sum", "distinct") else "unknown"

    def as_name(self) -> ConditionName:
        """What a condition may know of it."""
        counts = "count" if self.primitive in ("count", "distinct") else None
        return ConditionName(self.kind, self.unit or counts)


class Opens(Part):
    """What a signal starts when it becomes true."""

    play: Name


class SignalDef(Definition):
    """A named condition over measures: true, false or unknown.

    `given` (`with:` in the file) fills the condition's `{name}`; `by_segment` replaces some of its
    values for one segment. `clears` None means: when the condition is no longer true. `says` is the
    reason that people read; `{since}` or a measure's name stands for its value.
    """

    title: Text
    when: Text
    says: Text | None = None
    given: dict[Name, Fill] = Field(default={}, alias="with")
    by_segment: dict[Name, dict[Name, Fill]] = {}
    clears: Text | None = None
    cause: Cause
    caps: Literal["watch", "at_risk"] | None = None
    opens: Opens | None = None

    def given_for(self, segment: str | None) -> Mapping[str, Fill]:
        """The fill-ins that hold for accounts of one segment."""
        return {**self.given, **self.by_segment.get(segment or "", {})}


class Bands(Part):
    """Where healthy and watch begin; below watch is at risk. A band starts at its edge."""

    healthy: FiniteFloat = Field(default=70, ge=0, le=100)
    watch: FiniteFloat = Field(default=40, ge=0, le=100)

    @model_validator(mode="after")
    def _in_order(self) -> Bands:
        if self.watch >= self.healthy:
            what = f"has watch at {self.watch:g}, not below healthy at {self.healthy:g}"
            raise mistake(what, "Write for example {healthy: 70, watch: 40}")
        return self


class Input(Part):
    """How one measure becomes 0 to 100, and its share of the dimension (equal when not given).

    `linear` runs from `worst` (0) to `best` (100) and clamps; `step` takes the last point at or
    below the value.
    """

    curve: Literal["linear", "step"]
    best: FiniteFloat | None = None
    worst: FiniteFloat | None = None
    points: dict[FiniteFloat, Annotated[FiniteFloat, Field(ge=0, le=100)]] | None = None
    share: FiniteFloat | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Input:
        if self.curve == "linear":
            if self.points or self.best is None or self.worst is None or self.best == self.worst:
                raise mistake(
                    "is linear, so it needs two different values best: and worst:, and no points",
                    "Write {curve: linear, best: 0, worst: 30}",
                )
        elif not self.points or self.best is not None or self.worst is not None:
            what = "is a step curve, so it needs points: and neither best nor worst"
            raise mistake(what, "Write {curve: step, points: {0: 0, 4: 100}}")
        return self


class Dimension(Part):
    """One side of health with its weight among the others."""

    weight: FiniteFloat = Field(gt=0)
    inputs: dict[Name, Input] = Field(min_length=1)

    @model_validator(mode="after")
    def _shares(self) -> Dimension:
        given = sum(one.share is not None for one in self.inputs.values())
        if given not in (0, len(self.inputs)):
            raise mistake("gives a share to some inputs only", "Give one to each, or to none")
        return self

    def share(self, measure: str) -> float:
        """The part of the dimension that one input makes up, between 0 and 1."""
        whole = sum(one.share or 1 for one in self.inputs.values())
        return (self.inputs[measure].share or 1) / whole


def _segments(written: object) -> object:
    return [written] if isinstance(written, str) else written


class AppliesTo(Part):
    """The accounts that a health model judges; `any` is every segment."""

    segment: Annotated[tuple[Name, ...], BeforeValidator(_segments), Field(min_length=1)] = (ANY,)

    def __contains__(self, segment: str | None) -> bool:
        return ANY in self.segment or segment in self.segment

    def overlaps(self, other: AppliesTo) -> bool:
        """Whether one account could be judged by both."""
        either = {*self.segment, *other.segment}
        return ANY in either or bool(set(self.segment) & set(other.segment))


class HealthModel(Definition):
    """How measures become a score; of the models that apply the highest priority is used."""

    title: Text | None = None
    applies_to: AppliesTo = AppliesTo()
    priority: int = 0
    bands: Bands = Bands()
    dimensions: dict[Name, Dimension] = Field(min_length=1)


class PlayOwner(Part):
    """Who does the steps: a role (or a person's name in hub.yaml), and who when that is nobody."""

    role: Role
    backup: Role


class Step(Part):
    """One task of a play. `task` is a template, with or without its folder; `owner` replaces the
    play's owner."""

    id: Name
    task: Template
    due: DueIn
    priority: Literal["low", "medium", "high"] = "medium"
    owner: PlayOwner | None = None


class IfStalled(Part):
    """Who hears of it when nothing happened for so long."""

    after: DueIn
    escalate_to: Role


class Ends(Part):
    """When a play is over, and what then becomes of its open tasks."""

    when: Literal["signal clears"] = "signal clears"
    task: Literal["close with note", "leave open"] = "close with note"


class Play(Definition):
    """A workflow: which outcome it serves, who owns it, its steps, and what if it stalls.

    The event that starts it is a signal with `opens: {play: …}` (S3: all four are asked for).
    """

    title: Text | None = None
    outcome: Outcome
    owner: PlayOwner
    steps: tuple[Step, ...] = Field(min_length=1)
    if_stalled: IfStalled
    ends: Ends = Ends()

    @model_validator(mode="after")
    def _ids_differ(self) -> Play:
        ids = [step.id for step in self.steps]
        if len(set(ids)) != len(ids):
            raise mistake("has two steps with one id", "Give each step an id of its own")
        return self


@dataclass(frozen=True)
class Definitions:
    """All rules that hold, by name; `signal_order` has every signal after those it names."""

    measures: Mapping[str, MeasureDef] = field(default_factory=dict)
    signals: Mapping[str, SignalDef] = field(default_factory=dict)
    health: Mapping[str, HealthModel] = field(default_factory=dict)
    plays: Mapping[str, Play] = field(default_factory=dict)
    signal_order: tuple[str, ...] = ()

    def model_for(self, segment: str | None) -> HealthModel | None:
        """The one health model for accounts of a segment; None when none applies."""
        fitting = [model for model in self.health.values() if segment in model.applies_to]
        return max(fitting, key=lambda model: model.priority, default=None)

    def openers(self, play: str) -> tuple[str, ...]:
        """The signals that start a play."""
        signals = self.signals.values()
        return tuple(one.name for one in signals if one.opens and one.opens.play == play)


SECTIONS: Mapping[str, type[Definition]] = {
    "measures": MeasureDef,
    "signals": SignalDef,
    "health": HealthModel,
    "plays": Play,
}
"""The four sections of a rule file and what each holds."""


@dataclass
class RuleSet:
    """Rules as they were read, before it is known whether they fit together.

    `shipped` came with plugins and may name segments that a team does not have. `broken` are names
    whose rule could not be read: others may still refer to them. `waiting` are plays whose signal
    is switched off.
    """

    items: dict[tuple[str, str], Definition] = field(default_factory=dict)
    shipped: frozenset[tuple[str, str]] = frozenset()
    broken: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)

    def definitions(self, signal_order: tuple[str, ...]) -> Definitions:
        """All four kinds by name."""
        kinds: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for (section, name), one in self.items.items():
            kinds[section][name] = one
        return Definitions(**kinds, signal_order=signal_order)

    def is_shipped(self, one: Definition) -> bool:
        """Whether the rule came with a plugin and was not replaced."""
        return any(self.items.get(key) is one for key in self.shipped)

    def replace(self, section: str, name: str, one: Definition | None) -> None:
        """Put a rule in place of the one of that name; None switches that one off."""
        before = self.items.pop((section, name), None)
        self.shipped -= {(section, name)}
        if one is not None:
            self.items[section, name] = one
        elif isinstance(before, SignalDef) and before.opens:
            self.waiting.add(before.opens.play)


def read_rules(
    shipped: Iterable[YamlFile], own: Iterable[YamlFile], problems: list[ConfigError]
) -> RuleSet:
    """The shipped rules, each replaced by the own one of its name where there is one.

    Among the shipped, and among the own, a name stands once. What is wrong with a single rule
    joins `problems`.
    """
    rules = RuleSet()
    _read_layer(rules, shipped, problems)
    rules.shipped = frozenset(rules.items)
    _read_layer(rules, own, problems)
    return rules


def _read_layer(rules: RuleSet, files: Iterable[YamlFile], problems: list[ConfigError]) -> None:
    first: dict[tuple[str, str], str] = {}
    for file in files:
        _refuse_other_sections(file, problems)
        for section in SECTIONS:
            for name in file.section(section):
                _read_rule(rules, file, section, str(name), first, problems)


def _refuse_other_sections(file: YamlFile, problems: list[ConfigError]) -> None:
    if not isinstance(file.data, dict):
        do = f"Begin with one of {', '.join(SECTIONS)}"
        problems.append(ConfigError("a rule file holds sections", where=file.name, do=do))
        return
    for key, value in file.data.items():
        place, wrong = file.where(key), None
        if key not in SECTIONS:
            wrong = ConfigError(
                f"{key} is not a section of a rule file", where=place, do=nearest(key, SECTIONS)
            )
        elif not isinstance(value, dict | None):
            do = "Write each one as name: {…}"
            wrong = ConfigError(f"{key} does not hold names with rules", where=place, do=do)
        if wrong:
            problems.append(wrong)


def _read_rule(
    rules: RuleSet,
    file: YamlFile,
    section: str,
    name: str,
    first: dict[tuple[str, str], str],
    problems: list[ConfigError],
) -> None:
    where = file.where(section, name)
    # A condition reads measures and signals alike, so these two share their names.
    space = "conditions" if section in ("measures", "signals") else section
    if earlier := first.get((space, name)):
        what = f"{section}.{name} is defined a second time, first in {earlier}"
        problems.append(ConfigError(what, where=where, do="Give one of them another name"))
        return
    first[space, name] = where
    written = file.section(section)[name]
    if written == "off":
        _switch_off(rules, section, name, where, problems)
        return
    one = _checked(file, section, name, written, problems)
    if one is None:
        rules.broken.add(name)
    rules.replace(section, name, one)


def _switch_off(
    rules: RuleSet, section: str, name: str, where: str, problems: list[ConfigError]
) -> None:
    if (section, name) not in rules.items:
        there = [known for kind, known in rules.items if kind == section]
        what = f"{section}.{name} is switched off, but nothing of that name is shipped"
        problems.append(ConfigError(what, where=where, do=nearest(name, there)))
    rules.replace(section, name, None)


def _checked(
    file: YamlFile, section: str, name: str, written: object, problems: list[ConfigError]
) -> Definition | None:
    where = file.where(section, name)
    if not NAME.fullmatch(name):
        do = f"Use {NAME_FORM}"
        problems.append(ConfigError(f"{name} cannot be a name", where=where, do=do))
        return None
    path = (section, name)
    one = validated(SECTIONS[section], file, problems, path=path, data=written)
    return one.named(name, file, section) if one else None
