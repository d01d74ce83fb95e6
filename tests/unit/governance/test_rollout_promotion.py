"""A version waits for its rollout, and is promoted because of it."""

from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest, make_spec
from support.fakes import FakeLedger, FakeRouter
from support.faults import Killed, killed_after
from support.rollout_steps import (
    AB,
    CANARY,
    DIRECT,
    SHADOW,
    decided,
    end,
    prove,
    running,
    shift,
    start,
    started_world,
    steer,
    waiting_world,
    with_pack,
)
from support.rollouts import make_look
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
from windsock.door import append_unless_routed
from windsock.exceptions import (
    ApprovalRefusedError,
    DeploymentRefusedError,
    GateRefusedError,
    RolloutRefusedError,
)
from windsock.governance.approve_model import approve_model
from windsock.records import (
    ApproveModelInput,
    Gap,
    LedgerAction,
    LedgerEntry,
    LedgerView,
    ProbeResult,
    decision_digest,
    ended_rollouts,
    running_rollout,
    was_rolled_back,
)

ASKED = make_spec(rollout={"strategy": "ab", "share": 40, "approve": True})


def answered(
    ports: Any,
    approver: str,
    answer: Any = "approve",
    *,
    experiment: str | None = "v2-e4",
    spec: Any = ASKED,
    number: int = 2,
) -> None:
    step = ApproveModelInput(
        spec=spec, version=version_of(number), answer=answer, approver=approver, experiment=experiment
    )
    approve_model(step, ports, "")


