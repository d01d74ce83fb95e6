"""The installation around the models: broken files, housekeeping, sockets, and the way it ends."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from support.stack import free_ports, start_up, wait_for
from windsock.cli import processes
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.stack import Stack

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
