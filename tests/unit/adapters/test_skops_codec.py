from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from windsock.adapters import skops_codec
from windsock.exceptions import UnverifiedBundleError
from windsock.records import ColumnKind, InputField
from windsock.spec import CandidateBlock
from windsock.spec.registries import ESTIMATORS
from windsock.training.estimators import build_pipeline
from windsock.training.preprocessing import to_features

PLUGINS = Path(__file__).parents[3] / "plugins"
ROWS = 120
FIELDS = (
    InputField(name="spend", kind=ColumnKind.NUMBER),
    InputField(name="visits", kind=ColumnKind.INTEGER),
    InputField(name="member", kind=ColumnKind.BOOLEAN),
    InputField(name="plan", kind=ColumnKind.CATEGORY),
    InputField(name="joined", kind=ColumnKind.DATETIME),
)


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "spend": rng.normal(size=ROWS),
            "visits": rng.integers(0, 9, ROWS),
            "member": rng.integers(0, 2, ROWS).astype(bool),
            "plan": rng.choice(["a", "b", "c"], ROWS).astype(object),
            "joined": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 9000, ROWS), unit="h"),
        }
    )
    frame.loc[::7, "spend"] = np.nan
    frame.loc[::9, "plan"] = None
    return frame


def labels(kind: str) -> np.ndarray:
    rng = np.random.default_rng(8)
    if kind == "number":
        return rng.gamma(2.0, size=ROWS) + 0.1
    if kind == "words":
        return rng.choice(["no", "perhaps", "yes"], ROWS).astype(object)
    return rng.integers(0, 2, ROWS)


def answers(model, features) -> np.ndarray:
    return model.predict_proba(features) if hasattr(model, "predict_proba") else model.predict(features)


def assert_round_trip(model, features) -> None:
    loaded = skops_codec.load(skops_codec.dump(model))
    np.testing.assert_array_equal(answers(loaded, features), answers(model, features))


REGISTRY = [(name, task) for name, tasks in ESTIMATORS.items() for task in tasks]


@pytest.mark.parametrize("fields", [FIELDS, FIELDS[:3]], ids=["all-kinds", "numbers-only"])
@pytest.mark.parametrize(("name", "task"), REGISTRY, ids=[f"{name}-{task}" for name, task in REGISTRY])
def test_every_estimator_of_the_registry_round_trips(name, task, fields):
    features = to_features(rows(), fields)
    params = {"n_estimators": 5} if name == "random_forest" else {}
    kinds = ("number",) if task == "regression" else ("flag", "words")
    for kind in kinds:
        candidate = CandidateBlock(estimator=name, params=params)
        model = build_pipeline(features, fields, candidate, task).fit(features, labels(kind))
        assert_round_trip(model, features)


PREPROCESSING = {
    "one-hot": lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, max_categories=9),
    "dense": lambda: OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "codes": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
}
MODELS = {
    "logistic": (lambda: LogisticRegression(class_weight="balanced", random_state=42), "words"),
    "saga": (lambda: LogisticRegression(solver="saga", l1_ratio=0.5, random_state=1, max_iter=20), "flag"),
    "ridge": (lambda: Ridge(random_state=np.random.RandomState(3), solver="sag"), "number"),
    "forest": (lambda: RandomForestClassifier(3, oob_score=False, class_weight="balanced"), "words"),
    "forest-number": (lambda: RandomForestRegressor(3, criterion="absolute_error"), "number"),
    "boosting": (lambda: HistGradientBoostingClassifier(max_iter=3, early_stopping=True), "flag"),
    "boosting-words": (lambda: HistGradientBoostingClassifier(max_iter=3, random_state=42), "words"),
    "dummy": (lambda: DummyClassifier(), "words"),
    "dummy-number": (lambda: DummyRegressor(), "number"),
    **{
        f"boosting-{loss}": (
            lambda loss=loss: HistGradientBoostingRegressor(loss=loss, quantile=0.5, max_iter=3),
            "number",
        )
        for loss in ("squared_error", "absolute_error", "gamma", "poisson", "quantile")
    },
}


