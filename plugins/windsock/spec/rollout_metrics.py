"""Metrics of a rollout: what the arms are compared by."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from windsock.spec.base import Frozen, is_none
from windsock.spec.durations import Duration

MetricKind = Literal["conversion", "rate", "mean", "accuracy", "absolute_error", "errors", "slow"]
LOWER_IS_BETTER: frozenset[str] = frozenset({"absolute_error", "errors", "slow"})
SEEN_BY_SHADOWS: frozenset[str] = frozenset({"accuracy", "absolute_error", "errors", "slow"})
"""Kinds of metrics that an answer has which nobody acts upon."""
SHARE_KINDS: frozenset[str] = frozenset({"conversion", "rate", "accuracy", "errors", "slow"})
"""Kinds of metrics that lie between 0 and 1, whatever the model is about."""
OUTCOME_KINDS: frozenset[str] = frozenset({"conversion", "rate", "mean"})
"""Kinds of metrics that sum outcomes by unit."""
LABELLED_KINDS: frozenset[str] = frozenset({"accuracy", "absolute_error"})
"""Kinds that hold an answer against its outcome: a unit has a value only once an answer of it has a label."""
ANSWER_KINDS: frozenset[str] = frozenset({"errors", "slow"})
"""Kinds that are there as soon as an answer is: they need no outcome."""
RATIO_KINDS: frozenset[str] = LABELLED_KINDS | ANSWER_KINDS | {"rate"}
"""Kinds in which a unit weighs as much as it has exposures, or labels."""
RELATIVE_KINDS: frozenset[str] = frozenset({"conversion", "rate"})
"""Kinds whose base rate may be smaller than any usual margin: what is no harm is a part of it."""
USUAL_METRICS: dict[str, MetricKind] = {
    "conversion": "conversion",
    "ctr": "rate",
    "mean": "mean",
    "accuracy": "accuracy",
    "absolute_error": "absolute_error",
    "errors": "errors",
    "slow": "slow",
}
"""Metrics that need not be declared, by name."""


class RolloutMetricBlock(Frozen):
    """A number that the arms of a rollout are compared by; always summed by unit first."""

    kind: MetricKind = Field(
        description="conversion: units with a positive outcome; rate: positive outcomes for each exposure "
        "(CTR); mean: sum of a unit's outcomes; accuracy, absolute_error: of labelled answers; errors: "
        "exposures that the version did not answer; slow: answers slower than sla_latency_ms"
    )
    outcome: str | int | float | bool | None = Field(
        default=None, description="only this outcome is positive; default: true, or any number above 0"
    )
    better: Literal["higher", "lower"] | None = Field(
        default=None, description="default: lower for errors, slow and absolute_error, else higher"
    )
    attribution: Duration | None = Field(
        default=None,
        exclude_if=is_none,
        description="how long after an exposure an outcome may come of it; default: the rollout's",
    )

    @property
    def lower_is_better(self) -> bool:
        """Whether a small value is a good one."""
        return self.better == "lower" if self.better else self.kind in LOWER_IS_BETTER
