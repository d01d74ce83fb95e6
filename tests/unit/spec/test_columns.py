from __future__ import annotations

import pytest

from windsock.exceptions import SpecError
from windsock.spec.loader import spec_from_bytes

HEAD = "model: {name: churn}\ndata:\n  target: y\n  entity: id\n  columns:\n"


def test_what_a_column_means_is_read_as_it_is_written():
    text = (
        HEAD + '    a: {kind: boolean, "true": 1, "false": no, nulls: [k.A., 0]}\n    y: {classes: [1, 2]}\n'
    )
    columns = spec_from_bytes(text.encode(), "churn.yaml").data.columns
    assert (columns["a"].true, columns["a"].false, columns["a"].nulls) == ("1", "no", ("k.A.", "0"))
    assert columns["y"].classes == ("1", "2")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("    a: {kind: money}", [":6", "data.columns.a.kind", "unknown word"]),
        ("    a: {kidn: number}", [":6", "data.columns.a.kidn", "did you mean kind?"]),
        ("    a: {role: target}", [":6", "data.columns.a.role", "feature, sensitive, ignored"]),
        ("    y: {role: feature}", [":6", "data.columns.y.role", "data.target"]),
        ("    a: {classes: [x]}", [":6", "data.columns.a.classes", "only the target"]),
        ("    a: {unique: true}", [":6", "data.columns.a.unique", "only the entity"]),
        ("    a: {kind: datetime, decimal: ','}", [":6", "data.columns.a.decimal"]),
        ("    a: number", [":6", "data.columns.a", "a block of the keys"]),
        ("    a: {role: feature}\n  exclude: [a]", [":6", "data.columns.a.role", "data.exclude"]),
        ("    a: {role: feature}\n  features: [b]", [":6", "data.columns.a.role", "data.features"]),
        ("    a: {role: sensitive}\n  features: [a]", [":6", "data.columns.a.role", "data.features"]),
    ],
)
def test_nonsense_is_named_by_line_and_key(lines, words):
    with pytest.raises(SpecError) as caught:
        spec_from_bytes(f"{HEAD}{lines}\n".encode(), "churn.yaml")
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("role", ["entity", "event_time"])
def test_a_target_is_nothing_else(role):
    with pytest.raises(SpecError, match=f"churn.yaml:2: data.{role}: the target column stands here too"):
        spec_from_bytes(f"model: {{name: churn}}\ndata: {{target: y, {role}: y}}\n".encode(), "churn.yaml")


def test_columns_that_are_not_written_change_no_key_of_a_step():
    empty = spec_from_bytes(b"model: {name: churn}\n", "churn.yaml")
    written = spec_from_bytes(b"model: {name: churn}\ndata: {columns: {a: {kind: number}}}\n", "churn.yaml")
    assert empty.section_digest("data") != written.section_digest("data")
    kept = empty.data.model_dump(mode="json", exclude={"source", "data_window"})
    assert "columns" in kept
