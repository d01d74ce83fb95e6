from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest, make_spec
from support.fakes import FakeLedger, FakeRegistry, FakeRouter, fake_ports
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
    version_of,
    world_of,
)
from windsock.exceptions import (
    ApprovalRefusedError,
    DeploymentRefusedError,
    GateRefusedError,
    ServerUnavailableError,
    StaleEpochError,
    TrackingUnavailableError,
    VerdictError,
)
from windsock.governance.approve_model import approve_model
from windsock.governance.promote_model import promote_model
from windsock.records import (
    ApproveModelInput,
    Gap,
    LedgerAction,
    LedgerEntry,
    LedgerView,
    ProbeResult,
    PromoteModelInput,
    RoutePlan,
    RouteState,
    RunContext,
)

MEDIUM = make_spec(model={"tier": "medium"})


def approved(
    ports: Any, number: int, approver: str, *, answer: Any = "approve", tier: str = "medium"
) -> None:
    step = ApproveModelInput(
        spec=make_spec(model={"tier": tier}), version=version_of(number), answer=answer, approver=approver
    )
    approve_model(step, ports, "")


class TestTheDoor:
    def test_a_first_version_becomes_champion(self) -> None:
        ports = world_of()
        deploy(ports, 1)
        promotion = promote(ports, 1, requester="alice")
        assert actions(ports) == [("deploy", 1, "1"), ("intend", 2, "1"), ("commit", 2, "1")]
        assert (promotion.version, promotion.epoch, promotion.previous_version) == ("1", 2, None)
        assert (promotion.unchanged, promotion.alias_mirrored) == (False, True)
        assert shares(ports) == {"1": 10_000}
        assert ports.registry.aliases == {(MODEL, "champion"): "1"}
        commit = ports.ledger.rows(MODEL)[-1]
        assert commit.actor == "alice"
        assert commit.body == {
            "bundle_uri": "memory://bundles/churn/1",
            "evidence_digest": digest("e"),
            "replaced": None,
            "requester": "alice",
            "approved_by": [],
            "forced": False,
        }

    def test_the_old_champion_stays_as_a_slot_without_traffic(self) -> None:
        ports = world_of(1, 2)
        assert shares(ports) == {"1": 0, "2": 10_000}
        champion = ports.ledger.champion(MODEL)
        assert (champion.version, champion.replaced) == ("2", digest("1"))
        assert promote(ports, 2).previous_version == "1"

    def test_every_routing_row_keeps_the_plan_that_was_laid(self) -> None:
        ports = world_of(1, 2)
        rows = [row for row in ports.ledger.rows(MODEL) if "plan" in row.body]
        assert [RoutePlan.of_row(row) for row in rows] == ports.router.applied

    def test_a_version_that_stands_in_no_slot_is_refused(self) -> None:
        ports = world_of(1)
        with pytest.raises(DeploymentRefusedError) as refusal:
            promote(ports, 2)
        assert refusal.value.code == "WS-DEPLOYMENT-004"
        assert ports.ledger.champion(MODEL).version == "1"

    def test_a_version_that_answers_wrongly_changes_nothing(self) -> None:
        ports = world_of(1)
        deploy(ports, 2)
        before = left_of(ports)
        ports.router.sick.add(digest("2"))
        with pytest.raises(DeploymentRefusedError) as refusal:
            promote(ports, 2)
        assert refusal.value.code == "WS-DEPLOYMENT-002"
        assert left_of(ports) == before

    def test_another_version_that_answers_in_the_slot_is_refused(self) -> None:
        class Mixed(FakeRouter):
            def probe(self, model: str, digest: str) -> ProbeResult:
                return super().probe(model, digest).model_copy(update={"version": "99"})

        good = world_of(1)
        deploy(good, 2)
        mixed = Mixed()
        mixed.plans = good.router.plans
        with pytest.raises(DeploymentRefusedError) as refusal:
            promote(fake_ports(ledger=good.ledger, router=mixed), 2)
        assert refusal.value.code == "WS-DEPLOYMENT-003"

    def test_a_server_away_is_told_and_the_retry_goes_on(self) -> None:
        class Away(FakeRouter):
            away = True

            def apply(self, plan: RoutePlan) -> RouteState:
                if self.away:
                    raise ServerUnavailableError("no answer")
                return super().apply(plan)

        ports = world_of(1)
        deploy(ports, 2)
        router = Away()
        router.plans = ports.router.plans
        there = fake_ports(ledger=ports.ledger, router=router, registry=ports.registry)
        with pytest.raises(ServerUnavailableError):
            promote(there, 2)
        router.away = False
        assert promote(there, 2).epoch == 4
        assert [action for action, *_ in actions(there)].count("intend") == 2

    def test_the_alias_is_a_mirror_and_never_stops_a_promotion(self) -> None:
        class Away(FakeRegistry):
            def alias(self, model: str, alias: str) -> str | None:
                raise TrackingUnavailableError("no answer")

        class Broken(FakeRegistry):
            def set_alias(self, model: str, alias: str, version: str) -> None:
                raise KeyError(version)

        for registry in (Away(), Broken()):
            ports = world_of(registry=registry)
            deploy(ports, 1)
            assert promote(ports, 1).alias_mirrored is False
            assert ports.ledger.champion(MODEL).version == "1"


