"""Faults that the stack ends by itself: nobody has to do anything, and nobody is left with an open alert."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from support.life.fault import Fault, Lived
from support.life.installation import Life
from windsock.cli import processes
from windsock.cli.airflow_rest import AirflowApiError


def heals(life: Life, fault: Fault, is_well: Callable[[Life], object], did: str) -> Lived:
    """Bring a fault about that ends by itself, and see that it does.

    :param is_well: says whether it is over.
    :param did: what ends it.
    """
    lived = Lived(fault=fault, did=did)
    place = (fault.model, fault.key)
    with life.watched():
        try:
            fault.break_(life)
        except Exception as error:
            lived.faults.append(f"could not be brought about: {type(error).__name__}: {error}")
        broken = time.monotonic()
        if not life.await_(lambda: is_well(life), seconds=2 * life.bound):
            lived.faults.append(f"it does not end by itself within {2 * life.bound:.0f} s")
        well = time.monotonic()
        lived.over = well - broken

        def is_silent() -> bool:
            seen = life.seen(well)
            row = life.alert(*place)
            return bool(seen) and place not in seen[-1].findings and (row is None or row.state == "resolved")

        if not life.await_(is_silent, seconds=life.bound):
            lived.faults.append("it is still said after its end")
        first = next((one for one in life.seen(broken) if place in one.findings), None)
        if first is not None:
            found = first.findings[place]
            lived.seen, lived.severity = first.at - broken, found["severity"]
            lived.text, lived.next_action = found["text"], found["next"]
            if found["code"] != fault.code:
                lived.faults.append(f"its code is {found['code']}, not {fault.code}")
        time.sleep(2 * life.heartbeat)  # who is told late would be told by now
        posts = [one for one in [*life.channel.posts] if one.key == fault.key and one.at >= broken]
        lived.times = len([one for one in posts if not one.is_over])
        lived.times_over = len(posts) - lived.times
        if lived.times > 1 or lived.times != lived.times_over:
            lived.faults.append(f"it was told {lived.times} times and told as over {lived.times_over} times")
        if posts:
            lived.told, lived.told_over = posts[0].at - broken, max(0.0, posts[-1].at - well)
    return lived


def killed_while(life: Life, name: str, task_id: str, part: str) -> str:
    """Kill a program while a task of a retrain runs; return the run."""
    dag_id, model = f"{name}__daily_retrain", life.model(name)
    model.versions = len({row.version for row in model.rows})
    model.grow()  # else there is nothing to deploy
    run_id = life.live.trigger(dag_id)
    life.live.await_task(dag_id, run_id, task_id, "running")
    processes.signal_all(processes.marked_processes(life.live.stack_id, part), signal.SIGKILL)
    return run_id


def run_is_green(life: Life, name: str, run_id: str) -> bool:
    """Say whether a retrain has come to a good end, though something was killed meanwhile."""
    try:
        return life.live.admin.run_state(f"{name}__daily_retrain", run_id) == "success"
    except AirflowApiError:
        return False
