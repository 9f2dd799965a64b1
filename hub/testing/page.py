"""What a person sees in a vendor's tool, drawn from plain data: one look for all stand-ins.

Everything is escaped, nothing runs: the pages carry no script and a policy that forbids any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

BANDS = {"at_risk": "At risk", "watch": "Watch", "healthy": "Healthy", "unknown": "Unknown"}
"""The hub's words as people read them, worst first; shape and colour stand in the template."""


@dataclass(frozen=True)
class TaskCard:
    """A task as a CSM finds it on a record; everything is text, `body` may have lines."""

    id: str
    title: str
    body: str = ""
    owner: str | None = None
    due: str | None = None
    priority: str | None = None
    is_done: bool = False


@dataclass(frozen=True)
class RecordCard:
    """A company, organisation or customer with what people look at.

    `status`, `since` and `reason` are the hub's fields as the vendor holds them now; `object` is
    the vendor's word in the page's address.
    """

    id: str
    name: str
    subtitle: str = ""
    fields: Sequence[tuple[str, str]] = ()
    tasks: Sequence[TaskCard] = ()
    object: str = "record"
    status: str | None = None
    since: str | None = None
    reason: str | None = None

    @property
    def band(self) -> str:
        """The status as one of the four words, empty when there is none."""
        word = (self.status or "").strip().lower().replace(" ", "_")
        return word if word in BANDS else ""

    @property
    def open_tasks(self) -> int:
        """How many tasks wait for somebody."""
        return sum(not task.is_done for task in self.tasks)


@dataclass(frozen=True)
class VendorPage:
    """Everything a vendor's stand-in shows to people."""

    vendor_title: str
    records: Sequence[RecordCard] = field(default_factory=tuple)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["in_path"] = partial(quote, safe="")
    return made


def list_html(page: VendorPage, chosen: str | None = None, *, missing: bool = False) -> str:
    """The list of records, worst first; `chosen` is a band's word, or "tasks" for open tasks.

    `missing` says first that the record asked for is not there.
    """
    chosen = chosen if chosen in (*BANDS, "tasks") else None
    return _draw(
        page=page,
        record=None,
        title=_headline(page),
        records=sorted((r for r in page.records if _fits(r, chosen)), key=_order),
        chosen=chosen,
        counts={kind: sum(_fits(r, kind) for r in page.records) for kind in (*BANDS, "tasks")},
        missing=missing,
    )


def record_html(page: VendorPage, record: RecordCard) -> str:
    """One record with its health, tasks and fields."""
    return _draw(page=page, record=record)


def _draw(**values: object) -> str:
    return _templates().get_template("page.html.j2").render(bands=BANDS, **values)


def _headline(page: VendorPage) -> str:
    """The answer in one sentence: how many records need somebody."""
    if not any(r.status for r in page.records):
        return "No record has a health status yet"
    return f"At risk: {sum(_fits(r, 'at_risk') for r in page.records)} of {len(page.records)}"


def _fits(record: RecordCard, kind: str | None) -> bool:
    return kind is None or (record.open_tasks > 0 if kind == "tasks" else record.band == kind)


def _order(record: RecordCard) -> tuple[int, str, str]:
    known = [*BANDS].index(record.band) if record.band else len(BANDS)
    return known, record.name.casefold(), record.id


def style() -> str:
    """The stylesheet both pages link to."""
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
