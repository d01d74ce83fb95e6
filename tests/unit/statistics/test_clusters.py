from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from windsock.records import ColumnKind, InputField
from windsock.statistics.clusters import (
    BINS,
    GROUPS,
    bin_values,
    design_effect,
    groups_of,
    rows_of_unit,
    tabulate,
)
from windsock.statistics.profiling import build_profile, describe_column

NUMBER = InputField(name="x", kind=ColumnKind.NUMBER)


def table_of(values: np.ndarray[Any, Any], units: np.ndarray[Any, Any]) -> Any:
    column = describe_column(pd.Series(values), NUMBER)
    groups = groups_of([f"u{unit}" for unit in units.tolist()])
    return tabulate(groups, bin_values(column, values, np.isnan(values)))


def units_of(count: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """Return the units of rows: 1 to 20 of each."""
    return np.repeat(np.arange(count), np.random.default_rng(seed).integers(1, 21, count))


def test_rows_of_units_that_are_all_alike_count_once_for_each() -> None:
    units = units_of(2_000)
    values = np.random.default_rng(2).normal(size=2_000)[units]
    sizes = np.bincount(units)
    expected = (sizes**2).sum() / units.size  # Kish (1965): as if a unit's rows were copies
    table = table_of(values, units)
    found = design_effect(table, ordered=True)
    assert found is not None
    assert 0.8 * expected < found < 1.6 * expected
    assert rows_of_unit(table) == pytest.approx(expected, rel=0.4)


def test_independent_rows_count_in_full_whatever_their_units() -> None:
    units = units_of(500)
    table = table_of(np.random.default_rng(2).normal(size=units.size), units)
    assert design_effect(table, ordered=True) == pytest.approx(1.0, abs=0.35)


def test_half_alike_is_between() -> None:
    units, draw = units_of(4_000), np.random.default_rng(6)
    values = draw.normal(size=4_000)[units] + draw.normal(size=units.size)
    found = design_effect(table_of(values, units), ordered=True)
    assert found is not None
    assert 3 < found < 9


@pytest.mark.parametrize("alike", [0.3, 1.0])
@pytest.mark.parametrize("heavy", [(2_000,), (1_000, 1_000)])
def test_a_heavy_unit_is_not_held_against_itself(heavy: tuple[int, ...], alike: float) -> None:
    """By Kish (1965) the rows say as much as few: with one unit of two thirds, as 2.2 / ``alike`` do."""
    draw, few = np.random.default_rng(4), 0
    sizes = np.append(heavy, np.ones(1_000, dtype=int))
    for start in range(0, 40_000, 2_000):
        units = np.repeat(np.arange(sizes.size), sizes)
        own = draw.normal(size=sizes.size)[units]
        values = np.sqrt(alike) * own + np.sqrt(1 - alike) * draw.normal(size=units.size)
        found = design_effect(table_of(values, units + start), ordered=True)
        assert found is not None
        few += units.size / found < 30
    assert few >= 17  # of 20


def test_tables_of_parts_add_up() -> None:
    units = units_of(300)
    values = np.random.default_rng(2).normal(size=units.size)
    column = describe_column(pd.Series(values), NUMBER)
    groups = groups_of([f"u{unit}" for unit in units.tolist()])
    bins = bin_values(column, values, np.isnan(values))
    half = units.size // 2
    parts = tabulate(groups[:half], bins[:half]) + tabulate(groups[half:], bins[half:])
    assert (parts == tabulate(groups, bins)).all()
    assert parts.shape == (GROUPS, BINS)


def test_where_nothing_can_differ_nothing_is_known() -> None:
    one_unit = table_of(np.arange(50.0), np.zeros(50, dtype=int))
    assert design_effect(one_unit, ordered=True) is None
    assert rows_of_unit(one_unit) == pytest.approx(50)
    constant = table_of(np.ones(60), np.arange(60))
    assert design_effect(constant, ordered=True) is None
    assert rows_of_unit(np.zeros((GROUPS, BINS))) == 1.0


def test_groups_are_the_same_everywhere() -> None:
    assert groups_of(["", "u1", "Jürgen"]).tolist() == [0, 63, 7]


class TestProfile:
    def features(self) -> tuple[pd.DataFrame, list[str]]:
        units = units_of(400)
        draw = np.random.default_rng(3)
        frame = pd.DataFrame(
            {
                "x": draw.normal(size=400)[units],
                "y": draw.normal(size=units.size),
                "c": draw.choice(list("ab"), 400)[units],
            }
        )
        return frame, [f"u{unit}" for unit in units.tolist()]

    def test_training_rows_that_share_entities(self) -> None:
        frame, entities = self.features()
        fields = [NUMBER, NUMBER.model_copy(update={"name": "y"}), InputField(name="c", kind="category")]
        shared = build_profile(frame, fields, entities=entities)
        effects = {column.name: column.design_effect for column in shared.columns}
        assert effects["x"] > 6
        assert effects["y"] < 1.5
        assert effects["c"] > 6
        own = build_profile(frame, fields, entities=[f"{number}" for number in range(len(frame))])
        assert {column.design_effect for column in own.columns} == {1.0}
