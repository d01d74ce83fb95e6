from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from windsock.exceptions import SpecError, WindsockError
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.faults import SpecFaultsError
from windsock.spec.loader import find_model, load_models, load_shared, load_spec, spec_from_bytes
from windsock.spec.registries import CHECKS, ESTIMATORS, METRICS

FOREIGN = """\
model:
  name: churn_predictor
  owner: ds-team@company.com
  framework: sklearn
training:
  schedule: "weekly"
  data_source: "feature_store://user_engagement_features"
  compute: "cpu-medium"
  experiment_tracking: true
serving:
  type: online
  sla_latency_ms: 50
  min_replicas: 2
  max_replicas: 10
  autoscale_metric: cpu
monitoring:
  data_drift: true
  performance_tracking: true
  alert_channel: "#ml-alerts"
"""

ANNOTATED = """\
model: {name: churn, owner: ds-team@company.com, framework: sklearn, task: classification, tier: low}   # tier: low | medium | high -> approvals
data:
  source: {kind: file, path: include/data/churn.csv}      # or sql://CONN_ID/TABLE, {kind: sql, conn_id, query}, {kind: api, ...}, feature_store://VIEW
  target: churned                                         # default: target
  entity: customer_id                                     # identity of a row, fixes its train/held-out side for life
  event_time: updated_at                                  # optional; then the latest span is held out
  sensitive: [gender]                                     # fairness groups, never features unless listed
  data_window: 30d
training:
  schedule: daily                                         # cron or hourly | daily (0 2 * * *) | weekly | monthly
  compute: cpu-medium
  candidates: [{estimator: logistic_regression}, {estimator: hist_gradient_boosting, search: {trials: 20, minutes: 5}}]
  metric: roc_auc
gate:
  minimum: {roc_auc: 0.80}                                # none given: beat a dummy model with the whole interval
  against_champion: better                                # or not_worse: 0.01
  card: {intended_use: "...", limitations: "..."}         # without these the gate refuses and names them
serving: {type: online, target: local, sla_latency_ms: 50, min_replicas: 2, max_replicas: 10, autoscale_metric: cpu}
rollout: {strategy: direct}                               # direct | canary | ab | shadow
monitoring: {data_drift: true, performance_tracking: true, window: 1d, labels: {kind: outcomes}, alert_channel: "#ml-alerts"}
"""  # noqa: E501


def load(text, shared=None):
    return spec_from_bytes(text.encode(), "churn.yaml", shared)


def faults(text, shared=None):
    with pytest.raises(SpecError) as caught:
        load(text, shared)
    assert isinstance(caught.value, SpecFaultsError)
    return caught.value


def only_fault(text, shared=None):
    error = faults(text, shared)
    assert len(error.faults) == 1, error.message
    fault = error.faults[0]
    assert (error.file, error.line, error.key) == ("churn.yaml", fault.line, fault.key)
    return fault


# --- files that load -------------------------------------------------------------------------------------------


def test_a_file_written_elsewhere_loads_as_it_stands():
    spec = load(FOREIGN)
    assert spec.name == "churn_predictor"
    assert spec.model_dump(mode="json")["data"]["source"] == {"kind": "feature_store", "view": "user_engagement_features"}
    assert (spec.training.schedule, spec.training.compute) == ("weekly", "cpu-medium")
    assert (spec.serving.min_replicas, spec.serving.max_replicas) == (2, 10)
    assert spec.monitoring.alert_channel == "#ml-alerts"
    assert (spec.data.target, spec.task, spec.rollout.strategy) == ("target", "classification", "direct")


def test_the_annotated_spec_loads():
    spec = load(ANNOTATED)
    assert spec.data.source.path == "include/data/churn.csv"
    assert (spec.data.event_time, spec.data.data_window, spec.data.sensitive) == ("updated_at", "30d", ("gender",))
    assert spec.candidates[1].search.model_dump() == {"trials": 20, "minutes": 5.0}
    assert spec.gate.minimum == {"roc_auc": 0.8}


def test_the_name_alone_is_enough():
    assert load("model: {name: churn}") == ModelSpec.model_validate({"model": {"name": "churn"}})


