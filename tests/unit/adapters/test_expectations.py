from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from windsock.adapters import expectations as module
from windsock.adapters.expectations import GreatExpectationsEngine
from windsock.adapters.inferred_suite import infer_expectations
from windsock.adapters.storage import Storage
from windsock.data.reading import read_column
from windsock.data.roles import describe_column
from windsock.exceptions import DataRefusedError, UnverifiedSnapshotError
from windsock.ports import Suite
from windsock.records import Status
from windsock.spec import digest_of


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "expectations").mkdir()
    return GreatExpectationsEngine(tmp_path / "expectations", Storage(str(tmp_path / "storage")))


def suite_of(*expectations: tuple[str, dict]) -> Suite:
    listed = [{"type": name, "kwargs": kwargs} for name, kwargs in expectations]
    return Suite(content={"name": "churn", "expectations": listed}, origin="file")


FRAME = pd.DataFrame(
    {
        "amount": [1.0, 2.0, np.nan, 9_999_777.0],
        "colour": pd.Series(["blue", "red", None, "secret-value"], dtype=object),
        "nothing": [np.nan] * 4,
        "paid": [True, False, True, True],
    }
)


class TestFile:
    def put(self, engine, content) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        (engine.expectations_dir / "churn.json").write_text(text, encoding="utf-8")

    def test_no_file_is_none(self, engine):
        assert engine.suite("churn") is None
        assert engine.suite("../churn") is None

    def test_the_export_of_great_expectations_is_read(self, engine):
        import great_expectations as gx

        suite = gx.ExpectationSuite(
            name="churn",
            expectations=[gx.expectations.ExpectColumnValuesToNotBeNull(column="amount", mostly=0.5)],
        )
        self.put(engine, json.dumps(suite.to_json_dict()))
        found = engine.suite("churn")
        assert found is not None
        assert found.origin == "file"
        assert [check.status for check in engine.check(FRAME, found)] == [Status.PASS]

    def test_the_form_before_version_1_is_read(self, engine):
        old = {"expectation_type": "expect_column_values_to_not_be_null", "kwargs": {"column": "paid"}}
        self.put(engine, {"expectation_suite_name": "churn", "expectations": [old], "data_asset_type": None})
        (check,) = engine.check(FRAME, engine.suite("churn"))
        assert check.passed

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "{}",
            '{"expectations": {}}',
            '{"expectations": []}',
            '{"expectations": ["x"]}',
            '{"expectations": [{"type": 1, "kwargs": {}}]}',
            '{"expectations": [{"type": "x", "kwargs": []}]}',
            '{"expectations": [{"type": "x", "kwargs": {"a": NaN}}]}',
        ],
    )
    def test_what_is_no_suite_is_refused(self, engine, content):
        self.put(engine, content)
        with pytest.raises(DataRefusedError, match=r"WS-DATA-030.*churn\.json"):
            engine.suite("churn")

    def test_the_line_of_a_slip_is_named(self, engine):
        self.put(engine, '{\n"name": "x",\n"expectations": [,]\n}')
        with pytest.raises(DataRefusedError, match="line 3"):
            engine.suite("churn")

    def test_asking_for_the_suite_imports_nothing_heavy(self, modules_after):
        assert modules_after("expectation suite") & {"great_expectations", "pandas", "numpy"} == set()


