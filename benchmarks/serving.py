"""Predictions over HTTP: Windsock's server beside mlflow, BentoML, MLServer, Flask and a bare ASGI app.

Three models of 38 numbers and 10 categories, JSON requests of one row (8 connections) and of 100 rows
(4 connections), one worker process each. Every server has one core, the load has the other. The rivals run in
virtual environments of their own, below ``$WINDSOCK_BENCH_CACHE`` (default: ``~/.cache/windsock-bench``), and
load the very pipeline of the bundle; every server's answers are compared with the pipeline's before it is
measured. Windsock validates, asks for an API key and logs each row. Needs ``taskset``, ``wrk`` and ``hey``.

``--quick``: two models, a few seconds, Flask as the only rival; a smoke test, whose numbers are no result.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import Bar, report
from serving_load import Paced, Throughput, flood, hey, paced, write_bodies
from serving_models import MODELS, Trained, train_all
from serving_others import BARE, BENTOML, FULL, MLFLOW, QUICK, Place, environments_folder, serve
from serving_servers import BenchFailedError, Questions, Running, Weight, ask
from serving_windsock import WINDSOCK, Installation, answered_rows, engine_of, read_health

SINGLE_CONNECTIONS, BATCH_CONNECTIONS, PACED_CONNECTIONS = 8, 4, 32
SHARE_OF_MAXIMUM = 0.8
LARGEST_DIFFERENCE = 1e-6
TWO_WORKERS = f"{WINDSOCK}, 2 workers, both cores"
HEADER = (
    "model",
    "server",
    "1 row: req/s",
    "p50 ms",
    "p99 ms",
    "100 rows: req/s",
    "p99 ms",
    "RSS MiB",
    "PSS MiB",
)


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
        )
        return model, server, *numbers


@dataclass(frozen=True, kw_only=True)
class Ours:
    """What is measured of Windsock alone.

    :param engine: what computed: compiled (``linear``, ``trees``) or ``scikit-learn``.
    :param missing: answered rows that are not in the prediction log.
    """

    seen: Seen
    engine: str
    paced: Paced
    hey: Paced
    dropped: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One run.

    :param seconds: of each measurement, after its warm-up.
    """

    place: Place
    installation: Installation
    seconds: int
    rivals: Sequence[str]
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)

    def model(self, trained: Trained) -> Ours:
        """Measure all servers with one model."""
        for name in (BARE, *self.rivals):
            with serve(name, trained, self.place) as (running, questions):
                self._keep(trained, name, self._measure(trained, running, questions))
        ours = self._ours(trained)
        with self.installation.serve(trained, workers=2) as (running, questions):
            self._keep(trained, TWO_WORKERS, self._measure(trained, running, questions))
        return ours

    def _keep(self, trained: Trained, name: str, seen: Seen) -> None:
        self.seen[trained.name, name] = seen
        told = f"{seen.single.rate:,.0f} requests/s with 1 row, {seen.batch.rate:,.1f} with 100"
        print(f"{trained.name}: {name}: {told}", file=sys.stderr, flush=True)

    def _measure(self, trained: Trained, running: Running, questions: Questions) -> Seen:
        require_answers(trained, running, questions)
        folder, seconds = self.place.folder, self.seconds
        bodies = write_bodies(folder / "single", questions.single)
        single = flood(running, questions, bodies, connections=SINGLE_CONNECTIONS, seconds=seconds)
        bodies = write_bodies(folder / "batch", questions.batch)
        batch = flood(running, questions, bodies, connections=BATCH_CONNECTIONS, seconds=seconds)
        return Seen(single=single, batch=batch, weight=running.weigh())

    def _ours(self, trained: Trained) -> Ours:
        with self.installation.serve(trained, workers=1) as (running, questions):
            seen = self._measure(trained, running, questions)
            self._keep(trained, WINDSOCK, seen)
            load = {
                "rate": seen.single.rate * SHARE_OF_MAXIMUM,
                "connections": PACED_CONNECTIONS,
                "seconds": self.seconds,
            }
            bodies = write_bodies(self.place.folder / "single", questions.single)
            open_loop = paced(running, questions, bodies, **load)  # type: ignore[arg-type]
            body = self.place.folder / "body"
            body.write_bytes(questions.single[0])
            checked = hey(running, questions, body, **load)  # type: ignore[arg-type]
            health = read_health(running)
        return Ours(
            seen=seen,
            engine=engine_of(health, trained.name),
            paced=open_loop,
            hey=checked,
            dropped=int(health["log_dropped"]),
            missing=answered_rows(health, trained.name) - self.installation.logged_rows(),
        )

    def bars(self, trained: Trained, ours: Ours) -> list[Bar]:
        """Hold what was measured with a model against the limits."""
        name, bare = trained.name, self.seen[trained.name, BARE]
        rivals = [self.seen[name, rival] for rival in self.rivals]
        fastest = max(seen.single.rate for seen in rivals), max(seen.batch.rate for seen in rivals)
        single, batch = ours.seen.single.rate / fastest[0], ours.seen.batch.rate / fastest[1]
        compiled = ours.engine in ("linear", "trees")
        near = 2.0 if compiled else None
        label = f"{name} ({ours.engine})"
        made = [
            Bar(
                bar=f"{label}: 1 row, to the fastest rival", value=single, limit=20.0, at_most=False, unit="x"
            ),
            Bar(
                bar=f"{label}: 100 rows, to the fastest rival",
                value=batch,
                limit=5.0,
                at_most=False,
                unit="x",
            ),
            Bar(
                bar=f"{label}: 1 row, bare ASGI app to ours",
                value=bare.single.rate / ours.seen.single.rate,
                limit=near,
                unit="x",
            ),
            Bar(
                bar=f"{label}: 100 rows, bare ASGI app to ours",
                value=bare.batch.rate / ours.seen.batch.rate,
                unit="x",
            ),
            Bar(bar=f"{label}: compiled", value=float(compiled), limit=1.0, at_most=False, unit="model"),
            Bar(bar=f"{label}: p99 at 80 % of our maximum", value=ours.paced.p99, limit=10.0, unit="ms"),
            Bar(bar=f"{label}: p95 of the same", value=ours.paced.p95, unit="ms"),
            Bar(bar=f"{label}: p50 of the same", value=ours.paced.p50, unit="ms"),
            Bar(bar=f"{label}: p99 of the generator's own delay", value=ours.paced.late, unit="ms"),
            Bar(bar=f"{label}: p99 by hey at the same rate", value=ours.hey.p99, unit="ms"),
            Bar(bar=f"{label}: log_dropped", value=ours.dropped, limit=0.0, unit="rows"),
            Bar(bar=f"{label}: answered rows not in the log", value=ours.missing, limit=0.0, unit="rows"),
        ]
        for rival in {MLFLOW, BENTOML} & set(self.rivals):
            ratio = ours.seen.weight.pss / self.seen[name, rival].weight.pss
            made.append(Bar(bar=f"{label}: memory, to {rival}", value=ratio, limit=1.0, unit="x"))
        return made


