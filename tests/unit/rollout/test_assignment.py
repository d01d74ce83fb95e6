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


@st.composite
def splits(draw: st.DrawFn, least: int = 1) -> dict[str, int]:
    """Shares of 1 to 5 challengers, each within its lane, and of the champion, which has what is left."""
    count = draw(st.integers(least, 5))
    shares = [draw(st.integers(0, BUCKETS // count)) for _ in range(count)]
    return {f"b{number}": share for number, share in enumerate(shares)} | {"a": BUCKETS - sum(shares)}


@hypothesis_settings(deadline=None)
@given(UNITS, splits(), st.data())
def test_whichever_arm_grows_takes_units_from_the_champion_only(
    unit: str, shares: dict[str, int], data: st.DataObject
) -> None:
    count = len(shares) - 1
    arm = f"b{data.draw(st.integers(0, count - 1), 'arm')}"
    more = data.draw(st.integers(0, BUCKETS // count - shares[arm]), "more")
    after = {**shares, arm: shares[arm] + more, "a": shares["a"] - more}
    moved = tuple(assign(unit, salt="s", experiment="e", shares=each) for each in (shares, after))
    assert moved[0] == moved[1] or moved == ("a", arm)


@hypothesis_settings(deadline=None)
@given(UNITS, UNITS, UNITS, splits())
def test_each_challenger_fills_its_own_lane_from_the_start(
    unit: str, salt: str, experiment: str, shares: dict[str, int]
) -> None:
    *challengers, champion = shares
    number, place = divmod(bucket(unit, salt=salt, experiment=experiment), BUCKETS // len(challengers))
    is_filled = number < len(challengers) and place < shares[challengers[number]]
    expected = challengers[number] if is_filled else champion
    assert Assignment(shares, salt=salt, experiment=experiment).arm(unit) == expected


@hypothesis_settings(deadline=None)
@given(UNITS, UNITS, SHARES)
def test_of_two_arms_the_first_has_the_buckets_from_0_upwards(unit: str, experiment: str, share: int) -> None:
    """So it has been since the first rollout; a change here would move units of those that are under way."""
    shares = {"b": share, "a": BUCKETS - share}
    is_first = bucket(unit, salt="s", experiment=experiment) < share
    assert assign(unit, salt="s", experiment=experiment, shares=shares) == ("b" if is_first else "a")


def test_who_is_where_never_changes() -> None:
    """Buckets 8446, 6111, 583 and 4008: see above. Lanes of three begin at 0, 3333 and 6666."""
    known = [("customer-1", "churn", ""), ("customer-1", "churn", "exp-2"), ("", "", ""), ("Zoë", "s", "e")]
    splits = [
        {"b": 583, "a": 9_417},
        {"b": 584, "a": 9_416},
        {"b": 584, "c": 3_446, "a": 5_970},
        {"b": 584, "c": 3_447, "a": 5_969},
        {"b": 583, "c": 676, "d": 1_781, "a": 6_960},
        {"b": 583, "c": 675, "d": 1_780, "a": 6_962},
    ]
    found = [
        [assign(unit, salt=salt, experiment=experiment, shares=shares) for unit, salt, experiment in known]
        for shares in splits
    ]
    assert ["".join(arms) for arms in found] == ["aaaa", "aaba", "acba", "ccba", "daac", "aaaa"]


@hypothesis_settings(deadline=None, max_examples=50)
@given(st.lists(UNITS, min_size=1, max_size=40), st.lists(SHARES, min_size=2, max_size=8).map(sorted))
def test_over_a_whole_rollout_a_unit_moves_once_and_never_back(units: list[str], steps: list[int]) -> None:
    """Two arms grow in turn out of the champion, the first one again after the second."""
    half = [step // 2 for step in steps]
    pairs = [
        pair
        for share, late in zip(half, [0, *half], strict=False)
        for pair in ((share, late), (share, share))
    ]
    plans = [{"b": first, "c": second, "a": BUCKETS - first - second} for first, second in pairs]
    assignments = [Assignment(shares, salt="s", experiment="e") for shares in plans]
    for unit in units:
        arms = [assignment.arm(unit) for assignment in assignments]
        changes = [pair for pair in zip(arms, arms[1:], strict=False) if pair[0] != pair[1]]
        assert changes in ([], [("a", "b")], [("a", "c")])


@hypothesis_settings(deadline=None)
@given(UNITS)
def test_an_arm_without_a_share_gets_nobody(unit: str) -> None:
    assert assign(unit, salt="s", experiment="e", shares={"b": 0, "c": 0, "a": BUCKETS}) == "a"
    assert assign(unit, salt="s", experiment="e", shares={"b": 5_000, "c": 5_000, "a": 0}) != "a"
    assert assign(unit, salt="s", experiment="e", shares={"b": BUCKETS, "a": 0}) == "b"
    assert assign(unit, salt="s", experiment="e", shares={"a": BUCKETS}) == "a"


def test_the_shares_of_several_challengers_are_met() -> None:
    shares = {"b": 1_000, "c": 3_333, "d": 50, "a": 5_617}
    count = 20_000
    assignment = Assignment(shares, salt="s", experiment="e")
    seen = Counter(assignment.arm(f"u{number}") for number in range(count))
    for arm, share in shares.items():
        part = share / BUCKETS
        assert seen[arm] == pytest.approx(count * part, abs=5 * (count * part * (1 - part)) ** 0.5), arm


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


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"b": 5_001, "c": 0, "a": 4_999}, "share 5001: of 2 challengers each may have 5000 at most"),
        ({"b": 0, "c": 1, "d": 3_334, "a": 6_665}, "share 3334: of 3 challengers each may have 3333 at most"),
    ],
)
def test_a_share_beyond_its_lane_is_refused(shares: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Assignment(shares, salt="", experiment="")


def test_a_text_that_is_no_unicode_has_no_arm() -> None:
    with pytest.raises(UnicodeEncodeError):
        assign("\ud800", salt="", experiment="", shares={"a": BUCKETS})