class TestItWaits:
    @pytest.mark.parametrize("spec", [CANARY, AB, SHADOW])
    def test_once_a_champion_serves(self, spec: Any) -> None:
        ports = world_of()
        deploy(ports, 1, spec=spec)
        first = promote(ports, 1, spec=spec)
        assert (first.waiting, ports.ledger.champion(MODEL).version) == (False, "1")
        assert promote(ports, 1, spec=spec).unchanged
        register(ports, 8, opponent=digest("1"))
        deploy(ports, 8, spec=spec)
        before = ports.router.plans[MODEL]
        told = promote(ports, 8, spec=spec, requester="ann")
        assert (told.waiting, told.unchanged) == (True, False)
        assert (told.version, told.previous_version) == ("8", "1")
        assert f"version 8 waits for its rollout ({spec.rollout.strategy}); version 1 keeps" in told.reason
        assert ports.router.plans[MODEL] == before
        row = ports.ledger.rows(MODEL)[-1]
        assert (row.action, row.epoch, row.version, row.actor) == (LedgerAction.QUEUE, 0, "8", "ann")
        assert row.body["bundle_uri"] == "memory://bundles/churn/8"
        assert row.body["evidence_digest"] == digest("e")
        assert (row.body["requester"], row.body["approved_by"], row.body["forced"]) == ("ann", [], False)

    def test_twice_is_once_also_while_its_rollout_is_under_way(self) -> None:
        ports = waiting_world()
        before = left_of(ports)
        again = promote(ports, 2, spec=CANARY)
        assert (again.waiting, again.unchanged) == (True, True)
        assert left_of(ports) == before
        start(ports)
        before = left_of(ports)
        again = promote(ports, 2, spec=CANARY)
        assert (again.waiting, again.unchanged) == (True, True)
        assert "version 2 has its rollout v2-e4 now" in again.reason
        assert left_of(ports) == before

    def test_killed_and_run_again_it_is_written_once(self) -> None:
        def make_world() -> Any:
            ports = world_of(1)
            deploy(ports, 2, spec=CANARY)
            return ports

        survives_kills(make_world, lambda ports: promote(ports, 2, spec=CANARY), effects=1)

    def test_a_version_that_lost_its_rollout_is_held_and_no_promotion(self) -> None:
        ports = started_world(spec=AB)
        assert not promote(ports, 2, spec=AB).held
        end(ports, "v2-e4", "kept")
        told = promote(ports, 2, spec=AB)
        assert (told.held, told.waiting, told.unchanged) == (True, False, True)
        assert (told.version, told.previous_version) == ("2", "1")
        assert "is held; version 1 keeps serving. Run with force" in told.reason

    def test_a_promotion_that_was_begun_at_once_goes_on_whatever_the_file_says(self) -> None:
        ports = world_of(1)
        deploy(ports, 2)
        with pytest.raises(Killed):
            promote(killed_after(ports, 1)[0], 2)
        told = promote(ports, 2, spec=CANARY)
        assert (told.waiting, told.version) == (False, "2")
        assert ports.ledger.champion(MODEL).version == "2"

    def test_without_a_slot_or_a_right_answer_it_does_not_wait(self) -> None:
        ports = world_of(1)
        with pytest.raises(DeploymentRefusedError) as refusal:
            promote(ports, 2, spec=CANARY)
        assert refusal.value.code == "WS-DEPLOYMENT-004"
        deploy(ports, 2)
        ports.router.sick.add(digest("2"))
        before = left_of(ports)
        with pytest.raises(DeploymentRefusedError) as refusal:
            promote(ports, 2, spec=CANARY)
        assert refusal.value.code == "WS-DEPLOYMENT-002"
        assert left_of(ports) == before

    def test_it_needs_what_a_promotion_needs(self) -> None:
        ports = world_of(1, 2)
        register(ports, 8, opponent=digest("1"))
        deploy(ports, 8)
        with pytest.raises(GateRefusedError) as refusal:
            promote(ports, 8, spec=CANARY)
        assert refusal.value.code == "WS-GATE-011"
        ports = world_of(1)
        deploy(ports, 2)
        medium = make_spec(model={"tier": "medium"}, rollout={"strategy": "canary"})
        with pytest.raises(ApprovalRefusedError):
            promote(ports, 2, spec=medium)
        answered(ports, "bob", experiment=None, spec=medium)
        assert promote(ports, 2, spec=medium).waiting
        assert ports.ledger.rows(MODEL)[-1].body["approved_by"] == ["bob"]

    def test_a_champion_that_changes_at_that_moment_is_told(self) -> None:
        class Racing(FakeLedger):
            race: Any = None

            def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
                if self.race and entry.action is LedgerAction.QUEUE:
                    race, self.race = self.race, None
                    race()
                return super().append(entry, after_seq=after_seq)

        ledger = Racing()
        ports = world_of(1, ledger=ledger)
        deploy(ports, 2)
        deploy(ports, 3)

        def race() -> None:
            deploy(ports, 3)
            promote(ports, 3)

        ledger.race = race
        deploy(ports, 2)
        with pytest.raises(RolloutRefusedError) as refusal:
            promote(ports, 2, spec=CANARY)
        assert refusal.value.code == "WS-ROLLOUT-003"
        assert "queue" not in [action for action, *_ in actions(ports)]

    def test_two_tasks_let_it_wait_once(self) -> None:
        class Racing(FakeLedger):
            race: Any = None

            def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
                if self.race and entry.action is LedgerAction.QUEUE:
                    race, self.race = self.race, None
                    race()
                return super().append(entry, after_seq=after_seq)

        ledger = Racing()
        ports = world_of(1, ledger=ledger)
        deploy(ports, 2)
        ledger.race = lambda: promote(ports, 2, spec=CANARY)
        assert promote(ports, 2, spec=CANARY).waiting
        assert [action for action, *_ in actions(ports)].count("queue") == 1

    def test_a_champion_whose_server_lost_its_state_does_not_break_the_rollout_off(self) -> None:
        ports = started_world()
        served = ports.router.plans[MODEL]
        ports.router.plans.clear()
        assert promote(ports, 1, spec=CANARY).unchanged
        assert ports.router.plans[MODEL] == served
        assert running(ports).experiment == "v2-e4"

    def test_a_champion_promoted_again_while_the_promotion_is_open_brings_the_split_back(
        self,
    ) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        with pytest.raises(Killed):
            prove(killed_after(ports, 2)[0], 2, "v2-e4", spec=AB)
        assert promote(ports, 1, spec=AB).unchanged
        assert shares(ports) == {"1": 6_000, "2": 4_000}
        assert running(ports).experiment == "v2-e4"


