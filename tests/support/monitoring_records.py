"""Records of the monitor, with usual values."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from support.builders import NOON, digest
from windsock.records import (
    ColumnDrift,
    DriftReport,
    Episode,
    PerformanceReport,
    RetrainClaim,
    RetrainDecision,
    RetrainEnd,
    RetrainOrder,
    RetrainOutcome,
    Severity,
    Span,
    Status,
)

WINDOW = Span(start=NOON - timedelta(days=1), end=NOON)


def make_column(name: str, status: Status = Status.PASS, **fields: Any) -> ColumnDrift:
    """Return a judged column."""
    usual: dict[str, Any] = {"kind": "number", "rows": 1000, "effect": 0.02, "limit": 0.05, "p": 0.4}
    return ColumnDrift(**{"name": name, "status": status, **usual, **fields})


def make_drift(**fields: Any) -> DriftReport:
    """Return a drift verdict; it passes."""
    usual: dict[str, Any] = {
        "model": "churn",
        "version": "1",
        "digest": digest("b"),
        "window": WINDOW,
        "rows": 1000,
        "status": Status.PASS,
        "severity": Severity.NONE,
        "method": "counts",
        "columns": (make_column("tenure"), make_column("spend")),
        "reason": "0 of 2 columns drifted (n=1,000)",
        "judged_at": NOON,
    }
    return DriftReport(**{**usual, **fields})


def make_performance(**fields: Any) -> PerformanceReport:
    """Return a performance verdict; it passes."""
    usual: dict[str, Any] = {
        "model": "churn",
        "version": "1",
        "digest": digest("b"),
        "window": WINDOW,
        "status": Status.PASS,
        "rows": 1000,
        "labelled": 800,
        "coverage": 0.8,
        "reason": "roc_auc 0.84 on 800 labelled rows",
        "judged_at": NOON,
    }
    return PerformanceReport(**{**usual, **fields})


def make_episode(**fields: Any) -> Episode:
    """Return an announced episode."""
    usual: dict[str, Any] = {
        "model": "churn",
        "key": "bbbbbbbbbbbb-20260502T120000",
        "digest": digest("b"),
        "trigger": "drift",
        "span": WINDOW,
        "opened_at": NOON,
    }
    return Episode(**{**usual, **fields})


def make_retrain_decision(order: RetrainOrder = RetrainOrder.WAIT, **fields: Any) -> RetrainDecision:
    """Return what the trigger policy says."""
    episode = make_episode() if order is RetrainOrder.GRANT else None
    usual: dict[str, Any] = {"model": "churn", "reason": "as the policy says", "decided_at": NOON}
    return RetrainDecision(**{**usual, "order": order, "episode": episode, **fields})


def make_claim(**fields: Any) -> RetrainClaim:
    """Return a claim; it is granted."""
    usual: dict[str, Any] = {
        "model": "churn",
        "granted": True,
        "reason": "the model is free",
        "holder": "churn__drift_retrain/run-1",
        "recent": WINDOW,
        "claimed_at": NOON,
    }
    return RetrainClaim(**{**usual, **fields})


def make_end(outcome: RetrainOutcome = RetrainOutcome.PROMOTED) -> RetrainEnd:
    """Return a claim given back."""
    return RetrainEnd(model="churn", holder="churn__drift_retrain/run-1", outcome=outcome, closed_at=NOON)