class TestAfterASwitchThatFails:
    class SickAfterwards(FakeRouter):
        """Version 2 answers well without traffic and badly with it."""

        def probe(self, model: str, digest: str) -> ProbeResult:
            slot = self.plans[model].slot(digest)
            ill = slot is not None and slot.version == "2" and slot.share > 0
            result = super().probe(model, digest)
            return result.model_copy(update={"matched": False, "largest_difference": 0.3}) if ill else result

    def make_world(self, *champions: int) -> Any:
        ports = world_of(*champions, router=self.SickAfterwards())
        deploy(ports, 2)
        return ports

    def test_the_champion_serves_again_under_the_next_epoch(self) -> None:
        ports = self.make_world(1)
        with pytest.raises(DeploymentRefusedError) as refusal:
            promote(ports, 2)
        assert refusal.value.code == "WS-DEPLOYMENT-002"
        assert actions(ports)[-2:] == [("intend", 4, "2"), ("abandon", 5, "2")]
        assert shares(ports) == {"1": 10_000, "2": 0}
        assert ports.ledger.champion(MODEL).version == "1"
        assert ports.registry.aliases == {(MODEL, "champion"): "1"}

    def test_without_a_champion_nobody_serves(self) -> None:
        ports = self.make_world()
        with pytest.raises(DeploymentRefusedError):
            promote(ports, 2)
        assert shares(ports) == {"2": 0}
        assert ports.ledger.champion(MODEL) is None

    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_killed_before_the_champion_is_back_and_run_again_it_ends_the_same(self, after: int) -> None:
        undisturbed = self.make_world(1)
        with pytest.raises(DeploymentRefusedError):
            promote(undisturbed, 2)
        world = self.make_world(1)
        dying, _ = killed_after(world, after)  # intent, switch, abandon
        with pytest.raises(Killed):
            promote(dying, 2)
        with pytest.raises(DeploymentRefusedError):
            promote(world, 2)
        assert left_of(world) == left_of(undisturbed)


class TestTheBake:
    @staticmethod
    def falling_ill(after: int) -> Any:
        """Return a router whose version 2 answers so many times under traffic, then wrongly."""

        class Tiring(FakeRouter):
            probes = 0

            def probe(self, model: str, digest: str) -> ProbeResult:
                slot, result = self.plans[model].slot(digest), super().probe(model, digest)
                if slot is None or slot.version != "2" or not slot.share:
                    return result
                self.probes += 1
                return result.model_copy(update={"matched": self.probes <= after})

        return Tiring()

    @pytest.mark.parametrize("answers", [1, 2])
    def test_a_version_that_falls_ill_while_it_bakes_is_abandoned(self, answers: int) -> None:
        ports = world_of(1, router=self.falling_ill(answers))
        deploy(ports, 2)
        with pytest.raises(DeploymentRefusedError):
            promote(ports, 2)
        assert actions(ports)[-2:] == [("intend", 4, "2"), ("abandon", 5, "2")]
        assert shares(ports) == {"1": 10_000, "2": 0}

    def test_it_is_three_probes_half_a_second_apart_and_a_roll_back_does_not_wait(self) -> None:
        waited: list[float] = []
        router = self.falling_ill(3)
        ports = world_of(1, router=router, pause=waited.append)
        deploy(ports, 2)
        waited.clear()
        promote(ports, 2)
        assert (router.probes, waited) == (3, [0.5, 0.5])
        back(ports)
        assert waited == [0.5, 0.5]


