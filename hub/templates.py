"""Task texts that a CSM reads: Markdown with a few fill-ins, the first line is the task's title."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import SandboxedEnvironment

from .errors import ConfigError
from .yamlfile import nearest

VARIABLES = frozenset(("account", "signal", "evidence", "renewal_on", "owner", "link"))
"""What a template may use: names as text, `evidence` a list of sentences, `renewal_on` a day or
None, `link` where to see how the hub knows."""

_jinja = SandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


def check_template(text: str, name: str) -> Iterator[ConfigError]:
    """What keeps this text from being a task, with the line."""
    if not text.startswith("# ") or not text.splitlines()[0][2:].strip():
        what = "the first line is not the task's title"
        yield ConfigError(what, where=f"{name}, line 1", do="Begin the file with # and the title")
    try:
        used = meta.find_undeclared_variables(_jinja.parse(text))
    except TemplateSyntaxError as error:
        where = f"{name}, line {error.lineno}"
        yield ConfigError(
            f"the fill-in cannot be read: {error.message}", where=where, do="Correct this line"
        )
        return
    for word in sorted(used - VARIABLES):
        line = next((at for at, row in enumerate(text.splitlines(), 1) if word in row), 1)
        yield ConfigError(
            f"{word} is nothing that a task can be filled with",
            where=f"{name}, line {line}",
            do=nearest(word, VARIABLES),
        )


def render_task(text: str, values: dict[str, object], *, where: str) -> tuple[str, str]:
    """The title and the body of a task. Raises ConfigError when a fill-in has no value."""
    try:
        filled = _jinja.from_string(text).render(values).strip()
    except TemplateError as error:
        do = "Correct the fill-in"
        raise ConfigError(f"the task cannot be filled in: {error}", where=where, do=do) from error
    title, _, body = filled.partition("\n")
    return " ".join(title.removeprefix("#").split()), body.strip()
