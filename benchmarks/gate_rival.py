"""The rule that Windsock's gate had before: the percentile bootstrap of rows, for every metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.stats import binom

Scorer = Callable[[Any], float]
RESAMPLES = 1000
LEVEL = 0.95
SMALLEST_SHARE = 0.9


def resample(scorers: Mapping[str, Scorer], rows: int, *, resamples: int, seed: int) -> dict[str, Any]:
    """Score the same resamples of the rows by several scorers."""
    generator = np.random.default_rng(seed)
    values = {name: np.full(resamples, np.nan) for name in scorers}
    with np.errstate(all="ignore"):
        for number in range(resamples):
            weights = np.bincount(generator.integers(0, rows, rows), minlength=rows).astype("float64")
            for name, scorer in scorers.items():
                values[name][number] = scorer(weights)
    return values


def interval_of(values: Any) -> tuple[float, float] | None:
    """Return the percentile interval; ``None`` if over a tenth of the resamples is undefined."""
    defined = values[np.isfinite(values)]
    if defined.size < SMALLEST_SHARE * values.size:
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def share_low(hits: int, rows: int) -> float:
    """Return the low end for a share, as all resamples together would have it."""
    return float(binom.ppf((1 - LEVEL) / 2, rows, hits / rows)) / rows
