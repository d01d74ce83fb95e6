from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest
from support.faults import Killed, killed_after
from support.rollout_steps import (
    AB,
    DIRECT,
    advance,
    decided,
    end,
    prove,
    running,
    start,
    started_world,
    steer,
    waiting_row,
    waiting_world,
)
from support.rollouts import make_look
from support.world import MODEL, back, deploy, promote, register, world_of
from windsock.records import (
    RolloutOutcome,
    decision_digest,
    ended_rollouts,
    retrains_by_rollout,
    rollout_route,
    running_rollout,
)


def rows_of(ports: Any) -> Any:
    return ports.ledger.rows(MODEL)


def outcomes(ports: Any) -> dict[str, str]:
    return {one.experiment: one.outcome.value for one in ended_rollouts(rows_of(ports))}


def test_without_rows_there_is_nothing() -> None:
    assert running_rollout(()) is None
    assert waiting_row(()) is None
    assert ended_rollouts(()) == ()


def test_a_version_waits_until_its_rollout_begins() -> None:
    ports = waiting_world()
    queued = waiting_row(rows_of(ports))
    assert queued is not None
    assert queued.version == "2"
    start(ports)
    assert waiting_row(rows_of(ports)) is None


def test_a_newer_version_supersedes_the_one_that_waits_for_good() -> None:
    ports = waiting_world()
    deploy(ports, 3)
    promote(ports, 3, spec=AB)
    queued = waiting_row(rows_of(ports))
    assert queued is not None
    assert queued.version == "3"
    start(ports)
    end(ports, running(ports).experiment)
    assert waiting_row(rows_of(ports)) is None


def test_a_version_that_a_person_promotes_waits_no_more() -> None:
    ports = waiting_world()
    promote(ports, 2, spec=DIRECT)
    assert waiting_row(rows_of(ports)) is None


def test_a_rollout_is_what_its_rows_say() -> None:
    ports = started_world()
    rollout = running(ports)
    assert (rollout.experiment, rollout.version, rollout.champion_version) == ("v2-e4", "2", "1")
    assert (rollout.step, rollout.step_epoch, rollout.share, rollout.salt) == (0, 4, 500, MODEL)
    assert rollout.step_since == rollout.started_at
    deploy(ports, 3)
    advance(ports)
    later = running(ports)
    assert (later.step, later.step_epoch, later.share) == (1, 6, 2500)
    assert later.started_at == rollout.started_at < later.step_since
    assert rollout_route(rows_of(ports), later).epoch == 6


@pytest.mark.parametrize("outcome", ["rolled_back", "kept", "stopped"])
def test_its_end_tells_the_outcome(outcome: str) -> None:
    ports = started_world()
    end(ports, "v2-e4", outcome)
    (told,) = ended_rollouts(rows_of(ports))
    assert (told.outcome, told.reason, told.epoch) == (RolloutOutcome(outcome), "errors 4 %", 5)
    assert running_rollout(rows_of(ports)) is None


def test_a_promotion_that_it_proved() -> None:
    ports = started_world(spec=AB)
    decided(ports, "promote")
    prove(ports, 2, "v2-e4", spec=AB)
    assert outcomes(ports) == {"v2-e4": "promoted"}


def test_a_promotion_by_hand_breaks_it_off_and_a_later_one_does_not_change_that() -> None:
    ports = started_world()
    deploy(ports, 3)
    promote(ports, 3)
    assert outcomes(ports) == {"v2-e4": "broken_off"}
    back(ports)
    assert outcomes(ports) == {"v2-e4": "broken_off"}


def test_the_challenger_promoted_without_its_proof_breaks_it_off() -> None:
    ports = started_world()
    decided(ports, "promote")
    promote(ports, 2, spec=DIRECT)
    assert outcomes(ports) == {"v2-e4": "broken_off"}
    assert ports.ledger.champion(MODEL).version == "2"


def test_a_champion_that_is_rolled_back_by_name_breaks_it_off() -> None:
    ports = started_world(1, 2, starts=3)
    back(ports, to=1)
    assert outcomes(ports) == {"v3-e6": "broken_off"}


