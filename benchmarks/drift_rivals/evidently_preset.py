"""Evidently's DataDriftPreset, as its documentation shows it: ``evidently_preset.py REFERENCE CURRENT``."""

from __future__ import annotations

import sys

from timing import Stopwatch, tell

watch = Stopwatch()
import pandas as pd  # noqa: E402
from evidently import DataDefinition, Dataset, Report  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402

imported = watch.look()
reference, current = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
numbers = [name for name in reference if name.startswith("n")]
texts = [name for name in reference if name.startswith("c")]
definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
snapshot = Report([DataDriftPreset()]).run(
    Dataset.from_pandas(current, data_definition=definition),
    Dataset.from_pandas(reference, data_definition=definition),
)
found = snapshot.dict()["metrics"]
run = watch.look()
drifted = []
for metric in found:
    config = metric.get("config", {})
    column, method = config.get("column"), str(config.get("method", ""))
    if column is None:
        continue
    value, threshold = float(metric["value"]), float(config.get("threshold", 0.1))
    is_p = "p_value" in method
    if (value < threshold) if is_p else (value >= threshold):
        drifted.append(column)
tell(imported, run, drifted)
