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
    ports = fake_ports(sources=FakeSources(frame))
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


def floats(groups, draw):
    return "konto", [f"{number + 7000}.0" for number in draw.permutation(groups)]


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
        (floats, True, "konto"),
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


def test_few_customers_with_many_rows(case):
    frame = repeated(nameless, "target", fixed=True, groups=60, rows=4000)
    case("entity: 60 values in 4,000 rows that fix the label", right="k", got=proposed(frame).entity)
    frame = repeated(patients, "target", fixed=False, groups=40, rows=600)
    case("entity: 40 patients, labels by chance", right="patient", got=proposed(frame).entity)


def test_a_category_that_predicts_is_none(case):
    draw = np.random.default_rng(7)
    places = draw.integers(0, 120, 3000)
    frame = pd.DataFrame(
        {
            "town": [f"town {'abcdefghij'[place % 10]}{'klmnopqrst'[place // 12]}" for place in places],
            "x": draw.normal(size=3000).round(3).astype(str),
            "churned": np.where(draw.random(3000) < draw.beta(1.5, 1.5, 120)[places], "yes", "no"),
        }
    ).astype(object)
    case("entity: 100 towns with rates of their own", right=None, got=proposed(frame).entity)
    case("entity: 100 towns pass validation", right=False, got=failed(frame))


@pytest.mark.parametrize("ids", [numbers, korean, nameless, letters, floats])
def test_validation_refuses_a_split_that_leaks(case, ids):
    frame = repeated(ids, "churned", fixed=True)
    name = frame.columns[1]
    case(f"entity: {name} on both sides", right=True, got=failed(frame))
    case(f"entity: {name} declared", right=False, got=failed(frame, entity=name))
