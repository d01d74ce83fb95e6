"""Whether a distance is more than chance: tests on counts, and many tests at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = Sequence[float] | NDArray[Any]
    """Rows of each category; no whole numbers where rows count for less than one."""

EXACT_PRODUCT = 10_000
"""Two samples whose sizes multiply to no more than this are tested exactly."""
FEWEST_EXPECTED = 5.0
"""Rows that a category must be expected to have on each side (Cochran 1954)."""
TERMS = 12
"""Of Kolmogorov's series: what is left out is smaller than 1e-100."""


def ks_p(distance: float, rows: int, other_rows: int) -> float:
    """Return the p-value of a two-sample Kolmogorov-Smirnov distance.

    Exact for a few rows; else Kolmogorov's asymptotic distribution with Stephens' correction (1970), which
    is accurate from an effective size of four on. With ties the true p-value is smaller.

    :param distance: largest distance of the two empirical distribution functions, 0 to 1.
    :param rows: rows of one side, at least 1.
    :param other_rows: rows of the other, at least 1.
    """
    if distance <= 0:
        return 1.0
    if rows * other_rows <= EXACT_PRODUCT:
        return _exact_ks_p(distance, rows, other_rows)
    root = math.sqrt(rows * other_rows / (rows + other_rows))
    return kolmogorov((root + 0.12 + 0.11 / root) * distance)


def kolmogorov(value: float) -> float:
    """Return the probability that Kolmogorov's limit distribution exceeds a value.

    The alternating series converges fast above 1, its theta-transformed form below.
    """
    if value < 0.05:
        return 1.0  # to the last digit of a double
    if value < 1:
        factor = -(math.pi**2) / (8 * value**2)
        below = sum(math.exp(factor * odd**2) for odd in range(1, 2 * TERMS, 2))
        return 1 - math.sqrt(2 * math.pi) / value * below
    total = sum((1 if term % 2 else -1) * math.exp(-2 * (term * value) ** 2) for term in range(1, TERMS))
    return min(1.0, max(0.0, 2 * total))


def _exact_ks_p(distance: float, rows: int, other_rows: int) -> float:
    """Return the share of orders of two samples that come at least as far apart (Hodges 1958).

    Each order is a lattice path from (0, 0) to (rows, other_rows). The probability of never being so far
    apart is computed step by step, as the share of the paths through each point that stayed near.
    """
    limit = distance * rows * other_rows * (1 - 1e-12)  # in whole steps of 1 / (rows * other_rows)
    stayed = [0.0] * (other_rows + 1)
    for one in range(rows + 1):
        for other in range(other_rows + 1):
            if abs(one * other_rows - other * rows) >= limit:
                stayed[other] = 0.0
            elif one == other == 0:
                stayed[other] = 1.0
            else:
                left = stayed[other - 1] * other if other else 0.0
                stayed[other] = (stayed[other] * one + left) / (one + other)
    return min(1.0, max(0.0, 1 - stayed[other_rows]))


class ChiSquare(NamedTuple):
    """A two-sample chi-square test of homogeneity.

    :param p: p-value; 1 where both sides have one and the same category only.
    :param cramers_v: effect size from 0 (equal shares) to 1 (no category in common), without bias.
    :param df: degrees of freedom, after sparse categories were merged.
    """

    p: float
    cramers_v: float
    df: int


def chi_square(reference: Counts, window: Counts) -> ChiSquare | None:
    """Test whether two sides have the same shares of the same categories, by counts.

    Categories that expect fewer than five rows on the smaller side are merged into one. Where that one is
    still too small for the chi-square distribution, it is tested by itself, exactly (binomial, for growth),
    and counted with the rarest of the others in the chi-square test; the smaller of both p-values is doubled
    (Bonferroni). So categories that are new are seen however few they are.

    :param reference: rows of each category; those unseen and those without a value are categories too.
    :param window: as many.
    :returns: ``None`` where one side has no rows.
    """
    import numpy as np

    then, now = np.asarray(reference, dtype="float64"), np.asarray(window, dtype="float64")
    totals = float(then.sum()), float(now.sum())
    if not all(totals):
        return None
    both, needed = then + now, least_common(then, now)
    common = both >= needed
    order = np.argsort(-both[common], kind="stable")
    pairs = np.column_stack([then[common], now[common]])[order]
    sparse = np.array([[then[~common].sum(), now[~common].sum()]])
    every = np.concatenate([pairs, sparse]) if sparse.any() else pairs
    effect = unbiased_v(cramers_v(every[:, 0], every[:, 1]), len(every), totals)
    if not sparse.any() or sparse.sum() >= needed:
        return ChiSquare(_pearson_p(every, totals), effect, len(every) - 1)
    growth = float(_growth_p(sparse, totals)[0])
    if len(pairs) < 2:
        return ChiSquare(growth, effect, len(every) - 1)
    joined = np.concatenate([pairs[:-1], pairs[-1:] + sparse])
    return ChiSquare(min(1.0, 2 * min(growth, _pearson_p(joined, totals))), effect, len(every) - 1)


