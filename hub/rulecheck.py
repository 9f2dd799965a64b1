"""Whether rules fit together: every name they use exists, every condition can be read.

Each rule alone was checked when it was read (`hub/definitions.py`); here is what one rule asks of
another, of config/ and of the fact views. Every problem is told, none twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import chain, combinations, islice

from .conditions import Name, compile_condition, names_in
from .definitions import (
    ANY,
    BLANK,
    Definition,
    Fill,
    HealthModel,
    MeasureDef,
    Play,
    PlayOwner,
    RuleSet,
    SignalDef,
)
from .errors import ConfigError
from .yamlfile import nearest

SINCE = "since"
"""What `says:` may hold beside measures: the day since when the signal is true."""

CSM = "csm"
"""The role of whoever owns an account's primary CRM record; it needs no person in hub.yaml."""


@dataclass(frozen=True)
class Surroundings:
    """What rules may refer to outside of themselves.

    `names` are the measures that plugins bring, `facts` the fact views with their fields (empty:
    not checked), `roles` are roles and people of hub.yaml, `templates` the task texts.
    """

    names: Mapping[str, Name] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Name]] = field(default_factory=dict)
    segments: Collection[str] = ()
    roles: Collection[str] = ()
    templates: Collection[str] = ()


def check_rules(
    rules: RuleSet, around: Surroundings, problems: list[ConfigError]
) -> tuple[str, ...]:
    """The signals in an order in which each comes after those that it names; problems are added."""
    check = _Check(rules, around)
    problems.extend(check.all())
    order, circle = check.signal_order()
    problems.extend(circle)
    return order