@pytest.mark.parametrize(("encoder", "model"), list(itertools.product(PREPROCESSING, MODELS)))
@pytest.mark.filterwarnings("ignore")
def test_every_preprocessing_round_trips(encoder, model):
    make, kind = MODELS[model]
    numbers = [
        ("impute", SimpleImputer(strategy="median", add_indicator=True)),
        ("scale", StandardScaler()),
    ]
    texts = [
        ("impute", SimpleImputer(strategy="constant", fill_value="?")),
        ("encode", PREPROCESSING[encoder]()),
    ]
    columns = ColumnTransformer(
        [
            ("numbers", Pipeline(numbers), ["spend", "visits", "member"]),
            ("texts", Pipeline(texts), ["plan"]),
            ("gaps", FeatureUnion([("gaps", MissingIndicator(features="all"))]), ["spend"]),
        ],
        sparse_threshold=0,
    )
    features = to_features(rows(), FIELDS)
    assert_round_trip(
        Pipeline([("columns", columns), ("model", make())]).fit(features, labels(kind)), features
    )


@pytest.mark.parametrize("categorical", [[0], [True, False, False], ["plan"], "from_dtype"])
def test_boosting_with_categories_of_its_own_round_trips(categorical):
    features = rows()[["plan", "spend", "visits"]].astype({"plan": "category"})
    if categorical not in (["plan"], "from_dtype"):
        features = features.assign(plan=features["plan"].cat.codes.replace(-1, np.nan))
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features=categorical, random_state=42)
    assert_round_trip(model.fit(features, labels("flag")), features)


def small_pipeline() -> Pipeline:
    return Pipeline([("model", Ridge())]).fit([[0.0], [1.0]], [0.0, 1.0])


