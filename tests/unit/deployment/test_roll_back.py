from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest
from support.fakes import FakeRegistry, FakeRouter
from support.faults import Killed, killed_after
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
from windsock.exceptions import DeploymentRefusedError, StaleEpochError, StorageError, VerdictError
from windsock.ports import Ports
from windsock.records import ProbeResult, was_rolled_back


def test_the_champion_before_serves_again() -> None:
    ports = world_of(1, 2)
    rolled = back(ports, requester="alice")
    assert (rolled.version, rolled.rolled_back_version, rolled.epoch) == ("1", "2", 5)
    assert (rolled.unchanged, rolled.alias_mirrored) == (False, True)
    assert actions(ports)[-2:] == [("roll_back", 5, "1"), ("commit", 5, "1")]
    assert shares(ports) == {"1": 10_000, "2": 0}
    assert ports.ledger.champion(MODEL).version == "1"
    assert ports.registry.aliases == {(MODEL, "champion"): "1"}
    row = ports.ledger.rows(MODEL)[-2]
    assert row.actor == "alice"
    assert row.body["reason"] == "it answers nonsense"
    assert row.body["rolled_back"] == digest("2")
    assert was_rolled_back(ports.ledger.rows(MODEL), digest("2"))


def test_it_needs_neither_registry_nor_storage_nor_approvals() -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was used")

    class RegistryAway(FakeRegistry):
        def alias(self, model: str, alias: str) -> str | None:
            raise ConnectionError

    class StorageAway:
        def read_document(self, uri: str, digest: str) -> bytes:
            raise StorageError("the storage does not answer")

    good = world_of(1, 2)
    away: Any = Away()
    storage: Any = StorageAway()
    ports = Ports(
        sources=away, snapshots=away, contracts=away, expectations=away, bundles=storage,
        compiler=away, tracker=away,
        records=away, predictions=away, charts=away, counter=away, rows=away, monitor=away, reporter=away,
        gauges=away, business=away, events=away, rollouts=away, rollout_reporter=away,
            registry=RegistryAway(),
        ledger=good.ledger, router=good.router,
    )  # fmt: skip
    rolled = back(ports)
    assert (rolled.version, rolled.alias_mirrored) == ("1", False)
    assert shares(good) == {"1": 10_000, "2": 0}


def test_again_and_again_it_goes_further_back() -> None:
    ports = world_of(1, 2, 3)
    assert back(ports).version == "2"
    assert back(ports).version == "1"
    with pytest.raises(VerdictError) as refusal:
        back(ports)
    assert refusal.value.code == "WS-ROLLBACK-001"
    assert shares(ports) == {"1": 10_000, "2": 0, "3": 0}


def test_what_was_promoted_after_a_roll_back_rolls_back_to_what_served_then() -> None:
    ports = world_of(1, 2)
    back(ports)
    register(ports, 8, opponent=digest("1"))
    deploy(ports, 8)
    promote(ports, 8)
    assert back(ports).version == "1"


def test_a_version_that_was_champion_once_can_be_named() -> None:
    ports = world_of(1, 2, 3)
    rolled = back(ports, to=1)
    assert (rolled.version, rolled.rolled_back_version) == ("1", "3")
    assert back(ports, to=3).version == "3"
    assert not was_rolled_back(ports.ledger.rows(MODEL), digest("3"))


def test_an_older_champion_whose_slot_is_gone_comes_back_from_the_ledger() -> None:
    ports = world_of(1, 2, 3, 4)
    deploy(ports, 5)
    assert "1" not in shares(ports)
    assert back(ports, to=1).version == "1"
    assert shares(ports)["1"] == 10_000


def test_a_server_that_lost_its_state_serves_the_champion_before() -> None:
    ports = world_of(1, 2)
    ports.router.plans.clear()
    assert back(ports).version == "1"
    assert shares(ports) == {"1": 10_000}


@pytest.mark.parametrize("champions", [(), (1,)])
def test_nothing_to_roll_back_to(champions: tuple[int, ...]) -> None:
    ports = world_of(*champions)
    before = left_of(ports)
    with pytest.raises(VerdictError) as refusal:
        back(ports)
    assert refusal.value.code == "WS-ROLLBACK-001"
    assert left_of(ports) == before


def test_a_version_that_was_never_champion_is_refused() -> None:
    ports = world_of(1, 2)
    deploy(ports, 3)
    with pytest.raises(VerdictError) as refusal:
        back(ports, to=3)
    assert refusal.value.code == "WS-ROLLBACK-002"
    assert "1, 2" in refusal.value.message


