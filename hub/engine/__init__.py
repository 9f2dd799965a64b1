"""When and where the steps run: the verbs as steps, and the engine that runs them in order."""

from .inline import InlineEngine
from .port import Ended, Engine, Result, Step
from .verbs import Report, Verbs

__all__ = ["Ended", "Engine", "InlineEngine", "Report", "Result", "Step", "Verbs"]
