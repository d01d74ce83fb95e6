from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import TakeSnapshotInput, ValidateDataInput, ValidationReport

ROWS = 200
DRAW = np.random.default_rng(5)
NUMBERS = DRAW.integers(101, 999, ROWS)
PRICES = [f"{one / 10:.1f}5" for one in NUMBERS]
DAYS = [one.date() for one in pd.Timestamp("2026-01-01") + pd.to_timedelta(NUMBERS % 300, unit="D")]
TRUTHS = DRAW.choice(["yes", "no"], ROWS)


class House:
    """A model whose column ``x`` changes from one month to the next."""

    def __init__(self) -> None:
        self.ports = fake_ports(sources=FakeSources())
        self.seed = 0

    def month(self, x: list[str], **column: Any) -> ValidationReport:
        self.seed += 1
        made = {
            "customer_id": [f"c{self.seed}-{number}" for number in range(ROWS)],
            "x": x,
            "churned": ["Yes", "No"] * (ROWS // 2),
        }
        self.ports.sources.frame = pd.DataFrame(made).astype(object)
        data: dict[str, Any] = {"accept_changes_until": "2026-06-01"}
        spec = make_spec(data={**data, **({"columns": {"x": column}} if column else {})})
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), self.ports, "")
        return validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), self.ports, "")


def advice(before: list[str], now: list[str]) -> tuple[House, str]:
    """Return what the second month's failure says."""
    house = House()
    assert house.month(before).failed == ()
    failed = [check for check in house.month(now).failed if check.code == "WS-DATA-141"]
    (check,) = failed
    return house, check.message


@pytest.mark.parametrize(
    ("before", "now", "keys"),
    [
        (PRICES, [one.replace(".", ",") for one in PRICES], {"decimal": ","}),
        (PRICES, [f"{one}%" for one in PRICES], {"unit": "percent"}),
        (PRICES, [f"€ {one}" for one in PRICES], {"currency": "EUR"}),
        (PRICES, [f"1.{one},5" for one in NUMBERS], {"decimal": ",", "thousands": "."}),
        ([str(one) for one in DAYS], [f"{one:%d.%m.%Y}" for one in DAYS], {"dates": "day_first"}),
        ([f"{one:%m/%d/%Y}" for one in DAYS], [str(one) for one in DAYS], {"dates": ""}),
        (list(TRUTHS), ["Y" if one == "yes" else "N" for one in TRUTHS], {"true": "Y", "false": "N"}),
        (list(TRUTHS), ["t" if one == "yes" else "f" for one in TRUTHS], {"true": "t", "false": "f"}),
    ],
    ids=["comma", "per cent", "currency", "groups", "days first", "ISO", "Y and N", "t and f"],
)
def test_a_column_in_another_form_is_given_the_keys_and_these_work_as_written(
    before: list[str], now: list[str], keys: dict[str, str]
) -> None:
    house, said = advice(before, now)
    assert "in another form. If that is meant, write data.columns.x: {" in said
    (block,) = re.findall(r"data\.columns\.x: (\{.*?\})", said)
    written = yaml.safe_load(block)
    assert written == keys
    assert house.month(now, **written).failed == ()


def test_values_with_two_readings_are_given_both() -> None:
    now = [f"{one % 90 + 10},{one:03}" for one in NUMBERS]
    _, said = advice(PRICES, now)
    blocks = re.findall(r"data\.columns\.x: (\{.*?\})", said)
    assert [yaml.safe_load(block) for block in blocks] == [
        {"decimal": ","},
        {"decimal": ".", "thousands": ","},
    ]
    assert said.endswith("whichever is meant")
    for block in blocks:
        house, _ = advice(PRICES, now)
        assert house.month(now, **yaml.safe_load(block)).failed == ()


@pytest.mark.parametrize(
    ("before", "word"),
    [(PRICES, "free"), ([str(one) for one in NUMBERS], "ask us"), ([str(one) for one in DAYS], "soon")],
)
def test_words_that_do_not_fit_are_listed_as_nulls_by_a_person(before: list[str], word: str) -> None:
    now = [word if place % 10 == 0 else value for place, value in enumerate(before)]
    house, said = advice(before, now)
    assert "as before. If these mean a missing value, list their words in data.columns.x.nulls: [...]" in said
    assert word not in said
    assert "kind:" not in said
    assert not [check for check in house.month(now, nulls=[word]).failed if "contract" in check.name]


def test_the_words_of_before_are_not_forgotten() -> None:
    house = House()
    house.month(PRICES, nulls=["n/k"])
    now = ["free" if place % 10 == 0 else value for place, value in enumerate(PRICES)]
    said = " ".join(check.message for check in house.month(now).failed)
    assert "list their words besides the 1 of before in data.columns.x.nulls: [...]" in said


def test_another_form_among_other_words_is_given_both_keys() -> None:
    now = ["free" if place % 10 == 0 else value.replace(".", ",") for place, value in enumerate(PRICES)]
    house, said = advice(PRICES, now)
    assert 'write data.columns.x: {decimal: ",", nulls: [...]}, with the words that mean a missing' in said
    failed = house.month(now, decimal=",", nulls=["free"]).failed
    assert not [check for check in failed if "contract" in check.name]