class TestKilled:
    def test_a_first_promotion_survives_a_kill_anywhere(self) -> None:
        def make_world() -> Any:
            ports = world_of()
            deploy(ports, 1)
            return ports

        survives_kills(make_world, lambda ports: promote(ports, 1), effects=4)

    def test_a_later_promotion_survives_a_kill_anywhere(self) -> None:
        def make_world() -> Any:
            ports = world_of(1, 2)
            deploy(ports, 3)
            return ports

        survives_kills(make_world, lambda ports: promote(ports, 3), effects=4)

    def test_a_server_that_lost_its_state_after_the_intent_gets_the_whole_plan(self) -> None:
        ports = world_of(1)
        deploy(ports, 2)
        dying, _ = killed_after(ports, 1)
        with pytest.raises(Killed):
            promote(dying, 2)
        ports.router.plans.clear()
        assert promote(ports, 2).epoch == 4
        assert shares(ports) == {"1": 0, "2": 10_000}


class TestTwoAtOnce:
    def test_of_two_intents_one_is_written(self) -> None:
        class Racing(FakeLedger):
            """While version 2 is being promoted, version 3 gets its intent in first."""

            rival: LedgerEntry | None = None

            def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
                if self.rival and entry.action is LedgerAction.INTEND:
                    rival, self.rival = self.rival, None
                    super().append(rival, after_seq=after_seq)
                return super().append(entry, after_seq=after_seq)

        ledger = Racing()
        ports = world_of(1, ledger=ledger)
        (intent,) = [row for row in ledger.rows(MODEL) if row.action is LedgerAction.INTEND]
        deploy(ports, 2)
        ledger.rival = intent.model_copy(update={"epoch": 4, "version": "3", "digest": digest("3")})
        ledger.rival = LedgerEntry(**ledger.rival.model_dump(include=set(LedgerEntry.model_fields)))
        with pytest.raises(StaleEpochError):
            promote(ports, 2)
        assert ports.ledger.champion(MODEL).version == "1"

    def test_one_that_is_overtaken_while_it_bakes_does_not_commit(self) -> None:
        ports = world_of(1)
        deploy(ports, 2)
        deploy(ports, 3)
        slow = ports.router
        original = slow.probe
        state = {"calls": 0}

        def probe(model: str, digest: str) -> ProbeResult:
            state["calls"] += 1
            if state["calls"] == 2:  # the bake of version 3
                slow.probe = original
                deploy(ports, 2)
                promote(ports, 2)
            return original(model, digest)

        slow.probe = probe
        with pytest.raises(StaleEpochError):
            promote(ports, 3)
        champion = ports.ledger.champion(MODEL)
        assert champion.version == "2"
        assert shares(ports)["2"] == 10_000
        commits = [row.epoch for row in ports.ledger.rows(MODEL) if row.action is LedgerAction.COMMIT]
        assert len(commits) == len(set(commits)) == 2

    def test_a_twin_of_the_same_task_ends_with_the_same_commit(self) -> None:
        ports = world_of(1)
        deploy(ports, 2)
        original = ports.router.probe
        state = {"calls": 0}

        def probe(model: str, digest: str) -> ProbeResult:
            state["calls"] += 1
            if state["calls"] == 2:
                state["twin"] = promote(ports, 2)
            return original(model, digest)

        ports.router.probe = probe
        promotion = promote(ports, 2)
        assert promotion.epoch == state["twin"].epoch
        assert [action for action, *_ in actions(ports)].count("commit") == 2

    def test_an_approval_in_between_disturbs_nothing(self) -> None:
        ports = world_of(1)
        deploy(ports, 2)
        original = ports.router.probe

        def probe(model: str, digest: str) -> ProbeResult:
            approved(ports, 7, f"bob{len(ports.ledger.rows(MODEL))}")
            return original(model, digest)

        ports.router.probe = probe
        assert promote(ports, 2).version == "2"


