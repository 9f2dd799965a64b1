"""What Zendesk holds: organizations, users, tickets and fields, and how each changes.

Records are plain JSON in Zendesk's own shapes, by their ids as text. `moved` is the second in which
a record last changed for an export, which also moves for reasons that `updated_at` does not show.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, ClassVar, TypeAlias

from hub.testing.kit import Call, Refused, Reply, Sandbox

Obj: TypeAlias = dict[str, Any]

ADMIN_ID = "380000000000"
"""The admin in whose name the hub signs in; the team's agents count on from here."""

KINDS = ("organizations", "users", "tickets")
FIELD_TYPES = (
    "text", "textarea", "checkbox", "date", "integer", "decimal", "regexp", "dropdown", "lookup",
    "multiselect",
)  # fmt: skip


def stamp(at: datetime) -> str:
    """An instant as Zendesk writes it."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Records(Sandbox):
    """The state of one account, and everything that may happen to it.

    The methods without `call` are also what a test or a demo does by hand, as an agent would in
    Zendesk's pages. `lacks` is what the `_noscope` credentials do not have. With `tells_deleted`
    deleted organizations show in the export, which is not certain of the real one.
    """

    kept: ClassVar[tuple[str, ...]] = (
        "subdomain", "organizations", "users", "tickets", "metrics", "moved", "deleted", "fields",
        "jobs", "tokens", "minted", "lacks", "tells_deleted",
    )  # fmt: skip

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 7) -> None:
        super().__init__(clock=clock, seed=seed)
        self.subdomain = f"hub-sandbox-{seed}"
        self.organizations: dict[str, Obj] = {}
        self.users: dict[str, Obj] = {}
        self.tickets: dict[str, Obj] = {}
        self.metrics: dict[str, Obj] = {}
        self.moved: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self.deleted: dict[str, Obj] = {}
        self.fields: dict[str, Obj] = {}
        self.jobs: dict[str, Obj] = {}
        self.tokens: dict[str, Obj] = {}
        self.minted = 0
        self.lacks = ["admin role"]
        self.tells_deleted = False
        self._references = itertools.count(1)

    # --- errors, in Zendesk's three shapes -----------------------------------------------------

    def refuse(
        self, status: int, error: str, description: str, details: Mapping[str, str] | None = None
    ) -> Refused:
        """The usual shape; `details` give a sentence for each field."""
        body: Obj = {"error": error, "description": description}
        if details:
            body["details"] = {
                field: [{"error": "InvalidValue", "description": text}]
                for field, text in details.items()
            }
        return Refused(Reply(status, body))

    def refuse_titled(self, status: int, title: str, message: str) -> Refused:
        """The shape with a title, of permissions and of addresses that are not there."""
        return Refused(Reply(status, {"error": {"title": title, "message": message}}))

    def refuse_listed(self, status: int, code: str, title: str, detail: str) -> Refused:
        """The shape of newer endpoints."""
        one = {"code": code, "title": title, "detail": detail, "status": str(status)}
        return Refused(Reply(status, {"errors": [one]}))

    def error(self, call: Call, status: int, message: str) -> Reply:
        """An error for a status that a fault asks for."""
        words = {400: "BadRequest", 404: "RecordNotFound", 429: "APIRateLimitExceeded"}
        if status == 401:
            return Reply(401, {"error": "Couldn't authenticate you"})
        if status == 403:
            return self.refuse_titled(403, "Forbidden", message).reply
        return self.refuse(status, words.get(status, "InternalServerError"), message).reply

    def not_found(self, call: Call) -> Reply:
        """Zendesk's answer to an address that it does not have."""
        return Reply(404, {"error": "InvalidEndpoint", "description": "Not found"})

    # --- records -------------------------------------------------------------------------------

    def put_organization(self, id: str, name: str, at: datetime | None = None, **more: Any) -> Obj:
        """A new organization."""
        when = stamp(at or self.clock())
        row: Obj = {
            "id": int(id),
            "url": f"/api/v2/organizations/{id}.json",
            "name": name,
            "external_id": None,
            "created_at": when,
            "updated_at": when,
            "domain_names": [],
            "details": "",
            "notes": "",
            "group_id": None,
            "shared_tickets": False,
            "shared_comments": False,
            "tags": [],
            "organization_fields": {},
        }
        return self._put("organizations", id, row | more, at)

    def put_user(
        self,
        id: str,
        name: str,
        email: str | None,
        at: datetime | None = None,
        *,
        role: str = "end-user",
        **more: Any,
    ) -> Obj:
        """A new user: an end user, or an agent or admin of the team."""
        when = stamp(at or self.clock())
        row: Obj = {
            "id": int(id),
            "url": f"/api/v2/users/{id}.json",
            "name": name,
            "email": email,
            "created_at": when,
            "updated_at": when,
            "time_zone": "Berlin",
            "iana_time_zone": "Europe/Berlin",
            "phone": None,
            "locale": "en-US",
            "organization_id": None,
            "role": role,
            "verified": True,
            "active": True,
            "suspended": False,
            "external_id": None,
            "tags": [],
            "notes": "",
            "user_fields": {},
        }
        return self._put("users", id, row | more, at)

    def put_ticket(
        self,
        id: str,
        subject: str,
        at: datetime | None = None,
        *,
        status: str = "new",
        solved_at: datetime | None = None,
        **more: Any,
    ) -> Obj:
        """A new ticket; its metrics know when it was solved."""
        changed = solved_at or at
        when = stamp(at or self.clock())
        row: Obj = {
            "id": int(id),
            "url": f"/api/v2/tickets/{id}.json",
            "external_id": None,
            "via": {"channel": "email"},
            "created_at": when,
            "updated_at": stamp(changed or self.clock()),
            "type": None,
            "subject": subject,
            "raw_subject": subject,
            "description": subject,
            "priority": None,
            "due_at": None,
            "status": status,
            "requester_id": int(ADMIN_ID),
            "submitter_id": int(ADMIN_ID),
            "assignee_id": None,
            "organization_id": None,
            "group_id": None,
            "tags": [],
            "custom_fields": [],
            "satisfaction_rating": None,
        }
        self.metrics[id] = {
            "id": int(id),
            "ticket_id": int(id),
            "created_at": when,
            "updated_at": stamp(changed or self.clock()),
            "solved_at": stamp(solved_at) if solved_at else None,
            "reopens": 0,
            "replies": 0,
        }
        return self._put("tickets", id, row | more, changed)

    def change(self, kind: str, id: str, **values: Any) -> Obj:
        """Change a record now, as an agent would."""
        record: Obj = self.held(kind)[id]
        record |= values
        record["updated_at"] = stamp(self.clock())
        self.touch(kind, id)
        return record

    def touch(self, kind: str, id: str) -> None:
        """Let the export repeat a record, as system changes do; it looks as before."""
        self.moved[kind][id] = int(self.clock().timestamp())

    def solve(self, id: str) -> None:
        """Solve a ticket now."""
        self.change("tickets", id, status="solved")
        self.metrics[id]["solved_at"] = stamp(self.clock())

    def delete_ticket(self, id: str) -> None:
        """A deleted ticket stays in the export, with nothing left to read."""
        self.change("tickets", id, status="deleted", subject="SCRUBBED", raw_subject="SCRUBBED",
                    description="SCRUBBED")  # fmt: skip

    def delete_user(self, id: str) -> None:
        """A deleted user is no longer active."""
        self.change("users", id, active=False)

    def delete_organization(self, id: str) -> None:
        """An organization is gone at once; its users and tickets have none any more."""
        self._move_from(id, None)
        row = self.organizations.pop(id)
        self.deleted[id] = row | {"deleted_at": stamp(self.clock())}
        self.touch("organizations", id)

    def merge_organizations(self, loser: str, winner: str) -> None:
        """The loser is deleted, its users and tickets move; its fields are not carried over."""
        self._move_from(loser, int(winner))
        self.delete_organization(loser)

    def _move_from(self, id: str, to: int | None) -> None:
        for kind in ("users", "tickets"):
            for key, record in self.held(kind).items():
                if record["organization_id"] == int(id):
                    self.change(kind, key, organization_id=to)

    def held(self, kind: str) -> dict[str, Obj]:
        """All records of a kind."""
        held: dict[str, Obj] = getattr(self, kind)
        return held

    def get(self, kind: str, id: str) -> Obj:
        """One record; Zendesk's 404 when there is none, or a ticket that is deleted."""
        record = self.held(kind).get(id)
        if record is None or record.get("status") == "deleted":
            raise self.refuse(404, "RecordNotFound", "Not found")
        return record

    def shown(self, kind: str, record: Obj) -> Obj:
        """A record as it is answered: every field of the account, and its own address."""
        row = {**record, "url": f"{self.url}{record['url']}"} if "url" in record else dict(record)
        if kind == "organizations":
            held: Obj = record["organization_fields"]
            row["organization_fields"] = {
                key: _shown_value(held.get(key), field) for key, field in self.fields.items()
            }
        if kind == "tickets":
            row["generated_timestamp"] = self.moved["tickets"][str(record["id"])]
        return row

    def mint(self) -> int:
        """A new id."""
        self.minted += 1
        return 14_000_000_000_000 + self.minted

    def _put(self, kind: str, id: str, row: Obj, at: datetime | None) -> Obj:
        self.held(kind)[id] = row
        self.moved[kind][id] = int((at or self.clock()).timestamp())
        return row

    # --- fields of organizations ---------------------------------------------------------------

    def add_field(self, body: Mapping[str, Any]) -> Obj:
        """A new field; Zendesk's 422 when its key, type or options will not do."""
        key, kind = str(body.get("key") or ""), str(body.get("type") or "text")
        if not re.fullmatch(r"\w+", key) or key.isdigit() or not body.get("title"):
            raise self._invalid("key", "Key: must hold letters, numbers and underscores")
        if key in self.fields:
            raise self._invalid("key", f"Key: {key} has already been taken")
        if kind not in FIELD_TYPES:
            raise self._invalid("type", f"Type: {kind} is invalid")
        options = self.options(key, kind, body.get("custom_field_options") or ())
        now, id = stamp(self.clock()), self.mint()
        field: Obj = {
            "id": id,
            "url": f"/api/v2/organization_fields/{id}.json",
            "key": key,
            "type": kind,
            "title": body["title"],
            "raw_title": body["title"],
            "description": body.get("description") or "",
            "raw_description": body.get("description") or "",
            "active": True,
            "system": False,
            "position": len(self.fields),
            "created_at": now,
            "updated_at": now,
        }
        if kind == "dropdown":
            field["custom_field_options"] = options
        self.fields[key] = field
        return field

    def options(self, key: str, kind: str, given: Iterable[Mapping[str, Any]]) -> list[Obj]:
        """A drop-down's options as they are stored; their values are tags of the whole account."""
        options = [
            {"id": one.get("id") or self.mint(), "name": one.get("name"), "value": one.get("value")}
            for one in given
        ]
        values = [str(option["value"]) for option in options]
        taken = {
            str(option["value"])
            for other, field in self.fields.items()
            for option in field.get("custom_field_options", ())
            if other != key
        }
        if kind == "dropdown" and not options:
            raise self._invalid("custom_field_options", "Custom field options: cannot be blank")
        if len(set(values)) < len(values) or taken & set(values):
            raise self._invalid("custom_field_options", "Tag: has already been used in a field")
        if any(not re.fullmatch(r"[a-z0-9_./-]+", value) for value in values):
            raise self._invalid("custom_field_options", "Tag: may not hold special characters")
        return options

    def set_organization(self, record: Obj, body: Mapping[str, Any]) -> None:
        """Change an organization as the API does: only the named fields, but whole lists."""
        values = {
            key: self._checked(self.fields[key], value)
            for key, value in (body.get("organization_fields") or {}).items()
            if key in self.fields
        }
        for name in ("name", "external_id"):
            self._unique(record, name, body.get(name))
        fields = {**record["organization_fields"], **values}
        more = {name: body[name] for name in ("name", "external_id", "domain_names", "tags",
                                              "notes", "details") if name in body}  # fmt: skip
        self.change("organizations", str(record["id"]), **more, organization_fields=fields)
        for key, value in values.items():
            self._tag(record, self.fields[key], value)

    def _checked(self, field: Obj, value: Any) -> Any:
        if value in (None, ""):
            return None
        key, text = field["key"], str(value)
        if field["type"] == "dropdown":
            if text not in [option["value"] for option in field["custom_field_options"]]:
                raise self._invalid(key, f"{field['title']}: '{text}' is not a valid option")
        elif field["type"] == "date":
            try:
                date.fromisoformat(text[:10])
            except ValueError:
                raise self._invalid(key, f"{field['title']}: '{text}' is not a date") from None
        return text

    def _tag(self, record: Obj, field: Obj, value: Any) -> None:
        """What a drop-down says stands among the tags too."""
        if field["type"] == "dropdown":
            known = [option["value"] for option in field["custom_field_options"]]
            others = [tag for tag in record["tags"] if tag not in known]
            record["tags"] = [*others, value] if value else others

    def _unique(self, record: Obj, name: str, value: Any) -> None:
        taken = any(
            other[name] == value and other is not record for other in self.organizations.values()
        )
        if value is not None and taken:
            title = name.replace("_", " ").capitalize()
            raise self._invalid(name, f"{title}: {value} has already been taken")

    def _invalid(self, field: str, text: str) -> Refused:
        return self.refuse(422, "RecordInvalid", "Record validation errors", {field: text})


def _shown_value(value: Any, field: Obj) -> Any:
    if value is not None and field["type"] == "date":
        return f"{value[:10]}T00:00:00+00:00"
    return value
