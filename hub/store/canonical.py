"""Values as canonical JSON text: the same content gives the same text and digest everywhere."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REPLACED = "\ufffd"
"""Stands where a text held NUL or a lone surrogate, which PostgreSQL cannot store (R26)."""


def storable(text: str) -> str:
    """The text with every character that a database cannot hold replaced visibly."""
    return _UNSTORABLE.sub(REPLACED, text)


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN. ValueError for NaN."""
    encoded = json.dumps(
        value,
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
        default=_other,
    )
    if "\\u0000" in encoded:
        encoded = json.dumps(
            _cleaned(json.loads(encoded)), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
    return storable(encoded)


def digest(text: str) -> str:
    """A short fingerprint of a text: 16 hexadecimal characters."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _other(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): _cleaned(item) for key, item in value.items()}
    return value