def p_beyond(test: ChiSquare, natural: float) -> float:
    """Return the p-value of what an effect size has beyond one that is natural.

    The statistic grows with the square of the effect size, so it is taken down by that of their ratio.

    :param test: its p-value is against no effect at all.
    :param natural: Cramer's V that says nothing.
    """
    from scipy.special import chdtrc, chdtri

    if test.cramers_v <= natural:
        return 1.0
    if not test.df or not test.p:
        return test.p
    share = 1 - natural / test.cramers_v
    return float(chdtrc(test.df, chdtri(test.df, test.p) * share**2))


def least_common(reference: Counts, window: Counts) -> float:
    """Return how many rows of both sides together make five expected ones on the smaller side."""
    import numpy as np

    totals = float(np.sum(reference)), float(np.sum(window))
    return FEWEST_EXPECTED * sum(totals) / min(totals)


class Growth(NamedTuple):
    """The category whose share has grown most beyond chance.

    :param place: which one.
    :param p: p-value, with Bonferroni's correction for all that were looked at.
    :param effect: Cramer's V of this category against all others.
    """

    place: int
    p: float
    effect: float


def largest_growth(reference: Counts, window: Counts, among: NDArray[Any]) -> Growth | None:
    """Find the one category that has grown least by chance, however rare it was.

    Each category's rows are split between both sides by chance as the sides' sizes are (binomial, exact).

    :param reference: rows of each category.
    :param window: as many.
    :param among: for each category whether it is looked at.
    :returns: ``None`` where one side has no rows, or no category that is looked at has any.
    """
    import numpy as np

    then, now = np.asarray(reference, dtype="float64"), np.asarray(window, dtype="float64")
    totals = float(then.sum()), float(now.sum())
    places = np.flatnonzero(np.asarray(among) & (then + now > 0))
    if not all(totals) or not places.size:
        return None
    p_values = _growth_p(np.column_stack([then[places], now[places]]), totals)
    first = int(p_values.argmin())
    place = int(places[first])
    pair = np.array([[then[place], now[place]], [totals[0] - then[place], totals[1] - now[place]]])
    effect = unbiased_v(cramers_v(pair[:, 0], pair[:, 1]), 2, totals)
    return Growth(place, min(1.0, float(p_values[first]) * places.size), effect)


def _pearson_p(pairs: NDArray[Any], totals: tuple[float, float]) -> float:
    from scipy.special import chdtrc

    if len(pairs) < 2:
        return 1.0
    expected = pairs.sum(axis=1, keepdims=True) * totals / sum(totals)
    return float(chdtrc(len(pairs) - 1, ((pairs - expected) ** 2 / expected).sum()))


def _growth_p(pairs: NDArray[Any], totals: tuple[float, float]) -> NDArray[Any]:
    """Return the probability that at least so many of each category's rows fall into the window by chance."""
    import numpy as np
    from scipy.special import betainc

    then, now = pairs[:, 0], pairs[:, 1]
    found: NDArray[Any] = np.where(
        now > 0, betainc(np.maximum(now, 1e-300), then + 1, totals[1] / sum(totals)), 1.0
    )
    return found


def cramers_v(reference: Counts, window: Counts) -> float:
    """Return Cramer's V of two sides, as of two samples of the same size.

    The usual V of a small window beside a large reference is small whatever happened; with equal weights
    it depends on the shares alone. It is the root of half the triangular discrimination.

    :param reference: rows of each category.
    :param window: as many.
    """
    import numpy as np

    then, now = np.asarray(reference, dtype="float64"), np.asarray(window, dtype="float64")
    then, now = then / then.sum(), now / now.sum()
    both = then + now
    apart = float(((then - now)[both > 0] ** 2 / both[both > 0]).sum())
    return min(1.0, math.sqrt(apart / 2))


def unbiased_v(value: float, categories: int, totals: tuple[float, float]) -> float:
    """Return Cramer's V of two sides without what it has by chance, which grows with the categories.

    :param value: by :func:`cramers_v`.
    :param categories: cells of each side that it was measured on.
    :param totals: rows of both sides.
    """
    rows = 4 * totals[0] * totals[1] / sum(totals)  # two samples of the same size that would vary as much
    return bergsma_v(value**2, categories, 2, rows)


def bergsma_v(phi_squared: float, rows: int, columns: int, count: float) -> float:
    """Return the bias-corrected Cramer's V of a contingency table (Bergsma 2013).

    :param phi_squared: its chi-square statistic for each row counted.
    :param rows: its rows.
    :param columns: its columns.
    :param count: how many it counts.
    """
    if count <= 1 or min(rows, columns) < 2:
        return 0.0
    phi = max(0.0, phi_squared - (rows - 1) * (columns - 1) / (count - 1))
    sides = min(side - (side - 1) ** 2 / (count - 1) for side in (rows, columns)) - 1
    return min(1.0, math.sqrt(phi / sides)) if sides > 0 else 0.0


def benjamini_hochberg(p_values: Sequence[float], q: float) -> tuple[bool, ...]:
    """Return which hypotheses are rejected while the expected share of wrong ones stays at most ``q``.

    Benjamini & Hochberg (1995): the largest k with p_(k) <= k q / m, and all with a smaller p.

    :param p_values: one for each hypothesis.
    :param q: false discovery rate.
    """
    ordered = sorted(p_values)
    limit = -1.0
    for place, p in enumerate(ordered, start=1):
        if p <= place * q / len(ordered):
            limit = p
    return tuple(p <= limit for p in p_values)
