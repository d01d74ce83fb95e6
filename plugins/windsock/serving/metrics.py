"""Prometheus metrics, summed over the worker processes."""

from __future__ import annotations

import operator
import os
import struct
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.samples import Sample

Read = TypeVar("Read")
READ_TRIES, READ_PAUSE = 20, 0.01

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


class SummedHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Add observations.

        :param counts: how many fell into each bucket, the last one being that without an upper bound.
        :param total: their sum.
        """
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


class Tally:
    """What one version has answered in this worker since the last flush: plain numbers, quick to count up."""

    __slots__ = ("buckets", "last", "rows", "seconds", "whole", "whole_buckets")

    def __init__(self) -> None:
        self.rows = 0
        self.seconds = 0.0
        self.last = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.whole = 0.0
        self.whole_buckets = [0] * (len(BUCKETS) + 1)


class Metrics:
    """The server's metrics. With several workers they meet in the folder that the supervisor names.

    Answers are counted in plain numbers and brought there by :meth:`flush`, ten times a second: a shared
    counter costs as much as reading a request. A worker that is killed takes the last tenth with it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        version = ("model", "model_version", "variant")
        self._rows = Counter("ml_predictions", "Rows answered.", version, registry=self.registry)
        self._seconds = SummedHistogram(
            "ml_prediction_duration_seconds",
            "Time the model took for one request.",
            version,
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._whole = SummedHistogram(
            "ml_request_duration_seconds",
            "Time of one request in the server: queue, parsing, model, log.",
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
        self._fell_back = Counter(
            "ml_fallback_answers",
            "Rows answered by the fallback, because their version failed.",
            ("model", "policy"),
            registry=self.registry,
        )
        self._unanswered = Counter(
            "ml_unanswered_rows",
            "Rows that a rollout gave to a version, and that got no answer.",
            (*version, "cause"),
            registry=self.registry,
        )
        self._shadow_lost = Gauge(
            "ml_shadow_requests_lost",
            "Requests that a shadow got no copy of, or did not answer.",
            ("why",),
            registry=self.registry,
            multiprocess_mode="sum",
        )
        self._engine = Gauge(
            "ml_model_engine_info",
            "What computes a version's answers; 1 while it is loaded.",
            ("model", "model_version", "engine"),
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self._open = Gauge(
            "ml_circuit_open",
            "Workers in which a version is left alone because it failed.",
            ("model", "model_version"),
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._share = Gauge(
            "ml_traffic_share",
            "Share of the traffic that the route gives a version, from 0 to 1.",
            ("model", "model_version"),
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self._epoch = Gauge(
            "windsock_route_epoch",
            "Epoch of the route that a worker serves a model by.",
            ("model",),
            registry=self.registry,
            multiprocess_mode="liveall",
        )
        self._waiting = Gauge(
            "windsock_log_waiting",
            "Rows and outcomes that wait in memory for the disk.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._shares: dict[tuple[str, str], float] = {}
        self._epochs: dict[str, int] = {}
        self._tallies: dict[tuple[str, str, str], Tally] = {}
        self._engines: set[tuple[str, str, str]] = set()
        self._failing: set[tuple[str, str]] = set()
        self._dropped = Counter(
            "windsock_log_dropped",
            "Rows that are not in the log, answered or not.",
            registry=self.registry,
        )

    def answered(
        self,
        labels: tuple[str, str, str],
        rows: int,
        seconds: float,
        at: float,
        whole: float | None = None,
    ) -> None:
        """Count a request that a version answered.

        :param labels: model, version, variant.
        :param seconds: time that the model took.
        :param at: when it came, in seconds since 1970.
        :param whole: time of the request in the server; ``None``: nobody waited for it.
        """
        tally = self._tallies.get(labels)
        if tally is None:
            tally = self._tallies[labels] = Tally()
        tally.rows += rows
        tally.seconds += seconds
        tally.last = at
        tally.buckets[bisect_left(BUCKETS, seconds)] += 1
        if whole is not None:
            tally.whole += whole
            tally.whole_buckets[bisect_left(BUCKETS, whole)] += 1

    def flush(self) -> None:
        """Bring what was counted to where all workers' metrics meet. Only the event loop may call it."""
        tallies, self._tallies = self._tallies, {}
        for labels, tally in tallies.items():
            self._rows.labels(*labels).inc(tally.rows)
            self._seconds.labels(*labels).add(tally.buckets, tally.seconds)
            self._whole.labels(*labels).add(tally.whole_buckets, tally.whole)
            self._last.labels(*labels).set(tally.last)

    def fell_back(self, model: str, policy: str, rows: int) -> None:
        """Count rows that the fallback answered."""
        self._fell_back.labels(model, policy).inc(rows)

    def unanswered(self, labels: tuple[str, str, str], cause: str, rows: int) -> None:
        """Count rows that a rollout gave to a version in vain.

        :param labels: model, version, variant.
        """
        self._unanswered.labels(*labels, cause).inc(rows)

    def shadows(self, *, dropped: int, failed: int) -> None:
        """Tell how many requests the shadows of this worker have missed."""
        self._shadow_lost.labels("dropped").set(dropped)
        self._shadow_lost.labels("failed").set(failed)

    def engines(self, loaded: set[tuple[str, str, str]]) -> None:
        """Tell which versions are loaded in this worker.

        :param loaded: model, version and engine of each.
        """
        for labels in self._engines - loaded:
            self._engine.labels(*labels).set(0)
        for labels in loaded - self._engines:
            self._engine.labels(*labels).set(1)
        self._engines = set(loaded)

    def routes(self, epochs: Mapping[str, int], shares: Mapping[tuple[str, str], float]) -> None:
        """Tell by what routes this worker serves.

        :param epochs: of each model.
        :param shares: of each model and version, from 0 to 1.
        """
        for model, epoch in epochs.items():
            if self._epochs.get(model) != epoch:
                self._epoch.labels(model).set(epoch)
        for labels in self._shares.keys() - shares.keys():
            self._share.labels(*labels).set(0)
        for labels, share in shares.items():
            if self._shares.get(labels) != share:
                self._share.labels(*labels).set(share)
        self._epochs, self._shares = dict(epochs), dict(shares)

    def log_waiting(self, rows: int) -> None:
        """Tell how much waits in this worker for the disk."""
        self._waiting.set(rows)

    def circuits(self, failing: set[tuple[str, str]]) -> None:
        """Tell which versions are left alone in this worker.

        :param failing: model and version of each.
        """
        for labels in self._failing - failing:
            self._open.labels(*labels).set(0)
        for labels in failing - self._failing:
            self._open.labels(*labels).set(1)
        self._failing = set(failing)

    def rejected(self, reason: str) -> None:
        """Count a request that got no prediction."""
        self._rejected.labels(reason).inc()

    def log_dropped(self, rows: int) -> None:
        """Count rows that are not in the log."""
        self._dropped.inc(rows)

    def text(self, there: Collection[tuple[str, str]] | None = None) -> bytes:
        """Return the metrics of all workers in Prometheus' text form.

        :param there: model and version of what is in a plan: gauges of other versions are left out, counters
            stay; ``None``: nothing is left out.
        """
        return _steadily(lambda: generate_latest(_Present(self._all(), there)))

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
        """Return how many rows are not in the log."""
        return int(sum(s.value for s in self._samples() if s.name == "windsock_log_dropped_total"))

    def _all(self) -> CollectorRegistry:
        if not os.environ.get(MULTIPROCESS_FOLDER):
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def _samples(self) -> list[Sample]:
        return _steadily(lambda: [one for family in self._all().collect() for one in family.samples])


class _Present:
    """The families of a registry, without gauges of versions that are gone.

    :param there: as of :meth:`Metrics.text`.
    """

    def __init__(self, registry: CollectorRegistry, there: Collection[tuple[str, str]] | None) -> None:
        self.registry, self.there = registry, there

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        for family in self.registry.collect():
            if self.there is not None and family.type == "gauge":
                family.samples = [one for one in family.samples if self._is_there(one)]
            yield family

    def _is_there(self, one: Sample) -> bool:
        version = one.labels.get("model_version")
        return version is None or self.there is None or (one.labels["model"], version) in self.there


def _steadily(read: Callable[[], Read]) -> Read:
    """Read the files of all workers, again if one of them was just being made.

    A worker that starts makes its files empty and gives them their length a moment later; in between
    prometheus-client cannot read them.
    """
    for _ in range(READ_TRIES - 1):
        try:
            return read()
        except struct.error:
            time.sleep(READ_PAUSE)
    return read()
