from __future__ import annotations

import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import DownstreamTasksSkipped

from support.builders import NOON, make_check, make_decision, make_difference, make_evaluation, make_spec
from support.context import make_context
from support.monitoring_records import (
    WINDOW,
    make_claim,
    make_column,
    make_drift,
    make_end,
    make_performance,
    make_retrain_decision,
)
from windsock import records as r
from windsock.exceptions import ApprovalRefusedError, MonitoringError
from windsock.operators.assets import drift_asset, retrain_asset, sometimes
from windsock.operators.check_drift import CheckDriftOperator
from windsock.operators.check_performance import CheckPerformanceOperator
from windsock.operators.claim_retrain import (
    ClaimRetrainOperator,
    CloseRetrainOperator,
    announced_by,
    retrain_outcome,
    serves_since_before,
)
from windsock.operators.decide_retrain import DecideRetrainOperator
from windsock.spec import digest_of

SPAN = WINDOW.model_dump(mode="json")


class Events:
    """Airflow's ``outlet_events``."""

    def __init__(self):
        self.added = []

    def __getitem__(self, alias):
        return SimpleNamespace(add=lambda asset, extra: self.added.append((alias.name, asset.uri, extra)))


def with_events(task):
    context = make_context(task)
    context["outlet_events"] = Events()
    return context


def drift_task(**fields):
    return CheckDriftOperator(task_id="check_drift", spec=make_spec(), window=SPAN, **fields)


class TestCheckDrift:
    def test_drift_is_green_and_its_verdict_says_fail(self, ports, step_answers):
        seen = step_answers("check_drift", make_drift(status=r.Status.FAIL, reason="2 of 2 columns drifted"))
        task = drift_task()
        assert task.execute(make_context(task))["status"] == "fail"
        assert task.verdict.word == "FAIL"
        assert task.verdict.why == "2 of 2 columns drifted"
        assert seen[0].window == WINDOW

    def test_too_few_rows_hold(self, ports, step_answers):
        step_answers("check_drift", make_drift(status=r.Status.INSUFFICIENT, reason="40 rows < 115"))
        task = drift_task()
        task.execute(make_context(task))
        assert task.verdict.word == "HOLD"

    def test_a_window_that_cannot_be_judged_is_red_and_kept(self, ports, step_answers):
        step_answers("check_drift", make_drift(status=r.Status.ERROR, reason="spend cannot be counted"))
        task = drift_task()
        context = make_context(task)
        with pytest.raises(MonitoringError, match="spend cannot be counted"):
            task.execute(context)
        assert context["ti"].pushed["return_value"]["status"] == "error"

    def test_the_table_shows_the_worst_first_and_not_all(self, ports, step_answers, caplog):
        columns = [make_column(f"fine_{number}", effect=0.001) for number in range(40)]
        columns.append(make_column("bad", r.Status.FAIL, effect=0.4, findings=("unseen",)))
        step_answers("check_drift", make_drift(columns=tuple(columns), findings=("one was odd",)))
        task = drift_task()
        with caplog.at_level(logging.INFO, logger="windsock.task"):
            task.execute(make_context(task))
        lines = [record.getMessage() for record in caplog.records]
        start = lines.index("Drift, the worst first")
        assert lines[start + 1].split()[:3] == ["column", "status", "rows"]
        assert lines[start + 2].split() == ["bad", "fail", "1,000", "0.4", "0.05", "0.4", "-", "unseen"]
        fine = ", ".join(f"fine_{number}" for number in range(25))
        assert f"without drift: {fine} and 15 more" in lines
        assert "finding: one was odd" in lines

    def test_verdicts_are_told_to_who_waits_for_them(self, ports, step_answers):
        step_answers("check_drift", make_drift(status=r.Status.FAIL, severity=r.Severity.HIGH))
        task = drift_task(outlets=[sometimes(drift_asset("churn"))])
        context = with_events(task)
        task.execute(context)
        ((alias, uri, extra),) = context["outlet_events"].added
        assert alias == uri == "x-windsock://churn/drift"
        assert (extra["status"], extra["severity"]) == ("fail", "high")

    def test_without_an_outlet_nothing_is_emitted(self, ports, step_answers):
        step_answers("check_drift", make_drift())
        task = drift_task()
        context = with_events(task)
        task.execute(context)
        assert context["outlet_events"].added == []


