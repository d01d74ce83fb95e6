"""A roll back while four retrains run or wait: seconds from the click to the switched traffic.

The stack is `windsock up` as it ships. Four models search for an hour on 20,000 rows, so that every slot of
the pool `training` is taken throughout. A click is what the page of `NAME__rollback` sends; the traffic has
switched once the prediction server answers with the other version. The CLI's roll back stands beside it under
the same conditions, and so do both with a pool of four slots, where all four trainings are at work.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from shutil import copy
from statistics import median

import httpx
from harness import PROJECT, Bar, report

sys.path.insert(0, str(PROJECT / "tests"))

from support.stack import LiveStack, live_stack, wait_for, write_visits

URGENT = "urgent"
TRAININGS = tuple(f"training_{number}" for number in range(1, 5))
ROWS = {URGENT: 800, **dict.fromkeys(TRAININGS, 20_000)}
MODEL = """\
model: {{name: {name}, owner: ds@company.com}}
data: {{source: {name}.csv, target: bought, entity: visitor}}
training: {{candidates: [{candidate}]}}
gate:
  against_champion: {{not_worse: 0.5}}
  latency_ms: 1000
  card: {{intended_use: Rank visitors., limitations: Made up.}}
"""
QUICK = "{estimator: logistic_regression}"
LONG = "{estimator: hist_gradient_boosting, search: {trials: 1000, minutes: 60}}"
HEAVY = frozenset({"take_snapshot", "validate_data", "train_model", "evaluate_model"})
POOL = "training"
SLOTS = (2, 4)
MOST_SECONDS = 15.0
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.05


@dataclass
class Times:
    """What was measured with one size of the pool.

    :param dag: seconds of each roll back by the DAG.
    :param cli: of each by the CLI.
    :param busy: heavy tasks that were at work at each click.
    """

    dag: list[float] = field(default_factory=list)
    cli: list[float] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)


def write_lane(include: Path, _: Path) -> None:
    """Write the model that is rolled back and those that train."""
    folder = include / "models"
    folder.mkdir(parents=True)
    copy(PROJECT / "include" / "windsock.yaml", include)
    for name, rows in ROWS.items():
        write_visits(folder / f"{name}.csv", rows)
        candidate = QUICK if name == URGENT else LONG
        (folder / f"{name}.yaml").write_text(MODEL.format(name=name, candidate=candidate), encoding="utf-8")


class Lane:
    """The stack on which it is measured.

    :param live: the stack.
    """

    def __init__(self, live: LiveStack) -> None:
        self.live = live
        self.runs: dict[str, str] = {}
        self.environment = {**os.environ, **live.stack.environment()}
        self.address = f"{live.stack.server_url}/models/{URGENT}"
        self.client = httpx.Client(timeout=30.0, trust_env=False)

    def make_versions(self) -> None:
        """Let two runs of the urgent model's retrain make two champions, one after the other."""
        dag_id = f"{URGENT}__daily_retrain"
        self.live.await_dag(dag_id)
        self.live.admin.set_paused(dag_id, paused=False)
        for force in (False, True):
            run_id = self.live.admin.trigger(dag_id, {"force": force})
            if self.live.await_state(dag_id, run_id) != "success":
                raise RuntimeError(self.live.failures(dag_id, run_id))
        self.example = self.client.get(self.address).raise_for_status().json()["example"]

    def begin_trainings(self) -> None:
        """Begin four retrains, none of which ends while it is measured."""
        for name in TRAININGS:
            self.runs[name] = self.live.trigger(f"{name}__daily_retrain")

    def version(self) -> str:
        """Return the version that answers now."""
        answer = self.client.post(f"{self.address}/predict", json=self.example)
        return str(answer.raise_for_status().json()["version"])

    def set_slots(self, slots: int) -> None:
        """Give the pool of the trainings this many slots, and wait until all are taken."""
        self.live.admin.put_all(
            "pools", [{"name": POOL, "slots": slots, "description": "", "include_deferred": False}]
        )
        wait_for(lambda: self.busy() == slots, seconds=WAIT_SECONDS * 3, what=f"{slots} trainings at work")

    def busy(self) -> int:
        """Return how many heavy tasks are at work; every retrain must be under way.

        :raises RuntimeError: if a retrain has ended: nothing would be measured any more.
        """
        found = 0
        for name, run_id in self.runs.items():
            dag_id = f"{name}__daily_retrain"
            if (state := self.live.admin.run_state(dag_id, run_id)) not in ("queued", "running"):
                raise RuntimeError(f"{dag_id} has ended ({state}): {self.live.failures(dag_id, run_id)}")
            tasks = self.live.admin.tasks(dag_id, run_id)
            found += sum(task.task_id in HEAVY and task.state == "running" for task in tasks)
        return found

    def seconds_to(self, roll_back: Callable[[str], object]) -> float:
        """Roll back to the version that does not serve; return the seconds until it answers.

        :raises RuntimeError: if it does not in time.
        """
        other = "1" if self.version() == "2" else "2"
        begun = time.perf_counter()
        roll_back(other)
        while self.version() != other:
            if time.perf_counter() - begun > WAIT_SECONDS:
                raise RuntimeError(
                    f"version {other} does not answer {WAIT_SECONDS:.0f} s after the roll back"
                )
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - begun

    def click(self, version: str) -> str:
        """Send what the page of the roll back DAG sends."""
        conf = {"to_version": version, "reason": "Roll back under trainings."}
        self.last = self.live.admin.trigger(f"{URGENT}__rollback", conf)
        return self.last

    def command(self, version: str) -> None:
        """Roll back by the CLI."""
        given = ("rollback", URGENT, "--to", version, "--reason", "Roll back under trainings.", "--yes")
        subprocess.run(
            [*self.live.stack.windsock, *given],
            check=True,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            cwd=PROJECT,
        )

    def measure(self, slots: int, repeats: int) -> Times:
        """Roll back by DAG and by CLI in turn, under the trainings."""
        self.set_slots(slots)
        times = Times()
        for number in range(1, repeats + 1):
            times.busy.append(self.busy())
            times.dag.append(self.seconds_to(self.click))
            state = self.live.await_state(f"{URGENT}__rollback", self.last)
            if state != "success":
                raise RuntimeError(self.live.failures(f"{URGENT}__rollback", self.last))
            times.cli.append(self.seconds_to(self.command))
            at = f"{slots} slots, {times.busy[-1]} at work, roll back {number}"
            print(f"{at}: DAG {times.dag[-1]:.1f} s, CLI {times.cli[-1]:.1f} s", flush=True)
        return times


