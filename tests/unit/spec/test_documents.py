from __future__ import annotations

import re

import pytest

from windsock.spec import GateBlock, ModelSpec, SharedSpec
from windsock.spec.loader import load_models, load_shared, load_spec, spec_from_bytes
from windsock.spec.registries import CHECKS, ESTIMATORS, METRICS, SOURCES
from windsock.spec.schema import model_schema, shared_schema
from windsock.spec.translation import known_keys

ROW = re.compile(r"^\| `([a-z0-9_.]+)` \|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def page(project):
    return (project / "docs" / "spec.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rows(page):
    return {key: cells for key, *cells in ROW.findall(page)}


def blocks_of(model):
    return set(model.model_fields)


def test_the_page_explains_every_key_and_no_other(rows):
    model = set(known_keys(ModelSpec)) - blocks_of(ModelSpec)
    repeated = {key for key in known_keys(SharedSpec) if key.startswith("gate_policies.")}
    assert set(rows) == model | set(known_keys(SharedSpec)) - repeated


def test_each_row_says_meaning_allowed_and_default(rows):
    assert [key for key, cells in rows.items() if not all(cell.strip() for cell in cells)] == []


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("data.source.kind", SOURCES),
        ("training.candidates.estimator", ESTIMATORS),
        ("training.metric", METRICS),
        ("gate.checks", CHECKS),
    ],
)
def test_registries_are_listed(rows, key, words):
    assert [word for word in words if f"`{word}`" not in rows[key][1]] == []


def enums_and_defaults(schema):
    parts = schema["$defs"]
    for name, block in schema["properties"].items():
        reference = block.get("$ref") or next(
            (way["$ref"] for way in block.get("anyOf", ()) if "$ref" in way), None
        )
        if reference:
            yield from walk(parts, reference.rpartition("/")[2], name)


def walk(parts, name, path):
    for key, field in parts[name]["properties"].items():
        yield f"{path}.{key}", field.get("enum", ()), field.get("default")
        if "$ref" in field:
            yield from walk(parts, field["$ref"].rpartition("/")[2], f"{path}.{key}")


@pytest.mark.parametrize("schema", [model_schema(), shared_schema()], ids=["model", "shared"])
def test_closed_words_and_plain_defaults_are_right(rows, schema):
    seen = 0
    for key, words, default in enums_and_defaults(schema):
        if key not in rows:
            continue
        _, allowed, stated = rows[key]
        assert [word for word in words if f"`{word}`" not in allowed] == [], key
        if default not in (None, "", [], {}) and not isinstance(default, dict):
            text = (
                str(default).lower()
                if isinstance(default, bool)
                else f"{default:g}"
                if isinstance(default, float)
                else str(default)
            )
            assert stated.strip() == f"`{text}`", key
            seen += 1
    assert seen > 0 or schema["title"] != "Windsock model"


def test_the_page_s_example_loads(page):
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 1
    spec = spec_from_bytes(examples[0].encode(), "spec.md")
    assert spec.name == "churn"
    assert spec.gate.minimum == {"roc_auc": 0.8}


def test_the_page_s_error_is_the_real_one(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = re.search(r"```text\n(.*?)```", page, re.DOTALL)[1].strip()
    lines = [
        "model:",
        "  name: churn",
        "",
        "training:",
        "  metric: roc_auc",
        "  schedule: dayly",
        "",
        "serving:",
    ]
    folder = tmp_path / "include" / "models"
    folder.mkdir(parents=True)
    (folder / "churn.yaml").write_text("\n".join([*lines, "  min_replicas: 010"]))
    with pytest.raises(ValueError, match="2 faults") as caught:
        load_spec("include/models/churn.yaml")
    assert caught.value.message == shown


def test_the_bundled_files_load(project):
    shared = load_shared(project / "include" / "windsock.yaml")
    specs, errors = load_models(project / "include" / "models", shared)
    assert errors == ()
    churn = specs["churn"]
    assert (churn.data.target, churn.data.entity, churn.data.sensitive) == (
        "churned",
        "customer_id",
        ("gender",),
    )
    assert len(churn.candidates) == 2
    assert churn.gate.minimum["roc_auc"] <= 0.75
    assert all(getattr(churn.gate.card, field) for field in ("intended_use", "limitations"))


def test_every_key_has_a_description_for_editors():
    def without(schema):
        for name, part in [("", schema), *schema["$defs"].items()]:
            for key, field in part.get("properties", {}).items():
                if not field.get("description"):
                    yield f"{name}.{key}"

    assert list(without(model_schema())) == []
    assert list(without(shared_schema())) == []


def test_gate_policies_have_the_keys_of_a_gate(rows):
    assert {key.removeprefix("gate.") for key in rows if key.startswith("gate.")} == set(
        known_keys(GateBlock)
    )
