from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.builders import digest
from support.fakes import FakeLedger
from support.ledgers import BODIES, home_of, new_control_database, sql_ledger, tamper
from windsock.adapters import database
from windsock.adapters.database import open_database
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.signing import create_keys
from windsock.adapters.storage import Storage
from windsock.exceptions import StaleEpochError, VerdictError
from windsock.ports import Ledger
from windsock.records import ROUTING, LedgerAction, LedgerEntry, LedgerRow

pytest_plugins = ["support.databases"]
TESTS = Path(__file__).parents[2]
PLUGINS = Path(database.__file__).parents[2]


def make_entry(
    action: LedgerAction = LedgerAction.APPROVE, epoch: int = 0, *, version: int = 1, model: str = "churn"
) -> LedgerEntry:
    return LedgerEntry(
        model=model,
        action=action,
        epoch=epoch,
        version=str(version),
        digest=digest(f"{version:x}"),
        actor="scheduler",
        body={
            **BODIES[action],
            **({"bundle_uri": f"memory://{version}"} if "bundle_uri" in BODIES[action] else {}),
            "reason": "größer, 'besser'; DROP TABLE ledger",
        },
    )


def last_seq(ledger: Ledger, model: str = "churn") -> int:
    return max((row.seq for row in ledger.rows(model)), default=0)


def promotions(ledger: Ledger, count: int) -> None:
    """Write an intent and a commit for each of ``count`` versions."""
    for number in range(1, count + 1):
        for action in (LedgerAction.INTEND, LedgerAction.COMMIT):
            ledger.append(make_entry(action, number, version=number), after_seq=last_seq(ledger))


class TestAppend:
    def test_rows_come_back_as_they_were_written(self, database_url: str) -> None:
        ledger = sql_ledger(database_url)
        written = [ledger.append(make_entry(version=number), after_seq=number - 1) for number in (1, 2, 3)]
        assert list(sql_ledger(database_url).rows("churn")) == written
        assert [row.seq for row in written] == [1, 2, 3]
        assert written[0].previous == "0" * 64
        assert [row.previous for row in written[1:]] == [row.hash for row in written[:-1]]
        assert all(row.hash == row.expected_hash() for row in written)

    def test_models_are_kept_apart(self, database_url: str) -> None:
        ledger = sql_ledger(database_url)
        assert ledger.models() == ()
        ledger.append(make_entry(model="churn"), after_seq=0)
        ledger.append(make_entry(model="basket"), after_seq=0)
        assert ledger.models() == ("basket", "churn")
        assert len(ledger.rows("churn")) == 1
        assert ledger.rows("other") == ()

    @pytest.mark.parametrize("after", [0, 2])
    def test_a_row_that_is_not_the_last_is_stale(self, database_url: str, after: int) -> None:
        ledger = sql_ledger(database_url)
        ledger.append(make_entry(), after_seq=0)
        with pytest.raises(StaleEpochError):
            ledger.append(make_entry(), after_seq=after)
        assert len(ledger.rows("churn")) == 1

    @pytest.mark.parametrize("action", sorted(ROUTING | {LedgerAction.COMMIT}))
    def test_an_epoch_is_taken_once(self, database_url: str, action: LedgerAction) -> None:
        ledger = sql_ledger(database_url)
        ledger.append(make_entry(action, 1), after_seq=0)
        with pytest.raises(StaleEpochError):
            ledger.append(make_entry(action, 1, version=2), after_seq=1)
        assert len(ledger.rows("churn")) == 1
        assert ledger.verify("churn").broken_at is None

    def test_an_intent_and_its_commit_share_an_epoch_and_registrations_and_approvals_take_none(
        self,
        database_url: str,
    ) -> None:
        ledger = sql_ledger(database_url)
        beside = (LedgerAction.REGISTER, LedgerAction.REGISTER, LedgerAction.APPROVE, LedgerAction.APPROVE)
        actions = (*beside, LedgerAction.INTEND, LedgerAction.COMMIT)
        for seq, action in enumerate(actions):
            ledger.append(make_entry(action, 0 if action in beside else 1), after_seq=seq)
        assert len(ledger.rows("churn")) == 6

    def test_the_champion_is_the_last_commit(self, database_url: str) -> None:
        ledger = sql_ledger(database_url)
        assert ledger.champion("churn") is None
        promotions(ledger, 2)
        ledger.append(make_entry(LedgerAction.DEPLOY, 3, version=3), after_seq=4)
        champion = ledger.champion("churn")
        assert champion is not None
        assert (champion.version, champion.epoch, champion.bundle_uri) == ("2", 2, "memory://2")

    def test_a_number_that_is_none_is_refused_before_it_is_written(self, database_url: str) -> None:
        ledger = sql_ledger(database_url)
        entry = make_entry().model_copy(update={"body": {"auc": float("nan")}})
        with pytest.raises(ValueError, match="JSON"):
            ledger.append(entry, after_seq=0)
        assert ledger.rows("churn") == ()


