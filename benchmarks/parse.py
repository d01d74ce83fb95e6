"""How long Airflow takes to parse a DAG file that makes the DAGs of 100 models, beside an empty DAG file."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from harness import PROJECT, Bar, measure, report

MODELS = 100
REPEATS = 5
SPEC = """\
model: {{name: model_{number:03d}, owner: team{number}@company.com, task: classification, tier: low}}
data:
  source: {{kind: file, path: data/model_{number:03d}.csv}}
  target: churned
  entity: customer_id
  sensitive: [gender]
training:
  schedule: daily
  compute: cpu-medium
  candidates:
    - estimator: logistic_regression
    - estimator: hist_gradient_boosting
      search: {{trials: 20, minutes: 5}}
  metric: roc_auc
gate:
  minimum: {{roc_auc: 0.80}}
  card:
    intended_use: Rank customers by their risk of leaving.
    limitations: Not for pricing.
serving: {{type: online, target: local, sla_latency_ms: 50, min_replicas: 2, max_replicas: 10}}
monitoring: {{data_drift: true, performance_tracking: true, window: 1d, alert_channel: "#ml-alerts"}}
"""
EMPTY = """\
from __future__ import annotations
from airflow.sdk import DAG
with DAG("empty", schedule=None):
    pass
"""
CLOCK = """\
import json, sys, time
import airflow.sdk  # Airflow's own parser has it loaded before it forks
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
ready = time.perf_counter()
bag = DagBag(dag_folder=sys.argv[1], bundle_path=Path(sys.argv[1]).parent)
print(json.dumps([time.perf_counter() - ready, len(bag.dags), bag.import_errors]))
"""


def parse_seconds(file: Path, env: dict[str, str]) -> tuple[float, int, float]:
    """Return the median seconds of parsing a file, the DAGs it made, and the peak memory in MiB."""
    import json

    runs = [measure(file.name, [sys.executable, "-c", CLOCK, str(file)], env=env) for _ in range(REPEATS)]
    seconds, dags, errors = [], 0, {}
    for run in runs:
        spent, dags, errors = json.loads(run.output.splitlines()[-1])
        seconds.append(spent)
    if errors:
        raise RuntimeError(f"{file.name} does not import: {errors}")
    return median(seconds), dags, max(run.peak_mb for run in runs)


def main() -> int:
    """Measure both files in turn and tell."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        models = home / "include" / "models"
        models.mkdir(parents=True)
        for number in range(MODELS):
            (models / f"model_{number:03d}.yaml").write_text(SPEC.format(number=number), encoding="utf-8")
        (home / "empty.py").write_text(EMPTY, encoding="utf-8")
        env = {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "WINDSOCK_MODELS_DIR": str(models),
            "PYTHONPATH": os.pathsep.join([str(PROJECT / "plugins"), os.environ.get("PYTHONPATH", "")]),
        }
        empty, _, empty_mb = parse_seconds(home / "empty.py", env)
        ours, dags, ours_mb = parse_seconds(PROJECT / "dags" / "windsock_models.py", env)
    rows = [
        ("empty DAG file", "1", f"{empty:.3f}", f"{empty_mb:.0f}"),
        (f"{MODELS} models", str(dags), f"{ours:.3f}", f"{ours_mb:.0f}"),
    ]
    bars = [
        Bar(bar="seconds more than an empty DAG file", value=ours - empty, limit=2.0, unit="s"),
        Bar(bar="seconds for each model", value=(ours - empty) / MODELS, unit="s"),
        Bar(bar="DAGs made", value=dags, limit=2 * MODELS + 1, unit="DAGs", at_most=False),
    ]
    return report("parse", "Parsing DAG files", ("file", "DAGs", "median s", "peak MiB"), rows, bars)


if __name__ == "__main__":
    sys.exit(main())
