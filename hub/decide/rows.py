"""The rows of one decision: readings, verdicts with their proof, and what should be said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, func, select

from ..config import Config
from ..score import Score
from ..store import canonical
from .desire import TaskWriter, Told
from .evaluate import Evaluation, Judged
from .gaps import Gaps
from .judge import Judgement
from .proof import Cited
from .reasons import Reasons, by_severity
from .sentences import one_line, source_lines


@dataclass(frozen=True)
class Ground:
    """Everything that the rows of a decision are made from."""

    run: int
    config: Config
    evaluation: Evaluation
    judged: Mapping[str, Judged]
    judgement: Judgement
    since: Mapping[tuple[str, str], date]
    cited: Mapping[tuple[str, str], Sequence[Cited]]
    currencies: Mapping[str, str]
    gaps: Gaps

    @property
    def reasons(self) -> Reasons:
        """Sentences about these accounts."""
        return Reasons(self.evaluation.registry, self.since, self.gaps)


def currencies(reading: Connection, evaluation: Evaluation) -> dict[str, str]:
    """The currency of each account's running agreements."""
    view = evaluation.facts.subscriptions
    rows = reading.execute(
        select(view.c.account_id, func.min(view.c.currency))
        .where(view.c.is_live, view.c.currency.is_not(None))
        .group_by(view.c.account_id)
    )
    return dict(rows.all())


def told(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Told]:
    """What is to be said about each account, from its verdict."""
    return {
        row["account_id"]: Told(
            row["status"], row["since"], one_line("; ".join(json.loads(row["reasons"])))
        )
        for row in verdicts
    }


def verdicts(ground: Ground) -> Iterator[dict[str, Any]]:
    """Score, band, status and proof of every judged account."""
    for account, scored in sorted(ground.judgement.scores.items()):
        one, held = ground.judged[account], ground.judgement.held[account]
        model = ground.config.definitions.model_for(one.segment)
        revenue = one.values.get("mrr_minor")
        yield {
            "run": ground.run,
            "account_id": account,
            "low": scored.low,
            "high": scored.high,
            "point": scored.point,
            "band": scored.band,
            "status": held.status,
            "since": held.since,
            "held": ground.reasons.why_held(one, scored, held),
            "confidence": scored.confidence,
            "model": model.name if model else "",
            "segment": one.segment,
            "mrr_minor": revenue,
            "currency": ground.currencies.get(account) if revenue is not None else None,
            "reasons": canonical(ground.reasons.of(one, scored, held)),
            "parts": canonical(_proof(ground, one, scored)),
        }


def _proof(ground: Ground, one: Judged, scored: Score) -> dict[str, Any]:
    registry = ground.evaluation.registry
    return {
        "inputs": [asdict(part) for part in scored.parts],
        "caps": [asdict(cap) for cap in scored.caps],
        "not_connected": list(scored.not_connected),
        "signals": {
            signal.name: {
                "holds": one.truth(signal.name),
                "when": registry.condition(signal, one.segment).text,
                "at": signal.place(),
            }
            for signal in registry.signals
        },
    }


def readings(ground: Ground) -> Iterator[dict[str, Any]]:
    """The value of every measure and signal, with the rows that speak for it."""
    measures = ground.evaluation.measures
    for account, one in sorted(ground.judged.items()):
        for name, value in one.values.items():
            kind = measures[name].kind if name in measures else "number"
            cited = [str(row["key"]) for _, row in ground.cited.get((account, name), ())]
            if not cited and name in one.evidence:
                cited = [one.evidence[name]]
            yield {
                "run": ground.run,
                "account_id": account,
                "name": name,
                "number": one.number(name) if kind == "number" else None,
                "day": value if kind == "date" else None,
                "words": value if kind == "text" else None,
                "since": ground.since.get((account, name)),
                "evidence": canonical(cited),
            }


def task(ground: Ground, writer: TaskWriter, episode: Mapping[str, Any]) -> dict[str, Any]:
    """The desired task of an open episode, with the proof of its true signals."""
    one = ground.judged[episode["account_id"]]
    names = json.loads(episode["signals"])
    listed = by_severity([s for s in ground.evaluation.signals if s.name in names])
    signals = [s for s in listed if one.truth(s.name)] or listed
    cited = [row for s in signals for row in ground.cited.get((one.account_id, s.name), ())]
    lines = source_lines(cited)
    keys = list(dict.fromkeys(str(row["key"]) for _, row in cited))
    reason = ground.reasons.sentence(signals[0], one, episode["opened_on"])
    return writer.task(episode, reason, lines, keys)
