"""All stand-ins of one world start together, describe themselves, and remember between starts."""

import json
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from dotenv import dotenv_values
from ruamel.yaml import YAML

from hub.configfiles import ConnectionFile, HubFile
from hub.env import Env
from hub.errors import ConfigError, HubError, PluginError, UsageError
from hub.testing.kit import Call, Reply, Sandbox, company_id, route
from hub.testing.stand import Stand
from hub.testing.world import World
from hub.yamlfile import read_yaml, validated

AS_OF = date(2026, 3, 4)
NOW = datetime(2026, 3, 4, 8, tzinfo=UTC)
BASE = 10_000 + os.getpid() % 200 * 100
"""Another one in each process, below the ports that the system gives away."""

TWO = {"toy": "toy_vendors:ToyCrm", "desk": "toy_vendors:ToyDesk"}


class ToyCrm(Sandbox):
    """A vendor of company names."""

    vendor = "toy"
    title = "Toy CRM"
    default_port = 8741
    kept = ("names",)

    def load(self, world: World) -> None:
        self.names = {company.key: company.name for company in world.companies}

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"token": f"toy-{self.seed}", "webhook_secret": "it's $HOME #1"}

    def connection_file(self) -> dict[str, Any]:
        return {"token": "env:TOY_TOKEN", "fields": {"companies": {"renewal_on": "renewal"}}}

    def secrets(self) -> Mapping[str, str]:
        return {"TOY_TOKEN": f"toy-{self.seed}", "TOY_WEBHOOK": "it's $HOME #1"}

    @route("GET", "/names")
    def all(self, call: Call) -> Reply:
        return Reply(json={"names": self.names, "at": self.clock().isoformat()})

    @route("PUT", "/names/{key}")
    def rename(self, call: Call, key: str) -> Reply:
        self.names[key] = call.json()
        return Reply(204)


class ToyDesk(ToyCrm):
    """Another vendor with the same habits."""

    vendor = "desk"
    title = "Toy Desk"
    default_port = 8742

    def secrets(self) -> Mapping[str, str]:
        return {}


Open = Callable[..., Stand]


@pytest.fixture
def open_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    toys = ModuleType("toy_vendors")
    toys.__dict__.update(ToyCrm=ToyCrm, ToyDesk=ToyDesk, number=7)
    monkeypatch.setitem(sys.modules, "toy_vendors", toys)

    def open_stand(scenario: str = "small", seed: int = 7, **more: Any) -> Stand:
        known = {
            "as_of": AS_OF, "sandboxes": TWO, "usage": tmp_path / "product" / "usage.db",
            "port_base": 0, "env": Env(clock=lambda: NOW),
        }  # fmt: skip
        return Stand.open(scenario, seed, **known | more)

    return open_stand


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True) as database:
        return database.execute(sql).fetchall()


def test_one_line_says_where_everything_is_and_how_to_sign_in(open_stand, tmp_path):
    with open_stand() as stand:
        described = json.loads(json.dumps(stand.describe()))

        urls = [vendor.pop("url") for vendor in described["vendors"].values()]
        assert [httpx.get(f"{url}/names").status_code for url in urls] == [200, 200]
        assert described == {
            "as_of": "2026-03-04",
            "usage": f"sqlite:///{tmp_path}/product/usage.db",
            "vendors": {
                "toy": {"token": "toy-7", "webhook_secret": "it's $HOME #1"},
                "desk": {"token": "toy-7", "webhook_secret": "it's $HOME #1"},
            },
        }


def test_every_stand_in_holds_the_same_world_and_the_given_clock(open_stand):
    with open_stand() as stand:
        answers = [httpx.get(f"{s.url}/names").json() for s in stand.sandboxes.values()]

        assert answers[0] == answers[1]
        assert answers[0]["at"] == "2026-03-04T08:00:00+00:00"
        assert answers[0]["names"] == {c.key: c.name for c in stand.world.companies}


def test_ports_follow_the_base(open_stand):
    with open_stand(port_base=BASE) as stand:
        urls = [sandbox.url for sandbox in stand.sandboxes.values()]

    assert urls == [f"http://127.0.0.1:{BASE + 41}", f"http://127.0.0.1:{BASE + 42}"]


