"""The real ledger of a control database, with keys and a storage root of its own."""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import sqlalchemy as sa

from support.builders import digest
from windsock.adapters.database import open_database
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.rollout_table import SqlRollouts
from windsock.adapters.signing import Signer, create_keys
from windsock.adapters.step_table import SqlStepRecords
from windsock.adapters.storage import Storage
from windsock.ports import utc_now
from windsock.records import LedgerAction
from windsock.records.ledger_form import hash_of, signed_bytes
from windsock.spec import canonical_json, digest_of

PLAN = {"salt": "churn", "slots": [], "fallback": {"kind": "error"}}
ROUTE = {"bundle_uri": "memory://1", "plan": PLAN}
SWITCH = {"bundle_uri": "memory://1", "evidence_digest": digest("e")}
STEER = {"experiment": "1-1"}
ANSWER = {"evidence_digest": digest("e")}
REGISTER = {
    **SWITCH, "evidence_uri": "memory://e", "snapshot_digest": digest("5"), "asks": [], "tier": "low",
}  # fmt: skip
BODIES = {
    LedgerAction.ACCEPT: {
        "snapshot_digest": digest("5"), "contract": 1, "contract_digest": digest("c"),
        "contract_uri": "memory://c", "statistics_digest": digest("a"), "statistics_uri": "memory://a",
    },
    LedgerAction.DECIDE: {
        "outcome": "keep", "decision": digest("d"), "evaluation": digest("a"), "spec": digest("b"),
        "policy_digest": digest("c"), "snapshot_digest": digest("5"), "tier": "low", "run_id": "r",
        "evidence_digest": digest("e"), "evidence_uri": "memory://e",
    },
    LedgerAction.ANCHOR: {"rows": 1},
    LedgerAction.RECONCILE: {"gaps": []},
    LedgerAction.ACCEPT_LOSS: {"metrics": [], "window": {}},
    LedgerAction.ACCEPT_DRIFT: {
        "profile_uri": "memory://p", "profile_digest": digest("b"), "rows": 1, "windows": {},
    },
    LedgerAction.REGISTER: REGISTER,
    LedgerAction.APPROVE: ANSWER,
    LedgerAction.REJECT: ANSWER,
    LedgerAction.QUEUE: SWITCH,
    LedgerAction.PAUSE: STEER,
    LedgerAction.RESUME: STEER,
    LedgerAction.ASK: STEER,
    LedgerAction.DEPLOY: ROUTE,
    LedgerAction.SHIFT: {
        **ROUTE, "champion_version": "1", "champion_digest": digest("1"), "experiment": "1-1", "step": 0,
    },
    LedgerAction.INTEND: {**SWITCH, "plan": PLAN},
    LedgerAction.COMMIT: SWITCH,
    LedgerAction.ROLL_BACK: {**SWITCH, "plan": PLAN, "rolled_back": digest("2")},
    LedgerAction.ABANDON: {"plan": PLAN},
}  # fmt: skip
"""For each action the least that its body must hold."""


@cache
def _migrated() -> Path:
    home = Path(mkdtemp(prefix="windsock-control-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    url = f"sqlite:///{home / 'control.db'}"
    with open_database(url).connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    open_database(url).dispose()
    return home / "control.db"


def new_control_database(folder: Path) -> str:
    """Return the URL of a folder's control database on SQLite.

    A new one is a copy of an empty one, whose tables are made once for all tests.
    """
    file = folder / "control.db"
    folder.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        shutil.copy(_migrated(), file)
    return f"sqlite:///{file}"


def home_of(url: str) -> Path:
    """Return the folder of keys and storage that belongs to a control database, made where it is missing."""
    home = _home_place(url)
    if not (home / "keys").exists():
        create_keys(home / "keys")
    return home


def copy_home(url: str, copy_url: str) -> None:
    """Let the copy of a database have a copy of its keys and its storage."""
    shutil.copytree(home_of(url), _home_place(copy_url))


def _home_place(url: str) -> Path:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Path(str(parsed.database)).parent / "installation"
    return Path(os.environ["AIRFLOW_HOME"]) / "ledgers" / digest_of(url)[:16]  # servers share names


def step_records(url: str) -> SqlStepRecords:
    """Return the step records of a database."""
    return SqlStepRecords(url, home_of(url) / "keys")


def sql_rollouts(url: str) -> SqlRollouts:
    """Return the decisions of a database."""
    home = home_of(url)
    return SqlRollouts(url, home / "keys", Storage(str(home / "storage")))


def sql_ledger(url: str, now: Callable[[], datetime] = utc_now) -> SqlLedger:
    """Return the ledger of a database."""
    home = home_of(url)
    return SqlLedger(url, home / "keys", Storage(str(home / "storage")), now)


def forge(url: str, model: str, *, signed_by: Path | None = None, **columns: Any) -> int:
    """Write a row as somebody does who may write to the table and holds no key of the installation.

    The row is a copy of the model's last one with other columns: its number follows it, its hash is right.

    :param signed_by: keys of somebody else, to sign it with; ``None``: it keeps the signature that it copies.
    :returns: its number.
    """
    with open_database(url).begin() as connection:
        query = sa.text("SELECT * FROM ledger WHERE model = :model ORDER BY seq DESC LIMIT 1")
        last = dict(connection.execute(query, {"model": model}).mappings().one())
        row = {**last, "seq": last["seq"] + 1, "previous": last["hash"], **columns}
        if "body" in columns and isinstance(columns["body"], dict):
            row["body"] = canonical_json(columns["body"])
        if "hash" not in columns:
            row["hash"] = hash_of(row)
        if signed_by is not None:
            row["signature"] = Signer(signed_by).sign(signed_bytes(row)).hex()
        names = list(row)
        insert = f"INSERT INTO ledger ({', '.join(names)}) VALUES (:{', :'.join(names)})"  # noqa: S608
        connection.execute(sa.text(insert), row)
    return int(row["seq"])


def tamper(url: str, *statements: str) -> None:
    """Change rows of the ledger behind Windsock's back, its triggers switched off."""
    engine = open_database(url)
    guards = ("ledger_no_update", "ledger_no_delete", "ledger_no_replace")
    with engine.connect() as connection:
        connection = connection.execution_options(windsock_writes=True)
        with connection.begin():
            if engine.dialect.name == "sqlite":
                query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger'"
                kept = connection.exec_driver_sql(query).all()
                assert {name for name, _ in kept} == set(guards)
                before, after = [f"DROP TRIGGER {name}" for name in guards], [sql for _, sql in kept]
            else:
                before = ["ALTER TABLE ledger DISABLE TRIGGER USER"]
                after = ["ALTER TABLE ledger ENABLE TRIGGER USER"]
            for statement in (*before, *statements, *after):
                connection.exec_driver_sql(statement)