def test_blocks_whose_lines_are_commented_out_have_their_defaults():
    text = "model: {name: churn}\n" + "".join(f"{name}:\n  # nothing\n" for name in ("data", "gate", "monitoring"))
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
        ("sql://shop/sales.orders", {"kind": "sql", "conn_id": "shop", "query": None, "table": "sales.orders"}),
        ("https://x/y", {"kind": "api", "url": "https://x/y", "conn_id": None}),
    ],
)
def test_sources_as_one_text(source, expected):
    spec = load(f"model: {{name: churn}}\ndata: {{source: '{source}'}}")
    assert spec.data.source.model_dump() == expected


def test_words_that_yaml_1_1_would_change_stay_what_they_are():
    spec = load("model: {name: churn, owner: no}\ndata: {target: on, positive: Yes, entity: 010, features: [y, 12:30]}")
    assert (spec.model.owner, spec.data.target, spec.data.positive) == ("no", "on", "Yes")
    assert (spec.data.entity, spec.data.features) == ("010", ("y", "12:30"))


@pytest.mark.parametrize(("word", "value"), [("yes", True), ("on", True), ("no", False), ("Off", False), ("true", True)])
def test_switches_take_the_words_of_yaml_1_1(word, value):
    assert load(f"model: {{name: churn}}\nmonitoring: {{data_drift: {word}}}").monitoring.data_drift is value


@pytest.mark.parametrize(("word", "value"), [("1", 1), ("'1'", "1"), ("0.5", 0.5), ("true", True), ("'true'", "true")])
def test_the_positive_class_keeps_its_type(word, value):
    found = load(f"model: {{name: churn}}\ndata: {{positive: {word}}}").data.positive
    assert (found, type(found)) == (value, type(value))


# --- files that are refused ------------------------------------------------------------------------------------