def clock(text: str) -> datetime:
    """Return the next moment at which the clock shows this time, UTC."""
    wanted, now = time_of_day.fromisoformat(text), datetime.now(UTC)
    moment = datetime.combine(now.date(), wanted, UTC)
    return moment if moment > now else moment + timedelta(days=1)


def measured(
    folder: Path, slots: tuple[int, ...], repeats: int, begin: datetime | None = None
) -> dict[int, Times]:
    """Run the stack and measure with each size of the pool.

    :param begin: before which nothing is measured, so that the stack is up when the machine is quiet.
    """
    with live_stack(folder, PROJECT, write_lane) as live:
        lane = Lane(live)
        lane.make_versions()
        lane.begin_trainings()
        while begin is not None and datetime.now(UTC) < begin:
            time.sleep(1.0)
        return {size: lane.measure(size, repeats) for size in slots}


def main() -> int:
    """Measure, and tell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell lets it be ignored
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--slots", type=int, nargs="+", default=SLOTS, help="sizes of the pool, in turn")
    parser.add_argument("--at", type=clock, help="measure from this time of day on, UTC, such as 20:52")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), tuple(given.slots), given.repeats, given.at)
    rows, bars = [], [Bar(bar="roll backs of each kind", value=given.repeats, unit="roll backs")]
    for slots, times in found.items():
        for name, seconds in {"DAG": times.dag, "CLI": times.cli}.items():
            what = f"{name}, pool of {slots}"
            middle = median(seconds)
            rows.append((what, f"{min(seconds):.1f}", f"{middle:.1f}", f"{max(seconds):.1f}"))
            bars.append(Bar(bar=f"{what}, median", value=middle, limit=MOST_SECONDS, unit="seconds"))
            bars.append(Bar(bar=f"{what}, most", value=max(seconds), unit="seconds"))
        fewest = Bar(
            bar=f"trainings at work, pool of {slots}",
            value=min(times.busy),
            limit=min(slots, len(TRAININGS)),
            at_most=False,
            unit="tasks",
        )
        bars.append(fewest)
    header = ("seconds until the traffic has switched", "least", "median", "most")
    return report("rollback_lane", f"A roll back under {len(TRAININGS)} retrains", header, rows, bars)


if __name__ == "__main__":
    sys.exit(main())
