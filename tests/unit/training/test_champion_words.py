from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import make_snapshot
from support.builders import one_column_champion as champion
from windsock.exceptions import DataRefusedError
from windsock.records import (
    Answer,
    ColumnKind,
    ColumnSchema,
    InputField,
    InputSchema,
    ValueForm,
)
from windsock.training.champion_words import in_champion_words, require_same_classes
from windsock.training.preprocessing import to_features

NUMBER, INTEGER = ColumnKind.NUMBER, ColumnKind.INTEGER
BOOLEAN, CATEGORY, DATETIME = ColumnKind.BOOLEAN, ColumnKind.CATEGORY, ColumnKind.DATETIME
ROWS = 100


def read(
    theirs: InputField, column: ColumnSchema, values: list[Any], categories: dict[str, int] | None = None
) -> list[Any]:
    """Return a column as the champion's pipeline gets it; ``None`` for what is missing."""
    frame = pd.DataFrame({"x": pd.Series(values)})
    snapshot = make_snapshot(rows=len(values), columns=(column,))
    known = in_champion_words(frame, champion(theirs, categories=categories or {}), snapshot)
    features = to_features(known, [theirs])["x"].astype(object)
    return [None if pd.isna(value) else value for value in features]


def x(kind: ColumnKind, **said: Any) -> ColumnSchema:
    return ColumnSchema(name="x", kind=kind, **said)


def theirs(kind: ColumnKind, **said: Any) -> InputField:
    return InputField(name="x", kind=kind, **said)


YES = {"true_word": "yes", "false_word": "no"}


@pytest.mark.parametrize(
    ("field", "column", "values", "right"),
    [
        (theirs(NUMBER), x(CATEGORY), ["19.90", "7", "-1e3", " 2.5"], [19.9, 7.0, -1000.0, 2.5]),
        (theirs(INTEGER), x(CATEGORY), ["01067", "80331"], [1067.0, 80331.0]),
        (theirs(NUMBER), x(CATEGORY), ["1", "NA", None, "\\N", "-"], [1.0, None, None, None, None]),
        (theirs(INTEGER), x(NUMBER), [1.0, 2.5], [1.0, 2.5]),
        (theirs(NUMBER), x(INTEGER), [1, 2], [1.0, 2.0]),
        (theirs(BOOLEAN, **YES), x(CATEGORY), ["Yes", "no", None, "n/a"], [1.0, 0.0, None, None]),
        (theirs(BOOLEAN, **YES), x(BOOLEAN, true_word="YES", false_word="No"), [True, False], [1.0, 0.0]),
        (theirs(BOOLEAN, **YES), x(BOOLEAN, true_word="no", false_word="yes"), [True, False], [0.0, 1.0]),
        (theirs(BOOLEAN), x(BOOLEAN, true_word="True", false_word="False"), [True, False], [1.0, 0.0]),
        (
            theirs(BOOLEAN, true_word="1", false_word="0"),
            x(INTEGER),
            [1, 0],
            [1.0, 0.0],
        ),
        (
            theirs(DATETIME),
            x(CATEGORY),
            ["2026-01-02", "2026-01-02T03:00:00+01:00"],
            [pd.Timestamp("2026-01-02"), pd.Timestamp("2026-01-02T02:00:00")],
        ),
    ],
)
def test_a_column_is_read_as_the_champion_would_have_read_its_words(
    field: InputField, column: ColumnSchema, values: list[Any], right: list[Any]
) -> None:
    assert read(field, column, values) == right


SEEN = {"yes": 40, "no": 40, "unknown": 20, "7": 5, "80331": 9}


@pytest.mark.parametrize(
    ("column", "values", "right"),
    [
        (x(BOOLEAN, **YES), [True, False], ["yes", "no"]),
        (x(INTEGER), [7, 80331], ["7", "80331"]),
    ],
)
def test_a_category_gets_its_words_back_where_they_are_known(
    column: ColumnSchema, values: list[Any], right: list[Any]
) -> None:
    assert read(theirs(CATEGORY), column, values, SEEN) == right


