"""Quotes that are none: every row is read, or the file is refused with the lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.read_files import read_source, refused

pytestmark = pytest.mark.cases
ROWS = 1_000


def put(folder: Path, descriptions: dict[int, str], *, usual: str = "pipe", delimiter: str = "\t") -> Path:
    draw = np.random.default_rng(5)
    lines = [delimiter.join(("part", "descr", "x", "y"))]
    for row, (x, y) in enumerate(
        zip(draw.normal(size=ROWS).round(3), draw.integers(0, 2, ROWS), strict=True)
    ):
        lines.append(delimiter.join((f"p{row}", descriptions.get(row, usual), str(x), str(y))))
    file = folder / "parts.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_two_lone_quotes_500_rows_apart(tmp_path, case):
    file = put(tmp_path, {200: '"unfinished note', 700: '"unfinished note'})
    read = read_source(file)
    case("two lone quotes at the start of values", right=(ROWS, ROWS), got=(len(read.frame), read.lines))
    file = put(tmp_path, {200: '"open', 700: 'closed"'})
    case("a quote opens, 500 rows later one closes", right=ROWS, got=len(read_source(file).frame))


def test_lone_quotes_among_quoted_values(tmp_path, case):
    file = put(tmp_path, {3: '"well quoted"', 200: '"open', 700: 'closed"'})
    said = refused(file)
    case("the same beside quoted values", right=(True, True), got=("WS-DATA-033" in said, "line 202" in said))
    file = put(tmp_path, {3: '"well quoted"', 200: '"lone'})
    case("one lone quote beside quoted values", right=True, got="line 202" in refused(file))


def test_inches_in_mid_field(tmp_path, case):
    file = put(tmp_path, {row: f'{row % 40}" pipe' for row in range(ROWS)})
    read = read_source(file)
    got = (len(read.frame), read.frame["descr"].iloc[38])
    case("inches in mid field", right=(ROWS, '38" pipe'), got=got)


def test_a_quoted_nickname(tmp_path, case):
    file = put(tmp_path, dict.fromkeys(range(0, ROWS, 50), '"Big" Bob'), usual="Bob", delimiter=",")
    read = read_source(file)
    got = (len(read.frame), read.frame["descr"].iloc[0], read.frame["descr"].nunique())
    case("a quoted nickname", right=(ROWS, '"Big" Bob', 2), got=got)


def test_backslash_quotes(tmp_path, case):
    file = put(tmp_path, {row: f'"{row % 40}\\" pipe, blue"' for row in range(ROWS)}, delimiter=",")
    read = read_source(file)
    got = (len(read.frame), read.frame["descr"].iloc[38])
    case("quotes behind a backslash", right=(ROWS, '38" pipe, blue'), got=got)


def test_texts_over_lines_stay(tmp_path, case):
    file = put(
        tmp_path, {5: '"12 Main St\nSpringfield, IL"', 9: '"two\n\nlines"', 11: '"a, b"'}, delimiter=","
    )
    read = read_source(file)
    got = (len(read.frame), read.frame["descr"].iloc[5])
    case("values that do hold line ends", right=(ROWS, "12 Main St\nSpringfield, IL"), got=got)
