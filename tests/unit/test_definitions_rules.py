"""What rules may say, how they replace each other, and what is said when they do not fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.calendar import BusinessCalendar
from hub.conditions import Name
from hub.definitions import Definitions, read_rules
from hub.errors import ConfigError
from hub.rulecheck import Surroundings, check_rules
from hub.yamlfile import YamlFile, read_yaml

SHIPPED = """\
measures:
  tickets_30d:      {count: tickets, window: 30d}
  tickets_prev_30d: {count: tickets, window: 30d, ending: 30d ago}
signals:
  ticket_spike:
    title: Tickets doubled in 30 days
    when: tickets_30d >= 2 * tickets_prev_30d AND tickets_30d >= {floor}
    with: {floor: 4}
    by_segment: {enterprise: {floor: 8}}
    clears: tickets_30d < 1.5 * tickets_prev_30d
    cause: support
    caps: watch
    opens: {play: support_spike}
health:
  standard:
    applies_to: {segment: any}
    priority: 0
    bands: {healthy: 70, watch: 40}
    dimensions:
      usage:
        weight: 35
        inputs:
          days_since_last_login: {curve: linear, best: 0, worst: 30, share: 60}
          key_feature_days_30d: {curve: step, points: {0: 0, 1: 40, 4: 100}, share: 40}
      support: {weight: 15, inputs: {tickets_30d: {curve: linear, best: 0, worst: 12}}}
plays:
  support_spike:
    outcome: issue recovery
    owner: {role: csm, backup: team_lead}
    steps:
      - {id: review, task: templates/support_spike.md, due: 2 business days, priority: high}
    if_stalled: {after: 3 business days, escalate_to: team_lead}
    ends: {when: signal clears, task: close with note}
"""

AROUND = Surroundings(
    names={
        "days_since_last_login": Name("number", "days"),
        "key_feature_days_30d": Name("number", "days"),
    },
    facts={"tickets": {"status": Name("text"), "priority": Name("text")}},
    segments=("enterprise", "small"),
    roles=("csm", "team_lead", "jonas"),
    templates=("templates/support_spike.md",),
)


def file(text: str, name: str = "config/rules/own.yaml") -> YamlFile:
    read = read_yaml(text, name, [])
    assert read is not None
    return read


def rules(*texts: str) -> tuple[Definitions, list[str]]:
    """The shipped rules with each text laid over them, and the sentences about what is wrong."""
    problems: list[ConfigError] = []
    own = [file(text, f"config/rules/{at}.yaml") for at, text in enumerate(texts)]
    read = read_rules([file(SHIPPED, "shipped/all.yaml")], own, problems)
    order = check_rules(read, AROUND, problems)
    return read.definitions(order), [str(problem) for problem in problems]


def test_the_rules_of_the_design_are_read_as_they_stand():
    found, problems = rules()

    assert problems == []
    assert found.measures["tickets_prev_30d"].ending == 30
    assert found.measures["tickets_30d"].primitive == "count"
    assert found.measures["tickets_30d"].empty == "zero"
    assert found.signals["ticket_spike"].given_for("enterprise") == {"floor": 8}
    assert found.signals["ticket_spike"].given_for("small") == {"floor": 4}
    assert found.openers("support_spike") == ("ticket_spike",)
    usage = found.health["standard"].dimensions["usage"]
    assert usage.share("days_since_last_login") == pytest.approx(0.6)


def test_each_rule_knows_the_file_and_line_it_stands_in():
    found, _ = rules(
        "signals:\n\n  quiet: {title: Q, when: days_since_last_login > 14, cause: usage}"
    )

    assert found.signals["quiet"].place() == "config/rules/0.yaml, line 3"
    assert found.signals["ticket_spike"].place("when") == "shipped/all.yaml, line 7"


def test_a_rule_in_config_replaces_the_shipped_one_of_its_name_as_a_whole():
    found, problems = rules(
        "signals:\n  ticket_spike: {title: Many, when: tickets_30d > 9, cause: support,"
        " opens: {play: support_spike}}"
    )

    assert problems == []
    assert found.signals["ticket_spike"].title == "Many"
    assert found.signals["ticket_spike"].caps is None
    assert found.signals["ticket_spike"].file == "config/rules/0.yaml"


def test_a_shipped_rule_is_switched_off_by_name_and_its_play_waits():
    found, problems = rules("signals: {ticket_spike: off}")

    assert problems == []
    assert "ticket_spike" not in found.signals
    assert "support_spike" in found.plays


def test_a_shipped_rule_may_speak_of_a_segment_that_the_team_does_not_have():
    problems: list[ConfigError] = []
    read = read_rules([file(SHIPPED, "shipped/all.yaml")], [], problems)

    check_rules(read, replace(AROUND, segments=("small",)), problems)

    assert problems == []


def test_a_template_is_named_with_or_without_its_folder():
    found, problems = rules(play(task="support_spike.md"))

    assert problems == []
    assert found.plays["call"].steps[0].task == "templates/support_spike.md"


def test_two_files_of_config_may_not_define_one_name():
    one = "measures:\n  logins: {count: tickets, window: 7d}"

    _, problems = rules(one, one)

    assert problems == [
        "config/rules/1.yaml, line 2: measures.logins is defined a second time, first in"
        " config/rules/0.yaml, line 2. Give one of them another name."
    ]


def test_signals_may_name_signals_and_come_after_them():
    text = """\
