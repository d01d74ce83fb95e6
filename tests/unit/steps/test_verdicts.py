from __future__ import annotations

import pytest

from support.builders import (
    NOON,
    digest,
    make_check,
    make_decision,
    make_difference,
    make_evaluation,
    make_snapshot,
    make_trained,
    make_validation,
    make_version,
)
from support.monitoring_records import (
    make_claim,
    make_drift,
    make_end,
    make_performance,
    make_retrain_decision,
)
from support.rollouts import make_look, make_rollout
from windsock import records as r
from windsock.exceptions import (
    ApprovalRefusedError,
    DataRefusedError,
    GateRefusedError,
    ServerUnavailableError,
    TransportError,
    VerdictError,
)
from windsock.steps import STEPS, StepResult, limit_text, refusal_of, verdict_of, verdict_of_error
from windsock.steps.verdicts import DESCRIBE


def result(record: r.Record, *, unchanged: bool = False) -> StepResult:
    return StepResult(step="x", record=record, key="", unchanged=unchanged)


def promotion(**fields) -> r.Promotion:
    made = {"model": "churn", "version": "2", "digest": digest(), "epoch": 3, "committed_at": NOON}
    return r.Promotion(**{**made, **fields})


RECORDS = [
    make_snapshot(),
    make_validation(),
    make_trained(),
    make_evaluation(),
    make_decision(),
    make_version(),
    r.Approval(model="churn", version="1", digest=digest(), status=r.Status.PASS, needed=0),
    r.Deployment(
        model="churn", version="1", digest=digest(), epoch=1, share=0, target="local", deployed_at=NOON
    ),
    promotion(),
    r.RollBack(
        model="churn", version="1", digest=digest(), epoch=4, rolled_back_version="2", committed_at=NOON
    ),
    r.HousekeepingReport(),
    r.WatchReport(),
    make_drift(),
    make_performance(),
    make_retrain_decision(),
    make_claim(),
    make_end(),
    r.RolloutState(model="churn", rollout=make_rollout()),
    make_look(action="advance"),
    r.TrafficShift(
        model="churn", experiment="v2-e4", version="2", step=1, share=2500, epoch=5, shifted_at=NOON
    ),
]


def test_every_record_that_a_step_returns_has_words():
    assert {step.output for step in STEPS.values()} == set(DESCRIBE) == {type(record) for record in RECORDS}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_four_lines_in_order_one_line_each(record):
    lines = verdict_of(result(record)).lines()
    assert [line.split(":")[0] for line in lines] == ["VERDICT", "WHY", "NEXT", "IDS"]
    assert not any("\n" in line for line in lines)
    assert verdict_of(result(record)).word == "PASS"
    assert verdict_of(result(record, unchanged=True)).word == "UNCHANGED"


def test_failed_validation_says_the_number_and_the_limit():
    check = make_check("row_count", r.Status.FAIL, value=3.0, limit=50.0, relation=">=", n=3)
    record = make_validation(status=r.Status.FAIL, checks=(make_check(), check))
    verdict = verdict_of(result(record))
    assert verdict.word == "FAIL"
    assert "row_count" in verdict.why
    assert "3 >= 50" in verdict.why
    assert isinstance(refusal_of(result(record)), DataRefusedError)


def test_many_failures_are_counted_not_listed():
    checks = tuple(make_check(f"check{number}", r.Status.FAIL) for number in range(8))
    why = verdict_of(result(make_validation(status=r.Status.FAIL, checks=checks))).why
    assert "and 5 more" in why


@pytest.mark.parametrize(
    ("outcome", "word", "refused"),
    [
        (r.Outcome.PROMOTE, "PASS", None),
        (r.Outcome.KEEP, "KEEP", None),
        (r.Outcome.REFUSE, "FAIL", GateRefusedError),
    ],
)
def test_gate_outcomes(outcome, word, refused):
    given = result(make_decision(outcome=outcome))
    assert verdict_of(given).word == word
    refusal = refusal_of(given)
    assert (refusal is None) if refused is None else isinstance(refusal, refused)


def test_a_refusal_stays_a_refusal_when_nothing_has_changed():
    assert verdict_of(result(make_decision(outcome=r.Outcome.REFUSE), unchanged=True)).word == "FAIL"


def test_rejected_approval_is_refused_and_a_waiting_one_holds():
    fields = {"model": "churn", "version": "1", "digest": digest(), "needed": 1}
    rejected = r.Approval(status=r.Status.FAIL, **fields)
    waiting = r.Approval(status=r.Status.INSUFFICIENT, **fields)
    assert isinstance(refusal_of(result(rejected)), ApprovalRefusedError)
    assert verdict_of(result(waiting)).word == "HOLD"
    assert refusal_of(result(waiting)) is None


def test_housekeeping_that_could_not_do_something_is_red():
    assert isinstance(
        refusal_of(result(r.HousekeepingReport(faults=("MLflow does not answer",)))), VerdictError
    )
    assert isinstance(refusal_of(result(r.HousekeepingReport(broken_ledgers=("churn",)))), VerdictError)


