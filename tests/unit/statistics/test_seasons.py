from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from support.drift_windows import count_frame
from support.seasons import (
    DAY,
    HOUR,
    MONDAY,
    by_hour,
    by_pay,
    by_week,
    day,
    draw_rows,
    found_in,
    profile_of,
    steady,
)
from windsock.monitoring.drift_columns import judge_columns
from windsock.records import DriftProfile, Span, Status
from windsock.spec import DriftBlock
from windsock.statistics.distances import ks_interval
from windsock.statistics.seasons import MOST_RECURRING, like_profile, overlap, parts_of, span_offset

RULE = DriftBlock()


def failed(profile: DriftProfile, frame, window: Span) -> list[str]:
    """Return the columns that drift in the rows of a window."""
    inside = frame[(frame["at"] >= _plain(window.start)) & (frame["at"] < _plain(window.end))]
    like = like_profile(profile, window)
    judged = judge_columns(like, count_frame(profile, inside.drop(columns="at")), RULE)
    return [column.name for column in judged.columns if column.status is Status.FAIL]


def _plain(moment):
    return np.datetime64(moment.replace(tzinfo=None))


def bad_windows(profile, frame, numbers, length=DAY) -> list[int]:
    return [number for number in numbers if failed(profile, frame, day(number, length))]


class TestTheCalendar:
    def test_a_day_is_one_weekday(self):
        assert overlap(day(0), "week") == (1, 0, 0, 0, 0, 0, 0)
        assert overlap(day(13), "week") == (0, 0, 0, 0, 0, 0, 1)

    def test_windows_over_several_parts(self):
        span = Span(start=MONDAY + timedelta(hours=12), end=MONDAY + timedelta(days=9))
        assert overlap(span, "week") == (1.5, 2, 1, 1, 1, 1, 1)

    def test_hours(self):
        span = Span(start=MONDAY + timedelta(hours=23, minutes=30), end=MONDAY + timedelta(hours=25))
        assert overlap(span, "day") == (1, *[0] * 22, 0.5)

    def test_times_before_1970_have_their_weekday_too(self):
        start = MONDAY - timedelta(days=7 * 3_000)
        assert overlap(Span(start=start, end=start + DAY), "week") == (1, 0, 0, 0, 0, 0, 0)


class TestWhatRecurs:
    @pytest.mark.parametrize("seed", range(3))
    def test_days_that_are_all_alike_have_no_season(self, seed):
        found = found_in(draw_rows(steady, 56, seed=seed))
        assert {column.season for column in found.columns.values()} == {None}
        assert set(found.variability.recurring.values()) == {0.0}
        assert found.variability.once == ()

    def test_each_weekday_is_counted(self):
        found = found_in(draw_rows(by_week, 56))
        for column in found.columns.values():
            assert column.season.is_own
            assert column.season.rows == (1_600,) * 7
            assert column.recurring == 0

    def test_a_weekday_without_rows_is_not_known(self):
        frame = draw_rows(by_week, 56)
        season = found_in(frame[frame["at"].dt.dayofweek != 6].reset_index(drop=True)).columns["age"].season
        assert [part is None for part in season.parts] == [False] * 6 + [True]

    def test_two_weeks_are_too_few_to_know_weekdays(self):
        found = found_in(draw_rows(by_week, 14))
        assert {column.season for column in found.columns.values()} == {None}

    def test_hours_of_the_day(self):
        found = found_in(draw_rows(by_hour, 10, a_day=2_400, step=HOUR), HOUR)
        season = found.columns["age"].season
        assert (season.cycle, season.rows) == ("day", (1_000,) * 24)

    def test_what_comes_back_each_month_widens_limits_and_is_no_season(self):
        found = found_in(draw_rows(by_pay, 90))
        assert {column.season for column in found.columns.values()} == {None}
        assert found.columns["age"].recurring > 0.15
        assert {column.lasted for column in found.columns.values()} == {4}
        assert found.variability.once == ()

    def test_what_happened_once_is_named_and_widens_nothing(self):
        found = found_in(draw_rows(lambda at: 1.0 if at.day in (10, 11) and at.month == 2 else 0.0, 56))
        assert {column.recurring for column in found.columns.values()} == {0.0}
        assert {one.column for one in found.variability.once} >= {"age", "visits"}
        assert {found.windows[one.window].start.day for one in found.variability.once} <= {10, 11}

    @pytest.mark.parametrize("much", [(0.6, -0.6), (0.6, 5.0), (-1.5, 1.5)])
    def test_two_that_are_not_alike_do_not_recur(self, much: tuple[float, float]):
        odd = dict(zip((5, 30), much, strict=True))
        found = found_in(draw_rows(lambda at: odd.get((at - MONDAY).days, 0.0), 56, seed=1))
        assert found.columns["age"].recurring == 0
        assert "age" in {one.column for one in found.variability.once}

    def test_what_recurs_widens_limits_up_to_a_cap(self):
        found = found_in(draw_rows(lambda at: 5.0 if (at - MONDAY).days in (5, 30) else 0.0, 56, seed=1))
        assert {(one.recurring, one.lasted) for one in found.columns.values()} == {(MOST_RECURRING, 1)}

    @pytest.mark.parametrize(
        "shift",
        [lambda at: (at - MONDAY) / DAY / 56, lambda at: 1.0 if at >= MONDAY + 30 * DAY else 0.0],
        ids=["trend", "step"],
    )
    def test_what_does_not_come_back_widens_nothing(self, shift):
        found = found_in(draw_rows(shift, 56))
        assert {column.recurring for column in found.columns.values()} == {0.0}
        assert {column.season for column in found.columns.values()} == {None}


