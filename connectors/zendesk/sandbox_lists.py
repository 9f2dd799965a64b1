"""Zendesk's addresses for reading: lists, reads by id, and incremental exports."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from urllib.parse import urlencode

from hub.testing.kit import Call, Reply, route

from .sandbox_records import Obj, Records

LISTED = 100
EXPORTED = 1000
DEEPEST_PAGE, DEEPEST_ROW = 100, 10_000
NOT_YET_S = 60
"""An export never gives what changed in the last minute."""


class Lists(Records):
    """The routes that only read."""

    # --- lists ---------------------------------------------------------------------------------

    @route("GET", "/api/v2/organizations")
    def list_organizations(self, call: Call) -> Reply:
        """All organizations."""
        return self.listing(call, "organizations", list(self.organizations.values()))

    @route("GET", "/api/v2/users")
    def list_users(self, call: Call) -> Reply:
        """All users that are not deleted, or those of the roles asked for."""
        roles = call.query.get("role[]") or call.query.get("role")
        rows = [
            user
            for user in self.users.values()
            if user["active"] and (not roles or user["role"] in roles)
        ]
        return self.listing(call, "users", rows)

    @route("GET", "/api/v2/tickets")
    def list_tickets(self, call: Call) -> Reply:
        """All tickets that are not deleted, or those with an external id."""
        wanted = call.param("external_id")
        rows = [
            ticket
            for ticket in self.tickets.values()
            if ticket["status"] != "deleted" and wanted in (None, ticket["external_id"])
        ]
        return self.listing(call, "tickets", rows)

    @route("GET", "/api/v2/organization_fields")
    def list_organization_fields(self, call: Call) -> Reply:
        """The fields that organizations have."""
        return self.listing(call, "organization_fields", list(self.fields.values()))

    @route("GET", "/api/v2/organizations/show_many")
    @route("GET", "/api/v2/users/show_many")
    @route("GET", "/api/v2/tickets/show_many")
    def show_many(self, call: Call) -> Reply:
        """Up to 100 records by id; those that are gone are left out."""
        kind = call.path.split("/")[3]
        ids = [one.strip() for one in (call.param("ids") or "").split(",") if one.strip()]
        if not ids or len(ids) > LISTED:
            raise self.refuse(400, "BadRequest", f"Give 1 to {LISTED} ids")
        held = self.held(kind)
        found = [held[id] for id in ids if id in held and held[id].get("status") != "deleted"]
        body: Obj = {kind: [self.shown(kind, row) for row in found], "count": len(found)}
        if kind == "tickets" and _with_metrics(call):
            body["metric_sets"] = [self.metrics[str(row["id"])] for row in found]
        return Reply(json=body | {"next_page": None, "previous_page": None})

    @route("GET", "/api/v2/organizations/{id}")
    def read_organization(self, call: Call, id: str) -> Reply:
        """One organization."""
        row = self.shown("organizations", self.get("organizations", id))
        return Reply(json={"organization": row})

    @route("GET", "/api/v2/users/{id}")
    def read_user(self, call: Call, id: str) -> Reply:
        """One user, also one that is deleted."""
        return Reply(json={"user": self.shown("users", self.get("users", id))})

    @route("GET", "/api/v2/tickets/{id}")
    def read_ticket(self, call: Call, id: str) -> Reply:
        """One ticket."""
        return Reply(json={"ticket": self.shown("tickets", self.get("tickets", id))})

    def listing(self, call: Call, name: str, rows: list[Obj]) -> Reply:
        """A page of records in the order of their ids, by cursor or by number."""
        rows = sorted(rows, key=lambda row: int(row["id"]))
        if "page[size]" in call.query or "page[after]" in call.query:
            return self._by_cursor(call, name, rows)
        return self._by_offset(call, name, rows)

    def _by_cursor(self, call: Call, name: str, rows: Sequence[Obj]) -> Reply:
        size = self._number(call, "page[size]", LISTED)
        if not 1 <= size <= LISTED:
            raise self.refuse_listed(
                400, "InvalidPaginationParameter", "Invalid page[size]",
                f"page[size] must be between 1 and {LISTED}",
            )  # fmt: skip
        after = call.param("page[after]")
        last = self._place(after)[1] if after else 0
        rest = [row for row in rows if int(row["id"]) > last]
        shown, has_more = rest[:size], len(rest) > size
        cursor = _cursor(0, int(shown[-1]["id"])) if shown else after
        query = urlencode({"page[size]": size, "page[after]": cursor or ""})
        link = f"{self.url}{call.path}?{query}" if has_more else None
        return Reply(
            json={
                name: [self.shown(name, row) for row in shown],
                "meta": {"has_more": has_more, "after_cursor": cursor, "before_cursor": None},
                "links": {"prev": None, "next": link},
            }
        )

    def _by_offset(self, call: Call, name: str, rows: Sequence[Obj]) -> Reply:
        page = self._number(call, "page", 1)
        size = min(self._number(call, "per_page", LISTED), LISTED)
        if page > DEEPEST_PAGE or page * size > DEEPEST_ROW:
            raise self.refuse_listed(
                400, "InvalidPaginationDepth", "Invalid pagination depth",
                f"Limit of {DEEPEST_PAGE} pages or {DEEPEST_ROW} records exceeded",
            )  # fmt: skip
        shown = rows[(page - 1) * size : page * size]
        more = urlencode({"page": page + 1, "per_page": size})
        link = f"{self.url}{call.path}.json?{more}" if page * size < len(rows) else None
        found = [self.shown(name, row) for row in shown]
        return Reply(
            json={name: found, "count": len(rows), "next_page": link, "previous_page": None}
        )

    # --- exports -------------------------------------------------------------------------------

    @route("GET", "/api/v2/incremental/tickets/cursor")
    @route("GET", "/api/v2/incremental/users/cursor")
    def export_by_cursor(self, call: Call) -> Reply:
        """What changed since a time, or behind a cursor."""
        kind, cursor = call.path.split("/")[4], call.param("cursor")
        place = self._place(cursor) if cursor else (self._start(call), 0)
        size = self._export_size(call)
        rest = [row for row in self._changed(call, kind) if row[:2] > place]
        rows = rest[:size]
        after = _cursor(*(rows[-1][:2] if rows else place))
        query = urlencode({"cursor": after, "per_page": size, **_kept(call)})
        is_last = len(rest) <= size
        return Reply(
            json={
                kind: [self._exported(call, kind, row) for _, _, row in rows],
                "after_cursor": after,
                "after_url": None if is_last else f"{self.url}{call.path}.json?{query}",
                "before_cursor": None,
                "before_url": None,
                "end_of_stream": is_last,
            }
        )

    @route("GET", "/api/v2/incremental/organizations")
    @route("GET", "/api/v2/incremental/users")
    @route("GET", "/api/v2/incremental/tickets")
    def export_by_time(self, call: Call) -> Reply:
        """What changed since a time; the next page begins with the last second of this one.

        Where one second fills a whole page, only the link counts on.
        """
        kind, start, size = call.path.split("/")[4], self._start(call), self._export_size(call)
        skipped = self._number(call, "skip", 0)
        rest = [row for row in self._changed(call, kind) if row[0] >= start][skipped:]
        rows = rest[:size]
        end = rows[-1][0] if rows else None
        is_last = len(rest) <= size
        onward = {"start_time": end, "per_page": size, **_kept(call)}
        if end == start:
            onward["skip"] = skipped + size
        link = f"{self.url}{call.path}.json?{urlencode(onward)}"
        return Reply(
            json={
                kind: [self._exported(call, kind, row) for _, _, row in rows],
                "count": len(rows),
                "end_time": end,
                "next_page": None if end is None else link,
                "end_of_stream": is_last,
            }
        )

    def _changed(self, call: Call, kind: str) -> list[tuple[int, int, Obj]]:
        """(second, id, record) of everything that may be exported, oldest first."""
        until = int(self.clock().timestamp()) - NOT_YET_S
        held = self.held(kind)
        if kind == "organizations" and self.tells_deleted:
            held = {**self.deleted, **held}
        if call.param("exclude_deleted") == "true":
            held = {id: row for id, row in held.items() if row.get("status") != "deleted"}
        moved = self.moved[kind]
        rows = [(moved[id], int(id), row) for id, row in held.items() if moved[id] < until]
        return sorted(rows, key=lambda row: row[:2])

    def _exported(self, call: Call, kind: str, record: Obj) -> Obj:
        row = self.shown(kind, record)
        if kind == "tickets" and _with_metrics(call):
            row["metric_set"] = self.metrics[str(record["id"])]
        return row

    def _start(self, call: Call) -> int:
        start = self._number(call, "start_time", -1)
        if start < 0:
            raise self.refuse(400, "BadRequest", "start_time is required")
        if start > int(self.clock().timestamp()) - NOT_YET_S:
            why = "Too recent start_time. Use a start_time older than 1 minute"
            raise self.refuse(422, "StartTimeTooRecent", why)
        return start

    def _export_size(self, call: Call) -> int:
        return max(1, min(self._number(call, "per_page", EXPORTED), EXPORTED))

    def _number(self, call: Call, name: str, default: int) -> int:
        try:
            return int(call.param(name) or default)
        except ValueError:
            raise self.refuse(400, "BadRequest", f"{name} must be a number") from None

    def _place(self, cursor: str) -> tuple[int, int]:
        try:
            second, _, id = urlsafe_b64decode(cursor.encode()).decode().partition("|")
            return int(second), int(id)
        except ValueError:
            raise self.refuse_listed(
                400, "InvalidPaginationParameter", "Invalid cursor", "the cursor is not valid"
            ) from None


def _cursor(second: int, id: int) -> str:
    return urlsafe_b64encode(f"{second}|{id}".encode()).decode()


def _kept(call: Call) -> Obj:
    """What a link to the next page keeps of the call."""
    return {name: call.query[name][0] for name in ("include", "exclude_deleted")
            if name in call.query}  # fmt: skip


def _with_metrics(call: Call) -> bool:
    return "metric_sets" in (call.param("include") or "").split(",")
