"""Held-out rows answered by several models, and their metrics on the same resamples."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.exceptions import DataRefusedError, TrainingRefusedError
from windsock.ports import LoadedBundle
from windsock.records import Answer, DataSnapshot, InputSchema, MetricValue, PairedDifference, Status
from windsock.statistics.bootstrap import RESAMPLES, interval_of, paired_difference, resample
from windsock.statistics.metrics import Scored, make_scorer
from windsock.training.champion_rows import Understood, understood_rows
from windsock.training.champion_words import in_champion_words, require_same_classes
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features
from windsock.training.target import Label, Universe, universe_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from windsock.statistics.metrics import Scorer

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
) -> Judgement:
    """Score the chosen model on held-out rows, with intervals, alone and against its opponents.

    :param schema: the chosen model's schema.
    :param labels: the truth, shape (rows,).
    :param champion: the champion's answers, why there are none, or ``None`` without a champion.
    :param names: metrics to report.
    :param metric: the one to compare by.
    """
    known = [one.classes for one in (champion,) if isinstance(one, Answered)]
    universe = universe_of(schema, labels, *known)
    scored = _score(universe, labels, ours)
    scorers = {name: make_scorer(name, scored) for name in names}
    opponents = {"baseline": make_scorer(metric, _score(universe, labels, baseline))}
    if isinstance(champion, Answered) and champion.understood.rows is None:
        opponents["champion"] = make_scorer(metric, _score(universe, labels, champion))
    drawn = resample({**scorers, **{f"{name}:": scorer for name, scorer in opponents.items()}}, len(labels))

    def against(opponent: str) -> PairedDifference:
        return paired_difference(
            metric,
            opponent,
            ours=scorers[metric],
            theirs=opponents[opponent],
            our_values=drawn[metric],
            their_values=drawn[f"{opponent}:"],
            rows=len(labels),
        )

    return Judgement(
        metrics=metric_values(scorers, drawn, len(labels)),
        baseline=against("baseline"),
        against_champion=against("champion")
        if "champion" in opponents
        else _without_all_rows(universe, labels, ours, champion, metric),
        scored=scored,
        classes=universe.classes,
    )


def _without_all_rows(
    universe: Universe, labels: NDArray[Any], ours: Answered, champion: Answered | str | None, metric: str
) -> PairedDifference | None:
    """Compare both on the very rows that the champion understands, by resamples of these, or say why not."""
    if not isinstance(champion, Answered):
        return _unusable(champion, metric, len(labels))
    rows = champion.understood.rows
    truth = labels[rows]
    scorers = {
        name: make_scorer(metric, _score(universe, truth, one.on(rows)))
        for name, one in (("ours", ours), ("theirs", champion))
    }
    drawn = resample(scorers, len(truth))
    difference = paired_difference(
        metric,
        "champion",
        ours=scorers["ours"],
        theirs=scorers["theirs"],
        our_values=drawn["ours"],
        their_values=drawn["theirs"],
        rows=len(truth),
    )
    return difference.replace(note=champion.understood.note)


def metrics_of(
    schema: InputSchema, labels: NDArray[Any], ours: Answered, names: Sequence[str]
) -> tuple[MetricValue, ...]:
    """Score a model alone, with intervals.

    :param schema: its schema.
    :param labels: the truth, shape (rows,).
    """
    scored = _score(universe_of(schema, labels), labels, ours)
    scorers = {name: make_scorer(name, scored) for name in names}
    return metric_values(scorers, resample(scorers, len(labels)), len(labels))


def _score(universe: Universe, labels: NDArray[Any], answered: Answered) -> Scored:
    return universe.score(labels, answered.answers, answered.classes)


def metric_values(
    scorers: Mapping[str, Scorer], drawn: Mapping[str, NDArray[Any]], rows: int
) -> tuple[MetricValue, ...]:
    """Return metrics with their intervals; one that the rows do not define has no value but an error.

    :param drawn: the metrics on resamples of the rows.
    :param rows: number of rows.
    """
    values = []
    for name, scorer in scorers.items():
        value = scorer(None)
        if math.isfinite(value):
            values.append(MetricValue(name=name, value=value, n=rows, interval=interval_of(drawn[name])))
        else:
            values.append(MetricValue(name=name, value=None, n=rows, status=Status.ERROR))
    return tuple(values)


def _unusable(champion: str | None, metric: str, rows: int) -> PairedDifference | None:
    if champion is None:
        return None
    return PairedDifference(
        metric=metric,
        opponent="champion",
        value=None,
        interval=None,
        n=rows,
        resamples=RESAMPLES,
        error=champion,
    )
