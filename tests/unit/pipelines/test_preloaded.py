from __future__ import annotations

import pytest

from windsock.cli.stack import FORKING, PRELOADED, Stack
from windsock.cli.stack_ports import StackPorts
from windsock.pipelines.preloaded import loads_libraries

NEEDED = {
    "airflow.dag_processing.dagbag",
    "airflow.sdk.execution_time.task_runner",
    "windsock.adapters.build",
    "windsock.operators.base",
    "windsock.pipelines.factory",
    "windsock.sensors.drift",
    "windsock.steps",
}
HEAVY = {"great_expectations", "mlflow", "numpy", "pandas", "sklearn"}


def test_what_parses_and_tasks_need_is_loaded_and_no_library_is(modules_after):
    loaded = modules_after("preloaded")
    assert loaded >= NEEDED
    assert not loaded & HEAVY


@pytest.mark.parametrize(
    ("command", "platform", "loads"),
    [("scheduler", "linux", True), ("scheduler", "darwin", False), ("dag-processor", "linux", False)],
)
def test_libraries_are_loaded_where_tasks_are_forked_and_a_fork_is_safe(command, platform, loads):
    assert loads_libraries(command, platform) is loads


def test_the_stack_starts_what_forks_preloaded_and_nothing_else(tmp_path):
    stack = Stack(project=tmp_path, home=tmp_path / "home", ports=StackPorts())
    started = {part.name: part.command[2:4] for part in stack.airflow_parts()}
    assert started == {
        "airflow-api": ("airflow", "api-server"),
        "airflow-scheduler": (PRELOADED, "scheduler"),
        "airflow-dag-processor": (PRELOADED, "dag-processor"),
        "airflow-triggerer": ("airflow", "triggerer"),
    }
    assert set(FORKING) == {"scheduler", "dag-processor"}
