from __future__ import annotations

import functools
import math
from datetime import date

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.tables import take_statistics
from windsock.data.memory import MOST_FINDINGS, memory_checks
from windsock.data.statistics import snapshot_statistics
from windsock.records import ColumnKind, ColumnRole, ColumnSchema, DataSnapshot, SnapshotStatistics
from windsock.spec import ModelSpec

SPEC = make_spec(data={"target": "churned", "entity": None})


def spec(**data: object) -> ModelSpec:
    return make_spec(data={"target": "churned", "entity": None, **data})


@functools.cache
def frame(month: int, rows: int = 500) -> pd.DataFrame:
    """Return a month's rows, which no test changes."""
    draw = np.random.default_rng(month)
    return pd.DataFrame(
        {
            "customer_id": [f"C{month}-{number}" for number in range(rows)],
            "age": draw.integers(18, 80, rows),
            "balance": draw.normal(0, 100, rows),
            "income": draw.lognormal(8, 0.5, rows),
            "calls": draw.poisson(1.2, rows),
            "calendar": np.where(draw.random(rows) < 0.4, (month - 1) % 12 + 1, month % 12 + 1),
            "plan": draw.choice(["basic", "premium"], rows, p=[0.7, 0.3]).astype(object),
            "extract": f"2026-{month:02}",
            "born": pd.Timestamp("1980-01-01", tz="UTC") + pd.to_timedelta(draw.uniform(0, 9e3, rows), "D"),
            "churned": draw.random(rows) < 0.3,
        }
    )


def statistics(month: int, **changed: object) -> SnapshotStatistics:
    return take_statistics(frame(month).assign(**changed), month) if changed else unchanged(month)


@functools.cache
def unchanged(month: int) -> SnapshotStatistics:
    return take_statistics(frame(month), month)


def history(months: int, before: int = 13) -> list[SnapshotStatistics]:
    return [statistics(month) for month in range(before - 1, before - 1 - months, -1)]


def failed(now: SnapshotStatistics, accepted: list[SnapshotStatistics], given: ModelSpec = SPEC) -> list[str]:
    return [check.name for check in memory_checks(given, now, accepted) if not check.passed]


class TestStatistics:
    def of(self, given: pd.DataFrame, recent: int = 0, **roles: ColumnRole) -> SnapshotStatistics:
        kinds = {
            "i": ColumnKind.INTEGER,
            "f": ColumnKind.NUMBER,
            "b": ColumnKind.BOOLEAN,
            "M": ColumnKind.DATETIME,
        }
        columns = tuple(
            ColumnSchema(
                name=name,
                kind=kinds.get(given[name].dtype.kind, ColumnKind.CATEGORY),
                role=roles.get(name, ColumnRole.FEATURE),
            )
            for name in given.columns
        )
        snapshot = DataSnapshot(
            model="churn",
            digest="1" * 64,
            uri="memory://rows",
            rows=len(given),
            columns=columns,
            source="file",
            recent_rows=recent,
            taken_at="2026-05-01T00:00:00Z",
        )
        return snapshot_statistics(snapshot, given, suite_digest="2" * 64)

    def test_numbers_have_quantiles_and_moments(self):
        one = self.of(pd.DataFrame({"x": [*range(101), None]})).column("x")
        assert one is not None
        assert one.number is not None
        assert one.number.quantiles == (0, 1, 5, 25, 50, 75, 95, 99, 100)
        assert (one.number.mean, one.distinct) == (pytest.approx(50), 101)
        assert one.nulls == pytest.approx(1 / 102)

    def test_words_have_shares_and_rare_words_are_not_kept(self):
        words = self.of(pd.DataFrame({"x": ["a"] * 60 + ["b"] * 36 + ["Jane Roe"] * 4})).column("x")
        assert words is not None
        assert words.shares == {"a": 0.6, "b": 0.36}
        flag = self.of(pd.DataFrame({"x": [True] * 30 + [False] * 70})).column("x")
        assert flag is not None
        assert flag.shares == {"false": 0.7, "true": 0.3}

    def test_of_identities_and_ignored_columns_no_value_is_kept(self):
        made = self.of(
            pd.DataFrame({"who": ["Ann"] * 50, "note": ["x"] * 50, "n": range(50)}),
            who=ColumnRole.ENTITY,
            note=ColumnRole.IGNORED,
            n=ColumnRole.IGNORED,
        )
        assert all(column.number is None and not column.shares for column in made.columns)

    def test_recent_rows_do_not_count(self):
        made = self.of(pd.DataFrame({"x": [1.0] * 60 + [1_000.0] * 40}), recent=40)
        assert made.rows == 60
        assert made.column("x").number.quantiles[-1] == 1.0

    def test_copies_are_counted_without_ignored_columns(self):
        rows = pd.DataFrame({"n": range(90), "x": [*range(60), *range(30)]})
        assert self.of(rows, n=ColumnRole.IGNORED).copies == pytest.approx(1 / 3)

    @pytest.mark.parametrize(
        "values", [[1e308, -1e308] * 30, [np.inf, 1.0] * 30, [np.inf] * 60, [2**62] * 60, [5e-324] * 60]
    )
    def test_any_number_is_described_and_compared(self, values):
        made = self.of(pd.DataFrame({"x": values, "churned": [True, False] * 30}))
        other = made.replace(snapshot_digest="3" * 64)
        usual = self.of(pd.DataFrame({"x": np.arange(60.0), "churned": [True, False] * 30}))
        assert failed(made, [other]) == []
        for one, two in ((made, usual), (usual, other)):
            memory_checks(SPEC, one, [two.replace(snapshot_digest="4" * 64)])

    def test_no_rows(self):
        made = self.of(pd.DataFrame({"x": pd.Series([], dtype="float64")}))
        assert (made.rows, made.copies) == (0, 0)


