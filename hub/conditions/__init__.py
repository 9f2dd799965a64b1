"""A rule's condition: one text, and from its one tree the check, the SQL and the explanation.

The language is small on purpose; docs/conditions.md shows it to admins. `words` lets only its words
and signs through, `tree` gives them types, `database` makes the SQL, `clearing` asks what would
make a condition false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlglot import exp

from ..errors import ConfigError
from .clearing import Reading, smallest_change
from .database import Dialect, to_sql
from .tree import (
    ARITHMETIC,
    COMPARISONS,
    check_depth,
    check_types,
    names_of,
    parse,
    plain,
    shape_of,
)
from .words import Kind, Name, Value, check_words, fill, lex, words_in

__all__ = [
    "Condition",
    "Dialect",
    "Kind",
    "Name",
    "Part",
    "Reading",
    "Value",
    "compile_condition",
    "names_in",
    "negate",
]


@dataclass(frozen=True)
class Part:
    """A sub-expression to show in an explanation, with the SQL that gives its value.

    `kind` tells a claim (true, false or unknown) from a number; SQLite's answers do not.
    """

    text: str
    sql: str
    names: frozenset[str]
    kind: Literal["claim", "number"]


@dataclass(frozen=True)
class Condition:
    """A checked condition; `text` has its fill-ins filled, `names` are what it reads."""

    text: str
    names: frozenset[str]
    _tree: exp.Expr = field(repr=False, compare=False)

    def sql(self, dialect: Dialect) -> str:
        """A three-valued boolean expression over quoted column names.

        For SQLAlchemy wrap it in `literal_column`, not in `text`: that would read `:x` inside a
        quoted text as a parameter.
        """
        return to_sql(self._tree, dialect)

    def parts(self, dialect: Dialect) -> Sequence[Part]:
        """The comparisons, bare signals and calculated sides in reading order, each once."""
        shown = {plain(node): node for node in _worth_showing(self._tree)}
        return [
            Part(
                text,
                to_sql(node, dialect),
                names_of(node),
                "claim" if shape_of(node).kind == "boolean" else "number",
            )
            for text, node in shown.items()
        ]

    def clearing(self, values: Mapping[str, Reading]) -> str | None:
        """The smallest change of one name that makes the condition false, in plain words.

        For example "tickets_30d falls below 8". None when it is not true now, or when no change of
        a single name is sure to do it; a date or an unknown value is never the one to change.
        """
        return smallest_change(self._tree, values)


def compile_condition(
    text: str,
    names: Mapping[str, Name],
    given: Mapping[str, Value] | None = None,
    *,
    where: str,
) -> Condition:
    """The condition of a rule, checked against the registry's names; `given` fills `{name}`.

    Raises ConfigError with code CONDITION_REFUSED, `where`, and what to write instead in `do`.
    """
    try:
        filled = fill(text, given or {})
        tokens = lex(filled)
        check_words(tokens, names)
        tree = parse(tokens)
        check_types(tree, names)
        check_depth(tree)
    except ConfigError as refused:
        refused.where = where
        raise
    return Condition(" ".join(filled.split()), names_of(tree), tree)


def negate(condition: Condition) -> Condition:
    """The opposite, for a signal that does not say how it clears; unknown stays unknown."""
    tree = exp.Not(this=exp.Paren(this=condition._tree.copy()))
    return Condition(f"NOT ({condition.text})", condition.names, tree)


def names_in(text: str, given: Mapping[str, Value] | None = None) -> frozenset[str]:
    """The names that a text uses, not yet checked; `given` is taken along and never adds one."""
    return words_in(lex(text))


def _worth_showing(tree: exp.Expr) -> Iterator[exp.Expr]:
    for node in tree.dfs():
        if isinstance(node, exp.Column) and shape_of(node).kind == "boolean":
            yield node
        if isinstance(node, (*COMPARISONS, exp.Between, exp.In)):
            yield node
            for side in (child.unnest() for child in node.iter_expressions()):
                if isinstance(side, ARITHMETIC) and names_of(side):
                    yield side
