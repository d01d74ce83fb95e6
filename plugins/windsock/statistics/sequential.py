"""Statistics that may be looked at again and again: confidence sequences, group sequential bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from windsock.records import Interval
from windsock.statistics.experiments import Comparison, interval_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIGHEST_BOUND = 8.5
"""|z| that chance never reaches (2e-17): the bound where there is next to nothing to spend."""
NODES = 256
"""Of the quadrature (Gauss and Legendre)."""
FARTHEST = 6.0
"""Standard deviations beyond which a walk is not followed: 2e-9 of them go there."""
SMALLEST = 1e-300
"""Probability that stands for none."""


def halfwidth(variance: float, units: float, *, planned_units: float, alpha: float) -> float:
    """Return half the width of a confidence sequence for a mean, valid at all looks together.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024,
    arXiv:2103.06476), equation 9. For the difference of two arms: units of both, and units times the square
    of the standard error.

    :param variance: of one unit.
    :param units: units so far, above 0.
    :param planned_units: at so many units it is narrowest, measured by the usual interval.
    :param alpha: 1 less the coverage of all looks together.
    """
    spread, m = _mixed(variance, units, planned_units, alpha)
    return spread * math.sqrt(math.log(math.sqrt(m + 1) / alpha))


def one_sided_halfwidth(variance: float, units: float, *, planned_units: float, alpha: float) -> float:
    """Return how far a one-sided bound lies from the mean, valid at all looks together.

    As :func:`halfwidth`, with the one-sided normal mixture in its closed form (Howard, Ramdas, McAuliffe and
    Sekhon 2021, Annals of Statistics 49:1055, section 3): a logarithm of 1 + sqrt(m + 1) / (2 alpha). It is
    tuned like a two-sided sequence with twice the risk.

    :param alpha: risk that the bound is ever passed, below 0.5.
    """
    spread, m = _mixed(variance, units, planned_units, 2 * alpha)
    return spread * math.sqrt(math.log1p(math.sqrt(m + 1) / (2 * alpha)))


def _mixed(variance: float, units: float, planned_units: float, alpha: float) -> tuple[float, float]:
    """Return what multiplies the root of the logarithm, and the units in those of the mixture's width."""
    if not (0 < alpha < 1 and units > 0 and planned_units > 0 and variance >= 0):
        raise ValueError(f"alpha {alpha}, {units} units, {planned_units} planned, variance {variance}")
    tuned = -2 * math.log(alpha)
    m = units / planned_units * (tuned + math.log1p(tuned))
    return math.sqrt(variance * 2 * (m + 1) / m / units), m


def sequence_interval(comparison: Comparison, *, planned_units: float, alpha: float) -> Interval | None:
    """Return the confidence sequence of a difference at this look; ``None`` without a difference."""
    if comparison.difference is None or comparison.error is None:
        return None
    half = halfwidth(*_of_unit(comparison), planned_units=planned_units, alpha=alpha)
    return interval_around(comparison.difference, half, alpha)


def lower_bound(comparison: Comparison, *, planned_units: float, alpha: float) -> float | None:
    """Return what the difference lies above, with risk ``alpha`` over all looks together."""
    return _bound(comparison, -1, planned_units, alpha)


def upper_bound(comparison: Comparison, *, planned_units: float, alpha: float) -> float | None:
    """Return what the difference lies below, with risk ``alpha`` over all looks together."""
    return _bound(comparison, 1, planned_units, alpha)


def _bound(comparison: Comparison, side: int, planned_units: float, alpha: float) -> float | None:
    if comparison.difference is None or comparison.error is None:
        return None
    half = one_sided_halfwidth(*_of_unit(comparison), planned_units=planned_units, alpha=alpha)
    bound = comparison.difference + side * half
    return bound if math.isfinite(bound) else None


def _of_unit(comparison: Comparison) -> tuple[float, int]:
    """Return the variance of one unit, and the units."""
    error = comparison.error or 0.0
    return comparison.units * error * error, comparison.units


def spending_bounds(
    fractions: Sequence[float], *, information: Sequence[float] | None = None, alpha: float = 0.05
) -> tuple[float, ...]:
    """Return the bounds of |z| at each planned look, two-sided.

    Lan and DeMets (1983) with the spending function of the O'Brien-Fleming type; spending by calendar time,
    correlations by information (Lan and DeMets 1989). A look without new information spends what is due on
    itself alone (Bonferroni): that holds however much of what was known has changed since.

    :param fractions: part of the horizon at each look, growing, above 0; from 1 on everything is spent.
    :param information: at each look so far, in any scale, such as units, or :func:`information_of` several
        counts; default: the fractions.
    :param alpha: risk of all looks together.
    :raises ValueError: if there are more or fewer numbers of information than fractions.
    """
    if information is not None and len(information) != len(fractions):
        raise ValueError(f"{len(fractions)} fractions, {len(information)} looks with information")
    times = accumulate(fractions, max)
    walk, bounds, spent = Walk(), list[float](), 0.0
    for time, units in zip(times, fractions if information is None else information, strict=True):
        due = _spent_by(time, alpha) - spent
        if walk.adds(units):
            bounds.append(_bound_that_spends(walk, units, due))
            spent += sum(walk.stop(units, bounds[-1]))
        elif walk.information:
            bounds.append(_bound_alone(due))
            spent += due
        else:
            bounds.append(HIGHEST_BOUND)
    return tuple(bounds)


