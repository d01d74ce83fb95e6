"""What was seen of each server, and the limits that Windsock is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import Bar
from serving_others import BARE, BENTOML, MLFLOW
from serving_windsock import WINDSOCK

if TYPE_CHECKING:
    from serving_load import Paced, Throughput
    from serving_servers import Weight

HEADER = (
    "model",
    "server",
    "1 row: req/s",
    "p50 ms",
    "p99 ms",
    "100 rows: req/s",
    "p99 ms",
    "worker RSS MiB",
    "PSS MiB",
    "whole server PSS MiB",
)
COMPILED = ("linear", "trees")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one server did with one model."""

    single: Throughput
    batch: Throughput
    weight: Weight

    def row(self, model: str, server: str) -> tuple[str, ...]:
        """Return its row of the table."""
        numbers = (
            f"{self.single.rate:,.0f}",
            f"{self.single.p50:.2f}",
            f"{self.single.p99:.2f}",
            f"{self.batch.rate:,.1f}",
            f"{self.batch.p99:.1f}",
            f"{self.weight.rss:.0f}",
            f"{self.weight.pss:.0f}",
            f"{self.weight.whole:.0f}",
        )
        return model, server, *numbers


@dataclass(frozen=True, kw_only=True)
class Ours:
    """What is measured of Windsock alone.

    :param engine: what computed: compiled (``linear``, ``trees``) or ``scikit-learn``.
    :param bare_paced: the bare ASGI app at the same rate: what the machine itself does to latency.
    :param missing: answered rows that are not in the prediction log.
    """

    engine: str
    paced: Paced
    bare_paced: Paced
    hey: Paced
    dropped: int
    missing: int


def bars_of(name: str, ours: Ours, seen: Mapping[str, Seen], rivals: Sequence[str]) -> list[Bar]:
    """Hold what was measured with a model against the limits.

    :param seen: by server.
    """
    label, mine, bare = f"{name} ({ours.engine})", seen[WINDSOCK], seen[BARE]
    compiled = ours.engine in COMPILED
    single = mine.single.rate / max(seen[rival].single.rate for rival in rivals)
    batch = mine.batch.rate / max(seen[rival].batch.rate for rival in rivals)
    near = bare.single.rate / mine.single.rate
    near_batch = bare.batch.rate / mine.batch.rate
    told = {
        "p95 of the same": ours.paced.p95,
        "p50 of the same": ours.paced.p50,
        "p99 of the generator's own delay": ours.paced.late,
        "p99 of the bare ASGI app at the same rate": ours.bare_paced.p99,
        "p99 by hey at the same rate": ours.hey.p99,
    }
    return [
        Bar(bar=f"{label}: compiled", value=float(compiled), limit=1.0, at_most=False, unit="model"),
        Bar(bar=f"{label}: 1 row, to the fastest rival", value=single, limit=20.0, at_most=False, unit="x"),
        Bar(bar=f"{label}: 100 rows, to the fastest rival", value=batch, limit=5.0, at_most=False, unit="x"),
        Bar(bar=f"{label}: 1 row, bare ASGI app to ours", value=near, limit=2.0, unit="x"),
        Bar(bar=f"{label}: 100 rows, bare ASGI app to ours", value=near_batch, unit="x"),
        Bar(bar=f"{label}: p99 at 80 % of our maximum", value=ours.paced.p99, limit=10.0, unit="ms"),
        *(Bar(bar=f"{label}: {what}", value=value, unit="ms") for what, value in told.items()),
        Bar(bar=f"{label}: log_dropped", value=ours.dropped, limit=0.0, unit="rows"),
        Bar(bar=f"{label}: answered rows not in the log", value=ours.missing, limit=0.0, unit="rows"),
        *_memory_bars(label, seen, rivals),
    ]


def _memory_bars(label: str, seen: Mapping[str, Seen], rivals: Sequence[str]) -> list[Bar]:
    mine, bars = seen[WINDSOCK].weight, []
    for rival in (MLFLOW, BENTOML):
        if rival in rivals:
            other = seen[rival].weight
            rss, whole = mine.rss / other.rss, mine.whole / other.whole
            bars.append(Bar(bar=f"{label}: worker's RSS, to {rival}", value=rss, limit=1.0, unit="x"))
            bars.append(Bar(bar=f"{label}: whole server's PSS, to {rival}", value=whole, unit="x"))
    return bars
