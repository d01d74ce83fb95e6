"""Whether what an arm's value is made of stands for the whole arm: labels of both, and not of a few units."""

from __future__ import annotations

import math

from windsock.records import ArmTotals, CheckResult, Moments, RolloutPlan, Status
from windsock.records.check_text import against_limit
from windsock.rollout.look import FEWEST_UNITS, NOTHING, Look
from windsock.spec import LABELLED_KINDS, RATIO_KINDS
from windsock.statistics.experiments import effective_units
from windsock.statistics.sample_ratio import same_share_p, two_sided_p

COVERAGE, WEIGHTS = "coverage", "weights"
COVERAGE_LIMIT = 0.0005
"""p-value below which labels are missing in one arm: as strict as the sample ratio."""


def labelled_metrics(plan: RolloutPlan) -> list[str]:
    """Return the plan's metrics that a unit has a value of only once it has a label."""
    return [name for name, block in plan.metrics.items() if block.kind in LABELLED_KINDS]


def coverage(look: Look) -> CheckResult:
    """Check that both arms have labels alike: where one lost some, those left need not be like the others.

    By unit and by answer: a version to which people come back more often has more labels of its units, or
    fewer of its answers, and has lost none. What got no answer is not missed, for it can have no label. Where
    only what is positive is ever told, as conversions are, it cannot be seen.
    """
    told = [_coverage(look, name) for name in labelled_metrics(look.plan)]
    return min(told, key=lambda one: (one.passed, 1.0 if one.value is None else one.value))


def _coverage(look: Look, metric: str) -> CheckResult:
    sums = [arm.metrics.get(metric, NOTHING) for arm in look.arms]
    units = [arm.units for arm in look.arms]
    labelled = [min(one.units, arm.units) for one, arm in zip(sums, look.arms, strict=True)]
    if not all(labelled):
        return _of_coverage(Status.INSUFFICIENT, f"{metric}: no unit of an arm has a label", sum(units))
    p = _p(look, sums, units, labelled)
    shares = [part / whole for part, whole in zip(labelled, units, strict=True)]
    status = Status.PASS if p >= COVERAGE_LIMIT else Status.FAIL
    message = (
        f"{metric}: {shares[1]:.1%} of {look.name}'s units have a label, {shares[0]:.1%} of the champion's; "
        f"{against_limit('p', p, '>=', COVERAGE_LIMIT, status=status)}"
    )
    if status is Status.FAIL:
        message += "; labels of one arm are lost: see by which way its outcomes come"
    return _of_coverage(status, message, sum(units), p)


def _p(look: Look, sums: list[Moments], units: list[int], labelled: list[int]) -> float:
    """Return the larger p-value of both ways to see it; 1 where they see opposite things."""
    by_unit = same_share_p((labelled[0], labelled[1]), (units[0], units[1]))
    apart = labelled[1] / units[1] - labelled[0] / units[0]
    found = [_by_answer(one, arm) for one, arm in zip(sums, look.arms, strict=True)]
    (theirs, their_square), (ours, our_square) = found
    if not (theirs > 0 and ours > 0):
        return by_unit
    difference, square = math.log(ours / theirs), their_square + our_square
    if difference * apart <= 0 or square <= 0:
        return by_unit if square <= 0 and difference * apart > 0 else 1.0
    return max(by_unit, two_sided_p(difference / math.sqrt(square)))


def _by_answer(sums: Moments, arm: ArmTotals) -> tuple[float, float]:
    """Return the labels of one answer, and the square of their relative error, by the unit."""
    answers, mean = arm.exposures - arm.refused, sums.den / arm.units
    if answers <= 0 or mean <= 0:
        return 0.0, 0.0
    spread = max(0.0, sums.den_den / arm.units - mean * mean)
    return sums.den / answers, spread / arm.units / mean / mean


def _of_coverage(status: Status, message: str, n: int, value: float | None = None) -> CheckResult:
    return CheckResult(
        name=COVERAGE,
        status=status,
        code="WS-ROLLOUT-028",
        value=value,
        limit=COVERAGE_LIMIT,
        relation=">=",
        n=n,
        message=message,
    )


def weights(look: Look) -> CheckResult:
    """Check that no few units decide alone, with most of the exposures, or of the labels."""
    metric = look.plan.metric
    sums = look.sums(metric)
    effective = [effective_units(one) for one in sums]
    fewest = min(effective)
    smaller = effective.index(fewest)
    enough = fewest >= FEWEST_UNITS
    status = Status.PASS if enough else Status.INSUFFICIENT
    n = f"{sums[smaller].units:,} units of the smaller arm"
    what = f"units of like weight for {metric}"
    message = against_limit(what, fewest, ">=", FEWEST_UNITS, status=status, n=n)
    message += _largest(look, sums[smaller])
    if not enough and sums[smaller].units >= FEWEST_UNITS:
        verb = "lower" if look.plan.unit_cap else "set"
        message += f"; {verb} `rollout.unit_cap`, or keep bots from counting"
    return CheckResult(
        name=WEIGHTS,
        status=status,
        code="WS-ROLLOUT-029",
        value=fewest,
        limit=FEWEST_UNITS,
        relation=">=",
        n=sums[smaller].units,
        message=message,
    )


def _largest(look: Look, sums: Moments) -> str:
    """Return what the largest unit has, and weighs; nothing where that was not counted."""
    if not sums.largest or not sums.den:
        return ""
    weighs = min(sums.largest, look.plan.unit_cap or sums.largest)
    capped = f", weighing as {weighs:,.0f}," if weighs < sums.largest else ""
    return f"; the largest has {sums.largest:,.0f}{capped} {weighs / sums.den:.1%} of it"


def has_weights(plan: RolloutPlan) -> bool:
    """Return whether units weigh differently in what decides."""
    block = plan.metrics.get(plan.metric)
    return block is not None and block.kind in RATIO_KINDS


__all__ = ["COVERAGE", "WEIGHTS", "coverage", "has_weights", "labelled_metrics", "weights"]
