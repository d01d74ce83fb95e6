from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from support.builders import digest
from support.performance import DAY, END, WINDOW, Scene, answers, check_of, counts_of, score_profile
from windsock.monitoring.performance_anomalies import (
    fallback_rate,
    latency_interval,
    latency_p95,
    latency_quantile,
    null_answers,
    row_rate,
    score_anomaly,
    usual_rows,
)
from windsock.records import Span, Status, WindowVerdict
from windsock.spec import PerformanceBlock
from windsock.statistics.counting import LATENCY_EDGES, WindowCounts

BLOCK = PerformanceBlock()
HOUR = timedelta(hours=1)


def even(rows: int, *, low: float = 0.0, seed: int = 1) -> list[float]:
    return np.random.default_rng(seed).uniform(low, 1, rows).tolist()


class TestScores:
    @pytest.mark.parametrize(
        ("now", "status"),
        [
            (even(5000), Status.PASS),
            (even(5000, low=0.3), Status.FAIL),
            (even(50, low=0.2), Status.INSUFFICIENT),
            (even(5000, low=0.1), Status.INSUFFICIENT),
            (even(20_000, low=0.05), Status.PASS),
            ([0.5] * 2000, Status.FAIL),
        ],
    )
    def test_they_are_held_against_the_windows_before(self, now: list[float], status: Status) -> None:
        before = counts_of(even(30_000, seed=2))
        found = score_anomaly(counts_of(now), before, score_profile(), BLOCK)
        assert found.status is status
        assert found.n == len(now)

    def test_what_a_weekday_differs_by_anyway_is_no_anomaly(self) -> None:
        now, before = counts_of(even(5000, low=0.2)), counts_of(even(30_000, seed=2))
        assert score_anomaly(now, before, score_profile(), BLOCK).status is Status.FAIL
        found = score_anomaly(now, before, score_profile(), BLOCK, natural=0.15)
        assert (found.status, found.limit) == (Status.PASS, 0.25)
        far = counts_of(even(5000, low=0.4))
        assert score_anomaly(far, before, score_profile(), BLOCK, natural=0.15).status is Status.FAIL

    def test_the_interval_holds_the_exact_distance(self) -> None:
        from scipy.stats import ks_2samp

        for seed in range(20):
            now, before = even(3000, low=0.01 * seed, seed=seed), even(9000, seed=99)
            found = score_anomaly(counts_of(now), counts_of(before), score_profile(), BLOCK)
            assert found.interval is not None
            assert found.interval.low <= ks_2samp(now, before).statistic <= found.interval.high

    def test_nothing_to_compare_with_says_nothing(self) -> None:
        some, none = counts_of(even(100)), counts_of([])
        assert score_anomaly(some, none, score_profile(), BLOCK).status is Status.INSUFFICIENT
        assert score_anomaly(none, some, score_profile(), BLOCK).status is Status.INSUFFICIENT
        assert score_anomaly(some, some, None, BLOCK).status is Status.INSUFFICIENT
        bare = WindowCounts(rows=0, columns={})
        assert score_anomaly(bare, some, score_profile(), BLOCK).status is Status.INSUFFICIENT


class TestRows:
    @pytest.mark.parametrize(
        ("rows", "usual", "status"),
        [
            (1000, [900, 1100, 1000], Status.PASS),
            (5000, [900, 1100, 1000], Status.FAIL),
            (100, [900, 1100, 1000], Status.FAIL),
            (0, [900, 1100, 1000], Status.FAIL),
            (250, [900, 1100, 1000], Status.INSUFFICIENT),
            (0, [4, 4, 4], Status.INSUFFICIENT),
            (0, [0, 0, 0], Status.INSUFFICIENT),
            (100, [0, 0, 0], Status.FAIL),
            (1000, [900, 1100], Status.INSUFFICIENT),
        ],
    )
    def test_four_times_more_or_fewer_than_usual_is_an_alarm(
        self, rows: int, usual: list[float], status: Status
    ) -> None:
        assert row_rate(rows, usual, BLOCK).status is status

    def _verdict(self, window: Span, rows: float) -> WindowVerdict:
        return WindowVerdict(
            model="churn",
            kind="performance",
            window=window,
            version="1",
            digest=digest("1"),
            status=Status.PASS,
            numbers={"rows": rows},
            judged_at=END,
        )

    def test_nights_are_held_against_nights(self) -> None:
        night = Span(start=END, end=END + HOUR)
        windows = [
            self._verdict(
                Span(start=END - back * HOUR, end=END - (back - 1) * HOUR), 10.0 if back % 24 == 0 else 900.0
            )
            for back in range(1, 100)
        ]
        assert usual_rows(windows, night) == [10.0] * 4
        day_long = self._verdict(Span(start=END - DAY, end=END), 5.0)
        assert usual_rows([day_long], night) == []

    def test_weekends_are_held_against_weekends_once_three_are_known(self) -> None:
        window = Span(start=END, end=END + DAY)
        windows = [
            self._verdict(
                Span(start=END - back * DAY, end=END - (back - 1) * DAY), 10.0 if back % 7 == 0 else 900.0
            )
            for back in range(1, 29)
        ]
        assert usual_rows(windows[:7], window, windows) == [10.0] * 4
        assert usual_rows(windows[:7], window, windows[:20]) == [10.0, *[900.0] * 6]

    def test_it_is_part_of_the_verdict(self) -> None:
        scene = Scene()
        for day in (1, 2, 3):
            scene.remember(day, rows=1000.0)
        scene.ports.counter.counts[END] = counts_of([], rows=0)
        report = scene.look(answers([], []))
        assert check_of(report, "row_rate").status is Status.FAIL
        assert [check.name for check in report.checks] == ["row_rate"]
        assert report.status is Status.EMPTY
        assert scene.ports.counter.asked == [WINDOW, Span(start=END - 7 * DAY, end=WINDOW.start)]


