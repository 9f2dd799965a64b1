"""The house rules that no linter knows, checked on the syntax tree of hub/, connectors/ and rules/.

1. Time, chance and sleep come from `Env`, so that any run can be replayed: nobody else asks the
   clock or the dice. `random.Random(seed)` is allowed: a seeded sequence is no chance.
2. Connectors and rules take names from `hub`, never from a module inside.
3. Only a connector's sandbox modules take from `hub.testing`: the stand-ins stay out of production.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("hub", "connectors", "rules")
THE_SEAM = Path("hub/env.py")

CLOCK_AND_CHANCE = frozenset(
    {
        "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today",
        "datetime.date.today",
        "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter",
        "time.perf_counter_ns", "time.sleep", "time.localtime", "time.gmtime",
        "asyncio.sleep", "os.urandom", "os.getrandom", "random.SystemRandom",
        "uuid.uuid1", "uuid.uuid4",
    }
)  # fmt: skip
"""Names that ask the world; `random.*` and `secrets.*` are refused as a whole."""


def problems(folders: tuple[str, ...] = FOLDERS, root: Path = ROOT) -> Iterator[str]:
    """One sentence for each breach, as `file:line: …`."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root)
            for line, sentence in breaches(path.read_text("utf-8"), name):
                yield f"{name}:{line}: {sentence}"


def breaches(source: str, path: Path) -> Iterator[tuple[int, str]]:
    """The breaches in one module, with their lines."""
    tree = ast.parse(source, filename=str(path))
    if path != THE_SEAM:
        yield from _asks_the_world(tree)
    if path.parts[0] != "hub":
        yield from _reaches_inside(tree, is_sandbox=path.name.startswith("sandbox"))


def _asks_the_world(tree: ast.Module) -> Iterator[tuple[int, str]]:
    known = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _full_name(node, known)
            if name and _is_world(name):
                yield node.lineno, f"{name} asks the clock or chance; take it from Env"


def _is_world(name: str) -> bool:
    if name in CLOCK_AND_CHANCE or name.startswith("secrets."):
        return name not in ("secrets.compare_digest",)
    return name.startswith("random.") and name != "random.Random"


def _imported(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `dt` → `datetime`, `now` → `time.time`."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return known


def _full_name(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _full_name(node.value, known)
        return f"{base}.{node.attr}" if base else None
    return None


def _reaches_inside(tree: ast.Module, *, is_sandbox: bool) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for module in _modules(node):
            if f"{module}.".startswith("hub.testing."):
                if not is_sandbox:
                    yield node.lineno, f"imports {module}; only sandbox modules may"
            elif module.startswith("hub."):
                yield node.lineno, f"imports {module}; take public names from hub"


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not node.module or node.level:
        return []
    whole = node.module == "hub" and any(alias.name == "testing" for alias in node.names)
    return ["hub.testing" if whole else node.module]


def main() -> int:
    """Print every breach; 1 when there is one."""
    found = list(problems())
    print("\n".join(found) or "Time and chance come from Env; plugins use public names.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
