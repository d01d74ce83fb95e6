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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import Bar, report
from serving_bars import HEADER, Ours, Seen, bars_of
from serving_load import Throughput, flood, hey, paced, write_bodies
from serving_models import MODELS, Trained, train_all
from serving_others import BARE, FULL, QUICK, Place, environments_folder, serve
from serving_servers import BenchFailedError, Questions, Running, ask, busy_elsewhere
from serving_windsock import WINDSOCK, Installation, answered_rows, engine_of, read_health

SINGLE_CONNECTIONS, BATCH_CONNECTIONS, PACED_CONNECTIONS = 8, 4, 32
SHARE_OF_MAXIMUM = 0.8
ROUNDS = 3
"""How often the bare ASGI app and Windsock take turns: their ratio must not hang on one moment."""
PACED_SECONDS = 8
SETTLE_SECONDS = 2.0
"""Before latency is measured: the log of the flood before goes to the disk."""
LARGEST_DIFFERENCE = 1e-6
TWO_WORKERS = f"{WINDSOCK}, 2 workers, both cores"


Server = tuple[Running, Questions]


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
        for name in self.rivals:
            with serve(name, trained, self.place) as (running, questions):
                self._measure(trained, {name: (running, questions)}, rounds=1)
        ours = self._ours(trained)
        with self.installation.serve(trained, workers=2) as (running, questions):
            self._measure(trained, {TWO_WORKERS: (running, questions)}, rounds=1)
        return ours

    def _measure(self, trained: Trained, servers: Mapping[str, Server], *, rounds: int) -> None:
        """Measure servers in turn, several times; the median of the rounds counts."""
        single: dict[str, list[Throughput]] = {name: [] for name in servers}
        batch: dict[str, list[Throughput]] = {name: [] for name in servers}
        for running, questions in servers.values():
            require_answers(trained, running, questions)
        for _ in range(rounds):
            for name, (running, questions) in servers.items():
                load = self._flood(running, questions.single, questions, SINGLE_CONNECTIONS)
                single[name].append(load)
                batch[name].append(self._flood(running, questions.batch, questions, BATCH_CONNECTIONS))
        for name, (running, _) in servers.items():
            seen = Seen(single=middle(single[name]), batch=middle(batch[name]), weight=running.weigh())
            self.seen[trained.name, name] = seen
            told = f"{seen.single.rate:,.0f} requests/s with 1 row, {seen.batch.rate:,.1f} with 100"
            print(f"{trained.name}: {name}: {told}", file=sys.stderr, flush=True)

    def _flood(
        self, running: Running, bodies: Sequence[bytes], questions: Questions, connections: int
    ) -> Throughput:
        file = write_bodies(self.place.folder / "bodies", bodies)
        return flood(running, questions, file, connections=connections, seconds=self.seconds)

    def _ours(self, trained: Trained) -> Ours:
        with (
            serve(BARE, trained, self.place) as bare,
            self.installation.serve(trained, workers=1) as (running, questions),
        ):
            both = {BARE: bare, WINDSOCK: (running, questions)}
            self._measure(trained, both, rounds=ROUNDS)
            rate = self.seen[trained.name, WINDSOCK].single.rate * SHARE_OF_MAXIMUM
            bodies = write_bodies(self.place.folder / "bodies", questions.single)
            time.sleep(SETTLE_SECONDS)
            calm, ours = (
                paced(*server, bodies, rate=rate, connections=PACED_CONNECTIONS, seconds=PACED_SECONDS)
                for server in both.values()
            )
            bodies.write_bytes(questions.single[0])
            checked = hey(
                running, questions, bodies, rate=rate, connections=PACED_CONNECTIONS, seconds=self.seconds
            )
            health = read_health(running)
        return Ours(
            engine=engine_of(health, trained.name),
            paced=ours,
            bare_paced=calm,
            hey=checked,
            dropped=int(health["log_dropped"]),
            missing=answered_rows(health, trained.name) - self.installation.logged_rows(),
        )


def middle(rounds: Sequence[Throughput]) -> Throughput:
    """Return the round with the median rate."""
    return sorted(rounds, key=lambda seen: seen.rate)[len(rounds) // 2]


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
        seconds=2 if quick else 5,
        rivals=QUICK if quick else FULL,
    )
    bars: list[Bar] = []
    for model in trained:
        others = busy_elsewhere()
        ours = bench.model(model)
        by_server = {server: seen for (name, server), seen in bench.seen.items() if name == model.name}
        bars += bars_of(model.name, ours, by_server, bench.rivals)
        bars.append(Bar(bar=f"{model.name}: cores that others used before", value=others, unit="cores"))
    return [seen.row(*key) for key, seen in bench.seen.items()], bars


if __name__ == "__main__":
    sys.exit(main())
