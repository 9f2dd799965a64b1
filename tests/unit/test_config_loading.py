"""A config folder becomes one typed Config, and every mistake in it is told at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from hub import Account, Connector, CreateTask, Env, Receipt, Row, Rows, Settings, stream, writes
from hub.calendar import BusinessCalendar, Due
from hub.config import Config, HubEnv, load_config
from hub.errors import ConfigError
from hub.log import secrets
from hub.plugins import PluginInfo, Plugins
from hub.templates import render_task

SECRET = "desk-9f2c-token-value"
ROOT = Path(__file__).resolve().parents[2]


class DeskSettings(Settings):
    """What the test's own help desk wants to know."""

    token: SecretStr
    site: str = "acme"
    size: int = 10


def to_account(row: Row) -> Account:
    """One organisation."""
    return Account(id=str(row["id"]))


class Desk(Connector[DeskSettings]):
    """A help desk that can hold tasks."""

    name = "desk"
    title = "Desk"
    absence = "zero"

    @stream(maps=to_account, cursor="changed")
    def companies(self, since: object) -> Iterator[Rows]:
        """Organisations."""
        yield []

    @writes(CreateTask, once="key")
    def create_task(self, action: CreateTask) -> Receipt:
        """A task."""
        return Receipt(id=action.key)


class Meter(Connector[Settings]):
    """A source of usage that only reads."""

    name = "meter"
    title = "Meter"


PLUGINS = Plugins(
    connectors={"desk": Desk, "meter": Meter},
    not_loaded=(PluginInfo("acme", "hub-acme", "1.0"),),
)

