"""What every benchmark shares: measured commands, a table for people, a list of bars for machines.

A benchmark is one script. It measures everything it compares side by side in one run, prints a table, writes
``benchmarks/results/NAME.json`` (a list of ``{bar, value, limit, unit, ok}``) and exits 1 if a bar is missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = PROJECT / "benchmarks" / "results"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A number that is held against a limit.

    :param limit: ``None`` for a number that is only told.
    :param at_most: whether the value must lie at or below the limit; else at or above.
    """

    bar: str
    value: float
    unit: str
    limit: float | None = None
    at_most: bool = True

    @property
    def ok(self) -> bool:
        """Whether the bar is met."""
        if self.limit is None:
            return True
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One command, run to its end.

    :param wall: seconds by the clock.
    :param cpu: seconds of processor time, children included.
    :param peak_mb: largest resident memory of one of its processes, in MiB.
    :param output: what it printed.
    """

    name: str
    wall: float
    cpu: float
    peak_mb: float
    output: str


def measure(name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Measured:
    """Run a command in a process of its own and measure it.

    :raises RuntimeError: if it fails; its last lines are in the message.
    """
    script = (
        "import resource, subprocess, sys, time, json\n"
        "begin = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "wall = time.perf_counter() - begin\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([done.returncode, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024,"
        " done.stdout[-20000:], done.stderr[-4000:]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(env or {})},
    )
    code, wall, cpu, peak, output, errors = json.loads(done.stdout.splitlines()[-1])
    if code != 0:
        raise RuntimeError(f"{name} failed with exit code {code}:\n{output[-2000:]}\n{errors}")
    return Measured(name=name, wall=wall, cpu=cpu, peak_mb=peak, output=output)


def report(
    name: str, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], bars: Sequence[Bar]
) -> int:
    """Print the table and the bars, write the result file.

    :returns: 0 if every bar is met, else 1.
    """
    widths = [max(len(str(row[column])) for row in (header, *rows)) for column in range(len(header))]
    print(f"\n{title}\n")
    for row in (header, *rows):
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()
    for bar in bars:
        limit = (
            "told only" if bar.limit is None else f"{'at most' if bar.at_most else 'at least'} {bar.limit:g}"
        )
        print(f"{'ok  ' if bar.ok else 'MISS'} {bar.bar}: {bar.value:.4g} {bar.unit} ({limit})")
    RESULTS.mkdir(exist_ok=True)
    listed = [{**{k: v for k, v in asdict(bar).items() if k != "at_most"}, "ok": bar.ok} for bar in bars]
    (RESULTS / f"{name}.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    return 0 if all(bar.ok for bar in bars) else 1