def test_a_promotion_that_was_never_committed_ends_nothing_what_came_after_does() -> None:
    ports = started_world(spec=AB)
    decided(ports, "promote")
    dying, _ = killed_after(ports, 2)
    with pytest.raises(Killed):
        prove(dying, 2, "v2-e4", spec=AB)
    assert running(ports).experiment == "v2-e4"
    back(ports)
    assert outcomes(ports) == {"v2-e4": "rolled_back"}


def test_each_has_one_end_and_they_come_in_order() -> None:
    ports = started_world()
    end(ports, "v2-e4", "kept")
    deploy(ports, 3)
    promote(ports, 3, spec=AB)
    start(ports)
    assert outcomes(ports) == {"v2-e4": "kept"}
    end(ports, running(ports).experiment)
    assert list(outcomes(ports).items()) == [("v2-e4", "kept"), ("v3-e7", "rolled_back")]


def test_a_pause_and_a_question_are_told_with_it() -> None:
    ports = started_world()
    assert running(ports).paused_by is None
    steer(ports, "pause", by="ann", reason=" a sale\nends ")
    rollout = running(ports)
    assert (rollout.paused_by, rollout.paused_reason) == ("ann", "a sale ends")
    assert rollout.pause == "paused by ann (a sale ends)"
    steer(ports, "resume", by="bob", reason="it has ended")
    assert (running(ports).paused_by, running(ports).pause) == (None, "")


def test_a_pause_without_a_reason_is_written_as_before_there_was_one() -> None:
    ports = started_world()
    steer(ports, "pause", by="ann")
    assert running(ports).pause == "paused by ann"
    assert "paused_reason" not in running(ports).model_dump(mode="json")


def test_a_long_reason_is_cut_where_it_is_shown() -> None:
    ports = started_world()
    steer(ports, "pause", by="ann", reason="because " * 100)
    assert len(running(ports).paused_reason) == 799
    assert len(running(ports).pause) < 230
    assert running(ports).pause.endswith("…)")


def test_a_pause_holds_for_its_own_rollout_only() -> None:
    ports = started_world()
    steer(ports, "pause")
    end(ports, "v2-e4")
    register(ports, 8, opponent=digest("1"))
    deploy(ports, 8)
    promote(ports, 8, spec=AB)
    start(ports)
    assert running(ports).paused_by is None


def test_a_decision_is_named_whatever_is_told_of_it_later() -> None:
    look = make_look(1, "promote")
    told = look.model_copy(update={"unchanged": True, "report_uri": "runs:/1/rollout.html"})
    assert decision_digest(told) == decision_digest(look)
    assert decision_digest(make_look(2, "promote")) != decision_digest(look)


class TestRetrains:
    """What a retrain came to whose version had its rollout."""

    def world(self) -> Any:
        ports = world_of(1)
        deploy(ports, 2)
        promote(ports, 2, spec=AB, dag_id="churn__drift_retrain", run_id="one")
        return ports

    def test_nothing_is_known_while_it_waits_or_runs(self) -> None:
        ports = self.world()
        assert retrains_by_rollout(rows_of(ports)) == {}
        start(ports, spec=AB)
        assert retrains_by_rollout(rows_of(ports)) == {}

    @pytest.mark.parametrize("outcome", ["kept", "rolled_back", "stopped"])
    def test_an_end_without_its_promotion_kept_it_out(self, outcome: str) -> None:
        ports = self.world()
        start(ports, spec=AB)
        end(ports, running(ports).experiment, outcome)
        assert retrains_by_rollout(rows_of(ports)) == {"churn__drift_retrain/one": "kept"}

    def test_its_promotion_helped(self) -> None:
        ports = self.world()
        start(ports, spec=AB)
        decided(ports, "promote")
        prove(ports, 2, running(ports).experiment, spec=AB)
        assert retrains_by_rollout(rows_of(ports)) == {"churn__drift_retrain/one": "promoted"}

    def test_what_was_broken_off_or_superseded_says_nothing(self) -> None:
        ports = self.world()
        start(ports, spec=AB)
        deploy(ports, 3)
        promote(ports, 3, spec=DIRECT)
        assert [*outcomes(ports).values()] == ["broken_off"]
        assert retrains_by_rollout(rows_of(ports)) == {}
        ports = self.world()
        deploy(ports, 3)
        promote(ports, 3, spec=AB)
        start(ports, spec=AB)
        end(ports, running(ports).experiment)
        assert "churn__drift_retrain/one" not in retrains_by_rollout(rows_of(ports))
