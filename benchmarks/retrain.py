"""A whole daily retrain beside the same work as a plain scikit-learn + MLflow script: time and memory."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from harness import PROJECT, Bar, Measured, measure, report

SPEC = """\
model: {{name: bench, owner: bench@company.com}}
data: {{source: {csv}, target: {target}}}
gate:
  latency_ms: 50
  card: {{intended_use: Measure a retrain., limitations: None worth naming.}}
"""
RIVALS = Path(__file__).parent / "rivals"


def data_sets() -> list[tuple[str, Path, str]]:
    """Return the data to measure on: the bundled sample, and a real table where there is one."""
    found = [("churn sample", PROJECT / "include" / "data" / "churn_sample.csv", "churned")]
    adult = PROJECT.parent / "shared" / "data" / "adult_income.csv"
    return [*found, ("adult income", adult, "income-per-year")] if adult.exists() else found


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def windsock_retrain(home: Path, csv: Path, target: str) -> Measured:
    """Run the DAG with a server of its own, whose start is not measured."""
    models = home / "include" / "models"
    models.mkdir(parents=True)
    (models / "bench.yaml").write_text(SPEC.format(csv=csv, target=target), encoding="utf-8")
    port = free_port()
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "WINDSOCK_SERVER_URL": f"http://127.0.0.1:{port}",
        "WINDSOCK_MODELS_DIR": str(models),
    }
    tool = str(Path(sys.executable).parent / "windsock")
    subprocess.run([tool, "keys", "init"], check=True, env=env, capture_output=True)
    airflow = str(Path(sys.executable).parent / "airflow")
    subprocess.run([airflow, "db", "migrate"], check=True, env=env, capture_output=True)
    server = subprocess.Popen([tool, "serve", "--port", str(port)], env=env, stdout=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health")
        return measure("windsock", [sys.executable, str(RIVALS / "windsock_retrain.py"), "bench"], env=env)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - an address made above
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{address} did not answer within 60 s")


def main() -> int:
    """Measure both on each data set and tell."""
    rows, bars = [], []
    for name, csv, target in data_sets():
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            plain = measure(
                "plain", [sys.executable, str(RIVALS / "plain_retrain.py"), str(csv), target, str(home)]
            )
            ours = windsock_retrain(home / "airflow", csv, target)
        for who, run in (("plain script", plain), ("windsock DAG", ours)):
            rows.append((name, who, f"{run.wall:.1f}", f"{run.cpu:.1f}", f"{run.peak_mb:.0f}"))
        bars += [
            Bar(bar=f"{name}: wall time, DAG / script", value=ours.wall / plain.wall, limit=3.0, unit="x"),
            Bar(
                bar=f"{name}: peak memory, DAG / script",
                value=ours.peak_mb / plain.peak_mb,
                limit=2.0,
                unit="x",
            ),
        ]
    header = ("data", "what", "wall s", "CPU s", "peak MiB")
    return report("retrain", "A whole daily retrain", header, rows, bars)


if __name__ == "__main__":
    sys.exit(main())
