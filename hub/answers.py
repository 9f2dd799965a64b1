"""What a vendor's answer says, beyond its status: JSON or not, how long to wait, which request."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

from . import log

Json: TypeAlias = Any
"""Decoded JSON as the vendor sent it. `Any` on purpose: it ends in a connector's `mapping.py`."""

_REQUEST_ID_HEADERS = ("request-id", "x-request-id", "x-hubspot-correlation-id")
_REQUEST_ID_FIELDS = ("correlationId", "request_id", "requestId")
_GZIP_OR_ZLIB = 47
_SENTENCES = ("message", "description", "error_description", "detail", "error", "errors", "title")


@dataclass(frozen=True)
class Answer:
    """A vendor's answer. `headers` ignore case, `text` is the body's beginning.

    `path` has no query. `body` is None when it is empty, or an error's body that is not JSON.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Json = field(repr=False)
    text: str = field(repr=False)
    method: str
    path: str

    @property
    def request_id(self) -> str | None:
        """The id under which the vendor's support finds this call."""
        found = [self.headers.get(name) for name in _REQUEST_ID_HEADERS]
        if isinstance(self.body, dict):
            found += [self.body.get(name) for name in _REQUEST_ID_FIELDS]
        texts = (value for value in found if isinstance(value, str))
        return next((text for text in texts if re.fullmatch(r"[\w.:-]{1,80}", text)), None)

    @property
    def says(self) -> str | None:
        """The vendor's own sentence about an error, safe to show; None when there is none."""
        sentence = _sentence(self.body)
        return log.clean(sentence[:1000])[:200] if sentence else None

    @property
    def is_html(self) -> bool:
        """Whether this is a page for people."""
        kind = self.headers.get("content-type", "").lower()
        return "html" in kind or self.text.lstrip("\ufeff \t\r\n").startswith("<")

    def told(self, what: str) -> str:
        """`GET /v1/x was refused (400, request req_1): "No such customer"`."""
        request = f", request {self.request_id}" if self.request_id else ""
        says = f': "{self.says}"' if self.says else ""
        return f"{self.method} {log.clean(self.path)} {what} ({self.status}{request}){says}"

    def asks_to_wait_s(self, now: datetime) -> float | None:
        """Seconds from Retry-After (a number or a date); None when absent or malformed.

        A date is compared with the vendor's own `Date`, so a skewed clock here does no harm.
        """
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
            return float(text)
        until = _instant(text)
        if until is None:
            return None
        sent = _instant(self.headers.get("date", "")) or now
        return max(0.0, (until - sent).total_seconds())


class BodyTooLarge(Exception):
    """An answer is larger than the connection accepts."""


class DamagedBody(Exception):
    """A compressed answer cannot be inflated, or not to its end."""


def inflated(chunks: Iterable[bytes], encoding: str, most: int) -> Iterator[bytes]:
    """The plain bytes of a body; one step never gives more than `most` and one, as bombs would."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        yield from chunks
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise DamagedBody(f"the body is encoded as {encoding[:40]}, which was not asked for")
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    started = False
    for chunk in chunks:
        started = True
        try:
            yield inflater.decompress(chunk, most + 1)
        except zlib.error:
            raise DamagedBody("the compressed body is damaged") from None
    if started and not inflater.eof:
        raise DamagedBody("the compressed body ends early")


def capped(chunks: Iterable[bytes], most: int) -> bytes:
    """All chunks together; BodyTooLarge as soon as they are more than `most` bytes."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise BodyTooLarge
    return bytes(body)


def decoded(raw: bytes) -> tuple[Json, str | None]:
    """The JSON in a body, or None and what is wrong with it. NaN and Infinity mean unknown."""
    if not raw.strip():
        return None, "an empty body"
    try:
        return json.loads(raw, parse_constant=lambda name: None), None
    except UnicodeDecodeError:
        return None, "a body that is not valid text"
    except (ValueError, RecursionError):
        return None, "a body that is not complete JSON"


def _instant(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _sentence(body: Json) -> str | None:
    """The usual places of an error's text: `message`, `error`, `errors[0]`, `description`."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return _sentence(body[0]) if body else None
    if not isinstance(body, dict):
        return None
    for name in (
        "message",
        "description",
        "error_description",
        "detail",
        "error",
        "errors",
        "title",
    ):
        if sentence := _sentence(body.get(name)):
            return sentence
    return None