class TestRefusals:
    @pytest.mark.parametrize(
        "other",
        [
            {"version": "2"},
            {"digest": digest("9")},
            {"evidence_digest": digest("9")},
            {"bundle_uri": "memory://bundles/churn/9"},
            {"model": "other"},
        ],
    )
    def test_a_version_that_was_never_registered_is_refused(self, other: dict[str, str]) -> None:
        ports = world_of()
        deploy(ports, 1)
        before = left_of(ports)
        made_by_hand = version_of(1).model_copy(update=other)
        with pytest.raises(GateRefusedError) as refusal:
            promote_model(PromoteModelInput(spec=make_spec(), version=made_by_hand, force=True), ports, "")
        assert refusal.value.code == "WS-GATE-010"
        assert left_of(ports) == before

    def test_what_a_person_is_asked_about_is_read_from_the_ledger(self) -> None:
        ports: Any = fake_ports()
        register(ports, 1, asks=["latency"])
        deploy(ports, 1)
        with pytest.raises(ApprovalRefusedError, match="0 of 1"):
            promote(ports, 1)
        approved(ports, 1, "bob", tier="low")
        assert promote(ports, 1).version == "1"

    def test_a_tier_lowered_since_the_registration_opens_nothing(self) -> None:
        ports: Any = fake_ports()
        register(ports, 1, tier="medium")
        deploy(ports, 1)
        with pytest.raises(ApprovalRefusedError, match="0 of 1"):
            promote(ports, 1, spec=make_spec(model={"tier": "low"}))

    def test_who_asked_for_what_was_registered_opens_nothing_in_a_later_run(self) -> None:
        ports: Any = fake_ports()
        register(ports, 1, requester="carol")
        deploy(ports, 1)
        # The row of an answer that approve_model would not have written.
        approve = LedgerEntry(
            model=MODEL, action=LedgerAction.APPROVE, epoch=0, version="1", digest=digest("1"), actor="carol"
        )
        ports.ledger.append(approve, after_seq=2)
        with pytest.raises(ApprovalRefusedError, match="0 of 1"):
            promote(ports, 1, spec=MEDIUM)

    def test_without_the_approvals_of_its_tier_nothing_is_promoted(self) -> None:
        ports = world_of()
        deploy(ports, 1)
        with pytest.raises(ApprovalRefusedError) as refusal:
            promote(ports, 1, spec=MEDIUM)
        assert refusal.value.code == "WS-APPROVAL-001"
        assert actions(ports) == [("deploy", 1, "1")]

    def test_with_the_approval_it_is_and_the_ledger_says_whose(self) -> None:
        ports = world_of()
        deploy(ports, 1)
        approved(ports, 1, "bob")
        promote(ports, 1, spec=MEDIUM, requester="alice")
        assert ports.ledger.rows(MODEL)[-1].body["approved_by"] == ["bob"]

    def test_the_approval_of_another_version_opens_nothing(self) -> None:
        ports = world_of()
        deploy(ports, 1)
        approved(ports, 2, "bob")
        with pytest.raises(ApprovalRefusedError):
            promote(ports, 1, spec=MEDIUM)

    def test_the_requester_s_own_approval_opens_nothing(self) -> None:
        ports = world_of()
        deploy(ports, 1)
        approved(ports, 1, "alice")
        with pytest.raises(ApprovalRefusedError):
            promote(ports, 1, spec=MEDIUM, requester="Alice")

    def test_a_high_tier_takes_two(self) -> None:
        high = make_spec(model={"tier": "high"})
        ports = world_of()
        deploy(ports, 1)
        approved(ports, 1, "bob", tier="high")
        with pytest.raises(ApprovalRefusedError, match="1 of 2"):
            promote(ports, 1, spec=high)
        approved(ports, 1, "carol", tier="high")
        assert promote(ports, 1, spec=high).version == "1"

    @pytest.mark.parametrize("tier", ["low", "medium"])
    def test_a_rejection_blocks(self, tier: str) -> None:
        ports = world_of()
        deploy(ports, 1)
        approved(ports, 1, "bob")
        approved(ports, 1, "carol", answer="reject")
        with pytest.raises(ApprovalRefusedError) as refusal:
            promote(ports, 1, spec=make_spec(model={"tier": tier}))
        assert refusal.value.code == "WS-APPROVAL-002"

    def test_a_broken_ledger_proves_nothing(self) -> None:
        class Broken(FakeLedger):
            def read(self, model: str) -> LedgerView:
                return LedgerView(self.rows(model), gaps=(Gap(1, "x"),))

        ports = world_of(ledger=Broken())
        deploy(ports, 1)
        with pytest.raises(VerdictError) as refusal:
            promote(ports, 1)
        assert refusal.value.code == "WS-LEDGER-002"


