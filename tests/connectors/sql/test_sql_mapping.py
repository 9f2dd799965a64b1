"""What a row means, and how a database's values become JSON and back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sql.mapping import to_usage_day
from connectors.sql.values import cursor_at, latest_instant, packed, plain, unpacked
from hub import RecordRejected

ROW = {
    "id": 7,
    "day": "2026-03-03",
    "event": "report_exported",
    "count": 3,
    "person": "mia@birch.example",
    "domain": None,
    "account_id": "ws-1",
    "crm": "hubspot",
    "crm_id": 9000000001,
}
BERLIN = ZoneInfo("Europe/Berlin")


def a_row(**changed: Any) -> dict[str, Any]:
    return ROW | changed


def test_a_row_is_a_usage_day_of_the_account_that_the_crm_id_names() -> None:
    usage = to_usage_day(ROW)

    assert (usage.id, usage.day, usage.event, usage.count, usage.person) == (
        "7", date(2026, 3, 3), "report_exported", 3, "mia@birch.example",
    )  # fmt: skip
    account = usage.account
    assert (account.vendor, account.external_id, account.id) == ("hubspot", "9000000001", "ws-1")


def test_without_a_crm_id_the_domain_names_the_account() -> None:
    account = to_usage_day(a_row(crm_id=None, domain="birch.example")).account

    assert (account.vendor, account.external_id, account.domain) == (None, None, "birch.example")


def test_a_crm_id_without_a_crm_points_nowhere() -> None:
    account = to_usage_day(a_row(crm=None)).account

    assert (account.vendor, account.external_id) == (None, None)


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2026-03-03", date(2026, 3, 3)),
        ("2026-03-03 00:00:00", date(2026, 3, 3)),
        ("2026-03-03T23:30:00-05:00", date(2026, 3, 3)),
        (20260303, date(2026, 3, 3)),
    ],
)
def test_a_day_is_read_in_the_forms_in_which_databases_write_it(written: Any, day: date) -> None:
    assert to_usage_day(a_row(day=written)).day == day


@pytest.mark.parametrize(("written", "count"), [(3, 3), (3.0, 3), ("3", 3), (0, 0)])
def test_a_count_is_a_whole_number(written: Any, count: int) -> None:
    assert to_usage_day(a_row(count=written)).count == count


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("day", None), ("day", "yesterday"), ("day", 1772500000), ("day", "2026-02-30"),
        ("count", None), ("count", -1), ("count", 2.5), ("count", "many"), ("count", True),
        ("event", None), ("event", " "),
    ],
)  # fmt: skip
def test_r15_a_row_that_cannot_be_read_says_which_field(field: str, value: Any) -> None:
    with pytest.raises(RecordRejected, match=f"^{field} is "):
        to_usage_day(a_row(**{field: value}))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Decimal("12"), 12),
        (Decimal("12.50"), "12.50"),
        (Decimal("NaN"), "NaN"),
        (Decimal("1E+30"), "1E+30"),
        (2**63, 2**63),
        (float("inf"), "inf"),
        (0.1, 0.1),
        (datetime(2026, 3, 3, 10, 0, 0, 1), "2026-03-03 10:00:00.000001"),
        (datetime(2026, 3, 3, 10, tzinfo=BERLIN), "2026-03-03 09:00:00+00:00"),
        (date(2026, 3, 3), "2026-03-03"),
        (time(9, 30), "09:30:00"),
        (timedelta(days=1), "1 day, 0:00:00"),
        (b"\x00\xff", "00ff"),
        (memoryview(b"\x01"), "01"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([Decimal("1.5"), {"a": date(2026, 3, 3)}], ["1.5", {"a": "2026-03-03"}]),
        (None, None),
        (True, True),
    ],
)  # fmt: skip
def test_every_value_of_a_database_becomes_json_exactly(value: Any, told: Any) -> None:
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == told


SCALARS = st.one_of(
    st.text(), st.integers(), st.floats(allow_nan=False), st.decimals(allow_nan=False),
    st.datetimes(), st.datetimes(timezones=st.just(UTC)), st.dates(), st.uuids(), st.binary(),
)  # fmt: skip


@given(value=SCALARS)
def test_a_place_comes_back_with_its_type_and_to_the_last_digit(value: Any) -> None:
    back = unpacked(json.loads(json.dumps(packed(value))))

    assert back == value
    assert type(back) is type(value)


def test_what_has_no_order_is_no_cursor() -> None:
    with pytest.raises(TypeError):
        packed([1])


@pytest.mark.parametrize(
    ("cursor", "latest"),
    [
        (datetime(2026, 3, 4, 10), datetime(2026, 3, 4, 9, tzinfo=UTC)),
        (datetime(2026, 3, 4, 10, tzinfo=UTC), datetime(2026, 3, 4, 10, tzinfo=UTC)),
        ("2026-03-04 10:00:00", datetime(2026, 3, 4, 9, tzinfo=UTC)),
        ("2026-03-04T10:00:00.25Z", datetime(2026, 3, 4, 10, 0, 0, 250_000, tzinfo=UTC)),
        (date(2026, 3, 4), datetime(2026, 3, 4, 23, tzinfo=UTC)),
        ("2026-03-04", datetime(2026, 3, 4, 23, tzinfo=UTC)),
        (1772500000, None),
        ("20260304", None),
        ("2026-99-99", None),
    ],
)
def test_a_cursor_stands_for_an_instant_where_it_is_a_time(
    cursor: Any, latest: datetime | None
) -> None:
    assert latest_instant(cursor, BERLIN) == latest


@pytest.mark.parametrize(
    ("like", "early"),
    [
        (datetime(2026, 3, 5), datetime(2026, 3, 4, 10)),
        (datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 3, 4, 9, tzinfo=UTC)),
        (date(2026, 3, 5), date(2026, 3, 4)),
        ("2026-03-05", "2026-03-04"),
        ("2026-03-05 10:00:00.5", "2026-03-04 10:00:00"),
        ("2026-03-05T10:00:00Z", "2026-03-04T09:00:00"),
    ],
)
def test_an_earlier_cursor_is_written_as_the_column_writes_it(like: Any, early: Any) -> None:
    at = datetime(2026, 3, 4, 9, tzinfo=UTC)

    assert cursor_at(like, at, BERLIN) == early