@pytest.mark.parametrize(
    ("field", "column", "values"),
    [
        (theirs(NUMBER), x(CATEGORY), ["12,50"] * 9),
        (theirs(NUMBER), x(CATEGORY), ["1"] * 9 + ["free"]),
        (theirs(NUMBER), x(DATETIME), [pd.Timestamp("2026-01-02")]),
        (theirs(NUMBER), x(BOOLEAN, **YES), [True, False]),
        (theirs(NUMBER), x(BOOLEAN), [True, False]),
        (theirs(BOOLEAN, **YES), x(CATEGORY), ["yes"] * 9 + ["unknown"]),
        (theirs(BOOLEAN, **YES), x(BOOLEAN), [True, False]),
        (theirs(BOOLEAN, **YES), x(BOOLEAN, true_word="t", false_word="f"), [True, False]),
        (theirs(BOOLEAN), x(INTEGER), [1, 0]),
        (theirs(DATETIME), x(CATEGORY), ["2026-01-02"] * 9 + ["0000-00-00"]),
        (theirs(DATETIME), x(INTEGER), [20260102]),
        (theirs(CATEGORY), x(NUMBER), [7.0, 80331.0]),
        (theirs(CATEGORY), x(DATETIME), [pd.Timestamp("2026-01-02")]),
        (theirs(CATEGORY), x(BOOLEAN), [True, False]),
        (theirs(CATEGORY), x(INTEGER), [1067, 20095]),
        (theirs(CATEGORY), x(INTEGER, form=ValueForm(thousands=",")), [7, 80331]),
    ],
)
def test_what_it_would_not_understand_is_refused_with_both_kinds_and_the_fix(
    field: InputField, column: ColumnSchema, values: list[Any]
) -> None:
    with pytest.raises(DataRefusedError) as refused:
        read(field, column, values, SEEN)
    said = refused.value
    assert said.code == "WS-EVALUATION-004"
    assert f"'x' is read as {field.kind.value} by the champion and as {column.kind.value}" in said.message
    assert f"`data.columns.x.kind: {field.kind.value}`" in said.next_action
    assert not any(str(value) in said.message for value in values if len(str(value)) > 2)


@pytest.mark.parametrize(("odd", "refused"), [(5, False), (6, True)])
def test_up_to_a_twentieth_may_mean_nothing(odd: int, refused: bool) -> None:
    values = ["free"] * odd + ["1"] * (ROWS - odd)
    if refused:
        with pytest.raises(DataRefusedError, match="6 of 100 values mean nothing"):
            read(theirs(NUMBER), x(CATEGORY), values)
    else:
        assert read(theirs(NUMBER), x(CATEGORY), values) == [None] * odd + [1.0] * (ROWS - odd)


def test_values_that_the_snapshot_could_not_read_count_too() -> None:
    column = x(NUMBER, nulls=10, unread=10)
    with pytest.raises(DataRefusedError, match="10 of 100 values could not be read"):
        read(theirs(NUMBER), column, [1.0] * 90 + [np.nan] * 10)


def test_a_word_such_as_na_that_was_a_category_and_is_missing_now_is_refused() -> None:
    values = ["a"] * 8 + [None, None]
    with pytest.raises(DataRefusedError, match="2 of 10 are missing that were words"):
        read(theirs(CATEGORY), x(CATEGORY), values, {"a": 8, "NA": 2})
    assert read(theirs(CATEGORY), x(CATEGORY), values, {"a": 8}) == values


def test_an_optional_field_may_be_gone_and_a_required_one_may_not() -> None:
    frame, snapshot = pd.DataFrame({"y": [1.0]}), make_snapshot(rows=1, columns=(x(NUMBER),))
    optional = in_champion_words(frame, champion(theirs(NUMBER, required=False)), snapshot)
    assert list(optional.columns) == []
    with pytest.raises(DataRefusedError, match="'x' is not in the snapshot, and the champion needs it"):
        in_champion_words(frame, champion(theirs(NUMBER)), snapshot)


def classes(*labels: Any, **said: Any) -> InputSchema:
    return InputSchema(
        model="churn", fields=(theirs(NUMBER),), answer=Answer.CLASS, classes=labels, positive=None, **said
    )


@pytest.mark.parametrize(
    ("before", "now", "truth", "why"),
    [
        (classes(1, 2), classes("01", "02"), ["01", "02"], "classes are integers, this model's are text"),
        (classes(False, True), classes(0, 1), [0, 1], "classes are booleans, this model's are integers"),
        (classes("a", "b"), classes("a", "b", "c"), ["a", "c", "c"], "2 of 3 held-out rows are of 1 class"),
        (
            classes(False, True, label_words=("yes", "no")),
            classes(False, True),
            [True, False],
            "other words mean true and false",
        ),
    ],
)
def test_labels_that_are_not_in_the_champions_classes_are_refused(
    before: InputSchema, now: InputSchema, truth: list[Any], why: str
) -> None:
    target = ColumnSchema(name="t", kind=BOOLEAN, true_word="late", false_word="ontime")
    with pytest.raises(DataRefusedError, match=why) as refused:
        require_same_classes(np.array(truth), before, now, target)
    assert refused.value.code == "WS-EVALUATION-005"
    assert "gate.on_insufficient: ask" in refused.value.next_action


def test_labels_in_the_champions_classes_may_be_fewer_or_the_new_model_know_more() -> None:
    target = ColumnSchema(name="t", kind=BOOLEAN, true_word="Yes", false_word="NO")
    require_same_classes(np.array(["a"]), classes("a", "b", "c"), classes("a", "z"), target)
    words = classes(False, True, label_words=("yes", "no"))
    require_same_classes(np.array([True]), words, classes(False, True), target)
    number = InputSchema(model="churn", fields=(theirs(NUMBER),), answer=Answer.NUMBER)
    require_same_classes(np.array([1.5]), number, number, None)
