"""A condition's words: lets only the language through, and bounds it before anything parses it.

Each refusal is one sentence with what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Literal, NamedTuple, TypeAlias

from ..errors import ConfigError

Kind: TypeAlias = Literal["number", "text", "date", "boolean"]
Value: TypeAlias = int | float | Decimal | str

MAX_CHARACTERS = 1000
MAX_NESTING = 20
MAX_COMPARISONS = 100
MAX_DIGITS = 15  # every such number is exact as a double and fits a BIGINT

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<number>[0-9]+(?:\.[0-9]+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<text>'(?:[^'\x00-\x1f\x7f-\x9f\ud800-\udfff]|'')*+')
    | (?P<blank>\{[a-z][a-z0-9_]{0,49}\})
    | (?P<comment>--|/\*|\*/|\#)
    | (?P<odd>==|=>|=<|&&|\|\||[!](?!=)|[≥≤≠−–×÷])
    | (?P<sign><=|>=|<>|!=|[=<>+\-*/(),])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN"})
_COMPARISON_SIGNS = frozenset({"=", "<>", "!=", "<", "<=", ">", ">="})
_ODD_SIGNS = {
    **{"==": "=", "=>": ">=", "=<": "<=", "&&": "AND", "||": "OR", "!": "NOT"},
    **{"≥": ">=", "≤": "<=", "≠": "<>", "−": "-", "–": "-", "×": "*", "÷": "/"},
}
_OTHER_SIGNS = {
    ";": ("several statements", "Write one condition and join its parts with AND or OR"),
    '"': ("double quotes", "Write names plain and text in single quotes: plan = 'pro'"),
    "'": (
        "a single quote that is not closed on its line",
        "Close it, and write a quote inside a text twice: 'it''s'",
    ),
    "`": ("backquotes", "Write names plain and text in single quotes: plan = 'pro'"),
    "{": ("a brace that is not a fill-in", "Write {floor} and give floor a value in `with:`"),
    "}": ("a brace that is not a fill-in", "Write {floor} and give floor a value in `with:`"),
    "%": ("a percent sign", "Write a share as a decimal number: 0.2, not 20%"),
    ".": (
        "a point outside a number",
        "Write a name alone (tickets_30d) and a decimal with its zero (0.5)",
    ),
}
_NULL = (
    "asks for an unknown value (IS NULL)",
    "Leave it out: with an unknown value a comparison is unknown, never true",
)
_PATTERN = ("uses a text pattern", "Name the texts: plan IN ('pro', 'pro plus')")
_SUBQUERY = ("uses a subquery", "Define a measure that holds the number and compare its name")
_TRUTH = ("uses TRUE or FALSE", "Write the signal's name alone, or NOT before it")
_CASE = ("uses CASE", "Join the cases with AND and OR, in parentheses")
DATE_ARITHMETIC = (
    "calculates with dates",
    "Compare a measure in days, for example days_to_renewal <= 90",
)
TOO_DEEP = (
    f"is nested too deep (at most {MAX_NESTING} levels, fewer when each holds many signs)",
    "Put the inner part into a signal of its own and use that name",
)
_REFUSED_WORDS = {
    **dict.fromkeys(("is", "null", "isnull", "notnull"), _NULL),
    **dict.fromkeys(("like", "ilike", "similar", "regexp", "rlike", "glob", "match"), _PATTERN),
    **dict.fromkeys(("select", "exists", "from", "where", "any", "all", "some"), _SUBQUERY),
    **dict.fromkeys(("true", "false"), _TRUTH),
    **dict.fromkeys(("case", "when", "then", "else", "end"), _CASE),
    **dict.fromkeys(
        ("interval", "date", "today", "now", "current_date", "current_timestamp"), DATE_ARITHMETIC
    ),
}


@dataclass(frozen=True)
class Name:
    """What a condition may know of a measure or signal: its type and, for numbers, its unit.

    Units are words that are compared as they stand: "days", "count", "minor". None fits any unit.
    """

    kind: Kind
    unit: str | None = None


class Token(NamedTuple):
    kind: str
    text: str


def words_in(tokens: Sequence[Token]) -> frozenset[str]:
    """The words that are not part of the language, so must be names."""
    words = (token.text for token in tokens if token.kind == "word")
    return frozenset(word for word in words if word.upper() not in KEYWORDS)


def refusal(what: str, do: str) -> ConfigError:
    return ConfigError(f"The condition {what}", do=do, code="CONDITION_REFUSED")


def fill(text: str, given: Mapping[str, Value]) -> str:
    """The text with each `{name}` replaced by its number or quoted text; never inside quotes."""
    parts = []
    for token in lex(text, spaces=True):
        parts.append(_filled(token.text[1:-1], given) if token.kind == "blank" else token.text)
    return "".join(parts)


def _filled(blank: str, given: Mapping[str, Value]) -> str:
    if blank not in given:
        raise _no_value(blank, given)
    value = given[blank]
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise refusal(
            f"has a value for {{{blank}}} that is neither a number nor text",
            f"Give {blank} a number or a text in `with:`",
        )
    number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    if not number.is_finite() or number.adjusted() not in range(-MAX_DIGITS, MAX_DIGITS):
        raise _too_many_digits()
    plain = format(number, "f")
    return f"({plain})" if number.is_signed() else plain


def _no_value(blank: str, given: Mapping[str, Value]) -> ConfigError:
    what = f"has no value for {{{blank}}}"
    if close := get_close_matches(blank, given, n=1):
        return refusal(f"{what} (did you mean {{{close[0]}}}?)", f"Write {{{close[0]}}}")
    return refusal(what, f"Give {blank} a value in `with:`")


def lex(text: str, *, spaces: bool = False) -> list[Token]:
    """The words and signs of a text, or the refusal of the first that is not in the language."""
    if len(text) > MAX_CHARACTERS:
        raise refusal(
            f"is {len(text)} characters long; {MAX_CHARACTERS} is the limit",
            "Put a part of it into a signal of its own and use that name",
        )
    if not text.strip():
        raise refusal("is empty", "Write a comparison, for example tickets_30d >= 4")
    tokens = [Token(m.lastgroup or "", m.group()) for m in _TOKEN.finditer(text)]
    for token, following in zip(tokens, [*tokens[1:], Token("", "")], strict=True):
        _check_token(token, following)
    return [token for token in tokens if spaces or token.kind != "space"]


def _check_token(token: Token, following: Token) -> None:
    values = ("number", "word", "text", "blank")
    if token.kind == "comment":
        raise refusal(
            f"holds a comment ({token.text})",
            "Put it in the YAML after #, and write a - (-3) with parentheses",
        )
    if token.kind == "odd":
        raise refusal(f"uses the sign {token.text}", f"Write {_ODD_SIGNS[token.text]}")
    if token.kind == "other":
        raise _other_sign(token.text)
    if token.kind == "number" and len(token.text.replace(".", "")) > MAX_DIGITS:
        raise _too_many_digits()
    if token.kind == "text" and re.search(r"\{[a-z][a-z0-9_]*\}", token.text):
        raise refusal("has a {name} inside quotes", "Write {name} alone: it brings its own quotes")
    if token.kind in values and following.kind in values:
        raise refusal(
            f"runs a {token.kind} and a {following.kind} together".replace("blank", "{name}"),
            "Write numbers without a unit (30, not 30d) and put spaces between words",
        )


def _other_sign(sign: str) -> ConfigError:
    if sign in _OTHER_SIGNS:
        what, do = _OTHER_SIGNS[sign]
        return refusal(f"has {what}", do)
    shown = sign if sign.isprintable() else f"U+{ord(sign):04X}"
    return refusal(
        f"has the character {shown}",
        "Use names, numbers, quoted text and the signs + - * / ( ) , = <> < <= > >=",
    )


def _too_many_digits() -> ConfigError:
    return refusal(
        f"has a number with more than {MAX_DIGITS} digits",
        f"Write a finite number of at most {MAX_DIGITS} digits",
    )


def _check_size(tokens: Sequence[Token]) -> None:
    words = [token.text.upper() for token in tokens if token.kind in ("word", "sign")]
    comparisons = sum(w in _COMPARISON_SIGNS or w in ("BETWEEN", "IN") for w in words)
    joined = max(sum(w in ("AND", "OR") for w in words), sum(w in "+-*/" for w in words))
    if max(comparisons, joined) > MAX_COMPARISONS:
        raise refusal(
            f"has more than {MAX_COMPARISONS} comparisons, joins or calculations",
            "Put a part of it into a signal of its own and use that name",
        )


def _check_nesting(tokens: Sequence[Token]) -> None:
    """Count what makes a parser recurse: parentheses, and NOT or a minus in front of a value."""
    outer: list[int] = []
    base = level = 0
    before = "("
    for token in tokens:
        word = token.text.upper() if token.kind == "word" else token.text
        if word == "(":
            outer.append(base)
            base = level = level + 1
        elif word == ")":
            if not outer:
                raise refusal("closes a parenthesis that is not open", "Remove it or add its (")
            base = level = outer.pop()
        elif _is_prefix(word, before):
            level += 1
        else:
            level = base
        if level > MAX_NESTING:
            raise refusal(*TOO_DEEP)
        before = word if token.kind in ("word", "sign") else "a value"
    if outer:
        raise refusal("leaves a parenthesis open", "Add the missing )")


def _is_prefix(word: str, before: str) -> bool:
    starts = before == "(" or before in ("AND", "OR", "NOT")
    after_sign = before in _COMPARISON_SIGNS or before in ("+", "-", "*", "/", ",", "BETWEEN", "IN")
    if word == "NOT" and after_sign:
        raise refusal("has NOT after a sign", "Write NOT before the whole comparison")
    if word == "+" and (starts or after_sign):
        raise refusal("has a plus sign before a value", "Leave the plus sign out")
    return (word == "NOT" and starts) or (word == "-" and (starts or after_sign))


def check_words(tokens: Sequence[Token], names: Mapping[str, Name]) -> None:
    """Refuse what nests too deep or is too long to parse, then every word that is no known name."""
    _check_nesting(tokens)
    _check_size(tokens)
    for token, following in zip(tokens, [*tokens[1:], Token("", "")], strict=True):
        word = token.text
        if token.kind != "word" or word.upper() in KEYWORDS:
            continue
        if word not in names and word.lower() in _REFUSED_WORDS:
            raise refusal(*_REFUSED_WORDS[word.lower()])
        if following.text == "(":
            raise refusal(
                f"calls a function ({word[:50]})",
                "Define a measure under `measures:` that holds the number and use its name",
            )
        if word not in names:
            raise _unknown_name(word, names)


def _unknown_name(word: str, names: Mapping[str, Name]) -> ConfigError:
    if not _NAME.fullmatch(word):
        what = f"has {word[:50]}, which cannot be a name"
        rule = "Write names in small letters, digits and _, at most 50 of them"
        return refusal(what, f"Write {word.lower()}" if word.lower() in names else rule)
    what = f"uses {word}, which is not a known measure or signal"
    if close := get_close_matches(word, names, n=1):
        return refusal(f"{what} (did you mean {close[0]}?)", f"Write {close[0]}")
    return refusal(
        what, "Define it under `measures:` or `signals:`; if it is a text, put it in single quotes"
    )