def test_a_loss_is_green_and_its_reason_is_said_once(ports, step_answers):
    check = r.CheckResult(
        name="realised_drop:roc_auc", status="fail", code="WS-MONITORING-031", value=0.7, limit=0.79, n=800
    )
    step_answers("check_performance", make_performance(status=r.Status.FAIL, checks=(check,)))
    task = CheckPerformanceOperator(task_id="check_performance", spec=make_spec(), window=SPAN)
    task.execute(make_context(task))
    assert task.verdict.word == "FAIL"
    assert task.verdict.why == "roc_auc 0.84 on 800 labelled rows"


def test_a_loss_without_a_reason_says_the_number_and_its_limit(ports, step_answers):
    check = make_check("drop", r.Status.FAIL, value=0.1, limit=0.05, relation="<=", n=800)
    step_answers("check_performance", make_performance(status=r.Status.FAIL, reason="", checks=(check,)))
    task = CheckPerformanceOperator(task_id="check_performance", spec=make_spec(), window=SPAN)
    task.execute(make_context(task))
    assert task.verdict.why == "WS-DATA-100 drop: 0.1, limit: at most 0.05, n=800: fail"


class TestDecideRetrain:
    def decided(self, step_answers, order, **fields):
        step_answers("decide_retrain", make_retrain_decision(order, **fields))
        task = DecideRetrainOperator(
            task_id="decide_retrain", spec=make_spec(), outlets=[sometimes(retrain_asset("churn"))]
        )
        context = with_events(task)
        task.execute(context)
        return task, context["outlet_events"].added

    def test_what_is_granted_is_announced_with_its_episode(self, ports, step_answers):
        task, ((_, uri, extra),) = self.decided(step_answers, r.RetrainOrder.GRANT)
        assert uri == "x-windsock://churn/retrain"
        assert extra["episode"] == "bbbbbbbbbbbb-20260502T120000"
        assert task.verdict.word == "PASS"

    @pytest.mark.parametrize(
        ("order", "word"), [(r.RetrainOrder.WAIT, "PASS"), (r.RetrainOrder.HOLD, "HOLD")]
    )
    def test_nothing_else_is(self, ports, step_answers, order, word):
        task, events = self.decided(step_answers, order)
        assert events == []
        assert task.verdict.word == word

    def test_the_breaker_says_what_a_person_must_do(self, ports, step_answers):
        task, _ = self.decided(step_answers, r.RetrainOrder.HOLD, breaker=True)
        assert "windsock monitor churn --reset" in task.verdict.next_action


def claiming(step_answers, **fields):
    step_answers("claim_retrain", make_claim(**fields))
    with DAG(dag_id="d", schedule=None):
        claim = ClaimRetrainOperator(task_id="claim_retrain", spec=make_spec())
        claim >> BaseOperator(task_id="take_snapshot")
    return claim


class TestClaimRetrain:
    def test_a_granted_claim_goes_on_with_its_recent_stretch(self, ports, step_answers):
        claim = claiming(step_answers)
        context = make_context(claim)
        assert claim.execute(context)["granted"] is True
        assert context["ti"].pushed["recent"] == SPAN
        assert context["ti"].pushed["onset"] == ""

    def test_its_onset_is_pushed_apart(self, ports, step_answers):
        claim = claiming(step_answers, onset="2026-04-20T00:00:00Z")
        context = make_context(claim)
        claim.execute(context)
        assert context["ti"].pushed["onset"] == "2026-04-20T00:00:00Z"

    def test_a_refused_one_skips_the_rest(self, ports, step_answers):
        claim = claiming(step_answers, granted=False, reason="another run has the model", recent=None)
        context = make_context(claim)
        with pytest.raises(DownstreamTasksSkipped) as skipped:
            claim.execute(context)
        assert skipped.value.tasks == ["take_snapshot"]
        assert context["ti"].pushed["return_value"]["granted"] is False
        assert claim.verdict.word == "HOLD"

    def test_the_episode_is_that_of_the_last_event(self):
        first = SimpleNamespace(timestamp=NOON, extra={"episode": "one"})
        last = SimpleNamespace(timestamp=NOON + timedelta(seconds=1), extra={"episode": "two"})
        outside = SimpleNamespace(timestamp=NOON + timedelta(seconds=2), extra={"event_id": "alert-7"})
        assert announced_by({"asset": [last, first]}) == {"episode_key": "two"}
        assert announced_by({"asset": [last, outside]}) == {"episode_key": "two"}
        assert announced_by({}) == {}

    @pytest.mark.parametrize(
        ("extra", "event_id"),
        [
            ({"from_rest_api": True, "event_id": "alert-7"}, "alert-7"),
            ({"from_trigger": True, "payload": {"event_id": "drop-3"}}, "drop-3"),
            ({"from_trigger": True, "payload": {"file": "a.csv"}}, digest_of({"file": "a.csv"})),
            ({}, "20260501T120000.000000"),
        ],
    )
    def test_an_outside_event_asks_by_an_id_of_its_own(self, extra, event_id):
        outside = SimpleNamespace(timestamp=NOON, extra=extra)
        assert announced_by({"asset": [outside]}) == {"event_id": event_id}


