"""The engine of `hub run`: one step after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from ..log import logger
from .port import Ended, Step

log = logger("engine")


class InlineEngine:
    """Runs steps here and now; `hook` is where plugins are told of each that ended."""

    def __init__(self, hook: pluggy.HookRelay) -> None:
        self.hook = hook

    def run(self, steps: Sequence[Step]) -> list[Ended]:
        """Run the steps in order; one that failed or was interrupted is the last."""
        ended: list[Ended] = []
        for step in steps:
            log.info("step.started", step=step.name)
            ended.append(step.do())
            self._tell(ended[-1])
            if ended[-1].result in ("failed", "interrupted"):
                break
        return ended

    def _tell(self, one: Ended) -> None:
        """An observer's fault is its own: what the step did stands."""
        log.info("step.finished", step=one.step, run=one.run, result=one.result)
        try:
            self.hook.step_finished(step=one.step, run=one.run, counts=dict(one.counts))
        except Exception:
            log.exception("step.observer_failed", step=one.step)
