"""What Zendesk's rows mean in the hub's words: pure functions, one a stream.

Beside Zendesk's own fields a row carries what `streams.py` read or knows: `url` for people, a
ticket's `metric_set`, and whose ids an organization's `external_id` holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from hub import Account, AccountRef, Ignored, Owner, Person, RecordRejected, Row, Ticket

ORGANIZATION_KEEPS = (
    "id", "url", "name", "domain_names", "tags", "external_id", "external_id_is", "created_at",
    "updated_at",
)  # fmt: skip
USER_KEEPS = (
    "id", "url", "role", "name", "email", "verified", "active", "suspended", "organization_id",
    "created_at", "updated_at",
)  # fmt: skip
TICKET_KEEPS = (
    "id", "url", "external_id", "subject", "status", "priority", "tags", "requester_id",
    "organization_id", "created_at", "updated_at", "metric_set.solved_at",
)  # fmt: skip

HUB_MARK = "hub_"
"""Begins each tag that comes from the hub's own fields: Zendesk tags what a drop-down says."""

HUB_TICKET, HUB_TASK = "hub:", "hub_task"
"""How a ticket tells that the hub wrote it: its external id begins so, or it has this tag."""

TEAM = ("agent", "admin")


def to_account(row: Row) -> Account:
    """An organization; its external id counts only where the admin said whose it is."""
    tags = tags_of(row)
    whose, theirs = row.get("external_id_is"), _text(row, "external_id")
    return Account(
        id=str(row["id"]),
        url=row.get("url"),
        name=_text(row, "name"),
        domains=tuple(dict.fromkeys(str(domain) for domain in row.get("domain_names") or ())),
        external={str(whose): theirs} if whose and theirs else {},
        created_at=instant(row, "created_at"),
        updated_at=instant(row, "updated_at"),
        extra={"tags": ", ".join(tags)} if tags else {},
    )


def to_user(row: Row) -> Person | Owner:
    """An end user is a person at an organization, an agent or admin one of the team."""
    match row.get("role"):
        case "end-user":
            return _person(row)
        case role if role in TEAM:
            return Owner(
                id=str(row["id"]),
                url=row.get("url"),
                name=_text(row, "name"),
                email=_text(row, "email"),
                is_active=row.get("active") is not False and not row.get("suspended"),
            )
        case role:
            raise RecordRejected(f"role is {role!r}, which is none of end-user, agent and admin")


def to_ticket(row: Row) -> Ticket | Ignored:
    """A ticket; without an organization it stays unassigned, whoever asked."""
    if is_hubs_own(row):
        return Ignored(why="written by the hub")
    status = _status(row)
    return Ticket(
        id=str(row["id"]),
        url=row.get("url"),
        account=_organization(row),
        subject=_text(row, "subject"),
        status=status,
        priority=row.get("priority") or None,
        tags=tags_of(row),
        requester_id=_id(row, "requester_id"),
        opened_at=_needed(row, "created_at"),
        updated_at=instant(row, "updated_at"),
        closed_at=_solved_at(row) if status == "closed" else None,
    )


def is_hubs_own(row: Row) -> bool:
    """Whether the hub wrote this ticket, as a task for somebody."""
    return str(row.get("external_id") or "").startswith(HUB_TICKET) or HUB_TASK in _tags(row)


def is_gone(row: Row) -> bool:
    """Whether a row is of an organization or end user that was deleted.

    An agent who was deleted stays, as somebody who is no longer active.
    """
    return bool(row.get("deleted_at")) or (
        row.get("role") == "end-user" and row.get("active") is False
    )


def tags_of(row: Row) -> tuple[str, ...]:
    """The tags that people and their rules gave; what the hub wrote is no evidence."""
    return tuple(tag for tag in _tags(row) if not tag.startswith(HUB_MARK))


def _person(row: Row) -> Person:
    return Person(
        id=str(row["id"]),
        url=row.get("url"),
        account=_organization(row),
        name=_text(row, "name"),
        email=_text(row, "email"),
        email_verified=row.get("verified"),
        created_at=instant(row, "created_at"),
        updated_at=instant(row, "updated_at"),
    )


def _status(row: Row) -> Literal["open", "closed", "deleted"]:
    """Whatever a ticket waits for, it is open until it is solved."""
    match row.get("status"):
        case "solved" | "closed":
            return "closed"
        case "deleted":
            return "deleted"
        case str():
            return "open"
        case other:
            raise RecordRejected(f"status is {other!r}, which is no status")


def _solved_at(row: Row) -> datetime | None:
    """When it was solved; without the metrics the last change is the latest it can have been."""
    metrics: Mapping[str, Any] = row.get("metric_set") or {}
    return instant(metrics, "solved_at") or instant(row, "updated_at")


def _organization(row: Row) -> AccountRef | None:
    id = _id(row, "organization_id")
    return None if id is None else AccountRef(id=id, object="organizations")


def _tags(row: Row) -> tuple[str, ...]:
    tags: Iterable[object] = row.get("tags") or ()
    return tuple(str(tag) for tag in tags)


def _text(row: Row, name: str) -> str | None:
    value = row.get(name)
    return None if value is None else str(value).strip() or None


def _id(row: Row, name: str) -> str | None:
    return None if row.get(name) is None else str(row[name])


def _needed(row: Row, name: str) -> datetime:
    at = instant(row, name)
    if at is None:
        raise RecordRejected(f"{name} is empty")
    return at


def instant(row: Row, name: str) -> datetime | None:
    """ISO text as an aware instant; RecordRejected names a field that is none."""
    if (text := _text(row, name)) is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordRejected(f"{name} is {text!r}, which is not a time") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
