"""One running stack, shared by all end-to-end tests: the real ``windsock up`` with models of its own."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from support.hostile_model import write_hostile
from windsock.cli import processes
from windsock.cli.airflow_rest import AirflowApi
from windsock.cli.airflow_tasks import LogLine, TaskState
from windsock.cli.follow import last_block
from windsock.cli.stack import Stack
from windsock.cli.stack_ports import StackPorts, free_port

PLANTED_WORD = "zqx-planted-7741"
PLANTED_NUMBER = "73219.4417"
REVIEWED = """\
model: {name: reviewed, owner: ds@company.com, tier: medium}
data: {source: reviewed.csv, target: bought, entity: visitor}
training: {candidates: [{estimator: logistic_regression}]}
gate: {card: {intended_use: Rank visitors., limitations: Made up.}}
"""
REFUSED = """\
model: {name: refused, owner: ds@company.com}
data: {source: reviewed.csv, target: bought, entity: visitor}
training: {candidates: [{estimator: logistic_regression}]}
"""
MOVING = """\
model: {name: moving, owner: ds@company.com}
data:
  source: churn_sample.csv
  target: churned
  positive: "Yes"
  entity: customer_id
  exclude: [gender]
training: {candidates: [{estimator: hist_gradient_boosting, params: {max_iter: 60, max_leaf_nodes: 7}}]}
gate: {card: {intended_use: Rank customers., limitations: Made up.}}
monitoring:
  window: 1m  # thousands of rows are sent into its first 45 seconds, on a busy machine too
  lateness: 5s
  retrain: {windows: 1, of: 1, cooldown: 1m, per_day: 100, recent: 1h, history: 0.1}
"""
TRIED = """\
model: {name: tried, owner: ds@company.com}
data: {source: tried.csv, target: bought, entity: visitor}
training: {candidates: [{estimator: logistic_regression}]}
gate:
  against_champion: {not_worse: 0.5}
  latency_ms: 1000
  card: {intended_use: Rank visitors., limitations: Made up.}
monitoring: {data_drift: false, performance_tracking: false}
rollout:
  strategy: ab
  metric: conversion
  guardrails: {errors: 0.05, slow: null}
  check: 20s
  cycle: 15s
  bake: 10s
  minimum_units: 600
  deadline: 10m
"""
CANARY: dict[str, Any] = {
    "strategy": "canary",
    "steps": [50, 100],
    "guardrails": {"errors": 0.05, "slow": None},
    "minimum_units": 200,
    "deadline": "90s",
}
SHADOW: dict[str, Any] = CANARY | {"strategy": "shadow", "metric": "accuracy"}
SEVERAL: dict[str, Any] = {"share": 66, "challengers": 2, "gather": "1d", "minimum_units": 400}
"""A rollout of two versions at once, of a model like ``tried`` otherwise."""
LACKING = {"no_outcomes": CANARY, "another_word": CANARY, "refusing": CANARY, "failing_shadow": SHADOW}
"""Rollouts of further models like ``tried``."""
KEPT_BY_ALL_BUT_ONE_ROW = {
    "name": "refused",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "minutes", "min_value": 0, "max_value": 60},
        },
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "channel", "value_set": ["search", "mail", "shop"]},
        },
    ],
}
BROKEN = """\
model: {name: broken, owner: ds@company.com}
data: {source: reviewed.csv, target: bought}
training:
  schedule: sometimes
