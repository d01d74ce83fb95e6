"""One change of the mean: found where it is, and seldom where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windsock.statistics.change_point import FEWEST, LEVEL, chance, change_point


def errors(chance: np.random.Generator, rows: int, *, wrong: float = 0.3) -> np.ndarray:
    return (chance.random(rows) < wrong).astype(np.float64)


def brier(chance: np.random.Generator, rows: int) -> np.ndarray:
    scores = chance.beta(2, 5, rows)
    return (scores - (chance.random(rows) < scores)) ** 2


def alike(chance: np.random.Generator, rows: int) -> np.ndarray:
    """Values of which each five in a row are one."""
    return np.repeat(brier(chance, rows // 5), 5)


def heavy(chance: np.random.Generator, rows: int) -> np.ndarray:
    return np.abs(chance.standard_t(4, rows))


def rare(chance: np.random.Generator, rows: int) -> np.ndarray:
    return errors(chance, rows, wrong=0.02)


@pytest.mark.parametrize("make", [errors, brier, heavy, rare, alike])
@pytest.mark.parametrize("rows", [150, 800])
def test_chance_is_seldom_taken_for_a_change(make, rows):
    """The level is 1 %; of 400 series 12 or fewer are 3 times that, which skewed values come to."""
    random = np.random.default_rng(20261130)
    found = sum(change_point(make(random, rows)) is not None for _ in range(400))
    assert found <= 12


def test_the_tail_is_that_of_the_level():
    random = np.random.default_rng(1)
    found = sum(change_point(random.normal(size=200), level=0.1) is not None for _ in range(400))
    assert 12 <= found <= 50


@pytest.mark.parametrize(("before", "after"), [(1000, 100), (280, 40), (4200, 600)])
def test_a_flip_is_found_where_it_is(before, after):
    random = np.random.default_rng(3)
    places = []
    for _ in range(30):
        values = np.concatenate([errors(random, before, wrong=0.2), errors(random, after, wrong=0.8)])
        found = change_point(values, rising=True)
        assert found is not None
        places.append(found.place - before)
        assert found.rise == pytest.approx(0.6, abs=0.2)
    assert abs(np.median(places)) <= 2
    assert max(abs(place) for place in places) <= 20


def test_worse_weekends_do_not_move_it_far():
    random = np.random.default_rng(4)
    days, flip = 15, 12.3
    times = np.arange(days * 200) / 200
    wrong = np.where(times.astype(int) % 7 >= 5, 0.4, 0.3) + np.where(times >= flip, 0.3, 0.0)
    for _ in range(20):
        found = change_point((random.random(len(times)) < wrong).astype(np.float64), rising=True)
        assert found is not None
        assert abs(times[found.place] - flip) < 0.6


def test_only_a_change_to_the_worse_counts_for_losses():
    random = np.random.default_rng(5)
    values = np.concatenate([errors(random, 500, wrong=0.8), errors(random, 500, wrong=0.2)])
    assert change_point(values, rising=True) is None
    found = change_point(values)
    assert found is not None
    assert found.rise < 0


def test_it_is_never_later_than_asked():
    random = np.random.default_rng(6)
    values = np.concatenate([errors(random, 500, wrong=0.2), errors(random, 500, wrong=0.8)])
    found = change_point(values, latest=450)
    assert found is not None
    assert found.place == 450


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(0),
        np.ones(19),
        np.full(1000, 0.1 + 0.2),
        np.concatenate([np.zeros(999), [1.0]]),
        np.linspace(1e6, 1e6 + 1e-6, 500),
    ],
)
def test_what_shows_nothing_is_no_change(values):
    assert change_point(values) is None


@pytest.mark.parametrize("odd", [1e20, -1e20, 1e30, 1e300, -5.0, np.inf, -np.inf])
@pytest.mark.parametrize("place", [3, 700, 1_090])
def test_one_odd_value_moves_it_by_nothing(odd, place):
    random = np.random.default_rng(8)
    for _ in range(10):
        values = np.concatenate([brier(random, 1_000), 1 - brier(random, 100)])
        plain = change_point(values, rising=True)
        values[place] = odd
        found = change_point(values, rising=True)
        assert plain is not None
        assert found is not None
        assert abs(found.place - plain.place) <= 3
        assert abs(found.place - 1_000) <= 15


@pytest.mark.parametrize("odd", [1e20, -1e20])
def test_one_odd_value_is_no_change_itself(odd):
    random = np.random.default_rng(9)
    for place in range(10, 390, 20):
        values = random.normal(size=400)
        values[place] = odd
        assert change_point(values) is None


@pytest.mark.parametrize("noise", [1e-17, 1e-14])
def test_last_digits_are_no_ranks(noise):
    random = np.random.default_rng(10)
    values = errors(random, 600, wrong=0.5)
    values[300:] += noise * random.random(300)
    assert change_point(values) is None


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_out(gap):
    series = errors(np.random.default_rng(6), 300, wrong=0.2)
    series = np.concatenate([series, 1 + errors(np.random.default_rng(7), 300, wrong=0.2)])
    whole = change_point(series)
    holes = np.insert(series, [0, 100, 100, 250, 400], gap)
    found = change_point(holes)
    assert found is not None
    assert found == whole._replace(place=whole.place + 4)
    bound = change_point(holes, latest=253)
    assert bound is not None
    assert bound.place == 252, "the latest place has no number"
    assert change_point(np.full(50, gap)) is None


def test_two_constants_are_a_change():
    found = change_point(np.repeat([0.0, 1.0], 50))
    assert found is not None
    assert (found.place, found.rise, found.p) == (50, 1.0, 0.0)


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6), max_size=120),
    st.integers(-5, 130),
    st.booleans(),
    st.floats(0.001, 1000),
)
def test_place_is_within_bounds_and_units_are_no_matter(values, latest, rising, unit):
    series = np.array(values, dtype=np.float64)
    found = change_point(series, latest=latest, rising=rising, level=1.0)
    scaled = change_point(series * unit, latest=latest, rising=rising, level=1.0)
    assert (found is None) == (scaled is None)
    if found is not None:
        assert FEWEST <= found.place <= min(latest, len(series) - FEWEST)
        assert found.rise > 0 or not rising
        assert 0 <= found.p <= 1


@given(st.floats(1.5, 8), st.integers(40, 5000))
def test_chance_falls_with_what_is_found(found, count):
    assert 0 <= chance(found + 0.5, count, edge=10, last=count - 10) <= 1
    if found > 2.5:
        near, far = (chance(one, count, edge=10, last=count - 10) for one in (found, found + 0.5))
        assert far <= near
        assert near >= chance(found, count, edge=10, last=max(11, count // 4))


def test_the_level_is_one_in_a_hundred():
    assert LEVEL == 0.01
