from __future__ import annotations

import logging
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from support.builders import make_validation
from support.fakes import FakeBundles, fake_ports
from support.faults import Killed, killed_after
from windsock import __version__
from windsock.exceptions import DataRefusedError, StorageError, TrainingRefusedError, WindsockError
from windsock.ports import LoadedBundle
from windsock.records import ColumnKind, ColumnRole, DriftProfile, Status
from windsock.records.rows import held_out_mask
from windsock.spec import CandidateBlock
from windsock.training import train_model as module
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features
from windsock.training.train_model import train_model

REGRESSION = {"model": {"name": "churn", "task": "regression"}, "data": {"target": "price"}}
PRICE = {"kinds": {"price": ColumnKind.NUMBER}, "roles": {"price": ColumnRole.TARGET}}


def with_price(frame: pd.DataFrame) -> pd.DataFrame:
    price = 10 * frame["age"].fillna(45) + np.random.default_rng(0).normal(0, 5, len(frame))
    return frame.drop(columns="churned").assign(price=price)


def bundle_of(world, trained) -> LoadedBundle:
    return world.ports.bundles.load(trained.bundle_uri, trained.bundle_digest)


class TestWhatIsTrained:
    def test_the_record_says_what_was_done(self, world):
        world = world()
        trained = world.train(key="k")
        held_out = held_out_mask(world.frame, world.spec)
        assert (trained.model, trained.key, trained.snapshot_digest) == ("churn", "k", world.snapshot.digest)
        assert (trained.rows_train, trained.rows_held_out) == ((~held_out).sum(), held_out.sum())
        assert trained.classes == ("False", "True")
        assert trained.params["C"] == 1.0
        assert trained.params["max_iter"] == 1000
        assert 0.7 < trained.cross_validation.mean < trained.train_score < 0.95
        assert len(trained.cross_validation.folds) == 5
        assert type(trained).model_validate_json(trained.model_dump_json()) == trained

    def test_no_held_out_row_is_ever_fitted_on(self, world, monkeypatch):
        world = world()
        seen: set[int] = set()
        real = module.fit

        def spy(make, features, labels):
            seen.update(features["marker"].astype(int))
            return real(make, features, labels)

        frame = world.frame.assign(marker=np.arange(600.0))
        world = type(world)(frame, world.spec, world.snapshot, world.ports)
        from windsock.training import cross_validation

        monkeypatch.setattr(module, "fit", spy)
        monkeypatch.setattr(cross_validation, "fit", spy)
        column = world.snapshot.column("age").model_copy(update={"name": "marker"})
        snapshot = world.snapshot.model_copy(update={"columns": (*world.snapshot.columns, column)})
        world.ports.snapshots.stored[("churn", snapshot.digest)] = (snapshot, frame)
        train_model(replace(world, snapshot=snapshot).training(), world.ports, "k")
        held_out = set(np.flatnonzero(held_out_mask(frame, world.spec)))
        assert seen == set(range(600)) - held_out

    def test_the_bundle_answers_requests_of_its_schema(self, world):
        world = world()
        loaded = bundle_of(world, world.train())
        assert [field.name for field in loaded.schema.fields] == ["age", "visits", "member", "city", "joined"]
        assert (loaded.schema.classes, loaded.schema.positive) == ((False, True), True)
        request = {"age": 30, "visits": 3, "member": None, "city": "Atlantis", "joined": "2024-01-01"}
        assert answer(loaded.pipeline, to_features([request], loaded.schema.fields)).shape == (1, 2)
        assert len(loaded.golden.rows) == 20
        assert loaded.golden.tolerance == 1e-6
        assert set(loaded.manifest.versions) == {
            "windsock",
            "python",
            "numpy",
            "pandas",
            "scikit-learn",
            "scipy",
        }
        assert loaded.manifest.spec_digest == world.spec.content_digest()

    def test_the_same_key_on_a_fresh_machine_gives_the_same_model(self, world):
        one, other = world(), world()
        first, second = one.train("hist_gradient_boosting"), other.train("hist_gradient_boosting")
        assert first.cross_validation == second.cross_validation
        assert bundle_of(one, first).golden == bundle_of(other, second).golden

    @pytest.mark.parametrize("estimator", ["ridge", "hist_gradient_boosting", "random_forest"])
    def test_numbers_are_predicted(self, world, typed_rows, estimator):
        world = world(with_price(typed_rows()), **REGRESSION, **PRICE)
        trained = world.train(estimator)
        assert trained.cross_validation.metric == "r2"
        assert trained.cross_validation.mean > 0.5
        assert trained.classes == ()
        assert all(len(score) == 1 for score in bundle_of(world, trained).golden.scores)

    @pytest.mark.parametrize("estimator", ["logistic_regression", "hist_gradient_boosting", "random_forest"])
    def test_more_than_two_classes_are_told_apart(self, world, typed_rows, estimator):
        frame = typed_rows()
        frame["churned"] = pd.cut(
            frame["age"].fillna(45), [-np.inf, 38, 52, np.inf], labels=["young", "mid", "old"]
        ).astype(str)
        trained = world(frame, kinds={"churned": ColumnKind.CATEGORY}).train(estimator)
        assert trained.classes == ("mid", "old", "young")
        assert trained.cross_validation.mean > 0.8

    def test_a_search_finds_parameters_and_lists_its_trials(self, world):
        world = world()
        block = CandidateBlock(
            estimator="hist_gradient_boosting",
            params={"learning_rate": 0.05},
            search={"trials": 3, "minutes": 5},
        )
        trained = world.train(block)
        facts = bundle_of(world, trained).manifest.facts
        assert len(facts["trials"]) == 3
        assert facts["trials"][0]["params"] == {}
        assert trained.cross_validation.mean == max(trial["mean"] for trial in facts["trials"])
        assert trained.params["learning_rate"] == 0.05
        trials = world.ports.tracker.runs[trained.run_id].trials
        best = min(trials, key=lambda trial: trial.rank)
        assert sorted(trial.rank for trial in trials) == [0, 1, 2]
        assert best.metrics["cv_roc_auc_mean"] == trained.cross_validation.mean
        csv = world.ports.tracker.runs[trained.run_id].files["training/trials.csv"].decode().splitlines()
        assert csv[0] == "trial,l2_regularization,max_iter,max_leaf_nodes,min_samples_leaf,mean,sd,error"
        assert len(csv) == 4

    def test_time_orders_rows_and_folds(self, world, typed_rows):
        frame = typed_rows().assign(at=pd.date_range("2024-01-01", periods=600, freq="h"))
        shuffled = frame.sample(frac=1, random_state=1).reset_index(drop=True)
        made = {
            "kinds": {"at": ColumnKind.DATETIME},
            "roles": {"at": ColumnRole.EVENT_TIME},
            "data": {"event_time": "at"},
        }
        one, other = world(frame, **made), world(shuffled, **made)
        first, second = one.train(), other.train()
        assert bundle_of(one, first).manifest.facts["folds"] == "TimeSeriesSplit"
        assert first.cross_validation == second.cross_validation
        assert (first.rows_train, first.rows_held_out) == (480, 120)

    def test_rows_of_an_entity_stay_together(self, world, typed_rows):
        frame = typed_rows()
        frame["customer_id"] = [f"c{row % 200}" for row in range(600)]
        world = world(frame)
        assert bundle_of(world, world.train()).manifest.facts["folds"] == "StratifiedGroupKFold"

    def test_many_more_columns_are_no_trouble(self, world, typed_rows):
        generator = np.random.default_rng(1)
        wide = pd.DataFrame(generator.normal(size=(600, 60)), columns=[f"extra{n}" for n in range(60)])
        frame = pd.concat([typed_rows(), wide], axis=1)
        trained = world(frame, kinds=dict.fromkeys(wide.columns, ColumnKind.NUMBER)).train()
        assert trained.cross_validation.mean > 0.6