"""
START_SECONDS = 600.0  # a machine may have much other work
RUN_SECONDS = 420.0  # several runs go on side by side, beside other tests


def wait_for(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Wait until a condition holds.

    :raises AssertionError: naming what did not happen in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)


def free_ports() -> StackPorts:
    """Return four ports that are free now."""
    airflow, mlflow, server, private = {free_port() for _ in range(4)}
    return StackPorts(airflow=airflow, mlflow=mlflow, server=server, private=private)


def write_models(include: Path, project: Path) -> None:
    """Write the models folder of the tests: the bundled churn model and those above."""
    models = include / "models"
    models.mkdir(parents=True)
    shutil.copy(project / "include" / "models" / "churn.yaml", models)
    shutil.copy(project / "include" / "windsock.yaml", include)
    shutil.copytree(project / "include" / "expectations", include / "expectations")
    (models / "reviewed.yaml").write_text(REVIEWED)
    (models / "refused.yaml").write_text(REFUSED)
    (include / "expectations" / "refused.json").write_text(json.dumps(KEPT_BY_ALL_BUT_ONE_ROW))
    (models / "broken.yaml").write_text(BROKEN)
    (models / "moving.yaml").write_text(MOVING)
    (models / "tried.yaml").write_text(TRIED)
    shutil.copy(project / "include" / "data" / "churn_sample.csv", models)
    write_visits(models / "reviewed.csv")
    write_visits(models / "tried.csv")
    write_like_tried(models, {**LACKING, "several": SEVERAL})
    write_hostile(include)


def write_like_tried(models: Path, blocks: Mapping[str, Mapping[str, Any]]) -> None:
    """Write models that are like ``tried`` but for their rollout, by name."""
    for name, block in blocks.items():
        content = yaml.safe_load(TRIED)
        content["model"]["name"] = name
        content["data"]["source"] = f"{name}.csv"
        content["rollout"] |= block
        write_visits(models / f"{name}.csv")
        (models / f"{name}.yaml").write_text(yaml.safe_dump(content))


def write_visits(file: Path, rows: int = 800) -> None:
    """Write a small data set that can be learned; one row holds values that stand nowhere else."""
    draw = random.Random(7)  # noqa: S311
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["visitor", "pages", "minutes", "channel", "bought"])
        for number in range(rows):
            pages, minutes = draw.randint(1, 40), round(draw.uniform(0.5, 60), 2)
            channel = draw.choice(["search", "mail", "shop"])
            score = pages / 10 + minutes / 30 + (channel == "mail") + draw.gauss(0, 0.7)
            cells = [f"v{number:05d}", pages, minutes, channel, "yes" if score > 3.2 else "no"]
            if number == 400:
                cells[2], cells[3] = PLANTED_NUMBER, PLANTED_WORD
            writer.writerow(cells)


class LiveStack:
    """A stack that runs, and what tests ask of it.

    :param stack: its addresses.
    :param process: the ``windsock up`` behind it.
    """

    def __init__(self, stack: Stack, process: subprocess.Popen[str]) -> None:
        self.stack = stack
        self.process = process
        self.stack_id = json.loads((stack.home / "stack.json").read_text())["stack_id"]
        self.admin = stack.api("admin")
        self.reviewer = stack.api("reviewer")
        self.dags_when_up = self.admin.dag_ids()

    @property
    def pids(self) -> list[int]:
        """Its processes, without ``windsock up`` itself."""
        return processes.marked_processes(self.stack_id)

    def await_dag(self, dag_id: str) -> None:
        """Wait until Airflow shows a DAG."""
        wait_for(lambda: self.admin.dag(dag_id), seconds=120, what=f"DAG {dag_id}")

    def trigger(self, dag_id: str, *, api: AirflowApi | None = None) -> str:
        """Trigger a DAG and let it run."""
        self.await_dag(dag_id)
        run_id = (api or self.admin).trigger(dag_id)
        self.admin.set_paused(dag_id, paused=False)
        return run_id

    def await_state(self, dag_id: str, run_id: str, *states: str) -> str:
        """Wait until a run is in one of these states; default: at its end."""
        wanted = states or ("success", "failed")
        seen: list[str] = []

        def reached() -> bool:
            seen.append(self.admin.run_state(dag_id, run_id))
            return seen[-1] in wanted

        wait_for(reached, seconds=RUN_SECONDS, what=f"run {run_id} of {dag_id} in {wanted}")
        return seen[-1]

    def await_task(self, dag_id: str, run_id: str, task_id: str, *states: str) -> TaskState:
        """Wait until a task is in one of these states."""
        found: list[TaskState] = []

        def reached() -> bool:
            found[:] = [task for task in self.admin.tasks(dag_id, run_id) if task.task_id == task_id]
            return any(task.state in states for task in found)

        wait_for(reached, seconds=RUN_SECONDS, what=f"task {task_id} of {dag_id} in {states}")
        return found[0]

    def answer(self, api: AirflowApi, dag_id: str, run_id: str, option: str) -> str:
        """Answer a run's questions until it has ended, and return its state; each once it is parked."""
        states: list[str] = []

        def ended() -> bool:
            for question in api.open_questions(dag_id, run_id):
                task_id = question["task_instance"]["task_id"]
                if self.is_parked(dag_id, run_id, task_id):
                    api.answer(dag_id, run_id, task_id, option)
            states.append(self.admin.run_state(dag_id, run_id))
            return states[-1] in ("success", "failed")

        wait_for(ended, seconds=RUN_SECONDS, what=f"the end of run {run_id} of {dag_id}")
        return states[-1]

    def is_parked(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Return whether the scheduler's log says that it has seen a waiting task leave its executor.

        Airflow takes an answer that comes before that for a fault of the executor: it starts another try, and
        the one before has neither history nor log.
        """
        log = (self.stack.logs / "airflow-scheduler.log").read_text(errors="replace").splitlines()
        begun = f"<TaskInstance: {dag_id}.{task_id} {run_id} ["
        ended = f"(dag_id='{dag_id}', task_id='{task_id}', run_id='{run_id}'"
        sent = sum(begun in line and "Trying to enqueue tasks" in line for line in log)
        back = sum(ended in line and "Received executor event" in line for line in log)
        return sent == back > 0

    def run_green(self, dag_id: str) -> str:
        """Trigger a DAG and see it green; on red, fail with the last block of each failed task."""
        run_id = self.trigger(dag_id)
        state = self.await_state(dag_id, run_id)
        assert state == "success", self.failures(dag_id, run_id)
        return run_id

    def failures(self, dag_id: str, run_id: str) -> str:
        """Return the ends of the logs of the failed tasks."""
        said = []
        for task in self.admin.tasks(dag_id, run_id):
            if task.state == "failed":
                log = self.admin.log(dag_id, run_id, task)
                said += [f"--- {task.label}", *last_block(log), *(line.event for line in log[-30:])]
        return "\n".join(said) or f"run {run_id} of {dag_id} is red without a failed task"

    def logs(self, dag_id: str, run_id: str) -> Iterator[tuple[TaskState, list[LogLine]]]:
        """Yield each task that ran, whatever came of it, with the log of each of its tries."""
        for task in self.admin.tasks(dag_id, run_id):
            if task.state in ("upstream_failed", "skipped", "removed"):
                continue
            for number in range(1, task.try_number + 1):
                tried = replace(task, try_number=number)
                yield tried, self.admin.log(dag_id, run_id, tried)


def clean_environment() -> dict[str, str]:
    """Return the environment without what the unit tests set for Airflow."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "_AIRFLOW", "WINDSOCK_"))
    }


