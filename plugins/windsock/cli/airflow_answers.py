"""What Airflow says of DAGs, runs and questions, asked from the shell by its REST interface."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, Self, TypeVar

from windsock.adapters.airflow_health import silent_in
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError, run_path
from windsock.cli.stack_home import PASSWORDS
from windsock.locations import StackNote
from windsock.records import DagFacts, OpenQuestion, PartFacts, RunFacts
from windsock.settings import Settings
from windsock.watchdog.bounded import NoAnswer, ask

ASK_SECONDS = 4.0
TOGETHER_SECONDS = 20.0
"""How long all of Airflow's answers of one look may take."""
NO_ANSWER = f"{AirflowApiError.default_code}:"
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
        """Return a client that waits no longer than seconds.

        :raises AirflowApiError: if the address is none.
        """
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


class NotKnownError(Exception):
    """Airflow did not say.

    :param why: why not, with its code.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class RestAirflow:
    """Asks Airflow by REST; see :class:`~windsock.watchdog.airflow_answers.AirflowAnswers`.

    Once it did not answer within its time, or all its answers together took too long, it is asked no more.

    :param api: a signed-in user's client.
    :param seconds: that one answer may take.
    :param together: seconds that all answers may take.
    """

    def __init__(
        self, api: AirflowApi, *, seconds: float = ASK_SECONDS, together: float = TOGETHER_SECONDS
    ) -> None:
        self.api = api
        self.seconds = seconds
        self.together = together
        self.left = together
        self.given_up = ""
        """Why it is asked no more; empty: it is."""
        self._known: dict[str, DagFacts] = {}

    def _ask(self, path: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Return what is answered to GET.

        :raises NotKnownError: if nothing is, within the time that is left, or no object.
        :raises AirflowApiError: if it is refused.
        """
        if not self.given_up and self.left <= 0:
            self.given_up = f"{NO_ANSWER} all answers together took {self.together:g} s, which is the limit"
        if self.given_up:
            raise NotKnownError(self.given_up)
        begun = time.monotonic()
        answer = ask(lambda: self._tried(path, params), min(self.seconds, self.left), most=self.left)
        self.left -= time.monotonic() - begun
        if isinstance(answer, NoAnswer):
            said = answer.why if answer.why.startswith("WS-") else f"{NO_ANSWER} GET {path}: {answer.why}"
            self.given_up = said
            raise NotKnownError(said)
        if isinstance(answer, AirflowApiError):
            if answer.status is None:
                self.given_up = f"{answer.code}: {answer.message}"
            raise answer
        if not isinstance(answer, Mapping):
            raise NotKnownError(_malformed(path))
        return answer

    def _tried(self, path: str, params: Mapping[str, Any] | None) -> object:
        try:
            return self.api.request("GET", path, params=params)
        except AirflowApiError as error:
            return error

    def _all(
        self, path: str, key: str, params: Mapping[str, Any], name: Callable[[Any], Hashable]
    ) -> list[Any]:
        """Return the entries of all pages.

        :param name: what an entry is told from others by.
        :raises NotKnownError: if a page is malformed, or brings none that is new before all were listed.
        """
        found: dict[Hashable, Any] = {}
        while True:
            page = self._ask(path, {**params, "limit": PAGE, "offset": len(found)})
            before = len(found)
            found |= {name(one): one for one in page[key]}
            total = page["total_entries"]
            if not isinstance(total, int) or isinstance(total, bool):
                raise NotKnownError(_malformed(path))
            if len(found) >= total:
                return list(found.values())
            if len(found) == before:
                raise NotKnownError(
                    f"{_malformed(path)}, {before:,} of {total:,} entries and then no new one"
                )

    @cached_property
    def _dags(self) -> dict[str, bool] | str:
        """All DAGs that are not stale and whether each is paused; or why nobody knows."""
        asked = {"exclude_stale": True, "order_by": "dag_id"}
        with _Known() as known:
            listed = self._all("/dags", "dags", asked, lambda one: _typed(one["dag_id"], str))
            return {one["dag_id"]: _typed(one["is_paused"], bool) for one in listed}
        return known.why

    @property
    def why_not(self) -> str:
        """Why Airflow does not answer; empty: it does."""
        return self._dags if isinstance(self._dags, str) else ""

    def dag(self, dag_id: str) -> DagFacts:
        """Return whether a DAG is there, is on, and how its last runs ended; it is asked once."""
        if dag_id not in self._known:
            self._known[dag_id] = self._dag(dag_id)
        return self._known[dag_id]

    def _dag(self, dag_id: str) -> DagFacts:
        if isinstance(self._dags, str):
            return DagFacts(dag_id=dag_id, unknown=self._dags)
        paused = self._dags.get(dag_id)
        if paused is None:
            return DagFacts(dag_id=dag_id, exists=False)
        if paused:
            return DagFacts(dag_id=dag_id, is_paused=True)
        with _Known() as known:
            return DagFacts(dag_id=dag_id, is_paused=False, last_states=self._last_states(dag_id))
        return DagFacts(dag_id=dag_id, is_paused=False, unknown=known.why)

    def _last_states(self, dag_id: str) -> tuple[str, ...]:
        params = {"order_by": "-run_after", "limit": LOOKED_BACK, "state": list(ENDED)}
        listed = self._ask(f"/dags/{dag_id}/dagRuns", params)["dag_runs"]
        states = [_typed(one["state"], str) for one in listed]
        return tuple(one for one in states if one in ENDED) or ("success",)

    def run(self, holder: str) -> RunFacts:
        """Return the state of a run."""
        dag_id, _, run_id = holder.partition("/")
        if not run_id:
            return RunFacts(holder=holder, unknown="it is no run of Airflow")
        with _Known() as known:
            try:
                said = self._ask(run_path(dag_id, run_id))
            except AirflowApiError as error:
                if error.status == 404:
                    return RunFacts(holder=holder)
                raise
            return RunFacts(holder=holder, state=_typed(said["state"], str, filled=True))
        return RunFacts(holder=holder, unknown=known.why)

    @cached_property
    def _questions(self) -> list[tuple[str, OpenQuestion]] | str:
        """All open questions and the DAG of each; or why nobody knows."""
        path, asked = f"{run_path('~', '~')}/hitlDetails", {"response_received": False, "order_by": "ti_id"}
        with _Known() as known:
            listed = self._all(path, "hitl_details", asked, lambda one: _task(one["task_instance"]))
            return [_question(one) for one in listed]
        return known.why

    @property
    def why_no_questions(self) -> str:
        """Why nobody knows which questions are open; empty: they are known."""
        return self._questions if isinstance(self._questions, str) else ""

    def questions(self, model: str) -> Sequence[OpenQuestion] | None:
        """Return the questions about a model's versions; ``None``: nobody knows.

        The ledger says until when a rollout asks.
        """
        if isinstance(self._questions, str):
            return None
        dags = (f"{model}__daily_retrain", f"{model}__drift_retrain")
        return [one.replace(model=model) for dag, one in self._questions if dag in dags]

    def silent_parts(self) -> Sequence[PartFacts] | None:
        """Return Airflow's own programs that give no sign of life; ``None``: it does not say."""
        with _Known():
            return silent_in(self._ask("/monitor/health"), datetime.now(UTC))
        return None