def test_when_one_port_is_taken_the_others_are_given_back(open_stand):
    with ToyCrm(clock=lambda: NOW) as other:
        other.stop()
        other.start(BASE + 42)

        with pytest.raises(HubError, match=rf"Port {BASE + 42} .* Toy Desk") as caught:
            open_stand(port_base=BASE)

    assert caught.value.code == "PORT_IN_USE"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{BASE + 41}/names")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("no_such_module:Toy", "cannot be loaded: No module named 'no_such_module'"),
        ("toy_vendors:Absent", "cannot be loaded"),
        ("toy_vendors:number", "toy_vendors:number is no stand-in"),
    ],
)
def test_a_stand_in_that_cannot_be_loaded_is_named(open_stand, at, words):
    with pytest.raises(PluginError, match=words):
        open_stand(sandboxes={"toy": at})


# --- usage ----------------------------------------------------------------------------------------


def test_the_usage_file_holds_the_worlds_usage_written_the_night_after(open_stand):
    with open_stand() as stand:
        url = stand.describe()["usage"]

        assert rows(url, "SELECT count(*), sum(count) FROM usage_days") == [
            (len(stand.world.usage), sum(row.count for row in stand.world.usage))
        ]
        assert rows(url, "SELECT max(day), max(updated_at) FROM usage_days") == [
            ("2026-03-03", "2026-03-04 02:00:00")
        ]
        people = {person.email for person in stand.world.people}
        found = rows(url, "SELECT DISTINCT person FROM usage_days WHERE event = 'login'")
        assert {person for (person,) in found} <= people


def test_usage_names_a_company_as_its_tools_know_it(open_stand):
    with open_stand("demo") as stand:
        used = {row.company_key for row in stand.world.usage}
        expected = set()
        for company in (c for c in stand.world.companies if c.key in used):
            linked = company.ids_known.get("usage", False)
            crm_id = company_id("crm", company.duplicate_of or company.key) if linked else None
            domain = None if linked or not company.domains else company.domains[0]
            expected.add((company_id("usage", company.key), domain, crm_id))

        sql = "SELECT DISTINCT account_id, domain, crm_id FROM usage_days"
        found = set(rows(stand.describe()["usage"], sql))

    assert found == expected
    assert {tuple(map(bool, row)) for row in found} >= {(True, True, False), (True, False, True)}


# --- memory ---------------------------------------------------------------------------------------


def rename(stand: Stand, name: str) -> None:
    httpx.put(f"{stand.sandboxes['toy'].url}/names/c001", json=name)


def first_name(stand: Stand) -> str:
    return str(httpx.get(f"{stand.sandboxes['toy'].url}/names").json()["names"]["c001"])


def test_with_a_state_folder_a_later_start_goes_on_where_the_last_one_stopped(open_stand, tmp_path):
    state = tmp_path / "state"
    with open_stand(state_dir=state) as stand:
        rename(stand, "Renamed")

    with open_stand(state_dir=state, as_of=date(2026, 3, 9)) as later:
        name, day = first_name(later), later.describe()["as_of"]

    assert (name, day) == ("Renamed", "2026-03-04")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
    assert modes == {0o600}


def test_what_changed_is_saved_while_running_not_only_at_the_end(open_stand, tmp_path, monkeypatch):
    monkeypatch.setattr("hub.testing.stand.SAVE_EVERY_S", 0.01)
    saved = tmp_path / "state" / "toy.json"
    with open_stand(state_dir=tmp_path / "state") as stand:
        rename(stand, "Saved soon")

        for _ in range(500):
            if found := json.loads(saved.read_text())["kept"]["names"]["c001"] == "Saved soon":
                break
            stand._memory._stopping.wait(0.01)

    assert found


def test_without_a_state_folder_every_start_is_fresh(open_stand):
    with open_stand() as stand:
        before = first_name(stand)
        rename(stand, "Renamed")

    with open_stand() as later:
        assert first_name(later) == before


def test_a_state_of_another_world_is_not_mixed_in(open_stand, tmp_path):
    open_stand(state_dir=tmp_path / "state").close()

    with pytest.raises(UsageError, match="is of scenario small with seed 7"):
        open_stand(seed=8, state_dir=tmp_path / "state")


# --- config ---------------------------------------------------------------------------------------


