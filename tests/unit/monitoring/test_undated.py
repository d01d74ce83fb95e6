from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest, make_check, make_spec
from support.monitoring_records import make_drift, make_performance, make_retrain_decision
from support.retraining import DAY, LATER, MIDNIGHT, make_window, make_windows
from windsock import records as r
from windsock.monitoring.alerts import conditions_of
from windsock.monitoring.decide_retrain import decide
from windsock.monitoring.undated import recurs_by_week, undated_text
from windsock.records import Status
from windsock.spec import RetrainBlock

CURE = "name the column that dates a row in `data.event_time` and retrain"
TOLD = undated_text(make_spec(), "drift")


def scored(days: int, scores: Any, **fields: Any) -> list[r.WindowVerdict]:
    """Return failed windows, each with the drift score of its place in the week."""
    return [
        make_window(number, numbers={"drift_score": scores[number % 7] + number / 1000}, **fields)
        for number in range(1, days + 1)
    ]


class TestWords:
    @pytest.mark.parametrize(
        ("fields", "kind", "told"),
        [
            ({}, "drift", "or set `monitoring.window: 7d`"),
            ({"monitoring": {"window": "1h"}}, "drift", "or set `monitoring.window: 7d`"),
            ({"monitoring": {"window": "7d"}}, "drift", ""),
            ({"data": {"event_time": "at"}}, "drift", ""),
            ({}, "performance", ""),
            (
                {"monitoring": {"performance": {"window": "1d"}}},
                "performance",
                "or set `monitoring.performance.window: 7d`",
            ),
        ],
    )
    def test_the_cure_is_named_where_no_season_can_be_known(self, fields, kind, told):
        found = undated_text(make_spec(**fields), kind)
        assert found.endswith(told)
        assert bool(found) == bool(told) == (CURE in found)

    def test_a_pattern_of_the_week_is_named_once_it_has_been_seen_three_times(self):
        weekends = [0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.6]
        assert ": a pattern of the week." in undated_text(make_spec(), "drift", scored(21, weekends))
        assert ": a pattern of the week." not in undated_text(make_spec(), "drift", scored(20, weekends))


class TestRecurs:
    def test_a_step_is_no_pattern(self):
        windows = [make_window(one, numbers={"drift_score": float(one > 9)}) for one in range(1, 22)]
        assert not recurs_by_week(windows)

    def test_windows_of_another_version_or_length_say_nothing(self):
        weekends = [0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.6]
        assert recurs_by_week(scored(21, weekends))
        assert not recurs_by_week(
            [*scored(21, weekends, digest=digest("b"))[:20], *scored(21, weekends)[20:]]
        )
        long = r.Span(start=MIDNIGHT, end=MIDNIGHT + 7 * DAY)
        assert not recurs_by_week([one.replace(window=long) for one in scored(21, weekends)])
        assert not recurs_by_week([])


class TestTold:
    def decided(self, words: str, episodes: Any = (), **cures: str) -> r.RetrainDecision:
        now = MIDNIGHT + len(words) * DAY + LATER
        return decide(
            make_windows(words),
            list(episodes),
            RetrainBlock(),
            now,
            digest("a"),
            DAY,
            model="churn",
            cures={"drift": TOLD, "performance": "", **cures},
        )

    @pytest.mark.parametrize("words", ["b", "bb", "gb"])
    def test_the_first_bad_window_names_the_cure_in_the_decision(self, words):
        assert self.decided(words).reason.endswith(TOLD)

    def test_good_windows_need_none(self):
        assert CURE not in self.decided("gg").reason

    def test_alerts_name_it_for_drift_a_loss_and_the_breaker(self):
        drift = make_drift(status=Status.FAIL, findings=(TOLD,))
        checks = tuple(
            make_check(name, Status.FAIL)
            for name in ("performance_drop:roc_auc", "score_anomaly", "latency_p95")
        )
        days = make_spec(monitoring={"performance": {"window": "1d"}})
        of_loss = undated_text(days, "performance")
        performance = make_performance(status=Status.FAIL, checks=checks, findings=(of_loss, TOLD))
        decision = make_retrain_decision(breaker=True, reason=self.decided("bb").reason)
        texts = {one.key: one.text for one in conditions_of(drift, performance, decision)}
        assert of_loss in texts["performance:performance_drop:roc_auc"]
        for key in ("drift", "performance:score_anomaly", "retrain:breaker"):
            assert TOLD in texts[key]
        assert CURE not in texts["performance:latency_p95"]
