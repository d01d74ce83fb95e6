"""The compiled form is held against the pipeline on every held-out row, and serves only where it is equal."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from support.faults import killed_after
from windsock.adapters.compiled import PipelineCompiler
from windsock.exceptions import NotCompilableError, TrainingRefusedError
from windsock.records import (
    Answer,
    ColumnKind,
    CompiledEquality,
    GoldenPredictions,
    InputField,
    InputSchema,
)
from windsock.training.compiling import client_rows, compile_pipeline
from windsock.training.golden import answers_to
from windsock.training.preprocessing import to_features


class Bent(PipelineCompiler):
    """Loads models whose answers are changed."""

    def __init__(self, change, *, when=lambda rows: True) -> None:
        self.change, self.when = change, when

    def load(self, files, schema):
        model = super().load(files, schema)

        def answers(rows):
            given = model.answers(rows)
            return [self.change(row) for row in given] if self.when(rows) else given

        return SimpleNamespace(engine=model.engine, answers=answers)


class Broken(PipelineCompiler):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def compile(self, pipeline, schema):
        raise self.error


def found(world, trained) -> CompiledEquality:
    facts = world.ports.bundles.by_digest[trained.bundle_digest].manifest.facts
    return CompiledEquality.model_validate(facts["compiled"])


@pytest.mark.parametrize(
    ("candidate", "engine"),
    [("logistic_regression", "linear"), ("hist_gradient_boosting", "trees"), ("random_forest", "trees")],
)
def test_an_equal_form_goes_into_the_bundle_and_into_the_evaluation(world, candidate, engine):
    world = world()
    trained = world.train(candidate)
    seen = found(world, trained)
    bundle = world.ports.bundles.by_digest[trained.bundle_digest]
    assert bundle.compiled is not None
    assert bundle.compiled.engine == seen.engine == engine
    assert seen.equal
    assert seen.flips == 0
    assert seen.rows == trained.rows_held_out + len(bundle.golden.rows)
    assert 0 <= seen.largest_difference <= seen.tolerance == 1e-9
    assert world.evaluate(trained).compiled == seen
    assert "0 flips" in seen.told


@pytest.mark.parametrize(
    ("change", "flips"),
    [
        (lambda row: [row[0] + 2e-9, row[1]], False),
        (lambda row: row[::-1], True),
        (lambda row: [float("nan"), row[1]], True),
        (lambda row: [float("inf"), row[1]], True),
    ],
    ids=["off", "turned", "nan", "infinite"],
)
@pytest.mark.parametrize("rows", ["all", "single"])
def test_a_form_that_differs_does_not_serve(world, change, flips, rows):
    from windsock.training.train_model import train_model

    compiler = Bent(change, when=(lambda given: len(given) == 1) if rows == "single" else lambda given: True)
    from support.fakes import fake_ports

    world = world(ports=fake_ports(compiler=compiler))
    trained = train_model(world.training(), world.ports, "k")
    seen = found(world, trained)
    assert world.ports.bundles.by_digest[trained.bundle_digest].compiled is None
    assert not seen.equal
    assert (seen.flips > 0) is flips
    assert "scikit-learn serves" in seen.told
    assert not world.evaluate(trained).compiled.equal


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotCompilableError("a Forest of Cards cannot be compiled"), "a Forest of Cards cannot be compiled"),
        (MemoryError("Berlin"), "MemoryError while compiling or comparing"),
        (RuntimeError("Berlin"), "RuntimeError while compiling or comparing"),
    ],
)
def test_no_failure_to_compile_fails_a_training(world, caplog, error, reason):
    from support.fakes import fake_ports

    caplog.set_level("INFO")
    world = world(ports=fake_ports(compiler=Broken(error)))
    trained = world.train()
    assert found(world, trained) == CompiledEquality(reason=reason)
    assert f"WS-TRAINING-016: not compiled: {reason}; scikit-learn serves" in caplog.text
    assert "Berlin" not in caplog.text
    assert world.evaluate(trained).compiled.reason == reason


def test_a_stored_form_that_answers_otherwise_is_refused(world, monkeypatch):
    world = world()
    trained = world.train(key="k")
    bundle = world.ports.bundles.by_digest[trained.bundle_digest]
    honest = bundle.compiled.answers
    monkeypatch.setattr(
        bundle.compiled, "answers", lambda rows: [[row[0], row[1] + 1e-3] for row in honest(rows)]
    )
    with pytest.raises(TrainingRefusedError) as refused:
        world.train(key="k")
    assert refused.value.code == "WS-TRAINING-017"


def test_a_bundle_without_the_fact_is_evaluated(world):
    world = world()
    trained = world.train()
    del world.ports.bundles.by_digest[trained.bundle_digest].manifest.facts["compiled"]
    assert world.evaluate(trained).compiled is None


def test_compiling_is_no_side_effect(world):
    world = world()
    ports, countdown = killed_after(world.ports, 99)
    world.train(key="k", ports=ports)
    assert countdown.seen == 2  # the bundle and the run


def test_a_clients_values_have_the_kinds_of_their_fields(typed_rows):
    kinds = {
        "age": ColumnKind.NUMBER,
        "visits": ColumnKind.INTEGER,
        "member": ColumnKind.BOOLEAN,
        "city": ColumnKind.CATEGORY,
        "joined": ColumnKind.DATETIME,
    }
    fields = [InputField(name=name, kind=kind) for name, kind in kinds.items()]
    frame = typed_rows(300)
    rows = client_rows(to_features(frame, fields), fields)
    assert len(rows) == 300
    sent = [{type(value) for value in column} for column in zip(*rows, strict=True)]
    assert sent == [{kind, type(None)} for kind in (float, int, bool, str, str)]
    assert all(row[4] is None or row[4].endswith("T00:00:00+00:00") for row in rows)
    nulls = np.array([[value is None for value in row] for row in rows]).sum(axis=0)
    assert nulls.tolist() == [int(frame[name].isna().sum()) for name in kinds]


class Off:
    """Compiles a ridge regression into one whose answers are off by a part of their spread."""

    def __init__(self, pipeline, part: float) -> None:
        self.pipeline, self.part = pipeline, part

    def compile(self, pipeline, schema):
        return {"compiled.json": b"{}"}

    def load(self, files, schema):
        def answers(rows):
            given = self.pipeline.predict(pd.DataFrame(rows, columns=["x"]))
            return [[one * (1 + self.part)] for one in given.tolist()]

        return SimpleNamespace(engine="linear", answers=answers)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize(("part", "equal"), [(0.0, True), (1e-12, True), (1e-6, False), (0.5, False)])
def test_the_tolerance_has_the_targets_scale(scale, part, equal):
    frame = pd.DataFrame({"x": np.random.default_rng(1).normal(size=50)})
    fields = (InputField(name="x", kind="number"),)
    schema = InputSchema(model="m", fields=fields, answer=Answer.NUMBER)
    pipeline = make_pipeline(Ridge()).fit(frame, scale * frame["x"])
    rows = ({"x": 0.5}, {"x": -1.0})
    golden = GoldenPredictions(rows=rows, scores=answers_to(pipeline, rows, fields))
    files, seen = compile_pipeline(pipeline, schema, golden, frame, Off(pipeline, part))
    assert (seen.equal, bool(files)) == (equal, equal), seen
    assert scale * 1e-9 < seen.tolerance < scale * 1e-7
