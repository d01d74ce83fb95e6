"""How long an experiment must be: size, detectable effect and power of three designs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from windsock.records import Moments
from windsock.statistics.experiments import compare
from windsock.statistics.intervals import quantile_of_normal
from windsock.statistics.sequential import Walk, halfwidth, spending_bounds

Design = Literal["fixed", "sequential", "group_sequential"]
DESIGNS: tuple[Design, ...] = ("fixed", "sequential", "group_sequential")
LOOKS = 20
POWER = 0.8
WHOLE = 10_000
"""Basis points of all traffic."""
LEAST_DRIFT, MOST_DRIFT = 1e-3, 1e3
"""Standard errors at the end between which every design has its power."""


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


def power_at(
    units: float,
    effect: float,
    *,
    variance: float,
    share: int = WHOLE // 2,
    alpha: float = 0.05,
    design: Design = "fixed",
    looks: int = LOOKS,
    planned_units: float | None = None,
) -> float:
    """Return the probability that a true improvement is seen, at some look, as one.

    :param units: of both arms at the end.
    :param effect: true difference in the metric's unit; its sign does not matter.
    :param variance: of one unit, the same in both arms.
    :param share: basis points of the challenger.
    :param alpha: two-sided risk.
    :param looks: evenly spaced looks of the sequential designs.
    :param planned_units: sequential: where the confidence sequence is narrowest; default: at the end.
    """
    error = math.sqrt(variance * _spread(share) / units)
    reach = _power_of_drift(design, alpha=alpha, looks=looks, planned=(planned_units or units) / units)
    return reach(abs(effect) / error)


def sample_size(
    effect: float,
    *,
    variance: float,
    share: int = WHOLE // 2,
    alpha: float = 0.05,
    power: float = POWER,
    design: Design = "fixed",
    looks: int = LOOKS,
    planned_units: float | None = None,
) -> int:
    """Return how many units of both arms a true improvement needs to be seen.

    The parameters are those of :func:`power_at`.

    :raises ValueError: if the effect or the variance is not above 0.
    """
    if not (effect and variance > 0):
        raise ValueError(f"an effect of {effect}, a variance of {variance}")
    one = variance * _spread(share) / (effect * effect)
    """Units that make the effect one standard error."""
    if design != "sequential" or planned_units is None:
        return math.ceil(one * _drift_of(design, alpha, looks, 1.0, power) ** 2)

    def reached(drift: float) -> float:
        planned = planned_units / (one * drift * drift)
        return _power_of_drift(design, alpha=alpha, looks=looks, planned=planned)(drift)

    return math.ceil(one * _drift(reached, power) ** 2)


def detectable_effect(
    units: float,
    *,
    variance: float,
    share: int = WHOLE // 2,
    alpha: float = 0.05,
    power: float = POWER,
    design: Design = "fixed",
    looks: int = LOOKS,
    planned_units: float | None = None,
) -> float:
    """Return the smallest true improvement that so many units of both arms show.

    The parameters are those of :func:`power_at`.
    """
    drift = _drift_of(design, alpha, looks, (planned_units or units) / units, power)
    return drift * math.sqrt(variance * _spread(share) / units)


def _spread(share: int) -> float:
    """Return by how much two arms multiply the variance of a mean of all units."""
    if not 0 < share < WHOLE:
        raise ValueError(f"a share of {share} basis points")
    part = share / WHOLE
    return 1 / (part * (1 - part))


def _power_of_drift(design: Design, *, alpha: float, looks: int, planned: float) -> Callable[[float], float]:
    """Return the power as a function of the effect in standard errors at the end.

    :param planned: sequential: where the sequence is narrowest, as part of the whole.
    """
    if design == "fixed":
        limit = quantile_of_normal(1 - alpha)
        return lambda drift: 0.5 * math.erfc((limit - drift) / math.sqrt(2))
    times = [look / looks for look in range(1, looks + 1)]
    if design == "group_sequential":
        bounds = spending_bounds(times, alpha=alpha)
    else:
        bounds = tuple(
            halfwidth(1.0, time, planned_units=planned, alpha=alpha) * math.sqrt(time) for time in times
        )

    def reach(drift: float) -> float:
        walk = Walk(drift)
        return min(1.0, sum(walk.stop(time, bound)[0] for time, bound in zip(times, bounds, strict=True)))

    return reach


@lru_cache(maxsize=256)
def _drift_of(design: Design, alpha: float, looks: int, planned: float, power: float) -> float:
    """Return the drift of a design; a plan asks for the same ones with other units and variances."""
    return _drift(_power_of_drift(design, alpha=alpha, looks=looks, planned=planned), power)


def _drift(reach: Callable[[float], float], power: float) -> float:
    """Return the effect, in standard errors at the end, that has this power."""
    if not (power < 1 and reach(LEAST_DRIFT) < power):
        raise ValueError(f"a power of {power}")
    from scipy.optimize import brentq

    high = 1.0
    while reach(high) < power and high < MOST_DRIFT:
        high *= 2
    return float(brentq(lambda drift: reach(drift) - power, LEAST_DRIFT, high, xtol=1e-9, rtol=1e-9))
