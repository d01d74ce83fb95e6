"""The project's own DAG folder: what it holds, and its structure against the stored snapshot."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from airflow.sdk import AssetAny

from windsock.pipelines.ab_rollout import RUNS

SNAPSHOT = Path(__file__).parent / "snapshots" / "dags.json"
WANTED = {
    "churn__daily_retrain",
    "churn__drift_retrain",
    "churn__monitor",
    "churn__rollback",
    "offers__ab_rollout",
    "offers__daily_retrain",
    "offers__rollback",
    "windsock__housekeeping",
    "windsock__watchdog",
    "example_composed",
}


TRIED = """\
model: {name: offers, owner: ann}
data: {source: data/offers.csv, target: bought}
monitoring: {data_drift: false, performance_tracking: false}
rollout: {strategy: canary, metric: conversion, approve: true}
"""
"""A model beside the project's own whose versions must prove themselves on people."""


@pytest.fixture(scope="module")
def dag_bag(project, tmp_path_factory):
    include = tmp_path_factory.mktemp("project") / "include"
    shutil.copytree(project / "include", include)
    (include / "models" / "offers.yaml").write_text(TRIED, encoding="utf-8")
    os.environ["WINDSOCK_MODELS_DIR"] = str(include / "models")
    from airflow.dag_processing.dagbag import DagBag

    yield DagBag(dag_folder=str(project / "dags"), bundle_path=project / "dags")
    del os.environ["WINDSOCK_MODELS_DIR"]


def test_every_dag_is_found_and_none_is_broken(dag_bag):
    assert dag_bag.import_errors == {}
    assert set(dag_bag.dags) == WANTED


def structure(dag):
    tasks = {
        task.task_id: {
            "operator": getattr(task, "operator_name", None) or task.task_type,
            "upstream": sorted(task.upstream_task_ids),
            "trigger_rule": str(getattr(task.trigger_rule, "value", task.trigger_rule)),
        }
        for task in dag.tasks
    }
    schedule = getattr(dag.schedule, "expression", dag.schedule)
    if isinstance(schedule, AssetAny):
        schedule = [asset.uri for asset in schedule.objects]
    elif isinstance(schedule, list):
        schedule = [asset.uri for asset in schedule]
    return {"schedule": schedule, "params": sorted(dag.params), "tasks": tasks}


def test_structure_is_the_stored_one(dag_bag):
    found = {dag_id: structure(dag) for dag_id, dag in sorted(dag_bag.dags.items())}
    if os.environ.get("WINDSOCK_SNAPSHOTS") == "update":
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8")), "renew it with `make snapshots`"


@pytest.mark.parametrize("dag_id", sorted(WANTED))
def test_every_dag_can_be_run_by_anyone_on_call(dag_bag, dag_id):
    dag = dag_bag.dags[dag_id]
    assert "windsock" in dag.tags
    assert dag.catchup is False
    assert dag.max_active_runs == (RUNS if dag_id.endswith("__ab_rollout") else 1)
    assert dag.doc_md
    assert all(task.retries >= 2 for task in dag.tasks)
    assert all(task.owner not in ("", "airflow") for task in dag.tasks)


def test_what_starts_nothing_by_itself_is_created_switched_on(dag_bag):
    """Only a DAG with a clock of its own that makes versions waits for a person, and the example."""
    off = {dag_id for dag_id, dag in dag_bag.dags.items() if dag.is_paused_upon_creation is not False}
    assert off == {"churn__daily_retrain", "offers__daily_retrain", "example_composed"}
    clocks = {dag_id for dag_id, dag in dag_bag.dags.items() if hasattr(dag.schedule, "expression")}
    assert clocks == (off | {"windsock__housekeeping", "windsock__watchdog"}) - {"example_composed"}


def test_what_is_urgent_goes_first_and_waits_behind_no_training(dag_bag):
    weights = {}
    for dag_id, dag in dag_bag.dags.items():
        if dag_id != "example_composed":
            for task in dag.tasks:
                assert str(getattr(task.weight_rule, "value", task.weight_rule)) != "downstream", task
                weights[dag_id, task.task_id] = (task.priority_weight, task.pool)
    heavy = ("take_snapshot", "validate_data", "train_model", "evaluate_model")
    prompt = ("approve_model", "deploy_model", "promote_model", "keep_house", "watch")
    for (dag_id, task_id), (weight, pool) in weights.items():
        assert (pool == "training") is (task_id in heavy), (dag_id, task_id)
        assert (weight < 10) is (task_id in heavy)
        if task_id in prompt or dag_id.endswith("__ab_rollout"):
            assert weight == 100
    assert {task_id for (_, task_id), (weight, _) in weights.items() if weight > 100} == {"roll_back"}


def test_model_dag_tells_what_to_do_when_red(dag_bag):
    text = dag_bag.dags["churn__daily_retrain"].doc_md
    for word in ("owner", "schedule", "runbook", "When it is red", "windsock rollback churn"):
        assert word in text


def test_verdicts_are_not_retried_and_transport_is(dag_bag):
    from airflow.sdk import RetryAction

    from windsock.exceptions import GateRefusedError, ServerUnavailableError

    policy = dag_bag.dags["churn__daily_retrain"].get_task("gate_model").retry_policy
    assert policy.evaluate(GateRefusedError("no"), 1, 3).action is RetryAction.FAIL
    assert policy.evaluate(ServerUnavailableError("away"), 1, 3).action is RetryAction.RETRY
    assert policy.evaluate(KeyError("bug"), 1, 3).action is RetryAction.DEFAULT


@pytest.mark.parametrize(
    ("params", "good"),
    [
        ({"data_window": "30d"}, True),
        ({"data_window": None}, True),
        ({"data_window": "thirty days"}, False),
        ({"dry_run": "yes"}, False),
        ({"force": True}, True),
    ],
)
def test_form_is_typed(dag_bag, params, good):
    from airflow.sdk.definitions.param import ParamsDict, ParamValidationError

    form = ParamsDict(dag_bag.dags["churn__daily_retrain"].params)
    if good:
        form.update(params)
        form.validate()
    else:
        with pytest.raises(ParamValidationError):
            form.update(params)
