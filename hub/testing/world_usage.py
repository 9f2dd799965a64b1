"""Product usage of a generated world: log-ins by person, features by company, a weekday rhythm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random

from .world import FEATURES, LOGIN, UsageDay
from .world_cast import Setting
from .world_companies import Story

_NO_FEATURES_DAYS = 35
"""A company whose use thins out stops using features so many days before `as_of`."""


def usage_of(setting: Setting, story: Story) -> Iterator[UsageDay]:
    """The usage days of one company, oldest first; the last one is the persona's last log-in."""
    last, people = story.last_login_on, [p.key for p in story.people if "usage" in p.in_tools]
    if last is None or not people:
        return
    chance = setting.chance(story.key, "usage")
    tempo, weekend = chance.uniform(0.35, 0.7), chance.choice((0.0, 0.0, 0.04))
    favourites = tuple(chance.sample(FEATURES, chance.randint(3, len(FEATURES))))
    day = max(setting.first_day, story.company.signed_up_on or last)
    while day <= last:
        is_steady = story.persona.thins_over == 0 and (last - day).days < 30
        odds = max(tempo, 0.65) if is_steady else tempo * _thinned(story, day, last)
        if day == last or chance.random() < (odds if day.weekday() < 5 else weekend):
            for person in _signed_in(people, chance):
                yield UsageDay(story.key, person, day, LOGIN, chance.randint(1, 3))
            if _uses_features(setting, story, day):
                for feature in chance.sample(favourites, chance.choice((0, 1, 1, 2))):
                    yield UsageDay(story.key, None, day, feature, chance.randint(1, 9))
        day += timedelta(days=1)


def _signed_in(people: Sequence[str], chance: Random) -> Sequence[str]:
    """Who signs in on one day: often the champion, who is first, sometimes two."""
    if chance.random() < 0.35:
        return people[:1]
    return chance.sample(people, min(len(people), chance.choice((1, 1, 2))))


def _thinned(story: Story, day: date, last: date) -> float:
    """1 while use is as always, falling towards 0.15 before the last log-in."""
    over = story.persona.thins_over
    left = (last - day).days
    return 1.0 if not over or left >= over else 0.15 + 0.85 * left / over


def _uses_features(setting: Setting, story: Story, day: date) -> bool:
    return not story.persona.thins_over or day < setting.ago(_NO_FEATURES_DAYS)
