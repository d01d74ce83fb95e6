"""Customers who come again: the entity is proposed, and validation refuses a split that leaks them."""

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


def proposed(frame):
    text = write_starter(frame, source="x.csv", name="m", seen=seen_columns(frame)).text
    return spec_from_bytes(text.encode(), "m.yaml").data


def failed(frame, **data):
    ports = fake_ports(sources=FakeSources(frame, untyped=True))
    spec = make_spec(data={"entity": None, **data})
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    report = validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")
    return "entity_on_both_sides" in [check.name for check in report.failed]


def repeated(ids, target, *, fixed, groups=100, rows=600, seed=1):
    """Return rows of groups under their ids; the label is the group's own, or by chance."""
    draw = np.random.default_rng(seed)
    who = draw.integers(0, groups, rows)
    of_group = draw.integers(0, 2, groups)[who]
    label = of_group if fixed else draw.integers(0, 2, rows)
    names, places = ids(groups, draw), who
    return pd.DataFrame(
        {
            "visits": draw.poisson(5, rows).astype(str),
            names[0]: [names[1][place] for place in places],
            "spend": draw.gamma(2, 6, rows).round(2).astype(str),
            target: np.where(label == 1, "yes", "no"),
        }
    ).astype(object)


def numbers(groups, draw):
    return "customer_no", [str(5000 + number) for number in range(groups)]


def patients(groups, draw):
    return "patient", [f"P{number:03}" for number in range(groups)]


def korean(groups, draw):
    return "고객번호", [f"K{number:05}" for number in range(groups)]


def nameless(groups, draw):
    return "k", [str(number) for number in draw.permutation(90_000)[:groups] + 10_000]


def letters(groups, draw):
    return "wer", ["".join(word) for word in draw.choice(list("abcdefgh"), (groups, 7))]


@pytest.mark.parametrize(
    ("ids", "fixed", "name"),
    [
        (numbers, True, "customer_no"),
        (numbers, False, "customer_no"),
        (patients, False, "patient"),
        (korean, False, "고객번호"),
        (korean, True, "고객번호"),
        (nameless, True, "k"),
        (letters, True, "wer"),
    ],
)
def test_init_proposes_the_entity(case, ids, fixed, name):
    label = "its own label" if fixed else "labels by chance"
    case(f"entity: {name}, {label}", right=name, got=proposed(repeated(ids, "target", fixed=fixed)).entity)


def test_what_is_no_entity(case):
    draw = np.random.default_rng(6)
    age = draw.integers(18, 98, 1000)
    words = np.array(["good", "bad", "slow", "broken", "late", "never", "again", "fine"])
    frame = pd.DataFrame(
        {
            "age": age.astype(str),
            "amount": (age * 100 + draw.integers(0, 100, 1000)).astype(str),
            "comment": [" ".join(draw.choice(words, 4)) for _ in range(1000)],
            "zip": [f"{number:05}" for number in draw.integers(100, 400, 1000)],
            "target": np.where(draw.random(1000) < (age - 18) / 80, "yes", "no"),
        }
    ).astype(object)
    case("entity: ages, amounts, comments and zip codes are none", right=None, got=proposed(frame).entity)


@pytest.mark.parametrize("ids", [numbers, korean, nameless, letters])
def test_validation_refuses_a_split_that_leaks(case, ids):
    frame = repeated(ids, "churned", fixed=True)
    name = frame.columns[1]
    case(f"entity: {name} on both sides", right=True, got=failed(frame))
    case(f"entity: {name} declared", right=False, got=failed(frame, entity=name))
