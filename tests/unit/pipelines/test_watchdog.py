from __future__ import annotations

from datetime import timedelta

import pytest

from windsock.operators.assets import due_outlet
from windsock.pipelines import factory
from windsock.pipelines.factory import build_dags
from windsock.pipelines.watchdog import watchdog_dag

FILE = "model: {{name: {name}, owner: ann}}\ndata: {{source: data.csv, target: y}}\n"
SHORT = "rollout: {{strategy: ab, metric: conversion, check: {check}, cycle: 1m, bake: 1s, deadline: 1h}}\n"


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "include" / "models"
    folder.mkdir(parents=True)
    (folder / "apples.yaml").write_text(FILE.format(name="apples"), encoding="utf-8")
    return folder


def test_one_task_every_two_minutes(models):
    dag = build_dags(models)["windsock__watchdog"]
    assert dag.schedule.expression == "*/2 * * * *"
    (task,) = dag.tasks
    assert (task.task_id, task.outlets) == ("watch", [due_outlet()])
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)


@pytest.mark.parametrize(
    ("check", "seconds"), [("1h", 120), ("2m", 120), ("1m", 60), ("90s", 90), ("20s", 20)]
)
def test_it_looks_as_often_as_the_shortest_check(models, check, seconds):
    text = FILE.format(name="pears") + SHORT.format(check=check)
    (models / "pears.yaml").write_text(text, encoding="utf-8")
    schedule = build_dags(models)["windsock__watchdog"].schedule
    if seconds % 60:
        assert schedule.delta == timedelta(seconds=seconds)
    else:
        assert schedule.expression == f"*/{seconds // 60} * * * *"


def test_its_task_starts_without_a_look_at_any_model_file(monkeypatch):
    from airflow.sdk.definitions.context import AirflowParsingContext

    own = AirflowParsingContext(dag_id="windsock__watchdog", task_id="watch")
    monkeypatch.setattr(factory, "get_parsing_context", lambda: own)
    monkeypatch.setattr(factory, "_read", None)
    assert set(build_dags()) == {"windsock__watchdog"}


def test_the_model_files_are_read_when_it_runs(models, monkeypatch, tmp_path):
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    task = watchdog_dag().get_task("watch")
    (models / "broken.yaml").write_text("model: {name: broken, tier: none}\n", encoding="utf-8")
    found = task.step_input({})
    assert [spec.name for spec in found["specs"]] == ["apples"]
    assert "broken.yaml" in found["broken"][0]