class TestTheLike:
    FRAME = draw_rows(by_week, 56)
    PROFILE = profile_of(FRAME)
    LATER = draw_rows(by_week, 77, a_day=600, seed=5)
    DAYS = range(56, 77)

    def test_healthy_days_pass(self):
        assert len(bad_windows(self.PROFILE, self.LATER, self.DAYS)) <= 2

    def test_without_seasons_they_do_not(self):
        plain = self.PROFILE.replace(columns=tuple(one.replace(season=None) for one in self.PROFILE.columns))
        assert len(bad_windows(plain, self.LATER, self.DAYS)) >= 15

    def test_a_shift_is_found_on_each_day(self):
        moved = self.LATER.assign(age=self.LATER["age"] + 4)
        assert bad_windows(self.PROFILE, moved, self.DAYS) == list(self.DAYS)

    def test_a_weekend_in_the_middle_of_the_week_is_drift(self):
        odd = draw_rows(lambda at: 0.6, 63, a_day=600, seed=6)
        assert bad_windows(self.PROFILE, odd, [58, 61]) == [58]

    def test_a_week_is_held_against_all_days(self):
        column = self.PROFILE.column("age")
        like = like_profile(self.PROFILE, Span(start=MONDAY, end=MONDAY + 7 * DAY)).column("age")
        assert like.rows == pytest.approx(column.rows, rel=0.01)
        assert np.abs(np.array(like.below) / like.rows - np.array(column.below) / column.rows).max() < 0.002

    def test_two_days_are_held_against_their_mixture(self):
        span = Span(start=MONDAY + 4 * DAY, end=MONDAY + 6 * DAY)  # Friday and Saturday
        like = like_profile(self.PROFILE, span).column("age")
        rows = self.FRAME[self.FRAME["at"].dt.dayofweek.isin([4, 5])]
        counts = count_frame(self.PROFILE, rows.drop(columns="at")).columns["age"]
        assert ks_interval(like, counts)[0] < 0.04

    def test_profiles_without_a_season_stay_as_they_are(self):
        profile = profile_of(draw_rows(steady, 28))
        assert like_profile(profile, day(6)) == profile


