"""Every command and option of the hub stands in docs/commands.md as it is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import command_page
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "commands.md").read_text("utf-8")


def test_the_page_is_what_its_script_writes():
    written = command_page.page()

    assert written == PAGE


@pytest.mark.parametrize("name", command_page.commands())
def test_what_the_help_of_a_command_offers_is_on_the_page(name: str):
    section = PAGE.partition(f"\n## hub {name}\n")[2].partition("\n## ")[0]

    shown = subprocess.run(
        [Path(sys.executable).with_name("hub"), name, "--help"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip

    offered = set(re.findall(r"--[a-z][a-z-]*", shown)) - {"--help"}
    assert {option for option in offered if f"`{option}" not in section} == set()
    assert "`--json`" in section


def test_every_command_of_the_readme_is_there():
    readme = (ROOT / "README.md").read_text("utf-8")

    named = set(re.findall(r"\bhub ([a-z]+)\b", "".join(re.findall(r"`[^`]+`", readme))))

    assert named <= command_page.commands().keys()
