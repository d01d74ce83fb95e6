from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from support.builders import digest, make_check, make_decision, make_evaluation, make_spec
from support.fakes import fake_ports
from support.faults import Killed, killed_after
from windsock import __version__
from windsock.exceptions import GateRefusedError
from windsock.governance.register_model import register_model
from windsock.ports import Ports
from windsock.records import Outcome, RegisteredVersion, RegisterModelInput, Status

URI = f"evidence/churn/{digest('b')}.json"


def registered(ports: Ports, **fields: Any) -> RegisteredVersion:
    made: dict[str, Any] = {
        "spec": make_spec(),
        "decision": make_decision(requested_by="alice"),
        "evaluation": make_evaluation(),
    }
    return register_model(RegisterModelInput(**{**made, **fields}), ports, "key1")


def state_of(ports: Any) -> dict[str, Any]:
    return {
        "documents": ports.bundles.documents,
        "versions": ports.registry.versions,
        "tags": ports.registry.tags,
        "added": ports.tracker.added,
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
    assert run["tags"]["windsock.version"] == "1"


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
        dying, countdown = killed_after(world, after)
        with pytest.raises(Killed):
            registered(dying)
        assert countdown.seen == after
        version = registered(world)
        assert version.model_copy(update={"registered_at": expected.registered_at}) == expected
        assert state_of(world) == state_of(undisturbed)
    dying, countdown = killed_after(fake_ports(), effects + 1)
    registered(dying)
    assert countdown.seen == effects


def test_what_a_person_is_asked_about_goes_with_the_version() -> None:
    check = make_check("latency", Status.INSUFFICIENT)
    decision = make_decision(checks=(check,), asks=("latency",))
    assert registered(fake_ports(), decision=decision).asks == ("latency",)


def test_a_forced_decision_keeps_a_pack_of_its_own() -> None:
    ports: Any = fake_ports()
    registered(ports)
    forced = registered(ports, nonce="manual__1")
    assert forced.evidence_uri != URI
    assert len(ports.bundles.documents) == 2


@pytest.mark.parametrize("outcome", [Outcome.KEEP, Outcome.REFUSE])
def test_only_promote_is_registered(outcome: Outcome) -> None:
    ports: Any = fake_ports()
    with pytest.raises(GateRefusedError, match=outcome.value):
        registered(ports, decision=make_decision(outcome=outcome))
    assert state_of(ports) == {"documents": {}, "versions": {}, "tags": {}, "added": {}}


@pytest.mark.parametrize(
    "fields",
    [{"bundle_digest": digest("9")}, {"snapshot_digest": digest("9")}, {"model": "other"}],
)
def test_a_decision_about_something_else_is_refused(fields: dict[str, Any]) -> None:
    ports: Any = fake_ports()
    with pytest.raises(GateRefusedError) as refusal:
        registered(ports, decision=make_decision(**fields))
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
        registered(fake_ports(), decision=make_decision(**fields))
    assert refusal.value.code == "WS-GATE-009"
