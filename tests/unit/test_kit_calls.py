"""The kit under every stand-in: calls arrive over a real socket and are answered as by a vendor."""

import socket
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hub.errors import HubError
from hub.testing.kit import (
    Call,
    Headers,
    Refused,
    Reply,
    Sandbox,
    Window,
    company_id,
    route,
    token_outcome,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class ToyShop(Sandbox):
    """A vendor of things: a bearer token, notes on things, and a search by POST."""

    vendor = "toy"
    title = "Toy Shop"
    kept = ("things",)
    reads = (r"/search$",)

    def __init__(self, **known: Any) -> None:
        super().__init__(**known)
        self.things: dict[str, Any] = {}
        self.at_once = self.most_at_once = 0
        self.limit: Window | None = None

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"token": "toy-token"}

    def authenticate(self, call: Call) -> Reply | None:
        outcome = token_outcome(call.principal, "toy-token")
        if outcome == "ok":
            return None
        return self.error(call, 403 if outcome == "noscope" else 401, outcome)

    def rate_limit(self, call: Call) -> Reply | None:
        wait = self.limit.take() if self.limit else None
        return None if wait is None else self.error(call, 429, f"wait {wait:g}")

    def error(self, call: Call, status: int, message: str) -> Reply:
        return Reply(status, {"toy_error": message})

    @route("GET", "/v1/things/{id}")
    @route("GET", "/2026-03/things/{id}")
    def one(self, call: Call, id: str) -> Reply:
        if id not in self.things:
            raise Refused(self.not_found(call))
        return Reply(json=self.things[id])

    @route("GET", "/v1/things/count")
    def count(self, call: Call) -> Reply:
        return Reply(json={"count": len(self.things)})

    @route("GET", "/v1/{any}/{id}.json")
    def with_suffix(self, call: Call, any: str, id: str) -> Reply:
        return Reply(json={"any": any, "id": id})

    @route("POST", "/v1/things")
    def make(self, call: Call) -> Reply:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        thing = call.json()
        id = str(len(self.things) + 1)
        threading.Event().wait(thing.get("takes", 0))
        self.things[id] = thing | {"id": id, "lot": self.random.randrange(10**9)}
        self.at_once -= 1
        return Reply(201, self.things[id], headers={"X-Toy": "made"})

    @route("POST", "/v1/things/search")
    def search(self, call: Call) -> Reply:
        return Reply(json=sorted(self.things))

    @route("POST", "/v1/echo")
    def echo(self, call: Call) -> Reply:
        return Reply(
            json={"a": call.param("a"), "form": dict(call.form()), "kind": call.headers["X-KIND"]}
        )

    @route("DELETE", "/v1/things/{id}")
    def drop(self, call: Call, id: str) -> Reply:
        del self.things[id]
        return Reply(204)


@pytest.fixture
def shop() -> Iterator[ToyShop]:
    with ToyShop(clock=lambda: NOON) as shop:
        yield shop


@pytest.fixture
def client(shop: ToyShop) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.url, headers={"Authorization": "Bearer toy-token"}) as client:
        yield client


def test_what_was_made_can_be_read_under_every_version_of_the_address(shop, client):
    made = client.post("/v1/things", json={"name": "Ümlaut"})

    old, new = client.get("/v1/things/1"), client.get("/2026-03/things/1")

    assert (made.status_code, made.headers["x-toy"]) == (201, "made")
    assert old.json() == new.json() == made.json()
    assert old.json()["name"] == "Ümlaut"


def test_the_most_specific_route_answers(shop, client):
    client.post("/v1/things", json={})

    literal = client.get("/v1/things/count").json()
    suffixed = client.get("/v1/notes/a%20b.json").json()

    assert literal == {"count": 1}
    assert suffixed == {"any": "notes", "id": "a b"}


