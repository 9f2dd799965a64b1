"""The pages a newcomer reads are true: commands exist, links lead somewhere, codes are told."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import error_page
import pytest

from hub.errors import CODES

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
UNFINISHED = re.compile(r"(?<![\"'`])\b(?:TODO|FIXME|XXX|TBD)\b(?![\"'`])")
"""In quotes it is somebody else's word: HubSpot has a kind of task of that name."""


def project_files(*endings: str) -> list[Path]:
    """The files that belong to the project, as git sees them; those not yet added count too."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    paths = (ROOT / name for name in listed if name.endswith(endings))
    return sorted(path for path in set(paths) if path.is_file())


def links(page: Path) -> Iterator[str]:
    """Links of a page that lead into the project; examples in code are none."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    for match in LINK.finditer(prose):
        target = match[1] or match[2]
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """The anchors that a reader's browser makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_every_make_command_in_the_readme_exists():
    readme = (ROOT / "README.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")

    named = set(re.findall(r"\bmake ([a-z]+)\b", "".join(re.findall(r"`[^`]+`", readme))))
    named |= set(re.findall(r"^make ([a-z]+)", readme, flags=re.MULTILINE))

    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


def test_the_plain_lines_of_the_readme_do_what_the_makefile_does():
    readme = (ROOT / "README.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")

    shared = [
        "--require-hashes -r requirements.lock",
        "--no-deps --no-build-isolation -e .",
        "bin/hub demo",
        "bin/python tools/check.py",
    ]

    assert [part for part in shared if part not in readme] == []
    assert [part for part in shared if part not in makefile] == []


@pytest.mark.parametrize("page", project_files(".md"), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path):
    dead = []

    for target in links(page):
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)

    assert dead == []


def test_nothing_is_left_for_later_in_words():
    texts = project_files(".md", ".py", ".yaml", ".toml", "Makefile", ".ci/run", ".html", ".css")

    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(line) and path != Path(__file__)
    ]

    assert found == []


def test_every_page_in_docs_is_reachable_from_the_index():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}

    listed = {target.partition("#")[0] for target in links(ROOT / "docs" / "index.md")}

    assert pages - listed == set()


def test_every_error_code_is_told_with_its_sentence():
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")

    untold = [code for code, what in CODES.items() if f"| `{code}` | {what} |" not in page]

    assert untold == []


def test_the_error_page_is_what_its_script_writes():
    standing = (ROOT / "docs" / "errors.md").read_text("utf-8")

    written = error_page.page()

    assert standing == written


def test_the_lock_pins_every_requirement_by_hash_and_names_no_host():
    lock = (ROOT / "requirements.lock").read_text("utf-8")

    pins = re.findall(r"^([\w.-]+)==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    lines = re.findall(r"^\S*==\S*", lock, re.MULTILINE)

    assert len(pins) == len(lines) > 50
    assert not re.search(r"https?://|file:|--index-url|--find-links|--trusted-host", lock)


def test_the_lock_holds_everything_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lock = (ROOT / "requirements.lock").read_text("utf-8")

    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[\[<>=~ ;]", line)[0].lower().replace(".", "-") for line in wanted}

    assert names - set(re.findall(r"^([a-z0-9-]+)(?:\[\S+\])?==", lock, re.MULTILINE)) == set()
