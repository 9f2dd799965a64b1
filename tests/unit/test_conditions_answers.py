"""What conditions answer: on real SQLite and PostgreSQL, in explanations, and what clears them."""

import sqlite3
from datetime import date

import pytest
from sqlalchemy import create_engine, literal_column, select, table

from hub.conditions import Name, compile_condition, negate

NAMES = {
    "tickets": Name("number", "count"),
    "earlier": Name("number", "count"),
    "ratio": Name("number"),
    "plan": Name("text"),
    "renewal_on": Name("date"),
    "signed_on": Name("date"),
    "late": Name("boolean"),
    "order": Name("number"),
}
TYPES = {
    "tickets": "BIGINT",
    "earlier": "BIGINT",
    "ratio": "DOUBLE PRECISION",
    "plan": "TEXT",
    "renewal_on": "DATE",
    "signed_on": "DATE",
    "late": "BOOLEAN",
    "order": "BIGINT",
}
DAY = date(2026, 3, 31)


def compiled(text, **given):
    return compile_condition(text, NAMES, given, where="rules.yaml, line 4")


class Database:
    """A database with one table of one account's readings, as the hub keeps them."""

    def __init__(self, url):
        self.engine = create_engine(url)
        self.dialect = self.engine.dialect.name
        columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
        self.connection = self.engine.connect()
        self.connection.exec_driver_sql(f"CREATE TEMPORARY TABLE reading ({columns})")

    def answers(self, condition, **values):
        self.store(values)
        found = self.evaluate(condition.sql(self.dialect))
        return None if found is None else bool(found)

    def store(self, values):
        mark = "?" if self.dialect == "sqlite" else "%s"
        row = {name: values.get(name) for name in TYPES}
        if self.dialect == "sqlite":
            row = {n: v.isoformat() if isinstance(v, date) else v for n, v in row.items()}
        self.connection.exec_driver_sql("DELETE FROM reading")
        marks = ", ".join([mark] * len(row))
        self.connection.exec_driver_sql(f"INSERT INTO reading VALUES ({marks})", (*row.values(),))

    def evaluate(self, sql):
        query = select(literal_column(sql)).select_from(table("reading"))
        return self.connection.execute(query).scalar_one()

    def close(self):
        self.connection.close()
        self.engine.dispose()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request):
    is_sqlite = request.param == "sqlite"
    opened = Database("sqlite://" if is_sqlite else request.getfixturevalue("pg_url"))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("tickets >= 4", {"tickets": 4}, True),
        ("tickets >= 4", {"tickets": 3}, False),
        ("tickets >= 4", {}, None),
        ("NOT tickets >= 4", {}, None),
        ("tickets >= 4 AND late", {"late": False}, False),
        ("tickets >= 4 AND late", {"late": True}, None),
        ("tickets >= 4 OR late", {"late": True}, True),
        ("tickets >= 4 OR late", {"late": False}, None),
        ("late", {"late": True}, True),
        ("NOT late", {"late": False}, True),
        ("NOT late", {}, None),
        ("late OR late AND NOT late", {"late": True}, True),
        ("tickets BETWEEN 2 AND 4", {"tickets": 4}, True),
        ("tickets NOT BETWEEN 2 AND 4", {"tickets": 4}, False),
        ("NOT tickets BETWEEN 2 AND earlier", {"tickets": 1}, True),
        ("tickets BETWEEN 2 AND earlier", {"tickets": 3}, None),
        ("tickets IN (1, -2)", {"tickets": -2}, True),
        ("tickets NOT IN (1, -2)", {"tickets": 3}, True),
        ("tickets IN (1, 2)", {}, None),
        ("ratio IN (0.5, 1)", {"ratio": 0.5}, True),
        ("plan = 'pro'", {"plan": "pro"}, True),
        ("plan = 'pro'", {"plan": "Pro"}, False),
        ("plan != 'pro'", {}, None),
        ("plan IN ('it''s', ':x %s %% \\ 日本')", {"plan": ":x %s %% \\ 日本"}, True),
        ("plan <> 'it''s'", {"plan": "it's"}, False),
        ("renewal_on < '2026-04-01'", {"renewal_on": DAY}, True),
        ("'2026-03-31' = (renewal_on)", {"renewal_on": DAY}, True),
        ("renewal_on BETWEEN ('2026-03-31') AND '2026-04-01'", {"renewal_on": DAY}, True),
        ("renewal_on IN ('2026-03-31')", {"renewal_on": DAY}, True),
        ("renewal_on > signed_on", {"renewal_on": DAY, "signed_on": date(2025, 12, 9)}, True),
        ("renewal_on > signed_on", {"renewal_on": DAY}, None),
        ("3 / 2 >= 1.5", {}, True),
        ("tickets / earlier = 1.5", {"tickets": 3, "earlier": 2}, True),
        ("0.1 * 3 = 0.3", {}, False),
        ("0.1 + 0.2 = 0.3", {}, False),
        ("ratio * 3 = 0.3", {"ratio": 0.1}, False),
        ("ratio = 0.1", {"ratio": 0.1}, True),
        ("tickets / earlier > 0", {"tickets": 3, "earlier": 0}, None),
        ("tickets / earlier > 0 OR late", {"tickets": 3, "earlier": 0, "late": True}, True),
        ("1 / (tickets - tickets) = 1 / 0", {"tickets": 3}, None),
        ("8 / 2 / 2 = 2 AND 8 / (2 / 2) = 8", {}, True),
        ("7 / 2 * 2 = 7 AND 7 * 2 / 4 = 3.5 AND (1 + 2) / 2 + 3 / 2 = 3", {}, True),
        ("1 + 2 * 3 = 7 AND (1 + 2) * 3 = 9 AND 7 - 2 - 1 = 4", {}, True),
        ("-tickets * 2 = - -6 - 12 AND 3 - -3 = 6", {"tickets": 3}, True),
        ("2000000000 * 2 = 4000000000 AND (2000000000) * (2) > 1", {}, True),
        ("tickets * 2000000000 > 4000000000", {"tickets": 3}, True),
        ("order > 3", {"order": 4}, True),
        ("late AND (" * 20 + "1 = 1" + ")" * 20, {"late": True}, True),
        ("NOT " * 19 + "late", {"late": True}, False),
        (" AND ".join(["tickets = 1"] * 60), {"tickets": 1}, True),
        ("1" + "+1" * 100 + " = 101", {}, True),
        ("1" + "/1" * 100 + " = 1", {}, True),
        ("1" + "/1*1" * 50 + " = 1", {}, True),
    ],
)
def test_a_condition_answers_alike_on_both_databases(database, text, values, expected):
    condition = compiled(text)

    answer = database.answers(condition, **values)

    assert answer is expected


