"""Month two is read by the contract of month one: a column keeps its kind, or validation names it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import TakeSnapshotInput, ValidateDataInput

pytestmark = pytest.mark.cases

ROWS = 600


def month(seed: int, words: dict[str, float], *, target: dict[str, float] | None = None) -> pd.DataFrame:
    """Return a month's rows as a CSV gives them: column ``c`` or the target in these words."""
    draw = np.random.default_rng(seed)

    def drawn(shares: dict[str, float]) -> np.ndarray:
        share = np.array(list(shares.values()))
        return draw.choice(list(shares), ROWS, p=share / share.sum())

    return pd.DataFrame(
        {
            "user": [f"u{seed}_{number}" for number in range(ROWS)],
            "c": drawn(words),
            "x": [f"{value:.3f}" for value in draw.normal(size=ROWS)],
            "bought": drawn(target or {"Yes": 1, "No": 1}),
        }
    ).astype(object)


def two_months(first: pd.DataFrame, second: pd.DataFrame):
    """Accept month one; return the contract's column kinds and what month two came to."""
    spec = make_spec(data={"target": "bought", "entity": "user"})
    ports = fake_ports(sources=FakeSources(first))
    for frame in (first, second):
        ports.sources.frame = frame
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
        report = validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")
        if frame is first:
            assert report.status == "pass"
            before = {column.name: column.kind.value for column in snapshot.columns}
    after = {column.name: column.kind.value for column in snapshot.columns}
    return before, after, report, snapshot, ports.snapshots.load(snapshot)


PRICES, TRUTHS = {"19.90": 1, "29.90": 1, "9.90": 1}, {"true": 1, "false": 1}
DATES = {"2026-01-01": 1, "2026-02-01": 1, "2026-03-01": 1}
WHOLE = {"1.0": 1, "2.0": 1, "3.0": 1}
ZIPS = {"20095": 1, "80331": 1, "10115": 1}


def utc(day: str) -> pd.Timestamp:
    return pd.Timestamp(day, tz="UTC")


KEPT = {
    "prices": ({**PRICES, "free": 0.07}, PRICES, "category", set(PRICES)),
    "prices_rev": (PRICES, {**PRICES, "free": 0.06}, "number", {19.9, 29.9, 9.9}),
    "dash_true": ({**TRUTHS, "n/k": 0.05}, TRUTHS, "category", set(TRUTHS)),
    "yesno_then_unknown": (
        {"yes": 1, "no": 1},
        {"yes": 1, "no": 1, "unknown": 0.04},
        "boolean",
        {True, False},
    ),
    "cohort": ({**DATES, "0000-00-00": 0.07}, DATES, "datetime", set(map(utc, DATES))),
    "floatint": ({**WHOLE, "other": 0.07}, WHOLE, "category", set(WHOLE)),
    "zip": ({**ZIPS, "01067": 0.07}, ZIPS, "category", set(ZIPS)),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_column_keeps_its_kind_and_its_words(name, case):
    first, second, kind, values = KEPT[name]
    before, after, report, snapshot, frame = two_months(month(1, first), month(2, second))
    got = (before["c"], after["c"], report.status.value, set(frame["c"].dropna().tolist()))
    case(f"kinds/{name}", right=(kind, kind, "pass", values), got=got)
    assert snapshot.contract == 1


def test_more_than_one_in_twenty_that_does_not_fit_fails_by_name(case):
    second = month(2, {**PRICES, "free": 0.6})
    _, _, report, snapshot, _ = two_months(month(1, PRICES), second)
    (failed,) = report.failed
    case("kinds/prices_rev at 17 %", right="contract_kind:c WS-DATA-141", got=f"{failed.name} {failed.code}")
    share = (second["c"] == "free").mean()
    assert failed.value == pytest.approx(share)
    for words in ("c is number by contract 1", "look like aaaa", "read as category", "data.columns.c.kind"):
        assert words in failed.message
    assert "free" not in report.model_dump_json()
    assert snapshot.column("c").unread == int((second["c"] == "free").sum())


TARGETS = {
    "target_leading_zero": (
        {"1": 1, "2": 2, "3": 2, "4": 3},
        {"01": 1, "02": 2, "03": 2, "04": 3},
        [],
        {1, 2, 3, 4},
    ),
    "target_stars": (
        {"1": 1, "2": 2, "3": 2, "4": 2, "5": 1},
        {"1": 1, "2": 2, "3": 2, "4": 2, "5+": 1},
        ["WS-DATA-141"],
        {1, 2, 3, 4},
    ),
    "target_third": (
        {"yes": 1, "no": 1},
        {"yes": 1, "no": 1, "unsure": 0.12},
        ["WS-DATA-141"],
        {True, False},
    ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_keeps_its_classes_or_is_refused(name, case):
    first, second, codes, classes = TARGETS[name]
    given = month(1, TRUTHS, target=first), month(2, TRUTHS, target=second)
    before, after, report, _, frame = two_months(*given)
    got = (sorted(check.code for check in report.failed), set(frame["bought"].dropna().tolist()))
    case(f"kinds/{name}", right=(codes, classes), got=got)
    assert before["bought"] == after["bought"]


def test_one_row_of_another_class_is_a_target_that_changes(case):
    second = month(2, TRUTHS)
    second.loc[5, "bought"] = "Maybe"
    _, _, report, _, _ = two_months(month(1, TRUTHS), second)
    got = sorted(check.code for check in report.failed)
    case("kinds/one word more in the target", right=["WS-DATA-141"], got=got)