class TestTheRun:
    def test_parameters_metrics_tags_and_files(self, world):
        world = world()
        trained = world.train(key="k")
        run = world.ports.tracker.runs[trained.run_id]
        scores = trained.cross_validation
        assert run.key == "k"
        assert run.params["estimator.C"] == "1.0"
        assert run.params["folds"] == "StratifiedKFold"
        assert all(isinstance(value, str) for value in run.params.values())
        assert run.metrics["cv_roc_auc_mean"] == scores.mean
        assert run.metrics["cv_roc_auc_sd"] == scores.sd
        assert run.metrics["cv_roc_auc_fold_5"] == scores.folds[4]
        assert run.metrics["train_roc_auc"] == trained.train_score
        assert run.tags["windsock.key"] == "k"
        assert run.tags["windsock.bundle"] == trained.bundle_digest
        assert run.tags["windsock.snapshot"] == world.snapshot.digest
        assert run.dataset == world.snapshot
        assert run.bundle_uri == trained.bundle_uri
        profile = DriftProfile.model_validate_json(run.files["training/profile.json"])
        assert [column.name for column in profile.columns] == ["age", "visits", "member", "city", "joined"]
        assert profile.rows == trained.rows_train

    def test_candidates_of_the_same_rows_share_one_retrain(self, world):
        world = world()
        first, second = world.train(key="k"), world.train("hist_gradient_boosting", key="l")
        runs = [world.ports.tracker.runs[one.run_id] for one in (first, second)]
        (parent,) = {run.parent.key: run.parent for run in runs}.values()
        at = f"{first.trained_at:%Y-%m-%d %H:%M}"
        assert runs[0].run_name == f"churn logistic_regression {at}"
        assert parent.run_name == f"churn retrain {at}"
        assert (runs[0].tags["windsock.kind"], parent.tags["windsock.kind"]) == ("candidate", "retrain")
        for tags in (runs[0].tags, parent.tags):
            assert tags["windsock.owner"] == world.spec.model.owner
            assert tags["windsock.tier"] == "low"
            assert tags["windsock.code"] == __version__
            assert "windsock.version" not in tags

    def test_the_example_is_made_up(self, world):
        world = world()
        run = world.ports.tracker.runs[world.train().run_id]
        real = to_features(
            world.frame, world.ports.bundles.by_digest[run.tags["windsock.bundle"]].schema.fields
        )
        assert len(run.example) == 5
        assert list(run.example.columns) == list(real.columns)
        merged = run.example.dropna(how="all").merge(real, how="inner")
        assert merged.empty

    def test_the_log_tells_findings_and_no_row(self, world, caplog):
        with caplog.at_level(logging.INFO):
            world().train(CandidateBlock(estimator="logistic_regression", params={"max_iter": 2}))
        text = caplog.text
        assert {record.name for record in caplog.records} == {
            "windsock.training.train_model",
            "windsock.training.reference",
            "windsock.training.season_profile",
        }
        assert "WS-TRAINING-014: 6 times ConvergenceWarning while fitting" in text
        assert "folds: StratifiedKFold; roc_auc on the training rows" in text
        assert "Berlin" not in text
        assert len(caplog.records) <= 6

    def test_no_warning_of_a_library_gets_out(self, world):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("error", ConvergenceWarning)
            world().train(CandidateBlock(estimator="logistic_regression", params={"max_iter": 2}))