HEAD = "model: {name: churn}\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "problem", "allowed", "cure"),
    [
        # unknown keys
        ("modl: {}", 2, "modl", "unknown key: a block of 0 keys", "data, gate, model", "did you mean model?"),
        ("serving: {}\nschedule: daily", 3, "schedule", "unknown key: text 'daily'", "data", "did you mean training.schedule?"),
        ("data:\n  sensitiv: [a]", 3, "data.sensitiv", "unknown key: a list of 1", "sensitive", "did you mean sensitive?"),
        ("training:\n  data_sorce: x", 3, "training.data_sorce", "unknown key", "schedule", "did you mean data_source?"),
        ("gate: {card: {use: x}}", 2, "gate.card.use", "unknown key: text 'x'", "intended_use, limitations", ""),
        ("data: {source: {kind: file, path: a, pth: b}}", 2, "data.source.pth", "unknown key", "format, kind, path", "did you mean path?"),
        ("training: {candidates: [{estimator: ridge, serch: 1}]}", 2, "training.candidates[0].serch", "unknown key", "search", "did you mean search?"),
        # missing keys
        ("training: {candidates: [{params: {}}]}", 2, "training.candidates[0].estimator", "missing", "what is fitted", "add estimator: ..."),
        ("data: {source: {kind: file}}", 2, "data.source.path", "missing", "the file", "add path: ..."),
        # kinds
        ("data: {target: 2024}", 2, "data.target", "wrong kind: number 2024", "text", 'quote it: "2024"'),
        ("data: {target: true}", 2, "data.target", "wrong kind: true/false value true", "text", 'quote it: "true"'),
        ("data: {target: }", 2, "data.target", "wrong kind: nothing (null)", "text", "write a value, or remove the line"),
        ("data: {target: [a]}", 2, "data.target", "wrong kind: a list of 1", "text", ""),
        ("monitoring: {alert_channel: 1e5}", 2, "monitoring.alert_channel", "wrong kind: number 100000.0", "text", "quote it"),
        ("serving: {min_replicas: 010}", 2, "serving.min_replicas", "wrong kind: text '010'", "a whole number", "without a leading zero"),
        ("serving: {min_replicas: '2'}", 2, "serving.min_replicas", "wrong kind: text '2'", "a whole number", "without quotation marks"),
        ("serving: {max_replicas: 2.5}", 2, "serving.max_replicas", "wrong kind: number 2.5", "a whole number", ""),
        ("serving: {max_replicas: true}", 2, "serving.max_replicas", "wrong kind: true/false", "a whole number", ""),
        ("serving: {sla_latency_ms: 12:30}", 2, "serving.sla_latency_ms", "wrong kind: text '12:30'", "a number", "in digits"),
        ("serving: {sla_latency_ms: .inf}", 2, "serving.sla_latency_ms", "wrong kind: number inf", "a finite number", ""),
        ("gate: {minimum: {roc_auc: 1e400}}", 2, "gate.minimum.roc_auc", "wrong kind: number inf", "a finite number", ""),
        ("gate: {minimum: {roc_auc: .nan}}", 2, "gate.minimum.roc_auc", "wrong kind: number nan", "a finite number", ""),
        ("gate: {minimum: {roc_auc: good}}", 2, "gate.minimum.roc_auc", "wrong kind: text 'good'", "a number", "in digits"),
        ("gate: {minimum: 0.8}", 2, "gate.minimum", "wrong kind: number 0.8", "a block of keys", ""),
        ("monitoring: {data_drift: maybe}", 2, "monitoring.data_drift", "wrong kind: text 'maybe'", "true or false", ""),
        ("monitoring: {data_drift: 1}", 2, "monitoring.data_drift", "wrong kind: number 1", "true or false", ""),
        ("data: {sensitive: gender}", 2, "data.sensitive", "wrong kind: text 'gender'", "a list", "put it into brackets"),
        ("data: {sensitive: [gender, 1]}", 2, "data.sensitive[1]", "wrong kind: number 1", "text", 'quote it: "1"'),
        ("serving: online", 2, "serving", "wrong kind: text 'online'", "a block of the keys autoscale_metric", ""),
        ("gate: {card: }", 2, "gate.card", "wrong kind: nothing (null)", "a block of the keys", "remove the line"),
        ("training:\n  candidates:\n    - ridge", 4, "training.candidates[0]", "wrong kind: text 'ridge'", "a block of the keys estimator, params, search", ""),
        ("data: {positive: [1]}", 2, "data.positive", "wrong kind: a list of 1", "text, or a whole number, or a number, or true or false", ""),
        ("training: {candidates: [{estimator: ridge, params: {alpha: [1]}}]}", 2, "training.candidates[0].params.alpha", "wrong kind: a list of 1", "a number", ""),
        # closed words
        ("model2: 1", 2, "model2", "unknown key: number 1", "model", "did you mean model?"),
        ("serving: {target: dokcer}", 2, "serving.target", "unknown word: text 'dokcer'", "local, docker, kubernetes", "did you mean docker?"),
        ("rollout: {strategy: 1}", 2, "rollout.strategy", "unknown word: number 1", "direct, canary, ab, shadow", ""),
        ("training: {experiment_tracking: no}", 2, "training.experiment_tracking", "unknown word: text 'no'", "true", ""),
        ("training: {metric: auc}", 2, "training.metric", "unknown metric: text 'auc'", "accuracy, average_precision", "did you mean roc_auc?"),
        ("training: {metric: 5}", 2, "training.metric", "unknown metric: number 5", "accuracy", ""),
        ("gate: {minimum: {recal: 0.5}}", 2, "gate.minimum.recal", "unknown metric", "recall", "did you mean recall?"),
        ("gate: {checks: [latncy]}", 2, "gate.checks[0]", "unknown check: text 'latncy'", "latency", "did you mean latency?"),
        ("gate: {against_champion: bettr}", 2, "gate.against_champion", "unknown word: text 'bettr'", "better", "did you mean better?"),
        ("training: {candidates: [{estimator: random_forrest}]}", 2, "training.candidates[0].estimator", "unknown estimator", "random_forest", "did you mean random_forest?"),
        ("data: {source: {kind: fil, path: a}}", 2, "data.source.kind", "unknown source kind: text 'fil'", "api, feature_store, file, sql", "did you mean file?"),
        ("data: {source: {path: a}}", 2, "data.source", "the block does not say its kind", "file", "add kind: file"),
        # limits
        ("serving: {sla_latency_ms: 0}", 2, "serving.sla_latency_ms", "out of range: number 0", "more than 0", ""),
        ("serving: {min_replicas: -1}", 2, "serving.min_replicas", "out of range: number -1", "at least 0", ""),
        ("serving: {max_replicas: 1001}", 2, "serving.max_replicas", "out of range: number 1001", "at most 1000", ""),
        ("serving: {max_replicas: 99999999999999999999999}", 2, "serving.max_replicas", "out of range", "at most 1000", ""),
        ("gate: {against_champion: {not_worse: -0.1}}", 2, "gate.against_champion.not_worse", "out of range", "at least 0", ""),
        ('data: {target: ""}', 2, "data.target", "wrong length: text ''", "at least 1 characters", ""),
        (f"data: {{source: {'x' * 4097}}}", 2, "data.source", "wrong length: text 'xxx", "at most 4096 characters", ""),
        (f"training: {{candidates: [{'{estimator: ridge}, ' * 51}]}}", 2, "training.candidates", "wrong length: a list of 51", "at most 50 items", ""),
        # what does not fit together
        ("serving:\n  min_replicas: 5", 3, "serving.min_replicas", "min_replicas 5 is more than max_replicas 1", "0 to 1", ""),
        ("data: {data_window: 30d}", 2, "data.data_window", "needs to know when a row happened", "", "add `event_time`"),
        ("data:\n  target: a\n  sensitive: [a]", 4, "data.sensitive", "the target column stands here too", "", "take it out"),
        ("data:\n  features: [a, b]\n  exclude: [b]", 4, "data.exclude", "1 column(s) stand in `features` too: b", "", "keep each in one"),
        ("training:\n  metric: r2", 3, "training.metric", "metric r2 is not for classification", "accuracy, average_precision", ""),
        ("gate:\n  minimum:\n    rmse: 1", 4, "gate.minimum.rmse", "metric rmse is not for classification", "roc_auc", ""),
        ("training:\n  candidates:\n    - estimator: ridge", 4, "training.candidates[0].estimator", "estimator ridge is not for classification", "hist_gradient_boosting, logistic_regression", ""),
        ("data: {target: a}\ntraining: {target: b}", 3, "training.target", "data.target says the same thing", "", "keep one"),
        ("training: {target: b, target_column: c}", 2, "training.target_column", "training.target says the same thing", "", "keep one"),
        ("data: {source: {kind: sql, conn_id: a}}", 2, "data.source", "needs a `query` or a `table`", "", "sql://CONN_ID/TABLE"),
        ("data: {source: sql://shop}", 2, "data.source", "needs a `query` or a `table`", "", "sql://CONN_ID/TABLE"),
        ("data: {source: 'sql://shop/a; drop b'}", 2, "data.source", "no table name", "a name such as customers", "use `query`"),
        ("data: {source: 'feature_store://'}", 2, "data.source", "wrong length", "at least 1 characters", ""),
        # durations, schedules, names
        ("monitoring: {window: 3}", 2, "monitoring.window", "no time span: number 3", "30d, 12h", "a number with a unit"),
        ("monitoring: {window: 3 fortnights}", 2, "monitoring.window", "no time span: text '3 fortnights'", "30d, 12h", ""),
        ("training: {schedule: weekley}", 2, "training.schedule", "no schedule: text 'weekley'", "hourly, daily, weekly", "did you mean weekly?"),
        ("training: {schedule: 0 25 * * *}", 2, "training.schedule", "field 2 (hour) of the cron expression", "0-23", ""),
        ("training: {schedule: 5}", 2, "training.schedule", "no schedule: number 5", "five cron fields", ""),
        # shared words
        ("training: {compute: cpu-mediun}", 2, "training.compute", "unknown compute class: text 'cpu-mediun'", "cpu-large, cpu-medium, cpu-small", "did you mean cpu-medium?"),
        ("gate: {policy: strict}", 2, "gate.policy", "unknown gate policy: text 'strict'", "none", "add it to windsock.yaml"),
    ],
)  # fmt: skip
def test_each_fault_says_where_what_allowed_and_cure(text, line, key, problem, allowed, cure):
    fault = only_fault(HEAD + text)
    assert (fault.file, fault.line, fault.key) == ("churn.yaml", line, key)
    assert problem in fault.problem
    assert allowed in fault.allowed
    assert cure in fault.cure
    assert bool(fault.allowed) or bool(fault.cure)
    assert str(fault).startswith(f"churn.yaml:{line}: {key}: ")


