"""How Stripe lists and expands: newest first, cursors by id, filters, and what a caller may ask.

Pure functions over the stored objects; what Stripe refuses is a `BadRequest` with its own words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, TypeAlias

from .sandbox_shapes import Obj

Params: TypeAlias = Mapping[str, list[str]]
Objects: TypeAlias = Mapping[str, Mapping[str, Obj]]

DEEPEST = 4


class BadRequest(Exception):
    """Stripe's 400 (or 404): its message, and the code and parameter that go with it."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Resource:
    """One collection: its object's name, the filters by equality, and those by time."""

    kind: str
    equals: Mapping[str, Callable[[Obj], Any]]
    times: tuple[str, ...] = ("created",)


def _field(name: str) -> Callable[[Obj], Any]:
    return lambda obj: obj.get(name)


def _fields(*names: str) -> dict[str, Callable[[Obj], Any]]:
    return {name: _field(name) for name in names}


def _is_active(obj: Obj) -> str:
    return str(obj["active"]).lower()


def _subscription_of(invoice: Obj) -> Any:
    return ((invoice.get("parent") or {}).get("subscription_details") or {}).get("subscription")


RESOURCES: Mapping[str, Resource] = {
    "customers": Resource("customer", _fields("email")),
    "subscriptions": Resource(
        "subscription",
        {
            **_fields("customer", "collection_method"),
            "price": lambda sub: [item["price"]["id"] for item in sub["items"]["data"]],
        },
        ("created", "current_period_end", "current_period_start"),
    ),
    "invoices": Resource(
        "invoice",
        {**_fields("status", "customer", "collection_method"), "subscription": _subscription_of},
        ("created", "due_date"),
    ),
    "invoice_payments": Resource("invoice_payment", _fields("invoice", "status")),
    "charges": Resource("charge", _fields("customer", "payment_intent")),
    "payment_intents": Resource("payment_intent", _fields("customer")),
    "products": Resource("product", {"active": _is_active}),
    "prices": Resource("price", {"active": _is_active, **_fields("product")}),
    "events": Resource("event", {}),
}

LIST_WORDS = frozenset({"limit", "starting_after", "ending_before", "expand"})
OWN_WORDS = {"subscriptions": {"status"}, "events": {"type", "types", "delivery_success"}}


def bare(name: str) -> str:
    """`expand[]` and `expand[0]` are `expand`; `created[gte]` is `created`."""
    return name.partition("[")[0]


def values(params: Params, name: str) -> list[str]:
    """All values of a list parameter, written `name[]` or `name[0]`."""
    return [value for key, found in params.items() if bare(key) == name for value in found]


def first(params: Params, name: str) -> str | None:
    """The value of a plain parameter."""
    found = params.get(name)
    return found[0] if found else None


def page_of(collection: str, found: Iterable[Obj], params: Params) -> Obj:
    """One page of a list, newest first, with everything a caller may ask of it."""
    resource = RESOURCES[collection]
    known = LIST_WORDS | set(resource.equals) | set(resource.times)
    for name in params:
        if bare(name) not in known | OWN_WORDS.get(collection, set()):
            raise BadRequest(
                f"Received unknown parameter: {bare(name)}",
                param=bare(name),
                code="parameter_unknown",
            )
    rows = sorted(found, key=lambda obj: int(obj["created"]))[::-1]
    rows, has_more = _cut(resource.kind, rows, params, _test(collection, resource, params))
    return {"object": "list", "data": rows, "has_more": has_more, "url": f"/v1/{collection}"}


def _cut(
    kind: str, rows: Sequence[Obj], params: Params, passes: Callable[[Obj], bool]
) -> tuple[list[Obj], bool]:
    limit = _limit(params)
    after, before = first(params, "starting_after"), first(params, "ending_before")
    if after and before:
        raise BadRequest("You cannot use both starting_after and ending_before.")
    if before:
        nearest_first = reversed(rows[: _place(kind, rows, before, "ending_before")])
        newer = list(islice(filter(passes, nearest_first), limit + 1))
        return newer[:limit][::-1], len(newer) > limit
    start = _place(kind, rows, after, "starting_after") + 1 if after else 0
    older = list(islice(filter(passes, rows[start:]), limit + 1))
    return older[:limit], len(older) > limit


def _place(kind: str, rows: Sequence[Obj], id: str, param: str) -> int:
    for place, row in enumerate(rows):
        if row["id"] == id:
            return place
    raise missing(kind, id, param, status=400)


def missing(kind: str, id: str, param: str = "id", status: int = 404) -> BadRequest:
    """There is no such object."""
    return BadRequest(
        f"No such {kind}: '{id}'", param=param, code="resource_missing", status=status
    )


def _limit(params: Params) -> int:
    text = first(params, "limit") or "10"
    if not text.isdigit():
        raise _not_an_integer(text, "limit")
    if not 1 <= int(text) <= 100:
        raise BadRequest(
            f"This value must be between 1 and 100 (it currently is '{text}').",
            param="limit",
            code="parameter_invalid_integer",
        )
    return int(text)


def _not_an_integer(text: str, param: str) -> BadRequest:
    return BadRequest(f"Invalid integer: {text}", param=param, code="parameter_invalid_integer")


# --- filters ----------------------------------------------------------------------------------


