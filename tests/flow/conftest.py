"""The real `hub` command in a folder of its own, against every vendor's stand-in on a free port."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest

from hub.cli import main
from hub.cli.standins import sandboxes
from hub.env import Env
from hub.testing.kit import Sandbox
from hub.testing.stand import Stand
from hub.testing.world_cast import ZONE

HUB = Path(sys.executable).with_name("hub")


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def documents(self) -> list[Any]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


class Home:
    """A folder in which somebody works with the hub; its vendors are the stand's."""

    python = sys.executable
    pythonpath = os.environ.get("PYTHONPATH", "")

    def __init__(self, directory: Path, stand: Stand) -> None:
        self.directory = directory
        self.stand = stand
        stand.write_config(directory)

    def vendor(self, name: str) -> Any:
        """A running stand-in."""
        found: Sandbox = self.stand.sandboxes[name]
        return found

    def hub(self, *words: str, **env: str) -> Ran:
        """Run a command to its end."""
        return self.ended(self.start(*words, **env))

    def ended(self, process: subprocess.Popen[str], within_s: float = 110) -> Ran:
        """Wait for a command that was started."""
        out, err = process.communicate(timeout=within_s)
        return Ran(process.returncode, out, err)

    def call(self, *words: str, **env: str) -> Ran:
        """The same command line inside this process: quicker, where no signal or crash matters."""
        out, err = StringIO(), StringIO()
        with (
            chdir(self.directory),
            mock.patch.dict(os.environ, _clean(os.environ) | env, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
            _own_logging(),
        ):
            code = main(words)
        return Ran(code, out.getvalue(), err.getvalue())

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start a command; stdout and stderr are pipes."""
        return subprocess.Popen(
            [HUB, *words], cwd=self.directory, env=_clean(os.environ) | env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def rows(self) -> dict[str, int]:
        """How many rows of each vendor's stream are stored; nothing before the first run."""
        if not self.database.is_file():
            return {}
        query = "SELECT vendor || ' ' || object, count(*) FROM row GROUP BY 1"
        with closing(sqlite3.connect(self.database)) as database:
            return dict(database.execute(query).fetchall())

    @property
    def database(self) -> Path:
        """The SQLite file of the data directory."""
        return self.directory / "var" / "hub.db"

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a text in a file of the folder; it must stand there."""
        file = self.directory / path
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    def wait_for_calls(self, vendor: str, number: int, by: subprocess.Popen[str]) -> None:
        """Wait until the vendor was called so many times by a command that is running."""
        deadline = time.monotonic() + 60
        while len(self.vendor(vendor).calls) < number:
            assert by.poll() is None, by.communicate()
            assert time.monotonic() < deadline, f"{vendor} was not called"
            time.sleep(0.02)


@contextmanager
def _own_logging() -> Iterator[None]:
    """A command sends logs to its own file; afterwards they go where they went before."""
    root = logging.getLogger()
    level, before = root.level, list(root.handlers)
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
            if isinstance(handler, logging.StreamHandler):
                handler.stream.close()
        for handler in set(before) - set(root.handlers):
            root.addHandler(handler)
        root.setLevel(level)


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what the machine's owner set for a hub of their own."""
    return {name: value for name, value in environ.items() if not name.startswith("HUB_")}


def _opened(directory: Path, scenario: str) -> Stand:
    today = Env().today(ZoneInfo(ZONE))
    usage = directory / "usage.db"
    return Stand.open(scenario, 7, today, sandboxes=sandboxes(), usage=usage, port_base=0)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A fresh folder with the small company; nothing has been read yet."""
    with _opened(tmp_path, "small") as stand:
        yield Home(tmp_path, stand)


@pytest.fixture(scope="module")
def home_after_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A folder in which `hub run` was done once; for tests that only look."""
    directory = tmp_path_factory.mktemp("home")
    with _opened(directory, "small") as stand:
        made = Home(directory, stand)
        ran = made.call("run")
        assert ran.code == 0, ran.err
        yield made


@pytest.fixture(scope="session")
def whole_rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, int]]:
    """What one undisturbed sync of the small company stores, by vendor and stream."""
    found: dict[str, int] = {}

    def rows() -> dict[str, int]:
        if not found:
            directory = tmp_path_factory.mktemp("undisturbed")
            with _opened(directory, "small") as stand:
                made = Home(directory, stand)
                assert made.call("sync").code == 0
                found.update(made.rows())
        return found

    return rows
