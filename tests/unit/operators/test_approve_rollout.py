from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped, TaskAwaitingInput

from support.context import make_context
from support.rollout_steps import with_pack
from support.rollouts import ab_spec, make_look, make_rollout, under_way
from support.several import several_look, several_rollout
from support.world import MODEL, actions, deploy, shares, world_of
from windsock import records as r
from windsock.exceptions import ApprovalRefusedError
from windsock.hooks.windsock import WindsockHook
from windsock.operators import question
from windsock.operators.approve_rollout import ApproveRolloutOperator, rollout_body
from windsock.operators.move_rollout import MoveRolloutOperator
from windsock.operators.page import ShownPage

ASKS = ab_spec(approve=True)
BEGINS = r.RolloutPlan.of_spec(ASKS).model_dump(mode="json")


@pytest.fixture
def clock():
    """What is added to the world's clock."""
    return {"later": timedelta(0)}


@pytest.fixture
def ports(monkeypatch, clock):
    """A world in which version 2 is tried against version 1, and a person must approve."""
    made = world_of(1)
    deploy(made, 2)
    under_way(made, begins=BEGINS)
    usual = made.now
    shifted = replace(made, now=lambda: usual() + clock["later"])
    monkeypatch.setattr(WindsockHook, "ports", lambda self: shifted)
    return shifted


def shown(_, given):
    return ShownPage(given["subject"], given["body"])


@pytest.fixture
def asked(monkeypatch):
    """What is put to a person."""

    fields = {}
    monkeypatch.setattr(question, "put_page", lambda **given: shown(fields.update(given), given))
    return fields


def decided(ports, number=1, action="promote", **fields):
    look = make_look(number, action, **fields)
    if action == "promote":
        look = with_pack(ports, look)
    ports.rollouts.add_decision(look)
    return look


def approve_task(decision, **fields):
    with DAG("rollout", schedule=None):
        task = ApproveRolloutOperator(
            task_id="approve_promotion", spec=ASKS, decision=decision.model_dump(mode="json"), **fields
        )
        task >> BaseOperator(task_id="move_rollout")
    return task


def move_task(decision, approval=None):
    return MoveRolloutOperator(
        task_id="move_rollout", spec=ASKS, decision=decision.model_dump(mode="json"), approval=approval
    )


def context_of(task, run_id="run-1", **given):
    context = make_context(task, **given)
    context["run_id"] = context["dag_run"].run_id = run_id
    return context


def answer(option, user="rita"):
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime(2026, 5, 2, tzinfo=UTC),
        "responded_by_user": {"id": user, "name": user} if user else None,
    }


def asks(task, run_id="run-1"):
    with pytest.raises(TaskAwaitingInput):
        task.execute(context_of(task, run_id))


def answers(ports):
    rows = ports.ledger.rows(MODEL)
    return [row for row in rows if row.action in (r.LedgerAction.APPROVE, r.LedgerAction.REJECT)]


@pytest.mark.parametrize("action", ["hold", "advance", "keep", "roll_back"])
def test_only_a_promotion_is_asked_about(ports, asked, action):
    task = approve_task(decided(ports, action=action))
    with pytest.raises(AirflowSkipException):
        task.execute(context_of(task))
    assert (asked, task.verdict.word) == ({}, "PASS")


def test_a_dry_run_asks_nobody(ports, asked):
    task = approve_task(make_look(1, "promote", dry_run=True))
    with pytest.raises(AirflowSkipException):
        task.execute(context_of(task))
    assert asked == {}


def test_the_plan_that_began_says_whether_a_person_is_asked(monkeypatch, asked):
    made = world_of(1)
    deploy(made, 2)
    under_way(made)  # without `approve`, whatever the file says by now
    monkeypatch.setattr(WindsockHook, "ports", lambda self: made)
    task = approve_task(decided(made))
    with pytest.raises(AirflowSkipException):
        task.execute(context_of(task))
    assert asked == {}


def test_it_waits_without_a_worker_and_shows_the_evidence(ports, asked):
    task = approve_task(decided(ports), approvers=["rita"])
    asks(task)
    assert asked["subject"] == "Promote churn version 2?"
    assert asked["assigned_users"] == [{"id": "rita", "name": "rita"}]
    for part in ("Decision: **promote**", "| sample_ratio | pass |", "difference +0.006 [-0.004, +0.016]"):
        assert part in asked["body"]
    rollout = r.running_rollout(ports.ledger.rows(MODEL))
    assert rollout.asked_by == "run-1"
    assert rollout.asked_until > ports.now() + timedelta(days=2)
    assert task.verdict.word == "HOLD"


