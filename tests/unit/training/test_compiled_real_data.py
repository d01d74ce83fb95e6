"""Compiled against original on real tables: every decision the same, whatever the values."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from support.fakes import FakeSources, fake_ports
from windsock.adapters.compiled import PipelineCompiler
from windsock.data.take_snapshot import take_snapshot
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, TakeSnapshotInput
from windsock.spec import CandidateBlock, ModelSpec
from windsock.training.compiling import client_rows
from windsock.training.estimators import build_pipeline
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features
from windsock.training.target import feature_fields, make_schema, read_labels

TABLES = {
    "telco_churn.csv": {"target": "Churn", "entity": "customerID"},
    "adult_income.csv": {"target": "income-per-year"},
    "german_credit.csv": {"target": "credit"},
    "car_loan_reference.csv": {"target": "repaid", "exclude": ["y_pred", "y_pred_proba", "id"]},
}
ESTIMATORS = ("logistic_regression", "hist_gradient_boosting", "random_forest")
CHUNK = 10_000
FITTED_ON = 8_000


def typed(file, data):
    text = pd.read_csv(file, dtype=str, keep_default_na=False)
    ports = fake_ports(sources=FakeSources(text))
    source = {"kind": "file", "path": file.name}
    spec = ModelSpec.model_validate({"model": {"name": "real"}, "data": {"source": source, **data}})
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "snapshot")
    return spec, snapshot, ports.snapshots.load(snapshot)


def perturbed(frame, fields, rows, generator):
    """Return rows drawn from a table, with nulls, unseen categories and numbers that no row has."""
    drawn = frame.iloc[np.arange(rows) % len(frame)].reset_index(drop=True)
    for field in fields:
        column = drawn[field.name].astype(object)
        column[generator.random(rows) < 0.03] = None
        strange = np.flatnonzero(generator.random(rows) < 0.03)
        if field.kind is ColumnKind.CATEGORY:
            column.iloc[strange] = [f"unseen {number % 7}" for number in strange]
        elif field.kind is ColumnKind.NUMBER:
            column.iloc[strange] = generator.normal(0, 10.0 ** generator.integers(-3, 32), len(strange))
        elif field.kind is ColumnKind.INTEGER:
            column.iloc[strange] = [
                int(number) for number in generator.integers(-(2**50), 2**50, len(strange))
            ]
        drawn[field.name] = column
    return drawn


def compare(file, data, estimator, rows, report):
    spec, snapshot, frame = typed(file, data)
    fields = feature_fields(snapshot, spec)
    training = frame.sample(min(len(frame), FITTED_ON), random_state=1)
    labels = read_labels(training, snapshot, spec)
    schema = make_schema(spec, fields, labels, snapshot.column(spec.data.target))
    features = to_features(training, fields)
    candidate = CandidateBlock(estimator=estimator)
    pipeline = build_pipeline(features, fields, candidate, spec.task).fit(features, labels)
    compiler = PipelineCompiler()
    compiled = compiler.load(compiler.compile(pipeline, schema), schema)
    asked = perturbed(frame, fields, rows, np.random.default_rng(7))
    flips, largest = 0, 0.0
    for start in range(0, rows, CHUNK):
        seen = to_features(asked.iloc[start : start + CHUNK], fields)
        expected = answer(pipeline, seen)
        values = client_rows(seen, fields)
        for answers in (compiled.answers(values), [compiled.answers([one])[0] for one in values]):
            given = np.array(answers)
            flips += int((given.argmax(axis=1) != expected.argmax(axis=1)).sum())
            largest = max(largest, float(np.abs(given - expected).max()))
    report(f"{file.name} {estimator}: {rows:,} rows, {flips} flips, largest difference {largest:.2g}")
    assert flips == 0
    assert largest <= 1e-12
    return compiled, pipeline, schema, fields


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("file", ["telco_churn.csv", "german_credit.csv"])
def test_a_table_is_answered_alike(shared_data, file, estimator):
    compare(shared_data / file, TABLES[file], estimator, 2_000, lambda line: None)


@pytest.mark.acceptance
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("file", TABLES)
def test_100_000_rows_are_answered_alike(shared_data, file, estimator, capsys):
    def report(line):
        with capsys.disabled():
            sys.stdout.write(f"\n{line} ")

    compiled, _, schema, fields = compare(shared_data / file, TABLES[file], estimator, 100_000, report)
    number = next(field.name for field in fields if field.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER))
    row = {**dict.fromkeys(field.name for field in fields), number: "many"}
    with pytest.raises(DataRefusedError):
        to_features([row], fields)
    with pytest.raises((TypeError, ValueError)):
        compiled.answers([schema.values_of(row)])
