"""The check of the house rules sees what it should, and what stands in the project passes it."""

from __future__ import annotations

from pathlib import Path

import house
import pytest


def test_the_project_keeps_its_house_rules():
    assert list(house.problems()) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import time\ntime.sleep(1)", "time.sleep"),
        ("import time as t\nwait = t.monotonic", "time.monotonic"),
        ("from time import time\nat = time()", "time.time"),
        ("from datetime import datetime\nat = datetime.now()", "datetime.datetime.now"),
        ("import datetime as d\nday = d.date.today()", "datetime.date.today"),
        ("import random\nrandom.shuffle([])", "random.shuffle"),
        ("from random import choice\nchoice([1])", "random.choice"),
        ("from uuid import uuid4\nkey = uuid4()", "uuid.uuid4"),
        ("import secrets\nkey = secrets.token_hex()", "secrets.token_hex"),
    ],
)
def test_asking_the_clock_or_chance_is_found_under_any_name(source: str, name: str):
    found = list(house.breaches(source, Path("hub/sync.py")))

    assert found == [(2, f"{name} asks the clock or chance; take it from Env")]


@pytest.mark.parametrize(
    "source",
    [
        "import random\ndice = random.Random(7)\ndice.random()",
        "import secrets\nsecrets.compare_digest('a', 'b')",
        "def f(env):\n    return env.now(), env.random.random(), env.sleep(1)",
        "from datetime import datetime\nat = datetime.fromisoformat('2026-03-01')",
    ],
)
def test_a_seeded_sequence_and_what_env_gives_are_fine(source: str):
    assert list(house.breaches(source, Path("connectors/stripe/client.py"))) == []


def test_only_the_seam_itself_may_ask_the_clock():
    source = "import time\nsleep = time.sleep"

    assert list(house.breaches(source, Path("hub/env.py"))) == []
    assert len(list(house.breaches(source, Path("rules/env.py")))) == 1


def test_a_connector_that_reaches_inside_the_hub_is_named():
    source = "from hub import Row\nfrom hub.store import tables"

    found = list(house.breaches(source, Path("connectors/stripe/streams.py")))

    assert found == [(2, "imports hub.store; take public names from hub")]
    assert list(house.breaches(source, Path("hub/sync.py"))) == []


@pytest.mark.parametrize("source", ["from hub.testing.kit import Kit", "from hub import testing"])
def test_only_sandbox_modules_of_a_connector_use_the_testing_kit(source: str):
    assert list(house.breaches(source, Path("connectors/stripe/sandbox_billing.py"))) == []
    assert len(list(house.breaches(source, Path("connectors/stripe/streams.py")))) == 1
