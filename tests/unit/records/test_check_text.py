"""The one notation for a number and its limit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import make_check
from windsock.records import Interval, Status
from windsock.records import check_text as check_text_module
from windsock.records.check_text import (
    CONDITIONS,
    SHARE,
    against_limit,
    check_text,
    first_checks,
    measured_text,
    named_check,
    number_text,
)

OPERATOR = re.compile(r"[<>]=?|==")
NUMBERS = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False).map(lambda value: round(value, 9))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0713079, "0.07131"),
        (60_500.0, "60,500"),
        (12_345.678, "12,346"),
        (12.5, "12.5"),
        (0.0, "0"),
        (-0.5, "-0.5"),
        (3.2e-06, "3.2e-06"),
        (9_999.96, "10,000"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_has_a_sensible_count_of_digits(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("relation", list(CONDITIONS))
def test_the_words_of_the_limit_are_the_same_whatever_came_of_it(relation, status):
    text = against_limit("loss", 0.187758, relation, 0.05, status=status, n=1_000)
    assert text == f"loss 0.1878, limit: {CONDITIONS[relation]} 0.05, n=1,000: {status.value}"
    assert not OPERATOR.search(text)


def test_interval_unit_and_what_carries_the_value():
    seen = Interval(low=0.79, high=0.83)
    n = "18 positives of 200 rows"
    text = against_limit("recall", 0.812, ">=", 0.8, status=Status.INSUFFICIENT, interval=seen, n=n)
    assert text == "recall 0.812 [0.79, 0.83], limit: at least 0.8, n=18 positives of 200 rows: insufficient"
    assert against_limit("time", 0.071, "<=", 10, unit=" ms") == "time 0.071 ms, limit: at most 10 ms"
    assert against_limit("labels", 0.9499, ">=", 0.95, unit=SHARE) == "labels 94.99 %, limit: at least 95 %"
    assert against_limit("gain", 0.02, ">", 0.0, signed=True, about="gate") == (
        "gain +0.02, limit: above 0 (gate)"
    )


@given(value=NUMBERS, limit=NUMBERS)
def test_the_digits_show_on_which_side_of_the_limit_a_number_is(value, limit):
    _, shown, bound = against_limit("x", value, ">=", limit).replace(",", "").split(maxsplit=2)
    shown, bound = float(shown), float(bound.removeprefix("limit: at least "))
    assert (shown > bound) - (shown < bound) == (value > limit) - (value < limit)


def test_a_number_just_beyond_its_limit_does_not_look_like_it():
    assert against_limit("auc", 0.79996, ">=", 0.8, status=Status.FAIL) == (
        "auc 0.79996, limit: at least 0.8: fail"
    )


def test_what_a_check_says_in_the_notation_is_said_once():
    said = against_limit("loss", 0.1, "<=", 0.05, status=Status.FAIL, n=9)
    check = make_check(
        "drop", Status.FAIL, value=0.1, limit=0.05, relation="<=", n=9, message=f"{said}; more"
    )
    assert check_text(check) == "loss 0.1, limit: at most 0.05, n=9: fail; more"
    assert measured_text(check) == "loss 0.1, limit: at most 0.05, n=9; more"
    assert named_check(check) == "WS-DATA-100 drop: loss 0.1, limit: at most 0.05, n=9: fail; more"


def test_a_check_without_words_or_without_a_number():
    numbers = {"value": 3.0, "limit": 50.0, "relation": ">=", "n": 3}
    assert check_text(make_check(status=Status.FAIL, **numbers)) == "3, limit: at least 50, n=3: fail"
    assert check_text(make_check(status=Status.ERROR, message="it raised")) == "error, it raised"
    assert check_text(make_check()) == "pass"
    assert measured_text(make_check(status=Status.ERROR, message="no probabilities")) == "no probabilities"
    assert measured_text(make_check(value=263.0, n=263)) == "263, n=263"
    of_others = make_check(value=0.5, limit=0.0, relation=">", n=212, unit="positives")
    assert measured_text(of_others) == "0.5, limit: above 0, n=212 positives"


def test_a_message_about_another_check_has_the_status_of_its_own():
    borrowed = against_limit("lost outcomes", 1.0, "<=", 0.2, status=Status.FAIL)
    check = make_check(status=Status.INSUFFICIENT, message=f"no interval: {borrowed}")
    assert check_text(check).startswith("insufficient, no interval: ")


def test_more_checks_than_a_sentence_takes_are_counted():
    checks = [make_check(f"c{place}", Status.FAIL) for place in range(5)]
    assert first_checks(checks).endswith("WS-DATA-100 c2: fail; and 2 more")
    assert first_checks(checks[:1]) == "WS-DATA-100 c0: fail"
    assert first_checks([]) == ""


def test_no_other_place_writes_a_limit_by_its_operator():
    """An operator between value and limit reads as the opposite where the check fails."""
    folder = Path(check_text_module.__file__).parents[1]
    written = re.compile(
        r"against [<>]|\{(check\.)?relation( or '')?\} ?\{|\{[^{}]*\} [<>]=? \{(check\.)?limit"
    )
    found = [
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if written.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
