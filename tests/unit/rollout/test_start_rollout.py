from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from support.builders import PACKS, digest, make_spec
from support.fakes import FakeLedger, FakeRouter, fake_ports
from support.faults import Killed, killed_after
from support.rollout_steps import (
    AB,
    CANARY,
    DIRECT,
    SHADOW,
    advance,
    decided,
    end,
    prove,
    running,
    split,
    start,
    started_world,
    steer,
    waiting_row,
    waiting_world,
)
from support.world import MODEL, actions, back, deploy, left_of, promote, shares, survives_kills, world_of
from windsock.exceptions import (
    DeploymentRefusedError,
    GateRefusedError,
    RolloutRefusedError,
    ServerUnavailableError,
    SpecError,
    VerdictError,
)
from windsock.records import (
    Gap,
    LedgerAction,
    LedgerEntry,
    LedgerView,
    ProbeResult,
    RoutePlan,
    RouteState,
    ended_rollouts,
    running_rollout,
)


class SickUnderTraffic(FakeRouter):
    """Version 2 answers well without traffic and badly with it."""

    def probe(self, model: str, digest: str) -> ProbeResult:
        slot, result = self.plans[model].slot(digest), super().probe(model, digest)
        ill = slot is not None and slot.version == "2" and (slot.share > 0 or slot.shadow)
        return result.model_copy(update={"matched": False}) if ill else result


class TestItBegins:
    def test_a_canary_at_its_first_step(self) -> None:
        ports = waiting_world()
        state = start(ports, requester="ann")
        assert state.started
        assert not state.unchanged
        assert shares(ports) == {"1": 9_500, "2": 500}
        assert actions(ports)[-1] == ("shift", 4, "2")
        row = ports.ledger.rows(MODEL)[-1]
        assert row.actor == row.body["requester"] == "ann"
        assert row.body["experiment"] == "v2-e4"
        assert (row.body["step"], row.body["decision"]) == (0, None)
        assert row.body["begins"]["shares"] == [500, 2500]
        plan = ports.router.plans[MODEL]
        assert plan == RoutePlan.of_row(row)
        assert (plan.champion, plan.experiment, plan.salt) == (digest("1"), "v2-e4", MODEL)
        assert state.rollout == running(ports)
        assert state.look_due == state.rollout.step_since + state.rollout.plan.length("check")

    def test_an_ab_test_at_its_share_and_a_shadow_without(self) -> None:
        ports = started_world(spec=AB)
        assert split(ports) == {"1": (6_000, False), "2": (4_000, False)}
        ports = started_world(spec=SHADOW)
        assert split(ports) == {"1": (10_000, False), "2": (0, True)}

    def test_with_what_the_form_asks_for_this_once(self) -> None:
        ports = waiting_world()
        start(ports, steps=(1, 100), metric="ctr", horizon="14d")
        plan = running(ports).plan
        assert (plan.shares, plan.metric, plan.horizon) == ((100,), "ctr", "14d")

    def test_its_plan_stays_whatever_becomes_of_the_file(self) -> None:
        ports = started_world()
        before = running(ports)
        for spec in (DIRECT, AB):
            state = start(ports, spec=spec)
            assert state.rollout == before
            assert state.unchanged

    def test_a_later_deployment_keeps_the_slot_of_what_waits(self) -> None:
        ports = waiting_world()
        deploy(ports, 3)
        assert shares(ports) == {"1": 10_000, "2": 0, "3": 0}
        start(ports)
        assert shares(ports) == {"1": 9_500, "2": 500, "3": 0}

    def test_on_a_server_that_lost_its_state(self) -> None:
        ports = waiting_world()
        ports.router.plans.clear()
        start(ports)
        assert shares(ports) == {"1": 9_500, "2": 500}
        assert running(ports).salt == MODEL


