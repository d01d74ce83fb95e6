"""What Airflow says of DAGs, runs and questions, asked from the shell by its REST interface."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from windsock.adapters.airflow_health import silent_parts
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.stack_home import PASSWORDS
from windsock.locations import StackNote
from windsock.records import DagFacts, OpenQuestion, PartFacts, RunFacts
from windsock.settings import Settings

ASK_SECONDS = 4.0
ENDED = ("success", "failed")
LOOKED_BACK = 5
PAGE = 100
ASKED_FOR = timedelta(days=3)
"""How long a question waits for its answer."""
NO_LOGIN = (
    "nobody told how to sign in: set WINDSOCK_AIRFLOW_URL, WINDSOCK_AIRFLOW_USER and "
    "WINDSOCK_AIRFLOW_PASSWORD"
)


class AirflowAccess(NamedTuple):
    """How to reach Airflow.

    :param why: why it cannot be asked; empty: it can.
    """

    url: str
    user: str = ""
    password: str = ""
    why: str = ""

    def api(self) -> AirflowApi:
        """Return a client that waits no longer than seconds."""
        return AirflowApi(self.url, user=self.user, password=self.password, timeout=ASK_SECONDS, pauses=())


def airflow_access(settings: Settings, environment: Mapping[str, str] | None = None) -> AirflowAccess:
    """Return how to reach the Airflow of an installation: as the environment says, else as its stack does.

    :param environment: default: this process's.
    """
    env = os.environ if environment is None else environment
    note = StackNote.read(settings.home)
    stack = note.airflow_url if note is not None and note.runs else ""
    url = env.get("WINDSOCK_AIRFLOW_URL") or stack
    url = url or f"http://127.0.0.1:{env.get('WINDSOCK_AIRFLOW_PORT') or 8080}"
    user, password = env.get("WINDSOCK_AIRFLOW_USER"), env.get("WINDSOCK_AIRFLOW_PASSWORD")
    if user and password:
        return AirflowAccess(url, user, password)
    if url != stack:  # its password goes to the stack that runs here, and to no other address
        return AirflowAccess(url, why=f"no stack of `windsock up` runs in {settings.home}, and {NO_LOGIN}")
    try:
        known = json.loads((settings.home / "airflow" / PASSWORDS).read_text(encoding="utf-8"))
        return AirflowAccess(url, "admin", str(known["admin"]))
    except (OSError, ValueError, KeyError, TypeError):
        return AirflowAccess(url, why=NO_LOGIN)


class RestAirflow:
    """Asks Airflow by REST; see :class:`~windsock.watchdog.airflow_answers.AirflowAnswers`.

    :param api: a signed-in user's client.
    """

    def __init__(self, api: AirflowApi) -> None:
        self.api = api

    @cached_property
    def _dags(self) -> dict[str, bool] | str:
        """All DAGs that are not stale and whether each is paused; or why nobody knows."""
        found: dict[str, bool] = {}
        try:
            while True:
                params = {
                    "limit": PAGE,
                    "offset": len(found),
                    "exclude_stale": True,
                    "order_by": "dag_id",
                }
                listed = self.api.request("GET", "/dags", params=params)
                found |= {one["dag_id"]: bool(one["is_paused"]) for one in listed["dags"]}
                if not listed["dags"] or len(found) >= int(listed["total_entries"]):
                    return found
        except AirflowApiError as error:
            return f"{error.code}: {error.message}"
        except (KeyError, TypeError, ValueError):
            return "WS-TRANSPORT-010: what answers is not Airflow"

    @property
    def why_not(self) -> str:
        """Why Airflow does not answer; empty: it does."""
        return self._dags if isinstance(self._dags, str) else ""

    def dag(self, dag_id: str) -> DagFacts:
        """Return whether a DAG is there, is on, and how its last runs ended."""
        if isinstance(self._dags, str):
            return DagFacts(dag_id=dag_id, unknown=self._dags)
        paused = self._dags.get(dag_id)
        if paused is None:
            return DagFacts(dag_id=dag_id, exists=False)
        states: tuple[str, ...] = ()
        if not paused:
            try:
                states = self._last_states(dag_id)
            except AirflowApiError as error:
                return DagFacts(dag_id=dag_id, unknown=f"{error.code}: {error.message}")
        return DagFacts(dag_id=dag_id, is_paused=paused, last_states=states)

    def _last_states(self, dag_id: str) -> tuple[str, ...]:
        params = {"order_by": "-run_after", "limit": LOOKED_BACK, "state": list(ENDED)}
        listed = self.api.request("GET", f"/dags/{dag_id}/dagRuns", params=params)["dag_runs"]
        return tuple(str(one["state"]) for one in listed if one["state"] in ENDED) or ("success",)

    def run(self, holder: str) -> RunFacts:
        """Return the state of a run."""
        dag_id, _, run_id = holder.partition("/")
        if not run_id:
            return RunFacts(holder=holder, unknown="it is no run of Airflow")
        try:
            return RunFacts(holder=holder, state=self.api.run_state(dag_id, run_id))
        except AirflowApiError as error:
            if error.status == 404:
                return RunFacts(holder=holder)
            return RunFacts(holder=holder, unknown=f"{error.code}: {error.message}")

    @cached_property
    def _questions(self) -> list[dict[str, Any]]:
        try:
            return self.api.open_questions()
        except AirflowApiError:
            return []

    def questions(self, model: str) -> Sequence[OpenQuestion]:
        """Return the questions about a model's versions; the ledger says until when a rollout asks."""
        found = []
        for one in self._questions:
            task = one["task_instance"]
            dag_id = str(task["dag_id"])
            if dag_id not in (f"{model}__daily_retrain", f"{model}__drift_retrain"):
                continue
            asked = _time(one.get("created_at"))
            found.append(
                OpenQuestion(
                    model=model,
                    about=str(one.get("subject") or "a version's approval"),
                    task=f"{dag_id}/{task['dag_run_id']}/{task['task_id']}",
                    asked_at=asked,
                    until=asked + ASKED_FOR if asked else None,
                )
            )
        return found

    def silent_parts(self) -> Sequence[PartFacts] | None:
        """Return Airflow's own programs that give no sign of life."""
        return silent_parts(self.api.url)


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
