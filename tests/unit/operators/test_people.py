from __future__ import annotations

from types import SimpleNamespace

import pytest

from support.builders import digest
from support.context import make_context
from windsock import records as r
from windsock.operators.people import known_logins, question_address, who_answers_next

TASK = SimpleNamespace(task_id="approve_model")


def approval(needed=1, **fields):
    return r.Approval(
        model="churn", version="1", digest=digest("b"), status=r.Status.INSUFFICIENT, needed=needed, **fields
    )


def left_of(asked):
    return asked.needed - len(asked.approvers)


@pytest.fixture
def airflow(monkeypatch):
    """Set what Airflow says of itself."""

    def say(**options):
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__{name.upper()}", value)

    say(
        api__base_url="http://127.0.0.1:8080/",
        core__simple_auth_manager_users="admin:admin,rita:op, bob:User ,eve:viewer",
    )
    return say


def test_the_address_is_the_page_of_the_questions_own_task(airflow):
    context = make_context(TASK)
    context["dag_run"].run_id = "manual__2026-05-01T00:00:00+00:00"
    assert question_address(context) == (
        "http://127.0.0.1:8080/dags/churn__daily_retrain/runs/manual__2026-05-01T00:00:00+00:00"
        "/tasks/approve_model/required_actions"
    )
    airflow(api__base_url="")
    assert question_address(context).startswith("/dags/churn__daily_retrain/")


def test_logins_are_known_of_the_simple_login_alone(airflow):
    assert known_logins() == ("admin", "rita", "bob")
    airflow(core__simple_auth_manager_all_admins="True")
    assert known_logins() == ()
    airflow(core__simple_auth_manager_all_admins="False", core__auth_manager="fab.FabAuthManager")
    assert known_logins() == ()


@pytest.mark.parametrize(
    ("asked", "listed", "said"),
    [
        (approval(barred=("admin",)), (), "let rita or bob answer at "),
        (approval(barred=("admin",)), ("admin", "zoe"), "let zoe answer at "),
        (approval(2, barred=("Admin",)), (), "let 2 of rita, bob answer, one after the other, at "),
        (approval(2, barred=("admin",), approvers=("rita",)), (), "let bob answer at "),
        (approval(3, barred=("admin",)), (), "only rita and bob may answer, and 3 people must: add logins"),
        (approval(barred=("zoe",)), ("zoe",), "let a person other than zoe answer at "),
    ],
)
def test_next_names_who_may_answer_and_where(airflow, asked, listed, said):
    sentence = who_answers_next(make_context(TASK), asked, listed, left=left_of(asked))
    assert sentence.startswith(said)
    assert sentence.endswith("/tasks/approve_model/required_actions")


def test_where_no_login_is_known_it_says_who_cannot(airflow):
    airflow(core__auth_manager="fab.FabAuthManager")
    assert who_answers_next(make_context(TASK), approval(2, barred=("ann",)), (), left=2).startswith(
        "let 2 people other than ann answer at http"
    )
