"""Days as people type them."""

from __future__ import annotations

from datetime import date

from ..errors import UsageError


def parsed(text: str | None) -> date | None:
    """A day written as 2026-03-04; None stays None."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f'"{text}" is no day', do="Write it like 2026-03-04") from error
