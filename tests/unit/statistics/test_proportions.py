from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from windsock.statistics.proportions import (
    clopper_pearson,
    effective_rows,
    hits_to_prove,
    proof_power,
    rows_for_power,
    rows_to_prove,
    tango,
    unseen_share,
)


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [
        (81, 263, 0.2527, 0.3676),  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 5
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_clopper_and_pearson_as_published(hits: int, rows: int, low: float, high: float) -> None:
    found = clopper_pearson(hits, rows)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_all_right_has_width() -> None:
    found = clopper_pearson(18, 18)
    assert found.high == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 18))
    assert found.low < 0.97
    assert unseen_share(18) == pytest.approx(1 - found.low)


@pytest.mark.parametrize("rows", [3, 5, 10, 20, 50, 200])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.99])
def test_each_side_is_wrong_at_most_as_often_as_it_says(rows: int, share: float) -> None:
    hits = np.arange(rows + 1)
    chance = binom.pmf(hits, rows, share)
    found = [clopper_pearson(count, rows) for count in hits]
    assert sum(chance[place] for place in hits if found[place].low > share) <= 0.025
    assert sum(chance[place] for place in hits if found[place].high < share) <= 0.025


def test_the_score_interval_of_pairs_as_published() -> None:
    # 2 x 2 table 1, 1, 7, 12 (Bentur et al. 2009), in Fagerland, Lydersen and Laake 2014, Statistics in
    # Medicine 33:2850, Tango's asymptotic score interval
    found = tango(1, 7, 21)
    assert (found.low, found.high) == (pytest.approx(-0.517, abs=5e-4), pytest.approx(-0.026, abs=5e-4))


def test_pairs_that_never_differ_have_width() -> None:
    square = 1.959964**2
    found = tango(0, 0, 50)
    assert found.high == pytest.approx(square / (50 + square), abs=1e-6)
    assert found.low == pytest.approx(-found.high, abs=1e-6)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 400))
def test_pairs_are_symmetrical_and_hold_what_was_seen(better: int, worse: int, alike: int) -> None:
    rows = better + worse + alike
    one, other = tango(better, worse, rows), tango(worse, better, rows)
    seen = (better - worse) / rows if rows else 0.0
    assert one.low - 1e-9 <= seen <= one.high + 1e-9
    assert one.low == pytest.approx(-other.high, abs=1e-6)


def test_equal_shares_of_pairs_are_taken_for_better_at_most_in_three_percent() -> None:
    for rows, apart in ((20, 0.2), (100, 0.05), (200, 0.2)):
        wrong = 0.0
        for differing in range(rows + 1):
            chance = binom.pmf(differing, rows, apart)
            if chance > 1e-7:
                least = next((b for b in range(differing + 1) if tango(b, differing - b, rows).low > 0), None)
                wrong += 0.0 if least is None else chance * binom.sf(least - 1, differing, 0.5)
        assert wrong <= 0.032


def test_rows_to_prove() -> None:
    assert (rows_to_prove(1.0, 0.97), rows_to_prove(1.0, 0.99)) == (122, 368)
    assert clopper_pearson(122, 122).low >= 0.97 > clopper_pearson(121, 121).low
    assert rows_to_prove(0.97, 0.97) is None
    assert rows_to_prove(0.9, 0.95) is None


def test_rows_for_power_are_those_of_the_binomial_distribution() -> None:
    rows = rows_for_power(0.85, 0.8)
    assert rows is not None
    hits = hits_to_prove(0.8, rows)
    assert hits is not None
    assert binom.sf(hits - 1, rows, 0.85) == pytest.approx(proof_power(0.85, 0.8, rows))
    assert proof_power(0.85, 0.8, rows) >= 0.8 > proof_power(0.85, 0.8, rows * 3 // 4)
    assert proof_power(0.85, 0.8, 1000) > 0.95


def test_counts_of_entities() -> None:
    assert effective_rows(500, 50, 10.0) == pytest.approx(50 * (1.9647 / 2.0096) ** 2, abs=0.05)
    assert effective_rows(500, 500, 0.5) == 500  # never more than the rows
