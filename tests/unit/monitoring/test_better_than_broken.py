"""A version that was promoted during a loss: critical stays until a window passes against the baseline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from support.builders import make_spec
from support.performance import CHAMPION, DAY, WINDOW, Scene, answers, check_of, coin, metric
from windsock.monitoring.accept_loss import accept_loss
from windsock.monitoring.alerts import Condition, conditions_of, decide_alerts
from windsock.records import (
    LedgerAction,
    LedgerEntry,
    PerformanceReport,
    ReferencePerformance,
    Severity,
    Span,
    Status,
    WindowVerdict,
)
from windsock.steps import StepResult, verdict_of

BY_ACCURACY: dict[str, Any] = {"training": {"metric": "accuracy"}}
LOST = WINDOW.start - 3 * DAY
KEY = "performance:performance_drop:accuracy"


@pytest.fixture
def scene() -> Scene:
    """Return a version whose held-out value is low, promoted while the baseline of 0.9 was lost."""
    scene = Scene(ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.7),)), spec=BY_ACCURACY)
    kept = [metric("accuracy", 0.9).model_dump(mode="json")]
    write(scene, baseline=kept, baseline_digest="f" * 64, better_than_broken=LOST.isoformat())
    for day, status in ((3, Status.FAIL), (2, Status.FAIL), (1, Status.INSUFFICIENT)):
        window = Span(start=WINDOW.start - day * DAY, end=WINDOW.end - day * DAY)
        scene.ports.monitor.add_window(
            WindowVerdict(
                model="churn",
                kind="performance",
                window=window,
                version="0",
                digest="f" * 64,
                status=status,
                judged_at=window.end,
            )
        )
    return scene


def write(scene: Scene, **body: Any) -> None:
    rows = scene.ports.ledger.rows("churn")
    serving = scene.ports.ledger.champion("churn")
    entry = LedgerEntry(
        model="churn",
        action=LedgerAction.COMMIT,
        epoch=serving.epoch,
        version="1",
        digest=CHAMPION,
        actor="scheduler",
        body={"bundle_uri": serving.bundle_uri, **body},
    )
    scene.ports.ledger.append(entry, after_seq=rows[-1].seq)


def condition(report: PerformanceReport) -> Condition:
    return next(one for one in conditions_of(None, report, None) if one.key == KEY)


class TestTold:
    @pytest.mark.parametrize(
        ("right", "rows", "status"), [(0.8, 5000, Status.FAIL), (0.86, 150, Status.INSUFFICIENT)]
    )
    def test_the_alert_is_critical_and_says_it(
        self, scene: Scene, right: float, rows: int, status: Status
    ) -> None:
        report = scene.look(answers(*coin(rows, right=right)))
        assert check_of(report, "performance_drop").status is status
        assert report.better_than_broken is not None
        assert report.better_than_broken.lost_since == LOST
        found = condition(report)
        assert (found.active, found.severity) == (True, Severity.CRITICAL)
        assert "Better than broken: version 1 serves since 20" in found.text
        assert "stands." in found.text
        assert "better than broken: version 1 serves since 20" in report.reason
        assert "better than broken" in verdict_of_report(report)
        assert PerformanceReport.model_validate(report.model_dump(mode="json")) == report

    def test_it_names_the_baselines_version(self, scene: Scene) -> None:
        write(
            scene,
            baseline=[metric("accuracy", 0.95).model_dump(mode="json")],
            better_than_broken=LOST.isoformat(),
        )
        report = scene.look(answers(*coin(5000, right=0.8)))
        assert "the loss against the baseline of version 1 since 2026-05-06 00:00 UTC stands" in report.reason

    def test_other_alerts_stay_what_they_are(self, scene: Scene) -> None:
        report = scene.look(answers(*coin(5000, right=0.8)))
        others = [one for one in conditions_of(None, report, None) if one.active and one.key != KEY]
        assert all("Better than broken" not in one.text for one in others)

    def test_a_high_alert_becomes_critical_and_is_sent_again(self, scene: Scene) -> None:
        now = scene.ports.now()
        spec = make_spec(**BY_ACCURACY)
        write(scene, baseline=[])  # promoted in quiet, as far as the row says
        report = scene.look(answers(*coin(5000, right=0.82)))
        first = decide_alerts([condition(report)], (), now, timedelta(days=1), spec=spec)
        assert [one.severity for one in first.send] == [Severity.HIGH]
        write(scene, better_than_broken=LOST.isoformat())
        report = scene.look(answers(*coin(5000, right=0.82)))
        again = decide_alerts([condition(report)], first.send, now, timedelta(days=1), spec=spec)
        assert [one.severity for one in again.send] == [Severity.CRITICAL]


def verdict_of_report(report: PerformanceReport) -> str:
    return verdict_of(StepResult(step="check_performance", record=report, key="", unchanged=False)).why


class TestOver:
    def test_a_window_that_passes_is_a_recovery(self, scene: Scene) -> None:
        report = scene.look(answers(*coin(5000)))
        assert (report.status, report.better_than_broken) == (Status.PASS, None)
        found = condition(report)
        assert (found.active, "etter than broken" in found.text) == (False, False)

    def test_after_it_a_window_without_a_verdict_is_only_that(self, scene: Scene) -> None:
        scene.look(answers(*coin(5000), start=WINDOW.start - DAY), window=day(1))
        report = scene.look(answers(*coin(150, right=0.86)))
        assert check_of(report, "performance_drop").status is Status.INSUFFICIENT
        assert report.better_than_broken is None

    def test_a_loss_that_a_person_accepted_is_over(self, scene: Scene) -> None:
        frame = answers(*coin(5000, right=0.7))
        assert scene.look(frame).better_than_broken is not None
        accept_loss(scene.spec, scene.ports, actor="alice", reason="so it is now")
        report = scene.look(frame)
        assert (report.status, report.better_than_broken) == (Status.PASS, None)

    def test_a_version_of_quiet_times_is_never_called_so(self, scene: Scene) -> None:
        write(scene)
        assert scene.look(answers(*coin(5000, right=0.5))).better_than_broken is None


def day(before: int) -> Span:
    start: datetime = WINDOW.start - before * DAY
    return Span(start=start, end=start + DAY)