def start_up(stack: Stack, log: Path, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start ``windsock up`` for a stack; it is not waited for.

    :param variables: further ones of its environment, or other values.
    """
    ports = [option for name, port in stack.ports.items() for option in (f"--{name}-port", str(port))]
    command = [*stack.windsock, "up", "--home", str(stack.home), "--project", str(stack.project)]
    # No test changes a model's file while its stack runs: each parse of all DAGs is a second of a core.
    pace = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60"}
    usual = {**clean_environment(), **pace, "PYTHONPATH": str(stack.project / "plugins")}
    environment = {**usual, **(variables or {})}
    with log.open("w") as stream:
        return subprocess.Popen(
            [*command, "--models", str(stack.models), *ports],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=stack.project,
            env=environment,
            text=True,
        )


STARTED: list[Path] = []
"""Folders of the logs of the stacks that this process has started."""


@contextmanager
def live_stack(
    folder: Path,
    project: Path,
    write: Callable[[Path, Path], None] = write_models,
    variables: Mapping[str, str] | None = None,
) -> Iterator[LiveStack]:
    """Run a stack on free ports with models of its own; on leaving, see that Ctrl-C ends every process.

    A folder in which a stack has run before is taken as it is.

    :param write: writes the folder of the models.
    :param variables: of the stack's environment, beside the usual ones.
    """
    if not (folder / "home").exists():
        write(folder / "include", project)
    models = folder / "include" / "models"
    stack = Stack(project=project, home=folder / "home", ports=free_ports(), models_dir=models)
    log = folder / "up.log"
    process = start_up(stack, log, variables)
    STARTED.append(stack.logs)

    def is_up() -> bool:
        assert process.poll() is None, f"windsock up ended:\n{log.read_text()}"
        return "Ctrl-C stops all of it" in log.read_text()

    try:
        wait_for(is_up, seconds=START_SECONDS, what="windsock up")
        live = LiveStack(stack, process)
        yield live
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0, log.read_text()
        assert live.pids == [], "Ctrl-C left processes behind"
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)
