"""`hub sandbox`: the vendors' stand-ins on their ports, until the process is stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from zoneinfo import ZoneInfo

from ..env import Env
from ..errors import PluginError
from ..plugins import load
from ..testing.stand import Described, Stand
from ..testing.world_cast import ZONE
from .days import parsed
from .output import say, say_json
from .plugins import named_in_config
from .signals import wait_until_stopped


def sandbox(
    scenario: str,
    seed: int,
    port_base: int,
    state: Path | None,
    write_config: Path | None,
    as_of: str | None,
    as_json: bool,
) -> int:
    """Start every stand-in, say where they are, and serve until stopped."""
    env = Env()
    day = parsed(as_of) or env.today(ZoneInfo(ZONE))
    with (
        _home(state or write_config) as home,
        Stand.open(
            scenario,
            seed,
            day,
            sandboxes=sandboxes(),
            usage=home / "usage.db",
            port_base=port_base,
            state_dir=state,
            env=env,
        ) as stand,
    ):
        if write_config is not None:
            stand.write_config(write_config)
        with suppress(KeyboardInterrupt):
            _say(stand.describe(), write_config, as_json)
            wait_until_stopped()
    return 0


def _say(described: Described, config: Path | None, as_json: bool) -> None:
    if as_json:
        say_json(described)
        return
    for text in described_lines(described, config):
        say(text)


def sandboxes() -> Mapping[str, str]:
    """Where the stand-in of every loaded connector is, as module:Class."""
    connectors = load(named_in_config()).connectors.values()
    found = {one.name: one.sandbox for one in connectors if one.sandbox}
    if not found:
        raise PluginError("no connector that is loaded has a stand-in", do="Run `hub plugins`")
    return found


def described_lines(described: Described, config: Path | None) -> Iterator[str]:
    """URLs and credentials for people."""
    yield f"the vendors' stand-ins, as of {described['as_of']}"
    for vendor, about in described["vendors"].items():
        yield f"{vendor:<10}{about['url']}"
        for name, value in about.items():
            if name != "url":
                yield f"{'':<10}{name.replace('_', ' ')}: {value}"
    yield f"{'usage':<10}{described['usage']}"
    if config is not None:
        yield f"{'config':<10}{config / 'config'}; try: cd {config} && hub run"
    yield "Ctrl-C stops them"


@contextmanager
def _home(directory: Path | None) -> Iterator[Path]:
    """Where the usage database stands: beside what is kept, else for as long as this runs."""
    if directory is not None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="hub-sandbox-") as made:
        yield Path(made)
