"""Faults of the loop and of people: how each is brought about, and what a person does who reads its NEXT."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from support.life.fault import run_first
from support.life.installation import Life
from support.life.models import write_model
from support.scenarios import send_moved
from support.stack import wait_for, write_visits
from support.tried import retrain_here
from windsock.adapters.ledger_table import SqlLedger
from windsock.records import Episode, EpisodeState, Span, running_rollout
from windsock.records.retraining import open_episode
from windsock.spec import ModelSpec
from windsock.spec.loader import find_model
from windsock.steps import run_step

SCHEDULED = {"candidates": [{"estimator": "logistic_regression"}], "schedule": "* * * * *"}
MOVED = 600
CLEAR = re.compile(r"clear (\S+) of run (\S+) of (\S+) in Airflow")
WAIT = 300.0
"""Seconds that a run may take on a machine that has other work, too."""


def spec_of(life: Life, model: str) -> ModelSpec:
    """Return what a model's file says."""
    return find_model(life.settings.models_dir, model, shared_file=life.settings.shared_file)


def make_version(life: Life, model: str) -> str:
    """Let a version of a model serve."""
    return retrain_here(life.ports, spec_of(life, model), "made-1")


def switch(life: Life, dag_id: str, *, on: bool) -> None:
    """Switch a DAG on or off, as a click in Airflow's list of DAGs does."""
    life.live.await_dag(dag_id)
    life.live.admin.set_paused(dag_id, paused=not on)


def off(dag_id: str) -> Callable[[Life], None]:
    """Return what switches a DAG off."""
    return lambda life: switch(life, dag_id, on=False)


def commands(command: str) -> Callable[[Life], str]:
    """Return what runs a command."""
    return lambda life: life.run(command)


# --- the loop


def drift_while_off(life: Life) -> None:
    """Let the world of a model drift while its drift retrain is off, until a retrain is asked for."""
    switch(life, "drifting__drift_retrain", on=False)
    send_moved(life.live, life.ports, spec_of(life, "drifting"), MOVED)
    asked = lambda: open_episode(life.ports.monitor.episodes("drifting"))  # noqa: E731
    wait_for(asked, seconds=WAIT, what="an episode of drift")


def drift_is_answered(life: Life) -> None:
    """See that the retrain which drift asked for was claimed by a run."""

    def claimed() -> bool:
        episodes = life.ports.monitor.episodes("drifting")
        return bool(episodes) and episodes[-1].claimed_by is not None

    wait_for(claimed, seconds=WAIT, what="a run that took the episode")


def lost_event(life: Life) -> None:
    """Leave an event of eleven minutes ago that nobody took, with the monitor off that would send it anew."""
    switch(life, "unheard__monitor", on=False)
    champion = life.ports.ledger.champion("unheard")
    assert champion is not None
    now = datetime.now(UTC)
    span = Span(start=now - timedelta(minutes=13), end=now - timedelta(minutes=12))
    asked = Episode(
        model="unheard",
        key=f"{champion.digest[:12]}:{span.start:%Y%m%dT%H%M}",
        digest=champion.digest,
        trigger="drift",
        span=span,
        state=EpisodeState.ANNOUNCED,
        opened_at=now - timedelta(minutes=11),
    )
    life.ports.monitor.announce(asked)


def event_is_taken(life: Life) -> None:
    """See that the event which was lost has a run."""

    def taken() -> bool:
        return life.ports.monitor.episodes("unheard")[-1].claimed_by is not None

    wait_for(taken, seconds=WAIT, what="a run that took the lost event")


def killed_holder(life: Life) -> None:
    """End a run that has claimed its model, as one does who marks it failed."""
    run_id = life.live.trigger("held__daily_retrain")
    wait_for(lambda: life.ports.monitor.lease("held"), seconds=WAIT, what="a claim of held")
    life.live.admin.fail_run("held__daily_retrain", run_id)


def unjudged(life: Life) -> None:
    """Let rows come while the monitor is off, until their window is closed."""
    switch(life, "unjudged__monitor", on=False)
    send_moved(life.live, life.ports, spec_of(life, "unjudged"), 50)


