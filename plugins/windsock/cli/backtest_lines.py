"""A backtest as plain lines."""

from __future__ import annotations

from collections import Counter

from windsock.monitoring.backtest import mean_gain
from windsock.records import MetricValue, RetrainOrder, RetrainOutcome, Severity
from windsock.records.backtest import Backtest, BacktestWindow, RetrainTrial
from windsock.texts import first_of

HEAD = (
    "window's end",
    "rows",
    "drift",
    "severity",
    "drifted columns",
    "performance",
    "realised",
    "estimated",
    "decision",
    "retrained",
)
SHOWN = 3


def row_of(one: BacktestWindow) -> tuple[str, ...]:
    """Return a window's line in the table."""
    drifted = one.drift.drifted if one.drift else ()
    severities = [found.severity for found in (one.drift, one.performance) if found is not None]
    worst = max(severities, key=list(Severity).index, default=Severity.NONE)
    return (
        f"{one.window.end:%Y-%m-%d %H:%M}",
        f"{one.rows:,}",
        one.drift.status.value if one.drift else "-",
        worst.value,
        first_of(drifted, SHOWN) or "-",
        one.performance.status.value if one.performance else "-",
        _number(one.realised()),
        _number(one.estimated()),
        _decision(one),
        _number(one.compared.retrained if one.compared else None),
    )


def _number(metric: MetricValue | None) -> str:
    return "-" if metric is None or metric.value is None else f"{metric.value:.4f}"


def _decision(one: BacktestWindow) -> str:
    if one.trial is not None:
        return f"grant: {one.trial.outcome.value}" if one.trial.version else "grant"
    if one.decision.order is RetrainOrder.HOLD:
        return "hold: breaker" if one.decision.breaker else "hold"
    if (waits := one.decision.waits_for) is not None:
        return f"wait: {waits.rows:,} of {waits.needed:,} rows"
    return one.decision.order.value


def lines_of(made: Backtest) -> list[str]:
    """Return what stands below the table: what was detected, and what retraining would have changed."""
    first = (
        ("first drift", made.first_drift),
        ("first performance alarm", made.first_loss),
        ("first call for a retrain", made.first_episode),
    )
    lines = [f"{what}: {_found(one, made)}" for what, one in first]
    for what in ("drift", "performance"):
        counts = Counter(judged.status.value for one in made.windows if (judged := getattr(one, what)))
        if counts:
            lines.append(f"{what}: {', '.join(f'{count} {word}' for word, count in counts.items())}")
    held = ", ".join(f"{count} by {what}" for what, count in made.held.items() if count)
    lines.append(
        f"episodes: {len(made.episodes)}; retrains granted: {len(made.trials)}; "
        f"windows held back: {held or '0'}"
    )
    waited = [one.decision for one in made.windows if one.decision.waits_for is not None]
    if waited:
        lines.append(
            f"windows after which a retrain waits for rows: {len(waited)}; the last: {waited[-1].reason}"
        )
    lines += [line for trial in made.trials for line in _trial(trial)]
    lines += _gain(made)
    lines += [f"note: {finding}" for finding in made.findings]
    return lines


def _found(one: BacktestWindow | None, made: Backtest) -> str:
    if one is None:
        return "none"
    days = (one.judged_at - made.span.start).total_seconds() / 86400
    return f"judged at {one.judged_at:%Y-%m-%d %H:%M} UTC, {days:.1f} days after the start"


def _trial(trial: RetrainTrial) -> list[str]:
    called = trial.version or "retrain"
    rows = f" fitted on {trial.rows:,} rows, {trial.recent_rows:,} recent ones known;" if trial.rows else ""
    return [
        f"{called} at {trial.at:%Y-%m-%d %H:%M}: {trial.told};{rows} {trial.reason}",
        *(f"  {finding}" for finding in trial.findings),
    ]


def _gain(made: Backtest) -> list[str]:
    """Return what retraining would have changed, or why that is not known."""
    what = "what retraining would have changed"
    if not made.retrained:
        return [f"{what}: not tried"]
    if not made.trials:
        return [f"{what}: nothing; none would have been granted"]
    if all(trial.outcome is RetrainOutcome.FAILED for trial in made.trials):
        return [f"{what}: not known; no retrain could be tried for want of labelled rows known by then"]
    gain = mean_gain(made.windows)
    if gain is None:
        won = any(trial.outcome is RetrainOutcome.PROMOTED for trial in made.trials)
        why = "no window after it has labels" if won else "no retrained model beat the champion"
        return [f"{what}: {'not known' if won else 'nothing'}; {why}"]
    kept, new, windows = gain
    metric = made.windows[-1].metric
    return [
        f"{what}: {metric} {kept:.4f} -> {new:.4f} ({new - kept:+.4f}), mean over {windows} windows after it"
    ]
