from __future__ import annotations

import json
import math
import warnings
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from windsock.exceptions import DataRefusedError, TrainingRefusedError
from windsock.records import ColumnKind, InputField
from windsock.spec import CandidateBlock
from windsock.training.estimators import build_pipeline
from windsock.training.preprocessing import DateParts, build_preprocessing, category_positions, to_features

NUMBER = InputField(name="n", kind="number")
INTEGER = InputField(name="i", kind="integer")
BOOLEAN = InputField(name="b", kind="boolean", true_word="Yes", false_word="No")
CATEGORY = InputField(name="c", kind="category")
DATE = InputField(name="d", kind="datetime")
FIELDS = (NUMBER, INTEGER, BOOLEAN, CATEGORY, DATE)


def one(field: InputField, value: object) -> object:
    return to_features([{field.name: value}], [field]).iloc[0, 0]


class TestToFeatures:
    def test_types_and_order_are_those_of_the_fields(self):
        frame = pd.DataFrame(
            {"d": [pd.Timestamp("2024-01-01")], "extra": [1], "c": ["x"], "b": [True], "i": [1], "n": [2]}
        )
        features = to_features(frame, FIELDS)
        assert list(features.columns) == ["n", "i", "b", "c", "d"]
        assert [str(dtype) for dtype in features.dtypes] == [
            "float64",
            "float64",
            "float64",
            "object",
            "datetime64[us]",
        ]

    def test_types_do_not_depend_on_the_values(self):
        nothing = to_features([dict.fromkeys("nibcd")], FIELDS)
        something = to_features([{"n": 1, "i": 2, "b": "Yes", "c": "x", "d": "2024-01-01"}], FIELDS)
        assert list(nothing.dtypes) == list(something.dtypes)
        assert nothing.isna().all(axis=None)

    @pytest.mark.parametrize(
        ("values", "dtype"),
        [
            ([1, 2, None], "Int64"),
            ([1.0, 2.0, None], "float64"),
            ([1, 2, None], "float64[pyarrow]"),
            ([1, 2, None], object),
            (["1", "2", None], object),
        ],
    )
    def test_numbers_of_any_storage_are_the_same(self, values, dtype):
        features = to_features(pd.DataFrame({"n": pd.Series(values, dtype=dtype)}), [NUMBER])
        np.testing.assert_array_equal(features["n"].to_numpy(), [1.0, 2.0, math.nan])

    @pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, None, 1e31, -1e300])
    def test_what_is_no_finite_number_is_missing(self, value):
        assert math.isnan(one(NUMBER, value))
        frame = pd.DataFrame({"n": [1.0, value]})
        assert math.isnan(to_features(frame, [NUMBER])["n"][1])

    @pytest.mark.parametrize(
        ("value", "expected"), [("Yes", 1.0), (True, 1.0), (1, 1.0), ("No", 0.0), (False, 0.0)]
    )
    def test_booleans_are_read_from_their_words_too(self, value, expected):
        assert one(BOOLEAN, value) == expected

    @pytest.mark.parametrize("dtype", ["bool", "boolean", object])
    def test_booleans_of_any_storage_are_the_same(self, dtype):
        features = to_features(pd.DataFrame({"b": pd.Series([True, False], dtype=dtype)}), [BOOLEAN])
        assert features["b"].tolist() == [1.0, 0.0]

    @pytest.mark.parametrize("dtype", ["str", "category", object])
    def test_categories_of_any_storage_are_the_same(self, dtype):
        features = to_features(pd.DataFrame({"c": pd.Series(["x", None], dtype=dtype)}), [CATEGORY])
        assert features["c"].dtype == object
        assert features["c"][0] == "x"
        assert math.isnan(features["c"][1])

    @pytest.mark.parametrize(
        ("value", "text"), [(3, "3"), (3.0, "3"), ("3", "3"), (3.5, "3.5"), (True, "True")]
    )
    def test_a_category_is_its_text(self, value, text):
        assert one(CATEGORY, value) == text

    @pytest.mark.parametrize(
        "value",
        [
            "2024-05-05T08:00:00",
            "2024-05-05T10:00:00+02:00",
            "2024-05-05T08:00:00Z",
            datetime(2024, 5, 5, 8, tzinfo=UTC),
            pd.Timestamp("2024-05-05 08:00"),
        ],
    )
    def test_dates_are_in_utc_without_a_zone(self, value):
        assert one(DATE, value) == pd.Timestamp("2024-05-05 08:00")

    def test_dates_of_any_storage_are_the_same(self):
        expected = pd.Timestamp("2024-05-05")
        for series in (
            pd.Series([pd.Timestamp("2024-05-05"), None]),
            pd.Series([pd.Timestamp("2024-05-05"), None]).dt.tz_localize("UTC"),
            pd.Series(["2024-05-05", None], dtype="str"),
            pd.Series([date(2024, 5, 5), None], dtype=object),
        ):
            column = to_features(pd.DataFrame({"d": series}), [DATE])["d"]
            assert column[0] == expected
            assert pd.isna(column[1])

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            (NUMBER, "secret-a"),
            (INTEGER, [1]),
            (BOOLEAN, "secret-b"),
            (DATE, "secret-c"),
            (DATE, 1714896000000),
            (DATE, True),
        ],
    )
    def test_a_value_of_another_kind_is_refused_by_field_and_never_shown(self, field, value):
        with pytest.raises(DataRefusedError, match=f"'{field.name}'") as caught:
            one(field, value)
        assert caught.value.code == "WS-DATA-040"
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_missing_field_is_named(self):
        with pytest.raises(DataRefusedError, match="'b' is missing") as caught:
            to_features([{"n": 1}, {"n": 1, "b": True}], [NUMBER, BOOLEAN])
        assert caught.value.code == "WS-DATA-041"
        with pytest.raises(DataRefusedError, match="'b' is missing"):
            to_features(pd.DataFrame({"n": [1]}), [NUMBER, BOOLEAN])

    def test_a_field_that_is_not_required_may_be_absent(self):
        optional = CATEGORY.model_copy(update={"required": False})
        assert math.isnan(to_features([{"c": "x"}, {}], [optional])["c"][1])
        assert to_features(pd.DataFrame({"n": [1, 2]}), [optional])["c"].isna().all()

    def test_the_index_of_a_frame_is_kept(self):
        assert list(to_features(pd.DataFrame({"n": [1, 2]}, index=[7, 9]), [NUMBER]).index) == [7, 9]

    @given(
        st.lists(
            st.fixed_dictionaries(
                {
                    "n": st.one_of(st.none(), st.floats(-1e30, 1e30)),
                    "i": st.one_of(st.none(), st.integers(-(2**53), 2**53)),
                    "b": st.one_of(st.none(), st.booleans()),
                    "c": st.one_of(st.none(), st.text(max_size=5)),
                    "d": st.one_of(
                        st.none(),
                        st.datetimes(*map(datetime.fromisoformat, ("1700-01-01", "2200-01-01"))),
                    ),
                }
            ),
            min_size=1,
            max_size=20,
        )
    )
    @settings(max_examples=80, deadline=None)
    def test_requests_and_typed_frames_give_the_same_features(self, rows):
        """No skew: a row sent as JSON is the row of the snapshot."""
        frame = pd.DataFrame(
            {
                "n": pd.Series([row["n"] for row in rows], dtype="float64"),
                "i": pd.array([row["i"] for row in rows], dtype="Int64"),
                "b": pd.array([row["b"] for row in rows], dtype="boolean"),
                "c": pd.Series([row["c"] for row in rows], dtype="str"),
                "d": pd.Series([row["d"] for row in rows], dtype="datetime64[us]"),
            }
        )
        sent = json.loads(json.dumps([{**row, "d": row["d"] and row["d"].isoformat()} for row in rows]))
        pd.testing.assert_frame_equal(to_features(frame, FIELDS), to_features(sent, FIELDS), check_exact=True)


