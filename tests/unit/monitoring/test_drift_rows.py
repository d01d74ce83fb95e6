from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from support.drift_windows import FIELDS, count_frame, draw_frame, profile_of
from windsock.monitoring.drift_rows import Samples, decide_exactly, exact_tests, to_schema
from windsock.monitoring.drift_tests import RowTest
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.statistics.clusters import bin_values, groups_of, tabulate
from windsock.statistics.distances import ks_interval
from windsock.statistics.significance import chi_square

SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)
REFERENCE, MOVED = draw_frame(3_000), draw_frame(2_000, 2, shift=0.5)
PROFILE = profile_of(REFERENCE)


def exactly(current: pd.DataFrame, **changed: Any) -> dict[str, RowTest]:
    counts = replace(count_frame(PROFILE, current), **changed)
    return exact_tests(Samples(reference=REFERENCE, current=current), PROFILE, counts)


def test_rows_of_a_snapshot_are_typed_as_training_saw_them() -> None:
    fields = (
        InputField(name="age", kind=ColumnKind.NUMBER),
        InputField(name="member", kind=ColumnKind.BOOLEAN, true_word="Yes", false_word="No"),
        InputField(name="plan", kind=ColumnKind.CATEGORY),
        InputField(name="joined", kind=ColumnKind.DATETIME),
        InputField(name="gone", kind=ColumnKind.NUMBER),
    )
    frame = pd.DataFrame(
        {
            "plan": [3.0, "basic", None],
            "age": ["41.5", np.inf, "?"],
            "member": ["Yes", "No", None],
            "joined": ["2026-03-01T10:00:00Z", None, "2026-03-02"],
        },
        index=[7, 8, 9],
    )
    typed = to_schema(frame, InputSchema(model="churn", fields=fields, answer=Answer.NUMBER))
    assert typed["age"].tolist()[0] == 41.5
    assert typed["age"].isna().tolist() == [False, True, True]
    assert typed["member"].tolist()[:2] == [1.0, 0.0]
    assert typed["plan"].tolist()[:2] == ["3", "basic"]
    assert typed["joined"].notna().tolist() == [True, False, True]
    assert typed["gone"].isna().all()
    assert typed.index.tolist() == [0, 1, 2]


def test_booleans_may_be_booleans() -> None:
    typed = to_schema(pd.DataFrame({"member": [True, False, None]}), SCHEMA)["member"]
    assert typed.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(typed.iloc[2])


def test_exact_tests_are_those_of_scipy() -> None:
    found = exactly(MOVED)
    assert set(found) == {"age", "visits", "plan", "member"}
    age = ks_2samp(REFERENCE["age"], MOVED["age"], method="asymp")
    assert found["age"] == (pytest.approx(age.statistic), pytest.approx(age.pvalue))
    sides = [side["plan"].value_counts().sort_index().tolist() for side in (REFERENCE, MOVED)]
    expected = chi_square(*sides)
    assert expected is not None
    assert found["plan"] == (pytest.approx(expected.cramers_v), pytest.approx(expected.p))


def test_new_and_missing_categories_are_categories() -> None:
    current = draw_frame(2_000, 2)
    current.loc[:99, "plan"] = "new"
    current.loc[100:199, "plan"] = None
    found = exactly(current)
    assert found["plan"].p < 1e-20


def test_columns_without_values_are_left_to_counts() -> None:
    current = MOVED.assign(age=np.nan, plan=None)
    assert not {"age", "plan"} & set(exactly(current))


def test_a_sample_decides_within_the_bounds() -> None:
    profile = profile_of(REFERENCE)
    counts = count_frame(profile, MOVED)
    low, high = ks_interval(profile.columns[0], counts.columns["age"])
    exact = ks_2samp(REFERENCE["age"], MOVED["age"]).statistic
    every = decide_exactly(profile, counts, ("age",), Samples(reference=REFERENCE, current=MOVED))
    assert every["age"].effect == pytest.approx(exact)
    for part, bound in ((MOVED.nlargest(200, "age"), high), (draw_frame(200, 3), low)):
        some = decide_exactly(profile, counts, ("age",), Samples(reference=REFERENCE, current=part))
        assert some["age"].effect == bound
    nothing = MOVED.assign(age=np.nan)
    assert decide_exactly(profile, counts, ("age",), Samples(reference=REFERENCE, current=nothing)) == {}


def test_samples_of_a_constant_are_compared_with_a_tolerance() -> None:
    frames = REFERENCE.assign(age=0.1), MOVED.assign(age=0.1000000001)
    profile = profile_of(frames[0])
    samples = Samples(reference=frames[0], current=frames[1])
    assert exact_tests(samples, profile, count_frame(profile, frames[1]))["age"] == (0.0, 1.0)


def test_rows_of_a_few_units_are_weaker_evidence() -> None:
    counts = count_frame(PROFILE, MOVED)
    draw = np.random.default_rng(1)
    units = groups_of([f"u{number}" for number in range(100)] * 20)
    own = draw.normal(size=100)
    current = MOVED.assign(age=40 + 10 * np.tile(own, 20))
    bins = bin_values(PROFILE.columns[0], current["age"].to_numpy(), np.zeros(2_000, dtype=bool))
    age = replace(count_frame(PROFILE, current).columns["age"], groups=tabulate(units, bins))
    rows, by_units = exactly(current), exactly(current, columns={**counts.columns, "age": age})
    assert by_units["age"].effect == rows["age"].effect
    assert by_units["age"].p > 1_000 * rows["age"].p