def test_the_opposite_is_the_other_answer_and_unknown_stays_unknown(database):
    opposite = negate(compiled("tickets > 3 OR tickets < 1"))

    answers = [database.answers(opposite, tickets=count) for count in (5, 2, None)]

    assert answers == [False, True, None]


def test_a_column_that_is_not_there_is_an_error_and_never_a_text():
    """SQLite reads an unknown "name" as a text, and a text is greater than every number."""
    condition = compiled("tickets >= 4")

    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        sqlite3.connect(":memory:").execute(f"SELECT {condition.sql('sqlite')}")


def test_integers_stay_integers_and_division_is_guarded():
    condition = compiled("tickets >= 4 AND tickets / earlier > 0.5")

    assert condition.sql("sqlite") == (
        "`tickets` >= 4 AND CAST(`tickets` AS REAL) / NULLIF(`earlier`, 0) > 0.5"
    )
    assert condition.sql("postgresql") == (
        '"tickets" >= 4 AND CAST("tickets" AS DOUBLE PRECISION) / NULLIF("earlier", 0)'
        " > CAST(0.5 AS DOUBLE PRECISION)"
    )


def test_an_explanation_shows_comparisons_signals_and_calculated_sides_in_reading_order():
    condition = compiled(
        "tickets >= 2 * earlier AND (tickets >= {floor} OR NOT late)"
        " AND (tickets - earlier) / earlier BETWEEN 1 + 1 AND 5 AND late",
        floor=4,
    )

    parts = condition.parts("sqlite")

    assert [(part.text, part.kind, sorted(part.names)) for part in parts] == [
        ("tickets >= 2 * earlier", "claim", ["earlier", "tickets"]),
        ("2 * earlier", "number", ["earlier"]),
        ("tickets >= 4", "claim", ["tickets"]),
        ("late", "claim", ["late"]),
        (
            "(tickets - earlier) / earlier BETWEEN 1 + 1 AND 5",
            "claim",
            ["earlier", "tickets"],
        ),
        ("(tickets - earlier) / earlier", "number", ["earlier", "tickets"]),
    ]


