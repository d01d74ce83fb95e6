from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from windsock.monitoring.backtest_history import DatedRows, TableHistory, read_answers
from windsock.records import Answer, ColumnKind, InputField, InputSchema, Span
from windsock.spec import LabelsBlock
from windsock.statistics.profiling import build_profile, describe_column

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIELDS = (
    InputField(name="age", kind=ColumnKind.NUMBER),
    InputField(name="plan", kind=ColumnKind.CATEGORY),
    InputField(name="member", kind=ColumnKind.BOOLEAN),
    InputField(name="joined", kind=ColumnKind.DATETIME),
)
SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.CLASS, classes=("no", "yes"), positive="yes")
NAN = float("nan")


def features(ages):
    count = len(ages)
    return pd.DataFrame(
        {
            "age": np.array(ages, dtype="float64"),
            "plan": pd.Series(["basic", "pro", np.nan, "new"] * count, dtype=object)[:count].to_numpy(),
            "member": ([1.0, 0.0, NAN, 1.0] * count)[:count],
            "joined": pd.to_datetime((["2024-01-01", None] * count)[:count]),
        }
    )


def history(hours=8, *, delay=timedelta(0), outcomes=None):
    """Return a row an hour from noon on, answered by version 1 with a score of 0.2."""
    rows = DatedRows(
        times=np.array(
            [(NOON + n * HOUR).replace(tzinfo=None) for n in range(hours)], dtype="datetime64[us]"
        ),
        features=features(list(range(hours))),
        outcomes=["yes", "no", None, "yes"] * hours if outcomes is None else outcomes,
        units=[None] * hours,
    )
    made = TableHistory(rows, SCHEMA, delay=delay)
    made.serve("1", "a" * 64, answered_with(0.2))
    return made


def answered_with(score):
    def answer(given):
        count = len(given)
        return read_answers(np.tile([1 - score, score], (count, 1)), SCHEMA)

    return answer


def span(first, last):
    return Span(start=NOON + first * HOUR, end=NOON + last * HOUR)


@pytest.fixture
def profile():
    made = build_profile(features([0, 1, 2, 3] * 10), FIELDS)
    score = describe_column(pd.Series([0.1, 0.2, 0.3]), InputField(name="score", kind=ColumnKind.NUMBER))
    return made.model_copy(update={"score": score})


def test_counts_of_a_stretch(profile):
    counts = history().count("churn", "a" * 64, profile, span(1, 5))
    assert (counts.rows, counts.variants, counts.predictions) == (4, {"champion": 4}, {"no": 4})
    age, plan, member, joined = (counts.columns[field.name] for field in FIELDS)
    assert (age.rows, age.lowest, age.highest) == (4, 1.0, 4.0)
    names = list(profile.column("plan").categories)
    assert {name: int(plan.named[names.index(name)]) for name in ("basic", "pro")} == {"basic": 1, "pro": 1}
    assert (plan.rows, plan.nulls) == (3, 1)
    assert dict(zip(profile.column("member").categories, member.named.tolist(), strict=True)) == {
        "false": 1,
        "true": 2,
    }
    assert (joined.rows, joined.nulls) == (2, 2)
    assert (counts.scores.rows, counts.scores.lowest) == (4, 0.2)


def test_counts_of_parts_add_up(profile):
    made = history()
    whole = made.count("churn", "a" * 64, profile, span(0, 8))
    parts = made.count("churn", "a" * 64, profile, span(0, 3)) + made.count(
        "churn", "a" * 64, profile, span(3, 8)
    )
    assert whole.rows == parts.rows == 8
    for name, column in whole.columns.items():
        assert (column.rows, column.nulls) == (parts.columns[name].rows, parts.columns[name].nulls)
        if column.below is not None:
            assert column.below.tolist() == parts.columns[name].below.tolist()


def test_an_empty_stretch_and_a_category_that_training_did_not_know(profile):
    made = history()
    empty = made.count("churn", "a" * 64, profile, span(20, 30))
    assert (empty.rows, empty.variants, empty.columns["age"].total, empty.scores.rows) == (0, {}, 0, 0)
    shorter = profile.model_copy(
        update={
            "columns": tuple(
                one.model_copy(update={"categories": {"basic": 10}}) if one.name == "plan" else one
                for one in profile.columns
            )
        }
    )
    assert made.count("churn", "a" * 64, shorter, span(0, 4)).columns["plan"].unseen == 2


