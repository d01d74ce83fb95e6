from __future__ import annotations

import pytest

from support.builders import make_spec
from support.context import make_context
from support.monitoring_records import WINDOW, make_drift, make_performance, make_retrain_decision
from windsock import records as r
from windsock.exceptions import DatabaseUnavailableError
from windsock.operators.send_alerts import SendAlertsOperator


def context_of(task, left):
    """Return a context whose earlier tasks left these values, by task and map index."""
    context = make_context(task)
    context["ti"].xcom_pull = lambda *, task_ids, key, map_indexes=-1: left.get((task_ids, map_indexes))
    return context


def task():
    return SendAlertsOperator(task_id="send_alerts", spec=make_spec(), shared={})


def test_drift_is_told_in_the_log_where_there_is_no_channel(ports, caplog):
    drifted = make_drift(status=r.Status.FAIL, severity=r.Severity.HIGH, reason="2 of 2 columns drifted")
    sending = task()
    left = {
        ("wait_for_window", -1): [WINDOW.model_dump(mode="json")],
        ("check_drift", 0): drifted.model_dump(mode="json"),
        ("check_performance", 0): make_performance().model_dump(mode="json"),
        ("decide_retrain", -1): make_retrain_decision().model_dump(mode="json"),
    }
    due = sending.execute(context_of(sending, left))
    assert [(alert["key"], alert["state"], alert["pending"]) for alert in due] == [("drift", "firing", False)]
    assert "[HIGH] churn: drift: " in caplog.text
    assert sending.verdict.word == "PASS"
    assert [alert.key for alert in ports.monitor.alerts("churn", firing=True)] == ["drift"]


def test_the_latest_window_speaks(ports):
    early = make_drift(status=r.Status.FAIL, window=WINDOW)
    late = make_drift(
        window=r.Span(start=WINDOW.end, end=WINDOW.end + (WINDOW.end - WINDOW.start)), reason="fine again"
    )
    sending = task()
    left = {
        ("wait_for_window", -1): [{}, {}],
        ("check_drift", 0): early.model_dump(mode="json"),
        ("check_drift", 1): late.model_dump(mode="json"),
    }
    assert sending.execute(context_of(sending, left)) == []
    assert sending.verdict.word == "PASS"


def test_a_last_window_with_too_few_rows_hides_no_drift(ports):
    drifted = make_drift(status=r.Status.FAIL, window=WINDOW)
    empty = make_drift(
        window=r.Span(start=WINDOW.end, end=WINDOW.end + (WINDOW.end - WINDOW.start)),
        status=r.Status.INSUFFICIENT,
        reason="no rows",
    )
    sending = task()
    left = {
        ("wait_for_window", -1): [{}, {}],
        ("check_drift", 0): drifted.model_dump(mode="json"),
        ("check_drift", 1): empty.model_dump(mode="json"),
    }
    due = sending.execute(context_of(sending, left))
    assert [alert["key"] for alert in due] == ["drift"]


def test_a_run_that_judged_nothing_tells_nothing(ports):
    sending = task()
    assert sending.execute(context_of(sending, {})) == []


def test_a_database_that_is_away_ends_with_a_verdict(ports, monkeypatch):
    def away(*_, **__):
        raise DatabaseUnavailableError("the control database is away")

    monkeypatch.setattr(ports.monitor, "alerts", away)
    sending = task()
    with pytest.raises(DatabaseUnavailableError):
        sending.execute(context_of(sending, {}))
    assert sending.verdict.word == "ERROR"
