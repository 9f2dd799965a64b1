"""Support tickets of a generated world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import Literal

from .world import Person, Ticket
from .world_cast import Setting
from .world_companies import Story
from .world_names import person_name, shared_address

Priority = Literal["low", "normal", "high", "urgent"]

_TOPICS: tuple[tuple[str, str], ...] = (
    ("Cannot sign in after the password change", "access"),
    ("Export stops at 10,000 rows", "export"),
    ("Dashboard shows yesterday's numbers", "reporting"),
    ("Invoice has the wrong address", "billing"),
    ("How do we add a colleague?", "how_to"),
    ("Automation ran twice", "automation"),
    ("Report looks different in the PDF", "reporting"),
    ("Import rejects our date format", "import"),
    ("Comments arrive late by e-mail", "notifications"),
    ("Please change the owner of our workspace", "access"),
    ("Search does not find archived projects", "search"),
    ("Page is slow in the morning", "performance"),
    ("Question about the data retention setting", "how_to"),
    ("Two seats too many on our bill", "billing"),
)
_STORM_TOPICS: tuple[tuple[str, str], ...] = (
    ("Synchronisation stopped again", "sync"),
    ("Sync error is back after the fix", "sync"),
    ("Numbers missing since Monday", "sync"),
    ("We cannot close the month with these errors", "sync"),
    ("Page is slow in the morning", "performance"),
    ("Export stops at 10,000 rows", "export"),
)
_CALM_DAYS = 70
"""In the last days before `as_of` nobody but a storm's company has more than two tickets."""


def tickets_of(setting: Setting, story: Story) -> Iterator[Ticket]:
    """The tickets of one company, oldest first; none when the desk does not have it."""
    if "desk" not in story.company.in_tools:
        return
    chance = setting.chance(story.key, "tickets")
    askers = [person for person in story.people if "desk" in person.in_tools]
    days = sorted(_days(setting, story, chance))
    for number, day in enumerate(days, start=1):
        is_storm = story.persona.has_storm and day >= setting.ago(25)
        topic = chance.choice(_STORM_TOPICS if is_storm else _TOPICS)
        asker, key = chance.choice(askers or [None]), f"{story.key}q{number:03}"
        yield _ticket(setting, key, story.key, asker, topic, day, chance)


def _days(setting: Setting, story: Story, chance: Random) -> Iterator[date]:
    company = story.company
    first = max(setting.first_day, company.signed_up_on or company.created_at.date())
    until = company.left_on or setting.last_day
    rate = chance.uniform(0.4, 1.3) if company.plan or company.duplicate_of else 0.3
    yield from _calm(setting, story, first, until, rate, chance)
    if story.persona.has_storm:
        size = chance.randint(9, 11) if company.plan == "enterprise" else chance.randint(5, 8)
        yield from (setting.ago(chance.randint(2, 24)) for _ in range(size))
        yield setting.ago(chance.randint(36, 56))


def _calm(
    setting: Setting, story: Story, first: date, until: date, rate: float, chance: Random
) -> Iterator[date]:
    """The everyday tickets, at so many a month; in the last weeks two at most."""
    recent = 0
    for _ in range(round(max(0, (until - first).days) / 30 * rate)):
        day = first + timedelta(days=chance.randint(0, (until - first).days))
        if day >= setting.ago(_CALM_DAYS):
            recent += 1
            if recent > 2 or story.persona.has_storm:
                continue
        yield day


def _ticket(
    setting: Setting,
    key: str,
    company_key: str | None,
    asker: Person | None,
    topic: tuple[str, str],
    day: date,
    chance: Random,
) -> Ticket:
    priorities: tuple[Priority, ...] = ("low", "normal", "high", "urgent")
    opened_at = setting.at(day, chance.randint(7, 18), chance.randrange(60))
    solved_at = opened_at + timedelta(hours=chance.choice((3, 8, 20, 30, 52, 100)))
    is_solved = solved_at < setting.at(setting.as_of, 0) and (
        day < setting.ago(30) or chance.random() < 0.6
    )
    is_closed = is_solved and solved_at < setting.at(setting.ago(5))
    return Ticket(
        key=key,
        company_key=company_key,
        person_key=asker.key if asker else None,
        subject=topic[0],
        priority=chance.choices((*priorities, None), (3, 8, 3, 1, 2))[0],
        tags=(topic[1],),
        opened_at=opened_at,
        status=_status(is_solved, is_closed, chance),
        solved_at=solved_at if is_solved else None,
        escalated=chance.random() < 0.03,
        satisfaction=chance.choice((3, 4, 4, 5)) if is_solved and chance.random() < 0.3 else None,
    )


def _status(
    is_solved: bool, is_closed: bool, chance: Random
) -> Literal["new", "open", "pending", "solved", "closed"]:
    if is_solved:
        return "closed" if is_closed else "solved"
    drawn: tuple[Literal["new", "open", "pending"], ...] = ("new", "open", "pending")
    return chance.choice(drawn)


def loose_tickets(
    setting: Setting, count: int, stories: Sequence[Story]
) -> tuple[tuple[Person, ...], tuple[Ticket, ...]]:
    """Tickets without an organization: by people of healthy customers, and by nobody we know."""
    chance = setting.chance("loose tickets")
    known = [
        person
        for story in stories
        if story.company.persona == "healthy" and "desk" in story.company.in_tools
        for person in story.people
        if "desk" in person.in_tools
    ]
    strangers, tickets = [], []
    for number in range(1, count + 1):
        day = setting.ago(chance.randint(_CALM_DAYS, (setting.as_of - setting.first_day).days))
        if number % 2:
            strangers.append(asker := _stranger(setting, number, day, chance))
        else:
            asker = chance.choice(known)
        topic = chance.choice(_TOPICS)
        tickets.append(_ticket(setting, f"x{number:02}q001", None, asker, topic, day, chance))
    return tuple(strangers), tuple(tickets)


def _stranger(setting: Setting, number: int, day: date, chance: Random) -> Person:
    name = person_name(chance)
    return Person(
        key=f"x{number:02}p01",
        company_key=None,
        name=name,
        email=shared_address(name, f"nowhere {number}", chance),
        role="user",
        verified=False,
        in_tools=frozenset({"desk"}),
        created_at=setting.at(day, 6),
    )
