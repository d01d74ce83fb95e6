from __future__ import annotations

from datetime import timedelta

import pytest

from support.builders import digest, make_check, make_spec
from support.monitoring_records import make_drift, make_performance
from support.performance import CHAMPION, DAY, WINDOW, Scene, answers, coin, metric
from support.retraining import make_window, make_windows
from windsock.exceptions import StorageError
from windsock.monitoring.alerts import conditions_of
from windsock.monitoring.unjudged import is_due, row_of, unjudged_text, window_for
from windsock.records import ReferencePerformance, Severity, Span, Status, WindowVerdict

SPEC = make_spec()
HOURLY = make_spec(monitoring={"window": "1h"})
FEW = {"rows": 20.0, "minimum_rows": 60.0}


def told(words, spec=SPEC, **fields):
    return unjudged_text(spec, make_windows(words, **fields))


class TestRow:
    @pytest.mark.parametrize(
        ("words", "length"),
        [("iiii", 4), ("igii", 2), ("ibii", 2), ("iiig", 0), ("ieii", 3), ("iieee", 2), ("", 0), ("i--i", 2)],
    )
    def test_verdicts_break_it_and_errors_do_not(self, words, length):
        assert len(row_of(make_windows(words))) == length

    def test_empty_windows_neither_count_nor_break_it(self):
        windows = [make_window(number, "empty" if number % 2 else "insufficient") for number in range(1, 7)]
        assert len(row_of(windows)) == 3

    def test_another_version_begins_anew(self):
        windows = [*make_windows("iiiii"), make_window(6, "insufficient", digest=digest("b"))]
        assert len(row_of(windows)) == 1

    def test_a_rate_that_was_judged_breaks_it(self):
        windows = make_windows("iiiii")
        windows[2] = windows[2].replace(numbers={"judged_by_rate": 1.0})
        assert len(row_of(windows)) == 2


class TestDue:
    @pytest.mark.parametrize(("asked", "words", "due"), [(7, "iiiiii", False), (7, "iiiiiii", True)])
    def test_seven_days_are_told(self, asked, words, due):
        assert (told(words) is not None) is due

    @pytest.mark.parametrize(("hours", "due"), [(7, False), (23, False), (24, True)])
    def test_short_windows_wait_for_a_day_and_not_for_a_week(self, hours, due):
        hour = timedelta(hours=1)
        starts = [WINDOW.start + at * hour for at in range(hours)]
        spans = [Span(start=start, end=start + hour) for start in starts]
        windows = [make_window(1, "insufficient", window=span) for span in spans]
        assert is_due(HOURLY.monitoring, row_of(windows)) is due

    @pytest.mark.parametrize(
        ("days", "windows", "due"), [(7, 1, False), (7, 2, True), (14, 1, True), (28, 1, True), (2, 6, False)]
    )
    def test_long_windows_are_told_after_fourteen_days(self, days, windows, due):
        spec = make_spec(monitoring={"window": f"{days}d"})
        ends = [WINDOW.end + number * days * DAY for number in range(windows)]
        spans = [Span(start=end - days * DAY, end=end) for end in ends]
        row = row_of([make_window(1, "insufficient", window=span) for span in spans])
        assert is_due(spec.monitoring, row) is due
        assert not is_due(spec.monitoring, ())

    def test_the_number_is_the_owners(self):
        assert told("iii", make_spec(monitoring={"alert_insufficient": 3})) is not None
        assert told("i" * 30, make_spec(monitoring={"alert_insufficient": None})) is None

    def test_without_a_version_there_is_nothing_to_judge(self):
        assert told("i" * 9, version="", digest="") is None