class TestNothingBegins:
    def test_where_nothing_waits_nobody_asks_the_server(self) -> None:
        class Away(FakeRouter):
            def state(self, model: str) -> RouteState | None:
                raise ServerUnavailableError("no answer")

        good = world_of(1)
        state = start(fake_ports(ledger=good.ledger, router=Away()))
        assert (state.rollout, state.waiting, state.started) == (None, None, False)
        assert "no version waits" in state.reason

    def test_a_look_alone_starts_nothing_and_mends_nothing(self) -> None:
        ports = waiting_world()
        before = left_of(ports)
        state = start(ports, only_look=True)
        assert (state.rollout, state.waiting) == (None, "2")
        assert left_of(ports) == before
        start(ports)
        ports.router.plans.clear()
        assert start(ports, only_look=True).rollout == running(ports)
        assert ports.router.plans == {}

    def test_a_version_that_never_met_the_present_champion_is_told_each_time(self) -> None:
        ports = waiting_world()
        deploy(ports, 3)
        promote(ports, 3, spec=DIRECT)
        before = left_of(ports)
        for _ in range(2):
            state = start(ports)
            assert (state.rollout, state.waiting) == (None, "2")
            assert state.reason.startswith("WS-ROLLOUT-003")
        assert left_of(ports) == before

    def test_a_strategy_that_is_direct_by_now_starts_nothing_and_the_next_retrain_promotes(self) -> None:
        ports = waiting_world()
        assert start(ports, spec=DIRECT).reason.startswith("WS-ROLLOUT-006")
        assert promote(ports, 2, spec=DIRECT).version == "2"
        assert ports.ledger.champion(MODEL).version == "2"
        assert waiting_row(ports.ledger.rows(MODEL)) is None

    def test_a_version_that_was_rejected_since(self) -> None:
        ports = waiting_world()
        no = LedgerEntry(
            model=MODEL, action=LedgerAction.REJECT, epoch=0, version="2", digest=digest("2"), actor="bob"
        )
        ports.ledger.append(no, after_seq=len(ports.ledger.rows(MODEL)))
        assert start(ports).reason.startswith("WS-APPROVAL-002")
        assert running_rollout(ports.ledger.rows(MODEL)) is None

    def test_a_version_that_is_held_does_not_wait_until_it_is_forced(self) -> None:
        ports = started_world()
        end(ports, "v2-e4")
        held = promote(ports, 2, spec=CANARY)
        assert held.unchanged
        assert not held.waiting
        assert start(ports).rollout is None
        deploy(ports, 2, force=True)
        assert promote(ports, 2, spec=CANARY, force=True).waiting
        assert start(ports).started

    def test_while_another_promotion_is_open(self) -> None:
        ports = waiting_world()
        deploy(ports, 3)
        dying, _ = killed_after(ports, 1)
        with pytest.raises(Killed):
            promote(dying, 3, spec=DIRECT)
        assert start(ports).reason.startswith("WS-ROLLOUT-005")

    def test_the_version_that_is_named_must_be_the_one_that_waits(self) -> None:
        ports = waiting_world()
        deploy(ports, 3)
        promote(ports, 3, spec=CANARY)
        with pytest.raises(RolloutRefusedError, match="version 3 does, the newest") as refusal:
            start(ports, version=2)
        assert refusal.value.code == "WS-ROLLOUT-002"
        assert start(ports, version=3).started
        deploy(ports, 4)
        promote(ports, 4, spec=CANARY)
        state = start(ports, version=4)
        assert (state.started, state.waiting) == (False, "4")
        assert "version 4 waits until rollout" in state.reason
        assert "version 2 does not wait" in start(ports, version=2).reason

    def test_what_a_form_asks_for_while_one_runs_is_not_taken_and_told(self) -> None:
        ports = started_world()
        before, rows = running(ports), left_of(ports)
        state = start(ports, metric="conversion", horizon="14d", steps=(1, 2))
        assert state.reason == (
            "steps, metric, horizon: not taken, rollout v2-e4 keeps the plan that it began with"
        )
        assert (state.rollout, left_of(ports)) == (before, rows)
        assert "not taken" not in start(ports).reason

    @pytest.mark.parametrize(
        ("asked", "place"),
        [
            ({"metric": "nonsense"}, "rollout"),
            ({"steps": (25, 5)}, "rollout"),
            ({"horizon": "90d"}, "rollout"),
        ],
    )
    def test_what_cannot_be_is_refused_and_nothing_changes(self, asked: dict[str, Any], place: str) -> None:
        ports = waiting_world()
        before = left_of(ports)
        with pytest.raises(SpecError) as refusal:
            start(ports, **asked)
        assert refusal.value.code == "WS-ROLLOUT-007"
        assert str(refusal.value.key).startswith(place)
        assert left_of(ports) == before

    def test_a_row_that_no_registration_stands_behind(self) -> None:
        ports = world_of(1)
        made_up = LedgerEntry(
            model=MODEL,
            action=LedgerAction.QUEUE,
            epoch=0,
            version="2",
            digest=digest("9"),
            actor="mallory",
            body={"bundle_uri": "memory://evil", "evidence_digest": digest("e")},
        )
        ports.ledger.append(made_up, after_seq=len(ports.ledger.rows(MODEL)))
        with pytest.raises(GateRefusedError) as refusal:
            start(ports)
        assert refusal.value.code == "WS-GATE-010"

    def test_a_broken_ledger(self) -> None:
        class Broken(FakeLedger):
            whole = True

            def read(self, model: str) -> LedgerView:
                return LedgerView(self.rows(model), gaps=() if self.whole else (Gap(1, "x"),))

        ledger = Broken()
        ports = waiting_world(ledger=ledger)
        ledger.whole = False
        with pytest.raises(VerdictError) as refusal:
            start(ports)
        assert refusal.value.code == "WS-LEDGER-002"
        assert running_rollout(ledger.rows(MODEL)) is None


