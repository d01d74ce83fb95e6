"""Histories in which nobody is judged: what the owner is told, and that the setting that is named does."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from support.backtest import BEGIN, HISTORY, dated_frame
from support.fakes import FakeSources, fake_ports
from support.pipeline import retrain
from windsock.cli.backtest_worlds import Table, world_of_table
from windsock.monitoring.alerts import conditions_of, decide_alerts, sent
from windsock.monitoring.backtest import replay, windows_between
from windsock.records import Status
from windsock.spec.loader import spec_from_bytes
from windsock.training import importances

DAY = timedelta(days=1)
MODEL_FILE = """\
model: {name: churn, owner: ds@company.com}
data: {source: churn.csv, target: churned, event_time: asked_at}
training: {candidates: [{estimator: logistic_regression}]}
gate: {card: {intended_use: Rank customers., limitations: Made up.}}
monitoring: {MONITORING}
"""
PLAIN = "window: 1d, performance: {drop: 0.1}"
"""A drop that a few hundred labels show."""
OFF = {"drift": "data_drift: false", "performance": "performance_tracking: false"}


def spec_of(monitoring):
    return spec_from_bytes(MODEL_FILE.replace("MONITORING", monitoring).encode(), "churn.yaml")


@pytest.fixture(scope="module")
def trained():
    """An installation whose first version was trained on a world in which nothing changes."""
    patch = pytest.MonkeyPatch()
    patch.setattr(importances, "MOST_SHUFFLES", 1)
    patch.setattr("support.backtest.CHANGED", HISTORY + 1000 * DAY)
    ports = fake_ports(sources=FakeSources(dated_frame(BEGIN, 31, per_day=150, seed=2)))
    assert "promote_model" in retrain(ports, spec_of(PLAIN))
    yield ports
    patch.undo()


@pytest.fixture
def play(trained):
    """``play(PLAIN, kind="drift", days=20, ...)``: the reports of a history, and each alert sent."""

    def run(monitoring, *, kind, days, per_day, delay=timedelta(0), known=None):
        other = OFF["performance" if kind == "drift" else "drift"]
        spec = spec_of(f"{monitoring}, {other}")
        rows = dated_frame(HISTORY, days, per_day=per_day, seed=3)
        if known is not None:
            rows["churned"] = rows["churned"].astype(object).where(known(rows), None)
        windows = windows_between(spec.monitoring, HISTORY, HISTORY + days * DAY)
        ports = replace(trained, sources=FakeSources(rows))
        world = world_of_table(spec, ports, windows, None, Table("asked_at", delay, None))
        made = replay(spec, windows, world.ports, world.clock, history="made up")
        return made, _alerts(spec, made.windows)

    return run


def _alerts(spec, windows):
    """Return the alerts on windows without a verdict as they are sent, with a year between repeats."""
    known, told = {}, []
    for one in windows:
        found = [
            condition
            for condition in conditions_of(one.drift, one.performance, one.decision)
            if condition.key.startswith("insufficient:")
        ]
        plan = decide_alerts(found, tuple(known.values()), one.judged_at, timedelta(days=365), spec=spec)
        for alert in (*plan.note, *(sent(due, one.judged_at) for due in plan.send)):
            known[alert.key] = alert
        told += plan.send
    return told


def statuses(made, kind):
    return [getattr(one, kind).status for one in made.windows]


def last_finding(made, kind):
    return [one for report in made.windows for one in getattr(report, kind).findings if "no verdict" in one][
        -1
    ]


@pytest.mark.parametrize(("delay", "waits", "told"), [(4, 4, 0), (7, 8, 2), (14, 15, 2)])
def test_late_labels_are_judged_once_they_are_there(play, delay, waits, told):
    made, alerts = play(PLAIN, kind="performance", days=delay + 9, per_day=150, delay=delay * DAY)
    found = statuses(made, "performance")
    assert set(found[: waits - 1]) == {Status.INSUFFICIENT}
    assert set(found[waits + 3 :]) == {Status.PASS}
    assert [one.state for one in alerts] == ["firing", "resolved"][:told]
    report = made.windows[-1].performance
    assert report.lookback.end < report.window.end
    assert f"labels tell of answers up to {report.lookback.end:%Y-%m-%d %H:%M} UTC" in report.reason
    assert any(one.startswith("WS-MONITORING-110 labels tell") for one in report.findings)


def test_a_steady_history_is_never_told(play):
    made, alerts = play(PLAIN, kind="performance", days=16, per_day=150, delay=DAY)
    assert alerts == []
    assert set(statuses(made, "performance")[3:]) == {Status.PASS}


def test_labels_that_never_come_are_told_with_the_place(play):
    made, alerts = play(PLAIN, kind="performance", days=8, per_day=40, delay=400 * DAY)
    assert len(alerts) == 1
    told = last_finding(made, "performance")
    assert "no label of 320 answers, the oldest 8 days old, is there" in told
    assert "POST /outcomes" in told


def test_too_few_labels_are_told_with_the_coverage_that_is_reached(play):
    made, alerts = play(
        PLAIN, kind="performance", days=9, per_day=150, known=lambda rows: rows.index % 10 < 4
    )
    told = last_finding(made, "performance")
    assert "for 40% of the answers in the end" in told
    assert "`monitoring.performance.coverage: 0.35`" in told
    made, alerts = play(
        "window: 1d, performance: {drop: 0.1, coverage: 0.35}",
        kind="performance",
        days=9,
        per_day=150,
        known=lambda rows: rows.index % 10 < 4,
    )
    assert alerts == []


def test_labels_too_few_for_the_limit_are_told_with_the_look_back_that_holds_enough(play):
    few = {"kind": "performance", "per_day": 8}
    made, alerts = play("window: 1d, performance: {drop: 0.07}", days=8, **few)
    assert [one.state for one in alerts] == ["firing"]
    told = last_finding(made, "performance")
    assert "the labels are too few to tell a loss of at most 0.07" in told
    lookback = re.search(r"`monitoring\.performance\.window: (\w+)`", told)[1]
    weekly = f"window: 7d, performance: {{drop: 0.07, window: {lookback}}}"  # fewer windows to judge
    made, _ = play(weekly, days=int(lookback[:-1]) + 7, **few)
    assert statuses(made, "performance")[-1] is Status.PASS


def test_few_rows_are_told_with_the_window_that_holds_enough(play):
    few = {"kind": "drift", "per_day": 20}
    made, alerts = play(PLAIN, days=20, **few)
    assert set(statuses(made, "drift")) == {Status.INSUFFICIENT}
    assert [(one.key, one.state, one.severity.value) for one in alerts] == [
        ("insufficient:drift", "firing", "low")
    ]
    told = last_finding(made, "drift")
    window = re.search(r"`monitoring\.window: (\w+)`", told)[1]
    made, alerts = play(f"window: {window}", days=57, **few)
    assert alerts == []
    assert set(statuses(made, "drift")) <= {Status.PASS, Status.FAIL}


def test_the_alert_ends_when_a_window_is_judged_and_can_be_switched_off(play):
    late = {"kind": "performance", "per_day": 150, "delay": 9 * DAY}
    monitoring = "window: 1d, performance: {drop: 0.1, window: 14d, coverage: 0.25}"
    made, alerts = play(monitoring, days=16, **late)
    assert [one.state for one in alerts] == ["firing", "resolved"]
    assert statuses(made, "performance")[-1] is Status.PASS
    _, alerts = play(f"{monitoring}, alert_insufficient: null", days=16, **late)
    assert alerts == []
