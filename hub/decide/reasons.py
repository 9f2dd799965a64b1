"""Why an account reads as it does: one sentence a cause, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from ..definitions import SignalDef
from ..score import Held, Score
from .evaluate import Judged, Registry
from .gaps import Gaps
from .sentences import day_words, says

SEVERITY: Mapping[str, int] = {"at_risk": 0, "watch": 1}


class Reasons:
    """Sentences about accounts; `since` dates the true signals."""

    def __init__(
        self, registry: Registry, since: Mapping[tuple[str, str], date], gaps: Gaps
    ) -> None:
        self.registry, self.since, self.missing = registry, since, gaps

    def of(self, one: Judged, scored: Score, held: Held) -> list[str]:
        """Most important first: the worst true signal of each cause, then why it is not certain."""
        found = [self.sentence(signal, one) for signal in self.worst_signals(one)]
        if kept := self.why_held(one, scored, held):
            found.append(kept[:1].upper() + kept[1:])
        elif scored.band == "unknown":
            found += [f"Not known: {gap}" for gap in self.gaps(one, scored)]
        if not found and scored.band in SEVERITY and scored.parts:
            weakest = max(scored.parts, key=lambda p: p.weight * (100 - (p.points or 0)))
            title = self.registry.measures[weakest.measure].title
            found.append(f"Weakest point: {title[:1].lower()}{title[1:]}")
        return found or ["No open problem"]

    def why_held(self, one: Judged, scored: Score, held: Held) -> str | None:
        """Why the status is not today's band; None when it is."""
        if held.status == scored.band:
            return None
        if scored.band == "unknown":
            since = day_words(held.unknown_since or self.missing.day)
            return f"held since {since}: {'; '.join(self.gaps(one, scored))}"
        return "held until it has been clearly better for 3 days"

    def worst_signals(self, one: Judged) -> list[SignalDef]:
        """The most severe true signal of each cause, most severe first."""
        true = [signal for signal in self.registry.signals if one.truth(signal.name)]
        worst: dict[str, SignalDef] = {}
        for signal in by_severity(true):
            worst.setdefault(signal.cause, signal)
        return list(worst.values())

    def sentence(self, signal: SignalDef, one: Judged, otherwise: date | None = None) -> str:
        """What a true signal says about this account."""
        return says(signal, one, self.since.get((one.account_id, signal.name), otherwise))

    def gaps(self, one: Judged, scored: Score) -> list[str]:
        """What is missing for a certain band, the heaviest first."""
        missing = sorted(
            (part for part in scored.parts if part.points is None),
            key=lambda part: (-part.weight, part.measure),
        )
        names = [part.measure for part in missing]
        if not names:
            unknown = [cap.signal for cap in scored.caps if cap.holds is None]
            asked = self.registry.measures_in(unknown)
            names = [measure.name for measure in asked if one.values.get(measure.name) is None]
        measures = self.registry.measures
        return list(
            dict.fromkeys(self.missing.why(one.account_id, measures[name]) for name in names)
        )


def by_severity(signals: Sequence[SignalDef]) -> list[SignalDef]:
    """Caps first, then signals that start a play, then the others."""
    return sorted(signals, key=lambda s: (SEVERITY.get(s.caps or "", 2), s.opens is None, s.name))
