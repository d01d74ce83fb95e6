from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from support.faults import Killed, killed_after
from windsock.adapters.sources import SourceReaders
from windsock.data.take_snapshot import take_snapshot
from windsock.exceptions import DataRefusedError, SourceUnavailableError, SpecError, StorageError
from windsock.records import ColumnKind, ColumnRole, RunContext, TakeSnapshotInput, snapshot_digest
from windsock.steps import run_step

ROWS = 120


def frame(rows: int = ROWS) -> pd.DataFrame:
    """Return rows as a CSV gives them: text."""
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


def take(given, *, ports=None, now=None, **blocks):
    run = blocks.pop("run", RunContext())
    data_window, window_end = blocks.pop("data_window", None), blocks.pop("window_end", None)
    ports = ports or fake_ports(sources=FakeSources(given))
    step = TakeSnapshotInput(
        spec=make_spec(**blocks), run=run, data_window=data_window, window_end=window_end
    )
    record = take_snapshot(step, ports, "")
    return record, ports.snapshots.load(record)


def refusal(*args, **kwargs) -> DataRefusedError:
    with pytest.raises(DataRefusedError) as caught:
        take(*args, **kwargs)
    return caught.value


def roles(record) -> dict[str, str]:
    return {column.name: column.role.value for column in record.columns}


class TestRoles:
    def test_by_the_spec(self):
        given = frame().assign(at="2026-05-01", sex="f", extra="1")
        given.loc[0, ["at", "sex", "extra"]] = ["2026-05-02", "m", "2"]
        record, _ = take(given, data={"event_time": "at", "sensitive": ["sex"], "exclude": ["extra"]})
        assert roles(record) == {
            "customer_id": "entity",
            "age": "feature",
            "income": "feature",
            "colour": "feature",
            "churned": "target",
            "at": "event_time",
            "sex": "sensitive",
            "extra": "ignored",
        }
        assert [column.name for column in record.columns] == list(given.columns)

    def test_only_the_listed_features(self):
        record, _ = take(frame(), data={"features": ["age"]})
        assert [column.name for column in record.features] == ["age"]
        assert "not among data.features and left out: income, colour" in record.findings

    def test_a_sensitive_column_that_is_listed_is_a_feature(self):
        record, _ = take(frame(), data={"sensitive": ["colour"], "features": ["colour", "age"]})
        assert roles(record)["colour"] == "feature"

    @pytest.mark.parametrize(
        ("name", "values", "why"),
        [
            ("token", [f"t{number}" for number in range(ROWS)], "identifies rows"),
            ("anything", [str(number + 1000) for number in range(ROWS)], "numbers the rows"),
            ("orderId", [str(number * 7 + 3) for number in range(ROWS)], "name of an identity"),
            ("country", ["DE"] * ROWS, "one value in every row"),
        ],
    )
    def test_what_a_model_must_not_learn_from(self, name, values, why):
        record, _ = take(frame().assign(**{name: values}))
        column = record.column(name)
        assert column.role is ColumnRole.IGNORED
        assert why in column.note
        assert any(finding.startswith(f"{name}: ") and why in finding for finding in record.findings)
        listed, _ = take(frame().assign(**{name: values}), data={"features": [name, "age"]})
        assert roles(listed)[name] == "feature"

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("salary", [str(number * 7 + 3) for number in range(ROWS)]),
            ("score", [f"{number / 7:.3f}" for number in range(ROWS)]),
            ("word", [f"w{number % 60}" for number in range(ROWS)]),
            ("sometimes", ["x" if number % 2 else "" for number in range(ROWS)]),
            ("empty", [""] * ROWS),
        ],
    )
    def test_what_it_may(self, name, values):
        record, _ = take(frame().assign(**{name: values}))
        assert roles(record)[name] == "feature"

    def test_few_rows_identify_nothing(self):
        record, _ = take(
            frame(20).assign(token=[f"t{number}" for number in range(20)]), data={"entity": None}
        )
        assert roles(record)["token"] == "feature"

    def test_many_categories_are_said(self):
        given = frame(400).assign(city=[f"city{number % 150}" for number in range(400)])
        record, _ = take(given)
        assert "city: 150 different values: a model tells only the frequent ones apart" in record.findings