signals:
  both: {title: Both, when: quiet AND ticket_spike, cause: usage}
  quiet: {title: Quiet, when: days_since_last_login > 14, cause: usage}
"""
    found, problems = rules(text)

    assert problems == []
    order = found.signal_order
    assert order.index("both") > max(order.index("quiet"), order.index("ticket_spike"))


def test_the_model_with_the_highest_priority_judges_an_account():
    found, problems = rules(
        "health:\n  big:\n    applies_to: {segment: enterprise}\n    priority: 5\n"
        "    dimensions: {support: {weight: 1, inputs:"
        " {tickets_30d: {curve: linear, best: 0, worst: 9}}}}"
    )

    assert problems == []
    assert [found.model_for(s).name for s in ("enterprise", "small", None)] == [  # type: ignore[union-attr]
        "big", "standard", "standard",
    ]  # fmt: skip


SIGNAL = "signals:\n  quiet: {{title: Quiet, when: {when}, cause: {cause}{more}}}"
PLAY = """\
signals:
  s: {{title: S, when: tickets_30d > 1, cause: support, opens: {{play: {opens}}}}}
plays:
  call:
    {outcome}
    owner: {{role: {role}, backup: team_lead}}
    steps:
      - {{id: call, task: {task}, due: {due}}}
    {stalled}
"""
GOOD = {
    "opens": "call",
    "outcome": "outcome: adoption",
    "role": "csm",
    "task": "templates/support_spike.md",
    "due": "3 days",
    "stalled": "if_stalled: {after: 3 days, escalate_to: team_lead}",
}
MODEL = """\
health:
  other:
    applies_to: {{segment: {segment}}}
    bands: {{healthy: {healthy}, watch: 40}}
    dimensions: {{support: {{weight: 15, inputs: {{{inputs}}}}}}}
