"""Records of the training room: a trained candidate and its evaluation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from windsock.records.base import ROWS, Digest, Interval, MetricValue, Moment, Record, RunContext, counted
from windsock.records.data import DataSnapshot, ValidationReport
from windsock.records.ledger import Champion
from windsock.spec import CandidateBlock, ModelSpec, metric_facts


class TrainModelInput(Record):
    """Input of ``train_model``.

    :param validation: the report that lets this snapshot be trained on; its digest must be the snapshot's.
    :param candidate: the estimator and its parameters.
    """

    spec: ModelSpec
    snapshot: DataSnapshot
    validation: ValidationReport
    candidate: CandidateBlock
    run: RunContext = RunContext()
    nonce: str | None = None


class CrossValidation(Record):
    """Scores of the folds on training rows.

    :param metric: name of the metric.
    :param mean: mean over the folds.
    :param sd: standard deviation over the folds (n - 1).
    :param folds: the score of each fold.
    """

    metric: str
    mean: float
    sd: float
    folds: tuple[float, ...]


class RowSetScore(Record):
    """Rows that a candidate might have been fitted on.

    :param name: ``all``, ``recent``, ``onset`` (since it); with ``/2``, ``/4`` ... the latest part of these.
    :param rows: training rows of the set.
    :param mean: mean over the folds, which are of rows since the onset; ``None``: it could not be scored.
    :param sd: standard deviation over the folds (n - 1).
    :param error: why it could not be scored.
    """

    name: str
    rows: int = Field(ge=0)
    mean: float | None = None
    sd: float | None = None
    error: str = ""


class LearnedFrom(Record):
    """Which rows a candidate was fitted on, where rows since an onset are marked.

    :param name: as of :class:`RowSetScore`.
    :param rows: training rows that it was fitted on.
    :param onset: since when the world is another one.
    :param scored_on: rows of all folds that the sets were scored on.
    :param sets: what competed, the largest first.
    """

    name: str
    rows: int = Field(ge=0)
    onset: Moment | None = None
    scored_on: int = Field(ge=0)
    sets: tuple[RowSetScore, ...]

    @property
    def words(self) -> str:
        """The rows in words, such as ``the latest half of the rows since the onset``."""
        return row_set_words(self.name)

    @property
    def told(self) -> str:
        """What competed, as one line of a log."""
        shown = ", ".join(
            f"{one.name} ({one.rows:,} rows) {'out' if one.mean is None else format(one.mean, '.4f')}"
            for one in self.sets
        )
        return f"learned from {self.words}, {self.rows:,}; on {self.scored_on:,} rows in folds: {shown}"


def row_set_words(name: str) -> str:
    """Return what a row set is called in sentences.

    :param name: as of :class:`RowSetScore`.
    """
    kind, _, part = name.partition("/")
    called = {"all": "all rows", "recent": "the recent rows", "onset": "the rows since the onset"}
    words = called.get(kind, kind)
    return f"the latest {'half' if part == '2' else f'1/{part}'} of {words}" if part else words


class CompiledEquality(Record):
    """What came of holding a model's compiled form against the fitted pipeline, on the held-out rows.

    :param engine: what computes the compiled form, ``linear`` or ``trees``; ``None`` where there is none.
    :param rows: rows that both answered: all held-out ones and the golden ones.
    :param flips: rows that the two put into different classes.
    :param largest_difference: largest absolute difference of two answers.
    :param tolerance: largest difference that counts as equal: 1e-9 of the answers' scale (1 for
        probabilities, their spread for numbers), and what rounding does.
    :param equal: whether the compiled form serves: no flips, and no difference over the tolerance.
    :param reason: why it does not serve.
    """

    engine: str | None = None
    rows: int = 0
    flips: int | None = None
    largest_difference: float | None = None
    tolerance: float | None = None
    equal: bool = False
    reason: str = ""

    @property
    def told(self) -> str:
        """The finding as one line of a log."""
        if self.largest_difference is None:
            return f"not compiled: {self.reason}; scikit-learn serves"
        seen = (
            f"{self.engine}, {self.rows:,} held-out and golden rows, {self.flips} flips, "
            f"largest difference {self.largest_difference:.2g}"
        )
        return f"compiled: {seen}" if self.equal else f"not compiled: {seen}; {self.reason}"


class TrainedModel(Record):
    """One candidate, fitted on the training rows and stored as a signed bundle.

    :param key: idempotency key of the training.
    :param run_id: MLflow run.
    :param bundle_uri: folder of the bundle under the storage root.
    :param bundle_digest: digest of the bundle's manifest; the identity of the model from here on.
    :param params: the estimator's parameters as used, after any search.
    :param cross_validation: scores on the training rows; the best candidate is chosen by these.
    :param train_score: the metric on the rows it was fitted on, for the train-test gap.
    :param rows_train: rows it was fitted on.
    :param rows_held_out: rows kept aside.
    :param learned_from: which rows these are, where rows since an onset are marked: those by which it did
        best on rows since the onset. ``cross_validation`` is on such rows then.
    :param fit_seconds: how long the final fit took; no part of any key.
    """

    model: str
    snapshot_digest: Digest
    candidate: CandidateBlock
    key: str
    run_id: str
    bundle_uri: str
    bundle_digest: Digest
    params: dict[str, Any] = Field(default_factory=dict)
    cross_validation: CrossValidation
    train_score: float
    rows_train: int
    rows_held_out: int
    learned_from: LearnedFrom | None = Field(default=None, exclude_if=lambda given: given is None)
    classes: tuple[str, ...] = ()
    fit_seconds: float = 0.0
    trained_at: Moment


class EvaluateModelInput(Record):
    """Input of ``evaluate_model``: every candidate of the run."""

    spec: ModelSpec
    snapshot: DataSnapshot
    candidates: tuple[TrainedModel, ...] = Field(min_length=1)
    run: RunContext = RunContext()
    nonce: str | None = None

    @property
    def ranked(self) -> tuple[TrainedModel, ...]:
        """The candidates by cross-validation mean, best first; ties go to the one named first in the spec."""
        sign = -1.0 if metric_facts(self.spec.metric).greater_is_better else 1.0
        return tuple(sorted(self.candidates, key=lambda candidate: sign * candidate.cross_validation.mean))


class PairedDifference(Record):
    """Challenger minus opponent on the same held-out rows, in the direction that better is positive.

    :param metric: name of the metric.
    :param opponent: ``champion`` or ``baseline``.
    :param value: the difference; ``None`` where it cannot be computed.
    :param interval: its interval, from the same rows in pairs.
    :param n: how many carry the difference: positives for a recall, entities where rows share one.
    :param unit: what is counted; ``rows`` also in records of before.
    :param rows: held-out rows, the same for both; ``None`` in records of before, where ``n`` says it.
    :param reason: why there is no interval.
    :param resamples: bootstrap resamples, in records of before.
    :param opponent_value: the opponent's metric on those rows.
    :param note: which held-out rows are not among them, and why; empty: all are.
    """

    metric: str
    opponent: str
    value: float | None
    interval: Interval | None
    n: int
    unit: str = Field(default=ROWS, exclude_if=ROWS.__eq__)
    rows: int | None = Field(default=None, exclude_if=lambda rows: rows is None)
    reason: str = Field(default="", exclude_if="".__eq__)
    resamples: int = 0
    opponent_value: float | None = None
    error: str = ""
    note: str = ""

    @property
    def on_rows(self) -> int:
        """All rows it was computed on."""
        return self.n if self.rows is None else self.rows

    def on(self, rows: str = "rows") -> str:
        """Return what carries the difference, such as ``18 positives of 200 rows``.

        :param rows: what the rows are called.
        """
        return counted(self.n, self.unit, self.on_rows, rows)


class Latency(Record):
    """Prediction time per sample.

    :param ms_per_sample: median over the repeats of (time of one call / rows in the call), in milliseconds.
    :param rows: rows in one call.
    :param repeats: number of timed calls.
    """

    ms_per_sample: float
    rows: int
    repeats: int


class ModelCard(Record):
    """What a reader must know before using the model."""

    intended_use: str
    limitations: str
    training_data_description: str
    evaluation_results: str

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the fields that say nothing."""
        return tuple(name for name in type(self).model_fields if not str(getattr(self, name)).strip())


