from __future__ import annotations

import sys
import traceback
from types import ModuleType

import pytest

from support.builders import (
    digest,
    make_decision,
    make_difference,
    make_evaluation,
    make_snapshot,
    make_spec,
    make_trained,
    make_validation,
)
from support.fakes import FakeExpectations, FakeStepRecords, fake_ports
from support.steps import attested, run_believed
from windsock import records as r
from windsock.exceptions import GateRefusedError, SettingsError
from windsock.ports import Ports, Suite
from windsock.steps import STEPS, keys, run_step
from windsock.steps.run import read_input, step_function


class Counted:
    """A step function that counts its calls and answers with a record."""

    def __init__(self, record: r.Record) -> None:
        self.record, self.calls = record, 0

    def __call__(self, step: r.Record, ports: Ports, key: str, *read: object) -> r.Record:
        self.calls += 1
        return self.record


@pytest.fixture
def step_as(monkeypatch):
    """Put a function in a step's place."""

    def put(name: str, function: Counted) -> Counted:
        module = ModuleType(f"windsock.{STEPS[name].room}.{name}")
        setattr(module, name, function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return function

    return put


def validate_input(**fields):
    return r.ValidateDataInput(**{"spec": make_spec(), "snapshot": make_snapshot(), **fields})


def test_every_step_has_its_function_under_its_own_name():
    for name in STEPS:
        assert step_function(name).__name__ == name


def test_unknown_step_names_the_known_ones():
    with pytest.raises(SettingsError, match="take_snapshot"):
        run_step("bake_cake", {}, fake_ports())


def test_input_that_does_not_fit_names_the_place():
    with pytest.raises(SettingsError, match="spec"):
        run_step("validate_data", {"snapshot": {}}, fake_ports())


def test_first_record_of_a_key_stands(step_as):
    function = step_as("validate_data", Counted(make_validation()))
    ports = fake_ports()
    first = run_believed("validate_data", validate_input(), ports)
    second = run_believed("validate_data", validate_input().model_dump(mode="json"), ports)
    assert (first.unchanged, second.unchanged, function.calls) == (False, True, 1)
    assert first.record == second.record
    assert first.key == second.key


@pytest.mark.parametrize(
    "changed",
    [
        {"snapshot": make_snapshot(digest="9" * 64)},
        {"spec": make_spec(data={"exclude": ["age"]})},
        {"spec": make_spec(data={"accept_changes_until": "2026-12-01"})},
        {"nonce": "run7"},
    ],
)
def test_another_snapshot_spec_or_nonce_is_other_work(step_as, changed):
    function = step_as("validate_data", Counted(make_validation()))
    ports = fake_ports()
    run_believed("validate_data", validate_input(), ports)
    assert not run_believed("validate_data", validate_input(**changed), ports).unchanged
    assert function.calls == 2


@pytest.mark.parametrize(
    "same",
    [
        {"spec": make_spec(model={"owner": "someone.else@company.com"})},
        {"spec": make_spec(training={"schedule": "weekly"})},
        {"spec": make_spec(data={"source": "moved/churn.csv"})},
        {"run": r.RunContext(run_id="another")},
    ],
)
def test_what_a_step_does_not_read_is_no_part_of_its_key(step_as, same):
    step_as("validate_data", Counted(make_validation()))
    ports = fake_ports()
    run_believed("validate_data", validate_input(), ports)
    assert run_believed("validate_data", validate_input(**same), ports).unchanged


def test_another_suite_is_other_work(step_as):
    step_as("validate_data", Counted(make_validation()))
    records = FakeStepRecords()
    run_believed("validate_data", validate_input(), fake_ports(records=records))
    suite = Suite(content={"name": "churn", "expectations": [{"type": "x", "kwargs": {}}]}, origin="file")
    edited = fake_ports(records=records, expectations=FakeExpectations(suite=suite))
    assert not run_believed("validate_data", validate_input(), edited).unchanged


def ports_with(**records):
    """Return ports in which steps have come to these records, under the ordinary spec and in no run."""
    return attested(fake_ports(), **records)


OTHER = make_evaluation(gap=0.987)
UNLIKE = make_validation(snapshot_digest=digest("9"))
GATE_INPUT = {"spec": make_spec(), "validation": make_validation(), "evaluation": make_evaluation()}
REGISTER_INPUT = {"spec": make_spec(), "decision": make_decision(), "evaluation": make_evaluation()}


@pytest.mark.parametrize(
    ("step", "given", "changed", "maker"),
    [
        ("gate_model", GATE_INPUT, {"evaluation": OTHER}, "evaluate_model"),
        ("gate_model", GATE_INPUT, {"validation": UNLIKE}, "validate_data"),
        ("register_model", REGISTER_INPUT, {"decision": make_decision(reason="edited")}, "gate_model"),
        (
            "register_model",
            REGISTER_INPUT,
            {"evaluation": OTHER},
            "evaluate_model",
        ),
    ],
)
def test_a_record_that_no_step_came_to_is_refused(step_as, step, given, changed, maker):
    function = step_as(step, Counted(make_decision()))
    ports = ports_with(
        validate_data=make_validation(), evaluate_model=make_evaluation(), gate_model=make_decision()
    )
    with pytest.raises(GateRefusedError, match=maker) as refusal:
        run_step(step, {**given, **changed}, ports)
    assert (refusal.value.code, function.calls) == ("WS-GATE-013", 0)


@pytest.mark.parametrize("record", ["decision", "evaluation"])
def test_what_an_upgrade_may_have_changed_is_cleared_from_the_snapshot_on(step_as, record):
    step_as("register_model", Counted(make_decision()))
    with pytest.raises(GateRefusedError, match="Windsock was upgraded") as refusal:
        run_step(
            "register_model",
            {**REGISTER_INPUT, record: make_decision(reason="of before") if record == "decision" else OTHER},
            ports_with(evaluate_model=make_evaluation(), gate_model=make_decision()),
        )
    assert "Clear take_snapshot and all that follows it" in refusal.value.next_action


@pytest.mark.parametrize(
    ("step", "anew"),
    [
        ("validate_data", True),
        ("evaluate_model", True),
        ("gate_model", True),
        ("train_model", False),
        ("register_model", False),
    ],
)
def test_verdicts_of_other_rules_are_other_ones_and_what_was_trained_stays(monkeypatch, step, anew):
    before = keys.idempotency_key(step, validate_input(), {})
    monkeypatch.setattr(keys, "RULES", keys.RULES + 1)
    assert (keys.idempotency_key(step, validate_input(), {}) != before) is anew


def test_fields_without_content_are_not_written_so_that_digests_of_before_hold():
    column = r.ColumnSchema(name="x", kind=r.ColumnKind.NUMBER)
    assert not {"freely", "advice", "bare"} & set(column.model_dump(mode="json"))
    assert not {"unanswered", "rarest_class"} & set(make_evaluation().model_dump(mode="json"))
    told = column.replace(freely="category", advice="Write its kind.", bare=3)
    assert r.ColumnSchema.model_validate(told.model_dump(mode="json")) == told


def test_an_error_is_never_kept(step_as):
    broken = make_validation(
        status=r.Status.ERROR, checks=(r.CheckResult(name="x", status=r.Status.ERROR, code="WS-DATA-100"),)
    )
    function = step_as("validate_data", Counted(broken))
    ports = fake_ports()
    run_believed("validate_data", validate_input(), ports)
    run_believed("validate_data", validate_input(), ports)
    assert function.calls == 2


@pytest.mark.parametrize("opponent", ["baseline", "champion"])
def test_an_evaluation_without_a_comparison_is_never_kept(step_as, opponent):
    unmet = make_difference(0, 0, opponent=opponent, value=None, interval=None, error="no answer")
    field = {"baseline": "baseline", "champion": "against_champion"}[opponent]
    function = step_as("evaluate_model", Counted(make_evaluation(**{field: unmet})))
    step = r.EvaluateModelInput(spec=make_spec(), snapshot=make_snapshot(), candidates=(make_trained(),))
    ports = ports_with(train_model=make_trained())
    for _ in range(2):
        assert not run_believed("evaluate_model", step, ports).unchanged
    assert function.calls == 2


def test_a_gate_decision_with_an_error_is_never_kept(step_as):
    error = r.CheckResult(name="latency", status=r.Status.ERROR, code="WS-GATE-005")
    function = step_as("gate_model", Counted(make_decision(outcome=r.Outcome.REFUSE, checks=(error,))))
    ports = ports_with(validate_data=make_validation(), evaluate_model=make_evaluation())
    step = r.GateModelInput(spec=make_spec(), validation=make_validation(), evaluation=make_evaluation())
    run_step("gate_model", step, ports)
    run_step("gate_model", step, ports)
    assert function.calls == 2


def test_an_input_that_does_not_fit_is_refused_without_its_values():
    content = {"spec": make_spec(), "snapshot": {"rows": "Smith, Jane"}}
    with pytest.raises(SettingsError, match="the input of validate_data is not valid at ") as caught:
        read_input("validate_data", content)
    assert "Smith" not in "".join(traceback.format_exception(caught.value))
