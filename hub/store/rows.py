"""Vendor rows at rest: what of a row is kept, what changed, and what could not be stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, select, update

from ..connector import Row, Rows, Stream
from .bulk import table_of, upsert
from .canonical import canonical, digest
from .tables import Aside, RowVersion, VendorRow

Paths: TypeAlias = dict[str, "Paths | None"]
CHUNK = 500


@dataclass
class Counts:
    """What became of the rows of one stream: read = new + changed + same + aside."""

    pages: int = 0
    read: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    aside: int = 0
    gone: int = 0

    def add(self, other: Counts) -> None:
        """Add another page's counts."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class Source:
    """Whose rows these are: a connection and the vendor account behind it."""

    connection: str
    vendor: str
    vendor_account: str


def paths_of(stream: Stream, keep: Iterable[str], custom: Iterable[str]) -> Paths | None:
    """The tree of what is kept of a row; None keeps everything.

    The stream's own `keeps`, the admin's `keep:` and the mapped custom fields, which stand under
    the stream's `custom` path.
    """
    if stream.keeps is None:
        return None
    prefix = f"{stream.custom}." if stream.custom else ""
    wanted = [*stream.keeps, *stream.key, *(f"{prefix}{name}" for name in (*keep, *custom))]
    tree: Paths = {}
    for path in wanted:
        branch = tree
        *parents, leaf = path.split(".")
        for parent in parents:
            below = branch.get(parent)
            if below is None:
                if parent in branch:
                    break
                below = branch[parent] = {}
            branch = below
        else:
            branch.setdefault(leaf, None)
    return tree


def kept(value: Any, paths: Paths | None) -> Any:
    """The part of a vendor value that is kept; a path through a list keeps that part of each."""
    if paths is None:
        return value
    if isinstance(value, list):
        return [kept(item, paths) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {name: kept(value[name], below) for name, below in paths.items() if name in value}


def store_rows(
    connection: Connection,
    source: Source,
    stream: Stream,
    rows: Rows,
    paths: Paths | None,
    *,
    run: int,
    now: datetime,
) -> Counts:
    """Store one page of rows; unchanged ones are not written again.

    A row without its key, with a value that is not JSON, or that repeats an id of the same page
    with other content is set aside with the reason.
    """
    counts = Counts(pages=1, read=len(rows))
    texts: dict[str, str] = {}
    asides: list[dict[str, Any]] = []
    for row in rows:
        key, text, why = _readable(stream, row, paths)
        if why is None and key in texts and texts[key] != text:
            key, why = f"{key}#{digest(text)}", f"{key} came twice in one page with two contents"
        if why is not None:
            asides.append(_aside(source, stream, key, why, text, run, now))
        elif key in texts:
            counts.same += 1
        else:
            texts[key] = text
    _write_changed(connection, source, stream.name, texts, counts, run, now)
    counts.aside = len(asides)
    _keep_asides(connection, source, stream.name, list(texts), asides)
    return counts


def _readable(stream: Stream, row: Row, paths: Paths | None) -> tuple[str, str, str | None]:
    try:
        text = canonical(kept(row, paths))
    except (TypeError, ValueError) as error:
        shown = canonical(repr(row)[:2000])
        return f"unreadable#{digest(shown)}", shown, f"the row is not JSON ({error})"
    try:
        return stream.id_of(row), text, None
    except (KeyError, TypeError):
        return f"no-id#{digest(text)}", text, f"the row has no {' and '.join(stream.key)}"


def _aside(
    source: Source, stream: Stream, key: str, why: str, text: str, run: int, now: datetime
) -> dict[str, Any]:
    return {
        "connection": source.connection,
        "stream": stream.name,
        "key": key,
        "code": "RECORD_REJECTED",
        "why": why,
        "data": text,
        "first_at": now,
        "last_at": now,
        "run": run,
    }


def _write_changed(
    connection: Connection,
    source: Source,
    stream: str,
    texts: Mapping[str, str],
    counts: Counts,
    run: int,
    now: datetime,
) -> None:
    present = _present(connection, source, stream, list(texts))
    fresh: list[dict[str, Any]] = []
    versions: list[dict[str, Any]] = []
    for key, text in texts.items():
        fingerprint = digest(text)
        before = present.get(key)
        if before is not None and before["digest"] == fingerprint and before["gone_at"] is None:
            counts.same += 1
            continue
        counts.new += before is None
        counts.changed += before is not None
        if before is not None and before["digest"] != fingerprint:
            versions.append(_version(source, stream, key, before, now))
        fresh.append(_row(source, stream, key, text, fingerprint, run, now))
    upsert(connection, RowVersion, versions)
    upsert(connection, VendorRow, fresh)


def _present(
    connection: Connection, source: Source, stream: str, ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    rows = table_of(VendorRow)
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(ids), CHUNK):
        statement = select(
            rows.c.record_id, rows.c.digest, rows.c.gone_at, rows.c.data, rows.c.read_at
        ).where(*_in_stream(source, stream), rows.c.record_id.in_(ids[start : start + CHUNK]))
        for row in connection.execute(statement).mappings():
            found[row["record_id"]] = dict(row)
    return found


def _in_stream(source: Source, stream: str) -> tuple[Any, ...]:
    rows = table_of(VendorRow)
    return (
        rows.c.vendor == source.vendor,
        rows.c.vendor_account == source.vendor_account,
        rows.c.object == stream,
    )


def _row(
    source: Source, stream: str, key: str, text: str, fingerprint: str, run: int, now: datetime
) -> dict[str, Any]:
    return {
        "vendor": source.vendor,
        "vendor_account": source.vendor_account,
        "object": stream,
        "record_id": key,
        "connection": source.connection,
        "data": text,
        "digest": fingerprint,
        "read_at": now,
        "run": run,
        "gone_at": None,
        "mapped": None,
    }


def _version(
    source: Source, stream: str, key: str, before: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    return {
        "vendor": source.vendor,
        "vendor_account": source.vendor_account,
        "object": stream,
        "record_id": key,
        "replaced_at": now,
        "data": before["data"],
        "digest": before["digest"],
        "read_at": before["read_at"],
    }


def _keep_asides(
    connection: Connection,
    source: Source,
    stream: str,
    stored: Sequence[str],
    asides: Sequence[Mapping[str, Any]],
) -> None:
    table = table_of(Aside)
    mine = (table.c.connection == source.connection, table.c.stream == stream)
    if connection.execute(select(table.c.key).where(*mine).limit(1)).first():
        for start in range(0, len(stored), CHUNK):
            healed = table.c.key.in_(stored[start : start + CHUNK])
            connection.execute(delete(table).where(*mine, healed))
    unique = {row["key"]: row for row in asides}
    upsert(connection, Aside, unique.values(), update=["why", "data", "last_at", "run"])


def mark_gone(
    connection: Connection, source: Source, stream: str, ids: Sequence[str], *, now: datetime
) -> int:
    """Mark rows as gone at the vendor; returns how many were not yet. Unify must look again."""
    rows = table_of(VendorRow)
    marked = 0
    for start in range(0, len(ids), CHUNK):
        statement = (
            update(rows)
            .where(
                *_in_stream(source, stream),
                rows.c.record_id.in_(ids[start : start + CHUNK]),
                rows.c.gone_at.is_(None),
            )
            .values(gone_at=now, mapped=None)
        )
        marked += connection.execute(statement).rowcount
    return marked
