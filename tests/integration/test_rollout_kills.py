"""A rollout is killed everywhere: tasks, folds, server workers, database; one decision, exact counts."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support import fold_process, postgres
from support.builders import NOON
from support.faults import Killed, killed_after
from support.fold_process import Folding
from support.forks import Counting
from support.rollout_log import TOLERANCE
from support.rollout_world import (
    MODEL,
    LoggedUsers,
    RolloutWorld,
    counted,
    look,
    quick_spec,
    same_as_tally,
    told_once,
)
from support.serving import ROW, make_settings, running, wait_until
from support.world import deploy, promote, shares, world_of
from windsock.adapters.log_format import read_segment
from windsock.adapters.server_client import ServerRouter
from windsock.cli.demo_users import Users
from windsock.exceptions import WindsockError
from windsock.records import (
    ArmTotals,
    JudgeRolloutInput,
    LedgerAction,
    Moments,
    RolloutAction,
    RolloutOutcome,
    StartRolloutInput,
    StepTotals,
    ended_rollouts,
    running_rollout,
)
from windsock.steps import run_step
from windsock.steps.rollout_moves import move_of

pytestmark = pytest.mark.slow

BETTER, EQUAL, WORSE = 0.2, 0.1, 0.04


# --- the task: killed after each of its side effects, on in-memory ports


def arm(units: int, rate: float) -> ArmTotals:
    hits = round(units * rate)
    conversions = Moments(units=units, num=hits, den=units, num_num=hits, den_den=units, num_den=hits)
    errors = Moments(units=units, den=units, den_den=units)
    return ArmTotals(units=units, exposures=units, metrics={"conversion": conversions, "errors": errors})


def seen(rate: float, *, step: int = 0, units: int = 2_000, share: float = 0.5) -> StepTotals:
    """Return what shows that the challenger converts at a rate, the champion at 10 percent."""
    return StepTotals(
        experiment="v2-e4",
        step=step,
        counted_until=NOON,
        champion=arm(round(2 * units * (1 - share)), 0.1),
        challenger=arm(round(2 * units * share), rate),
    )


class Waiting:
    """In-memory ports on which version 2 waits; its rollout sees what a test has put in."""

    def __init__(self, spec: Any, *totals: StepTotals) -> None:
        self.spec, self.ports = spec, world_of(1)
        deploy(self.ports, 2, spec=spec)
        promote(self.ports, 2, spec=spec)
        self.totals = totals

    def begun(self) -> Waiting:
        """Start the rollout, and let its time pass."""
        run_step("start_rollout", StartRolloutInput(spec=self.spec), self.ports)
        return self.later()

    def later(self) -> Waiting:
        """Let an hour pass, in which it saw what was put in."""
        rollout = running_rollout(self.ports.ledger.rows(MODEL))
        assert rollout is not None
        for one in self.totals:
            told = one.model_copy(update={"experiment": rollout.experiment})
            self.ports.events.seen[rollout.experiment, one.step] = told
        self.ports.now.time += timedelta(hours=1)
        return self

    def left(self) -> dict[str, Any]:
        """Return what must be left, however often the task was killed."""
        rows = self.ports.ledger.rows(MODEL)
        kept = self.ports.rollouts.kept
        return {
            "rows": [(row.action.value, row.version, row.epoch) for row in rows],
            "shares": shares(self.ports),
            "route": self.ports.router.plans[MODEL].experiment,
            "aliases": dict(self.ports.registry.aliases),
            "ends": [(end.experiment, end.outcome) for end in ended_rollouts(rows)],
            "actions": {name: actions_of(found) for name, found in kept.items()},
        }


def actions_of(found: dict[int, Any]) -> set[str]:
    assert sorted(found) == list(range(1, len(found) + 1))
    return {one.action.value for one in found.values()}


AB = quick_spec()
CANARY = quick_spec(strategy="canary", steps=[10, 50, 100], promote={"not_worse": 0.05})
CASES: dict[str, tuple[Any, tuple[StepTotals, ...], bool]] = {
    "started": (AB, (), False),
    "promoted": (AB, (seen(BETTER),), True),
    "rolled_back": (AB, (seen(WORSE),), True),
    "kept": (quick_spec(deadline="30m"), (seen(EQUAL),), True),
    "advanced": (CANARY, (seen(EQUAL, share=0.1),), True),
}


def begin(case: str) -> Waiting:
    spec, totals, begun = CASES[case]
    waiting = Waiting(spec, *totals)
    return waiting.begun() if begun else waiting


def one_run(case: str, ports: Any, done: dict[str, Any] | None = None) -> None:
    """Do the tasks of one run of the DAG, as far as they are not done.

    :param done: what the tasks that have ended pushed; a try adds to it, the next one goes on from it.
    """
    spec, done = CASES[case][0], {} if done is None else done
    if "start" not in done:
        run_step("start_rollout", StartRolloutInput(spec=spec), ports)
        done["start"] = True
    if case == "started":
        return
    if "judge" not in done:
        done["judge"] = run_step("judge_rollout", JudgeRolloutInput(spec=spec), ports).record
    move = move_of(done["judge"], spec, ports.ledger.rows(MODEL))
    assert move is not None
    run_step(*move, ports)


@pytest.mark.parametrize("case", CASES)
def test_a_task_killed_after_each_of_its_side_effects_ends_as_an_undisturbed_one(case):
    quiet = begin(case)
    counting, countdown = killed_after(quiet.ports, 10_000)
    one_run(case, counting)
    state, effects = quiet.left(), countdown.seen
    assert effects >= 2
    ended = {}
    for after in range(1, effects + 1):
        world, done = begin(case), {}
        dying, _ = killed_after(world.ports, after)
        with pytest.raises(Killed):
            one_run(case, dying, done)
        one_run(case, world.ports, done)
        ended[after] = world.left()
    assert {after: left for after, left in ended.items() if left != state} == {}


def test_the_cases_are_what_they_are_called():
    ends = {
        "started": None,
        "advanced": None,
        "promoted": RolloutOutcome.PROMOTED,
        "rolled_back": RolloutOutcome.ROLLED_BACK,
        "kept": RolloutOutcome.KEPT,
    }
    for case, outcome in ends.items():
        world = begin(case)
        one_run(case, world.ports)
        rows = world.ports.ledger.rows(MODEL)
        assert [end.outcome for end in ended_rollouts(rows)] == ([outcome] if outcome else []), case
    rollout = running_rollout(rows := _advanced().ports.ledger.rows(MODEL))
    assert rollout is not None
    assert (rollout.step, rollout.share) == (1, 5_000)
    assert [row.action for row in rows].count(LedgerAction.SHIFT) == 2


def _advanced() -> Waiting:
    world = begin("advanced")
    one_run("advanced", world.ports)
    return world


def test_killed_again_and_again_it_gets_there():
    """Each try comes one side effect further than the one before."""
    quiet = begin("promoted")
    one_run("promoted", quiet.ports)
    world, done = begin("promoted"), {}
    for after in range(1, 100):
        dying, _ = killed_after(world.ports, after)
        try:
            one_run("promoted", dying, done)
        except Killed:
            continue
        break
    left, state = world.left(), quiet.left()
    assert left == state


# --- two schedulers at once, and a database that is restarted, on the real control database


@pytest.fixture(scope="module")
def server_of_postgres():
    with postgres.restartable_server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    """An empty control database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'control.db'}"
    return request.getfixturevalue("server_of_postgres").new_database()


