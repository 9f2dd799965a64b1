"""What we read: organizations, users and tickets, each by Zendesk's incremental export.

An export gives what changed since a time and never the last minute, so nothing appears behind its
end later. Tickets and users have a cursor. Organizations have only times, to the second: a page
begins again with the second in which the one before ended, and where one second fills a page only
Zendesk's own link goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from hub import Page, Position, Row, Rows, stream

from .client import Api, listed, stuck
from .mapping import (
    ORGANIZATION_KEEPS,
    TICKET_KEEPS,
    USER_KEEPS,
    is_gone,
    to_account,
    to_ticket,
    to_user,
)

EXPORTED = 1000
"""The most that Zendesk puts on a page of an export."""

NOT_YET = timedelta(seconds=61)
"""Zendesk refuses to export from a time that is not yet a minute ago."""

METRICS = "metric_sets"


class Reads(Api):
    """The streams; each also reads by id, and lists its ids for the sweep."""

    @stream(
        maps=to_account, deletes="sweep", keeps=ORGANIZATION_KEEPS, custom="organization_fields"
    )
    def organizations(self, at: Position | None) -> Iterator[Page]:
        """Organizations: the desk's idea of a customer. A first read takes all, however old."""
        state = at.state if at is not None else {}
        is_first = bool(state.get("first", "end_time" not in state))
        for rows, end, is_last in self._by_time(int(str(state.get("end_time", 0)))):
            yield self._page(
                "organizations", rows, {"end_time": end}, is_first=is_first, is_last=is_last
            )

    @organizations.by_ids
    def organizations_by_ids(self, ids: Sequence[str]) -> Rows:
        """Organizations by id."""
        return self._by_ids("organizations", ids)

    @organizations.ids
    def organization_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all organizations."""
        return self._ids("organizations")

    @stream(maps=to_user, deletes="flag", keeps=USER_KEEPS, custom="user_fields")
    def users(self, at: Position | None) -> Iterator[Page]:
        """End users, agents and admins. A first read takes all, however old."""
        return self._by_cursor("users", at, since=None)

    @users.by_ids
    def users_by_ids(self, ids: Sequence[str]) -> Rows:
        """Users by id; a deleted end user is left out."""
        return [row for row in self._by_ids("users", ids) if not is_gone(row)]

    @users.ids
    def user_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all users."""
        return self._ids("users")

    @stream(maps=to_ticket, deletes="flag", keeps=TICKET_KEEPS)
    def tickets(self, at: Position | None) -> Iterator[Page]:
        """Tickets, with the time at which they were solved; a deleted one comes as deleted."""
        since = at.since if at is not None else None
        return self._by_cursor("tickets", at, since=since, include=METRICS)

    @tickets.by_ids
    def tickets_by_ids(self, ids: Sequence[str]) -> Rows:
        """Tickets by id; a deleted one is left out."""
        return self._by_ids("tickets", ids, include=METRICS)

    @tickets.ids
    def ticket_ids(self) -> Iterator[Sequence[str]]:
        """The ids of all tickets."""
        return self._ids("tickets")

    # --- exports -------------------------------------------------------------------------------

    def _by_cursor(
        self, name: str, at: Position | None, *, since: datetime | None, **params: str
    ) -> Iterator[Page]:
        """The pages from a cursor on, or from a time when there is none yet."""
        state = at.state if at is not None else {}
        cursor = str(state["cursor"]) if "cursor" in state else None
        is_first = bool(state.get("first", cursor is None))
        path = f"/api/v2/incremental/{name}/cursor"
        seen = {cursor}
        while True:
            begin = self._begin(since) if cursor is None else None
            answer = self.http.get(
                path, start_time=begin, cursor=cursor, per_page=EXPORTED, **params
            )
            rows, is_last = _with_metrics(answer, name), _is_last(answer, name)
            after = answer.get("after_cursor")
            if not is_last and (not after or after in seen):
                raise stuck(path)
            cursor = after or cursor
            stands = {"cursor": cursor} if cursor else {}
            yield self._page(name, rows, stands, is_first=is_first, is_last=is_last)
            if is_last:
                return
            seen.add(cursor)

    def _by_time(self, start: int) -> Iterator[tuple[list[Row], int, bool]]:
        """Organizations changed in the second `start` or later, oldest first.

        Each page with the second that it reached, and whether it is the last. What stood on the
        page before as well is left out.
        """
        name = "organizations"
        path = f"/api/v2/incremental/{name}"
        params: dict[str, object] = {
            "start_time": min(start, self._latest()),
            "per_page": EXPORTED,
        }
        links: set[str] = set()
        before: set[tuple[object, object]] = set()
        while True:
            answer = self.http.get(path, **params)
            rows, is_last = listed(answer, name), _is_last(answer, name)
            start = max(start, int(answer.get("end_time") or 0))
            yield [row for row in rows if _version(row) not in before], start, is_last
            if is_last:
                return
            link = answer.get("next_page")
            if not link or link in links:
                raise stuck(path)
            links.add(link)
            path, params, before = link, {}, {_version(row) for row in rows}

    def _begin(self, since: datetime | None) -> int:
        """The second to export from: since then, or since ever."""
        return 0 if since is None else min(int(since.timestamp()), self._latest())

    def _latest(self) -> int:
        return int((self.now() - NOT_YET).timestamp())

    # --- whole rows ----------------------------------------------------------------------------

    def _page(
        self,
        name: str,
        rows: Rows,
        stands: Mapping[str, Any],
        *,
        is_first: bool,
        is_last: bool,
    ) -> Page:
        """A page with its position; a first read stays one until its last page, also if stopped."""
        goes_on = {"first": True} if is_first and not is_last else {}
        return Page(
            [self._stamped(name, row) for row in rows],
            at=Position(state={**stands, **goes_on}) if stands else None,
            gone=[str(row["id"]) for row in rows if is_gone(row)],
            complete=is_first and is_last,
        )

    def _stamped(self, name: str, row: Row) -> Row:
        """A row with its page for people, and what the admin says about external ids."""
        more = {"url": self.page_of(name, row.get("id"))}
        if name == "organizations" and self.settings.external_id_is is not None:
            more["external_id_is"] = self.settings.external_id_is
        return {**row, **more}

    def _by_ids(self, name: str, ids: Sequence[str], **params: str) -> Rows:
        answers = self.show(name, ids, **params)
        return [
            self._stamped(name, row) for answer in answers for row in _with_metrics(answer, name)
        ]

    def _ids(self, name: str) -> Iterator[Sequence[str]]:
        for rows in self.walk(name):
            yield [str(row["id"]) for row in rows]


def _with_metrics(answer: Row, name: str) -> list[Row]:
    """The rows of an answer; metrics that stand beside them are put into their tickets."""
    rows = listed(answer, name)
    beside = {metrics.get("ticket_id"): metrics for metrics in answer.get(METRICS) or ()}
    return [{**row, "metric_set": beside[row["id"]]} if row.get("id") in beside else row
            for row in rows]  # fmt: skip


def _is_last(answer: Row, name: str) -> bool:
    """Whether an export ends here; an older answer tells it only by a page that is not full."""
    told = answer.get("end_of_stream")
    return len(listed(answer, name)) < EXPORTED if told is None else bool(told)


def _version(row: Row) -> tuple[object, object]:
    return row.get("id"), row.get("updated_at")
