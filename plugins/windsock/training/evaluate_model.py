"""``evaluate_model``: the best candidate by cross-validation meets the held-out rows, alone of all."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.exceptions import (
    DataRefusedError,
    LostBundleError,
    TrainingRefusedError,
    UnverifiedBundleError,
)
from windsock.ports import NOTE, LoadedBundle, Ports
from windsock.records import (
    Champion,
    CompiledEquality,
    EvaluateModelInput,
    Evaluation,
    Latency,
    MetricValue,
    PairedDifference,
    TrainedModel,
)
from windsock.records.request_contract import contract_changes
from windsock.records.rows import held_out_mask
from windsock.spec import canonical_json
from windsock.statistics.metrics import direction, metric_names
from windsock.statistics.units import units_of
from windsock.training.artifacts import importance_files, picture_files
from windsock.training.comparison import (
    Answered,
    answered_by,
    answered_by_baseline,
    answered_by_champion,
    judge,
    metrics_of,
)
from windsock.training.compiling import COMPILED
from windsock.training.fitting import answer, counted_warnings, limited_threads
from windsock.training.model_card import card_markdown, difference_text, make_card, metric_text
from windsock.training.preprocessing import to_features
from windsock.training.row_sets import labels_of_now
from windsock.training.target import judged_rows, read_labels
from windsock.training.unanswered import rarest_share, unanswered_classes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

LOST_CONTRACT = "the champion's request contract is gone with its bundle: its clients may be refused"
LATENCY_ROWS = 100
LATENCY_REPEATS = 5


def evaluate_model(step: EvaluateModelInput, ports: Ports, key: str) -> Evaluation:
    """Judge the best candidate on held-out rows: metrics with intervals, against a baseline and the champion.

    Where the snapshot has recent rows, all three are of the recent held-out ones, and of the latest of those
    since the onset where some are marked; the metrics on all held-out rows stand beside them.

    :param key: idempotency key.
    :raises DataRefusedError: if a candidate was trained on another snapshot.
    A champion whose bundle is gone cannot be compared with: the comparison is an error that names it.

    :raises UnverifiedBundleError: if the chosen bundle or the champion's is not what was signed.
    """
    spec, chosen = step.spec, step.ranked[0]
    _require_one_snapshot(step)
    log.info("candidates by cross-validation, the best first: %s", _ranking(step.ranked))
    bundle = ports.bundles.load(chosen.bundle_uri, chosen.bundle_digest)
    frame = ports.snapshots.load(step.snapshot)
    marked = step.snapshot.recent_rows, step.snapshot.onset_rows
    held_out = held_out_mask(frame, spec, *marked)
    since_onset = int(held_out[len(held_out) - step.snapshot.onset_rows :].sum())
    labels = read_labels(frame, step.snapshot, spec)
    judged = judged_rows(frame, held_out, step.snapshot, spec)
    rows, truth = frame[judged].reset_index(drop=True), labels[judged]
    entity = spec.data.entity
    if not len(rows):
        of = f"{step.snapshot.recent_rows:,} recent" if step.snapshot.recent_rows else f"{len(frame):,}"
        raise TrainingRefusedError(
            f"none of the {of} rows is held out",
            code="WS-TRAINING-008",
            next_action="Bring more rows, or widen `data.data_window`.",
        )
    unseen = set(truth.tolist()) - set(bundle.schema.classes) if bundle.schema.classes else set()
    if unseen:
        log.info("WS-EVALUATION-003: held-out rows are of %s classes that training never saw", len(unseen))
    champion = ports.ledger.champion(spec.name)
    with limited_threads(1), counted_warnings() as counts:
        ours = answered_by(bundle, rows)
        met = _meet_champion(step, champion, bundle, rows, truth, ours, ports)
        judgement = judge(
            bundle.schema,
            truth,
            ours=ours,
            baseline=answered_by_baseline(
                labels_of_now(frame, held_out, step.snapshot, spec), len(rows), bundle.schema
            ),
            champion=met.answered,
            names=metric_names(spec),
            metric=spec.metric,
            units=units_of(rows[entity] if entity else None, len(rows)),
        )
        overall: tuple[MetricValue, ...] = ()
        if step.snapshot.recent_rows:
            every = frame[held_out].reset_index(drop=True)
            units = units_of(every[entity] if entity else None, len(every))
            answers = answered_by(bundle, every)
            overall = metrics_of(bundle.schema, labels[held_out], answers, metric_names(spec), units)
        latency = _latency(bundle, rows)
        files = picture_files(judgement.scored, judgement.classes, ports.charts)
        files |= importance_files(bundle.manifest.facts, spec.metric, ports.charts)
    for category, count in sorted(counts.items()):
        log.info("WS-EVALUATION-002: %s times %s while evaluating", count, category)
    evaluation = Evaluation(
        model=spec.name,
        snapshot_digest=step.snapshot.digest,
        chosen=chosen,
        ranking=tuple((one.candidate.label, one.cross_validation.mean) for one in step.ranked),
        metrics=judgement.metrics,
        recent_held_out=len(rows) if step.snapshot.recent_rows else 0,
        onset=step.snapshot.onset,
        since_onset=since_onset,
        overall=overall,
        gap=_gap(step, judgement.metrics if step.snapshot.onset else overall or judgement.metrics),
        baseline=judgement.baseline,
        champion=champion,
        against_champion=judgement.against_champion,
        contract_changes=met.contract_changes,
        unanswered=unanswered_classes(judgement.scored, judgement.classes, known=bundle.schema.classes),
        rarest_class=rarest_share(labels) if bundle.schema.classes else None,
        latency=latency,
        compiled=_equality(bundle),
        card=make_card(spec, step.snapshot, chosen, judgement.metrics, since_onset=since_onset),
        evaluated_at=ports.now(),
    )
    _log_findings(evaluation)
    card, numbers = card_markdown(spec, evaluation), _run_metrics(evaluation)
    files["evaluation/model_card.md"] = card.encode()
    files["evaluation/metrics.json"] = _numbers_json(evaluation)
    tags = {"windsock.evaluation": key, NOTE: card}
    ports.tracker.add_to_run(chosen.run_id, metrics=numbers, tags=tags, files=files)
    named = {"windsock.chosen": chosen.candidate.label, "windsock.chosen_run": chosen.run_id, NOTE: card}
    ports.tracker.add_to_parent(chosen.run_id, metrics=numbers, tags=named)
    return evaluation


def _require_one_snapshot(step: EvaluateModelInput) -> None:
    for candidate in step.candidates:
        if candidate.snapshot_digest != step.snapshot.digest:
            raise DataRefusedError(
                f"{candidate.candidate.label} was trained on snapshot {candidate.snapshot_digest[:12]}, "
                f"not on {step.snapshot.digest[:12]}",
                code="WS-EVALUATION-001",
                next_action="Train every candidate on this snapshot, then evaluate.",
            )


class _Met(NamedTuple):
    """What came of meeting the champion.

    :param answered: its answers, why there are none, or ``None`` without a champion.
    :param contract_changes: as of :class:`Evaluation`.
    """

    answered: Answered | str | None
    contract_changes: tuple[str, ...] | None


def _meet_champion(
    step: EvaluateModelInput,
    champion: Champion | None,
    bundle: LoadedBundle,
    rows: pd.DataFrame,
    truth: NDArray[Any],
    ours: Answered,
    ports: Ports,
) -> _Met:
    """Ask the champion; one that is the chosen bundle itself gives the very same answers."""
    if champion is None:
        return _Met(None, None)
    if champion.digest == bundle.digest:
        return _Met(ours, ())
    try:
        theirs = _load_champion(champion, step.spec.name, ports)
    except LostBundleError as error:
        log.warning("%s: %s", error.code, error.message)
        return _Met(f"{error.message}. {error.next_action}", (LOST_CONTRACT,))
    target = step.spec.data.target
    answered = answered_by_champion(theirs, rows, truth, bundle.schema, step.snapshot, target)
    changes = contract_changes(theirs.schema, bundle.schema)
    for change in changes:
        log.info("WS-GATE-016: request contract: %s", change)
    return _Met(answered, changes)


def _load_champion(champion: Champion, model: str, ports: Ports) -> LoadedBundle:
    try:
        return ports.bundles.load(champion.bundle_uri, champion.digest)
    except LostBundleError as error:
        raise LostBundleError(
            f"the champion, version {champion.version}, cannot be met: {error.message}",
            next_action=f"Bring its folder back from a backup, or serve an earlier champion with `windsock "
            f"rollback {model}`",
        ) from error
    except UnverifiedBundleError as error:
        raise UnverifiedBundleError(
            f"the champion, version {champion.version}, cannot be met: {error.message}",
            code=error.code,
            next_action=(
                "Find out who changed its files, and bring them back from a backup; or serve an earlier "
                f"champion with `windsock rollback {model}`. Then clear train_model and what follows it: a "
                "retrain alone cannot replace a champion that nobody can compare with."
            ),
        ) from error


def _gap(step: EvaluateModelInput, metrics: Sequence[MetricValue]) -> float | None:
    metric = step.spec.metric
    held_out = next(value.value for value in metrics if value.name == metric)
    return None if held_out is None else direction(metric) * (step.ranked[0].train_score - held_out)


def _latency(bundle: LoadedBundle, rows: pd.DataFrame) -> Latency:
    """Time predictions of 100 rows, from typed rows to probabilities; too few held-out rows are repeated."""
    import numpy as np

    batch = rows.iloc[np.arange(LATENCY_ROWS) % len(rows)]
    times = []
    for _ in range(1 + LATENCY_REPEATS):  # the first warms up
        begun = time.perf_counter()
        answer(bundle.pipeline, to_features(batch, bundle.schema.fields))
        times.append(time.perf_counter() - begun)
    milliseconds = float(np.median(times[1:])) * 1000 / LATENCY_ROWS
    return Latency(ms_per_sample=milliseconds, rows=LATENCY_ROWS, repeats=LATENCY_REPEATS)


def _equality(bundle: LoadedBundle) -> CompiledEquality | None:
    """Return what the training found of the compiled form; older bundles say nothing of one."""
    found = bundle.manifest.facts.get(COMPILED)
    return None if found is None else CompiledEquality.model_validate(found)


def _ranking(candidates: Sequence[TrainedModel]) -> str:
    shown = []
    for candidate in candidates:
        scores = candidate.cross_validation
        shown.append(f"{candidate.candidate.label} {scores.metric} {scores.mean:.4f} +- {scores.sd:.4f}")
    return "; ".join(shown)


def _log_findings(evaluation: Evaluation) -> None:
    log.info("%s: %s", evaluation.judged_on, "; ".join(map(metric_text, evaluation.metrics)))
    if evaluation.overall:
        log.info("on all held-out rows: %s", "; ".join(map(metric_text, evaluation.overall)))
    log.info("%s", difference_text(evaluation.baseline))
    if evaluation.against_champion:
        log.info("%s", difference_text(evaluation.against_champion))
    else:
        log.info("no version serves by the ledger: there is no champion to compare with")
    for one in evaluation.unanswered:
        log.info("class %r: %d held-out rows, answered for none", one.label, one.rows)
    gap = "" if evaluation.gap is None else f"training minus held out {evaluation.gap:+.4f}; "
    log.info("%s%.4f ms per sample", gap, evaluation.latency.ms_per_sample)
    if evaluation.compiled:
        log.info("%s", evaluation.compiled.told)


def _differences(evaluation: Evaluation) -> tuple[PairedDifference, ...]:
    both = (evaluation.baseline, evaluation.against_champion)
    return tuple(difference for difference in both if difference is not None)


def _run_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return what the tracking run shows, without what has no value."""
    shown: dict[str, float | None] = {"latency_ms_per_sample": evaluation.latency.ms_per_sample}
    for metric in evaluation.metrics:
        shown[f"held_out_{metric.name}"] = metric.value
        if metric.interval:
            shown[f"held_out_{metric.name}_low"] = metric.interval.low
            shown[f"held_out_{metric.name}_high"] = metric.interval.high
    for metric in evaluation.overall:
        shown[f"overall_held_out_{metric.name}"] = metric.value
    shown[f"gap_{evaluation.baseline.metric}"] = evaluation.gap
    for difference in _differences(evaluation):
        shown[f"difference_to_{difference.opponent}_{difference.metric}"] = difference.value
    return {name: value for name, value in shown.items() if value is not None}


def _numbers_json(evaluation: Evaluation) -> bytes:
    content: dict[str, Any] = evaluation.model_dump(
        mode="json",
        include={
            "metrics",
            "recent_held_out",
            "onset",
            "since_onset",
            "overall",
            "gap",
            "baseline",
            "against_champion",
            "unanswered",
            "latency",
            "ranking",
        },
    )
    return canonical_json(content).encode()
