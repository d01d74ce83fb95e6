"""A model with a history: dated rows whose world changes on a day, a version, and its prediction log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from support.log_rows import line_of
from support.pipeline import retrain
from windsock.adapters.prediction_archive import hour_of, segment_folder
from windsock.ports import Ports
from windsock.records import OutcomeEvent, PredictionEvent
from windsock.spec import ModelSpec

BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
"""The first row that the first version learns from."""
HISTORY = datetime(2024, 4, 1, tzinfo=UTC)
"""The history begins."""
CHANGED = datetime(2024, 4, 6, tzinfo=UTC)
"""From then on customers are older, and age means the opposite."""
MODEL_FILE = """\
model: {name: churn, owner: ds@company.com}
data: {source: churn.csv, target: churned, event_time: asked_at}
training: {candidates: [{estimator: logistic_regression}]}
gate: {card: {intended_use: Rank customers., limitations: Made up.}}
monitoring: {window: 1d, performance: {window: 2d}, retrain: {cooldown: 1d, recent: 3d, history: 0.2}}
"""


def dated_frame(start: datetime, days: int, *, per_day: int = 400, seed: int = 1) -> pd.DataFrame:
    """Return rows in the order of their time, evenly spread over each day."""
    draw = np.random.default_rng(seed)
    rows = days * per_day
    times = [start + number * timedelta(days=1) / per_day for number in range(rows)]
    changed = np.array([moment >= CHANGED for moment in times])
    age = draw.normal(45, 10, rows) + 12 * changed
    visits = draw.poisson(4, rows)
    plan = draw.choice(["basic", "family", "pro"], rows, p=[0.6, 0.3, 0.1])
    logit = np.where(changed, -1.0, 1.0) * (age - 45 - 12 * changed) / 6 + (visits - 4) / 3
    return pd.DataFrame(
        {
            "asked_at": [f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for moment in times],
            "age": age.round(2),
            "visits": visits,
            "plan": plan,
            "churned": (draw.random(rows) < 1 / (1 + np.exp(-logit))),
        }
    )


def training_frame() -> pd.DataFrame:
    """Return the rows of the month before the history."""
    return dated_frame(BEGIN, 31, per_day=100, seed=2)


def first_version(ports: Ports, spec: ModelSpec) -> None:
    """Train a first version and let it serve."""
    done = retrain(ports, spec)
    assert "promote_model" in done, {name: result.record for name, result in done.items()}


def write_log(
    state_folder: Path,
    frame: pd.DataFrame,
    answers: Any,
    *,
    version: str,
    digest: str,
    label_delay: timedelta | Callable[[datetime], timedelta],
    model: str = "churn",
    until: datetime | None = None,
) -> None:
    """Write each row as an answered request of the server's log, and its truth as an outcome.

    :param answers: scores, shape (rows,).
    :param label_delay: of all answers, or by the time of each.
    :param until: outcomes that come later are not there; ``None``: all are.
    """
    events: dict[tuple[str, str], list[Any]] = {}
    for number, (row, score) in enumerate(zip(frame.to_dict("records"), answers.tolist(), strict=True)):
        asked = datetime.fromisoformat(row["asked_at"])
        told = asked + (label_delay(asked) if callable(label_delay) else label_delay)
        features = {name: row[name] for name in ("age", "visits", "plan")}
        prediction = PredictionEvent(
            prediction_id=f"p{number}",
            model=model,
            version=version,
            digest=digest,
            variant="champion",
            experiment=None,
            unit=None,
            epoch=2,
            event_time=None,
            receive_time=asked,
            client=None,
            features=features,
            score=score,
            prediction=bool(score >= 0.5),
            fallback_for=None,
            inference_ms=1.5,
        )
        events.setdefault(("predictions", hour_of(asked)), []).append(prediction)
        if until is not None and told >= until:
            continue
        outcome = OutcomeEvent(
            model=model, prediction_id=f"p{number}", outcome=bool(row["churned"]), receive_time=told
        )
        events.setdefault(("outcomes", hour_of(told)), []).append(outcome)
    for (kind, hour), found in events.items():
        folder = segment_folder(state_folder, kind, model, hour)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "1-001.ndjson").write_bytes(b"".join(line_of(one) for one in found))
