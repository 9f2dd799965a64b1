"""The one way to call a vendor: limits, retries, one deadline, a size cap, and errors in our words.

A connector makes an `Http` in `connect()`; the hub binds it to its `Env` and closes it. Every call
ends in decoded JSON or in a `HubError` that says what the hub does next. What is retried follows
one rule: a read always, a write only when repeating it makes one thing (`key` or `repeat`), or when
it surely never arrived. Anything else that breaks in between is `WriteUnknown`.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode

import certifi
import httpcore
import httpx

from . import log
from .answers import Answer, BodyTooLarge, DamagedBody, Json, capped, decoded, inflated
from .env import Env
from .errors import (
    HubError,
    RetryLater,
    WriteUnknown,
)
from .limits import Limit, Pacer
from .outgoing import authorization, check_headers, content, pairs, remember_secrets
from .paging import Turning, dig
from .refusals import Refusals, address_refused
from .retries import Again, jitter_s, may_repeat, persist
from .signin import SignIn, Token
from .wire import Deadline, PrivateAddress, Wire, is_private_name

if TYPE_CHECKING:
    from .connector import Rows

__all__ = ["Answer", "Http", "Json", "Limit", "Token"]

MIB = 1024 * 1024
_CONNECTIONS = 8
_TEXT_CAP = 4000
_HANGS = 2

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "retention-hub/0.1",
}

_log = log.logger(__name__)


@dataclass
class _Call:
    """One call and what its attempts have shown so far."""

    url: httpx.URL = field(repr=False)
    content: bytes | None = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    repeatable: bool
    auth: bool
    errors: Refusals
    attempts: int = 0
    hangs: int = 0
    misreads: int = 0
    signed_in: bool = False
    in_doubt: bool = False  # a write that may have arrived

    @property
    def method(self) -> str:
        return self.errors.method

    @property
    def path(self) -> str:
        return self.errors.path

    @property
    def reads(self) -> bool:
        return self.errors.reads

    def may_have_arrived(self) -> None:
        self.in_doubt = self.in_doubt or not self.reads


@dataclass(frozen=True)
class _Lost:
    """No answer came. `sent` False: the request surely never left."""

    error: Exception
    sent: bool
    hung: bool


class Http:
    """A client for one vendor account; `connect()` of a connector makes it, the hub binds it.

    `sign_in` fetches a token when there is none, shortly before it expires, and once after a 401;
    what it calls through the given client goes without one. `explain` may turn any answer that is
    not 2xx into a better error; a `RetryLater` from it means "temporary", its `after_s` the wait.
    `total_s` bounds one answer from connecting to the last byte, `max_bytes` its inflated size.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        basic: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        sign_in: Callable[[Http], Token] | None = None,
        limits: Sequence[Limit] = (),
        explain: Callable[[Answer], HubError | None] | None = None,
        total_s: float = 60,
        max_bytes: int = 32 * MIB,
        tries: int = 5,
        max_wait_s: float = 120,
        key_header: str = "Idempotency-Key",
    ) -> None:
        self._base = base_url.rstrip("/")
        self._headers = {**_HEADERS, **(headers or {})}
        self._authorization = authorization(token, basic)
        self._fetch_token = sign_in
        self._sign_in: SignIn | None = None
        self._limits = tuple(limits)
        self._explain = explain or (lambda answer: None)
        self._total_s = total_s
        self._max_bytes = max_bytes
        self._tries = tries
        self._max_wait_s = max_wait_s
        self._key_header = key_header
        self._connection = ""
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_CONNECTIONS)
        self._is_down = False
        self._has_odd_kind = False
        remember_secrets(self._headers)

    def __repr__(self) -> str:
        return f"Http({self._connection or 'unbound'})"

    def bind(self, env: Env, *, connection: str, loopback: bool) -> Http:
        """Open the client for one connection and return it. The hub calls this, nobody else.

        ConfigError (HOST_REFUSED) when the address is not https on a public host; `loopback`
        allows plain http and private addresses.
        """
        self._env = env
        self._connection = connection
        self._origin = _checked_base(self._base, connection, loopback)
        check_headers({**self._headers, "Authorization": self._authorization or ""}, connection)
        if (fetch := self._fetch_token) is not None:
            self._sign_in = SignIn(lambda: fetch(self), env, connection)
        self._deadline = Deadline(env.monotonic)
        self._pacer = Pacer(self._limits, env, max_wait_s=self._max_wait_s, connection=connection)
        transport: Any = (
            env.transport()
            if env.transport
            else _transport(Wire(self._deadline, loopback=loopback))
        )
        self._client = httpx.Client(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._total_s, connect=min(10.0, self._total_s)),
        )
        return self

    def close(self) -> None:
        """Close the sockets; the client cannot be used afterwards."""
        if self._client is not None:
            self._client.close()

    def get(self, path: str, **params: object) -> Json:
        """Read one thing. None values are dropped, lists repeat the parameter, instants are ISO."""
        return self.request("GET", path, params=params).body

    def post(
        self,
        path: str,
        *,
        json: Json = None,
        form: Mapping[str, object] | None = None,
        key: str | None = None,
        repeat: bool = False,
        reads: bool = False,
        **params: object,
    ) -> Json:
        """Send something. `key` is the idempotency key, `repeat` says that twice makes one thing,
        `reads` that nothing is changed (a search): it then fails like a read.
        """
        return self.request(
            "POST", path, params=params, json=json, form=form, key=key,
            repeat=repeat or None, reads=reads or None,
        ).body  # fmt: skip

    def put(
        self,
        path: str,
        *,
        json: Json = None,
        form: Mapping[str, object] | None = None,
        key: str | None = None,
        repeat: bool = False,
        **params: object,
    ) -> Json:
        """Replace something; see `post`."""
        return self.request(
            "PUT", path, params=params, json=json, form=form, key=key, repeat=repeat
        ).body

    def patch(
        self,
        path: str,
        *,
        json: Json = None,
        form: Mapping[str, object] | None = None,
        key: str | None = None,
        repeat: bool = False,
        **params: object,
    ) -> Json:
        """Change parts of something; see `post`."""
        return self.request(
            "PATCH", path, params=params, json=json, form=form, key=key, repeat=repeat
        ).body

    def delete(
        self,
        path: str,
        *,
        json: Json = None,
        form: Mapping[str, object] | None = None,
        key: str | None = None,
        repeat: bool = False,
        **params: object,
    ) -> Json:
        """Remove something; see `post`."""
        return self.request(
            "DELETE", path, params=params, json=json, form=form, key=key, repeat=repeat
        ).body

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: Json = None,
        form: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        repeat: bool | None = None,
        reads: bool | None = None,
        auth: bool = True,
    ) -> Answer:
        """The full answer to one call, retried as the module says; the shorter methods use it.

        `repeat` None: only a GET, or a call with a `key`. `auth` False sends no Authorization.
        """
        is_read = method == "GET" if reads is None else reads
        body, kind = content(json, form)
        sent = {**self._headers, **kind, **(headers or {})}
        if key is not None:
            sent[self._key_header] = key
        check_headers(sent, self._connection)
        for named in (sent, params or {}, form or {}):
            remember_secrets(named)
        url = self._url(path, params or {}, Refusals(self._connection, method, path, is_read))
        return self._persist(
            _Call(
                url=url,
                content=body,
                headers=sent,
                repeatable=is_read or key is not None or bool(repeat),
                auth=auth and not (self._sign_in and self._sign_in.is_running_here),
                errors=Refusals(self._connection, method, _path(url), is_read),
            )
        )

    def pages(self, path: str, *, items: str, next: str, **params: object) -> Iterator[Rows]:
        """All pages of a list; `items` and `next` are dotted paths into each answer.

        `next` holds a link (same host) or a token; a token goes into the parameter named like the
        path's last part (`paging.next.after` → `after`), or as in `cursor=meta.next`. A link or
        token seen before, or three pages in a row without a new id, is PAGINATION_STUCK.
        """
        name, _, where = next.rpartition("=")
        name = name or where.rpartition(".")[2]
        turning = Turning(self._connection, path)
        while True:
            answer = self.get(path, **params)
            rows = dig(answer, items)
            if not isinstance(rows, list):
                raise Refusals(self._connection, "GET", path, reads=True).refused(
                    f"has no list under `{items}`", code="SHAPE"
                )
            turning.page(rows)
            yield rows
            onward = dig(answer, where)
            if onward in (None, "", False):
                return
            turning.onward(str(onward))
            link = self._link(str(onward), is_token="=" in next)
            path, params = (link, {}) if link else (path, {**params, name: onward})

    def _link(self, onward: str, *, is_token: bool) -> str | None:
        if re.match(r"(?i)https?://", onward):
            return onward
        if onward.startswith("/") and not is_token:
            return f"{httpx.URL(self._base).copy_with(raw_path=b'')}{onward}"
        return None

    # -- one call, several attempts ------------------------------------------------------------

    def _persist(self, call: _Call) -> Answer:
        try:
            return persist(lambda: self._attempt(call), tries=self._tries, sleep=self._env.sleep)
        except HubError as error:
            if call.in_doubt and not isinstance(error, WriteUnknown):
                raise call.errors.unknown(error.what) from error
            raise

    def _attempt(self, call: _Call) -> Answer:
        call.attempts += 1
        token = self._sign_in.token() if self._sign_in and call.auth else None
        with self._pacer.turn(call.path), self._slots:
            outcome = self._exchange(call, token)
        if isinstance(outcome, _Lost):
            self._note_health(outcome.error)
            self._lost(call, outcome)
        self._note_health(f"status {outcome.status}" if outcome.status >= 500 else None)
        if outcome.status == 401 and self._sign_in and token and not call.signed_in:
            call.signed_in = True
            self._sign_in.renewed(token)
            return self._attempt(call)
        return self._judged(call, outcome)

    def _exchange(self, call: _Call, token: Token | None) -> Answer | _Lost:
        """Send once and read the whole body, or say what got lost. httpx errors end here.

        Their frames and requests hold credentials, so only the kind and a cleaned text live on.
        """
        started = self._env.monotonic()
        try:
            with self._deadline.within(self._total_s):
                response = self._bound().send(self._built(call, token), stream=True)
                try:
                    raw = _read(response, self._max_bytes, self._deadline)
                finally:
                    response.close()
        except httpx.TransportError as error:
            return _lost(error)
        except DamagedBody as error:
            return _Lost(error, sent=True, hung=False)
        except BodyTooLarge:
            call.may_have_arrived()
            too_large = f"gave more than {self._max_bytes / MIB:g} MiB"
            raise call.errors.refused(too_large, code="BODY_TOO_LARGE") from None
        except PrivateAddress:
            raise address_refused(
                self._connection, "the vendor's name leads to a private address"
            ) from None
        seconds = round(self._env.monotonic() - started, 3)
        _log.debug(
            "http.answered", connection=self._connection, method=call.method, path=call.path,
            status=response.status_code, attempt=call.attempts, seconds=seconds,
        )  # fmt: skip
        return self._answer(call, response, raw)

    def _answer(self, call: _Call, response: httpx.Response, raw: bytes) -> Answer:
        body, problem = decoded(raw)
        text = raw[:_TEXT_CAP].decode("utf-8", "replace")
        answer = Answer(response.status_code, response.headers, body, text, call.method, call.path)
        if problem and response.is_success and (raw.strip() or call.reads):
            self._misread(call, answer, problem)
        kind = answer.headers.get("content-type", "")
        if body is not None and response.is_success and "json" not in kind.lower():
            self._note_kind(call, kind)
        return answer

    def _misread(self, call: _Call, answer: Answer, problem: str) -> None:
        """A 2xx whose body is no JSON: asked for once more, then an error; never "no records"."""
        if answer.status in (204, 205):
            return
        call.may_have_arrived()
        call.misreads += 1
        if answer.is_html:
            raise call.errors.refused(
                "gave an HTML page where JSON was due",
                answer,
                code="AUTH_OR_PROXY_PAGE",
                do="Look whether a login page or a proxy stands in between",
            )
        final = call.errors.refused(f"gave {problem}", answer, code="SHAPE")
        if call.repeatable and call.misreads == 1:
            raise Again(final, self._jitter(call))
        raise final

    def _lost(self, call: _Call, lost: _Lost) -> NoReturn:
        if lost.sent:
            call.may_have_arrived()
        call.hangs += lost.hung
        final = call.errors.unanswered(lost.error, deadline_s=self._total_s if lost.hung else None)
        if (call.repeatable or not lost.sent) and call.hangs < _HANGS:
            raise Again(final, self._jitter(call))
        raise final

    def _judged(self, call: _Call, answer: Answer) -> Answer:
        """The answer when it is a success; otherwise the next try or the error it means."""
        if 200 <= answer.status < 300:
            return answer
        if 300 <= answer.status < 400:
            raise self._redirected(call, answer)
        if answer.status >= 500 or answer.status == 408:
            call.may_have_arrived()
        verdict = self._explain(answer)
        asked = answer.asks_to_wait_s(self._env.now())
        if isinstance(verdict, RetryLater) and verdict.after_s is not None:
            asked = max(asked or 0.0, verdict.after_s)
        error = verdict or call.errors.by_status(answer, asked, self._env.now())
        if not may_repeat(answer, verdict, repeatable=call.repeatable):
            raise error
        wait_s = self._jitter(call) if asked is None else asked
        if answer.status == 429 or asked is not None:
            self._pacer.hold(wait_s)
        if wait_s > self._max_wait_s:
            raise error if verdict else call.errors.wait(answer, wait_s, self._env.now())
        raise Again(error, wait_s)

    def _jitter(self, call: _Call) -> float:
        return jitter_s(call.attempts, self._env.random)

    def _redirected(self, call: _Call, answer: Answer) -> HubError:
        try:
            stays = _origin(call.url.join(answer.headers.get("location", ""))) == self._origin
        except httpx.InvalidURL:
            stays = False
        return call.errors.refused(
            f"was redirected{'' if stays else ' to another host'}, which the hub does not follow",
            answer,
            code=None if stays else "HOST_REFUSED",
            do="Look whether the address of the connection is the vendor's current one",
        )

    def _note_kind(self, call: _Call, kind: str) -> None:
        """One warning a connection about JSON that comes under another name."""
        with self._lock:
            is_news, self._has_odd_kind = not self._has_odd_kind, True
        if is_news:
            _log.warning(
                "vendor.content_type", connection=self._connection, path=call.path, says=kind
            )

    def _note_health(self, trouble: object | None) -> None:
        """One line when the vendor goes, one when it is back."""
        with self._lock:
            was, self._is_down = self._is_down, trouble is not None
        if trouble is not None and not was:
            _log.warning("vendor.gone", connection=self._connection, because=str(trouble))
        elif trouble is None and was:
            _log.info("vendor.back", connection=self._connection)

    # -- addresses and headers ---------------------------------------------------------------

    def _built(self, call: _Call, token: Token | None) -> httpx.Request:
        headers = dict(call.headers)
        bearer = f"Bearer {token.value}" if token else self._authorization
        if call.auth and bearer:
            headers["Authorization"] = bearer
        return httpx.Request(
            call.method, call.url, headers=headers, content=call.content,
            extensions={"timeout": self._bound().timeout.as_dict()},
        )  # fmt: skip

    def _bound(self) -> httpx.Client:
        if self._client is None:
            raise HubError("this Http is not bound yet", do="Use `self.http` of the connector")
        return self._client

    def _url(self, path: str, params: Mapping[str, object], errors: Refusals) -> httpx.URL:
        """The address of a call; an absolute link must stay on the connection's own host."""
        self._bound()
        try:
            is_link = re.match(r"(?i)[a-z][a-z0-9+.-]*://", path) is not None
            url = httpx.URL(path if is_link else f"{self._base}/{path.lstrip('/')}")
        except httpx.InvalidURL:
            raise errors.host_refused("leads to an address that is not valid") from None
        if _origin(url) != self._origin or url.userinfo:
            raise errors.host_refused("leads to another host than the connection's own")
        query = httpx.QueryParams(urlencode(pairs(params)))
        return url.copy_merge_params(query) if query else url


