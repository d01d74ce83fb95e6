from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from support.builders import make_check, make_spec
from support.fakes import FakeExpectations, FakeSources, fake_ports
from support.make_churn_sample import make_sample
from windsock.adapters import storage_backends
from windsock.adapters.expectations import GreatExpectationsEngine
from windsock.adapters.snapshot_store import ParquetSnapshotStore
from windsock.adapters.sources import SourceReaders
from windsock.adapters.storage import Storage
from windsock.data.structure import structural_checks
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import overall_status, validate_data
from windsock.exceptions import DataRefusedError, StorageError, UnverifiedSnapshotError
from windsock.ports import Suite
from windsock.records import Status, TakeSnapshotInput, ValidateDataInput, held_out_mask
from windsock.spec import ModelSpec, digest_of
from windsock.steps import run_step

ROWS = 300


def frame(rows: int = ROWS) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(rows)],
            "age": draw.integers(18, 80, rows).astype(str),
            "income": [f"{value:.2f}" for value in draw.normal(3000, 900, rows)],
            "colour": draw.choice(["blue", "red"], rows),
            "churned": draw.choice(["Yes", "No"], rows),
        }
    ).astype(object)


def validate(given, *, ports=None, **blocks):
    ports = ports or fake_ports(sources=FakeSources(given))
    spec = make_spec(**blocks)
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    return validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")


def failed(report) -> dict[str, str]:
    return {check.name: check.code for check in report.failed}


