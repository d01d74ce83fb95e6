"""Leaks of the target: a copy, a column that is filled only after the event, strong honest columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import CARD, make_spec
from support.fakes import FakeSources, fake_ports
from support.pipeline import retrain
from windsock.cli.first_file import seen_columns
from windsock.spec.starter import write_starter

pytestmark = pytest.mark.cases


def copied(rows=600, seed=3):
    """Return rows with a copy of the target in other words."""
    draw = np.random.default_rng(seed)
    left = draw.random(rows) < 0.53
    return pd.DataFrame(
        {
            "x": draw.normal(size=rows).round(3).astype(str),
            "z": draw.choice(list("abc"), rows),
            "target": np.where(left, "yes", "no"),
            "leak": np.where(left, "2.6", "0.1"),
        }
    ).astype(object)


def refunded(rows=900, seed=4, codes=40):
    """Return rows with a column that is filled only after the event, in nine of ten rows of it."""
    draw = np.random.default_rng(seed)
    left = draw.random(rows) < 0.52
    there = left & (draw.random(rows) < 0.89)
    return pd.DataFrame(
        {
            "age": (draw.normal(size=rows) + 0.8 * left).round(3).astype(str),
            "fare": draw.gamma(3, 10, rows).round(2).astype(str),
            "refund_ticket": np.where(there, [f"R{code}" for code in draw.integers(0, codes, rows)], ""),
            "target": np.where(left, "yes", "no"),
        }
    ).astype(object)


def strong(rows=600, seed=5):
    """Return rows with several strong columns, as measurements of a tumour are."""
    draw = np.random.default_rng(seed)
    ill = draw.random(rows) < 0.4
    size = draw.normal(size=rows) + 3.2 * ill
    parts = {f"size_{part}": size + draw.normal(scale=0.3, size=rows) for part in ("a", "b", "c")}
    text = {name: values.round(4).astype(str) for name, values in parts.items()}
    return pd.DataFrame({**text, "target": np.where(ill, "yes", "no")}).astype(object)


def asked(frame, **data):
    """Return what the gate says of a table: its outcome and what a person is asked about."""
    spec = make_spec(
        data={"source": "x.csv", "target": "target", "entity": None, **data},
        training={"candidates": [{"estimator": "logistic_regression"}]},
        gate={"card": CARD},
    )
    done = retrain(fake_ports(sources=FakeSources(frame)), spec, people=())
    decision = done["gate_model"].record
    named = [one.column for one in done["validate_data"].record.suspects]
    return decision.outcome.value, decision.asks, named


@pytest.mark.parametrize(
    ("what", "frame", "data", "right"),
    [
        ("a copy", copied(), {}, ("promote", ("leak_suspects",), ["leak"])),
        ("a copy, checked", copied(), {"known_leaks_checked": ["leak"]}, ("promote", (), [])),
        ("filled afterwards", refunded(), {}, ("promote", ("leak_suspects",), ["refund_ticket"])),
        ("filled afterwards, excluded", refunded(), {"exclude": ["refund_ticket"]}, ("promote", (), [])),
        ("codes filled afterwards, no feature", refunded(codes=90_000), {}, ("promote", (), [])),
        ("strong columns", strong(), {}, ("promote", (), [])),
    ],
)
def test_the_gate_asks_about_what_gives_the_target_away(case, what, frame, data, right):
    case(f"leaks: {what}: the gate", right=right, got=asked(frame, **data))


@pytest.mark.parametrize(
    ("what", "frame", "right"),
    [
        ("a copy", copied(), "excluded, for they hold the answer: leak"),
        ("filled afterwards", refunded(), "refund_ticket (AUC 0.9"),
        ("codes filled afterwards", refunded(codes=90_000), "refund_ticket (AUC 0.9"),
    ],
)
def test_init_names_it(case, what, frame, right):
    notes = write_starter(frame, source="x.csv", name="m", target="target", seen=seen_columns(frame)).notes
    case(f"leaks: {what}: init says", right=True, got=any(right in note for note in notes))