class TestAppendOnly:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE ledger SET version = '9'",
            "UPDATE ledger SET hash = hash",
            "DELETE FROM ledger",
            "DELETE FROM ledger WHERE seq = 1",
        ],
    )
    def test_sql_cannot_change_rows(self, database_url: str, statement: str) -> None:
        ledger = sql_ledger(database_url)
        promotions(ledger, 1)
        before = ledger.rows("churn")
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), open_database(database_url).begin() as c:
            c.exec_driver_sql(statement)
        assert ledger.rows("churn") == before

    def test_sql_cannot_replace_or_empty(self, database_url: str) -> None:
        ledger = sql_ledger(database_url)
        promotions(ledger, 1)
        engine = open_database(database_url)
        statement = "TRUNCATE ledger"
        if engine.dialect.name == "sqlite":
            statement = "INSERT OR REPLACE INTO ledger SELECT * FROM ledger WHERE seq = 1"
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
        assert len(ledger.rows("churn")) == 2


class TestVerify:
    def test_a_whole_chain(self, database_url: str) -> None:
        ledger = sql_ledger(database_url)
        promotions(ledger, 2)
        check = ledger.verify("churn")
        assert (check.rows, check.broken_at) == (4, None)
        assert ledger.verify("other").broken_at is None

    @pytest.mark.parametrize(
        ("statements", "broken_at"),
        [
            (["UPDATE ledger SET actor = 'mallory' WHERE seq = 3"], 3),
            (["UPDATE ledger SET at = '2020-01-01T00:00:00Z' WHERE seq = 1"], 1),
            (["UPDATE ledger SET body = '{}' WHERE seq = 2"], 2),
            (["UPDATE ledger SET body = body || ' ' WHERE seq = 2"], 2),
            (["UPDATE ledger SET body = 'no json' WHERE seq = 2"], 2),
            (["UPDATE ledger SET action = 'bribe' WHERE seq = 4"], 4),
            (["UPDATE ledger SET epoch = -1 WHERE seq = 2"], 2),
            (["DELETE FROM ledger WHERE seq = 2"], 2),
            (["DELETE FROM ledger WHERE seq = 4"], 4),
            (["DELETE FROM ledger"], 1),
            (
                [
                    "UPDATE ledger SET seq = 99 WHERE seq = 2",
                    "UPDATE ledger SET seq = 2 WHERE seq = 3",
                    "UPDATE ledger SET seq = 3 WHERE seq = 99",
                ],
                2,
            ),
        ],
    )
    def test_edit_deletion_reordering_and_truncation_are_found(
        self,
        database_url: str,
        statements: list[str],
        broken_at: int,
    ) -> None:
        ledger = sql_ledger(database_url)
        promotions(ledger, 2)
        tamper(database_url, *statements)
        assert ledger.verify("churn").broken_at == broken_at

    def test_a_forged_row_is_left_out_and_stops_nothing(self, database_url: str) -> None:
        ledger = sql_ledger(database_url)
        promotions(ledger, 1)
        insert(
            database_url, "seq = 3, action = 'intend', epoch = 2, version = '7', previous = hash, hash = 'f'"
        )
        for reader in (ledger, sql_ledger(database_url)):
            check = reader.verify("churn")
            assert (check.rows, check.broken_at, [left.seq for left in check.left_out]) == (2, None, [3])
        written = ledger.append(make_entry(LedgerAction.INTEND, 2), after_seq=2)
        assert (written.seq, written.previous) == (4, ledger.rows("churn")[1].hash)
        assert [row.seq for row in sql_ledger(database_url).rows("churn")] == [1, 2, 4]

    @pytest.mark.parametrize("seq", [3, 2**31 - 1])
    def test_no_number_can_be_held(self, database_url: str, seq: int) -> None:
        insert(database_url, f"seq = {seq}, epoch = 999999", before=1)
        ledger = sql_ledger(database_url)
        for number in (3, 4, 5):
            ledger.append(make_entry(LedgerAction.DEPLOY, number), after_seq=last_seq(ledger))
        assert [row.epoch for row in ledger.rows("churn")][2:] == [3, 4, 5]
        assert ledger.verify("churn").broken_at is None

    @pytest.mark.parametrize(
        "column",
        ["body = 'no json'", "body = '[]'", "action = 'bribe'", "at = ''", "digest = ''", "epoch = -5"],
    )
    def test_a_malformed_row_stops_nothing(self, database_url: str, column: str) -> None:
        insert(database_url, f"seq = 3, {column}", before=1)
        ledger = sql_ledger(database_url)
        ledger.append(make_entry(LedgerAction.ROLL_BACK, 2), after_seq=2)
        assert [row.seq for row in ledger.rows("churn")] == [1, 2, 4]
        assert ledger.champion("churn") is not None

    def test_a_row_signed_by_another_installation_is_left_out(
        self, database_url: str, tmp_path: Path
    ) -> None:
        ledger = sql_ledger(database_url)
        promotions(ledger, 1)
        keys = create_keys(tmp_path / "foreign")
        foreign = SqlLedger(database_url, keys, Storage(str(tmp_path / "foreign_storage")))
        assert foreign.rows("churn") == ()
        foreign.append(make_entry(), after_seq=0)
        assert [left.seq for left in ledger.verify("churn").left_out] == [3]
        assert len(ledger.rows("churn")) == 2

    def test_a_row_of_before_put_in_again_is_left_out(self, database_url: str) -> None:
        ledger = sql_ledger(database_url)
        promotions(ledger, 2)
        insert(database_url, "seq = 5", before=0)
        assert [left.seq for left in ledger.verify("churn").left_out] == [5]
        assert ledger.verify("churn").broken_at is None

    def test_what_takes_traffic_away_goes_on_where_rows_are_missing(self, database_url: str) -> None:
        promotions(sql_ledger(database_url), 2)
        tamper(database_url, "DELETE FROM ledger WHERE seq = 2")
        ledger = sql_ledger(database_url)
        with pytest.raises(VerdictError) as refusal:
            ledger.append(make_entry(LedgerAction.INTEND, 3), after_seq=4)
        assert refusal.value.code == "WS-LEDGER-002"
        ledger.append(make_entry(LedgerAction.ROLL_BACK, 3), after_seq=4)
        ledger.append(make_entry(LedgerAction.COMMIT, 3), after_seq=5)
        with pytest.raises(VerdictError):
            ledger.append(make_entry(), after_seq=6)

    @pytest.mark.parametrize("lost", [1, 3])
    def test_rows_lost_at_the_end_are_noticed_and_their_numbers_never_come_again(
        self, database_url: str, lost: int
    ) -> None:
        promotions(sql_ledger(database_url), 2)
        tamper(database_url, f"DELETE FROM ledger WHERE seq > {4 - lost}")  # noqa: S608
        ledger = sql_ledger(database_url)
        assert ledger.verify("churn").broken_at == 5 - lost
        with pytest.raises(VerdictError):
            ledger.append(make_entry(), after_seq=4 - lost)
        seen = {"gaps": [], "lost_seq": 4, "lost_epoch": 2}
        told = make_entry(LedgerAction.RECONCILE, 0).model_copy(update={"body": seen})
        assert ledger.append(told, after_seq=4 - lost).seq == 5
        assert ledger.verify("churn").broken_at is None
        ledger.append(make_entry(), after_seq=5)

    def test_a_key_that_was_replaced_goes_on_proving(self, database_url: str) -> None:
        promotions(sql_ledger(database_url), 1)
        keys = home_of(database_url) / "keys"
        old = keys.rename(keys.with_name("old"))
        create_keys(keys)
        assert sql_ledger(database_url).rows("churn") == ()
        (keys / "retired").mkdir()
        (keys / "retired" / "before.pub").write_bytes((old / "signing.pub").read_bytes())
        ledger = sql_ledger(database_url)
        ledger.append(make_entry(), after_seq=2)
        (keys / "retired" / "before.pub").unlink()
        assert len(sql_ledger(database_url).rows("churn")) == 3, "the chain proves the rows before"


