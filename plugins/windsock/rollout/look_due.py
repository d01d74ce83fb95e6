"""When a rollout is looked at next."""

from __future__ import annotations

from datetime import datetime

from windsock.records import Rollout, RolloutAction, RolloutDecision

LASTING = frozenset({RolloutAction.ADVANCE, RolloutAction.DROP, RolloutAction.KEEP, RolloutAction.ROLL_BACK})
"""What is decided once: it is carried out next, however often it is asked."""


def is_pending(last: RolloutDecision, rollout: Rollout) -> bool:
    """Return whether the last decision is of those that are made once, and is still to be carried out."""
    if last.action not in LASTING or last.step != rollout.step:
        return False
    active = {one.digest for one in rollout.active}
    return last.action is not RolloutAction.DROP or any(one.digest in active for one in last.dropped)


def look_due(rollout: Rollout, last: RolloutDecision | None) -> datetime:
    """Return when the next look is due: a check after the step began, then a check after each look.

    Bake time delays no look: a guardrail may roll back at each. What was decided and not carried out yet is
    due at once, and so is the end at the deadline.

    :param last: the rollout's newest decision.
    """
    if last is not None and is_pending(last, rollout):
        return last.judged_at
    since = max(rollout.step_since, last.judged_at) if last else rollout.step_since
    due = since + rollout.plan.length("check")
    return min(due, rollout.deadline_at) if since < rollout.deadline_at else due