def test_a_cleared_task_asks_again(ports, asked):
    decision = decided(ports)
    for _ in range(2):
        asks(approve_task(decision))


def test_one_run_asks_and_the_others_wait_until_its_time_is_over(ports, asked, clock):
    asks(approve_task(decided(ports)))
    asked.clear()
    other = approve_task(decided(ports, 2))
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        other.execute(context_of(other, "run-2"))
    assert skipped.value.tasks == ["move_rollout"]
    assert "run run-1 is asking" in other.verdict.why
    assert asked == {}
    clock["later"] = timedelta(days=4)
    asks(approve_task(decided(ports, 3)), "run-2")


def test_yes_is_kept_with_the_rollout_and_promotes(ports, asked):
    decision = decided(ports)
    asks(task := approve_task(decision))
    approval = task.execute_complete(context_of(task, user=None), answer("Approve"))
    (row,) = answers(ports)
    assert (row.action.value, row.actor, row.body["experiment"]) == ("approve", "rita", "v2-e4")
    assert approval["status"] == "pass"
    (move := move_task(decision, approval)).execute(context_of(move))
    assert shares(ports)["2"] == 10_000


def test_a_later_look_does_not_ask_again_what_was_answered(ports, asked):
    asks(task := approve_task(decided(ports)))
    task.execute_complete(context_of(task), answer("Approve"))
    asked.clear()
    later = approve_task(decided(ports, 2))
    assert later.execute(context_of(later, "run-2"))["approvers"] == ["rita"]
    assert asked == {}


def test_no_is_green_and_ends_the_rollout(ports, asked):
    decision = decided(ports)
    asks(task := approve_task(decision))
    approval = task.execute_complete(context_of(task), answer("Reject"))
    assert (approval["status"], task.verdict.word) == ("fail", "FAIL")
    (move := move_task(decision, approval)).execute(context_of(move))
    (end,) = r.ended_rollouts(ports.ledger.rows(MODEL))
    assert end.outcome is r.RolloutOutcome.STOPPED
    assert shares(ports)["1"] == 10_000


def test_no_answer_in_time_promotes_nothing_and_a_later_look_asks_again(ports, asked, clock):
    asks(task := approve_task(decided(ports)))
    clock["later"] = timedelta(days=3, minutes=1)
    with pytest.raises(DownstreamTasksSkipped):
        task.execute_complete(context_of(task), {"error": "late", "error_type": "timeout"})
    assert (task.verdict.word, answers(ports)) == ("HOLD", [])
    asks(approve_task(decided(ports, 2)), "run-2")


@pytest.mark.parametrize(("who", "user"), [("rita", "rita"), (None, "ann")])
def test_who_triggered_the_run_or_the_rollout_cannot_approve_and_others_are_asked(
    monkeypatch, asked, who, user
):
    made = world_of(1)
    deploy(made, 2)
    under_way(made, begins=BEGINS, requester="ann")
    monkeypatch.setattr(WindsockHook, "ports", lambda self: made)
    asks(task := approve_task(decided(made)))
    with pytest.raises(TaskAwaitingInput) as waiting:
        task.execute_complete(context_of(task, user=who), answer("Approve", user))
    assert [one["code"] for one in waiting.value.kwargs["refused"]] == ["WS-APPROVAL-004"]
    assert task.verdict.word == "HOLD"
    assert answers(made) == []
    other = {"bob", "rita"} - {user, who}
    approval = task.execute_complete(
        context_of(task, user=who), answer("Approve", other.pop()), **waiting.value.kwargs
    )
    assert approval["status"] == "pass"


def test_an_answer_that_names_nobody_is_refused(ports, asked):
    asks(task := approve_task(decided(ports)))
    with pytest.raises(TaskAwaitingInput) as waiting:
        task.execute_complete(context_of(task), answer("Approve", None))
    assert "names no person" in waiting.value.kwargs["refused"][0]["why"]
    assert answers(ports) == []


