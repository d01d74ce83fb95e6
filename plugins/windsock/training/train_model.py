"""``train_model``: one candidate, cross-validated and fitted on training rows, stored as a signed bundle."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from windsock import __version__
from windsock.exceptions import DataRefusedError, TrainingRefusedError
from windsock.ports import BundleDraft, LoadedBundle, Ports
from windsock.records import (
    CrossValidation,
    DataSnapshot,
    DriftProfile,
    GoldenPredictions,
    InputField,
    LearnedFrom,
    Status,
    TrainedModel,
    TrainModelInput,
)
from windsock.records.request_contract import RequestContract
from windsock.records.rows import REFERENCE_ROWS, entities_of, held_out_mask, reference_mask
from windsock.statistics.profiling import build_profile
from windsock.training.compiling import COMPILED, compile_pipeline
from windsock.training.cross_validation import TrainingRows, Trial, best_of, score_on, search
from windsock.training.estimators import build_pipeline, estimator_kind, make_estimator
from windsock.training.fitting import counted_warnings, fit, limited_threads, share_of_threads
from windsock.training.folds import make_folds
from windsock.training.golden import answers_to, largest_difference, make_golden
from windsock.training.importances import IMPORTANCES
from windsock.training.preprocessing import to_features
from windsock.training.reference import make_reference
from windsock.training.request_contract import contract_of
from windsock.training.row_sets import LEARNED_FROM, choose_rows, make_row_sets
from windsock.training.season_profile import Fitted, add_seasons
from windsock.training.target import in_time_order, judged_rows, make_schema, read_labels
from windsock.training.tracking import training_run

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)


def train_model(step: TrainModelInput, ports: Ports, key: str) -> TrainedModel:
    """Train one candidate on the training rows of a validated snapshot.

    The bundle of a key is made once: a second try reads what the first one found out from its signed
    manifest, and only completes the tracking run.

    :param key: idempotency key.
    :raises DataRefusedError: if this very snapshot has not passed validation.
    :raises TrainingRefusedError: if its rows cannot train this candidate.
    """
    _require_validated(step)
    frame = ports.snapshots.load(step.snapshot)
    held_out = held_out_mask(frame, step.spec, step.snapshot.recent_rows, step.snapshot.onset_rows)
    training = in_time_order(frame[~held_out], step.spec)
    if not len(training) or not held_out.sum():
        raise TrainingRefusedError(
            f"{len(training):,} training rows and {held_out.sum():,} held out; both sides need rows",
            code="WS-TRAINING-008",
            next_action="Bring more rows, or widen `data.data_window`.",
        )
    contract = contract_of(step, ports)
    fields = contract.fields
    features = to_features(training, fields)
    stored = ports.bundles.find(step.spec.name, key)
    seconds = 0.0
    if stored is None:
        fitted = _fit_candidate(step, frame, held_out, features, contract)
        seconds = fitted.seconds
        files, equality = compile_pipeline(
            fitted.pipeline, fitted.rows.schema, fitted.golden, frame[held_out], ports.compiler
        )
        log.info("%s%s", "" if equality.equal else "WS-TRAINING-016: ", equality.told)
        profile, importances = _describe(step, fitted, frame, held_out, fields)
        draft = _draft(step, key, ports, fitted, profile)
        facts = {**fitted.facts, COMPILED: equality.model_dump(mode="json"), IMPORTANCES: importances}
        stored = ports.bundles.put(replace(draft, compiled=files, facts=facts))
    else:
        log.info(
            "bundle %s of this very training is there: it is used, nothing is fitted", stored.digest[:12]
        )
    loaded = ports.bundles.load(stored.uri, stored.digest)
    _require_faithful(loaded)
    facts = loaded.manifest.facts
    cross_validation = CrossValidation.model_validate(facts["cross_validation"])
    learned = LearnedFrom.model_validate(facts[LEARNED_FROM]) if LEARNED_FROM in facts else None
    rows_train = learned.rows if learned else len(training)
    run_id = ports.tracker.record_run(
        training_run(step, key, loaded, stored.uri, rows_train=rows_train, rows_held_out=int(held_out.sum()))
    )
    return TrainedModel(
        model=step.spec.name,
        snapshot_digest=step.snapshot.digest,
        candidate=step.candidate,
        key=key,
        run_id=run_id,
        bundle_uri=stored.uri,
        bundle_digest=stored.digest,
        params=facts["params"],
        cross_validation=cross_validation,
        train_score=facts["train_score"],
        rows_train=rows_train,
        rows_held_out=int(held_out.sum()),
        learned_from=learned,
        classes=tuple(str(label) for label in loaded.schema.classes),
        fit_seconds=round(seconds, 3),
        trained_at=loaded.manifest.created_at,
    )


def _require_validated(step: TrainModelInput) -> None:
    if step.validation.snapshot_digest != step.snapshot.digest:
        raise DataRefusedError(
            f"validated was snapshot {step.validation.snapshot_digest[:12]}, not {step.snapshot.digest[:12]}",
            code="WS-DATA-042",
            next_action="Validate this snapshot, then train on it.",
        )
    if step.validation.status is not Status.PASS:
        raise DataRefusedError(
            f"snapshot {step.snapshot.digest[:12]} is validated as {step.validation.status.value}, not pass",
            code="WS-DATA-043",
            next_action="Read the failed checks of the validation; mend the data or the suite.",
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fitted:
    pipeline: Pipeline
    rows: TrainingRows
    golden: GoldenPredictions
    facts: Mapping[str, Any]
    seconds: float


def _fit_candidate(
    step: TrainModelInput,
    frame: pd.DataFrame,
    held_out: NDArray[np.bool_],
    features: pd.DataFrame,
    contract: RequestContract,
) -> _Fitted:
    spec, candidate, fields = step.spec, step.candidate, contract.fields
    training = in_time_order(frame[~held_out], spec)
    labels = read_labels(training, step.snapshot, spec)
    schema = contract.put_into(make_schema(spec, fields, labels, step.snapshot.column(spec.data.target)))
    folds = make_folds(training, labels, spec)
    rows = TrainingRows(features=features, labels=labels, schema=schema, folds=folds, metric=spec.metric)
    sets = make_row_sets(frame, held_out, labels, step.snapshot, spec)

    def make(params: Mapping[str, Any], part: pd.DataFrame) -> Pipeline:
        return build_pipeline(part, fields, candidate, spec.task, params)

    make_estimator(candidate, spec.task)  # names an unknown parameter before any work
    space = dict(estimator_kind(candidate.estimator, spec.task).space()) if candidate.search else {}
    free = {name: values for name, values in space.items() if name not in candidate.params}
    with limited_threads(share_of_threads(len(spec.candidates))), counted_warnings() as counts:
        learned = choose_rows(partial(make, {}), rows, sets, step.snapshot) if sets else None
        if learned:
            rows = replace(rows, folds=learned.chosen.folds)
            features, labels = features.iloc[learned.chosen.rows], labels[learned.chosen.rows]
        trials = search(make, free, candidate.search, rows)
        best, result = best_of(trials)
        begun = time.perf_counter()
        pipeline = fit(partial(make, best.params), features, labels)
        seconds = time.perf_counter() - begun
        train_score = score_on(pipeline, rows, features, labels)
        golden = make_golden(pipeline, features, fields)
    if learned:
        log.info("%s", learned.record.told)
    _log_findings(step, counts, trials, result, rows.folds.kind, train_score)
    facts = {
        "params": _plain_params(pipeline),
        "cross_validation": result.model_dump(mode="json"),
        "train_score": train_score,
        "folds": rows.folds.kind,
        "warnings": dict(sorted(counts.items())),
        "trials": [_trial_row(trial) for trial in trials] if candidate.search else [],
        **({LEARNED_FROM: learned.record.model_dump(mode="json")} if learned else {}),
    }
    return _Fitted(pipeline=pipeline, rows=rows, golden=golden, facts=facts, seconds=seconds)


def _log_findings(
    step: TrainModelInput,
    counts: Mapping[str, int],
    trials: Sequence[Trial],
    result: CrossValidation,
    kind: str,
    train_score: float,
) -> None:
    if step.candidate.search:
        failed = sum(trial.result is None for trial in trials)
        log.info("search: %s trials, %s failed; the best is used", len(trials), failed)
    for category, count in sorted(counts.items()):
        log.info("WS-TRAINING-014: %s times %s while fitting", count, category)
    log.info("folds: %s; %s on the training rows %.4f", kind, result.metric, train_score)


def _plain_params(pipeline: Pipeline) -> dict[str, Any]:
    """Return the estimator's parameters as JSON values; what is none of them is left out."""
    plain: dict[str, Any] = {}
    for name, value in sorted(pipeline[-1].get_params(deep=False).items()):
        if value == "deprecated":
            continue
        if isinstance(value, bool | int | str | None):
            plain[name] = value
        elif isinstance(value, float):
            plain[name] = value if abs(value) < float("inf") else str(value)
    return plain