"""


def signal(when: str = "tickets_30d > 1", cause: str = "support", more: str = "") -> str:
    return SIGNAL.format(when=when, cause=cause, more=more)


def play(**other: str) -> str:
    return PLAY.format(**(GOOD | other))


def model(segment: str = "any", healthy: str = "70", inputs: str | None = None) -> str:
    good = "tickets_30d: {curve: linear, best: 0, worst: 12}"
    return MODEL.format(segment=segment, healthy=healthy, inputs=inputs or good)


MISTAKES = [
    (
        signal(cause="suport"),
        "line 2: signals.quiet.cause is \"suport\", which is not a choice. Write 'payment'",
    ),
    (signal(when="ticket_30d > 1"), "line 2: The condition uses ticket_30d, which is not a known"),
    (signal(more=", opens: {play: suport_spike}"), "Perhaps support_spike is meant."),
    (signal(more=", caps: red"), 'signals.quiet.caps is "red", which is not a choice.'),
    (signal(more=", by_segment: {enterprize: {}}"), "Perhaps enterprise is meant."),
    (signal(when="'tickets_30d > {floor}'"), "The condition has no value for {floor}"),
    (
        signal(more=", by_segment: {small: {flor: 2}}, with: {floor: 1}"),
        "quiet names the value in with: flor, which is not there. Perhaps floor is meant.",
    ),
    (signal(when="quiet"), "quiet needs itself: quiet needs quiet. Take one of these names out."),
    (signal(more=", titel: x"), "signals.quiet.titel is not a key here. Perhaps title is meant."),
    (
        "signal:\n  a: {}",
        "signal is not a section of a rule file. Perhaps signals is meant.",
    ),
    ("signals:\n  Quiet: {}", "line 2: Quiet cannot be a name. Use small letters"),
    (signal(more=", says: 'No log-in since {last_login}'"), "names the measure last_login, which"),
    ("signals: {nothing: off}", "signals.nothing is switched off, but nothing of that name"),
    ("measures:\n  m: {count: tickets, sum: tickets}", "needs exactly one of count, sum"),
    ("measures:\n  m: {count: tickets, window: 30}", "measures.m.window is 30, which has no unit."),
    ("measures:\n  m: {sum: tickets}", "is a sum of no field. Add field: …."),
    ("measures:\n  m: {count: tikets}", "names the fact tikets, which is not there."),
    ("measures:\n  m: {ratio: tickets_30d, over: a}", "names the measure a, which is not there."),
    ("measures:\n  m: {count: tickets, where: statuss = 'open'}", "The condition uses statuss"),
    (
        "measures:\n  ticket_spike: {count: tickets}\nsignals:\n  ticket_spike: off",
        "signals.ticket_spike is defined a second time",
    ),
    (play(outcome=""), "plays.call.outcome is missing. Add outcome: …."),
    (play(outcome="outcome: revenue"), 'plays.call.outcome is "revenue", which is not a choice.'),
    (play(role="the team"), 'plays.call.owner.role is "the team", so nobody owns it.'),
    (play(role='""'), "plays.call.owner.role is empty, so nobody owns it."),
    (
        play(role="boss"),
        "call needs the role boss, which nobody has. Add boss to",
    ),
    (play(stalled=""), "plays.call.if_stalled is missing."),
    (play(opens="support_spike"), "call is started by no event. Add opens: {play: call}"),
    (play(task="templates/call.md"), "call names the template templates/call.md, which is not"),
    (
        play(due="soon"),
        'plays.call.steps.0.due is "soon", which is not understood. Write 2',
    ),
    (model(), "other and standard (shipped/all.yaml, line 15) both have priority 0"),
    (model(segment="[small, enterprise]"), "both have priority 0, and one account can have both."),
    (model(segment="smal"), "other names the segment smal, which is not there. Perhaps small"),
    (model(healthy="30"), "health.other.bands has watch at 40, not below healthy at 30."),
    (model(inputs="ticket_30d: {curve: step, points: {0: 1}}"), "Perhaps tickets_30d is meant."),
    (model(inputs="tickets_30d: {curve: linear, best: 1}"), "is linear, so it needs two different"),
    (model(inputs="tickets_30d: {curve: step}"), "is a step curve, so it needs points:"),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES, ids=[says[:50] for _, says in MISTAKES])
def test_a_mistake_in_a_rule_is_told_with_its_place_and_what_to_write(text: str, says: str):
    _, problems = rules(text)

    told = [problem for problem in problems if says in problem]
    assert len(told) == 1, problems
    assert told[0].startswith("config/rules/0.yaml, line ")


def test_a_play_answers_what_starts_it_who_owns_it_what_for_and_what_if_it_stalls_s3():
    _, problems = rules(
        "plays:\n  call:\n    steps: [{id: a, task: templates/support_spike.md, due: 1 day}]"
    )
    _, unopened = rules(play(opens="support_spike"))

    missing = {name for name in ("outcome", "owner", "if_stalled") for p in problems if name in p}
    assert missing == {"outcome", "owner", "if_stalled"}
    assert any("started by no event" in problem for problem in unopened)


@pytest.mark.parametrize("owner", ['""', '"  "', "the team", "The Team", "everyone"])
def test_a_blank_owner_or_the_team_is_refused_s7(owner: str):
    _, problems = rules(play(role=owner))

    assert any("so nobody owns it" in problem for problem in problems)


def test_one_broken_rule_does_not_make_others_look_wrong():
    _, problems = rules(
        "measures:\n  logins: {count: tickets, window: 7}\n"
        "signals:\n  quiet: {title: Q, when: logins = 0, cause: usage}"
    )

    assert len(problems) == 1
    assert "measures.logins.window" in problems[0]


@given(start=st.dates(date(2000, 1, 1), date(2060, 1, 1)), n=st.integers(0, 15))
def test_the_nth_business_day_is_worked_and_so_many_worked_days_later(start: date, n: int):
    calendar = BusinessCalendar()

    end = calendar.add(start, n)

    between = [date.fromordinal(day) for day in range(start.toordinal() + 1, end.toordinal() + 1)]
    assert calendar.works_on(end)
    assert sum(map(calendar.works_on, between)) == (n or (0 if end == start else 1))
