"""Records of a backtest: what a replayed history would have shown, and what retraining would have changed."""

from __future__ import annotations

from pydantic import Field

from windsock.records.alerts import Alert
from windsock.records.base import Interval, MetricValue, Moment, Record, Span, Status
from windsock.records.episodes import Episode, RetrainDecision, RetrainOrder, RetrainOutcome
from windsock.records.monitoring import DriftReport, PerformanceReport, WindowVerdict
from windsock.records.training import PairedDifference


class RetrainTrial(Record):
    """A retrain that would have been granted.

    :param version: what the retrained model is called here; empty where none was fitted.
    :param outcome: ``promoted``: it beat the champion on recent held-out rows and passed the gate's minimums;
        ``kept``: it did not; ``too_few``: it did not, and the rows since the onset could not have shown
        a gain that matters; ``failed``: nothing was fitted, so nothing is known.
    :param rows: rows that it was fitted on.
    :param recent_rows: labelled answers that were mixed in, held-out ones included.
    :param onset: since when answers were learned from apart, and decided; ``None``: all recent ones decided.
    :param difference: retrained minus champion on the held-out rows that decide.
    :param findings: what came from where, and what was left out.
    """

    episode_key: str
    at: Moment
    version: str = ""
    outcome: RetrainOutcome
    reason: str
    rows: int = Field(default=0, ge=0)
    recent_rows: int = Field(default=0, ge=0)
    onset: Moment | None = None
    difference: PairedDifference | None = None
    findings: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What it came to, for people: where nothing was fitted, no retrain was tried."""
        is_untried = self.outcome is RetrainOutcome.FAILED and not self.version
        return "not tried" if is_untried else self.outcome.value


class Comparison(Record):
    """A window's rows, answered with and without retraining; labels as they are known at the history's end.

    :param version: the retrained model in force.
    :param kept: the metric of the champion that the history began with.
    :param retrained: the metric of the retrained model.
    """

    version: str
    kept: MetricValue
    retrained: MetricValue


class BacktestWindow(Record):
    """One replayed window.

    :param judged_at: its end and the lateness allowance: what was known then is what is judged by.
    :param version: what served; empty where nothing did.
    :param again: what the same run said of earlier windows, for labels had come.
    :param alerts: what a person would have been told by that run.
    :param metric: the metric that is judged: the spec's, or the first that the history can tell.
    :param baseline: that metric, as the window was held against it.
    :param band: between what an estimate of it is no alarm.
    """

    window: Span
    judged_at: Moment
    version: str = ""
    drift: DriftReport | None = None
    performance: PerformanceReport | None = None
    again: tuple[WindowVerdict, ...] = ()
    alerts: tuple[Alert, ...] = ()
    decision: RetrainDecision
    trial: RetrainTrial | None = None
    compared: Comparison | None = None
    metric: str
    baseline: float | None = None
    band: Interval | None = None

    @property
    def rows(self) -> int:
        """Answered rows of the window."""
        return self.drift.rows if self.drift else 0

    def realised(self) -> MetricValue | None:
        """Return the realised metric of the look-back, as far as labels were known."""
        return self._metric(self.performance.realised if self.performance else ())

    def estimated(self) -> MetricValue | None:
        """Return the estimated metric of the window."""
        return self._metric(self.performance.estimated if self.performance else ())

    def _metric(self, metrics: tuple[MetricValue, ...]) -> MetricValue | None:
        return next((one for one in metrics if one.name == self.metric), None)


class Backtest(Record):
    """A replayed history.

    :param history: what was replayed, in words.
    :param metric: the spec's.
    :param limits: limits that charts show: ``drift_ratio``, ``drift_score``, ``drop``.
    :param episodes: what would have asked for a retrain.
    :param retrained: whether retrains were tried.
    :param findings: what is to be known of the whole replay.
    """

    model: str
    history: str
    metric: str
    span: Span
    windows: tuple[BacktestWindow, ...] = Field(min_length=1)
    limits: dict[str, float] = Field(default_factory=dict)
    episodes: tuple[Episode, ...] = ()
    retrained: bool = False
    findings: tuple[str, ...] = ()

    @property
    def first_drift(self) -> BacktestWindow | None:
        """The first window that was judged to have drifted."""
        return next((one for one in self.windows if one.drift and one.drift.status is Status.FAIL), None)

    @property
    def first_loss(self) -> BacktestWindow | None:
        """The first window whose performance was judged to have failed."""
        return next(
            (one for one in self.windows if one.performance and one.performance.status is Status.FAIL), None
        )

    @property
    def first_episode(self) -> BacktestWindow | None:
        """The first window after which a retrain would have been asked for, granted or not."""
        return next((one for one in self.windows if one.decision.order is not RetrainOrder.WAIT), None)

    @property
    def trials(self) -> tuple[RetrainTrial, ...]:
        """The retrains that would have been granted."""
        return tuple(one.trial for one in self.windows if one.trial is not None)

    @property
    def held(self) -> dict[str, int]:
        """How many windows asked for a retrain in vain, by what held it back."""
        counts = {"breaker": 0, "cooldown": 0, "budget": 0}
        for one in self.windows:
            if one.decision.order is not RetrainOrder.HOLD:
                continue
            if one.decision.breaker:
                counts["breaker"] += 1
                continue
            for word in ("cooldown", "budget"):
                counts[word] += f"the {word} is" in one.decision.reason
        return counts


__all__ = ["Backtest", "BacktestWindow", "Comparison", "RetrainTrial"]
