"""The command line: `hub …`. One boundary turns every error into one sentence and an exit code.

0 done, 1 failed, 2 wrong use or configuration, 3 done in part (what was set aside is listed).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from ..errors import ConfigError, HubError, UsageError
from .signals import interruptible

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if args is None else args) or ["--help"]
    try:
        with interruptible():
            return _run(words)
    except KeyboardInterrupt:
        return _told(interrupted(), words)
    except HubError as error:
        return _told(error, words)
    except BrokenPipeError:
        return _unheard()
    except Exception as error:  # noqa: BLE001 - this is the boundary: no trace for people
        return _told(_unexpected(error), words)


def interrupted() -> HubError:
    """The error of a command that was told to stop."""
    return HubError(
        "the command was stopped; what was finished is kept",
        do="Run it again: it goes on from there",
        code="INTERRUPTED",
    )


def _run(words: list[str]) -> int:
    from typer import Exit, TyperException
    from typer.main import get_command

    from .app import app

    command = get_command(app)
    try:
        with command.make_context("hub", words) as context:
            done = command.invoke(context)
    except Exit as ended:
        return ended.exit_code
    except TyperException as error:
        place = getattr(error, "ctx", None)
        path = place.command_path if place else "hub"
        raise UsageError(error.format_message(), do=f"Run `{path} --help`") from error
    return done if isinstance(done, int) else 0


def _told(error: HubError, words: Sequence[str]) -> int:
    from .output import error_document, note, say_json, sentences

    for sentence in sentences(error):
        note(sentence)
    if "--json" in words:
        say_json(error_document(error))
    return 2 if isinstance(error, ConfigError | UsageError) else 1


def _unheard() -> int:
    """Whoever read our output has gone, as `head` does: stop without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _unexpected(error: Exception) -> HubError:
    """What may be said of a fault of our own; the trace goes into the log file."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        do = "Free some, then run it again"
        return HubError("there is no space left", do=do, code="DISK_FULL")
    from .trace import keep_trace

    kept = keep_trace(error)
    return HubError(
        f"a fault in the hub itself ({type(error).__name__})",
        do=f"Report it with {kept}, which says where" if kept else "Report it",
        code="UNEXPECTED",
    )
