"""Which rows a retrain learns from, where rows since an onset are marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import NOON
from windsock.exceptions import TrainingRefusedError
from windsock.records import held_out_mask, judged_mask, recent_mask, row_set_words, rows
from windsock.spec import CandidateBlock
from windsock.training import evaluate_model, row_sets
from windsock.training.cross_validation import TrainingRows
from windsock.training.refit import refit
from windsock.training.row_sets import NO_FOLDS, choose_rows, labels_of_now, make_row_sets
from windsock.training.target import feature_fields, in_time_order, make_schema, read_labels

BEFORE = 900
"""Recent rows before the onset."""


def renamed(frame, name):
    return frame.assign(customer_id=[f"{name}{number:05d}" for number in range(len(frame))])


@pytest.fixture
def turned(world, typed_rows):
    """Build a world of which the last rows are of customers for whom the target is the opposite."""

    def build(after=400, **blocks):
        new = renamed(typed_rows(after, seed=9), "n")
        new["churned"] = ~new["churned"]
        frame = pd.concat([typed_rows(), renamed(typed_rows(BEFORE, seed=7), "r"), new], ignore_index=True)
        if "event_time" in blocks.get("data", {}):
            frame["joined"] = pd.date_range("2026-01-01", periods=len(frame), freq="h")
        made = world(frame, **blocks)
        marked = {"recent_rows": BEFORE + after, "onset_rows": after, "onset": NOON, "digest": "3" * 64}
        made.snapshot = made.ports.snapshots.put(made.snapshot.model_copy(update=marked), frame)
        return made

    return build


def sides(made):
    """Return which rows are held out, and the targets of the others in the order of time."""
    marked = made.snapshot.recent_rows, made.snapshot.onset_rows
    held_out = held_out_mask(made.frame, made.spec, *marked)
    training = in_time_order(made.frame[~held_out], made.spec)
    return held_out, read_labels(training, made.snapshot, made.spec)


def sets_of(made, **marked):
    held_out, labels = sides(made)
    snapshot = made.snapshot.model_copy(update=marked)
    return {one.name: one for one in make_row_sets(made.frame, held_out, labels, snapshot, made.spec)}


class TestSets:
    def test_they_are_parts_of_the_training_rows_down_to_enough(self, turned):
        made = turned(1000)
        sets, (held_out, _) = sets_of(made), sides(made)
        places = np.flatnonzero(~held_out)
        assert list(sets) == ["all", "recent", "onset", "onset/2", "onset/4"][: len(sets)]
        assert len(sets["onset/2"].rows) == len(sets["onset"].rows) // 2 >= row_sets.ENOUGH
        assert places[sets["recent"].rows].min() >= 600
        assert places[sets["onset"].rows].min() >= 600 + BEFORE
        for one in sets.values():
            assert one.rows.max() == len(places) - 1, "each ends with the latest row"

    def test_parts_of_the_recent_rows_are_clearly_more_than_those_since_the_onset(self, turned):
        assert list(sets_of(turned(200))) == ["all", "recent", "recent/2", "onset"]
        assert list(sets_of(turned(400))) == ["all", "recent", "onset"]

    def test_without_an_onset_nothing_competes(self, turned):
        assert sets_of(turned(), onset_rows=0) == {}

    def test_recent_rows_that_are_all_since_the_onset_are_there_once(self, turned):
        assert "onset" not in sets_of(turned(), onset_rows=BEFORE + 400)

    def test_all_are_scored_on_the_latest_rows_since_the_onset(self, turned):
        made = turned(1000)
        for one in sets_of(made).values():
            scored = np.concatenate([outside for _, outside in one.folds.pairs])
            assert len(scored) == len(set(scored)) == row_sets.SCORED
            assert scored.min() > len(sides(made)[1]) - row_sets.SCORED - 1
            for inside, outside in one.folds.pairs:
                assert set(inside) == set(one.rows) - set(outside)

    def test_on_more_rows_where_a_class_is_rare_among_them(self, turned):
        made = turned(1000)
        made.frame["churned"] = np.arange(len(made.frame)) % 20 == 0
        scored = np.concatenate([outside for _, outside in sets_of(made)["all"].folds.pairs])
        assert len(scored) == min(2 * row_sets.SCORED, len(sets_of(made)["onset"].rows))

    def test_by_time_folds_are_blocks_of_it(self, turned):
        sets = sets_of(turned(data={"event_time": "joined"}))
        for _, outside in sets["all"].folds.pairs:
            assert np.diff(outside).max() < 10  # classes keep their shares: blocks but for the edges

    def test_an_entity_is_on_one_side_of_a_fold(self, turned):
        made = turned()
        made.frame["customer_id"] = [f"c{number % 500}" for number in range(len(made.frame))]
        held_out, _ = sides(made)
        entities = made.frame.loc[~held_out, "customer_id"].to_numpy()
        for one in sets_of(made).values():
            for inside, outside in one.folds.pairs:
                assert not set(entities[inside]) & set(entities[outside])

    def test_a_set_without_a_class_is_out(self, turned):
        made = turned()
        made.frame["churned"] = made.frame["churned"].map({True: "gone", False: "here"}).astype(object)
        made.frame.loc[:3, "churned"] = "lent"
        held_out = held_out_mask(made.frame, made.spec)
        labels = in_time_order(made.frame[~held_out], made.spec)["churned"].to_numpy()
        sets = make_row_sets(made.frame, held_out, labels, made.snapshot, made.spec)
        assert [one.name for one in sets] == ["all"]

    def test_with_too_few_for_folds_the_recent_rows_are_scored_on(self, turned):
        sets = sets_of(turned(), onset_rows=6)
        assert list(sets)[:2] == ["all", "recent"]
        scored = np.concatenate([outside for _, outside in sets["all"].folds.pairs])
        assert sorted(scored) == sets["recent"].rows.tolist()


class Fixed:
    """A pipeline that answers with what it was fitted on: the share of the positive."""

    def __init__(self, worst):
        self.worst, self.classes_ = worst, np.array([False, True])
        self.steps = [self]

    def __getitem__(self, place):
        return self

    def fit(self, features, labels):
        if len(labels) > self.worst:
            raise ValueError("too many rows")
        self.share = float(np.mean(labels))
        return self

    def predict_proba(self, features):
        return np.column_stack([np.full(len(features), 1 - self.share), np.full(len(features), self.share)])


class TestChoice:
    def choose(self, made, worst):
        held_out, labels = sides(made)
        fields = feature_fields(made.snapshot, made.spec)
        schema = make_schema(made.spec, fields, labels, made.snapshot.column("churned"))
        frame = pd.DataFrame(index=range(len(labels)))
        known = TrainingRows(features=frame, labels=labels, schema=schema, folds=NO_FOLDS, metric="brier")
        sets = make_row_sets(made.frame, held_out, labels, made.snapshot, made.spec)
        return choose_rows(lambda _: Fixed(worst), known, sets, made.snapshot)

    def test_the_best_mean_wins_whatever_is_better(self, turned):
        made = turned()
        made.frame["churned"] = np.arange(len(made.frame)) % 4 == 0
        made.frame.loc[600 + BEFORE :, "churned"] = np.arange(400) % 4 != 0
        learned = self.choose(made, worst=10_000)
        assert learned.record.name == learned.chosen.name == "onset"
        means = {one.name: one.mean for one in learned.record.sets}
        assert means["onset"] == learned.result.mean == min(means.values()) < means["all"]

    def test_a_set_that_cannot_be_fitted_is_out_and_says_why(self, turned):
        learned = self.choose(turned(), worst=500)
        out = {one.name: one.error for one in learned.record.sets if one.mean is None}
        assert set(out) == {"all", "recent"}
        assert out["all"].startswith("WS-TRAINING-010: ")
        assert "all (1,5" in learned.record.told
        assert " out," in learned.record.told

    def test_where_none_can_be_the_reason_is_the_first_ones(self, turned):
        with pytest.raises(TrainingRefusedError) as caught:
            self.choose(turned(), worst=0)
        assert caught.value.code == "WS-TRAINING-010"


def test_words_of_row_sets():
    assert row_set_words("all") == "all rows"
    assert row_set_words("recent/2") == "the latest half of the recent rows"
    assert row_set_words("onset/8") == "the latest 1/8 of the rows since the onset"


class TestTraining:
    def test_the_best_set_is_fitted_and_everyone_can_read_which(self, turned, caplog):
        made = turned()
        caplog.set_level("INFO")
        trained = made.train()
        learned = trained.learned_from
        assert learned.name == "onset"
        assert trained.rows_train == learned.rows < 400
        assert trained.cross_validation.mean == max(one.mean for one in learned.sets)
        assert (learned.onset, learned.scored_on) == (NOON, learned.rows)
        assert f"learned from the rows since the onset, {learned.rows}; on {learned.rows} rows" in caplog.text
        bundle = made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest)
        assert bundle.manifest.facts["learned_from"]["name"] == "onset"
        assert made.ports.tracker.runs[trained.run_id].params["learned_from"] == "onset"
        again = made.train()
        assert (again.learned_from, again.rows_train) == (learned, trained.rows_train)

    def test_a_search_is_over_the_rows_that_are_fitted(self, turned):
        block = CandidateBlock(estimator="logistic_regression", search={"trials": 2, "minutes": 5})
        trained = turned().train(block)
        assert trained.learned_from.name == "onset"
        assert trained.cross_validation.mean >= max(one.mean for one in trained.learned_from.sets)

    def test_without_an_onset_nothing_is_said(self, world):
        trained = world().train()
        assert trained.learned_from is None
        assert "learned_from" not in trained.model_dump_json()


class TestJudging:
    def test_held_out_rows_since_the_onset_decide(self, turned, monkeypatch):
        made, judged = turned(), []
        real = evaluate_model.judge

        def judge(schema, labels, **known):
            judged.append((labels, known))
            return real(schema, labels, **known)

        monkeypatch.setattr(evaluate_model, "judge", judge)
        evaluation = made.evaluate(made.train())
        held_out, _ = sides(made)
        expected = made.frame["churned"].iloc[-400:][held_out[-400:]]
        labels, known = judged[0]
        assert labels.tolist() == expected.tolist()
        assert (evaluation.onset, evaluation.recent_held_out) == (NOON, len(expected))
        assert evaluation.judged_on == f"on {len(expected)} held-out rows since 2026-05-01 12:00 UTC"
        assert {metric.rows for metric in evaluation.overall} == {held_out.sum()}
        assert abs(evaluation.gap) < 0.3  # against these rows, not against those of a world that is gone
        nothing = made.frame["churned"].iloc[-400:][~held_out[-400:]].astype(float).mean()
        assert known["baseline"].answers[0][-1] == pytest.approx(nothing)

    def test_what_knows_nothing_knows_the_shares_of_now(self, turned):
        made = turned()
        held_out, labels = sides(made)
        now = labels_of_now(made.frame, held_out, made.snapshot, made.spec)
        assert len(now) == (~held_out[-400:]).sum()
        made.frame.loc[len(made.frame) - 400 :, "churned"] = True
        assert len(labels_of_now(made.frame, held_out, made.snapshot, made.spec)) == len(labels)

    def test_masks(self):
        held_out = np.array([True, False] * 5)
        assert judged_mask(held_out, 0).tolist() == held_out.tolist()
        assert judged_mask(held_out, 6).sum() == 3
        assert judged_mask(held_out, 6, 2).tolist() == [False] * 8 + [True, False]
        assert recent_mask(3, 0).all()

    def test_the_latest_half_since_the_onset_is_judged_on(self):
        held_out = np.arange(4000) % 5 == 0
        judged = judged_mask(held_out, 3000, 2000)
        assert np.flatnonzero(judged).min() == 3000
        assert judged.sum() == 200
        assert judged_mask(held_out, 3000).sum() == 600

    @pytest.mark.parametrize(("since", "judged"), [(400, 80), (600, 100), (1000, 100), (1200, 120)])
    def test_it_reaches_back_to_what_an_interval_needs(self, since, judged):
        assert judged_mask(np.arange(4000) % 5 == 0, 3000, since).sum() == judged

    @pytest.mark.parametrize(("every", "judged"), [(2, 200), (20, 381), (40, 361)])
    def test_and_of_each_class(self, every, judged):
        held_out = np.arange(4000) % 5 == 0
        classes = np.arange(4000) // 5 % every == every - 1
        assert judged_mask(held_out, 3000, 2000, classes=classes).sum() == judged

    def test_what_is_held_out_by_time_is_the_latest_as_it_is(self):
        held_out = np.arange(4000) >= 3600
        assert judged_mask(held_out, 3000, 2000).sum() == 400

    @pytest.mark.parametrize(
        ("recent", "onset", "expected"), [(700, 600, 600), (700, 400, 700), (400, 300, 1000), (0, 0, 1000)]
    )
    def test_the_reference_is_of_the_latest_kind_with_enough_rows(self, recent, onset, expected):
        assert rows.reference_mask(np.zeros(1000, dtype=bool), recent, onset).sum() == expected


def test_a_reference_of_other_rows_has_the_performance_of_the_judged_ones(turned, caplog):
    made = turned()
    caplog.set_level("INFO")
    trained = made.train()
    evaluation = made.evaluate(trained)
    profile = made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest).profile
    held_out, _ = sides(made)
    recent = held_out[600:]
    assert f"reference: made of the {BEFORE + 400:,} recent rows alone" in caplog.text
    assert profile.rows == (~recent).sum()
    assert profile.score.rows == recent.sum()
    assert profile.performance.rows == evaluation.recent_held_out == held_out[-400:].sum()
    assert sum(profile.target.categories.values()) == evaluation.recent_held_out
    ours = {one.name: one.value for one in profile.performance.realised}
    assert ours["roc_auc"] == pytest.approx(evaluation.metric("roc_auc").value)


def test_a_reference_since_the_onset_says_so(turned, caplog):
    caplog.set_level("INFO")
    made = turned(700)
    trained = made.train()
    assert "reference: made of the 700 rows since the onset alone" in caplog.text
    profile = made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest).profile
    assert profile.rows == (~sides(made)[0][-700:]).sum()


def test_a_backtests_retrain_learns_as_a_training_does(turned, world):
    first = world()
    trained = first.train()
    bundle = first.ports.bundles.load(trained.bundle_uri, trained.bundle_digest)
    made = turned()
    result = refit(bundle, bundle, made.frame, made.snapshot, made.spec, digest="f" * 64)
    again = made.train()
    assert result.learned_from == again.learned_from
    assert result.rows == again.rows_train
    assert result.judged == sides(made)[0][-400:].sum()
    assert result.beats(0.2)
    assert result.bundle.profile.performance.rows == result.judged
