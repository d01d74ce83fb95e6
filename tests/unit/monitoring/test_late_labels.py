from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from support.monitoring_records import make_performance
from support.performance import CHAMPION, DAY, END, WINDOW, Scene, answers, check_of, coin, metric
from windsock.exceptions import MonitoringError, StorageError
from windsock.monitoring.alerts import conditions_of
from windsock.monitoring.judge_again import MOST
from windsock.monitoring.late_labels import coverages
from windsock.records import ReferencePerformance, Span, Status, WindowVerdict

ACCURATE = ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.9),))
HOUR = timedelta(hours=1)


@pytest.fixture
def scene() -> Scene:
    return Scene(ACCURATE, spec={"training": {"metric": "accuracy"}})


def late_frame(days: int = 12, *, delay: timedelta = 5 * DAY, per_day: int = 400, right: float = 0.9):
    """Return the answers of the days up to the window's end, with the labels that are there by then."""
    frame = answers(*coin(days * per_day, right=right), start=END - days * DAY, length=days * DAY)
    there = frame["receive_time"] + delay
    known = there <= END + 2 * timedelta(minutes=1)
    return frame.assign(
        label_time=there.where(known), outcome=frame["outcome"].where(known, None).astype(object)
    )


def insufficient(day: int, **numbers: float) -> WindowVerdict:
    """Return the verdict of the window that ended so many days before this one: its labels were not there."""
    window = Span(start=WINDOW.start - day * DAY, end=WINDOW.end - day * DAY)
    return WindowVerdict(
        model="churn",
        kind="performance",
        window=window,
        version="1",
        digest=CHAMPION,
        status=Status.INSUFFICIENT,
        reason="no labels",
        numbers={"coverage": 0.0, "labelled": 0.0, "rows": 400.0, **numbers},
        judged_at=window.end + HOUR,
    )


