from __future__ import annotations

import csv
import io
import json
import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from support.builders import digest
from support.fakes import FakeBundles, fake_ports
from support.faults import Killed, killed_after
from windsock.adapters.charts import MatplotlibCharts
from windsock.exceptions import (
    DatabaseUnavailableError,
    DataRefusedError,
    TrainingRefusedError,
    UnverifiedBundleError,
)
from windsock.ports import NOTE
from windsock.records import (
    Champion,
    ColumnKind,
    ColumnRole,
    Evaluation,
    LedgerAction,
    LedgerEntry,
    Status,
    TrainedModel,
)
from windsock.records.rows import held_out_mask
from windsock.spec import CandidateBlock
from windsock.training import evaluate_model as module
from windsock.training import importances, reference
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features
from windsock.training.target import read_labels

REGRESSION = {"model": {"name": "churn", "task": "regression"}, "data": {"target": "price"}}
PRICE = {"kinds": {"price": ColumnKind.NUMBER}, "roles": {"price": ColumnRole.TARGET}}


def crown(world, trained: TrainedModel, *, version: str = "1") -> None:
    """Make a bundle the champion in the ledger."""
    entry = LedgerEntry(
        model="churn",
        action=LedgerAction.COMMIT,
        epoch=1,
        version=version,
        digest=trained.bundle_digest,
        actor="scheduler",
        body={"bundle_uri": trained.bundle_uri},
    )
    world.ports.ledger.append(entry, after_seq=len(world.ports.ledger.rows("churn")))


def numbers(evaluation: Evaluation) -> dict[str, Any]:
    """Return what must not depend on time."""
    times = {"latency": True, "evaluated_at": True, "chosen": {"fit_seconds"}}
    return evaluation.model_dump(exclude=times)


