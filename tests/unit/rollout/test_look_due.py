from __future__ import annotations

from datetime import timedelta

import pytest

from support.builders import NOON
from support.rollouts import ab_spec, make_look, make_rollout
from windsock.records import RolloutPlan
from windsock.rollout.look_due import look_due

HOUR = timedelta(hours=1)


def test_the_first_look_is_a_check_after_the_step_began() -> None:
    assert look_due(make_rollout(), None) == NOON + HOUR
    plan = RolloutPlan.of_spec(ab_spec(check="10m"))
    assert look_due(make_rollout(plan=plan), None) == NOON + timedelta(minutes=10)


def test_the_next_is_a_check_after_the_last() -> None:
    looks = [make_look(1), make_look(2)]
    assert look_due(make_rollout(), looks[-1]) == looks[-1].judged_at + HOUR


@pytest.mark.parametrize("action", ["hold", "promote"])
def test_what_may_be_judged_otherwise_waits_for_its_time(action: str) -> None:
    look = make_look(3, action)
    assert look_due(make_rollout(), look) == look.judged_at + HOUR


@pytest.mark.parametrize("action", ["advance", "keep", "roll_back"])
def test_what_was_decided_and_not_carried_out_is_due_at_once(action: str) -> None:
    look = make_look(3, action)
    assert look_due(make_rollout(), look) == look.judged_at


def test_a_decision_of_the_step_before_counts_as_its_look_alone() -> None:
    look = make_look(3, "advance")
    began = look.judged_at + timedelta(minutes=5)
    assert look_due(make_rollout(step=1, step_since=began), look) == began + HOUR


def test_bake_time_delays_no_look() -> None:
    plan = RolloutPlan.of_spec(ab_spec(strategy="canary", bake="3d"))
    assert look_due(make_rollout(plan=plan), None) == NOON + HOUR


def test_the_deadline_is_looked_at_in_time() -> None:
    plan = RolloutPlan.of_spec(ab_spec(check="5d", cycle="1d", deadline="7d"))
    looks = [make_look(1, judged_at=NOON + timedelta(days=5))]
    assert look_due(make_rollout(plan=plan), looks[-1]) == NOON + timedelta(days=7)
    late = [make_look(1, judged_at=NOON + timedelta(days=8))]
    assert look_due(make_rollout(plan=plan), late[-1]) == NOON + timedelta(days=13)
