from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from support.seasons import DAY, MONDAY, by_week, draw_rows, found_in, steady
from windsock.records import ColumnKind, ColumnRole, Span
from windsock.spec import MonitoringBlock
from windsock.statistics.seasons import like_chunks, loss_offset, span_offset
from windsock.training.season_words import sentences, undated

BLOCK = MonitoringBlock()
DATED = {
    "kinds": {"at": ColumnKind.DATETIME},
    "roles": {"at": ColumnRole.EVENT_TIME},
    "data": {"event_time": "at"},
}
SATURDAY, SUNDAY = (Span(start=MONDAY + days * DAY, end=MONDAY + (days + 1) * DAY) for days in (5, 6))
WEEKDAYS = Span(start=MONDAY, end=MONDAY + 5 * DAY)


@pytest.fixture(scope="module")
def weekly(world, typed_rows):
    """Return the profile of a version that was trained on eight weeks whose weekends differ."""
    frame = typed_rows(8_400)
    at = pd.date_range("2024-01-01", periods=len(frame), freq=DAY / 150)
    later = np.where(at.dayofweek >= 5, 12.0, 0.0)
    frame = frame.assign(at=at, age=frame["age"] + later)
    made = world(frame, **DATED)
    trained = made.train("logistic_regression")
    return made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest).profile


class TestAVersion:
    def test_columns_that_differ_are_held_against_their_like(self, weekly):
        season = weekly.column("age").season
        assert (season.cycle, season.is_own) == ("week", True)
        assert weekly.column("visits").season is None

    def test_scores_know_the_season_of_the_longer_history(self, weekly):
        season = weekly.score.season
        assert not season.is_own
        assert sum(season.rows) > weekly.score.rows == sum(season.reference)
        assert span_offset(weekly.score, SATURDAY, WEEKDAYS) > 0.1
        assert span_offset(weekly.score, SATURDAY, SUNDAY) < 0.06

    def test_estimates_are_held_against_their_weekday(self, weekly):
        chunks = next(one for one in weekly.performance.estimated if one.metric == "roc_auc")
        assert len(chunks.season) == 7
        like = like_chunks(chunks, weekly.score, SATURDAY)
        assert like.mean - chunks.mean == pytest.approx(chunks.season[5])
        assert chunks.season[5] != 0
        assert like_chunks(chunks, None, SATURDAY) == chunks

    def test_it_says_what_recurs(self, weekly):
        assert any(one.startswith("by weekday: age") for one in weekly.noticed)

    def test_rows_without_times_have_no_season(self, world, typed_rows, caplog):
        made = world(typed_rows(1_500))
        with caplog.at_level(logging.INFO):
            trained = made.train("logistic_regression")
        profile = made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest).profile
        assert all(column.season is None for column in profile.columns)
        (told,) = profile.noticed
        assert told.startswith("WS-TRAINING-120: training rows have no time")
        assert "`data.event_time`" in told
        assert f"seasons: {told}" in caplog.text

    def test_whole_weeks_need_no_times(self):
        assert undated(MonitoringBlock(window="7d", performance={"window": "14d"})) == ()
        assert undated(MonitoringBlock(window="7d", performance={"window": "1d"})) != ()


class TestWords:
    def told(self, frame, block=BLOCK):
        times = frame["at"].to_numpy().astype("datetime64[us]")
        return sentences(found_in(frame, block.window_length), times, block)

    def test_of_days_that_are_alike_chance_alone_is_told(self):
        told = self.told(draw_rows(steady, 56))
        assert told == ("1 of 56 windows of the training time would alarm: plan 1",)

    def test_a_history_that_is_too_short_for_weekdays_asks_for_weeks(self):
        told = self.told(draw_rows(by_week, 19))
        assert any("windows of the training time would alarm" in one for one in told)
        assert "set `monitoring.window: 7d`" in told[-1]

    def test_a_look_back_that_is_no_week_is_named(self):
        block = MonitoringBlock(performance={"window": "3d"})
        assert any(
            "`monitoring.performance.window: 7d`" in one for one in self.told(draw_rows(by_week, 56), block)
        )
        assert not any("look-back" in one for one in self.told(draw_rows(by_week, 56)))

    def test_what_happened_once_is_told_with_its_window(self):
        told = self.told(draw_rows(lambda at: 1.0 if (at.month, at.day) == (2, 10) else 0.0, 56))
        assert any("2024-02-10" in one and "once: no limit is wider" in one for one in told)
        assert any(one.startswith("1 of 56 windows of the training time would alarm") for one in told)


class TestLosses:
    """The second feature says less on weekends: columns are alike, losses are not."""

    def profile(self, world, typed_rows, window: str, *, harder: bool = True):
        draw = np.random.default_rng(5)
        rows = 42 * 100
        at = pd.date_range("2024-01-01", periods=rows, freq=DAY / 100)
        age = draw.normal(45, 10, rows)
        slope = np.where((at.dayofweek >= 5) & harder, 0.0, 3.0)
        left = draw.random(rows) < 1 / (1 + np.exp(-slope * (age - 45) / 10))
        frame = typed_rows(rows)
        frame = frame.assign(at=at, age=age, churned=left.astype(frame["churned"].dtype))
        made = world(frame, **DATED, monitoring={"performance": {"window": window}})
        trained = made.train("logistic_regression")
        return made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest).profile

    def test_weekends_that_are_harder_are_known_by_rows_not_fitted_on(self, world, typed_rows):
        profile = self.profile(world, typed_rows, "1d")
        (season,) = profile.performance.seasons
        assert season.metric == "roc_auc"
        assert max(season.parts[5:]) < -0.15 < 0 < min(season.parts[:5])
        assert loss_offset(season, SATURDAY) < -0.15
        assert loss_offset(season, WEEKDAYS) > 0
        assert abs(loss_offset(season, Span(start=MONDAY, end=MONDAY + 7 * DAY))) < 0.1
        assert "roc_auc differs by weekday" in profile.noticed[-1]
        assert "set `monitoring.performance.window: 7d`" in profile.noticed[-1]

    @pytest.mark.parametrize(("window", "harder"), [("7d", True), ("1d", False)])
    def test_whole_weeks_and_days_that_are_alike_need_nothing(self, world, typed_rows, window, harder):
        profile = self.profile(world, typed_rows, window, harder=harder)
        assert profile.performance.seasons == ()
        assert not any("roc_auc" in one for one in profile.noticed)
