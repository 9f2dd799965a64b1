"""Curves, interval, caps, band and status: how readings become one word. Pure functions.

0 to 100, 100 is healthy. A missing input is counted at worst and at best, so the score is an
interval; losing evidence can only widen it (DESIGN 7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from .definitions import Bands, HealthModel, Input
from .model import Status

BETTER_POINTS = 5.0
BETTER_DAYS = 3
SEVERITY: Mapping[str, int] = {"at_risk": 0, "watch": 1, "healthy": 2}


@dataclass(frozen=True)
class Part:
    """One input's share of the score. `points` None: the value is missing (worst to best)."""

    dimension: str
    measure: str
    weight: float
    value: float | None
    points: float | None


@dataclass(frozen=True)
class Cap:
    """A hard trigger. `holds` None: unknown, which lowers the low end only."""

    signal: str
    to: Literal["watch", "at_risk"]
    holds: bool | None


@dataclass(frozen=True)
class Score:
    """A score with everything it was made of; `point` is over known inputs only, for sorting."""

    low: float
    high: float
    point: float | None
    band: Status
    confidence: float
    parts: tuple[Part, ...] = ()
    caps: tuple[Cap, ...] = ()
    not_connected: tuple[str, ...] = ()


def points(curve: Input, value: float) -> float:
    """0 to 100 for one value: the last step at or below it, or the clamped line."""
    if curve.curve == "step":
        reached = [edge for edge in sorted(curve.points or {}) if edge <= value]
        return float((curve.points or {})[reached[-1]]) if reached else 0.0
    best, worst = float(curve.best or 0), float(curve.worst or 0)
    return max(0.0, min(100.0, 100.0 * (value - worst) / (best - worst)))


def score(
    model: HealthModel,
    values: Mapping[str, float | None],
    caps: Iterable[Cap],
    *,
    effective: Iterable[str],
    link_confidence: float = 1.0,
) -> Score:
    """The score of one account. `effective` are the inputs that this installation has at all.

    With no effective input there is nothing to say: 0 to 100, unknown.
    """
    connected = set(effective)
    parts, absent = _parts(model, values, connected)
    whole = sum(part.weight for part in parts)
    known = [part for part in parts if part.points is not None]
    low = high = 100.0
    if whole:
        gained = sum(part.weight * (part.points or 0) for part in known) / whole
        missing = sum(part.weight for part in parts if part.points is None) / whole
        low, high = gained, gained + 100 * missing
    else:
        low = 0.0
    covered = sum(part.weight for part in known)
    point = sum(p.weight * (p.points or 0) for p in known) / covered if covered else None
    held = tuple(caps)
    low, high = _capped(low, high, held, model.bands)
    low, high = round(low, 2), round(high, 2)
    return Score(
        low=low,
        high=high,
        point=None if point is None else round(min(point, high), 2),
        band=band(low, high, model.bands),
        confidence=round((covered / whole if whole else 0.0) * link_confidence, 2),
        parts=parts,
        caps=held,
        not_connected=absent,
    )


def _parts(
    model: HealthModel, values: Mapping[str, float | None], connected: set[str]
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Every effective input; a dimension's weight goes to its connected inputs."""
    parts: list[Part] = []
    absent: list[str] = []
    for name, dimension in model.dimensions.items():
        inputs = {key: one for key, one in dimension.inputs.items() if key in connected}
        if not inputs:
            absent.append(name)
            continue
        shares = sum(dimension.share(key) for key in inputs)
        for key, curve in inputs.items():
            value = values.get(key)
            parts.append(
                Part(
                    dimension=name,
                    measure=key,
                    weight=dimension.weight * dimension.share(key) / shares,
                    value=value,
                    points=None if value is None else points(curve, value),
                )
            )
    return tuple(parts), tuple(absent)


def _capped(low: float, high: float, caps: Iterable[Cap], bands: Bands) -> tuple[float, float]:
    """True lowers both ends below the edge, unknown the low end only."""
    for cap in caps:
        edge = bands.healthy if cap.to == "watch" else bands.watch
        ceiling = max(0.0, edge - 0.01)
        if cap.holds is not False:
            low = min(low, ceiling)
        if cap.holds:
            high = min(high, ceiling)
    return low, high


def band(low: float, high: float, bands: Bands) -> Status:
    """The band that both ends agree on, else unknown."""
    ends = {_band_of(low, bands), _band_of(high, bands)}
    return ends.pop() if len(ends) == 1 else "unknown"


def _band_of(value: float, bands: Bands) -> Status:
    if value >= bands.healthy:
        return "healthy"
    return "watch" if value >= bands.watch else "at_risk"


# --- the fold over days ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Day:
    """The judgement of one day: its band and the interval's low end."""

    day: date
    band: Status
    low: float


@dataclass(frozen=True)
class Held:
    """What people see. `since` is the day the status began.

    `allowed` are the bands that the last days in a row, up to three, would allow; `unknown_since`:
    the status is held from this day on because the band is unknown.
    """

    status: Status
    since: date
    allowed: tuple[Status, ...] = ()
    unknown_since: date | None = None
    last: date | None = field(default=None, compare=False)


def fold(days: Iterable[Day], bands: Bands) -> Held | None:
    """The status after a run of days, oldest first: worse at once, better slowly.

    Better takes 5 points and 3 days. Unknown holds the last status; an account
    that never had a band reads unknown.
    """
    held: Held | None = None
    for day in days:
        held = Held(day.band, day.day, last=day.day) if held is None else step(held, day, bands)
    return held


def step(held: Held, day: Day, bands: Bands) -> Held:
    """The status after one more day."""
    if day.band == "unknown":
        since = held.unknown_since or (None if held.status == "unknown" else day.day)
        return Held(held.status, held.since, (), since, day.day)
    if held.status == "unknown" or SEVERITY[day.band] < SEVERITY[held.status]:
        return Held(day.band, day.day, last=day.day)
    return _not_worse(held, day, bands)


def _not_worse(held: Held, day: Day, bands: Bands) -> Held:
    """Better is the band whose edge the low end topped by 5 points on each of three days."""
    follows = held.last is not None and day.day - held.last == timedelta(days=1)
    allowed = _band_of(round(day.low - BETTER_POINTS, 2), bands)
    row = (*(held.allowed if follows else ()), allowed)[-BETTER_DAYS:]
    reached = min(row, key=lambda band: SEVERITY[band])
    if len(row) == BETTER_DAYS and SEVERITY[reached] > SEVERITY[held.status]:
        return Held(reached, day.day, row, None, day.day)
    return Held(held.status, held.since, row, None, day.day)
