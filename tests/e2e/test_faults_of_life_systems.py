"""What goes wrong with systems: said within two looks, told once, and ended by what NEXT says."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from support.life import breaking
from support.life.course import chosen, live_through, show_table
from support.life.fault import Fault, Lived, commands_of, run_first
from support.life.healing import heals, killed_while, run_is_green
from support.life.installation import Life, lived_in
from support.life.models import ROLLED_OUT, write_include

pytestmark = [pytest.mark.e2e, pytest.mark.acceptance]

HEARTBEAT = 30.0
"""The check of `paced`, which is never trained."""
TWO_VERSIONS = ("ahead", "alias", "older")
ONE_VERSION = ("damaged", "forged", "lost")
MODELS = {**{name: {} for name in (*TWO_VERSIONS, *ONE_VERSION)}, "retrained": {}, "paced": ROLLED_OUT}
KILLED = "nothing: `windsock up` starts it again by itself"


def find_and_reconcile(life: Life, next_action: str) -> str:
    show, reconcile = commands_of(next_action)[:2]
    shown = life.shell(show)
    assert (shown.returncode, "BROKEN" in shown.stdout) == (1, True), shown.stdout + shown.stderr
    life.run(f"{reconcile} --reason 'a row was changed in the database'")
    return f"`{show}` named the row, `{reconcile} --reason ...`"


def stop_killing(life: Life, next_action: str) -> str:
    life.notes["killer"]()
    return f"ended what kills them; {run_first(life, next_action)}"


def run_housekeeping(life: Life, next_action: str) -> str:
    assert "trigger windsock__housekeeping in Airflow" in next_action
    life.live.run_green("windsock__housekeeping")
    return "triggered windsock__housekeeping"


def reconcile_with_reason(life: Life, next_action: str) -> str:
    (shows,) = commands_of(next_action)
    assert life.shell(shows).returncode == 1
    life.run(f"{shows} --reason 'the plans were restored'")
    return f"`{shows} --reason ...`"


def truncate_routes(life: Life) -> None:
    file = life.home / "serving" / breaking.ROUTES[0]
    file.write_bytes(file.read_bytes()[:100])


def copy_kept_routes(life: Life, next_action: str) -> str:
    (text,) = [one["text"] for one in life.status()["findings"] if one["code"] == "WS-WATCH-021"]
    assert "Copy routes.kept.json over routes.json" in text, text
    folder = life.home / "serving"
    shutil.copy(folder / breaking.ROUTES[1], folder / breaking.ROUTES[0])
    return "copied routes.kept.json over routes.json"


def lose_plans(life: Life) -> None:
    breaking.lose_plan(life, "lost")
    breaking.lose_plan(life, "older", old=life.notes["plan"])
    breaking.start_server_again(life)


def kill_while(task_id: str, part: str):
    def break_(life: Life) -> None:
        life.notes["run"] = killed_while(life, "retrained", task_id, part)

    return break_


def retrain_is_green(life: Life) -> bool:
    return "run" in life.notes and run_is_green(life, "retrained", life.notes["run"])


TOGETHER = [
    Fault(
        name="MLflow hangs",
        code="WS-WATCH-022",
        key="watch:mlflow",
        severity="medium",
        break_=breaking.hang("mlflow"),
    ),
    Fault(
        name="DAG processor hangs",
        code="WS-WATCH-041",
        key="watch:airflow-parts",
        severity="high",
        break_=breaking.hang("airflow-dag-processor"),
        holds="dag_processor",
    ),
    Fault(
        name="disk nearly full",
        code="WS-WATCH-028",
        key="watch:disk",
        severity="high",
        break_=breaking.fill_disk,
        cure=breaking.free_disk,
        holds="home",
    ),
    Fault(
        name="bundle of the champion damaged",
        code="WS-WATCH-040",
        key="watch:bundle",
        model="damaged",
        severity="high",
        break_=breaking.damage("damaged"),
        cure=breaking.from_backup("damaged"),
        holds="model.skops",
    ),
    Fault(
        name="predictions cannot be written",
        code="WS-WATCH-042",
        key="watch:unwritable",
        severity="high",
        break_=breaking.take_away("storage/predictions", "file"),
        cure=breaking.bring_back("storage/predictions"),
        holds="predictions",
    ),
    Fault(
        name="signing key gone",
        code="WS-WATCH-030",
        key="watch:key",
        severity="high",
        break_=breaking.take_away("keys/signing.key"),
        cure=breaking.bring_back("keys/signing.key"),
    ),
]
ROWS = [
    Fault(
        name="row of the ledger forged",
        code="WS-WATCH-025",
        key="watch:ledger",
        model="forged",
        severity="critical",
        break_=breaking.forge("forged"),
        cure=find_and_reconcile,
    ),
    Fault(
        name="plans of the server truncated",
        code="WS-WATCH-021",
        key="watch:server-faults",
        severity="high",
        break_=truncate_routes,
        cure=copy_kept_routes,
        holds="no routing table",
    ),
]
MOMENTS = [
    Fault(
        name="alias of MLflow moved",
        code="WS-WATCH-023",
        key="watch:alias",
        model="alias",
        severity="low",
        break_=lambda life: breaking.put_alias(life, "alias", "1"),
        cure=run_housekeeping,
    ),
    Fault(
        name="clock ahead",
        code="WS-WATCH-029",
        key="watch:clock",
        model="ahead",
        severity="high",
        break_=breaking.roll_back_ahead("ahead"),
        cure=breaking.wait_for_the_clock("ahead"),
    ),
]
SERVER = [
    Fault(
        name="server hangs",
        code="WS-WATCH-019",
        key="watch:server",
        severity="critical",
        break_=breaking.hang("server"),
    ),
]
PLANS = [
    Fault(
        name="server lost a plan",
        code="WS-WATCH-020",
        key="watch:route",
        model="lost",
        severity="critical",
        break_=lose_plans,
        cure=reconcile_with_reason,
        holds="the server serves no version",
    ),
    Fault(
        name="server has an older plan",
        code="WS-WATCH-020",
        key="watch:route",
        model="older",
        severity="critical",
        break_=lambda life: None,
        cure=reconcile_with_reason,
        holds="he ledger's champion is version 2, the server serves version 1",
    ),
]
WORKERS = [
    Fault(
        name="worker of the server killed in a loop",
        code="WS-WATCH-019",
        key="watch:server",
        severity="critical",
        break_=breaking.kill_workers_in_a_loop,
        cure=stop_killing,
    ),
]
OUTSIDE = [
    Fault(
        name="control database away",
        code="WS-WATCH-034",
        key="watch:database",
        severity="critical",
        break_=breaking.take_away("control.db", "folder"),
        cure=breaking.bring_back("control.db"),
        is_told=False,
    ),
    Fault(
        name="API of Airflow hangs",
        code="WS-WATCH-033",
        key="watch:airflow",
        severity="high",
        break_=breaking.hang("airflow-api"),
        is_told=False,
    ),
]
MLFLOW_KILLED = Fault(
    name="MLflow killed",
    code="WS-WATCH-022",
    key="watch:mlflow",
    severity="medium",
    break_=breaking.kill("mlflow"),
)
SERVER_KILLED = Fault(
    name="server killed",
    code="WS-WATCH-019",
    key="watch:server",
    severity="critical",
    break_=breaking.kill("server"),
)
RETRAINED = {
    Fault(
        name="scheduler killed while a task runs",
        code="WS-WATCH-041",
        key="watch:airflow-parts",
        severity="high",
        break_=kill_while("train_model", "airflow-scheduler"),
    ): "nothing: `windsock up` starts it again by itself; the run ended green",
    Fault(
        name="server killed in mid deploy",
        code="WS-WATCH-019",
        key="watch:server",
        severity="critical",
        break_=kill_while("deploy_model", "server"),
    ): "nothing: `windsock up` starts it again by itself; the deploy was retried and the run ended green",
}
COURSES = [TOGETHER, ROWS, MOMENTS, PLANS, SERVER, WORKERS, *[[one] for one in OUTSIDE]]
HEALED = [MLFLOW_KILLED, SERVER_KILLED]
ALL = [*(fault for course in COURSES for fault in course), *HEALED, *RETRAINED]


def write(include: Path, project: Path) -> None:
    write_include(include, project, MODELS)


def prepare(life: Life) -> None:
    """Let every model serve, some with an earlier version to go back to."""
    for name in (*ONE_VERSION, *TWO_VERSIONS):
        breaking.make_version(life, name)
    life.notes["plan"] = breaking.plan_of(life, "older")
    for name in TWO_VERSIONS:
        assert breaking.make_version(life, name) == "2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("life")


@pytest.fixture(scope="module")
def lived(folder, project, request) -> dict[str, Lived]:
    limit = {"WINDSOCK_MINIMUM_FREE_MB": str(breaking.minimum_free_mb(folder))}
    found: dict[str, Lived] = {}
    with lived_in(folder, project, write, heartbeat=HEARTBEAT, variables=limit) as life:
        prepare(life)
        try:
            for course in COURSES:
                found |= live_through(life, chosen(course, request))
            addresses = {
                MLFLOW_KILLED.name: f"{life.live.stack.mlflow_url}/health",
                SERVER_KILLED.name: f"{life.settings.admin_address}/health",
            }
            for fault in chosen(HEALED, request):
                url = addresses[fault.name]
                found[fault.name] = heals(life, fault, lambda _, url=url: breaking.answers(url), KILLED)
            for fault in chosen(RETRAINED, request):
                did = RETRAINED[fault]
                life.notes.pop("run", None)
                found[fault.name] = heals(life, fault, retrain_is_green, did)
        finally:
            breaking.processes.signal_all(life.live.pids, signal.SIGCONT)
            show_table(list(found.values()), heartbeat=HEARTBEAT)
    return found


@pytest.mark.parametrize("name", [fault.name for fault in ALL])
def test_it_is_said_told_once_and_ended_by_what_next_says(lived, name):
    assert not lived[name].faults, lived[name]


def test_commands_find_a_stack_that_has_moved_to_other_ports(lived, folder, project):
    before = folder.joinpath("up.log").read_text()
    with lived_in(folder, project, write, heartbeat=HEARTBEAT) as life:
        moved = dict(life.live.stack.ports.items())
        assert not [port for port in moved.values() if f":{port} " in before]
        codes = {one["code"] for one in life.status()["findings"]}
        assert not codes & {"WS-WATCH-019", "WS-WATCH-020", "WS-WATCH-022", "WS-WATCH-033"}, codes
        life.run("windsock monitor alias")
        said = life.run("windsock rollback older --to 1 --reason 'the stack has moved'")
        state = life.ports.router.state("older")
        assert state is not None
        assert state.plan.champion_slot.version == "1", said
