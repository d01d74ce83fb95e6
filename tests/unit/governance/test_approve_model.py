from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import NOON, digest, make_registration, make_spec, make_version
from support.fakes import FakeLedger, fake_ports
from support.faults import Killed, killed_after
from support.rollouts import ab_spec, under_way
from support.world import deploy, version_of, world_of
from windsock.door.approvals import identity, needed_approvals
from windsock.exceptions import ApprovalRefusedError, GateRefusedError, StaleEpochError
from windsock.governance.approve_model import approve_model
from windsock.ports import Ports
from windsock.records import (
    Approval,
    ApproveModelInput,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    RegisteredVersion,
    RunContext,
    Status,
)


def world_with(version: RegisteredVersion | None = None, *, ledger: Any = None, **body: Any) -> Any:
    """Return ports of a world whose ledger knows one version; name what differs in its registration."""
    ports = fake_ports(ledger=ledger or FakeLedger())
    ports.ledger.append(make_registration(version, **body), after_seq=0)
    return ports


def answers(ports: Any) -> tuple[LedgerRow, ...]:
    return tuple(row for row in ports.ledger.rows("churn") if row.action is not LedgerAction.REGISTER)


def answered(
    ports: Ports,
    answer: Any = None,
    approver: str | None = None,
    *,
    tier: str = "medium",
    version: RegisteredVersion | None = None,
    requester: str | None = None,
    approver_id: str | None = None,
    minutes: int = 0,
) -> Approval:
    step = ApproveModelInput(
        spec=make_spec(model={"tier": tier}),
        version=version or make_version(),
        answer=answer,
        approver=approver,
        approver_id=approver_id,
        answered_at=NOON + timedelta(minutes=minutes) if answer else None,
        run=RunContext(requested_by=requester),
    )
    return approve_model(step, ports, "")


@pytest.mark.parametrize(
    ("tier", "asks", "needed"),
    [("low", (), 0), ("low", ("latency",), 1), ("medium", (), 1), ("medium", ("x",), 1), ("high", ("x",), 2)],
)
def test_needed_approvals(tier: Any, asks: tuple[str, ...], needed: int) -> None:
    assert needed_approvals(tier, asks) == needed


def test_a_low_tier_needs_nobody() -> None:
    ports = world_with()
    approval = answered(ports, tier="low")
    assert (approval.status, approval.needed) == (Status.PASS, 0)
    assert answers(ports) == ()


def test_an_insufficient_check_needs_a_person_also_in_a_low_tier() -> None:
    ports = world_with(asks=["latency"])
    approval = answered(ports, tier="low", version=make_version(asks=("latency",)))
    assert (approval.status, approval.needed) == (Status.INSUFFICIENT, 1)


def test_what_a_person_is_asked_about_is_read_from_the_ledger_not_from_the_record() -> None:
    assert answered(world_with(asks=["latency"]), tier="low").needed == 1
    assert answered(world_with(), tier="low", version=make_version(asks=("latency",))).needed == 0


@pytest.mark.parametrize(
    ("then", "now", "needed"), [("high", "low", 2), ("low", "high", 2), ("medium", "low", 1)]
)
def test_of_the_tier_then_and_now_the_higher_holds(then: str, now: str, needed: int) -> None:
    assert answered(world_with(tier=then), tier=now).needed == needed


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
def test_a_version_that_the_ledger_does_not_know_is_nothing_to_answer_about(other: dict[str, str]) -> None:
    ports = world_with()
    with pytest.raises(GateRefusedError) as refusal:
        answered(ports, "approve", "bob", version=make_version(**other))
    assert refusal.value.code == "WS-GATE-010"
    assert answers(ports) == ()


def test_an_approval_stands_in_the_ledger_with_version_digest_person_evidence_and_time() -> None:
    ports = world_with()
    approval = answered(ports, "approve", "bob", requester="alice")
    assert (approval.status, approval.approvers) == (Status.PASS, ("bob",))
    (row,) = answers(ports)
    assert (row.action, row.epoch, row.version, row.digest, row.actor) == (
        LedgerAction.APPROVE, 0, "1", digest("b"), "bob",
    )  # fmt: skip
    assert row.body == {
        "approver_id": None,
        "evidence_digest": digest("e"),
        "answered_at": NOON.isoformat(),
        "requester": "alice",
    }


