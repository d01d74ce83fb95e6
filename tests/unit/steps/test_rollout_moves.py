from __future__ import annotations

import pytest

from support.builders import make_registration
from support.rollouts import ab_spec, make_look, make_rollout, shift_entry, under_way
from support.several import SPEC, several_look, several_rollout
from support.world import MODEL, version_of, world_of
from windsock.exceptions import GateRefusedError
from windsock.records import PromoteModelInput, RollBackInput, RunContext, ShiftTrafficInput, decision_digest
from windsock.steps.rollout_moves import held_up_by, move_of

ANN = RunContext(requested_by="cli:ann")


@pytest.fixture
def rows():
    return under_way(world_of(1)).ledger.rows(MODEL)


def test_a_hold_moves_nothing(rows):
    assert move_of(make_look(action="hold"), ab_spec(), rows) is None


@pytest.mark.parametrize("action", ["advance", "promote", "keep", "roll_back"])
def test_what_was_only_shown_moves_nothing(rows, action):
    assert move_of(make_look(action=action, dry_run=True), ab_spec(), rows) is None


def test_an_advance_shifts_traffic(rows):
    spec, decision = ab_spec(), make_look(action="advance")
    assert move_of(decision, spec, rows, run=ANN) == (
        "shift_traffic",
        ShiftTrafficInput(spec=spec, decision=decision, run=ANN),
    )


@pytest.mark.parametrize(("action", "outcome"), [("keep", "kept"), ("roll_back", "rolled_back")])
def test_the_ends_without_promotion_give_the_champion_all_traffic(rows, action, outcome):
    decision = make_look(action=action, reason="harm: -0.03 [-0.05, -0.01]", evidence_digest="e" * 64)
    assert move_of(decision, ab_spec(), rows, run=ANN) == (
        "roll_back",
        RollBackInput(
            model=MODEL,
            experiment="v2-e4",
            outcome=outcome,
            decision=decision_digest(decision),
            decision_evidence="e" * 64,
            reason="harm: -0.03 [-0.05, -0.01]",
            run=ANN,
        ),
    )


def test_a_promotion_hands_over_the_version_as_it_was_registered(rows):
    name, step = move_of(make_look(action="promote"), ab_spec(), rows, run=ANN)
    assert name == "promote_model"
    assert isinstance(step, PromoteModelInput)
    assert (step.experiment, step.force, step.run) == ("v2-e4", False, ANN)
    assert step.version.registration(rows) is not None
    known = version_of(2)
    assert step.version.run_id in ("", known.run_id)
    assert step.version == known.model_copy(
        update={"run_id": step.version.run_id, "registered_at": step.version.registered_at}
    )


def test_of_two_registrations_the_one_that_the_rollout_began_with_is_taken():
    ports = world_of(1)
    again = version_of(2).model_copy(update={"evidence_digest": "9" * 64})
    ports.ledger.append(make_registration(again), after_seq=len(ports.ledger.rows(MODEL)))
    entry = shift_entry(evidence_digest="9" * 64)
    ports.ledger.append(entry, after_seq=len(ports.ledger.rows(MODEL)))
    _, step = move_of(make_look(action="promote"), ab_spec(), ports.ledger.rows(MODEL))
    assert step.version.evidence_digest == "9" * 64


@pytest.mark.parametrize(
    "changed",
    [{"version": "3"}, {"digest": "f" * 64}, {"experiment": "v2-e9"}],
    ids=lambda one: str(list(one)),
)
def test_a_promotion_without_a_registration_is_refused(rows, changed):
    decision = make_look(action="promote", **changed)
    with pytest.raises(GateRefusedError, match="no registration") as caught:
        move_of(decision, ab_spec(), rows)
    assert caught.value.code == "WS-GATE-010"


@pytest.mark.parametrize("action", ["advance", "promote"])
def test_a_pause_holds_up_more_traffic(action):
    paused, decision = make_rollout(paused_by="cli:ann"), make_look(action=action)
    assert held_up_by(paused, decision, decision) == f"paused by cli:ann; {action} waits"
    said = make_rollout(paused_by="cli:ann", paused_reason="a sale")
    assert held_up_by(said, decision, decision) == f"paused by cli:ann (a sale); {action} waits"
    assert held_up_by(make_rollout(), decision, decision) is None


@pytest.mark.parametrize("action", ["keep", "roll_back"])
def test_nothing_holds_up_an_end_without_promotion(action):
    decision = make_look(action=action)
    assert held_up_by(make_rollout(paused_by="cli:ann"), decision, make_look(2, "hold")) is None


def test_a_later_look_holds_up_a_promotion():
    decision = make_look(3, "promote")
    assert held_up_by(make_rollout(), decision, make_look(4, "hold", reason="split broken")) == (
        "look 4 says hold by now: split broken"
    )
    assert held_up_by(make_rollout(), decision, make_look(4, "promote")) is None
    assert held_up_by(make_rollout(), decision, None) is None


def test_the_tracking_run_is_told_where_the_ledger_knows_it():
    ports = world_of(1)
    again = version_of(2).model_copy(update={"evidence_digest": "9" * 64})
    entry = make_registration(again, run_id="run9")
    ports.ledger.append(entry, after_seq=len(ports.ledger.rows(MODEL)))
    ports.ledger.append(shift_entry(evidence_digest="9" * 64), after_seq=len(ports.ledger.rows(MODEL)))
    _, step = move_of(make_look(action="promote"), ab_spec(), ports.ledger.rows(MODEL))
    assert step.version.run_id == "run9"


def test_a_later_look_that_promotes_another_version_holds_up_a_promotion():
    decision = several_look(3, "promote", about=5)
    assert held_up_by(several_rollout(), decision, several_look(4, "promote", about=6)) == (
        "look 4 promotes version 6 by now: version 6: because of 6"
    )
    assert held_up_by(several_rollout(), decision, several_look(4, "promote", about=5)) is None


def test_a_pause_holds_up_no_drop():
    harm = several_look(3, "drop", about=5, looks={5: {"action": "roll_back"}})
    assert held_up_by(several_rollout(paused_by="ann"), harm, harm) is None
    name, step = move_of(harm, SPEC, ())
    assert (name, step.decision) == ("shift_traffic", harm)
