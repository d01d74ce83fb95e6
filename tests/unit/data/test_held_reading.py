"""A column whose meaning is decided is read by it; nothing is guessed."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windsock.data.read_columns import ReadColumn
from windsock.data.reading import is_free_text, read_column
from windsock.records import ColumnKind, ColumnRole, ContractColumn, ValueForm

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


def held(values, kind: str, **meaning) -> ReadColumn:
    given_values = values if isinstance(values, pd.Series) else pd.Series(values, dtype=object)
    return read_column(given_values, "x", held=ContractColumn(name="x", kind=ColumnKind(kind), **meaning))


@pytest.mark.parametrize(
    ("values", "kind", "read", "unread"),
    [
        (["1", "2"], "number", [1.0, 2.0], 0),
        (["1", "free"], "number", [1.0, None], 1),
        (["", "NA"], "number", [None, None], 0),
        (["01", "02"], "integer", [1, 2], 0),
        (["5+", "5"], "integer", [None, 5.0], 1),
        (["1", "2"], "category", ["1", "2"], 0),
        (["true", "false"], "category", ["true", "false"], 0),
        (["2026-01-02", "0000-00-00"], "datetime", [MOMENT, None], 1),
        (["1790000000000000136", "1"], "integer", [None, 1.0], 1),
        (["12,5", "1"], "number", [None, 1.0], 1),
        (["1,304", "1"], "number", [None, 1.0], 1),
        (["1,304.5", "1"], "number", [1304.5, 1.0], 0),
        (["1,304,000", "1"], "number", [1_304_000.0, 1.0], 0),
        (["$5", "1"], "number", [None, 1.0], 1),
    ],
)
def test_text(values, kind, read, unread):
    found = held(values, kind)
    assert found.kind is ColumnKind(kind)
    assert found.unread == unread
    got = [None if pd.isna(value) else value for value in found.values.tolist()]
    assert got == read


def test_two_words():
    found = held(["Ja", "nein", "vielleicht"], "boolean", true_word="ja", false_word="nein")
    assert found.values.tolist()[:2] == [True, False]
    assert (found.unread, found.shapes, found.true_word) == (1, ("aaaaaaaaaa",), "ja")


@pytest.mark.parametrize(
    ("form", "values", "read"),
    [
        (ValueForm(decimal=","), ["1,5", "1.137,5"], [1.5, 1137.5]),
        (ValueForm(decimal=",", thousands="."), ["1.137"], [1137.0]),
        (ValueForm(thousands=","), ["1,137", "5"], [1137.0, 5.0]),
        (ValueForm(unit="percent"), ["95%", "0.95"], [95.0, None]),
        (ValueForm(unit="currency"), ["$95", "7"], [95.0, 7.0]),
        (ValueForm(dates="%H:%M"), ["12:34"], [754.0]),
        (ValueForm(nulls=("n/k",)), ["n/k", "5"], [None, 5.0]),
    ],
)
def test_forms_of_numbers(form, values, read):
    got = [None if pd.isna(value) else value for value in held(values, "number", form=form).values.tolist()]
    assert got == read


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (pd.Series([1, 2]), "category", ["1", "2"]),
        (pd.Series([1.0, 2.0, np.nan]), "category", ["1", "2", None]),
        (pd.Series([1, 2]), "number", [1.0, 2.0]),
        (pd.Series([1.0, 2.0]), "integer", [1, 2]),
        (pd.Series([1.5, np.nan]), "number", [1.5, None]),
        (pd.Series([2**60]), "category", [str(2**60)]),
        (pd.Series([MOMENT]), "datetime", [MOMENT]),
        (pd.Series([True, False]), "boolean", [True, False]),
    ],
)
def test_typed_sources(values, kind, read):
    found = held(values, kind)
    assert found.kind is ColumnKind(kind)
    assert [None if pd.isna(value) else value for value in found.values.tolist()] == read


def test_typed_epoch_times():
    seconds = pd.Series([int(MOMENT.timestamp())])
    assert read_column(seconds, "created_at").values.iloc[0] == MOMENT
    assert read_column(seconds, "x").kind is ColumnKind.INTEGER
    assert held(seconds, "datetime", form=ValueForm(dates="epoch_s")).values.iloc[0] == MOMENT


@pytest.mark.parametrize("dtype", [object, "int64"])
def test_a_key_says_that_numbers_are_times(dtype):
    form = ValueForm(dates="epoch_s")
    seconds = pd.Series([int(MOMENT.timestamp())] * 2).astype(str if dtype is object else dtype)
    assert read_column(seconds, "x", form=form).kind is ColumnKind.DATETIME
    small = pd.Series([5, 7]).astype(str if dtype is object else dtype)
    assert read_column(small, "x", form=form).kind is ColumnKind.INTEGER
    assert read_column(small, "x", form=form, role=ColumnRole.EVENT_TIME).kind is ColumnKind.DATETIME
    assert held(small, "datetime", form=form).values.iloc[0] == datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)


WRITERS = (
    lambda number: f"{number / 100:.2f}",
    lambda number: f"{number / 100:.2f}".replace(".", ","),
    lambda number: f"{number:,}",
    lambda number: f"${number:,}.50",
    lambda number: f"{number}%",
    lambda number: f"2026-01-{1 + number % 28:02}",
    lambda number: f"{1 + number % 28}/{1 + number % 12}/2026",
    lambda number: "yes" if number % 2 else "no",
    lambda number: f"word {number % 9}",
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(WRITERS),
    st.lists(st.integers(0, 10**7), min_size=1, max_size=30),
    st.lists(st.sampled_from(["", "NA", "\\N", "odd one"]), max_size=2),
)
def test_the_form_that_was_found_reads_the_same_again(writer, numbers, others):
    values = [*map(writer, numbers), *others]
    first = read_column(pd.Series(values, dtype=object), "x")
    if first.doubt:
        return
    again = held(
        values,
        first.kind.value,
        form=first.form,
        true_word=first.true_word,
        false_word=first.false_word,
    )
    assert (again.kind, again.form, again.unread) == (first.kind, first.form, first.unread)
    pd.testing.assert_series_equal(again.values, first.values)


def test_free_text():
    assert is_free_text(pd.Series(["the room was clean and quiet", "we will never come back here", None]))
    assert not is_free_text(pd.Series(["Fiber optic", "DSL", "a8f3-22"]))


@pytest.mark.parametrize(
    ("values", "kind", "read", "found"),
    [
        (["500", "1.200"], "integer", [500, None], "integer"),
        (["500", "1,200"], "integer", [500, None], "integer"),
        (["-7.957", "536", "12"], "integer", [None, 536, 12], "integer"),
        (["500", "1.200", "3.25"], "integer", [500, 1.2, 3.25], "number"),
        (["500", "1200.125"], "integer", [500, 1200.125], "number"),
        (["500", "0.125"], "integer", [500, 0.125], "number"),
        (["500", "1.200"], "number", [500, 1.2], "number"),
        (["500", "1,200"], "number", [500, None], "number"),
    ],
)
def test_groups_of_thousands_are_no_decimals(values, kind, read, found):
    column = held(values, kind)
    assert column.kind is ColumnKind(found)
    assert [None if pd.isna(value) else value for value in column.values.tolist()] == read
    assert ("`decimal` and `thousands`" in column.doubt) is (None in read)
    if None in read:
        assert held(values, kind, form=ValueForm(decimal=",", thousands=".")).unread == 0