def test_the_present_state_is_told_without_an_answer() -> None:
    ports = world_with()
    assert answered(ports).status is Status.INSUFFICIENT
    answered(ports, "approve", "bob")
    assert answered(ports).status is Status.PASS


def test_a_high_tier_needs_two_people() -> None:
    ports = world_with()
    assert answered(ports, "approve", "bob", tier="high").status is Status.INSUFFICIENT
    approval = answered(ports, "approve", "carol", tier="high", minutes=1)
    assert (approval.status, approval.approvers) == (Status.PASS, ("bob", "carol"))


@pytest.mark.parametrize("same", ["bob", "Bob", " bob "])
def test_one_person_is_not_two(same: str) -> None:
    ports = world_with()
    answered(ports, "approve", "bob", tier="high")
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", same, tier="high", minutes=1)
    assert refusal.value.code == "WS-APPROVAL-005"


@pytest.mark.parametrize(("name", "user_id"), [("bob", "13"), ("robert", "12"), ("12", None)])
def test_one_name_or_one_id_is_one_person(name: str, user_id: str | None) -> None:
    ports = world_with()
    answered(ports, "approve", "bob", approver_id="12", tier="high")
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", name, approver_id=user_id, tier="high", minutes=1)
    assert refusal.value.code == "WS-APPROVAL-005"


def test_the_same_answer_again_is_no_second_row() -> None:
    ports = world_with()
    first = answered(ports, "approve", "bob", tier="high")
    assert answered(ports, "approve", "bob", tier="high") == first
    answered(ports, "reject", "carol")
    assert answered(ports, "reject", "carol", minutes=9).status is Status.FAIL
    assert len(answers(ports)) == 2


def test_a_later_approval_that_is_not_needed_any_more_changes_nothing() -> None:
    ports = world_with()
    answered(ports, "approve", "bob")
    assert answered(ports, "approve", "bob", minutes=60).status is Status.PASS
    assert len(answers(ports)) == 1


@pytest.mark.parametrize("same", ["alice", "Alice", "alice "])
def test_who_triggered_the_run_cannot_approve_it(same: str) -> None:
    ports = world_with()
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", same, requester="alice")
    assert refusal.value.code == "WS-APPROVAL-004"
    assert answers(ports) == ()


@pytest.mark.parametrize("requester", ["Alice", "7"])
def test_neither_the_name_nor_the_id_may_be_the_requester_s(requester: str) -> None:
    ports = world_with()
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", "alice", approver_id="7", requester=requester)
    assert refusal.value.code == "WS-APPROVAL-004"
    assert answers(ports) == ()


def test_who_asked_for_what_was_registered_cannot_approve_it_in_a_later_run() -> None:
    ports = world_with(requester="alice")
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", "alice", requester="bob")
    assert refusal.value.code == "WS-APPROVAL-004"
    assert answered(ports, "approve", "carol", requester="bob").status is Status.PASS


def test_an_approval_without_a_user_id_is_one_of_that_name() -> None:
    ports = world_with()
    answered(ports, "approve", "alice")
    assert answered(ports, requester="alice").status is Status.INSUFFICIENT


def test_an_approval_under_another_name_does_not_count_if_its_id_is_the_requester_s() -> None:
    ports = world_with()
    answered(ports, "approve", "alice b.", approver_id="alice")
    assert answered(ports, requester="alice").status is Status.INSUFFICIENT


def test_the_user_id_stands_beside_the_name() -> None:
    ports = world_with()
    answered(ports, "approve", "bob", approver_id="12")
    (row,) = answers(ports)
    assert (row.actor, row.body["approver_id"]) == ("bob", "12")


def test_who_triggered_the_run_may_reject_it() -> None:
    assert answered(world_with(), "reject", "alice", requester="alice").status is Status.FAIL


@pytest.mark.parametrize("approver", [None, "", "  "])
@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_an_answer_of_nobody_is_refused(answer: str, approver: str | None) -> None:
    ports = world_with()
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, answer, approver)
    assert refusal.value.code == "WS-APPROVAL-003"
    assert answers(ports) == ()


def test_a_rejection_blocks_whatever_others_say() -> None:
    ports = world_with()
    answered(ports, "approve", "bob")
    approval = answered(ports, "reject", "carol")
    assert approval.status is Status.FAIL
    assert "carol" in approval.reason
    assert answered(ports, "approve", "dave").status is Status.FAIL


