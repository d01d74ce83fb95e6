"""The ``monitoring`` block: what is watched while a model serves, and what follows from it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from windsock.spec.base import Frozen
from windsock.spec.durations import Duration, parse_duration
from windsock.spec.faults import NotAllowedError
from windsock.spec.words import Switch
from windsock.spec.zones import is_zone

SLICE = timedelta(hours=1)
"""What is counted at once, where windows are not shorter."""
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
SHORTEST, DAY = timedelta(seconds=10), timedelta(days=1)


class LabelsBlock(Frozen):
    """Where the truth about past predictions arrives."""

    kind: Literal["outcomes", "table", "file"] = Field(
        default="outcomes", description="posted to the server, in a table, or in a file"
    )
    conn_id: str | None = Field(default=None, description="for a table: the Airflow connection")
    table: str | None = Field(default=None, description="for a table: its name")
    path: str | None = Field(default=None, description="for a file: its place (CSV or Parquet)")
    prediction_id: str = Field(default="prediction_id", description="column that names the prediction")
    outcome: str = Field(default="outcome", description="column that holds the truth")
    label_time: str | None = Field(
        default=None, description="column that says when the label was known; default: always"
    )

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        needed = {"table": ("conn_id", "table"), "file": ("path",)}.get(self.kind, ())
        for name in needed:
            if getattr(self, name) is None:
                raise NotAllowedError(
                    f"labels of kind {self.kind} need `{name}`", cure=f"add `{name}`", at=("kind",)
                )
        return self


class DriftBlock(Frozen):
    """When a window has drifted."""

    method: Literal["counts", "exact", "evidently"] = Field(
        default="counts",
        description="counts of all rows, exact tests on a sample, or Evidently's presets on a sample",
    )
    q: float = Field(
        default=0.02, gt=0, lt=1, description="false discovery rate over the columns (Benjamini-Hochberg)"
    )
    ks: float = Field(
        default=0.05, ge=0, le=1, description="numbers: smaller KS distances are no drift, however sure"
    )
    cramers_v: float = Field(
        default=0.1, ge=0, le=1, description="categories: a smaller Cramer's V is no drift, however sure"
    )
    columns: int = Field(default=1, ge=1, description="columns that must drift before the window has")
    rules: dict[Literal["drift_score", "drift_ratio"], float] = Field(
        default_factory=dict,
        description="decide by these instead: drift_score (mean PSI, usual 0.25), drift_ratio (usual 0.3)",
    )
    predictions: Switch = Field(default=True, description="compare the scores with those on held-out rows")
    minimum_rows: int | None = Field(
        default=None, ge=1, description="fewer rows give no verdict; default: calibrated in training"
    )
    sample_rows: int = Field(
        default=20_000, ge=100, le=1_000_000, description="rows for exact tests and for the report"
    )
    report: Switch = Field(default=True, description="write Evidently's HTML report to MLflow on drift")


class BusinessBlock(Frozen):
    """A number of the business, from the answers and their labels."""

    name: str = Field(default="business", min_length=1, max_length=100, description="its name in reports")
    sql: str = Field(
        min_length=1,
        description="one number, in SQL over `predictions` (answers with outcome), such as "
        "avg(outcome::double)",
    )
    minimum: float | None = Field(default=None, description="less is an alarm")
    maximum: float | None = Field(default=None, description="more is an alarm")


class RateBlock(Frozen):
    """Positive outcomes for each answer that was given, such as clicks for each impression."""

    baseline: float = Field(gt=0, le=1, description="the usual rate, such as 0.05")
    share: float = Field(default=0.8, gt=0, le=1, description="less than this share of it is an alarm")
    window: Duration = Field(default="1h", description="how far back the rate looks")
    attribution: Duration | None = Field(
        default=None,
        description="how long after its answer an outcome counts; younger answers wait; default: always",
    )


class PerformanceBlock(Frozen):
    """When answers have become worse."""

    window: Duration = Field(default="7d", description="how far back realised metrics look")
    last: int | None = Field(default=None, ge=1, description="or only the last so many labelled rows")
    coverage: float = Field(
        default=0.5, ge=0, le=1, description="share of labelled answers below which there is no verdict"
    )
    drop: float = Field(default=0.05, ge=0, description="loss of the metric against the accepted baseline")
    trend: float = Field(
        default=0.02, ge=0, description="loss along the line through the last 30 judged windows"
    )
    estimate_sd: float = Field(
        default=3.0,
        gt=0,
        description="estimates so many standard deviations worse than the reference are an alarm",
    )
    latency_p95_ms: float = Field(
        default=100.0, gt=0, description="95 % quantile of a request's time in the server"
    )
    score_anomaly: float = Field(
        default=0.1, ge=0, le=1, description="KS distance of the scores against the windows before"
    )
    rate_anomaly: float = Field(
        default=4.0, gt=1, description="so many times more or fewer rows than usual are an alarm"
    )
    business: BusinessBlock | None = Field(default=None, description="a number of the business")
    positive_rate: RateBlock | None = Field(default=None, description="alarm on a falling rate, such as CTR")


class RetrainBlock(Frozen):
    """When a retrain follows, and on which rows."""

    triggers: tuple[Literal["drift", "performance"], ...] = Field(
        default=("drift", "performance"), description="what may ask for a retrain; empty: nothing"
    )
    windows: int = Field(default=2, ge=1, le=100, description="K: bad windows, the latest among them ...")
    of: int = Field(default=2, ge=1, le=100, description="N: ... of the last so many judged ones")
    cooldown: Duration = Field(default="1d", description="shortest time between two retrains of drift")
    per_day: int = Field(default=1, ge=1, le=1000, description="most retrains of drift in 24 hours")
    breaker: int = Field(
        default=2, ge=1, le=100, description="retrains in a row that did not help, after which none follows"
    )
    recent: Duration = Field(default="30d", description="labelled answers so far back are mixed in")
    history: float | None = Field(
        default=None, ge=0, description="most rows of the source for each recent one; default: all of them"
    )

    @model_validator(mode="after")
    def _k_of_n(self) -> Self:
        if self.windows > self.of:
            raise NotAllowedError(
                f"{self.windows} of {self.of} windows cannot be", allowed=f"1 to {self.of}", at=("windows",)
            )
        return self


class MonitoringBlock(Frozen):
    """What is watched while the model serves."""

    data_drift: Switch = Field(default=True, description="compare what is asked with what was trained on")
    performance_tracking: Switch = Field(
        default=True, description="compare answers with the truth that arrives later"
    )
    window: Duration = Field(default="1d", description="how much of the prediction log is judged at a time")
    lateness: Duration | None = Field(
        default=None,
        description="how long after its end a window is judged, at most a window; default: a minute",
    )
    timezone: str = Field(
        default="UTC",
        description="whose hours of the day people keep, for windows shorter than a day",
        exclude_if="UTC".__eq__,
    )
    labels: LabelsBlock = Field(default=LabelsBlock(), description="where the truth arrives")
    drift: DriftBlock = Field(default=DriftBlock(), description="when a window has drifted")
    performance: PerformanceBlock = Field(
        default=PerformanceBlock(), description="when answers have become worse"
    )
    retrain: RetrainBlock = Field(default=RetrainBlock(), description="when a retrain follows")
    alert_channel: str | None = Field(default=None, description="where alerts go, such as '#ml-alerts'")
    alert_repeat: Duration = Field(default="1d", description="how often an alert that stands is told again")
    alert_insufficient: int | None = Field(
        default=7,
        ge=1,
        le=1000,
        description="windows in a row without a verdict that are an alert, over 1 to 14 days; null: never",
    )

    @property
    def is_on(self) -> bool:
        """Whether anything is watched at all."""
        return self.data_drift or self.performance_tracking

    @property
    def window_length(self) -> timedelta:
        """Length of a window."""
        return parse_duration(self.window)

    @property
    def lateness_allowance(self) -> timedelta:
        """How long after its end a window is judged: as asked, else a minute or a tenth of a short window."""
        if self.lateness is not None:
            return parse_duration(self.lateness)
        return min(timedelta(minutes=1), self.window_length / 10)

    @property
    def slice_length(self) -> timedelta:
        """What is counted at once: the longest stretch that both a window and an hour are multiples of."""
        from math import gcd

        seconds = gcd(int(self.window_length.total_seconds()), int(SLICE.total_seconds()))
        return timedelta(seconds=seconds)

    def window_end(self, now: datetime) -> datetime:
        """Return the end of the last window that is closed and whose rows can all be there.

        Windows follow each other from 1970 on, in UTC: those of a day begin at midnight.
        """
        passed = (now - self.lateness_allowance) - EPOCH
        return EPOCH + (passed // self.window_length) * self.window_length

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if not is_zone(self.timezone):
            allowed = "a name of the IANA database, such as Europe/Berlin"
            raise NotAllowedError(f"time zone {self.timezone!r}", allowed=allowed, at=("timezone",))
        if self.window_length < SHORTEST:
            raise NotAllowedError(f"a window of {self.window}", allowed="10s or more", at=("window",))
        if self.lateness_allowance > self.window_length:
            raise NotAllowedError(
                f"lateness {self.lateness} is longer than the window {self.window}",
                allowed=f"up to {self.window}",
                at=("lateness",),
            )
        return self
