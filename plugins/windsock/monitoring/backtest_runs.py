"""One run of the monitor in a replay: what it judges, for the first time or again, decides and tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from windsock.monitoring.alerts import conditions_of, decide_alerts, sent
from windsock.monitoring.backlog import MOST
from windsock.monitoring.check_drift import check_drift
from windsock.monitoring.check_performance import check_performance
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.monitoring.pending_windows import pending_windows
from windsock.monitoring.performance_checks import judged_metric
from windsock.ports import Ports
from windsock.records import (
    Alert,
    CheckDriftInput,
    CheckPerformanceInput,
    DecideRetrainInput,
    DriftProfile,
    DriftReport,
    Interval,
    PerformanceReport,
    RetrainDecision,
    RetrainOrder,
    Span,
    Status,
    WindowVerdict,
    live_since,
)
from windsock.records.backtest import BacktestWindow
from windsock.spec import ModelSpec, parse_duration
from windsock.statistics.estimates import estimate_reach
from windsock.statistics.seasons import like_chunks

JUDGED = (Status.PASS, Status.FAIL)
Report = TypeVar("Report", DriftReport, PerformanceReport)


class Due(NamedTuple):
    """Windows of one run.

    :param new: without any verdict, in their order.
    :param again: judged before, and open for another verdict: it could not be made.
    :param waiting: how many more are left to later runs.
    """

    new: tuple[Span, ...]
    again: tuple[Span, ...]
    waiting: int = 0


def due_windows(spec: ModelSpec, ports: Ports, left: Sequence[Span], judged: Sequence[Span]) -> Due:
    """Return what the monitor would judge by now.

    Windows that ended before the first version went live wait for nothing in production; a replay shows them.

    :param left: windows of the history without a verdict, in their order.
    :param judged: those that have one.
    """
    now, block = ports.now(), spec.monitoring
    since = live_since(ports.ledger.rows(spec.name))
    waiting = set(pending_windows(block, ports.monitor.windows(spec.name), since=since, now=now))
    closed = [one for one in left if one.end + block.lateness_allowance <= now]
    new = [one for one in closed if one in waiting or since is None or one.end <= since]
    again = tuple(one for one in judged if one in waiting)
    return Due(new=tuple(new[:MOST]), again=again, waiting=len(new[MOST:]))


def run_monitor(spec: ModelSpec, ports: Ports, due: Due) -> list[BacktestWindow]:
    """Judge windows, the old ones first, decide once and tell once, as the monitor DAG does.

    :returns: the new windows, without one nothing is done; what was judged again, decided and told is the
        last one's.
    """
    if not due.new:
        return []
    performances = [_performance(spec, ports, one) for one in due.again]
    made = [_judged(spec, ports, one) for one in due.new]
    decision = decide_retrain(DecideRetrainInput(spec=spec, waiting=due.waiting), ports, "")
    drifts = [one.drift for one in made if one.drift is not None]
    performances += [one.performance for one in made if one.performance is not None]
    alerts = _told(spec, ports, _latest(drifts), _latest(performances), decision)
    made[-1] = made[-1].replace(decision=decision, again=_superseded(spec, ports, due), alerts=alerts)
    return made


def _superseded(spec: ModelSpec, ports: Ports, due: Due) -> tuple[WindowVerdict, ...]:
    """Return the verdicts on earlier windows that this run has made."""
    now, kept = ports.now(), ports.monitor.windows(spec.name, "performance")
    return tuple(one for one in kept if one.judged_at == now and one.window not in due.new)


def _performance(spec: ModelSpec, ports: Ports, window: Span) -> PerformanceReport:
    return check_performance(CheckPerformanceInput(spec=spec, window=window), ports, "")


def _judged(spec: ModelSpec, ports: Ports, window: Span) -> BacktestWindow:
    block, now = spec.monitoring, ports.now()
    drift = performance = None
    if block.data_drift:
        drift = check_drift(CheckDriftInput(spec=spec, window=window), ports, "")
    if block.performance_tracking:
        performance = _performance(spec, ports, window)
    champion = ports.ledger.champion(spec.name)
    profile = ports.bundles.describe(champion.bundle_uri, champion.digest).profile if champion else None
    metric = _metric(spec, performance)
    return BacktestWindow(
        window=window,
        judged_at=now,
        version=champion.version if champion else "",
        drift=drift,
        performance=performance,
        decision=RetrainDecision(
            model=spec.name,
            order=RetrainOrder.WAIT,
            reason="judged in one run with later windows, which decides once",
            decided_at=now,
        ),
        metric=metric,
        baseline=_baseline(profile, metric, performance),
        band=_band(profile, metric, spec, performance),
    )


def _latest(reports: Sequence[Report]) -> Report | None:
    """Return the report of the latest window that was judged to be good or bad, else the latest one."""
    judged = [one for one in reports if one.status in JUDGED]
    return max(judged or reports, key=lambda one: one.window.end, default=None)


def _told(
    spec: ModelSpec,
    ports: Ports,
    drift: DriftReport | None,
    performance: PerformanceReport | None,
    decision: RetrainDecision,
) -> tuple[Alert, ...]:
    """Return the alerts that are due; each is taken at once."""
    now, known = ports.now(), ports.monitor.alerts(spec.name)
    found = conditions_of(drift, performance, decision)
    repeat = parse_duration(spec.monitoring.alert_repeat)
    plan = decide_alerts(found, known, now, repeat, spec=spec)
    for alert in plan.note:
        ports.monitor.put_alert(alert)
    return tuple(ports.monitor.put_alert(sent(alert, now)) for alert in plan.send)


def _metric(spec: ModelSpec, performance: PerformanceReport | None) -> str:
    """Return the metric that is judged: with more than two classes the log cannot tell every one."""
    told = {one.name: one for one in (performance.realised if performance else ())}
    return judged_metric(spec.metric, told)


def _baseline(
    profile: DriftProfile | None, metric: str, performance: PerformanceReport | None
) -> float | None:
    """Return what the window was held against, else what the version did on its held-out rows."""
    reference = profile.performance if profile else None
    held = (*(performance.baseline if performance else ()), *(reference.realised if reference else ()))
    return next((one.value for one in held if one.name == metric), None)


def _band(
    profile: DriftProfile | None, metric: str, spec: ModelSpec, performance: PerformanceReport | None
) -> Interval | None:
    """Return the band in which an estimate is no alarm, as the check widens it for few rows."""
    reference = profile.performance if profile else None
    chunks = next((one for one in (reference.estimated if reference else ()) if one.metric == metric), None)
    if chunks is not None and profile is not None and performance is not None:
        chunks = like_chunks(chunks, profile.score, performance.window)
    estimate = next(
        (one for one in (performance.estimated if performance else ()) if one.name == metric), None
    )
    if chunks is None or estimate is None or not estimate.on_rows:
        return None
    reach = estimate_reach(chunks, estimate.on_rows, spec.monitoring.performance.estimate_sd)
    return Interval(low=chunks.mean - reach, high=chunks.mean + reach)