class TestTypes:
    def test_kinds_nulls_and_words(self):
        given = frame().assign(blank=[""] * 11 + ["1.5"] * (ROWS - 11))
        record, typed = take(given)
        assert {column.name: column.kind for column in record.columns} == {
            "customer_id": ColumnKind.CATEGORY,
            "age": ColumnKind.INTEGER,
            "income": ColumnKind.NUMBER,
            "colour": ColumnKind.CATEGORY,
            "churned": ColumnKind.BOOLEAN,
            "blank": ColumnKind.NUMBER,
        }
        blank, target = record.column("blank"), record.column("churned")
        assert (blank.nulls, blank.distinct) == (11, 1)
        assert (target.true_word, target.false_word) == ("Yes", "No")
        assert record.rows == len(typed) == ROWS
        assert (
            f"blank: 11 of {ROWS} values are blank and were read as missing; no row was dropped"
            in record.findings
        )
        assert "two words read as true and false in churned" in record.findings

    def test_a_classification_target_keeps_its_labels(self):
        for labels, kind in (
            (["1", "2"], ColumnKind.INTEGER),
            (["good ", "bad"], ColumnKind.CATEGORY),
            (["0", "1"], ColumnKind.INTEGER),
            (["TRUE", "FALSE"], ColumnKind.BOOLEAN),
        ):
            record, typed = take(frame().assign(churned=labels * (ROWS // 2)))
            assert record.column("churned").kind is kind
        assert typed["churned"].dtype == bool

    def test_a_regression_target_is_a_number(self):
        record, _ = take(frame(), model={"task": "regression"}, data={"target": "income"})
        assert record.column("income").kind is ColumnKind.NUMBER

    @pytest.mark.parametrize(
        ("target", "count"), [("colour", f"{ROWS} of {ROWS}"), ("churned", f"{ROWS} of {ROWS}")]
    )
    def test_a_regression_target_that_is_none(self, target, count):
        error = refusal(frame(), model={"task": "regression"}, data={"target": target})
        assert error.code == "WS-DATA-023"
        assert count in str(error)

    def test_a_spoiled_regression_target_counts_what_is_wrong(self):
        given = frame()
        given.loc[:2, "income"] = "secret-value"
        error = refusal(given, model={"task": "regression"}, data={"target": "income"})
        assert f"3 of {ROWS} values are none" in str(error)
        assert "secret-value" not in str(error)

    def test_lists_are_refused_unless_excluded(self):
        given = frame().assign(tags=[["a"]] * ROWS)
        assert refusal(given).code == "WS-DATA-018"
        record, typed = take(given, data={"exclude": ["tags"]})
        assert "tags" not in typed
        assert any(finding.startswith("tags: excluded") for finding in record.findings)

    def test_copies_are_counted_and_kept(self):
        given = pd.concat([frame(), frame().iloc[:7]], ignore_index=True)
        record, typed = take(given)
        assert f"7 of {ROWS + 7} rows are copies of another one; all are kept" in record.findings
        assert len(typed) == ROWS + 7


class TestRefusals:
    @pytest.mark.parametrize(
        "block", [{"target": "Churned"}, {"entity": "customer"}, {"event_time": "no_such"}]
    )
    def test_a_missing_column_is_named_and_no_other(self, block):
        error = refusal(frame(), data=block)
        assert error.code == "WS-DATA-020"
        assert f"data.{next(iter(block))}" in str(error)
        assert "it has 5 columns" in str(error)
        assert "age" not in str(error)

    @pytest.mark.parametrize("row", [["Ann Lee", "1971-02-03"], ["ann@example.org", "yes"], ["4", "5"]])
    def test_values_in_place_of_names_are_not_printed(self, row):
        error = refusal(pd.DataFrame([["x", "y"]] * 60, columns=row), data={"entity": None})
        assert error.code == "WS-DATA-020"
        assert not any(value in str(error).replace("WS-DATA-020", "") for value in row if len(value) > 1)

    def test_a_slip_of_the_pen_is_pointed_at(self):
        assert "near: churned" in str(refusal(frame(), data={"target": "Churned"}))
        assert "near: customer_id" in str(refusal(frame(), data={"entity": "costumer_id"}))

    def test_no_source(self):
        spec = make_spec()
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"source": None})})
        with pytest.raises(SpecError, match=r"data\.source"):
            take_snapshot(TakeSnapshotInput(spec=spec), fake_ports(sources=FakeSources(frame())), "")

    @pytest.mark.parametrize("error", [DataRefusedError("x"), SourceUnavailableError("y"), StorageError("z")])
    def test_what_the_source_says_passes_through(self, error):
        ports = fake_ports(sources=FakeSources(error=error))
        with pytest.raises(type(error)):
            take(None, ports=ports)
        assert ports.snapshots.stored == {}


