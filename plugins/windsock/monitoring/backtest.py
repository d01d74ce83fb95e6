"""``replay``: a history through the monitor's own steps, as if each window had just been closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from windsock.exceptions import MonitoringError
from windsock.monitoring.backtest_memory import Clock
from windsock.monitoring.backtest_runs import due_windows, run_monitor
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.close_retrain import close_as
from windsock.monitoring.judge_again import AGAIN
from windsock.monitoring.late_labels import LATE
from windsock.monitoring.unjudged import CODES
from windsock.ports import Ports
from windsock.ports.left_out import LEFT_OUT
from windsock.records import (
    ClaimRetrainInput,
    CloseRetrainInput,
    RetrainClaim,
    RetrainDecision,
    RetrainOrder,
    RetrainOutcome,
    RunContext,
    Span,
)
from windsock.records.backtest import Backtest, BacktestWindow, Comparison, RetrainTrial
from windsock.spec import ModelSpec
from windsock.spec.monitoring import EPOCH, MonitoringBlock

MOST_WINDOWS = 5_000
TOLD = (*LEFT_OUT, *CODES.values(), LATE, AGAIN)
"""Codes of the findings that a replay repeats."""
UNTRIED = "no retrain was tried, so nothing is known of what it would have come to"


class Retrainer(Protocol):
    """Tries the retrains that a replay grants."""

    def retrain(self, claim: RetrainClaim, version: str) -> RetrainTrial:
        """Fit anew by what was known at the clock's time; where the result wins, it may serve from then on.

        :param version: what the result is called.
        """
        ...

    def compare(self, window: Span, version: str, metric: str) -> Comparison | None:
        """Compare a window's answers with and without a retrained model; ``None`` without labels."""
        ...


