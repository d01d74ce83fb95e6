from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from support.drift_windows import count_frame, draw_frame, profile_of
from windsock.monitoring.drift_columns import judge_columns, minimum_rows
from windsock.monitoring.drift_tests import RowTest
from windsock.records import ColumnDrift, ColumnProfile, DriftProfile, Status
from windsock.spec import DriftBlock
from windsock.statistics.counting import ColumnCounts, WindowCounts, count_numbers
from windsock.statistics.distances import ks_interval

REFERENCE = draw_frame(20_000)
PROFILE = profile_of(REFERENCE)
RULE = DriftBlock()


def judged(frame: pd.DataFrame, *, profile: DriftProfile = PROFILE, **rule: Any) -> dict[str, ColumnDrift]:
    found = judge_columns(profile, count_frame(profile, frame), DriftBlock(**rule))
    return {column.name: column for column in found.columns}


def judged_counts(**changed: ColumnCounts) -> dict[str, ColumnDrift]:
    """Judge a window of undrifted rows in which some columns' counts are replaced."""
    counts = count_frame(PROFILE, draw_frame(2_000, 2))
    found = judge_columns(PROFILE, replace(counts, columns={**counts.columns, **changed}), RULE)
    return {column.name: column for column in found.columns}


def with_column(name: str, values: Any, rows: int = 2_000) -> pd.DataFrame:
    frame = draw_frame(rows, 2)
    frame[name] = values
    return frame


class TestTheRule:
    def test_rows_from_the_same_source_have_not_drifted(self) -> None:
        window = draw_frame(5_000, 2)
        columns = judged(window)
        assert {column.status for column in columns.values()} == {Status.PASS}
        assert not any(column.findings for column in columns.values())
        bounds = columns["age"].effect_interval
        exact = ks_2samp(REFERENCE["age"], window["age"]).statistic
        assert bounds is not None
        assert bounds.low <= exact <= bounds.high
        assert columns["age"].wasserstein == pytest.approx(0, abs=0.1)

    def test_a_shift_is_found_where_it_is(self) -> None:
        columns = judged(draw_frame(2_000, 2, shift=0.5))
        age = columns.pop("age")
        assert (age.status, age.rejected, age.limit) == (Status.FAIL, True, 0.05)
        assert age.effect == pytest.approx(0.197, abs=0.03)  # of the books: 2 F(0.25) - 1
        assert age.wasserstein == pytest.approx(0.5, abs=0.1)
        assert age.psi > 0.15
        assert {column.status for column in columns.values()} == {Status.PASS}

    def test_however_sure_a_small_shift_is_none(self) -> None:
        age = judged(draw_frame(100_000, 2, shift=0.06))["age"]
        assert (age.status, age.rejected) == (Status.PASS, True)
        assert 0.01 < age.effect < 0.05

    def test_however_large_chance_is_none(self) -> None:
        frame = draw_frame(60, 12)
        found = judged(frame, minimum_rows=30)
        effects = [column.effect for column in found.values() if column.limit == 0.05]
        assert max(effects) > 0.05
        assert {column.status for column in found.values()} == {Status.PASS}

    @pytest.mark.parametrize("shift", [0.08, 0.1, 0.12, 0.125, 0.13, 0.15, 0.2])
    @pytest.mark.parametrize("rows", [1_000, 20_000])
    def test_counts_say_what_all_rows_say(self, shift: float, rows: int) -> None:
        window = draw_frame(rows, 3, shift=shift)
        age = judged(window)["age"]
        exact = ks_2samp(REFERENCE["age"], window["age"])
        assert "undecided" in age.findings or (age.status is Status.FAIL) == (
            exact.statistic >= 0.05 and exact.pvalue <= RULE.q / 5  # one of five tests
        )

    def test_a_column_that_always_wobbles_has_a_wider_limit(self) -> None:
        wobbly = PROFILE.columns[0].model_copy(update={"wobble": 0.3})
        profile = PROFILE.model_copy(update={"columns": (wobbly, *PROFILE.columns[1:])})
        age = judged(draw_frame(2_000, 2, shift=0.5), profile=profile)["age"]
        assert (age.status, age.limit, age.rejected) == (Status.PASS, 0.3, True)

    def test_limits_are_those_of_the_spec(self) -> None:
        window = draw_frame(20_000, 2, shift=0.06)
        assert judged(window)["age"].status is Status.PASS
        assert judged(window, ks=0.01)["age"].status is Status.FAIL
        changed = with_column("plan", np.random.default_rng(4).choice(["basic", "plus", "pro"], 2_000))
        assert judged(changed)["plan"].status is Status.FAIL
        assert judged(changed, cramers_v=0.3)["plan"].status is Status.PASS


