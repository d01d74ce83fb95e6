from __future__ import annotations

import logging

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import DownstreamTasksSkipped

from support.builders import make_check, make_decision, make_evaluation, make_spec, make_validation
from support.context import RUN, make_context
from support.steps import attested
from windsock import records as r
from windsock.exceptions import GateRefusedError
from windsock.operators.gate_model import GovernanceGateOperator
from windsock.operators.question import RESPONSE_TIMEOUT
from windsock.operators.register_model import RegisterModelOperator


@pytest.fixture(autouse=True)
def steps_before(ports):
    """The steps before came to the records that are handed over."""
    attested(ports, run=RUN, validate_data=make_validation(), evaluate_model=make_evaluation())


def gate_with_what_follows():
    with DAG(dag_id="d", schedule=None):
        gate = GovernanceGateOperator(
            task_id="gate_model",
            spec=make_spec(),
            validation=make_validation().model_dump(mode="json"),
            evaluation=make_evaluation().model_dump(mode="json"),
        )
        gate >> RegisterModelOperator(task_id="register_model", spec=make_spec(), decision={}, evaluation={})
    return gate


def test_promote_goes_on(ports, step_answers):
    step_answers("gate_model", make_decision())
    gate = gate_with_what_follows()
    assert gate.execute(make_context(gate))["outcome"] == "promote"


def test_who_must_approve_where_and_until_when(ports, step_answers):
    asked = make_decision(asks=("leak_suspects",), requested_by="sam")
    step_answers("gate_model", asked)
    gate = gate_with_what_follows()
    gate.approvers = ("kim", "lee")
    gate.execute(make_context(gate))
    said = gate.verdict.next_action
    assert said.startswith("a person (kim, lee), other than sam must approve it in Airflow under Required")
    assert "approve_model" in said
    assert f"until about {ports.now() + RESPONSE_TIMEOUT:%Y-%m-%d}" in said


def test_keep_is_green_and_skips_the_rest(ports, step_answers):
    step_answers("gate_model", make_decision(outcome=r.Outcome.KEEP))
    gate = gate_with_what_follows()
    context = make_context(gate)
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        gate.execute(context)
    assert skipped.value.tasks == ["register_model"]
    assert context["ti"].pushed["return_value"]["outcome"] == "keep"
    assert gate.verdict.word == "KEEP"


def test_dry_run_stops_after_the_gate(ports, step_answers):
    step_answers("gate_model", make_decision())
    gate = gate_with_what_follows()
    with pytest.raises(DownstreamTasksSkipped):
        gate.execute(make_context(gate, dry_run=True))
    assert gate.verdict.word == "DRY RUN"
    assert "nothing was registered" in gate.verdict.next_action


def test_refuse_is_red_and_its_decision_is_kept(ports, step_answers):
    step_answers("gate_model", make_decision(outcome=r.Outcome.REFUSE, reason="latency 12 > 10 ms"))
    gate = gate_with_what_follows()
    context = make_context(gate, dry_run=True)
    with pytest.raises(GateRefusedError, match="latency 12 > 10 ms"):
        gate.execute(context)
    assert context["ti"].pushed["return_value"]["outcome"] == "refuse"


def test_table_shows_what_failed_first(ports, step_answers, caplog):
    checks = (make_check("fine"), make_check("bad", r.Status.FAIL, value=12.0, limit=10.0, relation="<="))
    step_answers("gate_model", make_decision(outcome=r.Outcome.REFUSE, checks=checks))
    gate = gate_with_what_follows()
    with caplog.at_level(logging.INFO, logger="windsock.task"), pytest.raises(GateRefusedError):
        gate.execute(make_context(gate))
    rows = [
        record.getMessage() for record in caplog.records if record.getMessage().startswith(("fail", "pass"))
    ]
    assert "bad" in rows[0]
    assert rows[0].endswith(": 12, limit: at most 10")
    assert "fine" in rows[1]
