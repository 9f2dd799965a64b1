"""Being told to stop: Ctrl-C and SIGTERM are one and the same."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = threading.Event()
"""Set when the process was told to stop; whoever waits for something wakes up."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, being told to stop sets STOPPING and raises KeyboardInterrupt in the main thread.

    Only the first time: what is being finished is not torn apart by an impatient second.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    STOPPING.clear()
    before = {one: signal.signal(one, _stop) for one in _SIGNALS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    if not STOPPING.is_set():
        STOPPING.set()
        raise KeyboardInterrupt


def wait_until_stopped() -> None:
    """Sleep until the process is told to stop, which comes as KeyboardInterrupt."""
    while not STOPPING.wait(1):
        pass


def sleep(seconds: float) -> None:
    """Wait, or stop waiting when the process is told to stop."""
    if STOPPING.wait(seconds):
        raise KeyboardInterrupt