def test_the_written_config_reads_as_the_hubs_own(open_stand, tmp_path):
    target = tmp_path / "home"
    with open_stand() as stand:
        stand.write_config(target)
        world = stand.world

    problems: list[ConfigError] = []
    hub = checked(target / "config" / "hub.yaml", HubFile, problems)
    for path in (target / "config" / "connections").iterdir():
        checked(path, ConnectionFile, problems)
    assert problems == []
    assert (str(hub.zone), hub.currency) == (world.zone, world.currency)
    assert {(p.name, p.email, p.roles) for p in hub.people.values()} == {
        (m.name, m.email, (m.role,)) for m in world.team if m.is_active
    }
    lead = next(short for short, person in hub.people.items() if "team_lead" in person.roles)
    assert {p.backup for p in hub.people.values() if "csm" in p.roles} == {lead}
    assert set(hub.login_events) | set(hub.key_features) <= {row.event for row in world.usage}


def test_rules_and_templates_of_the_starter_come_along(open_stand, tmp_path):
    starter = Path(__file__).parents[2] / "config"

    with open_stand() as stand:
        stand.write_config(tmp_path)

    for folder in ("rules", "templates"):
        names = {path.name for path in (starter / folder).iterdir()}
        assert {path.name for path in (tmp_path / "config" / folder).iterdir()} == names != set()


def test_the_written_hub_file_keeps_every_comment_of_the_starter(open_stand, tmp_path):
    starter = Path(__file__).parents[2] / "config" / "hub.yaml"

    with open_stand() as stand:
        stand.write_config(tmp_path)

    written = (tmp_path / "config" / "hub.yaml").read_text().splitlines()
    comments = [line for line in starter.read_text().splitlines() if line.startswith("#")]
    assert [line for line in written if line.startswith("#")][1:] == comments
    assert "mia" not in " ".join(written)


def checked(path: Path, model: Any, problems: list[ConfigError]) -> Any:
    file = read_yaml(path.read_text("utf-8"), path.name, problems)
    assert file is not None
    return validated(model, file, problems)


def test_connections_reach_the_stand_ins_on_loopback_and_write_by_themselves(open_stand, tmp_path):
    with open_stand() as stand:
        stand.write_config(tmp_path)
        url = stand.sandboxes["toy"].url

    connection = YAML(typ="safe").load(tmp_path / "config" / "connections" / "toy.yaml")
    assert connection == {
        "connector": "toy",
        "network": "loopback",
        "deliver": "auto",
        "fields": {"companies": {"renewal_on": "renewal"}},
        "settings": {"base_url": url, "token": "env:TOY_TOKEN"},
    }


def test_the_env_file_holds_exactly_the_secrets_and_only_its_owner_reads_it(open_stand, tmp_path):
    with open_stand() as stand:
        stand.write_config(tmp_path)
        usage = stand.describe()["usage"]

    assert dotenv_values(tmp_path / ".env", interpolate=False) == {
        "TOY_TOKEN": "toy-7",
        "TOY_WEBHOOK": "it's $HOME #1",
        "USAGE_URL": usage,
    }
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_a_second_start_renews_addresses_and_leaves_edited_rules_alone(open_stand, tmp_path):
    with open_stand() as stand:
        stand.write_config(tmp_path)
    rules = tmp_path / "config" / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "ours.yaml").write_text("signals: {}\n")

    with open_stand(seed=8) as later:
        later.write_config(tmp_path)
        url = later.sandboxes["toy"].url

    assert dotenv_values(tmp_path / ".env")["TOY_TOKEN"] == "toy-8"
    assert url in (tmp_path / "config" / "connections" / "toy.yaml").read_text()
    assert (rules / "ours.yaml").read_text() == "signals: {}\n"


@pytest.mark.parametrize("theirs", [".env", "config/hub.yaml"])
def test_a_config_that_somebody_else_wrote_is_never_touched(open_stand, tmp_path, theirs):
    (tmp_path / "config").mkdir()
    (tmp_path / theirs).write_text("TOKEN=real\n")

    with open_stand() as stand, pytest.raises(UsageError, match="holds a config of your own"):
        stand.write_config(tmp_path)

    assert (tmp_path / theirs).read_text() == "TOKEN=real\n"
    assert not (tmp_path / "config" / "connections").exists()