class TestWhatIsJudged:
    def test_the_best_candidate_by_cross_validation_meets_the_held_out_rows_alone(self, world):
        world = world()
        weak = world.train(CandidateBlock(estimator="random_forest", params={"max_depth": 1}))
        strong = world.train("logistic_regression")
        opened: list[str] = []
        real = world.ports.bundles.load
        world.ports.bundles.load = lambda uri, digest: opened.append(digest) or real(uri, digest)
        evaluation = world.evaluate(weak, strong)
        assert evaluation.chosen == strong
        assert [label for label, _ in evaluation.ranking] == [
            "logistic_regression",
            "random_forest(max_depth=1)",
        ]
        assert opened == [strong.bundle_digest]

    def test_metrics_are_those_of_the_held_out_rows(self, world):
        world = world()
        trained = world.train()
        evaluation = world.evaluate(trained)
        held_out = held_out_mask(world.frame, world.spec)
        rows = world.frame[held_out]
        bundle = world.ports.bundles.by_digest[trained.bundle_digest]
        scores = answer(bundle.pipeline, to_features(rows, bundle.schema.fields))[:, 1]
        expected = roc_auc_score(read_labels(rows, world.snapshot, world.spec), scores)
        metric = evaluation.metric("roc_auc")
        assert metric.value == pytest.approx(expected)
        assert metric.rows == held_out.sum() == trained.rows_held_out
        assert metric.n == min(rows["churned"].sum(), (~rows["churned"].astype(bool)).sum())
        assert metric.interval.low < expected < metric.interval.high
        assert evaluation.gap == pytest.approx(trained.train_score - expected)

    def test_every_metric_of_the_task_has_a_value_and_an_interval(self, world):
        world = world()
        evaluation = world.evaluate(world.train())
        assert len(evaluation.metrics) == 11
        assert all(metric.status is Status.PASS and metric.interval for metric in evaluation.metrics)

    def test_it_is_the_same_each_time(self, world):
        one, other = world(), world()
        assert numbers(one.evaluate(one.train())) == numbers(other.evaluate(other.train()))

    def test_the_baseline_knows_the_shares_of_the_classes_only(self, world):
        world = world()
        evaluation = world.evaluate(world.train())
        baseline = evaluation.baseline
        assert (baseline.opponent, baseline.opponent_value) == ("baseline", 0.5)
        assert baseline.value == pytest.approx(evaluation.metric("roc_auc").value - 0.5)
        assert baseline.interval.low > 0.2
        assert (baseline.n, baseline.rows) == (
            evaluation.metric("roc_auc").n,
            evaluation.chosen.rows_held_out,
        )

    def test_less_is_better_for_errors(self, world, typed_rows):
        frame = typed_rows().drop(columns="churned")
        frame["price"] = 10 * frame["age"].fillna(45) + np.random.default_rng(0).normal(0, 5, 600)
        world = world(frame, **REGRESSION, **PRICE, training={"metric": "rmse"})
        evaluation = world.evaluate(world.train("ridge"))
        assert {metric.name for metric in evaluation.metrics} == {"r2", "rmse", "mae"}
        assert evaluation.baseline.value > 0
        assert evaluation.baseline.interval.low > 0
        assert evaluation.gap == pytest.approx(
            evaluation.metric("rmse").value - evaluation.chosen.train_score
        )

    def test_more_than_two_classes(self, world, typed_rows):
        frame = typed_rows()
        ages = pd.cut(frame["age"].fillna(45), [-np.inf, 38, 52, np.inf], labels=["young", "mid", "old"])
        world = world(frame.assign(churned=ages.astype(str)), kinds={"churned": ColumnKind.CATEGORY})
        evaluation = world.evaluate(world.train())
        assert evaluation.metric("roc_auc").value > 0.8
        assert evaluation.baseline.opponent_value == 0.5
        files = world.ports.tracker.added[evaluation.chosen.run_id]["files"]
        assert json.loads(files["evaluation/confusion_matrix.json"])["labels"] == ["mid", "old", "young"]
        assert "evaluation/curves.png" in files

    def test_held_out_rows_of_one_class_define_no_auc_and_that_is_an_error(self, world, typed_rows):
        frame = typed_rows()
        held_out = held_out_mask(frame, world().spec)
        frame.loc[held_out, "churned"] = False
        world = world(frame)
        evaluation = world.evaluate(world.train())
        metric = evaluation.metric("roc_auc")
        assert (metric.value, metric.status) == (None, Status.ERROR)
        assert evaluation.metric("accuracy").value is not None
        assert evaluation.baseline.value is None
        assert "not defined" in evaluation.baseline.error
        assert evaluation.gap is None
        assert "evaluation/curves.png" not in world.ports.tracker.added[evaluation.chosen.run_id]["files"]

    def test_a_class_that_training_never_saw_counts_as_wrong_and_is_said(self, world, typed_rows, caplog):
        frame = typed_rows().astype({"churned": object})
        frame["churned"] = np.where(frame["churned"].astype(bool), "yes", "no").astype(object)
        before = world(frame, kinds={"churned": ColumnKind.CATEGORY})
        place = np.flatnonzero(held_out_mask(frame, before.spec))[:5]
        base = before.evaluate(before.train()).metric("accuracy").value
        frame.loc[place, "churned"] = "perhaps"
        after = world(frame, kinds={"churned": ColumnKind.CATEGORY})
        with caplog.at_level(logging.INFO):
            evaluation = after.evaluate(after.train())
        assert evaluation.metric("accuracy").value < base
        assert "WS-EVALUATION-003: held-out rows are of 1 classes that training never saw" in caplog.text
        assert "perhaps" not in caplog.text

    def test_latency_is_of_a_hundred_rows_whatever_is_held_out(self, world, typed_rows, monkeypatch):
        batches: list[int] = []
        real = module.to_features
        monkeypatch.setattr(
            module, "to_features", lambda rows, fields: batches.append(len(rows)) or real(rows, fields)
        )
        world = world(typed_rows(120))
        latency = world.evaluate(world.train()).latency
        assert batches[:6] == [100] * 6
        assert (latency.rows, latency.repeats) == (100, 5)
        assert 0 < latency.ms_per_sample < 10


