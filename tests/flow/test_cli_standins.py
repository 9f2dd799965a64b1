"""`hub sandbox`, `hub demo` and `hub init`: what a newcomer meets first."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

IN_DEMO = {"HUB_CONFIG_DIR": ".hub-demo/config", "HUB_DATA_DIR": ".hub-demo/var"}
SMALL = ("--scenario", "small", "--port-base", "0")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_says_in_one_line_where_everything_is_and_ends_well(
    home: Any, stop: signal.Signals
):
    process = home.start("sandbox", *SMALL, "--as-of", "2026-03-04", "--json")
    line = process.stdout.readline()

    described = json.loads(line)
    with urllib.request.urlopen(described["vendors"]["hubspot"]["url"], timeout=10) as page:
        answered = page.status
    process.send_signal(stop)
    ran = home.ended(process, within_s=10)

    assert (described["as_of"], answered) == ("2026-03-04", 200)
    assert described["vendors"]["stripe"].keys() >= {"url", "token", "webhook_secret"}
    assert described["usage"].startswith("sqlite:///")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_a_config_written_by_the_sandbox_is_ready_to_run(home: Any, tmp_path: Path):
    there = tmp_path / "written"
    process = home.start("sandbox", *SMALL, "--write-config", str(there))
    while not process.stdout.readline().startswith("Ctrl-C"):
        assert process.poll() is None

    ran = home.call("check", "--json", HUB_CONFIG_DIR=str(there / "config"))
    process.send_signal(signal.SIGTERM)
    home.ended(process, within_s=10)

    assert ran.code == 0
    assert {"hubspot", "stripe", "usage"} <= {
        one["connection"] for one in ran.document["connections"]
    }


def test_the_demo_shows_all_four_verbs_and_that_a_second_plan_is_empty(home: Any):
    ran = home.call("demo", "--no-serve", *SMALL)

    lines = ran.out.splitlines()
    assert ran.code == 0, ran.err
    assert [line.split(" ", 1)[0] for line in lines] == [
        "read", "joined", "judged", "decided", "wrote", "look", "ready",
    ]  # fmt: skip
    assert lines[4].endswith(" · second plan: nothing to do")
    assert "hubspot's view http://127.0.0.1:" in lines[5]
    advised = lines[5].partition('hub explain "')[2].rstrip('"')
    assert home.call("explain", advised, **IN_DEMO).out.startswith(advised)


def test_the_demo_replaces_an_earlier_one_and_serves_until_it_is_stopped(home: Any):
    earlier = home.directory / ".hub-demo"
    earlier.mkdir()
    (earlier / "made-by-hub-demo").write_text("")
    (earlier / "old").write_text("")
    process = home.start("demo", *SMALL)
    lines = [process.stdout.readline() for _ in range(7)]

    process.send_signal(signal.SIGINT)
    ran = home.ended(process, within_s=10)

    assert (lines[-1], ran.code) == ("ready\n", 0)
    assert not (earlier / "old").exists()


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(home: Any):
    (home.directory / ".hub-demo").mkdir()
    (home.directory / ".hub-demo" / "mine").write_text("precious")

    ran = home.call("demo", "--no-serve", *SMALL)

    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith("USAGE: .hub-demo is there")
    assert (home.directory / ".hub-demo" / "mine").read_text() == "precious"


def test_a_starter_config_is_written_once_and_checks_itself(home: Any, tmp_path: Path):
    there = tmp_path / "new"

    first = home.call("init", str(there), "--json")
    second = home.call("init", str(there), "--json")
    checked = home.call("check", "--json", HUB_CONFIG_DIR=str(there / "config"))

    assert (first.code, second.code) == (0, 2)
    assert "config/hub.yaml" in first.document["files"]
    assert (there / ".env").stat().st_mode & 0o077 == 0
    assert {one["code"] for one in checked.document["error"]["problems"]} == {
        "CONFIG_SECRET_MISSING"
    }


def test_editors_find_a_schema_that_the_starter_fits(home: Any, tmp_path: Path):
    home.call("init", str(tmp_path / "new"))
    config = tmp_path / "new" / "config"

    for path in [config / "hub.yaml", *(config / "connections").glob("*.yaml")]:
        name = path.read_text().splitlines()[0].partition("$schema=")[2]
        schema = json.loads((path.parent / name).read_text())
        content = YAML(typ="safe", pure=True).load(path.read_text())

        assert list(Draft202012Validator(schema).iter_errors(content)) == []


def test_the_shipped_rules_fit_the_schema_of_rules(home: Any, tmp_path: Path):
    home.call("init", str(tmp_path / "new"))
    schema = json.loads((tmp_path / "new/config/schemas/rules.json").read_text())
    shipped = Path(__file__).resolve().parents[2] / "rules" / "shipped"

    for path in shipped.glob("*.yaml"):
        content = YAML(typ="safe", pure=True).load(path.read_text())

        assert list(Draft202012Validator(schema).iter_errors(content)) == []


def test_the_command_line_answers_at_once(home: Any):
    code = "import sys; from hub.cli import main; main(['--help']); print(len(sys.modules))"

    shown = subprocess.run(
        [home.python, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert "explain" in shown
    assert int(shown.splitlines()[-1]) < 500


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """An installed distribution that brings two commands; one of them is broken inside."""
    folder = tmp_path / "installed"
    about = folder / "hub_extra-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hub-extra\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hub.plugins]\nextra = hub_extra\n")
    (folder / "hub_extra.py").write_text(
        "from hub import hookimpl\n\n\n@hookimpl\ndef register_commands(register):\n"
        "    register(greet)\n    register(stumble)\n\n\n"
        "def greet(name: str) -> None:\n    print(f'hello {name}')\n\n\n"
        "def stumble() -> None:\n    raise ZeroDivisionError('token=very-secret-value')\n\n\n"
        "@hookimpl\ndef step_finished(step, run, counts):\n"
        "    open('told', 'a').write(f'{step} {counts[\"read\"]}\\n')\n"
    )
    return folder


def with_plugin(home: Any, plugin: Path) -> dict[str, str]:
    """The environment in which the plugin is installed, and a config that names it."""
    home.edit("config/hub.yaml", "plugins: []", "plugins: [hub-extra]")
    return {"PYTHONPATH": f"{plugin}:{home.pythonpath}"}


def test_a_plugins_command_is_listed_and_runs(home: Any, plugin: Path):
    env = with_plugin(home, plugin)

    listed = home.hub("--help", **env)
    ran = home.hub("greet", "Mia", **env)

    assert "greet" in listed.out
    assert (ran.code, ran.out) == (0, "hello Mia\n")


def test_a_plugin_that_config_does_not_name_brings_no_command(home: Any, plugin: Path):
    ran = home.hub("greet", "Mia", PYTHONPATH=f"{plugin}:{home.pythonpath}")

    assert ran.code == 2
    assert ran.err.startswith("USAGE: No such command 'greet'.")


def test_an_unexpected_fault_is_one_sentence_and_its_trace_is_in_the_log(home: Any, plugin: Path):
    ran = home.hub("stumble", **with_plugin(home, plugin))

    log = (home.directory / "var" / "hub.log").read_text()
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "UNEXPECTED: a fault in the hub itself (ZeroDivisionError). Report it with var/hub.log,"
        " which says where."
    ]
    assert "in stumble" in log
    assert "very-secret-value" not in log


def test_plugins_are_told_when_a_verb_has_ended(home: Any, plugin: Path):
    ran = home.hub("sync", "stripe", "--json", **with_plugin(home, plugin))

    (step,) = ran.document["steps"]
    assert (home.directory / "told").read_text() == f"sync {step['counts']['read']}\n"
