"""Which plugins are imported, what each brings, and what is said of a broken one."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.errors import PluginError
from hub.plugins import load

CONNECTOR = """
from hub import Connector, Settings, hookimpl

class {name}(Connector[Settings]):
    name = "{name}"
    title = "{name}"

@hookimpl
def register_connectors(register):
    register({name})
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution with one plugin where Python's own metadata finds it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def add(distribution: str, source: str, *, plugin: str, version: str = "1.0") -> None:
        module = f"installed_{plugin}"
        (site / f"{module}.py").write_text(source)
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        info.joinpath("entry_points.txt").write_text(f"[hub.plugins]\n{plugin} = {module}\n")

    add("retention-hub", CONNECTOR.format(name="ours"), plugin="ours")
    yield add
    for name in set(sys.modules) - before:
        if name.startswith(("installed_", "hub_plugin_")):
            del sys.modules[name]


def test_a_named_distribution_brings_its_connector_under_its_own_name(install: Install):
    install("hub-acme", CONNECTOR.format(name="acme_desk"), plugin="acme", version="2.1")

    plugins = load(["hub-acme"])

    assert sorted(plugins.connectors) == ["acme_desk", "ours"]
    acme = plugins.loaded[-1]
    assert (acme.name, acme.distribution, acme.version) == ("acme", "hub-acme", "2.1")
    assert acme.brings == ("connector acme_desk",)


def test_a_distribution_that_config_does_not_name_is_listed_and_never_imported_sec49(
    install: Install, tmp_path: Path
):
    ran = tmp_path / "ran"
    install("hub-stranger", f"open({str(ran)!r}, 'w').close()", plugin="stranger")

    plugins = load([])

    assert [one.distribution for one in plugins.not_loaded] == ["hub-stranger"]
    assert not ran.exists()
    assert "installed_stranger" not in sys.modules


def test_names_of_distributions_are_compared_as_pip_does(install: Install):
    install("Hub.Acme_Desk", CONNECTOR.format(name="acme"), plugin="acme")

    assert "acme" in load(["hub-acme-desk"]).connectors


def test_a_named_distribution_without_a_plugin_is_an_error(install: Install):
    with pytest.raises(PluginError, match=re.escape("no plugin of the distribution hub-gone")):
        load(["hub-gone"])


BROKEN = {
    "registers nothing": "x = 1",
    "registers nothing ": "from hub import hookimpl\n@hookimpl\ndef register_plays(register): ...",
    "cannot be loaded: ModuleNotFoundError": "import not_there_at_all",
    "cannot be loaded: SystemExit": "import sys; sys.exit(3)",
    "cannot be loaded: PluginValidationError": (
        "from hub import hookimpl\n@hookimpl\ndef register_conectors(register): ..."
    ),
    "failed in register_measures: ZeroDivisionError": (
        "from hub import hookimpl\n@hookimpl\ndef register_measures(register): 1 / 0"
    ),
    "is not a Connector class": (
        "from hub import hookimpl\n@hookimpl\ndef register_connectors(register): register(dict)"
    ),
    "is not a folder": (
        "from hub import hookimpl\n@hookimpl\ndef register_plays(register): register('rules')"
    ),
    "registers the connector acme a second time": (
        CONNECTOR.format(name="acme") + "    register(acme)\n"
    ),
    "registers the connector ours a second time, after plugin ours": CONNECTOR.format(name="ours"),
}


@pytest.mark.parametrize("says", BROKEN)
def test_a_broken_plugin_is_named_with_its_distribution(install: Install, says: str):
    install("hub-broken", BROKEN[says], plugin="broken", version="0.3")

    with pytest.raises(PluginError) as error:
        load(["hub-broken"])

    assert "plugin broken (hub-broken 0.3)" in str(error.value)
    assert says.strip() in str(error.value)


def test_every_python_file_in_the_plugins_folder_is_a_plugin(install: Install, tmp_path: Path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "desk.py").write_text(CONNECTOR.format(name="my_desk"))

    plugins = load([], plugins_dir=folder)

    assert "my_desk" in plugins.connectors
    assert plugins.loaded[-1].name == "desk"


def test_rules_measures_and_observers_reach_the_hub(install: Install, tmp_path: Path):
    told = tmp_path / "told"
    source = f"""
from pathlib import Path
from hub import hookimpl

def days_quiet(at): ...

@hookimpl
def register_measures(register):
    register(days_quiet)

@hookimpl
def register_plays(register):
    register(Path({str(tmp_path)!r}))

@hookimpl
def step_finished(step, run, counts):
    Path({str(told)!r}).write_text(f"{{step}} {{run}} {{counts['rows']}}")
"""
    install("hub-rules", source, plugin="more_rules")

    plugins = load(["hub-rules"])
    plugins.hook.step_finished(step="sync", run=7, counts={"rows": 3})

    assert [one.__name__ for one in plugins.measures] == ["days_quiet"]  # type: ignore[attr-defined]
    assert plugins.definition_dirs == (tmp_path,)
    assert told.read_text() == "sync 7 3"
    assert plugins.loaded[-1].brings == (
        "measure days_quiet", f"rules {tmp_path.name}", "step_finished",
    )  # fmt: skip
