from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from support.builders import digest
from support.fakes import fake_ports
from support.performance import (
    CHAMPION,
    COLORS,
    DAY,
    END,
    NUMBER,
    SCHEMA,
    WINDOW,
    Scene,
    answers,
    check_of,
    coin,
    counts_of,
    metric,
)
from windsock.exceptions import ServerUnavailableError, SourceUnavailableError, StorageError
from windsock.monitoring import performance_judging
from windsock.monitoring.check_performance import check_performance
from windsock.records import (
    CheckPerformanceInput,
    ErrorTree,
    ReferenceChunks,
    ReferencePerformance,
    Severity,
    Span,
    Status,
)
from windsock.statistics.estimates import calibrate

ACCURATE = ReferencePerformance(
    rows=5000, realised=(metric("roc_auc", 0.9), metric("accuracy", 0.9), metric("f1", 0.9))
)
HOUR = timedelta(hours=1)
BY_ACCURACY = {"training": {"metric": "accuracy"}}


@pytest.fixture
def scene() -> Scene:
    return Scene(ACCURATE, spec=BY_ACCURACY)


class TestRealised:
    def test_a_model_as_good_as_it_was_passes(self, scene: Scene) -> None:
        report = scene.look(answers(*coin(5000)))
        assert report.status is Status.PASS
        assert (report.version, report.digest) == ("1", CHAMPION)
        assert (report.rows, report.labelled, report.coverage, report.label_age_hours) == (
            5000,
            5000,
            1.0,
            1.0,
        )
        assert {one.name: one.value for one in report.realised}["accuracy"] == 0.9
        drop = check_of(report, "performance_drop:accuracy")
        assert (drop.status, drop.n, drop.limit, drop.code) == (Status.PASS, 5000, 0.05, "WS-MONITORING-030")
        assert drop.value == pytest.approx(0)

    def test_a_loss_that_is_wholly_beyond_the_limit_fails(self, scene: Scene) -> None:
        report = scene.look(answers(*coin(5000, right=0.8)))
        drop = check_of(report, "performance_drop")
        assert (report.status, drop.status) == (Status.FAIL, Status.FAIL)
        assert drop.value == pytest.approx(0.1)
        assert drop.interval is not None
        assert drop.interval.low > 0.05
        assert report.severity is Severity.HIGH
        assert "WS-MONITORING-030" in report.reason

    def test_a_loss_of_more_than_twice_the_limit_is_critical(self, scene: Scene) -> None:
        assert scene.look(answers(*coin(5000, right=0.6))).severity is Severity.CRITICAL

    @pytest.mark.parametrize(
        ("rows", "right", "status"),
        [
            (5000, 0.85, Status.INSUFFICIENT),  # the loss is the limit itself
            (100, 0.8, Status.INSUFFICIENT),
            (29, 0.0, Status.INSUFFICIENT),
            (100, 0.1, Status.FAIL),
        ],
    )
    def test_between_the_ends_of_the_interval_nothing_is_said(
        self, scene: Scene, rows: int, right: float, status: Status
    ) -> None:
        assert check_of(scene.look(answers(*coin(rows, right=right))), "performance_drop").status is status

    def test_truth_is_held_against_the_answer_of_the_same_row(self, scene: Scene) -> None:
        """0.895 of the labelled answers are right; answers cut to the labels' number would make it 0.5."""
        truth, said, scores = coin(4000, right=0.895, seed=46)
        late = np.random.default_rng(3).random(4000) < 0.3
        outcomes = [None if gone else label for gone, label in zip(late, truth, strict=True)]
        report = scene.look(answers(outcomes, said, scores))
        kept = [one == label for one, label, gone in zip(said, truth, late, strict=True) if not gone]
        found = {one.name: one.value for one in report.realised}["accuracy"]
        assert found == pytest.approx(sum(kept) / len(kept))
        assert found == pytest.approx(0.895, abs=0.008)
        whole = scene.look(answers(truth, said, scores))
        assert {one.name: one.value for one in whole.realised}["accuracy"] == pytest.approx(0.895)

    def test_below_the_coverage_there_is_no_realised_verdict(self, scene: Scene) -> None:
        truth, said, scores = coin(4000, right=0.5)
        half = [label if place % 100 < 49 else None for place, label in enumerate(truth)]
        report = scene.look(answers(half, said, scores))
        assert check_of(report, "label_coverage").status is Status.INSUFFICIENT
        assert check_of(report, "performance_drop").status is Status.INSUFFICIENT
        assert report.realised == ()
        assert report.coverage == pytest.approx(0.49)
        assert report.status is Status.INSUFFICIENT
        enough = [label if place % 100 < 50 else None for place, label in enumerate(truth)]
        assert scene.look(answers(enough, said, scores)).status is Status.FAIL

    def test_only_the_last_labelled_rows_count_where_so_many_are_asked(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, last=1000)
        bad, good = coin(4000, right=0.3), coin(1000, seed=2)
        both = [early + late for early, late in zip(bad, good, strict=True)]
        report = scene.look(answers(*both))
        assert check_of(report, "performance_drop").n == 1000
        assert check_of(report, "performance_drop").status is Status.PASS

    def test_only_the_champions_own_answers_to_clients_count(self, scene: Scene) -> None:
        frame = answers(*coin(2000))
        wrong = answers(*coin(500, right=0), variant="constant")
        report = scene.look(pd.concat([frame, wrong], ignore_index=True))
        assert report.rows == 2000

    def test_answers_before_the_look_back_do_not_count(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, window="2d")
        old = answers(*coin(3000, right=0.2), start=END - 4 * DAY)
        report = scene.look(pd.concat([old, answers(*coin(3000))], ignore_index=True))
        assert (report.rows, report.status) == (3000, Status.PASS)
        assert scene.ports.rows.asked[-1] == Span(start=END - 2 * DAY, end=END)


