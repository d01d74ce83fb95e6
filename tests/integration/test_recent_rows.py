"""A retrain with recent rows: the gate decides on the recent held-out ones, whatever the others say."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from support.faults import Killed, killed_after
from support.forks import in_fork
from support.labelled import WINDOW, labelled
from support.pipeline import retrain, world
from windsock.records import Outcome, Status

ANSWERS = 500
CANDIDATES = {"candidates": [{"estimator": "logistic_regression"}]}


def spec_of(**blocks):
    return make_spec(**{"training": CANDIDATES, "gate": {"latency_ms": 1000}, **blocks})


def churn(rows: int, slope: float, seed: int) -> pd.DataFrame:
    """Return rows in which age decides: for it, or with a negative slope against it."""
    random = np.random.default_rng(seed)
    age, calls = random.normal(50, 12, rows).round(3), random.poisson(2, rows)
    odds = 1 / (1 + np.exp(-slope * (age - 50) / 6))
    return pd.DataFrame(
        {
            "customer_id": [f"c{seed}-{number}" for number in range(rows)],
            "age": age,
            "calls": calls,
            "churned": random.random(rows) < odds,
        }
    )


def answers(slope: float, seed: int, count: int = ANSWERS):
    rows = churn(count, slope, seed)
    features = rows[["age", "calls"]].to_dict("records")
    return labelled(features, rows["churned"].tolist(), unit=rows["customer_id"].tolist())


def served(source: pd.DataFrame, spec):
    """Return ports of a world in which a first model of these rows serves."""
    ports = fake_ports(sources=FakeSources(source))
    retrain(ports, spec)
    assert ports.ledger.champion("churn").version == "1"
    return ports


@pytest.fixture(scope="module")
def turned():
    """A champion of a world that has turned since, and what the retrain came to."""
    spec = spec_of(monitoring={"retrain": {"history": 0.5}})
    ports = served(churn(1500, 1.0, 1), spec)
    ports.rows.joined = answers(-1.0, 2)
    return ports, retrain(ports, spec, recent=WINDOW)


class TestAChampionThatIsBadOnRecentRows:
    def test_is_beaten_on_the_recent_held_out_ones(self, turned):
        ports, done = turned
        evaluation, decision = done["evaluate_model"].record, done["gate_model"].record
        assert decision.outcome is Outcome.PROMOTE
        assert ports.ledger.champion("churn").version == "2"
        assert evaluation.against_champion.value > 0.3
        assert evaluation.against_champion.opponent_value < 0.3
        assert 70 < evaluation.recent_held_out < 130
        assert {metric.rows for metric in evaluation.metrics} == {evaluation.recent_held_out}
        assert evaluation.baseline.rows == evaluation.against_champion.rows == evaluation.recent_held_out

    def test_the_rest_stands_beside_it(self, turned):
        _, done = turned
        evaluation = done["evaluate_model"].record
        assert [metric.name for metric in evaluation.overall] == [
            metric.name for metric in evaluation.metrics
        ]
        assert {metric.rows for metric in evaluation.overall} == {evaluation.chosen.rows_held_out}
        assert evaluation.chosen.rows_held_out > evaluation.recent_held_out
        overall = next(metric for metric in evaluation.overall if metric.name == "roc_auc")
        assert overall.value < evaluation.metric("roc_auc").value
        assert evaluation.gap == pytest.approx(evaluation.chosen.train_score - overall.value)

    def test_everyone_is_told_on_which_rows(self, turned):
        ports, done = turned
        evaluation, decision = done["evaluate_model"].record, done["gate_model"].record
        rows = f"{evaluation.recent_held_out} recent held-out rows"
        assert decision.reason.endswith(f"; judged on {rows}")
        check = next(check for check in decision.checks if check.name == "champion_comparison")
        assert check.message.endswith(f", limit: above 0, n={check.n} {check.unit} of {rows}: pass")
        assert f"on {rows}, of {evaluation.chosen.rows_held_out}" in evaluation.card.evaluation_results
        assert "500 of the rows are recent: answers of 2026-04-01 to 2026-05-01" in (
            evaluation.card.training_data_description
        )
        added = ports.tracker.added[evaluation.chosen.run_id]
        assert "| roc_auc, on all held-out rows |" in added["files"]["evaluation/model_card.md"].decode()
        assert added["metrics"]["held_out_roc_auc"] == evaluation.metric("roc_auc").value
        assert added["metrics"]["overall_held_out_roc_auc"] < added["metrics"]["held_out_roc_auc"]

    def test_a_second_run_changes_nothing(self, turned):
        ports, _ = turned
        before = world(ports, "churn")
        again = retrain(ports, spec_of(monitoring={"retrain": {"history": 0.5}}), recent=WINDOW)
        assert {name for name, result in again.items() if not result.unchanged} <= {"approve_model"}
        assert world(ports, "churn") == before


def test_a_champion_that_is_good_on_recent_rows_stays_though_it_is_worse_on_all():
    """The challenger learns from many rows of before; on all held-out rows it would win."""
    spec = spec_of(monitoring={"retrain": {"history": 4}})
    ports = served(churn(1500, -1.0, 3), spec)
    ports.sources.frame = churn(3000, 1.0, 1)
    ports.rows.joined = answers(-1.0, 2)
    done = retrain(ports, spec, recent=WINDOW)
    evaluation, decision = done["evaluate_model"].record, done["gate_model"].record
    assert next(metric for metric in evaluation.overall if metric.name == "roc_auc").value > 0.6
    assert evaluation.against_champion.opponent_value > 0.8
    assert evaluation.against_champion.value < -0.3
    assert decision.outcome is not Outcome.PROMOTE
    assert "recent held-out rows" in decision.reason
    assert ports.ledger.champion("churn").version == "1"


def test_an_equal_model_is_kept_back():
    """Nothing has changed but the rows: drift alone promotes nothing."""
    spec = spec_of()
    ports = served(churn(1500, 1.0, 1), spec)
    ports.rows.joined = answers(1.0, 2)
    done = retrain(ports, spec, recent=WINDOW)
    assert done["gate_model"].record.outcome is Outcome.KEEP
    assert ports.ledger.champion("churn").version == "1"


def test_few_recent_rows_are_too_little_evidence():
    spec = spec_of(gate={"latency_ms": 1000, "minimum": {"roc_auc": 0.75}})
    ports = served(churn(1500, 1.0, 1), spec)
    ports.rows.joined = answers(0.5, 2, count=80)
    done = retrain(ports, spec, recent=WINDOW)
    checks = {check.name: check for check in done["gate_model"].record.checks}
    assert 10 <= done["evaluate_model"].record.recent_held_out < 30
    assert checks["performance_minimum:roc_auc"].n < 20  # of the rarer class
    assert checks["performance_minimum:roc_auc"].status is Status.INSUFFICIENT
    assert done["gate_model"].record.outcome is Outcome.REFUSE


def test_by_time_both_models_are_judged_on_the_latest_answers():
    """The answers hold their own latest fifth out: the model learns from the others, though all are new."""
    spec = spec_of(data={"event_time": "at"}, monitoring={"retrain": {"history": 0.5}})
    source = churn(1500, 1.0, 1).assign(at=pd.date_range("2026-01-01", periods=1500, freq="h", tz="UTC"))
    ports = served(source, spec)
    ports.rows.joined = answers(-1.0, 2)
    done = retrain(ports, spec, recent=WINDOW)
    evaluation = done["evaluate_model"].record
    assert evaluation.recent_held_out == ANSWERS // 5
    assert evaluation.chosen.rows_held_out == (ANSWERS + ANSWERS // 2) // 5
    assert evaluation.against_champion.value > 0.3
    assert done["gate_model"].record.outcome is Outcome.PROMOTE


@pytest.mark.slow
def test_killed_after_each_side_effect_and_retried():
    spec = spec_of(monitoring={"retrain": {"history": 0.5}})

    ports = served(churn(600, 1.0, 1), spec)  # trained once: each run goes on from there in a fork of its own
    ports.rows.joined = answers(-1.0, 2)

    def quiet():
        counted, countdown = killed_after(ports, 10_000)
        retrain(counted, spec, recent=WINDOW)
        return world(ports, "churn"), countdown.seen

    def killed_and_retried(after):
        faulty, _ = killed_after(ports, after)
        with pytest.raises(Killed):
            retrain(faulty, spec, recent=WINDOW)
        retrain(ports, spec, recent=WINDOW)
        return world(ports, "churn")

    state, effects = in_fork(quiet)
    assert state["champion"][0] == "2"
    ended = {after: in_fork(partial(killed_and_retried, after)) for after in range(1, effects + 1)}
    assert {after: end for after, end in ended.items() if end != state} == {}
    assert effects >= 12
    assert world(ports, "churn")["champion"][0] == "1", "no fork has changed the world of another"
