from __future__ import annotations

from types import SimpleNamespace

import pytest

from support.builders import make_spec
from support.context import make_context
from windsock.operators.approve_model import ApproveModelOperator
from windsock.operators.assets import challenger_asset, emit, retrain_asset, rollout_asset, sometimes
from windsock.operators.base import run_context
from windsock.operators.origin import Origin, origin_of, was_cleared
from windsock.operators.register_model import RegisterModelOperator

TASK = SimpleNamespace(retries=2)
OWN = {"dag": "churn__monitor", "task": "decide_retrain"}

WATCHDOG = {"dag": "windsock__watchdog", "task": "watch"}


def event(asset="churn/retrain", *, dag=None, task=None, run="scheduled__1", **extra):
    return SimpleNamespace(
        asset=SimpleNamespace(name=asset),
        source_dag_id=dag,
        source_task_id=task,
        source_run_id=run if dag else None,
        extra=extra,
    )


def started(run_type, *, user=None, events=(), clear_number=0, max_tries=2):
    context = make_context(TASK, user=user)
    run = context["dag_run"]
    run.run_type, run.consumed_asset_events, run.clear_number = run_type, list(events), clear_number
    context["ti"].max_tries = max_tries
    return context


@pytest.mark.parametrize(
    "run_type",
    ["manual", "backfill", "operator_triggered", "asset_materialization", "of a later Airflow", None],
)
@pytest.mark.parametrize("name", [None, "", " ", "\u200b"])
def test_a_run_that_may_be_a_persons_and_names_nobody(run_type, name):
    assert origin_of(started(run_type, user=name)).unknown


@pytest.mark.parametrize("run_type", ["manual", "backfill", "operator_triggered", "asset_materialization"])
def test_a_run_that_names_its_person(run_type):
    assert origin_of(started(run_type, user="ann")) == Origin("ann", False)


def test_a_run_on_schedule():
    assert origin_of(started("scheduled")) == Origin(None, False)


def test_a_backfill_over_anothers_run_keeps_the_name_and_is_unknown():
    assert origin_of(started("backfill", user="ann", clear_number=1)) == Origin("ann", True)


@pytest.mark.parametrize("kind", ["monitor", "rollout"])
def test_work_that_the_watchdog_announces_is_nobodys(kind):
    assert origin_of(started("asset_triggered", events=[event(f"churn/due_{kind}", **WATCHDOG)])) == Origin(
        None, False
    )


def test_a_watchdog_that_a_person_has_started_names_that_person():
    events = [event("churn/due_monitor", **WATCHDOG, started_by="ann")]
    assert origin_of(started("asset_triggered", events=events)) == Origin("ann", False)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event()],  # by REST, or of an asset watcher
        [event(from_rest_api=True)],
        [event(from_rest_api=True, started_by="bob")],
        [event(**OWN, from_rest_api=True)],
        [event(**OWN, run=None)],
        [event(dag="other__monitor", task="decide_retrain")],
        [event(dag="refresh", task="decide_retrain")],
        [event(dag="churn__monitor", task="send_alerts")],
        [event("churn/drift", **OWN)],
        [event("churn2/retrain", **OWN)],
        [event("churn/due_monitor", from_rest_api=True)],
        [event("churn/due_monitor", **OWN)],
        [event("churn/due_monitor", dag="windsock__watchdog", task="other")],
        [event("churn/retrain", **WATCHDOG)],
        [event("churn/challenger", **WATCHDOG)],
        [event("churn/due_rollout", **WATCHDOG, starter_unknown=True)],
        [event(**OWN), event(from_rest_api=True)],
        [event(**OWN, starter_unknown=True)],
        [event(**OWN, started_by="ann"), event(**OWN, started_by="bob")],
    ],
)
def test_events_that_a_person_may_have_sent(events):
    assert origin_of(started("asset_triggered", events=events)).unknown


def test_what_a_foreign_event_says_of_people_counts_for_nothing():
    assert origin_of(started("asset_triggered", events=[event(started_by="bob")])) == Origin(None, True)


@pytest.mark.parametrize(
    ("asset", "source"),
    [
        ("churn/retrain", OWN),
        ("churn/challenger", {"dag": "churn__daily_retrain", "task": "promote_model"}),
        ("churn/challenger", {"dag": "churn__drift_retrain", "task": "promote_model"}),
    ],
)
def test_a_models_own_events_carry_who_started_the_run_that_sent_them(asset, source):
    for origin in (Origin(None, False), Origin("ann", False)):
        sent = event(asset, **source, **origin.extra())
        assert origin_of(started("asset_triggered", events=[sent, sent])) == origin


@pytest.mark.parametrize(
    ("clear_number", "max_tries", "cleared"), [(0, 2, False), (1, 2, True), (0, 3, True), (0, 0, False)]
)
def test_a_cleared_task(clear_number, max_tries, cleared):
    context = started("scheduled", clear_number=clear_number, max_tries=max_tries)
    assert was_cleared(context) is cleared
    assert run_context(context, by_clearing=True).starter_unknown is cleared
    assert run_context(context).starter_unknown is False


def test_a_persons_run_that_somebody_cleared_is_that_persons_and_somebodys():
    run = run_context(started("manual", user="ann", clear_number=3), by_clearing=True)
    assert (run.requested_by, run.starter_unknown) == ("ann", True)


# --- what operators make of it


@pytest.mark.parametrize(("kind", "unknown"), [(RegisterModelOperator, True), (ApproveModelOperator, False)])
def test_only_where_a_version_is_made_a_cleared_run_counts_as_started_by_somebody(kind, unknown):
    given = {"decision": {}, "evaluation": {}} if kind is RegisterModelOperator else {"version": {}}
    task = kind(task_id="t", spec=make_spec(), **given)
    context = started("scheduled", clear_number=1)
    assert task._shared_input(context, task.step)["run"].starter_unknown is unknown


class Sent(dict):
    """Airflow's ``outlet_events``, as far as :func:`emit` uses them."""

    def __missing__(self, alias):
        return self

    def add(self, asset, extra):
        self["extra"] = extra


@pytest.mark.parametrize(
    ("asset", "context", "extra"),
    [
        (retrain_asset("churn"), started("scheduled"), {}),
        (retrain_asset("churn"), started("manual", user="ann"), {"started_by": "ann"}),
        (retrain_asset("churn"), started("manual"), {"starter_unknown": True}),
        (challenger_asset("churn"), started("asset_triggered"), {"starter_unknown": True}),
        (rollout_asset("churn"), started("manual", user="ann"), {}),  # it starts none of the model's DAGs
    ],
)
def test_an_event_says_who_started_the_run_that_sends_it(asset, context, extra):
    context["outlet_events"] = Sent()
    assert emit(SimpleNamespace(outlets=[sometimes(asset)]), context, asset, {"episode": "e"})
    assert context["outlet_events"]["extra"] == {"episode": "e", **extra}