class TestOddRows:
    def test_without_a_live_version_nothing_is_said(self) -> None:
        ports = fake_ports()
        scene = Scene()
        step = CheckPerformanceInput(spec=scene.spec, window=WINDOW)
        report = check_performance(step, ports, "")
        assert (report.status, report.version) == (Status.INSUFFICIENT, "")
        assert report.reason == "WS-MONITORING-041 insufficient: no live version"
        kept = ports.monitor.windows("churn", "performance")
        assert [one.status for one in kept] == [Status.INSUFFICIENT]

    def test_an_empty_window(self, scene: Scene) -> None:
        report = scene.look(answers([], []))
        assert (report.status, report.rows, report.coverage) == (Status.EMPTY, 0, None)
        assert report.reason == "empty: nobody asked the model in this window"
        assert not any(check.passed for check in report.checks)

    def test_an_empty_window_has_no_number_of_another(self, scene: Scene) -> None:
        report = scene.look(answers([True] * 400, [True] * 400).assign(receive_time=WINDOW.start - DAY))
        assert report.status is Status.EMPTY
        assert (report.realised, report.estimated, report.labelled) == ((), (), 0)
        assert scene.ports.monitor.windows("churn", "performance")[-1].numbers == {"rows": 0.0}

    def test_one_row(self, scene: Scene) -> None:
        report = scene.look(answers([True], [True], [0.9]))
        assert report.status is Status.INSUFFICIENT
        assert {one.name: (one.value, one.interval) for one in report.realised}["accuracy"] == (1.0, None)

    def test_rows_of_one_class_define_no_auc_and_that_is_no_fault(self) -> None:
        scene = Scene(ACCURATE)
        report = scene.look(answers([True] * 500, [True] * 500, [0.9] * 500))
        assert check_of(report, "performance_drop:roc_auc").status is Status.INSUFFICIENT
        auc = {one.name: one for one in report.realised}["roc_auc"]
        assert (auc.value, auc.status) == (None, Status.ERROR)

    @pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
    def test_scores_that_are_none_are_a_fault_and_answers_are_still_judged(
        self, nothing: float | None
    ) -> None:
        scene = Scene(ACCURATE)
        truth, said, _ = coin(2000)
        report = scene.look(answers(truth, said, [nothing] * 2000))
        assert check_of(report, "performance_drop:roc_auc").status is Status.ERROR
        assert report.status is Status.ERROR
        assert {one.name: one.value for one in report.realised}["accuracy"] == 0.9
        assert "2,000 labelled rows have no score" in report.findings

    def test_labels_of_other_words_are_counted_and_no_truth(self, scene: Scene) -> None:
        truth, said, scores = coin(1000)
        odd = ["perhaps" if place < 100 else label for place, label in enumerate(truth)]
        report = scene.look(answers(odd, said, scores))
        assert report.labelled == 900
        assert any(
            "labels that are none of the model's classes or numbers: 100;" in one for one in report.findings
        )

    def test_everything_that_did_not_fit_is_told(self, scene: Scene) -> None:
        frame = answers(*coin(100))
        frame.loc[:4, "label_time"] = frame.loc[:4, "receive_time"] - timedelta(hours=3)
        numbers = {
            "unknown": 1, "duplicates": 2, "late": 3, "conflicting": 4, "unusable": 6, "repeated": 7,
            "damaged": 8, "undated": 9, "by_order": 10,
        }  # fmt: skip
        report = scene.look(frame, cut=END - DAY, **numbers)
        told = " ".join(report.findings)
        for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10):
            assert f": {count}" in told
        for code in ("091", "092", "093", "094"):
            assert f"WS-MONITORING-{code} " in told
        assert "only those since 2026-05-09 00:00 UTC" in told
        assert report.label_age_hours == 1.0

    def test_a_bundle_that_cannot_be_trusted_is_an_error_and_kept(self, scene: Scene) -> None:
        scene.ports.bundles.by_digest.clear()
        report = scene.look(answers(*coin(100)))
        assert report.status is Status.ERROR
        assert "WS-BUNDLE-001" in report.reason
        assert scene.ports.monitor.windows("churn")[0].status is Status.ERROR

    def test_a_version_without_profile_has_no_baseline(self) -> None:
        scene = Scene(profile=False, spec=BY_ACCURACY)
        report = scene.look(answers(*coin(1000)))
        assert report.status is Status.INSUFFICIENT
        assert "no baseline" in check_of(report, "performance_drop").message
        assert any("no profile" in one for one in report.findings)

    @pytest.mark.parametrize("error", [StorageError("away"), SourceUnavailableError("away")])
    def test_what_does_not_answer_is_raised(self, scene: Scene, error: Exception) -> None:
        def fails(*args: object, **more: object) -> None:
            raise error

        scene.ports.rows.labelled = fails
        with pytest.raises(type(error)):
            scene.look()
        assert scene.ports.monitor.windows("churn") == ()


