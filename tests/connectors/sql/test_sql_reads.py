"""Reading a usage table page by page: every row once, changes later, and no row lost (R4)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from connectors.sql import Sql, SqlSettings
from hub import ConfigError, Env, HubError, Position, RetryLater
from hub.testing.ravenstack import lines

Connect = Callable[..., Sql]


def minute(number: int) -> str:
    """An instant of the morning of 4 March 2026, before noon."""
    return f"2026-03-04 {7 + number // 60:02}:{number % 60:02}:00"


def test_a_first_read_gives_every_row_once_over_several_pages(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add(*((number, minute(number)) for number in range(1, 8)))

    first = read(connect(usage, page_rows=3))

    assert first.ids == [1, 2, 3, 4, 5, 6, 7]
    assert first.sizes == [3, 3, 1]
    assert [page.complete for page in first.pages] == [False, False, True]


def test_a_second_read_gives_what_was_written_since_and_nothing_else(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add((1, minute(1)), (2, minute(2)))
    first = read(connect(usage))
    usage.add((3, minute(3)))
    usage.run(f"UPDATE usage_days SET count = 9, updated_at = '{minute(4)}' WHERE id = 1")

    second = read(connect(usage), first.at)

    assert [(row["id"], row["count"]) for row in second.rows] == [(3, 1), (1, 9)]
    assert not second.is_complete


def test_a_read_that_was_stopped_after_a_page_goes_on_and_is_complete_in_the_end(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add(*((number, minute(number)) for number in range(1, 6)))
    stopped = next(connect(usage, page_rows=2).usage(None))

    rest = read(connect(usage, page_rows=2), stopped.at)

    assert rest.ids == [3, 4, 5]
    assert rest.is_complete


def test_an_empty_table_is_read_completely_and_its_first_row_comes_later(
    usage: Any, connect: Connect, read: Any
) -> None:
    empty = read(connect(usage))
    usage.add((1, minute(1)))

    later = read(connect(usage), empty.at)

    assert (empty.ids, empty.is_complete) == ([], True)
    assert (later.ids, later.is_complete) == ([1], False)


def test_r5_ten_thousand_rows_of_one_instant_all_come(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add(*((number, minute(1)) for number in range(10_000)))

    first = read(connect(usage, page_rows=700))

    assert first.ids == list(range(10_000))


def test_r4_rows_with_one_id_and_one_instant_come_together_on_one_page(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add((1, minute(1)), (2, minute(2)), (2, minute(2)), (2, minute(2)), (3, minute(3)))

    first = read(connect(usage, page_rows=2))

    twos = [[row["id"] for row in page.rows].count(2) for page in first.pages]
    assert sorted(first.ids) == [1, 2, 2, 2, 3]
    assert sorted(twos) == [0] * (len(twos) - 1) + [3]


def test_r4_every_row_comes_once_whatever_the_ties_and_the_page_size(
    tmp_path_factory: pytest.TempPathFactory, read: Any
) -> None:
    path = tmp_path_factory.mktemp("ties") / "usage.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE usage_days (id, updated_at, day, event, count)")

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        places=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=25),
        size=st.integers(1, 6),
    )
    def every_row_comes_once(places: list[tuple[int, int]], size: int) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM usage_days")
            database.executemany(
                "INSERT INTO usage_days VALUES (?, ?, '2026-03-03', 'login', ?)",
                [(key, minute(at), number) for number, (key, at) in enumerate(places)],
            )
        connector = Sql(SqlSettings(url=f"sqlite:///{path}", page_rows=size), Env())

        first = read(connector)

        connector.close()
        assert first.ids == [key for key, _ in sorted(places, key=lambda p: (p[1], p[0]))]

    every_row_comes_once()


def test_r4_a_row_that_becomes_visible_late_is_read(
    usage: Any, connect: Connect, read: Any, clock: Any
) -> None:
    usage.add((1, "2026-03-04 11:59:00"))
    first = read(connect(usage))
    usage.add((2, "2026-03-04 11:56:00"))  # Its transaction began then and ended only now.
    clock.forward(minutes=1)

    second = read(connect(usage), first.at)

    assert 2 in second.ids


def test_r4_a_row_of_the_future_does_not_hide_what_is_written_now(
    usage: Any, connect: Connect, read: Any, clock: Any
) -> None:
    usage.add((1, "2099-01-01 00:00:00"))
    first = read(connect(usage))
    clock.forward(hours=3)
    usage.add((2, "2026-03-04 14:59:00"))

    second = read(connect(usage), first.at)

    assert 2 in second.ids


def test_what_was_written_long_before_the_last_look_is_not_read_again(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add(*((number, minute(1)) for number in range(50)))
    first = read(connect(usage))

    second = read(connect(usage), first.at)

    assert second.ids == []


def test_a_cursor_without_a_zone_is_read_in_the_zone_of_the_settings(
    sqlite_usage: Any, connect: Connect, read: Any, clock: Any
) -> None:
    local = {"zone": "America/New_York"}  # Noon in UTC is seven in the morning there.
    sqlite_usage.add((1, "2026-03-04 06:59:00"))
    first = read(connect(sqlite_usage, **local))
    sqlite_usage.add((2, "2026-03-04 06:57:00"))
    clock.forward(minutes=1)

    second = read(connect(sqlite_usage, **local), first.at)

    assert 2 in second.ids


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz", "bigint", "numeric", "text"])
def test_a_cursor_of_any_type_is_taken_up_again_exactly(
    kind: str, postgres_usage: Any, connect: Connect, read: Any
) -> None:
    instants = ["2026-03-01 10:00:00.000001", "2026-03-02 10:00:00.000002", "2026-03-04 09:00:00"]
    numbers = ["9007199254740993", "9007199254740994", "9007199254740995"]
    cursors = numbers if kind in ("bigint", "numeric") else instants
    postgres_usage.run(f"ALTER TABLE usage_days ALTER updated_at TYPE {kind} USING NULL")
    quoted = [f"('{cursor}'::{kind})" for cursor in cursors]
    for number, cursor in enumerate(quoted[:2]):
        postgres_usage.run(
            "INSERT INTO usage_days (id, day, event, count, updated_at)"
            f" VALUES ({number}, '2026-03-03', 'login', 1, {cursor})"
        )
    first = read(connect(postgres_usage, page_rows=1))
    postgres_usage.run(
        "INSERT INTO usage_days (id, day, event, count, updated_at)"
        f" VALUES (7, '2026-03-03', 'login', 1, {quoted[2]})"
    )

    second = read(connect(postgres_usage, page_rows=1), first.at)

    assert (first.ids, second.ids) == ([0, 1], [7])


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("uuid", [f"'{digit * 8}-1111-1111-1111-111111111111'" for digit in "12"]),
        ("text", ["'U-1c6c24'", "'u:b'"]),
        ("bytea", ["'\\x00ff'", "'\\x01'"]),
        ("numeric", ["1.5", "2.25"]),
    ],
)
def test_a_key_of_any_type_pages(
    kind: str, values: list[str], postgres_usage: Any, connect: Connect, read: Any
) -> None:
    postgres_usage.run(f"ALTER TABLE usage_days ALTER id TYPE {kind} USING NULL")
    for value in values:
        postgres_usage.run(
            "INSERT INTO usage_days (id, day, event, count, updated_at)"
            f" VALUES ({value}, '2026-03-03', 'login', 1, '{minute(1)}')"
        )
    stopped = next(connect(postgres_usage, page_rows=1).usage(None))

    rest = read(connect(postgres_usage, page_rows=1), stopped.at)

    assert len(stopped.rows) == len(rest.rows) == 1
    assert stopped.rows[0]["id"] != rest.ids[0]


def test_rows_without_cursor_or_id_are_handed_on_at_each_read(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add((1, minute(1)), (2, None), (None, minute(3)))
    first = read(connect(usage))

    second = read(connect(usage), first.at)

    assert sorted(first.ids, key=str) == [1, 2, None]
    assert sorted(second.ids, key=str) == [2, None]


def test_a_cursor_that_is_mostly_empty_is_told_of(usage: Any, connect: Connect) -> None:
    usage.add(*((number, None) for number in range(4)))

    with pytest.raises(ConfigError, match="more than 3 rows have no updated_at or id"):
        list(connect(usage, page_rows=3).usage(None))


def test_a_backfill_leaves_out_days_before_it_and_later_changes_of_them_still_come(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add((1, minute(1)), (2, minute(2)))
    usage.run("UPDATE usage_days SET day = '2025-01-01' WHERE id = 1")
    since = Position.backfill(datetime(2026, 2, 1, tzinfo=UTC))

    first = read(connect(usage), since)
    usage.run(f"UPDATE usage_days SET updated_at = '{minute(9)}' WHERE id = 1")
    second = read(connect(usage), first.at)

    assert (first.ids, first.is_complete) == ([2], True)
    assert second.ids == [1]


def test_a_stopped_backfill_still_leaves_out_days_before_it(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add((1, minute(1)), (2, minute(2)), (3, minute(3)))
    usage.run("UPDATE usage_days SET day = '2025-01-01' WHERE id = 2")
    since = Position.backfill(datetime(2026, 2, 1, tzinfo=UTC))
    stopped = next(connect(usage, page_rows=1).usage(since))

    rest = read(connect(usage, page_rows=1), stopped.at)

    assert (rest.ids, rest.is_complete) == ([3], True)


def test_another_column_mapping_makes_the_hub_read_everything_again(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add((1, minute(1)))
    first = read(connect(usage))

    again = read(connect(usage, columns={"account_id": "domain"}), first.at)

    assert [row["account_id"] for row in again.rows] == ["birch.example"]
    assert again.is_complete


def test_max_rows_ends_a_run_whose_next_one_goes_on(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add(*((number, minute(number)) for number in range(1, 7)))
    pages = []

    with pytest.raises(RetryLater, match="4 rows were read, and max_rows is 4"):
        pages += list(connect(usage, page_rows=2, max_rows=4).usage(None))
    for page in connect(usage, page_rows=2, max_rows=4).usage(None):
        pages.append(page)
        if len(pages) == 2:
            break
    rest = read(connect(usage, page_rows=2, max_rows=4), pages[-1].at)

    assert rest.ids == [5, 6]


def test_r6_a_cursor_that_moves_by_itself_does_not_page_for_ever(
    postgres_usage: Any, connect: Connect
) -> None:
    postgres_usage.add((1, minute(1)), (2, minute(2)))
    query = "SELECT id, day, event, count, now() AS updated_at FROM usage_days"
    pages = connect(postgres_usage, query=query, page_rows=1).usage(None)
    next(pages)

    with pytest.raises(HubError) as stuck:
        next(pages)

    assert stuck.value.code == "PAGINATION_STUCK"


def test_a_query_may_ask_for_the_place_to_spare_the_database(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add((1, minute(1)), (2, minute(2)), (3, minute(3)))
    at = "CAST(:cursor AS timestamptz)" if "postgresql" in usage.url else ":cursor"
    query = (
        "SELECT * FROM usage_days"
        f" WHERE {at} IS NULL OR updated_at >= {at} AND event <> 'a: :cursor b'"
    )

    first = read(connect(usage, query=query, page_rows=1))

    assert first.ids == [1, 2, 3]


def test_columns_of_other_names_are_read_as_the_settings_say(
    usage: Any, connect: Connect, read: Any
) -> None:
    usage.add((1, minute(1)))
    query = (
        "SELECT id AS number, day AS seen_on, event AS feature, 10 * count AS times,"
        " updated_at AS changed, domain AS site, 'secret' AS salary FROM usage_days"
    )

    first = read(
        connect(
            usage,
            query=query,
            key="number",
            cursor="changed",
            crm="hubspot",
            columns={"day": "seen_on", "event": "feature", "count": "times", "domain": "site"},
        )
    )

    assert first.rows == [
        {
            "id": 1,
            "day": "2026-03-03",
            "event": "login",
            "count": 10,
            "person": None,
            "domain": "birch.example",
            "account_id": None,
            "crm_id": None,
            "crm": "hubspot",
        }
    ]


def test_columns_that_an_admin_keeps_come_along(usage: Any, connect: Connect, read: Any) -> None:
    usage.add((1, minute(1)))
    query = "SELECT usage_days.*, 'beta' AS ring FROM usage_days"

    first = read(connect(usage, query=query, custom={"usage": ["ring"]}))

    assert first.rows[0]["ring"] == "beta"


def test_a_column_that_is_not_there_is_named_with_those_that_are(
    usage: Any, connect: Connect
) -> None:
    usage.add((1, minute(1)))

    with pytest.raises(ConfigError) as missing:
        connect(usage, columns={"day": "seen_on", "person": "who"}).check()

    assert "no column seen_on, who; it has id, account_id, domain" in str(missing.value)


def test_the_doubled_ids_of_a_real_data_set_come_as_they_are(
    sqlite_usage: Any, connect: Connect, read: Any
) -> None:
    usage = list(lines("feature_usage"))
    sqlite_usage.run("CREATE TABLE feature_usage (usage_id, usage_date, feature_name, usage_count)")
    sqlite_usage.run(
        "INSERT INTO feature_usage VALUES (?, ?, ?, ?)",
        *(
            (row["usage_id"], row["usage_date"], row["feature_name"], int(row["usage_count"]))
            for row in usage
        ),
    )

    first = read(
        connect(
            sqlite_usage,
            query="SELECT * FROM feature_usage",
            key="usage_id",
            cursor="usage_date",
            columns={"day": "usage_date", "event": "feature_name", "count": "usage_count"},
            page_rows=250,
        )
    )

    assert len(first.ids) == len(usage) == 25_000
    assert len(first.ids) - len(set(first.ids)) == 21


def test_a_page_that_is_too_large_for_memory_is_refused(
    sqlite_usage: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.sql.client.MAX_BYTES", 1000)
    sqlite_usage.add((1, minute(1)))
    sqlite_usage.run("UPDATE usage_days SET event = replace(hex(zeroblob(1000)), '00', 'x')")

    with pytest.raises(HubError) as refused:
        list(connect(sqlite_usage).usage(None))

    assert refused.value.code == "BODY_TOO_LARGE"


def test_the_example_of_the_folders_page_reads_clicks_as_usage_days(
    postgres_usage: Any, connect: Connect, read: Any
) -> None:
    page = files("connectors.sql").joinpath("README.md").read_text("utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    example = YAML(typ="safe").load(blocks[1])["settings"]["query"]
    postgres_usage.run(
        "CREATE TABLE clicks (workspace text, clicked_at timestamptz, feature text,"
        " email_domain text)"
    )
    postgres_usage.run(f"GRANT SELECT ON clicks TO {postgres_usage.role}")
    postgres_usage.run(
        "INSERT INTO clicks VALUES ('ws-1', ?, 'export', 'birch.example')",
        *([f"2026-03-0{day} 09:00+00"] for day in (1, 2, 2)),
    )

    first = read(connect(postgres_usage, query=example))

    assert [(row["id"], row["count"], row["domain"]) for row in first.rows] == [
        ("ws-1:2026-03-01:export", 1, "birch.example"),
        ("ws-1:2026-03-02:export", 2, "birch.example"),
    ]


def test_lag_can_be_switched_off(usage: Any, connect: Connect, read: Any) -> None:
    usage.add((1, "2026-03-04 11:59:00"))
    first = read(connect(usage, lag_s=0))

    second = read(connect(usage, lag_s=0), first.at)

    assert second.ids == []
    assert timedelta(seconds=connect(usage).settings.lag_s) == timedelta(minutes=5)
