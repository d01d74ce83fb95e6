"""Which interval each metric has: one table, for a model alone and against another on the same rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.records import MetricValue, PairedDifference, Status
from windsock.statistics import areas, losses, shares
from windsock.statistics.found import Found
from windsock.statistics.metrics import Scored, answered_classes, direction, make_scorer
from windsock.statistics.resampling import resampled, resampled_difference
from windsock.statistics.units import Units, standard_error

if TYPE_CHECKING:
    from windsock.statistics.metrics import Scorer


class Method(NamedTuple):
    """How a metric has its intervals.

    :param of: takes the metric apart on some rows; ``None`` where these do not define it.
    :param found: the interval of one model.
    :param compared: the interval of a difference, ours minus theirs times a sign.
    :param proportion: whether it is one share of counts, with an exact interval.
    """

    of: Callable[[Scored], Any]
    found: Callable[[Any, Units], Found]
    compared: Callable[[Any, Any, Units, float], Found]
    proportion: bool = False


def _shares(of: shares.SharesOf, *, proportion: bool = False) -> Method:
    return Method(of, shares.shares_found, _rising(shares.shares_compared), proportion)


def _rising(compare: Callable[[Any, Any, Units], Found]) -> Callable[[Any, Any, Units, float], Found]:
    """Return a comparison of a metric of which more is better."""
    return lambda ours, theirs, units, sign: compare(ours, theirs, units)


def _areas(of: Callable[[Scored], areas.Areas | None]) -> Method:
    return Method(of, areas.areas_found, _rising(areas.areas_compared))


def _loss(of: Callable[[Scored], losses.Loss | None]) -> Method:
    def compared(ours: losses.Loss, theirs: losses.Loss, units: Units, sign: float) -> Found:
        return losses.loss_compared(ours, theirs, units, sign=sign)

    return Method(of, losses.loss_found, compared)


METHODS: Mapping[str, Method] = {
    "accuracy": _shares(shares.accuracy, proportion=True),
    "recall": _shares(shares.recall, proportion=True),
    "precision": _shares(shares.precision, proportion=True),
    "f1": _shares(shares.f1),
    "f1_macro": _shares(shares.f1_macro),
    "f1_weighted": _shares(shares.f1_weighted),
    "balanced_accuracy": _shares(shares.balanced_accuracy),
    "roc_auc": _areas(areas.roc_areas),
    "average_precision": _areas(areas.precision_areas),
    "log_loss": _loss(losses.log_loss),
    "brier": _loss(losses.brier),
    "mae": _loss(losses.mae),
    "rmse": _loss(losses.rmse),
    "r2": _loss(losses.r2),
}
"""Every built-in metric; one of another package is resampled."""

OVER_CLASSES = (
    "recall",
    "precision",
    "f1",
    "f1_macro",
    "f1_weighted",
    "balanced_accuracy",
    "roc_auc",
    "average_precision",
)
"""Metrics that are a mean over classes where there are more than two.

Their value is a mean over the classes that occur in the rows, which says nothing of one that does not. With
two classes they are of the positive one, and too few of either are said to be so.
"""
OF_ROWS = ("accuracy",)
"""The share of right rows: it is bounded, so its exact interval allows for rows that were not seen.

The losses of a class that has no row are not: a mean loss on the others proves nothing of all. What a metric
of another package makes of such rows is not known.
"""


def _absent_classes(name: str, scored: Scored) -> str:
    """Return why a metric of classes proves nothing here; empty where each class of training occurs."""
    if name in OF_ROWS or (name in OVER_CLASSES and scored.trained <= 2):
        return ""
    absent = len(set(range(scored.trained)).difference(scored.truth.tolist()))
    return f"{absent:,} of {scored.trained:,} classes have no row here" if absent else ""


def measure(name: str, scored: Scored, units: Units) -> MetricValue:
    """Return a metric on rows with its interval and the number that carries it.

    :param name: of the metric registry.
    :param units: what the rows are of.
    :returns: without a value where the rows do not define it.
    """
    return measure_by(name, scored, units, make_scorer(name, scored) if scored.truth.size else None)


def measure_by(name: str, scored: Scored, units: Units, scorer: Scorer | None) -> MetricValue:
    """Return a metric as :func:`measure` does, by a scorer of these rows that is there already.

    :param scorer: ``None``: the rows do not define it.
    """
    rows = int(scored.truth.size)
    value = scorer(None) if scorer and rows else math.nan
    if scorer is None or not math.isfinite(value):
        return MetricValue(name=name, value=None, n=rows, rows=rows, status=Status.ERROR)
    found = _found(name, scored, units, scorer)
    return MetricValue(
        name=name,
        value=value,
        n=found.n,
        unit=found.unit,
        rows=rows,
        interval=found.interval,
        reason=found.reason,
    )


def _found(name: str, scored: Scored, units: Units, scorer: Scorer) -> Found:
    if absent := _absent_classes(name, scored):
        return Found(None, int(scored.truth.size), reason=absent)
    if name not in METHODS:
        return resampled(scorer, units)
    taken = METHODS[name].of(scored)
    return METHODS[name].found(taken, units) if taken is not None else Found(None, int(scored.truth.size))


def row_variance(name: str, scored: Scored, units: Units) -> float | None:
    """Return a built-in metric's variance on one row by its standard error alone, without width at an edge.

    :returns: ``None`` where the rows do not define it, and of a metric of another package.
    """
    taken = METHODS[name].of(scored) if name in METHODS and scored.truth.size else None
    if taken is None:
        return None
    of_loss = isinstance(taken, losses.Loss)
    influence = taken.slope * taken.influence if of_loss else taken.influence()
    variance = int(scored.truth.size) * standard_error(influence, units) ** 2
    return variance if 0 < variance < math.inf else None


def measure_all(names: Any, scored: Scored, units: Units) -> tuple[MetricValue, ...]:
    """Return several metrics on the same rows."""
    known = with_answers(scored)
    return tuple(measure(name, known, units) for name in names)


def with_answers(scored: Scored) -> Scored:
    """Return the rows with the classes that were answered, found once."""
    if not scored.classes or scored.predicted is not None:
        return scored
    return dataclasses.replace(scored, predicted=answered_classes(scored))


def compare_models(
    metric: str, opponent: str, *, ours: Scored, theirs: Scored, units: Units
) -> PairedDifference:
    """Return how much better we are than an opponent on the same rows, with the paired interval.

    :param opponent: ``champion`` or ``baseline``.
    """
    sign, rows = direction(metric), int(ours.truth.size)
    ours, theirs = with_answers(ours), with_answers(theirs)
    our_scorer, their_scorer = make_scorer(metric, ours), make_scorer(metric, theirs)
    our_value, their_value = our_scorer(None), their_scorer(None)
    defined = math.isfinite(our_value) and math.isfinite(their_value)
    if not defined:
        found = Found(None, rows)
    elif absent := _absent_classes(metric, ours):
        found = Found(None, rows, reason=absent)
    elif metric in METHODS:
        method = METHODS[metric]
        found = method.compared(method.of(ours), method.of(theirs), units, sign)
    else:
        found = resampled_difference(our_scorer, their_scorer, units, sign)
    return PairedDifference(
        metric=metric,
        opponent=opponent,
        value=sign * (our_value - their_value) if defined else None,
        interval=found.interval,
        n=found.n,
        unit=found.unit,
        rows=rows,
        reason=found.reason,
        opponent_value=their_value if math.isfinite(their_value) else None,
        error="" if defined else f"{metric} is not defined on the {rows} held-out rows",
    )
