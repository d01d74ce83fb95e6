"""A concept turns round on one day: the episode's retrain learns from the rows since, and they decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from support.log_rows import answered, events_of, line_of, row
from support.pipeline import retrain
from support.retraining import make_episode
from windsock.adapters.prediction_archive import hour_of, segment_folder
from windsock.adapters.prediction_rows import ArchivePredictionRows
from windsock.adapters.storage import Storage
from windsock.ports import Ports
from windsock.records import (
    Answer,
    ColumnKind,
    InputField,
    InputSchema,
    Outcome,
    OutcomeEvent,
    RunContext,
    Span,
)
from windsock.spec import ModelSpec
from windsock.steps import StepResult, run_step

DAY = timedelta(days=1)
FIRST = datetime(2026, 4, 1, tzinfo=UTC)
ONSET = FIRST + 6 * DAY
NOW = ONSET + 2 * DAY
EACH_DAY = 160
SCHEMA = InputSchema(
    model="churn",
    fields=(
        InputField(name="age", kind=ColumnKind.NUMBER),
        InputField(name="calls", kind=ColumnKind.INTEGER),
        InputField(name="at", kind=ColumnKind.DATETIME),
    ),
    answer=Answer.CLASS,
    classes=(False, True),
    positive=True,
)


def churn(rows: int, seed: int, *, turned: bool = False) -> pd.DataFrame:
    """Return customers: age decides, and once the world has turned round it decides for the opposite."""
    random = np.random.default_rng(seed)
    age, calls = random.normal(50, 12, rows).round(3), random.poisson(2, rows)
    odds = 1 / (1 + np.exp((age - 50) / 6 * (1 if turned else -1) - 0.3 * (calls - 2)))
    names = [f"c{seed}-{number}" for number in range(rows)]
    frame = pd.DataFrame({"customer_id": names, "age": age, "calls": calls})
    return frame.assign(churned=random.random(rows) < odds)


def write_log(folder: Path, digest: str) -> None:
    """Write eight days of answers and their outcomes, the last two of a world that has turned."""
    for number in range(8 * 8):
        at = FIRST + number * DAY / 8 + timedelta(minutes=5)
        frame = churn(EACH_DAY // 8, 10 + number, turned=at >= ONSET)
        said, told = [], []
        for place, one in enumerate(frame.itertuples()):
            name = f"d{number}-{place}"
            said.append(row(name, unit=one.customer_id, values=(one.age, one.calls, at.isoformat())))
            told.append(
                OutcomeEvent(
                    model="churn",
                    prediction_id=name,
                    outcome=bool(one.churned),
                    receive_time=at + timedelta(minutes=5),
                )
            )
        lines = {
            "predictions": line_of(*events_of(*answered(*said, at=at, schema=SCHEMA, digest=digest))),
            "outcomes": b"".join(line_of(one) for one in told),
        }
        for kind, content in lines.items():
            place = segment_folder(folder, kind, "churn", hour_of(at))
            place.mkdir(parents=True, exist_ok=True)
            (place / "1-001.ndjson").write_bytes(content)


def spec_of(**data: Any) -> ModelSpec:
    candidates = {"candidates": [{"estimator": "logistic_regression"}]}
    return make_spec(training=candidates, gate={"latency_ms": 1000}, data=data)


def answer_episode(ports: Ports, spec: ModelSpec, *, onset: datetime | None) -> dict[str, StepResult]:
    """Run the DAG's chain for the episode of the two bad days, from the claim to the end."""
    champion = ports.ledger.champion("churn")
    episode = make_episode(
        digest=champion.digest,
        trigger="performance",
        span=Span(start=ONSET, end=NOW),
        opened_at=NOW,
        onset=onset,
        loss=0.4,
    )
    ports.monitor.announce(episode)
    run = RunContext(dag_id="churn__drift_retrain", run_id="drift-1")
    asked = {"spec": spec, "episode_key": episode.key, "run": run}
    claim = run_step("claim_retrain", asked, ports).record
    assert claim.granted, claim.reason
    done = retrain(ports, spec, run=run, recent=claim.recent, onset=claim.episode.onset)
    outcome = "promoted" if "promote_model" in done else "kept"
    run_step("close_retrain", {"spec": spec, "claim": claim, "outcome": outcome, "run": run}, ports)
    return done


def area_on_new_rows(ports: Ports) -> float:
    """Return the champion's area under the curve in the world as it is now."""
    champion, rows = ports.ledger.champion("churn"), churn(4_000, 99, turned=True)
    bundle = ports.bundles.load(champion.bundle_uri, champion.digest)
    answers = bundle.pipeline.predict_proba(rows.assign(at=pd.Timestamp(NOW.replace(tzinfo=None))))
    return float(roc_auc_score(rows["churned"], answers[:, 1]))


@pytest.fixture(params=["by the customer", "by time"])
def turned(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Ports, ModelSpec]:
    """A champion of a world that has turned two days ago, and its log; rows are held out both ways."""
    by_time = request.param == "by time"
    spec = spec_of(event_time="at") if by_time else spec_of(exclude=["at"])
    dated = {"at": pd.date_range(FIRST - 100 * DAY, periods=1_500, freq="90min", tz="UTC")}
    (tmp_path / "project").mkdir()
    rows = ArchivePredictionRows(
        tmp_path,
        Storage(str(tmp_path / "storage")),
        keys_dir=None,
        roots=(tmp_path / "project",),
        connections=str,
    )
    ports = fake_ports(sources=FakeSources(churn(1_500, 1).assign(**dated)), rows=rows, now=lambda: NOW)
    retrain(ports, spec)
    write_log(tmp_path, ports.ledger.champion("churn").digest)
    return ports, spec


def test_the_champion_of_before_is_replaced_by_one_that_knows_the_new_world(turned):
    ports, spec = turned
    assert area_on_new_rows(ports) < 0.3
    done = answer_episode(ports, spec, onset=ONSET)
    snapshot, evaluation = done["take_snapshot"].record, done["evaluate_model"].record
    assert (snapshot.recent_rows, snapshot.onset_rows, snapshot.onset) == (8 * EACH_DAY, 2 * EACH_DAY, ONSET)
    learned = done["train_model[0]"].record.learned_from
    assert learned.name == "onset"
    assert [one.name for one in learned.sets] == ["all", "recent", "onset"]
    assert 40 < evaluation.recent_held_out < 90
    assert evaluation.judged_on == f"on {evaluation.recent_held_out} held-out rows since 2026-04-07 00:00 UTC"
    assert evaluation.against_champion.rows == evaluation.baseline.rows == evaluation.recent_held_out
    assert evaluation.against_champion.interval.low > 0.3
    decision = done["gate_model"].record
    assert decision.outcome is Outcome.PROMOTE
    assert decision.reason.endswith(evaluation.judged_on)
    assert ports.ledger.champion("churn").version == "2"
    assert area_on_new_rows(ports) > 0.8


def test_without_the_onset_the_days_before_it_decide(turned):
    ports, spec = turned
    done = answer_episode(ports, spec, onset=None)
    assert done["take_snapshot"].record.onset_rows == 0
    assert done["train_model[0]"].record.learned_from is None
    assert area_on_new_rows(ports) < 0.5
