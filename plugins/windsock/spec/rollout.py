"""The ``rollout`` block: how a new version gets its traffic, and what it must prove on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from windsock.spec.base import Frozen
from windsock.spec.durations import Duration, parse_duration
from windsock.spec.faults import NotAllowedError
from windsock.spec.margins import MostLoss, PromoteRule
from windsock.spec.monitoring import LabelsBlock
from windsock.spec.rollout_metrics import (
    RELATIVE_KINDS,
    SEEN_BY_SHADOWS,
    SHARE_KINDS,
    USUAL_METRICS,
    RolloutMetricBlock,
)
from windsock.spec.words import Switch

Strategy = Literal["direct", "canary", "ab", "shadow"]
HARM = "harm"
"""The guardrail on the rollout's own metric."""
USUAL_GUARDRAILS: dict[str, float] = {HARM: 0.0, "errors": 0.01, "slow": 0.05}
PERCENT = 100
"""Basis points of one percent."""
WHOLE = 100 * PERCENT
USUAL_MARGIN = 0.02
"""Of a metric that is a share; no number is usual in a unit that only the model's owner knows."""
USUAL_RELATIVE_MARGIN = 0.2
"""Of a conversion or a rate, as a part of the champion's own: the smaller of both margins holds."""
SHORTEST_CHECK = timedelta(seconds=5)
MOST_LOOKS = 10_000
"""Decisions of one rollout that are kept, and read again by its report."""


