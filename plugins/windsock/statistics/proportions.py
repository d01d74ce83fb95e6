"""Intervals of shares and of paired differences of shares, with an error of at most what they say.

Where rows share an entity, counts are effective ones: divided by the design effect, by how much the entities'
sums vary more than as many independent rows would (Korn and Graubard 1998, Survey Methodology 24:193).
"""

from __future__ import annotations

import functools
import math

from windsock.records import Interval

LEVEL = 0.95
MOST_ROWS = 10**9
"""No answer to how many rows are needed is above this."""


def clopper_pearson(hits: float, rows: float, *, level: float = LEVEL) -> Interval:
    """Return the exact interval of a share (Clopper and Pearson 1934, Biometrika 26:404).

    Each bound alone is wrong with at most ``(1 - level) / 2``, whatever the share. Counts may be fractions,
    as effective counts are. Without rows it is the whole of 0 to 1.
    """
    from scipy.special import betaincinv

    if rows <= 0:
        return Interval(low=0.0, high=1.0, level=level)
    hits = min(max(hits, 0.0), rows)
    tail, missed = (1 - level) / 2, rows - hits
    high = float(betaincinv(hits + 1, missed, 1 - tail)) if missed > 0 else 1.0
    return Interval(low=_lower_bound(hits, rows, level=level), high=high, level=level)


def _lower_bound(hits: float, rows: float, *, level: float = LEVEL) -> float:
    """Return the lower bound of :func:`clopper_pearson` alone; searches ask for it thousands of times."""
    from scipy.special import betaincinv

    return float(betaincinv(hits, rows - hits + 1, (1 - level) / 2)) if hits > 0 else 0.0


def unseen_share(rows: float, *, level: float = LEVEL) -> float:
    """Return the largest share of which ``rows`` rows may show none: the exact bound of 0 of them."""
    return clopper_pearson(0, rows, level=level).high


def effective_rows(rows: float, entities: int, design_effect: float, *, level: float = LEVEL) -> float:
    """Return how many independent rows so many rows of entities are worth.

    The count is divided by the design effect, and by the square of how much wider Student's t of the entities
    is than that of the rows (Korn and Graubard 1998); never more than the rows.

    :param entities: that these rows are of; at least 2.
    """
    from scipy.special import stdtrit

    side = (1 + level) / 2
    wider = stdtrit(max(1.0, entities - 1), side) / stdtrit(max(1.0, rows - 1), side)
    return min(rows, rows / max(1.0, design_effect) / max(1.0, float(wider)) ** 2)


def tango(better: float, worse: float, rows: float, *, level: float = LEVEL) -> Interval:
    """Return the score interval of the difference of two shares on the same rows (Tango 1998).

    Statistics in Medicine 17:891. It has width also where no row tells the two apart.

    :param better: rows that count for the first share alone.
    :param worse: rows that count for the second share alone.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    if rows <= 0:
        return Interval(low=-1.0, high=1.0, level=level)
    reach = float(ndtri((1 + level) / 2))
    seen = (better - worse) / rows

    def score(apart: float) -> float:
        by = 2 * rows
        middle = -better - worse + (2 * rows - better + worse) * apart
        last = -worse * apart * (1 - apart)
        only_second = (math.sqrt(max(0.0, middle * middle - 4 * by * last)) - middle) / (2 * by)
        variance = rows * (2 * only_second + apart * (1 - apart))
        return (better - worse - rows * apart) / math.sqrt(max(variance, 1e-300))

    edge = 1 - 1e-12
    low = brentq(lambda apart: score(apart) - reach, -edge, seen, xtol=1e-12) if seen > -edge else -1.0
    high = brentq(lambda apart: score(apart) + reach, seen, edge, xtol=1e-12) if seen < edge else 1.0
    return Interval(low=float(low), high=float(high), level=level)


def rows_to_prove(share: float, limit: float, *, at_most: int = MOST_ROWS) -> int | None:
    """Return the fewest rows on which this very share is proved to be at least a limit.

    :returns: ``None`` where no number of rows would do: the share is not above the limit.
    """
    if share <= limit:
        return None
    return _fewest(lambda rows: clopper_pearson(share * rows, rows).low >= limit, at_most)


def rows_for_power(share: float, limit: float, *, power: float = 0.8, at_most: int = MOST_ROWS) -> int | None:
    """Return from how many rows on a true share is proved to be at least a limit with this probability.

    Exact by the binomial distribution; power is no smooth function of the rows, so it is asked for on this
    number of rows and on the sizes that follow.
    """
    if share <= limit:
        return None

    @functools.cache  # the sizes that follow are those of the next guess, too
    def enough(rows: int) -> bool:
        return proof_power(share, limit, rows) >= power

    def found(rows: int) -> bool:
        return all(enough(size) for size in range(rows, rows + 1 + rows // 10))

    rough = _fewest(enough, at_most)
    if rough is None or rough > 20_000:
        return rough
    return _fewest(found, at_most)


def proof_power(share: float, limit: float, rows: int) -> float:
    """Return with which probability rows of a true share prove that it is at least a limit."""
    from scipy.special import bdtrc

    hits = hits_to_prove(limit, rows)
    if hits is None:
        return 0.0
    return float(bdtrc(hits - 1, rows, share)) if hits > 0 else 1.0


def hits_to_prove(limit: float, rows: int) -> int | None:
    """Return the fewest right rows of all that prove a share of at least a limit; ``None``: not even all."""
    if _lower_bound(rows, rows) < limit:
        return None
    low, high = 0, rows
    while low < high:
        middle = (low + high) // 2
        if _lower_bound(middle, rows) >= limit:
            high = middle
        else:
            low = middle + 1
    return low


def _fewest(holds: object, at_most: int) -> int | None:
    """Return the least number from which a growing condition holds, by doubling and halving."""
    assert callable(holds)  # noqa: S101
    high = 1
    while not holds(high):
        if high >= at_most:
            return None
        high = min(2 * high, at_most)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
