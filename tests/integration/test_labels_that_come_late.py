"""Labels that come days after their answers: a real log, judged day by day into a real database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.backtest import write_log
from support.ledgers import new_control_database
from support.log_rows import SCHEMA
from support.performance import CHAMPION, DAY, Scene, metric
from windsock.adapters.monitor_table import SqlMonitor
from windsock.adapters.prediction_rows import ArchivePredictionRows
from windsock.adapters.storage import Storage
from windsock.adapters.window_counts import ArchiveWindowCounter
from windsock.monitoring.check_performance import check_performance
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.monitoring.unjudged import CODES
from windsock.records import (
    CheckPerformanceInput,
    DecideRetrainInput,
    PerformanceReport,
    ReferencePerformance,
    RetrainDecision,
    RetrainOrder,
    Span,
    Status,
    WindowVerdict,
)

BEGIN = datetime.fromisoformat("2026-06-01T00:00:00+00:00")
PER_DAY = 60
BASELINE = ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.9),))


def answers(days: int, *, flip: int | None = None) -> tuple[pd.DataFrame, Any]:
    """Return a history of answers, 91 % of them right and from the day of a flip on 30 %, with their truth.

    All of a day are given within a quarter of an hour from noon on: so there are few files.
    """
    draw = np.random.default_rng(7)
    number = np.arange(days * PER_DAY)
    day = number // PER_DAY
    right = np.where(day >= (days if flip is None else flip), 0.3, 0.91)
    truth = draw.random(len(number)) < 0.5
    hit = (number % PER_DAY + 0.5) / PER_DAY < right
    at = [
        BEGIN + int(one) * DAY + timedelta(hours=12, seconds=6 * int(place))
        for one, place in zip(day, number % PER_DAY, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "asked_at": [f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for moment in at],
            "age": 40.0,
            "visits": 1,
            "plan": "basic",
            "churned": truth,
        }
    )
    return frame, np.where(hit == truth, 0.9, 0.1)


class Installation:
    """A log on the disk and a control database; its clock goes from window to window."""

    def __init__(self, folder: Path, **performance: Any) -> None:
        self.scene = Scene(
            BASELINE, schema=SCHEMA, spec={"training": {"metric": "accuracy"}}, **{"drop": 0.1, **performance}
        )
        self.now = BEGIN
        storage = Storage(str(folder / "storage"))
        self.ports = replace(
            self.scene.ports,
            rows=ArchivePredictionRows(folder, storage, keys_dir=None, roots=(folder,), connections=str),
            counter=ArchiveWindowCounter(folder, storage, now=lambda: self.now),
            monitor=SqlMonitor(new_control_database(folder)),
            now=lambda: self.now,
        )

    def day(self, number: int) -> tuple[PerformanceReport, RetrainDecision]:
        """Judge the window of a day once it is closed, and decide."""
        window = Span(start=BEGIN + number * DAY, end=BEGIN + (number + 1) * DAY)
        self.now = window.end + timedelta(minutes=1)
        report = check_performance(CheckPerformanceInput(spec=self.scene.spec, window=window), self.ports, "")
        return report, decide_retrain(DecideRetrainInput(spec=self.scene.spec), self.ports, "")

    def kept(self) -> tuple[WindowVerdict, ...]:
        return self.ports.monitor.windows("churn", "performance")


def write(
    folder: Path, days: int, delay: timedelta | Callable[[datetime], timedelta], *, flip: int | None = None
) -> None:
    frame, scores = answers(days, flip=flip)
    write_log(folder, frame, scores, version="1", digest=CHAMPION, label_delay=delay)


@pytest.mark.parametrize("delay", [4, 7, 14, 28])
def test_every_window_is_judged_in_the_end(tmp_path: Path, delay: int) -> None:
    days = delay + 9
    write(tmp_path, days, delay * DAY)
    home = Installation(tmp_path)
    reports = [home.day(number)[0] for number in range(days)]
    first = [one.status for one in reports]
    assert set(first[:delay]) == {Status.INSUFFICIENT}
    assert set(first[-5:]) == {Status.PASS}
    latest = reports[-1]
    assert latest.lookback is not None
    assert latest.lookback.end == latest.window.end - max(0, delay - 3) * DAY
    assert f"answers up to {latest.lookback.end:%Y-%m-%d} 00:00 UTC, " in latest.reason
    kept = home.kept()
    judged = [one for one in kept if one.window.end <= latest.window.end - delay * DAY]
    assert {one.status for one in judged} == {Status.PASS}
    again = [one for one in kept if one.earlier]
    assert again
    for one in again:
        assert [said.status for said in one.earlier] == [Status.INSUFFICIENT]
        assert one.earlier[0].judged_at < one.judged_at
        assert "0 of" in one.earlier[0].reason
        assert one.lookback == Span(start=one.window.end - 7 * DAY, end=one.window.end)
    assert any(found.startswith("WS-MONITORING-111") for one in reports for found in one.findings)
    assert not any(CODES["performance"] in found for found in latest.findings)


def test_a_flip_under_labels_a_week_late_is_found(tmp_path: Path) -> None:
    flip, delay, days = 11, 7, 23
    write(tmp_path, days, delay * DAY, flip=flip)
    home = Installation(tmp_path)
    made = [home.day(number) for number in range(days)]
    statuses = [report.status for report, _ in made]
    assert set(statuses[delay + 4 : flip + delay]) == {Status.PASS}  # no label knows of it yet
    assert set(statuses[flip + delay + 2 :]) == {Status.FAIL}
    granted = [number for number, (_, one) in enumerate(made) if one.order is RetrainOrder.GRANT]
    assert flip + delay < granted[0] <= flip + delay + 4
    assert made[granted[0] - 1][1].waits_for is not None  # for 125 of the rarer class
    failed = next(report for report, _ in made if report.status is Status.FAIL)
    assert failed.lookback is not None
    assert failed.lookback.end < failed.window.end


def test_an_outage_of_labels_is_no_delay_and_is_made_good(tmp_path: Path) -> None:
    """Labels of four days come together with the next ones; until then nobody says that all is well."""
    days, lost = 16, range(8, 12)
    back = BEGIN + (lost.stop + 0.6) * DAY

    def late(asked: datetime) -> timedelta:
        return back - asked if (asked - BEGIN).days in lost else timedelta(hours=1)

    write(tmp_path, days, late)
    home = Installation(tmp_path)
    reports = [home.day(number)[0] for number in range(days)]
    said = [one.status for one in reports]
    assert set(said[2 : lost.start]) == {Status.PASS}
    assert set(said[lost.start : lost.stop]) == {Status.INSUFFICIENT}
    assert set(said[lost.stop :]) == {Status.PASS}
    assert all(one.lookback == Span(start=one.window.end - 7 * DAY, end=one.window.end) for one in reports)
    bridged = reports[lost.start + 1]
    assert f"answers up to {BEGIN + lost.start * DAY:%Y-%m-%d} 00:00 UTC, 2 days old" in bridged.reason
    again = [one for one in home.kept() if one.earlier]
    assert [one.window.end for one in again] == [BEGIN + (number + 1) * DAY for number in lost]
    assert {one.status for one in again} == {Status.PASS}
