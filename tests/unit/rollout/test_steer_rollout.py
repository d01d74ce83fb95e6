from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from support.fakes import START, FakeLedger
from support.faults import Killed, killed_after
from support.rollout_steps import (
    AB,
    decided,
    end,
    prove,
    running,
    started_world,
    steer,
    waiting_world,
)
from support.world import MODEL, actions, left_of, survives_kills
from windsock.exceptions import RolloutRefusedError
from windsock.records import LedgerAction, LedgerEntry, SteerRolloutInput

UNTIL = START + timedelta(days=1)


@pytest.mark.parametrize("action", ["pause", "resume", "ask"])
def test_without_a_rollout_there_is_nothing_to_steer(action: str) -> None:
    ports = waiting_world()
    before = left_of(ports)
    with pytest.raises(RolloutRefusedError, match=f"nothing to {action}") as refusal:
        steer(ports, action, **({"asked_until": UNTIL} if action == "ask" else {}))
    assert refusal.value.code == "WS-ROLLOUT-001"
    assert refusal.value.next_action
    assert left_of(ports) == before


def test_a_pause_is_written_once_and_says_who_and_why() -> None:
    ports = started_world()
    state = steer(ports, "pause", by="ann", reason="a holiday")
    assert (state.steered, state.unchanged) == (True, False)
    assert (state.rollout, state.rollout.paused_by) == (running(ports), "ann")
    assert state.reason == "rollout v2-e4 is paused by ann (a holiday)"
    row = ports.ledger.rows(MODEL)[-1]
    assert (row.action, row.epoch, row.version, row.actor) == (LedgerAction.PAUSE, 0, "2", "ann")
    assert (row.body["experiment"], row.body["reason"]) == ("v2-e4", "a holiday")
    before = left_of(ports)
    again = steer(ports, "pause", by="bob")
    assert again.unchanged
    assert again.rollout.paused_by == "ann"
    assert left_of(ports) == before


def test_a_resume_is_written_once_and_only_where_it_is_paused() -> None:
    ports = started_world()
    assert steer(ports, "resume").unchanged
    steer(ports, "pause")
    assert steer(ports, "resume").rollout.paused_by is None
    assert steer(ports, "resume").unchanged
    steer(ports, "pause", by="bob")
    assert running(ports).paused_by == "bob"


def test_a_question_is_kept_for_the_run_that_asks() -> None:
    ports = started_world()
    state = steer(ports, "ask", run_id="run-1", asked_until=UNTIL)
    assert state.steered
    assert (state.rollout.asked_by, state.rollout.asked_until) == ("run-1", UNTIL)
    assert steer(ports, "ask", run_id="run-1", asked_until=UNTIL).unchanged


def test_while_it_is_open_nobody_else_asks_and_afterwards_somebody_may() -> None:
    ports = started_world()
    soon = ports.now() + timedelta(seconds=20)
    steer(ports, "ask", run_id="run-1", asked_until=soon)
    second = steer(ports, "ask", run_id="run-2", asked_until=UNTIL)
    assert second.unchanged
    assert second.rollout.asked_by == "run-1"
    ports.now.time = soon
    assert steer(ports, "ask", run_id="run-2", asked_until=UNTIL).rollout.asked_by == "run-2"


@pytest.mark.parametrize("action", ["pause", "ask"])
def test_what_is_being_promoted_or_ended_is_not_held_up(action: str) -> None:
    fields: dict[str, Any] = {"asked_until": UNTIL} if action == "ask" else {}
    ports = started_world(spec=AB)
    decided(ports, "promote")
    with pytest.raises(Killed):
        prove(killed_after(ports, 2)[0], 2, "v2-e4", spec=AB)
    with pytest.raises(RolloutRefusedError, match="promotion") as refusal:
        steer(ports, action, **fields)
    assert refusal.value.code == "WS-ROLLOUT-008"
    ports = started_world()
    with pytest.raises(Killed):
        end(killed_after(ports, 1)[0], "v2-e4")
    with pytest.raises(RolloutRefusedError, match="roll back"):
        steer(ports, action, **fields)


def test_killed_and_run_again_it_is_written_once() -> None:
    survives_kills(started_world, lambda ports: steer(ports, "pause"), effects=1)


def test_a_rollout_that_ends_meanwhile_is_not_paused() -> None:
    class Racing(FakeLedger):
        race: Any = None

        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            if self.race and entry.action is LedgerAction.PAUSE:
                race, self.race = self.race, None
                race()
            return super().append(entry, after_seq=after_seq)

    ledger = Racing()
    ports = started_world(ledger=ledger)
    ledger.race = lambda: end(ports, "v2-e4")
    with pytest.raises(RolloutRefusedError):
        steer(ports, "pause")
    assert "pause" not in [action for action, *_ in actions(ports)]


def test_a_question_needs_its_end_and_nothing_else_has_one() -> None:
    with pytest.raises(ValidationError):
        SteerRolloutInput(model=MODEL, action="ask")
    with pytest.raises(ValidationError):
        SteerRolloutInput(model=MODEL, action="pause", asked_until=UNTIL)
