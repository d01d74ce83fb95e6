"""Performance estimated without labels, from scores alone, and how such estimates vary on the reference.

Both methods see that the questions have changed, and neither sees that the same question now has another
answer (concept drift): estimates stand beside realised metrics and never in their place.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windsock.records import Calibration, ErrorTree, ReferenceChunks
from windsock.records.values import LARGEST
from windsock.spec import SEED

if TYPE_CHECKING:
    from numpy.typing import NDArray

ESTIMATED = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "f1_macro",
    "f1_weighted",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
)
"""Metrics of two classes that can be estimated."""
PREDICTION = "prediction"
"""What the number that was answered is called among the inputs of an error tree."""
MOST_LEAVES = 64
LEAF_ROWS = 50
MISSING = 10 * LARGEST
"""Stands for a missing value while a tree is fitted: beyond all numbers, so that it goes right."""
CHUNKS = 10
FEWEST_CHUNKS = 5
CHUNK_ROWS = 30
LEAST_REACH = 0.005
"""An estimate nearer than this to the reference's mean is no alarm, however little its chunks vary."""


def calibrate(scores: NDArray[Any], labels: NDArray[Any]) -> Calibration:
    """Fit the probability of the positive class to scores: isotonic regression (Zadrozny and Elkan 2002).

    :param scores: shape (rows,), finite; at least one row.
    :param labels: shape (rows,): whether a row is of the positive class.
    """
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, labels.astype("float64"))
    return Calibration(
        scores=fitted.X_thresholds_.tolist(),
        probabilities=fitted.y_thresholds_.clip(0, 1).tolist(),
    )


def apply_calibration(calibration: Calibration, scores: NDArray[Any]) -> NDArray[Any]:
    """Return the probabilities of scores; beyond the lowest and the highest known score they stay."""
    import numpy as np

    probabilities: NDArray[Any] = np.interp(scores, calibration.scores, calibration.probabilities)
    return probabilities


def cbpe(
    calibration: Calibration, score: NDArray[Any], predicted: NDArray[Any], *, names: Collection[str]
) -> dict[str, float]:
    """Estimate a classifier's metrics on rows without labels: confidence-based performance estimation.

    Every row counts as positive with its calibrated probability, and as negative with the rest; the metrics
    are those of these expected counts. Rows of equal scores are one step of a curve. The method and its
    published numbers are NannyML's.

    :param score: shape (rows,): the positive class's score as the model gave it.
    :param predicted: shape (rows,): whether the positive class was answered.
    :param names: metrics that are asked for.
    :returns: those of :data:`ESTIMATED` that are asked for and that the rows define; without rows, none.
    """
    import numpy as np

    if not score.size:
        return {}
    chance = apply_calibration(calibration, score)
    answered = np.asarray(predicted).astype(bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            **_of_answers(chance, answered),
            **_of_curve(chance, score),
            **_of_probabilities(chance, score),
        }
    return {name: found[name] for name in ESTIMATED if name in names and math.isfinite(found[name])}


def _of_answers(chance: NDArray[Any], answered: NDArray[Any]) -> dict[str, float]:
    """Return the metrics of the expected confusion matrix."""
    hits, false_alarms = chance[answered].sum(), (1 - chance[answered]).sum()
    missed, rest = chance[~answered].sum(), (1 - chance[~answered]).sum()
    recall, specificity = hits / (hits + missed), rest / (rest + false_alarms)
    answers, wrong, positives = hits + false_alarms, false_alarms + missed, (hits + missed) / chance.size
    f1, of_negatives = 2 * hits / (2 * hits + wrong), 2 * rest / (2 * rest + wrong)
    return {
        "accuracy": float((hits + rest) / chance.size),
        "balanced_accuracy": float((recall + specificity) / 2),
        "precision": float(hits / answers) if answers > 0 else 0.0,
        "recall": float(recall),
        "f1": float(f1),
        "f1_macro": float((f1 + of_negatives) / 2),
        "f1_weighted": float(positives * f1 + (1 - positives) * of_negatives),
    }


def _of_curve(chance: NDArray[Any], score: NDArray[Any]) -> dict[str, float]:
    """Return the areas under the expected ROC and precision-recall curves."""
    import numpy as np

    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.r_[np.flatnonzero(np.diff(ordered)), ordered.size - 1]
    hits, false_alarms = np.cumsum(chance[order])[last], np.cumsum(1 - chance[order])[last]
    recall, precision = np.r_[0, hits / hits[-1]], hits / (hits + false_alarms)
    return {
        "roc_auc": float(np.trapezoid(recall, np.r_[0, false_alarms / false_alarms[-1]])),
        "average_precision": float(np.diff(recall) @ precision),
    }


def _of_probabilities(chance: NDArray[Any], score: NDArray[Any]) -> dict[str, float]:
    """Return the expected losses of the scores, taken as probabilities."""
    import numpy as np

    smallest = np.finfo("float64").eps
    sure = np.clip(score, smallest, 1 - smallest)
    return {
        "log_loss": float(-(chance * np.log(sure) + (1 - chance) * np.log(1 - sure)).mean()),
        "brier": float((chance * (1 - score) ** 2 + (1 - chance) * score**2).mean()),
    }