def insert(url: str, changes: str, *, before: int | None = None) -> None:
    """Insert a copy of the last row with changed columns, as somebody would who may write to the table.

    :param before: promotions that are written first.
    """
    ledger = sql_ledger(url)
    if before:
        promotions(ledger, before)
    changed = dict(change.strip().split(" = ", 1) for change in changes.split(", "))
    names = ("model", *COLUMNS, "form", "signature")
    values = ", ".join(changed.get(name, name) for name in names)
    unique = values if "hash" in changed else values.replace(" hash, ", " 'f' || hash, ")
    with open_database(url).begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO ledger ({', '.join(names)}) SELECT {unique} FROM ledger "  # noqa: S608
            "ORDER BY seq DESC LIMIT 1"
        )


COLUMNS = ("action", "version", "digest", "actor", "body", "at", "previous", "hash", "seq", "epoch")


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 6),
    column=st.sampled_from(COLUMNS),
    victim=st.integers(1, 6),
    position=st.integers(0, 63),
    letter=st.sampled_from("0123456789abcdefgz"),
)
def test_any_changed_letter_is_found(
    tmp_path_factory: pytest.TempPathFactory, rows: int, column: str, victim: int, position: int, letter: str
) -> None:
    url = new_control_database(tmp_path_factory.mktemp("ledger"))
    ledger = sql_ledger(url)
    for number in range(rows):
        ledger.append(make_entry(version=number + 1), after_seq=number)
    seq = min(victim, rows)
    with database.reading(url) as connection:
        before = connection.exec_driver_sql(f"SELECT {column} FROM ledger WHERE seq = {seq}").scalar_one()  # noqa: S608
    if isinstance(before, int):
        after: Any = before + position + rows + 1  # beyond every number that a row has: they are unique
    else:
        place = position % len(before)
        after = before[:place] + letter + before[place + 1 :]
    literal = str(after) if isinstance(after, int) else "'" + after.replace("'", "''") + "'"
    tamper(url, f"UPDATE ledger SET {column} = {literal} WHERE seq = {seq}")  # noqa: S608
    changed = after != before
    check = ledger.verify("churn")
    assert (check.broken_at is not None) == changed
    assert bool(check.left_out) == changed


