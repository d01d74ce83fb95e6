"""Whether a model is wrong more often on some weekdays or hours, by rows that it was not fitted on."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from windsock.exceptions import TrainingRefusedError
from windsock.records import InputSchema
from windsock.records.profile import LossSeason
from windsock.records.seasons import UTC_ZONE
from windsock.spec import ModelSpec, parse_duration
from windsock.spec.monitoring import EPOCH
from windsock.statistics.metrics import Scored, score
from windsock.statistics.season_finding import LEAST_TIME, units_of
from windsock.statistics.seasons import LENGTHS, PARTS, cycle_of, holds_whole_periods, parts_of
from windsock.statistics.unit_tables import FEWEST_ROWS
from windsock.statistics.variability import FEWEST_UNITS, values_differ_by_part
from windsock.training.fitting import answer, fit
from windsock.training.target import universe_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

FOLDS = 3
"""Of days (or hours): no divisor of seven or a multiple of it, so each fold has every weekday."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHOWN = 3


def find_loss_seasons(
    pipeline: Pipeline,
    schema: InputSchema,
    features: pd.DataFrame,
    labels: NDArray[Any],
    times: NDArray[Any],
    held_out: NDArray[Any],
    judged: NDArray[Any],
    spec: ModelSpec,
) -> tuple[LossSeason, ...]:
    """Return how the judged metric differs by weekday or hour beyond chance; empty: not at all.

    Looked for only where the look-back of performance holds no whole weeks (of one shorter than a day: no
    whole days), for it costs three fits: held-out days alone are too few of each weekday.

    :param features: of dated rows, in the order of their times.
    :param times: ``datetime64[us]`` in UTC.
    :param held_out: which rows the pipeline was not fitted on.
    :param judged: those of them that the baseline is of.
    """
    import numpy as np

    lookback = parse_duration(spec.monitoring.performance.window)
    cycle = cycle_of(lookback)
    length, zone = LENGTHS[cycle], spec.monitoring.timezone
    if holds_whole_periods(lookback) or times.max() - times.min() < np.timedelta64(
        LEAST_TIME[cycle] - length
    ):
        return ()
    unit, part = units_of(times, length, EPOCH), parts_of(times, cycle, zone)
    try:
        scored, told = _not_fitted_on(pipeline, schema, features, labels, unit, held_out)
    except TrainingRefusedError:
        return ()
    values, parts = [], []
    for number in np.unique(unit[told]):
        mask = told & (unit == number)
        value = _score(spec.metric, scored, mask) if mask.sum() >= FEWEST_ROWS else math.nan
        if math.isfinite(value):
            values.append(value)
            parts.append(int(part[mask][0]))
    known = [place for place in sorted(set(parts)) if parts.count(place) >= FEWEST_UNITS]
    used = [(value, place) for value, place in zip(values, parts, strict=True) if place in known]
    if len(known) < 2 or not values_differ_by_part([one for one, _ in used], [one for _, one in used]):
        return ()
    pooled = {place: _score(spec.metric, scored, told & (part == place)) for place in known}
    rows = np.bincount(part[told], minlength=PARTS[cycle])
    mean = float(np.average(list(pooled.values()), weights=rows[known]))
    found = LossSeason(
        metric=spec.metric,
        cycle=cycle,
        parts=tuple(pooled[place] - mean if place in pooled else None for place in range(PARTS[cycle])),
        rows=tuple(rows.tolist()),
        reference=tuple(np.bincount(part[judged], minlength=PARTS[cycle]).tolist()),
        zone=zone if cycle == "day" else UTC_ZONE,
    )
    return (found,)


def _not_fitted_on(
    pipeline: Pipeline,
    schema: InputSchema,
    features: pd.DataFrame,
    labels: NDArray[Any],
    unit: NDArray[Any],
    held_out: NDArray[Any],
) -> tuple[Scored, NDArray[Any]]:
    """Return the answers of pipelines that were fitted on other days, and which rows have one."""
    import numpy as np
    from sklearn.base import clone

    universe = universe_of(schema, labels)
    told = np.zeros(len(labels), dtype=bool)
    scored: Scored | None = None

    def put(model: Pipeline, rows: NDArray[Any]) -> None:
        nonlocal scored
        if not rows.any():
            return
        known = model.classes_.tolist() if schema.classes else ()
        made = universe.score(labels[rows], answer(model, features[rows]), known)
        if scored is None:
            truth = universe.score(labels, np.zeros((len(labels), len(known))), known) if known else None
            empty = np.zeros((len(labels), *made.answers.shape[1:]))
            scored = dataclasses.replace(truth or Scored(truth=labels, answers=empty), answers=empty)
        scored.answers[rows] = made.answers
        told[rows] = True

    put(pipeline, held_out)
    for number in range(FOLDS):
        inside, outside = ~held_out & (unit % FOLDS != number), ~held_out & (unit % FOLDS == number)
        if inside.any():
            put(fit(lambda _: clone(pipeline), features[inside], labels[inside]), outside)
    if scored is None:
        raise TrainingRefusedError("no row that was not fitted on", code="WS-TRAINING-008")
    return scored, told


def _score(name: str, scored: Scored, mask: NDArray[Any]) -> float:
    """Return a metric on some rows; NaN where they do not define it."""
    part = dataclasses.replace(scored, truth=scored.truth[mask], answers=scored.answers[mask])
    try:
        return score(name, part)
    except (ValueError, TypeError, ArithmeticError, IndexError):
        return math.nan


def loss_sentences(seasons: tuple[LossSeason, ...], window: str) -> tuple[str, ...]:
    """Return what people should know about a look-back that holds no whole periods."""
    told = []
    for one in seasons:
        known = sorted((abs(off), place, off) for place, off in enumerate(one.parts) if off is not None)
        far = [f"{_named(one.cycle, place)} {off:+.2g}" for _, place, off in reversed(known[-SHOWN:])]
        by, whole = ("weekday", "weeks") if one.cycle == "week" else (f"hour of the day ({one.zone})", "days")
        told.append(
            f"{one.metric} differs by {by} on rows that the model was not fitted on ({', '.join(far)}), and "
            f"a look-back of {window} holds no whole {whole}: its baseline is lower where that is worse; set "
            "`monitoring.performance.window: 7d`"
        )
    return tuple(told)


def _named(cycle: str, place: int) -> str:
    return DAYS[place] if cycle == "week" else f"{place:02d}:00"
