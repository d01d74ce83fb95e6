"""What stands in a model's file is data: no text of it is in a place that Airflow renders as a template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator

from windsock.pipelines.factory import build_dags

PLANTED = "{{ task.hook.settings().read_admin_token() }}"
SPEC = f"""\
model: {{name: offers, owner: "{PLANTED}", description: "{PLANTED}", runbook: "{PLANTED}"}}
data:
  source: "data/{PLANTED}.csv"
  target: "{PLANTED}"
  entity: "e{PLANTED}"
  exclude: ["x{PLANTED}"]
training:
  candidates:
    - {{estimator: logistic_regression, params: {{solver: "{PLANTED}", "{PLANTED}": 1}}}}
    - {{estimator: random_forest, params: {{criterion: "{PLANTED}"}}}}
gate:
  card: {{intended_use: "{PLANTED}", limitations: "{PLANTED}"}}
monitoring:
  labels: {{kind: file, path: "{PLANTED}"}}
  alert_channel: "{PLANTED}"
  performance: {{business: {{name: churned, sql: "{PLANTED}", minimum: 0.1}}}}
rollout: {{strategy: canary, metric: conversion, approve: true}}
"""


@pytest.fixture(scope="module")
def dags(tmp_path_factory) -> dict[str, DAG]:
    """The DAGs of a model whose file holds a template in every text that people write."""
    models = tmp_path_factory.mktemp("include") / "models"
    models.mkdir()
    (models / "offers.yaml").write_text(SPEC, encoding="utf-8")
    made = build_dags(models)
    assert {"offers__daily_retrain", "offers__monitor", "offers__ab_rollout"} <= set(made)
    return made


def rendered(dag: DAG) -> Iterator[tuple[str, Any]]:
    """Yield every value of a DAG's tasks that Airflow renders, by its place."""
    for task in dag.tasks:
        mapped = isinstance(task, MappedOperator)
        given = {**task.partial_kwargs, "expand": task.expand_input.value} if mapped else {}
        for field in (*task.template_fields, "map_index_template"):
            value = given.get(field) if mapped else getattr(task, field, None)
            yield f"{task.task_id}.{field}", value
        if mapped:
            wanted = {name: value for name, value in given["expand"].items() if name in task.template_fields}
            yield f"{task.task_id}.expand", wanted


def test_no_text_of_a_model_s_file_is_in_a_template_field(dags):
    found = {
        f"{dag_id}.{place}"
        for dag_id, dag in dags.items()
        for place, value in rendered(dag)
        if PLANTED in str(value)
    }
    assert found == set()


def test_the_planted_texts_are_in_the_tasks_as_data(dags):
    (gate,) = [task for task in dags["offers__daily_retrain"].tasks if task.task_id == "gate_model"]
    assert str(gate.spec).count(PLANTED) >= 10