@pytest.mark.parametrize(
    "name", ["Churn", "1churn", "churn model", "churn-model", "a__b", "", "x" * 61, "churn\u00e9", "_a"]
)
def test_names_that_are_refused(name):
    fault = only_fault(f"model:\n  name: {json.dumps(name, ensure_ascii=False)}")
    assert (fault.line, fault.key) == (2, "model.name")
    assert "no model name" in fault.problem
    assert "small letters" in fault.allowed


@pytest.mark.parametrize(
    ("text", "line", "key", "problem"),
    [
        ("", None, "", "the file is empty"),
        ("# nothing", None, "", "the file is empty"),
        ("- a", 1, "", "wrong kind: a list of 1"),
        ("just text", 1, "", "wrong kind: text 'just text'"),
        ("data: {}", 1, "model", "missing"),
        ("data: {}\nmodel:", 2, "model", "missing"),
        ("data: {}\nmodel: {}", 2, "model.name", "missing"),
        ("data: {}\nmodel: churn", 2, "model", "wrong kind: text 'churn'"),
        ("model: {name: churn, owner: ''}", 1, "model.owner", "wrong length"),
    ],
)
def test_files_without_a_model_are_refused(text, line, key, problem):
    error = faults(text)
    assert (error.line, error.key or "") == (line, key)
    assert problem in error.message


