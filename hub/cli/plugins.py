"""`hub plugins`: what is loaded, what it brings, and what is installed but left alone."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from .output import is_terminal, say, say_json, table


def plugins(plugins_dir: Path | None, as_json: bool) -> int:
    """List plugins; each brings something, else loading it is an error."""
    from ..plugins import load

    found = load(named_in_config(), plugins_dir)
    loaded = [
        {
            "name": one.name,
            "distribution": one.distribution,
            "version": one.version,
            "brings": list(one.brings),
        }
        for one in found.loaded
    ]
    others = [
        {"name": one.name, "distribution": one.distribution, "version": one.version}
        for one in found.not_loaded
    ]
    if as_json:
        say_json({"loaded": loaded, "not_loaded": others})
        return 0
    rows = [
        {
            "plugin": one.name,
            "from": f"{one.distribution} {one.version}".strip(),
            "brings": ", ".join(one.brings),
        }
        for one in found.loaded
    ]
    if is_terminal():
        table(("plugin", "from", "brings"), rows)
    else:
        for row in rows:
            say(f"{row['plugin']} ({row['from']}): {row['brings']}")
    for one in found.not_loaded:
        say(
            f"not loaded: {one.name} ({one.distribution} {one.version});"
            f" name {one.distribution} under plugins: in config/hub.yaml to load it"
        )
    return 0


def named_in_config() -> tuple[str, ...]:
    """The distributions under `plugins:` in hub.yaml, whatever else is wrong in it."""
    from ..config import HubEnv
    from ..yamlfile import read_yaml

    path = HubEnv().config_dir / "hub.yaml"
    if not path.is_file():
        return ()
    problems: list[ConfigError] = []
    file = read_yaml(path.read_text("utf-8"), f"{path.parent.name}/hub.yaml", problems)
    named = file.section().get("plugins") if file else None
    return tuple(map(str, named)) if isinstance(named, list) else ()


def commands_of_plugins() -> tuple[object, ...]:
    """What the named plugins registered as commands; nothing is imported when none is named."""
    if not _names_any():
        return ()
    from ..plugins import load

    return load(named_in_config()).commands


def _names_any() -> bool:
    """A quick look, so that `hub --help` need not read YAML where nobody uses plugins."""
    import os

    path = Path(os.environ.get("HUB_CONFIG_DIR") or "config") / "hub.yaml"
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    written = (line.partition("#")[0].strip() for line in lines if line.startswith("plugins:"))
    return any(line not in ("plugins: []", "plugins:[]") for line in written)
