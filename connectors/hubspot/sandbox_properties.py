"""HubSpot's property definitions, and what a value must be to be taken."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Definition = dict[str, Any]

KINDS = ("companies", "contacts", "deals", "tickets", "tasks", "notes")
NUMBERS = {
    "contacts": "0-1", "companies": "0-2", "deals": "0-3", "tickets": "0-5", "tasks": "0-27",
    "notes": "0-46",
}  # fmt: skip
SINGULAR = {
    "company": "companies", "contact": "contacts", "deal": "deals", "ticket": "tickets",
    "task": "tasks", "note": "notes",
}  # fmt: skip
CHANGED = dict.fromkeys(KINDS, "hs_lastmodifieddate") | {"contacts": "lastmodifieddate"}
CREATED = {
    "companies": "createdate", "contacts": "createdate", "deals": "createdate",
    "tickets": "createdate", "tasks": "hs_createdate", "notes": "hs_createdate",
}  # fmt: skip
SHOWN = {
    "companies": ("name", "domain"),
    "contacts": ("email", "firstname", "lastname"),
    "deals": ("dealname", "amount", "dealstage", "pipeline", "closedate"),
    "tickets": ("subject", "content", "hs_pipeline_stage"),
}
"""What every answer shows beside id and times when no property is named."""

LONGEST = 65_536

STAGES = (
    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity",
    "customer", "evangelist", "other",
)  # fmt: skip
TASK_STATUSES = ("NOT_STARTED", "IN_PROGRESS", "WAITING", "COMPLETED", "DEFERRED")
PRIORITIES = ("NONE", "LOW", "MEDIUM", "HIGH")
TASK_TYPES = ("TODO", "CALL", "EMAIL")

TEXTS = {
    "companies": "name domain hs_additional_domains country industry website city phone",
    "contacts": "email firstname lastname jobtitle phone company",
    "deals": "dealname dealstage pipeline deal_currency_code",
    "tickets": "subject content hs_pipeline hs_pipeline_stage",
    "tasks": "hs_task_subject hs_task_body hs_task_reminders",
    "notes": "hs_note_body",
}


class Invalid(Exception):
    """A value that HubSpot does not take, with its code for that."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def define(
    name: str,
    type: str = "string",
    options: tuple[str, ...] = (),
    *,
    label: str | None = None,
    read_only: bool = False,
    group: str = "information",
    own: bool = True,
) -> Definition:
    """A property as the API shows it; `own` ones are HubSpot's."""
    widgets = {
        "string": "text",
        "enumeration": "select",
        "datetime": "date",
        "bool": "booleancheckbox",
    }
    return {
        "name": name,
        "label": label or name.replace("_", " ").capitalize(),
        "description": "",
        "groupName": group,
        "type": type,
        "fieldType": widgets.get(type, type),
        "options": [
            {"label": word, "value": word, "hidden": False, "displayOrder": number}
            for number, word in enumerate(options)
        ],
        "hidden": False,
        "hubspotDefined": own,
        "hasUniqueValue": False,
        "formField": False,
        "displayOrder": -1,
        "archived": False,
        "modificationMetadata": {
            "archivable": not own,
            "readOnlyDefinition": own,
            "readOnlyValue": read_only,
        },
    }


def standard() -> dict[str, dict[str, Definition]]:
    """The properties that every account has, by object and name."""
    found = {kind: _common(kind) for kind in KINDS}
    found["companies"] |= _by_name(
        define("lifecyclestage", "enumeration", STAGES),
        define("numberofemployees", "number"),
        define("hs_parent_company_id", "number", read_only=True),
    )
    found["contacts"] |= _by_name(define("lifecyclestage", "enumeration", STAGES))
    found["deals"] |= _by_name(define("amount", "number"), define("closedate", "datetime"))
    found["tasks"] |= _by_name(
        define("hs_task_status", "enumeration", TASK_STATUSES),
        define("hs_task_priority", "enumeration", PRIORITIES),
        define("hs_task_type", "enumeration", TASK_TYPES),
        define("hs_timestamp", "datetime"),
        define("hs_task_completion_date", "datetime", read_only=True),
    )
    found["notes"] |= _by_name(define("hs_timestamp", "datetime"))
    return found


def _common(kind: str) -> dict[str, Definition]:
    texts = (define(name) for name in TEXTS[kind].split())
    return _by_name(
        *texts,
        define("hubspot_owner_id", "enumeration"),
        define("hs_object_id", "number", read_only=True),
        define("hs_merged_object_ids", "string", read_only=True),
        define(CREATED[kind], "datetime", read_only=True),
        define(CHANGED[kind], "datetime", read_only=True),
    )


def _by_name(*definitions: Definition) -> dict[str, Definition]:
    return {definition["name"]: definition for definition in definitions}


def stored(definition: Mapping[str, Any], value: Any, owners: Container[str]) -> str | None:
    """A value as HubSpot keeps it, None for an empty one; Invalid when it is not taken."""
    if definition["modificationMetadata"]["readOnlyValue"]:
        raise Invalid("READ_ONLY_VALUE", f"{definition['name']} is a read only property")
    if value is None or value == "":
        return None
    text = str(value)
    if definition["name"] == "hubspot_owner_id":
        return _owner(text, owners)
    match definition["type"]:
        case "enumeration":
            return _option(definition, text)
        case "number":
            return _number(definition, text)
        case "date":
            return _day(text)
        case "datetime":
            return _instant(text)
    if len(text) > LONGEST:
        raise Invalid("PROPERTY_VALUE_TOO_LONG", f"{definition['name']} is longer than {LONGEST}")
    return text


def _owner(text: str, owners: Container[str]) -> str:
    if text not in owners:
        raise Invalid("INVALID_OWNER_ID", f"Owner {text} does not exist")
    return text


def _option(definition: Mapping[str, Any], text: str) -> str:
    allowed = [option["value"] for option in definition["options"]]
    if text not in allowed:
        raise Invalid("INVALID_OPTION", f"{text} was not one of the allowed options: {allowed}")
    return text


def _number(definition: Mapping[str, Any], text: str) -> str:
    try:
        Decimal(text)
    except InvalidOperation:
        raise Invalid("INVALID_DOUBLE", f"{text} was not a valid number") from None
    return text


def _day(text: str) -> str:
    """A day given as ISO date, or as milliseconds that must be midnight UTC."""
    if not text.lstrip("-").isdigit():
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise Invalid("INVALID_DATE", f"{text} was not a valid date") from None
    at = datetime.fromtimestamp(int(text) / 1000, UTC)
    if at.time().isoformat() != "00:00:00":
        raise Invalid("INVALID_DATE", f"{text} is at {at:%H:%M:%S} UTC, not midnight!")
    return at.date().isoformat()


def _instant(text: str) -> str:
    try:
        if text.lstrip("-").isdigit():
            return stamp(datetime.fromtimestamp(int(text) / 1000, UTC))
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Invalid("INVALID_DATE", f"{text} was not a valid date") from None
    return stamp(at if at.tzinfo else at.replace(tzinfo=UTC))


def stamp(at: datetime) -> str:
    """An instant as HubSpot writes it, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
