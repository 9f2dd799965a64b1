"""The kit that each vendor's stand-in is built from: plain handler functions on a real port.

A vendor subclasses Sandbox, marks handlers with `@route`, keeps its state in plain dicts, and says
how it signs people in, limits them and words its errors. The kit brings the socket, the order of
things, the log of calls, the faults, the snapshot, and pages that people can look at.
"""

from __future__ import annotations

import binascii
import copy
import json
import re
import threading
import traceback
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar
from urllib.parse import parse_qs
from zlib import crc32

from ..errors import HubError
from .faults import BEFORE, Asked, Fault, Faults
from .page import POLICY, VendorPage, list_html, record_html, style

if TYPE_CHECKING:
    from .server import Server
    from .world import Tool, World

Outcome = Literal["ok", "revoked", "expired", "noscope", "unknown"]
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Headers(Mapping[str, str]):
    """Header values by name, in whatever case."""

    def __init__(self, items: Sequence[tuple[str, str]] = ()) -> None:
        self._values = {name.lower(): value for name, value in items}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Call:
    """One request as a handler sees it.

    `path` has no query and is decoded, but for `%2F`: a slash inside an id parts no segments.
    """

    method: str
    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON; Refused with the vendor's own 400 when it is none."""
        try:
            return json.loads(self.body or b"null")
        except ValueError as error:
            raise BadBody(str(error)) from error

    def form(self) -> Mapping[str, list[str]]:
        """The fields of a form body; blank values count."""
        return parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def param(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query parameter, else of a form field."""
        values = self.query.get(name)
        if not values and "form" in self.headers.get("content-type", ""):
            values = self.form().get(name)
        return values[0] if values else default

    @property
    def principal(self) -> str | None:
        """Who calls: the bearer token, or the decoded `user:password`; None without either."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                return b64decode(value, validate=True).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError):
                return None
        return value or None if scheme.lower() == "bearer" else None


@dataclass
class Reply:
    """An answer: JSON, or HTML, or nothing but a status."""

    status: int = 200
    json: object | None = None
    html: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """The body as it goes over the wire."""
        if self.html is not None:
            return self.html.encode()
        return b"" if self.json is None else json.dumps(self.json, ensure_ascii=False).encode()

    def content_type(self) -> str:
        """What the body is called, unless a header says otherwise."""
        return "text/html; charset=utf-8" if self.html is not None else "application/json"


class Refused(Exception):
    """Raised anywhere inside a handler or `authenticate` to answer with this reply at once."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"answered with {reply.status}")
        self.reply = reply


class BadBody(Exception):
    """The body is not the JSON that was due."""


@dataclass(frozen=True)
class LoggedCall:
    """A call that arrived; `applied` says that the handler ran and did not refuse it."""

    index: int
    method: str
    path: str
    query: Mapping[str, list[str]]
    body: bytes
    status: int
    applied: bool
    fault: str | None
    is_write: bool


@dataclass(frozen=True)
class Exchange:
    """A call as it came over the wire and the answer that it got, for whoever watches.

    The answer is what the vendor meant to say; `fault` tells what was done to it.
    """

    vendor: str
    call: Call
    reply: Reply
    content: bytes
    fault: Fault | None


Handler = TypeVar("Handler", bound=Callable[..., Reply])


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Mark a handler: `{name}` in the path is one segment, or part of one, and becomes an argument.

    The route with fewer placeholders wins, counted from the left. Marks may be stacked.
    """

    def mark(handler: Handler) -> Handler:
        marks = [*getattr(handler, "__hub_routes__", ()), (method, path)]
        handler.__hub_routes__ = marks  # type: ignore[attr-defined]
        return handler

    return mark


@dataclass(frozen=True)
class Route:
    """A compiled route; sorted so that the most specific one comes first."""

    method: str
    path: str
    handler: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path as an expression."""
        parts = re.split(r"\{(\w+)\}", self.path)
        texts = [f"(?P<{p}>[^/]+?)" if i % 2 else re.escape(p) for i, p in enumerate(parts)]
        return re.compile("".join(texts))

    @property
    def vagueness(self) -> list[int]:
        """For each segment 0 when literal, 1 when partly, 2 when anything fits."""
        segments = self.path.split("/")
        return [0 if "{" not in s else 2 if re.fullmatch(r"\{\w+\}", s) else 1 for s in segments]


def _whole(part: str) -> str:
    """A part of a path with the slashes that belong to it."""
    return part.replace("%2F", "/")


def token_outcome(token: str | None, good: str) -> Outcome:
    """What a credential is worth: the printed one is good, three named bad ones are known."""
    if token == good:
        return "ok"
    for bad in ("revoked", "expired", "noscope"):
        if token == f"{good}_{bad}":
            return bad
    return "unknown"


def company_id(tool: Tool, key: str) -> str:
    """The id that a company of the world has in a tool, so that each stand-in can name another's.

    HubSpot and Zendesk count, Stripe has `cus_…`; `ws-…` is its workspace in the product itself.
    """
    counted = re.fullmatch(r"[a-z](\d+)", key)
    number = int(counted[1]) if counted else crc32(key.encode())
    match tool:
        case "crm":
            return str(9_000_000_000 + number)
        case "desk":
            return str(36_000_000_000 + number)
        case "billing":
            return f"cus_{number:010d}"
        case "usage":
            return f"ws-{number}"


class Window:
    """A rate limit of `calls` in any stretch of `per_s` seconds."""

    def __init__(self, calls: int, per_s: float, clock: Callable[[], datetime]) -> None:
        self.calls = calls
        self.per_s = per_s
        self.clock = clock
        self._taken: deque[datetime] = deque()

    def take(self) -> float | None:
        """None when the call may pass; else the seconds until the next one may."""
        now = self.clock()
        self._forget(now)
        if len(self._taken) < self.calls:
            self._taken.append(now)
            return None
        return self.per_s - (now - self._taken[0]).total_seconds()

    @property
    def left(self) -> int:
        """How many calls may still pass now."""
        self._forget(self.clock())
        return self.calls - len(self._taken)

    def _forget(self, now: datetime) -> None:
        while self._taken and (now - self._taken[0]).total_seconds() >= self.per_s:
            self._taken.popleft()


class Sandbox:
    """The base of every vendor's stand-in.

    Handlers run one at a time under `lock`; the traces of those that failed are in `crashes`.
    `kept` names the attributes that are the vendor's state: plain JSON values with text keys.
    `reads` are expressions of paths that read although their method writes (a search by POST).
    `changes` counts the writes that were applied. `watchers` are told of every exchange with any
    stand-in, from the thread that answers it.
    """

    watchers: ClassVar[list[Callable[[Exchange], None]]] = []
    vendor: ClassVar[str] = ""
    title: ClassVar[str] = ""
    default_port: ClassVar[int] = 0
    kept: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ()
    remembers: ClassVar[int] = 20_000
    routes: ClassVar[tuple[Route, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        marked = {n: getattr(getattr(cls, n), "__hub_routes__", ()) for n in dir(cls)}
        routes = [Route(m, path, name) for name, marks in marked.items() for m, path in marks]
        cls.routes = tuple(sorted(routes, key=lambda r: r.vagueness))

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 7) -> None:
        self.clock = clock
        self.seed = seed
        self.random = Random(seed)
        self.lock = threading.RLock()
        self.faults = Faults(seed)
        self.calls: deque[LoggedCall] = deque(maxlen=self.remembers)
        self.crashes: list[str] = []
        self.changes = 0
        self._count = 0
        self._server: Server | None = None

    # --- what a vendor says of itself ----------------------------------------------------------

    def load(self, world: World) -> None:
        """Turn the vendor-neutral world into this vendor's state."""

    @property
    def credentials(self) -> Mapping[str, str]:
        """What is printed for people and tests: exactly these are accepted."""
        return {}

    def connection_file(self) -> dict[str, Any]:
        """The vendor's part of a connection's YAML file; secrets only as `env:NAME`."""
        return {}

    def secrets(self) -> Mapping[str, str]:
        """The values of the names that `connection_file` refers to."""
        return {}

    def authenticate(self, call: Call) -> Reply | None:
        """None when the caller may go on, else the vendor's refusal."""
        return None

    def rate_limit(self, call: Call) -> Reply | None:
        """None when there is room, else the vendor's 429."""
        return None

    def error(self, call: Call, status: int, message: str) -> Reply:
        """An error in the vendor's own shape; faults and the kit itself word theirs by it."""
        return Reply(status, {"error": message})

    def not_found(self, call: Call) -> Reply:
        """The vendor's answer to an address it does not have."""
        return self.error(call, 404, f"There is nothing at {call.path}.")

    def page(self, call: Call) -> VendorPage:
        """What people see: the accounts with the hub's fields and tasks."""
        return VendorPage(self.title)

    # --- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The whole vendor as JSON: what `kept` names, and where chance stands."""
        with self.lock:
            kept = {name: getattr(self, name) for name in self.kept}
            version, numbers, gauss = self.random.getstate()
            copied: dict[str, Any] = json.loads(
                json.dumps({"kept": kept, "random": [version, list(numbers), gauss]})
            )
            return copied

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` returned, here or in an earlier process."""
        version, numbers, gauss = state["random"]
        with self.lock:
            self.random.setstate((version, tuple(numbers), gauss))
            for name in self.kept:
                setattr(self, name, copy.deepcopy(state["kept"][name]))

    def writes(self) -> list[LoggedCall]:
        """The logged calls that could change something."""
        return [call for call in list(self.calls) if call.is_write]

    def is_write(self, method: str, path: str) -> bool:
        """Whether a call with this method and path could change something."""
        return method in WRITES and not any(re.search(read, path) for read in self.reads)

    # --- life ----------------------------------------------------------------------------------

    def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; 0 takes any free port. PORT_IN_USE when it is taken."""
        from .server import Server

        try:
            self._server = Server(self, port)
        except OSError as error:
            raise HubError(
                f"Port {port} on 127.0.0.1, meant for the {self.title} sandbox, is in use",
                do="Stop the other program, or choose other ports with `--port-base`",
                code="PORT_IN_USE",
            ) from error
        self._server.begin()

    def stop(self) -> None:
        """Stop listening and cut what is still open; the state stays."""
        if self._server is not None:
            self._server.end()
            self._server = None

    @property
    def url(self) -> str:
        """Where the sandbox listens, without a slash at the end."""
        if self._server is None:
            raise HubError(f"The {self.title} sandbox is not started", do="Call start() first")
        return f"http://127.0.0.1:{self._server.port}"

    def __enter__(self) -> Self:
        if self._server is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- one call ------------------------------------------------------------------------------

    def answer(self, call: Call) -> tuple[Reply, Fault | None]:
        """The reply to a call, and the fault that the transport still has to play."""
        if (shown := self._shown(call)) is not None:
            return shown, None
        is_write = self.is_write(call.method, call.path)
        fault = self.faults.pick(Asked(call.method, call.path, is_write))
        with self.lock:
            if fault is not None and fault.kind in BEFORE:
                reply, applied = self._instead(call, fault), False
            else:
                reply, applied = self._run(call)
            if fault is not None and fault.kind == "twice":
                reply, _ = self._run(call)
            if fault is not None and fault.kind == "applied_5xx":
                status = int(fault.number("status", 502))
                reply = self.error(call, status, "Something went wrong here.")
            self._log(call, reply.status, applied, fault, is_write)
        return reply, fault

    def _log(
        self, call: Call, status: int, applied: bool, fault: Fault | None, is_write: bool
    ) -> None:
        self.calls.append(
            LoggedCall(
                index=self._count,
                method=call.method,
                path=call.path,
                query=call.query,
                body=call.body,
                status=status,
                applied=applied,
                fault=fault.kind if fault else None,
                is_write=is_write,
            )
        )
        self._count += 1
        self.changes += applied and is_write

    def _run(self, call: Call) -> tuple[Reply, bool]:
        """The vendor's reply, and whether a handler did what was asked."""
        try:
            refusal = self.authenticate(call) or self.rate_limit(call)
            if refusal is not None:
                return refusal, False
            reply = self._handled(call)
        except Refused as refused:
            reply = refused.reply
        except BadBody as bad:
            reply = self.error(call, 400, f"The body is not valid JSON: {bad}.")
        except Exception:  # noqa: BLE001  a broken handler must show, not kill the connection
            self.crashes.append(traceback.format_exc())
            reply = self.error(call, 500, f"The {self.title} sandbox itself failed.")
        return reply, reply.status < 400

    def _handled(self, call: Call) -> Reply:
        for known in self.routes:
            if known.method == call.method and (match := known.pattern.fullmatch(call.path)):
                parts = {name: _whole(part) for name, part in match.groupdict().items()}
                reply: Reply = getattr(self, known.handler)(call, **parts)
                return reply
        return self.not_found(call)

    def _instead(self, call: Call, fault: Fault) -> Reply:
        """What is answered by faults that let nothing happen."""
        match fault.kind:
            case "rate_limited":
                reply = self.error(call, 429, "Too many requests.")
                if (after := fault.text("retry_after")) is not None:
                    reply.headers["Retry-After"] = after
                return reply
            case "unauthorized":
                return self.error(call, 401, "The credentials are not accepted.")
            case "forbidden":
                return self.error(call, 403, "The credentials lack a permission.")
            case "html":
                return Reply(html="<!doctype html><title>Sign in</title><h1>Please sign in</h1>")
            case "redirect":
                return Reply(302, headers={"Location": fault.text("to") or "http://192.0.2.1/"})
            case _:
                status = int(fault.number("status", 500))
                return self.error(call, status, "Something went wrong here.")

    def _shown(self, call: Call) -> Reply | None:
        """The pages for people; None when the call is for the vendor's API."""
        if call.method not in ("GET", "HEAD"):
            return None
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        if call.path == "/style.css":
            return Reply(html=style(), headers=headers | {"Content-Type": "text/css"})
        with self.lock:
            if call.path == "/":
                return Reply(html=list_html(self.page(call), call.param("show")), headers=headers)
            if match := re.fullmatch(r"/record/([^/]+)/([^/]+)", call.path):
                page = self.page(call)
                for record in page.records:
                    if (record.object, record.id) == tuple(map(_whole, match.groups())):
                        return Reply(html=record_html(page, record), headers=headers)
                return Reply(404, html=list_html(page, missing=True), headers=headers)
        return None
