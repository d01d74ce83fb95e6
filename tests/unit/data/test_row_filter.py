from __future__ import annotations

import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.row_filter import take_recent
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, TakeSnapshotInput, ValidateDataInput
from windsock.spec import RangeBlock

ROWS = 100


def frame(**changes):
    columns = {
        "customer_id": [f"c{number}" for number in range(ROWS)],
        "months": [str(number % 37) for number in range(ROWS)],
        "country": [("kr", "de", "fr", "")[number % 4] for number in range(ROWS)],
        "member": [("Yes", "No")[number // 2 % 2] for number in range(ROWS)],
        "seen": [f"2026-05-{number % 28 + 1:02}" for number in range(ROWS)],
        "churned": [("Yes", "No", "No")[number % 3] for number in range(ROWS)],
    }
    return pd.DataFrame({**columns, **changes}).astype(object)


def take(given, **data):
    ports = fake_ports(sources=FakeSources(given))
    spec = make_spec(data=data)
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    return snapshot, ports.snapshots.load(snapshot), spec, ports


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"country": "kr"}, 25),
        ({"country": ("kr", "de")}, 50),
        ({"months": {"min": 10, "max": 12}}, 9),
        ({"months": 3}, 3),
        ({"member": True, "country": "kr"}, 25),
        ({"member": "yes"}, 50),
        ({"member": "No"}, 50),
        ({"seen": {"min": "2026-05-03", "max": "2026-05-04T00:00:00Z"}}, 8),
        ({"seen": "2026-05-03"}, 4),
        ({"customer_id": "c7"}, 1),
    ],
)
def test_rows_of_which_every_condition_holds_are_taken(where, rows):
    snapshot, taken, *_ = take(frame(), where=where)
    assert (snapshot.rows, len(taken)) == (rows, rows)
    assert f"{rows:,} of 100 rows are taken by data.where, {ROWS - rows:,} are left out" in snapshot.findings


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ({"plan": "a"}, "WS-DATA-080"),
        ({"months": "three"}, "WS-DATA-081"),
        ({"months": True}, "WS-DATA-081"),
        ({"country": {"min": "a"}}, "WS-DATA-081"),
        ({"member": "maybe"}, "WS-DATA-081"),
        ({"member": {"min": 0}}, "WS-DATA-081"),
        ({"seen": {"min": "yesterday"}}, "WS-DATA-081"),
        ({"seen": 5}, "WS-DATA-081"),
        ({"country": "us"}, "WS-DATA-082"),
    ],
)
def test_a_condition_that_does_not_fit_is_refused_by_name(where, code):
    with pytest.raises(DataRefusedError) as caught:
        take(frame(), where=where)
    assert caught.value.code == code
    assert "data.where" in caught.value.message
    assert "us" not in caught.value.message.split()


def test_a_word_of_a_condition_is_never_code():
    with pytest.raises(DataRefusedError, match="none of 100 rows"):
        take(frame(), where={"country": "kr' OR 1=1 --"})


@pytest.mark.parametrize("word", ["", "NA", "n/a", "NULL", "\\N", "?"])
def test_rows_without_a_label_are_left_out_and_counted(word):
    labels = [word if number < 21 else ("late", "ontime")[number % 2] for number in range(ROWS)]
    snapshot, taken, *_ = take(frame(churned=labels), unlabelled="drop")
    assert (snapshot.unlabelled, snapshot.rows) == (21, 79)
    assert set(taken["churned"]) == {"late", "ontime"}
    assert "21 of 100 rows have no target and are left out (data.unlabelled: drop)" in snapshot.findings


def test_without_the_key_rows_without_a_label_fail_and_the_check_names_it():
    labels = ["NA" if number < 21 else ("late", "ontime")[number % 2] for number in range(ROWS)]
    snapshot, _, spec, ports = take(frame(churned=labels))
    report = validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")
    check = next(check for check in report.failed if check.name == "target_missing")
    assert check.value == 21
    assert "`data.unlabelled: drop`" in check.message


def test_a_class_called_none_is_a_class():
    labels = [("None", "mild", "severe")[number % 3] for number in range(ROWS)]
    snapshot, taken, *_ = take(frame(churned=labels), unlabelled="drop")
    assert (snapshot.unlabelled, set(taken["churned"])) == (0, {"None", "mild", "severe"})


def test_a_target_of_whole_numbers_is_whole_again_without_the_rows_that_have_none():
    labels = ["" if number < 9 else str(number % 2) for number in range(ROWS)]
    _, taken, *_ = take(frame(churned=labels), unlabelled="drop")
    assert taken["churned"].dtype == "int64"


def test_a_label_that_cannot_be_read_is_no_missing_one():
    from windsock.data.reading import ReadColumn
    from windsock.data.row_filter import take_rows

    given = frame(churned=["1.5"] * 90 + ["oops"] * 4 + [""] * 3 + ["k.A."] * 3)
    values = pd.to_numeric(given["churned"], errors="coerce")
    read = ReadColumn(name="churned", kind=ColumnKind.NUMBER, values=values)
    spec = make_spec(data={"unlabelled": "drop"})
    taken = take_rows(given, spec, lambda name: read, nulls=("k.A.",))
    assert (taken.unlabelled, len(taken.frame)) == (6, 94)
    assert set(taken.frame["churned"]) == {"1.5", "oops"}


def test_columns_are_typed_by_the_rows_that_are_taken():
    months = [
        "-" if number % 4 == 1 else "free" if number % 4 == 2 else str(number) for number in range(ROWS)
    ]
    _, taken, *_ = take(frame(months=months), where={"country": "kr"})
    assert taken["months"].dtype == "int64"


def test_which_of_two_classes_scores_are_for_is_said_where_nobody_said():
    labels = [("late", "ontime")[number % 2] for number in range(ROWS)]
    said = "churned: two classes and no data.positive: scores are for the last one in sorted order"
    assert said in take(frame(churned=labels))[0].findings
    assert said not in take(frame(churned=labels), positive="late")[0].findings
    assert said not in take(frame())[0].findings


def test_nothing_labelled_is_refused():
    with pytest.raises(DataRefusedError) as caught:
        take(frame(churned=[""] * ROWS), unlabelled="drop")
    assert caught.value.code == "WS-DATA-083"


def test_the_same_rows_are_the_same_snapshot_however_they_were_chosen():
    kept = frame()[frame()["country"].isin(["kr"])].reset_index(drop=True)
    assert take(frame(), where={"country": "kr"})[0].digest == take(kept)[0].digest


def test_recent_rows_obey_the_filter_too():
    snapshot, rows, spec, _ = take(frame(), where={"months": {"min": 10}})
    recent = pd.DataFrame({name: rows[name].head(4) for name in rows.columns})
    recent["months"] = [5.0, 10.0, float("nan"), 40.0]
    taken, said = take_recent(recent, snapshot.columns, spec)
    assert taken["months"].tolist() == [10.0, 40.0]
    assert said == ("2 of 4 recent rows are taken by data.where",)
    assert snapshot.column("months").kind is ColumnKind.INTEGER
    assert spec.data.where["months"] == RangeBlock(min=10)
