"""Records of monitoring: what was seen in a window, and what is to be done about it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from pydantic import Field

from windsock.records.base import (
    CheckResult,
    Interval,
    MetricValue,
    Moment,
    Record,
    RunContext,
    Span,
    Status,
)
from windsock.records.baseline import BetterThanBroken
from windsock.records.data import ColumnKind
from windsock.spec import ModelSpec
from windsock.spec.base import is_none


class Severity(StrEnum):
    """How much a finding matters; drift counts for more in columns that the model leans on."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Return how grave it is, from 0; severities are texts, and texts compare by their letters."""
        return list(Severity).index(self)


class ColumnDrift(Record):
    """One column in one window.

    :param status: ``fail``: it drifted; ``insufficient``: too few rows to say; ``error``: it could not be
        counted.
    :param rows: rows with a usable value.
    :param p: p-value of the test (Kolmogorov-Smirnov, or chi-square on counts with unseen and null as
        categories).
    :param effect: the effect size that is held against ``limit``: KS distance, or Cramer's V.
    :param effect_interval: for a number, bounds that hold the exact KS distance.
    :param limit: largest effect size that is no drift.
    :param rejected: whether the test rejects after Benjamini-Hochberg over all columns of the window.
    :param psi: population stability index.
    :param jensen_shannon: Jensen-Shannon distance, base 2.
    :param wasserstein: Wasserstein distance in standard deviations of the reference; numbers only.
    :param null_share: rows without a value, now.
    :param reference_null_share: and in the training rows.
    :param unseen_share: rows of categories that the profile does not name.
    :param reference_unseen_share: and as many as the training rows let expect.
    :param effective_rows: how many independent rows say as much, where rows share units and are alike.
    :param importance: share of the model's permutation importance.
    :param findings: such as ``constant``, ``all_null``, ``vanished``, ``unseen``, ``absent``, ``unreadable``.
    """

    name: str
    kind: ColumnKind
    status: Status
    rows: int = Field(ge=0)
    p: float | None = None
    effect: float | None = None
    effect_interval: Interval | None = None
    limit: float | None = None
    rejected: bool | None = None
    psi: float | None = None
    jensen_shannon: float | None = None
    wasserstein: float | None = None
    null_share: float | None = None
    reference_null_share: float | None = None
    unseen_share: float | None = None
    reference_unseen_share: float | None = None
    effective_rows: float | None = None
    importance: float | None = None
    findings: tuple[str, ...] = ()


class CheckDriftInput(Record):
    """Input of ``check_drift``.

    :param window: the closed window to judge.
    """

    spec: ModelSpec
    window: Span
    run: RunContext = RunContext()
    nonce: str | None = None


