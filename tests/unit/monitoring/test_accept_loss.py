from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from support.performance import CHAMPION, DAY, END, WINDOW, Scene, answers, coin, metric
from windsock.exceptions import MonitoringError, StorageError
from windsock.monitoring.accept_loss import accept_loss
from windsock.monitoring.alerts import Condition, conditions_of, decide_alerts, sent
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.monitoring.kept_metrics import metrics_of, numbers_of_intervals
from windsock.records import (
    DecideRetrainInput,
    LedgerAction,
    ReferencePerformance,
    RetrainOrder,
    RetrainOutcome,
    Severity,
    Span,
    Status,
    WindowVerdict,
    accepted_at,
    baseline_of,
)
from windsock.records.accepted_drift import accepted_until
from windsock.records.ledger_bodies import fault_in_body, unknown_keys

BY_ACCURACY: dict[str, Any] = {"training": {"metric": "accuracy"}}


@pytest.fixture
def scene() -> Scene:
    return Scene(ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.9),)), spec=BY_ACCURACY)


def accept(scene: Scene) -> Any:
    return accept_loss(scene.spec, scene.ports, actor="cli:alice", reason="the market has changed")


def refused(scene: Scene) -> MonitoringError:
    before = scene.ports.ledger.rows("churn")
    with pytest.raises(MonitoringError) as refusal:
        accept(scene)
    assert refusal.value.code == "WS-MONITORING-099"
    assert scene.ports.ledger.rows("churn") == before
    return refusal.value


