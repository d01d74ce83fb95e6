from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression
from sklearn.tree import DecisionTreeRegressor

from windsock.records import Calibration, ReferenceChunks
from windsock.spec import SEED
from windsock.statistics.estimates import (
    ESTIMATED,
    LEAF_ROWS,
    MISSING,
    MOST_LEAVES,
    apply_calibration,
    apply_error_tree,
    calibrate,
    cbpe,
    chunk_slices,
    error_metrics,
    estimate_reach,
    fit_error_tree,
    reference_chunks,
)
from windsock.statistics.metrics import Scored, score

CERTAIN = Calibration(scores=(0.0, 1.0), probabilities=(0.0, 1.0))
"""Scores that are probabilities already."""

SCORES = arrays("float64", st.integers(2, 60), elements=st.floats(0, 1, allow_subnormal=False))


@pytest.fixture(scope="module")
def loans(shared_data):
    """Return the rows of the reference and the rows after it, with their labels."""
    reference = pd.read_csv(shared_data / "car_loan_reference.csv")
    analysis = pd.read_csv(shared_data / "car_loan_analysis.csv")
    truth = pd.read_csv(shared_data / "car_loan_analysis_target.csv")
    return reference, analysis.merge(truth, on="id")


class TestPublishedNumbers:
    """NannyML's car loan example: 10 chunks of 5,000 rows after a reference of 50,000."""

    ESTIMATED_AUC = (0.970744, 0.971011, 0.971407, 0.971091, 0.971123, 0.961090, 0.961825, 0.961073, 0.962533)
    REALISED_AUC_LIMITS = (0.963317, 0.978660)
    ALARMS = [False] * 5 + [True] * 5

    @staticmethod
    def realised(rows: pd.DataFrame) -> list[dict[str, float]]:
        found = []
        for chunk in chunk_slices(len(rows)):
            part = rows.iloc[chunk]
            scores = part["y_pred_proba"].to_numpy()
            scored = Scored(
                truth=part["repaid"].to_numpy(dtype="int64"),
                answers=np.column_stack([1 - scores, scores]),
                classes=2,
                positive=1,
                predicted=part["y_pred"].to_numpy(dtype="int64"),
            )
            found.append({name: score(name, scored) for name in ("roc_auc", "accuracy")})
        return found

    @staticmethod
    def estimated(loans) -> list[dict[str, float]]:
        reference, analysis = loans
        fitted = calibrate(reference["y_pred_proba"].to_numpy(), reference["repaid"].to_numpy())
        parts = [analysis.iloc[chunk] for chunk in chunk_slices(len(analysis))]
        return [
            cbpe(
                fitted,
                part["y_pred_proba"].to_numpy(),
                part["y_pred"].to_numpy(),
                names=("roc_auc", "accuracy"),
            )
            for part in parts
        ]

    def test_estimates_to_six_digits(self, loans):
        found = self.estimated(loans)
        assert [round(one["roc_auc"], 6) for one in found] == [*self.ESTIMATED_AUC, 0.961316]
        assert round(found[0]["accuracy"], 6) == 0.941792
        assert round(found[-1]["accuracy"], 6) == 0.911731

    def test_realised_to_six_digits(self, loans):
        found = self.realised(loans[1])
        assert round(found[0]["roc_auc"], 6) == 0.970962
        assert round(found[-1]["roc_auc"], 6) == 0.957556

    def test_limits_to_six_digits_and_alarms_on_the_last_five_chunks_only(self, loans):
        limits = {one.metric: one for one in reference_chunks(self.realised(loans[0]), 5000)}
        low, high = (limits["roc_auc"].mean + side * 3 * limits["roc_auc"].sd for side in (-1, 1))
        assert (round(low, 6), round(high, 6)) == self.REALISED_AUC_LIMITS
        for name, limit in limits.items():
            found = [abs(one[name] - limit.mean) > 3 * limit.sd for one in self.estimated(loans)]
            assert found == self.ALARMS, name


class TestCalibration:
    @given(SCORES, st.randoms(use_true_random=False))
    @settings(max_examples=60, deadline=None)
    def test_it_never_falls_and_is_scikit_learns(self, scores, draw):
        labels = np.array([draw.random() < value for value in scores])
        fitted = calibrate(scores, labels)
        assert (np.diff(fitted.scores) > 0).all() or len(fitted.scores) == 1
        assert (np.diff(fitted.probabilities) >= 0).all()
        asked = np.linspace(-0.5, 1.5, 41)
        expected = IsotonicRegression(out_of_bounds="clip").fit(scores, labels.astype(float)).predict(asked)
        assert apply_calibration(fitted, asked) == pytest.approx(expected, abs=1e-12)

    def test_one_class_and_one_score(self):
        fitted = calibrate(np.full(5, 0.3), np.zeros(5, dtype=bool))
        assert apply_calibration(fitted, np.array([0.0, 0.3, 1.0])).tolist() == [0.0, 0.0, 0.0]

    def test_it_survives_json(self):
        fitted = calibrate(np.array([0.1, 0.2, 0.7]), np.array([False, True, True]))
        assert Calibration.model_validate_json(fitted.model_dump_json()) == fitted