class DriftReport(Record):
    """Whether a window is distributed as the training rows of the version that serves.

    :param version: the champion that it is held against; empty where there is none.
    :param digest: its bundle; empty where there is none.
    :param status: ``fail``: drift; ``insufficient``: too few rows, no live version, no profile; ``empty``: no
        row at all; ``error``: the log could not be counted.
    :param method: what judged: ``counts``, ``exact`` or ``evidently``.
    :param columns: every feature of the profile.
    :param score: the scores against those on held-out rows; ``None`` where there is nothing to compare.
    :param target: the outcomes against the target on held-out rows.
    :param checks: the dataset rules that were asked for, and those that named the verdict.
    :param drift_score: mean PSI over the columns; ``None`` where no column has one.
    :param drift_ratio: share of the judged columns that drifted.
    :param findings: what is to be known: one plain sentence each, never a row's value.
    :param report_uri: the HTML report, where one was written.
    :param run_id: the tracking run that holds it.
    """

    model: str
    version: str
    digest: str
    window: Span
    rows: int = Field(ge=0)
    status: Status
    severity: Severity = Severity.NONE
    method: str
    columns: tuple[ColumnDrift, ...] = ()
    score: ColumnDrift | None = None
    target: ColumnDrift | None = None
    checks: tuple[CheckResult, ...] = ()
    drift_score: float | None = None
    drift_ratio: float | None = None
    findings: tuple[str, ...] = ()
    reason: str
    report_uri: str | None = None
    run_id: str | None = None
    judged_at: Moment

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that drifted, the worst first."""
        found = [column for column in self.columns if column.status is Status.FAIL]
        return tuple(column.name for column in sorted(found, key=lambda one: -(one.effect or 0.0)))


class CheckPerformanceInput(Record):
    """Input of ``check_performance``.

    :param window: the closed window to estimate; realised metrics look back from its end.
    """

    spec: ModelSpec
    window: Span
    run: RunContext = RunContext()
    nonce: str | None = None


class PerformanceReport(Record):
    """How good the answers are: as far as labels tell, and as far as can be estimated without them.

    :param status: ``fail`` if a check fails; ``error`` if one could not run; ``insufficient`` if no realised
        check could be made, whatever is estimated; ``empty`` if the window has no row.
    :param rows: answered rows of the champion in the look-back.
    :param labelled: of those, rows with a label by now.
    :param lookback: the stretch whose answers are judged: its labels are complete enough by now.
    :param coverage: ``labelled / rows``.
    :param label_age_hours: median time from the answer to its label, in hours.
    :param realised: metrics on the labelled rows, with intervals; empty below the asked coverage.
    :param baseline: the same metrics, as they are asked for: of the accepted baseline.
    :param baseline_version: the version that it is of; empty: the version's own metrics on held-out rows, in
        ledgers that have no baseline yet.
    :param baseline_at: since when it is asked.
    :param better_than_broken: how the version that serves was promoted, while that loss lasts.
    :param estimated: metrics of the window by estimate (CBPE, or direct error estimate), without labels.
    :param checks: every alarm that was looked at; each is realised or estimated, never mixed.
    :param findings: labels for unknown ids, duplicates, late ones and the like, counted.
    """

    model: str
    version: str
    digest: str
    window: Span
    status: Status
    severity: Severity = Severity.NONE
    rows: int = Field(ge=0)
    labelled: int = Field(ge=0)
    coverage: float | None = None
    label_age_hours: float | None = None
    realised: tuple[MetricValue, ...] = ()
    baseline: tuple[MetricValue, ...] = ()
    baseline_version: str = Field(default="", exclude_if="".__eq__)
    baseline_at: Moment | None = Field(default=None, exclude_if=is_none)
    better_than_broken: BetterThanBroken | None = Field(default=None, exclude_if=is_none)
    estimated: tuple[MetricValue, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    lookback: Span | None = Field(default=None, exclude_if=is_none)
    findings: tuple[str, ...] = ()
    reason: str
    judged_at: Moment


WindowKind = Literal["drift", "performance"]


class EarlierVerdict(Record):
    """What was said of a window before more labels came.

    :param status: what was said.
    :param reason: and why.
    """

    status: Status
    reason: str = ""
    judged_at: Moment


class JudgedWindow(NamedTuple):
    """That a window was judged, without what was said of it."""

    kind: WindowKind
    start: datetime
    end: datetime
    status: Status


class WindowVerdict(Record):
    """One judged window as the control database keeps it.

    :param numbers: what charts show over time: ``drift_score``, ``drift_ratio``, ``rows``,
        ``realised:roc_auc``, ``estimated:roc_auc`` and the like.
    :param lookback: the stretch whose answers are judged by their labels; ``None`` for drift, and in verdicts
        of before: the look-back up to the window's end.
    :param earlier: what was said of the window before, the first at the beginning.
    """

    model: str
    kind: WindowKind
    window: Span
    version: str
    digest: str
    status: Status
    severity: Severity = Severity.NONE
    reason: str = ""
    numbers: dict[str, float] = Field(default_factory=dict)
    lookback: Span | None = Field(default=None, exclude_if=is_none)
    earlier: tuple[EarlierVerdict, ...] = Field(default=(), exclude_if=().__eq__)
    judged_at: Moment

    def stands_against(self, later: WindowVerdict) -> bool:
        """Return whether this verdict stands when the same window is judged again.

        The first one of a drift window stands, and the latest of a performance window, for labels arrive. An
        error stands against nothing, and replaces nothing. That nobody asked stands against nothing that was
        asked after all: rows came late, or a clock was ahead. What was judged by a clock that was ahead does
        not stand, whatever it says: neither later than the other verdict was, nor before the window's end.
        What was found of one version is not taken back by what another one did in that window.
        """
        if self.status is Status.ERROR or later.is_sooner_than(self):
            return False
        if self.status is Status.EMPTY and later.status not in (Status.EMPTY, Status.ERROR):
            return False
        if self.status in (Status.PASS, Status.FAIL) and later.digest != self.digest:
            return True
        return self.kind == "drift" or later.status is Status.ERROR

    def following(self, before: WindowVerdict) -> WindowVerdict:
        """Return this verdict with what was said of the window before, as far as that was another word.

        An error said nothing; neither did a clock that was ahead.
        """
        earlier = before.earlier
        if before.status not in (Status.ERROR, self.status) and not self.is_sooner_than(before):
            said = EarlierVerdict(status=before.status, reason=before.reason, judged_at=before.judged_at)
            earlier = (*earlier, said)
        return self.replace(earlier=earlier)

    def is_sooner_than(self, other: WindowVerdict) -> bool:
        """Return whether this one was judged in its time, and the other by a clock that was ahead."""
        if self.window.end > self.judged_at:
            return False
        return self.judged_at < other.judged_at or other.window.end > other.judged_at


__all__ = [
    "CheckDriftInput",
    "CheckPerformanceInput",
    "ColumnDrift",
    "DriftReport",
    "PerformanceReport",
    "Severity",
    "Span",
    "WindowKind",
    "WindowVerdict",
]
