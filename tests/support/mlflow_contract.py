"""What the tracker and the registry hold, on SQLite and on a server alike. Subclasses give the fixtures.

A model's name is made up in each test, so that tests share one MLflow without meeting.
"""

from __future__ import annotations

import atexit
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

from support.builders import digest, make_snapshot
from windsock.adapters.installation import Installation
from windsock.adapters.mlflow_client import ping
from windsock.adapters.mlflow_owner import BUNDLE_TAG, OWNER_TAG
from windsock.adapters.mlflow_registry import MlflowRegistry
from windsock.adapters.mlflow_tracking import MlflowTracker
from windsock.adapters.signing import create_keys
from windsock.exceptions import (
    ForeignModelError,
    MissingModelError,
    SettingsError,
    TrackingRefusedError,
    TrackingUnavailableError,
)
from windsock.ports import ModelAbout, ParentDraft, RunDraft, TrialDraft
from windsock.records import ColumnKind, InputField
from windsock.spec import CandidateBlock
from windsock.training.estimators import build_pipeline
from windsock.training.preprocessing import to_features

FIELDS = (
    InputField(name="spend", kind=ColumnKind.NUMBER),
    InputField(name="plan", kind=ColumnKind.CATEGORY),
    InputField(name="joined", kind=ColumnKind.DATETIME),
)


def example() -> pd.DataFrame:
    """Return made-up rows as the pipeline sees them."""
    rows = pd.DataFrame(
        {
            "spend": [1.0, np.nan, 3.0, 4.0] * 15,
            "plan": np.array(["a", "b", np.nan, "b"] * 15, dtype=object),
            "joined": pd.to_datetime(["2026-01-01", None, "2026-02-03", "2026-03-04"] * 15),
        }
    )
    return to_features(rows, FIELDS)


def fitted(estimator: str = "logistic_regression") -> Any:
    """Return a small fitted pipeline that answers with words."""
    features = example()
    pipeline = build_pipeline(features, FIELDS, CandidateBlock(estimator=estimator), "classification")
    return pipeline.fit(features, np.array(["no", "yes", "yes", "no"] * 15, dtype=object))


def made_installation(keys_dir: Path) -> Installation:
    """Return an installation with keys of its own."""
    return Installation(keys_dir if keys_dir.exists() else create_keys(keys_dir))


def make_draft(model: str, **fields: Any) -> RunDraft:
    """Return a whole run of a model; its key is the model's own."""
    made: dict[str, Any] = {
        "key": digest("c"),
        "model": model,
        "run_name": f"{model} logistic_regression",
        "params": {"estimator": "logistic_regression", "seed": "42"},
        "metrics": {"cv_roc_auc_mean": 0.81, "cv_roc_auc_sd": 0.02},
        "tags": {"windsock.key": digest("c"), "windsock.owner": "ds@company.com"},
        "files": {"training/profile.json": b"{}", "card.md": b"# Card"},
        "dataset": make_snapshot(digest=digest("1")),
        "bundle_uri": "memory://bundles/1",
    }
    return RunDraft(**{**made, **fields})


def with_model(model: str, **fields: Any) -> RunDraft:
    """Return a run with a pipeline."""
    return make_draft(model, pipeline=fitted(), example=example().head(3), **fields)


def runs_of(client: Any, model: str) -> list[Any]:
    """Return a model's runs in MLflow that are not deleted."""
    experiment = client.get_experiment_by_name(model)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