class TestDateParts:
    def test_parts_without_times_of_day(self):
        dates = pd.DataFrame({"d": pd.to_datetime(["2024-02-29", None])})  # a Thursday
        parts = DateParts().fit(dates)
        np.testing.assert_array_equal(parts.transform(dates), [[3, 2, 29], [math.nan] * 3])
        assert parts.get_feature_names_out().tolist() == ["d.weekday", "d.month", "d.day"]

    def test_the_hour_is_there_when_training_saw_one(self):
        times = pd.DataFrame({"a": pd.to_datetime(["2024-01-01"]), "b": pd.to_datetime(["2024-01-01 17:30"])})
        parts = DateParts().fit(times)
        assert parts.transform(times).tolist() == [[0, 1, 1, 0, 1, 1, 17]]
        assert parts.get_feature_names_out().tolist()[-1] == "b.hour"

    def test_absolute_time_never_matters(self):
        parts = DateParts().fit(pd.DataFrame({"d": pd.to_datetime(["2024-01-01"])}))
        years = [
            parts.transform(pd.DataFrame({"d": pd.to_datetime([day])}))
            for day in ("2018-01-01", "2024-01-01")
        ]
        np.testing.assert_array_equal(*years)  # both are Mondays

    def test_it_follows_the_protocol(self):
        parts = clone(DateParts())
        assert parts.get_params() == {}
        assert parts.set_params() is parts
        assert not parts.__sklearn_is_fitted__()
        with pytest.raises(ValueError, match="no parameters"):
            parts.set_params(year=True)

    def test_the_path_that_bundles_name_stays(self):
        assert (
            f"{DateParts.__module__}.{DateParts.__qualname__}" == "windsock.training.preprocessing.DateParts"
        )


def training_frame(rows: int = 200) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": generator.normal(size=rows),
            "i": generator.integers(0, 5, rows).astype(float),
            "b": generator.random(rows) < 0.5,
            "c": generator.choice(["x", "y", "z"], rows),
            "d": pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 400, rows), unit="h"),
        }
    ).astype({"b": object, "c": object})
    for name in "nibcd":
        frame.loc[generator.random(rows) < 0.1, name] = None
    return frame