def rewritten(content: bytes, change) -> bytes:
    """Return a skops file with its schema changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "schema.json":
                schema = json.loads(data)
                data = json.dumps(change(schema)).encode()
            new.writestr(name, data)
    return out.getvalue()


def test_types_are_named_without_loading_anything():
    names = skops_codec.type_names(skops_codec.dump(small_pipeline()))
    assert "sklearn.linear_model._ridge.Ridge" in names
    assert set(names) <= skops_codec.allowed_types()


def test_skops_is_told_of_what_it_does_not_trust_itself():
    model = HistGradientBoostingRegressor(max_iter=2).fit(np.arange(40.0).reshape(-1, 1), np.arange(40.0))
    assert skops_codec.beyond_skops(skops_codec.dump(model)) == (
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    )


@pytest.mark.parametrize(
    "node",
    [
        {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"},
        {"__class__": "system", "__module__": "posix", "__loader__": "TypeNode"},
        {"__class__": "eval", "__module__": "builtins", "__loader__": "FunctionNode"},
        {"__class__": "Popen", "__module__": "subprocess", "__loader__": "ObjectNode", "content": {}},
        {"__class__": "DictNode", "__module__": "builtins", "__loader__": "ObjectNode"},
        {"__class__": "MLPClassifier", "__module__": "sklearn.neural_network", "__loader__": "ObjectNode"},
        {"__class__": "str", "__module__": "builtins", "__loader__": "MethodNode", "content": {}},
        {"__class__": "str", "__module__": "builtins", "__loader__": "OperatorFuncNode", "attrs": {}},
        {"__class__": "str", "__module__": "builtins"},
        {"__loader__": "FunctionNode"},
    ],
    ids=lambda node: f"{node.get('__class__')}-{node.get('__loader__')}",
)
def test_a_foreign_type_anywhere_is_refused_before_anything_is_built(node, monkeypatch):
    import skops.io

    def plant(schema):
        steps = schema["content"]["content"]["steps"]["content"]
        steps[0]["content"][1]["content"]["content"]["planted"] = {**node, "__id__": 1}
        return schema

    crafted = rewritten(skops_codec.dump(small_pipeline()), plant)
    monkeypatch.setattr(skops.io, "loads", lambda *args, **kwargs: pytest.fail("skops was asked to load it"))
    with pytest.raises(UnverifiedBundleError) as caught:
        skops_codec.load(crafted)
    assert caught.value.code == "WS-BUNDLE-006"


def test_the_function_under_a_partial_is_checked_too():
    crafted = rewritten(
        skops_codec.dump(FunctionTransformer().fit([[1.0]])),
        lambda schema: {
            **schema,
            "content": {
                "__class__": "partial",
                "__module__": "functools",
                "__loader__": "PartialNode",
                "content": {
                    "func": {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
                },
            },
        },
    )
    with pytest.raises(UnverifiedBundleError, match=r"os\.system"):
        skops_codec.load(crafted)


def test_at_most_ten_types_are_named():
    def plant(schema):
        schema["planted"] = [
            {"__class__": f"Type{number:02}", "__module__": "foreign", "__loader__": "ObjectNode"}
            for number in range(14)
        ]
        return schema

    with pytest.raises(UnverifiedBundleError) as caught:
        skops_codec.load(rewritten(skops_codec.dump(small_pipeline()), plant))
    assert caught.value.message.count("foreign.") == 10
    assert "and 4 more" in caught.value.message


def test_a_type_that_skops_trusts_and_windsock_does_not_is_refused_when_written():
    with pytest.raises(UnverifiedBundleError, match="MinMaxScaler"):
        skops_codec.dump(MinMaxScaler().fit([[0.0], [1.0]]))


def test_what_skops_cannot_write_is_refused():
    with pytest.raises(UnverifiedBundleError) as caught:
        skops_codec.dump(FunctionTransformer(func=lambda values: values))
    assert caught.value.code in {"WS-BUNDLE-006", "WS-BUNDLE-007"}


def test_installed_packages_add_types_by_entry_points(monkeypatch):
    point = EntryPoint("scaler", "sklearn.preprocessing._data:MinMaxScaler", "windsock.trusted_types")
    monkeypatch.setattr(skops_codec, "entry_points", lambda group: [point] if group == point.group else [])
    skops_codec.allowed_types.cache_clear()
    try:
        model = MinMaxScaler().fit([[0.0], [2.0]])
        assert skops_codec.load(skops_codec.dump(model)).transform([[1.0]]) == pytest.approx(0.5)
    finally:
        skops_codec.allowed_types.cache_clear()


@pytest.mark.parametrize(
    "content",
    [b"", b"rubbish", b"\x80\x04K\x01.", b"PK\x03\x04"],
    ids=["empty", "text", "pickle", "half-a-zip"],
)
def test_what_is_no_skops_file_is_refused(content):
    with pytest.raises(UnverifiedBundleError) as caught:
        skops_codec.load(content)
    assert caught.value.code == "WS-BUNDLE-007"


@pytest.mark.parametrize("schema", [[], {}, "text", {"protocol": 1}])
def test_a_zip_without_a_skops_schema_is_refused(schema):
    with pytest.raises(UnverifiedBundleError) as caught:
        skops_codec.load(rewritten(skops_codec.dump(small_pipeline()), lambda _: schema))
    assert caught.value.code == "WS-BUNDLE-007"


def test_a_schema_nested_without_end_is_refused():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("schema.json", "[" * 100_000)
    with pytest.raises(UnverifiedBundleError):
        skops_codec.load(out.getvalue())


def test_a_file_that_unpacks_to_too_much_is_refused(monkeypatch):
    content = skops_codec.dump(small_pipeline())
    monkeypatch.setattr(skops_codec, "MAX_UNPACKED", 100)
    with pytest.raises(UnverifiedBundleError) as caught:
        skops_codec.load(content)
    assert caught.value.code == "WS-BUNDLE-008"


def test_writing_and_loading_says_nothing():
    code = (
        "import airflow.sdk\n"
        "from sklearn.linear_model import Ridge\n"
        "from windsock.adapters import skops_codec\n"
        "skops_codec.load(skops_codec.dump(Ridge().fit([[0.0], [1.0]], [0.0, 1.0])))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(PLUGINS), "PYTHONWARNINGS": "always"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    noise = [line for line in (run.stdout + run.stderr).splitlines() if "skops" in line or "numpy" in line]
    assert noise == []


def test_the_module_itself_imports_nothing_heavy(modules_after):
    assert modules_after("skops codec") & {"skops", "sklearn", "numpy"} == set()