class TestItDoesNotAnswer:
    def test_before_it_has_traffic_nothing_changes(self) -> None:
        ports = waiting_world()
        ports.router.sick.add(digest("2"))
        before = left_of(ports)
        for _ in range(2):
            state = start(ports)
            assert (state.rollout, state.waiting, state.unchanged) == (None, "2", True)
            assert state.reason.startswith("WS-ROLLOUT-014")
            assert "golden" in state.reason
        assert left_of(ports) == before
        ports.router.sick.clear()
        assert start(ports).started

    def test_a_look_alone_says_so_too_and_changes_nothing(self) -> None:
        ports = waiting_world()
        assert start(ports, only_look=True).reason == "version 2 waits for its rollout"
        ports.router.sick.add(digest("2"))
        before = left_of(ports)
        assert start(ports, only_look=True).reason.startswith("WS-ROLLOUT-014: version 2 waits")
        assert left_of(ports) == before

    def test_one_that_was_stopped_is_held_and_a_person_is_told_how_it_waits_again(self) -> None:
        ports = started_world()
        end(ports, "v2-e4", outcome="stopped")
        state = start(ports)
        assert "no version waits; version 2 is held" in state.reason
        assert "churn__daily_retrain with `force`" in state.reason
        with pytest.raises(RolloutRefusedError, match="does not wait") as refusal:
            start(ports, version=2)
        assert "`force` in churn__daily_retrain" in refusal.value.next_action

    @pytest.mark.parametrize("spec", [CANARY, SHADOW])
    def test_with_traffic_the_champion_has_it_all_again_and_the_rollout_is_over(self, spec: Any) -> None:
        ports = waiting_world(router=SickUnderTraffic(), spec=spec)
        with pytest.raises(DeploymentRefusedError):
            start(ports, spec=spec)
        assert split(ports) == {"1": (10_000, False)}
        assert actions(ports)[-2:] == [("shift", 4, "2"), ("abandon", 5, "2")]
        (told,) = ended_rollouts(ports.ledger.rows(MODEL))
        assert told.outcome == "broken_off"
        assert "golden" in told.reason
        assert start(ports).rollout is None

    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_killed_before_the_champion_is_back_and_run_again_it_ends_the_same(self, after: int) -> None:
        undisturbed = waiting_world(router=SickUnderTraffic())
        with pytest.raises(DeploymentRefusedError):
            start(undisturbed)
        ports = waiting_world(router=SickUnderTraffic())
        dying, _ = killed_after(ports, after)
        with pytest.raises(Killed):
            start(dying)
        with pytest.raises(DeploymentRefusedError):
            start(ports)
        assert left_of(ports) == left_of(undisturbed)

    def test_a_bundle_that_the_server_refuses_does_not_come_back_each_hour(self) -> None:
        class Picky(FakeRouter):
            def apply(self, plan: RoutePlan) -> RouteState:
                if plan.slot(digest("2")) is not None and self.picky:
                    raise DeploymentRefusedError("the bundle does not verify")
                return super().apply(plan)

            picky = False

        router = Picky()
        ports = waiting_world(router=router)
        deploy(ports, 3)
        router.picky = True
        with pytest.raises(DeploymentRefusedError):
            start(ports)
        assert shares(ports) == {"1": 10_000, "3": 0}
        assert start(ports).rollout is None

    def test_a_server_away_writes_nothing(self) -> None:
        class Away(FakeRouter):
            def state(self, model: str) -> RouteState | None:
                raise ServerUnavailableError("no answer")

        ports = waiting_world()
        before = left_of(ports)
        with pytest.raises(ServerUnavailableError):
            start(replace(ports, router=Away()))
        assert left_of(ports) == before