class TestOtherModels:
    def test_more_than_two_classes_are_judged_by_their_answers(self) -> None:
        generator = np.random.default_rng(5)
        truth = generator.choice(COLORS.classes, 3000)
        wrong = generator.random(3000) < 0.3
        said = np.where(wrong, np.roll(truth, 1), truth)
        scene = Scene(ACCURATE, schema=COLORS)
        report = scene.look(answers(truth.tolist(), said.tolist(), [None] * 3000))
        found = {one.name: one.value for one in report.realised}
        assert found["accuracy"] == pytest.approx((said == truth).mean())
        assert "roc_auc" not in found
        assert check_of(report, "performance_drop:accuracy").status is Status.FAIL
        assert any("more than two classes" in one for one in report.findings)
        assert any("accuracy is judged in its place" in one for one in report.findings)

    def _regression(self, noise: float) -> pd.DataFrame:
        generator = np.random.default_rng(6)
        said = generator.normal(100, 20, 3000)
        truth = said + generator.normal(0, noise, 3000)
        return answers(truth.tolist(), said.tolist(), said.tolist())

    @pytest.mark.parametrize(("noise", "status"), [(5.0, Status.PASS), (10.0, Status.FAIL)])
    def test_a_regression_in_the_targets_unit_is_held_against_a_share_of_the_baseline(
        self, noise: float, status: Status
    ) -> None:
        baseline = ReferencePerformance(rows=5000, realised=(metric("rmse", 5.0, half=0.05),))
        scene = Scene(
            baseline,
            schema=NUMBER,
            spec={"model": {"task": "regression"}, "training": {"metric": "rmse"}},
            drop=0.2,
        )
        report = scene.look(self._regression(noise))
        drop = check_of(report, "performance_drop:rmse")
        assert drop.status is status
        assert drop.value == pytest.approx(noise / 5 - 1, abs=0.05)

    def test_a_regressions_errors_are_estimated_without_labels(self) -> None:
        tree = ErrorTree(
            inputs=("prediction", "age"),
            split=(1, -1, -1),
            threshold=(30.0, 0.0, 0.0),
            left=(1, -1, -1),
            right=(2, -1, -1),
            absolute=(2.0, 1.0, 3.0),
            squared=(5.0, 1.0, 9.0),
        )
        chunks = (ReferenceChunks(metric="mae", mean=2.0, sd=0.1, chunks=10, rows=500),)
        reference = ReferencePerformance(rows=5000, errors=tree, estimated=chunks)
        scene = Scene(
            reference, schema=NUMBER, spec={"model": {"task": "regression"}, "training": {"metric": "mae"}}
        )
        frame = answers([None] * 1000, [100.0] * 1000, [100.0] * 1000)
        for age, status in (([20.0, 40.0], Status.PASS), ([40.0, 40.0], Status.FAIL)):
            scene.ports.rows.frame = pd.DataFrame({"age": age * 500, "score": [100.0] * 1000})
            report = scene.look(frame)
            check = check_of(report, "estimated_performance:mae")
            assert check.status is status
            assert check.value == pytest.approx(np.mean([1.0 if one < 30 else 3.0 for one in age]))
            assert report.realised == ()

    def test_a_missing_column_of_an_estimate_is_an_error_of_that_check(self) -> None:
        tree = ErrorTree(
            inputs=("age",),
            split=(-1,),
            threshold=(0.0,),
            left=(-1,),
            right=(-1,),
            absolute=(1.0,),
            squared=(1.0,),
        )
        chunks = (ReferenceChunks(metric="mae", mean=1.0, sd=0.1, chunks=10, rows=500),)
        scene = Scene(
            ReferencePerformance(rows=100, errors=tree, estimated=chunks),
            schema=NUMBER,
            spec={"model": {"task": "regression"}, "training": {"metric": "mae"}},
        )
        scene.ports.rows.frame = pd.DataFrame({"score": [1.0]})
        report = scene.look(answers([None], [1.0], [1.0]))
        assert check_of(report, "estimated_performance").status is Status.ERROR
        assert report.status is Status.ERROR


