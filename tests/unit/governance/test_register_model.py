from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest

from support.builders import (
    digest,
    make_check,
    make_decision,
    make_evaluation,
    make_spec,
    make_validation,
    yes,
)
from support.fakes import FakeLedger, fake_ports
from support.faults import Killed, killed_after
from windsock import __version__
from windsock.exceptions import GateRefusedError, StaleEpochError, UnverifiedBundleError
from windsock.governance.decisions import keep_decision
from windsock.governance.register_model import register_model
from windsock.ports import Ports
from windsock.records import (
    GateDecision,
    GateModelInput,
    LedgerAction,
    LedgerEntry,
    Outcome,
    RegisteredVersion,
    RegisterModelInput,
    RunContext,
    Status,
)


def handed_over(**fields: Any) -> RegisterModelInput:
    spec = fields.get("spec", make_spec())
    made: dict[str, Any] = {"spec": spec, "decision": yes(spec), "evaluation": make_evaluation()}
    return RegisterModelInput(**{**made, **fields})


def decide_so(step: RegisterModelInput, ports: Ports) -> None:
    """Keep the decision of a step as the gate does."""
    gate = GateModelInput(
        spec=step.spec, validation=make_validation(), evaluation=step.evaluation, run=step.run
    )
    keep_decision(gate, step.decision, ports, "")


def registered(ports: Ports, **fields: Any) -> RegisteredVersion:
    step = handed_over(**fields)
    decide_so(step, ports)
    return register_model(step, ports, "key1")


def uri_of(decision: GateDecision) -> str:
    return f"evidence/churn/{digest('b')}-{decision.content_digest()[:12]}.json"


URI = uri_of(yes())


def state_of(ports: Any) -> dict[str, Any]:
    return {
        "documents": ports.bundles.documents,
        "versions": ports.registry.versions,
        "tags": ports.registry.tags,
        "added": ports.tracker.added,
        "rows": [row.model_dump(exclude={"at", "hash", "previous"}) for row in ports.ledger.rows("churn")],
    }


def test_a_version_carries_its_evidence() -> None:
    ports: Any = fake_ports()
    version = registered(ports)
    assert (version.version, version.digest, version.evidence_uri) == ("1", digest("b"), URI)
    pack = json.loads(ports.bundles.documents[URI])
    assert pack["requested_by"] == "alice"
    assert set(pack["versions"]) == {"windsock", "scikit-learn", "python"}
    tags = ports.registry.tags[("churn", "1")]
    assert tags["windsock.snapshot"] == digest("1")
    assert tags["windsock.spec"] == make_spec().content_digest()
    assert tags["windsock.code"] == __version__
    assert tags["windsock.bundle"] == digest("b")
    assert tags["windsock.evidence"] == version.evidence_digest
    run = ports.tracker.added["run1"]
    assert run["files"]["evidence.json"] == ports.bundles.documents[URI]
    assert b"latency,pass" in run["files"]["gate.csv"]
    assert run["tags"]["windsock.model_version"] == "1"
    assert "windsock.version" not in run["tags"]
    about = ports.registry.about["churn"]
    assert (about.owner, about.tier) == (make_spec().model.owner, "low")
    assert "ledger" in about.description
    assert "promote" in about.version
    assert version.evidence_digest == hashlib.sha256(ports.bundles.documents[URI]).hexdigest()


