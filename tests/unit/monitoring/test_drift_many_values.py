"""Categories of many values, constants, and rows of the same unit, through the rule that judges windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from support.drift_windows import count_frame
from windsock.monitoring.drift_columns import judge_columns
from windsock.records import ColumnDrift, ColumnKind, DriftProfile, InputField, Status
from windsock.spec import DriftBlock
from windsock.statistics.clusters import bin_values, groups_of, tabulate
from windsock.statistics.counting import NUMERIC
from windsock.statistics.profiling import build_profile

TEXT, NUMBER = (
    InputField(name="c", kind=ColumnKind.CATEGORY),
    InputField(name="x", kind=ColumnKind.NUMBER),
)
RULE = DriftBlock()


def drawn(rows: int, seed: int, *, values: int = 10_000, exponent: float = 1.1) -> pd.DataFrame:
    shares = np.arange(1, values + 1) ** -exponent
    draw = np.random.default_rng(seed)
    codes = draw.choice(values, rows, p=shares / shares.sum())
    return pd.DataFrame({"c": np.array([f"m{code}" for code in codes.tolist()], dtype=object)})


def column_of(profile: DriftProfile, frame: pd.DataFrame) -> ColumnDrift:
    return judge_columns(profile, count_frame(profile, frame), RULE).columns[0]


class TestManyValues:
    PROFILE = build_profile(drawn(4_000, 1), [TEXT])

    @pytest.mark.parametrize("rows", [300, 5_000])
    def test_without_drift_it_passes(self, rows: int) -> None:
        found = [column_of(self.PROFILE, drawn(rows, seed)) for seed in range(2, 22)]
        assert sum(column.status is Status.FAIL for column in found) <= 1
        assert all((column.effect or 0) < 0.15 for column in found)

    def test_what_is_expected_without_a_name_is_told(self) -> None:
        column = column_of(self.PROFILE, drawn(5_000, 2))
        assert column.unseen_share == pytest.approx(column.reference_unseen_share, abs=0.03)
        assert column.reference_unseen_share is not None
        assert column.reference_unseen_share > 0.2
        assert "unseen" not in column.findings

    @pytest.mark.parametrize("value", ["never seen", "m7000"])
    def test_one_value_that_takes_over(self, value: str) -> None:
        frame = drawn(1_000, 2)
        frame.loc[:54, "c"] = value
        column = column_of(self.PROFILE, frame)
        assert column.status is Status.FAIL
        assert "one_value" in column.findings
        assert value not in column.model_dump_json()

    def test_one_value_beside_many_that_are_all_known(self) -> None:
        profile = build_profile(drawn(20_000, 1, values=1_000, exponent=0), [TEXT])
        assert profile.columns[0].many is None
        frame = drawn(1_000, 2, values=1_000, exponent=0)
        assert column_of(profile, frame).status is Status.PASS
        frame.loc[:49, "c"] = "never seen"
        assert column_of(profile, frame).status is Status.FAIL

    def test_another_law_has_drifted(self) -> None:
        assert column_of(self.PROFILE, drawn(1_000, 2, exponent=1.6)).status is Status.FAIL

    def test_a_profile_of_before_says_no_worse_than_chance(self) -> None:
        frame = drawn(4_000, 1, exponent=1.6)
        new = build_profile(frame, [TEXT])
        counts = frame["c"].value_counts()
        old = new.columns[0].model_copy(
            update={
                "many": None,
                "seen_once": None,
                "seen_twice": None,
                "categories": {str(name): int(count) for name, count in counts.items()},
                "other": 0,
            }
        )
        profile = new.model_copy(update={"columns": (old,)})
        windows = [drawn(1_000, seed, exponent=1.6) for seed in range(2, 42)]
        assert sum(column_of(profile, window).status is Status.FAIL for window in windows) <= 2
        taken = windows[0].copy()
        taken.loc[:99, "c"] = "never seen"
        assert column_of(profile, taken).status is Status.FAIL


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_a_constant_with_float_noise_has_not_drifted(scale: float) -> None:
    value = 0.1234567891 * scale
    profile = build_profile(pd.DataFrame({"x": np.full(2_000, value)}), [NUMBER])
    same = column_of(profile, pd.DataFrame({"x": np.full(1_000, value * (1 + 1e-9))}))
    assert (same.status, same.effect) == (Status.PASS, 0.0)
    other = column_of(profile, pd.DataFrame({"x": np.full(1_000, value * 1.01)}))
    assert other.status is Status.FAIL


class TestUnits:
    """Users with 1 to 20 rows each; what is seen of them is the user's own."""

    def users(self, count: int, seed: int, shift: float = 0.0) -> tuple[pd.DataFrame, list[str]]:
        draw = np.random.default_rng(seed)
        of = np.repeat(np.arange(count), draw.integers(1, 21, count))
        frame = pd.DataFrame(
            {"x": draw.normal(shift, size=count)[of], "c": draw.choice(list("abcdef"), count)[of]}
        )
        return frame, [f"{seed}-{user}" for user in of.tolist()]

    def profile(self) -> DriftProfile:
        frame, entities = self.users(3_000, 1)
        return build_profile(frame, [NUMBER, TEXT], entities=entities)

    def judged(
        self, profile: DriftProfile, frame: pd.DataFrame, units: list[str] | None
    ) -> list[ColumnDrift]:
        counts = count_frame(profile, frame)
        if units is not None:
            groups, columns = groups_of(units), {}
            for column in profile.columns:
                values = frame[column.name].to_numpy()
                bins = bin_values(column, values, pd.isna(values))
                columns[column.name] = replace(counts.columns[column.name], groups=tabulate(groups, bins))
            counts = replace(counts, columns=columns)
        return list(judge_columns(profile, counts, RULE).columns)

    def test_windows_are_judged_by_units(self) -> None:
        profile = self.profile()
        by_units = by_rows = 0
        for seed in range(102, 132):
            frame, units = self.users(200, seed)
            columns = self.judged(profile, frame, units)
            by_units += any(column.status is Status.FAIL for column in columns)
            by_rows += any(column.status is Status.FAIL for column in self.judged(profile, frame, None))
            assert all((column.effective_rows or 0) < 400 for column in columns)
        assert by_units <= 2
        assert by_rows >= 10

    def test_a_shift_is_found_all_the_same(self) -> None:
        frame, units = self.users(500, 40, shift=1.0)
        found = self.judged(self.profile(), frame, units)[0]
        assert (found.name, found.status) == ("x", Status.FAIL)

    def test_rows_of_a_few_units_say_little(self) -> None:
        frame, units = self.users(12, 3, shift=3.0)
        for column in self.judged(self.profile(), frame, units):
            if column.kind in NUMERIC and column.status is not Status.FAIL:
                assert "few_units" in column.findings

    def test_one_unit_alone_says_nothing(self) -> None:
        frame, _ = self.users(40, 3)
        for column in self.judged(self.profile(), frame, ["only"] * len(frame)):
            assert column.status is Status.INSUFFICIENT
            assert "few_units" in column.findings
