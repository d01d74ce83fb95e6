from __future__ import annotations

import pandas as pd
import pytest

from support.builders import make_evaluation, make_spec, make_validation
from support.fakes import fake_ports
from windsock.cli.app import run
from windsock.data.take_snapshot import take_snapshot
from windsock.governance.gate_model import gate_model
from windsock.records import GateModelInput, Interval, MetricValue, TakeSnapshotInput

TEXT = """
model: {name: churn}
data: {source: a.csv, target: churned, entity: customer_id}
gate: {minimum: {recall: 0.8, roc_auc: 0.8, brier: 0.1}, against_champion: {not_worse: 0.01}}
"""


@pytest.fixture
def ports(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    (tmp_path / "models" / "churn.yaml").write_text(TEXT, encoding="utf-8")
    made = fake_ports()
    monkeypatch.setattr("windsock.cli.gate.open_ports", lambda settings: made)
    return made


def snapshot(ports, each: int = 1) -> None:
    rows = 1000
    frame = pd.DataFrame(
        {"customer_id": [f"c{n // each}" for n in range(rows)], "age": [str(n % 60) for n in range(rows)]}
    )
    frame["churned"] = ["yes" if n % 10 < 3 else "no" for n in range(rows)]
    ports.sources.frame = frame.astype(object)
    take_snapshot(TakeSnapshotInput(spec=make_spec(), run={}), ports, "")


def evaluated(ports) -> None:
    positives = {"n": 60, "unit": "positives", "rows": 200}
    metrics = (
        MetricValue(name="recall", value=0.85, interval=Interval(low=0.73, high=0.93), **positives),
        MetricValue(name="roc_auc", value=0.9, interval=Interval(low=0.84, high=0.94), **positives),
        MetricValue(name="brier", value=0.12, n=200, rows=200, interval=Interval(low=0.1, high=0.14)),
    )
    step = GateModelInput(
        spec=make_spec(gate={"minimum": {"recall": 0.8}}),
        validation=make_validation(),
        evaluation=make_evaluation(metrics=metrics),
    )
    gate_model(step, ports, "key")


def lines(capsys) -> list[str]:
    assert run(["gate", "plan", "churn"]) == 0
    return capsys.readouterr().out.splitlines()


def test_before_anything_was_trained(ports, capsys):
    found = lines(capsys)
    assert found[1] == (
        "true values: no evaluation yet, so 0.01, 0.02, 0.05 better than the limits, "
        "and 0.05, 0.1, 0.2 better than knowing nothing"
    )
    assert "no snapshot yet" in found[2]
    table = "\n".join(found[3:])
    assert "recall, limit: at least 0.8" in table
    assert "0.85" in table
    assert "at least 20 rows, for an interval at all; then plan with that evaluation" in table
    assert "this model must beat one that knows nothing" in found[3]
    assert any("roc_auc better than knowing nothing" in line and "than 0.5" in line for line in found)
    assert any("not worse by 0.01 than the champion's" in line and "positives" in line for line in found)


def test_with_an_evaluation_and_a_snapshot(ports, capsys):
    snapshot(ports)
    evaluated(ports)
    found = lines(capsys)
    assert found[1].startswith("true values: those of the last evaluation, of 20")
    assert "held-out rows" in found[2]
    assert "positives" in found[2]
    recall = next(line for line in found if line.lstrip().startswith("recall, limit: at least 0.8"))
    assert "0.85" in recall
    assert "positives: too few" in recall
    roc = next(line for line in found if line.lstrip().startswith("roc_auc, limit: at least 0.8"))
    assert "positives: enough" in roc
    brier = next(line for line in found if line.lstrip().startswith("brier, limit: at most 0.1"))
    assert "no number of rows would do" in brier
    against = next(line for line in found if "not worse by 0.01" in line)
    assert "equal" in against


def test_a_rare_class_is_planned_from_its_share(ports, capsys):
    metric = {"n": 3, "unit": "positives", "rows": 300, "reason": "3 positives, at least 20 needed"}
    step = GateModelInput(
        spec=make_spec(),
        validation=make_validation(),
        evaluation=make_evaluation(metrics=(MetricValue(name="roc_auc", value=0.85, **metric),)),
    )
    gate_model(step, ports, "key")
    rows = 2000
    frame = pd.DataFrame({"customer_id": [f"c{n}" for n in range(rows)], "age": "3"})
    frame["churned"] = ["yes" if n % 100 == 0 else "no" for n in range(rows)]
    ports.sources.frame = frame.astype(object)
    take_snapshot(TakeSnapshotInput(spec=make_spec(), run={}), ports, "")
    found = [line for line in lines(capsys) if "champion's" in line]
    assert found
    assert all("positives: too few" in line and "first" not in line for line in found)


def test_entities_are_counted(ports, capsys):
    snapshot(ports, each=5)
    found = lines(capsys)
    assert "entities" in found[2]
    rows = [line for line in found[5:] if "entities with positives" in line]
    assert rows
    assert all(line.count("entities with positives") == 2 for line in rows), "today is in the same unit"
