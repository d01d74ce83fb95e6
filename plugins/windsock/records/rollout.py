"""Records of the rollout room: what is tried, and what was seen of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field

from windsock.records.base import Digest, Moment, Record
from windsock.spec import HARM, Duration, LabelsBlock, ModelSpec, RolloutMetricBlock, parse_duration

Arm = Literal["champion", "challenger"]


def _is_none(value: object) -> bool:
    """Fields that came later are not written where they say nothing: older records keep their digests."""
    return value is None


def _is_nothing(value: object) -> bool:
    return not value


class RolloutPlan(Record):
    """How one rollout is run; frozen at its start, whatever becomes of the model's file meanwhile.

    :param shares: basis points of the challenger at each step before the promotion; a shadow has none.
    :param metrics: every metric that is counted, by name: the one that decides and those of the guardrails.
    :param limits: the guardrails: largest worsening of a metric in its own unit; ``harm`` is the rollout's.
    :param margin: loss of the metric that is no harm; ``None``: the challenger must be better.
    :param slow_ms: an answer that took longer is a slow one.
    :param relative_margin: largest loss that is no harm as a part of the champion's own value, such as 0.2;
        the smaller of both margins holds. ``None``: only ``margin``, as in plans of before.
    :param attribution: how long after an exposure an outcome may come of it; ``None``: for ever, as in plans
        of before. A metric may have its own.
    :param unit_cap: exposures (or labels) of one unit that count in full in a ratio; a unit with more weighs
        as much as one with so many. ``None``: each weighs what it has, as in plans of before.
    """

    strategy: Literal["canary", "ab", "shadow"]
    shares: tuple[int, ...] = Field(min_length=1)
    bake: Duration
    check: Duration
    metric: str
    metrics: dict[str, RolloutMetricBlock]
    limits: dict[str, float]
    margin: float | None = None
    minimum_units: int
    cycle: Duration
    horizon: Duration | None = None
    looks: int
    deadline: Duration
    alpha: float
    pre_period: Duration | None = None
    labels: LabelsBlock = LabelsBlock()
    approve: bool = False
    slow_ms: float
    relative_margin: float | None = Field(default=None, exclude_if=_is_none)
    attribution: Duration | None = Field(default=None, exclude_if=_is_none)
    unit_cap: int | None = Field(default=None, ge=1, exclude_if=_is_none)

    @classmethod
    def of_spec(cls, spec: ModelSpec, overrides: RolloutOverrides | None = None) -> Self:
        """Return the plan that a model's YAML file asks for.

        :param overrides: what a person asks for instead, this once.
        :raises ValueError: if what they ask for cannot be.
        """
        block = spec.rollout
        if overrides is not None:
            if overrides.steps is not None and block.strategy in ("ab", "shadow"):
                raise ValueError(
                    f"`steps` were given, and the strategy is `{block.strategy}`: only a canary has steps. "
                    "Leave them empty, or write `strategy: canary` into the model's file"
                )
            asked = overrides.model_dump(exclude_none=True, mode="json")
            block = type(block).model_validate({**block.model_dump(mode="json", exclude_unset=True), **asked})
        if block.strategy == "direct":
            raise ValueError("a direct rollout has no plan")
        usual = "accuracy" if spec.task == "classification" else "absolute_error"
        metric, known = block.metric or usual, block.metric_blocks
        counted = dict.fromkeys([metric, *(name for name in block.limits if name != HARM)])
        return cls(
            strategy=block.strategy,
            shares=block.shares,
            bake=block.bake,
            check=block.check,
            metric=metric,
            metrics={name: known[name] for name in counted},
            limits=block.limits,
            margin=block.margin,
            minimum_units=block.minimum_units,
            cycle=block.cycle,
            horizon=block.horizon,
            looks=block.looks,
            deadline=block.deadline,
            alpha=block.alpha,
            pre_period=block.pre_period,
            labels=block.labels or spec.monitoring.labels,
            approve=block.approve,
            slow_ms=spec.serving.sla_latency_ms,
            relative_margin=block.relative_margin,
            attribution=block.attribution,
            unit_cap=block.unit_cap,
        )

    def length(self, name: Literal["bake", "check", "cycle", "deadline"]) -> timedelta:
        """Return one of the plan's spans of time."""
        return parse_duration(getattr(self, name))

    @property
    def horizon_length(self) -> timedelta | None:
        """The declared length of the test, if there is one."""
        return parse_duration(self.horizon) if self.horizon else None


class RolloutOverrides(Record):
    """What a person asks for instead of what the model's file says, for one rollout.

    :param steps: canary: percent of the units at each step.
    """

    steps: tuple[float, ...] | None = None
    metric: str | None = None
    horizon: Duration | None = None


class Rollout(Record):
    """A rollout that is under way, as the ledger tells it.

    :param experiment: its name, unique for the model: ``v4-e17`` is version 4, begun by epoch 17.
    :param step: place in the plan's shares.
    :param step_epoch: epoch by which the step began; predictions of it have this epoch or a later one.
    :param salt: salt of the assignment; it never changes during a rollout.
    :param registered_seq: row of the ledger by which the version was registered.
    :param paused_by: who paused it: it neither advances nor promotes until it is resumed; guardrails hold.
    :param asked_until: until when a person is being asked about its promotion.
    :param asked_by: the DAG run that asks.
    """

    model: str
    experiment: str
    version: str
    digest: Digest
    bundle_uri: str
    evidence_digest: Digest
    champion_version: str
    champion_digest: Digest
    plan: RolloutPlan
    step: int = Field(ge=0)
    step_epoch: int
    step_since: Moment
    started_at: Moment
    salt: str
    paused_by: str | None = None
    asked_by: str | None = None
    asked_until: Moment | None = None

    @property
    def share(self) -> int:
        """Basis points of the challenger now."""
        return self.plan.shares[self.step]

    @property
    def is_last_step(self) -> bool:
        """Whether what follows is the promotion."""
        return self.step == len(self.plan.shares) - 1

    @property
    def deadline_at(self) -> datetime:
        """When it ends without a decision."""
        return self.started_at + self.plan.length("deadline")


class RolloutOutcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "promoted"
    KEPT = "kept"
    """No proof of gain by the horizon or the deadline: the champion keeps serving."""
    ROLLED_BACK = "rolled_back"
    """It did harm."""
    STOPPED = "stopped"
    """A person ended it."""
    BROKEN_OFF = "broken_off"
    """Another change of traffic ended it."""


class RolloutEnd(Record):
    """A rollout that is over.

    :param epoch: epoch of the change of traffic that ended it.
    """

    experiment: str
    version: str
    outcome: RolloutOutcome
    epoch: int
    started_at: Moment
    ended_at: Moment
    reason: str = ""


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
    :param moved: units that were exposed to both arms; they stay in the arm of their first exposure.
    :param strange: exposures of the rollout by a version that is neither arm.
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
    counted_until: Moment

    @property
    def units(self) -> int:
        """Units of both arms."""
        return self.champion.units + self.challenger.units

    @property
    def exposures(self) -> int:
        """Exposures of both arms."""
        return self.champion.exposures + self.challenger.exposures


__all__ = [
    "Arm",
    "ArmTotals",
    "Moments",
    "Rollout",
    "RolloutEnd",
    "RolloutOutcome",
    "RolloutOverrides",
    "RolloutPlan",
    "StepTotals",
]
