"""What we write back: status fields on companies, tasks and notes, and what stands there now.

HubSpot has no idempotency key. A task carries its key in its text, so after a lost answer it is
looked for among the company's own tasks, by id: the search would show it too late.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from html import escape, unescape
from itertools import chain
from typing import Any

from hub import (
    AddNote,
    ChangeTask,
    CloseTask,
    CreateTask,
    DefineField,
    FieldSpec,
    Observed,
    ReadRefused,
    Receipt,
    Row,
    SetFields,
    WriteRefused,
    WriteUnknown,
    finds,
    observes,
    writes,
)

from .client import AlreadyThere, Api, TargetGone, results
from .mapping import instant, merged_ids

GROUP = {"name": "retention_hub", "label": "Retention hub"}
"""The section of a record in which HubSpot shows the hub's fields."""

KINDS = {
    "enumeration": ("enumeration", "select"),
    "date": ("date", "date"),
    "text": ("string", "text"),
}
"""The hub's kinds of field as HubSpot's type and field type."""

TASK_TO_COMPANY = 192
NOTE_TO_COMPANY = 190
HUB_FIELD = "hub_"
TASK_PROPERTIES = ("hs_task_subject", "hs_task_status", "hs_timestamp", "hubspot_owner_id")


class Writes(Api):
    """The writers, how each finds what it wrote before, and the read-back."""

    # --- fields --------------------------------------------------------------------------------

    @writes(DefineField, once="upsert", on=("companies",))
    def define_field(self, action: DefineField) -> Receipt:
        """Make the property, or add to an existing one the options that it lacks."""
        there = self._property(action.object, action.field.name)
        if there is None:
            there = self._made(action.object, action.field)
        self._agree(action.object, action.field, there)
        return Receipt(id=f"{action.object}.{action.field.name}")

    def _property(self, kind: str, name: str) -> Row | None:
        try:
            found: Row = self.http.get(self.at("properties", kind, name))
        except ReadRefused as refused:
            if refused.status == 404:
                return None
            raise
        return found

    def _made(self, kind: str, field: FieldSpec) -> Row:
        """Make the group and the property; one that is there after all is as good."""
        with suppress(AlreadyThere, WriteUnknown):
            self.http.post(self.at("properties", kind, "groups"), json=GROUP, repeat=True)
        try:
            made: Row = self.http.post(
                self.at("properties", kind), json=_definition(field), repeat=True
            )
        except (AlreadyThere, WriteUnknown):
            there = self._property(kind, field.name)
            if there is None:
                raise
            made = there
        return made

    def _agree(self, kind: str, field: FieldSpec, there: Row) -> None:
        """Bring an existing property into agreement; its type cannot be changed."""
        wanted = KINDS[field.kind][0]
        if there.get("type") != wanted:
            raise WriteRefused(
                f"the HubSpot property {field.name} exists with type {there.get('type')},"
                f" and the hub needs {wanted}",
                do="Rename or delete that property in HubSpot, Settings, Properties",
            )
        options = list(there.get("options") or ())
        known = {option["value"] for option in options}
        missing = [o for o in _options(field, first=len(options)) if o["value"] not in known]
        if missing:
            self.http.patch(
                self.at("properties", kind, field.name),
                json={"options": [*options, *missing]},
                repeat=True,
            )

    @writes(SetFields, once="upsert", on=("companies",), batch=100)
    def set_fields(self, actions: Sequence[SetFields]) -> Iterator[Receipt | WriteRefused | None]:
        """Set fields on up to 100 companies in one call; a refused batch is split until it is clear
        which company is refused."""
        try:
            outcomes = self._updated(actions)
        except WriteRefused as refused:
            if len(actions) == 1:
                yield refused
                return
            middle = len(actions) // 2
            yield from self.set_fields(actions[:middle])
            yield from self.set_fields(actions[middle:])
            return
        yield from outcomes

    def _updated(self, actions: Sequence[SetFields]) -> list[Receipt | WriteRefused | None]:
        answer = self.http.post(
            self.at("objects", "companies", "batch", "update"),
            json={
                "inputs": [
                    {
                        "id": action.target.id,
                        "properties": {name: value or "" for name, value in action.values.items()},
                        "objectWriteTraceId": str(number),
                    }
                    for number, action in enumerate(actions)
                ]
            },
            repeat=True,
        )
        return [
            self._outcome(answer, action.target.id, str(number))
            for number, action in enumerate(actions)
        ]

    def _outcome(self, answer: Row, record: str, trace: str) -> Receipt | WriteRefused | None:
        """What became of one input; None when the answer does not say."""
        for row in results(answer):
            if row.get("objectWriteTraceId") == trace or _untraced(row, record):
                return self._receipt("companies", str(row["id"]))
        for error in answer.get("errors") or ():
            if _concerns(error.get("context") or {}, record, trace):
                gone = error.get("category") == "OBJECT_NOT_FOUND"
                said = str(error.get("message") or "no reason given")
                refused = TargetGone if gone else WriteRefused
                return refused(f"HubSpot did not change company {record}: {said}")
        return None

    # --- tasks and notes -----------------------------------------------------------------------

    @writes(CreateTask, once="lookup", on=("companies",))
    def create_task(self, action: CreateTask) -> Receipt:
        """A task on the company's page, in its owner's list of tasks."""
        properties = {
            "hs_timestamp": _time(action.due),
            "hs_task_subject": action.title,
            "hs_task_body": as_html(action.body),
            "hs_task_status": "NOT_STARTED",
            "hs_task_priority": action.priority.upper(),
            "hs_task_type": "TODO",
        }
        if action.owner_id is not None:
            properties["hubspot_owner_id"] = action.owner_id
        return self._engage("tasks", properties, action.target.id, TASK_TO_COMPANY)

    @finds(CreateTask)
    def find_task(self, action: CreateTask) -> Receipt | None:
        """The company's task that carries the key, open or done; else an open one of that cause."""
        tasks = self._near("tasks", action.target.id, ("hs_task_body", "hs_task_status"))
        exact = (one for one in tasks if carries(_said(one, "hs_task_body"), action.key))
        alike = (one for one in tasks if _is_alike(one["properties"], action.key))
        found = next(chain(exact, alike), None)
        return None if found is None else self._receipt("tasks", str(found["id"]))

    @writes(ChangeTask, once="upsert", on=("tasks",))
    def change_task(self, action: ChangeTask) -> Receipt:
        """Change the named parts of a task."""
        properties = {
            "hs_task_subject": action.title,
            "hs_task_body": None if action.body is None else as_html(action.body),
            "hs_timestamp": None if action.due is None else _time(action.due),
            "hubspot_owner_id": action.owner_id,
        }
        return self._change("tasks", action.target.id, properties)

    @writes(CloseTask, once="upsert", on=("tasks",))
    def close_task(self, action: CloseTask) -> Receipt:
        """Complete a task and say why in one more line; the line is not written twice."""
        body = self._body_with(action.target.id, action.note)
        properties = {"hs_task_status": "COMPLETED", "hs_task_body": body}
        return self._change("tasks", action.target.id, properties)

    @writes(AddNote, once="lookup", on=("companies", "tasks"))
    def add_note(self, action: AddNote) -> Receipt:
        """A note on the company's page, or one more paragraph in a task."""
        text = _signed(action)
        if action.target.object == "tasks":
            body = self._body_with(action.target.id, text)
            return self._change("tasks", action.target.id, {"hs_task_body": body})
        properties = {"hs_timestamp": _time(self.now()), "hs_note_body": as_html(text)}
        return self._engage("notes", properties, action.target.id, NOTE_TO_COMPANY)

    @finds(AddNote)
    def find_note(self, action: AddNote) -> Receipt | None:
        """The note that carries the key."""
        if action.target.object == "tasks":
            body = self._task_body(action.target.id)
            return self._receipt("tasks", action.target.id) if carries(body, action.key) else None
        for note in self._near("notes", action.target.id, ("hs_note_body",)):
            if carries(_said(note, "hs_note_body"), action.key):
                return self._receipt("notes", str(note["id"]))
        return None

    def _engage(self, kind: str, properties: Mapping[str, str], company: str, link: int) -> Receipt:
        to = {
            "to": {"id": company},
            "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": link}],
        }
        made = self.http.post(
            self.at("objects", kind), json={"properties": dict(properties), "associations": [to]}
        )
        return self._receipt(kind, str(made["id"]))

    def _near(self, kind: str, company: str, properties: Sequence[str]) -> list[Row]:
        """The company's own tasks or notes, read by their ids."""
        links = self.associated("companies", kind, [company]).get(company, [])
        return self.read(kind, [str(link["toObjectId"]) for link in links], properties)

    def _change(self, kind: str, record: str, properties: Mapping[str, str | None]) -> Receipt:
        named = {name: value for name, value in properties.items() if value is not None}
        self.http.patch(self.at("objects", kind, record), json={"properties": named}, repeat=True)
        return self._receipt(kind, record)

    def _task_body(self, task: str) -> str:
        rows = self.read("tasks", [task], ["hs_task_body"])
        if not rows:
            raise TargetGone(f"HubSpot has no task {task} any more")
        return str((rows[0].get("properties") or {}).get("hs_task_body") or "")

    def _body_with(self, task: str, text: str) -> str:
        """A task's body with one more paragraph, unless it is there already."""
        body, more = self._task_body(task), as_html(text)
        return body if more in body else "<br>\n".join(part for part in (body, more) if part)

    def _receipt(self, kind: str, record: str) -> Receipt:
        return Receipt(id=record, url=self.page_of(kind, record))

    # --- what stands there now -----------------------------------------------------------------

    @observes("companies")
    def observe_companies(self, ids: Sequence[str]) -> Iterator[Observed]:
        """The hub's fields on companies; a merged company names its survivor."""
        defined = results(self.http.get(self.at("properties", "companies")))
        names = [str(p["name"]) for p in defined if str(p["name"]).startswith(HUB_FIELD)]
        rows = self.read("companies", ids, [*names, "hs_merged_object_ids"])
        found = {str(row["id"]): row for row in rows}
        survivors = {old: row for row in rows for old in merged_ids(row)}
        for one in ids:
            row = found.get(one) or survivors.get(one)
            if row is None:
                yield Observed(one, {}, exists=False)
                continue
            into = None if one in found else str(row["id"])
            values = {name: row["properties"].get(name) or None for name in names}
            yield Observed(one, values, _changed_at(row), exists=into is None, merged_into=into)

    @observes("tasks")
    def observe_tasks(self, ids: Sequence[str]) -> Iterator[Observed]:
        """Each task's state, due time, owner and title; an archived task does not exist."""
        found = {str(row["id"]): row for row in self.read("tasks", ids, TASK_PROPERTIES)}
        for one in ids:
            if (row := found.get(one)) is None:
                yield Observed(one, {}, exists=False)
                continue
            its = row["properties"]
            due = instant(row, "hs_timestamp")
            values = {
                "status": "done" if its.get("hs_task_status") == "COMPLETED" else "open",
                "due": None if due is None else _time(due),
                "owner_id": its.get("hubspot_owner_id") or None,
                "title": its.get("hs_task_subject") or None,
            }
            yield Observed(one, values, _changed_at(row))

    @observes("fields")
    def observe_fields(self, ids: Sequence[str]) -> Iterator[Observed]:
        """How the hub's properties are defined."""
        for one in ids:
            kind, _, name = one.partition(".")
            there = self._property(kind, name)
            if there is None:
                yield Observed(one, {}, exists=False)
                continue
            options = ",".join(str(option["value"]) for option in there.get("options") or ())
            ours = {theirs: word for word, (theirs, _) in KINDS.items()}
            word = ours.get(str(there["type"]), str(there["type"]))
            yield Observed(one, {"kind": word, "options": options or None})