class TestTrend:
    """Slides of a realised metric over judged windows."""

    def _slide(self, limit: float, last: float = 0.82, rows: float = 10_000) -> Scene:
        """Look at a window after nine others that slid from 0.85 on."""
        scene = Scene(
            ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.85),)),
            spec=BY_ACCURACY,
            trend=limit,
            window="1d",
        )
        for day in range(1, 10):
            value = 0.85 + (9 - day) / 9 * (last - 0.85)
            scene.remember(day, own__accuracy=value, own_rows__accuracy=rows)
        self.report = scene.look(answers(*coin(10_000, right=last)))
        return scene

    def test_the_slide_is_seen(self) -> None:
        scene = self._slide(0.02)
        trend = check_of(self.report, "performance_trend:accuracy")
        assert (trend.status, trend.n) == (Status.FAIL, 100_000)
        assert trend.value == pytest.approx(0.03)
        assert trend.interval is not None
        assert trend.interval.low > 0
        assert (self.report.status, self.report.severity) == (Status.FAIL, Severity.MEDIUM)
        assert "from 0.85 to 0.82" in self.report.reason
        assert "10 windows, 2026-05-01 00:00 to 2026-05-10 00:00 UTC" in self.report.reason
        numbers = scene.ports.monitor.windows("churn", "performance")[-1].numbers
        assert (numbers["own:accuracy"], numbers["own_rows:accuracy"]) == (0.82, 10_000)
        assert (numbers["trend_look"], numbers["trend_rows"]) == (1, 100_000)

    def test_the_limit_can_be_longer(self) -> None:
        self._slide(0.05)
        trend = check_of(self.report, "performance_trend")
        assert (trend.status, trend.value) == (Status.PASS, pytest.approx(0.03))
        self._slide(0.05, last=0.75)
        assert check_of(self.report, "performance_trend").status is Status.FAIL

    def test_a_slide_that_chance_may_make_is_no_alarm(self) -> None:
        self._slide(0.02, rows=50)
        assert check_of(self.report, "performance_trend").status is Status.INSUFFICIENT

    def test_few_windows_are_no_trend(self, scene: Scene) -> None:
        scene.remember(1, own__accuracy=0.99, own_rows__accuracy=1000)
        assert check_of(scene.look(answers(*coin(1000))), "performance_trend").status is Status.INSUFFICIENT

    def test_windows_of_other_versions_and_of_the_look_back_alone_are_no_part_of_it(self) -> None:
        scene = self._slide(0.02)
        kept = scene.ports.monitor
        for one in kept.windows("churn", "performance"):
            if one.window != WINDOW:
                place = ("churn", "performance", one.window.start, one.window.end)
                kept.kept_windows[place] = one.replace(digest=digest("9"))
        report = scene.look(answers(*coin(10_000, right=0.82)))
        assert check_of(report, "performance_trend").message.endswith(": 1; at least 8 make a trend")
        scene = Scene(ACCURATE, spec=BY_ACCURACY, window="1d")
        for day in range(1, 10):
            scene.remember(day, realised__accuracy=0.99)
        assert check_of(scene.look(answers(*coin(10_000))), "performance_trend").n == 10_000

    def test_windows_may_be_missing_and_the_last_30_count(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, window="1d")
        for day in range(1, 59):
            if day % 5:
                scene.remember(day, own__accuracy=0.9, own_rows__accuracy=1000)
        trend = check_of(scene.look(answers(*coin(1000))), "performance_trend")
        assert (trend.n, "through 30 windows" in trend.message) == (30_000, True)

    def test_labels_that_came_late_count_by_what_a_later_verdict_has_kept(self) -> None:
        scene = self._slide(0.02, rows=50)
        for day in range(1, 9):  # the window before each of them, once its labels were there
            value = 0.85 + (8 - day) / 9 * (0.82 - 0.85)
            scene.remember(day, settled__accuracy=value, settled_rows__accuracy=10_000)
        scene.spec = scene.spec.replace(
            monitoring=scene.spec.monitoring.replace(
                performance=scene.spec.monitoring.performance.replace(window="2d")
            )
        )
        report = scene.look(answers(*coin(10_000, right=0.82)))
        assert check_of(report, "performance_trend").n == 90_000

    def test_a_rising_metric_passes(self, scene: Scene) -> None:
        for day in range(1, 10):
            scene.remember(day + 6, own__accuracy=0.9 - day / 45, own_rows__accuracy=10_000)
        trend = check_of(scene.look(answers(*coin(10_000))), "performance_trend")
        assert trend.status is Status.PASS
        assert trend.value is not None
        assert trend.value < -0.1

    def test_each_judgement_on_other_labels_is_a_look_of_its_own(self) -> None:
        scene = self._slide(0.02)
        frame = answers(*coin(10_000, right=0.82))

        def looked() -> float:
            return scene.ports.monitor.windows("churn", "performance")[-1].numbers["trend_look"]

        scene.look(frame)
        assert looked() == 1
        scene.look(answers(*coin(9_000, right=0.82)))
        assert looked() == 2


