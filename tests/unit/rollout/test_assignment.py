from __future__ import annotations

import doctest
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from windsock.rollout import assignment
from windsock.rollout.assignment import BUCKETS, Assignment, assign, bucket

UNITS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SHARES = st.integers(0, BUCKETS)


def test_the_docstring_says_what_happens() -> None:
    assert doctest.testmod(assignment).failed == 0


def test_buckets_never_change() -> None:
    """A change here would move every unit of every running rollout."""
    known = [("customer-1", "churn", ""), ("customer-1", "churn", "exp-2"), ("", "", ""), ("Zoë", "s", "e")]
    assert [bucket(unit, salt=salt, experiment=experiment) for unit, salt, experiment in known] == [
        8446,
        6111,
        583,
        4008,
    ]


def test_salt_experiment_and_unit_are_not_just_joined() -> None:
    assert bucket("c", salt="ab", experiment="") != bucket("bc", salt="a", experiment="")
    assert bucket("c", salt="a", experiment="b") != bucket("bc", salt="a", experiment="")


@hypothesis_settings(deadline=None)
@given(UNITS, SHARES, SHARES)
def test_a_growing_share_only_adds_units(unit: str, one: int, other: int) -> None:
    small, large = sorted((one, other))
    before = assign(unit, salt="s", experiment="e", shares={"b": small, "a": BUCKETS - small})
    after = assign(unit, salt="s", experiment="e", shares={"b": large, "a": BUCKETS - large})
    assert (before, after) in {("a", "a"), ("a", "b"), ("b", "b")}


@hypothesis_settings(deadline=None)
@given(UNITS, st.lists(SHARES, min_size=3, max_size=3).map(sorted))
def test_the_second_arm_grows_without_touching_the_first(unit: str, cuts: list[int]) -> None:
    first, small, large = cuts
    before = assign(
        unit, salt="s", experiment="e", shares={"b": first, "c": small - first, "a": BUCKETS - small}
    )
    after = assign(
        unit, salt="s", experiment="e", shares={"b": first, "c": large - first, "a": BUCKETS - large}
    )
    assert before == after or (before, after) == ("a", "c")


@hypothesis_settings(deadline=None)
@given(UNITS, UNITS, UNITS, st.lists(st.integers(0, 2_500), min_size=1, max_size=4))
def test_the_arm_is_the_one_whose_range_holds_the_bucket(
    unit: str, salt: str, experiment: str, shares: list[int]
) -> None:
    arms = {f"arm {number}": share for number, share in enumerate(shares)} | {"rest": BUCKETS - sum(shares)}
    ranges = [arm for arm, share in arms.items() for _ in range(share)]
    expected = ranges[bucket(unit, salt=salt, experiment=experiment)]
    assert Assignment(arms, salt=salt, experiment=experiment).arm(unit) == expected


@hypothesis_settings(deadline=None, max_examples=50)
@given(st.lists(UNITS, min_size=1, max_size=40), st.lists(SHARES, min_size=2, max_size=8).map(sorted))
def test_over_a_whole_rollout_a_unit_moves_once_and_never_back(units: list[str], steps: list[int]) -> None:
    """Two arms grow side by side out of the champion; the first stands still while the second grows."""
    half = [step // 2 for step in steps]
    plans = [{"b": share, "c": 0, "a": BUCKETS - share} for share in half]
    plans += [{"b": half[-1], "c": share, "a": BUCKETS - half[-1] - share} for share in half]
    assignments = [Assignment(shares, salt="s", experiment="e") for shares in plans]
    for unit in units:
        arms = [assignment.arm(unit) for assignment in assignments]
        changes = [pair for pair in zip(arms, arms[1:], strict=False) if pair[0] != pair[1]]
        assert changes in ([], [("a", "b")], [("a", "c")])


@hypothesis_settings(deadline=None)
@given(UNITS)
def test_an_arm_without_a_share_gets_nobody(unit: str) -> None:
    assert assign(unit, salt="s", experiment="e", shares={"b": 0, "c": BUCKETS, "a": 0}) == "c"


def test_shares_are_met_and_experiments_are_independent() -> None:
    shares = {"b": 1_000, "a": 9_000}
    units = [f"u{number}" for number in range(20_000)]
    first = [assign(unit, salt="s", experiment="1", shares=shares) for unit in units]
    second = [assign(unit, salt="s", experiment="2", shares=shares) for unit in units]
    # Binomial(20000, 0.1) has a standard deviation of 42: five of them.
    assert Counter(first)["b"] == pytest.approx(2_000, abs=212)
    assert Counter(second)["b"] == pytest.approx(2_000, abs=212)
    both = sum(pair == ("b", "b") for pair in zip(first, second, strict=True))
    assert both == pytest.approx(200, abs=71)


@pytest.mark.parametrize("shares", [{"a": 9_999}, {"a": 10_001, "b": -1}, {"a": 5_000, "b": 5_001}])
def test_shares_that_do_not_cover_the_traffic_are_refused(shares: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="sum to 10000"):
        assign("u", salt="", experiment="", shares=shares)


def test_a_text_that_is_no_unicode_has_no_arm() -> None:
    with pytest.raises(UnicodeEncodeError):
        assign("\ud800", salt="", experiment="", shares={"a": BUCKETS})
