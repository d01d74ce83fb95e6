from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest, make_spec
from support.fakes import FakeRouter, fake_ports
from support.faults import Killed, killed_after
from support.rollout_steps import AB, decided, end, prove, running, start, started_world, waiting_world
from support.slots import FakeSlots
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
    version_of,
    world_of,
)
from windsock.deployment.deploy_model import deploy_model
from windsock.exceptions import (
    DeploymentRefusedError,
    GateRefusedError,
    NotBuiltError,
    ServerUnavailableError,
)
from windsock.records import DeployModelInput, RoutePlan, RouteState, ended_rollouts, was_rolled_back


def test_a_first_version_stands_ready_without_traffic() -> None:
    ports = world_of()
    deployment = deploy(ports, 1)
    assert (deployment.version, deployment.epoch, deployment.share) == ("1", 1, 0)
    assert (deployment.target, deployment.unchanged) == ("local", False)
    assert shares(ports) == {"1": 0}
    row = ports.ledger.rows(MODEL)[-1]
    assert actions(ports) == [("deploy", 1, "1")]
    assert row.body["bundle_uri"] == "memory://bundles/churn/1"
    assert row.body["evidence_digest"] == digest("e")


def test_a_version_that_was_never_registered_is_refused() -> None:
    ports: Any = fake_ports()
    for _ in range(2):
        with pytest.raises(GateRefusedError) as refusal:
            deploy(ports, 1, force=True)
        assert refusal.value.code == "WS-GATE-010"
    assert (ports.ledger.rows(MODEL), ports.router.applied) == ((), [])
    register(ports, 1)
    assert deploy(ports, 1).version == "1"


@pytest.mark.parametrize(
    "other",
    [
        {"version": "2"},
        {"digest": digest("9")},
        {"evidence_digest": digest("9")},
        {"bundle_uri": "memory://bundles/churn/2"},
        {"model": "other"},
    ],
)
def test_a_record_that_differs_from_its_registration_is_refused(other: dict[str, str]) -> None:
    ports = world_of()
    made_by_hand = version_of(1).model_copy(update=other)
    with pytest.raises(GateRefusedError) as refusal:
        deploy_model(DeployModelInput(spec=make_spec(), version=made_by_hand), ports, "")
    assert refusal.value.code == "WS-GATE-010"
    assert ports.router.applied == []


def test_a_later_version_stands_beside_the_champion() -> None:
    ports = world_of(1)
    assert deploy(ports, 2).share == 0
    assert shares(ports) == {"1": 10_000, "2": 0}
    assert ports.ledger.champion(MODEL).version == "1"


def test_the_two_champions_before_stay_and_older_ones_go() -> None:
    ports = world_of(1, 2, 3, 4)
    assert shares(ports) == {"1": 0, "2": 0, "3": 0, "4": 10_000}
    deploy(ports, 5)
    assert shares(ports) == {"2": 0, "3": 0, "4": 10_000, "5": 0}


def test_a_version_that_waits_gives_way_to_a_newer_one() -> None:
    ports = world_of(1)
    deploy(ports, 2)
    deploy(ports, 3)
    assert shares(ports) == {"1": 10_000, "3": 0}


def test_shares_of_a_split_that_runs_are_kept() -> None:
    ports = started_world(spec=AB)
    before = ports.router.plans[MODEL]
    deploy(ports, 3)
    assert shares(ports) == {"1": 6_000, "2": 4_000, "3": 0}
    plan = ports.router.plans[MODEL]
    assert (plan.champion, plan.experiment) == (digest("1"), "v2-e4")
    assert (plan.salt, plan.epoch) == (before.salt, before.epoch + 1)


def test_a_server_that_lost_its_state_gets_the_split_back_too() -> None:
    ports = started_world(spec=AB)
    ports.router.plans.clear()
    deploy(ports, 3)
    assert shares(ports) == {"1": 6_000, "2": 4_000, "3": 0}
    assert ports.router.plans[MODEL].experiment == "v2-e4"
    assert running(ports).step_epoch == 4