def information_of(*counts: Sequence[float]) -> tuple[float, ...]:
    """Return information that grows from look to look as fast as the fastest of several counts.

    New units bring information, and so do answers to the units that come back. Taking it to grow faster than
    it does takes the looks to be less alike than they are: that errs on the safe side.

    :param counts: each of them at every look so far, such as units, and exposures.
    """
    found, known = list[float](), 0.0
    looks = list(zip(*counts, strict=True))
    for before, now in zip([(), *looks], looks, strict=False):
        growth = [new / old for old, new in zip(before, now, strict=False) if old > 0]
        known = known * max(1.0, *growth) if known else float(any(now))
        found.append(known)
    return tuple(found)


def _spent_by(time: float, alpha: float) -> float:
    from scipy.special import ndtr, ndtri

    if time <= 0:
        return 0.0
    return float(4 * ndtr(ndtri(alpha / 4) / math.sqrt(min(1.0, time))))


def _bound_alone(due: float) -> float:
    from scipy.special import ndtri

    return min(HIGHEST_BOUND, -float(ndtri(due / 2))) if due > 0 else HIGHEST_BOUND


def _bound_that_spends(walk: Walk, units: float, due: float) -> float:
    """Return the bound that a walk first passes at this look with the probability that is due."""
    from scipy.optimize import brentq

    def surplus(bound: float) -> float:
        return math.log(max(sum(walk.crossed(units, bound)), SMALLEST) / max(due, SMALLEST))

    if surplus(HIGHEST_BOUND) >= 0:
        return HIGHEST_BOUND
    return float(brentq(surplus, 0.0, HIGHEST_BOUND, xtol=1e-9)) if surplus(0.0) > 0 else 0.0


class Walk:
    """A score from look to look, as long as it stays within the bounds (Armitage, McPherson and Rowe 1969).

    :param drift: mean of z when the information is 1.
    """

    def __init__(self, drift: float = 0.0) -> None:
        self.drift = drift
        self.information = 0.0
        """At the last look."""
        self._places: NDArray[Any] | None = None
        self._mass: NDArray[Any] | None = None
        self._apart = 0.0

    def adds(self, information: float) -> bool:
        """Whether a look adds enough to the last one to be told from it by the quadrature."""
        added = information - self.information
        return added > 0 and math.sqrt(added) > self._apart

    def crossed(self, information: float, bound: float) -> tuple[float, float]:
        """Return the probabilities that it first leaves at this look: above, and below."""
        from scipy.special import ndtr

        limit = bound * math.sqrt(information)
        places, mass, deviation = self._start(information)
        above = float(mass @ ndtr((places - limit) / deviation))
        below = float(mass @ ndtr((-limit - places) / deviation))
        return above, below

    def stop(self, information: float, bound: float) -> tuple[float, float]:
        """Return the same, and go on with what stays within."""
        import numpy as np

        left = self.crossed(information, bound)
        root = math.sqrt(information)
        limit = min(bound, FARTHEST + abs(self.drift) * root) * root
        places, mass, deviation = self._start(information)
        nodes, weights = _legendre()
        new = nodes * limit
        apart = np.subtract.outer(new / deviation, places / deviation)
        np.square(apart, out=apart)  # all in one place: as long as the rest is the memory of further tables
        apart *= -0.5
        np.exp(apart, out=apart)
        self._mass = apart @ mass * weights * (limit / deviation / math.sqrt(2 * math.pi))
        self._places, self.information = new, information
        self._apart = math.pi * limit / NODES
        return left

    def _start(self, information: float) -> tuple[NDArray[Any], NDArray[Any], float]:
        """Return where it was, moved by the drift, with which mass, and the deviation of what is added."""
        import numpy as np

        added = information - self.information
        drifted = self.drift * added
        if self._places is None or self._mass is None:
            return np.array([drifted]), np.array([1.0]), math.sqrt(added)
        return self._places + drifted, self._mass, math.sqrt(added)


@cache
def _legendre() -> tuple[NDArray[Any], NDArray[Any]]:
    from scipy.special import roots_legendre

    places, weights = roots_legendre(NODES)
    return places, weights