def _trial_row(trial: Trial) -> dict[str, Any]:
    scores = {"mean": trial.result.mean, "sd": trial.result.sd} if trial.result else {}
    return {"trial": trial.number, "params": dict(trial.params), **scores, "error": trial.error}


def _describe(
    step: TrainModelInput,
    fitted: _Fitted,
    frame: pd.DataFrame,
    held_out: NDArray[np.bool_],
    fields: Sequence[InputField],
) -> tuple[DriftProfile, dict[str, Any]]:
    """Return the monitor's reference, and the importances as they were measured.

    Where enough rows are recent, or since an onset, the reference is made of those alone: held against older
    ones too, the windows to come would show the very drift that the model has just been trained on. What the
    model did is told by the rows that it is judged on.
    """
    spec = step.spec
    onset_rows = step.snapshot.onset_rows
    now = reference_mask(held_out, step.snapshot.recent_rows, onset_rows)
    _log_reference(step.snapshot, now, held_out)
    rows = in_time_order(frame[~held_out & now], spec)
    profile = build_profile(
        to_features(rows, fields),
        fields,
        entities=entities_of(rows, spec),
    )
    retrain = spec.monitoring.retrain
    profile = profile.replace(rule=spec.monitoring.drift, windows=(retrain.windows, retrain.of))
    with limited_threads(share_of_threads(len(spec.candidates))), counted_warnings():
        profile, importances = make_reference(
            fitted.pipeline,
            fitted.rows.schema,
            profile,
            frame[held_out & now],
            judged=frame[judged_rows(frame, held_out, step.snapshot, spec)] if onset_rows else None,
            snapshot=step.snapshot,
            spec=spec,
        )
        model = Fitted(fitted.pipeline, fitted.rows.schema)
        return add_seasons(profile, model, frame, held_out, now, step.snapshot, spec), importances


