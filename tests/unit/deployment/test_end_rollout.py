"""``roll_back`` while a rollout is under way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.builders import digest
from support.fakes import FakeLedger, FakeRegistry
from support.faults import Killed, killed_after
from support.rollout_steps import (
    AB,
    CANARY,
    SHADOW,
    advance,
    decided,
    end,
    prove,
    running,
    split,
    start,
    started_world,
    waiting_world,
)
from support.world import (
    MODEL,
    actions,
    back,
    deploy,
    left_of,
    promote,
    register,
    shares,
    survives_kills,
    world_of,
)
from windsock.exceptions import RolloutRefusedError, VerdictError
from windsock.ports import Ports
from windsock.records import (
    LedgerAction,
    LedgerEntry,
    champion_line,
    champion_of,
    decision_digest,
    ended_rollouts,
    running_rollout,
    was_rolled_back,
)
from windsock.steps.rollout_moves import move_of
from windsock.steps.run import StepResult, run_step
from windsock.steps.verdicts import verdict_of


@pytest.mark.parametrize("spec", [CANARY, AB, SHADOW])
def test_the_champion_has_all_traffic_and_the_challenger_is_held(spec: Any) -> None:
    ports = started_world(spec=spec)
    before = champion_of(ports.ledger.rows(MODEL))
    told = end(ports, "v2-e4", "kept")
    assert (told.version, told.rolled_back_version, told.epoch, told.unchanged) == ("1", "2", 5, False)
    assert split(ports) == {"1": (10_000, False), "2": (0, False)}
    assert ports.router.plans[MODEL].experiment is None
    rows = ports.ledger.rows(MODEL)
    assert was_rolled_back(rows, digest("2"))
    row = rows[-2]
    assert (row.action, row.version, row.body["rolled_back"]) == (LedgerAction.ROLL_BACK, "1", digest("2"))
    assert (row.body["experiment"], row.body["outcome"], row.body["reason"]) == (
        "v2-e4",
        "kept",
        "errors 4 %",
    )
    after = champion_of(rows)
    assert (after.version, after.digest, after.replaced) == (before.version, before.digest, before.replaced)
    assert [row.version for row in champion_line(rows)] == ["1"]


@pytest.mark.parametrize("action", ["keep", "roll_back"])
def test_the_decision_that_ends_it_and_its_evidence_are_chained_into_the_ledger(action: str) -> None:
    ports = started_world()
    decision = decided(ports, action, evidence_digest=digest("f"))
    name, step = move_of(decision, CANARY, ports.ledger.rows(MODEL))
    run_step(name, step, ports)
    for row in ports.ledger.rows(MODEL)[-2:]:
        assert row.body["decision"] == decision_digest(decision)
        assert row.body["decision_evidence"] == digest("f")


def test_what_a_person_ends_has_the_person_and_the_reason_and_no_decision() -> None:
    ports = started_world()
    back(ports, requester="ann")
    for row in ports.ledger.rows(MODEL)[-2:]:
        assert (row.body["decision"], row.body["decision_evidence"]) == (None, None)
        assert (row.actor, row.body["requester"], row.body["reason"]) == ("ann", "ann", "it answers nonsense")


@pytest.mark.parametrize("after", ["roll_back", "promote", "broken_off"])
def test_where_it_is_over_the_champion_is_left_alone(after: str) -> None:
    ports = started_world(1, 2, starts=3, spec=AB)
    experiment = running(ports).experiment
    if after == "roll_back":
        end(ports, experiment)
    elif after == "promote":
        decided(ports, "promote")
        prove(ports, 3, experiment, spec=AB)
    else:
        deploy(ports, 4)
        promote(ports, 4)
    before = left_of(ports)
    told = end(ports, experiment, run_id="scheduled__1")
    assert told.unchanged
    assert "is over" in told.reason
    assert told.version == ports.ledger.champion(MODEL).version
    assert left_of(ports) == before


def test_another_one_that_is_under_way_by_now_is_left_alone() -> None:
    ports = started_world()
    end(ports, "v2-e4")
    deploy(ports, 3)
    promote(ports, 3, spec=CANARY)
    start(ports)
    before = left_of(ports)
    assert end(ports, "v2-e4").unchanged
    assert left_of(ports) == before


@pytest.mark.parametrize("world", [lambda: world_of(), lambda: world_of(1, 2), started_world])
def test_one_that_never_was_is_refused(world: Any) -> None:
    ports = world()
    before = left_of(ports)
    with pytest.raises(RolloutRefusedError) as refusal:
        end(ports, "v9-e9")
    assert refusal.value.code == "WS-ROLLOUT-001"
    assert left_of(ports) == before


@pytest.mark.parametrize("run_id", [None, "scheduled__1"])
def test_killed_anywhere_and_run_again_it_ends_the_same(run_id: str | None) -> None:
    survives_kills(started_world, lambda ports: end(ports, "v2-e4", run_id=run_id), effects=5)


def test_a_roll_back_by_a_person_ends_it_and_goes_no_version_back() -> None:
    ports = started_world(1, 2, starts=3)
    told = back(ports, requester="ann")
    assert (told.version, told.rolled_back_version) == ("2", "3")
    assert shares(ports) == {"1": 0, "2": 10_000, "3": 0}
    assert [one.outcome.value for one in ended_rollouts(ports.ledger.rows(MODEL))] == ["rolled_back"]


@pytest.mark.parametrize("ended_by", ["the decision", "a person"])
def test_a_click_shortly_after_its_end_goes_no_version_back(ended_by: str) -> None:
    ports = started_world(1, 2, starts=3)
    end(ports, "v3-e6", "kept") if ended_by == "the decision" else back(ports)
    ports.now.time += timedelta(minutes=1)
    before = left_of(ports)
    told = back(ports, run_id="manual__7")
    assert told.unchanged
    assert (told.version, told.rolled_back_version) == ("2", "3")
    assert told.reason == (
        "WS-ROLLOUT-016: rollout v3-e6 ended 1 minute ago: version 2 serves; "
        "name to_version to go further back"
    )
    assert left_of(ports) == before
    verdict = verdict_of(StepResult(step="roll_back", record=told, key="", unchanged=True))
    assert (verdict.word, verdict.why) == ("HOLD", told.reason)
    assert "windsock rollback churn --to VERSION" in verdict.next_action


def test_a_deployment_in_between_changes_nothing_of_that() -> None:
    ports = started_world(1, 2, starts=3)
    end(ports, "v3-e6", "kept")
    deploy(ports, 4)
    assert back(ports).unchanged


def test_whoever_names_the_version_goes_back_to_it_at_once() -> None:
    ports = started_world(1, 2, starts=3)
    end(ports, "v3-e6", "kept")
    assert back(ports, to=1).version == "1"
    ports = started_world(1, 2, starts=3)
    end(ports, "v3-e6", "kept")
    with pytest.raises(VerdictError) as refusal:
        back(ports, to=2)
    assert refusal.value.code == "WS-ROLLBACK-003"


@pytest.mark.parametrize("minutes", [15, 60, -30])
def test_a_click_later_goes_back_whatever_the_clock_did(minutes: int) -> None:
    ports = started_world(1, 2, starts=3)
    end(ports, "v3-e6", "kept")
    ports.now.time += timedelta(minutes=minutes)
    assert back(ports).version == "1"


def test_a_click_after_a_promotion_by_a_rollout_goes_back() -> None:
    ports = started_world(1, 2, starts=3, spec=AB)
    decided(ports, "promote")
    prove(ports, 3, "v3-e6", spec=AB)
    told = back(ports)
    assert (told.version, told.rolled_back_version, told.unchanged) == ("2", "3", False)


def test_a_click_stops_a_promotion_that_began_after_its_end() -> None:
    ports = started_world(1, 2, starts=3)
    end(ports, "v3-e6", "kept")
    deploy(ports, 4)
    with pytest.raises(Killed):
        promote(killed_after(ports, 1)[0], 4)
    told = back(ports)
    assert (told.version, told.rolled_back_version, told.unchanged) == ("2", "4", False)


def test_the_same_run_ends_it_once() -> None:
    ports = started_world(1, 2, starts=3)
    back(ports, run_id="manual__1")
    assert back(ports, run_id="manual__1").unchanged
    assert ports.ledger.champion(MODEL).version == "2"


def test_a_run_that_ended_another_one_before_is_not_taken_for_this_end() -> None:
    ports = started_world()
    end(ports, "v2-e4", run_id="manual__1")
    deploy(ports, 3)
    promote(ports, 3, spec=CANARY)
    start(ports)
    assert not end(ports, running(ports).experiment, run_id="manual__1").unchanged


def test_the_champion_may_be_named() -> None:
    ports = started_world(1, 2, starts=3)
    assert back(ports, to=2).rolled_back_version == "3"
    assert was_rolled_back(ports.ledger.rows(MODEL), digest("3"))


def test_an_earlier_version_that_is_named_breaks_it_off() -> None:
    ports = started_world(1, 2, starts=3)
    told = back(ports, to=1)
    assert (told.version, told.rolled_back_version) == ("1", "2")
    assert shares(ports) == {"1": 10_000, "2": 0, "3": 0}
    assert running_rollout(ports.ledger.rows(MODEL)) is None
    assert [one.outcome.value for one in ended_rollouts(ports.ledger.rows(MODEL))] == ["broken_off"]


def test_a_version_that_never_was_champion_is_no_target() -> None:
    ports = started_world(1, 2, starts=3)
    before = left_of(ports)
    for number in (3, 4):
        with pytest.raises(VerdictError) as refusal:
            back(ports, to=number)
        assert refusal.value.code == "WS-ROLLBACK-002"
    assert left_of(ports) == before


@pytest.mark.parametrize("named", [True, False])
def test_a_promotion_of_it_that_is_open_is_stopped(named: bool) -> None:
    ports = started_world(spec=AB)
    decided(ports, "promote")
    with pytest.raises(Killed):
        prove(killed_after(ports, 2)[0], 2, "v2-e4", spec=AB)
    assert shares(ports)["2"] == 10_000
    told = end(ports, "v2-e4") if named else back(ports)
    assert (told.version, told.rolled_back_version) == ("1", "2")
    assert shares(ports) == {"1": 10_000, "2": 0}
    assert was_rolled_back(ports.ledger.rows(MODEL), digest("2"))


class Racing(FakeLedger):
    race: Any = None

    def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
        if self.race and entry.action is LedgerAction.ROLL_BACK:
            race, self.race = self.race, None
            race()
        return super().append(entry, after_seq=after_seq)


def test_one_that_is_promoted_at_that_moment_stays_promoted() -> None:
    ledger = Racing()
    ports = started_world(spec=AB, ledger=ledger)
    decided(ports, "promote")
    ledger.race = lambda: prove(ports, 2, "v2-e4", spec=AB)
    told = end(ports, "v2-e4")
    assert (told.unchanged, told.version) == (True, "2")
    assert "is over: promoted" in told.reason
    assert ports.ledger.champion(MODEL).version == "2"


@pytest.mark.parametrize("person", [True, False])
def test_a_deployment_at_that_moment_holds_nothing_up(person: bool) -> None:
    ledger = Racing()
    ports = started_world(ledger=ledger)
    ledger.race = lambda: deploy(ports, 3)
    assert not (back(ports) if person else end(ports, "v2-e4")).unchanged
    assert shares(ports) == {"1": 10_000, "2": 0, "3": 0}


def test_a_person_who_is_slower_than_its_end_goes_no_version_back() -> None:
    ledger = Racing()
    ports = started_world(1, 2, starts=3, ledger=ledger)
    ledger.race = lambda: end(ports, "v3-e6", "kept")
    assert back(ports).unchanged
    assert ports.ledger.champion(MODEL).version == "2"


def test_it_needs_neither_mlflow_nor_storage_nor_decisions() -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was used")

    class RegistryAway(FakeRegistry):
        def alias(self, model: str, alias: str) -> str | None:
            raise ConnectionError

    good = started_world()
    away: Any = Away()
    ports = Ports(
        sources=away, snapshots=away, contracts=away, expectations=away, bundles=away,
        compiler=away, tracker=away,
        records=away, predictions=away, charts=away, counter=away, rows=away, monitor=away, reporter=away,
        gauges=away, business=away, events=away, rollouts=away, rollout_reporter=away,
        registry=RegistryAway(), ledger=good.ledger, router=good.router,
    )  # fmt: skip
    told = end(ports, "v2-e4")
    assert (told.version, told.alias_mirrored) == ("1", False)
    assert shares(good) == {"1": 10_000, "2": 0}


def test_a_champion_that_is_ill_itself_does_not_keep_the_challenger_in() -> None:
    ports = started_world()
    ports.router.sick.add(digest("1"))
    assert not end(ports, "v2-e4").unchanged
    assert shares(ports) == {"1": 10_000, "2": 0}
    assert running_rollout(ports.ledger.rows(MODEL)) is None


def test_on_a_server_that_lost_its_state_the_champion_serves() -> None:
    ports = started_world()
    advance(ports)
    ports.router.plans.clear()
    end(ports, "v2-e4")
    assert shares(ports) == {"1": 10_000}


def test_a_version_that_waits_is_no_rollout() -> None:
    ports = waiting_world(1, 2, waits=3)
    assert back(ports).version == "1"
    assert not was_rolled_back(ports.ledger.rows(MODEL), digest("3"))


def test_after_it_the_next_version_that_met_the_champion_may_start() -> None:
    ports = started_world()
    end(ports, "v2-e4")
    register(ports, 8, opponent=digest("1"))
    deploy(ports, 8)
    promote(ports, 8, spec=CANARY)
    assert start(ports).started
    assert [action for action, *_ in actions(ports)].count("shift") == 2
