"""A condition's tree: parsed by sqlglot, then only listed nodes pass, each with type and unit.

The types stand in the tree itself (`shape_of`), so the SQL and the explanation use the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from ..errors import ConfigError
from .words import DATE_ARITHMETIC, KEYWORDS, TOO_DEEP, Name, Token, refusal

COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div)
MAX_PENDING = 66
"""SQLite's parser gives up at 100 pending words and signs; the query around needs the rest."""

_PENDING_BEFORE: dict[type[exp.Expr], int] = {exp.Div: 5, exp.Between: 4, exp.In: 4}
"""What waits while a later side is read: `a / NULLIF (`, `a BETWEEN b AND`; 2 for other signs."""


def parse(tokens: Sequence[Token]) -> exp.Expr:
    """One tree for the whole condition, or the refusal of what cannot be read."""
    try:
        tree = sqlglot.parse_one(" ".join(map(_for_parser, tokens)), into=exp.Condition)
    except (SqlglotError, RecursionError) as error:
        details = error.errors if isinstance(error, ParseError) else []
        found = next((str(detail["highlight"]) for detail in details), "its end")
        raise _unreadable(found.strip('"')) from None
    for identifier in tree.find_all(exp.Identifier):
        if not identifier.args.get("quoted"):  # sqlglot takes a keyword such as IN for a name
            raise _unreadable(identifier.name)
        identifier.set("quoted", False)
    return tree


def _for_parser(token: Token) -> str:
    """Every name is quoted, so that none of them can be a keyword of SQL."""
    if token.kind != "word":
        return token.text
    keyword = token.text.upper()
    return keyword if keyword in KEYWORDS else f'"{token.text}"'


def _unreadable(place: str) -> ConfigError:
    return refusal(
        f"cannot be read near {place}",
        "Write comparisons such as tickets_30d >= 4 or days BETWEEN 2 AND 5, joined with AND or OR",
    )


def shape_of(node: exp.Expr) -> Name:
    """The type and unit that the check gave to a node."""
    shape: Name = node.meta["shape"]
    return shape


def check_types(tree: exp.Expr, names: Mapping[str, Name]) -> None:
    """Give every node its type, children first and without recursion, or refuse."""
    for node in reversed(list(tree.bfs())):
        if not isinstance(node, exp.Identifier):
            node.meta["shape"] = _type_of(node, names)
    _need_claim(tree)


def check_depth(tree: exp.Expr) -> None:
    """Refuse what passes the limit on nesting but would still overflow SQLite's parser."""
    pending: dict[int, int] = {}
    for node in reversed(list(tree.bfs())):
        first, *others = [pending[id(child)] for child in node.iter_expressions()] or [2]
        prefix = 0 if isinstance(node, exp.Binary) else 1
        before = _PENDING_BEFORE.get(type(node), 2)
        pending[id(node)] = max([prefix + first, *(before + count for count in others)])
    if pending[id(tree)] > MAX_PENDING:
        raise refusal(*TOO_DEEP)


def _type_of(node: exp.Expr, names: Mapping[str, Name]) -> Name:
    match node:
        case exp.Column():
            return names[node.name]
        case exp.Literal():
            return Name("text" if node.is_string else "number")
        case exp.Paren():
            return shape_of(node.this)
        case exp.Not() | exp.And() | exp.Or():
            for side in (node.this, node.args.get("expression")):
                if side is not None:
                    _need_claim(side)
            return Name("boolean")
        case exp.Neg():
            _need_number(node.this)
            return shape_of(node.this)
        case exp.Add() | exp.Sub() | exp.Mul() | exp.Div():
            return _arithmetic(node)
        case exp.Between():
            for side in (node.args["low"], node.args["high"]):
                _comparable(node, node.this, side)
            return Name("boolean")
        case exp.In():
            return _membership(node)
        case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
            _comparable(node, node.this, node.expression)
            return Name("boolean")
    raise refusal(
        "puts values side by side where one belongs",
        "Write one value on each side of a sign, and lists only after IN: plan IN ('pro', 'team')",
    )


