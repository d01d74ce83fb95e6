"""The first trigger after a start of the stack, many times, beside a core that is kept busy.

Each start is `windsock up` in a new home. As soon as it says that it is up, a DAG is triggered by one request
without a second try, then four clients write at once. The run is failed at once: only the answers count.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from harness import PROJECT, Bar, report

sys.path.insert(0, str(PROJECT / "tests"))

from support.stack import free_ports, start_up, wait_for, write_models
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.stack import Stack

DAG = "churn__daily_retrain"
CLIENTS, WRITES = 4, 5


def spin() -> None:
    """Keep a core busy."""
    while True:
        pass


def trigger_once(api: AirflowApi) -> str:
    """Trigger the DAG by one request, and return what went wrong; empty if nothing did."""
    try:
        run = api.request("POST", f"/dags/{DAG}/dagRuns", json={"logical_date": None, "conf": {}})
        api.fail_run(DAG, run["dag_run_id"])
    except AirflowApiError as error:
        return str(error)
    return ""


def write_at_once(stack: Stack) -> int:
    """Let several clients write at once; return how many writes failed."""

    def client(number: int) -> int:
        pool = {"name": f"client-{number}", "slots": 1, "description": ""}
        actions = [{"action": "create", "action_on_existence": "overwrite", "entities": [pool]}]
        failed = 0
        with stack.api() as api:
            for _ in range(WRITES):
                try:
                    api.request("PATCH", "/pools", json={"actions": actions})
                except AirflowApiError:
                    failed += 1
        return failed

    with ThreadPoolExecutor(CLIENTS) as clients:
        return sum(clients.map(client, range(CLIENTS)))


def one_start(folder: Path) -> tuple[float, float, str, int]:
    """Start a stack and use it; return seconds to "up", seconds of the trigger, its error, failed writes."""
    write_models(folder / "include", PROJECT)
    models = folder / "include" / "models"
    stack = Stack(project=PROJECT, home=folder / "home", ports=free_ports(), models_dir=models)
    log, begun = folder / "up.log", time.perf_counter()
    process = start_up(stack, log)
    try:
        wait_for(lambda: "Ctrl-C stops all of it" in log.read_text(), seconds=300, what="windsock up")
        up = time.perf_counter() - begun
        with stack.api() as api:
            begun = time.perf_counter()
            error = trigger_once(api)
            answered = time.perf_counter() - begun
        return up, answered, error, write_at_once(stack)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def main() -> int:
    """Start, trigger, stop, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=30)
    starts = parser.parse_args().starts
    busy = multiprocessing.Process(target=spin, daemon=True)
    busy.start()
    found = []
    for _ in range(starts):
        with tempfile.TemporaryDirectory() as folder:
            found.append(one_start(Path(folder)))
            print(f"up {found[-1][0]:.1f} s, trigger {found[-1][1]:.2f} s {found[-1][2]}", flush=True)
    busy.kill()
    ups, answers, errors, failed = zip(*found, strict=True)
    rows = [
        ("until it is up, s", f"{min(ups):.1f}", f"{median(ups):.1f}", f"{max(ups):.1f}"),
        ("first trigger, s", f"{min(answers):.2f}", f"{median(answers):.2f}", f"{max(answers):.2f}"),
    ]
    bars = [
        Bar(bar="starts", value=len(found), unit="starts"),
        Bar(bar="first triggers that failed", value=sum(map(bool, errors)), limit=0, unit="triggers"),
        Bar(bar="writes of four clients that failed", value=sum(failed), limit=0, unit="writes"),
    ]
    return report("first_trigger", "The first trigger", ("measured", "least", "median", "most"), rows, bars)


if __name__ == "__main__":
    sys.exit(main())