class TestStructure:
    def test_good_data_passes_and_every_check_is_reported(self):
        report = validate(frame())
        assert report.status is Status.PASS
        assert report.failed == ()
        names = [check.name for check in report.checks]
        assert names == [
            "rows",
            "column_names",
            "required_columns",
            "training_rows",
            "held_out_rows",
            "target_kind",
            "target_missing",
            "target_infinite",
            "classes",
            "classes_at_most",
            "rarest_class",
            "held_out_classes",
            "features",
            "empty_columns",
            "unread_values",
            "entity_on_both_sides",
            "memory",
            "expectations_ran",
        ]
        assert [check.name for check in report.remarks] == ["expectation:fake"]
        assert len({check.code for check in report.checks}) == len(names)

    def test_regression_has_checks_of_its_own(self):
        report = validate(frame(), model={"task": "regression"}, data={"target": "income"})
        assert report.status is Status.PASS
        names = {check.name for check in report.checks}
        assert "target_values" in names
        assert "classes" not in names

    def test_numbers_stand_beside_their_limits(self):
        rows, *_ = validate(frame()).checks
        assert (rows.value, rows.limit, rows.relation) == (ROWS, 50, ">=")

    @pytest.mark.parametrize("rows", [1, 9, 49])
    def test_too_few_rows(self, rows):
        report = validate(frame(rows))
        assert report.status is Status.FAIL
        assert failed(report)["rows"] == "WS-DATA-101"

    def test_one_class(self):
        report = validate(frame().assign(churned="Yes"))
        assert failed(report) == {"classes": "WS-DATA-109"}

    def test_not_enough_of_a_class_for_five_folds(self):
        given = frame().assign(churned="No")
        held_out = held_out_mask(given, make_spec())
        given.loc[np.flatnonzero(~held_out)[:4], "churned"] = "Yes"
        given.loc[np.flatnonzero(held_out)[:4], "churned"] = "Yes"
        (check,) = validate(given).failed
        assert (check.code, check.value, check.limit) == ("WS-DATA-111", 4, 5)

    def test_a_class_that_is_never_held_out(self):
        given = frame()
        given.loc[held_out_mask(given, make_spec()), "churned"] = "No"
        assert failed(validate(given)) == {"held_out_classes": "WS-DATA-112"}

    def test_a_class_that_is_only_held_out(self):
        given = frame().assign(churned="No")
        given.loc[held_out_mask(given, make_spec()), "churned"] = "Yes"
        rarest, held_out = validate(given).failed
        assert (rarest.code, rarest.value) == ("WS-DATA-111", 0)
        assert held_out.code == "WS-DATA-112"

    def test_a_target_that_is_an_identity(self):
        given = frame().assign(churned=[f"t{number}" for number in range(ROWS)])
        assert "classes_at_most" in failed(validate(given))

    @pytest.mark.parametrize("blank", ["", "NA", "nan", None])
    def test_a_missing_target(self, blank):
        given = frame()
        given.loc[3:5, "churned"] = blank
        (check,) = validate(given).failed
        assert (check.code, check.value, check.limit, check.n) == ("WS-DATA-106", 3, 0, ROWS)

    @pytest.mark.parametrize("word", ["inf", "-Infinity", "1e999"])
    def test_an_infinite_target(self, word):
        given = frame()
        given.loc[3:4, "income"] = word
        report = validate(given, model={"task": "regression"}, data={"target": "income"})
        (check,) = report.failed
        assert (check.code, check.value) == ("WS-DATA-107", 2)

    def test_an_infinite_label(self):
        given = frame().assign(churned=["1", "2"] * (ROWS // 2))
        given.loc[0, "churned"] = "inf"
        assert set(failed(validate(given))) >= {"target_kind", "target_infinite"}

    def test_a_constant_number(self):
        report = validate(frame().assign(income="5"), model={"task": "regression"}, data={"target": "income"})
        assert failed(report) == {"target_values": "WS-DATA-108"}

    @pytest.mark.parametrize("values", [["1.5", "2.5", "3.25"], ["2026-05-01", "2026-05-02", "2026-05-03"]])
    def test_a_target_that_holds_no_classes(self, values):
        report = validate(frame().assign(churned=values * (ROWS // 3)))
        assert failed(report)["target_kind"] == "WS-DATA-116"

    def test_an_empty_column(self):
        report = validate(frame().assign(gone="", away=None))
        (check,) = report.failed
        assert check.code == "WS-DATA-114"
        assert "gone, away" in check.message
        assert (
            validate(frame().assign(gone="", away=None), data={"exclude": ["gone", "away"]}).status
            is Status.PASS
        )

    def test_a_spoiled_column(self):
        given = frame()
        given.loc[:3, "income"] = "secret-value"
        assert validate(given).status is Status.PASS
        given.loc[:19, "income"] = "secret-value"
        report = validate(given)
        (check,) = report.failed
        assert check.code == "WS-DATA-117"
        assert "income" in check.message
        assert "aaaaaa-aaaaa" in check.message
        assert "data.columns.income.kind" in check.message
        assert "secret-value" not in report.model_dump_json()
        assert validate(given, data={"exclude": ["income"]}).status is Status.PASS

    def test_categories_that_look_like_numbers_are_no_fault(self):
        report = validate(frame().assign(children=(["0", "1", "2", "3", "4", "4+"] * ROWS)[:ROWS]))
        assert report.status is Status.PASS

    def test_columns_of_the_spec_that_are_gone(self):
        report = validate(
            frame(), data={"required": ["age", "phone"], "features": ["age", "fax"], "sensitive": ["sex"]}
        )
        (check,) = report.failed
        assert check.code == "WS-DATA-103"
        assert "phone, fax, sex" in check.message

    def test_nothing_to_learn_from(self):
        report = validate(frame()[["customer_id", "churned"]])
        assert failed(report) == {"features": "WS-DATA-113"}

    def test_one_time_for_all_rows(self):
        report = validate(frame().assign(at="2026-05-01"), data={"event_time": "at"})
        assert failed(report)["held_out_rows"] == "WS-DATA-105"

    @pytest.mark.parametrize("spoil", [lambda rows: rows.drop(columns="churned"), lambda rows: rows.iloc[:0]])
    def test_rows_that_are_not_the_snapshot(self, spoil: Callable[[pd.DataFrame], pd.DataFrame]):
        ports = fake_ports(sources=FakeSources(frame()))
        spec = make_spec()
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
        checks = structural_checks(spec, snapshot, spoil(ports.snapshots.load(snapshot)))
        assert not all(check.passed for check in checks)

    def test_doubled_names(self):
        ports = fake_ports(sources=FakeSources(frame()))
        spec = make_spec()
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
        typed = ports.snapshots.load(snapshot)
        checks = structural_checks(spec, snapshot, pd.concat([typed, typed[["age"]]], axis=1))
        assert "age" in next(check for check in checks if check.code == "WS-DATA-102").message


class TestSuite:
    def ports(self, *results, suite=None):
        return fake_ports(sources=FakeSources(frame()), expectations=FakeExpectations(results, suite))

    @pytest.mark.parametrize(
        ("statuses", "expected"),
        [
            ([Status.PASS, Status.PASS], Status.PASS),
            ([Status.PASS, Status.INSUFFICIENT], Status.INSUFFICIENT),
            ([Status.INSUFFICIENT, Status.FAIL], Status.FAIL),
            ([Status.FAIL, Status.ERROR, Status.PASS], Status.ERROR),
        ],
    )
    def test_the_worst_result_decides(self, statuses, expected):
        checks = [make_check(f"x{number}", status) for number, status in enumerate(statuses)]
        report = validate(None, ports=self.ports(*checks))
        assert report.status is expected
        told = [check.name for check in (*report.checks, *report.remarks)]
        assert set(told) >= {check.name for check in checks}

    def test_what_was_inferred_from_these_very_rows_counts_only_where_it_fails(self):
        good, bad = make_check("x0"), make_check("x1", Status.FAIL)
        report = validate(None, ports=self.ports(good, bad))
        assert report.remarks == (good,)
        assert bad in report.checks
        assert "1 expectations inferred from this very snapshot prove nothing" in report.counted

    def test_a_suite_that_people_wrote_counts_whole(self):
        suite = Suite(content={"name": "churn", "expectations": [{"type": "x", "kwargs": {}}]}, origin="file")
        report = validate(None, ports=self.ports(make_check("x0"), suite=suite))
        assert report.remarks == ()
        assert report.checks[-1].name == "x0"

    def test_no_check_is_no_pass(self):
        assert overall_status([]) is Status.ERROR

    def test_a_suite_without_a_result_is_no_pass(self):
        report = validate(None, ports=self.ports())
        assert report.status is Status.ERROR
        assert failed(report) == {"expectations_ran": "WS-DATA-120"}

    def test_fewer_results_than_expectations_are_no_pass(self):
        suite = Suite(content={"expectations": [{}, {}]}, origin="file")
        assert validate(None, ports=self.ports(make_check(), suite=suite)).status is Status.ERROR

    def test_the_suite_of_people_wins(self):
        suite = Suite(content={"expectations": [{"type": "x"}]}, origin="file")
        report = validate(None, ports=self.ports(make_check(), suite=suite))
        assert (report.suite_origin, report.suite_uri) == ("file", None)
        assert report.suite_digest == digest_of(suite.content)
        assert validate(None, ports=self.ports(make_check())).suite_origin == "inferred"


@pytest.fixture
def world(tmp_path):
    """Ports with the real adapters of this room, over a folder with the sample and its suite."""
    (tmp_path / "expectations").mkdir()
    (tmp_path / "churn.csv").write_text(make_sample(), encoding="utf-8")
    storage = Storage(str(tmp_path / "storage"))
    return fake_ports(
        sources=SourceReaders((tmp_path,), str),
        snapshots=ParquetSnapshotStore(storage),
        expectations=GreatExpectationsEngine(tmp_path / "expectations", storage),
    )


SAMPLE = make_spec(data={"sensitive": ["gender"]})


def both(world, spec: ModelSpec = SAMPLE):
    snapshot = run_step("take_snapshot", {"spec": spec}, world)
    return snapshot, run_step("validate_data", {"spec": spec, "snapshot": snapshot.record}, world)


def in_mills(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose charges are a thousand times as large."""
    return rows.assign(monthly_charges=rows["monthly_charges"].str.replace(".", "") + "0")


BROKEN = [
    (lambda rows: rows.iloc[::2], {"row_count"}),
    (lambda rows: pd.concat([rows, rows.iloc[::2]]), {"copies", "contract_unique:customer_id"}),
    (in_mills, {"value_range:monthly_charges"}),
    (
        lambda rows: rows.assign(tenure_months="for " + rows["tenure_months"]),
        {"contract_kind:tenure_months"},
    ),
]


@pytest.mark.slow
class TestWithRealAdapters:
    def test_the_sample_passes_its_own_suite(self, world, tmp_path, project):
        written = (project / "include" / "expectations" / "churn.json").read_text(encoding="utf-8")
        (tmp_path / "expectations" / "churn.json").write_text(written, encoding="utf-8")
        snapshot, validation = both(world)
        assert validation.record.failed == ()
        assert validation.record.status is Status.PASS
        assert validation.record.suite_origin == "file"
        assert len(validation.record.checks) == 18 + len(json.loads(written)["expectations"])
        assert snapshot.record.column("total_charges").nulls == 11

    def test_a_second_run_changes_nothing(self, world, tmp_path):
        first = both(world)
        files = {file: file.read_bytes() for file in (tmp_path / "storage").rglob("*") if file.is_file()}
        second = both(world)
        assert [result.unchanged for result in first] == [False, False]
        assert [result.unchanged for result in second] == [True, True]
        assert [result.record for result in second] == [result.record for result in first]
        assert {
            file: file.read_bytes() for file in (tmp_path / "storage").rglob("*") if file.is_file()
        } == files

    def test_the_inferred_suite_is_there_to_adopt(self, world, tmp_path):
        _, validation = both(world)
        assert validation.record.suite_origin == "inferred"
        adopted = world.expectations.storage.read_bytes(validation.record.suite_uri)
        (tmp_path / "expectations" / "churn.json").write_bytes(adopted)
        _, again = both(world)
        assert again.record.suite_origin == "file"
        assert again.record.suite_digest == validation.record.suite_digest
        assert again.record.status is Status.PASS

    def accept(self, world):
        _, validation = both(world)
        assert validation.record.status is Status.PASS
        return validation.record

    def judge(self, world, tmp_path, change):
        sample = pd.read_csv(io.StringIO(make_sample()), dtype=str, keep_default_na=False)
        change(sample).to_csv(tmp_path / "churn.csv", index=False)
        return both(world)[1].record

    def test_the_next_month_is_judged_by_what_was_accepted(self, world, tmp_path):
        first = self.accept(world)
        for change, found in BROKEN:
            report = self.judge(world, tmp_path, change)
            assert {check.name for check in report.failed} == found
        month = self.judge(world, tmp_path, lambda rows: rows.sample(frac=0.8, random_state=1))
        assert (month.status, month.failed, month.remarks) == (Status.PASS, (), ())
        assert (month.suite_origin, month.suite_digest) == ("accepted", first.suite_digest)
        assert "category_shares" in {check.name for check in month.checks}

    def test_a_suite_that_people_wrote_comes_before_the_accepted_one(self, world, tmp_path):
        self.accept(world)
        suite = {"name": "churn", "expectations": [{"type": "expect_table_row_count_to_be_between"}]}
        (tmp_path / "expectations" / "churn.json").write_text(json.dumps(suite), encoding="utf-8")
        report = self.judge(world, tmp_path, lambda rows: rows.iloc[::2])
        assert report.suite_origin == "file"
        assert "row_count" in failed(report)

    def test_wrong_types_against_the_suite(self, world, tmp_path, project):
        written = (project / "include" / "expectations" / "churn.json").read_text(encoding="utf-8")
        (tmp_path / "expectations" / "churn.json").write_text(written, encoding="utf-8")
        spoiled = make_sample().replace(",month-to-month,", ",monthly,")
        lines = [line.split(",") for line in spoiled.splitlines()]
        for line in lines[1:]:
            line[2] = f"{line[2]} months"
        (tmp_path / "churn.csv").write_text("\n".join(",".join(line) for line in lines), encoding="utf-8")
        _, validation = both(world)
        names = " ".join(failed(validation.record))
        assert validation.record.status in (Status.FAIL, Status.ERROR)
        assert "tenure_months" in names
        assert "contract" in names
        assert "months" not in "".join(
            check.message.replace("tenure_months", "") for check in validation.record.failed
        )

    def test_a_broken_suite_is_refused(self, world, tmp_path):
        (tmp_path / "expectations" / "churn.json").write_text('{"expectations": []}', encoding="utf-8")
        with pytest.raises(DataRefusedError, match="WS-DATA-030"):
            both(world)

    def test_a_full_disk_leaves_no_snapshot_and_a_retry_makes_it(self, world, tmp_path, monkeypatch):
        def failing(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "no space")

        monkeypatch.setattr(storage_backends.os, "fsync", failing)
        with pytest.raises(StorageError, match=r"WS-STORAGE-002.*full"):
            both(world)
        assert [file for file in (tmp_path / "storage").rglob("*") if file.is_file()] == []
        monkeypatch.undo()
        assert both(world)[1].record.status is Status.PASS

    def test_rows_that_were_changed_on_the_disk(self, world, tmp_path):
        snapshot = run_step("take_snapshot", {"spec": SAMPLE}, world)
        file = next((tmp_path / "storage").rglob("rows.parquet"))
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        with pytest.raises(UnverifiedSnapshotError, match="WS-STORAGE-007"):
            run_step("validate_data", {"spec": SAMPLE, "snapshot": snapshot.record}, world)

    @pytest.mark.parametrize(
        ("name", "target"),
        [("telco_churn", "Churn"), ("adult_income", "income-per-year"), ("german_credit", "credit")],
    )
    def test_real_data_pass(self, world, shared_data, name, target):
        source = str(shared_data / f"{name}.csv")
        spec = make_spec(model={"name": name}, data={"source": source, "target": target, "entity": None})
        _, validation = both(world, spec)
        assert failed(validation.record) == {}
        assert validation.record.status is Status.PASS


BAD = {
    "missing file": (None, "WS-DATA-010"),
    "empty file": ("", "WS-DATA-011"),
    "header only": ("customer_id,age,churned\n", "WS-DATA-011"),
    "target missing": ("customer_id,age,left\n1,2,Yes\n", "WS-DATA-020"),
    "duplicate names": ("customer_id,age,age,churned\n1,2,3,Yes\n", "WS-DATA-012"),
    "ragged": ("customer_id,age,churned\n1,2,Yes\n1,Yes\n", "WS-DATA-013"),
    "not text": ("customer_id,age,churned\n1,ü,Yes\n".encode("latin1"), "WS-DATA-014"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_and_nothing_is_stored(world, tmp_path, case):
    content, code = BAD[case]
    file = tmp_path / "churn.csv"
    file.unlink()
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataRefusedError) as caught:
        run_step("take_snapshot", {"spec": SAMPLE}, world)
    assert caught.value.code == code
    assert caught.value.next_action
    assert not (tmp_path / "storage").exists()