class TestEstimates:
    def test_car_loan_alarms_on_chunks_5_to_9_only(self, shared_data) -> None:
        reference = pd.read_csv(shared_data / "car_loan_reference.csv")
        analysis = pd.read_csv(shared_data / "car_loan_analysis.csv")
        truth = pd.read_csv(shared_data / "car_loan_analysis_target.csv")
        analysis = analysis.merge(truth, on="id")
        schema = SCHEMA.model_copy(update={"classes": (0, 1), "positive": 1})
        from sklearn.metrics import roc_auc_score

        chunks = [reference.iloc[start : start + 5000] for start in range(0, 50_000, 5000)]
        of = {
            "roc_auc": [roc_auc_score(one["repaid"], one["y_pred_proba"]) for one in chunks],
            "accuracy": [float((one["repaid"] == one["y_pred"]).mean()) for one in chunks],
        }
        performance = ReferencePerformance(
            rows=50_000,
            calibration=calibrate(reference["y_pred_proba"].to_numpy(), reference["repaid"].to_numpy()),
            estimated=tuple(
                ReferenceChunks(
                    metric=name, mean=float(np.mean(each)), sd=float(np.std(each)), chunks=10, rows=5000
                )
                for name, each in of.items()
            ),
        )
        expected = {
            "roc_auc": (0.970744, 0.971011, 0.961316),
            "accuracy": (0.941792, None, 0.911731),
        }
        for name, (first, second, last) in expected.items():
            scene = Scene(performance, schema=schema, spec={"training": {"metric": name}})
            found, realised = [], []
            for place in range(10):
                part = analysis.iloc[5000 * place : 5000 * (place + 1)]
                frame = answers(
                    part["repaid"].tolist(), part["y_pred"].tolist(), part["y_pred_proba"].tolist()
                )
                report = scene.look(frame)
                found.append(check_of(report, f"estimated_performance:{name}"))
                realised.append({one.name: one.value for one in report.realised}["roc_auc"])
            assert [one.status is Status.FAIL for one in found] == [False] * 5 + [True] * 5
            assert round(found[0].value or 0, 6) == first
            assert round(found[-1].value or 0, 6) == last
            if second is not None:
                assert round(found[1].value or 0, 6) == second
            assert (round(realised[0] or 0, 6), round(realised[-1] or 0, 6)) == (0.970962, 0.957556)

    def _calibrated(self, rows: int = 20_000) -> ReferencePerformance:
        generator = np.random.default_rng(8)
        scores = generator.random(rows)
        labels = generator.random(rows) < scores
        return ReferencePerformance(
            rows=rows,
            realised=(metric("accuracy", 0.75), metric("roc_auc", 0.83)),
            calibration=calibrate(scores, labels),
            estimated=(ReferenceChunks(metric="accuracy", mean=0.75, sd=0.01, chunks=10, rows=2000),),
        )

    def test_concept_drift_is_seen_by_labels_and_not_by_estimates(self) -> None:
        scene = Scene(self._calibrated(), spec=BY_ACCURACY)
        scores = np.random.default_rng(9).random(5000)
        said = scores > 0.5
        turned = np.random.default_rng(10).random(5000) > scores  # the same questions, other answers
        report = scene.look(answers(turned.tolist(), said.tolist(), scores.tolist()))
        assert check_of(report, "estimated_performance:accuracy").status is Status.PASS
        assert check_of(report, "performance_drop:accuracy").status is Status.FAIL
        assert report.status is Status.FAIL
        realised = {one.name: one.value for one in report.realised}["accuracy"]
        estimated = {one.name: one.value for one in report.estimated}["accuracy"]
        assert realised == pytest.approx(0.25, abs=0.02)
        assert estimated == pytest.approx(0.75, abs=0.02)

    def test_without_labels_the_estimate_alone_may_fail_and_never_pass(self) -> None:
        scene = Scene(self._calibrated(), spec=BY_ACCURACY)
        for scores, status in (
            (np.random.default_rng(9).random(5000), Status.INSUFFICIENT),
            (np.random.default_rng(9).uniform(0.4, 0.6, 5000), Status.FAIL),
        ):
            frame = answers([None] * 5000, (scores > 0.5).tolist(), scores.tolist())
            report = scene.look(frame)
            assert report.status is status
            assert report.realised == ()
            assert scene.ports.monitor.windows("churn")[0].status is status
            within = check_of(report, "estimated_performance").passed
            assert within is (status is Status.INSUFFICIENT)
            assert report.reason.startswith("estimate within its limits, no labels") is within

    def test_an_outage_of_labels_turns_no_failed_windows_into_a_pass(self) -> None:
        scene = Scene(self._calibrated(), spec=BY_ACCURACY, window="4d")
        for day in range(1, 9):
            scene.remember(day, own__accuracy=0.75, own_rows__accuracy=1000)
        scores = np.random.default_rng(9).random(5000)
        report = scene.look(answers([None] * 5000, (scores > 0.5).tolist(), scores.tolist()))
        assert check_of(report, "performance_trend").status is Status.INSUFFICIENT
        assert report.status is Status.INSUFFICIENT
        kept = scene.ports.monitor.windows("churn", "performance")
        assert {one.window: one.status for one in kept}[WINDOW] is Status.INSUFFICIENT

    @pytest.mark.parametrize("seed", range(20))
    def test_chunks_that_are_all_perfect_make_no_alarm_of_chance(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        known = np.r_[generator.uniform(0, 0.45, 1000), generator.uniform(0.55, 1, 1000)]
        reference = ReferencePerformance(
            rows=2000,
            calibration=calibrate(known, known > 0.5),
            estimated=(ReferenceChunks(metric="roc_auc", mean=1.0, sd=0.0, chunks=10, rows=200),),
        )
        scores = np.r_[generator.uniform(0, 0.47, 500), generator.uniform(0.53, 1, 500)]
        frame = answers([None] * 1000, (scores > 0.5).tolist(), scores.tolist())
        scene = Scene(reference)
        assert check_of(scene.look(frame), "estimated_performance").status is Status.PASS
        moved = np.full(1000, 0.5)
        frame = answers([None] * 1000, [True] * 1000, moved.tolist())
        assert check_of(scene.look(frame), "estimated_performance").status is Status.FAIL

    def test_fewer_rows_than_a_reference_chunk_may_vary_more(self) -> None:
        scene = Scene(self._calibrated(), spec=BY_ACCURACY)
        scores = [0.9] * 40  # estimated accuracy 0.9: 15 deviations of a whole chunk, 2.1 of so few rows
        report = scene.look(answers([None] * 40, [True] * 40, scores))
        assert check_of(report, "estimated_performance").status is Status.PASS

    def test_labelled_or_not_all_rows_of_the_window_are_estimated_on(self) -> None:
        scene = Scene(self._calibrated(), spec=BY_ACCURACY)
        inside = answers([True, None] * 1000, [True] * 2000, [0.75] * 2000)
        before = answers([None] * 500, [True] * 500, [0.1] * 500, start=END - 3 * DAY)
        report = scene.look(pd.concat([before, inside], ignore_index=True))
        assert {one.n for one in report.estimated} == {2000}
        assert report.rows == 2500

    def test_a_reference_without_spread_has_no_alarm(self) -> None:
        bare = self._calibrated().model_copy(update={"estimated": ()})
        report = Scene(bare, spec=BY_ACCURACY).look(answers([None] * 100, [True] * 100, [0.9] * 100))
        assert check_of(report, "estimated_performance").status is Status.INSUFFICIENT
        assert report.estimated != ()


class TestBusiness:
    BLOCK = {"name": "revenue", "sql": "avg(outcome::double)", "minimum": 0.4, "maximum": 0.9}

    @pytest.mark.parametrize(
        ("value", "status"),
        [
            (0.5, Status.PASS), (0.4, Status.PASS), (0.39, Status.FAIL), (0.91, Status.FAIL),
            (None, Status.INSUFFICIENT),
        ],
    )  # fmt: skip
    def test_the_number_is_held_against_its_limits(self, value: float | None, status: Status) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, business=self.BLOCK)
        scene.ports.business.value = value
        report = scene.look(answers(*coin(1000)))
        assert check_of(report, "business:revenue").status is status
        kept = scene.ports.monitor.windows("churn")[0].numbers
        assert kept.get("business:revenue") == value

    def test_a_query_that_fails_is_an_error_and_loses_nothing_else(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, business=self.BLOCK)
        scene.ports.business.fails = True
        report = scene.look(answers(*coin(5000)))
        assert check_of(report, "business").status is Status.ERROR
        assert check_of(report, "performance_drop").status is Status.PASS
        assert report.status is Status.ERROR
        assert "WS-MONITORING-044" in report.reason

    def test_outcomes_are_the_models_classes(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, business=self.BLOCK)
        scene.look(answers(["yes", "no"] * 50, [True] * 100))
        assert "outcome" in scene.ports.business.asked[0][1]
        assert "label" not in scene.ports.business.asked[0][1]