class TestDrift:
    def test_few_rows_name_the_window_that_holds_enough(self):
        text = told("iiiiiii", numbers=FEW)
        assert text.startswith(
            "WS-MONITORING-096 no verdict on drift in the last 7 windows with answers, from 2026-05-01"
        )
        assert "a window of 1d needs 60 rows, and 20 a day come; `monitoring.window: 7d` would hold" in text

    def test_windows_without_a_row_count_as_time(self):
        windows = make_windows("i-i-i-i-i-i-i-", numbers=FEW)
        assert "and 10.8 a day come; `monitoring.window: 14d`" in unjudged_text(SPEC, windows)

    def test_a_window_beyond_the_look_back_takes_it_along(self):
        text = told("iiiiiii", numbers={**FEW, "rows": 6.0})
        assert "`monitoring.window: 14d` would hold them, with `monitoring.performance.window: 14d`" in text

    def test_what_goes_with_a_window_is_told(self):
        wide = make_windows("iii", kind="performance", numbers={"wide_lookback_hours": 24.0 * 56})
        text = unjudged_text(SPEC, make_windows("iiiiiii", numbers=FEW), performance=wide)
        assert text.endswith(
            "`monitoring.window: 7d` would hold them, with `monitoring.performance.window: 56d`, which holds "
            "the labels that tell a loss of 0.05, and `monitoring.alert_insufficient: 2`, so that 14 days "
            "without a verdict are told"
        )

    @pytest.mark.parametrize(
        ("numbers", "window", "says"),
        [
            ({"wide_lookback_hours": -1.0}, "7d", "hold them, with `monitoring.alert_insufficient: 2`"),
            ({"wide_lookback_hours": 72.0}, "7d", "hold them, with `monitoring.alert_insufficient: 2`"),
            ({"wide_lookback_hours": 672.0}, "7d", "with `monitoring.performance.window: 28d`, which"),
            ({}, "3d", "with `monitoring.performance.window: 7d`, so that no answer is left out, and"),
        ],
    )
    def test_a_look_back_holds_a_window_and_the_labels(self, numbers, window, says):
        spec = make_spec(monitoring={"performance": {"window": window}})
        judged = make_windows("i", kind="performance", numbers=numbers)
        assert says in unjudged_text(spec, make_windows("iiiiiii", numbers=FEW), performance=judged)

    def test_another_version_says_nothing_of_the_labels(self):
        other = make_windows(
            "i", kind="performance", digest=digest("b"), numbers={"wide_lookback_hours": 999}
        )
        assert "performance.window" not in unjudged_text(
            SPEC, make_windows("iiiiiii", numbers=FEW), performance=other
        )

    def test_an_owner_who_asks_sooner_keeps_his_number(self):
        spec = make_spec(monitoring={"alert_insufficient": 2})
        assert "alert_insufficient" not in told("iiiiiii", spec, numbers=FEW)

    def test_hardly_any_rows_name_no_window(self):
        assert "no window up to 28d holds as many" in told("iiiiiii", numbers={**FEW, "rows": 1.0})

    def test_few_training_rows_are_mended_by_no_window(self):
        text = told("iiiiiii", numbers={"rows": 900.0, "minimum_rows": 60.0, "few_reference": 3.0})
        assert "too few training rows to show a large shift in 3 columns" in text
        assert "monitoring.window" not in text

    def test_verdicts_of_earlier_releases_say_less(self):
        text = told("iiiiiii", numbers={"rows": 20.0}, reason="WS-MONITORING-024 20 rows; 60 are needed")
        assert text.endswith("of the latest: WS-MONITORING-024 20 rows; 60 are needed")

    @pytest.mark.parametrize(
        ("a_day", "least", "window"), [(20, 30, "3d"), (2000, 60, "1h"), (100, 60, "1d"), (0, 30, None)]
    )
    def test_round_windows(self, a_day, least, window):
        assert window_for(a_day, least) == window


def insufficient_days(scene, days=6):
    for day in range(days, 0, -1):
        span = Span(start=WINDOW.start - day * DAY, end=WINDOW.end - day * DAY)
        scene.ports.monitor.add_window(
            WindowVerdict(
                model="churn",
                kind="performance",
                window=span,
                version="1",
                digest=CHAMPION,
                status=Status.INSUFFICIENT,
                judged_at=span.end,
            )
        )


