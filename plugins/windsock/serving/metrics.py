"""Prometheus metrics, summed over the worker processes."""

from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that prometheus-client reads when it is imported."""
LAST = "ml_last_prediction_timestamp_seconds"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Usage(NamedTuple):
    """How much a version has answered since the server started, in all workers.

    :param rows: rows answered.
    :param calls: requests answered.
    :param seconds: time its pipeline took for them.
    :param last: time of the last one, in seconds since 1970; ``None``: there was none.
    """

    rows: int
    calls: int
    seconds: float
    last: float | None


class Metrics:
    """The server's metrics. With several workers they meet in the folder that the supervisor names."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        version = ("model", "model_version", "variant")
        self._rows = Counter("ml_predictions", "Rows answered.", version, registry=self.registry)
        self._seconds = Histogram(
            "ml_prediction_duration_seconds",
            "Time the model took for one request.",
            version,
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._last = Gauge(
            LAST,
            "When the last row was answered.",
            version,
            registry=self.registry,
            multiprocess_mode="max",
        )
        self._rejected = Counter(
            "ml_requests_rejected",
            "Requests that got no prediction.",
            ("reason",),
            registry=self.registry,
        )
        self._dropped = Counter(
            "windsock_log_dropped",
            "Predictions that were answered but not logged.",
            registry=self.registry,
        )

    def answered(
        self, model: str, version: str, variant: str, *, rows: int, seconds: float, at: float
    ) -> None:
        """Count a request that a version answered."""
        labels = (model, version, variant)
        self._rows.labels(*labels).inc(rows)
        self._seconds.labels(*labels).observe(seconds)
        self._last.labels(*labels).set(at)

    def rejected(self, reason: str) -> None:
        """Count a request that got no prediction."""
        self._rejected.labels(reason).inc()

    def log_dropped(self) -> None:
        """Count an answered prediction that is not in the log."""
        self._dropped.inc()

    def text(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text form."""
        return generate_latest(self._all())

    def usage(self) -> dict[tuple[str, str], Usage]:
        """Return how much each version of each model has answered."""
        found: dict[tuple[str, str], dict[str, float]] = {}
        for sample in self._samples():
            if "model_version" not in sample.labels or "le" in sample.labels:
                continue
            values = found.setdefault((sample.labels["model"], sample.labels["model_version"]), {})
            together = max if sample.name == LAST else operator.add
            values[sample.name] = together(values.get(sample.name, 0.0), sample.value)
        return {
            version: Usage(
                rows=int(values.get("ml_predictions_total", 0)),
                calls=int(values.get("ml_prediction_duration_seconds_count", 0)),
                seconds=values.get("ml_prediction_duration_seconds_sum", 0.0),
                last=values.get(LAST),
            )
            for version, values in found.items()
        }

    def dropped(self) -> int:
        """Return how many answered predictions are not in the log."""
        return int(sum(s.value for s in self._samples() if s.name == "windsock_log_dropped_total"))

    def _all(self) -> CollectorRegistry:
        if not os.environ.get(MULTIPROCESS_FOLDER):
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def _samples(self) -> Iterator[Sample]:
        for family in self._all().collect():
            yield from family.samples
