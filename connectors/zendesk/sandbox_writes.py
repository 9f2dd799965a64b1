"""Zendesk's addresses for writing: organization fields, organizations, and the jobs that change
many of them.

A job waits, works, and is done `job_s` after it was made: until then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from hub.testing.kit import Call, Refused, Reply, route

from .sandbox_lists import Lists
from .sandbox_records import Obj, stamp

MANY = 100
JOBS = 30
"""How many jobs may wait or work at a time."""

JOB_LIVES_S = 86_400


class Changes(Lists):
    """The routes that write.

    `job_s` is how long a job takes; `jobs_end` how it ends, "failed" and "killed" without having
    done anything.
    """

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 7) -> None:
        super().__init__(clock=clock, seed=seed)
        self.job_s = 1.0
        self.jobs_end = "completed"

    # --- organization fields -------------------------------------------------------------------

    @route("POST", "/api/v2/organization_fields")
    def create_field(self, call: Call) -> Reply:
        """A new field of organizations."""
        field = self.add_field(part(call, "organization_field"))
        return Reply(201, {"organization_field": self.shown("organization_fields", field)})

    @route("GET", "/api/v2/organization_fields/{id}")
    def read_field(self, call: Call, id: str) -> Reply:
        """One field, by its id or key."""
        field = self._field(id)
        return Reply(json={"organization_field": self.shown("organization_fields", field)})

    @route("PUT", "/api/v2/organization_fields/{id}")
    def change_field(self, call: Call, id: str) -> Reply:
        """Change a field; options that are left out are taken away, also from organizations."""
        field, body = self._field(id), part(call, "organization_field")
        if "custom_field_options" in body:
            options = self.options(field["key"], field["type"], body["custom_field_options"])
            self._drop_values(field, {option["value"] for option in options})
            field["custom_field_options"] = options
        field |= {name: body[name] for name in ("title", "description", "active") if name in body}
        field["updated_at"] = stamp(self.clock())
        return Reply(json={"organization_field": self.shown("organization_fields", field)})

    @route("DELETE", "/api/v2/organization_fields/{id}")
    def remove_field(self, call: Call, id: str) -> Reply:
        """Take a field away, and its values from every organization."""
        field = self.fields.pop(self._field(id)["key"])
        for record in self.organizations.values():
            record["organization_fields"].pop(field["key"], None)
        return Reply(204)

    def _field(self, id: str) -> Obj:
        for field in self.fields.values():
            if id in (str(field["id"]), field["key"]):
                return field
        raise self.refuse(404, "RecordNotFound", "Not found")

    def _drop_values(self, field: Obj, options: set[str]) -> None:
        for record in self.organizations.values():
            if record["organization_fields"].get(field["key"]) not in options:
                record["organization_fields"].pop(field["key"], None)

    # --- organizations -------------------------------------------------------------------------

    @route("POST", "/api/v2/organizations")
    def create_organization(self, call: Call) -> Reply:
        """A new organization with a name of its own."""
        body = part(call, "organization")
        if not body.get("name"):
            details = {"name": "Name: cannot be blank"}
            raise self.refuse(422, "RecordInvalid", "Record validation errors", details)
        id = str(self.mint())
        record = self.put_organization(id, "")
        try:
            self.set_organization(record, body)
        except Refused:
            del self.organizations[id], self.moved["organizations"][id]
            raise
        return Reply(201, {"organization": self.shown("organizations", record)})

    @route("PUT", "/api/v2/organizations/{id}")
    def change_organization(self, call: Call, id: str) -> Reply:
        """Change one organization at once."""
        record = self.get("organizations", id)
        self.set_organization(record, part(call, "organization"))
        return Reply(json={"organization": self.shown("organizations", record)})

    @route("DELETE", "/api/v2/organizations/{id}")
    def remove_organization(self, call: Call, id: str) -> Reply:
        """Delete an organization."""
        self.get("organizations", id)
        self.delete_organization(id)
        return Reply(204)

    @route("PUT", "/api/v2/organizations/update_many")
    def change_many(self, call: Call) -> Reply:
        """Change up to 100 organizations, alike or each in its own way, by a job."""
        body = call.json() or {}
        same = _object(body.get("organization"))
        ids = [one for one in (call.param("ids") or "").split(",") if one]
        updates = [{**same, "id": one} for one in ids] or list(body.get("organizations") or ())
        if not updates or len(updates) > MANY:
            raise self.refuse(400, "BadRequest", f"Give 1 to {MANY} organizations")
        if sum(self._waits(job) for job in self.jobs.values()) >= JOBS:
            why = f"No more than {JOBS} jobs may be queued or running"
            raise self.refuse(429, "TooManyJobs", why)
        job = self._new_job(updates)
        return Reply(json={"job_status": self._shown_job(job)})

    # --- jobs ----------------------------------------------------------------------------------

    @route("GET", "/api/v2/job_statuses/{id}")
    def read_job(self, call: Call, id: str) -> Reply:
        """How far a job is; kept for a day."""
        job = self.jobs.get(id)
        if job is None or self.clock().timestamp() > job["due"] + JOB_LIVES_S:
            raise self.refuse(404, "RecordNotFound", "Not found")
        return Reply(json={"job_status": self._shown_job(job)})

    def run_jobs(self) -> None:
        """Do what is due by now."""
        for job in self.jobs.values():
            if self._waits(job) and self.clock().timestamp() >= job["due"]:
                job["status"] = self.jobs_end
                if self.jobs_end == "completed":
                    updates = enumerate(job["updates"])
                    job["results"] = [self._one(place, update) for place, update in updates]
                    self.changes += 1

    def _new_job(self, updates: list[Any]) -> Obj:
        now, id = self.clock().timestamp(), f"{self.random.getrandbits(128):032x}"
        self.jobs[id] = {
            "id": id,
            "made": now,
            "due": now + self.job_s,
            "status": "queued",
            "updates": updates,
            "results": None,
        }
        return self.jobs[id]

    def _waits(self, job: Obj) -> bool:
        return bool(job["status"] == "queued")

    def _one(self, place: int, update: Any) -> Obj:
        """What became of one input of a job."""
        id = str(_object(update).get("id"))
        told: Obj = {"index": place, "id": int(id) if id.isdigit() else None, "action": "update"}
        record = self.organizations.get(id)
        if record is None:
            lost = {"error": "OrganizationNotFound", "details": "Organization does not exist"}
            return told | {"success": False} | lost
        try:
            self.set_organization(record, update)
        except Refused as refused:
            problem = _object(refused.reply.json)
            texts = [d["description"] for ds in problem["details"].values() for d in ds]
            details = f"{problem['description']}: {'; '.join(texts)}"
            return told | {"success": False, "error": problem["error"], "details": details}
        return told | {"success": True, "status": "Updated"}

    def _shown_job(self, job: Obj) -> Obj:
        half = (job["made"] + job["due"]) / 2
        works = self._waits(job) and self.clock().timestamp() >= half
        count = len(job["updates"])
        return {
            "id": job["id"],
            "job_type": "Bulk Update Organization",
            "url": f"{self.url}/api/v2/job_statuses/{job['id']}.json",
            "total": count,
            "progress": count if job["status"] == "completed" else None,
            "status": "working" if works else job["status"],
            "message": None if self._waits(job) else f"Job {job['status']}",
            "results": job["results"],
        }


def part(call: Call, name: str) -> Mapping[str, Any]:
    """The one object that a body holds."""
    return _object(_object(call.json()).get(name))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
