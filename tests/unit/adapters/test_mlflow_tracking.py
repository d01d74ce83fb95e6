from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.mlflow_contract import OnSqlite, TrackerContract, with_model
from windsock.adapters.mlflow_tracking import MlflowTracker

PLUGINS = Path(__file__).parents[3] / "plugins"
TESTS = Path(__file__).parents[2]


class TestTrackerOnSqlite(OnSqlite, TrackerContract):
    def test_artifacts_lie_beside_the_database_and_nothing_elsewhere(
        self, tracker, client, model, tmp_path, monkeypatch
    ):
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        run = client.get_run(tracker.record_run(with_model(model)))
        assert list(here.iterdir()) == []
        assert run.info.artifact_uri == str(tmp_path / "mlartifacts" / model / run.info.run_id / "artifacts")
        assert (tmp_path / "mlartifacts" / model / "models").is_dir()

    def test_the_state_of_mlflow_in_this_process_is_left_alone(self, tracker, model):
        import mlflow

        before = mlflow.get_tracking_uri(), mlflow.get_registry_uri(), mlflow.active_run()
        tracker.record_run(with_model(model))
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), mlflow.active_run()) == before
        assert "MLFLOW_TRACKING_URI" not in os.environ

    @pytest.mark.slow
    def test_processes_at_once_write_their_runs_into_a_fresh_database(self, tmp_path):
        code = (
            "import sys; from pathlib import Path\n"
            "from support.mlflow_contract import make_draft\n"
            "from windsock.adapters.mlflow_tracking import MlflowTracker\n"
            "home, key = Path(sys.argv[1]), sys.argv[2]\n"
            "tracker = MlflowTracker(f'sqlite:///{home}/mlflow.db', home)\n"
            "print(tracker.record_run(make_draft('churn', key=key)))\n"
        )
        env = {**os.environ, "PYTHONPATH": f"{PLUGINS}{os.pathsep}{TESTS}"}
        keys = ("a", "b", "c", "c")
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path), key],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=env,
            )
            for key in keys
        ]
        answers = [process.communicate() for process in started]
        assert [process.returncode for process in started] == [0] * 4, answers
        assert [errors for _, errors in answers] == [""] * 4
        a, b, c, again = (answer.strip() for answer, _ in answers)
        assert len({a, b, c}) == 3
        assert again == c


def tracker_at(uri: str, ui_url: str | None = None) -> MlflowTracker:
    return MlflowTracker(uri, Path("/nowhere"), ui_url)


@pytest.mark.parametrize(
    ("uri", "ui_url", "base"),
    [
        ("http://127.0.0.1:5000", None, "http://127.0.0.1:5000"),
        ("http://mlflow:5000/", None, "http://mlflow:5000"),
        ("https://me:secret@mlflow.company.com/ml/", None, "https://mlflow.company.com/ml"),
        ("sqlite:////home/mlflow.db", "http://127.0.0.1:5001/", "http://127.0.0.1:5001"),
        ("http://inside:5000", "https://outside.company.com", "https://outside.company.com"),
    ],
)
def test_links_lead_to_the_pages_without_a_password(uri, ui_url, base):
    tracker = tracker_at(uri, ui_url)
    assert tracker.run_link("churn", "r1") == f"{base}/#/runs/r1"
    assert tracker.version_link("churn", "7") == f"{base}/#/models/churn/versions/7"


def test_without_a_web_address_there_are_no_links():
    tracker = tracker_at("sqlite:////home/mlflow.db")
    assert tracker.run_link("churn", "r1") is None
    assert tracker.version_link("churn", "7") is None


def test_the_pages_address_is_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("WINDSOCK_TRACKING_UI_URL", "http://127.0.0.1:5001")
    assert (
        tracker_at("sqlite:////home/mlflow.db").run_link("churn", "r1") == "http://127.0.0.1:5001/#/runs/r1"
    )
