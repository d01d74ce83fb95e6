from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from windsock.adapters.old_logs import old_logs

MONTH_AGO = datetime.now(UTC) - timedelta(days=30)


@pytest.fixture
def home(tmp_path):
    made = {
        "logs/server.log": 40,
        "logs/server.log.1": 5,
        "logs/server.log.2": 40,
        "logs/notes.txt": 40,
        "airflow/logs/dag_id=a/run_id=1/task_id=b/attempt=1.log": 40,
        "airflow/logs/dag_id=a/run_id=2/task_id=b/attempt=1.log": 5,
        "airflow/airflow.db": 40,
    }
    for name, days in made.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("12345")
        os.utime(file, (time.time() - days * 86_400,) * 2)
    return tmp_path


def folders_of(home):
    return home / "logs", home / "airflow" / "logs"


def test_full_logs_and_logs_of_tasks_go_by_age(home):
    assert old_logs(*folders_of(home), MONTH_AGO, remove=False) == (2, 10)
    assert old_logs(*folders_of(home), MONTH_AGO, remove=True) == (2, 10)
    assert {file.name for file in (home / "logs").iterdir()} == {"notes.txt", "server.log", "server.log.1"}
    assert [file.name for file in (home / "airflow" / "logs" / "dag_id=a").iterdir()] == ["run_id=2"]
    assert (home / "airflow" / "airflow.db").exists()
    assert old_logs(*folders_of(home), MONTH_AGO, remove=True) == (0, 0)


def test_the_folders_themselves_stay(home):
    assert old_logs(*folders_of(home), datetime.now(UTC) + timedelta(days=1), remove=True) == (4, 20)
    assert list((home / "airflow" / "logs").iterdir()) == []


def test_a_home_without_logs_is_fine(tmp_path):
    assert old_logs(*folders_of(tmp_path / "nowhere"), MONTH_AGO, remove=True) == (0, 0)