class TestBounds:
    def window(self) -> tuple[pd.DataFrame, float, float]:
        frame = draw_frame(20_000, 2, shift=0.15)
        low, high = ks_interval(PROFILE.columns[0], count_frame(PROFILE, frame).columns["age"])
        assert low < high
        return frame, low, high

    def test_between_the_bounds_a_column_is_open_and_the_middle_decides(self) -> None:
        frame, low, high = self.window()
        for limit, status in ((low * 0.6 + high * 0.4, Status.FAIL), (low * 0.4 + high * 0.6, Status.PASS)):
            found = judge_columns(PROFILE, count_frame(PROFILE, frame), DriftBlock(ks=limit))
            assert found.undecided == ("age",)
            assert found.columns[0].status is status

    def test_outside_of_the_bounds_counts_decide(self) -> None:
        frame, low, high = self.window()
        for limit, status in ((low - 1e-9, Status.FAIL), (high + 1e-9, Status.PASS)):
            found = judge_columns(PROFILE, count_frame(PROFILE, frame), DriftBlock(ks=limit))
            assert found.undecided == ()
            assert found.columns[0].status is status

    def test_rows_decide_what_counts_cannot(self) -> None:
        frame, low, high = self.window()
        rule, counts = DriftBlock(ks=(low + high) / 2), count_frame(PROFILE, frame)
        for effect, status in ((low, Status.PASS), (high, Status.FAIL)):
            found = judge_columns(PROFILE, counts, rule, tested={"age": RowTest(effect, 1e-9)})
            assert found.undecided == ()
            assert found.columns[0].status is status
            assert found.columns[0].effect_interval is None

    def test_an_open_p_value_is_open_too(self) -> None:
        frame = draw_frame(700, 5, shift=0.14)
        low, high = ks_interval(PROFILE.columns[0], count_frame(PROFILE, frame).columns["age"])
        p_low, p_high = (ks_p_of(PROFILE.columns[0], 700, distance) for distance in (high, low))
        between = 5 * (p_low + p_high) / 2  # one of five tests: rejected up to q / 5
        found = judge_columns(PROFILE, count_frame(PROFILE, frame), DriftBlock(q=between, ks=0.01))
        assert "age" in found.undecided


def ks_p_of(column: ColumnProfile, rows: int, distance: float) -> float:
    from windsock.statistics.significance import ks_p

    return ks_p(distance, column.rows, rows)


class TestMissingValues:
    def test_a_column_without_values_has_drifted(self) -> None:
        for name in ("age", "visits", "plan", "member", "joined"):
            missing = pd.NaT if name == "joined" else None if name == "plan" else np.nan
            column = judged(with_column(name, missing))[name]
            assert (column.status, column.rows, column.null_share) == (Status.FAIL, 0, 1.0), name
            assert "all_null" in column.findings

    def test_values_that_begin_to_be_missing(self) -> None:
        frame = draw_frame(2_000, 2)
        frame.loc[:199, "age"] = np.nan
        age = judged(frame)["age"]
        assert (age.status, age.null_share, age.reference_null_share) == (Status.FAIL, 0.1, 0.0)
        assert "nulls" in age.findings
        assert age.effect_interval is None

    def test_as_many_missing_values_as_in_training_are_none(self) -> None:
        reference = REFERENCE.copy()
        reference.loc[reference.index % 5 == 0, "age"] = np.nan
        frame = draw_frame(2_000, 2)
        frame.loc[frame.index % 5 == 1, "age"] = np.nan
        assert judged(frame, profile=profile_of(reference))["age"].status is Status.PASS

    def test_a_column_that_never_had_values(self) -> None:
        profile = profile_of(REFERENCE.assign(age=np.nan))
        still = judged(with_column("age", np.nan), profile=profile)["age"]
        assert (still.status, still.findings) == (Status.PASS, ("all_null",))
        assert judged(draw_frame(2_000, 2), profile=profile)["age"].status is Status.FAIL

    def test_a_few_values_say_little_unless_they_used_to_be_many(self) -> None:
        seldom = REFERENCE.copy()
        seldom.loc[seldom.index % 200 != 0, "age"] = np.nan
        frame = draw_frame(2_000, 2)
        frame.loc[frame.index % 200 != 0, "age"] = np.nan
        age = judged(frame, profile=profile_of(seldom))["age"]
        assert (age.status, age.rows, age.findings) == (Status.INSUFFICIENT, 10, ("few_values",))
        assert judged(frame)["age"].status is Status.FAIL


