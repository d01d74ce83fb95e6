from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import make_snapshot, make_spec
from windsock.exceptions import TrainingRefusedError
from windsock.records import Answer, ColumnKind, ColumnRole, ColumnSchema, InputField, InputSchema
from windsock.training.target import feature_fields, make_schema, read_labels, universe_of

FIELD = InputField(name="age", kind="number")


def column(kind: str, **fields) -> ColumnSchema:
    return ColumnSchema(name="churned", kind=kind, role=ColumnRole.TARGET, **fields)


def labels_of(values, kind: str, *, task: str = "classification", **fields) -> np.ndarray:
    spec = make_spec(model={"name": "churn", "task": task})
    frame = pd.DataFrame({"churned": values})
    return read_labels(frame, make_snapshot(columns=(column(kind, **fields),)), spec)


class TestFeatureFields:
    def columns(self, **roles: ColumnRole):
        return tuple(
            ColumnSchema(name=name, kind=ColumnKind.CATEGORY, role=role) for name, role in roles.items()
        )

    def test_only_features_in_the_order_of_the_snapshot(self):
        columns = self.columns(
            id=ColumnRole.ENTITY,
            z=ColumnRole.FEATURE,
            churned=ColumnRole.TARGET,
            a=ColumnRole.FEATURE,
            x=ColumnRole.IGNORED,
        )
        fields = feature_fields(make_snapshot(columns=columns), make_spec())
        assert [field.name for field in fields] == ["z", "a"]

    def test_words_of_a_boolean_go_along(self):
        told = ColumnSchema(name="b", kind=ColumnKind.BOOLEAN, true_word="Yes", false_word="No")
        (field,) = feature_fields(make_snapshot(columns=(told,)), make_spec())
        assert (field.true_word, field.false_word) == ("Yes", "No")

    @pytest.mark.parametrize("role", [ColumnRole.SENSITIVE, ColumnRole.FEATURE])
    def test_a_sensitive_column_is_a_feature_only_if_it_is_listed(self, role):
        snapshot = make_snapshot(columns=self.columns(age=ColumnRole.FEATURE, gender=role))
        unlisted = make_spec(data={"sensitive": ["gender"]})
        listed = make_spec(data={"sensitive": ["gender"], "features": ["age", "gender"]})
        assert [field.name for field in feature_fields(snapshot, unlisted)] == ["age"]
        assert [field.name for field in feature_fields(snapshot, listed)] == ["age", "gender"]

    def test_no_feature_at_all_is_refused(self):
        with pytest.raises(TrainingRefusedError, match="none of the snapshot's 1 columns") as caught:
            feature_fields(make_snapshot(columns=self.columns(id=ColumnRole.IGNORED)), make_spec())
        assert caught.value.code == "WS-TRAINING-004"


class TestReadLabels:
    def test_classes_keep_their_kind(self):
        assert labels_of([True, False], "boolean").dtype == bool
        assert labels_of(["a", "b"], "category").tolist() == ["a", "b"]
        assert labels_of([1, 2], "integer").dtype == np.int64
        assert labels_of([1.0, 2.0], "number").dtype == np.int64

    def test_words_of_a_boolean_are_read(self):
        assert labels_of(["Yes", "No"], "boolean", true_word="Yes", false_word="No").tolist() == [True, False]

    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            ([1.0, np.nan], "number"),
            ([1.0, np.inf], "number"),
            (["a", None], "category"),
            ([True, None], "boolean"),
        ],
    )
    @pytest.mark.parametrize("task", ["classification", "regression"])
    def test_a_missing_or_infinite_target_is_refused_with_the_count(self, values, kind, task):
        with pytest.raises(
            TrainingRefusedError, match="missing or infinite in 1 of 2 rows; limit 0"
        ) as caught:
            labels_of(values, kind, task=task)
        assert caught.value.code == "WS-TRAINING-005"

    @pytest.mark.parametrize(
        ("values", "kind"), [([0.5, 1.5], "number"), ([pd.Timestamp("2024-01-01")], "datetime")]
    )
    def test_what_is_no_class_is_refused(self, values, kind):
        with pytest.raises(TrainingRefusedError, match="classification needs classes") as caught:
            labels_of(values, kind)
        assert caught.value.code == "WS-TRAINING-006"

    @pytest.mark.parametrize(("values", "kind"), [(["a"], "category"), ([True], "boolean")])
    def test_what_is_no_number_is_refused(self, values, kind):
        with pytest.raises(TrainingRefusedError, match="regression needs a number") as caught:
            labels_of(values, kind, task="regression")
        assert caught.value.code == "WS-TRAINING-006"

    def test_a_value_of_another_kind_is_refused_and_not_shown(self):
        with pytest.raises(TrainingRefusedError, match="no number") as caught:
            labels_of(["secret"], "number", task="regression")
        assert "secret" not in str(caught.value)

    def test_a_target_that_is_not_there_is_refused(self):
        with pytest.raises(TrainingRefusedError, match="is no column"):
            read_labels(pd.DataFrame({"x": [1]}), make_snapshot(columns=(FIELD_COLUMN,)), make_spec())


