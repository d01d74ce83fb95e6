"""Two versions are tried at once: the worse one is dropped alone, the better one is promoted."""

from __future__ import annotations

import pytest

from support.scenarios import USERS
from windsock.records import (
    LedgerAction,
    RolloutAction,
    RolloutOutcome,
    was_rolled_back,
)

pytestmark = pytest.mark.e2e


def test_one_that_waits_alone_waits_for_the_other(live, several):
    logged = [
        line.event
        for task, log in live.logs(several.tried.dag_id, several.alone)
        if task.task_id == "start_rollout"
        for line in log
    ]
    assert "version 2 waits for others: a rollout tries 2 versions" in "\n".join(logged)


def test_each_has_its_lane_and_every_unit_stays_in_it(several):
    rollout, tally = several.rollout, several.users.tally
    assert [one.version for one in rollout.challengers] == ["2", "3"]
    assert (rollout.share, rollout.share_each) == (6_600, 3_300)
    for version in ("1", "2", "3"):
        assert 0.28 * USERS < tally.units(version) < 0.39 * USERS


def test_each_arm_has_what_its_users_did(several):
    tally, counted = several.users.tally, several.counted
    by_version = dict(zip(("1", "2", "3"), counted.arms, strict=True))
    for version, arm in by_version.items():
        assert arm.units == tally.units(version)
        assert arm.metrics["conversion"].num == tally.conversions(version)
    assert (counted.strange, counted.moved, counted.unknown) == (0, 0, 0)


def test_the_worse_one_is_dropped_although_a_person_has_paused_the_rollout(several):
    assert several.dropped.paused_by is not None
    assert [one.version for one in several.dropped.active] == ["2"]
    drop = next(one for one in several.tried.decisions(several.rollout) if one.action is RolloutAction.DROP)
    assert [one.version for one in drop.dropped] == ["3"]
    assert "guardrail:harm" in drop.reason
    digest = several.rollout.challengers[1].digest
    assert was_rolled_back(several.tried.rows, digest)


def test_its_users_are_answered_by_the_champion_and_by_no_other(several):
    tally = several.users.tally
    assert {(before, now) for _, before, now in tally.moved} == {("3", "1")}
    assert len(tally.moved) == tally.units("3")


def test_the_better_one_is_promoted(several):
    assert (several.ended.outcome, several.ended.version) == (RolloutOutcome.PROMOTED, "2")
    assert several.ended.tried == ("2", "3")
    champion, state = (
        several.tried.ports.ledger.champion("several"),
        several.tried.ports.router.state("several"),
    )
    assert champion.version == "2"
    assert [slot.version for slot in state.plan.slots if slot.share == 10_000] == ["2"]
    assert not any(slot.withdrawn for slot in state.plan.slots)
    commits = [row.version for row in several.tried.rows if row.action is LedgerAction.COMMIT]
    assert commits == ["1", "2"]


def test_what_was_decided_is_signed_and_complete(several):
    ports, rollout = several.tried.ports, several.rollout
    decisions = several.tried.decisions(rollout)
    assert [one.number for one in decisions] == list(range(1, len(decisions) + 1))
    assert ports.rollouts.missing("several", rollout.experiment) == ()
    last = decisions[-1]
    assert last.action is RolloutAction.PROMOTE
    assert [(one.version, one.withdrawn) for one in last.looks] == [("2", False), ("3", True)]
    page = ports.rollout_reporter.html(rollout, decisions).decode()
    assert "version 3" in page