@cache
def migrated_database() -> Path:
    """Return an MLflow database of SQLite whose tables are made once for all tests, to be copied."""
    home = Path(mkdtemp(prefix="windsock-mlflow-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    file = home / "mlflow.db"
    ping(f"sqlite:///{file}", home)
    return file


class OnSqlite:
    """An MLflow on a fresh SQLite file for each test."""

    @pytest.fixture
    def tracking_uri(self, tmp_path: Path) -> str:
        shutil.copy(migrated_database(), tmp_path / "mlflow.db")
        return f"sqlite:///{tmp_path}/mlflow.db"


class Contract:
    """A subclass gives the fixture ``tracking_uri``."""

    @pytest.fixture
    def tracker(self, tracking_uri: str, tmp_path: Path) -> MlflowTracker:
        return MlflowTracker(tracking_uri, tmp_path)

    @pytest.fixture
    def registry(self, tracking_uri: str, tmp_path: Path) -> MlflowRegistry:
        return MlflowRegistry(tracking_uri, tmp_path, made_installation(tmp_path / "keys"))

    @pytest.fixture
    def client(self, tracking_uri: str) -> Any:
        """MLflow's own client."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri, tracking_uri)

    @pytest.fixture
    def model(self) -> str:
        return f"churn_{uuid4().hex[:12]}"


class TrackerContract(Contract):
    """The tracker's promises."""

    def test_a_run_holds_all_of_its_draft(self, tracker: MlflowTracker, client: Any, model: str) -> None:
        run_id = tracker.record_run(make_draft(model))
        run = client.get_run(run_id)
        assert run.info.status == "FINISHED"
        assert run.info.run_name == f"{model} logistic_regression"
        assert run.data.params == {"estimator": "logistic_regression", "seed": "42"}
        assert run.data.metrics == {"cv_roc_auc_mean": 0.81, "cv_roc_auc_sd": 0.02}
        assert run.data.tags["windsock.key"] == digest("c")
        assert run.data.tags["windsock.owner"] == "ds@company.com"
        assert run.data.tags["windsock.bundle_uri"] == "memory://bundles/1"
        files = {file.path for top in ("", "training") for file in client.list_artifacts(run_id, top)}
        assert {"card.md", "training/profile.json"} <= files
        dataset = run.inputs.dataset_inputs[0]
        assert (dataset.dataset.name, dataset.dataset.digest) == ("churn", digest("1")[:36])
        assert digest("1") in dataset.dataset.source
        assert dataset.tags[0].value == "training"

    def test_a_run_holds_its_model(self, tracker: MlflowTracker, client: Any, model: str) -> None:
        run = client.get_run(tracker.record_run(with_model(model)))
        (output,) = run.outputs.model_outputs
        logged = client.get_logged_model(output.model_id)
        assert (logged.name, str(logged.status), logged.source_run_id) == ("model", "READY", run.info.run_id)
        assert logged.tags["windsock.key"] == digest("c")
        files = {file.path for file in client.list_logged_model_artifacts(logged.model_id)}
        assert {"MLmodel", "model.skops", "input_example.json", "requirements.txt"} <= files

    def test_the_same_key_is_one_run(self, tracker: MlflowTracker, client: Any, model: str) -> None:
        draft = with_model(model)
        run_id = tracker.record_run(draft)
        before = client.get_run(run_id).to_dictionary()
        assert tracker.record_run(draft) == run_id
        assert len(runs_of(client, model)) == 1
        assert client.get_run(run_id).to_dictionary() == before

    def test_runs_are_told_with_what_retention_asks(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        run_id = tracker.record_run(make_draft(model, bundle_uri="memory://bundles/x/1"))
        child = client.create_run(
            client.get_experiment_by_name(model).experiment_id, tags={"mlflow.parentRunId": run_id}
        ).info.run_id
        seen = {run.run_id: run for run in tracker.tracked_runs(model)}
        assert set(seen) == {run_id, child}
        own = seen[run_id]
        assert (own.key, own.parent, own.bundle_uri) == (digest("c"), "", "memory://bundles/x/1")
        assert (own.is_open, own.being_removed) == (False, False)
        assert (seen[child].key, seen[child].parent, seen[child].is_open) == ("", run_id, True)
        assert tracker.tracked_runs(f"{model}_another") == ()

    def test_a_removed_run_says_why_and_its_files_are_gone(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        run_id = tracker.record_run(with_model(model))
        stays = tracker.record_run(with_model(model, key=digest("d")))
        (output,) = client.get_run(run_id).outputs.model_outputs
        tracker.mark_for_removal(run_id, "by retention on 2026-05-01, policy 90 days")
        assert {run.run_id for run in tracker.tracked_runs(model) if run.being_removed} == {run_id}
        assert tracker.remove_run(run_id) > 1000
        removed = client.get_run(run_id)
        assert removed.info.lifecycle_stage == "deleted"
        assert removed.data.tags["windsock.removed"] == "by retention on 2026-05-01, policy 90 days"
        assert client.list_artifacts(run_id) == []
        experiment = [removed.info.experiment_id]
        models = {one.model_id for one in client.search_logged_models(experiment)}
        assert output.model_id not in models
        assert len(models) == 1
        assert [run.run_id for run in tracker.tracked_runs(model)] == [stays]
        assert client.list_artifacts(stays) != []
        tracker.mark_for_removal(run_id, "again")
        assert tracker.remove_run(run_id) == 0
        assert tracker.record_run(with_model(model)) != run_id

    def test_a_removal_that_was_killed_goes_on(
        self, tracker: MlflowTracker, client: Any, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        def kill(*arguments: Any) -> None:
            raise Killed

        run_id = tracker.record_run(with_model(model))
        tracker.mark_for_removal(run_id, "by retention")
        for name in ("delete_logged_model", "delete_run"):
            with monkeypatch.context() as patch:
                patch.setattr(type(client), name, kill)
                with pytest.raises(Killed):
                    tracker.remove_run(run_id)
            (left,) = tracker.tracked_runs(model)
            assert (left.run_id, left.being_removed) == (run_id, True)
        tracker.remove_run(run_id)
        assert tracker.tracked_runs(model) == ()

    def test_candidates_lie_beneath_the_run_of_their_retrain(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        parent = ParentDraft(key="retrain-1", run_name=f"{model} retrain", tags={"windsock.kind": "retrain"})
        made = [
            tracker.record_run(make_draft(model, key=key, run_name=key, parent=parent))
            for key in (digest("c"), digest("d"))
        ]
        above = {client.get_run(run_id).data.tags["mlflow.parentRunId"] for run_id in made}
        (run,) = [run for run in runs_of(client, model) if run.info.run_id not in made]
        assert above == {run.info.run_id}
        assert (run.info.status, run.info.run_name) == ("FINISHED", f"{model} retrain")
        assert run.data.tags["windsock.kind"] == "retrain"
        for _ in range(2):
            tracker.add_to_parent(made[1], metrics={"held_out_roc_auc": 0.8}, tags={"windsock.gate": "keep"})
        run = client.get_run(run.info.run_id)
        assert (run.data.metrics, run.data.tags["windsock.gate"]) == ({"held_out_roc_auc": 0.8}, "keep")
        assert len(client.get_metric_history(run.info.run_id, "held_out_roc_auc")) == 1
        assert tracker.open_runs(model) == ()

    def test_a_finished_run_of_before_makes_no_parent(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        run_id = tracker.record_run(make_draft(model))
        again = make_draft(model, parent=ParentDraft(key="retrain-1", run_name="retrain"))
        assert tracker.record_run(again) == run_id
        tracker.add_to_parent(run_id, metrics={"a": 1.0}, tags={})
        assert len(runs_of(client, model)) == 1

    def test_a_retrain_whose_run_was_deleted_gets_another(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        parent = ParentDraft(key="retrain-1", run_name="retrain")
        first = tracker.record_run(make_draft(model, parent=parent))
        client.delete_run(client.get_run(first).data.tags["mlflow.parentRunId"])
        tracker.add_to_parent(first, metrics={"a": 1.0}, tags={})
        second = tracker.record_run(make_draft(model, key=digest("d"), parent=parent))
        above = client.get_run(client.get_run(second).data.tags["mlflow.parentRunId"])
        assert above.info.lifecycle_stage == "active"

    def test_trials_lie_beneath_their_candidate_once(
        self, tracker: MlflowTracker, client: Any, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trials = (
            TrialDraft(number=0, rank=1, params={"C": "1"}, metrics={"cv_roc_auc_mean": 0.7}),
            TrialDraft(number=1, rank=0, params={"C": "2"}, metrics={"cv_roc_auc_mean": 0.8}),
            TrialDraft(number=2, rank=3, params={"C": "-1"}, error="ValueError"),
        )
        draft = make_draft(model, trials=trials, run_name="run")
        honest = type(client).set_terminated
        ended = []

        def die(self: Any, *args: Any, **kwargs: Any) -> Any:
            ended.append(args)
            if len(ended) == 2:
                raise KeyboardInterrupt
            return honest(self, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(type(client), "set_terminated", die)
            with pytest.raises(KeyboardInterrupt):
                tracker.record_run(draft)
        run_id = tracker.record_run(draft)
        beneath = [run for run in runs_of(client, model) if run.info.run_id != run_id]
        shown = sorted((run.info.run_name, run.info.status) for run in beneath)
        assert shown == [
            ("run, trial 0", "FINISHED"),
            ("run, trial 1", "FINISHED"),
            ("run, trial 2", "FAILED"),
        ]
        assert {run.data.tags["mlflow.parentRunId"] for run in beneath} == {run_id}
        assert {run.data.tags["windsock.kind"] for run in beneath} == {"trial"}
        best = next(run for run in beneath if run.info.run_name == "run, trial 1")
        assert (best.data.params, best.data.metrics) == ({"C": "2"}, {"cv_roc_auc_mean": 0.8})

    def test_only_the_best_of_many_trials_become_runs(
        self, tracker: MlflowTracker, client: Any, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("windsock.adapters.mlflow_nested.MOST_TRIALS", 2)
        trials = [TrialDraft(number=number, rank=4 - number, metrics={"a": 1.0}) for number in range(4)]
        run_id = tracker.record_run(make_draft(model, trials=trials, run_name="run"))
        names = {run.info.run_name for run in runs_of(client, model) if run.info.run_id != run_id}
        assert names == {"run, trial 2", "run, trial 3"}

    def test_a_file_of_a_run_has_a_page(
        self, tracker: MlflowTracker, client: Any, tracking_uri: str, tmp_path: Path, model: str
    ) -> None:
        run_id = tracker.record_run(make_draft(model))
        experiment = client.get_run(run_id).info.experiment_id
        shown = MlflowTracker(tracking_uri, tmp_path, ui_url="http://host:5000/mlflow/")
        assert shown.artifact_link(model, run_id, "drift/a b.html") == (
            f"http://host:5000/mlflow/#/experiments/{experiment}/runs/{run_id}/artifacts/drift/a%20b.html"
        )

    def test_tags_of_a_run_that_is_gone_are_none(self, tracker: MlflowTracker, model: str) -> None:
        run_id = tracker.record_run(make_draft(model))
        assert tracker.tags(run_id)["windsock.owner"] == "ds@company.com"
        assert tracker.tags("0" * 32) == {}

    def test_other_keys_are_other_runs(self, tracker: MlflowTracker, client: Any, model: str) -> None:
        first = tracker.record_run(make_draft(model))
        second = tracker.record_run(make_draft(model, key=digest("d")))
        assert {run.info.run_id for run in runs_of(client, model)} == {first, second}

    @pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
    def test_an_open_or_failed_run_is_gone_on_with(
        self, tracker: MlflowTracker, client: Any, model: str, status: str
    ) -> None:
        draft = make_draft(model)
        run_id = tracker.record_run(make_draft(model, params={"seed": "42"}, metrics={}, files={}))
        client.update_run(run_id, status=status)
        assert tracker.record_run(draft) == run_id
        run = client.get_run(run_id)
        assert (run.info.status, len(runs_of(client, model))) == ("FINISHED", 1)
        assert run.data.params == dict(draft.params)
        assert run.data.metrics == dict(draft.metrics)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "call",
        [
            "create_experiment",
            "create_run",
            "log_batch",
            "log_inputs",
            "log_artifacts",
            "create_logged_model",
            "log_outputs",
            "log_model_artifacts",
            "finalize_logged_model",
            "set_terminated",
        ],
    )
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_killed_at_any_call_a_second_try_ends_in_the_same_state(
        self,
        tracker: MlflowTracker,
        client: Any,
        model: str,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
        moment: str,
    ) -> None:
        from mlflow import MlflowClient

        class Killed(BaseException):
            pass

        honest = getattr(MlflowClient, call)

        def die(*args: Any, **kwargs: Any) -> Any:
            if moment == "after":
                honest(*args, **kwargs)
            raise Killed

        draft = with_model(model)
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, call, die)
            with pytest.raises(Killed):
                tracker.record_run(draft)
        run_id = tracker.record_run(draft)
        (run,) = runs_of(client, model)
        assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
        assert run.data.params == dict(draft.params)
        assert run.data.metrics == dict(draft.metrics)
        (output,) = run.outputs.model_outputs
        (logged,) = client.search_logged_models([run.info.experiment_id])
        assert (logged.model_id, str(logged.status)) == (output.model_id, "READY")
        for name in draft.metrics:
            assert len(client.get_metric_history(run_id, name)) == 1

    def test_of_two_runs_of_a_key_the_older_stands(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        experiment = client.create_experiment(model)
        made = [
            client.create_run(experiment, start_time=time, tags={"windsock.key": digest("c")}).info.run_id
            for time in (2_000, 1_000, 3_000)
        ]
        assert tracker.record_run(make_draft(model)) == made[1]
        assert [run.info.run_id for run in runs_of(client, model)] == [made[1]]

    def test_of_two_runs_of_a_key_a_finished_one_stands(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        run_id = tracker.record_run(make_draft(model))
        experiment = client.get_experiment_by_name(model).experiment_id
        client.create_run(experiment, start_time=1_000, tags={"windsock.key": digest("c")})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(client), "log_batch", None)  # nothing is to be written any more
            assert tracker.record_run(make_draft(model)) == run_id
        assert [run.info.run_id for run in runs_of(client, model)] == [run_id]

    @pytest.mark.parametrize("call", ["log_batch", "log_inputs", "log_outputs", "set_terminated"])
    def test_a_run_that_a_twin_deletes_meanwhile_is_given_up_for_the_twin_s(
        self, tracker: MlflowTracker, client: Any, model: str, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        honest, older = getattr(type(client), call), []

        def overtaken(self: Any, run_id: str, *args: Any, **kwargs: Any) -> Any:
            if not older:
                experiment = client.get_experiment_by_name(model).experiment_id
                tags = {"windsock.key": digest("c")}
                older.append(client.create_run(experiment, start_time=1_000, tags=tags).info.run_id)
                client.delete_run(run_id)
            return honest(self, run_id, *args, **kwargs)

        monkeypatch.setattr(type(client), call, overtaken)
        assert tracker.record_run(with_model(model)) == older[0]
        (run,) = runs_of(client, model)
        assert (run.info.run_id, run.info.status) == (older[0], "FINISHED")

    def test_of_two_models_of_a_run_one_stands(self, tracker: MlflowTracker, client: Any, model: str) -> None:
        draft = with_model(model)
        run = client.get_run(tracker.record_run(make_draft(model)))
        for _ in range(2):
            client.create_logged_model(run.info.experiment_id, name="model", source_run_id=run.info.run_id)
        client.update_run(run.info.run_id, status="FAILED")
        tracker.record_run(draft)
        (logged,) = client.search_logged_models([run.info.experiment_id])
        assert str(logged.status) == "READY"

    def test_a_deleted_experiment_is_restored(self, tracker: MlflowTracker, client: Any, model: str) -> None:
        client.delete_experiment(client.create_experiment(model))
        assert tracker.record_run(make_draft(model))

    def test_adding_twice_is_adding_once(self, tracker: MlflowTracker, client: Any, model: str) -> None:
        run_id = tracker.record_run(make_draft(model))
        added = {
            "metrics": {"roc_auc": 0.8},
            "tags": {"windsock.gate": "promote"},
            "files": {"roc.png": b"x"},
        }
        tracker.add_to_run(run_id, **added)
        before = client.get_run(run_id).to_dictionary()
        tracker.add_to_run(run_id, **added)
        assert client.get_run(run_id).to_dictionary() == before
        assert before["info"]["status"] == "FINISHED"
        assert before["data"]["metrics"]["roc_auc"] == 0.8
        assert len(client.get_metric_history(run_id, "roc_auc")) == 1
        assert "roc.png" in {file.path for file in client.list_artifacts(run_id)}

    def test_a_new_value_of_a_metric_is_the_one_that_shows(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        run_id = tracker.record_run(make_draft(model))
        for value in (0.9, 0.7):
            tracker.add_to_run(run_id, metrics={"roc_auc": value}, tags={}, files={})
        assert client.get_run(run_id).data.metrics["roc_auc"] == 0.7

    def test_hundreds_of_values_fit(self, tracker: MlflowTracker, client: Any, model: str) -> None:
        many = {f"value_{number}": number for number in range(230)}
        run_id = tracker.record_run(
            make_draft(
                model,
                params={name: str(value) for name, value in many.items()} | {"long": "x" * 9_000},
                metrics={name: float(value) for name, value in many.items()},
                tags={name: str(value) for name, value in many.items()} | {"long": "x" * 9_000},
            )
        )
        data = client.get_run(run_id).data
        assert (len(data.params), len(data.metrics)) == (231, 230)
        assert data.params["long"].endswith("...")
        assert set(many) <= set(data.tags)

    def test_numbers_that_are_not_finite_are_said_and_left_out(
        self, tracker: MlflowTracker, client: Any, model: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        metrics = {"good": 1.0, "nan": float("nan"), "inf": float("inf")}
        run_id = tracker.record_run(make_draft(model, metrics=metrics))
        assert client.get_run(run_id).data.metrics == {"good": 1.0}
        assert caplog.text.count("WS-TRACKING-004") == 2

    def test_stale_runs_are_closed_and_no_others(
        self, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        finished = tracker.record_run(make_draft(model))
        experiment = client.get_experiment_by_name(model).experiment_id
        old, new = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)
        tagged = {"windsock.key": "other"}

        def begin(at: datetime, tags: dict[str, str]) -> str:
            return str(
                client.create_run(experiment, start_time=int(at.timestamp() * 1000), tags=tags).info.run_id
            )

        stale, fresh, foreign = begin(old, tagged), begin(new, tagged), begin(old, {})
        assert tracker.close_stale_runs([model, "nobody"], old + timedelta(hours=6)) == 1
        assert tracker.close_stale_runs([model, "nobody"], old + timedelta(hours=6)) == 0
        status = {run.info.run_id: run.info.status for run in runs_of(client, model)}
        assert status == {finished: "FINISHED", stale: "KILLED", fresh: "RUNNING", foreign: "RUNNING"}

    def test_a_run_that_is_not_there_is_refused_with_its_reason(self, tracker: MlflowTracker) -> None:
        with pytest.raises(SettingsError) as caught:
            tracker.add_to_run("0" * 32, metrics={"a": 1.0}, tags={}, files={})
        assert caught.value.code == "WS-TRACKING-003"
        assert "RESOURCE_DOES_NOT_EXIST" in caught.value.message

    @pytest.mark.parametrize("name", ["/etc/passwd", "../up.txt", "a/../../up.txt"])
    def test_artifacts_stay_in_their_run(self, tracker: MlflowTracker, model: str, name: str) -> None:
        with pytest.raises(ValueError, match="no path"):
            tracker.record_run(make_draft(model, files={name: b"x"}))

    def test_libraries_say_nothing(
        self, tracker: MlflowTracker, model: str, caplog: Any, capfd: Any, recwarn: Any
    ) -> None:
        with caplog.at_level(logging.INFO):
            tracker.record_run(with_model(model))
        assert [record.message for record in caplog.records if not record.name.startswith("windsock")] == []
        assert [str(warning.message) for warning in recwarn.list] == []
        assert capfd.readouterr() == ("", "")


class RegistryContract(Contract):
    """The registry's promises."""

    @pytest.fixture
    def run_id(self, tracker: MlflowTracker, model: str) -> str:
        return tracker.record_run(with_model(model))

    def test_a_version_names_its_run_model_and_tags(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        number = registry.register(
            model=model, key="k1", run_id=run_id, tags={"windsock.snapshot": "s"}, used={}
        )
        version = client.get_model_version(model, number)
        assert (number, version.status, version.run_id) == ("1", "READY", run_id)
        assert version.tags == {"windsock.snapshot": "s", "windsock.key": "k1"}
        logged = client.get_logged_model(client.get_run(run_id).outputs.model_outputs[0].model_id)
        assert version.source == logged.artifact_location
        assert f'"{model}"' in logged.tags["mlflow.modelVersions"]

    def test_model_and_version_say_whose_they_are_and_what_they_are_for(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        about = ModelAbout(
            owner="ds@company.com", tier="high", description="Who leaves.", version="Gate: promote"
        )
        given = {"model": model, "key": "k1", "run_id": run_id, "tags": {}, "used": {}}
        number = registry.register(**given, about=about)
        found, version = client.get_registered_model(model), client.get_model_version(model, number)
        assert (found.description, version.description) == ("Who leaves.", "Gate: promote")
        assert (found.tags["windsock.owner"], found.tags["windsock.tier"]) == ("ds@company.com", "high")
        registry.register(**given, about=ModelAbout(owner="ml@company.com", tier="high"))
        found = client.get_registered_model(model)
        assert (found.description, found.tags["windsock.owner"]) == ("Who leaves.", "ml@company.com")

    def test_the_version_loads_and_answers_like_the_pipeline(
        self,
        registry: MlflowRegistry,
        client: Any,
        model: str,
        run_id: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import mlflow

        number = registry.register(model=model, key="k1", run_id=run_id, tags={}, used={})
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            monkeypatch.setenv(name, client.tracking_uri)
        loaded = mlflow.sklearn.load_model(f"models:/{model}/{number}")
        info = mlflow.models.get_model_info(f"models:/{model}/{number}")
        np.testing.assert_array_equal(loaded.predict(example()), fitted().predict(example()))
        assert info.signature.inputs.input_names() == ["spend", "plan", "joined"]
        assert info.saved_input_example_info["type"] == "dataframe"

    def test_the_same_key_is_one_version(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        numbers = [
            registry.register(model=model, key="k1", run_id=run_id, tags={}, used={}) for _ in range(3)
        ]
        assert numbers == ["1", "1", "1"]
        assert registry.register(model=model, key="k2", run_id=run_id, tags={}, used={}) == "2"
        assert len(client.search_model_versions(f"name = '{model}'")) == 2

    def test_of_two_versions_of_a_key_the_lowest_stands(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        source = client.get_logged_model(client.get_run(run_id).outputs.model_outputs[0].model_id)
        client.create_registered_model(model, {OWNER_TAG: registry.owner.installation.identity})
        for key in ("other", "k1", "k1", *["other"] * 8, "k1"):
            client.create_model_version(
                model,
                source.artifact_location,
                run_id=run_id,
                model_id=source.model_id,
                tags={"windsock.key": key},
            )
        assert registry.register(model=model, key="k1", run_id=run_id, tags={}, used={}) == "2"
        found = client.search_model_versions(f"name = '{model}' AND tags.`windsock.key` = 'k1'")
        assert [version.version for version in found] in (["2"], [2])

    @pytest.mark.parametrize("call", ["create_registered_model", "create_model_version"])
    def test_a_version_whose_answer_was_lost_is_found(
        self,
        registry: MlflowRegistry,
        client: Any,
        model: str,
        run_id: str,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
    ) -> None:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        honest = getattr(MlflowClient, call)

        def lose_the_answer(*args: Any, **kwargs: Any) -> Any:
            honest(*args, **kwargs)
            raise MlflowException("API request failed with exception: connection reset")

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, call, lose_the_answer)
            if call == "create_registered_model":
                with pytest.raises(TrackingUnavailableError):
                    registry.register(model=model, key="k1", run_id=run_id, tags={}, used={})
            else:
                assert registry.register(model=model, key="k1", run_id=run_id, tags={}, used={}) == "1"
        assert registry.register(model=model, key="k1", run_id=run_id, tags={}, used={}) == "1"
        assert len(client.search_model_versions(f"name = '{model}'")) == 1

    def test_a_model_that_was_deleted_in_mlflow_is_numbered_on(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        for key, bundle in (("k1", "a"), ("k2", "b")):
            registry.register(model=model, key=key, run_id=run_id, tags={BUNDLE_TAG: bundle}, used={})
        client.delete_registered_model(model)
        used = {"1": {"a"}, "2": {"b"}, "word": {"c"}}
        new = {"model": model, "key": "k3", "run_id": run_id, "tags": {BUNDLE_TAG: "c"}}
        assert registry.register(**new, used=used) == "3"
        assert registry.register(**new, used=used) == "3"
        assert registry.register(**new, used={**used, "3": {"c"}}) == "3"
        (version,) = client.search_model_versions(f"name = '{model}'")
        assert (str(version.version), version.tags) == ("3", {BUNDLE_TAG: "c", "windsock.key": "k3"})
        logged = client.get_logged_model(client.get_run(run_id).outputs.model_outputs[0].model_id)
        assert '"version": "3"' in logged.tags["mlflow.modelVersions"].replace(
            '"version": 3', '"version": "3"'
        )

    def test_a_version_that_names_another_bundle_in_the_ledger_is_no_try_of_this_one(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        made = {"model": model, "run_id": run_id}
        registry.register(**made, key="k1", tags={BUNDLE_TAG: "a"}, used={})
        used = {"1": {"a"}}
        assert registry.register(**made, key="k1", tags={BUNDLE_TAG: "z"}, used=used) == "2"
        assert {str(one.version) for one in client.search_model_versions(f"name = '{model}'")} == {"1", "2"}
        assert registry.register(**made, key="k1", tags={BUNDLE_TAG: "a"}, used=used) == "1"

    def test_a_lower_number_that_was_never_used_is_found_again(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        made = {"model": model, "run_id": run_id}
        for key in ("k1", "k2"):
            registry.register(**made, key=key, tags={BUNDLE_TAG: key}, used={})
        assert registry.register(**made, key="k1", tags={BUNDLE_TAG: "k1"}, used={"2": {"k2"}}) == "1"

    @pytest.mark.parametrize("call", ["create_model_version", "delete_model_version"])
    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("number", [1, 2, 4])
    def test_killed_while_the_counter_is_raised_a_second_try_ends_the_same(
        self,
        registry: MlflowRegistry,
        client: Any,
        model: str,
        run_id: str,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
        moment: str,
        number: int,
    ) -> None:
        from mlflow import MlflowClient

        class Killed(BaseException):
            pass

        honest, calls = getattr(MlflowClient, call), []

        def die(*args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            if len(calls) < number:
                return honest(*args, **kwargs)
            if moment == "after":
                honest(*args, **kwargs)
            raise Killed

        used = {str(one): {f"b{one}"} for one in range(1, 4)}
        new = {"model": model, "key": "k", "run_id": run_id, "tags": {BUNDLE_TAG: "c"}, "used": used}
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, call, die)
            if call == "delete_model_version" and number == 4:
                registry.register(**new)
            else:
                with pytest.raises(Killed):
                    registry.register(**new)
        again = registry.register(**new)
        assert int(again) >= 4
        assert registry.register(**new) == again
        (version,) = client.search_model_versions(f"name = '{model}'")
        assert (str(version.version), version.tags["windsock.key"]) == (again, "k")

    def test_a_number_that_is_far_away_is_refused(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        with pytest.raises(TrackingRefusedError, match="1000000000") as caught:
            registry.register(model=model, key="k", run_id=run_id, tags={}, used={"1000000000": {"a"}})
        assert caught.value.code == "WS-TRACKING-009"
        assert client.search_model_versions(f"name = '{model}'") == []

    @pytest.fixture
    def other(self, tracking_uri: str, tmp_path: Path) -> MlflowRegistry:
        """Another installation with the same MLflow."""
        return MlflowRegistry(tracking_uri, tmp_path, made_installation(tmp_path / "other" / "keys"))

    def test_a_model_belongs_to_the_installation_that_made_it(
        self, registry: MlflowRegistry, other: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        new = {"model": model, "run_id": run_id, "tags": {BUNDLE_TAG: "a"}}
        registry.register(**new, key="k1", used={})
        registry.set_alias(model, "champion", "1")
        own = registry.owner.installation.identity
        assert client.get_registered_model(model).tags == {OWNER_TAG: own}
        for attempt in (
            lambda: other.register(**new, key="k1", used={"1": {"a"}}),
            lambda: other.register(**new, key="k2", used={}),
            lambda: other.claim(model, {"1": {"a"}}),
            lambda: other.set_alias(model, "champion", "1"),
        ):
            with pytest.raises(ForeignModelError, match=own[:12]) as caught:
                attempt()
            assert caught.value.code == "WS-TRACKING-008"
            assert OWNER_TAG in caught.value.next_action
        assert len(client.search_model_versions(f"name = '{model}'")) == 1
        registry.claim(model, {})
        assert registry.register(**new, key="k2", used={"1": {"a"}}) == "2"

    def test_a_model_from_before_is_claimed_by_who_knows_a_version(
        self, registry: MlflowRegistry, other: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        registry.register(model=model, key="k1", run_id=run_id, tags={BUNDLE_TAG: "a"}, used={})
        client.delete_registered_model_tag(model, OWNER_TAG)
        for used in ({}, {"1": {"b"}}, {"2": {"a"}}):
            with pytest.raises(ForeignModelError, match="names no installation") as caught:
                registry.claim(model, used)
            assert registry.owner.installation.identity in caught.value.next_action
        assert OWNER_TAG not in client.get_registered_model(model).tags
        registry.set_alias(model, "champion", "1")
        other.claim(model, {"1": {"a"}})
        assert client.get_registered_model(model).tags[OWNER_TAG] == other.owner.installation.identity
        with pytest.raises(ForeignModelError):
            registry.set_alias(model, "champion", "1")

    def test_an_empty_model_is_anybody_s_and_an_absent_one_nobody_s(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        registry.claim(model, {})
        client.create_registered_model(model)
        assert registry.register(model=model, key="k1", run_id=run_id, tags={}, used={}) == "1"
        assert client.get_registered_model(model).tags[OWNER_TAG] == registry.owner.installation.identity

    def test_a_new_key_goes_on_with_the_models_of_the_old_one(
        self, registry: MlflowRegistry, other: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        registry.register(model=model, key="k1", run_id=run_id, tags={BUNDLE_TAG: "a"}, used={})
        trusted = other.owner.installation.keys_dir / "trusted"
        trusted.mkdir()
        shutil.copy(registry.owner.installation.keys_dir / "signing.pub", trusted / "before.pub")
        with pytest.raises(
            ForeignModelError
        ):  # trusted, but another installation's: its ledger shows nothing
            other.claim(model, {"1": {"z"}})
        other.claim(model, {"1": {"a"}})
        assert client.get_registered_model(model).tags[OWNER_TAG] == other.owner.installation.identity

    def test_of_two_that_begin_at_once_one_owns_the_model(
        self, registry: MlflowRegistry, other: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        def attempt(one: MlflowRegistry) -> str | None:
            try:
                return one.register(model=model, key=str(id(one)), run_id=run_id, tags={}, used={})
            except ForeignModelError:
                return None

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(attempt, (registry, other)))
        assert sorted(map(str, found)) == ["1", "None"]
        winner = registry if found[0] else other
        assert client.get_registered_model(model).tags[OWNER_TAG] == winner.owner.installation.identity
        assert len(client.search_model_versions(f"name = '{model}'")) == 1

    def test_a_run_without_a_model_makes_no_version(
        self, registry: MlflowRegistry, tracker: MlflowTracker, client: Any, model: str
    ) -> None:
        run_id = tracker.record_run(make_draft(model))
        with pytest.raises(MissingModelError, match="force") as caught:
            registry.register(model=model, key="k1", run_id=run_id, tags={}, used={})
        assert caught.value.code == "WS-TRACKING-005"
        assert client.search_model_versions(f"name = '{model}'") == []

    def test_aliases_mirror_what_they_are_told(
        self, registry: MlflowRegistry, client: Any, model: str, run_id: str
    ) -> None:
        assert registry.alias(model, "champion") is None
        for key in ("k1", "k2"):
            registry.register(model=model, key=key, run_id=run_id, tags={}, used={})
        assert registry.alias(model, "champion") is None
        for version in ("1", "2", "2"):
            registry.set_alias(model, "champion", version)
            assert registry.alias(model, "champion") == version
        assert str(client.get_model_version_by_alias(model, "champion").version) == "2"

    def test_an_alias_on_a_version_that_is_not_there_is_refused(
        self, registry: MlflowRegistry, model: str, run_id: str
    ) -> None:
        registry.register(model=model, key="k1", run_id=run_id, tags={}, used={})
        with pytest.raises(SettingsError, match="RESOURCE_DOES_NOT_EXIST"):
            registry.set_alias(model, "champion", "9")
        assert registry.alias(model, "champion") is None
