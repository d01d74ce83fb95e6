from __future__ import annotations

import pytest

from support.builders import make_spec
from support.fake_airflow import FakeAirflow
from windsock.records import DagFacts, Severity
from windsock.watchdog.loop_dags import (
    INSTALLATION_DAGS,
    Waiting,
    dag_conditions,
    installation_dag_condition,
    loop_dags,
)

SPEC = make_spec(rollout={"strategy": "canary"})
NOTHING = Waiting({}, serves=True)
EPISODE = Waiting({"drift_retrain": "Episode one asks for a retrain (drift)"}, serves=True)


def facts(airflow, spec=SPEC):
    return {one.dag_id: airflow.dag(one.dag_id) for one in loop_dags(spec)}


def firing(waiting=NOTHING, spec=SPEC, **wrong):
    found = dag_conditions(spec, facts(FakeAirflow(**wrong), spec), waiting)
    return {one.key: one for one in found if one.active}


def test_the_dags_are_those_that_the_factory_makes():
    assert [one.suffix for one in loop_dags(SPEC)] == [
        "daily_retrain",
        "rollback",
        "monitor",
        "drift_retrain",
        "ab_rollout",
    ]
    quiet = make_spec(monitoring={"data_drift": False, "performance_tracking": False})
    assert [one.suffix for one in loop_dags(quiet)] == ["daily_retrain", "rollback"]


def test_nothing_is_wrong_where_every_dag_is_on():
    assert firing() == {}


def test_a_retrain_that_is_asked_for_and_switched_off_is_critical():
    (one,) = firing(EPISODE, off=["churn__drift_retrain"]).values()
    assert (one.key, one.severity, one.code) == (
        "watch:blocked:drift_retrain",
        Severity.CRITICAL,
        "WS-WATCH-010",
    )
    assert one.text.startswith(
        "Episode one asks for a retrain (drift), and churn__drift_retrain is switched off"
    )
    assert "`windsock models on churn`" in one.next_action


def test_dags_that_are_off_with_nothing_to_do_are_named_together():
    (one,) = firing(off=["churn__daily_retrain", "churn__monitor"]).values()
    assert (one.key, one.severity) == ("watch:dags-off", Severity.MEDIUM)
    assert "churn__daily_retrain (no retrain on schedule); churn__monitor (no window is judged)" in one.text


@pytest.mark.parametrize("serves", [True, False])
def test_a_schedule_that_is_off_is_low(serves):
    (one,) = firing(Waiting({}, serves), off=["churn__daily_retrain"]).values()
    assert one.severity is Severity.LOW


def test_what_does_not_serve_yet_is_not_waited_for():
    (one,) = firing(Waiting({}, serves=False), off=["churn__monitor", "churn__rollback"]).values()
    assert one.severity is Severity.LOW


def test_a_missing_dag_is_critical_where_something_waits_for_it():
    (one,) = firing(missing=["churn__rollback"]).values()
    assert (one.code, one.severity) == ("WS-WATCH-012", Severity.HIGH)
    (one,) = firing(EPISODE, missing=["churn__drift_retrain"]).values()
    assert one.severity is Severity.CRITICAL


def test_runs_that_fail_one_after_the_other():
    assert firing(failing={"churn__monitor": ("failed", "success")}) == {}
    assert firing(failing={"churn__monitor": ("success", "failed", "failed")}) == {}
    (one,) = firing(failing={"churn__monitor": ("failed", "failed", "success")}).values()
    assert (one.code, one.severity) == ("WS-WATCH-013", Severity.HIGH)
    assert "limit: fewer than 2: churn__monitor: 2 (" in one.text
    (one,) = firing(failing={"churn__daily_retrain": ("failed",) * 3}).values()
    assert one.severity is Severity.MEDIUM


def test_what_could_not_be_asked_neither_begins_nor_ends_a_finding():
    known = facts(FakeAirflow(off=["churn__daily_retrain", "churn__drift_retrain"]))
    known["churn__monitor"] = DagFacts(dag_id="churn__monitor", unknown="WS-TRANSPORT-010: no answer")
    found = {one.key: one.active for one in dag_conditions(SPEC, known, EPISODE)}
    assert found["watch:blocked:drift_retrain"]
    assert not {"watch:dags-off", "watch:dags-missing", "watch:blocked:monitor"} & set(found)
    assert dag_conditions(SPEC, {}, EPISODE) == ()


def test_of_a_part_of_the_dags_is_said_that_runs_fail_and_never_that_none_does():
    known = facts(FakeAirflow(failing={"churn__monitor": ("failed",) * 3}))
    assert failing_of(known) is True
    del known["churn__rollback"]
    assert failing_of(known) is True
    del known["churn__monitor"]
    assert failing_of(known) is None
    known["churn__monitor"] = DagFacts(dag_id="churn__monitor", unknown="WS-TRANSPORT-010: no answer")
    assert failing_of(known) is None
    assert failing_of(facts(FakeAirflow())) is False


def test_a_dag_of_which_no_run_has_ended_has_not_worked_again():
    known = facts(FakeAirflow())
    known["churn__monitor"] = DagFacts(dag_id="churn__monitor", is_paused=False)
    assert failing_of(known) is None
    known["churn__monitor"] = DagFacts(dag_id="churn__monitor", is_paused=True)
    assert failing_of(known) is False


def failing_of(known):
    found = {one.key: one.active for one in dag_conditions(SPEC, known, NOTHING)}
    return found.get("watch:dags-failing")


def test_a_dag_that_is_off_while_nobody_knows_whether_it_has_work_neither_begins_nor_ends():
    unsure = Waiting({}, serves=True, unknown=("monitor",))
    off = dag_conditions(SPEC, facts(FakeAirflow(off=["churn__monitor"])), unsure)
    assert not {"watch:blocked:monitor", "watch:dags-off"} & {one.key for one in off}
    on = {one.key: one.active for one in dag_conditions(SPEC, facts(FakeAirflow()), unsure)}
    assert (on["watch:blocked:monitor"], on["watch:dags-off"]) == (False, False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"off": ["windsock__watchdog"]}, "Switched off: windsock__watchdog."),
        ({"missing": ["windsock__housekeeping"]}, "Not known to Airflow: windsock__housekeeping."),
        (
            {"failing": {"windsock__housekeeping": ("failed", "failed")}},
            "The last 2 runs failed: windsock__housekeeping.",
        ),
    ],
)
def test_the_dags_that_look_after_all_models(wrong, said):
    airflow = FakeAirflow(**wrong)
    (one,) = installation_dag_condition({dag: airflow.dag(dag) for dag in INSTALLATION_DAGS})
    assert (one.active, one.text) == (True, said)
    assert one.next_action


def test_of_a_part_of_these_is_said_what_is_wrong_and_never_that_all_is_well():
    watchdog, housekeeping = INSTALLATION_DAGS
    unknown = DagFacts(dag_id=housekeeping, unknown="WS-TRANSPORT-010: no answer")
    on, off = (DagFacts(dag_id=watchdog, is_paused=one, last_states=("success",)) for one in (False, True))
    assert installation_dag_condition({watchdog: on, housekeeping: unknown}) == ()
    (one,) = installation_dag_condition({watchdog: off, housekeeping: unknown})
    assert one.active
    no_end = DagFacts(dag_id=housekeeping, is_paused=False)
    assert installation_dag_condition({watchdog: on, housekeeping: no_end}) == ()