class TestCheck:
    def test_results_come_in_the_order_of_the_suite(self, engine):
        checks = engine.check(
            FRAME,
            suite_of(
                ("expect_table_row_count_to_be_between", {"min_value": 3}),
                ("expect_column_values_to_not_be_null", {"column": "amount"}),
                ("expect_column_values_to_not_be_null", {"column": "amount", "mostly": 0.7}),
                ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "max_value": 5}),
                (
                    "expect_column_values_to_be_in_set",
                    {"column": "colour", "value_set": ["blue", "red"], "mostly": 0.6},
                ),
                ("expect_column_mean_to_be_between", {"column": "amount", "min_value": 1, "max_value": 2}),
                ("expect_column_values_to_be_of_type", {"column": "amount", "type_": "float64"}),
                ("expect_column_to_exist", {"column": "paid"}),
            ),
        )
        seen = [(check.name.removeprefix("expect_"), check.status.value, check.n) for check in checks]
        assert seen == [
            ("table_row_count_to_be_between", "pass", 4),
            ("column_values_to_not_be_null:amount", "fail", 4),
            ("column_values_to_not_be_null:amount#2", "pass", 4),
            ("column_values_to_be_between:amount", "fail", 3),
            ("column_values_to_be_in_set:colour", "pass", 3),
            ("column_mean_to_be_between:amount", "fail", 3),
            ("column_values_to_be_of_type:amount", "pass", 4),
            ("column_to_exist:paid", "pass", 4),
        ]
        nulls, between, mean = checks[1], checks[3], checks[5]
        assert (nulls.value, nulls.limit, nulls.relation) == (0.75, 1.0, ">=")
        assert between.value == pytest.approx(2 / 3)
        assert (mean.value, mean.limit, mean.relation) == (
            pytest.approx((3 + 9_999_777) / 3),
            2.0,
            "<=",
        )

    def test_no_value_comes_into_a_result(self, engine):
        checks = engine.check(
            FRAME,
            suite_of(
                ("expect_column_values_to_be_in_set", {"column": "colour", "value_set": ["blue"]}),
                ("expect_column_max_to_be_between", {"column": "amount", "max_value": 5}),
                ("expect_column_distinct_values_to_be_in_set", {"column": "colour", "value_set": ["blue"]}),
                ("expect_column_most_common_value_to_be_in_set", {"column": "colour", "value_set": ["x"]}),
                ("expect_column_values_to_match_regex", {"column": "colour", "regex": "b.*"}),
                ("expect_column_values_to_be_between", {"column": "colour", "min_value": 0}),
                ("expect_column_values_to_be_unique", {"column": "paid"}),
                (
                    "expect_column_quantile_values_to_be_between",
                    {"column": "amount", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]}},
                ),
            ),
        )
        assert all(not check.passed for check in checks)
        said = json.dumps([check.model_dump(mode="json") for check in checks])
        assert "secret" not in said
        assert "9999777" not in said

    def test_nothing_passes_on_an_empty_column(self, engine):
        about = [
            ("expect_column_values_to_be_between", {"column": "nothing", "min_value": 0}),
            ("expect_column_values_to_be_in_set", {"column": "nothing", "value_set": [1]}),
            ("expect_column_values_to_be_unique", {"column": "nothing"}),
            ("expect_column_distinct_values_to_be_in_set", {"column": "nothing", "value_set": [1]}),
            ("expect_column_unique_value_count_to_be_between", {"column": "nothing", "min_value": 0}),
            ("expect_column_values_to_not_be_null", {"column": "nothing"}),
            ("expect_column_mean_to_be_between", {"column": "nothing", "min_value": 0}),
        ]
        checks = engine.check(FRAME, suite_of(*about))
        assert [check.passed for check in checks] == [False] * len(about)
        assert checks[0].status is Status.INSUFFICIENT
        assert checks[0].code == "WS-DATA-132"
        assert checks[0].n == 0

    def test_an_empty_column_that_shall_be_empty(self, engine):
        (check,) = engine.check(FRAME, suite_of(("expect_column_values_to_be_null", {"column": "nothing"})))
        assert check.passed

    def test_nothing_passes_on_an_empty_frame(self, engine):
        about = [
            ("expect_column_values_to_not_be_null", {"column": "amount"}),
            ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0}),
            ("expect_column_values_to_be_in_set", {"column": "colour", "value_set": ["x"]}),
            ("expect_column_values_to_be_unique", {"column": "amount"}),
            ("expect_column_values_to_be_null", {"column": "amount"}),
        ]
        checks = engine.check(FRAME.iloc[:0], suite_of(*about))
        assert [check.status.value for check in checks] == ["insufficient"] * len(about)

    def test_a_condition_that_no_row_meets_is_undecided(self, engine):
        (check,) = engine.check(
            FRAME,
            suite_of(
                (
                    "expect_column_values_to_be_between",
                    {
                        "column": "amount",
                        "min_value": 0,
                        "row_condition": "amount < 0",
                        "condition_parser": "pandas",
                    },
                )
            ),
        )
        assert not check.passed

    def test_a_column_that_is_gone_is_a_no(self, engine):
        (check,) = engine.check(FRAME, suite_of(("expect_column_values_to_not_be_null", {"column": "gone"})))
        assert check.status is Status.FAIL
        assert "no column gone" in check.message

    def test_what_raises_is_an_error(self, engine):
        (check, other) = engine.check(
            FRAME,
            suite_of(
                ("expect_column_mean_to_be_between", {"column": "colour", "min_value": 0, "max_value": 1}),
                ("expect_column_to_exist", {"column": "paid"}),
            ),
        )
        assert check.status is Status.ERROR
        assert check.code == "WS-DATA-133"
        assert "secret" not in check.message
        assert other.passed

    def test_an_engine_that_breaks_is_an_error_for_every_expectation(self, engine, monkeypatch):
        def breaking(frame, expectations):
            raise RuntimeError("secret-value")

        monkeypatch.setattr(module, "_run", breaking)
        checks = engine.check(FRAME, suite_of(*[("expect_column_to_exist", {"column": "paid"})] * 2))
        assert [check.status for check in checks] == [Status.ERROR] * 2
        assert "secret" not in checks[0].message

    def test_a_result_that_is_missing_is_an_error(self, engine, monkeypatch):
        monkeypatch.setattr(module, "_run", lambda frame, expectations: {})
        (check,) = engine.check(FRAME, suite_of(("expect_column_to_exist", {"column": "paid"})))
        assert check.status is Status.ERROR

    @pytest.mark.parametrize(
        ("name", "kwargs"),
        [
            ("expect_pigs_to_fly", {}),
            ("expect_column_values_to_not_be_null", {}),
            ("expect_column_values_to_not_be_null", {"column": "a", "mostly": 3}),
            ("expect_column_values_to_be_between", {"column": "a", "max_value": [1]}),
        ],
    )
    def test_an_unknown_expectation_or_argument_is_refused(self, engine, name, kwargs):
        with pytest.raises(DataRefusedError, match=f"WS-DATA-031.*expectation 1, '{name}'"):
            engine.check(FRAME, suite_of((name, kwargs)))

    def test_an_empty_suite_never_passes(self, engine):
        with pytest.raises(DataRefusedError, match="would pass anything"):
            engine.check(FRAME, suite_of())

    @pytest.mark.slow
    def test_no_file_is_written_and_no_line_said(self, tmp_path):
        script = (
            "import logging, sys\n"
            "logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)\n"
            "from pathlib import Path\n"
            "import pandas as pd\n"
            "from windsock.adapters.expectations import GreatExpectationsEngine\n"
            "from windsock.adapters.storage import Storage\n"
            "from windsock.ports import Suite\n"
            "kept = {'type': 'expect_column_to_exist', 'kwargs': {'column': 'a'}}\n"
            "kwargs = {'column': 'b', 'max_value': 0}\n"
            "fails = {'type': 'expect_column_mean_to_be_between', 'kwargs': kwargs}\n"
            "suite = Suite(content={'expectations': [kept, fails]}, origin='file')\n"
            "frame = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\n"
            "engine = GreatExpectationsEngine(Path('nowhere'), Storage('nowhere'))\n"
            "assert [check.status.value for check in engine.check(frame, suite)] == ['pass', 'error']\n"
        )
        home, work = tmp_path / "home", tmp_path / "work"
        home.mkdir()
        work.mkdir()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(home)}
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=work, env=environment
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout + run.stderr == ""
        assert list(work.rglob("*")) == []
        assert [file for file in home.rglob("*") if file.is_file() and "matplotlib" not in str(file)] == []