def test_the_ledger_knows_the_version_its_evidence_and_who_asked_for_it() -> None:
    ports: Any = fake_ports()
    version = registered(ports, spec=make_spec(model={"tier": "high"}), run=RunContext(requested_by="bob"))
    decided, row = ports.ledger.rows("churn")
    spec = make_spec(model={"tier": "high"})
    assert (decided.action, decided.body["tier"]) == (LedgerAction.DECIDE, "high")
    assert decided.body["decision"] == yes(spec).content_digest() == row.body["decision"]
    assert (row.action, row.epoch, row.version, row.digest, row.actor) == (
        LedgerAction.REGISTER, 0, "1", digest("b"), "bob",
    )  # fmt: skip
    assert row.body == {
        "bundle_uri": version.bundle_uri,
        "evidence_digest": version.evidence_digest,
        "evidence_uri": uri_of(yes(spec)),
        "snapshot_digest": digest("1"),
        "run_id": "run1",
        "outcome": "promote",
        "asks": [],
        "policy_digest": spec.section_digest("gate"),
        "tier": "high",
        "requester": "alice",
        "opponent": None,
        "decision": yes(spec).content_digest(),
    }
    assert version.registration(ports.ledger.rows("churn")) == row
    assert version.registered_at == row.at


def test_rows_of_others_may_come_between() -> None:
    class Busy(FakeLedger):
        others = 3

        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            if self.others and entry.action is LedgerAction.REGISTER:
                self.others -= 1
                super().append(entry.model_copy(update={"version": "9"}), after_seq=after_seq)
            return super().append(entry, after_seq=after_seq)

    ports: Any = fake_ports(ledger=Busy())
    assert registered(ports).registration(ports.ledger.rows("churn")).seq == 5


def test_a_twin_of_the_same_task_writes_no_second_row() -> None:
    class Twin(FakeLedger):
        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            super().append(entry, after_seq=after_seq)
            raise StaleEpochError("the twin's row came first")

    ports: Any = fake_ports(ledger=Twin())
    registered(ports)
    assert len(ports.ledger.rows("churn")) == 2


def test_a_ledger_that_never_comes_to_rest_is_told() -> None:
    class Storm(FakeLedger):
        def append(self, entry: LedgerEntry, *, after_seq: int) -> Any:
            if entry.action is LedgerAction.DECIDE:
                return super().append(entry, after_seq=after_seq)
            raise StaleEpochError("another row came first")

    with pytest.raises(StaleEpochError, match="20 tries to write register of version 1"):
        registered(fake_ports(ledger=Storm()))


def test_what_the_ledger_says_first_stands() -> None:
    ports: Any = fake_ports()
    asking = yes(latency=Status.INSUFFICIENT, asks=("latency",))
    registered(ports, decision=asking)
    assert registered(ports, decision=asking).asks == ("latency",)


def test_twice_is_once() -> None:
    ports: Any = fake_ports()
    first = registered(ports)
    before = copy.deepcopy(state_of(ports))
    assert registered(ports).version == first.version
    assert state_of(ports) == before


def test_killed_after_each_side_effect_and_run_again_it_ends_the_same() -> None:
    undisturbed: Any = fake_ports()
    expected = registered(undisturbed)
    effects = 3
    for after in range(1, effects + 1):
        world: Any = fake_ports()
        decide_so(handed_over(), world)
        dying, countdown = killed_after(world, after)
        with pytest.raises(Killed):
            register_model(handed_over(), dying, "key1")
        assert countdown.seen == after
        version = registered(world)
        assert version.model_copy(update={"registered_at": expected.registered_at}) == expected
        assert state_of(world) == state_of(undisturbed)
    world = fake_ports()
    decide_so(handed_over(), world)
    dying, countdown = killed_after(world, effects + 1)
    register_model(handed_over(), dying, "key1")
    assert countdown.seen == effects


def test_what_a_person_is_asked_about_goes_with_the_version() -> None:
    decision = yes(latency=Status.INSUFFICIENT, asks=("latency",))
    assert registered(fake_ports(), decision=decision).asks == ("latency",)


def test_each_decision_has_a_pack_of_its_own() -> None:
    ports: Any = fake_ports()
    registered(ports)
    again = registered(ports, decision=yes(reason="decided again"))
    assert again.evidence_uri != URI
    assert len(ports.bundles.documents) == 2