class TestTheChampion:
    def test_without_one_it_is_the_first_model(self, world):
        world = world()
        evaluation = world.evaluate(world.train())
        assert (evaluation.champion, evaluation.against_champion) == (None, None)

    def test_the_same_bundle_differs_by_exactly_zero(self, world):
        world = world()
        trained = world.train()
        crown(world, trained)
        against = world.evaluate(trained).against_champion
        assert (against.value, against.interval.low, against.interval.high, against.error) == (
            0.0,
            0.0,
            0.0,
            "",
        )

    def test_it_answers_the_same_rows_and_better_is_positive(self, world):
        world = world()
        weak = world.train(
            CandidateBlock(estimator="random_forest", params={"n_estimators": 2, "max_depth": 1})
        )
        crown(world, weak, version="7")
        strong = world.train()
        evaluation = world.evaluate(strong)
        alone = world.evaluate(weak)
        against = evaluation.against_champion
        assert isinstance(evaluation.champion, Champion)
        assert evaluation.champion.version == "7"
        assert against.opponent_value == alone.metric("roc_auc").value
        assert against.value == pytest.approx(evaluation.metric("roc_auc").value - against.opponent_value)
        assert 0 < against.interval.low < against.value < against.interval.high
        assert against.n == evaluation.baseline.n

    def test_pairing_makes_the_interval_narrower_than_the_two_alone(self, world):
        world = world()
        crown(world, world.train(CandidateBlock(estimator="logistic_regression", params={"C": 0.1})))
        evaluation = world.evaluate(world.train())
        pair, alone = evaluation.against_champion.interval, evaluation.metric("roc_auc").interval
        assert (
            pair.high - pair.low < (alone.high - alone.low) * 0.7
        )  # 125 rows cannot tell two so alike apart

    def test_it_is_asked_for_the_fields_of_its_own_schema(self, world, typed_rows):
        old = world(typed_rows()[["customer_id", "age", "churned"]])
        champion = old.train()
        crown(old, champion)
        new = world(ports=fake_ports(bundles=old.ports.bundles, ledger=old.ports.ledger))
        against = new.evaluate(new.train(key="new")).against_champion
        assert against.value > 0
        assert against.error == ""

    def test_a_column_it_needs_and_that_is_gone_is_an_error_and_never_skipped(self, world, typed_rows):
        old = world()
        crown(old, old.train())
        ports = fake_ports(bundles=old.ports.bundles, ledger=old.ports.ledger)
        new = world(typed_rows().drop(columns="city"), ports=ports)
        against = new.evaluate(new.train(key="new")).against_champion
        assert (against.value, against.interval) == (None, None)
        assert "column 'city' is not in the snapshot, and the champion needs it" in against.error

    def test_a_column_that_changed_its_kind_is_an_error_too(self, world, typed_rows):
        old = world()
        crown(old, old.train())
        ports = fake_ports(bundles=old.ports.bundles, ledger=old.ports.ledger)
        frame = typed_rows().assign(age="forty")
        new = world(frame, kinds={"age": ColumnKind.CATEGORY}, ports=ports)
        against = new.evaluate(new.train(key="new")).against_champion
        assert against.value is None
        assert "'age' is read as number by the champion and as category in the snapshot" in against.error
        assert "`data.columns.age.kind: number`" in against.error

    def test_one_that_answers_something_else_is_an_error(self, world, typed_rows):
        old = world()
        crown(old, old.train())
        ports = fake_ports(bundles=old.ports.bundles, ledger=old.ports.ledger)
        frame = typed_rows().assign(price=range(600)).drop(columns="churned")
        new = world(frame, ports=ports, **REGRESSION, **PRICE)
        against = new.evaluate(new.train("ridge")).against_champion
        assert "the champion answers with a class, this model with a number" in against.error

    def test_one_that_does_not_know_the_positive_class_is_an_error(self, world, typed_rows):
        old = world()
        crown(old, old.train())
        ports = fake_ports(bundles=old.ports.bundles, ledger=old.ports.ledger)
        frame = typed_rows()
        frame["churned"] = np.where(frame["churned"], "yes", "no")
        new = world(frame, kinds={"churned": ColumnKind.CATEGORY}, ports=ports)
        against = new.evaluate(new.train(key="new")).against_champion
        assert "the champion's classes are booleans, this model's are text" in against.error
        assert "`data.columns.churned.kind: boolean`" in against.error

    def test_one_whose_pipeline_fails_is_an_error_without_its_words(self, world):
        world = world()
        champion = world.train("random_forest")
        crown(world, champion)
        pipeline = world.ports.bundles.by_digest[champion.bundle_digest].pipeline
        pipeline[-1].estimators_ = None
        against = world.evaluate(world.train()).against_champion
        assert against.value is None
        assert against.error == "the champion cannot answer these rows: TypeError"

    def test_a_ledger_out_of_reach_is_never_no_champion(self, world):
        world = world()
        trained = world.train()

        class Away:
            def champion(self, model):
                raise DatabaseUnavailableError("no answer")

        with pytest.raises(DatabaseUnavailableError):
            world.evaluate(trained, ports=replace(world.ports, ledger=Away()))

    def test_a_bundle_that_does_not_verify_stops_everything(self, world):
        world = world()
        trained = world.train()
        crown(world, trained.model_copy(update={"bundle_digest": digest("9")}))
        with pytest.raises(UnverifiedBundleError, match="the champion, version 1, cannot be met") as caught:
            world.evaluate(trained)
        assert not world.ports.tracker.added
        assert "windsock rollback churn" in caught.value.next_action

    def test_a_champion_that_does_not_verify_does_not_stop_training(self, world, caplog):
        world = world()
        trained = world.train()
        crown(world, trained.model_copy(update={"bundle_digest": digest("9")}))
        assert world.train(key=digest("8")).bundle_digest != trained.bundle_digest
        assert "the champion's request contract cannot be read, and is not taken over" in caplog.text


