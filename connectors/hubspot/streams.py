"""What we read: companies, contacts and deals by list first and by search later, owners in full.

The first read lists everything. Later ones search for what changed, oldest first, and re-read five
minutes, because the search shows changes late. A search page never uses an offset: records that
change meanwhile would shift the rest, and past 10,000 HubSpot refuses. Each page starts at the last
time seen; where one instant fills a whole page, that instant is read by record id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hub import Page, Position, ReadRefused, Row, Rows, stream

from .client import Api, next_of, results, stuck
from .mapping import (
    COMPANY_KEEPS,
    COMPANY_PROPERTIES,
    CONTACT_KEEPS,
    CONTACT_PROPERTIES,
    DEAL_KEEPS,
    DEAL_PROPERTIES,
    OWNER_KEEPS,
    instant,
    merged_ids,
    to_account,
    to_deal,
    to_owner,
    to_person,
)

LISTED = 100
SEARCHED = 200
"""The most that HubSpot puts on a page of a list and of a search."""

OVERLAP_MS = 5 * 60 * 1000
"""How far behind its cursor a read begins again: the search is a few moments late."""

ROOM = 1500
"""How many characters of property names fit into one request; more are read by id."""


@dataclass(frozen=True)
class Kind:
    """One object of the CRM: what is read of it, and which property says when it changed."""

    name: str
    changed: str
    properties: tuple[str, ...]
    has_company: bool = False


COMPANIES = Kind("companies", "hs_lastmodifieddate", COMPANY_PROPERTIES)
CONTACTS = Kind("contacts", "lastmodifieddate", CONTACT_PROPERTIES, has_company=True)
DEALS = Kind("deals", "hs_lastmodifieddate", DEAL_PROPERTIES, has_company=True)


class Reads(Api):
    """The streams; each also reads by id, and lists its ids for the sweep."""

    @stream(maps=to_account, deletes="sweep", keeps=COMPANY_KEEPS, custom="properties")
    def companies(self, at: Position | None) -> Iterator[Page]:
        """Companies: the CRM's idea of a customer."""
        return self._pages(COMPANIES, at)

    @companies.by_ids
    def companies_by_ids(self, ids: Sequence[str]) -> Rows:
        """Companies by id."""
        return self._by_ids(COMPANIES, ids)

    @companies.ids
    def company_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all companies."""
        return self._ids(COMPANIES)

    @stream(maps=to_person, deletes="sweep", keeps=CONTACT_KEEPS, custom="properties")
    def contacts(self, at: Position | None) -> Iterator[Page]:
        """Contacts, with the companies they are at."""
        return self._pages(CONTACTS, at)

    @contacts.by_ids
    def contacts_by_ids(self, ids: Sequence[str]) -> Rows:
        """Contacts by id."""
        return self._by_ids(CONTACTS, ids)

    @contacts.ids
    def contact_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all contacts."""
        return self._ids(CONTACTS)

    @stream(maps=to_deal, deletes="sweep", keeps=DEAL_KEEPS, custom="properties")
    def deals(self, at: Position | None) -> Iterator[Page]:
        """Deals, with their companies and what their stage means."""
        return self._pages(DEALS, at)

    @deals.by_ids
    def deals_by_ids(self, ids: Sequence[str]) -> Rows:
        """Deals by id."""
        return self._by_ids(DEALS, ids)

    @deals.ids
    def deal_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all deals."""
        return self._ids(DEALS)

    @stream(maps=to_owner, deletes="sweep", keeps=OWNER_KEEPS)
    def owners(self, at: Position | None) -> Iterator[Page]:
        """Owners, also deactivated ones; few, and without a change date: always all of them."""
        for archived in (False, True):
            for rows, after in self._owner_pages(archived):
                yield Page(rows, complete=archived and after is None)

    @owners.by_ids
    def owners_by_ids(self, ids: Sequence[str]) -> Rows:
        """Owners by id; HubSpot has no batch read for them."""
        wanted = set(ids)
        pages = (page for archived in (False, True) for page in self._owner_pages(archived))
        return [row for rows, _ in pages for row in rows if str(row["id"]) in wanted]

    @owners.ids
    def owner_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all owners."""
        for archived in (False, True):
            for rows, _ in self._owner_pages(archived):
                yield [str(row["id"]) for row in rows]

    def _owner_pages(self, archived: bool) -> Iterator[tuple[list[Row], str | None]]:
        return self.walk(self.at("owners"), limit=LISTED, archived=archived)

    # --- the first read ------------------------------------------------------------------------

    def _pages(self, kind: Kind, at: Position | None) -> Iterator[Page]:
        state = at.state if at is not None else {}
        if (since := state.get("changed_since")) is not None:
            yield from self._changed(kind, int(str(since)))
        elif (after := state.get("after")) is not None:
            yield from self._listing(kind, str(after), int(str(state["newest"])))
        else:
            # Whatever changes from here on has a later time, so the next read finds it.
            yield from self._listing(kind, None, self._newest(kind))

    def _listing(self, kind: Kind, begin: str | None, newest: int) -> Iterator[Page]:
        names = self._names(kind)
        shown = names if _fit(names) else ("hs_object_id",)
        path = self.at("objects", kind.name)
        for rows, after in self.walk(path, begin, limit=LISTED, properties=",".join(shown)):
            if after is None:
                end = Position(state={"changed_since": newest})
                yield self._page(kind, rows, end, complete=True)
            else:
                here = Position(state={"after": after, "newest": newest})
                yield self._page(kind, rows, here)

    def _ids(self, kind: Kind) -> Iterator[Sequence[str]]:
        path = self.at("objects", kind.name)
        for rows, _ in self.walk(path, limit=LISTED, properties="hs_object_id"):
            yield [str(row["id"]) for row in rows]

    # --- what changed --------------------------------------------------------------------------

    def _changed(self, kind: Kind, since: int) -> Iterator[Page]:
        """What changed since a time of HubSpot's own, in milliseconds.

        The cursor never passes what was newest when the read began: while a long read pages, a
        change may become visible behind it, and the overlap counts from the beginning. Nor does it
        pass our own clock, so that one absurd date cannot hide everything after it.
        """
        horizon = min(self._newest(kind), int(self.now().timestamp() * 1000))
        for rows, reached in self._from(kind, max(0, since - OVERLAP_MS)):
            safe = max(since, min(reached, horizon))
            yield self._page(kind, rows, Position(state={"changed_since": safe}))

    def _from(self, kind: Kind, floor: int) -> Iterator[tuple[list[Row], int]]:
        """Rows changed at `floor` or later, oldest first, each page with the time it reached."""
        known: set[tuple[str, int]] = set()
        while True:
            rows, more = self._search(kind, [_filter(kind.changed, "GTE", floor)], kind.changed)
            keys = [(str(row["id"]), _changed_ms(kind, row)) for row in rows]
            times = [floor, *(time for _, time in keys)]
            if times != sorted(times):
                raise stuck(self.at("objects", kind.name, "search"))
            if more and times[-1] == floor:
                yield from self._tied(kind, floor, known)
                floor, known = floor + 1, set()
                continue
            yield [row for row, key in zip(rows, keys, strict=True) if key not in known], times[-1]
            if not more:
                return
            floor, known = times[-1], {key for key in keys if key[1] == times[-1]}

    def _tied(
        self, kind: Kind, instant: int, known: Set[tuple[str, int]]
    ) -> Iterator[tuple[list[Row], int]]:
        """The many rows of one instant, for example of an import, by their ids."""
        last = 0
        while True:
            wanted = [_filter(kind.changed, "EQ", instant), _filter("hs_object_id", "GT", last)]
            rows, more = self._search(kind, wanted, "hs_object_id")
            yield [row for row in rows if (str(row["id"]), instant) not in known], instant
            if not more:
                return
            reached = max((int(row["id"]) for row in rows), default=last)
            if reached <= last:
                raise stuck(self.at("objects", kind.name, "search"))
            last = reached

    def _newest(self, kind: Kind) -> int:
        """The latest change that the search shows, in milliseconds; 0 when there is no record."""
        wanted = [{"propertyName": kind.changed, "operator": "HAS_PROPERTY"}]
        rows, _ = self._search(kind, wanted, kind.changed, direction="DESCENDING", limit=1)
        return _changed_ms(kind, rows[0]) if rows else 0

    def _search(
        self,
        kind: Kind,
        filters: Sequence[dict[str, str]],
        by: str,
        *,
        direction: str = "ASCENDING",
        limit: int = SEARCHED,
    ) -> tuple[list[Row], bool]:
        """One page of a search, and whether there is more behind it."""
        names = self._names(kind)
        answer = self.http.post(
            self.at("objects", kind.name, "search"),
            json={
                "filterGroups": [{"filters": list(filters)}],
                "sorts": [{"propertyName": by, "direction": direction}],
                "properties": list(names if _fit(names) and limit > 1 else (kind.changed,)),
                "limit": limit,
                "after": "0",
            },
            reads=True,
        )
        return results(answer), next_of(answer) is not None

    # --- whole rows ----------------------------------------------------------------------------

    def _page(self, kind: Kind, rows: Rows, at: Position | None, *, complete: bool = False) -> Page:
        whole = self._whole(kind, rows)
        merged = {old: str(row["id"]) for row in whole for old in merged_ids(row)}
        return Page(whole, at=at, merged=merged, complete=complete)

    def _by_ids(self, kind: Kind, ids: Sequence[str]) -> Rows:
        return self._joined(kind, self.read(kind.name, ids, self._names(kind)))

    def _whole(self, kind: Kind, rows: Rows) -> Rows:
        """Listed or found rows with all their properties."""
        if _fit(self._names(kind)):
            return self._joined(kind, rows)
        return self._by_ids(kind, [str(row["id"]) for row in rows])

    def _joined(self, kind: Kind, rows: Rows) -> Rows:
        """Rows with their page's address, companies, stage and portal."""
        ids = [str(row["id"]) for row in rows]
        links = self.associated(kind.name, "companies", ids) if kind.has_company else {}
        return [self._with(kind, row, links.get(str(row["id"]), [])) for row in rows]

    def _with(self, kind: Kind, row: Row, companies: Sequence[Any]) -> Row:
        more: dict[str, Any] = {"url": row.get("url") or self.page_of(kind.name, str(row["id"]))}
        if kind.has_company:
            more["companies"] = companies
        if kind is DEALS:
            its = row.get("properties") or {}
            more["stage"] = self._stages.get((its.get("pipeline"), its.get("dealstage")))
            more["portal"] = self.portal
        return {**row, **more}

    @cached_property
    def _stages(self) -> dict[tuple[str | None, str | None], Row]:
        """Each deal stage by pipeline and stage id: its label and what it means."""
        return {
            (str(pipeline["id"]), str(stage["id"])): stage
            for pipeline in results(self.http.get(self.at("pipelines", "deals")))
            for stage in pipeline.get("stages") or ()
        }

    def _names(self, kind: Kind) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*kind.properties, *self.custom_fields(kind.name))))


def _fit(names: Sequence[str]) -> bool:
    return len(",".join(names)) <= ROOM


def _filter(name: str, operator: str, value: int) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": str(value)}


def _changed_ms(kind: Kind, row: Row) -> int:
    """When a row changed, in milliseconds; without that a search cannot be followed."""
    at = instant(row, kind.changed)
    if at is None:
        raise ReadRefused(
            f"{kind.name}/{row.get('id')} has no {kind.changed}",
            do="Nothing was skipped; report this if it stays",
            code="SHAPE",
        )
    return round(at.timestamp() * 1000)