class TestItIsProved:
    def test_the_champion_by_the_ledger_and_what_proved_it_stands_in_the_rows(self) -> None:
        ports = started_world(spec=AB)
        look = decided(ports, "promote")
        told = prove(ports, 2, "v2-e4", spec=AB, requester="ann")
        assert (told.version, told.previous_version, told.epoch) == ("2", "1", 5)
        assert (told.waiting, told.unchanged, told.alias_mirrored) == (False, False, True)
        assert shares(ports) == {"1": 0, "2": 10_000}
        assert ports.router.plans[MODEL].experiment is None
        assert ports.ledger.champion(MODEL).version == "2"
        intent, commit = ports.ledger.rows(MODEL)[-2:]
        assert (intent.action, commit.action) == (LedgerAction.INTEND, LedgerAction.COMMIT)
        for row in (intent, commit):
            assert row.body["experiment"] == "v2-e4"
            assert row.body["decision"] == decision_digest(look)
            assert row.body["decision_evidence"] == look.evidence_digest
            assert row.body["replaced"] == digest("1")
        assert "plan" not in commit.body

    def test_a_shadow_ends_as_no_shadow(self) -> None:
        ports = started_world(spec=SHADOW)
        decided(ports, "promote")
        prove(ports, 2, "v2-e4", spec=SHADOW)
        assert ports.router.plans[MODEL].shadows == ()

    def test_killed_anywhere_and_run_again_it_ends_the_same(self) -> None:
        def make_world() -> Any:
            ports = started_world(spec=AB)
            decided(ports, "promote")
            return ports

        survives_kills(make_world, lambda ports: prove(ports, 2, "v2-e4", spec=AB), effects=6)

    @pytest.mark.parametrize("after", [1, 2, 3])
    @pytest.mark.parametrize(
        ("later", "outcome"), [("hold", "kept"), ("keep", "kept"), ("roll_back", "rolled_back")]
    )
    @pytest.mark.parametrize("by", ["promote_model", "start_rollout", "roll_back"])
    def test_what_was_begun_is_ended_where_a_later_look_says_otherwise(
        self, after: int, later: str, outcome: str, by: str
    ) -> None:
        def make_world() -> Any:
            ports = started_world(spec=AB)
            decided(ports, "promote")
            with pytest.raises(Killed):
                prove(killed_after(ports, 2 if after == 2 else 1)[0], 2, "v2-e4", spec=AB)
            if after == 3:
                ports.router.plans.clear()
            decided(ports, later, evidence_digest=digest("f"), reason="errors 4 %")
            return ports

        def act(ports: Any) -> Any:
            if by == "promote_model":
                return prove(ports, 2, "v2-e4", spec=AB)
            if by == "start_rollout":
                return start(ports, spec=AB)
            return end(ports, "v2-e4", outcome)

        # Report and run say the end in the same step, but where the next rollout is begun.
        survives_kills(make_world, act, effects=3 if by == "start_rollout" else 5)
        ports = make_world()
        told = act(ports)
        rows = ports.ledger.rows(MODEL)
        assert ports.ledger.champion(MODEL).version == "1"
        assert shares(ports)["1"] == 10_000
        assert [one.outcome.value for one in ended_rollouts(rows)] == [outcome]
        assert was_rolled_back(rows, digest("2"))
        if by == "roll_back":
            return
        last = ports.rollouts.decisions(MODEL, "v2-e4")[-1]
        assert (rows[-1].body["decision"], rows[-1].body["decision_evidence"]) == (
            decision_digest(last),
            digest("f"),
        )
        assert rows[-1].body["reason"] == (
            f"its promotion was begun and not finished; look 2 says {later}: errors 4 %"
        )
        if by == "promote_model":
            assert (told.unchanged, told.waiting, told.previous_version) == (True, False, "1")
            assert "rollout v2-e4 is over" in told.reason
        else:
            assert told.rollout is None

    @pytest.mark.parametrize("by", ["promote_model", "start_rollout"])
    def test_what_was_begun_goes_on_while_the_last_look_still_says_so(self, by: str) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        with pytest.raises(Killed):
            prove(killed_after(ports, 2)[0], 2, "v2-e4", spec=AB)
        decided(ports, "promote")
        prove(ports, 2, "v2-e4", spec=AB) if by == "promote_model" else start(ports, spec=AB)
        assert ports.ledger.champion(MODEL).version == "2"

    def test_a_look_that_repeats_it_needs_a_pack_of_its_own(self) -> None:
        ports = started_world(spec=AB)
        first = decided(ports, "promote")
        pack = {"evidence_uri": first.evidence_uri, "evidence_digest": first.evidence_digest}
        decided(ports, "promote", pack=False, reason="another look", **pack)
        with pytest.raises(RolloutRefusedError) as refusal:
            prove(ports, 2, "v2-e4", spec=AB)
        assert refusal.value.code == "WS-ROLLOUT-015"
        last = decided(ports, "promote", reason="one more look")
        assert prove(ports, 2, "v2-e4", spec=AB).version == "2"
        assert ports.ledger.rows(MODEL)[-1].body["decision_evidence"] == last.evidence_digest

    def test_what_was_begun_is_ended_where_no_look_is_kept(self) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        with pytest.raises(Killed):
            prove(killed_after(ports, 1)[0], 2, "v2-e4", spec=AB)
        ports.rollouts.kept.clear()
        start(ports, spec=AB)
        row = ports.ledger.rows(MODEL)[-1]
        assert (row.version, row.body["outcome"], row.body["decision"]) == ("1", "kept", None)
        assert "no look is kept" in row.body["reason"]

    def test_a_server_that_lost_its_state_gets_the_split_first(self) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        ports.router.plans.clear()
        assert prove(ports, 2, "v2-e4", spec=AB).epoch == 5
        assert shares(ports) == {"1": 0, "2": 10_000}

    def test_the_same_task_again_changes_nothing(self) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        prove(ports, 2, "v2-e4", spec=AB)
        before = left_of(ports)
        assert prove(ports, 2, "v2-e4", spec=AB).unchanged
        assert left_of(ports) == before

    def test_a_forced_version_may_prove_itself(self) -> None:
        ports = started_world(spec=AB)
        end(ports, "v2-e4")
        deploy(ports, 2, force=True)
        assert promote(ports, 2, spec=AB, force=True).waiting
        start(ports, spec=AB)
        decided(ports, "promote")
        assert not prove(ports, 2, running(ports).experiment, spec=AB).unchanged
        assert ports.ledger.champion(MODEL).version == "2"

    def test_a_deployment_at_that_moment_holds_nothing_up(self) -> None:
        class Racing(FakeLedger):
            race: Any = None

            def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
                if self.race and entry.action is LedgerAction.INTEND:
                    race, self.race = self.race, None
                    race()
                return super().append(entry, after_seq=after_seq)

        ledger = Racing()
        ports = started_world(spec=AB, ledger=ledger)
        decided(ports, "promote")
        ledger.race = lambda: deploy(ports, 3)
        assert not prove(ports, 2, "v2-e4", spec=AB).unchanged
        assert shares(ports) == {"1": 0, "2": 10_000, "3": 0}
        ports = started_world(spec=AB, ledger=(ledger := Racing()))
        decided(ports, "promote")
        ledger.race = lambda: end(ports, "v2-e4")
        assert "is over: rolled_back" in prove(ports, 2, "v2-e4", spec=AB).reason
        assert ports.ledger.champion(MODEL).version == "1"