class _Check:
    def __init__(self, rules: RuleSet, around: Surroundings) -> None:
        items = rules.items.values()
        self.rules = rules
        self.around = around
        self.broken = rules.broken
        self.waiting = rules.waiting
        self.measures = [one for one in items if isinstance(one, MeasureDef)]
        self.signals = [one for one in items if isinstance(one, SignalDef)]
        self.models = [one for one in items if isinstance(one, HealthModel)]
        self.plays = [one for one in items if isinstance(one, Play)]
        self.numbers = {**around.names, **{one.name: one.as_name() for one in self.measures}}
        self.names = {**self.numbers, **{one.name: Name("boolean") for one in self.signals}}

    def all(self) -> Iterator[ConfigError]:
        for measure in self.measures:
            yield from self.measure(measure)
        for signal in self.signals:
            yield from self.signal(signal)
        for model in self.models:
            yield from self.model(model)
        yield from self.ties()
        for play in self.plays:
            yield from self.play(play)

    def measure(self, one: MeasureDef) -> Iterator[ConfigError]:
        if one.name in self.around.names:
            yield _problem(one, "has the name of a measure in Python", "Give it another name")
        if one.primitive == "ratio":
            for part in (one.source, one.over or ""):
                yield from self.known(one, "measure", part, self.numbers)
            return
        fields = self.around.facts.get(one.source)
        if fields is None:
            if self.around.facts:
                yield from self.known(one, "fact", one.source, self.around.facts)
            return
        if one.field:
            yield from self.known(one, f"field of {one.source}", one.field, fields)
        yield from self.condition(one, "where", one.where, fields, {})

    def signal(self, one: SignalDef) -> Iterator[ConfigError]:
        yield from self.segments(one, one.by_segment)
        for values in one.by_segment.values():
            for name in values:
                yield from self.known(one, "value in with:", name, one.given)
        fills = [one.given, *({**one.given, **values} for values in one.by_segment.values())]
        for key, text in (("when", one.when), ("clears", one.clears)):
            found = (self.condition(one, key, text, self.names, given) for given in fills)
            yield from islice(chain.from_iterable(found), 1)
        for name in BLANK.findall(one.says or ""):
            yield from self.known(one, "measure", name, {*self.numbers, SINCE})
        if one.opens:
            plays = [play.name for play in self.plays]
            yield from self.known(one, "play", one.opens.play, plays)

    def segments(self, one: Definition, names: Iterable[str]) -> Iterator[ConfigError]:
        if self.rules.is_shipped(one):
            return
        for name in names:
            yield from self.known(one, "segment", name, [ANY, *self.around.segments])

    def condition(
        self,
        one: Definition,
        key: str,
        text: str | None,
        names: Mapping[str, Name],
        given: Mapping[str, Fill],
    ) -> Iterator[ConfigError]:
        if text is None:
            return
        try:
            if not names_in(text) & self.broken:
                compile_condition(text, names, given, where=one.place(key))
        except ConfigError as refusal:
            refusal.where = one.place(key)
            yield refusal

    def signal_order(self) -> tuple[tuple[str, ...], list[ConfigError]]:
        by_name = {one.name: one for one in (*self.measures, *self.signals)}
        uses = {name: sorted(_uses(one) & by_name.keys()) for name, one in by_name.items()}
        try:
            order = TopologicalSorter(uses).static_order()
            return tuple(name for name in order if isinstance(by_name[name], SignalDef)), []
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            what = f"needs itself: {' needs '.join(circle)}"
            return (), [_problem(by_name[circle[0]], what, "Take one of these names out")]

    def model(self, one: HealthModel) -> Iterator[ConfigError]:
        yield from self.segments(one, one.applies_to.segment)
        for dimension in one.dimensions.values():
            for measure in dimension.inputs:
                yield from self.known(one, "measure", measure, self.numbers)
                if self.numbers.get(measure, Name("number")).kind != "number":
                    what = f"scores {measure}, which is no number"
                    yield _problem(one, what, "Use a measure that counts or sums")

    def ties(self) -> Iterator[ConfigError]:
        for first, second in combinations(self.models, 2):
            if first.priority == second.priority and first.applies_to.overlaps(second.applies_to):
                yield _problem(
                    second,
                    f"and {first.name} ({first.place()}) both have priority {first.priority}, and"
                    " one account can have both",
                    "Give one of them a higher priority",
                )

    def play(self, one: Play) -> Iterator[ConfigError]:
        opened = {signal.opens.play for signal in self.signals if signal.opens} | self.waiting
        if one.name not in opened and not self.broken:
            what = "is started by no event"
            yield _problem(one, what, f"Add opens: {{play: {one.name}}} to a signal")
        for owner in {one.owner, *(step.owner for step in one.steps if step.owner)}:
            yield from self.owner(one, owner)
        yield from self.role(one, one.if_stalled.escalate_to)
        for step in one.steps:
            yield from self.known(one, "template", step.task, self.around.templates)

    def owner(self, one: Play, owner: PlayOwner) -> Iterator[ConfigError]:
        yield from self.role(one, owner.role)
        if owner.backup != owner.role:
            yield from self.role(one, owner.backup)

    def role(self, one: Play, role: str) -> Iterator[ConfigError]:
        if role != CSM and role not in self.around.roles:
            what = f"needs the role {role}, which nobody has"
            do = f"Add {role} to somebody's roles: under people: in config/hub.yaml"
            yield _problem(one, what, do)

    def known(
        self, one: Definition, kind: str, name: str, there: Collection[str]
    ) -> Iterator[ConfigError]:
        if name not in there and name not in self.broken:
            yield _problem(
                one, f"names the {kind} {name}, which is not there", nearest(name, there)
            )


def _place(one: Definition) -> str:
    return f"{one.place}: {one.name}"


def _uses(one: Definition) -> frozenset[str]:
    if isinstance(one, MeasureDef):
        return frozenset((one.source, one.over or "")) if one.primitive == "ratio" else frozenset()
    if not isinstance(one, SignalDef):
        return frozenset()
    try:
        return names_in(one.when) | names_in(one.clears or one.when)
    except ConfigError:  # Told where the condition is compiled.
        return frozenset()


def _problem(one: Definition, what: str, do: str) -> ConfigError:
    return ConfigError(f"{one.name} {what}", where=one.place(), do=do)
