"""Cross-validation on training rows, and the random search over it."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from windsock.exceptions import TrainingRefusedError
from windsock.records import CrossValidation, InputSchema
from windsock.spec import SEED, SearchBlock
from windsock.statistics.metrics import direction, score
from windsock.training.fitting import answer, fit
from windsock.training.folds import Folds
from windsock.training.target import universe_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRows:
    """What every fit of one training has in common.

    :param features: shape (rows, features): the pipeline's input.
    :param labels: shape (rows,): the target.
    :param schema: classes and their order.
    :param folds: how the rows are split.
    :param metric: what is scored.
    """

    features: pd.DataFrame
    labels: NDArray[Any]
    schema: InputSchema
    folds: Folds
    metric: str


def score_on(pipeline: Pipeline, rows: TrainingRows, features: pd.DataFrame, labels: NDArray[Any]) -> float:
    """Return a fitted pipeline's metric on some rows; NaN where they do not define it."""
    known = pipeline.classes_.tolist() if rows.schema.classes else ()
    universe = universe_of(rows.schema, labels)
    return score(rows.metric, universe.score(labels, answer(pipeline, features), known))


def cross_validate(make: Callable[[pd.DataFrame], Pipeline], rows: TrainingRows) -> CrossValidation:
    """Fit on each fold's rows, score on the others.

    :param make: returns the unfitted pipeline for a fold's rows.
    :raises TrainingRefusedError: if a fit fails, or a fold does not define the metric.
    """
    scores = []
    for number, (inside, outside) in enumerate(rows.folds.pairs, start=1):
        pipeline = fit(make, rows.features.iloc[inside], rows.labels[inside])
        value = score_on(pipeline, rows, rows.features.iloc[outside], rows.labels[outside])
        if not math.isfinite(value):
            raise TrainingRefusedError(
                f"{rows.metric} is not defined on fold {number} ({len(outside):,} rows)",
                code="WS-TRAINING-012",
                next_action="Bring more rows, or choose another `training.metric`.",
            )
        scores.append(value)
    return CrossValidation(
        metric=rows.metric, mean=statistics.fmean(scores), sd=statistics.stdev(scores), folds=tuple(scores)
    )


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One set of parameters that a search tried.

    :param params: what differs from the candidate as it is written.
    :param result: its scores; ``None`` if it failed.
    :param error: why it failed.
    """

    number: int
    params: Mapping[str, Any] = field(default_factory=dict)
    result: CrossValidation | None = None
    error: str = ""


def search(
    make: Callable[[Mapping[str, Any], pd.DataFrame], Pipeline],
    space: Mapping[str, Any],
    block: SearchBlock | None,
    rows: TrainingRows,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Trial, ...]:
    """Cross-validate the candidate as it is written and then, with a search block, random parameters.

    It ends at the number of trials or, between two trials, when the minutes are over.

    :param make: returns the unfitted pipeline for a trial's parameters and a fold's rows.
    :param space: for each parameter a list or a distribution to draw from.
    :param clock: seconds that never go back.
    :raises TrainingRefusedError: if every trial fails; the first one's reason is given.
    """
    begun = clock()
    trials: list[Trial] = []
    for params in _draws(space, block):
        if block and trials and clock() - begun >= block.minutes * 60:
            break
        trials.append(_try(make, params, rows, number=len(trials) + 1, alone=block is None))
    if not any(trial.result for trial in trials):
        raise TrainingRefusedError(
            f"all {len(trials)} trials of the search failed; the first: {trials[0].error}",
            code="WS-TRAINING-013",
        )
    return tuple(trials)


def _draws(space: Mapping[str, Any], block: SearchBlock | None) -> list[dict[str, Any]]:
    from sklearn.model_selection import ParameterSampler

    if block is None or not space:
        return [{}]
    more = block.trials - 1
    drawn = ParameterSampler(space, n_iter=more, random_state=SEED) if more else []
    return [{}, *({name: _plain(value) for name, value in draw.items()} for draw in drawn)]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _try(
    make: Callable[[Mapping[str, Any], pd.DataFrame], Pipeline],
    params: Mapping[str, Any],
    rows: TrainingRows,
    *,
    number: int,
    alone: bool,
) -> Trial:
    try:
        return Trial(number=number, params=params, result=cross_validate(partial(make, params), rows))
    except TrainingRefusedError as error:
        if alone:
            raise
        return Trial(number=number, params=params, error=f"{error.code}: {error.message}")


def best_of(trials: tuple[Trial, ...]) -> tuple[Trial, CrossValidation]:
    """Return the trial with the best mean and its scores; of equals, the first."""
    done = [(trial, trial.result) for trial in trials if trial.result]
    return max(done, key=lambda pair: direction(pair[1].metric) * pair[1].mean)
