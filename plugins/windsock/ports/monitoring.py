"""Ports: windows of the prediction log, labels, and what the monitor keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

from windsock.records import (
    Alert,
    DriftProfile,
    DriftReport,
    Episode,
    InputSchema,
    PairedDifference,
    RetrainClaim,
    RetrainOutcome,
    Span,
    WindowKind,
    WindowVerdict,
)
from windsock.records.accepted_drift import Accepted
from windsock.records.monitoring import JudgedWindow
from windsock.records.retraining import Lease
from windsock.spec import LabelsBlock, ModelSpec
from windsock.statistics.counting import WindowCounts

if TYPE_CHECKING:
    import pandas as pd


class WindowCounter(Protocol):
    """Counts stretches of the prediction log against a profile; what is counted once is stored."""

    def count(self, model: str, digest: str, profile: DriftProfile, span: Span) -> WindowCounts:
        """Return the counts of a closed stretch.

        Closed slices (an hour, or less where windows are shorter) are counted once and stored; the stretch
        is their sum. What ends in the future, or before its rows can all be on the disk, is counted but not
        stored.

        :param digest: bundle that the profile belongs to; scores and predictions are of its rows only.
        :raises StorageError: if the log cannot be read.
        """
        ...

    def without_rows(self, model: str, spans: Sequence[Span]) -> frozenset[Span]:
        """Return those of some stretches in which the log has no row and no damaged line.

        :raises StorageError: if the log cannot be read.
        """
        ...

    def begins(self, model: str) -> datetime | None:
        """Return when the log that is kept begins: its first hour; ``None`` where there is none.

        :raises StorageError: if the log cannot be read.
        """
        ...


class PredictionRows(Protocol):
    """Rows of the prediction log, for what counts cannot tell."""

    def sample(
        self, model: str, span: Span, *, schema: InputSchema, digest: str | None = None, limit: int, seed: int
    ) -> pd.DataFrame:
        """Return rows: a column for each field of the schema, typed as training saw it, and ``score``.

        :param digest: only rows that this bundle answered; ``None``: all but shadows.
        :param limit: a random sample of as many, where there are more.
        """
        ...

    def labelled(
        self,
        model: str,
        span: Span,
        labels: LabelsBlock,
        *,
        schema: InputSchema,
        digest: str | None = None,
        as_of: datetime,
        features: bool = True,
    ) -> LabelledRows:
        """Join answers to the labels that are known by a time, by prediction id (or unit, with event id).

        An answer's label is the latest one for its prediction id; of those of one time, or of none, the last
        one in a file. A label with a unit and no prediction id belongs to the latest answer to that unit
        before the label's time.

        :param schema: of the model: labels contradict each other if they mean different things to it.
        :param digest: only rows that this bundle answered; ``None``: all but shadows.
        :param as_of: labels received later are not seen: what was known then is what is judged.
        :param features: whether to read features as well; without them it is much cheaper.
        :raises StorageError: if the log cannot be read.
        :raises SourceUnavailableError: if the table or the file of the labels does not answer.
        :raises MonitoringError: if the table or the file of the labels is not there or lacks a column.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """Answers and labels.

    :param frame: one row for each answered row: ``prediction_id, unit, receive_time, version, digest,
        variant, fallback_for, event_time, score, prediction, inference_ms, request_ms, outcome`` (a JSON
        scalar as it came, or ``None``), ``label_time``; in the order of ``receive_time``. Where features were
        asked for, also ``features``: for a row with a label the values as they were logged, by name
        (encrypted ones as they were before, or ``None``), else ``None``.
    :param unknown: labels whose prediction id, or whose unit, is not in the log: neither in the span nor in
        one as long before it.
    :param duplicates: labels that a later one for the same answer replaced, and labels that came twice.
    :param late: labels that came after ``as_of``.
    :param conflicting: answers with labels that mean different things and have the same time, or none: none
        of them counts.
    :param by_order: answers with such labels in a file, where the last one counts.
    :param unusable: labels without an outcome, or with neither a prediction id nor a unit.
    :param undated: labels without a time that can be read, where labels have one.
    :param repeated: answers whose prediction id a later answer has, too; the later one counts.
    :param damaged: lines of the log that could not be read.
    :param cut: since when rows were read, where the span has more of them than fit into memory.
    """

    frame: pd.DataFrame
    unknown: int = 0
    duplicates: int = 0
    late: int = 0
    conflicting: int = 0
    by_order: int = 0
    unusable: int = 0
    undated: int = 0
    repeated: int = 0
    damaged: int = 0
    cut: datetime | None = None


class BusinessQuery(Protocol):
    """Computes a number of the business."""

    def number(self, sql: str, frame: pd.DataFrame) -> float | None:
        """Return the one number that a query gives over the table ``predictions``.

        :param sql: a query of one value, or an expression such as ``avg(outcome::double)``.
        :param frame: the rows of ``predictions``. Columns of values of one kind have its type; of several
            kinds, text.
        :returns: ``None`` for null: the rows do not define it.
        :raises MonitoringError: if the query fails, takes too long or gives another thing than one number.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One range, value or category of a column.

    :param reference: its share of the rows that the window is held against.
    :param current: its share of the window's rows.
    """

    label: str
    reference: float
    current: float


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A column as it was and as it is.

    :param is_ordered: whether the bars lie on a scale, as ranges of a number do.
    """

    name: str
    bars: tuple[Bar, ...]
    is_ordered: bool
    reference_rows: int
    current_rows: int


class DriftReporter(Protocol):
    """Writes the report that people look at, and judges where the spec asks for it."""

    def html(self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema) -> bytes:
        """Return the tool's own HTML report.

        :raises MonitoringError: if the tool fails; the verdict stands without it.
        """
        ...

    def page(
        self, report: DriftReport, shown: Sequence[Distribution], *, other: bytes | None, why: str = ""
    ) -> bytes:
        """Return the page: the verdict with its columns and checks first, the tool's own report below it.

        :param shown: the distributions that are drawn.
        :param other: the tool's report; ``None``: there is none.
        :param why: why there is none.
        """
        ...

    def drifted(
        self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema
    ) -> Mapping[str, tuple[bool, float]]:
        """Return for each column whether it drifted by the tool's own rule, and its statistic.

        :raises MonitoringError: if the tool fails.
        """
        ...


Samples: TypeAlias = Mapping[str, Sequence[tuple[Mapping[str, str], float]]]
"""By a gauge's name, the labels and the value of each of its samples."""


