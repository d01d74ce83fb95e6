"""Faults of the loop and of people: how each is brought about, and what a person does who reads its NEXT."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from support.life.fault import commands_of, run_first
from support.life.installation import Life
from support.life.models import write_model
from support.scenarios import send_moved
from support.stack import wait_for, write_visits
from support.tried import retrain_here
from windsock.records import Episode, EpisodeState, Span, running_rollout
from windsock.records.retraining import open_episode
from windsock.spec import ModelSpec
from windsock.spec.loader import find_model
from windsock.steps import run_step

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
    ports = replace(life.ports, now=lambda: datetime.now(UTC) - timedelta(hours=2))
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


# --- files, and runs that fail


def break_yaml(life: Life) -> None:
    """Leave a model's file as one does who was called away while typing."""
    file = life.models / "typo.yaml"
    life.notes["typo"] = file.read_text()
    file.write_text(life.notes["typo"].replace("target: bought", "target: [bought"))


def fix_yaml(life: Life, next_action: str) -> str:
    """Run the command that names file and line, and correct the file there."""
    command = commands_of(next_action)[0]
    done = life.shell(command)
    said = done.stdout + done.stderr
    assert done.returncode == 1, f"`{command}` ended with {done.returncode}: {said}"
    assert re.search(r"typo\.yaml\D+\d+", said), f"it names no file and line: {said}"
    (life.models / "typo.yaml").write_text(life.notes["typo"])
    life.run(command)
    return f"`{command}` named file and line; corrected the file"


def wrong_target(life: Life) -> None:
    """Name a target that the source does not have, and have it retrained."""
    write_model(life.models, "wrong", {"data": {"target": "bougth"}})
    _fail(life, "wrong")


def wrong_target_twice(life: Life) -> None:
    """Have the same retrained once more, after the first has failed."""
    runs = lambda: life.live.admin.runs("wrong__daily_retrain")  # noqa: E731
    wait_for(lambda: any(run["state"] == "failed" for run in runs()), seconds=WAIT, what="a failed run")
    _fail(life, "wrong")


def _fail(life: Life, model: str) -> None:
    run_id = life.live.trigger(f"{model}__daily_retrain")
    assert life.live.await_state(f"{model}__daily_retrain", run_id) == "failed"


def fix_target(life: Life, next_action: str) -> str:
    """Correct the target and clear the task, as NEXT says."""
    write_model(life.models, "wrong", {})
    return f"corrected data.target; {clear(life, next_action)}"


def follow_the_log(life: Life, next_action: str) -> str:
    """Open the last red run that NEXT names, and see that its log ends with what to do."""
    found = re.search(r"last red run of (\S+) in Airflow", next_action)
    assert found, next_action
    life.notes["read"] = found[1]
    return "read the NEXT in the log of the last red run and did it (above)"


def late_source(life: Life) -> None:
    """Have a model retrained whose source file of today has not come."""
    (life.models / "late.csv").unlink()
    _fail(life, "late")


def source_comes(life: Life, next_action: str) -> str:
    """Put the file where it belongs and clear the task, as NEXT says."""
    write_visits(life.models / "late.csv", rows=900)
    return f"the file came; {clear(life, next_action)}"


def clear(life: Life, next_action: str) -> str:
    """Clear the task that NEXT names, with what follows it, and see its run green."""
    found = CLEAR.search(next_action)
    assert found, f"NEXT names no task to clear: {next_action}"
    task_id, run_id, dag_id = found.groups()
    _clear(life, task_id, run_id, dag_id)
    life.live.await_task(dag_id, run_id, task_id, "success")
    return f"cleared {task_id} of the run, with what follows it"