class TestVerdicts:
    def test_a_first_run_says_that_there_is_nothing_to_compare_with(self):
        (check,) = memory_checks(SPEC, statistics(1), [])
        assert (check.name, check.code, check.passed) == ("memory", "WS-DATA-150", True)
        assert "nothing to compare" in check.message

    def test_each_kind_of_check_is_there_once_where_all_is_well(self):
        checks = memory_checks(SPEC, statistics(13), history(3))
        assert [check.code for check in checks] == [
            f"WS-DATA-{number}" for number in (151, 152, 154, 155, 156, 157)
        ]
        assert all(check.passed and "3 accepted snapshots" in check.message for check in checks)

    def test_rows_that_were_chosen_for_a_mixture_are_not_counted(self):
        part = take_statistics(frame(13).iloc[:150], 13).replace(is_part=True)
        checks = memory_checks(SPEC, part, history(3))
        assert [check.name for check in checks if not check.passed] == []
        assert "not compared" in checks[0].message
        assert failed(statistics(13), [part]) == []
        assert failed(statistics(13), [part, *history(3)]) == []
        assert failed(part.replace(is_part=False), history(3)) == ["row_count"]

    def test_a_finding_says_what_was_seen_the_limit_and_what_to_do(self):
        now = statistics(13, income=frame(13)["income"] * 1_000)
        (check,) = [check for check in memory_checks(SPEC, now, history(3)) if not check.passed]
        assert (check.name, check.code, check.n) == ("value_range:income", "WS-DATA-155", 500)
        assert check.value is not None
        assert check.limit is not None
        assert 900 < check.value < 1_100
        assert check.limit < 60
        assert "fix the source" in check.message
        assert "data.accept_changes_until: 2027-02-26" in check.message

    def test_what_a_finding_tells_to_write_works_as_written(self):
        now = statistics(13, income=frame(13)["income"] * 1_000)
        (check,) = [check for check in memory_checks(SPEC, now, history(3)) if not check.passed]
        day = date.fromisoformat(check.message.split("accept_changes_until: ")[1][:10])
        accepting = memory_checks(spec(accept_changes_until=day), now, history(3))
        assert all(one.passed for one in accepting)
        assert any("966 times" in one.message and "accepted on purpose" in one.message for one in accepting)
        late = spec(accept_changes_until=date(2026, 12, 1))
        assert failed(now, history(3), late) == ["value_range:income"]

    def test_after_a_change_on_purpose_the_old_unit_is_the_fault(self):
        cents = [statistics(month, income=frame(month)["income"] * 100) for month in (12, 11)]
        accepted = [*cents, *history(8, before=11)]
        assert failed(statistics(13, income=frame(13)["income"] * 100), accepted) == []
        assert failed(statistics(13), accepted) == ["value_range:income"]

    def test_the_same_content_accepted_again_counts_once(self):
        same = [statistics(12)] * 8
        assert failed(statistics(13, age=frame(13)["age"] * 6), same) == []
        assert failed(statistics(13, age=frame(13)["age"] * 6), history(8)) == ["value_range:age"]

    def test_many_findings_are_counted(self):
        draw = np.random.default_rng(1)
        wide = pd.DataFrame({f"x{number}": draw.lognormal(0, 1, 300) for number in range(30)})
        checks = memory_checks(SPEC, take_statistics(wide * 1_000, 2), [take_statistics(wide, 1)])
        names = [check.name for check in checks if not check.passed]
        assert len(names) == MOST_FINDINGS + 1
        assert names[-1] == "value_range:more"

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"balance": lambda f: f["balance"] * 1_000}, "value_range:balance"),
            ({"balance": lambda f: f["balance"] + 5_000}, "value_range:balance"),
            ({"income": lambda f: -f["income"]}, "value_range:income"),
            ({"income": lambda f: f["income"] / 1_000}, "value_range:income"),
            ({"income": lambda f: 0.0}, "value_range:income"),
            ({"income": lambda f: f["income"].where(f.index % 5 > 1, 0.0)}, "value_range:income"),
            ({"calls": lambda f: f["calls"] * 1_000}, "value_range:calls"),
            ({"calls": lambda f: f["calls"] * 60}, "value_range:calls"),
            ({"plan": lambda f: f["plan"].str.upper()}, "category_shares:plan"),
            ({"plan": lambda f: f["plan"].where(f.index % 5 > 2, "none")}, "category_shares:plan"),
            ({"churned": lambda f: f.index % 10 > 1}, "category_shares:churned"),
            ({"born": lambda f: pd.Timestamp("1970-01-18", tz="UTC")}, "time_range:born"),
            ({"born": lambda f: f["born"] - pd.Timedelta(days=12_000)}, "time_range:born"),
            ({"age": lambda f: f["age"].where(f.index % 5 > 1)}, "null_share:age"),
        ],
    )
    @pytest.mark.parametrize("months", [1, 8])
    def test_broken_columns(self, change, found, months):
        now = take_statistics(frame(13).assign(**change), 13)
        assert failed(now, history(months)) == [found]

    @pytest.mark.parametrize(
        "change",
        [
            {"plan": lambda f: "basic"},  # a flag that is off
            {"balance": lambda f: f["balance"] * 1.5 + 50},
            {"age": lambda f: f["age"] + 0.5},
            {"calls": lambda f: f["calls"] * 2},
            {"plan": lambda f: f["plan"].where(f.index % 5 > 0, "student")},
            {"extract": "2026-14"},
            {"born": lambda f: f["born"] + pd.Timedelta(days=200)},
            {"new": 5},
        ],
    )
    @pytest.mark.parametrize("months", [1, 8])
    def test_harmless_columns(self, change, months):
        assert failed(take_statistics(frame(13).assign(**change), 13), history(months)) == []

    @pytest.mark.parametrize("factor", [1_000, 100, 0.01, 0.001])
    def test_the_unit_of_a_column_that_mostly_is_zero(self, factor):
        def make(month: int, by: float = 1.0) -> SnapshotStatistics:
            draw = np.random.default_rng(month)
            paid = np.where(draw.random(300) < 0.9, 0.0, draw.normal(1_900, 300, 300)) * by
            return take_statistics(pd.DataFrame({"paid": paid}), month)

        accepted = [make(month) for month in (12, 11, 10)]
        assert failed(make(13), accepted) == []
        assert failed(make(13, factor), accepted) == ["value_range:paid"]

    def test_a_column_that_is_gone_is_the_contracts_question(self):
        assert failed(take_statistics(frame(13).drop(columns="income"), 13), history(3)) == []

    def test_columns_that_the_model_does_not_use_are_not_judged(self):
        now = statistics(13, income=frame(13)["income"] * 1_000)
        assert failed(now, history(3), spec(exclude=["income"])) == []
        assert failed(now, history(3), spec(features=["age"])) == []

    def test_a_growing_table_may_grow_and_not_shrink(self):
        grown = [take_statistics(frame(month, 100 * month), month) for month in range(12, 0, -1)]
        assert failed(take_statistics(frame(13, 1_300), 13), grown) == []
        assert "row_count" in failed(take_statistics(frame(13, 600), 13), grown)
        assert "row_count" in failed(take_statistics(frame(13, 13_000), 13), grown)

    def test_a_season_of_rows_that_was_seen_may_come_again(self):
        season = [round(500 * math.exp(0.6 * math.sin(month * math.pi / 3))) for month in range(1, 14)]
        seen = [take_statistics(frame(month, season[month - 1]), month) for month in range(12, 0, -1)]
        assert failed(take_statistics(frame(13, season[12]), 13), seen) == []


def test_harmless_months_of_a_hundred_columns_raise_no_alarm():
    """Twelve months of 200 rows: heavy tails, rare words, counts, and magnitudes that move by a fifth."""
    draw, accepted, alarms = np.random.default_rng(11), [], []
    for month in range(1, 14):
        moved = np.exp(draw.normal(0, 0.2, 100))
        makers = (
            lambda: draw.lognormal(0, 2, 200),
            lambda: draw.pareto(0.8, 200) + 1,
            lambda: draw.standard_t(1.5, 200),
            lambda: np.where(draw.random(200) < 0.5, 0.0, draw.exponential(3, 200)),
            lambda: draw.poisson(1.5, 200).astype("float64"),
        )
        columns = {f"x{number}": makers[number % 5]() * moved[number] for number in range(90)}
        for number in range(90, 100):
            shares = draw.dirichlet(40 / np.arange(1, 9))
            columns[f"x{number}"] = draw.choice(list("abcdefgh"), 200, p=shares).astype(object)
        now = take_statistics(pd.DataFrame(columns), month)
        alarms += failed(now, accepted)
        accepted.insert(0, now)
    assert alarms == []
