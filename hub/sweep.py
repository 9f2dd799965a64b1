"""The sweep: finding what was deleted at the vendor by listing every id (T7).

Absence is not deletion (R7). A record is marked gone only after a listing came to its end, the
record was asked for by its id once more, and not too many would go at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from .connector import Connector, Stream
from .errors import HubError
from .store import Database, table_of
from .store.progress import load_checkpoint, store_checkpoint
from .store.rows import Source, mark_gone
from .store.tables import VendorRow

EVERY = timedelta(days=1)
GUARD_SHARE, GUARD_NUMBER = 0.05, 20
"""More than this share, and at least this many, is no ordinary day: a person decides."""

BY_IDS = 100


def is_due(database: Database, source: Source, stream: Stream, now: datetime) -> bool:
    """Whether a stream that can be swept was neither swept nor read in full for a day."""
    if stream.deletes != "sweep" or stream.list_ids is None:
        return False
    with database.read() as reading:
        stored = load_checkpoint(reading, source.connection, stream.name)
    last = stored and (stored["swept_at"] or stored["complete_at"])
    return not last or now - last >= EVERY


def sweep(
    connector: Connector[Any],
    database: Database,
    source: Source,
    stream: Stream,
    *,
    now: datetime,
    accepted: bool = False,
) -> int:
    """Mark as gone what the vendor no longer lists and no longer answers for; returns how many.

    Raises HubError MASS_DELETE when more would go than the guard allows and nobody accepted it.
    """
    if stream.list_ids is None:
        return 0
    listed = {str(key) for some in stream.list_ids(connector) for key in some}
    present = _present(database, source, stream.name, before=now)
    missing = sorted(present - listed)
    if not accepted:
        _guard(source, stream.name, missing, present, listed)
    gone = _confirmed(connector, stream, missing)
    with database.write() as writing:
        marked = mark_gone(writing, source, stream.name, gone, now=now)
        store_checkpoint(writing, source.connection, stream.name, now=now, swept_at=now)
    return marked


def _present(database: Database, source: Source, stream: str, *, before: datetime) -> set[str]:
    table = table_of(VendorRow)
    with database.read() as reading:
        return set(
            reading.execute(
                select(table.c.record_id).where(
                    table.c.vendor == source.vendor,
                    table.c.vendor_account == source.vendor_account,
                    table.c.object == stream,
                    table.c.gone_at.is_(None),
                    table.c.read_at < before,
                )
            ).scalars()
        )


def _guard(
    source: Source,
    stream: str,
    missing: Sequence[str],
    present: Collection[str],
    listed: Collection[str],
) -> None:
    many = len(missing) >= GUARD_NUMBER and len(missing) > GUARD_SHARE * len(present)
    if not many and (listed or not present):
        return
    raise HubError(
        f"{len(missing)} of {len(present)} {stream} are no longer listed; nothing was marked gone",
        where=source.connection,
        do=f"If they were deleted there, run `hub sync {source.connection} --accept-gone {stream}`",
        code="MASS_DELETE",
    )


def _confirmed(connector: Connector[Any], stream: Stream, missing: Sequence[str]) -> list[str]:
    """Those that the vendor does not answer for by id either."""
    if stream.read_by_ids is None:
        return list(missing)
    gone: list[str] = []
    for start in range(0, len(missing), BY_IDS):
        some = missing[start : start + BY_IDS]
        there = {stream.id_of(row) for row in stream.read_by_ids(connector, some)}
        gone += [key for key in some if key not in there]
    return gone
