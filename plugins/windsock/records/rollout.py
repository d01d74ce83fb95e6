"""Records of the rollout room: what is tried, and what was seen of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field

from windsock.records.base import Digest, Moment, Record
from windsock.spec import HARM, Duration, LabelsBlock, ModelSpec, RolloutMetricBlock, parse_duration
from windsock.spec.base import is_none
from windsock.texts import joined, numbered, shortened

Arm = Literal["champion", "challenger"]
MOST_CHALLENGERS = 4
"""Versions that one rollout tries at once."""
SHOWN_REASON = 200
"""Characters of a pause's reason that are shown where the pause is; the ledger has all."""


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
    :param challengers: most versions that are tried at once; ``shares`` are of all of them together.
    :param confirmed: whether a margin above half of what the champion has is meant; ``None``: nobody was
        asked, as in plans of before.
    :param classes: words of the classes that the versions answer: an outcome with one of them is a label and
        says what happened, whether a metric names it or not. Empty in plans of before.
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
    relative_margin: float | None = Field(default=None, exclude_if=is_none)
    attribution: Duration | None = Field(default=None, exclude_if=is_none)
    unit_cap: int | None = Field(default=None, ge=1, exclude_if=is_none)
    challengers: int = Field(default=1, ge=1, le=MOST_CHALLENGERS, exclude_if=(1).__eq__)
    confirmed: bool | None = Field(default=None, exclude_if=is_none)
    classes: tuple[str, ...] = Field(default=(), exclude_if=().__eq__)

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
            challengers=block.challengers,
            confirmed=block.confirms_margin,
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


class Challenger(Record):
    """A version that a rollout tries against the champion."""

    version: str
    digest: Digest
    bundle_uri: str
    evidence_digest: Digest


class Rollout(Record):
    """A rollout that is under way, as the ledger tells it.

    :param experiment: its name, unique for the model: ``v4-e17`` is version 4, begun by epoch 17.
    :param version: the challenger; of several the first one, whose lane comes first. So are ``digest``,
        ``bundle_uri`` and ``evidence_digest``.
    :param others: the further challengers, in the order of their lanes.
    :param withdrawn: bundles of the challengers that were dropped: the champion answers in their place.
    :param step: place in the plan's shares.
    :param step_epoch: epoch by which the step began; predictions of it have this epoch or a later one.
    :param salt: salt of the assignment; it never changes during a rollout.
    :param registered_seq: row of the ledger by which the version was registered.
    :param paused_by: who paused it: it neither advances nor promotes until it is resumed; guardrails hold.
    :param paused_reason: why they did, on one line; empty where no reason was given, and not written then.
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
    paused_reason: str = Field(default="", exclude_if="".__eq__)
    asked_by: str | None = None
    asked_until: Moment | None = None
    others: tuple[Challenger, ...] = Field(default=(), exclude_if=().__eq__)
    withdrawn: tuple[Digest, ...] = Field(default=(), exclude_if=().__eq__)

    @property
    def challengers(self) -> tuple[Challenger, ...]:
        """All that it began with, in the order of their lanes."""
        first = Challenger(
            version=self.version,
            digest=self.digest,
            bundle_uri=self.bundle_uri,
            evidence_digest=self.evidence_digest,
        )
        return (first, *self.others)

    @property
    def active(self) -> tuple[Challenger, ...]:
        """The challengers that were not dropped."""
        return tuple(one for one in self.challengers if one.digest not in self.withdrawn)

    @property
    def dropped(self) -> tuple[Challenger, ...]:
        """The challengers that were dropped."""
        return tuple(one for one in self.challengers if one.digest in self.withdrawn)

    @property
    def versions(self) -> str:
        """The challengers' versions for people: ``4``, or ``4, 5 and 6``."""
        return joined(one.version for one in self.challengers)

    @property
    def named(self) -> str:
        """The same in a sentence: ``version 4``, or ``versions 4, 5 and 6``."""
        return numbered([one.version for one in self.challengers])

    @property
    def pause(self) -> str:
        """Who paused it and why, in words: ``paused by ann (a sale)``; empty where it is not paused."""
        if self.paused_by is None:
            return ""
        shown = shortened(self.paused_reason, SHOWN_REASON)
        return f"paused by {self.paused_by} ({shown})" if shown else f"paused by {self.paused_by}"

    def challenger(self, digest: Digest) -> Challenger | None:
        """Return the challenger with a bundle, dropped or not; ``None``: it is none of them."""
        return next((one for one in self.challengers if one.digest == digest), None)

    @property
    def share(self) -> int:
        """Basis points of all challengers together now; those that were dropped keep their lane."""
        return self.share_each * (1 + len(self.others))

    @property
    def share_each(self) -> int:
        """Basis points of one challenger now: all have the same."""
        return self.plan.shares[self.step] // (1 + len(self.others))

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

    :param version: the version that was promoted, else the first one that was tried.
    :param tried: all versions that were tried; not written where it is one, as before there could be several.
    :param epoch: epoch of the change of traffic that ended it.
    """

    experiment: str
    version: str
    tried: tuple[str, ...] = Field(default=(), exclude_if=lambda tried: len(tried) <= 1)
    outcome: RolloutOutcome
    epoch: int
    started_at: Moment
    ended_at: Moment
    reason: str = ""

    @property
    def all_tried(self) -> tuple[str, ...]:
        """All versions that were tried, whether they were written or not."""
        return self.tried or (self.version,)


__all__ = [
    "MOST_CHALLENGERS",
    "Arm",
    "Challenger",
    "Rollout",
    "RolloutEnd",
    "RolloutOutcome",
    "RolloutOverrides",
    "RolloutPlan",
]
