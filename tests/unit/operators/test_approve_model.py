from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput

from support.builders import digest, make_check, make_decision, make_registration, make_spec, make_version
from support.context import make_context
from windsock import records as r
from windsock.exceptions import ApprovalRefusedError
from windsock.hooks.windsock import WindsockHook
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.operators import approve_model, question
from windsock.operators.approve_model import ApproveModelOperator, approval_body
from windsock.operators.page import ShownPage
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


def shown(_, given):
    return ShownPage(given["subject"], given["body"])


@pytest.fixture
def asked(step_answers, monkeypatch):
    """What is put to a person, who is needed."""

    step_answers("approve_model", approval(r.Status.INSUFFICIENT))
    fields = {}
    monkeypatch.setattr(question, "put_page", lambda **given: shown(fields.update(given), given))
    return fields


def test_waits_without_a_worker_and_shows_the_evidence(ports, asked):
    task = approve_task(approvers=["rita"])
    with pytest.raises(TaskAwaitingInput):
        task.execute(make_context(task))
    assert asked["subject"] == "Approve churn version 1?"
    assert asked["assigned_users"] == [{"id": "rita", "name": "rita"}]
    assert asked["defaults"] is None
    assert "| latency | pass |" in asked["body"]


@pytest.fixture
def opened(monkeypatch):
    """Each page that is put to people."""
    pages = []
    monkeypatch.setattr(question, "put_page", lambda **given: shown(pages.append(given), pages[0]))
    return pages


def stays_open(task, context, event, **kept):
    with pytest.raises(TaskAwaitingInput) as waiting:
        task.execute_complete(context, event, **kept)
    assert task.verdict.word == "HOLD"
    return waiting.value


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
def test_who_triggered_the_run_is_refused_by_name_and_by_id(ports, opened, requester):
    ports.ledger.append(make_registration(), after_seq=0)
    task = approve_task()
    context = make_context(task, user=requester)
    waiting = stays_open(task, context, answer("Approve", user="17", name="Rita Ray"))
    assert [one["code"] for one in waiting.kwargs["refused"]] == ["WS-APPROVAL-004"]
    assert len(ports.ledger.rows("churn")) == 1


def test_an_answer_that_names_nobody_is_refused(ports, opened):
    ports.ledger.append(make_registration(), after_seq=0)
    task = approve_task()
    waiting = stays_open(task, make_context(task), answer("Approve", user=None))
    assert "names no person" in waiting.kwargs["refused"][0]["why"]


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


# --- the question stays open


@pytest.fixture
def registered(ports):
    """A ledger that knows the version."""
    ports.ledger.append(make_registration(tier="medium"), after_seq=0)
    return ports


def given(ports):
    return [row.actor for row in ports.ledger.rows("churn") if row.action is r.LedgerAction.APPROVE]


def ask(task, context):
    with pytest.raises(TaskAwaitingInput) as waiting:
        task.execute(context)
    return waiting.value


def test_a_refused_answer_leaves_the_question_open_for_the_next_person(registered, opened):
    task = approve_task()
    context = make_context(task, user="ann")
    first = ask(task, context)
    assert timedelta(days=2.99) < first.timeout <= timedelta(days=3)
    again = stays_open(task, context, answer("Approve", "ａｎｎ"), **first.kwargs)
    assert again.method_name == "execute_complete"
    assert len(opened) == 2
    assert "refused: ａｎｎ" in opened[-1]["body"]
    assert "WS-APPROVAL-004" in opened[-1]["body"]
    assert task.execute_complete(context, answer("Approve", "bob"), **again.kwargs)["status"] == "pass"
    assert given(registered) == ["bob"]


def test_the_time_to_answer_is_that_of_the_first_asking(registered, opened, monkeypatch):
    now = registered.now()
    later = now + timedelta(days=2)
    task = approve_task()
    context = make_context(task, user="ann")
    first = ask(task, context)
    monkeypatch.setattr(WindsockHook, "ports", lambda self: replace(registered, now=lambda: later))
    again = stays_open(task, context, answer("Approve", "ann"), **first.kwargs)
    assert again.timeout < timedelta(days=1.01)
    assert again.kwargs["until"] == first.kwargs["until"]
    late = now + timedelta(days=3, minutes=1)
    monkeypatch.setattr(WindsockHook, "ports", lambda self: replace(registered, now=lambda: late))
    with pytest.raises(ApprovalRefusedError, match="2 answers were refused, the last one of ann"):
        task.execute_complete(context, answer("Approve", "ann"), **again.kwargs)
    assert task.verdict.word == "FAIL"


def test_a_question_of_the_release_before_goes_on(registered, opened):
    task = approve_task()
    assert stays_open(task, make_context(task, user="ann"), answer("Approve", "ann")).timeout > timedelta(0)


def test_refused_answers_are_counted_and_the_last_ones_kept(registered, opened):
    task = approve_task()
    context = make_context(task, user="ann")
    kept = ask(task, context).kwargs
    for _ in range(question.SHOWN + 5):
        kept = stays_open(task, context, answer("Approve", "ann"), **kept).kwargs
    assert len(kept["refused"]) == question.SHOWN
    assert context["ti"].pushed[question.REFUSED]["count"] == question.SHOWN + 5


