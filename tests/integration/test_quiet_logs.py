"""What a quiet retrain's tasks log: a dozen lines of ours at most, none twice, and no warning."""

from __future__ import annotations

import logging
import warnings

import pytest

from support.builders import make_spec
from support.context import make_context
from support.fakes import FakeSources, fake_ports
from windsock.hooks.windsock import WindsockHook
from windsock.operators.deploy_model import DeployModelOperator
from windsock.operators.evaluate_model import EvaluateModelOperator
from windsock.operators.gate_model import GovernanceGateOperator
from windsock.operators.promote_model import PromoteModelOperator
from windsock.operators.register_model import RegisterModelOperator
from windsock.operators.take_snapshot import SnapshotDataOperator
from windsock.operators.train_model import TrainModelOperator
from windsock.operators.validate_data import ValidateDataOperator

ROWS = 400
MOST = 12
SPEC = make_spec(training={"candidates": [{"estimator": "logistic_regression"}]}, gate={"latency_ms": 1000})


def churn_frame():
    """Return rows in which two columns decide."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    age, calls = random.normal(50, 12, ROWS), random.poisson(2, ROWS)
    odds = 1 / (1 + np.exp(-(0.08 * (age - 50) + 1.2 * (calls - 2))))
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(ROWS)],
            "age": age,
            "calls": calls,
            "churned": random.random(ROWS) < odds,
        }
    )


@pytest.fixture
def logged(monkeypatch, caplog):
    """Run a task as Airflow does, and return its record and the lines of its log."""
    ports = fake_ports(sources=FakeSources(churn_frame()))
    monkeypatch.setattr(WindsockHook, "ports", lambda self: ports)
    caplog.set_level(logging.INFO)

    def run(operator, **given):
        caplog.clear()
        task = operator(task_id=operator.step, spec=SPEC, **given)
        context = make_context(task)
        record = task.execute(context)
        for callback in task.on_success_callback:
            callback(context)
        return record, list(caplog.records)

    return run


def test_a_quiet_retrain_is_quiet(logged):
    logs = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        snapshot, logs["snapshot"] = logged(SnapshotDataOperator)
        report, logs["validate"] = logged(ValidateDataOperator, snapshot=snapshot)
        trained, logs["train"] = logged(TrainModelOperator, snapshot=snapshot, validation=report, candidate=0)
        judged, logs["evaluate"] = logged(EvaluateModelOperator, snapshot=snapshot, candidates=[trained])
        decision, logs["gate"] = logged(GovernanceGateOperator, validation=report, evaluation=judged)
        version, logs["register"] = logged(RegisterModelOperator, decision=decision, evaluation=judged)
        _, logs["deploy"] = logged(DeployModelOperator, version=version)
        _, logs["promote"] = logged(PromoteModelOperator, version=version)
    for name, records in logs.items():
        lines = [record.getMessage() for record in records]
        assert len(lines) <= MOST, (name, lines)
        assert len(set(lines)) == len(lines), (name, lines)
        assert {record.name.partition(".")[0] for record in records} == {"windsock"}, (name, lines)
        assert {record.levelno for record in records} == {logging.INFO}, (name, lines)
        why = next(line for line in lines if line.startswith("WHY: ")).removeprefix("WHY: ")
        assert not [line for line in lines[:-4] if why in line], (name, lines)
