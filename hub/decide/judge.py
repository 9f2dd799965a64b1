"""Scores, daily bands and statuses of every customer, from the readings of the days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, select

from ..config import Config
from ..definitions import HealthModel, SignalDef
from ..score import Cap, Day, Held, Score, fold, score
from ..store import table_of
from ..store.tables import DailyBand, EffectiveInput, HubAccount
from .evaluate import Evaluation, Judged, Registry


@dataclass
class Judgement:
    """What one decision found: scores of the day, statuses, and what is newly known.

    `fresh_bands` are rows of days that were not judged before; `new_inputs` joined the effective
    model with this decision.
    """

    scores: dict[str, Score] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    fresh_bands: list[dict[str, Any]] = field(default_factory=list)
    new_inputs: set[str] = field(default_factory=set)


class Judge:
    """Judges days; knows the bands of earlier days and the inputs that ever delivered."""

    def __init__(self, reading: Connection, config: Config, registry: Registry) -> None:
        self.reading, self.config, self.registry = reading, config, registry
        inputs, accounts = table_of(EffectiveInput), table_of(HubAccount)
        self.effective = set(reading.execute(select(inputs.c.input)).scalars())
        links = select(accounts.c.id, accounts.c.link_confidence)
        self.confidence = dict(reading.execute(links).all())
        self.asks = {
            signal.name: {one.name for one in registry.measures_in((signal.name,))}
            for signal in registry.signals
        }

    def judge(
        self, evaluation: Evaluation, judged: Mapping[str, Judged], *, judged_from: date
    ) -> Judgement:
        """Score the day, and fold its bands with those of the days since `judged_from`."""
        day = evaluation.facts.day
        found = Judgement(new_inputs=self._take_in(evaluation, judged))
        found.scores = dict(self._scores(judged))
        bands = self._earlier_bands(judged_from, day, found)
        for account, scored in found.scores.items():
            found.fresh_bands.append(_band_row(account, day, scored))
            model = self.model(judged[account])
            days = [*bands.get(account, ()), Day(day, scored.band, scored.low)]
            if model is not None and (held := fold(days, model.bands)) is not None:
                found.held[account] = held
        return found

    def model(self, one: Judged) -> HealthModel | None:
        """The one health model of an account's segment."""
        return self.config.definitions.model_for(one.segment)

    def _take_in(self, evaluation: Evaluation, judged: Mapping[str, Judged]) -> set[str]:
        """An input joins the effective model when its source first delivers.

        It leaves only when an admin takes it out of the configuration, never by falling silent.
        """
        measures = self.registry.measures.items()
        configured = {name for name, one in measures if one.configured(evaluation.facts)}
        delivered = {
            name
            for name in configured
            if any(account.values.get(name) is not None for account in judged.values())
        }
        fresh = delivered - self.effective
        self.effective = (self.effective | fresh) & configured
        return fresh

    def _scores(self, judged: Mapping[str, Judged]) -> Iterator[tuple[str, Score]]:
        speaking = [s for s in self.registry.signals if s.caps and self._can_speak(s)]
        for account, one in judged.items():
            model = self.model(one)
            if model is None:
                continue
            inputs = {name for side in model.dimensions.values() for name in side.inputs}
            yield (
                account,
                score(
                    model,
                    {name: one.number(name) for name in inputs},
                    [Cap(s.name, s.caps, one.truth(s.name)) for s in speaking if s.caps],
                    effective=self.effective,
                    link_confidence=self.confidence.get(account, 1.0),
                ),
            )

    def _can_speak(self, signal: SignalDef) -> bool:
        """A cap whose measures this installation does not have at all says nothing."""
        return self.asks[signal.name] <= self.effective

    def _earlier_bands(
        self, judged_from: date, day: date, found: Judgement
    ) -> dict[str, list[Day]]:
        """The bands of the days before this one; those never judged are judged now."""
        table = table_of(DailyBand)
        bands: dict[str, list[Day]] = {}
        rows = select(table.c.account_id, table.c.day, table.c.band, table.c.low)
        for account, at, band, low in self.reading.execute(rows.where(table.c.day < day)):
            bands.setdefault(account, []).append(Day(at, band, low))
        done = {one.day for days in bands.values() for one in days}
        names = [*self.registry.measures, *(signal.name for signal in self.registry.signals)]
        registry = self.registry.for_other_days(names)
        for at in _days(judged_from, day):
            if at in done:
                continue
            judged = Evaluation(self.reading, self.config, registry, at).run()
            for account, scored in self._scores(judged):
                bands.setdefault(account, []).append(Day(at, scored.band, scored.low))
                found.fresh_bands.append(_band_row(account, at, scored))
        for days in bands.values():
            days.sort(key=lambda one: one.day)
        return bands


def _days(first: date, end: date) -> Iterator[date]:
    while first < end:
        yield first
        first += timedelta(days=1)


def _band_row(account: str, day: date, scored: Score) -> dict[str, Any]:
    return {
        "account_id": account,
        "day": day,
        "band": scored.band,
        "low": scored.low,
        "high": scored.high,
    }
