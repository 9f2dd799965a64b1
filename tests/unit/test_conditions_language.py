"""What an admin may write in a condition, what is refused, and how the refusal helps."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from hub.conditions import Name, compile_condition, names_in, negate
from hub.errors import ConfigError

NAMES = {
    "tickets_30d": Name("number", "count"),
    "tickets_prev_30d": Name("number", "count"),
    "days_to_renewal": Name("number", "days"),
    "churn_ratio": Name("number"),
    "plan": Name("text"),
    "segment": Name("text"),
    "renewal_on": Name("date"),
    "signed_up_on": Name("date"),
    "payment_failed": Name("boolean"),
    "between_jobs": Name("number"),
    "case": Name("number"),
    "like": Name("boolean"),
}
PAGE = (Path(__file__).parents[2] / "docs/conditions.md").read_text(encoding="utf-8")


def compiled(text, **given):
    return compile_condition(text, NAMES, given, where="rules.yaml, line 4")


def refused(text, **given):
    with pytest.raises(ConfigError) as caught:
        compiled(text, **given)
    return caught.value


REFUSALS = [
    ("", "is empty", "tickets_30d >= 4"),
    (" \n\t ", "is empty", "tickets_30d >= 4"),
    ("tickets_30d IS NULL", "unknown value (IS NULL)", "Leave it out"),
    ("tickets_30d is not null", "unknown value (IS NULL)", "Leave it out"),
    ("tickets_30d = NULL", "unknown value (IS NULL)", "Leave it out"),
    ("plan LIKE 'p%'", "text pattern", "plan IN"),
    ("plan regexp 'p'", "text pattern", "plan IN"),
    ("count(tickets) > 3", "calls a function (count)", "Define a measure"),
    ("tickets_30d(1) > 3", "calls a function", "Define a measure"),
    ("load_extension('x') = 1", "calls a function (load_extension)", "Define a measure"),
    ("cast(plan) = 3", "calls a function (cast)", "Define a measure"),
    ("renewal_on - 30 > 3", "calculates with dates", "days_to_renewal <= 90"),
    ("renewal_on - signed_up_on > 3", "calculates with dates", "days_to_renewal <= 90"),
    ("'2026-03-10' - '2026-03-01' > 3", "calculates with dates", "days_to_renewal <= 90"),
    ("renewal_on < current_date", "calculates with dates", "days_to_renewal <= 90"),
    ("renewal_on < date '2026-03-01'", "calculates with dates", "days_to_renewal <= 90"),
    ("renewal_on < interval '3'", "calculates with dates", "days_to_renewal <= 90"),
    ("tickets_30d > (select 1)", "subquery", "Define a measure"),
    ("exists (select 1)", "subquery", "Define a measure"),
    ("tickets_30d = any ('x')", "subquery", "Define a measure"),
    ("payment_failed = TRUE", "TRUE or FALSE", "signal's name alone"),
    ("CASE WHEN like THEN like END", "uses CASE", "AND and OR"),
    ("2 < tickets_30d < 5", "chains comparisons", "2 < tickets_30d AND tickets_30d < 5"),
    ("(2 < tickets_30d) = 5", "chains comparisons", "AND"),
    ("tickets_30d = 3 = 3", "chains comparisons", "AND"),
    ("tickets_30d > 3; plan = 'x'", "several statements", "join"),
    ("a; drop table x", "several statements", "join"),
    ("tickets_30d > 3 -- many", "comment (--)", "YAML after #"),
    ("tickets_30d --3 > 3", "comment (--)", "a - (-3)"),
    ("tickets_30d /* many */ > 3", "comment (/*)", "YAML after #"),
    ("tickets_30d > 3 # many", "comment (#)", "YAML after #"),
    ('plan = "pro"', "double quotes", "single quotes"),
    ("plan = `pro`", "backquotes", "single quotes"),
    ("plan = 'pro", "not closed", "Close it"),
    ("plan = 'it''s", "not closed", "twice"),
    ("plan = 'pro\n'", "not closed on its line", "Close it"),
    ("plan = 'a\x00b'", "not closed", "Close it"),
    ("plan = 'a' 'b'", "side by side", "after IN"),
    ("plan = 'a''b'c", "runs a text and a word together", "spaces"),
    ("plan = ‘pro’", "the character ‘", "signs"),
    ("tickets_30d > \x07", "the character U+0007", "signs"),
    ("tickets_30d > 3 \u200b", "the character U+200B", "signs"),
    ("tickets_30d > $1", "the character $", "signs"),
    ("tickets_30d > :one", "the character :", "signs"),
    ("tickets_30d > ?", "the character ?", "signs"),
    ("x.tickets_30d > 1", "point outside a number", "name alone"),
    ("tickets_30d > .5", "point outside a number", "0.5"),
    ("tickets_30d > 5.", "point outside a number", "0.5"),
    ("tickets_30d > 1e5", "runs a number and a word together", "30, not 30d"),
    ("tickets_30d > 0x1F", "runs a number and a word together", "30, not 30d"),
    ("tickets_30d > 30d", "runs a number and a word together", "30, not 30d"),
    ("tickets_30d > 20%", "percent sign", "0.2"),
    ("tickets_30d % 2 = 1", "percent sign", "0.2"),
    ("tickets_30d == 3", "the sign ==", "Write ="),
    ("tickets_30d => 3", "the sign =>", "Write >="),
    ("tickets_30d ≥ 3", "the sign ≥", "Write >="),
    ("like && like", "the sign &&", "Write AND"),
    ("plan || 'x' = 'y'", "the sign ||", "Write OR"),
    ("!like", "the sign !", "Write NOT"),
    ("tickets_30d > 1234567890123456", "more than 15 digits", "at most 15"),
    ("tickets_30d > 0.1234567890123456", "more than 15 digits", "at most 15"),
    ("tickets_30d > +3", "plus sign", "Leave the plus sign out"),
    ("tickets_30d", "as if it were true or false", "tickets_30d > 0"),
    ("plan", "as if it were true or false", "plan = 'pro'"),
    ("renewal_on", "as if it were true or false", "renewal_on < '2026-03-31'"),
    ("tickets_30d AND like", "as if it were true or false", "tickets_30d > 0"),
    ("NOT tickets_30d", "as if it were true or false", "tickets_30d > 0"),
    ("3", "as if it were true or false", "3 > 0"),
    ("payment_failed = 1", "true or false by itself", "payment_failed alone"),
    ("payment_failed = like", "true or false by itself", "NOT payment_failed"),
    ("payment_failed + 1 > 1", "calculates with a true or false", "numbers only"),
    ("(tickets_30d > 1) + 1 > 1", "calculates with a true or false", "numbers only"),
    ("-payment_failed > 1", "calculates with a true or false", "numbers only"),
    ("plan + 1 > 1", "calculates with a text (plan)", "numbers only"),
    ("tickets_30d = '4'", "a number) with '4' (a text)", "a number with a number"),
    ("plan = 4", "a text) with 4 (a number)", "a number with a number"),
    ("plan IN ('pro', 4)", "a text) with 4 (a number)", "a number with a number"),
    ("plan = renewal_on", "a text) with renewal_on (a date)", "a number with a number"),
    ("plan > 'a'", "puts texts in an order", "=, <> or IN"),
    ("plan BETWEEN 'a' AND 'b'", "puts texts in an order", "=, <> or IN"),
    ("renewal_on < 'soon'", "compares a date with 'soon'", "'2026-03-31'"),
    ("renewal_on < '2026-02-30'", "compares a date with '2026-02-30'", "'2026-03-31'"),
    ("renewal_on < '20260331'", "compares a date with", "'2026-03-31'"),
    ("renewal_on < 3", "compares a date with 3", "'2026-03-31'"),
    ("days_to_renewal > tickets_30d", "(days) against tickets_30d (count)", "the factor"),
    ("days_to_renewal + tickets_30d > 4", "(days) against tickets_30d (count)", "the factor"),
    ("tickets_30d BETWEEN 1 AND days_to_renewal", "(count) against", "the factor"),
    ("tickets_30d - 1 > days_to_renewal", "(count) against", "the factor"),
    ("tickets_30d IN (1, plan)", "no list of numbers or quoted texts", "Write the list"),
    ("plan IN ()", "no list of numbers or quoted texts", "Write the list"),
    ("plan IN segment", "no list of numbers or quoted texts", "Write the list"),
    ("plan IN ('a', ('b'))", "no list of numbers or quoted texts", "Write the list"),
    ("('a', 'b') = plan", "side by side", "after IN"),
    ("() = 3", "side by side", "after IN"),
    ("* = 3", "side by side", "after IN"),
    ("(tickets_30d > 3", "leaves a parenthesis open", "Add"),
    ("tickets_30d > 3)", "closes a parenthesis", "Remove"),
    ("tickets_30d >", "cannot be read near", "Write comparisons"),
    ("tickets_30d BETWEEN 1", "cannot be read near", "BETWEEN 2 AND 5"),
    ("tickets_30d > 3 tickets_30d", "cannot be read near tickets_30d", "joined with AND or OR"),
    ("AND like", "cannot be read near like", "joined with AND or OR"),
    ("IN = 3", "cannot be read near IN", "joined with AND or OR"),
    ("tickets_30d = NOT 3", "NOT after a sign", "before the whole comparison"),
    ("Tickets_30d > 3", "Tickets_30d, which cannot be a name", "Write tickets_30d"),
    ("_x > 3", "_x, which cannot be a name", "small letters"),
    ("a" * 51 + " > 3", "cannot be a name", "at most 50"),
    ("tickets_3d > 3", "(did you mean tickets_30d?)", "Write tickets_30d"),
    ("plan = pro_plus", "pro_plus, which is not a known", "single quotes"),
    ("a" * 1001, "1001 characters long; 1000", "signal of its own"),
    (" OR ".join(["1=1"] * 102), "more than 100 comparisons", "signal of its own"),
    ("1" + "+1" * 101 + " > 1", "more than 100 comparisons", "signal of its own"),
    ("(" * 21 + "like" + ")" * 21, "nested too deep (at most 20", "signal of its own"),
    ("(" * 50 + "like" + ")" * 50, "nested too deep", "signal of its own"),
    ("NOT " * 21 + "like", "nested too deep", "signal of its own"),
    ("1 > " + "- " * 21 + "1", "nested too deep", "signal of its own"),
    ("NOT (" * 11 + "like" + ")" * 11, "nested too deep", "signal of its own"),
    ("1 < " + "2 / (" * 15 + "1" + ")" * 15, "nested too deep", "signal of its own"),
]


@pytest.mark.parametrize(("text", "what", "do"), REFUSALS, ids=[r[0][:40] for r in REFUSALS])
def test_what_is_not_in_the_language_is_refused_with_what_to_write_instead(text, what, do):
    refusal = refused(text)

    assert refusal.code == "CONDITION_REFUSED"
    assert refusal.where == "rules.yaml, line 4"
    assert what in refusal.what
    assert do in refusal.do
    assert len(str(refusal).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "tickets_30d >= 2 * tickets_prev_30d AND tickets_30d >= 4",
        "not (tickets_30d between 1 and 3) or plan in ('pro','team')",
        "tickets_30d NOT IN (1, -2, 3) AND plan NOT IN ('free')",
        "-tickets_30d < -(3) AND tickets_30d - -3 > 0",
        "3 > tickets_30d AND 'pro' = plan AND '2026-03-01' <= renewal_on",
        "renewal_on BETWEEN '2026-03-01' AND '2026-03-31' OR renewal_on IN ('2027-01-01')",
        "renewal_on >= signed_up_on AND (renewal_on) <> ('2026-03-01')",
        "payment_failed AND NOT like OR (payment_failed)",
        "days_to_renewal < 7 * tickets_30d AND days_to_renewal / tickets_30d > 2",
        "churn_ratio > tickets_30d AND churn_ratio + days_to_renewal > 3",
        "between_jobs > 1 AND case = 2",
        "plan = 'it''s; -- \"{\" /* ? :x %s $1 \\ 日本 🙂'",
        "\n  tickets_30d\t>=\r\n 4\n",
        " OR ".join(["case=1"] * 100),
        "(" * 20 + "like" + ")" * 20,
        "like AND (" * 20 + "like" + ")" * 20,
        "NOT " * 20 + "like",
        "case" + "+1" * 100 + " > 1",
    ],
)
def test_what_is_in_the_language_is_accepted(text):
    condition = compiled(text)

    assert condition.names == names_in(text)


def test_a_fill_in_takes_a_number_or_a_text():
    condition = compiled(
        "tickets_30d > {a} AND churn_ratio > {b} AND case > {c} AND case - {d} > 0 AND plan = {e}",
        a=4,
        b=0.25,
        c=Decimal("1E+3"),
        d=-2,
        e="it's",
    )

    assert condition.text == (
        "tickets_30d > 4 AND churn_ratio > 0.25 AND case > 1000 AND case - (-2) > 0"
        " AND plan = 'it''s'"
    )


@pytest.mark.parametrize("text", ["x' OR 1 = 1 OR plan = '", "'", "''", "\\'", "'; drop table x"])
def test_a_filled_in_text_stays_one_text(text):
    condition = compiled("plan = {plan}", plan=text)

    assert [part.text for part in condition.parts("sqlite")] == [condition.text]
    assert condition.sql("sqlite") == "`plan` = '" + text.replace("'", "''") + "'"


@pytest.mark.parametrize(
    ("text", "given", "what"),
    [
        ("tickets_30d > {floor}", {}, "has no value for {floor}"),
        ("tickets_30d > {floor}", {"flor": 3}, "(did you mean {flor}?)"),
        ("tickets_30d > {Floor}", {"Floor": 3}, "brace that is not a fill-in"),
        ("tickets_30d > {}", {}, "brace that is not a fill-in"),
        ("tickets_30d > floor}", {}, "brace that is not a fill-in"),
        ("tickets_30d > 1{floor}", {"floor": 3}, "runs a number and a {name} together"),
        ("{name}_30d > 1", {"name": "tickets"}, "runs a {name} and a word together"),
        ("{name} > 1", {"name": "tickets_30d"}, "a text) with 1 (a number)"),
        ("plan = '{plan}'", {"plan": "pro"}, "has a {name} inside quotes"),
        ("plan = {plan}", {"plan": "{plan}"}, "has a {name} inside quotes"),
        ("plan = {plan}", {"plan": "a\nb"}, "not closed"),
        ("plan = {plan}", {"plan": "x" * 1000}, "characters long"),
        ("tickets_30d > {floor}", {"floor": True}, "neither a number nor text"),
        ("tickets_30d > {floor}", {"floor": None}, "neither a number nor text"),
        ("tickets_30d > {floor}", {"floor": [1]}, "neither a number nor text"),
        ("tickets_30d > {floor}", {"floor": float("nan")}, "more than 15 digits"),
        ("tickets_30d > {floor}", {"floor": float("inf")}, "more than 15 digits"),
        ("tickets_30d > {floor}", {"floor": 1e300}, "more than 15 digits"),
        ("tickets_30d > {floor}", {"floor": 10**5000}, "more than 15 digits"),
        ("tickets_30d > {floor}", {"floor": Decimal("1e999999999")}, "more than 15 digits"),
        ("tickets_30d > {floor}", {"floor": Decimal("1e-999999999")}, "more than 15 digits"),
    ],
)
def test_a_fill_in_that_has_no_safe_value_is_refused(text, given, what):
    refusal = refused(text, **given)

    assert refusal.code == "CONDITION_REFUSED"
    assert what in refusal.what


def test_the_names_of_a_text_are_known_before_it_is_checked():
    text = "tickets_30d >= {floor} and plan in ('a b') or not sponsor_left"

    assert names_in(text) == {"tickets_30d", "plan", "sponsor_left"}
    assert names_in(text, {"floor": 3}) == {"tickets_30d", "plan", "sponsor_left"}


def test_the_opposite_of_a_condition_reads_the_same_names():
    opposite = negate(compiled("tickets_30d > 3 OR like"))

    assert opposite.text == "NOT (tickets_30d > 3 OR like)"
    assert opposite.names == {"tickets_30d", "like"}
    assert opposite.sql("postgresql") == 'NOT ("tickets_30d" > 3 OR "like")'


# ---- the page for admins ---------------------------------------------------------------------


def rows_under(heading):
    section = PAGE.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def code_in(cell):
    return re.fullmatch(r"`(.+)`", cell).group(1)


PAGE_NAMES = {
    name: Name(kind, unit.strip("| ") or None) for name, kind, unit in rows_under("# Conditions")
}


@pytest.mark.parametrize("row", rows_under("## What you can write"), ids=lambda row: row[0])
def test_each_example_of_the_page_is_accepted(row):
    condition = compile_condition(code_in(row[0]), PAGE_NAMES, where="docs/conditions.md")

    assert condition.names


@pytest.mark.parametrize(
    "row", rows_under("## What is refused, and what to write instead"), ids=lambda row: row[0]
)
def test_the_page_shows_what_is_refused_and_what_is_not(row):
    with pytest.raises(ConfigError) as caught:
        compile_condition(code_in(row[0]), PAGE_NAMES, where="docs/conditions.md")
    instead = compile_condition(code_in(row[1]), PAGE_NAMES, where="docs/conditions.md")

    assert caught.value.code == "CONDITION_REFUSED"
    assert instead.names
