"""What labels and estimates say about a model's answers, as metrics of the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.records import (
    Answer,
    InputSchema,
    MetricValue,
    ReferencePerformance,
)
from windsock.records.values import LARGEST
from windsock.spec import ModelSpec
from windsock.spec.registries import OF_ANSWERS
from windsock.statistics.estimates import PREDICTION, apply_error_tree, cbpe, error_metrics
from windsock.statistics.labels import read_outcomes
from windsock.statistics.metrics import Scored, make_scorer, metric_names
from windsock.statistics.units import Units, units_of
from windsock.statistics.verdict_intervals import METHODS, measure, measure_by, row_variance

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from windsock.statistics.metrics import Scorer

FEWEST = 30
"""On fewer rows no interval is given, so that nothing can pass or fail by it."""


class Usable(NamedTuple):
    """Labelled rows that a metric can be computed on.

    :param units: which of them are of the same unit of the log, and so say less than as many others.
    """

    scored: Scored
    units: Units


@dataclass(frozen=True, kw_only=True)
class Realised:
    """Metrics on labelled rows.

    :param metrics: with intervals where there are rows enough.
    :param undefined: metrics that these rows do not define, such as with one class only; not a fault.
    :param findings: what was left out, counted.
    :param usable: the rows that each is of.
    """

    metrics: tuple[MetricValue, ...] = ()
    undefined: frozenset[str] = frozenset()
    findings: tuple[str, ...] = ()
    usable: Mapping[str, Usable] = field(default_factory=dict, repr=False)

    def metric(self, name: str) -> MetricValue | None:
        """Return a metric by name, or ``None``."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    def variance(self, name: str) -> float | None:
        """Return a metric's variance on one row by its standard error; ``None`` where it has none."""
        return row_variance(name, *self.usable[name]) if name in self.usable else None


def read_labels(frame: pd.DataFrame, schema: InputSchema) -> tuple[pd.DataFrame, int]:
    """Return rows with a column ``label``: the outcome as a class or a number of the model.

    :param frame: as :class:`~windsock.ports.LabelledRows` has it.
    :returns: the rows, and how many outcomes are no such thing.
    """
    import pandas as pd

    labels, foreign = read_outcomes(frame["outcome"].tolist(), schema)
    column = pd.Series(labels, index=frame.index, dtype=object)
    return frame.assign(label=column), foreign


def realised_metrics(labelled: pd.DataFrame, schema: InputSchema, spec: ModelSpec) -> Realised:
    """Compute the metrics of the registry on labelled rows.

    Rows whose answer is missing, or is none of the model's classes, are left out and counted. With more than
    two classes the log has no probabilities, so metrics that need them are left out, which is said.

    :param labelled: rows with ``label`` (never missing), ``prediction``, ``score`` and ``unit``.
    """
    if labelled.empty:
        return Realised()
    usable, findings = _usable(labelled, schema, spec)
    metrics, undefined = _metrics(usable)
    return Realised(metrics=metrics, undefined=undefined, findings=findings, usable=usable)


def metric_value(
    name: str, labelled: pd.DataFrame, schema: InputSchema, spec: ModelSpec
) -> tuple[float | None, int]:
    """Return one metric on labelled rows, without an interval, and the rows that it is on.

    :returns: ``None`` where the rows do not define it.
    """
    rows = None if labelled.empty else _usable(labelled, schema, spec)[0].get(name)
    if rows is None or not rows.scored.truth.size:
        return None, 0
    value = _guarded(name, rows.scored)(None)
    return (value if math.isfinite(value) else None), int(rows.scored.truth.size)


def _usable(
    labelled: pd.DataFrame, schema: InputSchema, spec: ModelSpec
) -> tuple[dict[str, Usable], tuple[str, ...]]:
    """Return what each metric is computed on, and what was left out."""
    if schema.answer is Answer.NUMBER:
        return _of_numbers(labelled, spec)
    return _of_classes(labelled, schema, spec)


def _of_numbers(labelled: pd.DataFrame, spec: ModelSpec) -> tuple[dict[str, Usable], tuple[str, ...]]:
    import numpy as np

    answers = labelled["score"].to_numpy(dtype="float64", na_value=math.nan)
    usable = np.abs(answers) <= LARGEST
    truth = labelled["label"].to_numpy(dtype="float64")[usable]
    scored = Scored(truth=truth, answers=answers[usable])
    findings = _left_out(int((~usable).sum()), "no usable number as its answer")
    units = _units(labelled).part(usable)
    return dict.fromkeys(metric_names(spec), Usable(scored, units)), findings


def _units(labelled: pd.DataFrame) -> Units:
    """Return which rows are of the same unit of the log; a row without one is a unit of its own."""
    return units_of(labelled["unit"], len(labelled))


