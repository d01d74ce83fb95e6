from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from support.drift_windows import count_frame
from support.seasons import DAY, MONDAY, by_pay, day, draw_rows, profile_of
from windsock.monitoring.drift_columns import judge_columns
from windsock.monitoring.lasting_excursions import without_what_lasts
from windsock.records import ColumnProfile, DriftProfile, Span, Status
from windsock.spec import DriftBlock
from windsock.statistics.counting import WindowCounts
from windsock.statistics.seasons import MOST_RECURRING, like_profile

RULE = DriftBlock()
Shift = Callable[[datetime], float]


def odd_days(moment: datetime, much: float = 5.0) -> float:
    return much if (moment - MONDAY).days in (5, 30) else 0.0


def moves(much: float) -> Shift:
    return lambda at: much if at >= MONDAY + 60 * DAY else 0.0


ODD = profile_of(draw_rows(odd_days, 56, seed=1))
PAID = profile_of(draw_rows(by_pay, 90))


def counter(profile: DriftProfile, shift: Shift, looked: list[Span] | None = None):
    def count(span: Span) -> WindowCounts:
        if looked is not None:
            looked.append(span)
        return count_frame(profile, draw_rows(shift, 1, a_day=400, seed=span.start.day, start=span.start))

    return count


def drifted(profile: DriftProfile, number: int, shift: Shift) -> list[str]:
    """Return what drifts in a day, by its number."""
    count, window = counter(profile, shift), day(number)
    counts = count(window)
    held, _ = without_what_lasts(profile, window, counts, count, RULE)
    judged = judge_columns(like_profile(held, window), counts, RULE)
    return [column.name for column in judged.columns if column.status is Status.FAIL]


@pytest.mark.parametrize("much", [1.0, 2.0, 3.0, 5.0])
def test_a_shift_for_good_is_found_after_two_odd_days_in_training(much: float) -> None:
    found = [bool(drifted(ODD, number, moves(much))) for number in range(58, 64)]
    assert found[:2] == [False, False]
    assert found[3:] == [True, True, True], "from the third day on at the latest"
    assert set(drifted(ODD, 62, moves(much))) == {"age", "visits", "plan"}


def test_days_of_pay_are_natural_as_long_as_they_were() -> None:
    assert PAID.column("age").lasted == 4
    assert 0.15 < PAID.column("age").recurring <= MOST_RECURRING
    april = [number for number in range(110, 124) if (MONDAY + number * DAY).month == 4]
    assert [drifted(PAID, number, by_pay) for number in april] == [[]] * len(april)

    def stays(at: datetime) -> float:
        return -0.6 if (at.month, at.day) >= (4, 25) else 0.0

    assert [bool(drifted(PAID, 115 + number, stays)) for number in range(6)] == [False] * 4 + [True] * 2


def test_windows_before_are_counted_only_where_something_is_beyond() -> None:
    looked: list[Span] = []
    count = counter(PAID, lambda at: 0.0, looked)
    held, lasting = without_what_lasts(PAID, day(100), count(day(100)), count, RULE)
    assert (held, lasting, looked) == (PAID, (), [day(100)])
    plain = PAID.replace(columns=tuple(one.replace(lasted=0) for one in PAID.columns))
    away = counter(plain, lambda at: 0.6, looked)
    assert without_what_lasts(plain, day(100), away(day(100)), away, RULE) == (plain, ())
    assert len(looked) == 2, "profiles of before do not know how long"


@pytest.mark.parametrize(("lasted", "looked"), [(1, 1), (4, 4), (7, 7), (60, 7)])
def test_of_many_windows_before_some_are_counted(lasted: int, looked: int) -> None:
    profile = ODD.replace(columns=tuple(one.replace(lasted=lasted) for one in ODD.columns))
    spans: list[Span] = []
    count = counter(profile, moves(1.0), spans)
    late = day(60 + lasted)
    _, lasting = without_what_lasts(profile, late, count(late), count, RULE)
    assert lasting == ("age", "visits", "plan")
    assert len(set(spans)) == len(spans) == looked + 1
    spans.clear()
    early = day(59 + lasted)
    _, lasting = without_what_lasts(profile, early, count(early), count, RULE)
    assert (lasting, len(spans)) == ((), 2), "the farthest is looked at first"


def test_a_profile_of_before_has_the_cap() -> None:
    wide = ODD.replace(columns=tuple(one.replace(recurring=0.9) for one in ODD.columns))
    like: list[ColumnProfile] = list(like_profile(wide, day(60)).columns)
    assert {one.recurring for one in like} == {MOST_RECURRING}