def windows_between(block: MonitoringBlock, start: datetime, end: datetime) -> tuple[Span, ...]:
    """Return the windows that lie between two times as a whole, in their order.

    :raises MonitoringError: if the times are reversed, or there is none, or there are too many.
    """
    length = block.window_length
    if start >= end:
        raise MonitoringError(
            f"a history from {_shown(start)} to {_shown(end)} has no length",
            code="WS-MONITORING-070",
            next_action="Give --from a time before that of --to.",
        )
    first = EPOCH - (EPOCH - start) // length * length  # the first border at or after the start
    count = max(0, (end - first) // length)
    if not 1 <= count <= MOST_WINDOWS:
        raise MonitoringError(
            f"{count:,} whole windows of {block.window} lie between {_shown(start)} and {_shown(end)}; "
            f"1 to {MOST_WINDOWS:,} can be replayed",
            code="WS-MONITORING-071",
            next_action="Move --from and --to: windows follow each other from 1970 on, in UTC.",
        )
    return tuple(
        Span(start=first + number * length, end=first + (number + 1) * length) for number in range(count)
    )


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def replay(
    spec: ModelSpec,
    windows: Sequence[Span],
    ports: Ports,
    clock: Clock,
    *,
    history: str,
    retrainer: Retrainer | None = None,
    progress: Callable[[BacktestWindow], None] | None = None,
    runs: Sequence[datetime] | None = None,
) -> Backtest:
    """Judge windows in their order, decide after each run, and try the retrains that are granted.

    Each run of the monitor judges what is closed and has no verdict, and again what labels have come for:
    labels that come after it are not seen. A retrain takes no time.

    :param ports: of which the monitor, the ledger, the bundles and the gauges are those of a replay, and
        whose clock is this one.
    :param history: what is replayed, in words.
    :param retrainer: ``None``: granted retrains come to nothing, and the breaker never counts them.
    :param progress: is told each window once it is judged.
    :param runs: when the monitor runs; ``None``: once each window is closed, its lateness allowance included.
    :raises WindsockError: whatever the steps raise.
    """
    # A report would be written to the tracker.
    quiet = spec.monitoring.drift.replace(report=False)
    silent = spec.replace(monitoring=spec.monitoring.replace(drift=quiet))
    judged: list[BacktestWindow] = []
    left = list(windows)
    for moment in runs or [window.end + spec.monitoring.lateness_allowance for window in windows]:
        clock.time = moment
        due = due_windows(silent, ports, left, [one.window for one in judged])
        made = run_monitor(silent, ports, due)
        if made and made[-1].decision.order is RetrainOrder.GRANT:
            number = 1 + sum(other.trial is not None for other in judged)
            trial = _retrain(silent, made[-1].decision, ports, retrainer, number)
            made[-1] = made[-1].replace(trial=trial)
        left = [window for window in left if window not in due.new]
        judged += made
        if progress is not None:
            for one in made:
                progress(one)
    if retrainer is not None:
        judged = _compared(judged, retrainer)
    return Backtest(
        model=spec.name,
        history=history,
        metric=spec.metric,
        span=Span(start=windows[0].start, end=windows[-1].end),
        windows=tuple(judged),
        limits=_limits(spec, judged),
        episodes=ports.monitor.episodes(spec.name),
        retrained=retrainer is not None,
        findings=(*_left_out(judged), *_unjudged(left)),
    )


def _unjudged(left: Sequence[Span]) -> tuple[str, ...]:
    """Say which windows no run came to."""
    if not left:
        return ()
    return (f"windows that no run has judged: {len(left):,}, the first from {_shown(left[0].start)}",)


def _left_out(judged: Sequence[BacktestWindow]) -> tuple[str, ...]:
    """Return what windows say of labels that do not count, and of no verdict for long: of each the last."""
    told: dict[str, list[str]] = {}
    for one in judged:
        for finding in (found for made in (one.drift, one.performance) if made for found in made.findings):
            code = finding.partition(" ")[0]
            if code in TOLD:
                told.setdefault(code, []).append(finding)
    return tuple(f"{found[-1]} (the last of {len(found):,} windows)" for _, found in sorted(told.items()))


def _limits(spec: ModelSpec, windows: Sequence[BacktestWindow]) -> dict[str, float]:
    block = spec.monitoring
    limits = {str(name): limit for name, limit in block.drift.rules.items()}
    judged = [one.drift.columns for one in windows if one.drift and one.drift.columns]
    if not limits and judged:
        limits["drift_ratio"] = min(1.0, block.drift.columns / len(judged[-1]))
    return {**limits, "drop": block.performance.drop}


def _retrain(
    spec: ModelSpec, decision: RetrainDecision, ports: Ports, retrainer: Retrainer | None, number: int
) -> RetrainTrial:
    key = decision.episode.key if decision.episode else ""
    run = RunContext(dag_id="backtest", run_id=str(number))
    claim = claim_retrain(ClaimRetrainInput(spec=spec, episode_key=key, run=run), ports, "")
    trial = RetrainTrial(episode_key=key, at=ports.now(), outcome=RetrainOutcome.FAILED, reason=UNTRIED)
    if not claim.granted:
        return trial.replace(reason=claim.reason)
    if retrainer is not None:
        trial = retrainer.retrain(claim, f"retrained {number}")
    close = CloseRetrainInput(
        spec=spec, claim=claim, outcome=trial.outcome, against=trial.difference, run=run
    )
    # Of a log the version of the time goes on serving: the trial's own word is what it came to.
    return trial.replace(outcome=close_as(close, ports).outcome)


def _compared(judged: Sequence[BacktestWindow], retrainer: Retrainer) -> list[BacktestWindow]:
    """Add to each window after a retrain that won what it changed."""
    version, compared = "", []
    for one in judged:
        made = retrainer.compare(one.window, version, one.metric) if version else None
        compared.append(one.replace(compared=made))
        if one.trial is not None and one.trial.outcome is RetrainOutcome.PROMOTED:
            version = one.trial.version
    return compared


def replay_ports(ports: Ports, **replaced: object) -> Ports:
    """Return ports of which some are those of a replay."""
    return replace(ports, **replaced)  # type: ignore[arg-type]


def mean_gain(windows: Sequence[BacktestWindow]) -> tuple[float, float, int] | None:
    """Return the mean metric without and with retraining over the windows that were compared, and how many.

    Each window counts by its rows; ``None`` where there is none.
    """
    pairs = [
        (one.compared.kept.value, one.compared.retrained.value, one.compared.kept.on_rows)
        for one in windows
        if one.compared is not None
    ]
    usable = [(kept, new, rows) for kept, new, rows in pairs if kept is not None and new is not None]
    total = sum(rows for *_, rows in usable)
    if not total:
        return None
    kept_mean = sum(kept * rows for kept, _, rows in usable) / total
    new_mean = sum(new * rows for _, new, rows in usable) / total
    return kept_mean, new_mean, len(usable)


__all__ = ["MOST_WINDOWS", "Retrainer", "mean_gain", "replay", "replay_ports", "windows_between"]
