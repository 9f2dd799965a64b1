"""Bars with counts and rate on stderr, when a person watches; otherwise silence."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..engine import Report


@contextmanager
def bars() -> Iterator[Report]:
    """Give a report function; each stream that it hears of gets a bar of its own."""
    if not sys.stderr.isatty():
        yield lambda step, connection, stream, rows: None
        return
    with _progress() as progress:
        yield _Bars(progress).report


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[count]:>9}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


class _Bars:
    """One bar a stream; nobody knows beforehand how much a vendor holds, so they run on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[tuple[str, str, str], TaskID] = {}
        self.lock = threading.Lock()

    def report(self, step: str, connection: str, stream: str, rows: int) -> None:
        with self.lock:
            self._show((step, connection, stream), rows)

    def _show(self, key: tuple[str, str, str], rows: int) -> None:
        if key not in self.tasks:
            self._finish_others(*key[:2])
            name = " ".join(filter(None, key))
            self.tasks[key] = self.progress.add_task(name, total=None, count="", rate="")
        task = self.progress.tasks[self.progress.task_ids.index(self.tasks[key])]
        rate = f"{rows / task.elapsed:,.0f}/s" if task.elapsed and rows else ""
        self.progress.update(self.tasks[key], count=f"{rows:,}" if rows else "", rate=rate)

    def _finish_others(self, step: str, connection: str) -> None:
        """A connection reads one stream at a time, and a step follows the one before."""
        for (earlier, name, _), task in self.tasks.items():
            if name == connection or earlier != step:
                self.progress.update(task, visible=False)
