from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.data.words import MISSING_WORDS, is_number, meaning_of, microseconds
from windsock.records import ColumnKind


def meaning(*words: str, counts: list[int] | None = None):
    return meaning_of(list(words), np.array(counts or [1] * len(words)))


class TestTruths:
    @pytest.mark.parametrize(
        "words",
        [
            ("Yes", "No"),
            ("true", "false"),
            ("TRUE", "FALSE"),
            ("t", "f"),
            ("Y", "N"),
            ("Yes", "No", "", "NA"),
        ],
    )
    def test_two_words(self, words):
        found = meaning(*words)
        assert found.kind is ColumnKind.BOOLEAN
        assert found.values[:2] == [True, False]
        assert (found.true_word, found.false_word) == words[:2]
        assert found.values[2:] == [None] * (len(words) - 2)

    def test_the_commonest_spelling_is_kept(self):
        found = meaning("yes", "YES", "no", "No", counts=[1, 5, 3, 2])
        assert (found.true_word, found.false_word) == ("YES", "no")
        assert found.values == [True, True, False, False]

    @pytest.mark.parametrize(
        "words", [("Yes",), ("Yes", "N"), ("Yes", "No", "Maybe"), ("t", "no"), ("on", "off")]
    )
    def test_other_words_are_names(self, words):
        assert meaning(*words).kind is ColumnKind.CATEGORY

    def test_zero_and_one_are_whole_numbers(self):
        assert meaning("0", "1").kind is ColumnKind.INTEGER


class TestNumbers:
    @pytest.mark.parametrize(
        ("words", "values"),
        [
            (("1", "-2", "+3", "0"), [1, -2, 3, 0]),
            (("999999999999999",), [999_999_999_999_999]),
        ],
    )
    def test_whole(self, words, values):
        found = meaning(*words)
        assert found.kind is ColumnKind.INTEGER
        assert found.values == values

    @pytest.mark.parametrize(
        ("words", "values"),
        [
            (("1.5", "2"), [1.5, 2.0]),
            ((".5", "5."), [0.5, 5.0]),
            (("1e3", "-2.5E-2"), [1000.0, -0.025]),
            (("0.6329502188904286",), [0.6329502188904286]),
            (("00.5", "1"), [0.5, 1.0]),
        ],
    )
    def test_with_a_point(self, words, values):
        found = meaning(*words)
        assert found.kind is ColumnKind.NUMBER
        assert found.values == values

    @pytest.mark.parametrize("word", sorted(MISSING_WORDS))
    def test_words_for_no_value(self, word):
        found = meaning("1", word.upper(), "", "3")
        assert found.values == [1, None, None, 3]
        assert list(found.missing) == [1]

    def test_infinite_numbers_stay_and_are_counted(self):
        found = meaning("1", "inf", "-Infinity", counts=[5, 2, 1])
        assert found.kind is ColumnKind.NUMBER
        assert found.values == [1.0, math.inf, -math.inf]
        assert meaning("1", "1e999").remarks == ("1 values are infinite",)
        assert found.remarks == ("3 values are infinite",)

    def test_infinite_alone_is_a_word(self):
        assert meaning("inf").kind is ColumnKind.CATEGORY

    @pytest.mark.parametrize("words", [("007", "12"), ("01",), ("1234567890123456",), ("-05", "3")])
    def test_names_made_of_digits(self, words):
        found = meaning(*words)
        assert found.kind is ColumnKind.CATEGORY
        assert found.values == list(words)
        assert "leading zeros" in found.remarks[0]

    @pytest.mark.parametrize(
        "word", ["1,5", "1_000", "0x10", "1 000", "12%", "$5", "1e99999", "٣", "½", "--1", "e5", "."]
    )
    def test_what_is_no_number(self, word):
        assert not is_number(word)
        assert meaning(word, "12").kind is (ColumnKind.INTEGER if word == "." else ColumnKind.CATEGORY)

    def test_a_spoiled_column_counts_what_is_wrong(self):
        found = meaning("1", "2", "oops", counts=[40, 50, 10])
        assert found.kind is ColumnKind.CATEGORY
        assert found.remarks == ("10 of 100 values are no numbers while the others are: read as text",)

    def test_decimal_commas_are_not_guessed(self):
        found = meaning("1,5", "2,25")
        assert found.kind is ColumnKind.CATEGORY
        assert "comma" in found.remarks[0]

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
    def test_every_number_comes_back_exactly(self, numbers):
        words = list(dict.fromkeys(repr(number) for number in numbers))
        found = meaning(*words)
        assert found.kind is ColumnKind.NUMBER
        assert [repr(float(value)) for value in found.values] == words

    @given(st.lists(st.integers(-(10**15) + 1, 10**15 - 1), min_size=1, max_size=5, unique=True))
    def test_every_whole_number_comes_back(self, numbers):
        found = meaning(*map(str, numbers))
        assert found.kind is ColumnKind.INTEGER
        assert found.values == numbers