class TestItIsNotProved:
    def refused(self, ports: Any, code: str, number: int = 2, experiment: str = "v2-e4", **how: Any) -> None:
        before = left_of(ports)
        with pytest.raises((RolloutRefusedError, ApprovalRefusedError)) as refusal:
            prove(ports, number, experiment, **{"spec": AB, **how})
        assert refusal.value.code == code
        assert refusal.value.next_action
        assert left_of(ports) == before

    def test_without_a_decision(self) -> None:
        self.refused(started_world(spec=AB), "WS-ROLLOUT-011")

    @pytest.mark.parametrize("action", ["hold", "advance", "keep", "roll_back"])
    @pytest.mark.parametrize("force", [False, True])
    def test_if_the_last_decision_is_another_one(self, action: str, force: bool) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        decided(ports, action)
        self.refused(ports, "WS-ROLLOUT-011", force=force)

    @pytest.mark.parametrize(
        "other", [{"digest": digest("9")}, {"step": 1}, {"champion_version": "9"}, {"dry_run": True}]
    )
    def test_if_the_decision_is_about_something_else(self, other: dict[str, Any]) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote", **other)
        self.refused(ports, "WS-ROLLOUT-011")

    def test_of_an_earlier_step(self) -> None:
        ports = started_world()
        decided(ports, "promote")
        decided(ports, "advance")
        shift(ports, ports.rollouts.decisions(MODEL, "v2-e4")[-1])
        self.refused(ports, "WS-ROLLOUT-011", spec=CANARY)

    def test_while_it_is_paused(self) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        steer(ports, "pause")
        self.refused(ports, "WS-ROLLOUT-009")
        steer(ports, "resume")
        assert not prove(ports, 2, "v2-e4", spec=AB).unchanged

    def test_by_the_rollout_of_another_version(self) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        deploy(ports, 3)
        self.refused(ports, "WS-ROLLOUT-001", number=3)
        self.refused(ports, "WS-ROLLOUT-001", experiment="v2-e9")

    def test_a_rollout_that_is_over_is_told_and_nothing_happens(self) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        end(ports, "v2-e4")
        before = left_of(ports)
        told = prove(ports, 2, "v2-e4", spec=AB)
        assert (told.unchanged, told.waiting, told.previous_version) == (True, False, "1")
        assert "is over: rolled_back, errors 4 %" in told.reason
        assert left_of(ports) == before

    def test_a_roll_back_that_is_not_committed_yet_is_finished(self) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        with pytest.raises(Killed):
            end(killed_after(ports, 1)[0], "v2-e4")
        told = prove(ports, 2, "v2-e4", spec=AB)
        assert "rollout v2-e4 is over: errors 4 %" in told.reason
        rows = ports.ledger.rows(MODEL)
        assert (running_rollout(rows), ports.ledger.champion(MODEL).version) == (None, "1")
        assert [row.action.value for row in rows[-2:]] == ["roll_back", "commit"]

    @pytest.mark.parametrize("forged", ["no pack", "another digest", "another decision", "no json", "gone"])
    def test_by_a_decision_that_nothing_signed_stands_behind(self, forged: str) -> None:
        ports = started_world(spec=AB)
        if forged == "no pack":
            decided(ports, "promote", pack=False)
        elif forged == "another digest":
            look = with_pack(ports, make_look(1, "promote"))
            decided(ports, "promote", pack=False, evidence_uri=look.evidence_uri, evidence_digest=digest("9"))
        elif forged == "another decision":
            held = with_pack(ports, make_look(1, "hold"))
            decided(
                ports,
                "promote",
                pack=False,
                evidence_uri=held.evidence_uri,
                evidence_digest=held.evidence_digest,
            )
        elif forged == "no json":
            told = ports.bundles.put_document("evidence/x.json", b"[]")
            decided(ports, "promote", pack=False, evidence_uri="evidence/x.json", evidence_digest=told)
        else:
            decided(ports, "promote")
            ports.bundles.documents.clear()
        before = left_of(ports)
        with pytest.raises(RolloutRefusedError) as refusal:
            prove(ports, 2, "v2-e4", spec=AB)
        assert refusal.value.code == "WS-ROLLOUT-015"
        assert left_of(ports) == before
        decided(ports, "promote", reason="judged again")
        assert prove(ports, 2, "v2-e4", spec=AB).version == "2"

    def test_by_a_broken_ledger(self) -> None:
        class Broken(FakeLedger):
            whole = True

            def read(self, model: str) -> LedgerView:
                return LedgerView(self.rows(model), gaps=() if self.whole else (Gap(1, "x"),))

        ledger = Broken()
        ports = started_world(spec=AB, ledger=ledger)
        decided(ports, "promote")
        ledger.whole = False
        with pytest.raises(Exception, match="is broken"):
            prove(ports, 2, "v2-e4", spec=AB)
        assert ports.ledger.champion(MODEL).version == "1"