class TestEstimates:
    def test_scores_without_doubt_give_the_realised_metrics(self):
        """Probabilities of 0 and 1 leave nothing to expect: the estimate is the metric itself."""
        generator = np.random.default_rng(0)
        truth = generator.random(500) < 0.4
        scores = np.where(truth, generator.uniform(0.5, 0.9, 500), generator.uniform(0.1, 0.5, 500))
        known = dict(zip(scores, truth, strict=True))
        ordered = sorted(known)
        certain = Calibration(
            scores=tuple(ordered),
            probabilities=tuple(np.maximum.accumulate([float(known[one]) for one in ordered])),
        )
        predicted = scores > 0.55
        found = cbpe(certain, scores, predicted, names=ESTIMATED)
        scored = Scored(
            truth=truth.astype(int),
            answers=np.column_stack([1 - scores, scores]),
            classes=2,
            positive=1,
            predicted=predicted.astype(int),
        )
        assert set(found) == set(ESTIMATED)
        for name in ESTIMATED:
            assert found[name] == pytest.approx(score(name, scored), abs=1e-12), name

    def test_estimates_are_near_the_truth_on_calibrated_scores(self):
        generator = np.random.default_rng(1)
        scores = generator.beta(2, 5, 40_000)
        truth = generator.random(40_000) < scores
        found = cbpe(CERTAIN, scores, scores > 0.5, names=ESTIMATED)
        scored = Scored(
            truth=truth.astype(int), answers=np.column_stack([1 - scores, scores]), classes=2, positive=1
        )
        for name in ESTIMATED:
            assert found[name] == pytest.approx(score(name, scored), abs=0.01), name

    @given(SCORES)
    @settings(max_examples=60, deadline=None)
    def test_the_order_of_rows_does_not_matter(self, scores):
        forth = cbpe(CERTAIN, scores, scores > 0.5, names=ESTIMATED)
        back = cbpe(CERTAIN, scores[::-1], scores[::-1] > 0.5, names=ESTIMATED)
        assert forth.keys() == back.keys()
        assert list(forth.values()) == pytest.approx(list(back.values()), abs=1e-9)
        assert all(0 <= forth[name] <= 1 + 1e-9 for name in forth if name != "log_loss")

    def test_one_score_for_all_says_nothing_about_order(self):
        found = cbpe(CERTAIN, np.full(10, 0.3), np.zeros(10), names=("roc_auc", "accuracy"))
        assert found == pytest.approx({"roc_auc": 0.5, "accuracy": 0.7})

    def test_what_is_not_defined_is_left_out(self):
        sure = Calibration(scores=(0.0,), probabilities=(1.0,))
        found = cbpe(sure, np.array([0.2, 0.9]), np.array([True, True]), names=ESTIMATED)
        assert not {"roc_auc", "balanced_accuracy"} & set(found)
        assert found["accuracy"] == 1.0
        assert cbpe(CERTAIN, np.array([]), np.array([]), names=ESTIMATED) == {}
        assert cbpe(CERTAIN, np.array([np.nan]), np.array([True]), names=("accuracy",)) == {}
        assert set(cbpe(CERTAIN, np.array([0.3]), np.array([True]), names=("f1", "r2"))) == {"f1"}


