"""The metric registry's real side: every metric as a function of row weights, fast enough to be resampled.

Conventions, the same on folds, on training rows and on held-out rows:

- The class is the one with the highest probability; of equals, the first.
- ``precision``, ``recall`` and ``f1`` are of the positive class with two classes, and the unweighted mean
  over the classes (macro) with more. Where nothing is predicted to be of a class, its precision is 0.
- ``f1_macro`` is the unweighted mean of F1 over the classes, ``f1_weighted`` the mean weighted by how many
  rows are of each class, also with two classes.
- ``roc_auc`` and ``average_precision`` are of the positive class with two classes, and with more the
  unweighted mean of one class against the rest, over the classes that occur in the rows.
- ``balanced_accuracy`` is the mean recall over the classes that occur in the rows.
- ``brier`` is the mean squared error of the positive class's probability; with more than two classes, of all
  probabilities together (0 to 2).
- A metric that the rows do not define (one class only, a constant target) is NaN here and becomes
  ``value: null, status: error`` in a record.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from windsock.spec import ModelSpec, extension, metric_facts
from windsock.spec.registries import METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scorer = Callable[[NDArray[Any] | None], float]
    """Takes a weight for each row (``None``: all 1) and returns the metric, or NaN."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What is true and what was answered, on the same rows.

    :param truth: shape (rows,): the class's position among ``classes``, or the number.
    :param answers: shape (rows, classes): probabilities in the order of ``classes``; or shape (rows,):
        numbers.
    :param classes: number of classes; 0 for numbers.
    :param positive: position of the positive class, with two classes.
    :param predicted: shape (rows,): position of the class that was answered; default: the one with the
        highest probability.
    :param trained: how many of the classes, the first ones, training had rows of; 0: not asked.
    """

    truth: NDArray[Any]
    answers: NDArray[Any]
    classes: int = 0
    positive: int | None = None
    predicted: NDArray[Any] | None = None
    trained: int = 0


def metric_names(spec: ModelSpec) -> tuple[str, ...]:
    """Return the metrics that an evaluation reports: all built-in ones, and those the spec names."""
    built_in = [name for name, facts in METRICS.items() if spec.task in facts.tasks]
    named = [name for name in (spec.metric, *spec.gate.minimum) if name not in built_in]
    return tuple(dict.fromkeys([*built_in, *named]))


def direction(name: str) -> float:
    """Return 1 where more is better, -1 where less is."""
    return 1.0 if metric_facts(name).greater_is_better else -1.0


def make_scorer(name: str, scored: Scored) -> Scorer:
    """Return a metric on these rows as a function of their weights; what can be computed once is.

    A metric of ``windsock.metrics`` is a callable ``metric(truth, answers, weights) -> float`` with a
    :class:`windsock.spec.Metric` at ``.facts``; its arguments are those of :class:`Scored`, weights or
    ``None``.

    :raises SpecError: if the name is not registered.
    """
    if name in BUILT_IN:
        return BUILT_IN[name](scored)
    offered = extension("metrics", name)
    return lambda weights: float(offered(scored.truth, scored.answers, weights))


def score(name: str, scored: Scored) -> float:
    """Return a metric on these rows, or NaN where they do not define it."""
    return make_scorer(name, scored)(None)


def _binary(scored: Scored, make: Callable[[NDArray[Any], NDArray[Any]], Scorer]) -> Scorer:
    """Apply a two-class metric to the positive class, or average it over one class against the rest."""
    if scored.positive is not None:
        return make(scored.truth == scored.positive, scored.answers[:, scored.positive])
    each = [make(scored.truth == code, scored.answers[:, code]) for code in range(scored.classes)]

    def mean(weights: NDArray[Any] | None) -> float:
        values = [value for one in each if not math.isnan(value := one(weights))]
        return sum(values) / len(values) if values else math.nan

    return mean


def _groups(is_positive: NDArray[Any], scores: NDArray[Any]) -> Callable[[NDArray[Any] | None], Any]:
    """Return a function that sums the weights of each distinct score, lowest first: of positives, of all."""
    import numpy as np

    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positive = is_positive[order].astype("float64")

    def sums(weights: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
        weight = np.ones(order.size) if weights is None else weights[order]
        return np.add.reduceat(weight * positive, starts), np.add.reduceat(weight, starts)

    return sums


def weighted_auc(is_positive: NDArray[Any], scores: NDArray[Any]) -> Scorer:
    """Return the area under the ROC curve as a function of row weights, exact with tied scores.

    Sorting happens once; each call is a few sums over the sorted rows (Fawcett 2006, with half of each tie).
    """
    import numpy as np

    sums = _groups(is_positive, scores)

    def auc(weights: NDArray[Any] | None) -> float:
        positive, every = sums(weights)
        negative = every - positive
        pairs = positive.sum() * negative.sum()
        if pairs <= 0:
            return math.nan
        below = np.cumsum(negative) - negative / 2
        return float(positive @ below / pairs)

    return auc


def weighted_average_precision(is_positive: NDArray[Any], scores: NDArray[Any]) -> Scorer:
    """Return the average precision (the step-wise area under the PR curve) as a function of row weights."""
    import numpy as np

    sums = _groups(is_positive, scores)

    def average_precision(weights: NDArray[Any] | None) -> float:
        positive, every = (values[::-1] for values in sums(weights))
        total = positive.sum()
        if total <= 0 or total >= every.sum():
            return math.nan
        seen = np.cumsum(every)
        precision = np.divide(np.cumsum(positive), seen, out=np.zeros_like(seen), where=seen > 0)
        return float(positive @ precision / total)

    return average_precision


def answered_classes(scored: Scored) -> NDArray[Any]:
    """Return the position of the class that was answered for each row."""
    if scored.predicted is not None:
        return scored.predicted
    answered: NDArray[Any] = scored.answers.argmax(axis=1)
    return answered


def _confusion(scored: Scored) -> Callable[[NDArray[Any] | None], NDArray[Any]]:
    import numpy as np

    cells = scored.truth * scored.classes + answered_classes(scored)

    def counts(weights: NDArray[Any] | None) -> NDArray[Any]:
        flat = np.bincount(cells, weights=weights, minlength=scored.classes**2).astype("float64")
        return flat.reshape(scored.classes, scored.classes)

    return counts


def confusion_matrix(scored: Scored) -> NDArray[Any]:
    """Return how often each class (row) was answered with each class (column)."""
    return _confusion(scored)(None).astype("int64")


def _accuracy(scored: Scored) -> Scorer:
    counts = _confusion(scored)

    def accuracy(weights: NDArray[Any] | None) -> float:
        matrix = counts(weights)
        return _ratio(float(matrix.trace()), float(matrix.sum()))

    return accuracy


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _balanced_accuracy(scored: Scored) -> Scorer:
    counts = _confusion(scored)

    def balanced_accuracy(weights: NDArray[Any] | None) -> float:
        matrix = counts(weights)
        support = matrix.sum(axis=1)
        occurs = support > 0
        if occurs.sum() < 2:
            return math.nan
        return float((matrix.diagonal()[occurs] / support[occurs]).mean())

    return balanced_accuracy


def _by_class(
    hits: Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[Any]],
    over: Literal["positive", "macro", "weighted"] = "positive",
) -> Callable[[Scored], Scorer]:
    """Make a metric from what it is for each class.

    Classes that occur neither in truth nor in answers are left out of the mean.

    :param hits: takes for each class the right answers, the rows of it and the answers with it.
    :param over: ``positive``: of the positive class, and as ``macro`` where there is none; ``macro``: the
        mean over the classes; ``weighted``: the mean by the rows of each class.
    """

    def make(scored: Scored) -> Scorer:
        counts = _confusion(scored)

        def metric(weights: NDArray[Any] | None) -> float:
            matrix = counts(weights)
            right, support, answered = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
            if (support > 0).sum() < 2:
                return math.nan
            values = hits(right, support, answered)
            if over == "weighted":
                return float(values @ support / support.sum())
            if over == "positive" and scored.positive is not None:
                return float(values[scored.positive])
            return float(values[(support > 0) | (answered > 0)].mean())

        return metric

    return make


def _f1(right: NDArray[Any], support: NDArray[Any], answered: NDArray[Any]) -> NDArray[Any]:
    return _share(2 * right, support + answered)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    share = np.zeros_like(part)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _log_loss(scored: Scored) -> Scorer:
    import numpy as np

    of_truth = scored.answers[np.arange(scored.truth.size), scored.truth]
    smallest = np.finfo("float64").eps
    return _mean_of(-np.log(np.clip(of_truth, smallest, 1 - smallest)))


def _brier(scored: Scored) -> Scorer:
    import numpy as np

    if scored.positive is not None:
        return _mean_of((scored.answers[:, scored.positive] - (scored.truth == scored.positive)) ** 2)
    return _mean_of(((scored.answers - np.eye(scored.classes)[scored.truth]) ** 2).sum(axis=1))


def _mean_of(values: NDArray[Any]) -> Scorer:
    def mean(weights: NDArray[Any] | None) -> float:
        return (
            float(values.mean()) if weights is None else _ratio(float(weights @ values), float(weights.sum()))
        )

    return mean


def _rmse(scored: Scored) -> Scorer:
    squared = _mean_of((scored.truth - scored.answers) ** 2)
    return lambda weights: math.sqrt(squared(weights))


def _mae(scored: Scored) -> Scorer:
    return _mean_of(abs(scored.truth - scored.answers))


def _r2(scored: Scored) -> Scorer:
    import numpy as np

    centred = scored.truth - scored.truth.mean()
    squared = (scored.truth - scored.answers) ** 2

    def r2(weights: NDArray[Any] | None) -> float:
        weight = np.ones(centred.size) if weights is None else weights
        total = weight @ centred**2 - (weight @ centred) ** 2 / weight.sum()
        return math.nan if total <= 1e-12 * (weight @ centred**2) else float(1 - weight @ squared / total)

    return r2


BUILT_IN: dict[str, Callable[[Scored], Scorer]] = {
    "roc_auc": lambda scored: _binary(scored, weighted_auc),
    "average_precision": lambda scored: _binary(scored, weighted_average_precision),
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _by_class(_f1),
    "f1_macro": _by_class(_f1, "macro"),
    "f1_weighted": _by_class(_f1, "weighted"),
    "precision": _by_class(lambda right, support, answered: _share(right, answered)),
    "recall": _by_class(lambda right, support, answered: _share(right, support)),
    "log_loss": _log_loss,
    "brier": _brier,
    "r2": _r2,
    "rmse": _rmse,
    "mae": _mae,
}
