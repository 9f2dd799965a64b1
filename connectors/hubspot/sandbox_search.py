"""HubSpot's search: its filters, its order, its 10,000 results, and what it shows late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from heapq import nsmallest
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from zlib import crc32

from .sandbox_properties import Definition, stamp

CAP = 10_000
MOST = 200
LONGEST_BODY = 3000

Compared = Callable[[Any], Any]
Shown = tuple[str, Mapping[str, Any]]
"""A record's id and its properties, as the search index has them."""


class BadSearch(Exception):
    """A search that HubSpot answers with 400."""


def search(
    body: Mapping[str, Any], shown: Iterable[Shown], definitions: Mapping[str, Definition]
) -> tuple[list[str], int, str | None]:
    """The ids of one page, how many there are in all, and the offset of the next page."""
    limit, offset = _window(body)
    word = str(body.get("query") or "").lower()
    found = [
        one
        for one in _filtered(list(shown), body.get("filterGroups") or [], definitions)
        if not word or _mentions(one[1], word)
    ]
    ordered = nsmallest(offset + limit, found, key=_order(body, definitions))[offset:]
    reached = offset + len(ordered)
    return [one for one, _ in ordered], len(found), str(reached) if reached < len(found) else None


def _window(body: Mapping[str, Any]) -> tuple[int, int]:
    try:
        limit, offset = int(body.get("limit") or 10), int(body.get("after") or 0)
    except (TypeError, ValueError):
        raise BadSearch("limit and after must be integers") from None
    if not 0 < limit <= MOST:
        raise BadSearch(f"limit must be between 1 and {MOST}")
    if offset + limit > CAP:
        raise BadSearch(f"The total number of results is limited to {CAP}")
    return limit, offset


def _filtered(
    shown: list[Shown], groups: list[Mapping[str, Any]], definitions: Mapping[str, Definition]
) -> list[Shown]:
    """The records that pass every filter of at least one group."""
    sizes = [len(group.get("filters") or ()) for group in groups]
    if len(groups) > 5 or max(sizes, default=0) > 6 or sum(sizes) > 18:
        raise BadSearch("There are too many filter groups or filters")
    passed: dict[str, Shown] = {}
    for group in groups or [{}]:
        found = shown
        for wanted in group.get("filters") or ():
            test = _test(wanted, definitions)
            found = [one for one in found if test(one[1])]
        passed |= {one[0]: one for one in found}
    return list(passed.values())


def _test(
    wanted: Mapping[str, Any], definitions: Mapping[str, Definition]
) -> Callable[[Mapping[str, Any]], bool]:
    """One filter as a test of a record's properties."""
    name, operator = str(wanted.get("propertyName")), wanted.get("operator")
    if name not in definitions:
        raise BadSearch(f"There was a problem with the request: property {name} does not exist")
    type = definitions[name]["type"]
    given: Compared = GIVEN.get(type, _as_word)
    held: Compared = HELD.get(type, _as_word)
    if operator == "HAS_PROPERTY":
        return lambda its: its.get(name) is not None
    if operator == "NOT_HAS_PROPERTY":
        return lambda its: its.get(name) is None
    if operator in ("IN", "NOT_IN"):
        some = {given(value) for value in wanted.get("values") or ()}
        return lambda its: (
            its.get(name) is not None and (held(its[name]) in some) == (operator == "IN")
        )
    value, high = given(wanted.get("value")), given(wanted.get("highValue"))
    if value is None:
        raise BadSearch(f"The filter on {name} has no valid value")
    if operator == "BETWEEN":
        return lambda its: its.get(name) is not None and value <= held(its[name]) <= high
    if operator not in COMPARE:
        raise BadSearch(f"{operator} is not an operator")
    compare = COMPARE[operator]
    return lambda its: its.get(name) is not None and compare(held(its[name]), value)


def _as_word(value: Any) -> str | None:
    return None if value is None else str(value).lower()


def _as_number(value: Any) -> Decimal | int | None:
    text = str(value)
    if text.isdigit():
        return int(text)
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _as_time(value: Any) -> str | None:
    text = str(value)
    if text.lstrip("-").isdigit():
        return stamp(datetime.fromtimestamp(int(text) / 1000, UTC))
    return None if value is None else text


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": eq, "NEQ": ne, "GT": gt, "GTE": ge, "LT": lt, "LTE": le,
    "CONTAINS_TOKEN": lambda held, given: str(given).strip("*") in str(held),
}  # fmt: skip

GIVEN: dict[str, Compared] = {"number": _as_number, "datetime": _as_time}
HELD: dict[str, Compared] = {"number": _as_number, "datetime": str}
"""How the values of a filter and of a record compare: a record's times are held as written."""


def _order(
    body: Mapping[str, Any], definitions: Mapping[str, Definition]
) -> Callable[[Shown], Any]:
    """The one sort that is allowed; what it leaves equal comes in no useful order."""
    sorts = body.get("sorts") or []
    if len(sorts) > 1:
        raise BadSearch("Only one sort is allowed")
    by = sorts[0] if sorts else {"propertyName": "hs_object_id"}
    name = by["propertyName"] if isinstance(by, Mapping) else str(by).lstrip("-")
    down = isinstance(by, Mapping) and by.get("direction") == "DESCENDING"
    if name not in definitions:
        raise BadSearch(f"There was a problem with the request: property {name} does not exist")
    held: Compared = HELD.get(definitions[name]["type"], _as_word)

    def place(one: Shown) -> Any:
        value = one[1].get(name)
        rank = (False,) if value is None else (True, held(value))
        return _Down(rank) if down else rank, crc32(one[0].encode())

    return place


class _Down:
    """A value that sorts the other way round."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Down) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and self.value == other.value


def _mentions(its: Mapping[str, Any], word: str) -> bool:
    names = ("name", "domain", "email", "firstname", "lastname", "dealname", "hs_task_subject")
    return any(word in str(its.get(name) or "").lower() for name in names)