class TestOddColumns:
    def test_a_field_that_no_row_has(self) -> None:
        age = judged(draw_frame(2_000, 2).drop(columns="age"))["age"]
        assert age.status is Status.FAIL
        assert "absent" in age.findings

    @pytest.mark.parametrize(("own", "status"), [(0, Status.INSUFFICIENT), (10, Status.FAIL)])
    def test_rows_of_other_versions_say_nothing_of_a_field_they_lack(self, own: int, status: Status) -> None:
        frame = draw_frame(2_000, 2).drop(columns="age")
        scores = ColumnCounts(rows=own, nulls=0)
        counts = count_frame(PROFILE, frame, scores=scores)
        found = judge_columns(PROFILE, counts, RULE)
        assert found.columns[0].status is status

    def test_a_field_that_some_rows_lack_is_judged_on_the_others(self) -> None:
        counts = count_numbers(PROFILE.columns[0], draw_frame(1_500, 2)["age"].to_numpy())
        age = judged_counts(age=replace(counts, absent=500))["age"]
        assert (age.status, age.null_share, age.findings) == (Status.PASS, 0.0, ("absent",))

    def test_values_that_cannot_be_read_leave_no_verdict_but_drift(self) -> None:
        calm = count_numbers(PROFILE.columns[0], draw_frame(1_500, 2)["age"].to_numpy())
        moved = count_numbers(PROFILE.columns[0], draw_frame(1_500, 2, shift=1.0)["age"].to_numpy())
        few, many = (
            judged_counts(age=replace(calm, unreadable=20)),
            judged_counts(age=replace(calm, unreadable=500)),
        )
        assert (few["age"].status, few["age"].findings) == (Status.PASS, ("unreadable",))
        assert (many["age"].status, many["age"].findings) == (Status.ERROR, ("unreadable",))
        assert judged_counts(age=replace(moved, unreadable=500))["age"].status is Status.FAIL
        assert (
            judged_counts(age=ColumnCounts(rows=0, nulls=0, unreadable=2_000))["age"].status is Status.ERROR
        )

    def test_a_column_that_was_not_counted(self) -> None:
        counts = count_frame(PROFILE, draw_frame(2_000, 2))
        without = {name: column for name, column in counts.columns.items() if name != "plan"}
        found = judge_columns(PROFILE, replace(counts, columns=without), RULE)
        plan = next(column for column in found.columns if column.name == "plan")
        assert (plan.status, plan.findings) == (Status.ERROR, ("uncounted",))

    def test_one_and_the_same_value(self) -> None:
        assert judged(with_column("age", 40.0))["age"].status is Status.FAIL
        assert "constant" in judged(with_column("age", 40.0))["age"].findings
        plan = judged(with_column("plan", "basic"))["plan"]
        assert (plan.status, set(plan.findings)) == (Status.FAIL, {"constant", "vanished"})

    def test_what_was_constant_in_training_may_stay_so(self) -> None:
        profile = profile_of(REFERENCE.assign(age=1.0, plan="basic"))
        same = judged(draw_frame(2_000, 2).assign(age=1.0, plan="basic"), profile=profile)
        assert same["age"].status is same["plan"].status is Status.PASS
        assert same["age"].findings == same["plan"].findings == ()
        assert judged(draw_frame(2_000, 2), profile=profile)["age"].status is Status.FAIL

    def test_a_category_that_vanished(self) -> None:
        draw = np.random.default_rng(6).choice(["basic", "plus"], 2_000, p=[0.625, 0.375])
        plan = judged(with_column("plan", draw))["plan"]
        assert (plan.status, plan.findings) == (Status.FAIL, ("vanished",))

    def test_a_category_that_training_did_not_know(self) -> None:
        frame = draw_frame(2_000, 2)
        frame.loc[:99, "plan"] = "secret"
        plan = judged(frame)["plan"]
        assert (plan.status, plan.findings, plan.unseen_share) == (Status.FAIL, ("unseen",), 0.05)
        assert "secret" not in plan.model_dump_json()

    def test_dates_are_looked_at_for_missing_values_only(self) -> None:
        later = judged(with_column("joined", pd.Timestamp("2036-01-01")))["joined"]
        assert (later.status, later.effect) == (Status.PASS, 0.0)