class TestLookBack:
    def test_it_ends_where_enough_labels_are(self, scene):
        report = scene.look(late_frame())
        assert report.status is Status.PASS
        assert report.lookback == Span(start=END - 9 * DAY, end=END - 2 * DAY)
        assert report.coverage == pytest.approx(4 / 7, abs=0.01)
        told = (
            "labels tell of answers up to 2026-05-08 00:00 UTC, 2 days old; of later ones only the estimate"
        )
        assert report.reason.startswith(told)
        assert report.findings[0].startswith(f"WS-MONITORING-110 {told}")
        kept = scene.ports.monitor.windows("churn", "performance")[-1]
        assert kept.lookback == report.lookback
        assert kept.numbers["labels:longest_hours"] == pytest.approx(120)

    def test_a_fall_is_seen_in_it(self, scene):
        report = scene.look(late_frame(right=0.6))
        assert report.status is Status.FAIL
        where = next(one for one in conditions_of(None, report, None) if one.key.endswith("drop:accuracy"))
        assert "window to 2026-05-10 00:00 UTC, labels of answers up to 2026-05-08 00:00 UTC" in where.text

    @pytest.mark.parametrize("delay", [timedelta(0), HOUR, 3 * DAY])
    def test_it_ends_with_the_window_where_its_labels_are_there(self, scene, delay):
        report = scene.look(late_frame(delay=delay))
        assert report.lookback == Span(start=END - 7 * DAY, end=END)
        assert report.status is Status.PASS
        assert "labels tell of" not in report.reason
        assert len(scene.ports.rows.asked) == 1

    def test_too_few_in_the_end_are_not_looked_for_further_back(self, scene):
        frame = late_frame(delay=HOUR)
        lucky = (frame.index % 10 < 4) | (frame["receive_time"] < END - 6 * DAY)
        kept = frame["outcome"].where(lucky & (frame.index % 20 < 9), None)
        report = scene.look(frame.assign(outcome=kept.astype(object)))
        assert report.lookback.end == END
        assert report.status is Status.INSUFFICIENT

    def test_without_estimate_or_labels_nothing_passes(self, scene):
        report = scene.look(late_frame(delay=30 * DAY))
        assert report.status is Status.INSUFFICIENT
        assert report.lookback.end == END
        assert check_of(report, "performance_drop").status is Status.INSUFFICIENT

    def test_labels_that_were_told_of_move_it_nowhere(self, scene):
        first = scene.look(late_frame())
        assert first.status is Status.PASS
        tomorrow = Span(start=END, end=END + DAY)
        scene.ports = replace(scene.ports, now=lambda: END + DAY + HOUR)
        new = answers([None] * 400, *coin(400)[1:], start=END)
        frame = pd.concat([late_frame(), new], ignore_index=True)
        second = scene.look(frame, window=tomorrow)
        assert second.status is Status.INSUFFICIENT
        assert second.lookback.end == tomorrow.end
        assert "labels tell of answers up to 2026-05-08 00:00 UTC, 3.04 days old" in second.reason

    def test_labels_that_are_too_few_for_the_limit_are_not_late(self, scene):
        scene.remember(1)
        report = scene.look(answers(*coin(100, right=0.85)))
        assert report.status is Status.INSUFFICIENT
        assert "labels tell of" not in report.reason

    def test_labels_that_cannot_be_read_further_back_are_an_error(self, scene, monkeypatch):
        read = scene.ports.rows.labelled

        def fails(model, span, *arguments, digest=None, **more):
            if digest and span.end - span.start > 7 * DAY:
                raise MonitoringError("no such column", code="WS-MONITORING-043", next_action="Mend it.")
            return read(model, span, *arguments, digest=digest, **more)

        monkeypatch.setattr(scene.ports.rows, "labelled", fails)
        report = scene.look(late_frame())
        assert (report.status, report.reason) == (Status.ERROR, "WS-MONITORING-043: no such column")

    def test_a_performance_window_without_a_shift_says_nothing_in_its_alert(self):
        report = make_performance(lookback=Span(start=WINDOW.end - 7 * DAY, end=WINDOW.end))
        assert not any("labels of answers" in one.text for one in conditions_of(None, report, None))


