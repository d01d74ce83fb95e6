"""The default candidates on real data, from the file's text to the held-out score."""

from __future__ import annotations

import pandas as pd
import pytest

from support.builders import CARD, make_validation
from support.fakes import FakeSources, fake_ports
from windsock.data.take_snapshot import take_snapshot
from windsock.records import EvaluateModelInput, Evaluation, TakeSnapshotInput, TrainModelInput
from windsock.spec import ModelSpec
from windsock.training.evaluate_model import evaluate_model
from windsock.training.train_model import train_model

pytestmark = pytest.mark.slow


def judged(file, **data) -> Evaluation:
    text = pd.read_csv(file, dtype=str, keep_default_na=False)
    ports = fake_ports(sources=FakeSources(text))
    source = {"kind": "file", "path": file.name}
    spec = ModelSpec.model_validate(
        {"model": {"name": "real"}, "data": {"source": source, **data}, "gate": {"card": CARD}}
    )
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "snapshot")
    validation = make_validation(snapshot_digest=snapshot.digest)
    candidates = tuple(
        train_model(
            TrainModelInput(spec=spec, snapshot=snapshot, validation=validation, candidate=candidate),
            ports,
            candidate.estimator,
        )
        for candidate in spec.candidates
    )
    return evaluate_model(
        EvaluateModelInput(spec=spec, snapshot=snapshot, candidates=candidates), ports, "evaluation"
    )


@pytest.mark.parametrize(
    ("file", "data", "least"),
    [
        ("telco_churn.csv", {"target": "Churn", "entity": "customerID"}, 0.83),
        ("adult_income.csv", {"target": "income-per-year", "sensitive": ["sex", "race"]}, 0.90),
        ("german_credit.csv", {"target": "credit"}, 0.65),
    ],
)
def test_the_default_candidates_reach_what_the_data_gives(shared_data, file, data, least):
    evaluation = judged(shared_data / file, **data)
    assert evaluation.metric("roc_auc").value >= least
    assert evaluation.baseline.interval.low > 0
    assert evaluation.latency.ms_per_sample < 10
    assert evaluation.card.missing == ()
