from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from windsock.adapters.compiled import PipelineCompiler
from windsock.ports import CompiledModel
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.spec import CandidateBlock
from windsock.training.compiling import client_rows
from windsock.training.estimators import build_pipeline
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features

FIELDS = (
    InputField(name="age", kind=ColumnKind.NUMBER),
    InputField(name="city", kind=ColumnKind.CATEGORY),
    InputField(name="visits", kind=ColumnKind.INTEGER),
    InputField(name="member", kind=ColumnKind.BOOLEAN),
    InputField(name="paid", kind=ColumnKind.BOOLEAN, true_word="Yes", false_word="No"),
    InputField(name="code", kind=ColumnKind.CATEGORY),
    InputField(name="only", kind=ColumnKind.CATEGORY),
    InputField(name="joined", kind=ColumnKind.DATETIME),
    InputField(name="empty", kind=ColumnKind.NUMBER),
    InputField(name="seen", kind=ColumnKind.DATETIME),
    InputField(name="street", kind=ColumnKind.CATEGORY),
    InputField(name="full", kind=ColumnKind.NUMBER),
    InputField(name="nothing", kind=ColumnKind.CATEGORY),
)
"""Every kind: categories of numbers, of one value and of 400, dates with and without hours, empty fields."""


def make_rows(rows: int = 900, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": generator.normal(45, 12, rows),
            "city": generator.choice(["Berlin", "Paris", "Rome", "Oslo", "Bonn"], rows,
                                     p=[0.5, 0.3, 0.15, 0.048, 0.002]),
            "visits": generator.integers(0, 20, rows),
            "member": generator.random(rows) < 0.3,
            "paid": generator.choice(["Yes", "No"], rows),
            "code": generator.choice(["3", "7", "2.5", "07", "x"], rows),
            "only": "same",
            "joined": pd.Timestamp("2023-01-01") + pd.to_timedelta(generator.integers(0, 900, rows), "D"),
            "empty": np.nan,
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 9_000, rows), "h"),
            "street": [f"s{number % 400}" for number in range(rows)],
            "full": generator.normal(0, 1e6, rows),
            "nothing": None,
        }
    )  # fmt: skip
    for name in frame.columns.drop("full"):
        frame[name] = frame[name].astype(object)
        frame.loc[generator.random(rows) < 0.06, name] = None
    frame["joined"], frame["seen"] = pd.to_datetime(frame["joined"]), pd.to_datetime(frame["seen"])
    return frame


def targets(features: pd.DataFrame, task: str, classes: int, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    score = (
        (features["age"].fillna(45) - 45) / 12 + (features["city"] == "Paris") - features["paid"].fillna(0)
    )
    score = (score + generator.normal(0, 0.5, len(features))).to_numpy()
    if task == "regression":
        return score * 1_000
    edges = np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])
    return np.array(["bad", "fair", "good"])[np.digitize(score, edges)] if classes == 3 else score > edges[0]


@dataclass(frozen=True, eq=False)
class Case:
    """A fitted pipeline beside its compiled form."""

    pipeline: Pipeline
    schema: InputSchema
    files: dict[str, bytes]
    model: CompiledModel

    def original(self, rows: list[dict[str, Any]]) -> np.ndarray:
        """Return the pipeline's answers to feature objects, one row of numbers each."""
        answers = answer(self.pipeline, to_features(rows, self.schema.fields))
        return answers.reshape(len(rows), -1)

    def compare(self, rows: list[dict[str, Any]]) -> float:
        """See that both forms decide the same, at once and one by one; return the largest difference.

        It is a share of the largest answer where that is above 1.
        """
        expected = self.original(rows)
        values = [self.schema.values_of(row) for row in rows]
        apart = 0.0
        for answers in (self.model.answers(values), [self.model.answers([one])[0] for one in values]):
            seen = np.array(answers)
            assert seen.shape == expected.shape
            assert (seen.argmax(axis=1) == expected.argmax(axis=1)).all()
            apart = max(apart, float(np.abs(seen - expected).max()))
        return apart / max(1.0, float(np.abs(expected).max()))


def as_objects(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as a client would send them."""
    features = to_features(frame, FIELDS)
    names = [field.name for field in FIELDS]
    return [dict(zip(names, values, strict=True)) for values in client_rows(features, FIELDS)]


@dataclass
class Cases:
    """Fits each pipeline once."""

    made: dict[Any, Case] = field(default_factory=dict)

    def __call__(self, estimator: str, task: str = "classification", classes: int = 2, **params: Any) -> Case:
        key = (estimator, task, classes, *sorted(params.items()))
        if key not in self.made:
            features = to_features(make_rows(), FIELDS)
            truth = targets(features, task, classes)
            candidate = CandidateBlock(estimator=estimator, params=params)
            pipeline = build_pipeline(features, FIELDS, candidate, task).fit(features, truth)
            kind = Answer.NUMBER if task == "regression" else Answer.CLASS
            labels = () if task == "regression" else tuple(np.unique(truth).tolist())
            schema = InputSchema(model="churn", fields=FIELDS, answer=kind, classes=labels)
            files = PipelineCompiler().compile(pipeline, schema)
            model = PipelineCompiler().load(files, schema)
            self.made[key] = Case(pipeline=pipeline, schema=schema, files=files, model=model)
        return self.made[key]


@pytest.fixture(scope="session")
def cases() -> Callable[..., Case]:
    """Give compiled cases: ``cases("ridge", "regression")``."""
    return Cases()


@pytest.fixture(scope="session")
def other_rows() -> list[dict[str, Any]]:
    """Rows that nothing was fitted on, as objects."""
    return as_objects(make_rows(400, seed=5))
