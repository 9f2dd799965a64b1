"""What we write back: the status fields of organizations, and what stands there now.

Zendesk changes many organizations by a job: the answer names it, and its results come later. The
options of a drop-down are tags, which are unique in the whole account; so ours carry a prefix that
the hub never sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hub import (
    DefineField,
    FieldSpec,
    HubError,
    Observed,
    Receipt,
    Row,
    SetFields,
    WriteRefused,
    WriteUnknown,
    observes,
    writes,
)

from .client import Api, TargetGone, listed
from .mapping import HUB_MARK, instant

KINDS = {"enumeration": "dropdown", "date": "date", "text": "text"}
"""The hub's kinds of field as Zendesk's types."""

WORDS = {theirs: ours for ours, theirs in KINDS.items()} | {"textarea": "text"}
"""Zendesk's types as the hub's kinds; an area of text holds what a line holds."""

WAITS_S = (0.5, 1, 1, 2, 2, 3, 5, 5, 10, 10, 20, 30, 30)
"""How long a job is waited for, two minutes in all; then its outcome is unknown."""

ENDED = ("completed", "failed", "killed")
GONE = ("notfound", "doesnotexist", "deleted")


class Writes(Api):
    """The writers and the read-back; Zendesk has no tasks of its own, so no task is written."""

    # --- fields --------------------------------------------------------------------------------

    @writes(DefineField, once="upsert", on=("organizations",))
    def define_field(self, action: DefineField) -> Receipt:
        """Make the organization field, or add to an existing one the options that it lacks."""
        there = self.fields().get(action.field.name) or self._made(action.field)
        self._agree(action.field, there)
        return Receipt(id=f"{action.object}.{action.field.name}")

    def _made(self, field: FieldSpec) -> Row:
        """Make a field; one that is there after all is as good."""
        try:
            made: Row = self.http.post(
                "/api/v2/organization_fields",
                json={"organization_field": _definition(field)},
                repeat=True,
            )["organization_field"]
        except (WriteRefused, WriteUnknown):
            there = self.fields().get(field.name)
            if there is None:
                raise
            made = there
        return made

    def _agree(self, field: FieldSpec, there: Row) -> None:
        """Bring an existing field into agreement; its type cannot be changed."""
        if WORDS.get(str(there.get("type"))) != field.kind:
            raise WriteRefused(
                f"the Zendesk organization field {field.name} exists with type"
                f" {there.get('type')}, and the hub needs {KINDS[field.kind]}",
                do="Delete that field in Admin Center, People, Organization fields",
            )
        held = list(there.get("custom_field_options") or ())
        known = {option.get("value") for option in held}
        missing = [option for option in _options(field) if option["value"] not in known]
        if missing:
            # Options that are left out would be taken away, also from the organizations.
            self.http.put(
                f"/api/v2/organization_fields/{there['id']}",
                json={"organization_field": {"custom_field_options": [*held, *missing]}},
                repeat=True,
            )

    @writes(SetFields, once="upsert", on=("organizations",), batch=100)
    def set_fields(self, actions: Sequence[SetFields]) -> Iterator[Receipt | WriteRefused | None]:
        """Set fields on up to 100 organizations by one job; domains and tags are left alone."""
        fields = self.fields()
        refused = {
            number: unfit
            for number, action in enumerate(actions)
            if (unfit := _unfit(action, fields)) is not None
        }
        sent = [number for number in range(len(actions)) if number not in refused]
        told = self._updated([_update(actions[number], fields) for number in sent])
        outcomes: dict[int, Receipt | WriteRefused | None] = {
            **refused, **dict(zip(sent, told, strict=True)),
        }  # fmt: skip
        for number in range(len(actions)):
            yield outcomes[number]

    def _updated(self, updates: Sequence[Row]) -> list[Receipt | WriteRefused | None]:
        """One outcome an update; None wherever nobody knows."""
        if not updates:
            return []
        try:
            answer = self.http.put(
                "/api/v2/organizations/update_many",
                json={"organizations": list(updates)},
                repeat=True,
            )
        except WriteUnknown:
            return [None] * len(updates)
        except WriteRefused as refused:
            return [refused] * len(updates)
        results = _by_index(self._ended(answer.get("job_status") or {}), updates)
        return [self._outcome(update, results.get(n)) for n, update in enumerate(updates)]

    def _ended(self, job: Row) -> Row:
        """The job when it has ended, or as far as it came while we waited."""
        for wait_s in WAITS_S:
            if job.get("status") in ENDED:
                break
            self.env.sleep(wait_s)
            try:
                job = self.http.get(f"/api/v2/job_statuses/{job.get('id')}")["job_status"]
            except HubError:
                # The job goes on without us; what it did is seen at the next read-back.
                return {}
        return job

    def _outcome(self, update: Row, result: Row | None) -> Receipt | WriteRefused | None:
        record = str(update["id"])
        if result is None:
            return None
        if result.get("error") or result.get("success") is False:
            return _refusal(record, result)
        return Receipt(id=record, url=self.page_of("organizations", record))

    # --- what stands there now -----------------------------------------------------------------

    @observes("organizations")
    def observe_organizations(self, ids: Sequence[str]) -> Iterator[Observed]:
        """The hub's fields on organizations, in the hub's words."""
        fields = {key: row for key, row in self.fields().items() if key.startswith(HUB_MARK)}
        rows = (row for answer in self.show("organizations", ids)
                for row in listed(answer, "organizations"))  # fmt: skip
        found = {str(row["id"]): row for row in rows}
        for one in ids:
            if (row := found.get(one)) is None:
                yield Observed(one, {}, exists=False)
                continue
            its: Mapping[str, Any] = row.get("organization_fields") or {}
            values = {key: _our_value(its.get(key), field) for key, field in fields.items()}
            yield Observed(one, values, instant(row, "updated_at"))

    @observes("fields")
    def observe_fields(self, ids: Sequence[str]) -> Iterator[Observed]:
        """How the hub's organization fields are defined, in the hub's words."""
        fields = self.fields()
        for one in ids:
            there = fields.get(one.partition(".")[2])
            if there is None:
                yield Observed(one, {}, exists=False)
                continue
            options = ",".join(
                str(option.get("value")).removeprefix(HUB_MARK)
                for option in there.get("custom_field_options") or ()
            )
            kind = WORDS.get(str(there.get("type")), str(there.get("type")))
            yield Observed(one, {"kind": kind, "options": options or None})


def _definition(field: FieldSpec) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "key": field.name,
        "title": field.label,
        "description": field.help,
        "type": KINDS[field.kind],
    }
    if field.kind == "enumeration":
        definition["custom_field_options"] = _options(field)
    return definition


def _options(field: FieldSpec) -> list[dict[str, Any]]:
    """The options as new ones: without an id."""
    return [
        {"id": None, "name": option.label, "value": f"{HUB_MARK}{option.value}"}
        for option in field.options
    ]


def _unfit(action: SetFields, fields: Mapping[str, Row]) -> WriteRefused | None:
    """Why an action cannot be sent: Zendesk would pass over a field that is not there in silence,
    and take no id that is not a number."""
    if not action.target.id.isdigit():
        return TargetGone(f"Zendesk has no organization {action.target.id}")
    missing = [name for name in action.values if name not in fields]
    if missing:
        return WriteRefused(
            f"Zendesk has no organization field {' or '.join(missing)}",
            do="Run the plan again: it defines the field first",
        )
    return None


def _update(action: SetFields, fields: Mapping[str, Row]) -> dict[str, Any]:
    values = {name: _their_value(v, fields[name]) for name, v in action.values.items()}
    return {"id": int(action.target.id), "organization_fields": values}


def _their_value(value: str | None, field: Row) -> str | None:
    if value is not None and field.get("type") == "dropdown":
        return f"{HUB_MARK}{value}"
    return value or None


def _our_value(value: object, field: Row) -> str | None:
    """A field's value as the hub wrote it: its own word, a day without the time Zendesk adds."""
    if value in (None, ""):
        return None
    match field.get("type"):
        case "dropdown":
            return str(value).removeprefix(HUB_MARK)
        case "date":
            return str(value)[:10]
        case _:
            return str(value)


def _by_index(job: Row, updates: Sequence[Row]) -> dict[int, Row]:
    """The results of a job by the place of their input; where none is told, by the id."""
    places = {update["id"]: number for number, update in enumerate(updates)}
    found: dict[int, Row] = {}
    results = job.get("results")
    for result in results if isinstance(results, list) else ():
        place = result.get("index", places.get(result.get("id")))
        if isinstance(place, int):
            found[place] = result
    return found


def _refusal(record: str, result: Row) -> WriteRefused:
    words = [str(result[name]) for name in ("error", "details") if result.get(name)]
    said = ": ".join(words) or "no reason given"
    is_gone = str(result.get("error")).lower().replace("_", "").endswith(GONE)
    refused = TargetGone if is_gone else WriteRefused
    return refused(f"Zendesk did not change organization {record}: {said}")
