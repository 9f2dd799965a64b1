"""Canonical JSON: one text for one content, and nothing in it that a database cannot hold."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.store import canonical, digest, storable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


def seen(value: Any) -> Any:
    """What must come back: NUL and lone surrogates replaced, everything else as it was."""
    if isinstance(value, str):
        return "".join("�" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, list):
        return [seen(one) for one in value]
    if isinstance(value, dict):
        return {seen(name): seen(one) for name, one in value.items()}
    return value


@given(JSON)
def test_r26_any_json_comes_back_as_it_was(value: Any) -> None:
    assert json.loads(canonical(value)) == seen(value)


@given(JSON)
def test_a_canonical_text_is_its_own_canonical_text(value: Any) -> None:
    once = canonical(value)

    assert canonical(json.loads(once)) == once


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_names_does_not_matter(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))

    assert canonical(turned) == canonical(value)
    assert digest(canonical(turned)) == digest(canonical(value))


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\0b", "a�b"),
        ("\ud83d alone", "� alone"),
        ("\\u0000 as six letters", "\\u0000 as six letters"),
        ("\\\\u0000\0", "\\\\u0000�"),
        ("👩‍👩‍👧 עברית é\r\n\ufeff=1+1", "👩‍👩‍👧 עברית é\r\n\ufeff=1+1"),
    ],
)
def test_r26_nul_and_lone_surrogates_are_replaced_visibly(text: str, stored: str) -> None:
    assert json.loads(canonical({"text": text})) == {"text": stored}
    assert storable(text) == stored


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"number": number})


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError, match="set is not JSON"):
        canonical({"tags": {1}})


def test_days_instants_and_decimals_are_written_as_text() -> None:
    value = {"on": date(2026, 3, 1), "at": datetime(2026, 3, 1, tzinfo=UTC), "of": Decimal("0.10")}

    assert canonical(value) == '{"at":"2026-03-01T00:00:00+00:00","of":"0.10","on":"2026-03-01"}'


def test_r27_a_number_with_many_digits_stays_whole() -> None:
    assert canonical({"amount": 10**30 + 1}) == '{"amount":1000000000000000000000000000001}'


def test_a_digest_is_short_and_differs_with_the_text() -> None:
    assert len(digest("a")) == 16
    assert digest("a") != digest("b")
