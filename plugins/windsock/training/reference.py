"""The monitor's reference: what a version did on its held-out rows, for later performance to be held against.

The calibration and the error tree are fitted on held-out rows. They belong to the monitor: the pipeline that
serves, and the one that is judged, never see them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windsock.exceptions import DataRefusedError, TrainingRefusedError
from windsock.records import (
    Answer,
    ColumnKind,
    ColumnProfile,
    DataSnapshot,
    DriftProfile,
    InputField,
    InputSchema,
    ReferencePerformance,
)
from windsock.records.rows import entities_of
from windsock.records.values import category_text
from windsock.spec import SEED, ModelSpec
from windsock.statistics.estimates import (
    ESTIMATED,
    LEAF_ROWS,
    calibrate,
    chunk_slices,
    fit_error_tree,
    reference_chunks,
)
from windsock.statistics.metrics import Scored, metric_names, score
from windsock.statistics.profiling import describe_column, entity_groups
from windsock.statistics.units import Units, units_of
from windsock.statistics.verdict_intervals import measure_all
from windsock.training.fitting import answer
from windsock.training.importances import importance_shares, measure_importances
from windsock.training.preprocessing import to_features
from windsock.training.target import read_labels, universe_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)

MOST_TREE_ROWS = 20_000
MOST_TREE_FEATURES = 20
ERRORS = ("mae", "rmse")
NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER)


def make_reference(
    pipeline: Pipeline,
    schema: InputSchema,
    profile: DriftProfile,
    rows: pd.DataFrame,
    *,
    judged: pd.DataFrame | None = None,
    snapshot: DataSnapshot,
    spec: ModelSpec,
) -> tuple[DriftProfile, dict[str, Any]]:
    """Complete the profile of the training rows by what a fitted pipeline does on the held-out ones.

    :param profile: the features on the training rows.
    :param rows: the held-out rows that are like the profile's: of these are the scores.
    :param judged: the held-out rows that the model is judged on, where they are others: of these are
        importances, target and performance.
    :returns: the profile with importances, score, target and performance; and the importances as they were
        measured, empty where they could not be.
    """
    if not len(rows):
        log.info("WS-TRAINING-018: no row is held out, so later performance has nothing to be held against")
        return profile, {}
    described = _in_order(rows, spec)
    rows = described if judged is None else _in_order(judged, spec)
    try:
        features, labels, scored = _answered(pipeline, schema, rows, snapshot, spec)
        of_scores = scored if judged is None else _answered(pipeline, schema, described, snapshot, spec)[2]
    except (DataRefusedError, TrainingRefusedError) as error:
        log.info(
            "WS-TRAINING-018: the %s held-out rows say nothing about performance: %s",
            f"{len(rows):,}",
            error.message,
        )
        return profile, {}
    found = measure_importances(pipeline, schema, features, labels, spec.metric)
    shares = importance_shares(found)
    entity = spec.data.entity
    units = units_of(rows[entity] if entity else None, len(rows))
    performance = _performance(spec, schema, scored, features, shares, units)
    groups = entity_groups(entities_of(rows, spec))
    completed = profile.replace(
        columns=tuple(column.replace(importance=shares.get(column.name)) for column in profile.columns),
        score=_describe_score(of_scores, schema, entity_groups(entities_of(described, spec))),
        target=_describe_target(labels, snapshot, spec, groups),
        performance=performance,
    )
    _log_findings(completed, performance, schema)
    return completed, found


def _answered(
    pipeline: Pipeline, schema: InputSchema, rows: pd.DataFrame, snapshot: DataSnapshot, spec: ModelSpec
) -> tuple[pd.DataFrame, NDArray[Any], Scored]:
    """Return the features of rows, their targets, and the pipeline's answers beside these."""
    features, labels = to_features(rows, schema.fields), read_labels(rows, snapshot, spec)
    answers = answer(pipeline, features)
    return features, labels, universe_of(schema, labels).score(labels, answers, schema.classes)


def _in_order(rows: pd.DataFrame, spec: ModelSpec) -> pd.DataFrame:
    """Return rows in the order of their time, or shuffled where they have none: chunks are parts of them."""
    by_time = spec.data.event_time
    ordered = rows.sort_values(by_time, kind="stable") if by_time else rows.sample(frac=1, random_state=SEED)
    return ordered.reset_index(drop=True)


