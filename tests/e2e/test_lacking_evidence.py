"""What lacks evidence, or does not answer, is not promoted: through a real scheduler."""

from __future__ import annotations

import pytest

from support.scenarios import UNITS, LackingStory
from support.stack import LiveStack
from windsock.records import LedgerAction, RolloutAction, RolloutDecision, RolloutOutcome

pytestmark = pytest.mark.e2e


def require_rolled_back(live: LiveStack, story: LackingStory, says: str) -> RolloutDecision:
    """Require that a rollout was rolled back and never promoted, and that the last look's log says why."""
    tried, rollout = story.tried, story.rollout
    assert story.ended.outcome is RolloutOutcome.ROLLED_BACK
    last = tried.decisions(rollout)[-1]
    assert last.action is RolloutAction.ROLL_BACK
    assert says in last.reason
    arms = 2 if rollout.plan.strategy == "shadow" else 1  # a shadow has each unit, too
    assert last.totals.units == arms * UNITS
    for arm in (last.totals.champion, last.totals.challenger):
        assert arm.exposures == arm.answered + arm.fallbacks + arm.refused
    champion, state = tried.ports.ledger.champion(tried.name), tried.ports.router.state(tried.name)
    assert champion is not None
    assert champion.version == "1"
    assert state is not None
    assert [slot.version for slot in state.plan.slots if slot.share == 10_000] == ["1"]
    assert {row.version for row in tried.rows if row.action is LedgerAction.COMMIT} == {"1"}
    assert says in logs_of(live, story)
    return last


def logs_of(live: LiveStack, story: LackingStory) -> str:
    """Return what every look has logged."""
    dag_id = story.tried.dag_id
    return "\n".join(
        line.event
        for run in live.admin.runs(dag_id)
        for task, log in live.logs(dag_id, run["dag_run_id"])
        if task.task_id == "judge_rollout"
        for line in log
    )


def require_held(live: LiveStack, story: LackingStory, says: str) -> None:
    """Require that it was held for the same reason before its deadline, and that its report says so."""
    held = [
        decision
        for decision in story.tried.decisions(story.rollout)
        if decision.action is RolloutAction.HOLD and says in decision.reason
    ]
    assert held, [decision.reason for decision in story.tried.decisions(story.rollout)]
    assert max(decision.judged_at for decision in held) < story.rollout.deadline_at
    ports = story.tried.ports
    decisions = story.tried.decisions(story.rollout)
    assert says in ports.rollout_reporter.html(story.rollout, decisions).decode()


def test_a_challenger_that_refuses_is_rolled_back_by_its_errors(live, refusing):
    last = require_rolled_back(live, refusing, "guardrail:errors")
    assert last.judged_at < refusing.rollout.deadline_at
    assert last.totals.champion.unanswered == {}
    assert last.totals.challenger.unanswered.keys() == {"unanswerable"}


def test_outcomes_with_another_word_hold_and_roll_back_at_the_deadline(live, another_word):
    last = require_rolled_back(live, another_word, "WS-ROLLOUT-031 outcomes")
    assert (last.totals.unusable, last.totals.outcomes) == (UNITS // 5, 0)
    require_held(live, another_word, "WS-ROLLOUT-031 outcomes")


@pytest.mark.acceptance
def test_no_outcome_holds_and_rolls_back_at_the_deadline(live, no_outcomes):
    require_rolled_back(live, no_outcomes, "WS-ROLLOUT-027 outcomes")
    require_held(live, no_outcomes, "WS-ROLLOUT-027 outcomes")


@pytest.mark.acceptance
def test_a_shadow_that_fails_is_rolled_back(live, failing_shadow):
    last = require_rolled_back(live, failing_shadow, "guardrail:errors")
    assert last.totals.challenger.unanswered == {"unanswerable": UNITS // 3}
    assert last.totals.challenger.units == UNITS
