"""What the tools should say: every customer's status, and one task per open problem."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import Connection, select

from ..config import Config
from ..definitions import PlayOwner, Step
from ..model import CreateTask, SetFields
from ..store import as_dicts, canonical, table_of
from ..store.primary import RecordId
from ..store.tables import ConnectionState, DesiredTask, HubAccount, OwnerRecord
from ..templates import render_task
from .sentences import day_words, one_line

DUE_AT = time(17)
"""Tasks are due at the end of the team's working day."""

STATUS_FIELDS = ("hub_health", "hub_health_since", "hub_health_reason")


@dataclass(frozen=True)
class Told:
    """What is to be said about one account, whatever the tool."""

    status: str
    since: date
    reason: str


def intent_key(target: RecordId, cause: str, opened_on: date) -> str:
    """The key that finds a task again, from what the task is about and nothing of this hub.

    The cause, a dash, and 20 base32 characters of SHA-256 over target, cause and day (DESIGN 3).
    """
    seed = "/".join((*target, cause, opened_on.isoformat()))
    hashed = base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()
    return f"{cause}-{hashed[:20]}"


class Tools:
    """Which connection writes to which vendor account, and who is who there."""

    def __init__(self, reading: Connection, config: Config) -> None:
        self.config = config
        self.connection_of: dict[tuple[str, str], str] = {}
        for row in as_dicts(reading, select(table_of(ConnectionState))):
            if row["connection"] in config.connections:
                self.connection_of[(row["vendor"], row["vendor_account"])] = row["connection"]
        owners = table_of(OwnerRecord)
        self.owner_ids: dict[tuple[str, str, str], str] = {}
        for row in as_dicts(
            reading, select(owners).where(owners.c.is_active, owners.c.gone_at.is_(None))
        ):
            if row["email"]:
                self.owner_ids[(row["vendor"], row["vendor_account"], row["email"])] = row[
                    "record_id"
                ]

    def writing(self, record: RecordId, action: type[Any]) -> str | None:
        """The connection that can write this action on the record, or None."""
        name = self.connection_of.get(record[:2])
        if name is None:
            return None
        writer = self.config.connections[name].type.writers.get(action)
        if writer is None or (writer.on and record[2] not in writer.on):
            return None
        return name

    def owner_id(self, person: str, record: RecordId) -> str | None:
        """A person's own id in the record's tool: the active user with the same e-mail address."""
        email = self.config.people[person].email.lower()
        return self.owner_ids.get((record[0], record[1], email))


def desired_fields(
    tools: Tools, told: Mapping[str, Told], records: Mapping[str, Sequence[RecordId]], run: int
) -> Iterable[dict[str, Any]]:
    """A row for every status field of every record that can carry it."""
    for account, one in sorted(told.items()):
        values = dict(
            zip(STATUS_FIELDS, (one.status, one.since.isoformat(), one.reason), strict=True)
        )
        for record in records.get(account, ()):
            connection = tools.writing(record, SetFields)
            if connection is None:
                continue
            for field, value in values.items():
                yield {
                    "vendor": record[0],
                    "vendor_account": record[1],
                    "object": record[2],
                    "record_id": record[3],
                    "run": run,
                    "field": field,
                    "account_id": account,
                    "connection": connection,
                    "value": value,
                    "why": one.reason,
                }


