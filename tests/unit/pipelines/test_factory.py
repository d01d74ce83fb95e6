from __future__ import annotations

import pytest

from windsock.exceptions import SpecError
from windsock.pipelines import factory
from windsock.pipelines.factory import BrokenSpecsError, build_dags, raise_broken

GOOD = "model: {{name: {name}, owner: ann}}\ndata: {{source: data.csv, target: y}}\n"


@pytest.fixture
def models(tmp_path):
    """A models folder with two good files and a writer of further ones."""
    folder = tmp_path / "include" / "models"
    folder.mkdir(parents=True)
    for name in ("apples", "pears"):
        (folder / f"{name}.yaml").write_text(GOOD.format(name=name), encoding="utf-8")
    return folder


def test_each_model_has_its_dags_and_the_installation_one(models):
    assert set(build_dags(models)) == {
        "apples__daily_retrain",
        "apples__drift_retrain",
        "apples__monitor",
        "apples__rollback",
        "pears__daily_retrain",
        "pears__drift_retrain",
        "pears__monitor",
        "pears__rollback",
        "windsock__housekeeping",
        "windsock__watchdog",
    }


@pytest.mark.parametrize(
    ("pushed", "onset"),
    [({"onset": "2026-04-20T00:00:00Z"}, "2026-04-20T00:00:00Z"), ({"onset": ""}, ""), ({}, "")],
    ids=["of an episode", "of an event from outside", "by an older release"],
)
def test_the_snapshot_of_a_drift_retrain_has_the_onset_of_the_claim(models, pushed, onset):
    class Task:
        def xcom_pull(self, *, task_ids, key):
            assert task_ids == "claim_retrain"
            return pushed.get(key)

    dags = build_dags(models)
    task = dags["apples__drift_retrain"].get_task("take_snapshot")
    assert task.render_template(task.onset, {"ti": Task()}) == onset
    assert dags["apples__daily_retrain"].get_task("take_snapshot").onset is None


def test_a_model_that_is_not_watched_has_no_monitor(models):
    off = "monitoring: {data_drift: false, performance_tracking: false}\n"
    (models / "plums.yaml").write_text(GOOD.format(name="plums") + off, encoding="utf-8")
    found = {dag_id for dag_id in build_dags(models) if dag_id.startswith("plums")}
    assert found == {"plums__daily_retrain", "plums__rollback"}


def test_a_broken_file_breaks_one_model_and_is_named_with_its_line(models):
    (models / "plums.yaml").write_text(
        "model: {name: plums}\ntraining:\n  schedule: dayly\n", encoding="utf-8"
    )
    assert "apples__daily_retrain" in build_dags(models)
    assert not any("plums" in dag_id for dag_id in build_dags(models))
    with pytest.raises(BrokenSpecsError) as broken:
        raise_broken(models)
    text = str(broken.value)
    for word in ("plums.yaml:3", "training.schedule", "daily"):
        assert word in text
    assert isinstance(broken.value, SpecError)


def test_nothing_is_raised_where_nothing_is_broken(models):
    raise_broken(models)


def test_a_starting_task_builds_only_its_own_dag(models, monkeypatch):
    from airflow.sdk.definitions.context import AirflowParsingContext

    own = AirflowParsingContext(dag_id="pears__rollback", task_id="roll_back")
    monkeypatch.setattr(factory, "get_parsing_context", lambda: own)
    assert set(build_dags(models)) == {"pears__rollback"}


@pytest.mark.parametrize(("shared", "days"), [(None, 0.0), ("keep_predictions_days: 30\n", 30.0)])
def test_housekeeping_keeps_predictions_as_long_as_the_shared_file_says(models, shared, days):
    if shared is not None:
        (models.parent / "windsock.yaml").write_text(shared, encoding="utf-8")
    task = build_dags(models)["windsock__housekeeping"].get_task("keep_house")
    assert task.keep_predictions_days == days
    assert task.step_input({}) == {"models": ["apples", "pears"], "keep_predictions_days": days}


def test_high_tier_asks_two_people(models):
    text = GOOD.format(name="figs").replace("owner: ann", "owner: ann, tier: high")
    (models / "figs.yaml").write_text(text, encoding="utf-8")
    dag = build_dags(models)["figs__daily_retrain"]
    assert dag.get_task("approve_model_2").upstream_task_ids >= {"approve_model"}
    assert dag.get_task("deploy_model").upstream_task_ids >= {"approve_model_2"}


def test_weekly_model_says_so(models):
    text = GOOD.format(name="figs") + "training: {schedule: weekly}\n"
    (models / "figs.yaml").write_text(text, encoding="utf-8")
    dag = build_dags(models)["figs__daily_retrain"]
    assert dag.dag_display_name == "figs: retrain (weekly)"
    assert dag.schedule.expression == "0 2 * * 0"


def test_compute_class_decides_pool_and_queue_of_training(models):
    (models.parent / "windsock.yaml").write_text(
        "compute:\n  big: {cpus: 16, memory_gb: 64, pool: training, queue: gpu}\n", encoding="utf-8"
    )
    (models / "figs.yaml").write_text(
        GOOD.format(name="figs") + "training: {compute: big}\n", encoding="utf-8"
    )
    dag = build_dags(models)["figs__daily_retrain"]
    task = dag.get_task("evaluate_model")
    assert (task.pool, task.queue) == ("training", "gpu")
    assert dag.get_task("gate_model").pool == "default_pool"