class TestAPersonIsAsked:
    def proved(self, **replaced: Any) -> Any:
        ports = started_world(spec=ASKED, **replaced)
        decided(ports, "promote")
        return ports

    def test_without_a_yes_nothing_is_promoted(self) -> None:
        TestItIsNotProved().refused(self.proved(), "WS-ROLLOUT-013", spec=ASKED)

    def test_with_one_it_is_and_the_ledger_says_whose(self) -> None:
        ports = self.proved()
        answered(ports, "bob")
        prove(ports, 2, "v2-e4", spec=ASKED)
        commit = ports.ledger.rows(MODEL)[-1]
        assert (commit.body["promotion_approved_by"], commit.body["approved_by"]) == (["bob"], [])

    def test_the_registration_s_approval_is_none_of_the_promotion(self) -> None:
        ports = self.proved()
        answered(ports, "bob", experiment=None)
        TestItIsNotProved().refused(ports, "WS-ROLLOUT-013", spec=ASKED)

    def test_the_promotion_s_approval_is_none_of_the_registration(self) -> None:
        medium = make_spec(model={"tier": "medium"}, rollout={"strategy": "ab", "approve": True})
        ports = self.proved()
        answered(ports, "bob")
        with pytest.raises(ApprovalRefusedError) as refusal:
            prove(ports, 2, "v2-e4", spec=medium)
        assert refusal.value.code == "WS-APPROVAL-001"

    def test_the_yes_to_another_rollout_of_this_version_opens_nothing(self) -> None:
        ports = self.proved()
        answered(ports, "bob")
        end(ports, "v2-e4")
        deploy(ports, 2, force=True)
        promote(ports, 2, spec=ASKED, force=True)
        start(ports, spec=ASKED)
        decided(ports, "promote")
        experiment = running(ports).experiment
        assert experiment != "v2-e4"
        TestItIsNotProved().refused(ports, "WS-ROLLOUT-013", experiment=experiment, spec=ASKED)

    @pytest.mark.parametrize("asked_as", ["Ann", "cli:ann"])
    @pytest.mark.parametrize("role", ["waits", "starts", "runs"])
    def test_whoever_asked_for_it_does_not_count(self, role: str, asked_as: str) -> None:
        ports = world_of(1)
        deploy(ports, 2, spec=ASKED)
        promote(ports, 2, spec=ASKED, requester=asked_as if role == "waits" else None)
        start(ports, spec=ASKED, requester=asked_as if role == "starts" else None)
        decided(ports, "promote")
        row = LedgerEntry(
            model=MODEL,
            action=LedgerAction.APPROVE,
            epoch=0,
            version="2",
            digest=digest("2"),
            actor="ann",
            body={"experiment": "v2-e4"},
        )
        ports.ledger.append(row, after_seq=len(ports.ledger.rows(MODEL)))
        who = asked_as if role == "runs" else None
        TestItIsNotProved().refused(ports, "WS-ROLLOUT-013", spec=ASKED, requester=who)

    def test_a_no_stands_even_where_nobody_had_to_be_asked(self) -> None:
        for spec in (ASKED, AB):
            ports = started_world(spec=spec)
            decided(ports, "promote")
            answered(ports, "bob")
            answered(ports, "carol", "reject")
            TestItIsNotProved().refused(ports, "WS-ROLLOUT-012", spec=spec)

    def test_what_the_plan_said_at_its_start_holds_whatever_the_file_says(self) -> None:
        TestItIsNotProved().refused(self.proved(), "WS-ROLLOUT-013", spec=DIRECT)