def test_the_champion_itself_is_no_target() -> None:
    ports = world_of(1, 2)
    with pytest.raises(VerdictError) as refusal:
        back(ports, to=2)
    assert refusal.value.code == "WS-ROLLBACK-003"


@pytest.mark.parametrize("run_id", ["manual__1", None])
def test_killed_anywhere_and_run_again_it_ends_the_same(run_id: str | None) -> None:
    if run_id:
        survives_kills(lambda: world_of(1, 2, 3), lambda ports: back(ports, run_id=run_id), effects=4)
    else:  # without a run to know it by, only what was left open is gone on with
        for after in (1, 2):
            ports = world_of(1, 2, 3)
            dying, _ = killed_after(ports, after)
            with pytest.raises(Killed):
                back(dying)
            assert back(ports).version == "2"
            assert [action for action, *_ in actions(ports)].count("roll_back") == 1


def test_the_same_run_rolls_back_once() -> None:
    ports = world_of(1, 2, 3)
    first = back(ports, run_id="manual__1")
    again = back(ports, run_id="manual__1")
    assert again.unchanged
    assert (again.version, again.epoch) == (first.version, first.epoch)
    assert back(ports, run_id="manual__2").version == "1"


def test_a_retry_repairs_the_alias() -> None:
    ports = world_of(1, 2)
    back(ports, run_id="manual__1")
    ports.registry.aliases.clear()
    assert back(ports, run_id="manual__1").alias_mirrored
    assert ports.registry.aliases == {(MODEL, "champion"): "1"}


def test_a_retry_after_a_later_promotion_does_not_set_the_alias_back() -> None:
    ports = world_of(1, 2)
    back(ports, run_id="manual__1")
    register(ports, 8, opponent=digest("1"))
    deploy(ports, 8)
    promote(ports, 8)
    assert back(ports, run_id="manual__1").unchanged
    assert ports.registry.aliases == {(MODEL, "champion"): "8"}


def test_it_stops_a_promotion_that_is_under_way() -> None:
    ports = world_of(1, 2)
    deploy(ports, 3)
    original = ports.router.probe
    state = {"calls": 0}

    def probe(model: str, digest: str) -> ProbeResult:
        state["calls"] += 1
        if state["calls"] == 2:  # version 3 has the traffic and is not committed
            state["rolled"] = back(ports)
        return original(model, digest)

    ports.router.probe = probe
    with pytest.raises(StaleEpochError):
        promote(ports, 3)
    assert (state["rolled"].version, state["rolled"].rolled_back_version) == ("2", "3")
    assert ports.ledger.champion(MODEL).version == "2"
    assert shares(ports) == {"1": 0, "2": 10_000, "3": 0}
    assert promote(ports, 3).unchanged  # held


def test_another_version_can_be_named_while_a_roll_back_is_open() -> None:
    ports = world_of(1, 2, 3)
    dying, _ = killed_after(ports, 1)
    with pytest.raises(Killed):
        back(dying)
    assert back(ports, to=1).version == "1"
    assert shares(ports)["1"] == 10_000


def test_a_target_that_answers_wrongly_is_refused_and_nothing_changes() -> None:
    ports = world_of(1, 2)
    ports.router.sick.add(digest("1"))
    before = left_of(ports)
    with pytest.raises(DeploymentRefusedError):
        back(ports)
    assert left_of(ports) == before


def test_a_target_that_answers_wrongly_once_it_serves_gives_way_to_the_champion() -> None:
    class SickAfterwards(FakeRouter):
        def probe(self, model: str, digest: str) -> ProbeResult:
            slot, result = self.plans[model].slot(digest), super().probe(model, digest)
            ill = slot is not None and slot.version == "1" and slot.share > 0 and self.ill
            return result.model_copy(update={"matched": False}) if ill else result

        ill = False

    router = SickAfterwards()
    ports = world_of(1, 2, router=router)
    router.ill = True
    with pytest.raises(DeploymentRefusedError):
        back(ports)
    assert shares(ports) == {"1": 0, "2": 10_000}
    assert ports.ledger.champion(MODEL).version == "2"
    assert not was_rolled_back(ports.ledger.rows(MODEL), digest("2"))


def test_after_a_roll_back_the_champion_remembers_what_it_replaced() -> None:
    ports = world_of(1, 2, 3)
    back(ports)
    assert ports.ledger.champion(MODEL).replaced == digest("1")
