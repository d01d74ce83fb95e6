"""What a model leans on: permutation importances on held-out rows, measured once in the life of a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
MOST_CELLS = 500_000
"""Cells of a frame that is answered in one call."""


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

    generator = np.random.default_rng(SEED)
    kept = np.arange(len(features))
    if kept.size > MOST_ROWS:
        kept = np.sort(generator.choice(kept.size, MOST_ROWS, replace=False))
    part, truth = features.iloc[kept], labels[kept]
    universe = universe_of(schema, truth)

    def measured(answers: NDArray[Any]) -> float:
        return direction(metric) * score(metric, universe.score(truth, answers, schema.classes))

    whole = measured(answer(pipeline, part))
    repeats = max(1, min(REPEATS, MOST_SHUFFLES // features.shape[1]))
    orders = [generator.permutation(kept.size) for _ in range(repeats)]
    shuffles = [(str(name), order) for order in orders for name in features.columns]
    lost = [whole - measured(answers) for answers in _answer_shuffled(pipeline, part, shuffles)]
    table = np.array(lost).reshape(repeats, features.shape[1])
    if not np.isfinite(table).all():
        return {}
    rows = zip(features.columns, table.mean(axis=0).tolist(), table.std(axis=0).tolist(), strict=True)
    return {"repeats": repeats, "lost": [[str(name), mean, sd] for name, mean, sd in rows]}


def _answer_shuffled(
    pipeline: Pipeline, part: pd.DataFrame, shuffles: Sequence[tuple[str, NDArray[Any]]]
) -> Iterator[NDArray[Any]]:
    """Give a pipeline's answers to rows with one feature shuffled, for each shuffle.

    Many copies of the rows are answered in one call: most of a call's time does not depend on its rows.

    :param shuffles: name of the feature, and the order in which its values are put.
    """
    import numpy as np
    import pandas as pd

    rows = len(part)
    originals = {str(name): part[name].to_numpy() for name in part.columns}
    copies = max(1, MOST_CELLS // (rows * len(originals)))
    for start in range(0, len(shuffles), copies):
        batch = shuffles[start : start + copies]
        columns = {name: np.tile(values, len(batch)) for name, values in originals.items()}
        for place, (name, order) in enumerate(batch):
            columns[name][place * rows : (place + 1) * rows] = originals[name][order]
        typed = {name: pd.Series(values, dtype=part[name].dtype) for name, values in columns.items()}
        answers = answer(pipeline, pd.DataFrame(typed))
        yield from np.split(answers, len(batch))


def importance_shares(found: Mapping[str, Any]) -> dict[str, float]:
    """Return each feature's share of all that is lost; shuffling that did no harm counts as 0.

    :param found: what :func:`measure_importances` gave.
    """
    harm = {name: max(0.0, mean) for name, mean, _ in found.get("lost", ())}
    total = sum(harm.values())
    return {name: min(1.0, value / total) if total > 0 else 0.0 for name, value in harm.items()}
