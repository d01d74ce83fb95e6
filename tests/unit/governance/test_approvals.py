from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.door.approvals import hidden_in, identity, is_invisible, same_person


@pytest.mark.parametrize(
    "other",
    [
        "Eve",
        "  eve ",
        "ｅｖｅ",
        "ｅve",
        "e\u200bve",  # zero width space
        "\u202eeve",  # right to left override
        "ev\u00ade",  # soft hyphen
        "eve\u3164",  # Hangul filler
        "e\ufe0fve",  # variation selector
        "𝐞𝐯𝐞",  # mathematical letters
        "cli:eve",
        "CLI:Eve",
        "ｃｌｉ:eve",
    ],
)
def test_one_person_by_another_spelling(other):
    assert same_person(("eve", None), (other, "id-9"))
    assert same_person((None, other), ("EVE", None))


@pytest.mark.parametrize("other", ["eva", "eve2", "еve", "eve eve", "", " ", "\u200b", None])
def test_two_people(other):
    assert not same_person(("eve", None), (other, None))


def test_nobody_is_the_same_as_nobody():
    assert not same_person((None, "", "\u200b"), (None, "", "\u200b"))


def test_spaces_within_a_name_are_one():
    assert same_person(("Eve  Adams",), ("eve\u00a0adams",))


@given(st.text(max_size=30))
def test_the_form_is_stable_and_holds_nothing_unseen(word):
    once = identity(word)
    assert identity(once) == once
    assert not any(is_invisible(one) for one in once)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("eve", "id-1"), ""),
        (("Søren Ærø", "임꺽정"), ""),
        ((None, ""), ""),
        (("e\u200bve", "id"), "U+200B"),
        (("eve", "id\n"), "U+000A"),
        (("eve\u2800", None), "U+2800"),
    ],
)
def test_what_nobody_sees_is_named(words, found):
    assert hidden_in(*words) == found
