"""Model files of an installation that things happen to: small, and quickly trained."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from support.stack import write_visits

PLAIN: dict[str, Any] = {
    "model": {"owner": "ds@company.com"},
    "data": {"target": "bought", "entity": "visitor"},
    "training": {"candidates": [{"estimator": "logistic_regression"}]},
    "gate": {
        "against_champion": {"not_worse": 0.5},
        "latency_ms": 1000,
        "card": {"intended_use": "Rank visitors.", "limitations": "Made up."},
    },
    "monitoring": {"data_drift": False, "performance_tracking": False},
}
"""A model without monitoring and without rollout."""
ROLLED_OUT: dict[str, Any] = {
    "rollout": {
        "strategy": "ab",
        "metric": "conversion",
        "guardrails": {"errors": 0.05, "slow": None},
        "check": "30s",
        "cycle": "30s",
        "bake": "10s",
        "minimum_units": 600,
        "deadline": "1h",
    }
}
MONITORED: dict[str, Any] = {
    "monitoring": {
        "data_drift": True,
        "performance_tracking": False,
        "window": "1m",
        "lateness": "5s",
        "retrain": {"windows": 1, "of": 1, "cooldown": "1m", "per_day": 100, "recent": "1h", "history": 0.1},
    }
}


def write_include(include: Path, project: Path, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the folder of an installation: the shipped settings and these models, each with a source."""
    folder = include / "models"
    folder.mkdir(parents=True)
    shutil.copy(project / "include" / "windsock.yaml", include)
    for name, blocks in models.items():
        write_model(folder, name, blocks)
        write_visits(folder / f"{name}.csv")


def write_model(folder: Path, name: str, blocks: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a model's file, which differs from a plain one by these blocks; return it."""
    content = copy.deepcopy(PLAIN)
    content["model"]["name"] = name
    content["data"]["source"] = f"{name}.csv"
    for block, values in blocks.items():
        content[block] = {**content.get(block, {}), **values}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file
