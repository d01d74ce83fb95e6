from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from windsock.statistics.trends import ERROR, fit_line, look_error


def test_the_line_is_that_of_weighted_least_squares() -> None:
    random = np.random.default_rng(5)
    times, rows = np.sort(random.uniform(0, 100, 12)), random.integers(50, 2000, 12)
    values = 0.9 - 0.001 * times + random.normal(0, 0.001, 12)
    line = fit_line(times.tolist(), values.tolist(), rows.tolist(), spread=0.1)
    slope, start = np.polyfit(times - times[0], values, 1, w=np.sqrt(rows))
    assert line.start == pytest.approx(start)
    assert line.change == pytest.approx(slope * (times[-1] - times[0]))
    assert line.freedom is None


def test_the_error_is_that_of_the_rows_or_of_the_windows_where_that_is_more() -> None:
    """As statsmodels' WLS has it with a known, and with an estimated scale."""
    times, rows = list(range(10)), [100] * 10
    steady = fit_line(times, [0.85] * 10, rows, spread=0.1275)
    moment = 100 * sum((place / 9 - 0.5) ** 2 for place in range(10))
    assert steady.change == pytest.approx(0, abs=1e-12)
    assert steady.error == pytest.approx(math.sqrt(0.1275 / moment))
    assert steady.reach(0.05) == pytest.approx(1.6449 * steady.error, rel=1e-4)
    values = [0.7 + 0.3 * (place % 2) for place in times]
    uneven = fit_line(times, values, rows, spread=0.1275)
    ordinary = stats.linregress(times, values)
    assert uneven.freedom == 8
    assert uneven.error == pytest.approx(9 * ordinary.stderr)
    assert uneven.reach(0.05) == pytest.approx(1.8595 * uneven.error, rel=1e-4)  # Student's t, 8


def test_a_large_window_does_not_pull_a_line_through_windows_that_differ() -> None:
    """Rows make a window's own error small, not how far windows are from each other."""
    times, rows = list(range(20)), [300] * 19 + [1_000_000]
    values = [0.85 + 0.05 * (-1) ** place for place in times]
    line = fit_line(times, values, rows, spread=0.1275)
    plain = fit_line(times, values, [300] * 20, spread=0.1275)
    assert line.freedom == 18
    assert line.change == pytest.approx(plain.change, abs=0.01)
    assert line.error == pytest.approx(plain.error, rel=0.05)


@pytest.mark.parametrize(("scatter", "days"), [(1.0, 0), (1.5, 0), (0.0, 2)])
def test_the_error_holds_where_windows_differ_in_size_and_in_truth(scatter: float, days: int) -> None:
    """Small; ``benchmarks/trend.py`` draws series of looks."""
    random, wrong, series = np.random.default_rng(11), 0, 400
    for _ in range(series):
        rows = np.maximum(10, 300 * random.lognormal(0, scatter, 30)).astype(int)
        rows[random.integers(30, size=days)] = 20_000
        seen = random.binomial(rows, random.normal(0.85, 0.03, 30).clip(0, 1)) / rows
        line = fit_line(list(range(30)), seen.tolist(), rows.tolist(), spread=0.1275)
        wrong += abs(line.change) > line.reach(0.025)
    assert wrong <= 0.08 * series


def test_looks_spend_the_error_and_never_more() -> None:
    spent = np.cumsum([look_error(look) for look in range(1, 100_000)])
    assert spent[26] == pytest.approx(ERROR / 2)
    assert ERROR * 0.999 < spent[-1] < ERROR
