"""One line an event, for every logger of the process, with nothing secret in it.

structlog and the standard library's loggers (httpx, sqlalchemy, alembic, …) meet in one formatter,
so redaction sees them all, exceptions included. Secrets are masked by value (whoever reads one
tells `secrets`) and by the name of the field; e-mail addresses keep their domain.
"""

from __future__ import annotations

import base64
import json as jsonlib
import logging
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

MASK = "***"
_WIRE_LOGGERS = ("httpx", "httpcore", "urllib3")
_KEPT_SECRETS = 500

_SECRET_NAME = re.compile(
    r"(?i)(token|secret|passw(or)?d|authorization|api[_-]?key|dsn|cookie|credentials?)s?$"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+|%20|\+)[\w.~+/=%-]{6,}")
# None of these goes back over what it passed: a vendor may send a megabyte of letters.
_USERINFO = re.compile(r"(://)[^\s/?#@'\"]{1,500}@")
_PAIR = re.compile(
    r"(?i)((?:token|secret|passw(?:or)?d|authorization|api[_-]?key|dsn|cookie)"
    r"(?:[\"']?\s{0,3}(?:=|:|%3d)|[\"'],)\s{0,3}(?:b(?=[\"']))?)"
    r"(\"[^\"]*\"|'[^']*'|[^\s\"'&,;}\])]+)"
)
_NAME = r"\w.!#$%'*+^`{|}~-"
_EMAIL = re.compile(rf"(?<![{_NAME}])[{_NAME}]+(@|%40)(?=[\w-]{{1,63}}\.\w)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Secrets:
    """The values that must never be shown, known to the whole process."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}
        self._longest_first: list[str] | None = []
        self._lock = threading.Lock()

    def add(self, value: str | None) -> None:
        """Mask this value from now on, also in its URL, JSON, base64 and hex forms.

        Values under four characters are not masked: they would blot out ordinary words.
        """
        text = (value or "").strip()
        if len(text) < 4 or text in self._values:
            return
        with self._lock:
            self._values[text] = _forms(text)
            while len(self._values) > _KEPT_SECRETS:
                del self._values[next(iter(self._values))]
            self._longest_first = None

    def mask(self, text: str) -> str:
        """The text without any known value."""
        for form in self._all_forms():
            text = text.replace(form, MASK)
        return text

    def _all_forms(self) -> list[str]:
        with self._lock:
            if self._longest_first is None:
                forms = set().union(*self._values.values())
                self._longest_first = sorted(forms, key=len, reverse=True)
            return self._longest_first

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)})"


secrets = Secrets()


def _forms(value: str) -> set[str]:
    raw = value.encode()
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value), raw.hex()}
    forms |= {raw.hex().upper(), jsonlib.dumps(value)[1:-1], repr(value)[1:-1]}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # Inside a longer base64 text the value may begin at any of three bit positions; only
            # the characters that it determines alone can be compared.
            start = (offset * 8 + 5) // 6
            end = ((offset + len(raw)) * 8) // 6
            forms.add(encode(b"\0" * offset + raw).decode()[start:end])
    return {form for form in forms if len(form) >= 4}


def redact(text: str) -> str:
    """A text that may be shown: no secret, no credentials in a URL, no name before an `@`."""
    text = secrets.mask(text)
    text = _BEARER.sub(rf"\1\2{MASK}", text)
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _PAIR.sub(rf"\1{MASK}", text)
    return _EMAIL.sub(rf"{MASK}\1", text)


def escape(text: str) -> str:
    """A text that cannot forge a line or paint the terminal: control characters are spelled out."""
    return _CONTROL.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(found[0])
    return short.get(found[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def clean(text: str) -> str:
    """A vendor's or user's words, made fit for a log line or an error message."""
    return escape(redact(text))


def logger(name: str) -> FilteringBoundLogger:
    """The logger of one module: `logger(__name__).info("sync.finished", rows=412)`."""
    bound: FilteringBoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=_OWN,
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return bound


def configure(
    level: str = "INFO", *, json: bool = False, stream: TextIO | None = None, wire: bool = False
) -> None:
    """Send every logger of the process to `stream` (stderr), as readable lines or as JSON.

    `wire` also shows what httpx and httpcore say below WARNING.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(json))
    handler.set_name("hub")
    root = logging.getLogger()
    for old in list(root.handlers):
        # Only plain stream handlers: they would print the same line unredacted.
        if old.get_name() == "hub" or type(old) is logging.StreamHandler:
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _WIRE_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET if wire else logging.WARNING)
    structlog.configure(
        processors=_OWN,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _formatter(json: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redacted,
            _as_json if json else _as_line,
        ],
    )


def _redacted(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {clean(str(key)): _shown(str(key), value) for key, value in event.items()}


def _shown(name: str, value: Any) -> Any:
    """A field's value as it may be shown; a field named like a secret never is."""
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {clean(str(key)): _shown(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(name, inner) for inner in value]
    return clean(str(value))


def _as_json(logger: WrappedLogger, method: str, event: EventDict) -> str:
    head = {name: event.pop(name, None) for name in ("timestamp", "level", "event")}
    return jsonlib.dumps({**head, **event}, ensure_ascii=False, default=str)


def _as_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    head = " ".join(str(event.pop(name, "-")) for name in ("timestamp", "level", "event"))
    return " ".join([head, *(f"{name}={_field(value)}" for name, value in event.items())])


def _field(value: Any) -> str:
    text = value if isinstance(value, str) else jsonlib.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and (not text or re.search(r"[\s\"=]", text)):
        return '"' + text.replace('"', '\\"') + '"'
    return text


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_OWN: list[Processor] = [
    structlog.stdlib.filter_by_level,
    *_SHARED,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]