def fit_error_tree(
    prediction: NDArray[Any], features: Mapping[str, NDArray[Any]], errors: NDArray[Any]
) -> ErrorTree:
    """Fit how large a regression's errors are, by what was predicted and asked: direct loss estimation.

    One small tree (at most 64 leaves, at least 50 rows in each) splits by the absolute error; every node
    also has the mean squared one.

    :param prediction: shape (rows,): the predicted numbers; at least one row.
    :param features: numeric features, shape (rows,) each, NaN where missing; one that is itself called
        ``prediction`` is left out.
    :param errors: shape (rows,): truth minus prediction.
    """
    import numpy as np
    from sklearn.tree import DecisionTreeRegressor

    columns = {PREDICTION: prediction, **{name: of for name, of in features.items() if name != PREDICTION}}
    absolute = np.abs(errors)
    table = np.column_stack([_split_values(values) for values in columns.values()])
    fitted = DecisionTreeRegressor(
        max_leaf_nodes=MOST_LEAVES, min_samples_leaf=LEAF_ROWS, random_state=SEED
    ).fit(np.nan_to_num(table, nan=MISSING), absolute)
    tree = fitted.tree_
    paths = fitted.decision_path(np.nan_to_num(table, nan=MISSING))
    squared = (paths.T @ absolute**2) / tree.n_node_samples
    is_leaf = tree.children_left < 0
    return ErrorTree(
        inputs=tuple(columns),
        split=np.where(is_leaf, -1, tree.feature).tolist(),
        threshold=np.where(is_leaf, 0.0, tree.threshold).tolist(),
        left=tree.children_left.tolist(),
        right=tree.children_right.tolist(),
        absolute=tree.value[:, 0, 0].tolist(),
        squared=squared.tolist(),
    )


def _split_values(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as trees compare them: in 32 bits, none of them infinite."""
    import numpy as np

    numbers: NDArray[Any] = np.clip(values.astype("float64"), -LARGEST, LARGEST).astype("float32")
    return numbers


def apply_error_tree(
    tree: ErrorTree, inputs: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the expected absolute and the expected squared error of each row.

    :param inputs: for each of the tree's inputs the rows' values, NaN where missing.
    :raises KeyError: if an input is not there.
    """
    import numpy as np

    table = np.column_stack([_split_values(np.asarray(inputs[name])) for name in tree.inputs])
    split, threshold = np.array(tree.split), np.array(tree.threshold)
    left, right = np.array(tree.left), np.array(tree.right)
    node, rows = np.zeros(len(table), dtype=np.int64), np.arange(len(table))
    while rows.size:
        rows = rows[split[node[rows]] >= 0]
        at = node[rows]
        goes_left = table[rows, split[at]] <= threshold[at]
        node[rows] = np.where(goes_left, left[at], right[at])
    return np.array(tree.absolute)[node], np.array(tree.squared)[node]


def error_metrics(absolute: NDArray[Any], squared: NDArray[Any]) -> dict[str, float]:
    """Return ``mae`` and ``rmse`` of expected errors; without rows, none."""
    if not absolute.size:
        return {}
    return {"mae": float(absolute.mean()), "rmse": math.sqrt(float(squared.mean()))}


def chunk_slices(rows: int) -> tuple[slice, ...]:
    """Return ten equal parts of rows in their order, fewer where a part would have less than 30 rows.

    What does not fill a part at the end is left out.

    :returns: nothing where there are not five such parts.
    """
    chunks = min(CHUNKS, rows // CHUNK_ROWS)
    if chunks < FEWEST_CHUNKS:
        return ()
    size = rows // chunks
    return tuple(slice(size * place, size * (place + 1)) for place in range(chunks))


def estimate_reach(chunks: ReferenceChunks, rows: int, deviations: float) -> float:
    """Return how far an estimate may lie from the mean of the reference's chunks.

    Beyond what windows have done before, so many standard deviations of the chunks, widened for a window
    with fewer rows than a chunk by the square root of how many times fewer. Chunks that hardly vary, such as
    those of a model that is always right, say little about how estimates do: the reach is at least so many
    sampling errors of a share of as many rows, and at least :data:`LEAST_REACH` (of the mean itself, for an
    error in the target's unit).

    :param chunks: the metric's mean and deviation over the chunks.
    :param rows: rows of the window, at least 1.
    :param deviations: how many standard deviations are allowed.
    """
    spread = chunks.sd * math.sqrt(max(1.0, chunks.rows / rows))
    if chunks.metric in ("mae", "rmse"):
        return chunks.recurring + max(deviations * spread, LEAST_REACH * abs(chunks.mean))
    share = (min(1.0, max(0.0, chunks.mean)) * rows + 2) / (rows + 4)  # Agresti and Coull (1998)
    sampling = math.sqrt(share * (1 - share) / (rows + 4)) if chunks.metric != "log_loss" else 0.0
    return chunks.recurring + max(deviations * max(spread, sampling), LEAST_REACH)


def reference_chunks(realised: Sequence[Mapping[str, float]], rows: int) -> tuple[ReferenceChunks, ...]:
    """Return mean and standard deviation of each metric over chunks of the reference.

    What an estimate is held against are realised metrics, as in NannyML: they vary by the labels' chance too,
    which keeps an estimate from being an alarm as soon as it differs at all.

    :param realised: metrics of each chunk; one that is missing or not finite in a chunk is left out.
    :param rows: rows in each chunk.
    """
    import statistics

    names = realised[0] if realised else ()
    spread = {name: [one.get(name, math.nan) for one in realised] for name in names}
    return tuple(
        ReferenceChunks(
            metric=name,
            mean=statistics.fmean(values),
            sd=statistics.pstdev(values),
            chunks=len(values),
            rows=rows,
        )
        for name, values in spread.items()
        if all(map(math.isfinite, values))
    )
