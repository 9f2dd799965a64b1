"""What a log line may show: events with fields, and nothing secret, personal or forged."""

from __future__ import annotations

import base64
import io
import json
import logging
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import structlog
from pydantic import SecretStr

from hub.log import Secrets, clean, configure, logger, redact, secrets

CANARY = "canary/Zq9+log=71?x"


@pytest.fixture
def log_text() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("DEBUG", stream=stream)
    yield stream
    configure("WARNING")


def test_an_event_is_one_line_with_its_fields(log_text: io.StringIO) -> None:
    logger("hub.sync").info("sync.finished", connection="stripe-main", rows=412, note="two words")

    line = log_text.getvalue()
    assert 'info sync.finished connection=stripe-main rows=412 note="two words"' in line
    assert line.count("\n") == 1


def test_lines_may_be_json(log_text: io.StringIO) -> None:
    configure("INFO", json=True, stream=log_text)

    logger("hub.sync").info("sync.finished", rows=412, email="jo@birch.example")

    event = json.loads(log_text.getvalue())
    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert (event["rows"], event["email"]) == (412, "***@birch.example")


def test_the_level_holds_for_every_logger(log_text: io.StringIO) -> None:
    configure("WARNING", stream=log_text)

    logger("hub.sync").info("sync.finished")
    logging.getLogger("alembic").info("running")
    structlog.get_logger("plugin").info("plugin.said")

    assert log_text.getvalue() == ""


def test_the_wire_is_quiet_unless_asked(log_text: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET https://x.example/?q=1")
    logging.getLogger("httpcore.http11").debug("send_request_headers")
    quiet = log_text.getvalue()

    configure("DEBUG", stream=log_text, wire=True)
    logging.getLogger("httpcore.http11").debug("send_request_headers")

    assert quiet == ""
    assert "send_request_headers" in log_text.getvalue()


def test_configuring_twice_prints_each_line_once(log_text: io.StringIO) -> None:
    configure("INFO", stream=log_text)

    logging.getLogger("alembic").info("running")

    assert log_text.getvalue().count("running") == 1


@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        quote(CANARY, safe=""),
        quote(CANARY),
        CANARY.encode().hex(),
        CANARY.encode().hex().upper(),
        base64.b64encode(CANARY.encode()).decode(),
        base64.urlsafe_b64encode(CANARY.encode()).decode().rstrip("="),
        json.dumps(CANARY),
        repr(CANARY.encode()),
    ],
)
def test_a_known_secret_is_masked_in_every_form(form: str, log_text: io.StringIO) -> None:
    """SEC25: by value, whatever it is called and however it is written."""
    secrets.add(CANARY)

    logger("hub").warning("it is", note=f"<{form}>", deep={"a": [form]})
    logging.getLogger("sqlalchemy").warning("plain %s", form)

    assert form.strip('"b').strip("'")[4:-4] not in log_text.getvalue()
    assert log_text.getvalue().count("***") >= 3


@pytest.mark.parametrize("user", ["", "a", "ab", "ops@birch.example/token"])
def test_a_secret_inside_a_longer_base64_text_is_masked(user: str) -> None:
    secrets.add(CANARY)
    pair = base64.b64encode(f"{user}:{CANARY}".encode()).decode()

    shown = redact(f"header {pair} sent")

    assert "***" in shown
    assert base64.b64encode(CANARY.encode()).decode()[4:-4] not in shown
    assert len(shown) < len(f"header {pair} sent") - 10


def test_short_values_are_no_secrets() -> None:
    known = Secrets()

    known.add("abc")
    known.add("")
    known.add(None)

    assert known.mask("abc or nothing") == "abc or nothing"


def test_old_secrets_make_room_for_new_ones() -> None:
    known = Secrets()

    for number in range(600):
        known.add(f"token-number-{number:04}")

    assert known.mask("token-number-0599") == "***"
    assert repr(known) == "Secrets(500)"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: *** ***"),
        ("sent bearer abcdef123456 twice", "sent bearer *** twice"),
        ("postgresql://hub:pa55@db.example/x", "postgresql://***@db.example/x"),
        ("https://x.example/?access_token=q1&page=2", "https://x.example/?access_token=***&page=2"),
        ('{"api_key": "q1 q2", "n": 1}', '{"api_key": ***, "n": 1}'),
        ("client_secret='q1'", "client_secret=***"),
        ("[(b'Set-Cookie', b'sid=1'), (b'Age', b'1')]", "[(b'Set-Cookie', b***), (b'Age', b'1')]"),
        ("write to jo.doe+x@mail.birch.example now", "write to ***@mail.birch.example now"),
        ("?email=jo%40birch.example", "?email=***%40birch.example"),
        ("token is missing, see README", "token is missing, see README"),
        ("412 rows @ 10:30", "412 rows @ 10:30"),
    ],
)  # fmt: skip
def test_secrets_and_people_are_masked_by_how_they_look(said: str, shown: str) -> None:
    assert redact(said) == shown


@pytest.mark.parametrize(
    "name",
    ["token", "desk_token", "client_secret", "PASSWORD", "Authorization", "apiKey", "dsn"],
)
def test_a_field_named_like_a_secret_is_never_shown(name: str, log_text: io.StringIO) -> None:
    logger("hub").info("made", **{name: "q1q2q3"}, settings={name: 123456})

    assert "q1q2q3" not in log_text.getvalue()
    assert "123456" not in log_text.getvalue()


def test_a_secret_type_stays_closed(log_text: io.StringIO) -> None:
    """SEC27: a SecretStr shows nothing, in a field or in a message."""
    value = SecretStr("q1q2q3q4")

    logger("hub").info("made", value=value)
    logging.getLogger("x").info("made %s %r", value, value)

    assert "q1q2q3q4" not in log_text.getvalue()


def test_exceptions_and_their_causes_are_masked(log_text: io.StringIO) -> None:
    """SEC26: chained exceptions, in our loggers and in the standard library's."""
    secrets.add(CANARY)
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as cause:
            raise ValueError("for jo@birch.example") from cause
    except ValueError:
        logger("hub").exception("failed")
        logging.getLogger("x").exception("failed")

    text = log_text.getvalue()
    assert CANARY not in text
    assert "jo@" not in text
    assert text.count("ValueError: for ***@birch.example") == 2
    assert text.count("\n") == 2


@pytest.mark.parametrize("code", ["\r\n", "\x1b[2J", "\u2028", "\u202e", "\x9b31m", "\x00", "\t"])
def test_vendor_text_cannot_forge_a_line_or_paint_the_terminal(
    code: str, log_text: io.StringIO
) -> None:
    said = f"ok{code}2026-03-02 info sync.finished"

    logger("hub").info("vendor.said", text=said)
    logging.getLogger("x").info(said)

    assert code not in log_text.getvalue()
    assert len(log_text.getvalue().splitlines()) == 2


def test_a_megabyte_of_letters_is_cleaned_in_a_moment() -> None:
    started = time.perf_counter()

    clean("a" * 1_000_000)

    assert time.perf_counter() - started < 5
