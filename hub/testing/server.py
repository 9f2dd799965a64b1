"""The socket under a sandbox: a threaded HTTP/1.1 server that can also misbehave on demand."""

from __future__ import annotations

import gzip
import re
import socket
import struct
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from .faults import Fault
from .kit import Call, Exchange, Headers, Reply

if TYPE_CHECKING:
    from .kit import Sandbox

NOTHING: Mapping[str, str] = {}


class Server(ThreadingHTTPServer):
    """Serves one sandbox; `stopping` ends every wait at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        self.stopping = threading.Event()
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Conversation)

    @property
    def port(self) -> int:
        """The port it got."""
        return int(self.server_address[1])

    def server_bind(self) -> None:
        """Bind without asking a name server who 127.0.0.1 is."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.port

    def begin(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        """Stop and cut the conversations that are still open."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            cut(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that went away is not worth a word."""


def cut(connection: socket.socket, *, reset: bool = False) -> None:
    """Close a connection for both sides; with a reset the other side sees an error."""
    try:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        else:
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class Conversation(BaseHTTPRequestHandler):
    """One connection: reads calls, lets the sandbox answer, plays the faults of the wire."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """The sandbox keeps its own log."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header tells the sandbox's clock."""
        now: datetime = self.server.sandbox.clock()
        return format_datetime(now.astimezone(UTC), usegmt=True)

    def _serve(self) -> None:
        sandbox, call = self.server.sandbox, self._call()
        reply, fault = sandbox.answer(call)
        for watch in sandbox.watchers:
            watch(Exchange(sandbox.vendor, call, reply, reply.content(), fault))
        if fault is None:
            self._send(reply)
        else:
            self._misbehave(reply, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _call(self) -> Call:
        address = urlsplit(self.path)
        return Call(
            method=self.command,
            path="%2F".join(map(unquote, re.split("%2F", address.path, flags=re.IGNORECASE))),
            query=parse_qs(address.query, keep_blank_values=True),
            headers=Headers(self.headers.items()),
            body=self._body(),
        )

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _head(self, reply: Reply, length: int | None, more: Mapping[str, str] = NOTHING) -> None:
        self.send_response(reply.status)
        headers = {"Content-Type": reply.content_type()} | reply.headers | dict(more)
        if length is not None:
            headers["Content-Length"] = str(length)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(
        self, reply: Reply, content: bytes | None = None, more: Mapping[str, str] = NOTHING
    ) -> None:
        content = reply.content() if content is None else content
        self._head(reply, len(content), more)
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def _cut(self, *, reset: bool = False) -> None:
        self.close_connection = True
        cut(self.connection, reset=reset)

    def _misbehave(self, reply: Reply, fault: Fault) -> None:
        content = reply.content()
        half = content[: len(content) // 2]
        match fault.kind:
            case "reset":
                self._cut(reset=True)
            case "lost_response":
                self._cut()
            case "hang":
                self.server.stopping.wait(fault.number("seconds", 30))
                self._cut()
            case "late":
                self.server.stopping.wait(fault.number("seconds", 1))
                self._send(reply)
            case "truncated":
                self._send(reply, half)
            case "cut_body":
                self._head(reply, len(content))
                self.wfile.write(half)
                self.wfile.flush()
                self._cut()
            case "cut_chunked":
                self._head(reply, None, {"Transfer-Encoding": "chunked"})
                self.wfile.write(b"%x\r\n%s\r\n" % (len(half), half))
                self.wfile.flush()
                self._cut()
            case "drip":
                self._drip(reply, content, fault.number("seconds", 0.05))
            case "empty":
                self._send(Reply(200, headers=reply.headers))
            case "bad_utf8":
                self._send(reply, content.replace(b'"', b'"\xff\xfe', 1))
            case "wrong_type":
                self._send(reply, None, {"Content-Type": "text/plain"})
            case "huge":
                size = int(fault.number("size", 64 * 2**20))
                packed = gzip.compress(b'{"x":"' + b"a" * size + b'"}', 1)
                self._send(reply, packed, {"Content-Encoding": "gzip"})
            case _:
                self._send(reply)

    def _drip(self, reply: Reply, content: bytes, seconds: float) -> None:
        self._head(reply, len(content))
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.stopping.wait(seconds):
                return