class _Known:
    """Ends a question that has no answer, and keeps why.

    :ivar why: why nobody knows, with its code.
    """

    why = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, *__: object) -> bool:
        if isinstance(error, NotKnownError):
            self.why = error.why
        elif isinstance(error, AirflowApiError):
            self.why = f"{error.code}: {error.message}"
        elif isinstance(error, (LookupError, TypeError, ValueError, AttributeError)):
            self.why = _malformed("there")
        return bool(self.why)


def _malformed(path: str) -> str:
    return f"{NO_ANSWER} what answers {path} is not Airflow: the answer is malformed"


Kind = TypeVar("Kind")


def _typed(value: object, kind: type[Kind], *, filled: bool = False) -> Kind:
    """Return a value of an answer.

    :raises TypeError: if it is of another kind, or empty where it must be filled.
    """
    if not isinstance(value, kind) or (filled and not value):
        raise TypeError(f"a {kind.__name__} was expected")
    return value


def _task(one: Mapping[str, Any]) -> tuple[str, str, str, int]:
    names = [_typed(one[key], str) for key in ("dag_id", "dag_run_id", "task_id")]
    return names[0], names[1], names[2], int(one.get("map_index", -1))


def _question(one: Mapping[str, Any]) -> tuple[str, OpenQuestion]:
    """Return the DAG of a question, and the question; whose model it is about is seen by the DAG."""
    dag_id, run_id, task_id, _ = _task(one["task_instance"])
    asked = _time(one.get("created_at"))
    return dag_id, OpenQuestion(
        model=dag_id.partition("__")[0],
        about=str(one.get("subject") or "a version's approval"),
        task=f"{dag_id}/{run_id}/{task_id}",
        asked_at=asked,
        until=asked + ASKED_FOR if asked else None,
    )


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
