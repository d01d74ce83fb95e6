from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.data.reading import numbers_among, read_column
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind


def text(*values: str | None) -> pd.Series:
    return pd.Series(list(values), dtype=object)


class TestText:
    def test_blanks_are_missing_and_counted(self):
        read = read_column(text("29.85", " ", "", "1889.5", "NA"), "TotalCharges")
        assert read.kind is ColumnKind.NUMBER
        assert read.values.dtype == "float64"
        assert read.values.isna().tolist() == [False, True, True, False, True]
        said = "TotalCharges: 2 of 5 values are blank and 1 are words such as NA and were read as missing"
        assert read.findings == (f"{said}; no row was dropped",)

    def test_only_words(self):
        (finding,) = read_column(text("1", "NA", "null"), "x").findings
        assert finding.startswith("x: 2 of 3 values are words such as NA and were read as missing")

    @pytest.mark.parametrize(
        ("values", "dtype"),
        [
            (("1", "2"), "int64"),
            (("1", ""), "float64"),
            (("1.5", "2"), "float64"),
            (("Yes", "No"), "bool"),
            (("Yes", "No", ""), "boolean"),
            (("a", "b", ""), "object"),
            (("", ""), "object"),
            (("2026-05-01", ""), "datetime64[us, UTC]"),
        ],
    )
    def test_types(self, values, dtype):
        for given_dtype in (object, "str", "string", "category"):
            assert str(read_column(pd.Series(values, dtype=given_dtype), "x").values.dtype) == dtype

    def test_missing_category_is_none(self):
        assert read_column(text("a", "", None), "x").values.tolist() == ["a", None, None]

    def test_blanks_around_words_are_removed(self):
        read = read_column(text(" a", "a ", "b"), "x")
        assert read.values.tolist() == ["a", "a", "b"]
        assert read.values.nunique() == 2

    def test_an_identity_stays_text(self):
        read = read_column(text("007", " 7 ", "1e5", "Yes", ""), "x", as_text=True)
        assert read.values.tolist() == ["007", "7", "1e5", "Yes", None]
        assert read_column(text("1", "2"), "x", as_text=True).kind is ColumnKind.CATEGORY

    def test_text_that_differs_after_a_nul_stays_apart(self):
        assert read_column(text("a", "a\0", "a\0b"), "x").values.nunique() in (
            1,
            3,
        )  # pandas counts to the NUL
        assert read_column(text("a", "a\0b"), "x").values.tolist() == ["a", "a\0b"]

    def test_the_index_is_kept(self):
        values = pd.Series(["1", "2"], index=[7, 9])
        assert read_column(values, "x").values.index.tolist() == [7, 9]

    @given(
        st.lists(
            st.one_of(
                st.none(), st.text(max_size=6), st.sampled_from(["Yes", "No", "1", "2.5", "2026-05-01"])
            )
        )
    )
    def test_no_row_is_lost_and_no_finding_quotes_a_value(self, values):
        marked = [value and f"q{value}q" for value in values]
        assert len(read_column(text(*values), "x").values) == len(values)
        findings = " ".join(read_column(text(*marked), "x").findings)
        assert not any(value in findings for value in marked if value)


