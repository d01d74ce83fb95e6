"""Airflow's SQLite database under writers of several processes: each is answered, late at worst."""

from __future__ import annotations

import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from windsock.cli.airflow_rest import AirflowApi
from windsock.cli.first_pass import FACTORY_DAG

pytestmark = pytest.mark.e2e

CLIENTS, REQUESTS = 4, 15
# SQLite's own default: whoever waits longer for the lock fails, unless the stack's settings say otherwise.
DEFAULT_BUSY_SECONDS = 5.0


def write(api: AirflowApi, name: str) -> None:
    """Write once, without a second try."""
    pool = {"name": name, "slots": 1, "description": "", "include_deferred": False}
    entities = {"action": "create", "action_on_existence": "overwrite", "entities": [pool]}
    api.request("PATCH", "/pools", json={"actions": [entities]})


def test_clients_that_write_at_once_are_all_answered(live):
    def client(number: int) -> int:
        with live.stack.api() as api:
            for _ in range(REQUESTS):
                write(api, f"client-{number}")
        return REQUESTS

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert sum(clients.map(client, range(CLIENTS))) == CLIENTS * REQUESTS


def test_a_request_waits_for_another_process_that_writes_for_long(live):
    database = sqlite3.connect(live.stack.airflow_database, timeout=30, isolation_level=None)
    with ThreadPoolExecutor(1) as thread:
        database.execute("BEGIN IMMEDIATE")
        try:
            written = thread.submit(write, live.admin, "late")
            time.sleep(DEFAULT_BUSY_SECONDS + 1.5)  # the lock is held for longer than the default allows
            assert not written.done()
        finally:
            database.execute("ROLLBACK")
            database.close()
        written.result(timeout=120)


def test_the_stack_is_up_only_when_the_models_are_there(live):
    assert {FACTORY_DAG, "churn__daily_retrain", "moving__monitor", "tried__ab_rollout"} <= live.dags_when_up
    said = (live.stack.home.parent / "up.log").read_text()
    assert re.search(r"^  broken     .*broken\.yaml:4: training\.schedule", said, re.MULTILINE), said
