"""Targets: labels that are not known yet, a scale of whole numbers, which of two classes scores are for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.cli.first_file import seen_columns
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import TakeSnapshotInput, ValidateDataInput
from windsock.spec.loader import spec_from_bytes
from windsock.spec.starter import write_starter

pytestmark = pytest.mark.cases


def table(target, values, rows=600):
    draw = np.random.default_rng(9)
    return pd.DataFrame(
        {
            "x": draw.normal(size=rows).round(3).astype(str),
            "z": draw.choice(["a", "b", "c"], rows),
            target: [values[number] for number in draw.integers(0, len(values), rows)],
        }
    ).astype(object)


def started(frame):
    starter = write_starter(frame, source="x.csv", name="m", seen=seen_columns(frame))
    return starter, spec_from_bytes(starter.text.encode(), "m.yaml")


@pytest.mark.parametrize("word", ["", "NA", "\\N"])
def test_rows_whose_label_is_not_known_yet(case, word):
    frame = table("target", ("yes", "no"))
    frame.loc[:20, "target"] = word
    _, spec = started(frame)
    ports = fake_ports(sources=FakeSources(frame))
    asked = make_spec(data={"entity": None, **spec.data.model_dump(exclude={"source"}, exclude_unset=True)})
    snapshot = take_snapshot(TakeSnapshotInput(spec=asked), ports, "")
    report = validate_data(ValidateDataInput(spec=asked, snapshot=snapshot), ports, "")
    case(f"target: {word!r} in 21 rows, init writes", right="drop", got=spec.data.unlabelled)
    case(
        f"target: {word!r} in 21 rows are left out", right=(21, 579), got=(snapshot.unlabelled, snapshot.rows)
    )
    case(f"target: {word!r} in 21 rows, validation", right="pass", got=report.status.value)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (tuple("12345"), "classification"),
        (tuple("012"), "classification"),
        (tuple(str(number) for number in range(21)), "regression"),
        (tuple(str(number) for number in range(13)), "regression"),
    ],
)
def test_a_small_scale_of_whole_numbers(case, values, task):
    starter, spec = started(table("stars", values))
    case(f"target: {len(values)} whole numbers", right=task, got=spec.task)
    asks = f"{len(values)} whole numbers, taken as" in " ".join(starter.notes) or len(values) > 20
    case(f"target: {len(values)} whole numbers, init asks", right=True, got=asks)


@pytest.mark.parametrize(
    ("target", "values", "positive"),
    [
        ("late", ("late", "ontime"), "late"),
        ("is_late", ("ontime", "late"), "late"),
        ("target", ("ja", "nein"), "ja"),
        ("x_left", ("0", "1"), 1),
        ("credit", ("1", "2"), None),
        ("risk", ("good", "bad"), None),
    ],
)
def test_which_class_scores_are_for(case, target, values, positive):
    starter, spec = started(table(target, values))
    case(f"target: positive of {'/'.join(values)}", right=positive, got=spec.data.positive)
    asks = "which class are scores for" in " ".join(starter.notes)
    case(f"target: {'/'.join(values)} is asked about", right=positive is None, got=asks)