STRANGE = [
    {"n": None, "i": None, "b": None, "c": None, "d": None},
    {"n": 1e300, "i": -5, "b": True, "c": "never seen", "d": "1971-01-01"},
    {"n": 0.0, "i": 0, "b": False, "c": "", "d": "2199-12-31T23:59:59Z"},
]


class TestPipeline:
    @pytest.mark.parametrize("name", ["logistic_regression", "hist_gradient_boosting", "random_forest"])
    def test_unseen_values_and_nulls_are_answered_without_a_warning(self, name):
        features = to_features(training_frame(), FIELDS)
        labels = np.arange(200) % 2
        pipeline = build_pipeline(features, FIELDS, CandidateBlock(estimator=name), "classification")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answers = pipeline.fit(features, labels).predict_proba(to_features(STRANGE, FIELDS))
        assert np.isfinite(answers).all()

    @pytest.mark.parametrize("name", ["logistic_regression", "hist_gradient_boosting", "random_forest"])
    @pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.kind.value)
    def test_one_field_of_any_kind_is_enough(self, name, field):
        features = to_features(training_frame(), [field])
        pipeline = build_pipeline(features, [field], CandidateBlock(estimator=name), "classification")
        pipeline.fit(features, np.arange(200) % 2)
        assert pipeline.predict_proba(to_features([{field.name: None}], [field])).shape == (1, 2)

    @pytest.mark.parametrize("name", ["logistic_regression", "hist_gradient_boosting", "random_forest"])
    def test_columns_without_any_value_do_no_harm(self, name):
        frame = training_frame()
        frame[["n", "c", "d"]] = None
        features = to_features(frame, FIELDS)
        pipeline = build_pipeline(features, FIELDS, CandidateBlock(estimator=name), "classification")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pipeline.fit(features, np.arange(200) % 2)
            answers = pipeline.predict_proba(to_features(STRANGE, FIELDS))
        assert np.isfinite(answers).all()
        filled = [{**row, "n": 1.0, "c": "x", "d": "2024-01-01"} for row in STRANGE]
        np.testing.assert_array_equal(pipeline.predict_proba(to_features(filled, FIELDS)), answers)

    def test_features_without_any_value_at_all_are_refused(self):
        features = to_features([{"n": None, "c": None}], [NUMBER, CATEGORY])
        with pytest.raises(TrainingRefusedError, match="none of 2 features has a value in 1 rows") as caught:
            build_pipeline(features, [NUMBER, CATEGORY], CandidateBlock(estimator="ridge"), "regression")
        assert caught.value.code == "WS-TRAINING-004"

    def test_a_category_of_a_thousand_values_stays_categorical_within_the_limit_of_codes(self):
        names = [f"v{number % 1000}" for number in range(3000)]
        features = to_features(pd.DataFrame({"c": names}), [CATEGORY])
        pipeline = build_pipeline(
            features, [CATEGORY], CandidateBlock(estimator="hist_gradient_boosting"), "classification"
        )
        pipeline.fit(features, np.arange(3000) % 2)
        codes = pipeline[0].transform(features)
        assert codes.max() < 255
        assert pipeline[-1].is_categorical_.tolist() == [True]

    def test_fewer_bins_mean_fewer_codes(self):
        names = [f"v{number % 100}" for number in range(500)]
        features = to_features(pd.DataFrame({"c": names}), [CATEGORY])
        candidate = CandidateBlock(estimator="hist_gradient_boosting", params={"max_bins": 16})
        pipeline = build_pipeline(features, [CATEGORY], candidate, "classification").fit(
            features, np.arange(500) % 2
        )
        assert pipeline[0].transform(features).max() < 16

    def test_missing_and_unseen_categories_are_nan_for_boosting_and_categories_come_first(self):
        preprocessing = build_preprocessing(FIELDS, "native")
        preprocessing.fit(to_features(training_frame(), FIELDS))
        made = preprocessing.transform(to_features(STRANGE, FIELDS))
        assert category_positions(FIELDS) == [0]
        assert np.isnan(made[:2, 0]).all()
        assert made.dtype == float

    def test_scaled_numbers_have_mean_zero_and_a_flag_for_missing(self):
        features = to_features(training_frame(), [NUMBER])
        made = build_preprocessing([NUMBER], "linear").fit_transform(features)
        assert made.shape == (200, 2)
        assert abs(made[:, 0].mean()) < 1e-9
        assert (made[features["n"].isna(), 1] > 0).all()

    def test_rare_categories_share_a_column(self):
        names = ["often"] * 90 + [f"rare{number}" for number in range(10)]
        made = build_preprocessing([CATEGORY], "linear").fit(
            to_features(pd.DataFrame({"c": names}), [CATEGORY])
        )
        assert made.get_feature_names_out().tolist() == [
            "categories__c_often",
            "categories__c_infrequent_sklearn",
        ]


def test_the_module_is_light(modules_after):
    assert modules_after("training") & {"numpy", "pandas", "sklearn", "scipy", "joblib"} == set()


def test_every_kind_has_a_conversion():
    from windsock.training.preprocessing import CONVERT

    assert set(CONVERT) == set(ColumnKind)
