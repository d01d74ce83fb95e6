from __future__ import annotations

import math

import numpy as np
import pytest

from windsock.data.tolerance import Tolerance, error_of_share, expected_copies, what_was_seen

TOLERANCE = Tolerance(narrow=1.0, wide=3.0, jump=5.0)


def test_with_few_snapshots_the_wide_tolerance_holds():
    assert what_was_seen([2.0, 2.0, 2.0, 2.0], TOLERANCE).room == 3.0
    assert what_was_seen([2.0] * 5, TOLERANCE).room == 1.0


def test_room_goes_by_how_much_snapshots_have_differed_and_not_by_one_odd_one():
    moving = what_was_seen([0.0, 0.5, 0.0, 0.5, 0.0, 0.5], TOLERANCE)
    assert moving.room == pytest.approx(3 * 1.4826 * 0.5)
    odd = what_was_seen([0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0], TOLERANCE)
    assert odd.room == 1.0


def test_room_is_never_wider_than_the_wide_one():
    assert what_was_seen([0.0, 4.0] * 5, TOLERANCE).room == 3.0


def test_a_season_that_was_seen_may_come_again():
    seen = what_was_seen([4.0, 2.0, 0.0, 2.0, 4.0, 2.0], TOLERANCE)
    assert (seen.low, seen.high) == (0.0, 4.0)


def test_what_has_only_grown_may_not_shrink():
    seen = what_was_seen([5.0, 4.0, 3.0, 2.0, 1.0], TOLERANCE)
    assert (seen.low, seen.high) == (5.0, 5.0)


def test_a_step_that_was_accepted_on_purpose_begins_another_history():
    seen = what_was_seen([7.0, 7.1, 0.0, 0.1, 0.2, 0.1], TOLERANCE)
    assert (seen.low, seen.high, seen.room, seen.snapshots) == (7.0, 7.0, 3.0, 2)


def test_error_of_a_share_covers_what_sampling_does():
    draw = np.random.default_rng(5)
    apart = np.abs(draw.binomial(200, 0.3, 20_000) / 200 - draw.binomial(400, 0.3, 20_000) / 400)
    assert (apart > error_of_share(0.3, 200, 400)).sum() <= 2
    assert error_of_share(0.0, 200, 400) == 0.0


@pytest.mark.parametrize("contents", [50, 1_000, 20_000])
@pytest.mark.parametrize("growth", [0.5, 3])
def test_copies_to_expect_of_more_rows(contents, growth):
    draw, rows = np.random.default_rng(6), 3_000

    def copies(n: int) -> float:
        return 1 - len(np.unique(draw.integers(contents, size=n))) / n

    more = round(rows * growth)
    assert expected_copies(copies(rows), rows, more) == pytest.approx(copies(more), abs=0.02)


def test_no_copies_stay_none():
    assert expected_copies(0.0, 100, 1_000) == 0.0
    assert math.isclose(expected_copies(0.3, 100, 100), 0.3, abs_tol=1e-9)
