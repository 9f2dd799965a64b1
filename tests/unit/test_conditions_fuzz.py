"""Conditions against chance: nothing escapes the language, and both databases agree with Python."""

import operator
import sqlite3
from typing import NamedTuple

import psycopg
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from hub.conditions import Condition, Name, compile_condition, names_in, negate
from hub.errors import ConfigError

NAMES = {
    "a": Name("number"),
    "b": Name("number", "count"),
    "c": Name("number", "count"),
    "plan": Name("text"),
    "day": Name("date"),
    "late": Name("boolean"),
    "lost": Name("boolean"),
}
TYPES = {
    **{"a": "BIGINT", "b": "BIGINT", "c": "DOUBLE PRECISION", "plan": "TEXT", "day": "DATE"},
    **{"late": "BOOLEAN", "lost": "BOOLEAN"},
}
DAYS = ["2025-12-31", "2026-03-01", "2026-03-31"]
PLANS = ["pro", "Pro", "it's", ""]


def on_sqlite(condition, row):
    with sqlite3.connect(":memory:") as database:
        columns = ", ".join(f"? AS `{name}`" for name in row)
        sql = f"SELECT {condition.sql('sqlite')} FROM (SELECT {columns})"
        found = database.execute(sql, list(row.values())).fetchone()[0]
    assert found in (None, 0, 1)
    return None if found is None else bool(found)


# ---- nothing escapes -------------------------------------------------------------------------

ANY_WORDS = """
    a b c plan day late lost x A Late nope 0 1 2 3.5 30d 1e5 0x1 .5 'pro' 'it''s' '2026-03-01' ''
    ' " ` = <> != < <= > >= == <=> + - * / % ( ) (( )) , . ; : :: ? $1 @ { } {f} {g} {F} [ ] ! && |
    || AND OR NOT BETWEEN IN and or not between in IS NULL LIKE TRUE FALSE CASE WHEN THEN END CAST
    SELECT FROM WHERE EXISTS ANY UNION DROP TABLE PRAGMA ATTACH count( abs( current_date interval
    -- /* */ # \\ \x00 \u200b ≥ é 日 🙂
"""
LIKELY_WORDS = """
    a b late lost plan day 1 2.5 'pro' '2026-03-01' = < >= + - * / ( ) AND OR NOT BETWEEN IN , {f}
"""
SOUP = st.sampled_from(ANY_WORDS.split())
LIKELY = st.sampled_from(LIKELY_WORDS.split())
SOUPS = st.builds(
    lambda words, between: between.join(words),
    st.lists(SOUP, max_size=25) | st.lists(LIKELY, max_size=12),
    st.sampled_from([" ", "", "\n"]),
)
ANY_TEXT = st.text(max_size=60) | st.binary(max_size=60).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
ANY_VALUE = st.text(max_size=20) | st.integers() | st.floats() | st.decimals()


def answer_or_refusal(text, given):
    try:
        return compile_condition(text, NAMES, given, where="rules.yaml, line 1")
    except ConfigError as refusal:
        return refusal


@settings(max_examples=2000)
@given(text=SOUPS | ANY_TEXT, value=ANY_VALUE)
def test_every_text_is_a_condition_over_known_names_that_runs_or_is_refused(text, value):
    """SEC17: no text raises anything else, and what is accepted reads these columns alone."""
    condition = answer_or_refusal(text, {"f": value})

    if isinstance(condition, ConfigError):
        assert condition.code == "CONDITION_REFUSED"
        assert condition.where == "rules.yaml, line 1"
        assert condition.do
    else:
        assert condition.names <= NAMES.keys()
        on_sqlite(condition, dict.fromkeys(NAMES))
        on_sqlite(negate(condition), dict.fromkeys(NAMES))
        assert condition.parts("postgresql") is not None


@settings(max_examples=500)
@given(text=SOUPS | ANY_TEXT)
def test_the_names_of_every_text_are_told_or_it_is_refused(text):
    try:
        names = names_in(text)
    except ConfigError as refusal:
        names = {refusal.code}

    assert names == {"CONDITION_REFUSED"} or all(name in text for name in names)


# ---- every condition means what an independent reading of it says ----------------------------


class Written(NamedTuple):
    """A random expression: how it is written, how tight it binds, and its value on a row."""

    text: str
    binds: int
    value: object


def inside(part, binds):
    return part.text if part.binds >= binds else f"({part.text})"


def known(*values):
    return all(value is not None for value in values)


def operation(sign, left, right):
    binds = 5 if sign in "+-" else 6

    def value(row):
        x, y = left.value(row), right.value(row)
        if not known(x, y) or (sign == "/" and y == 0):
            return None
        signs = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
        return signs[sign](x, y)

    return Written(f"{inside(left, binds)} {sign} {inside(right, binds + 1)}", binds, value)


def minus(part):
    def value(row):
        found = part.value(row)
        return None if found is None else -found

    return Written(f"-{inside(part, 8)}", 7, value)


def comparison(sign, left, right):
    signs = {
        **{"=": operator.eq, "<>": operator.ne, "!=": operator.ne, "<": operator.lt},
        **{"<=": operator.le, ">": operator.gt, ">=": operator.ge},
    }

    def value(row):
        x, y = left.value(row), right.value(row)
        return signs[sign](x, y) if known(x, y) else None

    return Written(f"{inside(left, 5)} {sign} {inside(right, 5)}", 4, value)


