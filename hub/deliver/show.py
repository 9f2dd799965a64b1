"""A stored plan for people and programs: old → new and why, connection by connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from ..errors import UsageError
from ..store import Database, as_dicts, table_of
from ..store.tables import HubAccount, Plan, PlanItem
from .ledger import last_of_plan


def show_plan(database: Database, plan_id: int) -> dict[str, Any]:
    """A plan as plain JSON: its state, its items by connection, and what is listed beside them.

    Raises UsageError for a plan that is not there.
    """
    plans, items, accounts = table_of(Plan), table_of(PlanItem), table_of(HubAccount)
    with database.read() as reading:
        found = as_dicts(reading, select(plans).where(plans.c.id == plan_id))
        if not found:
            do = "Run `hub plan` to make one"
            raise UsageError(f"there is no plan {plan_id}", do=do, code="NOT_FOUND")
        rows = as_dicts(reading, select(items).where(items.c.plan == plan_id).order_by(items.c.seq))
        named = reading.execute(select(accounts.c.id, accounts.c.name))
        names = dict(named.all())
        ended = {seq: row["state"] for seq, row in last_of_plan(reading, plan_id).items()}
    by_connection: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        shown = _item(row, names) | {"state": ended.get(row["seq"], "planned")}
        by_connection.setdefault(row["connection"], []).append(shown)
    plan = found[0]
    return {
        "plan": plan_id,
        "decision": plan["decision"],
        "as_of": plan["as_of"].isoformat(),
        "state": plan["state"],
        "stopped": plan["stopped"],
        "connections": by_connection,
        "beside": json.loads(plan["beside"]),
    }


def _item(row: Mapping[str, Any], names: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        "item": row["seq"],
        "kind": row["kind"],
        "object": row["object"],
        "id": row["record_id"],
        "account_id": row["account_id"],
        "account": names.get(row["account_id"]),
        "old": json.loads(row["old"]),
        "new": json.loads(row["new"]),
        "why": row["why"],
        "evidence": json.loads(row["evidence"]),
        "depends_on": row["depends_on"],
    }