# -- below: plain functions without a connection ---------------------------------------------------


def _transport(wire: Wire) -> httpx.BaseTransport:
    """httpx on our own sockets. The system's authorities count too (`SSL_CERT_FILE` adds one)."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    transport = httpx.HTTPTransport(verify=context, trust_env=False)
    # httpx offers no argument for the network backend; httpcore does.
    transport._pool = httpcore.ConnectionPool(
        ssl_context=context,
        max_connections=_CONNECTIONS,
        keepalive_expiry=5.0,
        network_backend=wire,
    )
    return transport


def _read(response: httpx.Response, most: int, deadline: Deadline) -> bytes:
    """The inflated body. A transport without a network hands it over whole."""
    if response.is_stream_consumed:
        return capped([response.content], most)
    encoding = response.headers.get("content-encoding", "")
    return capped(inflated(_timely(response.iter_raw(), deadline), encoding, most), most)


def _timely(chunks: Iterator[bytes], deadline: Deadline) -> Iterator[bytes]:
    for chunk in chunks:
        if deadline.left() == 0:
            raise httpx.ReadTimeout("the time allowed for one answer is over")
        yield chunk


def _lost(error: httpx.TransportError) -> _Lost:
    """What httpx raised, without its request and its frames: those hold credentials."""
    before = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
    return _Lost(
        error=type(error)(log.clean(str(error))),
        sent=not isinstance(error, before),
        hung=isinstance(error, httpx.TimeoutException),
    )


def _checked_base(base: str, connection: str, loopback: bool) -> tuple[str, str, int | None]:
    """The origin of a base address that this connection may call."""
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL:
        raise address_refused(connection, "the vendor's address is not a valid URL") from None
    if url.userinfo:
        raise address_refused(connection, "the vendor's address holds a user name or password")
    if url.scheme not in (("https", "http") if loopback else ("https",)) or not url.host:
        raise address_refused(connection, "the vendor's address is not https")
    if not loopback and is_private_name(url.host):
        raise address_refused(connection, "the vendor's address is a private one")
    return _origin(url)


def _path(url: httpx.URL) -> str:
    return url.raw_path.decode("ascii").partition("?")[0]


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"https": 443, "http": 80}.get(url.scheme)
    return url.scheme, url.host, port


def _renewal(token: Token, now: datetime) -> datetime | None:
    """A minute before the token ends, or after nine tenths of a short life."""
    if token.expires_at is None:
        return None
    return token.expires_at - min(timedelta(minutes=1), (token.expires_at - now) / 10)
