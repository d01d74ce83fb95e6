"""Whether outcomes arrived, and could be used: no outcome is no evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from windsock.records import CheckResult, Moments, RolloutPlan, Status
from windsock.records.check_text import SHARE, against_limit
from windsock.rollout.look import FEWEST_UNITS, NOTHING, Look
from windsock.spec import ANSWER_KINDS, LABELLED_KINDS
from windsock.statistics.experiments import effective_units

OUTCOMES = "outcomes"
CODE = "WS-ROLLOUT-027"
FEWEST_EVENTS = 20
"""Of the metric that decides: units with a positive outcome that each arm has to expect, and likewise units
without one. Below, the distribution of a rate is not normal."""
SEE_OUTCOMES = "its outcomes are no evidence, see the check `outcomes`"
LOST_SHARE = 0.2
"""Of the outcomes that may be of no use for one cause; if they are lost alike, nothing but time is lost."""
REPEATED_SHARE = 0.5
"""Of the outcomes that may repeat others: a client that sends each one twice is sound."""


class Fault(NamedTuple):
    """Why outcomes are no evidence.

    :param value: the number that was seen, against its limit.
    """

    status: Status
    code: str
    message: str
    value: float
    limit: float


class Cause(NamedTuple):
    """Why outcomes do not count, and what is to be done.

    :param field: of the step's totals.
    :param windowed: whether it can be told from outcomes of earlier answers only where the plan says how long
        an outcome may come of an exposure.
    """

    field: str
    code: str
    what: str
    cure: str
    limit: float = LOST_SHARE
    windowed: bool = False


CAUSES = (
    Cause(
        "unusable",
        "WS-ROLLOUT-031",
        "are no number and no word that a metric names",
        "probably another word is sent: write it as `outcome` of the metric, or send true or a number",
    ),
    Cause(
        "unknown",
        "WS-ROLLOUT-032",
        "are of units or predictions that nobody asked for",
        "probably the unit is spelled otherwise than in the requests: send the same text in both; or they "
        "come of requests that are longer ago than `rollout.attribution`: raise it",
        windowed=True,
    ),
    Cause(
        "early",
        "WS-ROLLOUT-033",
        "came before their unit's first exposure",
        "probably a clock is behind: set it on the host that sends outcomes, or leave `event_time` out",
        windowed=True,
    ),
    Cause(
        "repeated_outcomes",
        "WS-ROLLOUT-034",
        "repeat an event that had been counted",
        "probably event ids, or prediction ids, are used again: send a new one with each event",
        limit=REPEATED_SHARE,
    ),
)
ELSEWHERE = (
    ("late", "came later than the plan's attribution: raise `rollout.attribution` if they do come of it"),
    (
        "carried",
        "may come of an exposure before the step, by the plan's attribution: the step must outlast it",
    ),
    ("earlier", "are of exposures before the step"),
)
"""Where else outcomes are; these are sound."""


def needs_outcomes(plan: RolloutPlan) -> bool:
    """Return whether a metric of a plan is made of outcomes."""
    return any(block.kind not in ANSWER_KINDS for block in plan.metrics.values())


def outcomes(look: Look) -> CheckResult:
    """Check that outcomes arrived, could be used, and are enough to tell the arms apart at all."""
    fault = fault_of(look)
    seen = look.totals.outcomes
    lost = CAUSES if fault and fault.status is Status.FAIL else ()  # a share of all that were read
    return CheckResult(
        name=OUTCOMES,
        status=fault.status if fault else Status.PASS,
        code=fault.code if fault else CODE,
        value=fault.value if fault else seen,
        limit=fault.limit if fault else None,
        relation=None if fault is None else "<=" if fault.status is Status.FAIL else ">=",
        n=seen + sum(getattr(look.totals, cause.field) for cause in lost),
        message=fault.message if fault else f"{seen:,} outcomes count",
    )


def fault_of(look: Look) -> Fault | None:
    """Return why the outcomes of this step are no evidence; ``None``: they are, or no metric needs any."""
    if look.is_foreign or not needs_outcomes(look.plan):
        return None
    return lost_of(look) or next((fault for name in look.plan.metrics if (fault := few_of(look, name))), None)


def hidden(look: Look, metric: str) -> str | None:
    """Return why no interval of a metric is evidence; ``None``: it is.

    At a last step a check of its own says so in full.
    """
    if look.block(metric).kind in ANSWER_KINDS:
        return None
    fault = lost_of(look) or few_of(look, metric)
    if fault is None:
        return None
    return SEE_OUTCOMES if look.rollout.is_last_step else fault.message


def lost_of(look: Look) -> Fault | None:
    """Return which share of the posted outcomes is of no use for one cause; ``None``: not too many.

    Tables and files hold labels of other times, and labels that are not known yet.
    """
    if look.plan.labels.kind != "outcomes":
        return None
    totals = look.totals
    read = totals.outcomes + sum(getattr(totals, cause.field) for cause in CAUSES)
    for cause in CAUSES:
        number = getattr(totals, cause.field)
        if cause.windowed and look.plan.attribution is None:
            continue
        if number > FEWEST_EVENTS and number > cause.limit * read:
            share = number / read
            sound = math.ceil(number / cause.limit) - read
            status, n = Status.FAIL, f"{number:,} of {read:,}"
            what = f"outcomes that {cause.what}:"
            message = against_limit(what, share, "<=", cause.limit, status=status, n=n, unit=SHARE)
            message += (
                f"; {cause.cure}; once it is fixed, some {sound:,} sound ones must come before this passes"
            )
            return Fault(status, cause.code, message, share, cause.limit)
    return None


def few_of(look: Look, metric: str) -> Fault | None:
    """Return of what a metric has too little; ``None``: it has enough to be compared.

    The metric that decides needs events in both arms, and as many to be expected in the smaller one as a
    normal distribution takes. Of a guardrail's it is enough that some came: what must stay rare may be rare.
    """
    kind = look.block(metric).kind
    if kind in ANSWER_KINDS or not look.is_seen(metric):
        return None
    if kind in LABELLED_KINDS:
        return _few_labels(look, metric)
    sums = [arm.metrics.get(metric, NOTHING) for arm in look.arms]
    decides = metric == look.plan.metric
    for needed in _needed(kind, sums):
        if sum(needed.seen) > 0 and not decides:
            continue
        fault = _none(look, metric, needed) or _few(look, metric, needed, [one.den for one in sums])
        if fault is not None:
            return fault
    return None


class _Needed(NamedTuple):
    """What must have been seen of a metric.

    :param none: what it is when there is none in an arm.
    :param seen: how often in each arm.
    :param least: to be expected in the smaller arm; 0: one is enough.
    """

    none: str
    what: str
    seen: tuple[float, ...]
    least: int


def _needed(kind: str, sums: list[Moments]) -> Iterator[_Needed]:
    if kind == "mean":
        seen = tuple(float(one.num_num > 0) for one in sums)
        yield _Needed("no unit of {arm} has an outcome other than 0", "", seen, 0)
        return
    seen = tuple(effective_units(Moments(den=one.num, den_den=one.num_num)) for one in sums)
    none = "no unit of {arm} has a positive outcome"
    yield _Needed(none, "with a positive outcome", seen, FEWEST_EVENTS)
    rest = tuple(one.den - one.num for one in sums)
    if kind == "conversion" or min(rest) >= 0:  # a rate may have several outcomes for an exposure
        least = FEWEST_EVENTS if kind == "conversion" else 0
        none = "all of {arm} was positive; name the one that is as `outcome` of the metric"
        yield _Needed(none, "without a positive outcome", rest, least)


def _none(look: Look, metric: str, needed: _Needed) -> Fault | None:
    arms = ("the champion", look.name)
    missing = [name for name, seen in zip(arms, needed.seen, strict=True) if seen <= 0]
    if not missing:
        return None
    arm = "either arm" if len(missing) > 1 else f"{missing[0]}'s arm"
    message = f"{metric}: {needed.none.format(arm=arm)}; {why_none(look)}"
    return Fault(Status.INSUFFICIENT, CODE, message, 0, 1)


def _few(look: Look, metric: str, needed: _Needed, sizes: list[float]) -> Fault | None:
    expected = sum(needed.seen) * min(sizes) / sum(sizes) if sum(sizes) > 0 else 0.0
    if expected >= needed.least:
        return None
    status, n = Status.INSUFFICIENT, f"{sum(needed.seen):,.0f} units of both arms"
    what = f"units {needed.what} to be expected in the smaller arm for {metric}"
    message = against_limit(what, expected, ">=", needed.least, status=status, n=n)
    return Fault(status, CODE, f"{message}; {why_none(look)}", expected, needed.least)


def _few_labels(look: Look, metric: str) -> Fault | None:
    fewest = min(arm.metrics.get(metric, NOTHING).units for arm in look.arms)
    if fewest >= FEWEST_UNITS:
        return None
    status, what = Status.INSUFFICIENT, f"units with a label of {metric} in the smaller arm"
    message = against_limit(what, fewest, ">=", FEWEST_UNITS, status=status)
    return Fault(status, CODE, f"{message}; {why_none(look)}", fewest, FEWEST_UNITS)


def _positives(look: Look) -> Iterator[float]:
    return (arm.metrics.get(look.plan.metric, NOTHING).num_num for arm in look.totals.arms)


def why_none(look: Look) -> str:
    """Return where the outcomes are, in words."""
    totals = look.totals
    found = [(getattr(totals, cause.field), f"{cause.what}: {cause.cure}") for cause in CAUSES]
    found += [(getattr(totals, field), what) for field, what in ELSEWHERE]
    number, what = max(found, key=lambda one: one[0])
    if number > totals.outcomes:
        return f"{number:,} outcomes {what}"
    if totals.outcomes and not any(_positives(look)):
        return (
            f"{totals.outcomes:,} outcomes count, and none is positive: probably another word is sent than "
            "the `outcome` of the metric"
        )
    if totals.outcomes:
        return f"{totals.outcomes:,} outcomes count"
    return "no outcome arrived: see that they are sent, and that `rollout.labels` names where to"


__all__ = [
    "CAUSES",
    "FEWEST_EVENTS",
    "OUTCOMES",
    "few_of",
    "fault_of",
    "hidden",
    "lost_of",
    "needs_outcomes",
    "outcomes",
]
