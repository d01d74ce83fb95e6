"""Intervals of metrics of which nothing but a function of row weights is known: those of other packages.

Up to 1,000 units the bootstrap draws units with replacement, and takes its percentiles as far out as
Student's t is wider than the normal distribution (Hesterberg 2015, The American Statistician 69:371). On more
it costs too much: each of 100 random groups of units is left out in turn (Shao and Tu 1995, section 2.3; Kott
2001).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from windsock.spec import SEED
from windsock.statistics.found import Found, interval_between, too_few_entities
from windsock.statistics.proportions import LEVEL
from windsock.statistics.units import Units

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from windsock.statistics.metrics import Scorer

RESAMPLES = 1000
MOST_DRAWN = 1_000
GROUPS = 100
LEAST_UNITS = 20
SMALLEST_SHARE = 0.9


def resampled(scorer: Scorer, units: Units) -> Found:
    """Return the interval of a metric as a function of row weights.

    :param scorer: returns NaN where the weighted rows do not define the metric.
    """
    return _found(scorer, units)


def resampled_difference(ours: Scorer, theirs: Scorer, units: Units, sign: float) -> Found:
    """Return the interval of the difference of two models' metrics on the same rows, times a sign."""
    return _found(lambda weights: sign * (ours(weights) - theirs(weights)), units)


def _found(scorer: Callable[[NDArray[Any] | None], float], units: Units) -> Found:
    n, what = units.effective, "entities" if units.clustered else "rows"
    reason = too_few_entities(n, units)
    if not reason and n < LEAST_UNITS:
        reason = f"{n} {what}, at least {LEAST_UNITS} needed"
    if reason:
        return Found(None, n, what, reason)
    ends = _drawn(scorer, units) if n <= MOST_DRAWN else _left_out(scorer, units)
    if ends is None:
        return Found(None, n, what, "too few rows of a class: resamples do not define the metric")
    if ends[1] <= ends[0]:
        return Found(None, n, what, "all resamples gave the same value, which says nothing of other rows")
    return Found(interval_between(*ends), n, what)


def _drawn(scorer: Callable[[NDArray[Any] | None], float], units: Units) -> tuple[float, float] | None:
    import numpy as np
    from scipy.special import ndtr, stdtrit

    generator, count = np.random.default_rng(SEED), units.count
    values = np.full(RESAMPLES, np.nan)
    with np.errstate(all="ignore"):
        for number in range(RESAMPLES):
            drawn = np.bincount(generator.integers(0, count, count), minlength=count).astype("float64")
            values[number] = scorer(drawn if units.codes is None else drawn[units.codes])
    defined = values[np.isfinite(values)]
    if defined.size < SMALLEST_SHARE * values.size:
        return None
    reach = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * math.sqrt(count / (count - 1))
    low, high = np.quantile(defined, [ndtr(-reach), ndtr(reach)])
    return float(low), float(high)


def _left_out(scorer: Callable[[NDArray[Any] | None], float], units: Units) -> tuple[float, float] | None:
    import numpy as np
    from scipy.special import stdtrit

    group = np.random.default_rng(SEED).permutation(units.count) % GROUPS
    group = group if units.codes is None else group[units.codes]
    with np.errstate(all="ignore"):
        without = np.array([scorer((group != number).astype("float64")) for number in range(GROUPS)])
        value = scorer(None)
    if not math.isfinite(value) or not np.isfinite(without).all():
        return None
    reach = float(stdtrit(GROUPS - 1, (1 + LEVEL) / 2))
    half = reach * math.sqrt((GROUPS - 1) / GROUPS * float(((without - without.mean()) ** 2).sum()))
    return value - half, value + half