def test_parameters_come_from_the_query_first_and_then_from_a_form(shop, client):
    kind = {"X-Kind": "form"}

    both = client.post("/v1/echo?a=query", data={"a": "form", "b[c]": ""}, headers=kind).json()
    form = client.post("/v1/echo", data={"a": "form"}, headers=kind).json()

    assert both == {"a": "query", "form": {"a": ["form"], "b[c]": [""]}, "kind": "form"}
    assert form["a"] == "form"


def test_a_chunked_body_arrives_whole(shop, client):
    made = client.post("/v1/things", content=iter([b'{"name":', b'"in pieces"}']))

    assert made.json()["name"] == "in pieces"


def test_an_unknown_address_and_a_refusal_inside_a_handler_speak_the_vendors_language(shop, client):
    nowhere, gone = client.get("/v9/nothing"), client.get("/v1/things/77")

    assert (nowhere.status_code, gone.status_code) == (404, 404)
    assert nowhere.json() == {"toy_error": "There is nothing at /v9/nothing."}
    assert gone.json() == {"toy_error": "There is nothing at /v1/things/77."}


def test_a_body_that_is_no_json_is_refused_with_400_and_nothing_is_applied(shop, client):
    answer = client.post("/v1/things", content=b"{half")

    assert answer.status_code == 400
    assert answer.json()["toy_error"].startswith("The body is not valid JSON")
    assert shop.things == {}
    assert [(call.status, call.applied) for call in shop.writes()] == [(400, False)]


def test_a_handler_that_fails_answers_500_and_leaves_its_trace_for_the_test(shop, client):
    answer = client.delete("/v1/things/77")

    assert answer.status_code == 500
    assert "KeyError: '77'" in shop.crashes[0]
    assert client.get("/v1/things/count").json() == {"count": 0}


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("toy-token", 200),
        ("toy-token_revoked", 401),
        ("toy-token_expired", 401),
        ("toy-token_noscope", 403),
        ("toy-token_other", 401),
    ],
)
def test_only_the_printed_token_is_good_and_three_bad_ones_have_names(shop, token, status):
    headers = {"Authorization": f"Bearer {token}"}

    answer = httpx.get(f"{shop.url}/v1/things/count", headers=headers)

    assert answer.status_code == status


def test_who_calls_without_credentials_is_refused_before_anything_else(shop):
    answer = httpx.post(f"{shop.url}/v1/things", json={})

    assert (answer.status_code, shop.things) == (401, {})


@pytest.mark.parametrize(
    ("header", "principal"),
    [
        ("Bearer abc", "abc"),
        ("Basic bWlhOnNlY3JldA==", "mia:secret"),
        ("Basic ***", None),
        ("Digest abc", None),
        ("Bearer ", None),
    ],
)
def test_the_principal_is_what_the_authorization_header_carries(header, principal):
    call = Call("GET", "/", headers=Headers([("authorization", header)]))

    assert call.principal == principal


def test_the_limit_is_any_stretch_of_the_window(shop, client):
    now = NOON
    shop.limit = Window(2, 10, lambda: now)
    statuses = []

    for seconds in (0, 6, 9, 10, 12, 16):
        now = NOON + timedelta(seconds=seconds)
        statuses.append(client.get("/v1/things/count").status_code)

    assert statuses == [200, 200, 429, 200, 429, 200]


def test_the_window_says_how_long_to_wait_and_what_is_left():
    now = NOON
    window = Window(1, 10, lambda: now)
    window.take()
    now += timedelta(seconds=4)

    wait, left = window.take(), window.left

    assert (wait, left) == (6.0, 0)
    now += timedelta(seconds=6)
    assert window.left == 1