def _clear(life: Life, task_id: str, run_id: str, dag_id: str) -> None:
    body: dict[str, Any] = {
        "dry_run": False, "only_failed": False, "include_downstream": True,
        "task_ids": [task_id], "dag_run_id": run_id,
    }  # fmt: skip
    life.live.admin.request("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)


# --- people


def ask(life: Life, model: str) -> str:
    """Have a model retrained that people must approve, until they are asked; return the run."""
    dag_id = f"{model}__daily_retrain"
    run_id = life.live.trigger(dag_id)
    life.live.await_task(dag_id, run_id, "approve_model", "awaiting_input")
    wait_for(
        lambda: life.live.is_parked(dag_id, run_id, "approve_model"), seconds=WAIT, what="a parked question"
    )
    life.notes[model] = run_id
    return run_id


def approved_by_who_asked(life: Life) -> None:
    """Let the person who asked for a version approve it."""
    run_id = ask(life, "selfmade")
    life.live.admin.answer("selfmade__daily_retrain", run_id, "approve_model", "Approve")


def nearly_over(life: Life) -> None:
    """Let a question end in six hours, as one does that was asked days ago."""
    run_id = ask(life, "asked")
    _let_end(life, "asked", run_id, timedelta(hours=6))


def expired(life: Life) -> None:
    """Let the time of a question be over."""
    run_id = ask(life, "silent")
    _let_end(life, "silent", run_id, timedelta(minutes=-1))
    life.live.await_task("silent__daily_retrain", run_id, "approve_model", "failed")


def _let_end(life: Life, model: str, run_id: str, left: timedelta) -> None:
    """Let days pass for a question: in Airflow, and in the claim that its run keeps while it waits."""
    from windsock.records.retraining import LEASE

    until = datetime.now(UTC) + left
    with closing(sqlite3.connect(life.live.stack.airflow_database, timeout=60)) as database, database:
        changed = database.execute(
            "UPDATE task_instance SET trigger_timeout = ? WHERE run_id = ? AND task_id = 'approve_model'",
            (f"{until:%Y-%m-%d %H:%M:%S.%f}", run_id),
        )
        assert changed.rowcount == 1
    life.notes[f"{model} until"] = until
    life.shorten_claim(model, until + LEASE)


def answered_in_time(life: Life, next_action: str) -> str:
    """Let a reviewer answer under Required Actions, at the task that NEXT names."""
    found = re.search(r"under Required Actions: ([^/\s]+)/(\S+)/([^/\s]+)$", next_action)
    assert found, f"NEXT names no question: {next_action}"
    dag_id, run_id, task_id = found.groups()
    life.live.reviewer.answer(dag_id, run_id, task_id, "Approve")
    life.live.await_task(dag_id, run_id, task_id, "success")
    return "the reviewer answered under Required Actions"


def asked_anew(life: Life, next_action: str) -> str:
    """Clear the task, as NEXT says, and let a reviewer answer."""
    assert "clear this task with what follows it" in next_action, next_action
    dag_id, run_id = "silent__daily_retrain", life.notes["silent"]
    _clear(life, "approve_model", run_id, dag_id)
    life.live.await_task(dag_id, run_id, "approve_model", "awaiting_input")
    wait_for(
        lambda: life.live.is_parked(dag_id, run_id, "approve_model"), seconds=WAIT, what="a parked question"
    )
    life.live.reviewer.answer(dag_id, run_id, "approve_model", "Approve")
    life.live.await_task(dag_id, run_id, "approve_model", "success")
    return "cleared the task with what follows it; the reviewer answered"


def reviewer_answers(life: Life, next_action: str) -> str:
    """Let a reviewer answer at the address that NEXT names."""
    found = re.search(r"https?://\S*?/dags/(\S+?)/runs/([^/\s]+)/tasks/([^/\s?]+)", next_action)
    assert found, f"NEXT names no place where it can be answered: {next_action}"
    from urllib.parse import unquote

    dag_id, run_id, task_id = (unquote(part) for part in found.groups())
    life.live.reviewer.answer(dag_id, run_id, task_id, "Approve")
    life.live.await_task(dag_id, run_id, task_id, "success")
    return "the reviewer answered at the address"


# --- alerts


def deaf_channel(life: Life) -> None:
    """Let an alert be due whose channel refuses connections."""
    switch(life, "deaf__rollback", on=False)


def mend_channel(life: Life, next_action: str) -> str:
    """Run the command that tries all channels, and correct the connection that it names."""
    from support.life.installation import connect

    command = commands_of(next_action)[0]
    done = life.shell(command)
    assert done.returncode == 1, f"`{command}` ended with {done.returncode}: {done.stdout}{done.stderr}"
    refused = [line for line in done.stdout.splitlines() if "refused" in line]
    assert refused, done.stdout
    assert "deaf" in refused[0], refused
    connect(life.live, "deaf_channel", life.channel.extra)
    life.run(command)
    return f"`{command}` named the channel and why; corrected its connection; then all took the test alert"


def begin(life: Life, models: Iterable[str], serving: Iterable[str]) -> None:
    """Let versions serve and every DAG be on, until nothing is wrong."""
    for model in serving:
        make_version(life, model)
    for model in models:
        life.live.await_dag(f"{model}__daily_retrain")
    for dag_id in sorted(life.live.admin.dag_ids()):
        if dag_id.partition("__")[0] in set(models):
            life.live.admin.set_paused(dag_id, paused=False)

    def is_well() -> bool:
        life.notes["wrong"] = life.status_now()["findings"]
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
