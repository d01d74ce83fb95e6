"""Rare classes: what init proposes for them, and a classifier that never answers with one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import CARD, make_spec
from support.fakes import FakeSources, fake_ports
from support.pipeline import retrain
from windsock.cli.first_file import seen_columns
from windsock.spec.loader import spec_from_bytes
from windsock.spec.starter import write_starter

pytestmark = pytest.mark.cases


def table(rows, rare, *, classes=("no", "yes"), strength=0.8, seed=5):
    """Return rows of which a share is of the last class; two numbers rank them and never make it likely."""
    draw = np.random.default_rng(seed)
    target = np.where(draw.random(rows) < rare, len(classes) - 1, draw.integers(0, len(classes) - 1, rows))
    is_rare = target == len(classes) - 1
    return pd.DataFrame(
        {
            "amount": (draw.normal(size=rows) + strength * is_rare).round(4).astype(str),
            "hour": (draw.normal(size=rows) + target * (len(classes) > 2)).round(4).astype(str),
            "target": [classes[code] for code in target],
        }
    ).astype(object)


@pytest.mark.parametrize(
    ("rare", "classes", "right"),
    [
        (0.01, ("no", "yes"), "average_precision"),
        (0.04, ("0", "1"), "average_precision"),
        (0.02, ("a", "b", "c"), "average_precision"),
        (0.12, ("no", "yes"), "roc_auc"),
    ],
)
def test_init_proposes_a_metric_that_sees_the_class(case, rare, classes, right):
    frame = table(3_000, rare, classes=classes)
    starter = write_starter(frame, source="x.csv", name="m", seen=seen_columns(frame))
    spec = spec_from_bytes(starter.text.encode(), "m.yaml")
    case(f"rare: {rare:.0%} of {len(classes)} classes, init proposes", right=right, got=spec.metric)
    said = any("a model that never finds it is right in" in note for note in starter.notes)
    case(f"rare: {rare:.0%} of {len(classes)} classes, base rate is given", right=rare < 0.05, got=said)


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ({"training": {"metric": "accuracy"}}, ("refuse", "fail")),
        ({"training": {"metric": "roc_auc"}, "gate": {"minimum": {"f1_macro": 0.1}}}, ("refuse", "fail")),
        ({"training": {"metric": "roc_auc"}}, ("promote", "pass")),
        ({"training": {"metric": "average_precision"}}, ("promote", "pass")),
    ],
)
def test_a_class_that_is_never_answered(case, written, right):
    frame = table(9_000, 0.035)
    spec = make_spec(
        data={"source": {"kind": "file", "path": "x.csv"}, "target": "target", "entity": None},
        training={"candidates": [{"estimator": "logistic_regression"}], **written["training"]},
        gate={"card": CARD, **written.get("gate", {})},
    )
    done = retrain(fake_ports(sources=FakeSources(frame)), spec)
    decision = done["gate_model"].record
    check = next(check for check in decision.checks if check.name == "answered_classes")
    got = (decision.outcome.value, check.status.value)
    case(f"rare: never answered, decided by {written}", right=right, got=got)
    assert "'yes'" in check.message or "True" in check.message
