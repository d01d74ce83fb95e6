from __future__ import annotations

import json

import jsonschema
import pytest

from support.specs import ANNOTATED, FOREIGN
from windsock.spec.registries import CHECKS, ESTIMATORS, METRICS
from windsock.spec.schema import model_schema, shared_schema
from windsock.spec.yaml_reader import parse_yaml, read_yaml

Validator = jsonschema.Draft202012Validator


@pytest.fixture(scope="module")
def model():
    return Validator(model_schema())


def faults(validator, text):
    return [error.json_path for error in validator.iter_errors(parse_yaml(text.encode(), "x").value)]


@pytest.mark.parametrize("schema", [model_schema(), shared_schema()], ids=["model", "shared"])
def test_they_are_json_schemas(schema):
    Validator.check_schema(json.loads(json.dumps(schema)))
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "text",
    [
        FOREIGN,
        ANNOTATED,
        "model: {name: a}",
        "model: {name: a}\ndata:\ngate:",
        "model: {name: a}\ntraining: {target: y, schedule: '*/5 * * * *'}",
        "model: {name: a}\ngate: {against_champion: {not_worse: 0.01}}",
        "model: {name: a}\nserving: {fallback_answer: error}",
        "model: {name: a}\nserving: {fallback_answer: {constant: false}}",
        "model: {name: a}\ndata: {source: {kind: sql, conn_id: c, query: select 1}}",
    ],
)
def test_good_files_pass(model, text):
    assert faults(model, text) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("data: {}", "$"),
        ("model: {name: A}", "$.model.name"),
        ("model: {name: a__b}", "$.model.name"),
        ("model: {name: a, x: 1}", "$.model"),
        ("model: {name: a}\nservin: {}", "$"),
        ("model: {name: a, tier: hi}", "$.model.tier"),
        ("model: {name: a}\ntraining: {metric: auc}", "$.training"),
        ("model: {name: a}\ntraining: {schedule: dayly}", "$.training"),
        ("model: {name: a}\ngate: {minimum: {auc: 1}}", "$.gate"),
        ("model: {name: a}\ndata: {source: {path: x}}", "$.data"),
        ("model: {name: a}\ndata: {source: {kind: sql, conn_id: c}}", "$.data"),
        ("model: {name: a}\nserving: {min_replicas: two}", "$.serving"),
        ("model: {name: a}\nserving: {fallback_answer: twin}", "$.serving"),
        ("model: {name: a}\nserving: {fallback_answer: {constant: null}}", "$.serving"),
    ],
)
def test_bad_files_do_not(model, text, place):
    assert faults(model, text) == [place]


def test_closed_words_are_enums():
    parts = model_schema()["$defs"]
    assert set(parts["CandidateBlock"]["properties"]["estimator"]["enum"]) == set(ESTIMATORS)
    assert set(parts["GateBlock"]["properties"]["checks"]["items"]["enum"]) == set(CHECKS)
    assert set(parts["GateBlock"]["properties"]["minimum"]["propertyNames"]["enum"]) == set(METRICS)
    assert parts["ServingBlock"]["properties"]["target"]["enum"] == ["local", "docker", "kubernetes"]


def test_the_bundled_files_pass(model, project):
    for file in (project / "include" / "models").glob("*.yaml"):
        assert list(model.iter_errors(read_yaml(file).value)) == []
    shared = read_yaml(project / "include" / "windsock.yaml").value
    assert list(Validator(shared_schema()).iter_errors(shared)) == []


def test_an_installed_package_s_kind_is_named(monkeypatch):
    kinds = frozenset({"file", "sql", "api", "feature_store", "kafka"})
    monkeypatch.setattr("windsock.spec.schema.known_sources", lambda: kinds)
    schema = model_schema()
    assert schema["$defs"]["ExtensionSource"]["properties"]["kind"]["enum"] == ["kafka"]
    assert (
        faults(Validator(schema), "model: {name: a}\ndata: {source: {kind: kafka, options: {topic: t}}}")
        == []
    )