@pytest.mark.parametrize("again", ["bob", "Bob", "ｂob", "b\u200bob"])
def test_of_a_version_that_nobody_is_named_for_one_person_alone_approves_nothing(ports, opened, again):
    ports.ledger.append(make_registration(tier="medium", starter_unknown=True), after_seq=0)
    task = approve_task()
    context = make_context(task)
    kept = ask(task, context).kwargs
    assert "0 of 2 approvals; one more than usual" in opened[0]["body"]
    kept = stays_open(task, context, answer("Approve", "bob"), **kept).kwargs
    assert "1 of 2" in opened[-1]["body"]
    kept = stays_open(task, context, answer("Approve", again) | later(minutes=1), **kept).kwargs
    assert given(ports) == ["bob"]
    pushed = task.execute_complete(context, answer("Approve", "eve"), **kept)
    assert pushed["approvers"] == ["bob", "eve"]


def later(**by):
    return {"responded_at": datetime(2026, 5, 1, tzinfo=UTC) + timedelta(**by)}


def test_only_listed_people_whose_yes_would_count_are_offered_the_question(registered, opened):
    task = approve_task(approvers=["ann", "rita"])
    ask(task, make_context(task, user="Ann"))
    assert opened[0]["assigned_users"] == [{"id": "rita", "name": "rita"}]


def test_who_is_not_listed_is_refused_though_airflow_let_the_answer_in(registered, opened):
    task = approve_task(approvers=["rita"])
    context = make_context(task, user="ann")
    kept = ask(task, context).kwargs
    kept = stays_open(task, context, answer("Approve", "eve"), **kept).kwargs
    assert kept["refused"][0]["code"] == "WS-APPROVAL-008"
    assert given(registered) == []
    assert task.execute_complete(context, answer("Approve", "rita"), **kept)["status"] == "pass"


def test_a_list_of_which_too_few_may_answer_is_red_at_once(registered, opened):
    task = approve_task(approvers=["ann", "ＡＮＮ"])
    with pytest.raises(ApprovalRefusedError) as refused:
        task.execute(make_context(task, user="ann"))
    assert (refused.value.code, opened) == ("WS-APPROVAL-009", [])


def test_a_no_by_who_asked_for_it_ends_the_question(registered, opened):
    task = approve_task()
    context = make_context(task, user="ann")
    kept = ask(task, context).kwargs
    with pytest.raises(ApprovalRefusedError, match="rejected by ann"):
        task.execute_complete(context, answer("Reject", "ann"), **kept)


def test_a_yes_after_ones_own_no_ends_the_question(registered, opened):
    task = approve_task()
    context = make_context(task)
    kept = ask(task, context).kwargs
    with pytest.raises(ApprovalRefusedError):
        task.execute_complete(context, answer("Reject", "bob"), **kept)
    with pytest.raises(ApprovalRefusedError, match="a rejection stands"):
        task.execute_complete(context, answer("Approve", "bob"), **kept)


def test_a_cleared_task_whose_page_shows_another_version_asks_nobody(registered, opened):
    first = make_version(version="0").model_dump(mode="json")
    opened.append(
        {"subject": "Approve churn version 0?", "body": approval_body(make_spec(), first_of(first), None)}
    )
    task = approve_task()
    with pytest.raises(ApprovalRefusedError) as refused:
        task.execute(make_context(task))
    assert refused.value.code == "WS-APPROVAL-010"


def first_of(content):
    return r.RegisteredVersion.model_validate(content)


# --- two questions of tier high


@pytest.fixture
def two(ports):
    """A ledger that knows a version of tier high."""
    ports.ledger.append(make_registration(tier="high"), after_seq=0)
    return ports


def question_of_two(number):
    return ApproveModelOperator(
        task_id=f"approve_model_{number}",
        spec=make_spec(model={"tier": "high"}),
        version=make_version().model_dump(mode="json"),
        number=number,
        of=2,
    )


def test_the_first_question_ends_with_one_yes_and_the_second_says_whose_and_when(two, opened):
    first = question_of_two(1)
    context = make_context(first, user="ann")
    kept = ask(first, context).kwargs
    assert opened[0]["subject"] == "Approve churn version 1? (answer 1 of 2)"
    assert "one after the other" not in opened[0]["body"] + first.verdict.next_action
    pushed = first.execute_complete(context, answer("Approve", "rita"), **kept)
    assert (pushed["status"], first.verdict.word) == ("insufficient", "PASS")
    assert "rita approved at 2026-05-01 00:00 UTC" in first.verdict.why
    opened.clear()
    second = question_of_two(2)
    context = make_context(second, user="ann")
    kept = ask(second, context).kwargs
    assert "- approved by: rita, 2026-05-01 00:00 UTC" in opened[0]["body"]
    assert second.verdict.next_action.endswith("/tasks/approve_model_2/required_actions")
    kept = stays_open(second, context, answer("Approve", "rita") | later(minutes=1), **kept).kwargs
    assert kept["refused"][0]["code"] == "WS-APPROVAL-005"
    assert second.execute_complete(context, answer("Approve", "bob"), **kept)["status"] == "pass"


def test_a_first_question_that_was_answered_asks_nobody_when_it_is_cleared(two, opened):
    first = question_of_two(1)
    context = make_context(first, user="ann")
    first.execute_complete(context, answer("Approve", "rita"), **ask(first, context).kwargs)
    opened.clear()
    assert question_of_two(1).execute(context)["approvers"] == ["rita"]
    assert opened == []


def test_the_last_question_asks_for_all_that_are_missing(two, opened):
    last = question_of_two(2)
    context = make_context(last, user="ann")
    kept = ask(last, context).kwargs
    assert "one after the other" in opened[0]["body"]
    kept = stays_open(last, context, answer("Approve", "rita"), **kept).kwargs
    assert last.execute_complete(context, answer("Approve", "bob"), **kept)["approvers"] == ["rita", "bob"]