def windows_are_judged(life: Life) -> None:
    """See that the monitor has given verdicts."""
    judged = lambda: life.ports.monitor.windows("unjudged", "drift")  # noqa: E731
    wait_for(judged, seconds=WAIT, what="a verdict on a window of unjudged")


def left_rollout(life: Life) -> None:
    """Start a rollout as of two hours ago, while the DAG that looks at it is off."""
    switch(life, "left__ab_rollout", on=False)

    def before() -> datetime:
        return datetime.now(UTC) - timedelta(hours=2)

    ports = replace(life.ports, now=before, ledger=SqlLedger.of(life.settings, now=before))
    spec = spec_of(life, "left")
    for number in (1, 2):
        write_visits(life.models / "left.csv", rows=600 + 200 * number)
        retrain_here(ports, spec, f"made-{number}")
    run_step("start_rollout", {"spec": spec}, ports)


def rollout_is_left(life: Life) -> None:
    """Wait until the rollout has been started; its DAG is off."""
    wait_for(
        lambda: running_rollout(life.ports.ledger.rows("left")), seconds=WAIT, what="the rollout of left"
    )


def announce_again(life: Life, next_action: str) -> str:
    """Switch the monitor on by the command that NEXT names, and trigger it."""
    done = run_first(life, next_action)
    assert "then trigger unheard__monitor in Airflow" in next_action, next_action
    life.live.admin.trigger("unheard__monitor")
    event_is_taken(life)
    return f"{done}, then triggered unheard__monitor"


def new_model_unseen(life: Life) -> None:
    """Add a model while the DAG processor hangs."""
    life.notes["processor"] = life.stop("dag-processor")
    write_model(life.models, "fresh", {})
    write_visits(life.models / "fresh.csv")


def end_processor(life: Life, next_action: str) -> str:
    """End the DAG processor that hangs, as NEXT says; its log is there to read."""
    assert "airflow-dag-processor.log" in next_action
    assert (life.home / "logs" / "airflow-dag-processor.log").exists()
    return run_first(life, next_action)


def begin(life: Life, models: Iterable[str], serving: Iterable[str]) -> None:
    """Let versions serve and every DAG be on, until nothing is wrong."""
    for model in serving:
        make_version(life, model)
    for model in models:
        life.live.await_dag(f"{model}__daily_retrain")
    for dag_id in sorted(life.live.admin.dag_ids()):
        if dag_id.partition("__")[0] in set(models):
            life.live.admin.set_paused(dag_id, paused=False)

    switch(life, "failing__daily_retrain", on=False)

    def is_well() -> bool:
        found = life.status_now()["findings"]
        told = [alert for name in life.ports.monitor.alerted() for alert in life.ports.monitor.alerts(name)]
        life.notes["wrong"] = [
            *(one for one in found if one["model"] != "failing"),
            *(one.title for one in told if one.state == "firing" and one.model != "failing"),
        ]
        return not life.notes["wrong"]

    assert life.await_(is_well, seconds=2 * life.bound), f"wrong from the beginning: {life.notes['wrong']}"


def switch_watchdog_on(life: Life, next_action: str) -> str:
    """Switch the watchdog on, as NEXT says."""
    assert "switch them on" in next_action, next_action
    switch(life, "windsock__watchdog", on=True)
    return "switched windsock__watchdog on in the list of DAGs"


def watchdog_is_off(life: Life) -> None:
    """See that the watchdog is off, since a moment."""
    wait_for(
        lambda: (life.live.admin.dag("windsock__watchdog") or {})["is_paused"],
        seconds=WAIT,
        what="watchdog off",
    )


def watchdog_looks(life: Life, next_action: str) -> str:
    """See that the watchdog is on, as NEXT says."""
    assert "the DAG is switched on" in next_action, next_action
    assert not (life.live.admin.dag("windsock__watchdog") or {})["is_paused"]
    return "the scheduler runs, and the DAG is on by now"
