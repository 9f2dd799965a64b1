"""`hub sync`, `unify`, `decide` and `run`: the verbs as steps, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..config import Config
from ..engine import Ended, InlineEngine, Step, Verbs
from ..errors import UsageError
from ..store import Database
from ..yamlfile import nearest
from . import interrupted, summary, troubles
from .days import parsed
from .output import error_document, note, note_some, say, say_json, sentences
from .plans import deliver_line, of_delivered
from .progress import bars
from .session import Session
from .troubles import Trouble


def sync(only: Sequence[str], accept_gone: Sequence[str], as_json: bool) -> int:
    """Read from every connection, or those named; `accept_gone` as in `hub.sync`."""
    session = Session()
    for name in only:
        if name not in session.config.connections:
            do = nearest(name, session.config.connections)
            raise UsageError(f"there is no connection {name}", do=do, code="NOT_FOUND")
    return _run(session, lambda verbs: [verbs.sync(only, accept_gone)], as_json)


def unify(as_json: bool) -> int:
    """Join what was read."""
    return _run(Session(), lambda verbs: [verbs.unify()], as_json)


def decide(as_of: str | None, as_json: bool) -> int:
    """Judge every customer, today or as of a past day."""
    day = parsed(as_of)
    return _run(Session(), lambda verbs: [verbs.decide(day)], as_json)


def run(as_json: bool) -> int:
    """All four verbs once."""
    return _run(Session(), lambda verbs: verbs.steps(), as_json)


def _run(session: Session, choose: Callable[[Verbs], list[Step]], as_json: bool) -> int:
    config = session.config
    with session.working() as database:
        told = run_steps(config, database, session, choose, quiet=as_json)
    if as_json:
        say_json(told.document())
    return told.exit_code


def run_steps(
    config: Config,
    database: Database,
    session: Session,
    choose: Callable[[Verbs], list[Step]],
    *,
    quiet: bool = False,
) -> Told:
    """Run the chosen steps with bars; unless `quiet`, tell of those that ended, come what may."""
    told = Told(database)
    try:
        with bars() as report:
            told.verbs = Verbs(config, database, session.env, report=report)
            told.ended = InlineEngine(config.plugins.hook).run(choose(told.verbs))
    finally:
        if not quiet:
            told.say()
    return told


class Told:
    """What a run of verbs has to say: lines for people, a document for programs."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.verbs: Verbs | None = None
        self.ended: list[Ended] = []

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed or interrupted, 3 done in part."""
        results = {one.result for one in self.ended}
        if results & {"failed", "interrupted"}:
            return 1
        return 3 if "partly" in results else 0

    def say(self, *, after: str = "") -> None:
        """The summary on stdout; what did not work on stderr, the first few of each kind.

        `after` follows the last line.
        """
        *others, last = [*self.lines(), ""] if not self.lines() else self.lines()
        for text in others:
            say(text)
        if last:
            say(last + after)
        found = self.troubles()
        for kind in dict.fromkeys(one.kind for one in found):
            lines = [str(one) for one in found if one.kind == kind]
            if kind in ("aside", "rejected"):
                note_some(lines, more="hub doctor --aside")
            else:
                for text in lines:
                    note(text)
        if self._interrupted():
            note(sentences(interrupted())[0])

    def lines(self) -> list[str]:
        """A line for each verb that came to its end."""
        verbs, found = self.verbs, []
        if verbs and verbs.synced:
            found.append(summary.read_line(verbs.synced))
        if verbs and verbs.unified:
            found.append(summary.joined_line(verbs.unified, self.database))
        if verbs and verbs.decided:
            found += [summary.judged_line(verbs.decided), summary.decided_line(verbs.decided)]
        if verbs and verbs.delivered:
            found.append(deliver_line(verbs.delivered, self.database))
        return found

    def troubles(self) -> list[Trouble]:
        """Everything that did not work although the run went on."""
        verbs = self.verbs
        found: list[Trouble] = []
        if verbs and verbs.synced:
            found += troubles.of_sync(verbs.synced, self.database)
        if verbs and verbs.unified:
            found += troubles.of_unify(verbs.unified)
        if verbs and verbs.delivered:
            found += of_delivered(verbs.delivered)
        return found

    def document(self) -> dict[str, object]:
        """The same for programs, with nothing left out."""
        document: dict[str, object] = {
            "result": {0: "done", 1: "failed", 3: "partly"}[self.exit_code],
            "steps": [
                {"step": one.step, "run": one.run, "result": one.result, "counts": one.counts}
                for one in self.ended
            ],
            "troubles": [one.document() for one in self.troubles()],
        }
        return document | (error_document(interrupted()) if self._interrupted() else {})

    def _interrupted(self) -> bool:
        return any(one.result == "interrupted" for one in self.ended)
