"""The models of the serving benchmark: made data, real training, a signed bundle, an export for rivals."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import PROJECT

sys.path.insert(0, str(PROJECT / "plugins"))

ROWS = 25_000
"""A fifth of it is held out: 20,000 rows are trained on."""
NUMBERS, CATEGORIES = 38, 10
ASKED_ROWS = 200
BATCH = 100
SEED = 20
MODELS = {
    "logistic": "logistic_regression",
    "boosting": "hist_gradient_boosting",
    "forest": "random_forest",
}
SPEC = """\
model: {{name: {name}, owner: bench@company.com}}
data: {{source: {csv}, target: answer}}
training:
  candidates: [{{estimator: {estimator}}}]
  metric: roc_auc
gate: {{card: {{intended_use: Measure serving., limitations: None worth naming.}}}}
"""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One model, for all servers.

    :param uri: its signed bundle.
    :param export: the fitted scikit-learn pipeline of that very bundle, as a joblib file.
    :param rows: rows to ask about, by column.
    :param expected: the pipeline's probability of the positive class for each of them.
    """

    name: str
    uri: str
    digest: str
    export: Path
    rows: list[dict[str, Any]]
    expected: list[float]


def write_data(file: Path) -> list[dict[str, Any]]:
    """Write the table to train on; return rows to ask about, which it does not hold.

    38 numbers, 10 categories of 3 to 39 words, a two-class answer that depends on both.
    """
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(SEED)
    total = ROWS + ASKED_ROWS
    numbers = draw.normal(size=(total, NUMBERS)) * np.linspace(0.5, 40, NUMBERS) + np.linspace(
        -20, 20, NUMBERS
    )
    columns: dict[str, Any] = {f"number_{k:02d}": numbers[:, k].round(4) for k in range(NUMBERS)}
    scaled = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    signal = scaled[:, :12] @ draw.normal(size=12) * 0.4 + scaled[:, 0] * scaled[:, 1] * 0.5
    for k in range(CATEGORIES):
        codes = draw.integers(0, 3 + 4 * k, total)
        columns[f"category_{k}"] = np.array([f"word_{code}" for code in range(3 + 4 * k)])[codes]
        signal += draw.normal(size=3 + 4 * k)[codes] * 0.3
    answer = np.where(signal + draw.logistic(size=total) > 0, "yes", "no")
    frame = pd.DataFrame(columns)
    frame[:ROWS].assign(answer=answer[:ROWS]).to_csv(file, index=False)
    return [{str(key): value for key, value in row.items()} for row in frame[ROWS:].to_dict("records")]


def train_all(home: Path, names: Sequence[str]) -> Iterator[Trained]:
    """Train models by the steps of the retrain DAG, up to their signed bundles.

    :param home: the installation's folder; its keys are made here.
    :param names: of :data:`MODELS`.
    """
    from windsock.adapters.build import build_ports
    from windsock.adapters.signing import create_keys

    settings = make_settings(home)
    create_keys(settings.keys_dir)
    csv = home / "data.csv"
    rows = write_data(csv)
    ports = build_ports(settings, connections=lambda name: name)
    for name in names:
        print(f"training {name}", file=sys.stderr, flush=True)
        yield _train(name, MODELS[name], ports, home, csv, rows)


def make_settings(home: Path) -> Any:
    """Return the settings of an installation that lives in a folder."""
    from windsock.settings import Settings

    return Settings.from_environment(
        {"WINDSOCK_HOME": str(home), "WINDSOCK_MODELS_DIR": str(home / "models")}
    )


def _train(
    name: str, estimator: str, ports: Any, home: Path, csv: Path, rows: list[dict[str, Any]]
) -> Trained:
    import joblib
    import yaml

    from windsock.spec import ModelSpec
    from windsock.steps import run_step
    from windsock.training.preprocessing import to_features

    spec = ModelSpec.model_validate(yaml.safe_load(SPEC.format(name=name, csv=csv, estimator=estimator)))
    snapshot = run_step("take_snapshot", {"spec": spec}, ports).record
    content = {"spec": spec, "snapshot": snapshot}
    validation = run_step("validate_data", content, ports).record
    content |= {"validation": validation, "candidate": spec.candidates[0]}
    trained: Any = run_step("train_model", content, ports).record
    loaded = ports.bundles.load(trained.bundle_uri, trained.bundle_digest)
    export = home / f"{name}.joblib"
    joblib.dump(loaded.pipeline, export)
    expected = loaded.pipeline.predict_proba(to_features(rows, loaded.schema.fields))[:, 1].tolist()
    return Trained(
        name=name,
        uri=trained.bundle_uri,
        digest=trained.bundle_digest,
        export=export,
        rows=rows,
        expected=expected,
    )
