"""What connectors may answer to a write, told by a made-up one with a script of answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from hub import (
    Checked,
    Connector,
    CreateTask,
    Env,
    Observed,
    Receipt,
    RetryLater,
    SetFields,
    Settings,
    WriteRefused,
    WriteUnknown,
    observes,
    writes,
)
from hub.config import Config, Connection
from hub.configfiles import Limits
from hub.deliver import Delivered, deliver
from hub.store import Database, as_dicts, open_database, table_of, upsert
from hub.store.tables import (
    ConnectionState,
    Decision,
    DesiredField,
    DesiredTask,
    LedgerEntry,
    ObservedField,
    Published,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAY = date(2026, 3, 4)

Answer = Callable[[SetFields], Receipt | WriteRefused | None]


class Board:
    """The made-up vendor: cards with fields, tasks by idempotency key, and a script of answers."""

    cards: ClassVar[dict[str, dict[str, str | None]]] = {}
    tasks: ClassVar[dict[str, str]] = {}
    calls: ClassVar[list[list[str]]] = []
    answers: ClassVar[list[Any]] = []
    unfit: ClassVar[set[str]] = set()
    lost_tasks: ClassVar[int] = 0


class BoardConnector(Connector[Settings]):
    name = "board"
    title = "Board"

    def check(self) -> Checked:
        return Checked(account="b1", says="signed in")

    @writes(SetFields, once="upsert", batch=3)
    def set_fields(self, actions: Sequence[SetFields]) -> Iterator[Receipt | WriteRefused | None]:
        Board.calls.append([action.target.id for action in actions])
        if Board.unfit & {action.target.id for action in actions}:
            raise WriteRefused("one of the cards is not valid")
        for action in actions:
            answer = Board.answers.pop(0) if Board.answers else "done"
            if isinstance(answer, BaseException):
                raise answer
            if answer == "end":
                return
            if answer in ("done", "lost"):
                Board.cards[action.target.id] |= action.values
            yield Receipt(action.target.id) if answer == "done" else _told(answer)

    @writes(CreateTask, once="key", key_lives=timedelta(hours=24))
    def create_task(self, action: CreateTask) -> Receipt:
        Board.calls.append([action.key])
        made = Board.tasks.setdefault(action.key, f"t{len(Board.tasks) + 1}")
        if Board.lost_tasks:
            Board.lost_tasks -= 1
            raise WriteUnknown("the line was cut")
        return Receipt(made)

    @observes("cards")
    def observe_cards(self, ids: Sequence[str]) -> Iterator[Observed]:
        for one in ids:
            yield Observed(one, dict(Board.cards[one]))


def _told(answer: Any) -> WriteRefused | None:
    return WriteRefused(answer.removeprefix("no: ")) if answer.startswith("no: ") else None


@dataclass
class Team:
    """A hub with the made-up vendor in auto mode."""

    database: Database
    at: datetime = NOON
    runs: int = 0
    waited: list[float] = field(default_factory=list)

    def env(self) -> Env:
        return Env(
            clock=lambda: self.at, monotonic=lambda: 0.0, sleep=self.sleep, random=random.Random(1)
        )

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.at += timedelta(seconds=seconds)

    def wants(self, cards: Sequence[str], word: str = "watch", tasks: Sequence[str] = ()) -> None:
        self.runs += 1
        self.store(Decision, run=self.runs, as_of=DAY, kind="current", judged_at=NOON)
        for card in cards:
            Board.cards.setdefault(card, {})
            self.store(DesiredField, **_field(self.runs, card, word))
        for card in tasks:
            Board.cards.setdefault(card, {})
            self.store(DesiredTask, **_task(self.runs, card))
        self.store(Published, name="current", run=self.runs, day=DAY)

    def store(self, model: Any, **values: Any) -> None:
        with self.database.write() as writing:
            upsert(writing, model, [model(**values).model_dump()])

    def deliver(self) -> Delivered:
        board = Connection("board", "board", BoardConnector, Settings(), deliver="auto")
        config = Config(
            directory=Path("config"), zone=ZoneInfo("UTC"), currency="EUR", digest="test",
            connections={"board": board}, limits=Limits(stop_share_of_customers=100),
        )  # fmt: skip
        return deliver(config, self.database, self.env())

    def rows(self, model: Any) -> list[dict[str, Any]]:
        with self.database.read() as reading:
            return as_dicts(reading, select(table_of(model)))

    def states(self) -> dict[str, list[str]]:
        """The ledger's states by record, in the order of writing."""
        found: dict[str, list[str]] = {}
        for row in sorted(self.rows(LedgerEntry), key=lambda row: row["seq"]):
            found.setdefault(row["record_id"], []).append(row["state"])
        return found


def _field(run: int, card: str, word: str) -> dict[str, Any]:
    return {
        "vendor": "board", "vendor_account": "b1", "object": "cards", "record_id": card,
        "run": run, "field": "hub_health", "account_id": card, "connection": "board",
        "value": word, "why": "because",
    }  # fmt: skip