def require_answers(trained: Trained, running: Running, questions: Questions) -> None:
    """Compare a server's first answers with the pipeline's.

    :raises BenchFailedError: if a score differs by more than a millionth.
    """
    if questions.read is None:
        return
    got = questions.read(ask(running.address, questions, questions.single[0]))
    got += questions.read(ask(running.address, questions, questions.batch[0]))
    expected = [trained.expected[0], *trained.expected[: len(got) - 1]]
    largest = max(abs(a - b) for a, b in zip(got, expected, strict=True))
    if len(got) != 101 or largest > LARGEST_DIFFERENCE:
        raise BenchFailedError(f"{running.address}: {len(got)} scores, largest difference {largest:.3g}")


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--models", nargs="+", choices=MODELS, help="default: all; with --quick two")
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    for tool in ("taskset", "wrk", "hey"):
        if shutil.which(tool) is None:
            print(f"bench: {tool} is not there: apt-get install util-linux wrk hey", file=sys.stderr)
            return 1
    began = time.monotonic()
    names = asked.models or (["logistic", "boosting"] if asked.quick else list(MODELS))
    with tempfile.TemporaryDirectory(prefix="windsock-bench-") as folder:
        try:
            rows, bars = run(Path(folder), names, quick=asked.quick)
        except BenchFailedError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    title = "Predictions over HTTP: server pinned to one core, load to the other; API key, validation, log on"
    bars.append(Bar(bar="the whole run", value=(time.monotonic() - began) / 60, unit="minutes"))
    return report("serving_quick" if asked.quick else "serving", title, HEADER, rows, bars)


def run(home: Path, names: Sequence[str], *, quick: bool) -> tuple[list[tuple[str, ...]], list[Bar]]:
    """Train and measure each model; return the table's rows and the bars.

    :raises BenchFailedError: if a server does not start, answers wrongly, or refuses.
    """
    place = Place(environments=environments_folder(), folder=home / "run")
    place.folder.mkdir()
    trained = list(train_all(home, names))
    bench = Bench(
        place=place,
        installation=Installation.at(home),
        seconds=2 if quick else 6,
        rivals=QUICK if quick else FULL,
    )
    bars: list[Bar] = []
    for model in trained:
        bars += bench.bars(model, bench.model(model))
    return [seen.row(*key) for key, seen in bench.seen.items()], bars


if __name__ == "__main__":
    sys.exit(main())
