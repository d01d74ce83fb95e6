"""What an attack leaves behind is not forgotten by what is written after it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from support.builders import digest, make_spec
from support.ledgers import ANSWER, BODIES, forge, home_of, sql_ledger, step_records, tamper
from support.rollout_steps import CANARY, waiting_world
from support.world import MODEL, back, deploy, promote, shares
from windsock.adapters import database
from windsock.adapters.database import open_database
from windsock.adapters.monitor_table import SqlMonitor
from windsock.adapters.signing import create_keys, replace_signing_key
from windsock.door import differences, reconcile, sign_anew
from windsock.exceptions import GateRefusedError, UnverifiedBundleError, VerdictError, WindsockError
from windsock.records import LedgerAction, LedgerEntry, RetrainOutcome, RunContext, StartRolloutInput
from windsock.rollout.start_rollout import start_rollout

pytest_plugins = ["support.databases", "support.two_champions"]


def write(ledger: Any, action: LedgerAction, number: int, **fields: Any) -> Any:
    entry = LedgerEntry(
        model=MODEL, action=action, epoch=0, version=str(number), digest=digest(f"{number:x}"), actor="bob",
        body={**BODIES[action], **fields},
    )  # fmt: skip
    return ledger.append(entry, after_seq=ledger.rows(MODEL)[-1].seq)


def anew(ports: Any, url: str) -> Any:
    """The world as a process meets it that has seen nothing of it."""
    return replace(ports, ledger=sql_ledger(url))


def require_refused(world: Any, number: int = 3) -> None:
    with pytest.raises(WindsockError):
        promote(world, number)
    assert shares(world).get(str(number), 0) == 0


def decide(ports: Any) -> None:
    write(ports.ledger, LedgerAction.DECIDE, 0)


@pytest.mark.parametrize("after", [decide, back, lambda ports: (back(ports), decide(ports))])
def test_rows_cut_off_at_the_end_stay_lost_whatever_is_written_next(
    ports: Any, world_url: str, after: Callable[[Any], Any]
) -> None:
    deploy(ports, 3)
    rejected = write(ports.ledger, LedgerAction.REJECT, 3, **{**ANSWER, "evidence_digest": digest("e")})
    tamper(world_url, f"DELETE FROM ledger WHERE seq = {rejected.seq}")  # noqa: S608
    after(anew(ports, world_url))
    world = anew(ports, world_url)
    assert world.ledger.verify(MODEL).broken_at is not None
    require_refused(world)
    found = differences(world, MODEL)
    assert found.lost is not None
    assert found.lost.seq == rejected.seq
    reconcile(world, found, run=RunContext(requested_by="alice"), reason="seen")
    assert world.ledger.verify(MODEL).broken_at is None


def test_a_gap_that_was_reconciled_hides_no_other(ports: Any, world_url: str) -> None:
    deploy(ports, 3)
    harmless = write(ports.ledger, LedgerAction.DECIDE, 0)
    rejected = write(ports.ledger, LedgerAction.REJECT, 3)
    later = write(ports.ledger, LedgerAction.DECIDE, 0)
    tamper(world_url, f"DELETE FROM ledger WHERE seq = {harmless.seq}")  # noqa: S608
    world = anew(ports, world_url)
    reconcile(world, differences(world, MODEL), run=RunContext(), reason="seen")
    assert world.ledger.verify(MODEL).broken_at is None
    for victim in (rejected.seq, harmless.seq - 1):
        tamper(world_url, f"DELETE FROM ledger WHERE seq = {victim}")  # noqa: S608
        world = anew(ports, world_url)
        assert world.ledger.verify(MODEL).broken_at is not None, victim
        require_refused(world)
    assert later.seq in [row.seq for row in world.ledger.rows(MODEL)]


@pytest.mark.parametrize("holder", ["churn__daily_retrain, run 1", "churn__drift_retrain, run 2", "step, 3"])
def test_a_restored_claim_is_ended_with_the_loss(ports: Any, world_url: str, holder: str) -> None:
    """The backup holds a claim for three days; its run has long given it back."""
    world = replace(ports, monitor=SqlMonitor(world_url))
    spec, now = make_spec(), world.now()
    for found in (None, *(world.monitor.lease(model) for model in (MODEL, "other"))):
        assert found is None
    world.monitor.claim(spec, episode_key=None, holder=holder, now=now)
    world.monitor.renew(MODEL, holder=holder, until=now + timedelta(days=3), now=now)
    saved, lease = world.ledger.rows(MODEL)[-1].seq, world.monitor.lease(MODEL)
    back(world)
    world.monitor.close(MODEL, holder=holder, outcome=RetrainOutcome.KEPT, now=now)
    tamper(world_url, f"DELETE FROM ledger WHERE seq > {saved}")  # noqa: S608
    with open_database(world_url).begin() as connection:
        row = {"holder": holder, "record": lease.model_dump_json(), "model": MODEL}
        query = "UPDATE retrain_leases SET holder = :holder, record = :record WHERE model = :model"
        connection.execute(sa.text(query), row)
    world = anew(world, world_url)
    asked = {"episode_key": None, "holder": "churn__daily_retrain, run 9"}
    assert not world.monitor.claim(spec, **asked, now=now + timedelta(days=1)).granted
    found = differences(world, MODEL)
    assert (found.claim, found.lost is not None) == (lease, True)
    reconcile(world, found, run=RunContext(), reason="restored the backup", end_claim=True)
    assert world.monitor.claim(spec, **asked, now=now + timedelta(days=1)).granted
    assert differences(world, MODEL).are_none


@pytest.mark.parametrize("value", ["''", "'zz'", "x'ff'", "NULL"])
def test_a_signature_that_was_spoilt_in_the_middle_hides_no_row(
    ports: Any, world_url: str, value: str
) -> None:
    if value in ("x'ff'", "NULL") and not world_url.startswith("sqlite"):
        pytest.skip("PostgreSQL takes no such value there")
    deploy(ports, 3)
    rejected = write(ports.ledger, LedgerAction.REJECT, 3)
    write(ports.ledger, LedgerAction.DECIDE, 0)
    if value == "NULL":
        with pytest.raises(sa.exc.IntegrityError):
            tamper(world_url, f"UPDATE ledger SET signature = NULL WHERE seq = {rejected.seq}")  # noqa: S608
        return
    tamper(world_url, f"UPDATE ledger SET signature = {value} WHERE seq = {rejected.seq}")  # noqa: S608
    world = anew(ports, world_url)
    assert rejected.seq in [row.seq for row in world.ledger.rows(MODEL)]
    require_refused(world)


class TestKeys:
    def test_a_process_outlives_a_change_of_keys(self, ports: Any, world_url: str) -> None:
        deploy(ports, 3)
        living = sql_ledger(world_url)
        living.rows(MODEL)
        replace_signing_key(home_of(world_url) / "keys")
        write(sql_ledger(world_url), LedgerAction.REJECT, 3)
        require_refused(replace(ports, ledger=living))
        write(living, LedgerAction.DECIDE, 0)
        check = sql_ledger(world_url).verify(MODEL)
        assert (check.broken_at, check.left_out) == (None, ())

    def test_without_the_old_key_the_new_one_proves_what_was_before(self, ports: Any, world_url: str) -> None:
        keys = home_of(world_url) / "keys"
        replace_signing_key(keys)
        sign_anew(ports, MODEL, run=RunContext(requested_by="alice"))
        for file in (keys / "retired").iterdir():
            file.unlink()
        world = anew(ports, world_url)
        assert world.ledger.verify(MODEL).left_out == ()
        assert back(world).version == "1"

    def test_a_ledger_whose_key_is_gone_is_not_whole(self, ports: Any, world_url: str) -> None:
        keys = home_of(world_url) / "keys"
        replace_signing_key(keys)
        for file in (keys / "retired").iterdir():
            file.unlink()
        world = anew(ports, world_url)
        assert world.ledger.verify(MODEL).broken_at == 1
        require_refused(world)

    def test_a_key_that_is_trusted_for_bundles_proves_no_row(
        self, ports: Any, world_url: str, tmp_path: Path
    ) -> None:
        trusted = home_of(world_url) / "keys" / "trusted"
        other = create_keys(tmp_path / "other")
        trusted.mkdir()
        (trusted / "other.pub").write_bytes((other / "signing.pub").read_bytes())
        seq = forge(world_url, MODEL, signed_by=other, action="approve", body=ANSWER, epoch=0)
        assert [left.seq for left in anew(ports, world_url).ledger.verify(MODEL).left_out] == [seq]


def test_a_signed_row_beside_the_chain_is_a_break(ports: Any, world_url: str) -> None:
    """Two writers, or two keys, that wrote apart: one of their rows is lost."""
    keys = home_of(world_url) / "keys"
    last = ports.ledger.rows(MODEL)[-1]
    beside = {"seq": last.seq + 1, "previous": last.hash, "action": "reject", "epoch": 0, "body": ANSWER}
    forge(world_url, MODEL, signed_by=keys, **beside)
    forge(world_url, MODEL, signed_by=keys, **{**beside, "seq": last.seq + 2, "action": "approve"})
    check = anew(ports, world_url).ledger.verify(MODEL)
    assert check.broken_at == last.seq + 1
    require_refused(anew(ports, world_url))


class TestUpgrade:
    def unsigned(self, url: str) -> None:
        """Make the ledger one from before signatures again, as somebody may who owns the schema."""
        tamper(url, "UPDATE ledger SET form = 0, signature = ''")
        engine = open_database(url)
        with engine.connect() as connection:
            connection = connection.execution_options(windsock_writes=True)
            with connection.begin():
                for statement in (
                    "ALTER TABLE ledger DROP COLUMN form",
                    "ALTER TABLE ledger DROP COLUMN signature",
                    "ALTER TABLE rollout_decisions DROP COLUMN signature",
                    "ALTER TABLE rollout_counts DROP COLUMN signature",
                    "DROP TABLE step_results",
                    "CREATE TABLE ledger_heads (model TEXT PRIMARY KEY, seq INTEGER, hash TEXT)",
                    "CREATE UNIQUE INDEX ledger_route ON ledger (model, epoch) WHERE action = 'deploy'",
                    "CREATE UNIQUE INDEX ledger_commit ON ledger (model, epoch) WHERE action = 'commit'",
                    "UPDATE windsock_schema SET version_num = '0004'",
                ):
                    connection.exec_driver_sql(statement)
        database._opened.cache_clear()

    def test_a_ledger_that_was_signed_once_is_not_signed_for_again(self, ports: Any, world_url: str) -> None:
        self.unsigned(world_url)
        world = anew(ports, world_url)
        assert world.ledger.rows(MODEL) == ()
        assert world.ledger.verify(MODEL).broken_at == 1
        require_refused(world)


class TestStepRecords:
    def test_a_record_counts_under_its_own_key_alone(self, database_url: str) -> None:
        records = step_records(database_url)
        records.add("lax", step="train_model", model="churn", record={"model": "churn", "score": 0.9})
        records.add("strict", step="train_model", model="churn", record={"model": "churn", "score": 0.5})
        with open_database(database_url).begin() as connection:
            connection.exec_driver_sql(
                "UPDATE step_records SET record = (SELECT record FROM step_records WHERE key = 'lax') "
                "WHERE key = 'strict'"
            )
        assert step_records(database_url).find("strict") is None
        assert step_records(database_url).find("lax") == {"model": "churn", "score": 0.9}

    @pytest.mark.parametrize("content", ["[" * 100_000, "NaN", '"\\ud800"', '{"a": NaN}', "no json", "[]"])
    def test_what_no_step_can_have_come_to_is_none(self, database_url: str, content: str) -> None:
        records = step_records(database_url)
        records.add("key", step="train_model", model="churn", record={"model": "churn"})
        with open_database(database_url).begin() as connection:
            connection.execute(sa.text("UPDATE step_records SET record = :record"), {"record": content})
        assert records.find("key") is None
        assert records.add("key", step="train_model", model="churn", record={"model": "x"}) == {"model": "x"}


class TestStorage:
    @pytest.mark.parametrize("what", ["pipe", "deep", "folder", "device"])
    def test_no_mark_holds_up_a_roll_back(self, ports: Any, world_url: str, what: str) -> None:
        mark = home_of(world_url) / "storage" / "ledger" / f"{MODEL}.json"
        mark.unlink()
        if what == "pipe":
            os.mkfifo(mark)
        elif what == "deep":
            mark.write_text("[" * 200_000)
        elif what == "folder":
            mark.mkdir()
        else:
            mark.symlink_to("/dev/zero")
        assert back(anew(ports, world_url)).version == "1"


def test_a_rollout_gives_no_traffic_without_the_evidence(database_url: str) -> None:
    ports = waiting_world(1)

    class Away(type(ports.bundles)):  # type: ignore[misc]
        def read_document(self, uri: str, digest: str) -> bytes:
            raise UnverifiedBundleError("the pack is not there as it was signed")

    world = replace(ports, bundles=Away())
    with pytest.raises((UnverifiedBundleError, GateRefusedError, VerdictError)):
        start_rollout(StartRolloutInput(spec=CANARY), world, "")
    assert set(shares(world).values()) <= {0, 10_000}
