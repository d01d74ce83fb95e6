"""Several versions in one rollout: how they wait, begin, are dropped, and end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.builders import digest, make_spec
from support.fakes import FakeRouter
from support.rollout_steps import advance, decided, end, prove, running, shift, start, steer
from support.rollouts import make_look
from support.world import MODEL, actions, deploy, left_of, promote, shares, survives_kills, world_of
from windsock.exceptions import DeploymentRefusedError, RolloutRefusedError, SpecError
from windsock.records import (
    ChallengerLook,
    LedgerAction,
    ProbeResult,
    RolloutAction,
    RolloutOutcome,
    RunContext,
    ended_rollouts,
    retrains_by_rollout,
    running_rollout,
    waiting_rows,
    was_rolled_back,
)
from windsock.spec import ModelSpec


def several(number: int = 3, **block: Any) -> ModelSpec:
    """Return the file of a model that tries so many versions at once."""
    usual = {"strategy": "canary", "steps": [6, 30, 100], "challengers": number}
    return make_spec(rollout={**usual, **block})


THREE = several()


def waiting(*versions: int, spec: ModelSpec = THREE, **replaced: Any) -> Any:
    """Return a world where versions wait, after version 1 has become champion."""
    ports = world_of(1, **replaced)
    for number in versions:
        deploy(ports, number, spec=spec)
        promote(ports, number, spec=spec, run_id=f"run-{number}")
    return ports


def started(*versions: int, spec: ModelSpec = THREE, **replaced: Any) -> Any:
    """Return a world where a rollout tries these versions."""
    ports = waiting(*(versions or (2, 3, 4)), spec=spec, **replaced)
    start(ports, spec=spec)
    return ports


def dropping(ports: Any, *versions: str) -> Any:
    """Keep a decision that drops these versions."""
    rollout = running(ports)
    shape = make_look(1, "hold")
    looks = tuple(
        ChallengerLook(
            version=one.version,
            digest=one.digest,
            action=RolloutAction.ROLL_BACK if one.version in versions else RolloutAction.HOLD,
            reason="errors",
            checks=shape.checks,
            estimate=shape.estimate,
            withdrawn=one.digest in rollout.withdrawn,
        )
        for one in rollout.challengers
    )
    first = next(one for one in looks if one.version == versions[0])
    return decided(ports, "drop", version=first.version, digest=first.digest, looks=looks)


def withdrawn(ports: Any) -> list[str]:
    """Return the versions that the server answers by the champion."""
    return [slot.version for slot in ports.router.plans[MODEL].slots if slot.withdrawn]


class TestTheyWait:
    def test_all_that_the_file_asks_for_and_no_older_ones(self) -> None:
        ports = waiting(2, 3, 4, 5)
        rows = ports.ledger.rows(MODEL)
        assert [row.version for row in waiting_rows(rows, most=3)] == ["3", "4", "5"]
        assert [row.version for row in waiting_rows(rows, most=1)] == ["5"]

    def test_one_that_is_tried_takes_no_place_of_one_that_waits(self) -> None:
        two = several(2)
        ports = waiting(2, 3, spec=two)
        start(ports, spec=two, version="3")
        assert [row.version for row in waiting_rows(ports.ledger.rows(MODEL), most=2)] == ["2"]
        deploy(ports, 4, spec=two)
        promote(ports, 4, spec=two)
        assert [row.version for row in waiting_rows(ports.ledger.rows(MODEL), most=2)] == ["2", "4"]

    def test_an_older_one_that_made_place_does_not_come_back(self) -> None:
        one = several(1)
        ports = waiting(2, 3, spec=one)
        start(ports, spec=one)
        assert running(ports).version == "3"
        assert waiting_rows(ports.ledger.rows(MODEL), most=1) == []
        end(ports, running(ports).experiment)
        assert waiting_rows(ports.ledger.rows(MODEL), most=1) == []

    def test_for_each_other_for_a_while(self) -> None:
        ports = waiting(2, 3)
        state = start(ports, spec=THREE)
        assert (state.started, state.waiting) == (False, "2, 3")
        assert "versions 2 and 3 wait for others: a rollout tries 3 versions" in state.reason
        first = waiting_rows(ports.ledger.rows(MODEL), most=3)[0].at
        assert f"{first + timedelta(days=3):%Y-%m-%d %H:%M}" in state.reason
        ports.now.time += timedelta(days=3)
        assert start(ports, spec=THREE).started
        assert running(ports).versions == "2 and 3"

    def test_named_they_begin_at_once_and_the_others_do_not(self) -> None:
        ports = waiting(2, 3, 4)
        state = start(ports, spec=THREE, version="2, 4")
        assert state.started
        assert running(ports).versions == "2 and 4"
        assert shares(ports) == {"1": 9_400, "2": 300, "3": 0, "4": 300}

    def test_one_that_was_named_and_does_not_wait_begins_nothing(self) -> None:
        ports = waiting(2, 3)
        with pytest.raises(RolloutRefusedError, match="versions 7 and 9 do not wait"):
            start(ports, spec=THREE, version="2, 7, 9")
        assert running_rollout(ports.ledger.rows(MODEL)) is None

    def test_one_that_cannot_start_is_told_and_keeps_nobody_back(self) -> None:
        ports = waiting(2, 3, 4)
        rows = ports.ledger.rows(MODEL)
        row = next(row for row in rows if row.action is LedgerAction.REGISTER and row.version == "3")
        row.body["opponent"] = digest("7")
        ports.now.time += timedelta(days=3)
        state = start(ports, spec=THREE)
        assert running(ports).versions == "2 and 4"
        assert "WS-ROLLOUT-003: version 3 waits and cannot start" in state.reason

    def test_a_retrain_of_one_that_is_tried_says_so(self) -> None:
        ports = started()
        for number in (2, 3, 4):
            again = promote(ports, number, spec=THREE)
            assert again.unchanged
            assert "has its rollout v2-e6 now" in again.reason


class TestTheyBegin:
    def test_each_with_its_part_of_the_share(self) -> None:
        ports = started()
        assert shares(ports) == {"1": 9_400, "2": 200, "3": 200, "4": 200}
        rollout = running(ports)
        assert (rollout.share, rollout.share_each, rollout.versions) == (600, 200, "2, 3 and 4")
        assert [one.version for one in rollout.active] == ["2", "3", "4"]
        assert waiting_rows(ports.ledger.rows(MODEL), most=3) == []

    def test_and_grow_together(self) -> None:
        ports = started()
        advance(ports)
        assert shares(ports) == {"1": 7_000, "2": 1_000, "3": 1_000, "4": 1_000}

    def test_what_cannot_be_divided_leaves_the_rest_to_the_champion(self) -> None:
        ports = started(spec=several(3, strategy="ab", share=50, steps=[100]))
        assert shares(ports) == {"1": 5_002, "2": 1_666, "3": 1_666, "4": 1_666}

    def test_killed_anywhere_and_run_again_it_ends_the_same(self) -> None:
        survives_kills(lambda: waiting(2, 3, 4), lambda ports: start(ports, spec=THREE), effects=2)

    @pytest.mark.parametrize(
        "block",
        [
            {"strategy": "shadow", "challengers": 2},
            {"strategy": "direct", "challengers": 2},
            {"strategy": "canary", "steps": [0.02, 100], "challengers": 3},
            {"strategy": "canary", "steps": [1, 1.01, 100], "challengers": 2},
            {"strategy": "ab", "share": 0.03, "challengers": 4},
            {"strategy": "ab", "challengers": 5},
            {"strategy": "ab", "challengers": 0},
        ],
    )
    def test_a_file_that_asks_for_what_cannot_be_is_refused(self, block: dict[str, Any]) -> None:
        with pytest.raises((SpecError, ValueError)):
            make_spec(rollout=block)


class TestOneIsDropped:
    def test_its_units_stay_its_own_and_the_champion_answers_them(self) -> None:
        ports = started()
        before = running(ports)
        dropped = shift(ports, dropping(ports, "3"), spec=THREE)
        assert not dropped.unchanged
        assert dropped.reason == "version 3 is dropped; the champion answers its units"
        assert shares(ports) == {"1": 9_400, "2": 200, "3": 200, "4": 200}
        assert withdrawn(ports) == ["3"]
        after = running(ports)
        assert [one.version for one in after.active] == ["2", "4"]
        assert (after.step, after.step_epoch, after.step_since) == (
            before.step,
            before.step_epoch,
            before.step_since,
        )

    def test_it_stays_dropped_at_the_next_step(self) -> None:
        ports = started()
        shift(ports, dropping(ports, "3"), spec=THREE)
        advance(ports)
        assert shares(ports) == {"1": 7_000, "2": 1_000, "3": 1_000, "4": 1_000}
        assert withdrawn(ports) == ["3"]
        assert (running(ports).step, running(ports).withdrawn) == (1, (digest("3"),))

    def test_a_pause_does_not_hold_it_up(self) -> None:
        ports = started()
        steer(ports, "pause")
        shift(ports, dropping(ports, "2", "4"), spec=THREE)
        assert withdrawn(ports) == ["2", "4"]

    def test_twice_is_once(self) -> None:
        ports = started()
        look = dropping(ports, "3")
        shift(ports, look, spec=THREE)
        before = left_of(ports)
        again = shift(ports, look, spec=THREE)
        assert (again.unchanged, again.reason) == (True, "what it drops has been dropped already")
        assert left_of(ports) == before

    def test_killed_anywhere_and_run_again_it_ends_the_same(self) -> None:
        def make_world() -> Any:
            ports = started()
            dropping(ports, "3")
            return ports

        def act(ports: Any) -> Any:
            return shift(ports, ports.rollouts.decisions(MODEL, "v2-e6")[0], spec=THREE)

        survives_kills(make_world, act, effects=3)

    def test_the_last_one_is_not_dropped(self) -> None:
        ports = started()
        left = shift(ports, dropping(ports, "2", "3", "4"), spec=THREE)
        assert left.unchanged
        assert "no other challenger is left" in left.reason
        assert withdrawn(ports) == []

    def test_it_is_held_like_one_that_was_rolled_back(self) -> None:
        ports = started()
        shift(ports, dropping(ports, "3"), spec=THREE)
        rows = ports.ledger.rows(MODEL)
        assert was_rolled_back(rows, digest("3"))
        assert not was_rolled_back(rows, digest("2"))
        with pytest.raises(RolloutRefusedError, match="no rollout v2-e6 of version 3"):
            prove(ports, 3, "v2-e6", spec=THREE)

    def test_a_decision_that_no_longer_stands_drops_nobody(self) -> None:
        ports = started()
        look = dropping(ports, "3")
        decided(ports, "hold")
        assert "does not stand" in shift(ports, look, spec=THREE).reason
        assert withdrawn(ports) == []


class Sick(FakeRouter):
    """Some versions do not answer as they must once they have traffic."""

    ill = ("3",)

    def probe(self, model: str, digest: str) -> ProbeResult:
        slot, result = self.plans[model].slot(digest), super().probe(model, digest)
        is_ill = slot is not None and slot.version in self.ill and slot.share > 0 and not slot.withdrawn
        return result.model_copy(update={"matched": False}) if is_ill else result


class TestOneDoesNotAnswer:
    def test_it_is_dropped_and_the_others_go_on(self) -> None:
        ports = started(router=Sick())
        assert withdrawn(ports) == ["3"]
        assert actions(ports)[-2:] == [("shift", 6, "2"), ("shift", 7, "2")]
        assert "version 3 is dropped" in ports.ledger.rows(MODEL)[-1].body["reason"]
        assert running(ports).step_epoch == 6

    def test_where_none_does_the_rollout_is_over(self) -> None:
        class AllSick(Sick):
            ill = ("2", "3", "4")

        ports = waiting(2, 3, 4, router=AllSick())
        with pytest.raises(DeploymentRefusedError):
            start(ports, spec=THREE)
        assert running_rollout(ports.ledger.rows(MODEL)) is None
        assert shares(ports)["1"] == 10_000

    def test_the_champion_answering_for_it_is_not_asked_again(self) -> None:
        ports = started(router=Sick())
        before = left_of(ports)
        assert start(ports, spec=THREE).unchanged
        assert left_of(ports) == before


class TestTheyEnd:
    def test_one_that_is_not_the_first_is_promoted(self) -> None:
        ports = started()
        advance(ports)
        decided(ports, "promote", version="4", digest=digest("4"))
        promotion = prove(ports, 4, "v2-e6", spec=THREE)
        assert (promotion.version, promotion.unchanged) == ("4", False)
        assert shares(ports)["4"] == 10_000
        ended = ended_rollouts(ports.ledger.rows(MODEL))[-1]
        assert (ended.outcome, ended.version, ended.tried) == (RolloutOutcome.PROMOTED, "4", ("2", "3", "4"))

    def test_the_others_are_not_promoted_by_its_proof(self) -> None:
        ports = started()
        advance(ports)
        decided(ports, "promote", version="4", digest=digest("4"))
        with pytest.raises(RolloutRefusedError, match="has not proved version 2"):
            prove(ports, 2, "v2-e6", spec=THREE)

    def test_each_retrain_learns_what_became_of_its_version(self) -> None:
        ports = started()
        advance(ports)
        decided(ports, "promote", version="3", digest=digest("3"))
        prove(ports, 3, "v2-e6", spec=THREE)
        learned = retrains_by_rollout(ports.ledger.rows(MODEL))
        by_run = {RunContext(run_id=f"run-{number}").label: number for number in (2, 3, 4)}
        assert {by_run[label]: outcome.value for label, outcome in learned.items()} == {
            2: "kept",
            3: "promoted",
            4: "kept",
        }

    def test_a_roll_back_holds_all_of_them(self) -> None:
        ports = started()
        rolled = end(ports, "v2-e6")
        assert rolled.rolled_back_version == "2, 3 and 4"
        rows = ports.ledger.rows(MODEL)
        assert [was_rolled_back(rows, digest(str(number))) for number in (1, 2, 3, 4)] == [
            False,
            True,
            True,
            True,
        ]
        assert waiting_rows(rows, most=3) == []
        assert withdrawn(ports) == []
        assert ended_rollouts(rows)[-1].outcome is RolloutOutcome.ROLLED_BACK

    def test_after_a_promotion_nothing_stays_withdrawn(self) -> None:
        ports = started()
        shift(ports, dropping(ports, "3"), spec=THREE)
        advance(ports)
        decided(ports, "promote", version="4", digest=digest("4"))
        prove(ports, 4, "v2-e6", spec=THREE)
        assert withdrawn(ports) == []
        assert shares(ports)["4"] == 10_000