class TestPositiveRate:
    @pytest.mark.parametrize(
        ("clicks", "rows", "status"),
        [
            (60, 1000, Status.PASS),
            (50, 1000, Status.INSUFFICIENT),
            (20, 1000, Status.FAIL),
            (40, 1000, Status.INSUFFICIENT),
            (3, 100, Status.INSUFFICIENT),
            (30, 1000, Status.INSUFFICIENT),
            (300, 10_000, Status.FAIL),
        ],
    )
    def test_less_than_80_percent_of_5_percent_is_an_alarm(
        self, clicks: int, rows: int, status: Status
    ) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, positive_rate={"baseline": 0.05})
        outcomes = [place < clicks for place in range(rows)]
        hour = timedelta(hours=1)
        report = scene.look(answers(outcomes, [False] * rows, start=END - hour, length=hour))
        rate = check_of(report, "positive_rate")
        assert (rate.status, rate.limit, rate.n) == (status, pytest.approx(0.04), rows)
        assert scene.ports.gauges.samples["churn"]["recommendation_ctr"] == [
            ({"variant": "champion"}, clicks / rows)
        ]

    def test_it_looks_at_its_own_hour_only(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, positive_rate={"baseline": 0.05})
        report = scene.look(answers([True] * 230 + [None] * 10, [True] * 240))
        rate = check_of(report, "positive_rate")
        assert (rate.status, rate.value, rate.n) == (Status.INSUFFICIENT, 0.0, 10)

    def test_what_was_shown_is_the_denominator_whatever_the_coverage(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, positive_rate={"baseline": 0.05}, coverage=0.0)
        outcomes = [True if place < 300 else None for place in range(10_000)]
        report = scene.look(answers(outcomes, [True] * 10_000, start=END - HOUR, length=HOUR))
        rate = check_of(report, "positive_rate")
        assert (rate.status, rate.value, rate.n) == (Status.FAIL, 0.03, 10_000)
        assert rate.interval is not None
        assert rate.interval.low == pytest.approx(0.02724, abs=5e-5)  # qbeta(.05, 300, 9701)
        coverage = check_of(report, "label_coverage")
        assert (coverage.status, coverage.value, report.coverage) == (Status.INSUFFICIENT, None, None)
        assert "look alike" in coverage.message
        assert report.realised == ()

    def test_without_one_outcome_nobody_knows_and_it_is_no_reason_to_retrain(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, positive_rate={"baseline": 0.05})
        report = scene.look(answers([None] * 1000, [True] * 1000, start=END - HOUR, length=HOUR))
        rate = check_of(report, "positive_rate")
        assert (rate.status, rate.code) == (Status.ERROR, "WS-MONITORING-048")
        assert scene.ports.monitor.windows("churn")[0].status is Status.ERROR
        few = scene.look(answers([None] * 20, [True] * 20, start=END - HOUR, length=HOUR))
        assert check_of(few, "positive_rate").status is Status.INSUFFICIENT

    def test_outcomes_of_other_words_are_told(self) -> None:
        """Those of its own stretch, where they are not those of the look-back, which are told anyway."""
        scene = Scene(ACCURATE, spec=BY_ACCURACY, positive_rate={"baseline": 0.05})
        outcomes = ["bought"] * 60 + [None] * 940
        part = {"start": END - HOUR, "length": HOUR}
        other = answers(outcomes[:5], [True] * 5, start=WINDOW.start, length=HOUR)
        frame = pd.concat([other, answers(outcomes, [True] * 1000, **part)], ignore_index=True)
        told = [one for one in scene.look(frame).findings if "WS-MONITORING-090" in one]
        assert [one.partition(" labels")[0] for one in told] == [
            "WS-MONITORING-090", "positive_rate: WS-MONITORING-090",
        ]  # fmt: skip
        assert ["65;" in told[0], "60;" in told[1]] == [True, True]
        once = scene.look(answers(outcomes, [True] * 1000, **part)).findings
        assert sum("WS-MONITORING-090" in one for one in once) == 1

    def test_answers_wait_until_their_outcomes_have_had_their_time(self) -> None:
        block = {"baseline": 0.05, "attribution": "2h"}
        scene = Scene(ACCURATE, spec=BY_ACCURACY, positive_rate=block)
        young = answers([None] * 1000, [True] * 1000, start=END - 2 * HOUR, length=2 * HOUR)
        old = answers([True] * 60 + [None] * 940, [True] * 1000, start=END - 3 * HOUR, length=HOUR)
        late = old["label_time"].where(old.index >= 10, END)
        report = scene.look(pd.concat([old.assign(label_time=late), young], ignore_index=True))
        rate = check_of(report, "positive_rate")
        assert (rate.value, rate.n) == (0.05, 1000)
        assert scene.ports.rows.asked[-1] == Span(start=END - 3 * HOUR, end=END - 2 * HOUR)

    def test_each_variant_has_a_rate_and_the_champions_is_judged(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, positive_rate={"baseline": 0.05})
        part = {"start": END - HOUR, "length": HOUR}
        own = answers([True] * 60 + [None] * 940, [True] * 1000, **part)
        other = answers([True] * 5 + [None] * 95, [True] * 100, variant="challenger", **part)
        shadow = answers([None] * 100, [True] * 100, variant="shadow", **part)
        frame = pd.concat([own, other.assign(digest=digest("9")), shadow], ignore_index=True)
        report = scene.look(frame)
        assert check_of(report, "positive_rate").n == 1000
        assert scene.ports.gauges.samples["churn"]["recommendation_ctr"] == [
            ({"variant": "champion"}, 0.06),
            ({"variant": "challenger"}, 0.05),
        ]

    def test_a_model_without_a_positive_class_has_no_such_rate(self) -> None:
        scene = Scene(schema=COLORS, positive_rate={"baseline": 0.05})
        report = scene.look(answers(["red"], ["red"], [None]))
        assert check_of(report, "positive_rate").status is Status.ERROR