class TestTyped:
    @pytest.mark.parametrize(
        ("values", "kind", "dtype"),
        [
            (pd.Series([1, 2]), ColumnKind.INTEGER, "int64"),
            (pd.Series([1, None], dtype="Int64"), ColumnKind.INTEGER, "float64"),
            (pd.Series([1, None], dtype=object), ColumnKind.INTEGER, "float64"),
            (pd.Series([1, 2], dtype="uint8"), ColumnKind.INTEGER, "int64"),
            (pd.Series([1.5, None]), ColumnKind.NUMBER, "float64"),
            (pd.Series([1.5, 2], dtype="float32"), ColumnKind.NUMBER, "float64"),
            (pd.Series([Decimal("1.50"), None], dtype=object), ColumnKind.NUMBER, "float64"),
            (pd.Series([1, 2.5], dtype=object), ColumnKind.NUMBER, "float64"),
            (pd.Series([True, False]), ColumnKind.BOOLEAN, "bool"),
            (pd.Series([True, None], dtype="boolean"), ColumnKind.BOOLEAN, "boolean"),
            (pd.Series([True, None], dtype=object), ColumnKind.BOOLEAN, "boolean"),
            (pd.Series(pd.to_datetime(["2026-05-01"])), ColumnKind.DATETIME, "datetime64[us, UTC]"),
            (pd.Series([date(2026, 5, 1), None], dtype=object), ColumnKind.DATETIME, "datetime64[us, UTC]"),
            (
                pd.Series([datetime(9999, 12, 31, tzinfo=UTC), None], dtype=object),
                ColumnKind.DATETIME,
                "datetime64[us, UTC]",
            ),
            (pd.Series(["a", "b"], dtype="category"), ColumnKind.CATEGORY, "object"),
            (pd.Series([1, 2], dtype="category"), ColumnKind.INTEGER, "int64"),
            (pd.Series([None, None], dtype=object), ColumnKind.CATEGORY, "object"),
            (pd.Series([uuid.UUID(int=1), None], dtype=object), ColumnKind.CATEGORY, "object"),
            (pd.Series([np.nan, np.nan]), ColumnKind.NUMBER, "float64"),
        ],
    )
    def test_kinds(self, values, kind, dtype):
        read = read_column(values, "x")
        assert read.kind is kind
        assert str(read.values.dtype) == dtype
        assert read.values.isna().tolist() == values.isna().tolist()

    def test_times_are_in_utc(self):
        aware = pd.Series(pd.to_datetime(["2026-05-01T02:00:00+02:00"]))
        naive = pd.Series([date(2026, 5, 1)], dtype=object)
        assert read_column(aware, "x").values[0] == read_column(naive, "x").values[0]

    def test_large_whole_numbers_with_gaps_become_names(self):
        read = read_column(pd.Series([2**60, 2**60 + 1, None], dtype="Int64"), "x")
        assert read.kind is ColumnKind.CATEGORY
        assert read.values.tolist() == [str(2**60), str(2**60 + 1), None]
        assert "more than 15 digits" in read.findings[0]
        assert read_column(pd.Series([2**60, 2**60 + 1]), "x").values.nunique() == 2
        assert read_column(pd.Series([2**64 - 1], dtype="uint64"), "x").kind is ColumnKind.CATEGORY

    def test_infinite_numbers_are_counted(self):
        assert read_column(pd.Series([1.0, np.inf, -np.inf]), "x").findings == ("x: 2 values are infinite",)

    def test_a_mixture_is_read_as_text(self):
        read = read_column(pd.Series([1, "2", None, 3.5], dtype=object), "x")
        assert read.kind is ColumnKind.NUMBER
        assert read.values.tolist()[:2] == [1.0, 2.0]
        assert "several types" in read.findings[-1]

    @pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", time(1), 1j])
    def test_what_is_no_plain_value_is_refused(self, value):
        with pytest.raises(DataRefusedError, match=r"WS-DATA-018.*'x'"):
            read_column(pd.Series([value, value], dtype=object), "x")


def test_numbers_among_text():
    values = pd.Series(["1", "2", "2", "x", None], dtype=object)
    assert numbers_among(values) == (3, 4, 2)


@pytest.mark.parametrize("odd", ["sNaN", "NaN", "-sNaN123"])
def test_a_decimal_that_is_no_number_is_missing(odd):
    for values in ([Decimal("1.5"), Decimal(odd), Decimal(2)], [Decimal("1.5"), Decimal(odd), 2]):
        read = read_column(pd.Series(values, dtype=object), "x")
        assert read.kind is ColumnKind.NUMBER
        assert read.values.isna().tolist() == [False, True, False]
