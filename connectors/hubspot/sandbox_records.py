"""What HubSpot holds: records, associations, owners, properties, and how each changes.

A record is plain JSON: `properties` as they are, and `indexed` as the search still shows them until
the search has caught up.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from hub.testing.kit import Call, Refused, Reply, Sandbox

from .sandbox_properties import (
    CHANGED,
    CREATED,
    KINDS,
    NUMBERS,
    SHOWN,
    SINGULAR,
    Definition,
    Invalid,
    define,
    stamp,
    standard,
    stored,
)

Obj = dict[str, Any]

LINKS: dict[tuple[str, str], tuple[int, ...]] = {
    ("tasks", "companies"): (192,), ("tasks", "contacts"): (204,), ("tasks", "deals"): (216,),
    ("tasks", "tickets"): (230,), ("notes", "companies"): (190,), ("notes", "contacts"): (202,),
    ("notes", "deals"): (214,), ("notes", "tickets"): (228,), ("companies", "contacts"): (280, 2),
    ("companies", "deals"): (342, 6), ("companies", "tickets"): (340, 25),
    ("contacts", "companies"): (279, 1), ("deals", "companies"): (341, 5),
    ("deals", "contacts"): (3,), ("deals", "tickets"): (27,), ("tickets", "companies"): (339, 26),
    ("tickets", "contacts"): (16,), ("tickets", "deals"): (28,), ("companies", "tasks"): (191,),
    ("contacts", "tasks"): (203,), ("deals", "tasks"): (215,), ("tickets", "tasks"): (229,),
    ("companies", "notes"): (189,), ("contacts", "notes"): (201,), ("deals", "notes"): (213,),
    ("tickets", "notes"): (227,), ("contacts", "deals"): (4,), ("contacts", "tickets"): (15,),
}  # fmt: skip
"""The association types from one object to another: the unlabelled one, then the primary one."""

STAGES = (
    ("appointmentscheduled", "Appointment scheduled", "0.2"),
    ("qualifiedtobuy", "Qualified to buy", "0.4"),
    ("presentationscheduled", "Presentation scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision maker bought-in", "0.8"),
    ("contractsent", "Contract sent", "0.9"),
    ("closedwon", "Closed won", "1.0"),
    ("closedlost", "Closed lost", "0.0"),
)


class Records(Sandbox):
    """The state of one account, and everything that may happen to it.

    The methods without `call` are also what a test or a demo does by hand, as a person would in
    HubSpot's pages. `lag_s` is how long the search takes to show a change.
    """

    kept: ClassVar[tuple[str, ...]] = (
        "portal", "objects", "archived", "links", "merges", "owners", "properties", "groups",
        "pipelines", "minted", "lag_s", "lacks",
    )  # fmt: skip

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 7) -> None:
        super().__init__(clock=clock, seed=seed)
        self.portal: Obj = {
            "portalId": 62_000_000 + seed,
            "timeZone": "Europe/Berlin",
            "companyCurrency": "EUR",
        }
        self.objects: dict[str, dict[str, Obj]] = {kind: {} for kind in KINDS}
        self.archived: dict[str, dict[str, Obj]] = {kind: {} for kind in KINDS}
        self.links: dict[str, dict[str, list[int]]] = {}
        self.merges: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        self.owners: dict[str, Obj] = {}
        self.properties: dict[str, dict[str, Definition]] = standard()
        self.groups: dict[str, dict[str, str]] = {
            kind: {"information": "Information"} for kind in KINDS
        }
        self.pipelines: dict[str, list[Obj]] = {"deals": [self._sales_pipeline()]}
        self.minted = 0
        self.lag_s = 3.0
        self.lacks = ["crm.objects.deals.read"]
        self._references = itertools.count(1)

    def now(self) -> str:
        """This instant as HubSpot writes it."""
        return stamp(self.clock())

    def problem(
        self,
        status: int,
        category: str,
        message: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        **more: Any,
    ) -> Reply:
        """An error in HubSpot's shape."""
        body: Obj = {
            "status": "error",
            "message": message,
            "correlationId": str(UUID(int=next(self._references))),
            "category": category,
            **more,
        }
        if errors:
            body["errors"] = list(errors)
        return Reply(status, body)

    def error(self, call: Call, status: int, message: str) -> Reply:
        """An error in HubSpot's shape for a status that a fault asks for."""
        category = {401: "INVALID_AUTHENTICATION", 403: "MISSING_SCOPES", 404: "OBJECT_NOT_FOUND"}
        limited: Obj = {"policyName": "TEN_SECONDLY_ROLLING"} if status == 429 else {}
        word = "RATE_LIMITS" if status == 429 else category.get(status, "VALIDATION_ERROR")
        return self.problem(status, word, message, **limited)

    def refuse(self, status: int, category: str, message: str, **more: Any) -> Refused:
        """The same as an exception."""
        return Refused(self.problem(status, category, message, **more))

    # --- records -------------------------------------------------------------------------------

    def kind(self, name: str) -> str:
        """The object that a path means: by its name, its singular or its number."""
        by_number = {number: kind for kind, number in NUMBERS.items()}
        kind = SINGULAR.get(name) or by_number.get(name) or name
        if kind not in KINDS:
            raise self.refuse(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}")
        return kind

    def mint(self) -> str:
        """The id of something new."""
        self.minted += 1
        return str(100_000_000_000 + self.minted)

    def put(
        self, kind: str, id: str, properties: Mapping[str, str | None], at: datetime | str
    ) -> Obj:
        """Hold a record as if it had been there, unchanged, since `at`."""
        when = at if isinstance(at, str) else stamp(at)
        times = {CREATED[kind]: when, CHANGED[kind]: when}
        record: Obj = {
            "id": id,
            "properties": {**properties, "hs_object_id": id, **times},
            "indexed": None,
            "createdAt": when,
            "updatedAt": when,
        }
        self.objects[kind][id] = record
        return record

    def add(self, kind: str, properties: Mapping[str, Any], *, company: str | None = None) -> str:
        """A new record, at a company if one is named; returns its id."""
        with self.lock:
            record = self.put(kind, self.mint(), self.checked(kind, properties), self.now())
            if company is not None:
                self.link(kind, record["id"], "companies", company, primary=True)
            return str(record["id"])

    def edit(self, kind: str, id: str, **properties: Any) -> None:
        """Change a record as a person would."""
        with self.lock:
            self.change(kind, self.objects[kind][id], self.checked(kind, properties))

    def change(self, kind: str, record: Obj, values: Mapping[str, str | None]) -> None:
        """Set checked values; the search shows them later."""
        if record["updatedAt"] <= self.searchable():
            record["indexed"] = dict(record["properties"])
        now = self.now()
        if kind == "tasks" and "hs_task_status" in values:
            done = values["hs_task_status"] == "COMPLETED"
            record["properties"]["hs_task_completion_date"] = now if done else None
        record["properties"] |= {**values, CHANGED[kind]: now}
        record["updatedAt"] = now

    def searchable(self) -> str:
        """What changed up to this instant has reached the search."""
        return stamp(self.clock() - timedelta(seconds=self.lag_s))

    def index(self, kind: str) -> Iterator[tuple[str, Obj]]:
        """Every record as the search shows it at this instant."""
        until = self.searchable()
        for id, record in self.objects[kind].items():
            if record["updatedAt"] <= until:
                yield id, record["properties"]
            elif record["indexed"] is not None:
                yield id, record["indexed"]

    def archive(self, kind: str, id: str) -> None:
        """Delete a record; it can be restored for 90 days."""
        with self.lock:
            if (record := self.objects[kind].pop(id, None)) is not None:
                self.archived[kind][id] = record | {"archivedAt": self.now()}

    def restore_record(self, kind: str, id: str) -> None:
        """Take a record out of the recycle bin."""
        with self.lock:
            record = self.archived[kind].pop(id)
            del record["archivedAt"]
            self.objects[kind][id] = record
            self.change(kind, record, {})

    def merge(self, kind: str, survivor: str, other: str) -> None:
        """Make two records one: the other's id answers with the survivor from now on."""
        with self.lock:
            kept, lost = self.objects[kind][survivor], self.objects[kind].pop(other)
            names = [kept["properties"].get("hs_merged_object_ids"), other]
            names.append(lost["properties"].get("hs_merged_object_ids"))
            gained = {
                name: value
                for name, value in lost["properties"].items()
                if kept["properties"].get(name) is None
            }
            merged = ";".join(name for name in names if name)
            self.change(kind, kept, gained | {"hs_merged_object_ids": merged})
            self.merges[kind][other] = survivor
            self._relink(kind, other, survivor)

    def find(self, kind: str, id: str) -> Obj | None:
        """The record with this id; a merged id leads to the survivor."""
        while id in self.merges[kind]:
            id = self.merges[kind][id]
        return self.objects[kind].get(id)

    def get(self, kind: str, id: str) -> Obj:
        """The record with this id, or HubSpot's 404."""
        record = self.find(kind, id)
        if record is None:
            raise self.refuse(404, "OBJECT_NOT_FOUND", "resource not found")
        return record

    def shown(self, kind: str, record: Obj, names: Sequence[str] = ()) -> Obj:
        """A record as the API shows it: the named properties, those that exist."""
        always = (CREATED[kind], CHANGED[kind], "hs_object_id")
        wanted = [*(names or SHOWN.get(kind, ())), *always]
        known = self.properties[kind]
        shown: Obj = {
            "id": record["id"],
            "properties": {n: record["properties"].get(n) for n in wanted if n in known},
            "createdAt": record["createdAt"],
            "updatedAt": record["updatedAt"],
            "archived": "archivedAt" in record,
        }
        if "archivedAt" in record:
            shown["archivedAt"] = record["archivedAt"]
        return shown

    def checked(self, kind: str, properties: Mapping[str, Any]) -> dict[str, str | None]:
        """The values as they are kept, or HubSpot's 400 with every one that is not taken."""
        values: dict[str, str | None] = {}
        errors = []
        for name, value in properties.items():
            try:
                if name not in self.properties[kind]:
                    raise Invalid("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
                values[name] = stored(self.properties[kind][name], value, self.owners)
            except Invalid as bad:
                context = {"propertyName": [name]}
                errors.append({"message": str(bad), "code": bad.code, "context": context})
        if errors:
            message = f"Property values were not valid: {errors}"
            raise self.refuse(400, "VALIDATION_ERROR", message, errors=errors)
        return values

    # --- associations --------------------------------------------------------------------------

    def linked(self, kind: str, id: str, other: str) -> dict[str, list[int]]:
        """Which records of another object a record is linked to, and by which types."""
        present = self.objects[other]
        links = self.links.get(f"{kind}/{id}/{other}", {})
        return {one: types for one, types in links.items() if one in present}

    def link(self, kind: str, id: str, other: str, other_id: str, *, primary: bool = False) -> None:
        """Link two records in both directions; as primary, the earlier primary is no more."""
        if primary:
            self._no_primary(kind, id, other)
        for source, one, target, two in ((kind, id, other, other_id), (other, other_id, kind, id)):
            types = self.links.setdefault(f"{source}/{one}/{target}", {}).setdefault(two, [])
            wanted = LINKS[source, target][: 2 if primary else 1]
            types.extend(number for number in wanted if number not in types)

    def unlink(self, kind: str, id: str, other: str, other_id: str) -> None:
        """Take the link between two records away."""
        for source, one, target, two in ((kind, id, other, other_id), (other, other_id, kind, id)):
            self.links.get(f"{source}/{one}/{target}", {}).pop(two, None)

    def _no_primary(self, kind: str, id: str, other: str) -> None:
        for two, types in self.links.get(f"{kind}/{id}/{other}", {}).items():
            back = self.links[f"{other}/{two}/{kind}"][id]
            types[:] = [number for number in types if number not in LINKS[kind, other][1:]]
            back[:] = [number for number in back if number not in LINKS[other, kind][1:]]

    def _relink(self, kind: str, old: str, new: str) -> None:
        for other in KINDS:
            for two in list(self.links.get(f"{kind}/{old}/{other}", {})):
                primary = len(self.links[f"{kind}/{old}/{other}"][two]) > 1
                self.unlink(kind, old, other, two)
                self.link(other, two, kind, new, primary=primary)

    # --- owners, properties, pipelines ---------------------------------------------------------

    def add_owner(
        self, id: str, name: str, email: str, *, active: bool = True, at: str | None = None
    ) -> None:
        """A user who may own records; a deactivated one is archived."""
        first, _, last = name.partition(" ")
        self.owners[id] = {
            "id": id,
            "email": email,
            "firstName": first,
            "lastName": last,
            "type": "PERSON",
            "userId": int(id) % 10_000_000,
            "userIdIncludingInactive": int(id) % 10_000_000,
            "createdAt": at or self.now(),
            "updatedAt": at or self.now(),
            "archived": not active,
            "teams": [],
        }

    def add_property(
        self, kind: str, name: str, type: str = "string", options: tuple[str, ...] = ()
    ) -> None:
        """A property that the team made for itself."""
        self.properties[kind][name] = define(name, type, options, own=False)

    def _sales_pipeline(self) -> Obj:
        times = {"createdAt": self.now(), "updatedAt": self.now(), "archived": False}
        stages = [
            {
                "id": id,
                "label": label,
                "displayOrder": number,
                "metadata": {
                    "isClosed": "true" if id.startswith("closed") else "false",
                    "probability": probability,
                },
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                **times,
            }
            for number, (id, label, probability) in enumerate(STAGES)
        ]
        return {
            "id": "default",
            "label": "Sales pipeline",
            "displayOrder": 0,
            "stages": stages,
            **times,
        }