class TestAgain:
    def test_windows_are_judged_once_their_labels_are_there(self, scene):
        for day in range(6, 0, -1):
            scene.ports.monitor.add_window(insufficient(day))
        report = scene.look(late_frame(delay=4 * DAY + HOUR, right=0.6))
        kept = scene.ports.monitor.windows("churn", "performance")
        words = [one.status.value for one in kept]
        assert words == ["fail"] * 3 + ["insufficient"] * 3 + ["fail"]  # the later ones have no label yet
        assert report.findings[-1] == (
            "WS-MONITORING-111 3 windows, which ended from 2026-05-04 00:00 to 2026-05-06 00:00 UTC, are "
            "judged again, as the labels are there now: 3 fail"
        )
        first = kept[0]
        assert [(one.status, one.reason) for one in first.earlier] == [(Status.INSUFFICIENT, "no labels")]
        assert first.earlier[0].judged_at == first.window.end + HOUR
        assert first.lookback == Span(start=first.window.end - 7 * DAY, end=first.window.end)
        assert first.numbers["rows"] == 400.0
        assert first.numbers["coverage"] > 0.5
        assert first.numbers["realised:accuracy"] < 0.7
        assert "awaits_labels" not in first.numbers
        assert first.reason.startswith("judged again by")
        assert "insufficient on 2026-05-04 01:00 UTC: WS-MONITORING-030" in first.reason

    def test_each_is_judged_again_once(self, scene):
        scene.ports.monitor.add_window(insufficient(6))
        scene.look(late_frame())
        stands = scene.ports.monitor.windows("churn", "performance")[0]
        scene.look(late_frame())
        assert scene.ports.monitor.windows("churn", "performance")[0] == stands

    @pytest.mark.parametrize(
        "changed",
        [
            {"digest": "another"},
            {"status": Status.FAIL},
            {"status": Status.ERROR},
            {"numbers": {"coverage": 0.9}},
            {"numbers": {}},
            {"window": Span(start=END - 6 * DAY - HOUR, end=END - 6 * DAY)},
        ],
    )
    def test_others_are_left_alone(self, scene, changed):
        other = insufficient(6).replace(**changed)
        scene.ports.monitor.add_window(other)
        scene.look(late_frame())
        assert scene.ports.monitor.windows("churn", "performance")[0] == other

    def test_a_window_without_a_label_of_its_own_waits(self, scene):
        scene.ports.monitor.add_window(insufficient(6))
        frame = late_frame()
        own = (frame["receive_time"] >= END - 7 * DAY) & (frame["receive_time"] < END - 6 * DAY)
        scene.look(frame.assign(outcome=frame["outcome"].where(~own, None).astype(object)))
        assert scene.ports.monitor.windows("churn", "performance")[0].status is Status.INSUFFICIENT

    def test_only_the_latest_closed_window_looks(self, scene):
        scene.ports.monitor.add_window(insufficient(6))
        scene.ports = replace(scene.ports, now=lambda: END + 3 * DAY)
        scene.look(late_frame())
        assert scene.ports.monitor.windows("churn", "performance")[0].status is Status.INSUFFICIENT

    def test_a_window_that_lacked_news_is_judged_again_though_nothing_is_late_now(self, scene):
        """Labels of two days were held up; now all are there, and no window lacks any."""
        scene.ports.monitor.add_window(insufficient(2, coverage=0.8, awaits_labels=1.0))
        report = scene.look(late_frame(delay=HOUR))
        assert report.status is Status.PASS
        kept = scene.ports.monitor.windows("churn", "performance")
        assert [(one.status, len(one.earlier)) for one in kept] == [(Status.PASS, 1), (Status.PASS, 0)]

    def test_a_look_that_fails_costs_no_verdict(self, scene, monkeypatch):
        scene.ports.monitor.add_window(insufficient(2))
        read = scene.ports.rows.labelled

        def fails(model, span, *arguments, **more):
            if span.end - span.start > 30 * DAY:
                raise StorageError("the archive does not answer", code="WS-STORAGE-001", next_action="Wait.")
            return read(model, span, *arguments, **more)

        monkeypatch.setattr(scene.ports.rows, "labelled", fails)
        report = scene.look(late_frame(delay=HOUR))
        assert report.status is Status.PASS
        assert "WS-STORAGE-001: how late labels come could not be measured" in report.findings

    def test_so_many_at_once_and_the_oldest_first(self, monkeypatch):
        monkeypatch.setattr("windsock.monitoring.judge_again.MOST", 3)
        assert MOST > 24  # an hourly model keeps up
        scene = Scene(ACCURATE, spec={"training": {"metric": "accuracy"}})
        for day in range(6, 0, -1):
            scene.ports.monitor.add_window(insufficient(day))
        scene.look(late_frame(delay=HOUR))
        kept = scene.ports.monitor.windows("churn", "performance")
        assert [len(one.earlier) for one in kept] == [1, 1, 1, 0, 0, 0, 0]


def test_the_share_of_labels_in_stretches():
    frame = answers([True, None, True, True], [True] * 4, start=END - 4 * DAY, length=4 * DAY)
    frame = frame.assign(label=frame["outcome"])
    ends = [END, END - DAY, END - 2 * DAY, END - 10 * DAY]
    assert coverages(frame, ends, 2 * DAY) == [1.0, 0.5, 0.5, 0.0]
    assert coverages(frame.iloc[::-1], ends, 2 * DAY) == [1.0, 0.5, 0.5, 0.0]
    assert coverages(frame.iloc[:0], ends, DAY) == [0.0] * 4
