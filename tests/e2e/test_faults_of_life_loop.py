"""What goes wrong in the loop and with people: in the status soon, told once, and ended by what NEXT says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.life import loop_faults as how
from support.life import people_faults as people
from support.life.channel import apprise_extra
from support.life.course import chosen, live_through, show_table
from support.life.fault import Fault, Lived
from support.life.installation import Life, connect, lived_in
from support.life.models import MONITORED, ROLLED_OUT, write_include
from windsock.cli.stack_ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.acceptance]

HEARTBEAT = 30.0
"""The shortest check of the models below."""
MEDIUM: dict[str, Any] = {"model": {"owner": "ds@company.com", "tier": "medium"}}
MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "calm": MONITORED,
    "drifting": MONITORED,
    "unheard": MONITORED,
    "held": {},
    "unjudged": MONITORED,
    "left": ROLLED_OUT,
    "typo": {},
    "wrong": {},
    "failing": {"data": {"target": "bougth"}, "training": how.SCHEDULED},
    "late": {},
    "asked": MEDIUM,
    "silent": MEDIUM,
    "selfmade": MEDIUM,
    "deaf": {"monitoring": {"data_drift": False, "performance_tracking": False, "alert_channel": "deaf"}},
}
SERVING = ("calm", "drifting", "unheard", "unjudged", "late")
"""Models of which a version serves from the beginning."""
DEAF = """
alert_channels:
  deaf: {kind: apprise, conn_id: deaf_channel}
