"""All stand-ins of one world on their ports: what `hub sandbox` and the flow tests start.

The hub never imports a connector: which stand-ins there are comes in as text, `module:Class`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Self, TypedDict

from ..env import Env
from ..errors import HubError, PluginError, UsageError
from .kit import Sandbox
from .scenarios import build
from .stand_files import usage_url, write_private, write_stand_config, write_usage
from .world import World

FIRST_PORT = 8700
"""A sandbox's own port stands in its class; another base moves all of them alike."""

SAVE_EVERY_S = 5.0


class Described(TypedDict):
    """What `hub sandbox --json` prints in one line (DESIGN 16)."""

    as_of: str
    usage: str
    vendors: dict[str, dict[str, str]]


class Stand:
    """Running stand-ins filled from one world, and the product's usage in a database file."""

    def __init__(self, world: World, sandboxes: Mapping[str, Sandbox], usage: Path) -> None:
        self.world = world
        self.sandboxes = dict(sandboxes)
        self.usage = usage
        self._memory: _Memory | None = None

    @classmethod
    def open(
        cls,
        scenario: str,
        seed: int,
        as_of: date,
        *,
        sandboxes: Mapping[str, str],
        usage: Path,
        port_base: int = FIRST_PORT,
        state_dir: Path | None = None,
        env: Env | None = None,
    ) -> Self:
        """Fill and start every stand-in; `port_base` 0 takes free ports.

        With `state_dir` each goes on where it stood when it was last stopped; the day of that
        world is then the one it was made with.
        """
        memory = _Memory(state_dir, scenario, seed) if state_dir else None
        if memory is not None:
            as_of = memory.as_of(as_of)
        world = build(scenario, seed=seed, as_of=as_of)
        clock = (env or Env()).now
        made = {vendor: _class(at)(clock=clock, seed=seed) for vendor, at in sandboxes.items()}
        stand = cls(world, made, usage)
        for sandbox in made.values():
            if memory is None or not memory.recall(sandbox):
                sandbox.load(world)
        write_usage(usage, world)
        stand._start(port_base)
        if memory is not None:
            stand._memory = memory
            memory.keep(made.values())
        return stand

    def _start(self, port_base: int) -> None:
        try:
            for place, sandbox in enumerate(self.sandboxes.values(), start=1):
                offset = sandbox.default_port - FIRST_PORT if sandbox.default_port else place
                sandbox.start(port_base + offset if port_base else 0)
        except HubError:
            self.close()
            raise

    def describe(self) -> Described:
        """Where everything is and how to sign in."""
        return {
            "as_of": self.world.as_of.isoformat(),
            "usage": usage_url(self.usage),
            "vendors": {
                vendor: {"url": sandbox.url, **sandbox.credentials}
                for vendor, sandbox in self.sandboxes.items()
            },
        }

    def write_config(self, directory: Path) -> None:
        """Write `directory/config/` and `directory/.env` for a hub that reads these stand-ins."""
        write_stand_config(directory, self.world, self.sandboxes, self.usage)

    def close(self) -> None:
        """Stop listening; what has changed since the last save is saved."""
        for sandbox in self.sandboxes.values():
            sandbox.stop()
        if self._memory is not None:
            self._memory.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _class(at: str) -> type[Sandbox]:
    """The class behind `module:Class`."""
    module, _, name = at.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"The stand-in {at} cannot be loaded: {error}",
            do="Write `sandbox` on the connector as module:Class",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Sandbox)):
        raise PluginError(f"{at} is no stand-in", do="Derive it from hub.testing.kit.Sandbox")
    return found


class _Memory:
    """The folder in which stand-ins remember between two starts; saved soon after each change."""

    def __init__(self, directory: Path, scenario: str, seed: int) -> None:
        self.directory = directory
        self.about = {"scenario": scenario, "seed": seed}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._saved: dict[str, int] = {}
        self._kept: list[Sandbox] = []

    def as_of(self, wanted: date) -> date:
        """The day of the remembered world; UsageError when it is of another scenario or seed."""
        path = self.directory / "world.json"
        if not path.exists():
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            write_private(path, json.dumps(self.about | {"as_of": wanted.isoformat()}))
            return wanted
        found = json.loads(path.read_text("utf-8"))
        day = date.fromisoformat(found.pop("as_of"))
        if found != self.about:
            raise UsageError(
                f"The state in {self.directory} is of scenario {found['scenario']} with seed"
                f" {found['seed']}",
                do="Ask for these, or name another folder with --state",
            )
        return day

    def recall(self, sandbox: Sandbox) -> bool:
        """Bring back what the sandbox was; False when nothing is remembered."""
        path = self._path(sandbox)
        if not path.exists():
            return False
        sandbox.restore(json.loads(path.read_text("utf-8")))
        self._saved[sandbox.vendor] = sandbox.changes
        return True

    def keep(self, sandboxes: Iterable[Sandbox]) -> None:
        """Save now and, until the end, whenever something has changed."""
        self._kept = list(sandboxes)
        self._save()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Save for the last time."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._save()

    def _run(self) -> None:
        while not self._stopping.wait(SAVE_EVERY_S):
            self._save()

    def _save(self) -> None:
        for sandbox in self._kept:
            changes = sandbox.changes
            if self._saved.get(sandbox.vendor) != changes:
                write_private(self._path(sandbox), json.dumps(sandbox.state()))
                self._saved[sandbox.vendor] = changes

    def _path(self, sandbox: Sandbox) -> Path:
        return self.directory / f"{sandbox.vendor}.json"
