"""Parameters, metrics and tags of a run, written so that a second try adds nothing."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

BATCH = 100
MAX_PARAM, MAX_TAG = 6000, 5000


def write_values(
    client: MlflowClient,
    run: Run,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> None:
    """Write what the run does not hold yet, so that a second try adds nothing."""
    from mlflow.entities import Metric, Param, RunTag

    now = time.time_ns() // 1_000_000
    new_metrics = [
        Metric(name, float(value), now, 0)
        for name, value in _finite(metrics)
        if run.data.metrics.get(name) != float(value)
    ]
    new_params = [
        Param(name, _cut(value, MAX_PARAM)) for name, value in params.items() if name not in run.data.params
    ]
    new_tags = [
        RunTag(name, _cut(value, MAX_TAG))
        for name, value in tags.items()
        if run.data.tags.get(name) != _cut(value, MAX_TAG)
    ]
    for begin in range(0, max(len(new_metrics), len(new_params), len(new_tags)), BATCH):
        some = slice(begin, begin + BATCH)
        client.log_batch(run.info.run_id, new_metrics[some], new_params[some], new_tags[some])


def _finite(metrics: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield the finite ones: MLflow hides NaN from every filter and stores infinity as a number."""
    for name, value in metrics.items():
        if math.isfinite(value):
            yield name, value
        else:
            log.warning("WS-TRACKING-004: metric %s is not finite; it is not written to MLflow", name)


def _cut(value: str, limit: int) -> str:
    return value if len(value) <= limit else f"{value[: limit - 3]}..."
