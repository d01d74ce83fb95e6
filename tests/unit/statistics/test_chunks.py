from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from windsock.records import ColumnKind, InputField
from windsock.statistics import chunks
from windsock.statistics.chunks import find_minimum_rows, least_reference, smallest_window
from windsock.statistics.distances import ks_by_chance
from windsock.statistics.profiling import describe_column


def described(**columns):
    """Return profiles and features: numbers, text or booleans by the columns' types."""
    frame = pd.DataFrame(columns)
    kinds = {"O": ColumnKind.CATEGORY, "M": ColumnKind.DATETIME}
    fields = [
        InputField(name=name, kind=kinds.get(frame[name].dtype.kind, ColumnKind.NUMBER)) for name in frame
    ]
    return [describe_column(frame[field.name], field) for field in fields], frame


def texts(values) -> pd.Series:
    return pd.Series([f"c{value}" for value in values], dtype=object)


class TestTheSmallestWindow:
    def test_the_number_for_fifty_columns_and_a_long_reference(self):
        assert smallest_window(50, 10**9) == 116  # 115.1, rounded up

    @pytest.mark.parametrize(("columns", "reference"), [(1, 300), (19, 5561), (50, 20_000)])
    def test_a_shift_of_a_fifth_is_just_significant_in_it(self, columns, reference):
        rows = smallest_window(columns, reference)
        level = {"comparisons": columns, "alpha": 0.01}
        assert ks_by_chance(rows, reference, **level) <= 0.2 < ks_by_chance(rows - 1, reference, **level)

    @pytest.mark.parametrize(("columns", "reference"), [(1, 70), (1, 90), (50, 150)])
    def test_a_short_reference_asks_for_long_windows_however_long(self, columns, reference):
        rows = smallest_window(columns, reference)
        assert rows > reference
        level = {"comparisons": columns, "alpha": 0.01}
        assert ks_by_chance(rows, reference, **level) <= 0.2 < ks_by_chance(rows - 1, reference, **level)

    def test_beside_too_few_rows_no_window_is_long_enough(self):
        assert least_reference(50) == pytest.approx(115.1, abs=0.05)
        assert ks_by_chance(10**9, 115, comparisons=50, alpha=0.01) > 0.2
        assert smallest_window(50, 20) == smallest_window(50, 115) == 116

    def test_nothing_to_look_at(self):
        assert smallest_window(0, 100) == smallest_window(3, 0) == 0


class TestMinimumRows:
    def test_columns_without_any_trouble_keep_the_smallest_window(self):
        generator = np.random.default_rng(0)
        columns = {f"x{place}": generator.normal(size=4000) for place in range(10)}
        profiles, frame = described(**columns, city=texts(generator.integers(0, 8, 4000)))
        assert find_minimum_rows(profiles, frame) == smallest_window(11, 4000)

    def test_it_is_doubled_while_the_reference_itself_alarms(self, monkeypatch):
        profiles, frame = described(x=np.random.default_rng(0).normal(size=2000))
        asked: list[int] = []

        def alarms(measures, part):
            asked.append(part.size)
            return part.size < 200

        monkeypatch.setattr(chunks, "_alarms", alarms)
        first = smallest_window(1, 2000)
        assert find_minimum_rows(profiles, frame) == 4 * first
        assert [asked.count(size) for size in (first, 2 * first, 4 * first)] == [40, 40, 40]

    def test_doubling_ends_at_half_of_the_reference(self, monkeypatch):
        monkeypatch.setattr(chunks, "_alarms", lambda measures, part: True)
        profiles, frame = described(x=np.random.default_rng(0).normal(size=1000))
        assert 500 < find_minimum_rows(profiles, frame) <= 1000

    def test_a_chunk_of_another_kind_does_alarm(self):
        """The rule that is tried can reject: what it is tried on is no drift by construction."""
        generator = np.random.default_rng(0)
        values = np.sort(generator.normal(size=2000))
        profiles, frame = described(x=values, c=texts((values > 0).astype(int)))
        for measure in chunks._measures(profiles, frame).values():
            assert chunks._alarms([measure], np.arange(120))
            assert not chunks._alarms([measure], generator.choice(2000, 120, replace=False))

    @pytest.mark.parametrize(
        "odd",
        [
            {"x": np.full(500, np.nan)},
            {"x": np.ones(500)},
            {"c": pd.Series([None] * 500, dtype=object)},
            {"d": pd.date_range("2024-01-01", periods=500)},
            {"c": texts(range(500))},
            {"c": texts([0] * 500)},
        ],
        ids=["null", "constant", "null text", "dates", "different texts", "one text"],
    )
    def test_columns_that_say_nothing(self, odd):
        profiles, frame = described(**odd)
        assert find_minimum_rows(profiles, frame) in (0, smallest_window(1, 500))

    def test_no_rows(self):
        profiles, frame = described(x=np.array([]))
        assert find_minimum_rows(profiles, frame) == 0