"""
TRIES, CLAIM, LOOKS = 240.0, 240.0, 360.0
"""Seconds until it is a finding that an alert waits, a claim is lost, the watchdog does not look."""
WINDOWS = 200.0
"""Two windows of a minute, lateness, and what is left of the one in which the rows came."""
FAULTS = [
    Fault(
        name="drift retrain off while a retrain is asked for",
        code="WS-WATCH-010",
        key="watch:blocked:drift_retrain",
        model="drifting",
        severity="critical",
        break_=how.drift_while_off,
        follows=how.drift_is_answered,
    ),
    Fault(
        name="a scheduled DAG off",
        code="WS-WATCH-011",
        key="watch:dags-off",
        model="plain",
        severity="low",
        holds="plain__daily_retrain",
        break_=how.off("plain__daily_retrain"),
    ),
    Fault(
        name="all DAGs of a model off",
        code="WS-WATCH-011",
        key="watch:dags-off",
        model="calm",
        severity="medium",
        holds="calm__monitor",
        break_=how.commands("windsock models off calm"),
    ),
    Fault(
        name="a new model's DAGs missing, as the DAG processor hangs",
        code="WS-WATCH-012",
        key="watch:dags-missing",
        model="fresh",
        severity="high",
        holds="fresh__daily_retrain",
        break_=how.new_model_unseen,
        cure=how.end_processor,
    ),
    Fault(
        name="the source file of today has not come",
        code="WS-DATA-002",
        key="task:late__daily_retrain.take_snapshot",
        model="late",
        severity="medium",
        break_=people.late_source,
        cure=people.source_comes,
    ),
    Fault(
        name="wrong target: the retrain says what next",
        code="WS-DATA-020",
        key="task:wrong__daily_retrain.take_snapshot",
        model="wrong",
        severity="medium",
        holds="bougth",
        break_=people.wrong_target,
        cure=people.fix_target,
    ),
    Fault(
        name="a DAG fails twice",
        code="WS-WATCH-013",
        key="watch:dags-failing",
        model="failing",
        severity="medium",
        holds="failing__daily_retrain",
        break_=people.fails_twice,
        cure=people.follow_the_log,
    ),
    Fault(
        name="model file with broken YAML",
        code="WS-WATCH-026",
        key="watch:model-files",
        severity="high",
        holds="typo",
        break_=people.break_yaml,
        cure=people.fix_yaml,
    ),
    Fault(
        name="an event nobody took, and the monitor off",
        code="WS-WATCH-015",
        key="watch:event",
        model="unheard",
        severity="high",
        break_=how.lost_event,
        cure=how.announce_again,
        follows=how.event_is_taken,
    ),
    Fault(
        name="a run that holds the claim is killed",
        code="WS-WATCH-016",
        key="watch:claim",
        model="held",
        severity="medium",
        break_=how.killed_holder,
        limit=CLAIM,
    ),
    Fault(
        name="windows with rows and no verdict, monitor off",
        code="WS-WATCH-010",
        key="watch:blocked:monitor",
        model="unjudged",
        severity="high",
        break_=how.unjudged,
        limit=WINDOWS,
        follows=how.windows_are_judged,
    ),
    Fault(
        name="a rollout nobody looks at",
        code="WS-WATCH-018",
        key="watch:rollout",
        model="left",
        severity="high",
        break_=how.left_rollout,
    ),
    Fault(
        name="a rollout whose DAG is off",
        code="WS-WATCH-010",
        key="watch:blocked:ab_rollout",
        model="left",
        severity="high",
        break_=how.rollout_is_left,
    ),
    Fault(
        name="a question close to its end",
        code="WS-WATCH-027",
        key="watch:question",
        model="asked",
        severity="medium",
        break_=people.nearly_over,
        cure=people.answered_in_time,
    ),
    Fault(
        name="a question whose time is over",
        code="WS-APPROVAL-003",
        key="task:silent__daily_retrain.approve_model",
        model="silent",
        severity="medium",
        break_=people.expired,
        cure=people.asked_anew,
    ),
    Fault(
        name="approved by who asked for it",
        code="WS-APPROVAL-004",
        key="question:selfmade__daily_retrain.approve_model",
        model="selfmade",
        severity="medium",
        break_=people.approved_by_who_asked,
        cure=people.reviewer_answers,
    ),
    Fault(
        name="an alert channel that refuses",
        code="WS-WATCH-024",
        key="watch:pending",
        model="deaf",
        severity="high",
        holds="deaf_channel",
        break_=people.deaf_channel,
        cure=people.mend_channel,
        limit=TRIES,
        is_told=False,
        untold="its channel refuses; the log has it",
    ),
]
UNWATCHED = [
    Fault(
        name="watchdog off",
        code="WS-WATCH-014",
        key="watch:installation-dags",
        severity="high",
        holds="windsock__watchdog",
        break_=how.off("windsock__watchdog"),
        cure=how.switch_watchdog_on,
        is_told=False,
    ),
    Fault(
        name="watchdog does not look",
        code="WS-WATCH-032",
        key="watch:watchdog",
        severity="high",
        break_=how.watchdog_is_off,
        cure=how.watchdog_looks,
        is_told=False,
        limit=LOOKS,
    ),
]
"""What nobody tells: who would is off."""


def write(include: Path, project: Path) -> None:
    write_include(include, project, MODELS)
    with (include / "windsock.yaml").open("a") as stream:
        stream.write(DEAF)


@pytest.fixture(scope="module")
def life(tmp_path_factory, project) -> Iterator[Life]:
    """The stack: every model's DAGs are on, nothing is wrong."""
    with lived_in(tmp_path_factory.mktemp("life"), project, write, heartbeat=HEARTBEAT) as running:
        connect(running.live, "deaf_channel", apprise_extra(free_port()))
        how.begin(running, MODELS, SERVING)
        yield running


@pytest.fixture(scope="module")
def lived(life, request) -> dict[str, Lived]:
    """What became of the faults that are asked for; those that leave nobody to tell come last."""
    found = {}
    for faults in (FAULTS, UNWATCHED):
        found |= live_through(life, chosen(faults, request))
    show_table(list(found.values()), heartbeat=HEARTBEAT)
    return found


@pytest.mark.parametrize("name", [fault.name for fault in (*FAULTS, *UNWATCHED)])
def test_it_is_said_told_once_and_ended_by_what_next_says(lived, name):
    assert not lived[name].faults, lived[name]
