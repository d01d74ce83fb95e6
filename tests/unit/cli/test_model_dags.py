from __future__ import annotations

import json
import os
from typing import Any

import pytest

from windsock.cli.app import run
from windsock.cli.stack_home import PASSWORDS
from windsock.locations import NOTE, process_start

GOOD = """\
model: {name: churn, owner: ann}
data: {source: data.csv, target: y}
training: {compute: cpu-medium}
"""
NAMES = ("churn__daily_retrain", "churn__monitor", "churn__rollback")


BY_HAND = "composed_by_hand"
"""A DAG that somebody wrote, with the model's tag."""


class FakeApi:
    """Airflow with the DAGs of one model; remembers what was switched."""

    def __init__(self, paused: dict[str, bool], pools: dict[str, int]) -> None:
        self.paused = paused
        self.slots = pools
        self.switched: list[tuple[str, bool]] = []

    def __enter__(self) -> FakeApi:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def dags_of(self, model: str) -> list[dict[str, Any]]:
        return [
            {"dag_id": name, "is_paused": state}
            for name, state in self.paused.items()
            if name.startswith(f"{model}__") or name == BY_HAND
        ]

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        return {"dag_id": dag_id, "is_paused": self.paused[dag_id]} if dag_id in self.paused else None

    def pools(self) -> dict[str, int]:
        return self.slots

    def set_paused(self, dag_id: str, paused: bool) -> None:
        self.switched.append((dag_id, paused))


@pytest.fixture
def home(tmp_path, monkeypatch):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text(GOOD, encoding="utf-8")
    (models.parent / "windsock.yaml").write_text("compute:\n  cpu-medium: {pool: training}\n")
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def use(home, monkeypatch):
    def start(*, pools: tuple[str, ...] = ("default_pool", "training"), **paused: bool) -> FakeApi:
        states = dict.fromkeys((*NAMES, BY_HAND), True) | {"windsock__watchdog": False, **paused}
        api = FakeApi(states, dict.fromkeys(pools, 2))
        monkeypatch.setattr("windsock.cli.models.running_airflow", lambda settings: api)
        return api

    return start


def test_all_of_a_model_is_switched_on(use, capsys):
    api = use(churn__monitor=False)
    assert run(["models", "on", "churn"]) == 0
    assert api.switched == [("churn__daily_retrain", False), ("churn__rollback", False)]
    assert capsys.readouterr().out.splitlines() == [
        "churn__daily_retrain: switched on",
        "churn__monitor: was on",
        "churn__rollback: switched on",
    ]


def test_and_off(use, capsys):
    api = use(churn__monitor=False)
    assert run(["models", "off", "churn"]) == 0
    assert api.switched == [("churn__monitor", True)]
    assert "churn__rollback: was off" in capsys.readouterr().out


def test_without_the_watchdog_nothing_would_start(use, capsys):
    api = use(windsock__watchdog=True)
    assert run(["models", "on", "churn"]) == 0
    assert ("windsock__watchdog", False) in api.switched
    assert "windsock__watchdog: switched on" in capsys.readouterr().out


def test_a_pool_that_does_not_exist_is_named_before_a_task_waits_in_it_for_ever(use, capsys):
    api = use(pools=("default_pool",))
    assert run(["models", "on", "churn"]) == 1
    assert api.switched == []
    shown = capsys.readouterr().err
    assert "WS-WATCH-003" in shown
    assert "airflow pools set training 2" in shown


def test_a_model_that_airflow_does_not_have(use, capsys):
    use()
    assert run(["models", "on", "pears"]) == 1
    assert "WS-SETTINGS-008" in capsys.readouterr().err


def test_where_no_stack_has_run_nothing_is_made(home, capsys):
    assert run(["models", "on", "churn"]) == 1
    assert "WS-SETTINGS-009" in capsys.readouterr().err
    assert not home.exists()


def test_the_login_of_the_stack_that_runs_is_found_by_its_home(home):
    from windsock.cli.running_airflow import running_airflow
    from windsock.settings import Settings

    file = home / "airflow" / PASSWORDS
    file.parent.mkdir(parents=True)
    file.write_text('{"admin": "word", "reviewer": "x", "second": "y"}', encoding="utf-8")
    note = {"stack_id": "x", "pid": os.getpid(), "begun": process_start(os.getpid())}
    (home / NOTE).write_text(json.dumps({**note, "airflow_url": "http://127.0.0.1:18999"}))
    (home / NOTE).chmod(0o600)
    with running_airflow(Settings.from_environment()) as api:
        assert (api.url, api.user, api.password) == ("http://127.0.0.1:18999", "admin", "word")


def test_a_dag_written_by_hand_is_left_as_it_is(use):
    api = use()
    assert run(["models", "on", "churn"]) == 0
    assert BY_HAND not in dict(api.switched)
