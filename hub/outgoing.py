"""What goes out with a call: parameters, bodies and headers, and the secrets among them."""

from __future__ import annotations

import base64
import json as jsonlib
import re
from collections.abc import Mapping
from datetime import date
from urllib.parse import urlencode

from . import log
from .answers import Json
from .errors import ConfigError

_SECRET_NAME = re.compile(r"(?i)secret|token|password|authorization|api[-_]?key|assertion|^code$")


def content(json: Json, form: Mapping[str, object] | None) -> tuple[bytes | None, dict[str, str]]:
    """The bytes of a body and the header that names their kind; nothing at all for neither."""
    if form is not None:
        kind = "application/x-www-form-urlencoded"
        return urlencode(pairs(form)).encode(), {"Content-Type": kind}
    if json is not None:
        text = jsonlib.dumps(json, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(), {"Content-Type": "application/json"}
    return None, {}


def pairs(params: Mapping[str, object]) -> list[tuple[str, str]]:
    """Names and texts as they go into a query or form; None drops out, a list repeats its name."""
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        values = value if isinstance(value, list | tuple | set | frozenset) else [value]
        pairs += [(name, _text(one)) for one in values if one is not None]
    return pairs


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    return str(value)


def authorization(token: str | None, basic: tuple[str, str] | None) -> str | None:
    if token is not None:
        log.secrets.add(token)
        return f"Bearer {token.strip()}"
    if basic is None:
        return None
    pair = base64.b64encode(":".join(basic).encode()).decode()
    log.secrets.add(basic[1])
    log.secrets.add(pair)
    return f"Basic {pair}"


def remember_secrets(values: Mapping[str, object]) -> None:
    """Tell the log what it must mask, by the names that usually hold secrets."""
    for name, value in values.items():
        if isinstance(value, str) and _SECRET_NAME.search(name):
            log.secrets.add(value.removeprefix("Bearer ").removeprefix("Basic "))


def check_headers(headers: Mapping[str, str], connection: str) -> None:
    """ConfigError for a value that no header may hold; httpx would print it in its own error."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(
                f"the value for the header {name} holds a line break or a special character",
                where=connection,
                do="Copy the secret again, without anything around it",
            )
