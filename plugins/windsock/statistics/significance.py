"""Whether a distance is more than chance: tests on counts, and many tests at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

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
    :param cramers_v: effect size from 0 (equal shares) to 1 (no category in common).
    :param df: degrees of freedom, after sparse categories were merged.
    """

    p: float
    cramers_v: float
    df: int


def chi_square(reference: Sequence[int], window: Sequence[int]) -> ChiSquare | None:
    """Test whether two sides have the same shares of the same categories, by counts.

    Categories that expect fewer than five rows on the smaller side are merged into one. Where that one is
    still too small for the chi-square distribution, it is tested by itself, exactly (hypergeometric, for
    growth), and counted with the rarest of the others in the chi-square test; the smaller of both p-values
    is doubled (Bonferroni). So categories that are new are seen however few they are.

    :param reference: rows of each category; those unseen and those without a value are categories too.
    :param window: as many.
    :returns: ``None`` where one side has no rows.
    """
    totals = sum(reference), sum(window)
    if not all(totals):
        return None
    common, sparse = _parted(reference, window)
    every = [*common, sparse] if any(sparse) else common
    effect = cramers_v([then for then, _ in every], [now for _, now in every])
    if not any(sparse) or sum(sparse) >= _needed(totals):
        return ChiSquare(_pearson_p(every, totals), effect, len(every) - 1)
    growth = _growth_p(sparse, totals)
    if len(common) < 2:
        return ChiSquare(growth, effect, len(every) - 1)
    *most, rarest = common
    joined = [*most, (rarest[0] + sparse[0], rarest[1] + sparse[1])]
    return ChiSquare(min(1.0, 2 * min(growth, _pearson_p(joined, totals))), effect, len(every) - 1)


def _parted(reference: Sequence[int], window: Sequence[int]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return the counts of the common categories, the most frequent first, and of all others together."""
    pairs = sorted(zip(reference, window, strict=True), key=lambda pair: -sum(pair))
    needed = _needed((sum(reference), sum(window)))
    sparse = [pair for pair in pairs if sum(pair) < needed]
    common = [pair for pair in pairs if sum(pair) >= needed]
    return common, (sum(then for then, _ in sparse), sum(now for _, now in sparse))


def _needed(totals: tuple[int, int]) -> float:
    """Return how many rows of both sides together make five expected ones on the smaller side."""
    return FEWEST_EXPECTED * sum(totals) / min(totals)


def _pearson_p(pairs: Sequence[tuple[int, int]], totals: tuple[int, int]) -> float:
    from scipy.special import chdtrc

    if len(pairs) < 2:
        return 1.0
    everything = sum(totals)
    statistic = 0.0
    for pair in pairs:
        for count, total in zip(pair, totals, strict=True):
            expected = sum(pair) * total / everything
            statistic += (count - expected) ** 2 / expected
    return float(chdtrc(len(pairs) - 1, statistic))


def _growth_p(pair: tuple[int, int], totals: tuple[int, int]) -> float:
    """Return the probability that at least so many of a category's rows fall into the window by chance."""
    from scipy.stats import hypergeom

    return float(hypergeom.sf(pair[1] - 1, sum(totals), sum(pair), totals[1]))


def cramers_v(reference: Sequence[int], window: Sequence[int]) -> float:
    """Return Cramer's V of two sides, as of two samples of the same size.

    The usual V of a small window beside a large reference is small whatever happened; with equal weights
    it depends on the shares alone. It is the root of half the triangular discrimination.

    :param reference: rows of each category.
    :param window: as many.
    """
    totals = sum(reference), sum(window)
    apart = 0.0
    for a, b in zip(reference, window, strict=True):
        then, now = a / totals[0], b / totals[1]
        if then or now:
            apart += (then - now) ** 2 / (then + now)
    return min(1.0, math.sqrt(apart / 2))


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