class TestAccepted:
    def test_what_the_model_does_now_is_asked_from_now_on(self, scene: Scene) -> None:
        frame = answers(*coin(5000, right=0.7))
        lost = scene.look(frame)
        assert lost.status is Status.FAIL
        found = accept(scene)
        assert (found.version, found.digest, found.by) == ("1", CHAMPION, "cli:alice")
        was = {one.name: one for one in lost.realised}
        for name in ("accuracy", "roc_auc", "log_loss"):
            kept = found.metric(name)
            assert kept is not None
            assert (kept.value, kept.n) == (was[name].value, 5000)
            assert kept.interval == was[name].interval
        assert scene.look(frame).status is Status.PASS
        assert scene.look(answers(*coin(5000, right=0.6))).status is Status.FAIL

    def test_the_row_says_who_why_and_what(self, scene: Scene) -> None:
        scene.look(answers(*coin(5000, right=0.7)))
        found = accept(scene)
        row = scene.ports.ledger.rows("churn")[-1]
        assert (row.action, row.actor, row.version, row.epoch) == (
            LedgerAction.ACCEPT_LOSS,
            "cli:alice",
            "1",
            0,
        )
        assert row.body["reason"] == "the market has changed"
        assert Span.model_validate(row.body["window"]) == WINDOW
        assert fault_in_body(row.action, row.body) == ""
        assert unknown_keys(row.action, row.body) == []
        assert baseline_of(scene.ports.ledger.rows("churn")) == found
        assert accepted_at(scene.ports.ledger.rows("churn")) == row.at
        assert scene.ports.ledger.champion("churn").version == "1"

    def test_the_window_is_judged_anew_at_once(self, scene: Scene) -> None:
        scene.look(answers(*coin(5000, right=0.7)))
        accept(scene)
        assert [one.status for one in scene.ports.monitor.windows("churn", "performance")] == [Status.PASS]

    def test_labels_that_are_away_by_then_take_nothing_back(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene.look(answers(*coin(5000, right=0.7)))

        real, asked = scene.ports.rows.labelled, []

        def away(*args: Any, **more: Any) -> Any:
            asked.append(scene.ports.ledger.rows("churn")[-1].action)
            if asked[-1] is LedgerAction.ACCEPT_LOSS:
                raise StorageError("away")
            return real(*args, **more)

        scene.ports.rows.labelled = away
        assert accept(scene).by == "cli:alice"
        assert "judged by the next run only" in caplog.text


class TestQuiet:
    """Few labels: nothing can pass against what was accepted, and still it is over."""

    def few(self, scene: Scene) -> Any:
        """Return answers of which 200 have a label: a loss of .3 shows, and that there is none does not."""
        return answers(*coin(200, right=0.6))

    def test_no_retrain_is_asked_for(self, scene: Scene) -> None:
        before = Span(start=WINDOW.start - DAY, end=WINDOW.start)
        scene.look(answers(*coin(200, right=0.6), start=before.start), window=before)
        scene.look(self.few(scene))
        decided = decide_retrain(DecideRetrainInput(spec=scene.spec), scene.ports, "")
        assert "2 of the last 2 judged windows are bad" in decided.reason
        opened = scene.ports.monitor.episodes("churn")
        accept(scene)
        assert scene.ports.monitor.windows("churn", "performance")[-1].status is Status.INSUFFICIENT
        after = decide_retrain(DecideRetrainInput(spec=scene.spec), scene.ports, "")
        assert after.order is RetrainOrder.WAIT
        assert "performance: no judged window counts yet" in after.reason
        states = [one.outcome for one in scene.ports.monitor.episodes("churn")]
        assert states == [RetrainOutcome.SUPERSEDED] * len(opened)

    def test_its_alert_is_over_and_others_stay(self, scene: Scene) -> None:
        report = scene.look(self.few(scene))
        conditions = conditions_of(None, report, None)
        now, repeat = scene.ports.now(), timedelta(days=1)
        others = Condition("performance:performance_minimum:f1", True, Severity.HIGH, "f1", "f1 is low")
        for alert in decide_alerts([*conditions, others], (), now, repeat, spec=scene.spec).send:
            scene.ports.monitor.put_alert(sent(alert, now))
        accept(scene)
        firing = {one.key for one in scene.ports.monitor.alerts("churn", firing=True)}
        assert "performance:performance_drop:accuracy" not in firing
        assert others.key in firing
        over = [one for one in scene.ports.monitor.alerts("churn") if one.state == "resolved"]
        assert [one.pending for one in over] == [True]
        assert "cli:alice has accepted this loss, row" in over[0].text


class TestRefused:
    @pytest.mark.parametrize(
        "numbers",
        [
            {"realised:accuracy": 0.2},
            {"realised_low:accuracy": 0.9, "realised_high:accuracy": 0.5},
            {"realised_n:accuracy": -3.0},
            {f"realised{part}:nosuch": 1.0 for part in ("", "_low", "_high", "_n")},
        ],
    )
    def test_numbers_that_log_and_labels_do_not_give(self, scene: Scene, numbers: dict[str, float]) -> None:
        scene.look(answers(*coin(5000, right=0.7)))
        kept = scene.ports.monitor.windows("churn", "performance")[-1]
        scene.ports.monitor.add_window(kept.replace(numbers={**kept.numbers, **numbers}))
        assert "Judge it again" in refused(scene).next_action
        scene.look(answers(*coin(5000, right=0.7)))
        accept(scene)

    def test_a_fall_below_the_minimum_alone(self) -> None:
        known = ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.75),))
        scene = Scene(known, spec={**BY_ACCURACY, "gate": {"minimum": {"accuracy": 0.9}}})
        assert scene.look(answers(*coin(5000, right=0.82))).status is Status.FAIL
        assert "gate.minimum" in refused(scene).next_action

    def test_without_a_loss(self, scene: Scene) -> None:
        scene.look(answers(*coin(5000)))
        assert "shows no loss" in refused(scene).message

    def test_a_window_that_fails_by_something_else(self, scene: Scene) -> None:
        fewest = {"name": "churned", "sql": "1", "minimum": 5}
        scene = Scene(ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.85),)), business=fewest)
        scene.ports.business.value = 1.0
        report = scene.look(answers(*coin(5000)))
        assert report.status is Status.FAIL
        refused(scene)

    @pytest.mark.parametrize(
        "frame", [None, answers([None] * 500, [True] * 500), answers(*coin(20, right=0))]
    )
    def test_without_a_judged_window(self, scene: Scene, frame: Any) -> None:
        if frame is not None:
            assert scene.look(frame).status is Status.INSUFFICIENT
        error = refused(scene)
        assert "no window of version 1, which serves, is judged by its labels yet" in error.message
        assert "Wait until labels are there" in error.next_action

    def test_windows_of_another_version_say_nothing(self, scene: Scene) -> None:
        scene.look(answers(*coin(5000, right=0.7)))
        kept = scene.ports.monitor.kept_windows
        for key, verdict in kept.items():
            kept[key] = verdict.replace(digest="f" * 64)
        refused(scene)

    def test_a_verdict_of_an_earlier_release_is_judged_again_first(self, scene: Scene) -> None:
        scene.ports.monitor.add_window(
            WindowVerdict(
                model="churn",
                kind="performance",
                window=WINDOW,
                version="1",
                digest=CHAMPION,
                status=Status.FAIL,
                numbers={"realised:accuracy": 0.7, "loss:accuracy": 0.2},
                judged_at=END,
            )
        )
        error = refused(scene)
        assert "windsock monitor churn --check --window-end 2026-05-10T00:00:00Z" in error.next_action
        scene.look(answers(*coin(5000, right=0.7)))
        accept(scene)

    def test_the_latest_window_counts(self, scene: Scene) -> None:
        before = Span(start=WINDOW.start - DAY, end=WINDOW.start)
        scene.look(answers(*coin(5000, right=0.7), start=before.start), window=before)
        scene.look(answers(*coin(5000)))
        refused(scene)

    def test_no_version_serves(self, scene: Scene) -> None:
        scene.ports.ledger.kept.clear()
        assert "no version serves" in refused(scene).message


