"""``refit``: a version's own pipeline, fitted anew on other rows, and held against it as the gate would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.exceptions import TrainingRefusedError
from windsock.ports import LoadedBundle
from windsock.records import DataSnapshot, DriftProfile, InputSchema, MetricValue, PairedDifference
from windsock.records.rows import entities_of, held_out_mask, recent_mask, reference_mask
from windsock.spec import ModelSpec, metric_facts
from windsock.statistics.profiling import build_profile
from windsock.statistics.units import units_of
from windsock.training.comparison import answered_by, answered_by_baseline, answered_by_champion, judge
from windsock.training.fitting import counted_warnings, fit, limited_threads
from windsock.training.preprocessing import to_features
from windsock.training.reference import make_reference
from windsock.training.season_profile import Fitted, add_seasons
from windsock.training.target import in_time_order, make_schema, read_labels

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Refit:
    """A pipeline that was fitted anew.

    :param bundle: the new model in memory: nothing is stored or signed.
    :param rows: rows that it was fitted on.
    :param judged: held-out rows that it was compared on.
    :param against: the new model minus the champion on those rows.
    :param missed: the gate's minimums that it does not keep with the whole interval, and the baseline if the
        gate asks for it and it is not beaten so; in words.
    """

    bundle: LoadedBundle
    rows: int
    judged: int
    against: PairedDifference
    missed: tuple[str, ...]

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

    :param bundle: whose pipeline, parameters and fields are taken.
    :param champion: what the result is compared with, on held-out rows; the recent ones, where there are any.
    :param frame: typed rows, the recent ones last.
    :param snapshot: what its columns are, and how many rows are recent.
    :param digest: what the result is called.
    :raises TrainingRefusedError: if these rows cannot train or judge it.
    """
    from sklearn.base import clone

    held_out = held_out_mask(frame, spec, snapshot.recent_rows)
    now = recent_mask(len(frame), snapshot.recent_rows)
    judged = held_out & now
    described = reference_mask(held_out, snapshot.recent_rows)
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
        pipeline = fit(lambda _: clone(bundle.pipeline), features, labels)
        known = in_time_order(frame[~held_out & described], spec)
        profile = build_profile(
            to_features(known, fields),
            fields,
            entities=entities_of(known, spec),
        )
        rows = frame[held_out & described]
        profile, _ = make_reference(pipeline, schema, profile, rows, snapshot=snapshot, spec=spec)
        model = Fitted(pipeline, schema)
        profile = add_seasons(profile, model, frame, held_out, described, snapshot, spec)
        made = _bundle(bundle, pipeline, schema, profile, digest)
        return _compare(made, champion, labels, frame[judged].reset_index(drop=True), snapshot, spec)


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
    shown = "no value" if met.value is None else f"{met.value:+.4g}"
    if met.interval is not None:
        shown += f" [{met.interval.low:.4g}, {met.interval.high:.4g}]"
    return (f"{met.metric} {shown} against a model that knows nothing is not surely > 0",)


def _missed(metrics: Sequence[MetricValue], spec: ModelSpec) -> tuple[str, ...]:
    found = {metric.name: metric for metric in metrics}
    missed = []
    for name, limit in sorted(spec.gate.minimum.items()):
        metric, more = found[name], metric_facts(name).greater_is_better
        interval = metric.interval
        if interval is None or (interval.low < limit if more else interval.high > limit):
            shown = "no value" if metric.value is None else f"{metric.value:.4g}"
            missed.append(f"{name} {shown} is not surely {'>=' if more else '<='} {limit:g}")
    return tuple(missed)