@pytest.mark.parametrize(
    ("promotion", "decision", "outcome"),
    [
        ({"version": "2"}, {"outcome": "promote"}, r.RetrainOutcome.PROMOTED),
        ({"version": "2", "waiting": False}, {"outcome": "promote"}, r.RetrainOutcome.PROMOTED),
        ({"version": "2", "waiting": True}, {"outcome": "promote"}, r.RetrainOutcome.QUEUED),
        ({"version": "2", "unchanged": True}, {"outcome": "promote"}, r.RetrainOutcome.PROMOTED),
        ({"version": "2", "unchanged": True, "held": True}, {"outcome": "promote"}, r.RetrainOutcome.KEPT),
        (None, {"outcome": "keep"}, r.RetrainOutcome.KEPT),
        (None, {"outcome": "refuse"}, r.RetrainOutcome.REFUSED),
        (None, {"outcome": "promote"}, r.RetrainOutcome.FAILED),
        (None, None, r.RetrainOutcome.FAILED),
    ],
)
def test_what_a_retrain_came_to(promotion, decision, outcome):
    assert retrain_outcome(promotion, decision) is outcome


@pytest.mark.parametrize(
    ("unchanged", "after", "is_old"), [(True, -1, True), (True, 1, False), (False, -1, False)]
)
def test_a_version_that_served_before_its_retrain_is_no_promotion(unchanged, after, is_old):
    promotion = r.Promotion(
        model="churn",
        version="2",
        digest="a" * 64,
        epoch=4,
        unchanged=unchanged,
        committed_at=make_claim().claimed_at + timedelta(hours=after),
    )
    claim = make_claim().model_dump(mode="json")
    assert serves_since_before(promotion.model_dump(mode="json"), claim) is is_old


@pytest.mark.parametrize(
    ("version", "approvals", "outcome"),
    [
        ({"version": "2"}, [{"status": "pass"}, {"status": "fail"}], r.RetrainOutcome.REFUSED),
        ({"version": "2"}, [{"status": "pass"}, None], r.RetrainOutcome.REFUSED),
        ({"version": "2"}, [{"status": "pass"}, {"status": "pass"}], r.RetrainOutcome.FAILED),
        ({"version": "2"}, [{"status": "insufficient"}, {"status": "pass"}], r.RetrainOutcome.FAILED),
        ({"version": "2"}, [{"status": "insufficient"}, None], r.RetrainOutcome.REFUSED),
        (None, [None, None], r.RetrainOutcome.FAILED),
    ],
)
def test_a_no_of_a_person_refuses_and_no_answer_means_no(version, approvals, outcome):
    assert retrain_outcome(None, {"outcome": "promote"}, version, approvals) is outcome


def test_a_claim_is_given_back_with_the_outcome(ports, step_answers):
    seen = step_answers("close_retrain", make_end(r.RetrainOutcome.KEPT))
    task = CloseRetrainOperator(
        task_id="close_retrain", spec=make_spec(), claim=make_claim().model_dump(mode="json")
    )
    context = make_context(task)
    left = {"gate_model": make_decision(outcome=r.Outcome.KEEP).model_dump(mode="json")}
    context["ti"].xcom_pull = lambda *, task_ids, key: left.get(task_ids)
    task.execute(context)
    assert seen[0].outcome is r.RetrainOutcome.KEPT
    assert seen[0].claim == make_claim()
    assert seen[0].against is None


