from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput

from support.builders import digest, make_check, make_decision, make_registration, make_spec, make_version
from support.context import make_context
from windsock import records as r
from windsock.exceptions import ApprovalRefusedError
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.operators import approve_model
from windsock.operators.approve_model import ApproveModelOperator, approval_body
from windsock.records.retraining import LEASE


def approval(status, **fields):
    made = {"model": "churn", "version": "1", "digest": digest("b"), "status": status, "needed": 1}
    return r.Approval(**{**made, **fields})


def approve_task(**fields):
    return ApproveModelOperator(
        task_id="approve_model",
        spec=make_spec(model={"tier": "medium"}),
        version=make_version().model_dump(mode="json"),
        decision=make_decision().model_dump(mode="json"),
        **fields,
    )


def answer(option, user="rita", name=None):
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime(2026, 5, 1, tzinfo=UTC),
        "responded_by_user": {"id": user, "name": user if name is None else name} if user else None,
    }


def test_goes_on_where_nobody_is_needed(ports, step_answers):
    step_answers("approve_model", approval(r.Status.PASS, needed=0))
    task = approve_task()
    assert task.execute(make_context(task))["status"] == "pass"


@pytest.fixture
def asked(step_answers, monkeypatch):
    """What is put to a person, who is needed."""
    import airflow.providers.standard.operators.hitl as hitl

    step_answers("approve_model", approval(r.Status.INSUFFICIENT))
    fields = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **given: fields.update(given))
    return fields


def test_waits_without_a_worker_and_shows_the_evidence(ports, asked):
    task = approve_task(approvers=["rita"])
    with pytest.raises(TaskAwaitingInput):
        task.execute(make_context(task))
    assert asked["subject"] == "Approve churn version 1?"
    assert asked["assigned_users"] == [{"id": "rita", "name": "rita"}]
    assert asked["defaults"] is None
    assert "| latency | pass |" in asked["body"]


def claimed(ports, run_id, now):
    run = r.RunContext(dag_id="churn__daily_retrain", run_id=run_id)
    step = r.ClaimRetrainInput(spec=make_spec(), run=run)
    return claim_retrain(step, replace(ports, now=lambda: now), "").granted


def test_who_waits_for_a_person_keeps_the_models_claim(ports, asked):
    now = ports.now()
    assert claimed(ports, "run-1", now)
    task = approve_task()
    for _ in range(2):  # a cleared task asks again
        with pytest.raises(TaskAwaitingInput):
            task.execute(make_context(task))
    until = now + timedelta(days=3) + LEASE
    assert not claimed(ports, "run-2", now + timedelta(hours=7))
    assert not claimed(ports, "run-2", until - timedelta(minutes=1))
    assert claimed(ports, "run-2", until + timedelta(minutes=1))


def test_a_run_that_claimed_nothing_waits_as_well(ports, asked, caplog):
    caplog.set_level("INFO", logger="windsock.task")
    assert claimed(ports, "run-2", ports.now())
    task = approve_task()
    with pytest.raises(TaskAwaitingInput):
        task.execute(make_context(task))
    assert "holds no claim" in caplog.text
    assert claimed(ports, "run-3", ports.now() + LEASE + timedelta(minutes=1)), (
        "the other's is as long as it was"
    )


def test_answer_carries_the_user_that_the_server_named(ports, step_answers):
    seen = step_answers("approve_model", approval(r.Status.PASS, approvers=("rita",)))
    task = approve_task()
    pushed = task.execute_complete(make_context(task, user="ann"), answer("Approve"))
    assert pushed["approvers"] == ["rita"]
    assert (seen[0].answer, seen[0].approver, seen[0].run.requested_by) == ("approve", "rita", "ann")


@pytest.mark.parametrize(("name", "approver"), [("Rita Ray", "Rita Ray"), ("", "17")])
def test_answer_carries_name_and_id_and_the_id_where_there_is_no_name(ports, step_answers, name, approver):
    seen = step_answers("approve_model", approval(r.Status.PASS))
    task = approve_task()
    task.execute_complete(make_context(task), answer("Approve", user="17", name=name))
    assert (seen[0].approver, seen[0].approver_id) == (approver, "17")


@pytest.mark.parametrize("requester", ["Rita Ray", "17"])
def test_who_triggered_the_run_is_refused_by_name_and_by_id(ports, requester):
    ports.ledger.append(make_registration(), after_seq=0)
    task = approve_task()
    with pytest.raises(ApprovalRefusedError, match="cannot approve"):
        task.execute_complete(
            make_context(task, user=requester), answer("Approve", user="17", name="Rita Ray")
        )
    assert len(ports.ledger.rows("churn")) == 1


def test_an_answer_that_names_nobody_is_refused(ports):
    ports.ledger.append(make_registration(), after_seq=0)
    task = approve_task()
    with pytest.raises(ApprovalRefusedError, match="names no person"):
        task.execute_complete(make_context(task), answer("Approve", user=None))


def test_reject_is_red(ports, step_answers):
    step_answers("approve_model", approval(r.Status.FAIL, reason="rita said no"))
    task = approve_task()
    with pytest.raises(ApprovalRefusedError, match="rita said no"):
        task.execute_complete(make_context(task), answer("Reject"))


def test_a_timeout_means_no(ports, step_answers):
    seen = step_answers("approve_model", approval(r.Status.PASS))
    task = approve_task()
    with pytest.raises(ApprovalRefusedError, match="nobody answered"):
        task.execute_complete(make_context(task), {"error": "late", "error_type": "timeout"})
    assert seen == []
    assert task.verdict.word == "FAIL"


def test_body_tells_what_was_insufficient():
    decision = make_decision(
        asks=("performance_minimum:roc_auc",), checks=(make_check("x", r.Status.INSUFFICIENT),)
    )
    body = approval_body(make_spec(), make_version(), decision.model_dump(mode="json"))
    assert "performance_minimum:roc_auc" in body


def test_body_without_a_decision_still_names_the_version():
    assert "version: 1" in approval_body(make_spec(), make_version(), None)


def test_module_has_one_operator():
    assert [name for name in vars(approve_model) if name.endswith("ModelOperator")] == [
        "ApproveModelOperator"
    ]
