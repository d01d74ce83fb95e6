from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import TakeSnapshotInput, ValidateDataInput

CHECK = "entity_on_both_sides"


def visits(people=80, each=8, seed=3):
    """Rows of people whose label is theirs; nothing else tells it."""
    draw = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    rows = len(who)
    return pd.DataFrame(
        {
            "kunde": (draw.permutation(9000)[:people] + 1000)[who].astype(str),
            "order_id": [f"o{number}" for number in range(rows)],
            "day": [f"2026-0{number % 6 + 1}-{number % 28 + 1:02}" for number in range(rows)],
            "age": draw.integers(18, 90, people)[who].astype(str),
            "x": draw.normal(size=rows).round(3).astype(str),
            "churned": np.where(draw.integers(0, 2, people)[who] == 1, "Yes", "No"),
        }
    ).astype(object)


def check(given, **data):
    ports = fake_ports(sources=FakeSources(given))
    spec = make_spec(data={"entity": None, **data})
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    report = validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")
    return next(one for one in report.checks if one.name == CHECK)


@pytest.mark.parametrize("data", [{}, {"entity": "order_id"}, {"exclude": ["kunde"]}])
def test_one_customer_on_both_sides_of_a_random_split_fails(data):
    found = check(visits(), **data)
    assert not found.passed
    assert found.code == "WS-DATA-170"
    assert "values of kunde have rows on both sides" in found.message
    assert "`data.entity: kunde`" in found.message
    assert found.value > 60


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"entity": "kunde"}, "rows of one kunde are held out together"),
        ({"event_time": "day"}, "by day: time decides, so it is allowed"),
        ({"event_time": "day", "entity": "kunde"}, "by day: time decides, so it is allowed"),
        ({"features": ["kunde", "x"]}, "no column repeats like an identity"),
    ],
)
def test_what_settles_it(data, says):
    found = check(visits(), **data)
    assert found.passed
    assert says in found.message


def test_labels_by_chance_leak_nothing():
    given = visits()
    given["churned"] = np.random.default_rng(1).permutation(given["churned"].to_numpy())
    assert check(given).passed


def test_equal_ages_are_no_identity():
    draw = np.random.default_rng(4)
    age = draw.integers(18, 98, 1000)
    given = pd.DataFrame(
        {
            "age": age.astype(str),
            "x": draw.normal(size=1000).round(3).astype(str),
            "churned": np.where(draw.random(1000) < (age - 18) / 80, "Yes", "No"),
        }
    ).astype(object)
    assert check(given).passed


def test_a_number_to_predict_leaks_too():
    given = visits()
    spent = np.random.default_rng(2).normal(100, 30, 10_000)
    given["churned"] = [f"{spent[int(who)]:.2f}" for who in given["kunde"]]
    ports = fake_ports(sources=FakeSources(given))
    spec = make_spec(model={"task": "regression"}, data={"entity": None})
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    report = validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")
    assert CHECK in [one.name for one in report.failed]


def offers(rows=300, seed=5):
    """Rows of nobody in particular: amounts that hardly ever come twice, and labels by chance."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": draw.integers(1_000, 3_000, rows).astype(str),
            "months": draw.integers(6, 48, rows).astype(str),
            "churned": np.where(draw.random(rows) < 0.3, "Yes", "No"),
        }
    ).astype(object)


@pytest.mark.parametrize("copies", [2, 3, 8])
def test_requests_that_are_sent_again_are_no_identity(copies):
    given = offers()
    drawn = np.random.default_rng(copies).integers(0, len(given), copies * len(given))
    found = check(pd.concat([given, given.iloc[drawn]], ignore_index=True))
    assert found.passed, found.message


def test_a_customer_whose_rows_were_copied_is_still_found():
    given = visits()
    found = check(pd.concat([given, given, given.iloc[:200]], ignore_index=True))
    assert not found.passed
    assert "values of kunde have rows on both sides" in found.message