class TestItGoesOn:
    @pytest.mark.parametrize("spec", [CANARY, AB, SHADOW])
    def test_killed_anywhere_and_run_again_it_ends_the_same(self, spec: Any) -> None:
        survives_kills(lambda: waiting_world(spec=spec), lambda ports: start(ports, spec=spec), effects=2)

    def test_a_server_that_lost_its_state_gets_the_split_of_the_ledger(self) -> None:
        ports = started_world()
        advance(ports)
        deploy(ports, 3)
        served = ports.router.plans[MODEL]
        ports.router.plans.clear()
        assert start(ports).unchanged
        assert ports.router.plans[MODEL] == served

    def test_a_challenger_that_does_not_come_up_again_is_given_up(self) -> None:
        ports = started_world()
        ports.router.plans.clear()
        ports.router.sick.add(digest("2"))
        with pytest.raises(DeploymentRefusedError):
            start(ports)
        assert shares(ports) == {"1": 10_000}
        assert running_rollout(ports.ledger.rows(MODEL)) is None

    @pytest.mark.parametrize("after", [1, 2])
    def test_a_promotion_that_was_not_committed_is_brought_to_its_end(self, after: int) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        dying, _ = killed_after(ports, after)
        with pytest.raises(Killed):
            prove(dying, 2, "v2-e4", spec=AB)
        assert start(ports, spec=AB).rollout is None
        assert ports.ledger.champion(MODEL).version == "2"
        assert ports.registry.aliases == {(MODEL, "champion"): "2"}

    @pytest.mark.parametrize("after", [1, 2])
    def test_a_roll_back_that_was_not_committed_is_brought_to_its_end(self, after: int) -> None:
        ports = started_world()
        dying, _ = killed_after(ports, after)
        with pytest.raises(Killed):
            end(dying, "v2-e4", "kept")
        assert start(ports).rollout is None
        assert shares(ports) == {"1": 10_000, "2": 0}
        (told,) = ended_rollouts(ports.ledger.rows(MODEL))
        assert told.outcome == "kept"

    def test_paused_it_is_told_with_its_next_look(self) -> None:
        ports = started_world()
        steer(ports, "pause", by="ann")
        state = start(ports)
        assert state.rollout.paused_by == "ann"
        assert state.look_due is not None


class TestTwoAtOnce:
    def test_two_schedulers_begin_one(self) -> None:
        class Racing(FakeLedger):
            """While one is about to begin, another one begins."""

            race: Any = None

            def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
                if self.race and entry.action is LedgerAction.SHIFT:
                    race, self.race = self.race, None
                    race()
                return super().append(entry, after_seq=after_seq)

        ledger = Racing()
        ports = waiting_world(ledger=ledger)
        ledger.race = lambda: start(ports)
        state = start(ports)
        assert not state.started
        assert state.rollout.experiment == "v2-e4"
        assert [action for action, *_ in actions(ports)].count("shift") == 1

    def test_one_that_is_rolled_back_while_it_begins_does_not_serve(self) -> None:
        ports = waiting_world()
        original, done = ports.router.probe, []

        def probe(model: str, digest: str) -> ProbeResult:
            slot = ports.router.plans[model].slot(digest)
            if slot.share and slot.version == "2" and not done:
                done.append(back(ports))
            return original(model, digest)

        ports.router.probe = probe
        assert start(ports).rollout is None
        assert shares(ports) == {"1": 10_000, "2": 0}

    def test_a_deployment_in_between_disturbs_nothing(self) -> None:
        class Racing(FakeLedger):
            race: Any = None

            def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
                if self.race and entry.action is LedgerAction.SHIFT:
                    race, self.race = self.race, None
                    race()
                return super().append(entry, after_seq=after_seq)

        ledger = Racing()
        ports = waiting_world(ledger=ledger)
        ledger.race = lambda: deploy(ports, 3)
        state = start(ports)
        assert state.started
        assert shares(ports) == {"1": 9_500, "2": 500, "3": 0}


class TestARareClass:
    """Accuracy is no usual metric where a class is under 5 % of the rows."""

    @staticmethod
    def rare(monkeypatch: pytest.MonkeyPatch, ports: Any, share: float) -> None:
        row = next(row for row in ports.ledger.rows(MODEL) if row.version == "2")
        place = (row.body["evidence_uri"], row.body["evidence_digest"])
        pack = json.loads(PACKS[place]) | {"evaluation": {"rarest_class": share}}
        monkeypatch.setitem(PACKS, place, json.dumps(pack).encode())

    def test_the_usual_metric_does_not_start_a_rollout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ports = waiting_world()
        self.rare(monkeypatch, ports, 0.008)
        state = start(ports)
        assert not state.started
        assert state.reason.startswith(
            "WS-ROLLOUT-017: version 2 waits and cannot start: one of its classes is 0.80%"
        )
        assert start(ports, metric="accuracy").started

    def test_a_metric_of_the_file_starts_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = make_spec(rollout={"strategy": "canary", "metric": "conversion"})
        ports = waiting_world(spec=spec)
        self.rare(monkeypatch, ports, 0.008)
        assert start(ports, spec=spec).started

    def test_five_per_cent_are_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ports = waiting_world()
        self.rare(monkeypatch, ports, 0.05)
        assert start(ports).started