def as_html(text: str) -> str:
    """Plain text as HubSpot's editor holds it: a line of ours stays a line on the page."""
    return escape(text, quote=False).replace("\n", "<br>\n")


def as_text(html: str) -> str:
    """The words of a body that HubSpot holds, without its markup."""
    return unescape(re.sub(r"<[^>]*>", "", re.sub(r"<br\s*/?>\n?|</p>", "\n", html)))


def carries(body: str, key: str) -> bool:
    """Whether a body names exactly this key, not a longer one that contains it."""
    return re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", as_text(body)) is not None


def _is_alike(task: Mapping[str, Any], key: str) -> bool:
    """Whether an open task carries a key of the same cause; only the hub writes such keys."""
    cause, _, code = key.partition("-")
    shape = rf"(?<![\w-]){re.escape(cause)}-[a-z2-7]{{{len(code)}}}(?![\w-])"
    is_open = task.get("hs_task_status") != "COMPLETED"
    return is_open and re.search(shape, as_text(task.get("hs_task_body") or "")) is not None


def _said(row: Row, name: str) -> str:
    return str((row.get("properties") or {}).get(name) or "")


def _signed(action: AddNote) -> str:
    """The note with its key, by which it is found again."""
    return action.text if carries(action.text, action.key) else f"{action.text}\n({action.key})"


def _definition(field: FieldSpec) -> dict[str, Any]:
    kind, widget = KINDS[field.kind]
    return {
        "name": field.name,
        "label": field.label,
        "description": field.help,
        "groupName": GROUP["name"],
        "type": kind,
        "fieldType": widget,
        "options": _options(field),
    }


def _options(field: FieldSpec, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"label": o.label, "value": o.value, "hidden": False, "displayOrder": number}
        for number, o in enumerate(field.options, start=first)
    ]


def _concerns(context: Mapping[str, Any], record: str, trace: str) -> bool:
    """Whether an error of a batch is about this input; trace ids are surer than record ids."""
    if traces := context.get("objectWriteTraceId"):
        return trace in traces
    return record in (context.get("ids") or context.get("id") or ())


def _untraced(row: Row, record: str) -> bool:
    """Whether a result without a trace id is this record's."""
    return row.get("objectWriteTraceId") is None and str(row.get("id")) == record


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _changed_at(row: Row) -> datetime | None:
    try:
        return datetime.fromisoformat(str(row.get("updatedAt")))
    except ValueError:
        return None