class Gauges(Protocol):
    """Numbers that the server shows to Prometheus."""

    def set(self, model: str, samples: Samples) -> None:
        """Replace a model's samples of some gauges, all at once; gauges of other names stay.

        :param samples: by the gauge's name, the labels beside ``model`` and the value of each sample; none
            clears the gauge.
        :raises ServerUnavailableError: if the server does not answer, or does not take them: none is set.
        :raises SettingsError: if it does not take the admin token.
        """
        ...


class Monitor(Protocol):
    """What the monitor keeps in the control database: windows, episodes, claims, alerts."""

    def windows(
        self, model: str, kind: WindowKind | None = None, *, since: datetime | None = None
    ) -> tuple[WindowVerdict, ...]:
        """Return judged windows in the order of their end."""
        ...

    def judged(self, since: Mapping[str, datetime]) -> Mapping[str, tuple[JudgedWindow, ...]]:
        """Return of some models which windows were judged that ended at a time or later: cheap for many.

        :param since: that time, by the model's name.
        """
        ...

    def add_window(self, verdict: WindowVerdict) -> WindowVerdict:
        """Keep a window's verdict: the first one of a drift window stands, the latest of a performance one.

        An ``error`` never stands: a later verdict of the window replaces it. Neither does what a clock that
        was ahead let judge: a verdict that was judged sooner, and after the window's end, replaces it. Nor
        does ``empty``, where rows are judged after all.
        """
        ...

    def episodes(self, model: str) -> tuple[Episode, ...]:
        """Return a model's episodes in the order in which they were opened."""
        ...

    def open_episodes(self) -> tuple[Episode, ...]:
        """Return the episodes of all models that are announced or claimed."""
        ...

    def announce(self, episode: Episode) -> Episode:
        """Open an episode, or count one more announcement of an open one; return what stands.

        A model has one open episode at a time: where there is one, it stands, and an event from outside is
        kept as answered by it. What stands may be closed: its key had its retrain, or its windows had.
        """
        ...

    def sweep(
        self,
        model: str,
        *,
        digest: str | None,
        now: datetime,
        ended: Mapping[str, RetrainOutcome] | None = None,
        accepted_until: Accepted | None = None,
    ) -> tuple[Episode, ...]:
        """Close what nobody will close; return it.

        An episode whose run was lost (its lease has run out) failed. One that nobody claimed is superseded
        once another version than the one it is about serves. One whose version waited for its rollout has
        the outcome of that by now.

        :param digest: bundle that serves; ``None``: none, or not known.
        :param ended: what retrains came to by the end of a rollout, by the holder of the claim.
        :param accepted_until: up to when a person has accepted drift and loss: what was announced for them up
            to then is superseded.
        """
        ...

    def lease(self, model: str) -> Lease | None:
        """Return who has the model claimed, whether that is over by now or not; ``None``: nobody."""
        ...

    def claim(self, spec: ModelSpec, *, episode_key: str | None, holder: str, now: datetime) -> RetrainClaim:
        """Claim a model for one retrain, and an episode with it, in one transaction.

        Refused while another holder has the model (until its lease ends), for an episode that is claimed,
        closed or unknown, and where budget, cooldown or breaker forbid it by now. The same holder's claim
        stands, and lengthens its lease.
        """
        ...

    def renew(self, model: str, *, holder: str, until: datetime, now: datetime) -> bool:
        """Let a holder that will wait for long keep its claim; return whether it has one.

        A holder without a claim changes nothing. A lease is never made shorter by this.

        :param until: when the holder is to be given up for lost.
        """
        ...

    def close(
        self,
        model: str,
        *,
        holder: str,
        outcome: RetrainOutcome,
        now: datetime,
        difference: PairedDifference | None = None,
    ) -> None:
        """Give a claim back and close its episode; a holder that has none changes nothing.

        A run that was given up for lost, and still comes to an end, has its outcome kept.

        :param difference: of its version to the champion, where the gate kept or refused it.
        """
        ...

    def reset(self, model: str, *, actor: str) -> int:
        """Let the breaker forget every closed episode; return how many were forgiven.

        Cooldown and budget stay, but for claims that lie in the future because a clock was wrong.

        :param actor: the person who says so, by user id.
        """
        ...

    def alerts(self, model: str, *, firing: bool | None = None) -> tuple[Alert, ...]:
        """Return the present state of a model's alerts, the one that was seen last at the end.

        A row that cannot be read is none of them: it hides no other.
        """
        ...

    def unreadable_alerts(self, model: str) -> int:
        """Return how many rows of a model's alerts cannot be read."""
        ...

    def alerted(self) -> tuple[str, ...]:
        """Return the names of all that alerts are kept about, in order."""
        ...

    def put_alert(self, alert: Alert) -> Alert:
        """Keep an alert's present state under its key; what is new about it goes to the history."""
        ...

    def alert_history(self, model: str, *, limit: int = 100) -> tuple[Alert, ...]:
        """Return the latest changes of a model's alerts, the latest last."""
        ...
