"""What a person sees in a vendor's tool, drawn from plain data: one look for all stand-ins.

Everything is escaped, nothing runs: the pages carry no script and a policy that forbids any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

BANDS = {
    "at_risk": ("■", "At risk"),
    "watch": ("▲", "Watch"),
    "healthy": ("●", "Healthy"),
    "unknown": ("○", "Unknown"),
}
"""A band's shape and word; the colour comes third."""


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
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def list_html(page: VendorPage) -> str:
    """The list of records with status and open tasks."""
    return _templates().get_template("page.html.j2").render(page=page, record=None, bands=BANDS)


def record_html(page: VendorPage, record: RecordCard) -> str:
    """One record with its fields and tasks."""
    return _templates().get_template("page.html.j2").render(page=page, record=record, bands=BANDS)


def style() -> str:
    """The stylesheet both pages link to."""
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
