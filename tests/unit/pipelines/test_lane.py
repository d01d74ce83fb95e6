from __future__ import annotations

import yaml

from windsock.cli.stack import Stack
from windsock.cli.stack_ports import StackPorts
from windsock.pipelines.factory import build_dags
from windsock.spec.loader import load_shared


def test_the_pools_of_the_shipped_classes_are_made_and_leave_slots_free(project, tmp_path):
    """In a pool that does not exist a task waits for ever."""
    shared = load_shared(project / "include" / "windsock.yaml")
    named = {shared.compute_class(name).pool for name in ("cpu-small", "cpu-medium", "cpu-large")}
    settings = yaml.safe_load((project / "airflow_settings.yaml").read_text())["airflow"]
    slots = {pool["pool_name"]: pool["pool_slot"] for pool in settings["pools"]}
    assert named <= set(slots)
    compose = yaml.safe_load((project / "docker-compose.yaml").read_text())
    made = " ".join(compose["services"]["init"]["command"])
    assert all(f"airflow pools set {name} {slots[name]} " in made for name in named)
    stack = Stack(project=project, home=tmp_path, ports=StackPorts(), inherited={})
    assert sum(slots.values()) < int(stack.environment()["AIRFLOW__CORE__PARALLELISM"])


def test_without_a_shared_file_every_task_has_a_pool_that_always_exists(tmp_path):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text(
        "model: {name: churn, owner: ann}\ndata: {source: data.csv, target: y}\n"
    )
    pools = {task.pool for dag in build_dags(models).values() for task in dag.tasks}
    assert pools == {"default_pool"}