def test_intervals_are_kept_as_numbers_and_read_back() -> None:
    metrics = (metric("accuracy", 0.7), metric("f1", 0.6).replace(interval=None))
    numbers = {"realised:accuracy": 0.7, "realised:f1": 0.6, **numbers_of_intervals(metrics)}
    assert metrics_of(numbers) == (metric("accuracy", 0.7),)


def test_a_loss_that_was_accepted_by_a_clock_that_was_ahead_mutes_nothing(scene: Scene) -> None:
    ports = scene.ports
    ports.ledger.now = lambda: scene.ports.now()
    far = timedelta(days=30)
    late = Span(start=WINDOW.start + far, end=WINDOW.end + far)
    scene.ports = dataclasses.replace(ports, now=lambda: ports.now() + far)
    scene.look(answers(*coin(5000, right=0.7), start=late.start), window=late)
    accept(scene)
    scene.ports = ports
    for day in (1, 0):
        window = Span(start=WINDOW.start - day * DAY, end=WINDOW.end - day * DAY)
        frame = answers(*coin(5000, right=0.5), start=window.start)
        assert scene.look(frame, window=window).status is Status.FAIL
    decided = decide_retrain(DecideRetrainInput(spec=scene.spec), ports, "")
    assert "2 of the last 2 judged windows are bad" in decided.reason
    seq = ports.ledger.rows("churn")[-1].seq
    assert f"WS-MONITORING-101: row {seq} of the ledger accepts a loss of windows that lie" in decided.reason
    accept(scene)
    once = accepted_until(ports.ledger.rows("churn"), CHAMPION, late.end + DAY)
    assert once.loss == WINDOW.end, "it mutes nothing once that time has come, either"
    decided = decide_retrain(DecideRetrainInput(spec=scene.spec), ports, "")
    assert "no judged window counts yet" in decided.reason


def test_a_metric_that_is_better_than_the_baseline_does_not_rise() -> None:
    known = (metric("accuracy", 0.9), metric("roc_auc", 0.55), metric("average_precision", 0.5))
    scene = Scene(ReferencePerformance(rows=5000, realised=known), spec=BY_ACCURACY)
    scene.look(answers(*coin(5000, right=0.7)))
    found = accept(scene)
    assert found.metric("accuracy").value == 0.7
    assert found.metric("roc_auc") == metric("roc_auc", 0.55)
