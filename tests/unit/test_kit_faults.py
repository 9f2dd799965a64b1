"""Faults on demand: each kind fails as it would on a real network, and no other call is touched."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from hub.testing.faults import KINDS, Fault
from hub.testing.kit import Call, Reply, Sandbox, route

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOTE = {"text": "a note that is long enough to be cut in the middle"}


class ToyNotes(Sandbox):
    """A vendor that only keeps notes and speaks its own errors."""

    vendor = "toy"
    title = "Toy Notes"
    reads = (r"/search$",)

    def __init__(self, **known: Any) -> None:
        super().__init__(**known)
        self.notes: list[Any] = []

    def error(self, call: Call, status: int, message: str) -> Reply:
        return Reply(status, {"toy_error": status})

    @route("POST", "/notes")
    def add(self, call: Call) -> Reply:
        self.notes.append(call.json())
        return Reply(201, call.json())

    @route("POST", "/notes/search")
    @route("GET", "/notes")
    def read(self, call: Call) -> Reply:
        return Reply(json=self.notes)


@pytest.fixture
def notes() -> Iterator[ToyNotes]:
    with ToyNotes(clock=lambda: NOON) as notes:
        yield notes


@pytest.fixture
def client(notes: ToyNotes) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=notes.url, timeout=5) as client:
        yield client


# --- nothing happened -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("rate_limited"), 429),
        (Fault("server_error"), 500),
        (Fault("server_error", status=503), 503),
        (Fault("unauthorized"), 401),
        (Fault("forbidden"), 403),
    ],
)
def test_a_refusal_has_the_vendors_shape_and_nothing_is_applied(notes, client, fault, status):
    notes.faults.add(fault)

    answer = client.post("/notes", json=NOTE)

    assert (answer.status_code, answer.json()) == (status, {"toy_error": status})
    assert notes.notes == []
    assert [(c.fault, c.applied) for c in notes.writes()] == [(fault.kind, False)]
    assert client.post("/notes", json=NOTE).status_code == 201


def test_a_429_says_how_long_to_wait_only_when_asked_to(notes, client):
    notes.faults.add(Fault("rate_limited", retry_after="2.5"), Fault("rate_limited", at=2))

    told, untold = client.get("/notes"), client.get("/notes")

    assert told.headers["retry-after"] == "2.5"
    assert "retry-after" not in untold.headers


def test_a_login_page_comes_with_200(notes, client):
    notes.faults.add(Fault("html"))

    answer = client.get("/notes")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_a_redirect_leads_to_where_the_test_says(notes, client):
    notes.faults.add(Fault("redirect", to="http://elsewhere.example/"))

    answer = client.get("/notes")

    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.example/")


def test_a_reset_is_an_error_at_the_caller_and_nothing_is_applied(notes, client):
    notes.faults.add(Fault("reset"))

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.post("/notes", json=NOTE)

    assert notes.notes == []


def test_a_hang_says_nothing_and_is_cut_in_the_end(notes, client):
    notes.faults.add(Fault("hang", seconds=0.2), Fault("hang", seconds=60))

    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/notes", json=NOTE)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/notes", json=NOTE, timeout=0.1)

    assert notes.notes == []


def test_stopping_ends_a_hang_at_once(notes, client):
    notes.faults.add(Fault("hang", seconds=3600))
    failed = threading.Event()

    def ask() -> None:
        try:
            client.get("/notes", timeout=30)
        except httpx.TransportError:
            failed.set()

    asking = threading.Thread(target=ask)
    asking.start()
    while not notes.calls:
        failed.wait(0.01)
    notes.stop()

    asking.join(5)
    assert failed.is_set()


# --- it happened ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lost_response", "cut_body", "cut_chunked"])
def test_a_cut_connection_leaves_what_was_applied(notes, client, kind):
    notes.faults.add(Fault(kind))

    with pytest.raises(httpx.TransportError):
        client.post("/notes", json=NOTE)

    assert notes.notes == [NOTE]
    assert [(c.fault, c.applied, c.status) for c in notes.writes()] == [(kind, True, 201)]


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_server_error_can_come_after_the_write(notes, client, status):
    notes.faults.at_write(1, "applied_5xx", status=status)

    answer = client.post("/notes", json=NOTE)

    assert (answer.status_code, answer.json()) == (status, {"toy_error": status})
    assert notes.notes == [NOTE]


def test_an_answer_can_be_later_than_the_caller_waits(notes, client):
    notes.faults.add(Fault("late", seconds=60))

    with pytest.raises(httpx.ReadTimeout):
        client.post("/notes", json=NOTE, timeout=0.2)

    assert notes.notes == [NOTE]


def test_the_network_can_deliver_a_call_twice(notes, client):
    notes.faults.add(Fault("twice"))

    answer = client.post("/notes", json=NOTE)

    assert (answer.json(), notes.notes) == (NOTE, [NOTE, NOTE])


def test_truncated_json_has_the_right_length_for_what_is_there(notes, client):
    notes.faults.add(Fault("truncated"))

    answer = client.post("/notes", json=NOTE)

    assert len(answer.content) == int(answer.headers["content-length"]) > 0
    with pytest.raises(ValueError, match="Unterminated"):
        answer.json()


def test_a_drip_passes_every_read_timeout_and_takes_its_time(notes, client):
    notes.faults.add(Fault("drip", seconds=0.02))

    answer = client.post("/notes", json={"x": "0123456789"}, timeout=0.5)

    assert answer.json() == {"x": "0123456789"}
    assert answer.elapsed.total_seconds() > 0.02 * len(answer.content) / 2


def test_bytes_that_are_no_text_an_empty_answer_and_a_wrong_name_for_json(notes, client):
    notes.faults.add(Fault("bad_utf8"), Fault("empty", at=2), Fault("wrong_type", at=3))

    garbled, empty, misnamed = (client.post("/notes", json=NOTE) for _ in range(3))

    with pytest.raises(UnicodeDecodeError):
        garbled.content.decode()
    assert (empty.status_code, empty.content) == (200, b"")
    assert (misnamed.headers["content-type"], misnamed.json()) == ("text/plain", NOTE)


def test_a_huge_answer_travels_small(notes, client):
    notes.faults.add(Fault("huge", size=5_000_000))

    answer = client.get("/notes")

    assert int(answer.headers["content-length"]) < 100_000
    assert len(answer.content) > 5_000_000


# --- which calls ----------------------------------------------------------------------------------


def statuses(client: httpx.Client, *methods: str) -> list[int]:
    return [client.request(method, "/notes", json=NOTE).status_code for method in methods]


def test_a_fault_meets_the_calls_it_was_counted_for_and_no_others(notes, client):
    notes.faults.add(Fault("server_error", at=2, times=2))

    assert statuses(client, "GET", "GET", "GET", "GET") == [200, 500, 500, 200]


def test_a_fault_can_come_back_every_so_many_calls_without_end(notes, client):
    notes.faults.add(Fault("server_error", every=2, times=None))

    assert statuses(client, "GET", "GET", "GET", "GET") == [200, 500, 200, 500]


def test_method_and_path_narrow_a_fault(notes, client):
    notes.faults.add(Fault("server_error", method="POST", path=r"^/notes$"))

    search = client.post("/notes/search", json={}).status_code

    assert [search, *statuses(client, "GET", "POST")] == [200, 200, 500]


def test_a_fault_at_the_nth_write_does_not_count_reads_or_searches(notes, client):
    notes.faults.at_write(2, "server_error")

    seen = statuses(client, "POST", "GET")
    seen.append(client.post("/notes/search", json={}).status_code)
    seen += statuses(client, "POST", "POST")

    assert seen == [201, 200, 200, 500, 201]


def test_two_faults_due_at_one_call_follow_each_other(notes, client):
    notes.faults.add(Fault("server_error"), Fault("forbidden"))

    assert statuses(client, "GET", "GET", "GET") == [500, 403, 200]


def test_cleared_faults_do_nothing(notes, client):
    notes.faults.add(Fault("server_error", times=None))

    notes.faults.clear()

    assert statuses(client, "GET") == [200]


def storm(seed: int) -> list[bool]:
    with ToyNotes(clock=lambda: NOON, seed=seed) as notes:
        notes.faults.add(Fault("server_error", chance=0.5, times=None))
        with httpx.Client(base_url=notes.url) as client:
            return [client.get("/notes").is_server_error for _ in range(30)]


def test_chance_gives_the_same_failures_for_the_same_seed():
    first, again, other = storm(7), storm(7), storm(8)

    assert first == again != other
    assert 5 < sum(first) < 25


def test_a_fault_nobody_knows_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="earthquake is not a fault; there are reset, hang"):
        Fault("earthquake")


@pytest.mark.parametrize("kind", KINDS)
def test_after_any_fault_the_next_call_is_answered(notes, client, kind):
    notes.faults.add(Fault(kind, seconds=0.001, size=1000))

    with contextlib.suppress(httpx.TransportError):
        client.post("/notes", json=NOTE)

    assert client.get("/notes").status_code == 200
    assert notes.crashes == []


def test_counting_begins_when_a_fault_is_added(notes, client):
    statuses(client, "POST", "POST")

    notes.faults.at_write(1, "forbidden")

    assert statuses(client, "POST", "POST") == [403, 201]
