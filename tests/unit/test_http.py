"""The client against a vendor on a real socket: what it sends, follows, refuses and survives."""

from __future__ import annotations

import gzip
import io
import json
import logging
import random
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs

import httpx
import pytest
import respx

from hub import Answer, Env, Http, Limit
from hub.answers import inflated
from hub.errors import (
    ConfigError,
    HubError,
    ReadRefused,
    ReconnectNeeded,
    RetryLater,
    ScopeMissing,
    WriteRefused,
    WriteUnknown,
)
from hub.http import Token
from hub.log import configure
from hub.wire import is_public

CANARY = "canary-4f1d9Zq+/7x"
Reply = Callable[[BaseHTTPRequestHandler], None]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 2, 10, tzinfo=UTC)
        self.seconds = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        self.at += timedelta(seconds=seconds)

    def env(self) -> Env:
        return Env(
            clock=lambda: self.at,
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            random=random.Random(7),
        )


@dataclass
class Vendor:
    """A vendor that answers what it was told, in order; the last answer stays."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    calls: list[SimpleNamespace] = field(default_factory=list)

    def answers(self, *replies: Reply) -> None:
        self.replies = list(replies)


def says(
    body: object = None, status: int = 200, *, kind: str = "application/json", **headers: str
) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def reply(call: BaseHTTPRequestHandler) -> None:
        call.send_response(status)
        call.send_header("Content-Type", kind)
        call.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            call.send_header(name.replace("_", "-"), value)
        call.end_headers()
        call.wfile.write(raw)

    return reply


def resets(call: BaseHTTPRequestHandler) -> None:
    """The request was read (and may have been applied), then the connection breaks."""
    call.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    call.connection.close()
    call.rfile.close = call.wfile.close = call.wfile.flush = lambda: None  # type: ignore[method-assign]
    call.close_connection = True


def cuts_the_body(call: BaseHTTPRequestHandler) -> None:
    call.send_response(200)
    call.send_header("Content-Length", "1000")
    call.end_headers()
    call.wfile.write(b'{"items": [')
    call.close_connection = True


def hangs(call: BaseHTTPRequestHandler) -> None:
    call.server.over.wait(20)  # type: ignore[attr-defined]
    call.close_connection = True


def drips(*, before: bytes) -> Reply:
    def reply(call: BaseHTTPRequestHandler) -> None:
        call.close_connection = True
        try:
            call.wfile.write(before)
            while not call.server.over.wait(0.1):  # type: ignore[attr-defined]
                call.wfile.write(b"x")
        except OSError:
            return

    return reply


@pytest.fixture
def new_vendor() -> Iterator[Callable[[], Vendor]]:
    servers = []

    def start() -> Vendor:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_call(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.partition("?")
                vendor.calls.append(
                    SimpleNamespace(
                        method=self.command, path=path, query=parse_qs(query),
                        headers=self.headers, body=body.decode(),
                    )
                )  # fmt: skip
                reply = vendor.replies.pop(0) if len(vendor.replies) > 1 else vendor.replies[0]
                reply(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one_call

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *args: None  # type: ignore[method-assign]
        server.over = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        vendor = Vendor(f"http://127.0.0.1:{server.server_port}", [says({"ok": True})])
        servers.append(server)
        return vendor

    yield start
    for server in servers:
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


@pytest.fixture
def vendor(new_vendor: Callable[[], Vendor]) -> Vendor:
    return new_vendor()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def acme(vendor: Vendor, clock: Clock) -> Iterator[Callable[..., Http]]:
    """A client of the vendor in virtual time; `env=Env()` for real time."""
    opened = []

    def connect(env: Env | None = None, **options: object) -> Http:
        http = Http(f"{vendor.url}/v1", **{"token": CANARY, **options})  # type: ignore[arg-type]
        opened.append(http.bind(env or clock.env(), connection="acme-main", loopback=True))
        return http

    yield connect
    for http in opened:
        http.close()


@pytest.fixture
def log_text() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("DEBUG", stream=stream, wire=True)
    yield stream
    configure("WARNING")
    logging.getLogger().setLevel(logging.WARNING)


Connect = Callable[..., Http]


# -- what is sent ----------------------------------------------------------------------------------


def test_parameters_drop_none_repeat_lists_and_spell_instants_in_iso(
    vendor: Vendor, acme: Connect
) -> None:
    params = {"created[gte]": datetime(2026, 3, 1, tzinfo=UTC), "expand[]": ["a", "b"]}

    acme().get("/things?view=full", **params, all=True, after=None)

    assert vendor.calls[0].path == "/v1/things"
    assert vendor.calls[0].query == {
        "view": ["full"],
        "created[gte]": ["2026-03-01T00:00:00+00:00"],
        "expand[]": ["a", "b"],
        "all": ["true"],
    }


def test_a_form_is_sent_as_a_form_and_a_key_as_the_vendors_header(
    vendor: Vendor, acme: Connect
) -> None:
    http = acme(token=None, basic=("ops@birch.example/token", CANARY), key_header="X-Once")

    http.post("/tasks", form={"metadata[a]": "ü & =", "none": None}, key="k1")

    assert vendor.calls[0].body == "metadata%5Ba%5D=%C3%BC+%26+%3D"
    assert vendor.calls[0].headers["X-Once"] == "k1"
    assert vendor.calls[0].headers["Authorization"].startswith("Basic ")


def test_an_empty_success_has_no_body(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says(b"", 204))

    assert acme().delete("/tasks/1") is None


def test_a_proxy_in_the_environment_is_not_used(
    vendor: Vendor, acme: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SEC29: environment proxies are ignored."""
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert acme().get("/me") == {"ok": True}