def counted_world(tmp_path: Path, url: str, *, rate: float = BETTER, spec: Any = AB) -> RolloutWorld:
    """Return an installation whose rollout has begun and whose log has seen the challenger's rate."""
    world = RolloutWorld(tmp_path / "home", spec=spec, url=url)
    rollout = world.begin()
    users = LoggedUsers(rollout, hours=3, rates=(0.1, rate), units=2_000)
    users.write(world.settings.serving_dir)
    world.shared["now"] = lambda: users.ends + timedelta(minutes=30)
    return world


def tries(act: Callable[[], object], *, times: int = 200, pause: float = 0.05) -> int:
    """Do it as Airflow does: again after each failure; return how many there were."""
    said: Counter[str] = Counter()
    for failed in range(times):
        try:
            act()
        except WindsockError as error:
            said[f"{error.code} {error}"] += 1
            time.sleep(pause)
            continue
        return failed
    raise AssertionError(f"it failed {times} times: {said.most_common(3)}")


def test_schedulers_that_judge_at_once_make_one_decision_and_one_end(tmp_path, url):
    world = counted_world(tmp_path, url)
    experiment = world.rollout().experiment
    barrier = threading.Barrier(4)
    broken: list[BaseException] = []

    def scheduler() -> None:
        try:
            barrier.wait()
            tries(lambda: look(world.ports(), world.spec))
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=scheduler) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    ports = world.ports()
    decisions = ports.rollouts.decisions(MODEL, experiment)
    told_once(ports, decisions)
    assert {one.action for one in decisions} == {RolloutAction.PROMOTE}
    assert len({str(counted(one.totals)) for one in decisions}) == 1, "each look counted the same"
    (end,) = ended_rollouts(ports.ledger.rows(MODEL))
    assert end.outcome is RolloutOutcome.PROMOTED
    assert ports.ledger.champion(MODEL).version == "2"
    assert ports.router.state(MODEL).plan.experiment is None