@pytest.mark.parametrize(
    ("outcome", "handed"), [(r.Outcome.KEEP, True), (r.Outcome.REFUSE, True), (r.Outcome.PROMOTE, False)]
)
def test_the_gate_s_own_no_goes_with_the_difference_that_it_is_about(ports, step_answers, outcome, handed):
    seen = step_answers("close_retrain", make_end())
    task = CloseRetrainOperator(
        task_id="close_retrain", spec=make_spec(), claim=make_claim().model_dump(mode="json")
    )
    context = make_context(task)
    difference = make_difference(-0.1, 0.3, opponent="champion")
    left = {
        "gate_model": make_decision(outcome=outcome).model_dump(mode="json"),
        "evaluate_model": make_evaluation(against_champion=difference).model_dump(mode="json"),
    }
    context["ti"].xcom_pull = lambda *, task_ids, key: left.get(task_ids)
    task.execute(context)
    assert seen[0].against == (difference if handed else None)


def test_a_retrain_that_waits_for_rows_says_until_when(ports, step_answers):
    waits = r.RowsNeeded(rows=120, needed=250, expected_at=NOON)
    told = decide(step_answers, r.RetrainOrder.WAIT, waits_for=waits)
    assert told.word == "HOLD"
    assert "120 of 250 are there" in told.next_action
    assert "2026-05-01 12:00 UTC" in told.next_action
    never = decide(step_answers, r.RetrainOrder.WAIT, waits_for=waits.replace(expected_at=None))
    assert "send labels" in never.next_action


def decide(step_answers, order, **fields):
    step_answers("decide_retrain", make_retrain_decision(order, **fields))
    task = DecideRetrainOperator(task_id="decide_retrain", spec=make_spec(), outlets=[])
    task.execute(make_context(task))
    return task.verdict


def test_too_few_rows_are_said_to_be_tried_again(ports, step_answers):
    step_answers("close_retrain", make_end(r.RetrainOutcome.TOO_FEW))
    task = CloseRetrainOperator(
        task_id="close_retrain", spec=make_spec(), claim=make_claim().model_dump(mode="json")
    )
    context = make_context(task)
    context["ti"].xcom_pull = lambda *, task_ids, key: None
    task.execute(context)
    assert "twice as many" in task.verdict.next_action
    assert "the breaker does not count it" in task.verdict.why


@pytest.mark.parametrize(("left", "waiting"), [(None, 0), (0, 0), (40, 40)])
def test_the_decision_knows_how_many_windows_are_left_to_later_runs(ports, left, waiting):
    task = DecideRetrainOperator(task_id="decide_retrain", spec=make_spec(), outlets=[])
    context = make_context(task)
    context["ti"].others[("wait_for_window", "waiting")] = left
    assert task.step_input(context) == {"waiting": waiting}


# --- what the first task looks at


@pytest.mark.parametrize(
    ("tier", "listed", "red"),
    [
        ("high", ("rita", "bob"), False),
        ("high", ("ann", "rita"), True),
        ("high", ("rita", "RITA"), True),
        ("medium", ("ann",), True),
        ("low", ("ann",), False),
    ],
)
def test_too_few_approvers_are_told_before_anything_is_trained(ports, step_answers, tier, listed, red):
    seen = step_answers("claim_retrain", make_claim())
    spec = make_spec(model={"tier": tier})
    task = ClaimRetrainOperator(task_id="claim_retrain", spec=spec, approvers=listed)
    if not red:
        task.execute(make_context(task, user="ann"))
        return
    with pytest.raises(ApprovalRefusedError) as refused:
        task.execute(make_context(task, user="ann"))
    assert refused.value.code == "WS-APPROVAL-009"
    assert f"approvers.{tier}" in refused.value.next_action
    assert (seen, task.verdict.word) == ([], "FAIL")
    task.execute(make_context(task, user="ann", dry_run=True))
    assert seen[0].dry_run is True


def test_what_the_installation_lacks_is_a_warning_and_in_the_block(ports, step_answers, caplog):
    step_answers("claim_retrain", make_claim(findings=("no server answers",)))
    task = ClaimRetrainOperator(task_id="claim_retrain", spec=make_spec())
    with caplog.at_level("WARNING", logger="windsock.task"):
        task.execute(make_context(task))
    assert "finding: no server answers" in caplog.text
    assert (task.verdict.word, "no server answers" in task.verdict.why) == ("PASS", True)
    assert "put right what WHY names" in task.verdict.next_action
