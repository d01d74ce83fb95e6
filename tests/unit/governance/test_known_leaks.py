from __future__ import annotations

import pytest

from support.builders import make_evaluation, make_spec, make_validation
from support.fakes import fake_ports
from windsock.governance.checks import required_checks
from windsock.governance.gate_model import gate_model
from windsock.governance.known_leaks import known_leaks
from windsock.governance.register_model import register_model
from windsock.records import GateModelInput, Outcome, RegisterModelInput, RunContext, Status
from windsock.spec.leak_suspects import LeakSuspect
from windsock.steps.run import StepResult
from windsock.steps.verdicts import verdict_of

LEAK = LeakSuspect(
    column="refund", kind="absence", measure="auc", strength=0.96, next_best=0.7, rows=900, filled=419
)


def judged(ports, validation, **blocks):
    step = GateModelInput(
        spec=make_spec(**blocks), validation=validation, evaluation=make_evaluation(), run=RunContext()
    )
    return gate_model(step, ports, "key")


@pytest.mark.parametrize("policy", ["refuse", "ask"])
def test_a_person_is_asked_whatever_the_policy(policy):
    ports = fake_ports()
    spec = {"gate": {"on_insufficient": policy}}
    decision = judged(ports, make_validation(suspects=(LEAK,)), **spec)
    assert (decision.outcome, decision.asks) == (Outcome.PROMOTE, ("leak_suspects",))
    check = next(check for check in decision.checks if check.name == "leak_suspects")
    assert (check.status, check.code, check.value) == (Status.INSUFFICIENT, "WS-GATE-018", 1)
    assert "refund: AUC 0.960 by having a value or none (419 of 900 rows have a value" in check.message
    assert "`data.known_leaks_checked`" in check.message
    step = RegisterModelInput(
        spec=make_spec(**spec), decision=decision, evaluation=make_evaluation(), run=RunContext()
    )
    assert register_model(step, ports, "key").asks == ("leak_suspects",)


def test_what_fails_otherwise_is_refused_all_the_same():
    decision = judged(fake_ports(), make_validation(suspects=(LEAK,)), gate={"minimum": {"roc_auc": 0.99}})
    assert decision.outcome is Outcome.REFUSE


def test_it_is_asked_for_where_something_is_suspected_or_the_spec_names_it():
    assert "leak_suspects" not in judged(fake_ports(), make_validation()).required
    assert "leak_suspects" in required_checks(make_spec(), first_model=True, suspects=True)
    named = make_spec(gate={"checks": ["leak_suspects"]})
    assert "leak_suspects" in required_checks(named, first_model=True)
    assert known_leaks(()).status is Status.PASS


def test_the_log_says_what_to_write():
    validation = make_validation(suspects=(LEAK,))
    for record in (validation, judged(fake_ports(), validation)):
        verdict = verdict_of(StepResult(step="s", record=record, key="k", unchanged=False))
        assert "WS-GATE-018" in verdict.why
        assert "`data.exclude`" in verdict.next_action
        assert "`data.known_leaks_checked`" in verdict.next_action
    assert verdict.next_action.startswith("a person must approve it")
    assert "Required Actions" in verdict.next_action
    assert "nothing to do" not in verdict.next_action