class RolloutBlock(Frozen):
    """How a new version gets its traffic."""

    strategy: Strategy = Field(
        default="direct",
        description="all at once, in steps, as an A/B test, or beside the champion without answering",
    )
    share: float = Field(
        default=50.0, gt=0, lt=100, description="ab: percent of the units that the challenger answers"
    )
    steps: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        default=(5.0, 25.0, 50.0, 100.0),
        min_length=1,
        max_length=20,
        description="canary: percent of the units at each step; 100 is the promotion",
    )
    bake: Duration = Field(default="1h", description="canary, shadow: shortest time at a step")
    check: Duration = Field(default="1h", description="how often the rollout is judged")
    metric: str | None = Field(
        default=None,
        description="what decides: a name of `metrics`, or a usual one such as ctr; default: "
        "accuracy, or absolute_error for regression; with a class under 5 % of the rows it must be given",
    )
    metrics: dict[str, RolloutMetricBlock] = Field(
        default_factory=dict, max_length=20, description="further metrics, by name"
    )
    promote: PromoteRule | None = Field(
        default=None,
        description="better, {not_worse: 0.01}, or {not_worse: 20%} of the champion's own value; default: "
        "better for ab; for the others {not_worse: 0.02} where the metric is a share such as accuracy, and "
        "for a conversion or a rate the smaller of 0.02 and 20%; else it must be said",
    )
    guardrails: dict[str, float | None] = Field(
        default_factory=dict,
        max_length=20,
        description="largest worsening of each metric, in its own unit; null: none. Usual: harm 0 (the "
        "rollout's metric), errors 0.01, slow 0.05",
    )
    minimum_units: int = Field(
        default=10_000, ge=2, le=1_000_000_000, description="units in all arms of a step before it is decided"
    )
    cycle: Duration = Field(
        default="7d",
        description="shortest time at the last step before a promotion: a whole cycle of what people do",
    )
    horizon: Duration | None = Field(
        default=None, description="declared length of the test: looks become planned, and the test stronger"
    )
    looks: int = Field(default=20, ge=1, le=100, description="with a horizon: how many looks are planned")
    deadline: Duration = Field(
        default="28d", description="without a decision by then the champion keeps serving"
    )
    alpha: float = Field(
        default=0.05, ge=1e-6, lt=0.5, description="risk of a false promotion; the guardrails share as much"
    )
    pre_period: Duration | None = Field(
        default=None, description="outcomes of units so long before the rollout make it more precise (CUPED)"
    )
    attribution: Duration | None = Field(
        default="7d",
        description="how long after an exposure an outcome may come of it; null: for ever",
    )
    unit_cap: int | None = Field(
        default=100,
        ge=1,
        le=1_000_000_000,
        strict=True,
        description="exposures (or labels) of one unit that count in full in a rate; a unit with more weighs "
        "as much as one with so many; null: each weighs what it has",
    )
    challengers: int = Field(
        default=1,
        ge=1,
        le=4,
        strict=True,
        description="ab, canary: versions tried at once by one rollout; share and steps are of all together",
    )
    gather: Duration = Field(
        default="3d",
        description="with several challengers: how long the first that waits is kept waiting for the others",
    )
    labels: LabelsBlock | None = Field(
        default=None, description="where outcomes arrive; default: as for monitoring"
    )
    approve: Switch = Field(default=False, description="ask a person before the promotion")

    @property
    def metric_blocks(self) -> dict[str, RolloutMetricBlock]:
        """Every metric that a name may stand for."""
        usual = {name: RolloutMetricBlock(kind=kind) for name, kind in USUAL_METRICS.items()}
        return {**usual, **self.metrics}

    @property
    def limits(self) -> dict[str, float]:
        """Largest worsening by guardrail, the usual ones included."""
        asked = {**USUAL_GUARDRAILS, **self.guardrails}
        return {name: limit for name, limit in asked.items() if limit is not None}

    @property
    def margin(self) -> float | None:
        """The largest loss that is no harm, in the metric's unit; ``None``: none is said in it."""
        if isinstance(self.promote, MostLoss):
            return self.promote.absolute
        return USUAL_MARGIN if self._has_usual_margin else None

    @property
    def relative_margin(self) -> float | None:
        """The largest loss that is no harm, as a part of the champion's own value; ``None``: none is said so.

        With neither margin the challenger must be better; of two the smaller one holds.
        """
        if isinstance(self.promote, MostLoss):
            return self.promote.relative
        usual = self._has_usual_margin and self.metric is not None
        is_rate = usual and self.metric_blocks[self.metric or ""].kind in RELATIVE_KINDS
        return USUAL_RELATIVE_MARGIN if is_rate else None

    @property
    def confirms_margin(self) -> bool:
        """Whether a margin above half of what the champion has is meant."""
        return isinstance(self.promote, MostLoss) and self.promote.confirmed

    @property
    def _has_usual_margin(self) -> bool:
        return self.promote is None and self.strategy != "ab"

    @property
    def shares(self) -> tuple[int, ...]:
        """Basis points of the challenger at each step before the promotion; a shadow has none."""
        if self.strategy == "canary":
            return tuple(round(step * PERCENT) for step in self.steps if step < 100)
        return (round(self.share * PERCENT),) if self.strategy == "ab" else (0,)

    @model_validator(mode="after")
    def _metrics_are_known(self) -> Self:
        known = self.metric_blocks
        if self.metric is not None and self.metric not in known:
            raise NotAllowedError(f"unknown metric {self.metric}", allowed=sorted(known), at=("metric",))
        for name in self.metrics:
            if name in (*USUAL_METRICS, HARM):
                raise NotAllowedError("a usual name", cure="name it otherwise", at=("metrics", name))
        for name, limit in self.guardrails.items():
            if name != HARM and name not in known:
                raise NotAllowedError(
                    f"unknown metric {name}", allowed=sorted({HARM, *known}), at=("guardrails", name)
                )
            if limit is not None and limit < 0:
                raise NotAllowedError(f"{limit} is below 0", allowed="0 or more", at=("guardrails", name))
        return self

    @model_validator(mode="after")
    def _a_shadow_shows_its_metrics(self) -> Self:
        if self.strategy != "shadow":
            return self
        known = self.metric_blocks
        asked = [(name, ("guardrails", name)) for name in self.limits if name != HARM]
        for name, at in [*([(self.metric, ("metric",))] if self.metric else []), *asked]:
            if known[name].kind not in SEEN_BY_SHADOWS:
                raise NotAllowedError(
                    f"{name} cannot be seen of a shadow: nobody acts upon answers that nobody gets",
                    allowed=sorted(name for name, one in known.items() if one.kind in SEEN_BY_SHADOWS),
                    cure="choose a metric of the answers themselves, or `strategy: ab`",
                    at=at,
                )
        return self

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if any(later <= sooner for sooner, later in zip(self.steps, self.steps[1:], strict=False)):
            raise NotAllowedError("the steps do not grow", allowed="such as 5, 25, 50, 100", at=("steps",))
        if self.strategy == "canary" and not self.shares:
            raise NotAllowedError(
                "a canary with no step below 100",
                cure="write `strategy: direct`, or add steps",
                at=("steps",),
            )
        if self.strategy == "ab" and not 0 < self.shares[0] < WHOLE:
            raise NotAllowedError(
                f"{self.share:g} percent is {self.shares[0]:,} of 10,000 buckets",
                allowed="0.01 to 99.99",
                at=("share",),
            )
        if self.strategy == "canary":
            self._require_steps_apart()
        return self

    @model_validator(mode="after")
    def _several_have_traffic(self) -> Self:
        if self.challengers == 1:
            return self
        if self.strategy not in ("ab", "canary"):
            raise NotAllowedError(
                f"{self.challengers} challengers in a `{self.strategy}` rollout",
                allowed="1; several share the traffic of an `ab` or a `canary`",
                cure="write `strategy: ab`, or leave `challengers` out",
                at=("challengers",),
            )
        each = [share // self.challengers for share in self.shares]
        if any(later <= sooner for sooner, later in zip([0, *each], each, strict=False)):
            raise NotAllowedError(
                f"{self.challengers} challengers share {[share / PERCENT for share in self.shares]} percent "
                "of the units, and one of them has no bucket more than before",
                allowed=f"steps {self.challengers / PERCENT:g} percent apart or more",
                at=("share",) if self.strategy == "ab" else ("steps",),
            )
        return self

    def _require_steps_apart(self) -> None:
        before = 0
        for place, share in enumerate(self.shares):
            if not before < share < WHOLE:
                raise NotAllowedError(
                    f"step {self.steps[place]:g} percent is {share:,} of 10,000 buckets after {before:,}",
                    allowed="0.01 or more apart, 0.01 to 99.99; 100 is the promotion",
                    at=("steps", place),
                )
            before = share

    @model_validator(mode="after")
    def _the_metric_has_a_margin(self) -> Self:
        if self.metric is not None:
            self.require_margin(self.metric)
        return self

    def require_margin(self, metric: str) -> None:
        """Refuse a rollout that would be held against the usual margin by a metric that is no share.

        :raises NotAllowedError: with what to write instead.
        """
        kind = self.metric_blocks[metric].kind
        if kind in SHARE_KINDS and (self.margin or 0.0) >= 1:
            raise NotAllowedError(
                f"a loss of {self.margin:g} of {metric}, which is a share",
                allowed="below 1, such as 0.02, or a part of the champion's own value, such as 20%",
                at=("promote", "not_worse"),
            )
        if self.strategy in ("canary", "shadow") and self.promote is None and kind not in SHARE_KINDS:
            raise NotAllowedError(
                f"missing: a {self.strategy} by {metric} has no usual margin",
                allowed="better, or the largest loss that is no harm",
                cure="write `promote: {not_worse: ...}` in the metric's own unit, or `promote: better`",
                at=("promote",),
            )

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        deadline = parse_duration(self.deadline)
        for name in ("cycle", "horizon", *(() if self.strategy == "ab" else ("bake",))):
            length = getattr(self, name)
            if length is not None and parse_duration(length) > deadline:
                raise NotAllowedError(
                    f"{name} {length} is longer than the deadline {self.deadline}",
                    allowed=f"up to {self.deadline}",
                    at=(name,),
                )
        if self.horizon and parse_duration(self.cycle) > parse_duration(self.horizon):
            raise NotAllowedError(
                f"cycle {self.cycle} is longer than the horizon {self.horizon}",
                allowed=f"up to {self.horizon}",
                at=("cycle",),
            )
        self._require_looks(deadline)
        if self.strategy == "canary":
            baked = (len(self.shares) - 1) * parse_duration(self.bake)
            if baked + parse_duration(self.cycle) > deadline:
                raise NotAllowedError(
                    f"the steps before the last one, and cycle {self.cycle} at that, are longer than the "
                    f"deadline {self.deadline}",
                    cure="shorten bake or cycle, leave out steps, or lengthen the deadline",
                    at=("deadline",),
                )
        return self

    def _require_looks(self, deadline: timedelta) -> None:
        check = parse_duration(self.check)
        if check < SHORTEST_CHECK:
            raise NotAllowedError(f"a check each {self.check}", allowed="5s or more", at=("check",))
        if check > deadline:
            raise NotAllowedError(
                f"check {self.check} is longer than the deadline {self.deadline}",
                allowed=f"up to {self.deadline}",
                at=("check",),
            )
        if deadline > MOST_LOOKS * check:
            least = -(-deadline // (MOST_LOOKS * timedelta(seconds=1)))
            raise NotAllowedError(
                f"a check each {self.check} up to the deadline {self.deadline} are more than "
                f"{MOST_LOOKS:,} looks",
                allowed=f"{least}s or more",
                cure="look less often, or shorten the deadline",
                at=("check",),
            )
