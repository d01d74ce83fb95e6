# ruff: noqa: E501 - one case a line
from __future__ import annotations

import json

import pytest

from support.specs import HEAD, faults, only_fault


# fmt: off
@pytest.mark.parametrize(
    ("text", "line", "key", "problem", "allowed", "cure"),
    [
        # unknown keys
        ("modl: {}", 2, "modl", "unknown key: a block of 0 keys", "data, gate, model", "did you mean model?"),
        ("serving: {}\nschedule: daily", 3, "schedule", "unknown key: text 'daily'", "data", "did you mean training.schedule?"),
        ("data:\n  sensitiv: [a]", 3, "data.sensitiv", "unknown key: a list of 1", "sensitive", "did you mean sensitive?"),
        ("training:\n  data_sorce: x", 3, "training.data_sorce", "unknown key", "schedule", "did you mean data_source?"),
        ("gate: {card: {use: x}}", 2, "gate.card.use", "unknown key: text 'x'", "intended_use, limitations", ""),
        ("data: {source: {kind: file, path: a, pth: b}}", 2, "data.source.pth", "unknown key", "kind, nulls, path", "did you mean path?"),
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
        ("data:\n  exclude: [b]\n  known_leaks_checked: [a, b]", 4, "data.known_leaks_checked", "1 column(s) stand in `exclude` too: b", "", "keep each in one"),
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
)
# fmt: on
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