def test_all_faults_come_at_once_in_the_order_of_their_lines():
    error = faults(
        "model: {name: churn, tier: hi}\nservin: {}\ntraining:\n  compute: gpu\n  schedule: dayly\n"
        "  data_source: {kind: sql, conn_id: 3, table: t}\ngate: {policy: p, minimum: {auc: x}}\n"
    )
    assert [(fault.line, fault.key) for fault in error.faults] == [
        (1, "model.tier"),
        (2, "servin"),
        (4, "training.compute"),
        (5, "training.schedule"),
        (6, "training.data_source.conn_id"),
        (7, "gate.minimum.auc"),
        (7, "gate.policy"),
    ]
    assert error.message.startswith("churn.yaml: 7 faults\n  churn.yaml:1: model.tier: ")
    assert error.message.count("\n") == 7
    assert (error.line, error.key, error.code) == (1, "model.tier", "WS-SPEC-001")


def test_a_file_full_of_faults_has_a_bounded_message():
    error = faults(HEAD + "".join(f"k{number}: {{a: 1}}\n" for number in range(300)))
    assert len(error.faults) == 300
    assert "and 250 more" in error.message
    assert len(error.message) < 20_000


def test_long_values_are_shown_short():
    fault = only_fault(HEAD + f"rollout: {{strategy: {'x' * 5000}}}")
    assert len(str(fault)) < 200
    fault = only_fault(HEAD + f"{'k' * 900}: 1")
    assert len(str(fault)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "data: {source: 'postgresql://ann:hunter2@db/shop'}",
        "data: {source: {kind: file, path: 's3://ann:hunter2@bucket/x'}}",
        "data: {source: {kind: api, url: 'https://ann:hunter2@host/x'}}",
        "data: {password: hunter2}",
        "data: {source: {kind: sql, conn_id: a, table: b, api_key: hunter2}}",
        "training: {compute: 'https://ann:hunter2@host'}",
    ],
)
def test_no_secret_is_shown(text):
    error = faults(HEAD + text)
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error.faults)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("postgresql://ann:pw@db/shop", "an address with credentials"),
        ("https://token@host/x", "an address with credentials"),
        ("postgresql+psycopg2://db/shop", "the address of a database"),
        ("sqlite:///shop.db", "the address of a database"),
    ],
)
def test_addresses_that_belong_into_a_connection_are_refused(source, problem):
    fault = only_fault(HEAD + f"training: {{data_source: '{source}'}}")
    assert (fault.key, fault.line) == ("training.data_source", 2)
    assert problem in fault.problem
    assert "connection" in fault.cure


# --- shared words ----------------------------------------------------------------------------------------------


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
        {"gate_policies": {"strict": {"minimum": {"roc_auc": 0.9}, "latency_ms": 2, "on_insufficient": "ask"}}}
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


# --- folders ---------------------------------------------------------------------------------------------------


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_one_bad_file_never_hurts_another(tmp_path):
    write(tmp_path, b="model: {name: beta}", a="model: {name: alpha, tier: x}", c="model: {name: [", d="model: {name: delta}")
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
    write(tmp_path, churn="model: {name: churn, tier: x}", other="model: {name: credit, tier: x}", ok="model: {name: ok}")
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


# --- any input -------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_spec_or_a_spec_error(content):
    try:
        assert isinstance(spec_from_bytes(content, "churn.yaml"), ModelSpec)
    except SpecError:
        pass