class TestTheOpponent:
    """The gate's yes holds against the champion that was beaten, and no other."""

    def refused(self, ports: Any, number: int, **how: Any) -> None:
        before = left_of(ports)
        with pytest.raises(GateRefusedError) as refusal:
            promote(ports, number, **how)
        assert refusal.value.code == "WS-GATE-011"
        assert "retrain DAG" in refusal.value.next_action
        assert left_of(ports) == before

    @pytest.mark.parametrize("force", [False, True])
    def test_a_version_that_never_met_the_present_champion_is_refused(self, force: bool) -> None:
        ports = world_of(1)
        deploy(ports, 2)
        promote(ports, 2)
        deploy(ports, 3)
        self.refused(ports, 3, force=force)

    def test_a_first_model_is_refused_where_a_champion_serves_by_now(self) -> None:
        ports = world_of()
        deploy(ports, 1)
        promote(ports, 1)
        deploy(ports, 2)
        self.refused(ports, 2)

    def test_a_roll_back_in_between_is_another_champion(self) -> None:
        ports = world_of(1, 2)
        deploy(ports, 3)
        back(ports)
        self.refused(ports, 3)

    def test_a_champion_of_old_is_not_promoted_again_over_who_beat_it(self) -> None:
        self.refused(world_of(1, 2), 1)

    def test_force_promotes_a_held_version_over_the_one_that_it_beat_only(self) -> None:
        ports = world_of(1, 2, 3)
        back(ports, to=1)
        self.refused(ports, 3, force=True)
        back(ports, to=2)
        assert promote(ports, 3, force=True).previous_version == "2"

    def test_a_champion_from_before_opponents_were_written_replaces_its_predecessor(self) -> None:
        ports = world_of(1, 2)
        back(ports)
        for number, row in enumerate(ports.ledger.kept[MODEL]):
            if row.action is LedgerAction.REGISTER:
                body = {key: value for key, value in row.body.items() if key != "opponent"}
                ports.ledger.kept[MODEL][number] = row.model_copy(update={"body": body})
        ports.ledger.read = lambda model: LedgerView(ports.ledger.rows(model))
        assert promote(ports, 2, force=True).previous_version == "1"
        self.refused(ports, 3)


class TestUnchanged:
    def test_the_champion_again_writes_nothing(self) -> None:
        ports = world_of(1)
        before = left_of(ports)
        promotion = promote(ports, 1)
        assert promotion.unchanged
        assert (promotion.version, promotion.epoch) == ("1", 2)
        assert left_of(ports) == before

    def test_a_lost_alias_is_set_again(self) -> None:
        ports = world_of(1)
        ports.registry.aliases.clear()
        assert promote(ports, 1).alias_mirrored
        assert ports.registry.aliases == {(MODEL, "champion"): "1"}

    def test_a_server_that_lost_its_state_gets_the_route_of_the_ledger_again(self) -> None:
        ports = world_of(1, 2)
        ports.router.plans.clear()
        assert promote(ports, 2).unchanged
        assert shares(ports) == {"1": 0, "2": 10_000}
        assert [action for action, *_ in actions(ports)][-1] == "commit"

    def test_traffic_on_a_version_that_was_never_committed_comes_back(self) -> None:
        ports = world_of(1)
        deploy(ports, 2)
        dying, _ = killed_after(ports, 2)
        with pytest.raises(Killed):
            promote(dying, 2)
        assert shares(ports) == {"1": 0, "2": 10_000}
        assert promote(ports, 1).unchanged
        assert shares(ports) == {"1": 10_000, "2": 0}
        assert actions(ports)[-1] == ("deploy", 5, "1")

    def test_a_version_that_was_rolled_back_is_held_until_it_is_forced(self) -> None:
        ports = world_of(1, 2)
        back(ports)
        before = left_of(ports)
        held = promote(ports, 2)
        assert held.unchanged
        assert "rolled back" in held.reason
        assert held.version == "2"
        assert held.previous_version == "1"
        assert left_of(ports) == before
        deploy(ports, 2, force=True)
        forced = promote(ports, 2, force=True)
        assert not forced.unchanged
        assert ports.ledger.champion(MODEL).version == "2"
        assert ports.ledger.rows(MODEL)[-1].body["forced"] is True
        assert promote(ports, 2).unchanged

    def test_force_does_not_open_the_door_without_approvals(self) -> None:
        ports = world_of(1, 2)
        back(ports)
        with pytest.raises(ApprovalRefusedError):
            promote(ports, 2, spec=MEDIUM, force=True)


def test_the_run_s_person_is_the_actor_and_else_the_scheduler() -> None:
    assert RunContext(requested_by="alice").actor == "alice"
    assert RunContext().actor == "scheduler"


def test_by_a_run_that_nobody_is_named_for_one_yes_promotes_nothing() -> None:
    ports = world_of()
    deploy(ports, 1)
    approved(ports, 1, "eve")
    step = PromoteModelInput(spec=MEDIUM, version=version_of(1), run=RunContext(starter_unknown=True))
    with pytest.raises(ApprovalRefusedError, match="1 of 2 approvals .* nobody knows who started it"):
        promote_model(step, ports, "")
    approved(ports, 1, "bob")
    assert promote_model(step, ports, "").version == "1"