def _test(collection: str, resource: Resource, params: Params) -> Callable[[Obj], bool]:
    tests: list[Callable[[Obj], bool]] = []
    for name, field in resource.equals.items():
        if (wanted := first(params, name)) is not None:
            tests.append(_equals(field, wanted))
    for name in params:
        if bare(name) in resource.times:
            tests.append(_in_time(bare(name), name, params[name][0]))
    if collection == "subscriptions":
        tests.append(_has_status(first(params, "status")))
    if collection == "events":
        tests.append(_is_of_type([*values(params, "types"), *values(params, "type")]))
    return lambda obj: all(test(obj) for test in tests)


def _equals(field: Callable[[Obj], Any], wanted: str) -> Callable[[Obj], bool]:
    def test(obj: Obj) -> bool:
        value = field(obj)
        return wanted in value if isinstance(value, list) else value == wanted

    return test


COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "": lambda a, b: a == b,
}


def _in_time(field: str, name: str, text: str) -> Callable[[Obj], bool]:
    match = re.fullmatch(r"\w+(?:\[(gt|gte|lt|lte)\])?", name)
    if match is None or not text.isdigit():
        raise _not_an_integer(text, name)
    compare, bound = COMPARE[match[1] or ""], int(text)
    in_items = field.startswith("current_period")

    def test(obj: Obj) -> bool:
        holders = obj["items"]["data"] if in_items else [obj]
        return any(h.get(field) is not None and compare(h[field], bound) for h in holders)

    return test


def _has_status(wanted: str | None) -> Callable[[Obj], bool]:
    """Without a status Stripe hides what is canceled; `ended` is both ways of having ended."""
    if wanted == "all":
        return lambda obj: True
    if wanted == "ended":
        return lambda obj: obj["status"] in ("canceled", "incomplete_expired")
    if wanted is None:
        return lambda obj: obj["status"] != "canceled"
    return lambda obj: obj["status"] == wanted


def _is_of_type(wanted: Sequence[str]) -> Callable[[Obj], bool]:
    if len(wanted) > 20:
        raise BadRequest("You may only specify up to 20 event types.", param="types")
    return lambda obj: not wanted or any(fnmatchcase(obj["type"], kind) for kind in wanted)


# --- expanding --------------------------------------------------------------------------------

EXPANDS = {
    "customer": "customer", "subscription": "subscription", "invoice": "invoice",
    "latest_invoice": "invoice", "charge": "charge", "latest_charge": "charge",
    "payment_intent": "payment_intent", "coupon": "coupon", "product": "product",
    "discounts": "discount",
}  # fmt: skip
"""Fields that hold an id and the object it names; `discounts` holds a list of ids."""

INCLUDES = {
    ("invoice", "payments"): ("invoice_payment", "invoice"),
    ("customer", "subscriptions"): ("subscription", "customer"),
}
"""Lists that are not there until they are asked for: what they hold, and the field that ties."""


def expanded(answer: Obj, params: Params, objects: Objects) -> Obj:
    """A copy of an answer with the objects that `expand[]` asks for in place of their ids."""
    shown: Obj = _copied(answer)
    expander = _Expander(objects, answer)
    for path in values(params, "expand"):
        parts = path.split(".")
        if len(parts) > DEEPEST:
            raise BadRequest(
                f"You cannot expand more than {DEEPEST} levels of a property. Property: {path}",
                param="expand",
            )
        expander.expand(shown, parts)
    return shown


class _Expander:
    """Puts objects in place of ids; finds what is tied to an object without a walk for each."""

    def __init__(self, objects: Objects, answer: Obj) -> None:
        self._objects = objects
        self._shown = {str(row.get("id")) for row in answer.get("data", [answer])}
        self._tied: dict[tuple[str, str], dict[str, list[Obj]]] = {}

    def expand(self, holder: Any, parts: Sequence[str]) -> None:
        """Follow one path, through lists too, changing what is held at each step."""
        if isinstance(holder, list):
            for each in holder:
                self.expand(each, parts)
        if not parts or not isinstance(holder, dict) or holder.get("deleted"):
            return
        name, rest = parts[0], parts[1:]
        if include := INCLUDES.get((holder.get("object", ""), name)):
            holder.setdefault(name, self._list(holder["id"], *include))
        elif name in EXPANDS and name in holder:
            holder[name] = _fetched(holder[name], self._objects[EXPANDS[name]])
        elif not rest or name not in holder:
            raise BadRequest(f"This property cannot be expanded ({name}).", param="expand")
        self.expand(holder[name], rest)

    def _list(self, owner: str, kind: str, tie: str) -> Obj:
        if (kind, tie) not in self._tied:
            self._tied[kind, tie] = self._grouped(kind, tie, self._shown)
        tied = self._tied[kind, tie]
        if owner not in self._shown:
            tied = self._grouped(kind, tie, {owner})
        url = f"/v1/{kind}s?{tie}={owner}"
        data = _copied(tied.get(owner, []))
        return {"object": "list", "data": data, "has_more": False, "url": url}

    def _grouped(self, kind: str, tie: str, owners: set[str]) -> dict[str, list[Obj]]:
        groups: dict[str, list[Obj]] = {}
        for obj in self._objects[kind].values():
            if obj[tie] in owners:
                groups.setdefault(obj[tie], []).append(obj)
        return groups


def _fetched(value: Any, known: Mapping[str, Obj]) -> Any:
    if isinstance(value, list):
        return [_fetched(each, known) for each in value]
    return _copied(known[value]) if isinstance(value, str) and value in known else value


def _copied(obj: Any) -> Any:
    """A copy of plain JSON, several times faster than `deepcopy`."""
    return json.loads(json.dumps(obj))