def test_who_rejected_cannot_approve_later() -> None:
    ports = world_with()
    answered(ports, "reject", "bob")
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", "bob", minutes=1)
    assert refusal.value.code == "WS-APPROVAL-002"


def test_who_approved_may_reject_later() -> None:
    ports = world_with()
    answered(ports, "approve", "bob")
    assert answered(ports, "reject", "bob", minutes=1).status is Status.FAIL


@pytest.mark.parametrize("other", [{"version": "2"}, {"digest": digest("9")}])
def test_an_approval_is_for_that_very_version_and_digest(other: dict[str, str]) -> None:
    ports = world_with()
    answered(ports, "approve", "bob")
    version = make_version(**other)
    ports.ledger.append(make_registration(version), after_seq=2)
    assert answered(ports, version=version).status is Status.INSUFFICIENT


def test_answers_given_at_once_are_both_kept() -> None:
    class Busy(FakeLedger):
        """Another person's answer lands just before the first one here."""

        met = False

        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            if entry.action is LedgerAction.APPROVE and not self.met:
                self.met = True
                super().append(entry.model_copy(update={"actor": "carol"}), after_seq=after_seq)
            return super().append(entry, after_seq=after_seq)

    ports = world_with(ledger=Busy())
    approval = answered(ports, "approve", "bob", tier="high")
    assert set(approval.approvers) == {"bob", "carol"}


def test_a_ledger_that_never_comes_to_rest_is_told() -> None:
    class Storm(FakeLedger):
        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            if entry.action is LedgerAction.APPROVE:
                raise StaleEpochError("another row came first")
            return super().append(entry, after_seq=after_seq)

    with pytest.raises(StaleEpochError, match="20 tries to write approve of version 1"):
        answered(world_with(ledger=Storm()), "approve", "bob")


def test_killed_after_the_answer_and_run_again_it_is_one_answer() -> None:
    world = world_with()
    dying, _ = killed_after(world, 1)
    with pytest.raises(Killed):
        answered(dying, "approve", "bob")
    assert answered(world, "approve", "bob").status is Status.PASS
    assert len(answers(world)) == 1


class TestRolloutsPromotion:
    """An answer about the promotion that a rollout has proved."""

    @staticmethod
    def world(**begun: Any) -> Any:
        ports = world_of(1)
        deploy(ports, 2)
        return under_way(ports, **begun)

    @staticmethod
    def said(
        ports: Ports,
        answer: Any = None,
        approver: str | None = None,
        *,
        experiment: str | None = "v2-e4",
        tier: str = "high",
        requester: str | None = None,
    ) -> Approval:
        step = ApproveModelInput(
            spec=ab_spec().model_copy(update={"model": make_spec(model={"tier": tier}).model}),
            version=version_of(2),
            experiment=experiment,
            answer=answer,
            approver=approver,
            answered_at=NOON if answer else None,
            run=RunContext(requested_by=requester),
        )
        return approve_model(step, ports, "")

    def test_one_person_says_yes_whatever_the_tier(self) -> None:
        ports = self.world()
        assert self.said(ports).status is Status.INSUFFICIENT
        assert self.said(ports, "approve", "rita").status is Status.PASS
        assert ports.ledger.rows("churn")[-1].body["experiment"] == "v2-e4"

    def test_it_stands_for_no_registration_nor_the_other_way_round(self) -> None:
        ports = self.world()
        self.said(ports, "approve", "rita")
        assert self.said(ports, experiment=None).approvers == ()
        self.said(ports, "reject", "bob", experiment=None)
        assert self.said(ports).status is Status.PASS

    def test_an_approval_of_the_registration_is_none_of_the_promotion(self) -> None:
        ports = self.world()
        self.said(ports, "approve", "rita", experiment=None)
        assert self.said(ports).status is Status.INSUFFICIENT

    def test_no_is_a_no(self) -> None:
        ports = self.world()
        assert self.said(ports, "reject", "rita").status is Status.FAIL
        with pytest.raises(ApprovalRefusedError) as refusal:
            self.said(ports, "approve", "rita")
        assert refusal.value.code == "WS-APPROVAL-002"

    @pytest.mark.parametrize(("begun", "requester"), [({"requester": "rita"}, None), ({}, "rita")])
    def test_who_asked_for_the_rollout_or_for_this_run_cannot_approve(
        self, begun: dict[str, Any], requester: str | None
    ) -> None:
        ports = self.world(**begun)
        with pytest.raises(ApprovalRefusedError) as refusal:
            self.said(ports, "approve", "Rita", requester=requester)
        assert refusal.value.code == "WS-APPROVAL-004"

    @pytest.mark.parametrize("experiment", ["v2-e9", "v1-e1"])
    def test_an_answer_about_a_rollout_that_is_not_under_way_is_not_kept(self, experiment: str) -> None:
        ports = self.world()
        before = ports.ledger.rows("churn")
        with pytest.raises(ApprovalRefusedError) as refusal:
            self.said(ports, "approve", "rita", experiment=experiment)
        assert refusal.value.code == "WS-ROLLOUT-091"
        assert ports.ledger.rows("churn") == before


