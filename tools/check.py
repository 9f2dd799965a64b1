"""The gate behind `make test`: each step in order, stopping at the first that fails.

The quick steps come first, so a slip is told within seconds. Quiet steps show their output only
when they fail; the tests speak for themselves.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


class Step(NamedTuple):
    """One thing that must hold; `command` starts with a program of this environment."""

    name: str
    command: tuple[str, ...]
    speaks: bool = False


STEPS = (
    Step("lint", ("ruff", "check", ".")),
    Step("format", ("ruff", "format", "--check", ".")),
    Step("types", ("mypy",)),
    Step("who may import whom", ("lint-imports", "--no-cache")),
    Step("house rules", ("python", "tools/house.py")),
    Step(
        "tests",
        ("python", "-m", "pytest", "-n2", "--dist=loadfile", "--randomly-seed=1"),
        speaks=True,
    ),
)


def passes(step: Step) -> bool:
    """Whether the step holds; what it printed is shown when it does not."""
    program, *arguments = step.command
    started = time.monotonic()
    done = subprocess.run(
        [BIN / program, *arguments],
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=None if step.speaks else subprocess.PIPE,
        stderr=None if step.speaks else subprocess.STDOUT,
    )
    if step.speaks:
        return done.returncode == 0
    if done.returncode:
        print(done.stdout, end="")
    else:
        print(f"{step.name:<20} ok {time.monotonic() - started:6.1f} s")
    return done.returncode == 0


def main() -> int:
    """The exit code: 0 when every step holds."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for step in STEPS:
        if not passes(step):
            print(f"make test stopped at: {step.name} ({' '.join(step.command)}).")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
