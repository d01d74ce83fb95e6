"""Whether somebody looks at the rollout that is under way."""

from __future__ import annotations

from datetime import datetime, timedelta

from windsock.records.base import Moment
from windsock.records.rollout import Rollout
from windsock.records.rollout_steps import RolloutDecision

CHECKS_MISSED = 3
"""Nobody looks at a rollout whose last look is so many checks ago, and more than an hour beyond one."""
GRACE = timedelta(hours=1)


def unattended_since(rollout: Rollout, last: RolloutDecision | None, now: datetime) -> Moment | None:
    """Return when a rollout was looked at last, if nobody looks at it any more; ``None``: somebody does.

    :param last: its newest decision; ``None`` before the first look.
    """
    seen = max(rollout.step_since, last.judged_at) if last else rollout.step_since
    return seen if now - seen > most_between(rollout) else None


def most_between(rollout: Rollout) -> timedelta:
    """Return after how long without a look nobody looks at a rollout."""
    check = rollout.plan.length("check")
    return max(CHECKS_MISSED * check, check + GRACE)