class TestWhatIsWritten:
    def test_the_run_gets_metrics_tags_and_files(self, world):
        world = world()
        trained = world.train()
        crown(world, trained)
        evaluation = world.evaluate(trained)
        added = world.ports.tracker.added[trained.run_id]
        assert added["metrics"]["held_out_roc_auc"] == evaluation.metric("roc_auc").value
        assert added["metrics"]["held_out_roc_auc_low"] == evaluation.metric("roc_auc").interval.low
        assert added["metrics"]["gap_roc_auc"] == evaluation.gap
        assert added["metrics"]["difference_to_baseline_roc_auc"] == evaluation.baseline.value
        assert added["metrics"]["difference_to_champion_roc_auc"] == 0.0
        card = added["files"]["evaluation/model_card.md"].decode()
        assert added["tags"] == {"windsock.evaluation": digest("e"), NOTE: card}
        (parent,) = world.ports.tracker.parents.values()
        assert parent["metrics"] == added["metrics"]
        assert parent["tags"]["windsock.chosen_run"] == trained.run_id
        assert set(added["files"]) == {
            f"evaluation/{name}"
            for name in (
                "confusion_matrix.png",
                "confusion_matrix.json",
                "curves.png",
                "importances.csv",
                "importances.png",
                "metrics.json",
                "model_card.md",
            )
        }
        confusion = json.loads(added["files"]["evaluation/confusion_matrix.json"])
        assert np.array(confusion["counts"]).sum() == trained.rows_held_out

    def test_a_regression_gets_its_residuals(self, world, typed_rows):
        frame = typed_rows().assign(price=range(600)).drop(columns="churned")
        world = world(frame, **REGRESSION, **PRICE, ports=fake_ports(charts=MatplotlibCharts()))
        evaluation = world.evaluate(world.train("ridge"))
        files = world.ports.tracker.added[evaluation.chosen.run_id]["files"]
        assert files["evaluation/residuals.png"].startswith(b"\x89PNG")
        assert "evaluation/confusion_matrix.png" not in files

    def test_importances_are_those_of_the_training_the_largest_first(self, world, monkeypatch):
        monkeypatch.setattr(importances, "MOST_SHUFFLES", 250)
        world = world()
        trained = world.train()
        found = world.ports.bundles.load(trained.bundle_uri, trained.bundle_digest).manifest.facts
        evaluation = world.evaluate(trained)
        content = world.ports.tracker.added[evaluation.chosen.run_id]["files"][
            "evaluation/importances.csv"
        ].decode()
        rows = list(csv.DictReader(io.StringIO(content)))
        assert {rows[0]["feature"], rows[1]["feature"]} == {"age", "visits"}
        assert [float(row["roc_auc_lost"]) for row in rows] == sorted(
            (mean for _, mean, _ in found["importances"]["lost"]), reverse=True
        )
        assert all(row["repeats"] == "3" for row in rows)

    def test_a_training_that_found_no_importances_leaves_no_file(self, world, monkeypatch):
        monkeypatch.setattr(reference, "measure_importances", lambda *given: {})
        world = world()
        evaluation = world.evaluate(world.train())
        files = world.ports.tracker.added[evaluation.chosen.run_id]["files"]
        assert not [name for name in files if "importances" in name]

    def test_the_card_is_filled_from_the_spec_and_the_numbers(self, world):
        world = world()
        evaluation = world.evaluate(world.train())
        card = evaluation.card
        assert card.missing == ()
        assert card.intended_use == "Rank customers by risk."
        assert "600 rows and 8 columns from file: churn.csv" in card.training_data_description
        assert world.snapshot.digest in card.training_data_description
        assert f"roc_auc {evaluation.metric('roc_auc').value:.4g} [" in card.evaluation_results
        page = world.ports.tracker.added[evaluation.chosen.run_id]["files"][
            "evaluation/model_card.md"
        ].decode()
        for part in (
            "# Model card: churn",
            "## Intended use",
            "## Limitations",
            "Not for pricing.",
            "| roc_auc |",
        ):
            assert part in page

    def test_a_person_s_own_words_stand_and_what_they_left_out_is_missing(self, world):
        world = world(gate={"card": {"limitations": "  ", "evaluation_results": "Reviewed by hand."}})
        evaluation = world.evaluate(world.train())
        assert evaluation.card.evaluation_results == "Reviewed by hand."
        assert evaluation.card.missing == ("intended_use", "limitations")

    def test_the_log_tells_numbers_and_no_row(self, world, caplog):
        world = world()
        trained = world.train()
        with caplog.at_level(logging.INFO):
            world.evaluate(trained)
        assert {record.name for record in caplog.records} == {"windsock.training.evaluate_model"}
        assert "held out: roc_auc" in caplog.text
        assert "no version serves by the ledger" in caplog.text
        assert "Berlin" not in caplog.text

    def test_a_second_try_ends_in_the_same_state(self, world):
        undisturbed, world = world(), world()
        expected = undisturbed.evaluate(undisturbed.train())
        trained = world.train()
        dying, countdown = killed_after(world.ports, 1)
        with pytest.raises(Killed):
            world.evaluate(trained, ports=dying)
        assert countdown.seen == 1
        assert numbers(world.evaluate(trained))["metrics"] == numbers(expected)["metrics"]
        ours, theirs = (one.ports.tracker.added["run1"] for one in (world, undisturbed))
        timed = {"latency_ms_per_sample"}
        assert {name: value for name, value in ours["metrics"].items() if name not in timed} == {
            name: value for name, value in theirs["metrics"].items() if name not in timed
        }
        assert set(ours["files"]) == set(theirs["files"])


