from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from windsock.adapters.log_leaves import FEATURES, Leaf
from windsock.adapters.window_counts.plan import Plan
from windsock.adapters.window_counts.units import UNIT, tables_of
from windsock.records import ColumnKind, InputField
from windsock.records.values import LARGEST
from windsock.statistics.clusters import bin_values, groups_of, tabulate
from windsock.statistics.profiling import build_profile

FIELD = InputField(name="x", kind=ColumnKind.NUMBER)
UNITS = ["ann", "bob", "Zoë", "李"]


@pytest.mark.parametrize(
    "logged",
    [
        [None, float("nan"), -1.0, 0.0, 1.0, 2.5, 3.0, 99.0, float("inf"), -float("inf"), 2 * LARGEST],
        [None, -3, 0, 1, 2, 3, 4, 9, 2**60],
        [4, 5, 6],
        [1.0, 1.0000000001, 2.0, 3.0],
    ],
    ids=["floats", "integers", "no nulls", "ties"],
)
def test_numbers_fall_into_the_bins_of_the_profile(logged: list[float | None]) -> None:
    trained = pd.DataFrame({"x": np.random.default_rng(1).poisson(3, 500).astype(float)})
    plan = Plan("b" * 64, build_profile(trained, [FIELD]))
    rows = len(logged)
    units = [UNITS[place % len(UNITS)] for place in range(rows)]
    batch = pa.record_batch(
        {
            UNIT: pa.array(units),
            FEATURES: pa.StructArray.from_arrays([pa.array(logged)], names=["x"]),
        }
    )
    leaf = Leaf.INTEGER if pa.types.is_integer(batch.column(1).field("x").type) else Leaf.NUMBER
    made = tables_of(batch, {"x": leaf}, plan)
    values = np.array([np.nan if one is None else one for one in logged], dtype="float64")
    missing = ~(np.abs(values) <= LARGEST)
    expected = tabulate(groups_of(units), bin_values(plan.profile.columns[0], values, missing))
    assert made is not None
    assert (made.columns["x"] == expected).all()