class TestCrashAndRetry:
    @pytest.mark.parametrize("after", [1, 2])
    def test_a_second_try_ends_in_the_same_state(self, world, after, monkeypatch):
        undisturbed, world = world(), world()
        expected = undisturbed.train(key="k")
        dying, _ = killed_after(world.ports, after)
        with pytest.raises(Killed):
            world.train(key="k", ports=dying)
        monkeypatch.setattr(module, "search", None)  # a second fit would fail
        trained = world.train(key="k")
        assert trained.model_dump(
            exclude={"fit_seconds", "trained_at", "bundle_digest"}
        ) == expected.model_dump(exclude={"fit_seconds", "trained_at", "bundle_digest"})
        ours, theirs = (
            world.ports.tracker.runs[trained.run_id],
            undisturbed.ports.tracker.runs[expected.run_id],
        )
        assert (ours.params, ours.metrics, ours.files) == (theirs.params, theirs.metrics, theirs.files)
        assert len(world.ports.tracker.runs) == len(world.ports.bundles.by_key) == 1

    def test_there_are_two_effects_to_die_after(self, world):
        world = world()
        counting, countdown = killed_after(world.ports, 99)
        world.train(ports=counting)
        assert countdown.seen == 2

    def test_storage_that_fails_is_no_refusal(self, world):
        class Full(FakeBundles):
            def put(self, draft):
                raise StorageError("disk full")

        with pytest.raises(StorageError):
            world(ports=fake_ports(bundles=Full())).train()


