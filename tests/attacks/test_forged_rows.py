"""Who may write to the control database, and holds no key, brings nothing into traffic and stops nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.builders import digest, make_spec
from support.ledgers import BODIES, PLAN, forge, sql_ledger, tamper
from support.world import MODEL, back, deploy, promote, register, shares, version_of, world_of
from windsock.adapters.signing import create_keys
from windsock.door import differences, reconcile
from windsock.exceptions import (
    ApprovalRefusedError,
    GateRefusedError,
    UnverifiedBundleError,
    VerdictError,
    WindsockError,
)
from windsock.records import LedgerAction, RunContext

pytest_plugins = ["support.databases", "support.two_champions"]

UNPROVED = 9
"""A version that no gate said yes to."""
FOREIGN = {
    **PLAN,
    "slots": [
        {
            "version": "9", "digest": digest("9"), "bundle_uri": "memory://bundles/churn/9", "share": 10_000,
            "url": "http://192.0.2.1:80",
        }
    ],
}  # fmt: skip
ACTIONS = sorted(LedgerAction)
TAKE_AN_EPOCH = {"deploy", "shift", "intend", "roll_back", "abandon", "commit"}


def forged_columns(action: LedgerAction) -> dict[str, Any]:
    """Return a row that says of an unproved version what the action says of a proved one."""
    body = {**BODIES[action], "reason": "forged"}
    if "plan" in body:
        body["plan"] = FOREIGN
    if "evidence_uri" in body:
        body |= {"outcome": "promote", "evidence_uri": version_of(2).evidence_uri}
    return {
        "action": action.value,
        "version": str(UNPROVED),
        "digest": digest("9"),
        "epoch": 5 if action.value in TAKE_AN_EPOCH else 0,
        "actor": "carol",
        "body": body,
    }


def require_unharmed(ports: Any, url: str) -> None:
    """See that the forged version reaches no traffic and that a roll back works at the first try."""
    fresh = sql_ledger(url)
    assert fresh.champion(MODEL).version == "2"
    world = world_with(ports, fresh)
    for act in (deploy, promote):
        with pytest.raises((GateRefusedError, ApprovalRefusedError)):
            act(world, UNPROVED)
    assert str(UNPROVED) not in shares(world)
    assert back(world).version == "1"
    assert shares(world) == {"1": 10_000, "2": 0}
    sent = [slot.url for plan in world.router.applied for slot in plan.slots]
    assert not any(sent), "an address that no deployment made"


def world_with(ports: Any, ledger: Any) -> Any:
    return replace(ports, ledger=ledger)


@pytest.mark.parametrize("action", ACTIONS)
class TestOneForgedRow:
    def test_without_a_signature(self, ports: Any, world_url: str, action: LedgerAction) -> None:
        seq = forge(world_url, MODEL, **forged_columns(action), signature="")
        assert [left.seq for left in ports.ledger.verify(MODEL).left_out] == [seq]
        require_unharmed(ports, world_url)

    def test_in_the_form_of_rows_from_before_signatures(
        self, ports: Any, world_url: str, action: LedgerAction
    ) -> None:
        forge(world_url, MODEL, **forged_columns(action), form=0, signature="")
        require_unharmed(ports, world_url)

    def test_signed_by_another_installation(
        self, ports: Any, world_url: str, action: LedgerAction, tmp_path: Path
    ) -> None:
        keys = create_keys(tmp_path / "foreign")
        forge(world_url, MODEL, **forged_columns(action), signed_by=keys)
        require_unharmed(ports, world_url)

    def test_with_a_body_that_fits_nothing(self, ports: Any, world_url: str, action: LedgerAction) -> None:
        forge(world_url, MODEL, **{**forged_columns(action), "body": "[1, null]"})
        require_unharmed(ports, world_url)


@pytest.mark.parametrize("action", sorted({"register", "deploy", "intend", "commit"}))
class TestARowOfTheInstallationItself:
    def test_put_in_again_at_the_end(self, ports: Any, world_url: str, action: str) -> None:
        row = next(row for row in ports.ledger.rows(MODEL) if row.action.value == action)
        columns = {
            name: value for name, value in row.columns().items() if name not in ("model", "seq", "hash")
        }
        forge(world_url, MODEL, **columns)
        require_unharmed(ports, world_url)

    def test_with_its_version_changed(self, ports: Any, world_url: str, action: str) -> None:
        row = next(row for row in reversed(ports.ledger.rows(MODEL)) if row.action.value == action)
        tamper(
            world_url,
            f"UPDATE ledger SET version = '9', digest = '{digest('9')}' WHERE seq = {row.seq}",  # noqa: S608
        )
        refused(ports, world_url)

    def test_taken_away(self, ports: Any, world_url: str, action: str) -> None:
        row = next(row for row in reversed(ports.ledger.rows(MODEL)) if row.action.value == action)
        tamper(world_url, f"DELETE FROM ledger WHERE seq = {row.seq}")  # noqa: S608
        refused(ports, world_url)

    def test_exchanged_with_its_neighbour(self, ports: Any, world_url: str, action: str) -> None:
        row = next(row for row in reversed(ports.ledger.rows(MODEL)) if row.action.value == action)
        tamper(
            world_url,
            f"UPDATE ledger SET seq = 999 WHERE seq = {row.seq}",  # noqa: S608
            f"UPDATE ledger SET seq = {row.seq} WHERE seq = {row.seq - 1}",  # noqa: S608
            f"UPDATE ledger SET seq = {row.seq - 1} WHERE seq = 999",  # noqa: S608
        )
        refused(ports, world_url)


def refused(ports: Any, url: str) -> None:
    """See that nothing is promoted where rows are missing, and that the unproved version gets nothing."""
    ledger = sql_ledger(url)
    world = world_with(ports, ledger)
    assert ledger.verify(MODEL).broken_at is not None
    for number in (3, UNPROVED):
        for act in (deploy, promote):
            with pytest.raises(WindsockError):
                act(world, number)
    assert set(shares(world)) <= {"1", "2"}


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_rows_cut_off_at_the_end_bring_no_version_back(ports: Any, world_url: str, lost: int) -> None:
    """A version that was rolled back, whose roll back is cut off, is not promoted as if nothing had been."""
    back(ports)
    last = ports.ledger.rows(MODEL)[-1].seq
    tamper(world_url, f"DELETE FROM ledger WHERE seq > {last - lost}")  # noqa: S608
    world = world_with(ports, sql_ledger(world_url))
    with pytest.raises((VerdictError, GateRefusedError)) as refusal:
        promote(world, 3)
    assert refusal.value.code in ("WS-LEDGER-002", "WS-GATE-011")
    assert shares(world) == {"1": 10_000, "2": 0}


@pytest.mark.parametrize("epoch", [6, 2**31 - 1])
def test_an_epoch_of_the_future_holds_nothing(ports: Any, world_url: str, epoch: int) -> None:
    columns = forged_columns(LedgerAction.ROLL_BACK)
    forge(world_url, MODEL, **{**columns, "epoch": epoch})
    require_unharmed(ports, world_url)


@pytest.mark.parametrize("epochs", [1, 5, 50])
def test_a_roll_back_after_a_restore_works_at_the_first_try(database_url: str, epochs: int) -> None:
    """The database is that of a backup; the server has gone on, MLflow is away."""
    ports = world_of(1, 2, ledger=sql_ledger(database_url))
    saved = ports.ledger.rows(MODEL)[-1].seq
    for number in range(epochs // 2 + 1):
        promote_again(ports, number)
    tamper(database_url, f"DELETE FROM ledger WHERE seq > {saved}")  # noqa: S608
    world = world_with(ports, sql_ledger(database_url))
    served = world.router.plans[MODEL].epoch
    assert served - max(row.epoch for row in world.ledger.rows(MODEL)) >= epochs
    rolled = back(world)
    assert (rolled.version, rolled.epoch > served) == ("1", True)
    assert {name: share for name, share in shares(world).items() if share} == {"1": 10_000}


def promote_again(ports: Any, number: int) -> None:
    """Take two epochs: forced between versions 2 and 1, as often as is wanted."""
    back(ports, run_id=f"run{number}")
    promote(ports, 2, force=True)


def test_a_person_reconciles_and_work_goes_on(ports: Any, world_url: str) -> None:
    saved = ports.ledger.rows(MODEL)[-1].seq
    promote_again(ports, 1)
    back(ports)
    tamper(world_url, f"DELETE FROM ledger WHERE seq > {saved}")  # noqa: S608
    world = world_with(ports, sql_ledger(world_url))
    found = differences(world, MODEL)
    assert (found.lost is not None, found.is_ahead, found.champion.version) == (True, True, "2")
    row = reconcile(world, found, run=RunContext(requested_by="alice"), reason="restored the backup of noon")
    assert (row.actor, row.body["lost_seq"]) == ("alice", found.lost.seq)
    assert {name: share for name, share in shares(world).items() if share} == {"2": 10_000}
    assert differences(world, MODEL).are_none
    assert world.ledger.verify(MODEL).broken_at is None
    deploy(world, 3)
    assert sql_ledger(world_url).rows(MODEL)[-1].seq > found.lost.seq


class TestEvidence:
    def test_a_pack_that_is_away_stops_a_promotion_and_no_roll_back(self, ports: Any) -> None:
        deploy(ports, 3)

        class Away(type(ports.bundles)):  # type: ignore[misc]
            def read_document(self, uri: str, digest: str) -> bytes:
                raise UnverifiedBundleError("the pack is not there as it was signed")

        world = replace(ports, bundles=Away())
        with pytest.raises(UnverifiedBundleError):
            promote(world, 3)
        assert back(world).version == "1"

    @pytest.mark.parametrize(
        "change",
        [
            {"model": "other"},
            {"tier": "high"},
            {"inputs": {"bundle": digest("9")}},
            {"inputs": {"policy": digest("9")}},
            {"inputs": {"snapshot": digest("9")}},
            {"decision": {"outcome": "refuse"}},
            {"decision": {"outcome": "keep"}},
            {"decision": {"bundle_digest": digest("9")}},
            {"decision": {"required": ["latency", "model_card"]}},
            {"decision": {"checks": []}},
            {"decision": {"checks": [{"name": "latency", "status": "fail"}]}},
        ],
    )
    def test_a_pack_that_says_something_else(self, ports: Any, change: dict[str, Any]) -> None:
        """Even one that the installation signed: of another model, version, policy, or without a yes."""
        known = version_of(3)
        pack = json.loads(ports.bundles.read_document(known.evidence_uri, known.evidence_digest))
        for key, value in change.items():
            pack[key] = {**pack[key], **value} if isinstance(value, dict) else value

        class Says(type(ports.bundles)):  # type: ignore[misc]
            def read_document(self, uri: str, digest: str) -> bytes:
                if uri == known.evidence_uri:
                    return json.dumps(pack).encode()
                return bytes(super().read_document(uri, digest))

        world = replace(ports, bundles=Says())
        for act in (deploy, promote):
            with pytest.raises(GateRefusedError) as refusal:
                act(world, 3)
            assert refusal.value.code == "WS-GATE-015"
        assert "3" not in shares(world)


def test_a_tier_that_is_lowered_after_the_gate_asks_for_no_fewer_people(database_url: str) -> None:
    world = world_of(1, ledger=sql_ledger(database_url))
    register(world, 8, tier="high", opponent=digest("1"))
    deploy(world, 8)
    for tier in ("low", "medium"):
        with pytest.raises(ApprovalRefusedError):
            promote(world, 8, spec=make_spec(model={"tier": tier}))
    assert shares(world)["8"] == 0
