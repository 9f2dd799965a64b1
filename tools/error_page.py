"""Writes docs/errors.md from hub/errors.py, so that the page cannot drift from the code."""

from __future__ import annotations

from pathlib import Path

from hub import errors

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"
TOP = """# Errors

Whatever goes wrong, the hub says in one sentence what happened, where, and what to do. Logs and
`--json` answers carry a code beside the sentence. Codes are stable: a script may rely on them.

<!-- Written by tools/error_page.py from hub/errors.py; edit there. -->

## Codes

| code | what happened |
| --- | --- |
"""
MIDDLE = """
## What the hub does next

The class of an error says how the hub goes on. A plugin raises these; they are all `HubError`.

| class | usual code | what follows |
| --- | --- | --- |
"""


def page() -> str:
    """The whole page as it should stand in docs/errors.md."""
    codes = "".join(f"| `{code}` | {sentence} |\n" for code, sentence in errors.CODES.items())
    classes = "".join(
        f"| `{kind.__name__}` | `{kind.default_code}` | {_first_line(kind)} |\n"
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HubError) and kind.__doc__
    )
    return TOP + codes + MIDDLE + classes


def _first_line(kind: type[errors.HubError]) -> str:
    return (kind.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
