"""Records of monitoring: what was seen in a window, and what is to be done about it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

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
from windsock.records.data import ColumnKind
from windsock.spec import ModelSpec


class Severity(StrEnum):
    """How much a finding matters; drift counts for more in columns that the model leans on."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


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
    :param unseen_share: rows of categories that training did not know.
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
    :param status: ``fail``: drift; ``insufficient``: too few rows, no live version, no profile; ``error``:
        the log could not be counted.
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
        check could be made, whatever is estimated.
    :param rows: answered rows of the champion in the look-back.
    :param labelled: of those, rows with a label by now.
    :param coverage: ``labelled / rows``.
    :param label_age_hours: median time from the answer to its label, in hours.
    :param realised: metrics on the labelled rows, with intervals; empty below the asked coverage.
    :param baseline: the same metrics on the held-out rows.
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
    estimated: tuple[MetricValue, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    findings: tuple[str, ...] = ()
    reason: str
    judged_at: Moment


WindowKind = Literal["drift", "performance"]


class WindowVerdict(Record):
    """One judged window as the control database keeps it.

    :param numbers: what charts show over time: ``drift_score``, ``drift_ratio``, ``rows``,
        ``realised:roc_auc``, ``estimated:roc_auc`` and the like.
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
    judged_at: Moment

    def stands_against(self, later: WindowVerdict) -> bool:
        """Return whether this verdict stands when the same window is judged again.

        The first one of a drift window stands, and the latest of a performance window, for labels arrive. An
        error stands against nothing, and replaces nothing. What was judged by a clock that was ahead does not
        stand, whatever it says: neither later than the other verdict was, nor before the window's end.
        """
        if self.status is Status.ERROR or later.is_sooner_than(self):
            return False
        return self.kind == "drift" or later.status is Status.ERROR

    def is_sooner_than(self, other: WindowVerdict) -> bool:
        """Return whether this one was judged in its time, and the other by a clock that was ahead."""
        if self.window.end > self.judged_at:
            return False
        return self.judged_at < other.judged_at or other.window.end > other.judged_at


class EpisodeState(StrEnum):
    """What became of an episode."""

    ANNOUNCED = "announced"
    CLAIMED = "claimed"
    CLOSED = "closed"


class RetrainOutcome(StrEnum):
    """What an episode came to; only the first helped."""

    PROMOTED = "promoted"
    QUEUED = "queued"
    """The new version waits for its rollout or is in it: says nothing until that has ended."""
    KEPT = "kept"
    REFUSED = "refused"
    FAILED = "failed"
    """A fault, or a run that was lost: says nothing about whether retraining helps."""
    SUPERSEDED = "superseded"
    """Never claimed: another version serves by now, or the retrain of another episode answers it."""


class Episode(Record):
    """One stretch of drift or loss, or one event from outside, that asks for one retrain.

    :param key: unique for the model: the version that serves and the first window of the stretch, or the
        event's own id; a doubled event has the same.
    :param digest: bundle of the version that serves.
    :param trigger: ``drift``, ``performance``, or ``event`` from outside.
    :param span: from the first bad window's start to the last one's end.
    :param announced: how often its event was sent.
    :param claimed_by: the DAG run that has it, or had it.
    :param forgiven_by: who has reset the breaker since: it does not count for it any more.
    """

    model: str
    key: str
    digest: str
    trigger: Literal["drift", "performance", "event"]
    span: Span
    state: EpisodeState = EpisodeState.ANNOUNCED
    opened_at: Moment
    announced: int = Field(default=0, ge=0)
    claimed_by: str | None = None
    claimed_at: Moment | None = None
    outcome: RetrainOutcome | None = None
    closed_at: Moment | None = None
    forgiven_by: str | None = None


class DecideRetrainInput(Record):
    """Input of ``decide_retrain``.

    :param event_id: id of an event from outside that asks for a retrain; ``None``: the judged windows ask.
    """

    spec: ModelSpec
    event_id: str | None = Field(default=None, min_length=1, max_length=1_000)
    run: RunContext = RunContext()


class RetrainOrder(StrEnum):
    """What the trigger policy says."""

    GRANT = "grant"
    """An episode is announced: a retrain may claim it."""
    WAIT = "wait"
    """Nothing asks for one."""
    HOLD = "hold"
    """Something asks for one, and cooldown, budget or breaker forbids it."""


class RetrainDecision(Record):
    """Whether a retrain is announced, and why.

    :param episode: the episode announced now, again or for the first time; ``None`` unless granted.
    :param breaker: whether retrains that did not help have stopped the loop: a person must look.
    :param not_before: when cooldown or budget allow the next one.
    """

    model: str
    order: RetrainOrder
    reason: str
    episode: Episode | None = None
    breaker: bool = False
    not_before: Moment | None = None
    decided_at: Moment


class ClaimRetrainInput(Record):
    """Input of ``claim_retrain``.

    :param episode_key: the event's episode; without it and ``event_id`` the model is claimed for a retrain
        that is on schedule or by hand.
    :param event_id: the own id of an event from outside that no decision has announced: the trigger policy is
        applied to it first.
    :param dry_run: whether the run stops after the gate: it needs no server then.
    """

    spec: ModelSpec
    episode_key: str | None = None
    event_id: str | None = Field(default=None, min_length=1, max_length=1_000)
    dry_run: bool = False
    run: RunContext = RunContext()


class RetrainClaim(Record):
    """Whether this run may retrain the model: one at a time, whichever DAG holds it; one for each episode.

    :param granted: whether the run goes on.
    :param holder: the run that asked: ``DAG_ID/RUN_ID``.
    :param recent: the stretch whose labelled rows are mixed in, and on whose held-out rows the gate decides;
        ``None`` for a retrain without an episode.
    :param claimed_at: when it was granted first, or refused now.
    :param findings: what the retrain will need at its end and lacks now.
    """

    model: str
    granted: bool
    reason: str
    holder: str
    episode: Episode | None = None
    recent: Span | None = None
    claimed_at: Moment
    findings: tuple[str, ...] = ()


class CloseRetrainInput(Record):
    """Input of ``close_retrain``.

    :param claim: what ``claim_retrain`` gave; a claim that was not granted closes nothing.
    :param outcome: what the retrain came to.
    """

    spec: ModelSpec
    claim: RetrainClaim
    outcome: RetrainOutcome
    run: RunContext = RunContext()


class RetrainEnd(Record):
    """A retrain gave its claim back.

    :param outcome: what the caller said it came to.
    """

    model: str
    holder: str
    episode_key: str | None = None
    outcome: RetrainOutcome
    closed_at: Moment


class Alert(Record):
    """Something that a person must know.

    :param key: what it is about, such as ``drift`` or ``performance:latency_p95``; one alert for each,
        however often it is seen.
    :param text: a few plain sentences; never a row's value, never a secret.
    :param channel: name of the channel of the shared file; ``None``: the default connection.
    :param runbook: where on-call reads on.
    :param episode: the retrain episode that it belongs to, once there is one.
    :param state: ``firing``, or ``resolved`` once it is over.
    :param first_at: when it began to fire.
    :param last_at: when it was seen last.
    :param sent_at: when a channel took it last; ``None``: none ever did.
    :param times: how often a channel took it.
    :param pending: whether what stands here has still to be sent; tried again by the next run.
    """

    model: str
    key: str
    severity: Severity
    title: str
    text: str
    owner: str
    channel: str | None = None
    runbook: str = ""
    episode: str | None = None
    state: Literal["firing", "resolved"] = "firing"
    first_at: Moment
    last_at: Moment
    sent_at: Moment | None = None
    times: int = Field(default=0, ge=0)
    pending: bool = False
    resolved_at: Moment | None = None

    def tells_more(self, before: Alert | None) -> bool:
        """Return whether this is more than the same alert, seen once again."""
        return before is None or self.model_dump(exclude={"last_at", "text"}) != before.model_dump(
            exclude={"last_at", "text"}
        )


__all__ = [
    "Alert",
    "CheckDriftInput",
    "CheckPerformanceInput",
    "ClaimRetrainInput",
    "CloseRetrainInput",
    "ColumnDrift",
    "DecideRetrainInput",
    "DriftReport",
    "Episode",
    "EpisodeState",
    "PerformanceReport",
    "RetrainClaim",
    "RetrainDecision",
    "RetrainEnd",
    "RetrainOrder",
    "RetrainOutcome",
    "Severity",
    "Span",
    "WindowKind",
    "WindowVerdict",
]
