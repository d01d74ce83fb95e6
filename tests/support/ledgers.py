"""The real ledger of a control database, with keys and a storage root of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from support.builders import digest
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.signing import create_keys
from windsock.adapters.step_table import SqlStepRecords
from windsock.adapters.storage import Storage
from windsock.ports import utc_now
from windsock.records import LedgerAction

PLAN = {"salt": "churn", "slots": [], "fallback": {"kind": "error"}}
ROUTE = {"bundle_uri": "memory://1", "plan": PLAN}
SWITCH = {"bundle_uri": "memory://1", "evidence_digest": digest("e")}
STEER = {"experiment": "1-1"}
ANSWER = {"evidence_digest": digest("e")}
REGISTER = {
    **SWITCH, "evidence_uri": "memory://e", "snapshot_digest": digest("5"), "asks": [], "tier": "low",
}  # fmt: skip
BODIES = {
    LedgerAction.DECIDE: {
        "outcome": "keep", "decision": digest("d"), "evaluation": digest("a"), "spec": digest("b"),
        "policy_digest": digest("c"), "snapshot_digest": digest("5"), "tier": "low", "run_id": "r",
        "evidence_digest": digest("e"), "evidence_uri": "memory://e",
    },
    LedgerAction.ANCHOR: {"rows": 1},
    LedgerAction.RECONCILE: {"gaps": []},
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


def home_of(url: str) -> Path:
    """Return the folder of keys and storage that belongs to a control database, made where it is missing."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        home = Path(str(parsed.database)).parent / "installation"
    else:
        home = Path(os.environ["AIRFLOW_HOME"]) / "ledgers" / str(parsed.database)
    if not (home / "keys").exists():
        create_keys(home / "keys")
    return home


def step_records(url: str) -> SqlStepRecords:
    """Return the step records of a database."""
    return SqlStepRecords(url, home_of(url) / "keys")


def sql_ledger(url: str, now: Callable[[], datetime] = utc_now) -> SqlLedger:
    """Return the ledger of a database."""
    home = home_of(url)
    return SqlLedger(url, home / "keys", Storage(str(home / "storage")), now)
