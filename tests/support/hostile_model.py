"""A model whose file and data hold texts that something might render; it trains, is approved and serves."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import yaml

from support.payloads import IMAGE, MIXED, PASSWORD, PRODUCT, SCRIPT, SHORT, TOKEN

MODEL = "hostile"
BROKEN = "hostile_params"
SOURCE = f"visits {PASSWORD}.csv"
TARGET = f"bought {PRODUCT} {IMAGE}"
ENTITY = f"visitor {TOKEN}"
NUMBER = f"pages {PASSWORD} {SCRIPT.replace('/', '')}"
CATEGORY = f"channel {PRODUCT} $x$ | a\n# b"
CATEGORIES = (f"search {TOKEN}", f"mail {IMAGE}", f"shop {PASSWORD} | b\x1b[31m")
POSITIVE, NEGATIVE = f"yes {PRODUCT} {SCRIPT}", f"no {PASSWORD}"
CHANNEL = f"channel {SHORT}"


def hostile_spec() -> dict[str, Any]:
    """Return the content of the model's file."""
    return {
        "model": {
            "name": MODEL,
            "owner": SHORT,
            "tier": "medium",
            "description": f"- {MIXED}",
            "runbook": f"javascript:alert(1) {MIXED}",
        },
        "data": {
            "source": SOURCE,
            "target": TARGET,
            "positive": POSITIVE,
            "entity": ENTITY,
            "exclude": [f"gone {SHORT}"],
            "required": [NUMBER],
        },
        "training": {"candidates": [{"estimator": "logistic_regression", "params": {"solver": "lbfgs"}}]},
        "gate": {
            "latency_ms": 1000,
            "card": {
                "intended_use": MIXED,
                "limitations": f"---\n\n{MIXED}",
                "training_data_description": MIXED,
                "evaluation_results": MIXED,
            },
        },
        "monitoring": {
            "labels": {"kind": "file", "path": f"../{SHORT}.csv", "outcome": SHORT},
            "alert_channel": CHANNEL,
            "performance": {"business": {"name": SHORT[:100], "sql": PRODUCT, "minimum": 0.1}},
        },
    }


def broken_spec() -> dict[str, Any]:
    """Return the content of a file whose hyperparameters are templates: it loads, and cannot train."""
    params = {"solver": TOKEN, "penalty": PASSWORD, PRODUCT: MIXED}
    content = hostile_spec()
    content["model"]["name"] = BROKEN
    content["training"]["candidates"] = [{"estimator": "logistic_regression", "params": params}]
    return content


def write_hostile(include: Path) -> None:
    """Write both models and their rows, a file that cannot be used, and a channel in the shared file."""
    models, shared = include / "models", include / "windsock.yaml"
    words = yaml.safe_load(shared.read_text()) or {}
    channels = {CHANNEL: {"kind": "smtp", "conn_id": f"mail {SHORT}", "to": ["a@company.com"]}}
    words["alert_channels"] = {**(words.get("alert_channels") or {}), **channels}
    shared.write_text(yaml.safe_dump(words))
    (models / f"{MODEL}.yaml").write_text(json.dumps(hostile_spec()))
    (models / f"{BROKEN}.yaml").write_text(json.dumps(broken_spec()))
    refused = {"model": {"name": "unusable", MIXED: MIXED, "tier": MIXED}, "training": {"schedule": MIXED}}
    (models / "unusable.yaml").write_text(json.dumps(refused))
    write_visits(models / SOURCE)


def write_visits(file: Path, rows: int = 800) -> None:
    """Write a data set that can be learned, whose names and categories are hostile."""
    draw = random.Random(7)  # noqa: S311
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([ENTITY, NUMBER, "minutes", CATEGORY, TARGET])
        for number in range(rows):
            pages, minutes = draw.randint(1, 40), round(draw.uniform(0.5, 60), 2)
            kind = draw.randrange(3)
            score = pages / 10 + minutes / 30 + (kind == 1) + draw.gauss(0, 0.7)
            said = POSITIVE if score > 3.2 else NEGATIVE
            writer.writerow([f"v{number:05d}", pages, minutes, CATEGORIES[kind], said])