def _log_reference(snapshot: DataSnapshot, now: NDArray[np.bool_], held_out: NDArray[np.bool_]) -> None:
    recent_rows, onset_rows = snapshot.recent_rows, snapshot.onset_rows
    if not recent_rows:
        return
    which = f"all rows: fewer than {REFERENCE_ROWS:,} of the" if now.all() else "the"
    since = onset_rows and now.sum() == onset_rows
    log.info(
        "reference: made of %s %s%s; %s training rows",
        which,
        f"{onset_rows:,} rows since the onset" if since else f"{recent_rows:,} recent rows",
        " were trained on" if now.all() else " alone",
        f"{(now & ~held_out).sum():,}",
    )


def _draft(
    step: TrainModelInput, key: str, ports: Ports, fitted: _Fitted, profile: DriftProfile
) -> BundleDraft:
    return BundleDraft(
        model=step.spec.name,
        key=key,
        snapshot_digest=step.snapshot.digest,
        spec_digest=step.spec.content_digest(),
        pipeline=fitted.pipeline,
        schema=fitted.rows.schema,
        golden=fitted.golden,
        profile=profile,
        versions=_versions(),
        facts=fitted.facts,
        created_at=ports.now(),
    )


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    libraries = {name: version(name) for name in ("numpy", "pandas", "scikit-learn", "scipy")}
    return {"windsock": __version__, "python": platform.python_version(), **libraries}


def _require_faithful(loaded: LoadedBundle) -> None:
    """Refuse a stored model that does not answer as the fitted one did, in either of its forms."""
    golden = loaded.golden
    apart = largest_difference(answers_to(loaded.pipeline, golden.rows, loaded.schema.fields), golden)
    if not apart <= golden.tolerance:
        raise TrainingRefusedError(
            f"the stored model answers golden rows with a difference of {apart:.3g}; "
            f"the limit is {golden.tolerance:.3g}",
            code="WS-TRAINING-015",
            next_action="Choose another estimator: this one does not survive being stored.",
        )
    if loaded.compiled is None:
        return
    values = [loaded.schema.values_of(row) for row in golden.rows]
    apart = largest_difference(loaded.compiled.answers(values), golden)
    if not apart <= golden.tolerance:
        raise TrainingRefusedError(
            f"the stored compiled form answers golden rows with a difference of {apart:.3g}; "
            f"the limit is {golden.tolerance:.3g}",
            code="WS-TRAINING-017",
            next_action="Run the retrain DAG with `force`; if it stays so, report the bundle's versions.",
        )
