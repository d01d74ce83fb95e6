"""Percentile bootstrap (Efron and Tibshirani 1993, chapter 13) of metrics, alone and in pairs.

Rows are drawn with replacement, so the weight of a row is how often it was drawn. Where an entity has
several rows they are drawn one by one all the same: such intervals are too narrow when an entity's rows
resemble each other. Strata are not kept: a resample without a metric's second class does not define it and
is left out; if more than a tenth are left out, there is no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windsock.records import Interval, PairedDifference
from windsock.spec import SEED
from windsock.statistics.metrics import direction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from windsock.statistics.metrics import Scorer

RESAMPLES = 1000
LEVEL = 0.95
SMALLEST_SHARE = 0.9


def resample(
    scorers: Mapping[str, Scorer], rows: int, *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, NDArray[Any]]:
    """Score the same resamples of the rows by several scorers.

    :param scorers: metrics, of one or of several models, on the same rows in the same order.
    :param rows: number of those rows.
    :returns: for each scorer its values, shape (resamples,), in the same order of resamples; NaN where
        undefined.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    values = {name: np.full(resamples, np.nan) for name in scorers}
    with np.errstate(all="ignore"):
        for number in range(resamples):
            weights = np.bincount(generator.integers(0, rows, rows), minlength=rows).astype("float64")
            for name, scorer in scorers.items():
                values[name][number] = scorer(weights)
    return values


def interval_of(values: NDArray[Any], *, level: float = LEVEL) -> Interval | None:
    """Return the percentile interval of resampled values; ``None`` if over a tenth is undefined."""
    import numpy as np

    defined = values[np.isfinite(values)]
    if defined.size < SMALLEST_SHARE * values.size:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level)


def paired_difference(
    metric: str,
    opponent: str,
    *,
    ours: Scorer,
    theirs: Scorer,
    our_values: NDArray[Any],
    their_values: NDArray[Any],
    rows: int,
) -> PairedDifference:
    """Return how much better we are than an opponent on the same rows, with the paired interval.

    :param opponent: ``champion`` or ``baseline``.
    :param our_values: our values on the resamples.
    :param their_values: the opponent's values on the same resamples, in the same order.
    :param rows: number of rows.
    """
    sign = direction(metric)
    our_value, their_value = ours(None), theirs(None)
    defined = math.isfinite(our_value) and math.isfinite(their_value)
    interval = interval_of(sign * (our_values - their_values)) if defined else None
    error = ""
    if not defined:
        error = f"{metric} is not defined on the {rows} held-out rows"
    elif interval is None:
        error = f"too few rows of a class: over a tenth of the resamples does not define {metric}"
    return PairedDifference(
        metric=metric,
        opponent=opponent,
        value=sign * (our_value - their_value) if defined else None,
        interval=interval,
        n=rows,
        resamples=len(our_values),
        opponent_value=their_value if math.isfinite(their_value) else None,
        error=error,
    )