FIELD_COLUMN = ColumnSchema(name="age", kind=ColumnKind.NUMBER)


class TestMakeSchema:
    def schema(self, labels, *, positive=None, told: ColumnSchema | None = None) -> InputSchema:
        return make_schema(make_spec(data={"positive": positive}), [FIELD], np.array(labels), told)

    def test_two_classes_have_a_positive_one(self):
        schema = self.schema(["no", "yes", "no"])
        assert (schema.answer, schema.classes, schema.positive) == (Answer.CLASS, ("no", "yes"), "yes")
        assert self.schema([False, True]).positive is True
        assert self.schema([1, 2]).positive == 2

    @pytest.mark.parametrize(
        ("labels", "positive", "expected"),
        [
            (["no", "yes"], "no", "no"),
            ([1, 2], 1, 1),
            ([1, 2], "1", 1),
            ([False, True], False, False),
            ([0, 1], False, 0),
        ],
    )
    def test_the_spec_may_choose_it(self, labels, positive, expected):
        assert self.schema(labels, positive=positive).positive == expected

    def test_it_may_be_one_of_the_words_of_a_boolean(self):
        told = column("boolean", true_word="Yes", false_word="No")
        assert self.schema([False, True], positive="No", told=told).positive is False
        assert self.schema([False, True], positive="Yes", told=told).positive is True

    def test_one_that_is_not_there_is_refused(self):
        with pytest.raises(TrainingRefusedError, match=r"none of the 2 classes") as caught:
            self.schema(["no", "yes"], positive="maybe")
        assert caught.value.code == "WS-TRAINING-007"

    def test_more_classes_have_none(self):
        schema = self.schema(["b", "a", "c"], positive="a")
        assert (schema.classes, schema.positive) == (("a", "b", "c"), None)

    def test_one_class_is_refused(self):
        with pytest.raises(TrainingRefusedError, match="1 class in 3 training rows; at least 2") as caught:
            self.schema(["only", "only", "only"])
        assert caught.value.code == "WS-TRAINING-002"

    def test_numbers_have_no_classes(self):
        schema = make_schema(
            make_spec(model={"name": "churn", "task": "regression"}), [FIELD], np.array([1.0]), None
        )
        assert (schema.answer, schema.classes, schema.positive) == (Answer.NUMBER, (), None)


class TestUniverse:
    def test_classes_that_a_model_does_not_know_get_no_probability(self):
        schema = InputSchema(
            model="m", fields=(FIELD,), answer=Answer.CLASS, classes=("a", "b"), positive="b"
        )
        labels = np.array(["a", "new"], dtype=object)
        universe = universe_of(schema, labels, ("b", "c"))
        assert universe.classes == ("a", "b", "c", "new")
        scored = universe.score(labels, np.array([[0.3, 0.7], [0.6, 0.4]]), ("c", "b"))
        assert scored.truth.tolist() == [0, 3]
        assert scored.answers.tolist() == [[0, 0.7, 0.3, 0], [0, 0.4, 0.6, 0]]
        assert scored.positive == 1

    def test_numbers_pass_as_they_are(self):
        schema = InputSchema(model="m", fields=(FIELD,), answer=Answer.NUMBER)
        scored = universe_of(schema, np.array([1.0])).score(np.array([1.0]), np.array([2.0]), ())
        assert (scored.truth.tolist(), scored.answers.tolist(), scored.classes) == ([1.0], [2.0], 0)
