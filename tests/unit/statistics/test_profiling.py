from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from windsock.records import ColumnKind, DriftProfile, InputField
from windsock.records.profile import MOST_CATEGORIES
from windsock.statistics.profiling import build_profile


def profile_of(values, kind: str, dtype=None):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=dtype)})
    return build_profile(frame, [InputField(name="x", kind=kind)]).columns[0]


def test_a_number_is_counted_on_both_sides_of_its_quantiles():
    values = np.random.default_rng(0).normal(size=5000)
    column = profile_of(values, "number")
    assert column.rows == 5000
    assert len(column.edges) == 255
    for position in (0, 100, 254):
        assert column.below[position] == (values < column.edges[position]).sum()
        assert column.up_to[position] == (values <= column.edges[position]).sum()
    assert column.sd == pytest.approx(values.std())
    assert column.quantiles[128] == pytest.approx(np.median(values), abs=0.02)


def test_ties_and_nulls_are_told_apart():
    column = profile_of([1.0] * 90 + [2.0] * 10 + [np.nan] * 5, "integer")
    assert (column.rows, column.nulls) == (100, 5)
    assert column.edges == (1.0, 2.0)
    assert (column.below, column.up_to) == ((0, 90), (90, 100))


def test_categories_booleans_and_dates():
    assert profile_of(["a", "b", "a", np.nan], "category", dtype=object).categories == {"a": 2, "b": 1}
    assert profile_of([1.0, 0.0, 1.0, np.nan], "boolean").categories == {"false": 1, "true": 2}
    dates = profile_of(pd.to_datetime(["2024-01-01", None]), "datetime")
    assert (dates.kind, dates.rows, dates.nulls, dates.edges) == (ColumnKind.DATETIME, 1, 1, ())


def test_too_many_categories_are_counted_together():
    names = [f"c{number}" for number in range(MOST_CATEGORIES + 500)] * 4
    column = profile_of(["top"] * 20 + names, "category", dtype=object)
    assert len(column.categories) == MOST_CATEGORIES
    assert column.categories["top"] == 20
    assert column.other == 4 * 501


def test_an_empty_column_has_nulls_only():
    column = profile_of([np.nan, np.nan], "number")
    assert (column.rows, column.nulls, column.edges, column.sd) == (0, 2, (), None)


def test_a_profile_survives_json():
    frame = pd.DataFrame({"x": [1.0, 2.0], "c": pd.Series(["é", None], dtype=object)})
    profile = build_profile(
        frame, [InputField(name="x", kind="number"), InputField(name="c", kind="category")]
    )
    assert DriftProfile.model_validate(json.loads(json.dumps(profile.model_dump(mode="json")))) == profile


def test_numbers_too_large_for_a_standard_deviation_have_none():
    assert profile_of([1e308, -1e308, 1e308], "number").sd is None


def test_the_word_that_means_true_is_kept():
    frame = pd.DataFrame({"paid": [1.0, 0.0]})
    field = InputField(name="paid", kind="boolean", true_word="Yes", false_word="No")
    assert build_profile(frame, [field]).columns[0].true_word == "Yes"


def test_one_column_needs_windows_of_68_rows():
    frame = pd.DataFrame({"x": np.arange(5000.0)})
    assert build_profile(frame, [InputField(name="x", kind="number")]).minimum_rows == 68


@pytest.mark.parametrize("kind", ["number", "category", "boolean", "datetime"])
def test_the_same_rows_give_the_same_profile(kind):
    values = {"category": ["a", "b"], "datetime": pd.to_datetime(["2024-01-01", "2024-02-01"])}
    frame = pd.DataFrame({"x": list(values.get(kind, [0.0, 1.0])) * 300})
    fields = [InputField(name="x", kind=kind)]
    assert build_profile(frame, fields) == build_profile(frame, fields)


def test_profiles_of_older_bundles_still_load():
    old = {"rows": 4, "columns": [{"name": "x", "kind": "number", "rows": 4, "nulls": 0}]}
    profile = DriftProfile.model_validate_json(json.dumps(old))
    assert (profile.minimum_rows, profile.performance, profile.score) == (0, None, None)
    assert (profile.columns[0].importance, profile.columns[0].wobble) == (None, 0.0)
