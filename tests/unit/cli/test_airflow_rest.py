from __future__ import annotations

import json
from urllib.parse import unquote

import httpx
import pytest

from windsock.cli import airflow_rest
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.airflow_tasks import LogLine, TaskState

URL = "http://127.0.0.1:1"
RUN = "manual__2026-11-21T05:19:26.356734+00:00"
TASK = TaskState(task_id="t", map_index=-1, label="t", state="success", try_number=2, seconds=1.0)


class FakeAirflow:
    """Answers by method and path; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], object] = {("POST", "/auth/token"): {"access_token": "first"}}
        self.answer_all: object = httpx.Response(404, json={"detail": "no"})
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.get((request.method, request.url.path), self.answer_all)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def last(self) -> dict:
        return json.loads(self.asked[-1].content)


@pytest.fixture
def airflow():
    return FakeAirflow()


@pytest.fixture
def pauses() -> list[float]:
    """The pauses between tries, which the client would have slept."""
    return []


@pytest.fixture
def api(airflow, pauses):
    with AirflowApi(URL, user="admin", password="secret", sleep=pauses.append) as made:
        made._client = httpx.Client(base_url=URL, transport=httpx.MockTransport(airflow))
        yield made


def test_it_signs_in_once(api, airflow):
    airflow.answers["GET", "/api/v2/dags"] = {"dags": [{"dag_id": "a"}]}
    assert api.dag_ids() == {"a"}
    assert api.dag_ids() == {"a"}
    assert [request.url.path for request in airflow.asked] == ["/auth/token", "/api/v2/dags", "/api/v2/dags"]
    assert airflow.asked[-1].headers["Authorization"] == "Bearer first"


def test_it_signs_in_again_when_the_token_is_too_old(api, airflow):
    tokens = iter([{"access_token": "old"}, {"access_token": "new"}])
    airflow.answers["POST", "/auth/token"] = lambda _: httpx.Response(201, json=next(tokens))

    def listed(request: httpx.Request) -> httpx.Response:
        too_old = request.headers["Authorization"] == "Bearer old"
        return httpx.Response(401) if too_old else httpx.Response(200, json={"dags": []})

    airflow.answers["GET", "/api/v2/dags"] = listed
    assert api.dag_ids() == set()


def test_a_wrong_password_is_an_error_without_the_password(api, airflow):
    airflow.answers["POST", "/auth/token"] = httpx.Response(401, json={"detail": "Invalid credentials"})
    with pytest.raises(
        AirflowApiError, match="POST /auth/token was answered with 401: Invalid credentials"
    ) as caught:
        api.dag_ids()
    assert caught.value.status == 401
    assert "secret" not in str(caught.value)


def test_no_answer_is_an_error_that_names_the_address(api, airflow):
    airflow.answers["GET", "/api/v2/dags"] = httpx.ConnectError("refused")
    with pytest.raises(AirflowApiError, match=f"no answer from {URL} .ConnectError") as caught:
        api.dag_ids()
    assert caught.value.status is None
    assert caught.value.code == "WS-TRANSPORT-010"


def test_an_answer_that_is_no_json_object_is_an_error(api, airflow):
    airflow.answers["GET", "/api/v2/dags"] = httpx.Response(502, text="<html>bad gateway</html>")
    with pytest.raises(AirflowApiError, match=r"answered with 502\."):
        api.dag_ids()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(201, json={}), "without a token"),
        (httpx.Response(201, json=["a"]), "without a token"),
        (httpx.Response(200, text="<html>sign in</html>"), "something that is not JSON"),
    ],
)
def test_a_sign_in_that_gives_no_token_is_an_error(api, airflow, answer, said):
    airflow.answers["POST", "/auth/token"] = answer
    with pytest.raises(AirflowApiError, match=said):
        api.dag("a")


def test_an_unknown_dag_is_none(api):
    assert api.dag("a") is None


def test_any_other_refusal_of_a_dag_is_an_error(api, airflow):
    airflow.answers["GET", "/api/v2/dags/a"] = httpx.Response(500)
    with pytest.raises(AirflowApiError):
        api.dag("a")


def in_turn(*answers):
    """Answer with each of these in turn."""
    left = iter(answers)
    return lambda _: next(left)


def test_triggering(api, airflow):
    airflow.answers["POST", "/api/v2/dags/a/dagRuns"] = {}
    run_id = api.trigger("a", {"force": True})
    assert run_id.startswith("manual__")
    assert airflow.last() == {"dag_run_id": run_id, "logical_date": None, "conf": {"force": True}}
    assert api.trigger("a") != run_id


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_trigger_that_fails_is_repeated_with_the_same_run_id(api, airflow, pauses, status):
    fails = httpx.Response(status)
    airflow.answers["POST", "/api/v2/dags/a/dagRuns"] = in_turn(fails, fails, httpx.Response(200, json={}))
    run_id = api.trigger("a")
    sent = [json.loads(request.content)["dag_run_id"] for request in airflow.asked[1:]]
    assert sent == [run_id] * 3
    assert pauses == [0.5, 1.0]


def test_a_run_that_the_first_try_stored_is_found(api, airflow):
    airflow.answers["POST", "/api/v2/dags/a/dagRuns"] = in_turn(httpx.Response(500), httpx.Response(409))
    stored = []

    def state(request: httpx.Request) -> httpx.Response:
        stored.append(unquote(request.url.path).rpartition("/")[2])
        return httpx.Response(200, json={"state": "queued"})

    airflow.answer_all = state
    assert stored == [api.trigger("a")]


def test_a_conflict_without_the_run_is_an_error(api, airflow):
    airflow.answers["POST", "/api/v2/dags/a/dagRuns"] = httpx.Response(409, json={"detail": "paused"})
    with pytest.raises(AirflowApiError, match="answered with 409: paused"):
        api.trigger("a")


def test_repetition_has_an_end(api, airflow, pauses):
    airflow.answers["GET", "/api/v2/dags/a"] = httpx.Response(500, json={"detail": "Database error"})
    with pytest.raises(AirflowApiError, match="answered with 500: Database error"):
        api.dag("a")
    assert pauses == list(airflow_rest.RETRY_PAUSES)
    assert len(airflow.asked) == 1 + len(pauses) + 1  # the sign-in, the repeated ones, the last one


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_a_refusal_is_not_repeated(api, airflow, pauses, status):
    airflow.answers["PATCH", "/api/v2/dags/a"] = httpx.Response(status)
    with pytest.raises(AirflowApiError):
        api.set_paused("a", paused=True)
    assert pauses == []


def test_what_may_not_be_done_twice_is_not_repeated(api, airflow, pauses):
    path = "/api/v2/dags/a/dagRuns/r/taskInstances/t/-1/hitlDetails"
    airflow.answers["PATCH", path] = httpx.Response(500)
    with pytest.raises(AirflowApiError):
        api.answer("a", "r", "t", "Approve")
    assert pauses == []


def test_a_run_id_with_a_plus_survives_the_address(api, airflow):
    airflow.answers["GET", f"/api/v2/dags/a/dagRuns/{RUN}"] = {"state": "running"}
    assert api.run_state("a", RUN) == "running"
    assert b"+" not in airflow.asked[-1].url.raw_path


def test_pausing_and_failing(api, airflow):
    airflow.answers["PATCH", "/api/v2/dags/a"] = {}
    api.set_paused("a", paused=False)
    assert airflow.last() == {"is_paused": False}
    airflow.answers["PATCH", f"/api/v2/dags/a/dagRuns/{RUN}"] = {}
    api.fail_run("a", RUN)
    assert airflow.last() == {"state": "failed"}


def test_tasks_with_mapped_ones(api, airflow):
    airflow.answers["GET", f"/api/v2/dags/a/dagRuns/{RUN}/taskInstances"] = {
        "task_instances": [
            {"task_id": "one", "map_index": -1, "state": None, "try_number": 0, "duration": None},
            {
                "task_id": "train",
                "map_index": 1,
                "rendered_map_index": "ridge",
                "state": "success",
                "try_number": 1,
                "duration": 2.5,
            },
            {"task_id": "train", "map_index": 0, "state": "failed", "try_number": 3, "duration": 0.5},
        ]
    }
    one, ridge, other = api.tasks("a", RUN)
    assert (one.label, one.state, one.finished) == ("one", None, False)
    assert (ridge.label, ridge.seconds, ridge.finished) == ("train [ridge]", 2.5, True)
    assert (other.label, other.try_number) == ("train [0]", 3)


def test_a_log_without_the_note_of_its_source(api, airflow):
    path = f"/api/v2/dags/a/dagRuns/{RUN}/taskInstances/t/logs/2"
    airflow.answers["GET", path] = {
        "content": [
            {"event": "::group::Log message source details"},
            {"event": "/var/log/airflow"},
            {"event": "::endgroup::"},
            {"event": "hello", "logger": "windsock.task", "level": "info"},
            {"event": "::group::Checks", "logger": "windsock.task", "level": "info"},
            "a line that could not be parsed",
        ]
    }
    assert api.log("a", RUN, TASK) == [
        LogLine(event="hello", logger="windsock.task", level="info"),
        LogLine(event="::group::Checks", logger="windsock.task", level="info"),
        LogLine(event="a line that could not be parsed"),
    ]
    assert airflow.asked[-1].url.params["map_index"] == "-1"


@pytest.mark.parametrize("value", [{"a": 1}, '{"a": 1}'])
def test_xcom(api, airflow, value):
    airflow.answers["GET", f"/api/v2/dags/a/dagRuns/{RUN}/taskInstances/t/xcomEntries/return_value"] = {
        "value": value
    }
    assert api.xcom("a", RUN, "t") == {"a": 1}
    assert api.xcom("a", RUN, "never_ran") is None


def test_answering_an_approval(api, airflow):
    airflow.answers["PATCH", f"/api/v2/dags/a/dagRuns/{RUN}/taskInstances/t/-1/hitlDetails"] = {}
    api.answer("a", RUN, "t", "Approve")
    assert airflow.last() == {"chosen_options": ["Approve"], "params_input": {}}
    airflow.answers["GET", "/api/v2/dags/~/dagRuns/~/hitlDetails"] = {"hitl_details": [{"subject": "s"}]}
    assert api.open_questions() == [{"subject": "s"}]


def test_putting_all(api, airflow):
    airflow.answers["PATCH", "/api/v2/pools"] = {"create": {"success": ["a"], "errors": []}}
    api.put_all("pools", [{"name": "a"}])
    assert airflow.last()["actions"] == [
        {"action": "create", "action_on_existence": "overwrite", "entities": [{"name": "a"}]}
    ]
    count = len(airflow.asked)
    api.put_all("pools", [])
    assert len(airflow.asked) == count


def test_an_entity_that_is_refused_is_an_error(api, airflow):
    airflow.answers["PATCH", "/api/v2/pools"] = {"create": {"errors": [{"error": "slots too low"}]}}
    with pytest.raises(AirflowApiError, match="refused pools: slots too low"):
        api.put_all("pools", [{"name": "a"}])


def test_health(monkeypatch):
    parts = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": None}, "dag_processor": None}
    answer = httpx.Response(200, json=parts, request=httpx.Request("GET", URL))
    monkeypatch.setattr(airflow_rest.httpx, "get", lambda *_, **__: answer)
    assert airflow_rest.health(URL) == {
        "metadatabase": "healthy",
        "scheduler": "None",
        "dag_processor": "None",
    }


def test_no_health_while_nothing_answers():
    assert airflow_rest.health(URL) == {}