HUB = """\
zone: Europe/Berlin
currency: EUR
people:
  mia: {name: Mia Sommer, email: mia@northwind.example, roles: [csm], backup: jonas}
  jonas: {name: Jonas Falk, email: jonas@northwind.example, roles: [csm, team_lead]}
segments:
  enterprise: {when: employees >= 500}
  small: {when: employees < 50}
tasks_to: desk
"""
DESK = """\
connector: desk
settings:
  token: env:DESK_TOKEN
"""
TEMPLATE = (
    "# Call {{ account }}\n\n{% for line in evidence %}\n- {{ line }}\n{% endfor %}\n{{ link }}\n"
)
FILES = {
    "hub.yaml": HUB,
    "connections/desk.yaml": DESK,
    "templates/call.md": TEMPLATE,
    "rules/own.yaml": "measures:\n  tickets_7d: {count: tickets, window: 7d}\n",
}
Read = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a good config folder with some files replaced (None: taken away)."""

    def load(
        files: Mapping[str, str | bytes | None] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        for name, text in (FILES | dict(files or {})).items():
            path = tmp_path / "config" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
        given = {"DESK_TOKEN": SECRET} if environ is None else environ
        return load_config(tmp_path / "config", given, PLUGINS)

    return load


def problems_of(read: Read, *args: object) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(*args)
    return [str(problem) for problem in error.value.problems]


def test_a_folder_becomes_one_typed_config(read: Read):
    config = read()

    assert config.zone == ZoneInfo("Europe/Berlin")
    assert list(config.segments) == ["enterprise", "small"]
    assert config.statuses["at_risk"] == "At risk"
    assert config.limits.tasks_per_owner_and_day == 5
    assert config.definitions.measures["tickets_7d"].window == 7
    assert config.templates == {"templates/call.md": TEMPLATE}
    desk = config.connections["desk"]
    assert (desk.deliver, desk.network, desk.absence) == ("plan", "internet", "zero")
    assert desk.backfill == timedelta(days=400)


def test_a_role_leads_to_its_first_person_and_a_short_name_to_itself(read: Read):
    config = read()

    assert config.person_by_role("csm") == config.people["mia"]
    assert config.person_by_role("team_lead") == config.people["jonas"]
    assert config.person_by_role("jonas") == config.people["jonas"]
    assert config.person_by_role("support_lead") is None


def test_tasks_may_go_to_one_tool_for_all_or_to_one_for_each_role(read: Read):
    by_role = HUB.replace("tasks_to: desk", "tasks_to: {csm: desk}")

    assert read().task_home("csm") == "desk"
    assert read({"hub.yaml": by_role}).task_home("csm") == "desk"
    assert read({"hub.yaml": by_role}).task_home("support_lead") is None


def test_a_connection_builds_its_connector_with_the_fields_that_the_file_maps(read: Read):
    mapped = DESK + (
        "network: loopback\n"
        "fields: {companies: {renewal_on: renews, external.stripe: stripe_id, extra.tier: tier}}\n"
        "keep: {companies: [notes]}\n"
    )

    connector = read({"connections/desk.yaml": mapped}).connections["desk"].build(Env())

    assert isinstance(connector, Desk)
    assert connector.settings.token.get_secret_value() == SECRET
    assert connector.loopback
    assert list(connector.custom_fields("companies")) == ["notes", "renews", "stripe_id", "tier"]


def test_yaml_1_2_reads_no_as_the_country_and_not_as_false(read: Read):
    config = read({"hub.yaml": HUB + "calendar: NO\n"})

    assert config.calendar.country == "NO"


SLIPS = [
    ("zone:\tEurope/Berlin", "1: a tab stands where YAML allows only spaces."),
    ("zone: UTC\n\tcurrency: EUR", "2: a tab stands where YAML allows only spaces."),
    ("zone: UTC\n  currency: EUR", "2: a colon stands where no value can begin. Quote a text"),
    ("zone: UTC\naddress: see: here", "2: a colon stands where no value can begin."),
    ("people:\n  mia: {}\n jonas: {}", "3: the indentation does not fit the lines above"),
    ("  zone: UTC\ncurrency: EUR", "2: the indentation does not fit the lines above. Begin every"),
    ("zone: 'UTC\ncurrency: EUR", "1: a quote is opened and never closed. Close the quote."),
    ("plugins: [a, b\n", "1: a bracket is opened and never closed. Close it with ] or }."),
    ("plugins: [a b: c: d]", "1: a bracket is not closed, or a comma is missing."),
    ("zone: @home", "1: a text begins with a character that means something in YAML."),
    ("zone: UTC\n---\nzone: UTC", "2: a second document begins (---)."),
    ("zone: UTC\nplugins: - a", "2: a list begins in the middle of a line."),
    ('zone: "\\q"', "1: a backslash stands in double quotes. Use single quotes."),
    ("zone: UTC\ncurrency: EUR\nzone: UTC", "3: zone is given twice, first in line 1."),
    ("people: &p {}\nsegments: *p", "1: aliases (*name) are not read here."),
    ("judged_from: 2026-02-30", '1: "2026-02-30" is not a value of its kind. Put it in quotes.'),
    ("zone: !!python/name:os.system x", '1: "x" is not a value of its kind.'),
]


@pytest.mark.parametrize(("text", "says"), SLIPS, ids=[text for text, _ in SLIPS])
def test_a_slip_in_yaml_is_told_with_its_line_and_what_to_do(read: Read, text: str, says: str):
    problems = problems_of(read, {"hub.yaml": text})

    line, _, sentence = says.partition(": ")
    assert any(one.startswith(f"config/hub.yaml, line {line}: {sentence}") for one in problems)


def hub(old: str, new: str) -> dict[str, str | None]:
    assert old in HUB
    return {"hub.yaml": HUB.replace(old, new)}


def more(text: str) -> dict[str, str | None]:
    return {"hub.yaml": HUB + text}


def desk(text: str) -> dict[str, str | None]:
    return {"connections/desk.yaml": DESK + text}


MISTAKES: list[tuple[Mapping[str, str | None], str]] = [
    (
        hub("Europe/Berlin", "Europe/Belin"),
        'config/hub.yaml, line 1: zone is "Europe/Belin", which is no time zone. Perhaps'
        " Europe/Berlin is meant.",
    ),
    (hub("EUR", "euro"), 'line 2: currency is "euro", which is not of the right form. Write three'),
    (hub("currency: EUR\n", ""), "currency is missing. Add the currency that totals are told in"),
    (more("tsks_to: desk"), "line 10: tsks_to is not a key here. Perhaps tasks_to is meant."),
    (more("calendar: DE-BB1"), 'calendar is "DE-BB1", a calendar that is not known. Perhaps DE-BB'),
    (more("calendar: XX"), "Write a country's two capital letters, like DE."),
    (more("judged_from: soon"), 'judged_from is "soon". Write a day like 2026-03-01.'),
    (more("limits: {stop_targets: many}"), 'limits.stop_targets is "many". Write a whole number.'),
    (more("statuses: {red: Red}"), "statuses.red is \"red\", which is not a choice. Write"),
    (more("address: hub.northwind.example"), "address is no web address. Begin it with https://."),
    (more("login_events: login"), 'login_events is "login". Write a list: [a, b].'),
    (more("customers: {when: country = 1}"), "line 10: The condition "),
    (hub("jonas}", "jon}"), "line 4: the backup of mia is jon, who is nobody else in people:."),
    (hub("jonas}", "mia}"), "line 4: the backup of mia is mia, who is nobody else in people:."),
    (hub("mia@northwind.example", "mia"), "line 4: people.mia.email is no e-mail address."),
    (hub("[csm]", "[the team]"), 'people.mia.roles.0 is "the team", so nobody owns it.'),
    (hub("employees >= 500", "employes >= 500"), "line 7: The condition uses employes, which"),
    (hub("tasks_to: desk", "tasks_to: desc"), "desc, which is no connection. Perhaps desk is"),
    (
        hub("tasks_to: desk", "tasks_to: meter")
        | {"connections/meter.yaml": "connector: meter\n"},
        "line 9: tasks are to go to meter, which cannot hold tasks.",
    ),
    (
        {"connections/desk.yaml": DESK.replace("connector: desk", "connector: desc")},
        "config/connections/desk.yaml, line 1: no plugin brings the connector desc. Perhaps desk is"
        " meant. Installed but not named under plugins: in hub.yaml: hub-acme.",
    ),
    (desk("delivr: auto"), "line 4: delivr is not a key here. Perhaps deliver is meant."),
    (desk("deliver: now"), "deliver is not one of the choices. Write 'shadow', 'plan' or 'auto'."),
    (desk("backfill: 400"), "backfill is 400, which has no unit. Write a length like 30d, 6h"),
    (desk("  size: big"), "line 4: settings.size cannot be used. Write a whole number."),
    (desk("  sit: acme"), "line 4: settings.sit is not a key here. Perhaps site is meant."),
    (desk("size: 3"), "line 4: size is a setting of Desk. Write it under settings:"),
    (desk("off: [company]"), "line 4: Desk has no stream company. Perhaps companies is meant."),
    (desk("fresh_within: {company: 6h}"), "Desk has no stream company."),
    (
        desk("fields:\n  companies:\n    renewl_on: x"),
        "line 6: renewl_on is no field of what companies become. Perhaps renewal_on is meant.",
    ),
    ({"connections/x.yml": "connector: desk"}, "x.yml: only .yaml is read. Rename it to"),
    ({"templates/call.md": "Call them\n"}, "line 1: the first line is not the task's title."),
    ({"templates/call.md": "# Call\n\n{{ acount }}"}, "line 3: acount is nothing that a task"),
    ({"templates/call.md": "# Call\n{% if %}"}, "call.md, line 2: the fill-in cannot be read:"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "says"), MISTAKES, ids=[says[:60] for _, says in MISTAKES])
def test_a_mistake_is_told_with_file_line_and_what_to_write(
    read: Read, files: Mapping[str, str | None], says: str
):
    problems = problems_of(read, files)

    assert len([one for one in problems if says in one]) == 1, problems
    assert all(one.startswith("config/") for one in problems)


def test_every_problem_of_every_file_is_told_at_once_from_top_to_bottom(read: Read):
    problems = problems_of(
        read,
        {
            "hub.yaml": HUB.replace("Europe/Berlin", "Mars") + "limts: {}\n",
            "connections/desk.yaml": DESK + "  sit: x\ndeliver: now\n",
            "rules/own.yaml": "signals:\n  a: {title: A, when: 1 >, cause: usage}\n",
            "rules/tab.yaml": "signals:\n\ta: b\n",
            "templates/call.md": "no title",
        },
        {},
    )

    places = [problem.split(": ")[0] for problem in problems]
    assert places == [
        "config/hub.yaml, line 1",
        "config/hub.yaml, line 10",
        "config/connections/desk.yaml, line 3",
        "config/connections/desk.yaml, line 4",
        "config/connections/desk.yaml, line 5",
        "config/templates/call.md, line 1",
        "config/rules/tab.yaml, line 2",
    ]


def test_a_folder_without_hub_yaml_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(ConfigError, match=re.escape("config/hub.yaml is not there. Run hub init")):
        load_config(tmp_path / "config", {}, PLUGINS)


def test_a_file_that_is_not_utf_8_is_a_problem_and_no_crash(read: Read):
    problems = problems_of(read, {"rules/own.yaml": b"measures: {\xff}"})

    assert problems == [
        "config/rules/own.yaml: the file cannot be read: it is not UTF-8 text. Save it as plain"
        " UTF-8 text."
    ]


# --- secrets --------------------------------------------------------------------------------------


def test_a_missing_secret_says_where_it_was_looked_for_and_what_comes_next(read: Read):
    with pytest.raises(ConfigError) as error:
        read(None, {})

    assert error.value.code == "CONFIG_SECRET_MISSING"
    assert str(error.value) == (
        "config/connections/desk.yaml, line 3: token is missing. Looked for env:DESK_TOKEN, then"
        " .env. How to make one: ask the makers of Desk. Then run `hub check desk`."
    )


def test_a_secret_comes_from_the_environment_before_the_file_beside_config(
    read: Read, tmp_path: Path
):
    beside = tmp_path / ".env"
    beside.write_text("DESK_TOKEN='from $HOME file'\n")
    beside.chmod(0o600)

    tokens = [
        config.connections["desk"].settings.token.get_secret_value()  # type: ignore[attr-defined]
        for config in (read(), read(None, {}))
    ]

    assert tokens == [SECRET, "from $HOME file"]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666])
def test_secrets_that_others_can_read_are_refused_sec55(read: Read, tmp_path: Path, mode: int):
    beside = tmp_path / ".env"
    beside.write_text(f"DESK_TOKEN={SECRET}\n")
    beside.chmod(mode)

    problems = problems_of(read, None, {})

    assert problems == [".env: other users of this machine can read it. Run chmod 600 .env."]


def test_a_secret_in_a_file_is_read_and_refused_when_everybody_can_read_it_sec55(
    read: Read, tmp_path: Path
):
    by_file = {"connections/desk.yaml": DESK.replace("env:DESK_TOKEN", "file:../desk.token")}
    token = tmp_path / "desk.token"
    token.write_text(f"{SECRET}\n")
    token.chmod(0o600)

    settings = read(by_file, {}).connections["desk"].settings
    token.chmod(0o644)
    problems = problems_of(read, by_file, {})

    assert settings.token.get_secret_value() == SECRET  # type: ignore[attr-defined]
    assert problems == [
        "config/connections/desk.yaml, line 3: token is in ../desk.token, which other users of this"
        " machine can read. Run chmod 600 ../desk.token."
    ]


def test_a_secret_written_into_the_file_is_refused_and_never_repeated(read: Read):
    literal = {"connections/desk.yaml": DESK.replace("env:DESK_TOKEN", SECRET)}

    problems = problems_of(read, literal)

    assert problems == [
        "config/connections/desk.yaml, line 3: token is a secret and stands in the file itself."
        " Write env:DESK_TOKEN here and the value into .env; then make a new secret."
    ]


@pytest.mark.parametrize(
    "text",
    [f"connector: desk\ntoken: {SECRET}\n", f"connector: desk\nsettings: {{tokn: {SECRET}}}\n",
     f"connector: desk\nsettings: {SECRET}\n", f"connector: desk\nsettings: {{size: {SECRET}}}\n",
     f"connector: desk\naccount: [{SECRET}]\nsettings: {{token: [{SECRET}]}}\n"],
)  # fmt: skip
def test_a_secret_in_the_wrong_place_is_never_repeated(read: Read, text: str):
    problems = problems_of(read, {"connections/desk.yaml": text})

    assert problems
    assert SECRET not in "".join(problems)


def test_a_setting_that_is_no_secret_may_stand_in_the_file_or_be_a_reference(read: Read):
    environ = {"DESK_TOKEN": SECRET, "DESK_SITE": "birch"}

    written = read(desk("  site: vale\n")).connections["desk"].settings
    referred = read(desk("  site: env:DESK_SITE\n"), environ).connections["desk"].settings

    assert (written.site, referred.site) == ("vale", "birch")  # type: ignore[attr-defined]


def test_a_resolved_secret_is_masked_in_every_log_line_from_then_on(read: Read):
    token = "kept-out-of-all-logs-41"

    read(None, {"DESK_TOKEN": token})

    assert secrets.mask(f"got {token} back") == "got *** back"


# --- digest, process settings, calendar -----------------------------------------------------------


def test_the_digest_changes_with_the_content_and_not_with_secrets_or_comments(read: Read):
    first = read().digest

    assert read(None, {"DESK_TOKEN": "another-secret"}).digest == first
    assert read(more("# a remark\n")).digest == first
    assert read(more("login_events: [signed_in]\n")).digest != first
    assert read({"hub.yaml": HUB, "templates/call.md": TEMPLATE + "More.\n"}).digest != first


def test_the_process_takes_its_own_settings_from_hub_variables_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for name in [name for name in os.environ if name.startswith("HUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", "sqlite:///not-ours")

    plain = HubEnv()
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://hub:pw@db/hub")
    given = HubEnv()

    assert (plain.config_dir, plain.data_dir) == (Path("config"), Path("var"))
    assert plain.database_url is None
    assert given.data_dir == tmp_path
    assert "pw" not in repr(given)


@pytest.mark.parametrize(
    ("calendar", "due", "end"),
    [
        ("DE-BE", "2 business days", date(2026, 4, 8)),  # over Easter: Friday and Monday are off
        ("US", "2 business days", date(2026, 4, 6)),
        ("DE-BE", "2 days", date(2026, 4, 4)),
        ("AE", "1 business day", date(2026, 4, 3)),
    ],
)
def test_business_days_follow_the_calendar_of_the_team(calendar: str, due: str, end: date):
    thursday = date(2026, 4, 2)

    assert Due.parse(due).after(thursday, BusinessCalendar.parse(calendar)) == end


# --- the starter ----------------------------------------------------------------------------------

TEMPLATES = sorted((ROOT / "config" / "templates").iterdir())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_each_shipped_task_says_what_happened_why_and_what_to_do_first(path: Path):
    text, name = path.read_text(), path.name
    proof = "2 of 3 payments failed since 3 March 2026 (Stripe)"
    values: dict[str, object] = {
        "account": "Birch & Vale", "signal": "A payment failed", "evidence": [proof],
        "renewal_on": None, "owner": "Mia Sommer", "link": "https://hub.northwind.example/t/k",
    }  # fmt: skip

    title, body = render_task(text, values, where=name)
    with_renewal = render_task(text, values | {"renewal_on": "6 Jan 2027"}, where=name)[1]

    assert title.startswith("Birch & Vale: ")
    assert f"Why now: A payment failed\n- {proof}\n" in body
    assert "\nDo first:\n1. " in body
    assert body.endswith("How the hub knows: https://hub.northwind.example/t/k")
    assert "6 Jan 2027" in with_renewal
    assert "None" not in body
    assert len(body) < 1200
