"""Lists and long texts, shortened in one way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.texts import first_of, inline, shortened

WORDS = st.lists(
    st.one_of(
        st.floats(min_value=-1e6, max_value=1e6).map(lambda value: f"{value:.6g}"),
        st.integers(min_value=0, max_value=10**9).map(lambda value: f"{value:,}"),
        st.text(alphabet="abcdefgh_", min_size=1, max_size=12),
    ),
    min_size=1,
    max_size=30,
)
NUMBER = re.compile(r"-?\d[\d.,]*(?:e[-+]\d+)?")


@given(words=WORDS, most=st.integers(min_value=20, max_value=80))
def test_no_number_is_cut_and_a_cut_is_shown(words, most):
    text = " ".join(words)
    cut = shortened(text, most)
    assert len(cut) <= most
    if cut == text:
        return
    assert cut.endswith("…")
    assert set(NUMBER.findall(cut)) <= {word.rstrip(",") for word in words if NUMBER.fullmatch(word)}


@pytest.mark.parametrize(
    ("text", "most", "right"),
    [
        ("roc_auc 0.812 is too low", 14, "roc_auc 0.812…"),
        ("loss 0.187758 against the champion", 12, "loss…"),
        ("expect_column_values_to_be_between:tenure", 20, "expect_column_value…"),
        ("short", 20, "short"),
        ("n=1,234,567 rows of it", 9, "n=…"),
    ],
)
def test_a_text_ends_with_a_whole_word(text, most, right):
    assert shortened(text, most) == right


def test_a_list_says_how_many_are_not_named():
    assert first_of(["a", "b", "c"], 2) == "a, b and 1 more"
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of(["a", "b", "c", "d"], 1, separator="; ", what="columns") == "a; and 3 more columns"
    assert first_of([], 3) == ""


def test_a_long_text_in_markdown_is_cut_at_a_word():
    assert inline("one 0.123456 two", 10) == "one… (16 characters)"