def _task(run: int, card: str) -> dict[str, Any]:
    return {
        "run": run, "key": f"usage-{card}", "account_id": card, "cause": "usage",
        "opened_on": DAY, "connection": "board", "vendor": "board", "vendor_account": "b1",
        "object": "cards", "record_id": card, "owner": "ida", "owner_id": "7",
        "title": "Call", "body": "Please", "due": NOON, "why": "because",
    }  # fmt: skip


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    Board.cards, Board.tasks, Board.calls, Board.answers, Board.lost_tasks = {}, {}, [], [], 0
    Board.unfit = set()
    database = open_database(f"sqlite:///{tmp_path / 'hub.db'}")
    made = Team(database)
    made.store(ConnectionState, connection="board", vendor="board", vendor_account="b1")
    yield made
    database.close()


def test_r17_each_record_of_a_batch_has_its_own_outcome(team: Team) -> None:
    team.wants(["c1", "c2", "c3"])
    Board.answers = ["done", "no: too long", "done"]

    done = team.deliver()

    assert team.states() == {"c1": ["done"], "c2": ["refused"], "c3": ["done"]}
    assert (done.applied.done, done.applied.refused) == (2, 1)


def test_r17_a_batch_that_is_refused_as_a_whole_is_split_until_the_bad_one_is_found(
    team: Team,
) -> None:
    team.wants(["c1", "c2", "c3"])
    Board.unfit = {"c2"}

    team.deliver()

    assert team.states() == {"c1": ["done"], "c2": ["refused"], "c3": ["done"]}
    assert Board.calls == [["c1", "c2", "c3"], ["c1"], ["c2", "c3"], ["c2"], ["c3"]]


@pytest.mark.parametrize("answer", ["silence", "end"])
def test_r17_what_a_batch_does_not_tell_is_unknown_and_only_that_is_sent_again(
    team: Team, answer: str
) -> None:
    team.wants(["c1", "c2", "c3"])
    Board.answers = ["done", "lost", answer]

    done = team.deliver()

    assert Board.calls == [["c1", "c2", "c3"], ["c3"]]
    assert team.states() == {"c1": ["done"], "c2": ["done"], "c3": ["cancelled", "done"]}
    assert done.result == "done"


def test_a_batch_that_breaks_off_leaves_the_rest_unknown_until_it_is_read_back(
    team: Team,
) -> None:
    team.wants(["c1", "c2", "c3"])
    Board.answers = ["done", WriteUnknown("the line was cut")]

    team.deliver()

    assert Board.calls == [["c1", "c2", "c3"], ["c2", "c3"]]
    assert {card["hub_health"] for card in Board.cards.values()} == {"watch"}


def test_a_trouble_of_the_connection_leaves_later_batches_planned(team: Team) -> None:
    team.wants([f"c{number}" for number in range(1, 6)])
    Board.answers = ["done", RetryLater("closed for the night")]

    first = team.deliver()
    second = team.deliver()

    assert (first.applied.done, first.applied.skipped) == (1, 4)
    assert [problem.what for problem in first.applied.problems] == ["closed for the night"]
    assert second.applied.done == 4
    assert Board.calls == [["c1", "c2", "c3"], ["c2", "c3", "c4"], ["c5"]]


def test_a_fault_of_the_connector_itself_is_told_and_stops_only_its_connection(
    team: Team,
) -> None:
    team.wants(["c1", "c2", "c3", "c4"])
    Board.answers = ["done", ZeroDivisionError("a bug")]

    done = team.deliver()

    assert "PLUGIN_BROKEN" in {problem.code for problem in done.applied.problems}
    assert team.states()["c1"] == ["done"]
    assert "c4" not in team.states()
    assert team.deliver().result == "done"


def test_a_write_that_never_arrives_is_tried_twice_and_then_planned_again(team: Team) -> None:
    team.wants(["c1"])
    Board.answers = ["silence", "silence"]

    done = team.deliver()
    left = done.applied
    again = team.deliver()

    assert team.states() == {"c1": ["cancelled", "cancelled", "done"]}
    assert (left.done, left.skipped) == (0, 1)
    assert [problem.code for problem in left.problems] == ["WRITE_UNKNOWN"]
    assert again.applied.done == 1


def test_a_task_with_an_idempotency_key_is_sent_again_while_the_key_lives(team: Team) -> None:
    team.wants([], tasks=["c1"])
    Board.lost_tasks = 1

    done = team.deliver()

    assert Board.tasks == {"usage-c1": "t1"}
    assert team.states() == {"c1": ["done"]}
    assert done.result == "done"


def test_a_task_whose_key_is_dead_and_that_cannot_be_found_stays_unknown(team: Team) -> None:
    team.wants([], tasks=["c1"])
    Board.lost_tasks = 2
    team.deliver()
    team.at += timedelta(hours=25)
    calls = len(Board.calls)

    done = team.deliver()

    assert team.states()["c1"][-1] == "unknown"
    assert len(Board.calls) == calls
    assert [row["key"] for row in done.plan.beside["unsettled"]] == ["usage-c1"]


def test_what_the_tool_says_is_kept_before_and_after_a_write(team: Team) -> None:
    team.wants(["c1"])

    team.deliver()

    [seen] = team.rows(ObservedField)
    assert (seen["record_id"], seen["field"], seen["value"]) == ("c1", "hub_health", "watch")


def test_what_a_connector_cannot_read_back_is_not_written(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.wants(["c1"])
    monkeypatch.setattr(BoardConnector, "observers", {})

    done = team.deliver()

    assert [(name, problem.code) for name, problem in done.plan.problems] == [
        ("board", "PLUGIN_BROKEN")
    ]
    assert Board.calls == []
