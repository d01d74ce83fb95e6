"""The quick tests draw fewer examples of each property, and each property but once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.examples import LEAST, draw_fewer, for_quick

EXPLICIT = -1


@pytest.mark.parametrize(("asked", "drawn"), [(300, 100), (100, 33), (60, LEAST), (21, LEAST), (8, 8)])
def test_a_third_is_drawn_but_not_too_few(asked, drawn):
    assert for_quick(asked) == drawn


def test_a_property_of_several_tests_is_cut_once_and_keeps_what_it_names():
    seen = []

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(st.integers(min_value=0))
    @example(EXPLICIT)
    def holds(number):
        seen.append(number)

    draw_fewer([SimpleNamespace(obj=holds, cls=None)] * 3)
    holds()
    assert seen[0] == EXPLICIT
    assert len(seen) == 101


def test_what_is_no_property_is_left_alone():
    def test():
        pass

    draw_fewer([SimpleNamespace(obj=test, cls=None)])
    assert not vars(test)
