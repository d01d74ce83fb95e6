from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest
from support.fakes import FakeLedger, FakeRouter
from support.faults import Killed, killed_after
from support.rollout_steps import (
    AB,
    advance,
    decided,
    end,
    prove,
    running,
    shift,
    start,
    started_world,
    steer,
)
from support.world import MODEL, actions, deploy, left_of, shares, survives_kills
from windsock.exceptions import DeploymentRefusedError
from windsock.records import LedgerAction, LedgerEntry, ProbeResult, decision_digest, ended_rollouts


def test_the_next_step_begins_and_the_row_names_the_decision() -> None:
    ports = started_world()
    look = decided(ports, "advance")
    begun = shift(ports, look)
    assert (begun.step, begun.share, begun.epoch, begun.unchanged) == (1, 2_500, 5, False)
    assert shares(ports) == {"1": 7_500, "2": 2_500}
    row = ports.ledger.rows(MODEL)[-1]
    assert row.body["decision"] == decision_digest(look)
    assert "begins" not in row.body
    assert running(ports).step == 1
    assert running(ports).step_since == begun.shifted_at


def test_salt_experiment_and_the_other_slots_stay() -> None:
    ports = started_world()
    deploy(ports, 3)
    before = ports.router.plans[MODEL]
    advance(ports)
    after = ports.router.plans[MODEL]
    assert (after.salt, after.experiment, after.champion) == (before.salt, before.experiment, before.champion)
    assert [slot.version for slot in after.slots] == [slot.version for slot in before.slots]


def test_twice_is_once() -> None:
    ports = started_world()
    look = decided(ports, "advance")
    shift(ports, look)
    before = left_of(ports)
    again = shift(ports, look)
    assert (again.unchanged, again.step, again.share, again.epoch) == (True, 1, 2_500, 5)
    assert left_of(ports) == before


def test_killed_anywhere_and_run_again_it_ends_the_same() -> None:
    def make_world() -> Any:
        ports = started_world()
        decided(ports, "advance")
        return ports

    def act(ports: Any) -> Any:
        return shift(ports, ports.rollouts.decisions(MODEL, "v2-e4")[0])

    # The split that stands is handed over again first, which changes nothing.
    survives_kills(make_world, act, effects=3)


@pytest.mark.parametrize("action", ["hold", "promote", "keep", "roll_back"])
def test_what_does_not_advance_moves_nothing(action: str) -> None:
    left_alone(started_world(), lambda ports: decided(ports, action), f"moves nothing: {action}")


def test_a_pause_holds_it_up() -> None:
    ports = started_world()
    look = decided(ports, "advance")
    steer(ports, "pause", by="ann")
    left_alone(ports, lambda _: look, "paused by ann")
    steer(ports, "resume")
    assert not shift(ports, look).unchanged


def test_a_decision_that_was_never_kept_moves_nothing() -> None:
    other = decided(started_world(), "advance")
    left_alone(started_world(), lambda _: other, "does not stand; there is none")


def test_another_one_stands_under_its_number() -> None:
    ports = started_world()
    other = decided(started_world(), "advance")
    decided(ports, "hold")
    left_alone(ports, lambda _: other, "the last one is 1: hold")


def test_a_later_look_holds() -> None:
    ports = started_world()
    look = decided(ports, "advance")
    decided(ports, "hold")
    left_alone(ports, lambda _: look, "the last one is 2: hold")


def test_one_that_was_only_shown_moves_nothing() -> None:
    ports = started_world()
    look = decided(ports, "advance").model_copy(update={"dry_run": True})
    left_alone(ports, lambda _: look, "moves nothing")


def test_after_the_last_step_comes_the_promotion() -> None:
    ports = started_world(spec=AB)
    left_alone(ports, lambda ports: decided(ports, "advance"), "is the last one")


def test_a_rollout_that_is_over_moves_nothing() -> None:
    ports = started_world()
    look = decided(ports, "advance")
    end(ports, "v2-e4")
    left_alone(ports, lambda _: look, "rollout v2-e4 is over")


def test_while_it_is_being_promoted_or_ended() -> None:
    ports = started_world()
    advance(ports)
    look = decided(ports, "advance")
    decided(ports, "promote")
    dying, _ = killed_after(ports, 2)
    with pytest.raises(Killed):
        prove(dying, 2, "v2-e4")
    left_alone(ports, lambda _: look, "its promotion or roll back is under way")


def left_alone(ports: Any, look_of: Any, why: str) -> None:
    look = look_of(ports)
    before = left_of(ports)
    told = shift(ports, look)
    assert told.unchanged
    assert why in told.reason
    assert left_of(ports) == before


def test_a_challenger_that_falls_ill_gives_way_and_the_rollout_is_over() -> None:
    class Tired(FakeRouter):
        def probe(self, model: str, digest: str) -> ProbeResult:
            slot, result = self.plans[model].slot(digest), super().probe(model, digest)
            ill = slot is not None and slot.version == "2" and slot.share > 1_000
            return result.model_copy(update={"matched": False}) if ill else result

    ports = started_world(router=Tired())
    look = decided(ports, "advance")
    with pytest.raises(DeploymentRefusedError):
        shift(ports, look)
    assert shares(ports) == {"1": 10_000}
    assert [one.outcome.value for one in ended_rollouts(ports.ledger.rows(MODEL))] == ["broken_off"]


class Racing(FakeLedger):
    """Before a step is written, something else happens."""

    race: Any = None

    def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
        if self.race and entry.action is LedgerAction.SHIFT:
            race, self.race = self.race, None
            race()
        return super().append(entry, after_seq=after_seq)


def test_two_schedulers_take_one_step() -> None:
    ledger = Racing()
    ports = started_world(ledger=ledger)
    look = decided(ports, "advance")
    ledger.race = lambda: shift(ports, look)
    told = shift(ports, look)
    assert (told.unchanged, told.step) == (True, 1)
    assert [action for action, *_ in actions(ports)].count("shift") == 2


def test_a_roll_back_that_is_faster_wins() -> None:
    ledger = Racing()
    ports = started_world(ledger=ledger)
    look = decided(ports, "advance")
    ledger.race = lambda: end(ports, "v2-e4")
    assert "is over" in shift(ports, look).reason
    assert shares(ports) == {"1": 10_000, "2": 0}


def test_a_deployment_that_is_faster_disturbs_nothing() -> None:
    ledger = Racing()
    ports = started_world(ledger=ledger)
    look = decided(ports, "advance")
    ledger.race = lambda: deploy(ports, 3)
    assert not shift(ports, look).unchanged
    assert shares(ports) == {"1": 7_500, "2": 2_500, "3": 0}


def test_a_server_that_lost_its_state_gets_the_next_step_whole() -> None:
    ports = started_world()
    look = decided(ports, "advance")
    ports.router.plans.clear()
    shift(ports, look)
    assert shares(ports) == {"1": 7_500, "2": 2_500}
    assert ports.router.plans[MODEL].slot(digest("1")) is not None
    assert start(ports).rollout == running(ports)
