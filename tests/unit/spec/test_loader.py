from __future__ import annotations

import time
from datetime import date

import pytest

from support.specs import ANNOTATED, FOREIGN, HEAD, faults, load, only_fault
from windsock.exceptions import SpecError
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.faults import SpecFaultsError
from windsock.spec.loader import find_model, load_models, load_shared, load_spec

# --- files that load ---


def test_a_file_written_elsewhere_loads_as_it_stands():
    spec = load(FOREIGN)
    assert spec.name == "churn_predictor"
    assert spec.model_dump(mode="json")["data"]["source"] == {
        "kind": "feature_store",
        "view": "user_engagement_features",
    }
    assert (spec.training.schedule, spec.training.compute) == ("weekly", "cpu-medium")
    assert (spec.serving.min_replicas, spec.serving.max_replicas) == (2, 10)
    assert spec.monitoring.alert_channel == "#ml-alerts"
    assert (spec.data.target, spec.task, spec.rollout.strategy) == ("target", "classification", "direct")


def test_the_annotated_spec_loads():
    spec = load(ANNOTATED)
    assert spec.data.source.path == "include/data/churn.csv"
    assert (spec.data.event_time, spec.data.data_window, spec.data.sensitive) == (
        "updated_at",
        "30d",
        ("gender",),
    )
    assert spec.candidates[1].search.model_dump() == {"trials": 20, "minutes": 5.0}
    assert spec.gate.minimum == {"roc_auc": 0.8}


def test_the_name_alone_is_enough():
    assert load("model: {name: churn}") == ModelSpec.model_validate({"model": {"name": "churn"}})


def test_blocks_whose_lines_are_commented_out_have_their_defaults():
    text = "model: {name: churn}\n" + "".join(
        f"{name}:\n  # nothing\n" for name in ("data", "gate", "monitoring")
    )
    assert load(text) == load("model: {name: churn}")


@pytest.mark.parametrize(
    ("training", "target"),
    [("{target: churned}", "churned"), ("{target_column: churned}", "churned"), ("{}", "target")],
)
def test_the_flat_form_of_the_target(training, target):
    assert load(f"model: {{name: churn}}\ndata:\ntraining: {training}").data.target == target


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.csv", {"kind": "file", "path": "a.csv", "format": None}),
        ("s3://bucket/a.parquet", {"kind": "file", "path": "s3://bucket/a.parquet", "format": None}),
        (
            "sql://shop/sales.orders",
            {"kind": "sql", "conn_id": "shop", "query": None, "table": "sales.orders"},
        ),
        ("https://x/y", {"kind": "api", "url": "https://x/y", "conn_id": None}),
    ],
)
def test_sources_as_one_text(source, expected):
    spec = load(f"model: {{name: churn}}\ndata: {{source: '{source}'}}")
    got = spec.data.source.model_dump()
    assert {key: got[key] for key in expected} == expected
    assert all(value is None for key, value in got.items() if key not in expected)


@pytest.mark.parametrize("written", ["2026-12-01", '"2026-12-01"'])
def test_a_day_until_which_changes_are_accepted(written):
    text = f"model: {{name: churn}}\ndata: {{accept_changes_until: {written}}}\n"
    assert load(text).data.accept_changes_until == date(2026, 12, 1)


def test_words_that_yaml_1_1_would_change_stay_what_they_are():
    spec = load(
        "model: {name: churn, owner: no}\n"
        "data: {target: on, positive: Yes, entity: 010, features: [y, 12:30]}"
    )
    assert (spec.model.owner, spec.data.target, spec.data.positive) == ("no", "on", "Yes")
    assert (spec.data.entity, spec.data.features) == ("010", ("y", "12:30"))


@pytest.mark.parametrize(
    ("word", "value"), [("yes", True), ("on", True), ("no", False), ("Off", False), ("true", True)]
)
def test_switches_take_the_words_of_yaml_1_1(word, value):
    assert load(f"model: {{name: churn}}\nmonitoring: {{data_drift: {word}}}").monitoring.data_drift is value


@pytest.mark.parametrize(
    ("word", "value"), [("1", 1), ("'1'", "1"), ("0.5", 0.5), ("true", True), ("'true'", "true")]
)
def test_the_positive_class_keeps_its_type(word, value):
    found = load(f"model: {{name: churn}}\ndata: {{positive: {word}}}").data.positive
    assert (found, type(found)) == (value, type(value))