class TestShares:
    @pytest.mark.parametrize(
        ("nulls", "rows", "status"),
        [
            (0, 1000, Status.PASS), (10, 10_000, Status.PASS), (500, 10_000, Status.FAIL),
            (10_000, 10_000, Status.FAIL), (1, 100, Status.INSUFFICIENT), (0, 0, Status.INSUFFICIENT),
        ],
    )  # fmt: skip
    def test_missing_scores(self, nulls: int, rows: int, status: Status) -> None:
        scores = [float("nan")] * nulls + [0.5] * (rows - nulls)
        assert null_answers(counts_of(scores)).status is status

    def test_a_model_without_scores_has_none_missing(self) -> None:
        assert null_answers(WindowCounts(rows=10, columns={})).status is Status.INSUFFICIENT

    @pytest.mark.parametrize(
        ("fallbacks", "status"), [(0, Status.PASS), (200, Status.FAIL), (50, Status.INSUFFICIENT)]
    )
    def test_answers_of_stand_ins(self, fallbacks: int, status: Status) -> None:
        assert fallback_rate(counts_of([0.5] * 1000, fallbacks=fallbacks)).status is status


class TestLatency:
    @pytest.mark.parametrize(
        ("milliseconds", "limit", "status"),
        [
            (1.0, 100.0, Status.PASS),
            (100.0, 100.0, Status.PASS),
            (101.0, 100.0, Status.FAIL),
            (5000.0, 100.0, Status.FAIL),
            (1e7, 100.0, Status.FAIL),
            (110.0, 110.0, Status.INSUFFICIENT),
        ],
    )
    def test_the_95_percent_quantile(self, milliseconds: float, limit: float, status: Status) -> None:
        counts = counts_of([0.5] * 1000, milliseconds=milliseconds)
        assert latency_p95(counts, limit).status is status

    def test_one_slow_answer_in_twenty_is_allowed(self) -> None:
        for slow, status in ((36, Status.PASS), (50, Status.INSUFFICIENT), (66, Status.FAIL)):
            both = counts_of([0.5] * (1000 - slow)) + counts_of([0.5] * slow, milliseconds=500.0)
            assert latency_p95(both, 100.0).status is status

    def test_few_answers_have_no_such_quantile(self) -> None:
        assert latency_p95(counts_of([0.5] * 19, milliseconds=500.0), 100.0).status is Status.INSUFFICIENT
        assert latency_p95(counts_of([0.5] * 20, milliseconds=500.0), 100.0).status is Status.FAIL
        assert latency_p95(counts_of([0.5] * 58), 100.0).status is Status.INSUFFICIENT  # 0.95 ** 58 > 5 %
        assert latency_p95(counts_of([0.5] * 59), 100.0).status is Status.PASS

    def test_the_interval_has_the_ranks_of_the_binomial(self) -> None:
        """For n = 1,000 the ranks 938 and 962 (R: qbinom(c(.05, .95), 1000, .95) + c(0, 1))."""
        latency = [0] * (len(LATENCY_EDGES) + 1)
        latency[20], latency[30], latency[40] = 937, 24, 39
        found = latency_interval(latency)
        assert (found.low, found.high) == (LATENCY_EDGES[29], LATENCY_EDGES[40])
        latency[20], latency[30], latency[40] = 938, 24, 38
        found = latency_interval(latency)
        assert (found.low, found.high) == (LATENCY_EDGES[19], LATENCY_EDGES[30])

    def test_the_quantile_lies_between_its_edges(self) -> None:
        times = np.random.default_rng(4).lognormal(2, 1, 10_000)
        latency = [0] * (len(LATENCY_EDGES) + 1)
        for place in np.searchsorted(LATENCY_EDGES, times):
            latency[place] += 1
        low, high = latency_quantile(latency)
        assert low <= np.quantile(times, 0.95, method="inverted_cdf") <= high
        assert high / low < 1.27
