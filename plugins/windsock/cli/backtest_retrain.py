"""What retraining would have changed: each granted retrain is tried on what was known at its time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from windsock.data.mixing import mix_recent
from windsock.exceptions import DataRefusedError, TrainingRefusedError, UnverifiedSnapshotError
from windsock.governance.promoted_baseline import baseline_body
from windsock.monitoring.backtest_history import Answers, TableHistory, read_answers
from windsock.monitoring.backtest_memory import ReplayedBundles, ReplayedLedger
from windsock.monitoring.performance_case import ANSWERED
from windsock.monitoring.performance_metrics import read_labels, realised_metrics
from windsock.ports import LoadedBundle, Ports
from windsock.records import (
    Champion,
    DataSnapshot,
    InputSchema,
    MetricValue,
    RetrainClaim,
    RetrainOutcome,
    Span,
    Status,
    TakeSnapshotInput,
)
from windsock.records.backtest import Comparison, RetrainTrial
from windsock.records.check_text import against_limit
from windsock.records.training import rows_since_onset
from windsock.spec import ModelSpec, digest_of
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features
from windsock.training.refit import Refit, refit

if TYPE_CHECKING:
    import pandas as pd

NO_SNAPSHOT = "WS-MONITORING-077"


class WhatIf:
    """Implements :class:`windsock.monitoring.backtest.Retrainer`.

    The champion's own pipeline is fitted anew on its training rows, as far as they are older than the
    retrain, mixed with the labelled answers known by then. Nothing is stored.

    :param ports: the replay's.
    :param bundles: its bundles.
    :param ledger: its ledger; a retrain that wins serves by it, where the history can be answered anew.
    :param history: the table, which can be; ``None`` for the prediction log, which holds what was answered.
    :param hindsight: up to when labels are known, for the comparison.
    """

    def __init__(
        self,
        spec: ModelSpec,
        ports: Ports,
        *,
        bundles: ReplayedBundles,
        ledger: ReplayedLedger,
        history: TableHistory | None,
        hindsight: datetime,
    ) -> None:
        self.spec = spec
        self.ports = ports
        self.bundles = bundles
        self.ledger = ledger
        self.history = history
        self.hindsight = hindsight
        self.first: LoadedBundle | None = None
        self.fitted: dict[str, Refit] = {}

    def retrain(self, claim: RetrainClaim, version: str) -> RetrainTrial:
        """Fit anew; see :class:`~windsock.monitoring.backtest.Retrainer`."""
        made = RetrainTrial(
            episode_key=claim.episode.key if claim.episode else "",
            at=self.ports.now(),
            outcome=RetrainOutcome.FAILED,
            reason="",
        )
        champion = self.ledger.champion(self.spec.name)
        if champion is None or claim.recent is None:
            return made.replace(reason="no version served, or the claim names no rows")
        bundle = self.bundles.load(champion.bundle_uri, champion.digest)
        self.first = self.first or bundle
        try:
            frame, snapshot, findings = self._rows(bundle, claim.recent, claim.onset)
        except (DataRefusedError, UnverifiedSnapshotError) as error:
            return made.replace(reason=f"{error.code}: {error.message}")
        if snapshot is None:
            return made.replace(reason=findings[-1], findings=findings)
        known = {"findings": findings, "recent_rows": snapshot.recent_rows, "onset": snapshot.onset}
        try:
            digest = digest_of([champion.digest, version])
            result = refit(bundle, bundle, frame, snapshot, self.spec, digest=digest)
        except (DataRefusedError, TrainingRefusedError) as error:
            return made.replace(**known, reason=f"{error.code}: {error.message}")
        return self._judged(made.replace(**known), result, champion, version)

    def _rows(
        self, bundle: LoadedBundle, recent: Span, onset: datetime | None
    ) -> tuple[pd.DataFrame, DataSnapshot | None, tuple[str, ...]]:
        """Return the mixture, or no snapshot and why there is none."""
        import pandas as pd

        name, digest = self.spec.name, bundle.manifest.snapshot_digest
        snapshot = self.ports.snapshots.find(name, digest)
        if snapshot is None:
            gone = f"{NO_SNAPSHOT}: snapshot {digest[:12]}, which the version was trained on, is gone"
            return pd.DataFrame(), None, (gone,)
        frame = self.ports.snapshots.load(snapshot)
        findings: tuple[str, ...] = ()
        by_time = self.spec.data.event_time
        if by_time and by_time in frame:
            old = (frame[by_time] < pd.Timestamp(self.ports.now())).to_numpy(dtype=bool)
            if not old.all():
                findings = (f"{int((~old).sum()):,} training rows are younger than the retrain: left out",)
            frame = frame[old].reset_index(drop=True)
        step = TakeSnapshotInput(spec=self.spec, recent=recent, onset=onset)
        mixture = mix_recent(step, frame, snapshot.columns, self.ports)
        findings += mixture.findings
        if not mixture.recent_rows:
            return frame, None, (*findings, "no labelled answers to learn from: nothing new was known")
        marked = {
            "columns": mixture.columns,
            "rows": len(mixture.frame),
            "recent_rows": mixture.recent_rows,
            "onset_rows": mixture.onset_rows,
            "onset": onset if mixture.onset_rows else None,
        }
        return mixture.frame, snapshot.replace(**marked), findings

    def _judged(self, made: RetrainTrial, result: Refit, champion: Champion, version: str) -> RetrainTrial:
        policy = self.spec.gate.against_champion
        margin = 0.0 if policy == "better" else -policy.not_worse
        against = result.against
        which = "recent held-out rows"
        if made.onset is not None:
            which = rows_since_onset(made.onset, result.judged, result.since_onset)
        beats = result.beats(margin)
        won, what = beats and not result.missed, f"{against.metric} minus the champion's"
        reason = f"{what} without a value"
        if against.value is not None:
            reason = against_limit(
                what,
                against.value,
                ">",
                margin,
                status=Status.PASS if beats else Status.FAIL,
                interval=against.interval,
                n=f"{result.judged:,} {which}",
                signed=True,
            )
        if result.learned_from is not None:
            reason += f"; learned from {result.learned_from.name}"
        if against.value is None:
            outcome = RetrainOutcome.FAILED
            reason = f"{reason}: {against.error}"
        else:
            outcome = RetrainOutcome.PROMOTED if won else RetrainOutcome.KEPT
        if won:
            self.fitted[version] = result
            self._serve(result, champion, version)
        return made.replace(
            version=version,
            outcome=outcome,
            reason="; ".join((reason, *result.missed)),
            rows=result.rows,
            difference=against,
        )

    def _serve(self, result: Refit, champion: Champion, version: str) -> None:
        """Let the retrained model answer from now on, where the history can be answered anew."""
        if self.history is None:
            return
        made = result.bundle
        self.bundles.add(made)
        promoted = champion.replace(version=version, digest=made.digest, replaced=champion.digest)
        rows = self.ledger.rows(self.spec.name)
        # By the rule of promotions: the retrain of an episode sets no baseline, so no evidence is asked for.
        self.ledger.serve(promoted, body=baseline_body(self.ports, rows, {}, champion))
        self.history.serve(version, made.digest, lambda rows: answers_of(made, rows), since=self.ports.now())

    def compare(self, window: Span, version: str, metric: str) -> Comparison | None:
        """Compare answers; see :class:`~windsock.monitoring.backtest.Retrainer`."""
        retrained, first = self.fitted[version].bundle, self.first
        labels, name = self.spec.monitoring.labels, self.spec.name
        schema = retrained.schema
        joined = self.ports.rows.labelled(name, window, labels, schema=schema, as_of=self.hindsight)
        if joined.frame.empty or first is None:
            return None
        labelled, _ = read_labels(joined.frame, schema)
        usable = labelled["label"].notna() & labelled["variant"].isin(ANSWERED) & labelled["features"].notna()
        labelled = labelled[usable.to_numpy(dtype=bool)]
        features = _features(labelled, retrained)
        if features is None:
            return None
        kept = labelled if self.history is None else _answered(labelled, first, features)
        new = _answered(labelled, retrained, features)
        return Comparison(
            version=version,
            kept=self._metric(kept, schema, metric),
            retrained=self._metric(new, schema, metric),
        )

    def _metric(self, labelled: pd.DataFrame, schema: InputSchema, metric: str) -> MetricValue:
        found = realised_metrics(labelled, schema, self.spec).metric(metric)
        return found or MetricValue(name=metric, value=None, n=len(labelled))


def answers_of(bundle: LoadedBundle, features: pd.DataFrame) -> Answers:
    """Return a bundle's scores and predictions.

    :param features: a pipeline's input; may have more fields than the bundle knows.
    """
    names = [field.name for field in bundle.schema.fields]
    return read_answers(answer(bundle.pipeline, features[names]), bundle.schema)


def _features(labelled: pd.DataFrame, bundle: LoadedBundle) -> pd.DataFrame | None:
    """Return a pipeline's input for logged answers; ``None`` where there is none, or of another kind."""
    import pandas as pd

    if labelled.empty:
        return None
    rows = labelled["features"].tolist()
    columns = {field.name: [row.get(field.name) for row in rows] for field in bundle.schema.fields}
    given = pd.DataFrame(columns, index=labelled.index, dtype=object)
    try:
        return to_features(given, bundle.schema.fields)
    except DataRefusedError:
        return None


def _answered(labelled: pd.DataFrame, bundle: LoadedBundle, features: pd.DataFrame) -> pd.DataFrame:
    scores, predictions = answers_of(bundle, features)
    return labelled.assign(score=scores, prediction=predictions)
