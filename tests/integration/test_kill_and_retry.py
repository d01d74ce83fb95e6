"""A task killed right after any of its side effects, and retried, ends where an undisturbed run ends."""

from __future__ import annotations

import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from support.faults import Killed, killed_after
from support.pipeline import retrain, world
from windsock.exceptions import ApprovalRefusedError
from windsock.records import LedgerAction, Promotion

ROWS = 400
SPEC = make_spec(training={"candidates": [{"estimator": "logistic_regression"}]}, gate={"latency_ms": 1000})


def churn_frame(seed: int = 0):
    """Return rows in which two columns decide."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)
    age, calls = random.normal(50, 12, ROWS), random.poisson(2, ROWS)
    odds = 1 / (1 + np.exp(-(0.08 * (age - 50) + 1.2 * (calls - 2))))
    return pd.DataFrame(
        {
            "customer_id": [f"c{seed}-{number}" for number in range(ROWS)],
            "age": age,
            "calls": calls,
            "churned": random.random(ROWS) < odds,
        }
    )


def new_world(seed: int = 0):
    return fake_ports(sources=FakeSources(churn_frame(seed)))


@pytest.fixture(scope="module")
def undisturbed():
    """The world after one quiet run, and how many side effects it took."""
    ports = new_world()
    counted, countdown = killed_after(ports, 10_000)
    retrain(counted, SPEC)
    return world(ports, "churn"), countdown.seen


def test_a_quiet_run_serves_one_version(undisturbed):
    state, effects = undisturbed
    assert state["champion"][0] == "1"
    assert state["route"] == [("1", 10_000)]
    assert (state["snapshots"], state["bundles"], state["runs"], state["versions"]) == (1, 1, 1, 1)
    assert state["ledger"] == [
        ("accept", "-", 0),
        ("decide", "-", 0),
        ("register", "1", 0),
        ("deploy", "1", 1),
        ("intend", "1", 2),
        ("commit", "1", 2),
    ]
    assert state["aliases"] == {("churn", "champion"): "1"}
    assert state["chain"] is None
    assert effects >= 12


@pytest.mark.slow
def test_killed_after_each_side_effect_and_retried(undisturbed):
    state, effects = undisturbed
    ended = {}
    for after in range(1, effects + 1):
        ports = new_world()
        faulty, countdown = killed_after(ports, after)
        with pytest.raises(Killed):
            retrain(faulty, SPEC)
        assert countdown.seen == after
        retrain(ports, SPEC)
        ended[after] = world(ports, "churn")
    assert {after: end for after, end in ended.items() if end != state} == {}


@pytest.mark.slow
def test_killed_again_and_again(undisturbed):
    """Each try gets one side effect further than the one before."""
    state, effects = undisturbed
    ports = new_world()
    for after in range(1, effects + 1):
        faulty, _ = killed_after(ports, after)
        try:
            retrain(faulty, SPEC)
        except Killed:
            continue
        break
    retrain(ports, SPEC)
    assert world(ports, "churn") == state


def test_second_run_on_unchanged_data_changes_nothing(undisturbed):
    state, _ = undisturbed
    ports = new_world()
    retrain(ports, SPEC)
    again = retrain(ports, SPEC)
    assert {name for name, result in again.items() if not result.unchanged} <= {"approve_model"}
    assert world(ports, "churn") == state


def test_new_data_is_new_work_and_meets_the_champion():
    ports = new_world()
    retrain(ports, SPEC)
    ports.sources.frame = churn_frame(seed=1)
    again = retrain(ports, SPEC)
    evaluation = again["evaluate_model"].record
    assert not again["take_snapshot"].unchanged
    assert evaluation.champion.version == "1"
    assert evaluation.against_champion.n > 0


def test_after_a_roll_back_a_run_on_the_same_data_does_not_promote_again():
    from windsock.records import RollBackInput
    from windsock.steps import run_step

    not_worse = make_spec(
        training={"candidates": [{"estimator": "logistic_regression"}]},
        gate={"latency_ms": 1000, "against_champion": {"not_worse": 0.5}},
    )
    ports = new_world()
    retrain(ports, not_worse)
    ports.sources.frame = churn_frame(seed=1)
    retrain(ports, not_worse)
    assert ports.ledger.champion("churn").version == "2"
    run_step("roll_back", RollBackInput(model="churn", reason="complaints"), ports)
    assert ports.ledger.champion("churn").version == "1"
    again = retrain(ports, not_worse)
    promotion = again["promote_model"].record
    assert isinstance(promotion, Promotion)
    assert promotion.unchanged
    assert "rolled back" in promotion.reason
    assert ports.ledger.champion("churn").version == "1"


def test_a_version_overtaken_while_it_waited_is_judged_again_as_a_version_of_its_own():
    candidates = {"candidates": [{"estimator": "logistic_regression"}]}
    gate = {"latency_ms": 1000, "against_champion": {"not_worse": 0.5}}
    quick = make_spec(training=candidates, gate=gate)
    waits = make_spec(training=candidates, gate=gate, model={"tier": "medium"})
    ports = new_world()
    retrain(ports, quick)
    ports.sources.frame = churn_frame(seed=1)
    with pytest.raises(ApprovalRefusedError):
        retrain(ports, waits)
    ports.sources.frame = churn_frame(seed=2)
    retrain(ports, quick)
    assert ports.ledger.champion("churn").version == "3"
    ports.sources.frame = churn_frame(seed=1)
    again = retrain(ports, quick)
    rows = ports.ledger.rows("churn")
    registered = {row.version: row for row in rows if row.action is LedgerAction.REGISTER}
    assert registered["4"].digest == registered["2"].digest
    assert registered["4"].body["opponent"] == registered["3"].digest
    assert registered["4"].body["evidence_digest"] != registered["2"].body["evidence_digest"]
    assert again["promote_model"].record.version == "4"
