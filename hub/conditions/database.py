"""A condition as SQL for either database, so written that both answer alike.

Columns are BIGINT or DOUBLE PRECISION, TEXT, DATE (ISO text on SQLite) and BOOLEAN.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from sqlglot import exp

from .tree import shape_of

Dialect: TypeAlias = Literal["sqlite", "postgresql"]

_SQLGLOT = {"sqlite": "sqlite", "postgresql": "postgres"}
_QUOTE = {"sqlite": "`", "postgresql": '"'}


def to_sql(node: exp.Expr, dialect: Dialect) -> str:
    """The SQL of a whole condition or of a part of it."""
    tree = node.copy()
    for part in list(tree.walk()):
        match part:
            case exp.Identifier():
                # Not "name" on SQLite: where no such column is, that is a text, and text > 4 holds.
                part.replace(exp.Var(this=f"{_QUOTE[dialect]}{part.name}{_QUOTE[dialect]}"))
            case exp.Div():
                _guard(part)
            case exp.Literal() if kind := _cast_for(part, dialect):
                part.replace(_cast(part.copy(), kind))
    return tree.sql(_SQLGLOT[dialect])


def _guard(division: exp.Div) -> None:
    """Divide as doubles on both databases, and give NULL instead of an error for zero.

    What already holds a division is a double: casting it again would only nest the SQL.
    """
    if not division.this.find(exp.Div):
        division.set("this", _cast(division.this, "double"))
    zero = exp.Literal.number(0)
    division.set("expression", exp.Nullif(this=division.expression, expression=zero))
    division.set("typed", True)  # else sqlglot adds a cast of its own


def _cast(value: exp.Expr, kind: str) -> exp.Cast:
    return exp.Cast(this=value, to=exp.DataType.build(kind))


def _cast_for(literal: exp.Literal, dialect: Dialect) -> str | None:
    if dialect == "sqlite":
        return None
    if literal.is_string:
        return "date" if shape_of(literal).kind == "date" else None
    if "." in literal.name:
        return "double"
    # 2000000000 * 2 overflows INTEGER on PostgreSQL, and the error would stop the whole query.
    calculated = isinstance(literal.parent, exp.Add | exp.Sub | exp.Mul | exp.Neg | exp.Paren)
    return "bigint" if calculated else None
