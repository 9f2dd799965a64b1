"""How we talk to HubSpot: sign-in, limits, addresses, reads by id, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from hub import (
    Answer,
    Connector,
    Http,
    HubError,
    Limit,
    ReadRefused,
    RetryLater,
    Row,
    ScopeMissing,
    WriteRefused,
)

from .settings import HubSpotSettings

VENDOR = "https://api.hubapi.com"
BATCH = 100
"""How many records one batch call takes."""

READS = re.compile(r"/(search|batch/read)$")
"""Calls that only read although they are sent by POST."""

TYPE_IDS = {"contacts": "0-1", "companies": "0-2", "deals": "0-3", "tasks": "0-27", "notes": "0-46"}
"""HubSpot's numbers for its own objects, as they stand in the addresses of its pages."""

IDLE_PAGES = 2
"""One repeated page is a hiccup; a second one in a row means that a listing goes in circles."""

LOCKED_S, BURST_S, SEARCH_S, MOVING_S, DAILY_S = 2.0, 10.0, 1.0, 600.0, 3600.0
"""Waits where HubSpot names none: a locked record, too many calls or searches, an account that is
being moved, a day's calls used up."""


class AlreadyThere(WriteRefused):
    """What was to be made exists already (409): read it instead."""


class TargetGone(WriteRefused):
    """What was to be changed does not exist any more (404)."""

    default_code = "TARGET_GONE"


class Api(Connector[HubSpotSettings]):
    """HubSpot's addresses and the reads that streams and actions share."""

    def connect(self) -> Http:
        """One client; searches have a limit of their own, apart from the other calls."""
        calls = self.settings.calls_per_10s
        return Http(
            self.settings.base_url or VENDOR,
            token=self.settings.token.get_secret_value(),
            limits=[
                Limit("calls", calls, 10, only=(r"^(?!.*/search$)",)),
                Limit("searches", 5, 1, only=(r"/search$",)),
            ],
            explain=partial(explain, self.connection),
        )

    def at(self, area: str, *parts: str) -> str:
        """An address of the CRM in the connection's version: `at("objects", "companies")`."""
        return "/".join(("/crm", area, self.settings.version, *parts))

    @cached_property
    def portal(self) -> Mapping[str, Any]:
        """The account's id, currency, zone and web address; empty when the token may not see it."""
        try:
            details: Mapping[str, Any] = self.http.get(
                f"/account-info/{self.settings.version}/details"
            )
        except (ScopeMissing, ReadRefused):
            return {}
        return details

    def page_of(self, kind: str, record: str) -> str | None:
        """Where people see a record."""
        if "portalId" not in self.portal:
            return None
        site = self.portal.get("uiDomain") or "app.hubspot.com"
        scheme = "http" if self.loopback else "https"
        return (
            f"{scheme}://{site}/contacts/{self.portal['portalId']}/record/{TYPE_IDS[kind]}/{record}"
        )

    def read(self, kind: str, ids: Sequence[str], properties: Sequence[str]) -> list[Row]:
        """Records by id: one that is gone is left out, a merged one answers as its survivor."""
        found: dict[str, Row] = {}
        for some in chunks(list(dict.fromkeys(ids))):
            answer = self.http.post(
                self.at("objects", kind, "batch", "read"),
                json={
                    "inputs": [{"id": one} for one in some],
                    "properties": list(properties),
                    "propertiesWithHistory": [],
                },
                reads=True,
            )
            found |= {str(row["id"]): row for row in results(answer)}
        return list(found.values())

    def associated(
        self, source: str, target: str, ids: Sequence[str]
    ) -> dict[str, list[Mapping[str, Any]]]:
        """The associations of each record to another object, as HubSpot lists them."""
        linked: dict[str, list[Mapping[str, Any]]] = {one: [] for one in ids}
        inputs: list[dict[str, str]] = [{"id": one} for one in linked]
        while inputs:
            answer = self.http.post(
                self.at("associations", source, target, "batch", "read"),
                json={"inputs": inputs[:BATCH]},
                reads=True,
            )
            inputs = inputs[BATCH:]
            for links in results(answer):
                linked.setdefault(str(links["from"]["id"]), []).extend(links["to"])
                if (after := next_of(links)) is not None:
                    inputs.append({"id": str(links["from"]["id"]), "after": after})
        return linked

    def walk(
        self, path: str, after: str | None = None, **params: Any
    ) -> Iterator[tuple[list[Row], str | None]]:
        """The pages of a listing, each with the cursor of the next; stops if they repeat."""
        seen: set[str | None] = {after}
        before: set[str] = set()
        idle = 0
        while True:
            answer = self.http.get(path, **params, after=after)
            rows, after = results(answer), next_of(answer)
            ids = {str(row["id"]) for row in rows}
            idle = idle + 1 if ids == before else 0
            if after is not None and (after in seen or idle == IDLE_PAGES):
                raise stuck(path)
            yield rows, after
            if after is None:
                return
            seen.add(after)
            before = ids


