"""``refit``: a version's own pipeline, fitted anew on other rows, and held against it as the gate would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.exceptions import TrainingRefusedError
from windsock.ports import LoadedBundle
from windsock.records import (
    DataSnapshot,
    DriftProfile,
    InputSchema,
    LearnedFrom,
    MetricValue,
    PairedDifference,
    Status,
)
from windsock.records.check_text import against_limit
from windsock.records.rows import entities_of, held_out_mask, reference_mask
from windsock.spec import ModelSpec, metric_facts
from windsock.statistics.profiling import build_profile
from windsock.statistics.units import units_of
from windsock.training.comparison import answered_by, answered_by_baseline, answered_by_champion, judge
from windsock.training.cross_validation import TrainingRows
from windsock.training.fitting import counted_warnings, fit, limited_threads
from windsock.training.preprocessing import to_features
from windsock.training.reference import make_reference
from windsock.training.row_sets import NO_FOLDS, choose_rows, labels_of_now, make_row_sets
from windsock.training.season_profile import Fitted, add_seasons
from windsock.training.target import in_time_order, judged_rows, make_schema, read_labels

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Refit:
    """A pipeline that was fitted anew.

    :param bundle: the new model in memory: nothing is stored or signed.
    :param rows: rows that it was fitted on.
    :param judged: held-out rows that it was compared on.
    :param since_onset: held-out rows since the onset, of which these are the latest.
    :param against: the new model minus the champion on those rows.
    :param learned_from: which rows these are, where rows since an onset are marked.
    :param missed: the gate's minimums that it does not keep with the whole interval, and the baseline if the
        gate asks for it and it is not beaten so; in words.
    """

    bundle: LoadedBundle
    rows: int
    judged: int
    against: PairedDifference
    missed: tuple[str, ...]
    learned_from: LearnedFrom | None = None
    since_onset: int = 0

    def beats(self, margin: float) -> bool:
        """Return whether the whole interval of the difference is above a margin."""
        interval = self.against.interval
        return interval is not None and interval.low > margin


def refit(
    bundle: LoadedBundle,
    champion: LoadedBundle,
    frame: pd.DataFrame,
    snapshot: DataSnapshot,
    spec: ModelSpec,
    *,
    digest: str,
) -> Refit:
    """Fit a bundle's pipeline anew, with its own parameters, on the rows that are not held out.

    Where rows since an onset are marked, row sets compete as in a training, and these rows decide.

    :param bundle: whose pipeline, parameters and fields are taken.
    :param champion: what the result is compared with, on held-out rows; the recent ones, where there are any,
        and the latest of those since an onset, where some are marked.
    :param frame: typed rows, the recent ones last, and last of these those since an onset.
    :param snapshot: what its columns are, and how many rows are recent, and since an onset.
    :param digest: what the result is called.
    :raises TrainingRefusedError: if these rows cannot train or judge it.
    """
    from sklearn.base import clone

    marked = snapshot.recent_rows, snapshot.onset_rows
    held_out = held_out_mask(frame, spec, *marked)
    judged, described = judged_rows(frame, held_out, snapshot, spec), reference_mask(held_out, *marked)
    training = in_time_order(frame[~held_out], spec)
    if not len(training) or not judged.any():
        raise TrainingRefusedError(
            f"{len(training):,} rows to fit on and {judged.sum():,} to judge by; both sides need rows",
            code="WS-TRAINING-008",
            next_action="Replay a longer history, or one with more labels.",
        )
    fields = bundle.schema.fields
    features, labels = to_features(training, fields), read_labels(training, snapshot, spec)
    schema = make_schema(spec, fields, labels, snapshot.column(spec.data.target))
    with limited_threads(1), counted_warnings():

        def make(_: pd.DataFrame) -> Any:
            return clone(bundle.pipeline)

        rows = TrainingRows(
            features=features, labels=labels, schema=schema, folds=NO_FOLDS, metric=spec.metric
        )
        sets = make_row_sets(frame, held_out, labels, snapshot, spec)
        learned = choose_rows(make, rows, sets, snapshot) if sets else None
        if learned:
            features, labels = features.iloc[learned.chosen.rows], labels[learned.chosen.rows]
        pipeline = fit(make, features, labels)
        known = in_time_order(frame[~held_out & described], spec)
        profile = build_profile(
            to_features(known, fields),
            fields,
            entities=entities_of(known, spec),
        )
        profile, _ = make_reference(
            pipeline,
            schema,
            profile,
            frame[held_out & described],
            judged=frame[judged] if snapshot.onset_rows else None,
            snapshot=snapshot,
            spec=spec,
        )
        model = Fitted(pipeline, schema)
        profile = add_seasons(profile, model, frame, held_out, described, snapshot, spec)
        made = _bundle(bundle, pipeline, schema, profile, digest)
        nothing = labels_of_now(frame, held_out, snapshot, spec) if snapshot.onset_rows else labels
        compared = _compare(made, champion, nothing, frame[judged].reset_index(drop=True), snapshot, spec)
        since_onset = int(held_out[len(held_out) - snapshot.onset_rows :].sum())
        return replace(
            compared,
            rows=len(labels),
            learned_from=learned.record if learned else None,
            since_onset=since_onset,
        )


def _bundle(
    bundle: LoadedBundle, pipeline: Any, schema: InputSchema, profile: DriftProfile, digest: str
) -> LoadedBundle:
    return LoadedBundle(
        manifest=bundle.manifest,
        digest=digest,
        pipeline=pipeline,
        schema=schema,
        golden=bundle.golden,
        profile=profile,
    )


def _compare(
    made: LoadedBundle,
    champion: LoadedBundle,
    fitted: NDArray[Any],
    rows: pd.DataFrame,
    snapshot: DataSnapshot,
    spec: ModelSpec,
) -> Refit:
    truth = read_labels(rows, snapshot, spec)
    names = tuple(dict.fromkeys([spec.metric, *spec.gate.minimum]))
    entity = spec.data.entity
    judgement = judge(
        made.schema,
        truth,
        ours=answered_by(made, rows),
        baseline=answered_by_baseline(fitted, len(rows), made.schema),
        champion=answered_by_champion(champion, rows, truth, made.schema, snapshot, spec.data.target),
        names=names,
        metric=spec.metric,
        units=units_of(rows[entity] if entity else None, len(rows)),
    )
    against = judgement.against_champion
    if against is None:
        raise TrainingRefusedError("no champion to compare with", code="WS-TRAINING-008")
    return Refit(
        bundle=made,
        rows=len(fitted),
        judged=len(rows),
        against=against,
        missed=(*_missed(judgement.metrics, spec), *_baseline(judgement.baseline, spec)),
    )


def _baseline(met: PairedDifference, spec: ModelSpec) -> tuple[str, ...]:
    """Return what the gate's comparison with a model that knows nothing lacks, where it asks for one."""
    if not spec.gate.always_meets_baseline or (met.interval is not None and met.interval.low > 0):
        return ()
    what = f"{met.metric} minus that of a model that knows nothing"
    if met.value is None:
        return (f"{what} has no value",)
    status = Status.FAIL if met.interval is not None and met.interval.high <= 0 else Status.INSUFFICIENT
    return (against_limit(what, met.value, ">", 0.0, status=status, interval=met.interval, signed=True),)


def _missed(metrics: Sequence[MetricValue], spec: ModelSpec) -> tuple[str, ...]:
    found = {metric.name: metric for metric in metrics}
    missed = []
    for name, limit in sorted(spec.gate.minimum.items()):
        metric, more = found[name], metric_facts(name).greater_is_better
        interval = metric.interval
        if interval is None or (interval.low < limit if more else interval.high > limit):
            beyond = interval is not None and (interval.high < limit if more else interval.low > limit)
            status = Status.FAIL if beyond else Status.INSUFFICIENT
            missed.append(
                f"{name} has no value"
                if metric.value is None
                else against_limit(
                    name, metric.value, ">=" if more else "<=", limit, status=status, interval=interval
                )
            )
    return tuple(missed)