def _performance(
    spec: ModelSpec,
    schema: InputSchema,
    scored: Scored,
    features: pd.DataFrame,
    shares: Mapping[str, float],
    units: Units,
) -> ReferencePerformance:
    rows = len(features)
    realised = measure_all(metric_names(spec), scored, units)
    calibration = errors = None
    names: tuple[str, ...] = ()
    if scored.positive is not None:
        is_positive = scored.truth == scored.positive
        if 0 < is_positive.sum() < rows:
            calibration, names = calibrate(scored.answers[:, scored.positive], is_positive), ESTIMATED
    elif schema.answer is Answer.NUMBER and rows >= LEAF_ROWS:
        errors, names = _fit_errors(scored, features, schema, shares), ERRORS
    chunks = chunk_slices(rows) if names else ()
    by_chunk = [{name: score(name, _part(scored, chunk)) for name in names} for chunk in chunks]
    return ReferencePerformance(
        rows=rows,
        realised=realised,
        calibration=calibration,
        errors=errors,
        estimated=reference_chunks(by_chunk, chunks[0].stop) if chunks else (),
    )


def _part(scored: Scored, chunk: slice) -> Scored:
    return Scored(
        truth=scored.truth[chunk],
        answers=scored.answers[chunk],
        classes=scored.classes,
        positive=scored.positive,
    )


def _fit_errors(
    scored: Scored, features: pd.DataFrame, schema: InputSchema, shares: Mapping[str, float]
) -> Any:
    """Fit the error tree on what the prediction log has in clear: on no feature that is encrypted there."""
    import numpy as np

    kept = np.arange(len(features))
    if kept.size > MOST_TREE_ROWS:
        kept = np.sort(np.random.default_rng(SEED).choice(kept.size, MOST_TREE_ROWS, replace=False))
    numeric = [field.name for field in schema.fields if field.kind in NUMERIC and not field.sensitive]
    used = sorted(numeric, key=lambda name: -shares.get(name, 0.0))[:MOST_TREE_FEATURES]
    return fit_error_tree(
        scored.answers[kept],
        {name: features[name].to_numpy(dtype="float64")[kept] for name in used},
        (scored.truth - scored.answers)[kept],
    )


def _describe_score(scored: Scored, schema: InputSchema, groups: NDArray[Any] | None) -> ColumnProfile | None:
    """Return the profile of what the log calls ``score``; with more than two classes there is none."""
    import pandas as pd

    if scored.positive is None and schema.answer is Answer.CLASS:
        return None
    scores = scored.answers if scored.positive is None else scored.answers[:, scored.positive]
    return describe_column(pd.Series(scores), InputField(name="score", kind=ColumnKind.NUMBER), groups=groups)


def _describe_target(
    labels: NDArray[Any], snapshot: DataSnapshot, spec: ModelSpec, groups: NDArray[Any] | None
) -> ColumnProfile:
    """Return the profile of the truth: a number, a boolean, or classes as text."""
    import pandas as pd

    column = snapshot.column(spec.data.target)
    word = column.true_word if column else None
    name = spec.data.target
    if spec.task == "regression":
        return describe_column(
            pd.Series(labels), InputField(name=name, kind=ColumnKind.NUMBER), groups=groups
        )
    if labels.dtype.kind == "b":
        field = InputField(name=name, kind=ColumnKind.BOOLEAN, true_word=word)
        return describe_column(pd.Series(labels.astype("float64")), field, groups=groups)
    texts = pd.Series([category_text(label) for label in labels.tolist()], dtype=object)
    return describe_column(texts, InputField(name=name, kind=ColumnKind.CATEGORY), groups=groups)


def _log_findings(profile: DriftProfile, performance: ReferencePerformance, schema: InputSchema) -> None:
    if performance.calibration:
        how = f"estimates without labels by {len(performance.calibration.scores)} calibrated scores"
    elif performance.errors:
        how = f"estimates without labels by a tree of {performance.errors.split.count(-1)} leaves"
    elif len(schema.classes) > 2:
        how = "no estimates without labels: more than two classes"
    else:
        how = "no estimates without labels: too few held-out rows, or of one class only"
    chunks = performance.estimated[0] if performance.estimated else None
    alarm = f"limits from {chunks.chunks} chunks of {chunks.rows:,}" if chunks else "no limits for estimates"
    log.info(
        "reference: %s held-out rows; %s, %s; windows need %s rows",
        f"{performance.rows:,}",
        how,
        alarm,
        f"{profile.minimum_rows:,}",
    )
