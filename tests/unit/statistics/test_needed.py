from __future__ import annotations

import pytest

from windsock.records import Interval
from windsock.statistics.needed import OUTSIDE, needed_text
from windsock.statistics.proportions import clopper_pearson


def test_shares_are_exact() -> None:
    text = needed_text(
        "recall", 1.0, clopper_pearson(18, 18), 0.97, n=18, unit="positives", of=200, rising=True
    )
    assert text == "with this value 122 positives (about 1,356 rows) would do"


def test_others_go_by_their_width() -> None:
    interval = Interval(low=0.80, high=0.90)
    text = needed_text("roc_auc", 0.85, interval, 0.825, n=50, unit="positives", of=100, rising=True)
    assert text == "with this value about 200 positives (about 400 rows) would do"
    text = needed_text(
        "rmse", 1.0, Interval(low=0.9, high=1.2), 1.1, n=100, unit="rows", of=100, rising=False
    )
    assert text == "with this value about 400 rows would do"


@pytest.mark.parametrize(("metric", "value", "limit"), [("accuracy", 0.8, 0.8), (None, 0.0, 0.0)])
def test_a_value_outside_needs_no_rows(metric, value, limit) -> None:
    interval = Interval(low=-0.1, high=0.9)
    assert needed_text(metric, value, interval, limit, n=9, unit="rows", of=9, rising=True) == OUTSIDE
