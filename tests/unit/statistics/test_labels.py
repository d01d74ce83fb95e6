from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.statistics.labels import read_outcomes

FIELDS = (InputField(name="age", kind=ColumnKind.NUMBER),)


def classes(*labels: Any) -> InputSchema:
    return InputSchema(model="churn", fields=FIELDS, answer=Answer.CLASS, classes=labels)


NUMBER = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)


@pytest.mark.parametrize(
    ("schema", "outcome", "label"),
    [
        (classes(False, True), True, True),
        (classes(False, True), "true", True),
        (classes(False, True), "Yes", True),
        (classes(False, True), "n", False),
        (classes(False, True), 0, False),
        (classes(False, True), "1", True),
        (classes(False, True), 1.0, True),
        (classes(False, True), 2, None),
        (classes(False, True), "maybe", None),
        (classes(0, 1), True, 1),
        (classes(0, 1), "0", 0),
        (classes(0, 1), 1.0, 1),
        (classes(0, 1), "YES", 1),
        (classes(1, 2), 1, 1),
        (classes(1, 2), "2", 2),
        (classes(1, 2), True, None),
        (classes(1, 2), "yes", None),
        (classes(0, 1, 2), True, None),
        (classes("no", "yes"), "yes", "yes"),
        (classes("no", "yes"), " yes ", "yes"),
        (classes("no", "yes"), "Yes", None),
        (classes("no", "yes"), True, None),
        (classes("0", "1"), 1, "1"),
        (classes("3", "x"), 3.0, "3"),
        (classes(False, True), np.bool_(True), True),
        (classes(False, True), np.int64(0), False),
        (classes(1, 2), Decimal("2"), 2),
        (NUMBER, 3, 3.0),
        (NUMBER, "3.5", 3.5),
        (NUMBER, True, None),
        (NUMBER, "many", None),
        (NUMBER, math.inf, None),
        (NUMBER, "1e31", None),
        (NUMBER, 10**400, None),
        (NUMBER, np.float32(0.5), 0.5),
    ],
)
def test_a_label_means_a_class_or_nothing(schema: InputSchema, outcome: Any, label: Any) -> None:
    read, foreign = read_outcomes([outcome], schema)
    assert read == [label]
    assert type(read[0]) is type(label)
    assert foreign == (label is None)


@pytest.mark.parametrize("nothing", [None, math.nan, pd.NA, pd.NaT, np.float64("nan")])
def test_no_label_is_none_and_not_foreign(nothing: Any) -> None:
    assert read_outcomes([nothing], classes(False, True)) == ([None], 0)


def test_each_foreign_label_counts() -> None:
    read, foreign = read_outcomes(["x", True, "x", None, "w"], classes(False, True))
    assert read == [None, True, None, None, None]
    assert foreign == 3


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())


@given(
    st.lists(SCALARS), st.sampled_from([classes(False, True), classes(0, 1, 2), classes("a", "1"), NUMBER])
)
def test_whatever_comes_is_a_class_a_number_or_nothing(outcomes: list[Any], schema: InputSchema) -> None:
    read, foreign = read_outcomes(outcomes, schema)
    assert len(read) == len(outcomes)
    missing = sum(one is None or one != one or (isinstance(one, str) and not one.strip()) for one in outcomes)
    assert sum(one is None for one in read) == missing + foreign
    for label in read:
        assert label is None or schema.answer is Answer.NUMBER or label in schema.classes


@given(st.sampled_from([(False, True), (0, 1), (1, 2, 3), ("a", "b"), (-1.5, 2.5)]), st.data())
def test_every_class_means_itself(labels: tuple[Any, ...], data: st.DataObject) -> None:
    label = data.draw(st.sampled_from(labels))
    read, foreign = read_outcomes([label], classes(*labels))
    assert (read, foreign) == ([label], 0)