class TestNoNews:
    """A window without a label of its own repeats no number of the window before."""

    def test_a_window_without_labels_has_no_numbers(self, scene: Scene) -> None:
        scene.ports.counter.counts[END] = counts_of([0.5] * 10)
        bad = answers(*coin(5000, right=0.7), start=END - 2 * DAY, length=20 * HOUR)
        before = Span(start=WINDOW.start - DAY, end=WINDOW.end - DAY)
        later, scene.ports = scene.ports, replace(scene.ports, now=lambda: before.end + timedelta(minutes=2))
        assert scene.look(bad, window=before).status is Status.FAIL
        scene.ports = later
        report = scene.look(bad)
        assert (report.status, report.realised) == (Status.INSUFFICIENT, ())
        assert check_of(report, "performance_drop").status is Status.INSUFFICIENT
        assert "not repeated" in report.reason
        numbers = scene.ports.monitor.windows("churn", "performance")[-1].numbers
        assert numbers["rows"] == 10.0
        assert not [name for name in numbers if name.startswith(("realised:", "own:"))]
        assert scene.ports.gauges.samples["churn"]["ml_realised_performance"] == []

    def test_a_late_label_of_an_older_answer_is_news(self, scene: Scene) -> None:
        scene.remember(1, own__accuracy=0.9, own_rows__accuracy=1000)
        scene.ports.counter.counts[END] = counts_of([0.5] * 10)
        frame = answers(*coin(5000, right=0.7), start=END - 2 * DAY)
        known = frame["label_time"].where(frame.index > 0, END - timedelta(hours=3))
        assert scene.look(frame.assign(label_time=known)).status is Status.FAIL

    def test_a_number_of_the_business_is_not_repeated(self) -> None:
        scene = Scene(ACCURATE, spec=BY_ACCURACY, business={"sql": "1", "minimum": 2})
        scene.ports.business.value = 1.0
        scene.ports.counter.counts[END] = counts_of([0.5] * 10)
        scene.remember(1, own__accuracy=0.9, own_rows__accuracy=1000)
        report = scene.look(answers(*coin(5000), start=END - 2 * DAY - timedelta(hours=2)))
        assert check_of(report, "business").status is Status.INSUFFICIENT


