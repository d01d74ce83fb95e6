from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from support.fake_airflow import FakeAirflow, FakeSurroundings
from support.retraining import make_episode
from support.world import world_of
from windsock.cli import status as command
from windsock.cli.airflow_answers import RestAirflow
from windsock.cli.airflow_rest import AirflowApi
from windsock.cli.app import run
from windsock.exceptions import DatabaseUnavailableError
from windsock.records import INSTALLATION, Alert, ServerFacts, Severity
from windsock.watchdog.airflow_answers import NoAirflow
from windsock.watchdog.loop_dags import INSTALLATION_DAGS
from windsock.watchdog.system_findings import LOOKED

MODEL_FILE = "model: {name: churn, owner: ann}\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text(MODEL_FILE)
    (tmp_path / "home" / "keys").mkdir(parents=True)
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def use(home, monkeypatch):
    def set_world(airflow=None, **around):
        ports = world_of(1, surroundings=FakeSurroundings(**around))
        now = ports.now() + timedelta(minutes=30)
        ports = replace(ports, now=lambda: now)
        ports.monitor.put_alert(row(ports, key=LOOKED, state="resolved", severity=Severity.NONE))
        monkeypatch.setattr(command, "open_ports", lambda settings: ports)
        asked = airflow or FakeAirflow()
        made = command.world_of
        monkeypatch.setattr(
            command, "world_of", lambda settings, ports: made(settings, ports)._replace(airflow=asked)
        )
        return ports

    return set_world


def row(ports, **fields):
    made = {"model": INSTALLATION, "severity": "high", "title": "x", "text": "y", "owner": "o"}
    return Alert(**{**made, "first_at": ports.now(), "last_at": ports.now(), **fields})


def shown(capsys, *arguments):
    code = run(["status", *arguments])
    return code, capsys.readouterr().out


def test_all_is_well(use, capsys):
    use()
    code, out = shown(capsys, "--check")
    assert code == 0
    assert "findings: none; nothing is known to be wrong" in out
    assert "churn: version 1 serves since 2026-05-01" in out
    assert "open episode: none" in out
    assert "DAGs that are off: none" in out


def test_what_is_wrong_comes_first_with_what_to_do_and_whom_it_reached(use, capsys):
    ports = use(FakeAirflow(off=["churn__drift_retrain"]))
    ports.monitor.announce(make_episode(opened_at=ports.now()))
    ports.monitor.put_alert(
        row(ports, model="churn", key="drift", title="churn: drift", pending=True, refusal="slack: away")
    )
    code, out = shown(capsys)
    assert code == 0
    lines = out.splitlines()
    assert lines[1] == "findings: 2"
    assert lines[2] == "[CRITICAL] WS-WATCH-010 churn: churn__drift_retrain is switched off and has work"
    assert lines[4] == "    seen now; the watchdog has not told it yet"
    assert lines[5].startswith("    NEXT: switch churn__drift_retrain on in Airflow's list of DAGs")
    assert "[HIGH] churn: drift" in out
    assert "not taken by its channel yet: slack: away" in out
    assert "open episode: one, drift, announced since" in out
    assert "DAGs that are off: churn__drift_retrain" in out
    assert shown(capsys, "--check")[0] == 1


def test_as_json_with_everything_away(use, capsys):
    away = ServerFacts(address="a", why="WS-SERVING-001: no answer")
    use(NoAirflow("WS-TRANSPORT-010: no answer"), server_facts=away, mlflow_why="no answer within 3 s")
    code, out = shown(capsys, "--json")
    content = json.loads(out)
    assert code == 0
    codes = {one["code"] for one in content["findings"]}
    assert codes == {"WS-WATCH-019", "WS-WATCH-022", "WS-WATCH-033", "WS-WATCH-031"}
    (churn,) = content["models"]
    assert (churn["version"], churn["questions"], churn["dags_off"]) == ("1", None, None)
    assert all(one["next"] for one in content["findings"])