@given(st.lists(st.sampled_from(sorted(LedgerAction)), max_size=8))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_keeps_what_the_tests_fake_keeps(
    tmp_path_factory: pytest.TempPathFactory, actions: list[LedgerAction]
) -> None:
    real = sql_ledger(new_control_database(tmp_path_factory.mktemp("ledger")))
    fake = FakeLedger()
    for seq, action in enumerate(actions):
        entry = make_entry(action, seq + 1, version=seq + 1)
        for ledger in (real, fake):
            ledger.append(entry, after_seq=seq)
    assert _timeless(real.rows("churn")) == _timeless(fake.rows("churn"))
    assert real.champion("churn") == fake.champion("churn")
    assert real.verify("churn") == fake.verify("churn")
    assert set(real.models()) == set(fake.models())


def _timeless(rows: tuple[LedgerRow, ...]) -> list[dict[str, Any]]:
    return [row.model_dump(exclude={"at", "hash", "previous", "signature"}) for row in rows]


WORKERS = """
import json, os, random, sys, time
from support.builders import digest, make_registration, make_spec, make_version
from support.fakes import FakeRouter, fake_ports
from support.ledgers import sql_ledger
from windsock.door import append_once
from windsock.exceptions import GateRefusedError, StaleEpochError
from windsock.governance.promote_model import promote_model
from windsock.records import FallbackAnswer, PromoteModelInput, RoutePlan, SlotPlan

url, workers, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
children = {}
for worker in range(workers):  # forked before anything is open, with all that is imported
    child = os.fork()
    if not child:
        break
    children[child] = worker
else:
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os._exit(max(map(abs, codes)))
chance = random.Random(worker)

class SlowRouter(FakeRouter):
    def probe(self, model, digest):
        time.sleep(chance.random() * 0.01)
        return super().probe(model, digest)

ledger = sql_ledger(url)
done = []


def judged(number, judgement):
    # A version that was judged against the champion of this moment, as a retrain leaves it.
    champion = ledger.champion("churn")
    version = make_version(
        version=f"{worker}-{number}-{judgement}", digest=f"{worker:02x}{number:02x}{judgement:04x}" * 8
    )
    opponent = champion.digest if champion else None
    append_once(ledger, make_registration(version, opponent=opponent), standing=version.registration)
    router = SlowRouter()
    slot = SlotPlan.idle(version)
    router.plans["churn"] = RoutePlan.serving(
        None, model="churn", epoch=1, slots=[slot], salt="churn", fallback=FallbackAnswer()
    )
    return PromoteModelInput(spec=make_spec(), version=version), router


for number in range(count):
    judgement, case = 0, None
    for _ in range(2000):
        try:
            case = case or judged(number, judgement)
            promotion = promote_model(case[0], fake_ports(ledger=ledger, router=case[1]), "")
        except StaleEpochError:
            time.sleep(chance.random() * 0.02)
        except GateRefusedError:
            judgement, case = judgement + 1, None
        else:
            done.append([promotion.version, promotion.epoch])
            break
print(json.dumps(done))  # one write of less than a pipe takes as a whole
"""