class TestRefusals:
    def test_a_candidate_of_another_snapshot(self, world):
        world = world()
        other = world.train().model_copy(update={"snapshot_digest": digest("f")})
        with pytest.raises(DataRefusedError, match="was trained on snapshot ffffffffffff") as caught:
            world.evaluate(other)
        assert caught.value.code == "WS-EVALUATION-001"

    def test_nothing_held_out(self, world, typed_rows):
        world = world()
        trained = world.train()
        everyone = typed_rows().assign(customer_id="everyone")
        world.ports.snapshots.stored[("churn", world.snapshot.digest)] = (world.snapshot, everyone)
        with pytest.raises(TrainingRefusedError, match="none of the 600 rows is held out") as caught:
            world.evaluate(trained)
        assert caught.value.code == "WS-TRAINING-008"

    def test_a_chosen_bundle_that_is_gone(self, world):
        world = world()
        trained = world.train()
        with pytest.raises(UnverifiedBundleError):
            world.evaluate(trained, ports=replace(world.ports, bundles=FakeBundles()))


def test_numbers_are_finite_everywhere(world):
    world = world()
    evaluation = world.evaluate(world.train())

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            for part in value:
                walk(part)
        elif isinstance(value, float):
            assert math.isfinite(value)

    walk(evaluation.model_dump(mode="json"))
    walk(dict(world.ports.tracker.added[evaluation.chosen.run_id]["metrics"]))
