"""What is counted quickly is what a plain count gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from windsock.data import plain_text
from windsock.data.plain_text import SORTS, alphabet_of, read_plain
from windsock.data.roles import count_values

TIMES = ["2026-01-01", None, "2026-01-01", "1970-01-01"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1.5, np.nan, 1.5, -0.0, 0.0, np.inf, -np.inf]),
        pd.Series([np.nan, np.nan]),
        pd.Series([], dtype="float64"),
        pd.Series([3, 3, -4]),
        pd.Series([], dtype="int64"),
        pd.Series(pd.to_datetime(TIMES, utc=True)).astype("datetime64[us, UTC]"),
        pd.Series([True, False, True]),
        pd.Series(pd.array([True, None, True], dtype="boolean")),
        pd.Series(pd.array([1, None, 1], dtype="Int64")),
        pd.Series(["a", None, "b", "a"], dtype=object),
    ],
)
def test_missing_and_different_values(values: pd.Series) -> None:
    known = values.dropna()
    assert count_values(values) == (len(values) - len(known), known.nunique())


@pytest.mark.parametrize(
    "words",
    [
        [],
        [""],
        ["12", "3.5"],
        ["1e5", "-3"],
        ["2026-01-02 10:00:00"],
        ["é", "1"],
        [chr(n) for n in range(256)],
    ],
)
def test_sorts_of_signs_in_any_parts(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    right = 0
    for sign in "".join(words).encode():
        right |= SORTS.get(sign, plain_text.OTHER)
    text = pa.array(["9" * 9, *words, "+"], pa.large_string()).slice(1, len(words))
    for part in (1, 3, 1000):
        monkeypatch.setattr(plain_text, "PART", part)
        assert alphabet_of(text) == right


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        (["1", "-20"], True),
        (["1", "020"], False),
        (["1", "-020"], False),
        (["1", "-0"], True),
        (["9" * 15, "-" + "9" * 15], True),
        (["9" * 16], False),
        (["-" + "9" * 16, "1"], False),
        (["1.5", "0." + "3" * 16], True),
        (["1.5", "-0." + "3" * 16], True),
        (["1.5", "0." + "3" * 17], False),
        (["1.5", "-0." + "3" * 17], False),
    ],
)
def test_names_made_of_digits_are_no_plain_numbers(words: list[str], *, plain: bool) -> None:
    assert (read_plain(pa.array(words, pa.large_string())) is not None) == plain
