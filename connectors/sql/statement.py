"""The query an admin wrote, before anything is sent: one statement, and it only reads (SEC41)."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from hub import ConfigError

READS = (exp.Select, exp.SetOperation)
WRITES = (
    exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Copy,
    exp.Command, exp.Set, exp.Into, exp.Attach, exp.Detach, exp.Pragma, exp.TruncateTable,
    exp.Lock, exp.Use, exp.Transaction, exp.Commit, exp.Rollback, exp.Grant, exp.LoadData,
)  # fmt: skip
HARMLESS_WORDS = """
abs avg cast ceil coalesce concat concat_ws count date date_trunc datetime day dense_rank extract
first_value floor format greatest hour if ifnull iif initcap instr json_extract
json_extract_path_text julianday lag last_value lead least left length lower lpad ltrim max md5 min
mod month now nullif power quarter rank regexp_replace replace right round row_number rpad rtrim
sign split_part strftime string_agg strpos substr substring sum time to_char to_date to_timestamp
trim trunc upper week year
"""
HARMLESS = frozenset(HARMLESS_WORDS.split())
"""Functions that the parser does not know by a name of its own and that only compute."""


def checked(query: str, dialect: str, *, where: str) -> str:
    """The query without its last semicolon. Raises ConfigError for what is no plain read."""
    text = query.strip().rstrip(";").strip()
    try:
        statements = sqlglot.parse(text, read=_dialect(dialect))
    except (SqlglotError, RecursionError) as error:
        raise _refused("it cannot be read as SQL", where) from error
    if len(statements) != 1 or statements[0] is None:
        raise _refused("it must be one statement", where)
    tree = statements[0]
    if not isinstance(tree, READS):
        raise _refused("it must be one SELECT", where)
    if found := tree.find(*WRITES):
        raise _refused(f"it holds {found.key.upper()}, and the hub only reads", where)
    for lock in tree.find_all(exp.Select):
        if lock.args.get("locks") or lock.args.get("into"):
            raise _refused("it locks or writes rows", where)
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() not in HARMLESS:
            raise _refused(
                f"it calls {call.name}, which the hub does not know to be harmless", where
            )
    return text


def _refused(why: str, where: str) -> ConfigError:
    return ConfigError(
        f"the query is refused: {why}",
        where=where,
        do="Write one SELECT over the usage table (connectors/sql/README.md, Query)",
    )


def _dialect(name: str) -> str:
    return {"postgresql": "postgres", "mssql": "tsql"}.get(name, name)
