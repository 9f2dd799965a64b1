"""The starter config loads once its secrets are there, and its page tells every key."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from connectors.hubspot import HubSpot
from connectors.stripe import Stripe
from hub import Connector, Page, Position, Settings, stream
from hub.config import load_config
from hub.configfiles import ConnectionFile, HubFile, Limits
from hub.definitions import PRIMITIVES, SECTIONS, read_rules
from hub.errors import ConfigError
from hub.plugins import Plugins
from hub.templates import VARIABLES
from hub.yamlfile import read_yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")

SECRETS = {
    "HUBSPOT_TOKEN": "pat-eu1-0000",
    "ZENDESK_SUBDOMAIN": "northwind",
    "ZENDESK_CLIENT_ID": "hub",
    "ZENDESK_CLIENT_SECRET": "zd-secret",
    "STRIPE_KEY": "rk_test_0000",
    "USAGE_URL": "sqlite:///usage.db",
}


class DeskSettings(Settings):
    """The two ways to sign in to a help desk."""

    subdomain: str
    email: str | None = None
    api_token: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None


class Desk(Connector[DeskSettings]):
    """A help desk with the settings of the starter's."""

    name = "zendesk"
    title = "Zendesk"

    @stream()
    def tickets(self, at: Position | None) -> Iterator[Page]:
        """Requests for help."""
        yield Page([])


class TableSettings(Settings):
    """Where the usage tables are."""

    url: SecretStr


class Table(Connector[TableSettings]):
    """A database of usage with the settings of the starter's."""

    name = "sql"
    title = "SQL"


PLUGINS = Plugins(connectors={one.name: one for one in (HubSpot, Stripe, Desk, Table)})


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    """A copy of the starter, as `hub init` leaves it."""
    return Path(shutil.copytree(ROOT / "config", tmp_path / "config"))


def test_the_starter_loads_when_its_secrets_are_there(starter: Path):
    config = load_config(starter, SECRETS, PLUGINS)

    assert sorted(config.connections) == ["hubspot", "stripe", "usage", "zendesk"]
    assert {connection.deliver for connection in config.connections.values()} == {"plan"}
    assert config.task_home("csm") == "hubspot"
    assert config.person_by_role("team_lead") is not None
    assert len(config.templates) == 4


def test_the_starter_asks_for_each_secret_by_its_name(starter: Path):
    with pytest.raises(ConfigError) as error:
        load_config(starter, {}, PLUGINS)

    asked = re.findall(r"Looked for env:(\w+), then \.env", str(error.value))
    assert sorted(asked) == sorted(SECRETS)
    assert error.value.code == "CONFIG_SECRET_MISSING"
    hubspot = next(str(one) for one in error.value.problems if "hubspot.yaml" in str(one))
    assert 'How to make one: connectors/hubspot/README.md, "Token".' in hubspot


def test_what_the_connections_show_in_comments_is_right_as_well(starter: Path):
    shown = re.compile(r"^# ((?:fields|fresh_within|absence|backfill):.*|  +[\w.]+:.*)$", re.M)
    for path in (starter / "connections").glob("*.yaml"):
        path.write_text(shown.sub(r"\1", path.read_text("utf-8")))

    config = load_config(starter, SECRETS, PLUGINS)

    assert config.connections["hubspot"].fields["companies"]["external.stripe"]
    assert config.connections["stripe"].fields["customers"]["external.hubspot"]
    assert config.connections["zendesk"].fresh_within["tickets"] == timedelta(hours=6)


def test_the_rule_that_the_starter_shows_in_comments_can_be_read(starter: Path):
    text = (starter / "rules" / "own.yaml").read_text("utf-8")
    problems: list[ConfigError] = []

    file = read_yaml(re.sub("(?m)^# ?", "", text[text.index("# signals:") :]), "own.yaml", problems)
    assert file is not None
    rules = read_rules([], [file], problems)

    assert problems == []
    assert ("signals", "ticket_spike") in rules.items


@pytest.mark.parametrize("model", [HubFile, ConnectionFile])
def test_every_key_of_a_file_stands_on_the_page(model: type[HubFile] | type[ConnectionFile]):
    told = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)

    assert [key for key in model.model_fields if key not in told] == []


def test_the_limits_on_the_page_are_those_that_hold():
    told = dict(re.findall(r"`(\w+): (\d+)`", PAGE))

    assert {key: float(value) for key, value in told.items()} == Limits().model_dump()


def test_every_primitive_and_fill_in_stands_on_the_page():
    assert [name for name in PRIMITIVES if f"| `{name}: " not in PAGE] == []
    assert [name for name in sorted(VARIABLES) if f"{{{{ {name} }}}}" not in PAGE] == []


def test_the_rules_on_the_page_can_be_read():
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    problems: list[ConfigError] = []

    file = read_yaml(example, "docs/configuration.md", problems)
    assert file is not None
    rules = read_rules([], [file], problems)

    assert problems == []
    assert {section for section, _ in rules.items} == set(SECTIONS)