class TestDates:
    @pytest.mark.parametrize(
        ("word", "moment"),
        [
            ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
            ("2026/05/01", datetime(2026, 5, 1, tzinfo=UTC)),
            ("2026-05-01 12:30", datetime(2026, 5, 1, 12, 30, tzinfo=UTC)),
            ("2026-05-01T12:30:15Z", datetime(2026, 5, 1, 12, 30, 15, tzinfo=UTC)),
            ("2026-05-01T12:30:15.123456+02:00", datetime(2026, 5, 1, 10, 30, 15, 123456, tzinfo=UTC)),
            ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC)),
            ("1900-01-01", datetime(1900, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_iso(self, word, moment):
        found = meaning(word, "", "NULL")
        assert found.kind is ColumnKind.DATETIME
        assert found.values == [microseconds(moment), None, None]

    @pytest.mark.parametrize(
        ("words", "day"),
        [
            (("31/12/2026", "01/02/2026"), datetime(2026, 2, 1, tzinfo=UTC)),
            (("12/31/2026", "01/02/2026"), datetime(2026, 1, 2, tzinfo=UTC)),
            (("1.2.2026",), datetime(2026, 2, 1, tzinfo=UTC)),
            (("31/12/2026", "01/02/2026 08:15"), datetime(2026, 2, 1, 8, 15, tzinfo=UTC)),
        ],
    )
    def test_written_dates_whose_order_is_clear(self, words, day):
        found = meaning(*words)
        assert found.kind is ColumnKind.DATETIME
        assert found.values[-1] == microseconds(day)

    def test_written_dates_whose_order_is_not(self):
        found = meaning("01/02/2026", "03/04/2026")
        assert found.kind is ColumnKind.CATEGORY
        assert "cannot be told apart" in found.remarks[0]

    @pytest.mark.parametrize(
        "words",
        [
            ("2026-13-01",),
            ("2026-02-30",),
            ("2026-05-01", "soon"),
            ("31/12/2026", "12/31/2026"),
            ("2026-05/01",),
        ],
    )
    def test_what_is_no_date(self, words):
        assert meaning(*words).kind is ColumnKind.CATEGORY

    def test_years_are_whole_numbers(self):
        assert meaning("2025", "2026").kind is ColumnKind.INTEGER

    @given(st.datetimes(timezones=st.just(UTC)))
    def test_every_moment_comes_back(self, moment):
        found = meaning(moment.isoformat())
        assert found.values == [microseconds(moment)]


class TestNames:
    def test_words_for_no_value_are_names_among_names(self):
        found = meaning("None", "DSL", "Fiber", "NA", "")
        assert found.kind is ColumnKind.CATEGORY
        assert found.values == ["None", "DSL", "Fiber", "NA", None]
        assert found.remarks == ()

    @pytest.mark.parametrize("words", [(), ("",), ("NA", "null")])
    def test_nothing_said(self, words):
        assert meaning(*words).kind is ColumnKind.CATEGORY

    @given(st.lists(st.text(max_size=10).map(str.strip), max_size=6, unique=True))
    def test_any_words_have_a_meaning_and_no_remark_quotes_one(self, words):
        found = meaning(*words)
        assert len(found.values) == len(words)
        marked = [f"q{word}q" for word in words if word]
        assert not any(word in remark for word in marked for remark in meaning(*marked).remarks)
