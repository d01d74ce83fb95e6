from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.builders import NOON, digest
from support.logged_hours import LoggedHours, event, span
from windsock.adapters import log_merge
from windsock.adapters.log_leaves import (
    Leaf,
    arrow_type,
    feature_rows,
    leaf_values,
    leaves_of,
    make_leaf,
    typed,
    widen,
    wider,
)
from windsock.adapters.log_reading import LogReader, hours_in

HOUR = "predictions/churn/20260501T12.parquet"


@pytest.fixture
def log(tmp_path: Path) -> LoggedHours:
    return LoggedHours(tmp_path)


def tables(log: LoggedHours, **options: Any) -> list[pa.Table]:
    return list(LogReader(log.folder, log.storage).tables("predictions", "churn", span(0, 1), **options))


def features(log: LoggedHours) -> list[dict[str, Any]]:
    return [row for table in tables(log) for row in feature_rows(table)]


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e300, 1e300) | st.text(max_size=5)
)


@settings(deadline=None)
@given(st.lists(SCALARS, max_size=20))
def test_a_leaf_holds_its_values(values: list[Any]) -> None:
    leaf, column = make_leaf(values)
    assert column.type == arrow_type(leaf)
    read = column.to_pylist()
    if leaf is Leaf.JSON:
        read = [None if one is None else json.loads(one) for one in read]
    assert read == values


@settings(deadline=None)
@given(st.lists(SCALARS, max_size=8), st.lists(SCALARS, max_size=8))
def test_a_wider_leaf_holds_the_values_of_both(one: list[Any], other: list[Any]) -> None:
    made = [make_leaf(values) for values in (one, other)]
    leaf = wider(made[0][0], made[1][0])
    assert leaf is wider(made[1][0], made[0][0])
    for (own, column), values in zip(made, (one, other), strict=True):
        read = widen(column, own, leaf).to_pylist()
        if leaf is Leaf.JSON:
            read = [None if value is None else json.loads(value) for value in read]
        if {own, leaf} != {Leaf.INTEGER, Leaf.NUMBER}:
            assert read == values
        else:
            assert read == [None if value is None else float(value) for value in values]


def test_leaves_are_found_over_all_row_groups(log: LoggedHours, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_merge, "GROUP_ROWS", 2)
    kinds: list[Any] = [None, None, 3, 4, 1.5, 2, 7, None]
    log.write(
        *(event(str(n), at=NOON + timedelta(seconds=n), features={"x": x}) for n, x in enumerate(kinds))
    )
    log.archive()
    place = log.storage.local_path(HOUR)
    assert place is not None
    assert pq.read_schema(place).field("features").type.field("x").type == pa.float64()
    assert [row["x"] for row in features(log)] == kinds


def test_versions_that_differ_in_a_fields_type_and_in_their_fields(log: LoggedHours) -> None:
    log.write(event("a", features={"x": 3.5, "old": True}))
    log.write(event("b", at=NOON + timedelta(seconds=1), digest=digest("c"), features={"x": "3.5", "new": 1}))
    live = features(log)
    log.archive()
    assert features(log) == live == [{"x": 3.5, "old": True}, {"x": "3.5", "new": 1}]
    (table,) = tables(log)
    assert leaves_of(table.schema) == {"x": Leaf.JSON, "old": Leaf.BOOLEAN, "new": Leaf.INTEGER}
    assert leaf_values(table, "old") == [True, None]
    assert leaf_values(table, "unknown") == [None, None]


def test_a_late_segment_changes_a_type(log: LoggedHours) -> None:
    for number, value in enumerate([None, 3, 2.5, "text"]):
        log.write(event(str(number), at=NOON + timedelta(seconds=number), features={"x": value}))
        log.archive()
    assert [row["x"] for row in features(log)] == [None, 3, 2.5, "text"]


def test_a_file_of_before_becomes_typed_when_it_is_added_to(log: LoggedHours) -> None:
    log.write(event("old", features={"age": 3, "plan": None}))
    log.archive()
    place = log.storage.local_path(HOUR)
    assert place is not None
    table = pq.read_table(place)
    texts = pa.array(['{"age": 3, "plan": null}'])
    table = table.set_column(table.column_names.index("features"), "features", texts)
    pq.write_table(table.replace_schema_metadata(None), place)
    assert features(log) == [{"age": 3, "plan": None}]
    log.write(event("new", at=NOON + timedelta(seconds=1), features={"age": 4, "plan": "gold"}))
    log.archive()
    assert features(log) == [{"age": 3, "plan": None}, {"age": 4, "plan": "gold"}]
    assert pa.types.is_struct(pq.read_schema(place).field("features").type)


@pytest.mark.parametrize(
    "names", [["a.b", "a", "a.b.c"], ["", " "], ["Zoë", "日本"], ["list", "element"], ["A", "a"]]
)
def test_fields_of_any_name(log: LoggedHours, names: list[str]) -> None:
    row = {name: float(place) for place, name in enumerate(names)}
    log.write(event("a", features=row))
    log.archive()
    assert features(log) == [row]
    for name in names:
        (table,) = tables(log, columns=["digest", "features"], features=[name])
        assert leaf_values(table, name) == [row[name]]


def test_rows_without_any_feature(log: LoggedHours) -> None:
    log.write(event("a", features={}))
    live = features(log)
    log.archive()
    assert features(log) == live == [{}]


def test_numbers_are_read_again_to_the_last_bit(log: LoggedHours) -> None:
    values = [0.1 + 0.2, 5e-324, -0.0, 1e300, 2.0**53 - 1]
    log.write(
        *(event(str(n), at=NOON + timedelta(seconds=n), features={"x": x}) for n, x in enumerate(values))
    )
    log.archive()
    assert [repr(row["x"]) for row in features(log)] == [repr(value) for value in values]


def test_only_what_is_asked_for_is_read(log: LoggedHours) -> None:
    log.write(event("a"))
    log.archive()
    (table,) = tables(log, columns=["digest", "features"], features=["age", "unknown"])
    assert table.column_names == ["digest", "features"]
    assert [field.name for field in table["features"].type] == ["age"]


def test_a_file_says_which_hours_its_rows_are_of(log: LoggedHours) -> None:
    log.write(event("a"), event("b", at=NOON - timedelta(minutes=1)), hour="20260501T12")
    log.archive()
    place = log.storage.local_path(HOUR)
    assert place is not None
    assert hours_in(pq.ParquetFile(place), "20260501T12") == ["20260501T12", "20260501T11"]
    assert hours_in(None, "20260501T12") == ["20260501T12"]


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3), min_size=1, max_size=6))
def test_typed_rows_are_the_rows(rows: list[dict[str, Any]]) -> None:
    table = pa.table(
        {
            "digest": [str(number) for number in range(len(rows))],
            "features": pa.array([json.dumps(row) for row in rows], pa.string()),
        }
    )
    assert feature_rows(typed(table)) == rows