def negated(part):
    def value(row):
        found = part.value(row)
        return None if found is None else not found

    return Written(f"NOT {inside(part, 3)}", 3, value)


def joined(word, left, right):
    decides = word == "OR"
    binds = 1 if decides else 2

    def value(row):
        found = {left.value(row), right.value(row)}
        if decides in found:
            return decides
        return None if None in found else not decides

    return Written(f"{inside(left, binds)} {word} {inside(right, binds + 1)}", binds, value)


def between(part, low, high, word):
    claim = joined("AND", comparison(">=", part, low), comparison("<=", part, high))
    value = negated(claim).value if word == "NOT BETWEEN" else claim.value
    return Written(f"{inside(part, 5)} {word} {inside(low, 5)} AND {inside(high, 5)}", 4, value)


def listed(part, items, word):
    def value(row):
        found = part.value(row)
        if found is None:
            return None
        is_there = any(item.value(row) == found for item in items)
        return is_there if word == "IN" else not is_there

    return Written(f"{inside(part, 5)} {word} ({', '.join(i.text for i in items)})", 4, value)


def name(*names):
    return st.sampled_from(names).map(lambda n: Written(n, 8, lambda row: row[n]))


def quoted(values):
    def written(value):
        return Written("'" + value.replace("'", "''") + "'", 8, lambda row: value)

    return st.sampled_from(values).map(written)


WHOLE = st.integers(0, 12).map(lambda n: Written(str(n), 8, lambda row: n))
DECIMAL = st.sampled_from(["0.1", "0.3", "1.5", "2.0", "0.25"]).map(
    lambda text: Written(text, 8, lambda row: float(text))
)
NUMBER = st.recursive(
    WHOLE | DECIMAL | name("a", "b", "c"),
    lambda part: st.builds(operation, st.sampled_from("+-*/"), part, part) | st.builds(minus, part),
    max_leaves=6,
)
EQUAL = st.sampled_from(["=", "<>", "!="])
ORDER = EQUAL | st.sampled_from(["<", "<=", ">", ">="])
BETWEEN = st.sampled_from(["BETWEEN", "NOT BETWEEN"])
IN = st.sampled_from(["IN", "NOT IN"])
PLAN, DAY = quoted(PLANS), quoted(DAYS)
CLAIM = st.one_of(
    name("late", "lost"),
    st.builds(comparison, ORDER, NUMBER, NUMBER),
    st.builds(between, NUMBER, NUMBER, NUMBER, BETWEEN),
    st.builds(listed, NUMBER, st.lists(WHOLE | DECIMAL, min_size=1, max_size=4), IN),
    st.builds(comparison, EQUAL, name("plan"), PLAN),
    st.builds(listed, name("plan"), st.lists(PLAN, min_size=1, max_size=3), IN),
    st.builds(comparison, ORDER, DAY, name("day")),
    st.builds(between, name("day"), DAY, DAY, BETWEEN),
    st.builds(listed, name("day"), st.lists(DAY, min_size=1, max_size=3), IN),
)
CONDITION = st.recursive(
    CLAIM,
    lambda part: (
        st.builds(joined, st.sampled_from(["AND", "OR"]), part, part) | st.builds(negated, part)
    ),
    max_leaves=6,
)
ROW = st.fixed_dictionaries(
    {
        "a": st.none() | st.integers(-5, 12),
        "b": st.none() | st.integers(-5, 12),
        "c": st.none() | st.sampled_from([-1.5, 0.0, 0.1, 0.25, 0.3, 1.5, 3.0]),
        "plan": st.none() | st.sampled_from(PLANS),
        "day": st.none() | st.sampled_from(DAYS),
        "late": st.none() | st.booleans(),
        "lost": st.none() | st.booleans(),
    }
)


def compiled(written):
    # The generator knows no units, so neither do the names here.
    assume(len(written.text) <= 1000 and "--" not in written.text)
    unitless = {name: Name(known.kind) for name, known in NAMES.items()}
    condition = compile_condition(written.text, unitless, where="rules.yaml, line 1")
    assert isinstance(condition, Condition)
    return condition


@settings(max_examples=600)
@given(written=CONDITION, row=ROW)
def test_sqlite_answers_what_the_condition_says(written, row):
    """R21: known and unknown values alike, with every precedence written without parentheses."""
    condition = compiled(written)

    answer = on_sqlite(condition, row)

    assert answer is written.value(row), written.text


@pytest.fixture(scope="module")
def postgresql(pg_url):
    address = make_url(pg_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
        connection.execute(f"CREATE TEMPORARY TABLE fuzzed ({columns})")
        yield connection


@settings(max_examples=200)
@given(written=CONDITION, row=ROW)
def test_postgresql_answers_what_the_condition_says(postgresql, written, row):
    """R21: the same independent reading, so both databases give the same answer."""
    condition = compiled(written)

    postgresql.execute("DELETE FROM fuzzed")
    marks = ", ".join(["%s"] * len(row))
    postgresql.execute(f"INSERT INTO fuzzed VALUES ({marks})", [row[name] for name in TYPES])
    answer = postgresql.execute(f"SELECT {condition.sql('postgresql')} FROM fuzzed").fetchone()[0]

    assert answer is written.value(row), written.text