class TestWindow:
    END = datetime(2026, 5, 1, tzinfo=UTC)

    def dated(self) -> pd.DataFrame:
        days = [(self.END - timedelta(days=number)).date().isoformat() for number in range(ROWS)]
        return frame().assign(at=[*days[:-2], "", "NULL"])

    def test_from_the_logical_date_back(self):
        record, typed = take(
            self.dated(),
            data={"event_time": "at", "data_window": "30d"},
            run=RunContext(logical_date=self.END),
        )
        assert record.rows == 30
        assert typed["at"].max() == pd.Timestamp("2026-04-30", tz="UTC")
        assert typed["at"].min() == pd.Timestamp("2026-04-01", tz="UTC")
        assert (record.window_start, record.window_end) == (self.END - timedelta(days=30), self.END)
        assert (
            f"30 of {ROWS} rows lie in the data window 2026-04-01 00:00 to 2026-05-01 00:00 UTC"
            in record.findings
        )
        assert "at: 2 rows have no time and lie in no data window" in record.findings

    def test_what_wins(self):
        later = self.END + timedelta(days=2)
        spec = {"event_time": "at", "data_window": "30d"}
        record, _ = take(self.dated(), data=spec, data_window="10d", window_end=self.END)
        assert record.rows == 10
        record, _ = take(self.dated(), data=spec, window_end=later, run=RunContext(logical_date=self.END))
        assert record.rows == 29
        record, _ = take(self.dated(), data=spec)  # the clock says 2026-05-01 02:00
        assert record.rows == 30

    def test_without_a_window_all_rows_are_taken(self):
        record, _ = take(self.dated(), data={"event_time": "at"})
        assert record.rows == ROWS
        assert record.window_start is None
        assert f"at: 2 of {ROWS} rows have no time and are never held out" in record.findings

    def test_no_row_in_the_window(self):
        error = refusal(
            self.dated(),
            data={"event_time": "at", "data_window": "1d"},
            window_end=self.END + timedelta(days=90),
        )
        assert error.code == "WS-DATA-022"

    def test_a_window_without_a_time(self):
        assert refusal(frame(), data_window="30d").code == "WS-DATA-021"

    @pytest.mark.parametrize("values", ["soon", "17", "01/02/2026"])
    def test_a_column_that_holds_no_times(self, values):
        error = refusal(frame().assign(at=values), data={"event_time": "at"})
        assert error.code == "WS-DATA-021"
        assert "'at'" in str(error)


