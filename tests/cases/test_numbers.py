"""Numbers as people write them are numbers, or validation says which key settles how they are meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from support.read_files import failed, read_columns, validated
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.exceptions import DataRefusedError
from windsock.records import TakeSnapshotInput, ValidateDataInput

pytestmark = pytest.mark.cases
WIDE = {ord(sign): ord(sign) + 0xFEE0 for sign in "0123456789."}
ROWS = 300
X = np.random.default_rng(3).normal(size=ROWS).round(3)


def put(folder: Path, written, *, delimiter: str = ",", x=lambda value: str(value)) -> Path:
    """Write a number, a column as it is written, and a target."""
    lines = [delimiter.join(("x", "k", "y"))]
    for row in range(ROWS):
        text = written(row)
        text = f'"{text}"' if delimiter in text else text
        lines.append(delimiter.join((x(X[row]), text, str(int(X[row] > 0)))))
    file = folder / "numbers.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("$1,234.00", lambda row: f"${1000.5 + row:,.2f}", lambda row: 1000.5 + row),
        ("95%", lambda row: f"{row % 100}%", lambda row: row % 100),
        ("1,137 beside decimal points", lambda row: f"{1000 + 137 * row:,}", lambda row: 1000 + 137 * row),
        (
            "(1.50)",
            lambda row: f"({row}.50)" if row % 2 else f"{row}.50",
            lambda row: (row + 0.5) * (-1) ** row,
        ),
        ("Unicode minus", lambda row: f"\u2212{15 * row}", lambda row: -15 * row),
        (
            "clock times as minutes",
            lambda row: f"{row % 24:02}:{row % 60:02}:00",
            lambda row: row % 24 * 60 + row % 60,
        ),
        ("1 137", lambda row: f"{1000 + 137 * row:,}".replace(",", " "), lambda row: 1000 + 137 * row),
        ("1'137.5", lambda row: f"{1000.5 + row:,}".replace(",", "'"), lambda row: 1000.5 + row),
        ("EUR 12.50", lambda row: f"EUR {row}.50", lambda row: row + 0.5),
    ],
)
def test_one_form(tmp_path, case, name, written, value):
    file = put(tmp_path, written)
    read = read_columns(file)["k"]
    right = [float(value(row)) for row in range(ROWS)]
    case(
        name,
        right=("a number", True, 0),
        got=(
            "a number" if read.kind.value in ("number", "integer") else read.kind.value,
            read.values.astype(float).round(6).tolist() == right,
            read.unread,
        ),
    )
    snapshot, report = validated(file, "y")
    assert snapshot.column("k").role.value == "feature"
    assert report.status.value == "pass", failed(report)


def test_a_decimal_comma_in_a_file_of_semicolons(tmp_path, case):
    header = "Date;Time;CO(GT);S1;AH;alarm;;"
    rows = [
        f"{1 + row % 28:02}/03/2004;{row % 24:02}.00.00;{row % 50},{row % 7};{900 + row};0,{1000 + row};"
        f"{row % 2};;"
        for row in range(ROWS)
    ]
    file = tmp_path / "air.csv"
    file.write_text("\n".join([header, *rows]))
    point = tmp_path / "air_point.csv"
    point.write_text("\n".join([header.rstrip(";"), *(row.replace(",", ".").rstrip(";") for row in rows)]))
    columns, control = read_columns(file), read_columns(point)
    case("decimal comma, two empty trailing columns", right=list(control), got=list(columns))
    for name, column in columns.items():
        case(f"decimal comma: {name}", right=control[name].values.tolist(), got=column.values.tolist())
    snapshot, report = validated(file, "alarm")
    assert report.status.value == "pass", failed(report)
    assert any("2 columns without a name" in said for said in snapshot.findings)


def test_a_column_of_decimal_commas_beside_decimal_points(tmp_path, case):
    file = put(tmp_path, lambda row: f"{100 + row},{row % 90 + 10}", delimiter=";")
    read = read_columns(file)["k"]
    case("821,68 beside 0.126", right=(100.1, 0), got=(read.values.iloc[0], read.unread))


def test_two_readings(tmp_path, case):
    file = put(tmp_path, lambda row: f"{1000 + 137 * row:,}", x=lambda value: str(int(value * 10)))
    _, report = validated(file, "y")
    message = failed(report).get("WS-DATA-117", "")
    named = [part in message for part in ("k is read as", "9,999", "data.source.decimal")]
    case("1,137 and nothing says what the comma is", right=[True, True, True], got=named)
    for sign, value in ((".", 1137.0), (",", 1.137)):
        read = read_columns(file, decimal=sign)["k"]
        case(f"... with decimal: '{sign}'", right=value, got=float(read.values.iloc[1]))


MONEY = (1200, 3400, 12750, 5450)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("R$ 1.200", lambda value: f"R$ {value:,}".replace(",", ".")),
        ("R$ 1.200 beside R$ 450", lambda value: f"R$ {value // 12:,}".replace(",", ".")),
        ("1.200 EUR", lambda value: f"{value:,} EUR".replace(",", ".")),
        ("$1.200", lambda value: f"${value:,}".replace(",", ".")),
    ],
)
def test_money_of_three_decimals_has_two_readings(tmp_path, case, name, written):
    file = put(tmp_path, lambda row: written(MONEY[row % 4]), x=lambda value: f"{value:.2f}")
    message = failed(validated(file, "y")[1]).get("WS-DATA-117", "")
    named = [part in message for part in ("1.200 is 1200", "data.source.decimal", "`data.columns`")]
    case(f"{name} in a file of commas", right=[True, True, True], got=named)
    for sign in (".", ","):
        read = read_columns(file, decimal=sign)["k"]
        digits = float("".join(one for one in written(MONEY[2]) if one in "0123456789."))
        right = digits if sign == "." else digits * 1000
        case(
            f"{name} with decimal: '{sign}'", right=(right, 0), got=(float(read.values.iloc[2]), read.unread)
        )


@pytest.mark.parametrize("written", ["${:.2f}", "R$ {:.1f}", "{:.2f} €", "€ 0{:.3f}"])
def test_money_with_decimals_is_read(tmp_path, case, written):
    file = put(tmp_path, lambda row: written.format((row % 90 + 1.25) / (100 if "0{" in written else 1)))
    _, report = validated(file, "y")
    case(f"{written} in a file of commas", right="pass", got=report.status.value)


def test_numbers_with_other_words(tmp_path, case):
    file = put(tmp_path, lambda row: "free" if row % 50 == 0 else f"{row}.5")
    snapshot, report = validated(file, "y")
    column = snapshot.column("k")
    got = (column.kind.value, column.unread, column.shapes, report.status.value)
    case("2 % are words", right=("number", 6, ("aaaa",), "pass"), got=got)
    file = put(tmp_path, lambda row: "free" if row % 5 == 0 else f"{row}.5")
    _, report = validated(file, "y")
    message = failed(report).get("WS-DATA-117", "")
    case("20 % are words", right=True, got="k is read as number" in message and "20.0%" in message)
    _, report = validated(file, "y", source={"nulls": ["free"]})
    case("... and data.source.nulls names them", right="pass", got=report.status.value)


def test_a_column_that_changes_kind_in_the_middle(tmp_path, case):
    file = put(tmp_path, lambda row: f"{row}.5" if row < ROWS // 2 else f"size {row % 7}")
    _, report = validated(file, "y")
    case("numbers, then words", right=["WS-DATA-117"], got=list(failed(report)))


def test_a_target_of_two_readings(tmp_path, case):
    file = put(tmp_path, lambda row: f"{1000 + 137 * row:,}", x=lambda value: str(int(value * 10)))
    with pytest.raises(DataRefusedError) as caught:
        validated(file, "k", model={"task": "regression"})
    case("1,137 as a target of regression", right=True, got="data.source.decimal" in str(caught.value))


@pytest.mark.parametrize("beside", ["08.30", "v1.5", "KW 12.26", "§ 1.2", "Win 8.1", "9.30"])
def test_text_with_points_beside_decimal_commas(tmp_path, case, beside):
    lines = [f"1,{500 + row};{beside};{row % 2}" for row in range(ROWS)]
    file = tmp_path / "prices.csv"
    file.write_text("\n".join(["price;z;y", *lines]) + "\n")
    snapshot, report = validated(file, "y")
    column = snapshot.column("price")
    doubted = "price is read as" in failed(report).get("WS-DATA-117", "")
    right = read_columns(file)["price"].values.iloc[37] == 1.537
    case(f"1,537 beside {beside}", right=True, got=doubted or (column.unread == 0 and right))


@pytest.mark.parametrize("sign", [".", ","])
def test_groups_of_three_in_a_file_of_semicolons_with_european_dates(tmp_path, case, sign):
    lines = [f"{row % 900 if row % 3 else f'7{sign}{100 + row}'};31.12.2026;{row % 2}" for row in range(ROWS)]
    file = tmp_path / "sales.csv"
    file.write_text("\n".join(["k;day;y", *lines]) + "\n")
    read = read_columns(file)["k"]
    right = bool(read.doubt) if sign == "." else read.values.iloc[3] == 7.103
    case(f"536 and 7{sign}957 beside 31.12.2026", right=True, got=right)


@pytest.mark.parametrize("second", ["1.200", "1,200", "7.957"])
def test_a_column_of_whole_numbers_gets_no_decimals_that_may_be_thousands(case, second):
    first, values = [str(500 + row * 7 % 211) for row in range(ROWS)], ["500", second] * (ROWS // 2)
    target = ["1", "0", "0"] * (ROWS // 3)
    ports = fake_ports(sources=FakeSources(pd.DataFrame({"k": first, "y": target}, dtype="string")))
    spec = make_spec(data={"target": "y", "entity": None, "sensitive": []})

    def judged():
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
        return snapshot, validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")

    assert judged()[1].status.value == "pass"
    ports.sources.frame = pd.DataFrame({"k": values, "y": target}, dtype="string")
    snapshot, report = judged()
    said = failed(report).get("WS-DATA-141", "")
    case(f"500 and {second} after 500 to 800", right=True, got="`decimal` and `thousands`" in said)
    assert snapshot.column("k").kind.value == "integer"
    decided = {"k": {"decimal": ",", "thousands": "."}} if "." in second else {"k": {"thousands": ","}}
    spec = make_spec(data={"target": "y", "entity": None, "sensitive": [], "columns": decided})
    snapshot, report = judged()
    assert snapshot.column("k").unread == 0
    case(f"... {second} with both keys", right="integer", got=snapshot.column("k").kind.value)


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        (
            "12,34,567.50",
            lambda row: f"{12 + row % 80},{10 + row % 90},{100 + row}.50",
            lambda row: (12 + row % 80) * 100_000 + (10 + row % 90) * 1_000 + 100.5 + row,
        ),
        (
            "1,00,000 beside 999",
            lambda row: f"1,{row % 90 + 10},500" if row % 2 else str(row),
            lambda row: 100_000 + (row % 90 + 10) * 1_000 + 500 if row % 2 else row,
        ),
        ("19.90-", lambda row: f"{row}.90-", lambda row: -row - 0.9),
        (
            "19.90- beside 19.90",
            lambda row: f"{row}.90{'-' * (row % 2)}",
            lambda row: (row + 0.9) * (-1) ** row,
        ),
        ("1.234,50- EUR", lambda row: f"{1 + row}.234,50- EUR", lambda row: -(1 + row) * 1_000 - 234.5),
    ],
)
def test_groups_of_two_and_a_minus_behind(tmp_path, case, name, written, value):
    file = put(tmp_path, written, x=lambda value: str(int(value * 10)))
    read = read_columns(file)["k"]
    right = [float(value(row)) for row in range(ROWS)]
    case(name, right=(right[:40], 0), got=(read.values.astype(float).round(6).tolist()[:40], read.unread))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("1.5k", lambda row: f"{row}.5k"),
        ("19.5 kg", lambda row: f"{row}.5 kg"),
        ("12‰", lambda row: f"{row}‰"),
        ("19.5 kg in two of three rows", lambda row: f"{row}.5 kg" if row % 3 else "none left"),
    ],
)
def test_numbers_with_text_beside_them(tmp_path, case, name, written):
    file = put(tmp_path, written)
    snapshot, report = validated(file, "y")
    said = failed(report).get("WS-DATA-117", "")
    named = [
        any("numbers with text beside them" in one for one in snapshot.findings),
        "kind: category" in said,
    ]
    case(name, right=[True, True], got=named)
    _, report = validated(file, "y", columns={"k": {"kind": "category"}})
    assert report.status.value == "pass", failed(report)


@pytest.mark.parametrize(
    "written", [lambda row: f"{row % 20} kg", lambda row: f"p{row}", lambda row: f"{row}th {row % 7} street"]
)
def test_names_with_digits_are_names(tmp_path, case, written):
    got = read_columns(put(tmp_path, written))["k"]
    case(f"{written(1)} is a name", right=("category", 0), got=(got.kind.value, got.unread))


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        (
            "1 003,5 beside points",
            lambda row: f"{1 + row // 1000} {row % 1000:03},5",
            lambda row: 1000.5 + row,
        ),
        ("full-width digits", lambda row: f"{row}.5".translate(WIDE), lambda row: row + 0.5),
    ],
)
def test_signs_that_are_sure(tmp_path, case, name, written, value):
    read = read_columns(put(tmp_path, written))["k"]
    right = [float(value(row)) for row in range(ROWS)]
    case(name, right=(right[:40], 0), got=(read.values.tolist()[:40], read.unread))


@pytest.mark.parametrize(
    ("name", "written", "source", "keys"),
    [
        ("19.90 under decimal ','", lambda row: f"{row}.90", {"decimal": ","}, {"decimal": "."}),
        (
            "1003,5 under thousands ','",
            lambda row: f"{1000 + row},5",
            {"thousands": ","},
            {"decimal": ",", "thousands": ""},
        ),
        ("1.2K beside 3.4M", lambda row: f"{row / 10}{'KMB'[row % 3]}", {}, {}),
    ],
)
def test_numbers_that_cannot_be_read_with_certainty(tmp_path, case, name, written, source, keys):
    file = put(tmp_path, written, x=lambda value: str(int(value * 10)))
    message = failed(validated(file, "y", source=source)[1]).get("WS-DATA-117", "")
    wanted = ", ".join(f'{key}: "{sign}"' for key, sign in keys.items()) if keys else "kind: category"
    case(name, right=True, got="k is read as number" in message and wanted in message)
    _, report = validated(file, "y", source=source, columns={"k": keys or {"kind": "category"}})
    case(f"... {name} with what is named", right="pass", got=report.status.value)
