"""decide: facts → readings, scores, statuses, episodes, desired state. No network, no clock.

Everything of one decision is written under its run number and becomes current by one pointer
update, together with the episodes it opened and closed. A past day is a what-if: stored as a
replay, never current, never the ground of a plan.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select

from ..config import Config
from ..definitions import HealthModel, SignalDef
from ..errors import UsageError
from ..facts import Facts
from ..log import logger
from ..score import Cap, Day, Held, Score, fold, score
from ..store import Database, canonical, digest, table_of, upsert
from ..store.primary import records_of_accounts
from ..store.progress import begin_run, end_run
from ..store.tables import (
    DailyBand,
    Decision,
    DesiredField,
    DesiredTask,
    EffectiveInput,
    Episode,
    HubAccount,
    Published,
    Reading,
    Verdict,
)
from .desire import TaskWriter, Told, Tools, desired_fields
from .episodes import Changes, first_true_days, follow, open_episodes
from .evaluate import Evaluation, Judged, Registry, registry
from .proof import citations
from .sentences import one_line, says, source_line

log = logger("decide")

CURRENT, JUDGED_FROM = "current", "judged_from"
AUTOMATIC = 0.85
SEVERITY = {"at_risk": 0, "watch": 1}
GAPS = {
    "usage": "no usage is linked",
    "tickets": "no support desk record is linked",
    "billing": "no billing record is linked",
}
"""What it means for an account that a kind of source says nothing about it."""


@dataclass
class Decided:
    """What a decision says, in numbers: customers by status, open problems by cause."""

    run: int
    as_of: date
    kind: str
    statuses: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)
    opened: int = 0
    closed: int = 0
    unknown_why: dict[str, int] = field(default_factory=dict)


def decide(
    config: Config, database: Database, *, now: datetime, today: date, as_of: date | None = None
) -> Decided:
    """Judge every customer on a team day (None: today) and write down what should be said.

    Raises UsageError for a day that has not come yet.
    """
    day = as_of or today
    if day > today:
        raise UsageError(f"{day} has not come yet", do="Give a day up to today")
    kind = "current" if day == today else "replay"
    run = begin_run(database, "decide", now=now, as_of=day, versions=_versions(config))
    made = _Decision(config, database, day, kind, run, now).make()
    counts = {**made.statuses, "problems": sum(made.problems.values())}
    end_run(database, run, now=now, result="done", counts=counts)
    log.info("decide.finished", run=run, as_of=str(day), kind=kind, **made.statuses)
    return made


def published_run(reading: Connection) -> int | None:
    """The run of the current decision; None before the first one."""
    table = table_of(Published)
    return reading.execute(select(table.c.run).where(table.c.name == CURRENT)).scalar()


def _versions(config: Config) -> dict[str, str]:
    models = {
        name: model.model_dump(mode="json") for name, model in config.definitions.health.items()
    }
    return {"config": config.digest, "model": digest(canonical(models))}


class _Decision:
    """One decision in the making; its methods are its steps, in order."""

    def __init__(
        self, config: Config, database: Database, day: date, kind: str, run: int, now: datetime
    ) -> None:
        self.config, self.database = config, database
        self.day, self.kind, self.run, self.now = day, kind, run, now
        self.measures: Registry = registry(config)
        self.judged: dict[str, Judged] = {}
        self.scores: dict[str, Score] = {}
        self.held: dict[str, Held] = {}
        self.since: dict[tuple[str, str], date] = {}
        self.cited: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = {}
        self.changes = Changes()

    def make(self) -> Decided:
        with self.database.read() as reading:
            self._read_ground(reading)
            self._judge_days(reading)
            evaluation = Evaluation(reading, self.config, self.measures, self.day)
            self.judged = evaluation.run()
            self._score(evaluation)
            self.since = first_true_days(
                reading, self.config, self.measures, self.judged, self.day,
                self.known_since, self.known_on,
            )  # fmt: skip
            evaluation.run()  # looking back replaced the day's table
            self.changes = follow(evaluation, self.judged, self.since, self.before, run=self.run)
            self._cite(reading, evaluation)
            self.currencies = self._currencies(reading)
            rows = self._rows(reading, evaluation)
        self._store(rows)
        return self._told()

    # --- what is already there ----------------------------------------------------------------

    def _read_ground(self, reading: Connection) -> None:
        """The current decision, the days judged so far, and the inputs that ever delivered."""
        self.previous = published_run(reading) if self.kind == "current" else None
        self.before = open_episodes(reading) if self.kind == "current" else []
        stored = reading.execute(
            select(table_of(Published).c.day).where(table_of(Published).c.name == JUDGED_FROM)
        ).scalar()
        self.judged_from = stored or min(self.config.judged_from or self.day, self.day)
        self.judged_from = min(self.judged_from, self.day)
        inputs = table_of(EffectiveInput)
        self.effective = set(reading.execute(select(inputs.c.input)).scalars())
        self.known_since, self.known_on = self._known_since(reading)
        accounts = table_of(HubAccount)
        self.confidence = dict(
            reading.execute(select(accounts.c.id, accounts.c.link_confidence)).tuples().all()
        )

    def _known_since(self, reading: Connection) -> tuple[dict[tuple[str, str], date], date | None]:
        if self.previous is None:
            return {}, None
        readings, decisions = table_of(Reading), table_of(Decision)
        on = reading.execute(
            select(decisions.c.as_of).where(decisions.c.run == self.previous)
        ).scalar()
        rows = reading.execute(
            select(readings.c.account_id, readings.c.name, readings.c.since).where(
                readings.c.run == self.previous, readings.c.since.is_not(None)
            )
        )
        return {(account, name): since for account, name, since in rows}, on

    # --- days, scores, statuses ---------------------------------------------------------------

    def _judge_days(self, reading: Connection) -> None:
        """Bands of the days between the last judged one and this one, for the fold."""
        table = table_of(DailyBand)
        self.bands: dict[str, list[Day]] = {}
        for account, day, band, low in reading.execute(
            select(table.c.account_id, table.c.day, table.c.band, table.c.low)
            .where(table.c.day < self.day)
            .order_by(table.c.day)
        ):
            self.bands.setdefault(account, []).append(Day(day, band, low))
        done = {one.day for days in self.bands.values() for one in days}
        self.fresh_bands: list[dict[str, Any]] = []
        at = self.judged_from
        while at < self.day:
            if at not in done:
                self._judge_past_day(reading, at)
            at += timedelta(days=1)
        for days in self.bands.values():
            days.sort(key=lambda one: one.day)

    def _judge_past_day(self, reading: Connection, at: date) -> None:
        evaluation = Evaluation(reading, self.config, self.measures, at)
        for account, one in evaluation.run().items():
            scored = self._score_one(evaluation, one)
            if scored is not None:
                self.bands.setdefault(account, []).append(Day(at, scored.band, scored.low))
                self.fresh_bands.append(self._band_row(account, at, scored))

    def _score(self, evaluation: Evaluation) -> None:
        self._take_in_inputs(evaluation)
        for account, one in self.judged.items():
            scored = self._score_one(evaluation, one)
            model = self.config.definitions.model_for(one.segment)
            if scored is None or model is None:
                continue
            self.scores[account] = scored
            self.fresh_bands.append(self._band_row(account, self.day, scored))
            days = [*self.bands.get(account, []), Day(self.day, scored.band, scored.low)]
            held = fold(days, model.bands)
            if held is not None:
                self.held[account] = held

    def _take_in_inputs(self, evaluation: Evaluation) -> None:
        """An input joins the effective model when its source first delivers; it never leaves."""
        delivered = {
            name
            for one in self.judged.values()
            for name in self.measures.measures
            if one.values.get(name) is not None
        }
        configured = {
            name for name, one in self.measures.measures.items() if one.configured(evaluation.facts)
        }
        self.new_inputs = (delivered & configured) - self.effective
        self.effective |= self.new_inputs

    def _score_one(self, evaluation: Evaluation, one: Judged) -> Score | None:
        model = self.config.definitions.model_for(one.segment)
        if model is None:
            return None
        inputs = {name for dimension in model.dimensions.values() for name in dimension.inputs}
        caps = [
            Cap(signal.name, signal.caps, one.truth(signal.name))
            for signal in evaluation.signals
            if signal.caps is not None and self._can_speak(evaluation, signal)
        ]
        return score(
            model,
            {name: one.number(name) for name in inputs},
            caps,
            effective=self.effective,
            link_confidence=self.confidence.get(one.account_id, 1.0),
        )

    def _can_speak(self, evaluation: Evaluation, signal: SignalDef) -> bool:
        """A cap whose measures this installation does not have at all says nothing."""
        names = {
            m.name for m in self.measures.measures_in(self.measures.condition(signal, None).names)
        }
        return names <= self.effective

    def _band_row(self, account: str, day: date, scored: Score) -> dict[str, Any]:
        return {
            "account_id": account,
            "day": day,
            "band": scored.band,
            "low": scored.low,
            "high": scored.high,
        }

    # --- reasons and proof --------------------------------------------------------------------

    def _cite(self, reading: Connection, evaluation: Evaluation) -> None:
        """The rows behind every true signal."""
        for signal in evaluation.signals:
            accounts = [a for a, one in self.judged.items() if one.truth(signal.name)]
            if not accounts:
                continue
            names = self.measures.condition(signal, None).names
            for one in self.measures.measures_in(names):
                found = citations(reading, evaluation, one, accounts)
                for account, rows in found.items():
                    self._add_citations(account, signal.name, rows)

    def _add_citations(
        self, account: str, signal: str, rows: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> None:
        mine = self.cited.setdefault((account, signal), [])
        known = {row["key"] for _, row in mine}
        mine += [(view, row) for view, row in rows if row["key"] not in known]

    def _reasons(self, evaluation: Evaluation, one: Judged, model: HealthModel) -> list[str]:
        """One sentence a cause, the most severe first; without any, the weakest input."""
        signals = [signal for signal in evaluation.signals if one.truth(signal.name)]
        signals.sort(key=lambda s: (SEVERITY.get(s.caps or "", 2), s.opens is None, s.name))
        worst = {signal.cause: signal for signal in reversed(signals)}
        reasons = [
            says(signal, one, self.since.get((one.account_id, signal.name)))
            for signal in signals
            if worst[signal.cause] is signal
        ]
        scored = self.scores[one.account_id]
        if scored.band == "unknown":
            reasons += self._gaps(scored)
        if not reasons and scored.band in SEVERITY:
            weakest = max(scored.parts, key=lambda p: p.weight * (100 - (p.points or 0)))
            reasons.append(f"Weakest point: {self._title(weakest.measure)}")
        return reasons or ["No open problem"]

    def _gaps(self, scored: Score) -> list[str]:
        """What is missing for a certain band, the heaviest first."""
        missing = sorted(
            (p for p in scored.parts if p.points is None), key=lambda p: (-p.weight, p.measure)
        )
        kinds = list(dict.fromkeys(self._kind(part.measure) for part in missing))
        caps = [cap for cap in scored.caps if cap.holds is None]
        if not kinds and caps:
            kinds = [self._kind_of_signal(caps[0].signal)]
        return [f"Not known: {kind}" for kind in kinds if kind]

    def _kind(self, measure: str) -> str:
        needs = self.measures.measures[measure].needs
        return GAPS.get(needs or "") or self._title(measure)

    def _kind_of_signal(self, signal: str) -> str:
        definition = self.config.definitions.signals[signal]
        return definition.title

    def _title(self, measure: str) -> str:
        title = self.measures.measures[measure].title
        return title[:1].lower() + title[1:]

    # --- rows of the decision -----------------------------------------------------------------

    def _rows(self, reading: Connection, evaluation: Evaluation) -> dict[Any, list[dict[str, Any]]]:
        verdicts = list(self._verdicts(evaluation))
        told = {
            row["account_id"]: Told(
                row["status"], row["since"], one_line("; ".join(json.loads(row["reasons"])))
            )
            for row in verdicts
        }
        records = records_of_accounts(reading, confidence=AUTOMATIC)
        tools = Tools(reading, self.config)
        writer = TaskWriter(
            reading, self.config, tools, records, run=self.run, before=self.previous
        )
        return {
            Reading: list(self._readings(evaluation)),
            Verdict: verdicts,
            DesiredField: list(desired_fields(tools, told, records, self.run)),
            DesiredTask: [self._task(writer, evaluation, one) for one in self.changes.open],
        }

    def _task(
        self, writer: TaskWriter, evaluation: Evaluation, episode: Mapping[str, Any]
    ) -> dict[str, Any]:
        one = self.judged[episode["account_id"]]
        signals = [s for s in evaluation.signals if s.name in json.loads(episode["signals"])]
        signals = signals or [s for s in evaluation.signals if s.name == episode["signal"]]
        signals.sort(key=lambda s: SEVERITY.get(s.caps or "", 2))
        cited = [
            row for signal in signals for row in self.cited.get((one.account_id, signal.name), ())
        ]
        lines = list(dict.fromkeys(source_line(view, row) for view, row in cited))[:8]
        keys = list(dict.fromkeys(str(row["key"]) for _, row in cited))
        since = self.since.get((one.account_id, signals[0].name)) or episode["opened_on"]
        return writer.task(episode, says(signals[0], one, since), lines, keys)

    def _verdicts(self, evaluation: Evaluation) -> Iterator[dict[str, Any]]:
        for account, scored in sorted(self.scores.items()):
            one = self.judged[account]
            model = self.config.definitions.model_for(one.segment)
            held = self.held[account]
            if model is None:
                continue
            yield {
                "run": self.run,
                "account_id": account,
                "low": scored.low,
                "high": scored.high,
                "point": scored.point,
                "band": scored.band,
                "status": held.status,
                "since": held.since,
                "held": self._why_held(held, scored),
                "confidence": scored.confidence,
                "model": model.name,
                "segment": one.segment,
                "mrr_minor": one.values.get("mrr_minor"),
                "currency": self._currency(one),
                "reasons": canonical(self._reasons(evaluation, one, model)),
                "parts": canonical(self._parts(evaluation, one, scored)),
            }

    def _why_held(self, held: Held, scored: Score) -> str | None:
        if held.status == scored.band:
            return None
        if scored.band == "unknown":
            return f"held since {held.unknown_since or self.day}: {'; '.join(self._gaps(scored))}"
        return "held until it has been better for 3 days"

    def _currency(self, one: Judged) -> str | None:
        return self.currencies.get(one.account_id) if one.values.get("mrr_minor") else None

    def _currencies(self, reading: Connection) -> dict[str, str]:
        """The one currency of each account's running agreements."""
        view = Facts(self.day).subscriptions
        rows = reading.execute(
            select(view.c.account_id, func.min(view.c.currency))
            .where(view.c.is_live, view.c.currency.is_not(None))
            .group_by(view.c.account_id)
        )
        return dict(rows.tuples().all())

    def _parts(self, evaluation: Evaluation, one: Judged, scored: Score) -> dict[str, Any]:
        """The proof: inputs, caps and signals with the conditions that were asked."""
        return {
            "inputs": [asdict(part) for part in scored.parts],
            "caps": [asdict(cap) for cap in scored.caps],
            "not_connected": list(scored.not_connected),
            "signals": {
                signal.name: {
                    "holds": one.truth(signal.name),
                    "when": self.measures.condition(signal, one.segment).text,
                    "at": signal.place(),
                }
                for signal in evaluation.signals
            },
        }

    def _readings(self, evaluation: Evaluation) -> Iterator[dict[str, Any]]:
        signals = {signal.name for signal in evaluation.signals}
        for account, one in sorted(self.judged.items()):
            for name, value in one.values.items():
                cited = self.cited.get((account, name), ())
                keys = [str(row["key"]) for _, row in cited] or [
                    key for key in (one.evidence.get(name),) if key
                ]
                kind = "number" if name in signals else self.measures.measures[name].kind
                yield {
                    "run": self.run,
                    "account_id": account,
                    "name": name,
                    "number": None if kind != "number" or value is None else float(value),  # type: ignore[arg-type]
                    "day": value if kind == "date" else None,
                    "words": value if kind == "text" else None,
                    "since": self.since.get((account, name)),
                    "evidence": canonical(keys),
                }

    # --- storing and publishing ---------------------------------------------------------------

    def _store(self, rows: Mapping[Any, Sequence[dict[str, Any]]]) -> None:
        for model, some in rows.items():
            for start in range(0, len(some), 2000):
                with self.database.write() as writing:
                    upsert(writing, model, some[start : start + 2000])
        with self.database.write() as writing:
            upsert(writing, Decision, [self._decision_row()])
            if self.kind == "current":
                self._publish(writing)
        if self.kind == "current":
            self._prune()

    def _decision_row(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "as_of": self.day,
            "kind": self.kind,
            "judged_at": self.now,
            "versions": canonical(_versions(self.config)),
        }

    def _publish(self, writing: Connection) -> None:
        """The one moment at which this decision becomes the current one."""
        upsert(writing, DailyBand, self.fresh_bands)
        upsert(writing, Episode, [*self.changes.closed, *self.changes.open])
        upsert(
            writing,
            EffectiveInput,
            [{"input": name, "since": self.day} for name in sorted(self.new_inputs)],
            update=[],
        )
        pointers = [
            {"name": CURRENT, "run": self.run, "day": self.day},
            {"name": JUDGED_FROM, "run": None, "day": self.judged_from},
        ]
        upsert(writing, Published, pointers)

    def _prune(self) -> None:
        """Keep this decision, the one before it, and the replays."""
        decisions = table_of(Decision)
        keep = {self.run, self.previous}
        with self.database.write() as writing:
            old = writing.execute(
                select(decisions.c.run).where(
                    decisions.c.kind == "current", decisions.c.run.not_in([k for k in keep if k])
                )
            ).scalars()
            gone = list(old)
            for model in (Reading, Verdict, DesiredField, DesiredTask, Decision):
                table = table_of(model)
                writing.execute(delete(table).where(table.c.run.in_(gone)))

    def _told(self) -> Decided:
        statuses = Counter(held.status for held in self.held.values())
        problems = Counter(episode["cause"] for episode in self.changes.open)
        why: Counter[str] = Counter()
        for account, held in self.held.items():
            if held.status == "unknown":
                gaps = self._gaps(self.scores[account])
                why[gaps[0].removeprefix("Not known: ") if gaps else "something is missing"] += 1
        return Decided(
            run=self.run,
            as_of=self.day,
            kind=self.kind,
            statuses={
                name: statuses.get(name, 0) for name in ("at_risk", "watch", "healthy", "unknown")
            },
            problems=dict(problems.most_common()),
            opened=len(self.changes.opened),
            closed=len(self.changes.closed),
            unknown_why=dict(why.most_common()),
        )


__all__ = ["Decided", "decide", "published_run"]
