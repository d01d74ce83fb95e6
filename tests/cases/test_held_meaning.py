"""What columns mean from one month to the next: units, identities, classes, and what is said of a change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import DataSnapshot, TakeSnapshotInput, ValidateDataInput, ValidationReport

pytestmark = pytest.mark.cases
ROWS = 120


def two_months(
    first: dict[str, Any], second: dict[str, Any], columns: dict[str, Any] | None = None
) -> tuple[Any, list[DataSnapshot], ValidationReport]:
    """Return the ports, both snapshots and the second month's report."""
    ports = fake_ports(sources=FakeSources())
    snapshots, report = [], None
    for month, (given, blocks) in enumerate(((first, {}), (second, columns or {}))):
        draw = np.random.default_rng(month)
        made = {
            "customer_id": [f"c{month}-{at}" for at in range(ROWS)],
            "age": draw.integers(18, 80, ROWS).astype(str),
            "churned": draw.choice(["Yes", "No"], ROWS),
        }
        ports.sources.frame = pd.DataFrame({**made, **given})
        spec = make_spec(data={"columns": blocks} if blocks else {})
        snapshots.append(take_snapshot(TakeSnapshotInput(spec=spec), ports, ""))
        given_step = ValidateDataInput(spec=spec, snapshot=snapshots[-1])
        report = validate_data(given_step, ports, "")
    assert report is not None
    return ports, snapshots, report


def codes(report: ValidationReport) -> list[str]:
    return sorted(check.code for check in report.failed)


def prices(form: str) -> list[str]:
    return [form.format(one) for one in np.random.default_rng(9).uniform(1, 99, ROWS)]


@pytest.mark.parametrize(
    ("before", "now", "right"),
    [
        ("$ {:.2f}", "EUR {:.2f}", ["WS-DATA-141"]),
        ("$ {:.2f}", "€ {:.2f}", ["WS-DATA-141"]),
        ("$ {:.2f}", "{:.2f}", []),
        ("€ {:.2f}", "{:.2f} EUR", []),
    ],
)
def test_a_currency_is_kept(case: Any, before: str, now: str, right: list[str]) -> None:
    _, _, report = two_months({"price": prices(before)}, {"price": prices(now)})
    case(f"held: {before} that becomes {now}", right=right, got=codes(report))


@pytest.mark.parametrize(("then", "right"), [("{}", ROWS), ("{}.0", ROWS), ("{:05}", ROWS), ("K{}", 0)])
def test_an_identity_is_one_however_it_is_written(case: Any, then: str, right: int) -> None:
    numbers = [{"customer_id": [form.format(at) for at in range(1, ROWS + 1)]} for form in ("{}", then)]
    ports, snapshots, _ = two_months(*numbers)
    kept = [set(ports.snapshots.load(snapshot)["customer_id"]) for snapshot in snapshots]
    case(f"held: customers 1, 2 ... written {then}: the same", right=right, got=len(kept[0] & kept[1]))


@pytest.mark.parametrize("words", [("aaa", "bbb"), ("t", "f"), ("1", "0")])
def test_an_unread_target_is_one_alarm(case: Any, words: tuple[str, str]) -> None:
    other = np.random.default_rng(4).choice(words, ROWS)
    _, _, report = two_months({}, {"churned": other})
    case(f"held: yes and no that become {words}", right=["WS-DATA-141"], got=codes(report))


def test_a_listed_class_that_no_value_can_be(case: Any) -> None:
    listed = {"churned": {"classes": ["Yes", "No", "Maybe"]}}
    case("held: a third class of a boolean", right=["WS-DATA-121"], got=codes(two_months({}, {}, listed)[2]))


@pytest.mark.parametrize(
    ("before", "now", "right"),
    [
        (["007", "012", "020"], ["7", "12", "20"], ["WS-DATA-175"]),
        (["007", "012", "K20"], ["7.0", "12.0", "K20"], ["WS-DATA-175"]),
        (["01067", "04103", "A1"], ["1067", "4103", "A1"], ["WS-DATA-175"]),
        (["007", "012", "020"], ["007", "012", "020", "7"], []),
        (["007", "012", "020"], ["007", "012", "020", "31", "144"], []),
        (["007", "012", "A1"], ["007", "A1", "13"], []),
    ],
)
def test_codes_keep_their_zeros(case: Any, before: list[str], now: list[str], right: list[str]) -> None:
    """A code that lost its zeros is no new word; a number that was never there is one."""
    months = [{"branch": [words[at % len(words)] for at in range(ROWS)]} for words in (before, now)]
    _, _, report = two_months(*months, columns={"branch": {"kind": "category"}})
    found = [code for code in codes(report) if code == "WS-DATA-175"]
    case(f"held: codes {before} that become {now}", right=right, got=found)