def test_the_parts_of_an_explanation_are_what_the_condition_computes(database):
    condition = compiled("tickets / earlier >= 1.5 AND plan = 'pro' AND renewal_on > '2026-01-01'")
    database.store({"tickets": 3, "earlier": 2, "plan": "free"})

    shown = {part.text: database.evaluate(part.sql) for part in condition.parts(database.dialect)}

    assert shown == {
        "tickets / earlier >= 1.5": True,
        "tickets / earlier": 1.5,
        "plan = 'pro'": False,
        "renewal_on > '2026-01-01'": None,
    }


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("tickets >= 8", {"tickets": 9}, "tickets falls below 8"),
        ("tickets > 8", {"tickets": 9}, "tickets falls to 8"),
        ("tickets <= 8", {"tickets": 2}, "tickets rises above 8"),
        ("8 > tickets", {"tickets": 2}, "tickets rises to 8"),
        ("NOT tickets < 8", {"tickets": 9}, "tickets falls below 8"),
        ("tickets >= 8", {"tickets": 8}, "tickets falls below 8"),
        ("tickets <> 3", {"tickets": 9}, "tickets falls to 3"),
        ("tickets >= 2 * earlier AND tickets >= 4", {"tickets": 9, "earlier": 4},
         "tickets falls below 8"),
        ("tickets >= 2 * earlier AND tickets >= 4", {"tickets": 9, "earlier": 0},
         "tickets falls below 4"),
        ("tickets >= 2 * earlier", {"tickets": 400, "earlier": 199}, "tickets falls below 398"),
        ("tickets >= 8 OR tickets >= 5", {"tickets": 9}, "tickets falls below 5"),
        ("tickets BETWEEN 2 AND 9", {"tickets": 8}, "tickets rises above 9"),
        ("tickets / earlier > 1.5", {"tickets": 4, "earlier": 2}, "tickets falls to 3"),
        ("ratio < 0.25", {"ratio": 0.2}, "ratio rises to 0.25"),
        ("late", {"late": True}, "late is no longer true"),
        ("NOT late", {"late": False}, "late becomes true"),
        ("late AND tickets > 1", {"late": True, "tickets": 100}, "tickets falls to 1"),
        ("plan = 'pro'", {"plan": "pro"}, "plan is no longer 'pro'"),
        ("plan IN ('pro', 'team')", {"plan": "team"}, "plan is no longer 'team'"),
        ("plan <> 'free'", {"plan": "pro"}, "plan becomes 'free'"),
        ("renewal_on < '2026-04-01' AND late", {"renewal_on": DAY, "late": True},
         "late is no longer true"),
        ("tickets >= 8 OR late", {"tickets": 9, "late": True}, None),
        ("tickets * tickets > 4", {"tickets": 3}, None),
        ("renewal_on < '2026-04-01'", {"renewal_on": DAY}, None),
        ("tickets >= 8", {"tickets": 7}, None),
        ("tickets >= 8", {}, None),
        ("3 > 2", {}, None),
    ],
)  # fmt: skip
def test_the_smallest_change_that_clears_is_said_in_words_or_not_at_all(text, values, expected):
    condition = compiled(text)

    assert condition.clearing(values) == expected