KEYS = st.sampled_from(
    ["model", "data", "training", "gate", "serving", "monitoring", "name", "source", "target", "kind", "path", "table"]
    + ["conn_id", "candidates", "estimator", "params", "minimum", "roc_auc", "card", "against_champion", "not_worse"]
    + ["schedule", "compute", "policy", "labels", "window", "data_source", "positive", "sensitive", "checks", "x", "[key]"]
)
LEAVES = st.none() | st.booleans() | st.integers(-3, 10**25) | st.floats() | st.sampled_from(
    ["churn", "sql", "file", "better", "30d", "daily", "ridge", "sql://a/b", "http://x", "", "no", "0 0 30 2 *", "é"]
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
BLOCKS = st.dictionaries(
    st.sampled_from(list(ModelSpec.model_fields)), st.dictionaries(KEYS, ANYTHING, max_size=5) | ANYTHING, max_size=7
)


def as_yaml(value):
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("NaN", ".nan").replace("-Infinity", "-.inf").replace("Infinity", ".inf")


@given(BLOCKS)
@settings(max_examples=500, deadline=None)
def test_any_content_gives_a_spec_or_faults_with_a_place_and_a_cure(content):
    try:
        spec = load(as_yaml(content))
    except SpecFaultsError as error:
        for fault in error.faults:
            assert fault.line is not None
            assert fault.allowed or fault.cure, str(fault)
            assert "tagged" not in str(fault)
            assert "Input should" not in str(fault), str(fault)
    else:
        assert isinstance(spec, ModelSpec)


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,4})?", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
COLUMNS = st.lists(TEXTS, max_size=3, unique=True)
CLASS_METRICS = [name for name, facts in METRICS.items() if "classification" in facts.tasks]
CLASSIFIERS = [name for name, tasks in ESTIMATORS.items() if "classification" in tasks]
POSITIVE = st.floats(1e-3, 1e6)
SPECS = st.fixed_dictionaries(
    {"model": st.fixed_dictionaries({"name": NAMES}, optional={"owner": TEXTS, "tier": st.sampled_from(["low", "high"])})},
    optional={
        "data": st.fixed_dictionaries(
            {},
            optional={
                "source": st.sampled_from(["a.csv", "sql://shop/orders", "feature_store://v", {"kind": "api", "url": "x"}]),
                "target": TEXTS.map(lambda text: f"target {text}"),
                "positive": st.none() | st.booleans() | st.integers(-5, 5) | TEXTS,
                "entity": TEXTS,
                "sensitive": COLUMNS,
                "exclude": COLUMNS,
            },
        ),
        "training": st.fixed_dictionaries(
            {},
            optional={
                "schedule": st.sampled_from(["hourly", "weekly", "*/5 * * * *", "0 2 * * mon-fri"]),
                "metric": st.sampled_from(CLASS_METRICS),
                "candidates": st.lists(
                    st.fixed_dictionaries(
                        {"estimator": st.sampled_from(CLASSIFIERS)},
                        optional={
                            "params": st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | POSITIVE | TEXTS, max_size=3),
                            "search": st.fixed_dictionaries({"trials": st.integers(1, 1000), "minutes": st.floats(0.1, 1440)}),
                        },
                    ),
                    max_size=3,
                ),
            },
        ),
        "gate": st.fixed_dictionaries(
            {},
            optional={
                "minimum": st.dictionaries(st.sampled_from(CLASS_METRICS), st.floats(-1e6, 1e6), max_size=3),
                "against_champion": st.just("better") | POSITIVE.map(lambda margin: {"not_worse": margin}),
                "checks": st.lists(st.sampled_from(CHECKS), max_size=3),
                "card": st.dictionaries(st.sampled_from(["intended_use", "limitations"]), TEXTS, max_size=2),
            },
        ),
        "monitoring": st.fixed_dictionaries(
            {}, optional={"data_drift": st.booleans(), "window": st.sampled_from(["1d", "12h", "1d 6h"]), "alert_channel": TEXTS}
        ),
    },
)  # fmt: skip


class QuotedDumper(yaml.SafeDumper):
    """Writes every text in quotation marks: PyYAML's own writer leaves 1e5 bare."""


QuotedDumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@given(SPECS)
@settings(max_examples=300, deadline=None)
def test_a_spec_written_as_yaml_loads_as_it_was(content):
    spec = ModelSpec.model_validate(content)
    dumped = spec.model_dump(mode="json")
    for text in (as_yaml(dumped), yaml.dump(dumped, Dumper=QuotedDumper, allow_unicode=True)):
        assert load(text) == spec
    assert load(as_yaml(content)) == spec


def test_every_error_is_windsock_s_own():
    with pytest.raises(WindsockError):
        load("model: {name: churn, owner: !!python/object:os.system {}}")