def test_a_rollout_that_nobody_is_named_for_needs_two_people(monkeypatch, asked):
    made = world_of(1)
    deploy(made, 2)
    under_way(made, begins=BEGINS, starter_unknown=True)
    monkeypatch.setattr(WindsockHook, "ports", lambda self: made)
    decision = decided(made)
    asks(task := approve_task(decision))
    assert "0 of 2 approvals; one more than usual" in asked["body"]
    with pytest.raises(TaskAwaitingInput) as waiting:
        task.execute_complete(context_of(task), answer("Approve", "eve"))
    move = move_task(decision)
    with pytest.raises(ApprovalRefusedError, match="approval of 2 people"):
        move.execute(context_of(move))
    approval = task.execute_complete(context_of(task), answer("Approve", "bob"), **waiting.value.kwargs)
    assert approval["approvers"] == ["eve", "bob"]


def test_too_few_who_may_answer_ends_the_question_and_a_later_look_may_ask(ports, asked):
    task = approve_task(decided(ports), approvers=["ann"])
    with pytest.raises(ApprovalRefusedError) as refused:
        task.execute(context_of(task, user="ann"))
    assert (refused.value.code, asked) == ("WS-APPROVAL-009", {})
    asks(approve_task(decided(ports, 2)), "run-2")


def test_one_run_waits_for_a_person_while_another_rolls_back(ports, asked):
    first = approve_task(decided(ports, 1))
    asks(first, "run-1")
    harm = decided(ports, 2, "roll_back", reason="conversion is worse")
    second = approve_task(harm)
    with pytest.raises(AirflowSkipException):
        second.execute(context_of(second, "run-2"))
    (move := move_task(harm)).execute(context_of(move, "run-2"))
    assert shares(ports)["1"] == 10_000
    before = actions(ports)
    with pytest.raises(DownstreamTasksSkipped):
        first.execute_complete(context_of(first, "run-1"), answer("Approve"))
    assert "is over" in first.verdict.why
    assert actions(ports) == before
    late = move_task(make_look(1, "promote"))  # even a task that is forced to run
    late.execute(context_of(late, "run-1"))
    assert actions(ports) == before
    assert shares(ports)["1"] == 10_000


def test_an_approval_of_the_registration_is_none_of_the_promotion(ports, asked):
    rows = ports.ledger.rows(MODEL)
    registered = next(row for row in rows if row.version == "2")
    entry = r.LedgerEntry(
        model=MODEL,
        action=r.LedgerAction.APPROVE,
        epoch=0,
        version="2",
        digest=registered.digest,
        actor="rita",
        body={"approver_id": "rita"},
    )
    ports.ledger.append(entry, after_seq=len(rows))
    asks(approve_task(decided(ports)))


def test_the_body_without_a_value_says_so():
    look = make_look(1, "promote", estimate=r.Estimate(metric="conversion"))
    body = rollout_body(ASKS, make_rollout(), look)
    assert "difference no value" in body
    assert "chance that it is better" not in body


def test_of_several_the_body_names_the_one_that_is_promoted_and_what_becomes_of_the_others():
    look = several_look(4, "promote", about=6, looks={5: {"withdrawn": True}})
    body = rollout_body(ASKS, several_rollout(dropped=(5,)), look)
    assert "- new version: 6, bundle `666666666666`" in body
    assert "- share: 10 % of the units" in body
    assert "- units: 70,000 champion, 10,200 new version" in body
    assert "| 4 | tried | 10 % | 10,000 | 0.1 | +0 \\[-0.01, +0.01\\] | hold |" in body
    assert "| 5 | dropped | 10 % | 10,100 |" in body
    assert (
        "Yes promotes version 6 and ends the rollout; version 4 is not tried any more; version 5 was dropped "
        "before and stays held." in body
    )
    assert body.endswith("No ends the rollout: the champion keeps serving and versions 4, 5 and 6 are held.")


def test_where_one_of_several_is_left_the_body_says_that_the_others_were_dropped():
    look = several_look(4, "promote", about=6, looks={5: {"withdrawn": True}, 4: {"withdrawn": True}})
    body = rollout_body(ASKS, several_rollout(dropped=(5, 4)), look)
    told = "ends the rollout; versions 4 and 5 were dropped before and stay held."
    assert told in body


def test_of_one_the_body_has_nothing_of_others():
    body = rollout_body(ASKS, make_rollout(), make_look(1, "promote"))
    assert "Yes promotes" not in body
    assert body.endswith("No ends the rollout: the champion keeps serving and this version is held.")
