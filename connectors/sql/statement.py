"""The query an admin wrote, before anything is sent: one statement, and it only reads (SEC41).

Only listed nodes and functions pass. What is sent is written anew from the tree that was checked,
so a comment or a quoting trick that the database reads otherwise never gets there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError

from hub import ConfigError

from .harmless import FUNCTIONS, NODES

BINDS = ("cursor", "cursor_id")
"""What a query may ask for: the place behind which the hub reads, NULL at the first read."""

MAX_DEPTH = 50
_DIALECTS = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql", "awsathena": "athena"}
_STARTS = (TokenType.SELECT, TokenType.WITH)
_OPENS = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE)
_CLOSES = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END)
_MARK = "hub_bind_"
_CONTROL = re.compile(r"[^\S\t\r\n ]|[\x00-\x08\x0e-\x1f\x7f]")
_TABLE = re.compile(r"[\w $-]+")
_SYSTEM = re.compile(r"(?i)(pg|sqlite|pragma)_")
_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "sys", "mysql", "performance_schema")


@dataclass(frozen=True)
class Statement:
    """A query that was proved to be one plain read.

    `text` is for SQLAlchemy's `text()`; `binds` are those of BINDS that it asks for; `tables` are
    what it reads, for the sentence that says what to grant.
    """

    text: str
    binds: frozenset[str]
    tables: tuple[str, ...]


def checked(query: str, backend: str, *, where: str) -> Statement:
    """The statement to send. Raises ConfigError for what is not provably one plain read."""
    dialect = sqlglot.Dialect.get_or_raise(_dialect(backend))
    try:
        tokens = _one_statement(dialect.tokenize(query))
        if _CONTROL.search(query):
            raise _Refused("it holds a control character")
        if _MARK in query.lower():
            raise _Refused(f"names with {_MARK} are the hub's own")
        return _statement(dialect.parser().parse(tokens, query)[0], dialect)
    except _Refused as refused:
        why = str(refused)
    except (SqlglotError, RecursionError, ValueError):
        why = "it cannot be read as SQL"
    raise ConfigError(
        f"the query is refused: {why}",
        where=where,
        do="Write one SELECT over the usage table (connectors/sql/README.md, Query)",
    )


class _Refused(Exception):
    pass


def _dialect(backend: str) -> str:
    name = _DIALECTS.get(backend, backend)
    return name if name in sqlglot.Dialects.__members__.values() else ""


def _one_statement(tokens: list[sqlglot.Token]) -> list[sqlglot.Token]:
    """The words of the one statement; what must hold before a parser is trusted with them."""
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens = tokens[:-1]
    if any(token.token_type == TokenType.SEMICOLON for token in tokens):
        raise _Refused("it must be one statement")
    if not tokens or tokens[0].token_type not in _STARTS:
        raise _Refused("it must start with SELECT or WITH")
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPENS) - (token.token_type in _CLOSES)
        if depth > MAX_DEPTH:
            raise _Refused(f"more than {MAX_DEPTH} brackets stand in each other")
    return tokens


def _statement(tree: exp.Expr | None, dialect: sqlglot.Dialect) -> Statement:
    if not isinstance(tree, exp.Query):
        raise _Refused("it must be one SELECT")
    for node in tree.walk():
        _check_node(node)
    if any(tree.args.get(part) for part in ("limit", "offset")):
        raise _Refused("its LIMIT would hide rows from the hub, which pages by itself")
    binds = frozenset(bind.name for bind in tree.find_all(exp.Placeholder))
    for bind in list(tree.find_all(exp.Placeholder)):
        bind.replace(exp.column(f"{_MARK}{bind.name}"))
    text = tree.sql(dialect, comments=False)
    if sqlglot.parse_one(text, read=dialect) != tree:
        raise _Refused("a part of it can be read in two ways")
    escaped = text.replace(":", r"\:")  # else SQLAlchemy takes a colon in a text for a bind
    return Statement(escaped.replace(_MARK, ":"), binds, _tables(tree))


def _check_node(node: exp.Expr) -> None:
    match node:
        case exp.Anonymous():
            if node.name.lower() not in FUNCTIONS:
                raise _Refused(f"it calls {node.name}, which is not known to only compute")
        case exp.Placeholder():
            if node.name not in BINDS:
                raise _Refused(f"it may ask for :{' and :'.join(BINDS)} alone")
        case exp.Table():
            _check_table(node)
    if node.key not in NODES and not isinstance(node, exp.Anonymous):
        raise _Refused(f"it holds {node.key.upper()}, which is not known to only read")


def _check_table(table: exp.Table) -> None:
    if isinstance(table.this, exp.Identifier) and not _TABLE.fullmatch(table.name):
        raise _Refused(f'"{table.name}" is no name of a table')
    if _SYSTEM.match(table.name) or table.db.lower() in _SYSTEM_SCHEMAS:
        raise _Refused(f"{table.name} belongs to the database itself")


def _tables(tree: exp.Expr) -> tuple[str, ...]:
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    found = (
        ".".join(part.name for part in table.parts)
        for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier) and table.name not in named
    )
    return tuple(dict.fromkeys(found))
