"""Whatever goes wrong is told in one sentence with its code, and nothing is lost (R34)."""

from __future__ import annotations

import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from hub.testing.faults import Fault

RULE = "signals:\n  quiet:\n    title: Quiet\n    when: {when}\n    cause: usage\n"


def nothing(home: Any) -> None:
    """Nothing to prepare."""


def hub(*words: str) -> Callable[[Any], Any]:
    """Run the command to its end."""
    return lambda home: home.hub(*words)


def wrong_token(home: Any) -> None:
    token = home.vendor("hubspot").token
    home.edit(".env", token, f"{token}_revoked")


def right_token(home: Any) -> None:
    home.edit(".env", "_revoked", "")


def missing_scope(home: Any) -> None:
    home.vendor("stripe").withheld.append("invoice_read")


def granted_scope(home: Any) -> None:
    home.vendor("stripe").withheld.clear()


def vendor_down(home: Any) -> None:
    home.vendor("stripe").faults.add(Fault("server_error", status=503, times=None))


def login_page(home: Any) -> None:
    home.vendor("hubspot").faults.add(Fault("html", path="/crm/", times=None))


def faults_over(home: Any) -> None:
    for box in home.stand.sandboxes.values():
        box.faults.clear()


def odd_record(home: Any) -> None:
    invoices = home.vendor("stripe").objects["invoice"]
    next(iter(invoices.values()))["currency"] = "beads"
    assert home.call("sync").code == 0


def rule(when: str) -> Callable[[Any], None]:
    def written(home: Any) -> None:
        path = home.directory / "config" / "rules" / "own.yaml"
        path.write_text(RULE.format(when=when), "utf-8")

    return written


def no_rule(home: Any) -> None:
    (home.directory / "config" / "rules" / "own.yaml").unlink()


def yaml_slip(home: Any) -> None:
    home.edit("config/hub.yaml", "zone: ", "  zone: ")


def yaml_right(home: Any) -> None:
    home.edit("config/hub.yaml", "  zone: ", "zone: ")


def taken_port(home: Any) -> Any:
    """Start the stand-ins where HubSpot's port belongs to somebody else."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        return home.hub("sandbox", "--scenario", "small", "--port-base", str(port - 1))


def newer_database(home: Any) -> None:
    assert home.call("sync").code == 0
    set_revision(home, "9999")


def set_revision(home: Any, revision: str) -> None:
    with closing(sqlite3.connect(home.database)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def slow_vendor(home: Any) -> None:
    for box in home.stand.sandboxes.values():
        box.faults.add(Fault("late", seconds=0.4, every=1, times=None))


def interrupted(home: Any) -> Any:
    """Press Ctrl-C while pages are coming in."""
    process = home.start("sync")
    home.wait_for_calls("hubspot", 3, process)
    process.send_signal(signal.SIGINT)
    return home.ended(process, within_s=30)


@dataclass(frozen=True)
class Slip:
    """One thing that goes wrong: how, what is called, what must be said, and how it is mended.

    `goes_on` is a vendor whose rows are stored all the same.
    """

    name: str
    make: Callable[[Any], None]
    act: Callable[[Any], Any]
    code: str
    exit_code: int
    says: str
    mend: Callable[[Any], None] = nothing
    goes_on: str | None = None


SLIPS = [
    Slip("a wrong token", wrong_token, hub("sync"), "RECONNECT_NEEDED", 3, "hubspot",
         right_token, goes_on="stripe"),
    Slip("a missing scope", missing_scope, hub("sync"), "SCOPE_MISSING", 3, "invoice",
         granted_scope, goes_on="hubspot"),
    Slip("a vendor that is down", vendor_down, hub("sync"), "VENDOR_DOWN", 3, "stripe",
         faults_over, goes_on="hubspot"),
    Slip("HTML where JSON was due", login_page, hub("sync"), "AUTH_OR_PROXY_PAGE", 3, "hubspot",
         faults_over, goes_on="stripe"),
    Slip("a record that cannot be mapped", odd_record, hub("unify"), "RECORD_REJECTED", 3,
         "stripe invoices", goes_on="stripe"),
    Slip("a rule with an unknown name", rule("days_since_login > 3"), hub("sync"),
         "CONDITION_REFUSED", 2, "days_since_last_login", no_rule),
    Slip("a rule with a forbidden construct", rule("days_since_last_login IS NULL"), hub("sync"),
         "CONDITION_REFUSED", 2, "own.yaml, line 4", no_rule),
    Slip("a YAML slip", yaml_slip, hub("sync"), "CONFIG_INVALID", 2, "hub.yaml, line", yaml_right),
    Slip("a port in use", nothing, taken_port, "PORT_IN_USE", 1, "--port-base"),
    Slip("a database from a newer version", newer_database, hub("sync"), "DATABASE_NEWER", 1,
         "9999", lambda home: set_revision(home, "0001"), goes_on="hubspot"),
    Slip("Ctrl-C in the middle", slow_vendor, interrupted, "INTERRUPTED", 1, "Run it again",
         faults_over),
]  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip.name)
def test_it_is_said_in_one_sentence_and_nothing_is_lost(
    home: Any, whole_rows: Callable[[], dict[str, int]], slip: Slip
):
    slip.make(home)

    ran = slip.act(home)

    sentences = [line for line in ran.err.splitlines() if line.startswith(f"{slip.code}: ")]
    assert len(sentences) == 1, ran.err
    assert slip.says in sentences[0]
    assert ran.code == slip.exit_code
    assert "Traceback" not in ran.out + ran.err
    if slip.goes_on:
        assert any(name.startswith(slip.goes_on) for name in home.rows())

    slip.mend(home)
    again = home.call("sync")

    assert (again.code, home.rows()) == (0, whole_rows())
