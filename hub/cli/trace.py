"""Where the trace of an unexpected fault goes: into the log file, never onto a screen."""

from __future__ import annotations

import os
import traceback
from pathlib import Path


def keep_trace(error: BaseException) -> Path | None:
    """Append the trace to the log in the data directory; None when it cannot be written."""
    from ..env import Env
    from ..log import redact
    from .session import LOG, make_private, open_log

    directory = Path(os.environ.get("HUB_DATA_DIR") or "var")
    trace = redact("".join(traceback.format_exception(error)))
    try:
        make_private(directory)
        with open_log(directory / LOG) as file:
            file.write(f"{Env().now().isoformat()} unexpected\n{trace}")
    except Exception:  # noqa: BLE001 - a fault while telling of a fault ends here
        return None
    return directory / LOG
