"""Whether the arms have as many units as their shares ask for, and the same share of something."""

from __future__ import annotations

import math
from collections.abc import Sequence

FEWEST_EXPECTED = 100.0
"""Units; where an arm expects fewer, the tail of the chi-square distribution is not trusted."""


def sample_ratio_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the p-value of the arms' units against the shares of the traffic.

    Chi-square; where an arm expects fewer than 100 units exact binomial tests of each arm against the others,
    the smallest p-value times their number (Bonferroni), which for two arms is one test.

    :param counts: units of each arm.
    :param shares: of each arm in any scale, such as basis points.
    :returns: 1 without units; 0 where an arm without a share has units.
    :raises ValueError: if there are more or fewer shares than counts, one is negative, or all are 0.
    """
    if len(counts) != len(shares) or min(shares) < 0 or min(counts) < 0 or not sum(shares) > 0:
        raise ValueError(f"{len(counts)} arms, shares {tuple(shares)}")
    if any(count and not share for count, share in zip(counts, shares, strict=True)):
        return 0.0
    whole = sum(shares)
    arms = [(count, share / whole) for count, share in zip(counts, shares, strict=True) if share]
    units = sum(counts)
    if not units or len(arms) == 1:
        return 1.0
    if units * min(share for _, share in arms) < FEWEST_EXPECTED:
        return _exact_p(arms, units)
    from scipy.special import chdtrc

    statistic = sum((count - units * share) ** 2 / (units * share) for count, share in arms)
    return float(chdtrc(len(arms) - 1, statistic))


def _exact_p(arms: Sequence[tuple[int, float]], units: int) -> float:
    from scipy.stats import binomtest

    tests = arms[:1] if len(arms) == 2 else arms
    return min(1.0, len(tests) * min(float(binomtest(count, units, share).pvalue) for count, share in tests))


def same_share_p(hits: tuple[int, int], units: tuple[int, int]) -> float:
    """Return the two-sided p-value of two shares being one.

    Normal with the pooled share; where hits or misses of an arm are expected to be fewer than 100, exact: the
    hits, or the misses, are split as the units are. That errs on the careful side.

    :param hits: of each arm, at most its units.
    :returns: 1 where an arm has no units.
    """
    if not all(units):
        return 1.0
    misses = (units[0] - hits[0], units[1] - hits[1])
    if min(misses) < 0:
        raise ValueError(f"{hits} of {units}")
    rare = hits if sum(hits) <= sum(misses) else misses
    if sum(rare) * min(units) / sum(units) < FEWEST_EXPECTED:
        return sample_ratio_p(rare, units)
    pooled = sum(hits) / sum(units)
    error = math.sqrt(pooled * (1 - pooled) * (1 / units[0] + 1 / units[1]))
    return two_sided_p((hits[1] / units[1] - hits[0] / units[0]) / error)


def two_sided_p(z: float) -> float:
    """Return the two-sided p-value of a standard normal number."""
    return math.erfc(abs(z) / math.sqrt(2))
