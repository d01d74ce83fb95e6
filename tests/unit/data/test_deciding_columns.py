"""Columns that decide which rows are taken are judged before rows are left out."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.exceptions import DataRefusedError
from windsock.records import TakeSnapshotInput, ValidateDataInput

ROWS, SPOILED = 400, 140
END = datetime(2026, 5, 1, tzinfo=UTC)


def rows(**changes) -> pd.DataFrame:
    made = {
        "customer_id": [f"c{number}" for number in range(ROWS)],
        "price": [f"{number % 97}.{number % 10}1" for number in range(ROWS)],
        "member": [("yes", "no")[number % 2] for number in range(ROWS)],
        "seen_at": [f"2026-04-{number % 28 + 1:02}" for number in range(ROWS)],
        "churned": [("Yes", "No", "No")[number % 3] for number in range(ROWS)],
    }
    return pd.DataFrame({**made, **changes}).astype(object)


def spoiled(name: str, words: str | list[str], count: int = SPOILED) -> pd.DataFrame:
    """Return rows of which the first ones have other words in a column."""
    frame = rows()
    new = [words] * count if isinstance(words, str) else [words[n % len(words)] for n in range(count)]
    frame[name] = [*new, *frame[name].tolist()[count:]]
    return frame


class House:
    def __init__(self, **data) -> None:
        self.ports = fake_ports(sources=FakeSources())
        self.spec = make_spec(data=data)

    def month(self, frame):
        self.ports.sources.frame = frame
        step = TakeSnapshotInput(spec=self.spec, window_end=END)
        snapshot = take_snapshot(step, self.ports, "")
        given = ValidateDataInput(spec=self.spec, snapshot=snapshot)
        return snapshot, validate_data(given, self.ports, "")


BY_TIME = {"event_time": "seen_at", "data_window": "30d"}


@pytest.mark.parametrize(
    ("data", "name", "words", "shape"),
    [
        ({"where": {"price": {"min": 0}}}, "price", "19,90", "99,99"),
        ({"where": {"price": {"min": 0}}}, "price", "on request", "aa aaaaaaa"),
        ({"where": {"price": {"min": 50}}, "exclude": ["price"]}, "price", "19,90", "99,99"),
        ({"where": {"member": True}}, "member", ["ja", "nein"], "aaaa"),
        ({"where": {"seen_at": {"min": "2026-04-01"}}}, "seen_at", "01.04.2026", "99.99.9999"),
        (BY_TIME, "seen_at", "01.04.2026", "99.99.9999"),
        ({**BY_TIME, "where": {"seen_at": {"min": "2026-04-02"}}}, "seen_at", "4/1/2026", "9/9/9999"),
    ],
)
def test_a_filter_does_not_hide_a_column_that_flipped(data, name, words, shape):
    house = House(**data)
    assert house.month(rows())[1].status == "pass"
    snapshot, report = house.month(spoiled(name, words))
    (failed,) = [check for check in report.failed if check.code == "WS-DATA-141"]
    assert failed.name == f"contract_kind:{name}"
    assert (failed.value, failed.n) == (SPOILED / ROWS, ROWS)
    assert shape in failed.message
    assert f"data.columns.{name}" in failed.message
    assert [said for said in snapshot.findings if said.startswith(f"{name}: {SPOILED} of {ROWS} values")]


@pytest.mark.parametrize(
    ("data", "name", "words", "shape"),
    [
        ({"where": {"price": {"min": 0}}}, "price", "on request", "aa aaaaaaa"),
        ({"where": {"price": {"max": 50}}}, "price", "sold out", "aaaa aaa"),
        (BY_TIME, "seen_at", "some day", "aaaa aaa"),
    ],
)
def test_nor_one_that_is_half_words_in_the_first_month(data, name, words, shape):
    _, report = House(**data).month(spoiled(name, words, 160))
    (failed,) = [check for check in report.failed if check.code == "WS-DATA-117"]
    assert failed.value == 0.4
    assert f"{name} is read as" in failed.message
    assert f"160 values (40.0%) are none; they look like {shape}" in failed.message


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        ({"where": {"price": {"max": 3}}}, "price", "19,90"),
        ({"where": {"price": {"min": 0}}}, "price", "on request"),
        (BY_TIME, "seen_at", "some day"),
    ],
)
def test_a_few_are_named_and_counted_of_all_rows(data, name, words):
    data = {**data, "accept_changes_until": "2026-12-31"}
    house = House(**data)
    for _ in range(2):
        snapshot, report = house.month(spoiled(name, words, 12))
        failed = {check.code for check in report.failed}
        assert not failed & {"WS-DATA-117", "WS-DATA-141"}
        assert [said for said in snapshot.findings if said.startswith(f"{name}: 12 of {ROWS} values")]
        assert snapshot.column(name).unread_of == ROWS


def test_a_filter_that_leaves_nothing_for_nothing_can_be_read_says_so():
    house = House(where={"price": {"min": 0}})
    house.month(rows())
    with pytest.raises(DataRefusedError, match="look like 99,99") as caught:
        house.month(spoiled("price", "19,90", ROWS))
    assert caught.value.code == "WS-DATA-082"


def test_the_same_rows_taken_from_worse_ones_are_judged_anew():
    from windsock.steps import run_step

    house = House(where={"price": {"min": 0}})
    status = []
    for words in ("", "19,90"):
        house.ports.sources.frame = spoiled("price", words)
        snapshot = run_step("take_snapshot", {"spec": house.spec}, house.ports).record
        given = {"spec": house.spec, "snapshot": snapshot}
        status.append(run_step("validate_data", given, house.ports).record.status)
    assert status == ["pass", "fail"]
