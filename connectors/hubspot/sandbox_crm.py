"""HubSpot's addresses for records and their associations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hub.testing.kit import Call, Refused, Reply, route

from .sandbox_properties import NUMBERS, SINGULAR
from .sandbox_records import LINKS, Obj, Records
from .sandbox_search import LONGEST_BODY, BadSearch, search

BATCH = 100
LISTED = 100
LINKED = 500
LINK_BATCH = 1000
LONGEST_URL = 6000


class Crm(Records):
    """The routes of records and associations; `{v}` is any version."""

    # --- one record ----------------------------------------------------------------------------

    @route("GET", "/crm/objects/{v}/{type}")
    def list_records(self, call: Call, v: str, type: str) -> Reply:
        """A page of records in the order of their ids."""
        kind = self.kind(type)
        held = self.archived[kind] if flag(call, "archived") else self.objects[kind]
        names = self._names(call)
        rows, after = self.page_by_id(call, held, LISTED)
        shown = [self.shown(kind, row, names) for row in rows]
        for row in shown:
            self._associations(call, kind, row)
        return Reply(json=_paged(shown, after))

    @route("POST", "/crm/objects/{v}/{type}")
    def create_record(self, call: Call, v: str, type: str) -> Reply:
        """A new record with its associations."""
        kind = self.kind(type)
        record = self._created(kind, call.json() or {}, strict="-" in v)
        return Reply(201, self.shown(kind, record, list(record["properties"])))

    @route("GET", "/crm/objects/{v}/{type}/{id}")
    def read_record(self, call: Call, v: str, type: str, id: str) -> Reply:
        """One record; a merged id answers with the survivor."""
        kind = self.kind(type)
        record = self.archived[kind].get(id) if flag(call, "archived") else None
        record = record or self._by(kind, id, call.param("idProperty"))
        shown = self.shown(kind, record, self._names(call))
        self._associations(call, kind, shown)
        return Reply(json=shown)

    @route("PATCH", "/crm/objects/{v}/{type}/{id}")
    def update_record(self, call: Call, v: str, type: str, id: str) -> Reply:
        """Change the named properties."""
        kind = self.kind(type)
        record = self._by(kind, id, call.param("idProperty"))
        values = self.checked(kind, _properties(call.json()))
        self.change(kind, record, values)
        return Reply(json=self.shown(kind, record, list(values)))

    @route("DELETE", "/crm/objects/{v}/{type}/{id}")
    def archive_record(self, call: Call, v: str, type: str, id: str) -> Reply:
        """Archive; doing it twice is no error."""
        self.archive(self.kind(type), id)
        return Reply(204)

    @route("POST", "/crm/objects/{v}/{type}/merge")
    def merge_records(self, call: Call, v: str, type: str) -> Reply:
        """Make two records one."""
        kind, body = self.kind(type), call.json() or {}
        primary = self.get(kind, str(body.get("primaryObjectId")))
        other = self.get(kind, str(body.get("objectIdToMerge")))
        self.merge(kind, primary["id"], other["id"])
        return Reply(json=self.shown(kind, primary))

    @route("POST", "/crm/objects/{v}/contacts/gdpr-delete")
    def forget_contact(self, call: Call, v: str) -> Reply:
        """Remove a contact for good."""
        body = call.json() or {}
        self.objects["contacts"].pop(str(body.get("objectId")), None)
        return Reply(204)

    @route("POST", "/crm/objects/{v}/{type}/search")
    def search_records(self, call: Call, v: str, type: str) -> Reply:
        """A page of a search, as late as the index is."""
        kind = self.kind(type)
        body = call.json() or {}
        if len(call.body) > LONGEST_BODY:
            raise self.refuse(400, "VALIDATION_ERROR", "The search request is too long")
        index = dict(self.index(kind))
        try:
            ids, total, after = search(body, index.items(), self.properties[kind])
        except BadSearch as bad:
            raise self.refuse(400, "VALIDATION_ERROR", str(bad)) from bad
        held = self.objects[kind]
        names = body.get("properties") or ()
        found = ({**held[id], "properties": index[id]} for id in ids)
        rows = [self.shown(kind, record, names) for record in found]
        return Reply(json={"total": total, **_paged(rows, after)})

    # --- batches -------------------------------------------------------------------------------

    @route("POST", "/crm/objects/{v}/{type}/batch/read")
    def read_batch(self, call: Call, v: str, type: str) -> Reply:
        """Records by id; what is not there is named in `errors`."""
        kind, body = self.kind(type), call.json() or {}
        archived = flag(call, "archived")
        found: dict[str, Obj] = {}
        absent = []
        for one in self._inputs(body, BATCH):
            id = str(one.get("id"))
            record = self.archived[kind].get(id) if archived else self.find(kind, id)
            if record is None:
                absent.append(id)
            else:
                found[record["id"]] = record
        rows = [self.shown(kind, row, body.get("properties") or ()) for row in found.values()]
        return self._batch(rows, self._absent(kind, absent) if absent else [])

    @route("POST", "/crm/objects/{v}/{type}/batch/create")
    def create_batch(self, call: Call, v: str, type: str) -> Reply:
        """Several new records."""
        kind = self.kind(type)
        inputs = self._inputs(call.json() or {}, BATCH)
        made = [self._created(kind, one, strict=False) for one in inputs]
        rows = [
            self._traced(self.shown(kind, row, list(row["properties"])), one)
            for row, one in zip(made, inputs, strict=True)
        ]
        return self._batch(rows, status=201)

    @route("POST", "/crm/objects/{v}/{type}/batch/update")
    def update_batch(self, call: Call, v: str, type: str) -> Reply:
        """Several changes: a value that is not taken refuses all, an absent record only itself."""
        kind = self.kind(type)
        inputs = self._inputs(call.json() or {}, BATCH)
        ids = [str(one.get("id")) for one in inputs]
        if len(set(ids)) != len(ids):
            raise self.refuse(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")
        values = [self.checked(kind, _properties(one)) for one in inputs]
        rows, errors = [], []
        for one, id, its in zip(inputs, ids, values, strict=True):
            record = self.find(kind, id)
            if record is None:
                errors += self._absent(kind, [id], one.get("objectWriteTraceId"))
                continue
            self.change(kind, record, its)
            rows.append(self._traced(self.shown(kind, record, list(its)), one))
        return self._batch(rows, errors)

    @route("POST", "/crm/objects/{v}/{type}/batch/upsert")
    def upsert_batch(self, call: Call, v: str, type: str) -> Reply:
        """Several records by a unique property: changed where known, else made."""
        kind = self.kind(type)
        rows = []
        for one in self._inputs(call.json() or {}, BATCH):
            name = str(one.get("idProperty") or "hs_object_id")
            record = self._having(kind, name, str(one.get("id")))
            values = {name: one.get("id"), **_properties(one)}
            if record is None:
                record = self._created(kind, {"properties": values}, strict=False)
                rows.append({**self.shown(kind, record, list(values)), "new": True})
            else:
                self.change(kind, record, self.checked(kind, _properties(one)))
                rows.append({**self.shown(kind, record, list(values)), "new": False})
        return self._batch(rows)

    @route("POST", "/crm/objects/{v}/{type}/batch/archive")
    def archive_batch(self, call: Call, v: str, type: str) -> Reply:
        """Archive several records."""
        for one in self._inputs(call.json() or {}, BATCH):
            self.archive(self.kind(type), str(one.get("id")))
        return Reply(204)

    # --- associations --------------------------------------------------------------------------

    @route("GET", "/crm/objects/{v}/{type}/{id}/associations/{to}")
    def list_links(self, call: Call, v: str, type: str, id: str, to: str) -> Reply:
        """The records of another object that a record is linked to."""
        kind, other = self.kind(type), self.kind(to)
        self.get(kind, id)
        links = self.linked(kind, id, other)
        held = {one: {"id": one, "types": types} for one, types in links.items()}
        rows, after = self.page_by_id(call, held, LINKED, default=LINKED)
        return Reply(json=_paged([_link(row["id"], row["types"]) for row in rows], after))

    @route("PUT", "/crm/objects/{v}/{type}/{id}/associations/default/{to}/{other_id}")
    def link_default(self, call: Call, v: str, type: str, id: str, to: str, other_id: str) -> Reply:
        """Link two records without a label."""
        kind, other = self.kind(type), self.kind(to)
        return self._batch([self._linked_by_default(kind, id, other, other_id)])

    @route("PUT", "/crm/objects/{v}/{type}/{id}/associations/{to}/{other_id}")
    def link_typed(self, call: Call, v: str, type: str, id: str, to: str, other_id: str) -> Reply:
        """Link two records by the given types."""
        kind, other = self.kind(type), self.kind(to)
        self._associate(kind, self.get(kind, id), other_id, call.json() or [], only=other)
        return Reply(json=_pair(kind, id, other, other_id))

    @route("DELETE", "/crm/objects/{v}/{type}/{id}/associations/{to}/{other_id}")
    def unlink_records(
        self, call: Call, v: str, type: str, id: str, to: str, other_id: str
    ) -> Reply:
        """Take a link away."""
        self.unlink(self.kind(type), id, self.kind(to), other_id)
        return Reply(204)

    @route("POST", "/crm/associations/{v}/{type}/{to}/batch/read")
    def read_links(self, call: Call, v: str, type: str, to: str) -> Reply:
        """The links of up to 1,000 records; the oldest version shows them in its own shape."""
        kind, other = self.kind(type), self.kind(to)
        rows: list[Obj] = []
        for one in self._inputs(call.json() or {}, LINK_BATCH):
            links = sorted(self.linked(kind, str(one.get("id")), other).items())
            start = int(one.get("after") or 0)
            some = links[start : start + LINKED]
            if not some:
                continue
            shown = [_link_v3(kind, other, id) if v == "v3" else _link(id, t) for id, t in some]
            more = str(start + LINKED) if len(links) > start + LINKED else None
            paging = {"paging": {"next": {"after": more}}} if more else {}
            rows.append({"from": {"id": str(one.get("id"))}, "to": shown, **paging})
        return self._batch(rows)

    @route("POST", "/crm/associations/{v}/{type}/{to}/batch/create")
    def link_batch(self, call: Call, v: str, type: str, to: str) -> Reply:
        """Link pairs of records by the given types; the oldest version knows only one type."""
        kind, other = self.kind(type), self.kind(to)
        rows: list[Obj] = []
        for one in self._inputs(call.json() or {}, LINK_BATCH):
            id, other_id = str(one["from"]["id"]), str(one["to"]["id"])
            if v == "v3":
                self._linked_by_default(kind, id, other, other_id)
                rows.append({"from": {"id": id}, "to": {"id": other_id}, "type": one["type"]})
            else:
                types = one.get("types") or []
                self._associate(kind, self.get(kind, id), other_id, types, only=other)
                rows.append(_pair(kind, id, other, other_id))
        return self._batch(rows, status=201)

    @route("POST", "/crm/associations/{v}/{type}/{to}/batch/associate/default")
    def link_batch_default(self, call: Call, v: str, type: str, to: str) -> Reply:
        """Link pairs of records without a label."""
        kind, other = self.kind(type), self.kind(to)
        inputs = self._inputs(call.json() or {}, LINK_BATCH)
        pairs = [(str(one["from"]["id"]), str(one["to"]["id"])) for one in inputs]
        return self._batch([self._linked_by_default(kind, a, other, b) for a, b in pairs])

    @route("POST", "/crm/associations/{v}/{type}/{to}/batch/archive")
    def unlink_batch(self, call: Call, v: str, type: str, to: str) -> Reply:
        """Take links away: of one record to several, or of pairs in the oldest version."""
        kind, other = self.kind(type), self.kind(to)
        for one in self._inputs(call.json() or {}, LINK_BATCH):
            targets = one["to"] if isinstance(one["to"], list) else [one["to"]]
            for target in targets:
                self.unlink(kind, str(one["from"]["id"]), other, str(target["id"]))
        return Reply(204)

    @route("GET", "/crm/associations/{v}/{type}/{to}/labels")
    def list_labels(self, call: Call, v: str, type: str, to: str) -> Reply:
        """The association types between two objects."""
        numbers = LINKS.get((self.kind(type), self.kind(to)), ())
        labels = [None, "Primary"][: len(numbers)]
        return Reply(
            json={
                "results": [
                    {"category": "HUBSPOT_DEFINED", "typeId": number, "label": label}
                    for number, label in zip(numbers, labels, strict=True)
                ]
            }
        )

    # --- the pieces ----------------------------------------------------------------------------

    def page_by_id(
        self, call: Call, held: Mapping[str, Obj], most: int, *, default: int = 10
    ) -> tuple[list[Obj], str | None]:
        """The page that a call asks for, and the cursor of the next one."""
        try:
            limit, after = int(call.param("limit") or default), int(call.param("after") or 0)
        except ValueError:
            raise self.refuse(400, "VALIDATION_ERROR", "limit and after must be numbers") from None
        if not 0 < limit <= most:
            raise self.refuse(400, "VALIDATION_ERROR", f"limit must be between 1 and {most}")
        ids = sorted(int(id) for id in held if int(id) > after)
        rows = [held[str(id)] for id in ids[:limit]]
        return rows, str(ids[limit - 1]) if len(ids) > limit else None

    def _names(self, call: Call) -> list[str]:
        """The properties asked for, separated by commas or repeated; too many are a 414."""
        texts = call.query.get("properties", [])
        if sum(len(text) for text in texts) > LONGEST_URL:
            raise Refused(Reply(414, html="<html><title>414 Request-URI Too Large</title></html>"))
        return [name for text in texts for name in text.split(",") if name]

    def _associations(self, call: Call, kind: str, row: Obj) -> None:
        """What `associations=` asks to see beside a record."""
        for text in call.query.get("associations", []):
            for other in (self.kind(name) for name in text.split(",") if name):
                if links := self.linked(kind, row["id"], other):
                    shown = [_link_v3(kind, other, id) for id in links]
                    row.setdefault("associations", {})[other] = {"results": shown}

    def _created(self, kind: str, body: Mapping[str, Any], *, strict: bool) -> Obj:
        if strict and not {"properties", "associations"} <= body.keys():
            raise self.refuse(400, "VALIDATION_ERROR", "properties and associations are required")
        values = self.checked(kind, _properties(body))
        if kind in ("tasks", "notes") and values.get("hs_timestamp") is None:
            error = {"message": "hs_timestamp is required", "code": "REQUIRED_FIELD"}
            raise self.refuse(400, "VALIDATION_ERROR", "hs_timestamp is required", errors=[error])
        email = values.get("email")
        if kind == "contacts" and email and (known := self._having(kind, "email", email)):
            message = f"Contact already exists. Existing ID: {known['id']}"
            raise self.refuse(409, "CONFLICT", message)
        links = body.get("associations") or []
        targets = [self._link_target(kind, link) for link in links]
        record = self.put(kind, self.mint(), values, self.now())
        for link, (other, other_id) in zip(links, targets, strict=True):
            self._associate(kind, record, other_id, link.get("types") or [], only=other)
        return record

    def _link_target(self, kind: str, link: Mapping[str, Any]) -> tuple[str, str]:
        """The object and id that an association of a new record leads to; 400 when to nothing."""
        numbers = {spec.get("associationTypeId") for spec in link.get("types") or ()}
        id = str((link.get("to") or {}).get("id"))
        for (source, other), known in LINKS.items():
            if source == kind and numbers and numbers <= set(known):
                if (record := self.find(other, id)) is not None:
                    return other, record["id"]
                message = f"One or more associations are not valid: {other} {id} does not exist"
                raise self.refuse(400, "VALIDATION_ERROR", message)
        message = f"No association types {sorted(map(str, numbers))} exist from {kind}"
        raise self.refuse(400, "VALIDATION_ERROR", message)

    def _associate(
        self, kind: str, record: Obj, other_id: str, types: Sequence[Mapping[str, Any]], only: str
    ) -> None:
        numbers = {spec.get("associationTypeId") for spec in types}
        known = LINKS.get((kind, only), ())
        if not numbers or not numbers <= set(known):
            raise self.refuse(400, "VALIDATION_ERROR", f"Association types {numbers} do not fit")
        self.get(only, other_id)
        self.link(kind, record["id"], only, other_id, primary=bool(numbers & set(known[1:])))

    def _linked_by_default(self, kind: str, id: str, other: str, other_id: str) -> Obj:
        """Link two records without a label, and say so."""
        self.get(kind, id)
        self.get(other, other_id)
        self.link(kind, id, other, other_id)
        number = LINKS[kind, other][0]
        spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}
        return {"from": {"id": id}, "to": {"id": other_id}, "associationSpec": spec}

    def _by(self, kind: str, id: str, name: str | None) -> Obj:
        if name is None:
            return self.get(kind, id)
        record = self._having(kind, name, id)
        if record is None:
            raise self.refuse(404, "OBJECT_NOT_FOUND", "resource not found")
        return record

    def _having(self, kind: str, name: str, value: str) -> Obj | None:
        if name == "hs_object_id":
            return self.find(kind, value)
        records = self.objects[kind].values()
        return next((r for r in records if r["properties"].get(name) == value), None)

    def _inputs(self, body: Mapping[str, Any], most: int) -> list[Obj]:
        inputs = body.get("inputs")
        if not isinstance(inputs, list):
            raise self.refuse(400, "VALIDATION_ERROR", "inputs is required")
        if len(inputs) > most:
            raise self.refuse(400, "VALIDATION_ERROR", f"A batch takes at most {most} inputs")
        return inputs

    def _absent(self, kind: str, ids: Iterable[str], trace: str | None = None) -> list[Obj]:
        singular = next(one for one, plural in SINGULAR.items() if plural == kind)
        context = {"ids": list(ids)} | ({"objectWriteTraceId": [trace]} if trace else {})
        message = (
            f"Could not get some {singular.upper()} objects, they may be deleted or not exist."
            " Check that ids are valid."
        )
        error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message}
        return [{**error, "context": context}]

    def _traced(self, shown: Obj, one: Mapping[str, Any]) -> Obj:
        trace = one.get("objectWriteTraceId")
        return shown | ({"objectWriteTraceId": trace} if trace is not None else {})

    def _batch(self, rows: list[Obj], errors: Sequence[Obj] = (), *, status: int = 200) -> Reply:
        """A batch's answer; 207 when some of it failed."""
        now = self.now()
        body: Obj = {"status": "COMPLETE", "results": rows, "startedAt": now, "completedAt": now}
        if not errors:
            return Reply(status, body)
        return Reply(207, body | {"numErrors": len(errors), "errors": list(errors)})


def _paged(rows: list[Obj], after: str | None) -> Obj:
    return {"results": rows} | ({"paging": {"next": {"after": after}}} if after else {})


def _link(id: str, types: Sequence[int]) -> Obj:
    specs = [
        {"category": "HUBSPOT_DEFINED", "typeId": n, "label": "Primary" if n < 100 else None}
        for n in types
    ]
    return {"toObjectId": id, "associationTypes": specs}


def _pair(kind: str, id: str, other: str, other_id: str) -> Obj:
    numbers = {"fromObjectTypeId": NUMBERS[kind], "toObjectTypeId": NUMBERS[other]}
    return {"fromObjectId": id, "toObjectId": other_id, "labels": []} | numbers


def _link_v3(kind: str, other: str, id: str) -> Obj:
    names = {plural: one for one, plural in SINGULAR.items()}
    return {"id": id, "type": f"{names[kind]}_to_{names[other]}"}


def _properties(body: Any) -> Mapping[str, Any]:
    its = body.get("properties") if isinstance(body, Mapping) else None
    return its if isinstance(its, Mapping) else {}


def flag(call: Call, name: str) -> bool:
    """A yes or no; HubSpot's own Python client writes `True`."""
    return (call.param(name) or "").lower() == "true"
