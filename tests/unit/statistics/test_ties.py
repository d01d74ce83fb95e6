from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from windsock.records import ColumnKind, ColumnProfile, InputField
from windsock.statistics.counting import count_numbers
from windsock.statistics.distances import ks_interval, wasserstein
from windsock.statistics.profiling import describe_column
from windsock.statistics.ties import cuts_of, is_constant, snap, snap_to

SCALES = [1e-9, 1.0, 1e9]


def described(values: list[float], kind: ColumnKind = ColumnKind.NUMBER) -> ColumnProfile:
    return describe_column(pd.Series(values, dtype="float64"), InputField(name="x", kind=kind))


def distance(column: ColumnProfile, window: list[float]) -> float:
    return ks_interval(column, count_numbers(column, np.array(window)))[1]


@pytest.mark.parametrize("scale", SCALES)
class TestScale:
    def test_a_constant_is_one_value_but_for_the_last_digits(self, scale: float) -> None:
        value = 0.1234567891234
        column = described([value * scale] * 300)
        for noisy in (value + 1e-10, value - 1e-10, float(np.float32(value))):
            window = [noisy * scale] * 200
            assert distance(column, window) == 0.0
            assert wasserstein(column, count_numbers(column, np.array(window))) is None
        assert distance(column, [0.1235 * scale] * 200) == 1.0

    def test_a_constant_with_noise_in_training(self, scale: float) -> None:
        draw = np.random.default_rng(1)
        column = described((0.1 * scale * (1 + 1e-10 * draw.normal(size=300))).tolist())
        assert len(column.edges) == 1
        assert distance(column, [0.1 * scale * (1 + 3e-10)] * 200) == 0.0

    def test_steps_with_noise(self, scale: float) -> None:
        draw = np.random.default_rng(2)
        steps = draw.choice([0.0, 0.1, 0.25], 3_000)
        column = described((scale * steps * (1 + 1e-9 * draw.normal(size=3_000))).tolist())
        assert len(column.edges) == 3
        noisy = scale * draw.choice([0.0, 0.1, 0.25], 3_000) * (1 - 5e-9)
        assert distance(column, noisy.tolist()) < 0.05

    def test_numbers_that_differ_are_counted_exactly(self, scale: float) -> None:
        values = scale * np.random.default_rng(3).normal(size=2_000)
        column = described(values.tolist())
        cuts = cuts_of(column)
        assert (cuts.lower == cuts.upper).all()
        assert (snap(np.sort(values)) == np.sort(values)).all()


def test_a_tenth_is_a_tenth() -> None:
    assert distance(described([0.1] * 300), [0.1000000001] * 200) == 0.0
    assert distance(described([1.0] * 300), [1.0000000001] * 200) == 0.0


def test_whole_numbers_are_exact() -> None:
    large = [1e9 + number for number in range(5)] * 100
    for kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        column = described(large, kind)
        assert len(column.edges) == 5
        assert distance(column, [1e9 + 5] * 100) == 1.0


def test_a_tolerance_never_reaches_the_next_value() -> None:
    column = described([1e8 + 0.25, 1e8 + 0.5] * 100)
    cuts = cuts_of(column)
    assert (cuts.upper[:-1] < cuts.lower[1:]).all()


def test_zeros_beside_large_numbers() -> None:
    column = described([0.0] * 500 + [5_000.5 + number for number in range(500)])
    assert distance(column, [1.0] * 500 + [5_000.5 + number for number in range(500)]) == 0.5
    assert distance(described([0.0] * 100), [1e-17] * 100) == 0.0


def test_samples_are_snapped_to_the_values_of_the_profile() -> None:
    column = described([0.1] * 100 + [0.2] * 100)
    values = np.array([0.1000000001, 0.2, 0.15, -3.0, 9.0])
    assert snap_to(column, values).tolist() == [0.1, 0.2, 0.15, -3.0, 9.0]


def test_one_value_is_constant_beside_what_varies() -> None:
    assert is_constant(0.1, 0.1000000001, 0.5)
    assert not is_constant(1e9, 1e9 + 4, 1.0)
    assert not is_constant(None, None, 1.0)
