from __future__ import annotations

from datetime import UTC, datetime

from support.builders import make_spec
from windsock.records import Alert
from windsock.watchdog.outdated import outdated

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ALL = (
    "watch:blocked:monitor",
    "watch:blocked:drift_retrain",
    "watch:blocked:ab_rollout",
    "watch:dags-off",
    "watch:unjudged",
    "watch:event",
    "watch:claim",
    "watch:ledger",
    "watch:route",
    "watch:rollout",
    "drift",
    "performance:roc_auc",
    "unjudged:drift",
    "insufficient:performance",
    "retrain:breaker",
    "task:churn__monitor.check_drift",
    "task:churn__daily_retrain.train_model",
    "question:churn__drift_retrain.approve_model",
)


def fires(key: str) -> Alert:
    more = {"severity": "high", "title": "t", "text": "x", "owner": "ann", "first_at": NOON, "last_at": NOON}
    return Alert(model="churn", key=key, **more)


def ended(spec) -> set[str]:
    found = outdated([fires(key) for key in ALL], "churn", spec)
    assert not any(one.active for one in found)
    assert all("any more" in one.text or "switched off in its file" in one.text for one in found)
    return {one.key for one in found}


def test_what_a_file_asks_for_is_left_to_who_looks_at_it():
    assert ended(make_spec(rollout={"strategy": "canary"})) == set()


def test_a_model_without_a_file_keeps_what_is_looked_at_without_one():
    assert set(ALL) - ended(None) == {"watch:ledger", "watch:route", "watch:rollout"}


def test_what_a_file_asks_for_no_more_ends():
    assert ended(make_spec(rollout={"strategy": "direct"})) == {"watch:blocked:ab_rollout"}
    unwatched = {"data_drift": False, "performance_tracking": False}
    assert ended(make_spec(rollout={"strategy": "canary"}, monitoring=unwatched)) == {
        *(key for key in ALL if key.startswith(("drift", "perf", "unj", "insuff", "retrain"))),
        "watch:blocked:monitor",
        "watch:blocked:drift_retrain",
        "watch:unjudged",
        "watch:event",
        "task:churn__monitor.check_drift",
        "question:churn__drift_retrain.approve_model",
    }