@pytest.mark.parametrize("outcome", [Outcome.KEEP, Outcome.REFUSE])
def test_a_decision_against_it_leaves_pack_tag_and_row(outcome: Outcome) -> None:
    ports: Any = fake_ports()
    decision = yes(outcome=outcome)
    decide_so(handed_over(decision=decision), ports)
    (row,) = ports.ledger.rows("churn")
    assert (row.action, row.body["outcome"]) == (LedgerAction.DECIDE, outcome.value)
    pack = json.loads(ports.bundles.read_document(row.body["evidence_uri"], row.body["evidence_digest"]))
    assert pack["decision"]["outcome"] == outcome.value
    assert ports.tracker.added["run1"]["tags"]["windsock.gate"] == outcome.value


def test_a_decision_that_the_gate_did_not_keep_is_refused() -> None:
    with pytest.raises(GateRefusedError) as refusal:
        register_model(handed_over(), fake_ports(), "key1")
    assert refusal.value.code == "WS-GATE-014"


@pytest.mark.parametrize(
    "changed",
    [
        {"spec": make_spec(model={"owner": "somebody else"})},
        {"spec": make_spec(model={"tier": "high"})},
        {"spec": make_spec(gate={"latency_ms": 1})},
        {"evaluation": make_evaluation(gap=0.987)},
        {"decision": yes(reason="edited")},
        {"decision": yes(requested_by="somebody else")},
    ],
    ids=["owner", "tier", "policy", "evaluation", "reason", "requester"],
)
def test_what_was_changed_after_the_gate_is_refused(changed: dict[str, Any]) -> None:
    ports: Any = fake_ports()
    decide_so(handed_over(), ports)
    with pytest.raises(GateRefusedError) as refusal:
        register_model(handed_over(**{"decision": yes(), **changed}), ports, "key1")
    assert refusal.value.code == "WS-GATE-014"
    assert ports.registry.versions == {}


def test_a_pack_that_was_changed_after_the_gate_is_refused() -> None:
    ports: Any = fake_ports()
    decide_so(handed_over(), ports)
    ports.bundles.documents[URI] = ports.bundles.documents[URI].replace(b"alice", b"carol")
    with pytest.raises(UnverifiedBundleError):
        register_model(handed_over(), ports, "key1")


@pytest.mark.parametrize("outcome", [Outcome.KEEP, Outcome.REFUSE])
def test_only_promote_is_registered(outcome: Outcome) -> None:
    ports: Any = fake_ports()
    with pytest.raises(GateRefusedError, match=outcome.value):
        register_model(handed_over(decision=yes(outcome=outcome)), ports, "key1")
    assert state_of(ports) == {"documents": {}, "versions": {}, "tags": {}, "added": {}, "rows": []}


@pytest.mark.parametrize(
    "fields",
    [{"bundle_digest": digest("9")}, {"snapshot_digest": digest("9")}, {"model": "other"}],
)
def test_a_decision_about_something_else_is_refused(fields: dict[str, Any]) -> None:
    ports: Any = fake_ports()
    with pytest.raises(GateRefusedError) as refusal:
        register_model(handed_over(decision=yes(**fields)), ports, "key1")
    assert refusal.value.code == "WS-GATE-009"
    assert ports.bundles.documents == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"checks": (make_check("latency", Status.FAIL),)},
        {"checks": ()},
        {"required": ("latency", "model_card")},
        {"asks": ("latency",)},
        {"checks": (make_check("latency", Status.INSUFFICIENT),)},
    ],
)
def test_a_decision_that_its_checks_do_not_carry_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(GateRefusedError) as refusal:
        register_model(handed_over(decision=make_decision(**fields)), fake_ports(), "key1")
    assert refusal.value.code == "WS-GATE-009"


@pytest.mark.parametrize("unknown", [False, True])
def test_the_ledger_keeps_whether_nobody_knows_who_started_it(unknown: bool) -> None:
    ports: Any = fake_ports()
    registered(ports, run=RunContext(starter_unknown=unknown))
    _, row = ports.ledger.rows("churn")
    assert row.body.get("starter_unknown", "not said") == (True if unknown else "not said")
    assert row.hash == row.expected_hash()