def test_a_rollout_that_nobody_looks_at_is_red_and_says_what_to_do():
    report = r.HousekeepingReport(unattended=("WS-HOUSEKEEPING-004: rollout v4-e17 of churn",))
    verdict = verdict_of(result(report))
    assert (verdict.word, verdict.why) == ("FAIL", report.unattended[0])
    assert verdict.next_action.startswith("switch NAME__ab_rollout on")
    assert "ledger" not in verdict.next_action
    assert isinstance(refusal_of(result(report)), VerdictError)
    both = verdict_of(result(report.model_copy(update={"broken_ledgers": ("churn",)})))
    assert "windsock ledger NAME" in both.next_action
    assert "windsock rollout stop NAME" in both.next_action


def test_comparison_with_the_champion_is_told():
    champion = r.Champion(model="churn", version="4", digest=digest("c"), bundle_uri="memory://c", epoch=7)
    against = make_difference(0.01, 0.03, opponent="champion")
    why = verdict_of(result(make_evaluation(champion=champion, against_champion=against))).why
    assert "champion 4: +0.0200" in why


def test_unmirrored_alias_is_told():
    verdict = verdict_of(result(promotion(alias_mirrored=False)))
    assert "alias" in verdict.why
    assert "housekeeping" in verdict.next_action


def test_known_error_tells_its_code_and_next_action():
    verdict = verdict_of_error(ServerUnavailableError("http://127.0.0.1:8181 does not answer"))
    assert verdict.word == "ERROR"
    assert "WS-SERVING-001" in verdict.why
    assert "windsock serve" in verdict.next_action


def test_unknown_error_does_not_repeat_its_text():
    verdict = verdict_of_error(KeyError("a value of the data"))
    assert "a value of the data" not in " ".join(verdict.lines())
    assert "KeyError" in verdict.why


def test_limit_text_without_a_value_says_why():
    assert limit_text(make_check(status=r.Status.ERROR, message="no probabilities")) == "no probabilities"


@pytest.mark.parametrize("field", ["baseline", "against_champion"])
def test_an_evaluation_without_a_comparison_says_why_and_does_not_say_pass(field):
    opponent = "champion" if field == "against_champion" else "baseline"
    unmet = make_difference(0, 0, opponent=opponent, value=None, interval=None, error="it cannot answer")
    verdict = verdict_of(result(make_evaluation(**{field: unmet})))
    assert verdict.word == "HOLD"
    assert verdict.why.startswith(f"no comparison with the {opponent}: it cannot answer")


def test_a_champion_that_cannot_answer_names_both_ways_out():
    check = make_check("champion_comparison", r.Status.ERROR, code="WS-GATE-012")
    given = result(make_decision(outcome=r.Outcome.REFUSE, checks=(check,)))
    assert "do what WHY says of the column" in verdict_of(given).next_action
    assert "on_insufficient: ask" in refusal_of(given).next_action


def test_housekeeping_is_tried_again_where_only_systems_were_away():
    away = r.HousekeepingReport(faults=("alias: x", "runs: y"), away=("WS-TRACKING-001", "WS-DATABASE-001"))
    refusal = refusal_of(result(away))
    assert isinstance(refusal, TransportError)
    assert "MLflow and the control database" in refusal.next_action
    assert verdict_of(result(away)).word == "ERROR"


@pytest.mark.parametrize(
    "worse",
    [
        {"broken_ledgers": ("churn",)},
        {"faults": ("alias: x", "unexpected KeyError")},
        {"unattended": ("WS-HOUSEKEEPING-004: rollout v4-e17 of churn",)},
    ],
)
def test_housekeeping_with_another_fault_is_not_tried_again(worse):
    report = r.HousekeepingReport(**{"faults": ("alias: x",), "away": ("WS-TRACKING-001",), **worse})
    assert isinstance(refusal_of(result(report)), VerdictError)


def test_recent_rows_are_named_where_there_are_any():
    mixed = make_snapshot(recent_rows=300)
    assert verdict_of(result(mixed)).why == (
        "1,000 rows, 300 of them recent, and 3 columns from file: churn.csv"
    )
    assert verdict_of(result(make_snapshot())).why == "1,000 rows and 3 columns from file: churn.csv"
    recent, plain = make_evaluation(recent_held_out=57), make_evaluation()
    assert "logistic_regression on 57 recent held-out rows: roc_auc" in verdict_of(result(recent)).why
    assert "logistic_regression held out: roc_auc" in verdict_of(result(plain)).why


def test_what_the_contract_says_no_to_comes_first_and_in_words():
    held = make_check(
        "contract_kind:age", r.Status.FAIL, code="WS-DATA-141", value=0.5, limit=0.05, message="age is whole"
    )
    checks = (make_check("rows", r.Status.FAIL, value=1, limit=50, relation=">="), held)
    report = make_validation(status=r.Status.FAIL, checks=checks)
    why = verdict_of(StepResult(step="validate_data", record=report, key="", unchanged=False)).why
    assert why == "WS-DATA-141 contract_kind:age: age is whole; WS-DATA-100 rows: fail, 1 >= 50"


def test_a_version_that_only_beats_a_broken_champion_is_no_recovery():
    told = verdict_of(result(promotion(previous_version="1", better_than_broken=NOON)))
    assert told.why.startswith("version 2 serves instead of version 1, epoch 3; better than broken: ")
    assert "performance has been lost since 2026-05-01 12:00 UTC, and this is no recovery" in told.why
    assert "`windsock monitor churn`" in told.next_action
