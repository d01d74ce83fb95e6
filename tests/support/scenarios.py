"""The long scenarios of the stack, each told by a function: they run side by side on one stack."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from support.refusing import REFUSED, refusing
from support.stack import LiveStack, wait_for
from support.tried import Tried, ports_of, retrain_here
from windsock.cli.demo_traffic import moved_rows, send_traffic
from windsock.cli.demo_users import Users
from windsock.ports import Ports
from windsock.records import (
    InputSchema,
    Rollout,
    RolloutDecision,
    RolloutEnd,
    StepTotals,
    running_rollout,
)
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.spec.loader import find_model

MOVED_ROWS = 3_000
FEW_ROWS = 30
"""Rows of a window that has too few for a verdict."""
USERS = 2_000


@dataclass(frozen=True, kw_only=True)
class DriftStory:
    """The world of the model ``moving`` moves; one retrain follows.

    :param moved: the end of the window in which it moved.
    :param retrained: the run that the drift started, at its end.
    """

    ports: Ports
    spec: ModelSpec
    moved: datetime
    retrained: str


@dataclass(frozen=True, kw_only=True)
class RolloutStory:
    """A retrain of the model ``tried`` makes version 2, which is tried on users who like it.

    :param retrained: the retrain's run.
    :param users: all of them came while the rollout was paused.
    :param counted: what the log held of them then.
    :param held: what was decided while the rollout was paused and everything had been seen.
    :param ended: how it ended after it was resumed.
    """

    tried: Tried
    retrained: str
    rollout: Rollout
    users: Users
    counted: StepTotals
    held: RolloutDecision
    ended: RolloutEnd


def drift_story(live: LiveStack) -> DriftStory:
    """Let a version serve, send traffic that moved in one window, and wait for the retrain that follows."""
    settings = Settings.from_environment(live.stack.environment())
    ports = ports_of(settings)
    spec = find_model(settings.models_dir, "moving", shared_file=settings.shared_file)
    monitor, retrain = "moving__monitor", "moving__drift_retrain"
    assert retrain_here(ports, spec, "made-1") == "1"
    for dag_id in (monitor, retrain):
        live.await_dag(dag_id)
        live.admin.set_paused(dag_id, paused=False)
    moved = send_moved(live, ports, spec)
    wait_for(lambda: live.admin.runs(retrain), seconds=300, what="a run of the retrain on drift")
    run_id = live.admin.runs(retrain)[-1]["dag_run_id"]
    state = live.await_state(retrain, run_id)
    assert state == "success", live.failures(retrain, run_id)
    later = send_moved(live, ports, spec, rows=FEW_ROWS)
    wait_for(
        lambda: _judged(live, monitor, later), seconds=400, what="a run of the monitor after the retrain"
    )
    live.admin.set_paused(monitor, paused=True)
    return DriftStory(ports=ports, spec=spec, moved=moved, retrained=run_id)


def _judged(live: LiveStack, monitor: str, since: datetime) -> bool:
    """Say whether a run of the monitor for a window after a time has ended well."""
    return any(
        run["state"] == "success" and datetime.fromisoformat(run["run_after"]) >= since
        for run in live.admin.runs(monitor)
    )


def send_moved(live: LiveStack, ports: Ports, spec: ModelSpec, rows: int = MOVED_ROWS) -> datetime:
    """Send moved traffic within one window; return when that window closes."""
    block, address = spec.monitoring, f"{live.stack.server_url}/models/{spec.name}"
    snapshot = ports.snapshots.latest(spec.name)
    assert snapshot is not None
    answer = httpx.get(address, timeout=10, trust_env=False).raise_for_status()
    schema = InputSchema.model_validate(answer.json()["schema"])
    sent = moved_rows(ports.snapshots.load(snapshot), schema, spec, rows)

    def closes() -> datetime:
        return block.window_end(datetime.now(UTC) + block.lateness_allowance) + block.window_length

    def begins() -> bool:
        return closes() - datetime.now(UTC) > 0.75 * block.window_length

    wait_for(begins, seconds=2 * block.window_length.total_seconds(), what="the first part of a window")
    end = closes()
    assert send_traffic(live.stack.server_url, spec.name, sent) == rows
    assert datetime.now(UTC) < end, "the machine was too slow to send all rows within one window"
    return end


def rollout_story(live: LiveStack) -> RolloutStory:
    """Make two versions of ``tried``, send users who like the second, and wait for the rollout's end."""
    tried = Tried(live, "tried")
    assert tried.make_version() == "1"
    live.await_dag(tried.dag_id)
    live.admin.set_paused(tried.dag_id, paused=False)
    tried.grow()
    retrained = live.run_green("tried__daily_retrain")
    rollout = tried.await_rollout()
    tried.steer("pause")
    users = tried.users(rollout, challenger=0.25, doubled=0.2)
    users.send(USERS)
    users.come_again()
    counted = tried.await_totals(rollout, users.tally)
    held = tried.await_looks(rollout, 1)
    tried.steer("resume")
    live.admin.trigger(tried.dag_id)
    ended = tried.await_end(rollout)
    return RolloutStory(
        tried=tried,
        retrained=retrained,
        rollout=rollout,
        users=users,
        counted=counted,
        held=held,
        ended=ended,
    )


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """How users of a rollout, or its challenger, lack what a promotion needs.

    :param refuses: whether the challenger has no answer to a third of the users.
    :param outcome: what each fifth user is told to have done; ``None``: nothing is told.
    """

    refuses: bool = False
    outcome: Any = None