def _need_claim(node: exp.Expr) -> None:
    kind = shape_of(node).kind
    if kind != "boolean":
        example = {"number": "> 0", "text": "= 'pro'", "date": "< '2026-03-31'"}[kind]
        raise refusal(
            f"uses {plain(node)} as if it were true or false",
            f"Compare it with something: {plain(node)} {example}",
        )


def _need_number(node: exp.Expr) -> None:
    kind = shape_of(node).kind
    if kind == "number":
        return
    if kind == "date" or (kind == "text" and _is_day(node)):
        raise refusal(*DATE_ARITHMETIC)
    what = "a text" if kind == "text" else "a true or false"
    raise refusal(f"calculates with {what} ({plain(node)})", "Calculate with numbers only")


def _arithmetic(node: exp.Expr) -> Name:
    for side in (node.this, node.expression):
        _need_number(side)
    if isinstance(node, exp.Mul | exp.Div):
        return Name("number")  # a factor may turn any unit into any other
    _same_unit(node.this, node.expression)
    return Name("number", shape_of(node.this).unit or shape_of(node.expression).unit)


def _same_unit(left: exp.Expr, right: exp.Expr) -> None:
    one, other = shape_of(left).unit, shape_of(right).unit
    if one and other and one != other:
        raise refusal(
            f"sets {plain(left)} ({one}) against {plain(right)} ({other})",
            "Compare numbers of one unit, or say the factor: days_to_renewal < 2 * tickets_30d",
        )


def _comparable(node: exp.Expr, left: exp.Expr, right: exp.Expr) -> None:
    _refuse_claims(left, right)
    for side, other in ((left, right), (right, left)):
        if shape_of(side).kind == "date" and isinstance(other.unnest(), exp.Literal):
            _take_as_day(other)
    kinds = shape_of(left).kind, shape_of(right).kind
    if kinds[0] != kinds[1]:
        raise refusal(
            f"compares {plain(left)} (a {kinds[0]}) with {plain(right)} (a {kinds[1]})",
            "Compare a number with a number, a date with a date and a text with a quoted text",
        )
    if kinds[0] == "text" and not isinstance(node, exp.EQ | exp.NEQ | exp.In):
        raise refusal(
            f"puts texts in an order ({plain(node)})", "Compare a text only with =, <> or IN"
        )
    _same_unit(left, right)


def _refuse_claims(*sides: exp.Expr) -> None:
    for side in sides:
        if isinstance(side.unnest(), exp.Column) and shape_of(side).kind == "boolean":
            raise refusal(
                f"compares {plain(side)}, which is true or false by itself",
                f"Write {plain(side)} alone, or NOT {plain(side)}",
            )
        if shape_of(side).kind == "boolean":
            raise refusal(
                "chains comparisons", "Join them with AND: 2 < tickets_30d AND tickets_30d < 5"
            )


def _membership(node: exp.In) -> Name:
    items = node.expressions
    listed = all(isinstance(item, exp.Literal | exp.Neg) and not names_of(item) for item in items)
    if node.args.get("field") is not None or not items or not listed:
        raise refusal(
            "has no list of numbers or quoted texts after IN",
            "Write the list: plan IN ('pro', 'team'); compare names with =, joined with OR",
        )
    for item in items:
        _comparable(node, node.this, item)
    return Name("boolean")


def _is_day(node: exp.Expr) -> bool:
    day = node.unnest().name
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", day):
        return False
    try:
        return bool(date.fromisoformat(day))
    except ValueError:
        return False


def _take_as_day(node: exp.Expr) -> None:
    if not _is_day(node):
        raise refusal(
            f"compares a date with {plain(node)}", "Write the day as '2026-03-31', in quotes"
        )
    for part in node.walk():
        part.meta["shape"] = Name("date")


def plain(node: exp.Expr) -> str:
    """A part of a condition in its own words."""
    return node.sql()


def names_of(node: exp.Expr) -> frozenset[str]:
    """The measures and signals that a part reads."""
    return frozenset(column.name for column in node.find_all(exp.Column))
