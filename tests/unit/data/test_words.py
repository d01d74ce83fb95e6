from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from windsock.data.read_columns import ReadColumn
from windsock.data.reading import read_column
from windsock.data.words import is_number, microseconds
from windsock.records import ColumnKind, ColumnRole, ContractColumn, ValueForm
from windsock.records.values import MISSING_WORDS


@dataclass(frozen=True)
class Found:
    read: ReadColumn
    values: list[Any]

    @property
    def kind(self) -> ColumnKind:
        return self.read.kind

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(said.removeprefix("x: ") for said in self.read.findings if "read as missing" not in said)


def meaning(*words: str, counts: list[int] | None = None) -> Found:
    """Return what the words mean: for each its value, ``None`` where it stands for none."""
    rows = [word for word, count in zip(words, counts or [1] * len(words), strict=True) for _ in range(count)]
    read = read_column(pd.Series(rows, dtype=object), "x")
    first = [rows.index(word) for word in words]
    values = [None if pd.isna(value) else value for value in read.values.iloc[first].tolist()]
    if read.kind is ColumnKind.DATETIME:
        values = [None if value is None else microseconds(value.to_pydatetime()) for value in values]
    return Found(read, values)


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
        assert (found.read.true_word, found.read.false_word) == words[:2]
        assert found.values[2:] == [None] * (len(words) - 2)

    def test_the_commonest_spelling_is_kept(self):
        found = meaning("yes", "YES", "no", "No", counts=[1, 5, 3, 2])
        assert (found.read.true_word, found.read.false_word) == ("YES", "no")
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
        assert "1 are words such as NA" in found.read.findings[0]

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

    @pytest.mark.parametrize("word", ["1,5x", "1_000", "0x10", "1 00", "1e99999", "½", "--1", "e5", "."])
    def test_what_is_no_number(self, word):
        assert not is_number(word)
        assert meaning(word, "12").kind is (ColumnKind.INTEGER if word == "." else ColumnKind.CATEGORY)

    def test_a_spoiled_column_counts_what_is_wrong(self):
        found = meaning("1", "2", "oops", counts=[40, 50, 10])  # few numbers: categories
        assert found.kind is ColumnKind.CATEGORY
        assert found.remarks == ("10 of 100 values are no numbers while the others are: read as text",)

    @pytest.mark.parametrize(
        ("words", "values", "form"),
        [
            (("1,5", "2,25"), [1.5, 2.25], {"decimal": ","}),
            (("0,126", "-3,5"), [0.126, -3.5], {"decimal": ","}),
            (("1.137,5", "2,5"), [1137.5, 2.5], {"decimal": ",", "thousands": "."}),
            (("1,137,000", "12"), [1_137_000, 12], {"thousands": ","}),
            (("1 137", "5"), [1137, 5], {"thousands": " "}),
            (("1\u202f137,5", "5"), [1137.5, 5], {"decimal": ",", "thousands": " "}),
            (("1'137.5", "5"), [1137.5, 5], {"thousands": "'"}),
            (
                ("$1,234.00", "$5.50"),
                [1234.0, 5.5],
                {"thousands": ",", "unit": "currency", "currency": "USD"},
            ),
            (
                ("12,50 €", "1.200,00 €"),
                [12.5, 1200.0],
                {"decimal": ",", "thousands": ".", "unit": "currency", "currency": "EUR"},
            ),
            (("95%", "7.5 %"), [95.0, 7.5], {"unit": "percent"}),
            (("(1.50)", "2.50"), [-1.5, 2.5], {}),
            (("-$5", "($7)"), [-5, -7], {"unit": "currency", "currency": "USD"}),
            (("\u221215", "3"), [-15, 3], {}),
        ],
    )
    def test_as_people_write_them(self, words, values, form):
        found = meaning(*words)
        assert found.values == values
        assert found.read.form.model_dump(exclude_defaults=True) == form
        held = ContractColumn(name="x", kind=found.kind, form=found.read.form)
        again = read_column(pd.Series(words, dtype=object), "x", held=held)
        assert again.values.tolist() == values
        assert (again.kind, again.form, again.unread) == (found.kind, found.read.form, 0)

    def test_a_comma_before_three_digits_is_not_guessed(self):
        found = meaning("1,137", "2,250", "7")
        assert found.values == [None, None, 7]
        assert (found.read.unread, found.read.shapes) == (2, ("9,999",))
        assert "data.source.decimal" in found.read.doubt

    @pytest.mark.parametrize(
        ("form", "values", "kind"),
        [
            (ValueForm(decimal="."), [1137, 2250], ColumnKind.INTEGER),
            (ValueForm(thousands=","), [1137, 2250], ColumnKind.INTEGER),
            (ValueForm(decimal=","), [1.137, 2.25], ColumnKind.NUMBER),
        ],
    )
    def test_what_the_source_says_settles_it(self, form, values, kind):
        read = read_column(pd.Series(["1,137", "2,250"], dtype=object), "x", form=form)
        assert (read.values.tolist(), read.kind, read.doubt) == (values, kind, "")

    def test_other_words_among_numbers_are_unread(self):
        words = [str(number) for number in range(97)]
        found = meaning(*words, "free", "free!", "n/k")
        assert found.kind is ColumnKind.INTEGER
        assert found.read.unread == 3
        assert found.read.shapes == ("a/a", "aaaa", "aaaa!")
        assert "3 of 100 values were not read as numbers" in found.read.findings[-1]

    @pytest.mark.parametrize("words", [("0", "1", "2", "3+"), ("PC 17599", "A/5 21171", "113803", "C.A. 2")])
    def test_categories_with_numbers_among_them(self, words):
        assert meaning(*words, counts=[97, 1, 1, 1]).kind is ColumnKind.CATEGORY

    def test_codes_are_no_spoiled_numbers(self):
        codes = [f"{'ABCDEFGHIJKLM'[number % 13] * (1 + number % 7)}/{number}" for number in range(30)]
        found = meaning(*map(str, range(1000, 1070)), *codes)
        assert found.kind is ColumnKind.CATEGORY
        assert "30 of 100 values are no numbers" in found.remarks[0]

    def test_a_target_is_never_unread(self):
        words = pd.Series([*map(str, range(97)), "5+", "5+", "x"], dtype=object)
        read = read_column(words, "x", role=ColumnRole.TARGET)
        assert read.kind is ColumnKind.CATEGORY
        assert read.values.tolist() == words.tolist()

    @pytest.mark.parametrize(
        "words", [("12:34", "00:01"), ("12:34:00", "00:01:00"), ("12.34.00", "00.01.00")]
    )
    def test_clock_times_are_minutes(self, words):
        found = meaning(*words)
        assert (found.kind, found.values) == (ColumnKind.NUMBER, [754.0, 1.0])
        assert "minutes" in found.remarks[0]

    def test_digits_that_a_number_cannot_hold_make_names(self):
        found = meaning("0.12345678901234567890", "0.12345678901234567891")
        assert found.kind is ColumnKind.CATEGORY
        kept = meaning("0.12345678901234567890", "0.5")
        assert kept.kind is ColumnKind.NUMBER
        assert "digits" in kept.remarks[0]

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
        assert (found.kind, found.values, found.read.unread) == (ColumnKind.DATETIME, [None, None], 2)
        assert "data.source.dates" in found.read.doubt
        for form, month in (("day_first", 2), ("month_first", 1)):
            read = read_column(pd.Series(["01/02/2026"]), "x", form=ValueForm(dates=form))
            assert read.values.iloc[0].month == month

    @pytest.mark.parametrize(
        ("word", "moment"),
        [
            ("2026-05-01 12:30:00+02", datetime(2026, 5, 1, 10, 30, tzinfo=UTC)),
            ("2026-05-01 12:30:00-0330", datetime(2026, 5, 1, 16, 0, tzinfo=UTC)),
            ("2026-05-01 12:30:00 UTC", datetime(2026, 5, 1, 12, 30, tzinfo=UTC)),
            ("05/31/2026 12:30:00 AM", datetime(2026, 5, 31, 0, 30, tzinfo=UTC)),
            ("05/31/2026 12:30 pm", datetime(2026, 5, 31, 12, 30, tzinfo=UTC)),
            ("2026-5-1 7:05", datetime(2026, 5, 1, 7, 5, tzinfo=UTC)),
            ("31.5.2026", datetime(2026, 5, 31, tzinfo=UTC)),
            ("31-May-2026", datetime(2026, 5, 31, tzinfo=UTC)),
        ],
    )
    def test_other_forms(self, word, moment):
        found = meaning(word, "")
        assert (found.kind, found.values) == (ColumnKind.DATETIME, [microseconds(moment), None])
        held = ContractColumn(name="x", kind=found.kind, form=found.read.form)
        assert read_column(pd.Series([word]), "x", held=held).values.iloc[0] == pd.Timestamp(moment)

    @pytest.mark.parametrize(
        ("word", "form"),
        [
            ("1767225600", "epoch_s"),
            ("1767225600000", "epoch_ms"),
            ("1767225600000000", "epoch_us"),
            ("1767225600000000000", "epoch_ns"),
            ("20260101", "%Y%m%d"),
        ],
    )
    def test_numbers_are_times_where_the_name_or_the_role_says_so(self, word, form):
        values = pd.Series([word, word], dtype=object)
        for read in (read_column(values, "created_at"), read_column(values, "x", role=ColumnRole.EVENT_TIME)):
            assert read.kind is ColumnKind.DATETIME
            assert read.values.iloc[0] == pd.Timestamp("2026-01-01", tz="UTC")
            assert read.form.dates == form
            held = ContractColumn(name="x", kind=read.kind, form=read.form)
            assert read_column(values, "x", held=held).values.equals(read.values.rename("x"))
        assert read_column(values, "x").kind is not ColumnKind.DATETIME

    def test_dates_of_no_day_are_unread(self):
        found = meaning("2026-05-01", "0000-00-00", counts=[99, 1])
        assert (found.read.unread, found.read.shapes) == (1, ("9999-99-99",))

    @pytest.mark.parametrize(
        "words",
        [
            ("2026-13-01",),
            ("2026-02-30",),
            ("2026-05/01",),
        ],
    )
    def test_what_is_no_date(self, words):
        assert meaning(*words, "soon", "later").kind is ColumnKind.CATEGORY

    def test_half_times_or_two_orders_are_left_to_validation(self):
        assert meaning("2026-05-01", "soon").read.unread == 1
        assert meaning("31/12/2026", "12/31/2026").read.unread == 2

    def test_years_are_whole_numbers(self):
        assert meaning("2025", "2026").kind is ColumnKind.INTEGER

    @given(st.datetimes(timezones=st.just(UTC)))
    def test_every_moment_comes_back(self, moment):
        assume(not 2480 <= moment.year <= 2600)  # perhaps of the Thai calendar: in doubt
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
