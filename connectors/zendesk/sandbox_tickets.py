"""Zendesk's addresses for tickets: made once a key, changed with care, and what is said in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from hub.testing.kit import Call, Reply, route

from .sandbox_records import ADMIN_ID, Obj, Records, stamp
from .sandbox_writes import Changes, part

KEY_LIVES_S = 7_200
LONGEST_KEY = 255

WORDS = {
    "status": ("new", "open", "pending", "hold", "solved", "closed"),
    "type": ("problem", "incident", "question", "task"),
    "priority": ("urgent", "high", "normal", "low"),
}
"""What the choices of a ticket may be."""

PLAIN = (
    "subject", "status", "type", "priority", "external_id", "due_at", "tags", "requester_id",
    "submitter_id", "assignee_id", "group_id", "organization_id", "custom_fields",
)  # fmt: skip
TEAM = ("agent", "admin")
NOTHING: Mapping[str, Any] = {}


class Tickets(Changes):
    """The routes that write tickets. `comments` are by ticket, `answers` by idempotency key."""

    kept: ClassVar[tuple[str, ...]] = (*Records.kept, "comments", "answers")

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 7) -> None:
        super().__init__(clock=clock, seed=seed)
        self.comments: dict[str, list[Obj]] = {}
        self.answers: dict[str, Obj] = {}

    @route("POST", "/api/v2/tickets")
    def create_ticket(self, call: Call) -> Reply:
        """A new ticket; the same key within two hours answers with the first one."""
        key = call.headers.get("idempotency-key")
        if key is None:
            return Reply(201, self._made(part(call, "ticket")))
        if (known := self._answered(call, key)) is not None:
            return known
        answer = self._made(part(call, "ticket"))
        now = self.clock().timestamp()
        self.answers[key] = {"asked": _fingerprint(call), "answer": answer, "at": now}
        return Reply(201, answer, headers={"x-idempotency-lookup": "miss"})

    @route("PUT", "/api/v2/tickets/{id}")
    def change_ticket(self, call: Call, id: str) -> Reply:
        """Change a ticket that is not closed; with `safe_update` only as it was last read."""
        record, body = self.get("tickets", id), part(call, "ticket")
        if record["status"] == "closed":
            raise self._invalid("status", "Status: closed prevents ticket update")
        if body.get("safe_update") and body.get("updated_stamp") != record["updated_at"]:
            why = "Safe Update prevented the update due to outdated ticket data"
            raise self.refuse(409, "UpdateConflict", why)
        values = self._ticket_values(body, record)
        if values.get("status") == "solved" and record["status"] != "solved":
            self.metrics[id]["solved_at"] = stamp(self.clock())
        self.change("tickets", id, **values)
        audit = self._say(id, _comment(body))
        return Reply(json={"ticket": self.shown("tickets", record), "audit": audit})

    @route("DELETE", "/api/v2/tickets/{id}")
    def remove_ticket(self, call: Call, id: str) -> Reply:
        """Delete a ticket; the export still tells of it."""
        self.get("tickets", id)
        self.delete_ticket(id)
        return Reply(204)

    @route("GET", "/api/v2/tickets/{id}/comments")
    def list_comments(self, call: Call, id: str) -> Reply:
        """What was said in a ticket, oldest first."""
        self.get("tickets", id)
        return self.listing(call, "comments", self.comments.get(id, []))

    # --- the pieces ----------------------------------------------------------------------------

    def _made(self, body: Mapping[str, Any]) -> Obj:
        """Make a ticket in the name of its requester, or of the caller."""
        comment = _comment(body)
        if not comment:
            raise self._invalid("base", "Description: cannot be blank")
        values = self._ticket_values({"requester_id": int(ADMIN_ID), **body})
        text, id = str(comment.get("body") or ""), str(self.mint())
        values["subject"] = values.get("subject") or text
        values["status"] = values.get("status") or ("open" if values.get("assignee_id") else "new")
        self.put_ticket(id, **values, description=text, via={"channel": "api"})
        audit = self._say(id, comment)
        return {"ticket": self.shown("tickets", self.tickets[id]), "audit": audit}

    def _answered(self, call: Call, key: str) -> Reply | None:
        """The first answer under this key; Zendesk refuses the key with another body."""
        if len(key) > LONGEST_KEY:
            why = f"Idempotency-Key may have up to {LONGEST_KEY} characters"
            raise self.refuse(400, "IdempotencyKeyError", why)
        saved = self.answers.get(key)
        if saved is None or saved["at"] + KEY_LIVES_S < self.clock().timestamp():
            return None
        if saved["asked"] != _fingerprint(call):
            why = "Request parameters do not match those of the first request with this key"
            raise self.refuse(400, "IdempotencyKeyError", why)
        return Reply(201, saved["answer"], headers={"x-idempotency-lookup": "hit"})

    def _ticket_values(self, body: Mapping[str, Any], held: Mapping[str, Any] = NOTHING) -> Obj:
        """The named fields, or Zendesk's 422 for the first that will not do."""
        values = {name: body[name] for name in PLAIN if name in body}
        for name, allowed in WORDS.items():
            if values.get(name) not in (None, *allowed):
                raise self._invalid(name, f"{name.capitalize()}: {values[name]} is not valid")
        after = {**held, **values}
        requester = self.users.get(str(after.get("requester_id")))
        if requester is None:
            raise self._invalid("requester", "Requester: is not a user")
        assignee = after.get("assignee_id")
        if assignee is not None and self.users.get(str(assignee), {}).get("role") not in TEAM:
            raise self._invalid("assignee", "Assignee: is not an agent")
        if "organization_id" not in values and "requester_id" in values:
            values["organization_id"] = requester["organization_id"]
        elif values.get("organization_id") not in (None, requester["organization_id"]):
            raise self._invalid("organization", "Organization: the requester does not belong to it")
        return values

    def _say(self, id: str, comment: Mapping[str, Any]) -> Obj:
        """Put a comment into a ticket, and tell what the audit says of the change."""
        now, number = stamp(self.clock()), self.mint()
        author = int(comment.get("author_id") or ADMIN_ID)
        audit = {"id": number, "ticket_id": int(id), "created_at": now, "author_id": author}
        if comment:
            text = str(comment.get("body") or comment.get("html_body") or "")
            said = {"id": self.mint(), "type": "Comment", "author_id": author, "body": text,
                    "html_body": str(comment.get("html_body") or text), "plain_body": text,
                    "public": comment.get("public", True), "attachments": [], "audit_id": number,
                    "via": {"channel": "api"}, "created_at": now, "metadata": {}}  # fmt: skip
            self.comments.setdefault(id, []).append(said)
        return {**audit, "events": [], "metadata": {}, "via": {"channel": "api"}}


def _comment(body: Mapping[str, Any]) -> Mapping[str, Any]:
    comment = body.get("comment")
    return comment if isinstance(comment, Mapping) else {}


def _fingerprint(call: Call) -> str:
    return hashlib.sha256(json.dumps(call.json(), sort_keys=True).encode()).hexdigest()