def chunks(items: Sequence[str], size: int = BATCH) -> Iterator[Sequence[str]]:
    """The items in batches that HubSpot takes."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def results(answer: Any) -> list[Row]:
    """The records of an answer; an answer without a list of them is no answer."""
    found = answer.get("results") if isinstance(answer, Mapping) else None
    if not isinstance(found, list):
        raise ReadRefused(
            "HubSpot's answer has no results",
            do="Run again; if it stays, the API version of the connection may have changed",
            code="SHAPE",
        )
    return found


def next_of(answer: Any) -> str | None:
    """The cursor of the next page, None at the end."""
    following = (answer.get("paging") or {}).get("next") or {}
    after = following.get("after")
    return None if after in (None, "") else str(after)


def stuck(path: str) -> HubError:
    """What a listing raises that does not move forward."""
    return ReadRefused(
        f"HubSpot's paging of {path} repeats itself",
        do="Nothing was marked as gone; the next sync tries again",
        code="PAGINATION_STUCK",
    )


def explain(connection: str, answer: Answer) -> HubError | None:
    """HubSpot's refusals in our words, with its correlation id; None leaves it to the client."""
    body = answer.body if isinstance(answer.body, Mapping) else {}
    said = f"{answer.method} {answer.path}: {_message(body)} ({answer.status}, {_reference(body)})"
    match answer.status:
        case 400 if answer.method != "GET" and not READS.search(answer.path):
            return WriteRefused(
                f"HubSpot refused {said}",
                where=connection,
                do="Look at the account's own rules for that field; the hub does not insist",
            )
        case 403:
            needed = " or ".join(_scopes(body)) or "a scope that it does not name"
            return ScopeMissing(
                f"HubSpot wants {needed} for {said}",
                where=connection,
                do="Add the scope to the service key; the next run goes on from here",
            )
        case 404 if answer.method != "GET":
            return TargetGone(f"HubSpot has no such record: {said}", where=connection)
        case 409:
            return AlreadyThere(f"HubSpot has that already: {said}", where=connection)
        case 423 | 429 | 477:
            return _wait(connection, answer.status, str(body.get("policyName") or ""), said)
    return None


def _wait(connection: str, status: int, policy: str, said: str) -> RetryLater:
    """How long to wait: HubSpot names the limit, not the time."""
    if status == 423:
        return RetryLater(f"the record is locked, {said}", after_s=LOCKED_S, where=connection)
    if status == 477:
        what = f"HubSpot is moving the account, {said}"
        return RetryLater(what, after_s=MOVING_S, where=connection)
    after, do = (BURST_S if "TEN_SECONDLY" in policy else SEARCH_S), "The hub goes on by itself"
    if "DAILY" in policy:
        after, do = DAILY_S, "HubSpot counts anew at midnight in the account's time zone"
    return RetryLater(
        f"HubSpot limits calls, {said}",
        after_s=after,
        where=connection,
        do=do,
        code="RATE_LIMITED",
    )


def _message(body: Mapping[str, Any]) -> str:
    """What HubSpot says went wrong, with the details it gives for single inputs."""
    details = [str(error.get("message")) for error in body.get("errors") or () if error]
    words = [str(body.get("message") or "no reason given"), *details]
    return "; ".join(dict.fromkeys(word.rstrip(".") for word in words))


def _reference(body: Mapping[str, Any]) -> str:
    return f"correlation {body.get('correlationId') or 'unknown'}"


def _scopes(body: Mapping[str, Any]) -> list[str]:
    contexts = [error.get("context") or {} for error in body.get("errors") or ()]
    return [str(scope) for c in contexts for scope in c.get("requiredGranularScopes") or ()]