def test_airflow_that_lists_dags_and_then_hangs_holds_the_status_up_once(use, capsys):
    ended, asked = threading.Event(), []

    def airflow(request):
        asked.append(request.url.path)
        if request.url.path.endswith("/token"):
            return httpx.Response(201, json={"access_token": "t"})
        if request.url.path.endswith("/dags"):
            ids = [*INSTALLATION_DAGS, *(f"churn__{suffix}" for suffix in ("monitor", "drift_retrain"))]
            listed = [{"dag_id": one, "is_paused": one == "churn__monitor"} for one in ids]
            return httpx.Response(200, json={"dags": listed, "total_entries": len(listed)})
        ended.wait(60)
        return httpx.Response(503)

    api = AirflowApi("http://127.0.0.1:1", user="admin", password="secret", pauses=())
    api._client = httpx.Client(base_url=api.url, transport=httpx.MockTransport(airflow))
    use(RestAirflow(api, seconds=0.3, together=2.0))
    try:
        code, out = shown(capsys, "--json")
    finally:
        ended.set()
    content = json.loads(out)
    assert code == 0
    assert len(asked) == 3, "login, list, one that hangs"
    assert any("WS-TRANSPORT-010" in one and "dagRuns" in one for one in content["not_asked"])
    (churn,) = content["models"]
    assert churn["questions"] is None
    assert "churn__monitor" in churn["dags_off"], "what it listed is known"
    assert any(one["code"] == "WS-WATCH-031" for one in content["findings"])


@pytest.mark.parametrize("url", ["http://[::1", "http://a:port", "nowhere"])
def test_an_address_of_airflow_that_is_none_ends_no_status(home, monkeypatch, capsys, url):
    ports = world_of(1, surroundings=FakeSurroundings())
    monkeypatch.setattr(command, "open_ports", lambda settings: ports)
    monkeypatch.setenv("WINDSOCK_AIRFLOW_URL", url)
    monkeypatch.setenv("WINDSOCK_AIRFLOW_USER", "admin")
    monkeypatch.setenv("WINDSOCK_AIRFLOW_PASSWORD", "secret")
    code, out = shown(capsys)
    assert code == 0
    assert "WS-WATCH-033" in out
    assert "WS-TRANSPORT-010" in out
    assert "churn: version 1 serves" in out


def test_a_database_that_does_not_answer(use, capsys, monkeypatch):
    ports = use()

    def away(*_, **__):
        raise DatabaseUnavailableError("no answer")

    monkeypatch.setattr(ports.ledger, "models", away)
    monkeypatch.setattr(ports.monitor, "alerts", away)
    code, out = shown(capsys)
    assert code == 0
    assert "[CRITICAL] WS-WATCH-034 the control database does not answer" in out


def test_what_is_over_by_now_is_no_finding_though_the_table_has_it(use, capsys):
    ports = use()
    ports.monitor.put_alert(row(ports, key="watch:mlflow", code="WS-WATCH-022"))
    assert "findings: none" in shown(capsys)[1]


def test_a_watchdog_that_does_not_look(use, capsys):
    ports = use()
    late = ports.now() - timedelta(minutes=20)
    ports.monitor.put_alert(
        row(ports, key=LOOKED, state="resolved", severity="none", first_at=late, last_at=late)
    )
    code, out = shown(capsys)
    assert "WS-WATCH-032 the watchdog does not look" in out
    assert "20 min ago, limit: 6 min" in out


def test_a_broken_file_and_a_model_that_nobody_knows(use, home, capsys):
    use()
    (home / "include" / "models" / "fraud.yaml").write_text("model: [\n")
    assert "WS-WATCH-026" in shown(capsys)[1]
    assert run(["status", "nobody"]) == 1
    assert "WS-SPEC-007" in capsys.readouterr().err


def test_several_models_are_a_table(use, home, capsys):
    use()
    (home / "include" / "models" / "fraud.yaml").write_text("model: {name: fraud, owner: bob}\n")
    out = shown(capsys)[1]
    assert [line.split()[:2] for line in out.splitlines()[-2:]] == [["churn", "1"], ["fraud", "none"]]


def test_without_any_installation(home, monkeypatch, capsys):
    monkeypatch.setenv("WINDSOCK_HOME", str(home / "elsewhere"))
    assert run(["status"]) == 1
    assert "WS-SETTINGS-009" in capsys.readouterr().err
