from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.records import Interval
from windsock.statistics.intervals import difference, poisson, quantile_of_normal, wilson


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_as_published(hits: int, rows: int, low: float, high: float) -> None:
    found = wilson(hits, rows)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_nothing_says_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.025, 5.572), (10, 4.795, 18.390), (100, 81.36, 121.63)]
)
def test_poisson_as_published(count: int, low: float, high: float) -> None:
    found = poisson(count)  # Garwood 1936, as in Ulm 1990, American Journal of Epidemiology 131:373
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-3), pytest.approx(high, abs=6e-3))


def test_a_difference_of_two_shares_as_published() -> None:
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10: 56/70 - 48/80
    found = difference(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_a_difference_needs_both_intervals() -> None:
    assert difference(1.0, None, 0.5, wilson(1, 2)) is None
    assert difference(1.0, wilson(1, 2), 0.5, None) is None


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_an_interval_holds_its_share(hits: int, misses: int, level: float) -> None:
    rows = hits + misses
    found = wilson(hits, rows, level=level)
    assert 0 <= found.low <= (hits / rows if rows else 0.5) <= found.high <= 1


def test_the_normal_quantile() -> None:
    assert quantile_of_normal(0.95) == pytest.approx(1.959964, abs=1e-6)


def test_levels_do_not_grow() -> None:
    found = difference(0.5, Interval(low=0.4, high=0.6, level=0.9), 0.4, wilson(4, 10))
    assert found is not None
    assert found.level == 0.9
