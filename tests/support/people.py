"""People of Airflow's simple auth manager by tokens of their own, and what they try with approvals."""

from __future__ import annotations

import configparser
import json
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import jwt

from support.stack import LiveStack, wait_for, write_visits
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.stack import Stack

MODEL = """\
model: {{name: {name}, owner: ds@company.com, tier: medium}}
data: {{source: {name}.csv, target: bought, entity: visitor}}
training: {{schedule: "{schedule}", candidates: [{{estimator: logistic_regression}}]}}
gate:
  against_champion: {{not_worse: 0.5}}
  latency_ms: 1000
  card: {{intended_use: Rank visitors., limitations: Made up.}}
monitoring:
  data_drift: {drift}
  performance_tracking: false
  retrain: {{cooldown: 1m, per_day: 100}}
"""
EYES, CLOCKED = "eyes", "clocked"
SCHEDULES = {EYES: "0 2 * * *", CLOCKED: "* * * * *"}


def write_people(include: Path, project: Path) -> None:
    """Write the models folder: one model that people start, and one on a schedule of minutes."""
    models = include / "models"
    models.mkdir(parents=True)
    shutil.copy(project / "include" / "windsock.yaml", include)
    shutil.copytree(project / "include" / "expectations", include / "expectations")
    for name, schedule in SCHEDULES.items():
        (models / f"{name}.yaml").write_text(
            MODEL.format(name=name, schedule=schedule, drift=str(name == EYES).lower())
        )
        write_visits(models / f"{name}.csv")


class Person(AirflowApi):
    """A client whose token names any person: as an identity provider's would."""

    def __init__(self, stack: Stack, name: str) -> None:
        super().__init__(stack.airflow_url, user=name, password="")
        config = configparser.ConfigParser(interpolation=None)
        config.read(stack.airflow_home / "airflow.cfg")
        self._secret = config["api_auth"]["jwt_secret"]

    def sign_in(self) -> None:
        """Take a token of the person's own."""
        now = int(time.time())
        claims = {"jti": uuid.uuid4().hex, "nbf": now, "exp": now + 3600, "iat": now, "aud": "apache-airflow"}
        who = {"sub": self.user, "role": "op", "teams": []}
        token = jwt.encode({**claims, **who}, self._secret, algorithm="HS512")
        self._client.headers["Authorization"] = f"Bearer {token}"


class Asked:
    """The question of one run.

    :param live: the stack.
    :param dag_id: its DAG.
    :param run_id: its run.
    """

    task_id = "approve_model"

    def __init__(self, live: LiveStack, dag_id: str, run_id: str) -> None:
        self.live, self.dag_id, self.run_id = live, dag_id, run_id

    @property
    def state(self) -> str | None:
        """The state of the task that asks."""
        tasks = self.live.admin.tasks(self.dag_id, self.run_id)
        return next((task.state for task in tasks if task.task_id == self.task_id), None)

    def is_open(self) -> bool:
        """Return whether it waits for an answer; fail where the run has ended."""
        state = self.live.admin.run_state(self.dag_id, self.run_id)
        assert state in ("queued", "running"), f"a dead end: {self.live.failures(self.dag_id, self.run_id)}"
        return self.state == "awaiting_input" and bool(
            self.live.admin.open_questions(self.dag_id, self.run_id)
        )

    def opened(self) -> dict[str, Any]:
        """Return the question once it is open, and the scheduler has seen that it is.

        Airflow takes an answer that comes before that for a fault of the executor, and asks again.
        """
        wait_for(self._is_seen, seconds=400, what=f"the question of {self.run_id}")
        (question,) = self.live.admin.open_questions(self.dag_id, self.run_id)
        return question

    def _is_seen(self) -> bool:
        return self.live.is_parked(self.dag_id, self.run_id, self.task_id) and self.is_open()

    def answer(self, person: AirflowApi, option: str = "Approve") -> int | None:
        """Answer once it is open; return the status with which Airflow refused the answer itself."""
        self.opened()
        return self.click(person, option)

    def click(self, person: AirflowApi, option: str = "Approve") -> int | None:
        """Answer now, whatever the question's state; see :meth:`answer`."""
        try:
            person.answer(self.dag_id, self.run_id, self.task_id, option)
        except AirflowApiError as error:
            return error.status
        return None

    def refused(self) -> dict[str, Any]:
        """Return what XCom keeps of the refused answers."""
        path = f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{self.task_id}"
        try:
            found = self.live.admin.request("GET", f"{path}/xcomEntries/refused_answers")
        except AirflowApiError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            return {"count": 0, "last": []}
        value: dict[str, Any] = (
            json.loads(found["value"]) if isinstance(found["value"], str) else found["value"]
        )
        return value

    def log_text(self) -> str:
        """Return the log of all tries."""
        return "\n".join(
            line.event
            for task, log in self.live.logs(self.dag_id, self.run_id)
            if task.task_id == self.task_id
            for line in log
        )