# -- hosts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "http://desk.example",
        "https://127.0.0.1",
        "https://[::1]",
        "https://localhost",
        "https://[64:ff9b::7f00:1]",
        "https://169.254.169.254",
        "https://user:secret@desk.example",
        "ftp://desk.example",
        "desk.example",
    ],
)
def test_only_https_on_a_public_host_is_called(address: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Http(address).bind(Env(), connection="desk", loopback=False)

    assert refused.value.code == "HOST_REFUSED"
    assert "secret" not in str(refused.value)


def test_a_name_that_leads_to_a_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    found = [(2, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    monkeypatch.setattr(socket, "create_connection", lambda *args: pytest.fail("connected"))
    http = Http("https://desk.example").bind(clock.env(), connection="desk", loopback=False)

    with pytest.raises(ConfigError) as refused:
        http.get("/me")

    assert refused.value.code == "HOST_REFUSED"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2002:a00:1::", False),
    ],
)
def test_private_addresses_are_known_in_every_wrapping(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_redirect_is_refused_and_no_credentials_follow(
    vendor: Vendor, new_vendor: Callable[[], Vendor], acme: Connect
) -> None:
    """SEC40: no secret header crosses origins."""
    other = new_vendor()
    vendor.answers(says({}, 302, Location=f"{other.url}/steal"))

    with pytest.raises(ReadRefused) as refused:
        acme(headers={"X-Api-Key": CANARY}).get("/things")

    assert refused.value.code == "HOST_REFUSED"
    assert other.calls == []
    assert len(vendor.calls) == 1


def test_a_redirect_on_the_same_host_is_refused_too(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({}, 301, Location="/v2/things"))

    with pytest.raises(WriteRefused, match="redirected"):
        acme().post("/things", json={})

    assert len(vendor.calls) == 1


@pytest.mark.parametrize(
    "link", ["{other}/v1/things?page=2", "https://evil.example/x", "http://[bad", "{as_user}/v1/x"]
)
def test_a_page_link_to_another_host_or_port_is_refused(
    link: str, vendor: Vendor, new_vendor: Callable[[], Vendor], acme: Connect
) -> None:
    """SEC40: page links are pinned to the connection's host and port."""
    other = new_vendor()
    as_user = vendor.url.replace("http://", "http://evil:pw@")
    onward = link.format(other=other.url, as_user=as_user)
    vendor.answers(says({"items": [{"id": 1}], "next": onward}))
    pages = acme().pages("/things", items="items", next="next")
    first = next(pages)

    with pytest.raises(ReadRefused) as refused:
        next(pages)

    assert first == [{"id": 1}]
    assert refused.value.code == "HOST_REFUSED"
    assert (len(vendor.calls), other.calls) == (1, [])


# -- pages -----------------------------------------------------------------------------------------


def page(*ids: int, next: object = None) -> Reply:
    return says({"items": [{"id": one} for one in ids], "paging": {"next": {"after": next}}})


def test_pages_follow_a_token_to_the_end(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(page(1, 2, next="t1"), page(3, next="t2"), page())

    pages = list(acme().pages("/things", items="items", next="paging.next.after", limit=2))

    assert [[row["id"] for row in rows] for rows in pages] == [[1, 2], [3], []]
    assert [call.query.get("after") for call in vendor.calls] == [None, ["t1"], ["t2"]]
    assert {call.query["limit"][0] for call in vendor.calls} == {"2"}


def test_a_token_may_go_into_a_parameter_of_another_name(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(page(1, next="/t1"), page(2))

    list(acme().pages("/things", items="items", next="page[after]=paging.next.after"))

    assert vendor.calls[1].query == {"page[after]": ["/t1"]}


def test_pages_follow_links_of_their_own_host(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(
        page(1, next=f"{vendor.url}/v1/things?page=2"), page(2, next="/v1/things?page=3"), page(3)
    )

    pages = list(acme().pages("/things", items="items", next="paging.next.after", limit=1))

    assert len(pages) == 3
    assert [call.query for call in vendor.calls] == [
        {"limit": ["1"]},
        {"page": ["2"]},
        {"page": ["3"]},
    ]
    assert {call.path for call in vendor.calls} == {"/v1/things"}


def test_a_repeated_token_stops_the_paging(vendor: Vendor, acme: Connect) -> None:
    """R6: a cursor that was there before."""
    vendor.answers(page(1, next="a"), page(2, next="b"), page(3, next="a"))

    with pytest.raises(HubError) as stuck:
        list(acme().pages("/things", items="items", next="paging.next.after"))

    assert stuck.value.code == "PAGINATION_STUCK"
    assert len(vendor.calls) == 3


def test_pages_without_a_new_id_stop_the_paging(vendor: Vendor, acme: Connect) -> None:
    """R6: at most three further requests."""
    vendor.answers(*(page(1, 2, next=f"t{number}") for number in range(20)))

    with pytest.raises(HubError) as stuck:
        list(acme().pages("/things", items="items", next="paging.next.after"))

    assert stuck.value.code == "PAGINATION_STUCK"
    assert len(vendor.calls) == 1 + 3


def test_one_page_that_comes_twice_does_not_stop_the_paging(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(page(1, next="a"), page(1, next="b"), page(2))

    pages = list(acme().pages("/things", items="items", next="paging.next.after"))

    assert [[row["id"] for row in rows] for rows in pages] == [[1], [1], [2]]


def test_an_answer_without_its_list_is_not_an_empty_list(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({}))

    with pytest.raises(ReadRefused) as refused:
        list(acme().pages("/things", items="items", next="next"))

    assert refused.value.code == "SHAPE"


# -- bodies ----------------------------------------------------------------------------------------


def test_a_login_page_with_200_is_not_data(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says(b"<!doctype html><form>sign in</form>", kind="text/html"))

    with pytest.raises(ReadRefused) as refused:
        acme().get("/things")

    assert refused.value.code == "AUTH_OR_PROXY_PAGE"


@pytest.mark.parametrize(
    "body", [b"", b"  ", b'{"items": [1, 2', b'{"a": "\xff"}', b"[" * 100_000, b"9" * 5000]
)
def test_a_damaged_page_is_asked_for_once_more_and_then_refused(
    body: bytes, vendor: Vendor, acme: Connect
) -> None:
    vendor.answers(says(body))

    with pytest.raises(ReadRefused) as refused:
        acme().get("/things")

    assert refused.value.code == "SHAPE"
    assert len(vendor.calls) == 2


def test_a_damaged_page_that_heals_is_read(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says(b'{"items": [1'), says({"items": [1]}))

    assert acme().get("/things") == {"items": [1]}


def test_json_under_a_wrong_content_type_is_read_with_one_warning(
    vendor: Vendor, acme: Connect, log_text: io.StringIO
) -> None:
    vendor.answers(says({"ok": 1}, kind="text/html"))
    http = acme()

    answers = [http.get("/things"), http.get("/things")]

    assert answers == [{"ok": 1}] * 2
    assert log_text.getvalue().count("vendor.content_type") == 1


def test_not_a_number_means_unknown(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says(b'{"amount": NaN, "most": Infinity}'))

    assert acme().get("/things") == {"amount": None, "most": None}


@pytest.mark.parametrize("breaks", [resets, cuts_the_body])
def test_a_broken_connection_refuses_the_page_as_a_whole_and_reads_again(
    breaks: Reply, vendor: Vendor, acme: Connect
) -> None:
    vendor.answers(breaks, says({"items": [1]}))

    assert acme().get("/things") == {"items": [1]}
    assert len(vendor.calls) == 2


def test_compressed_bodies_are_read(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says(gzip.compress(b'{"ok": 1}'), Content_Encoding="gzip"))

    assert acme().get("/things") == {"ok": 1}


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
def test_a_body_that_cannot_be_inflated_is_no_data(
    encoding: str, vendor: Vendor, acme: Connect
) -> None:
    vendor.answers(says(gzip.compress(b'{"ok": 1}' * 99)[:-20], Content_Encoding=encoding))

    with pytest.raises(RetryLater, match="body"):
        acme(tries=1).get("/things")


def test_a_gzip_bomb_ends_at_the_size_cap(vendor: Vendor, acme: Connect) -> None:
    """R13: the cap counts inflated bytes."""
    bomb = gzip.compress(b'"' + b"0" * 200_000_000 + b'"', compresslevel=1)
    vendor.answers(says(bomb, Content_Encoding="gzip"))

    with pytest.raises(ReadRefused) as refused:
        acme(max_bytes=1024 * 1024).get("/things")

    assert refused.value.code == "BODY_TOO_LARGE"
    assert len(bomb) < 2_000_000


def test_a_bomb_is_never_inflated_further_than_the_cap() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)

    first = next(inflated([bomb], "gzip", 1000))

    assert len(first) == 1001


def test_a_huge_body_ends_at_the_size_cap(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says(["x" * 3000]))

    with pytest.raises(ReadRefused) as refused:
        acme(max_bytes=2000).get("/things")

    assert refused.value.code == "BODY_TOO_LARGE"
    assert len(vendor.calls) == 1


# -- deadlines -------------------------------------------------------------------------------------

OPENING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        hangs,
        drips(before=OPENING + b"X-Slow: "),
        drips(before=OPENING + b"Content-Length: 999\r\n\r\n"),
    ],
    ids=["hang", "drip in the headers", "drip in the body"],
)
def test_an_answer_ends_at_the_deadline(reply: Reply, vendor: Vendor, acme: Connect) -> None:
    """R13: the end is at most one second late, however slowly bytes come."""
    vendor.answers(reply)
    http = acme(Env(), total_s=0.5, tries=1)
    started = time.monotonic()

    with pytest.raises(RetryLater) as late:
        http.get("/things")

    assert late.value.code == "DEADLINE"
    assert 0.4 < time.monotonic() - started < 1.5


def test_a_read_that_hangs_is_tried_once_more(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(hangs, says({"ok": 1}))

    assert acme(total_s=0.3).get("/things") == {"ok": 1}


def test_a_vendor_that_only_hangs_is_not_waited_for_five_times(
    vendor: Vendor, acme: Connect
) -> None:
    vendor.answers(hangs)

    with pytest.raises(RetryLater):
        acme(total_s=0.2).get("/things")

    assert len(vendor.calls) == 2


# -- retries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504, 409, 423, 429])
def test_a_read_outlives_temporary_failures(status: int, vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says(b"<html>oops", status, kind="text/html"), says({"ok": 1}))

    assert acme().get("/things") == {"ok": 1}


def test_an_outage_costs_five_calls_with_growing_random_waits(
    vendor: Vendor, acme: Connect, clock: Clock
) -> None:
    """R12: full jitter, and a bounded number of calls."""
    vendor.answers(says({}, 500, Request_Id="req_8x"))

    with pytest.raises(RetryLater) as down:
        acme().get("/things", token="hush")

    assert down.value.code == "VENDOR_DOWN"
    assert str(down.value).startswith(
        "acme-main: GET /v1/things failed at the vendor (500, request"
    )
    assert "req_8x" in str(down.value)
    assert len(vendor.calls) == 5
    assert len(set(clock.slept)) == 4
    assert all(0 <= slept <= most for slept, most in zip(clock.slept, (0.5, 1, 2, 4), strict=True))


def test_retry_after_in_seconds_is_waited_for(vendor: Vendor, acme: Connect, clock: Clock) -> None:
    """R12: never before Retry-After."""
    vendor.answers(says({}, 429, Retry_After="7"), says({"ok": 1}))

    acme().get("/things")

    assert sum(clock.slept) == pytest.approx(7)


def test_retry_after_as_a_date_counts_from_the_vendors_clock(
    vendor: Vendor, acme: Connect, clock: Clock
) -> None:
    """R12, R29: our clock may be wrong by years."""
    until = datetime.now(UTC) + timedelta(seconds=30)
    vendor.answers(says({}, 503, Retry_After=format_datetime(until, usegmt=True)), says({"ok": 1}))

    acme().get("/things")

    assert 27 <= sum(clock.slept) <= 31


@pytest.mark.parametrize("header", ["soon", "-5", "1e9", "NaN", ""])
def test_a_malformed_retry_after_is_ignored(
    header: str, vendor: Vendor, acme: Connect, clock: Clock
) -> None:
    vendor.answers(says({}, 429, Retry_After=header), says({"ok": 1}))

    acme().get("/things")

    assert sum(clock.slept) <= 0.5


def test_a_long_wait_is_handed_back_at_once_and_holds_the_whole_connection(
    vendor: Vendor, acme: Connect, clock: Clock
) -> None:
    """R12: the stream is parked, and nobody calls before the time."""
    vendor.answers(says({}, 429, Retry_After="3600"), says({"ok": 1}))
    http = acme(max_wait_s=120)

    with pytest.raises(RetryLater) as first:
        http.get("/things")
    with pytest.raises(RetryLater) as second:
        http.post("/tasks", json={})

    assert (first.value.code, first.value.after_s) == ("RATE_LIMITED", 3600)
    assert "until 2026-03-02T11:00:00Z" in str(first.value)
    assert second.value.after_s == pytest.approx(3600)
    assert (len(vendor.calls), clock.slept) == (1, [])
    clock.sleep(3600)
    assert http.get("/things") == {"ok": 1}


def test_stripes_header_overrides_the_status(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({}, 500, Stripe_Should_Retry="false"))

    with pytest.raises(RetryLater):
        acme().get("/things")

    assert len(vendor.calls) == 1
    vendor.answers(says({}, 400, Stripe_Should_Retry="true"), says({"ok": 1}))
    assert acme().post("/things", json={}, key="k") == {"ok": 1}


def test_the_connector_may_say_that_an_answer_is_temporary_and_how_long(
    vendor: Vendor, acme: Connect, clock: Clock
) -> None:
    def explain(answer: Answer) -> HubError | None:
        return RetryLater("burst", after_s=10) if answer.body["policy"] == "burst" else None

    vendor.answers(says({"policy": "burst"}, 400), says({"ok": 1}))

    assert acme(explain=explain).post("/things", json={}) == {"ok": 1}
    assert sum(clock.slept) == pytest.approx(10)


def test_the_connector_may_say_that_a_conflict_is_final(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({}, 409))

    with pytest.raises(WriteRefused, match="exists already"):
        acme(explain=lambda answer: WriteRefused("it exists already")).put("/x", repeat=True)

    assert len(vendor.calls) == 1


# -- writes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("breaks", [resets, cuts_the_body, says({}, 500), says({}, 504)])
def test_a_write_whose_answer_is_lost_is_unknown_and_was_sent_once(
    breaks: Reply, vendor: Vendor, acme: Connect
) -> None:
    """R2: a lost answer never leads to a second write."""
    vendor.answers(breaks)

    with pytest.raises(WriteUnknown) as unknown:
        acme().post("/tasks", json={"title": "call"})

    assert len(vendor.calls) == 1
    assert isinstance(unknown.value.__cause__, RetryLater)


def test_a_write_that_hangs_is_unknown(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(hangs)

    with pytest.raises(WriteUnknown):
        acme(total_s=0.2).post("/tasks", json={})

    assert len(vendor.calls) == 1


@pytest.mark.parametrize("once", [{"key": "k1"}, {"repeat": True}])
def test_a_repeatable_write_is_repeated_with_the_same_key(
    once: dict[str, object], vendor: Vendor, acme: Connect
) -> None:
    vendor.answers(resets, says({}, 502), says({"id": 1}))

    made = acme().post("/tasks", json={"title": "call"}, **once)

    assert made == {"id": 1}
    assert {call.headers.get("Idempotency-Key") for call in vendor.calls} == {once.get("key")}
    assert {call.body for call in vendor.calls} == {'{"title":"call"}'}


@pytest.mark.parametrize("last", [says({}, 500), says({}, 409), says({}, 429, Retry_After="999")])
def test_a_repeatable_write_that_never_succeeds_stays_unknown(
    last: Reply, vendor: Vendor, acme: Connect
) -> None:
    vendor.answers(says({}, 500), last)

    with pytest.raises(WriteUnknown):
        acme().post("/tasks", json={}, key="k1")


def test_a_write_that_never_left_is_tried_again_and_is_not_unknown(
    clock: Clock,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    http = Http(f"http://127.0.0.1:{port}").bind(clock.env(), connection="acme", loopback=True)

    with pytest.raises(RetryLater) as down:
        http.post("/tasks", json={})

    assert down.value.code == "VENDOR_DOWN"
    assert len(clock.slept) == 4


def test_a_write_that_was_limited_was_not_applied_and_is_tried_again(
    vendor: Vendor, acme: Connect
) -> None:
    vendor.answers(says({}, 429), says({"id": 1}))

    assert acme().post("/tasks", json={}) == {"id": 1}


def test_a_write_answered_by_a_page_is_unknown(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says(b"<html>", kind="text/html"))

    with pytest.raises(WriteUnknown):
        acme().post("/tasks", json={})

    assert len(vendor.calls) == 1


def test_a_refused_write_says_why_in_the_vendors_words(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({"message": "Bad owner jo@birch.example\n", "correlationId": "c-1"}, 400))

    with pytest.raises(WriteRefused) as refused:
        acme().post("/tasks", json={}, key="k")

    assert str(refused.value) == (
        "acme-main: POST /v1/tasks was refused (400, request c-1):"
        ' "Bad owner ***@birch.example\\n".'
    )
    assert len(vendor.calls) == 1


def test_a_search_by_post_fails_like_a_read(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({}, 400))

    with pytest.raises(ReadRefused):
        acme().post("/search", json={}, reads=True)

    vendor.answers(says({}, 500))
    with pytest.raises(RetryLater):
        acme().post("/search", json={}, reads=True)


# -- permissions and sign-in -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"), [(401, ReconnectNeeded), (403, ScopeMissing), (404, ReadRefused)]
)
def test_each_refusal_has_its_class(
    status: int, error: type[HubError], vendor: Vendor, acme: Connect
) -> None:
    vendor.answers(says({}, status))

    with pytest.raises(error) as refused:
        acme().get("/things")

    assert getattr(refused.value, "status", status) == status
    assert len(vendor.calls) == 1


def signing_in(expires_in: float | None = None) -> Callable[[Http], Token]:
    numbers = iter(range(1, 99))

    def sign_in(http: Http) -> Token:
        http.post("/oauth/token", form={"client_secret": CANARY}, repeat=True)
        at = http._env.now() + timedelta(seconds=expires_in) if expires_in else None
        return Token(f"token-number-{next(numbers)}", at)

    return sign_in


def sent_tokens(vendor: Vendor) -> list[str | None]:
    return [call.headers["Authorization"] for call in vendor.calls if "oauth" not in call.path]


def sign_ins(vendor: Vendor) -> list[SimpleNamespace]:
    return [call for call in vendor.calls if "oauth" in call.path]


def test_a_401_leads_to_one_sign_in_and_the_call_goes_on(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({}), says({}, 401), says({}), says({"ok": 1}))

    answer = acme(token=None, sign_in=signing_in()).get("/things")

    assert answer == {"ok": 1}
    assert sent_tokens(vendor) == ["Bearer token-number-1", "Bearer token-number-2"]
    assert [call.headers["Authorization"] for call in sign_ins(vendor)] == [None, None]


def test_a_second_401_asks_for_a_new_connection(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({}), says({}, 401), says({}), says({}, 401))

    with pytest.raises(ReconnectNeeded):
        acme(token=None, sign_in=signing_in()).get("/things")

    assert len(sign_ins(vendor)) == 2


def test_a_token_is_renewed_before_it_expires(vendor: Vendor, acme: Connect, clock: Clock) -> None:
    http = acme(token=None, sign_in=signing_in(expires_in=1800))
    http.get("/things")
    clock.sleep(1741)

    http.get("/things")

    assert sent_tokens(vendor) == ["Bearer token-number-1", "Bearer token-number-2"]


def test_many_callers_share_one_sign_in(vendor: Vendor, acme: Connect) -> None:
    """R14: one refresh call, whoever needs it."""
    http = acme(Env(), token=None, sign_in=signing_in())
    threads = [threading.Thread(target=http.get, args=("/things",)) for _ in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(sign_ins(vendor)) == 1
    assert sent_tokens(vendor) == ["Bearer token-number-1"] * 20


def test_a_failed_sign_in_server_is_not_a_revoked_grant(vendor: Vendor, acme: Connect) -> None:
    vendor.answers(says({}, 503))

    with pytest.raises(RetryLater):
        acme(token=None, sign_in=signing_in()).get("/things")

    vendor.answers(says({"error": "invalid_grant"}, 400))
    with pytest.raises(ReconnectNeeded, match="invalid_grant"):
        acme(token=None, sign_in=signing_in()).get("/things")


# -- limits ----------------------------------------------------------------------------------------


def test_eight_threads_never_exceed_the_limit_as_the_vendor_stamps_it(
    vendor: Vendor, acme: Connect
) -> None:
    """R12: one limiter for all workers of a connection."""
    stamps: list[float] = []
    searches: list[float] = []

    def stamped(call: BaseHTTPRequestHandler) -> None:
        time.sleep(random.random() * 0.03)
        stamps.append(time.monotonic())
        if call.path.endswith("search"):
            searches.append(stamps[-1])
        time.sleep(random.random() * 0.03)
        says({})(call)

    vendor.answers(stamped)
    http = acme(
        Env(), limits=[Limit("burst", 20, 0.5), Limit("search", 5, 0.5, only=("/search$",))]
    )

    def work(number: int) -> None:
        for turn in range(6):
            http.get("/search" if (number + turn) % 3 == 0 else "/things")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(stamps), len(searches)) == (48, 16)
    for times, calls in ((sorted(stamps), 20), (sorted(searches), 5)):
        assert all(late - early > 0.5 for early, late in zip(times, times[calls:], strict=False))


def test_a_429_makes_every_caller_of_the_connection_wait(vendor: Vendor, acme: Connect) -> None:
    stamps: list[float] = []

    def limited_first(call: BaseHTTPRequestHandler) -> None:
        stamps.append(time.monotonic())
        (says({}, 429, Retry_After="1") if len(stamps) == 1 else says({}))(call)

    vendor.answers(limited_first)
    http = acme(Env())
    first = threading.Thread(target=http.get, args=("/things",))
    first.start()
    time.sleep(0.3)

    http.get("/other")

    first.join()
    assert len(stamps) == 3
    assert min(stamps[1:]) - stamps[0] >= 0.95


# -- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        says({"message": f"token {CANARY} is bad"}, 400),
        says({}, 401),
        says({}, 500),
        says(CANARY.encode(), 200),
        resets,
        cuts_the_body,
        hangs,
        says({}, 302, Location=f"https://x.example/?token={CANARY}"),
        says({}, 429, Retry_After="99999"),
    ],
)
def test_no_secret_is_in_any_log_or_error(
    reply: Reply, vendor: Vendor, acme: Connect, log_text: io.StringIO
) -> None:
    """SEC25, SEC26: at DEBUG, for httpx and httpcore too, and with the locals of our frames."""
    vendor.answers(reply)
    http = acme(
        token=None, basic=("me", CANARY), headers={"X-Api-Key": CANARY}, total_s=0.2, tries=2
    )

    failures = [
        failure_of(lambda: http.get("/things", **{"api_token": CANARY})),
        failure_of(lambda: http.post("/things", form={"client_secret": CANARY})),
    ]

    for error in failures:
        logging.getLogger("elsewhere").error("failed", exc_info=error)
        shown = str(error) + "".join(traceback.format_exception(error))
        assert CANARY not in shown
        assert not frames_that_show_it(error)
    assert "httpcore" in log_text.getvalue()
    for form in (CANARY, CANARY.encode().hex(), "canary-4f1d9Zq%2B%2F7x"):
        assert form not in log_text.getvalue()


def failure_of(call: Callable[[], object]) -> HubError:
    with pytest.raises(HubError) as failed:
        call()
    return failed.value


def frames_that_show_it(error: BaseException | None) -> list[str]:
    """Frames of other people's code that still hold the secret, and requests that errors keep."""
    found = []
    while error is not None:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        theirs = [frame for frame in shown.stack if "/hub/" not in frame.filename]
        found += [frame.name for frame in theirs if CANARY in str(frame.locals)]
        found += ["request"] if getattr(error, "_request", None) is not None else []
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.parametrize(
    ("where", "given"),
    [
        ("token", lambda secret: {"token": secret}),
        ("basic", lambda secret: {"token": None, "basic": ("me", secret)}),
        ("header", lambda secret: {"headers": {"X-Api-Key": secret}}),
        ("sign-in", lambda secret: {"token": None, "sign_in": lambda _: Token(secret, None)}),
    ],
)
def test_a_secret_that_the_vendor_repeats_is_masked(
    where: str, given: Callable[[str], dict[str, object]], vendor: Vendor, acme: Connect
) -> None:
    """SEC26: a secret is known by its value wherever it came from."""
    secret = f"only-used-for-{where}"
    vendor.answers(says({"message": f"no such thing: {secret}!"}, 404))

    with pytest.raises(ReadRefused, match=r"no such thing: \*\*\*!"):
        acme(**given(secret)).get("/things")


def test_a_token_with_a_line_break_is_refused_without_showing_it() -> None:
    http = Http("https://desk.example", token=f"{CANARY}\n{CANARY}")

    with pytest.raises(ConfigError) as refused:
        http.bind(Env(), connection="desk", loopback=False)

    assert CANARY not in str(refused.value)
    assert CANARY not in repr(http)


def test_one_line_tells_that_a_vendor_went_and_one_that_it_is_back(
    vendor: Vendor, acme: Connect, log_text: io.StringIO
) -> None:
    vendor.answers(says({}, 500), says({}, 502), resets, says({"ok": 1}))

    acme().get("/things")

    lines = log_text.getvalue().splitlines()
    assert (
        sum("vendor.gone connection=acme-main" in line.replace("hub.http ", "") for line in lines)
        == 1
    )
    assert sum("vendor.back" in line for line in lines) == 1


# -- the transport is a seam -----------------------------------------------------------------------


def test_a_transport_from_the_environment_is_used(clock: Clock) -> None:
    env = Env(transport=lambda: httpx.MockTransport(lambda request: httpx.Response(200, json=[1])))
    http = Http("https://desk.example/v1").bind(env, connection="desk", loopback=False)

    assert http.get("/things") == [1]


@respx.mock
def test_public_https_hosts_are_called_with_verified_certificates(clock: Clock) -> None:
    """SEC29: nothing turns the check of certificates off."""
    respx.get("https://desk.example/v1/me").respond(json={"id": 1})
    http = Http("https://desk.example/v1").bind(clock.env(), connection="desk", loopback=False)

    answer = http.get("/me")

    context = http._client._transport._pool._ssl_context  # type: ignore[union-attr]
    assert answer == {"id": 1}
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
