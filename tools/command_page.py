"""Writes docs/commands.md from the command line itself, so that the page cannot drift from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from hub.cli.app import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
TOP = """# Commands

Results go to stdout; progress, advice and what did not work go to stderr. With `--json` stdout
holds one JSON document, or one a line for lists, and nothing else; an error is
`{"error": {"code": …, "message": …}}`. The codes stand in [Errors](errors.md).

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed; nothing of it is lost, and the next run goes on from there |
| 2 | wrong use or configuration; nothing was done |
| 3 | done in part: what was set aside, rejected or refused is listed |

| variable | what it sets |
| --- | --- |
| `HUB_CONFIG_DIR` | the config folder, else `./config`; `.env` stands beside it |
| `HUB_DATA_DIR` | the data directory, else `./var`: `hub.db` is all there is to back up |
| `HUB_DATABASE_URL` | `postgresql://…` instead of `hub.db` |
| `HUB_LOG` | `INFO`, `DEBUG` …: log to stderr; else to `hub.log` in the data directory |

Commands that run verbs hold a lock on the data directory, so two never work on it at once. Ctrl-C
and SIGTERM end them at the next page: what is stored is kept. `accounts`, `explain`, `doctor`,
`plugins` and `plan --show` only look and take no lock.

<!-- From here on written by tools/command_page.py from hub/cli/app.py; edit there. -->
"""


def page() -> str:
    """The whole page as it should stand in docs/commands.md."""
    return TOP + "".join(_section(name, one) for name, one in commands().items())


def commands() -> dict[str, Any]:
    """Our own commands by name; those of plugins are documented by the plugins."""
    tree: Any = get_command(app)
    return dict(tree.commands)


def _section(name: str, command: Any) -> str:
    words = [f"hub {name}", *(_usage(param) for param in command.params if param.name != "help")]
    lines = [f"\n## hub {name}\n", f"`{' '.join(words)}`\n", _prose(command.help)]
    listed = list(_rows(command))
    if listed:
        lines += ["", "| argument | what it does |", "| --- | --- |", *listed]
    return "\n".join(lines) + "\n"


def _prose(text: str | None) -> str:
    paragraphs = (text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _rows(command: Any) -> Iterator[str]:
    for param in command.params:
        default = "" if param.default in (None, False, True) else f" Default: `{param.default}`."
        yield f"| `{_name(param)}` | {param.help}{default} |"


def _is_argument(param: Any) -> bool:
    return str(param.param_type_name) == "argument"


def _name(param: Any) -> str:
    if _is_argument(param):
        return str(param.name).upper()
    value = f" {param.metavar or 'N'}" if not param.is_flag else ""
    return f"{param.opts[0]}{value}"


def _usage(param: Any) -> str:
    name = _name(param) + ("…" if param.nargs == -1 else "")
    return name if param.required else f"[{name}]"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