def test_a_server_that_was_not_given_the_split_gets_it_with_the_deployment() -> None:
    ports = waiting_world(spec=AB)
    dying, _ = killed_after(ports, 1)
    with pytest.raises(Killed):
        start(dying, spec=AB)
    assert shares(ports)["2"] == 0
    deploy(ports, 3)
    assert shares(ports) == {"1": 6_000, "2": 4_000, "3": 0}


def test_a_promotion_by_the_rollout_that_was_not_committed_gives_way_and_the_rollout_goes_on() -> None:
    ports = started_world(spec=AB)
    decided(ports, "promote")
    dying, _ = killed_after(ports, 2)
    with pytest.raises(Killed):
        prove(dying, 2, "v2-e4", spec=AB)
    assert shares(ports)["2"] == 10_000
    deploy(ports, 3)
    assert shares(ports) == {"1": 6_000, "2": 4_000, "3": 0}
    assert running(ports).experiment == "v2-e4"
    assert prove(ports, 2, "v2-e4", spec=AB).version == "2"


def test_a_roll_back_of_the_rollout_that_was_not_committed_is_not_undone() -> None:
    ports = started_world(spec=AB)
    dying, _ = killed_after(ports, 1)
    with pytest.raises(Killed):
        end(dying, "v2-e4")
    deploy(ports, 3)
    assert shares(ports) == {"1": 10_000, "2": 0, "3": 0}
    rows = ports.ledger.rows(MODEL)
    assert [one.outcome for one in ended_rollouts(rows)] == ["rolled_back"]
    assert was_rolled_back(rows, digest("2"))


def test_a_split_that_is_over_does_not_come_back_from_a_server_that_was_not_told() -> None:
    ports = started_world(spec=AB)
    deploy(ports, 3)
    dying, _ = killed_after(ports, 1)
    with pytest.raises(Killed):
        promote(dying, 3)
    assert ports.router.plans[MODEL].experiment == "v2-e4"
    deploy(ports, 4)
    assert shares(ports) == {"1": 10_000, "2": 0, "4": 0}
    assert ports.router.plans[MODEL].experiment is None


def test_twice_is_once() -> None:
    ports = world_of(1)
    deploy(ports, 2)
    before = left_of(ports)
    again = deploy(ports, 2)
    assert again.unchanged
    assert "already" in again.reason
    assert left_of(ports) == before


def test_the_champion_that_stands_is_left_alone() -> None:
    ports = world_of(1)
    again = deploy(ports, 1)
    assert (again.unchanged, again.share) == (True, 10_000)


def test_a_server_that_lost_its_state_gets_the_champion_back_from_the_ledger() -> None:
    ports = world_of(1)
    ports.router.plans.clear()
    deploy(ports, 2)
    assert shares(ports) == {"1": 10_000, "2": 0}
    ports.router.plans.clear()
    restored = deploy(ports, 1)
    assert (restored.unchanged, restored.share) == (False, 10_000)
    assert shares(ports) == {"1": 10_000}


def test_traffic_on_what_was_never_committed_goes_back_to_the_champion() -> None:
    ports = world_of(1)
    deploy(ports, 2)
    dying, _ = killed_after(ports, 2)
    with pytest.raises(Killed):
        promote(dying, 2)
    deploy(ports, 3)
    assert shares(ports) == {"1": 10_000, "2": 0, "3": 0}


@pytest.mark.parametrize("champions", [(), (1,), (1, 2, 3, 4)])
def test_killed_anywhere_and_run_again_it_ends_the_same(champions: tuple[int, ...]) -> None:
    survives_kills(lambda: world_of(*champions), lambda ports: deploy(ports, 5), effects=2)


def test_a_target_that_is_not_built_is_named() -> None:
    ports = world_of()
    with pytest.raises(NotBuiltError, match="kubernetes"):
        deploy(ports, 1, spec=make_spec(serving={"target": "kubernetes"}))
    assert actions(ports) == []


DOCKER = make_spec(serving={"target": "docker"})


def urls(ports: Any) -> dict[str, str | None]:
    return {slot.version: slot.url for slot in ports.router.plans[MODEL].slots}


