"""One look at a rollout: what every check of it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from windsock.records import (
    BASIS_POINTS,
    BLAMELESS,
    ArmTotals,
    Challenger,
    Moments,
    Rollout,
    RolloutDecision,
    RolloutPlan,
    StepTotals,
)
from windsock.spec import ANSWER_KINDS, RATIO_KINDS, SEEN_BY_SHADOWS, SHARE_KINDS, RolloutMetricBlock
from windsock.statistics.experiments import Comparison, compare, effective_units, over_what_was_asked

FEWEST_UNITS = 100
"""Units that an arm needs before anything is said of it: below, no variance can be trusted."""
NOTHING = Moments()


@dataclass(frozen=True, kw_only=True)
class Look:
    """A rollout, what was seen of its present step, and which challenger is held against the champion.

    :param totals: of all arms.
    :param before: the decisions that stand, by number; of several challengers what each said of this one.
    :param place: of the challenger's lane, from 0.
    """

    rollout: Rollout
    totals: StepTotals
    before: Sequence[RolloutDecision]
    now: datetime
    place: int = 0

    @cached_property
    def plan(self) -> RolloutPlan:
        """What was declared at the start; several challengers share its alpha evenly, also those dropped."""
        plan, others = self.rollout.plan, len(self.rollout.others)
        return plan.replace(alpha=plan.alpha / (1 + others)) if others else plan

    @property
    def challenger(self) -> Challenger:
        """The version that is held against the champion."""
        return self.rollout.challengers[self.place]

    @property
    def is_one_of_several(self) -> bool:
        """Whether other versions are tried beside it."""
        return bool(self.rollout.others)

    @property
    def name(self) -> str:
        """The challenger in words, such as ``version 5``."""
        return f"version {self.challenger.version}" if self.is_one_of_several else "the challenger"

    @property
    def elapsed(self) -> timedelta:
        """Time since the rollout began; below 0 where clocks differ."""
        return self.now - self.rollout.started_at

    @property
    def is_due(self) -> bool:
        """Whether the deadline has passed."""
        return self.now >= self.rollout.deadline_at

    @property
    def is_foreign(self) -> bool:
        """Whether the counts are of another rollout or step, of which nothing follows for this one."""
        asked = (self.rollout.experiment, self.rollout.step)
        return (self.totals.experiment, self.totals.step) != asked

    @property
    def arms(self) -> tuple[ArmTotals, ArmTotals]:
        """Champion and challenger."""
        champion, *others = self.totals.arms
        return champion, others[self.place] if self.place < len(others) else ArmTotals()

    @property
    def units(self) -> int:
        """Units of both arms."""
        return sum(arm.units for arm in self.arms)

    @property
    def exposures(self) -> int:
        """Exposures of both arms."""
        return sum(arm.exposures for arm in self.arms)

    @property
    def split(self) -> tuple[int, int]:
        """Basis points of champion and challenger."""
        return BASIS_POINTS - self.rollout.share, self.rollout.share_each

    def is_seen(self, metric: str) -> bool:
        """Whether this rollout can tell the arms apart by a metric: people only act upon answers they get."""
        block = self.plan.metrics.get(metric)
        return block is not None and (self.plan.strategy != "shadow" or block.kind in SEEN_BY_SHADOWS)

    def block(self, metric: str) -> RolloutMetricBlock:
        """Return how a metric was declared."""
        return self.plan.metrics[metric]

    def sums(self, metric: str) -> tuple[Moments, Moments]:
        """Return a metric's sums of both arms; an accuracy's are over all that was asked."""
        champion, challenger = (self._sums(arm, metric) for arm in self.arms)
        return champion, challenger

    def _sums(self, arm: ArmTotals, metric: str) -> Moments:
        seen = arm.metrics.get(metric, NOTHING)
        if self.block(metric).kind != "accuracy" or not seen.asked:
            return seen
        answers = self._answers(arm, seen.asked)
        return over_what_was_asked(seen, min(1.0, seen.den / answers) if answers > 0 else 0.0)

    def _answers(self, arm: ArmTotals, asked: float) -> float:
        """Return an arm's answers, weighed by unit as its labels are where a metric of its exposures tells.

        :param asked: exposures without an answer for which the version is to blame, weighed likewise.
        """
        blamed = sum(number for cause, number in arm.unanswered.items() if cause not in BLAMELESS)
        for name, block in self.plan.metrics.items():
            if block.kind == "errors" and (shown := arm.metrics.get(name, NOTHING).den) > 0 and blamed:
                return shown - asked * arm.refused / blamed
        return float(arm.exposures - arm.refused)

    def compare(self, metric: str, *, weight: float = 1.0) -> Comparison:
        """Compare the arms by a metric; without a difference where an arm has too few units with a value.

        Units of very different weight are worth fewer; answers without outcomes are judged all the same:
        harm that a fallback does must be seen soon.

        :param weight: of the champion in the contrast whose error is asked for.
        """
        champion, challenger = self.sums(metric)
        kind = self.block(metric).kind
        seen = compare(
            champion,
            challenger,
            bounded=kind in SHARE_KINDS,
            covariate=self.plan.pre_period is not None,
            weight=weight,
        )
        fewest: float = min(arm.metrics.get(metric, NOTHING).units for arm in self.arms)
        if kind in RATIO_KINDS - ANSWER_KINDS:
            fewest = min(fewest, effective_units(champion), effective_units(challenger))
        if fewest < FEWEST_UNITS:
            return seen._replace(difference=None, error=None, variance_ratio=None)
        return seen


__all__ = ["FEWEST_UNITS", "NOTHING", "Look"]
