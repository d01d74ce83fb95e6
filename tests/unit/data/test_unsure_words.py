"""What looks like numbers or times is read with certainty or is in doubt; honest names are neither."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest

from windsock.data.reading import is_free_text, read_column
from windsock.data.spelled_words import has_month, in_english, in_plain_signs, with_offset
from windsock.data.time_words import OF_DAY
from windsock.records import ColumnKind, ColumnRole, ContractColumn, SourceForm
from windsock.spec.columns import CLOCK_FORMS, ContractBlock

ROWS = 200
BY_POINTS = SourceForm(decimal=".", by_values=True)
BY_COMMAS = SourceForm(decimal=",", by_values=True)


def read(written, form=None, **asked):
    values = pd.Series([written(row) for row in range(ROWS)], dtype="string")
    return read_column(values, "k", form=form, **asked)


def digits(row, places):
    return str(int(digest(f"{row} {places}"), 16))[-places:]


def letters(row, places):
    return digits(row, places).translate(str.maketrans("0123456789", "ABCDEFGHKM"))


def digest(row):
    return hashlib.md5(str(row).encode(), usedforsecurity=False).hexdigest()


HONEST = {
    "zip": lambda row: digits(row, 5),
    "zip, few with a zero": lambda row: ("0" if row % 60 == 0 else "1") + digits(row, 4),
    "zip+4": lambda row: f"{digits(row, 5)}-{digits(row, 4)}",
    "zip uk": lambda row: f"SW{row % 20}A {row % 9}AA",
    "zip nl": lambda row: f"1{digits(row, 3)} {letters(row, 2)}",
    "zip se": lambda row: f"1{digits(row, 2)} {digits(row + 1, 2)}",
    "isbn": lambda row: f"978-3-{digits(row, 2)}-{digits(row, 6)}-{row % 10}",
    "iban": lambda row: f"DE{digits(row, 2)} {digits(row, 4)} {digits(row + 1, 4)} {digits(row + 2, 4)}",
    "semver": lambda row: f"{row % 5}.{row % 17}.{row % 23}",
    "version": lambda row: f"v{row % 5}.{row % 17}",
    "mac": lambda row: ":".join(digest(row)[at : at + 2] for at in range(0, 12, 2)),
    "hours": lambda row: f"{row % 12}-{12 + row % 11}",
    "hours with minutes": lambda row: f"{row % 12:02}:00-{12 + row % 11}:00",
    "hours am to pm": lambda row: f"{row % 11 + 1}am-{row % 10 + 1}pm",
    "range": lambda row: f"{row * 10}-{row * 10 + 9}",
    "bracket": lambda row: f"[{row * 5}, {row * 5 + 5})",
    "size": lambda row: f"{30 + row % 25},5/{31 + row % 25}",
    "phone +49": lambda row: f"+49 30 {digits(row, 7)}",
    "phone us": lambda row: f"({digits(row, 3)}) {digits(row + 1, 3)}-{digits(row, 4)}",
    "phone with points": lambda row: f"555.{digits(row, 3)}.{digits(row, 4)}",
    "phone fr": lambda row: f"0{row % 9 + 1} {digits(row, 2)} {digits(row + 1, 2)} {digits(row + 2, 2)}",
    "coordinates": lambda row: f"{row / 7:.4f}, {row / 3:.4f}",
    "hash": digest,
    "short hash": lambda row: digest(row)[:8],
    "years": lambda row: f"{1900 + row % 99}/{row % 99 + 1:02}",
    "month": lambda row: f"{2000 + row // 12}-{row % 12 + 1:02}",
    "quarter": lambda row: f"{2000 + row // 4} Q{row % 4 + 1}",
    "week": lambda row: f"{2000 + row // 52}-W{row % 52 + 1:02}",
    "ip": lambda row: f"10.{row % 255}.{row * 7 % 255}.{row * 11 % 255}",
    "card": lambda row: " ".join(digits(row + at, 4) for at in range(4)),
    "sort code": lambda row: f"{digits(row, 2)}-{digits(row + 1, 2)}-{digits(row + 2, 2)}",
    "hyphenated": lambda row: f"{digits(row, 2)}-{digits(row, 4)}",
    "plate": lambda row: f"{letters(row, 2)}{digits(row, 2)}{letters(row, 3)}",
    "seat": lambda row: f"{row % 40 + 1}{letters(row, 1)}",
    "house": lambda row: f"{row % 150 + 1}{'abc '[row % 4]}",
    "ticket": lambda row: f"A/5 {digits(row, 5)}",
    "icd": lambda row: f"{letters(row, 1)}{digits(row, 2)}.{row % 10}",
    "hs code": lambda row: f"{digits(row, 4)}.{digits(row + 1, 2)}.{digits(row + 2, 2)}",
    "chapter": lambda row: f"{row % 20}.{row % 13}.{row % 7}.{row % 3}",
    "padded": lambda row: f"{row:06}",
    "ean": lambda row: f"0{digits(row, 12)}",
    "long decimals": lambda row: f"{12345678901234567890 + row}.12",
    "dimensions": lambda row: f"{row % 30} x {row % 27} cm",
    "tyre": lambda row: f"{150 + row % 80}/{row % 60 + 20} R{row % 9 + 13}",
    "blood pressure": lambda row: f"{100 + row % 80}/{60 + row % 40}",
    "May 7": lambda row: f"May {row}",
}


@pytest.mark.parametrize("form", [None, BY_POINTS, BY_COMMAS], ids=["nothing", "points", "commas"])
@pytest.mark.parametrize("name", HONEST)
def test_honest_names_are_names(name, form):
    column = read(HONEST[name], form)
    assert (column.kind, column.doubt) == (ColumnKind.CATEGORY, "")


SCRIPTS = {"full width": 0xFF10, "Arabic-Indic": 0x0660, "Devanagari": 0x0966}


@pytest.mark.parametrize("zero", SCRIPTS.values(), ids=SCRIPTS)
def test_digits_of_other_scripts(zero):
    def other(text):
        return "".join(chr(zero + int(sign)) if sign.isdigit() else sign for sign in text)

    column = read(lambda row: other(f"{row * 3}.5"), BY_POINTS)
    assert column.values.tolist() == [row * 3 + 0.5 for row in range(ROWS)]
    column = read(lambda row: other(f"{2015 + row % 9}/{row % 12 + 1}/{row % 28 + 1}"))
    assert str(column.values[12]) == "2018-01-13 00:00:00+00:00"
    assert read(lambda row: other(f"{row % 3}-{row}")).values[0] == other("0-0"), "names stay as they are"


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f", "\u2009"])
def test_blank_thousands_with_a_decimal_comma_in_a_file_of_points(blank):
    column = read(lambda row: f"{1 + row // 100}{blank}{row % 1000:03},5", BY_POINTS)
    assert (column.unread, column.values[3], column.values[199]) == (0, 1003.5, 2199.5)


def test_a_decimal_sign_that_a_person_gives_is_not_guessed_over():
    column = read(lambda row: f"1 {row:03},5", SourceForm(decimal="."))
    assert (column.unread, "`decimal` of `data.source`" in column.doubt) == (ROWS, True)


DATES = {
    "4. März 2025": "%d. %B %Y",
    "4 mars 2025": "%d %b %Y",
    "1er févr. 2025": "%d %b %Y",
    "4 de marzo de 2025": "%d de %B de %Y",
    "4 marzo 2025": "%d %b %Y",
    "4 maart 2025": "%d %b %Y",
    "4 de março de 2025": "%d de %B de %Y",
    "4 марта 2025 г.": "%d %B %Y г.",
    "2025년 3월 4일": "%Y년 %m월 %d일",
    "2025年3月4日": "%Y年%m月%d日",
    "２０２５年３月４日 10:33": "%Y年%m月%d日 %H:%M",
    "2025. 3. 4.": "%Y. %m. %d.",
    "Tue, 04 Mar 2025 10:33:00 GMT": "%a, %d %b %Y %H:%M:%S %z",
    "Tue Mar 04 10:33:00 2025": "%a %b %d %H:%M:%S %Y",
    "31.12.2025, 03:03": "day_first",
    "12/31/2025, 9:05:00\u202fPM": "month_first",
}


@pytest.mark.parametrize(("word", "dates"), DATES.items())
def test_dates_of_other_languages(word, dates):
    column = read(lambda row: word)
    assert (column.kind, column.unread, column.form.dates) == (ColumnKind.DATETIME, 0, dates)
    day = (12, 31) if "31" in word else (2, 1) if "févr" in word else (3, 4)
    assert (column.values[0].year, column.values[0].month, column.values[0].day) == (2025, *day)


@pytest.mark.parametrize(
    ("word", "minutes", "dates"),
    [("9:05 PM", 1265, "%I:%M %p"), ("12:05 a.m.", 5, "%I:%M %p"), ("9:05:30pm", 1265.5, "%I:%M:%S %p")],
)
def test_clocks_of_half_a_day(word, minutes, dates):
    column = read(lambda row: word)
    assert (column.kind, column.values[0], column.form.dates) == (ColumnKind.NUMBER, minutes, dates)


def test_every_clock_may_stand_in_a_contract_file():
    assert set(OF_DAY) == set(CLOCK_FORMS)
    assert [ContractBlock(kind="number", dates=form).dates for form in OF_DAY] == list(OF_DAY)


DOUBTS = {
    "decimal points under a key of commas": (
        lambda row: f"{row * 1.37:.2f}",
        SourceForm(decimal=","),
        '{decimal: "."}',
    ),
    "1003,5 under thousands of commas": (
        lambda row: f"{1000 + row},5",
        SourceForm(thousands=","),
        '{decimal: ",", thousands: ""}',
    ),
    "month first under day first": (
        lambda row: f"{row % 12 + 1:02}/{row % 28 + 1:02}/2026",
        SourceForm(dates="day_first"),
        '{dates: "month_first"}',
    ),
    "one zone": (
        lambda row: f"2026-01-{row % 28 + 1:02} 10:{row % 60:02} CET",
        None,
        '{dates: "%Y-%m-%d %H:%M CET"}',
    ),
    "05-JAN-26": (lambda row: f"{row % 28 + 1:02}-{'JAN' if row % 2 else 'FEB'}-26", None, '"%d-%b-%y"'),
    "20260105T103300Z": (lambda row: f"202601{row % 28 + 1:02}T1033{row % 60:02}Z", None, '"%Y%m%dT%H%M%SZ"'),
    "two zones": (lambda row: f"2026-01-05 10:{row % 60:02} {'CET' if row % 2 else 'EET'}", None, "one form"),
    "2h 50m": (lambda row: f"{row % 24}h {row % 60}m", None, "one form"),
    "21h05": (lambda row: f"{row % 24}h{row % 60:02}", None, "one form"),
    "오후": (lambda row: f"2025. 3. {row % 28 + 1}. 오후 {row % 12 + 1}:05", None, "one form"),
    "three currencies": (lambda row: f"{'$€£'[row % 3]}{row}.50", None, "one form"),
    "1.2K beside 3.4M": (lambda row: f"{row / 10}{'KMB'[row % 3]}", None, "one form"),
    "5 kg beside 300 g": (lambda row: f"{row} {('kg', 'g', 'lb')[row % 3]}", None, "one form"),
    "<0.5": (lambda row: f"<{row / 10}", None, "one form"),
    "three styles": (
        lambda row: (f"{row % 9 + 1},{row:03}.50", f"{row % 9 + 1}.{row:03},50", f"1'{row:03},50")[row % 3],
        None,
        "one form",
    ),
    "4 % of words": (
        lambda row: "unknown" if row % 25 == 0 else f"{row / 10}{'KMB'[row % 3]}",
        None,
        "one form",
    ),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_doubts(name):
    written, form, key = DOUBTS[name]
    column = read(written, form)
    assert column.unread == ROWS
    assert key in column.doubt
    assert "`data.columns.k.kind: category`" in column.doubt
    as_names = ContractColumn(name="k", kind=ColumnKind.CATEGORY)
    held = read(written, form, held=as_names)
    assert (held.kind, held.doubt, held.unread) == (ColumnKind.CATEGORY, "", 0), "a decision ends the doubt"
    target = read(written, form, role=ColumnRole.TARGET)
    assert (target.kind, target.unread) == (ColumnKind.CATEGORY, 0)
    assert any(column.doubt in finding for finding in target.findings)


def test_the_key_that_is_named_reads_the_values():
    for written, form, key in DOUBTS.values():
        if "dates: " in key:
            dates = key.split('"')[1]
            given = (form or SourceForm()).replace(dates=dates)
            assert read(written, given).unread == 0
    written, form, _ = DOUBTS["1003,5 under thousands of commas"]
    assert read(written, form.replace(decimal=",", thousands="")).values[3] == 1003.5


def test_no_more_than_twenty_are_names():
    assert read(lambda row: f"{row % 20}{'KMB'[row % 20 % 3]}").kind is ColumnKind.CATEGORY


def test_short_years_with_a_few_words_are_no_clocks():
    column = read(lambda row: "unknown" if row % 40 == 0 else f"{row % 28 + 1:02}.{row % 12 + 1:02}.25")
    assert (column.unread, "data.source.dates" in column.doubt) == (ROWS, True)


def test_months_hold_whatever_words_the_first_snapshot_had():
    first = read(lambda row: f"{row % 28 + 1} {'mei' if row % 2 else 'maart'} 2025")
    held = ContractColumn(name="k", kind=first.kind, form=first.form)
    later = read(lambda row: f"{row % 28 + 1} {'april' if row % 2 else 'Juni'} 2025", held=held)
    assert later.unread == 0


def test_spelled_words():
    import pyarrow as pa

    assert in_english(["4. Mär. 2025", "4 Xyz 2025"], full=True) == ["4. March 2025", "4 Xyz 2025"]
    assert in_english(["4. März 2025"], full=False) == ["4. Mar 2025"]
    assert [has_month(word) for word in ("4. ma\u0308rz", "12 août", "Main St 5")] == [True, True, False]
    assert in_plain_signs(pa.array(["１２．５\u200b", "a b"])).to_pylist() == ["12.5", "a b"]
    assert [with_offset(word) for word in ("10:00 EST", "10:00 XYZ")] == ["10:00 -0500", "10:00 XYZ"]


@pytest.mark.parametrize(
    ("written", "right"),
    [
        (lambda row: f"the customer {row} said that all is well", True),
        (lambda row: f"お客様{row}は荷物が届かないと電話で言いました", True),
        (lambda row: f"{digest(row)}{digest(row)}", False),
        (HONEST["iban"], False),
        (HONEST["card"], False),
    ],
)
def test_free_text(written, right):
    assert is_free_text(pd.Series([written(row) for row in range(ROWS)])) is right
