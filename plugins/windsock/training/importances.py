"""What a model leans on: permutation importances on held-out rows, measured once in the life of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windsock.records import InputSchema
from windsock.spec import SEED
from windsock.statistics.metrics import direction, score
from windsock.training.fitting import answer
from windsock.training.target import universe_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

IMPORTANCES = "importances"
"""Where the facts of a bundle's manifest say what was found."""
MOST_ROWS = 1000
REPEATS = 3
MOST_SHUFFLES = 250
"""Most shuffles over all features: with many features each is shuffled fewer times, but once at least."""


def measure_importances(
    pipeline: Pipeline, schema: InputSchema, features: pd.DataFrame, labels: NDArray[Any], metric: str
) -> dict[str, Any]:
    """Return how much of a metric is lost when a feature is shuffled (Breiman 2001).

    At most 1,000 rows, the same for the same number of them.

    :param features: held-out rows as the pipeline sees them.
    :param labels: their targets.
    :returns: as JSON values: ``repeats``, and in ``lost`` for each feature its name, the mean loss and the
        standard deviation; empty where the rows do not define the metric.
    """
    import numpy as np
    from sklearn.inspection import permutation_importance

    kept = np.arange(len(features))
    if kept.size > MOST_ROWS:
        kept = np.sort(np.random.default_rng(SEED).choice(kept.size, MOST_ROWS, replace=False))
    part, truth = features.iloc[kept], labels[kept]
    universe = universe_of(schema, truth)

    def scoring(fitted: Any, rows: pd.DataFrame, targets: NDArray[Any]) -> float:
        scored = universe.score(targets, answer(fitted, rows), schema.classes)
        return direction(metric) * score(metric, scored)

    repeats = max(1, min(REPEATS, MOST_SHUFFLES // features.shape[1]))
    found = permutation_importance(
        pipeline, part, truth, scoring=scoring, n_repeats=repeats, random_state=SEED, n_jobs=1
    )
    means, sds = found.importances_mean, found.importances_std
    if not np.isfinite(means).all():
        return {}
    names = [str(name) for name in features.columns]
    lost = [list(row) for row in zip(names, means.tolist(), sds.tolist(), strict=True)]
    return {"repeats": repeats, "lost": lost}


def importance_shares(found: Mapping[str, Any]) -> dict[str, float]:
    """Return each feature's share of all that is lost; shuffling that did no harm counts as 0.

    :param found: what :func:`measure_importances` gave.
    """
    harm = {name: max(0.0, mean) for name, mean, _ in found.get("lost", ())}
    total = sum(harm.values())
    return {name: min(1.0, value / total) if total > 0 else 0.0 for name, value in harm.items()}
