"""The table of contents of the hub: six hooks, one sentence each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("hub")
hookimpl = pluggy.HookimplMarker("hub")

Register = Callable[..., None]
"""Called by a plugin once for each thing that it brings."""


@hookspec
def register_connectors(register: Register) -> None:
    """Bring connector classes: vendors to read from and write to."""


@hookspec
def register_matchers(register: Register) -> None:
    """Bring functions that propose which records are one account."""


@hookspec
def register_measures(register: Register) -> None:
    """Bring measures: one number, date or text per account and day."""


@hookspec
def register_plays(register: Register) -> None:
    """Bring folders of YAML with measures, signals, health models and plays."""


@hookspec
def register_commands(register: Register) -> None:
    """Bring commands of the `hub` command line."""


@hookspec
def step_finished(step: str, run: int, counts: dict[str, Any]) -> None:
    """Be told that a verb ended, with its counts; nothing is changed by the answer."""
