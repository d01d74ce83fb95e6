from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from windsock.records import Answer, ColumnKind, ColumnRole, DriftProfile, Status
from windsock.records.rows import held_out_mask
from windsock.statistics.estimates import (
    ESTIMATED,
    apply_calibration,
    apply_error_tree,
    calibrate,
    error_metrics,
)
from windsock.training import reference as module
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features
from windsock.training.reference import make_reference
from windsock.training.target import read_labels

REGRESSION = {"model": {"name": "churn", "task": "regression"}, "data": {"target": "price"}}
PRICE = {"kinds": {"price": ColumnKind.NUMBER}, "roles": {"price": ColumnRole.TARGET}}


def with_price(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows with a price that is harder to tell for old people."""
    age = frame["age"].fillna(45)
    noise = np.random.default_rng(0).normal(0, 1, len(frame)) * np.where(age > 50, 20, 2)
    return frame.drop(columns="churned").assign(price=10 * age + noise)


def with_three_classes(frame: pd.DataFrame) -> pd.DataFrame:
    cuts = [-np.inf, 38, 52, np.inf]
    return frame.assign(churned=pd.cut(frame["age"].fillna(45), cuts, labels=["a", "b", "c"]).astype(str))


def bundle_of(world, trained):
    return world.ports.bundles.load(trained.bundle_uri, trained.bundle_digest)


def trained_profile(world, candidate="logistic_regression") -> DriftProfile:
    return bundle_of(world, world.train(candidate)).profile


def again(world, bundle, rows, **replaced):
    """Make the reference of a trained bundle once more, on other held-out rows."""
    given = {"snapshot": world.snapshot, "spec": world.spec, **replaced}
    return make_reference(bundle.pipeline, bundle.schema, bundle.profile, rows, **given)


@pytest.fixture(scope="module")
def facts(world, typed_rows):
    """Return a world, its bundle, and scores and labels of its held-out rows; they are read only."""
    world = world(typed_rows(3000))
    bundle = bundle_of(world, world.train())
    held_out = world.frame[held_out_mask(world.frame, world.spec)]
    answers = answer(bundle.pipeline, to_features(held_out, bundle.schema.fields))
    return world, bundle, answers[:, 1], read_labels(held_out, world.snapshot, world.spec)


class TestTwoClasses:
    def test_the_baseline_is_that_of_the_evaluation(self, facts):
        world, bundle, _, labels = facts
        evaluation = world.evaluate(world.train())  # the candidate that is trained already
        performance = bundle.profile.performance
        assert performance.rows == len(labels)
        assert [one.name for one in performance.realised] == [one.name for one in evaluation.metrics]
        for ours, theirs in zip(performance.realised, evaluation.metrics, strict=True):
            assert ours.value == pytest.approx(theirs.value)
            assert ours.interval.low < ours.value < ours.interval.high
            assert ours.interval.low == pytest.approx(theirs.interval.low, abs=0.02)

    def test_the_calibration_is_of_the_held_out_rows(self, facts):
        _, bundle, scores, labels = facts
        fitted = bundle.profile.performance.calibration
        expected = apply_calibration(calibrate(scores, labels), scores)
        assert apply_calibration(fitted, scores) == pytest.approx(expected)
        assert apply_calibration(fitted, scores).mean() == pytest.approx(labels.mean())

    def test_limits_of_all_estimates_from_ten_chunks(self, facts):
        _, bundle, _, labels = facts
        limits = bundle.profile.performance.estimated
        assert {one.metric for one in limits} == set(ESTIMATED)
        assert {(one.chunks, one.rows) for one in limits} == {(10, len(labels) // 10)}
        realised = {one.name: one.value for one in bundle.profile.performance.realised}
        for one in limits:
            assert one.mean == pytest.approx(realised[one.metric], abs=3 * one.sd)
            assert one.sd > 0

    def test_score_and_target_add_up_to_the_held_out_rows(self, facts):
        _, bundle, scores, labels = facts
        score, target = bundle.profile.score, bundle.profile.target
        assert (score.name, score.kind, score.rows) == ("score", ColumnKind.NUMBER, len(labels))
        assert score.up_to[127] == (scores <= score.edges[127]).sum()
        assert (target.name, target.kind) == ("churned", ColumnKind.BOOLEAN)
        assert target.categories == {"false": (~labels).sum(), "true": labels.sum()}

    def test_importances_are_shares_and_name_what_matters(self, facts):
        _, bundle, _, _ = facts
        shares = {column.name: column.importance for column in bundle.profile.columns}
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares, key=shares.get) in ("age", "visits")
        assert shares["joined"] < 0.1

    def test_the_profile_survives_json(self, facts):
        profile = facts[1].profile
        assert DriftProfile.model_validate_json(profile.model_dump_json()) == profile


class TestOtherAnswers:
    def test_numbers_have_a_tree_of_errors(self, world, typed_rows):
        world = world(with_price(typed_rows(4000)), **REGRESSION, **PRICE)
        profile = trained_profile(world, "ridge")
        performance = profile.performance
        assert performance.calibration is None
        assert set(performance.errors.inputs) == {"prediction", "age", "visits"}
        assert {one.metric for one in performance.estimated} == {"mae", "rmse"}
        held_out = world.frame[held_out_mask(world.frame, world.spec)]
        inputs = {
            name: held_out[name].to_numpy(dtype="float64", na_value=np.nan) for name in ("age", "visits")
        }
        predicted = 10 * np.nan_to_num(inputs["age"], nan=45)
        found = error_metrics(*apply_error_tree(performance.errors, {"prediction": predicted, **inputs}))
        realised = {one.name: one.value for one in performance.realised}
        assert found["mae"] == pytest.approx(realised["mae"], rel=0.1)
        assert (profile.score.kind, profile.target.kind) == (ColumnKind.NUMBER, ColumnKind.NUMBER)
        assert profile.target.rows == performance.rows == len(held_out)

    def test_what_the_log_encrypts_is_no_input_of_the_tree(self, world, typed_rows):
        marked = {**REGRESSION["data"], "sensitive": ["gender", "age"], "features": ["age", "visits", "city"]}
        world = world(with_price(typed_rows()), model=REGRESSION["model"], data=marked, **PRICE)
        assert trained_profile(world, "ridge").performance.errors.inputs == ("prediction", "visits")

    def test_more_than_two_classes_have_no_estimates_and_say_so(self, world, typed_rows, caplog):
        world = world(with_three_classes(typed_rows()), kinds={"churned": ColumnKind.CATEGORY})
        with caplog.at_level(logging.INFO):
            profile = trained_profile(world)
        performance = profile.performance
        assert (performance.calibration, performance.errors, performance.estimated) == (None, None, ())
        assert {one.name for one in performance.realised} >= {"roc_auc", "accuracy"}
        assert profile.score is None
        assert set(profile.target.categories) == {"a", "b", "c"}
        assert "no estimates without labels: more than two classes" in caplog.text


class TestTime:
    def test_chunks_follow_time(self, world, typed_rows, monkeypatch):
        frame = typed_rows(3000).assign(at=pd.date_range("2024-01-01", periods=3000, freq="h"))
        made = {
            "kinds": {"at": ColumnKind.DATETIME},
            "roles": {"at": ColumnRole.EVENT_TIME},
            "data": {"event_time": "at"},
        }
        seen: list[pd.Series] = []
        real = module.to_features

        def spy(rows, fields):
            seen.append(rows["at"])
            return real(rows, fields)

        monkeypatch.setattr(module, "to_features", spy)
        trained_profile(world(frame.sample(frac=1, random_state=1), **made))
        assert seen[0].is_monotonic_increasing

    def test_rows_without_a_time_have_no_season(self, world, typed_rows):
        profile = trained_profile(world(typed_rows(3000).sort_values("age")))
        assert {(column.season, column.recurring) for column in profile.columns} == {(None, 0.0)}


class TestLittleToGoBy:
    def test_the_same_key_gives_the_same_profile(self, world):
        one, other = world(), world()
        assert trained_profile(one) == trained_profile(other)

    def test_a_second_try_reads_the_profile_of_the_bundle(self, world, monkeypatch):
        from windsock.training import train_model

        world = world()
        first = world.train()
        monkeypatch.setattr(train_model, "build_profile", None)
        monkeypatch.setattr(train_model, "make_reference", None)
        assert world.train() == first.model_copy(update={"fit_seconds": 0.0})

    def test_few_held_out_rows_have_a_baseline_but_no_limits(self, world, typed_rows):
        performance = trained_profile(world(typed_rows(300))).performance
        assert performance.rows < 150
        assert performance.realised
        assert performance.calibration is not None
        assert performance.estimated == ()

    def test_few_numbers_have_no_tree(self, world, typed_rows, caplog):
        with caplog.at_level(logging.INFO):
            performance = trained_profile(
                world(with_price(typed_rows(150)), **REGRESSION, **PRICE), "ridge"
            ).performance
        assert performance.errors is None
        assert "too few held-out rows" in caplog.text

    def test_no_held_out_rows(self, world, caplog):
        world = world()
        bundle = bundle_of(world, world.train())
        with caplog.at_level(logging.INFO):
            profile, importances = again(world, bundle, world.frame.iloc[:0])
        assert (profile, importances) == (bundle.profile, {})
        assert "WS-TRAINING-018: no row is held out" in caplog.text

    def test_held_out_rows_of_one_class(self, world, caplog):
        world = world()
        bundle = bundle_of(world, world.train())
        stayed = world.frame[~world.frame["churned"]]
        with caplog.at_level(logging.INFO):
            profile, importances = again(world, bundle, stayed)
        assert importances == {}
        assert {column.importance for column in profile.columns} == {None}
        assert (profile.performance.calibration, profile.performance.estimated) == (None, ())
        by_name = {one.name: one for one in profile.performance.realised}
        assert (by_name["roc_auc"].value, by_name["roc_auc"].status) == (None, Status.ERROR)
        assert by_name["accuracy"].value > 0
        assert "of one class only" in caplog.text

    def test_held_out_rows_without_a_target_fail_no_training(self, world, typed_rows, caplog):
        frame = typed_rows().astype({"churned": "boolean"})
        held_out = held_out_mask(frame, world(frame).spec)
        frame.loc[np.flatnonzero(held_out)[0], "churned"] = None
        with caplog.at_level(logging.INFO):
            profile = trained_profile(world(frame))
        assert (profile.performance, profile.score, profile.target) == (None, None, None)
        assert profile.minimum_rows > 0
        assert "WS-TRAINING-018" in caplog.text
        assert "missing or infinite in 1 of" in caplog.text

    def test_a_class_that_training_never_saw(self, world):
        world = world(kinds={"churned": ColumnKind.CATEGORY}, frame=None)
        frame = world.frame.assign(churned=np.where(world.frame["churned"], "yes", "no"))
        world = type(world)(frame, world.spec, world.snapshot, world.ports)
        world.ports.snapshots.stored[("churn", world.snapshot.digest)] = (world.snapshot, frame)
        bundle = bundle_of(world, world.train())
        rows = frame.assign(churned=np.where(np.arange(len(frame)) % 50 == 0, "perhaps", frame["churned"]))
        profile, _ = again(world, bundle, rows)
        assert bundle.schema.answer is Answer.CLASS
        assert profile.performance.calibration is not None
        assert profile.target.categories["perhaps"] == 12

    def test_columns_that_say_nothing(self, world, typed_rows):
        frame = typed_rows().assign(visits=1, city=None, joined=pd.NaT)
        frame["visits"] = frame["visits"].astype("Int64")
        profile = trained_profile(world(frame))
        assert profile.column("visits").importance == 0
        assert profile.column("city").rows == 0
        assert profile.performance.realised
