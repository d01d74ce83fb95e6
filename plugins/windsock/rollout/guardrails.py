"""Guardrails: by how much the challenger may be worse, held at every look."""

from __future__ import annotations

from windsock.records import CheckResult, Interval, Status
from windsock.records.check_text import against_limit
from windsock.rollout.look import FEWEST_UNITS, Look
from windsock.rollout.outcomes import hidden
from windsock.spec import ANSWER_KINDS, HARM
from windsock.statistics.experiments import Comparison
from windsock.statistics.sequential import lower_bound, upper_bound

PREFIX = "guardrail:"
CODE = "WS-ROLLOUT-025"
GUARDRAIL_UNITS = 5_000
"""Units at which a guardrail is sharpest: few, so that great harm is seen soon."""


def guardrails(look: Look) -> tuple[CheckResult, ...]:
    """Check every guardrail by one-sided confidence sequences.

    They share the plan's alpha evenly, over all guardrails and all steps (Bonferroni): so the risk that a
    challenger without harm is ever rolled back is no more than alpha. One that is broken is broken, whatever
    is missing; otherwise a metric of outcomes that are no evidence has no interval.
    """
    limits, steps = look.plan.limits, len(look.plan.shares)
    return tuple(
        _guardrail(look, name, limits[name], look.plan.alpha / len(limits) / steps) for name in limits
    )


def metric_of(look: Look, guardrail: str) -> str:
    """Return the metric behind a guardrail."""
    return look.plan.metric if guardrail == HARM else guardrail


def is_measured_at_once(look: Look, check: CheckResult) -> bool:
    """Return whether a guardrail needs no outcome, so that nothing excuses that it has no value."""
    return look.block(metric_of(look, check.name.removeprefix(PREFIX))).kind in ANSWER_KINDS


def _guardrail(look: Look, name: str, limit: float, alpha: float) -> CheckResult:
    metric = metric_of(look, name)
    if look.is_foreign:
        return _told(name, limit, Status.ERROR, "the counts are not of this step")
    if not look.is_seen(metric):
        return _told(name, limit, Status.ERROR, f"a {look.plan.strategy} cannot show {metric}")
    seen = look.compare(metric)
    worse = _worsening(seen, alpha, lower_is_better=look.block(metric).lower_is_better)
    if worse is None or seen.difference is None:
        fewest = min(arm.metrics[metric].units if metric in arm.metrics else 0 for arm in look.arms)
        missing = hidden(look, metric) or (
            against_limit(
                f"units of the smaller arm with {metric}",
                fewest,
                ">=",
                FEWEST_UNITS,
                status=Status.INSUFFICIENT,
            )
            if fewest < FEWEST_UNITS
            else f"{metric} has no spread, no finite value, or a few units that outweigh all others"
        )
        return _told(name, limit, Status.INSUFFICIENT, missing, n=seen.units)
    value = seen.difference if look.block(metric).lower_is_better else -seen.difference
    status = Status.INSUFFICIENT
    if worse.low > limit:
        status = Status.FAIL
    elif (unproved := hidden(look, metric)) is not None:
        return _told(name, limit, status, unproved, n=seen.units)
    elif worse.high <= limit:
        status = Status.PASS
    n = f"{seen.units:,} units"
    message = against_limit(f"loss of {metric}", value, "<=", limit, status=status, interval=worse, n=n)
    if status is Status.INSUFFICIENT:
        message += "; more units must come before it is decided"
    return _told(name, limit, status, message, value=value, interval=worse, n=seen.units)


def _worsening(seen: Comparison, alpha: float, *, lower_is_better: bool) -> Interval | None:
    """Return both one-sided bounds of the challenger's loss."""
    low = lower_bound(seen, planned_units=GUARDRAIL_UNITS, alpha=alpha)
    high = upper_bound(seen, planned_units=GUARDRAIL_UNITS, alpha=alpha)
    if low is None or high is None:
        return None
    if not lower_is_better:
        low, high = -high, -low
    return Interval(low=low, high=high, level=1 - 2 * alpha)


def _told(
    name: str,
    limit: float,
    status: Status,
    message: str,
    *,
    value: float | None = None,
    interval: Interval | None = None,
    n: int = 0,
) -> CheckResult:
    return CheckResult(
        name=f"{PREFIX}{name}",
        status=status,
        code=CODE,
        value=value,
        limit=limit,
        relation="<=",
        interval=interval,
        n=n,
        message=message,
    )


__all__ = ["GUARDRAIL_UNITS", "PREFIX", "guardrails", "is_measured_at_once"]