class TestPerformance:
    def test_one_class_alone_is_named(self):
        scene = Scene()
        insufficient_days(scene)
        report = scene.look(answers([True] * 200, [True] * 200, [0.9] * 200))
        assert "labelled answers of 7d do not define roc_auc, such as where all labels" in report.findings[-1]

    def test_no_label_names_the_place_and_what_was_left_out(self):
        scene = Scene()
        insufficient_days(scene)
        frame = answers([None] * 50, [True] * 50, [0.9] * 50)
        finding = scene.look(frame, undated=12, unusable=3, unknown=40).findings[-1]
        assert finding.startswith("WS-MONITORING-095 no verdict on performance in the last 7 windows")
        assert "no label of 50 answers" in finding
        assert "(`monitoring.labels.kind: outcomes`); 40 labels are of no answer in the log" in finding
        assert finding.endswith("left out: 12 by WS-MONITORING-092, 3 by WS-MONITORING-094")

    def test_the_delay_is_measured_once_a_day(self):
        scene = Scene()
        insufficient_days(scene)
        frame = answers([None] * 50, [True] * 50, [0.9] * 50)
        first = scene.look(frame).findings[-1]
        asked = len(scene.ports.rows.asked)
        next_hour = Span(start=WINDOW.end, end=WINDOW.end + timedelta(hours=1))
        again = scene.look(frame.assign(receive_time=next_hour.start), window=next_hour).findings[-1]
        assert len(scene.ports.rows.asked) == asked + 1
        assert again == first.replace("7 windows", "8 windows")

    def test_a_delay_that_cannot_be_measured_costs_no_verdict(self, monkeypatch):
        scene = Scene()
        insufficient_days(scene)
        read = scene.ports.rows.labelled

        def fails_further_back(model, span, *arguments, **more):
            if span.end - span.start > 30 * DAY:
                raise StorageError("the archive does not answer", code="WS-STORAGE-001", next_action="Wait.")
            return read(model, span, *arguments, **more)

        monkeypatch.setattr(scene.ports.rows, "labelled", fails_further_back)
        report = scene.look(answers([None] * 50, [True] * 50, [0.9] * 50))
        assert report.status is Status.INSUFFICIENT
        told = "WS-STORAGE-001: how late labels come could not be measured"
        assert report.findings.count(told) == 1
        assert "n=0 of 50 answers: insufficient" in report.findings[-1]
        assert scene.ports.monitor.windows("churn", "performance")[-1].window == WINDOW

    def test_a_verdict_is_told_nothing(self):
        scene = Scene(ReferencePerformance(rows=5000, realised=(metric("roc_auc", 0.9),)))
        insufficient_days(scene)
        truth, said, scores = coin(2000)
        assert not [one for one in scene.look(answers(truth, said, scores)).findings if "no verdict" in one]


class TestAlert:
    @pytest.mark.parametrize(
        ("kind", "code", "severity"),
        [("drift", "096", Severity.LOW), ("performance", "095", Severity.MEDIUM)],
    )
    def test_it_begins_with_the_finding_and_ends_with_a_verdict(self, kind, code, severity):
        make = {"drift": make_drift, "performance": make_performance}[kind]
        finding = f"WS-MONITORING-{code} no verdict on {kind}"

        def found(**fields):
            reports = {"drift": None, "performance": None, kind: make(**fields)}
            conditions = conditions_of(reports["drift"], reports["performance"], None)
            return [(one.active, one.severity) for one in conditions if one.key == f"insufficient:{kind}"]

        open_ = {"status": Status.INSUFFICIENT, "checks": ()}
        assert found(**open_, findings=(finding,)) == [(True, severity)]
        assert found(**open_) == []
        assert found(status=Status.ERROR, checks=()) == []
        assert found(status=Status.EMPTY, checks=()) == []
        passed = make_check("performance_drop:roc_auc", Status.PASS)
        assert found(status=Status.PASS, checks=(passed,)) == [(False, severity)]

    def test_a_slow_server_is_no_verdict_on_answers(self):
        slow = make_performance(
            status=Status.FAIL,
            checks=(make_check("latency_p95", Status.FAIL),),
            findings=("WS-MONITORING-095 no verdict on performance",),
        )
        keys = {one.key: one.active for one in conditions_of(None, slow, None)}
        assert keys["insufficient:performance"]
