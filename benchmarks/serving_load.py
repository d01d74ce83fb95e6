"""Load: as much as a server takes (``wrk``), and a constant rate (an open loop of our own, and ``hey``)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving_servers import BenchFailedError, Questions, Running, cores

HERE = Path(__file__).resolve().parent
WARM_SECONDS = 2


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What ``wrk`` saw: every answer was 2xx, no connection failed.

    :param rate: requests a second.
    :param answered: requests, the warm-up included.
    :param p50: milliseconds under this full load.
    """

    rate: float
    answered: int
    p50: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class Paced:
    """Latency at a constant rate, in milliseconds from the moment a request was due.

    :param answered: requests.
    :param late: 99th percentile of how late the generator itself was, in milliseconds.
    """

    answered: int
    p50: float
    p95: float
    p99: float
    late: float = 0.0


def write_bodies(file: Path, bodies: Sequence[bytes]) -> Path:
    """Write one body a line."""
    file.write_bytes(b"\n".join(bodies) + b"\n")
    return file


def flood(
    running: Running, questions: Questions, bodies: Path, *, connections: int, seconds: int
) -> Throughput:
    """Ask as fast as the connections allow, after a warm-up.

    :raises BenchFailedError: if an answer is not 2xx or a connection fails.
    """
    answered, told = 0, {}
    for span in (WARM_SECONDS, seconds):
        told = _wrk(running, questions, bodies, connections=connections, seconds=span)
        answered += told["requests"]
        if told["status"] or told["socket"] or not told["requests"]:
            raise BenchFailedError(
                f"{running.address}: {told['requests']} answers, {told['status']} of them refusals, "
                f"{told['socket']} failed connections or timeouts:\n{running.tail()}"
            )
    return Throughput(
        rate=told["requests"] / told["seconds"], answered=int(answered), p50=told["p50"], p99=told["p99"]
    )


def _wrk(
    running: Running, questions: Questions, bodies: Path, *, connections: int, seconds: int
) -> dict[str, float]:
    headers = [f"{name}={value}" for name, value in questions.headers.items()]
    command = ["taskset", "-c", str(cores()[1]), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", "20s", "-s", str(HERE / "serving_rivals" / "post.lua")]
    command += [running.address + questions.path, "--", str(bodies), *headers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    told = re.search(r"^BENCH (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or told is None:
        raise BenchFailedError(f"wrk failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return dict(json.loads(told[1]))


def paced(
    running: Running, questions: Questions, bodies: Path, *, rate: float, connections: int, seconds: int
) -> Paced:
    """Ask at a constant rate, whatever the server does.

    :raises BenchFailedError: if an answer is not 2xx or a request was never answered.
    """
    plan = {
        "address": running.address,
        "path": questions.path,
        "headers": dict(questions.headers),
        "bodies": str(bodies),
        "rate": rate,
        "connections": connections,
        "seconds": seconds,
    }
    script = "from serving_open_loop import main; main()"
    command = ["taskset", "-c", str(cores()[1]), sys.executable, "-c", script]
    done = subprocess.run(
        command,
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        timeout=seconds + 90,
        cwd=HERE,
        check=False,
    )
    if done.returncode:
        raise BenchFailedError(f"the open loop failed: {done.stderr[-2000:]}\n{running.tail()}")
    return Paced(**json.loads(done.stdout))


def hey(
    running: Running, questions: Questions, body: Path, *, rate: float, connections: int, seconds: int
) -> Paced:
    """Ask one body again and again by ``hey -q``, a client that is not ours, as a cross-check.

    Its latency begins when it sends, so that a server that stalls looks better than in :func:`paced`.

    :raises BenchFailedError: if an answer is not 200.
    """
    command = ["taskset", "-c", str(cores()[1]), "hey", "-z", f"{seconds}s", "-c", str(connections)]
    command += ["-q", f"{rate / connections:.3f}", "-m", "POST", "-T", "application/json", "-D", str(body)]
    for name, value in questions.headers.items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(
        [*command, running.address + questions.path],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    shares = {
        int(share): float(value) * 1e3 for share, value in re.findall(r"(\d+)% in ([\d.]+) secs", done.stdout)
    }
    statuses = {
        int(code): int(count) for code, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", done.stdout)
    }
    if set(statuses) != {200} or not {50, 95, 99} <= set(shares) or "Error distribution" in done.stdout:
        raise BenchFailedError(f"hey failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return Paced(answered=statuses[200], p50=shares[50], p95=shares[95], p99=shares[99])
