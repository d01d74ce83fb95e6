"""``AirflowApi``: the few calls of Airflow's REST interface that the stack, the demo and the tests need."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import httpx

from windsock.cli.airflow_tasks import LogLine, TaskState, log_lines, task_state
from windsock.exceptions import TransportError
from windsock.texts import shortened

# SQLite's busy timeout in the stack, and the longest wait for a turn before it: a writer may need both.
TIMEOUT_SECONDS = 95.0
RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0)


class AirflowApiError(TransportError):
    """Airflow's REST interface did not answer, or refused.

    :param status: HTTP status; ``None`` when there was no answer.
    """

    default_code = "WS-TRANSPORT-010"
    default_next = "See that Airflow is up and read logs/airflow-api.log in the home of its `windsock up`."

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """A client that signs in once and speaks JSON.

    :param url: address of Airflow, such as ``http://127.0.0.1:8080``.
    :param user: user name.
    :param password: that user's password.
    :param timeout: seconds that an answer may take.
    :param pauses: seconds before each repetition of a request that a 5xx answered.
    :param sleep: pauses between two tries of a request.
    :raises AirflowApiError: if the address is none.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str,
        password: str,
        timeout: float = TIMEOUT_SECONDS,
        pauses: Sequence[float] = RETRY_PAUSES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.user = user
        self.password = password
        self.pauses = pauses
        self.sleep = sleep
        try:
            self._client = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)
        except httpx.InvalidURL as error:
            raise AirflowApiError(f"{shortened(self.url, 100)!r} is no address: {error}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def sign_in(self) -> None:
        """Get a token; :meth:`request` calls this when it needs one.

        :raises AirflowApiError: if the user is refused.
        """
        body = {"username": self.user, "password": self.password}
        answer = self._send("POST", "/auth/token", json=body)
        content = _content(answer)
        token = content.get("access_token") if isinstance(content, Mapping) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise AirflowApiError("POST /auth/token was answered without a token.", status=answer.status_code)
        self._client.headers["Authorization"] = f"Bearer {token}"

    def _send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **kwargs)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AirflowApiError(
                f"{method} {path}: no answer from {self.url} ({type(error).__name__})."
            ) from error

    def request(self, method: str, path: str, *, repeat: bool | None = None, **kwargs: Any) -> Any:
        """Call ``/api/v2`` + path and return the JSON content.

        :param repeat: whether doing it twice is the same as doing it once, so that a 5xx answer may be tried
            again, with the client's pauses; default: only GET.
        :param kwargs: as ``httpx`` takes them.
        :raises AirflowApiError: if Airflow does not answer or refuses; for a 5xx, after the last repetition.
        """
        repeat = method == "GET" if repeat is None else repeat
        for pause in self.pauses if repeat else ():
            answer = self._authorized(method, path, **kwargs)
            if not answer.is_server_error:
                return _content(answer)
            self.sleep(pause)
        return _content(self._authorized(method, path, **kwargs))

    def _authorized(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        if "Authorization" not in self._client.headers:
            self.sign_in()
        answer = self._send(method, f"/api/v2{path}", **kwargs)
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # the token is too old
            self.sign_in()
            answer = self._send(method, f"/api/v2{path}", **kwargs)
        return answer

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """Return what Airflow knows of a DAG, or ``None`` while it has not been parsed."""
        try:
            found: dict[str, Any] = self.request("GET", f"/dags/{dag_id}")
        except AirflowApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return found

    def dag_ids(self) -> set[str]:
        """Return the ids of all DAGs that are there now."""
        listed = self.request("GET", "/dags", params={"limit": 100, "exclude_stale": True})
        return {dag["dag_id"] for dag in listed["dags"]}

    def dags_of(self, model: str) -> list[dict[str, Any]]:
        """Return what Airflow knows of each DAG of a model, by its tag."""
        asked = {"tags": f"model:{model}", "limit": 100, "exclude_stale": True}
        listed: list[dict[str, Any]] = self.request("GET", "/dags", params=asked)["dags"]
        return listed

    def pools(self) -> dict[str, int]:
        """Return the slots of each pool by its name."""
        listed = self.request("GET", "/pools", params={"limit": 100})
        return {str(pool["name"]): int(pool["slots"]) for pool in listed["pools"]}

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Pause a DAG, or let its schedule and its runs go on."""
        self.request("PATCH", f"/dags/{dag_id}", json={"is_paused": paused}, repeat=True)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run by hand and return its id.

        The id is made here, so that a repeated request finds the run of the first one.

        :raises AirflowApiError: if Airflow refuses, or still answers 5xx at the last repetition.
        """
        run_id = f"manual__{datetime.now(UTC).isoformat()}_{uuid4().hex[:8]}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        try:
            self.request("POST", f"/dags/{dag_id}/dagRuns", json=body, repeat=True)
        except AirflowApiError as error:
            if error.status != httpx.codes.CONFLICT:
                raise
            if not self._has_run(dag_id, run_id):  # no earlier try of this request stored it
                raise
        return run_id

    def _has_run(self, dag_id: str, run_id: str) -> bool:
        try:
            self.run_state(dag_id, run_id)
        except AirflowApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run, such as ``running``."""
        return str(self.request("GET", run_path(dag_id, run_id))["state"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, the latest first."""
        path = f"/dags/{dag_id}/dagRuns"
        listed: list[dict[str, Any]] = self.request("GET", path, params={"order_by": "-run_after"})[
            "dag_runs"
        ]
        return listed

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """End a run that is under way, as failed."""
        self.request("PATCH", run_path(dag_id, run_id), json={"state": "failed"}, repeat=True)

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """Return the task instances of a run, mapped ones each."""
        listed = self.request("GET", f"{run_path(dag_id, run_id)}/taskInstances", params={"limit": 100})
        return [task_state(item) for item in listed["task_instances"]]

    def log(
        self, dag_id: str, run_id: str, task: TaskState, *, try_number: int | None = None
    ) -> list[LogLine]:
        """Return the log of one try of a task, without Airflow's note of where the log lies.

        :param try_number: default: the latest.
        """
        path = f"{_task(dag_id, run_id, task.task_id)}/logs/{try_number or task.try_number}"
        params = {"map_index": task.map_index, "full_content": True}
        content = self.request("GET", path, params=params)["content"]
        return list(log_lines(content))

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> Any:
        """Return what a task returned, or ``None`` if it returned nothing."""
        path = f"{_task(dag_id, run_id, task_id)}/xcomEntries/return_value"
        try:
            value = self.request("GET", path, params={"map_index": map_index})["value"]
        except AirflowApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return json.loads(value) if isinstance(value, str) else value

    def import_errors(self) -> list[dict[str, Any]]:
        """Return Airflow's import errors: ``filename`` and ``stack_trace`` each."""
        newest = {"order_by": "-timestamp", "limit": 100}
        errors: list[dict[str, Any]] = self.request("GET", "/importErrors", params=newest)["import_errors"]
        return errors

    def open_questions(self, dag_id: str = "~", run_id: str = "~") -> list[dict[str, Any]]:
        """Return the approvals that wait for an answer."""
        listed = self.request(
            "GET", f"{run_path(dag_id, run_id)}/hitlDetails", params={"response_received": False}
        )
        details: list[dict[str, Any]] = listed["hitl_details"]
        return details

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Answer an approval, as the signed-in user.

        :param option: such as ``Approve``.
        """
        body = {"chosen_options": [option], "params_input": {}}
        self.request("PATCH", f"{_task(dag_id, run_id, task_id)}/-1/hitlDetails", json=body)

    def put_all(self, kind: str, entities: Iterable[Mapping[str, Any]]) -> None:
        """Create or overwrite entities in one call.

        :param kind: ``connections``, ``pools`` or ``variables``.
        :raises AirflowApiError: if one of them is refused.
        """
        action = {"action": "create", "action_on_existence": "overwrite", "entities": list(entities)}
        if not action["entities"]:
            return
        done = self.request("PATCH", f"/{kind}", json={"actions": [action]}, repeat=True)
        if errors := (done.get("create") or {}).get("errors"):
            raise AirflowApiError(f"Airflow refused {kind}: {errors[0].get('error')}.")


def health(url: str) -> dict[str, str]:
    """Return the health that Airflow reports of its parts; empty while it does not answer.

    :param url: address of Airflow.
    """
    try:
        answer = httpx.get(f"{url}/api/v2/monitor/health", timeout=5.0, trust_env=False)
        answer.raise_for_status()
        parts = answer.json()
    except (httpx.HTTPError, ValueError):
        return {}
    return {name: str((part or {}).get("status")) for name, part in parts.items()}


def _content(answer: httpx.Response) -> Any:
    if answer.is_success:
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            asked = f"{answer.request.method} {answer.request.url.path}"
            raise AirflowApiError(
                f"{asked} was answered with something that is not JSON.", status=answer.status_code
            ) from error
    try:
        detail = answer.json().get("detail")
    except (ValueError, AttributeError):
        detail = None
    request = answer.request
    said = f": {detail}" if detail else ""
    raise AirflowApiError(
        f"{request.method} {request.url.path} was answered with {answer.status_code}{said}.",
        status=answer.status_code,
    )


def run_path(dag_id: str, run_id: str) -> str:
    """Return the path of a run; ``~``: of all of them."""
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='~')}"


def _task(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{run_path(dag_id, run_id)}/taskInstances/{task_id}"