class TestFewRows:
    def test_too_few_rows_say_nothing(self) -> None:
        rows = minimum_rows(PROFILE, RULE)
        assert 30 <= rows < 200
        assert judged(draw_frame(rows, 2))["age"].status is Status.PASS
        fewer = judged(draw_frame(rows - 1, 2, shift=9.0))
        assert {column.status for column in fewer.values()} == {Status.INSUFFICIENT}
        assert all(column.p is None and "few_rows" in column.findings for column in fewer.values())

    def test_the_spec_may_ask_for_others_but_not_for_next_to_none(self) -> None:
        assert minimum_rows(PROFILE, DriftBlock(minimum_rows=500)) == 500
        assert minimum_rows(PROFILE, DriftBlock(minimum_rows=1)) == 30
        assert minimum_rows(PROFILE.model_copy(update={"minimum_rows": 0}), RULE) == 30

    @pytest.mark.parametrize("rows", [0, 1])
    def test_no_row_and_one_row(self, rows: int) -> None:
        assert {column.status for column in judged(draw_frame(rows, 2)).values()} == {Status.INSUFFICIENT}


class TestScoreAndTarget:
    def judge(self, shift: float, rows: int = 1_000, **rule: Any) -> Any:
        score = PROFILE.columns[0].model_copy(update={"name": "score"})
        profile = PROFILE.model_copy(update={"score": score, "target": PROFILE.columns[3]})
        seen = draw_frame(rows, 8, shift=shift)
        counted = count_frame(profile, seen)
        counts = count_frame(
            profile,
            draw_frame(2_000, 2),
            scores=counted.columns["age"],
            targets=counted.columns["member"],
        )
        return judge_columns(profile, counts, DriftBlock(**rule))

    def test_they_stand_apart(self) -> None:
        found = self.judge(1.0)
        assert (found.score.name, found.score.status) == ("score", Status.FAIL)
        assert found.target.status is Status.PASS
        assert {column.status for column in found.columns} == {Status.PASS}
        assert self.judge(0.0).score.status is Status.PASS

    def test_scores_that_do_not_count_are_told_all_the_same(self) -> None:
        assert self.judge(1.0, predictions=False).score.status is Status.FAIL

    def test_a_few_of_them_say_nothing(self) -> None:
        found = self.judge(1.0, rows=20)
        assert found.score.status is found.target.status is Status.INSUFFICIENT

    def test_without_them_there_is_nothing(self) -> None:
        found = judge_columns(PROFILE, count_frame(PROFILE, draw_frame(2_000, 2)), RULE)
        assert found.score is found.target is None


NUMBER = PROFILE.columns[0]
ANY_COUNTS = st.builds(
    lambda values, nulls, absent, unreadable: replace(
        count_numbers(NUMBER, np.array([*values, *[np.nan] * nulls])), absent=absent, unreadable=unreadable
    ),
    st.lists(st.floats(-1e30, 1e30), max_size=60),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 100),
)


@given(ANY_COUNTS)
@settings(max_examples=100, deadline=None)
def test_nothing_passes_by_silence(counts: ColumnCounts) -> None:
    profile = PROFILE.model_copy(update={"columns": (NUMBER,), "minimum_rows": 30})
    found = judge_columns(profile, WindowCounts(rows=counts.total, columns={"age": counts}), RULE).columns[0]
    if found.status is Status.PASS:
        assert counts.rows >= 30
        assert counts.nulls <= 0.05 * counts.rows
        assert counts.unreadable <= 0.05 * counts.total
        assert found.p is not None
    if found.status is Status.FAIL:
        assert found.p is not None
        assert found.effect >= found.limit
