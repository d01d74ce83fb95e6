"""Held-out rows answered by several models, and their metrics on the same rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.exceptions import DataRefusedError, TrainingRefusedError
from windsock.ports import LoadedBundle
from windsock.records import Answer, DataSnapshot, InputSchema, Interval, MetricValue, PairedDifference
from windsock.statistics.metrics import Scored, score
from windsock.statistics.proportions import LEVEL
from windsock.statistics.units import Units
from windsock.statistics.verdict_intervals import compare_models, measure_all
from windsock.training.champion_rows import Understood, understood_rows
from windsock.training.champion_words import in_champion_words, require_same_classes
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features
from windsock.training.target import Label, Universe, universe_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answered:
    """A model's answers on the held-out rows.

    :param answers: shape (rows, classes) or (rows,).
    :param classes: the model's classes, in the order of its answers.
    :param understood: of a champion: the rows that it is compared on.
    """

    answers: NDArray[Any]
    classes: tuple[Label, ...] = ()
    understood: Understood = Understood()

    def on(self, rows: NDArray[Any] | None) -> Answered:
        """Return the answers on some of the rows."""
        return Answered(answers=self.answers[rows], classes=self.classes)


def answered_by(bundle: LoadedBundle, rows: pd.DataFrame) -> Answered:
    """Return a bundle's answers on rows of a snapshot, restricted to the fields of its own schema."""
    features = to_features(rows, bundle.schema.fields)
    return Answered(answers=answer(bundle.pipeline, features), classes=bundle.schema.classes)


def answered_by_champion(
    bundle: LoadedBundle,
    rows: pd.DataFrame,
    truth: NDArray[Any],
    schema: InputSchema,
    snapshot: DataSnapshot,
    target: str,
) -> Answered | str:
    """Return the champion's answers on the challenger's held-out rows, or why there are none.

    It is asked in its own words: a column is handed over as the champion would have read it from its source.
    Rows with words that it never saw are not compared.

    :param truth: the rows' labels.
    :param schema: the challenger's schema, for what both must answer.
    :param snapshot: what the rows' columns are.
    :param target: name of the target.
    """
    theirs = bundle.schema
    if theirs.answer is not schema.answer:
        return f"the champion answers with a {theirs.answer.value}, this model with a {schema.answer.value}"
    try:
        require_same_classes(truth, theirs, schema, snapshot.column(target))
        if schema.positive is not None and schema.positive not in theirs.classes:
            return "the champion does not know this model's positive class"
        known = in_champion_words(rows, bundle, snapshot)
        understood = understood_rows(known, bundle, truth)
        return replace(answered_by(bundle, known), understood=understood)
    except (DataRefusedError, TrainingRefusedError) as error:
        log.warning("%s: %s", error.code, error.message)
        return f"the champion cannot answer these rows: {error.message}. {error.next_action}"
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError) as error:
        return f"the champion cannot answer these rows: {type(error).__name__}"


def answered_by_baseline(labels: NDArray[Any], rows: int, schema: InputSchema) -> Answered:
    """Return the answers of a model that knows nothing but the training rows' target: shares, or the mean.

    :param labels: targets of the training rows.
    :param rows: number of held-out rows.
    """
    import numpy as np
    from sklearn.dummy import DummyClassifier, DummyRegressor

    nothing = np.zeros((len(labels), 1))
    if schema.answer is Answer.NUMBER:
        return Answered(
            answers=DummyRegressor(strategy="mean").fit(nothing, labels).predict(np.zeros((rows, 1)))
        )
    dummy = DummyClassifier(strategy="prior").fit(nothing, labels)
    return Answered(answers=dummy.predict_proba(np.zeros((rows, 1))), classes=tuple(dummy.classes_.tolist()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """What the held-out rows say.

    :param scored: truth and the chosen model's answers, for pictures.
    :param classes: labels in the order of ``scored``.
    """

    metrics: tuple[MetricValue, ...]
    baseline: PairedDifference
    against_champion: PairedDifference | None
    scored: Scored
    classes: tuple[Label, ...]


def judge(
    schema: InputSchema,
    labels: NDArray[Any],
    *,
    ours: Answered,
    baseline: Answered,
    champion: Answered | str | None,
    names: Sequence[str],
    metric: str,
    units: Units,
) -> Judgement:
    """Score the chosen model on held-out rows, with intervals, alone and against its opponents.

    :param schema: the chosen model's schema.
    :param labels: the truth, shape (rows,).
    :param champion: the champion's answers, why there are none, or ``None`` without a champion; ``ours``
        itself where the champion is the chosen model.
    :param names: metrics to report.
    :param metric: the one to compare by.
    :param units: what the rows are of: each its own, or several of one entity.
    """
    known = [one.classes for one in (champion,) if isinstance(one, Answered)]
    universe = universe_of(schema, labels, *known)
    scored = _score(universe, labels, ours)
    return Judgement(
        metrics=measure_all(names, scored, units),
        baseline=compare_models(
            metric, "baseline", ours=scored, theirs=_score(universe, labels, baseline), units=units
        ),
        against_champion=_against_champion(universe, labels, ours, champion, metric, units),
        scored=scored,
        classes=universe.classes,
    )


def _against_champion(
    universe: Universe,
    labels: NDArray[Any],
    ours: Answered,
    champion: Answered | str | None,
    metric: str,
    units: Units,
) -> PairedDifference | None:
    """Compare both on the very rows that the champion understands, or say why not."""
    if not isinstance(champion, Answered):
        return _unusable(champion, metric, len(labels))
    if champion is ours:
        return _itself(_score(universe, labels, ours), metric)
    rows = champion.understood.rows
    if rows is None:
        return compare_models(
            metric,
            "champion",
            ours=_score(universe, labels, ours),
            theirs=_score(universe, labels, champion),
            units=units,
        )
    difference = compare_models(
        metric,
        "champion",
        ours=_score(universe, labels[rows], ours.on(rows)),
        theirs=_score(universe, labels[rows], champion.on(rows)),
        units=units.part(rows),
    )
    return difference.replace(note=champion.understood.note)


def _itself(scored: Scored, metric: str) -> PairedDifference:
    """Return the difference of a model to itself, which is 0 on all rows there are."""
    value, rows = score(metric, scored), int(scored.truth.size)
    defined = math.isfinite(value)
    return PairedDifference(
        metric=metric,
        opponent="champion",
        value=0.0 if defined else None,
        interval=Interval(low=0.0, high=0.0, level=LEVEL) if defined else None,
        n=rows,
        rows=rows,
        opponent_value=value if defined else None,
        error="" if defined else f"{metric} is not defined on the {rows} held-out rows",
        note="the champion is this very model" if defined else "",
    )


def metrics_of(
    schema: InputSchema, labels: NDArray[Any], ours: Answered, names: Sequence[str], units: Units
) -> tuple[MetricValue, ...]:
    """Score a model alone, with intervals.

    :param schema: its schema.
    :param labels: the truth, shape (rows,).
    :param units: what the rows are of.
    """
    return measure_all(names, _score(universe_of(schema, labels), labels, ours), units)


def _score(universe: Universe, labels: NDArray[Any], answered: Answered) -> Scored:
    return universe.score(labels, answered.answers, answered.classes)


def _unusable(champion: str | None, metric: str, rows: int) -> PairedDifference | None:
    if champion is None:
        return None
    return PairedDifference(
        metric=metric,
        opponent="champion",
        value=None,
        interval=None,
        n=rows,
        rows=rows,
        error=champion,
    )