@pytest.mark.postgres
def test_a_database_restarted_in_the_middle_of_looks(tmp_path, server_of_postgres):
    spec = quick_spec(minimum_units=10_000_000)
    world = counted_world(tmp_path, server_of_postgres.new_database(), spec=spec)
    experiment = world.rollout().experiment
    stopping = threading.Event()
    failures: list[int] = []
    broken: list[BaseException] = []

    def scheduler() -> None:
        try:
            while not stopping.is_set():
                failures.append(tries(lambda: look(world.ports(), spec)))
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=scheduler) for _ in range(2)]
    for thread in threads:
        thread.start()
    decisions = world.ports().rollouts.decisions
    for mode in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        before = len(tries_for(lambda: decisions(MODEL, experiment)))
        wait_until(lambda b=before: len(tries_for(lambda: decisions(MODEL, experiment))) > b + 1, seconds=60)
        server_of_postgres.restart(mode)
    after = len(tries_for(lambda: decisions(MODEL, experiment)))
    wait_until(lambda: len(decisions(MODEL, experiment)) > after + 1, seconds=60)
    stopping.set()
    for thread in threads:
        thread.join()
    assert broken == []
    assert sum(failures) > 0, "no look met the restart"
    ports = world.ports()
    told_once(ports, found := ports.rollouts.decisions(MODEL, experiment))
    assert {one.action for one in found} == {RolloutAction.HOLD}
    assert len({str(counted(one.totals)) for one in found}) == 1
    assert running_rollout(ports.ledger.rows(MODEL)).experiment == experiment


def tries_for(ask: Callable[[], Any]) -> Any:
    """Return an answer, however often it takes."""
    found: list[Any] = []
    tries(lambda: found.append(ask()))
    return found[-1]


# --- the fold of the events: killed at any moment


def fold_storm(tmp_path: Path, url: str, *, kills: int, seed: int = 3) -> None:
    """Kill two counting processes again and again; then hold the count against the truth."""
    world = RolloutWorld(tmp_path / "home", spec=AB, url=url)
    rollout = world.begin()
    users = LoggedUsers(rollout, hours=20, units=1_500)
    users.write(world.settings.serving_dir)
    folding = Folding(
        settings=world.settings, url=world.url, rollout=rollout, begins=users.begins, hours=users.hours
    )
    draw = random.Random(seed)  # noqa: S311
    begun, killed = 1, []
    while len(killed) < kills:
        processes = [counting_process(folding, begun) for _ in range(2)]
        # However busy the machine is, some are killed in the middle: every second time after a counted hour.
        counted_one = processes[0].hear() if len(killed) % 4 else None
        time.sleep(draw.uniform(0.0, 0.8))
        for process, heard in zip(processes, (counted_one, None), strict=True):
            process.kill()
            killed.append([heard or 0, *process.rest()][-1])
        begun = min(max(1, *killed[-2:]), users.hours)
    assert any(0 < hour < users.hours for hour in killed), f"none was killed in the middle: {killed}"
    totals = world.events().totals(rollout, now=users.ends)
    same_as_tally(totals, rollout, users.tally)
    fresh = RolloutWorld(tmp_path / "fresh", spec=AB)
    assert counted(recount(fresh, rollout, users)) == counted(totals)