def test_docker_starts_a_slot_and_the_plan_names_where() -> None:
    slots = FakeSlots()
    ports = world_of(1, slots=slots)
    deployment = deploy(ports, 2, spec=DOCKER)
    assert (deployment.target, deployment.unchanged) == ("docker", False)
    assert urls(ports) == {"1": None, "2": slots.made[version_of(2).digest]}
    assert slots.kept[-1] == ports.router.plans[MODEL]
    again = deploy(ports, 2, spec=DOCKER)
    assert (again.unchanged, slots.started) == (True, ["2"])


def test_a_slot_that_moved_keeps_its_share_and_gets_its_new_address() -> None:
    slots = FakeSlots()
    ports = world_of(slots=slots)
    deploy(ports, 1, spec=DOCKER)
    promote(ports, 1, spec=DOCKER)
    before = urls(ports)["1"]
    slots.lose(version_of(1).digest)
    deploy(ports, 1, spec=DOCKER)
    assert urls(ports)["1"] == slots.made[version_of(1).digest] != before
    assert shares(ports) == {"1": 10_000}
    deploy(ports, 1)  # local again
    assert (urls(ports), shares(ports)) == ({"1": None}, {"1": 10_000})


def test_a_row_with_an_address_that_is_gone_is_not_taken_up() -> None:
    slots = FakeSlots()
    ports = world_of(slots=slots)
    dying, _ = killed_after(ports, 1)
    with pytest.raises(Killed):
        deploy(dying, 1, spec=DOCKER)
    slots.lose(version_of(1).digest)
    deploy(ports, 1, spec=DOCKER)
    assert urls(ports) == {"1": slots.made[version_of(1).digest]}


def test_a_lost_slot_of_another_version_does_not_stop_a_deployment_or_a_roll_back() -> None:
    slots = FakeSlots()
    ports = world_of(slots=slots)
    for number in (1, 2):
        deploy(ports, number, spec=DOCKER)
        if number == 1:
            promote(ports, 1, spec=DOCKER)
    slots.lose(version_of(1).digest)
    deploy(ports, 3, spec=DOCKER)
    assert urls(ports)["1"] is None
    assert urls(ports)["3"] == slots.made[version_of(3).digest]


def test_a_server_away_is_told_before_the_ledger_is_written() -> None:
    class Away(FakeRouter):
        def state(self, model: str) -> RouteState | None:
            raise ServerUnavailableError("no answer")

    ports = world_of(router=Away())
    with pytest.raises(ServerUnavailableError, match="windsock serve"):
        deploy(ports, 1)
    assert actions(ports) == []


def test_a_plan_that_the_server_refuses_is_tried_again_under_its_epoch() -> None:
    class Picky(FakeRouter):
        refuses = True

        def apply(self, plan: RoutePlan) -> RouteState:
            if self.refuses:
                raise DeploymentRefusedError("the bundle does not verify")
            return super().apply(plan)

    router = Picky()
    ports = world_of(router=router)
    for _ in range(2):
        with pytest.raises(DeploymentRefusedError):
            deploy(ports, 1)
    assert actions(ports) == [("deploy", 1, "1")]
    router.refuses = False
    assert deploy(ports, 1).epoch == 1


def test_a_version_that_answers_wrongly_is_refused_and_gets_no_traffic() -> None:
    ports = world_of(1)
    ports.router.sick.add(digest("2"))
    with pytest.raises(DeploymentRefusedError) as refusal:
        deploy(ports, 2)
    assert refusal.value.code == "WS-DEPLOYMENT-002"
    assert shares(ports) == {"1": 10_000, "2": 0}


def test_a_version_that_was_rolled_back_is_held_until_it_is_forced() -> None:
    ports = world_of(1, 2)
    back(ports)
    deploy(ports, 3)
    before = left_of(ports)
    held = deploy(ports, 2)
    assert (held.unchanged, held.share, held.version) == (True, 0, "2")
    assert "rolled back" in held.reason
    assert left_of(ports) == before
    forced = deploy(ports, 2, force=True)
    assert not forced.unchanged
    assert shares(ports)["2"] == 0
    assert ports.ledger.rows(MODEL)[-1].body["forced"] is True


def test_the_salt_of_the_assignment_never_changes() -> None:
    ports = world_of(1, 2)
    salts = {plan.salt for plan in ports.router.applied}
    assert salts == {MODEL}