class TestContent:
    def test_the_same_content_is_stored_once(self):
        ports = fake_ports(sources=FakeSources(frame()))
        first = run_step("take_snapshot", {"spec": make_spec()}, ports)
        ports.sources.frame = frame().iloc[::-1][list(frame().columns)[::-1]].reset_index(drop=True)
        second = run_step("take_snapshot", {"spec": make_spec()}, ports)
        assert not first.unchanged
        assert second.unchanged
        assert second.record.digest == first.record.digest
        assert second.record.taken_at == first.record.taken_at
        assert len(ports.snapshots.stored) == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda rows: rows.iloc[1:],
            lambda rows: pd.concat([rows, rows.iloc[:1]]),
            lambda rows: rows.assign(age=[str(int(age) + 1) for age in rows["age"]]),
            lambda rows: rows.rename(columns={"age": "years"}),
            lambda rows: rows.assign(new="x"),
            lambda rows: rows.assign(churned=rows["churned"].str.lower()),
        ],
    )
    def test_another_content_is_another_snapshot(self, change):
        one, _ = take(frame())
        other, _ = take(change(frame()))
        assert one.digest != other.digest

    def test_the_source_makes_no_difference(self, tmp_path):
        frame().to_csv(tmp_path / "x.csv", index=False)
        frame().sample(frac=1, random_state=1).to_csv(tmp_path / "y.csv", index=False, sep=";")
        typed = take(frame())[1]
        typed.to_parquet(tmp_path / "z.parquet")
        digests = set()
        for name in ("x.csv", "y.csv"):
            ports = fake_ports(sources=SourceReaders((tmp_path,), str))
            digests.add(take(None, ports=ports, data={"source": name})[0].digest)
        assert digests == {take(frame())[0].digest}
        ports = fake_ports(sources=SourceReaders((tmp_path,), str))
        record, read = take(None, ports=ports, data={"source": "z.parquet"})
        assert record.rows == ROWS
        assert read["age"].dtype == "int64"

    def test_the_source_that_was_read_now_is_told(self):
        ports = fake_ports(sources=FakeSources(frame()))
        first, _ = take(None, ports=ports)
        for described in ("sql: shop/customers", "file: z.parquet", first.source):
            sources = FakeSources(frame())
            sources.described = described
            record, _ = take(None, ports=replace(ports, sources=sources))
            assert (record.source, record.digest, record.uri) == (described, first.digest, first.uri)
            assert record.taken_at == first.taken_at
        assert ports.snapshots.find(first.model, first.digest).source == first.source
        assert record == first

    def test_another_use_of_the_same_rows_is_the_same_snapshot(self):
        ports = fake_ports(sources=FakeSources(frame()))
        first, _ = take(None, ports=ports)
        second, _ = take(None, ports=ports, data={"exclude": ["income"]})
        assert second.digest == first.digest
        assert roles(first)["income"] == "feature"
        assert roles(second)["income"] == "ignored"
        assert len(ports.snapshots.stored) == 1

    def test_killed_after_storing_and_tried_again(self):
        ports = fake_ports(sources=FakeSources(frame()))
        faulty, _ = killed_after(ports, 1)
        with pytest.raises(Killed):
            take(None, ports=faulty)
        again, _ = take(None, ports=ports)
        quiet, _ = take(frame())
        assert again.model_copy(update={"taken_at": quiet.taken_at}) == quiet

    def test_the_digest_by_hand(self):
        from windsock.spec import digest_of

        record, _ = take(frame())
        assert snapshot_digest(record.columns, "0" * 64) == digest_of(
            {
                "columns": [
                    ["age", "integer", None, None],
                    ["churned", "boolean", "Yes", "No"],
                    ["colour", "category", None, None],
                    ["customer_id", "category", None, None],
                    ["income", "number", None, None],
                ],
                "rows": "0" * 64,
            }
        )

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.text(max_size=5),
                st.sampled_from(["1", "2.5", "", "NA", "x"]),
                st.sampled_from(["Yes", "No"]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    def test_any_text_gives_a_snapshot_of_all_rows_without_a_value_in_a_finding(self, rows):
        marked = [(f"q{word}q", number, label) for word, number, label in rows]
        given_frame = pd.DataFrame(marked, columns=["word", "number", "churned"], dtype=object)
        record, typed = take(given_frame, data={"entity": None})
        assert record.rows == len(typed) == len(rows)
        assert not any(word in " ".join(record.findings) for word, _, _ in marked)


class TestChanges:
    def ports(self):
        ports = fake_ports(sources=FakeSources(frame()))
        take(None, ports=ports)
        return ports

    def test_columns_that_came_went_and_turned_are_said(self):
        ports = self.ports()
        given = frame().drop(columns="colour").assign(new="1", age="unknown")
        given.loc[0, ["new", "age"]] = ["2", "12"]
        ports.sources.frame = given
        record, _ = take(None, ports=ports)
        assert "columns gone since the last snapshot: colour" in record.findings
        assert "columns new since the last snapshot: new" in record.findings
        assert "age: was integer in the last snapshot, is category now" in record.findings

    def test_ten_times_the_columns_are_refused_and_nothing_is_stored(self):
        ports = self.ports()
        wide = frame().assign(**{f"x{number}": ["1", "2"] * (ROWS // 2) for number in range(60)})
        ports.sources.frame = wide
        error = refusal(None, ports=ports)
        assert error.code == "WS-DATA-024"
        assert "63 columns to learn from, the last snapshot had 3" in str(error)
        assert len(ports.snapshots.stored) == 1
        asked = [f"x{number}" for number in range(60)]
        record, _ = take(None, ports=ports, data={"features": asked})
        assert len(record.features) == 60

    def test_a_first_snapshot_may_be_wide(self):
        wide = frame().assign(**{f"x{number}": ["1", "2"] * (ROWS // 2) for number in range(300)})
        assert len(take(wide)[0].features) == 303


class TestRealData:
    def read(self, folder: Path, name: str, **data):
        ports = fake_ports(sources=SourceReaders((folder,), str))
        return take(None, ports=ports, data={"source": name, "entity": None, **data})

    def test_telco(self, shared_data):
        record, typed = self.read(shared_data, "telco_churn.csv", target="Churn")
        assert record.rows == 7043
        assert typed["TotalCharges"].dtype == "float64"
        assert int(typed["TotalCharges"].isna().sum()) == 11
        said = "TotalCharges: 11 of 7,043 values are blank and were read as missing; no row was dropped"
        assert said in record.findings
        assert roles(record)["customerID"] == "ignored"
        assert record.column("SeniorCitizen").kind is ColumnKind.INTEGER
        assert record.column("Churn").true_word == "Yes"
        assert record.column("MultipleLines").distinct == 3

    def test_adult(self, shared_data):
        record, _ = self.read(
            shared_data,
            "adult_income.csv",
            target="income-per-year",
            sensitive=["sex", "race"],
            exclude=["race-sex"],
        )
        assert record.rows == 30162
        assert {name for name, role in roles(record).items() if role == "sensitive"} == {"sex", "race"}
        assert record.column("income-per-year").kind is ColumnKind.CATEGORY
        assert "3,258 of 30,162 rows are copies of another one; all are kept" in record.findings

    def test_german(self, shared_data):
        record, _ = self.read(shared_data, "german_credit.csv", target="credit")
        assert record.rows == 1000
        assert record.column("credit").kind is ColumnKind.INTEGER
        assert len(record.features) == 21

    @pytest.mark.slow
    def test_car_loans(self, shared_data):
        record, _ = self.read(shared_data, "car_loan_reference.csv", target="repaid", event_time="timestamp")
        assert roles(record)["id"] == "ignored"
        assert record.column("timestamp").kind is ColumnKind.DATETIME


@pytest.mark.parametrize(("entity", "drawn_anew"), [(None, True), ("customer_id", False)])
def test_other_columns_draw_the_held_out_rows_anew_without_an_entity(entity, drawn_anew):
    ports = fake_ports(sources=FakeSources(frame()))
    take(None, ports=ports, data={"entity": entity})
    again, _ = take(
        None,
        ports=replace(ports, sources=FakeSources(frame().drop(columns="age"))),
        data={"entity": entity},
    )
    said = "held-out rows were drawn anew; declare data.entity to keep them"
    assert (said in again.findings) is drawn_anew


class TestLateFile:
    """A file that snapshots were taken from, and that is gone, is tried again; a wrong path is not."""

    @pytest.fixture
    def ports(self, tmp_path: Path):
        frame().to_csv(tmp_path / "rows.csv", index=False)
        return fake_ports(sources=SourceReaders((tmp_path,), lambda conn_id: ""))

    def read(self, ports, path="rows.csv"):
        return take(None, ports=ports, data={"source": {"kind": "file", "path": path}})

    @pytest.mark.parametrize("gone", ["file", "folder"])
    def test_a_file_that_was_there_is_late(self, ports, tmp_path, gone):
        self.read(ports)
        (tmp_path / "rows.csv").unlink()
        if gone == "folder":
            tmp_path.rmdir()
        with pytest.raises(SourceUnavailableError, match=r"'rows.csv' is not there.*so it is late") as caught:
            self.read(ports)
        assert caught.value.code == "WS-DATA-002"
        assert "tried again by itself" in caught.value.next_action

    def test_a_path_that_no_snapshot_was_taken_from_is_wrong(self, ports):
        with pytest.raises(DataRefusedError) as first:
            self.read(ports, "row.csv")
        self.read(ports)
        with pytest.raises(DataRefusedError) as later:
            self.read(ports, "row.csv")
        assert first.value.code == later.value.code == "WS-DATA-010"

    def test_a_file_that_is_there_and_wrong_is_no_late_one(self, ports, tmp_path):
        self.read(ports)
        (tmp_path / "rows.csv").write_text("")
        with pytest.raises(DataRefusedError):
            self.read(ports)
