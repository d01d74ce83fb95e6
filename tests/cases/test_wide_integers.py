"""Digits that a number cannot hold are kept, whatever the file is."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from support.read_files import read_columns

pytestmark = pytest.mark.cases
ROWS = 400


def test_ids_of_64_bits(tmp_path, case):
    draw = np.random.default_rng(1)
    ids = (1_790_000_000_000_000_000 + 17 * draw.integers(0, 12, ROWS)).tolist()
    kinds = {}
    for name, values in (("stores", ids), ("stores_null", [None, *ids[1:]])):
        table = pa.table({"store_id": pa.array(values, pa.int64()), "x": draw.normal(size=ROWS)})
        parquet.write_table(table, tmp_path / f"{name}.parquet")
        csv.write_csv(table, tmp_path / f"{name}.csv")
        for ending in ("parquet", "csv"):
            read = read_columns(tmp_path / f"{name}.{ending}")["store_id"]
            kinds[name, ending] = read.kind.value
            right = [None if value is None else str(value) for value in values]
            case(f"{name}.{ending}: every digit", right=right, got=read.values.tolist())
    case("Parquet, Parquet with nulls and CSV agree", right={"category"}, got=set(kinds.values()))


def test_beyond_two_to_the_53(tmp_path, case):
    values = [2**53 + 1, 2**53 + 2, 2**53 + 3] * 100
    parquet.write_table(pa.table({"c": pa.array(values, pa.int64())}), tmp_path / "c.parquet")
    read = read_columns(tmp_path / "c.parquet")["c"]
    case("9007199254740993 and its neighbours", right=3, got=read.values.nunique())


def test_decimals_of_38_digits(tmp_path, case):
    values = [Decimal("12345678901234567890.12") + number for number in range(ROWS)]
    parquet.write_table(pa.table({"c": pa.array(values, pa.decimal128(38, 2))}), tmp_path / "c.parquet")
    (tmp_path / "c.csv").write_text("c,x\n" + "".join(f"{value},1\n" for value in values))
    for ending in ("parquet", "csv"):
        read = read_columns(tmp_path / f"c.{ending}")["c"]
        case(f"decimals of 22 digits in {ending}", right=list(map(str, values)), got=read.values.tolist())


def test_small_decimals_are_numbers(tmp_path, case):
    values = [Decimal(number) / 100 for number in range(ROWS)]
    parquet.write_table(pa.table({"c": pa.array(values, pa.decimal128(38, 20))}), tmp_path / "c.parquet")
    read = read_columns(tmp_path / "c.parquet")["c"]
    case("prices as decimal(38, 20)", right=("number", 0.03), got=(read.kind.value, read.values.iloc[3]))