class TestErrorTree:
    @staticmethod
    def rows(count: int = 3000, seed: int = 0):
        generator = np.random.default_rng(seed)
        x, noise = generator.normal(size=count), generator.normal(size=count)
        y = generator.uniform(-1, 1, count)
        y[generator.random(count) < 0.1] = np.nan
        errors = noise * np.where(x > 0, 3.0, 0.5) * np.where(np.isnan(y), 2.0, 1.0)
        return x * 10, {"x": x, "y": y}, errors

    @pytest.mark.parametrize("seed", range(5))
    def test_it_is_scikit_learns_tree(self, seed):
        prediction, features, errors = self.rows(seed=seed)
        tree = fit_error_tree(prediction, features, errors)
        table = np.nan_to_num(np.column_stack([prediction, *features.values()]), nan=MISSING)
        fitted = DecisionTreeRegressor(
            max_leaf_nodes=MOST_LEAVES, min_samples_leaf=LEAF_ROWS, random_state=SEED
        ).fit(table, np.abs(errors))
        other_prediction, other_features, _ = self.rows(seed=seed + 100)
        absolute, squared = apply_error_tree(tree, {"prediction": other_prediction, **other_features})
        others = np.nan_to_num(np.column_stack([other_prediction, *other_features.values()]), nan=MISSING)
        assert absolute == pytest.approx(fitted.predict(others))
        leaves = fitted.apply(table)
        of_leaf = {leaf: (errors[leaves == leaf] ** 2).mean() for leaf in np.unique(leaves)}
        assert squared == pytest.approx([of_leaf[leaf] for leaf in fitted.apply(others)])
        assert 1 < tree.split.count(-1) <= MOST_LEAVES

    def test_estimates_are_near_the_errors_of_other_rows(self):
        tree = fit_error_tree(*self.rows())
        prediction, features, errors = self.rows(20_000, seed=9)
        found = error_metrics(*apply_error_tree(tree, {"prediction": prediction, **features}))
        assert found["mae"] == pytest.approx(np.abs(errors).mean(), rel=0.05)
        assert found["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=0.05)
        hard = features["x"] > 0
        moved = {"prediction": prediction[hard], **{name: of[hard] for name, of in features.items()}}
        assert error_metrics(*apply_error_tree(tree, moved))["mae"] > 1.5 * found["mae"]

    def test_few_rows_make_one_leaf(self):
        tree = fit_error_tree(np.arange(10.0), {}, np.ones(10))
        assert (tree.inputs, tree.split, tree.absolute, tree.squared) == (
            ("prediction",),
            (-1,),
            (1.0,),
            (1.0,),
        )
        assert apply_error_tree(tree, {"prediction": np.array([np.nan, 1e300])})[0].tolist() == [1.0, 1.0]

    def test_columns_that_say_nothing_do_no_harm(self):
        prediction, features, errors = self.rows()
        odd = {"constant": np.zeros(3000), "void": np.full(3000, np.nan), "prediction": np.zeros(3000)}
        tree = fit_error_tree(prediction, {**features, **odd}, errors)
        assert tree.inputs == ("prediction", "x", "y", "constant", "void")
        assert not {tree.inputs.index("constant"), tree.inputs.index("void")} & set(tree.split)
        assert type(tree).model_validate_json(tree.model_dump_json()) == tree

    def test_an_input_that_is_gone_is_named(self):
        tree = fit_error_tree(*self.rows())
        with pytest.raises(KeyError, match="x"):
            apply_error_tree(tree, {"prediction": np.zeros(3)})

    def test_no_rows_have_no_errors(self):
        assert error_metrics(np.array([]), np.array([])) == {}


class TestChunks:
    @given(st.integers(0, 5000))
    @settings(max_examples=200, deadline=None)
    def test_chunks_are_equal_follow_each_other_and_are_large_enough(self, rows):
        chunks = chunk_slices(rows)
        assert bool(chunks) == (rows >= 150)
        if chunks:
            sizes = {chunk.stop - chunk.start for chunk in chunks}
            assert len(sizes) == 1
            assert 5 <= len(chunks) <= 10
            assert sizes.pop() >= 30
            assert [chunk.start for chunk in chunks[1:]] == [chunk.stop for chunk in chunks[:-1]]
            assert rows - chunks[-1].stop < len(chunks)

    def test_mean_and_sd_of_what_every_chunk_has(self):
        realised = [{"a": 1.0, "b": 0.5, "c": np.nan}, {"a": 3.0, "c": 1.0}]
        (found,) = reference_chunks(realised, 40)
        assert (found.metric, found.mean, found.sd, found.chunks, found.rows) == ("a", 2.0, 1.0, 2, 40)
        assert reference_chunks([], 40) == ()


@pytest.mark.parametrize(
    ("metric", "mean", "sd", "rows", "reach"),
    [
        ("roc_auc", 1.0, 0.0, 100_000, 0.005),
        ("roc_auc", 1.0, 0.0, 100, 0.0404),  # 3 sqrt(p (1 - p) / 104) with p = 102 / 104
        ("accuracy", 0.75, 0.01, 2_000, 0.03),
        ("accuracy", 0.75, 0.01, 500, 0.06),
        ("accuracy", 0.75, 0.0, 500, 0.0580),
        ("log_loss", 0.4, 0.0, 100, 0.005),
        ("rmse", 2_000.0, 0.0, 100, 10.0),
        ("mae", 2.0, 0.1, 500, 0.3),
    ],
)
def test_the_limits_of_an_estimate_are_no_narrower_than_chance(metric, mean, sd, rows, reach):
    chunks = ReferenceChunks(
        metric=metric, mean=mean, sd=sd, chunks=10, rows=2_000 if metric != "mae" else 500
    )
    assert estimate_reach(chunks, rows, 3.0) == pytest.approx(reach, abs=1e-4)


def test_what_windows_have_done_before_is_no_alarm():
    chunks = ReferenceChunks(metric="mae", mean=2.0, sd=0.1, chunks=10, rows=500)
    assert estimate_reach(chunks.replace(recurring=0.5), 500, 3.0) == pytest.approx(0.8)
