"""A rollout of several challengers from its start to its promotion, each look by ``judge_rollout``."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from support.builders import make_spec
from support.rollout_cases import make_arm, make_totals
from support.rollout_steps import prove, running, shift, start, steer
from support.world import MODEL, deploy, promote, shares, version_of, world_of
from windsock.ports import MODEL_VERSION
from windsock.records import (
    JudgeRolloutInput,
    RolloutAction,
    RolloutDecision,
    champion_of,
    was_rolled_back,
)
from windsock.rollout.judge_rollout import judge_rollout

SPEC = make_spec(rollout={"strategy": "ab", "share": 75, "metric": "conversion", "challengers": 3})
EQUAL, GOOD, BAD = 2_000, 2_500, 1_500
UNITS = 20_000


def started() -> Any:
    """Return a world where versions 2, 3 and 4 are tried, eight days ago by now."""
    ports = world_of(1)
    for number in (2, 3, 4):
        deploy(ports, number, spec=SPEC)
        promote(ports, number, spec=SPEC, run_id=f"run-{number}")
    start(ports, spec=SPEC)
    ports.now.time = running(ports).started_at + timedelta(days=8)
    return ports


def judge(ports: Any, *hits: int) -> RolloutDecision:
    """Look at the rollout: the champion converts 2,000 of 20,000 units, its challengers as named."""
    name = running(ports).experiment
    arms = [make_arm(UNITS, {"conversion": many}) for many in (EQUAL, *hits)]
    ports.events.seen[(name, 0)] = make_totals(*arms[:2], others=tuple(arms[2:]), experiment=name)
    ports.now.time += timedelta(hours=1)
    return judge_rollout(JudgeRolloutInput(spec=SPEC), ports, "")


def added(ports: Any, version: int) -> dict[str, Any]:
    """Return what was added to the tracking run of a version's rollout."""
    (run_id,) = (
        run_id
        for run_id, draft in ports.tracker.runs.items()
        if draft.tags.get(MODEL_VERSION) == str(version) and draft.tags.get("windsock.kind") == "rollout"
    )
    return ports.tracker.added[run_id]


def test_the_worst_is_dropped_and_then_the_best_promoted_with_all_in_its_evidence():
    ports = started()
    name = running(ports).experiment
    drop = judge(ports, EQUAL, GOOD, BAD)
    assert (drop.action, drop.version) == (RolloutAction.DROP, "4")
    assert judge(ports, EQUAL, GOOD, BAD).unchanged  # it is still to be carried out
    moved = shift(ports, drop, spec=SPEC)
    assert "version 4 is dropped" in moved.reason
    assert shares(ports) == {"1": 2_500, "2": 2_500, "3": 2_500, "4": 2_500}
    steer(ports, "pause")
    held = judge(ports, EQUAL, GOOD, BAD)
    assert (held.action, held.looks[2].withdrawn) == (RolloutAction.HOLD, True)
    steer(ports, "resume")
    made = judge(ports, EQUAL, GOOD, BAD)
    assert (made.action, made.version) == (RolloutAction.PROMOTE, "3")
    pack = json.loads(ports.bundles.documents[made.evidence_uri])
    assert [one["version"] for one in pack["decision"]["looks"]] == ["2", "3", "4"]
    assert [one["action"] for one in pack["decisions"]] == ["drop", "hold", "promote"]
    registered = {row["version"] for row in pack["ledger"] if row["action"] == "register"}
    assert registered == {"2", "3", "4"}
    assert any(row["body"].get("withdrawn") for row in pack["ledger"])
    assert not prove(ports, 3, name, spec=SPEC).held
    rows = ports.ledger.rows(MODEL)
    assert champion_of(rows).version == "3"
    assert was_rolled_back(rows, version_of(4).digest)


def test_a_promotion_that_waits_has_a_short_pack_until_another_challenger_is_dropped():
    ports = started()
    first, second = judge(ports, EQUAL, GOOD, EQUAL), judge(ports, EQUAL, GOOD, EQUAL)
    packs = [json.loads(ports.bundles.documents[one.evidence_uri]) for one in (first, second)]
    assert ["ledger" in pack for pack in packs] == [True, False]
    shift(ports, judge(ports, EQUAL, GOOD, BAD), spec=SPEC)
    third = judge(ports, EQUAL, GOOD, BAD)
    assert third.action is RolloutAction.PROMOTE
    assert "ledger" in json.loads(ports.bundles.documents[third.evidence_uri])


def test_each_version_has_the_numbers_of_its_own_in_its_tracking_run():
    ports = started()
    decision = judge(ports, EQUAL, GOOD, BAD)
    name = decision.experiment
    for number, difference in ((2, 0.0), (3, 0.025), (4, -0.025)):
        told = added(ports, number)
        assert round(told["metrics"]["rollout_difference"], 6) == difference
        assert told["metrics"]["rollout_units_challenger"] == UNITS
        assert told["tags"] == {
            "windsock.rollout": name,
            "windsock.rollout_decision": "drop",
            "windsock.rollout_decision_version": "4",
        }
    shift(ports, decision, spec=SPEC)
    judge(ports, EQUAL, EQUAL, EQUAL)
    assert added(ports, 4)["tags"]["windsock.rollout_decision"] == "drop"  # it is judged no more
    assert added(ports, 3)["tags"]["windsock.rollout_decision"] == "hold"


def with_page(ports: Any) -> set[str]:
    """Return the versions whose tracking run has the page of the rollout that is under way."""
    name = running(ports).experiment
    return {str(number) for number in (2, 3, 4) if f"rollout/{name}.html" in added(ports, number)["files"]}


@pytest.mark.parametrize(
    ("hits", "action", "where"),
    [
        ((EQUAL, EQUAL, EQUAL), "hold", {"2"}),
        ((EQUAL, GOOD, EQUAL), "promote", {"2", "3"}),
        ((GOOD, EQUAL, EQUAL), "promote", {"2"}),
        ((EQUAL, GOOD, BAD), "drop", {"2", "4"}),
        ((EQUAL, BAD, BAD), "drop", {"2", "3", "4"}),
        ((BAD, BAD, BAD), "roll_back", {"2", "3", "4"}),
    ],
)
def test_the_page_is_in_the_run_of_each_version_that_a_decision_is_about(hits, action, where):
    ports = started()
    decision = judge(ports, *hits)
    assert decision.action.value == action
    assert with_page(ports) == where
    # A link to a promotion's page leads to the version that is promoted.
    promoted = decision.version if action == "promote" else "2"
    run_id = next(
        run_id
        for run_id, draft in ports.tracker.runs.items()
        if draft.tags.get(MODEL_VERSION) == promoted and draft.tags.get("windsock.kind") == "rollout"
    )
    assert run_id in (decision.report_uri or "")


def test_the_page_of_a_drop_stays_in_its_run_when_another_version_is_promoted():
    ports = started()
    shift(ports, judge(ports, EQUAL, GOOD, BAD), spec=SPEC)
    assert judge(ports, EQUAL, GOOD, BAD).action is RolloutAction.PROMOTE
    assert with_page(ports) == {"2", "3", "4"}
    kept = json.loads(added(ports, 4)["files"][f"rollout/{running(ports).experiment}.json"])
    assert kept["action"] == "drop"  # it is in no later look