class UnansweredClass(Record):
    """A class that a model answered no held-out row with, though some are of it.

    :param label: the class.
    :param rows: held-out rows of it.
    """

    label: str | int | float | bool
    rows: int = Field(ge=1)


def rows_since_onset(onset: datetime, judged: int, held_out: int) -> str:
    """Return what judged rows are called, such as ``held-out rows since 2026-04-07 00:00 UTC``.

    :param judged: how many of them are judged on, the latest.
    :param held_out: held-out rows since the onset.
    """
    latest = f", the latest of {held_out:,}" if held_out > judged else ""
    return f"held-out rows since {onset:%Y-%m-%d %H:%M} UTC{latest}"


class Evaluation(Record):
    """The best candidate, judged on held-out rows that nothing was ever fitted on.

    :param chosen: the candidate with the best cross-validation mean.
    :param ranking: all candidates' labels with their CV mean, best first.
    :param metrics: held-out metrics, each with its interval where it has one; the gate decides by
        these. Where the snapshot has recent rows, they and both differences are on the recent held-out ones.
    :param recent_held_out: how many recent held-out rows that are; 0 where all held-out rows are judged on.
    :param onset: since when these rows are, where they are those since an onset.
    :param since_onset: how many held-out rows there are since then: the judged ones are the latest of them.
    :param overall: the same metrics on all held-out rows, for information, where the gate's are on recent
        ones.
    :param gap: train score minus the score on all held-out rows of the spec's metric, or on those since the
        onset where these decide, in the direction that overfitting is positive.
    :param baseline: difference to a model that knows nothing (DummyClassifier / DummyRegressor).
    :param champion: the champion it was compared with; ``None`` on the first run.
    :param against_champion: difference to that champion on the same rows.
    :param contract_changes: how the request contract differs from that champion's, one sentence for each
        thing that a person must answer for; ``None``: the two were not compared.
    :param unanswered: classes that the model knows and answered no held-out row with though some are of
        them, the most frequent first.
    :param rarest_class: share of the snapshot's rows that its rarest class has; ``None`` for numbers.
    :param latency: prediction time per sample.
    :param compiled: how the compiled form was found equal, or why there is none; ``None`` where the bundle
        says nothing of one.
    :param card: the model card, filled from the spec, the snapshot and these numbers.
    """

    model: str
    snapshot_digest: Digest
    chosen: TrainedModel
    ranking: tuple[tuple[str, float], ...]
    metrics: tuple[MetricValue, ...]
    recent_held_out: int = Field(default=0, ge=0)
    onset: Moment | None = Field(default=None, exclude_if=lambda given: given is None)
    since_onset: int = Field(default=0, ge=0, exclude_if=(0).__eq__)
    overall: tuple[MetricValue, ...] = ()
    gap: float | None
    baseline: PairedDifference
    champion: Champion | None = None
    against_champion: PairedDifference | None = None
    contract_changes: tuple[str, ...] | None = None
    unanswered: tuple[UnansweredClass, ...] = Field(default=(), exclude_if=().__eq__)
    rarest_class: float | None = Field(default=None, gt=0, le=1, exclude_if=lambda share: share is None)
    latency: Latency
    compiled: CompiledEquality | None = None
    card: ModelCard
    evaluated_at: Moment

    def metric(self, name: str) -> MetricValue | None:
        """Return a held-out metric by name, or ``None``."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    @property
    def judged_on(self) -> str:
        """Which rows the metrics are on: ``held out``, or ``on 123 recent held-out rows``."""
        return f"on {self.recent_held_out:,} {self.judged_rows}" if self.recent_held_out else "held out"

    @property
    def judged_rows(self) -> str:
        """What the rows are called that the metrics are on, such as ``recent held-out rows``."""
        if self.onset is not None:
            return rows_since_onset(self.onset, self.recent_held_out, self.since_onset)
        return "recent held-out rows" if self.recent_held_out else "held-out rows"

    @property
    def faults(self) -> tuple[str, ...]:
        """Why a comparison has no value, one sentence each: such an evaluation is never reused."""
        return tuple(
            f"no comparison with the {one.opponent}: {one.error or 'it has no value'}"
            for one in (self.baseline, self.against_champion)
            if one is not None and one.value is None
        )
