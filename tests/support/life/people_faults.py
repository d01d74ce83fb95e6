"""Faults of files, people and channels: how each is brought about, and what its NEXT has a person do."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from support.life.fault import commands_of
from support.life.installation import Life
from support.life.loop_faults import SCHEDULED, WAIT, switch
from support.life.models import write_model
from support.stack import wait_for, write_visits
from windsock.cli.follow import last_block

CLEAR = re.compile(r"clear (\S+) of run (\S+) of (\S+) in Airflow")


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


def fails_twice(life: Life) -> None:
    """Switch the schedule of a model on whose target does not exist, until two runs have failed."""
    switch(life, "failing__daily_retrain", on=True)

    def failed() -> list[Any]:
        return [run for run in life.live.admin.runs("failing__daily_retrain") if run["state"] == "failed"]

    wait_for(lambda: len(failed()) >= 2, seconds=2 * WAIT, what="two failed runs")


def _fail(life: Life, model: str) -> None:
    run_id = life.live.trigger(f"{model}__daily_retrain")
    assert life.live.await_state(f"{model}__daily_retrain", run_id) == "failed"


def fix_target(life: Life, next_action: str) -> str:
    """Correct the target and clear the task, as NEXT says."""
    write_model(life.models, "wrong", {})
    return f"corrected data.target; {clear(life, next_action)}"


def follow_the_log(life: Life, next_action: str) -> str:
    """Open the last red run that NEXT names and do what NEXT at the end of its red task's log says."""
    found = re.search(r"last red run of (\S+) in Airflow", next_action)
    assert found, next_action
    dag_id = found[1]
    run_id = next(run["dag_run_id"] for run in life.live.admin.runs(dag_id) if run["state"] == "failed")
    red = next(task for task in life.live.admin.tasks(dag_id, run_id) if task.state == "failed")
    block = last_block(life.live.admin.log(dag_id, run_id, red))
    assert "data.target" in " ".join(block), block
    write_model(life.models, "failing", {"training": SCHEDULED})
    return f"read the log of {red.task_id} of the last red run, corrected data.target as its NEXT says"


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
