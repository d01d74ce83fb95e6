from __future__ import annotations

import os
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from support.mlflow_contract import OnSqlite, TrackerContract, make_draft, runs_of, with_model
from windsock.adapters.mlflow_tracking import MlflowTracker


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
        with Recorders(tmp_path, 4) as recorders:
            a, b, c, again = recorders.record("a", "b", "c", "c")
        assert len({a, b, c}) == 3
        assert again == c

    @pytest.mark.slow
    def test_processes_that_record_the_same_run_at_once_end_with_one(self, tracker, client, model, tmp_path):
        keys = [f"key {number}" for number in range(8)]
        with Recorders(tmp_path, 3, model) as recorders:
            told = [recorders.record(key, key, key) for key in keys]
        assert [len(set(ids)) for ids in told] == [1] * len(keys)
        runs = {run.info.run_id: run for run in runs_of(client, model)}
        assert set(runs) == {ids[0] for ids in told}
        assert {run.info.status for run in runs.values()} == {"FINISHED"}
        for run_id in runs:
            assert len(client.get_metric_history(run_id, "cv_roc_auc_mean")) == 1


def record_from(pipe: Connection, home: Path, model: str, said: Path) -> None:
    """Record a run of each key that comes, and send its id; what is printed goes to a file."""
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    tracker = MlflowTracker(f"sqlite:///{home}/mlflow.db", home)
    pipe.send("ready")
    for key in iter(pipe.recv, None):
        pipe.send(tracker.record_run(make_draft(model, key=key)))


class Recorders:
    """Processes that record runs at the same moment: forks with all that is imported."""

    def __init__(self, home: Path, count: int, model: str = "churn") -> None:
        self.home, self.count, self.model = home, count, model

    def __enter__(self) -> Recorders:
        import mlflow.store.model_registry.sqlalchemy_store
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

        context = get_context("fork")
        self.said = self.home / "said"
        self.pipes: list[Connection] = []
        self.processes = []
        for _ in range(self.count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=record_from, args=(theirs, self.home, self.model, self.said), daemon=True
            )
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)
        assert self._answers() == ["ready"] * self.count
        return self

    def record(self, *keys: str) -> list[str]:
        """Let each process record a run of its key; return the runs' ids."""
        for pipe, key in zip(self.pipes, keys, strict=True):
            pipe.send(key)
        return self._answers()

    def _answers(self) -> list[str]:
        return [pipe.recv() for pipe in self.pipes]

    def __exit__(self, *failure: object) -> None:
        try:
            for pipe, process in zip(self.pipes, self.processes, strict=True):
                pipe.send(None)
                process.join(120)
                assert process.exitcode == 0
            assert self.said.read_text() == ""
        finally:
            for process in self.processes:
                process.kill()


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
