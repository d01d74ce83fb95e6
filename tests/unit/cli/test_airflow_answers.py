from __future__ import annotations

import threading
import time

import httpx
import pytest

from windsock.cli.airflow_answers import AirflowAccess, RestAirflow
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError

URL = "http://127.0.0.1:1"
DAGS = [{"dag_id": f"m{number:03d}__monitor", "is_paused": False} for number in range(230)]
QUESTION = {
    "subject": "whether 4 is approved",
    "created_at": "2026-05-01T12:00:00+00:00",
    "task_instance": {"dag_id": "m001__daily_retrain", "dag_run_id": "r", "task_id": "approve_model"},
}


class Stub:
    """Airflow, answering by the end of a path; what is a function is called with the request."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.asked: list[str] = []
        self.answers: dict[str, object] = {
            "/token": {"access_token": "t"},
            "/dags": lambda request: self.page(request, "dags", DAGS),
            "/dagRuns": {"dag_runs": [{"state": "failed"}, {"state": "success"}]},
            "/hitlDetails": lambda request: self.page(request, "hitl_details", [QUESTION]),
            "/health": {"scheduler": {"status": "healthy"}},
        }

    def page(self, request: httpx.Request, key: str, entries: list) -> dict:
        begun = int(request.url.params["offset"])
        return {
            key: entries[begun : begun + int(request.url.params["limit"])],
            "total_entries": len(entries),
        }

    def hang(self, _: httpx.Request) -> None:
        self.ended.wait(60)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        end = f"/{request.url.path.rpartition('/')[2]}"
        answer = self.answers.get(end, httpx.Response(404, json={"detail": "none"}))
        answer = answer(request) if callable(answer) else answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def times(self, end: str) -> int:
        return sum(path.endswith(end) for path in self.asked)


@pytest.fixture
def stub():
    made = Stub()
    yield made
    made.ended.set()


@pytest.fixture
def make(stub):
    def rest(**limits) -> RestAirflow:
        api = AirflowApi(URL, user="admin", password="secret", pauses=())
        api._client = httpx.Client(base_url=URL, transport=httpx.MockTransport(stub))
        return RestAirflow(api, **limits)

    return rest


def test_what_airflow_says(make, stub):
    rest = make()
    assert rest.why_not == ""
    assert stub.times("/dags") == 3
    assert rest.dag("m229__monitor").last_states == ("failed", "success")
    assert rest.dag("nobody__monitor").is_missing
    assert rest.dag("m229__monitor").failed_in_a_row == 1
    assert stub.times("/dagRuns") == 1, "it is asked once"
    (question,) = rest.questions("m001")
    assert (question.model, question.task) == ("m001", "m001__daily_retrain/r/approve_model")
    assert rest.questions("m002") == []
    assert rest.run("m001__monitor/gone").state == ""
    assert not rest.run("m001__monitor/gone").unknown
    assert rest.silent_parts() == []


def test_once_it_did_not_answer_it_is_asked_no_more(make, stub):
    stub.answers["/dagRuns"] = stub.hang
    rest = make(seconds=0.3, together=3.0)
    assert rest.why_not == ""
    begun = time.monotonic()
    facts = [rest.dag(one["dag_id"]) for one in DAGS]
    assert time.monotonic() - begun < 10, "no timeout after the other"
    assert stub.times("/dagRuns") == 1
    asked = len(stub.asked)
    assert {one.unknown for one in facts} == {facts[0].unknown}
    assert facts[0].unknown.startswith("WS-TRANSPORT-010: GET /dags/m000__monitor/dagRuns: no answer within")
    assert rest.run("m001__monitor/r").unknown == facts[0].unknown
    assert rest.questions("m001") is None
    assert rest.why_no_questions == facts[0].unknown
    assert rest.silent_parts() is None
    assert len(stub.asked) == asked


def test_a_connection_that_breaks_is_no_answer(make, stub):
    def breaks(_: httpx.Request) -> None:
        raise httpx.ReadError("gone")

    stub.answers["/dagRuns"] = breaks
    rest = make()
    facts = [rest.dag(one["dag_id"]) for one in DAGS[:9]]
    assert stub.times("/dagRuns") == 1
    assert all("no answer from http://127.0.0.1:1 (ReadError)" in one.unknown for one in facts)


def test_all_answers_together_are_bounded(make, stub):
    def slow(_: httpx.Request) -> dict:
        time.sleep(0.1)
        return {"dag_runs": []}

    stub.answers["/dagRuns"] = slow
    rest = make(together=1.0)
    facts = [rest.dag(one["dag_id"]) for one in DAGS]
    assert 1 <= stub.times("/dagRuns") <= 11
    assert facts[-1].unknown.startswith("WS-TRANSPORT-010: ")
    assert not facts[-1].is_missing


@pytest.mark.parametrize("total", [231, 10**12])
def test_paging_ends_where_the_offset_is_ignored(make, stub, total):
    stub.answers["/dags"] = {"dags": DAGS[:100], "total_entries": total}
    rest = make()
    assert "100 of" in rest.why_not
    assert rest.why_not.startswith("WS-TRANSPORT-010: ")
    assert stub.times("/dags") == 2
    assert rest.dag("m200__monitor").unknown, "it is not told as missing"


def test_paging_ends_where_pages_never_do(make, stub):
    def endless(request: httpx.Request) -> dict:
        begun = int(request.url.params["offset"])
        return {"dags": [{"dag_id": f"d{begun}", "is_paused": False}], "total_entries": begun + 2}

    stub.answers["/dags"] = endless
    begun = time.monotonic()
    assert make(together=0.5).why_not.startswith("WS-TRANSPORT-010: ")
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "malformed",
    [
        {},
        [],
        None,
        {"dag_runs": None},
        {"dag_runs": [{}]},
        {"dag_runs": ["failed"]},
        {"dag_runs": [{"state": None}]},
        httpx.Response(200, text="<html>a proxy</html>"),
        httpx.Response(503),
    ],
)
def test_a_malformed_answer_about_one_dag_is_not_known_and_hides_no_other(make, stub, malformed):
    stub.answers["/dagRuns"] = lambda request: (
        malformed if "m000" in request.url.path else {"dag_runs": [{"state": "failed"}]}
    )
    rest = make()
    first = rest.dag("m000__monitor")
    assert first.unknown.startswith("WS-TRANSPORT-010: ")
    assert not first.is_missing
    assert rest.dag("m001__monitor").failed_in_a_row == 1


@pytest.mark.parametrize(
    "malformed",
    [
        {"dags": [{"dag_id": "a"}], "total_entries": 1},
        {"dags": [{"dag_id": "a", "is_paused": "false"}], "total_entries": 1},
        {"dags": [{"dag_id": 7, "is_paused": True}], "total_entries": 1},
        {"dags": [], "total_entries": None},
        {"dags": [], "total_entries": 3},
        "up",
    ],
)
def test_a_malformed_list_of_dags_is_not_known(make, stub, malformed):
    stub.answers["/dags"] = malformed
    rest = make()
    assert rest.why_not.startswith("WS-TRANSPORT-010: ")
    assert rest.dag("a").unknown == rest.why_not


@pytest.mark.parametrize("said", [{}, {"state": None}, {"state": ""}, {"state": 3}, []])
def test_a_malformed_run_is_not_taken_for_one_that_is_gone(make, stub, said):
    stub.answers["/r"] = said
    run = make().run("m001__monitor/r")
    assert run.unknown.startswith("WS-TRANSPORT-010: ")
    assert not run.is_over


@pytest.mark.parametrize(
    "said",
    [
        httpx.Response(403, json={"detail": "Forbidden"}),
        httpx.Response(500),
        {"hitl_details": [{}], "total_entries": 1},
        {"hitl_details": [{**QUESTION, "task_instance": None}], "total_entries": 1},
        {"hitl_details": [QUESTION], "total_entries": 2},
    ],
)
def test_questions_that_nobody_can_list_are_not_none_that_are_open(make, stub, said):
    stub.answers["/hitlDetails"] = said
    rest = make()
    assert rest.questions("m001") is None
    assert rest.why_no_questions.startswith("WS-TRANSPORT-010: ")
    assert rest.dag("m001__monitor").unknown == ""


def test_a_question_behind_a_full_page_is_found(make, stub):
    others = [
        {**QUESTION, "task_instance": {**QUESTION["task_instance"], "dag_run_id": f"r{number}"}}
        for number in range(150)
    ]
    last = {**QUESTION, "task_instance": {**QUESTION["task_instance"], "dag_id": "z__drift_retrain"}}
    stub.answers["/hitlDetails"] = lambda request: stub.page(request, "hitl_details", [*others, last])
    rest = make()
    assert len(rest.questions("z")) == 1
    assert len(rest.questions("m001")) == 150


@pytest.mark.parametrize("token", [{}, {"access_token": None}, {"access_token": "a\nb"}, []])
def test_a_login_without_a_token_is_not_known(make, stub, token):
    stub.answers["/token"] = token
    assert make().why_not == "WS-TRANSPORT-010: POST /auth/token was answered without a token."


@pytest.mark.parametrize("url", ["http://[::1", "http://a:port", "ftp://127.0.0.1", "nothing"])
def test_an_address_that_is_none(url):
    with pytest.raises(AirflowApiError) as caught:
        AirflowAccess(url, "admin", "secret").api().dag_ids()
    assert caught.value.code == "WS-TRANSPORT-010"