class TestVerdict:
    def test_what_a_check_raises_may_hold_a_value_and_is_never_logged(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def odd(*args: object, **more: object) -> None:
            raise ValueError("could not convert 'jane.doe@example.org'")

        monkeypatch.setattr(performance_judging.checks, "performance_drop", odd)
        report = scene.look(answers(*coin(100)))
        assert check_of(report, "performance_drop").status is Status.ERROR
        assert "jane" not in caplog.text + report.model_dump_json()
        assert "ValueError at test_check_performance.py:" in caplog.text

    def test_how_answers_are_given_asks_for_no_retrain(self, scene: Scene) -> None:
        scene.ports.counter.counts[END] = counts_of([0.5] * 1000, milliseconds=300.0)
        report = scene.look(answers(*coin(5000)))
        assert check_of(report, "latency_p95").status is Status.FAIL
        sla = check_of(report, "latency_sla")
        assert (sla.status, sla.limit, sla.code) == (Status.FAIL, 50, "WS-MONITORING-049")
        assert (report.status, report.severity) == (Status.FAIL, Severity.LOW)
        kept = scene.ports.monitor.windows("churn")[0]
        assert (kept.status, kept.severity) == (Status.PASS, Severity.NONE)

    def test_rates_alone_do_not_make_the_answers_good(self, scene: Scene) -> None:
        scene.ports.counter.counts[END] = counts_of([0.5] * 1000)
        report = scene.look(answers([None] * 1000, [True] * 1000))
        assert check_of(report, "latency_p95").passed
        assert report.status is Status.INSUFFICIENT

    def test_numbers_for_charts_are_kept(self, scene: Scene) -> None:
        scene.ports.counter.counts[END] = counts_of([0.5] * 1000)
        scene.look(answers(*coin(1000)))
        numbers = scene.ports.monitor.windows("churn", "performance")[0].numbers
        assert numbers["realised:accuracy"] == 0.9
        assert numbers["coverage"] == 1.0
        assert (numbers["rows"], numbers["answers"], numbers["labelled"]) == (1000.0, 1000.0, 1000.0)
        assert numbers["latency_p95"] == pytest.approx(1.0)

    def test_the_gauges_are_set(self, scene: Scene) -> None:
        scene.look(answers(*coin(1000)))
        samples = scene.ports.gauges.samples["churn"]
        assert ({"metric": "accuracy"}, 0.9) in samples["ml_realised_performance"]
        assert samples["ml_model_accuracy"] == [({"model_version": "1"}, 0.9)]
        assert scene.ports.gauges.calls == 1

    def test_gauges_of_what_has_no_value_now_are_cleared(self, scene: Scene) -> None:
        truth, said, scores = coin(1000)
        scene.look(answers(truth, said, scores))
        gauges = scene.ports.gauges
        assert gauges.samples["churn"]["ml_realised_performance"]
        gauges.samples["churn"] |= {"recommendation_ctr": [({}, 0.5)], "data_drift_score": ["of drift"]}
        report = scene.look(answers([None] * 1000, said, scores))
        assert gauges.samples["churn"] == {
            "ml_estimated_performance": [({"metric": one.name}, one.value) for one in report.estimated],
            "ml_realised_performance": [],
            "ml_model_accuracy": [],
            "recommendation_ctr": [],
            "data_drift_score": ["of drift"],
        }

    def test_a_server_that_is_away_is_a_finding(self, scene: Scene) -> None:
        def away(*args: object) -> None:
            raise ServerUnavailableError("no answer")

        scene.ports.gauges.set = away
        report = scene.look(answers(*coin(5000)))
        assert report.status is Status.PASS
        assert any("WS-SERVING-001" in one for one in report.findings)

    def test_a_window_that_is_judged_again_has_the_later_verdict(self, scene: Scene) -> None:
        truth, said, scores = coin(5000, right=0.7)
        assert scene.look(answers([None] * 5000, said, scores)).status is Status.INSUFFICIENT
        assert scene.look(answers(truth, said, scores)).status is Status.FAIL
        assert [one.status for one in scene.ports.monitor.windows("churn")] == [Status.FAIL]
