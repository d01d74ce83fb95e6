"""Records of the rollout room: what was counted of a step."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from windsock.records.base import Moment, Record


def _is_nothing(value: object) -> bool:
    """Fields that came later are not written where they say nothing: older records keep their digests."""
    return not value


class Moments(Record):
    """Sums over the units of one arm, of each unit's numerator, denominator and covariate.

    A unit's numerator and denominator are sums over its own exposures and outcomes; for a metric for each
    unit the denominator is 1. The covariate is the numerator of the time before the rollout; 0 without one.

    :param units: units that have a denominator above 0.
    :param largest: the largest denominator of one unit, before the plan's ``unit_cap``; 0 where unknown.
    :param capped: units that weigh less than they have, by the plan's ``unit_cap``.
    :param asked: accuracy: exposures of the units that got no answer, so that no label can be right. With
        them a unit counts that has no label; ``units`` and the other sums are without them.
    :param asked_units: units that have a denominator, or an exposure without an answer.
    """

    units: int = Field(default=0, ge=0)
    num: float = 0.0
    den: float = 0.0
    pre: float = 0.0
    num_num: float = 0.0
    den_den: float = 0.0
    pre_pre: float = 0.0
    num_den: float = 0.0
    num_pre: float = 0.0
    den_pre: float = 0.0
    largest: float = Field(default=0.0, exclude_if=_is_nothing)
    capped: int = Field(default=0, ge=0, exclude_if=_is_nothing)
    asked_units: int = Field(default=0, ge=0, exclude_if=_is_nothing)
    asked: float = Field(default=0.0, exclude_if=_is_nothing)
    asked_asked: float = Field(default=0.0, exclude_if=_is_nothing)
    num_asked: float = Field(default=0.0, exclude_if=_is_nothing)
    den_asked: float = Field(default=0.0, exclude_if=_is_nothing)


class ArmTotals(Record):
    """What was seen of one arm in one step.

    :param units: units that were exposed: that asked and belong to this arm, whatever became of it.
    :param exposures: rows that they asked for; each prediction id counts once.
    :param metrics: by the metric's name.
    :param fallbacks: exposures that another version, or the constant, answered in this arm's place.
    :param unanswered: exposures that nobody answered, by cause; see
        :class:`~windsock.records.UnansweredEvent`.
    """

    units: int = Field(default=0, ge=0)
    exposures: int = Field(default=0, ge=0)
    metrics: dict[str, Moments] = Field(default_factory=dict)
    fallbacks: int = Field(default=0, ge=0, exclude_if=_is_nothing)
    unanswered: dict[str, int] = Field(default_factory=dict, exclude_if=_is_nothing)

    @property
    def refused(self) -> int:
        """Exposures without any answer."""
        return sum(self.unanswered.values())

    @property
    def answered(self) -> int:
        """Exposures that the arm's own version answered."""
        return self.exposures - self.fallbacks - self.refused

    @property
    def causes(self) -> str:
        """How many exposures got no answer, by cause, the most frequent one first; empty: all got one."""
        causes = sorted(self.unanswered.items(), key=lambda one: (-one[1], one[0]))
        return ", ".join(f"{number:,} {cause}" for cause, number in causes if number)


class StepTotals(Record):
    """What was seen of one step of a rollout, each exposure and each outcome counted once.

    :param challenger: the first challenger's arm.
    :param others: the arms of the further challengers, in the order of their lanes. An arm that was dropped
        has as fallbacks what the champion answers in its place.
    :param counted_until: time of receipt up to which everything is counted.
    :param repeated_exposures: answers whose prediction id had been counted.
    :param repeated_outcomes: outcomes whose event had been counted.
    :param early: outcomes before the unit's first exposure.
    :param earlier: outcomes of units, or of predictions, that were exposed before the step only.
    :param carried: outcomes by unit that may come of an exposure in an earlier step, by the attribution.
    :param late: outcomes that came longer after the exposure than the plan's attribution.
    :param unknown: outcomes of units, or of predictions, without an exposure in the step, or before it.
    :param unusable: outcomes that are no number where one is needed, or name nobody.
    :param reused: answers whose prediction id had been counted for another unit.
    :param unitless: exposures without a unit, each a unit of its own.
    :param moved: units that were exposed to more than one arm; they stay in the arm of their first exposure.
    :param strange: exposures of the rollout by a version that is no arm.
    :param damaged: lines of the log that could not be read.
    """

    experiment: str
    step: int = Field(ge=0)
    champion: ArmTotals = ArmTotals()
    challenger: ArmTotals = ArmTotals()
    outcomes: int = Field(default=0, ge=0)
    repeated_exposures: int = Field(default=0, ge=0)
    repeated_outcomes: int = Field(default=0, ge=0)
    early: int = Field(default=0, ge=0)
    unknown: int = Field(default=0, ge=0)
    unusable: int = Field(default=0, ge=0)
    moved: int = Field(default=0, ge=0)
    strange: int = Field(default=0, ge=0)
    damaged: int = Field(default=0, ge=0)
    earlier: int = Field(default=0, ge=0, exclude_if=_is_nothing)
    carried: int = Field(default=0, ge=0, exclude_if=_is_nothing)
    late: int = Field(default=0, ge=0, exclude_if=_is_nothing)
    reused: int = Field(default=0, ge=0, exclude_if=_is_nothing)
    unitless: int = Field(default=0, ge=0, exclude_if=_is_nothing)
    others: tuple[ArmTotals, ...] = Field(default=(), exclude_if=().__eq__)
    counted_until: Moment

    @property
    def arms(self) -> tuple[ArmTotals, ...]:
        """The champion's arm, and the challengers' in the order of their lanes."""
        return (self.champion, self.challenger, *self.others)

    @property
    def units(self) -> int:
        """Units of all arms."""
        return sum(arm.units for arm in self.arms)

    @property
    def exposures(self) -> int:
        """Exposures of all arms."""
        return sum(arm.exposures for arm in self.arms)

    def against(self, place: int) -> Self:
        """Return the same with one challenger alone against the champion.

        What became of the outcomes is of all arms: it is not counted by arm.

        :param place: of the challenger's lane, from 0.
        """
        return self.replace(challenger=self.arms[place + 1], others=()) if self.others else self


__all__ = ["ArmTotals", "Moments", "StepTotals"]