class TaskWriter:
    """Renders the one task of an open episode; what was rendered once is kept as it is."""

    def __init__(
        self,
        reading: Connection,
        config: Config,
        tools: Tools,
        records: Mapping[str, Sequence[RecordId]],
        *,
        run: int,
        before: int | None,
    ) -> None:
        self.config, self.tools, self.records, self.run = config, tools, records, run
        accounts = table_of(HubAccount)
        self.accounts = {row["id"]: row for row in as_dicts(reading, select(accounts))}
        tasks = table_of(DesiredTask)
        self.kept = {
            row["key"]: row
            for row in as_dicts(reading, select(tasks).where(tasks.c.run == before))
            if row["not_written"] is None
        }

    def task(
        self,
        episode: Mapping[str, Any],
        reason: str,
        lines: Sequence[str],
        evidence: Sequence[str],
    ) -> dict[str, Any]:
        """The desired task of an episode, with why it cannot be written where that is so."""
        play = self.config.definitions.plays[episode["play"]]
        step = play.steps[0]
        owners = step.owner or play.owner
        target, connection, missing = self._target(episode["account_id"], owners.role)
        key = intent_key(
            target or ("hub", "", "accounts", episode["account_id"]),
            episode["cause"],
            episode["opened_on"],
        )
        if (kept := self.kept.get(key)) is not None:
            return {**kept, "run": self.run}
        person, owner_id = self._owner(episode["account_id"], owners, target)
        if missing is None and owner_id is None:
            missing = "nobody in the tool owns it: neither the owner nor the backup is known there"
        title, body = self._text(episode, step, reason, lines, person, key)
        return {
            "run": self.run,
            "key": key,
            "account_id": episode["account_id"],
            "cause": episode["cause"],
            "opened_on": episode["opened_on"],
            "connection": connection,
            "vendor": target[0] if target else None,
            "vendor_account": target[1] if target else None,
            "object": target[2] if target else None,
            "record_id": target[3] if target else None,
            "owner": person,
            "owner_id": owner_id,
            "title": title,
            "body": body,
            "due": self._due(step, episode["decided_on"]),
            "priority": step.priority,
            "why": reason,
            "evidence": canonical(list(evidence)),
            "not_written": missing,
        }

    def _target(self, account: str, role: str) -> tuple[RecordId | None, str | None, str | None]:
        home = self.config.task_home(role)
        if home is None:
            return None, None, "hub.yaml names no tool for tasks (tasks_to)"
        for record in self.records.get(account, ()):
            if self.tools.writing(record, CreateTask) == home:
                return record, home, None
        return None, home, f"the account has no record in {home}"

    def _owner(
        self, account: str, owners: PlayOwner, target: RecordId | None
    ) -> tuple[str | None, str | None]:
        """The first of owner, backup person and backup role who is known in the target's tool."""
        first = self._person(account, owners.role)
        chain = [first, self._backup_of(first), self._person(account, owners.backup)]
        for person in chain if target else ():
            owner_id = self.tools.owner_id(person, target) if person and target else None
            if owner_id is not None:
                return person, owner_id
        return first, None

    def _person(self, account: str, role: str) -> str | None:
        if role == "csm":
            owner = self.accounts[account]["owner"]
            return owner if owner in self.config.people else None
        if role in self.config.people:
            return role
        found = self.config.person_by_role(role)
        return found.key if found else None

    def _backup_of(self, person: str | None) -> str | None:
        backup = self.config.people[person].backup if person else None
        return backup if backup in self.config.people else None

    def _text(
        self,
        episode: Mapping[str, Any],
        step: Step,
        reason: str,
        lines: Sequence[str],
        person: str | None,
        key: str,
    ) -> tuple[str, str]:
        account = self.accounts[episode["account_id"]]
        address = self.config.address
        link = f"{address.rstrip('/')}/t/{key}" if address else f"hub explain {key}"
        renewal = account["renewal_on"]
        template = f"templates/{step.task.removeprefix('templates/')}"
        title, body = render_task(
            self.config.templates[template],
            {
                "account": account["name"] or "An account without a name",
                "signal": reason,
                "evidence": list(lines),
                "renewal_on": day_words(renewal) if renewal else None,
                "owner": self.config.people[person].name if person else None,
                "link": link,
            },
            where=f"config/{template}",
        )
        if key not in body:
            body = f"{body}\nHow the hub knows: {link}"
        return one_line(title, 200), body

    def _due(self, step: Step, decided_on: date) -> datetime:
        day = step.due.after(decided_on, self.config.calendar)
        return datetime.combine(day, DUE_AT, self.config.zone).astimezone(UTC)
