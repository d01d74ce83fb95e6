"""What becomes of challengers that are equal, harmful, split unfairly, asked about, or tried in steps."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.stack import wait_for, write_like_tried
from support.tried import Tried
from windsock.cli.demo_traffic import MovedRow, send_traffic
from windsock.records import LedgerAction, RolloutAction, RolloutOutcome, Status
from windsock.rollout.assignment import assign

pytestmark = [pytest.mark.e2e, pytest.mark.acceptance]

BLOCKS: dict[str, dict[str, Any]] = {
    "equal": {"horizon": "60s", "looks": 3},
    "harmful": {},
    "broken": {},
    "killed": {},
    "shadowed": {"strategy": "shadow", "metric": "accuracy", "promote": {"not_worse": 0.1}},
    "asked": {"approve": True},
    "stepwise": {
        "strategy": "canary",
        "steps": [10, 50, 100],
        "bake": "10s",
        "minimum_units": 400,
        "promote": {"not_worse": 0.05},
    },
}
USERS = 3_000


@pytest.fixture(scope="module")
def models(live):
    """A model for each scenario, written into the stack that runs."""
    write_like_tried(live.stack.models, BLOCKS)
    for name in BLOCKS:
        live.await_dag(f"{name}__ab_rollout")
    return live.stack.models


@pytest.fixture
def begun(live, models, request):
    """A model whose second version has begun its rollout, and that rollout."""
    tried = Tried(live, request.param)
    assert [tried.make_version(), tried.make_version()] == ["1", "2"]
    live.admin.set_paused(tried.dag_id, paused=False)
    yield tried, tried.await_rollout()
    live.admin.set_paused(tried.dag_id, paused=True)
    for run in live.admin.runs(tried.dag_id):
        if run["state"] in ("queued", "running"):
            live.admin.fail_run(tried.dag_id, run["dag_run_id"])


def champion_of(tried: Tried) -> str:
    champion = tried.ports.ledger.champion(tried.name)
    state = tried.ports.router.state(tried.name)
    assert champion is not None
    assert state is not None
    serving = [slot.version for slot in state.plan.slots if slot.share == 10_000]
    assert serving == [champion.version]
    assert state.plan.experiment is None
    return champion.version


@pytest.mark.parametrize("begun", ["equal"], indirect=True)
def test_an_equal_challenger_is_not_promoted(begun):
    tried, rollout = begun
    tried.users(rollout, challenger=0.1).send(USERS)
    end = tried.await_end(rollout)
    assert end.outcome is RolloutOutcome.KEPT
    assert champion_of(tried) == "1"
    assert RolloutAction.PROMOTE not in {one.action for one in tried.decisions(rollout)}
    assert tried.decisions(rollout)[-1].estimate.method == "group_sequential"


@pytest.mark.parametrize("begun", ["harmful"], indirect=True)
def test_a_harmful_challenger_is_rolled_back(begun):
    tried, rollout = begun
    tried.users(rollout, challenger=0.04).send(USERS)
    end = tried.await_end(rollout)
    assert end.outcome is RolloutOutcome.ROLLED_BACK
    assert champion_of(tried) == "1"
    last = tried.decisions(rollout)[-1]
    assert last.action is RolloutAction.ROLL_BACK
    failed = [check for check in last.checks if check.status is Status.FAIL]
    assert any("harm" in check.name for check in failed), last.checks
    (back,) = [row for row in tried.rows if row.action is LedgerAction.ROLL_BACK]
    assert back.body["rolled_back"] == rollout.digest


def kill_part(live, *words: str) -> None:
    """Kill a process of the stack that has these words on its command line, at once; it is started again."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0") for pid in live.pids}
    pid = min(pid for pid, command in commands.items() if set(words) <= set(command))
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("begun", ["killed"], indirect=True)
def test_killed_triggerer_and_scheduler_change_nothing(live, begun):
    tried, rollout = begun
    kill_part(live, "triggerer")
    users = tried.users(rollout, challenger=0.3)
    users.send(USERS // 2)
    kill_part(live, "scheduler")
    users.send(USERS // 2)
    end = tried.await_end(rollout)
    assert end.outcome is RolloutOutcome.PROMOTED
    assert champion_of(tried) == "2"
    totals = tried.await_totals(rollout, users.tally)
    assert totals.units == users.tally.units("1") + users.tally.units("2")
    assert totals.repeated_exposures == totals.repeated_outcomes == totals.moved == 0
    decisions = tried.decisions(rollout)
    assert [one.number for one in decisions] == list(range(1, len(decisions) + 1))
    assert len([row for row in tried.rows if row.action is LedgerAction.INTEND]) == 2, "one for each version"


@pytest.mark.parametrize("begun", ["broken"], indirect=True)
def test_a_broken_split_is_held_and_never_promoted(live, begun):
    tried, rollout = begun
    shares = {"challenger": rollout.share, "champion": 10_000 - rollout.share}

    def is_dropped(unit: str) -> bool:
        arm = assign(unit, salt=rollout.salt, experiment=rollout.experiment, shares=shares)
        return arm == "challenger" and unit[-1] in "123"

    users = tried.users(rollout, challenger=0.25, skips=is_dropped)
    users.send(USERS)
    tally = users.tally
    assert tally.units("2") < 0.8 * tally.units("1"), "the client computes the arms as the server does"
    tried.await_totals(rollout, tally)
    for decision in (tried.await_looks(rollout, 1), tried.await_looks(rollout, 2)):
        assert decision.action is RolloutAction.HOLD
        (ratio,) = [check for check in decision.checks if check.name == "sample_ratio"]
        assert ratio.status is Status.FAIL
        assert ratio.value is not None
        assert ratio.value < 0.0005
    assert tried.end_of(rollout) is None
    live.admin.trigger(tried.dag_id, {"action": "stop", "reason": "the split is broken"})
    end = tried.await_end(rollout)
    assert end.outcome is RolloutOutcome.STOPPED
    assert champion_of(tried) == "1"


def question_of(live, tried: Tried, *, but: str = "") -> str:
    """Wait until a run asks a person, and return that run.

    :param but: a run whose question is about a rollout that is over.
    """
    found: list[str] = []

    def is_asked() -> bool:
        asking = [one["task_instance"]["dag_run_id"] for one in live.reviewer.open_questions(tried.dag_id)]
        found.extend(run_id for run_id in asking if run_id != but)
        return bool(found)

    wait_for(is_asked, seconds=240, what=f"a question of {tried.dag_id}")
    return found[-1]


@pytest.mark.parametrize("begun", ["asked"], indirect=True)
def test_harm_rolls_back_while_a_person_is_asked_and_the_next_one_is_approved(live, begun):
    tried, rollout = begun
    tried.users(rollout, challenger=0.3).send(1_000)
    asked = question_of(live, tried)
    assert tried.end_of(rollout) is None
    assert tried.ports.ledger.champion(tried.name).version == "1"
    worse = tried.users(rollout, challenger=0.0, champion=0.4, name=f"{rollout.experiment}-later")
    worse.send(2 * USERS)
    end = tried.await_end(rollout)
    assert end.outcome is RolloutOutcome.ROLLED_BACK
    assert champion_of(tried) == "1"

    assert tried.make_version() == "3"
    again = tried.await_rollout()
    assert again.version == "3"
    tried.users(again, challenger=0.3).send(1_000)
    run_id = question_of(live, tried, but=asked)
    assert live.answer(live.reviewer, tried.dag_id, run_id, "Approve") == "success"
    assert tried.await_end(again).outcome is RolloutOutcome.PROMOTED
    assert champion_of(tried) == "3"
    approvals = [row for row in tried.rows if row.action is LedgerAction.APPROVE and row.version == "3"]
    assert [(row.actor, row.body["experiment"]) for row in approvals] == [("reviewer", again.experiment)]


@pytest.mark.parametrize("begun", ["stepwise"], indirect=True)
def test_a_canary_goes_through_its_steps(begun):
    tried, rollout = begun
    users = tried.users(rollout, challenger=0.1, visits=3.0)
    with users.coming(per_second=150) as tally:
        end = tried.await_end(rollout)
    assert end.outcome is RolloutOutcome.PROMOTED
    assert champion_of(tried) == "2"
    shifts = [row for row in tried.rows if row.action is LedgerAction.SHIFT]
    shares = [
        slot["share"]
        for row in shifts
        for slot in row.body["plan"]["slots"]
        if slot["digest"] == rollout.digest
    ]
    assert shares == [1_000, 5_000]
    assert {(was, now) for _, was, now in tally.moved} <= {("1", "2")}, "a growing share only adds units"
    actions = [one.action for one in tried.decisions(rollout)]
    assert actions.count(RolloutAction.ADVANCE) == 1
    assert actions[-1] is RolloutAction.PROMOTE


@pytest.mark.parametrize("begun", ["shadowed"], indirect=True)
def test_a_shadow_is_promoted_by_what_turns_out_to_be_true(live, begun):
    tried, rollout = begun
    assert rollout.share == 0
    snapshot = tried.ports.snapshots.latest(tried.name)
    frame = tried.ports.snapshots.load(snapshot).astype(object)
    fields = [field.name for field in tried.schema(rollout).fields]
    rows = [
        MovedRow(
            unit=f"shadow-{number}", features={name: row[name] for name in fields}, outcome=row["bought"]
        )
        for number, row in enumerate(frame.to_dict("records"))
    ]
    assert send_traffic(live.stack.server_url, tried.name, rows) == len(rows)
    end = tried.await_end(rollout)
    assert end.outcome is RolloutOutcome.PROMOTED, end
    assert champion_of(tried) == "2"
    last = tried.decisions(rollout)[-1]
    assert last.totals.champion.units == last.totals.challenger.units == len(rows)
    assert last.estimate.metric == "accuracy"
    assert last.estimate.champion is not None
    assert last.estimate.champion > 0.7