def test_the_log_tells_writes_from_reads_even_when_a_search_is_a_post(shop, client):
    client.post("/v1/things", json={"name": "one"})
    client.post("/v1/things/search?limit=5", json={})
    client.get("/v1/things/1")

    logged = [(c.index, c.method, c.path, c.status, c.applied, c.fault) for c in shop.calls]
    written = [(c.index, c.body) for c in shop.writes()]

    assert logged == [
        (0, "POST", "/v1/things", 201, True, None),
        (1, "POST", "/v1/things/search", 200, True, None),
        (2, "GET", "/v1/things/1", 200, True, None),
    ]
    assert shop.calls[1].query == {"limit": ["5"]}
    assert written == [(0, b'{"name":"one"}')]
    assert shop.changes == 1


def test_one_connection_serves_many_calls(shop, client):
    client.get("/v1/things/count")
    first = shop_connections(client)

    for _ in range(5):
        client.get("/v1/things/count")

    assert shop_connections(client) == first == 1


def shop_connections(client: httpx.Client) -> int:
    return len(client._transport._pool.connections)  # type: ignore[attr-defined]


def test_handlers_run_one_at_a_time(shop, client):
    make = {"takes": 0.02}
    threads = [
        threading.Thread(target=client.post, args=("/v1/things",), kwargs={"json": make})
        for _ in range(6)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert shop.most_at_once == 1
    assert sorted(shop.things) == ["1", "2", "3", "4", "5", "6"]


def test_a_snapshot_goes_on_where_it_was_taken_and_ids_do_not_repeat(shop, client):
    lots = [client.post("/v1/things", json={}).json()["lot"] for _ in range(2)]
    snapshot = shop.state()
    third = client.post("/v1/things", json={}).json()

    with ToyShop(clock=lambda: NOON) as later:
        later.restore(snapshot)
        headers = {"Authorization": "Bearer toy-token"}
        again = httpx.post(f"{later.url}/v1/things", json={}, headers=headers).json()

    assert sorted(snapshot["kept"]["things"]) == ["1", "2"]
    assert again == third
    assert again["lot"] not in lots


def test_what_happens_after_a_snapshot_does_not_change_it(shop):
    shop.things["1"] = {"tags": ["a"]}
    snapshot = shop.state()

    shop.things["1"]["tags"].append("b")

    assert snapshot["kept"]["things"] == {"1": {"tags": ["a"]}}


def test_the_date_header_tells_the_stand_ins_own_clock(shop, client):
    assert client.get("/v1/things/count").headers["date"] == "Wed, 04 Mar 2026 12:00:00 GMT"


def test_a_taken_port_is_an_error_that_says_what_to_do(shop):
    port = int(shop.url.rsplit(":", 1)[1])

    with pytest.raises(HubError) as caught:
        ToyShop(clock=lambda: NOON).start(port)

    assert caught.value.code == "PORT_IN_USE"
    assert str(caught.value) == (
        f"Port {port} on 127.0.0.1, meant for the Toy Shop sandbox, is in use."
        " Stop the other program, or choose other ports with `--port-base`."
    )


def test_a_stopped_stand_in_cuts_open_conversations_and_starts_again_on_its_port(shop, client):
    client.post("/v1/things", json={})
    port = int(shop.url.rsplit(":", 1)[1])

    shop.stop()

    with pytest.raises(httpx.TransportError):
        client.get("/v1/things/count")
    shop.start(port)
    assert client.get("/v1/things/count").json() == {"count": 1}


def test_it_listens_on_the_loopback_address_only(shop):
    port = int(shop.url.rsplit(":", 1)[1])
    own = socket.gethostbyname(socket.gethostname())

    reached = own.startswith("127.") or socket.socket().connect_ex((own, port)) != 0

    assert shop.url == f"http://127.0.0.1:{port}"
    assert reached


def test_stand_ins_name_the_same_company_by_the_same_ids():
    ids = {tool: company_id(tool, "c012") for tool in ("crm", "desk", "billing", "usage")}

    assert ids == {
        "crm": "9000000012",
        "desk": "36000000012",
        "billing": "cus_0000000012",
        "usage": "ws-12",
    }
    assert company_id("crm", "A-2e4581") == company_id("crm", "A-2e4581") != company_id("crm", "B")
