from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from support.mlflow_contract import OnSqlite, TrackerContract, runs_of, with_model
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


RECORDERS = """
import os, sys
from pathlib import Path
from support.mlflow_contract import make_draft
from windsock.adapters.mlflow_tracking import MlflowTracker
import mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store

home, model, keys = Path(sys.argv[1]), sys.argv[2], [int(end) for end in sys.argv[3:]]
children = []
for number, end in enumerate(keys):  # forked before anything is open, with all that is imported
    children.append(os.fork())
    if not children[-1]:
        break
else:
    for end in keys:
        os.close(end)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
tracker = MlflowTracker(f"sqlite:///{home}/mlflow.db", home)
print(number, "ready", flush=True)
for line in os.fdopen(end):
    print(number, tracker.record_run(make_draft(model, key=line.strip())), flush=True)
"""


class Recorders:
    """Processes that have imported all they need, and record runs at the same moment."""

    def __init__(self, home: Path, count: int, model: str = "churn") -> None:
        self.home, self.count, self.model = home, count, model

    def __enter__(self) -> Recorders:
        ends = [os.pipe() for _ in range(self.count)]
        reads = [read for read, _ in ends]
        self.keys = [os.fdopen(write, "w", buffering=1) for _, write in ends]
        self.process = subprocess.Popen(
            [sys.executable, "-c", RECORDERS, str(self.home), self.model, *map(str, reads)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=reads, start_new_session=True,
            env={**os.environ, "PYTHONPATH": f"{PLUGINS}{os.pathsep}{TESTS}"},
        )  # fmt: skip
        for read in reads:
            os.close(read)
        assert self._lines() == ["ready"] * self.count
        return self

    def record(self, *keys: str) -> list[str]:
        """Let each process record a run of its key; return the runs' ids."""
        for pipe, key in zip(self.keys, keys, strict=True):
            pipe.write(f"{key}\n")
        return self._lines()

    def _lines(self) -> list[str]:
        assert self.process.stdout is not None
        told = dict(self.process.stdout.readline().split() for _ in range(self.count))
        return [told[str(number)] for number in range(self.count)]

    def __exit__(self, *failure: object) -> None:
        for pipe in self.keys:
            pipe.close()
        try:
            ended = self.process.communicate(timeout=120)
            assert (self.process.returncode, *ended) == (0, "", "")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


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