def test_a_column_that_the_table_lacks_is_absent(profile):
    made = history()
    made.rows.features.drop(columns=["age"], inplace=True)
    age = made.count("churn", "a" * 64, profile, span(0, 4)).columns["age"]
    assert (age.rows, age.absent) == (0, 4)


def test_labels_are_known_once_their_time_has_come():
    made = history(delay=2 * HOUR)
    joined = made.labelled("churn", span(0, 8), LabelsBlock(), schema=SCHEMA, as_of=NOON + 5 * HOUR)
    assert joined.frame["outcome"].tolist() == ["yes", "no", None, "yes", None, None, None, None]
    assert joined.late == 3  # the labels of rows 4, 5 and 7; row 6 never has one
    assert joined.frame["label_time"].notna().tolist() == [True, True, False, True] + [False] * 4
    first = joined.frame["features"].tolist()[0]
    assert first["age"] == 0.0
    assert joined.frame["features"].tolist()[3]["plan"] == "new"
    assert joined.frame["features"].tolist()[4] is None
    assert joined.frame["receive_time"].tolist()[0] == pd.Timestamp(NOON)


def test_missing_values_come_as_none():
    joined = history(outcomes=["yes"] * 8).labelled(
        "churn", span(2, 3), LabelsBlock(), schema=SCHEMA, as_of=NOON + 9 * HOUR
    )
    row = joined.frame["features"].tolist()[0]
    assert (row["plan"], row["member"]) == (None, None)


def test_a_later_version_answers_from_its_time_on(profile):
    made = history()
    made.serve("2", "b" * 64, answered_with(0.9), since=NOON + 5 * HOUR)
    frame = made.labelled("churn", span(0, 8), LabelsBlock(), schema=SCHEMA, as_of=NOON + 9 * HOUR).frame
    assert frame["version"].tolist() == ["1"] * 5 + ["2"] * 3
    assert frame["score"].tolist() == [0.2] * 5 + [0.9] * 3
    assert frame["prediction"].tolist() == ["no"] * 5 + ["yes"] * 3
    only = made.labelled(
        "churn", span(0, 8), LabelsBlock(), schema=SCHEMA, digest="b" * 64, as_of=NOON + 9 * HOUR
    )
    assert only.frame["prediction_id"].tolist() == ["row-5", "row-6", "row-7"]
    counts = made.count("churn", "b" * 64, profile, span(4, 8))
    assert (counts.rows, counts.scores.rows, counts.predictions) == (4, 3, {"yes": 3})
    assert len(made.sample("churn", span(0, 8), schema=SCHEMA, digest="b" * 64, limit=10, seed=1)) == 3


def test_a_sample_is_bounded_and_the_same_for_the_same_seed():
    made = history(20)
    found = [made.sample("churn", span(0, 20), schema=SCHEMA, limit=5, seed=3) for _ in range(2)]
    assert len(found[0]) == 5
    pd.testing.assert_frame_equal(*found)
    assert list(found[0].columns) == ["age", "plan", "member", "joined", "score"]


def test_answers_are_read_as_the_server_does():
    scores, predictions = read_answers(np.array([[0.5, 0.5], [0.1, 0.9]]), SCHEMA)
    assert (scores.tolist(), predictions.tolist()) == ([0.5, 0.9], ["no", "yes"])
    three = SCHEMA.model_copy(update={"classes": ("a", "b", "c"), "positive": None})
    scores, predictions = read_answers(np.array([[0.1, 0.2, 0.7]]), three)
    assert np.isnan(scores).all()
    assert predictions.tolist() == ["c"]
    number = SCHEMA.model_copy(update={"answer": Answer.NUMBER, "classes": (), "positive": None})
    scores, predictions = read_answers(np.array([1.5, -2.0]), number)
    assert scores.tolist() == predictions.tolist() == [1.5, -2.0]
