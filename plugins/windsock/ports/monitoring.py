"""Ports: windows of the prediction log, labels, and what the monitor keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from windsock.records import (
    Alert,
    DriftProfile,
    Episode,
    InputSchema,
    RetrainClaim,
    RetrainOutcome,
    Span,
    WindowKind,
    WindowVerdict,
)
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
        self, model: str, span: Span, labels: LabelsBlock, *, digest: str | None = None, as_of: datetime
    ) -> LabelledRows:
        """Join answers to the labels that are known by a time, by prediction id (or unit, with event id).

        :param as_of: labels received later are not seen: what was known then is what is judged.
        :raises StorageError: if the log or the labels cannot be read.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """Answers and labels.

    :param frame: one row for each answered row: ``prediction_id, unit, receive_time, version, digest,
        variant, score, prediction, inference_ms, outcome`` (scalar or null), ``label_time``, and the
        features in a column ``features`` (dict).
    :param unknown: labels whose prediction id is not in the log.
    :param duplicates: labels that a later one for the same prediction replaced.
    :param late: labels that came after ``as_of``.
    """

    frame: pd.DataFrame
    unknown: int
    duplicates: int
    late: int


class DriftReporter(Protocol):
    """Writes the report that people look at, and judges where the spec asks for it."""

    def html(self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema) -> bytes:
        """Return the HTML report.

        :raises MonitoringError: if the tool fails; the verdict stands without it.
        """
        ...

    def drifted(
        self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema
    ) -> Mapping[str, tuple[bool, float]]:
        """Return for each column whether it drifted by the tool's own rule, and its statistic.

        :raises MonitoringError: if the tool fails.
        """
        ...


class Gauges(Protocol):
    """Numbers that the server shows to Prometheus."""

    def set(self, name: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> None:
        """Replace a gauge's samples: labels and value of each.

        :raises ServerUnavailableError: if the server does not answer.
        """
        ...


class Monitor(Protocol):
    """What the monitor keeps in the control database: windows, episodes, claims, alerts."""

    def windows(
        self, model: str, kind: WindowKind | None = None, *, since: datetime | None = None
    ) -> tuple[WindowVerdict, ...]:
        """Return judged windows in the order of their end."""
        ...

    def add_window(self, verdict: WindowVerdict) -> WindowVerdict:
        """Keep a window's verdict: the first one of a drift window stands, the latest of a performance one.

        An ``error`` never stands: a later verdict of the window replaces it.
        """
        ...

    def episodes(self, model: str) -> tuple[Episode, ...]:
        """Return a model's episodes in the order in which they were opened."""
        ...

    def announce(self, episode: Episode) -> Episode:
        """Open an episode, or count one more announcement of an open one; return what stands."""
        ...

    def claim(self, spec: ModelSpec, *, episode_key: str | None, holder: str, now: datetime) -> RetrainClaim:
        """Claim a model for one retrain, and an episode with it, in one transaction.

        Refused while another holder has the model (until its lease ends), for an episode that is claimed,
        closed or unknown, and where budget, cooldown or breaker forbid it by now. The same holder's claim
        stands.
        """
        ...

    def close(self, model: str, *, holder: str, outcome: RetrainOutcome, now: datetime) -> None:
        """Give a claim back and close its episode; a holder that has none changes nothing."""
        ...

    def alerts(self, model: str, *, firing: bool | None = None) -> tuple[Alert, ...]:
        """Return a model's alerts, the latest last."""
        ...

    def put_alert(self, alert: Alert) -> Alert:
        """Keep an alert's present state under its key, and its history."""
        ...
