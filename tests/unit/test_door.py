from __future__ import annotations

from typing import Any

import pytest

from support.builders import digest
from support.fakes import FakeLedger, FakeRegistry, fake_ports
from support.world import MODEL, deploy, promote, world_of
from windsock.door import append_unless_routed, mirror_champion, switch_route
from windsock.exceptions import DeploymentRefusedError, StaleEpochError
from windsock.records import LedgerAction, LedgerEntry, last_routing_row


def make_entry(action: LedgerAction = LedgerAction.DEPLOY, epoch: int = 1, **fields: Any) -> LedgerEntry:
    made = {"model": MODEL, "version": "1", "digest": digest("1"), "actor": "scheduler"}
    return LedgerEntry(action=action, epoch=epoch, **{**made, **fields})


def test_a_row_is_appended_after_what_was_seen() -> None:
    ledger = FakeLedger()
    first = append_unless_routed(ledger, make_entry(), seen=None)
    second = append_unless_routed(ledger, make_entry(epoch=2), seen=first)
    assert [row.seq for row in ledger.rows(MODEL)] == [first.seq, second.seq] == [1, 2]


def test_a_routing_row_in_between_is_a_stale_epoch() -> None:
    ledger = FakeLedger()
    append_unless_routed(ledger, make_entry(), seen=None)
    with pytest.raises(StaleEpochError, match="deploy of version 1 holds epoch 1"):
        append_unless_routed(ledger, make_entry(), seen=None)
    assert len(ledger.rows(MODEL)) == 1


def test_an_approval_in_between_is_none() -> None:
    class Busy(FakeLedger):
        answers = 3

        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            if entry.action is LedgerAction.DEPLOY and self.answers:
                self.answers -= 1
                super().append(make_entry(LedgerAction.APPROVE, 0), after_seq=after_seq)
            return super().append(entry, after_seq=after_seq)

    ledger = Busy()
    assert append_unless_routed(ledger, make_entry(), seen=None).seq == 4


def test_writers_without_end_are_told() -> None:
    class Storm(FakeLedger):
        tries = 0

        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            self.tries += 1
            raise StaleEpochError("another row came first")

    ledger = Storm()
    with pytest.raises(StaleEpochError, match="20 tries"):
        append_unless_routed(ledger, make_entry(), seen=None)
    assert ledger.tries == 20


def test_a_commit_that_stands_is_not_written_twice() -> None:
    ledger = FakeLedger()
    intent = append_unless_routed(ledger, make_entry(LedgerAction.INTEND), seen=None)
    commit = make_entry(LedgerAction.COMMIT)
    first = append_unless_routed(ledger, commit, seen=intent)
    assert append_unless_routed(ledger, commit, seen=intent) == first
    assert len(ledger.rows(MODEL)) == 2


def test_an_intent_whose_plan_has_no_slot_for_it_is_refused() -> None:
    ports = world_of(1)
    intent = last_routing_row(ports.ledger.rows(MODEL))
    assert intent is not None
    with pytest.raises(DeploymentRefusedError):
        switch_route(ports, intent.model_copy(update={"digest": digest("9")}), champion=None, actor="x")


def test_a_plan_that_the_server_has_outgrown_is_a_stale_epoch() -> None:
    ports = world_of(1)
    intent = last_routing_row(ports.ledger.rows(MODEL))
    assert intent is not None
    deploy(ports, 2)
    promote(ports, 2)
    with pytest.raises(StaleEpochError):
        switch_route(ports, intent, champion=None, actor="x")


def test_an_alias_that_is_right_is_not_set_again() -> None:
    class Once(FakeRegistry):
        def set_alias(self, model: str, alias: str, version: str) -> None:
            raise AssertionError("set without need")

    registry = Once()
    registry.aliases[(MODEL, "champion")] = "1"
    assert mirror_champion(fake_ports(registry=registry), MODEL, "1")


def test_an_intent_made_before_a_rival_s_commit_comes_too_late() -> None:
    ledger = FakeLedger()
    rival = append_unless_routed(ledger, make_entry(LedgerAction.INTEND), seen=None)
    append_unless_routed(
        ledger, make_entry(LedgerAction.COMMIT, body={"bundle_uri": "memory://1"}), seen=rival
    )
    late = make_entry(LedgerAction.INTEND, 2, version="2", digest=digest("2"), body={"replaced": None})
    with pytest.raises(StaleEpochError, match="another version became champion"):
        append_unless_routed(ledger, late, seen=rival)
    assert len(ledger.rows(MODEL)) == 2
