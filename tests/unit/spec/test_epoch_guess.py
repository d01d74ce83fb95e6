"""Times since 1970 under a name that no vocabulary has: proposed in a comment, never taken silently."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from support.fakes import FakeSources, fake_ports
from windsock.cli.first_file import seen_columns
from windsock.data.take_snapshot import take_snapshot
from windsock.records import ColumnKind, TakeSnapshotInput
from windsock.spec.epoch_guess import guess_epoch
from windsock.spec.loader import spec_from_bytes
from windsock.spec.starter import write_starter

ROWS = 200
DRAW = np.random.default_rng(7)
SECONDS = np.sort(DRAW.integers(1_700_000_000, 1_760_000_000, ROWS))
SHUFFLED = DRAW.permutation(SECONDS)


def starter(name: str, values: Any) -> str:
    frame = pd.DataFrame(
        {
            "kunde": [f"K{at}" for at in range(ROWS)],
            name: [str(one) for one in values],
            "churned": DRAW.choice(["Yes", "No"], ROWS),
        }
    )
    seen = seen_columns(frame)
    return write_starter(frame, source="x.csv", name="churn", target="churned", seen=seen).text


def read_as(text: str, name: str, values: Any) -> ColumnKind:
    """Return the kind that a snapshot by a model file gives the column."""
    ports = fake_ports(sources=FakeSources())
    ports.sources.frame = pd.DataFrame(
        {
            "kunde": [f"K{at}" for at in range(ROWS)],
            name: [str(one) for one in values],
            "churned": DRAW.choice(["Yes", "No"], ROWS),
        }
    )
    spec = spec_from_bytes(text.encode(), "churn.yaml")
    column = take_snapshot(TakeSnapshotInput(spec=spec), ports, "").column(name)
    assert column is not None
    return column.kind


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("vreme", SECONDS * 1000 + 7, "epoch_ms"),
        ("zeit", SHUFFLED, "epoch_s"),
        ("aika", SHUFFLED * 10**6 + 123, "epoch_us"),
        ("时刻", SECONDS * 10**9 + 1, "epoch_ns"),
    ],
)
def test_it_is_proposed_with_its_doubt_and_both_comments_work(name: str, values: Any, unit: str) -> None:
    text = starter(name, values)
    assert yaml.safe_load(text)["data"].get("event_time") is None
    assert yaml.safe_load(text)["data"].get("columns") is None
    comments = re.findall(r"  # ((?:event_time|columns): .*?)   # perhaps: .*", text)
    assert [comment.split(":")[0] for comment in comments] == ["event_time", "columns"]
    assert f"({unit})" in text
    for comment in comments:
        adopted = text.replace(f"  # {comment}", f"  {comment}")
        assert read_as(adopted, name, values) is ColumnKind.DATETIME


@pytest.mark.parametrize(
    "values",
    [
        DRAW.integers(1_000_000_000, 9_999_999_999, ROWS),  # numbers of phones
        DRAW.integers(4 * 10**15, 5 * 10**15, ROWS),  # of cards
        DRAW.integers(1, 10**13, ROWS),
        np.full(ROWS, 1_700_000_000_000),
        np.repeat(SHUFFLED[:20] * 1000, 10),
        SECONDS / 7,
    ],
)
def test_other_numbers_are_no_times(values: Any) -> None:
    assert guess_epoch(pd.Series(values)) is None
    assert "perhaps: its numbers" not in starter("broj", values)


def test_beside_an_event_time_it_may_be_a_date_to_learn_from() -> None:
    frame = pd.DataFrame(
        {
            "created_at": [f"2026-01-{at % 28 + 1:02}" for at in range(ROWS)],
            "vreme": [str(one) for one in SECONDS * 1000],
            "churned": DRAW.choice(["Yes", "No"], ROWS),
        }
    )
    made = write_starter(frame, source="x.csv", name="churn", target="churned", seen=seen_columns(frame))
    assert "event_time: created_at" in made.text
    assert "# event_time: vreme" not in made.text
    assert "# columns: {vreme: {kind: datetime, dates: epoch_ms}}" in made.text
    assert any("vreme: perhaps" in note for note in made.notes)
