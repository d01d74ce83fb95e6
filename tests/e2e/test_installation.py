"""The installation around the models: broken files, housekeeping, a restore, sockets, and the way it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from support.ledgers import tamper
from support.stack import free_ports, start_up, wait_for
from windsock.adapters.ledger_table import SqlLedger
from windsock.cli import processes
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.stack import Stack
from windsock.serving.files import locked, replace_file
from windsock.serving.route_file import KEPT_FILE, LOCK_FILE, ROUTES_FILE
from windsock.settings import Settings

pytestmark = pytest.mark.e2e

LISTEN = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def test_a_broken_model_is_named_and_the_others_go_on(live):
    for dag_id in ("churn__daily_retrain", "reviewed__daily_retrain", "windsock__housekeeping"):
        live.await_dag(dag_id)
    wait_for(live.admin.import_errors, seconds=60, what="an import error")
    (error,) = live.admin.import_errors()
    trace = error["stack_trace"]
    assert "broken.yaml:4" in trace
    assert "training.schedule" in trace
    assert not any(dag_id.startswith("broken") for dag_id in live.admin.dag_ids())


def test_housekeeping_is_green(live, first_run):
    run_id = live.run_green("windsock__housekeeping")
    report = live.admin.xcom("windsock__housekeeping", run_id, "keep_house")
    assert report["faults"] == []
    assert report["broken_ledgers"] == []


# --- rows of the ledger are lost, then the seals of the server's plans


RETRAIN = "churn__daily_retrain"


@pytest.fixture(scope="module")
def settings(live):
    return Settings.from_environment(live.stack.environment())


def windsock(live, *said: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the installation as a person does, without a terminal."""
    return subprocess.run(
        [*live.stack.windsock, *said],
        env=live.stack.environment(), cwd=live.stack.project,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def faults_of(live, model: str) -> list[str]:
    health = httpx.get(f"{live.stack.admin_url}/health", timeout=10, trust_env=False).json()
    named = [fault for fault in health["faults"] if model in fault]
    assert health["status"] == ("degraded" if health["faults"] else "ok")
    return named


def served_epoch(live) -> int:
    """Return by which plan a prediction is answered."""
    address = f"{live.stack.server_url}/models/churn"
    asked = httpx.get(address, timeout=10, trust_env=False).raise_for_status().json()["example"]
    answer = httpx.post(f"{address}/predict", json=asked, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    health = httpx.get(f"{live.stack.admin_url}/health", timeout=10, trust_env=False).json()
    return health["models"]["churn"]["epoch"]


@pytest.fixture(scope="module")
def cut_off(live, first_run, settings) -> int:
    """The epoch that the server is at when the ledger has lost all rows after the registration."""
    rows = SqlLedger.of(settings).rows("churn")
    registered = next(row.seq for row in rows if row.action.value == "register")
    epoch = served_epoch(live)
    tamper(settings.database_url, f"DELETE FROM ledger WHERE model = 'churn' AND seq > {registered}")  # noqa: S608
    return epoch


@pytest.mark.acceptance
def test_lost_rows_are_named_and_reconciled(live, cut_off, settings):
    """By housekeeping's own run, and by the person's command of the drill in docs/operations.md."""
    run_id = live.trigger("windsock__housekeeping")
    assert live.await_state("windsock__housekeeping", run_id) == "failed"
    report = live.admin.xcom("windsock__housekeeping", run_id, "keep_house")
    assert report["broken_ledgers"] == ["churn"]
    assert served_epoch(live) == cut_off

    shown = windsock(live, "ledger", "reconcile", "churn")
    assert shown.returncode == 1, shown.stderr
    assert "are missing at the end" in shown.stdout
    assert f"serves by epoch {cut_off}, which the ledger" in shown.stdout
    done = windsock(live, "ledger", "reconcile", "churn", "--reason", "restored the backup of noon")
    assert done.returncode == 0, done.stdout + done.stderr
    ledger = SqlLedger.of(settings)
    assert ledger.verify("churn").broken_at is None
    assert ledger.rows("churn")[-1].action.value == "reconcile"
    assert served_epoch(live) == cut_off, "the ledger knows no champion: what serves goes on"


@pytest.mark.acceptance
def test_after_it_a_retrain_promotes_and_seals_a_plan_that_lost_its_seal(live, cut_off, settings):
    folder = settings.serving_dir
    with locked(folder / LOCK_FILE):  # other models' plans are laid meanwhile
        table = json.loads((folder / ROUTES_FILE).read_text())
        del table["seals"]["churn"]
        (folder / KEPT_FILE).unlink()
        replace_file(folder / ROUTES_FILE, json.dumps(table))
        wait_for(lambda: faults_of(live, "churn"), seconds=30, what="a fault of the plan without a seal")
        (fault,) = faults_of(live, "churn")
    assert "WS-SERVING-090" in fault
    assert served_epoch(live) == cut_off

    live.run_green(RETRAIN)
    champion = SqlLedger.of(settings).champion("churn")
    assert champion is not None
    assert champion.epoch > cut_off
    wait_for(lambda: not faults_of(live, "churn"), seconds=30, what="a plan with a seal")
    assert served_epoch(live) > cut_off
    assert json.loads((folder / ROUTES_FILE).read_text())["seals"]["churn"]
    live.run_green("windsock__housekeeping")


def listening_sockets(pids: list[int]) -> dict[str, list[str]]:
    """Return the addresses (as the kernel writes them) that processes listen on, by command."""
    owners: dict[str, str] = {}
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:80]
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                owners[os.readlink(handle)] = command
        except OSError:
            continue
    found: dict[str, list[str]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            cells = line.split()
            owner = owners.get(f"socket:[{cells[9]}]")
            if cells[3] == LISTEN and owner:
                found.setdefault(owner, []).append(cells[1])
    return found


def test_everything_listens_on_loopback_only(live):
    sockets = listening_sockets(live.pids)
    ports = {int(address.split(":")[1], 16) for addresses in sockets.values() for address in addresses}
    assert {port for _, port in live.stack.ports.items()} <= ports
    for command, addresses in sockets.items():
        assert {address.split(":")[0] for address in addresses} <= LOOPBACK, command


def test_a_wrong_password_is_refused(live):
    intruder = AirflowApi(live.stack.airflow_url, user="admin", password="wrong")
    with intruder, pytest.raises(AirflowApiError) as caught:
        intruder.sign_in()
    assert caught.value.status == 401


def test_no_password_is_in_a_log(live):
    for log in live.stack.logs.glob("*.log"):
        text = log.read_text(errors="replace")
        assert not [user for user, password in live.stack.logins.items() if password in text], log.name


def test_a_second_stack_in_the_same_home_is_refused(live, tmp_path):
    log = tmp_path / "up.log"
    assert start_up(live.stack, log).wait(timeout=60) == 1
    assert "WS-SETTINGS-021" in log.read_text()
    assert live.process.poll() is None


def test_a_taken_port_is_refused_before_anything_starts(live, tmp_path):
    ports = replace(free_ports(), airflow=live.stack.ports.airflow)
    other = replace(live.stack, home=tmp_path / "home", ports=ports)
    log = tmp_path / "up.log"
    assert start_up(other, log).wait(timeout=60) == 1
    text = log.read_text()
    assert f"port {live.stack.ports.airflow} of 127.0.0.1 is taken" in text
    assert "WINDSOCK_AIRFLOW_PORT" in text
    assert not list((tmp_path / "home" / "logs").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_while_it_starts_leaves_nothing(project, tmp_path, number):
    stack = Stack(project=project, home=tmp_path / "home", ports=free_ports())
    process = start_up(stack, tmp_path / "up.log")
    wait_for((stack.logs / "airflow-migrate.log").exists, seconds=60, what="the start")
    stack_id = (stack.home / "stack.json").read_text().split('"stack_id": "')[1].split('"')[0]
    wait_for(lambda: processes.marked_processes(stack_id), seconds=60, what="a process of the stack")
    process.send_signal(number)
    assert process.wait(timeout=60) == 0
    assert processes.marked_processes(stack_id) == []
