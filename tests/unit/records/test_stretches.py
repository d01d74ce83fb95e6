from __future__ import annotations

import pytest

from support.retraining import DAY, MIDNIGHT, make_window, make_windows
from windsock.records import Span
from windsock.records.stretches import judged_until, open_stretch

NOW = MIDNIGHT + 30 * DAY


def late(number: int, status: str, days: int = 4):
    """Return the verdict of a window whose labels tell of answers up to some days before its end."""
    end = MIDNIGHT + (number - days) * DAY
    return make_window(number, status, lookback=Span(start=end - 7 * DAY, end=end))


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [("ggbb", 3, 4), ("bgbib", 3, 5), ("bbg", 0, 0), ("iie", 0, 0), ("bie-b", 1, 5), ("", 0, 0)],
)
def test_from_the_first_bad_window_until_one_passes(words, first, last):
    found = open_stretch(make_windows(words), "drift", now=NOW)
    spans = found and (found.span.start, found.span.end)
    assert spans == ((MIDNIGHT + (first - 1) * DAY, MIDNIGHT + last * DAY) if first else None)


def test_late_labels_tell_of_an_earlier_day():
    found = open_stretch([late(9, "pass"), late(10, "fail"), late(11, "fail")], "drift", now=NOW)
    assert found.span == Span(start=MIDNIGHT + 5 * DAY, end=MIDNIGHT + 11 * DAY)
    assert found.windows == 2


def test_what_was_judged_again_has_its_place_by_what_it_knows():
    windows = [late(12, "fail"), make_window(9, "pass", earlier=()), make_window(6, "fail")]
    assert [judged_until(one) for one in windows] == [MIDNIGHT + number * DAY for number in (8, 9, 6)]
    assert open_stretch(windows, "drift", now=NOW) is None
