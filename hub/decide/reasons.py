"""Why an account reads as it does: one sentence a cause, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from ..definitions import SignalDef
from ..score import Score
from .evaluate import Judged, Registry
from .sentences import says

SEVERITY: Mapping[str, int] = {"at_risk": 0, "watch": 1}
GAPS: Mapping[str, str] = {
    "usage": "no usage is linked",
    "tickets": "no support desk record is linked",
    "billing": "no billing record is linked",
}
"""What it means for an account that a kind of source says nothing about it."""


class Reasons:
    """Sentences about accounts; `since` dates the true signals."""

    def __init__(self, registry: Registry, since: Mapping[tuple[str, str], date]) -> None:
        self.registry, self.since = registry, since

    def of(self, one: Judged, scored: Score) -> list[str]:
        """Most important first: the worst true signal of each cause, gaps, the weakest input."""
        found = [self.sentence(signal, one) for signal in self.worst_signals(one)]
        if scored.band == "unknown":
            found += [f"Not known: {gap}" for gap in self.gaps(scored)]
        if not found and scored.band in SEVERITY and scored.parts:
            weakest = max(scored.parts, key=lambda p: p.weight * (100 - (p.points or 0)))
            found.append(f"Weakest point: {self._title(weakest.measure)}")
        return found or ["No open problem"]

    def worst_signals(self, one: Judged) -> list[SignalDef]:
        """The most severe true signal of each cause, most severe first."""
        true = [signal for signal in self.registry.signals if one.truth(signal.name)]
        return list({signal.cause: signal for signal in reversed(by_severity(true))}.values())[::-1]

    def sentence(self, signal: SignalDef, one: Judged, otherwise: date | None = None) -> str:
        """What a true signal says about this account."""
        return says(signal, one, self.since.get((one.account_id, signal.name), otherwise))

    def gaps(self, scored: Score) -> list[str]:
        """What is missing for a certain band, the heaviest first."""
        missing = sorted(
            (part for part in scored.parts if part.points is None),
            key=lambda part: (-part.weight, part.measure),
        )
        found = [self._gap(part.measure) for part in missing]
        if not found:
            unknown = [cap.signal for cap in scored.caps if cap.holds is None]
            asked = self.registry.measures_in(unknown)
            found = [self._gap(one.name) for one in asked]
        return list(dict.fromkeys(found))

    def _gap(self, measure: str) -> str:
        needs = self.registry.measures[measure].needs
        return GAPS.get(needs or "") or self._title(measure)

    def _title(self, measure: str) -> str:
        title = self.registry.measures[measure].title
        return title[:1].lower() + title[1:]


def by_severity(signals: Sequence[SignalDef]) -> list[SignalDef]:
    """Caps first, then signals that start a play, then the others."""
    return sorted(signals, key=lambda s: (SEVERITY.get(s.caps or "", 2), s.opens is None, s.name))