@pytest.mark.slow
def test_of_many_promotions_at_once_none_is_lost_and_no_epoch_is_committed_twice(
    database_url: str,
) -> None:
    workers, each = 8, 2  # the second of each begins while others are under way, as every later one would
    sql_ledger(database_url)  # its keys are there before many look for them
    run = subprocess.run(
        [sys.executable, "-c", WORKERS, database_url, str(workers), str(each)],
        env={**os.environ, "PYTHONPATH": f"{PLUGINS}{os.pathsep}{TESTS}"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    acknowledged = [tuple(pair) for line in run.stdout.splitlines() for pair in json.loads(line)]
    ledger = sql_ledger(database_url)
    rows = ledger.rows("churn")
    commits = [(row.version, row.epoch) for row in rows if row.action is LedgerAction.COMMIT]
    assert len(acknowledged) == workers * each
    assert sorted(commits) == sorted(acknowledged)
    assert len({epoch for _, epoch in commits}) == len(commits)
    registered = [row.version for row in rows if row.action is LedgerAction.REGISTER]
    assert len(registered) == len(set(registered)) >= workers * each
    intents = [row.epoch for row in rows if row.action is LedgerAction.INTEND]
    assert intents == list(range(2, len(intents) + 2)), "one above the server's plan, and each once"
    for row in rows:
        if row.action is LedgerAction.COMMIT:
            later = [other.epoch for other in rows if other.seq < row.seq and other.action in ROUTING]
            assert max(later) == row.epoch, "a commit after another routing row"
    assert ledger.verify("churn").broken_at is None
    champion = ledger.champion("churn")
    assert champion is not None
    assert (champion.version, champion.epoch) == commits[-1]