# --- shared words ---


def test_names_of_the_shared_file_are_known():
    shared = SharedSpec.model_validate({"compute": {"gpu": {"cpus": 4}}})
    assert load(HEAD + "training: {compute: gpu}", shared).training.compute == "gpu"
    assert load(HEAD + "training: {compute: cpu-large}", shared).training.compute == "cpu-large"
    assert only_fault(HEAD + "training: {compute: gpus}", shared).cure == "did you mean gpu?"


def test_unknown_shared_names_have_their_own_code():
    assert faults(HEAD + "training: {compute: x}\ngate: {policy: y}").code == "WS-SPEC-003"
    assert faults(HEAD + "training: {compute: x, metric: y}").code == "WS-SPEC-001"


def test_a_policy_is_filled_in_and_the_file_wins():
    shared = SharedSpec.model_validate(
        {
            "gate_policies": {
                "strict": {"minimum": {"roc_auc": 0.9}, "latency_ms": 2, "on_insufficient": "ask"}
            }
        }
    )
    gate = load(HEAD + "gate: {policy: strict, latency_ms: 7}", shared).gate
    assert (gate.minimum, gate.latency_ms, gate.on_insufficient) == ({"roc_auc": 0.9}, 7, "ask")


def test_a_policy_for_another_task_is_refused_at_its_name():
    shared = SharedSpec.model_validate({"gate_policies": {"numbers": {"minimum": {"r2": 0.5}}}})
    fault = only_fault(HEAD + "gate:\n  policy: numbers", shared)
    assert (fault.line, fault.key) == (3, "gate.policy")
    assert "metric r2 is not for classification" in fault.problem
    regression = "model: {name: churn, task: regression}\ngate: {policy: numbers}"
    assert load(regression, shared).gate.minimum == {"r2": 0.5}


def test_a_shared_file_that_is_absent_has_the_defaults(tmp_path):
    assert load_shared(tmp_path / "windsock.yaml") == SharedSpec()


@pytest.mark.parametrize("text", ["", "# all commented out\n", "compute:\napprovers:\n"])
def test_a_shared_file_without_content_has_the_defaults(tmp_path, text):
    (tmp_path / "windsock.yaml").write_text(text)
    assert load_shared(tmp_path / "windsock.yaml") == SharedSpec()


def test_a_shared_file_loads(tmp_path):
    file = tmp_path / "windsock.yaml"
    file.write_text("compute: {gpu: {cpus: 4, memory_gb: 16}}\napprovers: {high: [ann, bob]}\n")
    shared = load_shared(file)
    assert shared.compute_class("gpu").memory_gb == 16
    assert shared.compute_class("cpu-small").cpus == 1
    assert shared.approvers.for_tier("high") == ("ann", "bob")


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("computes: {}", 1, "computes", "did you mean compute?"),
        ("compute:\n  gpu: {cpu: 4}", 2, "compute.gpu.cpu", "did you mean cpus?"),
        ("compute:\n  gpu:", 2, "compute.gpu", "wrong kind: nothing (null)"),
        ("compute: {gpu: {cpus: 0}}", 1, "compute.gpu.cpus", "more than 0"),
        ("gate_policies: {p: {minimum: {auc: 1}}}", 1, "gate_policies.p.minimum.auc", "unknown metric"),
        ("gate_policies: {p: {checks: [x]}}", 1, "gate_policies.p.checks[0]", "unknown check"),
        ("approvers: {high: ann}", 1, "approvers.high", "a list"),
        ("- a", 1, None, "wrong kind: a list of 1"),
    ],
)
def test_a_broken_shared_file_says_where(tmp_path, text, line, key, says):
    file = tmp_path / "windsock.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_shared(file)
    assert (caught.value.file, caught.value.line, caught.value.key) == (str(file), line, key)
    assert says in caught.value.message


def test_a_shared_file_that_cannot_be_read_is_no_default(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "file" / "windsock.yaml", tmp_path / "folder", tmp_path / "link"):
        with pytest.raises(SpecError) as caught:
            load_shared(path)
        assert caught.value.code == "WS-SPEC-005"


