"""The power of an experiment by its looks as they will be: what a true difference is seen with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from windsock.records import Moments
from windsock.statistics.experiments import PSEUDO_UNITS, compare
from windsock.statistics.sequential import Walk, halfwidth, one_sided_halfwidth, spending_bounds

Design = Literal["fixed", "sequential", "group_sequential"]
DESIGNS: tuple[Design, ...] = ("fixed", "sequential", "group_sequential")
WHOLE = 10_000
"""Basis points of all traffic."""
ROUNDED = 2
"""Basis points by which arms that are meant to be alike may differ, where several share a whole number."""


class Baseline(NamedTuple):
    """What one arm shows before an experiment.

    :param value: the metric.
    :param variance: of one unit, in the metric's unit squared.
    """

    value: float
    variance: float


def baseline_of(moments: Moments, *, bounded: bool = False) -> Baseline | None:
    """Return the metric and its variance for each unit; ``None`` where units do not differ."""
    found = compare(moments, moments, bounded=bounded)
    if found.champion is None or found.error is None:
        return None
    return Baseline(found.champion, found.error * found.error * moments.units / 2)


class Errors(NamedTuple):
    """Standard errors of a difference: as it truly varies, and as :func:`compare` finds it."""

    true: float
    found: float


class Arms(NamedTuple):
    """Both arms of an experiment in the world that shall be seen.

    :param distance: of the true difference from the edge that its interval must leave behind.
    :param share: basis points of the challenger.
    :param bounded: whether the metric is a share, so that pseudo units are added to the variance.
    :param weight: of the champion's value in the contrast; 1 for a plain difference.
    """

    champion: Baseline
    challenger: Baseline
    distance: float
    share: float = WHOLE / 2
    bounded: bool = False
    weight: float = 1.0

    def errors(self, units: float) -> Errors:
        """Return the standard errors with so many units of both arms that have a value."""
        if not 0 < self.share < WHOLE:
            raise ValueError(f"a share of {self.share} basis points")
        part = self.share / WHOLE
        sizes = (units * (1 - part), units * part)
        weights = (self.weight * self.weight, 1.0)
        arms = (self.champion, self.challenger)
        true = sum(
            weight * arm.variance / size for weight, arm, size in zip(weights, arms, sizes, strict=True)
        )
        seen = [_seen(arm, size, bounded=self.bounded) for arm, size in zip(arms, sizes, strict=True)]
        found = 0.0
        for smaller, chance in enumerate(_smaller(self.share)):
            raised = [max(seen) if arm == smaller else seen[arm] for arm in (0, 1)]
            pseudo = PSEUDO_UNITS if self.bounded else 0
            found += chance * sum(
                weight * variance / (size + pseudo)
                for weight, variance, size in zip(weights, raised, sizes, strict=True)
            )
        return Errors(math.sqrt(true), math.sqrt(found))


def _seen(arm: Baseline, size: float, *, bounded: bool) -> float:
    """Return the variance of one unit as it is found with so many units, pseudo units included."""
    if not bounded:
        return arm.variance
    return (size * arm.variance + (1 - arm.value) ** 2 + arm.value**2) / (size + PSEUDO_UNITS - 1)


def _smaller(share: float) -> tuple[float, float]:
    """Return the chances that the champion's and the challenger's arm is the smaller one."""
    if abs(share - WHOLE / 2) < ROUNDED:
        return 0.5, 0.5
    return (1.0, 0.0) if share > WHOLE // 2 else (0.0, 1.0)


class Visit(NamedTuple):
    """One look that an experiment will have.

    :param units: of both arms, with a value.
    :param fraction: planned looks: part of the horizon.
    :param counts: whether a promotion may follow: not before a whole cycle.
    """

    units: float
    fraction: float = 1.0
    counts: bool = True


def power_of(
    arms: Arms,
    visits: Sequence[Visit],
    *,
    alpha: float = 0.05,
    design: Design = "fixed",
    planned_units: float | None = None,
) -> float:
    """Return the probability that the whole interval lies beyond the edge at a look that counts.

    :param visits: in their order; a fixed design has one. Planned looks spend of the error, whether they
        count or not.
    :param alpha: two-sided risk.
    :param planned_units: sequential: where the confidence sequence is narrowest; default: at the end.
    """
    if not visits:
        return 0.0
    last = arms.errors(visits[-1].units).true
    walk, power = Walk(arms.distance / last), 0.0
    for visit, bound in zip(visits, _bounds(arms, visits, alpha, design, planned_units), strict=True):
        errors = arms.errors(visit.units)
        information = (last / errors.true) ** 2
        is_last = visit is visits[-1] and information > walk.information
        if visit.counts and (is_last or walk.adds(information)):
            leaves = walk.crossed if visit is visits[-1] else walk.stop
            power += leaves(information, bound * errors.found / errors.true)[0]
    return min(1.0, power)


def _bounds(
    arms: Arms, visits: Sequence[Visit], alpha: float, design: Design, planned_units: float | None
) -> Sequence[float]:
    """Return the bounds of the difference in the standard errors that are found."""
    if design != "sequential":
        end = visits[-1].units
        known = tuple(round(visit.units / end, 9) for visit in visits)
        return _spending(tuple(round(visit.fraction, 9) for visit in visits), known, alpha)
    planned = planned_units or visits[-1].units
    bounds = []
    for visit in visits:
        error = arms.errors(visit.units).found
        variance = visit.units * error * error
        bounds.append(halfwidth(variance, visit.units, planned_units=planned, alpha=alpha) / error)
    return bounds


@lru_cache(maxsize=256)
def _spending(fractions: tuple[float, ...], known: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """Return the bounds of planned looks; a plan asks for the same ones with other effects."""
    return spending_bounds(fractions, information=known, alpha=alpha)


def chance_inside(arms: Arms, units: float, *, limit: float, planned_units: float, alpha: float) -> float:
    """Return the probability that a guardrail's whole interval lies inside its limit, at one look.

    :param arms: at no difference.
    :param alpha: one-sided risk over all looks.
    """
    true, found = arms.errors(units)
    half = one_sided_halfwidth(units * found * found, units, planned_units=planned_units, alpha=alpha)
    return 0.5 * math.erfc((half - limit) / true / math.sqrt(2))