class TestRefusals:
    def refused(self, world, **how) -> WindsockError:
        with pytest.raises(WindsockError) as caught:
            world.train(**how)
        assert not world.ports.bundles.by_key
        assert not world.ports.tracker.runs
        return caught.value

    def test_another_snapshot_than_the_validated_one(self, world):
        world = world()
        step = world.training(validation=make_validation(snapshot_digest="f" * 64))
        with pytest.raises(
            DataRefusedError, match="validated was snapshot ffffffffffff, not 111111111111"
        ) as caught:
            train_model(step, world.ports, "k")
        assert caught.value.code == "WS-DATA-042"

    @pytest.mark.parametrize("status", [Status.FAIL, Status.ERROR, Status.INSUFFICIENT])
    def test_a_snapshot_that_did_not_pass(self, world, status):
        world = world()
        step = world.training(
            validation=make_validation(snapshot_digest=world.snapshot.digest, status=status)
        )
        with pytest.raises(DataRefusedError, match=f"is validated as {status.value}, not pass") as caught:
            train_model(step, world.ports, "k")
        assert caught.value.code == "WS-DATA-043"

    def test_one_class(self, world, typed_rows):
        error = self.refused(world(typed_rows().assign(churned=True)))
        assert (type(error), error.code) == (TrainingRefusedError, "WS-TRAINING-002")

    def test_too_few_rows_for_the_folds(self, world, typed_rows):
        assert self.refused(world(typed_rows(11))).code == "WS-TRAINING-003"

    @pytest.mark.parametrize(
        ("entity", "says"), [("everyone", "40 training rows and 0 held"), ("c1", "0 training rows and 40")]
    )
    def test_a_side_without_rows(self, world, typed_rows, entity, says):
        error = self.refused(world(typed_rows(40).assign(customer_id=entity)))
        assert error.code == "WS-TRAINING-008"
        assert says in error.message

    def test_no_feature(self, world, typed_rows):
        frame = typed_rows()[["customer_id", "churned"]]
        assert self.refused(world(frame)).code == "WS-TRAINING-004"

    def test_features_without_a_value(self, world, typed_rows):
        frame = typed_rows()[["customer_id", "age", "churned"]].assign(age=np.nan)
        assert self.refused(world(frame)).code == "WS-TRAINING-004"

    @pytest.mark.parametrize("value", [None, np.inf])
    def test_a_target_without_a_number(self, world, typed_rows, value):
        frame = with_price(typed_rows())
        frame.loc[np.flatnonzero(~held_out_mask(frame, world(typed_rows()).spec))[0], "price"] = value
        error = self.refused(world(frame, **REGRESSION, **PRICE), candidate="ridge")
        assert error.code == "WS-TRAINING-005"

    def test_an_unknown_parameter(self, world):
        candidate = CandidateBlock(estimator="logistic_regression", params={"depth": 3})
        assert self.refused(world(), candidate=candidate).code == "WS-TRAINING-022"

    def test_a_parameter_of_the_wrong_kind(self, world):
        candidate = CandidateBlock(estimator="logistic_regression", params={"C": "much"})
        error = self.refused(world(), candidate=candidate)
        assert error.code == "WS-TRAINING-010"
        assert "must be a float" in error.message

    def test_a_model_that_does_not_survive_being_stored(self, world):
        class Lossy(FakeBundles):
            def load(self, uri, digest):
                loaded = super().load(uri, digest)
                loaded.pipeline[-1].coef_ = loaded.pipeline[-1].coef_ * 1.01
                return loaded

        with pytest.raises(TrainingRefusedError, match="answers golden rows with a difference of") as caught:
            world(ports=fake_ports(bundles=Lossy())).train()
        assert caught.value.code == "WS-TRAINING-015"
