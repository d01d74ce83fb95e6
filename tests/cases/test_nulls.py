r"""``\N``, as databases write a missing value."""

from __future__ import annotations

import numpy as np
import pytest

from support.read_files import read_columns

pytestmark = pytest.mark.cases
ROWS = 1_000


@pytest.mark.parametrize("share", [0.02, 0.44, 0.97])
def test_backslash_n(tmp_path, case, share):
    draw = np.random.default_rng(9)
    gone = draw.random(ROWS) < share
    years, genres = draw.integers(1950, 2025, ROWS), draw.choice(["Drama", "Comedy"], ROWS)
    lines = ["title\tyear\tgenre\thit"]
    for row in range(ROWS):
        year, genre = ("\\N", "\\N") if gone[row] else (years[row], genres[row])
        lines.append(f"Title {row}\t{year}\t{genre}\t{row % 2}")
    file = tmp_path / "title.tsv"
    file.write_text("\n".join(lines))
    columns = read_columns(file)
    right = {"year": ("integer", int(gone.sum())), "genre": ("category", int(gone.sum()))}
    got = {name: (columns[name].kind.value, int(columns[name].values.isna().sum())) for name in right}
    case(f"\\N in {share:.0%} of rows", right=right, got=got)
    assert set(columns["genre"].values.dropna()) == {"Drama", "Comedy"}
