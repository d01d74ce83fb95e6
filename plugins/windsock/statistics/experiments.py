"""Two arms of an experiment by the unit: difference, standard error, CUPED, a Bayesian read-out.

The unit is whom the assignment is for. What one unit does hangs together, so a metric for each exposure has
its variance from the units (delta method), never from the exposures.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from windsock.records import Interval, Moments
from windsock.statistics.intervals import quantile_of_normal

FEWEST_UNITS = 2
ROUNDING = 1e-12
"""Part of a sum of squares below which what is left of it after a subtraction is rounding, not spread."""
PSEUDO_UNITS = 2
"""Agresti and Caffo (2000): one unit with nothing but events and one without any, in each arm."""


class Comparison(NamedTuple):
    """The challenger's metric against the champion's.

    :param champion: numerator for each denominator, as seen; ``None`` without a value.
    :param challenger: likewise.
    :param difference: challenger minus champion in the metric's unit; with a covariate the adjusted one, so
        it need not be the difference of both values.
    :param error: standard error of the difference, or of the contrast with a weight of the champion; ``None``
        where units do not differ at all.
    :param units: units of both arms.
    :param variance_ratio: CUPED: variance with the covariate against without it; ``None`` without.
    """

    champion: float | None
    challenger: float | None
    difference: float | None
    error: float | None
    units: int
    variance_ratio: float | None = None


class _Arm(NamedTuple):
    """Sums over an arm's units, each unit's numerator linearised.

    A unit's linearised value is (numerator - value * denominator) / mean denominator; its mean is 0.

    :param value: numerator for each denominator.
    :param squares: of the linearised values.
    :param products: of linearised value and covariate, both less their means.
    :param pre_squares: of the covariate less its mean.
    :param pre: mean covariate.
    """

    units: int
    value: float
    squares: float
    products: float
    pre_squares: float
    pre: float

    def unit_variance(self, theta: float = 0.0, *, pseudo: bool = False) -> tuple[float, int]:
        """Return the variance of one unit, less ``theta`` times its covariate, and the units to divide by."""
        explained = theta * theta * self.pre_squares
        squares = _spread(self.squares - 2 * theta * self.products + explained, self.squares + explained)
        units = self.units
        if pseudo:
            squares += (1 - self.value) * (1 - self.value) + self.value * self.value
            units += PSEUDO_UNITS
        return squares / (units - 1), units


def compare(
    champion: Moments,
    challenger: Moments,
    *,
    bounded: bool = False,
    covariate: bool = False,
    plain: bool = False,
    weight: float = 1.0,
) -> Comparison:
    """Compare two arms.

    The variance is that of the delta method over units (Deng, Knoblich and Lu 2018, section 3). Where one arm
    has no spread it is given the other's.

    A unit of the smaller arm is taken to vary at least as much as one of the larger arm. Mean and variance of
    a skewed metric go together (Kohavi, Deng, Longbotham and Xu 2014, rule 7: such a mean is normal only from
    355 times its squared skewness in units): revenue of which few units have any has a low mean where it
    missed the great ones, and then a low variance too, so that a mean which is low by chance looks certain.
    Between arms of one size that cancels out; a small arm beside a large one has nothing to cancel it. It
    only ever widens the error.

    :param bounded: whether the value is a share: then one pseudo unit with events only and one with none
        are added to each arm's variance (Agresti and Caffo 2000), so that no event at all is no certainty.
    :param covariate: subtract what the covariate explains (CUPED: Deng, Xu, Kohavi and Walker 2013), by one
        coefficient for both arms; where a covariate does not vary in both arms nothing is subtracted.
    :param plain: each arm has its own variance whatever its size, as other packages count.
    :param weight: of the champion in the contrast whose error is returned: 0.8 for a loss of 20 % of the
        champion's own value, which is an estimate, too. The difference stays challenger minus champion: it is
        above -20 % of the champion's value as seen exactly where the contrast is above 0.
    :returns: no values for an arm with fewer than two units, without a denominator, or not finite.
    """
    theirs, ours = _arm(champion), _arm(challenger)
    units = champion.units + challenger.units
    if theirs is None or ours is None:
        return Comparison(theirs and theirs.value, ours and ours.value, None, None, units)
    theta = _theta(theirs, ours, weight) if covariate else None
    spread = partial(_variance, theirs, ours, weight=weight, bounded=bounded, plain=plain)
    variance, ratio = spread(theta or 0.0), None
    if theta is not None and (without := spread(0.0)) > 0:
        ratio = variance / without
    difference = ours.value - theirs.value - (theta or 0.0) * (ours.pre - theirs.pre)
    error = math.sqrt(variance)
    if not (math.isfinite(difference) and math.isfinite(error)):
        return Comparison(theirs.value, ours.value, None, None, units)
    return Comparison(theirs.value, ours.value, difference, error or None, units, ratio)


def _variance(
    champion: _Arm, challenger: _Arm, theta: float, *, weight: float, bounded: bool, plain: bool
) -> float:
    theirs, their_units = champion.unit_variance(theta / weight, pseudo=bounded)
    ours, our_units = challenger.unit_variance(theta, pseudo=bounded)
    if not theirs or (not plain and their_units < our_units):
        theirs = max(theirs, ours)
    if not ours or (not plain and our_units < their_units):
        ours = max(theirs, ours)
    return weight * weight * theirs / their_units + ours / our_units


def _theta(champion: _Arm, challenger: _Arm, weight: float) -> float | None:
    """Return the coefficient of the covariate, from the spread within both arms."""
    if not (champion.pre_squares and challenger.pre_squares):
        return None
    products = weight * champion.products + challenger.products
    theta = products / (champion.pre_squares + challenger.pre_squares)
    return theta if math.isfinite(theta) else None


def _arm(sums: Moments) -> _Arm | None:
    units = sums.units
    if units < FEWEST_UNITS or not (size := sums.den / units) > 0:
        return None
    value = sums.num / sums.den
    cross, rest = 2 * value * sums.num_den, value * value * sums.den_den
    squares = _spread(sums.num_num - cross + rest, sums.num_num + abs(cross) + rest) / size / size
    pre_squares = _spread(sums.pre_pre - sums.pre * sums.pre / units, sums.pre_pre)
    products = (sums.num_pre - value * sums.den_pre) / size if pre_squares else 0.0
    arm = _Arm(units, value, squares, products, pre_squares, sums.pre / units)
    return arm if all(map(math.isfinite, arm)) else None


def _spread(squares: float, scale: float) -> float:
    """Return a sum of squares that is the rest of a subtraction; 0 where it may be rounding.

    :param scale: size of what was subtracted; where that overflows the rest is no number.
    """
    if not math.isfinite(scale):
        return math.nan
    return squares if squares > ROUNDING * abs(scale) else 0.0


def effective_units(sums: Moments) -> float:
    """Return how many units of one weight a ratio's units are worth (Kish 1965): few where few dominate.

    It is the number of units where each has the same denominator.
    """
    return sums.den * sums.den / sums.den_den if sums.den_den > 0 else 0.0


def over_what_was_asked(sums: Moments, labelled: float) -> Moments:
    """Return the sums of an accuracy over all that was asked: an answer that was refused is not right.

    :param labelled: share of the arm's answers that have a label. As many of the exposures without an answer
        would have had one, so that refusals do not weigh more where labels are few.
    """
    if not sums.asked:
        return sums
    squares = 2 * labelled * sums.den_asked + labelled * labelled * sums.asked_asked
    return sums.replace(
        units=max(sums.units, sums.asked_units),
        den=sums.den + labelled * sums.asked,
        den_den=sums.den_den + squares,
        num_den=sums.num_den + labelled * sums.num_asked,
    )


def chance_better(comparison: Comparison, *, lower_is_better: bool = False) -> float | None:
    """Return the posterior probability that the challenger is better: normal likelihood, flat prior.

    Information only: looked at again and again it promises nothing.
    """
    if comparison.difference is None or comparison.error is None:
        return None
    z = comparison.difference / comparison.error
    return 0.5 * math.erfc((z if lower_is_better else -z) / math.sqrt(2))


def fixed_interval(comparison: Comparison, alpha: float) -> Interval | None:
    """Return the usual interval of one single look.

    :param alpha: 1 less its coverage.
    """
    if comparison.difference is None or comparison.error is None:
        return None
    half = quantile_of_normal(1 - alpha) * comparison.error
    return interval_around(comparison.difference, half, alpha)


def interval_around(middle: float, half: float, alpha: float) -> Interval | None:
    """Return the interval so far to both sides; ``None`` where that is no number."""
    low, high = middle - half, middle + half
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return Interval(low=low, high=high, level=1 - alpha)
