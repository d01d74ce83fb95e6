"""The compiled form answers as the pipeline does: every preprocessing, estimator and kind of value."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from windsock.adapters import bundle_files
from windsock.adapters.compiled import PipelineCompiler
from windsock.exceptions import NotCompilableError
from windsock.records import COMPILED_FILE, TREES_FILE, Answer, ColumnKind, InputField, InputSchema
from windsock.training.preprocessing import to_features

EXACT = 1e-12
EVERY = [
    ("logistic_regression", "classification", 2, {}),
    ("logistic_regression", "classification", 3, {}),
    ("ridge", "regression", 0, {}),
    ("hist_gradient_boosting", "classification", 2, {}),
    ("hist_gradient_boosting", "classification", 3, {}),
    ("hist_gradient_boosting", "classification", 2, {"max_bins": 20}),
    ("hist_gradient_boosting", "regression", 0, {}),
    ("hist_gradient_boosting", "regression", 0, {"loss": "absolute_error"}),
    ("random_forest", "classification", 2, {"n_estimators": 20}),
    ("random_forest", "classification", 3, {"n_estimators": 20}),
    ("random_forest", "regression", 0, {"n_estimators": 20}),
]
BASE = {
    "age": 40.0, "city": "Paris", "visits": 3, "member": True, "paid": "Yes", "code": "3", "only": "same",
    "joined": "2024-02-29T00:00:00+00:00", "empty": None, "seen": "2024-05-06T17:30:00+00:00", "street": "s7",
    "full": -5.0, "nothing": None,
}  # fmt: skip

every = pytest.mark.parametrize(("estimator", "task", "classes", "params"), EVERY)


@every
def test_rows_of_the_same_kind_are_answered_alike(cases, other_rows, estimator, task, classes, params):
    case = cases(estimator, task, classes, **params)
    assert case.compare(other_rows) <= EXACT
    assert case.model.engine == ("linear" if estimator in ("logistic_regression", "ridge") else "trees")


@every
def test_values_at_the_edges_are_answered_alike(cases, estimator, task, classes, params):
    edges = {
        "age": [None, 0.0, -0.0, 1e30, -1e30, 1.01e30, -1e300, 5e-324, 45, True],
        "visits": [None, 0, 2**53, -(2**53), 7.0],
        "member": [None, True, False],
        "paid": [None, "Yes", "No", True, False],
        "city": [None, "Bonn", "Atlantis", "", "berlin", 3, 2.5, "windsock-unseen"],
        "code": [None, "3", 3, 3.0, "3.0", 7, 2.5, "2.5", "07", 2.0, "x", 1e22, -1],
        "only": [None, "same", "other"],
        "joined": [None, "2024-01-01T00:00:00+00:00", "1999-12-31T23:59:59.999+00:00", "2031-07-20T05:00:00"],
        "seen": [None, "2024-06-30T23:59:59+00:00", "2024-07-01T01:00:00+02:00", "2024-01-01T00:00:00Z"],
        "empty": [None, 3.0],
        "nothing": [None, "something"],
        "street": [None, "s399", "s0", "s400"],
        "full": [None, 1e-30, 3e38, 16777217.0, 0.1],
    }  # fmt: skip
    rows = [{**BASE, name: value} for name, values in edges.items() for value in values]
    rows += [dict.fromkeys(BASE), BASE]
    assert cases(estimator, task, classes, **params).compare(rows) <= EXACT


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
CATEGORIES = (
    st.none() | st.sampled_from(["Paris", "Bonn", "3", "2.5", "s7", 3, 2.5, 7.0]) | st.text(max_size=5)
)
BOOLEANS = st.none() | st.booleans()
MOMENTS = st.none() | st.datetimes().map(lambda moment: f"{moment.isoformat()}+00:00")
OF_KIND = {
    ColumnKind.NUMBER: NUMBERS,
    ColumnKind.INTEGER: st.none() | st.integers(-(2**53), 2**53),
    ColumnKind.BOOLEAN: BOOLEANS,
    ColumnKind.CATEGORY: CATEGORIES,
    ColumnKind.DATETIME: MOMENTS,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "task", "classes", "params"),
    [EVERY[0], EVERY[3], EVERY[10]],
    ids=["linear", "native", "trees"],
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_rows_are_answered_alike(cases, estimator, task, classes, params, data):
    case = cases(estimator, task, classes, **params)
    row = st.fixed_dictionaries({field.name: OF_KIND[field.kind] for field in case.schema.fields})
    assert case.compare(data.draw(st.lists(row, min_size=1, max_size=5))) <= EXACT


def test_threads_do_not_mind_each_other(cases, other_rows):
    case = cases("hist_gradient_boosting")
    values = [case.schema.values_of(row) for row in other_rows]
    expected = case.model.answers(values)
    with ThreadPoolExecutor(8) as pool:
        one_by_one = list(pool.map(lambda one: case.model.answers([one])[0], values * 3))
        at_once = list(pool.map(case.model.answers, [values] * 8))
    assert one_by_one == expected * 3
    assert at_once == [expected] * 8


def test_the_form_is_made_the_same_each_time_and_holds_no_code(cases):
    case = cases("random_forest", "regression", 0, n_estimators=20)
    assert PipelineCompiler().compile(case.pipeline, case.schema) == case.files
    assert set(case.files) == {COMPILED_FILE, TREES_FILE}
    assert set(cases("ridge", "regression", 0).files) == {COMPILED_FILE}


def test_a_linear_model_of_dates_alone():
    """No number at all: the tables do all the work."""
    field = InputField(name="day", kind=ColumnKind.DATETIME)
    from windsock.training.preprocessing import build_preprocessing

    rows = [{"day": f"2024-01-{day:02}T00:00:00+00:00"} for day in range(1, 29)]
    features = to_features(rows, [field])
    pipeline = Pipeline(
        [("preprocessing", build_preprocessing([field], "linear")), ("estimator", LogisticRegression())]
    ).fit(features, [day % 2 for day in range(28)])
    schema = InputSchema(model="m", fields=(field,), answer=Answer.CLASS, classes=(0, 1))
    model = PipelineCompiler().load(PipelineCompiler().compile(pipeline, schema), schema)
    values = [schema.values_of(row) for row in rows]
    expected = pipeline.predict_proba(features)
    assert np.abs(np.array(model.answers(values)) - expected).max() <= EXACT
    assert np.abs(np.array(model.answers(values[:1])) - expected[:1]).max() <= EXACT


class TestNotCompilable:
    def refused(self, pipeline, schema) -> str:
        with pytest.raises(NotCompilableError) as refused:
            PipelineCompiler().compile(pipeline, schema)
        assert refused.value.code == "WS-TRAINING-016"
        return refused.value.message

    def test_another_estimator(self, cases):
        from sklearn.neighbors import KNeighborsClassifier

        case = cases("logistic_regression")
        other = Pipeline([case.pipeline.steps[0], ("estimator", KNeighborsClassifier())])
        assert "KNeighborsClassifier" in self.refused(other, case.schema)

    def test_a_subclass_that_may_do_anything(self, cases):
        class Mine(LogisticRegression):
            pass

        Mine.__name__ = "LogisticRegression"
        case = cases("logistic_regression")
        other = Pipeline([case.pipeline.steps[0], ("estimator", Mine())])
        assert "cannot be compiled" in self.refused(other, case.schema)

    def test_other_steps(self, cases):
        case = cases("logistic_regression")
        other = Pipeline([case.pipeline.steps[0], ("more", FunctionTransformer()), case.pipeline.steps[1]])
        assert "no pipeline" in self.refused(other, case.schema)
        assert "no pipeline" in self.refused(LogisticRegression(), case.schema)

    def test_preprocessing_that_is_not_windsocks(self, cases):
        case = cases("logistic_regression")
        other = Pipeline([("preprocessing", FunctionTransformer()), case.pipeline.steps[1]])
        assert "FunctionTransformer" in self.refused(other, case.schema)

    def test_classes_in_another_order(self, cases):
        case = cases("logistic_regression")
        turned = case.schema.model_copy(update={"classes": (True, False)})
        assert "classes" in self.refused(case.pipeline, turned)

    def test_an_estimator_that_was_never_fitted(self, cases):
        case = cases("ridge", "regression", 0)
        other = Pipeline([case.pipeline.steps[0], ("estimator", type(case.pipeline[-1])())])
        assert "could not be compiled" in self.refused(other, case.schema)

    def test_a_form_that_no_bundle_could_hold(self, cases, monkeypatch):
        monkeypatch.setitem(bundle_files.LIMITS, TREES_FILE, 1_000)
        case = cases("hist_gradient_boosting")
        assert "the limit is 1,000" in self.refused(case.pipeline, case.schema)

    def test_a_field_that_the_schema_lacks(self, cases):
        case = cases("logistic_regression")
        fields = case.schema.fields[1:]
        assert "not Windsock's" in self.refused(
            case.pipeline, case.schema.model_copy(update={"fields": fields})
        )
