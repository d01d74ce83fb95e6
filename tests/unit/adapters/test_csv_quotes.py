"""Quotes that would swallow rows: the file is refused, or every row is there."""

from __future__ import annotations

import random

import pytest

from windsock.adapters.csv_source import read_csv
from windsock.exceptions import DataRefusedError


def rows_of(folder, lines: list[str]) -> int | None:
    """Return how many rows are read; ``None``: the file is refused for its quotes."""
    file = folder / "rows.csv"
    file.write_text("\n".join(lines) + "\n")
    try:
        return len(read_csv(file).frame)
    except DataRefusedError:
        return None


WIDE = [",".join(str(100 * row + column) for column in range(12)) for row in range(13)]


def wide(changes: dict[int, str]) -> list[str]:
    rows = [line.split(",") for line in WIDE]
    for row, text in changes.items():
        rows[row][4] = text
    return [",".join(f"c{column}" for column in range(12)), *(",".join(row) for row in rows)]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (
            ["n,t,k", '1,"hello', 'world",a', '2,"x,c', '3,y",b', '4,"multi', 'line",b', "5,plain,a"],
            "line 4",
        ),
        (wide({2: '"12in pipe', 5: '7in"', 8: '"two\nlines"'}), "line 4"),
        (["a;b", '"x;1', 'y";2', '"an honest\ntext";3'], "line 2"),
        (["a,b", '1,"x', '2,y"', '3,"an honest\n\n\ntext"'], "line 2"),
    ],
)
def test_a_few_swallowed_rows_are_named(tmp_path, lines, named):
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataRefusedError) as caught:
        read_csv(tmp_path / "rows.csv")
    assert caught.value.code == "WS-DATA-033"
    assert named in str(caught.value)
    assert "write a quote inside a quoted value twice" in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["n,address", *(f'{row},"12 Main St\nSpringfield, IL"' for row in range(9))], 9),
        (["n,t,k", *(f'{row},"Dear all, thanks\nthe team, Oslo",a' for row in range(9))], 9),
        (["n,t,k", *(f'{row},"one\ntwo\n\nthree, four",a' for row in range(9))], 9),
        (["text", '"one\ntwo"', '"three\nfour"'], 2),
    ],
)
def test_texts_over_lines_are_read(tmp_path, lines, rows):
    assert rows_of(tmp_path, lines) == rows


@pytest.mark.parametrize("seed", range(0, 200, 50))
def test_stray_quotes_never_lose_a_row_unnamed(tmp_path, seed):
    for one in range(seed, seed + 50):
        require_all_rows(tmp_path, one)


def require_all_rows(tmp_path, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    width, rows = draw.randint(2, 6), draw.randint(4, 12)
    table = [
        [str(row), *(draw.choice([f"{draw.random():.2f}", "pipe", "a b"]) for _ in range(width - 1))]
        for row in range(rows)
    ]
    honest = draw.sample(range(rows), 2)
    table[honest[0]][width - 1] = '"hello\nworld"'
    table[honest[1]][draw.randrange(1, width)] = '"one, two\n\nthree"'
    assert rows_of(tmp_path, [",".join(f"c{at}" for at in range(width)), *map(",".join, table)]) == rows
    for row in draw.sample([row for row in range(rows) if row not in honest], draw.choice([1, 2, 2, 2])):
        column = draw.randrange(1, width)
        value = table[row][column]
        table[row][column] = draw.choice([f'"{value}', f'{value}"', f'{value[:1]}"{value[1:]}'])
    got = rows_of(tmp_path, [",".join(f"c{at}" for at in range(width)), *map(",".join, table)])
    assert got in (None, rows)


@pytest.mark.parametrize("length", [140_000, 300_000])
@pytest.mark.parametrize("mark", ["", '"'])
def test_a_long_value_among_the_first_rows(tmp_path, length, mark):
    lines = ["n,t", f"1,{mark}{'x' * length}{mark}", *(f"{row},short" for row in range(9)), '7,"two\nlines"']
    assert rows_of(tmp_path, lines) == 11


@pytest.mark.parametrize("sign", ["é", "”", "、"])
def test_a_line_that_names_no_delimiter(tmp_path, sign):
    (tmp_path / "rows.csv").write_text(f"sep={sign}\na{sign}b\n1{sign}2\n")
    with pytest.raises(DataRefusedError) as caught:
        read_csv(tmp_path / "rows.csv")
    assert (caught.value.code, "`sep=`" in str(caught.value)) == ("WS-DATA-013", True)


@pytest.mark.parametrize("row", ["Berlin,1971-02-03,Berlin", "4,4,yes", "a@b.org,a@b.org,no"])
def test_a_row_of_values_is_not_printed_for_names(tmp_path, row):
    (tmp_path / "rows.csv").write_text("\n".join([row] * 5))
    with pytest.raises(DataRefusedError) as caught:
        read_csv(tmp_path / "rows.csv")
    assert caught.value.code == "WS-DATA-012"
    assert "columns 1 and" in str(caught.value)
    assert not any(value in str(caught.value) for value in ("Berlin", "a@b.org", "'4'"))