class TestItFails:
    class SickAtFull(FakeRouter):
        def probe(self, model: str, digest: str) -> ProbeResult:
            slot, result = self.plans[model].slot(digest), super().probe(model, digest)
            ill = slot is not None and slot.version == "2" and slot.share == 10_000
            return result.model_copy(update={"matched": False}) if ill else result

    def test_a_version_that_falls_ill_gives_way_and_its_rollout_is_over(self) -> None:
        ports = started_world(spec=AB, router=self.SickAtFull())
        decided(ports, "promote")
        with pytest.raises(DeploymentRefusedError):
            prove(ports, 2, "v2-e4", spec=AB)
        assert shares(ports) == {"1": 10_000, "2": 0}
        assert running_rollout(ports.ledger.rows(MODEL)) is None
        (told,) = ended_rollouts(ports.ledger.rows(MODEL))
        assert (told.outcome, "golden" in told.reason) == ("broken_off", True)
        assert prove(ports, 2, "v2-e4", spec=AB).unchanged

    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_killed_before_the_champion_is_back(self, after: int) -> None:
        ports = started_world(spec=AB, router=self.SickAtFull())
        decided(ports, "promote")
        with pytest.raises(Killed):
            prove(killed_after(ports, after)[0], 2, "v2-e4", spec=AB)
        with pytest.raises(DeploymentRefusedError):
            prove(ports, 2, "v2-e4", spec=AB)
        assert shares(ports) == {"1": 10_000, "2": 0}

    def test_a_roll_back_stops_it(self) -> None:
        ports = started_world(spec=AB)
        decided(ports, "promote")
        with pytest.raises(Killed):
            prove(killed_after(ports, 2)[0], 2, "v2-e4", spec=AB)
        told = back(ports)
        assert (told.version, told.rolled_back_version) == ("1", "2")
        assert shares(ports) == {"1": 10_000, "2": 0}
        assert prove(ports, 2, "v2-e4", spec=AB).unchanged


def test_another_salt_is_refused_while_a_rollout_is_under_way() -> None:
    ports = started_world(spec=AB)
    last = ports.ledger.rows(MODEL)[-1]
    plan = {**last.body["plan"], "salt": "other"}
    entry = LedgerEntry(
        model=MODEL,
        action=LedgerAction.DEPLOY,
        epoch=5,
        version="2",
        digest=digest("2"),
        actor="ann",
        body={"plan": plan},
    )
    with pytest.raises(RolloutRefusedError) as refusal:
        append_unless_routed(ports.ledger, entry, seen=last)
    assert refusal.value.code == "WS-ROLLOUT-010"