@pytest.mark.parametrize(
    ("approver", "approver_id", "hidden"),
    [("e\u200bve", None, "U+200B"), ("mallory", "id\u202e1", "U+202E"), ("eve\u3164", "7", "U+3164")],
)
def test_a_name_with_a_character_that_nobody_sees_is_refused(
    approver: str, approver_id: str | None, hidden: str
) -> None:
    ports = world_with(requester="eve")
    with pytest.raises(
        ApprovalRefusedError, match=rf"character that nobody sees \({hidden[:1]}\{hidden[1:]}\)"
    ) as caught:
        answered(ports, "approve", approver, approver_id=approver_id)
    assert caught.value.code == "WS-APPROVAL-007"
    assert f"({hidden})" in str(caught.value)
    assert answers(ports) == ()


def test_the_requester_in_another_width_is_the_requester() -> None:
    ports = world_with(requester="eve")
    with pytest.raises(ApprovalRefusedError) as caught:
        answered(ports, "approve", "ｅＶｅ", requester="eve")
    assert caught.value.code == "WS-APPROVAL-004"
    assert answers(ports) == ()


# --- one approval more where nobody knows who started it


@pytest.mark.parametrize(
    ("tier", "asks", "needed"),
    [("low", [], 0), ("low", ["latency"], 2), ("medium", [], 2), ("high", [], 3), ("high", ["latency"], 3)],
)
@pytest.mark.parametrize("where", ["row", "run", "both"])
def test_an_unknown_starter_takes_one_approval_more_where_any_is_asked(
    tier: str, asks: list[str], needed: int, where: str
) -> None:
    kept = {} if where == "run" else {"starter_unknown": True}
    ports = world_with(tier=tier, asks=asks, **kept)
    step = ApproveModelInput(
        spec=make_spec(model={"tier": tier}),
        version=make_version(),
        run=RunContext(starter_unknown=where != "row"),
    )
    approval = approve_model(step, ports, "")
    assert approval.needed == needed
    assert approval.status is (Status.INSUFFICIENT if needed else Status.PASS)
    assert ("nobody knows who started it" in approval.reason) is bool(needed)


def test_a_registration_of_a_release_before_says_nothing_of_its_starter_and_is_as_it_was() -> None:
    ports = world_with()
    assert "starter_unknown" not in ports.ledger.rows("churn")[0].body
    assert answered(ports).needed == 1


def test_whose_yes_does_not_count_is_told() -> None:
    ports = world_with(requester="ann")
    assert answered(ports, requester="Bob").barred == ("Bob", "ann")


@given(
    names=st.lists(st.sampled_from(["eve", "Eve", "ｅve", " eve", "bob", "ｂob", "BOB"]), max_size=6),
    unknown=st.booleans(),
)
def test_no_order_of_answers_makes_two_people_of_one(names: list[str], unknown: bool) -> None:
    ports = world_with(tier="medium", **({"starter_unknown": True} if unknown else {}))
    for minute, name in enumerate(names):
        with suppress(ApprovalRefusedError):
            answered(ports, "approve", name, minutes=minute)
    different = {identity(name) for name in names}
    approval = answered(ports)
    assert len(approval.approvers) == len({identity(name) for name in approval.approvers})
    assert (approval.status is Status.PASS) is (len(different) >= (2 if unknown else 1))
