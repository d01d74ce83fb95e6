from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.builders import NOON, digest, make_spec, make_version
from support.fakes import FakeLedger, fake_ports
from support.faults import Killed, killed_after
from windsock.exceptions import ApprovalRefusedError, StaleEpochError
from windsock.governance.approvals import needed_approvals
from windsock.governance.approve_model import approve_model
from windsock.ports import Ports
from windsock.records import (
    Approval,
    ApproveModelInput,
    LedgerAction,
    LedgerEntry,
    RegisteredVersion,
    RunContext,
    Status,
)


def answered(
    ports: Ports,
    answer: Any = None,
    approver: str | None = None,
    *,
    tier: str = "medium",
    version: RegisteredVersion | None = None,
    requester: str | None = None,
    minutes: int = 0,
) -> Approval:
    step = ApproveModelInput(
        spec=make_spec(model={"tier": tier}),
        version=version or make_version(),
        answer=answer,
        approver=approver,
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
    ports: Any = fake_ports()
    approval = answered(ports, tier="low")
    assert (approval.status, approval.needed) == (Status.PASS, 0)
    assert ports.ledger.rows("churn") == ()


def test_an_insufficient_check_needs_a_person_also_in_a_low_tier() -> None:
    approval = answered(fake_ports(), tier="low", version=make_version(asks=("latency",)))
    assert (approval.status, approval.needed) == (Status.INSUFFICIENT, 1)


def test_an_approval_stands_in_the_ledger_with_version_digest_person_evidence_and_time() -> None:
    ports: Any = fake_ports()
    approval = answered(ports, "approve", "bob", requester="alice")
    assert (approval.status, approval.approvers) == (Status.PASS, ("bob",))
    (row,) = ports.ledger.rows("churn")
    assert (row.action, row.epoch, row.version, row.digest, row.actor) == (
        LedgerAction.APPROVE, 0, "1", digest("b"), "bob",
    )  # fmt: skip
    assert row.body == {
        "evidence_digest": digest("e"),
        "answered_at": NOON.isoformat(),
        "requester": "alice",
    }


def test_the_present_state_is_told_without_an_answer() -> None:
    ports = fake_ports()
    assert answered(ports).status is Status.INSUFFICIENT
    answered(ports, "approve", "bob")
    assert answered(ports).status is Status.PASS


def test_a_high_tier_needs_two_people() -> None:
    ports = fake_ports()
    assert answered(ports, "approve", "bob", tier="high").status is Status.INSUFFICIENT
    approval = answered(ports, "approve", "carol", tier="high", minutes=1)
    assert (approval.status, approval.approvers) == (Status.PASS, ("bob", "carol"))


@pytest.mark.parametrize("same", ["bob", "Bob", " bob "])
def test_one_person_is_not_two(same: str) -> None:
    ports = fake_ports()
    answered(ports, "approve", "bob", tier="high")
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", same, tier="high", minutes=1)
    assert refusal.value.code == "WS-APPROVAL-005"


def test_the_same_answer_again_is_no_second_row() -> None:
    ports: Any = fake_ports()
    first = answered(ports, "approve", "bob", tier="high")
    assert answered(ports, "approve", "bob", tier="high") == first
    answered(ports, "reject", "carol")
    assert answered(ports, "reject", "carol", minutes=9).status is Status.FAIL
    assert len(ports.ledger.rows("churn")) == 2


def test_a_later_approval_that_is_not_needed_any_more_changes_nothing() -> None:
    ports: Any = fake_ports()
    answered(ports, "approve", "bob")
    assert answered(ports, "approve", "bob", minutes=60).status is Status.PASS
    assert len(ports.ledger.rows("churn")) == 1


@pytest.mark.parametrize("same", ["alice", "Alice", "alice "])
def test_who_triggered_the_run_cannot_approve_it(same: str) -> None:
    ports: Any = fake_ports()
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", same, requester="alice")
    assert refusal.value.code == "WS-APPROVAL-004"
    assert ports.ledger.rows("churn") == ()


def test_who_triggered_the_run_may_reject_it() -> None:
    assert answered(fake_ports(), "reject", "alice", requester="alice").status is Status.FAIL


@pytest.mark.parametrize("approver", [None, "", "  "])
@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_an_answer_of_nobody_is_refused(answer: str, approver: str | None) -> None:
    ports: Any = fake_ports()
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, answer, approver)
    assert refusal.value.code == "WS-APPROVAL-003"
    assert ports.ledger.rows("churn") == ()


def test_a_rejection_blocks_whatever_others_say() -> None:
    ports = fake_ports()
    answered(ports, "approve", "bob")
    approval = answered(ports, "reject", "carol")
    assert approval.status is Status.FAIL
    assert "carol" in approval.reason
    assert answered(ports, "approve", "dave").status is Status.FAIL


def test_who_rejected_cannot_approve_later() -> None:
    ports = fake_ports()
    answered(ports, "reject", "bob")
    with pytest.raises(ApprovalRefusedError) as refusal:
        answered(ports, "approve", "bob", minutes=1)
    assert refusal.value.code == "WS-APPROVAL-002"


def test_who_approved_may_reject_later() -> None:
    ports = fake_ports()
    answered(ports, "approve", "bob")
    assert answered(ports, "reject", "bob", minutes=1).status is Status.FAIL


@pytest.mark.parametrize("other", [{"version": "2"}, {"digest": digest("9")}])
def test_an_approval_is_for_that_very_version_and_digest(other: dict[str, str]) -> None:
    ports = fake_ports()
    answered(ports, "approve", "bob")
    assert answered(ports, version=make_version(**other)).status is Status.INSUFFICIENT


def test_answers_given_at_once_are_both_kept() -> None:
    class Busy(FakeLedger):
        """Another person's answer lands just before the first one here."""

        met = False

        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            if not self.met:
                self.met = True
                super().append(entry.model_copy(update={"actor": "carol"}), after_seq=after_seq)
            return super().append(entry, after_seq=after_seq)

    ports = fake_ports(ledger=Busy())
    approval = answered(ports, "approve", "bob", tier="high")
    assert set(approval.approvers) == {"bob", "carol"}


def test_a_ledger_that_never_comes_to_rest_is_told() -> None:
    class Storm(FakeLedger):
        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            raise StaleEpochError("another row came first")

    with pytest.raises(StaleEpochError):
        answered(fake_ports(ledger=Storm()), "approve", "bob")


def test_killed_after_the_answer_and_run_again_it_is_one_answer() -> None:
    world: Any = fake_ports()
    dying, _ = killed_after(world, 1)
    with pytest.raises(Killed):
        answered(dying, "approve", "bob")
    assert answered(world, "approve", "bob").status is Status.PASS
    assert len(world.ledger.rows("churn")) == 1