class TestInferred:
    def described(self, frame):
        spec = make_spec(data={"entity": None, "sensitive": ["colour"]})
        columns = [read_column(frame[name], name) for name in frame]
        typed = pd.concat({column.name: column.values for column in columns}, axis=1)
        return typed, [describe_column(column, spec) for column in columns]

    def frame(self, rows: int = 200) -> pd.DataFrame:
        random = np.random.default_rng(5)
        return pd.DataFrame(
            {
                "amount": random.normal(100, 20, rows),
                "debt": random.normal(0, 5, rows),
                "count": random.integers(0, 9, rows),
                "sparse": np.where(random.random(rows) < 0.4, np.nan, 1.5 + random.random(rows)),
                "colour": random.choice(["blue", "red", ""], rows),
                "token": [f"t{number}" for number in range(rows)],
                "empty": [None] * rows,
                "churned": random.choice(["Yes", "No"], rows),
            }
        )

    def test_a_frame_keeps_what_was_inferred_from_it(self, engine):
        typed, columns = self.described(self.frame())
        suite = engine.infer("churn", typed, columns)
        assert suite.origin == "inferred"
        checks = engine.check(typed, suite)
        assert [check.name for check in checks if not check.passed] == []
        assert len(checks) > 10
        assert not any("token" in check.name or "empty" in check.name for check in checks)

    def test_a_frame_that_is_quite_another_does_not(self, engine):
        typed, columns = self.described(self.frame())
        suite = engine.infer("churn", typed, columns)
        other = typed.assign(
            amount=typed["amount"] * -10, colour="green", sparse=np.nan, count=typed["count"].astype(str)
        ).drop(columns="debt")
        failed = {check.name for check in engine.check(other.iloc[:50], suite) if not check.passed}
        for part in (
            "row_count",
            "columns_to_match_set",
            "between:amount",
            "in_set:colour",
            "sparse",
            "type_list:count",
        ):
            assert any(part in name for name in failed), part

    def test_it_is_kept_by_its_digest_for_people_to_adopt(self, engine, tmp_path):
        typed, columns = self.described(self.frame())
        suite = engine.infer("churn", typed, columns)
        assert suite.uri == engine.storage.uri(f"expectations/churn/{digest_of(suite.content)}.json")
        adopted = engine.storage.read_bytes(suite.uri)
        (engine.expectations_dir / "churn.json").write_bytes(adopted)
        found = engine.suite("churn")
        assert found is not None
        assert found.content == suite.content
        assert engine.infer("churn", typed, columns) == suite

    def test_of_an_accepted_suite_only_what_is_structural_counts(self, engine):
        typed, columns = self.described(self.frame())
        suite = engine.infer("churn", typed, columns)
        kept = engine.accepted("churn", digest_of(suite.content))
        assert kept is not None
        assert (kept.origin, kept.uri, kept.digest) == ("accepted", suite.uri, digest_of(suite.content))
        kinds = {one["type"] for one in kept.content["expectations"]}
        assert kinds == {"expect_column_values_to_not_be_null"}
        grown = typed.assign(amount=typed["amount"] * 3, count="x", colour="green", sparse=np.nan)
        assert all(check.passed for check in engine.check(grown, kept))
        gone = typed.assign(churned=typed["churned"].where(typed.index > 3))
        failed = [check.name for check in engine.check(gone, kept) if not check.passed]
        assert failed == ["expect_column_values_to_not_be_null:churned"]

    @pytest.mark.parametrize("content", [b"{}", b"no json", b"\xff", b'{"name": NaN}'])
    def test_an_accepted_suite_that_was_changed_is_refused(self, engine, content):
        typed, columns = self.described(self.frame())
        suite = engine.infer("churn", typed, columns)
        digest = digest_of(suite.content)
        engine.storage.write_bytes(f"expectations/churn/{digest}.json", content)
        with pytest.raises(UnverifiedSnapshotError) as refused:
            engine.accepted("churn", digest)
        assert refused.value.code == "WS-DATA-158"
        assert "include/expectations/churn.json" in refused.value.next_action

    def test_a_suite_that_was_never_kept_is_none(self, engine):
        assert engine.accepted("churn", "0" * 64) is None

    def test_order_of_rows_makes_no_difference(self):
        typed, columns = self.described(self.frame())
        assert infer_expectations(typed.iloc[::-1], columns) == infer_expectations(typed, columns)
