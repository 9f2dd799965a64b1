"""What the targets say now: read back by id, in batches, and kept in `observed`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from ..connector import Connector, Observed
from ..errors import PluginError
from ..store import Database, upsert
from ..store.tables import ObservedField

BATCH = 100
Target: TypeAlias = tuple[str, str, str, str]
"""vendor, vendor account, object, id."""


def observe(connector: Connector[Any], what: str, ids: Sequence[str]) -> dict[str, Observed]:
    """What each id says now. An id that the connector does not answer for reads as not there.

    Raises PluginError when the connector cannot read this back.
    """
    name = connector.observers.get(what)
    if name is None:
        raise PluginError(
            f"{connector.name} writes to {what} but cannot read them back",
            do=f'Add a method marked @observes("{what}")',
        )
    found: dict[str, Observed] = {}
    for some in batches(ids, BATCH):
        for one in getattr(connector, name)(some):
            found[one.id] = one
    return {key: found.get(key) or Observed(key, {}, exists=False) for key in ids}


def keep_observed(
    database: Database,
    kind: tuple[str, str, str],
    found: Mapping[str, Observed],
    *,
    now: datetime,
) -> None:
    """Remember what was read back."""
    vendor, vendor_account, name = kind
    rows = [
        {
            "vendor": vendor,
            "vendor_account": vendor_account,
            "object": name,
            "record_id": key,
            "field": field,
            "value": value,
            "vendor_at": one.changed_at,
            "read_at": now,
        }
        for key, one in found.items()
        for field, value in one.values.items()
    ]
    for some in batches(rows, 2000):
        with database.write() as writing:
            upsert(writing, ObservedField, some)


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The items in order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
