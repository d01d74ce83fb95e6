"""One look at a rollout: what every check of it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from windsock.records import ArmTotals, Moments, Rollout, RolloutDecision, RolloutPlan, StepTotals
from windsock.spec import SEEN_BY_SHADOWS, SHARE_KINDS, RolloutMetricBlock
from windsock.statistics.experiments import Comparison, compare

FEWEST_UNITS = 100
"""Units that an arm needs before anything is said of it: below, no variance can be trusted."""
NOTHING = Moments()


@dataclass(frozen=True, kw_only=True)
class Look:
    """A rollout and what was seen of its present step.

    :param before: the decisions that stand, by number.
    """

    rollout: Rollout
    totals: StepTotals
    before: Sequence[RolloutDecision]
    now: datetime

    @property
    def plan(self) -> RolloutPlan:
        """What was declared at the start."""
        return self.rollout.plan

    @property
    def elapsed(self) -> timedelta:
        """Time since the rollout began; below 0 where clocks differ."""
        return self.now - self.rollout.started_at

    @property
    def is_due(self) -> bool:
        """Whether the deadline has passed."""
        return self.now >= self.rollout.deadline_at

    @property
    def arms(self) -> tuple[ArmTotals, ArmTotals]:
        """Champion and challenger."""
        return self.totals.champion, self.totals.challenger

    def is_seen(self, metric: str) -> bool:
        """Whether this rollout can tell the arms apart by a metric: people only act upon answers they get."""
        block = self.plan.metrics.get(metric)
        return block is not None and (self.plan.strategy != "shadow" or block.kind in SEEN_BY_SHADOWS)

    def block(self, metric: str) -> RolloutMetricBlock:
        """Return how a metric was declared."""
        return self.plan.metrics[metric]

    def compare(self, metric: str) -> Comparison:
        """Compare the arms by a metric; without a difference where an arm has too few units with a value."""
        champion, challenger = (arm.metrics.get(metric, NOTHING) for arm in self.arms)
        covariate = self.plan.pre_period is not None
        seen = compare(
            champion, challenger, bounded=self.block(metric).kind in SHARE_KINDS, covariate=covariate
        )
        if min(champion.units, challenger.units) < FEWEST_UNITS:
            return seen._replace(difference=None, error=None, variance_ratio=None)
        return seen


__all__ = ["FEWEST_UNITS", "Look"]