class TestAReferenceOfAFewDays:
    FRAME = draw_rows(by_week, 56)
    REFERENCE = (FRAME["at"] >= _plain(MONDAY + 49 * DAY)) & (FRAME["at"] < _plain(MONDAY + 53 * DAY))
    PROFILE = profile_of(FRAME, reference=REFERENCE)
    LATER = draw_rows(by_week, 77, a_day=600, seed=5)

    def test_it_keeps_the_season_of_the_longer_history(self):
        season = self.PROFILE.column("age").season
        assert not season.is_own
        assert season.reference == (200, 200, 200, 200, 0, 0, 0)

    def test_weekends_are_no_drift_and_weekdays_are_held_as_before(self):
        assert len(bad_windows(self.PROFILE, self.LATER, range(56, 77))) <= 2
        assert like_profile(self.PROFILE, day(0)).column("age").recurring < 0.05
        assert like_profile(self.PROFILE, day(5)).column("age").recurring == pytest.approx(0.24, abs=0.04)

    def test_a_shift_is_found_on_weekdays(self):
        moved = self.LATER.assign(age=self.LATER["age"] + 4)
        assert bad_windows(self.PROFILE, moved, range(56, 61)) == list(range(56, 61))

    def test_the_season_between_two_stretches(self):
        column = self.PROFILE.column("age")
        week = Span(start=MONDAY - 7 * DAY, end=MONDAY)
        assert span_offset(column, day(6), day(5)) < 0.05
        assert span_offset(column, day(6), week) > span_offset(column, day(0), week) > 0


class TestHoursOfAZone:
    """People keep the hours of their clocks: in UTC a daily pattern moves when these are changed."""

    SPRING = datetime(2026, 3, 29, tzinfo=UTC)  # at 01:00 UTC Berlin goes from 02:00 to 03:00
    AUTUMN = datetime(2026, 10, 25, tzinfo=UTC)  # at 01:00 UTC Berlin goes from 03:00 back to 02:00

    @staticmethod
    def parts(start: datetime, zone: str, hours: int = 26) -> list[int]:
        """Return the part of each hour's window, which is one alone."""
        found = []
        for number in range(hours):
            window = Span(start=start + number * HOUR, end=start + (number + 1) * HOUR)
            weights = overlap(window, "day", zone)
            assert sorted(weights)[-2:] == [0.0, 1.0]
            found.append(weights.index(1.0))
        times = np.array([_plain(start + (number + 0.5) * HOUR) for number in range(hours)])
        assert parts_of(times.astype("datetime64[us]"), "day", zone).tolist() == found
        return found

    def test_in_spring_an_hour_is_left_out(self):
        local = self.parts(self.SPRING - HOUR, "Europe/Berlin")
        assert local == [0, 1, *range(3, 24), 0, 1, 2]
        assert self.parts(self.SPRING, "UTC")[:24] == list(range(24))

    def test_in_autumn_an_hour_is_there_twice(self):
        local = self.parts(self.AUTUMN - 2 * HOUR, "Europe/Berlin")
        assert local == [0, 1, 2, 2, *range(3, 24), 0]

    @pytest.mark.parametrize(
        ("zone", "at", "part"),
        [
            ("America/New_York", datetime(2026, 3, 8, 6, tzinfo=UTC), 1),
            ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC), 3),
            ("Asia/Kolkata", datetime(2026, 6, 1, 0, tzinfo=UTC), 5),
            ("Asia/Tokyo", datetime(1969, 12, 31, 20, tzinfo=UTC), 5),
        ],
    )
    def test_elsewhere(self, zone, at, part):
        assert self.parts(at, zone, hours=1) == [part]

    def test_weekdays_are_those_of_utc(self):
        assert overlap(day(6), "week", "Asia/Tokyo") == overlap(day(6), "week") == (0, 0, 0, 0, 0, 0, 1)

    @pytest.mark.parametrize(("zone", "wrong"), [("Europe/Berlin", 0), ("UTC", 1)])
    @pytest.mark.parametrize("change", [SPRING, AUTUMN])
    def test_a_local_pattern_is_healthy_on_the_day_of_the_change_and_after(self, change, zone, wrong):
        """By the hours of UTC the same pattern is off by one of them from the change on."""
        berlin = ZoneInfo("Europe/Berlin")

        def wave(at):
            return 1.5 * math.sin(2 * math.pi * at.astimezone(berlin).hour / 24)

        start = change - timedelta(days=6)
        frame = draw_rows(wave, 7.5, a_day=7_200, step=HOUR, start=start)
        trained = frame[frame["at"] < _plain(change)]
        profile = profile_of(trained, HOUR, zone=zone)
        assert {column.season.zone for column in profile.columns if column.season} == {zone}
        bad = 0
        for number in range(2, 26):
            window = Span(start=change + number * HOUR, end=change + (number + 1) * HOUR)
            bad += bool(failed(profile, frame, window))
        assert bad >= 8 if wrong else bad <= 1
