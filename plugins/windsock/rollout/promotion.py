"""Whether the challenger has proved what its promotion needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from windsock.records import CheckResult, Estimate, Interval, RolloutDecision, Status
from windsock.records.check_text import against_limit
from windsock.rollout.look import FEWEST_UNITS, Look
from windsock.rollout.margins import Edge, edges
from windsock.rollout.outcomes import SEE_OUTCOMES, fault_of, hidden
from windsock.spec import SHARE_KINDS
from windsock.spec.margins import MOST_RELATIVE
from windsock.statistics.experiments import Comparison, chance_better, fixed_interval, interval_around
from windsock.statistics.sequential import information_of, sequence_interval, spending_bounds

PROMOTION = "promotion"
CODE = "WS-ROLLOUT-026"
PROMOTION_UNITS = 20_000
"""Units at which the confidence sequence of a promotion is sharpest, unless the plan asks for more."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a look tells of the metric that decides.

    :param planned_look: group sequential: 1 .. looks where this is a planned one.
    """

    estimate: Estimate
    planned_look: int | None = None
    edge: Edge | None = None
    """Of both margins the one that the difference is nearer to."""

    @property
    def has_value(self) -> bool:
        """Whether there was enough of the metric to judge."""
        return self.estimate.difference is not None


def prove(look: Look) -> Proof:
    """Estimate the challenger's gain.

    By an asymptotic confidence sequence, or at planned looks by a group sequential test (Lan and DeMets,
    O'Brien-Fleming type) where a horizon is declared. Outcomes that are no evidence give no interval, and a
    look without one spends nothing of the planned test's error.
    """
    metric = look.plan.metric
    if look.is_foreign or not look.is_seen(metric):
        return Proof(estimate=Estimate(metric=metric))
    edge = min(edges(look), key=partial(room, look))
    seen = edge.seen
    if seen.difference is None or seen.error is None or missing_outcomes(look) is not None:
        return Proof(
            estimate=Estimate(
                metric=metric,
                champion=seen.champion,
                challenger=seen.challenger,
                information=seen.units,
                method="group_sequential" if _is_planned_test(look) else "confidence_sequence",
            )
        )
    told = _told(look, seen, seen.difference, seen.error)
    proof = _planned(look, seen, told) if _is_planned_test(look) else Proof(estimate=told)
    return replace(proof, edge=edge)


def missing_outcomes(look: Look) -> str | None:
    """Return why nothing is promoted for want of outcomes: all that the plan needs, at the last step."""
    fault = fault_of(look) if look.rollout.is_last_step else None
    return fault.message if fault else hidden(look, look.plan.metric)


def room(look: Look, edge: Edge) -> float:
    """Return how many standard errors lie between the difference and an edge: of both the fewer decide."""
    difference, error = edge.seen.difference, edge.seen.error
    if difference is None or error is None:
        return math.inf
    side = -1 if look.block(look.plan.metric).lower_is_better else 1
    return side * (difference - edge.limit) / error


def _is_planned_test(look: Look) -> bool:
    return look.plan.horizon is not None and look.rollout.is_last_step


def _told(look: Look, seen: Comparison, difference: float, error: float) -> Estimate:
    plan, plain = look.plan, look.compare(look.plan.metric)
    z = difference / error
    return Estimate(
        metric=plan.metric,
        champion=seen.champion,
        challenger=seen.challenger,
        difference=difference,
        interval=sequence_interval(
            seen, planned_units=max(plan.minimum_units, PROMOTION_UNITS), alpha=plan.alpha
        ),
        fixed=fixed_interval(plain, plan.alpha),
        z=z if math.isfinite(z) else None,
        information=seen.units,
        chance_better=chance_better(plain, lower_is_better=look.block(plan.metric).lower_is_better),
        variance_ratio=seen.variance_ratio,
    )


def _planned(look: Look, seen: Comparison, told: Estimate) -> Proof:
    """Return the estimate with the interval of this planned look, else with that of the last one."""
    made, number = planned_looks(look), due_look(look)
    last = max((one.planned_look or 0 for one in made), default=0)
    is_planned = number > last and look.units >= look.plan.minimum_units
    bound, fraction = (made[-1].estimate.bound, made[-1].estimate.fraction) if made else (None, None)
    if is_planned:
        fraction = number / look.plan.looks
        bound = _bound(look, made, fraction, seen.units)
    interval: Interval | None = None
    if bound is not None and seen.difference is not None and seen.error is not None:
        interval = interval_around(seen.difference, bound * seen.error, look.plan.alpha)
    estimate = told.replace(method="group_sequential", interval=interval, bound=bound, fraction=fraction)
    return Proof(estimate=estimate, planned_look=number if is_planned else None)


def planned_looks(look: Look) -> list[RolloutDecision]:
    """Return the planned looks that were made before; only a last step has any."""
    return [one for one in look.before if one.planned_look is not None]


def due_look(look: Look) -> int:
    """Return the number of the latest planned look whose time has come; 0 before the first."""
    horizon = look.plan.horizon_length
    if horizon is None:
        return 0
    return max(0, min(look.plan.looks, look.elapsed * look.plan.looks // horizon))


def _bound(look: Look, made: list[RolloutDecision], fraction: float, information: int) -> float:
    """Return the bound of |z| at this planned look: what the looks before it were held against stays.

    Information grows with units, or with exposures where the same units come back.
    """
    fractions = [one.estimate.fraction or 0.0 for one in made] + [fraction]
    units = [one.estimate.information for one in made] + [information]
    exposures = [one.totals.exposures for one in made] + [look.exposures]
    known = information_of(units, exposures)
    return spending_bounds(fractions, information=known, alpha=look.plan.alpha)[-1]


def promotion(look: Look, proof: Proof) -> CheckResult:
    """Check that the whole interval lies where the challenger is better, or not worse than the margin."""
    plan, seen = look.plan, proof.estimate
    lower = look.is_seen(plan.metric) and look.block(plan.metric).lower_is_better
    limit = proof.edge.limit if proof.edge else (plan.margin or 0.0) * (1 if lower else -1) + 0.0
    status, message = _judged(look, proof, limit, lower=lower)
    return CheckResult(
        name=PROMOTION,
        status=status,
        code=CODE,
        value=seen.difference,
        limit=limit,
        relation="<" if lower else ">",
        interval=seen.interval,
        n=seen.information,
        message=message,
    )


def _judged(look: Look, proof: Proof, limit: float, *, lower: bool) -> tuple[Status, str]:
    seen, metric = proof.estimate, look.plan.metric
    if look.is_foreign:
        return Status.ERROR, "the counts are not of this step"
    if not look.is_seen(metric):
        return Status.ERROR, f"a {look.plan.strategy} cannot show {metric}: nobody acts upon its answers"
    if missing_outcomes(look):
        return Status.INSUFFICIENT, f"{metric} has no interval: {hidden(look, metric) or SEE_OUTCOMES}"
    if seen.difference is None:
        few = (
            f"{seen.information:,} units with a value; {FEWEST_UNITS} of like weight are needed in each arm, "
            "and a spread"
        )
        return Status.INSUFFICIENT, f"{metric} has no difference yet: {few}"
    status, why = _compared(look, proof, seen.interval, -limit if lower else limit, lower=lower)
    message = against_limit(
        f"difference of {metric}",
        seen.difference,
        "<" if lower else ">",
        limit,
        status=status,
        interval=seen.interval,
        about=proof.edge.about if proof.edge else "",
        n=f"{seen.information:,} units",
        signed=True,
    )
    return status, f"{message}; {why}" if why else message


def _compared(
    look: Look, proof: Proof, interval: Interval | None, edge: float, *, lower: bool
) -> tuple[Status, str]:
    """Return what an interval comes to, and what else is to be known; the edge is where more is better."""
    if interval is None or _is_open(look, proof):
        return Status.INSUFFICIENT, _next_look(look)
    low, high = (-interval.high, -interval.low) if lower else (interval.low, interval.high)
    if low <= edge:
        return (Status.FAIL if high <= edge else Status.INSUFFICIENT), ""
    too_large = _too_large(look, proof.estimate)
    return (Status.INSUFFICIENT if too_large else Status.PASS), too_large


def _too_large(look: Look, seen: Estimate) -> str:
    """Return that the margin is above half of what the champion has, and nobody confirmed it; empty: no.

    At the start it may be unknown what the champion has.
    """
    plan, value = look.plan, seen.champion
    block = look.block(plan.metric)
    is_asked = plan.confirmed is False and block.kind in SHARE_KINDS and not block.lower_is_better
    if not is_asked or value is None or (plan.margin or 0.0) <= MOST_RELATIVE * value:
        return ""
    if plan.relative_margin is not None and plan.relative_margin <= MOST_RELATIVE:
        return ""
    return (
        f"WS-ROLLOUT-018: the margin of {plan.margin:g} is above half of the champion's {value:.4g}, and not "
        "confirmed, so nothing is promoted by it"
    )


def _is_open(look: Look, proof: Proof) -> bool:
    """Return whether this is no planned look, and the last planned one proved nothing.

    What a planned look has proved stays proved, as long as the difference stays beyond the same bound.
    """
    if proof.estimate.method != "group_sequential" or proof.planned_look is not None:
        return False
    made = planned_looks(look)
    if not made:
        return True
    told = next((check for check in made[-1].checks if check.name == PROMOTION), None)
    return told is None or not told.passed


def _next_look(look: Look) -> str:
    plan, horizon = look.plan, look.plan.horizon_length
    number = due_look(look) + 1
    if horizon is None or number > plan.looks:
        return "no planned look is left"
    at = look.rollout.started_at + number * horizon / plan.looks + timedelta(milliseconds=500)
    return f"planned look {number} of {plan.looks} is due at {at:%Y-%m-%d %H:%M:%S} UTC"


__all__ = ["PROMOTION", "PROMOTION_UNITS", "Proof", "promotion", "prove", "room"]