LACKING = {
    "no_outcomes": Lacking(),
    "another_word": Lacking(outcome="purchase"),
    "refusing": Lacking(refuses=True, outcome=True),
    "failing_shadow": Lacking(refuses=True),
}
"""By model."""
UNITS, AT_ONCE = 600, 25


@dataclass(frozen=True, kw_only=True)
class LackingStory:
    """A rollout that lacks what a promotion needs, from its start to its end."""

    tried: Tried
    rollout: Rollout
    ended: RolloutEnd


def lacking_story(name: str) -> Callable[[LiveStack], LackingStory]:
    """Return the story of such a rollout: its users come at once, then it is left to its end."""

    def story(live: LiveStack) -> LackingStory:
        tried, lacking = Tried(live, name), LACKING[name]
        assert tried.make_version() == "1"
        if lacking.refuses:
            tried.ports = refusing(tried.ports)
        assert tried.make_version() == "2"
        live.await_dag(tried.dag_id)
        live.admin.set_paused(tried.dag_id, paused=False)
        rollout = tried.await_rollout()
        _ask_and_tell(tried, rollout, lacking)
        live.admin.trigger(tried.dag_id)
        ended = tried.await_end(rollout)
        live.admin.set_paused(tried.dag_id, paused=True)
        return LackingStory(tried=tried, rollout=rollout, ended=ended)

    return story


def _ask_and_tell(tried: Tried, rollout: Rollout, lacking: Lacking) -> None:
    """Ask for each user once, for those by themselves whom the challenger refuses; tell what they did."""
    snapshot = tried.ports.snapshots.latest(tried.name)
    assert snapshot is not None
    names = [field.name for field in tried.schema(rollout).fields]
    usual = tried.ports.snapshots.load(snapshot)[names].astype(object).to_dict("records")
    units = [f"{rollout.experiment}-{number}" for number in range(UNITS)]
    alone = units[::3] if lacking.refuses else []
    others = [unit for unit in units if unit not in set(alone)]
    groups = [others[start : start + AT_ONCE] for start in range(0, len(others), AT_ONCE)]
    url = tried.live.stack.server_url
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for number, group in enumerate([*groups, *([unit] for unit in alone)]):
            row = usual[number % len(usual)] | (REFUSED if len(group) == 1 else {})
            body = {"features": [row] * len(group), "unit": group}
            answer = client.post(f"/models/{tried.name}/predict", json=body)
            assert answer.status_code in ((200, 422) if len(group) == 1 else (200,)), answer.text
        for unit in units[::5] if lacking.outcome is not None else ():
            told = {"model": tried.name, "unit": unit, "event_id": unit, "outcome": lacking.outcome}
            client.post("/outcomes", json=told).raise_for_status()


@dataclass(frozen=True, kw_only=True)
class SeveralStory:
    """Versions 2 and 3 are tried at once: users like 2, and do not like 3.

    :param rollout: at its start.
    :param alone: what was waiting while version 2 waited alone.
    :param counted: what the log held when all users had come, before they came again.
    :param dropped: the rollout once version 3 was dropped, while a person had paused it.
    :param users: after that all of them came once more.
    """

    tried: Tried
    alone: str
    rollout: Rollout
    users: Users
    counted: StepTotals
    dropped: Rollout
    ended: RolloutEnd


def several_story(live: LiveStack) -> SeveralStory:
    """Let two versions of ``several`` be tried at once, drop the worse one, and wait for the end."""
    tried = Tried(live, "several")
    assert [tried.make_version() for _ in range(2)] == ["1", "2"]
    live.await_dag(tried.dag_id)
    live.admin.set_paused(tried.dag_id, paused=False)
    alone = live.run_green(tried.dag_id)
    assert running_rollout(tried.rows) is None
    assert tried.make_version() == "3"
    live.admin.trigger(tried.dag_id)
    rollout = tried.await_rollout()
    tried.steer("pause")
    users = tried.users(rollout, challenger=0.4, rates={"1": 0.15, "2": 0.4, "3": 0.02})
    users.send(USERS)
    counted = tried.await_totals(rollout, users.tally)
    live.admin.trigger(tried.dag_id)
    dropped = tried.await_drop(rollout)
    users.come_again()
    tried.steer("resume")
    live.admin.trigger(tried.dag_id)
    ended = tried.await_end(rollout)
    live.admin.set_paused(tried.dag_id, paused=True)
    return SeveralStory(
        tried=tried,
        alone=alone,
        rollout=rollout,
        users=users,
        counted=counted,
        dropped=dropped,
        ended=ended,
    )


def in_background(story: Callable[[LiveStack], Any], live: LiveStack) -> Future[Any]:
    """Tell a story in a thread of its own; a run that ends before does not wait for it."""
    told: Future[Any] = Future()

    def tell() -> None:
        try:
            told.set_result(story(live))
        except BaseException as error:
            told.set_exception(error)

    threading.Thread(target=tell, name=story.__name__, daemon=True).start()
    return told