def counting_process(folding: Folding, begun: int) -> Counting:
    """Start a process that counts, and wait until it begins."""
    process = Counting(fold_process.main, folding, begun)
    assert process.hear() == "ready"
    return process


def recount(world: RolloutWorld, rollout: Any, users: LoggedUsers) -> StepTotals:
    """Count the same log in one go, in an installation where nothing was counted before."""
    users_again = LoggedUsers(rollout, hours=users.hours, units=users.units)
    users_again.write(world.settings.serving_dir)
    return world.events().totals(rollout, now=users.ends)


def test_folds_killed_at_random_moments_count_nothing_twice_and_lose_nothing(tmp_path):
    fold_storm(tmp_path, "", kills=8)


@pytest.mark.acceptance
@pytest.mark.parametrize("seed", range(4))
def test_a_long_storm_of_killed_folds(tmp_path, url, seed):
    fold_storm(tmp_path, url, kills=40, seed=seed)


# --- a worker of the server, under load


def logged(settings: Any, kind: str) -> list[Any]:
    found: list[Any] = []
    for file in (settings.serving_dir / "log" / kind).rglob("*.ndjson"):
        segment = read_segment(file.read_bytes(), kind)
        assert not segment.unreadable
        found += segment.events
    return found


def unit_of(answers: dict[str, Any], name: str) -> str | None:
    return answers[name].unit if name in answers else None


def test_a_worker_killed_under_load_flips_no_user_and_is_counted_exactly(tmp_path):
    settings = make_settings(tmp_path / "home")
    with running(settings, workers=2) as server:
        router = ServerRouter(server.address, settings.read_admin_token)
        world = RolloutWorld(tmp_path / "home", spec=AB, settings=settings, router=router)
        rollout = world.begin()
        users = Users(
            server_url=server.address,
            model=MODEL,
            rows=[{**ROW, "age": 20.0 + number} for number in range(60)],
            rates={"1": 0.1, "2": 0.2},
            doubled=0.2,
            at_once=5,
            patience_seconds=30,
        )
        with users.coming(per_second=400) as tally:
            for goal in (300, 900):
                wait_until(lambda g=goal: len(tally.version_of) > g, seconds=60, what="traffic")
                victim = random.Random(goal).choice(server.worker_pids())  # noqa: S311
                os.kill(victim, signal.SIGKILL)
                wait_until(
                    lambda v=victim: len(server.worker_pids()) == 2 and v not in server.worker_pids(),
                    seconds=60,
                )
            wait_until(lambda: len(tally.version_of) > 1_500, seconds=60, what="traffic")
        users.come_again()
        assert tally.moved == [], "a unit has changed its arm"
        assert server.stop() == 0
    predictions, outcomes = logged(settings, "predictions"), logged(settings, "outcomes")
    names = {event.prediction_id for event in predictions}
    lost = sum(tally.answers.values()) - len(names)
    assert 0 <= lost < 0.2 * len(names), "rows of the second before a kill, no more"
    totals = world.events().totals(rollout, now=world.ports().now())
    arms = {"1": totals.champion, "2": totals.challenger}
    for version, found in arms.items():
        mine = {event.prediction_id: event for event in predictions if event.version == version}
        assert found.exposures == len(mine)
        units = {event.unit for event in mine.values()}
        assert found.units == len(units)
        # Where a lost row was a unit's first, its outcome may have come long before all that is known of it.
        since: dict[str, Any] = {}
        for event in sorted(mine.values(), key=lambda event: event.receive_time):
            since.setdefault(event.unit, event.receive_time)
        named = {
            unit
            for event in outcomes
            if (unit := event.unit or unit_of(mine, event.prediction_id)) in units
            and event.receive_time >= since[unit] - TOLERANCE
        }
        assert found.metrics["conversion"].num == len(named)
        assert named <= tally.converted[version]
    assert totals.moved == totals.strange == totals.damaged == 0
    assert tally.told + tally.repeated <= len(outcomes), "an acknowledged outcome is lost"
    assert totals.outcomes + totals.repeated_outcomes + totals.unknown + totals.early == len(outcomes)