def _of_classes(
    labelled: pd.DataFrame, schema: InputSchema, spec: ModelSpec
) -> tuple[dict[str, Usable], tuple[str, ...]]:
    import numpy as np

    place = {label: code for code, label in enumerate(schema.classes)}
    predictions, _ = read_outcomes(labelled["prediction"].tolist(), schema)
    predicted = np.array([-1 if one is None else place[one] for one in predictions], dtype=np.int64)
    truth = np.array([place[label] for label in labelled["label"]], dtype=np.int64)
    findings = list(_left_out(int((predicted < 0).sum()), "an answer that is none of the model's classes"))
    known = predicted >= 0
    truth, predicted, units = truth[known], predicted[known], _units(labelled).part(known)
    positive = None if schema.positive is None else place[schema.positive]
    by_answers = Scored(
        truth=truth,
        answers=np.zeros((truth.size, 0)),
        classes=len(schema.classes),
        positive=positive,
        predicted=predicted,
        trained=len(schema.classes),
    )
    names = metric_names(spec)
    found = {name: Usable(by_answers, units) for name in names if name in OF_ANSWERS}
    rest = [name for name in names if name not in OF_ANSWERS]
    if positive is None:
        if rest:
            findings.append(
                f"{', '.join(rest)}: the prediction log has no probabilities of more than two classes"
            )
        return found, tuple(findings)
    scores = labelled["score"].to_numpy(dtype="float64", na_value=math.nan)[known]
    usable = np.abs(scores) <= LARGEST
    findings += _left_out(int((~usable).sum()), "no score")
    by_scores = Scored(
        truth=truth[usable],
        answers=_two_columns(scores[usable], positive),
        classes=2,
        positive=positive,
        predicted=predicted[usable],
        trained=2,
    )
    found |= dict.fromkeys(rest, Usable(by_scores, units.part(usable)))
    return {name: found[name] for name in names}, tuple(findings)


def _left_out(rows: int, why: str) -> tuple[str, ...]:
    return (f"{rows:,} labelled rows have {why}",) if rows else ()


def _two_columns(scores: NDArray[Any], positive: int) -> NDArray[Any]:
    import numpy as np

    pair = (1 - scores, scores) if positive == 1 else (scores, 1 - scores)
    return np.column_stack(pair)


def _metrics(usable: Mapping[str, Usable]) -> tuple[tuple[MetricValue, ...], frozenset[str]]:
    """Compute metrics, each on its rows, with intervals where there are rows enough."""
    metrics = tuple(_metric(name, rows) for name, rows in usable.items())
    undefined = {one.name for one in metrics if one.on_rows and one.value is None}
    return metrics, frozenset(undefined)


def _metric(name: str, rows: Usable) -> MetricValue:
    scored, size = rows.scored, int(rows.scored.truth.size)
    found = measure(name, *rows) if name in METHODS else measure_by(name, *rows, _guarded(name, scored))
    few = size < FEWEST and found.interval is not None
    return found.replace(interval=None, reason=f"{size} rows, at least {FEWEST} needed") if few else found


def _guarded(name: str, rows: Scored) -> Scorer:
    """Return a scorer of which an exception is NaN: metrics of other packages may raise."""
    try:
        scorer = make_scorer(name, rows) if rows.truth.size else None
    except (ValueError, TypeError, ArithmeticError, IndexError):
        scorer = None

    def score(weights: NDArray[Any] | None) -> float:
        if scorer is None:
            return math.nan
        try:
            return float(scorer(weights))
        except (ValueError, TypeError, ArithmeticError, IndexError):
            return math.nan

    return score


def estimated_metrics(
    rows: pd.DataFrame, schema: InputSchema, spec: ModelSpec, reference: ReferencePerformance
) -> tuple[MetricValue, ...]:
    """Estimate metrics on answered rows, labelled or not.

    Two classes: confidence-based performance estimation by the reference's calibration. Numbers: the
    reference's error tree. More classes, or a reference with neither: nothing.

    :param rows: answers with ``score`` and ``prediction``; for numbers also the inputs of the error tree, NaN
        where missing.
    """
    import numpy as np

    if rows.empty:
        return ()
    scores = rows["score"].to_numpy(dtype="float64", na_value=math.nan)
    usable = np.abs(scores) <= LARGEST
    found: dict[str, float] = {}
    if schema.answer is Answer.NUMBER and reference.errors is not None:
        given = {name: rows[name] for name in reference.errors.inputs if name != PREDICTION}
        inputs = {
            name: values.to_numpy(dtype="float64", na_value=math.nan)[usable]
            for name, values in given.items()
        }
        found = error_metrics(*apply_error_tree(reference.errors, {**inputs, PREDICTION: scores[usable]}))
    elif schema.positive is not None and reference.calibration is not None:
        predictions, _ = read_outcomes(rows["prediction"].tolist(), schema)
        predicted = np.array([one == schema.positive for one in predictions], dtype=bool)
        names = metric_names(spec)
        found = cbpe(reference.calibration, scores[usable], predicted[usable], names=names)
    rows_used = int(usable.sum())
    return tuple(
        MetricValue(name=name, value=value, n=rows_used)
        for name, value in found.items()
        if math.isfinite(value)
    )