# --- folders ---


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_one_bad_file_never_hurts_another(tmp_path):
    write(
        tmp_path,
        b="model: {name: beta}",
        a="model: {name: alpha, tier: x}",
        c="model: {name: [",
        d="model: {name: delta}",
    )
    (tmp_path / "e.yaml").write_bytes(b"\xff")
    (tmp_path / "f.yaml").mkdir()
    (tmp_path / "g.yml").write_text("model: {name: gamma}")
    (tmp_path / ".hidden.yaml").write_text("model: {name: hidden}")
    (tmp_path / "notes.txt").write_text("no model")
    specs, errors = load_models(tmp_path, SharedSpec())
    assert list(specs) == ["beta", "delta", "gamma"]
    assert [error.file.rpartition("/")[2] for error in errors] == ["a.yaml", "c.yaml", "e.yaml", "f.yaml"]


def test_two_files_with_the_same_name_are_both_refused(tmp_path):
    write(tmp_path, a="# first\nmodel: {name: churn}", b="model:\n  name: churn", c="model: {name: other}")
    specs, errors = load_models(tmp_path, SharedSpec())
    assert list(specs) == ["other"]
    assert [(error.file, error.line, error.key, error.code) for error in errors] == [
        (str(tmp_path / "a.yaml"), 2, "model.name", "WS-SPEC-006"),
        (str(tmp_path / "b.yaml"), 2, "model.name", "WS-SPEC-006"),
    ]
    assert "the model churn stands in b.yaml too" in errors[0].message
    assert "the model churn stands in a.yaml too" in errors[1].message


def test_a_broken_copy_leaves_the_good_file_alone(tmp_path):
    write(tmp_path, a="model: {name: churn}", b="model: {name: churn, tier: x}")
    specs, errors = load_models(tmp_path, SharedSpec())
    assert list(specs) == ["churn"]
    assert len(errors) == 1


def test_a_folder_that_is_not_there_is_an_error_and_an_empty_one_is_not(tmp_path):
    assert load_models(tmp_path, SharedSpec()) == ({}, ())
    specs, errors = load_models(tmp_path / "no", SharedSpec())
    assert specs == {}
    assert errors[0].code == "WS-SPEC-005"
    assert "WINDSOCK_MODELS_DIR" in errors[0].next_action


def test_find_model_by_its_name_not_the_file_s(tmp_path):
    write(tmp_path, file="model: {name: churn}")
    assert find_model(tmp_path, "churn").name == "churn"


def test_find_model_says_why_its_file_is_broken(tmp_path):
    write(
        tmp_path,
        churn="model: {name: churn, tier: x}",
        other="model: {name: credit, tier: x}",
        ok="model: {name: ok}",
    )
    for name, file in (("churn", "churn.yaml"), ("credit", "other.yaml")):
        with pytest.raises(SpecFaultsError) as caught:
            find_model(tmp_path, name)
        assert caught.value.file == str(tmp_path / file)
        assert caught.value.key == "model.tier"


def test_find_model_lists_the_known_ones(tmp_path):
    write(tmp_path, a="model: {name: churn}", b="model: {name: credit}", c="- no\n- model")
    with pytest.raises(SpecError, match="known models: churn, credit; did you mean churn") as caught:
        find_model(tmp_path, "churm")
    assert caught.value.code == "WS-SPEC-007"
    with pytest.raises(SpecError, match="cannot be read"):
        find_model(tmp_path / "no", "churn")


def test_find_model_uses_the_shared_file(tmp_path):
    (tmp_path / "models").mkdir()
    write(tmp_path / "models", a="model: {name: churn}\ntraining: {compute: gpu}")
    (tmp_path / "windsock.yaml").write_text("compute: {gpu: {cpus: 4}}")
    found = find_model(tmp_path / "models", "churn", shared_file=tmp_path / "windsock.yaml")
    assert found.training.compute == "gpu"
    with pytest.raises(SpecError, match="unknown compute class"):
        find_model(tmp_path / "models", "churn")


def test_load_spec_names_the_file_as_the_user_did(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("model: {name: churn, tier: x}")
    with pytest.raises(SpecError) as caught:
        load_spec("x.yaml")
    assert str(caught.value).startswith("WS-SPEC-001: x.yaml:1: model.tier: ")


def test_a_hundred_specs_load_in_half_a_second(tmp_path):
    for number in range(100):
        (tmp_path / f"m{number:03}.yaml").write_text(ANNOTATED.replace("name: churn", f"name: m{number}"))
    begun = time.process_time()
    specs, errors = load_models(tmp_path, SharedSpec())
    assert (len(specs), errors) == (100, ())
    assert time.process_time() - begun < 0.5
